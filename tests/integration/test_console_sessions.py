"""Sessions live through a restart of the control process, and through nothing that ends them; a file tells nobody how to sign in."""

import json
import os
import re
import stat
from pathlib import Path

import pytest
from console_asked import signed_in
from console_fixtures import clock, data
from console_host import Browser, application
from console_seed import NOW_US, SECRETS, key_id

from tokenweir.admin.passwords import hash_of
from tokenweir.console.outside import Rules
from tokenweir.console.session_file import MOST_AHEAD_US, NAME, read_sessions
from tokenweir.console.sessions import MOST, WRITE_EVERY_US, Sessions
from tokenweir.core.clock import FakeClock
from tokenweir.ledger.changing import make_changes
from tokenweir.ledger.terms import RevokeKey, SetPassword

__all__ = ["clock", "data"]  # fixtures
PASSWORD = "correct horse battery"
RULES = Rules()


def restarted(browser: Browser, data: Path, clock: FakeClock) -> Browser:
    """The same browser, before a control process that has just begun."""
    other = Browser(application(data, clock), **browser.headers)
    other.cookies = dict(browser.cookies)
    return other


def is_in(browser: Browser) -> bool:
    return browser.get("/keys").status == 200


def test_whoever_is_signed_in_stays_so_over_a_restart(data: Path, clock: FakeClock) -> None:
    browser = signed_in(Browser(application(data, clock)))
    token = browser.token("/keys")
    again = restarted(browser, data, FakeClock(NOW_US + 60_000_000))  # a steady clock that begins anew
    assert is_in(again)
    assert again.token("/keys") == token  # a form that was open may be sent
    assert again.form("/accounts", "create", id="after").status == 303
    stranger = Browser(application(data, clock))
    assert not is_in(stranger)


def test_idle_and_longest_count_on_over_restarts(data: Path, clock: FakeClock) -> None:
    browser = signed_in(Browser(application(data, clock)))
    clock.advance(RULES.idle_us // 2)
    assert is_in(browser)
    clock.advance(RULES.idle_us - 1)
    assert not is_in(restarted(browser, data, FakeClock(clock.now_us() + 1)))
    browser = restarted(browser, data, clock)
    assert is_in(browser)
    for _ in range(RULES.longest_us // RULES.idle_us * 2):
        clock.advance(RULES.idle_us // 2)
        browser = restarted(browser, data, FakeClock(clock.now_us()))
        last = is_in(browser)
    assert not last


def test_what_was_signed_out_stays_out(data: Path, clock: FakeClock) -> None:
    browser = signed_in(Browser(application(data, clock)))
    cookies = dict(browser.cookies)
    browser.post("/sign-out", form_token=browser.token("/keys"))
    browser.cookies = cookies
    assert not is_in(restarted(browser, data, clock))


def test_the_file_is_for_its_user_alone_and_holds_no_token(data: Path, clock: FakeClock) -> None:
    browser = signed_in(Browser(application(data, clock)))
    path = data / NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    secrets = (browser.cookies["weir_session"], browser.token("/keys"), SECRETS["owner"])
    assert not any(secret in text for secret in secrets)
    (kept,) = json.loads(text)
    for value in kept.values():  # nothing of it signs anybody in
        thief = Browser(application(data, clock))
        thief.cookies = {"weir_session": str(value)}
        assert not is_in(thief)


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o602])
def test_a_file_that_others_may_touch_is_not_believed(
    data: Path, clock: FakeClock, mode: int, capsys: pytest.CaptureFixture[str]
) -> None:
    browser = signed_in(Browser(application(data, clock)))
    (data / NAME).chmod(mode)
    assert not is_in(restarted(browser, data, clock))
    assert "not this user's alone" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"hash": "x"}]', "null", "[" * 100_000])
def test_a_file_that_is_none_signs_nobody_in_and_hinders_nobody(
    data: Path, clock: FakeClock, text: str
) -> None:
    browser = signed_in(Browser(application(data, clock)))
    (data / NAME).write_text(text)
    again = restarted(browser, data, clock)
    assert not is_in(again)
    assert is_in(signed_in(again))
    assert is_in(restarted(again, data, clock))


def test_a_link_in_its_place_is_replaced_and_not_followed(
    data: Path, clock: FakeClock, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.write_text("mine")
    (data / NAME).with_suffix(".new").symlink_to(other)
    browser = signed_in(Browser(application(data, clock)))
    assert other.read_text() == "mine"
    assert is_in(restarted(browser, data, clock))


def test_a_disk_that_cannot_be_written_signs_nobody_out(
    data: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app = application(data, clock)

    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "open", full)
    browser = Browser(app)
    browser.sign_in(SECRETS["owner"])
    monkeypatch.undo()
    assert is_in(browser)
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("restart", [False, True])
def test_another_password_or_secret_signs_out_everywhere_but_where_it_was_changed(
    data: Path, clock: FakeClock, restart: bool
) -> None:
    app = application(data, clock)
    changes = {
        "password": {"password": PASSWORD, "again": PASSWORD},
        "no_password": {},
        "rotate": {"overlap_h": "1"},
    }
    secret = SECRETS["owner"]
    for action, fields in changes.items():
        here, there, member = Browser(app), Browser(app), signed_in(Browser(app), "member")
        for browser in (here, there):
            assert browser.sign_in(secret).status == 303
        answer = here.form(f"/keys/{key_id('owner')}", action, **fields)
        assert answer.status in (200, 303)
        found = re.search(r"sk-weir-[\w-]{20,}", answer.text)
        secret = found[0] if found else secret
        if restart:
            here, there, member = (restarted(one, data, clock) for one in (here, there, member))
        assert [is_in(one) for one in (here, there, member)] == [True, False, True], action


def test_who_has_another_s_password_changed_signs_that_one_out(data: Path, clock: FakeClock) -> None:
    app = application(data, clock)
    owner, member = signed_in(Browser(app)), signed_in(Browser(app), "member")
    owner.form(f"/keys/{key_id('member')}", "password", password=PASSWORD, again=PASSWORD)
    assert not is_in(member)
    assert is_in(owner)
    by_name = Browser(app)
    assert by_name.sign_in(PASSWORD, "member").status == 303
    make_changes(data, [SetPassword(key_id("member"), hash_of(PASSWORD))], clock)  # the same, hashed anew
    assert not is_in(by_name)


def test_a_key_that_was_revoked_meanwhile_is_out_after_the_restart(data: Path, clock: FakeClock) -> None:
    browser = signed_in(Browser(application(data, clock)), "admin")
    make_changes(data, [RevokeKey(key_id("admin"), clock.now_us())], clock)
    assert not is_in(restarted(browser, data, clock))


def test_what_is_kept_is_bounded_and_of_times_that_can_be(tmp_path: Path) -> None:
    clock, numbers = FakeClock(NOW_US), iter(range(2 * MOST))
    sessions = Sessions(
        tmp_path, clock, lambda n: next(numbers).to_bytes(n, "big"), 1_000_000_000, 2_000_000_000
    )
    first = sessions.begin("k", b"m")
    assert sessions.find(first) is not None
    before = (tmp_path / NAME).read_bytes()
    clock.advance(WRITE_EVERY_US - 1)
    sessions.find(first)
    assert (tmp_path / NAME).read_bytes() == before  # not at every page
    clock.advance(1)
    sessions.find(first)
    assert (tmp_path / NAME).read_bytes() != before
    assert (
        read_sessions(tmp_path, clock.now_us() - WRITE_EVERY_US - MOST_AHEAD_US) == []
    )  # it would begin in the future
    assert len(read_sessions(tmp_path, clock.now_us())) == 1
