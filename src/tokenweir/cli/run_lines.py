"""What is shown of runs: a line for each call as it ends, a summary at the end, and their JSON."""

import sys
from pathlib import Path

import msgspec

from tokenweir.agents.meter import Ended, Spent
from tokenweir.agents.records import Run, RunEnd, RunStart, Tokens
from tokenweir.agents.verdict import Check
from tokenweir.cli import show
from tokenweir.cli.chat_command import printable
from tokenweir.cli.durations import format_duration
from tokenweir.core.money import format_pico
from tokenweir.ledger.entries import Outcome
from tokenweir.ledger.views import CallRow, iso_time
from tokenweir.ledger.views.told import tokens_of
from tokenweir.protocol.steps import tool_words


class RunLine(msgspec.Struct, frozen=True, kw_only=True):
    """A run in JSON. Members of its end are null while it runs."""

    id: str
    agent: str
    version: str
    model: str
    account: str
    key: str
    limits: tuple[str, ...]
    task_digest: str
    root: str
    base: str
    in_place: bool
    sandbox: str
    verify: str
    started: str
    ended: str | None = None
    duration_ms: float | None = None
    verdict: str | None = None
    ending: str | None = None
    check: str | None = None
    exit_code: int | None = None
    words: str | None = None
    calls: int | None = None
    refused: int | None = None
    open: int | None = None
    tokens: Tokens | None = None
    cost: dict[str, str] | None = None
    unpriced: int | None = None
    own_cost: str | None = None
    files_changed: int | None = None
    left_processes: int | None = None
    keep_text_s: int = 0
    tool_calls: int | None = None
    withheld: int | None = None
    last_tool: str | None = None


def run_line(run: Run) -> RunLine:
    """The JSON form of a run."""
    start = {
        name: value
        for name, value in msgspec.structs.asdict(run.start).items()
        if name not in ("started_us", "after_seq", "time_s", "pid")
    }
    begun = RunLine(**start, started=iso_time(run.start.started_us))
    if run.end is None:
        return begun
    end = msgspec.structs.asdict(run.end)
    ended_us, duration_us, _ = end.pop("ended_us"), end.pop("duration_us"), end.pop("upto_seq")
    words = {"verdict": run.end.verdict.value, "ending": run.end.ending.value, "check": run.end.check.value}
    times = {"ended": iso_time(ended_us), "duration_ms": duration_us / 1000}
    return msgspec.structs.replace(begun, **(end | words | times))


class Silent:
    """A Watcher that says nothing: JSON comes at the end."""

    def begins(self, start: RunStart, work: Path) -> None:
        pass

    def call(self, ended: Ended, spent: Spent) -> None:
        pass

    def says(self, words: str) -> None:
        pass

    def ends(self, run: Run) -> None:
        pass

    def close(self) -> None:
        """There is nothing to give back."""


class Lines:
    """A Watcher that writes lines to standard error."""

    def __init__(self) -> None:
        self._count = 0
        self._limits: tuple[str, ...] = ()

    def begins(self, start: RunStart, work: Path) -> None:
        self._limits = start.limits
        version = f" {start.version}" if start.version else ""
        _print(f"{start.id}: {start.agent}{version} with {start.model}, within {', '.join(start.limits)}")
        _print(f"  works in  {work}")
        _print(f"  sandbox   {start.sandbox}")

    def call(self, ended: Ended, spent: Spent) -> None:
        self._count += 1
        asked = asked_words(ended)
        sums = spent_words(spent.cost_pico, spent.usage.total)
        _print(f"  {self._count:>4}  {call_words(ended.row)}{asked and f'  -> {asked}'}  | {sums}")

    def says(self, words: str) -> None:
        _print(f"weir: {words}")

    def ends(self, run: Run) -> None:
        for line in summary(run):
            _print(line)

    def close(self) -> None:
        """There is nothing to give back."""


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def call_words(row: CallRow) -> str:
    """A call in short."""
    if row.outcome is Outcome.REFUSED:
        return f"{row.model}  refused: {row.reason}"
    counts = tokens_of(row.usage)
    prompt = f"{row.usage.prompt:,} in ({counts.cache_read:,} cached), {row.usage.completion:,} out"
    cost = "unpriced" if row.unpriced else show.money(row.cost_pico) or "no cost"
    time = "" if row.duration_us is None else f", {format_duration(row.duration_us)}"
    failed = "" if row.outcome is Outcome.OK else f"  {row.outcome.value if row.outcome else 'open'}"
    return f"{row.model}  {prompt}, {cost}{time}{failed}"


def asked_words(ended: Ended) -> str:
    """The tools that its answer asks for, in short; "" for none."""
    step = ended.step
    if step is None or not step.asked:
        return ""
    more = f" and {step.tool_calls - 1} more" if step.tool_calls > 1 else ""
    return f"{tool_words(step.asked[0])}{more}{' (withheld)' if step.withheld else ''}"


def spent_words(cost_pico: dict[str, int], tokens: int) -> str:
    """The sums so far."""
    money = ", ".join(f"{format_pico(pico)} {currency}" for currency, pico in sorted(cost_pico.items()))
    return f"{money or 'no cost'}, {tokens:,} tokens"


def summary(run: Run) -> list[str]:
    """How a run ended, in lines."""
    start, end = run.start, run.end
    if end is None:
        return [f"{start.id} has not ended (process {start.pid}), or was killed"]
    cost = ", ".join(f"{amount} {currency}" for currency, amount in sorted(end.cost.items())) or "no cost"
    unpriced = f", {end.unpriced} calls unpriced" if end.unpriced else ""
    own = f" (the agent says {end.own_cost})" if end.own_cost else ""
    tokens = end.tokens
    total = tokens.input + tokens.cache_read + tokens.cache_write + tokens.output + tokens.reasoning
    refused = f", {end.refused} refused" if end.refused else ""
    checked = "" if end.check is Check.NONE else f"; the check {_CHECKED[end.check]}"
    lines = [
        f"{start.id}: {end.verdict.value}",
        f"  agent     {end.ending.value}{checked}",
        f"  spent     {cost}{unpriced} of {', '.join(start.limits)}{own}",
        f"  calls     {end.calls}{refused}; {total:,} tokens, {tokens.cache_read:,} of them cached",
        *([_tools(end)] if end.tool_calls else []),
        f"  time      {format_duration(end.duration_us)}",
        f"  changes   {_files(end.files_changed)}" + ("" if start.in_place else _what_next(run)),
    ]
    lines += [f"  note      {printable(end.words)}"] if end.words else []
    if end.left_processes:
        many = "1 process" if end.left_processes == 1 else f"{end.left_processes} processes"
        lines.append(f"  note      ended with it: {many} that it had started")
    if end.open:
        lines.append(
            f"  note      {end.open} calls are not settled yet; `weir usage --by run` shows them later"
        )
    return lines


def _tools(end: RunEnd) -> str:
    many = "1 call" if end.tool_calls == 1 else f"{end.tool_calls} calls"
    withheld = f", answers withheld: {end.withheld}" if end.withheld else ""
    return f"  tools     {many}{withheld}; the last was {end.last_tool}"


_CHECKED = {Check.PASSED: "passed", Check.FAILED: "failed", Check.BROKEN: "could not be run"}


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _what_next(run: Run) -> str:
    if run.end is None or not run.end.files_changed:
        return ""
    return f": `weir runs diff {run.start.id}` shows them, `weir runs apply {run.start.id}` takes them over"
