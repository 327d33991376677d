"""A made-up organisation's ledger for the console's tests and pictures: a month of calls, the same each time."""

import hashlib
from pathlib import Path
from random import Random

import msgspec

from tokenweir.billing.invoicing import issue
from tokenweir.catalog.price import AppliedPrice, Rates
from tokenweir.catalog.pricing import cost, price_id
from tokenweir.core.clock import FakeClock
from tokenweir.core.ids import uuid7
from tokenweir.core.money import PICO
from tokenweir.core.usage import NO_USAGE, Provenance, Usage
from tokenweir.ledger.entries import Outcome
from tokenweir.ledger.journal import Journal
from tokenweir.ledger.messages import CloseAttempt, CostBound, DefinePrice, MakeChanges, OpenCall, OpenResult
from tokenweir.ledger.store import Store
from tokenweir.ledger.terms import (
    AccountRecord,
    AddCredit,
    Change,
    Credit,
    Drained,
    DrainUpstream,
    ExchangeRate,
    KeyRecord,
    Limit,
    Plan,
    SetAccount,
    SetKey,
    SetLimit,
    SetPlan,
    SetRate,
    SetStandingCost,
    StandingCost,
)

DAY_US = 86_400_000_000
#: The moment that pages are looked at: 2026-11-25 09:30 UTC, a Wednesday.
NOW_US = 1_795_599_000_000_000
DAYS = 30
CALLS_A_DAY = 24
#: Why the attempts of the call that failed over were made where they were.
_ROUTES = (
    "1 of 3: vllm/kimi-k2 is drained",
    "2 of 3: vllm/kimi-k2 is drained; zhipu/kimi-k2 failed a moment ago",
)
SECRETS = {
    role: f"sk-weir-{role}-of-the-seeded-ledger" for role in ("owner", "admin", "member", "auditor", "caller")
}

#: Model -> upstream and price: per million tokens in CNY, of input, cached and output.
MODELS = {
    "kimi-k2": (
        "moonshot",
        AppliedPrice("settings", "CNY", Rates(4_000_000, 16_000_000, cache_read=1_000_000)),
    ),
    "deepseek-v3.2": (
        "deepseek",
        AppliedPrice("settings", "CNY", Rates(2_000_000, 3_000_000, cache_read=200_000)),
    ),
    "qwen3-coder": ("vllm", AppliedPrice("settings", "CNY", Rates(1_000_000, 4_000_000))),
    "glm-4.6": ("zhipu", AppliedPrice("settings", "USD", Rates(600_000, 2_200_000, cache_read=110_000))),
}
SETTINGS = """\
[local]
enabled = false
[[upstream]]
name = "moonshot"
url = "http://127.0.0.1:9/v1"
[[upstream]]
name = "deepseek"
url = "http://127.0.0.1:9/v1"
[[upstream]]
name = "vllm"
kind = "vllm"
url = "http://127.0.0.1:9/v1"
[[upstream]]
name = "zhipu"
url = "http://127.0.0.1:9/v1"
""" + "".join(
    f'[[model]]\nname = "{model}"\ndeployments = ["{upstream}/{model}"]\n'
    f'price = {{ input = {price.rates.input / 1e6:g}, output = {price.rates.output / 1e6:g}, currency = "{price.currency}" }}\n'
    for model, (upstream, price) in MODELS.items()
)

PEOPLE = ("ann", "bo", "chen", "dara")
_KEYS = (
    ("owner", "acme", "owner"), ("admin", "acme", "admin"), ("member", "research", "member"),
    ("auditor", "acme", "auditor"), ("caller", "research", ""),
)  # fmt: skip


def key_id(name: str) -> str:
    return f"key_{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _key(name: str, account: str, role: str, secret: str, created_us: int) -> SetKey:
    digest = hashlib.sha256(secret.encode()).digest()
    return SetKey(KeyRecord(key_id(name), name, account, digest, secret[:12], created_us, role=role))


class Seed:
    """Writes as the writer would, on a clock of its own; a commit for each day."""

    def __init__(self, data: Path, now_us: int = NOW_US) -> None:
        self.start_us = now_us - DAYS * DAY_US
        self.clock = FakeClock(self.start_us)
        self.random = Random(20_261_125)
        self.store = Store(data, "os")
        self.journal = Journal(self.store, self.clock)
        self.number = 0

    def write(self) -> None:
        """All of it."""
        self._terms()
        for day in range(DAYS):
            self._day(self.start_us + day * DAY_US, 0.4 + day / DAYS)
        self._failover(self.start_us + DAYS * DAY_US - 7_200_000_000)
        self.change(DrainUpstream(Drained("zhipu", self.clock.now_us(), "new contract from December on")))
        self.journal.commit()
        self.store.close()

    def change(self, *changes: Change) -> None:
        refused = self.journal.apply(MakeChanges(0, key_id("owner"), changes))
        assert refused == "", refused
        self.journal.commit()

    def _terms(self) -> None:
        now_us = self.clock.now_us()
        self.change(
            SetAccount(AccountRecord("acme", name="Acme Ltd", time_zone="Asia/Shanghai", created_us=now_us)),
            SetAccount(AccountRecord("research", "acme", "Research", created_us=now_us)),
            SetAccount(AccountRecord("product", "acme", "Product", beyond_credit="bill", created_us=now_us)),
            *(
                SetAccount(AccountRecord(p, "research" if p < "c" else "product", created_us=now_us))
                for p in PEOPLE
            ),
            *(_key(name, account, role, SECRETS[name], now_us) for name, account, role in _KEYS),
            *(_key(f"{person}'s agent", person, "", f"sk-weir-{person}-agent", now_us) for person in PEOPLE),
            SetRate(ExchangeRate("USD", "CNY", "2026-10-01", 7_100_000_000_000, "our bank")),
        )
        self.change(
            SetLimit("account/acme", Limit("CNY", 500 * PICO, "month")),
            SetLimit("account/acme", Limit("USD", 50 * PICO, "month")),
            SetLimit("account/research", Limit("tokens", 12_000_000, "month", "soft")),
            SetLimit(f"key/{key_id('caller')}", Limit("tokens", 2_000_000, "day")),
            SetLimit(f"key/{key_id('caller')}", Limit("calls", 4, "at once")),
            SetLimit("account/product", Limit("CNY", 90 * PICO, "total", model="kimi-*")),
            AddCredit(Credit("november", "product", "CNY", 200 * PICO, now_us, note="invoice 2026-11")),
            SetPlan("research", Plan("team", "CNY", 99 * PICO, 20_000_000, "tokens", 2_000, now_us)),
            SetStandingCost(StandingCost("gpus", "vllm", "CNY", 12 * PICO, "hour", 2, "time", now_us)),
        )

    def _day(self, day_us: int, busy: float) -> None:
        for moment in sorted(day_us + self.random.randrange(DAY_US) for _ in range(int(CALLS_A_DAY * busy))):
            self.call(moment)
        self.journal.commit()

    def call(self, at_us: int, outcome: Outcome | None = None) -> bytes:
        """One call of somebody to some model."""
        random = self.random
        self.clock.advance(max(0, at_us - self.clock.now_us()))
        model = random.choices(list(MODELS), weights=(5, 4, 3, 1))[0]
        person = random.choice(PEOPLE)
        run = f"run-{person}-{random.randrange(4)}" if random.random() < 0.3 else ""
        call = self.opened(model, person, run)
        prompt = random.randrange(800, 24_000)
        cached = int(prompt * random.choice((0, 0, 0.5, 0.9)))
        answer = random.randrange(40, 3_000)
        thought = answer // 2 if model == "kimi-k2" else 0
        usage = Usage(prompt - cached, cached, 0, 0, answer - thought, thought)
        ended = (
            outcome
            or random.choices(
                (Outcome.OK, Outcome.CANCELLED, Outcome.TIMEOUT, Outcome.UPSTREAM_ERROR),
                weights=(94, 3, 1, 2),
            )[0]
        )
        if ended is Outcome.CANCELLED:
            usage = msgspec.structs.replace(usage, provenance=Provenance.COUNTED)
        elif ended is not Outcome.OK:
            usage = NO_USAGE
        self.closed(call, model, usage, ended, ordinal=1, final=True)
        return call

    def opened(self, model: str, person: str, run: str) -> bytes:
        self.number += 1
        call = uuid7(self.clock.now_us(), self.number.to_bytes(10, "big"))
        price = MODELS[model][1]
        bound = CostBound(price.currency, 30_000 * price.rates.input, price.rates.output)
        asked = OpenCall(
            self.number, call, self.clock.now_us(), key_id(f"{person}'s agent"), person, run, model, "chat",
            (bound,), False, 30_000, 4_000,
        )  # fmt: skip
        result = self.journal.apply(asked)
        assert isinstance(result, OpenResult) and not result.refused, result
        return call

    def closed(
        self,
        call: bytes,
        model: str,
        usage: Usage,
        outcome: Outcome,
        *,
        ordinal: int,
        final: bool,
        upstream: str = "",
        route: str = "",
    ) -> None:
        random, (usual, price) = self.random, MODELS[model]
        upstream = upstream or usual
        id, content = price_id(price)
        self.journal.apply(DefinePrice(0, id, content))
        ttft_us = int(random.lognormvariate(12.6, 0.5))
        known = usage.provenance is not Provenance.UNKNOWN
        self.clock.advance(ttft_us)
        self.journal.apply(
            CloseAttempt(
                0, call, call if ordinal == 1 else uuid7(self.clock.now_us(), b"\1" * 10), ordinal, final,
                self.clock.now_us(), upstream, f"{upstream}/{model}", model if known else "", usage,
                id if known else "", cost(price, usage) if known else None, price.currency if known else "",
                ttft_us if known else None, ttft_us + usage.completion * 12_000, 200 if known else 504,
                outcome, "" if outcome is Outcome.OK else f"{upstream} {outcome.value.replace('_', ' ')}",
                route=route,
            )
        )  # fmt: skip

    def _failover(self, at_us: int) -> None:
        """The call that the picture of one call shows: it broke off at one upstream and was answered by another."""
        self.clock.advance(max(0, at_us - self.clock.now_us()))
        call = self.opened("kimi-k2", "ann", "run-ann-1")
        broken = Usage(1_234, 8_192, 0, 0, 17)
        self.closed(call, "kimi-k2", broken, Outcome.UPSTREAM_BROKE, ordinal=1, final=False, route=_ROUTES[0])
        answered = Usage(1_240, 8_192, 0, 0, 512, 256)
        self.closed(call, "kimi-k2", answered, Outcome.OK, ordinal=2, final=True, route=_ROUTES[1])


def seed(data: Path, now_us: int = NOW_US) -> None:
    """Write the ledger into a directory that is there."""
    Seed(data, now_us).write()
    issue(data, "acme", "2026-10", FakeClock(now_us), key_id("owner"))
