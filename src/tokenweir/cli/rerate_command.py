"""`weir rerate`: a span of the ledger priced anew."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from tokenweir.billing.correction_answer import rerate_answer
from tokenweir.billing.rerate import BY, Outcome, Request, reason, rerate
from tokenweir.cli import show
from tokenweir.cli.moments import parse_moment
from tokenweir.cli.price_source import prices_by
from tokenweir.core.clock import Clock
from tokenweir.ledger.changing import COMMAND_LINE
from tokenweir.ledger.views.standing import Asked

_ALWAYS = Asked()


class Words(msgspec.Struct, frozen=True):
    """The words of the command line."""

    since: str
    until: str
    model: str
    upstream: str
    account: str
    price: str
    dry_run: bool
    as_json: bool


def run(directory: Path, words: Words, environ: Mapping[str, str], config: Path | None, clock: Clock) -> None:
    """Price anew and say what came of it. Raises ValueError for wrong words, SettingsError, LedgerError."""
    now_us = clock.now_us()
    asked = Asked(
        since_us=parse_moment(words.since, now_us) if words.since else _ALWAYS.since_us,
        until_us=parse_moment(words.until, now_us) if words.until else _ALWAYS.until_us,
        upstream=words.upstream,
        model=words.model,
    )
    prices_of = prices_by(words.price, directory, environ, config)
    request = Request(asked, words.account, reason(_by(words.price), asked, words.account))
    found = rerate(directory, request, prices_of, clock, COMMAND_LINE, dry_run=words.dry_run)
    if words.as_json:
        show.print_json(rerate_answer(found, words.dry_run))
    else:
        _tell(found, words.dry_run)


def _by(price: str) -> str:
    """Whose prices, as it is noted beside the entries."""
    return BY.get(price, f"by the prices of {Path(price).name}")


def _tell(found: Outcome, dry_run: bool) -> None:
    sums = found.difference
    print(
        f"{found.attempts:,} attempts priced anew; {sums.entries:,} differ, {sums.priced:,} of these had no price."
    )
    if found.unpriced:
        print(f"{found.unpriced:,} have no price still; `weir prices show` shows those that are known.")
    rows = [
        (
            what,
            currency,
            *(show.money({currency: side.get(currency, 0)}).split()[0] for side in sides),
            difference,
        )
        for what, *sides in (
            ("cost", sums.cost_before, sums.cost_after),
            ("charge", sums.charge_before, sums.charge_after),
        )
        for currency in sorted({*sides[0], *sides[1]})
        for difference in [
            show.money({currency: sides[1].get(currency, 0) - sides[0].get(currency, 0)}).split()[0]
        ]
    ]
    if rows:
        show.print_table(("", "", "before", "after", "difference"), rows, right=frozenset({2, 3, 4}))
    if sums.entries:
        print("Nothing was written." if dry_run else f"Written as {found.correction}.")
