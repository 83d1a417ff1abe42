local g = require "gradus"
local engine = require "gradus.engine"
local a_run = require "a_run"
local nn, curriculum, when = g.nn, g.curriculum, g.when

local function copy_of(net)
  local state = {}
  for name, one in pairs(net:state_dict()) do state[name] = one:clone() end
  return state
end

local function plain(more)
  local options = { batch = 32, optimizer = "SGD", lr = .05, decay = "constant", warmup = 0, clip = false, evaluate = { steps = 10 },
    alpha = 0, temperature = 1, restore_best = false, data = g.data.parity { d = 10, k = 2, seed = 1 } }
  for key, value in pairs(more) do options[key] = value end
  return options
end

describe("curriculum extraction", function()
  it("aligns layers in order, then the logits, and stores how", function()
    a_run(function(run, events)
      local teacher, student = nn.MLP { 10, 40, 30, 2 }, nn.MLP { 10, 8, 6, 2 }
      local r = run:distill(plain { teacher = teacher, student = student, budget = { steps = 60 },
        curriculum = curriculum.extraction { teacher = teacher, seed = 7, layers = {
          { from = "layers.1", to = "layers.0", steps = 20 }, { from = "layers.3", to = "layers.2", steps = 20 } } } })
      local stages = {}
      for _, event in ipairs(events()) do
        if event.kind == "stage" then stages[#stages + 1] = event end
      end
      expect(#stages):equals(3)
      expect({ stages[1].step, stages[2].step, stages[3].step }):equals { 0, 20, 40 }
      expect(stages[1].detail.target):equals "layer layers.1 -> layers.0"
      expect({ stages[1].detail.detail.teacher_width, stages[1].detail.detail.student_width }):equals { 40, 8 }
      expect({ stages[2].detail.detail.teacher_width, stages[2].detail.detail.student_width }):equals { 30, 6 }
      expect(stages[1].detail.detail.seed):differs_from(stages[2].detail.detail.seed)
      expect(stages[1].detail.trained):equals "all up to layers.0"
      expect(r.steps):equals(60)
    end)
  end)

  it("projects each layer by a matrix of its own, or all by one", function()
    a_run(function(run, events)
      local teacher, student = nn.MLP { 10, 40, 40, 2 }, nn.MLP { 10, 8, 8, 2 }
      local function seeds(projection)
        run:distill(plain { teacher = teacher, student = student, budget = { steps = 3 },
          curriculum = curriculum.extraction { teacher = teacher, seed = 7, projection = projection, layers = {
            { from = "layers.1", to = "layers.0", steps = 1 }, { from = "layers.3", to = "layers.2", steps = 1 } } } })
        local list = {}
        for _, event in ipairs(events()) do  -- of this training: those before are runs of their own by now
          if event.kind == "stage" and event.detail.detail then list[#list + 1] = event.detail.detail.seed end
        end
        return list
      end
      local own, shared = seeds(), seeds "shared"
      expect(#own):equals(2)
      expect(own[1]):differs_from(own[2])
      expect(shared):equals { own[1], own[1] }
      expect(seeds "own"):equals(own)
    end)
  end)

  it("charges what the stage runs: forwards stop at the layer", function()
    a_run(function(run)
      local teacher, student = nn.MLP { 10, 40, 30, 2 }, nn.MLP { 10, 8, 6, 2 }
      local b = 32
      local r = run:distill(plain { teacher = teacher, student = student, budget = { steps = 20 }, evaluate = { steps = 1 },
        curriculum = curriculum.extraction { teacher = teacher, layers = { { from = "layers.1", to = "layers.0", steps = 10 } } } })
      local entries = r.state:entries "val/acc"
      local function step(i) return entries[i].flops - entries[i - 1].flops end
      -- teacher 10 × 40 and the projection 40 × 8; student forward 10 × 8 and its weights' gradient
      expect(step(5)):equals(2 * b * (10 * 40 + 40 * 8 + 2 * 10 * 8))
      -- before it, both up to the layer and the projection once, to know its spread
      expect(entries[1].flops - step(5)):equals(2 * 4096 * (10 * 40 + 40 * 8 + 10 * 8))
      -- teacher whole; student forward, weights' gradients, and the gradients of two hidden layers
      expect(step(15)):equals(2 * b * (10 * 40 + 40 * 30 + 30 * 2 + 2 * (10 * 8 + 8 * 6 + 6 * 2) + 8 * 6 + 6 * 2))
    end)
  end)

  it("gives a layer so many floating-point operations", function()
    a_run(function(run, events)
      local teacher, student, b = nn.MLP { 10, 40, 30, 2 }, nn.MLP { 10, 8, 6, 2 }, 32
      local spread, step = 2 * 4096 * (10 * 40 + 40 * 8 + 10 * 8), 2 * b * (10 * 40 + 40 * 8 + 2 * 10 * 8)
      run:distill(plain { teacher = teacher, student = student, budget = { steps = 20 }, curriculum = curriculum.extraction {
        teacher = teacher, layers = { { from = "layers.1", to = "layers.0", flops = spread + 6.5 * step } } } })
      local began = {}
      for _, event in ipairs(events()) do
        if event.kind == "stage" then began[#began + 1] = event.step end
      end
      expect(began):equals { 0, 7 }
    end)
  end)

  it("trains nothing beyond the layer, or only what is named", function()
    a_run(function(run)
      local teacher, student = nn.MLP { 10, 40, 2 }, nn.MLP { 10, 8, 8, 2 }
      local before = copy_of(student)
      local function train(layer, budget)
        layer.from, layer.steps = "layers.1", 5
        run:distill(plain { teacher = teacher, student = student, budget = { steps = budget },
          curriculum = curriculum.extraction { teacher = teacher, layers = { layer } } })
      end
      local function same(name) return student:state_dict()[name]:equal(before[name]) end
      train({ to = "layers.2" }, 5)
      expect({ same "layers.0.weight", same "layers.2.weight", same "layers.4.weight" }):equals { false, false, true }
      before = copy_of(student)
      train({ to = "layers.2", train = { "layers.2" } }, 5)
      expect({ same "layers.0.weight", same "layers.2.weight", same "layers.4.weight" }):equals { true, false, true }
      expect(student.layers:get(0).weight.requires_grad):is_true()
      before = copy_of(student)
      train({ to = "layers.2", train = { "layers.2" } }, 10)  -- the logits stage trains all again
      expect({ same "layers.0.weight", same "layers.2.weight", same "layers.4.weight" }):equals { false, false, false }
      expect(function() train({ to = "layers.2", train = { "layer" } }, 5) end):fails_with "no parameters to train under 'layer'"
    end)
  end)

  it("lowers the distance to the projection", function()
    a_run(function(run)
      local teacher, student = nn.MLP { 10, 64, 2 }, nn.MLP { 10, 8, 2 }
      local goal = g.target.layer { teacher = teacher, from = "layers.1", to = "layers.0", seed = 1 }
      local x = g.data.parity({ d = 10, k = 2, seed = 9 }).val:gather()
      goal.prepare(student, function() return x end)
      local function distance()
        return g.no_grad(function() return g.loss.mse(goal.student(student, x), goal.of(x)):item() end)
      end
      local first = distance()
      run:distill(plain { teacher = teacher, student = student, budget = { steps = 2000 },
        curriculum = { { "layer", target = goal, advance = when.steps(2000) }, { "logits" } } })
      -- a linear layer of ±1 inputs can follow the linear part of ReLU's projection, more than half of its variance
      expect(first > 1):is_true()
      expect(distance() < .5):is_true()
    end)
  end)

  it("refuses layers without length or name", function()
    local teacher = nn.MLP { 10, 8, 2 }
    expect(function() curriculum.extraction { teacher = teacher, layers = {} } end):fails_with "layers: expected"
    expect(function() curriculum.extraction { teacher = teacher, layers = { { from = "layers.1", to = "layers.0" } } } end)
      :fails_with "how long?"
    expect(function() curriculum.extraction { teacher = teacher, layers = { { from = "layers.1", too = "layers.0", steps = 1 } } } end)
      :fails_with "did you mean 'to'?"
    expect(function()
      curriculum.extraction { teacher = teacher, projection = "shred", layers = { { from = "layers.1", to = "layers.0", steps = 1 } } }
    end):fails_with "'projection': expected 'own', 'shared'; got 'shred'"
  end)
end)

describe("progressive distillation", function()
  it("keeps the teacher's weights while it trains, and walks along them in one storage", function()
    a_run(function(run, events)
      local data = g.data.parity { d = 10, k = 2, seed = 1 }
      local teacher, kept = run:fit { model = nn.MLP { 10, 32, 2 }, data = data, steps = 50, batch = 16, evaluate = { steps = 25 },
        checkpoints = { steps = 20 }, restore_best = false }
      local steps = {}
      for i = 1, kept:count() do steps[i] = kept:step(i) end
      expect(steps):equals { 20, 40, 50 }
      local final = copy_of(teacher)
      expect(kept:load(teacher:clone(), 3).layers:get(0).weight:equal(final["layers.0.weight"])):is_true()
      local r = run:distill(plain { teacher = teacher, student = nn.MLP { 10, 8, 2 }, budget = { steps = 30 },
        curriculum = curriculum.progressive { teacher = teacher, checkpoints = kept, steps = 10 } })
      local texts = {}
      for _, event in ipairs(events()) do
        if event.kind == "stage" then texts[#texts + 1] = event.detail.target end
      end
      expect(texts):equals { "checkpoint 1 of 3 (step 20)", "checkpoint 2 of 3 (step 40)", "teacher" }
      expect(r.steps):equals(30)
      for name, one in pairs(teacher:state_dict()) do expect(one:equal(final[name])):is_true() end
    end)
  end)
  it("imitates the checkpoint, not the final teacher", function()
    local storage = nn.Linear(3, 2)
    local kept = require("gradus.base.checkpoints").new()
    kept:keep(1, storage)
    local x = g.randn { 4, 3 }
    local wanted = g.no_grad(storage, x)
    g.no_grad(function() storage.weight:zero_() end)
    local goal = g.target.checkpoint(storage, kept, 1)
    goal.prepare()
    expect(goal.of(x):equal(wanted)):is_true()
  end)
  it("goes on by the saturation rule: when a gain has come to its end, or after so many steps", function()
    a_run(function(run, events)
      local data = g.data.parity { d = 6, k = 1, seed = 1 }
      local teacher = run:fit { model = nn.MLP { 6, 16, 2 }, data = data, steps = 200, batch = 32 }
      local kept = require("gradus.base.checkpoints").new()
      for step = 1, 2 do kept:keep(step, teacher) end
      local function decision(most)
        run:distill(plain { teacher = teacher, student = nn.MLP { 6, 8, 2 }, data = data, lr = .2, budget = { steps = 400 },
          curriculum = curriculum.progressive { teacher = teacher, checkpoints = kept,
            advance = when.saturated("val/acc", { smooth = 2, most = most }) } })
        for _, event in ipairs(events()) do
          if event.kind == "decision" then return event end
        end
      end
      local one = decision()
      expect(one.detail.rule):equals "val/acc saturated"
      expect(one.detail.numbers.gain < .01 and one.detail.numbers.progress > .01):is_true()
      expect(one.detail.numbers["val/acc"] > .8):is_true()
      expect(decision(20).detail.numbers.steps):equals(20)
    end)
  end)
end)

describe("grad", function()
  it("leaves frozen parameters alone", function()
    local a, b = nn.Parameter(g.ones { 2 }), nn.Parameter(g.ones { 2 })
    b:requires_grad_(false)
    local grads = engine.grad((a * 2 + b):sum(), { b, a })
    expect(grads[1]):equals(false)
    expect(grads[2]:totable()):equals { 2, 2 }
  end)
end)
