"""Dialects that are passed through and translated to no other: legacy completions, and reranking.

Completions are metered as chat is: their chunks, their usage and their tail have the same shapes.
"""

import re

import msgspec

from tokenweir.core.usage import Usage
from tokenweir.protocol.answers import ChatAnswer
from tokenweir.protocol.chat import MOST_CHOICES, BadRequest, ChatRequest, decode, rewrite_chat
from tokenweir.protocol.envelope import UNREADABLE, Envelope
from tokenweir.protocol.usage import count, member, read_usage

_NULL = msgspec.Raw(b"null")
_MEDIA = re.compile(rb'"(?:image|image_url|url)"')


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Completion(msgspec.Struct):
    model: str
    prompt: msgspec.Raw = _NULL
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    n: int | None = None
    best_of: int | None = None


class _Rerank(msgspec.Struct):
    model: str
    query: msgspec.Raw
    documents: msgspec.Raw


_COMPLETION = msgspec.json.Decoder(_Completion)
_RERANK = msgspec.json.Decoder(_Rerank)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])


def parse_completions(body: bytes) -> ChatRequest:
    """Raises BadRequest. Each of several prompts has its own choices, and what `best_of` throws away costs as well."""
    found = decode(body, _COMPLETION)
    if not found.model:
        raise BadRequest("`model` is empty.", "model")
    if found.max_tokens is not None and not 0 <= found.max_tokens <= 2**31:
        raise BadRequest("`max_tokens` must be a number of tokens.", "max_tokens", 422)
    for name in ("n", "best_of"):
        value = getattr(found, name)
        if value is not None and not 1 <= value <= MOST_CHOICES:
            raise BadRequest(f"`{name}` must be between 1 and {MOST_CHOICES}.", name, 422)
    return ChatRequest(
        model=found.model,
        stream=bool(found.stream),
        include_usage=bool(found.stream_options and found.stream_options.include_usage),
        max_output=found.max_tokens,
        n=max(found.n or 1, found.best_of or 1) * _prompts(found.prompt),
    )


def _prompts(raw: msgspec.Raw) -> int:
    """How many prompts there are: a list of numbers is one, in tokens."""
    try:
        listed = _LIST.decode(raw)
    except UNREADABLE:
        return 1
    return len(listed) if listed and bytes(listed[0])[:1] in (b'"', b"[") else 1


#: Completions are rewritten as chat is: by the names of the same members.
rewrite_completions = rewrite_chat


def parse_rerank(body: bytes) -> ChatRequest:
    """Raises BadRequest. A ranking has no output, so nothing is reserved for one."""
    found = decode(body, _RERANK)
    if not found.model:
        raise BadRequest("`model` is empty.", "model")
    if not bytes(found.documents).startswith(b"["):
        raise BadRequest("`documents` must be a list.", "documents", 422)
    return ChatRequest(model=found.model, max_output=0, has_media=_MEDIA.search(body) is not None)


def rewrite_rerank(
    body: bytes, request: ChatRequest, *, model: str, ask_usage: bool, max_output: int | None
) -> bytes:
    """`body` with the upstream's name of the model."""
    return rewrite_chat(body, request, model=model, ask_usage=False, max_output=None)


class _Ranking(Envelope):
    results: msgspec.Raw = _NULL
    meta: object = None


_RANKING = msgspec.json.Decoder(_Ranking)


def read_rerank_answer(body: bytes) -> ChatAnswer:
    """Never raises. A bare list is a ranking too (Text Embeddings Inference), which says nothing of its usage."""
    try:
        if body.lstrip().startswith(b"["):
            _LIST.decode(body)
            return ChatAnswer(None, "", 0, failed=False)
        found = _RANKING.decode(body)
    except UNREADABLE:
        return ChatAnswer(None, "", 0, failed=True)
    empty = bytes(found.results) == b"null" and found.meta is None
    return ChatAnswer(
        read_rerank_usage(found.usage, found.meta), found.served_model(), 0, failed=found.failed(empty=empty)
    )


def read_rerank_usage(usage: msgspec.Raw, meta: object) -> Usage | None:
    """Tokens of a ranking, or None where nobody says them: Cohere itself bills by the search, not by the token.

    `usage` with the names of chat (vLLM, llama.cpp) or `total_tokens` alone (Jina, Voyage, DashScope); or Cohere's
    `meta` with `tokens` or `billed_units` (SiliconFlow, Xinference).
    """
    reported = read_usage(usage)
    if reported is not None:
        return reported
    told = _decoded(usage)
    for counts in (told, member(meta, "tokens"), member(meta, "billed_units")):
        into = count(member(counts, "input_tokens"))
        if into is None:
            into = count(member(counts, "total_tokens"))
        if into is not None:
            return Usage(input=into, output=count(member(counts, "output_tokens")) or 0)
    return None


def _decoded(raw: msgspec.Raw) -> object:
    try:
        return msgspec.json.decode(raw)
    except UNREADABLE:
        return None
