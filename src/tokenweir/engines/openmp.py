"""GCC's OpenMP runtime, which the wheel of llama.cpp needs and does not carry, and which a bare Debian lacks.

The wheel `pykdtree` carries one, under a name of its own. The loader takes a library that is already loaded for one that
is needed when it bears the needed name (DT_SONAME), so a copy that bears it is loaded first.
"""

import ctypes
import tempfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from tokenweir.core.errors import EngineError

SONAME = "libgomp.so.1"
_MISSING = f"{SONAME} is not on this machine; install it (on Debian: apt-get install libgomp1)"


def load() -> None:
    """Make sure that the library is loaded, or can be. Raises EngineError."""
    if _loads(SONAME):
        return
    library = carried()
    if library is None:
        raise EngineError(_MISSING)
    with tempfile.NamedTemporaryFile(suffix=f"-{SONAME}") as copy:
        copy.write(renamed(library.read_bytes(), library.name))
        copy.flush()
        if not (_loads(copy.name) and _loads(SONAME)):
            raise EngineError(_MISSING)


def carried() -> Path | None:
    """The one that a wheel carries."""
    try:
        files = distribution("pykdtree").files or []
    except PackageNotFoundError:
        return None
    found = (Path(str(file.locate())) for file in files if file.name.startswith("libgomp-"))
    return next((path for path in found if path.exists()), None)


def renamed(library: bytes, name: str) -> bytes:
    """The library under its usual name, which is shorter: what follows it in the table of names stays in its place."""
    bears = name.encode() + b"\0"
    return library.replace(bears, SONAME.encode().ljust(len(bears), b"\0"))


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True
