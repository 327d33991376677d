"""Requests of Anthropic Messages, read into the middle form.

Shapes: Anthropic's API reference, as the types of its Python SDK have it (`anthropic.types.MessageCreateParams`).
"""

import msgspec

from tokenweir.protocol.chat import BadRequest
from tokenweir.protocol.translate.form import (
    NULL,
    AnyPart,
    Choice,
    Output,
    Request,
    Role,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    Turn,
)
from tokenweir.protocol.translate.messages_parts_in import read_mark, read_parts, read_texts
from tokenweir.protocol.translate.reading import Reading, is_null, peek


class _Body(msgspec.Struct):
    model: str
    messages: msgspec.Raw
    max_tokens: int | None = None
    system: msgspec.Raw = NULL
    tools: msgspec.Raw = NULL
    tool_choice: msgspec.Raw = NULL
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stream: bool | None = None
    thinking: msgspec.Raw = NULL
    output_config: msgspec.Raw = NULL
    output_format: msgspec.Raw = NULL  # its name while it was in beta
    metadata: msgspec.Raw = NULL
    service_tier: str | None = None
    cache_control: msgspec.Raw = NULL


class _Message(msgspec.Struct):
    role: str
    content: msgspec.Raw


class _Tool(msgspec.Struct):
    name: str
    type: str | None = None
    description: str | None = None
    input_schema: msgspec.Raw = NULL
    strict: bool | None = None
    cache_control: msgspec.Raw = NULL


class _ToolKind(msgspec.Struct):
    type: str | None = None


class _ToolChoice(msgspec.Struct):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Thinking(msgspec.Struct):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class _OutputConfig(msgspec.Struct):
    effort: str | None = None
    format: msgspec.Raw = NULL


class _OutputFormat(msgspec.Struct):
    type: str
    schema: msgspec.Raw = NULL


class _Metadata(msgspec.Struct):
    user_id: str | None = None


_CHOICES = {"auto": Choice.AUTO, "any": Choice.REQUIRED, "tool": Choice.NAMED, "none": Choice.NONE}
_SWITCHES = {
    "enabled": Thinking(on=True),
    "adaptive": Thinking(on=True, adaptive=True),
    "disabled": Thinking(on=False),
}
_TIERS = {"auto": None, "standard_only": "default"}
#: What to show of the thinking, as the summary that Responses knows.
_DISPLAYS = {"summarized": "auto"}


def read_request(body: bytes) -> Request:
    """Raises BadRequest, with the path of the member that is wrong."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not UTF-8: {error.reason} at byte {error.start}.") from None
    reading = Reading()
    found = reading.struct(body, _Body, speed=b'"standard"')
    if not found.model:
        raise BadRequest("`model` is empty.", "model")
    system = read_texts(reading, found.system, "system")
    later, turns = _turns(reading, found.messages)
    tools = tuple(filter(None, (_tool(reading, *item) for item in reading.items(found.tools, "tools"))))
    thinking, output = _output(reading, found)
    if found.service_tier not in (None, *_TIERS):
        reading.note("service_tier")
    return Request(
        model=found.model,
        instructions=system + later,
        turns=_marked_at_the_end(reading, turns, found.cache_control),
        tools=tools,
        tool_choice=_tool_choice(reading, found.tool_choice, tools),
        output=output,
        max_output=found.max_tokens,
        stop=tuple(found.stop_sequences or ()),
        sampling=Sampling(temperature=found.temperature, top_p=found.top_p, top_k=found.top_k),
        thinking=thinking,
        stream=bool(found.stream),
        user=_user(reading, found.metadata),
        service_tier=_TIERS.get(found.service_tier or "auto"),
        unplaced=reading.unplaced,
    )


def _turns(reading: Reading, raw: msgspec.Raw) -> tuple[tuple[Text, ...], tuple[Turn, ...]]:
    """The instructions that lead the messages, and the turns after them."""
    if not bytes(raw).startswith(b"["):
        raise BadRequest("`messages` must be a list.", "messages", 422)
    instructions: tuple[Text, ...] = ()
    turns: list[Turn] = []
    for item, path in reading.items(raw, "messages"):
        message = reading.struct(item, _Message, path)
        if message.role == "system":
            texts = read_texts(reading, message.content, f"{path}.content")
            if turns:
                turns.append(Turn(Role.SYSTEM, texts))
            else:
                instructions += texts
        elif message.role in ("user", "assistant"):
            parts = read_parts(reading, message.content, f"{path}.content")
            turns.append(Turn(Role(message.role), parts))
        else:
            raise BadRequest(f"`{path}.role` is user, assistant or system.", f"{path}.role", 422)
    return instructions, tuple(turns)


def _marked_at_the_end(reading: Reading, turns: tuple[Turn, ...], raw: msgspec.Raw) -> tuple[Turn, ...]:
    """A `cache_control` at the top stands for a mark on the last block."""
    mark = read_mark(reading, raw, "")
    if mark is None or not turns or not turns[-1].parts:
        return turns
    parts: tuple[AnyPart, ...] = turns[-1].parts
    if parts[-1].cache is not None:
        return turns
    marked = msgspec.structs.replace(parts[-1], cache=mark)
    return (*turns[:-1], msgspec.structs.replace(turns[-1], parts=(*parts[:-1], marked)))


def _tool(reading: Reading, raw: msgspec.Raw, path: str) -> Tool | None:
    kind = peek(raw, _ToolKind, path).type
    if kind not in (
        None,
        "custom",
    ):  # one that Anthropic's own servers run, or whose schema only its models know
        reading.note(path)
        return None
    found = reading.struct(
        raw,
        _Tool,
        path,
        defer_loading=b"false",
        eager_input_streaming=b"false",
        allowed_callers=b'["direct"]',
    )
    return Tool(
        name=found.name,
        description=found.description,
        schema=found.input_schema,
        strict=found.strict,
        cache=read_mark(reading, found.cache_control, path),
    )


def _tool_choice(reading: Reading, raw: msgspec.Raw, tools: tuple[Tool, ...]) -> ToolChoice:
    if is_null(raw):
        return ToolChoice()
    found = reading.struct(raw, _ToolChoice, "tool_choice")
    choice = _CHOICES.get(found.type)
    if choice is None:
        raise BadRequest(f"`tool_choice.type` is one of {', '.join(_CHOICES)}.", "tool_choice.type", 422)
    parallel = None if found.disable_parallel_tool_use is None else not found.disable_parallel_tool_use
    if choice is not Choice.NAMED:
        return ToolChoice(choice, parallel=parallel)
    if not any(tool.name == found.name for tool in tools):  # it went with its tool
        reading.note("tool_choice")
        return ToolChoice(parallel=parallel)
    return ToolChoice(choice, found.name, parallel)


def _output(reading: Reading, body: _Body) -> tuple[Thinking, Output | None]:
    """How to think, and the shape of what is said."""
    thinking = _thinking(reading, body.thinking)
    config, path, shape = _OutputConfig(), "output_format", body.output_format
    if not is_null(body.output_config):
        config = reading.struct(body.output_config, _OutputConfig, "output_config")
        if not is_null(config.format):
            path, shape = "output_config.format", config.format
    thinking = msgspec.structs.replace(thinking, effort=config.effort)
    if is_null(shape):
        return thinking, None
    found = reading.struct(shape, _OutputFormat, path)
    if found.type != "json_schema":
        reading.note(path)
        return thinking, None
    return thinking, Output(schema=found.schema)


def _thinking(reading: Reading, raw: msgspec.Raw) -> Thinking:
    if is_null(raw):
        return Thinking()
    found = reading.struct(raw, _Thinking, "thinking")
    switch = _SWITCHES.get(found.type)
    if switch is None:
        reading.note("thinking")
        return Thinking()
    if found.display not in (None, *_DISPLAYS):
        reading.note("thinking.display")
    summary = _DISPLAYS.get(found.display or "")
    return msgspec.structs.replace(switch, budget=found.budget_tokens, summary=summary)


def _user(reading: Reading, raw: msgspec.Raw) -> str | None:
    return None if is_null(raw) else reading.struct(raw, _Metadata, "metadata").user_id
