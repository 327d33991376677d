"""The full text of runs: for this user alone, for its time, and gone when it is forgotten."""

import gzip
from pathlib import Path

import pytest

from tokenweir.agents import texts
from tokenweir.agents.texts import Text
from tokenweir.core.errors import AgentError
from tokenweir.gateway.kept_texts import MOST_WAITING, SWEEP_EVERY_US, KeptTexts
from tokenweir.gateway.metrics import Counters

SECOND = 1_000_000


def text(number: int) -> Text:
    call = f"00000000-0000-0000-0000-{number:012d}"
    return Text(call=call, at_us=number, dialect="chat", request="{水}", answer="data: x\n\n")


def test_a_text_is_read_back_until_its_time_has_come(tmp_path: Path) -> None:
    for number, until_us in ((1, 10 * SECOND), (2, 20 * SECOND)):
        texts.write(tmp_path, "run_1", text(number), until_us)
    assert texts.read(tmp_path, "run_1", 9 * SECOND) == {text(n).call: text(n) for n in (1, 2)}
    assert list(texts.read(tmp_path, "run_1", 10 * SECOND)) == [text(2).call]
    place = texts.place(tmp_path, "run_1")
    assert {file.stat().st_mode & 0o777 for file in place.iterdir()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (place, place.parent)} == {0o700}
    assert texts.sweep(tmp_path, 10 * SECOND) == 1 and len(list(place.iterdir())) == 1
    assert texts.sweep(tmp_path, 20 * SECOND) == 1 and not place.exists()
    assert texts.read(tmp_path, "run_1", 0) == {} and texts.sweep(tmp_path, 0) == 0


def test_what_was_half_written_is_no_text_and_goes_with_its_time(tmp_path: Path) -> None:
    texts.write(tmp_path, "run_1", text(1), 10 * SECOND)
    (file,) = texts.place(tmp_path, "run_1").iterdir()
    file.rename(file.with_suffix(".unfinished"))
    assert texts.read(tmp_path, "run_1", 0) == {}
    assert texts.sweep(tmp_path, 10 * SECOND) == 1 and not file.parent.exists()


@pytest.mark.parametrize(
    "data", [b"", b"no gzip", gzip.compress(b"{}", mtime=0), gzip.compress(b"x", mtime=0)[:-4]]
)
def test_a_damaged_text_is_told_with_its_file(tmp_path: Path, data: bytes) -> None:
    texts.write(tmp_path, "run_1", text(1), 10 * SECOND)
    (file,) = texts.place(tmp_path, "run_1").iterdir()
    file.write_bytes(data)
    with pytest.raises(AgentError, match=str(file)):
        texts.read(tmp_path, "run_1", 0)


def test_a_run_is_forgotten_alone_whatever_its_name(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for run in ("run_1", "../up", "a/b", "."):
        texts.write(data, run, text(1), 10 * SECOND)
    assert {path.parent for path in (data / "texts").glob("*/*")} == {
        texts.place(data, r) for r in ("run_1", "../up", "a/b", ".")
    }
    assert not list(tmp_path.glob("up*"))
    assert texts.forget(data, "../up") == 1 and texts.forget(data, "../up") == 0
    assert len(texts.read(data, "run_1", 0)) == 1


def test_a_worker_writes_beside_its_calls_and_removes_on_time(tmp_path: Path) -> None:
    counters = Counters()
    kept = KeptTexts(tmp_path, counters)
    for number in range(3):
        kept.keep("run_1", text(number), (10 + number) * SECOND)
    kept.close()
    assert len(texts.read(tmp_path, "run_1", 0)) == 3
    kept = KeptTexts(tmp_path, counters)
    kept.tick(10 * SECOND)
    kept.tick(11 * SECOND)  # too soon to look again
    kept.close()
    assert len(texts.read(tmp_path, "run_1", 0)) == 2
    kept = KeptTexts(tmp_path, counters)
    for now_us in (0, SWEEP_EVERY_US):
        kept.tick(now_us)
    kept.close()
    assert texts.read(tmp_path, "run_1", 0) == {}


def test_texts_that_cannot_wait_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counters = Counters()
    kept = KeptTexts(tmp_path, counters)
    monkeypatch.setattr(kept, "_submit", lambda _work: None)  # a thread that does not come to it
    for number in range(MOST_WAITING + 2):
        kept.keep("run_1", text(number), 10 * SECOND)
    assert counters.values({})["weir_texts_lost"] == 2
