"""Every page of the console: routes, navigation, rights and the tests read this table."""

from tokenweir.console import (
    page_accounts,
    page_audit,
    page_call,
    page_calls,
    page_charts,
    page_credit,
    page_invoices,
    page_keys,
    page_limits,
    page_overview,
    page_prices,
    page_reconcile,
    page_rerate,
    page_runs,
    page_settings,
    page_spend,
    page_try,
    page_upstreams,
)
from tokenweir.console.page import Page
from tokenweir.console.preferences import MOST_BYTES

_KEY_FORMS = {
    "change": page_keys.change,
    "rotate": page_keys.rotate,
    "revoke": page_keys.revoke,
    "password": page_keys.set_password,
    "no_password": page_keys.remove_password,
}
_ACCOUNT_FORMS = {
    "change": page_accounts.change,
    "close": page_accounts.close,
    "reopen": page_accounts.reopen,
}
_CREDIT_FORMS = {
    "add": page_credit.add,
    "end": page_credit.end,
    "plan": page_credit.plan,
    "no_plan": page_credit.remove_plan,
}
_PRICE_FORMS = {
    "charge": page_prices.charge,
    "no_charge": page_prices.remove_charge,
    "rate": page_prices.exchange,
    "standing": page_prices.standing,
}

PAGES: tuple[Page, ...] = (
    Page(name="overview", path="/", show=page_overview.show, resource="usage", group="look"),
    Page(name="charts", path="/charts", show=page_charts.show, resource="usage", group="look"),
    Page(name="calls", path="/calls", show=page_calls.show, resource="calls", group="look"),
    Page(name="call", path="/calls/{id}", show=page_call.show, resource="calls", under="calls"),
    Page(name="call_cost", path="/calls/{id}/cost", show=page_call.cost, resource="calls", under="calls"),
    Page(name="runs", path="/runs", show=page_runs.show, resource="calls", group="look"),
    Page(name="run", path="/runs/{id}", show=page_runs.show_one, resource="calls", under="runs", slashes=True),
    Page(
        name="upstreams", path="/upstreams", show=page_upstreams.show, resource="upstreams", group="look",
        forms={"drain": page_upstreams.drain, "restore": page_upstreams.restore},
    ),
    Page(name="try", path="/try", show=page_try.show, resource="me", group="look", forms={"key": page_try.key}),
    Page(name="spend", path="/spend", show=page_spend.show, resource="usage", group="money"),
    Page(
        name="limits", path="/limits", show=page_limits.show, resource="limits", group="money",
        forms={"put": page_limits.put, "lift": page_limits.lift},
    ),
    Page(name="credit", path="/credit", show=page_credit.show, resource="credits", group="money", forms=_CREDIT_FORMS),
    Page(name="prices", path="/prices", show=page_prices.show, resource="charges", group="money", forms=_PRICE_FORMS),
    Page(
        name="invoices", path="/invoices", show=page_invoices.show, resource="invoices", group="money",
        forms={"issue": page_invoices.issue},
    ),
    Page(name="invoice", path="/invoices/{id}", show=page_invoices.show_one, resource="invoices", under="invoices"),
    Page(
        name="rerate", path="/rerate", show=page_rerate.show, resource="charges", group="money",
        forms={"preview": page_rerate.preview, "correct": page_rerate.correct},
    ),
    Page(
        name="reconcile", path="/reconcile", show=page_reconcile.show, resource="charges", group="money",
        forms={"compare": page_reconcile.compare}, most_bytes=page_reconcile.MOST_BYTES + MOST_BYTES,
    ),
    Page(
        name="accounts", path="/accounts", show=page_accounts.show, resource="accounts", group="manage",
        forms={"create": page_accounts.create},
    ),
    Page(
        name="account", path="/accounts/{id}", show=page_accounts.show_one, resource="accounts", under="accounts",
        forms=_ACCOUNT_FORMS,
    ),
    Page(
        name="keys", path="/keys", show=page_keys.show, resource="keys", group="manage",
        forms={"create": page_keys.create},
    ),
    Page(name="key", path="/keys/{id}", show=page_keys.show_one, resource="keys", under="keys", forms=_KEY_FORMS),
    Page(name="settings", path="/settings", show=page_settings.show, resource="settings", group="manage", forms={"change": page_settings.change, "reset": page_settings.reset}),
    Page(name="audit", path="/audit", show=page_audit.show, resource="audit", group="manage"),
)  # fmt: skip
