"""What customers are charged: rules over the prices that calls cost. A charge is a price like any other, so it is
reckoned, stored and explained as a cost is. Pure.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec

from tokenweir.catalog.price import AppliedPrice, Price, Rates
from tokenweir.catalog.pricing import dearest, price_call

#: One per cent, in basis points; a mark-up is a whole number of these.
PERCENT = 100
_WHOLE = 100 * PERCENT


class ChargeRule(msgspec.Struct, frozen=True, omit_defaults=True, cache_hash=True):
    """From `valid_from_us` on, calls of models that `model` matches are charged so: by a price of its own, or by what they
    cost and `markup_bp` basis points more (25 % are 2,500; less than nothing is a discount).
    """

    model: str = "*"  # a public name; `*` and `?` as in file names
    valid_from_us: int = 0
    price: Price | None = None
    markup_bp: int = 0


def rule_for(rules: Sequence[ChargeRule], model: str, at_us: int) -> ChargeRule | None:
    """The rule in force for a model at a moment: an exact name before a pattern, of those the latest, of these the last set."""
    found: ChargeRule | None = None
    for rule in rules:
        if rule.valid_from_us > at_us or not fnmatchcase(model, rule.model):
            continue
        if found is None or _rank(rule, model) >= _rank(found, model):
            found = rule
    return found


def _rank(rule: ChargeRule, model: str) -> tuple[bool, int, int]:
    return rule.model == model, len(rule.model.replace("*", "")), rule.valid_from_us


def charge_call(
    rule: ChargeRule, cost: AppliedPrice | None, prompt_tokens: int, *, begun_us: int, ended_us: int
) -> AppliedPrice | None:
    """The rates that a call is charged at; None: its cost has no price to mark up."""
    if rule.price is not None:
        return price_call((rule.price,), prompt_tokens, begun_us=begun_us, ended_us=ended_us)
    return None if cost is None else marked_up(cost, rule.markup_bp)


def marked_up(cost: AppliedPrice, markup_bp: int) -> AppliedPrice:
    """The rates of a cost with a mark-up, each rounded up to a whole pico per token."""
    rates = cost.rates
    own = (rates.cache_read, rates.cache_write_5m, rates.cache_write_1h, rates.reasoning)
    more = [None if rate is None else marked_up_pico(rate, markup_bp) for rate in own]
    marked = Rates(marked_up_pico(rates.input, markup_bp), marked_up_pico(rates.output, markup_bp), *more)
    return AppliedPrice(f"{cost.ref}, {format_percent(markup_bp)}", cost.currency, marked, cost.note)


def dearest_charge(
    rule: ChargeRule, costs: Sequence[tuple[str, int, int]]
) -> tuple[tuple[str, int, int], ...]:
    """For each currency the dearest that a token of input and of output can be charged; `costs` says so of the cost."""
    if rule.price is not None:
        return dearest((rule.price,))
    return tuple(
        (c, marked_up_pico(i, rule.markup_bp), marked_up_pico(o, rule.markup_bp)) for c, i, o in costs
    )


def marked_up_pico(rate: int, markup_bp: int) -> int:
    """A rate or an amount with a mark-up, rounded up to a whole pico; not less than nothing."""
    return max(0, -(-rate * (_WHOLE + markup_bp) // _WHOLE))


def format_percent(markup_bp: int) -> str:
    """`+25 %`, from basis points."""
    sign = "-" if markup_bp < 0 else "+"
    whole, part = divmod(abs(markup_bp), PERCENT)
    return f"{sign}{whole}{f'.{part:02d}'.rstrip('0') if part else ''} %"
