"""The seeded ledger as the console's tests and pictures look at it: with keys to sign in by, and settings that serve its models."""

import hashlib
from pathlib import Path

import msgspec
from console_seed import NOW_US, SECRETS
from seeded_ledger import ELSEWHERE, MODELS, NEXT, seed_ledger

from tokenweir.core.clock import FakeClock
from tokenweir.ledger.changing import make_changes
from tokenweir.ledger.terms import Drained, DrainUpstream, KeyRecord, SetKey

_UPSTREAMS = sorted({NEXT, *(kind.upstream for kind in MODELS.values())})


def _price(model: str) -> str:
    price = MODELS[model].price
    if price is None:
        return ""
    rates = {
        "input": price.rates.input,
        "output": price.rates.output,
        "cache_read": price.rates.cache_read or 0,
    }
    told = ", ".join(f"{name} = {rate / 1e6:g}" for name, rate in rates.items())
    return f'price = {{ {told}, currency = "{price.currency}" }}\n'


def _deployments(model: str) -> str:
    names = [f"{MODELS[model].upstream}/{model}", *([f"{NEXT}/{model}"] if model == ELSEWHERE else [])]
    return msgspec.json.encode(names).decode()


SETTINGS = (
    "[local]\nenabled = false\n"
    + "".join(f'[[upstream]]\nname = "{name}"\nurl = "http://{name}.example/v1"\n' for name in _UPSTREAMS)
    + "".join(
        f'[[model]]\nname = "{model}"\ndeployments = {_deployments(model)}\n{_price(model)}'
        for model, kind in MODELS.items()
    )
)


def seed(data: Path, now_us: int = NOW_US) -> None:
    """Write it all into a directory."""
    seed_ledger(data, now_us)
    clock = FakeClock(now_us)
    changes = [SetKey(_key(role, SECRETS[role], now_us)) for role in ("owner", "member", "auditor")]
    refused = make_changes(data, [*changes, DrainUpstream(Drained("gpu-box", now_us, "new driver"))], clock)
    assert refused == "", refused


def _key(role: str, secret: str, now_us: int) -> KeyRecord:
    digest = hashlib.sha256(secret.encode()).digest()
    record = KeyRecord(f"key-{role}", role, "acme", digest, secret[:12], now_us, role=role)
    return record if role != "member" else msgspec.structs.replace(record, account="research")
