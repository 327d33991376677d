"""Requests in the middle form, written as OpenAI Responses."""

from collections.abc import Iterable

import msgspec

from tokenweir.protocol.translate.form import (
    AnyPart,
    Audio,
    Document,
    Image,
    Reasoning,
    Refusal,
    Request,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
    Written,
)
from tokenweir.protocol.translate.host import Host
from tokenweir.protocol.translate.reading import is_null
from tokenweir.protocol.translate.responses_parts import (
    annotations_json,
    audio_json,
    document_json,
    image_json,
)
from tokenweir.protocol.translate.responses_request_in import ENCRYPTED, LOGPROBS
from tokenweir.protocol.translate.responses_tools import choice_json, tool_json
from tokenweir.protocol.translate.thinking import effort_of, nearest_effort

Item = dict[str, object]

#: OpenAI refuses longer ones (maximhq/bifrost#1000); what Claude Code sends as its user is longer.
MOST_ID_CHARS = 64
#: The form's words for members of this dialect, where they differ.
_WORDS = {
    "max_output_tokens": "max_output",
    "prompt_cache_key": "cache_key",
    "reasoning": "thinking",
    "reasoning.effort": "thinking.effort",
    "reasoning.summary": "thinking.summary",
    "text.format": "output",
    "text.verbosity": "verbosity",
    "parallel_tool_calls": "tool_choice.parallel",
    "top_logprobs": "logprobs",
}
#: Members whose loss is none: what they say is the gateway's own.
_OWN = frozenset({"store", "include"})


def write_request(request: Request, host: Host) -> Written:
    """The request for this host, and the names of what it cannot say."""
    if request.thinking.on is not False:
        host = msgspec.structs.replace(host, rejects=host.rejects | host.thinking_rejects)
    writing = _Writing(host)
    body: Item = {"model": request.model}
    instructions = [writing.said(text) for text in request.instructions]
    if len(instructions) == 1:
        body["instructions"] = instructions[0]
    body["input"] = writing.items(request, instructions if len(instructions) > 1 else [])
    if request.tools:
        body["tools"] = [writing.tool(tool) for tool in request.tools]
        if request.tool_choice.choice is not None:
            body["tool_choice"] = choice_json(request)
        if request.tool_choice.parallel is not None:
            body["parallel_tool_calls"] = request.tool_choice.parallel
    body |= writing.sampling(request) | writing.reasoning(request)
    if text := text_json(request):
        body["text"] = text
    body |= writing.rest(request)
    body["include"] = writing.include(request)
    body["store"] = False  # the conversation is the client's, and comes whole each time
    if not is_null(host.always):
        body = msgspec.json.decode(host.always, type=dict[str, object]) | body
    writing.reject(body)
    return Written(msgspec.json.encode(body), tuple(writing.dropped))


class _Writing:
    """One request while it is written, with what could not be said."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.dropped: dict[str, None] = {}
        self._said = 0  # messages of the assistant
        self._thought = 0  # items of reasoning

    def drop(self, name: str) -> None:
        self.dropped[name] = None

    def reject(self, body: Item) -> None:
        """Take away what the host refuses: a member, or a member of a member ("reasoning.summary")."""
        for name in sorted(self._host.rejects):
            outer, _, inner = name.partition(".")
            members = body.get(outer)
            if inner and isinstance(members, dict):
                gone = members.pop(inner, None)
                if not members:
                    del body[outer]
            else:
                gone = None if inner else body.pop(outer, None)
            if gone is not None and name not in _OWN:
                self.drop(_WORDS.get(name, name))

    # --- input

    def items(self, request: Request, instructions: list[str]) -> list[Item]:
        """Instructions of which there are several, then the turns."""
        items: list[Item] = []
        if instructions:
            content = [{"type": "input_text", "text": text} for text in instructions]
            items.append({"type": "message", "role": "system", "content": content})
        for turn in request.turns:
            items += self.turn(turn)
        return items

    def turn(self, turn: Turn) -> Iterable[Item]:
        """The items of a turn: parts that follow one another are one message."""
        if turn.name is not None:
            self.drop("name")
        said: list[Item] = []
        for part in turn.parts:
            if part.cache is not None:
                self.drop("cache_control")
            items = self.items_of(part)
            if items is None:
                said += self.content(part, turn.role)
                continue
            yield from self.message(turn.role, said)
            said = []
            yield from items
        yield from self.message(turn.role, said)

    def message(self, role: Role, content: list[Item]) -> list[Item]:
        """A message; the assistant's with the id and status that strict hosts demand (anomalyco/opencode#42613)."""
        if not content:
            return []
        item: Item = {"type": "message", "role": role.value, "content": content}
        if role is not Role.ASSISTANT:
            return [item]
        self._said += 1
        return [item | {"id": f"msg_{self._said}", "status": "completed"}]

    def items_of(self, part: AnyPart) -> list[Item] | None:
        """A part that is an item of its own; None for what stands in a message."""
        match part:
            case Reasoning():
                return self.reasoning_item(part)
            case ToolCall():
                return [_call(part)]
            case ToolResult():
                return [self.result(part)]
        return None

    def content(self, part: AnyPart, role: Role) -> list[Item]:
        if role is Role.ASSISTANT:
            match part:
                case Text(text=text, citations=citations):
                    cited = annotations_json(citations, text)
                    return [{"type": "output_text", "text": text, "annotations": cited}]
                case Refusal(text=text):
                    return [{"type": "refusal", "refusal": text}]
        else:
            match part:
                case Text():
                    return [{"type": "input_text", "text": self.said(part)}]
                case Refusal(text=text):
                    return [{"type": "input_text", "text": text}]
                case Image():
                    return [image_json(part)]
                case Document():
                    return [self.document(part)]
                case Audio():
                    return [audio_json(part)]
        self.drop(type(part).__name__.lower())
        return []

    def said(self, text: Text) -> str:
        if text.cache is not None:
            self.drop("cache_control")
        if not is_null(text.citations):
            self.drop("citations")
        return text.text

    def document(self, document: Document) -> Item:
        if document.context is not None:
            self.drop("document.context")
        if document.citations:
            self.drop("citations")
        return document_json(document)

    def reasoning_item(self, reasoning: Reasoning) -> list[Item]:
        if reasoning.signature is not None:
            self.drop("thinking.signature")
        if reasoning.encrypted is None and not self._host.reasoning_text:
            self.drop("reasoning")
            return []
        item: Item = {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": text} for text in reasoning.summary],
        }
        if reasoning.encrypted is not None:
            item["encrypted_content"] = reasoning.encrypted
        if self._host.reasoning_text:  # such hosts demand an id
            self._thought += 1
            item["id"] = f"rs_{self._thought}"
            if reasoning.text:
                item["content"] = [{"type": "reasoning_text", "text": reasoning.text}]
        if reasoning.id is not None:
            item["id"] = reasoning.id
        return [item]

    def result(self, result: ToolResult) -> Item:
        if result.failed:
            self.drop("is_error")
        content: list[Item] = []
        for part in result.parts:
            if part.cache is not None:
                self.drop("cache_control")
            content += self.content(part, Role.USER)
        only = result.parts[0] if len(result.parts) == 1 else None
        output: object = only.text if isinstance(only, Text) and only.text else content or ""
        kind = "custom_tool_call_output" if result.custom else "function_call_output"
        return {"type": kind, "call_id": result.id, "output": output}

    def tool(self, tool: Tool) -> Item:
        if tool.cache is not None:
            self.drop("cache_control")
        return tool_json(tool)

    # --- the rest

    def sampling(self, request: Request) -> Item:
        asked = request.sampling
        beyond = {
            name: getattr(asked, name) for name in ("top_k", "seed") if getattr(asked, name) is not None
        }
        for name in beyond.keys() - self._host.takes:
            self.drop(name)
        for name in ("presence_penalty", "frequency_penalty"):
            if getattr(asked, name):
                self.drop(name)
        if not is_null(asked.logit_bias):
            self.drop("logit_bias")
        if request.stop:
            self.drop("stop")
        said = {name: value for name, value in beyond.items() if name in self._host.takes} | {
            "temperature": asked.temperature,
            "top_p": asked.top_p,
            "top_logprobs": asked.top_logprobs,
            "max_output_tokens": self.max_output(request),
        }
        return {name: value for name, value in said.items() if value is not None}

    def max_output(self, request: Request) -> int | None:
        asked, most = request.max_output, self._host.max_output
        if asked is not None and most is not None and asked > most:
            self.drop("max_output")
            return most
        return asked

    def reasoning(self, request: Request) -> Item:
        asked = request.thinking
        written: Item = {}
        efforts = self._host.efforts
        if asked.on is False and efforts and "none" not in efforts:  # a model that always thinks
            self.drop("thinking")
            written["effort"] = efforts[0]
        elif asked.on is False:
            written["effort"] = "none"
        elif asked.effort is not None or asked.budget is not None:
            wanted = asked.effort or effort_of(asked.budget or 0)
            effort = nearest_effort(wanted, efforts)
            if effort is None:
                self.drop("thinking.effort")
            else:
                written["effort"] = effort
        elif asked.on:
            written["effort"] = nearest_effort("medium", efforts)
        if asked.summary is not None:
            written["summary"] = asked.summary
        return {"reasoning": written} if written else {}

    def rest(self, request: Request) -> Item:
        said: Item = {
            "stream": True if request.stream else None,
            "user": self.short("user", request.user),
            "prompt_cache_key": self.short("cache_key", request.cache_key),
            "service_tier": request.service_tier,
            "metadata": None if is_null(request.metadata) else request.metadata,
        }
        return {name: value for name, value in said.items() if value is not None}

    def short(self, name: str, value: str | None) -> str | None:
        if value is None or len(value) <= MOST_ID_CHARS:
            return value
        self.drop(name)
        return None

    def include(self, request: Request) -> list[str]:
        """Reasoning comes back encrypted where it is asked for: models that do not reason refuse to be asked."""
        asked = request.thinking
        thinks = asked.on or (asked.on is None and (asked.effort is not None or asked.budget is not None))
        wanted = (thinks or ENCRYPTED in request.include) and "reasoning" not in self._host.rejects
        included = [ENCRYPTED] if wanted else []
        return [*included, LOGPROBS] if request.sampling.logprobs else included


def text_json(request: Request) -> Item:
    """The shape of the output, and how long it shall be."""
    written: Item = {}
    if request.verbosity is not None:
        written["verbosity"] = request.verbosity
    output = request.output
    if output is not None and is_null(output.schema):
        written["format"] = {"type": "json_object"}
    elif output is not None:
        said = {"description": output.description, "strict": output.strict}
        shape = {"type": "json_schema", "name": output.name or "output", "schema": output.schema}
        written["format"] = shape | {name: value for name, value in said.items() if value is not None}
    return written


def _call(call: ToolCall) -> Item:
    """A call, without the item's own id: OpenAI looks for the reasoning that stood before an item that it knows."""
    item: Item = {"call_id": call.id, "name": call.name}
    if call.custom:
        return {"type": "custom_tool_call", "input": call.arguments} | item
    return {"type": "function_call", "arguments": call.arguments} | item
