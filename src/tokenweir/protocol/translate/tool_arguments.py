"""Arguments of tools between dialects that write them as JSON text, as a JSON object, or as text that is no JSON.

Messages takes objects only, and a host without custom tools takes functions only. What is no object goes into one, as
its member `input`; a custom tool becomes a function with that member, and its answer's arguments are taken out again.
"""

import msgspec

from tokenweir.protocol.envelope import UNREADABLE
from tokenweir.protocol.translate.form import Tool, ToolCall

_SCHEMA = msgspec.Raw(b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}')


class _Wrapped(msgspec.Struct, forbid_unknown_fields=True):
    input: str


def as_function(tool: Tool) -> Tool:
    """A custom tool as a function of one text; its grammar, if any, is lost."""
    return msgspec.structs.replace(tool, schema=_SCHEMA, custom=False, strict=None)


def as_object(call: ToolCall) -> tuple[msgspec.Raw, bool]:
    """The arguments as a JSON object, and whether a function's had to be changed to be one."""
    if not call.custom:
        if not call.arguments.strip():  # how some hosts say "none"
            return msgspec.Raw(b"{}"), False
        if is_object(call.arguments):
            return msgspec.Raw(call.arguments.encode()), False
    return msgspec.Raw(msgspec.json.encode(_Wrapped(call.arguments))), not call.custom


def free_text(arguments: str) -> str:
    """What a custom tool is called with, from the arguments of the function that stood for it."""
    try:
        return msgspec.json.decode(arguments, type=_Wrapped).input
    except UNREADABLE:
        return arguments


def is_object(text: str) -> bool:
    """Whether a text is a JSON object."""
    try:
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except UNREADABLE:
        return False
    return True


def arguments_text(raw: msgspec.Raw) -> str:
    """Arguments as the text that they are, or as that of the object that stands in its place."""
    if bytes(raw) == b"null":
        return ""
    try:
        return msgspec.json.decode(raw, type=str)
    except UNREADABLE:
        return bytes(raw).decode(errors="replace")
