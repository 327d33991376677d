"""Whole answers and errors of Chat Completions, written for its clients."""

import msgspec

from tokenweir.protocol.translate.answer import Answer, Block, Failure, Finish
from tokenweir.protocol.translate.chat_reasoning import is_plain, visible_text, write_details
from tokenweir.protocol.translate.chat_usage import write_usage
from tokenweir.protocol.translate.citations import url_citation
from tokenweir.protocol.translate.form import Reasoning, Refusal, Request, Text, ToolCall
from tokenweir.protocol.translate.reading import is_null
from tokenweir.protocol.translate.tool_arguments import free_text

Object = dict[str, object]

_REASONS = {
    Finish.STOP: "stop",
    Finish.STOP_SEQUENCE: "stop",
    Finish.LENGTH: "length",
    Finish.TOOL_CALLS: "tool_calls",
    Finish.FILTERED: "content_filter",
    Finish.REFUSED: "content_filter",
    Finish.PAUSED: "stop",
}
#: Where a host names an error that another dialect's host would call by the status.
_ERROR_TYPES = {402: "insufficient_quota", 429: "rate_limit_error"}


def write_answer(answer: Answer, request: Request) -> bytes:
    """The body that a client of Chat Completions gets."""
    called = any(isinstance(block, ToolCall) for block in answer.blocks)
    choice: Object = {
        "index": 0,
        "message": _message(answer.blocks, custom_names(request)),
        "logprobs": None if is_null(answer.logprobs) else {"content": answer.logprobs, "refusal": None},
        "finish_reason": finish_reason(answer.finish, called=called),
    }
    if answer.stop_sequence is not None:
        choice["stop_reason"] = answer.stop_sequence
    body: Object = head(answer.id, answer.model or request.model, answer.created_s) | {
        "object": "chat.completion",
        "choices": [choice],
    }
    if answer.usage is not None:
        body["usage"] = write_usage(answer.usage)
    return msgspec.json.encode(body)


def head(answer_id: str, model: str, created_s: int | None) -> Object:
    """The members with which an answer and every chunk begin. Without a time of the upstream's it is 0."""
    return {"id": answer_id or "chatcmpl", "object": "", "created": created_s or 0, "model": model}


def finish_reason(finish: Finish | None, *, called: bool) -> str:
    """Why it stopped. Some hosts say no more than that they did when they call a tool, which clients go by."""
    return "tool_calls" if called and finish in (None, Finish.STOP) else _REASONS[finish or Finish.STOP]


def custom_names(request: Request) -> frozenset[str]:
    """Tools of the client that take free text: a host that has none called functions in their stead."""
    return frozenset(tool.name for tool in request.tools if tool.custom)


def _message(blocks: tuple[Block, ...], custom: frozenset[str]) -> Object:
    texts = [block for block in blocks if isinstance(block, Text)]
    reasonings = [block for block in blocks if isinstance(block, Reasoning)]
    refusals = [block.text for block in blocks if isinstance(block, Refusal)]
    calls = [write_call(block, custom) for block in blocks if isinstance(block, ToolCall)]
    message: Object = {
        "role": "assistant",
        "content": "".join(text.text for text in texts) if texts else None,
        "refusal": "".join(refusals) if refusals else None,
    }
    if thought := "".join(visible_text(reasoning) for reasoning in reasonings):
        message["reasoning_content"] = thought
    if not all(is_plain(reasoning) for reasoning in reasonings):
        message["reasoning_details"] = [d for reasoning in reasonings for d in write_details(reasoning)]
    if calls:
        message["tool_calls"] = calls
    if annotations := _annotations(texts):
        message["annotations"] = annotations
    return message


def write_call(call: ToolCall, custom: frozenset[str]) -> Object:
    """A call as clients get it."""
    if call.custom or call.name in custom:
        said = call.arguments if call.custom else free_text(call.arguments)
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": said}}
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _annotations(texts: list[Text]) -> list[Object]:
    """Citations of addresses; others have no place in this dialect."""
    annotations, start = [], 0
    for text in texts:
        end = start + len(text.text)
        if not is_null(text.citations):
            for citation in msgspec.json.decode(text.citations, type=list[msgspec.Raw]):
                if (annotation := write_citation(citation, start, end)) is not None:
                    annotations.append(annotation)
        start = end
    return annotations


def write_citation(citation: msgspec.Raw, start: int, end: int) -> Object | None:
    """An annotation, of `start` to `end` of the text where the citation does not say it closer."""
    found = url_citation(citation)
    if found is None:
        return None
    said: Object = {"url": found.url, "title": found.title}
    said["start_index"] = start if found.start_index is None else found.start_index
    said["end_index"] = end if found.end_index is None else found.end_index
    return {"type": "url_citation", "url_citation": said}


def write_failure(failure: Failure) -> bytes:
    """The body of an error, in OpenAI's shape."""
    return msgspec.json.encode(failure_object(failure))


def failure_object(failure: Failure) -> Object:
    """An error: its type by the status, the upstream's own word for it as the code."""
    status = failure.status or 500
    kind = _ERROR_TYPES.get(status) or ("invalid_request_error" if status < 500 else "server_error")
    error = {"message": failure.message, "type": kind, "param": None, "code": failure.kind}
    return {"error": error}
