"""`weir runs export`: a run as OpenTelemetry's spans, as an ATIF trajectory, or as lines of JSON."""

import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from tokenweir import __version__
from tokenweir.agents.export_atif import trajectory
from tokenweir.agents.export_otel import traces
from tokenweir.agents.meter import tree_of
from tokenweir.agents.records import Records, Run
from tokenweir.agents.said import said_in
from tokenweir.cli.calls_command import CallLine, call_line
from tokenweir.cli.run_texts_command import texts_of
from tokenweir.cli.run_tree_text import ToolLine, step_line
from tokenweir.core.errors import AgentError
from tokenweir.ledger.views.run_tree import RunTree


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the export as JSON lines: a step, its call with tokens, cost and times, and the tools that it asked for."""

    run: str
    agent: str
    number: int
    purpose: str
    why: str
    depth: int
    parent: int | None
    parent_tool: int | None
    turns: int | None
    withheld: bool
    call: CallLine
    tools: tuple[ToolLine, ...]
    more_tools: int


def export(directory: Path, word: str, format: str, target: Path | None) -> None:
    """Write it to a file, or to standard output. Raises ValueError, AgentError, LedgerError."""
    if format not in FORMATS:
        raise ValueError(f"{format!r} is no format: {', '.join(FORMATS)}")
    run = Records(directory).find(word)
    upto_seq = None if run.end is None else run.end.upto_seq
    tree = tree_of(directory, run.start.id, run.start.after_seq, upto_seq)
    data = FORMATS[format](directory, run, tree)
    if target is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        target.write_bytes(data)
    except OSError as error:
        raise AgentError(f"{target} cannot be written: {error.strerror}") from None


def _otel(directory: Path, run: Run, tree: RunTree) -> bytes:
    return msgspec.json.encode(traces(run, tree, __version__)) + b"\n"


def _atif(directory: Path, run: Run, tree: RunTree) -> bytes:
    said = {call: said_in(text) for call, text in texts_of(directory, run).items()}
    return msgspec.json.format(msgspec.json.encode(trajectory(run, tree, said))) + b"\n"


def _jsonl(directory: Path, run: Run, tree: RunTree) -> bytes:
    return b"".join(msgspec.json.encode(record) + b"\n" for record in records(run, tree))


def records(run: Run, tree: RunTree) -> list[StepRecord]:
    """The lines."""
    found = []
    for step in tree.steps:
        members = msgspec.structs.asdict(step_line(step))
        found.append(
            StepRecord(**(members | {"run": tree.run, "agent": run.start.agent, "call": call_line(step.row)}))
        )
    return found


FORMATS: dict[str, Callable[[Path, Run, RunTree], bytes]] = {"otel": _otel, "atif": _atif, "jsonl": _jsonl}
