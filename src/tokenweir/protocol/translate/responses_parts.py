"""Content parts of OpenAI Responses: text, pictures, files, and the citations and log probabilities beside a text."""

import base64
from collections.abc import Callable

import msgspec

from tokenweir.protocol.envelope import UNREADABLE
from tokenweir.protocol.translate.citations import UrlCitation, citation_of, url_citation
from tokenweir.protocol.translate.form import NULL, Audio, Document, Image, Refusal, Text
from tokenweir.protocol.translate.reading import Reading, is_null, is_text, peek

ContentPart = Text | Image | Document | Audio | Refusal

#: Stands in the ids of items that were made up here; no host knows them.
_MADE_UP = "_weir_"
_DATA = "data:"
_BASE64 = ";base64,"


class _Kind(msgspec.Struct):
    type: str


class _Breakpoint(msgspec.Struct):
    mode: str | None = None
    ttl: str | None = None


class _Part(msgspec.Struct):
    type: str
    prompt_cache_breakpoint: msgspec.Raw = NULL


class _Text(_Part, kw_only=True):
    text: str
    annotations: msgspec.Raw = NULL
    logprobs: msgspec.Raw = NULL  # of an earlier answer: nothing that a model reads


class _Refusal(_Part, kw_only=True):
    refusal: str


class _Image(_Part, kw_only=True):
    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None


class _File(_Part, kw_only=True):
    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    filename: str | None = None


class _Sound(msgspec.Struct):
    data: str
    format: str


class _Audio(_Part, kw_only=True):
    input_audio: _Sound


class _Passage(msgspec.Struct):
    document_title: str | None = None
    document_index: int = 0


_PASSAGE = msgspec.json.Decoder(_Passage)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_URL_CITATION = msgspec.json.Decoder(UrlCitation)


def read_content(reading: Reading, raw: msgspec.Raw, path: str) -> tuple[ContentPart, ...]:
    """A text, or a list of parts; what has no place is noted. Raises BadRequest."""
    if is_text(raw):
        text = reading.text(raw, path)
        return (Text(text=text),) if text else ()
    return tuple(part for item in reading.items(raw, path) if (part := _read_part(reading, *item)))


def _read_part(reading: Reading, raw: msgspec.Raw, path: str) -> ContentPart | None:
    read = _PARTS.get(peek(raw, _Kind, path).type)
    if read is None:
        reading.note(path)
        return None
    return read(reading, raw, path)


def _read_text(reading: Reading, raw: msgspec.Raw, path: str) -> Text:
    found = reading.struct(raw, _Text, path)
    cited = read_annotations(found.annotations)
    if is_null(cited) and bytes(found.annotations) not in (b"null", b"[]"):
        reading.note(f"{path}.annotations")
    return Text(text=found.text, citations=cited, cache=_mark(reading, found, path))


def _read_refusal(reading: Reading, raw: msgspec.Raw, path: str) -> Refusal:
    found = reading.struct(raw, _Refusal, path)
    return Refusal(text=found.refusal, cache=_mark(reading, found, path))


def _read_image(reading: Reading, raw: msgspec.Raw, path: str) -> Image:
    found = reading.struct(raw, _Image, path)
    media_type, data = split_data(found.image_url or "")
    return Image(
        url=found.image_url if data is None else None,
        media_type=media_type,
        data=data,
        file_id=found.file_id,
        detail=None if found.detail == "auto" else found.detail,
        cache=_mark(reading, found, path),
    )


def _read_file(reading: Reading, raw: msgspec.Raw, path: str) -> Document:
    found = reading.struct(raw, _File, path, detail=b'"auto"')
    media_type, data = split_data(found.file_data or "")
    return Document(
        url=found.file_url,
        media_type=media_type,
        data=found.file_data if data is None else data,
        file_id=found.file_id,
        title=found.filename,
        cache=_mark(reading, found, path),
    )


def _read_audio(reading: Reading, raw: msgspec.Raw, path: str) -> Audio:
    found = reading.struct(raw, _Audio, path)
    sound = found.input_audio
    return Audio(data=sound.data, format=sound.format, cache=_mark(reading, found, path))


def _mark(reading: Reading, part: _Part, path: str) -> str | None:
    """OpenAI's marks live for 30 minutes or 12 hours: the nearest of those that the form knows."""
    if is_null(part.prompt_cache_breakpoint):
        return None
    mark = reading.struct(part.prompt_cache_breakpoint, _Breakpoint, f"{path}.prompt_cache_breakpoint")
    return "1h" if mark.ttl == "12h" else "5m"


#: What a type of part is read by; other types are noted.
_PARTS: dict[str, Callable[[Reading, msgspec.Raw, str], ContentPart]] = {
    "input_text": _read_text,
    "output_text": _read_text,
    "text": _read_text,
    "refusal": _read_refusal,
    "input_image": _read_image,
    "input_file": _read_file,
    "input_audio": _read_audio,
}


def made_up_id(prefix: str, answer_id: str, index: int) -> str:
    """An id for item `index` of an answer whose host gives its items none."""
    return f"{prefix}{_MADE_UP}{answer_id}_{index}"


def own_id(item_id: str | None) -> str | None:
    """An item's id where its host gave it."""
    return None if item_id is None or _MADE_UP in item_id else item_id


def split_data(url: str) -> tuple[str | None, str | None]:
    """Media type and base64 of a `data:` address; (None, None) for any other."""
    head, mark, data = url.partition(_BASE64)
    if not mark or not head.startswith(_DATA):
        return None, None
    return head.removeprefix(_DATA).partition(";")[0] or None, data


def read_annotations(raw: msgspec.Raw) -> msgspec.Raw:
    """Citations of addresses, as the form holds them, of a text's annotations; null where there are none."""
    cited = [citation for item in _listed(raw) if (citation := _read_annotation(item)) is not None]
    return msgspec.Raw(msgspec.json.encode(cited)) if cited else NULL


def _read_annotation(raw: msgspec.Raw) -> msgspec.Raw | None:
    try:
        if msgspec.json.decode(raw, type=_Kind).type != "url_citation":
            return None
        return citation_of(_URL_CITATION.decode(raw))
    except UNREADABLE:
        return None


def _listed(raw: msgspec.Raw) -> list[msgspec.Raw]:
    try:
        return _LIST.decode(raw)
    except UNREADABLE:
        return []


# --- the other way


def annotations_json(citations: msgspec.Raw, text: str) -> list[dict[str, object]]:
    """Citations as annotations, of the whole text where it is not said of what part."""
    return [_annotation(citation, text) for citation in _listed(citations)]


def _annotation(raw: msgspec.Raw, text: str) -> dict[str, object]:
    cited = url_citation(raw)
    if cited is not None:
        start, end = cited.start_index or 0, len(text) if cited.end_index is None else cited.end_index
        span = {"start_index": start, "end_index": end}
        return {"type": "url_citation", "url": cited.url, "title": cited.title, **span}
    try:
        passage = _PASSAGE.decode(raw)
    except UNREADABLE:
        passage = _Passage()
    title, index = passage.document_title or "", passage.document_index
    return {"type": "file_citation", "file_id": "", "filename": title, "index": index}


def image_json(image: Image) -> dict[str, object]:
    """A picture. `detail` is said, since some hosts demand it."""
    written: dict[str, object] = {"type": "input_image", "detail": image.detail or "auto"}
    if image.file_id is not None:
        return written | {"file_id": image.file_id}
    if image.data is not None:
        url: str | None = f"{_DATA}{image.media_type or 'image/png'}{_BASE64}{image.data}"
    else:
        url = image.url
    return written | {"image_url": url}


def document_json(document: Document) -> dict[str, object]:
    """A file; a text goes as a file of text."""
    written: dict[str, object] = {"type": "input_file"}
    if document.file_id is not None:
        return written | {"file_id": document.file_id}
    if document.url is not None:
        return written | {"file_url": document.url}
    media_type, data = document.media_type or "application/pdf", document.data or ""
    if document.text is not None:
        media_type, data = "text/plain", base64.b64encode(document.text.encode()).decode("ascii")
    name = document.title or ("document.txt" if media_type == "text/plain" else "document.pdf")
    return written | {"filename": name, "file_data": f"{_DATA}{media_type}{_BASE64}{data}"}


def audio_json(audio: Audio) -> dict[str, object]:
    """Sound."""
    return {"type": "input_audio", "input_audio": {"data": audio.data, "format": audio.format}}
