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

describe("advice on columns whose scales are far apart", function()
  -- Columns that are 0 and the number, half and half: each deviates by half of it.
  local function told(numbers, columns, more)
    local rows = {}
    for i = 1, 4 do
      rows[i] = {}
      for j, one in ipairs(numbers) do rows[i][j] = i % 2 * one end
    end
    local d = g.data.tensors(g.tensor(rows), g.zeros({ 4 }, { dtype = "int64" }), { classes = 2 })
    d.base.columns = columns
    for key, value in pairs(more or {}) do d.base[key] = value end
    return given({ train = d }).scale
  end
  it("is given from a hundred times on, whichever column it is, and says which", function()
    expect(told({ 2, 200 }, { "a", "b" })):equals { name = "scale", amiss = true, numbers = { largest = 100, least = 1 },
      text = "column 'b' varies by 100, 'a' by 1: the student learns from the larger alone for long; d:split { … }:standardize()" }
    expect(told({ 4, 400, 2, 200 }, { "a", "b", "c", "d" }).text):matches "column 'b' varies by 200, 'c' by 1:"
    expect(told({ 2, 198 }, { "a", "b" })):equals(nil)
  end)
  it("is of columns that vary, have names, and are not scaled", function()
    expect(told({ 0, 200 }, { "a", "b" })):equals(nil)
    expect(told({ 0, 0 }, { "a", "b" })):equals(nil)
    expect(told({ 2, 200 }, nil)):equals(nil)
    expect(told({ 2, 200 }, { "a" })):equals(nil)
    expect(told({ 2, 200 }, { "a", "b" }, { scaling = {} })):equals(nil)
    expect(told({ 0, 2, 200 }, { "a", "b", "c" }).numbers):equals { largest = 100, least = 1 }
  end)
end)

describe("advice on labels that are numbers", function()
  local function of(...)
    local y = g.tensor({ ... }, "float64")
    return given({ train = g.data.tensors(g.randn(y:size(0), 4), y), task = { kind = "numbers", labels = {} } }).labels
  end
  it("is given where mean and deviation are 100 away from 0, or the deviation is a hundredth", function()
    for _, case in ipairs { { { 90, 110 }, 100, 10 }, { { 100, 100 }, 100, 0 }, { { -100, -100 }, -100, 0 }, { { -100, 100 }, 0, 100 },
      { { -.01, .01 }, 0, .01 }, { { 40, 160 }, 100, 60 } } do
      local found = of(unpack(case[1])).numbers
      expect({ found.mean, found.deviation }):near({ case[2], case[3] }, 1e-6)
    end
    for _, none in ipairs { { 99, 99 }, { -99, 99 }, { 21, 99 }, { 0, 0 }, { -.011, .011 }, { -99, -99 } } do
      expect(of(unpack(none))):equals(nil)
    end
    local one = of(90, 110)
    expect({ one.amiss, one.text }):equals { true, "the labels have mean 100 and deviation 10, and a student begins near 0: it learns "
      .. "little for long; mean 0 and deviation 1: local x, y = d:gather(), g.data.tensors(x, (y - y:mean()) / y:std())" }
  end)
end)

describe("advice on a temperature", function()
  local function of(more, answers, stages)
    local d = g.data.tensors(g.randn(10, 4), g.zeros({ 10 }, { dtype = "int64" }), { classes = 3 })
    local t = { train = d, given_teacher = g.nn.MLP { 4, 3 }, task = { kind = "classes", labels = { classes = 3 } }, run = {},
      objective = { has = function(_, names) return table.concat(names, " ") == "kd kl reverse_kl jsd" end },
      stages = { list = stages or { { 1 }, { 2 } }, answer_in = function(_, stage, name)
        return name == "temperature" and (answers or { 4, 4 })[stage[1]]
      end } }
    for key, value in pairs(more or {}) do t[key] = value end
    return given(t).temperature
  end
  it("has the numbers that it was taken from", function()
    local one = of()
    expect({ one.numbers.rows, one.numbers.largest, one.numbers.temperature, one.amiss }):equals { 10, math.log(3), "4" }
    expect(of(nil, { 4, 9 }).numbers.temperature):equals "4 to 9"
    expect(of(nil, { 9, 4 }).numbers.temperature):equals "4 to 9"
    expect(of(nil, { 9, function() end }).numbers.temperature):equals(nil)
    expect(of(nil, { 9, 4 }, { { 1 }, { 2, pressure = 1 } }).numbers.temperature):equals(nil)
  end)
  it("is given without the entropy where nobody knows it", function()
    local function entropy(more) return of(more).numbers.entropy ~= nil end
    expect(entropy()):is_true()
    expect(entropy { task = { kind = "multilabel", labels = { classes = 3 } } }):is_false()
    expect(entropy { task = { kind = "classes", labels = {} } }):is_false()
    expect(entropy { run = { dry = { is_made_here = function() return true end } } }):is_false()
    expect(entropy { run = { dry = { is_made_here = function() return false end } } }):is_true()
    local val = g.data.tensors(g.randn(6, 4), g.zeros({ 6 }, { dtype = "int64" }), { classes = 3 })
    local stream = { train = g.data.generator(function(size) return g.zeros { size, 4 }, g.zeros({ size }):long() end, { epoch = 20 }) }
    expect({ of(stream).numbers.rows, entropy(stream) }):equals { nil, false }
    stream.val = val
    expect({ of(stream).numbers.rows, entropy(stream) }):equals { nil, true }
  end)
  it("is of a teacher of classes whose answers the loss has", function()
    expect(of { given_teacher = false }):equals(nil)
    expect(of { objective = { has = function() return false end } }):equals(nil)
    expect(of { task = { kind = "numbers", labels = { classes = 3 } } }):equals(nil)
  end)
end)

describe("advice that is stored", function()
  local fine = { name = "a", text = "fine", numbers = { n = 1 } }
  local amiss = { name = "b", text = "far off", amiss = true, numbers = { n = 2 } }
  local mistake = { name = "c", text = "ruins", amiss = true, mistake = true, numbers = {} }
  local function stored(known, again, strict)
    local told, blamed = {}, {}
    local t = { where = "fit", reporter = { is_news = function(_, text) return not known[text] end,
      blame = function(_, text) blamed[#blamed + 1] = text end },
      run = { options = { strict = strict }, warn = function(_, ...) told[#told + 1] = { "warn", ... } end,
        advise = function(_, name, text, numbers, where) told[#told + 1] = { "advise", name, text, numbers.n, where } end } }
    advice.store(t, { fine, amiss, mistake }, again)
    return told, blamed
  end
  local all = { { "advise", "a", "fine", 1 }, { "advise", "b", "far off", 2, "fit: " }, { "warn", "c", "fit: ruins" } }
  it("is told and blamed, a mistake as a warning", function()
    expect({ stored {} }):equals { all, { "far off", "ruins" } }
    expect({ stored { fine = true, ruins = true } }):equals { all, { "far off", "ruins" } }
  end)
  it("is left out where it is told again, unless it is strict and amiss", function()
    local known = { fine = true, ["far off"] = true, ruins = true }
    expect({ stored(known, true) }):equals { {}, { "far off", "ruins" } }
    expect(stored(known, true, true)):equals { all[2], all[3] }
    expect(stored({ fine = true }, true)):equals { all[2], all[3] }
    expect(stored({ ["far off"] = true }, true)):equals { all[1], all[3] }
  end)
end)
