"""A whole answer and the stream that tells it say the same."""

from forms import answers
from hypothesis import given
from hypothesis import strategies as st

from tokenweir.protocol.translate.answer import (
    Answer,
    Delta,
    Ended,
    Event,
    Failed,
    Failure,
    Ping,
    SummaryDelta,
    fold,
    unfold,
)


@given(answers())
def test_an_answer_survives_its_stream(answer: Answer) -> None:
    events = unfold(answer)
    assert fold(events) == answer
    assert isinstance(events[-1], Ended)


@given(answers(), st.lists(st.integers(0, 9), max_size=9))
def test_finer_deltas_and_pings_tell_the_same(answer: Answer, places: list[int]) -> None:
    cuts = iter(places)
    events: list[Event] = []
    for event in unfold(answer):
        events += [Ping(), *halved(event, next(cuts, 0))]
    assert fold(events) == answer


def halved(event: Event, place: int) -> list[Event]:
    match event:
        case Delta(index=index, text=text, logprobs=logprobs):
            return [Delta(index, text[:place]), Delta(index, text[place:], logprobs)]
        case SummaryDelta(index=index, part=part, text=text):
            return [SummaryDelta(index, part, text[:place]), SummaryDelta(index, part, text[place:])]
    return [event]


@given(answers(), st.integers(0, 99))
def test_a_failure_is_all_that_remains_of_an_answer(answer: Answer, place: int) -> None:
    events = unfold(answer)
    failure = Failure("out of memory", "server_error")
    assert fold([*events[: place % (len(events) + 1)], Failed(failure), *events]) == failure
