"""Engines found on real ports; other servers, however they behave, are passed over in time."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tokenweir.engines.discovery import (
    MAX_ANSWER_BYTES,
    USUAL,
    FoundEngine,
    FoundModel,
    Usual,
    find_engines,
)

#: Generous, for a busy machine: what is tested is what is found. How long it takes is tested on its own.
WITHIN_S = 5.0


def answer(body: object, status: str = "200 OK") -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"HTTP/1.0 {status}\r\nContent-Type: application/json\r\n\r\n".encode() + raw


@contextmanager
def server(pages: dict[str, bytes], *, silent: bool = False) -> Iterator[int]:
    """A real server with these pages; a silent one takes connections and never answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    kept: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            if silent:
                kept.append(client)
                continue
            with client:
                request = client.recv(4_096).decode()
                page = pages.get(request.split(" ")[1], answer({"error": "nothing here"}, "404 Not Found"))
                try:
                    client.sendall(page)
                except OSError:
                    continue  # the other side had enough

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for client in kept:
            client.close()


def entry(kind: str, port: int) -> Usual:
    (found,) = (usual for usual in USUAL if usual.kind == kind)
    return Usual(
        kind=kind, port=port, owners=found.owners, mark_path=found.mark_path, mark_key=found.mark_key
    )


def listing(owner: str | None, **more: object) -> bytes:
    return answer({"object": "list", "data": [{"id": "m", "object": "model", "owned_by": owner, **more}]})


ENGINES: list[tuple[str, dict[str, bytes], int | None]] = [
    ("vllm", {"/v1/models": listing("vllm", max_model_len=4096)}, 4096),
    ("sglang", {"/v1/models": listing("sglang", max_model_len=32768)}, 32768),
    ("llamacpp", {"/v1/models": listing("llamacpp", meta={"n_ctx": 512, "n_ctx_train": 1024})}, 512),
    ("lmdeploy", {"/v1/models": listing("lmdeploy")}, None),
    ("mindie", {"/v1/models": listing("MindIE Server")}, None),
    ("ollama", {"/v1/models": listing("library"), "/api/tags": answer({"models": []})}, None),
    ("xinference", {"/v1/models": listing(None)}, None),
    (
        "lmstudio",
        {
            "/v1/models": listing("organization_owner", max_context_length=8192),
            "/api/v0/models": answer({"data": []}),
        },
        8192,
    ),
]


@pytest.mark.parametrize(("kind", "pages", "context"), ENGINES)
def test_each_kind_is_known_by_its_answers(kind: str, pages: dict[str, bytes], context: int | None) -> None:
    with server(pages) as port:
        found = find_engines([entry(kind, port)], within_s=WITHIN_S)
    assert found == (FoundEngine(kind, f"http://127.0.0.1:{port}/v1", (FoundModel("m", context),)),)


def test_all_are_found_together_and_in_the_tables_order() -> None:
    with ExitStack() as stack:
        table = [entry(kind, stack.enter_context(server(pages))) for kind, pages, _ in ENGINES]
        found = find_engines(table, within_s=WITHIN_S)
    assert [engine.kind for engine in found] == [kind for kind, _, _ in ENGINES]


def test_an_engine_at_anothers_port_is_known_by_its_owner() -> None:
    with server({"/v1/models": listing("sglang")}) as port:
        (found,) = find_engines([entry("vllm", port)], within_s=WITHIN_S)
    assert found.kind == "sglang"


def test_the_gateways_own_port_is_not_asked() -> None:
    with server({"/v1/models": listing("vllm")}) as port:
        assert find_engines([entry("vllm", port)], skip_ports=frozenset({port}), within_s=WITHIN_S) == ()


OTHERS = [
    answer(b"<html>hello</html>"),
    answer({"data": "none"}),
    answer({"data": [{"id": 7}]}),
    answer([]),
    answer(b'{"data": [' + b"[" * 5_000),
    answer(b'{"data": [{"id": "\xff\xfe"}]}'),
    answer({"error": "who are you?"}, "401 Unauthorized"),
    answer({"object": "list", "data": [{"id": "m", "owned_by": "another gateway"}]}),
    b"SSH-2.0-OpenSSH_9.2p1\r\n",
    b"HTTP/1.0\r\n\r\n",
    b"",
]


@pytest.mark.parametrize("page", OTHERS)
def test_other_servers_are_passed_over(page: bytes) -> None:
    with server({"/v1/models": page}) as port:
        assert find_engines([entry("vllm", port)], within_s=WITHIN_S) == ()


def test_a_huge_answer_is_not_read_to_its_end() -> None:
    filler = b" " * (MAX_ANSWER_BYTES * 4)
    with server({"/v1/models": listing("vllm") + filler}) as port:
        assert find_engines([entry("vllm", port)], within_s=WITHIN_S) == ()


def test_odd_names_of_models_are_left_out() -> None:
    models = [{"id": name, "owned_by": "vllm"} for name in ("good", "", "a\nb", "x" * 600)]
    with server({"/v1/models": answer({"data": models})}) as port:
        (found,) = find_engines([entry("vllm", port)], within_s=WITHIN_S)
    assert found.models == (FoundModel("good"),)


def test_a_silent_server_costs_the_time_allowed_and_others_are_found_meanwhile() -> None:
    with server({}, silent=True) as silent, server({"/v1/models": listing("lmdeploy")}) as good:
        before = time.monotonic()
        found = find_engines([entry("vllm", silent), entry("lmdeploy", good)], within_s=0.5)
        took_s = time.monotonic() - before
    assert [engine.kind for engine in found] == ["lmdeploy"]
    assert took_s >= 0.5  # it was waited for as long as allowed; not longer is the selector's promise


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_nothing_is_left_behind() -> None:
    descriptors, threads = open_files(), threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    find_engines([entry("vllm", port)])
    assert open_files() == descriptors
    assert threading.active_count() == threads
