"""One run: a key and limits of its own, a workspace, the agent watched until its end, its work kept and checked."""

import hashlib
import os
import shutil
import signal
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from tokenweir.agents import landlock, workspace
from tokenweir.agents.adapter import HomeFile, Launch, Place, launch, own_cost
from tokenweir.agents.checking import check
from tokenweir.agents.confine import NO_SANDBOX, NOT_FOUND, NOT_STARTED, command_of
from tokenweir.agents.confinement import DEVICES, Confinement, environment, told
from tokenweir.agents.meter import NEVER, RunMeter, Spent
from tokenweir.agents.plan import MAX_TASK_BYTES, Door, Machine, RunPlan, Watcher
from tokenweir.agents.process import Group
from tokenweir.agents.reach import reachable
from tokenweir.agents.records import Records, Run, RunEnd, RunStart, Tokens
from tokenweir.agents.verdict import Check, Ending, Facts, ending, verdict
from tokenweir.agents.watching import Watched, settle, watch
from tokenweir.agents.workspace import Workspace
from tokenweir.core.errors import AgentError
from tokenweir.core.money import format_pico
from tokenweir.ledger.changing import make_changes
from tokenweir.ledger.limit_text import format_limit
from tokenweir.ledger.new_key import make_key
from tokenweir.ledger.terms import KeyRecord, RevokeKey, SetKey, SetLimit
from tokenweir.ledger.views.terms import terms_now
from tokenweir.ledger.windows import SHORT

#: A key outlives its run's time by this, should nobody be left to revoke it.
KEY_GRACE_S = 60


class _Stage(msgspec.Struct, frozen=True, kw_only=True):
    """What is set up before the agent starts."""

    start: RunStart
    place: Path
    space: Workspace
    home: Path
    key: KeyRecord
    launch: Launch


def carry_out(plan: RunPlan, door: Door, machine: Machine, watcher: Watcher) -> Run:
    """From a task to its record. Raises AgentError and LedgerError while nothing has been started."""
    check_task(plan.task)
    records = Records(door.data_dir)
    id = f"run_{machine.random_bytes(6).hex()}"
    place = records.make(id)
    try:
        stage = _set_up(plan, door, machine, id, place)
        _agree(plan, door, machine, stage)
        records.begin(stage.start)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    began_us = machine.clock.steady_us()
    watcher.begins(stage.start, stage.space.cwd)
    try:
        seen, spent, output = _live(plan, door, machine, watcher, stage, began_us)
        end, patch = _close(plan, door, machine, stage, seen, spent, output)
        duration_us = machine.clock.steady_us() - began_us
        end = msgspec.structs.replace(end, ended_us=machine.clock.now_us(), duration_us=duration_us)
        records.finish(id, end, patch)
    finally:
        records.clear(id, "home", *(() if plan.keep else ("work", "base.git")))
    run = Run(stage.start, end)
    watcher.ends(run)
    return run


def check_task(task: str) -> None:
    """Raises AgentError for what no command line can hold."""
    if not task.strip() or "\0" in task or len(task.encode()) > MAX_TASK_BYTES:
        raise AgentError(
            f"a task is 1 to {MAX_TASK_BYTES:,} bytes of text; put longer ones into a file of the tree"
        )


def _set_up(plan: RunPlan, door: Door, machine: Machine, id: str, place: Path) -> _Stage:
    space = workspace.prepare(workspace.find_source(plan.directory), place, in_place=plan.in_place)
    home = place / "home"
    (home / "tmp").mkdir(parents=True)
    now_us = machine.clock.now_us()
    key, secret = make_key(f"weir run {id}", plan.account, now_us=now_us, random_bytes=machine.random_bytes)
    lasts_us = (plan.time_s + KEY_GRACE_S) * 1_000_000
    launched = launch(
        plan.adapter,
        Place(base_url=door.address, key=secret, model=plan.model, task=plan.task, home=str(home)),
        plan.command,
    )
    for file in launched.files:
        _put(home, file)
    start = RunStart(
        id=id, agent=plan.adapter.name, version=plan.version, model=plan.model,
        task_digest=hashlib.sha256(plan.task.encode()).hexdigest(), account=plan.account, key=key.id,
        limits=tuple(map(format_limit, plan.limits)), time_s=plan.time_s, started_us=now_us, root=str(space.source.root),
        base=space.base, in_place=plan.in_place, sandbox=told(plan.means, landlock.abi(), landlock.NETWORK_ABI),
        verify=plan.verify, pid=os.getpid(),
    )  # fmt: skip
    key = msgspec.structs.replace(key, run=id, expires_us=now_us + lasts_us)
    return _Stage(start=start, place=place, space=space, home=home, key=key, launch=launched)


def _put(home: Path, file: HomeFile) -> None:
    path = home / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(file.text)


def _agree(plan: RunPlan, door: Door, machine: Machine, stage: _Stage) -> None:
    """The key and its limits, at once: there is no moment in which it has none."""
    limits = [SetLimit(f"run/{stage.start.id}", limit) for limit in plan.limits]
    refused = make_changes(door.data_dir, [*limits, SetKey(stage.key)], machine.clock)
    if refused:
        raise AgentError(refused)


def _live(
    plan: RunPlan, door: Door, machine: Machine, watcher: Watcher, stage: _Stage, began_us: int
) -> tuple[Watched, Spent, str]:
    """The agent's life: how it ended, what it spent, the end of what it printed."""
    meter = RunMeter(door.data_dir, stage.start.id)
    group = None
    try:
        group = _started(plan, door, machine, stage)
        seen = watch(
            group, meter, machine, until_us=began_us + plan.time_s * 1_000_000,
            stop=signal.Signals[plan.adapter.stop], patient=_is_patient(plan, door), tell=watcher.call,
        )  # fmt: skip
        _revoke(door, machine, stage)
        return seen, settle(meter, machine, watcher.call), group.output.end()
    finally:
        if group is not None and group.wait(0) is None:
            group.end()
        _revoke(door, machine, stage)
        meter.close()


def _revoke(door: Door, machine: Machine, stage: _Stage) -> None:
    """Once is enough, and twice is no harm."""
    make_changes(door.data_dir, [RevokeKey(stage.key.id, machine.clock.now_us())], machine.clock)


def _started(plan: RunPlan, door: Door, machine: Machine, stage: _Stage) -> Group:
    space, command = stage.space, stage.launch.command
    environ = environment(
        {"PATH": os.defpath, **machine.environ}, stage.launch.environment,
        home=str(stage.home), run=stage.start.id, named=plan.variables,
    )  # fmt: skip
    confined = Confinement(
        means=plan.means,
        command=command,
        read=reachable(plan, environ["PATH"], space.objects, command[:1], hidden(door, machine)),
        write=(str(space.work), str(stage.home), *DEVICES, *plan.write),
        port=urlsplit(door.address).port,
        parent=os.getpid(),
    )
    return Group(command_of(confined), space.cwd, environ, stage.place, "agent")


def hidden(door: Door, machine: Machine) -> tuple[str, ...]:
    """Directories that stay closed: the user's home and the ledger's."""
    return tuple(
        str(Path(path).resolve()) for path in (machine.environ.get("HOME", ""), door.data_dir) if path
    )


def _is_patient(plan: RunPlan, door: Door) -> bool:
    """Whether limits of minutes stand above the run: what they refuse may come again."""
    terms = terms_now(door.data_dir)
    scopes = [f"account/{account}" for account in terms.chain(plan.account)]
    return any(limit.window in SHORT for scope in scopes for limit in terms.limits.get(scope, {}).values())


def _close(
    plan: RunPlan, door: Door, machine: Machine, stage: _Stage, seen: Watched, spent: Spent, output: str
) -> tuple[RunEnd, bytes]:
    """The work kept and checked."""
    began = spent.calls or spent.refused
    end = ending(
        Facts(
            exit_code=seen.exit_code, interrupted=seen.interrupted, out_of_budget=seen.out_of_budget,
            out_of_time=seen.out_of_time, unservable=bool(seen.unservable) or not door.alive(),
            never_began=not began and seen.exit_code in (NO_SANDBOX, NOT_STARTED, NOT_FOUND),
            calls=spent.calls, answered=spent.answered, last_failed=bool(spent.last_failed),
        )
    )  # fmt: skip
    words = _words(end, seen, spent, stage.place)
    result = workspace.finish(stage.space)
    repository, base = stage.space.repository, stage.space.base
    changed = workspace.difference(repository, base, result, "--name-only", "-z").count(b"\0")
    checked, why = Check.NONE, ""
    if plan.verify and end not in (Ending.INTERRUPTED, Ending.NEVER_BEGAN):
        checked, why = check(
            plan, stage.space, result, stage.place, machine, stage.start.id, hidden(door, machine)
        )
    usage = spent.usage
    record = RunEnd(
        ended_us=0, duration_us=0, verdict=verdict(end, checked), ending=end, check=checked, exit_code=seen.exit_code,
        words="; ".join(text for text in (words, why) if text), calls=spent.calls, refused=spent.refused, open=spent.open,
        tokens=Tokens(
            usage.input, usage.cache_read, usage.cache_write_5m + usage.cache_write_1h, usage.output, usage.reasoning
        ),
        cost={currency: format_pico(pico) for currency, pico in sorted(spent.cost_pico.items())},
        unpriced=spent.unpriced, own_cost=own_cost(plan.adapter, output), files_changed=changed,
        left_processes=seen.left_processes,
    )  # fmt: skip
    return record, workspace.difference(repository, base, result)


def _words(end: Ending, seen: Watched, spent: Spent, place: Path) -> str:
    """What there is to say beyond the ending's name."""
    if seen.unservable:
        return NEVER[seen.unservable]
    if end is Ending.UNSERVED:
        return spent.last_failed or "the gateway ended during the run"
    if end in (Ending.FAILED, Ending.NEVER_BEGAN):
        last = (place / "agent.err").read_bytes()[-2_000:].decode(errors="replace").strip().splitlines()
        return f"the agent ended with {seen.exit_code}{': ' + last[-1][:300] if last else ''}"
    return ""
