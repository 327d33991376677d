"""Requests of OpenAI Responses, read into the middle form.

Shapes: OpenAI's API reference, as the types of its Python SDK have it (`openai.types.responses.ResponseCreateParams`),
and what Codex sends (openai/codex, `codex-rs/codex-api`).
"""

import msgspec

from tokenweir.protocol.chat import BadRequest
from tokenweir.protocol.translate.form import NULL, Output, Request, Sampling, Text, Thinking, Tool
from tokenweir.protocol.translate.reading import Reading, is_null
from tokenweir.protocol.translate.responses_items_in import Conversation
from tokenweir.protocol.translate.responses_tools import read_tool_choice, read_tools

#: What a client may have included in its answer, of which the form knows.
ENCRYPTED = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"


class _Body(msgspec.Struct):
    model: str
    input: msgspec.Raw = NULL
    instructions: msgspec.Raw = NULL
    tools: msgspec.Raw = NULL
    tool_choice: msgspec.Raw = NULL
    parallel_tool_calls: bool | None = None
    text: msgspec.Raw = NULL
    reasoning: msgspec.Raw = NULL
    include: list[str] | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    stream: bool | None = None
    store: bool | None = None  # whether it is kept is the gateway's to decide
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None
    metadata: msgspec.Raw = NULL
    stream_options: msgspec.Raw = NULL
    previous_response_id: str | None = None
    conversation: msgspec.Raw = NULL
    prompt: msgspec.Raw = NULL
    background: bool | None = None


class _TextConfig(msgspec.Struct):
    format: msgspec.Raw = NULL
    verbosity: str | None = None


class _Format(msgspec.Struct):
    type: str
    name: str | None = None
    description: str | None = None
    schema: msgspec.Raw = NULL
    strict: bool | None = None


class _Reasoning(msgspec.Struct):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None  # its name before


class _StreamOptions(msgspec.Struct):
    pass


def read_request(body: bytes) -> Request:
    """Raises BadRequest, with the path of the member that is wrong."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not UTF-8: {error.reason} at byte {error.start}.") from None
    reading = Reading()
    found = reading.struct(body, _Body, truncation=b'"disabled"', max_tool_calls=b"null")
    if not found.model:
        raise BadRequest("`model` is empty.", "model")
    _refuse_what_is_kept_elsewhere(found)
    conversation = Conversation(reading)
    conversation.instructions += _instructions(reading, found.instructions)
    conversation.read(found.input)
    tools = read_tools(reading, found.tools, "tools") + tuple(conversation.tools)
    tools = _once(reading, tools)
    choice, tools = read_tool_choice(reading, found.tool_choice, found.parallel_tool_calls, tools)
    output, verbosity = _text(reading, found.text)
    if not is_null(found.stream_options):
        reading.struct(found.stream_options, _StreamOptions, "stream_options", include_obfuscation=b"false")
    if None not in (found.user, found.safety_identifier) and found.user != found.safety_identifier:
        reading.note("user")
    return Request(
        model=found.model,
        instructions=tuple(conversation.instructions),
        turns=conversation.turns,
        tools=tools,
        tool_choice=choice,
        output=output,
        max_output=found.max_output_tokens,
        sampling=Sampling(
            temperature=found.temperature,
            top_p=found.top_p,
            top_logprobs=found.top_logprobs,
            logprobs=True if LOGPROBS in (found.include or ()) else None,
        ),
        thinking=_thinking(reading, found.reasoning),
        stream=bool(found.stream),
        user=found.user if found.safety_identifier is None else found.safety_identifier,
        cache_key=found.prompt_cache_key,
        service_tier=None if found.service_tier == "auto" else found.service_tier,
        verbosity=verbosity,
        metadata=NULL if bytes(found.metadata) == b"{}" else found.metadata,
        include=_include(reading, found),
        unplaced=reading.unplaced,
    )


def _refuse_what_is_kept_elsewhere(body: _Body) -> None:
    """An answer without what the request refers to would be an answer to another question."""
    if body.previous_response_id is not None:
        message = "The response that `previous_response_id` names is not kept here. Send the whole conversation in `input`."
        raise BadRequest(message, "previous_response_id")
    for name in ("conversation", "prompt"):
        if not is_null(getattr(body, name)):
            message = f"`{name}` refers to what OpenAI keeps. Send it in `input` and `instructions`."
            raise BadRequest(message, name)
    if body.background:
        message = "`background` is not served for this model. Send the request without it, streamed for long answers."
        raise BadRequest(message, "background")
    if is_null(body.input):
        raise BadRequest("`input` is missing.", "input")


def _instructions(reading: Reading, raw: msgspec.Raw) -> tuple[Text, ...]:
    if is_null(raw):
        return ()
    text = reading.text(raw, "instructions")
    return (Text(text=text),) if text else ()


def _once(reading: Reading, tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
    named: dict[str, Tool] = {}
    for tool in tools:
        if named.setdefault(tool.name, tool) is not tool:
            reading.note(f"tools.{tool.name}")
    return tuple(named.values())


def _text(reading: Reading, raw: msgspec.Raw) -> tuple[Output | None, str | None]:
    """The shape of the output, and how long it shall be."""
    if is_null(raw):
        return None, None
    config = reading.struct(raw, _TextConfig, "text")
    if is_null(config.format):
        return None, config.verbosity
    found = reading.struct(config.format, _Format, "text.format")
    if found.type not in ("text", "json_object", "json_schema"):
        reading.note("text.format")
    if found.type not in ("json_object", "json_schema"):
        return None, config.verbosity
    schema = found.schema if found.type == "json_schema" else NULL
    output = Output(schema=schema, name=found.name, description=found.description, strict=found.strict)
    return output, config.verbosity


def _thinking(reading: Reading, raw: msgspec.Raw) -> Thinking:
    if is_null(raw):
        return Thinking()
    found = reading.struct(raw, _Reasoning, "reasoning", context=b'"auto"', mode=b'"standard"')
    summary = found.summary or found.generate_summary
    if found.effort == "none":
        return Thinking(on=False, summary=summary)
    return Thinking(on=None if found.effort is None else True, effort=found.effort, summary=summary)


def _include(reading: Reading, body: _Body) -> tuple[str, ...]:
    """Encrypted reasoning is wanted by who keeps the conversation itself, asked for or not."""
    for index, name in enumerate(body.include or ()):
        if name not in (ENCRYPTED, LOGPROBS):
            reading.note(f"include[{index}]")
    asked = body.store is False or ENCRYPTED in (body.include or ())
    return (ENCRYPTED,) if asked else ()
