"""A store of many runs, made without training: python3 tests/bench/make_store.py FILE [RUNS [STEPS]]

RUNS (10,000) runs of 10 metrics over STEPS (1,000) steps each: 100 million values by default, some 4 GB. GRADUS names the
binary, which makes the tables; the rows are then filled in by SQLite itself. Deterministic but for the uids' folders,
which are not made.
"""

import os
import pathlib
import sqlite3
import subprocess
import sys
import tempfile

KEYS = ["train/loss", "train/ce", "train/kl", "train/acc", "knob/lr", "knob/temperature", "knob/alpha", "val/loss",
        "val/acc", "val/agreement"]
STRATEGIES = ["one_shot", "stages", "ramp", "confidence", "self_paced"]


def make_tables(path):
    spec = ('it("makes a store", function() local s = require("gradus.store").open(%r) '
            'local run = s:begin { name = "first" } run:finish "finished" end)\n' % str(path))
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(spec)
        file.flush()
        subprocess.run([os.environ.get("GRADUS", "build/gradus"), "test", file.name], check=True, stdout=subprocess.DEVNULL)


def fill(db, runs, steps):
    for i, key in enumerate(KEYS):
        db.execute("INSERT INTO keys (id, name) VALUES (?, ?)", (i + 1, key))
    db.execute("CREATE TEMP TABLE step AS WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < ?) "
               "SELECT n FROM s", (steps,))
    for run in range(2, runs + 2):
        i = run - 2
        config, seed = divmod(i, 5)
        strategy = STRATEGIES[config % 5]
        rate = 10 ** -(2 + config % 40 / 20)
        db.execute("INSERT INTO runs (id, uid, name, kind, status, seed, config_hash, started, ended, seconds) VALUES "
                   "(?, ?, ?, 'run', 'finished', ?, ?, '2026-01-01T00:00:00.000Z', '2026-01-01T00:01:00.000Z', 60)",
                   (run, "%032x" % (run * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128), f"digits{config // 200}", seed, f"{config:064x}"))
        db.executemany("INSERT INTO params VALUES (?, ?, ?, ?)", [
            (run, "strategy", strategy, "string"), (run, "lr", rate, "number"), (run, "width", 32 << config % 4, "integer"),
            (run, "alpha", 0.1 * (config % 10), "number"), (run, "batch", 64, "integer"), (run, "augment", config % 2, "boolean"),
            (run, "optimizer.beta", 0.9, "number"), (run, "optimizer.name", "adamw", "string")])
        # A curve that rises to a level of its own, with a seeded ripple: floats that do not compress into integers.
        level = 0.7 + 0.25 * (config * 0.618 % 1) + 0.01 * seed
        db.execute("INSERT INTO metric_values SELECT ?1, k.id, n, ?2 * n / (n + 50.0 + k.id) + 0.001 * ((n * 7919 + ?1 * 31) % 1000) / 1000.0 "
                   "FROM keys k CROSS JOIN temp.step ORDER BY k.id, n", (run, level))
        db.execute("INSERT INTO progress SELECT ?1, n, n / 20.0, n * 64, n * 1e6, n * 0.06 FROM temp.step WHERE n % 50 = 0", (run,))
        if i % 200 == 199:
            db.commit()
    db.execute("INSERT INTO summary_values SELECT run_id, key_id, 0, min(value), max(value), 1, max(step), count(*), max(step), 0 "
               "FROM metric_values GROUP BY run_id, key_id")
    db.execute("UPDATE summary_values SET last = (SELECT value FROM metric_values v WHERE v.run_id = summary_values.run_id AND "
               "v.key_id = summary_values.key_id AND v.step = last_step)")
    db.commit()


def main():
    path = pathlib.Path(sys.argv[1]).resolve()
    runs, steps = (int(sys.argv[2]) if len(sys.argv) > 2 else 10_000), (int(sys.argv[3]) if len(sys.argv) > 3 else 1_000)
    make_tables(path)
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = DELETE")
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA cache_size = -400000")
    fill(db, runs, steps)
    db.execute("PRAGMA journal_mode = WAL")
    db.close()
    values = runs * steps * len(KEYS)
    print(f"{runs} runs, {values} values, {path.stat().st_size / values:.1f} bytes a value")


if __name__ == "__main__":
    main()
