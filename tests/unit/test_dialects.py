"""Differences of hosts are data: each name in it means something, and every host of the catalog is told what it wants."""

import json
from pathlib import Path

import msgspec
import pytest

from tokenweir.catalog.dialects import (
    UNKNOWN,
    Differences,
    SpokenDialect,
    dialects_of,
    read_dialects,
    shipped_dialects,
)
from tokenweir.catalog.providers import shipped
from tokenweir.cli.resolve_kinds import KINDS
from tokenweir.cli.settings_file import load_settings
from tokenweir.cli.targets import host_of, targets_of
from tokenweir.core.errors import SettingsError
from tokenweir.protocol.translate.chat_request_out import write_request
from tokenweir.protocol.translate.form import (
    Choice,
    Output,
    Reasoning,
    Request,
    Role,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    Turn,
)
from tokenweir.protocol.translate.host import Host

PAGE = Path(__file__).parents[2] / "docs" / "protocols.md"
TOOL = Tool(name="add", schema=msgspec.Raw(b'{"type":"object"}'))


def told(host: str, model: str, request: Request) -> tuple[dict[str, object], tuple[str, ...]]:
    """What this host of the catalog gets, and what it cannot be told."""
    chat = dialects_of(host).chat
    assert chat is not None
    written = write_request(msgspec.structs.replace(request, model=model), host_of(chat).of(model))
    return json.loads(written.body), written.dropped


def test_every_host_and_engine_has_its_entry() -> None:
    assert {host.id for host in shipped().hosts} | (KINDS.keys() - {"openai"}) <= shipped_dialects().keys()
    assert all(host.spoken() for host in shipped_dialects().values())


def test_the_catalog_says_what_the_translation_reads() -> None:
    assert set(Differences.__struct_fields__) == set(Host.__struct_fields__) - {"by_model"}
    for entry in shipped_dialects().values():
        for dialect in entry.spoken().values():
            assert isinstance(host_of(dialect), Host)


def test_the_page_names_every_member() -> None:
    section = PAGE.read_text().partition("## Adding a host")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = {word.strip("` ") for row in rows for word in row.split(",")}
    assert named == set(SpokenDialect.__struct_fields__)


def test_a_wrong_name_in_the_data_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError, match="rejcts"):
        read_dialects(b'[[host]]\nnames = ["x"]\n[host.chat]\nrejcts = []\n')


def test_an_unknown_host_is_taken_for_a_compatible_one() -> None:
    assert dialects_of("acme", "") is shipped_dialects()[UNKNOWN]


THINKS = Request(model="", thinking=Thinking(on=True, effort="medium"))
PONDERS = Request(model="", thinking=Thinking(on=True, budget=5000))
HASTES = Request(model="", thinking=Thinking(on=False))


@pytest.mark.parametrize(
    ("host", "model", "request_", "members", "dropped"),
    [
        ("moonshotai", "kimi-k3", THINKS, {"reasoning_effort": "high"}, ()),
        ("moonshotai", "kimi-k3", HASTES, {}, ("thinking.off",)),
        ("moonshotai-cn", "kimi-k2.6", HASTES, {"thinking": {"type": "disabled"}}, ()),
        ("moonshotai-cn", "kimi-k2.6", THINKS, {"thinking": {"type": "enabled"}}, ("thinking.effort",)),
        ("moonshotai", "kimi-k2-0905-preview", PONDERS, {}, ("thinking.budget",)),
        ("deepseek", "deepseek-v4-pro", THINKS, {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}, ()),
        ("zai", "glm-5.2", THINKS, {
            "tool_stream": True, "thinking": {"type": "enabled", "clear_thinking": False}, "reasoning_effort": "high",
        }, ()),
        ("zhipuai", "glm-4.5", HASTES, {"thinking": {"type": "disabled"}}, ()),
        ("alibaba", "qwen3-max", PONDERS, {"enable_thinking": True, "thinking_budget": 5000}, ()),
        ("alibaba-cn", "kimi-k2.6", THINKS, {"enable_thinking": True, "thinking_budget": 8192}, ()),
        ("minimax", "MiniMax-M3", THINKS, {"reasoning_split": True, "thinking": {"type": "adaptive"}}, ("thinking.effort",)),
        ("minimax-cn", "MiniMax-M2.5", HASTES, {"reasoning_split": True}, ("thinking.off",)),
        ("openrouter", "moonshotai/kimi-k3", THINKS, {"reasoning": {"enabled": True, "effort": "medium"}}, ()),
        ("openrouter", "moonshotai/kimi-k3", PONDERS, {"reasoning": {"enabled": True, "max_tokens": 5000}}, ()),
        ("openai", "gpt-5.2", HASTES, {"reasoning_effort": "none"}, ()),
        ("openai", "gpt-4o", THINKS, {}, ("thinking.effort",)),
        ("vllm", "any", HASTES, {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}}, ()),
        ("llamacpp", "any", THINKS, {"chat_template_kwargs": {"enable_thinking": True, "reasoning_effort": "medium"}}, ()),
    ],
)  # fmt: skip
def test_each_host_is_told_to_think_in_its_own_words(
    host: str, model: str, request_: Request, members: dict[str, object], dropped: tuple[str, ...]
) -> None:
    body, lost = told(host, model, request_)
    assert body == {"model": model, "messages": [], **members}
    assert lost == dropped


CALLED = Turn(
    Role.ASSISTANT, (Reasoning(text="so"), ToolCall(id="functions.add:0", name="add", arguments="{}"))
)
FORGOT = Turn(Role.ASSISTANT, CALLED.parts[1:])


@pytest.mark.parametrize(
    ("host", "model", "member", "forgotten"),
    [
        ("moonshotai", "kimi-k2.6", {"reasoning_content": "so"}, {"reasoning_content": " "}),
        ("deepseek", "deepseek-v4-pro", {"reasoning_content": "so"}, {"reasoning_content": " "}),
        ("minimax", "MiniMax-M2", {"reasoning_details": [{"type": "reasoning.text", "text": "so"}]}, {}),
        ("vllm", "any", {"reasoning": "so"}, {}),
        ("zai", "glm-5", {"reasoning_content": "so"}, {}),
        ("openai", "gpt-5", {}, {}),
    ],
)
def test_reasoning_goes_back_where_each_host_reads_it(
    host: str, model: str, member: dict[str, object], forgotten: dict[str, object]
) -> None:
    body, dropped = told(host, model, Request(model="", turns=(CALLED, FORGOT)))
    first, second = body["messages"]  # type: ignore[misc]
    call = {"id": "functions.add:0", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    bare = {"role": "assistant", "content": None, "tool_calls": [call]}
    assert first == bare | member
    assert second == bare | forgotten
    assert dropped == (() if member else ("reasoning",))


def test_what_a_host_refuses_is_left_out_and_named() -> None:
    request = Request(
        model="",
        turns=(Turn(Role.USER, (Text(text="hi"),), "ann"),),
        tools=(msgspec.structs.replace(TOOL, strict=True),),
        tool_choice=ToolChoice(Choice.REQUIRED),
        sampling=Sampling(temperature=0.5, top_k=3, seed=1),
        max_output=9,
    )
    body, dropped = told("moonshotai", "kimi-k2.6", request)
    assert body.keys() == {"model", "messages", "tools", "seed", "max_completion_tokens"}
    assert set(dropped) == {"name", "strict", "tool_choice", "top_k", "temperature"}
    body, dropped = told("siliconflow", "any", request)
    assert (body["top_k"], body["max_tokens"], dropped) == (3, 9, ())


def test_a_forced_tool_is_refused_while_thinking_alone() -> None:
    request = Request(model="", tools=(TOOL,), tool_choice=ToolChoice(Choice.NAMED, "add"))
    assert told("deepseek", "deepseek-v4-pro", request)[1] == ("tool_choice",)
    calm = msgspec.structs.replace(request, thinking=Thinking(on=False))
    body, dropped = told("deepseek", "deepseek-v4-pro", calm)
    assert dropped == () and body["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    auto = msgspec.structs.replace(request, tool_choice=ToolChoice(Choice.AUTO))
    body, dropped = told("deepseek", "deepseek-v4-pro", auto)
    assert dropped == () and "tool_choice" not in body  # it is what is done without a word


def test_a_schema_is_an_instruction_where_it_cannot_be_held_to() -> None:
    request = Request(model="", output=Output(schema=msgspec.Raw(b'{"type":"object"}'), name="answer"))
    body, dropped = told("deepseek", "deepseek-v4-pro", request)
    assert dropped == ("output.schema",)
    assert body["response_format"] == {"type": "json_object"}
    assert '{"type":"object"}' in body["messages"][0]["content"]  # type: ignore[index]
    body, dropped = told("openai", "gpt-5", request)
    schema = {"name": "answer", "schema": {"type": "object"}}
    assert (body["response_format"], dropped) == ({"type": "json_schema", "json_schema": schema}, ())


# --- a user's settings


def settings(tmp_path: Path, table: str):  # type: ignore[no-untyped-def]
    file = tmp_path / "weir.toml"
    file.write_text(f'[[upstream]]\nname = "a"\nurl = "http://127.0.0.1:1/v1"\n{table}')
    return load_settings({}, file=file).upstreams[0]


def test_a_table_of_the_settings_goes_over_the_one_that_ships(tmp_path: Path) -> None:
    upstream = settings(
        tmp_path,
        '[upstream.chat]\nrejects = ["seed"]\nalways = { temperature = 0.5 }\n[upstream.messages]\npath = "/m"\n',
    )
    targets = targets_of(
        dialects_of("deepseek"), {"chat": upstream.chat, "messages": upstream.messages}, (), "/v1"
    )
    chat, messages = targets[:2]
    assert (chat.path, messages.path) == ("/v1/chat/completions", "/m/messages")
    assert {"seed", "tools.strict"} <= chat.host.rejects
    assert bytes(chat.host.always) == b'{"temperature":0.5}'
    assert chat.host.effort_name == "reasoning_effort"
    assert messages.policy.betas == ("files-api-",)
    assert {t.dialect for t in targets[2:]} == {"embeddings", "completions", "rerank"}


def test_an_upstream_may_speak_one_dialect_alone(tmp_path: Path) -> None:
    upstream = settings(tmp_path, 'dialects = ["messages"]\n')
    (only,) = targets_of(dialects_of(""), {}, upstream.dialects, "/v1")
    assert (only.dialect, only.path) == ("messages", "/v1/messages")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("[upstream.chat]\nrejcts = []\n", "has no 'rejcts'; it has rejects"),
        ("[upstream.chat]\ntakes_schema = 1\n", "Expected `bool | null`, got `int`"),
        ("chat = 1\n", "must be a table"),
        ('dialects = ["chatt"]\n', "not 'chatt'"),
    ],
)
def test_a_wrong_table_is_an_error_that_names_it(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(SettingsError, match="upstream") as error:
        settings(tmp_path, table)
    assert said in str(error.value)
