"""What the code says in English, the console says in its other languages, too: none is missing, none is left over."""

import ast
import typing
from string import Formatter

import msgspec
import pytest

from tests.unit.console_templates import calls, files, name, templates
from tests.unit.test_audit_words import CHANGES
from tokenweir.admin.desk import read_request
from tokenweir.admin.form_faults import form_fault
from tokenweir.admin.operation import Operation
from tokenweir.admin.operations import OPERATIONS
from tokenweir.admin.problems import Problem
from tokenweir.console.words import DEFAULT, LANGUAGES, sentences, tell
from tokenweir.core.sentence import LINE, Said, Sentence, as_sentence, heard, listed, say, whole
from tokenweir.ledger.terms import Change
from tokenweir.ledger.views.audit import in_words

OTHERS = sorted(set(LANGUAGES) - {DEFAULT})
FORMS = [row for row in OPERATIONS if row.body not in (None, bytes) or row.query is not None]


def _blanks(text: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(text) if field is not None}


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_is_told_in_every_language(language: str) -> None:
    known = sentences(language)
    assert sorted(templates() - known.keys()) == [], f"untranslated into {language}"
    left_over = {text for text in known.keys() - templates() if not text.startswith("$.")}
    assert sorted(left_over) == [], "nobody says these any more"


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_a_translation_fills_the_same_blanks(language: str) -> None:
    for template, told in sentences(language).items():
        assert _blanks(told) <= _blanks(template), template
        assert told.strip() or not template.strip()


def test_whatever_is_refused_is_a_sentence_with_parameters() -> None:
    """A text that was put together beforehand could be told in English alone."""
    wanted = {"problem": 1, "refused": 0, "not_found": 0, "ValueError": 0, "BillError": 0}
    rooms = {"admin", "billing", "console"}
    for path in files():
        if not rooms & set(path.parts):
            continue
        for call in calls(path):
            place = wanted.get(name(call))
            if place is not None and len(call.args) > place:
                assert not isinstance(call.args[place], ast.JoinedStr | ast.Constant), (
                    f"{path.name}:{call.lineno}: say(…) it"
                )


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize(("change", "english"), CHANGES)
def test_a_change_is_told_without_a_word_of_english(change: Change, english: str, language: str) -> None:
    words = in_words(change)
    assert str(words) == english
    assert _untold(words, language) == []
    assert tell(language, words) != english


def _untold(text: str, language: str) -> list[str]:
    """Templates of a sentence and of its parts that a language lacks; texts without parameters are names."""
    sentence = as_sentence(text)
    parts = [value for value in sentence.values.values() if isinstance(value, Sentence)]
    own = [sentence.template] if sentence.values and sentence.template not in sentences(language) else []
    return own + [missing for part in parts for missing in _untold(part, language)]


def test_a_sentence_is_the_same_after_it_was_sent() -> None:
    inner = say("an account")
    told = whole(say("{id!r} cannot be the id of {what}", id="a b", what=inner))
    lines = listed((say("first {n:,}", n=1_234), told), LINE)
    for sentence in (inner, told, lines, listed(("a", "", inner))):
        sent = msgspec.msgpack.decode(msgspec.msgpack.encode(sentence.said), type=Said)
        again = heard(sent)
        assert (again, again.template, again.said) == (str(sentence), sentence.template, sentence.said)


def test_parts_are_told_in_the_language_of_the_whole() -> None:
    wrong = whole(say("{what} is at least 0 and at most {most:,}", what=say("a credit"), most=9_000_000))
    assert str(wrong) == "A credit is at least 0 and at most 9,000,000."
    assert tell("en", wrong) == wrong
    assert tell("zh", wrong) == "充值须在 0 到 9,000,000 之间。"
    assert tell("zh", "gpu-box") == "gpu-box"


def _wrong_values(kind: type) -> list[tuple[str, object]]:
    values: list[object] = [
        None,
        7,
        -1,
        2**70,
        "",
        "x" * 5_000,
        "\x00",
        "soon",
        [],
        ["x"] * 600,
        {"a": 1},
        True,
    ]
    return [(field.encode_name, value) for field in msgspec.structs.fields(kind) for value in values]


@pytest.mark.parametrize("operation", FORMS, ids=lambda row: row.id)
def test_what_is_wrong_with_a_form_is_told_in_every_language(operation: Operation) -> None:
    body = operation.body if operation.body is not bytes else None
    kind = typing.cast(type, body or operation.query)
    problems = 0
    for field, value in [*_wrong_values(kind), ("no_such_member", "x")]:
        if body is None:
            outcome = read_request(operation, ((field, str(value)),), b"")
        else:
            outcome = read_request(operation, (), msgspec.json.encode({field: value}))
        if not isinstance(outcome, Problem) or outcome.code == "malformed":
            continue
        problems += 1
        for language in OTHERS:
            assert _untold(outcome.detail, language) == [], str(outcome.detail)
            assert any(ord(letter) > 0x2E80 for letter in tell(language, outcome.detail)), str(outcome.detail)
    assert problems


def test_what_msgspec_says_is_known_to_the_letter() -> None:
    error = msgspec.ValidationError("Expected `str` of length >= 1 - at `$.name`")
    fault = form_fault(error)
    assert str(fault) == str(error)
    assert tell("zh", whole(fault)) == "“名称”：至少需要 1 个字符。"
    assert tell("en", whole(fault)) == "“name”: it needs at least 1 characters."
    other = form_fault(msgspec.ValidationError("Something new - at `$.limits[0]`"))
    assert str(other) == "Something new - at `$.limits[0]`"
