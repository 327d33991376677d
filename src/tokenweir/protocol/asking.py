"""What a request of an agent says of itself: which conversation it goes on with, what it is for, and what tools gave back."""

import re
from collections.abc import Container, Iterator, Mapping

import msgspec

from tokenweir.protocol.envelope import UNREADABLE
from tokenweir.protocol.steps import MOST_RESULTS, NO_STEP, Step, ToolResult, digest, shown, tool_id
from tokenweir.protocol.translate.form import Audio, Document, Image, Request, Role, Text, Turn
from tokenweir.protocol.translate.form import ToolResult as Result

#: Headers in which agents say which session asks: Claude Code, OpenCode, Codex (November 2026).
SESSION_HEADERS = (b"x-claude-code-session-id", b"x-session-id", b"session-id", b"x-session-affinity")
#: Headers that only a request of a sub-agent has, and those whose value names the purpose (Codex).
AGENT_HEADERS = (b"x-claude-code-agent-id", b"x-parent-session-id", b"x-codex-parent-thread-id")
PURPOSE_HEADER = b"x-openai-subagent"
HEADERS = frozenset({*SESSION_HEADERS, *AGENT_HEADERS, PURPOSE_HEADER})
SUB_AGENT = "sub-agent"
#: A result of a tool: its conversation, its id, and its number among those of that id.
Told = tuple[str, str, int]
#: Of Codex's purposes, those that are no agent of their own.
_PURPOSES = {"compact": "compaction", "memory_consolidation": "memory"}
_TAG = re.compile(r"<([A-Za-z][\w-]*)[\s>]")
#: Of a text, so much of its beginning and of its end is searched.
_SEARCHED = 4096
_TITLE = re.compile(
    r"\btitle\b.{0,120}\b(?:conversation|session|thread|chat|topic|message|request)|标题"
    r"|\b(?:conversation|session|thread|chat|topic)\b.{0,60}\btitle\b|\b(?:write|generate|create|suggest|give)\b.{0,60}\btitle\b",
    re.IGNORECASE | re.DOTALL,
)
_COMPACTION = re.compile(
    r"\b(?:summar(?:y|ise|ize|izing|ising)|compact(?:ion)?|condense|handoff)\b.{0,160}\b(?:conversation|context|history|session|transcript)\b"
    r"|\bcontext checkpoint|压缩|总结.{0,20}对话",
    re.IGNORECASE | re.DOTALL,
)
_MEMORY = re.compile(r"\bmemor(?:y|ies)\b|记忆", re.IGNORECASE)


class _Body(msgspec.Struct):
    prompt_cache_key: object = None


_BODY = msgspec.json.Decoder(_Body)


def read_asking(
    form: Request,
    body: bytes,
    headers: Mapping[bytes, bytes],
    known: Container[Told],
    *,
    tells_failure: bool,
) -> Step:
    """What is known of a step before its answer. `known`: results that were told before, as `told_by` names them.

    `tells_failure`: the dialect has a word for a tool that failed, so that its absence says that it did not.
    """
    thread = digest(first_words(form.turns))
    results = [
        ToolResult(id, _size(part), part.failed if tells_failure else None)
        for id, number, part in _numbered(form.turns)
        if (thread, id, number) not in known
    ]
    return msgspec.structs.replace(
        NO_STEP,
        thread=thread,
        session=digest(_session(form, body, headers)),
        agent=_agent(headers),
        words=_purpose(form),
        turns=len(form.turns),
        tools=len(form.tools),
        results=tuple(results[-MOST_RESULTS:]),
        more_results=max(0, len(results) - MOST_RESULTS),
    )


def first_words(turns: tuple[Turn, ...]) -> str:
    """The text that a conversation began with: the last of the user's before the model first spoke.

    Agents put surroundings before and reminders behind it, each wrapped in a tag; these count only where there is nothing else.
    """
    texts: list[str] = []
    for turn in turns:
        if turn.role is Role.ASSISTANT:
            break
        if turn.role is Role.USER:
            texts += (part.text.strip() for part in turn.parts if isinstance(part, Text))
    plain = [text for text in texts if text and not _is_wrapped(text)]
    return next(reversed(plain or texts), "")


def _is_wrapped(text: str) -> bool:
    tag = _TAG.match(text)
    return tag is not None and text.endswith(f"</{tag[1]}>")


def _session(form: Request, body: bytes, headers: Mapping[bytes, bytes]) -> bytes:
    for name in SESSION_HEADERS:
        if name in headers:
            return headers[name]
    if form.user or form.cache_key:
        return str(form.user or form.cache_key).encode("utf-8", "surrogatepass")
    try:
        key = _BODY.decode(body).prompt_cache_key
    except UNREADABLE:
        return b""
    return key.encode("utf-8", "surrogatepass") if isinstance(key, str) else b""


def _agent(headers: Mapping[bytes, bytes]) -> str:
    purpose = headers.get(PURPOSE_HEADER, b"").decode("latin-1")
    if purpose:
        return shown(_PURPOSES.get(purpose, f"{SUB_AGENT} ({purpose})"), 40)
    return SUB_AGENT if any(name in headers for name in AGENT_HEADERS) else ""


def _purpose(form: Request) -> str:
    """What the words ask for. Long prompts of agents speak of everything, so where tools are offered only the last turn counts."""
    last = form.turns[-1] if form.turns else None
    texts = [part.text for part in last.parts if isinstance(part, Text)] if last is not None else []
    asked = "\n".join(map(_ends, texts))
    if form.tools:
        return "compaction" if len(form.turns) > 1 and _COMPACTION.search(asked) else ""
    said = "\n".join([*(_ends(text.text) for text in form.instructions), asked])
    for pattern, word in ((_TITLE, "title"), (_COMPACTION, "compaction"), (_MEMORY, "memory")):
        if pattern.search(said):
            return word
    return ""


def _ends(text: str) -> str:
    return text if len(text) <= 2 * _SEARCHED else f"{text[:_SEARCHED]}\n{text[-_SEARCHED:]}"


def told_by(form: Request) -> list[Told]:
    """Every result in a request, by its conversation, its id, and how many of that id stand before it."""
    thread = digest(first_words(form.turns))
    return [(thread, id, number) for id, number, _ in _numbered(form.turns)]


def _numbered(turns: tuple[Turn, ...]) -> Iterator[tuple[str, int, Result]]:
    """Results with the number that each has among those of its id: some hosts give every call the same."""
    seen: dict[str, int] = {}
    for turn in turns:
        for part in turn.parts:
            if isinstance(part, Result):
                id = tool_id(part.id)
                seen[id] = seen.get(id, 0) + 1
                yield id, seen[id] - 1, part


def _size(result: Result) -> int:
    return sum(map(_bytes, result.parts))


def _bytes(part: Text | Image | Document | Audio) -> int:
    text = part.text if isinstance(part, Text | Document) else None
    data = None if isinstance(part, Text) else part.data
    return sum(len(said.encode("utf-8", "surrogatepass")) for said in (text, data) if said)
