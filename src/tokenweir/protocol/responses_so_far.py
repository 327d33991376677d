"""What a stream of Responses has told of its items: needed where the gateway has to end it, since its last event repeats all.

Kept only for calls whose output is bounded. Of deltas the text alone is kept, as it stands in the event.
"""

import re

import msgspec

from tokenweir.protocol.envelope import UNREADABLE
from tokenweir.protocol.usage import count

Object = dict[str, object]

_OUTPUT_INDEX = re.compile(rb'"output_index": *([0-9]{1,9})\b')
_PART_INDEX = re.compile(rb'"(?:content|summary)_index": *([0-9]{1,9})\b')
_TEXT = msgspec.json.Decoder(str)


class _Shape(msgspec.Struct, frozen=True):
    """How the deltas of a kind add up to a part of an item."""

    of: str  # member of the item: a list of parts, or the text itself
    part: str = ""  # type of the part
    text: str = "text"  # member of the part
    index: str = "content_index"
    told: str = ""  # beginning of the name of the event that tells the whole text
    part_told: str = "response.content_part.done"


#: By the kind of the delta.
_SHAPES = {
    b"response.output_text.delta": _Shape("content", "output_text", told="response.output_text.done"),
    b"response.refusal.delta": _Shape("content", "refusal", "refusal", told="response.refusal.done"),
    b"response.reasoning_text.delta": _Shape("content", "reasoning_text", told="response.reasoning_text.done"),
    b"response.reasoning_summary_text.delta": _Shape(
        "summary", "summary_text", index="summary_index", told="response.reasoning_summary_text.done",
        part_told="response.reasoning_summary_part.done",
    ),
    b"response.function_call_arguments.delta": _Shape("arguments"),
    b"response.mcp_call_arguments.delta": _Shape("arguments"),
    b"response.custom_tool_call_input.delta": _Shape("input"),
    b"response.code_interpreter_call_code.delta": _Shape("code"),
}  # fmt: skip
_PARTS = {shape.part: shape for shape in _SHAPES.values() if shape.part}
#: Members that OpenAI's own parts have besides.
_BESIDE: dict[str, Object] = {"output_text": {"annotations": [], "logprobs": []}}


class _Part:
    def __init__(self, shape: _Shape) -> None:
        self.shape = shape
        self.text = bytearray()
        self.whole: object = None  # as the upstream told it
        self.annotations: list[object] = []

    def said(self) -> str:
        try:
            return _TEXT.decode(b'"%b"' % bytes(self.text))
        except UNREADABLE:
            return self.text.decode("utf-8", "replace")

    def value(self) -> object:
        """The part as the item has it."""
        if self.whole is not None:
            return self.whole
        kind = self.shape.part
        told = {"annotations": self.annotations} if self.annotations else {}
        return {"type": kind, self.shape.text: self.said()} | _BESIDE.get(kind, {}) | told


class _Item:
    def __init__(self, told: Object) -> None:
        self.told = told
        self.parts: dict[
            tuple[str, int], _Part
        ] = {}  # by the member that they stand in, and their place there

    def at(self, shape: _Shape, index: int) -> _Part:
        """A part, which may begin here."""
        return self.parts.setdefault((shape.of, index), _Part(shape))

    def value(self) -> Object:
        """The item as it stands: it is not complete."""
        found = dict(self.told)
        for (member, _), part in sorted(self.parts.items()):
            if part.shape.part:
                known = found.get(member)
                before = known if isinstance(known, list) else []
                found[member] = [*before, part.value()]
            else:
                found[member] = part.said()
        if "status" in found:
            found["status"] = "incomplete"
        return found


class SoFar:
    """The items of a response by their places: those that are whole, and those that grow."""

    def __init__(self) -> None:
        self._whole: dict[int, object] = {}
        self._open: dict[int, _Item] = {}
        # Where the last delta belonged, and what of an event says so: nearly every one belongs where the last one did.
        self._kind = self._at_item = self._at_part = b""
        self._grown = bytearray()

    def added(self, event: Object) -> None:
        """An item begins."""
        item, self._kind = event.get("item"), b""
        if isinstance(item, dict):
            told = {name: [] if isinstance(value, list) else value for name, value in item.items()}
            self._open[_place(event)] = _Item(told)

    def done(self, event: Object) -> None:
        """An item is whole."""
        self._kind = b""
        self._open.pop(_place(event), None)
        self._whole[_place(event)] = event.get("item")

    def part(self, kind: bytes, event: Object) -> None:
        """A part of an item begins, is whole, or is annotated."""
        item, told = self._open.get(_place(event)), event.get("part")
        shape = _PARTS.get(str(told.get("type"))) if isinstance(told, dict) else _PARTS["output_text"]
        if item is None or shape is None:
            return
        part = item.at(shape, count(event.get(shape.index)) or 0)
        if kind.endswith(b"part.done"):
            part.whole = told
        elif kind.endswith(b"annotation.added"):
            part.annotations.append(event.get("annotation"))

    def grew(self, kind: bytes, event: bytes, text: bytes) -> None:
        """A delta came."""
        if kind == self._kind and self._at_item in event and self._at_part in event:
            self._grown += text
            return
        shape = _SHAPES.get(kind)
        if shape is None:
            return
        place, at_item = _number(_OUTPUT_INDEX, event)
        item = self._open.get(place)
        if item is None:  # some hosts add no items
            item = self._open[place] = _Item({"id": f"msg_{place}", "type": "message", "role": "assistant", "status": ""})  # fmt: skip
        index, at_part = _number(_PART_INDEX, event) if shape.part else (0, b"")
        part = item.at(shape, index)
        part.text += text
        if at_item and (at_part or not shape.part):
            self._kind, self._at_item, self._at_part, self._grown = kind, at_item, at_part, part.text

    def output(self) -> list[object]:
        """All items, in their order."""
        items = self._whole | {place: item.value() for place, item in self._open.items()}
        return [items[place] for place in sorted(items)]

    def ends(self) -> list[Object]:
        """The events that tell what is open to its end. A call gets none: clients run one that is said to be done."""
        events: list[Object] = []
        for place, item in sorted(self._open.items()):
            where: Object = {"item_id": item.told.get("id"), "output_index": place}
            for (_, index), part in sorted(item.parts.items()):
                if part.shape.part and part.whole is None:
                    events += _part_ends(part, where | {part.shape.index: index})
            if item.told.get("type") in ("message", "reasoning"):
                done = {"output_index": place, "item": item.value()}
                events.append({"type": "response.output_item.done"} | done)
        return events


def _part_ends(part: _Part, where: Object) -> list[Object]:
    shape = part.shape
    told: Object = {"type": shape.told} | where | {shape.text: part.said()}
    if shape.part == "output_text":
        told["logprobs"] = []
    return [told, {"type": shape.part_told} | where | {"part": part.value()}]


def _place(event: Object) -> int:
    return count(event.get("output_index")) or 0


def _number(pattern: re.Pattern[bytes], event: bytes) -> tuple[int, bytes]:
    """A number, and the bytes that say it, with the one after them."""
    found = pattern.search(event)
    return (0, b"") if found is None else (int(found.group(1)), event[found.start() : found.end() + 1])
