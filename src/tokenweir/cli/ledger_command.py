"""`weir ledger`: verify, export and move."""

import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from tokenweir.cli import show
from tokenweir.cli.exits import FAILED, OK
from tokenweir.cli.moments import parse_moment
from tokenweir.cli.settings_file import nearest
from tokenweir.core.clock import Clock
from tokenweir.ledger import export as exports
from tokenweir.ledger.views import last_seq, open_reader

#: What takes less than this is not worth a progress bar.
UNSHOWN_S = 1.0
#: The word for a ledger in a file of the data directory.
INTO_FILE = "file"


def export(directory: Path, form: str, output: Path | None, since: str, until: str, clock: Clock) -> None:
    """Write entries to a file or to standard output. Raises ValueError for wrong words, LedgerError."""
    if form not in exports.FORMATS:
        raise ValueError(f"there is no format {form!r}; {nearest(form, exports.FORMATS)}")
    if output is None and form == "parquet":
        raise ValueError("Parquet goes to a file: name it with --output FILE")
    now_us = clock.now_us()
    since_us = parse_moment(since, now_us) if since else None
    until_us = parse_moment(until, now_us) if until else None
    connection = open_reader(directory)
    try:
        if output is None:
            exports.export_stream(connection, form, sys.stdout.buffer, since_us=since_us, until_us=until_us)
            sys.stdout.buffer.flush()
            return
        with Progress(console=_terminal(), transient=True, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task("entries", total=last_seq(connection))
            count = exports.export(
                connection,
                form,
                output,
                since_us=since_us,
                until_us=until_us,
                progress=lambda done: bar.update(task, completed=done),
            )
    finally:
        connection.close()
    print(f"{count:,} entries written to {output}", file=sys.stderr)


def _terminal() -> Console:
    return Console(stderr=True)


def verify(directory: Path, as_json: bool) -> int:
    """Replay the ledger; the exit code. Raises LedgerError where it cannot be read."""
    from tokenweir.ledger.verify import verify as replay

    with Progress(console=_terminal(), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("entries", total=None, visible=False)
        began_s = bar.get_time()

        def progress(done: int, total: int) -> None:
            shown = bar.get_time() - began_s > UNSHOWN_S
            bar.update(task, completed=done, total=total, visible=shown)

        report = replay(directory, progress)
    if as_json:
        show.print_json(report)
        return OK if report.ok else FAILED
    print(f"{report.entries:,} entries replayed: {'everything agrees' if report.ok else 'NOT sound'}")
    for problem in report.problems:
        print(f"  {problem}")
    return OK if report.ok else FAILED


def move(directory: Path, target: str, as_json: bool) -> None:
    """Move the ledger into a PostgreSQL database, or back into a file. Raises ValueError for wrong words, LedgerError."""
    from tokenweir.ledger.moving import move as move_ledger

    url = sys.stdin.readline().strip() if target == "-" else target
    if url != INTO_FILE and not url.startswith(("postgresql://", "postgres://")):
        raise ValueError(
            f"where to? `weir ledger move postgresql://USER@HOST/DATABASE`, or `{INTO_FILE}`; `-` reads the URL from standard input"
        )
    with Progress(console=_terminal(), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=None)
        moved = move_ledger(
            directory,
            "" if url == INTO_FILE else url,
            lambda what, done, total: bar.update(task, description=what, completed=done, total=total),
        )
    if as_json:
        show.print_json(moved)
        return
    print(
        f"the ledger lies in {moved.to} now: {moved.entries:,} entries of {moved.calls:,} calls and {moved.changes:,} changes of "
        f"terms, {moved.rows:,} rows compared and replayed: everything agrees"
    )
    print(f"kept: {moved.kept}")
