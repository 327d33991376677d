BEGIN TRANSACTION;
CREATE TABLE entries (
    seq            INTEGER PRIMARY KEY,  -- 1, 2, 3 …: the order in which the ledger decided
    kind           TEXT NOT NULL,
    at_us          INTEGER NOT NULL,     -- microseconds since 1970-01-01 UTC
    call           BLOB NOT NULL,
    ordinal        INTEGER NOT NULL,
    attempt        BLOB NOT NULL,
    account        TEXT NOT NULL,
    key            TEXT NOT NULL,
    run            TEXT NOT NULL,
    model          TEXT NOT NULL,
    dialect        TEXT NOT NULL,
    upstream       TEXT NOT NULL,
    deployment     TEXT NOT NULL,
    served_model   TEXT NOT NULL,
    input          INTEGER NOT NULL,
    cache_read     INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    output         INTEGER NOT NULL,
    reasoning      INTEGER NOT NULL,
    provenance     TEXT NOT NULL,
    price          TEXT NOT NULL,        -- prices.id; empty: none
    cost_pico      INTEGER,              -- NULL: unpriced or unknown
    currency       TEXT NOT NULL,
    ttft_us        INTEGER,
    duration_us    INTEGER,
    status         INTEGER NOT NULL,
    outcome        TEXT,
    reason         TEXT NOT NULL,
    bound_input    INTEGER NOT NULL,     -- of "opened": tokens set aside
    bound_output   INTEGER NOT NULL,
    reserved_pico  INTEGER               -- of "opened": money set aside, in `currency`; NULL: no limit in money
) STRICT;
INSERT INTO "entries" VALUES(1,'opened',1795392000000000,X'00000000000000000000000000000001',0,X'','a','k','','m','chat','','','',0,0,0,0,0,0,'unknown','',NULL,'',NULL,NULL,0,NULL,'',20,30,NULL);
INSERT INTO "entries" VALUES(2,'opened',1795392000000010,X'00000000000000000000000000000002',0,X'','a','k','','m','chat','','','',0,0,0,0,0,0,'unknown','',NULL,'',NULL,NULL,0,NULL,'',20,30,NULL);
INSERT INTO "entries" VALUES(3,'attempt',1795392000000100,X'00000000000000000000000000000001',1,X'','a','k','','m','chat','u','u/m','m',3,0,0,0,0,0,'reported','a91cdfdc49c58059e25f37c96c3849e5',6,'CNY',5,10,200,'upstream_broke','',0,0,NULL);
INSERT INTO "entries" VALUES(4,'settled',1795392000000200,X'00000000000000000000000000000001',0,X'','a','k','','m','chat','u','u/m','m',6,0,0,0,6,0,'reported','a91cdfdc49c58059e25f37c96c3849e5',30,'CNY',5,10,200,'ok','',0,0,NULL);
INSERT INTO "entries" VALUES(5,'checkpoint',1795395700000000,X'00000000000000000000000000000002',1,X'','a','k','','m','chat','u','u/m','',10,0,0,0,0,0,'reported','027bbc2e618689d1764e446c50272dd7',20,'USD',NULL,NULL,0,NULL,'',0,0,NULL);
INSERT INTO "entries" VALUES(6,'settled',1795395800000000,X'00000000000000000000000000000002',0,X'','a','k','','m','chat','u','u/m','m',10,0,0,0,20,0,'reported','027bbc2e618689d1764e446c50272dd7',80,'USD',5,10,200,'ok','',0,0,NULL);
INSERT INTO "entries" VALUES(7,'refused',1795395900000000,X'00000000000000000000000000000003',0,X'','a','k','','m','chat','','','',0,0,0,0,0,0,'unknown','',NULL,'',NULL,NULL,0,'refused','limit',5000,0,NULL);
INSERT INTO "entries" VALUES(8,'opened',1795396000000000,X'00000000000000000000000000000004',0,X'','a','k','r','m','chat','','','',0,0,0,0,0,0,'unknown','',NULL,'',NULL,NULL,0,NULL,'',20,30,NULL);
INSERT INTO "entries" VALUES(9,'checkpoint',1795396100000000,X'00000000000000000000000000000004',1,X'','a','k','r','m','chat','u','u/m','',10,0,0,0,0,0,'reported','027bbc2e618689d1764e446c50272dd7',20,'USD',NULL,NULL,0,NULL,'',0,0,NULL);
CREATE TABLE hourly (
    hour INTEGER NOT NULL,
    account TEXT NOT NULL, key TEXT NOT NULL, run TEXT NOT NULL, model TEXT NOT NULL, upstream TEXT NOT NULL, deployment TEXT NOT NULL, dialect TEXT NOT NULL, currency TEXT NOT NULL,
    calls INTEGER NOT NULL, attempts INTEGER NOT NULL, refused INTEGER NOT NULL, failed INTEGER NOT NULL, unpriced_calls INTEGER NOT NULL, counted_calls INTEGER NOT NULL, estimated_calls INTEGER NOT NULL, unknown_calls INTEGER NOT NULL, input INTEGER NOT NULL, cache_read INTEGER NOT NULL, cache_write_5m INTEGER NOT NULL, cache_write_1h INTEGER NOT NULL, output INTEGER NOT NULL, reasoning INTEGER NOT NULL, cost_units INTEGER NOT NULL, cost_pico INTEGER NOT NULL, ttft_count INTEGER NOT NULL, ttft_us INTEGER NOT NULL, duration_us INTEGER NOT NULL,
    PRIMARY KEY (hour, account, key, run, model, upstream, deployment, dialect, currency)
) STRICT, WITHOUT ROWID;
INSERT INTO "hourly" VALUES(498720,'a','k','','m','u','u/m','chat','CNY',1,2,0,0,0,0,0,0,9,0,0,0,6,0,0,36,1,5,10);
INSERT INTO "hourly" VALUES(498721,'a','k','','m','','','chat','',0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0);
INSERT INTO "hourly" VALUES(498721,'a','k','','m','u','u/m','chat','USD',1,1,0,0,0,0,0,0,10,0,0,0,20,0,0,80,1,5,10);
CREATE TABLE keys (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    account    TEXT NOT NULL,
    hash       BLOB NOT NULL UNIQUE,   -- SHA-256 of the secret
    hint       TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    revoked_us INTEGER,
    limits     TEXT NOT NULL,          -- JSON: [{"unit": …, "amount": …, "window": …}]
    run        TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "keys" VALUES('k','k','a',X'6868686868686868686868686868686868686868686868686868686868686868','k',1795392000000000,NULL,'[{"unit":"tokens","amount":1000,"window":"day"}]','');
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value ANY
) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('open_since_seq',8);
INSERT INTO "meta" VALUES('schema_version',1);
CREATE TABLE prices (
    id      TEXT PRIMARY KEY,   -- of the content
    applied TEXT NOT NULL       -- JSON of AppliedPrice
) STRICT, WITHOUT ROWID;
INSERT INTO "prices" VALUES('027bbc2e618689d1764e446c50272dd7','{"ref":"test","currency":"USD","rates":{"input":2,"output":3},"note":""}');
INSERT INTO "prices" VALUES('a91cdfdc49c58059e25f37c96c3849e5','{"ref":"test","currency":"CNY","rates":{"input":2,"output":3},"note":""}');
CREATE TABLE spent (
    key         TEXT NOT NULL,
    unit        TEXT NOT NULL,           -- a currency code, "tokens" or "calls"
    window      TEXT NOT NULL,           -- "day", "month" or "total"
    start_us    INTEGER NOT NULL,        -- of the window; 0 for "total"
    amount_high INTEGER NOT NULL,        -- amount = amount_high * 10**12 + amount_low
    amount_low  INTEGER NOT NULL,
    PRIMARY KEY (key, unit, window, start_us)
) STRICT, WITHOUT ROWID;
INSERT INTO "spent" VALUES('k','tokens','day',1795392000000000,0,45);
CREATE UNIQUE INDEX entries_once ON entries (call, kind, ordinal);
CREATE TRIGGER entries_are_never_changed BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;
CREATE TRIGGER entries_are_never_removed BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'entries are never removed'); END;
COMMIT;
