"""What goes upstream for one attempt: the call in the upstream's dialect, under its name of the model, with its headers."""

from typing import TYPE_CHECKING

import msgspec

from tokenweir.gateway.config import DeploymentConfig, Target
from tokenweir.gateway.plan import Plan
from tokenweir.protocol.anthropic_headers import upstream_headers
from tokenweir.protocol.http import header_lines
from tokenweir.protocol.passage import Passage, Straight, Translated
from tokenweir.protocol.wires import WIRES

if TYPE_CHECKING:
    from tokenweir.gateway.call import Call


class Outgoing(msgspec.Struct, frozen=True):
    """`kept_back` names headers of the client that this host does not take."""

    passage: Passage
    head: bytes
    body: bytes
    kept_back: tuple[str, ...]


def outgoing(call: "Call", plan: Plan, deployment: DeploymentConfig, granted: int | None) -> Outgoing:
    """For a deployment that `call` can reach; `granted`: tokens of output, where they have to be said."""
    way = plan.way(deployment, call.wire.name)
    assert way is not None  # else it was not reachable
    upstream = plan.upstreams[deployment.upstream]
    passage: Passage
    if way.dialect == call.wire.name and not call.anew:
        passage = Straight(call.wire, call.request, call.body)
    else:
        assert call.form is not None
        passage = Translated(call.wire, WIRES[way.dialect], way.host, call.form)
    body = passage.request(model=deployment.model, ask_usage=upstream.ask_usage, max_output=granted)
    own, dropped = _own_headers(call, way) if way.dialect == "messages" else (b"", ())
    head = b"%b%b%bcontent-length: %d\r\n\r\n" % (
        plan.request_prefix(upstream, way), own, call.forwarded, len(body)
    )  # fmt: skip
    return Outgoing(passage, head, body, dropped)


def _own_headers(call: "Call", way: Target) -> tuple[bytes, tuple[str, ...]]:
    """Those that the dialect of Anthropic has: the client's, where it speaks the same; and which of them are dropped."""
    client = call.anthropic_headers if call.wire.name == "messages" else []
    own = upstream_headers(way.policy, client)
    return header_lines(own.lines), own.dropped
