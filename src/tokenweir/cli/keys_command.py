"""`weir keys`: make, list and revoke."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tokenweir.cli import show
from tokenweir.cli.running import prepare_data_dir
from tokenweir.cli.system import random_bytes
from tokenweir.core.clock import Clock
from tokenweir.ledger.changing import make_changes
from tokenweir.ledger.limit_text import format_limit, parse_limit
from tokenweir.ledger.new_key import make_key
from tokenweir.ledger.terms import Change, KeyRecord, Limit, RevokeKey, SetKey, SetLimit
from tokenweir.ledger.views import iso_time
from tokenweir.ledger.views.terms import terms_now


class CreatedKey(msgspec.Struct, frozen=True):
    """`weir keys create --json`."""

    id: str
    key: str
    name: str
    account: str
    limits: tuple[str, ...]


class KeyLine(msgspec.Struct, frozen=True):
    """A key in `weir keys list --json`; `hint` is how its secret begins."""

    id: str
    name: str
    account: str
    hint: str
    limits: tuple[str, ...]
    created: str
    revoked: str | None


class KeysAnswer(msgspec.Struct, frozen=True):
    """`weir keys list --json`."""

    keys: tuple[KeyLine, ...]


def create(
    directory: Path, name: str, account: str, limits: tuple[str, ...], as_json: bool, clock: Clock
) -> None:
    """Make a key and show its secret. Raises ValueError for wrong words, LedgerError."""
    parsed = tuple(parse_limit(text) for text in limits)
    record, secret = make_key(name, account, now_us=clock.now_us(), random_bytes=random_bytes)
    prepare_data_dir(directory)
    under = [SetLimit(f"key/{record.id}", limit) for limit in parsed]
    change(directory, [SetKey(record), *under], clock)
    shown = tuple(format_limit(limit) for limit in parsed)
    if as_json:
        show.print_json(CreatedKey(record.id, secret, name, account, shown))
        return
    print(secret)
    out = show.console()
    out.print(f"Shown this once. Id {record.id}, limits: {', '.join(shown) or 'none'}.", markup=False)


def change(directory: Path, changes: Sequence[Change], clock: Clock) -> None:
    """Change terms. Raises ValueError where they are refused, LedgerError."""
    refused = make_changes(directory, changes, clock)
    if refused:
        raise ValueError(refused)


def show_all(directory: Path, revoked: bool, as_json: bool) -> None:
    """List keys. Raises LedgerError."""
    terms = terms_now(directory)
    keys = [key for key in terms.keys.values() if revoked or key.revoked_us is None]
    limits = {key.id: tuple(terms.limits.get(f"key/{key.id}", {}).values()) for key in keys}
    if as_json:
        show.print_json(KeysAnswer(tuple(_line(key, limits[key.id]) for key in keys)))
        return
    rows = [
        [
            key.id,
            key.name,
            key.account,
            f"{key.hint}…",
            ", ".join(map(format_limit, limits[key.id])),
            _state(key),
        ]
        for key in keys
    ]
    show.print_table(("id", "name", "account", "key", "limits", "since"), rows)


def _line(key: KeyRecord, limits: tuple[Limit, ...]) -> KeyLine:
    return KeyLine(
        id=key.id,
        name=key.name,
        account=key.account,
        hint=key.hint,
        limits=tuple(map(format_limit, limits)),
        created=iso_time(key.created_us),
        revoked=None if key.revoked_us is None else iso_time(key.revoked_us),
    )


def _state(key: KeyRecord) -> str:
    if key.revoked_us is not None:
        return f"revoked {iso_time(key.revoked_us)[:10]}"
    return iso_time(key.created_us)[:10]


def revoke(directory: Path, word: str, as_json: bool, clock: Clock) -> None:
    """Revoke the key with this id or name. Raises ValueError where none or several fit, LedgerError."""
    live = [key for key in terms_now(directory).keys.values() if key.revoked_us is None]
    found = [key for key in live if key.id == word] or [key for key in live if key.name == word]
    if len(found) != 1:
        what = "no live key" if not found else f"{len(found)} keys"
        raise ValueError(f"{what} with the id or name {word!r}; `weir keys list` shows their ids")
    change(directory, [RevokeKey(found[0].id, clock.now_us())], clock)
    if as_json:
        show.print_json({"id": found[0].id, "revoked": True})
    else:
        print(f"{found[0].id} ({found[0].name}) is revoked.")
