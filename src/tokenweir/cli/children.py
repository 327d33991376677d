"""Children of the supervisor: forked, tied to its life, started again with a growing pause when they die."""

import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable

import msgspec

from tokenweir.core.errors import TokenweirError
from tokenweir.engines.tie import tie_to_parent

#: Stages end in this order: first who takes calls, then what answers them, then who writes them down.
STAGE_WORKERS, STAGE_ENGINES, STAGE_LEDGER = 0, 1, 2
#: The control process ends as engines do: once the workers have, which pass requests on to it.
STAGE_CONTROL = STAGE_ENGINES

FIRST_PAUSE_US = 100_000
LONGEST_PAUSE_US = 10_000_000
#: A child that lived this long had started well: its next pause is the first again.
HEALTHY_US = 30_000_000

HANDLED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD})


class Child(msgspec.Struct):
    """One process. `run` is called in it and its return ends it; the others are called in the supervisor."""

    name: str
    stage: int
    run: Callable[[], None]
    prepare: Callable[[], None] = lambda: None  # before each fork
    late_us: int = 0  # how long after the others it is started first
    forked: Callable[[], None] = lambda: None  # after it: close what is the child's
    pid: int = 0  # 0: not running
    started_us: int = 0
    failures: int = 0  # in a row
    start_at_us: int = 0


def pause_us(failures: int) -> int:
    """How long to wait before the next start after this many failures in a row (from 1)."""
    return min(FIRST_PAUSE_US << min(failures - 1, 20), LONGEST_PAUSE_US)


def start(child: Child, now_us: int) -> None:
    """Fork; the child's side never returns."""
    child.prepare()
    sys.stdout.flush()
    sys.stderr.flush()
    supervisor = os.getpid()
    pid = os.fork()
    if pid == 0:
        _live(child, supervisor)
    child.forked()
    child.pid, child.started_us = pid, now_us


def _live(child: Child, supervisor: int) -> None:
    """The whole life of a forked child."""
    code = 1
    gc.freeze()  # what was imported before the fork stays: no collection looks at it, its pages stay shared
    try:
        _tie_to(supervisor)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        child.run()
        code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 1
    except TokenweirError as error:
        print(f"weir: {child.name}: {error}", file=sys.stderr)
    except BaseException:  # noqa: BLE001 - the process ends here either way, and says why
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _tie_to(supervisor: int) -> None:
    """Die with the supervisor, and take no signals of its terminal: it decides who stops when."""
    os.setpgid(0, 0)
    tie_to_parent(supervisor)


def describe_status(status: int) -> str:
    """What a wait status means, in words."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return f"killed by signal {-code} ({signal.strsignal(-code) or 'unknown'})"
    return f"exit code {code}"
