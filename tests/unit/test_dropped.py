"""What is told of what an upstream could not be told fits into a header, however long the conversation."""

from tokenweir.protocol.dropped import MOST_NAMES, in_short


def test_names_that_differ_in_their_places_are_told_as_one() -> None:
    names = ["seed", "input[0].id", "tools[4].description", "input[7].id", "seed", "input[7].parts[2].id"]
    assert in_short(names) == ("seed", "input[].id", "tools[4].description", "input[7].parts[2].id")


def test_a_header_holds_it_however_much_it_is() -> None:
    told = in_short([f"{letter}{number}" * 60 for letter in "ab" for number in range(100)])
    assert len(told) == MOST_NAMES + 1
    assert told[-1] == "170 more"
    assert sum(map(len, told)) < 4000
