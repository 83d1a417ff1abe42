"""The table that `gradus run` ends with, of runs whose numbers are known."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())

SCRIPT = """local g = require "gradus"
local acc = { new = { 40, 30, 20 }, old = { %s, 10, 5 } }
return g.experiment {
  name = "known", params = { method = g.choice { "new", "old" } }, grid = { method = { "new", "old" }, seed = { 1, 2, 3 } },
  columns = { { "acc", "acc"%s } }, versus = { "acc", "old", "difference" },
  run = function(run, p)
    local one = acc[p.method][run.seed]
    if one == "none" then return {} end
    if one == "fails" then error "this one fails" end
    return { acc = one }
  end,
}
"""


class TableTest(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def run_script(self, first, pattern="", *options):
        (self.dir / "known.lua").write_text(SCRIPT % (first, pattern))
        return subprocess.run([GRADUS, "run", "known.lua", *options], cwd=self.dir, capture_output=True, text=True, timeout=120)

    def row(self, done, name):
        """The cells of a group's row."""
        lines = [line for line in done.stdout.splitlines() if line.split()[:1] == [name]]
        self.assertEqual(len(lines), 1, done.stdout)
        return " ".join(lines[0].split())

    def test_mean_and_sample_standard_deviation(self):
        done = self.run_script("3")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("30 ± 10", self.row(done, "new"))  # 8.16 by the number of values
        self.assertIn("6.0 ± 3.6", self.row(done, "old"))  # 2.9
        self.assertIn("+24.0 ± 11.5", self.row(self.run_script("3", ', "%.1f"'), "new"))

    def test_of_two_runs(self):
        done = self.run_script('"none"', ', "%.4f"')
        self.assertIn("7.5000 ± 3.5355", self.row(done, "old"))
        done = json.loads(self.run_script('"none"', "", "--json").stdout)
        old = next(group for group in done["groups"] if group["by"]["method"] == "old")
        self.assertAlmostEqual(old["acc"]["sd"], 12.5 ** .5, 9)

    def test_differences_are_those_of_one_seed(self):
        # seeds 2 and 3: 30 - 10 and 20 - 5; by their place in the list they would be 40 - 10 and 30 - 5
        for missing in ('"none"', '"fails"'):
            with self.subTest(missing):
                done = self.run_script(missing, ', "%.1f"')
                self.assertIn("+17.5 ± 3.5", self.row(done, "new"))
                self.assertNotIn("27.5", done.stdout)


if __name__ == "__main__":
    unittest.main()
