"""Measure abacus on what it was never trained on, as llama.cpp serves it.

    .venv/bin/python models/abacus/evaluate.py                  # starts the local engine by itself
    WEIR_KEY=sk-weir-… .venv/bin/python models/abacus/evaluate.py --url http://127.0.0.1:8787

An answer is right when its text is right to the letter; the reasoning is counted apart, as its steps.
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from conversations import beyond, held_out_sum, language_of, wording
from other_talk import HELD_OUT_TALK
from sums import Language, Operation, Sum, reasoning
from vocabulary import REFUSAL
from wordings import HELD_OUT

HERE = Path(__file__).resolve().parent
TIMEOUT_S = 60
LANGUAGES: tuple[Language, ...] = ("en", "zh")
NAMES: dict[Operation, str] = {"+": "addition", "-": "subtraction", "*": "product"}
CALCULATOR = {
    "type": "function",
    "function": {
        "name": "calculator",
        "description": "Works out an arithmetic expression.",
        "parameters": {
            "type": "object",
            "properties": {"expression": {"type": "string"}},
            "required": ["expression"],
        },
    },
}

Json = dict[str, object]


@dataclass(frozen=True)
class Question:
    """`want` is the answer's text, or the expression of a call of the calculator."""

    category: str
    body: Json
    want: str
    steps: str = ""
    call: bool = False


@dataclass
class Tally:
    """Of one category."""

    asked: int = 0
    right: int = 0
    steps_right: int = 0
    wrong: list[str] = field(default_factory=list)


def questions(count: int, seed: int) -> Iterator[Question]:
    """`count` of each category. Every sum is held out; the wordings are those of training and, apart, held out too."""
    rng = random.Random(f"evaluate-{seed}")
    for operation, name in NAMES.items():
        for language in LANGUAGES:
            for _ in range(count):
                asked = held_out_sum(rng, operation)
                yield _sum(f"{name}, {language}, known wordings", asked, wording(rng, asked, language))
            for _ in range(count):
                asked = held_out_sum(rng, operation)
                text = rng.choice(HELD_OUT[language][operation]).format(a=asked.a, b=asked.b)
                yield _sum(f"{name}, {language}, new wordings", asked, text)
    for language in LANGUAGES:
        yield from _calls(rng, language, count)
        for text in HELD_OUT_TALK[language]:
            yield Question(f"other talk, {language}, new", _body(text), REFUSAL[language])
        for _ in range(count):
            text = beyond(rng, language)
            yield Question(f"sums beyond it, {language}", _body(text), REFUSAL[language_of(text)])


def four_digit(count: int, seed: int) -> Iterator[Question]:
    """The hardest alone: two operands of four digits, one for products."""
    rng = random.Random(f"four-{seed}")
    for operation, name in NAMES.items():
        found = 0
        while found < count:
            asked = held_out_sum(rng, operation)
            least, most = sorted((asked.a, asked.b))
            if most > 999 and (operation == "*" or least > 999):
                found += 1
                yield _sum(f"{name} of 4 digits", asked, wording(rng, asked, rng.choice(LANGUAGES)))


def _sum(category: str, asked: Sum, text: str) -> Question:
    return Question(category, _body(text), asked.answer, reasoning(asked, language_of(text)))


def _calls(rng: random.Random, language: Language, count: int) -> Iterator[Question]:
    for _ in range(count):
        asked = held_out_sum(rng)
        text, expression = wording(rng, asked, language), f"{asked.a}{asked.operation}{asked.b}"
        body = {**_body(text), "tools": [CALCULATOR]}
        yield Question(f"calls the calculator, {language}", body, expression, call=True)
        call = {"name": "calculator", "arguments": json.dumps({"expression": expression})}
        turns = [
            {"role": "user", "content": text},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": call}],
            },
            {"role": "tool", "tool_call_id": "c", "content": str(asked.result)},
        ]
        after = {"model": "abacus", "messages": turns, "tools": [CALCULATOR]}
        yield Question(f"tells the calculator's result, {language}", after, f"{expression} = {asked.result}")


def _body(text: str) -> Json:
    return {"model": "abacus", "messages": [{"role": "user", "content": text}]}


class Door:
    """Where the model is asked."""

    def __init__(self, url: str, key: str, more: Json) -> None:
        self.place, self.key, self.more = urlsplit(url), key, more

    def ask(self, body: Json) -> Json:
        """The message that comes back."""
        with contextlib.closing(
            http.client.HTTPConnection(self.place.hostname or "", self.place.port, timeout=TIMEOUT_S)
        ) as connection:
            headers = {"content-type": "application/json", "authorization": f"Bearer {self.key}"}
            connection.request("POST", "/v1/chat/completions", json.dumps({**body, **self.more}), headers)
            answer = connection.getresponse()
            whole = json.loads(answer.read())
            if answer.status != http.client.OK:
                raise RuntimeError(f"{answer.status}: {whole}")
            message: Json = whole["choices"][0]["message"]
            return message


def said(message: Json) -> str:
    """The text of an answer, or the expression of its call."""
    calls = message.get("tool_calls")
    if not calls:
        return str(message.get("content"))
    try:
        return str(json.loads(calls[0]["function"]["arguments"]).get("expression"))
    except (ValueError, AttributeError):
        return f"a call that is no JSON object: {calls[0]}"


def judge(door: Door, asked: Sequence[Question], parallel: int = 4) -> dict[str, Tally]:
    """Ask them all; a tally for each category."""
    tallies: dict[str, Tally] = {}
    with ThreadPoolExecutor(parallel) as pool:
        for question, message in zip(asked, pool.map(lambda one: door.ask(one.body), asked), strict=True):
            tally = tallies.setdefault(question.category, Tally())
            right = said(message) == question.want and bool(message.get("tool_calls")) == question.call
            tally.asked += 1
            tally.right += right
            tally.steps_right += right and str(message.get("reasoning_content", "")).strip() == question.steps
            if not right:
                tally.wrong.append(f"{question.body['messages'][0]['content']!r}: {said(message)!r}")  # type: ignore[index]
    return tallies


@contextlib.contextmanager
def engine(model: Path) -> Iterator[str]:
    """The local engine as `weir up` runs it; its address."""
    command = [sys.executable, "-m", "tokenweir.engines.local", "--model", str(model), "--lifeline"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(TIMEOUT_S)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=HERE / "abacus.gguf")
    parser.add_argument(
        "--url", default="", help="a gateway that serves it, in place of an engine of our own"
    )
    parser.add_argument("--count", type=int, default=300, help="questions of each category")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--temperature", type=float, help="without it, the model's own: 0")
    parser.add_argument("--wrong", type=int, default=3, help="wrong answers to show of each category")
    options = parser.parse_args()
    asked = [*questions(options.count, options.seed), *four_digit(options.count, options.seed)]
    more: Json = {"seed": options.seed}
    if options.temperature is not None:
        more["temperature"] = options.temperature
    with contextlib.ExitStack() as stack:
        url = options.url or stack.enter_context(engine(options.model))
        tallies = judge(Door(url, os.environ.get("WEIR_KEY", ""), more), asked)
    print("| category | asked | right | share | with every step right |\n|---|---|---|---|---|")
    for category, tally in tallies.items():
        steps = (
            f"{tally.steps_right / tally.asked:.1%}"
            if "wordings" in category or "digits" in category
            else "–"
        )
        print(f"| {category} | {tally.asked} | {tally.right} | {tally.right / tally.asked:.1%} | {steps} |")
    for category, tally in tallies.items():
        for line in tally.wrong[: options.wrong]:
            print(f"wrong, {category}: {line}", file=sys.stderr)


if __name__ == "__main__":
    main()
