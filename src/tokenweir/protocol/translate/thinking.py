"""How hard a model shall think: said as an effort by some hosts, as a budget in tokens by others."""

#: Efforts from least to most, each with the tokens that stand for it where a host takes a budget. No vendor gives such
#: a table; the least is the least that Anthropic takes, the most what its own agents ask for at most.
BUDGETS = {"minimal": 1024, "low": 4096, "medium": 8192, "high": 16_384, "xhigh": 24_576, "max": 32_000}
_SCALE = tuple(BUDGETS)


def budget_of(effort: str | None) -> int:
    """The budget that stands for an effort; for one that is not known, or none, that of "medium"."""
    return BUDGETS.get(effort or "medium", BUDGETS["medium"])


def effort_of(budget: int) -> str:
    """The least effort whose budget holds `budget` tokens; "max" beyond all of them."""
    return next((effort for effort, tokens in BUDGETS.items() if budget <= tokens), "max")


def nearest_effort(effort: str, known: tuple[str, ...]) -> str | None:
    """Of the efforts that a host knows (none given: it knows any) the one nearest to `effort`, the greater of two.

    None for a word that is on no scale.
    """
    if not known or effort in known:
        return effort
    if effort not in _SCALE:
        return None
    rank = _SCALE.index(effort)
    ranked = [(abs(_SCALE.index(word) - rank), -_SCALE.index(word), word) for word in known if word in _SCALE]
    return min(ranked)[2] if ranked else None
