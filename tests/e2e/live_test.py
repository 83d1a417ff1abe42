"""`gradus run --live`: saving the script swaps the curriculum of the training that goes on, and loses nothing of its state."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
STDLIB = ["--stdlib", os.environ["GRADUS_STDLIB"]] if "GRADUS_STDLIB" in os.environ else []
# A teacher by fit, then two stages over data that a curriculum ranks.
SCRIPT = """
local g = require "gradus"
local rules = require "rules"
return g.experiment { name = "long", params = { steps = g.int(100000000), alpha = .5 }, run = function(run, p)
  local d = g.data.digits():split { train = .8, val = .2 }
  local teacher = g.fit { model = g.nn.MLP { 64, 16, 10 }, data = d.train, steps = 50 }
  local ranked = d.train:rank(g.score.loss(teacher))
  local r = run:distill { teacher = teacher, student = g.nn.MLP { 64, 8, 10 }, data = d, lr = 1e-3, budget = { steps = p.steps },
    alpha = p.alpha, evaluate = { steps = 500 },
    curriculum = { { "easy", sample = ranked:first(.5), temperature = 4, advance = rules.never }, { "hard", temperature = 2 } } }
  return { steps = r.steps, acc = run:evaluate(r.student, d.val).acc }
end }
"""
RULES = "local g = require 'gradus'\nreturn { never = g.when.steps(1e9) }\n"


class Live(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.save(SCRIPT)
        (self.dir / "rules.lua").write_text(RULES)

    def save(self, text, name="s.lua"):
        part = self.dir / (name + ".part")
        part.write_text(text)
        part.rename(self.dir / name)

    def gradus(self, *args):
        return subprocess.run([GRADUS, *args], cwd=self.dir, capture_output=True, text=True, timeout=120)

    def begin(self, *args):
        self.err = open(self.dir / "err.txt", "w+")
        self.addCleanup(self.err.close)
        process = subprocess.Popen([GRADUS, "run", "--live", "s.lua", *STDLIB, *args], cwd=self.dir, stdout=self.err, stderr=self.err)
        self.addCleanup(lambda: (process.kill(), process.wait()))
        self.process = process
        self.until(lambda s: s["stage"] and s["stage"]["name"] == "easy" and "val/loss" in s["metrics"])

    def said(self):
        return (self.dir / "err.txt").read_text()

    def until(self, holds, seconds=30):
        state, deadline = None, time.monotonic() + seconds
        while time.monotonic() < deadline:
            done = self.gradus("attach", "@last", "--json")
            if done.returncode == 0:
                state = json.loads(done.stdout)
                if holds(state):
                    return state
            if self.process.poll() is not None:
                self.fail(f"it ended: {self.said()}")
            time.sleep(.05)
        self.fail(f"never so: {state}\n{self.said()}")

    def edits(self, count):
        return self.until(lambda s: len(s["edits"]) == count)["edits"]

    def hears(self, text):
        deadline = time.monotonic() + 20
        while text not in self.said():
            if time.monotonic() > deadline:
                self.fail(f"never said {text!r}: {self.said()}")
            time.sleep(.05)

    def stop(self):
        self.assertEqual(self.gradus("attach", "@last", "--stop").returncode, 0, self.said())
        self.assertEqual(self.process.wait(timeout=60), 0, self.said())
        return json.loads(self.gradus("show", "@last", "--json").stdout)

    def test_a_saved_curriculum_goes_on_from_where_it_was(self):
        self.begin()
        before = self.until(lambda s: s["knobs"].get("temperature") == 4)
        self.save(SCRIPT.replace("temperature = 4", "temperature = function(s) return 3 end"))
        edit = self.edits(1)[0]
        self.assertEqual(edit["name"], "live")
        self.assertEqual([file["path"] for file in edit["detail"]["files"]], ["s.lua"])
        after = self.until(lambda s: s["knobs"]["temperature"] == 3)
        self.assertGreater(after["step"], before["step"])
        self.assertEqual(after["stage"], before["stage"], "the stage goes on and is not begun anew")
        # What the script requires, and a parameter's default.
        self.save(RULES.replace("1e9", "10"), "rules.lua")
        self.until(lambda s: s["stage"]["name"] == "hard" and s["knobs"]["temperature"] == 2)
        self.save(SCRIPT.replace("alpha = .5", "alpha = .25"))
        self.until(lambda s: s["knobs"]["alpha"] == .25 and s["metrics"]["val/acc"]["value"] > .7)
        run = self.stop()
        edits = [event for event in run["events"] if event["kind"] == "edit" and event["name"] == "live"]
        self.assertEqual(edits[2]["detail"]["params"], {"alpha": {"was": .5, "now": .25}})
        self.assertIn("edited", run["tags"])
        paths = [source["path"] for source in run["sources"]]
        self.assertEqual(sorted(path.partition("@")[0] for path in paths), ["rules.lua", "rules.lua", "s.lua", "s.lua", "s.lua"])
        self.assertIn(f"s.lua@{edits[0]['step']}", paths)
        code = self.gradus("show", "@last", "--code").stdout
        self.assertIn("return 3 end", code)
        self.assertIn("temperature = 4, advance", code)
        last = {summary["key"]: summary["last"] for summary in run["summaries"]}
        # The old code's own `r.student` has the weights that the new version trained.
        self.assertGreater(last["result/acc"], .6)
        self.assertEqual([one["path"] for one in run["artifacts"] if one["kind"] == "weights" and "last" in one["path"]],
                         ["student-2.last.safetensors", "student.last.safetensors"], "two students, as without the edits")

    def test_an_edit_that_says_the_same_changes_no_bit(self):
        def weights(run):  # the head of a file tells the run
            found = {}
            for one in run["artifacts"]:
                data = (pathlib.Path(run["folder"]) / one["path"]).read_bytes()
                found[one["path"]] = data[8 + int.from_bytes(data[:8], "little"):]
            return found
        self.assertEqual(self.gradus("run", "s.lua", "-q", "--set", "steps=60000", *STDLIB).returncode, 0)
        plain = json.loads(self.gradus("show", "@last", "--json").stdout)
        self.begin("--set", "steps=60000")
        self.save("-- the same\n" + SCRIPT)
        self.assertEqual(self.process.wait(timeout=60), 0, self.said())
        run = json.loads(self.gradus("show", "@last", "--json").stdout)
        self.assertEqual([event["name"] for event in run["events"] if event["kind"] == "edit"], ["live"])
        self.assertEqual(weights(run), weights(plain))
        self.assertEqual([s for s in run["summaries"] if s["key"] == "val/loss"], [s for s in plain["summaries"] if s["key"] == "val/loss"])

    def test_what_fails_is_taken_back(self):
        self.begin()
        for broken, part in [("= = 1\n" + SCRIPT, "s.lua:1: unexpected symbol near '='"), ("", "the script returns no experiment any more"),
                             (SCRIPT.replace('"rules"', '"ruels"'), "module 'ruels' not found"),
                             (SCRIPT.replace("temperature = 4", "temprature = 4"), "did you mean 'temperature'?"),
                             (SCRIPT.replace("64, 8, 10", "64, 9, 10"), "layers.0.weight"),
                             (SCRIPT.replace("local r = run:distill", "do return {} end local r = "), "ended after 1 of its trainings"),
                             (SCRIPT.replace("sample = ranked:first(.5)", "sample = function() return nothing end"),
                              "'nothing' is not defined")]:
            self.save(broken)
            self.hears(part)
            self.assertEqual(self.until(lambda s: s["step"])["edits"], [], part)
        self.save(SCRIPT.replace("temperature = 4", "temperature = function(s) return s.step.x end"))
        edits = self.edits(2)
        self.assertTrue(edits[1]["detail"]["taken_back"])
        self.assertIn("s.lua:10:", edits[1]["detail"]["error"])
        self.save(SCRIPT.replace("rules.never", "function(s) return s.nosuch.thing end"))
        edits = self.edits(4)
        self.assertEqual(edits[2]["step"], edits[3]["step"], "all that it did is taken back, to the step of the swap")
        self.assertIn("goes on from there", self.said())
        # And a version that works still can.
        self.save(SCRIPT.replace("temperature = 4", "temperature = 5"))
        state = self.until(lambda s: s["knobs"]["temperature"] == 5)
        self.assertEqual(state["stage"]["name"], "easy")
        self.stop()

    def test_an_edited_run_goes_on_after_an_interruption(self):
        self.begin("--snapshots", "200")
        self.save(SCRIPT.replace("temperature = 4", "temperature = 3").replace("alpha = .5", "alpha = .25"))
        edit = self.edits(1)[0]
        folder = pathlib.Path(json.loads(self.gradus("show", "@last", "--json").stdout)["folder"]) / "snapshots"
        for _ in range(400):
            steps = [int(name.split("-")[1].split(".")[0]) for name in os.listdir(folder) if "end" not in name and name.endswith("tensors")]
            if steps and max(steps) > edit["step"] + 400:
                break
            time.sleep(.05)
        self.process.kill()
        self.process.wait()
        resumed = subprocess.Popen([GRADUS, "resume", "1", *STDLIB], cwd=self.dir, stdout=self.err, stderr=self.err)
        self.process = resumed
        self.addCleanup(lambda: (resumed.kill(), resumed.wait()))
        state = self.until(lambda s: s["step"] > max(steps) + 1000)
        self.assertEqual((state["knobs"]["temperature"], state["knobs"]["alpha"], state["stage"]["name"]), (3, .25, "easy"))
        self.assertEqual(self.gradus("attach", "1", "--stop").returncode, 0)
        self.assertEqual(resumed.wait(timeout=60), 0, self.said())

    def test_a_loop_of_ones_own_goes_on_as_it_is(self):
        self.save("""
local g = require "gradus"
return g.experiment { name = "loop", run = function(run)
  local d = g.data.digits()
  for i, b in run:batches(d, { steps = 5 }) do run:log({ i = b.index:size(0) }) end
end }
""")
        done = self.gradus("run", "--live", "s.lua", *STDLIB)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("live: a loop over run:batches goes on as it is", done.stderr)

    def test_command_lines(self):
        for args, part in [(["-"], "expected a file"), (["s.lua", "-j", "2"], "expected no --jobs"),
                           (["s.lua", "--seed", "1,2"], "expected one run"), (["s.lua", "--resume"], "expected no --resume"),
                           (["s.lua", "--sandbox"], "expected no --sandbox")]:
            done = self.gradus("run", "--live", *args, *STDLIB)
            self.assertEqual((done.returncode, done.stdout), (64, ""), done.stderr)
            self.assertIn(part, done.stderr)


if __name__ == "__main__":
    unittest.main()
