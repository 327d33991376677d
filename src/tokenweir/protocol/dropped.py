"""What an upstream could not be told, in so few words that a header holds it."""

import re
from collections.abc import Collection

_INDEX = re.compile(r"\[\d+\]")
#: Names that are told; Node takes 16 KB of headers in all.
MOST_NAMES = 30
_LONGEST_NAME = 100


def in_short(names: Collection[str]) -> tuple[str, ...]:
    """Each name once; those that differ in their places alone as one: "input[].id" for "input[0].id" and "input[7].id"."""
    if not names:
        return ()
    alike: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        alike.setdefault(_INDEX.sub("[]", name), []).append(name)
    told = [(name if len(same) > 1 else same[0])[:_LONGEST_NAME] for name, same in alike.items()]
    if len(told) > MOST_NAMES:
        told[MOST_NAMES:] = [f"{len(told) - MOST_NAMES} more"]
    return tuple(told)
