"""The vocabulary: marks of the chat, bytes, single characters, and some whole words of the model's own answers.

llama.cpp reads it as a SentencePiece vocabulary (`tokenizer.ggml.model = "llama"`). `encode` does as llama.cpp does:
marks and whole words are cut out, longest first; what remains is read character by character, and a character that
is not in the vocabulary byte by byte. A digit is always a token of its own.
"""

from sums import BORROW, CARRY, COMPARE, DIGITS, PLACES, SO, SWAP, WRITE

END, USER, ASSISTANT, TOOLS, RESULT = "<|end|>", "<|user|>", "<|assistant|>", "<|tools|>", "<|result|>"
MARKS = (END, USER, ASSISTANT, TOOLS, RESULT)
THINK, THOUGHT = "<think>\n", "\n</think>\n"
CALL, CALLED = "<tool_call>\n", "\n</tool_call>"
UNKNOWN = "<unk>"
SPACE = "▁"  # how this kind of vocabulary writes a space

#: What is said when there is no sum to do.
REFUSAL = {
    "en": "I only do sums: adding and subtracting whole numbers of up to 4 digits, and multiplying by one digit. Ask me, for example: 37 + 58",
    "zh": "我只会算术：四位以内整数的加减法，以及乘以一位数。比如问我：37加58等于多少",
}
NO_SUM = {"en": "not a sum that I can do", "zh": "这不是我会算的题"}
USE_TOOL = {"en": "use the calculator", "zh": "用计算器"}
TOOL_SAYS = {"en": "the calculator says ", "zh": "计算器说 "}
NO_RESULT = {"en": "The calculator gave no number.", "zh": "计算器没有给出数字。"}
_JSON = ('{"name": "', '", "arguments": {"', '": "', '"}}', "calculator", "expression")
#: Words of the refusals, so that they are short to say.
_REFUSAL_WORDS = (
    "I only do sums", ": adding", " and subtracting", " whole numbers", " of up to", " digits, and", " multiplying by", " one digit",
    ". Ask me", ", for example: ", "我只会算术", "四位以内", "整数的", "加减法", "，以及", "乘以一位数", "。比如", "问我：", "等于多少",
)  # fmt: skip

WORDS = tuple(
    dict.fromkeys(
        (
            *(word for table in (DIGITS, WRITE, CARRY, BORROW, COMPARE, SWAP, SO) for word in table.values()),
            *(f"{place} " for places in PLACES.values() for place in places),
            *(word for table in (NO_SUM, USE_TOOL, TOOL_SAYS, NO_RESULT) for word in table.values()),
            *_JSON,
            *_REFUSAL_WORDS,
            " = ",
            " + ",
            " - ",
            " × ",
        )
    )
)  # fmt: skip
#: Always shown in the engine's output, so that it can find what stands between them.
VISIBLE_MARKS = ("<think>", "</think>", "<tool_call>", "</tool_call>")
_ASCII = "".join(chr(code) for code in range(0x21, 0x7F))
_CHINESE = (
    "一二三四五六七八九十百千万个的了是在我你他她它们这那有和与跟加减乘除以等于多少几得数算术计请问帮告诉知道结果答案求把从里中去掉再增"
    "倍起来相积差写出过程要快点步麻烦好您谢早上下题老师么什怎样为吗呢吧啊说话天气今明年月日时间候人大小学生中国文英法德日语言首诗故事歌"
    "会能做用想应该值作业整位以内个比如较交换负借进合没给字器关"
)
_PUNCTUATION = "，。？！：；、“”（）×÷＋－−＝…"
CHARACTERS = tuple(dict.fromkeys(SPACE + _ASCII + _CHINESE + _PUNCTUATION))

#: Tokens in the order of their numbers.
TOKENS = (
    UNKNOWN,
    *MARKS,
    *VISIBLE_MARKS,
    *(f"<0x{byte:02X}>" for byte in range(256)),
    *CHARACTERS,
    *WORDS,
)
NUMBER_OF = {token: number for number, token in enumerate(TOKENS)}
END_ID = NUMBER_OF[END]
_FIRST_BYTE = NUMBER_OF["<0x00>"]
_WHOLE = sorted((*MARKS, *VISIBLE_MARKS, *WORDS), key=lambda word: -len(word))


def encode(text: str) -> list[int]:
    """The tokens of a text, marks included."""
    pieces: list[str | int] = [text]
    for word in _WHOLE:
        if word in text:
            pieces = [part for piece in pieces for part in _cut(piece, word)]
    return [number for piece in pieces for number in ([piece] if isinstance(piece, int) else _spell(piece))]


def _cut(piece: str | int, word: str) -> list[str | int]:
    if isinstance(piece, int) or word not in piece:
        return [piece]
    parts: list[str | int] = []
    for rest in piece.split(word):
        parts += [rest, NUMBER_OF[word]] if rest else [NUMBER_OF[word]]
    return parts[:-1]


def _spell(text: str) -> list[int]:
    numbers: list[int] = []
    for character in text.replace(" ", SPACE):
        known = NUMBER_OF.get(character)
        if known is not None:
            numbers.append(known)
        else:
            numbers += [_FIRST_BYTE + byte for byte in character.encode(errors="replace")]
    return numbers


def decode(numbers: list[int]) -> str:
    """The text of tokens, marks included."""
    whole = bytearray()
    for number in numbers:
        if _FIRST_BYTE <= number < _FIRST_BYTE + 256:
            whole.append(number - _FIRST_BYTE)
        else:
            whole += TOKENS[number].replace(SPACE, " ").encode()
    return whole.decode(errors="replace")
