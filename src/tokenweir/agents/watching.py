"""The agent's process watched beside the ledger, until it has ended and all of its calls are settled."""

import signal
from collections.abc import Callable

import msgspec

from tokenweir.agents.meter import NEVER, Ended, RunMeter, Spent
from tokenweir.agents.plan import Machine
from tokenweir.agents.process import Group
from tokenweir.agents.stopping import Standing, Step, step

#: How often the process and the ledger are looked at: of a refusal that an agent does not heed this is seen.
LOOK_S = 0.01
#: A gateway sees that a client is gone within moments; the last settlements may wait for a disk.
SETTLED_WITHIN_S = 15.0

Tell = Callable[[Ended, Spent], None]


class Watched(msgspec.Struct, kw_only=True):
    """How the process ended."""

    exit_code: int = 0
    interrupted: bool = False
    out_of_time: bool = False
    out_of_budget: bool = False
    unservable: str = ""  # the reason of a refusal that no budget mends
    left_processes: int = 0


def watch(
    group: Group,
    meter: RunMeter,
    machine: Machine,
    *,
    until_us: int,
    stop: signal.Signals,
    patient: bool,
    tell: Tell,
) -> Watched:
    """Until the process has ended; asked to and ended where that must be.

    `until_us`: when its time is up, on the steady clock. `patient`: limits above the run refuse calls that may come
    again in a moment, so that a refusal is no end of the budget.
    """
    seen = Watched()
    refused_us = overdue_us = asked_us = None
    refused_then = 0
    while (code := group.wait(LOOK_S)) is None:
        spent = look(meter, tell)
        now_us, said = machine.clock.steady_us(), machine.interrupts()
        seen.interrupted = said > 0
        seen.out_of_time = seen.out_of_time or now_us >= until_us
        if refused_us is None and _refuses(spent, patient):
            refused_us = now_us
        if overdue_us is None and (seen.interrupted or seen.out_of_time):
            overdue_us = now_us
        standing = Standing(
            now_us=now_us, refused_us=refused_us, refused=_said_no(spent), overdue_us=overdue_us, asked_us=asked_us,
            refused_then=refused_then, hurried=said > 1,
        )  # fmt: skip
        match step(standing):
            case Step.ASK:
                group.ask(stop)
                asked_us, refused_then = now_us, _said_no(spent)
            case Step.END:
                break
            case Step.WAIT:
                pass
    seen.left_processes = group.end()
    seen.exit_code = code if code is not None else group.wait(LOOK_S) or -signal.SIGKILL
    _judge(seen, look(meter, tell), patient)
    return seen


def look(meter: RunMeter, tell: Tell) -> Spent:
    """Tell of every call that is new; the sums."""
    new = meter.look()
    spent = meter.spent()
    for ended in new:
        tell(ended, spent)
    return spent


def settle(meter: RunMeter, machine: Machine, tell: Tell) -> Spent:
    """Wait until no call is open. The run's key has been revoked, so none begins."""
    for _ in range(round(SETTLED_WITHIN_S / LOOK_S)):
        spent = look(meter, tell)
        if not spent.open:
            break
        machine.sleep(LOOK_S)
    return spent


def _refuses(spent: Spent, patient: bool) -> bool:
    return bool(set(spent.refusals) & NEVER.keys() or spent.withheld) or (
        "limit" in spent.refusals and not patient
    )


def _said_no(spent: Spent) -> int:
    """How often the agent was told that it is over: by a refusal, or in place of an answer."""
    return spent.refused + spent.withheld


def _judge(seen: Watched, spent: Spent, patient: bool) -> None:
    seen.unservable = next((reason for reason in spent.refusals if reason in NEVER), "")
    limited = "limit" in spent.refusals or spent.withheld > 0
    seen.out_of_budget = limited and (spent.last_refused or not patient)
