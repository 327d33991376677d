"""Moments as people write them."""

import pytest

from tokenweir.cli.moments import parse_moment
from tokenweir.ledger.views import iso_time

NOW_US = 1_795_426_800_250_000  # 2026-11-23T09:40:00.250Z


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("24h", "2026-11-22T09:40:00.250Z"),
        ("7d", "2026-11-16T09:40:00.250Z"),
        ("30m", "2026-11-23T09:10:00.250Z"),
        ("today", "2026-11-23T00:00:00.000Z"),
        ("2026-11-01", "2026-11-01T00:00:00.000Z"),
        ("2026-11-01T08:00", "2026-11-01T08:00:00.000Z"),
        ("2026-11-01T08:00+08:00", "2026-11-01T00:00:00.000Z"),
    ],
)
def test_a_moment_is_read(text: str, moment: str) -> None:
    assert iso_time(parse_moment(text, NOW_US)) == moment


def test_anything_else_says_what_to_write() -> None:
    with pytest.raises(ValueError, match="write 24h, 7d, today"):
        parse_moment("yesterday-ish", NOW_US)
