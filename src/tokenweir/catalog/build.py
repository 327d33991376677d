"""Makes the catalog that ships: `python -m tokenweir.catalog.build MODELS_DEV_JSON HISTORY_CSV OUT`."""

import gzip
import sys
from pathlib import Path

import msgspec

from tokenweir.catalog.history import with_history
from tokenweir.catalog.hosts import CatalogData
from tokenweir.catalog.models_dev import read_models_dev
from tokenweir.core.errors import CatalogError

#: What a packed catalog may unpack to.
MAX_UNPACKED_BYTES = 64 * 1024 * 1024


def pack(data: CatalogData) -> bytes:
    """The file: JSON, compressed, the same bytes for the same data."""
    return gzip.compress(msgspec.json.encode(data), mtime=0)


def unpack(packed: bytes) -> CatalogData:
    """The catalog in the file. Raises CatalogError."""
    try:
        return msgspec.json.decode(gzip.decompress(packed), type=CatalogData)
    except (OSError, EOFError, ValueError, msgspec.DecodeError) as error:
        raise CatalogError(f"the file of the catalog is damaged: {error}") from None


if __name__ == "__main__":
    listed, history, out = map(Path, sys.argv[1:])
    out.write_bytes(pack(with_history(read_models_dev(listed.read_bytes()), history.read_text())))
