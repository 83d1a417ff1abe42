"""The contract of the program with its users: what a run leaves in the store, and what the reading commands say of it.

A small experiment (two strategies, two seeds, digits, a few steps) is run once; the cases look at its store with Python's
own sqlite3, as a user's notebook would.
"""

import datetime
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import statistics
import subprocess
import tempfile
import time
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())

EXPERIMENT = """
local g = require "gradus"
local nn = g.nn
local width = require "width"

local function build(train) return g.fit { model = nn.MLP { 64, 32, 10 }, data = train, epochs = 2 } end

return g.experiment {
  name = "small",
  params = { strategy = g.choice { "one_shot", "linear_ramp" }, width = g.int(width), alpha = .7, verbose = false, tag = "a b",
    opt = { lr = 5e-3 } },
  grid = { strategy = { "one_shot", "linear_ramp" }, seed = { 1, 2 } },
  run = function(run, p)
    local d = g.data.digits():split { train = .5, val = .2, test = .3 }
    local teacher = run:cached("teacher", build, d.train)
    local r = run:distill { teacher = teacher, student = nn.MLP { 64, p.width, 10 }, data = d, budget = { epochs = 3 }, lr = p.opt.lr,
      alpha = p.alpha, curriculum = p.strategy }
    run:decide("report", { acc = r:last "val/acc" })
    return { acc = run:evaluate(r.student, d.test).acc, steps = r.steps }
  end,
}
"""

# Logs without end and prints each value after it was logged; the printed ones must all be in the store.
ENDLESS = """
local g = require "gradus"
return g.experiment { name = "endless", run = function(run)
  local d = g.data.tensors(g.zeros { 8, 2 }, g.zeros({ 8 }, { dtype = "int64" }))
  for i in run:batches(d, { size = 4, steps = 1e8 }) do
    run:log { value = 1 / i }
    io.stdout:write(i, "\\n") io.stdout:flush()
  end
end }
"""


def gradus(folder, *args, check=True, env=None, **more):
    done = subprocess.run([GRADUS, *args], cwd=folder, capture_output=True, text=True, timeout=120,
                          env={**{k: v for k, v in os.environ.items() if k != "GRADUS_STORE"}, **(env or {})}, **more)
    if check and done.returncode != 0:
        raise AssertionError(f"{args}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def new_folder(case, script=EXPERIMENT):
    folder = pathlib.Path(tempfile.mkdtemp())
    (case.addClassCleanup if isinstance(case, type) else case.addCleanup)(shutil.rmtree, folder, ignore_errors=True)
    (folder / "small.lua").write_text(script)
    (folder / "width.lua").write_text("return 8\n")
    return folder


def rows(folder, query, *values, store="runs/gradus.db"):
    # Read-only, as any other tool would open it.
    with sqlite3.connect(f"file:{folder / store}?mode=ro", uri=True) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(query, values)]


def metrics(folder, where="1", store="runs/gradus.db"):
    """What a run computed, by its strategy and seed: everything but the times, as exact bits."""
    found = {}
    for row in rows(folder, "SELECT r.seed, p.value AS strategy, m.key, m.step, m.value FROM metrics m JOIN runs r ON r.id = m.run_id "
                    f"JOIN params p ON p.run_id = r.id AND p.key = 'strategy' WHERE {where}", store=store):
        found.setdefault((row["strategy"], row["seed"]), {})[row["key"], row["step"]] = row["value"]
    return found


class Contract(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = new_folder(cls)
        cls.done = gradus(cls.folder, "run", "small.lua", "--device", "cpu")
        cls.ids = [row["id"] for row in rows(cls.folder, "SELECT id FROM runs WHERE kind = 'run' ORDER BY id")]

    def rows(self, query, *values):
        return rows(self.folder, query, *values)

    def columns(self, table):
        with sqlite3.connect(f"file:{self.folder / 'runs/gradus.db'}?mode=ro", uri=True) as db:
            return [column[0] for column in db.execute(f"SELECT * FROM {table} LIMIT 0").description]

    def test_tables_have_the_columns_of_the_contract(self):
        contract = {
            "runs": "id uid name status seed config_hash started ended parent",
            "params": "run_id key value type",
            "metrics": "run_id key step value",
            "summaries": "run_id key last min max argmin argmax count",
            "progress": "run_id step epoch samples flops seconds",
            "events": "id run_id step time kind name detail",
            "sources": "sha256 text",
            "run_sources": "run_id path sha256",
            "artifacts": "run_id kind path sha256 bytes",
        }
        for table, names in contract.items():
            with self.subTest(table=table):
                self.assertLessEqual(set(names.split()), set(self.columns(table)))

    def test_runs(self):
        runs = self.rows("SELECT * FROM runs WHERE kind = 'run' ORDER BY id")
        self.assertEqual([(r["status"], r["seed"], r["name"]) for r in runs], [("finished", s, "small") for s in (1, 2, 1, 2)])
        for run in runs:
            self.assertRegex(run["uid"], "^[0-9a-f]{32}$")
            self.assertRegex(run["config_hash"], "^[0-9a-f]{64}$")
            for time_ in (run["started"], run["ended"]):
                self.assertRegex(time_, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
                age = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.fromisoformat(time_.replace("Z", "+00:00"))
                self.assertLess(abs(age.total_seconds()), 600)
            self.assertEqual((run["device"], run["threads"], run["parent"], run["error"]), ("cpu", 1, None, None))
            self.assertIn("torch", json.loads(run["versions"]))
            self.assertTrue((self.folder / "runs" / run["uid"] / "log.txt").stat().st_size > 0)
        self.assertEqual(len({r["uid"] for r in runs}), 4)
        hashes = [r["config_hash"] for r in runs]  # equal for repetitions, that is over seeds
        self.assertEqual((hashes[0], hashes[2]), (hashes[1], hashes[3]))
        self.assertNotEqual(hashes[0], hashes[2])

    def test_a_teacher_is_a_child_run(self):
        children = self.rows("SELECT * FROM runs WHERE kind <> 'run'")
        # The seeds split the data differently: two training sets, so two teachers for four runs.
        self.assertEqual([(c["kind"], c["status"]) for c in children], [("teacher", "finished")] * 2)
        self.assertEqual([c["parent"] for c in children], self.ids[:2])
        hits = self.rows("SELECT run_id, name FROM events WHERE kind = 'cache' ORDER BY id")
        self.assertEqual([h["name"] for h in hits], ["miss", "miss", "hit", "hit"])

    def test_params_are_typed(self):
        got = {r["key"]: (r["value"], r["type"]) for r in self.rows("SELECT * FROM params WHERE run_id = ?", self.ids[0])}
        self.assertEqual(got["strategy"], ("one_shot", "string"))
        self.assertEqual(got["width"], (8, "integer"))
        self.assertEqual(got["tag"], ("a b", "string"))
        self.assertEqual(got["verbose"], (0, "boolean"))
        self.assertEqual(got["opt.lr"], (5e-3, "number"))
        self.assertEqual(got["alpha"], (.7, "number"))
        self.assertIsInstance(got["width"][0], int)

    def test_metrics_and_their_summaries(self):
        for run in self.ids:
            keys = {r["key"] for r in self.rows("SELECT DISTINCT key FROM metrics WHERE run_id = ?", run)}
            self.assertLessEqual({"train/loss", "train/ce", "train/kl", "val/loss", "val/acc", "knob/temperature", "knob/alpha",
                                  "knob/lr", "knob/augment", "result/acc"}, keys)
            for key in keys:
                values = self.rows("SELECT step, value FROM metrics WHERE run_id = ? AND key = ? ORDER BY step", run, key)
                self.assertTrue(all(isinstance(v["value"], float) for v in values), key)
                summary = self.rows("SELECT * FROM summaries WHERE run_id = ? AND key = ?", run, key)[0]
                self.assertEqual(summary["last"], values[-1]["value"])
                self.assertEqual(summary["count"], len(values))
                self.assertEqual(summary["min"], min(v["value"] for v in values))
                self.assertEqual(summary["max"], max(v["value"] for v in values))
                self.assertEqual(summary["argmax"], next(v["step"] for v in values if v["value"] == summary["max"]))
                self.assertEqual(summary["argmin"], next(v["step"] for v in values if v["value"] == summary["min"]))

    def test_every_step_of_the_budget_is_there(self):
        steps = [r["step"] for r in self.rows("SELECT step FROM metrics WHERE run_id = ? AND key = 'train/loss' ORDER BY step", self.ids[0])]
        self.assertEqual(steps, list(range(1, -(-3 * 899 // 64) + 1)))

    def test_progress(self):
        got = self.rows("SELECT * FROM progress WHERE run_id = ? ORDER BY step", self.ids[0])
        self.assertEqual(got[-1]["samples"], got[-1]["step"] * 64)
        self.assertAlmostEqual(got[-1]["epoch"], got[-1]["samples"] / 899)
        for before, after in zip(got, got[1:]):
            self.assertGreater(after["flops"], before["flops"])
            self.assertGreaterEqual(after["seconds"], before["seconds"])

    def test_events_are_json(self):
        events = self.rows("SELECT * FROM events")
        self.assertLessEqual({"stage", "decision", "best", "cache"}, {e["kind"] for e in events})
        for event in events:
            self.assertIsInstance(json.loads(event["detail"]), dict)
            self.assertRegex(event["time"], r"^\d{4}-.*Z$")
        report = self.rows("SELECT detail FROM events WHERE kind = 'decision' AND name = 'report' AND run_id = ?", self.ids[0])
        last = self.rows("SELECT last FROM summaries WHERE run_id = ? AND key = 'val/acc'", self.ids[0])
        self.assertEqual(json.loads(report[0]["detail"])["acc"], last[0]["last"])
        self.assertEqual(self.rows("SELECT json_extract(detail, '$.index') AS i FROM events WHERE kind = 'stage' LIMIT 1")[0]["i"], 1)

    def test_sources_are_the_scripts_text(self):
        for run in self.ids:
            got = {os.path.basename(r["path"]): r for r in self.rows(
                "SELECT path, sha256, text FROM run_sources JOIN sources USING (sha256) WHERE run_id = ?", run)}
            self.assertEqual(got["small.lua"]["text"], EXPERIMENT)
            self.assertEqual(got["width.lua"]["text"], "return 8\n")
            for row in got.values():
                self.assertEqual(hashlib.sha256(row["text"].encode()).hexdigest(), row["sha256"])

    def test_artifacts_are_files(self):
        artifacts = self.rows("SELECT a.*, r.uid FROM artifacts a JOIN runs r ON r.id = a.run_id")
        self.assertIn("weights", {a["kind"] for a in artifacts})  # the cached teachers
        for artifact in artifacts:
            self.assertFalse(os.path.isabs(artifact["path"]))
            data = (self.folder / "runs" / artifact["uid"] / artifact["path"]).read_bytes()
            self.assertEqual(len(data), artifact["bytes"])
            self.assertEqual(hashlib.sha256(data).hexdigest(), artifact["sha256"])

    # --- the reading commands ---

    def test_json_is_one_document(self):
        for command in (["runs"], ["show", "@last"], ["show", str(self.ids[0])], ["compare"], ["compare", "--threshold", "val/acc>=0.2"],
                        ["sql", "SELECT * FROM runs"], ["sql", "SELECT * FROM runs WHERE 0"], ["runs", "--where", "seed = 77"]):
            with self.subTest(command=command):
                done = gradus(self.folder, *command, "--json")
                json.loads(done.stdout)  # fails on anything before or after
                self.assertEqual(done.stderr, "")

    def test_runs_show_and_sql_agree(self):
        listed = json.loads(gradus(self.folder, "runs", "--json").stdout)
        self.assertEqual([r["id"] for r in listed], self.ids)
        shown = json.loads(gradus(self.folder, "show", listed[0]["uid"][:8], "--json").stdout)
        self.assertEqual(shown["params"]["opt.lr"], 5e-3)
        self.assertIs(shown["params"]["verbose"], False)
        asked = json.loads(gradus(self.folder, "sql", "SELECT key, last FROM summaries WHERE run_id = 1 ORDER BY key", "--json").stdout)
        self.assertEqual({s["key"]: s["last"] for s in shown["summaries"]}, {r["key"]: r["last"] for r in asked})

    def test_sql_gives_as_many_rows_as_were_asked_for(self):
        many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1500) SELECT i FROM n"
        for rows, expected in ((("--rows", "1000"), 1000), (("--rows", "7"), 7), ((), 1500)):
            done = gradus(self.folder, "sql", many, "--json", *rows)
            self.assertEqual(len(json.loads(done.stdout)), expected, rows)
            self.assertEqual("there are more rows" in done.stderr, expected < 1500, rows)
        self.assertIn("there are more rows than 1000", gradus(self.folder, "sql", many).stderr)

    def test_compare_is_mean_and_spread_over_seeds(self):
        compared = json.loads(gradus(self.folder, "compare", "--json").stdout)
        groups = {g["label"]["strategy"]: g for g in compared["groups"]}
        for strategy in ("one_shot", "linear_ramp"):
            values = [r["value"] for r in self.rows(
                "SELECT m.value FROM metrics m JOIN params p ON p.run_id = m.run_id AND p.key = 'strategy' AND p.value = ? "
                "WHERE m.key = 'result/acc'", strategy)]
            last = groups[strategy]["metrics"]["result/acc"]["last"]
            self.assertEqual(last["n"], 2)
            self.assertAlmostEqual(last["mean"], statistics.mean(values), 12)
            self.assertAlmostEqual(last["sd"], statistics.stdev(values), 12)

    def test_the_printed_table_agrees_with_sql(self):
        table = self.done.stdout
        for strategy in ("one_shot", "linear_ramp"):
            line = next(row for row in table.splitlines() if row.strip().startswith(strategy))
            asked = json.loads(gradus(self.folder, "sql", "SELECT avg(m.value) AS acc FROM metrics m JOIN params p ON p.run_id = m.run_id "
                                      f"AND p.key = 'strategy' AND p.value = '{strategy}' WHERE m.key = 'result/acc'", "--json").stdout)
            printed = line.split()[1]
            digits = len(printed.partition(".")[2])
            self.assertGreaterEqual(digits, 2)
            self.assertEqual(printed, f"{asked[0]['acc']:.{digits}f}")
        self.assertIn("over 2 runs", table)

    def test_a_pipe_gets_plain_text(self):
        self.assertNotIn("\x1b", self.done.stdout + self.done.stderr)
        self.assertNotIn("\r", self.done.stdout + self.done.stderr)

    # --- the same again ---

    def test_same_seed_same_bits(self):
        first = metrics(self.folder)
        self.assertEqual(len(first), 4)
        gradus(self.folder, "run", "small.lua", "--store", "again.db")  # a store of its own: teachers are trained anew
        self.assertEqual(metrics(self.folder, store="again.db"), first)
        gradus(self.folder, "run", "small.lua", "--store", "again.db")  # the same store: teachers are cached
        self.assertEqual(metrics(self.folder, "r.id > 6", store="again.db"), first)
        # one run of the grid alone
        gradus(self.folder, "run", "small.lua", "--store", "alone.db", "--set", "strategy=linear_ramp", "--seed", "2")
        self.assertEqual(metrics(self.folder, store="alone.db"), {("linear_ramp", 2): first["linear_ramp", 2]})

    def test_another_seed_is_another_run(self):
        self.assertNotEqual(metrics(self.folder)["one_shot", 1], metrics(self.folder)["one_shot", 2])


class CommandLine(unittest.TestCase):
    def test_quiet_prints_the_results_alone(self):
        folder = new_folder(self)
        done = gradus(folder, "run", "small.lua", "--quiet", "--seed", "1")
        self.assertEqual(done.stderr, "")
        self.assertRegex(done.stdout, r"^\n  strategy .*\n  ─+.*\n  \w+ .*\n(.*\n)*\n$")
        self.assertNotIn("Look further", done.stdout)

    def test_a_regression_in_batches_of_one_row_is_quiet_too(self):
        folder = new_folder(self, """
local g = require "gradus"
return g.experiment { name = "one", run = function(run)
  local d = g.data.tensors(g.randn { 4, 2 }, g.randn { 4 })
  run:fit { model = g.nn.MLP { 2, 3, 1 }, data = d, batch = 1, steps = 5 }
end }
""")
        self.assertEqual(gradus(folder, "run", "small.lua", "--quiet").stderr, "")

    def test_json_name_threads_store_and_set(self):
        folder = new_folder(self)
        done = gradus(folder, "run", "small.lua", "--json", "--name", "mine", "--threads", "2", "--seed", "9", "--set", "width=5",
                      "--set", "opt.lr=0.01", "--set", "verbose=true", "--set", "tag=x=y", env={"GRADUS_STORE": "other/store.db"})
        document = json.loads(done.stdout)
        self.assertEqual([(r["name"], r["seed"], r["status"]) for r in document["runs"]], [("mine", 9, "finished")] * 2)
        self.assertEqual({r["params"]["strategy"] for r in document["runs"]}, {"one_shot", "linear_ramp"})
        self.assertEqual(document["runs"][0]["params"]["tag"], "x=y")
        self.assertFalse((folder / "runs").exists())
        got = rows(folder, "SELECT name, threads, seed FROM runs WHERE kind = 'run'", store="other/store.db")
        self.assertEqual([tuple(r.values()) for r in got], [("mine", 2, 9)] * 2)
        typed = rows(folder, "SELECT key, value, type FROM params WHERE run_id = 1 AND key IN ('width', 'opt.lr', 'verbose')", store="other/store.db")
        self.assertEqual({r["key"]: (r["value"], r["type"]) for r in typed},
                         {"width": (5, "integer"), "opt.lr": (.01, "number"), "verbose": (1, "boolean")})

    def test_four_processes_write_one_store(self):
        folder = new_folder(self)
        processes = [subprocess.Popen([GRADUS, "run", "small.lua", "--quiet", "--seed", str(seed), "--store", "all.db"], cwd=folder,
                                      stderr=subprocess.PIPE, text=True) for seed in (1, 1, 2, 3)]
        for process in processes:
            _, err = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 0, err)
        runs = rows(folder, "SELECT status, kind FROM runs", store="all.db")
        self.assertEqual({r["status"] for r in runs}, {"finished"})
        self.assertEqual(sum(r["kind"] == "run" for r in runs), 8)
        self.assertEqual(sum(r["kind"] == "teacher" for r in runs), 3)  # of two that need one teacher, one trains it
        twice = rows(folder, "SELECT m.key, m.step FROM metrics m JOIN runs r ON r.id = m.run_id JOIN params p ON p.run_id = r.id AND p.key = "
                     "'strategy' WHERE r.seed = 1 AND r.kind = 'run' GROUP BY m.key, m.step, p.value "
                     "HAVING count(*) <> 2 OR min(m.value) <> max(m.value)", store="all.db")
        self.assertEqual(twice, [])


class Endings(unittest.TestCase):
    def start(self):
        self.folder = new_folder(self, ENDLESS)
        process = subprocess.Popen([GRADUS, "run", "small.lua"], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   text=True)
        self.addCleanup(process.stdout.close)
        seen = 0
        while seen < 2000:
            seen = int(process.stdout.readline())
        return process

    def check_values(self, printed):
        values = {r["step"]: r["value"] for r in rows(self.folder, "SELECT step, value FROM metrics WHERE key = 'value'")}
        self.assertGreaterEqual(printed, 2000)
        for step in range(1, printed + 1):
            self.assertEqual(values[step], 1 / step)

    def last_printed(self, process):
        lines = process.stdout.read().split("\n")[:-1]  # the last piece may be half a number
        return int(lines[-1]) if lines else 2000

    def test_kill_loses_nothing(self):
        process = self.start()
        process.send_signal(signal.SIGKILL)
        printed = self.last_printed(process)
        process.wait()
        runs = json.loads(gradus(self.folder, "runs", "--json").stdout)  # any command finds what the dead run left
        self.assertEqual([r["status"] for r in runs], ["interrupted"])
        self.check_values(printed)

    def test_signals_end_the_run_in_order(self):
        for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            with self.subTest(signal=number):
                process = self.start()
                process.send_signal(number)
                printed = self.last_printed(process)
                self.assertEqual(process.wait(timeout=30), code)
                self.assertEqual([r["status"] for r in rows(self.folder, "SELECT status FROM runs")], ["interrupted"])
                self.check_values(printed)

    def test_a_failing_run_is_failed_and_keeps_its_values(self):
        folder = new_folder(self, """
            local g = require "gradus"
            return g.experiment { name = "bad", run = function(run)
              run:log({ value = 7 }, 1)
              error "on purpose"
            end }""")
        done = gradus(folder, "run", "small.lua", check=False)
        self.assertEqual(done.returncode, 65)
        self.assertIn("small.lua:5: on purpose", done.stderr.splitlines()[0])
        run = rows(folder, "SELECT * FROM runs")[0]
        self.assertEqual(run["status"], "failed")
        self.assertIn("on purpose", run["error"])
        self.assertEqual([r["value"] for r in rows(folder, "SELECT value FROM metrics WHERE key = 'value'")], [7])


class Speed(unittest.TestCase):
    """Figures to read, not to pass: whole processes on a store of 200 runs."""

    def test_reading_commands_on_200_runs(self):
        folder = new_folder(self, """
            local g = require "gradus"
            local seeds = {}
            for i = 1, 100 do seeds[i] = i end
            return g.experiment { name = "many", params = { strategy = "a", lr = .1 }, grid = { strategy = { "a", "b" }, seed = seeds },
              run = function(run)
                for i = 1, 200 do run:log({ ["train/loss"] = 1 / i, ["val/acc"] = i / 200 }, i) end
                return { acc = run.seed }
              end }""")
        began = time.monotonic()
        gradus(folder, "run", "small.lua", "--quiet")
        print(f"\n200 runs of one script: {time.monotonic() - began:.1f} s")
        self.assertEqual(rows(folder, "SELECT count(*) AS n FROM runs WHERE status = 'finished'")[0]["n"], 200)
        for command in (["runs"], ["show", "@last"], ["compare"], ["compare", "--threshold", "val/acc>=0.9"],
                        ["sql", "SELECT count(*) FROM metrics"]):
            spent = []
            for _ in range(7):
                began = time.perf_counter()
                gradus(folder, *command, "--json")
                spent.append(time.perf_counter() - began)
            print(f"gradus {' '.join(command)}: {1000 * min(spent):.1f} ms (median {1000 * statistics.median(spent):.1f})")
            self.assertLess(min(spent), 1)


if __name__ == "__main__":
    unittest.main()
