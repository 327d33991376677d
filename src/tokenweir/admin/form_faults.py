"""What msgspec says of a form, by the sentence that it is: it tells no codes, and its English is what the API answers. Pure."""

import re

from tokenweir.core.sentence import Sentence, say

#: Everything that it says of the forms there are; blanks are filled by what stands in their places.
TEMPLATES = (
    "Expected `{expected}`, got `{found}`",
    "Expected `{expected}`",
    "Object missing required field `{field}`",
    "Object contains unknown field `{field}`",
    "Expected `str` of length >= {least}",
    "Expected `str` of length <= {most}",
    "Expected `array` of length >= {least}",
    "Expected `array` of length <= {most}",
    "Expected `str` matching regex {pattern}",
    "Expected `int` >= {least}",
    "Expected `int` <= {most}",
    "Expected `datetime` with a timezone component",
    "Invalid enum value {value}",
    "Invalid RFC3339 encoded datetime",
    "Invalid RFC3339 encoded date",
    "Integer value out of range",
)
_BLANK = re.compile(r"\\{(\w+)\\}")
_READ = [(one, re.compile(_BLANK.sub(r"(?P<\1>.+)", re.escape(one)))) for one in TEMPLATES]
_PLACE = re.compile(r"(?P<why>.*) - at `\$\.?(?P<place>.+)`", re.DOTALL)


def form_fault(error: Exception) -> Sentence:
    """The same sentence, with its parameters."""
    text = str(error)
    found = _PLACE.fullmatch(text)
    if found is None:
        return _why(text)
    place = found["place"]
    if text.endswith(f"`$.{place}`"):
        return say("{why} - at `$.{place}`", why=_why(found["why"]), place=_named(place))
    return say("{why} - at `${place}`", why=_why(found["why"]), place=place)


def _why(text: str) -> Sentence:
    for template, pattern in reversed(_READ):
        if match := pattern.fullmatch(text):
            values = match.groupdict()
            return Sentence(text, template, {name: _named(value) for name, value in values.items()})
    return Sentence(text)


def _named(name: str) -> Sentence:
    """A member of a form: languages may call it otherwise."""
    return Sentence(name, f"$.{name}")
