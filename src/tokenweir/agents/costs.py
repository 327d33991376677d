"""What an agent says that its run cost, beside what was metered. Pure."""

import msgspec

from tokenweir.agents.records import Run
from tokenweir.core.money import format_pico, parse_amount


class CostDifference(msgspec.Struct, frozen=True):
    """In one currency: exact decimals. `metered` is None where nothing was metered in the agent's currency."""

    currency: str
    own: str
    metered: str | None
    difference: str | None  # own less metered
    words: str


def cost_differences(run: Run) -> tuple[CostDifference, ...]:
    """How far the agent's own figure is from the metered one; nothing where it has none. Currencies are not converted."""
    end = run.end
    if end is None or not end.own_cost:
        return ()
    own, _, currency = end.own_cost.partition(" ")
    metered = end.cost.get(currency)
    if metered is None:
        others = ", ".join(f"{amount} {name}" for name, amount in sorted(end.cost.items())) or "no cost"
        words = f"{own} {currency} as the agent says, {others} metered: they cannot be compared"
        return (CostDifference(currency, own, None, None, words),)
    pico, right_pico = _pico(own), parse_amount(metered)
    less = format_pico(abs(pico - right_pico))
    side = "more" if pico > right_pico else "less"
    share = f" ({abs(pico - right_pico) / right_pico:.1%})" if right_pico else ""
    words = f"{own} {currency} as the agent says, {metered} metered: {less} {side}{share}"
    if pico == right_pico:
        words = f"{own} {currency} as the agent says and as metered"
    return (CostDifference(currency, own, metered, f"{'-' if pico < right_pico else ''}{less}", words),)


def _pico(own: str) -> int:
    """An agent's figure may have the decimals of a float; beyond the twelfth they are cut off."""
    units, _, decimals = own.partition(".")
    return parse_amount(f"{units}.{decimals[:12]}" if decimals else units)
