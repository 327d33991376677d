"""How hosts and engines differ within one dialect: data, so that a new host is a few lines of TOML.

The same members stand in `data/dialects.toml`, which ships, and in the `[upstream.chat]` of a user's settings. A member
that is left out is as the dialect's own reference has it.
"""

from functools import cache
from importlib import resources

import msgspec

#: Lists that are joined where one table goes over another; every other member is replaced.
_JOINED = frozenset({"rejects", "thinking_rejects", "takes"})


class Differences(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a request of one dialect must be like at one host. None: as the dialect's reference has it."""

    #: Members that it refuses ("seed"). In chat also types of parts ("image_url", "file"), "messages.name", "tools.strict",
    #: ways to choose a tool ("tool_choice.required"), and "system_turns": instructions between turns.
    rejects: tuple[str, ...] = ()
    thinking_rejects: tuple[str, ...] = ()  # those that it refuses unless thinking is switched off
    takes: tuple[str, ...] = ()  # beyond the reference: "top_k", "cache_control", "custom_tools", "file_url"
    always: dict[str, object] | None = None  # members that every request gets
    output_name: str | None = None  # what takes the longest output: "max_completion_tokens"
    thinking_on: dict[str, object] | None = None  # members that switch thinking on
    thinking_off: dict[str, object] | None = None
    thinking_budget: str | None = None  # member that takes a budget in tokens: "thinking.budget_tokens"
    effort_name: str | None = None  # member that takes an effort: "reasoning_effort"
    efforts: tuple[str, ...] | None = None  # those that it knows, from least to most
    reasoning_name: str | None = (
        None  # member of a message in which reasoning goes back to the model; "": none
    )
    reasoning_filler: str | None = None  # what stands there on turns whose reasoning is gone, where it must
    takes_schema: bool | None = None  # whether output can be held to a JSON schema
    max_output: int | None = None  # tokens
    adaptive: bool | None = None  # messages: takes thinking of type "adaptive"
    signed_thinking: bool | None = None  # messages: refuses thinking that it did not sign
    system_turns: bool | None = None  # messages: takes instructions between turns
    plain_tool_ids: bool | None = None  # messages: letters, digits, "_" and "-" alone in the ids of calls
    counts_tokens: bool | None = None  # messages: has /v1/messages/count_tokens
    reasoning_text: bool | None = None  # responses: takes back reasoning as text


class ModelDifferences(Differences, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes over those of the host for models whose names match one of `match` ("kimi-k3*"), no matter the case."""

    match: tuple[str, ...]


class SpokenDialect(Differences, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A dialect that a host speaks."""

    path: str | None = (
        None  # in front of "/messages" and the like, where it is not that of the host's address
    )
    betas: tuple[
        str, ...
    ] = ()  # messages: beginnings of flags that it reads in `anthropic-beta`; "*" for all
    models: tuple[ModelDifferences, ...] = ()  # the first that matches counts

    def of_model(self, number: int) -> Differences:
        """The differences of the models of `models[number]`."""
        return joined(self, self.models[number])


class HostDialects(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The dialects of one host, or of mirrors that differ in nothing else than their address."""

    names: tuple[str, ...]
    key_header: str = "authorization"  # or "x-api-key": the header that carries the key
    chat: SpokenDialect | None = None
    messages: SpokenDialect | None = None
    responses: SpokenDialect | None = None

    def spoken(self) -> dict[str, SpokenDialect]:
        """By name, the one that suits best first."""
        every = {"chat": self.chat, "messages": self.messages, "responses": self.responses}
        return {name: spoken for name, spoken in every.items() if spoken is not None}


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: tuple[HostDialects, ...]


def joined(under: Differences, over: Differences) -> Differences:
    """What `over` says, and what `under` says where it says nothing. The result is a plain `Differences`."""
    members: dict[str, object] = {}
    for name in Differences.__struct_fields__:
        lower, upper = getattr(under, name), getattr(over, name)
        if name in _JOINED:
            members[name] = tuple(dict.fromkeys((*lower, *upper)))
        else:
            members[name] = lower if upper is None else upper
    return msgspec.convert(members, Differences)


def over_spoken(under: SpokenDialect, over: SpokenDialect) -> SpokenDialect:
    """A user's table over the one that ships."""
    told = joined(under, over)
    members = {name: getattr(told, name) for name in Differences.__struct_fields__}
    return SpokenDialect(
        **members,
        path=over.path or under.path,
        betas=(*under.betas, *over.betas),
        models=(*over.models, *under.models),
    )


def read_dialects(body: bytes) -> dict[str, HostDialects]:
    """From a file's bytes, by each of the names. Raises msgspec.DecodeError with the member that is wrong."""
    return {name: host for host in msgspec.toml.decode(body, type=_File).host for name in host.names}


@cache
def shipped_dialects() -> dict[str, HostDialects]:
    """Those that ship, by the ids of hosts and the kinds of engines."""
    return read_dialects(resources.files("tokenweir.catalog").joinpath("data/dialects.toml").read_bytes())


#: The entry for an address of which nothing is known.
UNKNOWN = "openai-compatible"


def dialects_of(*names: str) -> HostDialects:
    """Of the first name that is known; else those of any OpenAI-compatible address."""
    known = shipped_dialects()
    return next((known[name] for name in names if name in known), known[UNKNOWN])
