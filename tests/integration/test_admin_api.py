"""The admin API before a real gateway of two workers: what it changes is in force at once, and stands in the audit."""

import json
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from admin_client import Admin, owner_of, segment
from http_parts import Door, RawUpstream, Wire, chunked, raw_upstream, wait_for

from tokenweir.ledger.verify import verify

CONNECTIONS = 40
MODELS = "".join(
    f'[[model]]\nname = "{name}"\ndeployments = ["raw/{name}"]\n'
    'price = { input = 4.0, output = 16.0, currency = "CNY" }\n'
    for name in ("m", "n")
)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    upstream = RawUpstream()
    made = Door(tmp_path_factory.mktemp("admin"), raw_upstream(upstream.port), "workers = 2", MODELS)
    yield made
    assert made.stop() == 0
    log = made.log.read_text()
    assert "Traceback" not in log
    assert set(re.findall("sk-weir-[a-z0-9]+", log)) == {owner_of(made).secret}  # that of the greeting
    assert verify(made.data).ok
    upstream.close()


@pytest.fixture(scope="module")
def owner(door: Door) -> Admin:
    return owner_of(door)


def chat(door: Door, secret: str, *, path: str = "/v1/chat/completions", **more: object) -> bytes:
    body = json.dumps(
        {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}], **more}
    ).encode()
    return door.post(body, path=path).replace(door.key.encode(), secret.encode())


def test_a_revoked_key_stops_working_on_every_worker_at_once(door: Door, owner: Admin) -> None:
    id, caller = owner.key("caller")
    with ExitStack() as stack:
        wires = [stack.enter_context(door.connect()) for _ in range(CONNECTIONS)]

        def call(wire: Wire) -> int:
            wire.send(chat(door, caller.secret))
            return wire.message().status

        with ThreadPoolExecutor(CONNECTIONS) as pool:
            assert set(pool.map(call, wires)) == {200}
            assert owner.good("POST", f"/keys/{id}/revoke")["revoked"]
            assert set(pool.map(call, wires)) == {401}
    status, told = owner.ask("PATCH", f"/keys/{id}", {"name": "again"})
    assert (status, told["code"]) == (422, "refused")


def test_a_key_expires(door: Door, owner: Admin) -> None:
    id, caller = owner.key("caller", expires="2099-01-01T00:00:00+08:00")
    assert door.ask(chat(door, caller.secret)).status == 200
    assert owner.good("GET", f"/keys/{id}")["expires"] == "2098-12-31T16:00:00Z"
    owner.good("PATCH", f"/keys/{id}", {"expires": "2020-01-01T00:00:00Z"})
    assert door.ask(chat(door, caller.secret)).status == 401
    owner.good("PATCH", f"/keys/{id}", {"expires": None})
    assert door.ask(chat(door, caller.secret)).status == 200
    assert owner.ask("POST", "/keys", {"name": "late", "expires": "2020-01-01T00:00:00Z"})[0] == 422
    assert owner.ask("POST", "/keys", {"name": "late", "expires": "2020-01-01T00:00:00"})[0] == 422  # no zone


def test_a_key_may_ask_for_its_models_in_its_dialects(door: Door, owner: Admin) -> None:
    id, caller = owner.key("caller", models=["m"], dialects=["chat"])
    assert door.ask(chat(door, caller.secret)).status == 200
    for refused in (chat(door, caller.secret, model="n"), chat(door, caller.secret, path="/v1/messages")):
        answer = door.ask(refused)
        assert answer.status == 403
        assert b"not_allowed" in answer.body
    owner.good("PATCH", f"/keys/{id}", {"models": [], "dialects": []})
    assert door.ask(chat(door, caller.secret, model="n")).status == 200
    assert owner.ask("PATCH", f"/keys/{id}", {"dialects": ["telex"]})[0] == 422


def test_both_secrets_are_good_while_a_rotation_overlaps(door: Door, owner: Admin) -> None:
    id, first = owner.key("caller")
    second = owner.good("POST", f"/keys/{id}/rotate", {"overlap_s": 3600})
    assert second["key"]["old_secret_until"] > second["key"]["created"]
    assert [door.ask(chat(door, secret)).status for secret in (first.secret, second["secret"])] == [200, 200]
    third = owner.good("POST", f"/keys/{id}/rotate")
    secrets = (first.secret, second["secret"], third["secret"])
    assert [door.ask(chat(door, secret)).status for secret in secrets] == [401, 401, 200]
    told = json.dumps([owner.items("/keys"), owner.items("/audit")])
    assert not any(secret in told for secret in secrets)
    assert door.weir("keys", "list", "--json").count(id) == 1


def test_no_change_of_a_key_undoes_another_that_was_made_meanwhile(door: Door, owner: Admin) -> None:
    id, _ = owner.key("caller")
    changes = [
        ("PATCH", "", {"name": "new"}),
        ("PATCH", "", {"models": ["m"]}),
        ("PATCH", "", {"dialects": ["chat"]}),
    ]
    changes += [("POST", "/rotate", {"overlap_s": 60})] * 4
    with ThreadPoolExecutor(len(changes)) as pool:
        told = list(pool.map(lambda c: owner.good(c[0], f"/keys/{id}{c[1]}", c[2]), changes))
    key = owner.good("GET", f"/keys/{id}")
    assert (key["name"], key["models"], key["dialects"]) == ("new", ["m"], ["chat"])
    secrets = [answer["secret"] for answer in told if "secret" in answer]
    assert (
        sum(door.ask(chat(door, secret)).status == 200 for secret in secrets) == 2
    )  # the last, and the one before


def test_a_limit_is_in_force_when_it_is_answered(door: Door, owner: Admin) -> None:
    id, caller = owner.key("caller", limits=["10 calls"])
    assert door.ask(chat(door, caller.secret)).status == 200
    limit = {"scope": f"key/{id}", "unit": "calls", "amount": "1", "window": "day"}
    told = owner.good("PUT", "/limits", limit)
    assert (told["spent"], told["left"], told["text"]) == ("1", "0", "1 calls/day")
    assert told["renews"].endswith("T00:00:00Z")
    assert door.ask(chat(door, caller.secret)).status == 402
    owner.good("DELETE", "/limits", scope=f"key/{id}", unit="calls", window="day")
    assert door.ask(chat(door, caller.secret)).status == 200
    (left,) = owner.items("/limits", scope=f"key/{id}")
    assert (left["amount"], left["spent"], left["window"], left["renews"]) == ("10", "2", "total", None)
    both = {"scope": f"key/{id}", "text": "5 calls", "unit": "calls"}
    for wrong in (
        both,
        {"scope": f"key/{id}"},
        {"scope": "key/none", "text": "5 calls"},
        {"scope": f"key/{id}", "text": "five"},
    ):
        assert owner.ask("PUT", "/limits", wrong)[0] == 422, wrong


def test_credit_holds_an_account_to_what_it_has(door: Door, owner: Admin) -> None:
    owner.good("PUT", "/accounts/paying", {"name": "Pays before"})
    _, caller = owner.key("caller", account="paying")
    credit = {"account": "paying", "id": "first", "amount": "0.01", "currency": "CNY"}
    assert owner.good("POST", "/credits", credit)["left"] == "0.01"
    status, told = owner.ask("POST", "/credits", credit)
    assert (status, told["code"]) == (409, "exists")
    assert door.ask(chat(door, caller.secret)).status == 200
    (balance,) = owner.items("/balances", account="paying")
    assert (balance["available"], balance["currency"]) == ("0.009956", "CNY")
    assert owner.good("POST", "/credits/paying/first/end")["expired"]
    assert door.ask(chat(door, caller.secret)).status == 402
    status, told = owner.ask("POST", "/credits", {**credit, "id": "second", "currency": "USD"})
    assert (status, told["code"]) == (422, "refused")


def test_the_audit_says_who_changed_what(door: Door, owner: Admin) -> None:
    admin_id, admin = owner.key("Ada", role="admin")
    before = owner.items("/audit")[-1]["seq"]
    admin.good("PUT", "/accounts/audited", {"time_zone": "Asia/Shanghai"})
    admin.good("PUT", "/limits", {"scope": "account/audited", "text": "¥5/day soft", "model": "qwen*"})
    made, _ = admin.key("k", account="audited")
    owner.good("POST", f"/keys/{made}/revoke")
    door.weir("keys", "create", "--name", "by hand")
    told = owner.items("/audit", after=before, limit=2)
    mine = owner.good("GET", "/me")
    assert [(entry["actor"], entry["actor_name"], entry["kind"], entry["subject"]) for entry in told[:4]] == [
        (admin_id, "Ada", "account", "account/audited"),
        (admin_id, "Ada", "limit", "account/audited"),
        (admin_id, "Ada", "key", f"key/{made}"),
        (mine["id"], mine["name"], "revoke", f"key/{made}"),
    ]
    assert (told[4]["actor"], told[4]["kind"]) == ("command line", "key")
    assert told[0]["account"]["time_zone"] == "Asia/Shanghai"
    assert told[1]["limit"]["text"] == "5 CNY/day soft"
    assert told[2]["key"]["account"] == "audited"
    assert told[1]["what"] == "limit 5 CNY/day soft of qwen* on account/audited"
    assert [entry["at"] for entry in told] == sorted(entry["at"] for entry in told)
    assert [e["seq"] for e in owner.items("/audit", subject=f"key/{made}")] == [
        told[2]["seq"],
        told[3]["seq"],
    ]
    assert len(owner.items("/audit", actor=admin_id)) == 3


def test_lists_come_in_pages(owner: Admin) -> None:
    ids = sorted(owner.key(f"page {number}", account="pages")[0] for number in range(7))
    for limit in (1, 3, 7, 8):
        assert [key["id"] for key in owner.items("/keys", account="pages", limit=limit)] == ids
    first = owner.good("GET", "/keys", account="pages", limit=3)
    assert (len(first["items"]), first["next"]) == (3, ids[2])
    for wrong in (0, 1001, "x", -1):
        assert owner.ask("GET", "/keys", limit=wrong)[0] == 422


def test_a_price_book_is_read_as_it_was_written(owner: Admin) -> None:
    price = {
        "currency": "CNY",
        "brackets": [
            {"above": 0, "input": "0.8", "output": "2", "cache_read": "0.08"},
            {"above": 128_000, "input": "1.2", "output": "16"},
        ],
        "windows": [
            {
                "weekdays": [0, 4],
                "start_minute": 0,
                "end_minute": 510,
                "brackets": [{"input": "0.4", "output": "1"}],
            }
        ],
        "time_zone": "Asia/Shanghai",
        "ref": "our list of November",
    }
    rule = {"account": "book", "model": "qwen*", "valid_from": "2026-11-01T00:00:00.000001Z", "price": price}
    told = owner.good("PUT", "/charges", rule)
    assert [told] == owner.items("/charges", account="book")
    assert told["valid_from"] == rule["valid_from"]
    assert told["price"]["brackets"][1]["output"] == "16"
    assert told["price"]["brackets"][0]["cache_read"] == "0.08"
    again = {name: value for name, value in told.items() if value is not None}
    assert owner.good("PUT", "/charges", again) == told
    name = {"account": "book", "model": "qwen*", "valid_from": rule["valid_from"]}
    owner.good("DELETE", "/charges", **name)
    assert owner.ask("DELETE", "/charges", **name)[0] == 404
    for wrong in (
        {"time_zone": "Mars/Olympus"},
        {"brackets": [{"above": 5, "input": "1", "output": "1"}]},
        {"brackets": []},
        {"brackets": [{"input": "1e3", "output": "1"}]},
        {"brackets": [{"input": "0.0000001", "output": "1"}]},
        {"currency": "cny"},
    ):
        assert owner.ask("PUT", "/charges", {**rule, "price": {**price, **wrong}})[0] == 422, wrong
    assert owner.ask("PUT", "/charges", {**rule, "markup_bp": 1})[0] == 422


def test_what_is_no_request_is_told_so(owner: Admin) -> None:
    def post(body: bytes, path: str = "/keys", method: str = "POST") -> tuple[int, str]:
        answer = owner.send(method, path, body)
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.status, json.loads(answer.body)["code"]

    assert post(b'{"name": ') == (400, "malformed")
    assert post(b'{"name": "\xff"}') == (400, "malformed")
    assert post(b'{"name": "\\ud800"}') == (400, "malformed")
    assert post(b"[" * 100_000) == (422, "wrong_form")
    assert post(b"[]") == (422, "wrong_form")
    assert post(b"") == (422, "wrong_form")
    assert post(b'{"name": "x", "Name": "y"}') == (422, "wrong_form")
    assert post(b'{"name": "a\\u0000b"}') == (422, "wrong_form")
    assert post(b'{"name": "%b"}' % (b"a" * 201)) == (422, "wrong_form")
    assert post(b'{"name": "x", "role": "king"}') == (422, "wrong_form")
    assert post(b'{"overlap_s": 99999999999}', "/keys/none/rotate") == (422, "wrong_form")
    assert post(b"", "/keys?name=x") == (422, "wrong_form")
    assert post(b"", "/audit?after=1&after=2", "GET") == (422, "wrong_form")
    assert post(b"", "/audit?after=99999999999999999999", "GET") == (422, "wrong_form")
    assert post(b"", "/keys?" + "&".join(f"p{n}=1" for n in range(100)), "GET") == (422, "wrong_form")
    assert post(b"{}", "/keys", "DELETE") == (405, "method_not_allowed")
    assert owner.send("DELETE", "/keys").headers["allow"] == "GET, POST"
    assert post(b"", "/nothing", "GET") == (404, "not_found")
    assert post(b"", "/keys/", "GET") == (404, "not_found")


@pytest.mark.parametrize(
    "id", ["../../etc/passwd", "a/b", "'; DROP TABLE entries; --", "%00", "\x00", "é" * 70, "\u202ex", "a" * 3000, ".", "..", "*"]
)  # fmt: skip
def test_hostile_ids_are_names_of_nothing(owner: Admin, id: str) -> None:
    for method, path, body in (
        ("GET", "/accounts/{}", None),
        ("PUT", "/accounts/{}", {}),
        ("POST", "/accounts/{}/close", None),
        ("GET", "/keys/{}", None),
        ("PATCH", "/keys/{}", {}),
        ("GET", "/calls/{}", None),
        ("POST", "/credits/{}/{}/end", None),
        ("PUT", "/standing-costs/{}", {"upstream": "u", "amount": "1", "currency": "USD", "per": "month"}),
    ):
        status, told = owner.ask(method, path.replace("{}", segment(id)), body)
        assert status in (404, 422), (method, path)
        assert told["detail"]
    assert owner.ask("GET", "/calls", account=id[:100])[0] in (200, 422)
    assert owner.ask("PUT", "/limits", {"scope": f"account/{id[:100]}", "text": "1 calls"})[0] == 422


def test_bodies_are_bounded(door: Door, owner: Admin) -> None:
    long = b'{"name": "' + b"x" * (2 * 1024 * 1024) + b'"}'
    assert owner.send("POST", "/keys", long).status == 413
    head = f"POST /api/v1/keys HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {owner.secret}\r\ntransfer-encoding: chunked\r\n\r\n"
    answer = door.ask(head.encode() + chunked(*[long[:65_536]] * 32))
    assert answer.status == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert owner.ask("GET", "/me")[0] == 200


def control_pid(door: Door) -> int:
    """The child of the supervisor that has the control socket."""
    inodes = {
        line.split()[6]
        for line in Path("/proc/net/unix").read_text().splitlines()
        if line.endswith("/control.sock")
    }
    for pid in door.children():
        for link in Path(f"/proc/{pid}/fd").iterdir():
            if link.readlink().name.removeprefix("socket:[").removesuffix("]") in inodes:
                return pid
    return 0


def test_a_killed_control_process_comes_back(door: Door, owner: Admin) -> None:
    killed = control_pid(door)
    os.kill(killed, signal.SIGKILL)
    assert owner.ask("GET", "/me")[0] == 200  # it waits for the one that comes
    assert wait_for(lambda: control_pid(door), "the control process") != killed
    assert "control process ended (killed by signal 9" in door.log.read_text()
    assert door.ask(chat(door, door.key)).status == 200


def test_without_a_control_process_calls_go_on(door: Door, owner: Admin) -> None:
    sock, aside = door.data / "control.sock", door.data / "control.aside"
    sock.rename(aside)
    try:
        answer = owner.send("GET", "/me")
        assert answer.status == 503
        assert answer.headers["retry-after"] == "1"
        assert json.loads(answer.body)["code"] == "control_away"
        assert door.ask(chat(door, door.key)).status == 200
    finally:
        aside.rename(sock)
    assert owner.ask("GET", "/me")[0] == 200


def test_only_this_user_may_connect_to_the_control_process(door: Door) -> None:
    assert (door.data / "control.sock").stat().st_mode & 0o777 == 0o600


def test_a_head_tells_the_length_of_the_answer(door: Door, owner: Admin) -> None:
    document = owner.send("GET", "/openapi.json")
    assert json.loads(document.body)["openapi"].startswith("3.1")
    with door.connect() as wire:
        wire.send(
            f"HEAD /api/v1/openapi.json HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {owner.secret}\r\n\r\n".encode()
        )
        head = wire.message(bodiless=True)
        assert head.headers["content-length"] == str(len(document.body))
        wire.send(door.head("GET", "/healthz"))
        assert wire.message().status == 200
