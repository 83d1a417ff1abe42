local g = require "gradus"
local a_run = require "a_run"
local support = require "support"
local nn, curriculum, score, when = g.nn, g.curriculum, g.score, g.when

local function names(events)
  local list = {}
  for _, event in ipairs(events()) do
    if event.kind == "health" then list[#list + 1] = event.name end
  end
  return table.concat(list, " ")
end

describe("health", function()
  it("raises no alarm in 20 healthy runs", function()
    for seed = 1, 5 do
      a_run(function(run, events)
        local d = g.data.digits():split { train = .5, val = .2, test = .3 }
        local teacher = run:fit { model = nn.MLP { 64, 128, 10 }, data = d.train, epochs = 40, lr = 3e-3,
          augmentations = { noise = .1 }, augment = 1 }
        local ranked = d.train:rank(score.loss(teacher))
        for _, strategy in ipairs { {}, curriculum.linear_ramp(ranked), curriculum.confidence(d.train), curriculum.multi_stage(ranked) } do
          run:distill { teacher = teacher, student = nn.MLP { 64, 24, 10 }, data = d, budget = { epochs = 30 }, lr = 5e-3,
            curriculum = strategy, augmentations = { noise = .2 } }
        end
        expect(names(events)):equals ""
      end, { seed = seed })
    end
  end)

  it("raises no alarm over a stream: parity from labels, at one go, and layer by layer", function()
    for seed = 1, 3 do
      a_run(function(run, events)
        local function parity() return g.data.parity { d = 16, k = 2, held_out = 512 } end
        local common = { batch = 32, optimizer = "SGD", weight_decay = 0, clip = false, lr = .1, decay = "constant", warmup = 0,
          evaluate = { steps = 25 }, restore_best = false }
        local function with(more)
          for key, value in pairs(common) do more[key] = value end
          return more
        end
        local teacher = run:fit(with { model = nn.MLP { 16, 200, 2 }, data = parity(), steps = 3000 })
        for _, strategy in ipairs { {}, curriculum.extraction { teacher = teacher, layers = { { from = "layers.1", to = "layers.1",
          share = .3 } } } } do
          local r = run:distill(with { teacher = teacher, student = nn.MLP { 16, 50, 2 }, data = parity(), budget = { steps = 3000 },
            alpha = 0, temperature = 1, curriculum = strategy })
          expect(r:last "val/acc" > .99):is_true()
        end
        expect(names(events)):equals ""
      end, { seed = seed })
    end
  end)
  it("raises no alarm over a checkpoint that knows little itself", function()
    a_run(function(run, events)
      local function options(more)
        local o = { data = g.data.parity { d = 16, k = 2, held_out = 512 }, batch = 32, optimizer = "SGD", weight_decay = 0, clip = false,
          lr = .1, decay = "constant", warmup = 0, evaluate = { steps = 25 }, restore_best = false }
        for key, value in pairs(more) do o[key] = value end
        return o
      end
      local teacher, kept = run:fit(options { model = nn.MLP { 16, 200, 2 }, steps = 3000, checkpoints = { steps = 20 } })
      local r = run:distill(options { teacher = teacher, student = nn.MLP { 16, 50, 2 }, budget = { steps = 3000 }, alpha = 0,
        temperature = 1, curriculum = { { "early", target = g.target.checkpoint(teacher:clone(), kept, 1),
          advance = g.when.progress(.7) }, { "teacher" } } })
      expect(r.state:entries("val/acc")[60].value < .8):is_true()  -- as little as the checkpoint
      expect(names(events)):equals ""
    end, { seed = 1 })
  end)
  it("raises no alarm of a long training on few rows and then on all, whose augmentation sets in late", function()
    for seed = 1, 3 do
      a_run(function(run, events)
        local d = g.data.digits():split { train = .5, val = .2, test = .3 }
        local teacher = run:fit { model = nn.MLP { 64, 256, 10 }, data = d.train, epochs = 30, lr = 2e-3 }
        local ranked = d.train:rank(score.loss(teacher))
        for _, strategy in ipairs { curriculum.linear_ramp(ranked),
          { { "few", sample = d.train:shuffled():first(.2), advance = when.progress(.5) }, { "all" } } } do
          run:distill { teacher = teacher, student = nn.MLP { 64, 12, 10 }, data = d, budget = { epochs = 100 }, lr = 5e-3,
            curriculum = strategy }
        end
        expect(names(events)):equals ""
      end, { seed = seed })
    end
  end)

  local function distill(run, more)
    local options = { student = nn.MLP { 64, 24, 10 }, data = g.data.digits():split { train = .5, val = .2 },
      budget = { epochs = 30 }, decay = "constant", warmup = 0 }
    for key, value in pairs(more) do options[key] = value end
    return run:distill(options)
  end

  it("tells a learning rate that is too high", function()
    a_run(function(run, events)
      distill(run, { lr = 3, optimizer = "SGD", clip = false, budget = { epochs = 15 } })
      expect(names(events)):matches "%l"
    end)
  end)
  it("tells from the training loss alone, with suites and without", function()
    for _, suites in ipairs { {}, { some = g.data.digits():last(100) } } do
      a_run(function(run, events)
        distill(run, { data = g.data.digits():first(500), suites = suites, lr = g.schedule.exponential(.05, 60), optimizer = "SGD",
          clip = false })
        expect(names(events)):matches "diverging"
      end)
    end
    a_run(function(run, events)
      distill(run, { data = g.data.digits():first(500), lr = 1e-7 })
      expect(names(events)):equals "stagnant"
    end)
  end)
  it("tells of a layer that diverges", function()
    a_run(function(run, events)
      local teacher = nn.MLP { 64, 32, 10 }
      pcall(distill, run, { teacher = teacher, lr = g.schedule.exponential(1, 100), optimizer = "SGD", clip = false,
        budget = { epochs = 30 }, evaluate = { steps = 5 },
        curriculum = curriculum.extraction { teacher = teacher, layers = { { from = "layers.0", to = "layers.0", share = .9 } } } })
      local list = events()
      for _, event in ipairs(list) do
        if event.kind == "health" then
          expect({ event.name, event.detail.stage }):equals { "diverging", "layer 1" }
          return
        end
      end
      expect "an event":equals "diverging"
    end)
  end)
  it("tells a teacher that is worse than its student", function()
    a_run(function(run, events)
      distill(run, { teacher = nn.MLP { 64, 8, 10 }, alpha = .9, lr = 5e-3 })
      expect(names(events)):matches "teacher_worse"
    end)
  end)

  for _, optimizer in ipairs { "AdamW", "SGD" } do
    it("catches NaN before the update: " .. optimizer, function()
      a_run(function(run, events)
        local student = nn.MLP { 64, 12, 10 }
        local function go(policy)
          return run:distill { student = student, data = support.poisoned(), batch = 8, budget = { epochs = 3 }, optimizer = optimizer,
            non_finite = policy, augment = 0 }
        end
        expect(function() go "stop" end):fails_with "the loss is nan"
        expect(support.finite(student)):is_true()
        local stopped = events()
        expect({ stopped[#stopped].name, #stopped[#stopped].detail.rows }):equals { "non_finite", 8 }
        local r = go "skip"
        expect(support.finite(student)):is_true()
        expect(r.steps):equals(24)
        local met = 0
        for _, event in ipairs(events()) do
          if event.name == "non_finite" and event.detail.policy == "skip" then
            met = met + 1
            local has = false
            for _, row in ipairs(event.detail.rows) do has = has or row == 5 end
            expect(has):is_true()
          end
        end
        expect(met):equals(3)  -- once per epoch
      end)
    end)
  end
  it("skips exactly: the other batches leave what they would without it", function()
    local x = g.randn { 8, 4 }
    local function train(guarded)
      local net = nn.Linear(4, 2)
      g.no_grad(function() net.weight:fill_(.1) net.bias:zero_() end)
      local opt = g.optim.SGD(net, { lr = .1 })
      for i = 1, 3 do
        local bad = i == 2 and guarded
        if i ~= 2 or guarded then opt:minimize((net(bad and x * (0 / 0) or x) ^ 2):sum(), { clip = 1, guard = true }) end
      end
      return net.weight:flatten():totable()
    end
    expect(train(true)):equals(train(false))
  end)
  it("rolls back to where the stage began, before anything is evaluated and where nothing is", function()
    for _, steps in ipairs { { 3, 0 }, { 15, 10 } } do
      a_run(function(run, events)
        local x, y = g.data.digits():first(16):gather()
        local made = 0
        local broken = g.data.generator(function()
          made = made + 1
          return made == steps[1] and x * (1 / 0) or x, y
        end, { epoch = 64, classes = 10 })
        run:distill { student = nn.MLP { 64, 12, 10 }, data = broken, batch = 16, budget = { steps = 20 }, evaluate = { steps = 10 },
          non_finite = "roll_back" }
        local to
        for _, event in ipairs(events()) do
          if event.name == "roll_back" then to = event.detail.to end
        end
        expect(to):equals(steps[2])
      end)
    end
  end)
  it("rolls back to the last evaluation", function()
    a_run(function(run, events)
      local d = g.data.digits():first(64)
      local x, y = d:gather()
      local steps = 0
      local broken = g.data.generator(function(size)
        steps = steps + 1
        local rows = x:flatten(1):slice(0, 0, size)
        return steps == 15 and rows * (1 / 0) or rows, y:slice(0, 0, size)
      end, { epoch = 64, classes = 10 })
      run:distill { student = nn.MLP { 64, 12, 10 }, data = { train = broken, val = d }, batch = 16, budget = { steps = 20 },
        evaluate = { steps = 10 }, non_finite = "roll_back", restore_best = false }
      local to, rows
      for _, event in ipairs(events()) do
        if event.name == "roll_back" then to = event.detail.to end
        if event.name == "non_finite" then rows = event.detail.rows end
      end
      expect(to):equals(10)
      expect(#rows):equals(16)
    end)
  end)
end)
