"""The local engine as `weir up` runs it: one process for each model, behind a Unix socket of its own."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from tokenweir.cli.children import STAGE_ENGINES, Child
from tokenweir.cli.offers import Engine, Offer
from tokenweir.cli.settings import LocalSettings
from tokenweir.core.errors import EngineError, SettingsError
from tokenweir.engines.files import model_name
from tokenweir.engines.gguf_file import read_gguf
from tokenweir.engines.local import MISSING, installed, loading_socket, new_api_key, run_local_engine
from tokenweir.engines.local_plan import LocalEngineSpec, abacus_model, check_model

ABACUS = "abacus"
#: What the kernel takes as a Unix socket's path.
LONGEST_SOCKET_BYTES = 107


class Local(msgspec.Struct, frozen=True):
    """The models that run here, and why others do not."""

    specs: tuple[LocalEngineSpec, ...] = ()
    notes: tuple[str, ...] = ()

    def engines(self) -> tuple[Engine, ...]:
        """What they offer, as `resolve` takes it."""
        return tuple(_engine(spec) for spec in self.specs)

    def check(self) -> "Local":
        """Those that fit this machine together, each with the context that it gets, so that what is announced
        is what runs. Raises EngineError for one that the settings name and that does not fit."""
        kept, notes, promised_bytes = [], list(self.notes), 0
        for spec in self.specs:
            try:
                planned = check_model(spec, promised_bytes)
            except EngineError as error:
                if spec.name != ABACUS:
                    raise
                notes.append(f"the model {ABACUS} is not served: {error}")
            else:
                kept.append(msgspec.structs.replace(spec, context=planned.context))
                promised_bytes += planned.need_bytes
        return Local(tuple(kept), tuple(notes))


def local_models(settings: LocalSettings, directory: Path, fetch: Callable[[str], Path | None]) -> Local:
    """What the settings ask for. `fetch` makes a reference a file or None. EngineError, SettingsError."""
    if not settings.enabled:
        return Local()
    if not installed():
        if settings.models:
            raise EngineError(f"[local] models names models, but {MISSING}")
        return Local((), (f"no model runs on this machine: {MISSING}",))
    files: list[tuple[str, Path, str]] = []
    shipped = abacus_model()
    if shipped is not None:
        files.append((ABACUS, *shipped))
    notes = [] if shipped else [f"the model {ABACUS} is not part of this installation"]
    for reference in settings.models:
        path = fetch(reference)
        if path is None:
            notes.append(f"the model {reference} is not on this machine; `weir up` downloads it")
        else:
            files.append((model_name(reference), path, ""))
    names = [name for name, _, _ in files]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SettingsError(f"[local] models: two files would be called {twice!r}; rename one")
    specs = tuple(_spec(settings, directory, name, path, sha256) for name, path, sha256 in files)
    return Local(specs, tuple(notes))


def _spec(settings: LocalSettings, directory: Path, name: str, path: Path, sha256: str) -> LocalEngineSpec:
    listens = directory / f"local-{name}.sock"
    if len(str(loading_socket(str(listens))).encode()) > LONGEST_SOCKET_BYTES:
        raise SettingsError(
            f"the data directory {directory} has too long a name for the local engine's socket; "
            "choose a shorter one with --data, or set [local] enabled = false"
        )
    return LocalEngineSpec(
        model=str(path),
        name=name,
        unix_socket=str(listens),
        api_key=new_api_key(),
        context=settings.context,
        parallel=settings.parallel,
        threads=settings.threads,
        sha256=sha256,
        log_file=str(directory / f"local-{name}.log"),
    )


def _engine(spec: LocalEngineSpec) -> Engine:
    context = spec.context or read_gguf(Path(spec.model)).context or None
    return Engine(
        kind="llamacpp",
        url="http://localhost/v1",
        offers=(Offer(model=spec.name, context=context, max_output=context),),
        ours=True,
        unix_socket=spec.unix_socket,
        api_key=spec.api_key,
    )


def engine_children(local: Local, close_foreign: Callable[[], None]) -> list[Child]:
    """A process for each model."""
    return [_child(spec, close_foreign) for spec in local.specs]


def _child(spec: LocalEngineSpec, close_foreign: Callable[[], None]) -> Child:
    def run() -> None:
        close_foreign()
        run_local_engine(spec, lambda _address: None)

    return Child(name=f"local engine {spec.name}", stage=STAGE_ENGINES, run=run)
