"""Limits as people write them: `¥5/day`, `2M tokens/month`, `100 calls/minute`, `4 calls at once`, `$20`, `$20 soft`."""

import re

from tokenweir.core.money import SYMBOLS, format_pico, parse_amount
from tokenweir.core.sentence import Sentence, say
from tokenweir.ledger.terms import COUNTED_UNITS, Limit

EXAMPLES = say('"¥5/day", "20 USD/month", "2M tokens/month", "100 calls/minute" or "4 calls at once"')
_SHAPE = re.compile(
    r"(?P<before>[¥￥$€]|[A-Za-z]{3}\s)?\s*"
    r"(?P<number>\d[\d,_]*(?:\.\d+)?)\s*(?P<scale>[kKMBG](?![A-Za-z]))?\s*"
    r"(?P<unit>tool\s+calls?\b|(?!(?:soft|hard|total|at|hourly|daily|monthly)\b)[A-Za-z]+)?\s*"
    r"(?:(?:/|\bper\b)\s*(?P<window>[A-Za-z]+)|\b(?P<adverb>daily|monthly|hourly|total|at once)\b)?"
    r"\s*(?P<mode>\b(?:soft|hard)\b)?"
)
#: Powers of ten.
SCALES = {"k": 3, "K": 3, "M": 6, "B": 9, "G": 9}
_COUNTS = {"token": "tokens", "tokens": "tokens", "call": "calls", "calls": "calls"}
_COUNTS |= {"tool call": "tool calls", "tool calls": "tool calls"}
_WINDOWS = {
    "minute": "minute",
    "min": "minute",
    "hour": "hour",
    "h": "hour",
    "hourly": "hour",
    "at once": "at once",
    "day": "day",
    "d": "day",
    "daily": "day",
    "month": "month",
    "mo": "month",
    "monthly": "month",
    "total": "total",
}
#: Currencies that providers price in; any other word is more likely a slip than a currency.
CURRENCIES = ("AUD", "CAD", "CHF", "CNY", "EUR", "GBP", "HKD", "INR", "JPY", "KRW", "SGD", "TWD", "USD")
#: What 64 bits hold, which is what limits travel and are kept in.
MAX_COUNT = 2**62
MAX_MONEY_PICO = 9_000_000 * 10**12


def parse_limit(text: str) -> Limit:
    """A limit from its text; without a window it holds for good. Raises ValueError with a sentence."""
    match: re.Match[str] | None = _SHAPE.fullmatch(text.strip())
    if not match:
        raise ValueError(say("{text!r} is not a limit; write {examples}", text=text, examples=EXAMPLES))
    window, mode = _window(text, match), match["mode"] or "hard"
    before, unit = (match["before"] or "").strip(), match["unit"] or ""
    if before and unit:
        raise ValueError(
            say(
                "{text!r} names two units, {before!r} and {unit!r}; write {examples}",
                text=text,
                before=before,
                unit=unit,
                examples=EXAMPLES,
            )
        )
    word = before or unit
    if not word:
        raise ValueError(say("{text!r} does not say of what; write {examples}", text=text, examples=EXAMPLES))
    number = match["number"].replace(",", "").replace("_", "")
    digits = SCALES[match["scale"]] if match["scale"] else 0
    counted = _COUNTS.get(" ".join(word.lower().split()))
    if counted:
        return Limit(counted, _count(text, number, digits), window, mode)
    currency = currency_of(word, text)
    return Limit(currency, _money(text, number, digits), window, mode)


def _window(text: str, match: re.Match[str]) -> str:
    word = match["window"] or match["adverb"]
    if word is None:
        return "total"
    window = _WINDOWS.get(word.lower())
    if window is None:
        raise ValueError(
            say(
                "{text!r} names {word!r}; a limit is per minute, hour, day or month, in total or at once",
                text=text,
                word=word,
            )
        )
    return window


def _count(text: str, number: str, digits: int) -> int:
    scale: int = 10**digits
    whole, remainder = divmod(parse_amount(number) * scale, 10**12)
    if remainder or not 0 < whole <= MAX_COUNT:
        raise ValueError(say("{text!r} is not a whole number of at least 1", text=text))
    return whole


def _money(text: str, number: str, digits: int) -> int:
    scale: int = 10**digits
    pico = parse_amount(number) * scale
    if not 0 < pico <= MAX_MONEY_PICO:
        raise ValueError(
            say("{text!r} must be more than 0 and at most {most:,}", text=text, most=MAX_MONEY_PICO // 10**12)
        )
    return pico


#: A limit by its window, as `parse_limit` reads it.
FORMS = {
    "at once": "{amount} {unit} at once",
    "minute": "{amount} {unit}/minute",
    "hour": "{amount} {unit}/hour",
    "day": "{amount} {unit}/day",
    "month": "{amount} {unit}/month",
    "total": "{amount} {unit}",
}


def format_limit(limit: Limit) -> str:
    """A text that `parse_limit` reads back as the same limit."""
    return str(limit_in_words(limit))


def limit_in_words(limit: Limit) -> Sentence:
    """The same as a sentence, for other languages."""
    is_counted = limit.unit in COUNTED_UNITS
    amount = str(limit.amount) if is_counted else format_pico(limit.amount)
    told = say(FORMS[limit.window], amount=amount, unit=say(limit.unit) if is_counted else limit.unit)
    return say("{limit} soft", limit=told) if limit.mode == "soft" else told


def currency_of(word: str, text: str) -> str:
    """The code of a currency that a text names by a sign or a code. Raises ValueError."""
    currency = SYMBOLS.get(word, word.upper())
    if currency not in CURRENCIES:
        raise ValueError(
            say(
                "{text!r} names {word!r}, which is no currency known here ({currencies})",
                text=text,
                word=word,
                currencies=", ".join(CURRENCIES),
            )
        )
    return currency
