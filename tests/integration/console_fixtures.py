"""Fixtures of the console's tests over HTTP: a seeded ledger, a clock that stands still, and somebody with a browser."""

from pathlib import Path

import pytest
from console_host import Browser, application
from console_seed import NOW_US, SETTINGS, seed

from tokenweir.core.clock import FakeClock


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger that no test of this module changes."""
    data = tmp_path_factory.mktemp("console")
    seed(data)
    return data


@pytest.fixture
def data(tmp_path: Path) -> Path:
    seed(tmp_path)
    return tmp_path


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW_US)


@pytest.fixture
def browser(shared: Path, clock: FakeClock) -> Browser:
    return Browser(application(shared, clock, SETTINGS))
