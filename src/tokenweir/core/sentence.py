"""English sentences that know what they are made of, so that they can be told in another language as well. Pure."""

from collections.abc import Iterable, Mapping
from typing import Union

import msgspec

#: What stands between the parts of a list, and at the end of a whole sentence; languages have their own.
COMMA, LINE, STOP = ", ", "\n  ", "."
BETWEEN = frozenset({COMMA, LINE})


class Said(msgspec.Struct, frozen=True):
    """A sentence on its way between processes."""

    template: str
    values: dict[str, Union[str, int, "Said"]]
    is_whole: bool = False


class Sentence(str):
    """The English text; beside it the template that it was made from, with what was filled in. The template is its id."""

    template: str
    values: Mapping[str, object]
    is_whole: bool  # it begins with a capital and ends with a stop that are not the template's own

    def __new__(
        cls,
        text: str = "",
        template: str = "",
        values: Mapping[str, object] | None = None,
        whole: bool = False,
    ) -> "Sentence":
        made = super().__new__(cls, text)
        made.template, made.values, made.is_whole = template or text, values or {}, whole
        return made

    @property
    def said(self) -> Said:
        """To be sent."""
        values = {
            name: value.said
            if isinstance(value, Sentence)
            else value
            if isinstance(value, int)
            else str(value)
            for name, value in self.values.items()
        }
        return Said(self.template, values, self.is_whole)


#: Nothing is wrong.
FINE = Sentence()


def say(template: str, /, **values: object) -> Sentence:
    """A sentence; what stands in braces is filled in. A test finds templates that a language of the console lacks."""
    return Sentence(template.format(**values), template, values)


def listed(parts: Iterable[str], between: str = COMMA) -> Sentence:
    """Parts with commas, or line by line; empty ones are left out."""
    kept = [part for part in parts if part]
    if len(kept) == 1 and isinstance(kept[0], Sentence):
        return kept[0]
    return Sentence(between.join(kept), between, {str(place): part for place, part in enumerate(kept)})


def whole(part: str | Exception) -> Sentence:
    """What is wrong, or what an exception says, as a sentence of its own: with a capital and a stop."""
    sentence = as_sentence(part)
    text = f"{sentence[:1].upper()}{sentence[1:]}{STOP}"
    return Sentence(text, sentence.template, sentence.values, whole=True)


def as_sentence(text: str | Exception) -> Sentence:
    """A text, or what an exception says: the sentence that it is, or else one without parameters."""
    told = text.args[0] if isinstance(text, Exception) and len(text.args) == 1 else text
    return told if isinstance(told, Sentence) else Sentence(str(told))


def heard(said: Said) -> Sentence:
    """A sentence that was sent."""
    values = {name: heard(value) if isinstance(value, Said) else value for name, value in said.values.items()}
    if said.template in BETWEEN:
        made = listed((value for value in values.values() if isinstance(value, str)), said.template)
    else:
        made = say(said.template, **values)
    return whole(made) if said.is_whole else made
