"""How property tests run: the same examples each time by default, fresh and more of them under `./dev test --long`."""

import signal

import pytest
from hypothesis import HealthCheck, settings
from postgres_server import postgres

__all__ = ["postgres"]  # a fixture: one server for all who need it

# Machines are busy: how long an example takes says nothing about it.
_COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("default", parent=_COMMON, derandomize=True)
settings.register_profile("long", parent=_COMMON, max_examples=1000)


def pytest_configure(config: pytest.Config) -> None:
    # A shell without job control starts what runs in the background deaf to it, and so would be all that tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    chosen = config.getoption("markexpr") or ""
    settings.load_profile("long" if "long or" in chosen else "default")
