"""Messages of Chat Completions, read into instructions and turns."""

import re
from collections.abc import Callable

import msgspec

from tokenweir.protocol.chat import BadRequest
from tokenweir.protocol.translate.chat_reasoning import ReasoningDetail, read_reasoning
from tokenweir.protocol.translate.form import (
    NULL,
    AnyPart,
    Audio,
    Document,
    Image,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from tokenweir.protocol.translate.reading import Reading, is_null, is_text, peek
from tokenweir.protocol.translate.tool_arguments import arguments_text

#: A data URL: its type without parameters, and its base64.
_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^;,]*)*;base64,(.*)", re.DOTALL)


class _Kind(msgspec.Struct):
    type: str


class _Part(msgspec.Struct):
    type: str
    cache_control: msgspec.Raw = NULL  # OpenRouter, DashScope


class _Mark(msgspec.Struct):
    type: str
    ttl: str | None = None


class _Text(_Part, kw_only=True):
    text: str


class _Refusal(_Part, kw_only=True):
    refusal: str


class _Image(_Part, kw_only=True):
    image_url: msgspec.Raw


class _ImageUrl(msgspec.Struct):
    url: str
    detail: str | None = None


class _Audio(_Part, kw_only=True):
    input_audio: msgspec.Raw


class _AudioData(msgspec.Struct):
    data: str
    format: str


class _File(_Part, kw_only=True):
    file: msgspec.Raw


class _FileData(msgspec.Struct):
    filename: str | None = None
    file_data: str | None = None
    file_id: str | None = None


class _Role(msgspec.Struct):
    role: str


class _Message(msgspec.Struct):
    role: str
    content: msgspec.Raw = NULL
    name: str | None = None


class _Assistant(_Message, kw_only=True):
    refusal: str | None = None
    tool_calls: msgspec.Raw = NULL
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: msgspec.Raw = NULL


class _Tool(_Message, kw_only=True):
    tool_call_id: str


class _Call(msgspec.Struct):
    id: str
    type: str = "function"
    index: int | None = None  # clients that keep what they got from a stream
    function: msgspec.Raw = NULL
    custom: msgspec.Raw = NULL


class _Function(msgspec.Struct):
    name: str
    arguments: msgspec.Raw = NULL


class _Custom(msgspec.Struct):
    name: str
    input: str


def read_messages(reading: Reading, raw: msgspec.Raw) -> tuple[tuple[Text, ...], tuple[Turn, ...]]:
    """The instructions that lead the messages, and the turns after them. Raises BadRequest.

    Results of tools that follow one another are one turn of the user.
    """
    if not bytes(raw).startswith(b"["):
        raise BadRequest("`messages` must be a list.", "messages", 422)
    instructions: tuple[Text, ...] = ()
    turns: list[Turn] = []
    custom: set[str] = set()  # ids of calls of tools that take free text
    results: list[ToolResult] = []
    for item, path in reading.items(raw, "messages"):
        role = peek(item, _Role, path).role
        if role == "tool":
            results.append(_tool_result(reading, item, path, custom))
            continue
        if results:
            turns.append(Turn(Role.USER, tuple(results)))
            results = []
        read = _TURNS.get(role)
        if read is None:
            raise BadRequest(f"`{path}.role` is one of {', '.join(_TURNS)}, tool.", f"{path}.role", 422)
        turn = read(reading, item, path)
        custom |= {part.id for part in turn.parts if isinstance(part, ToolCall) and part.custom}
        texts = tuple(part for part in turn.parts if isinstance(part, Text))
        if turn.role is Role.SYSTEM and not turns and len(texts) == len(turn.parts):
            instructions += texts
        else:
            turns.append(turn)
    if results:
        turns.append(Turn(Role.USER, tuple(results)))
    return instructions, tuple(turns)


def _system(reading: Reading, raw: msgspec.Raw, path: str) -> Turn:
    found = reading.struct(raw, _Message, path)
    if found.name is not None:
        reading.note(f"{path}.name")
    return Turn(Role.SYSTEM, _content(reading, found.content, f"{path}.content"))


def _user(reading: Reading, raw: msgspec.Raw, path: str) -> Turn:
    found = reading.struct(raw, _Message, path)
    return Turn(Role.USER, _content(reading, found.content, f"{path}.content"), found.name)


def _assistant(reading: Reading, raw: msgspec.Raw, path: str) -> Turn:
    """Reasoning stands first, then what was said, then calls: the order in which models tell them."""
    found = reading.struct(raw, _Assistant, path, prefix=b"false", partial=b"false")
    where = f"{path}.reasoning_details"
    details = [
        reading.struct(item, ReasoningDetail, place, format=b"null")
        for item, place in Reading().items(found.reasoning_details, where)
    ]
    parts: list[AnyPart] = list(read_reasoning(found.reasoning_content or found.reasoning, details))
    parts += [part for part in _content(reading, found.content, f"{path}.content") if part != Text(text="")]
    if found.refusal:
        parts.append(Refusal(text=found.refusal))
    for item, place in reading.items(found.tool_calls, f"{path}.tool_calls"):
        call = _call(reading, item, place)
        if call is not None:
            parts.append(call)
    return Turn(Role.ASSISTANT, tuple(parts), found.name)


_TURNS: dict[str, Callable[[Reading, msgspec.Raw, str], Turn]] = {
    "system": _system,
    "developer": _system,
    "user": _user,
    "assistant": _assistant,
}


def _call(reading: Reading, raw: msgspec.Raw, path: str) -> ToolCall | None:
    found = reading.struct(raw, _Call, path)
    if found.type == "custom":
        custom = reading.struct(found.custom, _Custom, f"{path}.custom")
        return ToolCall(id=found.id, name=custom.name, arguments=custom.input, custom=True)
    if is_null(found.function):  # of a tool that the host ran itself
        reading.note(path)
        return None
    function = reading.struct(found.function, _Function, f"{path}.function")
    return ToolCall(id=found.id, name=function.name, arguments=arguments_text(function.arguments))


def _tool_result(reading: Reading, raw: msgspec.Raw, path: str, custom: set[str]) -> ToolResult:
    found = reading.struct(raw, _Tool, path)  # `name` repeats that of the call
    parts: list[Text | Image | Document | Audio] = []
    for number, part in enumerate(_content(reading, found.content, f"{path}.content")):
        if isinstance(part, Text | Image | Document | Audio):
            parts.append(part)
        else:
            reading.note(f"{path}.content[{number}]")
    return ToolResult(id=found.tool_call_id, parts=tuple(parts), custom=found.tool_call_id in custom)


# --- content


def _content(reading: Reading, raw: msgspec.Raw, path: str) -> tuple[AnyPart, ...]:
    if is_text(raw):
        return (Text(text=reading.text(raw, path)),)
    return tuple(part for item in reading.items(raw, path) if (part := _part(reading, *item)) is not None)


def read_mark(reading: Reading, raw: msgspec.Raw, path: str) -> str | None:
    """The `cache_control` of what stands at `path`: for how long it marks it, or None."""
    if is_null(raw):
        return None
    path = f"{path}.cache_control"
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
    return Text(text=found.text, cache=read_mark(reading, found.cache_control, path))


def _refusal(reading: Reading, raw: msgspec.Raw, path: str) -> Refusal:
    return Refusal(text=reading.struct(raw, _Refusal, path).refusal)


def _image(reading: Reading, raw: msgspec.Raw, path: str) -> Image:
    found = reading.struct(raw, _Image, path)
    place = f"{path}.image_url"
    if is_text(found.image_url):  # as some hosts take it
        said = _ImageUrl(reading.text(found.image_url, place))
    else:
        said = reading.struct(found.image_url, _ImageUrl, place)
    detail = None if said.detail == "auto" else said.detail
    cache = read_mark(reading, found.cache_control, path)
    data = _DATA_URL.fullmatch(said.url)
    if data is None:
        return Image(url=said.url, detail=detail, cache=cache)
    return Image(media_type=data[1], data=data[2], detail=detail, cache=cache)


def _audio(reading: Reading, raw: msgspec.Raw, path: str) -> Audio:
    found = reading.struct(raw, _Audio, path)
    said = reading.struct(found.input_audio, _AudioData, f"{path}.input_audio")
    return Audio(data=said.data, format=said.format, cache=read_mark(reading, found.cache_control, path))


def _file(reading: Reading, raw: msgspec.Raw, path: str) -> Document:
    found = reading.struct(raw, _File, path)
    said = reading.struct(found.file, _FileData, f"{path}.file")
    document = Document(
        title=said.filename, file_id=said.file_id, cache=read_mark(reading, found.cache_control, path)
    )
    if said.file_data is None:
        return document
    data = _DATA_URL.fullmatch(said.file_data)
    if data is not None:
        return msgspec.structs.replace(document, media_type=data[1], data=data[2])
    if said.file_data.startswith(("https://", "http://")):  # OpenRouter
        return msgspec.structs.replace(document, url=said.file_data)
    return msgspec.structs.replace(document, media_type="application/pdf", data=said.file_data)


#: What a type of part is read by; other types are noted.
_PARTS: dict[str, Callable[[Reading, msgspec.Raw, str], AnyPart | None]] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
}
