"""Requests and answers of the middle form that Anthropic Messages can say in full."""

import msgspec
from hypothesis import strategies as st

from tokenweir.core.usage import Usage
from tokenweir.protocol.translate.answer import Answer, Finish
from tokenweir.protocol.translate.form import (
    NULL,
    Choice,
    Document,
    Image,
    Output,
    Reasoning,
    Request,
    Role,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from tokenweir.protocol.translate.messages_request_out import EFFORTS

WORDS = st.text(min_size=1, max_size=12)
LEAVES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=6)
OBJECTS = st.dictionaries(st.text(max_size=4), LEAVES | st.lists(LEAVES, max_size=2), max_size=3)
RAW_OBJECTS = OBJECTS.map(lambda value: msgspec.Raw(msgspec.json.encode(value)))
ARGUMENTS = OBJECTS.map(lambda value: msgspec.json.encode(value).decode())
MARKS = st.sampled_from((None, "5m", "1h"))
CITATIONS = st.just(NULL) | st.lists(OBJECTS, min_size=1, max_size=2).map(
    lambda value: msgspec.Raw(msgspec.json.encode(value))
)

TEXTS = st.builds(Text, text=WORDS, cache=MARKS)
CITED = st.builds(Text, text=WORDS, citations=CITATIONS, cache=MARKS)
IMAGES = st.one_of(
    st.builds(Image, data=WORDS, media_type=st.just("image/png"), cache=MARKS),
    st.builds(Image, url=WORDS),
    st.builds(Image, file_id=WORDS),
)
TITLES = {"title": st.none() | WORDS, "context": st.none() | WORDS, "citations": st.booleans()}
DOCUMENTS = st.one_of(
    st.builds(Document, data=WORDS, media_type=st.just("application/pdf"), cache=MARKS, **TITLES),
    st.builds(Document, text=WORDS, **TITLES),
    st.builds(Document, url=WORDS),
    st.builds(Document, file_id=WORDS),
)
REASONINGS = st.one_of(
    st.builds(Reasoning, text=WORDS, signature=st.none() | WORDS), st.builds(Reasoning, encrypted=WORDS)
)
CALLS = st.builds(
    ToolCall, id=st.sampled_from(("toolu_1", "functions.read:0", "call_é")), name=WORDS, arguments=ARGUMENTS
)
RESULTS = st.builds(
    ToolResult,
    id=st.sampled_from(("toolu_1", "functions.read:0")),
    parts=st.lists(st.one_of(TEXTS, IMAGES, DOCUMENTS), max_size=2).map(tuple),
    failed=st.booleans(),
    cache=MARKS,
)
USER_PARTS = st.tuples(
    st.lists(RESULTS, max_size=2), st.lists(st.one_of(TEXTS, IMAGES, DOCUMENTS), max_size=2)
)
USERS = USER_PARTS.map(lambda lists: Turn(Role.USER, (*lists[0], *lists[1]))).filter(lambda turn: turn.parts)
ASSISTANTS = st.lists(st.one_of(REASONINGS, CITED, CALLS), min_size=1, max_size=3).map(
    lambda parts: Turn(Role.ASSISTANT, tuple(parts))
)
SYSTEMS = st.lists(TEXTS, min_size=1, max_size=2).map(lambda parts: Turn(Role.SYSTEM, tuple(parts)))


@st.composite
def turns(draw: st.DrawFn) -> tuple[Turn, ...]:
    """Turns of which none follows one of its own role, and which no instruction leads."""
    drawn: list[Turn] = []
    for turn in draw(st.lists(st.one_of(USERS, ASSISTANTS, SYSTEMS), max_size=5)):
        role = drawn[-1].role if drawn else Role.SYSTEM
        if turn.role is not role:
            drawn.append(turn)
    return tuple(drawn)


TOOLS = st.builds(
    Tool,
    name=WORDS,
    description=st.none() | WORDS,
    schema=RAW_OBJECTS,
    strict=st.none() | st.booleans(),
    cache=MARKS,
)


@st.composite
def tool_choices(draw: st.DrawFn, tools: list[Tool]) -> ToolChoice:
    if not tools:
        return ToolChoice()
    choice = draw(st.sampled_from((None, *Choice)))
    name = draw(st.sampled_from([tool.name for tool in tools])) if choice is Choice.NAMED else None
    said = choice not in (None, Choice.NONE)
    return ToolChoice(choice, name, draw(st.sampled_from((None, False))) if said else None)


MAX_OUTPUT = 4096
EFFORT = st.none() | st.sampled_from(EFFORTS)
THINKINGS = st.one_of(
    st.just(Thinking()),
    st.builds(Thinking, on=st.just(False), effort=EFFORT),
    st.builds(Thinking, on=st.just(True), adaptive=st.just(True), effort=EFFORT, summary=st.sampled_from((None, "auto"))),
    st.builds(Thinking, on=st.just(True), budget=st.integers(1024, MAX_OUTPUT - 1), effort=EFFORT),
)  # fmt: skip
FRACTIONS = st.none() | st.floats(0, 1)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """A request that says nothing which this dialect cannot say."""
    tools = draw(st.lists(TOOLS, max_size=2))
    return Request(
        model=draw(WORDS),
        instructions=tuple(draw(st.lists(TEXTS, max_size=2))),
        turns=draw(turns()),
        tools=tuple(tools),
        tool_choice=draw(tool_choices(tools)),
        output=draw(st.none() | st.builds(Output, schema=RAW_OBJECTS)),
        max_output=MAX_OUTPUT,
        stop=tuple(draw(st.lists(WORDS, max_size=2))),
        sampling=Sampling(
            temperature=draw(FRACTIONS), top_p=draw(FRACTIONS), top_k=draw(st.none() | st.integers(1, 99))
        ),
        thinking=draw(THINKINGS),
        stream=draw(st.booleans()),
        user=draw(st.none() | WORDS),
        service_tier=draw(st.sampled_from((None, "default"))),
    )


COUNTS = st.integers(0, 10**6)
USAGES = st.builds(
    Usage, input=COUNTS, cache_read=COUNTS, cache_write_5m=COUNTS, cache_write_1h=COUNTS, output=COUNTS, reasoning=COUNTS
)  # fmt: skip
_FINISHES = (
    Finish.STOP,
    Finish.STOP_SEQUENCE,
    Finish.LENGTH,
    Finish.TOOL_CALLS,
    Finish.REFUSED,
    Finish.PAUSED,
)
ANSWER_TEXTS = st.builds(Text, text=WORDS, citations=CITATIONS)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """An answer that says nothing which this dialect cannot say."""
    blocks = draw(st.lists(st.one_of(REASONINGS, ANSWER_TEXTS, CALLS), max_size=4))
    finish = draw(st.sampled_from(_FINISHES))
    if finish is Finish.STOP and any(isinstance(block, ToolCall) for block in blocks):
        finish = Finish.TOOL_CALLS
    return Answer(
        id=draw(WORDS),
        model=draw(WORDS),
        blocks=tuple(blocks),
        finish=finish,
        stop_sequence=draw(WORDS) if finish is Finish.STOP_SEQUENCE else None,
        usage=draw(USAGES),
    )
