"""What `weir invoice` says beside the figures: months that were passed over, and rates that came too late."""

from pathlib import Path

import pytest
from billed_ledger import CNY, DAY_US, USD, Books
from command_line import CommandLine
from typer.testing import CliRunner

from tokenweir.billing.invoicing import issue
from tokenweir.cli.main import app
from tokenweir.core.clock import FakeClock
from tokenweir.core.usage import Usage
from tokenweir.ledger.changing import make_changes
from tokenweir.ledger.terms import ExchangeRate, SetRate

PASSED_OVER = "It also holds what was used from 2026-11 on, since no invoice was issued for that"
LATER = FakeClock(1_800_000_000_000_000)  # January 2027


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A call of November, and one of the last hour of December in Shanghai."""
    with Books(tmp_path) as books:
        books.account("org", time_zone="Asia/Shanghai")
        books.account("team", "org")
        books.clock.advance(3 * DAY_US)
        books.call("team", Usage(input=1_000), CNY)
        books.clock.advance(58 * DAY_US - DAY_US * 9 // 24)
        books.call("team", Usage(input=1_000), USD)
    return tmp_path


def beside(data: Path, *words: str) -> str:
    """What a command says beside its output."""
    done = CliRunner().invoke(app, ["invoice", *words, "--data", str(data)])
    assert done.exit_code == 0
    return done.stderr


def test_a_month_that_was_passed_over_is_told_of(data: Path) -> None:
    assert PASSED_OVER in beside(data, "preview", "org", "2026-12")
    assert PASSED_OVER in beside(data, "preview", "team", "2026-12")
    assert beside(data, "preview", "org", "2026-11") == ""
    issue(data, "org", "2026-11", LATER, "test")
    assert beside(data, "preview", "org", "2026-12") == ""
    assert "from 2026-12 on" in beside(data, "preview", "org", "2027-01")


def test_a_rate_that_was_set_later_is_not_on_an_invoice_that_was_issued(data: Path) -> None:
    issue(data, "org", "2026-12", LATER, "test")
    assert make_changes(data, [SetRate(ExchangeRate("USD", "CNY", "2026-11-01", 7 * 10**12))], LATER) == ""
    weir = CommandLine(data)
    told = weir("invoice", "show", "2026-12-0001", "--in", "CNY")
    assert "in CNY: 0.004; 0.000700001 USD had no rate when it was issued" in told
    rated = weir("invoice", "preview", "org", "2026-12", "--in", "CNY")
    assert "nothing is due" in rated and "no rate" not in rated
