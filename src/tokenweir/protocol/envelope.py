"""What metering reads of an answer or of a chunk of one, whatever host sent it; and whether it is an error in disguise."""

from typing import TypeVar

import msgspec

#: JSON that cannot be read. Nesting beyond what the decoder follows is a RecursionError.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_NULL = msgspec.Raw(b"null")
#: Values of "error" by which a host says that there was none.
_NO_ERROR = frozenset({b"null", b"false", b"0", b'""', b"{}", b"[]"})


C = TypeVar("C", bound="Envelope")


class _BaseResp(msgspec.Struct):
    status_code: int = 0


_BASE_RESP = msgspec.json.Decoder(_BaseResp)


class Envelope(msgspec.Struct):
    """The members beside the choices. A missing one is null."""

    model: object = None
    usage: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL
    base_resp: msgspec.Raw = _NULL  # MiniMax
    data: msgspec.Raw = _NULL  # embeddings
    message: object = None
    msg: object = None

    def served_model(self) -> str:
        """The model's name as the upstream says it, cut to a sane length."""
        return self.model[:200] if isinstance(self.model, str) else ""

    def failed(self, *, empty: bool) -> bool:
        """Whether this is an error that came with status 200; `empty` where it has no choices.

        As `error` (OpenAI and most others), a `base_resp` whose status is not 0 (MiniMax), or a bare message in place
        of an answer (vLLM, SGLang, DashScope, Zhipu, SiliconFlow).
        """
        if self.error is not _NULL and bytes(self.error) not in _NO_ERROR:
            return True
        if self.base_resp is not _NULL and _base_status(self.base_resp) != 0:
            return True
        bare = empty and bytes(self.data) == b"null" and bytes(self.usage) == b"null"
        return bare and (isinstance(self.message, str) or isinstance(self.msg, str))


def _base_status(raw: msgspec.Raw) -> int:
    if bytes(raw) == b"null":
        return 0
    try:
        return _BASE_RESP.decode(raw).status_code
    except UNREADABLE:
        return 0


_LENIENT = msgspec.json.Decoder(Envelope)


def read_envelope(data: bytes, decoder: msgspec.json.Decoder[C]) -> tuple[C, bool]:
    """An answer or a chunk, and whether all of it was read: choices may have a shape of their own.

    Raises one of UNREADABLE.
    """
    try:
        return decoder.decode(data), True
    except msgspec.ValidationError:
        return decoder.type(**msgspec.structs.asdict(_LENIENT.decode(data))), False
