"""Who may do what: every operation of the admin API, asked by a key of each role, against a real gateway."""

from collections.abc import Iterator

import pytest
from admin_client import Admin, owner_of
from http_parts import Door, RawUpstream, raw_upstream

from tokenweir.admin.operations import OPERATIONS
from tokenweir.ledger.checks import ROLES

PRICE = '[[model]]\nname = "m"\ndeployments = ["raw/m"]\nprice = { input = 4.0, output = 16.0, currency = "CNY" }\n'
RATES = {"brackets": [{"input": "8", "output": "32"}], "currency": "CNY"}

#: Method, path and body of each operation, and the status for owner, admin, member, auditor. `{role}` is who asks:
#: each finds a thing of its own, so that what one does is not there already for the next.
CASES: tuple[tuple[str, str, object, str], ...] = (
    ("GET", "/openapi.json", None, "200 200 200 200"),
    ("GET", "/health", None, "200 200 200 200"),
    ("GET", "/me", None, "200 200 200 200"),
    ("GET", "/accounts", None, "200 200 200 200"),
    ("GET", "/accounts/team", None, "200 200 200 200"),
    ("GET", "/accounts/person", None, "200 200 200 200"),
    ("GET", "/accounts/other", None, "200 200 404 200"),
    ("GET", "/accounts/org", None, "200 200 404 200"),
    ("PUT", "/accounts/new-{role}", {"parent": "team"}, "200 200 403 403"),
    ("POST", "/accounts/of-{role}/close", None, "200 200 403 403"),
    ("POST", "/accounts/of-{role}/reopen", None, "200 200 403 403"),
    ("GET", "/keys", None, "200 200 200 200"),
    ("GET", "/keys/{own}", None, "200 200 200 200"),
    ("GET", "/keys/{other}", None, "200 200 404 200"),
    ("POST", "/keys", {"name": "new", "account": "team"}, "201 201 201 403"),
    ("POST", "/keys", {"name": "new", "account": "other"}, "201 201 403 403"),
    ("POST", "/keys", {"name": "new", "account": "team", "role": "member"}, "201 201 403 403"),
    ("POST", "/keys", {"name": "new", "account": "team", "role": "admin"}, "201 403 403 403"),
    ("POST", "/keys", {"name": "new", "account": "team", "role": "owner"}, "201 403 403 403"),
    ("PATCH", "/keys/{own}", {"name": "renamed"}, "200 200 403 403"),
    ("PATCH", "/keys/{owner}", {"name": "renamed"}, "200 403 403 403"),
    ("PATCH", "/keys/{own}", {"role": "owner"}, "200 403 403 403"),
    ("POST", "/keys/{own}/rotate", {"overlap_s": 60}, "200 200 200 403"),
    ("POST", "/keys/{owner}/rotate", {"overlap_s": 3600}, "200 403 404 403"),
    ("POST", "/keys/{other}/rotate", None, "200 200 404 403"),
    ("POST", "/keys/{own}/revoke", None, "200 200 200 403"),
    ("POST", "/keys/{owner}/revoke", None, "skip 403 404 403"),
    ("PUT", "/keys/{member}/password", {"password": "short"}, "422 422 422 403"),
    ("PUT", "/keys/{member}/password", {"password": "correct horse battery"}, "200 200 200 403"),
    ("PUT", "/keys/{owner}/password", {"password": "correct horse battery"}, "200 403 404 403"),
    ("PUT", "/keys/{own}/password", {"password": "correct horse battery"}, "422 422 422 403"),
    ("DELETE", "/keys/{member}/password", None, "200 422 422 403"),
    ("GET", "/limits", None, "200 200 200 200"),
    ("PUT", "/limits", {"scope": "account/of-{role}", "text": "¥5/day"}, "200 200 403 403"),
    ("DELETE", "/limits?scope=account/of-{role}&unit=tokens&window=total", None, "204 204 403 403"),
    ("GET", "/balances", None, "200 200 200 200"),
    ("GET", "/credits", None, "200 200 200 200"),
    ("POST", "/credits", {"account": "of-{role}", "id": "more", "amount": "5", "currency": "CNY"}, "201 201 403 403"),
    ("POST", "/credits/of-{role}/first/end", None, "200 200 403 403"),
    ("GET", "/plans", None, "200 200 200 200"),
    ("PUT", "/plans/new-{role}", {"name": "pro", "currency": "CNY", "fee": "99"}, "200 200 403 403"),
    ("DELETE", "/plans/of-{role}", None, "204 204 403 403"),
    ("GET", "/charges", None, "200 200 403 200"),
    ("PUT", "/charges", {"account": "of-{role}", "model": "new", "markup_bp": 100}, "200 200 403 403"),
    ("DELETE", "/charges?account=of-{role}&model=old", None, "204 204 403 403"),
    ("GET", "/rates", None, "200 200 200 200"),
    ("PUT", "/rates", {"base": "USD", "quote": "CNY", "day": "2026-11-25", "rate": "7.1"}, "200 200 403 403"),
    ("GET", "/standing-costs", None, "200 200 403 200"),
    ("PUT", "/standing-costs/of-{role}", {"upstream": "subscribed", "amount": "9", "currency": "USD", "per": "month"}, "200 200 403 403"),
    ("GET", "/usage?by=model", None, "200 200 200 200"),
    ("GET", "/calls", None, "200 200 200 200"),
    ("GET", "/calls/{call}", None, "200 200 200 200"),
    ("GET", "/calls/{other_call}", None, "200 200 404 200"),
    ("GET", "/invoices", None, "200 200 200 200"),
    ("GET", "/invoices/none", None, "404 404 404 404"),
    ("GET", "/invoices/preview?account=team&month=2020-01", None, "200 200 200 200"),
    ("GET", "/invoices/preview?account=other&month=2020-01", None, "200 200 404 200"),
    ("POST", "/invoices", {"account": "of-{role}", "month": "2020-01"}, "201 201 403 403"),
    ("GET", "/invoices/{invoice}", None, "200 200 200 200"),
    ("GET", "/invoices/{other_invoice}", None, "200 200 404 200"),
    ("GET", "/invoices/{invoice}/lines/99/calls", None, "404 404 404 404"),
    ("GET", "/invoices/{other_invoice}/lines/1/calls", None, "404 404 404 404"),
    ("POST", "/rerate", {"model": "none", "dry_run": True}, "200 200 403 200"),
    ("POST", "/rerate", {"model": "none"}, "200 200 403 403"),
    ("POST", "/standing-costs/gpus/spread", {"month": "2020-01", "dry_run": True}, "200 200 403 200"),
    ("POST", "/standing-costs/gpus/spread", {"month": "2020-01"}, "200 200 403 403"),
    ("POST", "/standing-costs/none/spread", {"month": "2020-01"}, "404 404 403 404"),
    ("POST", "/reconcile?upstream=none", None, "422 422 403 422"),
    ("GET", "/verify", None, "200 200 403 200"),
    ("GET", "/jobs", None, "200 200 200 200"),
    ("GET", "/jobs/none", None, "404 404 404 404"),
    ("GET", "/audit", None, "200 200 403 200"),
    ("GET", "/upstreams", None, "200 200 403 200"),
    ("POST", "/upstreams/none/drain", None, "404 404 403 403"),
    ("POST", "/upstreams/raw/drain", {"note": "new driver"}, "200 422 403 403"),
    ("POST", "/upstreams/raw/restore", None, "200 422 403 403"),
    ("GET", "/settings", None, "200 200 403 200"),
    ("PUT", "/settings/server.none", {"value": "1"}, "422 422 403 403"),
    ("PUT", "/settings/server.idle_timeout_s", {"value": "60.5"}, "200 422 403 403"),
)  # fmt: skip


class House:
    """A gateway with accounts, a key of each role, and calls of two accounts."""

    def __init__(self, door: Door) -> None:
        self.door, self.owner = door, owner_of(door)
        owner = self.owner
        for id, parent in (("org", ""), ("team", "org"), ("person", "team"), ("other", "")):
            owner.good("PUT", f"/accounts/{id}", {"parent": parent})
        self.ids: dict[str, str] = {"owner": owner.good("GET", "/me")["id"]}
        self.by_role: dict[str, Admin] = {"owner": owner}
        for role in ROLES[1:]:
            self.ids[role], self.by_role[role] = owner.key(role, account="team", role=role)
        self.ids["other"], _ = owner.key("rotated by some", account="other")
        _, self.stranger = owner.key("stranger", account="other")
        _, self.caller = owner.key("caller", account="person")
        self.call = self.called(self.caller)
        self.other_call = self.called(self.stranger)
        for role in ROLES:
            self._things(f"of-{role}")
        owner.good("PUT", "/charges", {"account": "other", "price": RATES})
        for name, account in (("invoice", "team"), ("other_invoice", "other")):
            issued = owner.good("POST", "/invoices", {"account": account, "month": "2020-01"})
            self.ids[name] = issued["id"]
        cost = {
            "upstream": "raw-gpu",
            "amount": "9",
            "currency": "CNY",
            "per": "month",
            "starts": "2019-01-01T00:00:00Z",
        }
        owner.good("PUT", "/standing-costs/gpus", cost)

    def _things(self, account: str) -> None:
        owner = self.owner
        owner.good("PUT", f"/accounts/{account}", {})
        owner.good("PUT", "/limits", {"scope": f"account/{account}", "text": "2M tokens"})
        owner.good("POST", "/credits", {"account": account, "id": "first", "amount": "1", "currency": "CNY"})
        owner.good("PUT", f"/plans/{account}", {"name": "basic", "currency": "CNY"})
        owner.good("PUT", "/charges", {"account": account, "model": "old", "markup_bp": 100})

    def called(self, who: Admin) -> str:
        """The id of a call that was answered."""
        answer = self.door.ask(self.door.chat().replace(self.door.key.encode(), who.secret.encode()))
        assert answer.status == 200, answer
        return answer.headers["x-weir-call"]

    def filled(self, text: str, role: str) -> str:
        """A path or a name for who asks. Keys that are changed are made anew each time."""
        if "{own}" in text:
            id, _ = self.owner.key("own", account="team")
            text = text.replace("{own}", id)
        names = {"role": role, "call": self.call, "other_call": self.other_call, **self.ids}
        for name, value in names.items():
            text = text.replace(f"{{{name}}}", value)
        return text


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    upstream = RawUpstream()
    door = Door(tmp_path_factory.mktemp("house"), raw_upstream(upstream.port), "workers = 2", PRICE)
    yield House(door)
    assert door.stop() == 0
    assert "Traceback" not in door.log.read_text()
    upstream.close()


def test_every_operation_is_asked_for_here() -> None:
    def shape(path: str) -> list[str]:
        return ["*" if "{" in part else part for part in path.partition("?")[0].split("/")]

    fixed = {part for row in OPERATIONS for part in shape(row.path)}
    asked = {
        (method, tuple(p if p in fixed and p != "*" else "*" for p in shape(path)))
        for method, path, _, _ in CASES
    }
    assert {(row.method, tuple(shape(row.path))) for row in OPERATIONS} <= asked


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} {case[1]}")
def test_each_role_gets_what_is_its_own(house: House, case: tuple[str, str, object, str]) -> None:
    method, path, body, expected = case
    got = []
    for role, status in zip(ROLES, expected.split(), strict=True):
        if status == "skip":
            got.append("skip")
            continue
        said = body
        if isinstance(body, dict):
            said = {n: house.filled(v, role) if isinstance(v, str) else v for n, v in body.items()}
        told, answer = house.by_role[role].ask(method, house.filled(path, role), said)
        got.append(str(told))
        if told >= 400:
            assert answer["status"] == told
            assert answer["detail"].endswith("."), answer
        if method == "POST" and path == "/keys/{owner}/rotate" and told == 200:
            house.by_role["owner"] = house.owner = Admin(house.door, answer["secret"])
    assert " ".join(got) == expected


def test_a_member_sees_its_account_and_those_below(house: House) -> None:
    member = house.by_role["member"]
    accounts = {item["id"] for item in member.items("/accounts")}
    assert {"team", "person"} <= accounts
    assert accounts.isdisjoint({"org", "other", "default"})
    assert {key["account"] for key in member.items("/keys", revoked="true")} <= accounts
    assert {call["account"] for call in member.items("/calls")} == {"person"}
    assert member.items("/calls", account="other") == []
    assert {call["account"] for call in house.owner.items("/calls")} == {"person", "other"}


def test_usage_of_a_member_is_its_own_in_every_grouping(house: House) -> None:
    member = house.by_role["member"]
    for by in ("model", "day", "account", "model,account", "key", "hour,upstream"):
        rows = member.good("GET", "/usage", by=by)["rows"]
        assert [row["calls"] for row in rows] == [1], by
        assert set(rows[0]["by"]) == set(by.split(","))
        assert rows[0]["cost"] == {"CNY": "0.000044"}  # 3 × 4 and 2 × 16, per million
    assert sum(row["calls"] for row in house.owner.good("GET", "/usage", by="model")["rows"]) == 2
    assert house.owner.good("GET", "/usage", by="model", account="org")["rows"][0]["calls"] == 1
    assert member.good("GET", "/usage", by="model", account="other")["rows"] == []


def test_limits_of_others_are_not_shown(house: House) -> None:
    house.owner.good("PUT", "/limits", {"scope": "account/team", "text": "¥5/day", "model": "m*"})
    house.owner.good("PUT", "/limits", {"scope": "account/other", "text": "¥5/day"})
    scopes = {limit["scope"] for limit in house.by_role["member"].items("/limits")}
    assert "account/team" in scopes
    assert "account/other" not in scopes
    shown = house.by_role["member"].items("/limits", scope="account/team")
    assert [(s["unit"], s["amount"], s["spent"], s["left"], s["model"]) for s in shown] == [
        ("CNY", "5", "0.000044", "4.999956", "m*")
    ]
    assert house.by_role["member"].items("/limits", scope="account/other") == []


def test_the_cost_of_what_is_charged_otherwise_is_not_the_customers_to_know(house: House) -> None:
    _, customer = house.owner.key("customer", account="other", role="member")
    call = house.called(house.stranger)
    theirs, ours = (who.good("GET", f"/calls/{call}") for who in (customer, house.owner))
    assert theirs["call"]["charge"] == ours["call"]["charge"] == {"CNY": "0.000088"}
    assert (theirs["call"]["cost"], ours["call"]["cost"]) == ({}, {"CNY": "0.000044"})
    assert theirs["entries"][-1]["cost"] is None
    for entry, name, rate in ((theirs["entries"][-1], "charge", "8"), (ours["entries"][-1], "cost", "4")):
        line = entry[name]["lines"][0]
        assert (line["token_class"], line["tokens"], line["per_million"]) == ("input", 3, rate)
    usage = customer.good("GET", "/usage", by="model")["rows"][0]
    assert usage["charge"] == {"CNY": "0.000088"}
    assert (usage["cost"], usage["margin"]) == ({}, {})
    (whole,) = house.owner.good("GET", "/usage", by="model", account="other")["rows"]
    assert whole["margin"] == {"CNY": "0.000044"}
    assert theirs["entries"][-1]["charge"]["price"] == ""


def test_a_members_new_key_stays_within_its_own(house: House) -> None:
    def member(**bounds: object) -> Admin:
        return house.owner.key("bounded", account="team", role="member", **bounds)[1]

    narrow = member(models=["qwen*", "kimi"], expires="2099-01-01T00:00:00Z")
    fits = {"models": ["kimi"], "expires": "2098-01-01T00:00:00Z"}
    assert narrow.ask("POST", "/keys", {"name": "n", **fits})[0] == 201
    for wider in ({"models": []}, {"models": ["*"]}, {"expires": None}, {"expires": "2099-01-02T00:00:00Z"}):
        status, told = narrow.ask("POST", "/keys", {"name": "n", **fits, **wider})
        assert (status, told["code"]) == (403, "forbidden"), wider
    wide, _ = house.owner.key("wide", account="team")
    assert narrow.ask("POST", f"/keys/{wide}/rotate")[0] == 403
    limited = member(limits=["¥1"])
    assert limited.ask("POST", "/keys", {"name": "n"})[0] == 403
    status, told = member(run="r1").ask("POST", "/keys", {"name": "n"})
    assert status == 201
    assert told["key"]["run"] == "r1"


def test_a_key_without_a_role_is_for_calls_alone(house: House) -> None:
    for secret, status, code in (
        (house.caller.secret, 403, "no_role"),
        ("sk-weir-none", 401, "unauthorized"),
        ("", 401, "unauthorized"),
    ):
        answer = Admin(house.door, secret).send("GET", "/me")
        assert answer.status == status
        assert code.encode() in answer.body
        assert answer.headers["content-type"] == "application/problem+json"
        assert ("www-authenticate" in answer.headers) == (status == 401)
    assert house.door.ask(b"GET /api/v1/me HTTP/1.1\r\nhost: x\r\n\r\n").status == 401


def test_members_of_a_closed_account_are_shut_out_until_it_is_opened_again(house: House) -> None:
    _, member = house.owner.key("m", account="person", role="member")
    house.owner.good("POST", "/accounts/team/close")
    assert member.ask("GET", "/me")[0] == 403
    house.owner.good("POST", "/accounts/team/reopen")
    assert member.ask("GET", "/me")[0] == 200
