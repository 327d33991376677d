"""Whole answers and errors of Anthropic Messages, read and written."""

from collections.abc import Callable

import msgspec

from tokenweir.core.errors import WireError
from tokenweir.core.usage import Usage
from tokenweir.protocol.envelope import UNREADABLE
from tokenweir.protocol.messages_errors import ERROR_TYPES, error_type
from tokenweir.protocol.translate.answer import Answer, Block, Delta, Event, Failure, Finish
from tokenweir.protocol.translate.failures import read_as
from tokenweir.protocol.translate.form import NULL, Reasoning, Refusal, Request, Text, ToolCall
from tokenweir.protocol.translate.messages_reasoning import client_signature, is_redacted, visible_text
from tokenweir.protocol.translate.reading import is_null
from tokenweir.protocol.translate.tool_arguments import as_object
from tokenweir.protocol.usage_messages import read_messages_usage, write_messages_usage

#: How each dialect's host says that it stopped; the last ones are of hosts that mix their dialects.
FINISHES = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "tool_use": Finish.TOOL_CALLS,
    "pause_turn": Finish.PAUSED,
    "refusal": Finish.REFUSED,
    "stop": Finish.STOP,
    "length": Finish.LENGTH,
    "tool_calls": Finish.TOOL_CALLS,
    "content_filter": Finish.FILTERED,
    "sensitive": Finish.FILTERED,  # GLM
}
_STOP_REASONS = {
    Finish.STOP: "end_turn",
    Finish.STOP_SEQUENCE: "stop_sequence",
    Finish.LENGTH: "max_tokens",
    Finish.TOOL_CALLS: "tool_use",
    Finish.FILTERED: "refusal",
    Finish.REFUSED: "refusal",
    Finish.PAUSED: "pause_turn",
}
#: Members of an answer that mean nothing to another dialect's client.
_IDLE = frozenset({"base_resp", "request_id", "diagnostics"})


class AnswerBlock(msgspec.Struct):
    """A content block as hosts send it: whole in an answer, as yet empty at the start of one in a stream."""

    type: str
    text: str | None = None
    citations: msgspec.Raw = NULL
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = NULL


class _StopDetails(msgspec.Struct):
    explanation: str | None = None


class _Answer(msgspec.Struct):
    content: list[msgspec.Raw]
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: msgspec.Raw = NULL
    usage: msgspec.Raw = NULL
    type: str | None = None
    role: str | None = None


_ANSWER = msgspec.json.Decoder(_Answer)
_BLOCK = msgspec.json.Decoder(AnswerBlock)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_answer(body: bytes) -> Answer:
    """Raises WireError where it is no answer of this dialect."""
    try:
        body.decode()  # raw members are not checked, and pass on
        found, members = _ANSWER.decode(body), _MEMBERS.decode(body)
    except UNREADABLE as error:
        raise WireError(f"the answer is not one of Anthropic Messages: {error}") from None
    unplaced = [
        name
        for name, raw in members.items()
        if name not in _Answer.__struct_fields__ and name not in _IDLE and not is_null(raw)
    ]
    blocks: list[Block] = []
    for number, raw in enumerate(found.content):
        try:
            block = _BLOCK.decode(raw)
        except UNREADABLE as error:
            raise WireError(f"block {number} of the answer cannot be read: {error}") from None
        read = _BLOCKS.get(block.type)
        if read is None:
            unplaced.append(block.type)
        else:
            blocks += read(block)
    if found.stop_reason is not None and found.stop_reason not in FINISHES:
        unplaced.append("stop_reason")
    if explanation := read_explanation(found.stop_details):
        blocks.append(Refusal(text=explanation))
    return Answer(
        id=found.id or "",
        model=found.model or "",
        blocks=tuple(blocks),
        finish=None if found.stop_reason is None else FINISHES.get(found.stop_reason, Finish.STOP),
        stop_sequence=found.stop_sequence,
        usage=read_messages_usage(found.usage),
        unplaced=tuple(dict.fromkeys(unplaced)),
    )


def read_arguments(raw: msgspec.Raw) -> str:
    """The input of a call as JSON text; an empty object where there is none."""
    return "{}" if is_null(raw) else bytes(raw).decode()


def read_explanation(raw: msgspec.Raw) -> str | None:
    """What `stop_details` says of a refusal."""
    details = read_as(_StopDetails, raw)
    return None if details is None else details.explanation


def _read_text(block: AnswerBlock) -> list[Block]:
    citations = NULL if bytes(block.citations) == b"[]" else block.citations
    return [Text(text=block.text, citations=citations)] if block.text else []


def _read_thinking(block: AnswerBlock) -> list[Block]:
    if not block.thinking and not block.signature:
        return []
    return [Reasoning(text=block.thinking or "", signature=block.signature or None)]


#: What a type of block is read by; other types are named as unplaced.
_BLOCKS: dict[str, Callable[[AnswerBlock], list[Block]]] = {
    "text": _read_text,
    "thinking": _read_thinking,
    "redacted_thinking": lambda block: [Reasoning(encrypted=block.data)] if block.data else [],
    "tool_use": lambda block: [
        ToolCall(id=block.id or "", name=block.name or "", arguments=read_arguments(block.input))
    ],
}


def write_answer(answer: Answer, request: Request) -> bytes:
    """The body that a client of Messages gets."""
    called = any(isinstance(block, ToolCall) for block in answer.blocks)
    message = message_head(answer.id, answer.model or request.model) | {
        "content": [written for block in answer.blocks if (written := _write_block(block)) is not None],
        "stop_reason": stop_reason(answer.finish, called=called),
        "stop_sequence": answer.stop_sequence,
        "usage": write_messages_usage(answer.usage or Usage()),
    }
    return msgspec.json.encode(message)


def lost_logprobs(event: Event) -> str:
    """What Messages cannot tell of an answer: how likely its tokens were."""
    return "logprobs" if isinstance(event, Delta) and not is_null(event.logprobs) else ""


def message_head(answer_id: str, model: str) -> dict[str, object]:
    """The members with which every answer begins."""
    return {"id": answer_id or "msg", "type": "message", "role": "assistant", "model": model}


def stop_reason(finish: Finish | None, *, called: bool) -> str:
    """Why it stopped. Some hosts say no more than "stop" when they call a tool, which clients here go by."""
    if called and finish in (None, Finish.STOP):
        return "tool_use"
    return _STOP_REASONS[finish or Finish.STOP]


def _write_block(block: Block) -> dict[str, object] | None:
    match block:
        case Text(text=text):
            citations = None if is_null(block.citations) else block.citations
            return {"type": "text", "text": text, "citations": citations}
        case Refusal(text=text):
            return {"type": "text", "text": text, "citations": None}
        case ToolCall(id=call, name=name):
            return {"type": "tool_use", "id": call, "name": name, "input": as_object(block)[0]}
        case Reasoning():
            return write_reasoning(block)


def write_reasoning(block: Reasoning) -> dict[str, object] | None:
    """A block that a client brings back whole: thinking, or redacted thinking where nothing may be read."""
    text, signature = visible_text(block), client_signature(block)
    if text or (block.signature and not block.encrypted):
        return {"type": "thinking", "thinking": text, "signature": signature}
    if not signature:
        return None
    return {"type": "redacted_thinking", "data": block.encrypted if is_redacted(block) else signature}


def write_failure(failure: Failure) -> bytes:
    """The body of an error, in Anthropic's shape."""
    return msgspec.json.encode(failure_object(failure))


def failure_object(failure: Failure) -> dict[str, object]:
    """An error as this dialect's clients know it: its type among Anthropic's, the upstream's own as the code."""
    kind = ERROR_TYPES.get(failure.kind) or error_type(failure.status or 500)
    details = None if kind == failure.kind else {"error_code": failure.kind}
    return {"type": "error", "error": {"type": kind, "message": failure.message, "details": details}}
