"""Cached teachers across processes: one builds while others wait, what a function reads, and which edits of the library matter."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
STDLIB = pathlib.Path(__file__).resolve().parents[2] / "stdlib"

SCRIPT = """
local g = require "gradus"
local nn = g.nn
return g.experiment {
  name = "cached", params = { lr = .01, student = 1 },
  run = function(run, p)
    local d = g.data.digits():split({ train = .5, val = .5 }, { seed = 1 })
    local teacher = run:cached("teacher", function()
      %s
      return run:fit { model = nn.MLP { 64, 16, 10 }, data = d.train, epochs = 1, lr = p.lr }
    end)
    run:distill { teacher = teacher, student = nn.MLP { 64, 8, 10 }, data = d, budget = { epochs = 3 } }
    return { acc = run:evaluate(teacher, d.val).acc }
  end }
"""


class CachedTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.write()

    def write(self, line=""):
        (self.folder / "s.lua").write_text(SCRIPT % line)

    def start(self, *arguments, **environment):
        return subprocess.Popen([GRADUS, "run", "s.lua", "--quiet", *arguments], cwd=self.folder, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, env={**os.environ, **environment})

    def finish(self, process):
        out, _ = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 0, out)

    def found(self, *arguments, kind="cache", **environment):
        """What the run found in the cache: hit or miss, and the event's detail."""
        self.finish(self.start(*arguments, **environment))
        rows = self.rows(f"SELECT name, detail FROM events WHERE kind = '{kind}' ORDER BY id DESC LIMIT 1")
        self.detail = json.loads(rows[0]["detail"])
        return rows[0]["name"]

    def rows(self, query):
        done = subprocess.run([GRADUS, "sql", query, "--json"], cwd=self.folder, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_one_of_several_processes_builds(self):
        processes = [self.start("--seed", str(seed)) for seed in (1, 2, 3)]
        for process in processes:
            self.finish(process)
        names = self.rows("SELECT name, count(*) AS n FROM events WHERE kind = 'cache' GROUP BY name")
        self.assertEqual({row["name"]: row["n"] for row in names}, {"hit": 2, "miss": 1})
        self.assertEqual(len(self.rows("SELECT DISTINCT value FROM metrics WHERE key = 'result/acc'")), 1)

    def test_a_function_that_reads_the_seed_has_one_teacher_a_seed(self):
        self.write("local _ = run.seed")
        processes = [self.start("--seed", str(seed)) for seed in (1, 2, 1, 2)]
        for process in processes:
            self.finish(process)
        names = self.rows("SELECT name, count(*) AS n FROM events WHERE kind = 'cache' GROUP BY name")
        self.assertEqual({row["name"]: row["n"] for row in names}, {"hit": 2, "miss": 2})

    def test_parameters_and_environment_variables(self):
        self.write('if os.getenv "GRADUS_SPEC" then g.rand(1) end')
        self.assertEqual(self.found(), "miss")
        self.assertEqual(self.detail["reads"], {"params.lr": 0.01, "$GRADUS_SPEC": "nil"})
        self.assertEqual(self.found("--set", "student=2"), "hit")
        self.assertEqual(self.found("--set", "lr=.02"), "miss")
        self.assertEqual(self.detail["because"], "params.lr was 0.01")
        self.assertEqual(self.found(GRADUS_SPEC="1"), "miss")
        self.assertEqual(self.found(), "hit")
        shown = subprocess.run([GRADUS, "show", "@last"], cwd=self.folder, capture_output=True, text=True, timeout=60).stdout
        self.assertRegex(shown, r"cache +hit .*params\.lr 0\.0100")

    def test_a_file_that_a_module_of_the_script_reads(self):
        (self.folder / "numbers.lua").write_text("return { value = 1 }")
        self.write('local _ = require("numbers").value')
        self.assertEqual([self.found(), self.found()], ["miss", "hit"])
        (self.folder / "numbers.lua").write_text("return { value = 2 }")
        self.assertEqual(self.found(), "miss")
        self.assertIn("module numbers", self.detail["because"])

    def edit(self, library, file, old, new):
        text = (library / file).read_text()
        self.assertIn(old, text)
        (library / file).write_text(text.replace(old, new, 1))

    def test_only_edits_of_what_was_reached_matter(self):
        library = self.folder / "stdlib"
        shutil.copytree(STDLIB, library)

        def both():
            return [self.found("--stdlib", "stdlib"), self.found("--stdlib", "stdlib", kind="teacher_cache")]
        self.assertEqual(both(), ["miss", "hit"])  # the second run takes the first one's answers
        seed = self.rows("SELECT seed FROM runs WHERE name = 'cached/teacher'")
        for file, old, new in [
                ("experiment/honest.lua", "local honest", "local unused = 1\nlocal honest"),  # what never ran
                ("base/console.lua", "local LIVE_EVERY, PLAIN_EVERY = .1, 5", "local LIVE_EVERY, PLAIN_EVERY = .2, 6"),
                ("nn/module.lua", "function Module:describe()", "function Module:describe()\n  local unused = 1"),
                ("nn/layers.lua", "function Conv2d:forward(x)", "function Conv2d:forward(x)\n  local unused = 1"),
                ("nn/module.lua", "--- ", "--- Another comment.\n--- ")]:
            self.edit(library, file, old, new)
            self.assertEqual(both(), ["hit", "hit"], file)
        self.edit(library, "nn/layers.lua", "function Linear:forward(x, relu)", "function Linear:forward(x, relu)\n    local unused = 1")
        self.assertEqual(self.found("--stdlib", "stdlib", kind="teacher_cache"), "miss")
        self.assertEqual(both(), ["hit", "hit"])
        why = self.rows("SELECT detail FROM events WHERE kind = 'cache' AND name = 'miss' ORDER BY id DESC LIMIT 1")
        self.assertEqual(json.loads(why[0]["detail"])["because"], "stdlib/nn/layers.lua has changed")
        seeds = self.rows("SELECT DISTINCT seed FROM runs WHERE name = 'cached/teacher'")
        self.assertEqual(seeds, seed)  # an edit of the library does not move a teacher's random numbers
        self.assertEqual(len(self.rows("SELECT DISTINCT value FROM metrics WHERE key = 'result/acc'")), 1)


if __name__ == "__main__":
    unittest.main()
