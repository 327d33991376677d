"""Money is an integer of 10⁻¹² of its currency's unit, with the currency beside it.

At that grain every published price is exact: 0.003625 per million tokens is 3,625 pico per token.
No float ever holds money, and two currencies are never added.
"""

import re

import msgspec

from tokenweir.core.sentence import say

PICO = 10**12
_PICO_PER_MTOK = 10**6  # one unit per million tokens, in pico per token
_DECIMAL = re.compile(r"^(\d+)(?:\.(\d+))?$")
_CURRENCY = re.compile(r"^[A-Z]{3}$")

#: What people type in front of an amount. "¥" is read as CNY, the currency of most of this project's prices.
SYMBOLS = {"¥": "CNY", "￥": "CNY", "$": "USD", "€": "EUR"}


class Money(msgspec.Struct, frozen=True, order=False):
    """An amount: `pico` is an integer of 10⁻¹² units of `currency` (ISO 4217)."""

    pico: int
    currency: str

    def __add__(self, other: "Money") -> "Money":
        if self.currency != other.currency:
            raise ValueError(
                say(
                    "{one} and {other} cannot be added without a dated rate",
                    one=self.currency,
                    other=other.currency,
                )
            )
        return Money(self.pico + other.pico, self.currency)

    def __str__(self) -> str:
        return f"{format_pico(self.pico)} {self.currency}"


def check_currency(code: str) -> str:
    """`code` itself if it is a three-letter ISO 4217 code. Raises ValueError."""
    if not _CURRENCY.match(code):
        raise ValueError(
            say("{code!r} is not a currency code of three capital letters, such as CNY or USD", code=code)
        )
    return code


def _scaled(text: str, scale_digits: int) -> int:
    """The decimal `text` times 10**scale_digits, exactly. Raises ValueError when digits would be lost."""
    match = _DECIMAL.match(text.strip())
    if not match:
        raise ValueError(say("{text!r} is not a plain decimal number, such as 4 or 0.25", text=text))
    whole, fraction = match.group(1), (match.group(2) or "").rstrip("0")
    if len(fraction) > scale_digits:
        raise ValueError(
            say("{text!r} has more than {most} decimals and would not be exact", text=text, most=scale_digits)
        )
    return int(whole + fraction.ljust(scale_digits, "0"))


def parse_amount(text: str) -> int:
    """Pico from a decimal string of units ("5", "0.25"). Raises ValueError."""
    return _scaled(text, 12)


def pico_per_token(per_mtok: str) -> int:
    """Pico per token from a decimal string of units per million tokens. Raises ValueError."""
    return _scaled(per_mtok, 6)


def format_pico(pico: int) -> str:
    """The exact decimal of an amount, without an exponent and without trailing zeros ("0.000012")."""
    sign, magnitude = ("-", -pico) if pico < 0 else ("", pico)
    whole, fraction = divmod(magnitude, PICO)
    digits = f"{fraction:012d}".rstrip("0")
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


def decimals(pico: dict[str, int]) -> dict[str, str]:
    """Exact decimals by currency."""
    return {currency: format_pico(amount) for currency, amount in sorted(pico.items())}


def format_per_mtok(pico_each: int) -> str:
    """Units per million tokens from pico per token, exactly."""
    return format_pico(pico_each * (PICO // _PICO_PER_MTOK))
