"""Where requests are decided: who asks, whether they may, what they say; then the operation's own function answers."""

import hashlib
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from tokenweir.admin import problems
from tokenweir.admin.form_faults import form_fault
from tokenweir.admin.lookups import Lookups
from tokenweir.admin.operation import Operation
from tokenweir.admin.problems import Problem, problem
from tokenweir.admin.rights import RIGHTS, right_of, sees_account
from tokenweir.admin.works import WAIT_S, Work, Works
from tokenweir.core.clock import Clock
from tokenweir.core.errors import CatalogError, LedgerError, SettingsError
from tokenweir.core.sentence import say, whole
from tokenweir.ledger.changing import decided_anew, make_changes
from tokenweir.ledger.database import FAULTS, Connection
from tokenweir.ledger.known_terms import KnownTerms
from tokenweir.ledger.store import read_changes
from tokenweir.ledger.terms import Change, KeyRecord, Terms
from tokenweir.ledger.views import open_reader
from tokenweir.protocol.problems import API_PREFIX

#: How long a change waits for those before it, each of which waits for the disk.
TURN_TIMEOUT_S = 30.0
JSON = "application/json"
#: Where jobs are asked after.
LOCATION = f"{API_PREFIX.decode()}jobs"
T = TypeVar("T")


class Told(msgspec.Struct, frozen=True):
    """An answer."""

    status: int
    body: bytes
    media_type: str = JSON
    headers: dict[str, str] = {}


class Snapshot(msgspec.Struct, frozen=True):
    """The terms after some change; nothing changes them any more."""

    seq: int
    terms: Terms
    known: KnownTerms


#: Who asks: the key, found in the terms as they are at that moment; None where it is not good any more.
Who = Callable[[Snapshot, int], KeyRecord | None]


def holder_of(secret: bytes) -> Who:
    """Whoever presents a secret."""
    return lambda snapshot, now_us: snapshot.known.key_by_hash(hashlib.sha256(secret).digest(), now_us)


class Desk:
    """What requests share. Its methods are called from many threads."""

    def __init__(
        self,
        data_dir: Path,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        version: str,
        lookups: Lookups,
    ) -> None:
        self.data_dir = data_dir
        self.clock = clock
        self.random_bytes = random_bytes
        self.version = version
        self.lookups = lookups
        self.started_us = clock.now_us()
        self.document = b""  # the OpenAPI document, once it was asked for
        self.turn = threading.Lock()  # one change is read, checked and made at a time
        self.long_work = threading.Lock()  # held for minutes, so nobody waits for it
        self.works = Works(clock, random_bytes)
        self._reading = threading.Lock()
        self._snapshot = Snapshot(0, Terms(), KnownTerms())

    @property
    def latest(self) -> Snapshot:
        """The terms as they were when somebody last looked."""
        return self._snapshot

    def snapshot(self, db: Connection) -> Snapshot:
        """The terms as they are now: of those known, with what has changed since."""
        with self._reading:
            known = self._snapshot
            changes = list(read_changes(db, known.seq))
            if changes:
                terms = known.terms.copy()
                for audited in changes:
                    terms.apply(audited.change)
                    terms.seq = audited.seq
                fresh = KnownTerms()
                fresh.replace(terms)
                self._snapshot = Snapshot(changes[-1].seq, terms, fresh)
            return self._snapshot

    def answer(
        self,
        operation: Operation,
        path: dict[str, str],
        query: Sequence[tuple[str, str]],
        secret: bytes,
        body: bytes,
        wait_s: float = WAIT_S,
    ) -> Told:
        """The whole answer to a request that carries a secret; `wait_s`: what takes longer, where it may, becomes a job."""
        who = holder_of(secret)

        def do() -> object:
            return self.outcome(operation, path, query, body, who)

        holder = self._heard(operation, query, body, who) if operation.long and secret else None
        if not secret:
            outcome: object = problems.unauthorized()
        elif holder is None:  # not long, or refused at once
            outcome = do()
        else:
            outcome = self.works.within(wait_s, operation.id, operation.status, holder, do)
        if isinstance(outcome, Work):
            return Told(202, b"", headers={"location": f"{LOCATION}/{outcome.id}"})
        if isinstance(outcome, Problem):
            return Told(outcome.status, outcome.body, problems.MEDIA_TYPE, outcome.headers)
        if isinstance(outcome, msgspec.Raw):
            return Told(operation.status, bytes(outcome))
        return Told(operation.status, b"" if outcome is None else msgspec.json.encode(outcome))

    def _heard(
        self, operation: Operation, query: Sequence[tuple[str, str]], body: bytes, who: Who
    ) -> str | None:
        """The id of the key that asks, where it may, and says what is asked for in its form; None where it is refused at once."""
        with suppress(LedgerError, *FAULTS), closing(open_reader(self.data_dir)) as db:
            asked = self.admit(right_of_operation(operation), db, who)
            if not isinstance(asked, Problem) and not isinstance(
                read_request(operation, query, body), Problem
            ):
                return asked.actor.id
        return None

    def outcome(
        self,
        operation: Operation,
        path: dict[str, str],
        query: Sequence[tuple[str, str]],
        body: bytes,
        who: Who,
    ) -> object:
        """What an operation's function answers, or a Problem; a fault of the ledger's is one too."""
        try:
            return self._decided(operation, path, query, body, who)
        except (LedgerError, *FAULTS) as error:
            print(f"weir: control: {error}", file=sys.stderr, flush=True)
            return problems.unavailable()
        except (SettingsError, CatalogError) as error:
            print(f"weir: control: {error}", file=sys.stderr, flush=True)
            return problems.unreadable()

    def _decided(
        self,
        operation: Operation,
        path: dict[str, str],
        query: Sequence[tuple[str, str]],
        body: bytes,
        who: Who,
    ) -> object:
        with closing(open_reader(self.data_dir)) as db:
            asked = self.admit(right_of_operation(operation), db, who)
            if isinstance(asked, Problem):
                return asked
            said = read_request(operation, query, body)
            if isinstance(said, Problem):
                return said
            if not operation.changes:
                return operation.handle(asked, **path, **said)
            turn = self.long_work if operation.long else self.turn
            if not turn.acquire(timeout=0 if operation.long else TURN_TIMEOUT_S):
                return problems.busy() if operation.long else problems.unavailable()
            try:
                return self._handled(operation, db, who, {**path, **said})
            finally:
                turn.release()

    @decided_anew
    def _handled(self, operation: Operation, db: Connection, who: Who, said: dict[str, object]) -> object:
        again = self.admit(right_of_operation(operation), db, who)  # changes may have ended the key
        return again if isinstance(again, Problem) else operation.handle(again, **said)

    @contextmanager
    def reading(self, resource: str, who: Who) -> Iterator["Asked | Problem"]:
        """Who asks to read of a resource, with the ledger to read, until the end of the block. Raises LedgerError."""
        with closing(open_reader(self.data_dir)) as db:
            yield self.admit((resource, "GET"), db, who)

    def admit(self, right: tuple[str, str], db: Connection, who: Who) -> "Asked | Problem":
        """Who asks, if they may; `right` is a resource and a method."""
        snapshot, now_us = self.snapshot(db), self.clock.now_us()
        key, (resource, method) = who(snapshot, now_us), right
        if key is None:
            return problems.unauthorized()
        if not key.role:
            return problems.no_role()
        if key.role not in RIGHTS[resource].get(method, ()):
            detail = say(
                "The role {role!r} may not {method} {resource}.",
                role=key.role,
                method=method.upper(),
                resource=resource,
            )
            return problem("forbidden", detail)
        if key.role == "member" and snapshot.terms.is_closed(key.account):
            return problem(
                "forbidden", say("The account of this key is closed. Ask whoever runs this gateway.")
            )
        return Asked(self, db, key, snapshot.terms, now_us)


def right_of_operation(operation: Operation) -> tuple[str, str]:
    """The resource and the method that a role must have for it."""
    return operation.resource, right_of(operation.resource, operation.method)


class Asked(msgspec.Struct):
    """What an operation's function is given: who asks, the terms, and the ledger to read."""

    desk: Desk
    db: Connection
    actor: KeyRecord
    terms: Terms
    now_us: int

    def change(self, changes: Iterable[Change]) -> Problem | None:
        """Make changes, in the name of who asks; the problem where the ledger does not take them.

        Raises OutdatedError where they replace a record that was changed since these terms: all is decided anew. LedgerError.
        """
        refused = make_changes(
            self.desk.data_dir, tuple(changes), self.desk.clock, self.actor.id, after=self.terms.seq
        )
        if refused:
            return problems.refused(refused)
        self.terms = self.desk.snapshot(self.db).terms
        return None

    def sees(self, account: str) -> bool:
        """Whether what belongs to an account may be shown to who asks."""
        return sees_account(self.terms, self.actor, account)


def read_request(
    operation: Operation, query: Sequence[tuple[str, str]], body: bytes
) -> dict[str, object] | Problem:
    """What the operation's function takes of the query and the body."""
    said: dict[str, object] = {}
    names = [name for name, _ in query]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        return problem("wrong_form", say("The parameter {name!r} stands more than once.", name=twice[:100]))
    if operation.query is None:
        if names:
            return problem("wrong_form", say("There is no parameter {name!r} here.", name=names[0][:100]))
    else:
        try:
            said["query"] = msgspec.convert(dict(query), operation.query, strict=False)
        except msgspec.ValidationError as error:
            return problem("wrong_form", say("Of the query: {fault}.", fault=form_fault(error)))
    if operation.body is None:
        empty = body.strip() in (b"", b"{}")
        return said if empty else problem("wrong_form", say("This request takes no body."))
    if operation.body is bytes:
        return {**said, "body": body}
    try:
        said["body"] = msgspec.json.decode(body.strip() or b"{}", type=operation.body)
    except msgspec.ValidationError as error:
        return problem("wrong_form", whole(form_fault(error)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason: object = say("it is nested too deep") if isinstance(error, RecursionError) else error
        return problem("malformed", say("The body is no JSON: {reason}.", reason=reason))
    return said
