"""The launcher that confines itself and becomes a command: what it gives up is gone, and how it fails is told."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from weir_process import wait_for

from tokenweir.agents import landlock
from tokenweir.agents.access import needed_by, programs_in
from tokenweir.agents.confine import NO_SANDBOX, NOT_FOUND, NOT_STARTED, command_of
from tokenweir.agents.confinement import DEVICES, SYSTEM, Confinement, Means

PYTHON = tuple(programs_in(str(Path(sys.executable).parent)))
needs_landlock = pytest.mark.skipif(not landlock.abi(), reason="this kernel has no Landlock")
needs_bubblewrap = pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
MEANS = [
    pytest.param(Means.LANDLOCK, marks=needs_landlock),
    pytest.param(Means.BUBBLEWRAP, marks=needs_bubblewrap),
]


def confined(means: Means, work: Path, *command: str, port: int | None = 0, parent: int = 0) -> list[str]:
    return command_of(
        Confinement(
            means=means, command=command, read=(*SYSTEM, *PYTHON), write=(str(work), *DEVICES), port=port, parent=parent
        )
    )  # fmt: skip


def python(means: Means, work: Path, program: str, port: int | None = 0) -> subprocess.CompletedProcess[str]:
    command = confined(means, work, sys.executable, "-c", program, port=port)
    return subprocess.run(command, cwd=work, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.mark.parametrize("means", MEANS)
def test_files_outside_are_out_of_reach(means: Means, work: Path) -> None:
    secret = work.parent / "secret.txt"
    assert python(means, work, f"open({str(secret)!r})").returncode == 1
    python(means, work, f"open({str(work.parent / 'planted')!r}, 'w').write('x')")
    assert not (work.parent / "planted").exists()
    made = python(
        means, work, "import os; open('a', 'w').write('x'); os.rename('a', 'b'); print(os.listdir('.'))"
    )
    assert made.stdout == "['b']\n", made.stderr
    assert (work / "b").read_text() == "x"


@pytest.mark.parametrize("means", MEANS)
def test_no_port_can_be_connected_to_where_none_is_named(means: Means, work: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        program = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
        assert python(means, work, program, port=0).returncode == 1
        assert python(means, work, program, port=port).returncode == 0


@needs_landlock
def test_a_child_is_as_confined_as_its_parent(work: Path) -> None:
    secret = work.parent / "secret.txt"
    program = f"import subprocess; print(subprocess.run(['cat', {str(secret)!r}]).returncode)"
    assert python(Means.LANDLOCK, work, program).stdout == "1\n"


def test_neither_the_directory_nor_the_environment_names_modules(work: Path) -> None:
    (work / "msgspec.py").write_text("raise SystemExit(77)")
    command = confined(Means.NONE, work, "true")
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(work)}
    assert subprocess.run(command, cwd=work, env=environ, check=False).returncode == 0


def test_a_command_that_cannot_be_started_is_told_by_its_code(work: Path) -> None:
    done = subprocess.run(
        confined(Means.NONE, work, "no-such-thing"), capture_output=True, text=True, check=False
    )
    assert done.returncode == NOT_FOUND and done.stderr.startswith("weir: no-such-thing was not found")
    (work / "text").write_text("no program")
    done = subprocess.run(
        confined(Means.NONE, work, str(work / "text")), capture_output=True, text=True, check=False
    )
    assert done.returncode == NOT_STARTED and "could not be started" in done.stderr


@pytest.mark.skipif(landlock.abi() < landlock.NETWORK_ABI, reason="this kernel's Landlock knows no ports")
def test_a_sandbox_that_cannot_be_set_up_starts_nothing(work: Path) -> None:
    command = confined(Means.LANDLOCK, work, "touch", "made", port=70_000)  # there is no such port
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    assert done.returncode == NO_SANDBOX and not (work / "made").exists()
    assert "the sandbox could not be set up: [Errno 22]" in done.stderr


def test_it_dies_with_whoever_started_it(work: Path) -> None:
    program = (
        "import os, subprocess, sys; sys.path[:0] = sys.argv[1:];"
        "from tokenweir.agents.confine import command_of; from tokenweir.agents.confinement import Confinement, Means;"
        "child = subprocess.Popen(command_of(Confinement(means=Means.NONE, command=('sleep', '1000'), parent=os.getpid())));"
        "print(child.pid, flush=True); child.wait()"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    comm = Path(f"/proc/{child}/comm")
    wait_for(lambda: comm.read_text() == "sleep\n", "the command")
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    wait_for(
        lambda: not comm.exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split()[2], "its end"
    )


def test_what_a_program_needs_is_found_wherever_it_was_installed(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").write_text("home = /opt-python/bin\nversion = 3.12\n")
    (venv / "bin" / "tool").write_text(f"#!{venv}/bin/python\n")
    (venv / "bin" / "tool").chmod(0o755)
    assert {str(venv), "/opt-python", f"{venv}/bin/tool"} <= set(needed_by("tool", str(venv / "bin")))
    modules = tmp_path / "node" / "lib" / "node_modules"
    (modules / "agent" / "node_modules" / "dep").mkdir(parents=True)
    (modules / "agent" / "cli.js").write_text("#!/usr/bin/env node\n")
    (modules / "agent" / "cli.js").chmod(0o755)
    (tmp_path / "node" / "bin").mkdir()
    (tmp_path / "cellar").mkdir()
    (tmp_path / "cellar" / "node").write_text("")
    (tmp_path / "cellar" / "node").chmod(0o755)
    (tmp_path / "node" / "bin" / "node").symlink_to(tmp_path / "cellar" / "node")
    (tmp_path / "node" / "bin" / "agent").symlink_to(modules / "agent" / "cli.js")
    path = f"{tmp_path}/node/bin:relative:/nowhere:/usr/bin"
    assert {str(modules), f"{tmp_path}/cellar/node"} <= set(needed_by("agent", path))
    assert set(programs_in(path)) == {f"{tmp_path}/node/bin", str(modules)}
    assert needed_by("nobody", path) == []
