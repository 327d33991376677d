"""`weir runs`: what was run, what it did and cost, and its changes taken over."""

import sys
from pathlib import Path

import msgspec

from tokenweir.agents.meter import calls_of
from tokenweir.agents.records import Records, Run
from tokenweir.agents.workspace import apply_patch
from tokenweir.cli import show
from tokenweir.cli.calls_command import CallLine, call_line
from tokenweir.cli.chat_command import printable
from tokenweir.cli.durations import format_duration
from tokenweir.cli.exits import FAILED, OK
from tokenweir.cli.run_lines import RunLine, run_line, summary
from tokenweir.cli.run_table import print_comparison, print_runs
from tokenweir.core.errors import AgentError
from tokenweir.ledger.views import CallRow


class RunsAnswer(msgspec.Struct, frozen=True):
    """`weir runs list --json`."""

    runs: tuple[RunLine, ...]


class RunDetail(RunLine, frozen=True, kw_only=True):
    """`weir runs show --json`: the run with its calls."""

    made: tuple[CallLine, ...] = ()


def list_all(directory: Path, as_json: bool) -> None:
    """Print every run. Raises AgentError."""
    runs = Records(directory).all()
    if as_json:
        show.print_json(RunsAnswer(tuple(map(run_line, runs))))
    else:
        print_runs(runs)


def show_one(directory: Path, word: str, as_json: bool) -> None:
    """Print one run and its calls, as the ledger has them. Raises AgentError, LedgerError."""
    run = Records(directory).find(word)
    upto_seq = None if run.end is None else run.end.upto_seq
    rows = calls_of(directory, run.start.id, run.start.after_seq, upto_seq)
    if as_json:
        line = msgspec.structs.asdict(run_line(run))
        show.print_json(RunDetail(**line, made=tuple(map(call_line, rows))))
        return
    out = show.console()
    for text in (*summary(run), *_about(run)):
        out.print(text, markup=False)
    out.print()
    show.print_table(_COLUMNS, [_cells(number, row) for number, row in enumerate(rows, 1)], right=_RIGHT)


def _about(run: Run) -> list[str]:
    start = run.start
    version = f" {start.version}" if start.version else ""
    return [
        f"  was       {start.agent}{version} with {start.model}, paid by {start.account}",
        f"  began at  {start.base[:12]} of {start.root}",
        f"  sandbox   {start.sandbox}",
        *([f"  check     {start.verify}"] if start.verify else []),
    ]


_COLUMNS = ("", "model", "input", "cached", "output", "cost", "first token", "time", "outcome", "call")
_RIGHT = frozenset({0, 2, 3, 4, 5, 6, 7})


def _cells(number: int, row: CallRow) -> list[str]:
    usage = row.usage
    return [
        str(number), row.model, f"{usage.prompt:,}", f"{usage.cache_read:,}", f"{usage.completion:,}",
        "unpriced" if row.unpriced else show.money(row.cost_pico) or "–",
        "–" if row.ttft_us is None else format_duration(row.ttft_us),
        "–" if row.duration_us is None else format_duration(row.duration_us),
        row.outcome.value if row.outcome else "–", row.call,
    ]  # fmt: skip


def diff(directory: Path, one: str, other: str) -> None:
    """Print what an agent changed; or two runs side by side. Raises AgentError."""
    records = Records(directory)
    run = records.find(one)
    if other:
        print_comparison([run, records.find(other)], as_json=False)
        return
    patch = records.patch(run.start.id)
    if sys.stdout.isatty():  # what an agent wrote is not for a terminal to obey
        print(printable(patch.decode(errors="replace")), end="")
        return
    sys.stdout.buffer.write(patch)
    sys.stdout.buffer.flush()


def apply(directory: Path, word: str) -> int:
    """Take a run's changes over into the tree that it began from; the exit code. Raises AgentError."""
    records = Records(directory)
    run = records.find(word)
    patch = records.patch(run.start.id)
    if run.start.in_place:
        raise AgentError(f"{run.start.id} worked in {run.start.root} itself: its changes are there")
    if not patch:
        print(f"{run.start.id} changed nothing.")
        return OK
    root = Path(run.start.root)
    if not root.is_dir():
        raise AgentError(f"{root} is gone; `weir runs diff {run.start.id}` prints the changes")
    refused = apply_patch(root, patch)
    if refused:
        print(
            f"weir: the changes do not fit {root} as it is now, and nothing was changed: {refused}",
            file=sys.stderr,
        )
        return FAILED
    assert run.end is not None
    print(f"{run.end.files_changed} files of {root} are as {run.start.id} left them.")
    return OK
