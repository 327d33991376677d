"""Requests of Chat Completions, read into the middle form.

Shapes: OpenAI's API reference, as the types of its Python SDK have it (`openai.types.chat.CompletionCreateParams`), with
the members that other hosts of this dialect document.
"""

import msgspec

from tokenweir.protocol.chat import BadRequest
from tokenweir.protocol.translate.chat_messages_in import read_mark, read_messages
from tokenweir.protocol.translate.chat_thinking import ThinkingMembers, read_thinking
from tokenweir.protocol.translate.form import (
    NULL,
    Choice,
    Output,
    Request,
    Sampling,
    Tool,
    ToolChoice,
)
from tokenweir.protocol.translate.reading import Reading, is_null, is_text, peek

#: Members of hosts, and of OpenAI, at a value by which a client asks for what is done anyway.
_DEFAULTS = {
    "n": b"1",
    "store": b"false",
    "modalities": b'["text"]',
    "moderation": b"false",
    "prompt_cache_retention": b'"in_memory"',
    "repetition_penalty": b"1",
    "min_p": b"0",
    "do_sample": b"true",
    "tool_stream": b"true",  # GLM
    "reasoning_split": b"true",  # MiniMax: reasoning stands apart in every answer of ours
    "separate_reasoning": b"true",  # SGLang
    "stream_reasoning": b"true",
    "include_reasoning": b"true",  # OpenRouter
    "function_call": b'"none"',
}


class _Body(ThinkingMembers, kw_only=True):
    model: str
    messages: msgspec.Raw
    tools: msgspec.Raw = NULL
    tool_choice: msgspec.Raw = NULL
    parallel_tool_calls: bool | None = None
    response_format: msgspec.Raw = NULL
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: msgspec.Raw = NULL
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: msgspec.Raw = NULL
    stream: bool | None = None
    stream_options: msgspec.Raw = NULL
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None
    verbosity: str | None = None
    metadata: msgspec.Raw = NULL


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class _Kind(msgspec.Struct):
    type: str = "function"


class _FunctionTool(msgspec.Struct):
    function: msgspec.Raw
    type: str = "function"
    cache_control: msgspec.Raw = NULL  # OpenRouter


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = NULL
    strict: bool | None = None


class _CustomTool(msgspec.Struct):
    custom: msgspec.Raw
    type: str


class _Custom(msgspec.Struct):
    name: str
    description: str | None = None
    format: msgspec.Raw = NULL


class _Name(msgspec.Struct):
    name: str


class _NamedChoice(msgspec.Struct):
    type: str
    function: _Name | None = None
    custom: _Name | None = None


class _ResponseFormat(msgspec.Struct):
    type: str
    json_schema: msgspec.Raw = NULL


class _JsonSchema(msgspec.Struct):
    name: str | None = None
    description: str | None = None
    schema: msgspec.Raw = NULL
    strict: bool | None = None


def read_request(body: bytes) -> Request:
    """Raises BadRequest, with the path of the member that is wrong."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not UTF-8: {error.reason} at byte {error.start}.") from None
    reading = Reading()
    found = reading.struct(body, _Body, "", **_DEFAULTS)
    if not found.model:
        raise BadRequest("`model` is empty.", "model")
    instructions, turns = read_messages(reading, found.messages)
    tools = tuple(filter(None, (_tool(reading, *item) for item in reading.items(found.tools, "tools"))))
    return Request(
        model=found.model,
        instructions=instructions,
        turns=turns,
        tools=tools,
        tool_choice=_tool_choice(reading, found, tools),
        output=_output(reading, found.response_format),
        max_output=_least(found.max_completion_tokens, found.max_tokens),
        stop=_stop(reading, found.stop),
        sampling=_sampling(found),
        thinking=read_thinking(reading, found),
        stream=bool(found.stream),
        include_usage=_include_usage(reading, found),
        user=_user(reading, found),
        cache_key=found.prompt_cache_key,
        service_tier=None if found.service_tier == "auto" else found.service_tier,
        verbosity=found.verbosity,
        metadata=found.metadata,
        unplaced=reading.unplaced,
    )


def _least(*asked: int | None) -> int | None:
    return min((tokens for tokens in asked if tokens is not None), default=None)


def _user(reading: Reading, body: _Body) -> str | None:
    """Who asks. OpenAI has `safety_identifier` in place of `user` by now."""
    if body.user is not None and body.safety_identifier not in (None, body.user):
        reading.note("safety_identifier")
    return body.user if body.user is not None else body.safety_identifier


def _sampling(body: _Body) -> Sampling:
    return Sampling(
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        seed=body.seed,
        logprobs=body.logprobs,
        top_logprobs=body.top_logprobs,
        logit_bias=NULL if bytes(body.logit_bias) == b"{}" else body.logit_bias,
    )


def _include_usage(reading: Reading, body: _Body) -> bool:
    if is_null(body.stream_options):
        return False
    found = reading.struct(body.stream_options, _StreamOptions, "stream_options")
    return bool(found.include_usage) and bool(body.stream)


def _stop(reading: Reading, raw: msgspec.Raw) -> tuple[str, ...]:
    if is_text(raw):
        return (reading.text(raw, "stop"),)
    return tuple(reading.text(item, path) for item, path in reading.items(raw, "stop"))


def _output(reading: Reading, raw: msgspec.Raw) -> Output | None:
    if is_null(raw):
        return None
    found = reading.struct(raw, _ResponseFormat, "response_format")
    if found.type == "json_object":
        return Output()
    if found.type == "json_schema":
        path = "response_format.json_schema"
        said = reading.struct(found.json_schema, _JsonSchema, path)
        return Output(schema=said.schema, name=said.name, description=said.description, strict=said.strict)
    if found.type != "text":
        reading.note("response_format")
    return None


# --- tools


def _tool(reading: Reading, raw: msgspec.Raw, path: str) -> Tool | None:
    kind = peek(raw, _Kind, path).type
    if kind == "function":
        found = reading.struct(raw, _FunctionTool, path)
        function = reading.struct(found.function, _Function, f"{path}.function")
        return Tool(
            name=function.name,
            description=function.description,
            schema=function.parameters,
            strict=function.strict,
            cache=read_mark(reading, found.cache_control, path),
        )
    if kind == "custom":
        custom = reading.struct(reading.struct(raw, _CustomTool, path).custom, _Custom, f"{path}.custom")
        form = NULL if bytes(custom.format) == b'{"type":"text"}' else custom.format
        return Tool(name=custom.name, description=custom.description, schema=form, custom=True)
    reading.note(path)  # one that the host runs itself, such as Kimi's `builtin_function`
    return None


_CHOICES = {"auto": Choice.AUTO, "none": Choice.NONE, "required": Choice.REQUIRED}


def _tool_choice(reading: Reading, body: _Body, tools: tuple[Tool, ...]) -> ToolChoice:
    parallel, raw = body.parallel_tool_calls, body.tool_choice
    if is_null(raw):
        return ToolChoice(parallel=parallel)
    if is_text(raw):
        word = reading.text(raw, "tool_choice")
        if word not in _CHOICES:
            raise BadRequest(f"`tool_choice` is one of {', '.join(_CHOICES)}, or a tool.", "tool_choice", 422)
        return ToolChoice(_CHOICES[word], parallel=parallel)
    found = reading.struct(raw, _NamedChoice, "tool_choice")
    named = found.function or found.custom
    if named is None or not any(tool.name == named.name for tool in tools):
        reading.note("tool_choice")  # a choice among some of them, or of a tool that found no place
        return ToolChoice(parallel=parallel)
    return ToolChoice(Choice.NAMED, named.name, parallel)
