"""What is there before an agent starts: its workspace, its temporary home, and a key with limits for this run alone."""

import hashlib
import http.client
import os
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlsplit

import msgspec

from tokenweir.agents import landlock, workspace
from tokenweir.agents.adapter import HomeFile, Launch, Place, launch
from tokenweir.agents.confine import command_of
from tokenweir.agents.confinement import DEVICES, Confinement, environment, told
from tokenweir.agents.plan import Door, Machine, RunPlan
from tokenweir.agents.process import Group
from tokenweir.agents.reach import reachable
from tokenweir.agents.records import RunStart
from tokenweir.agents.workspace import Workspace
from tokenweir.core.errors import AgentError
from tokenweir.ledger.changing import make_changes
from tokenweir.ledger.limit_text import format_limit, parse_limit
from tokenweir.ledger.new_key import make_key
from tokenweir.ledger.terms import KeyRecord, RemoveLimit, RevokeKey, SetKey, SetLimit
from tokenweir.ledger.views import last_seq, open_reader

#: A key outlives its run's time by this, should nobody be left to revoke it.
KEY_GRACE_S = 60
ANSWER_TIMEOUT_S = 20.0
MAX_ANSWER_BYTES = 64 << 10


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    start: RunStart
    place: Path
    space: Workspace
    home: Path
    key: KeyRecord
    secret: str
    launch: Launch


def set_up(plan: RunPlan, door: Door, machine: Machine, run: str, place: Path) -> Stage:
    """Make it, in `place`. Raises AgentError, LedgerError, and ValueError for an account that cannot be."""
    source = workspace.find_source(plan.directory)
    check_root(source.root, hidden(door, machine))
    space = workspace.prepare(source, place, in_place=plan.in_place)
    home = place / "home"
    (home / "tmp").mkdir(parents=True)
    now_us = machine.clock.now_us()
    key, secret = make_key(f"weir run {run}", plan.account, now_us=now_us, random_bytes=machine.random_bytes)
    until_us = now_us + (plan.time_s + KEY_GRACE_S) * 1_000_000
    launched = launch(
        plan.adapter,
        Place(base_url=door.address, key=secret, model=plan.model, task=plan.task, home=str(home)),
        plan.command,
    )
    for file in launched.files:
        _put(home, file)
    start = RunStart(
        id=run, agent=plan.adapter.name, version=plan.version, model=plan.model,
        task_digest=hashlib.sha256(plan.task.encode()).hexdigest(), account=plan.account, key=key.id,
        limits=tuple(map(format_limit, plan.limits)), time_s=plan.time_s, started_us=now_us,
        after_seq=_newest(door.data_dir), root=str(space.source.root), base=space.base, in_place=plan.in_place,
        sandbox=told(plan.means, landlock.abi(), landlock.NETWORK_ABI), verify=plan.verify, pid=os.getpid(),
        keep_text_s=plan.keep_text_s,
    )  # fmt: skip
    return Stage(
        start=start, place=place, space=space, home=home, secret=secret, launch=launched,
        key=msgspec.structs.replace(key, run=run, expires_us=until_us, launched=True, keep_text_s=plan.keep_text_s),
    )  # fmt: skip


def check_root(root: Path, hidden: Sequence[str]) -> None:
    """Raises AgentError where the tree would bring what is hidden into the sandbox: a home, or the ledger."""
    holds = next((path for path in hidden if Path(path).is_relative_to(root)), "")
    if holds:
        raise AgentError(
            f"{root} holds {holds}, which no agent may read; begin in a project's own directory, "
            "or choose another --data where it is the ledger's"
        )


def _put(home: Path, file: HomeFile) -> None:
    path = home / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(file.text)


def _newest(data_dir: Path) -> int:
    db = open_reader(data_dir)
    try:
        return last_seq(db)
    finally:
        db.close()


def agree(plan: RunPlan, door: Door, machine: Machine, stage: Stage) -> None:
    """The key and its limits at once, so that there is no moment in which it has none. Raises AgentError, LedgerError."""
    limits = [SetLimit(f"run/{stage.start.id}", limit) for limit in plan.limits]
    refused = make_changes(door.data_dir, [*limits, SetKey(stage.key)], machine.clock)
    if refused:
        raise AgentError(refused)
    wrong = _wrong_with_model(door.address, stage.secret, plan.model)
    if wrong:
        revoke(door, machine, stage)
        raise AgentError(wrong)


def revoke(door: Door, machine: Machine, stage: Stage) -> None:
    """Nothing is called with the run's key from now on, so its limits can go as well. Raises LedgerError.

    Where that has been done, the ledger refuses to lift the limits again, and nothing is changed.
    """
    run = f"run/{stage.start.id}"
    lifted = [
        RemoveLimit(run, limit.model, limit.unit, limit.window)
        for limit in map(parse_limit, stage.start.limits)
    ]
    make_changes(door.data_dir, [RevokeKey(stage.key.id, machine.clock.now_us()), *lifted], machine.clock)


class _Fault(msgspec.Struct, frozen=True):
    message: str = ""


class _Refusal(msgspec.Struct, frozen=True):
    error: _Fault = _Fault()


def _wrong_with_model(address: str, key: str, model: str) -> str:
    """Why the gateway would not serve a model to this key, in its own words; "" where it does."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=ANSWER_TIMEOUT_S)
    try:
        connection.request("GET", f"/v1/models/{quote(model)}", headers={"Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        body = answer.read(MAX_ANSWER_BYTES)
    except (OSError, http.client.HTTPException) as error:
        return f"the gateway at {address} does not answer: {error}"
    finally:
        connection.close()
    if answer.status == HTTPStatus.OK:
        return ""
    try:
        told_ = msgspec.json.decode(body, type=_Refusal).error.message
    except msgspec.DecodeError:
        told_ = ""
    return told_ or f"the gateway at {address} answered {answer.status} about the model {model}"


def start(plan: RunPlan, door: Door, machine: Machine, stage: Stage) -> Group:
    """The agent, confined."""
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
    paths = (machine.environ.get("HOME", ""), door.data_dir)
    return tuple(str(Path(path).resolve()) for path in paths if path)
