"""Upstreams taken out of service by hand, and back: no new call goes to a drained one, on any worker."""

import msgspec

from tokenweir.admin.desk import Asked
from tokenweir.admin.forms import Body, Moment, Page, Words, moment_or_none
from tokenweir.admin.problems import Problem, not_found
from tokenweir.core.sentence import say
from tokenweir.ledger.terms import Drained, DrainUpstream, RestoreUpstream


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """An upstream. `served`: the settings have it at the moment."""

    name: str
    served: bool
    drained: Moment | None  # since when it gets no new calls
    note: str  # why


class Draining(Body, frozen=True, kw_only=True):
    """Why it is taken out of service, in a few words."""

    note: Words = ""


def list_upstreams(asked: Asked) -> Page[Upstream]:
    """Upstreams that are served or drained, by their names."""
    served = set(asked.desk.lookups.upstreams())
    names = sorted(served | set(asked.terms.drained))
    return Page(tuple(_told(asked, name, name in served) for name in names), None)


def drain_upstream(asked: Asked, name: str, body: Draining) -> Upstream | Problem:
    """Send no new call to an upstream; those under way end as they began. In force on every worker once it is answered."""
    if name not in asked.desk.lookups.upstreams():
        return not_found(say("upstream {name!r}", name=name[:100]))
    refused = asked.change([DrainUpstream(Drained(name, asked.now_us, body.note))])
    return refused or _told(asked, name, True)


def restore_upstream(asked: Asked, name: str) -> Upstream | Problem:
    """Send calls to an upstream again."""
    refused = asked.change([RestoreUpstream(name)])
    return refused or _told(asked, name, name in asked.desk.lookups.upstreams())


def _told(asked: Asked, name: str, served: bool) -> Upstream:
    drained = asked.terms.drained.get(name)
    return Upstream(
        name=name,
        served=served,
        drained=moment_or_none(None if drained is None else drained.since_us),
        note="" if drained is None else drained.note,
    )
