"""Calls of tools in a stream of Chat Completions, read from their pieces.

Pieces name their call by an index. Some hosts leave it out, or give every call the same one; some give no id.
"""

from collections.abc import Iterator

from tokenweir.protocol.translate.answer import Closed, Delta, Event, Opened
from tokenweir.protocol.translate.chat_answer_in import Call, made_up_id
from tokenweir.protocol.translate.form import ToolCall


class _OpenCall:
    """A call while its pieces come. It is told once its name is known."""

    def __init__(self, call_id: str, *, custom: bool) -> None:
        self.id = call_id
        self.custom = custom
        self.index: int | None = None  # of its block
        self.held = ""  # arguments that came before the name


class CallsReader:
    """Pieces in, events out. Calls stay open to the end of the message, since their pieces may alternate."""

    def __init__(self, indices: Iterator[int]) -> None:
        self._indices = indices
        self._calls: dict[int, _OpenCall] = {}
        self._known = 0

    def take(self, piece: Call, answer_id: str) -> list[Event]:
        """What a piece tells."""
        events: list[Event] = []
        number = self._number(piece)
        call = self._calls.get(number)
        name, arguments = piece.said()
        if call is not None and call.index is not None and name and piece.id and piece.id != call.id:
            events += self._close(number)  # a new call in the place of the last one
            call = None
        if call is None:
            call_id = piece.id or made_up_id(answer_id, self._known)
            call = self._calls[number] = _OpenCall(call_id, custom=piece.custom is not None)
            self._known += 1
        elif call.index is None and piece.id:
            call.id = piece.id
        if call.index is None and not name:
            call.held += arguments
            return events
        if call.index is None:
            call.index, opened = self._open(call, name)
            events += opened
        if arguments:
            events.append(Delta(call.index, arguments))
        return events

    def close(self) -> list[Event]:
        """The message is over: every call is whole."""
        return [event for number in list(self._calls) for event in self._close(number)]

    def _number(self, piece: Call) -> int:
        """Which call a piece belongs to: by its index, else by its id, else to the last one."""
        if piece.index is not None:
            return piece.index
        known = next((number for number, call in self._calls.items() if piece.id == call.id), None)
        last = max(self._calls, default=-1)
        if known is not None:
            return known
        return last + 1 if piece.id or last < 0 or piece.said()[0] else last

    def _open(self, call: _OpenCall, name: str) -> tuple[int, list[Event]]:
        index = next(self._indices)
        opened = ToolCall(id=call.id, name=name, arguments="", custom=call.custom)
        return index, [Opened(index, opened), *([Delta(index, call.held)] if call.held else [])]

    def _close(self, number: int) -> list[Event]:
        call = self._calls.pop(number)
        if call.index is not None:
            return [Closed(call.index)]
        index, opened = self._open(call, "")
        return [*opened, Closed(index)]
