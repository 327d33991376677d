"""What a key may do, and what a running gateway counts for whom: models and dialects, ends and rotations, limits above a call."""

import hashlib
import json
import time
from collections.abc import Iterator
from http.client import HTTPConnection

import msgspec
import pytest
from weir_process import DEADLINE_S, Home, answers, free_port, simulated, wait_for

from tokenweir.cli.system import SystemClock
from tokenweir.ledger.changing import make_changes
from tokenweir.ledger.limit_text import parse_limit
from tokenweir.ledger.terms import AccountRecord, Change, KeyRecord, RevokeKey, SetAccount, SetKey, SetLimit
from tokenweir.ledger.verify import verify

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"


class Door:
    """A gateway of two workers before simulated hosts, and changes of its terms."""

    def __init__(self, home: Home, port: int) -> None:
        self.data, self.port = home.directory / "data", port
        self.secrets = 0

    def change(self, *changes: Change) -> str:
        return make_changes(self.data, changes, SystemClock(), "test")

    def key(self, account: str = "default", limits: tuple[str, ...] = (), **fields: object) -> str:
        """The secret of a new key; its id is `key_` and that."""
        self.secrets += 1
        secret = f"s{self.secrets}"
        digest = hashlib.sha256(secret.encode()).digest()
        record = KeyRecord(f"key_{secret}", secret, account, digest, "s", 0, **fields)  # type: ignore[arg-type]
        under = [SetLimit(f"key/{record.id}", parse_limit(text)) for text in limits]
        assert self.change(SetKey(record), *under) == ""
        return secret

    def limit(self, scope: str, text: str, model: str = "") -> None:
        limit = msgspec.structs.replace(parse_limit(text), model=model)
        assert self.change(SetLimit(scope, limit)) == ""

    def ask(
        self, secret: str, path: str = CHAT, model: str = "m", **more: object
    ) -> tuple[int, dict[str, str], dict[str, object]]:
        body = {"model": model, "max_tokens": 20, "messages": [{"role": "user", "content": "hello"}], **more}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
            connection.request("POST", path, json.dumps(body), headers)
            answer = connection.getresponse()
            lines = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, lines, json.loads(answer.read())
        finally:
            connection.close()

    def get(self, secret: str, path: str) -> tuple[int, dict[str, object]]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {secret}"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    home = Home(tmp_path_factory.mktemp("door"))
    port = free_port()
    scripts = home.directory / "scripts.json"
    scripts.write_text('{"short": {"malformed": "short_body"}, "hang-mid-stream": {"hold_at": 4}}')
    with simulated("--scripts", str(scripts)) as upstream:
        (home.directory / "weir.toml").write_text(
            f'[server]\nport = {port}\nworkers = 2\ncheckpoint_every_s = 0.01\n[ledger]\ndata = "data"\ndurability = "os"\n'
            '[local]\nenabled = false\n'
            f'[[upstream]]\nname = "cheap"\nkind = "openai"\nurl = "{upstream}"\n'
            f'[[upstream]]\nname = "dear"\nkind = "openai"\nurl = "{upstream}"\n'
            '[[model]]\nname = "m"\naliases = ["other"]\ndeployments = ["cheap/ok", "cheap/hang-mid-stream", "cheap/short"]\n'
            'price = { input = 1.0, output = 1.0, currency = "CNY" }\n'
            '[[model]]\nname = "d"\ndeployments = ["dear/ok"]\n'
            'price = { input = 100.0, output = 100.0, currency = "CNY" }\n'
            '[[model]]\nname = "both"\ndeployments = ["cheap/ok", "dear/ok"]\n'
            '[[model]]\nname = "broken"\ndeployments = ["cheap/short", "dear/ok"]\n'
            '[[model]]\nname = "held"\ndeployments = ["cheap/hang-mid-stream", "dear/ok"]\n'
        )  # fmt: skip
        with home.up(port):
            wait_for(lambda: all(answers(port) for _ in range(20)), "both workers")
            yield Door(home, port)


def error_of(answer: dict[str, object]) -> dict[str, str]:
    found = answer["error"]
    assert isinstance(found, dict)
    return found


def test_a_key_asks_for_its_models_in_its_dialects_alone(door: Door) -> None:
    secret = door.key(models=("m", "x-*"), dialects=("chat",))
    assert door.ask(secret)[0] == 200
    assert door.ask(secret, model="other")[0] == 200  # another name of the same model
    assert door.ask(secret, model="cheap/ok")[0] == 200
    status, _, answer = door.ask(secret, model="d")
    assert (status, error_of(answer)["code"]) == (403, "not_allowed")
    assert "it may ask for m, x-* and in chat" in error_of(answer)["message"]
    assert door.ask(secret, path=MESSAGES)[0] == 403
    listed = door.get(secret, "/v1/models")[1]["data"]
    assert isinstance(listed, list)
    assert [model["id"] for model in listed] == ["m", "other"]


def test_keys_end_and_are_rotated(door: Door) -> None:
    now_us = time.time_ns() // 1000
    assert door.ask(door.key(expires_us=now_us - 1))[0] == 401
    assert door.ask(door.key(expires_us=now_us + 3_600_000_000))[0] == 200
    old, new = (hashlib.sha256(secret).digest() for secret in (b"before", b"after"))
    for until_us, expected in ((now_us + 3_600_000_000, 200), (now_us - 1, 401)):
        record = KeyRecord("key_r", "r", "default", new, "s", 0, old_hash=old, old_until_us=until_us)
        assert door.change(SetKey(record)) == ""
        wait_for(lambda: door.ask("after")[0] == 200, "the new secret")
        assert door.ask("before")[0] == expected
    assert door.change(RevokeKey("key_r", now_us)) == ""
    assert {door.ask("after")[0] for _ in range(20)} == {401}  # on each of the workers, at once


def test_a_closed_account_is_told_so(door: Door) -> None:
    assert door.change(SetAccount(AccountRecord("gone", closed_us=1))) == ""
    status, _, answer = door.ask(door.key("gone"))
    assert (status, error_of(answer)["code"]) == (403, "account_closed")


def test_every_limit_above_a_call_is_asked(door: Door) -> None:
    assert (
        door.change(SetAccount(AccountRecord("top")), SetAccount(AccountRecord("below", parent="top"))) == ""
    )
    door.limit("account/top", "1 calls/day")
    first, second = door.key("below"), door.key("top")
    assert door.ask(first)[0] == 200
    status, lines, answer = door.ask(second)
    assert (status, lines["x-should-retry"]) == (402, "false")
    assert "The limit of account top is 1 calls per day (UTC); 1 are spent" in error_of(answer)["message"]


def test_a_limit_for_a_model_holds_under_all_its_names(door: Door) -> None:
    door.limit("account/modelled", "2 calls", model="m")
    secret = door.key("modelled")
    assert [door.ask(secret, model=name)[0] for name in ("cheap/ok", "other", "m")] == [200, 200, 402]
    assert door.ask(secret, model="d")[0] == 200


def test_limits_that_turn_soon_may_be_waited_for(door: Door) -> None:
    secret = door.key(limits=("2 calls/hour",))
    answers = [door.ask(secret) for _ in range(3)]
    status, lines, answer = answers[-1]
    assert [a[0] for a in answers[:2]] == [200, 200] or status == 200  # an hour has just turned
    if status != 200:
        assert (status, error_of(answer)["code"]) == (429, "rate_limit_exceeded")
        assert 1 <= int(lines["retry-after"]) <= 3600


def test_a_stream_gives_back_what_it_can_no_longer_need(door: Door) -> None:
    """While it was not known who answers, the dearer host's price was set aside; the cheaper one has answered."""
    output = 10_000
    secret = door.key(limits=("1.8 CNY",))  # at the dearer price either call sets aside more than 1 CNY
    connection = HTTPConnection("127.0.0.1", door.port, timeout=DEADLINE_S)
    body = {
        "model": "held",
        "stream": True,
        "max_tokens": output,
        "messages": [{"role": "user", "content": "x"}],
    }
    connection.request("POST", CHAT, json.dumps(body), {"Authorization": f"Bearer {secret}"})
    stream = connection.getresponse()
    assert stream.status == 200
    assert "x-weir-max-output" not in dict(stream.getheaders())
    stream.read(100)

    refused: list[int] = []

    def fits() -> bool:
        status, lines, _ = door.ask(secret, model="both", max_tokens=output)
        refused.append(status)
        return status == 200 and "x-weir-max-output" not in lines

    wait_for(fits, "room for a second call")
    connection.close()


def test_the_attempts_of_a_call_share_what_was_set_aside_for_it(door: Door) -> None:
    """The first host breaks off in the middle of its answer, which cost something: the second may tell less, or is not asked."""
    status, _, answer = door.ask(door.key(limits=("1 CNY",)), model="broken", max_tokens=16)
    assert status == 502
    assert "in the middle of its answer" in error_of(answer)["message"]
    assert door.ask(door.key(limits=("1 CNY",)), model="broken", max_tokens=500)[0] == 200


def test_the_ledger_agrees(door: Door) -> None:
    report = wait_for(
        lambda: found if (found := verify(door.data)).open_calls == 0 else None, "the end of all calls"
    )
    assert report.ok, report.problems
