-- The learning rate that distill and fit make of lr, decay and warmup.
local g = require "gradus"
local updater = require "gradus.training.updater"
local schedule = g.schedule

local function rates(options, own)
  local lr, list = updater.learning_rate("spec", options, own), {}
  for i, progress in ipairs { 0, .025, .05, .1, .2, .5, 1 } do
    list[i] = type(lr) == "number" and lr or schedule.value(lr, { progress = progress, step = 1000 * progress, step_progress = .001 })
  end
  return list
end

describe("a learning rate", function()
  it("of one number warms up over a twentieth, then falls as a cosine", function()
    local list = rates {}
    expect(list[2]):near(5e-4, 5e-5)
    expect(list[3]):near(1e-3, 1e-5)
    for i = 4, 7 do assert(list[i] < list[i - 1]) end
    expect(list[7]):near(0, 1e-6)
    local other = rates({}, .5)
    for i = 1, 7 do expect(other[i]):near(500 * list[i], 1e-9) end
  end)
  it("warms up as long as is said, or not at all", function()
    local list = rates { lr = 2, decay = "constant", warmup = .2 }
    expect(list[4]):near(1, .05)
    for i = 5, 7 do expect(list[i]):near(2) end
    for _, none in ipairs { 0, false } do expect(rates { lr = 2, decay = "constant", warmup = none }):near { 2, 2, 2, 2, 2, 2, 2 } end
    local short = rates { lr = 2, decay = "constant" }
    assert(short[2] < 1.2)
    for i = 3, 7 do expect(short[i]):near(2) end
  end)
  it("that is a schedule is itself, unless a warm-up is asked for", function()
    expect(rates { lr = schedule.linear(1, 0) }):near { 1, .975, .95, .9, .8, .5, 0 }
    local warmed = rates { lr = schedule.linear(1, 0), warmup = .2 }
    assert(warmed[4] < .6)
    expect(warmed[6]):near(.5, .2)
  end)
  it("has one decay", function()
    expect(function() updater.learning_rate("spec", { lr = schedule.linear(1, 0), decay = "cosine" }) end)
      :fails_with "spec: decay: lr is a schedule already; expected decay = 'constant' or a number as lr"
    for _, lr in ipairs { 0, -1, 1 / 0 } do expect(function() updater.learning_rate("spec", { lr = lr }) end):fails_with "spec: lr" end
  end)
end)

describe("a decay", function()
  -- The rate at shares of the budget, from lr 2 without a warm-up.
  local function at(decay, warmup, lr)
    local one, list = updater.learning_rate("spec", { lr = lr or 2, decay = decay, warmup = warmup or false }), {}
    for i, progress in ipairs { 0, .25, .5, .75, 1 } do
      list[i] = schedule.value(one, { progress = progress, step_progress = .001, step = 0 })
    end
    return list
  end
  it("is of a form that is said", function()
    expect(at "linear"):near { 2, 1.5, 1, .5, 0 }
    expect(at "cosine"):near({ 2, 1 + .5 ^ .5, 1, 1 - .5 ^ .5, 0 }, 1e-9)
    expect(at "exponential"):near({ 2, 2 * 100 ^ -.25, .2, 2 * 100 ^ -.75, .02 }, 1e-9)
    expect(at "step"):near { 2, 2, .2, .02, .02 }
    expect(updater.learning_rate("spec", { lr = 2, decay = "constant", warmup = false })):equals(2)
    expect(function() at "quadratic" end)
      :fails_with "spec: decay: expected 'constant', 'linear', 'cosine', 'exponential', 'step'; got 'quadratic'"
  end)
  it("begins where the warm-up ends", function()
    expect(at("linear", .5)[3]):near(2, 1e-9)
    expect(at("linear", .5)[4]):near(1, 1e-9)
    expect(at("linear", .5)[5]):near(0, 1e-9)
  end)
  it("is none where the warm-up is all there is", function() expect(at("constant", 1)[3]):near(1, 1e-2) end)
  it("takes the optimizer's own rate, else a thousandth", function()
    expect(updater.learning_rate("spec", { decay = "constant", warmup = 0 }, .5)):equals(.5)
    expect(updater.learning_rate("spec", { decay = "constant", warmup = 0 })):equals(1e-3)
    expect(updater.learning_rate("spec", { lr = 2, decay = "constant", warmup = 0 }, .5)):equals(2)
  end)
end)

local support = require "support"
local nn, optim = g.nn, g.optim

-- An updater of these options over a student, and the other modules of the objective.
local function made(options, modules, student)
  local found
  student = student or nn.Linear(2, 1)
  support.with_run(nil, function(run)
    found = updater.new("spec", options, { run = run, student = student, modules = modules or {} })
  end)
  return found, student
end

describe("an updater", function()
  it("has AdamW with a weight decay of a hundredth, 64 rows in one part, clips at 1 and stops at a NaN", function()
    local one = made {}
    expect({ one.optimizer.name, one.batch, one.pieces, one.rows, one.clip, one.policy, one.met,
      one.own_lr }):equals { "AdamW", 64, 1, 64, 1, "stop", 0 }
    expect(one.optimizer.groups[1].weight_decay):equals(.01)
  end)
  it("takes an optimizer by its name, with options", function()
    local function decay(options) return made(options).optimizer.groups[1].weight_decay end
    expect({ decay { optimizer = "SGD" }, decay { optimizer = "Adam" }, decay { optimizer = "AdamW" }, decay { optimizer = { "SGD" } },
      decay { optimizer = "SGD", weight_decay = .5 }, decay { optimizer = { "SGD", weight_decay = .25 } }, decay { weight_decay = 0 } })
      :equals { 0, 0, .01, 0, .5, .25, 0 }
    expect({ made({ optimizer = { "SGD", lr = .5 } }).own_lr, made({ optimizer = { "SGD" } }).own_lr }):equals { .5 }
    for text, hint in pairs { adamw = "; did you mean 'AdamW'?", sdg = "; did you mean 'SGD'?", LARS = "" } do
      local ok, why = pcall(made, { optimizer = text })
      expect({ ok, tostring(why):match "optimizer:.*" }):equals { false,
        ("optimizer: expected 'AdamW', 'Adam', 'SGD' or an optimizer; got '%s'%s"):format(text, hint) }
    end
    expect(function() made { optimizer = { "SGD", weight_decay = .5 }, weight_decay = .5 } end)
      :fails_with "spec: weight_decay is given twice"
  end)
  it("takes an optimizer of one's own, over all that is trained", function()
    local student, hint = nn.Linear(2, 1), nn.Linear(1, 1)
    local own = optim.SGD(student, { lr = .5 })
    local one = made({ optimizer = own }, nil, student)
    expect({ one.optimizer == own, one.own_lr }):equals { true, .5 }
    expect(function() made({ optimizer = own, weight_decay = .1 }, nil, student) end)
      :fails_with "spec: weight_decay has no effect beside an optimizer of your own; expected it among the optimizer's options"
    expect(function() made({ optimizer = own, weight_decay = 0 }, nil, student) end):fails_with "weight_decay has no effect"
    expect(function() made({ optimizer = own }, { hint = hint }, student) end)
      :fails_with "spec: optimizer: parameter 3 of 4"
    hint:requires_grad_(false)
    made({ optimizer = own }, { hint = hint }, student)
  end)
  it("trains the objective's modules along, each parameter once, by their names", function()
    local student, one, two = nn.Linear(2, 1), nn.Linear(1, 1), nn.Linear(3, 1)
    local found = made({}, { b = two, a = one, c = student }, student).optimizer.params
    local wanted = { student.weight, student.bias, one.weight, one.bias, two.weight, two.bias }
    expect(#found):equals(#wanted)
    for i, p in ipairs(wanted) do expect(rawequal(found[i], p)):is_true() end
  end)
  it("clips where it is not told otherwise", function()
    expect({ made({ clip = 5 }).clip, made({ clip = false }).clip, made({ clip = .1 }).clip }):equals { 5, nil, .1 }
    for _, wrong in ipairs { 0, -1, "much", true } do
      expect(function() made { clip = wrong } end):fails_with "spec: 'clip': expected a number > 0, or false; got"
    end
  end)
  it("has a whole number of rows, in parts", function()
    local one = made { batch = 12, accumulate = 3 }
    expect({ one.batch, one.pieces, one.rows, one:can_scan() }):equals { 12, 3, 4, false }
    one:shrink(2, 1)
    expect({ one.pieces, one.rows }):equals { 2, 1 }
    expect({ updater.check_batch("spec"), updater.check_batch("spec", 1) }):equals { 64, 1 }
    expect(function() updater.check_batch("spec", 2.5) end):fails_with "spec: batch: expected a whole number; got 2.5"
    expect(function() updater.check_batch("spec", 0) end):fails_with "spec: batch"
  end)
  it("is kept with its optimizer and the batches that it has met", function()
    local one, other = made {}, made {}
    one.met = 7
    one.optimizer:minimize(one.student(g.ones(1, 2)):sum())
    other:load_state(one:state())
    expect(other.met):equals(7)
    for name, value in pairs(one.optimizer:state_dict()) do
      expect({ name, other.optimizer:state_dict()[name]:equal(value) }):equals { name, true }
    end
  end)
  it("counts the operations of a whole batch, whatever its parts", function()
    local spent = {}
    for i, parts in ipairs { 1, 2, 4 } do
      support.with_run(nil, function(run)
        run:distill { student = nn.Linear(6, 3), data = support.points(40), batch = 8, accumulate = parts, budget = { steps = 1 } }
        run.writer:flush()
        local row = run.store:query("SELECT detail FROM events WHERE kind = 'flops' AND run_id = ?", run.id)[1]
        spent[i] = tonumber(row.detail:match '"spent":([%d.e+]+)')
      end)
    end
    assert(spent[1] > 8 * 2 * 18)
    expect({ spent[2] / spent[1], spent[3] / spent[1] }):near({ 1, 1 }, .25)
  end)
  it("knows what may follow a NaN", function()
    for _, policy in ipairs { "stop", "skip", "roll_back" } do expect(made({ non_finite = policy }).policy):equals(policy) end
    expect(function() made { non_finite = "skipp" } end):fails_with "'non_finite'"
  end)
end)

describe("an update that has failed", function()
  it("leaves nothing of parts that were done, where the feed took its rows back", function()
    for taken, wanted in pairs { [true] = 1, [false] = 0 } do
      local forgotten, feed = 0, { take_back = function() return taken end }
      local one = made {}
      one.parts = { forget = function() forgotten = forgotten + 1 end }
      one:take_back(feed)
      expect(forgotten):equals(wanted)
      one.parts = nil
      one:take_back(feed)
    end
  end)
end)

describe("an update that is looked at", function()
  local NAN, INF = 0 / 0, 1 / 0
  -- Judges rows one after the other; returns the verdicts, and what was stored of each that was not finite.
  local function judged(policy, rows)
    local verdicts, ok, why = {}, nil, nil
    local _, seen = support.with_run(nil, function(run)
      local one = updater.new("spec", { non_finite = policy }, { run = run, student = nn.Linear(2, 1), modules = {} })
      ok, why = pcall(function()
        for i, row in ipairs(rows) do
          verdicts[i] = { one:judge({ loss = row[1], norm = row[2] }, { step = i, knobs = { lr = .5 }, index = g.arange(2) }) }
        end
      end)
      verdicts.met = one.met
    end)
    return verdicts, seen.health, not ok and why or nil
  end
  it("was made where loss and norm are finite, else skipped or taken back", function()
    local rows = { { 1, 1 }, { NAN, 1 }, { 1, NAN }, { INF, 1 }, { 1, INF }, { 1, 1 }, { -INF, 1 } }
    local verdicts, told = judged("skip", rows)
    expect(verdicts):equals { { true }, { false, false }, { false, false }, { false, false }, { false, false }, { true }, { false, false },
      met = 1 }
    expect(#told):equals(5)
    expect(judged("roll_back", rows)[2]):equals { false, true }
    local stopped, _, why = judged("stop", rows)
    expect({ #stopped, why ~= nil }):equals { 1, true }
  end)
  it("is given up at the twentieth in a row", function()
    local rows = {}
    for i = 1, 19 do rows[i] = { NAN, 1 } end
    expect(#judged("skip", rows)):equals(19)
    rows[20] = { 1, 1 }
    for i = 21, 39 do rows[i] = { NAN, 1 } end
    expect({ #judged("skip", rows), (select(3, judged("skip", rows))) }):equals { 39 }
    rows[40] = { NAN, 1 }
    local verdicts, _, why = judged("skip", rows)
    expect({ #verdicts, why ~= nil }):equals { 39, true }
  end)
  it("tells the rows, the rate and how often", function()
    local _, told = judged("skip", { { NAN, 1 }, { 1, INF } })
    expect({ told[1].detail, told[2].detail.loss, told[2].detail.gradient_norm }):equals {
      { loss = "nan", gradient_norm = "1", policy = "skip", rows = { 0, 1 } }, "1", "inf" }
    local _, _, why = judged("stop", { { NAN, 1 } })
    expect(tostring(why)):matches "step 1: the loss is %-?nan; the rows .* events; lower lr %(0.5%) or clip harder$"
    _, _, why = judged("stop", { { 1, INF } })
    expect(tostring(why)):matches "step 1: the gradient is not finite; .* or clip harder$"
    local rows = {}
    for i = 1, 20 do rows[i] = { NAN, 1 } end
    _, _, why = judged("skip", rows)
    expect(tostring(why)):matches "or clip harder %(20 in a row%)$"
  end)
end)
