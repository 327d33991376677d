"""How a run ended and what its work is worth: from facts, by a table. Pure."""

from enum import StrEnum

import msgspec


class Ending(StrEnum):
    """How the agent's process came to its end."""

    FINISHED = "finished"  # by itself, and it says well
    FAILED = "failed"  # by itself, and it says not
    OUT_OF_BUDGET = "out of budget"  # money, tokens or calls
    OUT_OF_TIME = "out of time"
    INTERRUPTED = "interrupted"  # the user ended it
    NEVER_BEGAN = "never began"  # sandbox or program
    UNSERVED = "unserved"  # its calls were refused for something that no budget mends, or found no upstream


class Check(StrEnum):
    """What `--verify` said."""

    NONE = "not asked for"
    PASSED = "passed"
    FAILED = "failed"
    BROKEN = "could not be run"


class Verdict(StrEnum):
    """What is said of a run."""

    SOLVED = "solved"
    DONE = "done"  # it ended well, and nobody asked to check
    FAILED = "failed"
    OUT_OF_BUDGET = "out of budget"
    AGENT_ERROR = "agent error"
    INFRASTRUCTURE = "infrastructure error"
    INTERRUPTED = "interrupted"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known at the end."""

    exit_code: int
    interrupted: bool = False
    out_of_budget: bool = False
    out_of_time: bool = False
    never_began: bool = False
    unservable: bool = False  # a refusal that no budget mends
    calls: int = 0
    answered: int = 0
    last_failed: bool = False  # the last call found no upstream that answered


def ending(facts: Facts) -> Ending:
    """The first that fits."""
    return next(
        end
        for holds, end in (
            (facts.interrupted, Ending.INTERRUPTED),
            (facts.never_began, Ending.NEVER_BEGAN),
            (facts.unservable, Ending.UNSERVED),
            (facts.out_of_budget, Ending.OUT_OF_BUDGET),
            (facts.out_of_time, Ending.OUT_OF_TIME),
            (facts.calls > 0 and (facts.answered == 0 or (facts.last_failed and facts.exit_code != 0)), Ending.UNSERVED),
            (facts.exit_code != 0, Ending.FAILED),
            (True, Ending.FINISHED),
        )
        if holds
    )  # fmt: skip


#: Where the work was not checked, or was found wanting.
_UNSOLVED = {
    Ending.FINISHED: Verdict.FAILED,
    Ending.FAILED: Verdict.AGENT_ERROR,
    Ending.OUT_OF_BUDGET: Verdict.OUT_OF_BUDGET,
    Ending.OUT_OF_TIME: Verdict.OUT_OF_BUDGET,
    Ending.NEVER_BEGAN: Verdict.INFRASTRUCTURE,
    Ending.UNSERVED: Verdict.INFRASTRUCTURE,
    Ending.INTERRUPTED: Verdict.INTERRUPTED,
}


def verdict(end: Ending, check: Check) -> Verdict:
    """Work that passes its check is solved, however the agent ended; other work is named after what stopped it."""
    if end in (Ending.INTERRUPTED, Ending.NEVER_BEGAN):
        return _UNSOLVED[end]
    if check is Check.PASSED:
        return Verdict.SOLVED
    if check is Check.BROKEN:
        return Verdict.INFRASTRUCTURE
    if check is Check.NONE and end is Ending.FINISHED:
        return Verdict.DONE
    return _UNSOLVED[end]
