"""`weir run` with agents of our own, real processes all of them: solved, stopped, confined, interrupted."""

import fcntl
import json
import os
import shlex
import signal
import socket
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from clients.scripted_model import ScriptedModel
from run_desk import CHECK, Desk
from weir_process import simulated, wait_for

from tokenweir.agents import landlock
from tokenweir.cli.own_gateway import LOCK_NAME

needs_landlock = pytest.mark.skipif(
    landlock.abi() < landlock.NETWORK_ABI,
    reason=f"this kernel's Landlock is {landlock.abi()}, and 4 knows ports",
)


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    model = ScriptedModel()
    yield model
    model.close()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, model: ScriptedModel) -> Iterator[Desk]:
    with simulated() as engine:
        desk = Desk(tmp_path_factory.mktemp("desk"), model.url, engine)
        port = int((desk.home.directory / "weir.toml").read_text().split("port = ")[1].split("\n")[0])
        with desk.home.up(port):
            yield desk


def test_an_agent_solves_its_task_and_the_users_tree_is_left_until_it_is_asked_for(desk: Desk) -> None:
    run = desk.run("solve", "--verify", CHECK)
    assert (run["verdict"], run["ending"], run["check"]) == ("solved", "finished", "passed")
    assert (run["calls"], run["refused"], run["cost"]) == (3, 0, {"CNY": "0.00732"})
    assert run["tokens"] == {
        "input": 600,
        "cache_read": 3000,
        "cache_write": 0,
        "output": 90,
        "reasoning": 30,
    }
    assert run["limits"] == ["1 CNY"] and run["files_changed"] == 1
    assert "mend it" not in json.dumps(run)
    desk.assert_closed(run)
    left = {path.name for path in (desk.data / "runs" / run["id"]).iterdir()}
    assert left == {"start.json", "end.json", "changes.patch"}
    usage = json.loads(desk.home.good("usage", "--by", "run", "--json"))["rows"]
    assert [row["calls"] for row in usage if row["by"]["run"] == run["id"]] == [3]
    assert desk.git("status", "--porcelain") == ""
    shown = json.loads(desk.home.good("runs", "show", run["id"], "--json"))
    assert [call["outcome"] for call in shown["made"]] == ["ok"] * 3
    assert "+    return a + b" in desk.patch(run)
    told = desk.home.good("runs", "show", run["id"][:10])
    assert f"{run['id']}: solved" in told and "0.00732 CNY of 1 CNY" in told and f"check     {CHECK}" in told
    assert f"{run['id']}  " in desk.home.good("runs", "list")
    desk.home.good("runs", "apply", run["id"])
    assert desk.git("status", "--porcelain") == " M sums.py\n"
    desk.git("checkout", "-q", ".")


def test_an_agent_that_heeds_nothing_is_ended_within_its_budget(desk: Desk) -> None:
    run = desk.run("stubborn", "--verify", CHECK, budget="¥0.03", code=20)
    assert (run["verdict"], run["ending"]) == ("out of budget", "out of budget")
    assert (
        run["calls"] > 0 and run["refused"] == 2
    )  # one that told it, and one more, which was held back until its end
    assert Decimal(run["cost"]["CNY"]) <= Decimal("0.03")
    left = int(desk.patch(run).split("left.txt\n@@ -0,0 +1 @@\n+")[1].split("\n")[0])
    assert run["left_processes"] == 1
    assert not Path(f"/proc/{left}").exists()
    desk.assert_closed(run)


def test_of_an_agent_that_asks_on_many_connections_each_is_refused_once(desk: Desk) -> None:
    run = desk.run("swarm", budget="¥0.03", code=20)
    assert run["ending"] == "out of budget" and Decimal(run["cost"].get("CNY", "0")) <= Decimal("0.03")
    assert 1 <= run["refused"] <= 8 + 1  # the one that told it, and a further one on each
    desk.assert_closed(run)


@pytest.mark.parametrize(("option", "amount"), [("--tokens", "20k"), ("--calls", "3")])
def test_tokens_and_calls_are_limits_as_well(desk: Desk, option: str, amount: str) -> None:
    run = desk.run("stubborn", option, amount, code=20)
    assert run["ending"] == "out of budget" and run["calls"] > 0
    assert run["calls"] <= 3 if option == "--calls" else sum(run["tokens"].values()) <= 20_000


def test_time_is_a_limit_as_well(desk: Desk) -> None:
    run = desk.run("sleep", "--time", "2s", code=20)
    assert run["ending"] == "out of time" and run["exit_code"] == -signal.SIGTERM
    desk.assert_closed(run)


def test_an_agent_that_changes_the_tests_has_solved_nothing(desk: Desk) -> None:
    run = desk.run("crack", "--verify", CHECK, "--keep", code=1)
    place = desk.data / "runs" / run["id"]
    assert (place / "work" / "conftest.py").exists() and "FAILED" in (place / "verify.err").read_text()
    assert (run["verdict"], run["check"], run["files_changed"]) == ("failed", "failed", 2)
    assert run["words"] == "the check ended with 1: FAILED (failures=1)"
    assert desk.run("crack", "--verify", CHECK, "--protect", "")["verdict"] == "solved"


def test_faults_of_the_agent_and_of_what_is_around_it_are_told_apart(desk: Desk) -> None:
    failed = desk.run("fail", "--verify", CHECK, code=21)
    assert failed["verdict"] == "agent error" and "no idea what to do" in failed["words"]
    gone = desk.run("fail", model="gone", code=22)
    assert gone["verdict"] == "infrastructure error" and "dead" in gone["words"]
    unpriced = desk.run("fail", model="unpriced", code=22)
    assert "no known price" in unpriced["words"]
    no_check = desk.run("crack", "--verify", "no-such-program", code=22)
    assert no_check["check"] == "could not be run"
    assert desk.run("sleep", "--command", "no-such-agent", code=22)["ending"] == "never began"


def test_a_model_that_is_not_served_is_told_before_anything_starts(desk: Desk) -> None:
    words = ("custom", "t", "--model", "scrpted", "--budget", "¥1", "--command", "x")
    done = subprocess.run(
        desk.home.command("run", *words),
        cwd=desk.project,
        env=desk.home.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 22 and "Did you mean scripted?" in done.stderr
    assert done.stderr.count("\n") == 1
    at_home = desk.home.run("run", *words)
    assert at_home.returncode == 22 and "begin in a project's own directory" in at_home.stderr


def test_ctrl_c_ends_it_with_everything_settled(desk: Desk) -> None:
    process = subprocess.Popen(
        desk.command("hang", model="hang"),
        cwd=desk.project,
        env=desk.home.environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    rows = lambda: json.loads(desk.home.good("runs", "list", "--json"))["runs"]  # noqa: E731
    run = wait_for(lambda: [r for r in rows() if r["model"] == "hang" and r["ended"] is None], "the run")[0]
    opened = lambda: _entries(desk, run["id"], "opened")  # noqa: E731
    wait_for(opened, "an open call")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    ended = json.loads(out)
    assert process.returncode == 130 and ended["verdict"] == "interrupted"
    assert ended["calls"] == 1 and _entries(desk, run["id"], "settled") == 1
    desk.assert_closed(ended)


def _entries(desk: Desk, run: str, kind: str) -> int:
    lines = desk.home.good("ledger", "export", "--format", "jsonl").splitlines()
    return sum(e["run"] == run and e["kind"] == kind for e in map(json.loads, lines))


@needs_landlock
def test_the_sandbox_holds(desk: Desk) -> None:
    home, outside = desk.home.directory, desk.home.directory / "diary.txt"
    outside.write_text("secret")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        task = {
            "read": [str(outside), str(desk.data / "ledger.sqlite3"), f"/proc/{os.getpid()}/environ", "/etc/hostname",
                     str(desk.project / "sums.py"), "sums.py"],
            "write": [str(outside), str(home / "planted"), str(desk.project / "sums.py"), "made.txt"],
            "list": [str(home), str(desk.data), "."],
            "ports": [port],
            "sockets": [str(desk.data / "ledger.sock")],
            "pid": os.getpid(),
        }  # fmt: skip
        run = desk.run("spy", task=json.dumps(task))
    added = [
        line[1:] for line in desk.patch(run).split("b/found.json")[-1].splitlines() if line.startswith("+{")
    ]
    found = json.loads(added[0])
    assert "port" in run["sandbox"]
    denied = {name for name, what in found.items() if what == "PermissionError"}
    assert denied == {
        f"read {outside}", f"read {desk.data / 'ledger.sqlite3'}", f"read /proc/{os.getpid()}/environ",
        f"read {desk.project / 'sums.py'}", f"write {outside}", f"write {home / 'planted'}",
        f"write {desk.project / 'sums.py'}", f"list {home}", f"list {desk.data}", f"port {port}",
        f"socket {desk.data / 'ledger.sock'}", "udp", "signal",
    }  # fmt: skip
    assert (
        found["read /etc/hostname"]
        == found["read sums.py"]
        == found["write made.txt"]
        == found["list ."]
        == "done"
    )
    assert found["gateway"] is True
    assert "GITHUB_TOKEN" not in found["environment"] and "WEIR_CONFIG" not in found["environment"]
    assert outside.read_text() == "secret" and not (home / "planted").exists()


def test_several_runs_make_a_table(desk: Desk) -> None:
    words = ("--repeat", "2", "--agents", "custom", "--models", "scripted", "--verify", CHECK)
    command = [*desk.home.command("run", "mend it"), "--budget", "¥1", "--json", *words]
    command += ["--command", f"python agent.py mend {shlex.quote('{task}')}"]
    done = subprocess.run(
        command, cwd=desk.project, env=desk.home.environ, capture_output=True, text=True, check=True
    )
    *runs, table = map(json.loads, done.stdout.splitlines())
    assert [run["verdict"] for run in runs] == ["solved", "solved"]
    (row,) = table["comparison"]
    assert (row["agent"], row["model"], row["runs"], row["solved"], row["share"]) == (
        "custom",
        "scripted",
        2,
        2,
        1.0,
    )
    assert row["interval"] == [pytest.approx(0.3424, abs=1e-4), 1.0]
    assert row["cost_per_solved"] == {"CNY": "0.00732"} and row["tokens"] == 7440
    assert row["cache_hit_rate"] == pytest.approx(6000 / 7200)
    assert len({run["key"] for run in runs}) == 2
    sides = desk.home.good("runs", "diff", runs[0]["id"], runs[1]["id"])
    assert "the same 3 in both" in sides and "sums.py: both alike" in sides
    told = json.loads(desk.home.good("runs", "diff", runs[0]["id"], runs[1]["id"], "--json"))
    assert told["parts_at"] is None and told["one"]["tools"] == told["other"]["tools"] == {"bash": 2}
    assert told["changes"] == [{"file": "sums.py", "how": "both alike"}]
    assert desk.home.run("runs", "diff", runs[0]["id"], "--json").returncode == 2


def test_in_place_works_in_the_users_own_tree(desk: Desk) -> None:
    run = desk.run("mend", "--in-place", "--verify", CHECK)
    assert run["verdict"] == "solved"
    assert desk.git("status", "--porcelain", "--untracked-files=no") == " M sums.py\n"
    desk.git("checkout", "-q", ".")
    assert desk.home.run("runs", "apply", run["id"]).returncode == 22


def test_without_a_gateway_one_is_started_for_the_run_and_for_those_that_find_it(
    tmp_path: Path, model: ScriptedModel
) -> None:
    desk = Desk(tmp_path, model.url, "http://127.0.0.1:1")
    desk.data.mkdir(parents=True)
    words = [word for word in desk.command("fail") if word != "--json"]
    with (desk.data / LOCK_NAME).open("wb") as another, (tmp_path / "said").open("w+") as said:
        fcntl.flock(another, fcntl.LOCK_SH)  # as a run does that has found this one's gateway
        process = subprocess.Popen(words, cwd=desk.project, env=desk.home.environ, stderr=said, text=True)
        wait_for(lambda: "another run uses this gateway" in (tmp_path / "said").read_text(), "its waiting")
        assert "no gateway runs" not in desk.home.run("chat", "hello", "--model", "scripted").stderr
        fcntl.flock(another, fcntl.LOCK_UN)
        assert process.wait(60) == 21
        told = (tmp_path / "said").read_text()
    assert "is started for this run alone" in told and "your first key, shown this once" in told
    assert "agent error" in told
    assert desk.home.run("chat", "hello").returncode == 4
    desk.home.good("ledger", "verify")


def test_an_adapter_in_a_file_is_all_that_an_agent_needs(desk: Desk) -> None:
    file = desk.home.directory / "homely.toml"
    file.write_text(
        'name = "homely"\ntitle = "Homely"\ndialect = "chat"\nprogram = "python"\n'
        'arguments = ["agent.py", "homely", "{task}"]\n'
        "[[files]]\npath = '.config/settings.json'\n"
        """text = '{"url": "{base_url}", "key": "{key}", "model": "{model}"}'\n"""
        '[own_cost]\nmember = "sums.cost"\n'
    )
    options = ("--adapter", str(file), "--model", "scripted", "--calls", "5", "--json")
    command = desk.home.command("run", "homely", *options, "--", '--say "hello"')
    done = subprocess.run(
        command, cwd=desk.project, env=desk.home.environ, capture_output=True, text=True, check=False
    )
    run = json.loads(done.stdout)
    assert (run["verdict"], run["agent"], run["calls"], run["own_cost"]) == (
        "done",
        "homely",
        1,
        "0.25 USD",
    ), run
    assert run["version"].startswith("3.")
    desk.assert_closed(run)


def test_adapters_of_the_users_own_go_over_those_that_ship(desk: Desk) -> None:
    own = desk.home.directory / ".config" / "tokenweir" / "agents"
    own.mkdir(parents=True)
    (own / "mine.toml").write_text('name = "mine"\ntitle = "Mine"\ndialect = "chat"\nprogram = "git"\n')
    try:
        agents = {a["name"]: a for a in json.loads(desk.home.good("agents", "--json"))["agents"]}
        assert {
            "kimi",
            "claude",
            "codex",
            "qwen",
            "opencode",
            "mini",
            "aider",
            "custom",
            "mine",
        } == agents.keys()
        assert agents["mine"]["version"] and agents["mine"]["program"].endswith("git")
        (own / "mine.toml").write_text('name = "mine"\n')
        done = desk.home.run("agents")
        assert done.returncode == 22 and "mine.toml: Object missing required field `title`" in done.stderr
    finally:
        (own / "mine.toml").unlink()
