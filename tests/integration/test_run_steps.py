"""What is kept of a run's steps, with real agents of our own before a gateway: the tree, its limits, and what is left out."""

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing

import pytest
from clients.scripted_model import COMMANDS, LAST_WORDS, ScriptedModel
from run_desk import CHECK, Desk

from tokenweir.ledger.database import DATABASE_NAME
from tokenweir.ledger.verify import verify
from tokenweir.ledger.views import open_reader
from tokenweir.ledger.views.run_tree import RunTree, run_tree


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    model = ScriptedModel()
    yield model
    model.close()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, model: ScriptedModel) -> Iterator[Desk]:
    desk = Desk(tmp_path_factory.mktemp("desk"), model.url, "http://127.0.0.1:1")
    port = int((desk.home.directory / "weir.toml").read_text().split("port = ")[1].split("\n")[0])
    with desk.home.up(port):
        yield desk


def tree_of(desk: Desk, run: dict) -> RunTree:
    with closing(open_reader(desk.data)) as db:
        return run_tree(db, run["id"])


@pytest.mark.parametrize("agent", ["mend", "messages", "responses"])
def test_each_dialect_tells_the_tools_and_what_came_of_them(desk: Desk, agent: str) -> None:
    run = desk.run(agent, "--verify", CHECK)
    assert run["verdict"] == "solved"
    first, second, last = tree_of(desk, run).steps
    assert [step.purpose for step in (first, second, last)] == ["main"] * 3
    assert first.why == "the first conversation that offers tools"
    (mend,), (test,) = first.tools, second.tools
    assert (mend.name, mend.commands, last.tools) == ("bash", ("python3",), ())
    assert mend.bytes == len(json.dumps({"command": COMMANDS[0]}))
    assert mend.result_bytes == 0 and test.result_bytes and test.result_bytes > 0
    told = False if agent == "messages" else None
    assert mend.failed is told and test.failed is told
    assert mend.took_us is not None and mend.took_us > 0
    assert mend.digest != test.digest
    with closing(sqlite3.connect(desk.data / DATABASE_NAME)) as db:
        kept = " ".join(row[0] for row in db.execute("SELECT step FROM steps"))
    assert "mend it" not in kept and "replace(" not in kept
    desk.assert_closed(run)


def test_hidden_calls_and_sub_agents_are_told_apart(desk: Desk) -> None:
    run = desk.run("family")
    steps = tree_of(desk, run).steps
    assert [step.purpose for step in steps] == ["title", "main", "sub-agent", "main", "compaction", "main"]
    assert (steps[2].parent, steps[2].parent_tool, steps[2].depth) == (2, 1, 1)
    assert steps[2].tools[0].result_bytes is None  # what its tool gave back went nowhere
    assert steps[1].tools[0].result_bytes == len("the other one has looked")
    assert steps[5].why == "it goes on after the conversation was summed up"
    assert all(step.why for step in steps)


@pytest.mark.parametrize("how", ["plain", "streamed"])
def test_an_answer_that_asks_for_more_tools_than_are_left_is_not_handed_on(desk: Desk, how: str) -> None:
    run = desk.run("both", "--tool-calls", "1", task=how, code=20)
    assert (run["verdict"], run["ending"], run["files_changed"]) == ("out of budget", "out of budget", 0)
    assert (run["calls"], run["tool_calls"], run["withheld"], run["refused"]) == (1, 2, 1, 1)
    assert run["cost"] == {"CNY": "0.00244"}  # what the model said was paid for all the same
    (step, *_) = tree_of(desk, run).steps
    assert step.withheld and step.row.reason == "withheld: 2 tool calls asked for, 1 left"
    assert "withheld" in desk.home.good("runs", "show", run["id"])
    desk.assert_closed(run)


def test_as_many_tools_as_are_left_are_handed_on(desk: Desk) -> None:
    run = desk.run("both", "--tool-calls", "2", task="plain", code=20)  # its second request finds none left
    assert (run["calls"], run["tool_calls"], run["withheld"], run["refused"], run["files_changed"]) == (
        1,
        2,
        0,
        1,
        2,
    )
    one = desk.run("mend", "--tool-calls", "1", code=20)
    assert (one["calls"], one["tool_calls"], one["refused"], one["last_tool"]) == (1, 1, 1, "bash python3")
    more = desk.run("mend", "--tool-calls", "3", "--verify", CHECK)
    assert (more["verdict"], more["tool_calls"], more["limits"]) == ("solved", 2, ["1 CNY", "3 tool calls"])


def test_the_tree_is_shown_with_what_each_step_cost(desk: Desk) -> None:
    run = desk.run("family")
    lines = desk.home.good("runs", "show", run["id"]).splitlines()
    at = next(n for n, line in enumerate(lines) if line.split()[:2] == ["2", "main"])
    assert "0.00244 CNY" in lines[at] and " 1,000 " in lines[at] and " ok " in lines[at]
    assert lines[at + 1].split()[:3] == ["1", "bash", "python3"] and "24 bytes" in lines[at + 1]
    assert "sub-agent of 2.1" in lines[at + 2]
    shown = json.loads(desk.home.good("runs", "show", run["id"], "--json"))
    assert [step["purpose"] for step in shown["steps"]][:3] == ["title", "main", "sub-agent"]
    assert shown["steps"][1]["tools"][0]["commands"] == ["python3"]
    assert [step["call"] for step in shown["steps"]] == [call["call"] for call in shown["made"]]
    words = [word for word in desk.command("mend") if word != "--json"]
    done = subprocess.run(
        words, cwd=desk.project, env=desk.home.environ, capture_output=True, text=True, check=False
    )
    assert "-> bash python3  |" in done.stderr and "2 calls; the last was bash python3" in done.stderr


def test_text_is_kept_only_where_it_is_asked_for_and_forgotten_when_told(desk: Desk) -> None:
    plain = desk.run("messages")
    done = desk.home.run("runs", "text", plain["id"])
    assert done.returncode == 22 and "only `weir run --keep-text` keeps any" in done.stderr
    run = desk.run("messages", "--keep-text", "7d")
    assert run["keep_text_s"] == 7 * 86_400
    texts = [json.loads(line) for line in desk.home.good("runs", "text", run["id"]).splitlines()]
    assert [text["step"] for text in texts] == [1, 2, 3] and {text["dialect"] for text in texts} == {
        "messages"
    }
    assert json.loads(texts[0]["request"])["messages"] == [{"role": "user", "content": "mend it"}]
    assert "event: message_start" in texts[0]["answer"] and "event: message_stop" in texts[0]["answer"]
    files = list((desk.data / "texts" / run["id"]).iterdir())
    assert len(files) == 3 and {file.stat().st_mode & 0o777 for file in files} == {0o600}
    everything = json.dumps(texts).lower()
    assert "authorization" not in everything and "sk-weir" not in everything
    assert len(desk.home.good("runs", "text", run["id"], "2").splitlines()) == 1
    assert "3 texts" in desk.home.good("runs", "forget", run["id"])
    assert not (desk.data / "texts" / run["id"]).exists()
    assert json.loads(desk.home.good("runs", "show", run["id"], "--json"))["verdict"] == "done"


def test_a_run_is_written_down_for_other_tools(desk: Desk, tmp_path) -> None:
    run = desk.run("messages", "--keep-text", "1h")
    lines = [json.loads(line) for line in desk.home.good("runs", "export", run["id"]).splitlines()]
    assert [line["tools"][0]["name"] if line["tools"] else "" for line in lines] == ["bash", "bash", ""]
    told = json.loads(desk.home.good("runs", "export", run["id"], "--format", "otel"))
    spans = told["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert [span["name"].split(" ")[0] for span in spans] == ["invoke_agent"] + [
        "chat",
        "execute_tool",
    ] * 2 + ["chat"]
    file = tmp_path / "trajectory.json"
    assert desk.home.good("runs", "export", run["id"], "--format", "atif", "--out", str(file)) == ""
    steps = json.loads(file.read_text())["steps"]
    assert steps[0]["message"] == "mend it" and steps[1]["tool_calls"][0]["arguments"] == {
        "command": COMMANDS[0]
    }
    assert "OK" in steps[2]["observation"]["results"][0]["content"] and steps[3]["message"] == LAST_WORDS
    done = desk.home.run("runs", "export", run["id"], "--format", "xml")
    assert done.returncode == 2 and "otel, atif, jsonl" in done.stderr
    assert "cannot be written" in desk.home.run("runs", "export", run["id"], "--out", "/nowhere/x").stderr


def test_an_entry_counts_what_its_step_tells_and_verify_sees_where_it_does_not(desk: Desk, tmp_path) -> None:
    run = desk.run("mend")
    with closing(sqlite3.connect(desk.data / DATABASE_NAME)) as db:
        copy = sqlite3.connect(tmp_path / DATABASE_NAME)
        db.backup(copy)
    counted = copy.execute("SELECT sum(tool_calls) FROM entries WHERE run = ?", (run["id"],)).fetchone()
    assert counted == (2,) and verify(tmp_path).ok
    copy.execute("DROP TRIGGER steps_are_never_removed")
    copy.execute("DROP TRIGGER steps_are_never_changed")
    copy.execute("UPDATE steps SET run = 'run_other' WHERE run = ? AND call IN (SELECT min(call) FROM steps WHERE run = ?)", (run["id"],) * 2)  # fmt: skip
    copy.execute("DELETE FROM steps WHERE call IN (SELECT call FROM entries WHERE run = ? AND tool_calls > 0) AND run = ?", (run["id"],) * 2)  # fmt: skip
    copy.commit()
    copy.close()
    told = verify(tmp_path).problems
    assert len(told) == 2
    assert "a step of run run_other tells of call" in told[0] and "of which no step tells" in told[1]
