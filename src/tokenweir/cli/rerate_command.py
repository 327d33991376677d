"""`weir rerate`: a span of the ledger priced anew."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from tokenweir.billing.rerate import Outcome, Request, rerate
from tokenweir.cli import show
from tokenweir.cli.moments import parse_moment
from tokenweir.cli.price_source import prices_by
from tokenweir.core.clock import Clock
from tokenweir.ledger.changing import COMMAND_LINE
from tokenweir.ledger.views import iso_time
from tokenweir.ledger.views.standing import Asked


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


class RerateAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`weir rerate --json`. Sums are of the attempts that differ; `unpriced` have no price still."""

    correction: str
    attempts: int
    differ: int
    priced: int
    unpriced: int
    cost_before: dict[str, str]
    cost_after: dict[str, str]
    charge_before: dict[str, str]
    charge_after: dict[str, str]
    dry_run: bool


def run(directory: Path, words: Words, environ: Mapping[str, str], config: Path | None, clock: Clock) -> None:
    """Price anew and say what came of it. Raises ValueError for wrong words, SettingsError, LedgerError."""
    now_us = clock.now_us()
    asked = Asked(
        since_us=parse_moment(words.since, now_us) if words.since else 0,
        until_us=parse_moment(words.until, now_us) if words.until else 2**62,
        upstream=words.upstream,
        model=words.model,
    )
    prices_of = prices_by(words.price, directory, environ, config)
    request = Request(asked, words.account, _why(words, asked))
    found = rerate(directory, request, prices_of, clock, COMMAND_LINE, dry_run=words.dry_run)
    if words.as_json:
        show.print_json(_answer(found, words.dry_run))
    else:
        _tell(found, words.dry_run)


def _why(words: Words, asked: Asked) -> str:
    """What is noted beside the entries."""
    by = {"": "by the prices of settings and catalog", "catalog": "by the catalog's prices"}
    parts = [by.get(words.price, f"by the prices of {Path(words.price).name}")]
    parts += [f"since {iso_time(asked.since_us)}"] if words.since else []
    parts += [f"until {iso_time(asked.until_us)}"] if words.until else []
    named = {"model": words.model, "upstream": words.upstream, "account": words.account}
    parts += [f"{name} {word}" for name, word in named.items() if word]
    return ", ".join(parts)


def _answer(found: Outcome, dry_run: bool) -> RerateAnswer:
    sums = found.difference
    return RerateAnswer(
        correction=found.correction if sums.entries else "",
        attempts=found.attempts,
        differ=sums.entries,
        priced=sums.priced,
        unpriced=found.unpriced,
        cost_before=show.decimals(sums.cost_before),
        cost_after=show.decimals(sums.cost_after),
        charge_before=show.decimals(sums.charge_before),
        charge_after=show.decimals(sums.charge_after),
        dry_run=dry_run,
    )


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
