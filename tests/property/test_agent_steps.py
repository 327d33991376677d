"""What is noted of an agent's step: the same however its bytes are cut, whatever they are, and never a secret."""

import itertools
import json
import re

import pytest
from forms import ID, NAME, PLAIN, answers, tool_calls
from hypothesis import given
from hypothesis import strategies as st

from tokenweir.protocol.asked_tools import AskedTools
from tokenweir.protocol.asking import read_asking, told_by
from tokenweir.protocol.steps import MOST_ASKED, MOST_RESULTS, digest, shown, tool_id
from tokenweir.protocol.tool_names import MOST_FILE, MOST_FILES, names_in, programs_in
from tokenweir.protocol.translate.answer import Answer, Finish, unfold
from tokenweir.protocol.translate.form import Request, Role, Text, Tool, ToolCall, ToolResult, Turn
from tokenweir.protocol.translate.host import Host
from tokenweir.protocol.translate.table import DIALECTS

EACH = pytest.mark.parametrize("dialect", DIALECTS)
REQUEST = Request(model="m", stream=True, tools=(Tool(name="bash"),))
CALLS = st.lists(tool_calls(), min_size=1, max_size=4, unique_by=lambda call: call.id)


def seen(dialect: str, pieces: list[bytes]) -> AskedTools:
    tools = AskedTools(DIALECTS[dialect])
    for piece in pieces:
        tools.feed(piece)
    tools.end()
    return tools


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@st.composite
def changed(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes with some pieces left out, and others put in."""
    for _ in range(draw(st.integers(0, 4))):
        at, length = draw(st.integers(0, len(data))), draw(st.integers(0, 40))
        put = draw(
            st.sampled_from(
                [b"", b"\n\n", b"\r", b'"', b"{", b"}", b"\xff", b"[" * 300, b"data: [DONE]\n\n", b": x\n\n"]
            )
        )
        data = data[:at] + put + data[at + length :]
    return data


def written(dialect: str, answer: Answer, *, streams: bool) -> bytes:
    if streams:
        return DIALECTS[dialect].writer(REQUEST).write(unfold(answer))
    return DIALECTS[dialect].write_answer(answer, REQUEST)


@EACH
@given(calls=CALLS, places=st.lists(st.integers(0, 9_999), max_size=6), streams=st.booleans())
def test_every_tool_that_an_answer_asks_for_is_seen_however_it_is_cut(
    dialect: str, calls: list[ToolCall], places: list[int], streams: bool
) -> None:
    answer = Answer(id="x", model="m", blocks=(Text(text="so"), *calls), finish=Finish.TOOL_CALLS)
    data = written(dialect, answer, streams=streams)
    found = seen(dialect, cut(data, places))
    assert [(tool.id, tool.name) for tool in found.asked] == [
        (tool_id(c.id), shown(c.name, 64)) for c in calls
    ]
    assert found.asked == seen(dialect, [data]).asked
    for tool, call in zip(found.asked, calls, strict=True):
        if dialect != "messages" or not streams:  # that writer may say the same arguments in other bytes
            read = DIALECTS[dialect].read_answer(written(dialect, answer, streams=False)).blocks
            assert tool.digest in {
                digest(b.arguments) for b in read if isinstance(b, ToolCall) and b.id == call.id
            }


@EACH
@given(answer=answers(), places=st.lists(st.integers(0, 9_999), max_size=6), data=st.data())
def test_no_bytes_break_it_and_no_cut_changes_it(
    dialect: str, answer: Answer, places: list[int], data: st.DataObject
) -> None:
    try:
        whole = written(dialect, answer, streams=True)
    except (TypeError, ValueError):
        return
    bytes_ = data.draw(changed(whole))
    assert seen(dialect, cut(bytes_, places)).asked == seen(dialect, [bytes_]).asked


@EACH
@given(st.binary(max_size=300))
def test_what_is_no_answer_asks_for_nothing(dialect: str, data: bytes) -> None:
    assert seen(dialect, [data]).asked == []


def test_many_tools_and_long_arguments_are_bounded() -> None:
    calls = [
        {"id": f"c{n}", "type": "function", "function": {"name": "t", "arguments": "{}"}} for n in range(100)
    ]
    calls[0]["function"]["arguments"] = json.dumps({"path": "a.py", "content": "x" * 1_000_000})
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    body = json.dumps({"id": "i", "model": "m", "choices": [{"index": 0, "message": message}]}).encode()
    found = seen("chat", [body])
    assert (len(found.asked), found.more) == (MOST_ASKED, 100 - MOST_ASKED)
    assert found.asked[0].bytes > 1_000_000 and found.asked[0].digest == digest(
        calls[0]["function"]["arguments"]
    )


@given(st.recursive(st.text(max_size=20) | st.none() | st.integers(), lambda v: st.lists(v, max_size=3) | st.dictionaries(st.sampled_from(["path", "command", "cmd", "files", "prompt", "x"]), v, max_size=3), max_leaves=12))  # fmt: skip
def test_any_arguments_have_few_short_printable_names(value: object) -> None:
    for text in (json.dumps(value), str(value)):
        names = names_in(text)
        assert len(names.files) <= MOST_FILES
        for name in (*names.files, *names.commands):
            assert name.isprintable() and 0 < len(name) <= MOST_FILE
        assert re.fullmatch(r"(?:[0-9a-f]{16})?", names.hands_on)


SECRETS = (
    "sk-proj-abcdefghijklmnop",
    "ghp_abcdefghij0123456789",
    "AKIAABCDEFGHIJKLMNOP",
    "a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6",
)


@pytest.mark.parametrize("secret", SECRETS)
def test_secrets_in_arguments_are_in_nothing_that_is_kept(secret: str) -> None:
    arguments = {
        "command": f"export KEY={secret}; curl -H 'Authorization: {secret}' x && {secret} | ./{secret}/run",
        "path": f"/tmp/{secret}/a.txt",
        "argv": [secret, "-x"],
        "files": [f"{secret}.py", "b.py"],
    }
    names = names_in(json.dumps(arguments))
    assert secret not in repr(names)
    assert "curl" in names.commands and "b.py" in names.files
    assert secret not in tool_id(secret) and secret not in shown(f"x {secret} y", 64)


@pytest.mark.parametrize(
    ("command", "programs"),
    [
        ("cd /x && pytest -q tests/a.py | tee out.txt", ["cd", "pytest", "tee"]),
        ("FOO=1 BAR='a b' /usr/bin/python3 -c \"import os; os.system('rm')\" > log 2>&1", ["python3"]),
        ("cat > f.py <<'EOF'\nsecret words; rm x\nEOF", ["cat"]),
        ("for f in *; do wc -l $f; done\ngit status", ["wc", "git"]),
        ("if test -f x; then sudo make install; fi", ["test", "make"]),
        ("echo 'no end", ["echo"]),
        (["bash", "-lc", "npm test; exit 1"], ["npm", "exit"]),
        (["git", "diff", "--stat"], ["git"]),
        ({"x": 1}, []),
        ("", []),
    ],
)
def test_programs_are_named_without_their_arguments(command: object, programs: list[str]) -> None:
    assert programs_in(command) == programs


@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        ({"file_path": "/w/src/a.py", "old_string": "path", "new_string": "x"}, ("/w/src/a.py",)),
        ({"edits": [{"path": "a"}, {"path": "b"}]}, ("a", "b")),
        ({"filePath": "c.ts"}, ("c.ts",)),
        ({"input": "*** Begin Patch\n*** Update File: d.py\n@@\n+x\n*** Add File: e.py\n"}, ("d.py", "e.py")),
        ("*** Begin Patch\n*** Delete File: f.py\n", ("f.py",)),
        ({"paths": ["g", "h"]}, ("g", "h")),
    ],
)
def test_files_are_found_by_the_members_that_tools_have(arguments: object, files: tuple[str, ...]) -> None:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    assert names_in(text).files == files


# --- requests


def asked(
    dialect: str, request: Request, headers: dict[bytes, bytes] | None = None, known: object = frozenset()
):
    body = DIALECTS[dialect].write_request(request, Host()).body
    form = DIALECTS[dialect].read_request(body)
    return read_asking(form, body, headers or {}, known, tells_failure=dialect == "messages")  # type: ignore[arg-type]


@EACH
@given(
    ids=st.lists(ID, min_size=1, max_size=4, unique=True), parts=st.lists(PLAIN, min_size=1, max_size=2), failed=st.booleans()
)  # fmt: skip
def test_results_are_matched_by_id_with_their_size(
    dialect: str, ids: list[str], parts: list[Text], failed: bool
) -> None:
    calls = tuple(ToolCall(id=id, name="bash", arguments="{}") for id in ids)
    results = tuple(ToolResult(id=id, parts=tuple(parts), failed=failed) for id in ids)
    task = Turn(Role.USER, (Text(text="reminder"), Text(text=" mend it ")))
    request = Request(
        model="m", turns=(task, Turn(Role.ASSISTANT, calls), Turn(Role.USER, results)), max_output=9,
        tools=(Tool(name="bash"),),
    )  # fmt: skip
    step = asked(dialect, request)
    size = len("".join(part.text for part in parts).encode())
    told = {"messages": failed}.get(dialect)
    assert [(r.id, r.failed) for r in step.results] == [(tool_id(id), told) for id in ids]
    # A dialect without parts in results has them joined by a line break, or says a failure in words.
    assert all(r.bytes >= size for r in step.results) and (
        failed or all(r.bytes <= size + 2 for r in step.results)
    )
    again = asked(dialect, request, known={(step.thread, tool_id(ids[0]), 0)})
    assert [r.id for r in again.results] == [tool_id(id) for id in ids[1:]]


@EACH
def test_a_conversation_is_known_by_the_text_that_it_began_with(dialect: str) -> None:
    task = Turn(Role.USER, (Text(text="reminder of the day"), Text(text="mend it")))
    said = (Turn(Role.ASSISTANT, (Text(text="so"),)), Turn(Role.USER, (Text(text="and now?"),)))
    begins = Request(model="m", turns=(task,), max_output=9)
    goes_on = Request(model="m", turns=(task, *said), max_output=9)
    assert asked(dialect, begins).thread == asked(dialect, goes_on).thread != ""
    assert (
        asked(dialect, begins).thread
        != asked(dialect, Request(model="m", turns=said[1:], max_output=9)).thread
    )


@EACH
def test_surroundings_and_reminders_are_no_beginning(dialect: str) -> None:
    reminder = "<system-reminder>\nToday is Monday.\n</system-reminder>"
    around = "<environment_context>\n<cwd>/w</cwd>\n</environment_context>"

    def thread(*texts: str) -> str:
        turns = tuple(Turn(Role.USER, (Text(text=text),)) for text in texts)
        return asked(dialect, Request(model="m", turns=turns, max_output=9)).thread

    assert (
        thread("mend it")
        == thread("mend it", reminder)
        == thread(around, "mend it", reminder)
        != thread("look", reminder)
    )
    assert thread(around, reminder) == thread(reminder) != ""  # there is nothing else
    assert thread("<b>not</b> all of it is wrapped") != thread(reminder)


def ask(words: str, instructions: str = "", *, tools: bool = False, before: bool = False) -> Request:
    turns = (
        (Turn(Role.USER, (Text(text="fix it"),)), Turn(Role.ASSISTANT, (Text(text="ok"),))) if before else ()
    )
    return Request(
        model="m", instructions=(Text(text=instructions),) if instructions else (), max_output=9,
        turns=(*turns, Turn(Role.USER, (Text(text=words),))), tools=(Tool(name="bash"),) if tools else (),
    )  # fmt: skip


@EACH
@pytest.mark.parametrize(
    ("request_", "word"),
    [
        (ask("Generate a title for this conversation:"), "title"),
        (ask("fix the bug", "Write a short title for a coding session."), "title"),
        (ask("Your task is to create a detailed summary of the conversation so far", before=True, tools=True), "compaction"),
        (ask("Summarize the conversation history above."), "compaction"),
        (ask("Which of these memories matter?"), "memory"),
        (ask("fix the bug"), ""),
        (ask("give the window a title", tools=True), ""),
        (ask("fix it", "You may summarize the conversation. Titles of sessions.", tools=True), ""),
    ],
)  # fmt: skip
def test_words_say_what_a_hidden_call_is_for(dialect: str, request_: Request, word: str) -> None:
    assert asked(dialect, request_).words == word


def test_headers_say_who_asks() -> None:
    plain = ask("x", tools=True)
    assert asked("chat", plain).agent == ""
    assert asked("chat", plain, {b"x-claude-code-agent-id": b"a1"}).agent == "sub-agent"
    assert asked("chat", plain, {b"x-openai-subagent": b"collab_spawn"}).agent == "sub-agent (collab_spawn)"
    assert asked("chat", plain, {b"x-openai-subagent": b"compact"}).agent == "compaction"
    one, other = (asked("chat", plain, {b"x-session-id": name}).session for name in (b"s1", b"s2"))
    assert one != other and len(one) == 16


def test_results_of_a_host_that_gives_every_call_the_same_id_are_told_each() -> None:
    call = Turn(Role.ASSISTANT, (ToolCall(id="call_0", name="bash", arguments="{}"),))
    results = [Turn(Role.USER, (ToolResult(id="call_0", parts=(Text(text="x" * n),)),)) for n in (1, 22)]
    task = Turn(Role.USER, (Text(text="t"),))
    once = Request(model="m", turns=(task, call, results[0]), max_output=9)
    twice = Request(model="m", turns=(*once.turns, call, results[1]), max_output=9)
    assert [r.bytes for r in asked("chat", twice, known=set(told_by(once))).results] == [22]


def test_results_are_bounded() -> None:
    calls = tuple(ToolCall(id=f"c{n}", name="bash", arguments="{}") for n in range(300))
    results = tuple(ToolResult(id=call.id, parts=(Text(text="x"),)) for call in calls)
    turns = (Turn(Role.USER, (Text(text="t"),)), Turn(Role.ASSISTANT, calls), Turn(Role.USER, results))
    step = asked("chat", Request(model="m", turns=turns, max_output=9))
    assert (len(step.results), step.more_results) == (MOST_RESULTS, 300 - MOST_RESULTS)
    assert step.results[-1].id == "c299"


@given(st.text(max_size=200) | NAME, st.integers(2, 50))
def test_what_is_shown_is_short_and_printable(text: str, most: int) -> None:
    assert len(shown(text, most)) <= most and shown(text, most).isprintable()
    assert tool_id(text) == tool_id(text) and len(tool_id(text)) <= 96
