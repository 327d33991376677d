"""Whole answers and errors of OpenAI Responses, read and written."""

from collections.abc import Callable

import msgspec

from tokenweir.core.errors import WireError
from tokenweir.protocol.envelope import UNREADABLE
from tokenweir.protocol.translate.answer import Answer, Block, Failure, Finish
from tokenweir.protocol.translate.envelope import unseal
from tokenweir.protocol.translate.failures import find_failure
from tokenweir.protocol.translate.form import NULL, Reasoning, Refusal, Request, Text, ToolCall
from tokenweir.protocol.translate.reading import is_null
from tokenweir.protocol.translate.responses_output import (
    COMPLETED,
    INCOMPLETE,
    REASONS,
    Head,
    Object,
    call_item,
    content_part,
    ended,
    message_item,
    reasoning_item,
    response_json,
)
from tokenweir.protocol.translate.responses_parts import own_id, read_annotations
from tokenweir.protocol.translate.responses_tools import LOCAL_SHELL, flat_name
from tokenweir.protocol.usage_responses import read_responses_usage

_FINISHES = {reason: finish for finish, reason in reversed(REASONS.items())}


class OutputPart(msgspec.Struct):
    """A part of a message, of reasoning or of a summary, as hosts send it."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    annotations: msgspec.Raw = NULL
    logprobs: msgspec.Raw = NULL


class OutputItem(msgspec.Struct):
    """An item of the output as hosts send it: whole in an answer, as yet empty when a stream adds it."""

    type: str = ""
    id: str | None = None
    content: list[OutputPart] | None = None
    summary: list[OutputPart] | None = None
    encrypted_content: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: str | None = None
    input: str | None = None
    action: msgspec.Raw = NULL


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class ResponseBody(msgspec.Struct):
    """A response as hosts send it; the members that repeat the request are skipped."""

    id: str | None = None
    model: str | None = None
    created_at: float | None = None
    status: str | None = None
    output: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = NULL
    error: msgspec.Raw = NULL
    incomplete_details: _Incomplete | None = None

    @property
    def created_s(self) -> int | None:
        """When it was made."""
        return None if self.created_at is None else int(self.created_at)

    def finish(self, *, called: bool) -> Finish:
        """Why the model stopped."""
        if self.status == INCOMPLETE:
            reason = (self.incomplete_details or _Incomplete()).reason
            return _FINISHES.get(reason or "", Finish.LENGTH)
        return Finish.TOOL_CALLS if called else Finish.STOP


_BODY = msgspec.json.Decoder(ResponseBody)
_ITEM = msgspec.json.Decoder(OutputItem)


def read_answer(body: bytes) -> Answer:
    """Raises WireError where it is no answer of this dialect, or one that failed."""
    try:
        body.decode()  # raw members are not checked, and pass on
        found = _BODY.decode(body)
    except UNREADABLE as error:
        raise WireError(f"the answer is not one of OpenAI Responses: {error}") from None
    if found.output is None or found.status not in (None, COMPLETED, INCOMPLETE):
        failure = find_failure(body)
        told = "it has no output" if failure is None else failure.message
        raise WireError(f"the answer's status is {found.status or 'unknown'}: {told}")
    blocks: list[Block] = []
    logprobs: list[msgspec.Raw] = []
    unplaced: list[str] = []
    for number, raw in enumerate(found.output):
        try:
            item = _ITEM.decode(raw)
        except UNREADABLE as error:
            raise WireError(f"item {number} of the answer cannot be read: {error}") from None
        read = _ITEMS.get(item.type)
        if read is None:
            unplaced.append(item.type or "item")
            continue
        blocks += read(item)
        for part in item.content or ():
            logprobs += read_logprobs(part.logprobs)
    called = any(isinstance(block, ToolCall) for block in blocks)
    return Answer(
        id=found.id or "",
        model=found.model or "",
        created_s=found.created_s,
        blocks=tuple(blocks),
        finish=found.finish(called=called),
        usage=read_responses_usage(found.usage),
        logprobs=msgspec.Raw(msgspec.json.encode(logprobs)) if logprobs else NULL,
        unplaced=tuple(dict.fromkeys(unplaced)),
    )


def read_logprobs(raw: msgspec.Raw) -> list[msgspec.Raw]:
    """Log probabilities, each in the shape that Chat Completions has too."""
    try:
        return msgspec.json.decode(raw, type=list[msgspec.Raw])
    except UNREADABLE:
        return []


def _read_message(item: OutputItem) -> list[Block]:
    blocks: list[Block] = []
    for part in item.content or ():
        if part.refusal is not None:
            blocks.append(Refusal(text=part.refusal))
        elif part.text is not None:
            cited = read_annotations(part.annotations)
            blocks.append(Text(text=part.text, citations=cited))
    return blocks


def read_reasoning(item: OutputItem) -> Reasoning:
    """Reasoning: as it was sealed, where another gateway sealed it."""
    return unseal(item.encrypted_content or "") or Reasoning(
        text="".join(part.text or "" for part in item.content or ()),
        summary=tuple(part.text or "" for part in item.summary or ()),
        encrypted=item.encrypted_content or None,
        id=own_id(item.id),
    )


def read_call(item: OutputItem) -> ToolCall:
    """A call of a tool, of any kind."""
    name = flat_name(item.namespace, item.name or LOCAL_SHELL.name)
    call_id = item.call_id or item.id or ""
    if item.type == "custom_tool_call":
        return ToolCall(
            id=call_id, name=name, arguments=item.input or "", custom=True, item_id=own_id(item.id)
        )
    arguments = item.arguments or ""
    if item.type == "local_shell_call" and not is_null(item.action):
        arguments = bytes(item.action).decode()
    return ToolCall(id=call_id, name=name, arguments=arguments, item_id=own_id(item.id))


#: What a type of item is read by; other types are named as unplaced.
_ITEMS: dict[str, Callable[[OutputItem], list[Block]]] = {
    "message": _read_message,
    "reasoning": lambda item: [read_reasoning(item)],
    "function_call": lambda item: [read_call(item)],
    "custom_tool_call": lambda item: [read_call(item)],
    "local_shell_call": lambda item: [read_call(item)],
}


def write_answer(answer: Answer, request: Request) -> bytes:
    """The body that a client of Responses gets."""
    head = Head(answer.id, answer.model, answer.created_s)
    output = _write_output(head, answer, request)
    response = response_json(head, request, COMPLETED, output)
    return msgspec.json.encode(response | ended(answer.finish, answer.usage))


def _write_output(head: Head, answer: Answer, request: Request) -> list[Object]:
    """Items: texts that follow one another are one message."""
    logprobs = read_logprobs(answer.logprobs)
    output: list[Object] = []
    content: list[Object] | None = None  # of the message that goes on
    for block in answer.blocks:
        index = len(output)
        match block:
            case Text() | Refusal():
                if content is None:
                    content = []
                    output.append(message_item(head.item_id("msg", index), COMPLETED, content))
                content.append(content_part(block, logprobs if isinstance(block, Text) else []))
                logprobs = [] if isinstance(block, Text) else logprobs
                continue
            case Reasoning():
                output.append(reasoning_item(block.id or head.item_id("rs", index), block, request))
            case ToolCall():
                output.append(call_item(head, index, COMPLETED, block, request))
        content = None
    if answer.finish is Finish.LENGTH and content is not None:  # as OpenAI says of what its length ends
        output[-1]["status"] = INCOMPLETE
    return output


def write_failure(failure: Failure) -> bytes:
    """The body of an error, in OpenAI's shape."""
    error = {"message": failure.message, "type": failure.kind, "param": None, "code": failure.kind}
    return msgspec.json.encode({"error": error})
