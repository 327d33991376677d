"""How many bytecodes of this package's own code a call takes, and a chunk of a stream: figures without a clock, the same on any machine.

    .venv/bin/python -m bench.bytecodes [--write] [--functions 20]

A worker's call, the ledger writer's and a chunk are carried out as `bench.alone` does it, with every instruction of `src/tokenweir`
counted; two lengths are run, so that what is done once falls out. What is done in C is not seen: a change that moves work
there looks better than it is, so times are measured too. `tests/test_bytecodes.py` compares with what is recorded in
`bytecodes.json`, by version of Python, and fails where a call has come to take a tenth more; `--write` records anew.
"""

import argparse
import json
import platform
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvloop

import tokenweir
from bench import alone

RECORD = Path(__file__).with_suffix(".json")
VERSION = ".".join(platform.python_version_tuple()[:2])
_PACKAGE = str(Path(tokenweir.__file__).parent)
_SHORT, _LONG = 2 * alone.BATCH, 6 * alone.BATCH

Counts = Counter[str]


def _worker(calls: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        uvloop.run(alone.worker(calls, 512, Path(directory)))


def _writer(calls: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        alone.writer(calls, Path(directory))


def _chunk(chunks: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        uvloop.run(alone.stream(chunks, Path(directory)))


MEASURED: dict[str, Callable[[int], None]] = {"worker": _worker, "writer": _writer, "chunk": _chunk}


def counted(run: Callable[[int], None], calls: int) -> Counts:
    """Bytecodes by function."""
    counts: Counts = Counter()

    def within(frame: FrameType, event: str, _argument: object) -> object:
        if event == "opcode":
            counts[frame.f_code.co_qualname] += 1
        return within

    def entered(frame: FrameType, _event: str, _argument: object) -> object:
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return within

    before = sys.gettrace()
    sys.settrace(entered)  # type: ignore[arg-type]
    try:
        run(calls)
    finally:
        sys.settrace(before)
    return counts


def of_a_call(name: str) -> dict[str, float]:
    """Bytecodes of one call, by function, most first."""
    run = MEASURED[name]
    short, long = counted(run, _SHORT), counted(run, _LONG)
    each = {function: (long[function] - short[function]) / (_LONG - _SHORT) for function in long}
    return dict(sorted(each.items(), key=lambda item: -item[1]))


def recorded() -> dict[str, dict[str, int]]:
    """By version of Python, then by what is measured."""
    found: dict[str, dict[str, int]] = json.loads(RECORD.read_text(encoding="utf-8"))
    return found


def main() -> None:
    """Count, print, and record where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"record the figures in {RECORD.name}")
    parser.add_argument("--functions", type=int, default=0, help="show the functions that take most")
    options = parser.parse_args()
    figures = {}
    for name in MEASURED:
        each = of_a_call(name)
        figures[name] = round(sum(each.values()))
        what = "chunk" if name == "chunk" else "call"
        print(f"{name}: {figures[name]:,} bytecodes a {what}, Python {VERSION}")
        for function, count in list(each.items())[: options.functions]:
            print(f"  {count:8.1f}  {function}")
    if options.write:
        record = {**recorded(), VERSION: figures} if RECORD.exists() else {VERSION: figures}
        RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
