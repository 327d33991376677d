"""The control process: its application on a Unix socket of its own, which the workers pass requests on to."""

import os
import signal
import socket
from pathlib import Path
from types import FrameType

import uvicorn
import uvloop
from starlette.types import ASGIApp

from tokenweir.ledger.frames import socket_address
from tokenweir.ledger.schema import CONTROL_SOCKET_NAME

BACKLOG = 256
#: At the end, how long requests under way may take.
DRAIN_S = 5
KEEP_ALIVE_S = 5


def serve(data_dir: Path, app: ASGIApp) -> None:
    """Answer until SIGTERM or SIGINT, then what is under way."""
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)  # uvicorn raises it again once it has ended
    listening = _listen(data_dir / CONTROL_SOCKET_NAME)
    uvloop.run(uvicorn.Server(config).serve(sockets=[listening]))


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def _listen(path: Path) -> socket.socket:
    """A socket that only this user may connect to; one left behind by a process before is replaced."""
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with socket_address(path) as address:
        before = os.umask(0o177)
        try:
            sock.bind(address)
        finally:
            os.umask(before)
    sock.listen(BACKLOG)
    return sock
