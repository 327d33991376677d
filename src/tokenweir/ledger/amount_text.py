"""Amounts, allowances and mark-ups as people write them: `¥1000`, `20 USD`, `10M tokens`, `25%`. Pure."""

import re

from tokenweir.core.money import PICO, Money, format_pico, parse_amount
from tokenweir.core.sentence import Sentence, say
from tokenweir.ledger.limit_text import SCALES, currency_of

_SHAPE = re.compile(
    r"(?P<before>[¥￥$€]|[A-Za-z]{3}\s)?\s*"
    r"(?P<number>\d[\d,_]*(?:\.\d+)?)\s*(?P<scale>[kKMBG](?![A-Za-z]))?\s*"
    r"(?P<unit>[A-Za-z]+)?"
)
_MONEY = say('write "¥1000" or "20 USD"')
_ALLOWANCE = say('write "10M tokens" or "¥120"')
_TOKENS = ("token", "tokens")
_PERCENT = re.compile(r"(?P<sign>[+-]?)\s*(?P<number>\d+(?:\.\d{1,2})?)\s*%")


def parse_money(text: str) -> Money:
    """An amount of a currency; nothing is an amount too. Raises ValueError with a sentence."""
    pico, unit = _parse(text, _MONEY)
    if unit == "tokens":
        raise ValueError(say("{text!r} is no amount of money; {advice}", text=text, advice=_MONEY))
    return Money(pico, unit)


def parse_allowance(text: str) -> tuple[int, str]:
    """An amount and its unit: tokens, or pico of a currency. Raises ValueError with a sentence."""
    amount, unit = _parse(text, _ALLOWANCE)
    if unit != "tokens":
        return amount, unit
    tokens, part = divmod(amount, PICO)
    if part:
        raise ValueError(say("{text!r} is no whole number of tokens", text=text))
    return tokens, unit


def parse_percent(text: str) -> int:
    """Basis points from `25%`, `12.5 %` or `-10%`. Raises ValueError with a sentence."""
    match = _PERCENT.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            say("{text!r} is no percentage of at most two decimals; write 25%, 12.5% or -10%", text=text)
        )
    points = parse_amount(match["number"]) * 100 // PICO
    return -points if match["sign"] == "-" else points


def format_allowance(amount: int, unit: str) -> str:
    """A text that `parse_allowance` reads back."""
    return f"{amount} tokens" if unit == "tokens" else f"{format_pico(amount)} {unit}"


def _parse(text: str, advice: Sentence) -> tuple[int, str]:
    """Pico of what is named; of tokens, too."""
    match = _SHAPE.fullmatch(text.strip())
    if match is None:
        raise ValueError(say("{text!r} is no amount; {advice}", text=text, advice=advice))
    before, unit = (match["before"] or "").strip(), match["unit"] or ""
    word = before or unit
    if not word or (before and unit):
        raise ValueError(
            say("{text!r} does not say of what, or says it twice; {advice}", text=text, advice=advice)
        )
    scale: int = 10 ** SCALES.get(match["scale"] or "", 0)
    pico = parse_amount(match["number"].replace(",", "").replace("_", "")) * scale
    if word.lower() in _TOKENS:
        return pico, "tokens"
    return pico, currency_of(word, text)
