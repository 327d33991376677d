"""The control process's application: the admin API, and the console beside it."""

from collections.abc import Callable
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from tokenweir import __version__
from tokenweir.admin.app import make_app
from tokenweir.admin.desk import Desk
from tokenweir.cli.admin_lookups import lookups
from tokenweir.cli.around import Around
from tokenweir.cli.console_outside import outside
from tokenweir.console.app import make_console
from tokenweir.console.page import ROOT
from tokenweir.core.clock import Clock


def control_app(
    data_dir: Path, clock: Clock, random_bytes: Callable[[int], bytes], around: Around
) -> ASGIApp:
    """Both, told apart by their paths; what they share is the desk."""
    seen = outside(data_dir, clock, around)
    desk = Desk(data_dir, clock, random_bytes, __version__, lookups(data_dir, around, seen))
    api, console = make_app(desk), make_console(desk, seen)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        own = scope["type"] == "http" and (scope["path"] + "/").startswith(ROOT + "/")
        await (console if own else api)(scope, receive, send)

    return app
