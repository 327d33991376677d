"""The corners of limits, each decided: windows that turn under a call, clocks that step, terms that change. docs/ledger.md tells them."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from made_terms import key

from tokenweir.core.clock import FakeClock
from tokenweir.core.ids import uuid7
from tokenweir.core.usage import Usage
from tokenweir.ledger import terms as t
from tokenweir.ledger.entries import Outcome
from tokenweir.ledger.journal import Journal
from tokenweir.ledger.messages import (
    Checkpoint,
    CloseAttempt,
    CostBound,
    MakeChanges,
    OpenCall,
    OpenResult,
    Reprice,
)
from tokenweir.ledger.store import Store
from tokenweir.ledger.terms import Limit
from tokenweir.ledger.verify import verify
from tokenweir.protocol.steps import Step

HOUR = 3_600


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1_000_000)


class Ledger:
    """A journal over a real file, and calls of 10 tokens of input at a pico each, and 2 for a token of output."""

    def __init__(self, data: Path, at: str, *changes: t.Change) -> None:
        self._data, self._clock = data, FakeClock(us(at))
        self._number = 0
        self._open_files()
        self.change(
            t.SetAccount(t.AccountRecord("org")),
            t.SetAccount(t.AccountRecord("a", "org")),
            t.SetKey(key("k", "a")),
            *changes,
        )

    def _open_files(self) -> None:
        self._store = Store(self._data, "os")
        self._journal = Journal(self._store, self._clock)

    def again(self) -> None:
        """The writer dies and starts again."""
        self._store.close()
        self._open_files()

    def change(self, *changes: t.Change) -> None:
        assert self._journal.apply(MakeChanges(0, "test", changes)) == ""
        self._journal.commit()

    def wait(self, seconds: float) -> None:
        self._clock.step(int(seconds * 1_000_000))

    def ask(self, output_tokens: int = 20, model: str = "m", run: str = "") -> tuple[bytes, OpenResult]:
        self._number += 1
        now_us = self._clock.now_us()
        call = uuid7(now_us, self._number.to_bytes(10, "big"))
        account = self._journal.state.terms.keys["k"].account
        asked = OpenCall(
            1,
            call,
            now_us,
            "k",
            account,
            run,
            model,
            "chat",
            (CostBound("CNY", 10, 2),),
            False,
            10,
            output_tokens,
        )
        result = self._journal.apply(asked)
        assert isinstance(result, OpenResult)
        self._journal.commit()
        return call, result

    def open(self, output_tokens: int = 20) -> bytes:
        call, result = self.ask(output_tokens)
        assert (result.refused, result.output_tokens) == ("", output_tokens)
        return call

    def end(
        self,
        call: bytes,
        output: int = 20,
        *,
        reported: int = 10,
        pico: int | None = None,
        tools: int | None = None,
    ) -> None:
        self._journal.apply(
            CloseAttempt(
                1, call, b"1", 1, True, self._clock.now_us(), "u", "u/m", "m", Usage(input=reported, output=output), "", pico,
                "CNY" if pico else "", 1, 1, 200, Outcome.OK, "",
                step=None if tools is None else Step(more_asked=tools),
            )
        )  # fmt: skip
        self._journal.commit()

    def shrink(self, call: bytes, tokens: int) -> None:
        now_us = self._clock.now_us()
        self._journal.apply(
            Checkpoint(
                1, call, b"1", 1, now_us, "u", "u/m", Usage(), "", None, "", reserves={"tokens": tokens}
            )
        )
        self._journal.commit()

    def rows(self, query: str) -> list[tuple[bytes, int]]:
        return self._store._db.execute(query).fetchall()

    def reprice(self, call: bytes) -> None:
        """The entry of a call is corrected; that it ended stays as it was."""
        stands = self._journal._standing(call, b"1")
        assert stands is not None
        self._journal.apply(Reprice(1, call, b"1", stands.usage, "correction", "", None, ""))
        self._journal.commit()

    def lose(self) -> None:
        """Calls are closed without their worker."""
        self._journal.interrupt(self._journal.open_calls)
        self._journal.commit()

    def stands(self, scope: str, limit: Limit) -> tuple[int, int]:
        """Spent and reserved, now; `weir ledger verify` has nothing to say, and a start would find the same."""
        state = self._journal.state
        found = state.reserved(scope, limit, state.latest_us)
        loaded, _ = self._store.load()
        assert loaded.reserved(scope, limit, state.latest_us) == found
        report = verify(self._data)
        assert report.ok, report.problems
        return found


A_DAY, A_MINUTE = Limit("tokens", 100, "day"), Limit("tokens", 100, "minute")
ON_A = t.SetLimit("account/a", A_DAY)


def test_a_call_belongs_to_the_window_it_was_opened_in(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "2026-11-25T23:59:50+00:00", ON_A)
    call = ledger.open(20)
    ledger.wait(20)
    tomorrows = ledger.open(20)
    ledger.end(call)  # counts yesterday, where nobody asks any more
    assert ledger.stands("account/a", A_DAY) == (0, 30)
    ledger.end(tomorrows)
    assert ledger.stands("account/a", A_DAY) == (30, 0)


def test_a_clock_that_steps_back_opens_no_window_again(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "2026-11-25T23:59:50+00:00", ON_A)
    ledger.end(ledger.open(80))
    ledger.wait(20)
    ledger.end(ledger.open(50), 50)
    ledger.wait(-40)  # on the calendar it is yesterday again
    call, result = ledger.ask(90)
    assert result.output_tokens == 100 - 60 - 10  # of today's limit
    assert ledger.stands("account/a", A_DAY) == (60, 40)
    ledger.again()
    assert ledger.stands("account/a", A_DAY) == (60, 40)
    ledger.end(call, 0, reported=0)
    assert ledger.ask(90)[1].output_tokens == 30


def test_a_day_of_daylight_saving_lasts_as_long_as_its_clocks_say(tmp_path: Path) -> None:
    """In New York the first of November 2026 has 25 hours."""
    york = t.SetAccount(t.AccountRecord("a", "org", "", "America/New_York"))
    ledger = Ledger(tmp_path, "2026-11-01T00:30:00-04:00", york, ON_A)
    ledger.end(ledger.open(80), 80)
    ledger.wait(24 * HOUR)
    assert ledger.ask()[1].refused == "limit"
    ledger.wait(0.5 * HOUR)
    assert ledger.ask()[1].refused == ""


def test_minutes_and_hours_are_those_of_utc_whatever_the_zone(tmp_path: Path) -> None:
    nepal = t.SetAccount(t.AccountRecord("a", "org", "", "Asia/Kathmandu"))  # at 45 minutes past
    an_hour = Limit("tokens", 100, "hour")
    ledger = Ledger(tmp_path, "2026-11-25T12:59:00+00:00", nepal, t.SetLimit("account/a", an_hour))
    ledger.end(ledger.open(80), 80)
    assert ledger.ask()[1].refused == "limit"
    ledger.wait(60)
    assert ledger.ask()[1].refused == ""


def test_a_limit_lowered_below_what_is_spent_cuts_no_call_short(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "2026-11-25T12:00:00+00:00", ON_A)
    ledger.end(ledger.open(40), 40)
    call = ledger.open(30)
    lower, higher = Limit("tokens", 20, "day"), Limit("tokens", 150, "day")
    ledger.change(t.SetLimit("account/a", lower))
    assert ledger.stands("account/a", lower) == (50, 40)
    assert ledger.ask()[1].refused == "limit"
    ledger.end(call, 30)
    ledger.change(t.SetLimit("account/a", higher))
    assert ledger.stands("account/a", higher) == (90, 0)
    assert ledger.ask(60)[1].output_tokens == 50


def test_a_limit_set_in_its_window_counts_what_the_window_has_seen_and_what_is_under_way(
    tmp_path: Path,
) -> None:
    ledger = Ledger(tmp_path, "2026-11-25T12:00:00+00:00")
    ledger.end(ledger.open(20))
    call = ledger.open(30)
    ledger.change(ON_A, t.SetLimit("account/org", A_MINUTE))
    assert ledger.stands("account/a", A_DAY) == (30, 40)
    assert ledger.stands("account/org", A_MINUTE) == (30, 40)
    ledger.again()
    ledger.end(call, 30)
    assert ledger.stands("account/a", A_DAY) == (70, 0)


def test_a_limit_in_total_counts_from_when_it_was_set(tmp_path: Path) -> None:
    in_total = Limit("tokens", 100, "total")
    ledger = Ledger(tmp_path, "2026-11-25T12:00:00+00:00", t.SetLimit("key/k", in_total))
    ledger.end(ledger.open(80), 80)
    assert ledger.ask()[1].refused == "limit"
    ledger.change(t.RemoveLimit("key/k", *in_total.name), t.SetLimit("key/k", in_total))
    assert ledger.stands("key/k", in_total) == (0, 0)
    ledger.end(ledger.open(50), 50)
    assert ledger.stands("key/k", in_total) == (60, 0)


def test_a_limit_that_is_lifted_is_forgotten_by_calls_under_way_and_counts_them_when_it_returns(
    tmp_path: Path,
) -> None:
    ledger = Ledger(tmp_path, "2026-11-25T12:00:00+00:00", ON_A)
    call = ledger.open(20)
    ledger.change(t.RemoveLimit("account/a", *A_DAY.name))
    ledger.end(call)
    ledger.change(ON_A)
    assert ledger.stands("account/a", A_DAY) == (30, 0)


def test_in_another_time_zone_a_day_begins_with_what_was_used_since_its_own_midnight(tmp_path: Path) -> None:
    in_zone: Callable[[str], t.Change] = lambda zone: t.SetAccount(t.AccountRecord("a", "org", "", zone))  # noqa: E731
    ledger = Ledger(tmp_path, "2026-11-25T10:00:00+00:00", ON_A)
    ledger.end(ledger.open(20))
    ledger.wait(8 * HOUR)  # in Shanghai a day has begun
    ledger.end(ledger.open(20), 10)
    call = ledger.open(20)
    ledger.change(in_zone("Asia/Shanghai"))
    assert ledger.stands("account/a", A_DAY) == (20, 30)
    ledger.change(in_zone("UTC"))
    assert ledger.stands("account/a", A_DAY) == (50, 30)
    ledger.again()
    ledger.change(in_zone("Asia/Shanghai"))
    ledger.end(call)
    assert ledger.stands("account/a", A_DAY) == (50, 0)


def test_a_day_that_is_over_keeps_what_was_used_in_it_when_the_zone_changes(tmp_path: Path) -> None:
    """Whether the writer that decided it had seen the next day begin, or started since, makes no difference."""
    in_zone: Callable[[str], t.Change] = lambda zone: t.SetAccount(t.AccountRecord("a", "org", "", zone))  # noqa: E731
    once = t.SetLimit("key/k", Limit("calls", 1, "total"))
    ledger = Ledger(tmp_path, "2026-11-24T10:00:00+00:00", ON_A, once)
    ledger.end(ledger.open(20))
    ledger.wait(26 * HOUR)
    assert ledger.ask()[1].refused == "limit"  # the day has turned, and nothing was used in the new one
    ledger.again()
    ledger.change(in_zone("Asia/Shanghai"))
    assert ledger.stands("account/a", A_DAY) == (0, 0)
    assert [
        amount for _, amount in ledger.rows("SELECT scope, amount_low FROM spent WHERE unit = 'tokens'")
    ] == [30]


def test_a_key_that_moves_takes_no_call_with_it(tmp_path: Path) -> None:
    ledger = Ledger(
        tmp_path,
        "2026-11-25T12:00:00+00:00",
        t.SetAccount(t.AccountRecord("b", "org")),
        ON_A,
        t.SetLimit("account/b", A_DAY),
    )
    call = ledger.open(20)
    ledger.change(t.SetKey(key("k", "b")))
    ledger.open(40)
    assert ledger.stands("account/a", A_DAY) == (0, 30)
    assert ledger.stands("account/b", A_DAY) == (0, 50)
    ledger.end(call)
    assert ledger.stands("account/a", A_DAY) == (30, 0)


def test_a_report_that_comes_late_counts_where_its_call_was_opened_even_beyond_the_limit(
    tmp_path: Path,
) -> None:
    ledger = Ledger(tmp_path, "2026-11-25T12:00:00+00:00", ON_A)
    call = ledger.open(80)
    ledger.lose()  # nothing is known of it: it counts as nothing, and its room is free
    ledger.end(ledger.open(40), 40)
    ledger.end(call, 80)
    assert ledger.stands("account/a", A_DAY) == (140, 0)
    assert ledger.ask()[1].refused == "limit"
    ledger.wait(12 * HOUR)
    assert ledger.ask()[1].refused == ""


def test_of_several_refusals_the_one_that_lasts_longest_is_told(tmp_path: Path) -> None:
    a_month, at_once = Limit("tokens", 30, "month"), Limit("calls", 1, "at once")
    ledger = Ledger(
        tmp_path, "2026-11-25T12:00:00+00:00", t.SetLimit("key/k", at_once), t.SetLimit("account/a", Limit("tokens", 30, "minute")),
        t.SetLimit("account/org", a_month), t.SetLimit("account/a", Limit("tokens", 30, "day")),
    )  # fmt: skip
    ledger.open(20)
    told = ledger.ask()[1].limit
    assert told is not None
    assert (told.scope, told.limit, told.renews_at_us) == (
        "account/org",
        a_month,
        us("2026-12-01T00:00+00:00"),
    )
    ledger.change(
        *(
            t.RemoveLimit(scope, "", "tokens", window)
            for scope, window in (("account/org", "month"), ("account/a", "day"), ("account/a", "minute"))
        )
    )
    told = ledger.ask()[1].limit
    assert told is not None
    assert (told.limit, told.reserved) == (at_once, 1)


def test_a_soft_limit_is_passed_by_what_was_under_way_when_it_was_reached_and_no_more(tmp_path: Path) -> None:
    soft = Limit("tokens", 100, "day", "soft")
    ledger = Ledger(tmp_path, "2026-11-25T12:00:00+00:00", t.SetLimit("account/a", soft))
    calls = [ledger.open(90) for _ in range(5)]
    ledger.end(calls[0], 89)
    calls.append(ledger.open(90))  # 99 are spent: not reached
    spent, reserved = ledger.stands("account/a", soft)
    ledger.end(calls[1], 90)
    assert ledger.ask()[1].refused == "limit"
    for call in calls[2:]:
        ledger.end(call, 90)
    assert ledger.stands("account/a", soft) == (spent + reserved, 0) == (599, 0)


def test_a_limit_that_is_set_counts_calls_that_the_ledger_opened_in_its_window(tmp_path: Path) -> None:
    """A clock that is behind makes ids of the day before; the ledger has opened the calls today all the same."""
    ledger = Ledger(tmp_path, "2026-11-25T23:59:00+00:00")
    ledger.end(ledger.open(20))
    ledger.wait(120)
    ledger.end(ledger.open(20))
    ledger.wait(-90)
    last = ledger.open(20)
    ledger.end(last)
    ledger.reprice(last)
    ledger.change(t.SetLimit("key/k", A_DAY))
    assert ledger.stands("key/k", A_DAY) == (60, 0)
    ledger.change(t.SetLimit("key/k", Limit("calls", 9, "day")))
    assert ledger.stands("key/k", Limit("calls", 9, "day")) == (2, 0)


def test_a_refused_entry_names_the_limit_and_what_it_stands_on(tmp_path: Path) -> None:
    limit = Limit("tokens", 25, "day", model="m*")
    ledger = Ledger(tmp_path, "2026-11-25T12:00:00+00:00", t.SetLimit("account/org", limit))
    ledger.ask()
    ledger.change(t.RemoveLimit("account/org", "m*", "tokens", "day"))
    ledger.change(t.AddCredit(t.Credit("c", "org", "CNY", 5, 1)))
    ledger.ask()
    reasons = [
        row[0] for row in ledger.rows("SELECT reason FROM entries WHERE kind = 'refused' ORDER BY seq")
    ]
    assert reasons == ["limit: 25 tokens/day for m* on account/org", "limit: credit on account/org"]


def test_credit_that_expires_under_a_call_still_pays_for_it(tmp_path: Path) -> None:
    noon = us("2026-11-25T12:00:00+00:00")
    credit = t.AddCredit(t.Credit("c", "a", "CNY", 50, noon, noon + 60_000_000))
    ledger = Ledger(tmp_path, "2026-11-25T12:00:00+00:00", credit)
    call = ledger.open(20)
    ledger.wait(120)
    assert ledger.ask()[1].refused == "limit"
    ledger.change(t.AddCredit(t.Credit("d", "a", "CNY", 100, noon)))
    assert (
        ledger.ask(60)[1].output_tokens == 45
    )  # what is set against the credit that is gone is in nobody's way
    assert ledger.ask(60)[1].refused == "limit"
    ledger.end(call, 20, pico=40)
    drawn = "SELECT unit, amount_low FROM spent WHERE scope = 'account/a'"
    assert ledger.rows(drawn) == [("CNY", 40)]
    assert ledger.ask()[1].refused == "limit"  # what has expired unspent is gone


def test_a_key_that_moves_lives_by_the_days_of_its_new_account(tmp_path: Path) -> None:
    china = t.SetAccount(t.AccountRecord("b", "", "", "Asia/Shanghai"))
    ledger = Ledger(tmp_path, "2026-11-25T10:00:00+00:00", china, t.SetLimit("key/k", A_DAY))
    ledger.end(ledger.open(20))
    ledger.wait(8 * HOUR)  # in Shanghai a day has begun
    ledger.end(ledger.open(20), 10)
    ledger.change(t.SetKey(key("k", "b")))
    assert ledger.stands("key/k", A_DAY) == (20, 0)


def test_an_allowance_covers_nothing_that_another_call_has_set_aside(tmp_path: Path) -> None:
    """Otherwise the one that needs no money, as its tokens were free, would have to pay at its end."""
    plan = t.SetPlan("a", t.Plan("p", "CNY", 0, 30, "tokens"))
    ledger = Ledger(
        tmp_path, "2026-11-25T12:00:00+00:00", plan, t.AddCredit(t.Credit("c", "a", "CNY", 50, 1))
    )
    free = ledger.open(20)  # all of the allowance
    paid = ledger.open(20)  # all of the credit
    ledger.end(paid)
    ledger.end(free)
    covered = dict(ledger.rows("SELECT call, covered_tokens FROM entries WHERE kind = 'settled'"))
    assert covered == {paid: 0, free: 30}


def test_what_a_stream_no_longer_needs_stays_free_after_a_restart(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "2026-11-25T12:00:00+00:00", ON_A)
    call = ledger.open(80)
    ledger.shrink(call, 30)
    assert ledger.stands("account/a", A_DAY) == (0, 30)
    ledger.again()
    assert ledger.ask(90)[1].output_tokens == 60


def test_tool_calls_of_a_run_count_when_their_call_ends_and_one_has_to_be_left(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "2026-11-23T12:00+00:00", t.SetLimit("run/r", Limit("tool calls", 3, "total")))
    first, told = ledger.ask(run="r")
    assert (told.refused, told.tools_left, ledger.ask()[1].tools_left) == ("", 3, None)
    second, told = ledger.ask(
        run="r"
    )  # at the same moment: as much is left, so that both may pass it together
    assert told.tools_left == 3
    ledger.end(first, tools=2)
    assert ledger.ask(run="r")[1].tools_left == 1
    ledger.end(second, tools=2)
    refused = ledger.ask(run="r")[1]
    assert refused.refused == "limit" and refused.limit is not None and refused.limit.spent == 4
    assert [ledger.ask(run="r")[1].again for _ in range(2)] == [1, 2]
    ledger.again()
    assert ledger.ask(run="r")[1].refused == "limit"
    assert ledger.ask(run="other")[1].refused == "" and verify(tmp_path).ok


def test_tool_calls_of_a_call_that_was_closed_without_its_worker_count_with_its_report(
    tmp_path: Path,
) -> None:
    ledger = Ledger(tmp_path, "2026-11-23T12:00+00:00", t.SetLimit("run/r", Limit("tool calls", 3, "total")))
    call, _ = ledger.ask(run="r")
    ledger._journal.interrupt([call])
    ledger._journal.commit()
    assert ledger.ask(run="r")[1].tools_left == 3
    ledger.end(call, tools=3)
    ledger.end(call, tools=3)  # sent twice is once
    assert ledger.ask(run="r")[1].refused == "limit" and verify(tmp_path).ok


def test_tool_calls_are_limited_on_runs_alone(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "2026-11-23T12:00+00:00")
    for scope in ("key/k", "account/a"):
        limit = t.SetLimit(scope, Limit("tool calls", 3, "total"))
        told = ledger._journal.apply(MakeChanges(0, "test", (limit,)))
        assert told == "tool calls are known of runs alone: limit them on run/ID"
