"""A user's home with a project in it and a gateway before it, for tests of `weir run`."""

import json
import os
import subprocess
import sys
from pathlib import Path

from clients.scripted_model import BROKEN, TEST
from weir_process import Home, free_port

from tokenweir.ledger.verify import verify
from tokenweir.ledger.views.terms import terms_now

PROGRAMS = Path(__file__).with_name("agent_programs.py")
PRICE = 'price = { input = 4.0, cache_read = 1.0, output = 16.0, currency = "CNY" }\n'
CHECK = "python -m unittest -q test_sums"


class Desk:
    """A user's home with a project in it, and a gateway."""

    def __init__(self, directory: Path, model: str, engine: str) -> None:
        (directory / "weir.toml").write_text(
            f'[server]\nport = {free_port()}\n[local]\nenabled = false\n'
            f'[[upstream]]\nname = "script"\nurl = "{model}"\n[[upstream]]\nname = "sim"\nurl = "{engine}/v1"\n'
            f'[[upstream]]\nname = "dead"\nurl = "http://127.0.0.1:1/v1"\n'
            f'[[model]]\nname = "scripted"\ndeployments = ["script/scripted"]\n{PRICE}'
            f'[[model]]\nname = "hang"\ndeployments = ["sim/hang-mid-stream"]\n{PRICE}'
            f'[[model]]\nname = "gone"\ndeployments = ["dead/x"]\n{PRICE}'
            '[[model]]\nname = "unpriced"\ndeployments = ["sim/ok"]\n'
        )  # fmt: skip
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.home = Home(
            directory, PATH=path, WEIR_CONFIG=str(directory / "weir.toml"), GITHUB_TOKEN="hidden-token"
        )
        self.data = directory / ".local" / "share" / "tokenweir"
        self.project = directory / "project"
        self.project.mkdir()
        (self.project / "sums.py").write_text(BROKEN)
        (self.project / "test_sums.py").write_text(TEST)
        (self.project / "agent.py").write_text(PROGRAMS.read_text())
        self.git("init", "-q")
        self.git("add", "-A")
        self.git("-c", "user.name=a", "-c", "user.email=a@b.invalid", "commit", "-qm", "start")

    def git(self, *words: str) -> str:
        command = ["git", *words]
        done = subprocess.run(
            command, cwd=self.project, env=self.home.environ, capture_output=True, text=True, check=True
        )
        return done.stdout

    def command(
        self, what: str, *words: str, model: str = "scripted", task: str = "mend it", budget: str = "¥1"
    ) -> list[str]:
        shared = [
            "--model",
            model,
            "--budget",
            budget,
            "--command",
            f"python agent.py {what} {{task}}",
            "--json",
        ]
        return self.home.command("run", "custom", task, *shared, *words)

    def run(self, what: str, *words: str, code: int = 0, **options: str) -> dict:
        """A run that ends with this exit code: its JSON."""
        done = subprocess.run(
            self.command(what, *words, **options), cwd=self.project, env=self.home.environ, capture_output=True,
            text=True, timeout=90, check=False,
        )  # fmt: skip
        assert done.returncode == code, (done.stdout, done.stderr)
        return json.loads(done.stdout.splitlines()[-1])

    def patch(self, run: dict) -> str:
        return self.home.good("runs", "diff", run["id"])

    def assert_closed(self, run: dict) -> None:
        """Its key is revoked, its limits are lifted, nothing of it is open, and the ledger agrees with itself."""
        terms = terms_now(self.data)
        key = terms.keys[run["key"]]
        assert not terms.limits.get(f"run/{run['id']}")
        assert key.run == run["id"] and key.revoked_us is not None
        assert run["open"] == 0
        assert verify(self.data).ok
