"""Requests and answers of the middle form that Anthropic Messages can say in full."""

import msgspec
from forms import (
    CACHE,
    ID,
    NAME,
    RATIOS,
    SCHEMA,
    STOPS,
    URL,
    USAGES,
    WORDS,
    answers,
    documents,
    images,
    reasonings,
    texts,
    tool_calls,
    tool_choices,
    tool_results,
    turns,
)
from hypothesis import strategies as st

from tokenweir.protocol.translate.answer import Answer, Finish
from tokenweir.protocol.translate.form import (
    Choice,
    Document,
    Image,
    Output,
    Reasoning,
    Request,
    Role,
    Sampling,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from tokenweir.protocol.translate.messages_request_out import EFFORTS

NONE = st.none()
TEXTS = texts()
MEDIA = st.one_of(
    images(detail=NONE),
    st.builds(Image, file_id=ID, cache=CACHE),
    documents(),
    st.builds(Document, text=WORDS, title=NONE | WORDS, context=NONE | WORDS, citations=st.booleans()),
    st.builds(Document, url=URL),
    st.builds(Document, file_id=ID),
)
REASONINGS = reasonings() | st.builds(Reasoning, encrypted=WORDS)
RESULTS = tool_results(TEXTS | MEDIA) | st.builds(ToolResult, id=ID, parts=st.just(()), cache=CACHE)
USERS = st.tuples(st.lists(RESULTS, max_size=2), st.lists(TEXTS | MEDIA, max_size=2)).map(
    lambda lists: Turn(Role.USER, (*lists[0], *lists[1]))
)
TURNS = st.one_of(
    USERS.filter(lambda turn: turn.parts),
    turns(Role.ASSISTANT, st.one_of(REASONINGS, TEXTS, tool_calls())),
    turns(Role.SYSTEM, TEXTS),
)
TOOLS = st.builds(
    Tool, name=NAME, description=NONE | WORDS, schema=SCHEMA, strict=NONE | st.just(True), cache=CACHE
)
MAX_OUTPUT = 4096
EFFORT = NONE | st.sampled_from(EFFORTS)
THINKINGS = st.one_of(
    st.just(Thinking()),
    st.builds(Thinking, on=st.just(False), effort=EFFORT),
    st.builds(Thinking, on=st.just(True), adaptive=st.just(True), effort=EFFORT, summary=st.sampled_from((None, "auto"))),
    st.builds(Thinking, on=st.just(True), budget=st.integers(1024, MAX_OUTPUT - 1), effort=EFFORT),
)  # fmt: skip


def _canonical_turns(drawn: list[Turn]) -> tuple[Turn, ...]:
    """Turns of which none follows one of its own role, and which no instruction leads."""
    kept: list[Turn] = []
    for turn in drawn:
        if turn.role is not (kept[-1].role if kept else Role.SYSTEM):
            kept.append(turn)
    return tuple(kept)


def _canonical_choice(choice: ToolChoice) -> ToolChoice:
    """That several calls are allowed goes without saying; that only one is needs a choice to be said with."""
    silent = choice.parallel or choice.choice in (None, Choice.NONE)
    return msgspec.structs.replace(choice, parallel=None) if silent else choice


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """A request that says nothing which this dialect cannot say."""
    tools = draw(st.lists(TOOLS, max_size=2))
    return Request(
        model=draw(NAME),
        instructions=tuple(draw(st.lists(TEXTS, max_size=2))),
        turns=_canonical_turns(draw(st.lists(TURNS, max_size=5))),
        tools=tuple(tools),
        tool_choice=_canonical_choice(draw(tool_choices(tools))),
        output=draw(NONE | st.builds(Output, schema=SCHEMA)),
        max_output=MAX_OUTPUT,
        stop=draw(STOPS),
        sampling=draw(st.builds(Sampling, temperature=RATIOS, top_p=RATIOS, top_k=NONE | st.integers(1, 99))),
        thinking=draw(THINKINGS),
        stream=draw(st.booleans()),
        user=draw(NONE | WORDS),
        service_tier=draw(st.sampled_from((None, "default"))),
    )


_FINISHES = st.sampled_from([finish for finish in Finish if finish is not Finish.FILTERED])


def _canonical_finish(answer: Answer) -> Answer:
    """An answer that calls a tool and says no more than that it stopped, stopped for the tool."""
    called = any(isinstance(block, ToolCall) for block in answer.blocks)
    finish = Finish.TOOL_CALLS if called and answer.finish is Finish.STOP else answer.finish
    sequence = "END" if finish is Finish.STOP_SEQUENCE else None
    return msgspec.structs.replace(answer, finish=finish, stop_sequence=sequence)


#: Answers that say nothing which this dialect cannot say.
ANSWERS = answers(
    st.one_of(REASONINGS, texts(cache=NONE), tool_calls()),
    finishes=_FINISHES,
    usages=USAGES,
    created_s=NONE,
    logprobs=False,
).map(_canonical_finish)
