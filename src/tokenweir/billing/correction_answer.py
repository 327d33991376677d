"""Corrections as JSON has them: what a rerate or a spread came to, in exact decimals."""

import msgspec

from tokenweir.billing.rerate import Outcome
from tokenweir.billing.spread import Spread
from tokenweir.core.money import decimals, format_pico


class RerateAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A span priced anew. Sums are of the attempts that differ; `unpriced` have no price still."""

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


class SpreadAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream and month. `written` attempts got another share than they had; `idle` costs had no call to bear them."""

    upstream: str
    month: str
    currency: str
    costs: dict[str, str]
    idle: dict[str, str]
    attempts: int
    written: int
    cost_before: dict[str, str]
    cost_after: dict[str, str]
    charge_before: dict[str, str]
    charge_after: dict[str, str]
    correction: str
    dry_run: bool


def rerate_answer(found: Outcome, dry_run: bool) -> RerateAnswer:
    """The JSON form; no correction is named where nothing differs."""
    sums = found.difference
    return RerateAnswer(
        correction=found.correction if sums.entries else "",
        attempts=found.attempts,
        differ=sums.entries,
        priced=sums.priced,
        unpriced=found.unpriced,
        cost_before=decimals(sums.cost_before),
        cost_after=decimals(sums.cost_after),
        charge_before=decimals(sums.charge_before),
        charge_after=decimals(sums.charge_after),
        dry_run=dry_run,
    )


def spread_answer(one: Spread, dry_run: bool) -> SpreadAnswer:
    """The JSON form."""
    found = one.difference
    return SpreadAnswer(
        upstream=one.upstream,
        month=one.month,
        currency=one.currency,
        costs={id: format_pico(pico) for id, pico in one.costs.items()},
        idle={id: format_pico(pico) for id, pico in one.idle.items()},
        attempts=one.attempts,
        written=found.entries,
        cost_before=decimals(found.cost_before),
        cost_after=decimals(found.cost_after),
        charge_before=decimals(found.charge_before),
        charge_after=decimals(found.charge_after),
        correction=one.correction,
        dry_run=dry_run,
    )
