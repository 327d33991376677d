"""`weir up`: settings, sockets, the first key, the processes; then the supervisor until a signal ends it."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tokenweir import __version__
from tokenweir.cli import greeting, listen, running
from tokenweir.cli.around import Around, Sources
from tokenweir.cli.first_key import first_key
from tokenweir.cli.local import Local, engine_children
from tokenweir.cli.offers import Resolved
from tokenweir.cli.processes import Gate, Worker, control_process, make_workers, tell, writer
from tokenweir.cli.settings import Settings, data_dir
from tokenweir.cli.settings_file import load_settings
from tokenweir.cli.settings_table import changeable, read_at_start, value_of
from tokenweir.cli.sources import catalog_book, fetched_models, resolve_now
from tokenweir.cli.supervise import Supervisor, log
from tokenweir.cli.system import SystemClock
from tokenweir.core.errors import TokenweirError


class UpOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The flags of `weir up`; None: not given."""

    config: Path | None = None
    flags: Mapping[str, object] = {}


def up(options: UpOptions, environ: Mapping[str, str]) -> int:
    """Serve until a signal ends it; the exit code. Raises TokenweirError when it cannot start."""
    settings = load_settings(environ, file=options.config, flags=options.flags)
    directory = data_dir(settings, environ)
    running.prepare_data_dir(directory)
    lock = running.take_lock(directory)
    local = fetched_models(settings, directory, environ)
    resolved = resolve_now(settings, environ, local, catalog_book(directory))
    sockets, port = listen.bind_all(settings.server.host, settings.server.port, settings.server.workers)
    gate = Gate(lock, sockets)
    try:
        return _serve(options, environ, settings, directory, resolved, gate, port, local)
    finally:
        running.remove_status(directory)
        gate.close()


def _serve(
    options: UpOptions,
    environ: Mapping[str, str],
    settings: Settings,
    directory: Path,
    resolved: Resolved,
    gate: Gate,
    port: int,
    local: Local,
) -> int:
    clock = SystemClock()
    key = first_key(directory, clock)
    address = listen.url_of(settings.server.host, port)
    workers = make_workers(gate, directory, resolved.config, settings.ledger.durability)
    children = [writer(directory, settings.ledger.durability, gate), *(w.child for w in workers)]
    children += engine_children(local, gate.close_in_child)
    read = Sources(environ, options.config, options.flags)
    around = Around(settings, lambda: _settings_now(options, environ), environ, local, address, read)
    children.append(control_process(directory, gate, around))
    supervisor = Supervisor(
        children,
        clock,
        drain_us=int(settings.limits.drain_timeout_s * 1_000_000),
        reload=lambda: _reload(options, environ, settings, workers, local),
        stop_listening=gate.stop_listening,
        log=log,
    )
    supervisor.hold_signals()
    supervisor.start_all()
    running.write_status(directory, _status(settings, resolved, address, clock))
    greeting.greet(
        resolved,
        address=address,
        directory=directory,
        key=key,
        file=settings.file,
        console=settings.console.enabled,
    )
    return supervisor.run()


def _settings_now(options: UpOptions, environ: Mapping[str, str]) -> Settings:
    return load_settings(environ, file=options.config, flags=options.flags)


def _status(settings: Settings, resolved: Resolved, address: str, clock: SystemClock) -> running.Status:
    return running.Status(
        pid=os.getpid(),
        address=address,
        started_us=clock.now_us(),
        version=__version__,
        workers=settings.server.workers,
        models=len(resolved.config.models),
        config=settings.file,
    )


def _reload(
    options: UpOptions,
    environ: Mapping[str, str],
    started_with: Settings,
    workers: list[Worker],
    local: Local,
) -> None:
    """Read the settings again; a wrong file changes nothing."""
    try:
        settings = load_settings(environ, file=options.config, flags=options.flags)
        resolved = resolve_now(settings, environ, local, catalog_book(data_dir(settings, environ)))
    except TokenweirError as error:
        log(f"the settings were not read again, the old ones go on: {error}")
        return
    for name in _fixed_changes(started_with, settings):
        log(f"{name} has changed, but is read at the start only; restart `weir up` for it")
    tell(workers)(resolved.config)
    log(f"settings read again: {len(resolved.sources)} upstreams, {len(resolved.config.models)} models")


def _fixed_changes(old: Settings, new: Settings) -> list[str]:
    """Settings that a running gateway cannot change."""
    fixed = (row for row in changeable().values() if read_at_start(row))
    return [f"[{row.section}] {row.name}" for row in fixed if value_of(old, row) != value_of(new, row)]
