"""What OpenAI's and Anthropic's own SDKs understand of an answer, said as the matrix says it."""

import json
from collections.abc import Callable, Iterable
from typing import NamedTuple

import anthropic
import httpx2
import msgspec
import openai
from matrix_case import Meaning, Said
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response
from pydantic import BaseModel

from tokenweir.core.usage import Usage

_FINISHES = {
    "end_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "max_output_tokens": "length",
}


class Read(NamedTuple):
    """An answer as its client reads it. Of the usage the classes that its dialect tells apart."""

    meaning: Meaning
    usage: dict[str, int]
    turn: object  # what the client sends back of it: a message, or a list of items


def told(usage: Usage, client: str) -> dict[str, int]:
    """A usage as clients of a dialect are told it."""
    inside = {"prompt": usage.prompt} if client != "messages" else {"input": usage.input}
    return inside | {
        "cache_read": usage.cache_read,
        "completion": usage.completion,
        "reasoning": usage.reasoning,
    }


def read(client: str, way: str, status: int, body: bytes) -> Read:
    """What the client of a dialect reads. An error that it raises is one of the meaning."""
    kind = "text/event-stream" if way == "streamed" and status == 200 else "application/json"

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, content=body, headers={"content-type": kind})

    with httpx2.Client(transport=httpx2.MockTransport(answer)) as transport:
        return _READERS[client, way](transport)


def _strictly(model: BaseModel) -> None:
    """Every member is of the type that the SDK says it has."""
    type(model).model_validate(model.model_dump(by_alias=True, exclude_unset=True), strict=True)


def _openai(transport: httpx2.Client) -> openai.OpenAI:
    return openai.OpenAI(api_key="k", base_url="http://weir/v1", max_retries=0, http_client=transport)


def _failed(error: Exception, text: str = "") -> Read:
    told = error.body if isinstance(error, openai.APIError | anthropic.APIError) else None
    words = json.dumps(told) if told is not None else str(error)
    return Read(Meaning(text=text, error=words), {}, None)


# --- chat


def _chat_usage(answer: ChatCompletion | ChatCompletionChunk) -> dict[str, int]:
    usage = answer.usage
    assert usage is not None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    into, out = usage.prompt_tokens_details, usage.completion_tokens_details
    return {
        "prompt": usage.prompt_tokens,
        "cache_read": (into.cached_tokens if into else 0) or 0,
        "completion": usage.completion_tokens,
        "reasoning": (out.reasoning_tokens if out else 0) or 0,
    }


def _chat_plain(transport: httpx2.Client) -> Read:
    try:
        answer = _openai(transport).chat.completions.create(model="m", messages=[])
    except openai.APIStatusError as error:
        return _failed(error)
    _strictly(answer)
    (choice,) = answer.choices
    message = choice.message
    calls = tuple(
        Said(call.id, call.function.name, call.function.arguments)
        for call in message.tool_calls or []
        if call.type == "function"
    )
    extra = message.model_extra or {}
    meaning = Meaning(message.content or "", extra.get("reasoning_content", ""), choice.finish_reason, calls)
    return Read(meaning, _chat_usage(answer), message.model_dump(exclude_unset=True))


def _chat_streamed(transport: httpx2.Client) -> Read:
    text, reasoning, details, finish, usage = "", "", [], "", None
    calls: dict[int, dict[str, str]] = {}
    try:
        for chunk in _openai(transport).chat.completions.create(model="m", messages=[], stream=True):
            _strictly(chunk)
            if chunk.usage is not None:
                assert usage is None, "usage is told once"
                usage = _chat_usage(chunk)
            for choice in chunk.choices:
                assert not finish, "nothing follows the finish reason"
                delta, extra = choice.delta, choice.delta.model_extra or {}
                text += delta.content or ""
                reasoning += extra.get("reasoning_content") or ""
                details += extra.get("reasoning_details") or []
                finish = choice.finish_reason or ""
                for piece in delta.tool_calls or []:
                    call = calls.setdefault(piece.index, {"arguments": ""})
                    assert piece.function is not None
                    if piece.id:
                        assert "id" not in call
                        call |= {"id": piece.id, "name": piece.function.name or ""}
                    call["arguments"] += piece.function.arguments or ""
    except openai.APIError as error:
        return _failed(error, text)
    assert usage is not None and list(calls) == sorted(calls)
    meaning = Meaning(text, reasoning, finish, tuple(Said(**call) for call in calls.values()))
    turn: dict[str, object] = {"role": "assistant", "content": text or None}
    if reasoning:
        turn["reasoning_content"] = reasoning
    if details:
        turn["reasoning_details"] = details
    if calls:
        turn["tool_calls"] = [
            {"id": c["id"], "type": "function", "function": {"name": c["name"], "arguments": c["arguments"]}}
            for c in calls.values()
        ]
    return Read(meaning, usage, turn)


# --- messages


def _anthropic(transport: httpx2.Client) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="k", base_url="http://weir", max_retries=0, http_client=transport)


def _message(message: anthropic.types.Message) -> Read:
    _strictly(message)
    text = "".join(block.text for block in message.content if block.type == "text")
    reasoning = "".join(block.thinking for block in message.content if block.type == "thinking")
    calls = tuple(
        Said(block.id, block.name, json.dumps(block.input))
        for block in message.content
        if block.type == "tool_use"
    )
    details = message.usage.output_tokens_details
    usage = {
        "input": message.usage.input_tokens,
        "cache_read": message.usage.cache_read_input_tokens or 0,
        "completion": message.usage.output_tokens,
        "reasoning": 0 if details is None else details.thinking_tokens,
    }
    meaning = Meaning(text, reasoning, _FINISHES[message.stop_reason or ""], calls)
    return Read(meaning, usage, {"role": "assistant", "content": message.model_dump(mode="json")["content"]})


def _messages_plain(transport: httpx2.Client) -> Read:
    try:
        return _message(_anthropic(transport).messages.create(model="m", max_tokens=1, messages=[]))
    except anthropic.APIStatusError as error:
        return _failed(error)


def _messages_streamed(transport: httpx2.Client) -> Read:
    text = ""
    try:
        with _anthropic(transport).messages.stream(model="m", max_tokens=1, messages=[]) as stream:
            for event in stream:
                if event.type == "text":
                    text += event.text
            return _message(stream.get_final_message())
    except anthropic.APIStatusError as error:
        return _failed(error, text)


# --- responses


def _response(response: Response) -> Read:
    if response.error is None:  # hosts have more codes than OpenAI's own
        _strictly(response)
    text, reasoning, calls = "", "", []
    for item in response.output:
        if item.type == "message":
            text += "".join(part.text for part in item.content if part.type == "output_text")
        elif item.type == "reasoning":
            reasoning += "".join(part.text for part in (*item.summary, *(item.content or ())))
        elif item.type == "function_call":
            calls.append(Said(item.call_id, item.name, item.arguments))
    if response.error is not None:
        error = response.error.model_dump_json()
        return Read(Meaning(text, reasoning, error=error), {}, None)
    finish = "tool_calls" if calls else "stop"
    if response.incomplete_details is not None:
        assert response.status == "incomplete"
        finish = _FINISHES[response.incomplete_details.reason or ""]
    usage = response.usage
    assert usage is not None and usage.total_tokens == usage.input_tokens + usage.output_tokens
    counted = {
        "prompt": usage.input_tokens,
        "cache_read": usage.input_tokens_details.cached_tokens,
        "completion": usage.output_tokens,
        "reasoning": usage.output_tokens_details.reasoning_tokens,
    }
    turn = [item.model_dump(exclude_unset=True) for item in response.output]
    return Read(Meaning(text, reasoning, finish, tuple(calls)), counted, turn)


def _responses_plain(transport: httpx2.Client) -> Read:
    try:
        return _response(_openai(transport).responses.create(model="m", input="x"))
    except openai.APIStatusError as error:
        return _failed(error)


def _responses_streamed(transport: httpx2.Client) -> Read:
    pieces: dict[str, str] = {}
    last: object = None
    try:
        events = _openai(transport).responses.create(model="m", input="x", stream=True)
        for number, event in enumerate(events):
            if event.type != "response.failed":  # hosts have more codes than OpenAI's own
                _strictly(event)
            assert type(event) is not BaseModel, event  # one that the SDK does not know
            assert event.sequence_number == number
            if event.type.endswith(".delta"):
                pieces[event.type] = pieces.get(event.type, "") + str(event.delta)
            last = event
    except openai.APIStatusError as error:
        return _failed(error)
    found = _response(last.response)  # type: ignore[attr-defined]
    text = pieces.get("response.output_text.delta", "")
    if found.meaning.error:  # not every host repeats what it had said
        return Read(msgspec.structs.replace(found.meaning, text=text), {}, None)
    assert text == found.meaning.text
    told = [delta for kind, delta in pieces.items() if "reasoning" in kind]
    assert "".join(told) == found.meaning.reasoning
    called = pieces.get("response.function_call_arguments.delta", "")
    assert sorted(called) == sorted("".join(call.arguments for call in found.meaning.call))
    return found


_READERS: dict[tuple[str, str], Callable[[httpx2.Client], Read]] = {
    ("chat", "plain"): _chat_plain,
    ("chat", "streamed"): _chat_streamed,
    ("messages", "plain"): _messages_plain,
    ("messages", "streamed"): _messages_streamed,
    ("responses", "plain"): _responses_plain,
    ("responses", "streamed"): _responses_streamed,
}


def same_calls(one: Iterable[Said], other: Iterable[Said]) -> bool:
    """Ids and names to the letter; arguments as the JSON that they are."""
    return [(c.id, c.name, json.loads(c.arguments)) for c in one] == [
        (c.id, c.name, json.loads(c.arguments)) for c in other
    ]
