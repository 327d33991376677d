"""Strategies of the middle form: what any dialect may have said, for tests that write it and read it again.

A dialect says less than the form; its tests compose these strategies to what it says.
"""

import base64

import msgspec
from hypothesis import strategies as st

from tokenweir.core.usage import Usage
from tokenweir.protocol.translate.answer import Answer, Block, Finish
from tokenweir.protocol.translate.form import (
    NULL,
    AnyPart,
    Audio,
    Choice,
    Document,
    Image,
    Output,
    Reasoning,
    Refusal,
    Role,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)

#: Any text that UTF-8 can carry, with what breaks naive writers of JSON and of event streams.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["水", "data: [DONE]\n\n", 'a "quoted"\\', "\r\n\r\n", "\u2028", "😀"]
)
WORDS = TEXT.filter(bool)
NAME = st.text("abcdefgh_XY09-", min_size=1, max_size=8)
#: Ids of tool calls as OpenAI, Anthropic, Kimi and Mistral make them.
ID = st.one_of(
    st.integers(0, 99).map(lambda n: f"call_{n:024d}"),
    st.integers(0, 99).map(lambda n: f"toolu_{n:02d}"),
    st.builds(lambda name, n: f"functions.{name}:{n}", NAME, st.integers(0, 9)),
    st.text("abcXYZ019", min_size=9, max_size=9),
)
BASE64 = st.binary(min_size=1, max_size=9).map(lambda data: base64.b64encode(data).decode())
URL = NAME.map(lambda name: f"https://example.org/{name}")
NONE = st.none()
FLAG = st.booleans()
FALSE = st.just(False)
CACHE = NONE | st.sampled_from(["5m", "1h"])
DETAIL = NONE | st.sampled_from(["low", "high"])
SIGNATURE = NONE | WORDS
FINISHES = NONE | st.sampled_from(Finish)
SECONDS = NONE | st.integers(1, 2**32)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=3)
SCHEMA = OBJECT.map(lambda properties: raw({"type": "object", "properties": properties}))
#: Arguments as models write them: JSON of an object, with their own blanks.
ARGUMENTS = OBJECT.map(lambda value: msgspec.json.encode(value).decode()) | st.sampled_from(
    ["{}", '{"a": 1}', '{ "b":\n [1.50, 1e3] }', '{"z":1,"a":"\\u6c34"}']
)
CITATION = st.builds(
    lambda url, title: raw({"type": "web_search_result_location", "url": url, "title": title}), URL, TEXT
)
CITATIONS = st.just(NULL) | st.lists(CITATION, min_size=1, max_size=2).map(
    lambda found: msgspec.Raw(msgspec.json.encode(found))
)
LOGPROBS = st.lists(
    st.builds(lambda token: {"token": token, "logprob": -1, "bytes": None, "top_logprobs": []}, TEXT),
    min_size=1,
    max_size=2,
).map(lambda found: raw(found))


def raw(value: object) -> msgspec.Raw:
    """A value as the JSON that the form holds."""
    return msgspec.Raw(msgspec.json.encode(value))


# --- parts


def texts(
    *, cache: st.SearchStrategy[str | None] = CACHE, citations: st.SearchStrategy[msgspec.Raw] = CITATIONS
) -> st.SearchStrategy[Text]:
    """Texts with something in them."""
    return st.builds(Text, text=WORDS, cache=cache, citations=citations)


PLAIN = texts(cache=st.none(), citations=st.just(NULL))


def images(
    *,
    cache: st.SearchStrategy[str | None] = CACHE,
    detail: st.SearchStrategy[str | None] = DETAIL,
) -> st.SearchStrategy[Image]:
    """Pictures by address or with their data."""
    types = st.sampled_from(["image/png", "image/jpeg"])
    return st.builds(Image, url=URL, cache=cache, detail=detail) | st.builds(
        Image, data=BASE64, media_type=types, cache=cache, detail=detail
    )


def documents(*, cache: st.SearchStrategy[str | None] = CACHE) -> st.SearchStrategy[Document]:
    """Files with their data: what every dialect can say of one."""
    return st.builds(
        Document, data=BASE64, media_type=st.just("application/pdf"), title=st.none() | WORDS, cache=cache
    )


AUDIOS = st.builds(Audio, data=BASE64, format=st.sampled_from(["wav", "mp3"]))
REFUSALS = st.builds(Refusal, text=WORDS)


def reasonings(
    *, signature: st.SearchStrategy[str | None] = SIGNATURE, whole: bool = False
) -> st.SearchStrategy[Reasoning]:
    """Reasoning that may be read; `whole`: also with a summary, encrypted, with an id."""
    if not whole:
        return st.builds(Reasoning, text=WORDS, signature=signature)
    return st.builds(
        Reasoning,
        text=TEXT,
        summary=st.lists(WORDS, max_size=2).map(tuple),
        signature=signature,
        encrypted=st.none() | WORDS,
        id=st.none() | ID,
    )


def tool_calls(
    *, custom: bool = False, item_id: st.SearchStrategy[str | None] = NONE
) -> st.SearchStrategy[ToolCall]:
    """Calls of functions; `custom`: also of tools that take free text."""
    functions = st.builds(ToolCall, id=ID, name=NAME, arguments=ARGUMENTS, item_id=item_id)
    free = st.builds(ToolCall, id=ID, name=NAME, arguments=TEXT, custom=st.just(True), item_id=item_id)
    return functions | free if custom else functions


def tool_results(
    parts: st.SearchStrategy[Text | Image | Document | Audio] = PLAIN,
    *,
    failed: st.SearchStrategy[bool] = FLAG,
    custom: st.SearchStrategy[bool] = FALSE,
    max_parts: int = 2,
) -> st.SearchStrategy[ToolResult]:
    """What tools answered, not empty."""
    lists = st.lists(parts, min_size=1, max_size=max_parts).map(tuple)
    return st.builds(ToolResult, id=ID, parts=lists, failed=failed, custom=custom)


def turns(
    role: Role,
    parts: st.SearchStrategy[AnyPart],
    *,
    max_parts: int = 3,
    name: st.SearchStrategy[str | None] = NONE,
) -> st.SearchStrategy[Turn]:
    """Turns of one speaker."""
    return st.builds(
        Turn, st.just(role), st.lists(parts, min_size=1, max_size=max_parts).map(tuple), name=name
    )


# --- the rest of a request

PLAIN_TOOLS = st.builds(
    Tool,
    name=NAME,
    description=st.none() | WORDS,
    schema=SCHEMA,
    strict=st.none() | st.booleans(),
)
CUSTOM_TOOLS = st.builds(
    Tool, name=NAME, description=st.none() | WORDS, custom=st.just(True), schema=st.just(NULL)
)


def tool_choices(tools: list[Tool]) -> st.SearchStrategy[ToolChoice]:
    """How to choose among these tools; nothing where there are none."""
    if not tools:
        return st.just(ToolChoice())
    parallel = st.none() | st.booleans()
    loose = st.sampled_from([None, Choice.AUTO, Choice.NONE, Choice.REQUIRED])
    return st.builds(ToolChoice, loose, st.none(), parallel) | st.builds(
        ToolChoice, st.just(Choice.NAMED), st.sampled_from([tool.name for tool in tools]), parallel
    )


OUTPUTS = st.builds(
    Output,
    schema=SCHEMA,
    name=NAME,
    description=st.none() | WORDS,
    strict=st.none() | st.booleans(),
)
#: Half and quarter steps: numbers that every writer of JSON writes alike.
RATIOS = st.none() | st.integers(0, 4).map(lambda n: n / 4)
SAMPLINGS = st.builds(
    Sampling,
    temperature=RATIOS,
    top_p=RATIOS,
    presence_penalty=RATIOS,
    frequency_penalty=RATIOS,
    seed=st.none() | st.integers(0, 9),
)
STOPS = st.lists(WORDS, max_size=2).map(tuple)

# --- answers

COUNT = st.integers(0, 10**6)
USAGES = st.builds(
    Usage,
    input=COUNT,
    cache_read=COUNT,
    cache_write_5m=COUNT,
    cache_write_1h=COUNT,
    output=COUNT,
    reasoning=COUNT,
)
MAYBE_USAGES = NONE | USAGES
BLOCKS: st.SearchStrategy[Block] = st.one_of(
    texts(cache=st.none()), reasonings(whole=True), REFUSALS, tool_calls(custom=True, item_id=st.none() | ID)
)


def answers(
    blocks: st.SearchStrategy[Block] = BLOCKS,
    *,
    finishes: st.SearchStrategy[Finish | None] = FINISHES,
    usages: st.SearchStrategy[Usage | None] = MAYBE_USAGES,
    created_s: st.SearchStrategy[int | None] = SECONDS,
    logprobs: bool = True,
    max_blocks: int = 4,
) -> st.SearchStrategy[Answer]:
    """Whole answers. Log probabilities belong to text and need some."""

    def of(told: list[Block]) -> st.SearchStrategy[Answer]:
        has_text = any(isinstance(block, Text) for block in told)
        return st.builds(
            Answer,
            id=ID,
            model=NAME,
            created_s=created_s,
            blocks=st.just(tuple(told)),
            finish=finishes,
            usage=usages,
            logprobs=st.just(NULL) | LOGPROBS if logprobs and has_text else st.just(NULL),
        )

    return st.lists(blocks, max_size=max_blocks).flatmap(of)
