local g = require "gradus"
local sampler, schedule = g.sampler, g.schedule
local current = require "gradus.base.current"
local State = require "gradus.curriculum.state"

local function rows(n) return g.data.tensors(g.arange(n, { dtype = "float32" }):reshape(n, 1), g.arange(n):remainder(2)) end

local function draw(source, size, times)
  local all = {}
  for _ = 1, times or 1 do
    for _, row in ipairs((source:draw(size)):totable()) do all[#all + 1] = row end
  end
  return all
end

local function counts(list)
  local out = {}
  for _, row in ipairs(list) do out[row] = (out[row] or 0) + 1 end
  return out
end

local function highest(list) return math.max(unpack(list)) end

local function state(progress)
  local s = State.new { progress = progress or 0 }
  s:begin_stage("a", 1)
  return s
end

before_each(function()
  current.run = { seed = 11 }
  sampler.numbered(0)
end)

describe("uniform", function()
  it("draws every row once per pass, each pass in another order", function()
    local source = sampler.uniform(rows(20))
    local a, b = draw(source, 5, 4), draw(source, 5, 4)
    expect(a):differs_from(b)
    table.sort(a)
    table.sort(b)
    expect(a):equals(b)
    expect(#a):equals(20)
    expect(source:passes()):equals(2)
  end)
  it("is the same from the same seed, each source of a run has its own order", function()
    local a = draw(sampler.uniform(rows(20)), 20)
    local b = draw(sampler.uniform(rows(20)), 20)
    expect(a):differs_from(b)
    sampler.numbered(0)
    expect(draw(sampler.uniform(rows(20)), 20)):equals(a)
    current.run = { seed = 12 }
    sampler.numbered(0)
    expect(draw(sampler.uniform(rows(20)), 20)):differs_from(a)
  end)
  it("counts visits and takes back what was drawn ahead", function()
    local source = sampler.uniform(rows(4))
    draw(source, 4)
    local index, visit = source:draw(4)
    expect(visit:totable()):equals { 1, 1, 1, 1 }
    source:undo(index)
    local again, visits = source:draw(4)
    expect(again:equal(index)):is_true()
    expect(visits:totable()):equals { 1, 1, 1, 1 }
  end)
  it("of a view draws the view's rows", function()
    local d = rows(20)
    expect(highest(draw(sampler.uniform(d:first(.5)), 10, 5)) < 10):is_true()
    local source = sampler.uniform(d)
    source:restrict(d:first(4))
    expect(source:size()):equals(4)
    expect(highest(draw(source, 4, 5)) < 4):is_true()
  end)
  it("saves and restores where it stands", function()
    local source = sampler.uniform(rows(30))
    draw(source, 7)
    local saved = source:state()
    local next_rows = draw(source, 7, 5)
    source:restore(saved)
    expect(draw(source, 7, 5)):equals(next_rows)
  end)
end)

describe("easiest", function()
  it("opens the share that the schedule says, epoch by epoch", function()
    local source = sampler.easiest(rows(100), schedule.linear(.2, 1))
    for progress, open in pairs { [0] = 20, [.5] = 60, [1] = 100 } do
      source:refresh(state(progress))
      expect(source:size()):equals(open)
      expect(highest(draw(source, 50, 4)) < open):is_true()
      expect(source.share_now):near(open / 100)
    end
  end)
  it("takes a function of the state, and no more than everything", function()
    local source = sampler.easiest(rows(10), function(s) return .3 + s.progress end)
    source:refresh(state(0))
    expect(source:size()):equals(3)
    source:refresh(state(5))
    expect(source:size()):equals(10)
  end)
  it("follows the ranking's order", function()
    local source = sampler.easiest(rows(10):reversed(), .2)
    source:refresh(state())
    local drawn = draw(source, 2)
    table.sort(drawn)
    expect(drawn):equals { 8, 9 }
  end)
  it("competence is the share of schedule.competence", function()
    local source = sampler.competence(rows(1000), { start = .1 })
    source:refresh(state(.5))
    expect(source:size()):equals(math.floor(1000 * math.sqrt(.5 * (1 - .01) + .01) + .5))
  end)
end)

describe("self-paced", function()
  it("takes the examples of the student's own lowest loss, asked anew", function()
    -- labels alternate; a student that always says class 0 is right on the even rows
    local student = g.nn.Linear(1, 2)
    g.no_grad(function()
      student.weight:zero_()
      student.bias:copy_(g.tensor { 3, 0 })
    end)
    local source = sampler.self_paced(rows(20), .5)
    local s = state()
    s.student = student
    source:refresh(s)
    for _, row in ipairs(draw(source, 10)) do expect(row % 2):equals(0) end
    g.no_grad(function() student.bias:copy_(g.tensor { 0, 3 }) end)
    source:refresh(s)
    for _, row in ipairs(draw(source, 10)) do expect(row % 2):equals(1) end
    expect(source.adaptive):is_true()
  end)
end)

describe("weighted", function()
  it("draws in proportion", function()
    local source = sampler.weighted(rows(4), g.tensor { 1, 2, 0, 5 })
    local seen = counts(draw(source, 1000, 8))
    expect(seen[2]):equals(nil)
    -- 8000 draws: three standard deviations are below 0.017
    for row, share in pairs { [0] = 1 / 8, [1] = 2 / 8, [3] = 5 / 8 } do expect(seen[row] / 8000):near(share, .017) end
  end)
  it("takes a column of weights", function()
    for _, row in ipairs(draw(sampler.weighted(rows(3), g.tensor { { 0 }, { 0 }, { 1 } }), 5)) do expect(row):equals(2) end
  end)
  it("takes a score", function()
    local source = sampler.weighted(rows(3), function(x) return x:select(1, 0) end)
    local seen = counts(draw(source, 3000))
    expect(seen[0]):equals(nil)
    expect(seen[2] / seen[1]):near(2, .25)
  end)
end)

describe("mixture", function()
  it("draws each part by its share, whatever its size", function()
    local d = rows(100)
    local source = sampler.mixture { { d:first(10), .7 }, { d:last(50), .3 } }
    source:refresh(state())
    local first, last = 0, 0
    for row, n in pairs(counts(draw(source, 1000, 10))) do
      if row < 10 then first = first + n elseif row >= 50 then last = last + n else error("row " .. row .. " is in no part") end
    end
    expect(first / 10000):near(.7, .015)
    expect(last / 10000):near(.3, .015)
    expect(source:size()):equals(60)
  end)
  it("shares may move, and count relative to their sum", function()
    local d = rows(20)
    local source = sampler.mixture { { d:first(10), schedule.linear(4, 0) }, { d:last(10), schedule.linear(0, 4) } }
    source:refresh(state(0))
    expect(highest(draw(source, 500)) < 10):is_true()
    source:refresh(state(.75))
    local high = 0
    for row, n in pairs(counts(draw(source, 1000, 4))) do high = high + (row >= 10 and n or 0) end
    expect(high / 4000):near(.75, .022)
  end)
  it("parts that share rows add up", function()
    local d = rows(4)
    local source = sampler.mixture { { d, .5 }, { d:first(1 / 4), .5 } }
    source:refresh(state())
    expect(counts(draw(source, 1000, 8))[0] / 8000):near(.5 / 4 + .5, .017)
  end)
  it("rehearsal is a share of what came before", function()
    local d = rows(100)
    local source = sampler.rehearsal(d:last(50), d:first(50), .2)
    source:refresh(state())
    local earlier = 0
    for row, n in pairs(counts(draw(source, 1000, 10))) do earlier = earlier + (row < 50 and n or 0) end
    expect(earlier / 10000):near(.2, .012)
  end)
end)

describe("confidence", function()
  it("draws what the student is unsure of more than what it knows", function()
    local source = sampler.confidence(rows(10))
    for _ = 1, 30 do
      local index = source:draw(10)
      source:observe(index, index:lt(5):float() * .98 + .01)  -- sure of the first half, certainly wrong about the rest
      source:observe(g.tensor({ 9 }, "int64"), g.tensor { .5 })
    end
    local seen = counts(draw(source, 1000, 3))
    for row = 0, 8 do expect(seen[9] > 3 * (seen[row] or 0)):is_true() end
  end)
end)

describe("confidence that starts from a ranking", function()
  local d = rows(100)
  local ranked = d:rank(g.arange(100, { dtype = "float64" }):neg())  -- the last row is the easiest
  local function mean(list)
    local sum = 0
    for _, row in ipairs(list) do sum = sum + row end
    return sum / #list
  end
  it("draws simple and moderate rows first, and all of them some time", function()
    expect(mean(draw(sampler.confidence(d), 1000, 3))):near(49.5, 3)
    local source = sampler.confidence(d, { start = ranked })
    local first = draw(source, 1000, 3)
    expect(mean(first) > 60):is_true()
    local seen = counts(first)
    expect((seen[99] or 0) > 5 * (seen[0] or 0) and (seen[75] or 0) > 3 * (seen[5] or 0)):is_true()
  end)
  it("goes on by what the student shows, and is saved with it", function()
    local source = sampler.confidence(d, { start = ranked })
    for _ = 1, 40 do
      local index = source:draw(50)
      source:observe(index, g.where(index:lt(50), .5, .99))  -- the easy ones are learnt, the hard ones are half way
    end
    expect(mean(draw(source, 1000, 3)) < 40):is_true()
    local other = sampler.confidence(d, { start = ranked })
    other:restore(source:state())
    expect(draw(other, 50)):equals(draw(source, 50))
  end)
  it("refuses what is no ranking of the data", function()
    for _, start in ipairs { d, .3 } do
      expect(function() sampler.confidence(d, { start = start }) end):fails_with
        "sampler.confidence: start: expected a ranking of the data, d:rank(score); got "
    end
    expect(function() sampler.confidence(rows(100), { start = ranked }) end):fails_with "start: the ranking is of another data set"
  end)
end)

describe("a sampler of one's own", function()
  local d = rows(10):reversed()
  it("is asked at each step for places of rows", function()
    local asked = {}
    local source = sampler.custom(d, function(s, size)
      asked[#asked + 1] = { s.epoch or "none", size }
      return g.tensor({ 0, 0, 3 }, "int64")
    end)
    source:refresh(state())
    local index, visit = source:draw(3)
    expect({ index:totable(), visit:totable() }):equals { { 9, 9, 6 }, { 0, 1, 0 } }
    source:undo(index)
    expect(source:draw(3) and select(2, source:draw(3)):totable()):equals { 2, 3, 1 }
    expect(asked[1]):equals { 0, 3 }
    expect(source:passes()):near(.6)
    expect(source:stats()):equals { drawn = 6, effective = 10 }
  end)
  it("may give a list, and is saved", function()
    local made = 0
    local function make() return sampler.custom(d, function() made = made + 1; return { 1, 2 } end) end
    local source = make()
    source:draw(2)
    local other = make()
    other:restore(source:state())
    expect(select(2, other:draw(2)):totable()):equals { 1, 1 }
    expect(select(2, source:draw(2)):totable()):equals { 1, 1 }
  end)
  it("trains a student, again with the same bits", function()
    local support = require "support"
    local function trained()
      local student
      support.with_run({}, function(run)
        local p = support.points(60)
        student = support.student()
        run:distill { student = student, data = p, budget = { steps = 20 }, curriculum = {
          sample = sampler.custom(p, function(s, size) return g.randint(math.min(60, 20 + s.step), { size }) end) } }
      end)
      return support.weights(student)
    end
    local first = trained()
    expect(trained()):equals(first)
    current.run = { seed = 11 }
  end)
  local cases = {
    { "no function", function() sampler.custom(d, { 1 }) end, "sampler.custom: expected a data set and a function(s, size)" },
    { "no data", function() sampler.custom(function() end, function() end) end, "sampler.custom: expected a data set; got a function" },
    { "another number of places", function() return { 1 } end,
      "expected the function to return 2 places of rows, whole numbers from 0; got Tensor [1] int64" },
    { "nothing", function() end, "expected the function to return 2 places of rows, whole numbers from 0; got nil" },
    { "halves", function() return g.tensor { .5, 1 } end, "whole numbers from 0; got Tensor [2] float32" },
    { "halves in a list", function() return { .5, 1 } end, "whole numbers from 0; got a table" },
    { "a place that is none", function() return { 3, 10 } end,
      "sampler.custom: the function returned places from 3 to 10; expected 0 to 9" },
  }
  for i, case in ipairs(cases) do
    it("refuses " .. case[1], function()
      expect(i <= 2 and case[2] or function() sampler.custom(d, case[2]):draw(2) end):fails_with(case[3])
    end)
  end
end)

describe("what was drawn", function()
  local d = rows(100)
  it("tells the difficulty of a ranking by a tensor of any type", function()
    for _, of in ipairs { g.arange(100), g.arange(100):float() } do
      local source = sampler.easiest(d:rank(of), .1)
      source:refresh(require "support".state())
      draw(source, 1, 10)
      expect(source:stats().difficulty):equals(4.5)
    end
  end)
  local ranked = d:rank(g.arange(100, { dtype = "float64" }))
  it("is told with its difficulty since it was asked last", function()
    local source = sampler.uniform(ranked)
    source:restrict(ranked:first(.1))
    source:draw(10)
    expect(source:stats()):equals { drawn = 10, difficulty = 4.5, effective = 10 }
    source:restrict(ranked)
    source:draw(100)
    expect(source:stats()):equals { drawn = 100, difficulty = 49.5, effective = 100 }
    expect(source:stats()):equals { drawn = 0, effective = 100 }
    expect(sampler.uniform(d):stats().difficulty):equals(nil)
  end)
  it("goes on after a resume", function()
    local source = sampler.uniform(ranked)
    source:draw(50)
    source:stats()
    source:draw(20)
    local other = sampler.uniform(ranked)
    other:restore(source:state())
    other:draw(30)
    source:draw(30)
    expect(other:stats()):equals(source:stats())
  end)
  it("is effectively as many rows as draw alike", function()
    local weights = g.zeros({ 100 }, { dtype = "float64" })
    weights:slice(0, 0, 4):fill_(1)
    expect(sampler.weighted(d, weights):stats().effective):near(4)
    weights[0]:fill_(3)
    expect(sampler.weighted(d, weights):stats().effective):near(36 / 12)
    for _, scale in ipairs { 1e290, 1e-290 } do expect(sampler.weighted(d, weights * scale):stats().effective):near(36 / 12) end
    local source = sampler.mixture { { ranked:first(10), .5 }, { ranked:last(40), .5 } }
    source:refresh(state())
    expect(source:stats().effective):near(1 / (10 * .05 ^ 2 + 40 * .0125 ^ 2), 1e-9)
    source:draw(2000)
    expect(source:stats().difficulty):near((4.5 + 79.5) / 2, 3)
  end)
  it("goes by the student's own ranking where that is what chooses", function()
    local net = g.nn.Linear(1, 2)
    g.no_grad(function()
      net.weight:zero_()
      net.bias:copy_(g.tensor { 2, 0 })
    end)
    local source = sampler.self_paced(d, .5)  -- even rows are of class 0, which the student says
    local s = state()
    rawset(s, "student", net)
    source:refresh(s)
    source:draw(50)
    expect(source:stats().difficulty):near(math.log(1 + math.exp(-2)), 1e-5)
  end)
end)

describe("a sampler refuses", function()
  local d = rows(10)
  local cases = {
    { "a tensor as data", function() sampler.uniform(g.zeros(3)) end,
      "sampler.uniform: expected a data set; got Tensor [3] float32" },
    { "a generator", function() sampler.easiest(g.data.generator(function() end, { epoch = 5 }), .5) end,
      "sampler.easiest: a generator makes new rows each time; expected a data set: its held-out part (val), or take(10000) of them" },
    { "a share of 0", function() sampler.easiest(d, 0) end,
      "sampler.easiest: share: expected above 0, up to 1; got 0" },
    { "text as a share", function() sampler.easiest(d, "half") end,
      "sampler.easiest: share: expected a number, a schedule or a function" },
    { "a share that falls to 0", function() sampler.easiest(d, schedule.linear(1, 0)):refresh(state(1)) end,
      "sampler.easiest: the share is 0 at epoch 0; expected above 0" },
    { "a self-paced share of 0", function() sampler.self_paced(d, 0) end,
      "sampler.self_paced: share: expected above 0, up to 1; got 0" },
    { "a share that is no number", function() sampler.easiest(d, function() return "x" end):refresh(state()) end,
      "sampler.easiest: the share is x at epoch 0; expected above 0" },
    { "a share above 1", function() sampler.easiest(d, 1.1) end, "sampler.easiest: share: expected above 0, up to 1; got 1.1" },
    { "rehearsal of nothing", function() sampler.rehearsal(d, d, 0) end, "sampler.rehearsal: share: expected above 0, below 1; got 0" },
    { "a misspelt option of competence", function() sampler.competence(d, { stat = .1 }) end,
      "sampler.competence: no option 'stat'; did you mean 'start'?" },
    { "a mixture whose first part is a number", function() sampler.mixture { 5, { d, 1 } } end,
      "sampler.mixture: part 1: expected { data, share }; got 5" },
    { "a mixture whose first part holds no data", function() sampler.mixture { { 5, 1 }, { d, 1 } } end,
      "sampler.mixture: part 1: expected a data set" },
    { "a mixture whose second part holds no data", function() sampler.mixture { { d, 1 }, { 5, 1 } } end,
      "sampler.mixture: part 2: expected a data set" },
    { "a mixture that is no table", function() sampler.mixture(5) end, "sampler.mixture: expected { { data, share }" },
    { "a misspelt option", function() sampler.confidence(d, { traget = .5 }) end,
      "sampler.confidence: no option 'traget'; did you mean 'target'?" },
    { "a target that is no share", function() draw(sampler.confidence(d, { target = 2 }), 1) end, "target" },
    { "another number of weights", function() sampler.weighted(d, g.ones(9)) end,
      "sampler.weighted: expected one weight for each of 10 rows" },
    { "weights below 0", function() draw(sampler.weighted(d, -g.ones(10)), 1) end, "weight" },
    { "weights of 0 alone", function() draw(sampler.weighted(d, g.zeros(10)), 1) end, "weight" },
    { "a mixture of one", function() sampler.mixture { { d, 1 } } end,
      "sampler.mixture: expected { { data, share }, { data, share }, … }" },
    { "a mixture of numbers", function() sampler.mixture { 1, 2 } end,
      "sampler.mixture: part 1: expected { data, share }" },
    { "a mixture of two data sets", function() sampler.mixture { { d, 1 }, { rows(10), 1 } } end,
      "sampler.mixture: the parts are of different data sets; data.concat makes one of them" },
    { "a part without a share", function() sampler.mixture { { d, 1 }, { d } } end,
      "sampler.mixture: part 2: share: expected a number" },
    { "shares of 0 alone", function() sampler.mixture({ { d, 0 }, { d, 0 } }):refresh(state()) end,
      "sampler.mixture: the shares are all 0" },
    { "a negative share", function() sampler.mixture({ { d, 2 }, { d, -1 } }):refresh(state()) end,
      "sampler.mixture: part 2: the share is -1" },
    { "rehearsal of everything", function() sampler.rehearsal(d, d, 1) end,
      "sampler.rehearsal: share: expected above 0, below 1; got 1" },
    { "a subset of other data", function() sampler.uniform(d):restrict(rows(3)) end,
      "sampler.uniform: the subset is of another data set" },
    { "a number where a source belongs", function() sampler.of("batches", 5) end,
      "batches: expected a data set or a sampler (of your own: sampler.custom(d, function(s, size) return places end)); got 5" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
end)

describe("the share that is open", function()
  local d = rows(20)
  it("is all of it at 1 and above, and is told", function()
    for _, case in ipairs { { 1, 20, 1 }, { .5, 10, .5 }, { function() return 3 end, 20, 1 }, { schedule.constant(.25), 5, .25 } } do
      local source = sampler.easiest(d, case[1])
      expect(source.share_now):is_false()
      source:refresh(state())
      expect({ source:size(), source.share_now }):equals { case[2], case[3] }
    end
  end)
  it("goes through levels where its schedule does", function()
    local function level_at(share) return sampler.easiest(d, share).level_at end
    local steps = schedule.staircase(.5, 1, 2)
    expect(sampler.easiest(d, steps):level_at(state(.9))):equals(1)
    expect({ level_at(.5), level_at(schedule.linear(.1, 1)), level_at(function() return 1 end) }):equals { false, false, false }
    expect({ sampler.uniform(d).level_at, sampler.uniform(d).adaptive, sampler.easiest(d, .5).adaptive }):equals { false, false, false }
    expect(sampler.self_paced(d, steps):level_at(state(.1))):equals(.5)
  end)
  it("of competence begins at a tenth", function()
    local source = sampler.competence(rows(100))
    source:refresh(state(0))
    expect(source:size()):equals(10)
    source = sampler.competence(rows(100), { start = .5, power = 1, to = .5 })
    source:refresh(state(.25))
    expect(source:size()):equals(75)
  end)
  it("of a self-paced sampler is told too", function()
    local source, s = sampler.self_paced(d, .5), state()
    rawset(s, "student", g.nn.Linear(1, 2))
    source:refresh(s)
    expect({ source.share_now, source:size() }):equals { .5, 10 }
  end)
  it("is saved", function()
    local source, other = sampler.easiest(d, .5), sampler.easiest(d, .5)
    source:refresh(state())
    other:restore(source:state())
    expect({ other.share_now, other:size(), other:view():size() }):equals { .5, 10, 10 }
    local fresh = sampler.easiest(d, .5)
    other:restore(fresh:state())
    expect({ other.share_now, other:size(), other:view():size() }):equals { false, 20, 20 }
  end)
end)

current.run = nil

describe("the samplers of a run", function()
  local source = require "gradus.curriculum.source"
  local d = g.data.digits():first(4)

  -- Calls fn(make, has): make(run) is a new sampler of that run, has(run) how many of the given ones it has.
  local function with_runs(fn)
    local before, known = current.run, source.known()
    local function has(run, list)
      current.run = run
      local count = 0
      for _, one in ipairs(list) do
        if source.with_number(one.number) == one then count = count + 1 end
      end
      return count
    end
    local function make(run)
      current.run = run
      return g.sampler.uniform(d)
    end
    local ok, why = pcall(fn, make, has)
    source.forget(known)
    current.run = before
    if not ok then error(why, 0) end
  end

  it("are another's for a while, and its own again", function()
    with_runs(function(make, has)
      local a, b, c = {}, {}, {}
      local of_a, of_b, of_c = { make(a), make(a) }, { make(b) }, { make(c) }
      local left = source.hand_over(a, b)
      expect({ has(a, of_a), has(b, of_a), has(b, of_b), has(c, of_c) }):equals { 0, 2, 0, 1 }
      source.take_back(left, b)
      expect({ has(a, of_a), has(b, of_a), has(b, of_b), has(c, of_c) }):equals { 0, 0, 1, 1 }
    end)
  end)
  it("that were made since are forgotten, and no others", function()
    with_runs(function(make, has)
      local a, b = {}, {}
      local before, other = { make(a) }, { make(b) }
      local known = source.known()
      local since = { make(a), make(a) }
      source.forget(known)
      expect({ has(a, before), has(a, since), has(b, other) }):equals { 1, 0, 1 }
    end)
  end)
end)

describe("confidence before the student has seen a row", function()
  it("is the target for the easiest row, falling to 0 for the hardest", function()
    local d = rows(5)
    local ranked = d:rank(g.tensor({ 3, 1, 2, 5, 4 }, "float64"))
    for target, wanted in pairs { [.5] = { .5, .375, .25, .125, 0 }, [.75] = { .75, .5625, .375, .1875, 0 } } do
      local source = sampler.confidence(d, { start = ranked, target = target ~= .5 and target or nil })
      expect({ source.first_seen.index:totable(), source.first_seen.confidence:totable() }):equals { { 1, 2, 0, 4, 3 }, wanted }
    end
  end)
end)
