"""The tools that an answer asks for, read beside its passing on: any cut of the same bytes gives the same."""

import hashlib

from tokenweir.core.errors import WireError
from tokenweir.protocol.steps import MOST_ASKED, MOST_NAME, AskedTool, shown, tool_id
from tokenweir.protocol.tool_names import MOST_BYTES, names_in
from tokenweir.protocol.translate.answer import Closed, Delta, Event, Opened
from tokenweir.protocol.translate.dialects import Dialect, StreamReader
from tokenweir.protocol.translate.form import ToolCall

#: A whole answer beyond this is not read.
MOST_ANSWER_BYTES = 32 * 1024 * 1024
#: Calls whose pieces may come at the same time.
_MOST_OPEN = 4 * MOST_ASKED


class _Growing:
    """A tool call while its arguments come; of long ones the beginning is kept."""

    def __init__(self, call: ToolCall) -> None:
        self._call = call
        self._hash = hashlib.sha256()
        self._bytes = 0
        self._kept: list[str] = []
        self._room = MOST_BYTES + 1
        self.add(call.arguments)

    def add(self, text: str) -> None:
        data = text.encode("utf-8", "surrogatepass")
        self._hash.update(data)
        self._bytes += len(data)
        if self._room > 0:
            self._kept.append(text[: self._room])
            self._room -= len(text)

    def whole(self) -> AskedTool:
        names = names_in("".join(self._kept))
        return AskedTool(
            id=tool_id(self._call.id), name=shown(self._call.name, MOST_NAME), digest=self._hash.hexdigest()[:16],
            bytes=self._bytes, files=names.files, commands=names.commands, hands_on=names.hands_on,
        )  # fmt: skip


class AskedTools:
    """Feed it what the client gets, in the client's dialect; it never raises. `asked` are the tools asked for so far."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._reader: StreamReader | None = None
        self._whole: list[bytes] = []  # of an answer that is no stream
        self._size = 0
        self._begun = False
        self._open: dict[int, _Growing] = {}
        self.asked: list[AskedTool] = []
        self.more = 0  # beyond MOST_ASKED

    def feed(self, data: bytes) -> None:
        """Some bytes of the answer. A stream of events begins with no brace."""
        if not self._begun:
            data = data.lstrip()
            if not data:
                return
            self._begun = True
            if not data.startswith(b"{"):
                self._reader = self._dialect.reader()
        if self._reader is not None:
            self._take(self._reader.feed(data))
            return
        self._size += len(data)
        if self._size <= MOST_ANSWER_BYTES:
            self._whole.append(data)
        else:
            self._whole.clear()

    def end(self) -> None:
        """The answer is over, in order."""
        if self._reader is not None:
            self._take(self._reader.end())
        elif self._whole:
            body = b"".join(self._whole)
            self._whole.clear()
            try:
                blocks = self._dialect.read_answer(body).blocks
            except WireError:
                return
            for block in blocks:
                if isinstance(block, ToolCall):
                    self._add(_Growing(block))

    def _take(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case Opened(index=index, block=ToolCall() as call):
                    if len(self._open) < _MOST_OPEN:
                        self._open[index] = _Growing(call)
                    else:
                        self.more += 1
                case Delta(index=index, text=text) if index in self._open:
                    self._open[index].add(text)
                case Closed(index=index) if index in self._open:
                    self._add(self._open.pop(index))
                case _:
                    pass

    def _add(self, call: _Growing) -> None:
        if len(self.asked) < MOST_ASKED:
            self.asked.append(call.whole())
        else:
            self.more += 1
