"""`weir prices update` against a server that is good, malformed, truncated, absurd, broken, huge, slow or gone."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from price_server import PriceServer, listing, serving

from tokenweir.catalog.models_dev import read_models_dev
from tokenweir.cli.catalog_store import CATALOG_NAME, PREVIOUS_NAME, load_catalog, save_catalog
from tokenweir.cli.exits import CATALOG, OK, UNREACHABLE
from tokenweir.cli.fetch import Bounds, FetchError, fetch

#: Every host had these three models a year after the shipped catalog was made.
BEFORE = read_models_dev(listing(a=1, b=2, c=3), source="test", date="2027-07-02")


def update(
    data: Path, server: PriceServer, *words: str, scheme: str = "http", **environ: str
) -> subprocess.CompletedProcess[str]:
    base = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-m", "tokenweir.cli.main", "prices", "update", "--data", str(data), *words]
    environ |= {"WEIR_PRICES_URL": f"{scheme}://localhost:{server.port}/api.json"}
    return subprocess.run(
        command, cwd=data, env=base | environ, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def server() -> Iterator[PriceServer]:
    with serving() as running:
        yield running


@pytest.fixture
def data(tmp_path: Path) -> Path:
    save_catalog(tmp_path, BEFORE)
    return tmp_path


def test_a_good_list_is_taken_told_and_kept_beside_the_one_before(data: Path, server: PriceServer) -> None:
    server.body = listing(a=1, b=2.5, d=4)
    done = update(data, server, "--json")
    assert (done.returncode, done.stderr) == (OK, "")
    answer = json.loads(done.stdout)
    first = answer["changed"][0]
    assert (first["model"], first["before"], first["now"]) == (
        "b",
        [{"input": "2", "output": "2"}],
        [{"input": "2.5", "output": "2.5"}],
    )
    assert {line["model"] for line in answer["new"]} == {"d"}
    assert {line["model"] for line in answer["removed"]} == {"c"}
    assert (answer["source"], answer["reloaded"]) == ("localhost", False)
    assert load_catalog(data)[0].source == "localhost"
    assert (data / PREVIOUS_NAME).exists()
    again = json.loads(update(data, server, "--json").stdout)
    assert again["new"] == again["changed"] == again["removed"] == []
    assert "0 new, 0 changed, 0 removed" in update(data, server).stdout


ABSURD = {
    "malformed": (b'{"openai": {', "is not JSON"),
    "a page": (b"<html>", "is not JSON"),
    "another list": (b"{}", "the catalog lacks"),
    "negative": (listing(a=1, b=-2, c=3), "is no price between"),
    "half gone": (listing(a=1), "are left in what was fetched"),
    "per token": (listing(a=0.000001, b=0.000002, c=0.000003), "a unit seems to have changed"),
}


@pytest.mark.parametrize("name", ABSURD)
def test_a_wrong_list_replaces_nothing(data: Path, server: PriceServer, name: str) -> None:
    before = (data / CATALOG_NAME).read_bytes()
    server.body, word = ABSURD[name]
    done = update(data, server)
    assert done.returncode == CATALOG
    assert word in done.stderr and "Traceback" not in done.stderr
    assert (data / CATALOG_NAME).read_bytes() == before
    assert not (data / PREVIOUS_NAME).exists()


@pytest.mark.parametrize(
    ("status", "sends", "word"),
    [
        (500, None, "localhost answered 500"),
        (404, None, "localhost answered 404"),
        (200, 100, "broke off after 100"),
    ],
)
def test_a_broken_server_replaces_nothing(
    data: Path, server: PriceServer, status: int, sends: int | None, word: str
) -> None:
    before = (data / CATALOG_NAME).read_bytes()
    server.body, server.status, server.sends = listing(a=1, b=2, c=3), status, sends
    done = update(data, server)
    assert done.returncode == UNREACHABLE
    assert word in done.stderr
    assert (data / CATALOG_NAME).read_bytes() == before


def test_what_is_huge_or_slow_is_given_up(server: PriceServer) -> None:
    url = f"http://127.0.0.1:{server.port}/"
    server.body = b" " * 1_000_000
    with pytest.raises(FetchError, match="more than 999,999 bytes"):
        fetch(url, {}, lambda *_: None, Bounds(size_bytes=999_999))
    with pytest.raises(FetchError, match="took more than 0 s"):
        fetch(url, {}, lambda *_: None, Bounds(whole_s=0))
    server.sends, server.waits = 10, True
    with pytest.raises(FetchError, match=r"sent nothing for 0\.05 s"):
        fetch(url, {}, lambda *_: None, Bounds(silence_s=0.05))


def test_no_server_and_no_address_are_told(tmp_path: Path) -> None:
    with serving() as gone:
        port = gone.port
    with pytest.raises(FetchError, match="check the network"):
        fetch(f"http://127.0.0.1:{port}/", {}, lambda *_: None, Bounds())
    with pytest.raises(FetchError, match="is no address"):
        fetch("file:///etc/passwd", {}, lambda *_: None, Bounds())


def test_a_proxy_of_the_environment_is_asked_but_not_for_this_machine(server: PriceServer) -> None:
    server.body = b"[1]"
    proxy = {"HTTP_PROXY": f"http://user:word@127.0.0.1:{server.port}"}
    assert fetch("http://prices.example/api.json", proxy, lambda *_: None, Bounds()) == b"[1]"
    assert server.asked == ["http://prices.example/api.json"]
    direct = {"HTTP_PROXY": "http://127.0.0.1:1"}
    assert fetch(f"http://127.0.0.1:{server.port}/x", direct, lambda *_: None, Bounds()) == b"[1]"


def test_a_certificate_is_checked(data: Path, tmp_path: Path) -> None:
    certificate = tmp_path / "localhost.pem"
    words = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost -keyout {certificate} -out {tmp_path}/public.pem"
    try:
        subprocess.run(["openssl", *words.split()], capture_output=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("openssl makes no certificate here")
    certificate.write_bytes(certificate.read_bytes() + (tmp_path / "public.pem").read_bytes())
    with serving(certificate) as server:
        server.body = listing(a=1, b=2, c=4)
        refused = update(data, server, scheme="https")
        assert refused.returncode == UNREACHABLE
        assert "certificate verify failed" in refused.stderr
        trusted = update(data, server, scheme="https", SSL_CERT_FILE=str(tmp_path / "public.pem"))
        assert trusted.returncode == OK, trusted.stderr


def test_a_full_disk_leaves_what_was_there(data: Path, server: PriceServer) -> None:
    before = (data / CATALOG_NAME).read_bytes()
    server.body = listing(
        **{f"model-{n}-{n * 7919 % 1000}": n / 100 for n in range(1, 400)} | {"a": 1, "b": 2, "c": 3}
    )
    command = [sys.executable, "-m", "tokenweir.cli.main", "prices", "update", "--data", str(data)]
    command += ["--url", f"http://127.0.0.1:{server.port}/"]

    def allow_little() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))

    done = subprocess.run(
        command, preexec_fn=allow_little, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == CATALOG
    assert "cannot be written" in done.stderr
    assert (data / CATALOG_NAME).read_bytes() == before
    assert [path.name for path in data.iterdir()] == [CATALOG_NAME]


def test_a_damaged_copy_is_told_and_not_used(tmp_path: Path) -> None:
    (tmp_path / CATALOG_NAME).write_bytes(b"\x1f\x8bnonsense")
    found, note = load_catalog(tmp_path)
    assert found.source.startswith("anomalyco/models.dev")
    assert "run `weir prices update`" in note


def test_a_newer_catalog_that_ships_goes_over_an_older_refreshed_one(tmp_path: Path) -> None:
    save_catalog(tmp_path, read_models_dev(listing(a=1), source="test", date="2020-01-01T00:00:00Z"))
    assert load_catalog(tmp_path)[0].source != "test"
