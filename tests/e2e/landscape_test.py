"""`gradus landscape RUN`: the loss around what a run has left of its student."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
STDLIB = ["--stdlib", os.environ["GRADUS_STDLIB"]] if "GRADUS_STDLIB" in os.environ else []
SCRIPT = """
local g = require "gradus"
return g.experiment { name = "two", params = { width = g.int(8), after = "" }, run = function(run, p)
  local d = g.data.digits():split { train = .8, val = .2 }
  local teacher = g.fit { model = g.nn.MLP { 64, 16, 10 }, data = d.train, steps = 50 }
  local r = run:distill { teacher = teacher, student = g.nn.MLP { 64, p.width, 10 }, data = d, budget = { steps = 200 },
    evaluate = { steps = 50 },
    curriculum = { sample = d.train:rank(g.score.loss(teacher)):first(.5) } }
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
        stdlib = STDLIB if args[0] in ("run", "landscape") else []
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
