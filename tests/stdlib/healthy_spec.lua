local g = require "gradus"
local a_run = require "a_run"
local nn, curriculum, score = g.nn, g.curriculum, g.score

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
  it("tells a teacher that is worse than its student", function()
    a_run(function(run, events)
      distill(run, { teacher = nn.MLP { 64, 8, 10 }, alpha = .9, lr = 5e-3 })
      expect(names(events)):matches "teacher_worse"
    end)
  end)

  -- Rows 5 and 9 are poison: their inputs are NaN.
  local function poisoned()
    local x, y = g.data.digits():first(64):gather()
    x = x:flatten(1):clone()
    x[5] = 0 / 0
    return g.data.tensors(x, y, { classes = 10 })
  end
  local function finite(net)
    for _, p in net:named_parameters() do
      if not p:isfinite():all():item() then return false end
    end
    return true
  end
  for _, optimizer in ipairs { "AdamW", "SGD" } do
    it("catches NaN before the update: " .. optimizer, function()
      a_run(function(run, events)
        local student = nn.MLP { 64, 12, 10 }
        local function go(policy)
          return run:distill { student = student, data = poisoned(), batch = 8, budget = { epochs = 3 }, optimizer = optimizer,
            non_finite = policy, augment = 0 }
        end
        expect(function() go "stop" end):fails_with "the loss is nan"
        expect(finite(student)):is_true()
        local stopped = events()
        expect({ stopped[#stopped].name, #stopped[#stopped].detail.rows }):equals { "non_finite", 8 }
        local r = go "skip"
        expect(finite(student)):is_true()
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
