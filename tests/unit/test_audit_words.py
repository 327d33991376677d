"""Every change of terms has words, and none of them is a secret or the hash of one."""

import typing

import pytest

from tokenweir.catalog.charges import ChargeRule
from tokenweir.catalog.price import Bracket, Price, Rates
from tokenweir.core.money import PICO
from tokenweir.ledger import terms as t
from tokenweir.ledger.views.audit import in_words

DAY_US = 86_400_000_000
FROM_US = 20_782 * DAY_US  # 2026-11-25
HASH = bytes(range(200, 232))
KEY = t.KeyRecord(
    "key_1", "ci", "acme", HASH, "sk-weir-abcd", 0, models=("kimi-*",), dialects=("chat",), role="member",
    old_hash=HASH[::-1], old_until_us=FROM_US,
)  # fmt: skip
OWN = Price("price book of acme", "CNY", (Bracket(0, Rates(4_000_000, 16_000_000, cache_read=1_000_000)),))

CHANGES: list[tuple[t.Change, str]] = [
    (
        t.SetAccount(
            t.AccountRecord("acme", "group", "Acme Ltd", "Asia/Shanghai", "bill", closed_us=FROM_US)
        ),
        'account acme, under group, "Acme Ltd", time zone Asia/Shanghai, bills beyond credit, closed 2026-11-25T00:00:00Z',
    ),
    (
        t.SetKey(KEY),
        "key key_1 (ci) of acme, sk-weir-abcd…, models kimi-*, dialects chat, role member, "
        "its secret before good until 2026-11-25T00:00:00Z",
    ),
    (
        t.SetKey(
            t.KeyRecord(
                "key_2", "run", "a", HASH, "sk-weir-abcd", 0, run="run_1", launched=True, keep_text_s=604_800
            )
        ),
        "key key_2 (run) of a, sk-weir-abcd…, run run_1, the text of its calls is kept for 604800 s",
    ),
    (t.RevokeKey("key_1", FROM_US), "key key_1 revoked"),
    (
        t.SetLimit("account/acme", t.Limit("CNY", 5 * PICO, "month", "soft", "kimi-*")),
        "limit 5 CNY/month soft of kimi-* on account/acme",
    ),
    (t.RemoveLimit("run/nightly", "", "tokens", "total"), "no limit of tokens in total on run/nightly"),
    (
        t.AddCredit(t.Credit("first", "acme", "CNY", 1000 * PICO, 0, FROM_US, "invoice 17")),
        "credit first of 1000 CNY for acme, expires 2026-11-25T00:00:00Z, invoice 17",
    ),
    (t.EndCredit("acme", "first", FROM_US), "credit first of acme ended"),
    (
        t.SetPlan("acme", t.Plan("team", "CNY", 99 * PICO, 10_000_000, "tokens", 2_000, FROM_US)),
        "plan team for acme: 99 CNY a month with 10000000 tokens, beyond it +20 %, from 2026-11-25T00:00:00Z",
    ),
    (t.SetPlan("acme", None), "no plan for acme"),
    (
        t.SetCharge("", ChargeRule(markup_bp=2_500, valid_from_us=FROM_US)),
        "everybody is charged +25 % for *, from 2026-11-25T00:00:00Z",
    ),
    (
        t.SetCharge("acme", ChargeRule("kimi-*", price=OWN)),
        "acme is charged 4 in, 1 cached, 16 out CNY per million for kimi-*",
    ),
    (t.RemoveCharge("acme", "kimi-*", 0), "no charge of its own for kimi-* to acme"),
    (
        t.SetRate(t.ExchangeRate("USD", "CNY", "2026-11-01", 71 * PICO // 10, "our bank")),
        "1 USD = 7.1 CNY from 2026-11-01 (our bank)",
    ),
    (
        t.SetStandingCost(t.StandingCost("gpus", "vllm", "USD", 5 * PICO // 2, "hour", 8, "time", FROM_US)),
        "standing cost gpus of vllm: 2.5 USD an hour each of 8, by time, from 2026-11-25T00:00:00Z",
    ),
    (
        t.IssueInvoice(t.Invoice("2026-11-acme", "acme", "2026-11", FROM_US, 7, (("CNY", 3 * PICO),))),
        "invoice 2026-11-acme to acme for 2026-11: 3 CNY",
    ),
    (t.SetPassword("key_1", "$argon2id$v=19$secret"), "password of key key_1 for the console"),
    (t.SetPassword("key_1", ""), "no password of key key_1 for the console"),
    (
        t.DrainUpstream(t.Drained("vllm", FROM_US, "new driver")),
        "upstream vllm gets no new calls, new driver",
    ),
    (t.RestoreUpstream("vllm"), "upstream vllm gets calls again"),
    (
        t.NoteCorrection("r1", "rerate", "a wrong price", 1_234),
        "correction r1 (rerate) of 1,234 entries: a wrong price",
    ),
    (t.ChangeSetting("server.strict", "true", "false"), "setting server.strict: true, before false"),
    (
        t.ChangeSetting("ledger.data", "", "/srv/weir", by_default=True),
        "setting ledger.data as by default: –, before /srv/weir",
    ),
]


@pytest.mark.parametrize(("change", "words"), CHANGES, ids=lambda value: type(value).__name__)
def test_a_change_in_words(change: t.Change, words: str) -> None:
    assert in_words(change) == words


def test_every_kind_of_change_is_among_them() -> None:
    assert {type(change) for change, _ in CHANGES} == set(typing.get_args(t.Change))


def test_no_hash_is_told() -> None:
    told = in_words(t.SetKey(KEY))
    assert HASH.hex()[:8] not in told
    assert "xc8" not in told
