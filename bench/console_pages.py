"""How long the console's pages take on a big ledger, from the request to the last byte of HTML, in the control process itself.

    .venv/bin/python -m bench.console_pages [--data DIR] [--calls 1000000] [--rounds 5]

The ledger is that of `bench.ledger_size`, made in DIR where there is none. Pages are asked for as a browser does, signed in, on the day
after its last call: by an owner, who sees everything, and by a member of one of its five teams. Nothing is kept between two requests but
what the console keeps by itself; the first request of each page is left out.
"""

import argparse
import asyncio
import os
import platform
import re
import statistics
import tempfile
import time
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench import ledger_size
from tokenweir.billing.invoicing import issue, issued
from tokenweir.cli.around import Around
from tokenweir.cli.control_app import control_app
from tokenweir.cli.local import Local
from tokenweir.cli.settings_file import load_settings
from tokenweir.console.pages import PAGES
from tokenweir.core.clock import FakeClock
from tokenweir.ledger.changing import make_changes
from tokenweir.ledger.database import DATABASE_NAME
from tokenweir.ledger.store import Store
from tokenweir.ledger.terms import KeyRecord, SetKey
from tokenweir.ledger.views import calls, open_reader
from tokenweir.ledger.views.run_list import runs
from tokenweir.ledger.views.spans import HOUR_US, Span

NOW_US = ledger_size.START_US + ledger_size.DAYS * 24 * HOUR_US
VIEWERS = {"owner": "team-0", "member": "team-1"}
INVOICED, MONTH = "team-1", "2025-11"  # all that the team used
#: Pages whose time grows with the period that is asked for.
PERIODS = ("7d", "30d")
OF_A_PERIOD = {"overview", "charts", "spend", "runs", "calls"}
_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]{64})"')


class Viewer:
    """A browser without a window."""

    def __init__(self, app: Any, role: str) -> None:
        self._app = app
        self._cookies: dict[str, str] = {"weir_zone": "Asia%2FShanghai"}
        found = _TOKEN.search(self.ask("/sign-in").decode())
        assert found is not None
        self.ask("/sign-in", urlencode({"form_token": found[1], "password": _secret(role)}).encode())

    def ask(self, path: str, form: bytes = b"") -> bytes:
        """The body of a page; anything but success ends the bench."""
        path, _, query = path.partition("?")
        cookie = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        scope = {
            "type": "http", "http_version": "1.1", "method": "POST" if form else "GET", "path": f"/console{path}", "query_string": query.encode(),
            "headers": [(b"cookie", cookie.encode()), (b"x-weir-client", b"127.0.0.1")], "root_path": "", "scheme": "http",
        }  # fmt: skip
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": form, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        asyncio.run(self._app(scope, receive, send))
        assert sent[0]["status"] < 400, f"{path}: {sent[0]['status']}"
        for name, value in sent[0]["headers"]:
            if name == b"set-cookie":
                key, _, rest = value.decode().partition("=")
                self._cookies[key] = rest.partition(";")[0]
        return b"".join(message.get("body", b"") for message in sent[1:])


def _secret(role: str) -> str:
    return f"sk-weir-{role}-of-the-bench"


def prepare(data: Path, count: int) -> None:
    """The ledger, an invoice of it, and those who look at it."""
    if not (data / DATABASE_NAME).exists():
        ledger_size.build(data, count, 1)
    Store(data, "os").close()  # an older file is brought up to date
    keys = [
        KeyRecord(
            f"viewer-{role}", role, account, sha256(_secret(role).encode()).digest(), "sk", NOW_US, role=role
        )
        for role, account in VIEWERS.items()
    ]
    clock = FakeClock(NOW_US)
    make_changes(data, tuple(SetKey(key) for key in keys), clock)
    db = open_reader(data)
    invoices = issued(db)
    db.close()
    if not invoices:
        issue(data, INVOICED, MONTH, clock, "bench")


def paths(data: Path) -> list[str]:
    """Every page, by its path and query."""
    db = open_reader(data)
    whole = Span(ledger_size.START_US // HOUR_US, NOW_US // HOUR_US)
    call = calls(db, limit=1, accounts={"team-1"})[0].call
    run = next(row.run for row in runs(db, whole, {"team-1"}))
    invoice = issued(db)[0].invoice.id
    db.close()
    ids = {
        "call": call,
        "call_cost": call,
        "run": run,
        "key": "viewer-member",
        "account": "team-1",
        "invoice": invoice,
    }
    found = []
    for page in PAGES:
        path = page.path.rstrip("/").format(id=ids.get(page.name, ""))
        found += [f"{path}?range={period}" for period in PERIODS] if page.name in OF_A_PERIOD else [path]
    return found


def measure(data: Path, rounds: int) -> None:
    """Print a table of what each page takes."""
    (data / "weir.toml").write_text("[local]\nenabled = false\n")
    now = lambda: load_settings({}, file=data / "weir.toml", flags={"data": str(data)})  # noqa: E731
    app = control_app(
        data, FakeClock(NOW_US), os.urandom, Around(now(), now, {}, Local(), "http://127.0.0.1:8787")
    )
    print("| page | owner: ms, median | CPU | member: ms, median | CPU | KiB |\n|---|---|---|---|---|---|")
    viewers = [Viewer(app, role) for role in VIEWERS]
    for path in paths(data):
        cells, size = [], 0
        for viewer in viewers:
            try:
                size = len(viewer.ask(path))
            except AssertionError:
                cells.append("– | –")  # not for this role
                continue
            cells.append(_times(viewer, path, rounds))
        print(f"| `/console{path}` | {' | '.join(cells)} | {size >> 10:,} |")


def _times(viewer: Viewer, path: str, rounds: int) -> str:
    wall, cpu = [], []
    for _ in range(rounds):
        before, started = time.process_time(), time.perf_counter()
        viewer.ask(path)
        wall.append((time.perf_counter() - started) * 1000)
        cpu.append((time.process_time() - before) * 1000)
    return f"{statistics.median(wall):,.0f} | {statistics.median(cpu):,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        data = options.data or Path(temporary)
        prepare(data, options.calls)
        print(
            f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}\n"
        )
        measure(data, options.rounds)


if __name__ == "__main__":
    main()
