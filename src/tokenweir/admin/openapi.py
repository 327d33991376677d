"""The OpenAPI 3.1 document, made of the table of operations and the forms that they take and give."""

import inspect
import re
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from tokenweir.admin.operation import Operation
from tokenweir.admin.problems import CODES, MEDIA_TYPE
from tokenweir.admin.rights import RIGHTS, right_of
from tokenweir.protocol.problems import Details

# A document of JSON has no shape of its own that a type could tell.
Json = dict[str, Any]
#: A member and what the comment behind it says: what readers of the source are told, users of the API are told too.
_COMMENTED = re.compile(r"^    (\w+):[^#\n]*#(?!:)\s*(\S.*)$", re.MULTILINE)
_TEMPLATE = "#/components/schemas/{name}"
_DESCRIPTION = """\
Money is exact decimal strings, with the currency beside them. Times are RFC 3339. Lists come in pages: `next` of one is \
`after` of the following. What is not there and what is not yours to see are answered alike."""


#: What is answered where the work goes on.
_LATER: Json = {
    "description": "It takes longer, and goes on: the job at `Location` tells what comes of it.",
    "headers": {"Location": {"schema": {"type": "string"}, "description": "/api/v1/jobs/ID"}},
}


def document(operations: Sequence[Operation], prefix: str, version: str) -> Json:
    """The whole of it."""
    forms = {form for row in operations for form in (row.body, row.answer, row.query) if form is not None}
    named = sorted((form for form in forms if form not in (msgspec.Raw, bytes)), key=str)
    schemas, components = msgspec.json.schema_components([*named, Details], ref_template=_TEMPLATE)
    schema_of = dict(zip([*named, Details], schemas, strict=True))
    _describe(components, operations)
    paths: Json = {}
    for row in operations:
        paths.setdefault(prefix + row.path, {})[row.method.lower()] = _operation(row, schema_of, components)
    queries = {_name(schema_of[row.query]) for row in operations if row.query is not None}
    told = {
        "openapi": "3.1.0",
        "info": {"title": "Tokenweir's admin API", "version": version, "description": _DESCRIPTION},
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in components.items() if name not in queries},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "A key with a role: sk-weir-…"}
            },
            "responses": {"Problem": _problem(schema_of[Details])},
        },
    }
    plain: Json = msgspec.json.decode(msgspec.json.encode(told))  # defaults are tuples and moments in Python
    return plain


def _describe(components: Json, operations: Sequence[Operation]) -> None:
    """Give members the descriptions that stand beside them in the source."""
    modules = [sys.modules[row.handle.__module__] for row in operations]
    structs = {
        struct.__name__: struct
        for module in modules
        for struct in vars(module).values()
        if inspect.isclass(struct) and issubclass(struct, msgspec.Struct)
    }
    for name in components.keys() & structs.keys():
        for member, text in _COMMENTED.findall(inspect.getsource(structs[name])):
            schema = components[name]["properties"][member]
            schema["description"] = "; ".join(filter(None, (text, schema.get("description"))))


def _operation(row: Operation, schema_of: dict[Any, Json], components: Json) -> Json:
    summary, more = row.words
    roles = ", ".join(sorted(RIGHTS[row.resource][right_of(row.resource, row.method)]))
    told: Json = {
        "operationId": row.id,
        "tags": [row.resource],
        "summary": summary,
        "description": f"{more}\n\nRoles: {roles}.".strip(),
        "parameters": [*map(_path_parameter, row.parameters), *_query_parameters(row, schema_of, components)],
        "responses": {
            str(row.status): _answer(row, schema_of),
            "default": {"$ref": "#/components/responses/Problem"},
        },
    }
    if row.long:
        told["responses"]["202"] = _LATER
    if row.body is not None:
        content: Json = {"application/json": {"schema": schema_of.get(row.body)}}
        if row.body is bytes:
            content = {"application/octet-stream": {}}
        told["requestBody"] = {"required": True, "content": content}
    return told


def _path_parameter(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query_parameters(row: Operation, schema_of: dict[Any, Json], components: Json) -> list[Json]:
    if row.query is None:
        return []
    form = components[_name(schema_of[row.query])]
    required = form.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": schema}
        for name, schema in form["properties"].items()
    ]


def _answer(row: Operation, schema_of: dict[Any, Json]) -> Json:
    if row.answer is None:
        return {"description": "Done."}
    schema = {"type": "object"} if row.answer is msgspec.Raw else schema_of[row.answer]
    return {"description": "Done.", "content": {"application/json": {"schema": schema}}}


def _problem(schema: Json) -> Json:
    codes = "; ".join(f"`{code}` ({status}): {text}" for code, (status, text) in CODES.items())
    return {"description": f"Nothing was done. {codes}", "content": {MEDIA_TYPE: {"schema": schema}}}


def _name(schema: Json) -> str:
    return str(schema["$ref"]).rpartition("/")[2]
