"""`docs/admin-api.md`, generated from the table of operations, the rights and the forms."""

from typing import Any

import msgspec

from tokenweir.admin.openapi import Json, document
from tokenweir.admin.operation import Operation
from tokenweir.admin.operations import OPERATIONS, PREFIX
from tokenweir.admin.problems import CODES
from tokenweir.admin.rights import RIGHTS, TRY
from tokenweir.ledger.checks import ROLES

_INTRODUCTION = """\
# Admin API

Under `/api/v1` of the gateway's own port: accounts, keys, limits, credit, prices for customers, usage, calls, invoices and corrections,
and who changed what.

```console
$ ./dev up &
tokenweir serves http://127.0.0.1:8787/v1
…
```

Each request carries a key that has a role. The key that `weir up` shows at its first start is an owner's, so it can be used right away;
the command line makes others. Programs that only make calls need no role, and should have none.

```console
$ .venv/bin/weir keys create --name ops --role owner | tee ops.key
sk-weir-…
Shown this once. Id key_…, limits: none.
$ curl -sS -H "Authorization: Bearer $(head -n1 ops.key)" http://127.0.0.1:8787/api/v1/me
{"id":"key_…","name":"ops","account":"default","role":"owner",…}
$ curl -sS -H "Authorization: Bearer $(head -n1 ops.key)" http://127.0.0.1:8787/api/v1/keys -d '{"name": "ci", "limits": ["¥5/day"]}'
{"key":{"id":"key_…","name":"ci",…,"limits":["5 CNY/day"],…},"secret":"sk-weir-…"}
```

`GET /api/v1/openapi.json` is the same as this page for programs (OpenAPI 3.1). This page is generated from `src/tokenweir/admin/`.

- A change is durable, and in force on every worker, when it is answered. It stands in `/audit` with the key that made it;
  changes from the command line stand there too.
- Money is exact decimal strings with the currency beside them; times are RFC 3339 with their zone. An unknown member or
  parameter is refused, so a slip changes nothing.
- Lists come in pages of `limit` items; `next` of a page is `after` of the following one, and null on the last.
- What is not there and what is not yours to see are answered alike.
- What may take minutes (an invoice, a rerate, a spread, a bill compared, the ledger verified) is answered when it is done, if that is within 40 s.
  Else the answer is 202 with `Location: /api/v1/jobs/ID`, and what was asked for goes on; with `Prefer: respond-async` that is the answer at once.
  The job tells its state, and in the end what the answer would have been. It is remembered for an hour after its end, though no more than 64 jobs are, and not
  over a restart of the gateway: a rerate or a spread that is asked for again does only what is still to be done, and whether an invoice was issued is seen in
  `/invoices`. Of those that change something one is done at a time, and of all at most 8; `busy` is told meanwhile.
- A body is at most 1 MiB, a bill 16 MiB. A secret is told once, in the answer that made it.
"""

_ROLES = """\
## Roles

An owner may do everything. An admin may too, but neither give the roles owner and admin nor change the keys that have them. An auditor
reads everything. A member reads what belongs to the account of its key and to those below it, and makes, rotates and revokes keys of its
own account: without a role, and within its own key's models, dialects, run and expiry; a key that has limits of its own makes no
others. A key without a role, as any key is at first, is for calls alone.

r: reads, and tries what takes `dry_run`; m: a member's own; c: changes.
"""

_RESOURCES = "| resource | " + " | ".join(ROLES) + " |\n|---" + "|---" * len(ROLES) + "|\n"


def page_markdown() -> str:
    """The whole page."""
    told = document(OPERATIONS, PREFIX, "")
    parts = [_INTRODUCTION, _ROLES, _rights(), _problems(), "## Operations\n"]
    parts += [_operation(row, told) for row in OPERATIONS]
    parts.append("## Forms\n\nA `?` marks what may be left out; `| null` what may be null.\n")
    parts += [_form(name, schema) for name, schema in sorted(told["components"]["schemas"].items())]
    return "\n".join(parts)


def _rights() -> str:
    rows = [
        f"| {resource} | {' | '.join(_letters(resource, role) for role in ROLES)} |" for resource in RIGHTS
    ]
    return _RESOURCES + "\n".join(rows) + "\n"


def _letters(resource: str, role: str) -> str:
    methods = [method for method, roles in RIGHTS[resource].items() if role in roles]
    reads = {"GET", TRY} & {*methods} and ("m" if role == "member" else "r")
    return " ".join(letter for letter in (reads, {*methods} - {"GET", TRY} and "c") if letter) or "–"


def _problems() -> str:
    rows = "\n".join(f"| `{code}` | {status} | {text} |" for code, (status, text) in CODES.items())
    head = "## Problems\n\nErrors are problem details (RFC 9457, `application/problem+json`): `status`, a `code`, and in `detail` what to do.\n\n"
    return f"{head}| code | status | when |\n|---|---|---|\n{rows}\n"


def _operation(row: Operation, told: Json) -> str:
    path = PREFIX + row.path
    entry = told["paths"][path][row.method.lower()]
    summary, more = row.words
    lines = [f"### `{row.method} {path}`\n", " ".join(part for part in (summary, more) if part) + "\n"]
    query = [p for p in entry["parameters"] if p["in"] == "query"]
    if query and row.query is not None:
        rows = [
            f"| `{p['name']}` | {'required' if p['required'] else _default(p['schema'])} | {_type(p['schema'])} |"
            for p in query
        ]
        lines += [_words(row.query), "", "| parameter | default | what it is |\n|---|---|---|", *rows, ""]
    if row.body is bytes:
        lines.append("Takes a file as it is, of up to 16 MiB.")
    elif row.body is not None:
        lines.append(f"Takes {_type(entry['requestBody']['content']['application/json']['schema'])}.")
    status, answer = str(row.status), entry["responses"][str(row.status)]
    content = answer.get("content")
    shown = "nothing" if content is None else _type(content["application/json"]["schema"])
    later = "; 202 where it takes longer" if row.long else ""
    lines.append(f"Answers {status}: {shown}{later}.\n")
    return "\n".join(lines)


def _words(form: type) -> str:
    return " ".join((form.__doc__ or "").split())


def _form(name: str, schema: Json) -> str:
    if "enum" in schema:
        return f"### {_title(name)}\n\n{_type(schema)}\n"
    required = schema.get("required", [])
    lines = [f"### {_title(name)}\n", f"{' '.join(str(schema.get('description', '')).split())}\n"]
    lines += [
        f"- `{member}{'' if member in required else '?'}`: {_described(kind)}"
        for member, kind in schema["properties"].items()
    ]
    return "\n".join([*lines, ""])


def _default(schema: Json) -> str:
    value = schema.get("default")
    return "–" if value in (None, "", []) else f"`{msgspec.json.encode(value).decode().strip(chr(34))}`"


def _type(schema: Json) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        name = _title(str(schema["$ref"]).rpartition("/")[2])
        return f"[{name}](#{name.lower().replace(' ', '-')})"
    if "anyOf" in schema:
        return " \\| ".join(map(_type, schema["anyOf"]))
    if "enum" in schema:
        return " \\| ".join(f"`{msgspec.json.encode(value).decode()}`" for value in schema["enum"])
    kind = str(schema.get("type", "any"))
    if "prefixItems" in schema:
        return f"list of a {' and a '.join(map(_type, schema['prefixItems']))}"
    if kind == "array":
        inner: Any = schema.get("items", {})
        return f"list of {_type(inner)}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"{{text: {_type(schema['additionalProperties'])}}}"
    words = {
        "date-time": "moment",
        "date": "day",
        "string": "text",
        "integer": "whole number",
        "boolean": "`true` \\| `false`",
        "null": "null",
    }
    kind = str(schema.get("format", kind))
    said = words.get(kind, kind)
    bounds = [
        f"{word} {schema[name]}"
        for name, word in (("minimum", "from"), ("maximum", "to"))
        if name in schema and abs(int(schema[name])) < 2**60
    ]
    more = [*bounds, *filter(None, [schema.get("description")])]
    return f"{said} ({', '.join(more)})" if more else said


def _described(schema: Json) -> str:
    kind, text = _type({**schema, "description": ""}), schema.get("description")
    return f"{kind}; {text}" if text else kind


def _title(name: str) -> str:
    """`Page_Key_` is a page of keys."""
    return f"Page of {name[5:-1]}" if name.startswith("Page_") else name


if __name__ == "__main__":
    print(page_markdown(), end="")
