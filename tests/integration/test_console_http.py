"""The console over HTTP, without a browser: who gets in, for how long, what each role may do, forms, CSV, what is told to browsers."""

import re
from pathlib import Path

import pytest
from console_asked import filled, last_change, signed_in
from console_fixtures import browser, clock, data, shared
from console_host import Browser, application
from console_seed import SECRETS, SETTINGS, key_id

from tokenweir.admin.passwords import hash_of
from tokenweir.admin.rights import RIGHTS
from tokenweir.console.lockout import MOST_FAILURES, WINDOW_US
from tokenweir.console.outside import Rules
from tokenweir.console.pages import PAGES
from tokenweir.core.clock import FakeClock
from tokenweir.ledger.changing import make_changes
from tokenweir.ledger.terms import RevokeKey, SetPassword
from tokenweir.ledger.views.terms import terms_now

__all__ = ["browser", "clock", "data", "shared"]  # fixtures
PASSWORD = "correct horse battery"
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


# --- strangers


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_strangers_are_sent_to_sign_in(browser: Browser, shared: Path, page) -> None:
    answer = browser.get(filled(page.path, shared))
    assert answer.status == 303
    assert answer.headers["location"].startswith("/console/sign-in")
    assert answer.body == b""
    if page.forms:
        assert browser.post(filled(page.path, shared), action="x").status == 303


def test_strangers_get_the_sign_in_page_and_what_it_needs(browser: Browser) -> None:
    page = browser.get("/sign-in")
    assert page.status == 200
    assets = re.findall(r'(?:src|href)="(/console/static/[^"]+)"', page.text)
    assert len(assets) >= 3
    for asset in assets:
        assert browser.ask("GET", asset).status == 200, asset
    for other in ("charts.js", "plotly.min.js", "try.js", "../app.py", "nothing"):
        assert browser.get(f"/static/{other}").status in (303, 404), other
    assert browser.get("/events").status == 401
    assert browser.get("/no/such/page").status == 303
    for name in ("kimi", "acme", "owner", "moonshot"):
        assert name not in page.text.replace("--role owner", "").lower()


def test_every_answer_tells_the_browser_what_to_allow(browser: Browser) -> None:
    signed_in(browser)
    for path in (
        "",
        "/sign-in",
        "/nowhere",
        "/static/console.css",
        "/keys",
        "/calls?format=csv",
        "/keys/nobody",
    ):
        answer = browser.get(path)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'"), path
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        kept = "immutable" if "/static/" in path else "no-store"
        assert kept in answer.headers["cache-control"], path


def test_no_page_holds_script_or_style_of_its_own(browser: Browser, shared: Path) -> None:
    signed_in(browser)
    for page in PAGES:
        text = browser.get(filled(page.path, shared)).text
        for script in re.findall(r"<script[^>]*>", text):
            assert "src=" in script or 'type="application/json"' in script, (page.name, script)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text), page.name


# --- signing in


def test_a_key_with_a_role_signs_in_and_its_cookie_is_for_nobody_else(browser: Browser) -> None:
    answer = browser.sign_in(SECRETS["member"])
    assert (answer.status, answer.headers["location"]) == (303, "/console")
    cookie = next(line for line in answer.cookies if line.startswith("weir_session="))
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/console" in cookie
    assert "Secure" not in cookie
    assert SECRETS["member"] not in str(answer.cookies)
    assert browser.get("/keys").status == 200


def test_behind_tls_cookies_are_kept_to_it(shared: Path, clock: FakeClock) -> None:
    proxied = {"x-weir-client": "127.0.0.1", "x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.9"}
    answer = Browser(application(shared, clock), **proxied).sign_in(SECRETS["owner"])
    assert all("Secure" in line for line in answer.cookies if "Max-Age=0" not in line and "1970" not in line)
    claimed = {"x-weir-client": "192.0.2.9", "x-forwarded-proto": "https"}
    answer = Browser(application(shared, clock), **claimed).sign_in(SECRETS["owner"])
    assert not any("Secure" in line for line in answer.cookies)


def test_a_key_for_calls_alone_is_told_so(browser: Browser) -> None:
    answer = browser.sign_in(SECRETS["caller"])
    assert answer.status == 403
    assert "for calls only" in answer.text
    assert browser.get().status == 303


def test_a_password_signs_in_by_name_or_id_and_ends_with_it(data: Path, clock: FakeClock) -> None:
    make_changes(data, [SetPassword(key_id("member"), hash_of(PASSWORD))], clock)
    app = application(data, clock, SETTINGS)
    for name in ("member", key_id("member")):
        browser = Browser(app)
        assert browser.sign_in(PASSWORD, name).status == 303
        assert browser.get("/calls").status == 200
    for name, password in (
        ("member", PASSWORD + "x"),
        ("owner", PASSWORD),
        ("nobody", PASSWORD),
        ("", PASSWORD),
    ):
        assert Browser(app).sign_in(password, name).status == 403
    make_changes(data, [SetPassword(key_id("member"), "")], clock)
    assert browser.get("/calls").status == 303


def test_the_sign_in_form_is_good_only_with_its_own_cookie(browser: Browser) -> None:
    token = browser.token("/sign-in")
    browser.cookies.clear()
    answer = browser.post("/sign-in", form_token=token, password=SECRETS["owner"])
    assert answer.status == 403
    assert "weir_session" not in browser.cookies


@pytest.mark.parametrize(
    "next", ["//evil.example", "https://evil.example/console", "/v1/models", "/\\evil.example"]
)
def test_signing_in_leads_nowhere_else(browser: Browser, next: str) -> None:
    answer = browser.post(
        "/sign-in", form_token=browser.token("/sign-in"), password=SECRETS["owner"], next=next
    )
    assert answer.headers["location"] == "/console"


def test_signing_in_leads_back_to_the_link_that_was_followed(browser: Browser) -> None:
    led = browser.get("/calls?model=kimi-k2&range=30d").headers["location"]
    page = browser.ask("GET", led).text
    next = re.search(r'name="next" value="([^"]+)"', page)
    assert next is not None
    answer = browser.post(
        "/sign-in",
        form_token=browser.token("/sign-in"),
        password=SECRETS["owner"],
        next=next[1].replace("&amp;", "&"),
    )
    assert answer.headers["location"] == "/console/calls?model=kimi-k2&range=30d"


def test_too_many_failures_lock_a_name_from_everywhere(data: Path, clock: FakeClock) -> None:
    make_changes(data, [SetPassword(key_id("member"), hash_of(PASSWORD))], clock)
    app = application(data, clock)
    for number in range(MOST_FAILURES["name"]):
        assert Browser(app, **{"x-weir-client": f"192.0.2.{number}"}).sign_in("wrong", "member").status == 403
    answer = Browser(app).sign_in(PASSWORD, "member")
    assert answer.status == 429
    assert answer.headers["retry-after"] == str(WINDOW_US // 1_000_000)
    assert Browser(app).sign_in(SECRETS["member"]).status == 303  # by the key itself
    clock.advance(WINDOW_US)
    assert Browser(app).sign_in(PASSWORD, "member").status == 303


def test_too_many_failures_lock_an_address_whatever_the_client_claims(shared: Path, clock: FakeClock) -> None:
    app = application(shared, clock)
    for number in range(MOST_FAILURES["address"]):
        told = {"x-weir-client": "192.0.2.7", "x-forwarded-for": f"198.51.100.{number}"}
        assert Browser(app, **told).sign_in(f"sk-weir-guess{number}").status == 403
    assert Browser(app).sign_in(SECRETS["owner"]).status == 429
    assert Browser(app, **{"x-weir-client": "192.0.2.8"}).sign_in(SECRETS["owner"]).status == 303


# --- how long it lasts


def test_a_session_ends_when_it_is_idle_and_in_any_case(browser: Browser, clock: FakeClock) -> None:
    rules = Rules()
    signed_in(browser)
    clock.advance(rules.idle_us - 1)
    assert browser.get("/keys").status == 200
    clock.advance(rules.idle_us)
    assert browser.get("/keys").status == 303
    signed_in(browser)
    for _ in range(rules.longest_us // HOUR_US - 1):
        clock.advance(HOUR_US)
        assert browser.get("/static/charts.js").status == 200
    clock.advance(HOUR_US)
    assert browser.get("/keys").status == 303


def test_a_revoked_key_is_signed_out_at_once(data: Path, clock: FakeClock) -> None:
    browser = signed_in(Browser(application(data, clock)), "admin")
    assert browser.get("/keys").status == 200
    make_changes(data, [RevokeKey(key_id("admin"), clock.now_us())], clock)
    answer = browser.get("/keys")
    assert answer.status == 303
    assert "sign-in" in answer.headers["location"]
    assert browser.ask("GET", answer.headers["location"]).status == 200


def test_signing_out_ends_the_session_for_the_cookie_too(browser: Browser) -> None:
    signed_in(browser)
    token, cookies = browser.token("/keys"), dict(browser.cookies)
    assert browser.post("/sign-out", form_token="0" * 64).status == 303
    browser.cookies = dict(cookies)
    assert browser.get("/keys").status == 200  # a form of another site signs nobody out
    browser.post("/sign-out", form_token=token)
    browser.cookies = dict(cookies)
    assert browser.get("/keys").status == 303


# --- forms


@pytest.mark.parametrize("page", [page for page in PAGES if page.forms], ids=lambda page: page.name)
def test_a_form_of_another_site_does_nothing(browser: Browser, shared: Path, page) -> None:
    signed_in(browser)
    before = last_change(shared)
    for token in ("", "0" * 64, browser.cookies["weir_session"]):
        for action in page.forms:
            answer = browser.post(
                filled(page.path, shared), form_token=token, action=action, name="x", id="x"
            )
            assert answer.status == 403, (page.name, action)
    assert last_change(shared) == before


Changes = tuple[str, str, dict[str, str], str]
CHANGES: tuple[Changes, ...] = (
    ("/keys", "create", {"name": "ci", "account": "product"}, r"key key_\w+ \(ci\) of product"),
    ("/keys/{caller}", "change", {"name": "renamed", "account": "research", "models": "kimi-*"}, r"\(renamed\) of research.*kimi-\*"),
    ("/keys/{caller}", "rotate", {"overlap_h": "0.5"}, "its secret before good until"),
    ("/keys/{caller}", "revoke", {}, "revoked"),
    ("/keys/{member}", "password", {"password": PASSWORD, "again": PASSWORD}, "password of key"),
    ("/accounts", "create", {"id": "sales", "parent": "acme", "time_zone": "Europe/Berlin"}, "account sales, under acme"),
    ("/accounts/product", "change", {"name": "Products", "parent": "acme"}, '"Products"'),
    ("/accounts/product", "close", {}, "closed"),
    ("/limits", "put", {"kind": "key", "id": "caller", "text": "¥5/day", "model": "glm-*"}, r"limit 5 CNY/day of glm-\* on key/"),
    ("/limits", "lift", {"limit": "account/acme||USD|month"}, "no limit of USD month on account/acme"),
    ("/credit", "add", {"account": "product", "amount": "10", "currency": "cny", "note": "more"}, "of 10 CNY for product, more"),
    ("/credit", "end", {"credit": "product|november"}, "credit november of product ended"),
    ("/credit", "plan", {"account": "bo", "name": "solo", "currency": "CNY", "fee": "9"}, "plan solo for bo: 9 CNY a month"),
    ("/credit", "no_plan", {"account": "research"}, "no plan for research"),
    ("/prices", "charge", {"model": "*", "markup": "12.5"}, r"everybody is charged \+12.5 % for \*"),
    ("/prices", "charge", {"account": "bo", "model": "glm-4.6", "input": "5", "output": "20", "currency": "CNY"}, "bo is charged 5 in, 20 out CNY"),
    ("/prices", "rate", {"base": "eur", "quote": "CNY", "rate": "7.9", "day": "2026-11-25"}, "1 EUR = 7.9 CNY"),
    ("/prices", "standing", {"id": "plan", "upstream": "moonshot", "amount": "199", "currency": "CNY", "per": "month"}, "standing cost plan of moonshot"),
    ("/upstreams", "drain", {"name": "vllm", "note": "new driver"}, "upstream vllm gets no new calls, new driver"),
    ("/settings", "change", {"name": "server.strict", "value": "true"}, "setting server.strict: true, before false"),
    ("/settings?name=local.enabled", "reset", {"name": "local.enabled"}, "setting local.enabled as by default: true, before false"),
    ("/upstreams", "restore", {"name": "zhipu"}, "upstream zhipu gets calls again"),
)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change[0]} {change[1]}")
def test_a_form_changes_the_terms_in_the_name_of_who_is_signed_in(
    data: Path, clock: FakeClock, change: Changes
) -> None:
    path, action, fields, words = change
    path = path.replace("{caller}", key_id("caller")).replace("{member}", key_id("member"))
    browser = signed_in(Browser(application(data, clock, SETTINGS)), "owner")
    before = last_change(data)
    answer = browser.form(path, action, **fields)
    assert answer.status in (200, 303), re.sub(r"<[^>]*>", "", answer.text)
    actor, what = last_change(data)
    assert (actor, what) != before
    assert actor == key_id("owner")
    assert re.search(words, what), what
    if answer.status == 303:
        assert "Saved" in browser.ask("GET", answer.headers["location"]).text


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change[0]} {change[1]}")
@pytest.mark.parametrize("role", ["auditor", "member"])
def test_who_may_only_look_changes_nothing(
    shared: Path, clock: FakeClock, change: Changes, role: str
) -> None:
    path, action, fields, _ = change
    path = path.replace("{caller}", key_id("auditor")).replace("{member}", key_id("admin"))
    browser = signed_in(Browser(application(shared, clock, SETTINGS)), role)
    before = last_change(shared)
    token = browser.token("/limits")
    answer = browser.post(path, form_token=token, action=action, **fields)
    assert answer.status in (403, 404), answer.status
    assert last_change(shared) == before


def test_what_is_wrong_with_a_form_is_said_and_what_was_written_stays(browser: Browser) -> None:
    signed_in(browser)
    answer = browser.form("/limits", "put", kind="account", id="acme", text="five a day")
    assert answer.status == 422
    assert "is not a limit; write" in answer.text
    assert 'value="five a day"' in answer.text


def test_a_secret_is_shown_once(data: Path, clock: FakeClock) -> None:
    browser = signed_in(Browser(application(data, clock)))
    answer = browser.form(
        "/keys", "create", name="ci", account="product", role="auditor", limits="¥5/day\n4 calls at once"
    )
    secret = re.search(r"<code>(sk-weir-\w{40,})</code>", answer.text)
    assert secret is not None
    assert answer.headers["cache-control"] == "no-store"
    assert Browser(application(data, clock)).sign_in(secret[1]).status == 303
    terms = terms_now(data)
    made = next(key for key in terms.keys.values() if key.name == "ci")
    assert len(terms.limits[f"key/{made.id}"]) == 2
    for path in ("/keys", f"/keys/{made.id}", "/audit"):
        assert secret[1] not in browser.get(path).text


def test_the_key_to_try_with_is_made_once_and_bounded(data: Path, clock: FakeClock) -> None:
    browser = signed_in(Browser(application(data, clock, SETTINGS)), "member")
    first, again = (browser.form("/try", "key").text for _ in range(2))
    assert first == again
    terms = terms_now(data)
    made = next(key for key in terms.keys.values() if key.name == "console, try it")
    assert (made.account, made.role) == ("research", "")
    assert made.expires_us == clock.now_us() + HOUR_US
    assert terms.limits[f"key/{made.id}"]
    assert made.hash.hex() not in browser.get("/try").text


# --- what each role sees


@pytest.mark.parametrize("role", ["owner", "admin", "member", "auditor"])
def test_the_navigation_is_what_may_be_seen(shared: Path, clock: FakeClock, role: str) -> None:
    browser = signed_in(Browser(application(shared, clock, SETTINGS)), role)
    home = browser.get().text
    for page in PAGES:
        allowed = role in RIGHTS[page.resource]["GET"]
        path = filled(page.path, shared)
        if page.group:
            assert (f'<a href="/console{path}"' in home.partition("</nav>")[0]) == allowed, page.name
        if "{" not in page.path:
            assert browser.get(path).status == (200 if allowed else 403), page.name


def test_a_member_sees_its_own_and_no_more(shared: Path, clock: FakeClock) -> None:
    browser = signed_in(Browser(application(shared, clock, SETTINGS)), "member")
    rows = browser.get("/calls?range=30d&format=csv").text.splitlines()[1:]
    assert len(rows) > 50
    assert {row.rpartition(",")[2] for row in rows} == {"ann", "bo"}
    assert browser.get("/calls?range=30d&format=csv&account=product").text.count("\n") == 1
    for path in ("/accounts/product", "/accounts/acme", f"/keys/{key_id('owner')}"):
        assert browser.get(path).status == 404, path
    keys = browser.get("/keys").text
    assert "chen" not in keys
    assert "member" in keys
