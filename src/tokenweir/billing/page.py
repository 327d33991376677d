"""An invoice as one printable page that needs nothing else."""

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined

from tokenweir.billing.answer import InvoiceAnswer, LineAnswer, TotalAnswer
from tokenweir.billing.words import WORDS, month_words


def invoice_page(answer: InvoiceAnswer, lang: str) -> str:
    """The page; `lang` is one of words.LANGUAGES."""
    page: str = _template().render(
        invoice=answer,
        t=WORDS[lang],
        lang="zh-Hans" if lang == "zh" else lang,
        month=month_words(answer.month, lang),
        issued=_day(answer),
    )
    return page


def _day(answer: InvoiceAnswer) -> str:
    """The day it was issued, in its own time zone."""
    if answer.issued is None:
        return ""
    return datetime.fromisoformat(answer.issued).astimezone(ZoneInfo(answer.time_zone)).strftime("%Y-%m-%d")


@cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("tokenweir.billing"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "grouped": grouped,
        "count": count,
        "decimals": decimals,
        "padding": padding,
        "groups": _groups,
        "parts": _parts,
    }
    return environment.get_template("invoice.html")


def grouped(text: str) -> str:
    """An exact decimal with thousands apart and a true minus: −1,234.5."""
    sign = "−" if text.startswith("-") else ""
    whole, point, fraction = text.lstrip("-").partition(".")
    return f"{sign}{int(whole):,}{point}{fraction}"


def count(number: int) -> str:
    """Thousands apart."""
    return grouped(str(number))


def decimals(texts: Iterable[str | None]) -> int:
    """The most digits that any of these decimals has behind its point."""
    return max((len(text.partition(".")[2]) for text in texts if text is not None), default=0)


def padding(text: str, width: int) -> str:
    """What makes a decimal as wide as one with `width` digits behind its point, so that points stand below each other."""
    have = len(text.partition(".")[2])
    return ("." if width and not have else "") + "0" * (width - have)


def _groups(lines: Iterable[LineAnswer]) -> list[dict[str, object]]:
    """Lines by account and model, and by price within these."""
    found: list[dict[str, object]] = []
    for (account, model), of_model in groupby(lines, key=lambda line: (line.account, line.model)):
        prices = [
            {"price": price, "lines": list(some)}
            for price, some in groupby(of_model, key=lambda line: line.price)
        ]
        found.append({"account": account, "model": model, "prices": prices})
    return found


def _parts(total: TotalAnswer) -> list[tuple[str, str]]:
    """What a total is made of, but for what is nothing; and what is due."""
    asked = ("charges", "corrections", "fees", "surcharges")
    parts = [(name, getattr(total, name)) for name in asked]
    parts += [(name, _minus(getattr(total, name))) for name in ("allowance", "credit")]
    return [*((name, text) for name, text in parts if text != "0"), ("due", total.due)]


def _minus(text: str) -> str:
    return text if text == "0" else text.removeprefix("-") if text.startswith("-") else f"-{text}"
