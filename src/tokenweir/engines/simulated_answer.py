"""From a script and a request to the bodies of an answer, as OpenAI-compatible engines write them. No I/O."""

from collections.abc import Iterator

import msgspec

from tokenweir.engines.simulated_script import (
    WORDS,
    Asked,
    Counts,
    Malformed,
    Script,
    UsageStyle,
    prompt_tokens,
)

Json = dict[str, "JsonValue"]
JsonValue = None | bool | int | float | str | list["JsonValue"] | Json

#: The same in every answer, on purpose: an upstream's ids collide.
ANSWER_ID = "chatcmpl-simulated"
CREATED_S = 1_790_000_000
TOOL_CALL_ID = "functions.calculator:0"

_encode = msgspec.json.Encoder().encode


def token_text(index: int) -> str:
    """The text of an output token, with its leading space."""
    return " " + WORDS[index % len(WORDS)]


def answer_text(first: int, last: int) -> str:
    """The text of output tokens `first` to `last` (exclusive)."""
    return "".join(map(token_text, range(first, last)))


def usage_json(script: Script, counts: Counts) -> Json:
    """The usage object in the script's style."""
    output = counts.output
    if script.usage == UsageStyle.ZEROS:
        return {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    if script.usage == UsageStyle.OUTSIDE:
        output -= counts.reasoning
    usage: Json = {"prompt_tokens": counts.prompt, "completion_tokens": output}
    usage["total_tokens"] = counts.prompt + counts.output
    if script.usage == UsageStyle.KIMI:
        usage["cached_tokens"] = counts.cached
    elif script.usage == UsageStyle.DEEPSEEK:
        usage["prompt_cache_hit_tokens"] = counts.cached
        usage["prompt_cache_miss_tokens"] = counts.prompt - counts.cached
    else:
        usage["prompt_tokens_details"] = {"cached_tokens": counts.cached}
    if counts.reasoning:
        usage["completion_tokens_details"] = {"reasoning_tokens": counts.reasoning}
    return usage


def error_json(status: int, message: str) -> Json:
    """An error in OpenAI's shape."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": f"simulated_{status}"}}


def _tool_calls(script: Script, first: int, last: int) -> list[JsonValue]:
    arguments = "x" * script.padding_bytes + answer_text(first, last)
    call: Json = {"index": 0, "id": TOOL_CALL_ID, "type": "function"}
    call["function"] = {"name": "calculator", "arguments": _encode({"expression": arguments}).decode()}
    return [call]


def _message(script: Script, counts: Counts) -> Json:
    message: Json = {"role": "assistant", "content": None}
    if counts.reasoning:
        message["reasoning_content"] = answer_text(0, counts.reasoning)
    if script.tool_call:
        message["tool_calls"] = _tool_calls(script, counts.reasoning, counts.output)
    else:
        message["content"] = "x" * script.padding_bytes + answer_text(counts.reasoning, counts.output)
    return message


def plain_body(script: Script, asked: Asked, counts: Counts) -> bytes:
    """The body of a plain answer."""
    if script.raw:
        return script.raw.encode()
    choice: Json = {"index": 0, "message": _message(script, counts), "finish_reason": counts.finish_reason}
    body: Json = {"id": ANSWER_ID, "object": "chat.completion", "created": CREATED_S, "model": asked.model}
    body["choices"] = [choice]
    if script.usage != UsageStyle.NONE:
        body["usage"] = usage_json(script, counts)
    encoded = _encode(body)
    return encoded[:-7] if script.malformed == Malformed.JSON else encoded


def error_body(status: int, message: str) -> bytes:
    """An error in OpenAI's shape, as bytes."""
    return _encode(error_json(status, message))


def embeddings_body(asked: Asked) -> bytes:
    """Vectors of four numbers each, and usage."""
    inputs: list[str | int] = [asked.input] if isinstance(asked.input, str) else asked.input
    texts = [item for item in inputs if isinstance(item, str)] or [""]
    data: list[JsonValue] = [
        {"object": "embedding", "index": index, "embedding": [0.5, -0.5, 0.25, float(len(text))]}
        for index, text in enumerate(texts)
    ]
    prompt = prompt_tokens(asked)
    body: Json = {"object": "list", "data": data, "model": asked.model}
    body["usage"] = {"prompt_tokens": prompt, "total_tokens": prompt}
    return _encode(body)


def models_body(names: list[str]) -> bytes:
    """The answer of `/v1/models`."""
    data: list[JsonValue] = [
        {"id": name, "object": "model", "created": CREATED_S, "owned_by": "simulated"} for name in names
    ]
    return _encode({"object": "list", "data": data})


def metrics_body(running: int, waiting: int, prompt: int, output: int) -> bytes:
    """The answer of `/metrics`, with vLLM's names."""
    values = {
        "num_requests_running": running,
        "num_requests_waiting": waiting,
        "kv_cache_usage_perc": 0,
        "prompt_tokens_total": prompt,
        "generation_tokens_total": output,
    }
    return "".join(
        f'vllm:{name}{{model_name="simulated"}} {value}\n' for name, value in values.items()
    ).encode()


def _chunk(asked: Asked, choices: list[JsonValue], usage: Json | None = None) -> Json:
    chunk: Json = {"id": ANSWER_ID, "object": "chat.completion.chunk", "created": CREATED_S}
    chunk |= {"model": asked.model, "choices": choices}
    if usage is not None:
        chunk["usage"] = usage
    return chunk


def _deltas(script: Script, counts: Counts) -> Iterator[tuple[int, Json]]:
    """Each content delta with the number of output tokens up to its end."""
    start, padding = 0, script.padding_bytes
    while start < counts.output:
        border = counts.reasoning if start < counts.reasoning else counts.output
        end = min(start + script.tokens_per_chunk, border)
        if start < counts.reasoning:
            yield end, {"reasoning_content": answer_text(start, end)}
        elif script.tool_call:
            end = counts.output
            yield end, {"tool_calls": _tool_calls(script, start, end)}
        else:
            yield end, {"content": "x" * padding + answer_text(start, end)}
            padding = 0
        start = end


def _finishing_chunk(script: Script, asked: Asked, counts: Counts) -> Json:
    choice: Json = {"index": 0, "delta": {}, "finish_reason": counts.finish_reason if script.finish else None}
    usage = usage_json(script, counts)
    if script.usage == UsageStyle.KIMI:
        choice["usage"] = usage
    rides = script.usage in (UsageStyle.DEEPSEEK, UsageStyle.CUMULATIVE)
    return _chunk(asked, [choice], usage if rides else None)


def _stream_chunks(script: Script, asked: Asked, counts: Counts) -> Iterator[Json]:
    cumulative = script.usage == UsageStyle.CUMULATIVE

    def so_far(output: int) -> Json | None:
        reasoning = min(counts.reasoning, output)
        known = Counts(counts.prompt, counts.cached, output, reasoning, counts.finish_reason)
        return usage_json(script, known) if cumulative else None

    if script.role_chunk:
        first: Json = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
        yield _chunk(asked, [first], so_far(0))
    for output, delta in _deltas(script, counts):
        yield _chunk(asked, [{"index": 0, "delta": delta, "finish_reason": None}], so_far(output))
    if script.finish or script.usage in (UsageStyle.KIMI, UsageStyle.DEEPSEEK):
        yield _finishing_chunk(script, asked, counts)
    tail = script.usage in (UsageStyle.ALWAYS, UsageStyle.OUTSIDE, UsageStyle.ZEROS)
    if tail or (script.usage == UsageStyle.OPENAI and asked.wants_usage):
        yield _chunk(asked, [], usage_json(script, counts))


def stream_events(script: Script, asked: Asked, counts: Counts) -> list[bytes]:
    """The events of a stream, each with its blank line."""
    if script.raw:
        return [f"{part}\n\n".encode() for part in script.raw.split("\n\n") if part]
    datas = list(map(_encode, _stream_chunks(script, asked, counts)))
    if script.malformed == Malformed.JSON and datas:
        datas[0] = datas[0][:-7]
    if script.error_at is not None:
        error = _encode(error_json(500, "the engine failed in the middle of its answer"))
        datas = [*datas[: max(0, script.error_at)], error]
    if script.done:
        datas.append(b"[DONE]")
    end = b"\r\n" if script.crlf else b"\n"
    before = b": keep-alive" + end + end if script.comments else b""
    return [before + b"data: " + data + end + end for data in datas]
