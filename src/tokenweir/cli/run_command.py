"""`weir run`: an agent on a task, under a budget; or several agents and models on it, several times."""

import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
from rich.console import Console

from tokenweir.agents import adapters, landlock
from tokenweir.agents.adapter import Adapter
from tokenweir.agents.confinement import Means, choose
from tokenweir.agents.plan import Door, Machine, RunPlan
from tokenweir.agents.records import Run
from tokenweir.agents.run import carry_out, check_task
from tokenweir.agents.trees import TESTS
from tokenweir.agents.verdict import Verdict
from tokenweir.cli import exits, show
from tokenweir.cli.durations import parse_duration
from tokenweir.cli.own_gateway import gateway
from tokenweir.cli.run_lines import Lines, Silent, run_line
from tokenweir.cli.run_live import LiveView
from tokenweir.cli.run_table import print_comparison
from tokenweir.cli.run_texts_command import sweep_texts
from tokenweir.cli.running import find_running
from tokenweir.cli.system import SystemClock, random_bytes
from tokenweir.core.errors import AgentError
from tokenweir.ledger.limit_text import parse_limit
from tokenweir.ledger.terms import COUNTED_UNITS, Limit

#: A run that goes wrong is a handful; a table of more than this is a script's business.
MOST_RUNS = 200
CODES = {
    Verdict.SOLVED: exits.OK,
    Verdict.DONE: exits.OK,
    Verdict.FAILED: exits.FAILED,
    Verdict.OUT_OF_BUDGET: exits.OUT_OF_BUDGET,
    Verdict.AGENT_ERROR: exits.AGENT,
    Verdict.INFRASTRUCTURE: exits.INFRASTRUCTURE,
    Verdict.INTERRUPTED: exits.INTERRUPTED,
}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The words of the command line."""

    agents: tuple[str, ...]
    models: tuple[str, ...]
    task: str
    budget: tuple[str, ...]
    tokens: str
    calls: str
    tool_calls: str
    time: str
    account: str
    verify: str
    verify_time: str
    protect: tuple[str, ...]
    command: str
    adapter: Path | None
    read: tuple[Path, ...]
    write: tuple[Path, ...]
    variables: tuple[str, ...]
    in_place: bool
    sandbox: bool
    keep: bool
    keep_text: str
    repeat: int
    as_json: bool


def run(directory: Path, asked: Asked, environ: Mapping[str, str], config: Path | None) -> int:
    """Carry it out; the exit code. Raises ValueError for wrong words, AgentError, LedgerError, NotReachableError."""
    plans = list(plans_of(asked, environ))
    sweep_texts(directory, SystemClock().now_us())
    watcher = _watcher(asked.as_json)
    with (
        _interrupts() as interrupts,
        closing(watcher),
        gateway(directory, config, watcher.says, lambda: interrupts() > 1) as status,
    ):
        door = Door(directory.resolve(), status.address, lambda: find_running(directory) is not None)
        machine = Machine(SystemClock(), random_bytes, time.sleep, environ, interrupts)
        runs: list[Run] = []
        for plan in plans:
            if interrupts():
                break
            runs.append(carry_out(plan, door, machine, watcher))
            if asked.as_json:
                show.print_json(run_line(runs[-1]))
    if len(plans) > 1:
        print_comparison(runs, as_json=asked.as_json)
    return exits.INTERRUPTED if interrupts() else worst(runs)


def _watcher(as_json: bool) -> Lines | LiveView | Silent:
    if as_json:
        return Silent()
    return LiveView(Console(stderr=True, highlight=False)) if sys.stderr.isatty() else Lines()


def worst(runs: list[Run]) -> int:
    """The code of one run; of several, 0 only where all went well, else that of the first that did not."""
    codes = [CODES[run.end.verdict] for run in runs if run.end is not None]
    return next((code for code in codes if code != exits.OK), exits.OK)


def plans_of(asked: Asked, environ: Mapping[str, str]) -> Iterator[RunPlan]:
    """A plan for each agent, model and repetition. Raises ValueError, AgentError."""
    check_task(asked.task)
    if not 0 < len(asked.agents) * len(asked.models) * asked.repeat <= MOST_RUNS:
        raise ValueError(f"name at least one agent and one model, and at most {MOST_RUNS} runs in all")
    known = adapters.load(environ, asked.adapter)
    chosen = [adapters.chosen(known, name) for name in asked.agents]
    found = {adapter.name: _found(adapter, asked.command, environ) for adapter in chosen}
    limits = limits_of(asked)
    means = choose(landlock.abi(), shutil.which("bwrap") or "", wanted=asked.sandbox)
    for _ in range(asked.repeat):
        for adapter in chosen:
            for model in asked.models:
                yield _plan(asked, adapter, found[adapter.name], model, limits, means)


def _found(adapter: Adapter, command: str, environ: Mapping[str, str]) -> str:
    """The version of an agent that is there. Raises AgentError, ValueError."""
    if not adapter.program:
        if not command:
            raise ValueError(
                f"{adapter.name} needs --command: what to start, such as --command 'my-agent {{task}}'"
            )
        return ""
    found = adapters.find(adapter, environ)
    if not found.program:
        raise AgentError(adapters.missing(adapter))
    return found.version


def _plan(
    asked: Asked, adapter: Adapter, version: str, model: str, limits: tuple[Limit, ...], means: Means
) -> RunPlan:
    return RunPlan(
        adapter=adapter, version=version, model=model, task=asked.task, directory=Path.cwd(), limits=limits,
        time_s=parse_duration(asked.time), account=asked.account, command=tuple(shlex.split(asked.command)),
        verify=asked.verify, verify_time_s=parse_duration(asked.verify_time), protect=asked.protect or TESTS,
        in_place=asked.in_place, means=means, read=tuple(map(_absolute, asked.read)),
        write=tuple(map(_absolute, asked.write)), variables=asked.variables, keep=asked.keep,
        keep_text_s=parse_duration(asked.keep_text) if asked.keep_text else 0,
    )  # fmt: skip


def _absolute(path: Path) -> str:
    return str(path.expanduser().absolute())


def limits_of(asked: Asked) -> tuple[Limit, ...]:
    """The limits of a run, in total. Raises ValueError."""
    words = [(text, "--budget") for text in asked.budget]
    words += [(f"{asked.tokens} tokens", "--tokens")] if asked.tokens else []
    words += [(f"{asked.calls} calls", "--calls")] if asked.calls else []
    if not words:
        raise ValueError('a run needs a limit: --budget "¥5", --tokens 2M or --calls 100')
    words += [(f"{asked.tool_calls} tool calls", "--tool-calls")] if asked.tool_calls else []
    limits = []
    for text, option in words:
        limit = parse_limit(text)
        if limit.window != "total" or limit.mode != "hard":
            raise ValueError(
                f"{option} {text!r}: a run has limits in total, and hard ones; write only how much"
            )
        if (limit.unit in COUNTED_UNITS) != (option != "--budget"):
            raise ValueError(f"{option} {text!r}: money is --budget, tokens are --tokens, calls are --calls")
        limits.append(limit)
    return tuple(limits)


@contextmanager
def _interrupts() -> Iterator[Callable[[], int]]:
    """How often the user has said stop, from here on: by Ctrl-C, or by SIGTERM and SIGHUP."""
    said: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda number, _frame: said.append(number)) for number in numbers}
    try:
        yield lambda: len(said)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
