"""What hands that know PyTorch, Lightning, Hydra, Optuna, or another language type: each has a message at its line that holds
the mend."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
DATA = 65

# What a case may use: d (a split of digits), teacher, student, net (own module with a list), x [3, 4], opt; with(more) makes options.
PRELUDE = """local g = require "gradus"
local nn, when, schedule, sampler, curriculum, score, data, optim = g.nn, g.when, g.schedule, g.sampler, g.curriculum, g.score, g.data, g.optim
local Net = nn.class "Net"
function Net:init() self.blocks = nn.ModuleList { nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4) } self.head = nn.Linear(4, 2) self.norm = nil end
function Net:forward(x) for _, b in ipairs(self.blocks) do x = b(x) end return self.head(x) end
return g.experiment { name = "case", params = { case = 0, width = g.int(12) }, grid = { case = CASES }, run = function(run, p)
io.stderr:write("=== ", p.case, "\\n")
local d = data.digits():split { train = .1, val = .1 }
local teacher, student, net = nn.MLP { 64, 10 }, nn.MLP { 64, 4, 10 }, Net()
local x, opt = g.ones(3, 4), optim.AdamW(student)
local list = { 1, 2, 3 }
local function with(more)
  local o = { teacher = teacher, student = student, data = d, budget = { steps = 3 } }
  for k, v in pairs(more) do o[k] = v end
  return o
end
local case = {}
"""

# Lua inside of a run function -> words that the first line must have.
RUN = [
    # dots for colons, and the reverse
    ("run.distill { teacher = teacher, student = student }", "run.distill(…)", "run:distill("),
    ("run.log { loss = 1 }", "run:log("),
    ("run.evaluate(student, d.val)", "run:evaluate("),
    ("run.cached('t', function() end)", "run:cached("),
    ("local p = student.parameters()", "student:parameters("),
    ("student.eval()", "student:eval("),
    ("student.train(false)", "student:train("),
    ("local n = student.num_parameters()", "student:num_parameters("),
    ("student.state_dict()", "student:state_dict("),
    ("d.train.size()", "d.train:size("),
    ("local r = d.train.rank(score.loss(teacher))", "d.train:rank("),
    ("local s = x.sum()", "x:sum("),
    ("x.reshape(4, 3)", "x:reshape("),
    ("opt.zero_grad()", "opt:zero_grad("),
    ("local text = 'abc'\nlocal t = text.upper()", "text:upper("),
    # positional arguments
    ("g.fit(student, d.train, 5)", "fit", "table of options", "MLP"),
    ("run:distill(teacher, student, d)", "distill", "table of options", "MLP"),
    ("run:distill(student)", "table of options"),
    ("g.experiment('mine', function() end)", "experiment", "table of options", "'mine'"),
    ("data.npy()", "data.npy", "nil"),
    ("data.npy 'x.npy'", "data.npy", "'x.npy'"),
    ("data.csv()", "data.csv"),
    ("curriculum.multi_stage(d.train:shuffled(), { augment = 0 })", "curriculum.multi_stage", "augment"),
    ("optim.AdamW(student, 1e-3)", "optim.AdamW", "table of options"),
    ("nn.Sequential { nn.Linear(2, 2), 'relu' }", "Sequential", "expected a module", "'relu'"),
    ("nn.Sequential(nn.Linear(2, 2), nil, nn.ReLU())", "Sequential", "expected a module", "nil"),
    ("nn.ModuleList { first = nn.ReLU() }", "ModuleList", "'first'", "nn.ModuleDict"),
    # options as others call them
    ("run:distill(with { epochs = 3 })", "'epochs'", "budget = { epochs = … }"),
    ("run:distill(with { num_epochs = 3 })", "budget = { epochs = … }"),
    ("run:distill(with { max_epochs = 3 })", "budget = { epochs = … }"),
    ("run:distill(with { max_steps = 3 })", "budget = { steps = … }"),
    ("run:distill(with { learning_rate = 1e-3 })", "'learning_rate'", "'lr'"),
    ("run:distill(with { batch_size = 3 })", "'batch'"),
    ("run:distill(with { T = 3 })", "'temperature'"),
    ("run:distill(with { tau = 3 })", "'temperature'"),
    ("run:distill(with { net = student })", "'student'"),
    ("run:distill(with { model = student })", "'student'"),
    ("run:distill(with { train = d.train })", "'data'"),
    ("run:distill(with { val = d.val })", "data = { train = …, val = … }"),
    ("run:distill(with { train_dataloader = d.train })", "'data'"),
    ("run:distill(with { gradient_clip_val = 1 })", "'clip'"),
    ("run:distill(with { scheduler = 'cosine' })", "decay"),
    ("run:distill(with { warmup_steps = 10 })", "warmup = { steps = … }"),
    ("run:distill(with { callbacks = {} })", "patience"),
    ("run:distill(with { early_stopping = 3 })", "'patience'"),
    ("run:distill(with { device = 'cuda' })", "--device cuda"),
    ("run:distill(with { gpus = 1 })", "--device cuda"),
    ("run:distill(with { seed = 1 })", "--seed"),
    ("run:distill(with { shuffle = true })", "shuffled"),
    ("run:distill(with { num_workers = 4 })", "threads"),
    ("run:distill(with { momentum = .9 })", "optim.SGD(student, { momentum = .9 })"),
    ("run:distill(with { accumulate_grad_batches = 2 })", "'accumulate'"),
    ("run:distill(with { check_val_every_n_epoch = 2 })", "evaluate = { epochs = … }"),
    ("run:distill(with { fast_dev_run = true })", "gradus check"),
    ("run:distill(with { logger = 'wandb' })", "stored"),
    ("g.fit { student = student, data = d, epochs = 1 }", "'model'"),
    ("g.fit { model = student, dataset = d.train, epochs = 1 }", "'data'"),
    ("g.fit { model = student, data = d, num_epochs = 1 }", "'epochs'"),
    ("g.fit { model = student, data = d, epochs = 1, learning_rate = .1 }", "'lr'"),
    ("g.fit { model = student, data = d, epochs = 1, batch_size = 8 }", "'batch'"),
    ("optim.SGD(student, { learning_rate = .1 })", "'lr'"),
    ("optim.Adam(student, { epsilon = 1e-8 })", "'eps'"),
    ("nn.MLP { 64, 10, dropout_rate = .1 }", "'dropout'"),
    ("nn.MLP { 64, 10, act = 'relu' }", "'activation'"),
    ("nn.Dropout { dropout = .1 }", "'p'"),
    ("nn.ReLU { inplace = true }", "ReLU", "'inplace'", "none"),
    ("nn.ReLU(true)", "ReLU", "at most 0 arguments"),
    ("nn.ConvNet { channels = { 4 }, num_classes = 10, input = { 1, 8, 8 } }", "'classes'"),
    ("nn.Transformer { vocab_size = 9, context = 4, width = 4, layers = 1, heads = 1 }", "'vocabulary'"),
    ("nn.Transformer { vocabulary = 9, context = 4, d_model = 4, layers = 1, heads = 1 }", "'width'"),
    ("nn.Transformer { vocabulary = 9, context = 4, width = 4, layers = 1, nhead = 1 }", "'heads'"),
    ("for _ in run:batches(d.train, { batch_size = 8, steps = 1 }) do end", "'size'"),
    ("g.experiment { name = 'x', run = function() end, seeds = { 1, 2 } }", "grid = { seed"),
    ("g.experiment { name = 'x', run = function() end, config = {} }", "'params'"),
    ("g.experiment { name = 'x', objective = function() end }", "'run'"),
    ("g.experiment { name = 'x', run = function() end, n_trials = 3 }", "grid ="),
    ("data.csv('a.csv', { target_column = 'y' })", "'label'"),
    ("data.csv('a.csv', { sep = ';' })", "'separator'"),
    ("g.softmax(x, { axis = -1 })", "softmax", "did you mean 'dim'"),
    # names of Python's, of PyTorch's and of this library without its owner
    ("local flag = True", "'True' is not defined", "did you mean 'true'"),
    ("local flag = False", "did you mean 'false'"),
    ("local v = None", "did you mean 'nil'"),
    ("local v = null", "did you mean 'nil'"),
    ("local n = len(list)", "#list"),
    ("for i in range(3) do end", "'range'", "for i = 1, n do"),
    ("for i, v in enumerate(list) do end", "ipairs(list)"),
    ("local s = str(3)", "tostring(value)"),
    ("local s = int(3.2)", "math.floor"),
    ("local s = torch.zeros(3)", "local g = require"),
    ("local s = np.zeros(3)", "g.zeros"),
    ("local s = F.relu(x)", "x:relu()"),
    ("local s = abs(-3)", "math.abs"),
    ("if isinstance(x, list) then end", "g.is_tensor"),
    ("local l = Linear(3, 4)", "'g.nn.Linear'"),
    ("for b in DataLoader(d.train) do end", "'DataLoader' is not defined", "run:batches"),
    ("local l = CrossEntropyLoss()", "g.loss.cross_entropy"),
    ("local l = nn.CosineEmbeddingLoss()", "nn has no 'CosineEmbeddingLoss'", "g.cosine_similarity"),
    ("local l = nn.TripletMarginLoss()", "a function of tensors"),
    ("local l = SummaryWriter()", "'SummaryWriter' is not defined", "run:log"),
    ("require 'torch'", "module 'torch' not found", "g.nn"),
    ("local np = require 'numpy'", "module 'numpy' not found", "Python's packages"),
    ("for _, group in ipairs(opt.param_groups) do end", "an optimizer has no 'param_groups'", "opt:minimize(loss, { lr = … })"),
    ("opt:zero_gard()", "an optimizer has no 'zero_gard'", "zero_grad"),
    ("local l = AdamW(student)", "'g.optim.AdamW'"),
    ("local l = kd_loss(x, x)", "'g.kd_loss'"),
    ("local v = studnet", "'studnet'", "did you mean 'student'"),
    ("print(f'loss {1}')", "'f' is not defined", "format"),
    ("wandb.log { loss = 1 }", "run:log"),
    ("raise('x')", "error(text)"),
    ("self.x = 1", "'self'", "colon"),
    ("student = nn.MLP { 64, 10 }\ncount = 1 --HERE", "'count' would be a new global", "local count"),
    ("local v = math.flor(3)", "attempt to call field 'flor'"),
    # lists, indices from 0, tensors
    ("local last = net.blocks[3]", "no item 3", "0 to 2"),
    ("for i = 1, #net.blocks do\nlocal _ = net.blocks[i](x) --HERE\nend", "no item 3", "counted from 0"),
    ("net.blocks[5] = nn.Linear(4, 4)", "no item 5"),
    ("net.blocks[0] = 5", "expected a module", "5"),
    ("for layer in net.blocks do end", "ipairs(list)"),
    ("net.blocks(x)", "ModuleList", "ipairs(list)"),
    ("for layer in nn.Sequential(nn.ReLU()) do end", "ipairs(net)"),
    ("local n = #student", "MLP has no length"),
    ("for _, m in ipairs(student) do end", "net:children()"),
    ("for row in x do end", "ipairs(x)"),
    ("for a, b in pairs(x) do end", "ipairs(x)"),
    ("for row in d.train do end", "run:batches"),
    ("for i, row in ipairs(d.train) do end", "run:batches"),
    ("local one = d.train[0]", "d:subset"),
    ("local row = x[3]", "no row 3 of 3", "counted from 0"),
    ("for v in list do end", "ipairs(list)"),
    ("if x > 0 then end", "x:gt("),
    ("if 0 < x then end", "x:gt("),
    ("if x:sum() >= 1 then end", "x:item()"),
    ("if x < x then end", "x:lt(y)"),
    ("local t = 'x is ' .. x", "one value", "tostring(x)"),
    ("local y = x * net.norm", "'net.norm' is nil"),
    ("local scale\nlocal y = scale + x", "'scale' is nil"),
    ("local b = x.shape[0] + 1", "x:size(0)"),
    ("local b = x.shape[0]", "x.shape[0]", "counts from 1", "x:size(0), or x.shape[1]"),
    ("local b = x:size()[-1]", "x:size(-1), or x.shape[#x.shape]"),
    ("local s = x.shape\nfor i = 0, #s - 1 do\nlocal _ = s[i] --HERE\nend", "counts from 1"),
    # x == y is one boolean
    ("local n = ((x == 1) * (x == 2)):sum()", "arithmetic on a boolean value", "x:eq(y)"),
    ("local n = (x == x:clone()):float()", "index a boolean value", "x:eq(y)"),
    ("local n = (x ~= 1):any()", "x:ne(y)"),
    ("local hit = x == 1\nlocal n = hit:sum()", "'hit' (a boolean value)", "x:eq(y)"),
    ("local n = x * (x == 1)", "mul", "expected a Tensor; got false", "x:eq(y)"),
    ("local n = (x == 1) * x", "mul", "x:eq(y)"),
    ("local n = 1 - (x == 1)", "x:eq(y)"),
    ("local n = -(x == 1)", "x:eq(y)"),
    ("local n = #(x == 1)", "length", "x:eq(y)"),
    ("local n = g.sum(x == 1)", "sum", "got false", "x:eq(y)"),
    ("local n = x[x == 1]", "expected a mask", "x:eq(y)"),
    ("local n = g.where(x == 1, x, x)", "'condition'", "x:eq(y)"),
    ("if (x == 1) > 0 then end", "compare number with boolean", "x:eq(y)"),
    ("local n = (not x):sum()", "x:logical_not()"),
    ("local n = (x:gt(0) and true):sum()", "x:logical_and(y)"),
    ("local z\nif z > 3 then end", "'z' is nil"),
    # types as LibTorch says them
    ("local n = x:eq(x):mean()", "mean", "Bool", "x:float()"),
    ("local n = x:long():std()", "x:float()"),
    ("local n = x:long():softmax(-1)", "x:float()"),
    ("local n = x:matmul(g.ones(4, 2):long())", "x:float()"),
    ("local n = x:eq(1) - x:eq(0)", "a:float() - b:float(), or a:ne(b)"),
    ("local n = -x:eq(1)", "x:logical_not()"),
    ("local n = x:masked_select(x)", "x:gt(0)"),
    ("local n = x[x]", "x:gt(0)"),
    ("local n = g.zeros({ 3 }, 'int64')", "zeros", '{ dtype = "int64" }'),
    ("list.append(4)", "list[#list + 1] = x"),
    ("local b = x.dtyp", "did you mean 'dtype'"),
    ("local v = nil\nlocal n = #v", "'v' (a nil value)"),
    ("for k, v in pairs(nil) do end", "pairs: expected a table; got nil"),
    # fields that are not there
    ("local v = student.layer", "did you mean 'layers'"),
    ("local v = net.hidden_size", "Net", "no 'hidden_size'", "net:has"),
    ("net.extra = { nn.Linear(2, 2) }", "nn.ModuleList"),
    ("net.extra = { a = nn.Linear(2, 2) }", "nn.ModuleDict"),
    ("net.extra = { sizes = { 1, 2 }, more = { { nn.ReLU() } } }", "a module at extra.more[1][1]"),
    ("net.extra = { nn.Parameter(g.ones(2)) }", "a parameter at extra[1]"),
    ("local v = d.train.x", "a data set has no 'x'; expected x, y = d:gather()"),
    ("local v = d.train.labels_of", "labels"),
    ("local v = d.train.zzzz", "expected one of its methods: each, features"),
    ("run:distill(with { curriculum = { advance = function(s) return s['val/acc'] > .5 end } }) --HERE", "the state has no 'val/acc'", 's:last "val/acc"'),
    ("run:distill(with { curriculum = { advance = function(s) return s.zzzz end } }) --HERE", "expected one of its methods: at_flops, best, direction, entries, first_flops, first_step, history, is_better"),
    ("local r = run:distill(with {})\nlocal v = r['val/acc']", "what distill returns has no 'val/acc'", 'r:last "val/acc"'),
    ("local r = run:distill(with {})\nlocal v = r.acc", 'r:last "val/acc"'),
    ("run:distill(with { losses = { ce = 1, kd = 1 } })", "losses: 'ce'", "expected 'labels'"),
    ("run:distill(with { losses = { soft = 1 } })", "expected 'kl'"),
    ("run:distill(with { losses = { mse = { loss = function() end } } })", "train/mse is logged already"),
    ("run:distill(with { metrics = { f1 = function(model, d) return 1 end } })", "metrics: 'f1'", 'better = "higher", of = function(model, d)'),
    ("run:distill(with { temperature = schedule.linear { from = 8, to = 2 } })", "schedule.linear(8, 2)"),
    ("run:distill(with { temperature = schedule.cosine(8) })", "argument 2 'last' is missing"),
    ("local v = run.epochs", "a run has no 'epochs'"),
    ("local v = run.distil", "did you mean 'distill'"),
    ("run.device_name = 'cuda'", "a run has no field 'device_name' to set"),
    ("d.train.clases = 3", "did you mean 'classes'"),
    ("local v = d.train.shape", "a data set has no 'shape'"),
    ("run:distill(with { curriculum = { advance = function(s) return s.val_acc > .5 end } }) --HERE", "the state has no 'val_acc'"),
    ("local M = nn.class 'M'\nfunction M.forward(x) return x end", "function M:forward(…), with a colon"),
    ("local M = nn.class 'M'\nfunction M.init() end", "function M:init(…), with a colon"),
    ("local M = nn.class 'M'\nfunction M:__init__() end", "expected function M:init(…)"),
    ("local M = nn.class 'M'\nM.forward = 5", "expected function M:forward(…)"),
    ("local M = nn.class 'M'\nfunction M:forward(x)\nreturn layers(x) --HERE\nend\nlocal m = M()\nm.layers = nn.ReLU()\nm(x)", "did you mean 'self.layers'"),
    ("local M = nn.class 'M'\nM()(x)", "M: has no forward"),
    ("student:load 'teacher.pt'", "'teacher.pt'", "safetensors.torch.save_file"),
    ("student:save 'student.pth'", "'student.pth'", ".safetensors"),
    ("local t = load 'teacher.pt'", "'teacher.pt' is the name of a file", "net:load"),
    ("local t = load 'points.csv'", "g.data.csv"),
    ("student.load('x.safetensors')", "student:load("),
    ("run:log('loss', .5)", "log", "expected a table of numbers by name", "'loss'"),
    ("run:distill(with { optimizer = optim.AdamW })", "optimizer"),
    ("d.val:rank('loss')", "rank", "string"),
    ("g.zeros('3')", "zeros", "'3'"),
    ("g.tensor('3')", "'3'"),
    ("local y = x:view(5, 5)", "view"),
    ("local y = x + 'a'", "add", "'a'"),
]

# Whole scripts that are not Lua -> words of the first line.
SYNTAX = [
    ("import torch", "require"),
    ("from torch import nn", "require"),
    ("def f(x):\n  return x", "function f(x) … end"),
    ("class Net:\n  pass", "nn.class"),
    ("local x = 1\nx += 1", "x = x + 1"),
    ("local x = 1\nx -= 1", "x = x + 1"),
    ("local x = 1\nx *= 2", "x = x + 1"),
    ("local x = 1\nx++", "x = x + 1"),
    ("local x = 2 ** 3", "x ^ y"),
    ("local x = 7 // 2", "math.floor(a / b)"),
    ("if 1 != 2 then end", "x ~= y"),
    ("if 1 == 2 && 3 == 3 then end", "a and b"),
    ("if 1 == 2 || 3 == 3 then end", "a or b"),
    ("local b = !true", "not x"),
    ("local a = 1\n# a comment", "a comment begins with --"),
    ("local a = 1 # a comment", "a comment begins with --"),
    ("// a comment", "a comment begins with --"),
    ("/* a comment */", "a comment begins with --"),
    ("for i in range(10):\n  print(i)", "for i = 1, n do"),
    ("for (int i = 0; i < 3; i++) {\n}", "for i = 1, n do"),
    ("if x == 1:\n  print(1)", "if x then … end"),
    ("while true:\n  print(1)", "while x do … end"),
    ("if true then\nelif false then\nend", "elseif x then"),
    ("if true then print(1)\nelse if false then print(2) end", "line 2", "elseif"),
    ("local f = lambda x: x + 1", "function(x) return x end"),
    ("local f = (x) => x + 1", "function(x) return x end"),
    ("local f = function(x) -> int\nend", "without types"),
    ("local x: int = 5", "without a type"),
    ("local y = 1 if true else 2", "condition and a or b"),
    ("local y = true ? 1 : 2", "condition and a or b"),
    ("local y = x is None", "x == nil"),
    ("if y is not None then end", "x ~= nil"),
    ("if 3 not in t then end", "a table by name"),
    ("local t = [1, 2, 3]", "{ 1, 2, 3 }"),
    ("local t = [x for x in y]", "a loop"),
    ("local t = {\"a\": 1}", "[\"a name\"] = value"),
    ("local t = { a: 1 }", "{ name = value }"),
    ("local g = require 'gradus'\nlocal l = g.nn.Linear(3, 4, bias=false)", "{ lr = 1e-3 }"),
    ("local y = x[1:5]", "x[{ {1, 5} }]"),
    ("local y = x[0, 1]", "x[{ 0, 1 }]"),
    ("local y = x[:, 0]", "x[{ {}, 0 }]"),
    ("local y = x[:, :3]", "x[{ {}, {0, 3} }]"),
    ("local y = batch.x[2:, -1]", "batch.x[{ {2}, -1 }]"),
    ("local y = x[::2]", "x[{ {0, x:size(0), 2} }]"),
    ("local y = x[..., 0]", "x:select(-1, i)"),
    ("try:\n  x()\nexcept Error:\n  pass", "pcall"),
    ("with torch.no_grad():\n  x()", "g.no_grad"),
    ("@torch.no_grad()\nlocal x = 1", "g.no_grad"),
    ("del x", "x = nil"),
    ("global x", "global"),
    ("raise ValueError('x')", "error(text)"),
    ("assert x == 1", "assert(x == y"),
    ("print x", "print(x)"),
    ("const x = 1", "local x"),
    ("let x = 1", "local x"),
    ("var x = 1", "local x"),
    ("for i = 1, 3 do\n  continue\nend", "goto continue"),
    ("if true then\n  pass\nend", "empty block"),
    ("local x = 1_000", "1e6"),
    ("local x = a @ b", "a:matmul(b)"),
    ("if x = 1 then end", "x == y"),
    ("while x = 1 do end", "x == y"),
    ("async def f():\n  pass", "async"),
    ("local x = y ?? 3", "a or b"),
]


def at_line(lua):
    lines = lua.split("\n")
    return next((i + 1 for i, line in enumerate(lines) if "--HERE" in line), len(lines))


class Habits(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def run_script(self, text):
        (self.folder / "mine.lua").write_text(text)
        return subprocess.run([GRADUS, "run", "mine.lua"], cwd=self.folder, capture_output=True, text=True, timeout=300)

    def test_runs(self):
        """All in one process: each is a run of a grid, which a failing one does not stop."""
        (self.folder / "a.csv").write_text("x,y\n1,0\n2,1\n")
        text = PRELUDE.replace("CASES", "{ " + ", ".join(str(i) for i in range(len(RUN))) + " }")
        lines = []
        for i, (lua, *_) in enumerate(RUN):
            text += f"case[{i}] = function()\n"
            lines.append(text.count("\n") + at_line(lua))
            text += lua + "\nend\n"
        done = self.run_script(text + "case[p.case]()\nend }\n")
        done.stderr = re.sub(r"(?m)^\d+/\d+ .*: failed\n", "", done.stderr)  # the run's name, before its error
        said = {int(part.split("\n")[0]): part.split("\n", 1)[1] for part in done.stderr.split("=== ")[1:]}
        for i, (lua, *words) in enumerate(RUN):
            with self.subTest(lua=lua):
                first = said.get(i, "").split("\n")[0]
                self.assertTrue(first.startswith(f"mine.lua:{lines[i]}: "), f"expected line {lines[i]}: {first}")
                self.assertNotIn("stdlib/", first)
                for word in words:
                    self.assertIn(word, first)
        self.assertEqual(done.returncode, DATA, done.stderr)

    def test_syntax(self):
        for lua, *words in SYNTAX:
            with self.subTest(lua=lua):
                done = self.run_script(lua + "\n")
                first = done.stderr.split("\n")[0]
                self.assertEqual(done.returncode, DATA, done.stderr)
                self.assertRegex(first, "^mine.lua:[0-9]+: ")
                for word in words:
                    self.assertIn(word, first)


if __name__ == "__main__":
    unittest.main()
