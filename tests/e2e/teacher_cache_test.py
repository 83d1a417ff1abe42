"""The teacher's answers in the store's cache folder, across processes: one builds while others wait; a killed build is in nobody's way."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

GRADUS = os.environ.get("GRADUS", "build/gradus")
GRADUS = str(pathlib.Path(GRADUS).resolve())

SCRIPT = """
local g = require "gradus"
return g.experiment {
  name = "cache", params = { rows = 6000, wide = 512 },
  run = function(run, p)
    local generator = g.generator(4)
    local x = g.randn({ p.rows, 32 }, { generator = generator })
    local d = g.data.tensors(x, x:slice(1, 0, 10):argmax(1), { classes = 10 })
    g.manual_seed(3)
    local teacher = g.nn.MLP { 32, p.wide, p.wide, 10 }
    for _, one in teacher:named_parameters() do g.no_grad(function() one:copy_(g.randn(one.shape, { generator = generator }) * .1) end) end
    run:distill { teacher = teacher, student = g.nn.MLP { 32, 16, 10 }, data = d, batch = 64, alpha = .2, budget = { epochs = 1 } }
  end }
"""


class TeacherCacheTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, True)
        (self.folder / "cache.lua").write_text(SCRIPT)

    def start(self, *arguments):
        return subprocess.Popen([GRADUS, "run", "cache.lua", "--quiet", *arguments], cwd=self.folder, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)

    def finish(self, process):
        out, _ = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 0, out)

    def rows(self, query):
        done = subprocess.run([GRADUS, "sql", query, "--json"], cwd=self.folder, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def found(self):
        return [row["name"] for row in self.rows("SELECT name FROM events WHERE kind = 'teacher_cache' ORDER BY time, id")]

    def files(self):
        return sorted(path.name.split(".", 1)[1] for path in (self.folder / "runs/cache").iterdir())

    def test_one_of_two_processes_builds_and_the_runs_are_alike(self):
        both = [self.start(), self.start()]
        for process in both:
            self.finish(process)
        self.assertEqual(sorted(self.found()), ["hit", "miss"])
        self.assertEqual(self.files(), ["safetensors", "safetensors.lock"])
        curves = self.rows("SELECT count(DISTINCT value) AS values_, count(*) AS n FROM metrics WHERE key = 'train/loss' GROUP BY step")
        self.assertEqual({(row["values_"], row["n"]) for row in curves}, {(1, 2)})

    def test_a_build_that_was_killed_is_in_nobodys_way(self):
        process = self.start("--set", "rows=60000", "--set", "wide=1500")
        deadline = time.monotonic() + 60
        cache = self.folder / "runs/cache"
        while not list(cache.glob("*.part")) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.005)
        self.assertTrue(list(cache.glob("*.part")), "the build was over before it could be killed")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        self.assertEqual(self.files(), ["safetensors.lock", "safetensors.part"])
        self.finish(self.start())
        self.assertEqual(self.found(), ["miss"])


if __name__ == "__main__":
    unittest.main()
