"""What the hot path knows of each dialect: how little of a request is read, how an answer is metered, how errors look.

Translation between dialects is `protocol.translate`; here bytes pass as they are.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from tokenweir.core.usage import Usage
from tokenweir.protocol import problems
from tokenweir.protocol.answers import ChatAnswer, read_chat_answer
from tokenweir.protocol.chat import ChatRequest, parse_chat, rewrite_chat
from tokenweir.protocol.embeddings import parse_embeddings, rewrite_embeddings
from tokenweir.protocol.messages import parse_messages, read_messages_answer, rewrite_messages
from tokenweir.protocol.meter import ChatStreamMeter
from tokenweir.protocol.meter_messages import MessagesStreamMeter
from tokenweir.protocol.meter_responses import ResponsesStreamMeter
from tokenweir.protocol.passed import (
    parse_completions,
    parse_rerank,
    read_rerank_answer,
    rewrite_completions,
    rewrite_rerank,
)
from tokenweir.protocol.problems import Problem
from tokenweir.protocol.responses import parse_responses, read_responses_answer, rewrite_responses


class Meter(Protocol):
    """Of a streamed answer: feed it the upstream's bytes, pass on what it returns, ask it at the end."""

    counted: int  # tokens of the output, where nobody reports them
    full: bool  # more came than `bound` lets pass; nothing passes any more
    error: str | None
    finished: bool
    model: str

    @property
    def usage(self) -> Usage | None:
        """As reported last."""
        ...

    def bound(self, most: int) -> None:
        """Let nothing more pass, once `most` tokens of output have come: counted as where nobody reports them."""
        ...

    def feed(self, chunk: bytes) -> bytes:
        """What may go to the client now."""
        ...

    def tail(self) -> bytes:
        """What was held back: the end of the stream. The client gets it once the settlement is durable."""
        ...

    def settled(self, prompt_bytes: int) -> Usage:
        """Usage of the stream, whole or cut off."""
        ...

    def broken(self, problem: Problem) -> bytes:
        """What ends a stream that broke, in the client's dialect: never a silent end."""
        ...

    def capped(self, usage: Usage) -> bytes:
        """What ends a stream that is `full`, in the client's dialect: in order, for its length, with this usage."""
        ...


class Wire(msgspec.Struct, frozen=True, kw_only=True):
    """A dialect on the wire. `path` stands behind an address such as `https://api.moonshot.cn/v1`."""

    name: str
    path: str
    parse: Callable[[bytes], ChatRequest]  # raises BadRequest
    rewrite: Callable[..., bytes]
    read_answer: Callable[[bytes], ChatAnswer]
    meter: Callable[[ChatRequest], Meter]
    error_body: Callable[[Problem], bytes] = problems.chat_error
    clamps: bool = False  # output can be bounded, by a member of the request
    spent_status: int = 402  # what a spent limit answers: the status at which this dialect's agents stop


def _chat_meter(request: ChatRequest) -> ChatStreamMeter:
    return ChatStreamMeter(forward_usage=request.include_usage)


WIRES: dict[str, Wire] = {
    wire.name: wire
    for wire in (
        Wire(
            name="chat", path="/chat/completions", parse=parse_chat, rewrite=rewrite_chat,
            read_answer=read_chat_answer, meter=_chat_meter, clamps=True,
        ),
        Wire(
            name="embeddings", path="/embeddings", parse=parse_embeddings, rewrite=rewrite_embeddings,
            read_answer=read_chat_answer, meter=_chat_meter,
        ),
        Wire(
            name="messages", path="/messages", parse=parse_messages, rewrite=rewrite_messages,
            read_answer=read_messages_answer, meter=lambda _request: MessagesStreamMeter(),
            error_body=problems.messages_error, clamps=True,
        ),
        Wire(
            name="responses", path="/responses", parse=parse_responses, rewrite=rewrite_responses,
            read_answer=read_responses_answer, meter=lambda _request: ResponsesStreamMeter(),
            clamps=True, spent_status=429,
        ),
        Wire(
            name="completions", path="/completions", parse=parse_completions, rewrite=rewrite_completions,
            read_answer=read_chat_answer, meter=_chat_meter, clamps=True,
        ),
        Wire(
            name="rerank", path="/rerank", parse=parse_rerank, rewrite=rewrite_rerank,
            read_answer=read_rerank_answer, meter=_chat_meter,
        ),
    )
}  # fmt: skip
BY_PATH = {f"/v1{wire.path}".encode(): wire for wire in WIRES.values()}
#: What Anthropic's clients ask besides: how long a prompt is.
COUNT_TOKENS_PATH = b"/v1/messages/count_tokens"


#: What the control process answers: prefix, kind of an error's body, and the body.
_OF_CONTROL: tuple[tuple[bytes, bytes, Callable[[Problem], bytes]], ...] = (
    (problems.API_PREFIX, b"application/problem+json", problems.details_error),
    (problems.CONSOLE_PREFIX, b"text/html; charset=utf-8", problems.page_error),
)


def error_kind(path: bytes) -> bytes:
    """The media type of an error of this path."""
    return next((kind for prefix, kind, _ in _OF_CONTROL if path.startswith(prefix)), problems.JSON_KIND)


def error_body(path: bytes, *, anthropic: bool) -> Callable[[Problem], bytes]:
    """How an error of this path is told; `anthropic`: the client says that it speaks to Anthropic's API."""
    wire = BY_PATH.get(path)
    if wire is not None:
        return wire.error_body
    own = next((row for row in _OF_CONTROL if path.startswith(row[0])), None)
    if own is not None:
        return own[2]
    return problems.messages_error if anthropic or path.startswith(b"/v1/messages") else problems.chat_error
