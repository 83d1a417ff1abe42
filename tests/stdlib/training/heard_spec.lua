-- Options and questions that are answered by a rule or a function elsewhere: that a training hands them on.
local g = require "gradus"
local a_run = require "a_run"
local support = require "support"
local nn, when = g.nn, g.when

local function distill(more)
  return support.with_run(nil, function(run)
    local d = support.points():split { train = .5, val = .5 }
    local options = { student = support.student(), teacher = support.student(4), data = d, batch = 12, budget = { steps = 20 }, lr = .01 }
    for name, value in pairs(more) do
      if value == "none" then options[name] = nil else options[name] = value end
    end
    return run:distill(options)
  end)
end

describe("distill", function()
  it("scales by T², or not", function()
    local function first(t2)
      local _, seen = distill { t2 = t2, alpha = 0, temperature = 4, budget = { steps = 1 } }
      return seen.values "train/loss"[1]
    end
    expect(first(true) > 0):is_true()
    expect(first(false) / first(true)):near(1 / 16, 1e-6)
    expect(first(nil)):equals(first(true))
  end)
  it("shows a knob the student's confidence, a mean that forgets a tenth with each step", function()
    local shown = {}
    local _, seen = distill { temperature = function(s)
      shown[s.step + 1] = s.confidence or false
      return 4
    end }
    local of_step, wanted = seen.values "train/confidence", nil
    expect({ #of_step, shown[1] }):equals { 20, false }
    for i = 1, 19 do
      wanted = wanted and .9 * wanted + .1 * of_step[i] or of_step[i]
      expect(shown[i + 1]):near(wanted, 1e-6)
    end
  end)
  it("shows what a step left to a knob that begins to look late: no value of earlier steps", function()
    local shown = {}
    local _, seen = distill { budget = { steps = 40 }, evaluate = { steps = 40 }, data = support.points(), temperature = function(s)
      if s.step >= 17 then shown[s.step] = s.confidence end
      return 4
    end }
    local of_step, wanted = seen.values "train/confidence", nil
    for i = 1, 39 do
      wanted = wanted and .9 * wanted + .1 * of_step[i] or of_step[i]
      if i >= 17 then expect(shown[i]):near(wanted, 1e-6) end
    end
  end)
  it("compares with the teacher's own accuracy on each suite", function()
    local suite, teacher, wanted, shown = support.points(80), nil, nil, nil
    local result, seen = support.with_run(nil, function(run)
      local d = support.points():split { train = .5, val = .5 }
      teacher = run:fit { model = support.student(4), data = d, steps = 200, batch = 12, lr = .03 }
      wanted = run:evaluate(teacher, suite).acc
      local student = support.student()
      expect(math.abs(run:evaluate(student, suite).acc - wanted) > .1):is_true()
      return run:distill { student = student, teacher = teacher, data = d, batch = 12, budget = { steps = 5 }, lr = 1e-5,
        suites = { hard = suite }, curriculum = { advance = function(s)
          shown = s.teacher_acc.hard
          return false
        end } }
    end)
    expect({ seen.values "hard/teacher_acc"[1], shown, result.state.teacher_acc.hard }):equals { wanted, wanted, wanted }
  end)
  it("imitates the checkpoint that was asked for, of several", function()
    for i = 1, 3 do
      local _, seen = support.with_run(nil, function(run)
        local d = support.points():split { train = .5, val = .5 }
        local teacher, kept = run:fit { model = support.student(4), data = d, steps = 60, batch = 12, lr = .03,
          checkpoints = { steps = 20 } }
        expect(kept:count()):equals(3)
        -- Who is the checkpoint has nothing to learn from it.
        run:distill { student = kept:load(teacher:clone(), i), data = d, batch = 12, budget = { steps = 1 }, alpha = 0, warmup = 0,
          curriculum = { target = g.target.checkpoint(teacher:clone(), kept, i) } }
      end)
      local losses = seen.values "train/loss"
      expect(losses[#losses]):near(0, 1e-6)
    end
  end)
end)

describe("distill", function()
  it("trains at the rate of an optimizer that has one, where none is said", function()
    local function weights(options)
      local student = support.student()
      for _, p in ipairs(student:parameters()) do g.no_grad(function() p:fill_(.1) end) end
      if options.own then options.optimizer, options.own = g.optim.SGD(student, { lr = options.own }), nil end
      options.student, options.decay, options.warmup = student, "constant", 0
      distill(options)
      return support.weights(student)
    end
    expect(weights { own = .2, lr = "none" }):equals(weights { optimizer = "SGD", lr = .2 })
    expect(weights { optimizer = { "SGD", lr = .2 }, lr = "none" }):equals(weights { optimizer = "SGD", lr = .2 })
    expect(weights { own = .2, lr = .05 }):equals(weights { optimizer = "SGD", lr = .05 })
  end)
  it("decays and clips as it says where nothing is said", function()
    local function weights(options)
      local student = support.student()
      g.no_grad(function()
        for _, p in ipairs(student:parameters()) do p:fill_(1) end
      end)
      options.student, options.lr = student, .1
      distill(options)
      return support.weights(student)
    end
    for name, decay in pairs { AdamW = .01, Adam = 0, SGD = 0 } do
      local unsaid = weights { optimizer = name }
      expect(unsaid):equals(weights { optimizer = name, weight_decay = decay })
      expect(unsaid):differs_from(weights { optimizer = name, weight_decay = decay + .1 })
      expect(unsaid):equals(weights { optimizer = name, clip = 1 })
    end
    expect(weights { optimizer = "SGD" }):differs_from(weights { optimizer = "SGD", clip = false })
    expect(weights {}):equals(weights { optimizer = "AdamW" })
  end)
  it("has the guide's temperature, alpha and rate where nothing is said", function()
    local _, seen = distill { lr = "none", warmup = 0, decay = "constant", budget = { steps = 3 } }
    expect({ seen.values "knob/temperature", seen.values "knob/alpha", seen.values "knob/lr" })
      :equals { { 4, 4, 4 }, { .7, .7, .7 }, { 1e-3, 1e-3, 1e-3 } }
  end)
  it("trains in training mode, and evaluates in evaluation mode", function()
    local modes, student = {}, support.student()
    local forward = student.forward
    student.forward = function(self, x)
      local rows = x:size(0)
      modes[rows] = modes[rows] or {}
      modes[rows][self.training and "training" or "evaluation"] = true
      return forward(self, x)
    end
    distill { student = student, evaluate = { steps = 5 } }
    expect({ modes[12].training, modes[120] }):equals { true, { evaluation = true } }  -- a batch is looked at before the first step, too
  end)
  it("counts patience in epochs by the evaluations that they take", function()
    -- 120 rows in batches of 12 are 10 steps an epoch; of evaluations every 4 steps, 2 epochs have 5
    local result = distill { lr = function() return 0 end, evaluate = { steps = 4 }, patience = { epochs = 2 }, budget = { steps = 100 } }
    expect(result.steps):equals(4 + 5 * 4)
    result = distill { lr = function() return 0 end, evaluate = { steps = 4 }, patience = { steps = 9 }, budget = { steps = 100 } }
    expect(result.steps):equals(4 + 3 * 4)
  end)
  it("puts the best weights back, those of a term's module too", function()
    local projection, student = nn.Linear(8, 4), support.student()
    local kept = {}
    local teacher = support.student(4)
    local result = distill { student = student, teacher = teacher, evaluate = { steps = 5 }, budget = { steps = 30 },
      lr = function(s) return s.step < 10 and .02 or 3 end,
      losses = { kd = 1, hint = { module = projection, student = { "layers.0" }, teacher = { "layers.0" }, loss = function(_, out)
        return (projection(out.student["layers.0"]) - out.teacher["layers.0"]):square():mean()
      end } },
      curriculum = { advance = function(s)
        kept[s.step] = { support.weights(projection), support.weights(student) }
        return false
      end } }
    expect(result.best.step <= 10):is_true()
    expect({ support.weights(projection), support.weights(student) }):equals(kept[result.best.step])
    expect(support.weights(projection)):differs_from(kept[30][1])
  end)
end)

describe("an evaluation", function()
  it("asks a teacher that is what is trained as it is now", function()
    local student = support.student()
    local _, seen = distill { student = student, teacher = student, lr = .3, evaluate = { steps = 4 } }
    expect(seen.values "val/agreement"):equals { 1, 1, 1, 1, 1 }
  end)
  it("of one-hot labels is that of the classes", function()
    local x, y = support.points(60):gather()
    support.with_run(nil, function(run)
      local student = support.student()
      local of_classes = run:evaluate(student, g.data.tensors(x, y, { classes = 3 }))
      local of_rows = run:evaluate(student, g.data.tensors(x, g.one_hot(y, 3):float()))
      for _, name in ipairs { "loss", "acc", "constant", "n" } do expect(of_rows[name]):near(of_classes[name], 1e-6) end
      expect(of_rows.acc > 0 and of_rows.acc < 1):is_true()
    end)
  end)
  it("is made where a stage ends, whatever ended it", function()
    local _, seen = distill { evaluate = { steps = 5 }, curriculum = { { "one", advance = when.steps(7) }, { "two" } } }
    local steps = {}
    for i, pair in ipairs(seen.metric "val/loss") do steps[i] = pair[1] end
    expect(steps):equals { 5, 7, 10, 15, 20 }
  end)
end)

describe("a confidence sampler", function()
  it("is told what the student shows: rows that it is sure of are drawn less and less", function()
    -- of 40 rows the student is sure of one half, and has no opinion about the other; it does not learn
    local x = g.cat({ g.zeros(20, 1), g.ones(20, 1) * 10 }, 0)
    local d = g.data.tensors(x, g.zeros({ 40 }, { dtype = "int64" }), { classes = 2 })
    local student = nn.Linear(1, 2, { bias = false })
    g.no_grad(function() student.weight:copy_(g.tensor { { 1 }, { 0 } }) end)
    local _, seen = distill { student = student, teacher = "none", data = d, batch = 20, budget = { steps = 60 },
      lr = function() return 0 end, curriculum = { sample = g.sampler.confidence(d) } }
    local shown, last = seen.values "train/confidence", 0
    for i = 51, 60 do last = last + shown[i] / 10 end
    expect(last < .7):is_true()  -- of draws that are uniform it is .75
  end)
end)

describe("fit", function()
  it("ends by its stop rule, before its budget", function()
    local _, seen = support.with_run(nil, function(run)
      run:fit { model = support.student(), data = support.points(60), steps = 50, batch = 12, stop = when.steps(5) }
    end)
    expect(#seen.values "train/loss"):equals(5)
  end)
end)

describe("an open loop", function()
  it("over a growing share draws the harder rows in later epochs", function()
    local most = {}
    support.with_run(nil, function(run)
      -- 40 rows of which the easiest are first; a quarter of them, then half, then all
      local d = g.data.tensors(g.arange(40):float():reshape { 40, 1 }, g.zeros({ 40 }, { dtype = "int64" }), { classes = 2 })
      local ranked = d:rank(function(x) return x:reshape { -1 } end)
      local source = g.sampler.easiest(ranked, function(s) return s.epoch < 1 and .25 or s.epoch < 2 and .5 or 1 end)
      for i, b in run:batches(source, { size = 10, steps = 12, augment = 0 }) do
        local epoch = math.floor((i - 1) / 4) + 1
        most[epoch] = math.max(most[epoch] or 0, b.index:amax():item())
      end
    end)
    expect(most):equals { 9, 19, 39 }
  end)
end)

describe("dropout", function()
  it("hides by the run's seed: the same twice, others of another seed", function()
    local function masks(seed)
      local made = {}
      a_run(function()
        local drop = nn.Dropout(.5)
        for i = 1, 2 do made[i] = drop(g.ones(200)):hash() end
      end, { seed = seed })
      return made
    end
    expect(masks(1)):equals(masks(1))
    expect(masks(2)):differs_from(masks(1))
    expect(masks(1)[1]):differs_from(masks(1)[2])
  end)
  it("in a training too, whatever else the seed decides", function()
    local function losses(seed)
      local _, seen = support.with_run({ seed = seed }, function(run)
        local net = nn.Sequential { nn.Linear(6, 64), nn.Dropout(.5), nn.Linear(64, 2) }
        g.no_grad(function()
          for i, p in ipairs(net:parameters()) do p:copy_(g.arange(p:numel()):reshape(p.shape) / (100 * i)) end
        end)
        local alike = g.data.tensors(g.ones(20, 6), g.zeros({ 20 }, { dtype = "int64" }), { classes = 2 })  -- in any order the same
        run:fit { model = net, data = alike, batch = 20, steps = 3, augment = 0 }
      end)
      return seen.values "train/loss"
    end
    expect(losses(1)):equals(losses(1))
    for i = 1, 3 do expect(losses(2)[i]):differs_from(losses(1)[i]) end
  end)
end)
