"""Everything the admin API does: routes, rights, the OpenAPI document, the page in the docs and the tests read this table."""

import msgspec

from tokenweir.admin import (
    accounts,
    audit,
    calls,
    charges,
    corrections,
    credit,
    health,
    invoices,
    jobs,
    keys,
    limits,
    passwords,
    rates,
    reconciling,
    settings,
    upstreams,
    usage,
    verifying,
)
from tokenweir.admin.desk import Asked
from tokenweir.admin.openapi import document
from tokenweir.admin.operation import Operation, operation
from tokenweir.protocol.problems import API_PREFIX

PREFIX = API_PREFIX.decode().rstrip("/")


def get_document(asked: Asked) -> msgspec.Raw:
    """This document."""
    desk = asked.desk
    if not desk.document:
        desk.document = msgspec.json.encode(document(OPERATIONS, PREFIX, desk.version))
    return msgspec.Raw(desk.document)


OPERATIONS: tuple[Operation, ...] = (
    operation("GET", "/openapi.json", get_document),
    operation("GET", "/health", health.get_health),
    operation("GET", "/me", keys.get_me),
    operation("GET", "/accounts", accounts.list_accounts),
    operation("GET", "/accounts/{id}", accounts.get_account),
    operation("PUT", "/accounts/{id}", accounts.put_account),
    operation("POST", "/accounts/{id}/close", accounts.close_account),
    operation("POST", "/accounts/{id}/reopen", accounts.reopen_account),
    operation("GET", "/keys", keys.list_keys),
    operation("POST", "/keys", keys.create_key, 201),
    operation("GET", "/keys/{id}", keys.get_key),
    operation("PATCH", "/keys/{id}", keys.change_key),
    operation("POST", "/keys/{id}/rotate", keys.rotate_key),
    operation("POST", "/keys/{id}/revoke", keys.revoke_key),
    operation("PUT", "/keys/{id}/password", passwords.put_password),
    operation("DELETE", "/keys/{id}/password", passwords.remove_password),
    operation("GET", "/limits", limits.list_limits),
    operation("PUT", "/limits", limits.put_limit),
    operation("DELETE", "/limits", limits.remove_limit),
    operation("GET", "/balances", credit.list_balances),
    operation("GET", "/credits", credit.list_credits),
    operation("POST", "/credits", credit.add_credit, 201),
    operation("POST", "/credits/{account}/{id}/end", credit.end_credit),
    operation("GET", "/plans", credit.list_plans),
    operation("PUT", "/plans/{account}", credit.put_plan),
    operation("DELETE", "/plans/{account}", credit.remove_plan),
    operation("GET", "/charges", charges.list_charges),
    operation("PUT", "/charges", charges.put_charge),
    operation("DELETE", "/charges", charges.remove_charge),
    operation("GET", "/rates", rates.list_rates),
    operation("PUT", "/rates", rates.put_rate),
    operation("GET", "/standing-costs", rates.list_standing_costs),
    operation("PUT", "/standing-costs/{id}", rates.put_standing_cost),
    operation("POST", "/standing-costs/{id}/spread", corrections.spread_standing_cost, long=True),
    operation("GET", "/usage", usage.get_usage),
    operation("GET", "/calls", calls.list_calls),
    operation("GET", "/calls/{id}", calls.get_call),
    operation("GET", "/invoices", invoices.list_invoices),
    operation("GET", "/invoices/preview", invoices.preview_invoice, long=True),
    operation("POST", "/invoices", invoices.issue_invoice, 201, long=True),
    operation("GET", "/invoices/{id}", invoices.get_invoice, long=True),
    operation("GET", "/invoices/{id}/lines/{line}/calls", invoices.explain_line, long=True),
    operation("POST", "/rerate", corrections.rerate_calls, long=True),
    operation("POST", "/reconcile", reconciling.reconcile_bill, long=True),
    operation("GET", "/verify", verifying.verify_ledger, long=True),
    operation("GET", "/jobs", jobs.list_jobs),
    operation("GET", "/jobs/{id}", jobs.get_job),
    operation("GET", "/audit", audit.list_audit),
    operation("GET", "/upstreams", upstreams.list_upstreams),
    operation("POST", "/upstreams/{name}/drain", upstreams.drain_upstream),
    operation("POST", "/upstreams/{name}/restore", upstreams.restore_upstream),
    operation("GET", "/settings", settings.list_settings),
    operation("PUT", "/settings/{name}", settings.put_setting),
)
