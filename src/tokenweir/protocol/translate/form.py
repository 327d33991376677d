"""The middle form of a request: what the three dialects say, said once.

Sources of the dialects' shapes: OpenAI's API reference (Chat Completions, Responses) and Anthropic's (Messages).
JSON that belongs to the user (schemas, metadata) stays raw, so that its bytes survive. Ids are never changed.
"""

from enum import StrEnum

import msgspec

#: A JSON `null`: the default of raw members, since msgspec cannot decode `Raw | None`.
NULL = msgspec.Raw(b"null")


class Role(StrEnum):
    """Who speaks. System prompts stand in `Request.instructions`, apart from those in the middle of a talk."""

    SYSTEM = "system"  # an instruction between turns
    USER = "user"
    ASSISTANT = "assistant"


class Part(msgspec.Struct, frozen=True, kw_only=True, tag_field="part"):
    """A piece of a turn. `cache` is a mark of the client: keep everything up to here ("5m" or "1h")."""

    cache: str | None = None


class Text(Part, frozen=True, kw_only=True, tag="text"):
    """Plain text. `citations` is a JSON list in Anthropic's shape, or null."""

    text: str
    citations: msgspec.Raw = NULL


class Image(Part, frozen=True, kw_only=True, tag="image"):
    """A picture: `url`, or `data` (base64) of `media_type`. `detail` is OpenAI's ("low", "high", "auto")."""

    url: str | None = None
    media_type: str | None = None
    data: str | None = None
    file_id: str | None = None
    detail: str | None = None


class Document(Part, frozen=True, kw_only=True, tag="document"):
    """A file: `url`, `data` (base64) of `media_type`, `text`, or the `file_id` of one that its host keeps."""

    url: str | None = None
    media_type: str | None = None
    data: str | None = None
    text: str | None = None
    file_id: str | None = None
    title: str | None = None
    context: str | None = None
    citations: bool = False


class Audio(Part, frozen=True, kw_only=True, tag="audio"):
    """Sound: base64 `data` in `format` ("wav", "mp3")."""

    data: str
    format: str


class Reasoning(Part, frozen=True, kw_only=True, tag="reasoning"):
    """Thinking of the model, carried back unmodified on tool turns.

    `text` is what may be read, `summary` the host's short form of it, `signature` Anthropic's proof of `text`,
    `encrypted` what only its host can read (Anthropic's redacted data, Responses' encrypted content), `id` the item's.
    """

    text: str = ""
    summary: tuple[str, ...] = ()
    signature: str | None = None
    encrypted: str | None = None
    id: str | None = None


class Refusal(Part, frozen=True, kw_only=True, tag="refusal"):
    """The model says that it will not."""

    text: str


class ToolCall(Part, frozen=True, kw_only=True, tag="tool_call"):
    """The model calls a tool. `arguments` is JSON text as the model wrote it, or free text of a `custom` tool."""

    id: str
    name: str
    arguments: str
    custom: bool = False
    item_id: str | None = None  # Responses: the item's own id beside the call's


class ToolResult(Part, frozen=True, kw_only=True, tag="tool_result"):
    """What a tool answered, as parts (Text, Image, Document)."""

    id: str  # of the call
    parts: tuple["Text | Image | Document | Audio", ...]
    failed: bool = False
    custom: bool = False


AnyPart = Text | Image | Document | Audio | Reasoning | Refusal | ToolCall | ToolResult


class Turn(msgspec.Struct, frozen=True):
    """One turn. Tool results are parts of a user's turn, tool calls and reasoning of the assistant's."""

    role: Role
    parts: tuple[AnyPart, ...]
    name: str | None = None


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function that the model may call. `schema` is the JSON schema of its arguments, or null."""

    name: str
    description: str | None = None
    schema: msgspec.Raw = NULL
    strict: bool | None = None
    custom: bool = False  # takes free text; `schema` is then its grammar (OpenAI's `format`)
    namespace: str | None = None  # Responses: the group it stands in, with whose name `name` begins
    cache: str | None = None


class Choice(StrEnum):
    """What the model must do with its tools."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"  # any tool
    NAMED = "named"  # the one in `ToolChoice.name`


class ToolChoice(msgspec.Struct, frozen=True):
    """How tools are chosen; `parallel` False forbids several calls in one answer."""

    choice: Choice | None = None  # the client said nothing
    name: str | None = None
    parallel: bool | None = None


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """Output as JSON: of a schema, or with `schema` null any object."""

    schema: msgspec.Raw = NULL
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Thinking(msgspec.Struct, frozen=True, kw_only=True):
    """Whether and how much the model shall think; None where the client said nothing."""

    on: bool | None = None
    effort: str | None = None  # "minimal", "low", "medium", "high", "max" …
    budget: int | None = None  # tokens
    summary: str | None = None  # Responses: "auto", "concise", "detailed"
    adaptive: bool = False  # Anthropic: the model decides how much


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How tokens are drawn. None where the client said nothing."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: msgspec.Raw = NULL


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request in no dialect.

    `unplaced` names what the client said and the form has no place for, as paths in the client's own words
    ("modalities", "tools[2]"): it is reported to the client as dropped, or refused, never lost in silence.
    """

    model: str
    instructions: tuple[Text, ...] = ()
    turns: tuple[Turn, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    output: Output | None = None
    max_output: int | None = None  # tokens
    stop: tuple[str, ...] = ()
    sampling: Sampling = Sampling()
    thinking: Thinking = Thinking()
    stream: bool = False
    include_usage: bool = False  # chat: the client asked for a usage tail chunk
    user: str | None = None
    cache_key: str | None = None
    service_tier: str | None = None
    verbosity: str | None = None
    metadata: msgspec.Raw = NULL
    include: tuple[str, ...] = ()  # Responses: what else the client wants in its answer
    unplaced: tuple[str, ...] = ()


class Written(msgspec.Struct, frozen=True):
    """A body in a dialect, and the names of what that dialect (or the host) cannot say."""

    body: bytes
    dropped: tuple[str, ...] = ()
