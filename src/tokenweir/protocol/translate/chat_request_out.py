"""Requests in the middle form, written as Chat Completions for one host."""

import msgspec

from tokenweir.protocol.translate.chat_messages_out import MessagesWriter, Object
from tokenweir.protocol.translate.chat_thinking import write_thinking
from tokenweir.protocol.translate.form import (
    Choice,
    Output,
    Request,
    Text,
    Tool,
    Written,
)
from tokenweir.protocol.translate.host import Host
from tokenweir.protocol.translate.reading import is_null
from tokenweir.protocol.translate.tool_arguments import as_function

_CHOICES = {Choice.AUTO: "auto", Choice.NONE: "none", Choice.REQUIRED: "required"}
#: The form's words for members of this dialect, where they differ.
_WORDS = {
    "reasoning_effort": "thinking.effort",
    "response_format": "output",
    "prompt_cache_key": "cache_key",
    "max_tokens": "max_output",
    "max_completion_tokens": "max_output",
}
_SAMPLING = (
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "logprobs",
    "top_logprobs",
)


def write_request(request: Request, host: Host) -> Written:
    """The request for this host, and the names of what it cannot say."""
    if request.thinking.on is not False:
        host = msgspec.structs.replace(host, rejects=host.rejects | host.thinking_rejects)
    messages = MessagesWriter(host)
    instructions = request.instructions
    if request.output is not None and not host.takes_schema and not is_null(request.output.schema):
        instructions += (_told_schema(request.output),)
    body: Object = {"model": request.model, "messages": messages.messages(instructions, request.turns)}
    if request.tools:
        body["tools"] = [_tool(tool, host, messages) for tool in request.tools]
    body |= _tool_choice(request, host, messages)
    body |= _output(request.output, host, messages)
    body |= _rest(request, host, messages)
    thinking, dropped = write_thinking(request.thinking, host)
    for name in dropped:
        messages.drop(name)
    body |= thinking
    if not is_null(host.always):
        body = msgspec.json.decode(host.always, type=dict[str, object]) | body
    _reject(body, host, messages)
    return Written(msgspec.json.encode(body), messages.dropped)


def _rest(request: Request, host: Host, writer: MessagesWriter) -> Object:
    """The members that are no more than a value."""
    sampling = request.sampling
    body: Object = {name: value for name in _SAMPLING if (value := getattr(sampling, name)) is not None}
    if sampling.top_k is not None and "top_k" in host.takes:
        body["top_k"] = sampling.top_k
    elif sampling.top_k is not None:
        writer.drop("top_k")
    if request.max_output is not None:
        most = request.max_output if host.max_output is None else min(request.max_output, host.max_output)
        if most < request.max_output:
            writer.drop("max_output")
        body[host.output_name] = most
    if request.stop:
        body["stop"] = request.stop
    if request.stream:
        body["stream"] = True
        if request.include_usage and "stream_options" not in host.rejects:
            body["stream_options"] = {"include_usage": True}
    values = {
        "user": request.user,
        "prompt_cache_key": request.cache_key,
        "service_tier": request.service_tier,
        "verbosity": request.verbosity,
    }
    body |= {name: value for name, value in values.items() if value is not None}
    raw = {"logit_bias": sampling.logit_bias, "metadata": request.metadata}
    return body | {name: value for name, value in raw.items() if not is_null(value)}


def _reject(body: Object, host: Host, writer: MessagesWriter) -> None:
    """Take away what the host refuses."""
    for name in sorted(host.rejects & body.keys()):
        del body[name]
        writer.drop(_WORDS.get(name, name))


# --- tools


def _tool(tool: Tool, host: Host, writer: MessagesWriter) -> Object:
    if tool.custom and "custom_tools" in host.takes:
        custom: Object = {"name": tool.name}
        if tool.description is not None:
            custom["description"] = tool.description
        if not is_null(tool.schema):
            custom["format"] = tool.schema
        return writer.marked({"type": "custom", "custom": custom}, tool.cache)
    if tool.custom:
        if not is_null(tool.schema):
            writer.drop("grammar")
        tool = as_function(tool)
    function: Object = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if not is_null(tool.schema):
        function["parameters"] = tool.schema
    if tool.strict is not None and "tools.strict" in host.rejects:
        if tool.strict:
            writer.drop("strict")
    elif tool.strict is not None:
        function["strict"] = tool.strict
    return writer.marked({"type": "function", "function": function}, tool.cache)


def _tool_choice(request: Request, host: Host, writer: MessagesWriter) -> Object:
    asked = request.tool_choice
    if not request.tools:  # without tools OpenAI admits no word on them
        if asked.choice in (Choice.REQUIRED, Choice.NAMED):
            writer.drop("tool_choice")
        return {}
    body: Object = {} if asked.parallel is None else {"parallel_tool_calls": asked.parallel}
    if asked.choice is None:
        return body
    if f"tool_choice.{asked.choice}" in host.rejects:
        if asked.choice is not Choice.AUTO:  # what is done without a word
            writer.drop("tool_choice")
        return body
    if asked.choice is not Choice.NAMED:
        return body | {"tool_choice": _CHOICES[asked.choice]}
    custom = any(tool.name == asked.name and tool.custom for tool in request.tools)
    kind = "custom" if custom and "custom_tools" in host.takes else "function"
    return body | {"tool_choice": {"type": kind, kind: {"name": asked.name}}}


# --- output


def _output(output: Output | None, host: Host, writer: MessagesWriter) -> Object:
    if output is None:
        return {}
    if is_null(output.schema):
        return {"response_format": {"type": "json_object"}}
    if not host.takes_schema:
        writer.drop("output.schema")
        return {"response_format": {"type": "json_object"}}
    schema: Object = {"name": output.name or "output", "schema": output.schema}
    if output.description is not None:
        schema["description"] = output.description
    if output.strict is not None:
        schema["strict"] = output.strict
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _told_schema(output: Output) -> Text:
    """What a host that cannot hold its model to a schema is told: DeepSeek wants the word JSON in the prompt, too."""
    return Text(text=f"Answer with JSON that conforms to this schema:\n{bytes(output.schema).decode()}")
