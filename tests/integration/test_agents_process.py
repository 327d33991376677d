"""A program and all that it starts: kept within bounds while it runs, and gone when it is ended."""

import os
import signal
import sys
from pathlib import Path

from weir_process import wait_for

from tokenweir.agents.process import MAX_OUTPUT_BYTES, TAIL_BYTES, Group


def group(directory: Path, program: str) -> Group:
    return Group([sys.executable, "-c", program], directory, {"PATH": os.environ["PATH"]}, directory, "it")


def ended(group: Group) -> int:
    code = wait_for(lambda: (code := group.wait(0.1)) is not None and (code,), "its end")
    return code[0]


def test_what_is_printed_is_kept_up_to_a_bound_and_its_end_is_known(tmp_path: Path) -> None:
    much = MAX_OUTPUT_BYTES + (1 << 20)
    talker = group(
        tmp_path, f"import sys; sys.stdout.write('x' * {much} + 'the end'); sys.stderr.write('oh')"
    )
    assert ended(talker) == 0
    tail = talker.output.end()
    assert tail.endswith("xthe end") and len(tail) <= TAIL_BYTES + (64 << 10)
    assert (tmp_path / "it.out").stat().st_size == MAX_OUTPUT_BYTES
    assert talker.errors.end() == "oh" == (tmp_path / "it.err").read_text()


def test_whatever_was_left_behind_is_ended_with_it(tmp_path: Path) -> None:
    # A grandchild in a session of its own, whose parent is gone: no signal to a group reaches it.
    left = (
        "import os, time\nif os.fork() == 0:\n os.setsid()\n if os.fork() == 0:\n"
        "  open('left', 'w').write(str(os.getpid())); time.sleep(1000)\n os._exit(0)\n"
        "while not os.path.exists('left') or not os.path.getsize('left'): time.sleep(0.01)\n"
    )
    parent = group(tmp_path, left)
    assert ended(parent) == 0
    pid = int((tmp_path / "left").read_text())
    assert Path(f"/proc/{pid}").exists()
    assert parent.end() == 1
    assert not Path(f"/proc/{pid}").exists()


def test_a_program_is_asked_first_and_says_how_it_ended(tmp_path: Path) -> None:
    sleeper = group(tmp_path, "import time; print('ready', flush=True); time.sleep(1000)")
    wait_for(lambda: (tmp_path / "it.out").exists() and (tmp_path / "it.out").read_text(), "its word")
    assert sleeper.wait(0) is None
    sleeper.ask(signal.SIGTERM)
    assert ended(sleeper) == -signal.SIGTERM
    assert sleeper.end() == 0
    sleeper.ask(signal.SIGTERM)  # there is nobody any more
