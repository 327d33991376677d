"""Keys: made, changed, rotated, revoked. A secret is told once, in the answer that made it."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tokenweir.admin.desk import Asked
from tokenweir.admin.forms import (
    Body,
    Moment,
    Name,
    Page,
    PageQuery,
    Words,
    micros_or_none,
    moment,
    moment_or_none,
    page_of,
)
from tokenweir.admin.problems import Problem, not_found, problem
from tokenweir.admin.rights import beyond, may_not_give, may_not_touch
from tokenweir.core.sentence import FINE, say, whole
from tokenweir.ledger.limit_text import format_limit, parse_limit
from tokenweir.ledger.new_key import make_key, rotated
from tokenweir.ledger.terms import Change, KeyRecord, RevokeKey, SetKey, SetLimit, Terms
from tokenweir.protocol.wires import WIRES

#: A secret that was rotated away is good for at most this long beside the new one.
LONGEST_OVERLAP_S = 30 * 24 * 3600

Role = Literal["", "owner", "admin", "member", "auditor"]
Patterns = Annotated[tuple[Name, ...], Meta(max_length=200)]
LimitTexts = Annotated[tuple[Name, ...], Meta(max_length=50)]


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key. `hint` is how its secret begins; the secret itself is nowhere but with its owner."""

    id: str
    name: str
    account: str
    role: str
    hint: str
    models: tuple[str, ...]  # it may ask for these (`*` and `?` as in file names); empty: for all
    dialects: tuple[str, ...]  # and in these; empty: in all
    run: str
    limits: tuple[str, ...]  # on the key itself; /limits tells what is left of them
    created: Moment
    expires: Moment | None
    revoked: Moment | None
    old_secret_until: Moment | None  # after a rotation: until then the secret before is good too


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key and its secret, which is told this once."""

    key: Key
    secret: str


class KeyBody(Body, frozen=True, kw_only=True):
    """A key to be made. `account` is that of your own key where it is left out, and so is `run`."""

    name: Annotated[Words, Meta(min_length=1)]
    account: Name | None = None
    role: Role = ""
    models: Patterns = ()
    dialects: Patterns = ()
    run: Words | None = None
    expires: Moment | None = None
    limits: LimitTexts = ()


class KeyChanges(Body, frozen=True, kw_only=True):
    """What is to be changed; what is left out stays."""

    name: Annotated[Words, Meta(min_length=1)] | UnsetType = UNSET
    account: Name | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    models: Patterns | UnsetType = UNSET
    dialects: Patterns | UnsetType = UNSET
    expires: Moment | UnsetType | None = UNSET


class Rotation(Body, frozen=True, kw_only=True):
    """For how many seconds the secret before stays good beside the new one."""

    overlap_s: Annotated[int, Meta(ge=0, le=LONGEST_OVERLAP_S)] = 0


class KeysQuery(PageQuery, frozen=True, kw_only=True):
    """`account`: only its own; `revoked`: those that were revoked too."""

    account: Name | None = None
    revoked: bool = False


def told_key(terms: Terms, key: KeyRecord, now_us: int) -> Key:
    """A key as it is shown."""
    return Key(
        id=key.id,
        name=key.name,
        account=key.account,
        role=key.role,
        hint=key.hint,
        models=key.models,
        dialects=key.dialects,
        run=key.run,
        limits=tuple(map(format_limit, terms.limits.get(f"key/{key.id}", {}).values())),
        created=moment(key.created_us),
        expires=moment_or_none(key.expires_us),
        revoked=moment_or_none(key.revoked_us),
        old_secret_until=moment(key.old_until_us) if key.old_until_us > now_us else None,
    )


def list_keys(asked: Asked, query: KeysQuery) -> Page[Key]:
    """Keys, by their ids."""
    shown = [
        key
        for key in asked.terms.keys.values()
        if asked.sees(key.account)
        and query.account in (None, key.account)
        and (query.revoked or key.revoked_us is None)
    ]
    page = page_of(shown, lambda key: key.id, query)
    return Page(tuple(told_key(asked.terms, key, asked.now_us) for key in page.items), page.next)


def get_key(asked: Asked, id: str) -> Key | Problem:
    """One key."""
    key = _find(asked, id)
    return key if isinstance(key, Problem) else told_key(asked.terms, key, asked.now_us)


def get_me(asked: Asked) -> Key:
    """The key that you ask with."""
    return told_key(asked.terms, asked.actor, asked.now_us)


def create_key(asked: Asked, body: KeyBody) -> NewKey | Problem:
    """Make a key, and limits on it. Its secret is told in this answer only.

    A member makes keys of its own account without a role, and within the bounds of its own key.
    """
    actor = asked.actor
    try:
        limits = [parse_limit(text) for text in body.limits]
        record, secret = make_key(
            body.name,
            actor.account if body.account is None else body.account,
            now_us=asked.now_us,
            random_bytes=asked.desk.random_bytes,
        )
    except ValueError as error:
        return problem("refused", whole(error))
    record = msgspec.structs.replace(
        record,
        role=body.role,
        models=body.models,
        dialects=body.dialects,
        run=(actor.run if actor.role == "member" else "") if body.run is None else body.run,
        expires_us=micros_or_none(body.expires),
    )
    wrong = may_not_give(actor, body.role)
    wrong = wrong or (beyond(asked.terms, actor, record) if actor.role == "member" else FINE)
    if wrong:
        return problem("forbidden", whole(wrong))
    if record.expires_us is not None and record.expires_us <= asked.now_us:
        return problem("refused", say("The key would have expired already."))
    changes: list[Change] = [SetKey(record)]
    changes += [SetLimit(f"key/{record.id}", limit) for limit in limits]
    refused = _unknown_dialect(record) or asked.change(changes)
    return refused or NewKey(key=told_key(asked.terms, record, asked.now_us), secret=secret)


def change_key(asked: Asked, id: str, body: KeyChanges) -> Key | Problem:
    """Change a key's name, account, role, models, dialects or expiry. What is called with it next finds it so."""
    key = touchable(asked, id)
    if isinstance(key, Problem):
        return key
    said = {name: value for name, value in msgspec.structs.asdict(body).items() if value is not UNSET}
    if "expires" in said:
        said["expires_us"] = micros_or_none(said.pop("expires"))
    changed = msgspec.structs.replace(key, **said)
    wrong = may_not_give(asked.actor, changed.role) if changed.role != key.role else FINE
    if wrong:
        return problem("forbidden", whole(wrong))
    return _set(asked, changed)


def rotate_key(asked: Asked, id: str, body: Rotation) -> NewKey | Problem:
    """Give a key a new secret. Without an overlap the one before is no longer good; with one, both are until its end."""
    key = touchable(asked, id)
    if isinstance(key, Problem):
        return key
    fresh, secret = rotated(
        key,
        old_until_us=asked.now_us + body.overlap_s * 1_000_000,
        random_bytes=asked.desk.random_bytes,
    )
    told = _set(asked, fresh)
    return told if isinstance(told, Problem) else NewKey(key=told, secret=secret)


def revoke_key(asked: Asked, id: str) -> Key | Problem:
    """Revoke a key, for good: from now on nothing is called with it, on any worker."""
    key = touchable(asked, id)
    if isinstance(key, Problem):
        return key
    refused = asked.change([RevokeKey(id, asked.now_us)])
    return refused or told_key(asked.terms, asked.terms.keys[id], asked.now_us)


def _find(asked: Asked, id: str) -> KeyRecord | Problem:
    key = asked.terms.keys.get(id)
    return key if key is not None and asked.sees(key.account) else not_found(say("key {id!r}", id=id[:100]))


def touchable(asked: Asked, id: str) -> KeyRecord | Problem:
    """A key that is there, lives, and is for who asks to change."""
    key = _find(asked, id)
    if isinstance(key, Problem):
        return key
    if key.revoked_us is not None:
        return problem("refused", say("{id} is revoked, for good. Make another.", id=id))
    wrong = may_not_touch(asked.terms, asked.actor, key)
    return problem("forbidden", whole(wrong)) if wrong else key


def _set(asked: Asked, key: KeyRecord) -> Key | Problem:
    return _unknown_dialect(key) or asked.change([SetKey(key)]) or told_key(asked.terms, key, asked.now_us)


def _unknown_dialect(key: KeyRecord) -> Problem | None:
    wrong = next((dialect for dialect in key.dialects if dialect not in WIRES), None)
    if wrong is None:
        return None
    return problem(
        "refused", say("There is no dialect {wrong!r}: {wires}.", wrong=wrong, wires=", ".join(WIRES))
    )
