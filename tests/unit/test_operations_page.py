"""The page on operations states the defaults that the settings have."""

import re
from pathlib import Path

import msgspec

from tokenweir.cli.settings import UpstreamSettings
from tokenweir.gateway.config import Limits

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| `(\d+)` \|", re.MULTILINE)


def test_the_bounds_are_those_of_the_settings() -> None:
    clients, upstreams = PAGE.split("Of an upstream (`[[upstream]]`):")
    for text, struct in ((clients, Limits), (upstreams, UpstreamSettings)):
        defaults = {field.name: field.default for field in msgspec.structs.fields(struct)}
        stated = {name: float(value) for name, value in ROW.findall(text)}
        assert len(stated) >= 4
        assert stated == {name: defaults[name] for name in stated}


def test_the_waits_of_what_stands_around_it_fit() -> None:
    limits = Limits()
    upstream = {field.name: field.default for field in msgspec.structs.fields(UpstreamSettings)}
    (stop_s,) = (int(found) for found in re.findall(r"TimeoutStopSec=(\d+)", PAGE))
    (read_s,) = (int(found) for found in re.findall(r"proxy_read_timeout (\d+)s", PAGE))
    (body_mb,) = (int(found) for found in re.findall(r"client_max_body_size (\d+)m", PAGE))
    assert stop_s >= limits.drain_timeout_s + 20
    assert read_s > upstream["first_byte_timeout_s"]
    assert body_mb * 1024 * 1024 == limits.max_body_bytes
