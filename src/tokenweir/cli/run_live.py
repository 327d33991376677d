"""A run as it goes, on a terminal: what is spent of each limit, the last calls, the time."""

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tokenweir.agents.meter import Ended, Spent
from tokenweir.agents.records import Run, RunStart
from tokenweir.cli.durations import format_duration
from tokenweir.cli.run_lines import call_words, summary
from tokenweir.core.money import format_pico
from tokenweir.ledger.limit_text import format_limit, parse_limit
from tokenweir.ledger.terms import COUNTED_UNITS, Limit

#: Calls that are shown.
LAST_CALLS = 5
_BAR_WIDTH = 30
_REFRESH_PER_S = 4


def spent_of(limit: Limit, spent: Spent) -> int:
    """What of a limit is used, in its unit."""
    counts = {"tokens": spent.usage.total, "calls": spent.calls, "tool calls": spent.tool_calls}
    return counts[limit.unit] if limit.unit in counts else spent.cost_pico.get(limit.unit, 0)


def shown(limit: Limit, spent: Spent) -> str:
    """Such as `0.0073 of 5 CNY`."""
    used = spent_of(limit, spent)
    number = f"{used:,}" if limit.unit in COUNTED_UNITS else format_pico(used)
    return f"{number} of {format_limit(limit)}"


class View:
    """A run as one picture, drawn anew whenever it is asked for."""

    def __init__(self, start: RunStart, now_s: Callable[[], float]) -> None:
        self._start = start
        self._limits = [parse_limit(text) for text in start.limits]
        self._now_s, self._began_s = now_s, now_s()
        self._calls: deque[str] = deque(maxlen=LAST_CALLS)
        self._count = 0
        self._spent = Spent()

    def take(self, ended: Ended, spent: Spent) -> None:
        """A call has ended."""
        self._count += 1
        self._spent = spent
        self._calls.append(f"{self._count:>4}  {call_words(ended.row)}")

    def __rich__(self) -> RenderableType:
        start = self._start
        table = Table.grid(padding=(0, 2))
        for limit in self._limits:
            share = spent_of(limit, self._spent) / limit.amount if limit.amount else 1.0
            bar = ProgressBar(total=1.0, completed=min(1.0, share), width=_BAR_WIDTH)
            table.add_row(bar, Text(shown(limit, self._spent)))
        time_us = int((self._now_s() - self._began_s) * 1e6)
        share = min(1.0, time_us / 1e6 / start.time_s)
        time_text = f"{format_duration(time_us)} of {format_duration(start.time_s * 1_000_000)}"
        table.add_row(ProgressBar(total=1.0, completed=share, width=_BAR_WIDTH), Text(time_text))
        usage = self._spent.usage
        tokens = f"{self._spent.calls:,} calls, {usage.total:,} tokens, {usage.cache_read:,} of them cached"
        tools = f"{self._spent.tool_calls:,} tool calls, the last: {self._spent.last_tool}"
        last = [Text(tools, style="dim")] if self._spent.last_tool else []
        return Group(table, Text(tokens, style="dim"), *last, *(Text(line) for line in self._calls))


class LiveView:
    """A Watcher that draws on a terminal while a run goes, and leaves its summary there."""

    def __init__(self, out: Console, now_s: Callable[[], float] = time.monotonic) -> None:
        self._out, self._now_s = out, now_s
        self._view: View | None = None
        self._live: Live | None = None

    def begins(self, start: RunStart, work: Path) -> None:
        version = f" {start.version}" if start.version else ""
        self._out.print(f"{start.id}: {start.agent}{version} with {start.model} in {work}", markup=False)
        self._out.print(f"  sandbox   {start.sandbox}", markup=False)
        self._view = View(start, self._now_s)
        self._live = Live(self._view, console=self._out, refresh_per_second=_REFRESH_PER_S, transient=True)
        self._live.start()

    def call(self, ended: Ended, spent: Spent) -> None:
        if self._view is not None:
            self._view.take(ended, spent)

    def says(self, words: str) -> None:
        self._out.print(f"weir: {words}", markup=False)

    def ends(self, run: Run) -> None:
        self.close()
        for line in summary(run):
            self._out.print(line, markup=False)

    def close(self) -> None:
        """Give the terminal back."""
        if self._live is not None:
            self._live.stop()
            self._live = None
