"""A run on an accelerator, as a user meets it; the accelerator is simulated (tests/simulated).

With kernels of ours for it (GRADUS_SIMULATED_KERNELS=all) the device computes the CPU's bits, so whole runs must agree to
the last one: nothing was left out, read too early or drawn from another stream. Learning rates are ones that float32 holds,
which is what optimizers take on a device.
"""

import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile
import unittest

GRADUS = pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve()
LIBRARY = str(pathlib.Path(os.environ.get("GRADUS_DEVICE_LIBRARY", "build/libgradus_simulated.so")).resolve())

MLP = """
local g = require "gradus"
local nn = g.nn
local function build(train) return g.fit { model = nn.MLP { 64, 32, 10 }, data = train, epochs = 2, lr = 2^-8, decay = "constant", warmup = 0 } end
return g.experiment { name = "mlp", run = function(run)
  local d = g.data.digits():split { train = .5, val = .2, test = .3 }
  local teacher = run:cached("teacher", build, d.train)
  local ranked = d.train:rank(g.score.margin(teacher))
  local student = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(.2), nn.Linear(16, 10))
  local r = run:distill { teacher = teacher, student = student, data = d, lr = 2^-8, decay = "constant", warmup = 0, budget = { epochs = 4 },
    temperature = g.schedule.linear(6, 2), suites = { hard = d.test:first(.2) }, curriculum = {
      { "easy", sample = ranked:first(.5), augment = .5, advance = g.when.epochs(1) }, { "all", sample = ranked } } }
  student:save(run.folder .. "/student.safetensors")
  return { acc = run:evaluate(r.student, d.test, teacher).acc }
end }
"""

TRANSFORMER = """
local g = require "gradus"
local nn = g.nn
local function net(width, layers)
  return nn.Transformer { vocabulary = 12, outputs = 2, context = 8, width = width, heads = 2, layers = layers, pool = "mean", dropout = .1 }
end
return g.experiment { name = "transformer", run = function(run)
  local x = g.randint(0, 12, { 256, 8 }, { generator = g.generator(1) })
  local d = g.data.tensors(x, x:sum(1):remainder(2)):split { train = .75, val = .25 }
  local teacher, student = net(16, 2), net(8, 1)
  local opt, src = run:register("opt", g.optim.AdamW(student)), run:register("src", g.sampler.uniform(d.train))
  run:register("student", student)
  local step = run:step(function(b, k)
    local kd = g.kd_loss(student(b.x), b.teacher, b.y, k)
    opt:minimize(kd.loss, { lr = k.lr, clip = 1 })
    return kd
  end)
  for i, b in run:batches(src, { size = 32, steps = 40, teacher = teacher, augmentations = {} }) do
    local out = step(b, { temperature = 6 - i / 10, alpha = .5, lr = 2^-8 })
    run:log { ["train/loss"] = out.loss, ["train/sure"] = out.confidence:mean() }
    if i % 10 == 0 then run:log { ["val/loss"] = run:evaluate(student, d.val).loss } end
  end
  student:save(run.folder .. "/student.safetensors")
end }
"""

LEFT = """
local g = require "gradus"
return g.experiment { name = "left", run = function(run)
  local net = g.nn.MLP { 2, 2 }
  for _, b in run:batches(g.data.tensors(g.ones { 8, 2 }, g.zeros({ 8 }, { dtype = "int64" })), { size = 4, steps = 2 }) do
    net(b.x)
  end
end }
"""


class Device(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def gradus(self, *args, code=0, **env):
        known = {k: v for k, v in os.environ.items() if k not in ("GRADUS_STORE", "GRADUS_DEVICE_LIBRARY")}
        done = subprocess.run([str(GRADUS), *args], cwd=self.folder, capture_output=True, text=True, timeout=120, env={**known, **env})
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def run_on(self, device, script, kernels="all"):
        """Metrics by key and step, and the file of the student's weights."""
        (self.folder / "script.lua").write_text(script)
        store = f"{device}/gradus.db"
        (self.folder / device).mkdir(exist_ok=True)
        self.gradus("run", "script.lua", "--store", store, "--seed", "3", "--strict", "--device", device, GRADUS_DEVICE_LIBRARY=LIBRARY,
                    GRADUS_SIMULATED_KERNELS=kernels)
        with sqlite3.connect(f"file:{self.folder / store}?mode=ro", uri=True) as db:
            run, uid, stored = db.execute("SELECT id, uid, device FROM runs WHERE kind = 'run'").fetchone()
            self.assertEqual(stored.split(":")[0], device)
            metrics = {(key, step): value for key, step, value in
                       db.execute("SELECT key, step, value FROM metrics WHERE run_id = ?", [run])}
        return metrics, (self.folder / device / uid / "student.safetensors").read_bytes()

    def assert_same_bits(self, script):
        here, weights = self.run_on("cpu", script)
        there, others = self.run_on("simulated", script)
        self.assertGreater(len(here), 50)
        self.assertEqual(here, there)
        self.assertEqual(weights, others)

    def test_an_mlp_is_distilled_to_the_same_bits(self):
        self.assert_same_bits(MLP)

    def test_a_transformer_is_trained_to_the_same_bits(self):
        self.assert_same_bits(TRANSFORMER)

    def test_without_kernels_of_ours_the_formulas_serve(self):
        here, _ = self.run_on("cpu", MLP)
        there, _ = self.run_on("simulated", MLP, kernels="")
        self.assertEqual(here.keys(), there.keys())
        self.assertTrue(any(here[key] != there[key] for key in here))  # or they were not used
        for key in (key for key in here if key[0] == "train/loss" and key[1] <= 20):
            self.assertAlmostEqual(here[key], there[key], delta=1e-3)

    def test_show_and_runs_tell_the_device(self):
        self.run_on("simulated", MLP)
        self.assertIn("simulated", self.gradus("show", "@last", "--store", "simulated/gradus.db"))
        self.assertIn('"device":"simulated"', self.gradus("runs", "--json", "--store", "simulated/gradus.db").replace(" ", ""))

    def test_check_tries_its_steps_there(self):
        (self.folder / "script.lua").write_text(MLP)
        self.assertIn("Nothing to refuse", self.gradus("check", "script.lua", "--device", "simulated", GRADUS_DEVICE_LIBRARY=LIBRARY))

    def test_a_module_left_on_the_cpu_is_one_line_that_names_both(self):
        (self.folder / "script.lua").write_text(LEFT)
        told = self.gradus("run", "script.lua", "--device", "simulated", code=65, GRADUS_DEVICE_LIBRARY=LIBRARY)
        line = [one for one in told.splitlines() if "cpu" in one][0]
        self.assertIn("script.lua:6", line)
        self.assertIn("simulated:0", line)

    def test_a_device_that_is_not_there(self):
        (self.folder / "script.lua").write_text(LEFT)
        told = self.gradus("run", "script.lua", "--device", "simulated", code=64)
        self.assertIn("device 'simulated' is unknown; expected cpu, cuda, cuda:N, mps or xpu", told)
        told = self.gradus("run", "script.lua", "--device", "simulated", code=64, GRADUS_DEVICE_LIBRARY="/nowhere.so")
        self.assertIn("GRADUS_DEVICE_LIBRARY: '/nowhere.so' cannot be loaded", told)
        told = self.gradus("run", "script.lua", "--device", "simulated:3", code=64, GRADUS_DEVICE_LIBRARY=LIBRARY)
        self.assertIn("device 'simulated:3' is not available here", told)

    def test_nothing_of_an_accelerator_is_linked(self):
        for name in ("libgradus_engine.so", "libgradus_simulated.so"):
            told = subprocess.run(["readelf", "-d", str(GRADUS.parent / name)], capture_output=True, text=True, check=True).stdout
            torch = sorted(line.split("[")[1][:-1] for line in told.splitlines() if "NEEDED" in line and ("torch" in line or "c10" in line))
            self.assertEqual(torch, ["libc10.so", "libtorch_cpu.so"])


if __name__ == "__main__":
    unittest.main()
