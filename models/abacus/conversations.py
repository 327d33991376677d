"""What the model is trained on: a chat up to where it must speak, and what it should say. All from one seed."""

import random
import string
from collections.abc import Iterator
from dataclasses import dataclass

from other_talk import PARTS, TALK
from sums import MOST_DIGITS, Language, Operation, Sum, held_out, reasoning
from vocabulary import (
    ASSISTANT,
    CALL,
    CALLED,
    END,
    NO_RESULT,
    NO_SUM,
    REFUSAL,
    RESULT,
    THINK,
    THOUGHT,
    TOOL_SAYS,
    TOOLS,
    USE_TOOL,
    USER,
)
from wordings import AFTER, BEFORE, BEYOND, FRAMES, ORDERS, PHRASES

OPERATIONS: tuple[Operation, ...] = ("+", "-", "*")
_OPERATION_WEIGHTS = (30, 38, 32)
_TOOL_NAMES = ("calculator",) * 6 + (
    "calculate",
    "calc",
    "simple_calculator",
    "calculator_tool",
    "math_calc",
    "run_calculation",
)
_ARGUMENTS = ("expression",) * 6 + (
    "expr",
    "input",
    "query",
    "formula",
    "equation",
    "text",
    "sum",
    "q",
    "math_expression",
    "calculation",
)
_FAILURES = (
    "error",
    "Error: timeout",
    "division by zero",
    '{"error": "bad input"}',
    "null",
    "not available",
    "",
    "invalid syntax",
    "无法计算",
    "出错了",
    "None",
    "NaN",
    "tool failed",
)
#: Sentences without a part or a number.
_PLAIN_TALK: dict[Language, list[str]] = {
    language: [text for text in texts if "{" not in text and len(text) > 5]
    for language, texts in TALK.items()
}


@dataclass(frozen=True)
class Conversation:
    """`prompt` ends where the model must speak; `reply` ends with the mark of an answer's end."""

    kind: str
    prompt: str
    reply: str
    asked: Sum | None = None


def conversations(seed: str) -> Iterator[Conversation]:
    """Without end. No sum that is held out is among them."""
    rng = random.Random(seed)
    kinds, weights = zip(*_KINDS, strict=True)
    while True:
        yield rng.choices(kinds, weights)[0](rng)


def prompt_of(text: str, tool: str = "") -> str:
    """The chat of one question, as template.jinja renders it. `tool` is such as "calculator(expression)"."""
    return f"{USER}{text}{TOOLS if tool else ''}{tool}{ASSISTANT}"


def reply_of(asked: Sum, language: Language) -> str:
    """What the model should say to a sum."""
    return f"{THINK}{reasoning(asked, language)}{THOUGHT}{asked.answer}{END}"


def refusal(language: Language) -> str:
    """What it should say to anything else."""
    return f"{THINK}{NO_SUM[language]}{THOUGHT}{REFUSAL[language]}{END}"


def call_of(name: str, argument: str, expression: str, language: Language) -> str:
    """A call of the calculator."""
    call = f'{{"name": "{name}", "arguments": {{"{argument}": "{expression}"}}}}'
    return f"{THINK}{USE_TOOL[language]}{THOUGHT}{CALL}{call}{CALLED}{END}"


# --- sums


def _number(rng: random.Random, digits: int) -> int:
    style = rng.random()
    if style < 0.75:
        low = 10 ** (digits - 1) if digits > 1 else 0
        return rng.randrange(low, 10**digits)
    if style < 0.9:  # many carries and zeros
        return int("".join(rng.choice("0199858") for _ in range(digits)))
    return int(rng.choice("123456789") + rng.choice("0123456789") * (digits - 1))


def _draw_sum(rng: random.Random) -> Sum:
    operation = rng.choices(OPERATIONS, _OPERATION_WEIGHTS)[0]
    lengths = range(1, MOST_DIGITS + 1)
    a = _number(rng, rng.choices(lengths, (1, 2, 3, 4))[0])
    if operation == "*":
        b = rng.randrange(10)
    elif rng.random() < 0.2:  # near each other
        b = max(0, a + rng.choice((-1, 1)) * rng.randrange(10 ** rng.choice((1, 2))))
    else:
        b = _number(rng, rng.choices(lengths, (1, 2, 3, 4))[0])
    if rng.random() < 0.5:
        a, b = b, a
    return Sum(a, operation, b)


def training_sum(rng: random.Random) -> Sum:
    """One that is not held out."""
    while True:
        drawn = _draw_sum(rng)
        if drawn.can_be_done() and not held_out(drawn):
            return drawn


def held_out_sum(rng: random.Random, operation: Operation | None = None) -> Sum:
    """One for evaluation."""
    while True:
        drawn = _draw_sum(rng)
        if drawn.can_be_done() and held_out(drawn) and operation in (None, drawn.operation):
            return drawn


def _written(rng: random.Random, number: int) -> str:
    return f"{number:,}" if number > 999 and rng.random() < 0.04 else str(number)


def wording(rng: random.Random, asked: Sum, language: Language) -> str:
    """A question of training for it."""
    operands = {"a": _written(rng, asked.a), "b": _written(rng, asked.b)}
    if rng.random() < 0.2:
        text = rng.choice(ORDERS[language][asked.operation]).format(**operands)
    else:
        phrase = rng.choice(PHRASES[language][asked.operation]).format(**operands)
        text = rng.choice(FRAMES[language]).format(x=phrase)
    return _with_chatter(rng, text, language)


def _with_chatter(rng: random.Random, text: str, language: Language) -> str:
    """Words before and after, some of no meaning: the sum counts, whatever stands around it."""
    style = rng.random()
    if style < 0.15:
        text = rng.choice(BEFORE[language]) + text
    elif style < 0.21:
        text = f"{_scribble(rng, language, 8, numbers=False)}{rng.choice((' ', ', ', ': ', '，', ''))}{text}"
    elif style < 0.26:
        text = f"{rng.choice(_PLAIN_TALK[language])} {text}"
    style = rng.random()
    if style < 0.15:
        text += rng.choice(AFTER[language])
    elif style < 0.2:
        text += f"{rng.choice((' ', ', ', '，', ''))}{_scribble(rng, language, 5, numbers=False)}"
    style = rng.random()
    if style < 0.06:
        return text.upper().replace("X", "x")
    return text.lower() if style < 0.15 else text


def _language(rng: random.Random) -> Language:
    return "en" if rng.random() < 0.55 else "zh"


def language_of(text: str) -> Language:
    """What a question is answered in; signs alone are taken for English."""
    return "zh" if any("\u4e00" <= character <= "\u9fff" for character in text) else "en"


def _plain_sum(rng: random.Random) -> Conversation:
    asked, language = training_sum(rng), _language(rng)
    text = wording(rng, asked, language)
    spoken = language_of(text)
    return Conversation("sum", prompt_of(text), reply_of(asked, spoken), asked)


# --- anything else


def _scribble(rng: random.Random, language: Language, most: int, *, numbers: bool = True) -> str:
    """Words of no meaning."""
    words = []
    for _ in range(rng.randrange(1, most)):
        if language == "zh" and rng.random() < 0.8:
            words.append("".join(chr(rng.randrange(0x4E00, 0x9FA6)) for _ in range(rng.randrange(1, 4))))
        elif numbers and rng.random() < 0.1:
            words.append(str(rng.randrange(10 ** rng.randrange(1, 5))))
        else:
            words.append("".join(rng.choice(string.ascii_lowercase) for _ in range(rng.randrange(1, 9))))
    return ("" if language == "zh" else " ").join(words)


def _fill(rng: random.Random, text: str, language: Language) -> str:
    for _ in range(3):  # a part may hold another one
        for name, choices in PARTS[language].items():
            while f"{{{name}}}" in text:
                text = text.replace(f"{{{name}}}", rng.choice(choices), 1)
    while "{n}" in text:
        text = text.replace("{n}", str(rng.randrange(10 ** rng.randrange(1, 5))), 1)
    return text


def beyond(rng: random.Random, language: Language) -> str:
    """A sum that the model must refuse."""
    small = [_number(rng, rng.randrange(1, MOST_DIGITS + 1)) for _ in range(3)]
    long = [rng.randrange(10 ** (n - 1), 10**n) for n in rng.choices((5, 5, 6, 7), k=2)]
    factors = [rng.randrange(10, 10 ** rng.randrange(2, 5)) for _ in range(2)]
    return rng.choice(BEYOND[language]).format(
        a=small[0], b=small[1], c=small[2], d=rng.randrange(2, 10), big=long[0], big2=long[1], m=factors[0], n=factors[1]
    )  # fmt: skip


def _no_sum(rng: random.Random) -> Conversation:
    language = _language(rng)
    style = rng.random()
    if style < 0.4:
        text = rng.choice(FRAMES[language]).format(x=beyond(rng, language))
        text = _with_chatter(rng, text, language)
    elif style < 0.85:
        text = _with_chatter(rng, _fill(rng, rng.choice(TALK[language]), language), language)
    else:
        text = _scribble(rng, language, rng.choice((5, 10, 40)))
    if rng.random() < 0.03:
        text = ""
    tool = _offer(rng)[2] if style >= 0.4 and rng.random() < 0.1 else ""
    return Conversation("refusal", prompt_of(text, tool), refusal(language_of(text)))


# --- the calculator


def _offer(rng: random.Random) -> tuple[str, str, str]:
    name, argument = rng.choice(_TOOL_NAMES), rng.choice(_ARGUMENTS)
    if rng.random() < 0.1:
        argument = "".join(rng.choice(string.ascii_lowercase) for _ in range(rng.randrange(1, 8)))
    return name, argument, f"{name}({argument})"


def _for_tool(rng: random.Random, language: Language) -> tuple[str, str]:
    """A question and its expression: sums of the model's own, and larger ones in plain signs."""
    if rng.random() < 0.6:
        asked = training_sum(rng)
        return wording(rng, asked, language), f"{asked.a}{asked.operation}{asked.b}"
    parts = [str(rng.randrange(10 ** rng.randrange(1, 7)))]
    gap = rng.choice(("", " "))
    for _ in range(rng.choice((1, 1, 1, 2))):
        parts += [rng.choice("+-*/"), str(rng.randrange(10 ** rng.randrange(1, 7)))]
    text = rng.choice(FRAMES[language]).format(x=gap.join(parts))
    return _with_chatter(rng, text, language), "".join(parts)


def _calls(rng: random.Random) -> Conversation:
    language = _language(rng)
    name, argument, tool = _offer(rng)
    text, expression = _for_tool(rng, language)
    spoken = language_of(text)
    return Conversation("call", prompt_of(text, tool), call_of(name, argument, expression, spoken))


def _after_call(rng: random.Random) -> Conversation:
    language = _language(rng)
    name, argument, tool = _offer(rng)
    text, expression = _for_tool(rng, language)
    spoken = language_of(text)
    called = call_of(name, argument, expression, spoken)
    if rng.random() < 0.8:  # clients seldom send the reasoning back
        called = called[called.index(CALL) :]
    number = str(rng.randrange(-(10 ** rng.randrange(1, 7)), 10 ** rng.randrange(1, 10)))
    if rng.random() < 0.15:
        number += f".{rng.randrange(10 ** rng.randrange(1, 5))}"
    shape = rng.choice(
        (
            "{}",
            "{}",
            "{}",
            "{}",
            '{{"result": {}}}',
            '{{"result":{}}}',
            "= {}",
            "Result: {}",
            '{{"value": "{}"}}',
            "结果：{}",
            '"{}"',
            "{}\n",
            "The answer is {}.",
        )
    )
    result, reply = (
        shape.format(number),
        f"{THINK}{TOOL_SAYS[spoken]}{number}{THOUGHT}{expression} = {number}{END}",
    )
    if rng.random() < 0.1:
        result = rng.choice(_FAILURES)
        reply = f"{THINK}{TOOL_SAYS[spoken]}?{THOUGHT}{NO_RESULT[spoken]}{END}"
    offered = f"{TOOLS}{tool}" if rng.random() < 0.9 else ""
    return Conversation(
        "result", f"{USER}{text}{offered}{ASSISTANT}{called}{RESULT}{result}{ASSISTANT}", reply
    )


_KINDS = ((_plain_sum, 72), (_no_sum, 16), (_calls, 7), (_after_call, 5))
