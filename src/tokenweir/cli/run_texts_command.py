"""`weir runs text` and `weir runs forget`: the full text of a run that kept it."""

from pathlib import Path

import msgspec

from tokenweir.agents import texts
from tokenweir.agents.meter import tree_of
from tokenweir.agents.records import Records, Run
from tokenweir.agents.run import KEPT
from tokenweir.cli import show
from tokenweir.cli.system import SystemClock
from tokenweir.core.errors import AgentError
from tokenweir.ledger.views import iso_time


class TextLine(msgspec.Struct, frozen=True, kw_only=True):
    """A step with its text. `request` and `answer` are bodies in the client's dialect; `cut`: the answer was longer."""

    step: int
    call: str
    at: str
    dialect: str
    request: str
    answer: str
    cut: bool


def print_texts(directory: Path, word: str, number: int) -> None:
    """Print the text of one step, or of all (0). Raises AgentError, LedgerError."""
    run = Records(directory).find(word)
    kept = texts_of(directory, run)
    upto_seq = None if run.end is None else run.end.upto_seq
    tree = tree_of(directory, run.start.id, run.start.after_seq, upto_seq)
    if number > len(tree.steps):
        raise AgentError(f"{run.start.id} has {len(tree.steps)} steps")
    chosen = [step for step in tree.steps if number in (0, step.number) and step.row.call in kept]
    if not chosen:
        raise AgentError(
            f"no text of {run.start.id} is kept: only `weir run --keep-text` keeps any, for its time"
        )
    for step in chosen:
        text = kept[step.row.call]
        show.print_json(
            TextLine(
                step=step.number, call=text.call, at=iso_time(text.at_us), dialect=text.dialect, request=text.request,
                answer=text.answer, cut=text.cut,
            )
        )  # fmt: skip


def texts_of(directory: Path, run: Run) -> dict[str, texts.Text]:
    """What is still kept, by call; what has been kept for long enough is removed."""
    now_us = SystemClock().now_us()
    sweep_texts(directory, now_us)
    return texts.read(directory, run.start.id, now_us)


def sweep_texts(directory: Path, now_us: int) -> None:
    """Remove what has been kept for long enough. Raises AgentError."""
    try:
        texts.sweep(directory, now_us)
    except OSError as error:
        raise AgentError(f"texts whose time has come cannot be removed: {error}") from None


def forget(directory: Path, word: str) -> None:
    """Remove it. Raises AgentError."""
    records = Records(directory)
    run = records.find(word)
    if run.end is None and Path(f"/proc/{run.start.pid}").exists():
        raise AgentError(f"{run.start.id} has not ended; its text is still being written")
    count = texts.forget(directory, run.start.id)
    records.clear(run.start.id, *KEPT)
    print(f"{count} texts of {run.start.id} are removed, and what was kept of its work and its output.")
