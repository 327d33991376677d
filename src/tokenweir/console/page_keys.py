"""Keys: the list, one key, and all that can be done to one. A secret is shown once, on the page that made it."""

from collections.abc import Mapping

from tokenweir.admin.keys import NewKey
from tokenweir.admin.passwords import LONGEST, SHORTEST
from tokenweir.admin.problems import Problem, not_found, problem
from tokenweir.console.fields import lines_of, moment_of, said, words_of
from tokenweir.console.page import Outcome, Redirect, Visit, shown
from tokenweir.console.page_limits import limits_table
from tokenweir.console.table import Badge, Column, Link, Table
from tokenweir.core.sentence import say
from tokenweir.ledger.checks import ROLES
from tokenweir.ledger.terms import KeyRecord
from tokenweir.protocol.wires import WIRES

_COLUMNS = (
    Column("name", "link"),
    Column("account", "link"),
    Column("role"),
    Column("hint", "code"),
    Column("models"),
    Column("run"),
    Column("limits"),
    Column("created", "time"),
    Column("expires", "time"),
    Column("state", "badge"),
)


def show(visit: Visit) -> Outcome:
    """Keys that live; with `?revoked=1` the others too."""
    terms, revoked = visit.asked.terms, bool(visit.query["revoked"])
    rows = [
        _row(visit, key)
        for key in terms.keys.values()
        if visit.asked.sees(key.account) and (revoked or key.revoked_us is None)
    ]
    table = Table(name="keys", words="keys", columns=_COLUMNS, rows=rows).sorted_by("name")
    return shown("keys.html", tables=(table,), accounts=accounts_of(visit), roles=ROLES, revoked=revoked)


def accounts_of(visit: Visit) -> list[str]:
    """Accounts that may be chosen."""
    terms = visit.asked.terms
    known = {*terms.accounts, *(key.account for key in terms.keys.values())}
    return sorted(id for id in known if visit.asked.sees(id))


def _row(visit: Visit, key: KeyRecord) -> tuple[object, ...]:
    limits = len(visit.asked.terms.limits.get(f"key/{key.id}", {}))
    return (
        Link(key.name, visit.to(f"/keys/{key.id}")),
        Link(key.account, visit.to(f"/accounts/{key.account}")),
        visit.t(f"role.{key.role}") if key.role else None,
        f"{key.hint}…",
        ", ".join(key.models) or visit.t("keys.all_models"),
        key.run or None,
        str(limits) if limits else None,
        key.created_us,
        key.expires_us,
        state_of(key, visit.asked.now_us),
    )


def state_of(key: KeyRecord, now_us: int) -> Badge:
    """Whether calls can be made with it."""
    if key.revoked_us is not None:
        return Badge("revoked", "bad", "keys.state_revoked")
    if not key.is_live(now_us):
        return Badge("expired", "warn", "keys.state_expired")
    return Badge("live", "good", "keys.state_live")


def show_one(visit: Visit) -> Outcome:
    """One key."""
    id = visit.path["id"]
    key = visit.asked.terms.keys.get(id)
    if key is None or not visit.asked.sees(key.account):
        return not_found(say("key {id!r}", id=id[:100]))
    return shown(
        "key.html",
        tables=(limits_table(visit, f"key/{id}"),),
        key=key,
        state=state_of(key, visit.asked.now_us),
        is_own=id == visit.asked.actor.id,
        has_password=id in visit.asked.terms.passwords,
        accounts=accounts_of(visit),
        roles=ROLES,
        dialects=tuple(WIRES),
        shortest=SHORTEST,
        longest=LONGEST,
    )


# --- forms


def create(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """Make a key, and show its secret."""
    body: dict[str, object] = said(fields, "name", "account", "role", "run")
    body |= {"models": words_of(fields.get("models", "")), "limits": lines_of(fields.get("limits", ""))}
    if expires := moment_of(fields.get("expires", ""), visit.zone):
        body["expires"] = expires
    return _secret(visit, visit.do("create_key", body=body))


def rotate(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """Give a key another secret, and show it."""
    try:
        overlap_s = round(float(fields.get("overlap_h") or 0) * 3600)
    except ValueError:
        return problem("wrong_form", say("The overlap is a number of hours."))
    return _secret(
        visit, _signs_out(visit, visit.do("rotate_key", id=visit.path["id"], body={"overlap_s": overlap_s}))
    )


def _secret(visit: Visit, made: object) -> Outcome:
    if isinstance(made, Problem):
        return made
    assert isinstance(made, NewKey)
    return shown("secret.html", made=made, address=visit.outside.address())


def change(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """Change what is known of a key."""
    body = {
        "name": fields.get("name", ""),
        "account": fields.get("account", ""),
        "role": fields.get("role", ""),
        "models": words_of(fields.get("models", "")),
        "dialects": words_of(fields.get("dialects", "")),
        "expires": moment_of(fields.get("expires", ""), visit.zone),
    }
    return done(visit, visit.do("change_key", id=visit.path["id"], body=body))


def revoke(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """For good."""
    return done(visit, visit.do("revoke_key", id=visit.path["id"]))


def set_password(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """By which its holder signs in."""
    if fields.get("password", "") != fields.get("again", ""):
        return problem("wrong_form", say("The two passwords differ."))
    outcome = visit.do("put_password", id=visit.path["id"], body=said(fields, "password"))
    return done(visit, _signs_out(visit, outcome))


def remove_password(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """Nobody signs in with it any more."""
    return done(visit, _signs_out(visit, visit.do("remove_password", id=visit.path["id"])))


def _signs_out(visit: Visit, outcome: object) -> object:
    """Whoever is signed in with the key has to sign in anew, but for who did it."""
    if not isinstance(outcome, Problem):
        visit.has_changed_own_key = visit.path["id"] == visit.asked.actor.id
    return outcome


def done(visit: Visit, outcome: object) -> Outcome:
    """The same page anew, which says that it was done."""
    return outcome if isinstance(outcome, Problem) else Redirect(with_done(visit))


def with_done(visit: Visit) -> str:
    """The address of this page with the word that it was done."""
    here = visit.link(format=None, table=None)
    return f"{here}{'&' if '?' in here else '?'}done=saved"
