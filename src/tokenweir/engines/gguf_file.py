"""What a GGUF file says of itself, read from its head: enough to refuse a damaged or too large one in words.

The format is described in ggml's docs/gguf.md; a test compares the types with llama.cpp's wheel `gguf`.
"""

import math
import struct
from pathlib import Path
from typing import BinaryIO

import msgspec

from tokenweir.core.errors import EngineError

#: Of each tensor type: values in a block and bytes of a block.
BLOCKS: dict[int, tuple[int, int]] = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18),
}  # fmt: skip

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MAX_KEY_BYTES = 65_535
_MAX_STRING_BYTES = 64 * 1024 * 1024
_MAX_ENTRIES = 1_000_000
_MAX_ARRAY = 16_000_000
_MAX_DIMENSIONS = 8
_MAX_DEPTH = 2
_DEFAULT_ALIGNMENT = 32
_MAX_ALIGNMENT = 1024 * 1024

Value = int | float | bool | str | None


class GgufFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A model file in short. Sizes in bytes; 0 where the file does not say."""

    architecture: str
    name: str
    file_bytes: int
    data_bytes: int  # where the last tensor ends; 0: unknown types of tensor
    layers: int
    context: int  # tokens it was trained for
    kv_bytes_per_token: int  # of a cache in 16 bits
    chat_template: bool


class _Reader:
    """Reads numbers and strings, and refuses lengths beyond the file's."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.size = size

    def take(self, length: int) -> bytes:
        if length < 0 or self._file.tell() + length > self.size:
            raise EOFError
        return self._file.read(length)

    def skip(self, length: int) -> None:
        if length < 0 or self._file.tell() + length > self.size:
            raise EOFError
        self._file.seek(length, 1)

    def number(self, code: str) -> int:
        (value,) = struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))
        return int(value)

    def text(self, most: int) -> str:
        length = self.number("Q")
        if length > most:
            raise ValueError(f"a text of {length} bytes")
        return self.take(length).decode(errors="replace")

    def tell(self) -> int:
        return self._file.tell()

    def value(self, kind: int, depth: int = 0) -> Value | list[int]:
        """A value; of arrays only short ones of whole numbers are kept, others are passed over."""
        if kind in _SCALARS:
            value: Value = struct.unpack(
                f"<{_SCALARS[kind]}", self.take(struct.calcsize(f"<{_SCALARS[kind]}"))
            )[0]
            return value
        if kind == _STRING:
            return self.text(_MAX_STRING_BYTES)
        if kind != _ARRAY or depth >= _MAX_DEPTH:
            raise ValueError(f"a value of type {kind}")
        inner, length = self.number("I"), self.number("Q")
        if length > _MAX_ARRAY:
            raise ValueError(f"an array of {length} values")
        if inner in _SCALARS:
            return self._scalars(inner, length)
        for _ in range(length):
            if inner == _STRING:
                self.skip(self.number("Q"))
            else:
                self.value(inner, depth + 1)
        return None

    def _scalars(self, kind: int, length: int) -> list[int] | None:
        code = _SCALARS[kind]
        if length > 4_096 or code in "fd":
            self.skip(length * struct.calcsize(f"<{code}"))
            return None
        return [
            int(value)
            for value in struct.unpack(f"<{length}{code}", self.take(length * struct.calcsize(code)))
        ]


def read_gguf(path: Path) -> GgufFacts:
    """The facts of a model file. Raises EngineError when it is missing, no GGUF file, damaged or cut off."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            facts = _read(_Reader(file, size))
    except FileNotFoundError:
        raise EngineError(f"there is no model file {path}") from None
    except OSError as error:
        raise EngineError(f"the model file {path} cannot be read: {error.strerror}") from None
    except EOFError:
        raise EngineError(f"the model file {path} is cut off within its head; download it again") from None
    except ValueError as error:
        raise EngineError(f"the model file {path} is damaged ({error}); download it again") from None
    if facts is None:
        raise EngineError(f"{path} is no GGUF model file")
    if facts.file_bytes < facts.data_bytes:
        short = f"it has {facts.file_bytes:,} of {facts.data_bytes:,} bytes"
        raise EngineError(f"the model file {path} is cut off: {short}; download it again")
    return facts


def _read(reader: _Reader) -> GgufFacts | None:
    if reader.size < 4 or reader.take(4) != b"GGUF":
        return None
    version = reader.number("I")
    if version not in {2, 3}:
        raise ValueError(f"version {version} of the format")
    tensors, entries = reader.number("Q"), reader.number("Q")
    if tensors > _MAX_ENTRIES or entries > _MAX_ENTRIES:
        raise ValueError(f"{tensors} tensors and {entries} entries")
    found: dict[str, Value | list[int]] = {}
    for _ in range(entries):
        key = reader.text(_MAX_KEY_BYTES)
        found[key] = reader.value(reader.number("I"))
    alignment = _number(found, "general.alignment") or _DEFAULT_ALIGNMENT
    if not 0 < alignment <= _MAX_ALIGNMENT:
        raise ValueError(f"an alignment of {alignment} bytes")
    end = _tensors_end(reader, tensors, alignment)
    return _facts(found, reader.size, end)


def _tensors_end(reader: _Reader, tensors: int, alignment: int) -> int:
    """Where the data of the last tensor ends; 0 when a type is not known here."""
    last, known = 0, True
    for _ in range(tensors):
        reader.text(_MAX_KEY_BYTES)
        dimensions = reader.number("I")
        if dimensions > _MAX_DIMENSIONS:
            raise ValueError(f"a tensor of {dimensions} dimensions")
        count = math.prod(reader.number("Q") for _ in range(dimensions))
        block = BLOCKS.get(reader.number("I"))
        offset = reader.number("Q")
        if block is None:
            known = False
        else:
            last = max(last, offset + count // block[0] * block[1])
    start = -(-reader.tell() // alignment) * alignment
    return start + last if known else 0


def _number(found: dict[str, Value | list[int]], key: str) -> int:
    value = found.get(key)
    if isinstance(value, list):  # one for each layer: the largest bounds them all
        return max(value, default=0)
    if isinstance(value, float):
        return int(value) if value.is_integer() else 0
    return value if isinstance(value, int) else 0


def _facts(found: dict[str, Value | list[int]], size: int, end: int) -> GgufFacts:
    architecture = str(found.get("general.architecture") or "")
    if not architecture:
        raise ValueError("it names no architecture")
    layers = _number(found, f"{architecture}.block_count")
    heads = _number(found, f"{architecture}.attention.head_count")
    width = _number(found, f"{architecture}.embedding_length") // heads if heads else 0
    keys = _number(found, f"{architecture}.attention.key_length") or width
    values = _number(found, f"{architecture}.attention.value_length") or width
    kv_heads = _number(found, f"{architecture}.attention.head_count_kv") or heads
    return GgufFacts(
        architecture=architecture,
        name=str(found.get("general.name") or ""),
        file_bytes=size,
        data_bytes=end,
        layers=layers,
        context=_number(found, f"{architecture}.context_length"),
        kv_bytes_per_token=layers * kv_heads * (keys + values) * 2,
        chat_template="tokenizer.chat_template" in found,
    )
