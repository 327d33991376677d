"""Model files by reference: a path, `hf:OWNER/REPO[/FILE][@REVISION]` or `modelscope:OWNER/REPO[/FILE]`."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tokenweir.core.errors import EngineError
from tokenweir.engines.download import Progress, Wanted, download
from tokenweir.engines.hub_http import fetch_page
from tokenweir.engines.model_reference import (
    HUBS,
    Reference,
    RemoteFile,
    choose,
    content_url,
    endpoint_of,
    listing_url,
    parse_reference,
    read_listing,
)

_MAX_PAGES = 20
#: Remembers which file of a repository was chosen, so that a later start needs no network.
_CHOICE = ".chosen"


def model_name(text: str) -> str:
    """What a model is called by default: its file's or its repository's name, without endings."""
    reference = parse_reference(text)
    last = Path(reference.path or reference.repo if reference else text).name
    return last.removesuffix(".gguf").removesuffix("-GGUF")


def present_model(text: str, directory: Path) -> Path | None:
    """The model's file if it is on this machine. Uses no network. Raises EngineError: a wrong reference."""
    reference = parse_reference(text)
    if reference is None:
        path = Path(text).expanduser()
        return path if path.is_file() else None
    folder = directory / reference.folder
    name = reference.path or _chosen(folder)
    path = folder / name
    return path if name and path.is_file() else None


def resolve_model(
    text: str,
    directory: Path,
    environ: Mapping[str, str] = os.environ,
    *,
    progress: Callable[[str, int, int], None] = lambda _name, _done, _total: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """The model's file, downloaded to `directory` where it is not there yet.

    `progress` is called with a file's name, the bytes there are and the bytes there will be (0: unknown).
    Raises EngineError: wrong reference, no such file, several to choose from, refused, given up, no room.
    """
    present = present_model(text, directory)
    if present is not None:
        return present
    reference = parse_reference(text)
    if reference is None:
        raise EngineError(f"there is no model file {Path(text).expanduser()}")
    hub = HUBS[reference.hub]
    endpoint, token = endpoint_of(hub, environ), environ.get(hub.token_variable, "")
    parts = choose(reference, _list(reference, endpoint, token, sleep))
    folder = directory / reference.folder
    for part in reversed(parts):  # the first part last: where it is, all are
        if (folder / part.path).is_file():
            continue
        wanted = Wanted(
            url=content_url(reference, endpoint, part.path),
            size_bytes=part.size_bytes,
            sha256=part.sha256,
            token=token,
        )
        download(wanted, folder / part.path, _named(progress, part), sleep)
    if not reference.path:
        (folder / _CHOICE).write_text(parts[0].path)
    return folder / parts[0].path


def _named(progress: Callable[[str, int, int], None], part: RemoteFile) -> Progress:
    return lambda done, total: progress(part.path, done, total)


def _chosen(folder: Path) -> str:
    try:
        return (folder / _CHOICE).read_text()
    except FileNotFoundError:
        return ""


def _list(
    reference: Reference, endpoint: str, token: str, sleep: Callable[[float], None]
) -> list[RemoteFile]:
    files: list[RemoteFile] = []
    url = listing_url(reference, endpoint)
    for _ in range(_MAX_PAGES):
        body, url = fetch_page(url, token, sleep)
        files += read_listing(reference.hub, body)
        if not url:
            return files
    raise EngineError(f"{reference.repo} has too many files; name the one you want")
