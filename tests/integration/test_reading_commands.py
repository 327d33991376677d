"""`weir` in a process of its own, over a known ledger: what it prints and its exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from known_ledger import HOUR, Book, write_call

from tokenweir.cli.exits import FAILED, LEDGER, OK, SETTINGS, USAGE


def weir(*words: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    base = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-m", "tokenweir.cli.main", *words]
    return subprocess.run(
        command, cwd=cwd, env=base | environ, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    book = Book(tmp_path)
    write_call(book, 1)
    write_call(book, 2)
    book.hour(
        HOUR,
        model="kimi-k2",
        key="k1",
        currency="CNY",
        calls=3,
        input=1,
        output=5,
        cache_write_5m=2,
        cache_write_1h=3,
        cost_pico=12_000_000,
    )
    return tmp_path


def test_usage_is_printed_as_scripts_expect_it(data: Path) -> None:
    done = weir("usage", "--by", "model", "--json", "--data", str(data), cwd=data)
    assert done.returncode == OK
    row = json.loads(done.stdout)["rows"][0]
    assert row["by"] == {"model": "kimi-k2"}
    assert row["calls"] == 3
    assert row["tokens"] == {"input": 1, "cache_read": 0, "cache_write": 5, "output": 5, "reasoning": 0}
    assert row["cost"] == {"CNY": "0.000012"}
    assert (row["unpriced_calls"], row["estimated_calls"]) == (0, 0)


def test_the_data_directory_comes_from_the_environment_or_the_file(data: Path, tmp_path: Path) -> None:
    assert '"kimi-k2"' in weir("usage", "--json", cwd=data, WEIR_DATA=str(data)).stdout
    (tmp_path / "weir.toml").write_text(f'[ledger]\ndata = "{data}"\n')
    assert '"kimi-k2"' in weir("usage", "--json", cwd=tmp_path).stdout


def test_a_table_has_no_colours_in_a_pipe_and_exact_money(data: Path) -> None:
    done = weir("usage", "--data", str(data), cwd=data)
    assert "0.000012 CNY" in done.stdout
    assert "\x1b" not in done.stdout


def test_calls_are_one_object_a_line(data: Path) -> None:
    done = weir("calls", "--json", "--data", str(data), cwd=data)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["seq"] for line in lines] == [6, 3]
    assert lines[0]["cost"] == {"CNY": "0.000105"}
    assert lines[0]["tokens"]["cache_read"] == 5
    assert lines[0]["duration_ms"] == 2.5
    one = weir("calls", lines[0]["call"], "--data", str(data), cwd=data)
    assert one.returncode == OK
    assert "cost of the call: 0.000105 CNY" in one.stdout


def test_an_export_to_a_pipe_is_whole(data: Path) -> None:
    done = weir("ledger", "export", "--format", "jsonl", "--data", str(data), cwd=data)
    assert [json.loads(line)["seq"] for line in done.stdout.splitlines()] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("usage", "--by", "modle"), USAGE, "usage has no 'modle'; did you mean 'model'?"),
        (("usage", "--since", "soon"), USAGE, "'soon' is no moment; write 24h"),
        (("ledger", "export", "--format", "xls"), USAGE, "there is no format 'xls'"),
        (("ledger", "export", "--format", "parquet"), USAGE, "Parquet goes to a file"),
        (("calls", "0190b2a4-0000-7000-8000-000000000000"), FAILED, "the ledger has no call"),
        (("calls", "nonsense"), USAGE, "'nonsense' is no call's id"),
    ],
)
def test_wrong_words_end_with_a_sentence(data: Path, words: tuple[str, ...], code: int, message: str) -> None:
    done = weir(*words, "--data", str(data), cwd=data)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_no_ledger_and_a_wrong_file_have_codes_of_their_own(tmp_path: Path) -> None:
    done = weir("usage", "--data", str(tmp_path), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (LEDGER, "")
    assert "`weir up` makes one" in done.stderr
    (tmp_path / "weir.toml").write_text("[server]\nprot = 1\n")
    done = weir("usage", cwd=tmp_path)
    assert done.returncode == SETTINGS
    assert "did you mean 'port'?" in done.stderr


def test_doctor_names_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    done = weir("doctor", "--json", "--data", str(tmp_path / "d"), cwd=tmp_path, WEIR_PORT="0")
    findings = {finding["check"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert findings["time zones"]["state"] == "ok"
    assert findings["data directory"]["text"].endswith("(will be made)")
    (tmp_path / "weir.toml").write_text('[[upstream]]\nname = "u"\nurl = "http://127.0.0.1:1/v1"\n')
    done = weir("doctor", "--json", "--data", str(tmp_path / "d"), cwd=tmp_path, WEIR_PORT="0")
    assert done.returncode == FAILED
    bad = [finding for finding in json.loads(done.stdout)["findings"] if finding["state"] == "bad"]
    assert [finding["check"] for finding in bad] == ["upstream u"]
    assert "cannot be reached" in bad[0]["text"]
    assert bad[0]["advice"]


def test_models_shows_what_a_file_would_serve(tmp_path: Path) -> None:
    (tmp_path / "weir.toml").write_text(
        '[local]\nenabled = false\n[[upstream]]\nname = "u"\nurl = "http://127.0.0.1:1/v1"\n'
        '[[model]]\nname = "m"\ndeployments = ["u/x"]\n'
        'price = { input = 4.0, output = 0.003625, currency = "CNY" }\n'
    )
    done = weir("models", "--json", "--data", str(tmp_path), cwd=tmp_path)
    model = json.loads(done.stdout)["models"][0]
    assert model["deployments"][0]["prices"][0]["brackets"][0]["rates"] == {
        "input": "4",
        "output": "0.003625",
    }
    assert weir("prices", "show", cwd=tmp_path).stdout.split()[-4:-1] == ["4", "0.003625", "CNY"]
