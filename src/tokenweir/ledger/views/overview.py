"""What was used in a span of time, beside what was used before it: the figures that the console begins with."""

from collections.abc import Collection, Mapping
from zoneinfo import ZoneInfo

import msgspec

from tokenweir.ledger.database import Connection
from tokenweir.ledger.terms import Terms
from tokenweir.ledger.views.accounts import account_tree
from tokenweir.ledger.views.figures import Figures, figures, whole
from tokenweir.ledger.views.spans import Part, Span, series_of
from tokenweir.ledger.views.usage import callers


class Active(msgspec.Struct, frozen=True, kw_only=True):
    """Who made calls that ended in a span of time. A call that was refused makes nobody active.

    `people` are accounts with none below them, where the tree of accounts ends: in an organisation of teams and persons, its persons.
    Accounts that nobody made, and that have used something or have a key, stand alone and count as well. `of_people` is how many of
    them there were: those made before the span ended, and not closed, nor any above them, before it began.
    """

    keys: int
    accounts: int
    people: int
    of_people: int

    @property
    def penetration(self) -> float | None:
        """The share of people who used a model; None: there are no people."""
        return self.people / self.of_people if self.of_people else None


class Point(msgspec.Struct, frozen=True):
    """A part of a series."""

    part: Part
    figures: Figures


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """A span and another of the same length before it, with the sums of both; of the first also by hour, day or month."""

    span: Span
    compared: Span
    grain: str
    points: tuple[Point, ...]
    now: Figures
    then: Figures
    active: Active
    active_then: Active


def overview(
    connection: Connection,
    terms: Terms,
    span: Span,
    zone: ZoneInfo,
    *,
    accounts: Collection[str] | None = None,
    compared: Span | None = None,
) -> Overview:
    """The figures of a span, beside those of `compared`: else of the span of the same length just before it."""
    series, other = series_of(span, zone), compared or span.before
    found = figures(connection, [*(part.span for part in series.parts), other], accounts)
    return Overview(
        span=span,
        compared=other,
        grain=series.grain,
        points=tuple(map(Point, series.parts, found)),
        now=whole(found[:-1]),
        then=found[-1],
        active=active(connection, terms, span, accounts),
        active_then=active(connection, terms, other, accounts),
    )


def active(
    connection: Connection, terms: Terms, span: Span, accounts: Collection[str] | None = None
) -> Active:
    """Keys and accounts with calls that ended in a span."""
    who = callers(connection, span.since_us, span.until_us)
    return active_of(terms, span, {pair for pair in who if accounts is None or pair[0] in accounts}, accounts)


def active_of(
    terms: Terms, span: Span, who: Collection[tuple[str, str]], accounts: Collection[str] | None = None
) -> Active:
    """The same, of accounts and keys that have calls. Pure."""
    used, keys = {account for account, _ in who}, {key for _, key in who if key}
    tree = account_tree(terms, used)
    leaves = {branch.id for branch in tree if branch.below == (branch.id,)}
    people = {
        id
        for id in leaves
        if id in used or (_was_there(terms, id, span) and (accounts is None or id in accounts))
    }
    return Active(keys=len(keys), accounts=len(used), people=len(used & leaves), of_people=len(people))


def _was_there(terms: Terms, account: str, span: Span) -> bool:
    """Whether an account could be used at some time of a span."""
    record = terms.accounts.get(account)
    if record is not None and record.created_us >= span.until_us:
        return False
    above = (terms.accounts.get(id) for id in terms.chain(account))
    return not any(
        one is not None and one.closed_us is not None and one.closed_us < span.since_us for one in above
    )


def growth(now: float | None, then: float | None) -> float | None:
    """By which part of `then` it has grown: 0.25 is a quarter more. None: there is nothing to compare with."""
    return (now - then) / then if now is not None and then else None


def growth_by(now: Mapping[str, int], then: Mapping[str, int]) -> dict[str, float | None]:
    """The same of amounts by currency, each by itself."""
    return {currency: growth(amount, then.get(currency)) for currency, amount in now.items()}
