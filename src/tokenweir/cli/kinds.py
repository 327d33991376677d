"""The types a setting can have: how a value of the file, or a text of the environment, becomes the value."""

from collections.abc import Callable
from decimal import Decimal
from ipaddress import ip_network
from urllib.parse import urlsplit

import msgspec

from tokenweir.catalog.dialects import SpokenDialect
from tokenweir.cli.secrets import Secret
from tokenweir.core.money import check_currency, pico_per_token
from tokenweir.core.sentence import say

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


class Kind(msgspec.Struct, frozen=True):
    """`read` takes a value of the file, `from_text` a text; both raise ValueError with half a sentence."""

    name: str  # "a whole number": what the page and the errors call it
    read: Callable[[object], object]
    from_text: Callable[[str], object]
    choices: tuple[str, ...] = ()  # where only these can be said


def describe(value: object) -> str:
    """A value as it may be shown in an error: its type, never a text that might be a secret."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return str(value)
    names: dict[type, str] = {str: "a text", list: "a list", dict: "a table"}
    return names.get(type(value), f"a value of type {type(value).__name__}")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be a text in quotes, not {describe(value)}")
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {describe(value)}")
    return value


def _boolean_text(text: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(say("must be true or false, not {text!r}", text=text))
    return word in _TRUE


def integer(low: int, high: int) -> Kind:
    """A whole number of `low` to `high`, both included."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"must be a whole number, not {describe(value)}")
        if not low <= value <= high:
            raise ValueError(
                say(
                    "must be a whole number from {low:,} to {high:,}, not {value:,}",
                    low=low,
                    high=high,
                    value=value,
                )
            )
        return value

    def from_text(text: str) -> int:
        try:
            value = int(text.strip().replace("_", ""))
        except ValueError:
            raise ValueError(say("must be a whole number, not {text!r}", text=text)) from None
        return read(value)

    return Kind("whole number", read, from_text)


def seconds(high: int = 86_400) -> Kind:
    """A positive number of seconds, at most `high`; held as a float, as timers are."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise ValueError(f"must be a number of seconds, not {describe(value)}")
        if not (Decimal(value).is_finite() and 0 < value <= high):
            raise ValueError(
                say("must be more than 0 and at most {high:,} seconds, not {value}", high=high, value=value)
            )
        return float(value)

    def from_text(text: str) -> float:
        try:
            return read(Decimal(text.strip()))
        except ArithmeticError:
            raise ValueError(say("must be a number of seconds, not {text!r}", text=text)) from None

    return Kind("number", read, from_text)


def choice(*words: str) -> Kind:
    """One of a few words."""

    def read(value: object) -> str:
        text = _text(value)
        if text not in words:
            known = ", ".join(map(repr, words))
            raise ValueError(say("must be one of {known}, not {text!r}", known=known, text=text))
        return text

    return Kind(" or ".join(f"`{word}`" for word in words), read, read, words)


def _url(value: object) -> str:
    text = _text(value)
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(say("must be an address that begins with http:// or https://"))
    if parts.query or parts.fragment:
        raise ValueError(say("must be an address without '?' and '#'"))
    _ = parts.port  # raises ValueError when it is out of range
    return text.rstrip("/")


def _text_list(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f'must be a list of texts, such as ["a", "b"], not {describe(value)}')
    return tuple(value)


def _words_of(value: object, words: tuple[str, ...]) -> tuple[str, ...]:
    found = _text_list(value)
    for word in found:
        if word not in words:
            raise ValueError(f"must hold {', '.join(map(repr, words))}, not {word!r}")
    return found


def words(*known: str) -> Kind:
    """A list of some of a few words."""
    return Kind(
        "list of " + ", ".join(f"`{word}`" for word in known),
        lambda value: _words_of(value, known),
        lambda text: _words_of(list(_text_list_text(text)), known),
    )


def _text_list_text(text: str) -> tuple[str, ...]:
    """With commas between them, or as the file has it: `["a", "b"]`."""
    if text.strip().startswith("["):
        try:
            return tuple(msgspec.json.decode(text.strip(), type=list[str]))
        except msgspec.DecodeError:
            raise ValueError(
                say('must be texts with commas between them, or a list such as ["a", "b"]')
            ) from None
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _secret(value: object) -> Secret:
    if not isinstance(value, str):
        raise ValueError(f'must be a text such as "env:NAME" or "file:PATH", not {describe(value)}')
    return Secret.parse(value)


def _secret_table(value: object) -> tuple[tuple[str, Secret], ...]:
    if not isinstance(value, dict):
        raise ValueError(f'must be a table of texts, such as {{ x-title = "…" }}, not {describe(value)}')
    pairs = []
    for name, text in value.items():
        if not name or any(c in name for c in "\r\n\0: "):
            raise ValueError(f"has the header name {name!r}, which no HTTP header can have")
        pairs.append((name, _secret(text)))
    return tuple(pairs)


class PriceSetting(msgspec.Struct, frozen=True, kw_only=True):
    """Rates per token in pico, as `[[model]] price` names them."""

    currency: str
    input: int
    output: int
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None


#: So that the cost of the longest request stays within 64 bits.
MAX_RATE_PICO = 10**11
_RATES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "reasoning")


def _rate(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise ValueError(f"must have a number as its {name}, not {describe(value)}")
    text = value if isinstance(value, str) else format(value, "f")
    try:
        rate = pico_per_token(text)
    except ValueError as error:
        raise ValueError(f"has a wrong {name}: {error}") from None
    if rate > MAX_RATE_PICO:
        raise ValueError(
            f"has a wrong {name}: at most {MAX_RATE_PICO // 10**6:,} per million tokens is a price"
        )
    return rate


def _price(value: object) -> PriceSetting:
    if not isinstance(value, dict):
        raise ValueError(f"must be a table of input, output and currency, not {describe(value)}")
    unknown = [name for name in value if name not in (*_RATES, "currency")]
    if unknown:
        raise ValueError(f"has no {unknown[0]!r}; it has currency, {', '.join(_RATES)}")
    missing = [name for name in ("input", "output", "currency") if name not in value]
    if missing:
        raise ValueError(f"lacks {', '.join(missing)}")
    currency = check_currency(_text(value["currency"]))
    rates = {name: _rate(name, value[name]) for name in _RATES if name in value}
    return PriceSetting(currency=currency, **rates)


def _dialect(value: object) -> SpokenDialect:
    if not isinstance(value, dict):
        raise ValueError(f"must be a table, not {describe(value)}")
    known = SpokenDialect.__struct_fields__
    unknown = [name for name in value if name not in known]
    if unknown:
        raise ValueError(f"has no {unknown[0]!r}; it has {', '.join(known)}")
    try:
        return msgspec.convert(value, SpokenDialect)
    except msgspec.ValidationError as error:
        raise ValueError(f"is not as it should be: {error}") from None


def _networks(value: object) -> tuple[str, ...]:
    found = _text_list(value)
    for text in found:
        try:
            ip_network(text, strict=False)
        except ValueError:
            raise ValueError(
                say("has {text!r}, which is no address or network such as 10.0.0.0/8", text=text)
            ) from None
    return found


def _networks_text(text: str) -> tuple[str, ...]:
    return _networks(list(_text_list_text(text)))


def _only_in_file(_text: str) -> object:
    raise ValueError("can only be set in the file")


TEXT = Kind("text", _text, str)
BOOLEAN = Kind("true or false", _boolean, _boolean_text, ("true", "false"))
URL = Kind("address", _url, _url)
TEXT_LIST = Kind("list of texts", _text_list, _text_list_text)
NETWORKS = Kind("list of addresses", _networks, _networks_text)
SECRET = Kind("secret", _secret, Secret.parse)
SECRET_TABLE = Kind("table of texts or secrets", _secret_table, _only_in_file)
PRICE = Kind("table", _price, _only_in_file)
DIALECT = Kind("table", _dialect, _only_in_file)
