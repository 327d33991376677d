"""`weir upstreams`: how they did lately, and which get no calls."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import msgspec

from tokenweir.cli import show
from tokenweir.cli.settings import data_dir
from tokenweir.cli.settings_file import load_settings
from tokenweir.cli.sources import catalog_book, present_models, resolve_now
from tokenweir.cli.terms_words import change, meant, terms_to_change
from tokenweir.core.clock import Clock
from tokenweir.ledger.schema import has_ledger
from tokenweir.ledger.terms import Drained, DrainUpstream, RestoreUpstream
from tokenweir.ledger.views import iso_time, open_reader
from tokenweir.ledger.views.upstream_health import Lately, lately

DAY_US = 86_400_000_000


class UpstreamLine(msgspec.Struct, frozen=True):
    """An upstream in `weir upstreams list --json`: attempts of the last 24 hours, times in ms, shares of 1."""

    name: str
    served: bool
    address: str
    drained: str | None
    note: str
    attempts: int
    errors: float | None
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None
    cached: float | None


class UpstreamsAnswer(msgspec.Struct, frozen=True):
    """`weir upstreams list --json`."""

    upstreams: tuple[UpstreamLine, ...]


def list_all(
    environ: Mapping[str, str], config: Path | None, data: Path | None, as_json: bool, clock: Clock
) -> None:
    """Print them. Raises SettingsError, LedgerError."""
    directory, addresses = _served(environ, config, data)
    drained = terms_to_change(directory).drained
    found: dict[str, Lately] = {}
    if has_ledger(directory):
        with closing(open_reader(directory)) as db:
            found = lately(db, clock.now_us() - DAY_US)
    lines = tuple(
        _line(name, addresses, drained.get(name), found.get(name, Lately()))
        for name in sorted({*addresses, *drained, *found})
    )
    if as_json:
        show.print_json(UpstreamsAnswer(lines))
        return
    show.print_table(
        ("upstream", "state", "attempts", "errors", "first token", "95 %", "cached", "address"),
        [_cells(line) for line in lines],
        right=frozenset({2, 3, 4, 5, 6}),
    )


def drain(
    environ: Mapping[str, str], config: Path | None, data: Path | None, name: str, note: str, clock: Clock
) -> None:
    """Raises ValueError for one that is not served or drained already, SettingsError, LedgerError."""
    directory, addresses = _served(environ, config, data)
    if name not in addresses:
        raise ValueError(
            f"there is no upstream {name!r}{meant(name, addresses)}; `weir upstreams list` shows them"
        )
    terms_to_change(directory)
    change(directory, [DrainUpstream(Drained(name, clock.now_us(), note))], clock)
    show.console().print(
        f"{name} gets no new calls; `weir upstreams restore {name}` ends that.", markup=False
    )


def restore(directory: Path, name: str, clock: Clock) -> None:
    """Raises ValueError for one that is not drained, LedgerError."""
    terms_to_change(directory)
    change(directory, [RestoreUpstream(name)], clock)
    show.console().print(f"{name} gets calls again.", markup=False)


def _served(
    environ: Mapping[str, str], config: Path | None, data: Path | None
) -> tuple[Path, dict[str, str]]:
    """The data directory, and the addresses of what the settings serve, by name."""
    settings = load_settings(environ, file=config, flags={"data": data})
    directory = data_dir(settings, environ)
    resolved = resolve_now(settings, environ, present_models(settings, directory), catalog_book(directory))
    return directory, {source.upstream: source.address for source in resolved.sources}


def _line(name: str, addresses: Mapping[str, str], drained: Drained | None, row: Lately) -> UpstreamLine:
    return UpstreamLine(
        name=name,
        served=name in addresses,
        address=addresses.get(name, ""),
        drained=None if drained is None else iso_time(drained.since_us),
        note="" if drained is None else drained.note,
        attempts=row.attempts,
        errors=row.failed_share,
        ttft_p50_ms=_ms(row.ttft_at(0.5)),
        ttft_p95_ms=_ms(row.ttft_at(0.95)),
        cached=row.cached_share,
    )


def _ms(us: int | None) -> float | None:
    return None if us is None else us / 1000


def _cells(line: UpstreamLine) -> list[str]:
    state = f"drained {line.note}".rstrip() if line.drained else "" if line.served else "not served"
    times = ["" if ms is None else f"{ms:,.0f} ms" for ms in (line.ttft_p50_ms, line.ttft_p95_ms)]
    errors, cached = ("" if share is None else f"{share:.1%}" for share in (line.errors, line.cached))
    return [line.name, state, f"{line.attempts:,}", errors, *times, cached, line.address]
