"""`weir doctor` asks upstreams for real, says what to do, and never what a key is."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from price_server import PriceServer, serving
from weir_process import Home

from tokenweir.cli.doctor_command import examine
from tokenweir.cli.reach import reach
from tokenweir.gateway.config import UpstreamConfig
from tokenweir.ledger.database import DATABASE_NAME

SECRET = "sk-never-shown"


@pytest.fixture
def server() -> Iterator[PriceServer]:
    with serving() as running:
        yield running


def findings(directory: Path, toml: str, **environ: str) -> dict[str, tuple[str, str, str]]:
    """State, text and advice of each check."""
    file = directory / "weir.toml"
    file.write_text(f"[server]\nport = 0\n[local]\nenabled = false\n{toml}")
    found = examine(environ, file, directory / "data")
    assert SECRET not in repr(found)
    return {finding.check: (finding.state, finding.text, finding.advice) for finding in found}


def upstream(server: PriceServer) -> str:
    return f'[[upstream]]\nname = "u"\nurl = "http://127.0.0.1:{server.port}/v1"\napi_key = "env:KEY"\n'


@pytest.mark.parametrize(
    ("status", "state", "word"),
    [(200, "ok", "answer"), (401, "bad", "401"), (404, "ok", "no list of models"), (503, "warning", "503")],
)
def test_an_answer_is_read_as_what_it_means(
    tmp_path: Path, server: PriceServer, status: int, state: str, word: str
) -> None:
    server.status = status
    found = findings(tmp_path, upstream(server), KEY=SECRET)
    assert found["upstream u"][0] == state
    assert word in found["upstream u"][1]
    assert bool(found["upstream u"][2]) == (state != "ok")
    assert server.asked == ["/v1/models"]
    assert found["clock"] == ("ok", "agrees with the upstreams'", "")


def test_each_step_that_fails_is_named(server: PriceServer) -> None:
    base = UpstreamConfig(
        name="u", kind="openai", scheme="https", host="127.0.0.1", port=server.port, path="/v1"
    )
    assert reach(base).error.startswith("TLS: ")
    with serving() as gone:
        port = gone.port
    closed = UpstreamConfig(name="u", kind="openai", scheme="http", host="127.0.0.1", port=port, path="")
    assert reach(closed).error == "connection: Connection refused"
    nowhere = UpstreamConfig(name="u", kind="openai", scheme="http", host="no.such.invalid", port=80, path="")
    assert reach(nowhere).error.startswith("name: ")


def test_a_proxy_is_asked_as_a_call_would_ask_it(server: PriceServer) -> None:
    through = UpstreamConfig(
        name="u", kind="openai", scheme="http", host="api.invalid", port=80, path="/v1",
        proxy=("127.0.0.1", server.port, ""),
    )  # fmt: skip
    assert reach(through).status == 200
    assert server.asked == ["http://api.invalid:80/v1/models"]


def test_keys_are_named_and_a_shared_one_is_explained(tmp_path: Path) -> None:
    found = findings(tmp_path, "", MOONSHOT_API_KEY=SECRET, HTTPS_PROXY="http://127.0.0.1:1")
    assert found["keys"][1].startswith("MOONSHOT_API_KEY is set: moonshotai-cn (for moonshotai write")


def test_a_damaged_ledger_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / DATABASE_NAME).write_bytes(b"SQLite format 3\0" + b"nonsense" * 1000)
    state, _, advice = findings(tmp_path, "")["ledger"]
    assert (state, bool(advice)) == ("bad", True)


def test_a_missing_key_says_what_to_set(tmp_path: Path, server: PriceServer) -> None:
    home = Home(tmp_path)
    (tmp_path / "weir.toml").write_text(f"[local]\nenabled = false\n{upstream(server)}")
    done = home.run("doctor", "--json", "--data", str(tmp_path / "data"))
    bad = [finding for finding in json.loads(done.stdout)["findings"] if finding["state"] == "bad"]
    assert done.returncode == 1
    assert [(f["check"], "export KEY=" in f["text"]) for f in bad] == [("upstreams", True)]
