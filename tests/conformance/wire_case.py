"""The conformance cases as they lie in `cases/`: what README.md beside this file describes, read into values."""

import gzip
import re
import tomllib
from datetime import datetime
from pathlib import Path

import msgspec

from tokenweir.catalog.price import Bracket, Price, Rates
from tokenweir.catalog.providers import catalog_of, shipped
from tokenweir.core.money import parse_amount, pico_per_token
from tokenweir.core.usage import TOKEN_CLASSES, Provenance, Usage
from tokenweir.protocol.passage import Passage, Straight, Translated
from tokenweir.protocol.sse import event_data
from tokenweir.protocol.translate.host import Host
from tokenweir.protocol.translate.table import DIALECTS
from tokenweir.protocol.wires import BY_PATH, WIRES, Wire

CASES = Path(__file__).resolve().parent / "cases"
#: Stands in a `client.txt` for an event of the gateway's own, whose words may change.
ERROR_EVENT = b"~~~ error event\n"
_MARK = re.compile(rb"\n~~~ (piece|cut|hold)\n")


class Script(msgspec.Struct, frozen=True):
    """What an upstream does with one attempt."""

    status: int = 0  # 0: it closes the connection without an answer
    head: bytes = b""  # status line and headers, without what frames the body
    pieces: tuple[bytes, ...] = ()
    framing: str = "length"  # "length", "chunked" or "close"
    end: str = (
        "whole"  # "whole", "cut": the connection breaks, or "hold": it waits until the other side hangs up
    )
    encoded: bool = False  # gzip on the wire

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def streamed(self) -> bool:
        """Whether it is read as a stream: also one that does not say what it is."""
        return b"text/event-stream" in self.head or b"content-type" not in self.head


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger must say of one attempt."""

    outcome: str
    provenance: Provenance
    usage: dict[str, int] = {}
    cost: dict[str, str] | str  # by currency, or "unpriced", or "unknown", or "listed"


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """What the client does and gets."""

    status: int = 200
    hangs_up: bool = False  # once it has `client.txt`; without one, once the upstream has the request
    times: int = 1


class At(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it costs at some moment, by a price that ships."""

    begun: datetime
    ended: datetime
    cost: dict[str, str]


class _Toml(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title: str
    topic: str
    source: str
    path: str = "/v1/chat/completions"
    speaks: str = ""  # the upstream's dialect, where it is not the client's
    price: dict[str, str] | None = None
    listed: str = ""  # the model of the catalog, with its host, whose price it has
    at: tuple[At, ...] = ()
    spare: int = 0  # deployments behind those of the attempts: nobody asks them
    client: Client = Client()
    sent: dict[str, object] = {}
    attempt: tuple[Expected, ...]


class Case(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    toml: _Toml
    request: bytes
    upstream: tuple[Script, ...]
    spare: tuple[Script, ...]
    client_body: bytes | None  # None: what the last attempt's upstream sent, unchanged

    @property
    def wire(self) -> Wire:
        """What its client speaks."""
        return BY_PATH[self.toml.path.encode()]

    @property
    def spoken(self) -> str:
        """What its upstream speaks."""
        return self.toml.speaks or self.wire.name

    @property
    def kind(self) -> str:
        """Of its upstreams."""
        return self.toml.listed.partition("/")[0] or "openai"

    @property
    def sent_model(self) -> str:
        """Its upstream's name of the model."""
        return self.toml.listed.partition("/")[2] or "upstream-model"

    def listed_prices(self) -> tuple[Price, ...]:
        """The dated prices of the catalog."""
        catalog = catalog_of(shipped())
        host = catalog.host(self.kind)
        assert host is not None
        return catalog.prices(self.kind, next(model for model in host.models if model.id == self.sent_model))

    def passage(self) -> Passage:
        """The way of an attempt, as a call takes it."""
        if self.spoken == self.wire.name:
            return Straight(self.wire, self.wire.parse(self.request), self.request)
        form = DIALECTS[self.wire.name].read_request(self.request)
        return Translated(self.wire, WIRES[self.spoken], Host(), form)

    def usage(self, attempt: int) -> Usage:
        """The one right usage. An input that is left out where nobody reported it follows from the request's size."""
        expected = self.toml.attempt[attempt]
        counts = dict(expected.usage)
        unknown = set(counts) - set(TOKEN_CLASSES)
        assert not unknown, f"{self.name}: there is no class {unknown}"
        if counts and expected.provenance in (Provenance.COUNTED, Provenance.ESTIMATED):
            counts.setdefault("input", len(self.request) * 2 // 7)  # 3.5 bytes a token
        return Usage(**counts, provenance=expected.provenance)

    def cost(self, attempt: int) -> tuple[int | None, str]:
        """Pico and currency as the ledger has them; None for unpriced and unknown."""
        cost = self.toml.attempt[attempt].cost
        if cost == "unpriced":
            return None, ""
        if isinstance(cost, str):
            return None, self.price().currency
        ((currency, amount),) = cost.items()
        return parse_amount(amount), currency

    def price(self) -> Price:
        price = dict(self.toml.price or {})
        currency = price.pop("currency")
        rates = Rates(**{name: pico_per_token(text) for name, text in price.items()})
        return Price(ref="settings", currency=currency, brackets=(Bracket(0, rates),))

    def gets(self, body: bytes) -> bool:
        """Whether `body` is what the client should get."""
        wanted = self.upstream[-1].body if self.client_body is None else self.client_body
        before, _, after = wanted.partition(ERROR_EVENT)
        if ERROR_EVENT not in wanted:
            return body == wanted
        event = body[len(before) : len(body) - len(after)]
        return body.startswith(before) and body.endswith(after) and self._is_error(event)

    def _is_error(self, event: bytes) -> bool:
        """Whether it is the event with which the gateway ends a stream that broke, in the client's dialect."""
        data = msgspec.json.decode(event_data(event)) if event else {}
        if self.wire.name == "responses":
            return event.startswith(b"event: response.failed\n") and data["response"]["status"] == "failed"
        return data.get("error", {}).get("code") == "upstream_failed"


def load(directory: Path) -> Case:
    """One folder. Raises AssertionError or ValueError with the folder's name for one that is not as it should be."""
    name = directory.name
    toml = msgspec.convert(tomllib.loads((directory / "case.toml").read_text("utf-8")), _Toml)
    request = (directory / "request.json").read_bytes().strip()
    assert msgspec.json.decode(request)["model"] == name, (
        f"{name}: request.json must ask for the model {name!r}"
    )
    files = sorted(directory.glob("upstream*.txt"))
    number = len(toml.attempt)
    assert len(files) == number + toml.spare, f"{name}: one upstream file for each [[attempt]] and spare one"
    scripts = tuple(read_script(path.read_bytes()) for path in files)
    client = directory / "client.txt"
    return Case(
        name=name,
        toml=toml,
        request=request,
        upstream=scripts[:number],
        spare=scripts[number:],
        client_body=client.read_bytes() if client.exists() else None,
    )


def read_script(text: bytes) -> Script:
    """An upstream file: head, empty line, body with marks."""
    if text.strip() == b"~~~ refuse":
        return Script()
    head, _, body = text.partition(b"\n\n")
    lines = head.split(b"\n")
    headers = [line.lower() for line in lines[1:]]
    if b"~~~ line-ends crlf" in headers:
        body = body.replace(b"\n", b"\r\n").replace(b"\r\n~~~ ", b"\n~~~ ")
        body = re.sub(rb"(\n~~~ \w+)\r\n", rb"\1\n", body)
    kept = [line for line in lines if not line.startswith(b"~~~")]
    parts = _MARK.split(body)
    ends = [end.decode() for end in parts[1::2] if end != b"piece"]
    assert ends in ([], ["cut"], ["hold"]), "only one end, and at the end"
    framing = "length"
    if b"transfer-encoding: chunked" in headers:
        framing = "chunked"
    elif b"connection: close" in headers:
        framing = "close"
    return Script(
        status=int(lines[0].split()[1]),
        head=b"\r\n".join(kept) + b"\r\n",
        pieces=tuple(part for part in parts[::2] if part),
        framing=framing,
        end=ends[0] if ends else "whole",
        encoded=b"content-encoding: gzip" in headers,
    )


def on_the_wire(script: Script) -> list[bytes]:
    """The body in pieces as it is sent, framed; of a chunked one each byte is a chunk of its own."""
    pieces = [gzip.compress(script.body, mtime=0)] if script.encoded else list(script.pieces)
    if script.framing != "chunked":
        return pieces
    framed = [b"".join(b"1\r\n%c\r\n" % byte for byte in piece) for piece in pieces]
    return [*framed, b"0\r\n\r\n"] if script.end == "whole" else framed


ALL = {path.name: load(path) for path in sorted(CASES.iterdir()) if path.is_dir()}
