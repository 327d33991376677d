"""`weir rates`: dated exchange rates, which reports convert by."""

import csv
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tokenweir.cli import show
from tokenweir.cli.moments import parse_day
from tokenweir.cli.terms_words import change, terms_to_change
from tokenweir.core.clock import Clock
from tokenweir.core.money import check_currency, format_pico, parse_amount
from tokenweir.ledger.terms import ExchangeRate, SetRate
from tokenweir.ledger.views.audit import rate_in_words
from tokenweir.ledger.views.terms import terms_now

#: What one import may hold: some thirty years of ten currencies.
MOST_ROWS = 100_000
MOST_BYTES = 8 * 1024 * 1024
_HEAD = ("base", "quote", "day", "rate")


class RateLine(msgspec.Struct, frozen=True):
    """A rate in `--json`: one `base` is worth `rate` of `quote`, from `day` (UTC) on."""

    base: str
    quote: str
    day: str
    rate: str
    source: str


class RatesAnswer(msgspec.Struct, frozen=True):
    """`weir rates list --json`."""

    rates: tuple[RateLine, ...]


def rate_line(rate: ExchangeRate) -> RateLine:
    """The JSON form of a rate."""
    return RateLine(rate.base, rate.quote, rate.day, format_pico(rate.rate_pico), rate.source)


def set_rate(
    directory: Path, pair: tuple[str, str], text: str, day: str, source: str, as_json: bool, clock: Clock
) -> None:
    """Set a rate of a day, today's without one. Raises ValueError for wrong words, LedgerError."""
    today = datetime.fromtimestamp(clock.now_us() // 1_000_000, UTC).date().isoformat()
    rate = _rate([*pair, day or today, text, source])
    terms_to_change(directory)
    change(directory, [SetRate(rate)], clock)
    if as_json:
        show.print_json(rate_line(rate))
    else:
        print(f"{rate_in_words(rate)} on.")


def import_file(directory: Path, file: Path, as_json: bool, clock: Clock) -> None:
    """Set the rates of a CSV file, all or none. Raises ValueError for a wrong file, LedgerError."""
    rates = read_rates(_lines(file), str(file))
    known = terms_to_change(directory).rates
    fresh = [rate for rate in rates if known.get((rate.base, rate.quote, rate.day)) != rate]
    if fresh:
        change(directory, [SetRate(rate) for rate in fresh], clock)
    if as_json:
        show.print_json({"read": len(rates), "set": len(fresh)})
    else:
        print(f"{len(rates):,} rates read, {len(fresh):,} of them new or changed.")


def _lines(file: Path) -> list[str]:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise ValueError(f"{file} is larger than {MOST_BYTES // 1024 // 1024} MiB; import it in parts")
        return file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not text in UTF-8") from None


def read_rates(lines: Iterable[str], name: str) -> list[ExchangeRate]:
    """Rates from lines of CSV: base, quote, day, rate and perhaps source. Raises ValueError that names the line."""
    rates: dict[tuple[str, str, str], ExchangeRate] = {}
    for number, row in _rows(lines, name):
        try:
            rate = _rate(row)
        except ValueError as error:
            raise ValueError(f"{name}, line {number}: {error}") from None
        key = (rate.base, rate.quote, rate.day)
        if key in rates and rates[key] != rate:
            raise ValueError(
                f"{name}, line {number}: there is another rate of {rate.base} in {rate.quote} for {rate.day}"
            )
        rates[key] = rate
        if len(rates) > MOST_ROWS:
            raise ValueError(f"{name} holds more than {MOST_ROWS:,} rates; import it in parts")
    return list(rates.values())


def _rows(lines: Iterable[str], name: str) -> Iterator[tuple[int, list[str]]]:
    """Rows with something in them, but for a head."""
    reader = csv.reader(lines)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            head = tuple(cell.lower() for cell in cells[: len(_HEAD)]) == _HEAD
            if any(cells) and not (head and reader.line_num == 1):
                yield reader.line_num, cells
    except csv.Error as error:
        raise ValueError(f"{name}, line {reader.line_num}: no CSV: {error}") from None


def _rate(cells: list[str]) -> ExchangeRate:
    if not len(_HEAD) <= len(cells) <= len(_HEAD) + 1:
        raise ValueError("a rate is base,quote,day,rate and perhaps a source: USD,CNY,2026-11-01,7.1")
    base, quote, day, text = cells[: len(_HEAD)]
    pico = parse_amount(text)
    if not pico:
        raise ValueError("a rate is more than 0")
    source = cells[len(_HEAD)] if len(cells) > len(_HEAD) else ""
    return ExchangeRate(
        check_currency(base.upper()), check_currency(quote.upper()), parse_day(day), pico, source
    )


def show_all(directory: Path, every: bool, as_json: bool) -> None:
    """List the latest rate of each pair, or all. Raises LedgerError."""
    rates = sorted(terms_now(directory).rates.values(), key=lambda rate: (rate.base, rate.quote, rate.day))
    if not every:
        rates = list({(rate.base, rate.quote): rate for rate in rates}.values())
    if as_json:
        show.print_json(RatesAnswer(tuple(map(rate_line, rates))))
        return
    if not rates:
        show.console().print(
            "No rates: amounts stay in their own currencies. `weir rates set USD CNY 7.1` sets one.",
            markup=False,
        )
        return
    rows = [list(msgspec.structs.astuple(rate_line(rate))) for rate in rates]
    show.print_table(("one", "in", "from", "is", "source"), rows, right=frozenset({3}))
