"""Requests of the embeddings dialect."""

import msgspec

from tokenweir.protocol.chat import BadRequest, ChatRequest, decode, rewrite_chat


class _Body(msgspec.Struct):
    model: str
    input: msgspec.Raw


_DECODER = msgspec.json.Decoder(_Body)


def parse_embeddings(body: bytes) -> ChatRequest:
    """Raises BadRequest. An embedding has no output, so nothing is reserved for one."""
    found = decode(body, _DECODER)
    if not found.model:
        raise BadRequest("`model` is empty.", "model")
    return ChatRequest(model=found.model, max_output=0)


def rewrite_embeddings(
    body: bytes, request: ChatRequest, *, model: str, ask_usage: bool, max_output: int | None
) -> bytes:
    """`body` with the upstream's name of the model."""
    return rewrite_chat(body, request, model=model, ask_usage=False, max_output=None)
