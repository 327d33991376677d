"""A run as spans of OpenTelemetry's conventions for generative AI: OTLP in JSON. Pure.

Pinned: semantic conventions 1.41.0, the last before those for generative AI moved to a repository of their own. They are
"in development"; what they have no name for stands in attributes that begin with `tokenweir.`. Input tokens include cached
ones, as the conventions have it. In OTLP's JSON ids are hexadecimal and numbers of 64 bits are strings.
"""

import hashlib
from collections.abc import Iterator

import msgspec

from tokenweir.agents.records import Run
from tokenweir.core.money import format_pico
from tokenweir.core.usage import Usage
from tokenweir.ledger.entries import Outcome
from tokenweir.ledger.views.calls import CallRow
from tokenweir.ledger.views.run_tree import RunTree, StepNode, ToolNode

SEMCONV = "1.41.0"
SCHEMA_URL = f"https://opentelemetry.io/schemas/{SEMCONV}"
_INTERNAL, _CLIENT = 1, 3
_OK, _ERROR = 1, 2
#: Names of providers that the conventions know, by how upstreams are named here; others go by their upstream's name.
_PROVIDERS = {
    "anthropic": "anthropic", "deepseek": "deepseek", "groq": "groq", "mistral": "mistral_ai", "moonshot": "moonshot_ai",
    "kimi": "moonshot_ai", "openai": "openai", "perplexity": "perplexity", "xai": "x_ai",
}  # fmt: skip
Value = str | int | float | bool | tuple[str, ...]


class Attribute(msgspec.Struct, frozen=True):
    """`value` has one member, named after its type."""

    key: str
    value: dict[str, object]


class Status(msgspec.Struct, frozen=True, omit_defaults=True):
    """1: well; 2: an error."""

    code: int
    message: str = ""


class Span(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """One of OTLP's."""

    trace_id: str
    span_id: str
    parent_span_id: str = ""
    name: str
    kind: int
    start_time_unix_nano: str
    end_time_unix_nano: str
    attributes: tuple[Attribute, ...]
    status: Status


class Scope(msgspec.Struct, frozen=True):
    """Who says it."""

    name: str
    version: str


class ScopeSpans(msgspec.Struct, frozen=True, rename="camel"):
    scope: Scope
    spans: tuple[Span, ...]
    schema_url: str


class Resource(msgspec.Struct, frozen=True):
    attributes: tuple[Attribute, ...]


class ResourceSpans(msgspec.Struct, frozen=True, rename="camel"):
    resource: Resource
    scope_spans: tuple[ScopeSpans, ...]
    schema_url: str


class TracesData(msgspec.Struct, frozen=True, rename="camel"):
    """What an OTLP receiver takes at `/v1/traces`."""

    resource_spans: tuple[ResourceSpans, ...]


def traces(run: Run, tree: RunTree, version: str) -> TracesData:
    """The run, its calls and their tool calls. `version` is this program's."""
    spans = (_run_span(run, tree), *(span for step in tree.steps for span in _step_spans(tree, step)))
    scope = ScopeSpans(Scope("tokenweir", version), spans, SCHEMA_URL)
    resource = Resource(_attributes({"service.name": run.start.agent, "service.version": run.start.version}))
    return TracesData((ResourceSpans(resource, (scope,), SCHEMA_URL),))


def _run_span(run: Run, tree: RunTree) -> Span:
    start, end = run.start, run.end
    last_us = max(
        (step.row.at_us + (step.row.duration_us or 0) for step in tree.steps), default=start.started_us
    )
    ended_us = last_us if end is None else end.ended_us
    upstream = next((step.row.upstream for step in tree.steps if step.row.upstream), "")
    usage = Usage(**{name: sum(getattr(s.row.usage, name) for s in tree.steps) for name in _CLASSES})
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": _provider(upstream),
        "gen_ai.agent.name": start.agent,
        "gen_ai.agent.version": start.version,
        "gen_ai.conversation.id": start.id,
        "gen_ai.request.model": start.model,
        **_usage(usage),
        "tokenweir.run.limits": start.limits,
    }
    status = Status(0)
    if end is not None:
        attributes |= {"tokenweir.run.verdict": end.verdict.value, "tokenweir.run.ending": end.ending.value}
        attributes |= {f"tokenweir.cost.{currency}": amount for currency, amount in sorted(end.cost.items())}
        attributes["tokenweir.run.own_cost"] = end.own_cost
        well = end.verdict.value in ("solved", "done")
        status = Status(_OK) if well else Status(_ERROR, end.verdict.value)
        if not well:
            attributes["error.type"] = end.verdict.value.replace(" ", "_")
    return Span(
        trace_id=_trace(start.id), span_id=_span(start.id), name=f"invoke_agent {start.agent}", kind=_INTERNAL,
        start_time_unix_nano=_nanos(start.started_us), end_time_unix_nano=_nanos(max(ended_us, start.started_us)),
        attributes=_attributes(attributes), status=status,
    )  # fmt: skip


def _step_spans(tree: RunTree, step: StepNode) -> Iterator[Span]:
    row, run = step.row, tree.run
    ended_us = row.at_us + (row.duration_us or 0)
    parent = _span(run) if step.parent is None else _span(run, step.parent, step.parent_tool)
    well = row.outcome is Outcome.OK
    yield Span(
        trace_id=_trace(run), span_id=_span(run, step.number), parent_span_id=parent, name=f"chat {row.model}",
        kind=_CLIENT, start_time_unix_nano=_nanos(row.at_us), end_time_unix_nano=_nanos(ended_us),
        attributes=_attributes(_of_call(step)), status=Status(_OK) if well else Status(_ERROR, row.reason),
    )  # fmt: skip
    for tool in step.tools:
        yield _tool_span(run, step, tool, ended_us)


def _of_call(step: StepNode) -> dict[str, Value]:
    row = step.row
    found: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _provider(row.upstream),
        "gen_ai.conversation.id": row.run,
        "gen_ai.request.model": row.model,
        "gen_ai.response.model": row.served_model,
        **_usage(row.usage),
        "tokenweir.call": row.call,
        "tokenweir.dialect": row.dialect,
        "tokenweir.upstream": row.upstream,
        "tokenweir.usage.provenance": row.usage.provenance.value,
        "tokenweir.step.purpose": step.purpose.value,
        "tokenweir.step.why": step.why,
        **_cost(row),
    }
    if row.ttft_us is not None:
        found["gen_ai.response.time_to_first_chunk"] = row.ttft_us / 1e6
    if row.outcome is not Outcome.OK and row.outcome is not None:
        found["error.type"] = row.outcome.value
    return found


def _tool_span(run: str, step: StepNode, tool: ToolNode, asked_us: int) -> Span:
    found: dict[str, Value] = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": tool.name,
        "gen_ai.tool.call.id": tool.id,
        "gen_ai.tool.type": "function",
        "tokenweir.tool.arguments.digest": tool.digest,
        "tokenweir.tool.arguments.bytes": tool.bytes,
        "tokenweir.tool.files": tool.files,
        "tokenweir.tool.commands": tool.commands,
    }
    if tool.result_bytes is not None:
        found["tokenweir.tool.result.bytes"] = tool.result_bytes
    if tool.failed:
        found["error.type"] = "tool_error"
    code = _ERROR if tool.failed else _OK if tool.failed is False else 0
    return Span(
        trace_id=_trace(run), span_id=_span(run, step.number, tool.number), parent_span_id=_span(run, step.number),
        name=f"execute_tool {tool.name}", kind=_INTERNAL, start_time_unix_nano=_nanos(asked_us),
        end_time_unix_nano=_nanos(asked_us + (tool.took_us or 0)), attributes=_attributes(found), status=Status(code),
    )  # fmt: skip


_CLASSES = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")


def _usage(usage: Usage) -> dict[str, Value]:
    return {
        "gen_ai.usage.input_tokens": usage.prompt,
        "gen_ai.usage.output_tokens": usage.completion,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_5m + usage.cache_write_1h,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning,
    }


def _cost(row: CallRow) -> dict[str, Value]:
    """Exact decimals; a call without a price has none."""
    if row.unpriced:
        return {"tokenweir.unpriced": True}
    return {
        f"tokenweir.cost.{currency}": format_pico(pico) for currency, pico in sorted(row.cost_pico.items())
    }


def _provider(upstream: str) -> str:
    known = next((name for start, name in _PROVIDERS.items() if upstream.startswith(start)), upstream)
    return known or "_OTHER"


def _attributes(values: dict[str, Value]) -> tuple[Attribute, ...]:
    """Those that say something."""
    return tuple(Attribute(key, _value(value)) for key, value in values.items() if value not in ("", ()))


def _value(value: Value) -> dict[str, object]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    return {"arrayValue": {"values": [{"stringValue": text} for text in value]}}


def _nanos(at_us: int) -> str:
    return str(at_us * 1000)


def _trace(run: str) -> str:
    return hashlib.sha256(run.encode()).hexdigest()[:32]


def _span(run: str, step: int | None = None, tool: int | None = None) -> str:
    """The same run gives the same ids again."""
    return hashlib.sha256(f"{run}/{step or ''}/{tool or ''}".encode()).hexdigest()[:16]
