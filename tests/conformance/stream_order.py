"""The order in which each dialect tells a stream, as its reference has it: what readers forgive and golden files may hide.

`PLACES[dialect](body)` raises AssertionError at the first event that stands where it must not.
"""

import json
from collections.abc import Callable

from tokenweir.protocol.sse import SseSplitter, event_fields

Event = dict[str, object]


def events(body: bytes) -> list[tuple[str, Event]]:
    """Names and data. Every event is whole, and what is no comment has data."""
    splitter, found = SseSplitter(), []
    for event in splitter.feed(body):
        name, data = event_fields(event)
        if data:
            found.append((name.decode(), {} if data == b"[DONE]" else json.loads(data)))
    assert splitter.rest == b""
    return found


def chat(body: bytes) -> None:
    """One head for all chunks, the role first, one finish, then usage alone, then `[DONE]`; or an error, last."""
    chunks = [data for _, data in events(body)]
    last = chunks.pop()
    assert list(last) == ["error"] or (last == {} and body.endswith(b"data: [DONE]\n\n"))
    heads = {tuple(chunk[name] for name in ("id", "object", "created", "model")) for chunk in chunks}
    assert len(heads) <= 1 and all(head[1] == "chat.completion.chunk" for head in heads)
    finished = False
    for number, chunk in enumerate(chunks):
        for choice in chunk["choices"]:  # type: ignore[attr-defined]
            assert not finished, "nothing follows a finish reason"
            assert ("role" in choice["delta"]) == (number == 0), "the role is told once, first"
            finished = choice["finish_reason"] is not None
        assert chunk["choices"] or (finished and number == len(chunks) - 1 and chunk["usage"])
    assert finished == (last == {})


def messages(body: bytes) -> None:
    """`message_start`, blocks from 0 on, one at a time, each with deltas of its own kind, then the reason, then the end."""
    found = events(body)
    assert all(name == data["type"] for name, data in found)
    told = [data for _, data in found if data["type"] != "ping"]
    broke = told[-1]["type"] == "error"
    if broke:
        told.pop()
    kinds = [str(data["type"]) for data in told]
    assert kinds[:1] == ["message_start"] * bool(told) and "message_start" not in kinds[1:]
    ends = kinds[-2:] == ["message_delta", "message_stop"]
    assert ends != broke
    blocks, block, kind = 0, False, ""
    for data in told[1 : -2 if ends else None]:
        match data["type"]:
            case "content_block_start":
                assert not block and data["index"] == blocks
                block, kind = True, data["content_block"]["type"]  # type: ignore[index]
            case "content_block_delta":
                assert block and data["index"] == blocks
                assert data["delta"]["type"] in _DELTAS[kind]  # type: ignore[index]
            case "content_block_stop":
                assert block and data["index"] == blocks
                block, blocks = False, blocks + 1
            case other:
                raise AssertionError(other)
    assert not (ends and block)


_DELTAS = {
    "text": ("text_delta", "citations_delta"),
    "thinking": ("thinking_delta", "signature_delta"),
    "tool_use": ("input_json_delta",),
    "redacted_thinking": (),
}


def responses(body: bytes) -> None:
    """Numbers without a gap; items from 0 on, each begun once and told whole at most once, as its pieces add up; one end."""
    found = [(name, data) for name, data in events(body)]
    assert all(name == data["type"] for name, data in found)
    told = [data for _, data in found]
    assert [data["sequence_number"] for data in told] == list(range(len(told)))
    kinds = [str(data["type"]).removeprefix("response.") for data in told]
    assert kinds[:2] == ["created", "in_progress"] and not {"created", "in_progress"} & set(kinds[2:])
    ended = [kind for kind in kinds if kind in ("completed", "incomplete", "failed")]
    assert ended == [kinds[-1]]
    items = _Items()
    for kind, data in zip(kinds[2:], told[2:], strict=True):
        if kind not in ("completed", "incomplete", "failed"):
            items.take(kind, data)
    if ended != ["failed"]:
        items.end(told[-1]["response"], cut=ended == ["incomplete"])  # type: ignore[arg-type]


class _Items:
    """What the events of a response add up to."""

    def __init__(self) -> None:
        self.begun: dict[int, Event] = {}
        self.whole: dict[int, Event] = {}
        self.parts: dict[tuple[int, str, int], Event] = {}  # that were begun, and are not whole
        self.pieces: dict[tuple[int, str, int], str] = {}

    def take(self, kind: str, data: Event) -> None:
        place = int(str(data["output_index"]))
        if kind == "output_item.added":
            assert place == len(self.begun), "items are numbered from 0 on"
            self.begun[place] = data["item"]  # type: ignore[assignment]
            return
        assert place in self.begun and place not in self.whole, kind
        if kind == "output_item.done":
            assert not [key for key in self.parts if key[0] == place], "a part of it is open"
            self.whole[place] = data["item"]  # type: ignore[assignment]
            assert self.whole[place]["id"] == self.begun[place]["id"]
            return
        assert data["item_id"] == self.begun[place]["id"]
        index = next((int(str(data[n])) for n in ("content_index", "summary_index") if n in data), 0)
        key = (place, "summary" if "summary_index" in data else "content", index)
        self._piece(kind, data, key)

    def _piece(self, kind: str, data: Event, key: tuple[int, str, int]) -> None:
        of_parts = "content_index" in data or "summary_index" in data
        if kind.endswith("part.added"):
            assert key not in self.pieces
            self.parts[key], self.pieces[key] = data["part"], ""  # type: ignore[assignment]
        elif kind.endswith("part.done"):
            part = data["part"]
            assert part[_text_of(part)] == self.pieces[key]  # type: ignore[index, arg-type]
            del self.parts[key]
        elif kind.endswith(".delta"):
            assert (key in self.parts) == of_parts
            self.pieces[key] = self.pieces.get(key, "") + str(data["delta"])
        elif kind.endswith(".done"):
            name = next(n for n in ("text", "refusal", "arguments", "input") if n in data)
            assert data[name] == self.pieces.get(key, "")
        else:
            assert kind == "output_text.annotation.added"

    def end(self, response: Event, *, cut: bool) -> None:
        """The last event repeats the items; of those that are cut off some were never said to be done."""
        output: list[Event] = response["output"]  # type: ignore[assignment]
        assert len(output) == len(self.begun)
        for place, item in enumerate(output):
            assert (
                item == self.whole[place] if place in self.whole else cut and item["status"] == "incomplete"
            )


def _text_of(part: Event) -> str:
    return "refusal" if "refusal" in part else "text"


PLACES: dict[str, Callable[[bytes], None]] = {"chat": chat, "messages": messages, "responses": responses}
