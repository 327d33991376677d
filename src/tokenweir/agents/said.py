"""What was said in a call whose full text was kept, read from it. Pure."""

import msgspec

from tokenweir.agents.texts import Text
from tokenweir.core.errors import WireError
from tokenweir.protocol.asking import first_words
from tokenweir.protocol.chat import BadRequest
from tokenweir.protocol.steps import plain_id, tool_id
from tokenweir.protocol.translate import form
from tokenweir.protocol.translate.answer import Answer, Failure, fold
from tokenweir.protocol.translate.table import DIALECTS


class Said(msgspec.Struct, frozen=True):
    """Of the answer its text, its reasoning and the arguments of its tool calls; of the request its results and its first words."""

    message: str = ""
    reasoning: str = ""
    arguments: dict[str, str] = {}  # by the tool call's id, as steps have it
    results: dict[str, str] = {}  # by `plain_id` of it
    first_words: str = ""  # that its conversation began with


def said_in(text: Text) -> Said:
    """All of it; what cannot be read is left out."""
    dialect = DIALECTS.get(text.dialect)
    if dialect is None:
        return Said()
    answer = _answer(text)
    blocks = answer.blocks if answer is not None else ()
    try:
        turns = dialect.read_request(text.request.encode()).turns
    except BadRequest:
        turns = ()
    return Said(
        message="".join(block.text for block in blocks if isinstance(block, form.Text)),
        reasoning="".join(block.text for block in blocks if isinstance(block, form.Reasoning)),
        arguments={
            tool_id(block.id): block.arguments for block in blocks if isinstance(block, form.ToolCall)
        },
        results={
            plain_id(tool_id(part.id)): "\n".join(
                piece.text for piece in part.parts if isinstance(piece, form.Text)
            )
            for turn in turns
            for part in turn.parts
            if isinstance(part, form.ToolResult)
        },
        first_words=first_words(turns),
    )


def _answer(text: Text) -> Answer | None:
    dialect, data = DIALECTS[text.dialect], text.answer.encode()
    if data.lstrip().startswith(b"{"):
        try:
            return dialect.read_answer(data)
        except WireError:
            return None
    reader = dialect.reader()
    told = fold([*reader.feed(data), *reader.end()])
    return None if isinstance(told, Failure) else told
