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

from resume_test import WHAT

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())

QUADRATIC = """
local g = require "gradus"
return g.experiment { name = "quad", params = { T = 2, lr = 1e-2, tag = g.choice { "a", "b" }, wait = 0 },
  metrics = { score = { better = "higher" }, ["val/score"] = { better = "higher" } },
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

# An open loop whose first evaluation is its best.
LOOP = """
local g = require "gradus"
return g.experiment { name = "loop", params = { q = 0 }, metrics = { ["val/score"] = { better = "higher" } }, run = function(run, p)
  for i in run:batches(g.data.digits(), { size = 32, steps = 90 }) do
    if i % 10 == 0 then run:log { ["val/score"] = p.q + (i == 10 and 1 or 0) } end
  end
end }
"""

FROM_LUA = """
local g = require "gradus"
local found = g.sweep { name = "inner", params = { lr = 1e-2 }, set = { lr = { log = { 1e-4, 1e-1 } } },
  by = "val/score", direction = "max", trials = 6, jobs = 2,
  run = function(run, p) run:log { ["val/score"] = -(math.log10(p.lr) + 2.5) ^ 2 } end }
assert(#found.trials == 6 and found.best.value <= 0 and found.ranked[6].value <= found.ranked[1].value)
print(("best %.6g of %d"):format(found.best.given.lr, #found.trials))
"""


# A training that says which steps it does. Trials 1 and 2 go on, as there are too few to say; trial 3 lags behind trial 1 and is stopped;
# the ones after it are worse, so that it is among the best third of six.
TRAINS = """
local g = require "gradus"
return g.experiment { name = "trains", params = { lr = 1e-3, steps = 200, wait = 0 }, run = function(run, p)
  local d = g.data.digits():split { train = .7, val = .3 }
  local teacher = g.nn.MLP { 64, 16, 10 }
  run:fit { model = teacher, data = d, steps = 100, evaluate = { steps = 20 } }
  local said = io.open("steps.txt", "a")
  local r = run:distill { teacher = teacher, student = g.nn.MLP { 64, 16, 10, dropout = .1 }, data = d, lr = p.lr,
    budget = { steps = p.steps }, evaluate = { steps = 100 },
    curriculum = { pressure = function(s)
      if p.wait > 0 then os.execute("sleep " .. p.wait) end
      said:write(("%g %d\\n"):format(p.lr, s.step))
      said:flush()
      return { temperature = 4 - s.step / 100 }
    end } }
  return { acc = run:evaluate(r.student, d.val).acc }
end }
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
        self.assertEqual(len(self.found("--set", "T=2,8", "--by", "val/score", "--direction", "max", "--name", "own")["trials"]), 2)
        self.assertEqual(self.query("SELECT name, count(*) FROM runs GROUP BY name ORDER BY name"), [("own", 2), ("quad", 12)])

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

    def trains(self, lrs, *more):
        (self.dir / "x.lua").write_text(TRAINS)
        return ["--set", "lr=" + ",".join(map(str, lrs)), "--by", "val/acc", "--halving", "-j", "1", *more]

    def steps(self, lr):
        return [int(line.split()[1]) for line in (self.dir / "steps.txt").read_text().splitlines() if line.split()[0] == lr]

    def rows(self, store, run):
        """All that a run and the trainings split from it have in a store, but for what halving decided."""
        database = sqlite3.connect(store)
        ids = [row[0] for row in database.execute("SELECT id FROM runs WHERE id = ?1 OR parent = ?1 AND kind = 'training' ORDER BY id",
                                                  (run,))]
        found = {name: [row[1:] for row in database.execute(sql) if row[0] in ids] for name, sql in WHAT.items()}
        found["events"] = [row for row in found["events"] if row[2] != "halving"]
        return found

    def same_as_alone(self, lr, run, *more):
        self.sweep("--set", f"lr={lr}", "--seed", "1", "--store", "alone.db", "-q", *more, command="run")
        self.assertEqual(self.rows(self.dir / "runs/gradus.db", run), self.rows(self.dir / "alone.db", 1))
        found = []
        for store, root in (("runs/gradus.db", run), ("alone.db", 1)):
            with sqlite3.connect(self.dir / store) as database:
                uid = database.execute("SELECT uid FROM runs WHERE id = ?", (root,)).fetchone()[0]
            files = {path.name: path.read_bytes() for path in ((self.dir / store).parent / uid).glob("*.safetensors")}
            # the head of a file tells the run
            found.append({name: data[8 + int.from_bytes(data[:8], "little"):] for name, data in files.items()})
        self.assertTrue(found[0])
        self.assertEqual(found[0], found[1])

    def test_a_stopped_trial_that_is_among_the_best_goes_on_where_it_was(self):
        lrs = [3e-3, 1e-6, 1e-3, 2e-6, 3e-6, 4e-6]
        args = self.trains(lrs)
        found = self.found(*args)
        self.assertEqual([trial["stopped"] for trial in found["trials"]], [False, False, False, True, True, True])
        [third] = found["trials"][2]["runs"]
        # It was stopped, and went on after three others had come.
        self.assertEqual(self.query(f"SELECT kind, name FROM events WHERE run_id = {third} AND name IN ('halving', 'resume') ORDER BY id"),
                         [("decision", "halving"), ("resume", "resume")])
        self.assertEqual(self.query("SELECT count(*) FROM runs WHERE parent IS NULL"), [(6,)])
        self.assertEqual(self.steps("0.001"), list(range(200)))
        self.assertEqual(self.steps("2e-06"), list(range(100)))
        self.same_as_alone(1e-3, third)
        # The same again knows what halving has seen, and does nothing; with more to try, it goes on from there.
        self.assertEqual(self.found(*args)["trials"], found["trials"])
        more = self.found(*self.trains([*lrs, 5e-6, 6e-6, 2e-3]))
        self.assertEqual([trial["stopped"] for trial in more["trials"]], [False] * 3 + [True] * 5 + [False])
        self.assertEqual(more["trials"][:6], found["trials"])
        # Without halving the others do what they lack.
        whole = self.found(*[arg for arg in args if arg != "--halving"])
        self.assertFalse(any(trial["stopped"] for trial in whole["trials"]))
        self.assertEqual(self.query("SELECT count(*) FROM runs WHERE parent IS NULL"), [(9,)])
        self.assertEqual(self.steps("2e-06"), list(range(200)))

    def test_a_promoted_trial_knows_what_it_has_shown(self):
        (self.dir / "x.lua").write_text(LOOP)
        found = self.found("--set", "q=0.9,0.1,0.8,0.01,0.02,0.03", "--by", "val/score", "--halving", "-j", "1")
        third = found["trials"][2]
        self.assertEqual((third["stopped"], third["value"]), (True, 1.8))
        self.assertEqual(self.query("SELECT json_extract(detail, '$.evaluations') FROM events WHERE name = 'halving' AND run_id = "
                                    f"{third['runs'][0]} ORDER BY id"), [(1,), (3,)])
        self.assertEqual(self.query(f"SELECT count(*) FROM metrics WHERE run_id = {third['runs'][0]}"), [(3,)])

    def test_an_interrupted_trial_goes_on_where_it_was(self):
        args = self.trains([3e-3, 1e-6, 1e-3, 2e-6, 3e-6, 4e-6], "--set", "wait=0.01")
        for lr, step in (("0.001", 30), ("0.001", 130)):  # before halving looks at it, and after it went on
            process = subprocess.Popen([GRADUS, "sweep", "x.lua", *args], cwd=self.dir, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            self.addCleanup(lambda process=process: (process.kill(), process.wait()))
            deadline = time.monotonic() + 60
            while not (self.dir / "steps.txt").exists() or step not in self.steps(lr):
                self.assertLess(time.monotonic(), deadline)
                time.sleep(.01)
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(timeout=30), 130)
            self.assertNotIn(step + 60, self.steps(lr))
        found = self.found(*args)
        self.assertEqual([trial["stopped"] for trial in found["trials"]], [False, False, False, True, True, True])
        self.assertEqual(self.query("SELECT count(*) FROM runs WHERE parent IS NULL"), [(6,)])
        self.assertEqual(self.steps("0.001"), list(range(200)))
        self.same_as_alone(1e-3, found["trials"][2]["runs"][0], "--set", "wait=0.01")

    def test_report(self):
        out, err = self.sweep("--set", "lr=log(1e-4,1e-1)", "--set", "T=2,4,16,32", "--trials", "16", "--by", "val/score", "-j", "2")
        for piece in ("T \\ lr", "What to try next", "share of the trials' variance in an additive model", "--seeds 3 tells",
                      "gradus show"):
            self.assertIn(piece, out)
        self.assertIn("16/16", err)
        out, err = self.sweep("--set", "T=2,4", "--by", "val/score", "-q")
        self.assertRegex(out, r"\A\n  trial  T .*(\n.*){3}\n\n\Z")  # the results alone
        self.assertEqual(err, "")

    def test_failing_runs(self):
        found = self.found("--set", "T=2,13", "--by", "val/score")
        self.assertEqual((found["failed"], found["best"]["params"]["T"]), (1, 2))
        _, err = self.sweep("--set", "T=13", "--set", "tag=a,b", "--by", "result/score", code=65)
        self.assertEqual((err.count("unlucky"), err.count("the same error")), (1, 1))

    def test_strict_trials_fail_where_others_are_warned(self):
        (self.dir / "x.lua").write_text("""
local g = require "gradus"
return g.experiment { name = "odd", params = { T = 2 }, metrics = { ["val/score"] = { better = "higher" } }, run = function(run, p)
  if p.T == 3 then run:warn("odd", "T is odd") end
  run:log { ["val/score"] = p.T }
end }
""")
        found = self.found("--set", "T=2,3", "--by", "val/score", "--strict")
        self.assertEqual((found["failed"], found["best"]["params"]["T"]), (1, 2))
        found = self.found("--set", "T=2,3", "--by", "val/score")
        self.assertEqual((found["failed"], found["best"]["params"]["T"]), (0, 3))

    def test_a_metric_that_nobody_logged(self):
        out, _ = self.sweep("--set", "T=2,4", "--by", "val/scor", "--direction", "max", code=65)
        self.assertIn("No run logged val/scor; did you mean 'val/score'?", out)

    def test_direction(self):
        by = ["--set", "T=2,8"]
        self.assertEqual(self.found(*by, "--by", "val/loss")["best"]["params"]["T"], 8)
        self.assertEqual(self.found(*by, "--by", "val/loss", "--direction", "max")["best"]["params"]["T"], 2)
        _, err = self.sweep(*by, "--by", "unknown", code=64)
        self.assertIn("which way 'unknown' is better is not known", err)
        shutil.rmtree(self.dir / "runs")  # which knows what the experiment said
        script = self.dir / "x.lua"
        script.write_text(script.read_text().replace('metrics = { score = { better = "higher" }, ["val/score"] = { better = "higher" } },', ""))
        told = "sweep: val/score: higher is taken for better; --direction min says else"
        self.assertIn(told, self.sweep(*by, "--by", "val/score")[1])
        self.assertNotIn(told, self.sweep(*by, "--by", "val/score", "--direction", "max")[1])

    def test_wrong_words(self):
        for args, told in ((["--set", "T=1,2"], "no --by"), (["--by", "val/score"], "nothing to search"),
                           (["--set", "T=1", "--by", "val/score"], "nothing to search"),
                           (["--set", "lr=log(0,1)", "--by", "val/score"], "expected log(low, high) with 0 < low < high"),
                           (["--set", "lr=log(1,a)", "--by", "val/score"], "expected log(low, high)"),
                           (["--set", "lr=lin(1,2,3)", "--by", "val/score"], "expected lin(low, high) with low < high; got lin(1, 2, 3)"),
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
        # Halving with it: what a trial came to when it went on is a trial of the study's own.
        (self.dir / "x.lua").write_text(LOOP)
        args = ["--set", "q=lin(0,1)", "--by", "val/score", "--search", "optuna", "--halving", "-j", "1", "--search-seed", "6"]
        found = self.found(*args, "--trials", "9")
        went_on = self.query("SELECT count(*) FROM events WHERE name = 'resume'")[0][0]
        self.assertGreater(went_on, 0)
        loop = [one for one in optuna.get_all_study_summaries(storage) if one.study_name.startswith("loop")][0]
        trials = optuna.load_study(study_name=loop.study_name, storage=storage).trials
        self.assertEqual(len([trial for trial in trials if "goes_on" in trial.user_attrs]), went_on)
        self.assertEqual(self.found(*args, "--trials", "9")["trials"], found["trials"])

    def test_optuna_and_a_terminals_ctrl_c(self):
        if subprocess.run([sys.executable, "-c", "import optuna"], capture_output=True).returncode != 0:
            self.skipTest("python3 has no optuna")
        args = ["sweep", "x.lua", "--set", "T=lin(1,9)", "--set", "wait=0.05", "--by", "val/score", "--search", "optuna", "-j", "1"]
        process = subprocess.Popen([GRADUS, *args], cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   start_new_session=True)
        self.addCleanup(lambda: (process.kill(), process.wait()))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not list(self.dir.glob("runs/*/alive")):
            time.sleep(.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, err + out)
        self.assertNotIn("Traceback", err)
        self.assertIn("the same command goes on where it was", err)


if __name__ == "__main__":
    unittest.main()
