"""The console's words, a TOML file for each page and language; and sentences of the code's, which says them in English.

A language lacks no word that English has, and no sentence that the code says; tests see to it.
"""

import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from tokenweir.core.sentence import BETWEEN, STOP, Sentence, as_sentence

_DIRECTORY = Path(__file__).parent / "words"
_SENTENCES = Path(__file__).parent / "sentences"
#: By their tags, with the name that each gives itself.
LANGUAGES = {"en": "English", "zh": "中文"}
DEFAULT = "en"

Words = Callable[..., str]


@cache
def dictionary(language: str) -> Mapping[str, str]:
    """Every word of a language, by its key: the file's name, a point, the name in it."""
    found: dict[str, str] = {}
    for path in sorted((_DIRECTORY / language).glob("*.toml")):
        for name, text in tomllib.loads(path.read_text(encoding="utf-8")).items():
            found[f"{path.stem}.{name}"] = text
    return found


def words(language: str) -> Words:
    """A function from a key to its word; what stands in braces is filled in."""
    known = dictionary(language)

    def word(key: str, **values: object) -> str:
        text = known[key]
        return text.format(**values) if values else text

    return word


@cache
def sentences(language: str) -> Mapping[str, str]:
    """What the code says in English, by its template; English has only what the console says otherwise than the API."""
    found: dict[str, str] = {}
    for path in sorted((_SENTENCES / language).glob("*.toml")):
        found |= tomllib.loads(path.read_text(encoding="utf-8"))
    return found


def tell(language: str, text: str) -> str:
    """A sentence of the code's in a language; in English, where that has no other for it."""
    known, sentence = sentences(language), as_sentence(text)
    if not known:
        return str(text)
    values = {
        name: tell(language, value) if isinstance(value, Sentence) else value
        for name, value in sentence.values.items()
    }
    template = known.get(sentence.template)
    if sentence.template in BETWEEN:
        return (template or sentence.template).join(map(str, values.values()))
    if template is None and not values:
        return str(text)
    told = (template or sentence.template).format(**values)
    if not sentence.is_whole:
        return told
    return f"{told[:1].upper()}{told[1:]}{known.get(STOP, STOP)}"


def has_word(key: str) -> bool:
    """Whether there is one."""
    return key in dictionary(DEFAULT)


def preferred(accept_language: str) -> str:
    """The first language of an Accept-Language header that the console speaks."""
    ranked = []
    for place, part in enumerate(accept_language.split(",")[:20]):
        tag, _, quality = part.partition(";")
        language = tag.strip().lower().partition("-")[0]
        try:
            weight = float(quality.strip().removeprefix("q=")) if quality else 1.0
        except ValueError:
            continue
        if language in LANGUAGES and weight > 0:
            ranked.append((-weight, place, language))
    return min(ranked)[2] if ranked else DEFAULT
