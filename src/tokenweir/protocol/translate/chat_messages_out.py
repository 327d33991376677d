"""Turns of the middle form, written as messages of Chat Completions.

Text alone is one string, which every host takes; a list of parts is written only where something else stands in it.
"""

from collections.abc import Callable, Iterable

import msgspec

from tokenweir.protocol.translate.chat_reasoning import visible_text, write_details
from tokenweir.protocol.translate.form import (
    AnyPart,
    Audio,
    Document,
    Image,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from tokenweir.protocol.translate.host import Host
from tokenweir.protocol.translate.reading import is_null
from tokenweir.protocol.translate.tool_arguments import as_object

Object = dict[str, object]
#: Between texts that were parts of their own.
APART = "\n\n"


class MessagesWriter:
    """Writes turns for one host, and keeps the names of what could not be said."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._dropped: dict[str, None] = {}
        self._write: dict[type[AnyPart], Callable[..., Object | None]] = {
            Text: self._text,
            Image: self._image,
            Document: self._document,
            Audio: self._audio,
            Refusal: self._refusal,
        }

    @property
    def dropped(self) -> tuple[str, ...]:
        """Each name once, in the order in which it was met."""
        return tuple(self._dropped)

    def drop(self, name: str) -> None:
        """This host, or this dialect, cannot say `name`."""
        self._dropped[name] = None

    def messages(self, instructions: tuple[Text, ...], turns: Iterable[Turn]) -> list[Object]:
        """All messages. The instructions are one, since many chat templates take no second one."""
        messages: list[Object] = []
        if instructions:
            messages.append({"role": "system", "content": self._content(instructions)})
        for turn in turns:
            messages += _WRITERS[turn.role](self, turn)
        return messages

    def marked(self, member: Object, cache: str | None) -> Object:
        """The part or tool with the client's mark for the cache."""
        if cache is None:
            return member
        if "cache_control" not in self._host.takes:
            self.drop("cache_control")
            return member
        mark = {"type": "ephemeral"} if cache == "5m" else {"type": "ephemeral", "ttl": cache}
        return member | {"cache_control": mark}

    # --- turns

    def _system(self, turn: Turn) -> list[Object]:
        role = "user" if "system_turns" in self._host.rejects else "system"
        return [{"role": role, "content": self._content(turn.parts)}] if turn.parts else []

    def _user(self, turn: Turn) -> list[Object]:
        """Results of tools first, each a message: they must follow their calls. Their pictures come after them all."""
        messages: list[Object] = []
        shown: list[AnyPart] = []
        rest = [part for part in turn.parts if not isinstance(part, ToolResult)]
        for part in turn.parts:
            if isinstance(part, ToolResult):
                message, media = self._tool_result(part)
                messages.append(message)
                if media:
                    shown += [Text(text=f"The result of tool call {part.id}:"), *media]
        content = self._content([*shown, *rest])
        if content or (not messages and turn.parts):
            messages.append(self._named({"role": "user", "content": content}, turn.name))
        return messages

    def _tool_result(self, part: ToolResult) -> tuple[Object, list[AnyPart]]:
        """The message of a result, and what only a message of the user can show."""
        if part.failed:
            self.drop("is_error")
        media: list[AnyPart] = [p for p in part.parts if not isinstance(p, Text) and not _is_text(p)]
        texts = [p for p in part.parts if isinstance(p, Text) or _is_text(p)]
        if texts and part.cache is not None:
            texts[-1] = msgspec.structs.replace(texts[-1], cache=part.cache)
        content = self._content(texts)
        if media and not content:
            content = "See the next message of the user."
        return {"role": "tool", "tool_call_id": part.id, "content": content}, media

    def _assistant(self, turn: Turn) -> list[Object]:
        said = [part for part in turn.parts if not isinstance(part, ToolCall | Reasoning | Refusal)]
        calls = [part for part in turn.parts if isinstance(part, ToolCall)]
        reasonings = [part for part in turn.parts if isinstance(part, Reasoning)]
        refusals = [part.text for part in turn.parts if isinstance(part, Refusal)]
        content = self._content(said, apart="")
        message: Object = {
            "role": "assistant",
            "content": content if content or not (calls or refusals) else None,
        }
        message |= self._reasoning(reasonings)
        if refusals:
            message["refusal"] = "".join(refusals)
        if calls:
            message["tool_calls"] = [self._call(call) for call in calls]
        if not said and not calls and not refusals and len(message) == 2:
            return []  # all that it was could not be said
        return [self._named(message, turn.name)]

    def _named(self, message: Object, name: str | None) -> Object:
        if name is None:
            return message
        if "messages.name" in self._host.rejects:
            self.drop("name")
            return message
        return message | {"name": name}

    def _reasoning(self, parts: list[Reasoning]) -> Object:
        """The member in which this host takes back what its model thought."""
        name = self._host.reasoning_name
        for part in parts:
            if part.encrypted is not None and name != "reasoning_details":
                self.drop("reasoning.encrypted")
            if part.signature is not None and name != "reasoning_details":
                self.drop("thinking.signature")
        text = "".join(visible_text(part) for part in parts)
        if name == "reasoning_details" and (details := [d for part in parts for d in write_details(part)]):
            return {name: details}
        if name and text:
            return {name: text}
        if text:
            self.drop("reasoning")
        return {name: self._host.reasoning_filler} if name and self._host.reasoning_filler else {}

    def _call(self, call: ToolCall) -> Object:
        if call.cache is not None:
            self.drop("cache_control")
        if call.custom and "custom_tools" in self._host.takes:
            return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
        arguments = bytes(as_object(call)[0]).decode() if call.custom else call.arguments or "{}"
        function = {"name": call.name, "arguments": arguments}
        return {"id": call.id, "type": "function", "function": function}

    # --- content

    def _content(self, parts: Iterable[AnyPart], apart: str = APART) -> str | list[Object]:
        """Texts as one string; a list where a part is no text, or is marked for the cache."""
        written = [part for one in parts if (part := self._part(one)) is not None]
        if all(part.keys() == {"type", "text"} for part in written):
            return apart.join(str(part["text"]) for part in written)
        return written

    def _part(self, part: AnyPart) -> Object | None:
        write = self._write.get(type(part))
        if write is None:  # one that its speaker cannot say in this dialect
            self.drop(str(part.__struct_config__.tag))
            return None
        return write(part)

    def _text(self, part: Text) -> Object | None:
        if not is_null(part.citations):
            self.drop("citations")
        return self.marked({"type": "text", "text": part.text}, part.cache) if part.text else None

    def _refusal(self, part: Refusal) -> Object:
        return {"type": "text", "text": part.text}

    def _image(self, part: Image) -> Object | None:
        url = part.url
        if part.data is not None:
            url = f"data:{part.media_type or 'image/png'};base64,{part.data}"
        if url is None or "image_url" in self._host.rejects:
            self.drop("image")
            return None
        image = {"url": url}
        if part.detail is not None:
            image["detail"] = part.detail
        return self.marked({"type": "image_url", "image_url": image}, part.cache)

    def _document(self, part: Document) -> Object | None:
        if part.citations:
            self.drop("citations")
        if part.text is not None:
            lines = [line for line in (part.title, part.context, part.text) if line]
            return self.marked({"type": "text", "text": "\n".join(lines)}, part.cache)
        file: Object = {}
        if part.data is not None:
            file["file_data"] = f"data:{part.media_type or 'application/pdf'};base64,{part.data}"
        elif part.file_id is not None:
            file["file_id"] = part.file_id
        elif part.url is not None and "file_url" in self._host.takes:
            file["file_data"] = part.url
        if not file or "file" in self._host.rejects:
            self.drop("document")
            return None
        if part.context is not None:
            self.drop("document.context")
        if part.title is not None:
            file["filename"] = part.title
        return self.marked({"type": "file", "file": file}, part.cache)

    def _audio(self, part: Audio) -> Object | None:
        if "input_audio" in self._host.rejects:
            self.drop("audio")
            return None
        sound = {"data": part.data, "format": part.format}
        return self.marked({"type": "input_audio", "input_audio": sound}, part.cache)


_WRITERS: dict[Role, Callable[[MessagesWriter, Turn], list[Object]]] = {
    Role.SYSTEM: MessagesWriter._system,
    Role.USER: MessagesWriter._user,
    Role.ASSISTANT: MessagesWriter._assistant,
}


def _is_text(part: AnyPart) -> bool:
    """Whether it is written as text, though it is none."""
    return isinstance(part, Document) and part.text is not None
