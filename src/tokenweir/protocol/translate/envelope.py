"""Reasoning carried through a field that its bearer cannot read.

A client of Responses sends back the `encrypted_content` of a reasoning item, and need not send its text; a client of
Messages sends back `signature`. Where the reasoning came from a host that has no such field, the gateway puts what it
must get back on the next turn into the field itself. It is the client's own conversation: nothing is kept here.
"""

import base64
import binascii

import msgspec

from tokenweir.protocol.translate.form import Reasoning

PREFIX = "weir1."
#: Bytes in which a request shows that it brings back something sealed.
MARK = b'"weir1.'


class _Carried(msgspec.Struct, omit_defaults=True):
    text: str = ""
    summary: tuple[str, ...] = ()
    signature: str | None = None
    encrypted: str | None = None
    id: str | None = None


def seal(reasoning: Reasoning) -> str:
    """An opaque text that `unseal` turns back into the same reasoning (its cache mark aside)."""
    r = reasoning
    carried = _Carried(r.text, r.summary, r.signature, r.encrypted, r.id)
    return PREFIX + base64.urlsafe_b64encode(msgspec.json.encode(carried)).decode("ascii")


def unseal(sealed: str) -> Reasoning | None:
    """The reasoning that was sealed here, or None for a text that somebody else made."""
    if not sealed.startswith(PREFIX):
        return None
    try:
        data = base64.b64decode(sealed[len(PREFIX) :], altchars=b"-_", validate=True)
        c = msgspec.json.decode(data, type=_Carried)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        return None
    return Reasoning(text=c.text, summary=c.summary, signature=c.signature, encrypted=c.encrypted, id=c.id)
