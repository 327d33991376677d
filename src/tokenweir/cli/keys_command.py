"""`weir keys`: make, list, change, rotate and revoke."""

from collections.abc import Collection
from pathlib import Path

import msgspec

from tokenweir.cli import show
from tokenweir.cli.moments import parse_later, parse_span
from tokenweir.cli.settings_file import nearest
from tokenweir.cli.system import random_bytes
from tokenweir.cli.terms_words import NONE, change, find_key, terms_to_change, word_list
from tokenweir.core.clock import Clock
from tokenweir.ledger.changing import decided_anew
from tokenweir.ledger.checks import ROLES
from tokenweir.ledger.limit_text import format_limit, parse_limit
from tokenweir.ledger.new_key import check_text, make_key, rotated
from tokenweir.ledger.terms import KeyRecord, Limit, RevokeKey, SetKey, SetLimit, Terms
from tokenweir.ledger.views import iso_time
from tokenweir.ledger.views.terms import terms_now


class CreatedKey(msgspec.Struct, frozen=True):
    """`weir keys create --json`."""

    id: str
    key: str
    name: str
    account: str
    limits: tuple[str, ...]


class RotatedKey(msgspec.Struct, frozen=True):
    """`weir keys rotate --json`; the secret before is good until `old_until`."""

    id: str
    key: str
    name: str
    old_until: str


class KeyLine(msgspec.Struct, frozen=True):
    """A key in `weir keys list --json`; `hint` is how its secret begins. Empty lists: all."""

    id: str
    name: str
    account: str
    hint: str
    limits: tuple[str, ...]
    created: str
    revoked: str | None
    models: tuple[str, ...]
    dialects: tuple[str, ...]
    expires: str | None
    role: str
    run: str
    old_until: str | None  # the secret before the last rotation is good until then


class KeysAnswer(msgspec.Struct, frozen=True):
    """`weir keys list --json`."""

    keys: tuple[KeyLine, ...]


class KeyWords(msgspec.Struct, frozen=True):
    """What the command line says of a key; None: nothing. `none` takes away."""

    name: str | None = None
    account: str | None = None
    models: str | None = None
    dialects: str | None = None
    expires: str | None = None
    role: str | None = None
    run: str | None = None


def create(
    directory: Path,
    name: str,
    account: str,
    limits: tuple[str, ...],
    words: KeyWords,
    as_json: bool,
    clock: Clock,
) -> None:
    """Make a key and show its secret. Raises ValueError for wrong words, LedgerError."""
    parsed = tuple(parse_limit(text) for text in limits)
    record, secret = make_key(name, account, now_us=clock.now_us(), random_bytes=random_bytes)
    terms = terms_to_change(directory)
    record = _changed(terms, record, words, clock.now_us())
    under = [SetLimit(f"key/{record.id}", limit) for limit in parsed]
    change(directory, [SetKey(record), *under], clock)
    shown = tuple(format_limit(limit) for limit in parsed)
    if as_json:
        show.print_json(CreatedKey(record.id, secret, name, account, shown))
        return
    print(secret)
    out = show.console()
    out.print(f"Shown this once. Id {record.id}, limits: {', '.join(shown) or 'none'}.", markup=False)


@decided_anew
def set_key(directory: Path, word: str, words: KeyWords, as_json: bool, clock: Clock) -> None:
    """Change what a key may do. Raises ValueError for wrong words, LedgerError."""
    terms = terms_to_change(directory)
    known = find_key(terms, word)
    changed = _changed(terms, known, words, clock.now_us())
    if changed == known:
        raise ValueError(f"nothing was said to change of {word}; see `weir keys set --help`")
    change(directory, [SetKey(changed)], clock, terms)
    if as_json:
        show.print_json(_line(changed, tuple(terms.limits.get(f"key/{known.id}", {}).values())))
    else:
        print(f"{changed.id} ({changed.name}) is changed: {_may(changed) or 'it may do everything'}.")


@decided_anew
def rotate(directory: Path, word: str, overlap: str, as_json: bool, clock: Clock) -> None:
    """Give a key a new secret and show it. Raises ValueError for wrong words, LedgerError."""
    old_until_us = clock.now_us() + parse_span(overlap)
    terms = terms_to_change(directory)
    known = find_key(terms, word)
    fresh, secret = rotated(known, old_until_us=old_until_us, random_bytes=random_bytes)
    change(directory, [SetKey(fresh)], clock, terms)
    until = iso_time(old_until_us)
    if as_json:
        show.print_json(RotatedKey(known.id, secret, known.name, until))
        return
    print(secret)
    old = f"good until {until[:16].replace('T', ' ')} UTC" if parse_span(overlap) else "void from now on"
    print(f"Shown this once. The secret before ({known.hint}…) is {old}.")


def _changed(terms: Terms, key: KeyRecord, words: KeyWords, now_us: int) -> KeyRecord:
    """The key as the words say. Raises ValueError."""
    said: dict[str, object] = {}
    for name in ("name", "account", "run"):
        value = getattr(words, name)
        if value is not None and value == NONE and name == "run":
            said[name] = ""
        elif value is not None:
            check_text(name, value)
            said[name] = value
    if words.models is not None:
        said["models"] = word_list(words.models)
    if words.dialects is not None:
        from tokenweir.protocol.wires import WIRES  # takes a while, and lists need none of it

        said["dialects"] = tuple(_one_of(word, WIRES, "dialect") for word in word_list(words.dialects))
    if words.role is not None:
        said["role"] = "" if words.role == NONE else _one_of(words.role, ROLES, "role")
    if words.expires is not None:
        zone = terms.time_zone(str(said.get("account", key.account)))
        said["expires_us"] = None if words.expires == "never" else parse_later(words.expires, now_us, zone)
    return msgspec.structs.replace(key, **said)


def _one_of(word: str, known: Collection[str], what: str) -> str:
    if word not in known:
        raise ValueError(f"there is no {what} {word!r}; {nearest(word, known)}")
    return word


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
            ", ".join(map(_limit, limits[key.id])),
            _may(key),
            _state(key),
        ]
        for key in keys
    ]
    show.print_table(("id", "name", "account", "key", "limits", "may", "since"), rows)


def _line(key: KeyRecord, limits: tuple[Limit, ...]) -> KeyLine:
    return KeyLine(
        id=key.id,
        name=key.name,
        account=key.account,
        hint=key.hint,
        limits=tuple(map(format_limit, limits)),
        created=iso_time(key.created_us),
        revoked=None if key.revoked_us is None else iso_time(key.revoked_us),
        models=key.models,
        dialects=key.dialects,
        expires=None if key.expires_us is None else iso_time(key.expires_us),
        role=key.role,
        run=key.run,
        old_until=iso_time(key.old_until_us) if key.old_hash else None,
    )


def _limit(limit: Limit) -> str:
    return f"{format_limit(limit)} of {limit.model}" if limit.model else format_limit(limit)


def _may(key: KeyRecord) -> str:
    """What it is for, where that is not everything."""
    parts = (
        ("models", " ".join(key.models)),
        ("dialects", " ".join(key.dialects)),
        ("until", "" if key.expires_us is None else f"{iso_time(key.expires_us)[:16]}Z"),
        ("role", key.role),
        ("run", key.run),
    )
    return ", ".join(f"{name} {value}" for name, value in parts if value)


def _state(key: KeyRecord) -> str:
    if key.revoked_us is not None:
        return f"revoked {iso_time(key.revoked_us)[:10]}"
    return iso_time(key.created_us)[:10]


def revoke(directory: Path, word: str, as_json: bool, clock: Clock) -> None:
    """Revoke the key with this id or name. Raises ValueError where none or several fit, LedgerError."""
    key = find_key(terms_now(directory), word)
    change(directory, [RevokeKey(key.id, clock.now_us())], clock)
    if as_json:
        show.print_json({"id": key.id, "revoked": True})
    else:
        print(f"{key.id} ({key.name}) is revoked.")
