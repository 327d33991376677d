"""Content blocks of Anthropic Messages, read into parts of the middle form."""

from collections.abc import Callable

import msgspec

from tokenweir.protocol.translate.form import (
    NULL,
    AnyPart,
    Document,
    Image,
    Text,
    ToolCall,
    ToolResult,
)
from tokenweir.protocol.translate.messages_reasoning import read_redacted, read_thinking
from tokenweir.protocol.translate.reading import Reading, is_null, is_text, peek

_EMPTY = (b"null", b"[]")


class _Kind(msgspec.Struct):
    type: str


class _Block(msgspec.Struct):
    type: str
    cache_control: msgspec.Raw = NULL


class _Mark(msgspec.Struct):
    type: str
    ttl: str | None = None


class _Text(_Block, kw_only=True):
    text: str
    citations: msgspec.Raw = NULL


class _Media(_Block, kw_only=True):
    source: msgspec.Raw


class _Document(_Media, kw_only=True):
    title: str | None = None
    context: str | None = None
    citations: msgspec.Raw = NULL


class _Source(msgspec.Struct):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: msgspec.Raw = NULL


class _Citations(msgspec.Struct):
    enabled: bool | None = None


class _SearchResult(_Block, kw_only=True):
    content: msgspec.Raw
    source: str
    title: str
    citations: msgspec.Raw = NULL


class _Thinking(_Block, kw_only=True):
    thinking: str
    signature: str | None = None


class _Redacted(_Block, kw_only=True):
    data: str


class _ToolUse(_Block, kw_only=True):
    id: str
    name: str
    input: dict[str, msgspec.Raw]


class _ToolUseInput(msgspec.Struct):
    input: msgspec.Raw


class _ToolResult(_Block, kw_only=True):
    tool_use_id: str
    content: msgspec.Raw = NULL
    is_error: bool | None = None


def read_parts(reading: Reading, raw: msgspec.Raw, path: str) -> tuple[AnyPart, ...]:
    """The content of a message: a text, or a list of blocks. Raises BadRequest."""
    if is_text(raw):
        return (Text(text=reading.text(raw, path)),)
    return tuple(part for item in reading.items(raw, path) if (part := _part(reading, *item)) is not None)


def read_texts(reading: Reading, raw: msgspec.Raw, path: str) -> tuple[Text, ...]:
    """Content of which only texts have a place: the rest is noted. Raises BadRequest."""
    if is_text(raw):
        return (Text(text=reading.text(raw, path)),)
    texts = []
    for item, where in reading.items(raw, path):
        part = _part(reading, item, where)
        if isinstance(part, Text):
            texts.append(part)
        elif part is not None:
            reading.note(where)
    return tuple(texts)


def read_mark(reading: Reading, raw: msgspec.Raw, path: str) -> str | None:
    """The `cache_control` of what stands at `path`: for how long it marks it, or None."""
    if is_null(raw):
        return None
    path = f"{path}.cache_control" if path else "cache_control"
    mark = reading.struct(raw, _Mark, path)
    if mark.type != "ephemeral":
        reading.note(path)
        return None
    return mark.ttl or "5m"


def _part(reading: Reading, raw: msgspec.Raw, path: str) -> AnyPart | None:
    read = _PARTS.get(peek(raw, _Kind, path).type)
    if read is None:
        reading.note(path)
        return None
    return read(reading, raw, path)


def _text(reading: Reading, raw: msgspec.Raw, path: str) -> Text:
    found = reading.struct(raw, _Text, path)
    citations = NULL if bytes(found.citations) in _EMPTY else found.citations
    return Text(text=found.text, citations=citations, cache=read_mark(reading, found.cache_control, path))


def _image(reading: Reading, raw: msgspec.Raw, path: str) -> Image | None:
    found = reading.struct(raw, _Media, path)
    source = reading.struct(found.source, _Source, f"{path}.source")
    if source.type not in ("base64", "url", "file"):
        reading.note(path)
        return None
    return Image(
        url=source.url,
        media_type=source.media_type,
        data=source.data,
        file_id=source.file_id,
        cache=read_mark(reading, found.cache_control, path),
    )


def _document(reading: Reading, raw: msgspec.Raw, path: str) -> Document | None:
    found = reading.struct(raw, _Document, path)
    source = reading.struct(found.source, _Source, f"{path}.source")
    document = Document(
        title=found.title,
        context=found.context,
        citations=_cites(reading, found.citations, path),
        cache=read_mark(reading, found.cache_control, path),
    )
    match source.type:
        case "base64":
            return msgspec.structs.replace(document, media_type=source.media_type, data=source.data)
        case "url":
            return msgspec.structs.replace(document, url=source.url)
        case "file":
            return msgspec.structs.replace(document, file_id=source.file_id)
        case "text":
            return msgspec.structs.replace(document, text=source.data or "")
        case "content":
            texts = read_texts(reading, source.content, f"{path}.source.content")
            return msgspec.structs.replace(document, text="\n\n".join(text.text for text in texts))
    reading.note(path)
    return None


def _cites(reading: Reading, raw: msgspec.Raw, path: str) -> bool:
    return not is_null(raw) and bool(reading.struct(raw, _Citations, f"{path}.citations").enabled)


def _search_result(reading: Reading, raw: msgspec.Raw, path: str) -> Document:
    """What a search found, as a document: the form says no more of either than its text, title and origin."""
    found = reading.struct(raw, _SearchResult, path)
    texts = read_texts(reading, found.content, f"{path}.content")
    return Document(
        text="\n\n".join(text.text for text in texts),
        title=found.title,
        context=found.source,
        citations=_cites(reading, found.citations, path),
        cache=read_mark(reading, found.cache_control, path),
    )


def _thinking(reading: Reading, raw: msgspec.Raw, path: str) -> AnyPart:
    found = reading.struct(raw, _Thinking, path)
    return read_thinking(found.thinking, found.signature)


def _redacted(reading: Reading, raw: msgspec.Raw, path: str) -> AnyPart:
    return read_redacted(reading.struct(raw, _Redacted, path).data)


def _tool_use(reading: Reading, raw: msgspec.Raw, path: str) -> ToolCall:
    found = reading.struct(raw, _ToolUse, path, caller=b'{"type":"direct"}')
    arguments = msgspec.json.decode(raw, type=_ToolUseInput).input
    return ToolCall(
        id=found.id,
        name=found.name,
        arguments=bytes(arguments).decode(),
        cache=read_mark(reading, found.cache_control, path),
    )


def _tool_result(reading: Reading, raw: msgspec.Raw, path: str) -> ToolResult:
    found = reading.struct(raw, _ToolResult, path)
    parts: list[Text | Image | Document] = []
    if is_text(found.content):
        parts.append(Text(text=reading.text(found.content, f"{path}.content")))
    else:
        for item, where in reading.items(found.content, f"{path}.content"):
            part = _part(reading, item, where)
            if isinstance(part, Text | Image | Document):
                parts.append(part)
            elif part is not None:
                reading.note(where)
    return ToolResult(
        id=found.tool_use_id,
        parts=tuple(parts),
        failed=bool(found.is_error),
        cache=read_mark(reading, found.cache_control, path),
    )


#: What a type of block is read by; other types are noted.
_PARTS: dict[str, Callable[[Reading, msgspec.Raw, str], AnyPart | None]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
}
