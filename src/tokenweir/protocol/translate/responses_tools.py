"""Tools of OpenAI Responses: what is read of them, and by what names a model calls them.

Codex groups tools in namespaces, which other hosts do not know: they are given flat, under names that begin with their
namespace's, and a call of one is told with both again (a call under a flat name is one that Codex refuses: openai/codex
issues 23186 and 26234). Its `local_shell` is a tool whose schema every client of it knows; other hosts are given the
schema.
"""

from collections.abc import Iterable

import msgspec

from tokenweir.protocol.chat import BadRequest
from tokenweir.protocol.translate.form import NULL, Choice, Request, Tool, ToolChoice
from tokenweir.protocol.translate.reading import Reading, is_null, is_text, peek

_SEPARATOR = "__"

#: The tool `{"type": "local_shell"}`, as a function: what its call's `action` holds.
LOCAL_SHELL = Tool(
    name="local_shell",
    description="Runs a command on the user's machine and returns what it prints.",
    schema=msgspec.Raw(
        b'{"type":"object","properties":{'
        b'"command":{"type":"array","items":{"type":"string"},"description":"The program and its arguments"},'
        b'"working_directory":{"type":"string"},'
        b'"timeout_ms":{"type":"integer"},'
        b'"env":{"type":"object","additionalProperties":{"type":"string"}},'
        b'"user":{"type":"string"}},"required":["command"]}'
    ),
)


class _Kind(msgspec.Struct):
    type: str


class _Function(msgspec.Struct):
    type: str
    name: str
    description: str | None = None
    parameters: msgspec.Raw = NULL
    strict: bool | None = None


class _Custom(msgspec.Struct):
    type: str
    name: str
    description: str | None = None
    format: msgspec.Raw = NULL


class _Namespace(msgspec.Struct):
    type: str
    name: str
    tools: msgspec.Raw
    description: str | None = None


class _Choice(msgspec.Struct):
    type: str
    name: str | None = None
    namespace: str | None = None
    mode: str | None = None
    tools: msgspec.Raw = NULL


_MODES = {"auto": Choice.AUTO, "none": Choice.NONE, "required": Choice.REQUIRED}
#: Members by which nothing else is meant than by leaving them out.
_DEFAULTS = {
    "defer_loading": b"false",
    "async": b"false",
    "allowed_callers": b'["direct"]',
    "format": b'{"type":"text"}',
}


def flat_name(namespace: str | None, name: str) -> str:
    """The name under which a host is given a tool of a namespace."""
    if not namespace:
        return name
    return namespace + name if namespace.endswith(_SEPARATOR) else namespace + _SEPARATOR + name


def bare_name(tool: Tool) -> str:
    """The name of a tool within its namespace."""
    return tool.name.removeprefix(flat_name(tool.namespace, ""))


def read_tools(reading: Reading, raw: msgspec.Raw, path: str) -> tuple[Tool, ...]:
    """The tools of a list. Those that only OpenAI's own servers can run are noted. Raises BadRequest."""
    return tuple(tool for item in reading.items(raw, path) for tool in _read_tool(reading, *item, None))


def _read_tool(reading: Reading, raw: msgspec.Raw, path: str, namespace: str | None) -> Iterable[Tool]:
    kind = peek(raw, _Kind, path).type
    if kind == "function":
        found = reading.struct(raw, _Function, path, **_DEFAULTS)
        yield Tool(
            name=flat_name(namespace, found.name),
            description=found.description,
            schema=found.parameters,
            strict=found.strict,
            namespace=namespace,
        )
    elif kind == "custom":
        custom = reading.struct(raw, _Custom, path, **_DEFAULTS)
        free = bytes(custom.format) == _DEFAULTS["format"]
        yield Tool(
            name=flat_name(namespace, custom.name),
            description=custom.description,
            schema=NULL if free else custom.format,
            custom=True,
            namespace=namespace,
        )
    elif kind == "local_shell":
        yield LOCAL_SHELL
    elif kind == "namespace" and namespace is None:
        group = reading.struct(raw, _Namespace, path)
        if group.description:
            reading.note(f"{path}.description")
        for item, where in reading.items(group.tools, f"{path}.tools"):
            yield from _read_tool(reading, item, where, group.name)
    else:
        reading.note(path)


def read_tool_choice(
    reading: Reading, raw: msgspec.Raw, parallel: bool | None, tools: tuple[Tool, ...]
) -> tuple[ToolChoice, tuple[Tool, ...]]:
    """How tools are chosen, and those that may be: `allowed_tools` names some of them. Raises BadRequest."""
    path = "tool_choice"
    if is_null(raw):
        return ToolChoice(parallel=parallel), tools
    if is_text(raw):
        mode = _MODES.get(reading.text(raw, path))
        if mode is None:
            raise BadRequest(f"`{path}` is one of {', '.join(_MODES)}, or names a tool.", path, 422)
        return ToolChoice(mode, parallel=parallel), tools
    found = reading.struct(raw, _Choice, path)
    if found.type == "allowed_tools":
        named = {_chosen(*item) for item in reading.items(found.tools, f"{path}.tools")}
        allowed = tuple(tool for tool in tools if tool.name in named)
        return ToolChoice(_MODES.get(found.mode or "auto", Choice.AUTO), parallel=parallel), allowed
    name = _chosen(raw, path)
    if not any(tool.name == name for tool in tools):  # it went with its tool
        reading.note(path)
        return ToolChoice(parallel=parallel), tools
    return ToolChoice(Choice.NAMED, name, parallel), tools


def _chosen(raw: msgspec.Raw, path: str) -> str:
    found = peek(raw, _Choice, path)
    return flat_name(found.namespace, found.name or found.type)


# --- the other way


def tool_json(tool: Tool) -> dict[str, object]:
    """A tool as Responses has it, flat. `strict` is said: left out, it would mean true here and false elsewhere."""
    if tool == LOCAL_SHELL:
        return {"type": "local_shell"}
    written: dict[str, object] = {"type": "custom" if tool.custom else "function", "name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    if not tool.custom:
        return written | {"parameters": tool.schema, "strict": bool(tool.strict)}
    return written if is_null(tool.schema) else written | {"format": tool.schema}


def choice_json(request: Request) -> object:
    """The choice of tools as Responses has it."""
    asked = request.tool_choice
    if asked.choice is not Choice.NAMED:
        return (asked.choice or Choice.AUTO).value
    tool = next((tool for tool in request.tools if tool.name == asked.name), None)
    if tool == LOCAL_SHELL:
        return {"type": "local_shell"}
    return {"type": "custom" if tool is not None and tool.custom else "function", "name": asked.name}
