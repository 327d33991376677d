"""What the fronts need, brought into a throw-away environment (`.bench/`, which git ignores): each at the exact version that
`peers/` names, packages of Python with their hashes. What cannot be had is named as missing, and its row is left out.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench.figures import ROOT

PLACE = ROOT / ".bench"
WANTED = Path(__file__).parent / "peers"
PYTHON = PLACE / "python" / "bin"
PORTKEY = PLACE / "node" / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"


def nginx() -> str | None:
    """Where nginx is."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def bring(needs: str) -> str:
    """Make it be there; what is missing, with what can be done about it, or nothing."""
    return {"": lambda: "", "nginx": _nginx, "python": _python, "node": _node}[needs]()


def _nginx() -> str:
    if nginx() is None and shutil.which("apt-get") and os.geteuid() == 0:
        _run(["apt-get", "update", "-qq"])
        _run(["apt-get", "install", "-qq", "-y", "nginx-light"])
    return "" if nginx() else "nginx is not there: apt-get install nginx-light"


def _python() -> str:
    wanted = WANTED / "requirements.txt"
    if _is_new(PLACE / "python", wanted):
        _run([sys.executable, "-m", "venv", "--clear", str(PLACE / "python")])
        pip = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--require-hashes"]
        failed = _run([*pip, "--python", str(PYTHON / "python"), "-r", str(wanted)])
        if failed:
            return f"the packages of {wanted.name} could not be installed: {failed}"
        _keep(PLACE / "python", wanted)
    return ""


def _node() -> str:
    wanted, place = WANTED / "package.json", PLACE / "node"
    if shutil.which("npm") is None:
        return "npm is not there: install Node.js 20"
    if _is_new(place, wanted):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        shutil.copy(wanted, place)
        failed = _run(["npm", "install", "--silent", "--no-package-lock", "--no-audit", "--no-fund"], place)
        if failed:
            return f"the packages of {wanted.name} could not be installed: {failed}"
        _keep(place, wanted)
    return ""


def _run(command: list[str], cwd: Path | None = None) -> str:
    """Run it; the end of what it said where it failed."""
    environment = dict(os.environ)
    if Path(
        "/etc/ssl/certs/ca-certificates.crt"
    ).exists():  # uv brings authorities of its own; the machine's count too
        environment.setdefault("UV_SYSTEM_CERTS", "true")
    ended = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    return (ended.stderr.strip() or f"exit {ended.returncode}")[-500:] if ended.returncode else ""


def _print_of(wanted: Path) -> str:
    return hashlib.sha256(wanted.read_bytes()).hexdigest()


def _is_new(place: Path, wanted: Path) -> bool:
    stamp = place / ".stamp"
    return not stamp.exists() or stamp.read_text() != _print_of(wanted)


def _keep(place: Path, wanted: Path) -> None:
    (place / ".stamp").write_text(_print_of(wanted))
