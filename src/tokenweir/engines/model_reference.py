"""References to model files on Hugging Face and ModelScope: form, hubs' answers, choice of a file. No I/O."""

import re
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

import msgspec

from tokenweir.core.errors import EngineError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHARD = re.compile(r"^(?P<stem>.+)-(?P<part>\d{5})-of-(?P<parts>\d{5})\.gguf$", re.IGNORECASE)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PREFERRED = "q4_k_m"
_NOT_A_MODEL = ("mmproj", "imatrix")
_SHOWN_CHOICES = 12
_FORM = "hf:OWNER/REPO[/FILE.gguf][@REVISION]"


class Hub(msgspec.Struct, frozen=True, kw_only=True):
    """A place that models come from."""

    prefix: str
    title: str
    endpoint: str
    endpoint_variable: str
    token_variable: str
    revision: str  # where none is named
    listing: str  # with {repo} and {revision}
    content: str  # with {path} besides


HUBS: dict[str, Hub] = {
    hub.prefix: hub
    for hub in (
        Hub(
            prefix="hf",
            title="Hugging Face",
            endpoint="https://huggingface.co",
            endpoint_variable="HF_ENDPOINT",
            token_variable="HF_TOKEN",
            revision="main",
            listing="/api/models/{repo}/tree/{revision}?recursive=true",
            content="/{repo}/resolve/{revision}/{path}",
        ),
        Hub(
            prefix="modelscope",
            title="ModelScope",
            endpoint="https://www.modelscope.cn",
            endpoint_variable="MODELSCOPE_ENDPOINT",
            token_variable="MODELSCOPE_API_TOKEN",
            revision="master",
            listing="/api/v1/models/{repo}/repo/files?Revision={revision}&Recursive=true",
            content="/api/v1/models/{repo}/repo?Revision={revision}&FilePath={path}",
        ),
    )
}


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A file, or a repository to choose a file of, on a hub."""

    hub: str
    repo: str  # "owner/name"
    path: str  # within the repository; empty: to be chosen
    revision: str

    @property
    def folder(self) -> str:
        """Where its files are kept below the directory of models."""
        return f"{self.hub}/{self.repo}/{quote(self.revision, safe='')}"


class RemoteFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file on a hub."""

    path: str
    size_bytes: int
    sha256: str  # empty: the hub does not say


def parse_reference(text: str) -> Reference | None:
    """The reference in `text`, or None for a path on this machine. Raises EngineError for a wrong one."""
    prefix, colon, rest = text.partition(":")
    if not colon or prefix not in HUBS:
        return None
    place, at, revision = rest.partition("@")
    owner, _, after = place.partition("/")
    name, _, path = after.partition("/")
    if not (_NAME.fullmatch(owner) and _NAME.fullmatch(name)) or (at and not revision):
        raise EngineError(f"{text!r} names no model; the form is {_FORM.replace('hf', prefix, 1)}")
    if path and not (is_safe_path(path) and path.lower().endswith(".gguf")):
        raise EngineError(f"{text!r} names no GGUF file; the form is {_FORM.replace('hf', prefix, 1)}")
    hub = HUBS[prefix]
    return Reference(hub=prefix, repo=f"{owner}/{name}", path=path, revision=revision or hub.revision)


def is_safe_path(path: str) -> bool:
    """Whether a path stays within its folder and has no odd characters."""
    parts = path.split("/")
    return path.isprintable() and "\\" not in path and all(part not in {"", ".", ".."} for part in parts)


def endpoint_of(hub: Hub, environ: Mapping[str, str]) -> str:
    """The hub's address, or that of a mirror set in the environment. Raises EngineError."""
    address = environ.get(hub.endpoint_variable) or hub.endpoint
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise EngineError(
            f"{hub.endpoint_variable} must be an address that begins with https://, not {address!r}"
        )
    return address.rstrip("/")


def listing_url(reference: Reference, endpoint: str) -> str:
    """Where the files of the reference's repository are listed."""
    return endpoint + _fill(HUBS[reference.hub].listing, reference, "")


def content_url(reference: Reference, endpoint: str, path: str) -> str:
    """Where a file's bytes are."""
    return endpoint + _fill(HUBS[reference.hub].content, reference, path)


def _fill(form: str, reference: Reference, path: str) -> str:
    in_query = "{path}" in form.partition("?")[2]
    quoted = quote(path, safe="" if in_query else "/")
    return form.format(repo=reference.repo, revision=quote(reference.revision, safe=""), path=quoted)


# --- what hubs answer


class _Lfs(msgspec.Struct):
    oid: str = ""


class _HfEntry(msgspec.Struct):
    type: str
    path: str
    size: int = 0
    lfs: _Lfs | None = None


class _ModelScopeEntry(msgspec.Struct, rename="pascal"):
    type: str
    path: str
    size: int = 0
    sha256: str | None = None


class _ModelScopeData(msgspec.Struct, rename="pascal"):
    files: list[_ModelScopeEntry] | None = None


class _ModelScopeListing(msgspec.Struct, rename="pascal"):
    code: int = 0
    message: str = ""
    data: _ModelScopeData | None = None


def read_listing(hub: str, body: bytes) -> list[RemoteFile]:
    """The GGUF files in a hub's listing. Raises EngineError when it is no such thing."""
    try:
        found = _read_hf(body) if hub == "hf" else _read_modelscope(body)
    except msgspec.MsgspecError as error:
        raise EngineError(f"{HUBS[hub].title} answered with no list of files ({error})") from None
    return [file for file in found if file.path.lower().endswith(".gguf") and is_safe_path(file.path)]


def _read_hf(body: bytes) -> list[RemoteFile]:
    entries = msgspec.json.decode(body, type=list[_HfEntry])
    return [
        RemoteFile(path=e.path, size_bytes=e.size, sha256=sha256_or_nothing(e.lfs.oid if e.lfs else ""))
        for e in entries
        if e.type == "file"
    ]


def _read_modelscope(body: bytes) -> list[RemoteFile]:
    listing = msgspec.json.decode(body, type=_ModelScopeListing)
    if listing.code != 200 or listing.data is None:
        raise EngineError(f"ModelScope refused the list of files: {listing.message or listing.code}")
    return [
        RemoteFile(path=e.path, size_bytes=e.size, sha256=sha256_or_nothing(e.sha256 or ""))
        for e in listing.data.files or []
        if e.type == "blob"
    ]


def sha256_or_nothing(text: str) -> str:
    """`text` in lower case, without quotes, if it is a SHA-256 in hex; else an empty text."""
    bare = text.strip('"').removeprefix("sha256:").lower()
    return bare if _SHA256.fullmatch(bare) else ""


# --- which file


def choose(reference: Reference, files: list[RemoteFile]) -> tuple[RemoteFile, ...]:
    """The file to download, with the further parts of a split one in their order. Raises EngineError.

    Without a name: the only model, else the only one in Q4_K_M.
    """
    if reference.path:
        named = [file for file in files if file.path == reference.path]
        if not named:
            raise EngineError(
                f"{reference.repo} has no file {reference.path}; {_listed(_first_parts(files))}"
            )
        return _with_parts(named[0], files)
    models = [
        file for file in _first_parts(files) if not any(word in file.path.lower() for word in _NOT_A_MODEL)
    ]
    preferred = [file for file in models if _PREFERRED in file.path.lower()]
    for candidates in (models, preferred):
        if len(candidates) == 1:
            return _with_parts(candidates[0], files)
    if not models:
        raise EngineError(f"{reference.repo} has no GGUF file; choose a repository that has")
    example = f"{reference.hub}:{reference.repo}/{models[0].path}"
    raise EngineError(f"{reference.repo} has several models: name one, such as {example}; {_listed(models)}")


def _listed(files: list[RemoteFile]) -> str:
    names = [file.path for file in files[:_SHOWN_CHOICES]]
    more = len(files) - len(names)
    return "it has " + (", ".join(names) or "no GGUF file") + (f" and {more} more" if more else "")


def _first_parts(files: list[RemoteFile]) -> list[RemoteFile]:
    return [f for f in files if not (match := _SHARD.match(f.path)) or int(match["part"]) == 1]


def _with_parts(first: RemoteFile, files: list[RemoteFile]) -> tuple[RemoteFile, ...]:
    match = _SHARD.match(first.path)
    if match is None:
        return (first,)
    by_path = {file.path: file for file in files}
    names = [f"{match['stem']}-{n:05d}-of-{match['parts']}.gguf" for n in range(1, int(match["parts"]) + 1)]
    missing = [name for name in names if name not in by_path]
    if missing:
        raise EngineError(f"the hub lacks {missing[0]}, a part of {first.path}")
    return tuple(by_path[name] for name in names)
