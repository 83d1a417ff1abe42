PRAGMA application_id = 1198670965;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE artifacts (
  run_id INTEGER NOT NULL REFERENCES runs (id),
  kind   TEXT NOT NULL,
  path   TEXT NOT NULL,                            -- relative to the run's folder
  sha256 TEXT,
  bytes  INTEGER,
  PRIMARY KEY (run_id, path)
) WITHOUT ROWID;
CREATE TABLE drained (run_id INTEGER PRIMARY KEY, segment INTEGER NOT NULL, records INTEGER NOT NULL);
CREATE TABLE events (
  id     INTEGER PRIMARY KEY,
  run_id INTEGER NOT NULL REFERENCES runs (id),
  step   INTEGER,
  time   TEXT NOT NULL,                            -- ISO-8601 UTC
  kind   TEXT NOT NULL,
  name   TEXT,
  detail TEXT                                      -- JSON
);
INSERT INTO "events" VALUES(1,1,2,'2026-11-23T02:08:28.179Z','decision','stop','{"acc":0.2}');
INSERT INTO "events" VALUES(2,2,2,'2026-11-23T02:08:28.221Z','decision','stop','{"acc":0.2}');
CREATE TABLE keys (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
INSERT INTO "keys" VALUES(1,'val/acc');
CREATE TABLE metric_values (
  run_id INTEGER NOT NULL REFERENCES runs (id),
  key_id INTEGER NOT NULL REFERENCES keys (id),
  step   INTEGER NOT NULL,
  value  REAL,                                     -- NULL: not a number
  PRIMARY KEY (run_id, key_id, step)
) WITHOUT ROWID;
INSERT INTO "metric_values" VALUES(1,1,1,0.11);
INSERT INTO "metric_values" VALUES(1,1,2,1.20000000000000009436e-01);
INSERT INTO "metric_values" VALUES(1,1,3,0.13);
INSERT INTO "metric_values" VALUES(2,1,1,2.10000000000000019984e-01);
INSERT INTO "metric_values" VALUES(2,1,2,0.22);
INSERT INTO "metric_values" VALUES(2,1,3,0.23);
CREATE TABLE params (
  run_id INTEGER NOT NULL REFERENCES runs (id),
  key    TEXT NOT NULL,
  value,                                           -- as typed: INTEGER, REAL, TEXT or NULL; booleans are 0 and 1
  type   TEXT NOT NULL CHECK (type IN ('null', 'boolean', 'integer', 'number', 'string')),
  PRIMARY KEY (run_id, key)
) WITHOUT ROWID;
INSERT INTO "params" VALUES(1,'lr',0.1,'number');
INSERT INTO "params" VALUES(2,'lr',0.1,'number');
CREATE TABLE progress (
  run_id  INTEGER NOT NULL REFERENCES runs (id),
  step    INTEGER NOT NULL,
  epoch   REAL,
  samples INTEGER,
  flops   REAL,
  seconds REAL,
  PRIMARY KEY (run_id, step)
) WITHOUT ROWID;
INSERT INTO "progress" VALUES(1,3,1.0,192,1000000.0,0.5);
INSERT INTO "progress" VALUES(2,3,1.0,192,1000000.0,0.5);
CREATE TABLE run_sources (
  run_id INTEGER NOT NULL REFERENCES runs (id),
  path   TEXT NOT NULL,
  sha256 TEXT NOT NULL REFERENCES sources (sha256),
  PRIMARY KEY (run_id, path)
) WITHOUT ROWID;
INSERT INTO "run_sources" VALUES(1,'old.lua','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa');
INSERT INTO "run_sources" VALUES(2,'old.lua','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa');
CREATE TABLE runs (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  uid         TEXT NOT NULL UNIQUE,                -- 32 hex digits; the run's folder, beside the store, has this name
  name        TEXT NOT NULL,
  kind        TEXT NOT NULL,                       -- run, or what a child run is for (teacher)
  status      TEXT NOT NULL CHECK (status IN ('running', 'finished', 'failed', 'interrupted')),
  seed        INTEGER,
  config_hash TEXT,                                -- sources, data and parameters without the seed: equal for repetitions
  started     TEXT NOT NULL,                       -- ISO-8601 UTC
  ended       TEXT,
  seconds     REAL,                                -- monotonic
  parent      INTEGER REFERENCES runs (id),
  threads     INTEGER,
  device      TEXT,
  host        TEXT,
  script      TEXT,
  command     TEXT,
  git_commit  TEXT,
  git_dirty   INTEGER,
  git_diff    TEXT REFERENCES sources (sha256),    -- the uncommitted difference
  versions    TEXT,                                -- JSON
  error       TEXT
);
INSERT INTO "runs" VALUES(1,'361888ca340d757f7ac8784e0a2eab7a','old','run','finished',1,'c0ffee','2026-11-23T02:08:28.178Z','2026-11-23T02:08:28.179Z',4.57112999356468208134e-04,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "runs" VALUES(2,'2ece3991ca75f54df684d414163de1b6','old','run','finished',2,'c0ffee','2026-11-23T02:08:28.211Z','2026-11-23T02:08:28.221Z',3.69029000466980505734e-04,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE sources (sha256 TEXT PRIMARY KEY, text TEXT NOT NULL);
INSERT INTO "sources" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','return 1
');
CREATE TABLE summary_values (
  run_id    INTEGER NOT NULL REFERENCES runs (id),
  key_id    INTEGER NOT NULL REFERENCES keys (id),
  last      REAL,                                  -- the value at last_step, the greatest step
  min       REAL,                                  -- NaN takes no part in min and max
  max       REAL,
  argmin    INTEGER,                               -- the first step with that value
  argmax    INTEGER,
  count     INTEGER NOT NULL,                      -- rows, NaN among them
  last_step INTEGER NOT NULL,
  nans      INTEGER NOT NULL,
  PRIMARY KEY (run_id, key_id)
) WITHOUT ROWID;
INSERT INTO "summary_values" VALUES(1,1,0.13,0.11,0.13,1,3,3,3,0);
INSERT INTO "summary_values" VALUES(2,1,0.23,2.10000000000000019984e-01,0.23,1,3,3,3,0);
CREATE INDEX runs_running ON runs (id) WHERE status = 'running';
CREATE INDEX runs_parent ON runs (parent) WHERE parent IS NOT NULL;
CREATE VIEW metrics (run_id, key, step, value) AS
  SELECT v.run_id, k.name, v.step, v.value FROM metric_values v JOIN keys k ON k.id = v.key_id;
CREATE VIEW summaries (run_id, key, last, min, max, argmin, argmax, count, last_step, nans) AS
  SELECT s.run_id, k.name, s.last, s.min, s.max, s.argmin, s.argmax, s.count, s.last_step, s.nans
  FROM summary_values s JOIN keys k ON k.id = s.key_id;
CREATE INDEX events_run ON events (run_id, step);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',2);
COMMIT;
