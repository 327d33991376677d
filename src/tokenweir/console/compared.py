"""What the pages of sums have in common: the span they show and the one beside it, whose calls, growth in words, labels of axes."""

from collections.abc import Mapping
from datetime import datetime, time

import msgspec

from tokenweir.admin.rights import reads_all
from tokenweir.console.page import Visit
from tokenweir.console.periods import Period, day_of
from tokenweir.core.money import PICO
from tokenweir.ledger.views.figures import Figures
from tokenweir.ledger.views.overview import growth
from tokenweir.ledger.views.spans import HOUR_US, Span, as_long_from, span_of

#: Growth by less is none.
SAME = 0.0005


class Compared(msgspec.Struct, frozen=True):
    """A period as the query names it; of it the hours up to now; and as many hours of an earlier time.

    That is the period just before or, where the query says `against=2026-10-01`, one that begins with that day. A period that is
    not over is compared with the same part of the other one.
    """

    period: Period
    span: Span
    compared: Span
    against: str  # the day that was chosen; empty: the period just before


def compared(visit: Visit, default: str = "7d") -> Compared:
    """What the query asks for."""
    period = visit.period(default)
    whole = span_of(period.since_us, period.until_us, visit.zone)
    span = Span(whole.first, min(whole.end, max(whole.first + 1, visit.asked.now_us // HOUR_US + 1)))
    against = day_of(visit.query["against"])
    if against is not None:
        midnight = datetime.combine(against, time(), visit.zone)
        other = as_long_from(int(midnight.timestamp()) * 1_000_000, span, visit.zone)
        return Compared(period, span, other, against.isoformat())
    before = whole.before.first
    return Compared(period, span, Span(before, before + span.hours), "")


def accounts_of(visit: Visit) -> set[str] | None:
    """Whose calls are shown: those that may be seen and, where the query names an account, are its own or of those below it."""
    seen, named = visit.accounts, visit.query["account"]
    if not named:
        return seen
    below = visit.asked.terms.below(named)
    return below if seen is None else below & seen


def money_of(visit: Visit, figures: Figures) -> dict[str, int]:
    """What calls cost, for who may know it; for others what they pay."""
    return figures.cost_pico if reads_all(visit.asked.actor) else figures.paid_pico


def saved_of(visit: Visit, figures: Figures) -> dict[str, int]:
    """What reading from a cache saved, by the same prices."""
    saved = figures.saved_pico if reads_all(visit.asked.actor) else figures.paid_saved_pico
    return {currency: pico for currency, pico in saved.items() if pico}


def priced_tokens(visit: Visit, figures: Figures) -> Mapping[str, int]:
    """The tokens that this money is for, by currency."""
    return figures.cost_tokens if reads_all(visit.asked.actor) else figures.paid_tokens


def grown(visit: Visit, now: float | None, then: float | None) -> str:
    """Growth in words; empty where neither is anything."""
    if not now and not then:
        return ""
    by = growth(now, then)
    if by is None:
        return visit.t("growth.new") if now else ""
    if abs(by) < SAME:
        return visit.t("growth.same")
    if by > 9.995:
        return visit.t("growth.times", n=visit.format.compact(round(by + 1, 1)))
    return visit.t("growth.up" if by > 0 else "growth.down", share=visit.format.share(abs(by)))


def grown_money(visit: Visit, now: Mapping[str, int], then: Mapping[str, int]) -> str:
    """The same of money, of each currency by itself."""
    parts = [
        (currency, grown(visit, now.get(currency), then.get(currency)))
        for currency in sorted({**now, **then})
    ]
    told = [(currency, text) for currency, text in parts if text]
    return (
        told[0][1] if len(parts) == 1 and told else ", ".join(f"{currency} {text}" for currency, text in told)
    )


def label(visit: Visit, grain: str, at_us: int) -> str:
    """An hour, day or month on an axis."""
    moment = visit.format.local(at_us)
    return moment.strftime({"hour": "%Y-%m-%d %H:%M", "day": "%Y-%m-%d", "month": "%Y-%m"}[grain])


def units(pico: int) -> float:
    """An amount for the eye."""
    return pico / PICO
