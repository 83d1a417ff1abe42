-- Whether there is something to learn, and to measure: said before the first step. And what has one value for each row.
local g = require "gradus"
local a_run = require "a_run"
local nn, D = g.nn, g.data.tensors
local task = require "gradus.training.task"

local function x(rows) return g.randn({ rows or 12, 4 }, { generator = g.generator(3) }) end
local y = g.arange(12) % 3
local function unlabelled(rows) return g.full({ rows or 12 }, -100, { dtype = "int64" }) end

local function training(options)
  return function(run)
    local given = { student = nn.Linear(4, 3), data = D(x(), y), budget = { steps = 2 }, batch = 6 }
    for name, value in pairs(options) do given[name] = value end
    return run:distill(given)
  end
end

local function refused(name, options, text)
  it("is refused of " .. name, function()
    a_run(function(run) expect(function() training(options)(run) end):fails_with(text) end)
  end)
end

describe("a training without a lesson", function()
  local one = D(x(), y, { weight = g.arange(12):eq(5) })
  refused("no labels and no teacher", { data = D(x()) },
    "distill: the data have no labels, and there is no teacher: nothing is learnt; expected one of the two")
  refused("rows without a label", { data = D(x(), unlabelled(), { classes = 3 }) },
    "distill: data: none of its rows has a label: nothing is learnt")
  refused("weights of 0", { data = D(x(), y, { weight = g.zeros(12) }) },
    "distill: data: the weights of its rows are all 0: nothing is learnt")
  refused("weights of 0 in the part that is trained on", { data = one:first(5), teacher = nn.Linear(4, 3) },
    "the weights of its rows are all 0")
  it("is none where a teacher or a loss of one's own teaches, or a row of the part counts", function()
    a_run(function(run)
      for _, options in ipairs { { data = D(x()), teacher = nn.Linear(4, 3) }, { data = one:first(6) },
        { data = D(x(), unlabelled(), { classes = 3 }), teacher = nn.Linear(4, 3) },
        { data = D(x()), losses = { mine = { loss = function(_, out) return out.logits:square():mean() end } } } } do
        expect(training(options)(run).steps):equals(2)
      end
    end)
  end)
  it("of one class is told", function()
    a_run(function(run, events)
      training { student = nn.Linear(4, 1), data = D(x(), g.zeros { 12 }:long()) }(run)
      local told
      for _, one_event in ipairs(events()) do told = told or one_event.name == "one_class" end
      expect(told):is_true()
    end)
  end)
end)

describe("what is measured", function()
  local half = g.cat({ unlabelled(6), y:slice(0, 0, 6) }, 0)
  for why, d in pairs { ["none of its rows has a label"] = D(x(), unlabelled(), { classes = 3 }),
    ["the weights of its rows are all 0"] = D(x(), y, { weight = g.zeros(12) }),
    ["the weights of its rows with a label are all 0"] = D(x(), half, { weight = g.arange(12):lt(6) }) } do
    it("is refused where " .. why, function()
      expect(function() task.evaluate(nn.Linear(4, 3), d) end):fails_with("evaluate: " .. why)
    end)
  end
  refused("a suite of other labels", { suites = { easy = D(x(), x()) } },
    "distill: suites: 'easy': labels: expected 3 classes; got numbers, 4 each")
  refused("a suite whose classes have another order", { data = D(x(), y, { classes = { "a", "b", "c" } }),
    suites = { easy = D(x(), y, { classes = { "b", "a", "c" } }) } }, "suites: 'easy': class 0 is 'b' here and 'a' there")
  it("is, of rows that weigh very much or very little, their mean", function()
    local kinds = { [1] = y, [2] = x():slice(1, 0, 3), [3] = x():slice(1, 0, 3):gt(0) }
    for _, labels in ipairs(kinds) do
      local model = nn.Linear(4, 3)
      local plain = task.evaluate(model, D(x(), labels)).loss
      for _, weight in ipairs { 3e38, 1e-44 } do
        expect(task.evaluate(model, D(x(), labels, { weight = g.full({ 12 }, weight) })).loss):near(plain, 1e-6)
      end
    end
  end)
  it("needs a teacher's answers to all rows", function()
    local model, d = nn.Linear(4, 3), D(x(), y)
    expect(task.evaluate(model, d, y).agreement >= 0):is_true()
    expect(function() task.evaluate(model, d, y:slice(0, 0, 5)) end)
      :fails_with "evaluate: teacher: expected its answers to the 12 rows, [12]; got Tensor [5] int64"
  end)
end)

describe("one value for each row", function()
  local many, numbers = D(x(), x():slice(1, 0, 3):gt(0)), D(x(), x():slice(1, 0, 3))
  local teacher = nn.Linear(4, 3)
  local entropy = g.schedule.by_entropy(2, 6)
  refused("several labels", { data = many, teacher = teacher, temperature = entropy },
    "expected classes as labels; one value for each row is for them alone")
  refused("numbers", { data = numbers, teacher = teacher, curriculum = { temperature = entropy } }, "expected classes as labels")
  for name, d in pairs { ["several labels"] = many, numbers = numbers } do
    refused(name .. ", by a function", { data = d, teacher = teacher, batch = 3, alpha = function() return g.tensor { .1, .2, .3 } end },
      "alpha: expected one number, or classes as labels, whose loss has one for each row; got Tensor [3] float32")
  end
  refused("several labels, a temperature by a function", { data = many, teacher = teacher, batch = 3,
    temperature = function() return g.ones(3) end }, "temperature: expected one number, or classes as labels")
  refused("an entropy that may ask for a temperature below 0", { teacher = teacher, temperature = g.schedule.by_entropy(-2, 6) },
    "distill: temperature: -2 to 6 with the teacher's entropy: expected a number above 0; got -2")
  refused("a weight of minus infinity", { losses = { kd = function() return -math.huge end } }, "kd: expected a number; got -inf")
  for _, parts in ipairs { 1, 3 } do
    it("goes on through a stage where nobody is asked, in " .. parts .. " parts", function()
      a_run(function(run, _, rows)
        local stages = { { "labels", target = "labels", advance = g.when.steps(1) }, { "teacher" } }
        training { teacher = teacher, temperature = entropy, accumulate = parts, curriculum = stages }(run)
        local told = rows "select step, value from metrics where run_id = ? and key = 'knob/temperature' order by step"
        expect({ #told, told[1].step }):equals { 1, 2 }  -- of the stage where it has an effect
        expect(told[1].value > 2 and told[1].value < 6):is_true()
      end)
    end)
  end
end)

describe("numbers as labels", function()
  it("are refused of a student that gives them in another order", function()
    local Turned = nn.class("Turned", nn.Module)
    function Turned:init() self.inner = nn.Linear(4, 3) end
    function Turned:forward(input) return self.inner(input):t() end
    a_run(function(run)
      expect(function() training { student = Turned(), data = D(x(), x():slice(1, 0, 3)) }(run) end)
        :fails_with "the labels are numbers [6, 3] and the student gives [3, 6]; expected one number for each"
    end)
  end)
end)

describe("losses that move nothing", function()
  local function warnings(options)
    local found = {}
    a_run(function(run, events)
      training(options)(run)
      for _, one in ipairs(events()) do
        if one.kind == "warning" then found[#found + 1] = one.detail.text end
      end
    end)
    return found
  end
  it("are told of each stage", function()
    local stages = { { "idle", losses = { labels = 0 }, advance = g.when.steps(1) }, { "busy" } }
    expect(warnings { losses = { labels = 1 }, curriculum = stages })
      :equals { "stage 'idle': losses: all weights are 0 (labels): nothing is learnt" }
  end)
  it("are told of a term without a gradient, once", function()
    local function of(loss) return warnings { losses = { labels = 1, mine = { loss = loss } }, budget = { steps = 9 } } end
    expect(of(function(_, out) return out.logits:detach():mean() end)):equals
      { "losses: 'mine' has no gradient: it moves nothing that is trained" }
    expect(of(function(_, out) return out.logits:square():mean() end)):equals {}
  end)
end)

describe("a budget of FLOPs", function()
  local Scaled = nn.class("Scaled", nn.Module)
  function Scaled:init() self.factor = nn.Parameter(g.ones(3)) end
  function Scaled:forward(input) return input:slice(1, 0, 3) * self.factor end
  refused("a model without any that are counted", { student = Scaled(), budget = { flops = 1000 } },
    "distill: budget.flops: a step has no floating-point operations that are counted")
  it("is no matter where another unit ends the training", function()
    a_run(function(run) expect(training { student = Scaled(), budget = { flops = 1000, steps = 3 } }(run).steps):equals(3) end)
  end)
end)

describe("a target that is a function", function()
  refused("nothing, where there is a teacher", { teacher = nn.Linear(4, 3), curriculum = { target = function() end } },
    "stage 'all': target: the function returned nothing; expected the teacher (s.teacher), another, or 'labels'")
  it("may say the teacher that there is, or is not", function()
    a_run(function(run)
      for _, teacher in ipairs { nn.Linear(4, 3), false } do
        expect(training { teacher = teacher or nil, curriculum = { target = function(s) return s.teacher end } }(run).steps):equals(2)
      end
    end)
  end)
end)

describe("options that every step would read", function()
  refused("a teacher's temperature that is a function", { teacher = nn.Linear(4, 3), teacher_temperature = function() return 2 end },
    "distill: 'teacher_temperature': expected a number > 0; got a function")
  refused("t2 that is a text", { teacher = nn.Linear(4, 3), t2 = "false" }, "distill: 't2': expected true or false; got 'false'")
end)

-- What a model in mixed precision gives is rounded once, by itself; its measures and losses are those of the rounded numbers.
describe("a model in mixed precision", function()
  local Short = nn.class("Short", nn.Module)
  function Short:init(inner, dtype) self.inner, self.dtype = inner, dtype end
  function Short:forward(input) return self.inner(input):to { dtype = self.dtype } end
  local Rounded = nn.class("Rounded", Short)
  function Rounded:forward(input) return self.inner(input):to { dtype = self.dtype }:float() end
  local inputs = x(1500)
  local kinds = { classes = g.arange(1500) % 3, soft = g.softmax(inputs:slice(1, 0, 3), -1), multilabel = inputs:slice(1, 0, 3):gt(0),
    numbers = inputs:slice(1, 0, 3) }
  for kind, labels in pairs(kinds) do
    for _, dtype in ipairs { "bfloat16", "float16" } do
      it(("is measured, ranks and learns in %s of %s as with its numbers in float32"):format(dtype, kind), function()
        local inner, d = nn.Linear(4, 3), D(inputs, labels)
        local short, rounded = Short(inner, dtype), Rounded(inner, dtype)
        local got, wanted = task.evaluate(short, d), task.evaluate(rounded, d)
        for name, value in pairs(wanted) do expect(got[name]):near(value, 1e-6) end
        expect(d:rank(g.score.loss(short)).difficulty:totable()):near(d:rank(g.score.loss(rounded)).difficulty:totable(), 1e-6)
        local b = { x = inputs, y = d.base.y, teacher = rounded(inputs):detach() * 2 }
        local k = { temperature = 2, alpha = .5 }
        for _, of in ipairs { "kd", "label_loss" } do
          local one = task.new(d.labels)
          local function value(model)
            local found = one[of](one, model(inputs), b, of == "kd" and k or {}, {})
            return (type(found) == "table" and found.loss or found):item()
          end
          expect(value(short)):near(value(rounded), 1e-6)
        end
      end)
    end
  end
end)

-- How a teacher is asked, and of what.
local function ways()
  local hint = { loss = function(_, out) return (out.student["layers.0"] - out.teacher["layers.0"]):square():mean() end,
    student = { "layers.0" }, teacher = { "layers.0" } }
  return { {}, { teacher_cache = false }, { losses = { kd = 1, hint = hint } },
    { curriculum = { { "layer", advance = g.when.steps(1), target = function(s)
      return g.target.layer { teacher = s.teacher, from = "layers.0", to = "layers.0", seed = 3 }
    end }, { "logits" } } } }
end

describe("a teacher of another float type than the data", function()
  local d = D(x(), y)
  for _, dtype in ipairs { "float64", "bfloat16" } do
    it("in " .. dtype .. " is asked in its own: as a target, of layers, in a ranking and an evaluation", function()
      local plain = nn.MLP { 4, 8, 3 }
      for _, p in ipairs(plain:parameters()) do g.no_grad(p.copy_, p, p:to("bfloat16"):float()) end  -- both have the same weights
      local other = plain:clone():to(dtype)
      local near = dtype == "float64" and 1e-5 or .03
      expect(d:rank(g.score.loss(other)).difficulty:totable()):near(d:rank(g.score.loss(plain)).difficulty:totable(), near)
      expect(task.evaluate(other, d).loss):near(task.evaluate(plain, d).loss, near)
      for _, way in ipairs(ways()) do
        local student, trained = nn.MLP { 4, 8, 3 }, {}
        for k, teacher in ipairs { plain, other } do
          way.student, way.teacher, way.data, way.optimizer, way.lr = student:clone(), teacher, { train = d, val = d }, "SGD", .1
          a_run(function(run) trained[k] = training(way)(run).student.layers[0].weight end)  -- each with the same random streams
        end
        local moved = (trained[1] - student.layers[0].weight):abs():max():item()
        expect((trained[1] - trained[2]):abs():max():item() / moved):near(0, dtype == "float64" and 1e-4 or .1)
      end
    end)
  end
end)

describe("a student of another float type than the data", function()
  -- Weights that all types have.
  local function short(net)
    for _, p in ipairs(net:parameters()) do g.no_grad(p.copy_, p, p:to("bfloat16"):float()) end
    return net
  end
  for _, types in ipairs { { "float64", "float32", 1e-4 }, { "bfloat16", "float32", .1 }, { "float32", "float64", 1e-4 } } do
    local own, of_data, near = types[1], types[2], types[3]
    it(("learns in %s from %s as one of the data's type does"):format(own, of_data), function()
      local d, teacher, start = D(x():to(of_data), y), short(nn.MLP { 4, 8, 3 }), short(nn.MLP { 4, 8, 3 })
      for _, way in ipairs(ways()) do
        local trained = {}
        for k, dtype in ipairs { of_data, own } do
          way.student, way.teacher, way.data, way.optimizer, way.lr = start:clone():to(dtype), teacher, { train = d, val = d }, "SGD", 1
          a_run(function(run) trained[k] = training(way)(run).student.layers[0].weight:double() end)  -- with the same random streams
        end
        local moved = (trained[1] - start.layers[0].weight):abs():max():item()
        expect((trained[1] - trained[2]):abs():max():item() / moved):near(0, near)
      end
    end)
  end
end)
