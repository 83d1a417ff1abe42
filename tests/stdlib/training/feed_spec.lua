-- Batches: what is gathered, augmented and prepared ahead; and the open loop over them.
local engine = require "gradus.engine"
local g = require "gradus"
local current = require "gradus.base.current"
local feed = require "gradus.training.feed"
local sampler = require "gradus.curriculum.sampler"
local support = require "support"

-- 40 images of 64 KB in a batch of 16 rows: large enough to be prepared ahead on a thread.
local function images()
  return g.data.tensors(g.rand({ 40, 1, 32, 32 }, { generator = g.generator(2) }), g.arange(40):remainder(4))
end

local function set_ahead(count)
  for i = 1, 60 do
    local name, value = debug.getupvalue(getmetatable(feed.new { source = sampler.uniform(images()), size = 1 }).__index.use, i)
    if name == "AHEAD" then
      debug.setupvalue(getmetatable(feed.new { source = sampler.uniform(images()), size = 1 }).__index.use, i, count)
      return value
    end
  end
  error "feed.lua has no AHEAD any more"
end

local function record(batch)
  return { batch.x:hash(), batch.y:hash(), batch.index:totable() }
end

before_each(function()
  engine.cores = function() return 2 end  -- a thread ahead is worth it, wherever this runs
  current.run = { seed = 7 }
  sampler.numbered(0)
end)

describe("a batch", function()
  it("has the rows that were drawn, their labels, indices and visits", function()
    local d = support.points(30)
    local one = feed.new { source = sampler.uniform(d), size = 10 }
    for round = 0, 1 do
      for _ = 1, 3 do
        local b = one:next(0)
        expect(b.x:equal(d.base.x:index_select(0, b.index))):is_true()
        expect(b.y:equal(d.base.y:index_select(0, b.index))):is_true()
        for _, visit in ipairs(b.visit:totable()) do expect(visit):equals(round) end
      end
    end
  end)
  it("has weights where the data has, and what the teacher says of what the student sees", function()
    local base = support.points(30).base
    local d = g.data.tensors(base.x, base.y, { weight = g.arange(30, { dtype = "float32" }) })
    local asked
    local one = feed.new { source = sampler.uniform(d), size = 10, augmentations = { noise = .5 } }
    one:imitate { modules = {}, of = function(x)
      asked = x
      return { teacher = x * 2 }
    end }
    local b = one:next(1)
    expect(b.weight:equal(d.base.weight:index_select(0, b.index))):is_true()
    expect(b.teacher:equal(b.x * 2)):is_true()
    expect(asked:equal(b.x)):is_true()
    expect(b.x:equal(base.x:index_select(0, b.index))):is_false()
  end)
  it("is not changed by augmentation of strength 0", function()
    local function batches(options)
      sampler.numbered(0)
      local one, out = feed.new { source = sampler.uniform(images()), size = 16, augmentations = options }, {}
      for i = 1, 5 do out[i] = record(one:next(0)) end
      return out
    end
    expect(batches { noise = 1, shift = 4, erase = .5 }):equals(batches {})
  end)
  it("is augmented by its row and visit, whatever is drawn around it", function()
    local function rows(size)
      sampler.numbered(0)
      local one, out = feed.new { source = sampler.uniform(images()), size = size, augmentations = { noise = .5 } }, {}
      for _ = 1, 80 / size do
        local b = one:next(.7)
        local index, visit = b.index:totable(), b.visit:totable()
        for i, row in ipairs(index) do out[row .. "/" .. visit[i]] = b.x[i - 1]:hash() end
      end
      return out
    end
    expect(rows(10)):equals(rows(40))
  end)
end)

describe("preparing ahead", function()
  -- Another source in the middle, another strength, and a return: what was drawn ahead must go back each time.
  local function session(ahead)
    local before = set_ahead(ahead)
    sampler.numbered(0)
    local d = images()
    local first, second = sampler.uniform(d), sampler.uniform(d:first(.5))
    local one, out = feed.new { source = first, size = 16, augmentations = { noise = .3, shift = 2, erase = .3 } }, {}
    local ok, err = pcall(function()
      local deep = 0
      for i = 1, 40 do
        if i == 10 then one:use(second) end
        if i == 21 then one:use(first) end
        if i == 30 then one:rewind() end
        out[i] = record(one:next(i < 25 and .5 or i / 40))
        deep = math.max(deep, #one.pending)
      end
      out.deep = deep
      out.state = { first:state().draws, second:state().draws }
      one:rewind()
      out.rewound = { first:state().draws, second:state().draws }
    end)
    set_ahead(before)
    if not ok then error(err, 0) end
    return out
  end
  it("equals preparing on demand, bit for bit", function()
    local now, ahead = session(0), session(2)
    expect({ now.deep, ahead.deep }):equals { 0, 1 }
    expect(ahead.rewound):equals(now.rewound)
    for i = 1, 40 do expect(ahead[i]):equals(now[i]) end
    local far = session(7)
    expect(far.deep):equals(6)
    for i = 1, 40 do expect(far[i]):equals(now[i]) end
  end)
  it("is not done for sources that learn from the student", function()
    local one = feed.new { source = sampler.confidence(images()), size = 16 }
    one:next(0)
    expect(#one.pending):equals(0)
    one:use(sampler.uniform(one.source.data))  -- the same data, so the same loader
    for _ = 1, 5 do one:next(0) end
    expect(#one.pending > 0):is_true()
    one:rewind()
  end)
  it("is not done for a strength that moves at every step", function()
    local one = feed.new { source = sampler.uniform(images()), size = 16, augmentations = { noise = .3 } }
    for i = 1, 5 do
      one:next(i / 10)
      expect(#one.pending):equals(0)
    end
    one:next(.5)
    expect(#one.pending):equals(1)
    one:rewind()
  end)
  it("makes no difference to a run", function()
    local function train(ahead)
      local before = set_ahead(ahead)
      local student
      local ok, result = pcall(support.with_run, { seed = 3 }, function(run)
        student = g.nn.Sequential { g.nn.Flatten(), g.nn.Linear(1024, 4) }
        local d = images()
        return run:distill { student = student, data = { train = d, val = d }, batch = 16, budget = { steps = 24 },
          augment = g.schedule.staircase(.1, .5, 2),
          lr = .01, curriculum = { { "a", sample = d:first(.5), advance = g.when.steps(9) }, { "b" } } }
      end)
      set_ahead(before)
      if not ok then error(result, 0) end
      return support.weights(student)
    end
    expect(train(2)):equals(train(0))
  end)
end)

describe("what a step takes that may fail", function()
  local sources = {
    ["rows"] = function() return sampler.uniform(support.points(30)) end,
    ["rows that are prepared ahead"] = function() return sampler.uniform(images()) end,
    ["a generator"] = function()
      return g.data.generator(function(size, batch)
        return g.full({ size, 2 }, batch), g.full({ size }, batch, { dtype = "int64" })
      end, { epoch = 20 })
    end }
  for name, source in pairs(sources) do
    it("is given back, and drawn again, of " .. name, function()
      local one = feed.new { source = source(), size = 4 }
      sampler.numbered(0)
      local plain = feed.new { source = source(), size = 4 }
      local function same(step)
        local a, b = one:next(0), plain:next(0)
        expect({ step, a.x:totable(), a.y:totable() }):equals { step, b.x:totable(), b.y:totable() }
      end
      one:next(0)
      expect(one:take_back()):is_false()  -- nobody asked to remember
      plain:next(0)
      one:remember()
      expect(one:take_back()):is_false()
      one:next(0)
      one:next(0)
      expect({ one:take_back(), one:take_back() }):equals { true, false }
      same(1)
      one:settle()
      expect(one:take_back()):is_false()
      same(2)
      if one:can_stack(0) then
        one:settle()
        local stacked = one:stack { 0, 0, 0 }
        expect(stacked.x:size(0)):equals(3)
        expect(one:take_back()):is_true()
        same(3)
        one:settle()
        stacked = one:stack { 0, 0, 0 }
        one:give_back(stacked, 1)
        expect(stacked.x:select(0, 0):totable()):equals(plain:next(0).x:totable())
        same(4)
      end
    end)
  end
  it("are several batches of rows alone that are small, drawn without the student, and not mixed", function()
    local d = support.points(30)
    for _, case in ipairs { { sampler.uniform(d), nil, true }, { sampler.uniform(d), { mixup = .2 }, false },
      { sampler.confidence(d), nil, false }, { sampler.uniform(images()), nil, false } } do
      local one = feed.new { source = case[1], size = 16, augmentations = case[2] }
      expect(one:can_stack(0) or false):equals(case[3])
    end
  end)
  it("may be several batches of a stream, each sample by its own number", function()
    local function stream()
      local made = g.data.generator(function(size, batch)
        return g.full({ size, 2 }, batch), g.full({ size }, batch, { dtype = "int64" })
      end, { epoch = 20 })
      made.seekable, made.stack = true, function(self, n, size)
        self.made, self.samples = self.made + n, self.samples + n * size
        return { x = g.full({ n * size, 2 }, self.made), y = g.zeros({ n * size }, { dtype = "int64" }) }
      end
      return made
    end
    local one = feed.new { source = stream(), size = 4, augmentations = { noise = .5 } }
    expect({ one:can_stack(0), one:can_stack(.5) }):equals { true, false }
    one:remember()
    local stacked = one:stack { 0, 0, 0 }
    expect({ stacked.x.shape[1], stacked.x.shape[2], one.source.made, one.source.samples }):equals { 3, 4, 3, 12 }
    one:give_back(stacked, 1)
    expect({ one.source.made, one.source.samples }):equals { 1, 4 }
    one:remember()
    one:stack { 0, 0 }
    expect({ one:take_back(), one.source.made, one.source.samples }):equals { true, 1, 4 }
  end)
end)

describe("a generator", function()
  it("takes a data set's place, and gives it back", function()
    local d, made = support.points(30), g.data.generator(function(size) return g.full({ size, 6 }, 9), g.zeros(size):long() end,
      { epoch = 40, classes = 3 })
    local one = feed.new { source = sampler.uniform(d), size = 10 }
    expect(one:inputs():equal(d.base.x)):is_true()
    one:use(made)
    expect(one:inputs()):equals(nil)
    expect(one:next(0).x:eq(9):all():item()):is_true()
    one:use(sampler.uniform(d))
    local b = one:next(0)
    expect(b.x:equal(d.base.x:index_select(0, b.index))):is_true()
  end)
  it("feeds batches as it makes them, augmented by the run's own numbers", function()
    local function make()
      return g.data.generator(function(size, batch)
        return g.full({ size, 2 }, batch), g.zeros({ size }, { dtype = "int64" })
      end, { epoch = 20 })
    end
    local one = feed.new { source = make(), size = 4, augmentations = { noise = .5 } }
    expect(one:next(0).x:totable()[1]):equals { 0, 0 }
    local noisy = one:next(1).x
    expect(noisy:equal(g.full({ 4, 2 }, 1))):is_false()
    local again = feed.new { source = make(), size = 4, augmentations = { noise = .5 } }
    again:next(0)
    expect(again:next(1).x:equal(noisy)):is_true()
  end)
end)

describe("the open loop", function()
  local function loop(run, options, body)
    local d = support.points(60)
    local student = support.student()
    local opt = run:register("opt", g.optim.AdamW(student))
    local src = run:register("src", g.sampler.confidence(d))
    local step = run:step(function(b, k)
      local kd = g.kd_loss(student(b.x), nil, b.y, { temperature = k.temperature, alpha = k.alpha })
      opt:minimize(kd.loss, { lr = k.lr, clip = 1 })
      return kd
    end)
    for i, b in run:batches(src, options) do
      local out = step(b, { temperature = 4, alpha = 1, lr = .01 })
      src:observe(b.index, out.confidence)
      run:log { loss = out.loss }
      if body and body(i, b, student) then break end
    end
    return student
  end
  -- A model of tokens needs no augmentations = {}: noise is for numbers that measure something.
  it("leaves tokens as they are", function()
    local x = g.arange(40):reshape(10, 4)
    local seen = 0
    support.with_run(nil, function(run)
      for _, b in run:batches(g.data.tensors(x, g.zeros({ 10 }, { dtype = "int64" })), { size = 5, steps = 2 }) do
        seen = seen + 1
        expect(b.x:equal(x:index_select(0, b.index))):is_true()
      end
    end)
    expect(seen):equals(2)
  end)
  it("counts steps from 1 and logs to them", function()
    local numbers = {}
    local _, seen = support.with_run(nil, function(run)
      loop(run, { size = 12, steps = 7, augment = .5 }, function(i, b)
        numbers[i] = b.x:size(0)
      end)
    end)
    expect(numbers):equals { 12, 12, 12, 12, 12, 12, 12 }
    local steps = {}
    for i, pair in ipairs(seen.metric "loss") do steps[i] = pair[1] end
    expect(steps):equals { 1, 2, 3, 4, 5, 6, 7 }
  end)
  it("takes epochs, and ends at a break", function()
    local count = 0
    support.with_run(nil, function(run) loop(run, { size = 12, epochs = 2 }, function() count = count + 1 end) end)
    expect(count):equals(10)
    local _, seen = support.with_run(nil, function(run)
      loop(run, { size = 12, steps = 100 }, function(i)
        if i == 3 then run:decide("stop", { at = i }) return true end
      end)
    end)
    expect(#seen.values "loss"):equals(3)
    expect(seen.decisions[1].detail):equals { at = 3 }
    expect(seen.decisions[1].step):equals(3)
  end)
  it("gives the same bits from the same seed", function()
    local function bits(seed)
      local student
      support.with_run({ seed = seed }, function(run) student = loop(run, { size = 12, steps = 20, augment = .4 }) end)
      return support.weights(student)
    end
    expect(bits(1)):equals(bits(1))
    expect(bits(1)):differs_from(bits(2))
  end)
  it("has as many steps as an epoch's share needs, rounding aside", function()
    support.with_run(nil, function(run)
      local steps = 0
      for i in run:batches(support.points(100), { size = 1, epochs = .07 }) do steps = i end  -- .07 · 100 is 7.000000000000001
      expect(steps):equals(7)
    end)
  end)
  it("ends at its steps or epochs, whatever comes first", function()
    support.with_run(nil, function(run)
      for _, case in ipairs { { { epochs = 2, steps = 3 }, 3 }, { { epochs = 1, steps = 30 }, 5 }, { { steps = 1 }, 1 },
        { { epochs = .001 }, 1 } } do
        local steps = 0
        case[1].size = 4
        for i in run:batches(support.points(20), case[1]) do steps = i end
        expect(steps):equals(case[2])
      end
    end)
  end)
  it("has the answers of the teacher's checkpoint that is asked, cached too", function()
    support.with_run(nil, function(run)
      local d = support.points(20)
      local teacher, kept = run:fit { model = support.student(), data = d, steps = 4, lr = .1, checkpoints = { steps = 2 } }
      local storage, then_ = teacher:clone(), teacher:clone()
      for _, cache in ipairs { false, true } do
        for k = 1, 2 do
          kept:load(then_, k)
          for _, b in run:batches(d, { size = 4, steps = 5, teacher = g.target.checkpoint(storage, kept, k), teacher_cache = cache }) do
            expect(b.teacher:allclose(then_(b.x), { atol = 1e-6 })):is_true()
            expect(b.teacher:allclose(teacher(b.x), { atol = 1e-6 })):equals(k == 2)
          end
        end
      end
    end)
  end)
  it("asks a live run before its first step and between two, and a sampler at each epoch", function()
    local log = {}
    support.with_run(nil, function(run)
      local function note(what) return function() log[#log + 1] = what .. run.step_number end end
      rawset(run, "live", { begun = 3, loops = function() end, enter = function(_, one)
        log[#log + 1] = ("enter %d %s"):format(one.index, type(one.fn))
      end, begin_loop = note "begin ", look_at_loop = note "look " })
      local src = g.sampler.uniform(support.points(8))
      rawset(src, "refresh", note "refresh ")
      for i in run:batches(src, { size = 4, steps = 5 }) do
        log[#log + 1] = ("step %d %d"):format(i, run.step_number)
        assert(run.loop_knobs)
      end
      expect(run.loop_knobs):is_false()
      rawset(run, "live", false)
    end)
    expect(log):equals { "enter 3 function", "begin 0", "refresh 0", "step 1 1", "look 1", "step 2 2", "look 2", "refresh 2", "step 3 3",
      "look 3", "step 4 4", "look 4", "refresh 4", "step 5 5" }
  end)
  it("goes on counting in a second loop", function()
    local _, seen = support.with_run(nil, function(run)
      local d = support.points(60)
      for _ = 1, 2 do
        for i in run:batches(d, { size = 10, steps = 3 }) do run:log { i = i } end
      end
    end)
    local steps = {}
    for i, pair in ipairs(seen.metric "i") do steps[i] = pair[1] end
    expect(steps):equals { 1, 2, 3, 4, 5, 6 }
  end)
  local cases = {
    { "no end", { size = 4 }, "batches: expected steps = … or epochs = …" },
    { "half a batch", { size = .5, steps = 3 }, "batches: size: expected a whole number above 0; got 0.5" },
    { "text as a size", { size = "64", steps = 3 }, "batches: size: expected a whole number above 0; got 64" },
    { "half a step", { steps = 2.5 }, "batches: steps: expected a whole number" },
    { "text as steps", { steps = "9" }, "batches: steps: expected a whole number" },
    { "text as steps of epochs", { steps = "many", epochs = 1 }, "batches: steps: expected a whole number above 0; got many" },
    { "no step", { steps = 0 }, "batches: steps: expected a whole number above 0; got 0" },
    { "no epoch", { epochs = 0 }, "batches: epochs: expected a number above 0; got 0" },
    { "no rows", { size = 0, steps = 1 }, "batches: size: expected a whole number above 0; got 0" },
    { "a teacher's cache without one", { steps = 3, teacher_cache = true }, "batches: teacher_cache has no effect without a teacher" },
    { "a teacher's view without one", { steps = 3, teacher_view = "clean" }, "batches: teacher_view has no effect without a teacher" },
    { "a misspelt option", { step = 3 }, "batches: no option 'step'; did you mean 'steps'?" },
    { "augmentation by text", { steps = 3, augment = "much" },
      "batches: augment: expected a number, a schedule or a function" },
    { "a teacher that is none", { steps = 3, teacher = 5 }, "batches: teacher: expected a module" },
    { "a layer's target", { steps = 1, teacher = g.target.layer { teacher = support.student(), from = "layers.0", to = "layers.0" } },
      "batches: teacher: a layer's target needs the student's layer; expected run:distill, or teacher:forward_taps" },
    { "no options", nil, "batches: expected steps = … or epochs = …" },
  }
  for _, case in ipairs(cases) do
    it("refuses " .. case[1], function()
      expect(function()
        support.with_run(nil, function(run)
          local draw = run:batches(support.points(60), case[2])
          draw()
        end)
      end):fails_with(case[3])
    end)
  end
  it("refuses a tensor", function()
    expect(function() support.with_run(nil, function(run) return run:batches(engine.ops.zeros(3), { steps = 1 }) end) end)
      :fails_with "batches: expected a data set or a sampler (of your own: sampler.custom(d"
  end)
end)

current.run = nil

describe("what is said of the rows that are drawn", function()
  local function said(sample)
    local _, seen = support.with_run({ seed = 2 }, function(run)
      local d = support.points():split({ train = .5, val = .5 }, { seed = 3 })
      run:distill { student = support.student(), teacher = support.student(4), data = d, batch = 12, budget = { steps = 20 },
        evaluate = { steps = 10 }, curriculum = { { "a", sample = sample and sample(d.train) } } }
    end)
    return { #seen.values "sample/difficulty", #seen.values "sample/effective" }
  end
  local function ranked(train) return train:rank(g.score.loss(support.student(4))) end
  it("is nothing of all rows alike", function()
    expect(said()):equals { 0, 0 }
    expect(said(function(train) return train:first(40) end)):equals { 0, 0 }
    expect(said(function(train) return g.sampler.uniform(train) end)):equals { 0, 0 }
  end)
  it("is the difficulty of what is ranked, and how unevenly of what is weighed", function()
    expect(said(function(train) return ranked(train):first(40) end)):equals { 2, 2 }
    expect(said(function(train) return g.sampler.easiest(ranked(train), .5) end)):equals { 2, 2 }
    expect(said(function(train) return g.sampler.confidence(train) end)[2]):equals(2)
  end)
end)

describe("a feed's state", function()
  it("has where each source of the run stands, to which a later stage may come back", function()
    support.with_run({ seed = 4 }, function()
      local a, b = sampler.uniform(support.points(30)), sampler.uniform(support.points(40))
      local one = feed.new { source = a, size = 4 }
      one:next(0)
      one:use(b)
      one:next(0)
      local kept, made = require "gradus.base.copy"(one:state()), sampler.numbered()
      local function rows() return { a:draw(4):totable(), b:draw(4):totable(), a:draw(4):totable(), b:draw(4):totable() } end
      local wanted, asked = rows(), 0
      sampler.uniform(support.points(10))
      one:load_state(kept, function() asked = asked + 1 end)
      expect({ rows(), asked, sampler.numbered() }):equals { wanted, 1, made }
    end)
  end)
  it("has the one sampler of all views, while another source is drawn from", function()
    support.with_run({ seed = 4 }, function()
      local d = support.points(30)
      local one, s = feed.new { size = 4 }, support.state()
      one:draw_from("spec", d:first(20), d, s)
      one:next(0)
      local views = one.source
      one:draw_from("spec", sampler.uniform(support.points(40)), d, s)
      one:next(0)
      local kept = require "gradus.base.copy"(one:state())
      local wanted = { views:draw(8):totable(), views:draw(8):totable() }
      one:load_state(kept, function() end)
      expect({ views:draw(8):totable(), views:draw(8):totable() }):equals(wanted)
      expect(views:size()):equals(20)
    end)
  end)
end)

describe("a source that is told again, of a feed that goes on", function()
  it("has the number that it had, and so the same rows", function()
    support.with_run({ seed = 4 }, function()
      local d, other = support.points(30), support.points(40)
      local one, s = feed.new { size = 4 }, support.state()
      one:draw_from("spec", other, d, s)
      local number = one.source.number
      one:next(0)
      for _ = 1, 3 do sampler.uniform(d) end
      local kept, made = require "gradus.base.copy"(one:state()), sampler.numbered()
      local wanted = one:next(0).index:totable()
      one:load_state(kept, function() one:draw_from("spec", other, d, s) end)
      expect({ one.source.number, sampler.numbered(), one:next(0).index:totable() }):equals { number, made, wanted }
    end)
  end)
end)
