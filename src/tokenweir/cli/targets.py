"""From the catalog's and the user's tables of dialects to what an upstream is sent."""

from collections.abc import Mapping

import msgspec

from tokenweir.catalog.dialects import (
    Differences,
    HostDialects,
    SpokenDialect,
    joined,
    over_spoken,
)
from tokenweir.gateway.config import Target
from tokenweir.protocol.anthropic_headers import HeaderPolicy
from tokenweir.protocol.translate.host import Host
from tokenweir.protocol.wires import WIRES

#: What any OpenAI-compatible address is asked for as well, though nothing is translated to it.
BESIDE_CHAT = ("embeddings", "completions", "rerank")
_SETS = frozenset({"rejects", "thinking_rejects", "takes"})
_ENCODER = msgspec.json.Encoder(decimal_format="number")  # numbers of the settings are decimals


def targets_of(
    shipped: HostDialects, said: Mapping[str, SpokenDialect], only: tuple[str, ...], path: str
) -> tuple[Target, ...]:
    """The dialects of an upstream whose address ends in `path`: those that ship and those that the settings add.

    `only` names those that it speaks at all; empty: all of them.
    """
    spoken = shipped.spoken()
    spoken |= {name: over_spoken(spoken.get(name, SpokenDialect()), table) for name, table in said.items()}
    spoken |= {name: SpokenDialect() for name in only if name not in spoken}
    targets = [_target(name, dialect, path) for name, dialect in spoken.items() if not only or name in only]
    if any(target.dialect == "chat" for target in targets):
        targets += [Target(dialect=name, path=path + WIRES[name].path) for name in BESIDE_CHAT]
    return tuple(targets)


def _target(name: str, dialect: SpokenDialect, path: str) -> Target:
    return Target(
        dialect=name,
        path=(path if dialect.path is None else dialect.path) + WIRES[name].path,
        host=host_of(dialect),
        policy=HeaderPolicy(
            betas=tuple(b for b in dialect.betas if b != "*"), all_betas="*" in dialect.betas
        ),
    )


def host_of(dialect: SpokenDialect) -> Host:
    """The differences as the translation reads them."""
    by_model = tuple(
        (tuple(pattern.lower() for pattern in model.match), _plain(joined(dialect, model)))
        for model in dialect.models
    )
    return msgspec.structs.replace(_plain(dialect), by_model=by_model)


def _plain(differences: Differences) -> Host:
    members: dict[str, object] = {}
    for name in Differences.__struct_fields__:
        value = getattr(differences, name)
        if isinstance(value, dict):
            members[name] = msgspec.Raw(_ENCODER.encode(value))
        elif value is not None:
            members[name] = frozenset(value) if name in _SETS else value
    return Host(**members)  # type: ignore[arg-type]  # the names are the same: a test holds them so
