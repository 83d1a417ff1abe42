"""`gradus check`: a dry run of the shipped scripts, and of one with settings that do nothing."""

import os
import pathlib
import resource
import shutil
import subprocess
import tempfile
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"

BAD = """
local g = require "gradus"
return g.experiment { name = "bad", run = function(run)
  local d = g.data.digits():split { train = .7, val = .3 }
  run:distill { student = g.nn.MLP { 64, 8, 10 }, teacher = g.nn.MLP { 64, 8, 10 }, data = d, budget = { epochs = 5 },
    lr = 1e-3, decay = "constant", warmup = { epochs = 50 }, temperature = 1 }
end }
"""


class CheckTest(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def check(self, *arguments):
        return subprocess.run([GRADUS, "check", *arguments], cwd=self.dir, capture_output=True, text=True, timeout=300)

    def test_shipped_scripts_pass_and_nothing_is_stored(self):
        experiments = [path for path in sorted(SCRIPTS.glob("*.lua")) if path.name != "claims.lua"]
        self.assertGreater(len(experiments), 15)
        for path in experiments:
            with self.subTest(path.name):
                done = self.check(str(path))
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertIn("Nothing to refuse.", done.stdout)
                self.assertIn("lr", done.stdout)
                self.assertEqual(list(self.dir.iterdir()), [])

    def test_published_sizes_need_little_memory(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
        for name, settings in (("parity_mlp", ()), ("parity_transformer", ()), ("cfg3b_bert", ("--set", "method=extraction"))):
            with self.subTest(name):
                done = subprocess.run([GRADUS, "check", str(SCRIPTS / f"{name}.lua"), "--set", "size=paper", *settings], cwd=self.dir,
                                      capture_output=True, text=True, timeout=600, preexec_fn=limit)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertIn("Nothing to refuse.", done.stdout)

    def test_what_does_nothing_is_refused(self):
        (self.dir / "bad.lua").write_text(BAD)
        done = self.check("bad.lua")
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assertIn("refused: lr never leaves its warm-up", done.stdout)
        self.assertIn("advice: stage 'all': temperature is 1 to 1; below 2", done.stdout)
        self.assertEqual(done.stderr, "check: 1 setting refused\n")  # no line of the script: none raised it

    def test_one_bad_plan_of_several_is_enough(self):
        # The first is refused, the second is fine; and the other way round.
        text = BAD.replace('name = "bad",', 'name = "bad", params = { epochs = 1 }, grid = { epochs = { FIRST, SECOND } },')
        text = text.replace("function(run)", "function(run, p)").replace("{ epochs = 50 }", "{ epochs = p.epochs }")
        for first, second, refused in ((50, 1, 1), (1, 50, 1), (50, 60, 2)):
            with self.subTest((first, second)):
                (self.dir / "grid.lua").write_text(text.replace("FIRST", str(first)).replace("SECOND", str(second)))
                done = self.check("grid.lua")
                self.assertEqual(done.returncode, 65, done.stdout)
                self.assertEqual(done.stdout.count("refused: lr never leaves its warm-up"), refused)
                self.assertNotIn("Nothing to refuse.", done.stdout)
                self.assertEqual(done.stderr, f"check: {refused} setting{'s' if refused > 1 else ''} refused\n")

    def test_usage(self):
        self.assertEqual(self.check().returncode, 64)
        self.assertEqual(self.check("none.lua").returncode, 66)


if __name__ == "__main__":
    unittest.main()
