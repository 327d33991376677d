"""How entries become rows: each binds what its kind says, and the rest of its row stands in the statement.

What is bound takes about as long as it does to write it. `bytes` and None pass through sqlite3's adapters, which take
ten times as long as a number does; a `bytearray` does not.
"""

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import NamedTuple

from tokenweir.core.usage import TOKEN_CLASSES
from tokenweir.ledger.entries import Entry, Kind
from tokenweir.ledger.schema import ENTRY_COLUMNS

_BYTES = ("seq", "call", "attempt")  # bound by hand, and first
#: Where a column's value is found in an entry, if not under its own name. `_value_`, because `value` is a property and slow.
_PATHS = {
    "kind": "kind._value_",
    "outcome": "outcome._value_",
    "provenance": "usage.provenance._value_",
    **{name: f"usage.{name}" for name in TOKEN_CLASSES},
}
_OPENING = (
    "at_us", "account", "key", "run", "model", "dialect", "currency", "reason", "bound_input", "bound_output",
    "reserved_pico", "covered_tokens", "also_reserved",
)  # fmt: skip
_CHARGE = ("charge_price", "charge_pico", "charge_currency")
_NEVER_AT_AN_END = ("bound_input", "bound_output", "reserved_pico", "also_reserved")


class Form(NamedTuple):
    """A statement, and what of an entry it binds behind number, call and attempt."""

    insert: str
    said: Callable[[Entry], tuple[object, ...]]


def _form(kind: Kind, *without: str) -> Form:
    columns = [name for name in ENTRY_COLUMNS if name not in (*_BYTES, *without)]
    bare = Entry(kind=kind, at_us=0, call=b"")
    same = {name: _literal(_value(bare, name)) for name in without}
    values = ", ".join((*"?" * (len(_BYTES) + len(columns)), *same.values()))
    insert = f"INSERT INTO entries ({', '.join((*_BYTES, *columns, *same))}) VALUES ({values})"
    return Form(insert, attrgetter(*(_PATHS.get(name, name) for name in columns)))


def _value(entry: Entry, name: str) -> object:
    return None if name == "outcome" else attrgetter(_PATHS.get(name, name))(entry)


def _literal(value: object) -> str:
    return "NULL" if value is None else f"'{value}'" if isinstance(value, str) else f"{value}"


_OTHERWISE = _form(Kind.LATE)
_OPENED, _SETTLED, _ATTEMPT = (
    Kind.OPENED,
    Kind.SETTLED,
    Kind.ATTEMPT,
)  # in Python 3.11 a member is slow to look up
_ENDED, _CHARGED = _form(_SETTLED, *_NEVER_AT_AN_END, *_CHARGE), _form(_SETTLED, *_NEVER_AT_AN_END)
_FORMS = {
    _OPENED: _form(_OPENED, *(name for name in ENTRY_COLUMNS if name not in (*_BYTES, *_OPENING))),
    Kind.CHECKPOINT: _form(Kind.CHECKPOINT, "outcome"),  # it alone has none, beside an opening
}


def rows_by_statement(entries: Iterable[Entry], first: int) -> dict[str, list[tuple[object, ...]]]:
    """What is executed for entries that are numbered from `first` on: statements, and the rows of each."""
    found: dict[str, list[tuple[object, ...]]] = {}
    for seq, e in enumerate(entries, first):
        kind = e.kind
        if kind is _SETTLED or kind is _ATTEMPT:
            form = _CHARGED if e.charge_price else _ENDED
        else:
            form = _FORMS.get(kind, _OTHERWISE)
        rows = found.get(form.insert)
        if rows is None:
            rows = found[form.insert] = []
        rows.append((seq, bytearray(e.call), bytearray(e.attempt), *form.said(e)))
    return found
