"""What a simulated engine is told to do: one `Script` for each answer. Data only; no I/O."""

from enum import StrEnum
from functools import lru_cache

import msgspec


class UsageStyle(StrEnum):
    """How, and whether, an answer reports its tokens."""

    OPENAI = "openai"  # in a stream a tail chunk, only if `stream_options.include_usage` was asked for
    ALWAYS = "always"  # as above, asked for or not
    KIMI = "kimi"  # `choices[0].usage` on the finishing chunk; `cached_tokens` at the top of usage
    DEEPSEEK = "deepseek"  # hit and miss counts, on the finishing chunk
    CUMULATIVE = "cumulative"  # in every chunk, growing
    OUTSIDE = "outside"  # as ALWAYS, with reasoning not counted inside `completion_tokens`
    ZEROS = "zeros"  # as ALWAYS, and every count is zero
    NONE = "none"  # never


class Framing(StrEnum):
    """How the end of the body is told."""

    AUTO = "auto"  # a length for a plain answer, chunks for a stream
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


class Break(StrEnum):
    """How a connection is broken at `break_at`."""

    CLEAN = "clean"  # closed between two events, without the body's end
    EVENT = "event"  # half of the next event, then closed
    FRAMING = "framing"  # in the middle of a chunk's size line, then closed
    RESET = "reset"  # a TCP reset


class After(StrEnum):
    """What becomes of the connection after the answer."""

    KEEP = "keep"
    CLOSE = "close"  # announced with `Connection: close`
    DROP = "drop"  # closed at once, unannounced: what a pool then holds is stale
    DROP_NEXT = "drop_next"  # closed when the next request has come, without a byte of answer


class Malformed(StrEnum):
    """Bytes that no client should trust."""

    NO = ""
    NOT_HTTP = "not_http"
    STATUS_LINE = "status_line"
    HEADER = "header"  # a header line without a colon
    CHUNK_SIZE = "chunk_size"  # a chunk size that is no number
    TWO_LENGTHS = "two_lengths"  # two different Content-Length headers
    LENGTH_AND_CHUNKED = "length_and_chunked"
    SHORT_BODY = "short_body"  # fewer bytes than Content-Length says, then closed
    LONG_BODY = "long_body"  # more bytes than Content-Length says
    JSON = "json"  # the body, or the first event of a stream, is cut-off JSON


class Script(
    msgspec.Struct, frozen=True, cache_hash=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One answer.

    The points `hold_at`, `break_at` and `error_at` count from -1: before the head; 0: after it; k: after
    k events of the body. A stream's events are the role chunk, the content chunks, the finishing chunk, then
    the usage chunk and `[DONE]` where there are such. A plain body counts k as 0 and ignores `error_at`.
    """

    status: int = 200
    output_tokens: int = 8  # less where the request's maximum is lower
    reasoning_tokens: int = 0  # of the output tokens, the first so many
    cached_tokens: int = 0  # of the prompt's, at most the prompt
    tokens_per_chunk: int = 1
    interval_s: float = 0.0  # pause before each event of a stream after the first
    delay_s: float = 0.0  # pause before the head
    usage: UsageStyle = UsageStyle.OPENAI
    finish: bool = True  # whether a stream tells its finish_reason
    done: bool = True  # whether a stream ends with [DONE]
    tool_call: bool = False  # ask for a tool, with Kimi's style of id, in place of text
    role_chunk: bool = True  # whether a stream begins with a chunk that holds only the role
    crlf: bool = False  # events end their lines with CRLF
    comments: bool = False  # a comment line before each event, as keep-alive
    hold_at: int | None = None  # wait there for `release`
    break_at: int | None = None
    break_how: Break = Break.CLEAN
    error_at: int | None = None  # a stream goes on with an error event there, and ends
    framing: Framing = Framing.AUTO
    cut_every: int = 0  # bytes written at a time; 0: a whole event
    events_per_write: int = 0  # 0: a plain answer whole, a stream's events each alone
    informational: tuple[int, ...] = ()  # 1xx heads before the real one
    retry_after: str = ""  # value of the Retry-After header
    headers: tuple[tuple[str, str], ...] = ()  # further headers of the answer
    header_bytes: int = 0  # length of one further header
    padding_bytes: int = 0  # further ASCII letters in the first content
    raw: str = ""  # the body itself; in a stream cut into events at blank lines
    after: After = After.KEEP
    malformed: Malformed = Malformed.NO


#: Scripts by the model name that asks for them.
NAMED: dict[str, Script] = {
    "ok": Script(),
    "kimi": Script(usage=UsageStyle.KIMI, cached_tokens=2),
    "deepseek": Script(usage=UsageStyle.DEEPSEEK, cached_tokens=2, reasoning_tokens=3),
    "cumulative": Script(usage=UsageStyle.CUMULATIVE),
    "reasoning": Script(usage=UsageStyle.ALWAYS, reasoning_tokens=5, output_tokens=9),
    "reasoning-outside": Script(usage=UsageStyle.OUTSIDE, reasoning_tokens=5, output_tokens=9),
    "no-usage": Script(usage=UsageStyle.NONE),
    "zero-usage": Script(usage=UsageStyle.ZEROS),
    "no-done": Script(done=False),
    "no-finish": Script(finish=False, done=False),
    "tool": Script(tool_call=True),
    "error-400": Script(status=400),
    "error-401": Script(status=401),
    "error-429": Script(status=429, retry_after="7"),
    "error-500": Script(status=500),
    "error-503": Script(status=503, retry_after="2"),
    "error-event": Script(error_at=4),
    "hang": Script(hold_at=-1),
    "hang-after-head": Script(hold_at=0),
    "hang-mid-stream": Script(hold_at=4),
    "break-before-head": Script(break_at=-1),
    "break-after-head": Script(break_at=0),
    "break-mid-stream": Script(break_at=4),
    "break-mid-event": Script(break_at=4, break_how=Break.EVENT),
    "break-framing": Script(break_at=4, break_how=Break.FRAMING),
    "reset": Script(break_at=4, break_how=Break.RESET),
    "bytewise": Script(cut_every=1),
    "slow": Script(interval_s=0.05, delay_s=0.05),
    "close": Script(after=After.CLOSE),
    "stale": Script(after=After.DROP),
    "huge": Script(padding_bytes=4 * 1024 * 1024),
}

#: What the answer says, a word a token; the wide letters make cuts fall within one.
WORDS = ("water", "flows", "over", "the", "weir", "水", "过", "堰", "and", "on")


class FunctionCall(msgspec.Struct, frozen=True):
    """What is read of a tool call of the request."""

    name: str = ""
    arguments: str = ""


class ToolCall(msgspec.Struct, frozen=True):
    """A tool call that the request repeats."""

    function: FunctionCall = FunctionCall()


class Part(msgspec.Struct, frozen=True):
    """A part of a message's content; only text counts."""

    type: str = "text"
    text: str = ""


class Message(msgspec.Struct, frozen=True):
    """A message of the request."""

    content: str | list[Part] | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None


class StreamOptions(msgspec.Struct, frozen=True):
    """Of the request's stream options, what matters here."""

    include_usage: bool = False


class Asked(msgspec.Struct):
    """Of a request to `/v1/chat/completions` or `/v1/embeddings`, what matters here."""

    model: str = "ok"
    messages: list[Message] = msgspec.field(default_factory=list)
    input: str | list[str | int] = ""
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None

    @property
    def wants_usage(self) -> bool:
        """Whether the stream's usage chunk was asked for."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def limit(self) -> int | None:
        """The most tokens the answer may have."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens


_ASKED = msgspec.json.Decoder(Asked)


@lru_cache(maxsize=256)
def read_asked(body: bytes) -> Asked:
    """A request's body. Raises msgspec.DecodeError. Kept for the last few bodies: a bench repeats them."""
    return _ASKED.decode(body)


class Counts(msgspec.Struct, frozen=True):
    """The tokens of one answer, as they truly are; `reasoning` is part of `output`."""

    prompt: int
    cached: int
    output: int
    reasoning: int
    finish_reason: str


def prompt_tokens(asked: Asked) -> int:
    """The rule: words between white space in all texts of messages and input, and one for each message."""
    count = len(asked.messages)
    for message in asked.messages:
        for text in _texts(message):
            count += len(text.split())
    if isinstance(asked.input, str):
        return count + len(asked.input.split())
    return count + sum(len(item.split()) if isinstance(item, str) else 1 for item in asked.input)


def _texts(message: Message) -> list[str]:
    content = message.content
    texts = [content] if isinstance(content, str) else [part.text for part in content or []]
    texts.append(message.reasoning_content or "")
    for call in message.tool_calls or []:
        texts += [call.function.name, call.function.arguments]
    return texts


@lru_cache(maxsize=256)
def count_body(script: Script, body: bytes) -> Counts:
    """`count` of a request's body, kept for the last few. Raises msgspec.DecodeError."""
    return count(script, read_asked(body))


def count(script: Script, asked: Asked) -> Counts:
    """What usage must say of this answer, were it complete."""
    prompt = prompt_tokens(asked)
    limit = asked.limit
    cut = limit is not None and limit < script.output_tokens
    output = limit if cut and limit is not None else script.output_tokens
    reason = "length" if cut else "tool_calls" if script.tool_call else "stop"
    return Counts(
        prompt, min(script.cached_tokens, prompt), output, min(script.reasoning_tokens, output), reason
    )
