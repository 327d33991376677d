"""The middle form of an answer: whole, or as the events of a stream. `fold` and `unfold` turn one into the other."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from tokenweir.core.usage import Usage
from tokenweir.protocol.translate.form import NULL, Reasoning, Refusal, Text, ToolCall

Block = Text | Reasoning | Refusal | ToolCall


class Finish(StrEnum):
    """Why the model stopped."""

    STOP = "stop"  # it had said all
    STOP_SEQUENCE = "stop_sequence"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    FILTERED = "filtered"  # the host withheld the rest
    REFUSED = "refused"  # the model declined
    PAUSED = "paused"  # Anthropic: send it again to go on


class Failure(msgspec.Struct, frozen=True):
    """An error that the upstream told: `kind` is its own type or code, `message` its own sentence."""

    message: str
    kind: str = "server_error"
    status: int | None = None  # of HTTP, where it stood in a stream's error


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer. `logprobs` is a JSON list in the shape of Chat Completions (`choices[0].logprobs.content`)."""

    id: str
    model: str
    created_s: int | None = None
    blocks: tuple[Block, ...] = ()
    finish: Finish | None = None
    stop_sequence: str | None = None
    usage: Usage | None = None
    logprobs: msgspec.Raw = NULL
    unplaced: tuple[str, ...] = ()  # what the form has no place for, in the upstream's own words


# --- events of a stream, in this order: Started, then blocks (each Opened, deltas, Closed), Finished, Used, Ended


class Started(msgspec.Struct, frozen=True, tag="started"):
    """The answer begins."""

    id: str
    model: str
    created_s: int | None = None


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    """Block `index` begins: what it is, as yet empty. Several may be open at once (parallel tool calls)."""

    index: int
    block: Block


class Delta(msgspec.Struct, frozen=True, tag="delta"):
    """More of block `index`: text of a Text, Reasoning or Refusal; arguments of a ToolCall."""

    index: int
    text: str
    logprobs: msgspec.Raw = NULL


class SummaryDelta(msgspec.Struct, frozen=True, tag="summary"):
    """More of part `part` of the summary of the Reasoning block `index`."""

    index: int
    part: int
    text: str


class Sealed(msgspec.Struct, frozen=True, tag="sealed"):
    """The Reasoning block `index` gets its signature or its encrypted content."""

    index: int
    signature: str | None = None
    encrypted: str | None = None


class Cited(msgspec.Struct, frozen=True, tag="cited"):
    """The Text block `index` gets one more citation (JSON object in Anthropic's shape)."""

    index: int
    citation: msgspec.Raw


class Closed(msgspec.Struct, frozen=True, tag="closed"):
    """Block `index` is whole."""

    index: int


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """The model stopped."""

    finish: Finish
    stop_sequence: str | None = None


class Used(msgspec.Struct, frozen=True, tag="used"):
    """Usage so far: cumulative, the last one counts."""

    usage: Usage


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The upstream broke off with an error; nothing follows."""

    failure: Failure


class Unplaced(msgspec.Struct, frozen=True, tag="unplaced"):
    """Something in the stream has no place in the form; `name` is the upstream's own word for it."""

    name: str


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """Nothing, said to keep the connection open."""


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """The stream is over as its dialect ends one."""


Event = (
    Started
    | Opened
    | Delta
    | SummaryDelta
    | Sealed
    | Cited
    | Closed
    | Finished
    | Used
    | Failed
    | Unplaced
    | Ping
    | Ended
)


class Growing:
    """A block while its pieces come."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.pieces: list[str] = []
        self.summary: dict[int, list[str]] = {}
        self.citations: list[msgspec.Raw] = []
        self.signature: str | None = None
        self.encrypted: str | None = None

    def whole(self) -> Block:
        """The block with all of its pieces."""
        text = "".join(self.pieces)
        match self.block:
            case Text():
                cited = self.citations
                citations = msgspec.Raw(msgspec.json.encode(cited)) if cited else self.block.citations
                return msgspec.structs.replace(self.block, text=self.block.text + text, citations=citations)
            case Refusal():
                return msgspec.structs.replace(self.block, text=self.block.text + text)
            case ToolCall():
                return msgspec.structs.replace(self.block, arguments=self.block.arguments + text)
            case Reasoning():
                return msgspec.structs.replace(
                    self.block,
                    text=self.block.text + text,
                    summary=self.block.summary
                    + tuple("".join(self.summary[n]) for n in sorted(self.summary)),
                    signature=self.signature or self.block.signature,
                    encrypted=self.encrypted or self.block.encrypted,
                )


def fold(events: Iterable[Event]) -> Answer | Failure:
    """The whole answer that a stream told, or the failure that ended it."""
    started = Started("", "")
    blocks: dict[int, Growing] = {}
    finished: Finished | None = None
    usage: Usage | None = None
    logprobs: list[msgspec.Raw] = []
    unplaced: dict[str, None] = {}
    for event in events:
        match event:
            case Started():
                started = event
            case Opened(index=index, block=block):
                blocks[index] = Growing(block)
            case Delta(index=index, text=text, logprobs=raw):
                blocks[index].pieces.append(text)
                if bytes(raw) != b"null":
                    logprobs.extend(msgspec.json.decode(raw, type=list[msgspec.Raw]))
            case SummaryDelta(index=index, part=part, text=text):
                blocks[index].summary.setdefault(part, []).append(text)
            case Sealed(index=index, signature=signature, encrypted=encrypted):
                blocks[index].signature = signature or blocks[index].signature
                blocks[index].encrypted = encrypted or blocks[index].encrypted
            case Cited(index=index, citation=citation):
                blocks[index].citations.append(citation)
            case Finished():
                finished = event
            case Used(usage=reported):
                usage = reported
            case Failed(failure=failure):
                return failure
            case Unplaced(name=name):
                unplaced[name] = None
            case Closed() | Ping() | Ended():
                pass
    return Answer(
        id=started.id,
        model=started.model,
        created_s=started.created_s,
        blocks=tuple(blocks[index].whole() for index in sorted(blocks)),
        finish=None if finished is None else finished.finish,
        stop_sequence=None if finished is None else finished.stop_sequence,
        usage=usage,
        logprobs=msgspec.Raw(msgspec.json.encode(logprobs)) if logprobs else NULL,
        unplaced=tuple(unplaced),
    )


def unfold(answer: Answer) -> list[Event]:
    """The shortest stream that tells this answer."""
    events: list[Event] = [Started(answer.id, answer.model, answer.created_s)]
    events += [Unplaced(name) for name in answer.unplaced]
    logprobs = answer.logprobs
    for index, block in enumerate(answer.blocks):
        events += _unfold_block(index, block, logprobs)
        if isinstance(block, Text):
            logprobs = NULL
    if answer.finish is not None:
        events.append(Finished(answer.finish, answer.stop_sequence))
    if answer.usage is not None:
        events.append(Used(answer.usage))
    events.append(Ended())
    return events


def _unfold_block(index: int, block: Block, logprobs: msgspec.Raw) -> list[Event]:
    events: list[Event] = []
    match block:
        case Text(text=text, citations=citations):
            events.append(Opened(index, msgspec.structs.replace(block, text="", citations=NULL)))
            events.append(Delta(index, text, logprobs))
            if bytes(citations) != b"null":
                cited = msgspec.json.decode(citations, type=list[msgspec.Raw])
                events += [Cited(index, citation) for citation in cited]
        case Refusal(text=text):
            events.append(Opened(index, msgspec.structs.replace(block, text="")))
            events.append(Delta(index, text))
        case ToolCall(arguments=arguments):
            events.append(Opened(index, msgspec.structs.replace(block, arguments="")))
            events.append(Delta(index, arguments))
        case Reasoning(text=text, summary=summary, signature=signature, encrypted=encrypted):
            events.append(Opened(index, Reasoning(id=block.id, cache=block.cache)))
            events += [SummaryDelta(index, part, told) for part, told in enumerate(summary)]
            if text:
                events.append(Delta(index, text))
            if signature or encrypted:
                events.append(Sealed(index, signature, encrypted))
    events.append(Closed(index))
    return events
