"""Sums told step by step, as on paper: columns from the right, what is carried or borrowed, the result."""

import hashlib
from dataclasses import dataclass
from typing import Literal

Operation = Literal["+", "-", "*"]
Language = Literal["en", "zh"]

#: Sums that no training example may use: one in ten, by their hash.
HELD_OUT_SHARE = 10
#: Columns of an operand.
MOST_DIGITS = 4

SIGNS: dict[Operation, str] = {"+": "+", "-": "-", "*": "×"}
PLACES: dict[Language, tuple[str, ...]] = {
    "en": ("ones", "tens", "hundreds", "thousands", "ten thousands"),
    "zh": ("个位", "十位", "百位", "千位", "万位"),
}
DIGITS: dict[Language, str] = {"en": " digits: ", "zh": "位数："}
WRITE: dict[Language, str] = {"en": " write ", "zh": " 写 "}
CARRY: dict[Language, str] = {"en": " carry ", "zh": " 进 "}
BORROW: dict[Language, str] = {"en": " borrow ", "zh": " 借 "}
COMPARE: dict[Language, str] = {"en": "compare", "zh": "比较"}
SWAP: dict[Language, str] = {"en": " swap, minus", "zh": " 交换，得负"}
SO: dict[Language, str] = {"en": "so ", "zh": "得 "}


@dataclass(frozen=True)
class Sum:
    """Two whole numbers from 0 and what is done with them."""

    a: int
    operation: Operation
    b: int

    @property
    def result(self) -> int:
        """What it comes to."""
        if self.operation == "+":
            return self.a + self.b
        return self.a - self.b if self.operation == "-" else self.a * self.b

    @property
    def answer(self) -> str:
        """The sum with its result, such as "37 + 58 = 95"."""
        return f"{self.a} {SIGNS[self.operation]} {self.b} = {self.result}"

    def can_be_done(self) -> bool:
        """Whether it is among those that the model learns."""
        small, large = sorted((self.a, self.b))
        limit = 10**MOST_DIGITS
        return small >= 0 and large < limit and (self.operation != "*" or small < 10)


def held_out(asked: Sum) -> bool:
    """Whether it is for evaluation alone. The same for both orders of the operands."""
    small, large = sorted((asked.a, asked.b))
    digest = hashlib.sha256(f"{small} {asked.operation} {large}".encode()).digest()
    return digest[0] % HELD_OUT_SHARE == 0


def reasoning(asked: Sum, language: Language) -> str:
    """The way to the result, one step a line."""
    lines = _multiply(asked, language) if asked.operation == "*" else _columns(asked, language)
    return "\n".join(lines)


def _digits(number: int, width: int) -> list[int]:
    """From the ones upwards."""
    return [number // 10**place % 10 for place in range(width)]


def _head(a: int, sign: str, b: int, width: int, language: Language) -> str:
    return f"{width}{DIGITS[language]}{a:0{width}d}{sign}{b:0{width}d}"


def _compare(a: int, b: int, width: int, language: Language) -> str:
    """Digits from the left until they differ."""
    line = COMPARE[language]
    for one, other in zip(f"{a:0{width}d}", f"{b:0{width}d}", strict=True):
        if one != other:
            return f"{line} {one}{'<' if one < other else '>'}{other}"
        line += f" {one}={other}"
    return line


def _columns(asked: Sum, language: Language) -> list[str]:
    a, b = asked.a, asked.b
    width = max(len(str(a)), len(str(b)))
    if asked.operation == "+":
        lines = [_head(a, "+", b, width, language)]
        return lines + _add(a, b, width, language)
    lines = [_head(a, "-", b, width, language), _compare(a, b, width, language)]
    if a < b:
        lines[-1] += SWAP[language]
        a, b = b, a
        lines.append(_head(a, "-", b, width, language))
    return lines + _subtract(a, b, width, language)


def _add(a: int, b: int, width: int, language: Language) -> list[str]:
    lines, written, carry = [], "", 0
    for place, (one, other) in enumerate(zip(_digits(a, width), _digits(b, width), strict=True)):
        total = one + other + carry
        step = f"{PLACES[language][place]} {one}+{other}{'+1' if carry else ''}={total}"
        carry = total // 10
        written = f"{total % 10}{written}"
        lines.append(f"{step}{WRITE[language]}{total % 10}{_carried(carry, language)}")
    return lines + _end(carry, width, written, language)


def _subtract(a: int, b: int, width: int, language: Language) -> list[str]:
    lines, written, borrowed = [], "", 0
    for place, (one, other) in enumerate(zip(_digits(a, width), _digits(b, width), strict=True)):
        left = one - other - borrowed
        step = f"{PLACES[language][place]} {one}-{other}{'-1' if borrowed else ''}={left}"
        borrowed = 1 if left < 0 else 0
        written = f"{left % 10}{written}"
        borrow = f"{BORROW[language]}1" if borrowed else ""
        lines.append(f"{step}{WRITE[language]}{left % 10}{borrow}")
    return lines + _end(0, width, written, language)


def _multiply(asked: Sum, language: Language) -> list[str]:
    factor, number = sorted((asked.a, asked.b))
    width = len(str(number))
    lines, written, carry = [f"{width}{DIGITS[language]}{number}×{factor}"], "", 0
    for place, digit in enumerate(_digits(number, width)):
        product = digit * factor
        step = f"{PLACES[language][place]} {digit}×{factor}={product}"
        if carry:
            step += f" {product}+{carry}={product + carry}"
        total = product + carry
        carry = total // 10
        written = f"{total % 10}{written}"
        lines.append(f"{step}{WRITE[language]}{total % 10}{_carried(carry, language)}")
    return lines + _end(carry, width, written, language)


def _carried(carry: int, language: Language) -> str:
    return f"{CARRY[language]}{carry}" if carry else ""


def _end(carry: int, width: int, written: str, language: Language) -> list[str]:
    lines = []
    if carry:
        lines.append(f"{PLACES[language][width]} {carry}")
        written = f"{carry}{written}"
    return [*lines, f"{SO[language]}{written}"]
