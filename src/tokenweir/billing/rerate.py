"""A span of the ledger priced anew: what differs is corrected by further entries."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from tokenweir.billing.correcting import Difference, Move, difference, is_noted, write
from tokenweir.billing.known_prices import cached_prices
from tokenweir.billing.price_book import PriceBook
from tokenweir.billing.rerating import PricesOf, Rating, correction_id
from tokenweir.catalog.price import Price
from tokenweir.core.clock import Clock
from tokenweir.core.sentence import say
from tokenweir.ledger.database import Connection
from tokenweir.ledger.store import read_changes
from tokenweir.ledger.terms import NoteCorrection, Terms
from tokenweir.ledger.views import iso_time, last_seq, open_reader, upstreams
from tokenweir.ledger.views.standing import Asked, standing

#: What is said of the prices that are taken: those of now, or the catalog's where the settings name others.
BY = {"": "by the prices of settings and catalog", "catalog": "by the catalog's prices"}
_ALWAYS = Asked()


class Request(msgspec.Struct, frozen=True):
    """What is priced anew, and why, in words. `account` stands for all below it, too; empty: everybody."""

    asked: Asked
    account: str
    why: str


class Outcome(msgspec.Struct, frozen=True):
    """What was looked at and what differed. `unpriced`: attempts that have no price still."""

    correction: str
    attempts: int
    unpriced: int
    difference: Difference


class _Seen(msgspec.Struct):
    attempts: int = 0
    unpriced: int = 0
    prices: dict[str, tuple[Price, ...]] = {}  # by deployment


def reason(by: str, asked: Asked, account: str) -> str:
    """What is noted beside the entries: whose prices, and which attempts."""
    parts = [by]
    parts += [f"since {iso_time(asked.since_us)}"] if asked.since_us != _ALWAYS.since_us else []
    parts += [f"until {iso_time(asked.until_us)}"] if asked.until_us != _ALWAYS.until_us else []
    named = {"model": asked.model, "upstream": asked.upstream, "account": account}
    parts += [f"{name} {word}" for name, word in named.items() if word]
    return ", ".join(parts)


def rerate(
    data_dir: Path, request: Request, prices_of: PricesOf, clock: Clock, actor: str, *, dry_run: bool
) -> Outcome:
    """Price anew, and correct unless it is a dry run. Done twice, the second finds nothing. Raises ValueError, LedgerError.

    Cut off halfway, the same again goes on: what was corrected differs no longer.
    """
    connection = open_reader(data_dir)
    try:
        changes = list(read_changes(connection))
        terms = Terms()
        for audited in changes:
            terms.apply(audited.change)
        asked = _within(request, terms)
        _check_upstream(connection, asked.upstream)
        seen = _Seen(0, 0, {})
        costs = tuple(terms.standing_costs.values())
        rating = Rating(
            _noting(prices_of, seen.prices),
            cached_prices(connection),
            lambda upstream, at_us: any(c.upstream == upstream and c.is_in_force(at_us) for c in costs),
            PriceBook(changes),
        )
        upto = last_seq(connection)
        found = difference(_moves(connection, asked, rating, upto, "", seen))
        id = correction_id("rerate", request.asked, request.account, sorted(seen.prices.items()))
        if found.entries and not dry_run:
            note = NoteCorrection(id, "rerate", request.why, found.entries)

            def moves() -> Iterator[Move]:
                return _moves(connection, asked, rating, upto, id, _Seen(0, 0, {}))

            write(data_dir, moves, None if is_noted(changes, id) else note, clock, actor)
        return Outcome(id, seen.attempts, seen.unpriced, found)
    finally:
        connection.close()


def _within(request: Request, terms: Terms) -> Asked:
    if not request.account:
        return request.asked
    known = terms.accounts.keys() | {key.account for key in terms.keys.values()}
    if request.account not in known:
        raise ValueError(
            say(
                "there is no account {account!r}: {known}",
                account=request.account,
                known=", ".join(sorted(known)),
            )
        )
    return msgspec.structs.replace(request.asked, accounts=tuple(sorted(terms.below(request.account))))


def _check_upstream(connection: Connection, upstream: str) -> None:
    known = upstreams(connection)
    if upstream and upstream not in known:
        raise ValueError(
            say(
                "the ledger has no call of upstream {upstream!r}: {known}",
                upstream=upstream,
                known=", ".join(known),
            )
        )


def _noting(prices_of: PricesOf, into: dict[str, tuple[Price, ...]]) -> PricesOf:
    """Asks for the prices of each deployment once, and notes them: they are part of the correction's name."""

    def look_up(upstream: str, deployment: str) -> tuple[Price, ...]:
        if deployment not in into:
            into[deployment] = prices_of(upstream, deployment)
        return into[deployment]

    return look_up


def _moves(
    connection: Connection, asked: Asked, rating: Rating, upto: int, id: str, seen: _Seen
) -> Iterator[Move]:
    for one in standing(connection, asked, upto):
        rerated = rating.rerate(one)
        seen.attempts += 1
        seen.unpriced += not rerated.price and one.entry.usage.total > 0
        if rerated.differs(one.entry):
            yield Move(one.entry, rerated.correction(one.entry, id), rerated.applied)
