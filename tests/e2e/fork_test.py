"""Forks as a user meets them: who comes from whom, as `show`, `diff`, `report` and `sql` tell it, and one that is killed at its very
beginning."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
STDLIB = ["--stdlib", os.environ["GRADUS_STDLIB"]] if "GRADUS_STDLIB" in os.environ else []
SCRIPT = """
local g = require "gradus"
return g.experiment { name = "two", params = { T = 4, steps = 300 }, run = function(run, p)
  local d = g.data.digits():split { train = .8, val = .2 }
  local teacher = g.nn.MLP { 64, 16, 10 }
  run:fit { model = teacher, data = d.train, steps = 50 }
  local wait = io.open "wait"  -- for the test, which kills it here
  while wait do
    wait:close()
    wait = io.open "wait"
  end
  local r = run:distill { teacher = teacher, student = g.nn.MLP { 64, 8, 10 }, data = d, budget = { steps = p.steps }, temperature = p.T,
    evaluate = { steps = 50 } }
  return { at = r:last "val/loss" }
end }
"""


class Fork(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        (self.dir / "s.lua").write_text(SCRIPT)
        self.gradus("run", "s.lua", "-q", "--snapshots", "50")

    def gradus(self, *args, code=0):
        stdlib = STDLIB if args[0] in ("run", "fork", "resume") else []
        done = subprocess.run([GRADUS, *args, *stdlib], cwd=self.dir, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def rows(self, run):
        return json.loads(self.gradus("sql", "--json", f"SELECT key, step, value FROM metrics WHERE run_id = {run} AND key <> 'result/seconds' ORDER BY 1, 2"))

    def test_who_comes_from_whom(self):
        self.gradus("fork", "1", "--at", "100", "--set", "T=8", "-q")
        self.gradus("fork", "@last", "--at", "200", "--set", "T=2", "-q")
        (self.dir / "other.lua").write_text(SCRIPT.replace("temperature = p.T", "temperature = p.T, alpha = .2"))
        self.gradus("fork", "1", "other.lua", "--at", "150", "-q")
        first, second, third, fourth = (row["id"] for row in json.loads(self.gradus("runs", "--json")))
        self.assertIn(f"  origin       a fork of run {first} at step 100, with T=8\n", self.gradus("show", str(second)))
        self.assertEqual(json.loads(self.gradus("show", str(third), "--json"))["origin"]["origin"], second)
        shown = self.gradus("show", str(first))
        self.assertRegex(shown, rf"{second}  two   finished +100  T=8\n +{fourth}  two   finished +150  another script, other.lua")
        self.assertEqual(json.loads(self.gradus("show", str(fourth), "--json"))["script"], "other.lua")
        self.gradus("fork", str(fourth), "--at", "180", "-q")  # goes on with the script that it has, not with its origin's
        self.assertIn(f"  origin       a fork of run {fourth} at step 180\n", self.gradus("show", "@last"))
        self.gradus("delete", "@last", "--yes")
        diff = self.gradus("diff", str(first), str(third))
        self.assertIn(f"run {third} is a fork of run {second} at step 200, with T=2, which is a fork of run {first} at step 100, with T=8; "
                      "the same until step 100\n", diff)
        siblings = json.loads(self.gradus("diff", str(third), str(fourth), "--json"))
        self.assertEqual((siblings["lineage"]["run"], siblings["lineage"]["step"]), (first, 100))
        self.assertGreater(siblings["parts"]["step"], 100)
        self.assertEqual(json.loads(self.gradus("sql", "--json", "SELECT run_id, origin, step FROM forks ORDER BY 1")),
                         [{"run_id": second, "origin": first, "step": 100}, {"run_id": third, "origin": second, "step": 200},
                          {"run_id": fourth, "origin": first, "step": 150}])
        self.gradus("delete", str(first), "--yes")
        self.assertIn("a fork of a run that this store does not have (", self.gradus("show", str(second)))

    def test_what_another_script_says_otherwise_is_told(self):
        (self.dir / "other.lua").write_text(SCRIPT.replace("T = 4, steps = 300", "T = 8, steps = 100"))
        done = subprocess.run([GRADUS, "fork", "1", "other.lua", "--at", "150", "--set", "steps=200", *STDLIB], cwd=self.dir,
                              capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([line for line in done.stderr.splitlines() if line.startswith("fork: ")],
                         ["fork: T = 4, as run 1 has it; 8, the default of other.lua, takes --set T=8"])

    def test_a_fork_of_a_fork_shares_its_past(self):
        """And so where no snapshot of the fork is left: it is done again from where it was forked, which is what its origin was."""
        self.gradus("fork", "1", "--at", "100", "--set", "T=8", "-q")
        one = json.loads(self.gradus("runs", "--json"))[-1]["id"]
        self.gradus("fork", str(one), "--at", "220", "-q")
        two = json.loads(self.gradus("runs", "--json"))[-1]["id"]
        self.assertEqual(self.rows(two), self.rows(one), "unchanged, it is the same run again")
        shutil.rmtree(self.dir / "runs" / json.loads(self.gradus("show", "1", "--json"))["uid"] / "snapshots")
        self.gradus("fork", str(two), "--at", "250", "-q")  # the oldest of all is done again first
        three = json.loads(self.gradus("runs", "--json"))[-1]["id"]
        self.assertEqual(self.rows(three), self.rows(one))
        self.assertEqual(json.loads(self.gradus("diff", "1", str(three), "--json"))["lineage"]["step"], 100)

    def test_where_a_fork_begins(self):
        self.gradus("fork", "1", "--at", "100", "--set", "T=8", "-q")
        one = json.loads(self.gradus("runs", "--json"))[-1]["id"]
        self.gradus("fork", str(one), "--at", "100", "-q")  # where it began itself
        two = json.loads(self.gradus("runs", "--json"))[-1]["id"]
        self.assertEqual(self.rows(two), self.rows(one))
        self.assertIn(f"run {one} is a fork of run 1 at step 100, and that run until then; expected a later step, or `gradus fork 1 --at 60`",
                      self.gradus("fork", str(one), "--at", "60", code=64))
        self.assertIn("no --at; expected a step from 1 to 300, or end", self.gradus("fork", "1", code=64))
        refused = self.gradus("fork", "1", "--at", "130", "--set", "TT=8", code=64)
        self.assertNotIn("done again", refused)  # at once

    def test_its_settings_are_judged_as_those_of_a_run_that_begins(self):
        advice = lambda: json.loads(self.gradus("sql", "--json", "SELECT step, name, detail FROM events WHERE run_id = (SELECT max(id) FROM runs) "
                                                "AND kind IN ('advice', 'warning') AND step > 0"))
        self.gradus("fork", "1", "--at", "100", "-q")
        self.assertEqual(advice(), [], "what was told before is no news")
        self.gradus("fork", "1", "--at", "100", "--set", "T=30", "-q")
        told = advice()
        self.assertEqual([(one["step"], one["name"]) for one in told], [(100, "temperature"), (100, "settings")])
        self.assertIn("temperature is 30", told[1]["detail"])
        self.assertIn("temperature is 30", self.gradus("fork", "1", "--at", "100", "--set", "T=30", "--strict", code=65))
        self.gradus("fork", "@last", "--at", "100", "--set", "T=4", "--strict", "-q")
        self.gradus("fork", "1", "--at", "100", "--set", "steps=80", "-q")
        self.assertIn("the budget is used up by now", str(advice()))
        self.assertEqual(json.loads(self.gradus("sql", "--json", "SELECT max(step) AS step FROM progress WHERE run_id = (SELECT max(id) FROM runs)")),
                         [{"step": 100}], "and no step is taken")

    def test_what_was_changed_on_its_way_is_not_done_again_as_if_it_had_not_been(self):
        self.gradus("resume", "1", "--set", "steps=400", "--schedules", "keep", "-q")
        self.assertIn("run 1 cannot be done again from step 0 to 120, as it was given other parameters at step 300", self.gradus("fork", "1", "--at", "120", code=65))
        self.gradus("fork", "1", "--at", "400", "-q")  # its end is a snapshot

    def test_one_that_is_killed_before_its_first_snapshot_is_still_a_fork(self):
        """And of the script that it began with, which may be another than its origin's."""
        (self.dir / "other.lua").write_text(SCRIPT.replace("temperature = p.T", "temperature = p.T, alpha = .2"))
        command = ["fork", "1", "other.lua", "--at", "100", "--set", "T=8", "-q"]
        self.gradus(*command)
        whole = json.loads(self.gradus("runs", "--json"))[-1]["id"]
        (self.dir / "wait").write_text("")
        running = subprocess.Popen([GRADUS, *command, *STDLIB], cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        last = lambda: json.loads(self.gradus("runs", "--json"))[-1]
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and (last()["id"] == whole or last()["status"] != "running"):
            time.sleep(0.05)
        time.sleep(0.5)
        running.send_signal(signal.SIGKILL)
        running.wait()
        (self.dir / "wait").unlink()
        killed = json.loads(self.gradus("runs", "--json"))[-1]
        self.assertEqual((killed["status"], json.loads(self.gradus("show", "@last", "--json"))["script"]), ("interrupted", "other.lua"))
        self.gradus("resume", str(killed["id"]), "-q")
        self.assertEqual(json.loads(self.gradus("show", str(killed["id"]), "--json"))["origin"]["step"], 100)
        self.assertEqual(self.rows(killed["id"]), self.rows(whole), "the same as one that was not killed")

    def test_what_was_something_else_on_its_way_is_no_repetition(self):
        def hash_of(run="@last"):
            return json.loads(self.gradus("show", run, "--json"))["config_hash"]
        def skipped(*args):
            done = subprocess.run([GRADUS, "run", "s.lua", "--resume", *args, *STDLIB], cwd=self.dir, capture_output=True, text=True, timeout=120)
            return done.stderr.splitlines()[0]
        hashes = []
        for at in (100, 200, 200):
            self.gradus("fork", "1", "--at", str(at), "--set", "T=8", "-q")
            hashes.append(hash_of())
        self.assertEqual((len(set(hashes)), hashes[1]), (2, hashes[2]), "forks at one step with one change are repetitions, others are not")
        self.assertEqual(skipped("--set", "T=8"), "0 of 1 finished runs are skipped")
        self.assertNotIn(hash_of(), hashes)
        self.assertEqual(skipped("--set", "T=8"), "1 of 1 finished runs are skipped")
        before = hash_of("1")
        self.gradus("resume", "1", "--set", "steps=350", "--schedules", "keep", "-q")
        longer = hash_of("1")
        self.assertEqual(skipped("--set", "steps=350"), "0 of 1 finished runs are skipped")
        self.assertEqual(len({before, longer, hash_of()}), 3)

    def waits_in_redo(self):
        """A fork whose origin has no snapshot, and waits while it is done again; a fork's own run would wait at the same place."""
        shutil.rmtree(self.dir / "runs" / json.loads(self.gradus("show", "1", "--json"))["uid"] / "snapshots", ignore_errors=True)
        (self.dir / "wait").write_text("")
        process = subprocess.Popen([GRADUS, "fork", "1", "--at", "290", *STDLIB], cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True)
        self.addCleanup(lambda: (process.kill(), process.wait()))
        self.assertIn("done again", process.stderr.readline())
        time.sleep(1)
        return process

    def test_an_interruption_while_the_past_is_done_again_is_no_error_of_the_script(self):
        process = self.waits_in_redo()
        process.send_signal(signal.SIGINT)
        (self.dir / "wait").unlink()
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, err)
        self.assertNotIn("s.lua", err)
        self.assertEqual(len(json.loads(self.gradus("runs", "--json"))), 1)

    def test_a_snapshot_on_the_way_tells_of_its_own_step(self):
        process = self.waits_in_redo()
        process.send_signal(signal.SIGUSR1)
        time.sleep(.3)
        (self.dir / "wait").unlink()
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err)
        folder = self.dir / "runs" / json.loads(self.gradus("show", "1", "--json"))["uid"] / "snapshots"
        step = min(int(path.stem.split("-")[1]) for path in folder.glob("2-*.safetensors") if "end" not in path.name)
        self.assertLess(step, 200)
        self.gradus("fork", "1", "--at", str(step), "--set", f"steps={step + 10}", "-q")
        fork = json.loads(self.gradus("runs", "--json"))[-1]["id"]
        for table in ("progress", "events"):
            last = json.loads(self.gradus("sql", "--json", f"SELECT max(step) AS step FROM {table} WHERE run_id = {fork}"))
            self.assertLessEqual(last[0]["step"], step + 10, table)

    def test_a_round_of_a_look_ahead_is_decided_once(self):
        (self.dir / "s.lua").write_text(SCRIPT.replace("run:distill {", "run:lookahead { steps = 50, try = { hot = { temperature = 8 }, cold = {} },")
                                        .replace("temperature = p.T,", ""))
        self.gradus("run", "s.lua", "-q", "--snapshots", "none")
        events = lambda: json.loads(self.gradus("sql", "--json", "SELECT step, kind, name, detail FROM events WHERE run_id = (SELECT max(id) FROM runs "
                                                "WHERE kind = 'run') AND kind NOT IN ('resume', 'flops', 'cache', 'teacher_cache') ORDER BY id"))
        whole = events()
        self.assertEqual(len([one for one in whole if one["name"] == "lookahead"]), 6)
        for step in (50, 200):
            self.gradus("fork", "3", "--at", str(step), "-q")
            self.assertEqual(events(), whole)


if __name__ == "__main__":
    unittest.main()
