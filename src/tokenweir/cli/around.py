"""What the control process is told of `weir up` around it: the settings, then and now, and where the gateway listens."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from tokenweir.cli.local import Local
from tokenweir.cli.settings import Settings


class Around(NamedTuple):
    """`local`: the models that this machine's engine was started with."""

    settings: Settings
    settings_now: Callable[[], Settings]
    environ: Mapping[str, str]
    local: Local
    address: str
