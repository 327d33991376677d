"""Small parts of what is shown of terms: bars, the tree of accounts, rates from CSV, options in lower case."""

import subprocess
import sys

import pytest
import typer.main
from hypothesis import given
from hypothesis import strategies as st
from typer.core import TyperCommand, TyperGroup

from tokenweir.cli.bars import PLACES, bar
from tokenweir.cli.main import app
from tokenweir.cli.rates_command import read_rates
from tokenweir.core.money import PICO
from tokenweir.ledger import terms as t
from tokenweir.ledger.views import UsageRow
from tokenweir.ledger.views.accounts import Branch, account_tree, with_below

HEAD = "base,quote,day,rate,source"


@given(st.integers(0, 10**20), st.integers(0, 10**20), st.integers(1, 10**20))
def test_a_bar_is_full_only_when_nothing_is_left(used: int, reserved: int, whole: int) -> None:
    places, shown = bar(used, reserved, whole)[:PLACES], bar(used, reserved, whole)[PLACES:]
    assert len(places) == PLACES
    assert ("░" not in places) == (used + reserved >= whole)
    assert (places[0] == "░") == (used + reserved == 0)
    assert shown.endswith(" %")


def test_what_is_used_and_what_is_set_aside_differ() -> None:
    assert bar(3, 4, 10) == "███▒▒▒▒░░░ 70 %"
    assert bar(1, 0, 10_000) == "█░░░░░░░░░ <1 %"
    assert bar(0, 0, 0) == "██████████"


def test_accounts_are_a_tree_with_the_sums_of_all_below() -> None:
    terms = t.Terms()
    for id, parent in (
        ("acme", ""),
        ("research", "acme"),
        ("ann", "research"),
        ("billing", "acme"),
        ("zeta", ""),
    ):
        terms.apply(t.SetAccount(t.AccountRecord(id, parent)))
    tree = account_tree(terms, ["default"])
    assert tree == [
        Branch("acme", 0, ("acme", "billing", "research", "ann")),
        Branch("billing", 1, ("billing",)),
        Branch("research", 1, ("research", "ann")),
        Branch("ann", 2, ("ann",)),
        Branch("default", 0, ("default",)),
        Branch("zeta", 0, ("zeta",)),
    ]
    rows = {
        id: UsageRow(by={"account": id}, calls=1, cost_pico={"CNY": 2}) for id in ("ann", "billing", "zeta")
    }
    summed = with_below(tree, rows)
    assert [(id, row.calls, row.cost_pico) for id, row in summed.items()] == [
        ("acme", 2, {"CNY": 4}),
        ("billing", 1, {"CNY": 2}),
        ("research", 1, {"CNY": 2}),
        ("ann", 1, {"CNY": 2}),
        ("default", 0, {}),
        ("zeta", 1, {"CNY": 2}),
    ]


def test_rates_are_read_with_a_head_and_without() -> None:
    rate = t.ExchangeRate("USD", "CNY", "2026-11-01", 71 * PICO // 10, "our bank")
    plain = t.ExchangeRate("EUR", "CNY", "2026-11-02", 8 * PICO)
    lines = ["USD, cny ,2026-11-01,7.1,our bank", "", "EUR,CNY,2026-11-02,8"]
    assert read_rates([HEAD, *lines], "f") == read_rates(lines, "f") == [rate, plain]
    assert read_rates([*lines, lines[0]], "f") == [rate, plain]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("USD,CNY,2026-11-01", "f, line 2: a rate is base,quote,day,rate"),
        ("USD,CNY,2026-11-01,0", "f, line 2: a rate is more than 0"),
        ("USD,CNY,2026-11-01,7,1,x", "f, line 2: a rate is base,quote"),
        ("USD,CNY,01.11.2026,7.1", "f, line 2: '01.11.2026' is no day"),
        ("US,CNY,2026-11-01,7.1", "f, line 2: 'US' is not a currency code"),
        ("USD,CNY,2026-11-01,7.1e0", "f, line 2: '7.1e0' is not a plain decimal"),
        ("USD,CNY,2026-10-01,7.2", "f, line 2: there is another rate of USD in CNY for 2026-10-01"),
    ],
)
def test_a_wrong_rate_is_named_by_its_line(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_rates(["USD,CNY,2026-10-01,7.1", line], "f")


@given(st.lists(st.text(max_size=40), max_size=5))
def test_any_file_is_rates_or_an_error_that_names_it(lines: list[str]) -> None:
    try:
        rates = read_rates(lines, "f.csv")
    except ValueError as error:
        assert str(error).startswith("f.csv")
    else:
        assert all(rate.rate_pico > 0 for rate in rates)


def test_options_are_in_lower_case() -> None:
    """Where the word for a value is the option's own name in capitals, the option would be in capitals too."""
    wrong = [option for option in _options(typer.main.get_command(app)) if option != option.lower()]
    assert wrong == []


def _options(command: object) -> list[str]:
    if isinstance(command, TyperGroup):
        return [option for child in command.commands.values() for option in _options(child)]
    assert isinstance(command, TyperCommand)
    return [name for param in command.params for name in param.opts if name.startswith("-")]


def test_a_group_is_put_together_only_when_it_is_asked_for() -> None:
    script = (
        "import sys\nfrom typer.testing import CliRunner\nfrom tokenweir.cli.main import app\n"
        "assert CliRunner().invoke(app, ['models', '--help']).exit_code == 0\n"
        "assert 'tokenweir.cli.terms_commands' not in sys.modules\n"
        "assert CliRunner().invoke(app, ['keys', 'list', '--help']).exit_code == 0\n"
        "assert 'tokenweir.cli.terms_commands' in sys.modules\n"
        "assert 'tokenweir.cli.money_commands' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
