"""The console's words: a TOML file for each page and language. A language lacks no word that English has; a test sees to it."""

import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

_DIRECTORY = Path(__file__).parent / "words"
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
