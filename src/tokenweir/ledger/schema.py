"""The ledger's schema, and how an older one becomes a newer one.

`entries` is the truth; the rollups, `spent` and the restart marks in `meta` are derived from it inside the same
transaction and can be rebuilt by replaying it. Money that is summed is kept in two integers, whole units and
pico, because integers of 64 bits end at 9.2 million units of pico: amount = units * 10**12 + pico.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tokenweir.core.errors import LedgerError
from tokenweir.ledger import rollups
from tokenweir.ledger.database import FAULTS, Connection, database_of, ledger_file

SCHEMA_VERSION = 7

#: File names below the data directory.
LOCK_NAME = "ledger.lock"
SOCKET_NAME = "ledger.sock"
CONTROL_SOCKET_NAME = "control.sock"

#: In `meta` of a database that `weir ledger move` has moved a ledger out of: it is read, and written no more.
MOVED = "moved"
#: In `meta`, before the number of an entry: from it to the entry that is the mark's value, entries were decided beside openings
#: that could not be written. What these had set aside of an allowance is not known any more.
UNDONE = "undone/"

#: Columns of `entries` in their order; the store binds rows in this order.
ENTRY_COLUMNS = (
    "seq",
    "kind",
    "at_us",
    "call",
    "ordinal",
    "attempt",
    "account",
    "key",
    "run",
    "model",
    "dialect",
    "upstream",
    "deployment",
    "served_model",
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "reasoning",
    "provenance",
    "price",
    "cost_pico",
    "currency",
    "ttft_us",
    "duration_us",
    "status",
    "outcome",
    "reason",
    "bound_input",
    "bound_output",
    "reserved_pico",
    "charge_price",
    "charge_pico",
    "charge_currency",
    "covered_tokens",
    "also_reserved",
    "tool_calls",
    "route",
)

#: The first schema, as it was: files that it made are still there.
_V1 = """
CREATE TABLE meta (
    name  {text} PRIMARY KEY,
    value {any}
) {keyed};

CREATE TABLE prices (
    id      {text} PRIMARY KEY,   -- of the content
    applied {text} NOT NULL       -- JSON of AppliedPrice
) {keyed};

CREATE TABLE keys (
    id         {text} PRIMARY KEY,
    name       {text} NOT NULL,
    account    {text} NOT NULL,
    hash       {bytes} NOT NULL UNIQUE,   -- SHA-256 of the secret
    hint       {text} NOT NULL,
    created_us {integer} NOT NULL,
    revoked_us {integer},
    limits     {text} NOT NULL,          -- JSON: unit, amount and window of each
    run        {text} NOT NULL
) {keyed};

CREATE TABLE entries (
    seq            {integer} PRIMARY KEY,  -- 1, 2, 3 …: the order in which the ledger decided
    kind           {text} NOT NULL,
    at_us          {integer} NOT NULL,     -- microseconds since 1970-01-01 UTC
    call           {bytes} NOT NULL,
    ordinal        {integer} NOT NULL,
    attempt        {bytes} NOT NULL,
    account        {text} NOT NULL,
    key            {text} NOT NULL,
    run            {text} NOT NULL,
    model          {text} NOT NULL,
    dialect        {text} NOT NULL,
    upstream       {text} NOT NULL,
    deployment     {text} NOT NULL,
    served_model   {text} NOT NULL,
    input          {integer} NOT NULL,
    cache_read     {integer} NOT NULL,
    cache_write_5m {integer} NOT NULL,
    cache_write_1h {integer} NOT NULL,
    output         {integer} NOT NULL,
    reasoning      {integer} NOT NULL,
    provenance     {text} NOT NULL,
    price          {text} NOT NULL,        -- prices.id; empty: none
    cost_pico      {integer},              -- NULL: unpriced or unknown
    currency       {text} NOT NULL,
    ttft_us        {integer},
    duration_us    {integer},
    status         {integer} NOT NULL,
    outcome        {text},
    reason         {text} NOT NULL,
    bound_input    {integer} NOT NULL,     -- of "opened": tokens set aside
    bound_output   {integer} NOT NULL,
    reserved_pico  {integer}               -- of "opened": money set aside, in `currency`; NULL: no limit in money
) {rows};

-- One entry of each kind and ordinal per call: look-ups, and twice is once.
CREATE UNIQUE INDEX entries_once ON entries (call, kind, ordinal);

CREATE TABLE hourly (
    hour {integer} NOT NULL,
    account {text} NOT NULL, key {text} NOT NULL, run {text} NOT NULL, model {text} NOT NULL,
    upstream {text} NOT NULL, deployment {text} NOT NULL, dialect {text} NOT NULL, currency {text} NOT NULL,
    calls {integer} NOT NULL, attempts {integer} NOT NULL, refused {integer} NOT NULL, failed {integer} NOT NULL,
    unpriced_calls {integer} NOT NULL, counted_calls {integer} NOT NULL, estimated_calls {integer} NOT NULL, unknown_calls {integer} NOT NULL,
    input {integer} NOT NULL, cache_read {integer} NOT NULL, cache_write_5m {integer} NOT NULL, cache_write_1h {integer} NOT NULL,
    output {integer} NOT NULL, reasoning {integer} NOT NULL, cost_units {integer} NOT NULL, cost_pico {integer} NOT NULL,
    ttft_count {integer} NOT NULL, ttft_us {integer} NOT NULL, duration_us {integer} NOT NULL,
    PRIMARY KEY (hour, account, key, run, model, upstream, deployment, dialect, currency)
) {keyed};

-- What calls opened in a window have cost, for keys that have a limit of that unit and window.
CREATE TABLE spent (
    key         {text} NOT NULL,
    unit        {text} NOT NULL,           -- a currency code, "tokens" or "calls"
    "window"      {text} NOT NULL,           -- "day", "month" or "total"
    start_us    {integer} NOT NULL,        -- of the window; 0 for "total"
    amount_high {integer} NOT NULL,        -- amount = amount_high * 10**12 + amount_low
    amount_low  {integer} NOT NULL,
    PRIMARY KEY (key, unit, "window", start_us)
) {keyed};
"""


#: Terms become changes that are replayed; two prices for a call; limits on accounts, runs and models. Sums are made anew.
_V3 = """
ALTER TABLE entries ADD COLUMN charge_price {text} NOT NULL DEFAULT '';     -- prices.id; empty: what it cost is paid
ALTER TABLE entries ADD COLUMN charge_pico {integer};
ALTER TABLE entries ADD COLUMN charge_currency {text} NOT NULL DEFAULT '';
ALTER TABLE entries ADD COLUMN covered_tokens {integer} NOT NULL DEFAULT 0; -- of its tokens, by an allowance
ALTER TABLE entries ADD COLUMN also_reserved {text} NOT NULL DEFAULT '';    -- of "opened": JSON, currency -> pico

CREATE TABLE changes (
    seq       {integer} PRIMARY KEY,  -- 1, 2, 3 …
    at_us     {integer} NOT NULL,
    actor     {text} NOT NULL,        -- a key's id, or "command line"
    after_seq {integer} NOT NULL,     -- decided after this entry
    change    {text} NOT NULL         -- JSON of a terms.Change
) {rows};

ALTER TABLE spent RENAME TO spent_v2;

-- What calls opened in a window have used of a limit, and what was drawn from credit.
CREATE TABLE spent (
    scope       {text} NOT NULL,           -- "account/ID", "key/ID" or "run/ID"
    model       {text} NOT NULL,           -- of limits for some models; empty: all
    unit        {text} NOT NULL,           -- a currency code, "tokens" or "calls"
    "window"      {text} NOT NULL,           -- of a limit; or "credit/ID", "allowance", "overage", "owed"
    start_us    {integer} NOT NULL,        -- of the window; 0 for "total" and credit
    amount_high {integer} NOT NULL,        -- amount = amount_high * 10**12 + amount_low
    amount_low  {integer} NOT NULL,
    PRIMARY KEY (scope, model, unit, "window", start_us)
) {keyed};
"""

#: Sums with details, for the console; and what a token read from a cache saves by each price.
_V4 = """
ALTER TABLE prices ADD COLUMN cache_saves_pico {integer} NOT NULL DEFAULT 0;  -- a token of cache read, beside one of input

DROP TABLE IF EXISTS hourly;
DROP TABLE IF EXISTS hourly_models;
DROP TABLE IF EXISTS daily;
DROP TABLE IF EXISTS daily_runs;
"""

#: What runs did: how many tools each answer asked for, and which; so far nobody had noted any.
_V5 = """
ALTER TABLE entries ADD COLUMN tool_calls {integer} NOT NULL DEFAULT 0;  -- that its answer asked for

CREATE TABLE steps (
    call {bytes} PRIMARY KEY,
    run  {text} NOT NULL,
    step {text} NOT NULL          -- JSON of protocol.steps.Step
) {rows};

CREATE INDEX steps_of_run ON steps (run, call);
"""

#: Why an attempt was made where it was made; of those before nobody noted it.
_V6 = """
ALTER TABLE entries ADD COLUMN route {text} NOT NULL DEFAULT '';  -- "2 of 3: …"; empty: there was no choice
"""

#: Entries that say what a call cost beside its end: those of a search by cost. Few calls have any, so it is no work for the others.
BESIDE = "kind IN ('attempt', 'repriced_attempt', 'repriced')"
_V7 = f"""
CREATE INDEX entries_beside ON entries (currency, cost_pico, call) WHERE {BESIDE};
"""


class Step(NamedTuple):
    """What leads to a version from the one before: statements, then what Python has to do, in one transaction."""

    script: str  # with the names of what differs between databases in braces
    fill: Callable[[Connection], None] = lambda _db: None
    guarded: tuple[str, ...] = ()  # tables whose rows stay as they are from now on


def _keys_to_changes(db: Connection) -> None:
    from tokenweir.ledger.keys_to_changes import keys_to_changes  # readers do not wait for it

    keys_to_changes(db)


def _sums_anew(db: Connection) -> None:
    from tokenweir.ledger.sums_anew import sums_anew

    sums_anew(db)


#: Version reached -> how. Versions 2 and 3 had other sums; the newest that changes any makes all of them anew.
MIGRATIONS: dict[int, Step] = {
    1: Step(_V1, guarded=("entries",)),
    2: Step(""),
    3: Step(_V3, _keys_to_changes, guarded=("changes",)),
    4: Step(_V4 + "".join(map(rollups.ddl, rollups.ROLLUPS)), _sums_anew),
    5: Step(_V5, guarded=("steps",)),
    6: Step(_V6),
    7: Step(_V7),
}


def read_version(connection: Connection) -> int:
    """The schema version of an open ledger; 0 for an empty one. Raises LedgerError when it is not a ledger."""
    tables = {row[0] for row in connection.execute(connection.database.tables)}
    if not tables:
        return 0
    if "meta" not in tables:
        raise LedgerError(f"this is a database of {connection.database.name}, but not a ledger of tokenweir")
    row = connection.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone()
    if row is None or not isinstance(row[0], int):
        raise LedgerError("the ledger does not name its schema version; restore it from a backup")
    return int(row[0])


def has_ledger(data_dir: Path) -> bool:
    """Whether there is one yet, be it whole or not. Raises LedgerError where the database that it lies in does not answer."""
    if not ledger_file(data_dir).exists():
        return False
    connection = database_of(data_dir).connect_reader(data_dir)
    try:
        return connection.execute(connection.database.tables).fetchone() is not None
    except FAULTS:
        return True  # whoever opens it is told what is wrong
    finally:
        connection.close()


def is_older(data_dir: Path) -> bool:
    """Whether there is a ledger that an older program wrote. Raises LedgerError."""
    if not has_ledger(data_dir):
        return False
    connection = database_of(data_dir).connect_reader(data_dir)
    try:
        return 0 < read_version(connection) < SCHEMA_VERSION
    except FAULTS:
        return False  # whoever opens it is told what is wrong
    finally:
        connection.close()


def check_version(connection: Connection) -> None:
    """For readers. Raises LedgerError unless the ledger has exactly the version this program knows."""
    version = read_version(connection)
    if version > SCHEMA_VERSION:
        raise LedgerError(_newer(version))
    if version < SCHEMA_VERSION:
        raise LedgerError(
            f"the ledger has schema version {version}, this program reads {SCHEMA_VERSION}; "
            "start `weir up` once to migrate it"
        )


def migrate(connection: Connection, data_dir: Path, migrations: dict[int, Step] | None = None) -> int:
    """Bring the ledger to the newest version, with a backup first where it is a file; the version it had.

    The connection is in autocommit mode. Each step is one transaction. Raises LedgerError for a newer one.
    """
    steps = MIGRATIONS if migrations is None else migrations
    newest = max(steps)
    version = read_version(connection)
    if version > newest:
        raise LedgerError(_newer(version))
    if version and connection.execute("SELECT 1 FROM meta WHERE name = ?", (MOVED,)).fetchone():
        raise LedgerError("it was moved elsewhere with `weir ledger move`, and is written no more")
    database = connection.database
    if 0 < version < newest:
        database.back_up(connection, data_dir, version)
    for number in range(version + 1, newest + 1):
        step = steps[number]
        guards = (database.guard.format(table=table) for table in step.guarded)
        try:
            connection.executescript(
                "".join((f"{database.begin};\n", step.script.format(**database.ddl), *guards))
            )
            step.fill(connection)
            set_mark(connection, "schema_version", number)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return version


def set_mark(connection: Connection, name: str, value: int) -> None:
    """Note a number in `meta`, in place of the one before."""
    connection.execute(_SET_MARK, (name, value))


_SET_MARK = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"


def _newer(version: int) -> str:
    return (
        f"the ledger has schema version {version}, which is newer than this program ({SCHEMA_VERSION}); "
        "upgrade tokenweir, nothing was changed"
    )
