"""Days, months and other spans of a bill, and in which of them a moment lies."""

import calendar
from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from tokenweir.billing.bill import Period
from tokenweir.catalog.bill_formats import ISO, UNIX, Grain
from tokenweir.core.sentence import say

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: Years of bills; what lies outside is a misread cell.
FIRST_YEAR, LAST_YEAR = 2000, 2199


def us_of(moment: datetime) -> int:
    """Microseconds since 1970 UTC."""
    return (moment - _EPOCH) // _MICROSECOND


def local(at_us: int, zone: tzinfo) -> datetime:
    """A moment as clocks of a zone show it."""
    return (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone)


def read_time(text: str, forms: Iterable[str], zone: tzinfo) -> datetime:
    """A moment in the first form that fits; in `zone` where it states no offset. Raises ValueError with what was expected."""
    tried = tuple(forms)
    for form in tried:
        try:
            moment = _read(text, form)
        except (ValueError, OverflowError):
            continue
        if FIRST_YEAR <= moment.year <= LAST_YEAR:
            return moment if moment.tzinfo else moment.replace(tzinfo=zone)
    raise ValueError(say("a time as {tried}", tried=" or ".join(tried)))


def _read(text: str, form: str) -> datetime:
    if form == ISO:
        return datetime.fromisoformat(text)
    if form == UNIX:
        return datetime.fromtimestamp(int(text), UTC)
    return datetime.strptime(text, form)


def day_of(moment: datetime) -> Period:
    """The day in the moment's own zone; 23 or 25 hours long where clocks are changed."""
    day = moment.date()
    zone = moment.tzinfo
    return Period(_midnight_us(day, zone), _midnight_us(day + timedelta(days=1), zone), day.isoformat())


def month_of(moment: datetime) -> Period:
    """The month in the moment's own zone."""
    first = moment.date().replace(day=1)
    after = first + timedelta(days=calendar.monthrange(first.year, first.month)[1])
    return Period(
        _midnight_us(first, moment.tzinfo), _midnight_us(after, moment.tzinfo), first.strftime("%Y-%m")
    )


def span_of(start: datetime, last: datetime) -> Period:
    """From `start` up to and with the second or, where it is midnight, the day of `last`. Raises ValueError."""
    end = last + (timedelta(days=1) if last.time() == time() else timedelta(seconds=1))
    if end <= start:
        raise ValueError(say("an end that is not before its beginning"))
    return Period(us_of(start), us_of(end), f"{start.date()} – {last.date()}")


def natural(at_us: int, grain: Grain, zone: tzinfo) -> Period:
    """The month or day that a moment lies in."""
    moment = local(at_us, zone)
    return month_of(moment) if grain == "month" else day_of(moment)


def _midnight_us(day: date, zone: tzinfo | None) -> int:
    return us_of(datetime.combine(day, time(), tzinfo=zone))


class Periods:
    """In which period of a bill a moment lies; beside them, in which day or month of the bill's zone."""

    def __init__(self, known: Iterable[Period], grain: Grain, zone: tzinfo) -> None:
        self._known = sorted(set(known))
        self._starts = [period.start_us for period in self._known]
        self._grain: Grain = grain
        self._zone = zone

    def at(self, at_us: int) -> Period:
        """The period of a moment."""
        index = bisect_right(self._starts, at_us) - 1
        if index >= 0 and at_us < self._known[index].end_us:
            return self._known[index]
        return natural(at_us, self._grain, self._zone)
