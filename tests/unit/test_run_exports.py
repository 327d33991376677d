"""A run written down for other tools, read back by their own parsers where there are any."""

import base64
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
import pytest
from google.protobuf import json_format
from known_run import RUN, SECOND, tree
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from tokenweir.agents.export_atif import trajectory
from tokenweir.agents.export_otel import SCHEMA_URL, traces
from tokenweir.agents.said import Said, said_in
from tokenweir.agents.texts import Text
from tokenweir.cli.run_export_command import records

#: Of the conventions' registry, version 1.41.0: the attributes of spans that are used here.
KNOWN = {
    "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.agent.name", "gen_ai.agent.version", "gen_ai.conversation.id",
    "gen_ai.request.model", "gen_ai.response.model", "gen_ai.response.time_to_first_chunk", "gen_ai.tool.name",
    "gen_ai.tool.call.id", "gen_ai.tool.type", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens",
    "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.reasoning.output_tokens", "error.type", "service.name", "service.version",
}  # fmt: skip


def spans() -> list[Span]:
    """Read by the protocol's own definitions; OTLP's JSON has ids in hexadecimal, where protobuf's has base64."""
    told = json.loads(msgspec.json.encode(traces(RUN, tree(), "0.1")))
    for span in told["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for name in ("traceId", "spanId", "parentSpanId"):
            if name in span:
                span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
    data = json_format.ParseDict(told, TracesData())
    assert data.resource_spans[0].schema_url == SCHEMA_URL == "https://opentelemetry.io/schemas/1.41.0"
    return list(data.resource_spans[0].scope_spans[0].spans)


def values(span: Span) -> dict[str, Any]:
    found = {}
    for attribute in span.attributes:
        kind = attribute.value.WhichOneof("value")
        value = getattr(attribute.value, kind)
        found[attribute.key] = [v.string_value for v in value.values] if kind == "array_value" else value
    return found


def test_spans_make_the_runs_tree() -> None:
    found = spans()
    by_id = {span.span_id: span for span in found}
    assert len(by_id) == len(found) == 1 + 5 + 3
    assert {span.trace_id for span in found} == {found[0].trace_id} and len(found[0].trace_id) == 16
    (root,) = (span for span in found if not span.parent_span_id)
    assert root.name == "invoke_agent kimi" and root.kind == Span.SPAN_KIND_INTERNAL
    parents = {span.name: by_id[span.parent_span_id].name for span in found if span is not root}
    assert parents["execute_tool Task"] == "chat kimi-k3"
    (sub,) = (span for span in found if values(span).get("tokenweir.step.purpose") == "sub-agent")
    assert by_id[sub.parent_span_id].name == "execute_tool Task"
    for span in found:
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        assert len(span.span_id) == 8
    assert [span.span_id for span in spans()] == [span.span_id for span in found]  # the same again


def test_spans_say_what_the_conventions_have_names_for() -> None:
    found = spans()
    for span in found:
        for name in values(span):
            assert name in KNOWN or name.startswith("tokenweir."), name
        assert values(span)["gen_ai.operation.name"] == span.name.split(" ")[0]
    call = values(next(span for span in found if span.name.startswith("chat")))
    assert (
        call["gen_ai.usage.input_tokens"] == 1_200 and call["gen_ai.usage.cache_read.input_tokens"] == 1_000
    )
    assert call["gen_ai.usage.output_tokens"] == 40 and call["tokenweir.cost.CNY"] == "0.00244"
    assert call["gen_ai.response.time_to_first_chunk"] == 0.005
    whole = values(found[0])
    assert whole["gen_ai.usage.input_tokens"] == 4 * 1_200 and whole["tokenweir.run.verdict"] == "solved"
    failed = next(span for span in found if span.name == "execute_tool bash")
    assert values(failed)["error.type"] == "tool_error" and failed.status.code == 2
    assert values(failed)["tokenweir.tool.commands"] == ["pytest"]
    refused = next(span for span in found if values(span).get("error.type") == "refused")
    assert refused.status.message == "limit"


# --- ATIF: the rules of the specification's version 1.7, said again here

FIELDS = {
    "trajectory": {"schema_version", "session_id", "trajectory_id", "agent", "steps", "notes", "final_metrics", "continued_trajectory_ref", "extra", "subagent_trajectories"},
    "agent": {"name", "version", "model_name", "tool_definitions", "extra"},
    "step": {"step_id", "timestamp", "source", "model_name", "reasoning_effort", "message", "reasoning_content", "tool_calls", "observation", "metrics", "is_copied_context", "llm_call_count", "extra"},
    "tool_call": {"tool_call_id", "function_name", "arguments", "extra"},
    "result": {"source_call_id", "content", "subagent_trajectory_ref", "extra"},
    "metrics": {"prompt_tokens", "completion_tokens", "cached_tokens", "cost_usd", "prompt_token_ids", "completion_token_ids", "logprobs", "extra"},
    "final_metrics": {"total_prompt_tokens", "total_completion_tokens", "total_cached_tokens", "total_cost_usd", "total_steps", "extra"},
}  # fmt: skip
AGENT_ONLY = {"model_name", "reasoning_effort", "reasoning_content", "tool_calls", "metrics"}


def wrong(found: dict[str, Any], *, embedded: bool = False) -> Iterator[str]:
    """What is wrong with a trajectory."""
    yield from unknown("trajectory", found)
    yield from unknown("agent", found["agent"])
    if not (isinstance(found["agent"]["name"], str) and isinstance(found["agent"]["version"], str)):
        yield "an agent has a name and a version"
    if embedded and not found.get("trajectory_id"):
        yield "an embedded trajectory has an id"
    below = found.get("subagent_trajectories", [])
    ids = [each.get("trajectory_id") for each in below]
    if len(ids) != len(set(ids)):
        yield "ids of embedded trajectories are unique"
    if not found["steps"]:
        yield "there is a step"
    for number, step in enumerate(found["steps"], 1):
        yield from wrong_step(number, step, set(ids))
    for each in below:
        yield from wrong(each, embedded=True)


def wrong_step(number: int, step: dict[str, Any], ids: set[str]) -> Iterator[str]:
    yield from unknown("step", step)
    if step["step_id"] != number:
        yield f"step {number} is numbered {step['step_id']}"
    datetime.fromisoformat(step["timestamp"].replace("Z", "+00:00"))
    if step["source"] not in ("system", "user", "agent") or not isinstance(step["message"], str):
        yield f"step {number} is of nobody, or says nothing"
    if step["source"] != "agent" and AGENT_ONLY & step.keys():
        yield f"step {number} is no agent's"
    calls = step.get("tool_calls", [])
    for call in calls:
        yield from unknown("tool_call", call)
        if not isinstance(call["arguments"], dict):
            yield f"arguments in step {number} are no object"
    for result in step.get("observation", {"results": []})["results"]:
        yield from unknown("result", result)
        if result["source_call_id"] not in {call["tool_call_id"] for call in calls}:
            yield f"a result in step {number} is of no call"
        for ref in result.get("subagent_trajectory_ref", []):
            if ref["trajectory_id"] not in ids:
                yield f"step {number} refers to a trajectory that is not there"
    if "metrics" in step:
        yield from unknown("metrics", step["metrics"])


def unknown(kind: str, found: dict[str, Any]) -> Iterator[str]:
    yield from (f"{kind} has no {name}" for name in found.keys() - FIELDS[kind])


def told(said: dict[str, Said] | None = None) -> dict[str, Any]:
    return json.loads(msgspec.json.encode(trajectory(RUN, tree(), said or {})))


def test_a_trajectory_keeps_to_the_rules_and_holds_its_sub_agents() -> None:
    found = told()
    assert found["schema_version"] == "ATIF-v1.7" and list(wrong(found)) == []
    assert [step["source"] for step in found["steps"]] == ["user", "agent", "agent", "agent", "system"]
    assert [step["extra"]["purpose"] for step in found["steps"][1:]] == ["title", "main", "main", "other"]
    (sub,) = found["subagent_trajectories"]
    assert sub["trajectory_id"] == "run_1/agent-2.2" and len(sub["steps"]) == 2
    failed, handed_on = found["steps"][2]["observation"]["results"]
    assert failed["extra"] == {"bytes": 120, "failed": True}
    assert handed_on["subagent_trajectory_ref"] == [{"trajectory_id": "run_1/agent-2.2"}]
    assert found["final_metrics"]["total_prompt_tokens"] == 4 * 1_200
    assert (
        found["final_metrics"]["extra"] == {"cost": {"CNY": "0.00976"}}
        and found["final_metrics"]["total_steps"] == 5
    )
    assert found["steps"][2]["tool_calls"][0]["arguments"] == {} and "not kept" in found["notes"]


def test_what_is_wrong_would_be_seen() -> None:
    for spoil in (
        lambda t: t["steps"][1].update(step_id=7),
        lambda t: t["steps"][0].update(metrics={}),
        lambda t: t["steps"][2]["observation"]["results"][0].update(source_call_id="x"),
        lambda t: t["subagent_trajectories"][0].update(trajectory_id="other"),
        lambda t: t.update(verdict="solved"),
    ):
        found = told()
        spoil(found)
        assert list(wrong(found))


def test_a_trajectory_is_taken_by_harbors_own_models() -> None:
    models = pytest.importorskip("harbor.models.trajectories", reason="Harbor needs Python 3.12")
    models.Trajectory.model_validate(told())


def text(dialect: str, request: object, answer: str) -> Text:
    return Text(call="c", at_us=0, dialect=dialect, request=json.dumps(request), answer=answer)


def test_with_its_text_kept_a_trajectory_says_what_was_said() -> None:
    tools = [
        {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": '{"command":"pytest"}'}}
    ]
    message = {"role": "assistant", "content": "I look.", "reasoning_content": "hm", "tool_calls": tools}
    answer = {
        "id": "i",
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
    }
    begins = {"model": "m", "messages": [{"role": "user", "content": "mend it"}]}
    result = {"role": "tool", "tool_call_id": "c1", "content": "1 failed"}
    goes_on = {"model": "m", "messages": [*begins["messages"], message, result]}
    nodes = tree().steps
    said = {
        nodes[1].row.call: said_in(text("chat", begins, json.dumps(answer))),
        nodes[3].row.call: said_in(text("chat", goes_on, "data: no stream")),
    }
    found = told(said)
    assert list(wrong(found)) == [] and "notes" not in found
    step = found["steps"][2]
    assert found["steps"][0]["message"] == "mend it"
    assert (step["message"], step["reasoning_content"]) == ("I look.", "hm")
    assert step["tool_calls"][0]["arguments"] == {"command": "pytest"}
    assert step["observation"]["results"][0]["content"] == "1 failed"
    assert said_in(text("embeddings", {}, "{}")) == Said() == said_in(text("chat", [], "{"))


def test_lines_of_json_are_steps_with_their_calls() -> None:
    lines = [json.loads(msgspec.json.encode(record)) for record in records(RUN, tree())]
    assert [line["number"] for line in lines] == [1, 2, 3, 4, 5]
    assert lines[2]["purpose"] == "sub-agent" and (lines[2]["parent"], lines[2]["parent_tool"]) == (2, 2)
    assert lines[1]["call"]["cost"] == {"CNY": "0.00244"} and lines[1]["tools"][0]["result_bytes"] == 120
    assert lines[1]["tools"][0]["took_ms"] == (4 * SECOND - 2.5 * SECOND) / 1000
    assert lines[4]["call"]["outcome"] == "refused" and lines[4]["why"]
