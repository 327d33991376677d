"""`weir chat`: a question or a conversation through the running gateway, streamed, with what the ledger says it cost."""

import http.client
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import msgspec

from tokenweir.cli import show
from tokenweir.cli.colours import colours
from tokenweir.cli.exits import FAILED, OK, NotReachableError
from tokenweir.cli.running import find_running
from tokenweir.cli.system import SystemClock, random_bytes
from tokenweir.core.ids import parse_uuid
from tokenweir.ledger.changing import make_changes
from tokenweir.ledger.new_key import make_key
from tokenweir.ledger.terms import DEFAULT_ACCOUNT, RevokeKey, SetKey
from tokenweir.ledger.views import CallRow, call_detail, open_reader

#: A key of the user's own, instead of one that lives as long as the chat.
KEY_VARIABLE = "WEIR_KEY"
TIMEOUT_S = 300.0
MAX_LINE_BYTES = 4 * 1024 * 1024


class _Delta(msgspec.Struct, frozen=True):
    content: str | None = None
    reasoning_content: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    delta: _Delta = _Delta()


class _Fault(msgspec.Struct, frozen=True):
    message: str = ""


class _Chunk(msgspec.Struct, frozen=True):
    choices: tuple[_Choice, ...] = ()
    error: _Fault | None = None


class _ModelName(msgspec.Struct, frozen=True):
    id: str


class _Models(msgspec.Struct, frozen=True):
    data: tuple[_ModelName, ...] = ()


class _Message(msgspec.Struct, frozen=True):
    role: str
    content: str


class _Question(msgspec.Struct, frozen=True):
    model: str
    messages: list[_Message]
    stream: bool = True


def run(directory: Path, text: str, model: str, environ: Mapping[str, str]) -> int:
    """Ask, print, and account; the exit code. Raises NotReachableError, LedgerError."""
    status = find_running(directory)
    if status is None:
        raise NotReachableError(f"no gateway runs on {directory}; start it with `weir up`, or name --data")
    own_key = environ.get(KEY_VARIABLE, "")
    if own_key:
        return Chat(directory, status.address, own_key, model).run(text)
    clock = SystemClock()
    record, secret = make_key("weir chat", DEFAULT_ACCOUNT, now_us=clock.now_us(), random_bytes=random_bytes)
    make_changes(directory, [SetKey(record)], clock)
    try:
        return Chat(directory, status.address, secret, model).run(text)
    finally:
        make_changes(directory, [RevokeKey(record.id, clock.now_us())], clock)


class Chat:
    """One conversation: what was said so far goes with each question."""

    def __init__(self, directory: Path, address: str, key: str, model: str) -> None:
        self._directory = directory
        self._address = address
        self._key = key
        self._model = model
        self._said: list[_Message] = []

    def run(self, text: str) -> int:
        """`text`, or what standard input holds; at a terminal, question after question. The exit code."""
        if text:
            return self.ask(text)
        if not sys.stdin.isatty():
            piped = sys.stdin.read(MAX_LINE_BYTES).strip()
            if not piped:
                raise ValueError('there is nothing to say; write it behind the command: weir chat "…"')
            return self.ask(piped)
        print("An empty line or Ctrl-D ends it.", file=sys.stderr)
        code = OK
        while question := _read_line():
            code = self.ask(question)
        return code

    def ask(self, text: str) -> int:
        """One question and its answer, printed as it comes. Raises NotReachableError."""
        parts = urlsplit(self._address)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        try:
            self._model = self._model or _first_model(connection, self._key)
            question = _Question(self._model, [*self._said, _Message("user", text)])
            body = msgspec.json.encode(question)
            connection.request("POST", "/v1/chat/completions", body, _headers(self._key))
            answer = connection.getresponse()
            if answer.status != HTTPStatus.OK:
                print(f"weir: {_explain(answer)}", file=sys.stderr)
                return FAILED
            said, code = _print_stream(answer)
        except (OSError, http.client.HTTPException) as error:
            raise NotReachableError(f"the gateway at {self._address} does not answer: {error}") from None
        finally:
            connection.close()
        _print_account(self._directory, answer.getheader("x-weir-call", ""))
        if code == OK:
            self._said = [*question.messages, _Message("assistant", said)]
        return code


def _read_line() -> str:
    try:
        return input("> ").strip()
    except EOFError:
        print()
        return ""


def _headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}


def _first_model(connection: http.client.HTTPConnection, key: str) -> str:
    connection.request("GET", "/v1/models", headers=_headers(key))
    answer = connection.getresponse()
    if answer.status != HTTPStatus.OK:
        raise NotReachableError(_explain(answer))
    names = [entry.id for entry in msgspec.json.decode(answer.read(), type=_Models).data]
    if not names:
        raise NotReachableError("the gateway serves no model; `weir doctor` says what to do")
    return "abacus" if "abacus" in names else names[0]


def _explain(answer: http.client.HTTPResponse) -> str:
    try:
        fault = msgspec.json.decode(answer.read(MAX_LINE_BYTES), type=_Chunk).error
    except msgspec.DecodeError:
        fault = None
    return fault.message if fault and fault.message else f"the gateway answered {answer.status}"


def events(lines: IO[bytes]) -> Iterator[bytes]:
    """The data of each server-sent event; the gateway writes each in one line."""
    while line := lines.readline(MAX_LINE_BYTES):
        if line.startswith(b"data:"):
            data = line[5:].strip()
            if data == b"[DONE]":
                return
            yield data


def _print_stream(answer: http.client.HTTPResponse) -> tuple[str, int]:
    """What was said, and the exit code. What the model thought is printed dim, and not part of it."""
    dim, end = ("\x1b[2m", "\x1b[0m") if colours(sys.stdout) else ("", "")
    thinking, spoken = False, []
    for data in events(answer):
        chunk = msgspec.json.decode(data, type=_Chunk)
        if chunk.error:
            print(f"\nweir: {printable(chunk.error.message)}", file=sys.stderr)
            return "", FAILED
        for choice in chunk.choices:
            thought, said = choice.delta.reasoning_content, choice.delta.content
            if thought:
                print(f"{dim}{printable(thought)}{end}", end="", flush=True)
                thinking = True
            if said:
                print(("\n" if thinking else "") + printable(said), end="", flush=True)
                spoken.append(said)
                thinking = False
    print(flush=True)  # what it cost goes to standard error, and behind it
    return "".join(spoken), OK


def printable(text: str) -> str:
    """Without the control characters by which a model could write to the terminal what it does not say."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")


def _print_account(directory: Path, call: str) -> None:
    """What the ledger has of the call: it was settled before the last byte came."""
    if not call:
        return
    connection = open_reader(directory)
    try:
        detail = call_detail(connection, parse_uuid(call))
    finally:
        connection.close()
    if detail and detail.row:
        print(account_line(detail.row), file=sys.stderr)


def account_line(row: CallRow) -> str:
    """Tokens and cost in one line."""
    usage = row.usage
    counts = [(usage.prompt, "in"), (usage.cache_read, "of them cached"), (usage.completion, "out")]
    tokens = ", ".join(f"{count:,} {word}" for count, word in counts if count)
    cost = "unpriced" if row.unpriced else show.money(row.cost_pico) or "no cost"
    return f"[{row.model} · {tokens or 'no tokens'} ({usage.provenance.value}) · {cost} · call {row.call}]"
