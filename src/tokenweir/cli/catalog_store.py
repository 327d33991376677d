"""The catalog on disk: the one that ships, and over it the one that `weir prices update` wrote, if it is newer."""

import fcntl
import os
from pathlib import Path

from tokenweir.catalog.build import pack, unpack
from tokenweir.catalog.hosts import CatalogData
from tokenweir.catalog.providers import shipped
from tokenweir.core.errors import CatalogError

#: Below the data directory.
CATALOG_NAME = "catalog.json.gz"
PREVIOUS_NAME = "catalog.previous.json.gz"


def load_catalog(directory: Path) -> tuple[CatalogData, str]:
    """The newer of the two, and what must be known of it (empty: nothing). A damaged file is told, not used."""
    ours = shipped()
    try:
        theirs = unpack((directory / CATALOG_NAME).read_bytes())
    except FileNotFoundError:
        return ours, ""
    except (OSError, CatalogError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        return ours, f"{directory / CATALOG_NAME}: {why}; shipped prices are used; run `weir prices update`"
    return (theirs, "") if theirs.date > ours.date else (ours, "")


def save_catalog(directory: Path, data: CatalogData) -> Path:
    """Write it whole and durably; the one before stays as PREVIOUS_NAME. Raises CatalogError."""
    target, unfinished = directory / CATALOG_NAME, directory / f"{CATALOG_NAME}.unfinished"
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate()
            file.write(pack(data))
            file.flush()
            os.fsync(file.fileno())
            _keep_previous(target, directory / PREVIOUS_NAME)
            unfinished.replace(target)
        _sync(directory)
    except BlockingIOError:
        raise CatalogError("another `weir prices update` is at work; wait for it") from None
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise CatalogError(
            f"{target} cannot be written: {error.strerror}; the prices in use are kept"
        ) from None
    return target


def _keep_previous(target: Path, previous: Path) -> None:
    """A second name for what is there, put in the old one's place at once: at no moment is there none."""
    if not target.exists():
        return
    spare = previous.with_name(previous.name + ".unfinished")
    spare.unlink(missing_ok=True)
    os.link(target, spare)
    spare.replace(previous)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
