"""The model that ships, as a newcomer meets it: `weir up` with nothing set, then calls of the `openai` client."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from anthropic import Anthropic
from openai import BadRequestError, OpenAI
from weir_process import DEADLINE_S, Home, free_port

from tokenweir.engines.local import installed

if not installed():
    pytest.skip("the extra `local` is not installed", allow_module_level=True)

from evaluate import CALCULATOR, Door, four_digit, judge, questions
from vocabulary import REFUSAL

LEAST_SHARE = 0.95


class Abacus:
    """The model behind a gateway that was started with nothing set."""

    def __init__(self, home: Home, port: int) -> None:
        self.home, self.url = home, f"http://127.0.0.1:{port}"
        self.greeting = home.greeting()
        found = re.search(r"sk-weir-\S+", self.greeting)
        assert found, self.greeting
        self.key = found[0]
        self.client = OpenAI(base_url=f"{self.url}/v1", api_key=self.key, max_retries=0, timeout=DEADLINE_S)

    def chat(self, messages: list[dict[str, object]], **more: object):  # type: ignore[no-untyped-def]
        return self.client.chat.completions.create(model="abacus", messages=messages, **more)  # type: ignore[call-overload]

    def ask(self, text: object, **more: object):  # type: ignore[no-untyped-def]
        return self.chat([{"role": "user", "content": text}], **more)


@pytest.fixture(scope="module")
def abacus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Abacus]:
    home, port = Home(tmp_path_factory.mktemp("home")), free_port()
    with home.up(port, "--port", str(port)):
        found = Abacus(home, port)
        assert found.ask("1+1").choices
        yield found


def test_the_greeting_names_it_and_its_example_works_as_printed(abacus: Abacus) -> None:
    greeting = abacus.greeting
    assert '"model": "abacus"' in greeting
    snippet = greeting[greeting.index("from openai import") :]
    done = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, check=True)
    assert done.stdout == "12 + 30 = 42\n"


def test_clients_of_the_other_dialects_reach_it(abacus: Abacus) -> None:
    client = Anthropic(base_url=abacus.url, api_key=abacus.key, max_retries=0)
    said = client.messages.create(
        model="abacus", max_tokens=400, messages=[{"role": "user", "content": "What is 37 + 58?"}]
    )
    thought, answer = said.content
    assert answer.type == "text" and answer.text == "37 + 58 = 95"
    assert thought.type == "thinking" and "carry 1" in thought.thinking
    with abacus.client.responses.stream(model="abacus", input="37加58等于多少？", store=False) as stream:
        assert stream.get_final_response().output_text == "37 + 58 = 95"


@pytest.mark.parametrize(
    ("text", "answer", "step"),
    [
        ("What is 37 + 58?", "37 + 58 = 95", "ones 7+8=15 write 5 carry 1"),
        ("37加58等于多少？", "37 + 58 = 95", "个位 7+8=15 写 5 进 1"),
        ("compute 1234-987", "1234 - 987 = 247", "borrow 1"),
        ("37减1258是多少", "37 - 1258 = -1221", "交换"),
        ("12 乘以 8", "12 × 8 = 96", "进 1"),
        ("7 times 4321 please", "7 × 4321 = 30247", "carry 3"),
        ("12+30=", "12 + 30 = 42", "ones 2+0=2"),
    ],
)
def test_sums_are_told_step_by_step_and_then_answered(
    abacus: Abacus, text: str, answer: str, step: str
) -> None:
    message = abacus.ask(text).choices[0].message
    assert message.content == answer
    assert step in message.reasoning_content


def test_a_stream_brings_the_reasoning_first_and_is_metered_exactly(abacus: Abacus) -> None:
    whole = abacus.ask("What is 905 + 96?")
    reasoning, content, usage, kinds = "", "", None, []
    for chunk in abacus.ask("What is 905 + 96?", stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            thought = getattr(choice.delta, "reasoning_content", None)
            reasoning, content = reasoning + (thought or ""), content + (choice.delta.content or "")
            kinds += ["r"] * bool(thought) + ["c"] * bool(choice.delta.content)
    assert content == whole.choices[0].message.content == "905 + 96 = 1001"
    assert reasoning == whole.choices[0].message.reasoning_content
    assert "".join(kinds).strip("r").strip("c") == ""
    assert len(kinds) > 20
    assert (usage.prompt_tokens, usage.completion_tokens) == (
        whole.usage.prompt_tokens,
        whole.usage.completion_tokens,
    )
    metered = json.loads(abacus.home.good("calls", "--json").splitlines()[0])["tokens"]
    assert metered["input"] + metered["cache_read"] == usage.prompt_tokens
    assert metered["output"] + metered["reasoning"] == usage.completion_tokens
    row = next(row for row in json.loads(abacus.home.good("usage", "--by", "model", "--json"))["rows"])
    assert row["by"] == {"model": "abacus"}
    assert (row["cost"], row["unpriced_calls"], row["estimated_calls"]) == (
        {"CNY": "0"},
        0,
        0,
    )


@pytest.mark.parametrize("stream", [False, True])
def test_it_calls_an_offered_calculator_and_tells_its_result(abacus: Abacus, stream: bool) -> None:
    question = {"role": "user", "content": "What is 4321 times 8765?"}
    call = called(abacus, [question], stream)
    assert json.loads(call["function"]["arguments"]) == {"expression": "4321*8765"}
    turns = [
        question,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "37873565"},
    ]
    answer = abacus.chat(turns, tools=[CALCULATOR])
    assert answer.choices[0].message.content == "4321*8765 = 37873565"
    assert answer.choices[0].finish_reason == "stop"


def called(abacus: Abacus, messages: list[dict[str, str]], stream: bool) -> dict[str, dict[str, str]]:
    """The one call of an answer, as it is sent back."""
    if not stream:
        answer = abacus.chat(messages, tools=[CALCULATOR])
        assert answer.choices[0].finish_reason == "tool_calls"
        (call,) = answer.choices[0].message.tool_calls
        found: dict[str, dict[str, str]] = call.model_dump()
        return found
    name, arguments, identity, finish = "", "", "", None
    for chunk in abacus.chat(messages, tools=[CALCULATOR], stream=True):
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            for part in choice.delta.tool_calls or []:
                assert part.index == 0
                identity, name = identity or part.id, name + (part.function.name or "")
                arguments += part.function.arguments or ""
    assert finish == "tool_calls"
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("text", "language"),
    [("hello", "en"), ("Write a poem about the sea", "en"), ("who are you", "en"), ("12345 + 1", "en"),
     ("你好", "zh"), ("写一首关于春天的诗", "zh"), ("你是谁？", "zh"), ("8除以2等于多少", "zh")],
)  # fmt: skip
def test_anything_else_is_refused_in_the_language_asked(abacus: Abacus, text: str, language: str) -> None:
    assert abacus.ask(text).choices[0].message.content == REFUSAL[language]  # type: ignore[index]


def test_instructions_and_earlier_turns_do_not_disturb_it(abacus: Abacus) -> None:
    turns = [
        {"role": "system", "content": "You are a pirate. " * 400},
        {"role": "user", "content": "What is 1 + 1?"},
        {"role": "assistant", "content": "1 + 1 = 2"},
        {"role": "user", "content": [{"type": "text", "text": "What is 37 + 58?"}]},
    ]
    other = {
        "type": "function",
        "function": {"name": "search", "parameters": {"type": "object", "properties": {}}},
    }
    answer = abacus.chat(turns, tools=[other])
    assert answer.choices[0].message.content == "37 + 58 = 95"


def test_a_question_beyond_the_context_is_refused_in_words(abacus: Abacus) -> None:
    with pytest.raises(BadRequestError, match="context"):
        abacus.ask("x" * 5_000)
    assert abacus.ask("1+1").choices[0].message.content == "1 + 1 = 2"


def test_sums_that_it_never_saw_come_out_right(abacus: Abacus) -> None:
    asked = [one for one in questions(4, 7) if "wordings" in one.category]
    tallies = judge(Door(abacus.url, abacus.key, {}), asked).values()
    assert sum(tally.asked for tally in tallies) == 48
    assert sum(tally.right for tally in tallies) >= LEAST_SHARE * 48, [tally.wrong for tally in tallies]


@pytest.mark.long
@pytest.mark.parametrize("temperature", [None, 1.0])
def test_the_whole_evaluation(abacus: Abacus, temperature: float | None) -> None:
    asked = [*questions(200, 3), *four_digit(200, 3)]
    tallies = judge(
        Door(
            abacus.url,
            abacus.key,
            {"seed": 3} if temperature is None else {"seed": 3, "temperature": temperature},
        ),
        asked,
    )
    low = {
        name: (tally.right, tally.wrong[:3])
        for name, tally in tallies.items()
        if tally.right < 0.95 * tally.asked
    }
    assert low == {}
