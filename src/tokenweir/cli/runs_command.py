"""`weir runs`: what was run, what it did and cost, and its changes taken over."""

import sys
from pathlib import Path

import msgspec

from tokenweir.agents.costs import CostDifference, cost_differences
from tokenweir.agents.meter import tree_of
from tokenweir.agents.records import Records, Run
from tokenweir.agents.run_diff import diff_runs
from tokenweir.agents.workspace import apply_patch
from tokenweir.cli import show
from tokenweir.cli.calls_command import CallLine, call_line
from tokenweir.cli.chat_command import printable
from tokenweir.cli.exits import FAILED, OK
from tokenweir.cli.run_diff_text import print_diff
from tokenweir.cli.run_lines import RunLine, run_line, summary
from tokenweir.cli.run_table import print_runs
from tokenweir.cli.run_tree_text import StepLine, print_tree, step_line
from tokenweir.core.errors import AgentError
from tokenweir.ledger.views.run_tree import RunTree


class RunsAnswer(msgspec.Struct, frozen=True):
    """`weir runs list --json`."""

    runs: tuple[RunLine, ...]


class RunDetail(RunLine, frozen=True, kw_only=True):
    """`weir runs show --json`: the run with its calls."""

    made: tuple[CallLine, ...] = ()
    steps: tuple[StepLine, ...] = ()
    cost_differences: tuple[CostDifference, ...] = ()


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
    tree = _tree(directory, run)
    if as_json:
        line = msgspec.structs.asdict(run_line(run))
        made = tuple(call_line(step.row) for step in tree.steps)
        steps, differences = tuple(map(step_line, tree.steps)), cost_differences(run)
        show.print_json(RunDetail(**line, made=made, steps=steps, cost_differences=differences))
        return
    out = show.console()
    for text in (*summary(run), *_about(run)):
        out.print(text, markup=False)
    out.print()
    print_tree(tree)


def _about(run: Run) -> list[str]:
    start = run.start
    version = f" {start.version}" if start.version else ""
    return [
        f"  was       {start.agent}{version} with {start.model}, paid by {start.account}",
        f"  began at  {start.base[:12]} of {start.root}",
        f"  sandbox   {start.sandbox}",
        *([f"  check     {start.verify}"] if start.verify else []),
        *(f"  own cost  {difference.words}" for difference in cost_differences(run)),
    ]


def diff(directory: Path, one: str, other: str, as_json: bool) -> None:
    """Print what an agent changed; or two runs side by side. Raises AgentError, LedgerError, ValueError."""
    records = Records(directory)
    run = records.find(one)
    if other:
        sides = [(side, _tree(directory, side), _patch(records, side)) for side in (run, records.find(other))]
        print_diff(diff_runs(*sides), as_json=as_json)
        return
    if as_json:
        raise ValueError("--json is for two runs; the changes of one are a patch")
    patch = records.patch(run.start.id)
    if sys.stdout.isatty():  # what an agent wrote is not for a terminal to obey
        print(printable(patch.decode(errors="replace")), end="")
        return
    sys.stdout.buffer.write(patch)
    sys.stdout.buffer.flush()


def _tree(directory: Path, run: Run) -> RunTree:
    upto_seq = None if run.end is None else run.end.upto_seq
    return tree_of(directory, run.start.id, run.start.after_seq, upto_seq)


def _patch(records: Records, run: Run) -> bytes:
    return b"" if run.end is None else records.patch(run.start.id)


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
