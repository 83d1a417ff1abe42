"""`gradus landscape RUN`: the loss around what a run has left of its student."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as tree

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
STDLIB = ["--stdlib", os.environ["GRADUS_STDLIB"]] if "GRADUS_STDLIB" in os.environ else []
SCRIPT = """
local g = require "gradus"
return g.experiment { name = "two", params = { width = g.int(8), after = "", stages = false }, run = function(run, p)
  local d = g.data.digits():split { train = .8, val = .2 }
  local teacher = g.fit { model = g.nn.MLP { 64, 16, 10 }, data = d.train, steps = 50 }
  local r = run:distill { teacher = teacher, student = g.nn.MLP { 64, p.width, 10 }, data = d, budget = { steps = 200 },
    evaluate = { steps = 50 },
    curriculum = p.stages and { { "easy & short", sample = d.train:rank(g.score.loss(teacher)):first(.5), advance = g.when.steps(80) },
      { "hard", sample = d.train } } or { sample = d.train:rank(g.score.loss(teacher)):first(.5) } }
  if p.after ~= "" then error(p.after) end
  return { at = r:last "val/loss" }
end }
"""


class Landscape(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        (self.dir / "s.lua").write_text(SCRIPT)

    def gradus(self, *args, code=0):
        stdlib = STDLIB if args[0] in ("run", "landscape", "fork") else []
        done = subprocess.run([GRADUS, *args, *stdlib], cwd=self.dir, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def test_around_the_student_of_a_run(self):
        self.gradus("run", "s.lua", "-q", "--set", "width=6")
        before = self.gradus("show", "1", "--json")
        runs = self.gradus("runs", "--json", "--children")
        found = json.loads(self.gradus("landscape", "1", "--points", "3", "--weights", "last", "--json"))
        last = {one["key"]: one["last"] for one in json.loads(before)["summaries"]}
        # The script's own student and validation data, the run's own weights: the loss that it logged.
        self.assertEqual(found["center"], {"loss": last["val/loss"], "acc": last["val/acc"]})
        self.assertEqual(found["at"], [-1, 0, 1])
        self.assertEqual(found["loss"][1][1], found["center"]["loss"])
        self.assertEqual([len(row) for row in found["loss"]], [3, 3, 3])
        self.assertEqual(json.loads(self.gradus("landscape", "1", "--points", "3", "--weights", "last", "--json")), found, "the same again")
        one = json.loads(self.gradus("landscape", "1", "--points", "5", "--directions", "1", "--reach", "0.5", "--on", "train", "--json"))
        self.assertEqual((one["at"], len(one["loss"])), ([-.5, -.25, 0, .25, .5], 5))
        drawn = self.gradus("landscape", "1", "--points", "7").splitlines()
        self.assertEqual([len(line) for line in drawn[:-1]], [14] * 7)
        self.assertRegex(drawn[-1], r"^loss [0-9.]+ at the model, from [0-9.]+ to [0-9.]+ within 1 of it$")
        self.assertEqual(self.gradus("show", "1", "--json"), before, "looking writes nothing")
        self.assertEqual(self.gradus("runs", "--json", "--children"), runs)

    def test_a_run_that_failed_after_its_training_has_one_too(self):
        self.gradus("run", "s.lua", "-q", "--set", "after=oh", code=65)
        self.assertIn("at the model", self.gradus("landscape", "@last", "--points", "3"))
        with open("/dev/full", "w") as full:
            done = subprocess.run([GRADUS, "landscape", "@last", "--points", "3", *STDLIB], cwd=self.dir, stdout=full, stderr=subprocess.PIPE,
                                  timeout=120)
        self.assertEqual(done.returncode, 74, done.stderr)

    def test_around_the_stages_of_a_run(self):
        self.gradus("run", "s.lua", "-q", "--set", "stages=true")
        before = self.gradus("show", "1", "--json")
        curve = dict(json.loads(self.gradus("show", "1", "--curve", "val/loss", "--json"))["val/loss"])
        found = json.loads(self.gradus("landscape", "1", "--stages", "--points", "3", "--json"))
        self.assertEqual([(one["stage"], one["step"]) for one in found["stages"]], [("easy & short", 80), ("hard", 200)])
        for one in found["stages"]:  # the weights that it had there: the loss that it logged
            self.assertEqual(one["center"]["loss"], curve[one["step"]])
            self.assertEqual([len(row) for row in one["loss"]], [3, 3, 3])
        at = json.loads(self.gradus("landscape", "1", "--at", "80", "--points", "3", "--json"))
        self.assertEqual({key: at[key] for key in ("at", "loss", "acc", "center", "step")}, {key: found["stages"][0][key] for key in ("at", "loss", "acc", "center", "step")})
        end = json.loads(self.gradus("landscape", "1", "--at", "end", "--points", "3", "--json"))
        self.assertEqual(end["loss"], found["stages"][1]["loss"])
        last = json.loads(self.gradus("landscape", "1", "--weights", "last", "--points", "3", "--json"))
        self.assertEqual(last["loss"], end["loss"], "the same directions, and the weights that it has left")
        text = self.gradus("landscape", "1", "--stages", "--points", "5", "--output", "stages.svg")
        self.assertRegex(text, r"(?s)^easy & short, step 80\n.*at the model.*\n\nhard, step 200\n.*at the model")
        svg = tree.parse(self.dir / "stages.svg").getroot()
        texts = [t.text for t in svg.iter("{http://www.w3.org/2000/svg}text")]
        self.assertIn("easy & short, step 80", texts)
        self.assertIn("hard, step 200", texts)
        self.assertEqual(self.gradus("show", "1", "--json"), before, "looking writes nothing")
        self.assertEqual(len(json.loads(self.gradus("runs", "--json", "--children"))), 2)

    def test_the_way_of_a_run(self):
        self.gradus("run", "s.lua", "-q", "--set", "stages=true")
        curve = dict(json.loads(self.gradus("show", "1", "--curve", "val/loss", "--json"))["val/loss"])
        found = json.loads(self.gradus("landscape", "1", "--path", "--points", "5", "--json"))
        path = found["path"]
        self.assertEqual((path[0]["step"], path[-1]["step"]), (0, 200))
        self.assertEqual({one["stage"]: one["step"] for one in path if one.get("stage")}, {"easy & short": 80, "hard": 200})
        self.assertGreater(len(path), 20)
        for one in path:
            if one["step"] in curve:
                self.assertEqual(one["loss"], curve[one["step"]])
        self.assertLess(path[0]["x"], path[12]["x"])  # from the left to the end, which is the origin
        self.assertAlmostEqual(path[-1]["x"], 0)
        self.assertAlmostEqual(path[-1]["y"], 0)
        self.assertGreater(found["share"][0], 0.5)
        self.assertTrue(found["x"][0] < min(one["x"] for one in path) < 0 < found["x"][-1])
        self.assertEqual([len(row) for row in found["loss"]], [5] * 5)
        text = self.gradus("landscape", "1", "--path", "--points", "11", "--output", "way.svg")
        for part in ("S  the beginning: loss ", "1  easy & short, step 80: loss ", "2  hard, step 200: loss ", "% of the way lie along it"):
            self.assertIn(part, text)
        svg = tree.parse(self.dir / "way.svg").getroot()
        self.assertEqual(len(list(svg.iter("{http://www.w3.org/2000/svg}circle"))), len(path))
        again = self.gradus("landscape", "1", "--path", "--points", "5", "--json")
        self.assertEqual(json.loads(again), found, "the same again")

    def test_a_fork_has_its_own_part_of_the_way(self):
        self.gradus("run", "s.lua", "-q", "--set", "stages=true")
        self.gradus("fork", "1", "--at", "60", "--set", "after=", "-q")
        fork = str(json.loads(self.gradus("runs", "--json"))[-1]["id"])
        curve = dict(json.loads(self.gradus("show", fork, "--curve", "val/loss", "--json"))["val/loss"])
        found = json.loads(self.gradus("landscape", fork, "--path", "--points", "3", "--json"))
        self.assertEqual((found["path"][0]["step"], found["path"][-1]["step"]), (60, 200))
        for one in found["path"]:
            if one["step"] in curve:
                self.assertEqual(one["loss"], curve[one["step"]])
        self.assertIn("expected a step from 60 to 200", self.gradus("landscape", fork, "--at", "50", code=64))

    def test_ways_that_are_none(self):
        self.gradus("run", "s.lua", "-q")
        for args, part in [(["--at", "201"], "expected a step from 0 to 200, or end; got '201'"), (["--at", "x"], "got 'x'"), (["--at", "1.5"], "got '1.5'"),
                           (["--at", "3", "--stages"], "--at, --stages: expected one of them"), (["--path", "--weights", "last"], "--weights: expected it without --path"),
                           (["--path", "--reach", "2"], "--reach: expected it without --path"), (["--output", "a.svg", "--directions", "1"], "--output: expected two directions"),
                           (["--output", "runs/gradus.db"], "--output: expected a file name that ends in .svg")]:
            self.assertIn(part, self.gradus("landscape", "1", *args, code=64))
        self.assertIn("cannot write no/such.svg", self.gradus("landscape", "1", "--points", "3", "--output", "no/such.svg", code=74))
        (self.dir / "loop.lua").write_text("""
local g = require "gradus"
return g.experiment { name = "l", run = function(run)
  local d, m = g.data.digits(), g.nn.MLP { 64, 10 }
  local opt = g.optim.SGD(m, { lr = .1 })
  for i, b in run:batches(d, { size = 64, steps = 5 }) do
    opt:minimize(g.loss.cross_entropy(m(b.x), b.y), { lr = .1 })
    run:log { loss = 1 }
  end
end }
""")
        self.gradus("run", "loop.lua", "-q")
        self.assertIn("a script whose last training is distill's or fit's", self.gradus("landscape", "@last", "--at", "3", code=65))
        self.assertIn("has no stages", self.gradus("landscape", "@last", "--stages", code=64))
        (self.dir / "s.lua").write_text(SCRIPT.replace("steps = 200", "steps = 100"))
        self.assertIn("--accept script", self.gradus("landscape", "1", "--at", "150", code=65))
        self.assertIn("has no step 150", self.gradus("landscape", "1", "--at", "150", "--accept", "script", code=65))

    def test_refusals(self):
        self.gradus("run", "s.lua", "-q")
        for args, part in [(["--points", "4"], "--points: expected an odd number"), (["--points", "x"], "expected a whole number"),
                           (["--weights", "worst"], "expected best, last; got 'worst'"), (["--on", "test"], "no data set 'test'"),
                           (["--pionts", "3"], "did you mean '--points'?")]:
            self.assertIn(part, self.gradus("landscape", "1", *args, code=64))
        self.assertIn("no such run", self.gradus("landscape", "9", code=66))
        (self.dir / "s.lua").write_text(SCRIPT.replace("p.width, 10", "p.width, 8, 10"))
        self.assertIn("--accept script", self.gradus("landscape", "1", code=65))
        self.assertIn("layers.", self.gradus("landscape", "1", "--accept", "script", code=65))
        (self.dir / "empty.lua").write_text("return require 'gradus'.experiment { name = 'e', run = function() return { a = 1 } end }\n")
        self.gradus("run", "empty.lua", "-q")
        self.assertIn("has left no student", self.gradus("landscape", "@last", code=66))


if __name__ == "__main__":
    unittest.main()
