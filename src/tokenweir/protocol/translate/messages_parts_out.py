"""Parts of the middle form, written as content blocks of Anthropic Messages."""

import base64
import binascii
import re
from collections.abc import Callable, Iterable

from tokenweir.protocol.translate.form import (
    AnyPart,
    Audio,
    Document,
    Image,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from tokenweir.protocol.translate.host import Host
from tokenweir.protocol.translate.messages_reasoning import is_redacted, visible_text
from tokenweir.protocol.translate.reading import is_null
from tokenweir.protocol.translate.tool_arguments import as_object

Block = dict[str, object]

_PLAIN_ID = re.compile(r"[a-zA-Z0-9_-]+")


class PartsWriter:
    """Writes parts for one host, and keeps the names of what could not be said."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._dropped: dict[str, None] = {}
        self._marks = "cache_control" not in host.rejects
        self._write: dict[type[AnyPart], Callable[..., Block | None]] = {
            Text: self._text,
            Refusal: self._text,
            Image: self._image,
            Document: self._document,
            Audio: self._audio,
            Reasoning: self._reasoning,
            ToolCall: self._tool_call,
            ToolResult: self._tool_result,
        }

    @property
    def dropped(self) -> tuple[str, ...]:
        """Each name once, in the order in which it was met."""
        return tuple(self._dropped)

    def drop(self, name: str) -> None:
        """This host, or this dialect, cannot say `name`."""
        self._dropped[name] = None

    def content(self, parts: Iterable[AnyPart]) -> str | list[Block]:
        """One plain text as it is, anything else as a list of blocks."""
        blocks = [block for part in parts if (block := self._write[type(part)](part)) is not None]
        if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
            return str(blocks[0]["text"])
        return blocks

    def marked(self, block: Block, cache: str | None) -> Block:
        """The block with the client's mark for the cache."""
        if cache is None:
            return block
        if not self._marks:
            self.drop("cache_control")
            return block
        mark = {"type": "ephemeral"} if cache == "5m" else {"type": "ephemeral", "ttl": cache}
        return block | {"cache_control": mark}

    def _text(self, part: Text | Refusal) -> Block | None:
        if not part.text:  # Anthropic refuses an empty one
            return None
        block: Block = {"type": "text", "text": part.text}
        if isinstance(part, Text) and not is_null(part.citations):
            block["citations"] = part.citations
        return self.marked(block, part.cache)

    def _image(self, part: Image) -> Block | None:
        if part.detail not in (None, "auto"):
            self.drop("detail")
        source = _source(part.data, part.media_type or "image/png", part.url, part.file_id)
        if source is None or "image" in self._host.rejects:
            self.drop("image")
            return None
        return self.marked({"type": "image", "source": source}, part.cache)

    def _document(self, part: Document) -> Block | None:
        text = part.text if part.text is not None else _plain_text(part)
        if text is not None:
            source: Block | None = {"type": "text", "media_type": "text/plain", "data": text}
        else:
            source = _source(part.data, part.media_type or "application/pdf", part.url, part.file_id)
        if source is None or "document" in self._host.rejects:
            self.drop("document")
            return None
        block: Block = {"type": "document", "source": source}
        if part.title is not None:
            block["title"] = part.title
        if part.context is not None:
            block["context"] = part.context
        if part.citations:
            block["citations"] = {"enabled": True}
        return self.marked(block, part.cache)

    def _audio(self, part: Audio) -> None:
        self.drop("audio")

    def _reasoning(self, part: Reasoning) -> Block | None:
        if is_redacted(part) and not part.text:
            return {"type": "redacted_thinking", "data": part.encrypted}
        text = visible_text(part)
        if part.encrypted is not None:  # another host's, which this one cannot read
            self.drop("reasoning.encrypted")
        if self._host.signed_thinking and not part.signature:
            self.drop("reasoning")
            return None
        if not text and not part.signature:
            return None
        return {"type": "thinking", "thinking": text, "signature": part.signature or ""}

    def _tool_call(self, part: ToolCall) -> Block:
        arguments, changed = as_object(part)
        if changed:
            self.drop("arguments")
        block: Block = {
            "type": "tool_use",
            "id": self._tool_id(part.id),
            "name": part.name,
            "input": arguments,
        }
        return self.marked(block, part.cache)

    def _tool_result(self, part: ToolResult) -> Block:
        block: Block = {"type": "tool_result", "tool_use_id": self._tool_id(part.id)}
        if content := self.content(part.parts):
            block["content"] = content
        if part.failed:
            block["is_error"] = True
        return self.marked(block, part.cache)

    def _tool_id(self, call: str) -> str:
        """The id of a call, untouched wherever the host takes it; else the same other one each time it is written."""
        if not self._host.plain_tool_ids or _PLAIN_ID.fullmatch(call):
            return call
        return "id_" + base64.urlsafe_b64encode(call.encode()).decode().rstrip("=")


def _source(data: str | None, media_type: str, url: str | None, file_id: str | None) -> Block | None:
    if data is not None:
        return {"type": "base64", "media_type": media_type, "data": data}
    if url is not None:
        return {"type": "url", "url": url}
    return None if file_id is None else {"type": "file", "file_id": file_id}


def _plain_text(document: Document) -> str | None:
    """The text of a file of plain text: its base64 is admitted for PDF alone."""
    if document.data is None or not (document.media_type or "").startswith("text/"):
        return None
    try:
        return base64.b64decode(document.data, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
