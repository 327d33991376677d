"""`weir standing`: what upstreams cost by the month or the hour, however much they are used."""

from pathlib import Path

import msgspec

from tokenweir.cli import show
from tokenweir.cli.moments import parse_date
from tokenweir.cli.terms_words import change, terms_to_change
from tokenweir.core.clock import Clock
from tokenweir.core.money import format_pico
from tokenweir.ledger.amount_text import parse_money
from tokenweir.ledger.terms import SetStandingCost, StandingCost
from tokenweir.ledger.views import iso_time
from tokenweir.ledger.views.audit import standing_in_words
from tokenweir.ledger.views.terms import terms_now
from tokenweir.ledger.windows import window_of


class StandingLine(msgspec.Struct, frozen=True):
    """A standing cost in `--json`: `cost` is an exact decimal of `currency`, of one unit."""

    id: str
    upstream: str
    currency: str
    cost: str
    per: str
    units: int
    spread_by: str
    since: str
    until: str | None
    note: str


class StandingAnswer(msgspec.Struct, frozen=True):
    """`weir standing list --json`."""

    standing: tuple[StandingLine, ...]


class StandingWords(msgspec.Struct, frozen=True):
    """What the command line says; None: as it was, where the cost is known."""

    upstream: str | None
    cost: str | None
    per: str | None
    units: int | None
    spread_by: str | None
    since: str | None
    until: str | None
    note: str | None


def standing_line(cost: StandingCost) -> StandingLine:
    """The JSON form of a standing cost."""
    return StandingLine(
        id=cost.id,
        upstream=cost.upstream,
        currency=cost.currency,
        cost=format_pico(cost.pico),
        per=cost.per,
        units=cost.units,
        spread_by=cost.spread_by,
        since=iso_time(cost.from_us),
        until=None if cost.until_us is None else iso_time(cost.until_us),
        note=cost.note,
    )


def set_standing(directory: Path, id: str, words: StandingWords, as_json: bool, clock: Clock) -> None:
    """Note a standing cost, or change what is known of it. Raises ValueError for wrong words, LedgerError."""
    known = terms_to_change(directory).standing_costs.get(id)
    cost = _cost(id, known, words, clock.now_us())
    change(directory, [SetStandingCost(cost)], clock)
    if as_json:
        show.print_json(standing_line(cost))
        return
    until = f" until {iso_time(cost.until_us)[:16]}Z" if cost.until_us is not None else ""
    print(f"{cost.upstream} costs {standing_in_words(cost)}, from {iso_time(cost.from_us)[:16]}Z on{until}.")


def _cost(id: str, known: StandingCost | None, words: StandingWords, now_us: int) -> StandingCost:
    if known is None:
        missing = [
            name
            for name, word in (("--upstream", words.upstream), ("--cost", words.cost), ("--per", words.per))
            if not word
        ]
        if missing:
            raise ValueError(f"{id} is not known yet; say its {', '.join(missing)} too")
        from_us, _ = window_of("month", "UTC", now_us)
        known = StandingCost(id, "", "", 0, "", from_us=from_us)
    given: dict[str, object] = {
        name: value
        for name in ("upstream", "per", "units", "spread_by", "note")
        if (value := getattr(words, name)) is not None
    }
    if words.cost is not None:
        money = parse_money(words.cost)
        given |= {"currency": money.currency, "pico": money.pico}
    if words.since is not None:
        given["from_us"] = parse_date(words.since)
    if words.until is not None:
        given["until_us"] = None if words.until == "never" else parse_date(words.until)
    return msgspec.structs.replace(known, **given)


def show_all(directory: Path, as_json: bool) -> None:
    """List standing costs. Raises LedgerError."""
    costs = sorted(terms_now(directory).standing_costs.values(), key=lambda cost: cost.id)
    if as_json:
        show.print_json(StandingAnswer(tuple(map(standing_line, costs))))
        return
    if not costs:
        show.console().print(
            'No standing costs. `weir standing set ID --upstream U --cost "¥199" --per month` notes one.',
            markup=False,
        )
        return
    columns = ("id", "upstream", "costs", "from (UTC)", "until", "note")
    show.print_table(columns, map(_cells, costs))


def _cells(cost: StandingCost) -> list[str]:
    until = "–" if cost.until_us is None else iso_time(cost.until_us)[:16]
    return [cost.id, cost.upstream, standing_in_words(cost), iso_time(cost.from_us)[:16], until, cost.note]
