"""Chat Completions: what is written is read again the same; any cut of a stream tells the same; nothing crashes a reader."""

import contextlib
import itertools

import msgspec
from forms import (
    AUDIOS,
    CITATION,
    CUSTOM_TOOLS,
    DETAIL,
    JSON,
    NAME,
    NONE,
    OUTPUTS,
    PLAIN,
    PLAIN_TOOLS,
    REFUSALS,
    SAMPLINGS,
    STOPS,
    TEXT,
    WORDS,
    answers,
    documents,
    images,
    raw,
    reasonings,
    texts,
    tool_calls,
    tool_choices,
    tool_results,
    turns,
)
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tokenweir.catalog.dialects import shipped_dialects
from tokenweir.cli.targets import host_of
from tokenweir.core.errors import WireError
from tokenweir.protocol.chat import BadRequest
from tokenweir.protocol.translate.answer import Answer, Ended, Event, Finish, fold, unfold
from tokenweir.protocol.translate.chat_answer_in import read_answer
from tokenweir.protocol.translate.chat_answer_out import write_answer
from tokenweir.protocol.translate.chat_request_in import read_request
from tokenweir.protocol.translate.chat_request_out import write_request
from tokenweir.protocol.translate.chat_stream_in import ChatStreamReader
from tokenweir.protocol.translate.chat_stream_out import ChatStreamWriter
from tokenweir.protocol.translate.failures import read_failure
from tokenweir.protocol.translate.form import (
    NULL,
    Output,
    Request,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    Turn,
)
from tokenweir.protocol.translate.host import Host

HOST = Host(
    takes=frozenset({"top_k", "cache_control", "custom_tools"}),
    effort_name="reasoning_effort",
    thinking_on=raw({"thinking": {"type": "enabled"}}),
    thinking_off=raw({"thinking": {"type": "disabled"}}),
    thinking_budget="thinking.budget_tokens",
    reasoning_name="reasoning_details",
)
CLIENT = Request(model="m", include_usage=True, stream=True)

# --- requests

MEDIA = images(detail=DETAIL) | documents() | AUDIOS
CITELESS = texts(citations=st.just(NULL))


def listed(parts: st.SearchStrategy[object]) -> st.SearchStrategy[Turn]:
    """Turns whose content is a list: one of their parts is no text."""
    mixed = st.tuples(MEDIA, st.lists(parts, max_size=2)).map(lambda found: (found[0], *found[1]))
    return st.builds(Turn, st.just(Role.USER), mixed, NONE | NAME)


def assistant(called: bool) -> st.SearchStrategy[Turn]:
    """What a model said: reasoning, then at most one text and one refusal, then calls."""
    thought = st.lists(reasonings(signature=WORDS), max_size=2)
    said = st.lists(PLAIN, max_size=1).flatmap(
        lambda told: st.lists(REFUSALS, max_size=1).map(lambda refused: [*told, *refused])
    )
    calls = st.lists(
        tool_calls(custom=True), min_size=int(called), max_size=2, unique_by=lambda call: call.id
    )
    both = st.tuples(thought, said, calls).map(lambda found: (*found[0], *found[1], *found[2]))
    return st.builds(Turn, st.just(Role.ASSISTANT), both.filter(bool))


SPOKEN = turns(Role.USER, PLAIN, max_parts=1, name=NONE | NAME) | listed(CITELESS)
CONVERSATIONS = st.lists(SPOKEN | assistant(called=False), max_size=4)
RESULTS = turns(Role.USER, tool_results(failed=st.just(False), max_parts=1))
TOOLS = st.lists(PLAIN_TOOLS | CUSTOM_TOOLS, max_size=3, unique_by=lambda tool: tool.name)
THINKING = st.sampled_from(
    [
        Thinking(),
        Thinking(on=True),
        Thinking(on=False),
        Thinking(on=True, effort="low"),
        Thinking(on=True, budget=2048),
    ]
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Requests that this dialect can say to the last word."""
    tools: list[Tool] = draw(TOOLS)
    later = draw(st.lists(turns(Role.SYSTEM, PLAIN, max_parts=1), max_size=1))
    conversation = draw(CONVERSATIONS)
    results = draw(st.lists(RESULTS, max_size=1))
    return Request(
        model=draw(NAME),
        instructions=tuple(draw(st.lists(PLAIN, max_size=1))),
        turns=(*conversation, *(later if conversation else []), *results_of(conversation, results)),
        tools=tuple(tools),
        tool_choice=draw(tool_choices(tools)),
        output=draw(NONE | OUTPUTS),
        max_output=draw(NONE | st.integers(1, 10**6)),
        stop=draw(STOPS),
        sampling=msgspec.structs.replace(draw(SAMPLINGS), top_k=draw(NONE | st.integers(1, 9))),
        thinking=draw(THINKING),
        stream=True,
        include_usage=draw(st.booleans()),
        user=draw(NONE | WORDS),
        cache_key=draw(NONE | WORDS),
        verbosity=draw(NONE | st.sampled_from(["low", "high"])),
        metadata=draw(st.just(NULL) | st.dictionaries(NAME, TEXT, min_size=1, max_size=2).map(raw)),
    )


def results_of(conversation: list[Turn], results: list[Turn]) -> list[Turn]:
    """Results as this dialect knows them: those of custom tools by the calls before them."""
    calls = [part for turn in conversation for part in turn.parts if isinstance(part, ToolCall)]
    free = {call.id for call in calls if call.custom}
    return [
        Turn(turn.role, tuple(msgspec.structs.replace(part, custom=part.id in free) for part in turn.parts))
        for turn in results
    ]


@given(requests())
def test_a_request_survives_being_written(request: Request) -> None:
    written = write_request(request, HOST)
    assert written.dropped == ()
    assert read_request(written.body) == request


ANYTHING = st.one_of(
    texts(), images(), documents(), AUDIOS, REFUSALS, reasonings(whole=True), tool_calls(custom=True),
    tool_results(texts() | images() | documents() | AUDIOS, custom=st.booleans()),
)  # fmt: skip
HOSTS = [
    host
    for entry in shipped_dialects().values()
    if entry.chat is not None
    for base in [host_of(entry.chat)]
    for host in (base, *(host for _, host in base.by_model))
]


@given(
    st.lists(st.sampled_from(Role).flatmap(lambda role: turns(role, ANYTHING)), max_size=4),
    st.sampled_from(HOSTS),
    THINKING,
    NONE | OUTPUTS,
)
def test_whatever_another_dialect_said_is_written_for_every_host(
    said: list[Turn], host: Host, thinking: Thinking, output: Output | None
) -> None:
    request = Request(model="m", turns=tuple(said), thinking=thinking, output=output)
    written = write_request(request, host)
    again = read_request(written.body)
    assert again.unplaced == ()
    assert len(written.dropped) == len(set(written.dropped))
    told = written.body.decode()
    for part in (part for turn in said for part in turn.parts):
        if isinstance(part, Text | ToolCall) and turn_of(said, part) is not Role.SYSTEM:
            words = part.text if isinstance(part, Text) else part.id
            assert msgspec.json.encode(words)[1:-1].decode() in told or "tool_call" in written.dropped


def turn_of(said: list[Turn], part: object) -> Role:
    return next(turn.role for turn in said if any(part is one for one in turn.parts))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_bad_request(body: bytes) -> None:
    try:
        read_request(body)
    except BadRequest as error:
        assert error.status in (400, 422)


MEMBERS = st.sampled_from(sorted(msgspec.json.decode(write_request(CLIENT, HOST).body))) | st.sampled_from(
    ["tools", "tool_choice", "response_format", "thinking", "reasoning", "stop", "stream_options", "user"]
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "tool", "system", "x"])},
        optional={
            "content": JSON | st.lists(st.fixed_dictionaries({"type": NAME | st.just("text"), "text": JSON})),
            "tool_calls": JSON,
            "tool_call_id": TEXT,
            "reasoning_details": JSON,
        },
    ),
    max_size=3,
)


@given(MESSAGES | JSON, st.dictionaries(MEMBERS | TEXT, JSON, max_size=4))
def test_arbitrary_json_is_read_or_refused(messages: object, members: dict[str, object]) -> None:
    body = msgspec.json.encode({**members, "model": "m", "messages": messages})
    try:
        request = read_request(body)
    except BadRequest as error:
        assert error.status in (400, 422)
        return
    assert write_request(request, Host()).body


@given(st.dictionaries(st.text("qxyz", min_size=1, max_size=5), JSON, max_size=4))
def test_what_has_no_place_is_named(members: dict[str, object]) -> None:
    body = msgspec.json.encode({"model": "m", "messages": [], **members})
    told = {name for name, value in members.items() if value not in (None, [], {})}
    assert set(read_request(body).unplaced) == told


# --- answers

SAID = st.tuples(
    st.lists(reasonings(signature=WORDS), max_size=1),
    st.lists(texts(cache=NONE, citations=st.just(NULL)), max_size=1),
    st.lists(REFUSALS, max_size=1),
    st.lists(tool_calls(custom=True), max_size=3, unique_by=lambda call: call.id),
).map(lambda found: list(itertools.chain(*found)))


@st.composite
def said(draw: st.DrawFn) -> Answer:
    """Answers that this dialect can say to the last word."""
    blocks = draw(SAID)
    called = bool(blocks) and isinstance(blocks[-1], ToolCall)
    answer = draw(answers(st.nothing(), finishes=NONE, max_blocks=0))
    ends = [Finish.LENGTH, Finish.FILTERED, Finish.TOOL_CALLS if called else Finish.STOP]
    logprobs = raw([{"token": "a", "logprob": -1}]) if any(isinstance(b, Text) for b in blocks) else NULL
    return msgspec.structs.replace(
        answer, blocks=tuple(blocks), finish=draw(st.sampled_from(ends)), logprobs=logprobs
    )


@given(said(), NONE | WORDS)
def test_an_answer_survives_being_written(answer: Answer, sequence: str | None) -> None:
    if sequence is not None and answer.finish is Finish.STOP:
        answer = msgspec.structs.replace(answer, finish=Finish.STOP_SEQUENCE, stop_sequence=sequence)
    assert read_answer(write_answer(answer, CLIENT)) == answer


@given(said(), st.lists(CITATION, min_size=1, max_size=2))
def test_citations_of_addresses_survive(answer: Answer, citations: list[msgspec.Raw]) -> None:
    cited = Text(text="cited", citations=msgspec.Raw(msgspec.json.encode(citations)))
    answer = msgspec.structs.replace(answer, blocks=(cited,))
    found = read_answer(write_answer(answer, CLIENT)).blocks[0]
    assert isinstance(found, Text)
    urls = [one["url"] for one in msgspec.json.decode(found.citations)]
    assert urls == [msgspec.json.decode(one)["url"] for one in citations]


@given(st.binary(max_size=100) | JSON.map(msgspec.json.encode), st.sampled_from([400, 404, 429, 500]))
def test_arbitrary_answers_are_read_or_refused(body: bytes, status: int) -> None:
    with contextlib.suppress(WireError):
        read_answer(body)
    failure = read_failure(status, body)
    assert failure.message and failure.kind and failure.status == status


# --- streams


def streamed(stream: bytes, places: list[int]) -> list[Event]:
    borders = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    reader = ChatStreamReader()
    events = [e for a, b in itertools.pairwise(borders) for e in reader.feed(stream[a:b])]
    return events + reader.end()


@given(said(), st.lists(st.integers(0, 10**6), max_size=6))
def test_a_streamed_answer_survives_any_cut(answer: Answer, places: list[int]) -> None:
    stream = ChatStreamWriter(CLIENT).write(unfold(answer))
    events = streamed(stream, places)
    assert events == streamed(stream, [])
    assert isinstance(events[-1], Ended)
    found = fold(events)
    assert isinstance(found, Answer)
    if answer.usage is None:
        found = msgspec.structs.replace(found, usage=None)  # a client that asks for usage gets some
    assert found == answer


CHUNKS = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON,
        "model": JSON,
        "usage": JSON,
        "error": JSON,
        "choices": JSON
        | st.lists(
            st.fixed_dictionaries(
                {
                    "delta": st.fixed_dictionaries(
                        {},
                        optional={
                            "content": JSON,
                            "reasoning_content": NONE | TEXT,
                            "tool_calls": JSON
                            | st.lists(
                                st.fixed_dictionaries(
                                    {},
                                    optional={
                                        "index": st.integers(-1, 2),
                                        "id": NONE | TEXT,
                                        "function": st.fixed_dictionaries(
                                            {}, optional={"name": NONE | NAME, "arguments": JSON}
                                        ),
                                    },
                                ),
                                max_size=2,
                            ),
                            "reasoning_details": JSON,
                            "annotations": JSON,
                        },
                    )
                },
                optional={"finish_reason": NONE | TEXT | st.just("stop"), "logprobs": JSON},
            ),
            max_size=2,
        ),
    },
)
PIECES = CHUNKS.map(lambda chunk: b"data: %b\n\n" % msgspec.json.encode(chunk)) | st.binary(max_size=30)


@given(st.lists(PIECES, max_size=5), st.lists(st.integers(0, 10**4), max_size=4))
def test_arbitrary_streams_crash_nothing_and_are_told_in_order(
    pieces: list[bytes], places: list[int]
) -> None:
    stream = b"".join(pieces)
    events = streamed(stream, places)
    assert fold(events) == fold(streamed(stream, []))
    assert ChatStreamWriter(CLIENT).write(events) == ChatStreamWriter(CLIENT).write(streamed(stream, []))


#: The SDK's types of chunks know no calls of tools that take free text, which OpenAI's chunks have.
TYPED = texts(cache=NONE) | reasonings(whole=True) | REFUSALS | tool_calls()


@given(answers(TYPED, max_blocks=5))
def test_whatever_another_dialect_answered_is_told(answer: Answer) -> None:
    ChatCompletion.model_validate_json(write_answer(answer, CLIENT))
    stream = ChatStreamWriter(CLIENT).write(unfold(answer))
    *chunks, last, rest = stream.split(b"\n\n")
    assert (last, rest) == (b"data: [DONE]", b"")
    told = [ChatCompletionChunk.model_validate_json(chunk.removeprefix(b"data: ")) for chunk in chunks]
    text = "".join(block.text for block in answer.blocks if isinstance(block, Text))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in told if chunk.choices) == text
    assert [chunk.choices[0].finish_reason for chunk in told if chunk.choices].count(None) == len(told) - 2
