"""Bad scripts, options, data and stores, through the whole program: one line first, `where: what`, and the right exit code.

A case is a few lines of Lua put into an experiment's run function (or a whole script), the words that the first line of the
error must have, and the code. The line number of the user's mistake is where the case says `--HERE` (its last line
otherwise), and the message must name that line of the user's file, not one of the standard library.
"""

import gzip
import json
import os
import pathlib
import re
import shutil
import sqlite3
import struct
import subprocess
import tempfile
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
DATA, USAGE, MISSING, IO, NON_FINITE = 65, 64, 66, 74, 3

# What a case may use: d (a split of digits), teacher, student, ranked; distill(more) runs a tiny distillation.
PRELUDE = """local g = require "gradus"
local nn, when, schedule, sampler, curriculum, score, data, optim, target = g.nn, g.when, g.schedule, g.sampler, g.curriculum, g.score, g.data, g.optim, g.target
return g.experiment { name = "case", run = function(run, p)
local d = data.digits():split { train = .1, val = .1 }
local teacher, student, ranked = nn.MLP { 64, 10 }, nn.MLP { 64, 4, 10 }, d.train:shuffled()
local function with(more)
  local o = { teacher = teacher, student = student, data = d, budget = { steps = 3 } }
  for k, v in pairs(more) do o[k] = v end
  return o
end
"""
POSTLUDE = "\nend }\n"

CASES = {}


def case(name, lua, *words, code=DATA, whole=False, files=None, args=()):
    """whole: the text is the script itself. files: name -> bytes beside the script."""
    assert name not in CASES, name
    CASES[name] = (lua, words, code, whole, files or {}, args)


# --- misspelt names: the nearest right one is told ---
case("experiment option", 'local g = require "gradus"\nreturn g.experiment { nmae = "x", run = function() end }', "experiment", "'nmae'", "did you mean 'name'", whole=True)
case("distill option", "run:distill(with { temprature = 4 })", "distill", "'temprature'", "did you mean 'temperature'")
case("distill option, swapped letters", "run:distill(with { aplha = .5 })", "did you mean 'alpha'")
case("distill option, as it sounds", "run:distill(with { alfa = .5 })", "did you mean 'alpha'")
case("budget option", "run:distill(with { budget = { epoch = 2 } })", "budget", "did you mean 'epochs'")
case("evaluate option", "run:distill(with { evaluate = { step = 2 } })", "evaluate", "did you mean 'steps'")
case("augmentation", "run:distill(with { augment = .5, augmentations = { nois = 1 } })", "augmentations", "did you mean 'noise'")
case("fit option", "run:fit { model = student, data = d, epoch = 2 }", "fit", "did you mean 'epochs'")
case("g.fit option", "g.fit { model = student, data = d, epohcs = 2 }", "fit", "did you mean 'epochs'")
case("curriculum's name", "run:distill(with { curriculum = 'linear_rampp' })", "curriculum", "did you mean 'linear_ramp'")
case("curriculum's function", "curriculum.multistage(ranked)", "did you mean 'multi_stage'")
case("curriculum's option", "curriculum.linear_ramp(ranked, { fulll = .5 })", "curriculum.linear_ramp", "did you mean 'full'")
case("answer of a curriculum", "run:distill(with { curriculum = { smaple = ranked } })", "curriculum", "did you mean 'sample'")
case("stage option", "run:distill(with { curriculum = { { 'a', temperatur = 2, advance = when.steps(1) }, { 'b' } } })", "stage 1", "did you mean 'temperature'")
case("knob of pressure", "run:distill(with { curriculum = { pressure = { temp = 2 } } })", "pressure", "'temp'", "did you mean 'temperature'")
case("knob of a pressure function", "run:distill(with { curriculum = { pressure = function() return { tmperature = 2 } end } })", "pressure", "did you mean 'temperature'")
case("knob of a step", "local f = run:step(function(b, k)\n  return student(b.x):mean() * k.temprature --HERE\nend)\nf({ x = g.zeros { 2, 64 } }, { temperature = 2 })", "no knob 'temprature'", "did you mean 'temperature'")
case("advance rule", "when.plateu('val/loss', 3)", "did you mean 'plateau'")
case("schedule", "schedule.linaer(6, 2)", "did you mean 'linear'")
case("schedule option", "schedule.linear(6, 2, { form = .5 })", "schedule.linear", "did you mean 'from'")
case("sampler", "sampler.easyest(ranked, .5)", "did you mean 'easiest'")
case("sampler option", "sampler.confidence(d.train, { flor = .1 })", "sampler.confidence", "did you mean 'floor'")
case("score", "score.entrpy(teacher)", "did you mean 'entropy'")
case("module", "nn.Liner(3, 4)", "did you mean 'Linear'")
case("module option", "nn.Linear(3, 4, { bais = false })", "Linear", "did you mean 'bias'")
case("optimizer", "optim.AdmW(student)", "did you mean 'AdamW'")
case("optimizer option", "optim.SGD(student, { momentm = .9 })", "SGD", "did you mean 'momentum'")
case("optimizer's name", "run:distill(with { optimizer = 'Adamw' })", "optimizer", "'AdamW'")
case("operator", "g.softmaxx(teacher(d.val:gather()), 1)", "did you mean 'softmax'")
case("tensor method", "g.zeros { 2 }:reshap { 1, 2 }", "did you mean 'reshape'")
case("named argument of an operator", "g.zeros({ 2 }):sum { dimm = 0 }", "sum", "did you mean 'dim'")
case("data option", "data.csv('a.csv', { lable = 'y' })", "did you mean 'label'", files={"a.csv": b"x,y\n1,0\n2,1\n"})
case("data reader", "data.digit()", "did you mean 'digits'")
case("part of a split", "print(d.trian)", "'trian'", "train")
case("method of a run", "run:distil(with {})", "did you mean 'distill'")
case("method of a data set", "d.train:rnk(score.loss(teacher))", "did you mean 'rank'")
case("parameter", "print(p.widht)", "no parameter 'widht'")
case("parameter on the command line", 'local g = require "gradus"\nreturn g.experiment { name = "x", params = { width = 3 }, run = function() end }', "--set", "did you mean 'width'", code=USAGE, whole=True, args=("--set", "widht=4"))
case("grid", 'local g = require "gradus"\nreturn g.experiment { name = "x", params = { width = 3 }, grid = { widht = { 1 } }, run = function() end }', "grid", "did you mean 'width'", whole=True)

# --- wrong types and ranges ---
case("negative lr", "run:distill(with { lr = -1 })", "lr", "above 0", "-1")
case("lr 0", "run:distill(with { lr = 0 })", "lr", "above 0")
case("lr in words", "run:distill(with { lr = 'fast' })", "lr", "expected a number")
case("batch 0", "run:distill(with { batch = 0 })", "batch", "got 0")
case("half a batch", "run:distill(with { batch = 2.5 })", "batch", "whole number", "2.5")
case("temperature 0", "run:distill(with { temperature = 0 })", "temperature", "above 0")
case("temperature NaN", "run:distill(with { temperature = 0 / 0 })", "temperature", "nan")
case("temperature falls to 0", "run:distill(with { temperature = function(s) return 2 - s.step end })", "temperature", "above 0", "got 0")
case("alpha 2", "run:distill(with { alpha = 2 })", "alpha", "0 to 1", "2")
case("augment 3", "run:distill(with { augment = 3 })", "augment", "0 to 1")
case("epochs 0", "run:distill(with { budget = { epochs = 0 } })", "budget.epochs", "above 0", "got 0")
case("no budget", "run:distill { student = student, data = d }", "budget", "epochs")
case("no student", "run:distill { teacher = teacher, data = d, budget = { steps = 1 } }", "student", "expected a module", "nil")
case("teacher that is no module", "run:distill(with { teacher = 'resnet' })", "target", "resnet")
case("a tensor as data", "run:distill(with { data = g.zeros { 4, 64 } })", "data", "expected a data set")
case("clip 0", "run:distill(with { clip = 0 })", "clip", "0")
case("weight decay below 0", "run:distill(with { weight_decay = -1 })", "weight_decay", "-1")
case("label smoothing 2", "run:distill(with { label_smoothing = 2 })", "label_smoothing", "2")
case("warm-up below 0", "run:distill(with { warmup = -1 })", "warmup", "-1")
case("decay unknown", "run:distill(with { decay = 'cosin' })", "decay", "cosine")
case("patience in words", "run:distill(with { patience = 'long' })", "patience", "long")
case("monitor that nobody measures", "run:distill(with { monitor = 'val/accuracy' })", "no metric 'val/accuracy'", "val/acc")
case("schedule that runs backwards", "schedule.linear(6, 2, { from = .8, to = .2 })", "runs backwards")
case("staircase of one level", "schedule.staircase(1, 2, 1)", "2 levels")
case("plateau of 0", "when.plateau('val/loss', 0)", "when.plateau", "0")
case("threshold in words", "when.above('val/acc', 'high')", "when.above")
case("share above 1", "sampler.easiest(ranked, 1.5)", "share", "1.5")
case("more rows than there are", "d.train:first(100000)", "first", "100000 rows of 180")
case("split of more than all", "data.digits():split { train = .8, val = .4 }", "split", "1.2")
case("split share of 0", "data.digits():split { train = 0 }", "'train'", "got 0")
case("sampler over no data set", "sampler.uniform(3)", "sampler.uniform", "expected a data set")
case("advance that is no rule", "run:distill(with { curriculum = { advance = 5 } })", "advance", "expected a rule")
case("advance that says maybe", "run:distill(with { evaluate = { steps = 1 }, curriculum = { advance = function() return 'maybe' end } })", "advance", "'maybe'")
case("sample that gives a number", "run:distill(with { curriculum = { sample = function() return 5 end } })", "sample", "got 5")
case("pressure that gives a number", "run:distill(with { curriculum = { pressure = function() return 5 end } })", "pressure", "number")
case("target that gives a text", "run:distill(with { curriculum = { target = function() return 'x' end } })", "target", "x")
case("second stage never begins", "run:distill(with { curriculum = { { 'a' }, { 'b' } } })", "stage 1 'a'", "'b' would never begin")
case("log of a text", "run:log { acc = 'high' }", "log", "'acc'", "string")
case("log of a bad name", "run:log { ['a b'] = 1 }", "a b")
case("log of a vector", "run:log { acc = g.zeros { 3 } }", "acc")
case("width in words", "nn.MLP { 64, 'wide', 10 }", "MLP", "wide")
case("dropout of 2", "nn.Dropout(2)", "Dropout", "2")
case("in_features 0", "nn.Linear(0, 4)", "Linear", "in_features")
case("betas of one", "optim.Adam(student, { betas = { .9 } })", "betas")
case("optimizer over nothing", "optim.AdamW({})", "AdamW", "parameters")
case("experiment without run", 'local g = require "gradus"\nreturn g.experiment { name = "x" }', "'run'", "expected a function", whole=True)
case("experiment's name", 'local g = require "gradus"\nreturn g.experiment { name = "a/b", run = function() end }', "'name'", "a/b", whole=True)
case("grid value of a wrong type", 'local g = require "gradus"\nreturn g.experiment { name = "x", params = { n = g.int(3) }, grid = { n = { 1.5 } }, run = function() end }', "grid", "'n'", "whole number", "1.5", whole=True)
case("--set of a wrong type", 'local g = require "gradus"\nreturn g.experiment { name = "x", params = { n = g.int(3) }, run = function() end }', "--set n", "whole number", "'many'", code=USAGE, whole=True, args=("--set", "n=many"))
case("--set of no choice", 'local g = require "gradus"\nreturn g.experiment { name = "x", params = { s = g.choice { "a", "b" } }, run = function() end }', "--set s", "'a', 'b'", code=USAGE, whole=True, args=("--set", "s=c"))
case("--set without experiment", "local x = 1", "--set", "no experiment", code=USAGE, whole=True, args=("--set", "s=c"))
case("run that returns a text", 'local g = require "gradus"\nreturn g.experiment { name = "x",\nrun = function() return "good" end --HERE\n}', "table of results", "'good'", whole=True)
case("cached that makes a function", "run:cached('t', function() return print end)", "cached", "function")
case("cached without function", "run:cached('t', teacher)", "cached", "expected a function")
case("batches of size 0", "for _ in run:batches(d.train, { size = 0, steps = 1 }) do end", "size", "got 0")
case("batches without end", "for _ in run:batches(d.train, { size = 2 }) do end", "batches", "steps")
case("batches option", "for _ in run:batches(d.train, { size = 2, step = 2 }) do end", "batches", "did you mean 'steps'")
case("batches of nothing", "for _ in run:batches(nil, { steps = 2 }) do end", "batches", "expected a data set", "nil")

# --- shapes, devices, the loss ---
case("matrix product", "g.zeros { 2, 3 }:matmul(g.zeros { 4, 5 })", "2x3", "4x5")
case("input width of a model", "student(g.zeros { 2, 63 })", "63", "64")
case("student of another width in distill", "run:distill(with { student = nn.MLP { 32, 10 } })", "64", "32")
case("student with another number of classes", "run:distill(with { student = nn.MLP { 64, 9 } })", "9", "10")
case("kd_loss of two shapes", "g.kd_loss(g.zeros { 4, 3 }, g.zeros { 4, 5 }, g.zeros({ 4 }, { dtype = 'int64' }), { temperature = 2 })", "kd_loss", "[4, 3]", "[4, 5]")
case("kd_loss with T = -1", "g.kd_loss(g.zeros { 4, 3 }, g.zeros { 4, 3 }, g.zeros({ 4 }, { dtype = 'int64' }), { temperature = -1 })", "kd_loss", "temperature", "-1")
case("a constructor named as in Python", "local My = nn.class 'My'\nfunction My:__init() end", "__init", "expected function My:init")
case("own model of a wrong shape", "local My = nn.class 'My'\nfunction My:init() self.w = nn.Parameter(g.zeros { 3, 3 }) end\nfunction My:forward(x)\n  local y = x:matmul(self.w) --HERE\n  return y\nend\nMy()(g.zeros { 2, 4 })", "2x4", "3x3")
case("unknown device", PRELUDE + "print(d.val)" + POSTLUDE, "'warp'", "cpu, cuda", whole=True, args=("--device", "warp"), code=USAGE)
case("device that is not here", PRELUDE + "print(d.val)" + POSTLUDE, "cuda:99", whole=True, args=("--device", "cuda:99"), code=USAGE)
case("loss that overflows", "run:distill(with { lr = 1e30, clip = false, warmup = 0, budget = { steps = 50 }, optimizer = 'SGD' })", "loss is", "lr", code=NON_FINITE)
case("NaN in a loop of one's own", "local opt = optim.SGD(student)\nlocal step = run:step(function(b)\nlocal loss = g.cross_entropy_loss(student(b.x) * (0 / 0), b.y)\nopt:minimize(loss)\nreturn { loss = loss }\nend)\nfor _, b in run:batches(d.train, { steps = 3 }) do\nstep(b, {}) --HERE\nend", "step 1: the loss is nan", "rows", code=NON_FINITE)
case("backward of a vector", "local x = g.zeros({ 3 }):requires_grad_(true)\nlocal y = x * 2\ny:backward()", "scalar")
case("minimize without a graph", "optim.AdamW(student):minimize(g.zeros {})", "the loss depends on no parameter")

# --- data ---
case("empty tensors", "data.tensors(g.zeros { 0, 4 })", "data.tensors", "empty")
case("rows that do not match", "data.tensors(g.zeros { 3, 4 }, g.zeros({ 2 }, { dtype = 'int64' }))", "3 rows", "2")
case("labels out of range", "data.tensors(g.zeros { 2, 4 }, g.tensor({ 0, 7 }, { dtype = 'int64' }), { classes = 5 })", "labels from 0 to 7", "0 to 4")
case("negative labels", "data.tensors(g.zeros { 2, 4 }, g.tensor({ 0, -1 }, { dtype = 'int64' }))", "labels from -1")
case("more labels than the model has classes", "run:distill { student = nn.MLP { 64, 5 }, data = d, budget = { steps = 2 } }", "target class", "0 to 4")
case("score that is NaN", "d.train:rank(function(x) return x:flatten(1):sum { dim = 1 } * (0 / 0) end)", "rank", "NaN")
case("score of a wrong count", "d.train:rank(g.zeros { 3 })", "180 rows", "3")
case("generator of another size", "run:distill(with { data = data.generator(function() return g.zeros { 3, 64 }, g.zeros({ 3 }, { dtype = 'int64' }) end, { epoch = 100 }) })", "generator", "64 rows", "3")
case("generator without epoch", "data.generator(function() end)", "epoch")
case("evaluate without labels", "run:evaluate(student, data.tensors(g.zeros { 3, 64 }))", "no labels")
case("missing file", "data.csv 'nothing.csv'", "nothing.csv", "no such file", code=MISSING)
case("empty CSV", "data.csv('a.csv', { label = 'y' })", "a.csv", "empty", files={"a.csv": b""})
case("CSV of a heading only", "data.csv('a.csv', { label = 'y' })", "a.csv", files={"a.csv": b"x,y\n"})
case("ragged CSV", "data.csv('a.csv', { label = 'y' })", "a.csv:3", "2", files={"a.csv": b"x,z,y\n1,2,0\n1,1\n"})
case("CSV that is not numeric", "data.csv('a.csv', { label = 'y' })", "a.csv:3", "'many'", files={"a.csv": b"x,y\n1,0\nmany,1\n"})
case("CSV without the label column", "data.csv('a.csv', { label = 'class' })", "'class'", "y", files={"a.csv": b"x,y\n1,0\n"})
case("CSV with NaN", "data.csv('a.csv', { label = 'y' })", "a.csv:2", "nan", files={"a.csv": b"x,y\nnan,0\n1,1\n"})
case("NPY that lies about its size", "data.npy { x = 'a.npy' }", "a.npy", files={"a.npy": b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 64), }".ljust(117) + b"\n" + bytes(16)})
case("NPY that is none", "data.npy { x = 'a.npy' }", "a.npy", files={"a.npy": b"hello"})
case("IDX that lies about its size", "data.idx { x = 'a.idx' }", "a.idx", files={"a.idx": b"\x00\x00\x08\x03" + struct.pack(">III", 60000, 28, 28) + bytes(100)})
case("IDX cut short and compressed", "data.idx { x = 'a.idx.gz' }", "a.idx.gz", files={"a.idx.gz": gzip.compress(b"\x00\x00\x08\x01" + struct.pack(">I", 10) + bytes(3))})
case("safetensors that lies about its header", "data.safetensors 'a.safetensors'", "a.safetensors", files={"a.safetensors": struct.pack("<Q", 1 << 60) + b"{}"})
case("safetensors with offsets outside", "data.safetensors 'a.safetensors'", "a.safetensors", files={"a.safetensors": (lambda h: struct.pack("<Q", len(h)) + h + bytes(8))(json.dumps({"x": {"dtype": "F32", "shape": [100], "data_offsets": [0, 400]}}).encode())})
case("safetensors without the tensor", "data.safetensors('a.safetensors', { x = 'images' })", "images", "x", files={"a.safetensors": (lambda h: struct.pack("<Q", len(h)) + h + bytes(8))(json.dumps({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode())})
case("weights of another model", "local f = student:state_dict()\nnn.MLP { 64, 5, 10 }:load_state_dict(f)", "load_state_dict", "[4, 64]", "[5, 64]")


def at_line(lua):
    """The line of the mistake, counted in the case's own text."""
    lines = lua.split("\n")
    return next((i + 1 for i, line in enumerate(lines) if "--HERE" in line), len(lines))


class Scripts(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def run_script(self, text, *args):
        (self.folder / "mine.lua").write_text(text)
        return subprocess.run([GRADUS, "run", "mine.lua", *args], cwd=self.folder, capture_output=True, text=True, timeout=300)

    def check(self, name, err, line):
        _, words, _, _, _, args = CASES[name]
        first = next(line for line in err.split("\n") if not re.match(r"\d+/\d+ ", line))  # a grid says how far it is
        if not args:
            self.assertTrue(first.startswith(f"mine.lua:{line}: "), f"expected mine.lua:{line} at the beginning of: {first}")
        else:
            self.assertRegex(first, "^(--|device )")  # of the command line, not of the script
        for word in words:
            self.assertIn(word.lower(), first.lower())

    def test_runs(self):
        """All cases of a run function in one process: each is a run of a grid, which a failing one does not stop."""
        names = [name for name, case_ in CASES.items() if not case_[3] and case_[2] == DATA]
        self.assertGreater(len(names), 100)
        text, lines = PRELUDE.replace("run = function(run, p)", "params = { case = 0 }, grid = { case = CASES }, run = function(run, p)"), {}
        text = text.replace("CASES", "{ " + ", ".join(str(i) for i in range(len(names))) + " }")
        text += 'io.stderr:write("=== ", p.case, "\\n")\nlocal case = {}\n'
        for i, name in enumerate(names):
            lua, _, _, _, files, _ = CASES[name]
            for file, content in files.items():
                (self.folder / str(i)).mkdir(exist_ok=True)
                (self.folder / str(i) / file).write_bytes(content)
                lua = lua.replace(f"'{file}", f"'{i}/{file}")
            text += f"case[{i}] = function()\n"
            lines[name] = text.count("\n") + at_line(lua)
            text += lua + "\nend\n"
        done = self.run_script(text + "case[p.case]()\nend }\n")
        self.assertEqual(done.returncode, DATA, done.stderr)
        self.assertIn("=== 0", done.stderr)
        done.stderr = re.sub(r"(?m)^\d+/\d+ .*: failed\n", "", done.stderr)  # the run's name, before its error
        said = {int(part.split("\n")[0]): part.split("\n", 1)[1] for part in done.stderr.split("=== ")[1:]}
        for i, name in enumerate(names):
            with self.subTest(case=name):
                self.check(name, said[i], lines[name])

    def test_script_that_returns_a_number(self):
        done = self.run_script("return 5")
        self.assertEqual(done.returncode, DATA)
        self.assertTrue(done.stderr.startswith("mine.lua: the script returned a number; expected"), done.stderr)

    def test_whole_scripts(self):
        for name, (lua, _, code, whole, files, args) in CASES.items():
            if not whole and code == DATA:
                continue
            with self.subTest(case=name):
                for file, content in files.items():
                    (self.folder / file).write_bytes(content)
                done = self.run_script(lua if whole else PRELUDE + lua + POSTLUDE, *args)
                self.assertEqual(done.returncode, code, done.stderr)
                self.check(name, done.stderr, at_line(lua) + (0 if whole else PRELUDE.count("\n")))


class Stores(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        (self.folder / "mine.lua").write_text('local g = require "gradus"\nreturn g.experiment { name = "x", run = function(run) run:log { a = 1 } end }\n')

    def gradus(self, *args):
        return subprocess.run([GRADUS, *args, "--store", "s.db"], cwd=self.folder, capture_output=True, text=True, timeout=60)

    def check(self, codes, *words, commands=(("run", "mine.lua"), ("runs",), ("compare",), ("show", "1"), ("sql", "SELECT 1"))):
        for command in commands:
            with self.subTest(command=command):
                done = self.gradus(*command)
                self.assertIn(done.returncode, codes, done.stderr)
                first = done.stderr.split("\n")[0]
                self.assertRegex(first, "^(gradus: )?/.*/s.db: ")  # not the script's fault
                for word in words:
                    self.assertIn(word, first)

    def test_directory(self):
        (self.folder / "s.db").mkdir()
        self.check((DATA,), "directory")

    def test_text(self):
        (self.folder / "s.db").write_text("this is a text file, not a store\n" * 100)
        self.check((DATA,), "not a")

    def test_another_programs_database(self):
        with sqlite3.connect(self.folder / "s.db") as db:
            db.execute("CREATE TABLE recipes (name TEXT)")
            db.execute("INSERT INTO recipes VALUES ('soup')")
        db.close()
        self.check((DATA,), "another program")
        with sqlite3.connect(self.folder / "s.db") as db:  # and it is left as it was
            self.assertEqual([r[0] for r in db.execute("SELECT name FROM sqlite_master")], ["recipes"])

    def test_newer(self):
        self.assertEqual(self.gradus("run", "mine.lua", "-q").returncode, 0)
        with sqlite3.connect(self.folder / "s.db") as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            db.execute(f"PRAGMA user_version = {version + 1}")
        db.close()
        self.check((DATA,), "newer")

    def test_damaged(self):
        self.assertEqual(self.gradus("run", "mine.lua", "-q").returncode, 0)
        with sqlite3.connect(self.folder / "s.db") as db:
            pages = {name: page for page, name in db.execute("SELECT pageno, name FROM dbstat")}
        db.close()
        whole = (self.folder / "s.db").read_bytes()
        at = (pages["metric_values"] - 1) * 4096
        (self.folder / "s.db").write_bytes(whole[:at] + bytes(4096) + whole[at + 4096:])
        way_out = "`gradus doctor --salvage` saves what is whole into a new file"
        self.check((DATA,), "the store is damaged", way_out, commands=(("sql", "SELECT sum(value) FROM metrics"), ("plot", "a")))
        self.assertIn(way_out, self.gradus("doctor").stdout)
        self.assertEqual(self.gradus("doctor").returncode, DATA)
        damaged = (self.folder / "s.db").read_bytes()
        saved = json.loads(self.gradus("doctor", "--salvage", "--json").stdout)
        self.assertEqual((saved["rows"]["runs"], saved["values"]), (1, 1))
        self.assertEqual((self.folder / "s.db").read_bytes(), damaged)
        os.replace(self.folder / "s-salvaged.db", self.folder / "s.db")
        for end in ("-wal", "-shm"):
            (self.folder / f"s.db{end}").unlink(missing_ok=True)
        self.assertEqual(self.gradus("run", "mine.lua", "-q").returncode, 0)
        self.assertEqual(json.loads(self.gradus("sql", "--json", "SELECT id, status FROM runs").stdout),
                         [{"id": 1, "status": "finished"}, {"id": 2, "status": "finished"}])
        self.assertIn("is there already", (self.gradus("doctor", "--salvage"), self.gradus("doctor", "--salvage"))[1].stderr)

    def test_read_only(self):
        self.assertEqual(self.gradus("run", "mine.lua", "-q").returncode, 0)
        if os.geteuid() == 0:
            self.skipTest("root may write everything")
        os.chmod(self.folder / "s.db", 0o444)
        os.chmod(self.folder, 0o555)
        try:
            self.check((IO,), "read-only", commands=(("run", "mine.lua"),))
        finally:
            os.chmod(self.folder, 0o755)

    def test_nowhere_to_write(self):
        done = subprocess.run([GRADUS, "run", "mine.lua", "--store", "/proc/none/s.db"], cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(done.returncode, IO, done.stderr)
        self.assertIn("/proc/none", done.stderr.split("\n")[0])

    def test_missing(self):
        self.check((MISSING,), "no such", commands=(("runs",), ("compare",), ("show", "1"), ("sql", "SELECT 1")))

    def test_questions(self):
        self.assertEqual(self.gradus("run", "mine.lua", "-q").returncode, 0)
        for args, code, words in (
            (("show", "7"), MISSING, "7"), (("show", "70000000"), MISSING, "7"),
            (("show", "zz"), USAGE, "zz"),
            (("sql", "SELEC 1"), USAGE, "SELEC"),
            (("sql", "DELETE FROM runs"), USAGE, "read"),
            (("sql", "SELECT * FROM metrcs"), USAGE, "metrcs"),
            (("runs", "--where", "width >"), USAGE, "--where"),
            (("runs", "--where", "stauts = 'x'"), USAGE, "did you mean 'status'"),
            (("compare", "--by", "sed"), USAGE, "sed"),
            (("compare", "--metric", "vall/acc"), USAGE, "vall/acc"),
            (("runs", "--jsn"), USAGE, "did you mean '--json'"),
            (("runs", "--json=all"), USAGE, "--json: expected no value; got 'all'"),
            (("run", "mine.lua", "--seed", "1", "--seed", "2"), USAGE, "--seed: expected it once; got it 2 times"),
            (("runs", "--sort", "lr", "--best", "val/acc"), USAGE, "--sort: expected no --best beside it"),
            (("compare", "--level", "nan"), USAGE, "--level: expected 0.5 to 0.9999; got nan"),
            (("gc", "--cache-days", "nan"), USAGE, "--cache-days: expected 0 to 1000000000; got nan"),
            (("report", "-o", "r.pdf"), USAGE, "report: --output: expected a file name that ends in .html or .md, or --markdown; got 'r.pdf'"),
            (("compare", "--margin", "0.1"), USAGE, "--margin: has no effect alone; expected --versus beside it"),
            (("run", "mine.lua", "--sandbox-time", "9"), USAGE, "--sandbox-time: has no effect alone; expected --sandbox beside it"),
            (("show", "my\nrun"), USAGE, "run 'my run': expected an id"),  # one line, whatever is repeated
        ):
            with self.subTest(args=args):
                done = self.gradus(*args)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(words, done.stderr.split("\n")[0])
                self.assertIn(": ", done.stderr.split("\n")[0])


if __name__ == "__main__":
    unittest.main()
