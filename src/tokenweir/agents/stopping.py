"""When an agent that has to end is asked to, and when it is ended. Pure."""

from enum import Enum, auto

import msgspec

#: An agent told by its gateway that the budget is gone ends by itself: this long it may take for it.
PATIENCE_US = 2_000_000
#: From being asked to being ended.
GRACE_US = 5_000_000
#: Refused requests after having been asked to end (or, before that, after the first) that are let pass.
MOST_FURTHER = 1


class Step(Enum):
    """What to do now."""

    WAIT = auto()
    ASK = auto()
    END = auto()


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where the run stands. Times are of a steady clock; None: not yet."""

    now_us: int
    refused_us: int | None = None  # when the ledger's first refusal was seen
    refused: int = 0  # requests refused so far
    overdue_us: int | None = None  # when its time was up, or the user said stop
    asked_us: int | None = None  # when it was asked to end …
    refused_then: int = 0  # … and how many requests had been refused by then
    hurried: bool = False  # the user said stop again


def step(at: Standing) -> Step:
    """What to do about an agent that still runs."""
    if at.refused_us is None and at.overdue_us is None:
        return Step.WAIT
    if at.hurried:
        return Step.END
    if at.asked_us is not None:
        late = at.now_us - at.asked_us >= GRACE_US
        return Step.END if late or at.refused - at.refused_then > MOST_FURTHER else Step.WAIT
    if at.overdue_us is not None or at.refused - 1 >= MOST_FURTHER:
        return Step.ASK
    assert at.refused_us is not None
    return Step.ASK if at.now_us - at.refused_us >= PATIENCE_US else Step.WAIT
