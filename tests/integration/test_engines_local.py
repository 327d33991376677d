"""llama.cpp's real server with a tiny model: exact usage, its key, and its end when its parent ends."""

import contextlib
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tokenweir.core.errors import EngineError
from tokenweir.engines.gguf_file import BLOCKS, read_gguf
from tokenweir.engines.local import installed
from tokenweir.engines.local_plan import LocalEngineSpec, check_model, file_sha256

gguf = pytest.importorskip("gguf")
if not installed():
    pytest.skip("the extra `local` is not installed", allow_module_level=True)

from tiny_gguf import CONTEXT, LAYERS, WIDTH, prompt_tokens, write_tiny_gguf  # noqa: E402

KEY = "a-key-of-this-test"
ENDS_WITHIN_MS = 20_000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("models") / "tiny.gguf")


@contextlib.contextmanager
def engine(model: Path, *arguments: str, **popen: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [
        sys.executable,
        "-m",
        "tokenweir.engines.local",
        "--model",
        str(model),
        "--threads",
        "1",
        *arguments,
    ]
    environ = {**os.environ, "TOKENWEIR_ENGINE_KEY": KEY}
    with subprocess.Popen(  # type: ignore[call-overload]
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ, **popen
    ) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self.host)


def connect(address: str) -> http.client.HTTPConnection:
    kind, _, place = address.partition("://")
    return UnixConnection(place) if kind == "unix" else http.client.HTTPConnection(place, timeout=20)


def ask(address: str, path: str, body: object = None, key: str = KEY) -> tuple[int, bytes]:
    with contextlib.closing(connect(address)) as connection:
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        method = "GET" if body is None else "POST"
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def chat(*contents: str, **more: object) -> dict[str, object]:
    messages = [{"role": "user", "content": content} for content in contents]
    return {"model": "tiny", "messages": messages, "max_tokens": 5, "ignore_eos": True, **more}


@pytest.fixture(scope="module")
def running(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("log") / "engine.log"
    with engine(model, "--log-file", str(log)) as (_, address):
        assert address.startswith("http://127.0.0.1:"), log.read_text()
        yield address


def test_a_plain_chat_has_exact_usage(running: str) -> None:
    status, body = ask(running, "/v1/chat/completions", chat("one plus one"))
    answer = json.loads(body)
    assert status == 200
    wanted = prompt_tokens("one plus one")
    usage = answer["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (
        wanted,
        5,
        wanted + 5,
    )
    assert answer["model"] == "tiny"
    assert answer["choices"][0]["finish_reason"] == "length"


def test_a_streamed_chat_has_exact_usage(running: str) -> None:
    request = chat("two", "words", stream=True, stream_options={"include_usage": True})
    status, body = ask(running, "/v1/chat/completions", request)
    assert status == 200
    *events, done = [line.removeprefix(b"data: ") for line in body.split(b"\n\n") if line]
    assert done == b"[DONE]"
    usage = json.loads(events[-1])["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (prompt_tokens("two", "words"), 5)
    assert json.loads(events[-1])["choices"] == []


def test_a_repeated_prompt_is_read_from_the_cache(running: str) -> None:
    request = chat("a prompt that this test alone has", max_tokens=1)
    first = json.loads(ask(running, "/v1/chat/completions", request)[1])["usage"]
    again = json.loads(ask(running, "/v1/chat/completions", request)[1])["usage"]
    assert again["prompt_tokens"] == first["prompt_tokens"]
    assert again["prompt_tokens_details"]["cached_tokens"] > first["prompt_tokens_details"]["cached_tokens"]


def test_only_who_has_the_key_is_answered(running: str) -> None:
    assert ask(running, "/v1/chat/completions", chat("x"), key="wrong")[0] == 401
    assert ask(running, "/v1/models", key="wrong")[0] == 401
    assert ask(running, "/metrics", key="wrong")[0] == 401


def test_it_lists_its_model_and_its_metrics_and_has_no_pages(running: str) -> None:
    (listed,) = json.loads(ask(running, "/v1/models")[1])["data"]
    assert (listed["id"], listed["meta"]["n_ctx"]) == ("tiny", CONTEXT)
    assert b"llamacpp:requests_processing 0" in ask(running, "/metrics")[1]
    assert ask(running, "/")[0] == 404


def test_a_prompt_beyond_the_context_is_refused(running: str) -> None:
    status, body = ask(running, "/v1/chat/completions", chat("x" * CONTEXT))
    assert (status, json.loads(body)["error"]["type"]) == (400, "exceed_context_size_error")


def test_a_unix_socket_is_for_this_user_and_stale_ones_do_not_matter(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    with engine(model, "--unix-socket", str(path)) as (process, address):
        assert address == f"unix://{path}"
        assert path.stat().st_mode & 0o077 == 0
        assert ask(address, "/v1/chat/completions", chat("hi"))[0] == 200
        process.kill()
        process.wait()
    assert path.exists()  # nobody could remove it
    with engine(model, "--unix-socket", str(path)) as (process, address):
        assert ask(address, "/health")[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert not path.exists()


def test_it_ends_when_asked_in_the_middle_of_an_answer(model: Path) -> None:
    with engine(model) as (process, address), contextlib.closing(connect(address)) as connection:
        body = json.dumps(chat("go on", max_tokens=CONTEXT - 20, stream=True))
        connection.request("POST", "/v1/chat/completions", body, {"authorization": f"Bearer {KEY}"})
        connection.getresponse().read(10)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_it_ends_when_its_lifeline_closes(model: Path) -> None:
    with engine(model, "--lifeline", stdin=subprocess.PIPE) as (process, address):
        assert ask(address, "/health")[0] == 200
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) == 0


PARENT = """
import os, sys
from tokenweir.engines.local import run_local_engine
from tokenweir.engines.local_plan import LocalEngineSpec
pid = os.fork()
if pid == 0:
    spec = LocalEngineSpec(model=sys.argv[1], name="tiny", threads=1, log_file=sys.argv[2])
    out = os.dup(1)
    run_local_engine(spec, lambda address: os.write(out, f"{os.getpid()} {address}\\n".encode()))
os.waitpid(pid, 0)
"""


def test_it_dies_with_its_parent(model: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(model), str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, address = parent.stdout.readline().split()
        descriptor = os.pidfd_open(int(pid))
        assert ask(address, "/health")[0] == 200
        parent.kill()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        assert poll.poll(ENDS_WITHIN_MS)
        os.close(descriptor)


def test_a_model_that_llama_cpp_refuses_is_an_error_that_names_the_log(model: Path, tmp_path: Path) -> None:
    strange = tmp_path / "strange.gguf"
    strange.write_bytes(model.read_bytes().replace(b"llama", b"lamma"))
    log = tmp_path / "engine.log"
    with engine(strange, "--log-file", str(log)) as (process, address):
        assert address == ""
        assert process.wait(20) == 1
        assert process.stderr is not None
        assert str(log) in process.stderr.read()
    assert "lamma" in log.read_text()


# --- the file's head


def test_the_facts_of_a_file(model: Path) -> None:
    facts = read_gguf(model)
    assert (facts.architecture, facts.name, facts.layers, facts.context) == ("llama", "tiny", LAYERS, CONTEXT)
    assert facts.kv_bytes_per_token == LAYERS * 2 * WIDTH * 2
    assert facts.chat_template
    assert facts.data_bytes <= facts.file_bytes < facts.data_bytes + 64


def test_the_types_of_tensors_are_those_of_llama_cpp() -> None:
    assert {int(kind): size for kind, size in gguf.GGML_QUANT_SIZES.items()} == BLOCKS


@pytest.mark.parametrize("keep", [3, 20, 300, 5_000, 9_000, -1_000])
def test_a_file_cut_off_anywhere_is_refused(model: Path, tmp_path: Path, keep: int) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(model.read_bytes()[:keep])
    with pytest.raises(EngineError, match=r"cut off|no GGUF"):
        read_gguf(cut)


def test_a_damaged_head_is_refused(model: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    content = bytearray(model.read_bytes())
    for place, value, reason in ((4, 9, "version 9"), (15, 255, "tensors"), (23, 255, "entries")):
        wrong = content.copy()
        wrong[place] = value
        damaged.write_bytes(wrong)
        with pytest.raises(EngineError, match=reason):
            read_gguf(damaged)


def test_a_wrong_checksum_is_refused(model: Path) -> None:
    good = LocalEngineSpec(model=str(model), name="tiny", sha256=file_sha256(model))
    assert check_model(good).context == CONTEXT
    with pytest.raises(EngineError, match="checksum"):
        check_model(LocalEngineSpec(model=str(model), name="tiny", sha256="0" * 64))
