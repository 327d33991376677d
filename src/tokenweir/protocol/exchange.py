"""The states of a call and the moves between them: one table that the code obeys and the docs draw."""

from enum import Enum

from tokenweir.core.errors import TokenweirError


class State(Enum):
    """Where a call stands."""

    ARRIVED = "arrived"  # the request is complete and parsed
    RESERVING = "reserving"  # the ledger was asked; nothing has gone upstream
    CONNECTING = "connecting"  # an attempt waits for a connection
    WAITING = "waiting"  # the request was sent; no byte of the answer has come
    RELAYING = "relaying"  # the answer is on its way to the client
    SETTLING = "settling"  # the last entry is on its way to disk; the last bytes are held back
    DONE = "done"

    __hash__ = object.__hash__  # an Enum's own is written in Python, and every move looks two of them up


class Event(Enum):
    """What can happen to a call."""

    RESERVE = "reserve"
    REFUSED = "refused"
    OPENED = "opened"
    CONNECTED = "connected"
    ANSWERED = "first byte"
    ATTEMPT_FAILED = "attempt failed"
    ENDED = "last byte"
    BROKE = "broke"
    EXHAUSTED = "no deployment left"
    CANCELLED = "cancelled"  # the client is gone, or the gateway stops
    DURABLE = "settled"

    __hash__ = object.__hash__


class IllegalMoveError(TokenweirError):
    """A defect of ours: an event in a state that does not admit it."""


_S, _E = State, Event

#: (state, event) -> next state. What is not here must not happen.
MOVES: dict[tuple[State, Event], State] = {
    (_S.ARRIVED, _E.RESERVE): _S.RESERVING,
    (_S.ARRIVED, _E.REFUSED): _S.DONE,
    (_S.RESERVING, _E.REFUSED): _S.DONE,
    (_S.RESERVING, _E.OPENED): _S.CONNECTING,
    (_S.CONNECTING, _E.CONNECTED): _S.WAITING,
    (_S.CONNECTING, _E.ATTEMPT_FAILED): _S.CONNECTING,
    (_S.CONNECTING, _E.EXHAUSTED): _S.SETTLING,
    (_S.CONNECTING, _E.CANCELLED): _S.SETTLING,
    (_S.WAITING, _E.ATTEMPT_FAILED): _S.CONNECTING,
    (_S.WAITING, _E.EXHAUSTED): _S.SETTLING,
    (_S.WAITING, _E.ANSWERED): _S.RELAYING,
    (_S.WAITING, _E.CANCELLED): _S.SETTLING,
    (_S.RELAYING, _E.ENDED): _S.SETTLING,
    (_S.RELAYING, _E.BROKE): _S.SETTLING,
    (_S.RELAYING, _E.CANCELLED): _S.SETTLING,
    (_S.SETTLING, _E.DURABLE): _S.DONE,
}


def move(state: State, event: Event) -> State:
    """The next state. Raises IllegalMoveError where the table has none."""
    try:
        return MOVES[state, event]
    except KeyError:
        raise IllegalMoveError(f"{event.value!r} cannot happen to a call that is {state.value}") from None


def mermaid() -> str:
    """The table as a Mermaid state diagram, for the docs."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.ARRIVED.value}"]
    lines += [f"    {s.value} --> {t.value}: {e.value}" for (s, e), t in MOVES.items()]
    lines.append(f"    {State.DONE.value} --> [*]")
    return "\n".join(lines)
