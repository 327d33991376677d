"""Citations of addresses: OpenAI's `url_citation` and the shape of Anthropic's that the middle form holds.

Anthropic's says which text was cited, OpenAI's where in the answer; the form keeps both where both were said.
"""

import msgspec

from tokenweir.protocol.envelope import UNREADABLE
from tokenweir.protocol.translate.answer import Cited, Event

_TYPE = "web_search_result_location"


class UrlCitation(msgspec.Struct, omit_defaults=True):
    """An address, and the characters of the answer that lean on it."""

    url: str
    title: str = ""
    start_index: int | None = None
    end_index: int | None = None


class _Cited(msgspec.Struct):
    url: str
    title: str | None = None
    type: str = _TYPE
    cited_text: str = ""
    encrypted_index: str = ""
    start_index: int | msgspec.UnsetType = msgspec.UNSET
    end_index: int | msgspec.UnsetType = msgspec.UNSET


_CITED = msgspec.json.Decoder(_Cited)


def citation_of(found: UrlCitation) -> msgspec.Raw:
    """An address as the form holds a citation."""
    cited = _Cited(found.url, found.title or None)
    if found.start_index is not None and found.end_index is not None:
        cited.start_index, cited.end_index = found.start_index, found.end_index
    return msgspec.Raw(msgspec.json.encode(cited))


def url_citation(citation: msgspec.Raw) -> UrlCitation | None:
    """The address that a citation of the form names; None where it cites something else, as a passage of a document."""
    try:
        found = _CITED.decode(citation)
    except UNREADABLE:
        return None
    start = None if isinstance(found.start_index, msgspec.UnsetType) else found.start_index
    end = None if isinstance(found.end_index, msgspec.UnsetType) else found.end_index
    return UrlCitation(found.url, found.title or "", start, end)


def lost_citation(event: Event) -> str:
    """What OpenAI's dialects cannot tell of an answer: citations that name no address."""
    return "citations" if isinstance(event, Cited) and url_citation(event.citation) is None else ""
