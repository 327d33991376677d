"""`weir limits`: caps on accounts, keys, runs and models, and how much of each is used."""

from contextlib import closing
from pathlib import Path

import msgspec

from tokenweir.cli import show
from tokenweir.cli.bars import bar
from tokenweir.cli.terms_words import change, find_scope, terms_to_change
from tokenweir.core.clock import Clock
from tokenweir.core.money import format_pico
from tokenweir.ledger.limit_text import format_limit, parse_limit
from tokenweir.ledger.terms import COUNTED_UNITS, Limit, RemoveLimit, SetLimit, Terms
from tokenweir.ledger.views import iso_time, open_reader
from tokenweir.ledger.views.limits import LimitNow, limits_of
from tokenweir.ledger.views.state import state_now

ON = "say what it stands on: --account ID, --key KEY or --run RUN"


class LimitLine(msgspec.Struct, frozen=True):
    """A limit in `--json`. Amounts are exact decimals of `unit`."""

    scope: str
    text: str
    model: str
    unit: str
    amount: str
    window: str
    mode: str
    spent: str
    reserved: str
    left: str
    renews: str | None
    zone: str


class LimitsAnswer(msgspec.Struct, frozen=True):
    """`weir limits list --json`."""

    limits: tuple[LimitLine, ...]


class LimitSet(msgspec.Struct, frozen=True):
    """`weir limits set --json` and `weir limits remove --json`."""

    scope: str
    model: str
    text: str
    removed: bool


def amount(unit: str, value: int) -> str:
    """An exact decimal of a limit's unit."""
    return str(value) if unit in COUNTED_UNITS else format_pico(value)


def limit_line(now: LimitNow) -> LimitLine:
    """The JSON form of a limit."""
    limit = now.limit
    return LimitLine(
        scope=now.scope,
        text=now.text,
        model=limit.model,
        unit=limit.unit,
        amount=amount(limit.unit, limit.amount),
        window=limit.window,
        mode=limit.mode,
        spent=amount(limit.unit, now.spent),
        reserved=amount(limit.unit, now.reserved),
        left=amount(limit.unit, now.left),
        renews=None if now.renews_at_us is None else iso_time(now.renews_at_us),
        zone=now.zone,
    )


def set_limit(
    directory: Path, text: str, on: tuple[str, str, str], model: str, soft: bool, as_json: bool, clock: Clock
) -> None:
    """Set a limit on (account, key, run). Raises ValueError for wrong words, LedgerError."""
    limit = _parse(text, model, soft)
    terms = terms_to_change(directory)
    scope = _scope(terms, on)
    change(directory, [SetLimit(scope, limit)], clock)
    if as_json:
        show.print_json(LimitSet(scope, model, format_limit(limit), False))
        return
    before = terms.limits.get(scope, {}).get(limit.name)
    instead = f", in place of {format_limit(before)}" if before is not None else ""
    print(f"{_named(terms, scope)}: {format_limit(limit)}{_of(model)}{instead}.")


def remove(
    directory: Path, text: str, on: tuple[str, str, str], model: str, as_json: bool, clock: Clock
) -> None:
    """Lift the limit of this unit and window, whatever its amount. Raises ValueError, LedgerError."""
    named = _parse(text, model, soft=False)
    terms = terms_to_change(directory)
    scope = _scope(terms, on)
    known = terms.limits.get(scope, {})
    found = known.get(named.name)
    if found is None:
        there = ", ".join(format_limit(limit) + _of(limit.model) for limit in known.values())
        raise ValueError(f"{_named(terms, scope)} has no such limit; it has {there or 'none'}")
    change(directory, [RemoveLimit(scope, *found.name)], clock)
    if as_json:
        show.print_json(LimitSet(scope, model, format_limit(found), True))
    else:
        print(f"{_named(terms, scope)}: {format_limit(found)}{_of(model)} is lifted.")


def show_all(directory: Path, on: tuple[str, str, str], as_json: bool, clock: Clock) -> None:
    """List limits. Raises ValueError for wrong words, LedgerError."""
    with closing(open_reader(directory)) as connection:
        state, at_us = state_now(connection, clock.now_us())
    limits = list(limits_of(state, at_us, find_scope(state.terms, *on)))
    if as_json:
        show.print_json(LimitsAnswer(tuple(map(limit_line, limits))))
        return
    if not limits:
        show.console().print('No limits. `weir limits set "¥5/day" --account ID` sets one.', markup=False)
        return
    columns = ("on", "limit", "model", "used", "spent", "reserved", "left", "renews (UTC)")
    show.print_table(columns, [_cells(state.terms, now) for now in limits], right=frozenset({4, 5, 6}))


def _cells(terms: Terms, now: LimitNow) -> list[str]:
    line = limit_line(now)
    renews = (line.renews or "–")[:16].replace("T", " ")
    # A limit on what is under way at once counts what is under way.
    used = bar(now.spent, now.reserved, now.limit.amount)
    return [
        _named(terms, now.scope), line.text, line.model or "all", used, line.spent, line.reserved, line.left, renews
    ]  # fmt: skip


def _parse(text: str, model: str, soft: bool) -> Limit:
    limit = parse_limit(text)
    return msgspec.structs.replace(limit, model=model, mode="soft" if soft else limit.mode)


def _scope(terms: Terms, on: tuple[str, str, str]) -> str:
    scope = find_scope(terms, *on)
    if not scope:
        raise ValueError(ON)
    return scope


def _named(terms: Terms, scope: str) -> str:
    """`account acme`, `key ci`, `run nightly`."""
    kind, _, id = scope.partition("/")
    key = terms.keys.get(id) if kind == "key" else None
    return f"{kind} {id if key is None else key.name}"


def _of(model: str) -> str:
    return f" of {model}" if model else ""
