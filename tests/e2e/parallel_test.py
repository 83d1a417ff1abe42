"""Runs side by side: `gradus run -j`, lists on the command line, and what an earlier call finished."""

import json
import os
import pathlib
import pty
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())

TRAINING = """
local g = require "gradus"
local function build(train) return g.fit { model = g.nn.MLP { 64, 32, 10 }, data = train, epochs = 2 } end
return g.experiment { name = "digits", params = { width = g.int(8), strategy = g.choice { "one_shot", "linear_ramp" } },
  grid = { strategy = { "one_shot", "linear_ramp" }, seed = { 1, 2 } },
  run = function(run, p)
    local d = g.data.digits():split { train = .5, val = .2, test = .3 }
    local teacher = run:cached("teacher", build, d.train)
    local ranked = d.train:rank(g.score.loss(teacher))
    local r = run:distill { teacher = teacher, student = g.nn.MLP { 64, p.width, 10, dropout = .1 }, data = d,
      budget = { epochs = 3 }, lr = 5e-3,
      curriculum = p.strategy == "one_shot" and g.curriculum.one_shot() or g.curriculum.linear_ramp(ranked) }
    return { acc = run:evaluate(r.student, d.test).acc }
  end }
"""

SMALL = """
local g = require "gradus"
return g.experiment { name = "small", params = { T = 2, on = false, tag = "a" }, grid = { T = { 1, 2, 3, 4 } },
  columns = { { "twice", "twice" } },
  run = function(run, p) %s return { twice = 2 * p.T } end }
"""

WAITS = """
local until_then = os.clock() + 60
while os.clock() < until_then do run:breathe() run:log { x = 1 } end
"""


class ParallelCase(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def start(self, text, *args, env=None, **more):
        (self.dir / "x.lua").write_text(text)
        return subprocess.Popen([GRADUS, "run", "x.lua", *args], cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env={**os.environ, **(env or {})}, **more)

    def run_script(self, text, *args, code=0, **more):
        process = self.start(text, *args, **more)
        out, err = (stream.decode() for stream in process.communicate(timeout=100))
        self.assertEqual(process.returncode, code, err + out)
        return out, err

    def query(self, sql, store="runs/gradus.db"):
        with sqlite3.connect(self.dir / store) as database:
            return database.execute(sql).fetchall()

    def wait_for(self, sql, count, seconds=20):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if self.query(sql)[0][0] >= count:
                    return
            except sqlite3.OperationalError:
                pass
            time.sleep(.05)
        self.fail(f"{sql}: not {count} within {seconds} s")


class SideBySide(ParallelCase):
    def test_bits_of_a_run_alone(self):
        self.run_script(TRAINING, "--store", "serial/g.db")
        self.run_script(TRAINING, "-j", "2", "--store", "parallel/g.db")
        metrics = """SELECT p.value, r.seed, r.kind, r.threads, m.key, m.step, m.value FROM metrics m JOIN runs r ON r.id = m.run_id
          LEFT JOIN params p ON p.run_id = r.id AND p.key = 'strategy' WHERE m.key NOT LIKE '%second%' ORDER BY 1, 2, 3, 5, 6"""
        serial, parallel = self.query(metrics, "serial/g.db"), self.query(metrics, "parallel/g.db")
        self.assertGreater(len(serial), 1000)
        self.assertEqual(serial, parallel)
        hits = "SELECT name, count(*) FROM events WHERE kind = 'cache' GROUP BY name ORDER BY name"
        self.assertEqual(self.query(hits, "parallel/g.db"), [("hit", 2), ("miss", 2)])  # a teacher for each seed's split
        self.assertEqual(self.query("SELECT config_hash FROM runs WHERE kind = 'run' ORDER BY 1", "serial/g.db"),
                         self.query("SELECT config_hash FROM runs WHERE kind = 'run' ORDER BY 1", "parallel/g.db"))

    def test_at_once(self):
        began = time.monotonic()
        self.run_script(SMALL % "os.execute 'sleep 1.5'", "-j", "4")
        self.assertLess(time.monotonic() - began, 5)  # 6 one after the other

    def test_same_table_as_one_after_the_other(self):
        def table(*args):
            return self.run_script(SMALL % "", *args)[0].split("Look further")[0]
        self.assertEqual(table(), table("-j", "3"))
        self.assertIn("8", table("-j", "auto"))
        one = json.loads(self.run_script(SMALL % "", "-j", "2", "--json")[0])
        self.assertEqual([run["params"]["T"] for run in one["runs"]], [1, 2, 3, 4])

    def test_one_failing_run_stops_no_other(self):
        out, err = self.run_script(SMALL % "if p.T % 2 == 0 then error 'bad T' end", "-j", "2", code=65)
        self.assertIn("1 of 4 runs failed" if "1 of 4" in err else "2 of 4 runs failed", err)
        self.assertIn("x.lua:5: bad T", err)
        self.assertRegex(err, r"2 of 4 runs failed, all with the same error: 2/4 2 seed \d+, 4/4 4 seed \d+")
        self.assertEqual(err.count("bad T\n"), 1)
        self.assertIn("6", out)
        self.assertEqual(self.query("SELECT status, count(*) FROM runs GROUP BY status"), [("failed", 2), ("finished", 2)])

    def test_a_failing_run_is_named_and_has_its_row(self):
        for jobs in ((), ("-j", "2")):
            out, err = self.run_script(SMALL % "if p.T > 2 then error('bad ' .. p.T) end", *jobs, code=65)
            self.assertRegex(err, r"(?m)^3/4 3 seed \d+: failed\nx\.lua:5: bad 3")
            self.assertRegex(err, r"(?m)^4/4 4 seed \d+: failed\nx\.lua:5: bad 4")
            self.assertRegex(err, r"(?m)^2 of 4 runs failed: 3/4 3 seed \d+, 4/4 4 seed \d+$")
            self.assertRegex(out, r"(?m)^ +3 +0 of 1 +–")
            self.assertRegex(out, r"(?m)^ +1 +1 +\d")
            found = json.loads(self.run_script(SMALL % "if p.T > 2 then error('bad ' .. p.T) end", *jobs, "--json", code=65)[0])
            self.assertEqual([one["params"]["T"] for one in found["failures"]], [3, 4])
            self.assertEqual([(g["by"]["T"], g["n"], g["total"]) for g in found["groups"]], [(1, 1, 1), (2, 1, 1), (3, 0, 1), (4, 0, 1)])

    def test_log_leaves_a_line_for_each_epoch_or_evaluation(self):
        body = ("local d = g.data.digits():split { train = .5, val = .5 } run:distill { student = g.nn.MLP { 64, 8, 10 }, data = d, "
                "budget = { epochs = 4 }, evaluate = { epochs = 2 }, lr = .01 }")
        for jobs in ((), ("-j", "2")):
            for log, count in (("epoch", 4), ("evaluation", 3)):
                _, err = self.run_script(SMALL % body, "--set", "T=1", "--log", log, *jobs)
                lines = [line for line in err.splitlines() if "epoch " in line]
                self.assertEqual(len(lines), count, err)
                self.assertRegex(lines[-1], r"^seed \d+ +(seed \d+ +)?epoch 4\.?\d* +step \d+/\d+ +loss \d\.\d+ +val \d")
        _, err = self.run_script(SMALL % body, "--set", "T=1", "--log", "epochs", code=64)
        self.assertIn("--log", err)
        _, err = self.run_script(SMALL % body, "--set", "T=1", "-q", "--log", "epoch")
        self.assertNotIn("epoch ", err)

    def test_a_crash_is_told(self):
        crash = "if p.T == 2 then local ffi = require 'ffi' ffi.cdef 'int raise(int);' ffi.C.raise(11) end"
        _, err = self.run_script(SMALL % crash, "-j", "2", "--allow-ffi", code=139)
        self.assertIn("ended by a signal: Segmentation fault", err)
        subprocess.run([GRADUS, "runs"], cwd=self.dir, capture_output=True, check=True)
        self.assertEqual(self.query("SELECT status, count(*) FROM runs GROUP BY status"), [("finished", 3), ("interrupted", 1)])

    def test_a_hung_run_is_ended(self):
        hang = "if p.T == 2 then local ffi = require 'ffi' ffi.cdef 'int pause(void);' ffi.C.pause() end"
        _, err = self.run_script(SMALL % hang, "-j", "2", "--allow-ffi", code=137, env={"GRADUS_HANG": "2"})
        self.assertIn("T=2" if "T=2" in err else "2/4", err)
        self.assertIn("no sign of life; ended", err)

    def test_what_a_run_prints_stays_together(self):
        prints = "for i = 1, 50 do print('line', p.T) if i % 10 == 0 then os.execute 'sleep .01' end end"
        out, _ = self.run_script(SMALL % prints, "-j", "4")
        lines = [line for line in out.splitlines() if line.startswith("line")]
        self.assertEqual(len(lines), 200)
        self.assertEqual(sum(a != b for a, b in zip(lines, lines[1:])), 3)

    def test_exit_and_usage_end_all(self):
        self.run_script(SMALL % "os.exit(7)", "-j", "1", code=7)
        self.assertEqual(len(self.query("SELECT id FROM runs")), 1)
        for wrong in ("0", "many", "-1", "2.5"):
            _, err = self.run_script(SMALL % "", "-j", wrong, code=64)
            self.assertIn("--jobs: expected a whole number from 1 to", err)

    def test_script_that_keeps_runs_of_the_store(self):
        kept = 'local kept = require "gradus".runs {}\n'
        self.run_script(SMALL % "")
        _, err = self.run_script(kept + SMALL.replace("local g", "local g", 1) % "print(#kept)", "-j", "2", code=65)
        self.assertIn("g.runs", err)
        self.run_script('do local seen = #require "gradus".runs {} end\n' + SMALL % "", "-j", "2")

    def test_terminal(self):
        (self.dir / "x.lua").write_text(SMALL % "os.execute 'sleep .5'")
        parent, child = pty.openpty()
        process = subprocess.Popen([GRADUS, "run", "x.lua", "-j", "2"], cwd=self.dir, stdout=child, stderr=child,
                                   env={**os.environ, "TERM": "xterm"})
        os.close(child)
        shown = b""
        while True:
            try:
                shown += os.read(parent, 4096)
            except OSError:
                break
        os.close(parent)
        self.assertEqual(process.wait(20), 0)
        self.assertIn("2 running", shown.decode())
        self.assertIn("\x1b[J", shown.decode())


class Stopping(ParallelCase):
    def test_signals_interrupt_all_and_resume_does_the_rest(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            slow = SMALL % ("if p.T > 2 and not io.open 'go' then " + WAITS + " end")
            process = self.start(slow, "-j", "2", "--name", f"s{code}")
            self.wait_for(f"SELECT count(*) FROM runs WHERE name = 's{code}' AND id IN (SELECT run_id FROM metrics)", 4)
            process.send_signal(number)
            _, err = process.communicate(timeout=20)
            self.assertEqual(process.returncode, code, err)
            self.assertIn(b"2 of 4 runs are finished; the same command with --resume does the rest", err)
            self.assertEqual(self.query(f"SELECT status, count(*) FROM runs WHERE name = 's{code}' GROUP BY status"),
                             [("finished", 2), ("interrupted", 2)])
            (self.dir / "go").touch()
            out, err = self.run_script(slow, "-j", "2", "--name", f"s{code}", "--resume")
            self.assertIn("2 of 4 finished runs are skipped", err)
            self.assertEqual(out.split("Look further")[0].count("\n  "), 6)  # a table of all four
            out, err = self.run_script(slow, "--name", f"s{code}", "--resume")
            self.assertIn("4 of 4 finished runs are skipped", err)
            self.assertEqual(self.query(f"SELECT count(*) FROM runs WHERE name = 's{code}'"), [(6,)])
            (self.dir / "go").unlink()

    def test_what_is_skipped_tells_what_it_came_to(self):
        text = SMALL % "if p.T == 1 then return { twice = 0/0, why = 'none', on = true } end"
        first, again = (json.loads(self.run_script(text, "-j", "2", "--json", *args)[0])["runs"] for args in ([], ["--resume"]))
        self.assertEqual([run["result"] for run in again], [run["result"] for run in first])
        self.assertEqual(first[0]["result"], {"twice": "nan", "why": "none", "on": True})

    def test_another_script_seed_or_parameter_is_not_skipped(self):
        self.run_script(SMALL % "")
        for text, args, skipped in ((SMALL % "", [], 4), (SMALL % " ", [], 0), (SMALL % "", ["--seed", "1"], 0),
                                    (SMALL % "", ["--set", "on=true"], 0), (SMALL % "", ["--set", "T=3,5"], 1)):
            _, err = self.run_script(text, "--resume", *args)
            self.assertIn(f"{skipped} of ", err)

    def test_other_data_are_told(self):
        text = """
local g = require "gradus"
return g.experiment { name = "d", params = { n = 1 }, run = function(run, p)
  run:fit { model = g.nn.MLP { 1, 2, 2 }, data = g.data.csv("d.csv", { label = "y" }), steps = 2 }
  return { n = p.n }
end }"""
        rows = "".join(f"{i % 7},{i % 2}\n" for i in range(30))
        data = self.dir / "d.csv"
        data.write_text("x,y\n" + rows)
        self.run_script(text, "--seed", "1,2", "--set", "n=1,2")
        mixed = "2 of the runs that were skipped read other data than the new ones (run 1)"
        self.assertNotIn("read other data", self.run_script(text, "--seed", "1,2,3", "--resume")[1])
        data.write_text("x,y\n9,1\n" + rows)
        self.assertNotIn("read other data", self.run_script(text, "--seed", "1", "--set", "n=1,3", "--resume")[1], "of n = 3 nothing is known")
        self.assertIn(mixed, self.run_script(text, "--seed", "1,2,4", "--resume")[1])

    def test_what_is_required_in_a_run_is_code_of_it(self):
        text = SMALL % "local late, again = require 'late', dofile 'again.lua'  run:log({ x = late + again }, 1)"
        def save(late, again):
            (self.dir / "late.lua").write_text(f"return {late}\n")
            (self.dir / "again.lua").write_text(f"return {again}\n")
        save(1, 1)
        self.run_script(text, "--set", "T=1", "-q")
        for late, again, skipped in ((1, 1, 1), (2, 1, 0), (2, 1, 1), (2, 2, 0)):
            save(late, again)
            for more in (["-j", "1"], []):
                _, err = self.run_script(text, "--set", "T=1", "--resume", *more)
                self.assertIn(f"{skipped} of 1 finished runs are skipped", err)
                skipped = 1
        self.assertEqual(self.query("SELECT run_id, path FROM run_sources ORDER BY 1, 2"),
                         [(run, path) for run in (1, 2, 3) for path in ("again.lua", "late.lua", "x.lua")])
        self.assertEqual(self.query("SELECT count(DISTINCT config_hash) FROM runs"), [(3,)])
        # A run that goes on needs it as it was, too.
        save(1, 1)
        self.run_script(text.replace("run:log(", "error 'no' run:log("), "--set", "T=1", "-q", code=65)
        save(2, 1)
        done = subprocess.run([GRADUS, "resume", "@last"], cwd=self.dir, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assertIn("script late.lua was", done.stderr)

    def test_no_orphans(self):
        process = self.start(SMALL % WAITS, "-j", "2", start_new_session=True)
        self.wait_for("SELECT count(DISTINCT run_id) FROM metrics", 2)
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        self.assertEqual(len(children), 3)  # two runs, and who keeps the store open
        process.kill()
        process.communicate()
        deadline = time.monotonic() + 10
        while any(pathlib.Path(f"/proc/{pid}/cmdline").exists() and pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children):
            self.assertLess(time.monotonic(), deadline, "children live on")
            time.sleep(.05)
        self.assertEqual(self.query("SELECT DISTINCT status FROM runs"), [("interrupted",)])


class Lists(ParallelCase):
    def test_lists_make_a_grid(self):
        for args in ([], ["-j", "2"]):
            out, _ = self.run_script(SMALL % "", "--set", "T=2,4", "--set", "on=true,false", "--seed", "1,2,3", "--json", *args)
            runs = json.loads(out)["runs"]
            self.assertEqual([(run["params"]["T"], run["params"]["on"], run["seed"]) for run in runs],
                             [(T, on, seed) for T in (2, 4) for on in (True, False) for seed in (1, 2, 3)])
        out, _ = self.run_script(SMALL % "", "--set", "T=2,4", "--set", "on=true,false")
        self.assertRegex(out, r"T +on +twice")

    def test_a_text_keeps_its_commas(self):
        out, _ = self.run_script(SMALL % "", "--set", "tag=a,b", "--set", "T=1", "--json")
        self.assertEqual([run["params"]["tag"] for run in json.loads(out)["runs"]], ["a,b"])

    def test_wrong_lists(self):
        for args, told in ((["--set", "T=1,x"], "--set T: expected a number; got 'x'"),
                           (["--set", "T=1,"], "--set T: expected a number; got ''"),
                           (["--set", "T=1,2,1"], "expected each value once; got 1 twice"),
                           (["--seed", "1,,2"], "--seed: expected a whole number"), (["--seed", "1,"], "--seed: expected a whole number"),
                           (["--seed", "1,1"], "--seed: expected each number once; got 1 twice")):
            _, err = self.run_script(SMALL % "", *args, code=64)
            self.assertIn(told, err)


if __name__ == "__main__":
    unittest.main()
