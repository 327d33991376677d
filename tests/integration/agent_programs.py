"""Agents of our own, for tests: `python agent.py WHAT TASK`, put into the tree that they work in.

They find the gateway by the variables that `custom` gives every command.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

SHELL = {
    "name": "bash",
    "description": "Runs a command.",
    "parameters": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
}


def solve(task: str) -> None:
    """An agent in a few lines, with OpenAI's SDK: asks, runs what it is told to, says what came out."""
    from openai import OpenAI

    client, talk = OpenAI(), [{"role": "user", "content": task}]
    while True:
        tools = [{"type": "function", "function": SHELL}]
        asked = client.chat.completions.create(
            model=os.environ["WEIR_MODEL"], messages=talk, tools=tools, max_tokens=200
        )
        message = asked.choices[0].message
        if not message.tool_calls:
            print(message.content)
            return
        talk.append(
            {"role": "assistant", "content": None, "tool_calls": [c.model_dump() for c in message.tool_calls]}
        )
        for call in message.tool_calls:
            command = json.loads(call.function.arguments)["command"]
            done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
            talk.append({"role": "tool", "tool_call_id": call.id, "content": done.stdout + done.stderr})


def mend(task: str) -> None:
    """The same without an SDK, which takes a while to load."""
    talk: list[dict] = [{"role": "user", "content": task}]
    while True:
        message = post({"messages": talk, "tools": [{"type": "function", "function": SHELL}]})["choices"][0][
            "message"
        ]
        if not message.get("tool_calls"):
            return
        talk.append(message)
        for call in message["tool_calls"]:
            command = json.loads(call["function"]["arguments"])["command"]
            done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
            talk.append({"role": "tool", "tool_call_id": call["id"], "content": done.stdout + done.stderr})


def family(task: str) -> None:
    """Asks for a title, lets another agent work while a tool call waits, has its talk summed up, and goes on with the summary."""
    tools = [{"type": "function", "function": SHELL}]
    post({"messages": [{"role": "user", "content": f"Generate a title for this conversation: {task}"}]})
    talk: list[dict] = [{"role": "system", "content": "You are an agent."}, {"role": "user", "content": task}]
    message = post({"messages": talk, "tools": tools})["choices"][0]["message"]
    part = [{"role": "user", "content": "look at the tests alone"}]
    post({"messages": part, "tools": tools})
    done = {
        "role": "tool",
        "tool_call_id": message["tool_calls"][0]["id"],
        "content": "the other one has looked",
    }
    talk += [message, done]
    message = post({"messages": talk, "tools": tools})["choices"][0]["message"]
    talk += [message, {**done, "tool_call_id": message["tool_calls"][0]["id"], "content": "OK"}]
    summing = {"role": "user", "content": "Summarize the conversation above, so that you can go on."}
    post({"messages": [*talk, summing]})
    post({"messages": [{"role": "user", "content": "So far: all was mended."}], "tools": tools})


def both(task: str) -> None:
    """Lets the model ask for two tools at once, and carries out whatever comes whole; then asks for more. `task`: plain or streamed."""
    from openai import APIError, OpenAI

    client, tools = OpenAI(max_retries=0), [{"type": "function", "function": {**SHELL, "name": "run_all"}}]
    for _ in range(2):
        try:
            asked = {
                "model": os.environ["WEIR_MODEL"],
                "tools": tools,
                "messages": [{"role": "user", "content": task}],
            }
            if task == "streamed":
                with client.chat.completions.stream(**asked) as stream:
                    message = stream.get_final_completion().choices[0].message
            else:
                message = client.chat.completions.create(**asked).choices[0].message
        except APIError as error:
            print(error, file=sys.stderr)
            continue
        for number, _ in enumerate(message.tool_calls or []):
            Path(f"made{number}.txt").write_text("made")


def messages(task: str) -> None:
    """`solve` with Anthropic's SDK, streamed; it says of a command whether it failed."""
    from anthropic import Anthropic

    client, talk = Anthropic(), [{"role": "user", "content": task}]
    tools = [{"name": "bash", "input_schema": SHELL["parameters"]}]
    while True:
        with client.messages.stream(
            model=os.environ["WEIR_MODEL"], max_tokens=200, messages=talk, tools=tools
        ) as stream:
            said = stream.get_final_message()
        calls = [block for block in said.content if block.type == "tool_use"]
        if not calls:
            return
        results = []
        for call in calls:
            done = subprocess.run(
                call.input["command"], shell=True, capture_output=True, text=True, check=False
            )
            failed, out = done.returncode != 0, done.stdout + done.stderr
            results.append(
                {"type": "tool_result", "tool_use_id": call.id, "content": out, "is_error": failed}
            )
        blocks = [block.model_dump(exclude_none=True) for block in said.content]
        talk += [{"role": "assistant", "content": blocks}, {"role": "user", "content": results}]


def responses(task: str) -> None:
    """`solve` by Responses, streamed."""
    from openai import OpenAI

    client, talk = OpenAI(), [{"role": "user", "content": task}]
    tools = [{"type": "function", "strict": False, **SHELL}]
    while True:
        with client.responses.stream(
            model=os.environ["WEIR_MODEL"], max_output_tokens=200, input=talk, tools=tools, store=False
        ) as stream:
            said = stream.get_final_response()
        calls = [item for item in said.output if item.type == "function_call"]
        if not calls:
            return
        for call in calls:
            command = json.loads(call.arguments)["command"]
            done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
            talk.append(
                {
                    "type": "function_call",
                    "call_id": call.call_id,
                    "name": call.name,
                    "arguments": call.arguments,
                }
            )
            talk.append(
                {"type": "function_call_output", "call_id": call.call_id, "output": done.stdout + done.stderr}
            )


def ask(words: str, stream: bool = False) -> bool:
    """One call, whatever comes of it: whether it was answered."""
    return "choices" in post(
        {"max_tokens": 20, "messages": [{"role": "user", "content": words}], "stream": stream}
    )


def post(members: dict) -> dict:
    """A plain answer, or what stands in its place."""
    parts = urlsplit(os.environ["WEIR_BASE_URL"])
    connection = HTTPConnection(parts.hostname, parts.port, timeout=60)
    headers = {"Authorization": f"Bearer {os.environ['WEIR_KEY']}", "Content-Type": "application/json"}
    body = json.dumps({"model": os.environ["WEIR_MODEL"], **members})
    connection.request("POST", "/v1/chat/completions", body, headers)
    answer = connection.getresponse().read()
    connection.close()
    return dict(json.loads(answer)) if answer.startswith(b"{") else {}


def stubborn(task: str) -> None:
    """Heeds no refusal and no signal, and leaves a process in a session of its own."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    Path("left.txt").write_text(str(child.pid))
    while True:
        ask(task + " x" * 2_000)


def swarm(task: str) -> None:
    """As stubborn, on eight connections at once."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)

    def spin() -> None:
        while True:
            ask(task + " x" * 2_000)

    for _ in range(8):
        threading.Thread(target=spin).start()


def sleep(task: str) -> None:
    """Does nothing, for long."""
    Path("begun.txt").write_text("begun")
    time.sleep(1_000)


def hang(task: str) -> None:
    """Waits for an answer that does not end."""
    ask(task, stream=True)


def fail(task: str) -> None:
    """Ends badly, after a call."""
    ask(task)
    raise SystemExit("no idea what to do")


def homely(task: str) -> None:
    """Takes its settings from its home, and says what it thinks that it cost."""
    settings = json.loads((Path.home() / ".config" / "settings.json").read_text())
    os.environ |= {
        "WEIR_BASE_URL": settings["url"],
        "WEIR_KEY": settings["key"],
        "WEIR_MODEL": settings["model"],
    }
    assert ask(task)
    print(json.dumps({"event": "end", "sums": {"cost": 0.25}}))


def crack(task: str) -> None:
    """Changes the test instead of the fault, and adds what makes every test pass."""
    Path("test_sums.py").write_text("import unittest\n")
    Path("conftest.py").write_text("")
    ask(task)


def spy(task: str) -> None:
    """Writes down what it gets at; `task` names paths and ports: JSON."""
    wanted = json.loads(task)
    found = {}
    for path in wanted["read"]:
        found[f"read {path}"] = tried(lambda path=path: Path(path).read_bytes())
    for path in wanted["write"]:
        found[f"write {path}"] = tried(lambda path=path: Path(path).write_text("was here"))
    for path in wanted["list"]:
        found[f"list {path}"] = tried(lambda path=path: list(Path(path).iterdir()))
    for port in wanted["ports"]:
        found[f"port {port}"] = tried(lambda port=port: socket.create_connection(("127.0.0.1", port), 5))
    for path in wanted["sockets"]:
        found[f"socket {path}"] = tried(lambda path=path: unix(path))
    found["udp"] = tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    found["signal"] = tried(lambda: os.kill(wanted["pid"], 0))
    found["environment"] = sorted(os.environ)
    found["gateway"] = ask("hello")
    Path("found.json").write_text(json.dumps(found))


def tried(act) -> str:
    try:
        act()
    except OSError as error:
        return type(error).__name__
    return "done"


def unix(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2])
