"""`weir charges`: the price book. What accounts are charged, where that is not what their calls cost."""

from pathlib import Path

import msgspec

from tokenweir.catalog.charges import ChargeRule, format_percent, rule_for
from tokenweir.catalog.price import Bracket, Price, Rates
from tokenweir.cli import kinds, show
from tokenweir.cli.moments import parse_date
from tokenweir.cli.terms_words import change, find_account, terms_to_change
from tokenweir.core.clock import Clock
from tokenweir.core.money import format_per_mtok
from tokenweir.core.usage import TOKEN_CLASSES
from tokenweir.ledger.amount_text import parse_percent
from tokenweir.ledger.terms import RemoveCharge, SetCharge, Terms
from tokenweir.ledger.views import iso_time
from tokenweir.ledger.views.audit import charge_in_words
from tokenweir.ledger.views.terms import terms_now

EVERYBODY = "everybody"
_SECOND_US = 1_000_000


class ChargeLine(msgspec.Struct, frozen=True):
    """A rule in `--json`: rates are exact decimals per million tokens of `currency`; else `markup_percent` goes on the cost."""

    account: str  # empty: everybody
    model: str
    since: str
    markup_percent: str | None
    currency: str | None
    rates: dict[str, str] | None
    state: str  # "in force", "to come" or "past"


class ChargesAnswer(msgspec.Struct, frozen=True):
    """`weir charges list --json`."""

    charges: tuple[ChargeLine, ...]


class PriceWords(msgspec.Struct, frozen=True):
    """What the command line says of a charge; rates are per million tokens."""

    markup: str = ""
    currency: str = ""
    rates: dict[str, str] = {}  # by class of token; empty: not said


def charge_line(account: str, rule: ChargeRule, state: str) -> ChargeLine:
    """The JSON form of a rule."""
    markup = currency = rates = None
    if rule.price is None:
        markup = format_percent(rule.markup_bp).removesuffix(" %").removeprefix("+")
    else:
        own = rule.price.brackets[0].rates
        named = ((name, getattr(own, name)) for name in TOKEN_CLASSES)
        rates = {name: format_per_mtok(rate) for name, rate in named if rate is not None}
        currency = rule.price.currency
    return ChargeLine(account, rule.model, _since(rule), markup, currency, rates, state)


def _since(rule: ChargeRule) -> str:
    return iso_time(rule.valid_from_us)[:19] + "Z"


def set_charge(
    directory: Path, account: str, model: str, words: PriceWords, since: str, as_json: bool, clock: Clock
) -> None:
    """Put a rule into the price book. Raises ValueError for wrong words, LedgerError."""
    terms = terms_to_change(directory)
    account = find_account(terms, account) if account else ""
    # By the second, so that the list shows the moment as it can be written.
    now_us = clock.now_us() // _SECOND_US * _SECOND_US
    from_us = parse_date(since, terms.time_zone(account) if account else "UTC") if since else now_us
    rule = _rule(model, words, account, from_us)
    change(directory, [SetCharge(account, rule)], clock)
    if as_json:
        show.print_json(charge_line(account, rule, _state(terms, account, rule, clock.now_us())))
        return
    whom, models = account or EVERYBODY, "every model" if model == "*" else model
    print(f"{whom} is charged {charge_in_words(rule)} for {models} from {_since(rule)} on.")


def _rule(model: str, words: PriceWords, account: str, from_us: int) -> ChargeRule:
    rates = {name: text for name, text in words.rates.items() if text}
    if bool(words.markup) == bool(rates or words.currency):
        raise ValueError("say what is charged: --markup 25%, or --input 4 --output 16 --currency CNY")
    if words.markup:
        return ChargeRule(model, from_us, markup_bp=parse_percent(words.markup))
    try:
        setting = kinds.PRICE.read({**rates, "currency": words.currency} if words.currency else rates)
    except ValueError as error:
        raise ValueError(f"a price {error}; write --input 4 --output 16 --currency CNY") from None
    assert isinstance(setting, kinds.PriceSetting)
    own = Rates(**{name: getattr(setting, name) for name in Rates.__struct_fields__})
    ref = f"price book of {account or EVERYBODY}"
    return ChargeRule(model, from_us, Price(ref, setting.currency, (Bracket(0, own),)))


def remove(directory: Path, account: str, model: str, since: str, as_json: bool, clock: Clock) -> None:
    """Take a rule out of the price book. Raises ValueError for wrong words, LedgerError."""
    terms = terms_to_change(directory)
    account = find_account(terms, account) if account else ""
    found = [rule for rule in terms.charges.get(account, ()) if rule.model == model]
    if since:
        from_us = parse_date(since, terms.time_zone(account) if account else "UTC")
        found = [rule for rule in found if rule.valid_from_us == from_us]
    if len(found) != 1:
        what = "no rule" if not found else f"{len(found)} rules, of different dates; say which with --from"
        raise ValueError(
            f"the price book has {what} for {account or EVERYBODY} and {model}; `weir charges list` shows it"
        )
    change(directory, [RemoveCharge(account, model, found[0].valid_from_us)], clock)
    if as_json:
        show.print_json({"account": account, "model": model, "since": _since(found[0]), "removed": True})
    else:
        print(f"{account or EVERYBODY} is no longer charged {charge_in_words(found[0])} for {model}.")


def show_all(directory: Path, account: str, as_json: bool, clock: Clock) -> None:
    """List the price book; of an account, all that applies to it. Raises ValueError, LedgerError."""
    terms, now_us = terms_now(directory), clock.now_us()
    whose = [*terms.chain(find_account(terms, account)), ""] if account else sorted(terms.charges)
    lines = [
        (charge_line(name, rule, _state(terms, name, rule, now_us)), rule)
        for name in whose
        for rule in sorted(terms.charges.get(name, ()), key=lambda rule: (rule.model, rule.valid_from_us))
    ]
    if as_json:
        show.print_json(ChargesAnswer(tuple(line for line, _ in lines)))
        return
    if not lines:
        show.console().print(
            "The price book is empty: everybody pays what calls cost. `weir charges set --markup 20%` changes that.",
            markup=False,
        )
        return
    columns = ("who", "model", "is charged", "from", "state")
    rows = [
        [line.account or EVERYBODY, line.model, charge_in_words(rule), line.since, line.state]
        for line, rule in lines
    ]
    show.print_table(columns, rows)


def _state(terms: Terms, account: str, rule: ChargeRule, now_us: int) -> str:
    """Whether it is in force: of those with the same model the latest that has begun is."""
    if rule.valid_from_us > now_us:
        return "to come"
    same = [other for other in (*terms.charges.get(account, ()), rule) if other.model == rule.model]
    latest = rule_for(same, rule.model, now_us)
    return "in force" if latest is not None and latest.valid_from_us == rule.valid_from_us else "past"
