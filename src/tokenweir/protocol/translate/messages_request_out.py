"""Requests in the middle form, written as Anthropic Messages."""

from collections.abc import Iterable

import msgspec

from tokenweir.protocol.translate.form import (
    AnyPart,
    Choice,
    Request,
    Role,
    Thinking,
    Tool,
    ToolResult,
    Turn,
    Written,
)
from tokenweir.protocol.translate.host import Host
from tokenweir.protocol.translate.messages_parts_out import Block, PartsWriter
from tokenweir.protocol.translate.reading import is_null
from tokenweir.protocol.translate.thinking import budget_of, nearest_effort
from tokenweir.protocol.translate.tool_arguments import as_function

#: Tokens of output where the client named none: this dialect must name some. What agents ask for at least, and what
#: every Claude model since 4 admits; a host that admits less says so (`Host.max_output`).
DEFAULT_MAX_OUTPUT = 32_000
#: The least budget of thinking that Anthropic takes; it must also be less than the tokens of output.
LEAST_BUDGET = 1024
#: Efforts of `output_config.effort`, from least to most.
EFFORTS = ("low", "medium", "high", "xhigh", "max")

_CHOICES = {Choice.AUTO: "auto", Choice.NONE: "none", Choice.REQUIRED: "any", Choice.NAMED: "tool"}
_TIERS = {"auto": None, "default": "standard_only"}
#: The form's words for members of this dialect, where they differ.
_WORDS = {
    "stop_sequences": "stop",
    "output_config": "thinking.effort",
    "output_config.effort": "thinking.effort",
    "output_config.format": "output",
    "thinking.display": "thinking.summary",
    "metadata": "user",
}


def write_request(request: Request, host: Host) -> Written:
    """The request for this host, and the names of what it cannot say."""
    writing = _Writing(host)
    body: Block = {"model": request.model, "max_tokens": writing.max_output(request)}
    if system := writing.parts.content(request.instructions):
        body["system"] = system
    body["messages"] = writing.messages(request.turns)
    if request.tools:
        body["tools"] = [writing.tool(tool) for tool in request.tools]
    body |= writing.tool_choice(request) | writing.sampling(request) | writing.thinking(request, body)
    if request.stop:
        body["stop_sequences"] = request.stop
    if request.stream:
        body["stream"] = True
    if request.user is not None:
        body["metadata"] = {"user_id": request.user}
    body |= writing.service_tier(request)
    writing.reject(body)
    return Written(msgspec.json.encode(body), writing.parts.dropped)


class _Writing:
    """One request while it is written, with what could not be said."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.parts = PartsWriter(host)

    def drop(self, name: str) -> None:
        self.parts.drop(name)

    def reject(self, body: Block) -> None:
        """Take away what the host refuses: a member, or a member of a member ("output_config.effort")."""
        for name in sorted(self._host.rejects):
            outer, _, inner = name.partition(".")
            members = body.get(outer)
            if not inner and body.pop(outer, None) is not None:
                self.drop(_WORDS.get(name, name))
            elif inner and isinstance(members, dict) and members.pop(inner, None) is not None:
                self.drop(_WORDS.get(name, name))
                if not members:
                    del body[outer]

    # --- messages

    def messages(self, turns: Iterable[Turn]) -> list[Block]:
        """Turns that follow one another in one role are one; results of tools stand first in theirs."""
        merged: list[tuple[Role, list[AnyPart]]] = []
        for turn in turns:
            role = turn.role
            if role is Role.SYSTEM and not self._host.system_turns:
                role = Role.USER
                self.drop("system_turns")
            if turn.name is not None:
                self.drop("name")
            if merged and merged[-1][0] is role:
                merged[-1][1].extend(turn.parts)
            else:
                merged.append((role, list(turn.parts)))
        messages: list[Block] = []
        for role, parts in merged:
            parts.sort(key=lambda part: not isinstance(part, ToolResult))
            if content := self.parts.content(parts):
                messages.append({"role": role.value, "content": content})
        return messages

    # --- tools

    def tool(self, tool: Tool) -> Block:
        if tool.custom:
            if not is_null(tool.schema):
                self.drop("grammar")
            tool = as_function(tool)
        schema: object = {"type": "object", "properties": {}} if is_null(tool.schema) else tool.schema
        block: Block = {"name": tool.name, "input_schema": schema}
        if tool.description is not None:
            block["description"] = tool.description
        if tool.strict and "tools.strict" in self._host.rejects:
            self.drop("strict")
        elif tool.strict:
            block["strict"] = True
        return self.parts.marked(block, tool.cache)

    def tool_choice(self, request: Request) -> Block:
        asked = request.tool_choice
        if not request.tools:  # without tools Anthropic admits no choice of them
            if asked.choice in (Choice.REQUIRED, Choice.NAMED):
                self.drop("tool_choice")
            return {}
        if asked.choice is None and asked.parallel is not False:
            return {}
        choice: Block = {"type": _CHOICES[asked.choice or Choice.AUTO]}
        if asked.choice is Choice.NAMED:
            choice["name"] = asked.name
        if asked.parallel is False and asked.choice is not Choice.NONE:
            choice["disable_parallel_tool_use"] = True
        return {"tool_choice": choice}

    # --- the rest

    def max_output(self, request: Request) -> int:
        most = self._host.max_output
        if request.max_output is None:
            return min(most or DEFAULT_MAX_OUTPUT, DEFAULT_MAX_OUTPUT)
        if most is not None and request.max_output > most:
            self.drop("max_output")
            return most
        return request.max_output

    def sampling(self, request: Request) -> Block:
        asked = request.sampling
        for name in ("presence_penalty", "frequency_penalty", "logprobs", "top_logprobs"):
            if getattr(asked, name):
                self.drop(name)
        if asked.seed is not None:
            self.drop("seed")
        if not is_null(asked.logit_bias):
            self.drop("logit_bias")
        for name in ("verbosity", "cache_key"):
            if getattr(request, name) is not None:
                self.drop(name)
        if not is_null(request.metadata):
            self.drop("metadata")
        said = {name: getattr(asked, name) for name in ("temperature", "top_p", "top_k")}
        return {name: value for name, value in said.items() if value is not None}

    def thinking(self, request: Request, body: Block) -> Block:
        """How to think, and with it the shape of the output: they share `output_config`."""
        asked, host = request.thinking, self._host
        config: Block = {}
        written: Block = {}
        if asked.on is False or asked.effort == "none":
            off = host.thinking_off
            written |= {"thinking": {"type": "disabled"}} if is_null(off) else _members(off)
        elif asked.on or asked.effort is not None or asked.budget is not None:
            on = host.thinking_on
            written |= self._thinking_on(request, body) if is_null(on) else _members(on)
            self._show(asked, written)
        if asked.effort not in (None, "none"):
            effort = nearest_effort(asked.effort or "", host.efforts or EFFORTS)
            config = {} if effort is None else {"effort": effort}
            if effort is None:
                self.drop("thinking.effort")
        if request.output is not None and is_null(request.output.schema):
            self.drop("output")
        elif request.output is not None:
            config["format"] = {"type": "json_schema", "schema": request.output.schema}
        return written | ({"output_config": config} if config else {})

    def _thinking_on(self, request: Request, body: Block) -> Block:
        asked, most = request.thinking, body["max_tokens"]
        assert isinstance(most, int)
        if self._host.adaptive and (asked.adaptive or asked.budget is None):
            return {"thinking": {"type": "adaptive"}}
        wanted = budget_of(asked.effort) if asked.budget is None else asked.budget
        budget = max(LEAST_BUDGET, min(wanted, most - 1))
        if budget >= most:  # no room to think in
            self.drop("thinking")
            return {}
        if asked.budget not in (None, budget):
            self.drop("thinking.budget")
        return {"thinking": {"type": "enabled", "budget_tokens": budget}}

    def _show(self, asked: Thinking, written: Block) -> None:
        switch = written.get("thinking")
        if asked.summary is None or not isinstance(switch, dict):
            return
        switch["display"] = "summarized"
        if asked.summary != "auto":
            self.drop("thinking.summary")

    def service_tier(self, request: Request) -> Block:
        if request.service_tier is None:
            return {}
        if request.service_tier not in _TIERS:
            self.drop("service_tier")
            return {}
        tier = _TIERS[request.service_tier]
        return {} if tier is None else {"service_tier": tier}


def _members(raw: msgspec.Raw) -> Block:
    return msgspec.json.decode(raw, type=dict[str, object])
