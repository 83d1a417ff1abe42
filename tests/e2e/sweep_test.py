"""`gradus sweep` and g.sweep: searches, what is finished already, halving, reports."""

import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())

QUADRATIC = """
local g = require "gradus"
return g.experiment { name = "quad", params = { T = 2, lr = 1e-2, tag = g.choice { "a", "b" }, wait = 0 },
  run = function(run, p)
    local best = -(math.log10(p.lr) + 2.5) ^ 2 - .01 * (p.T - 8) ^ 2 + .001 * run.seed
    for i = 1, 9 do
      if p.wait > 0 then os.execute("sleep " .. p.wait) end
      run.step_number = i
      run:log { ["val/score"] = best - 1 / i, ["val/loss"] = -best, unknown = 1 }
      run:breathe()
    end
    if p.T == 13 then error "unlucky" end
    return { score = best }
  end }
"""

FROM_LUA = """
local g = require "gradus"
local found = g.sweep { name = "inner", params = { lr = 1e-2 }, set = { lr = { log = { 1e-4, 1e-1 } } },
  by = "val/score", trials = 6, jobs = 2,
  run = function(run, p) run:log { ["val/score"] = -(math.log10(p.lr) + 2.5) ^ 2 } end }
assert(#found.trials == 6 and found.best.value <= 0 and found.ranked[6].value <= found.ranked[1].value)
print(("best %.6g of %d"):format(found.best.given.lr, #found.trials))
"""


class SweepCase(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        (self.dir / "x.lua").write_text(QUADRATIC)

    def sweep(self, *args, code=0, env=None, command="sweep"):
        done = subprocess.run([GRADUS, command, "x.lua", *args], cwd=self.dir, capture_output=True, timeout=100, text=True,
                              env={**os.environ, **(env or {})})
        self.assertEqual(done.returncode, code, done.stderr + done.stdout)
        return done.stdout, done.stderr

    def found(self, *args, **more):
        return json.loads(self.sweep(*args, "--json", **more)[0])

    def query(self, sql):
        with sqlite3.connect(self.dir / "runs/gradus.db") as database:
            return database.execute(sql).fetchall()


class Searches(SweepCase):
    def test_grid(self):
        found = self.found("--set", "T=2,8,16", "--set", "tag=a,b", "--seeds", "2", "-j", "2", "--by", "val/score", "--direction", "max")
        self.assertEqual((len(found["trials"]), found["best"]["params"]["T"], found["search"]), (6, 8, "grid"))
        self.assertEqual(self.query("SELECT count(*) FROM runs WHERE status = 'finished'"), [(12,)])
        self.assertGreater(found["importance"]["T"], .95)
        self.assertLess(found["importance"]["tag"], .01)
        self.assertAlmostEqual(found["best"]["value"], -.25 - 1 / 9 + .0015, places=6)

    def test_the_same_again_does_only_what_is_missing(self):
        args = ["--set", "lr=log(1e-4,1e-1)", "--set", "T=4,8", "--by", "val/score", "--seeds", "2"]
        one = self.found(*args, "--trials", "4")
        two = self.found(*args, "--trials", "6")
        self.assertEqual((two["skipped"], two["trials"][:4]), (8, one["trials"]))
        self.assertEqual(self.found(*args, "--trials", "6")["skipped"], 12)
        self.assertEqual(self.query("SELECT count(*) FROM runs"), [(12,)])
        _, err = self.sweep(*args, "--trials", "6")
        self.assertIn("12 of 12 finished runs are skipped", err)
        self.assertEqual(self.found(*args, "--trials", "6", "--search", "random")["skipped"], 0)

    def test_an_interrupted_one_goes_on(self):
        args = ["sweep", "x.lua", "--set", "T=1,2,3,4,5,6", "--set", "wait=0.03", "--by", "val/score", "-j", "2"]
        process = subprocess.Popen([GRADUS, *args], cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if self.query("SELECT count(*) FROM runs WHERE status = 'finished'")[0][0] >= 2:
                    break
            except sqlite3.OperationalError:
                pass
            time.sleep(.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130, err)
        self.assertIn("the same command goes on where it was", err)
        before = self.query("SELECT count(*) FROM runs WHERE status = 'finished'")[0][0]
        found = self.found(*args[2:])
        self.assertEqual((found["skipped"], len(found["trials"])), (before, 6))
        self.assertEqual(self.query("SELECT count(*) FROM runs WHERE status = 'finished'"), [(6,)])

    def test_halving_stops_the_hopeless(self):
        args = ["--set", "lr=log(1e-6,1)", "--by", "val/score", "--trials", "12", "--halving", "--seeds", "2", "-j", "1"]
        found = self.found(*args)
        stopped = [trial for trial in found["trials"] if trial["stopped"]]
        self.assertGreaterEqual(len(stopped), 4)
        self.assertTrue(all(len(trial["runs"]) == 1 for trial in stopped))  # no other seed followed
        self.assertFalse(found["best"]["stopped"])
        self.assertEqual(self.query("SELECT count(*) FROM runs WHERE status = 'interrupted' AND error LIKE 'sweep: halving:%'"),
                         [(len(stopped),)])
        self.assertEqual(self.query("SELECT count(*) FROM events WHERE kind = 'decision' AND name = 'halving'"), [(len(stopped),)])
        self.assertEqual(self.found(*args)["trials"], found["trials"])  # nothing is done again
        self.assertEqual(self.query("SELECT count(*) FROM runs")[0][0],
                         sum(len(trial["runs"]) for trial in found["trials"]))

    def test_report(self):
        out, err = self.sweep("--set", "lr=log(1e-4,1e-1)", "--set", "T=2,4,16,32", "--trials", "16", "--by", "val/score", "-j", "2")
        for piece in ("T \\ lr", "What to try next", "share of the trials' variance in an additive model", "--seeds 3 tells",
                      "gradus show"):
            self.assertIn(piece, out)
        self.assertIn("16/16", err)
        self.assertEqual(self.sweep("--set", "T=2,4", "--by", "val/score", "-q")[0], "")

    def test_failing_runs(self):
        found = self.found("--set", "T=2,13", "--by", "val/score")
        self.assertEqual((found["failed"], found["best"]["params"]["T"]), (1, 2))
        _, err = self.sweep("--set", "T=13", "--set", "tag=a,b", "--by", "result/score", code=65)
        self.assertEqual((err.count("unlucky"), err.count("the same error")), (1, 1))

    def test_direction(self):
        by = ["--set", "T=2,8"]
        self.assertEqual(self.found(*by, "--by", "val/loss")["best"]["params"]["T"], 8)
        self.assertEqual(self.found(*by, "--by", "val/loss", "--direction", "max")["best"]["params"]["T"], 2)
        _, err = self.sweep(*by, "--by", "unknown", code=64)
        self.assertIn("which way 'unknown' is better is not known", err)

    def test_wrong_words(self):
        for args, told in ((["--set", "T=1,2"], "no --by"), (["--by", "val/score"], "nothing to search"),
                           (["--set", "T=1", "--by", "val/score"], "nothing to search"),
                           (["--set", "lr=log(0,1)", "--by", "val/score"], "expected log(low, high) with 0 < low < high"),
                           (["--set", "lr=log(1,a)", "--by", "val/score"], "expected log(low, high)"),
                           (["--set", "tag=lin(1,2)", "--by", "val/score"], "expected a parameter that is a number"),
                           (["--set", "rl=1,2", "--by", "val/score"], "did you mean 'lr'?"),
                           (["--set", "T=1,2", "--by", "val/score", "--search", "randm"], "did you mean 'random'?"),
                           (["--set", "lr=lin(0,1)", "--by", "val/score", "--search", "grid"], "lr is a range, which has no grid"),
                           (["--set", "T=1,2", "--by", "val/score", "--trials", "0"], "--trials: expected a whole number from 1"),
                           (["--set", "T=1,2", "--by", "val/score", "--seeds", "x"], "--seeds: expected a whole number from 1")):
            _, err = self.sweep(*args, code=64)
            self.assertIn(told, err)
            self.assertEqual(err.count("\n"), 1, err)

    def test_from_lua(self):
        (self.dir / "x.lua").write_text(FROM_LUA)
        out, _ = self.sweep(command="run")
        self.assertRegex(out, r"best 0.00\d+ of 6")
        self.assertEqual(self.query("SELECT count(*) FROM runs WHERE status = 'finished'"), [(6,)])

    def test_optuna(self):
        args = ["--set", "lr=log(1e-4,1e-1)", "--set", "T=2,8", "--by", "val/score", "--search", "optuna", "-j", "2"]
        if subprocess.run([sys.executable, "-c", "import optuna"], capture_output=True).returncode != 0:
            _, err = self.sweep(*args, code=65)
            self.assertIn("python3 has no optuna; expected `pip install optuna`", err)
            self.skipTest("python3 has no optuna")
        self.assertEqual(len(self.found(*args, "--trials", "5")["trials"]), 5)
        found = self.found(*args, "--trials", "8")
        self.assertEqual((len(found["trials"]), found["skipped"]), (8, 5))
        import optuna
        storage = f"sqlite:///{self.dir}/runs/optuna.db"
        [study] = optuna.get_all_study_summaries(storage)
        best = optuna.load_study(study_name=study.study_name, storage=storage).best_trial
        self.assertAlmostEqual(best.value, found["best"]["value"])
        self.assertEqual(best.params, found["best"]["params"])


if __name__ == "__main__":
    unittest.main()
