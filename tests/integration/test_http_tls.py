"""How upstreams are reached: TLS that is verified, a proxy's CONNECT, a Unix socket."""

import asyncio
import base64
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
import uvloop
from http_parts import OK_BODY, Door, Message, RawUpstream, Wire, raw_upstream

from tokenweir.gateway.config import UpstreamConfig
from tokenweir.gateway.upstream import Upstream
from tokenweir.gateway.upstream_connection import AnswerSink, Fault, UpstreamConnection

NAME = "api.example.test"  # resolved by nobody but the proxy
PASSWORD = "p:w"
CREDENTIALS = "Basic " + base64.b64encode(f"user:{PASSWORD}".encode()).decode()


class Proxy:
    """A small HTTP proxy that only knows CONNECT, and one name."""

    def __init__(self, target_port: int) -> None:
        self.asked: list[Message] = []
        self.refusal = b""
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return  # closed: the test is over
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        wire = Wire(sock)
        request = wire.head()
        self.asked.append(request)
        if self.refusal:
            wire.send(self.refusal)
            sock.close()
        elif request.headers.get("proxy-authorization") != CREDENTIALS:
            wire.send(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            sock.close()
        else:
            wire.send(b"HTTP/1.1 200 Connection established\r\nx-proxy: test\r\n\r\n")
            ahead = socket.create_connection(("127.0.0.1", self._target_port))
            for one, other in ((sock, ahead), (ahead, sock)):
                threading.Thread(target=pump, args=(one, other), daemon=True).start()


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        source.settimeout(None)
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        sink.close()  # one side hung up


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def secure(authority: trustme.CA) -> Iterator[RawUpstream]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME, "127.0.0.1").configure_cert(context)
    made = RawUpstream(context)
    yield made
    made.close()


@pytest.fixture(scope="module")
def elsewhere(authority: trustme.CA) -> Iterator[RawUpstream]:
    """A server whose certificate is in order, but for another name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example.test").configure_cert(context)
    made = RawUpstream(context)
    yield made
    made.close()


@pytest.fixture(scope="module")
def plain() -> Iterator[int]:
    """A port where TLS is not spoken."""
    listener = socket.create_server(("127.0.0.1", 0))

    def greet() -> None:
        sock, _ = listener.accept()
        sock.sendall(b"220 hello\r\n")
        sock.close()

    threading.Thread(target=greet, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


@pytest.fixture(scope="module")
def proxy(secure: RawUpstream) -> Iterator[Proxy]:
    made = Proxy(secure.port)
    yield made
    made.close()


@pytest.fixture(scope="module")
def door(
    tmp_path_factory: pytest.TempPathFactory,
    authority: trustme.CA,
    secure: RawUpstream,
    elsewhere: RawUpstream,
    proxy: Proxy,
    plain: int,
) -> Iterator[Door]:
    directory = tmp_path_factory.mktemp("tls")
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    trusted = f'ca_file = "{directory / "ca.pem"}"\n'

    def https(name: str, host: str, port: int, more: str) -> str:
        return raw_upstream(port, name, more).replace("http://127.0.0.1", f"https://{host}", 1)

    upstreams = [
        https("trusted", "127.0.0.1", secure.port, trusted),
        https("stranger", "127.0.0.1", secure.port, ""),
        https("unchecked", "127.0.0.1", secure.port, "verify_tls = false\n"),
        https("misnamed", "127.0.0.1", elsewhere.port, trusted),
        https("plain", "127.0.0.1", plain, trusted),
        https("proxied", NAME, 443, trusted),
        https("excepted", f"sub.no.{NAME}", 443, trusted),
        https(
            "named",
            "127.0.0.1",
            secure.port,
            f'{trusted}proxy = "http://user:p%3Aw@127.0.0.1:{proxy.port}"\n',
        ),
        https("unknown", "127.0.0.1", secure.port, f'{trusted}proxy = "http://127.0.0.1:{proxy.port}"\n'),
    ]
    names = (
        "trusted",
        "stranger",
        "unchecked",
        "misnamed",
        "plain",
        "proxied",
        "excepted",
        "named",
        "unknown",
    )
    models = "".join(f'[[model]]\nname = "{name}"\ndeployments = ["{name}/m"]\n' for name in names)
    environ = {"HTTPS_PROXY": f"http://user:p%3Aw@127.0.0.1:{proxy.port}", "NO_PROXY": f"localhost,no.{NAME}"}
    made = Door(directory, "".join(upstreams), models=models, environ=environ)
    yield made
    assert made.stop() == 0
    told = made.log.read_text()
    assert PASSWORD not in told and "p%3Aw" not in told and "Traceback" not in told


def call(door: Door, model: str, **more: object) -> Message:
    return door.ask(door.chat(model=model, **more))


def test_an_authority_of_the_settings_is_trusted_and_its_connections_are_kept(
    door: Door, secure: RawUpstream
) -> None:
    assert call(door, "trusted").body == OK_BODY
    assert call(door, "trusted", user="x" * 500_000).body == OK_BODY
    first, second = secure.arrived[-2:]
    assert first.connection == second.connection


@pytest.mark.parametrize(
    ("model", "word"),
    [
        ("stranger", "unable to get local issuer certificate"),
        ("misnamed", "IP address mismatch"),
        ("plain", "TLS failed (wrong version number)"),
    ],
)
def test_a_certificate_that_proves_nothing_is_502_and_gets_no_request(
    door: Door, secure: RawUpstream, elsewhere: RawUpstream, model: str, word: str
) -> None:
    seen = len(secure.arrived) + len(elsewhere.arrived)
    answer = call(door, model)
    assert answer.status == 502
    assert word in answer.error["message"]
    assert len(secure.arrived) + len(elsewhere.arrived) == seen


def test_verification_can_be_turned_off_for_one_upstream(door: Door) -> None:
    assert call(door, "unchecked").status == 200


def test_the_proxy_of_the_environment_is_asked_by_name_and_sees_neither_key_nor_request(
    door: Door, proxy: Proxy
) -> None:
    assert call(door, "proxied").body == OK_BODY
    asked = proxy.asked[-1]
    assert asked.line == f"CONNECT {NAME}:443 HTTP/1.1"
    assert asked.headers == {"host": f"{NAME}:443", "proxy-authorization": CREDENTIALS}


def test_a_proxy_of_the_settings_goes_for_this_machine_too(
    door: Door, proxy: Proxy, secure: RawUpstream
) -> None:
    seen = len(proxy.asked)
    assert call(door, "named").body == OK_BODY
    assert proxy.asked[seen].line == f"CONNECT 127.0.0.1:{secure.port} HTTP/1.1"


def test_what_no_proxy_excepts_is_reached_without_one(door: Door, proxy: Proxy) -> None:
    seen = len(proxy.asked)
    answer = call(door, "excepted")
    assert "name could not be resolved" in answer.error["message"]  # only the proxy knows such names
    assert len(proxy.asked) == seen


def test_a_proxy_that_refuses_is_502_and_says_so(door: Door, proxy: Proxy) -> None:
    answer = call(door, "unknown")
    assert answer.status == 502
    assert "the proxy answered CONNECT with 407" in answer.error["message"]
    for refusal, word in (
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "with 403"),
        (b"nonsense\r\n\r\n", "with no status"),
        (b"HTTP/1.1 200", "closed the connection"),
    ):
        proxy.refusal = refusal
        assert word in call(door, "unknown").error["message"]
    proxy.refusal = b""


def test_an_upstream_on_a_unix_socket(tmp_path: Path) -> None:
    server = RawUpstream(unix_socket=str(tmp_path / "engine.sock"))
    config = UpstreamConfig(name="e", kind="openai", scheme="http", host="", port=0, path="/v1", unix_socket=server.unix_socket)  # fmt: skip

    class Sink(AnswerSink):
        def __init__(self, done: asyncio.Future[bytes]) -> None:
            self.done = done
            self.body = b""

        def connected(self, connection: UpstreamConnection) -> None:
            connection.send(
                self, b"POST /v1/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n", b"{}"
            )

        def answer_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
            assert status == 200

        def answer_data(self, data: bytes) -> None:
            self.body += data

        def answer_end(self) -> None:
            self.done.set_result(self.body)

        def answer_fault(self, fault: Fault, detail: str) -> None:
            self.done.set_exception(OSError(detail))

    async def ask_twice() -> list[bytes]:
        loop = asyncio.get_running_loop()
        upstream = Upstream(config, loop, 4.0)
        bodies = []
        for _ in range(2):
            done: asyncio.Future[bytes] = loop.create_future()
            upstream.acquire(Sink(done))
            bodies.append(await done)
        upstream.retire()
        return bodies

    assert uvloop.run(ask_twice()) == [OK_BODY, OK_BODY]
    assert server.accepted == 1
    server.close()
