"""One run, from a task to its record: the agent watched until its end, its work kept and checked."""

import shutil
import signal
from pathlib import Path

import msgspec

from tokenweir.agents import workspace
from tokenweir.agents.adapter import own_cost
from tokenweir.agents.checking import check
from tokenweir.agents.confine import NO_SANDBOX, NOT_FOUND, NOT_STARTED
from tokenweir.agents.meter import NEVER, RunMeter, Spent
from tokenweir.agents.plan import MAX_TASK_BYTES, Door, Machine, RunPlan, Watcher
from tokenweir.agents.records import Records, Run, RunEnd, Tokens
from tokenweir.agents.staging import Stage, agree, hidden, revoke, set_up, start
from tokenweir.agents.verdict import Check, Ending, Facts, ending, verdict
from tokenweir.agents.watching import Watched, settle, watch
from tokenweir.core.errors import AgentError
from tokenweir.core.money import decimals
from tokenweir.ledger.views.terms import terms_now
from tokenweir.ledger.windows import SHORT

#: What stays only where the user asked for it: the copy, and what was printed, which may hold anything.
KEPT = ("work", "base.git", "agent.out", "agent.err", "verify.out", "verify.err")
#: Of a word that an agent ends with, so much is told.
_MOST_WORDS = 300


class _Lived(msgspec.Struct, frozen=True, kw_only=True):
    """What is known when the agent is gone."""

    seen: Watched
    spent: Spent
    output: str  # the end of what it printed
    upto_seq: int


class _Work(msgspec.Struct, frozen=True, kw_only=True):
    """What it left."""

    patch: bytes = b""
    files_changed: int = 0
    check: Check = Check.NONE
    why: str = ""


def carry_out(plan: RunPlan, door: Door, machine: Machine, watcher: Watcher) -> Run:
    """Carry it out. Raises AgentError, LedgerError and ValueError while nothing has been started."""
    check_task(plan.task)
    records = Records(door.data_dir)
    id = f"run_{machine.random_bytes(6).hex()}"
    place = records.make(id)
    try:
        stage = set_up(plan, door, machine, id, place)
        agree(plan, door, machine, stage)
        records.begin(stage.start)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    began_us = machine.clock.steady_us()
    watcher.begins(stage.start, stage.space.cwd)
    try:
        lived = _live(plan, door, machine, watcher, stage, began_us)
        end = _ending(door, lived)
        work = _keep(plan, door, machine, stage, end)
        times = machine.clock.now_us(), machine.clock.steady_us() - began_us
        run = Run(stage.start, _end(plan, stage, lived, end, work, times))
        assert run.end is not None
        records.finish(id, run.end, work.patch)
    finally:
        records.clear(id, "home", *(() if plan.keep else KEPT))
    watcher.ends(run)
    return run


def check_task(task: str) -> None:
    """Raises AgentError for what no command line can hold."""
    if not task.strip() or "\0" in task or len(task.encode()) > MAX_TASK_BYTES:
        raise AgentError(
            f"a task is 1 to {MAX_TASK_BYTES:,} bytes of text; put longer ones into a file of the tree"
        )


def _live(
    plan: RunPlan, door: Door, machine: Machine, watcher: Watcher, stage: Stage, began_us: int
) -> _Lived:
    """The agent's life, until none of its processes is left and all of its calls are settled."""
    meter = RunMeter(door.data_dir, stage.start.id, stage.start.after_seq)
    group = None
    try:
        group = start(plan, door, machine, stage)
        seen = watch(
            group, meter, machine, until_us=began_us + plan.time_s * 1_000_000,
            stop=signal.Signals[plan.adapter.stop], patient=_is_patient(plan, door), tell=watcher.call,
        )  # fmt: skip
        revoke(door, machine, stage)
        spent = settle(meter, machine, watcher.call)
        return _Lived(seen=seen, spent=spent, output=group.output.end(), upto_seq=meter.seq)
    except BaseException:
        if group is not None:
            group.end()
        revoke(door, machine, stage)
        raise
    finally:
        meter.close()


def _is_patient(plan: RunPlan, door: Door) -> bool:
    """Whether limits of minutes stand above the run: what they refuse may come again."""
    terms = terms_now(door.data_dir)
    scopes = [f"account/{account}" for account in terms.chain(plan.account)]
    return any(limit.window in SHORT for scope in scopes for limit in terms.limits.get(scope, {}).values())


def _ending(door: Door, lived: _Lived) -> Ending:
    seen, spent = lived.seen, lived.spent
    never = not (spent.calls or spent.refused) and seen.exit_code in (NO_SANDBOX, NOT_STARTED, NOT_FOUND)
    return ending(
        Facts(
            exit_code=seen.exit_code, interrupted=seen.interrupted, out_of_budget=seen.out_of_budget,
            out_of_time=seen.out_of_time, unservable=bool(seen.unservable) or not door.alive(), never_began=never,
            calls=spent.calls, answered=spent.answered, last_failed=bool(spent.last_failed),
        )
    )  # fmt: skip


def _keep(plan: RunPlan, door: Door, machine: Machine, stage: Stage, end: Ending) -> _Work:
    """The work as a patch, checked where that was asked for."""
    space = stage.space
    try:
        result = workspace.finish(space)
        patch = workspace.difference(space.repository, space.base, result)
        names = workspace.difference(space.repository, space.base, result, "--name-only", "-z")
    except AgentError as error:
        return _Work(check=Check.BROKEN, why=f"its work could not be kept: {error}")
    checked, why = Check.NONE, ""
    if plan.verify and end not in (Ending.INTERRUPTED, Ending.NEVER_BEGAN):
        closed = hidden(door, machine)
        checked, why = check(plan, space, result, stage.place, machine, stage.start.id, closed)
    return _Work(patch=patch, files_changed=names.count(b"\0"), check=checked, why=why)


def _end(
    plan: RunPlan, stage: Stage, lived: _Lived, end: Ending, work: _Work, times: tuple[int, int]
) -> RunEnd:
    spent, usage = lived.spent, lived.spent.usage
    written = usage.cache_write_5m + usage.cache_write_1h
    words = (_words(end, lived, stage.place), work.why)
    return RunEnd(
        ended_us=times[0], duration_us=times[1], verdict=verdict(end, work.check), ending=end, check=work.check,
        exit_code=lived.seen.exit_code, words="; ".join(text for text in words if text), calls=spent.calls,
        refused=spent.refused, open=spent.open, upto_seq=lived.upto_seq,
        tokens=Tokens(usage.input, usage.cache_read, written, usage.output, usage.reasoning),
        cost=decimals(spent.cost_pico),
        unpriced=spent.unpriced, own_cost=own_cost(plan.adapter, lived.output), files_changed=work.files_changed,
        left_processes=lived.seen.left_processes, tool_calls=spent.tool_calls, withheld=spent.withheld,
        last_tool=spent.last_tool,
    )  # fmt: skip


def _words(end: Ending, lived: _Lived, place: Path) -> str:
    """What there is to say beyond the ending's name."""
    if lived.seen.unservable:
        return NEVER[lived.seen.unservable]
    if end is Ending.UNSERVED:
        return lived.spent.last_failed or "the gateway ended during the run"
    if end in (Ending.FAILED, Ending.NEVER_BEGAN):
        last = (place / "agent.err").read_bytes()[-2_000:].decode(errors="replace").strip().splitlines()
        return f"the agent ended with {lived.seen.exit_code}{': ' + last[-1][:_MOST_WORDS] if last else ''}"
    return ""
