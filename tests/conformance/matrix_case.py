"""The matrix as it lies in `matrix/`: scenarios, each said by clients and upstreams of every dialect. See README.md."""

import json
import tomllib
from pathlib import Path
from typing import NamedTuple

import msgspec
from wire_case import Script, read_script

from tokenweir.catalog.price import Bracket, Price, Rates
from tokenweir.core.money import parse_amount, pico_per_token
from tokenweir.core.usage import Provenance, Usage
from tokenweir.protocol.answers import ChatAnswer, bytes_to_tokens, prompt_text_bytes
from tokenweir.protocol.passage import Passage, Straight, Translated
from tokenweir.protocol.problems import upstream_failed
from tokenweir.protocol.translate.host import Host
from tokenweir.protocol.translate.table import DIALECTS
from tokenweir.protocol.wires import WIRES

MATRIX = Path(__file__).resolve().parent / "matrix"
NAMES = ("chat", "messages", "responses")
UPSTREAM_MODEL = "upstream-model"
#: What the upstreams of the matrix take: each dialect as its reference has it. Thinking has no word of its own in chat.
HOSTS = {
    "chat": Host(effort_name="reasoning_effort", efforts=("low", "medium", "high")),
    "messages": Host(),
    "responses": Host(reasoning_text=True),
}
#: What the gateway says of a stream that broke; the beginning of its sentence may change.
BROKE = "The answer is incomplete."
_TYPES = {"plain": b"application/json", "streamed": b"text/event-stream"}
_SUFFIXES = {"plain": "json", "streamed": "sse"}


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call of a tool."""

    id: str
    name: str
    arguments: str  # JSON, as the model wrote it


class Meaning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an answer says, in no dialect."""

    text: str = ""
    reasoning: str = ""
    finish: str = ""  # "stop", "length" or "tool_calls"
    call: tuple[Said, ...] = ()
    error: str = ""  # words that the error has


class Way(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is right of answers of one way, plain or streamed."""

    outcome: str
    cost: dict[str, str]
    status: int = 200  # that the client gets; 0: it hangs up
    provenance: Provenance = Provenance.REPORTED
    usage: dict[str, int] = {}
    usage_from: dict[str, dict[str, int]] = {}  # by the upstream's dialect, where it reports more or less


class _Toml(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title: str
    price: dict[str, str]
    plain: Way
    streamed: Way
    meaning: Meaning
    upstream_status: int = 200
    granted: int = 0  # tokens of output that a limit leaves; 0: none holds
    dropped: dict[str, tuple[str, ...]] = {}  # by cell, "chat-to-messages"


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    toml: _Toml

    @property
    def directory(self) -> Path:
        return MATRIX / self.name

    def request(self, client: str, way: str) -> bytes:
        """The client's body: the file, and for a streamed answer what asks for one."""
        body = json.loads((self.directory / f"request.{client}.json").read_bytes())
        if way == "streamed":
            body["stream"] = True
            if client == "chat":
                body["stream_options"] = {"include_usage": True}
        return json.dumps(body, ensure_ascii=False).encode()

    def script(self, upstream: str, way: str) -> Script:
        """What the upstream answers."""
        body = (self.directory / f"upstream.{upstream}.{_SUFFIXES[way]}").read_bytes()
        status = self.toml.upstream_status
        kind = _TYPES["plain" if status != 200 else way]
        framing = b"transfer-encoding: chunked\n" if way == "streamed" else b""
        return read_script(b"HTTP/1.1 %d X\ncontent-type: %b\n%b\n%b" % (status, kind, framing, body))

    def price(self) -> Price:
        price = dict(self.toml.price)
        currency = price.pop("currency")
        rates = Rates(**{name: pico_per_token(text) for name, text in price.items()})
        return Price(ref="settings", currency=currency, brackets=(Bracket(0, rates),))


class Cell(NamedTuple):
    """A client's dialect before an upstream's, plain or streamed."""

    scenario: Scenario
    client: str
    upstream: str
    way: str

    def __str__(self) -> str:
        return f"{self.scenario.name}-{self.client}-from-{self.upstream}-{self.way}"

    @property
    def straight(self) -> bool:
        return self.client == self.upstream

    @property
    def capped(self) -> bool:
        """Whether the gateway ends the stream."""
        return self.scenario.toml.granted > 0 and self.way == "streamed"

    @property
    def as_it_is(self) -> bool:
        """Whether the client gets the upstream's own bytes."""
        return self.straight and not self.capped

    @property
    def right(self) -> Way:
        return getattr(self.scenario.toml, self.way)

    @property
    def script(self) -> Script:
        return self.scenario.script(self.upstream, self.way)

    @property
    def request(self) -> bytes:
        return self.scenario.request(self.client, self.way)

    @property
    def status(self) -> int:
        """That the client gets. An error behind 200 passes as it is where both sides speak one dialect."""
        script = self.script
        if script.status == 200 and (self.way == "streamed" or (self.straight and script.end == "whole")):
            return 200
        return self.right.status

    @property
    def dropped(self) -> tuple[str, ...]:
        return self.scenario.toml.dropped.get(f"{self.client}-to-{self.upstream}", ())

    @property
    def right_request(self) -> object:
        """What must go upstream."""
        if self.straight:
            return json.loads(self.request) | {"model": UPSTREAM_MODEL}
        wanted = json.loads(self.sent_file.read_bytes())
        if self.way == "streamed":
            wanted |= {"stream": True}
            wanted |= {"stream_options": {"include_usage": True}} if self.upstream == "chat" else {}
        return wanted

    @property
    def sent_file(self) -> Path:
        return self.scenario.directory / f"sent.{self.client}-to-{self.upstream}.json"

    @property
    def client_file(self) -> Path:
        return self.scenario.directory / f"client.{self.client}-from-{self.upstream}.{_SUFFIXES[self.way]}"

    def usage(self, model: str = "") -> Usage:
        """The one right usage. An input that nobody reported follows from the size of the request, which names `model`."""
        counts = dict(self.right.usage_from.get(self.upstream, self.right.usage))
        if counts and self.right.provenance in (Provenance.COUNTED, Provenance.ESTIMATED):
            size = prompt_text_bytes(self.request)
            size += len(model) - len(self.scenario.name) if model else 0
            counts.setdefault("input", bytes_to_tokens(size))
        return Usage(**counts, provenance=self.right.provenance)

    def cost(self) -> tuple[int, str]:
        """Pico and currency."""
        ((currency, amount),) = self.right.cost.items()
        return parse_amount(amount), currency

    def passage(self) -> Passage:
        """The way of this cell through the gateway, as a call takes it."""
        return self.passage_of(self.request)

    def passage_of(self, body: bytes) -> Passage:
        """The same way for another body."""
        client = WIRES[self.client]
        if self.straight:
            return Straight(client, client.parse(body), body)
        form = DIALECTS[self.client].read_request(body)
        return Translated(client, WIRES[self.upstream], HOSTS[self.upstream], form)

    def sent(self, passage: Passage) -> bytes:
        return passage.request(model=UPSTREAM_MODEL, ask_usage=True, max_output=None)

    def answer(self, pieces: list[bytes]) -> tuple[int, bytes, Usage | None]:
        """Status, body and usage that come of the upstream's answer, if it comes in these pieces."""
        script, passage = self.script, self.passage()
        self.sent(passage)
        body = b"".join(pieces)
        if script.status != 200:
            return *passage.error(script.status, body), None
        if self.way == "streamed":
            return self._streamed(passage, pieces)
        whole, metered = passage.whole(body)
        if metered.failed:
            return *passage.error(script.status, body), metered.usage
        return 200, whole, self._settled(metered)

    def _settled(self, metered: ChatAnswer) -> Usage:
        return metered.settled(prompt_text_bytes(self.request))

    def _streamed(self, passage: Passage, pieces: list[bytes]) -> tuple[int, bytes, Usage]:
        meter = passage.meter()
        if self.capped:
            meter.bound(self.scenario.toml.granted)
        passed = b"".join([meter.feed(piece) for piece in pieces])
        whole = self.script.end == "whole"
        assert meter.full == self.capped
        if meter.full:
            passed += meter.capped(meter.settled(prompt_text_bytes(self.request)))
        elif whole:
            passed += meter.tail()
            assert meter.error is not None if self.right.outcome == "upstream_broke" else meter.finished
        elif self.script.end == "cut":
            passed += meter.broken(upstream_failed(BROKE))
        return 200, passed, meter.settled(prompt_text_bytes(self.request))


def load(directory: Path) -> Scenario:
    toml = msgspec.convert(tomllib.loads((directory / "case.toml").read_text("utf-8")), _Toml)
    return Scenario(name=directory.name, toml=toml)


SCENARIOS = {path.name: load(path) for path in sorted(MATRIX.iterdir()) if path.is_dir()}
CELLS = [
    Cell(scenario, client, upstream, way)
    for scenario in SCENARIOS.values()
    for client in NAMES
    for upstream in NAMES
    for way in ("plain", "streamed")
]
