"""What has been agreed: accounts, keys, limits, credit, prices for customers. Pure.

Terms are what replaying their changes gives. Every change is a line of the ledger, with who made it, and is never removed;
that is the audit. Whoever needs terms (the writer, the workers, reading commands, the replay that verifies) folds the same changes.
"""

from collections.abc import Iterator
from copy import copy

import msgspec

from tokenweir.catalog.charges import ChargeRule, rule_for

#: Who pays, where nobody else was named.
DEFAULT_ACCOUNT = "default"
#: Units that are counted in whole numbers; any other is a currency, in pico.
COUNTED_UNITS = frozenset({"tokens", "calls", "tool calls"})
#: Accounts above an account: more than any organisation has.
MAX_DEPTH = 16


class Limit(msgspec.Struct, frozen=True, omit_defaults=True):
    """A cap. `unit` is a currency code (amount in pico), "tokens", "calls" or, on a run, "tool calls"; `window` is one of `windows.WINDOWS`.

    A hard limit is never passed. A soft one refuses once it is reached: what was under way by then may pass it.
    """

    unit: str
    amount: int
    window: str
    mode: str = "hard"  # or "soft"
    model: str = ""  # only calls of this model (`*` and `?` as in file names); empty: all

    @property
    def name(self) -> tuple[str, str, str]:
        """What it is known by within its scope: model, unit, window."""
        return self.model, self.unit, self.window


class AccountRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who pays. `id` is a name that people chose; `parent` is the account above, empty for none."""

    id: str
    parent: str = ""
    name: str = ""  # in words
    time_zone: str = ""  # of its days and months; empty: that of the account above, at the top UTC
    beyond_credit: str = "refuse"  # or "bill": what happens to calls once credit or allowance is used up
    created_us: int = 0
    closed_us: int | None = None


class KeyRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A key as the gateway knows it: its hash, never its secret."""

    id: str
    name: str
    account: str
    hash: bytes  # SHA-256 of the secret
    hint: str  # the secret's first characters, to tell keys apart
    created_us: int
    revoked_us: int | None = None
    run: str = ""
    models: tuple[str, ...] = ()  # it may ask for these (`*` and `?` as in file names); empty: for all
    dialects: tuple[str, ...] = ()  # and in these; empty: in all
    expires_us: int | None = None
    role: str = ""  # in the admin API: "owner", "admin", "member", "auditor"; empty: none
    old_hash: bytes = b""  # of the secret before the last rotation …
    old_until_us: int = 0  # … which is good until then
    launched: bool = False  # of a run that its launcher ends: it revokes the key
    keep_text_s: int = 0  # what is asked and answered with it is kept for so long; 0: not at all

    def is_live(self, at_us: int) -> bool:
        """Whether calls may be made with it."""
        return self.revoked_us is None and (self.expires_us is None or at_us < self.expires_us)


class Drained(msgspec.Struct, frozen=True, omit_defaults=True):
    """An upstream that gets no new calls, since when and why."""

    upstream: str
    since_us: int
    note: str = ""


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """A month of an account: a fee, what is included for it, and what is charged beyond that."""

    name: str
    currency: str
    fee_pico: int = 0
    allowance: int = 0  # included each month, in `allowance_unit`
    allowance_unit: str = ""  # the plan's currency (then pico) or "tokens"; empty: nothing is included
    overage_bp: int = 0  # on top of the charge beyond the allowance, in basis points
    from_us: int = 0  # the month that holds this moment is the first


class Credit(msgspec.Struct, frozen=True, omit_defaults=True):
    """A prepaid amount."""

    id: str
    account: str
    currency: str
    pico: int
    added_us: int
    expires_us: int | None = None
    note: str = ""


class ExchangeRate(msgspec.Struct, frozen=True):
    """One unit of `base` is worth `rate_pico` · 10⁻¹² units of `quote` from a UTC day on, until a later rate."""

    base: str
    quote: str
    day: str  # 2026-11-25
    rate_pico: int
    source: str = ""


class StandingCost(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an upstream costs by the month or the hour, however much it is used: a subscription, or machines.

    It is spread over the calls that used the upstream: by their tokens, or by the time they took.
    """

    id: str
    upstream: str
    currency: str
    pico: int  # per month, or per hour of one unit
    per: str  # "month" or "hour"
    units: int = 1  # GPUs, seats
    spread_by: str = "tokens"  # or "time"
    from_us: int = 0
    until_us: int | None = None
    note: str = ""

    def is_in_force(self, at_us: int) -> bool:
        """Whether it counts at a moment."""
        return self.from_us <= at_us and (self.until_us is None or at_us < self.until_us)


class Invoice(msgspec.Struct, frozen=True, omit_defaults=True):
    """An invoice that was issued: it holds every entry of its account and those below it that was written up to `upto_seq`,
    is of a time before `until_us`, and was held by no earlier invoice.
    """

    id: str
    account: str
    month: str  # 2026-11, in the account's time zone
    until_us: int  # end of the month: what was used later is not on it
    upto_seq: int
    totals: tuple[tuple[str, int], ...] = ()  # what is due: currency, pico
    number: int = 0  # 1, 2, 3 …: of all invoices of this ledger, without a gap
    upto_change: int = 0  # it was reckoned by the terms as this change left them


# --- changes -----------------------------------------------------------------------------------------------


class SetAccount(msgspec.Struct, frozen=True, tag="account"):
    """Make an account, or replace what is known of it."""

    account: AccountRecord


class SetKey(msgspec.Struct, frozen=True, tag="key"):
    """Make a key, or replace what is known of it."""

    key: KeyRecord


class RevokeKey(msgspec.Struct, frozen=True, tag="revoke"):
    """From now on nothing is called with it."""

    id: str
    at_us: int


class SetLimit(msgspec.Struct, frozen=True, tag="limit"):
    """Set a limit, in place of one with the same name. `scope`: "account/ID", "key/ID" or "run/ID"."""

    scope: str
    limit: Limit


class RemoveLimit(msgspec.Struct, frozen=True, tag="no_limit"):
    """Lift a limit."""

    scope: str
    model: str
    unit: str
    window: str


class AddCredit(msgspec.Struct, frozen=True, tag="credit"):
    """Top an account up."""

    credit: Credit


class EndCredit(msgspec.Struct, frozen=True, tag="end_credit"):
    """What is left of a credit is void from now on."""

    account: str
    id: str
    at_us: int


class SetPlan(msgspec.Struct, frozen=True, tag="plan"):
    """Give an account a plan; None takes it away."""

    account: str
    plan: Plan | None


class SetCharge(msgspec.Struct, frozen=True, tag="charge"):
    """What an account and those below it are charged; "" is everybody. A rule of the same model and date is replaced."""

    account: str
    rule: ChargeRule


class RemoveCharge(msgspec.Struct, frozen=True, tag="no_charge"):
    """Take a rule away."""

    account: str
    model: str
    valid_from_us: int


class SetRate(msgspec.Struct, frozen=True, tag="rate"):
    """An exchange rate, in place of one of the same currencies and day."""

    rate: ExchangeRate


class SetStandingCost(msgspec.Struct, frozen=True, tag="standing_cost"):
    """Note what an upstream costs however much it is used, in place of what had the same id."""

    cost: StandingCost


class IssueInvoice(msgspec.Struct, frozen=True, tag="invoice"):
    """Close a month."""

    invoice: Invoice


class SetPassword(msgspec.Struct, frozen=True, tag="password"):
    """Whoever knows the password signs in to the console as this key. `hash` is Argon2's; empty: nobody does any more."""

    key: str
    hash: str


class DrainUpstream(msgspec.Struct, frozen=True, tag="drain"):
    """From now on no new call goes to an upstream, on any worker; those under way end as they began."""

    drained: Drained


class RestoreUpstream(msgspec.Struct, frozen=True, tag="restore"):
    """Calls go to an upstream again."""

    upstream: str


class NoteCorrection(msgspec.Struct, frozen=True, tag="correction"):
    """Why entries were corrected; they follow, and name `id` as their reason."""

    id: str
    kind: str  # "rerate" or "spread"
    what: str  # in words
    entries: int


class ChangeSetting(msgspec.Struct, frozen=True, tag="setting"):
    """A setting of the settings' file is changed; the file is what holds, this says who changed it."""

    name: str  # "section.name"
    value: str
    before: str
    by_default: bool = False  # it was taken out of the file


Change = (
    SetAccount
    | SetKey
    | RevokeKey
    | SetLimit
    | RemoveLimit
    | AddCredit
    | EndCredit
    | SetPlan
    | SetCharge
    | RemoveCharge
    | SetRate
    | SetStandingCost
    | IssueInvoice
    | SetPassword
    | DrainUpstream
    | RestoreUpstream
    | NoteCorrection
    | ChangeSetting
)


def record_of(change: Change) -> tuple[str, str] | None:
    """The record that a change replaces as a whole, by what whoever decided it knew of the one before; None: it replaces none."""
    match change:
        case SetAccount(account=account):
            return "account", account.id
        case SetKey(key=KeyRecord(id=id)) | RevokeKey(id=id):
            return "key", id
        case _:
            return None


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """A change as the ledger keeps it."""

    seq: int
    at_us: int
    actor: str  # a key's id, or "command line"
    after_seq: int  # it was decided after this entry
    change: Change


class Terms(msgspec.Struct):
    """The terms in force. Only `apply` changes them."""

    accounts: dict[str, AccountRecord] = {}
    keys: dict[str, KeyRecord] = {}
    limits: dict[str, dict[tuple[str, str, str], Limit]] = {}  # by scope, then by name
    credits: dict[str, dict[str, Credit]] = {}  # by account, then by id
    plans: dict[str, Plan] = {}  # by account
    charges: dict[str, tuple[ChargeRule, ...]] = {}  # by account
    rates: dict[tuple[str, str, str], ExchangeRate] = {}
    standing_costs: dict[str, StandingCost] = {}
    invoices: dict[str, Invoice] = {}
    passwords: dict[str, str] = {}  # Argon2's hash, by key
    drained: dict[str, Drained] = {}  # by upstream
    seq: int = 0  # of the last change in them, where they were read from the ledger

    def copy(self) -> "Terms":
        """The same terms, to try changes on."""
        fields = msgspec.structs.asdict(self).items()
        copied = Terms(**{name: copy(value) for name, value in fields})
        copied.limits = {scope: dict(limits) for scope, limits in self.limits.items()}
        copied.credits = {account: dict(credits) for account, credits in self.credits.items()}
        return copied

    def apply(self, change: Change) -> None:
        """Take in a change that `checks.wrong_with` let pass."""
        match change:
            case SetAccount(account=account):
                self.accounts[account.id] = account
            case SetKey(key=key):
                self.keys[key.id] = key
            case RevokeKey(id=id, at_us=at_us):
                self.keys[id] = msgspec.structs.replace(self.keys[id], revoked_us=at_us)
            case SetLimit(scope=scope, limit=limit):
                self.limits.setdefault(scope, {})[limit.name] = limit
            case RemoveLimit(scope=scope, model=model, unit=unit, window=window):
                self.limits[scope].pop((model, unit, window), None)  # a worker may be told what it knows
            case SetPassword(key=id, hash=""):
                self.passwords.pop(id, None)
            case SetPassword(key=id, hash=hash):
                self.passwords[id] = hash
            case DrainUpstream(drained=drained):
                self.drained[drained.upstream] = drained
            case RestoreUpstream(upstream=upstream):
                self.drained.pop(upstream, None)
            case _:
                self._apply_money(change)

    def _apply_money(self, change: Change) -> None:
        match change:
            case AddCredit(credit=credit):
                self.credits.setdefault(credit.account, {})[credit.id] = credit
            case EndCredit(account=account, id=id, at_us=at_us):
                known = self.credits[account]
                known[id] = msgspec.structs.replace(known[id], expires_us=at_us)
            case SetPlan(account=account, plan=None):
                self.plans.pop(account, None)
            case SetPlan(account=account, plan=plan) if plan is not None:
                self.plans[account] = plan
            case SetCharge(account=account, rule=rule):
                self.charges[account] = (*self._other_rules(account, rule.model, rule.valid_from_us), rule)
            case RemoveCharge(account=account, model=model, valid_from_us=valid_from_us):
                self.charges[account] = self._other_rules(account, model, valid_from_us)
            case SetRate(rate=rate):
                self.rates[rate.base, rate.quote, rate.day] = rate
            case SetStandingCost(cost=cost):
                self.standing_costs[cost.id] = cost
            case IssueInvoice(invoice=invoice):
                self.invoices[invoice.id] = invoice
            case _:
                pass  # a note changes no terms

    def _other_rules(self, account: str, model: str, valid_from_us: int) -> tuple[ChargeRule, ...]:
        rules = self.charges.get(account, ())
        return tuple(r for r in rules if (r.model, r.valid_from_us) != (model, valid_from_us))

    # --- what follows from them

    def chain(self, account: str) -> Iterator[str]:
        """An account and those above it, from the nearest on. One that nobody made stands alone."""
        for _ in range(MAX_DEPTH):
            yield account
            known = self.accounts.get(account)
            if known is None or not known.parent:
                return
            account = known.parent

    def below(self, account: str) -> set[str]:
        """An account and all below it."""
        named = {account, *self.accounts, *(key.account for key in self.keys.values())}
        return {name for name in named if account in self.chain(name)}

    def time_zone(self, account: str) -> str:
        """Whose days and months an account lives by."""
        for name in self.chain(account):
            known = self.accounts.get(name)
            if known is not None and known.time_zone:
                return known.time_zone
        return "UTC"

    def is_closed(self, account: str) -> bool:
        """Whether it, or one above it, is closed."""
        records = (self.accounts.get(name) for name in self.chain(account))
        return any(record is not None and record.closed_us is not None for record in records)

    def purse_of(self, account: str) -> str | None:
        """The nearest account, from this one up, that has credit or an allowance."""
        return next((name for name in self.chain(account) if self._has_purse(name)), None)

    def _has_purse(self, account: str) -> bool:
        plan = self.plans.get(account)
        return account in self.credits or (plan is not None and bool(plan.allowance_unit))

    def charge_rule(self, account: str, model: str, at_us: int) -> ChargeRule | None:
        """What calls of a model are charged by; None: what they cost is what is paid."""
        for name in (*self.chain(account), ""):
            rule = rule_for(self.charges.get(name, ()), model, at_us)
            if rule is not None:
                return rule
        return None
