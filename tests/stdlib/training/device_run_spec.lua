-- Runs on an accelerator, simulated (tests/simulated). Own operators are formulas there, so results are near the CPU's;
-- tests/e2e/device_test.py compares bits.
local engine = require "gradus.engine"
local ffi = require "ffi"
local g = require "gradus"
local feed = require "gradus.training.feed"
local sampler = require "gradus.curriculum.sampler"
local slab = require "gradus.step.slab"
local step = require "gradus.step.step"
local support = require "support"
local nn, when = g.nn, g.when

local D = "simulated:0"
local PATH = os.getenv "GRADUS_DEVICE_LIBRARY"
if not PATH then error "device_run_spec: GRADUS_DEVICE_LIBRARY names no library; expected build/libgradus_simulated.so" end
engine.device(D)
ffi.cdef "int64_t simulated_waits();"
local library = ffi.load(PATH)
local function waits() return tonumber(library.simulated_waits()) end

local function network(widths)
  nn.init_generator = g.generator(3)
  return nn.MLP(widths)
end

local function near(there, here, tolerance)
  expect(#there):equals(#here)
  for i, value in ipairs(here) do expect(there[i]):near(value, tolerance or 1e-4) end
end

describe("knobs on a device", function()
  it("are float64 places of one buffer, refreshed by one copy that nobody waits for", function()
    local knobs, before = slab(D), waits()
    local first = knobs:refresh { lr = .1, alpha = .7 }
    local again = knobs:refresh { lr = .2, alpha = .6 }
    expect(first.lr == again.lr):is_true()
    expect(waits()):equals(before)
    expect({ again.lr.device, again.lr.dtype, again.lr:dim() }):equals { D, "float64", 0 }
    expect({ again.lr:item(), again.alpha:item() }):equals { .2, .6 }
    expect(knobs:refresh({ lr = .3 }).lr:item()):equals(.3)  -- other names, another buffer
    expect(knobs:refresh {}):equals {}
  end)
  it("reach the step, which runs as it is, without a warning", function()
    local told
    local one = step.new(function(b, k) return { loss = b.x * k.scale, row = b.x * k.rows } end, function(_, text) told = text end, D)
    for i = 1, 3 do
      local out = one({ x = g.ones({ 2 }):to(D) }, { scale = i, rows = engine.tensor { 1, 2 } })
      expect(out.loss:totable()):equals { i, i }
      expect(out.row:totable()):equals { 1, 2 }
    end
    expect(told):equals(nil)
    expect(function() one({ x = g.ones({ 2 }):to(D) }, { scale = "much" }) end):fails_with "knob 'scale': expected a number or a tensor"
    expect(function() one({ x = g.ones({ 2 }):to(D) }, { scal = 2 }) end):fails_with "no knob 'scale' was given; did you mean 'scal'?"
  end)
end)

describe("losses and optimizers on a device", function()
  it("wait for nothing", function()
    local hidden, teacher = g.randn({ 64, 8 }):to(D), g.randn({ 64, 6 }):to(D)
    local y = (g.arange(64) % 5):to(D)
    local head, theirs = nn.Linear(8, 5):to(D), { weight = g.randn({ 5, 6 }):to(D) }
    local logits = g.randn({ 64, 5 }):to(D)
    for name, make in pairs { AdamW = g.optim.AdamW, SGD = g.optim.SGD } do
      local opt, before = make(head), nil
      for i = 1, 3 do
        if i == 2 then before = waits() end  -- numbers are brought to the device once
        opt:minimize(g.loss.linear_kd(hidden, head, teacher, theirs, y, { alpha = .3 }).loss, { clip = 1, guard = true, lr = .01 })
        opt:minimize(g.kd_loss(head(hidden), logits, y, { temperature = 2 }).loss)
        opt:minimize(g.loss.jsd(head(hidden), logits, { temperature = 2 }) + g.loss.cross_entropy(head(hidden), y)
          + g.loss.feature_mse(head(hidden), logits))
      end
      expect({ name, waits() }):equals { name, before }
    end
  end)
end)

describe("an update that is refused on a device", function()
  local function train(poisoned)
    nn.init_generator = g.generator(3)
    local net = nn.Sequential { nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3) }:to(D)
    local adam, sgd = g.optim.AdamW(net, { lr = .1 }), g.optim.SGD(net, { lr = .1, momentum = .9, dampening = .5 })
    local one = step.new(function(b)
      local loss = g.cross_entropy_loss(net(b.x), b.y)
      adam:minimize(loss, { clip = 1 })
      sgd:minimize(g.cross_entropy_loss(net(b.x), b.y))
      return { loss = loss }
    end, nil, D)
    local generator = g.generator(9)
    for i = 1, 4 do
      local x, bad = g.randn({ 8, 4 }, { generator = generator }):to(D), i == 1 or i == 3
      if bad and poisoned then one({ x = x * (0 / 0), y = (g.arange(8) % 3):to(D) }, {}) end
      one({ x = x, y = (g.arange(8) % 3):to(D) }, {})
    end
    local all = {}
    for _, state in ipairs { net:state_dict(), adam:state_dict(), sgd:state_dict() } do
      for name, t in pairs(state) do all[#all + 1] = name .. table.concat(t:to("cpu"):flatten():totable(), " ") end
    end
    table.sort(all)
    return all
  end
  it("leaves nothing behind: weights, moments, counts and statistics are as without it", function()
    expect(train(true)):equals(train(false))
  end)
end)

describe("batches for a device", function()
  local function batches(device, count)
    local one = feed.new { source = sampler.uniform(g.data.tensors(g.rand({ 40, 1, 32, 32 }, { generator = g.generator(2) }),
      g.arange(40) % 4, { weight = g.rand({ 40 }, { generator = g.generator(1) }) })), size = 16, device = device,
      augmentations = { noise = .1, mixup = .2 } }
    one:imitate { modules = {}, of = function(x) return { teacher = x:mean { dim = { 1, 2, 3 } } } end }
    local found = {}
    for i = 1, count do
      local b = one:next(i % 2)
      for _, name in ipairs { "x", "y", "weight", "teacher", "lambda" } do
        expect(b[name].device):equals(device)
        found[#found + 1] = b[name]:hash()
      end
      expect(b.index.device):equals "cpu"
    end
    return found
  end
  it("are the same bits, there, and nobody waits for them", function()
    sampler.numbered(0)
    local here = batches("cpu", 4)
    sampler.numbered(0)
    expect(batches(D, 4)):equals(here)
    local made = g.data.generator(function(size) return g.rand { size, 6 }, g.arange(size) end, { epoch = 64 })
    for _, source in ipairs { sampler.uniform(support.points()), made } do
      local one, before = feed.new { source = source, size = 16, device = D }, waits()
      for _ = 1, 5 do expect(one:next(1).x.device):equals(D) end
      expect(waits()):equals(before)
    end
  end)
end)

describe("a batch of the loader", function()
  it("lies in pinned memory where it is asked for, augmented or not", function()
    local d = support.points()
    for _, options in ipairs { {}, { noise = .1 }, { mixup = .2 } } do
      for _, pin in ipairs { true, false } do
        local loader = engine.data.Loader { x = d.base.x, y = d.base.y, classes = 3, depth = 0, pin = pin, noise = options.noise,
          mixup = options.mixup }
        loader:submit(g.arange(4), g.zeros({ 4 }, { dtype = "int32" }), 1)
        local b = loader:next()
        for _, t in ipairs { b.x, b.y, b.lambda } do
          local there = t:to { device = D, non_blocking = true }
          t:fill_(7)  -- of pinned memory, the device sees this
          expect(there:cpu():eq(7):all():item()):equals(pin)
        end
      end
    end
  end)
end)

-- The open loop. Returns the run's losses and how often the host waited for the device during the steps.
local function loop(device, steps)
  local waited
  local _, seen = support.with_run({ device = device }, function(run)
    local student, teacher = network { 6, 8, 3 }, network { 6, 16, 3 }
    local opt = run:register("opt", g.optim.AdamW(student))
    local one = run:step(function(b, k)
      local kd = g.kd_loss(student(b.x), b.teacher, b.y, k)
      opt:minimize(kd.loss, { lr = k.lr, clip = 1 })
      return kd
    end)
    for i, b in run:batches(support.points(), { size = 16, steps = steps, teacher = teacher }) do
      if i == 3 then waited = waits() end
      run:log { loss = one(b, { temperature = 4, alpha = .6 + i / 100, lr = 1e-3 }).loss, sure = one(b, { temperature = 4, alpha = .5,
        lr = 1e-3 }).confidence:mean() }
    end
    waited = waits() - waited
  end)
  return seen.values "loss", waited, seen.values "sure"
end

describe("a loop of one's own", function()
  it("trains on the device as on the CPU, and logs every step, without waiting for a value", function()
    local here = { loop("cpu", 20) }
    local there = { loop(D, 20) }
    expect(#there[1]):equals(20)
    near(there[1], here[1])
    near(there[3], here[3])
    expect(there[2]):equals(0)
  end)
  it("stops at a NaN one step late, or at its end, with the rows of the batch", function()
    for _, last in ipairs { 15, 4 } do  -- the fourth batch is spoilt
      local ok, err, seen, finite
      _, seen = support.with_run({ device = D }, function(run)
        local student, made = network { 6, 8, 3 }, 0
        local opt = run:register("opt", g.optim.AdamW(student))
        local x, y = support.points(4):gather()
        local stream = g.data.generator(function()
          made = made + 1
          return made == 4 and x * (0 / 0) or x, y
        end, { epoch = 4, classes = 3 })
        local one = run:step(function(b)
          local loss = g.cross_entropy_loss(student(b.x), b.y)
          opt:minimize(loss)
          return { loss = loss }
        end)
        ok, err = pcall(function()
          for _, b in run:batches(stream, { size = 4, steps = last }) do one(b, {}) end
        end)
        finite = student:parameters()[1]:isfinite():all():item()
      end)
      expect({ ok, finite }):equals { false, true }
      expect(tostring(err)):matches "step 4: the loss is nan"
      expect({ seen.health[1].name, unpack(seen.health[1].detail.rows) }):equals { "non_finite", 12, 13, 14, 15 }
    end
  end)
  it("shows draws what the student made of the batch before the last", function()
    local source = sampler.confidence(support.points(8))
    source:draw(4)
    local rows, sure = g.arange(4), engine.tensor { .1, .2, .3, .4 }
    local function known() return source.core:confidence():slice(0, 0, 4):totable() end
    source:observe(rows, sure:to(D))
    for _, value in ipairs(known()) do expect(value ~= value):is_true() end
    source:observe(rows + 4, sure:to(D))
    near(known(), { .1, .2, .3, .4 }, 1e-6)
    local at_once = sampler.confidence(support.points(8))
    at_once:draw(4)
    at_once:observe(rows, sure)
    near(at_once.core:confidence():slice(0, 0, 4):totable(), { .1, .2, .3, .4 }, 1e-6)
  end)
end)

-- A distillation of `student` from a teacher that was fitted, with what it stored.
local function distill(device, options)
  local _, seen = support.with_run({ device = device, strict = true }, function(run)
    local d = support.points(300):split { train = .7, val = .3 }
    local teacher = run:fit { model = network { 6, 32, 3 }, data = d.train, epochs = 3, lr = .02 }
    options = options(d, teacher)
    options.teacher, options.student, options.data, options.budget = teacher, network { 6, 8, 3 }, d, { epochs = 4 }
    options.lr = options.lr or .02
    local r = run:distill(options)
    expect(r.student:device()):equals(device)
    run:log { agreement = run:evaluate(r.student, d.val, teacher).agreement }
  end)
  return seen
end

local SHAPES = {
  ["with a schedule"] = function() return { temperature = g.schedule.linear(6, 2), alpha = g.schedule.cosine(.2, .8) } end,
  ["in stages"] = function(d, teacher)
    local ranked = d.train:rank(g.score.loss(teacher))
    return { curriculum = { { "easy", sample = ranked:first(.5), advance = when.epochs(2) }, { "hard", sample = ranked, augment = .5 } } }
  end,
  ["with a temperature for each example"] = function() return { temperature = g.schedule.by_entropy(2, 5) } end,
  ["of a layer"] = function(_, teacher)
    return { curriculum = { { "layer", target = g.target.layer { teacher = teacher, from = "layers.1", to = "layers.1" } } } }
  end,
  ["from two teachers"] = function(_, teacher)
    return { curriculum = { { "two", target = { { teacher, .7 }, { network { 6, 16, 3 }, .3 } } } } }
  end,
  ["self-paced"] = function(d) return { curriculum = { { "own", sample = g.sampler.self_paced(d.train, .5) } } } end,
  ["with suites, checkpoints and SGD"] = function(d)
    return { suites = { val2 = d.val }, checkpoints = { epochs = 1 }, optimizer = "SGD", lr = .05, non_finite = "roll_back" }
  end,
}

describe("a distillation", function()
  for name, options in pairs(SHAPES) do
    it(name .. " goes on the device as on the CPU", function()
      local here, there = distill("cpu", options), distill(D, options)
      near(there.values "train/loss", here.values "train/loss", 2e-3)
      near(there.values "val/loss", here.values "val/loss", 2e-3)
      near(there.values "agreement", here.values "agreement", .03)
      expect(#there.stages):equals(#here.stages)
    end)
  end
  it("waits for no step", function()
    local function waited(steps)
      local before
      support.with_run({ device = D }, function(run)
        local d, teacher = support.points(), network { 6, 16, 3 }
        before = waits()
        run:distill { teacher = teacher, student = network { 6, 8, 3 }, data = d, budget = { steps = steps }, augment = .3,
          temperature = g.schedule.by_entropy(2, 5), curriculum = { sample = g.sampler.confidence(d) } }
      end)
      return waits() - before
    end
    expect(waited(40)):equals(waited(10))
  end)
  it("that follows the student's confidence lags by one observation", function()
    local function options(d) return { curriculum = { { "sure", sample = g.sampler.confidence(d.train) } } } end
    local here, there = distill("cpu", options), distill(D, options)
    expect(#there.values "train/loss"):equals(#here.values "train/loss")
    expect(there.values "train/loss"[#there.values "train/loss"] < there.values "train/loss"[1]):is_true()
  end)
  it("meets a loss that is not finite", function()
    expect(function()
      support.with_run({ device = D }, function(run)
        local x = g.randn({ 64, 6 }, { generator = g.generator(1) })
        x:slice(0, 40, 41):fill_(0 / 0)
        run:fit { model = network { 6, 8, 3 }, data = g.data.tensors(x, g.arange(64) % 3), epochs = 3, batch = 32 }
      end)
    end):fails_with "loss is nan"
  end)
  it("takes an optimizer that was made before, and a teacher from the cache", function()
    local folder = os.tmpname()
    os.remove(folder)
    local function work()
      local weights
      local _, seen = support.with_run({ device = D, folder = folder }, function(run)
        local d = support.points()
        local teacher = run:cached("teacher", function(train) return g.fit { model = nn.MLP { 6, 16, 3 }, data = train, epochs = 2 } end, d)
        local student = network { 6, 8, 3 }
        run:distill { student = student, teacher = teacher, data = d, optimizer = g.optim.Adam(student), budget = { epochs = 2 } }
        weights = support.weights(student)
      end)
      return weights, seen.cache[1].name
    end
    local first, miss = work()
    local second, hit = work()
    expect({ miss, hit }):equals { "miss", "hit" }
    expect(second):equals(first)
    os.execute("rm -rf " .. folder)
  end)
end)

describe("what looks on", function()
  -- Trains by the student's confidence; returns the weights, and the snapshot taken at step 11 where one was asked for.
  local function trained(device, o)
    local kept, student
    support.with_run({ device = device, seed = 5 }, function(run)
      local d = support.points():split({ train = .5, val = .5 }, { seed = 9 })
      student = network { 6, 8, 3 }
      local trainings = require "gradus.training.distill"
      local training = trainings.make(run, { student = student, data = d, batch = 12, budget = { steps = 40 }, lr = .01,
        restore_best = false, evaluate = { steps = o.evaluate or 10 }, curriculum = { sample = sampler.confidence(d.train) } })
      if o.from then training:load_state(o.from) end
      training.at_boundary = function(self)
        if o.saves == "always" or o.saves == self.s.step then kept = self:state() end
        return o.stops and o.stops == self.s.step
      end
      trainings.train(training)
    end)
    return support.weights(student:to "cpu"), kept
  end

  for _, device in ipairs { "cpu", D } do
    it("changes no bit: evaluations however often, snapshots at every step: " .. device, function()
      local plain = trained(device, {})
      expect(trained(device, { evaluate = 7 })):equals(plain)
      expect(trained(device, { evaluate = 13 })):equals(plain)
      expect(trained(device, { saves = "always" })):equals(plain)
    end)
    it("lets a training go on where it was saved, what was under way included: " .. device, function()
      local _, kept = trained(device, { saves = 11, stops = 11 })
      expect(trained(device, { from = kept })):equals(trained(device, {}))
    end)
  end
end)
