"""Who may do what: roles by resource and method, and what of a resource is somebody's own. Pure."""

from tokenweir.core.sentence import FINE, Sentence, say
from tokenweir.ledger.terms import KeyRecord, Terms

_EVERY = frozenset({"owner", "admin", "member", "auditor"})
_READS_ALL = frozenset({"owner", "admin", "auditor"})
_CHANGES = frozenset({"owner", "admin"})
_HAS_KEYS = frozenset({"owner", "admin", "member"})

#: To POST what writes nothing: a dry run, or a question that is too long for a query.
TRY = "try"

#: Resource -> method -> roles. A member sees what belongs to the account of its key and to those below it.
RIGHTS: dict[str, dict[str, frozenset[str]]] = {
    "openapi.json": {"GET": _EVERY},
    "health": {"GET": _EVERY},
    "me": {"GET": _EVERY},
    "accounts": {"GET": _EVERY, "PUT": _CHANGES, "POST": _CHANGES},
    "keys": {"GET": _EVERY, "POST": _HAS_KEYS, "PATCH": _CHANGES, "PUT": _HAS_KEYS, "DELETE": _HAS_KEYS},
    "limits": {"GET": _EVERY, "PUT": _CHANGES, "DELETE": _CHANGES},
    "balances": {"GET": _EVERY},
    "credits": {"GET": _EVERY, "POST": _CHANGES},
    "plans": {"GET": _EVERY, "PUT": _CHANGES, "DELETE": _CHANGES},
    # A mark-up and what things cost are not the customer's to know.
    "charges": {"GET": _READS_ALL, "PUT": _CHANGES, "DELETE": _CHANGES},
    "standing-costs": {"GET": _READS_ALL, "PUT": _CHANGES, TRY: _READS_ALL, "POST": _CHANGES},
    "rates": {"GET": _EVERY, "PUT": _CHANGES},
    "usage": {"GET": _EVERY},
    "calls": {"GET": _EVERY},
    "invoices": {"GET": _EVERY, "POST": _CHANGES},
    "rerate": {TRY: _READS_ALL, "POST": _CHANGES},
    "reconcile": {TRY: _READS_ALL},
    "verify": {"GET": _READS_ALL},
    # One's own; of owners and admins, everybody's.
    "jobs": {"GET": _EVERY},
    "audit": {"GET": _READS_ALL},
    "upstreams": {"GET": _READS_ALL, "POST": _CHANGES},
    "settings": {"GET": _READS_ALL, "PUT": _CHANGES},
}

#: The roles that keys of a role may give, and whose keys they may change; owners, all of them.
_GIVES = {"owner": frozenset({"", *_EVERY}), "admin": frozenset({"", "member", "auditor"})}
_NONE = frozenset({""})


def right_of(resource: str, method: str) -> str:
    """What a role must have to be heard: where something can be tried, that; its function asks for the rest."""
    return TRY if method == "POST" and TRY in RIGHTS[resource] else method


def may_write(actor: KeyRecord) -> bool:
    """Whether it may do what others may only try."""
    return actor.role in _CHANGES


def reads_all(actor: KeyRecord) -> bool:
    """Whether everything is its own to see."""
    return actor.role in _READS_ALL


def sees_account(terms: Terms, actor: KeyRecord, account: str) -> bool:
    """Whether what belongs to an account may be shown."""
    return reads_all(actor) or actor.account in terms.chain(account)


def sees_scope(terms: Terms, actor: KeyRecord, scope: str) -> bool:
    """The same of what a limit stands on: an account, a key, or a run that one of one's own keys has."""
    if reads_all(actor):
        return True
    kind, _, id = scope.partition("/")
    if kind == "account":
        return sees_account(terms, actor, id)
    if kind == "key":
        return id in terms.keys and sees_account(terms, actor, terms.keys[id].account)
    return any(key.run == id and sees_account(terms, actor, key.account) for key in terms.keys.values())


def may_not_give(actor: KeyRecord, role: str) -> Sentence:
    """Why a role cannot be given; empty where it can."""
    if role in _GIVES.get(actor.role, _NONE):
        return FINE
    return say(
        "a key with the role {own!r} cannot give the role {role!r}; ask an owner", own=actor.role, role=role
    )


def may_not_touch(terms: Terms, actor: KeyRecord, key: KeyRecord) -> Sentence:
    """Why a key that exists cannot be changed, rotated or revoked; empty where it can.

    Whoever rotates a key holds it. So nobody reaches a role, or room, by it that their own key does not have.
    """
    if key.id == actor.id:
        return FINE
    if key.role not in _GIVES.get(actor.role, _NONE):
        return say(
            "{id} has the role {role!r}, and yours is {own!r}; ask an owner",
            id=key.id,
            role=key.role,
            own=actor.role,
        )
    return beyond(terms, actor, key) if actor.role == "member" else FINE


def beyond(terms: Terms, actor: KeyRecord, key: KeyRecord) -> Sentence:
    """How a key that a member makes or rotates would go beyond the member's own; empty where it does not."""
    if key.account != actor.account:
        return say("a member's keys are those of the account {account!r}", account=actor.account)
    if terms.limits.get(f"key/{actor.id}"):
        return say("your key has limits of its own, which another key would not be under; ask an admin")
    if key.run != actor.run:
        return say("your key belongs to a run, and others do not belong to it; ask an admin")
    for what, own, wanted in (
        (say("models"), actor.models, key.models),
        (say("dialects"), actor.dialects, key.dialects),
    ):
        if own and not (wanted and set(wanted) <= set(own)):
            return say(
                "your key is for the {what} {own}; another can be for some of these only",
                what=what,
                own=", ".join(own),
            )
    if actor.expires_us is not None and (key.expires_us is None or key.expires_us > actor.expires_us):
        return say("a key cannot expire later than yours, which made it")
    return FINE
