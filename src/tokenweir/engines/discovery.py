"""Engines that listen on their usual loopback ports, found at once and told apart by what they answer.

Called before the other processes are forked, so it leaves nothing behind: no thread, no loop, no socket.
"""

import selectors
import socket
import time
from collections.abc import Iterable, Iterator

import msgspec

#: For all of it together: a port where nobody listens refuses at once.
WITHIN_S = 0.15
MAX_ANSWER_BYTES = 1024 * 1024
MAX_MODELS = 1_000
MAX_NAME = 512
_MODELS = "/v1/models"


class Usual(msgspec.Struct, frozen=True, kw_only=True):
    """Where a kind of engine usually is, and how it is known."""

    kind: str
    port: int
    owners: tuple[str, ...] = ()  # beginnings of `owned_by` in /v1/models, in lower case
    mark_path: str = ""  # a page that it has and others at this port have not; empty: the port is mark enough
    mark_key: str = ""  # a key of the JSON object on that page


#: The order is that in which they are told of.
USUAL: tuple[Usual, ...] = (
    Usual(kind="vllm", port=8000, owners=("vllm",), mark_path="/version", mark_key="version"),
    Usual(kind="sglang", port=30000, owners=("sglang",), mark_path="/server_info", mark_key="model_path"),
    Usual(kind="llamacpp", port=8080, owners=("llamacpp",), mark_path="/props", mark_key="build_info"),
    Usual(kind="lmdeploy", port=23333, owners=("lmdeploy",)),
    Usual(kind="mindie", port=1025, owners=("mindie",)),
    Usual(kind="ollama", port=11434, owners=("ollama",), mark_path="/api/tags", mark_key="models"),
    Usual(
        kind="lmstudio",
        port=1234,
        owners=("organization_owner",),
        mark_path="/api/v0/models",
        mark_key="data",
    ),
    Usual(kind="xinference", port=9997, owners=("xinference",)),
)


class FoundModel(msgspec.Struct, frozen=True):
    """A model that an engine offers."""

    name: str
    context: int | None = None  # tokens, where the engine says


class FoundEngine(msgspec.Struct, frozen=True):
    """An engine that answered."""

    kind: str
    url: str  # the base address of its API
    models: tuple[FoundModel, ...]


class _Meta(msgspec.Struct):
    n_ctx: int | None = None
    n_ctx_train: int | None = None


class _Listed(msgspec.Struct):
    """A model as listed: vLLM and SGLang tell `max_model_len`, llama.cpp `meta`, LM Studio the last two."""

    id: str
    owned_by: str | None = None
    max_model_len: int | None = None
    meta: _Meta | None = None
    loaded_context_length: int | None = None
    max_context_length: int | None = None

    def found(self) -> FoundModel:
        meta = self.meta or _Meta()
        told = (
            self.max_model_len,
            meta.n_ctx,
            self.loaded_context_length,
            meta.n_ctx_train,
            self.max_context_length,
        )
        return FoundModel(self.id, next((number for number in told if number and number > 0), None))


class _List(msgspec.Struct):
    data: list[_Listed]


class _Probe:
    """One request to one port, read as far as it comes."""

    def __init__(self, host: str, port: int, path: str) -> None:
        self.port, self.path = port, path
        self.answer = bytearray()
        # HTTP/1.0: the answer is not chunked, and ends with the connection.
        self._request = (
            f"GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\nAccept: application/json\r\n\r\n".encode()
        )
        self.socket = socket.socket(
            socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
        self.socket.connect_ex((host, port))

    def write(self) -> bool:
        """Send the request; False when nobody listens."""
        try:
            return self.socket.send(self._request) == len(self._request)
        except OSError:
            return False

    def read(self) -> bool:
        """Take what has come; False at the end, or beyond the limit."""
        try:
            piece = self.socket.recv(65_536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.answer += piece
        return bool(piece) and len(self.answer) <= MAX_ANSWER_BYTES

    def body(self) -> bytes | None:
        """The body of a good answer."""
        head, blank, body = bytes(self.answer).partition(b"\r\n\r\n")
        status = head.split(b" ", 2)[1:2]
        if not (head.startswith(b"HTTP/1.") and blank and status == [b"200"]):
            return None
        return body if len(self.answer) <= MAX_ANSWER_BYTES else None


def find_engines(
    usual: Iterable[Usual] = USUAL,
    *,
    skip_ports: frozenset[int] = frozenset(),
    host: str = "127.0.0.1",
    within_s: float = WITHIN_S,
) -> tuple[FoundEngine, ...]:
    """The engines that answer, in the table's order. `skip_ports`: the gateway's own.

    Answers that are late, huge, no JSON or of another kind of server are passed over.
    """
    table = [entry for entry in usual if entry.port not in skip_ports]
    wanted = {(entry.port, path) for entry in table for path in (_MODELS, entry.mark_path) if path}
    bodies = _ask(host, sorted(wanted), within_s)
    return tuple(_recognised(table, bodies, host))


def _ask(host: str, wanted: list[tuple[int, str]], within_s: float) -> dict[tuple[int, str], bytes]:
    deadline = time.monotonic() + within_s
    probes = [_Probe(host, port, path) for port, path in wanted]
    try:
        with selectors.DefaultSelector() as selector:
            for probe in probes:
                selector.register(probe.socket, selectors.EVENT_WRITE, probe)
            while selector.get_map() and (left := deadline - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    _step(selector, key)
    finally:
        for probe in probes:
            probe.socket.close()
    found = {(probe.port, probe.path): probe.body() for probe in probes}
    return {place: body for place, body in found.items() if body is not None}


def _step(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    probe: _Probe = key.data
    if key.events == selectors.EVENT_READ:
        if not probe.read():
            selector.unregister(probe.socket)
    elif probe.write():
        selector.modify(probe.socket, selectors.EVENT_READ, probe)
    else:
        selector.unregister(probe.socket)


def _recognised(table: list[Usual], bodies: dict[tuple[int, str], bytes], host: str) -> Iterator[FoundEngine]:
    kinds = {owner: entry.kind for entry in USUAL for owner in entry.owners}
    seen: set[int] = set()
    for entry in table:
        listed = _listed(bodies.get((entry.port, _MODELS), b""))
        if listed is None or entry.port in seen:
            continue
        kind = _kind_by_owner(listed, kinds) or _kind_by_mark(entry, bodies)
        if kind:
            seen.add(entry.port)
            models = tuple(model.found() for model in listed)
            yield FoundEngine(kind, f"http://{host}:{entry.port}/v1", models)


def _listed(body: bytes) -> list[_Listed] | None:
    try:
        listed = msgspec.json.decode(body, type=_List).data
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    good = [model for model in listed if 0 < len(model.id) <= MAX_NAME and model.id.isprintable()]
    return good[:MAX_MODELS]


def _kind_by_owner(listed: list[_Listed], kinds: dict[str, str]) -> str:
    owners = [(model.owned_by or "").lower() for model in listed]
    return next((kind for begin, kind in kinds.items() if any(o.startswith(begin) for o in owners)), "")


def _kind_by_mark(entry: Usual, bodies: dict[tuple[int, str], bytes]) -> str:
    if not entry.mark_path:
        return entry.kind
    try:
        page = msgspec.json.decode(
            bodies.get((entry.port, entry.mark_path), b""), type=dict[str, msgspec.Raw]
        )
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    return entry.kind if entry.mark_key in page else ""
