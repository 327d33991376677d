"""What an attempt costs, and is charged, at other prices than it was entered with. Pure."""

import hashlib
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

import msgspec

from tokenweir.billing.price_book import PriceBook
from tokenweir.catalog.charges import ChargeRule, charge_call
from tokenweir.catalog.price import AppliedPrice, Price, SpreadCost
from tokenweir.catalog.pricing import cost, price_call, price_id
from tokenweir.core.ids import uuid7_us
from tokenweir.core.usage import Provenance
from tokenweir.ledger.entries import Entry
from tokenweir.ledger.messages import NO_CHARGE, Charge, Reprice
from tokenweir.ledger.views.standing import Standing

#: The dated prices of an upstream's deployment, oldest first; none: it has no price now.
PricesOf = Callable[[str, str], tuple[Price, ...]]
#: What a price was that entries refer to, by its id.
PriceOf = Callable[[str], AppliedPrice | SpreadCost | None]
#: Whether an upstream's calls go by a standing cost at a moment.
GoesByStanding = Callable[[str, int], bool]


class Rerated(msgspec.Struct, frozen=True):
    """What an attempt comes to, and the prices that this names for the first time, perhaps."""

    price: str
    cost_pico: int | None
    currency: str
    charge: Charge
    applied: tuple[AppliedPrice, ...]

    def differs(self, entry: Entry) -> bool:
        """Whether it is another cost or charge than the entry's; the same by a price of another name is none."""
        was = _money(entry.cost_pico, entry.currency), _money(entry.charge_pico, entry.charge_currency)
        charge = _money(self.charge.pico, self.charge.currency)
        return was != (_money(self.cost_pico, self.currency), charge)

    def correction(self, entry: Entry, id: str) -> Reprice:
        """The entry that says so."""
        return Reprice(
            0,
            entry.call,
            entry.attempt,
            entry.usage,
            id,
            self.price,
            self.cost_pico,
            self.currency,
            self.charge,
        )


def _money(pico: int | None, currency: str) -> tuple[int, str] | None:
    return None if pico is None else (pico, currency)


def prices_by_pattern(prices: Sequence[tuple[str, Price]]) -> PricesOf:
    """Prices of the deployments (`*` and `?` as in file names) that they are written for; the first pattern that fits counts."""

    def look_up(_upstream: str, deployment: str) -> tuple[Price, ...]:
        for pattern in dict.fromkeys(pattern for pattern, _ in prices):
            if fnmatchcase(deployment, pattern):
                dated = (price for own, price in prices if own == pattern)
                return tuple(sorted(dated, key=lambda price: price.valid_from_us))
        return ()

    return look_up


class Rating(msgspec.Struct, frozen=True):
    """Everything that attempts are priced anew by."""

    prices_of: PricesOf
    price_of: PriceOf
    by_standing_cost: GoesByStanding
    book: PriceBook

    def rerate(self, standing: Standing) -> Rerated:
        """An attempt at the prices in force when it was made. One without a price now keeps the one it has."""
        entry = standing.entry
        begun_us, ended_us = uuid7_us(entry.attempt) or standing.opened_us, entry.at_us
        applied: AppliedPrice | None = None
        if not self.by_standing_cost(entry.upstream, standing.opened_us):
            prices = self.prices_of(entry.upstream, entry.deployment)
            applied = price_call(prices, entry.usage.prompt, begun_us=begun_us, ended_us=ended_us)
        rule = self.book.rule(entry.account, entry.model, standing.opened_us, standing.opened_seq)
        charge, charged = self._charge(entry, rule, applied, begun_us, ended_us)
        named = tuple(one for one in (applied, charged) if one is not None)
        if applied is None:
            return Rerated(entry.price, entry.cost_pico, entry.currency, charge, named)
        return Rerated(*_amount(applied, entry), charge, named)

    def _charge(
        self,
        entry: Entry,
        rule: ChargeRule | None,
        applied: AppliedPrice | None,
        begun_us: int,
        ended_us: int,
    ) -> tuple[Charge, AppliedPrice | None]:
        if rule is None:
            return NO_CHARGE, None
        known = applied if applied is not None or not entry.price else self.price_of(entry.price)
        if isinstance(known, SpreadCost):
            if rule.price is None:  # a mark-up on what was spread is spread with it
                return Charge(entry.charge_price, entry.charge_pico, entry.charge_currency), None
            known = None
        charged = charge_call(rule, known, entry.usage.prompt, begun_us=begun_us, ended_us=ended_us)
        return (NO_CHARGE, None) if charged is None else (Charge(*_amount(charged, entry)), charged)


def _amount(applied: AppliedPrice, entry: Entry) -> tuple[str, int | None, str]:
    pico = None if entry.usage.provenance is Provenance.UNKNOWN else cost(applied, entry.usage)
    return price_id(applied)[0], pico, applied.currency


def correction_id(kind: str, *content: object) -> str:
    """The same for the same content: a correction that was cut off goes on under its own name."""
    body = msgspec.json.encode(content, order="deterministic")
    return f"{kind}-{hashlib.blake2b(body, digest_size=8).hexdigest()}"
