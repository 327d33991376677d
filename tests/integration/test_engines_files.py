"""Model files from a real server that plays both hubs: whole, resumed, checked, refused."""

import hashlib
import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import Hub, cut_after, ignore_range, instead, refuse, serving

from tokenweir.core.errors import EngineError
from tokenweir.engines.download import Wanted, download
from tokenweir.engines.files import model_name, present_model, resolve_model

CONTENT = bytes(range(256)) * 12_000  # 3 MB
Disk = namedtuple("Disk", "total used free")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    hub = Hub()
    hub.files = {"m-Q4_K_M.gguf": CONTENT, "README.md": b"# read me"}
    with serving(hub):
        yield hub


class Waits:
    """In place of sleeping."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def environ(hub: Hub, **more: str) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.origin, "MODELSCOPE_ENDPOINT": hub.origin, **more}


def get(
    hub: Hub, directory: Path, text: str = "hf:own/repo", waits: Waits | None = None, **more: str
) -> Path:
    return resolve_model(text, directory, environ(hub, **more), sleep=waits or Waits())


@pytest.mark.parametrize("prefix", ["hf", "modelscope"])
@pytest.mark.parametrize("file", ["", "/m-Q4_K_M.gguf"])
def test_a_model_comes_from_either_hub(hub: Hub, tmp_path: Path, prefix: str, file: str) -> None:
    seen: list[tuple[str, int, int]] = []
    path = resolve_model(
        f"{prefix}:own/repo{file}", tmp_path, environ(hub), progress=lambda *report: seen.append(report)
    )
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(tmp_path / prefix / "own" / "repo")
    assert seen[-1] == ("m-Q4_K_M.gguf", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert sorted(p.name for p in path.parent.iterdir()) == sorted(
        ["m-Q4_K_M.gguf"] + ([] if file else [".chosen"])
    )


@pytest.mark.parametrize("file", ["", "/m-Q4_K_M.gguf"])
def test_what_is_there_needs_no_network(hub: Hub, tmp_path: Path, file: str) -> None:
    text = f"hf:own/repo{file}"
    assert present_model(text, tmp_path) is None
    path = get(hub, tmp_path, text)
    asked = len(hub.requests)
    assert get(hub, tmp_path, text) == path == present_model(text, tmp_path)
    assert len(hub.requests) == asked


def test_a_cut_connection_is_gone_on_from_where_it_broke(hub: Hub, tmp_path: Path) -> None:
    hub.faults.extend([cut_after(1_000_000), cut_after(500_000)])
    waits = Waits()
    assert get(hub, tmp_path, waits=waits).read_bytes() == CONTENT
    ranges = [headers.get("range") for headers in hub.content_requests()]
    assert ranges == [None, "bytes=1000000-", "bytes=1500000-"]
    assert all("if-range" in headers for headers in hub.content_requests()[1:])
    assert waits.seconds == [1.0, 1.0]


def test_a_later_start_goes_on_too(hub: Hub, tmp_path: Path) -> None:
    hub.faults.extend([cut_after(2_000_000), *[refuse(503)] * 5])
    with pytest.raises(EngineError, match="run it again to go on"):
        get(hub, tmp_path)
    assert present_model("hf:own/repo", tmp_path) is None
    assert get(hub, tmp_path).read_bytes() == CONTENT
    assert hub.content_requests()[-1]["range"] == "bytes=2000000-"


def test_a_server_that_ignores_ranges_costs_time_only(hub: Hub, tmp_path: Path) -> None:
    hub.faults.extend([cut_after(1_000_000), ignore_range])
    assert get(hub, tmp_path).read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_is_begun_again(hub: Hub, tmp_path: Path) -> None:
    hub.faults.append(instead(b"x" * len(CONTENT), cut=1_000_000))
    assert get(hub, tmp_path).read_bytes() == CONTENT
    assert hub.content_requests()[1]["range"] == "bytes=1000000-"  # its If-Range no longer held


def test_what_is_left_of_another_file_is_not_gone_on_with(hub: Hub, tmp_path: Path) -> None:
    hub.faults.extend([cut_after(1_000_000), *[refuse(500)] * 5])
    with pytest.raises(EngineError):
        get(hub, tmp_path)
    hub.files["m-Q4_K_M.gguf"] = other = CONTENT[::-1]
    assert get(hub, tmp_path).read_bytes() == other
    assert "range" not in hub.content_requests()[-1]


def test_a_wrong_checksum_is_tried_once_more_and_then_refused(hub: Hub, tmp_path: Path) -> None:
    hub.faults.append(instead(b"y" * len(CONTENT)))
    assert get(hub, tmp_path / "a").read_bytes() == CONTENT
    hub.sha256["m-Q4_K_M.gguf"] = "0" * 64
    with pytest.raises(EngineError, match="twice with a wrong checksum"):
        get(hub, tmp_path / "b")
    assert present_model("hf:own/repo", tmp_path / "b") is None


def test_the_hash_told_with_the_redirect_is_checked(hub: Hub, tmp_path: Path) -> None:
    hub.lists_hashes, hub.linked_etag = False, True
    hub.faults.extend([instead(b"z" * len(CONTENT))] * 2)
    with pytest.raises(EngineError, match="wrong checksum"):
        get(hub, tmp_path)
    assert get(hub, tmp_path).read_bytes() == CONTENT


def test_a_length_that_is_not_the_listed_one_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.faults.append(instead(b"short"))
    with pytest.raises(EngineError, match=r"has 5 bytes, not the 3,072,000 listed"):
        get(hub, tmp_path)


def test_pauses_grow_and_a_servers_wish_is_heard(hub: Hub, tmp_path: Path) -> None:
    hub.faults.extend([refuse(503), refuse(429, Retry_After="9"), refuse(500), refuse(502)])
    waits = Waits()
    get(hub, tmp_path, waits=waits)
    assert waits.seconds == [1.0, 9.0, 4.0, 8.0]


def test_it_gives_up_after_six_failures_without_a_byte(hub: Hub, tmp_path: Path) -> None:
    hub.faults.extend([refuse(503)] * 9)
    waits = Waits()
    with pytest.raises(EngineError, match=r"answered 503; gave up after 6 tries"):
        get(hub, tmp_path, waits=waits)
    assert waits.seconds == [1.0, 2.0, 4.0, 8.0, 16.0]


def test_the_token_is_shown_to_the_hub_and_to_no_other_host(hub: Hub, tmp_path: Path) -> None:
    hub.token = "hf_secret"
    elsewhere = Hub()
    elsewhere.files = hub.files
    with serving(elsewhere) as origin:
        hub.content_origin = origin.replace("127.0.0.1", "localhost")
        with pytest.raises(EngineError, match=r"401 .*HF_TOKEN") as refused:
            get(hub, tmp_path)
        assert get(hub, tmp_path, HF_TOKEN="hf_secret").read_bytes() == CONTENT
    assert "hf_secret" not in str(refused.value)
    assert all("authorization" not in headers for _, headers in elsewhere.requests)
    assert hub.requests[-1][1]["authorization"] == "Bearer hf_secret"


def test_no_room_is_said_before_a_byte_is_taken(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Disk(10**9, 10**9, 65 * 1024 * 1024))
    with pytest.raises(EngineError, match=r"needs 0\.0 GB more, and 0\.1 GB are free"):
        get(hub, tmp_path)
    assert not list(tmp_path.rglob("*.gguf"))


def test_proxies_of_the_environment_are_used(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", hub.origin)
    resolve_model("hf:own/repo", tmp_path, {"HF_ENDPOINT": "http://hub.invalid"}, sleep=Waits())
    # A proxy is asked for whole addresses.
    assert hub.requests[0][0] == "http://hub.invalid/api/models/own/repo/tree/main?recursive=true"


def test_a_listing_of_several_pages_is_read_to_its_end(hub: Hub, tmp_path: Path) -> None:
    hub.files = {f"a{n}-Q8_0.gguf": b"a" for n in range(9)} | {"z-Q4_K_M.gguf": CONTENT}
    hub.page_size = 3
    assert get(hub, tmp_path).name == "z-Q4_K_M.gguf"


def test_a_split_model_comes_whole_and_its_first_part_last(hub: Hub, tmp_path: Path) -> None:
    hub.files = {f"big-Q4_K_M-{n:05d}-of-00003.gguf": bytes([n]) * 1000 for n in (1, 2, 3)}
    hub.faults.extend([cut_after(1000), *[refuse(503)] * 6])
    with pytest.raises(EngineError):
        get(hub, tmp_path)
    assert present_model("hf:own/repo/big-Q4_K_M-00001-of-00003.gguf", tmp_path) is None
    path = get(hub, tmp_path)
    assert path.name == "big-Q4_K_M-00001-of-00003.gguf"
    assert len(list(path.parent.glob("*.gguf"))) == 3


def test_a_choice_is_asked_for(hub: Hub, tmp_path: Path) -> None:
    hub.files = {"a-Q8_0.gguf": b"a", "b-Q5_K_M.gguf": b"b", "mmproj-F16.gguf": b"c"}
    with pytest.raises(
        EngineError, match=r"name one, such as hf:own/repo/a-Q8_0.gguf; it has a-Q8_0.gguf, b-Q5_K_M"
    ):
        get(hub, tmp_path)
    with pytest.raises(EngineError, match=r"has no file c.gguf; it has"):
        get(hub, tmp_path, "hf:own/repo/c.gguf")
    hub.files = {"README.md": b""}
    with pytest.raises(EngineError, match="has no GGUF file"):
        get(hub, tmp_path)


def test_two_downloads_of_one_file_do_not_mix(hub: Hub, tmp_path: Path) -> None:
    import fcntl

    target = tmp_path / "m.gguf"
    with (tmp_path / "m.gguf.part").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(EngineError, match="another process is downloading"):
            download(Wanted(url=f"{hub.origin}/cdn/m-Q4_K_M.gguf"), target, lambda *_: None)
    sha256 = download(Wanted(url=f"{hub.origin}/cdn/m-Q4_K_M.gguf"), target, lambda *_: None)
    assert sha256 == hashlib.sha256(CONTENT).hexdigest()


def test_unknown_repositories_and_missing_paths(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"404 .*no such file or repository"):
        get(hub, tmp_path, "hf:own/nothing")
    with pytest.raises(EngineError, match="there is no model file"):
        get(hub, tmp_path, str(tmp_path / "nothing.gguf"))
    there = tmp_path / "own.gguf"
    there.write_bytes(b"GGUF")
    assert get(hub, tmp_path, str(there)) == there


def test_a_model_is_called_after_its_file() -> None:
    assert model_name("/data/Qwen3-0.6B-Q8_0.gguf") == "Qwen3-0.6B-Q8_0"
    assert model_name("hf:Qwen/Qwen3-0.6B-GGUF") == "Qwen3-0.6B"
    assert model_name("modelscope:Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q8_0.gguf") == "Qwen3-0.6B-Q8_0"
