"""One run in the console: every call of it, whatever the run is called and however long a call took; its limits; what is under way."""

import hashlib
import re
from html import unescape
from pathlib import Path

import pytest
from console_fixtures import clock
from console_host import Browser, application
from console_seed import NOW_US, SECRETS, SETTINGS

from tokenweir.catalog.price import AppliedPrice, Rates
from tokenweir.catalog.pricing import cost, price_id
from tokenweir.core.clock import FakeClock
from tokenweir.core.ids import uuid7, uuid_text
from tokenweir.core.money import PICO
from tokenweir.core.usage import Provenance, Usage
from tokenweir.ledger.entries import Outcome
from tokenweir.ledger.journal import Journal
from tokenweir.ledger.messages import (
    Checkpoint,
    CloseAttempt,
    CostBound,
    DefinePrice,
    MakeChanges,
    OpenCall,
    OpenResult,
)
from tokenweir.ledger.store import Store
from tokenweir.ledger.terms import KeyRecord, Limit, SetKey, SetLimit
from tokenweir.ledger.views import open_reader
from tokenweir.ledger.views.run_list import run_calls

__all__ = ["clock"]  # a fixture
HOUR_US = 3_600_000_000
START_US = NOW_US - 20 * 24 * HOUR_US
PRICE = AppliedPrice("settings", "CNY", Rates(4_000_000, 16_000_000))
#: Names that a path, a query, HTML or a browser could trip over.
HOSTILE = (
    "a/b", "/", "a/", "/a", "a//b", "a/../b", ".", "..", "./a", "a b", "a+b", "a%2Fb", "%2e%2e", "?q=1#f", "a&b=c", "last",
    "a\\b", '"><script>alert(1)</script>', "运行/一", "{id}", "x" * 128,
)  # fmt: skip


def _owner() -> KeyRecord:
    secret = SECRETS["owner"]
    digest = hashlib.sha256(secret.encode()).digest()
    return KeyRecord("key-owner", "owner", "ann", digest, secret[:12], START_US, role="owner")


class Written:
    """A ledger with the calls of some runs."""

    def __init__(self, data: Path) -> None:
        self.data, self.clock, self.number = data, FakeClock(START_US), 0
        self.store = Store(data, "os")
        self.journal = Journal(self.store, self.clock)
        self.journal.apply(DefinePrice(0, *price_id(PRICE)))
        keys = (
            SetKey(KeyRecord("key-ann", "ann", "ann", b"a" * 32, "sk", START_US)),
            SetKey(_owner()),
        )
        assert self.journal.apply(MakeChanges(0, "test", keys)) == ""
        self.journal.commit()

    def limit(self, run: str, limit: Limit) -> None:
        assert self.journal.apply(MakeChanges(0, "test", (SetLimit(f"run/{run}", limit),))) == ""
        self.journal.commit()

    def open(self, run: str, at_us: int) -> bytes:
        self.number += 1
        self._at(at_us)
        call = uuid7(at_us, self.number.to_bytes(10, "big"))
        bound = CostBound("CNY", 1_000 * PRICE.rates.input, PRICE.rates.output)
        result = self.journal.apply(
            OpenCall(0, call, at_us, "key-ann", "ann", run, "kimi-k2", "chat", (bound,), False, 1_000, 500)
        )
        assert isinstance(result, OpenResult) and not result.refused
        self.journal.commit()
        return call

    def note(self, call: bytes, at_us: int, output: int) -> None:
        self._at(at_us)
        usage = Usage(1_000, 0, 0, 0, output, provenance=Provenance.COUNTED)
        self.journal.apply(
            Checkpoint(0, call, call, 1, at_us, "moonshot", "moonshot/kimi-k2", usage, *self._priced(usage))
        )
        self.journal.commit()

    def end(self, call: bytes, opened_us: int, ended_us: int, told_us: int = 0) -> None:
        """At one time; and told to the ledger at that time, or later."""
        self._at(told_us or ended_us)
        usage = Usage(1_000, 0, 0, 0, 100)
        self.journal.apply(
            CloseAttempt(
                0, call, call, 1, True, ended_us, "moonshot", "moonshot/kimi-k2", "kimi-k2", usage, *self._priced(usage),
                400_000, ended_us - opened_us, 200, Outcome.OK, "",
            )
        )  # fmt: skip
        self.journal.commit()

    def _priced(self, usage: Usage) -> tuple[str, int, str]:
        return price_id(PRICE)[0], cost(PRICE, usage), "CNY"

    def _at(self, at_us: int) -> None:
        self.clock.advance(max(0, at_us - self.clock.now_us()))

    def browser(self, clock: FakeClock) -> Browser:
        self.store.close()
        browser = Browser(application(self.data, clock, SETTINGS))
        assert browser.sign_in(SECRETS["owner"]).status == 303
        return browser


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path)


def test_every_name_of_a_run_has_a_page(written: Written, clock: FakeClock) -> None:
    for number, run in enumerate(HOSTILE):
        opened_us = NOW_US - HOUR_US + number * 1_000_000
        written.end(written.open(run, opened_us), opened_us, opened_us + 900_000)
    browser = written.browser(clock)
    listed = browser.get("/runs?range=24h").text
    cells = re.findall(r'<td><a href="(/console/runs[^"]+)">([^<]+)</a>', listed)
    assert sorted(unescape(name) for _, name in cells) == sorted(HOSTILE)
    for link, name in cells:
        answer = browser.ask("GET", unescape(link))
        assert answer.status == 200, name
        assert unescape(
            re.findall(r"<h1>[^<]*<code>(.*?)</code></h1>", answer.text, re.DOTALL)[0]
        ) == unescape(name)
        assert "<script>alert" not in answer.text
        (call,) = re.findall(r'href="/console/calls/([0-9a-f-]{36})"', answer.text)
        assert link in browser.get(f"/calls/{call}").text
        csv = re.search(r'href="(/console/runs[^"]*format=csv[^"]*table=steps)"', answer.text)
        assert csv is not None, name
        assert call in browser.ask("GET", unescape(csv[1])).text, name


def test_no_name_is_no_run(written: Written, clock: FakeClock) -> None:
    written.end(written.open("", NOW_US - HOUR_US), NOW_US - HOUR_US, NOW_US - HOUR_US + 1)
    browser = written.browser(clock)
    assert browser.get("/runs/").status == 404
    assert browser.get("/runs/nobody").status == 404


def test_a_call_that_took_days_belongs_to_its_run_also_where_its_end_was_told_late(
    written: Written, clock: FakeClock
) -> None:
    day_us = 24 * HOUR_US
    slow = written.open("run-1", START_US)
    for hour in range(1, 200):
        at_us = START_US + hour * HOUR_US
        written.end(written.open("run-2", at_us), at_us, at_us + 1_000_000)
    quick = written.open("run-1", START_US + 9 * day_us)
    written.end(quick, START_US + 9 * day_us, START_US + 10 * day_us)
    for hour in range(300, 310):
        at_us = START_US + hour * HOUR_US
        written.end(written.open("run-3", at_us), at_us, at_us + 1_000_000)
    written.end(slow, START_US, START_US + 10 * day_us, told_us=START_US + 14 * day_us)
    db = open_reader(written.data)
    assert run_calls(db, "run-1") == [slow, quick]
    assert len(run_calls(db, "run-2")) == 199
    db.close()
    page = written.browser(clock).get("/runs/run-1").text
    assert uuid_text(slow) in page and uuid_text(quick) in page


def test_a_run_shows_its_limits_and_what_is_under_way(written: Written, clock: FakeClock) -> None:
    written.limit("fix", Limit("CNY", PICO, "total"))
    begun_us = NOW_US - 60_000_000
    written.end(written.open("fix", begun_us), begun_us, begun_us + 5_000_000)
    call = written.open("fix", NOW_US - 30_000_000)
    written.note(call, NOW_US - 10_000_000, 250)
    page = written.browser(clock).get("/runs/fix").text
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))
    assert "The run's own limits" in unescape(text)
    assert "0.00560 CNY / 1.00 CNY reserved 0.0120 CNY left 0.982 CNY" in text
    assert uuid_text(call) in page
    assert "30.00 s 1.25 K 0.0120 CNY under way" in text


def test_a_run_whose_only_call_is_under_way_has_a_page(written: Written, clock: FakeClock) -> None:
    call = written.open("new", NOW_US - 1_000_000)
    page = written.browser(clock).get("/runs/new")
    assert page.status == 200 and uuid_text(call) in page.text
