"""Reasoning in Chat Completions: a text in `reasoning_content` or `reasoning`, or OpenRouter's `reasoning_details`.

The details keep apart what a text cannot: signatures, summaries, encrypted reasoning, ids. Their shapes are those of
OpenRouter's documentation ("Reasoning Tokens"), which MiniMax shares.
"""

from collections.abc import Iterable

import msgspec

from tokenweir.protocol.translate.form import Reasoning

Detail = dict[str, object]


class ReasoningDetail(msgspec.Struct):
    """One detail as hosts and clients send it."""

    type: str | None = None
    text: str | None = None
    summary: str | None = None
    data: str | None = None
    signature: str | None = None
    id: str | None = None
    index: int | None = None

    def reasoning(self) -> Reasoning:
        """What it says, by itself."""
        return Reasoning(
            text=self.text or "",
            summary=(self.summary,) if self.summary else (),
            signature=self.signature or None,
            encrypted=self.data or None,
            id=self.id or None,
        )


def read_reasoning(text: str | None, details: Iterable[ReasoningDetail]) -> tuple[Reasoning, ...]:
    """The reasoning of a message: by its details where they say anything, else by its text.

    Details of one id are one piece of reasoning, as OpenAI's summaries and encrypted contents are.
    """
    found: list[Reasoning] = []
    for detail in details:
        told = detail.reasoning()
        if found and told.id is not None and found[-1].id == told.id:
            found[-1] = _joined(found[-1], told)
        elif told != Reasoning(id=told.id):
            found.append(told)
    if text and not any(told.text or told.summary for told in found):
        return (msgspec.structs.replace(found[0], text=text) if found else Reasoning(text=text), *found[1:])
    return tuple(found)


def _joined(one: Reasoning, other: Reasoning) -> Reasoning:
    return Reasoning(
        text=one.text + other.text,
        summary=one.summary + other.summary,
        signature=other.signature or one.signature,
        encrypted=other.encrypted or one.encrypted,
        id=one.id,
    )


def write_details(reasoning: Reasoning) -> list[Detail]:
    """The details that tell one piece of reasoning."""
    told: list[Detail] = []
    if reasoning.text or reasoning.signature:
        detail: Detail = {"type": "reasoning.text", "text": reasoning.text}
        told.append(detail | ({"signature": reasoning.signature} if reasoning.signature else {}))
    told += [{"type": "reasoning.summary", "summary": summary} for summary in reasoning.summary]
    if reasoning.encrypted:
        told.append({"type": "reasoning.encrypted", "data": reasoning.encrypted})
    return [detail | ({"id": reasoning.id} if reasoning.id else {}) for detail in told]


def is_plain(reasoning: Reasoning) -> bool:
    """Whether its text says all of it."""
    return reasoning == Reasoning(text=reasoning.text, cache=reasoning.cache)


def visible_text(reasoning: Reasoning) -> str:
    """What may be read of it."""
    return reasoning.text or "\n\n".join(reasoning.summary)
