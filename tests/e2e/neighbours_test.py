"""Runs of one machine know of each other: who begins beside others takes the cores that they leave, and says so."""

import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile
import time
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
CORES = len(os.sched_getaffinity(0))

LARGE = """
local g = require "gradus"
return g.experiment { name = "large", params = { steps = 3 }, run = function(run, p)
  local x = g.randn({ 128, 512 }, { generator = g.generator(3) })
  run:distill { student = g.nn.MLP { 512, 1024, 10 }, data = g.data.tensors(x, x:slice(1, 0, 10):argmax(1)), batch = 64,
    budget = { steps = p.steps } }
end }
"""


@unittest.skipIf(CORES < 2, "one core: nothing to share")
class Neighbours(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        (self.dir / "x.lua").write_text(LARGE)
        self.env = {**os.environ, "XDG_RUNTIME_DIR": str(self.dir)}
        self.env.pop("GRADUS_ALONE", None)

    def run_script(self, *args, **env):
        done = subprocess.run([GRADUS, "run", "x.lua", *args], cwd=self.dir, env={**self.env, **env}, capture_output=True,
                              text=True, timeout=100)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stderr

    def query(self, sql):
        with sqlite3.connect(self.dir / "runs/gradus.db") as database:
            return database.execute(sql).fetchall()

    def last_threads(self):
        return self.query("SELECT threads FROM runs ORDER BY id DESC LIMIT 1")[0][0]

    def test_a_run_takes_what_others_leave(self):
        neighbour = subprocess.Popen([GRADUS, "run", "x.lua", "--set", "steps=1000000"], cwd=self.dir, env=self.env,
                                     stderr=subprocess.DEVNULL)
        self.addCleanup(neighbour.wait)
        self.addCleanup(neighbour.kill)
        deadline = time.monotonic() + 60
        while not list(self.dir.glob("gradus/[0-9]*")):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(.02)
        time.sleep(.2)
        left = max(1, CORES - min(CORES, 2))
        wanted = min(CORES, 2)
        err = self.run_script()
        self.assertEqual(self.last_threads(), min(wanted, left))
        if left < wanted:
            self.assertIn(f"threads: {left} of {wanted}, since other runs use 2 of {CORES} cores", err)
            [(detail,)] = self.query("SELECT detail FROM events WHERE kind = 'threads' ORDER BY id DESC LIMIT 1")
            self.assertEqual([json.loads(detail)[key] for key in ("wanted", "others")], [wanted, 2])
        self.run_script("--threads", "2")
        self.assertEqual(self.last_threads(), 2)
        self.run_script(GRADUS_ALONE="1")
        self.assertEqual(self.last_threads(), wanted)
        neighbour.kill()
        neighbour.wait()
        self.assertEqual(self.run_script().count("threads:"), 0)  # a dead one counts for nothing
        self.assertEqual(self.last_threads(), wanted)
        self.assertEqual([path.name for path in self.dir.glob("gradus/*")], ["lock"])

    def test_runs_of_one_command_have_what_each_has_alone(self):
        self.run_script("--seed", "1,2,3,4", "-j", "2")
        self.assertEqual(self.query("SELECT DISTINCT threads FROM runs"), [(min(CORES, 2),)])

    def test_a_folder_of_somebody_else_is_left_alone(self):
        (self.dir / "gradus").write_text("no folder")
        self.run_script()
        self.assertEqual(self.last_threads(), min(CORES, 2))


if __name__ == "__main__":
    unittest.main()
