"""Input items of OpenAI Responses, read into turns of the middle form."""

from collections.abc import Callable

import msgspec

from tokenweir.protocol.chat import BadRequest
from tokenweir.protocol.translate.envelope import unseal
from tokenweir.protocol.translate.form import (
    NULL,
    AnyPart,
    Audio,
    Document,
    Image,
    Reasoning,
    Refusal,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from tokenweir.protocol.translate.reading import Reading, is_null, is_text, peek
from tokenweir.protocol.translate.responses_parts import own_id, read_content
from tokenweir.protocol.translate.responses_tools import LOCAL_SHELL, flat_name, read_tools


class _Kind(msgspec.Struct):
    type: str | None = None
    role: str | None = None


class _Item(msgspec.Struct):
    type: str | None = None
    id: str | None = None
    status: str | None = None


class _Message(_Item, kw_only=True):
    role: str
    content: msgspec.Raw


class _Reasoning(_Item, kw_only=True):
    summary: msgspec.Raw = NULL
    content: msgspec.Raw = NULL
    encrypted_content: str | None = None


class _Call(_Item, kw_only=True):
    call_id: str
    name: str
    arguments: str
    namespace: str | None = None


class _CustomCall(_Item, kw_only=True):
    call_id: str
    name: str
    input: str
    namespace: str | None = None


class _ShellCall(_Item, kw_only=True):
    call_id: str | None = None
    action: msgspec.Raw


class _Result(_Item, kw_only=True):
    call_id: str | None = None
    output: msgspec.Raw


class _Tools(_Item, kw_only=True):
    role: str | None = None
    tools: msgspec.Raw


class _PieceOfText(msgspec.Struct):
    type: str
    text: str


_ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM, "developer": Role.SYSTEM}
#: Parts that a message of a role can have.
_SAYS = {
    Role.USER: (Text, Image, Document, Audio),
    Role.ASSISTANT: (Text, Refusal),
    Role.SYSTEM: (Text,),
}
#: Members of calls that say what leaving them out says.
_DIRECT = {"caller": b'{"type":"direct"}', "async": b"false"}


class Conversation:
    """The turns while items come, one after the other."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._turns: list[tuple[Role, list[AnyPart]]] = []
        self.instructions: list[Text] = []  # of messages that lead the others
        self.tools: list[Tool] = []  # that an item brought

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What was said until now."""
        return tuple(Turn(role, tuple(parts)) for role, parts in self._turns)

    def read(self, raw: msgspec.Raw) -> None:
        """The member `input`: a text, or a list of items. Raises BadRequest."""
        if is_text(raw):
            self._turns.append((Role.USER, [Text(text=self._reading.text(raw, "input"))]))
            return
        for item, path in self._reading.items(raw, "input"):
            found = peek(item, _Kind, path)
            read = _ITEMS.get(found.type or ("message" if found.role is not None else "item_reference"))
            if read is None:
                self._reading.note(path)
            else:
                read(self, item, path)

    def _message(self, raw: msgspec.Raw, path: str) -> None:
        found = self._reading.struct(raw, _Message, path)
        role = _ROLES.get(found.role)
        if role is None:
            raise BadRequest(f"`{path}.role` is one of {', '.join(_ROLES)}.", f"{path}.role", 422)
        parts: list[AnyPart] = []
        for part in read_content(self._reading, found.content, f"{path}.content"):
            if isinstance(part, _SAYS[role]):
                parts.append(part)
            else:
                self._reading.note(f"{path}.content")
        if role is Role.SYSTEM and not self._turns:
            self.instructions += [part for part in parts if isinstance(part, Text)]
        elif not parts:
            pass
        elif role is Role.ASSISTANT:
            self._assistant(*parts)
        else:
            self._turns.append((role, parts))

    def _assistant(self, *parts: AnyPart) -> None:
        """All items of an answer are one turn."""
        if self._turns and self._turns[-1][0] is Role.ASSISTANT:
            self._turns[-1][1].extend(parts)
        else:
            self._turns.append((Role.ASSISTANT, list(parts)))

    def _reasoning(self, raw: msgspec.Raw, path: str) -> None:
        found = self._reading.struct(raw, _Reasoning, path)
        sealed = unseal(found.encrypted_content or "")
        if sealed is not None:
            self._assistant(sealed)
            return
        summary = self._pieces(found.summary, f"{path}.summary")
        self._assistant(
            Reasoning(
                text="".join(self._pieces(found.content, f"{path}.content")),
                summary=tuple(summary),
                encrypted=found.encrypted_content or None,
                id=own_id(found.id),
            )
        )

    def _pieces(self, raw: msgspec.Raw, path: str) -> list[str]:
        if is_null(raw):
            return []
        return [
            self._reading.struct(item, _PieceOfText, where).text
            for item, where in self._reading.items(raw, path)
        ]

    def _call(self, raw: msgspec.Raw, path: str) -> None:
        found = self._reading.struct(raw, _Call, path, **_DIRECT)
        name = flat_name(found.namespace, found.name)
        self._assistant(
            ToolCall(id=found.call_id, name=name, arguments=found.arguments, item_id=own_id(found.id))
        )

    def _custom_call(self, raw: msgspec.Raw, path: str) -> None:
        found = self._reading.struct(raw, _CustomCall, path, **_DIRECT)
        name = flat_name(found.namespace, found.name)
        self._assistant(
            ToolCall(
                id=found.call_id, name=name, arguments=found.input, custom=True, item_id=own_id(found.id)
            )
        )

    def _shell_call(self, raw: msgspec.Raw, path: str) -> None:
        found = self._reading.struct(raw, _ShellCall, path)
        call_id = _call_id(found.call_id, found.id, path)
        arguments = bytes(found.action).decode()
        self._assistant(
            ToolCall(id=call_id, name=LOCAL_SHELL.name, arguments=arguments, item_id=own_id(found.id))
        )

    def _result(self, raw: msgspec.Raw, path: str, *, custom: bool = False) -> None:
        found = self._reading.struct(raw, _Result, path, caller=_DIRECT["caller"])
        parts = []
        for part in read_content(self._reading, found.output, f"{path}.output"):
            if isinstance(part, Refusal):
                self._reading.note(f"{path}.output")
            else:
                parts.append(part)
        call_id = _call_id(found.call_id, found.id, path)
        result = ToolResult(id=call_id, parts=tuple(parts), custom=custom)
        if self._turns and self._turns[-1][0] is Role.USER and isinstance(self._turns[-1][1][-1], ToolResult):
            self._turns[-1][1].append(result)
        else:
            self._turns.append((Role.USER, [result]))

    def _custom_result(self, raw: msgspec.Raw, path: str) -> None:
        self._result(raw, path, custom=True)

    def _more_tools(self, raw: msgspec.Raw, path: str) -> None:
        found = self._reading.struct(raw, _Tools, path)
        self.tools += read_tools(self._reading, found.tools, f"{path}.tools")

    def _reference(self, raw: msgspec.Raw, path: str) -> None:
        raise BadRequest(
            f"`{path}` refers to an item that is not kept here. Send the item itself.", path, 400
        )


def _call_id(call_id: str | None, item_id: str | None, path: str) -> str:
    """`local_shell_call_output` names the call in `id`."""
    if call_id is None and item_id is None:
        raise BadRequest(f"`{path}.call_id` is missing.", f"{path}.call_id")
    return call_id or item_id or ""


#: What a type of item is read by; other types are noted.
_ITEMS: dict[str, Callable[[Conversation, msgspec.Raw, str], None]] = {
    "message": Conversation._message,
    "reasoning": Conversation._reasoning,
    "function_call": Conversation._call,
    "function_call_output": Conversation._result,
    "custom_tool_call": Conversation._custom_call,
    "custom_tool_call_output": Conversation._custom_result,
    "local_shell_call": Conversation._shell_call,
    "local_shell_call_output": Conversation._result,
    "additional_tools": Conversation._more_tools,
    "item_reference": Conversation._reference,
}
