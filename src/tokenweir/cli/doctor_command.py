"""`weir doctor`: checks what `weir up` needs; each finding says what to do."""

import importlib.util
import os
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from tokenweir.cli import listen, show
from tokenweir.cli.exits import FAILED, OK
from tokenweir.cli.offers import Resolved
from tokenweir.cli.running import find_running
from tokenweir.cli.settings import Settings, data_dir
from tokenweir.cli.settings_file import load_settings
from tokenweir.cli.sources import catalog_book, present_models, resolve_now
from tokenweir.core.errors import TokenweirError
from tokenweir.gateway.config import UpstreamConfig
from tokenweir.ledger.schema import DATABASE_NAME
from tokenweir.ledger.views import last_seq, open_reader

LEAST_FREE_BYTES = 512 * 1024 * 1024
CONNECT_TIMEOUT_S = 3.0
LEAST_FILES = 4_096


class Finding(msgspec.Struct, frozen=True):
    """One check. `state` is "ok", "warning" or "bad"; `advice` is what to do about the latter two."""

    check: str
    state: str
    text: str
    advice: str = ""


class DoctorAnswer(msgspec.Struct, frozen=True):
    """`weir doctor --json`."""

    ok: bool
    findings: tuple[Finding, ...]


def run(environ: Mapping[str, str], config: Path | None, data: Path | None, as_json: bool) -> int:
    """Check, print, and say by the exit code whether nothing is bad."""
    findings = examine(environ, config, data)
    ok = all(finding.state != "bad" for finding in findings)
    if as_json:
        show.print_json(DoctorAnswer(ok, tuple(findings)))
    else:
        _print(findings)
    return OK if ok else FAILED


def _print(findings: list[Finding]) -> None:
    out = show.console()
    styles = {"ok": "green", "warning": "yellow", "bad": "bold red"}
    for finding in findings:
        out.print(f"{finding.state:<8}", style=styles[finding.state], end="")
        out.print(f"{finding.check}: {finding.text}", markup=False)
        if finding.advice:
            out.print(f"        {finding.advice}", markup=False)


def examine(environ: Mapping[str, str], config: Path | None, data: Path | None) -> list[Finding]:
    """Every finding, in the order of printing."""
    findings = [_python(), _time_zones(), _open_files(), _local_engine()]
    try:
        settings = load_settings(environ, file=config, flags={"data": data})
    except TokenweirError as error:
        return [*findings, Finding("settings", "bad", str(error), "correct it and run `weir doctor` again")]
    findings.append(Finding("settings", "ok", settings.file or "no file; environment and flags only"))
    findings += [Finding("settings", "warning", text) for text in settings.warnings]
    directory = data_dir(settings, environ)
    findings += [_data_dir(directory), _disk(directory), _ledger(directory), _port(settings, directory)]
    try:
        local = present_models(settings, directory)
        resolved = resolve_now(settings, environ, local, catalog_book(directory))
    except TokenweirError as error:
        return [*findings, Finding("upstreams", "bad", str(error), "correct it and run `weir doctor` again")]
    return [*findings, *_upstreams(resolved), _models(resolved)]


def _python() -> Finding:
    return Finding("python", "ok", ".".join(map(str, sys.version_info[:3])))


def _time_zones() -> Finding:
    try:
        ZoneInfo("Asia/Shanghai")
    except ZoneInfoNotFoundError:
        return Finding(
            "time zones",
            "bad",
            "there is no time zone data",
            "install the package tzdata: pip install tzdata",
        )
    return Finding("time zones", "ok", "present")


def _open_files() -> Finding:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < LEAST_FILES:
        advice = f"raise it: ulimit -n {max(LEAST_FILES, min(hard, 65_536))}"
        return Finding("open files", "warning", f"at most {soft:,}; each stream takes two", advice)
    return Finding("open files", "ok", f"at most {soft:,}")


def _local_engine() -> Finding:
    if importlib.util.find_spec("xllamacpp") is None:
        advice = "for models on this machine: pip install 'tokenweir[local]'"
        return Finding("local engine", "warning", "the package xllamacpp is not installed", advice)
    return Finding("local engine", "ok", "installed")


def _data_dir(directory: Path) -> Finding:
    nearest = directory
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        advice = "change its owner, or choose another with --data"
        return Finding("data directory", "bad", f"{directory} cannot be written", advice)
    return Finding("data directory", "ok", f"{directory}{'' if directory.exists() else ' (will be made)'}")


def _disk(directory: Path) -> Finding:
    nearest = directory
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    free = shutil.disk_usage(nearest).free
    text = f"{free / 2**30:.1f} GiB free"
    if free < LEAST_FREE_BYTES:
        return Finding("disk", "bad", text, "free some: a full disk answers every call with 503")
    return Finding("disk", "ok", text)


def _ledger(directory: Path) -> Finding:
    if not (directory / DATABASE_NAME).exists():
        return Finding("ledger", "ok", "none yet; `weir up` makes it")
    try:
        connection = open_reader(directory)
        try:
            return Finding("ledger", "ok", f"{last_seq(connection):,} entries")
        finally:
            connection.close()
    except TokenweirError as error:
        return Finding("ledger", "bad", str(error), "run `weir ledger verify`, or restore a backup")


def _port(settings: Settings, directory: Path) -> Finding:
    status = find_running(directory)
    if status:
        return Finding("gateway", "ok", f"runs at {status.address} (process {status.pid})")
    try:
        sockets, _ = listen.bind_all(settings.server.host, settings.server.port, 1)
    except TokenweirError as error:
        return Finding("port", "bad", str(error), "choose another with --port")
    for sock in sockets:
        sock.close()
    return Finding("port", "ok", f"{settings.server.host} port {settings.server.port} is free")


def _upstreams(resolved: Resolved) -> list[Finding]:
    if not resolved.config.upstreams:
        advice = "set a provider's key (such as MOONSHOT_API_KEY), start an engine, or write a weir.toml"
        return [Finding("upstreams", "warning", "none", advice)]
    others = [u for u in resolved.config.upstreams if not u.unix_socket]  # ours starts with `weir up`
    return [_reach(upstream, socket.create_connection) for upstream in others]


def _reach(upstream: UpstreamConfig, connect: Callable[..., socket.socket]) -> Finding:
    """Whether its port (or its proxy's) takes a connection. Nothing is sent, no key leaves."""
    host, port = upstream.proxy[:2] if upstream.proxy else (upstream.host, upstream.port)
    where = f"{host} port {port}" + (f" (proxy of {upstream.host})" if upstream.proxy else "")
    try:
        connect((host, port), timeout=CONNECT_TIMEOUT_S).close()
    except OSError as error:
        advice = "start it, or check the address, the network and HTTPS_PROXY"
        reason = error.strerror or str(error) or type(error).__name__
        return Finding(f"upstream {upstream.name}", "bad", f"{where} cannot be reached: {reason}", advice)
    return Finding(f"upstream {upstream.name}", "ok", f"{where} answers")


def _models(resolved: Resolved) -> Finding:
    unpriced = sum(1 for deployment in resolved.config.deployments if not deployment.prices)
    text = f"{len(resolved.config.models)} models, {unpriced} deployments without a price"
    if unpriced:
        advice = "a key with a limit in money refuses them; give [[model]] a price"
        return Finding("models", "warning", text, advice)
    return Finding("models", "ok", text)
