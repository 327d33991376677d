"""OpenAI Responses by property: what is written reads the same, any cut of a stream gives the same events, nothing raises."""

import contextlib
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property import forms
from tokenweir.core.errors import WireError
from tokenweir.core.usage import Usage
from tokenweir.protocol.chat import BadRequest
from tokenweir.protocol.sse import SseSplitter, event_data
from tokenweir.protocol.translate.answer import (
    Answer,
    Closed,
    Ended,
    Event,
    Failed,
    Failure,
    Finish,
    Opened,
    Started,
    fold,
    unfold,
)
from tokenweir.protocol.translate.form import (
    NULL,
    AnyPart,
    Output,
    Reasoning,
    Request,
    Role,
    Sampling,
    Thinking,
    ToolCall,
    Turn,
)
from tokenweir.protocol.translate.host import Host
from tokenweir.protocol.translate.responses import RESPONSES
from tokenweir.protocol.translate.responses_request_in import ENCRYPTED
from tokenweir.protocol.usage_responses import read_responses_usage, write_responses_usage

# --- requests

_PICTURES = forms.images(cache=forms.NONE)
_FILES = forms.documents(cache=forms.NONE).filter(lambda document: document.title is not None)
_SAID = forms.PLAIN | _PICTURES | _FILES | forms.AUDIOS
_RESULTS = forms.tool_results(forms.PLAIN | _PICTURES | _FILES, failed=forms.FALSE, custom=forms.FLAG)
_THOUGHT = forms.reasonings(signature=forms.NONE, whole=True)
_CALLS = forms.tool_calls(custom=True)
_USER = forms.turns(Role.USER, _SAID | _RESULTS)
_ASSISTANT = forms.turns(Role.ASSISTANT, forms.PLAIN | forms.REFUSALS | _THOUGHT | _CALLS)
_SYSTEM = forms.turns(Role.SYSTEM, forms.PLAIN)
_SHORT = forms.NONE | forms.NAME
_THINKING = st.builds(
    Thinking,
    on=st.just(True),
    effort=st.sampled_from(["minimal", "low", "medium", "high", "xhigh"]),
    summary=st.sampled_from([None, "auto", "detailed"]),
) | st.sampled_from([Thinking(), Thinking(on=False), Thinking(summary="concise")])


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """What this dialect can say."""
    tools = draw(
        st.lists(forms.PLAIN_TOOLS | forms.CUSTOM_TOOLS, max_size=2, unique_by=lambda tool: tool.name)
    )
    return Request(
        model=draw(forms.NAME),
        instructions=tuple(draw(st.lists(forms.PLAIN, max_size=2))),
        turns=(draw(_USER), *draw(st.lists(_USER | _ASSISTANT | _SYSTEM, max_size=4))),
        tools=tuple(
            msgspec.structs.replace(tool, strict=None if tool.custom else bool(tool.strict)) for tool in tools
        ),
        tool_choice=draw(forms.tool_choices(tools)),
        output=draw(forms.NONE | forms.OUTPUTS | st.just(Output())),
        max_output=draw(forms.NONE | st.integers(16, 10**6)),
        sampling=draw(
            st.builds(
                Sampling,
                temperature=forms.RATIOS,
                top_p=forms.RATIOS,
                logprobs=st.sampled_from([None, True]),
                top_logprobs=forms.NONE | st.integers(1, 20),
            )
        ),
        thinking=draw(_THINKING),
        stream=draw(forms.FLAG),
        user=draw(_SHORT),
        cache_key=draw(_SHORT),
        service_tier=draw(st.sampled_from([None, "flex", "priority"])),
        verbosity=draw(st.sampled_from([None, "low", "high"])),
        metadata=draw(st.just(NULL) | forms.OBJECT.filter(bool).map(forms.raw)),
        include=(ENCRYPTED,),
    )


def _spoken(turns: Iterable[Turn]) -> list[tuple[Role, AnyPart]]:
    """Who says what; items do not tell where a turn ends."""
    return [
        (turn.role, msgspec.structs.replace(part, id=None) if isinstance(part, Reasoning) else part)
        for turn in turns
        for part in turn.parts
    ]


@given(requests())
def test_a_request_reads_as_it_was_written(request: Request) -> None:
    written = RESPONSES.write_request(request, Host(reasoning_text=True))
    assert written.dropped == ()
    read = RESPONSES.read_request(written.body)
    assert _spoken(read.turns) == _spoken(request.turns)
    assert msgspec.structs.replace(read, turns=request.turns) == request


@given(requests(), st.lists(st.sampled_from(["temperature", "include", "text.format", "tools"]), max_size=2))
def test_what_a_host_refuses_is_not_sent(request: Request, rejects: list[str]) -> None:
    written = RESPONSES.write_request(request, Host(rejects=frozenset(rejects)))
    body = msgspec.json.decode(written.body)
    assert not any(name in body for name in rejects)
    assert "text.format" not in rejects or "format" not in body.get("text", {})


@given(forms.JSON | st.dictionaries(st.sampled_from(["model", "input", "tools", "text"]), forms.JSON))
def test_any_json_is_a_request_or_refused(value: object) -> None:
    _read_or_refuse(msgspec.json.encode(value))


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["type", "role", "content", "call_id", "output", "summary", "tools", "id"]),
            forms.JSON
            | st.sampled_from(["message", "reasoning", "function_call_output", "user", "additional_tools"]),
        ),
        max_size=3,
    )
)
def test_any_items_are_a_request_or_refused(items: list[dict[str, object]]) -> None:
    _read_or_refuse(msgspec.json.encode({"model": "m", "input": items, "tools": items}))


@given(st.binary(max_size=40))
def test_any_bytes_are_a_request_or_refused(body: bytes) -> None:
    _read_or_refuse(body)


def _read_or_refuse(body: bytes) -> None:
    try:
        assert RESPONSES.read_request(body).model
    except BadRequest as error:
        assert error.status in (400, 422)


# --- answers

#: Who asks so gets back all that the form holds.
_ASKS = Request(model="m", include=(ENCRYPTED,))
_ASKS_SUMMARY = Request(model="m", thinking=Thinking(summary="auto"))
_BLOCKS = (
    forms.PLAIN
    | forms.REFUSALS
    | forms.reasonings(whole=True)
    | forms.tool_calls(custom=True, item_id=forms.NONE | forms.ID)
)
#: Ends that this dialect tells apart; a call says that tools are called.
_FINISHES = st.sampled_from([Finish.STOP, Finish.LENGTH, Finish.FILTERED, Finish.PAUSED])


def _answers(blocks: st.SearchStrategy[object]) -> st.SearchStrategy[Answer]:
    found = forms.answers(blocks, finishes=_FINISHES, logprobs=False)  # type: ignore[arg-type]
    return found.map(_said)


def _said(answer: Answer) -> Answer:
    called = any(isinstance(block, ToolCall) for block in answer.blocks)
    finish = Finish.TOOL_CALLS if called and answer.finish is Finish.STOP else answer.finish
    created_s = answer.created_s or 1
    return msgspec.structs.replace(
        answer, id=f"resp_{answer.id}", finish=finish, created_s=created_s, usage=answer.usage
    )


@given(_answers(_BLOCKS), st.sampled_from([_ASKS, _ASKS_SUMMARY]))
def test_an_answer_reads_as_it_was_written(answer: Answer, request: Request) -> None:
    read = RESPONSES.read_answer(RESPONSES.write_answer(answer, request))
    assert read == answer


@given(_answers(_BLOCKS))
def test_a_stream_reads_as_it_was_written(answer: Answer) -> None:
    reader, writer = RESPONSES.reader(), RESPONSES.writer(_ASKS)
    events = reader.feed(writer.write(unfold(answer))) + reader.end()
    assert fold(events) == answer
    assert isinstance(events[-1], Ended)


@given(_answers(_BLOCKS), st.sampled_from([_ASKS, _ASKS_SUMMARY]), st.data())
def test_the_end_of_a_stream_is_the_plain_answer(
    answer: Answer, request: Request, data: st.DataObject
) -> None:
    """Whatever pieces the stream came in, its last event tells what a client that did not stream gets."""
    written = RESPONSES.writer(request).write(_in_pieces(unfold(answer), data))
    told = [msgspec.json.decode(event_data(event)) for event in SseSplitter().feed(written)]
    assert told[-1]["response"] == msgspec.json.decode(RESPONSES.write_answer(answer, request))
    assert [event["sequence_number"] for event in told] == list(range(len(told)))


def _in_pieces(events: list[Event], data: st.DataObject) -> list[Event]:
    """The same stream with its texts cut in two."""
    pieces: list[Event] = []
    for event in events:
        text = getattr(event, "text", None)
        if not isinstance(text, str):
            pieces.append(event)
            continue
        cut = data.draw(st.integers(0, len(text)))
        pieces += [
            msgspec.structs.replace(event, text=text[:cut]),  # type: ignore[type-var]
            msgspec.structs.replace(event, text=text[cut:]),  # type: ignore[type-var]
        ]
    return pieces


@given(_answers(_BLOCKS), st.data())
def test_any_cut_gives_the_same_events(answer: Answer, data: st.DataObject) -> None:
    written = RESPONSES.writer(_ASKS).write(unfold(answer))
    whole = RESPONSES.reader()
    expected = whole.feed(written) + whole.end()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(written)), max_size=6)))
    reader = RESPONSES.reader()
    events: list[Event] = []
    for start, end in zip([0, *cuts], [*cuts, len(written)], strict=True):
        events += reader.feed(written[start:end])
    assert events + reader.end() == expected


@given(_answers(_BLOCKS), st.data())
def test_events_may_be_lost_and_none_is_told_twice(answer: Answer, data: st.DataObject) -> None:
    """Of the events that tell an item's pieces any may be missing: the whole items tell it again."""
    written = RESPONSES.writer(_ASKS).write(unfold(answer))
    parts = [part + b"\n\n" for part in written.split(b"\n\n") if part]
    kept = [
        part
        for part in parts
        if b"event: response.created" in part
        or b"event: response.completed" in part
        or b"event: response.incomplete" in part
        or b"event: response.output_item.done" in part
        or data.draw(st.booleans())
    ]
    reader = RESPONSES.reader()
    events = reader.feed(b"".join(kept)) + reader.end()
    read = fold(events)
    assert isinstance(read, Answer)
    assert sum(len(getattr(block, "text", "")) for block in read.blocks) <= sum(
        len(getattr(block, "text", "")) for block in answer.blocks
    )


@given(_answers(_BLOCKS))
def test_the_final_response_alone_tells_all(answer: Answer) -> None:
    written = RESPONSES.writer(_ASKS).write(unfold(answer))
    last = written.rstrip().split(b"\n\n")[-1] + b"\n\n"
    reader = RESPONSES.reader()
    assert fold(reader.feed(last) + reader.end()) == answer


@given(
    st.lists(
        st.binary(max_size=30)
        | st.sampled_from(
            [
                b"event: error\n",
                b"data: ",
                b"\n\n",
                b"data: [DONE]\n\n",
                b'{"type":"response.completed"}',
                b'{"type":"response.output_text.delta","delta":"a"}',
                b'{"type":"response.output_item.done","item":{}}',
                b'{"type":"response.output_item.added","item":{"type":"function_call"}}',
                b'{"error":{}}',
                b'data: {"type":"response.failed","response":{"error":{"message":"no"}}}\n\n',
            ]
        ),
        max_size=8,
    )
)
def test_any_bytes_give_events_that_fold(chunks: list[bytes]) -> None:
    reader = RESPONSES.reader()
    events = [event for chunk in chunks for event in reader.feed(chunk)] + reader.end()
    fold(events)
    opened = [event.index for event in events if isinstance(event, Opened)]
    closed = [event.index for event in events if isinstance(event, Closed)]
    failed = any(isinstance(event, Failed) for event in events)
    assert failed or sorted(closed) == opened == list(range(len(opened)))
    RESPONSES.writer(_ASKS).write(events)


@given(st.lists(st.sampled_from(list(unfold(Answer(id="a", model="m")))), max_size=3) | st.just([]))
def test_a_writer_takes_any_order_of_ends(events: list[Event]) -> None:
    RESPONSES.writer(_ASKS).write([*events, Started("a", "m"), Ended(), Ended()])


@given(st.binary(max_size=60) | forms.JSON.map(msgspec.json.encode))
def test_any_bytes_are_an_answer_or_none(body: bytes) -> None:
    with contextlib.suppress(WireError):
        RESPONSES.read_answer(body)
    assert RESPONSES.read_failure(500, body).status == 500


@given(forms.WORDS, forms.NAME.filter(lambda kind: not kind.isdigit()))
def test_a_failure_reads_as_it_was_written(message: str, kind: str) -> None:
    failure = Failure(message, f"of_{kind}", 400)
    assert RESPONSES.read_failure(400, RESPONSES.write_failure(failure)) == failure


# --- usage


@given(forms.USAGES)
def test_usage_reads_as_it_was_written(usage: Usage) -> None:
    assert read_responses_usage(msgspec.json.encode(write_responses_usage(usage))) == usage


@given(st.binary(max_size=20) | forms.JSON.map(msgspec.json.encode))
def test_any_usage_is_none_or_disjoint(raw: bytes) -> None:
    usage = read_responses_usage(raw)
    assert usage is None or min(usage.prompt, usage.completion) >= 0


@pytest.mark.parametrize("prefix", [b"", b": hello\n\n", b"\xef\xbb\xbf"])
def test_a_comment_or_a_mark_before_the_stream_changes_nothing(prefix: bytes) -> None:
    answer = Answer(id="resp_1", model="m", created_s=1, blocks=(), finish=Finish.STOP)
    reader = RESPONSES.reader()
    events = reader.feed(prefix + RESPONSES.writer(_ASKS).write(unfold(answer))) + reader.end()
    assert fold(events) == answer
