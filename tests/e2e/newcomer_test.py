"""What a new user writes first: 15 lines with an own model, CSV, temperature and advance rule; own modules; own sources; and
the scripts that show how."""

import json
import math
import os
import pathlib
import random
import re
import shutil
import subprocess
import tempfile
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
README = pathlib.Path(__file__).resolve().parents[2] / "README.md"
SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"

FIRST_SCRIPT = """local g = require "gradus"
local Net = g.nn.class "Net"
function Net:init(width) self.hidden = g.nn.Linear(2, width) self.out = g.nn.Linear(width, 3) end
function Net:forward(x) return self.out(self.hidden(x):relu()) end
local function build(train) return g.fit { model = Net(64), data = train, epochs = 60, lr = .02 } end
return g.experiment { name = "spirals", grid = { seed = { 1, 2 } }, run = function(run)
  local d = g.data.csv("spirals.csv", { label = "arm" }):split { train = .6, val = .2, test = .2 }
  local teacher = run:cached("teacher", build, d.train)
  local ranked = d.train:rank(g.score.loss(teacher))
  local r = run:distill { teacher = teacher, student = Net(12), data = d, budget = { epochs = 40 }, lr = .02, curriculum = {
    { "easy", sample = ranked:first(.4), temperature = function(s) return 6 - 4 * s.progress end,
      advance = function(s) return s:last "val/acc" > .6 or s.stage_epochs > 15, { acc = s:last "val/acc" } end },
    { "all", sample = ranked, temperature = 2 } } }
  return { acc = run:evaluate(r.student, d.test).acc, teacher = run:evaluate(teacher, d.test).acc }
end }
"""


class Newcomer(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def run_script(self, text, *args, name="mine.lua"):
        (self.folder / name).write_text(text)
        return self.gradus("run", name, "--json", *args)["runs"]

    def gradus(self, *args):
        done = subprocess.run([GRADUS, *args], cwd=self.folder, capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def sql(self, query):
        return self.gradus("sql", query, "--json")

    def write_spirals(self):
        generator = random.Random(1)
        with open(self.folder / "spirals.csv", "w") as file:
            file.write("x,y,arm\n")
            for i in range(900):
                t = generator.random()
                angle = 2 * math.pi * (i % 3) / 3 + 4.5 * t
                x, y = (t * f(angle) + generator.gauss(0, .03) for f in (math.cos, math.sin))
                file.write(f"{x:.4f},{y:.4f},{'abc'[i % 3]}\n")

    def test_fifteen_lines(self):
        self.assertEqual(FIRST_SCRIPT.count("\n"), 15)
        self.write_spirals()
        runs = self.run_script(FIRST_SCRIPT)
        self.assertEqual([r["seed"] for r in runs], [1, 2])
        for run in runs:
            self.assertGreater(run["result"]["acc"], .45)  # chance is a third
            self.assertGreater(run["result"]["teacher"], .75)
        # The temperature that the function gave is in the store, step by step, and falls within the stage.
        steps = self.sql(f"SELECT step, value FROM metrics WHERE run_id = {runs[0]['id']} AND key = 'knob/temperature' ORDER BY step")
        self.assertEqual(steps[0]["value"], 6)
        self.assertEqual(steps[-1]["value"], 2)
        # The advance rule's decision is an event with the number that it was taken from.
        went = self.sql(f"SELECT step, name, detail FROM events WHERE run_id = {runs[0]['id']} AND kind = 'decision'")
        self.assertEqual([w["name"] for w in went], ["next"])
        self.assertEqual(json.loads(went[0]["detail"])["to"], "all")
        at = self.sql(f"SELECT value FROM metrics WHERE run_id = {runs[0]['id']} AND key = 'val/acc' AND step = {went[0]['step']}")
        self.assertEqual(json.loads(went[0]["detail"])["numbers"]["acc"], at[0]["value"])
        # Again: the teachers come from the cache, everything else is the same.
        again = self.run_script(FIRST_SCRIPT)
        self.assertEqual([r["result"] for r in again], [r["result"] for r in runs])
        self.assertEqual([r["name"] for r in self.sql("SELECT name FROM events WHERE kind = 'cache' ORDER BY id")], ["miss", "miss", "hit", "hit"])
        # A changed method of the own class is another teacher.
        self.run_script(FIRST_SCRIPT.replace(":relu()", ":tanh()"), "--seed", "1")
        self.assertEqual(self.sql("SELECT name FROM events WHERE kind = 'cache' ORDER BY id DESC LIMIT 1")[0]["name"], "miss")

    def test_the_readmes_first_script_as_it_stands(self):
        script = re.search(r"^## A script\n+```lua\n(.*?)```", README.read_text(), re.S | re.M).group(1)
        self.assertLessEqual(script.count("\n"), 10)
        code = re.sub(r"--.*", "", script)
        if "points.csv" in code:  # which nobody has
            rows = [f"{i % 7},{i % 5},{'abc'[(i % 7) // 3]}" for i in range(300)]
            (self.folder / "points.csv").write_text("a,b,class\n" + "\n".join(rows) + "\n")
        runs = self.run_script(script)
        self.assertEqual([run["status"] for run in runs], ["finished"] * len(runs))
        self.assertGreater(max(value for value in runs[0]["result"].values() if value <= 1), .8)

    def test_the_open_loop_with_a_module_beside_the_script(self):
        (self.folder / "mymodel.lua").write_text("""
            local nn = require("gradus").nn
            local Net = nn.class "Net"
            function Net:init(width)
              self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU())
              self.head = nn.Linear(width, 10)
            end
            function Net:forward(x) return self.head(self.body(x)) end
            return Net""")
        runs = self.run_script("""
            local g = require "gradus"
            local Net = require "mymodel"
            local function build(train) return g.fit { model = Net(64), data = train, epochs = 5, lr = 5e-3 } end
            return g.experiment { name = "open", params = { alpha = .7, lr = 3e-3 }, run = function(run, p)
              local d = g.data.digits():split { train = .7, val = .15, test = .15 }
              local teacher, student = run:cached("teacher", build, d.train), Net(16)
              local opt = run:register("opt", g.optim.AdamW(student))
              local src = run:register("src", g.sampler.confidence(d.train))
              local step = run:step(function(b, k)
                local kd = g.kd_loss(student(b.x), b.teacher, b.y, k)
                opt:minimize(kd.loss, { lr = k.lr, clip = 1 })
                return kd
              end)
              for i, b in run:batches(src, { size = 64, steps = 5000, teacher = teacher }) do
                local out = step(b, { temperature = 4, alpha = p.alpha, lr = p.lr })
                src:observe(b.index, out.confidence)
                run:log { loss = out.loss }
                if i % 100 == 0 and run:evaluate(student, d.val).acc > .8 then run:decide("stop") break end
              end
              return { acc = run:evaluate(student, d.test).acc, steps = run.step_number }
            end }""")
        self.assertGreater(runs[0]["result"]["acc"], .75)
        self.assertLess(runs[0]["result"]["steps"], 1000)
        logged = self.sql("SELECT count(*) AS n, max(step) AS last FROM metrics WHERE key = 'loss'")[0]
        self.assertEqual((logged["n"], logged["last"]), (runs[0]["result"]["steps"],) * 2)
        self.assertIn("mymodel.lua", [r["path"] for r in self.sql("SELECT path FROM run_sources WHERE run_id = 1")])

    def test_a_generator_as_data(self):
        runs = self.run_script("""
            local g = require "gradus"
            local function xor(size)
              local x = g.randn { size, 2 }
              return x, (x:select(1, 0) * x:select(1, 1)):gt(0):long()
            end
            return g.experiment { name = "xor", run = function(run)
              local x, y = xor(500)
              local r = run:distill { student = g.nn.MLP { 2, 16, 2 }, budget = { epochs = 20 }, lr = 1e-2,
                data = { train = g.data.generator(xor, { epoch = 1000, classes = 2 }), val = g.data.tensors(x, y) } }
              return { acc = r:best "val/acc" }
            end }""")
        self.assertGreater(runs[0]["result"]["acc"], .9)

    def test_a_curriculum_of_four_functions(self):
        runs = self.run_script("""
            local g = require "gradus"
            local asked = { sample = 0, target = 0, pressure = 0, advance = 0 }
            local function count(name) asked[name] = asked[name] + 1 end
            return g.experiment { name = "four", run = function(run)
              local d = g.data.digits():split { train = .5, val = .2 }
              local ranked = d.train:rank(function(x) return x:flatten(1):sum { dim = 1 } end)
              local r = run:distill { teacher = g.nn.MLP { 64, 10 }, student = g.nn.MLP { 64, 8, 10 }, data = d, budget = { epochs = 10 }, curriculum = {
                sample = function(s) count "sample" return ranked:first(math.min(1, .3 + .05 * s.epoch)) end,
                target = function(s) count "target" return s.teacher end,
                pressure = function(s) count "pressure" return { temperature = math.max(2, 6 - s.epoch) } end,
                advance = function(s) count "advance" return s.evaluations == 4 and "stop" end } }
              asked.steps, asked.epochs = r.steps, r.epochs
              return asked
            end }""")
        asked = runs[0]["result"]
        self.assertEqual((asked["target"], asked["advance"]), (1, 4))  # once per stage, once per evaluation
        self.assertEqual(asked["pressure"], asked["steps"])
        self.assertEqual(asked["sample"], 1 + math.floor(asked["epochs"]))
        self.assertAlmostEqual(asked["epochs"], 4, 1)

    def test_a_model_with_a_list_of_layers(self):
        """As one writes it in PyTorch: a list of layers, a loop over it, an index from 0; all of them are trained."""
        runs = self.run_script("""
            local g = require "gradus"
            local nn = g.nn
            local Net = nn.class "Net"
            function Net:init(width, depth)
              self.stem, self.head, self.blocks = nn.Linear(64, width), nn.Linear(width, 10), nn.ModuleList()
              for i = 1, depth do self.blocks:append(nn.Linear(width, width)) end
            end
            function Net:forward(x)
              x = self.stem(x:flatten(1)):relu()
              for _, block in ipairs(self.blocks) do x = x + block(x):relu() end
              return self.head(x)
            end
            return g.experiment { name = "list", params = { depth = g.int(3) }, run = function(run, p)
              local d = g.data.digits():split { train = .8, val = .2 }
              local net = Net(32, p.depth)
              local before = {}
              for i = 0, #net.blocks - 1 do before[i] = net.blocks[i].weight:clone() end
              local r = run:distill { teacher = "labels", student = net, data = d, budget = { epochs = 5 }, lr = 5e-3 }
              local moved = 0
              for i, block in ipairs(r.student.blocks) do
                if not block.weight:equal(before[i]) then moved = moved + 1 end
              end
              return { acc = run:evaluate(r.student, d.val).acc, moved = moved, unused = #net:unused_parameters(net(d.val:gather()):sum()) }
            end }""")
        self.assertEqual((runs[0]["result"]["moved"], runs[0]["result"]["unused"]), (3, 0))
        self.assertGreater(runs[0]["result"]["acc"], .8)

    def test_results_of_every_kind(self):
        runs = self.run_script("""
            local g = require "gradus"
            return g.experiment { name = "kinds", run = function() return { acc = g.ones(1):mean(), note = "good", ok = true, n = 3 } end }""")
        self.assertEqual(runs[0]["result"], {"acc": 1, "note": "good", "ok": True, "n": 3})

    def test_a_loop_as_in_pytorch(self):
        """Gradients by hand, a class of one's own that the loop sees, files and a table kept with the run; then the weights elsewhere."""
        runs = self.run_script("""
            local g = require "gradus"
            local nn = g.nn
            local Net = nn.class("Net", nn.Module)
            function Net:init() self.fc1, self.bn, self.fc2 = nn.Linear(64, 32), nn.BatchNorm1d(32), nn.Linear(32, 10) end
            function Net:forward(x) return self.fc2(self.bn(self.fc1(x:flatten(1))):relu()) end
            return g.experiment { name = "loop", params = { lr = 1e-2 }, run = function(run, p)
              local d = g.data.digits():split { train = .8, val = .2 }
              local model = Net()
              local opt = g.optim.SGD(model:parameters(), { lr = p.lr, momentum = .9 })
              for epoch = 1, 3 do
                model:train()
                for i, b in run:batches(d.train, { size = 64, epochs = 1 }) do
                  opt:zero_grad()
                  local loss = g.loss.cross_entropy(model(b.x), b.y)
                  loss:backward()
                  opt:step { clip = 1 }
                  run:log { ["train/loss"] = loss:item() }
                end
                model:eval()
                run:log { ["val/acc"] = run:evaluate(model, d.val).acc }
              end
              model:save(run.folder .. "/model.safetensors")
              run:artifact(run.folder .. "/model.safetensors", "weights")
              return { acc = run:evaluate(model, d.val).acc }
            end }""")
        self.assertGreater(runs[0]["result"]["acc"], .85)
        self.assertEqual([r["path"] for r in self.sql("SELECT path FROM artifacts")], ["model.safetensors"])
        self.assertEqual(self.sql("SELECT count(*) AS n FROM metrics WHERE key = 'val/acc'")[0]["n"], 3)

    def test_several_teachers_a_hint_and_the_weights_elsewhere(self):
        runs = self.run_script("""
            local g = require "gradus"
            local nn = g.nn
            return g.experiment { name = "ensemble", grid = { way = { "one", "two" } }, params = { way = "one" }, run = function(run, p)
              local d = g.data.digits():split { train = .6, val = .2, test = .2 }
              local a = g.fit { model = nn.MLP { 64, 64, 10, norm = "layer" }, data = d.train, epochs = 5 }
              local b = g.fit { model = nn.MLP { 64, 64, 10 }, data = d.train, epochs = 5 }
              local map = nn.Linear(16, 64)
              local hint = { weight = .1, module = map, student = { "layers.0" }, teacher = { "layers.0" },
                loss = function(_, out) return g.loss.mse(map(out.student["layers.0"]), out.teacher["layers.0"]) end }
              local r = run:distill { teacher = p.way == "one" and a or { a, b }, student = nn.MLP { 64, 16, 10 }, data = d, lr = 5e-3,
                losses = p.way == "one" and { kd = 1, hint = hint } or nil, budget = { epochs = 5 }, suites = { test = d.test } }
              return { acc = r:best "val/acc", forgotten = r:forgetting "test", value = r.best.value }
            end }""")
        self.assertEqual(len(runs), 2)
        (self.folder / "use.lua").write_text("""
            local g = require "gradus"
            for _, one in ipairs(g.runs { where = "status == 'finished'" }) do
              local student = g.nn.MLP { 64, 16, 10 }
              student:load(one:weights())
              local x, y = g.data.digits():gather()
              print(student(x):argmax(1):eq(y):double():mean():item())
            end""")
        done = subprocess.run([GRADUS, "run", "use.lua"], cwd=self.folder, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([float(line) > .5 for line in done.stdout.split()], [True, True])

    def test_questions_are_answered(self):
        for topic, words in (("distill", "curriculum"), ("sampler.weighted", "in proportion"), ("alpha", "(1 − α) T² KL"), ("softmax", "int dim")):
            done = subprocess.run([GRADUS, "help", topic], cwd=self.folder, capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(words, done.stdout)

    def test_scripts_to_start_from(self):
        for name, args, results in (("own_data", ("--set", "width=4", "--seed", "1"), {"student", "teacher"}),
                                    ("open_loop", ("--set", "good=0.3"), {"acc", "steps"}),
                                    ("own_strategy", ("--set", "epochs=2", "--seed", "1"), {"acc", "epochs"})):
            with self.subTest(script=name):
                text = (SCRIPTS / f"{name}.lua").read_text()
                self.assertLessEqual(text.count("\n"), 40)
                self.assertTrue(text.startswith("-- "))
                shorter = re.sub(r"epochs = (150|200|30)\b", "epochs = 3", text)  # what they do, not how well
                runs = self.run_script(shorter, *args, name=f"{name}.lua")
                self.assertEqual(set(runs[0]["result"]), results)


if __name__ == "__main__":
    unittest.main()
