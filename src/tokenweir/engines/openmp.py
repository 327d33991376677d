"""GCC's OpenMP runtime, which the wheel of llama.cpp needs and does not carry, and which a bare Debian lacks.

The wheel `pykdtree` carries one, under a name of its own. The loader finds it by its usual name in a directory of
`LD_LIBRARY_PATH`, which is read when a program starts.
"""

import ctypes
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

SONAME = "libgomp.so.1"
MISSING = f"{SONAME} is not on this machine; install it (on Debian: apt-get install libgomp1)"


def on_the_system() -> bool:
    """Whether the loader finds it by itself."""
    try:
        ctypes.CDLL(SONAME)
    except OSError:
        return False
    return True


def carried() -> Path | None:
    """The one that a wheel carries."""
    try:
        files = distribution("pykdtree").files or []
    except PackageNotFoundError:
        return None
    found = (Path(str(file.locate())) for file in files if file.name.startswith("libgomp-"))
    return next((path for path in found if path.exists()), None)


def directory_with(library: Path, place: Path) -> Path:
    """A directory below `place` where the library has its usual name. Raises OSError."""
    directory = place / "lib"
    directory.mkdir(exist_ok=True)
    link = directory / SONAME
    link.unlink(missing_ok=True)
    link.symlink_to(library)
    return directory
