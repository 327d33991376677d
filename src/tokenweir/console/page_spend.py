"""Where the money goes: accounts as a tree, limits and what they will have become, what has no price, and what was billed."""

from collections.abc import Callable, Mapping

from tokenweir.admin.rights import reads_all, sees_account, sees_scope
from tokenweir.console.compared import Compared, accounts_of, compared, grown_money, label, money_of, units
from tokenweir.console.page import Outcome, Visit, shown
from tokenweir.console.table import Badge, Bar, Chart, Column, Link, Quantity, Series, Table
from tokenweir.ledger.views.accounts import account_tree, with_below
from tokenweir.ledger.views.conversion import RateBook
from tokenweir.ledger.views.figures import Figures, figures, figures_by_model, whole
from tokenweir.ledger.views.forecast import Forecast, Known, forecast
from tokenweir.ledger.views.limits import LimitNow, limits_of
from tokenweir.ledger.views.one_currency import in_one_currency
from tokenweir.ledger.views.spans import series_of
from tokenweir.ledger.views.state import state_now
from tokenweir.ledger.views.usage import UsageRow, usage

#: Currencies with a chart of their own.
MOST_CHARTS = 3

_COSTS = (Column("cost", "money"), Column("charge", "money"), Column("margin", "money"))
LIMITS = (
    Column("on", "link"),
    Column("limit"),
    Column("used", "bar"),
    Column("forecast", "quantity"),
    Column("will", "badge"),
    Column("renews", "time"),
)
UNPRICED = (
    Column("model", "link"),
    Column("tokens", "tokens"),
    Column("unpriced_calls", "number"),
    Column("unknown_calls", "number"),
)
INVOICES = (Column("invoice", "link"), Column("account"), Column("month"), Column("due", "money"))


def show(visit: Visit) -> Outcome:
    """The sheet of a period."""
    asked, accounts = compared(visit, "30d"), accounts_of(visit)
    series = series_of(asked.span, visit.zone)
    *parts, then = figures(visit.db, [*(part.span for part in series.parts), asked.compared], accounts)
    now = whole(parts)
    labels = [label(visit, series.grain, part.start_us) for part in series.parts]
    limits = limits_table(visit)
    return shown(
        "spend.html",
        tables=(
            accounts_table(visit, asked, accounts),
            limits,
            unpriced_table(visit, asked, accounts, now),
            invoices_table(visit),
        ),
        charts=tuple(
            Chart(
                name=f"spend_{currency.lower()}", title="spend.chart", kind="bar", labels=labels, unit=currency, label_column=series.grain,
                series=[Series(visit.t("spend.chart"), [units(money_of(visit, row).get(currency, 0)) for row in parts])],
            )
            for currency in sorted(money_of(visit, now))[:MOST_CHARTS]
        ),
        asked=asked,
        tiles_shown=tiles_of(visit, now, then, _in_one(visit, asked, accounts)),
        currencies=_targets(visit, now),
        others=(visit.format.day(asked.compared.since_us), visit.format.day(asked.compared.until_us - 1)),
    )  # fmt: skip


def tiles_of(visit: Visit, now: Figures, then: Figures, in_one: str) -> list[tuple[str, object, str, str]]:
    """What was spent, what was asked for it, and what nobody knows the price of; `in_one`: the first in one currency, in words."""
    t, f = visit.t, visit.format
    tiles: list[tuple[str, object, str, str]] = []
    if reads_all(visit.asked.actor):
        tiles.append(
            (t("spend.cost"), now.cost_pico, in_one or grown_money(visit, now.cost_pico, then.cost_pico), "")
        )
        if now.charge_pico:
            tiles.append(
                (
                    t("spend.charged"),
                    now.charge_pico,
                    grown_money(visit, now.charge_pico, then.charge_pico),
                    "",
                )
            )
            lost = any(pico < 0 for pico in now.margin_pico.values())
            tiles.append(
                (t("spend.margin"), now.margin_pico, t("spend.margin_of"), "warn" if lost else "good")
            )
    else:
        tiles.append(
            (t("spend.paid"), now.paid_pico, in_one or grown_money(visit, now.paid_pico, then.paid_pico), "")
        )
    share = now.unpriced_tokens / now.tokens if now.tokens else None
    note = t("spend.of_tokens", share=f.share(share)) if now.unpriced_tokens else t("spend.all_priced")
    tiles.append(
        (t("spend.unpriced"), f.compact(now.unpriced_tokens), note, "warn" if now.unpriced_tokens else "good")
    )
    return tiles  # fmt: skip


def _targets(visit: Visit, now: Figures) -> list[str]:
    """Currencies that all of it can be told in: where there are several, and rates."""
    rates = visit.asked.terms.rates.values()
    known = {currency for rate in rates for currency in (rate.base, rate.quote)}
    return sorted(known) if len(money_of(visit, now)) > 1 else []


def _in_one(visit: Visit, asked: Compared, accounts: set[str] | None) -> str:
    """What was spent in the one currency that the query names, and by which rates; empty where it names none."""
    currency, t, rates = visit.query["in"], visit.t, visit.asked.terms.rates.values()
    if not any(currency in (rate.base, rate.quote) for rate in rates):
        return ""
    told = in_one_currency(
        visit.db, asked.span, currency, RateBook(rates), lambda row: money_of(visit, row), accounts
    )
    money = visit.format.money(told.pico, currency)
    if told.apart:
        return t("spend.no_rate", money=money, currencies=", ".join(sorted(told.apart)))
    days = [rate.quoted.day for rate in told.rates]
    return t("spend.in_one", money=money, day=max(days)) if days else money


def accounts_table(visit: Visit, asked: Compared, accounts: set[str] | None) -> Table:
    """The tree of accounts, each with all below it."""
    span, terms, knows = asked.span, visit.asked.terms, reads_all(visit.asked.actor)
    rows = {row.by["account"]: row for row in usage(visit.db, ("account",), span.since_us, span.until_us)}
    seen = {id: row for id, row in rows.items() if accounts is None or id in accounts}
    tree = account_tree(terms, seen)
    below = with_below(tree, seen)
    least = min((b.depth for b in tree if accounts is None or b.id in accounts), default=0)
    cells = []
    for branch in tree:
        row = below[branch.id]
        if accounts is not None and branch.id not in accounts:
            continue
        record = terms.accounts.get(branch.id)
        name = record.name if record is not None else ""
        text = f"{branch.id} ({name})" if name and name.casefold() != branch.id.casefold() else branch.id
        link = Link(text, visit.link(account=branch.id), branch.depth - least)
        cells.append((link, row.calls, row.tokens, *_money_cells(row, knows), row.unpriced_calls or None))
    columns = (
        Column("account", "link"), Column("calls", "number"), Column("tokens", "tokens"),
        *(_COSTS if knows else ()), Column("paid", "money"), Column("unpriced_calls", "number"),
    )  # fmt: skip
    return Table(name="accounts", words="spend", columns=columns, rows=cells)


def _money_cells(row: UsageRow, knows: bool) -> tuple[Mapping[str, int] | None, ...]:
    known = (row.cost_pico, row.charge_pico, row.margin_pico) if knows else ()
    return tuple(amounts or None for amounts in (*known, row.paid_pico))


def limits_table(visit: Visit) -> Table:
    """Every limit that may be seen: those of accounts first, those that have come furthest before the others."""
    state, at_us = state_now(visit.db, visit.asked.now_us)
    terms, actor = visit.asked.terms, visit.asked.actor
    named = visit.query["account"]
    found = [
        now for now in limits_of(state, at_us)
        if sees_scope(terms, actor, now.scope) and (not named or _account_of(visit, now.scope) in terms.below(named))
    ]  # fmt: skip
    found.sort(key=lambda now: (not now.scope.startswith("account/"), -_part(now), now.scope))
    return Table(
        name="limits", words="spend", columns=LIMITS, rows=[_limit_cells(visit, now, at_us) for now in found]
    )


def _account_of(visit: Visit, scope: str) -> str:
    kind, _, id = scope.partition("/")
    key = visit.asked.terms.keys.get(id) if kind == "key" else None
    return id if kind == "account" else "" if key is None else key.account


def _part(now: LimitNow) -> float:
    return (now.spent + now.reserved) / now.limit.amount if now.limit.amount else 1.0


def _limit_cells(visit: Visit, now: LimitNow, at_us: int) -> tuple[object, ...]:
    limit, told = now.limit, forecast(now, at_us)
    words = [visit.t(f"spend.per_{limit.window.replace(' ', '_')}")]
    words += [visit.t("spend.soft")] if limit.mode == "soft" else []
    words += [limit.model] if limit.model else []
    return (
        Link(_named(visit, now.scope), _scope_link(visit, now.scope)),
        " · ".join(words),
        Bar(now.spent, now.reserved, limit.amount, limit.unit),
        None if told.amount is None else Quantity(told.amount, limit.unit),
        _will(visit, now, told),
        now.renews_at_us,
    )


def _named(visit: Visit, scope: str) -> str:
    kind, _, id = scope.partition("/")
    key = visit.asked.terms.keys.get(id) if kind == "key" else None
    return f"{visit.t(f'spend.scope_{kind}')} {id if key is None else key.name}"


def _scope_link(visit: Visit, scope: str) -> str:
    kind, _, id = scope.partition("/")
    if kind == "account":
        return visit.link(account=id)
    return visit.to("/calls", **{kind: id})


_WORDS: dict[Known, str] = {
    Known.TOO_EARLY: "spend.too_early",
    Known.NO_END: "spend.no_end",
    Known.TOO_SHORT: "spend.too_short",
}


def _will(visit: Visit, now: LimitNow, told: Forecast) -> Badge:
    """Whether the limit will be reached."""
    if now.spent >= now.limit.amount:
        return Badge("reached", "bad", "spend.reached")
    if told.known is not Known.YES:
        return Badge(told.known.value, "", _WORDS[told.known])
    if told.reached_us is None:
        return Badge("lasts", "good", "spend.lasts")
    return Badge(visit.t("spend.reached_at", at=visit.format.when(told.reached_us)[:16]), "warn")


def unpriced_table(visit: Visit, asked: Compared, accounts: set[str] | None, now: Figures) -> Table:
    """Models with usage that no cost is known for, most tokens first; `now` has the sums of all."""
    found: dict[str, Figures] = {}
    if now.unpriced_tokens or now.unpriced_calls:
        (found,) = figures_by_model(visit.db, [asked.span], accounts)
    apart = [(model, row) for model, row in found.items() if row.unpriced_tokens or row.unpriced_calls]
    apart.sort(key=lambda pair: (-pair[1].unpriced_tokens, pair[0]))
    rows = [
        (
            Link(model, visit.to("/calls", model=model)),
            row.unpriced_tokens,
            row.unpriced_calls,
            row.unknown_calls,
        )
        for model, row in apart
    ]
    return Table(name="unpriced", words="spend", columns=UNPRICED, rows=rows)


def invoices_table(visit: Visit) -> Table:
    """Invoices that were issued, the latest first."""
    terms, actor = visit.asked.terms, visit.asked.actor
    sees: Callable[[str], bool] = lambda account: sees_account(terms, actor, account)  # noqa: E731
    seen = [invoice for invoice in terms.invoices.values() if sees(invoice.account)]
    seen.sort(key=lambda invoice: (-invoice.number, invoice.id))
    return Table(
        name="invoices", words="spend", columns=INVOICES, rows=[(Link(i.id, visit.to(f"/invoices/{i.id}")), i.account, i.month, dict(i.totals) or None) for i in seen]
    )  # fmt: skip
