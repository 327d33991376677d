"""Whole answers of Chat Completions, read; and what hosts say in them and in chunks alike."""

import msgspec

from tokenweir.core.errors import WireError
from tokenweir.protocol.envelope import UNREADABLE, Envelope
from tokenweir.protocol.translate.answer import Answer, Block, Finish
from tokenweir.protocol.translate.chat_reasoning import (
    ReasoningDetail,
    read_reasoning,
)
from tokenweir.protocol.translate.citations import UrlCitation, citation_of
from tokenweir.protocol.translate.failures import find_failure
from tokenweir.protocol.translate.form import NULL, Refusal, Text, ToolCall
from tokenweir.protocol.translate.reading import is_null, is_text
from tokenweir.protocol.translate.tool_arguments import arguments_text
from tokenweir.protocol.usage import read_usage

#: How hosts say why they stopped.
FINISHES = {
    "stop": Finish.STOP,
    "length": Finish.LENGTH,
    "tool_calls": Finish.TOOL_CALLS,
    "function_call": Finish.TOOL_CALLS,
    "content_filter": Finish.FILTERED,
    "sensitive": Finish.FILTERED,  # GLM
    "model_context_window_exceeded": Finish.LENGTH,  # GLM
    "refusal": Finish.REFUSED,
    "end_turn": Finish.STOP,
    "eos": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "tool_use": Finish.TOOL_CALLS,
}
#: Reasons that are errors: OpenRouter, GLM, DeepSeek, and engines that gave the request up.
BROKEN = frozenset({"error", "network_error", "insufficient_system_resource", "abort"})


class Function(msgspec.Struct):
    """The function of a call, or a piece of it."""

    name: str | None = None
    arguments: msgspec.Raw = NULL


class Custom(msgspec.Struct):
    """A call of a tool that takes free text, or a piece of it."""

    name: str | None = None
    input: str | None = None


class Call(msgspec.Struct):
    """A call, or in a stream a piece of it."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: Function | None = None
    custom: Custom | None = None

    def said(self) -> tuple[str, str]:
        """The name and the arguments."""
        if self.custom is not None:
            return self.custom.name or "", self.custom.input or ""
        function = self.function or Function()
        return function.name or "", arguments_text(function.arguments)


class Annotation(msgspec.Struct):
    """A citation."""

    type: str | None = None
    url_citation: UrlCitation | None = None


class Said(msgspec.Struct):
    """What a message says, or a delta."""

    role: str | None = None
    content: msgspec.Raw = NULL
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None
    annotations: list[Annotation] | None = None
    audio: msgspec.Raw = NULL


class _TextPart(msgspec.Struct):
    text: str


class Logprobs(msgspec.Struct):
    """Log probabilities of tokens."""

    content: msgspec.Raw = NULL
    refusal: msgspec.Raw = NULL


class _Choice(msgspec.Struct):
    message: Said
    finish_reason: str | None = None
    logprobs: Logprobs | None = None
    usage: msgspec.Raw = NULL  # Kimi
    stop_reason: object = None  # vLLM: the stop sequence that was met
    matched_stop: object = None  # SGLang


class _Answer(Envelope):
    id: str | None = None
    created: object = None
    choices: list[_Choice] | None = None


_ANSWER = msgspec.json.Decoder(_Answer)


def read_answer(body: bytes) -> Answer:
    """Raises WireError where it is no answer of this dialect, or an error in place of one."""
    try:
        body.decode()  # raw members are not checked, and pass on
        found = _ANSWER.decode(body)
    except UNREADABLE as error:
        raise WireError(f"the answer is not one of Chat Completions: {error}") from None
    if found.failed(empty=not found.choices) or not found.choices:
        failure = find_failure(body)
        raise WireError("the answer has no choices" if failure is None else failure.message)
    choice = found.choices[0]
    if choice.finish_reason in BROKEN:
        raise WireError(f"the upstream gave up: {choice.finish_reason}")
    unplaced = [f"choices[{number}]" for number in range(1, len(found.choices))]
    unplaced += unplaced_of(choice.message, choice.finish_reason)
    logprobs = choice.logprobs or Logprobs()
    if not is_null(logprobs.refusal):
        unplaced.append("logprobs.refusal")
    finish, sequence = finish_of(choice.finish_reason, choice.stop_reason, choice.matched_stop)
    return Answer(
        id=found.id or "",
        model=found.model if isinstance(found.model, str) else "",
        created_s=seconds_of(found.created),
        blocks=_blocks(choice.message, found.id or ""),
        finish=finish,
        stop_sequence=sequence,
        usage=read_usage(found.usage) or read_usage(choice.usage),
        logprobs=NULL if bytes(logprobs.content) == b"[]" else logprobs.content,
        unplaced=tuple(dict.fromkeys(unplaced)),
    )


def unplaced_of(said: Said, finish_reason: str | None) -> list[str]:
    """Names of what a message, or a delta, says and the form has no place for."""
    names = [] if is_null(said.audio) else ["audio"]
    if text_of(said.content) is None:
        names.append("content")
    if any(one.url_citation is None for one in said.annotations or []):
        names.append("annotations")
    if finish_reason and finish_reason not in FINISHES:
        names.append("finish_reason")
    return names


def text_of(content: msgspec.Raw) -> str | None:
    """The text of a content, which some hosts send as parts; None where it is none."""
    if is_null(content):
        return ""
    try:
        if is_text(content):
            return msgspec.json.decode(content, type=str)
        return "".join(part.text for part in msgspec.json.decode(content, type=list[_TextPart]))
    except UNREADABLE:
        return None


def finish_of(reason: str | None, *matched: object) -> tuple[Finish | None, str | None]:
    """Why it stopped, and at which stop sequence where the host says so."""
    if not reason:
        return None, None
    finish = FINISHES.get(reason, Finish.STOP)
    sequence = next((text for text in matched if isinstance(text, str) and text), None)
    if finish is Finish.STOP and sequence is not None:
        return Finish.STOP_SEQUENCE, sequence
    return finish, None


def seconds_of(created: object) -> int | None:
    """When it was made, if that is a time."""
    if isinstance(created, float) and created.is_integer():
        created = int(created)
    return created if isinstance(created, int) and not isinstance(created, bool) and created > 0 else None


def made_up_id(answer_id: str, number: int) -> str:
    """The id of a call to which the host gave none."""
    return f"call_{answer_id}_{number}"


def _blocks(said: Said, answer_id: str) -> tuple[Block, ...]:
    """Reasoning first, then what was said, then the calls."""
    blocks: list[Block] = []
    blocks += read_reasoning(said.reasoning_content or said.reasoning, said.reasoning_details or [])
    if text := text_of(said.content):
        cited = [citation_of(one.url_citation) for one in said.annotations or [] if one.url_citation]
        blocks.append(Text(text=text, citations=msgspec.Raw(msgspec.json.encode(cited)) if cited else NULL))
    if said.refusal:
        blocks.append(Refusal(text=said.refusal))
    calls = list(said.tool_calls or [])
    if said.function_call is not None:
        calls.append(Call(function=said.function_call))
    for number, call in enumerate(calls):
        name, arguments = call.said()
        call_id = call.id or made_up_id(answer_id, number)
        blocks.append(ToolCall(id=call_id, name=name, arguments=arguments, custom=call.custom is not None))
    return tuple(blocks)
