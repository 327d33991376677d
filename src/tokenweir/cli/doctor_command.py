"""`weir doctor`: checks what `weir up` needs; each finding says what to do."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from tokenweir.cli import listen, show
from tokenweir.cli.exits import FAILED, OK
from tokenweir.cli.offers import Resolved
from tokenweir.cli.reach import Reached, reach
from tokenweir.cli.running import find_running
from tokenweir.cli.settings import Settings, data_dir
from tokenweir.cli.settings_file import load_settings
from tokenweir.cli.sources import CatalogBook, catalog_book, present_models, resolve_now
from tokenweir.cli.system import SystemClock
from tokenweir.core.errors import LedgerError, TokenweirError
from tokenweir.gateway.config import UpstreamConfig
from tokenweir.ledger.database import FAULTS, ledger_file
from tokenweir.ledger.schema import has_ledger
from tokenweir.ledger.views import last_seq, open_reader

LEAST_FREE_BYTES = 512 * 1024 * 1024
LEAST_FILES = 4_096
MOST_CLOCK_ERROR_S = 60.0
#: Upstreams asked at the same time.
MOST_AT_ONCE = 16
#: A larger ledger is left to `weir ledger verify`: a check that reads it whole takes minutes.
QUICK_CHECK_BYTES = 256 * 1024 * 1024


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
    book = catalog_book(directory)
    findings += _keys(environ, book, settings)
    try:
        local = present_models(settings, directory)
        resolved = resolve_now(settings, environ, local, book)
    except TokenweirError as error:
        return [*findings, Finding("upstreams", "bad", str(error), "correct it and run `weir doctor` again")]
    notes = [Finding("note", "warning", note) for note in resolved.notes if note not in settings.warnings]
    return [*findings, *notes, *_upstreams(resolved), _models(resolved)]


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
    try:
        if not has_ledger(directory):
            return Finding("ledger", "ok", "none yet; `weir up` makes it")
        connection = open_reader(directory)
        try:
            if ledger_file(directory).stat().st_size > QUICK_CHECK_BYTES:
                return Finding(
                    "ledger", "ok", f"{last_seq(connection):,} entries; `weir ledger verify` replays them"
                )
            wrong = [row[0] for row in connection.execute(connection.database.check) if row[0] != "ok"]
            if wrong:
                raise LedgerError(f"the file is damaged: {wrong[0]}")
            return Finding("ledger", "ok", f"{last_seq(connection):,} entries, the file is whole")
        finally:
            connection.close()
    except (TokenweirError, *FAULTS) as error:
        return Finding(
            "ledger", "bad", str(error), "stop `weir up`, run `weir ledger verify`, or restore a backup"
        )


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
    if not others:
        return []
    with ThreadPoolExecutor(max_workers=min(len(others), MOST_AT_ONCE)) as pool:
        reached = list(pool.map(reach, others))
    now_s = SystemClock().now_us() / 1_000_000
    findings = [_reached(upstream, found) for upstream, found in zip(others, reached, strict=True)]
    return [*findings, _clock([found.date_s for found in reached if found.date_s is not None], now_s)]


def _reached(upstream: UpstreamConfig, found: Reached) -> Finding:
    check = f"upstream {upstream.name}"
    if not found.status:
        return Finding(check, "bad", f"{upstream.host} cannot be reached: {found.error}", found.advice)
    text = f"{upstream.host} answers {found.status} ({found.times})"
    if found.status in (401, 403):
        advice = "its key is refused: set the right one (`weir models --providers` names the variables), or api_key"
        return Finding(check, "bad", text, advice)
    if found.status in (404, 405):  # some have no list of models
        return Finding(check, "ok", f"{text}; it has no list of models")
    if found.status >= 300:
        return Finding(check, "warning", text, "check its url in weir.toml, and its own status page")
    return Finding(check, "ok", text)


def _clock(dates_s: list[float], now_s: float) -> Finding:
    """Prices and limits go by this machine's clock; each answer tells what time it is elsewhere."""
    if not dates_s:
        return Finding("clock", "ok", "no upstream told the time; not compared")
    ahead_s = now_s - sorted(dates_s)[len(dates_s) // 2]
    if abs(ahead_s) > MOST_CLOCK_ERROR_S:
        advice = "set it (timedatectl set-ntp true): days of limits and hours of prices go by it"
        return Finding("clock", "bad", f"off by {ahead_s:+,.0f} s", advice)
    return Finding("clock", "ok", "agrees with the upstreams'")


def _keys(environ: Mapping[str, str], book: CatalogBook, settings: Settings) -> list[Finding]:
    """Which providers' keys are set; never what they are."""
    found: dict[str, list[str]] = {}
    for provider in book.providers():
        for variable in provider.key_variables:
            if environ.get(variable, "").strip():
                found.setdefault(variable, []).append(provider.id)
    if not found:
        return [Finding("keys", "ok", "no provider's key is in the environment")]
    if settings.upstreams:
        text = f"{', '.join(found)} set; served is what [[upstream]] in {settings.file} names"
        return [Finding("keys", "ok", text)]
    findings = []
    for variable, providers in found.items():
        text = f"{variable} is set: {providers[0]}"
        if len(providers) > 1:
            text += f" (for {' or '.join(providers[1:])} write an [[upstream]] with that kind)"
        findings.append(Finding("keys", "ok", text))
    return findings


def _models(resolved: Resolved) -> Finding:
    unpriced = sum(1 for deployment in resolved.config.deployments if not deployment.prices)
    text = f"{len(resolved.config.models)} models, {unpriced} deployments without a price"
    if unpriced:
        advice = "a key with a limit in money refuses them; give [[model]] a price"
        return Finding("models", "warning", text, advice)
    return Finding("models", "ok", text)
