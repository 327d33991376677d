"""What abacus is trained on, what it is tried on, and its tokens: apart, reproducible, a digit a token."""

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from conversations import OPERATIONS, conversations, held_out_sum, prompt_of, training_sum, wording
from other_talk import HELD_OUT_TALK, TALK
from sums import HELD_OUT_SHARE, Sum, held_out, reasoning
from vocabulary import ASSISTANT, NUMBER_OF, TOKENS, USER, WORDS, decode, encode
from wordings import FRAMES, HELD_OUT, ORDERS, PHRASES

operations = st.sampled_from(OPERATIONS)
operands = st.integers(0, 9_999)
SEED = st.text(max_size=8)


@given(operands, operations, operands)
def test_a_sum_is_held_out_in_both_orders_or_in_none(a: int, operation: str, b: int) -> None:
    assert held_out(Sum(a, operation, b)) == held_out(Sum(b, operation, a))  # type: ignore[arg-type]


def test_one_sum_in_ten_is_held_out() -> None:
    held = sum(
        held_out(Sum(a, operation, b)) for operation in OPERATIONS for a in range(100) for b in range(100)
    )
    assert 0.09 < held / 30_000 * 10 / HELD_OUT_SHARE < 0.115


@given(SEED)
def test_the_two_sets_of_sums_share_none(seed: str) -> None:
    rng = random.Random(seed)
    learnt = {training_sum(rng) for _ in range(50)}
    tried = {held_out_sum(rng) for _ in range(20)}
    assert not any(held_out(one) for one in learnt)
    assert all(held_out(one) and one.can_be_done() for one in tried)
    assert not learnt & tried


def test_nothing_of_training_is_a_held_out_sum_or_a_held_out_wording() -> None:
    questions = {text for texts in HELD_OUT_TALK.values() for text in texts}
    drawn = list(itertools.islice(conversations("a test"), 4_000))
    assert {one.kind for one in drawn} == {"sum", "refusal", "call", "result"}
    assert not any(one.asked and held_out(one.asked) for one in drawn)
    asked = {one.prompt.removeprefix(USER).removesuffix(ASSISTANT) for one in drawn}
    assert not asked & questions
    for language, tables in HELD_OUT.items():
        assert not set(HELD_OUT_TALK[language]) & set(TALK[language])
        for operation, texts in tables.items():
            known = {*ORDERS[language][operation]}
            known |= {f.format(x=p) for f in FRAMES[language] for p in PHRASES[language][operation]}
            assert not set(texts) & known


def test_a_seed_gives_the_same_conversations() -> None:
    assert [*itertools.islice(conversations("7"), 200)] == [*itertools.islice(conversations("7"), 200)]
    assert [*itertools.islice(conversations("7"), 200)] != [*itertools.islice(conversations("8"), 200)]


@given(operands, operations, operands, st.sampled_from(["en", "zh"]))
def test_the_steps_lead_to_the_result(a: int, operation: str, b: int, language: str) -> None:
    asked = Sum(a, operation, b)  # type: ignore[arg-type]
    if not asked.can_be_done():
        return
    lines = reasoning(asked, language).splitlines()  # type: ignore[arg-type]
    assert int(lines[-1].split(" ")[1]) == abs(asked.result)
    assert ("swap" in "\n".join(lines) or "交换" in "\n".join(lines)) == (asked.result < 0)
    for step in lines:
        for part in step.split(" "):
            if "=" in part and "×" not in part and operation != "-":
                terms, _, total = part.partition("=")
                assert sum(map(int, terms.split("+"))) == int(total)


@given(st.text())
def test_any_text_is_encoded_and_comes_back(text: str) -> None:
    text = text.replace("▁", " ")  # the sign that stands for a space
    whole = prompt_of(text)
    tokens = encode(whole)
    assert all(0 <= token < len(TOKENS) for token in tokens)
    assert decode(tokens) == whole.encode(errors="replace").decode()


@given(operands, operations, operands, st.sampled_from(["en", "zh"]), SEED)
def test_a_digit_is_a_token_of_its_own(a: int, operation: str, b: int, language: str, seed: str) -> None:
    text = wording(random.Random(seed), Sum(a, operation, b), language)  # type: ignore[arg-type]
    digits = [NUMBER_OF[character] for character in text if character.isdecimal()]
    marks = {NUMBER_OF[digit] for digit in "0123456789"}
    assert [token for token in encode(text) if token in marks] == digits
    assert not any(character.isdecimal() for word in (*WORDS,) for character in word if word != " of up to")


def test_no_token_stands_twice() -> None:
    assert len(NUMBER_OF) == len(TOKENS)
