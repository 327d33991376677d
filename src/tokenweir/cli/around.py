"""What the control process is told of `weir up` around it: the settings, then and now, and where the gateway listens."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from tokenweir.cli.local import Local
from tokenweir.cli.settings import Settings


class Sources(NamedTuple):
    """What settings are read from, beside the file of the directory."""

    environ: Mapping[str, str]
    file: Path | None = None
    flags: Mapping[str, object] = {}


class Around(NamedTuple):
    """`local`: the models that this machine's engine was started with. `sources`: what `settings_now` reads."""

    settings: Settings
    settings_now: Callable[[], Settings]
    environ: Mapping[str, str]
    local: Local
    address: str
    sources: Sources = Sources({})
