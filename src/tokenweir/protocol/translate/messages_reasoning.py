"""Thinking blocks of Anthropic Messages, and what a signature carries for reasoning that came from elsewhere."""

from tokenweir.protocol.translate.envelope import seal, unseal
from tokenweir.protocol.translate.form import Reasoning


def read_thinking(text: str, signature: str | None) -> Reasoning:
    """A client's `thinking` block. A signature made here gives back what it carries, whatever the text is."""
    return unseal(signature or "") or Reasoning(text=text, signature=signature or None)


def read_redacted(data: str) -> Reasoning:
    """A client's `redacted_thinking` block."""
    return unseal(data) or Reasoning(encrypted=data)


def is_redacted(reasoning: Reasoning) -> bool:
    """Whether it is Anthropic's redacted thinking: what only its host can read, and no item of Responses."""
    return reasoning.encrypted is not None and reasoning.id is None and not reasoning.summary


def visible_text(reasoning: Reasoning) -> str:
    """What may be read of it."""
    return reasoning.text or "\n\n".join(reasoning.summary)


def client_signature(reasoning: Reasoning) -> str:
    """The signature with which a client brings all of it back; empty where the text is all there is."""
    if reasoning.encrypted or reasoning.summary or reasoning.id:
        return seal(reasoning)
    return reasoning.signature or ""
