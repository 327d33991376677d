"""Scripts become steps: what is written, where it waits, and that usage says what the rule says."""

import msgspec
import pytest

from tokenweir.engines.simulated_answer import answer_text
from tokenweir.engines.simulated_script import (
    NAMED,
    After,
    Break,
    Framing,
    Malformed,
    Script,
    UsageStyle,
    count_body,
    prompt_tokens,
    read_asked,
)
from tokenweir.engines.simulated_steps import End, Hold, Pause, Step, chat_steps


def body(*, stream: bool = False, usage: bool = False, **more: object) -> bytes:
    request: dict[str, object] = {"model": "m", "messages": [{"role": "user", "content": "three words 堰"}]}
    request |= {"stream": stream, **more}
    if usage:
        request["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(request)


def written(steps: tuple[Step, ...]) -> bytes:
    return b"".join(step for step in steps if isinstance(step, bytes))


def unchunked(payload: bytes) -> bytes:
    out = b""
    while payload:
        size, _, payload = payload.partition(b"\r\n")
        length = int(size, 16)
        assert payload[length : length + 2] == b"\r\n"
        out, payload = out + payload[:length], payload[length + 2 :]
    return out


def plain(script: Script, request: bytes) -> dict[str, object]:
    payload = written(chat_steps(script, request)).partition(b"\r\n\r\n")[2]
    decoded: dict[str, object] = msgspec.json.decode(payload)
    return decoded


def events(script: Script, request: bytes) -> list[bytes]:
    payload = unchunked(written(chat_steps(script, request)).partition(b"\r\n\r\n")[2])
    return [event.removeprefix(b"data: ") for event in payload.split(b"\n\n") if event]


def chunks(script: Script, request: bytes) -> list[dict[str, object]]:
    return [msgspec.json.decode(event) for event in events(script, request) if event != b"[DONE]"]


def test_prompt_tokens_are_words_and_one_for_each_message() -> None:
    asked = read_asked(
        msgspec.json.encode(
            {
                "messages": [
                    {"role": "system", "content": "be  brief\n"},
                    {"role": "user", "content": [{"type": "text", "text": "a b c"}, {"type": "image_url"}]},
                    {
                        "role": "assistant",
                        "content": None,
                        "reasoning_content": "so so",
                        "tool_calls": [{"id": "x", "function": {"name": "f", "arguments": '{"a": 1}'}}],
                    },
                ]
            }
        )
    )
    assert prompt_tokens(asked) == 3 + 2 + 3 + 2 + 1 + 2
    assert prompt_tokens(read_asked(b'{"input": ["a b", "c"]}')) == 3
    assert prompt_tokens(read_asked(b'{"input": [7, 8, 9]}')) == 3


def test_a_plain_answer_says_the_counts_of_the_rule() -> None:
    answer = plain(Script(output_tokens=5, reasoning_tokens=2, cached_tokens=3), body())
    assert answer["usage"] == {
        "prompt_tokens": 4,
        "completion_tokens": 5,
        "total_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    (choice,) = answer["choices"]  # type: ignore[misc]
    assert choice["message"]["reasoning_content"] == answer_text(0, 2)
    assert choice["message"]["content"] == answer_text(2, 5)
    assert choice["finish_reason"] == "stop"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_requests_maximum_cuts_the_answer(name: str) -> None:
    request = body(**{name: 3})
    answer = plain(Script(output_tokens=8), request)
    (choice,) = answer["choices"]  # type: ignore[misc]
    assert choice["finish_reason"] == "length"
    assert choice["message"]["content"] == answer_text(0, 3)
    assert count_body(Script(output_tokens=8), request).output == 3


USAGE_PLACES = {
    UsageStyle.OPENAI: ("tail", {"prompt_tokens_details": {"cached_tokens": 2}}),
    UsageStyle.ALWAYS: ("tail", {"prompt_tokens_details": {"cached_tokens": 2}}),
    UsageStyle.KIMI: ("choice", {"cached_tokens": 2}),
    UsageStyle.DEEPSEEK: ("finish", {"prompt_cache_hit_tokens": 2, "prompt_cache_miss_tokens": 2}),
    UsageStyle.CUMULATIVE: ("finish", {"prompt_tokens_details": {"cached_tokens": 2}}),
    UsageStyle.OUTSIDE: ("tail", {"completion_tokens": 5}),
    UsageStyle.ZEROS: ("tail", {"prompt_tokens": 0, "completion_tokens": 0}),
    UsageStyle.NONE: ("nowhere", {}),
}


@pytest.mark.parametrize("style", list(UsageStyle))
def test_where_a_stream_reports_its_usage(style: UsageStyle) -> None:
    script = Script(usage=style, cached_tokens=2, output_tokens=7, reasoning_tokens=2)
    place, wanted = USAGE_PLACES[style]
    found = chunks(script, body(stream=True, usage=True))
    last = found[-1]
    if place == "tail":
        assert last["choices"] == []
        usage = last["usage"]
    elif place == "choice":
        usage = last["choices"][0]["usage"]  # type: ignore[index]
    elif place == "finish":
        assert last["choices"][0]["finish_reason"] == "stop"  # type: ignore[index]
        usage = last["usage"]
    else:
        assert not any("usage" in chunk for chunk in found)
        usage = {}
    assert usage | wanted == usage  # type: ignore[operator]


def test_openai_usage_comes_only_when_asked_for() -> None:
    assert all(chunk["choices"] for chunk in chunks(Script(), body(stream=True)))


def test_cumulative_usage_grows_to_the_whole() -> None:
    found = chunks(Script(usage=UsageStyle.CUMULATIVE, output_tokens=4), body(stream=True))
    outputs = [chunk["usage"]["completion_tokens"] for chunk in found]  # type: ignore[index]
    assert outputs == [0, 1, 2, 3, 4, 4]


def test_a_streams_text_is_the_plain_one() -> None:
    script = Script(output_tokens=9, reasoning_tokens=4, tokens_per_chunk=2)
    found = chunks(script, body(stream=True))
    deltas = [choice["delta"] for chunk in found for choice in chunk["choices"]]  # type: ignore[attr-defined]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == answer_text(0, 4)
    assert "".join(delta.get("content", "") for delta in deltas) == answer_text(4, 9)


def test_a_tool_is_asked_for_with_kimis_style_of_id() -> None:
    found = chunks(Script(tool_call=True), body(stream=True))
    calls = [c["delta"]["tool_calls"] for x in found for c in x["choices"] if "tool_calls" in c["delta"]]  # type: ignore[attr-defined]
    assert calls[0][0]["id"] == "functions.calculator:0"
    assert found[-1]["choices"][0]["finish_reason"] == "tool_calls"  # type: ignore[index]


def test_an_error_event_ends_a_stream_that_had_begun() -> None:
    found = events(Script(error_at=3), body(stream=True))
    assert len(found) == 5
    assert b'"error"' in found[3]
    assert found[4] == b"[DONE]"


def test_a_hold_stands_at_its_point() -> None:
    steps = chat_steps(Script(hold_at=-1), body(stream=True))
    assert isinstance(steps[0], Hold)
    steps = chat_steps(Script(hold_at=2), body(stream=True))
    assert isinstance(steps[3], Hold)  # head, two events, gate
    assert isinstance(chat_steps(Script(hold_at=5), body())[1], Hold)  # within a plain body: at its beginning


def test_pauses_stand_between_events_only() -> None:
    steps = chat_steps(Script(interval_s=0.5, output_tokens=2, delay_s=1.0), body(stream=True))
    pauses = [step.seconds for step in steps if isinstance(step, Pause)]
    assert pauses == [1.0, 0.5, 0.5, 0.5, 0.5]  # the head's; then before 4 of role, 2 tokens, finish, [DONE]


BREAKS = {
    Break.CLEAN: (b"\n\n\r\n", "close"),
    Break.RESET: (b"\n\n\r\n", "reset"),
}


@pytest.mark.parametrize("how", list(Break))
def test_a_broken_answer_lacks_its_end(how: Break) -> None:
    script = Script(break_at=3, break_how=how)
    steps = chat_steps(script, body(stream=True))
    whole = written(chat_steps(Script(), body(stream=True)))
    cut = written(steps)
    end = steps[-1]
    assert isinstance(end, End)
    assert not end.whole
    assert end.how == ("reset" if how == Break.RESET else "close")
    assert cut.count(b"data: ") == (4 if how == Break.EVENT else 3)
    if how != Break.FRAMING:
        assert whole.startswith(cut)
    assert not cut.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("how", [Break.EVENT, Break.CLEAN])
def test_a_plain_body_breaks_too(how: Break) -> None:
    cut = written(chat_steps(Script(break_at=4, break_how=how), body()))
    head, _, payload = cut.partition(b"\r\n\r\n")
    assert b"content-length" in head
    assert (0 < len(payload) < 200) == (how == Break.EVENT)


@pytest.mark.parametrize("framing", [Framing.LENGTH, Framing.CHUNKED, Framing.CLOSE])
@pytest.mark.parametrize("stream", [False, True])
def test_every_framing_carries_the_same_body(framing: Framing, stream: bool) -> None:
    request = body(stream=stream)
    reference = written(chat_steps(Script(framing=Framing.CLOSE), request)).partition(b"\r\n\r\n")[2]
    steps = chat_steps(Script(framing=framing), request)
    head, _, payload = written(steps).partition(b"\r\n\r\n")
    assert (b"content-length: %d" % len(reference) in head) == (framing == Framing.LENGTH)
    assert (unchunked(payload) if framing == Framing.CHUNKED else payload) == reference
    end = steps[-1]
    assert isinstance(end, End)
    assert end.how == ("close" if framing == Framing.CLOSE else "keep")


@pytest.mark.parametrize("size", [1, 3, 7])
def test_cuts_lose_nothing(size: int) -> None:
    request = body(stream=True)
    steps = chat_steps(Script(cut_every=size), request)
    assert max(len(step) for step in steps if isinstance(step, bytes)) == size
    assert written(steps) == written(chat_steps(Script(), request))


def test_a_plain_answer_is_one_write_and_a_stream_one_an_event() -> None:
    assert len(chat_steps(Script(), body())) == 2
    assert (
        len(chat_steps(Script(output_tokens=3), body(stream=True))) == 1 + 6 + 1 + 1
    )  # head, events, 0, end
    grouped = chat_steps(Script(output_tokens=3, events_per_write=4), body(stream=True))
    assert len(grouped) == 3
    assert written(grouped) == written(chat_steps(Script(output_tokens=3), body(stream=True)))


def test_informational_heads_come_first_and_headers_are_added() -> None:
    script = Script(informational=(103,), headers=(("x-a", "b"),), retry_after="9", header_bytes=50)
    text = written(chat_steps(script, body()))
    assert text.startswith(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert b"\r\nx-a: b\r\nretry-after: 9\r\nx-padding: " + b"x" * 50 in text


@pytest.mark.parametrize("kind", [kind for kind in Malformed if kind])
def test_malformed_answers_differ_from_the_right_one(kind: Malformed) -> None:
    right = written(chat_steps(Script(), body()))
    assert written(chat_steps(Script(malformed=kind), body())) != right


def test_raw_bodies_pass_as_they_are() -> None:
    assert written(chat_steps(Script(raw="<html>"), body())).endswith(b"\r\n\r\n<html>")
    assert events(Script(raw="data: a\n\ndata: b\n\n"), body(stream=True)) == [b"a", b"b"]


def test_lines_may_end_with_crlf_and_comments_may_stand_between() -> None:
    text = unchunked(
        written(chat_steps(Script(crlf=True, comments=True), body(stream=True))).partition(b"\r\n\r\n")[2]
    )
    assert text.startswith(b": keep-alive\r\n\r\ndata: {")
    assert text.endswith(b"data: [DONE]\r\n\r\n")


def test_what_becomes_of_the_connection() -> None:
    ends = {after: chat_steps(Script(after=after), body())[-1] for after in After}
    assert ends == {
        After.KEEP: End("keep"),
        After.CLOSE: End("close"),
        After.DROP: End("close"),
        After.DROP_NEXT: End("drop_next"),
    }
    assert b"connection: close" in written(chat_steps(Script(after=After.CLOSE), body()))
    assert b"connection: close" not in written(chat_steps(Script(after=After.DROP), body()))


def test_scripts_are_json_and_know_no_other_names() -> None:
    for script in NAMED.values():
        assert msgspec.json.decode(msgspec.json.encode(script), type=Script) == script
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode(b'{"statsu": 500}', type=Script)
