"""The audit: who changed what, and when. Every change of terms is in it, whoever made it, and none is ever removed."""

from collections.abc import Callable
from itertools import islice
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from tokenweir.admin.accounts import AccountBody
from tokenweir.admin.charges import Charge, told_charge
from tokenweir.admin.credit import Plan, told_plan
from tokenweir.admin.desk import Asked
from tokenweir.admin.forms import (
    DEFAULT_PAGE,
    MOST_ON_A_PAGE,
    Moment,
    Name,
    Page,
    Query,
    amount_text,
    micros_or_none,
    moment,
    moment_or_none,
)
from tokenweir.admin.invoices import Invoice, told_invoice
from tokenweir.admin.keys import Key, told_key
from tokenweir.admin.rates import Rate, StandingCost, told_rate, told_standing_cost
from tokenweir.core.money import format_pico
from tokenweir.ledger import terms as t
from tokenweir.ledger.limit_text import format_limit
from tokenweir.ledger.store import read_changes
from tokenweir.ledger.views.audit import in_words


class ChangedAccount(AccountBody, frozen=True, kw_only=True):
    """An account as a change left it."""

    closed: Moment | None


class ChangedLimit(msgspec.Struct, frozen=True, kw_only=True):
    """A limit as a change left it."""

    model: str
    unit: str
    window: str
    mode: str
    amount: str
    text: str


class LiftedLimit(msgspec.Struct, frozen=True, kw_only=True):
    """Which limit was lifted."""

    model: str
    unit: str
    window: str


class AddedCredit(msgspec.Struct, frozen=True, kw_only=True):
    """A credit as it was added."""

    id: str
    amount: str
    currency: str
    expires: Moment | None
    note: str


class RemovedCharge(msgspec.Struct, frozen=True, kw_only=True):
    """Which rule was taken away."""

    model: str
    valid_from: Moment


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """Why entries were corrected."""

    kind: str
    what: str
    entries: int


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change: who made it and when, of what kind, on what. What it left behind stands in the one member that fits."""

    seq: int
    at: Moment
    actor: str  # a key's id, or "command line"
    actor_name: str  # that key's name
    kind: str  # account, key, revoke, limit, no_limit, credit, end_credit, plan, charge, no_charge, rate, …
    subject: str  # such as account/ID or key/ID
    what: str  # the change in words
    after_seq: int  # it was decided after this entry of the ledger
    account: ChangedAccount | None = None
    key: Key | None = None
    limit: ChangedLimit | None = None
    lifted: LiftedLimit | None = None
    credit: AddedCredit | None = None
    plan: Plan | None = None
    charge: Charge | None = None
    removed_charge: RemovedCharge | None = None
    rate: Rate | None = None
    standing_cost: StandingCost | None = None
    invoice: Invoice | None = None
    correction: Correction | None = None


class AuditQuery(Query, frozen=True, kw_only=True):
    """Only changes of these. `subject`: what they are on, such as key/ID."""

    limit: Annotated[int, Meta(ge=1, le=MOST_ON_A_PAGE)] = DEFAULT_PAGE
    after: Annotated[int, Meta(ge=0, le=2**62)] = 0
    actor: Name | None = None
    kind: Name | None = None
    subject: Name | None = None
    since: Moment | None = None
    until: Moment | None = None


def list_audit(asked: Asked, query: AuditQuery) -> Page[AuditEntry]:
    """Changes, oldest first."""
    since_us, until_us = micros_or_none(query.since), micros_or_none(query.until)
    wanted = (
        audited
        for audited in read_changes(asked.db, query.after)
        if query.actor in (None, audited.actor)
        and query.kind in (None, kind_of(audited.change))
        and query.subject in (None, subject_of(audited.change))
        and (since_us is None or audited.at_us >= since_us)
        and (until_us is None or audited.at_us < until_us)
    )
    found = list(islice(wanted, query.limit + 1))
    shown = found[: query.limit]
    return Page(
        tuple(_told(asked, a) for a in shown), str(shown[-1].seq) if len(found) > len(shown) else None
    )


def kind_of(change: t.Change) -> str:
    """The word that a change is known by."""
    return str(type(change).__struct_config__.tag)


def subject_of(change: t.Change) -> str:
    """What a change is on."""
    return _SUBJECTS[type(change)](change)


def _told(asked: Asked, audited: t.Audited) -> AuditEntry:
    actor, change = asked.terms.keys.get(audited.actor), audited.change
    show = _SHOWN.get(type(change))
    return AuditEntry(
        seq=audited.seq,
        at=moment(audited.at_us),
        actor=audited.actor,
        actor_name="" if actor is None else actor.name,
        kind=kind_of(change),
        subject=subject_of(change),
        what=str(in_words(change)),
        after_seq=audited.after_seq,
        **({} if show is None else show(change, audited.at_us)),
    )


def _account(change: t.SetAccount, at_us: int) -> dict[str, Any]:
    record = change.account
    shown = ChangedAccount(
        parent=record.parent,
        name=record.name,
        time_zone=record.time_zone,
        beyond_credit="bill" if record.beyond_credit == "bill" else "refuse",
        closed=moment_or_none(record.closed_us),
    )
    return {"account": shown}


def _limit(change: t.SetLimit, at_us: int) -> dict[str, Any]:
    limit = change.limit
    shown = ChangedLimit(
        model=limit.model,
        unit=limit.unit,
        window=limit.window,
        mode=limit.mode,
        amount=amount_text(limit.unit, limit.amount),
        text=format_limit(limit),
    )
    return {"limit": shown}


def _credit(change: t.AddCredit, at_us: int) -> dict[str, Any]:
    credit = change.credit
    shown = AddedCredit(
        id=credit.id,
        amount=format_pico(credit.pico),
        currency=credit.currency,
        expires=moment_or_none(credit.expires_us),
        note=credit.note,
    )
    return {"credit": shown}


def _plan(change: t.SetPlan, at_us: int) -> dict[str, Any]:
    return {} if change.plan is None else {"plan": told_plan(change.account, change.plan)}


#: How what a change left behind is shown. A key without its limits, which are changes of their own.
_SHOWN: dict[type, Callable[[Any, int], dict[str, Any]]] = {
    t.SetAccount: _account,
    t.SetKey: lambda c, at_us: {"key": told_key(t.Terms(), c.key, at_us)},
    t.SetLimit: _limit,
    t.RemoveLimit: lambda c, _: {"lifted": LiftedLimit(model=c.model, unit=c.unit, window=c.window)},
    t.AddCredit: _credit,
    t.SetPlan: _plan,
    t.SetCharge: lambda c, _: {"charge": told_charge(c.account, c.rule)},
    t.RemoveCharge: lambda c, _: {
        "removed_charge": RemovedCharge(model=c.model, valid_from=moment(c.valid_from_us))
    },
    t.SetRate: lambda c, _: {"rate": told_rate(c.rate)},
    t.SetStandingCost: lambda c, _: {"standing_cost": told_standing_cost(c.cost)},
    t.IssueInvoice: lambda c, _: {"invoice": told_invoice(c.invoice)},
    t.NoteCorrection: lambda c, _: {"correction": Correction(kind=c.kind, what=c.what, entries=c.entries)},
}

_SUBJECTS: dict[type, Callable[[Any], str]] = {
    t.SetAccount: lambda c: f"account/{c.account.id}",
    t.SetKey: lambda c: f"key/{c.key.id}",
    t.RevokeKey: lambda c: f"key/{c.id}",
    t.SetLimit: lambda c: c.scope,
    t.RemoveLimit: lambda c: c.scope,
    t.AddCredit: lambda c: f"account/{c.credit.account}",
    t.EndCredit: lambda c: f"account/{c.account}",
    t.SetPlan: lambda c: f"account/{c.account}",
    t.SetCharge: lambda c: f"account/{c.account}",
    t.RemoveCharge: lambda c: f"account/{c.account}",
    t.SetRate: lambda c: f"rate/{c.rate.base}-{c.rate.quote}",
    t.SetStandingCost: lambda c: f"upstream/{c.cost.upstream}",
    t.IssueInvoice: lambda c: f"invoice/{c.invoice.id}",
    t.SetPassword: lambda c: f"key/{c.key}",
    t.DrainUpstream: lambda c: f"upstream/{c.drained.upstream}",
    t.RestoreUpstream: lambda c: f"upstream/{c.upstream}",
    t.NoteCorrection: lambda c: f"correction/{c.id}",
    t.ChangeSetting: lambda c: f"setting/{c.name}",
}
