"""What a host takes and how it likes to be told: data of the catalog, never branches in code.

Parameters belong to the host, not to the model: one model behind two hosts wants two of these.
"""

from fnmatch import fnmatchcase

import msgspec

from tokenweir.protocol.translate.form import NULL


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """The differences of one host in one dialect. The defaults are the dialect's own reference behaviour."""

    #: Members of a request that it refuses, or members of those ("output_config.effort"): dropped, and named.
    #: In chat also types of parts ("image_url"), "messages.name", "tools.strict", ways to choose a tool
    #: ("tool_choice.required"), and "system_turns": instructions between turns, which the user says then.
    rejects: frozenset[str] = frozenset()
    thinking_rejects: frozenset[str] = frozenset()  # those that it refuses unless thinking is switched off
    takes: frozenset[str] = frozenset()  # members beyond the dialect's reference: "top_k", "cache_control"
    always: msgspec.Raw = NULL  # JSON object of members that every translated request gets
    output_name: str = "max_tokens"  # chat: or "max_completion_tokens"
    thinking_on: msgspec.Raw = NULL  # JSON object whose members switch thinking on; null: it has no switch
    thinking_off: msgspec.Raw = NULL
    thinking_budget: str = ""  # member that takes the budget in tokens ("thinking.budget_tokens"); "": none
    effort_name: str = ""  # member that takes the effort ("reasoning_effort"); "": none
    efforts: tuple[str, ...] = ()  # those it knows, from least to most; empty: any
    reasoning_name: str = "reasoning_content"  # chat: member in which reasoning goes back; "": it takes none
    reasoning_filler: str | None = None  # chat: what stands there on turns whose reasoning is gone
    takes_schema: bool = True  # chat: response_format of type json_schema
    max_output: int | None = None  # tokens: more is clamped, and named
    adaptive: bool = True  # messages: takes thinking of type "adaptive"; else "enabled", with a budget
    signed_thinking: bool = False  # messages: refuses thinking that it did not sign itself (Anthropic)
    system_turns: bool = (
        False  # messages: takes instructions between turns (Claude since 4.8); else the user says them
    )
    plain_tool_ids: bool = (
        False  # messages: takes letters, digits, "_" and "-" alone in the ids of calls (Anthropic)
    )
    counts_tokens: bool = False  # messages: has /v1/messages/count_tokens
    #: responses: takes back reasoning as text (vLLM). OpenAI refuses it (`array_above_max_length`), and reads no other
    #: than its own encrypted one.
    reasoning_text: bool = False
    by_model: tuple[
        tuple[tuple[str, ...], "Host"], ...
    ] = ()  # patterns in lower case, and what holds for them

    def of(self, model: str) -> "Host":
        """The differences for this model."""
        name = model.lower()
        for patterns, host in self.by_model:
            if any(fnmatchcase(name, pattern) for pattern in patterns):
                return host
        return self
