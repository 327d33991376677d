"""How Chat Completions is told to think: one idea, and a name for it at every host.

`reasoning_effort` (OpenAI, DeepSeek, Kimi K3, GLM), `thinking` (Kimi, DeepSeek, GLM, MiniMax), `enable_thinking` and
`thinking_budget` (Qwen at DashScope, SiliconFlow), `chat_template_kwargs` (vLLM, SGLang, llama.cpp), `reasoning`
(OpenRouter).
"""

import msgspec

from tokenweir.protocol.translate.form import NULL, Thinking
from tokenweir.protocol.translate.host import Host
from tokenweir.protocol.translate.reading import Reading, is_null
from tokenweir.protocol.translate.thinking import budget_of, effort_of, nearest_effort

Members = dict[str, object]

_SWITCHES = {
    "enabled": Thinking(on=True),
    "disabled": Thinking(on=False),
    "adaptive": Thinking(on=True, adaptive=True),
    "auto": Thinking(on=True, adaptive=True),
}


class ThinkingMembers(msgspec.Struct):
    """The members of a request that speak of thinking."""

    reasoning_effort: str | None = None
    reasoning: msgspec.Raw = NULL
    thinking: msgspec.Raw = NULL
    enable_thinking: bool | None = None
    thinking_budget: int | None = None
    chat_template_kwargs: msgspec.Raw = NULL


class _Switch(msgspec.Struct):
    type: str | None = None
    budget_tokens: int | None = None


class _Reasoning(msgspec.Struct):
    effort: str | None = None
    max_tokens: int | None = None
    enabled: bool | None = None
    summary: str | None = None


class _TemplateArguments(msgspec.Struct):
    enable_thinking: bool | None = None
    thinking: bool | None = None
    reasoning_effort: str | None = None


def read_thinking(reading: Reading, members: ThinkingMembers) -> Thinking:
    """What the client said of thinking, by whichever name. Raises BadRequest."""
    switch = _read_switch(reading, members.thinking)
    said, template = _Reasoning(), _TemplateArguments()
    if not is_null(members.reasoning):
        said = reading.struct(members.reasoning, _Reasoning, "reasoning", exclude=b"false")
    if not is_null(members.chat_template_kwargs):
        template = reading.struct(members.chat_template_kwargs, _TemplateArguments, "chat_template_kwargs")
    effort = members.reasoning_effort or said.effort or template.reasoning_effort
    on = _first(
        False if effort == "none" else None,
        switch.on,
        members.enable_thinking,
        template.enable_thinking,
        template.thinking,
        said.enabled,
    )
    return Thinking(
        on=on,
        effort=None if effort == "none" else effort,
        budget=_first_count(switch.budget, members.thinking_budget, said.max_tokens),
        summary=said.summary,
        adaptive=switch.adaptive,
    )


def _read_switch(reading: Reading, raw: msgspec.Raw) -> Thinking:
    if is_null(raw):
        return Thinking()
    # GLM's and Kimi's word for using the reasoning that is brought back, which is what is done anyway
    found = reading.struct(raw, _Switch, "thinking", clear_thinking=b"false", keep=b'"all"')
    switch = _SWITCHES.get(found.type or "")
    if switch is None:
        reading.note("thinking.type")
        return Thinking(budget=found.budget_tokens)
    return msgspec.structs.replace(switch, budget=found.budget_tokens)


def _first(*values: bool | None) -> bool | None:
    return next((value for value in values if value is not None), None)


def _first_count(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def write_thinking(asked: Thinking, host: Host) -> tuple[Members, tuple[str, ...]]:
    """The members that tell this host how to think, and the names of what it cannot be told."""
    if asked.on is False:
        return _write_off(host)
    if asked.on is None and asked.effort is None and asked.budget is None:
        return {}, ()
    members = {} if is_null(host.thinking_on) else _members(host.thinking_on)
    dropped = []
    effort = asked.effort
    if asked.budget is not None and not host.thinking_budget:
        effort = effort or effort_of(asked.budget)
    if asked.on and is_null(host.thinking_on) and asked.budget is None:
        effort = effort or "medium"  # the effort is all the switch there is
    if host.effort_name and effort is not None:
        known = nearest_effort(effort, host.efforts)
        if known is None:
            dropped.append("thinking.effort")
        else:
            put(members, host.effort_name, known)
    budget = asked.budget
    if budget is None and asked.effort is not None and not host.effort_name:
        budget = budget_of(asked.effort)
    said = bool(host.effort_name) and effort is not None  # a host that takes both takes one at a time
    if host.thinking_budget and budget is not None and not said:
        put(members, host.thinking_budget, budget)
    if asked.effort is not None and not host.effort_name and not host.thinking_budget:
        dropped.append("thinking.effort")
    if asked.budget is not None and not host.thinking_budget and not host.effort_name:
        dropped.append("thinking.budget")
    if asked.on and not members and not dropped:
        dropped.append("thinking")
    return members, tuple(dropped)


def _write_off(host: Host) -> tuple[Members, tuple[str, ...]]:
    if not is_null(host.thinking_off):
        return _members(host.thinking_off), ()
    if host.effort_name and (not host.efforts or "none" in host.efforts):
        members: Members = {}
        put(members, host.effort_name, "none")
        return members, ()
    return {}, ("thinking.off",)


def put(members: Members, path: str, value: object) -> None:
    """Set a member, or a member of a member ("thinking.budget_tokens")."""
    outer, _, inner = path.partition(".")
    if not inner:
        members[outer] = value
        return
    held = members.setdefault(outer, {})
    if isinstance(held, dict):
        put(held, inner, value)


def _members(raw: msgspec.Raw) -> Members:
    return msgspec.json.decode(raw, type=dict[str, object])
