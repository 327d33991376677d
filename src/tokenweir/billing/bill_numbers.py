"""Amounts and counts as bills write them, read exactly: integers all the way, never a float."""

import re
import unicodedata

import msgspec

from tokenweir.core.sentence import Sentence, say

#: Digits after the point that a pico amount has room for.
PICO_DECIMALS = 12
MOST_CHARACTERS = 64
#: Cells that say nothing. "<nil>" is how MiniMax writes it.
_NOTHING = frozenset({"", "-", "--", "—", "–", "/", "<nil>", "nil", "null", "none", "n/a", "nan"})
_AN_AMOUNT = say("an amount, such as 0.25, 1,234.50 or ¥3")
_WHOLE = say("a whole number of tokens")
_MARK = r"[^\d.,+\-()]*?"
_NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,2})?|\.[0-9]+"
_AMOUNT = re.compile(rf"([+-]?)\s*({_MARK})\s*([+-]?)({_NUMBER})\s*({_MARK})")
#: How currencies are marked, folded to lower case.
_CURRENCIES = {
    "¥": "CNY",
    "cny": "CNY",
    "cny¥": "CNY",
    "rmb": "CNY",
    "元": "CNY",
    "人民币": "CNY",
    "人民币元": "CNY",
    "$": "USD",
    "usd": "USD",
    "us$": "USD",
    "美元": "USD",
    "€": "EUR",
    "eur": "EUR",
}


class ReadAmount(msgspec.Struct, frozen=True):
    """An amount: pico, decimals that were shown, the currency it was marked with ("": none), whether it was cut to pico."""

    pico: int
    decimals: int
    currency: str
    exact: bool


def says_nothing(text: str) -> bool:
    """Whether a cell is empty, or a word for it."""
    return text.strip().lower() in _NOTHING


def read_currency(text: str) -> str:
    """The ISO code of a mark or word. Raises ValueError."""
    word = unicodedata.normalize("NFKC", text).strip().lower()
    if word in _CURRENCIES:
        return _CURRENCIES[word]
    if re.fullmatch(r"[a-z]{3}", word):
        return word.upper()
    raise ValueError(say("a currency, such as CNY, USD or ¥"))


def read_amount(text: str, unit: str = "1") -> ReadAmount:
    """An amount in `unit` of its currency. Raises ValueError with what was expected."""
    match = _AMOUNT.fullmatch(_plain(text, _AN_AMOUNT))
    negative = text.strip().startswith("(") and text.strip().endswith(")")
    if match is None or (match[1] and match[3]) or (match[2] and match[5]):
        raise ValueError(_AN_AMOUNT)
    marked = match[2] or match[5]
    digits, exponent = _parts(match[4])
    unit_digits, unit_exponent = _parts(unit)
    exponent += unit_exponent
    pico, rest = _scaled(digits * unit_digits, exponent + PICO_DECIMALS)
    if negative or "-" in (match[1], match[3]):
        pico = -pico
    return ReadAmount(pico, max(0, -exponent), read_currency(marked) if marked else "", not rest)


def read_count(text: str, unit: int = 1) -> int:
    """A whole number of tokens, counted in `unit` tokens. Raises ValueError with what was expected."""
    if text.isascii() and text.isdigit() and len(text) <= MOST_CHARACTERS:
        return int(text) * unit
    expected = _WHOLE if unit == 1 else say("a number of {unit:,} tokens, whole in tokens", unit=unit)
    plain = _plain(text, expected)
    if not re.fullmatch(_NUMBER, plain):
        raise ValueError(expected)
    digits, exponent = _parts(plain)
    tokens, rest = _scaled(digits * unit, exponent)
    if rest:
        raise ValueError(expected)
    return tokens


def _plain(text: str, expected: Sentence) -> str:
    """One width of characters, without the parentheses of a negative amount."""
    if len(text) > MOST_CHARACTERS:
        raise ValueError(expected)
    plain = unicodedata.normalize("NFKC", text).strip()
    return plain[1:-1].strip() if plain.startswith("(") and plain.endswith(")") else plain


def _parts(number: str) -> tuple[int, int]:
    """A decimal number without a sign as digits × 10**exponent."""
    mantissa, _, exponent = number.replace(",", "").lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    return int(whole + fraction), int(exponent or 0) - len(fraction)


def _scaled(mantissa: int, exponent: int) -> tuple[int, int]:
    """mantissa × 10**exponent as the nearest integer (half to even), and what was cut off (0: nothing)."""
    if exponent >= 0:
        return mantissa * 10**exponent, 0
    whole, rest = divmod(mantissa, 10**-exponent)
    twice = 2 * rest
    up = twice > 10**-exponent or (twice == 10**-exponent and whole % 2)
    return whole + bool(up), rest
