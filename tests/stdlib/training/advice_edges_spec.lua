-- Advice on rates, batch normalisation and patience from both sides of each edge, over trainings that are plain tables.
local g = require "gradus"
local advice = require "gradus.training.advice"

-- What is advised, by name.
local function given(more)
  local d = g.data.tensors(g.randn(10, 4), g.zeros({ 10 }, { dtype = "int64" }), { classes = 2 })
  local t = { updater = { optimizer = { name = "AdamW" }, batch = 32 }, options = {}, student = g.nn.MLP { 4, 2 }, keeper = {}, train = d,
    clock = { batch = 10, epoch_size = 100, total_steps = 1000 }, evaluator = { every = 2 }, task = { kind = "classes", labels = {} } }
  for key, value in pairs(more or {}) do t[key] = value end
  local found = {}
  for _, one in ipairs(advice.on(t)) do found[one.name] = one end
  return found
end

describe("rates by the student's size", function()
  for _, case in ipairs { { 1, 1e-3, 1e-2 }, { 999999, 1e-3, 1e-2 }, { 1e6, 1e-4, 1e-3 }, { 299999999, 1e-4, 1e-3 }, { 3e8, 1e-4, 1e-4 },
    { 3e9, 1e-4, 1e-3 } } do
    it(("are those of %g parameters"):format(case[1]), function()
      local low, high = advice.rates(case[1])
      expect({ low, high }):equals { case[2], case[3] }
    end)
  end
end)

describe("advice on a rate", function()
  local function rate(lr, name, own)
    return given({ options = { lr = lr }, updater = { optimizer = { name = name or "AdamW" }, batch = 32, own_lr = own } }).rate
  end
  it("is said of Adam's alone, and of a number", function()
    expect(rate(.01).numbers):equals { parameters = 10, rate = .01, lowest = 1e-3, highest = 1e-2 }
    expect(rate(.01).text)
      :equals "10 parameters: lr 0.001 to 0.01 (as measured here; the guide's 1e-4 to 1e-3 is for larger ones); here it is 0.01"
    expect({ rate(.01, "Adam") ~= nil, rate(.01, "SGD"), rate(function() end), rate(g.schedule.linear(1, 0)) })
      :equals { true, nil, nil, nil }
    expect({ rate(nil).numbers.rate, rate(nil, nil, .02).numbers.rate, rate(.03, nil, .02).numbers.rate }):equals { 1e-3, .02, .03 }
  end)
  it("has ten times the range to be far off, and ruin from 1 on", function()
    for _, case in ipairs { { 1e-4, false }, { .99e-4, true }, { .1, false }, { .11, true }, { .99, true },
      { 1, true, true }, { 3, true, true } } do
      local one = rate(case[1])
      expect({ one.amiss, one.mistake }):equals { case[2], case[3] }
    end
  end)
end)

describe("advice on batch normalisation", function()
  local function of(batch, accumulate, norm)
    local one = given({ student = g.nn.MLP { 4, 3, 2, norm = norm or "batch" }, updater = { optimizer = {}, batch = batch },
      options = { accumulate = accumulate } }).batch_norm
    return one and { one.numbers.rows, one.mistake } or nil
  end
  it("is given below 16 rows at a time, and refused up to 2", function()
    expect({ of(16), of(15), of(3), of(2), of(1) }):equals { nil, { 15, false }, { 3, false }, { 2, true }, { 1, true } }
    expect({ of(32, 2), of(32, 4), of(31, 2) }):equals { nil, { 8, false }, { 15, false } }
    expect(of(2, 1, "layer")):equals(nil)
  end)
end)

describe("advice on patience", function()
  local function of(limit, more)
    local clock = { batch = 10, epoch_size = 100, total_steps = 1000 }
    for key, value in pairs(more or {}) do clock[key] = value end
    local one = given({ keeper = { early = limit and { limit = limit } }, clock = clock }).patience
    return one and { one.numbers.evaluations, one.numbers.epochs, one.amiss } or nil
  end
  it("is amiss below an epoch, where there is more than one", function()
    expect({ of(4), of(5), of(15), of(nil) }):equals { { 4, .8, true }, { 5, 1 }, { 15, 3 } }
    expect({ of(4, { total_steps = 10 }), of(4, { total_steps = 11 }) }):equals { nil, { 4, .8, true } }
    local clock = { batch = 10, epoch_size = 100 }
    expect(given({ keeper = { early = { limit = 4 } }, clock = clock }).patience.amiss):equals(true)
  end)
end)

describe("the guide's rows on temperature", function()
  local function rows(count, entropy, kind)
    local list = {}
    for i, one in ipairs(advice.temperature_rows { rows = count, entropy = entropy, largest = entropy and 1, kind = kind or "classes" }) do
      list[i] = ("%s %g %g"):format(one[4], one[2], one[3])
    end
    return table.concat(list, ", ")
  end
  local few, many, classes = "few examples 6 10, ", "many examples 4 6, ", "classification 4 6"
  for _, case in ipairs { { few, 9999 }, { "", 10000 }, { "", 100000 }, { many, 100001 },
    { "a sure teacher 2 4, ", nil, .15 }, { "", nil, .16 },
    { "", nil, .49 }, { "an unsure teacher 8 12, ", nil, .5 } } do
    it(("of %s rows and entropy %s"):format(tostring(case[2]), tostring(case[3])), function()
      expect(rows(case[2], case[3])):equals(case[1] .. classes)
    end)
  end
  it("of sequences", function() expect(rows(nil, nil, "tokens")):equals "generation 8 16" end)
end)
