"""A response as its client gets it: its members, and the items of its output, from the blocks of an answer."""

import msgspec

from tokenweir.core.usage import Usage
from tokenweir.protocol.envelope import UNREADABLE
from tokenweir.protocol.translate.answer import Failure, Finish
from tokenweir.protocol.translate.envelope import seal
from tokenweir.protocol.translate.form import Reasoning, Refusal, Request, Text, Tool, ToolCall
from tokenweir.protocol.translate.reading import is_null
from tokenweir.protocol.translate.responses_parts import annotations_json, made_up_id
from tokenweir.protocol.translate.responses_request_in import ENCRYPTED
from tokenweir.protocol.translate.responses_request_out import text_json
from tokenweir.protocol.translate.responses_tools import LOCAL_SHELL, bare_name, choice_json, tool_json
from tokenweir.protocol.translate.tool_arguments import free_text
from tokenweir.protocol.usage_responses import write_responses_usage

Object = dict[str, object]

COMPLETED, INCOMPLETE, FAILED, IN_PROGRESS = "completed", "incomplete", "failed", "in_progress"
#: Why a response is incomplete, by its words. The last two say what no other word of this dialect comes nearer to.
REASONS = {
    Finish.LENGTH: "max_output_tokens",
    Finish.FILTERED: "content_filter",
    Finish.REFUSED: "content_filter",
    Finish.PAUSED: "max_messages",
}


class Head(msgspec.Struct, frozen=True):
    """What an answer is called."""

    id: str = ""
    model: str = ""
    created_s: int | None = None

    @property
    def response_id(self) -> str:
        """The response's own id: the answer's, with the prefix by which clients know one."""
        return self.id if self.id.startswith("resp") else f"resp_{self.id}"

    def item_id(self, prefix: str, index: int) -> str:
        """An id for an item of the output."""
        return made_up_id(prefix, self.id.removeprefix("resp_"), index)


def response_json(head: Head, request: Request, status: str, output: list[Object]) -> Object:
    """A response, with what was asked as OpenAI repeats it."""
    asked, sampling = request.thinking, request.sampling
    return {
        "id": head.response_id,
        "object": "response",
        "created_at": head.created_s or 0,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": "\n\n".join(text.text for text in request.instructions) or None,
        "max_output_tokens": request.max_output,
        "model": head.model or request.model,
        "output": output,
        "parallel_tool_calls": request.tool_choice.parallel is not False,
        "previous_response_id": None,
        "prompt_cache_key": request.cache_key,
        "reasoning": {"effort": "none" if asked.on is False else asked.effort, "summary": asked.summary},
        "service_tier": request.service_tier or "default",
        "temperature": 1.0 if sampling.temperature is None else sampling.temperature,
        "text": {"format": {"type": "text"}} | text_json(request),
        "tool_choice": choice_json(request),
        "tools": [tool_json(tool) for tool in request.tools],
        "top_logprobs": sampling.top_logprobs or 0,
        "top_p": 1.0 if sampling.top_p is None else sampling.top_p,
        "truncation": "disabled",
        "usage": None,
        "user": request.user,
        "metadata": {} if is_null(request.metadata) else request.metadata,
    }


def ended(finish: Finish | None, usage: Usage | None) -> Object:
    """The members of a response that its end decides."""
    reason = None if finish is None else REASONS.get(finish)
    return {
        "status": COMPLETED if reason is None else INCOMPLETE,
        "incomplete_details": None if reason is None else {"reason": reason},
        "usage": None if usage is None else write_responses_usage(usage),
    }


def failed(failure: Failure) -> Object:
    """The members of a response that ended in a failure."""
    return {"status": FAILED, "error": {"code": failure.kind, "message": failure.message}}


# --- items


def message_item(item_id: str, status: str, content: list[Object]) -> Object:
    """What the assistant says."""
    return {
        "id": item_id,
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }


def content_part(block: Text | Refusal, logprobs: list[msgspec.Raw]) -> Object:
    """A part of a message."""
    if isinstance(block, Refusal):
        return {"type": "refusal", "refusal": block.text}
    return {
        "type": "output_text",
        "annotations": annotations_json(block.citations, block.text),
        "logprobs": [with_bytes(raw) for raw in logprobs],
        "text": block.text,
    }


def with_bytes(raw: msgspec.Raw) -> Object:
    """A log probability with the members that this dialect demands and some hosts leave out."""
    try:
        found = msgspec.json.decode(raw, type=dict[str, object])
    except UNREADABLE:
        return {}
    return {"bytes": [], "top_logprobs": []} | {
        name: value for name, value in found.items() if value is not None
    }


def shows_as_summary(request: Request) -> bool:
    """Whether the client reads reasoning in its summary. A host that gives the whole has its text shown there."""
    return request.thinking.summary is not None


def reasoning_item(item_id: str, reasoning: Reasoning, request: Request) -> Object:
    """Reasoning, with all that a client must bring back for it to be whole again."""
    summary, text = reasoning.summary, reasoning.text
    if text and not summary and shows_as_summary(request):
        summary, text = (text,), ""
    item: Object = {
        "id": item_id,
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": part} for part in summary],
    }
    if text:
        item["content"] = [{"type": "reasoning_text", "text": text}]
    encrypted = reasoning.encrypted
    foreign = (
        encrypted is not None and reasoning.id is None
    )  # no item of this dialect: Anthropic's redacted thinking
    hidden = foreign or reasoning.signature is not None or text != reasoning.text
    if hidden or (encrypted is None and ENCRYPTED in request.include):
        encrypted = seal(reasoning)
    return item if encrypted is None else item | {"encrypted_content": encrypted}


def tool_of(call: ToolCall, request: Request) -> Tool:
    """The tool that the client knows by the name that the model called."""
    tool = next((tool for tool in request.tools if tool.name == call.name), None)
    return tool or Tool(name=call.name, custom=call.custom)


def call_item(head: Head, index: int, status: str, call: ToolCall, request: Request) -> Object:
    """A call of a tool, as the client declared it, as item `index` of the output."""
    tool = tool_of(call, request)
    common: Object = {"status": status, "call_id": call.id}
    if tool == LOCAL_SHELL and (action := _shell_action(call.arguments)) is not None:
        item_id = call.item_id or head.item_id("lsh", index)
        return {"id": item_id, "type": "local_shell_call", "action": action} | common
    common["name"] = bare_name(tool)
    if tool.namespace is not None:
        common["namespace"] = tool.namespace
    if tool.custom or call.custom:
        item_id = call.item_id or head.item_id("ctc", index)
        text = call.arguments if call.custom else free_text(call.arguments)
        return {"id": item_id, "type": "custom_tool_call", "input": text} | common
    item_id = call.item_id or head.item_id("fc", index)
    return {"id": item_id, "type": "function_call", "arguments": call.arguments} | common


def _shell_action(arguments: str) -> Object | None:
    try:
        found = msgspec.json.decode(arguments, type=dict[str, object])
    except UNREADABLE:
        return None
    return {"type": "exec", "env": {}} | found if isinstance(found.get("command"), list) else None
