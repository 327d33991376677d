"""Whatever bytes come as a request, the admin API answers with a problem or does it; it never fails, and keeps its secrets."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes, urlencode

import msgspec
import pytest
from admin_inside import ask, desk_of
from billed_ledger import DAY_US, NOVEMBER_US, USD, Books
from fitting import MOMENTS, fitting, query_texts
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from tokenweir.admin.app import make_app
from tokenweir.admin.forms import Moment, micros, moment
from tokenweir.admin.operation import Operation
from tokenweir.admin.operations import OPERATIONS, PREFIX
from tokenweir.core.money import parse_amount
from tokenweir.core.usage import Usage
from tokenweir.ledger.changing import make_changes
from tokenweir.ledger.terms import AccountRecord, KeyRecord, SetAccount, SetKey, SetStandingCost, StandingCost
from tokenweir.ledger.views.terms import terms_now

SECRET = "sk-weir-owner"
HASH = hashlib.sha256(SECRET.encode()).digest()


class FixedClock:
    def now_us(self) -> int:
        return NOVEMBER_US + 31 * DAY_US

    def steady_us(self) -> int:
        return 0


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starlette]:
    data = tmp_path_factory.mktemp("ledger")
    record = KeyRecord("key_owner", "owner", "acme", HASH, "sk-weir-owne", 0, role="owner")
    other = KeyRecord("key_other", "other", "acme", b"o" * 32, "sk-weir-othe", 0)
    with Books(data) as books:
        books.account("acme")
        for number in range(3):
            books.call("acme", Usage(input=1_000 + number, output=100), charge=USD)
        books.call("acme", Usage(input=9), None)
    cost = StandingCost("5", "up", "CNY", 10**12, "month", from_us=NOVEMBER_US)
    changes = [SetAccount(AccountRecord("acme")), SetKey(record), SetKey(other), SetStandingCost(cost)]
    assert make_changes(data, changes, FixedClock()) == ""
    yield make_app(desk_of(data, FixedClock()))
    check_terms(data)


def check_terms(data: Path) -> None:
    """Nothing got in that could not be shown, or that no limit of 64 bits could hold."""
    terms = terms_now(data)
    for limits in terms.limits.values():
        assert all(0 <= limit.amount < 2**63 for limit in limits.values())
    for credits in terms.credits.values():
        assert all(0 < credit.pico < 2**63 for credit in credits.values())
    assert terms.keys["key_owner"].hash == HASH


def check(app: Starlette, method: str, path: str, query: bytes, body: bytes) -> int:
    status, told = ask(app, method, path, query, body, SECRET.encode())
    assert 200 <= status < 500 or status == 503, (method, path, query, body, told)
    assert HASH not in told
    assert HASH.hex().encode() not in told
    if status >= 400:
        assert set(json.loads(told)) == {"type", "title", "status", "detail", "code"}
    return status


WORDS = st.sampled_from(["acme", "key_other", "account/acme", "key/key_other", "run/r", "¥5/day", "5", "0.25", "CNY", "USD", "tokens", "day", "hard", "2026-11-25", "2026-11-25T08:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "", "0", "99999999999999999999.999999999999", "*", "owner", "2026-11", "2025-10", "up", "1", "2026-11-0001"])  # fmt: skip
SCALARS = st.one_of(
    WORDS, st.text(max_size=40), st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


def members(form: type) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with the members of a form, mostly; their values are often what the member takes."""
    names = [field.encode_name for field in msgspec.structs.fields(form)]
    return st.dictionaries(st.sampled_from(names), VALUES | WORDS, max_size=len(names))


PATHS = st.sampled_from(OPERATIONS).flatmap(
    lambda row: st.tuples(
        st.just(row), st.lists(WORDS | st.text(min_size=1, max_size=20), min_size=2, max_size=2)
    )
)


HEADER = "账单号,账期(自然日),模型编码（推理专用）,用量,用量单位,币种,总消费金额（结算金额加总）,价格类型\n"
CELLS = st.sampled_from(["b", "2026-11-23", "glm-4.6", "m", "1200", "-1", "tokens", "CNY", "0.5", "1e9", "输入", "输出", ""]) | st.text(max_size=6)  # fmt: skip
BILLS = st.binary(max_size=200) | st.lists(st.lists(CELLS, min_size=7, max_size=9), max_size=3).map(
    lambda rows: (HEADER + "\n".join(map(",".join, rows))).encode()
)


def path_of(row: Operation, ids: list[str]) -> str:
    path = PREFIX + row.path
    for name, id in zip(row.parameters, ids, strict=False):
        path = path.replace(f"{{{name}}}", id.replace("/", "") or "x")
    return path


@given(PATHS, st.binary(max_size=200), st.binary(max_size=60))
def test_bytes_of_any_kind_are_answered(
    app: Starlette, where: tuple[Operation, list[str]], body: bytes, query: bytes
) -> None:
    row, ids = where
    check(app, row.method, path_of(row, ids), query, body)


@settings(max_examples=300)
@given(PATHS, st.data())
def test_forms_of_any_filling_are_answered(
    app: Starlette, where: tuple[Operation, list[str]], data: st.DataObject
) -> None:
    row, ids = where
    body, query = b"", b""
    if row.body is bytes:
        body = data.draw(BILLS)
    elif row.body is not None:
        said = data.draw(fitting(row.body, WORDS) | members(row.body))
        body = json.dumps(said).encode()
    if row.query is not None:
        asked = query_texts(data.draw(fitting(row.query, WORDS)))
        query = "&".join(f"{name}={quote_from_bytes(text.encode())}" for name, text in asked.items()).encode()
    check(app, row.method, path_of(row, ids), query, body)


@given(BILLS, st.sampled_from(["", "zhipuai", "nobody"]), WORDS, WORDS, WORDS)
def test_bills_of_any_bytes_are_answered(
    app: Starlette, bill: bytes, provider: str, since: str, until: str, key: str
) -> None:
    said = {"upstream": "up", "provider": provider, "since": since, "until": until, "key": key}
    check(app, "POST", f"{PREFIX}/reconcile", urlencode(said).encode(), bill)


@given(WORDS, WORDS, st.integers(-1, 30).map(str), st.sampled_from(["preview", "spread", "issue", "explain"]))
def test_months_and_lines_of_any_kind_are_answered(
    app: Starlette, account: str, month: str, line: str, what: str
) -> None:
    said = {"account": account, "month": month}
    match what:
        case "preview":
            check(app, "GET", f"{PREFIX}/invoices/preview", urlencode(said).encode(), b"")
        case "issue":
            check(app, "POST", f"{PREFIX}/invoices", b"", json.dumps(said).encode())
        case "spread":
            body = json.dumps({"month": month}).encode()
            check(app, "POST", f"{PREFIX}/standing-costs/5/spread", b"", body)
        case _:
            check(app, "GET", f"{PREFIX}/invoices/2026-11-0001/lines/{line}/calls", b"", b"")


@given(st.binary(max_size=80))
def test_no_secret_but_the_right_one_opens_it(app: Starlette, secret: bytes) -> None:
    expected = 200 if secret.strip() == SECRET.encode() else 401
    assert ask(app, "GET", f"{PREFIX}/me", b"", b"", secret)[0] == expected


@given(st.integers(-(2**80), 2**80))
def test_every_moment_can_be_shown(at_us: int) -> None:
    shown = moment(at_us)
    assert micros(shown) == at_us or abs(at_us) > 60_000_000 * 1_000_000 * 1_000


@given(MOMENTS)
def test_a_moment_that_is_said_can_be_shown(text: str) -> None:
    said = msgspec.json.decode(msgspec.json.encode(text), type=Moment)
    shown = msgspec.json.encode(moment(micros(said)))
    assert micros(msgspec.json.decode(shown, type=Moment)) == micros(said) or text.startswith(
        ("0001", "9999")
    )


@given(st.integers(0, 2**62), st.sampled_from(["CNY", "USD"]))
def test_an_amount_comes_back_as_it_was_said(app: Starlette, pico: int, currency: str) -> None:
    whole, part = divmod(pico, 10**12)
    body = {"scope": "account/acme", "unit": currency, "amount": f"{whole}.{part:012d}", "window": "total"}
    status, told = ask(app, "PUT", f"{PREFIX}/limits", b"", json.dumps(body).encode(), SECRET.encode())
    assert status == 200
    assert parse_amount(json.loads(told)["amount"]) == pico
