-- Settings without effect: what is refused, what is warned of, and what stands beside each of them and has an effect. Nothing is trained.
local g = require "gradus"
local distill = require "gradus.training.distill"
local support = require "support"
local nn, schedule, when = g.nn, g.schedule, g.when

local points = support.points(40)
local x, y = points:gather()
local split = { train = points, val = points }
local teacher, other = support.student(4), support.student(5)
local function layer() return g.target.layer { teacher = teacher, from = "layers.0", to = "layers.0" } end

-- What is said of a training: the error that refuses it, or its warnings, a line each.
local function said(options)
  local text
  local _, seen = support.with_run(nil, function(run)
    local given = { student = support.student(), data = split, batch = 8, budget = { steps = 12 }, evaluate = { steps = 3 } }
    for name, value in pairs(options) do given[name] = value end
    local ok, why = pcall(distill.make, run, given)
    if not ok then text = (type(why) == "table" and why.message or tostring(why)):gsub("^[^ ]*lua:%d+: ", "") end
  end)
  if text then return text end
  local texts = {}
  for i, one in ipairs(seen.warnings) do texts[i] = one.detail.text end
  return table.concat(texts, "\n")
end

local function two(first, second)
  first.advance = when.steps(5)
  return { first, second }
end

describe("a setting of a teacher", function()
  local values = { temperature = 3, alpha = .5, t2 = false, teacher_temperature = 2, teacher_view = "clean", teacher_cache = true }
  for name, value in pairs(values) do
    it(name .. " is refused where nobody is imitated, and heard where somebody is, in one stage at least", function()
      local wanted = ("^distill: %s has no effect without a teacher; expected teacher = "):format(name)
      expect(said { [name] = value }):matches(wanted)
      expect(said { [name] = value, teacher = "labels" }):matches(wanted)
      expect(said { [name] = value, curriculum = two({ target = "labels" }, { target = "labels" }) }):matches(wanted)
      expect(said { [name] = value, curriculum = two({ target = "labels" }, { target = teacher }) }):equals ""
      expect(said { [name] = value, teacher = teacher }):equals ""
    end)
  end
  it("is alpha = 1, which is what there is without one", function() expect(said { alpha = 1 }):equals "" end)
  it("in a stage on labels is warned of, unless it is 1", function()
    local function staged(knobs)
      knobs.target = "labels"
      return said { teacher = teacher, curriculum = two(knobs, {}) }
    end
    expect(staged { temperature = 3 }):equals "stage 'stage 1': temperature has no effect: the target is labels"
    expect(staged { alpha = .5 }):equals "stage 'stage 1': alpha has no effect: the target is labels"
    expect(staged { alpha = 1, temperature = 1 }):equals ""
    expect(staged {}):equals ""
    expect(said { teacher = teacher, curriculum = two({ temperature = 3, target = other }, {}) }):equals ""
  end)
end)

describe("a setting of classes", function()
  it("is refused where labels are numbers, or several at once", function()
    local numbers = { data = g.data.tensors(x, x:sum(1)), student = nn.MLP { 6, 4, 1 }, teacher = nn.MLP { 6, 4, 1 } }
    for name, value in pairs { temperature = 3, teacher_temperature = 2, t2 = false, label_smoothing = .1 } do
      numbers[name] = value
      expect(said(numbers)):equals(("distill: %s has no effect where labels are numbers"):format(name))
      numbers[name] = nil
    end
    numbers.alpha = .5
    expect(said(numbers)):equals ""
    local several = { data = g.data.tensors(x, x:slice(1, 0, 3):gt(0):float(), { labels = "multilabel" }), teacher = teacher,
      temperature = 3, t2 = false, teacher_temperature = 2 }
    expect(said(several)):equals ""
    several.label_smoothing = .1
    expect(said(several)):equals "distill: label_smoothing has no effect where labels are several at once"
  end)
end)

describe("where a layer is imitated", function()
  it("what is said of logits is warned of, unless some stage has them", function()
    for name, value in pairs { temperature = 3, alpha = .5, t2 = false, label_smoothing = .1, teacher_temperature = 2 } do
      local wanted = ("distill: %s has no effect: every stage imitates a layer"):format(name)
      expect(said { [name] = value, teacher = teacher, curriculum = { target = layer() } }):equals(wanted)
      expect(said { [name] = value, teacher = layer() }):equals(wanted)
      expect(said { [name] = value, teacher = teacher, curriculum = two({ target = layer() }, { target = layer() }) }):equals(wanted)
      expect(said { [name] = value, teacher = teacher, curriculum = two({ target = layer() }, {}) }):equals ""
      expect(said { [name] = value, teacher = teacher, curriculum = two({}, { target = layer() }) }):equals ""
    end
    expect(said { teacher = teacher, curriculum = { target = layer() } }):equals ""
  end)
  it("losses are warned of, stage by stage", function()
    local told = "stage 'stage 1': losses have no effect: it imitates a layer"
    expect(said { teacher = teacher, losses = { kd = 1 }, curriculum = two({ target = layer() }, {}) }):equals(told)
    expect(said { teacher = layer(), losses = { labels = 1 }, curriculum = two({ target = teacher }, {}) })
      :equals "stage 'stage 2': losses have no effect: it imitates a layer"
  end)
end)

describe("a knob of the whole training", function()
  it("is warned of where every stage has its own", function()
    for name, value in pairs { temperature = 3, alpha = .5, augment = .5, lr = .1 } do
      local wanted = ("distill: %s has no effect: every stage has its own"):format(name)
      local function own() return { [name] = value } end
      expect(said { [name] = value, teacher = teacher, curriculum = two(own(), own()) }):equals(wanted)
      expect(said { [name] = value, teacher = teacher, curriculum = two(own(), {}) }):equals ""
      expect(said { [name] = value, teacher = teacher, curriculum = two({}, own()) }):equals ""
      expect(said { teacher = teacher, curriculum = two(own(), own()) }):equals ""
    end
  end)
end)

describe("terms of a loss", function()
  it("that ask for a teacher's layer leave nothing to a cache", function()
    local hint = { teacher = { "layers.0" }, loss = function(_, out) return out.logits:mean() * out.teacher["layers.0"]:mean() end }
    local told = "distill: teacher_cache has no effect where a term of losses asks the teacher for a module's output, at each step"
    for _, cache in ipairs { true, { top = 2 } } do
      expect(said { teacher = teacher, teacher_cache = cache, losses = { kd = 1, hint = hint } }):equals(told)
    end
    expect(said { teacher = teacher, teacher_cache = false, losses = { kd = 1, hint = hint } }):equals ""
  end)
  local function mine(_, out) return out.logits:square():mean() end
  it("read what one of them reads, and those of one's own every knob", function()
    local readers = { label_smoothing = { "kd", "labels" }, alpha = { "kd" }, temperature = { "kd", "kl", "reverse_kl", "jsd" },
      t2 = { "kd", "kl", "reverse_kl", "jsd" }, teacher_temperature = { "kd", "kl", "reverse_kl" } }
    local values = { label_smoothing = .1, alpha = .5, temperature = 3, t2 = false, teacher_temperature = 2 }
    for name, list in pairs(readers) do
      local reads = {}
      for _, term in ipairs(list) do reads[term] = true end
      for _, term in ipairs { "kd", "labels", "kl", "reverse_kl", "jsd" } do
        local text = said { teacher = teacher, losses = { [term] = 1 }, [name] = values[name] }
        expect({ name, term, text }):equals { name, term, reads[term] and ""
          or ("distill: %s has no effect on these losses; expected one of %s"):format(name, table.concat(list, ", ")) }
      end
      local own = said { teacher = teacher, losses = { mine = { loss = mine } }, [name] = values[name] }
      expect({ name, own == "" }):equals { name, name == "alpha" or name == "temperature" }
    end
  end)
  it("must weigh something in some stage, and are told of where they weigh nothing", function()
    local nothing = "distill: losses: all weights are 0 (kd, labels): nothing is learnt"
    local idle = nothing:gsub("^distill", "stage 'stage 1'")
    local function weights(kd, labels, curriculum)
      return said { teacher = teacher, losses = { kd = kd, labels = labels }, curriculum = curriculum }
    end
    expect(weights(0, 0)):equals(nothing)
    expect(weights(0, 0, two({}, { losses = { labels = 0 } }))):equals(nothing)
    expect({ weights(1, 0), weights(0, 1), weights(0, schedule.linear(0, 1)) }):equals { "", "", "" }
    expect(weights(0, 0, two({}, { losses = { labels = .5 } }))):equals(idle)
    expect(weights(1, 0, two({ losses = { kd = 0 } }, {}))):equals(idle)
    expect(weights(0, 0, { pressure = function() return { kd = 1 } end })):equals ""
    local told = weights(0, 0, two({ target = layer() }, {}))
    expect(told):matches "stage 'stage 1': losses have no effect"
    expect(told):matches "stage 'stage 2': losses: all weights are 0"
  end)
end)

describe("values by part", function()
  local part = points:first(20)
  local function by(value, of) return schedule.by_part { { of or part, value } } end
  it("are of classes", function()
    expect(said { teacher = teacher, alpha = by(.5) }):equals ""
    local soft = g.data.tensors(x, g.one_hot(y, 3):float() * .7 + .1)
    expect(said { teacher = teacher, data = soft, temperature = by(3, soft:first(20)) }):equals ""
    local numbers = g.data.tensors(x, x:sum(1))
    expect(said { data = numbers, student = nn.MLP { 6, 4, 1 }, teacher = nn.MLP { 6, 4, 1 }, alpha = by(.5, numbers:first(20)) })
      :matches "^distill: alpha: .*: expected classes as labels; one value for each row is for them alone$"
  end)
  it("are of the rows that are trained on", function()
    local others = support.points(30)
    expect(said { teacher = teacher, alpha = by(.5, others) })
      :matches "^distill: alpha: .*: is of other rows than the training data; expected views of it$"
    expect(said { teacher = teacher, curriculum = two({}, { temperature = by(3, others) }) })
      :matches "^distill: temperature: .* is of other rows"
    local stream = g.data.generator(function(n) return x:slice(0, 0, n), y:slice(0, 0, n) end, { epoch = 40, classes = 3 })
    expect(said { teacher = teacher, data = stream, alpha = by(.5) }):matches "is of other rows than the training data"
  end)
  it("are what the knob may be, at both ends", function()
    expect(said { teacher = teacher, alpha = schedule.by_part { { part, -.1 }, { points:last(20), .5 } } })
      :matches ": expected a number from 0 to 1; got %-0.1$"
    expect(said { teacher = teacher, alpha = schedule.by_part { { part, .5 }, { points:last(20), 1.5 } } })
      :matches ": expected a number from 0 to 1; got 1.5$"
    expect(said { teacher = teacher, temperature = by(0) }):matches ": expected a number above 0; got 0$"
  end)
end)

describe("a metric that somebody waits for", function()
  it("is measured: val/kd_loss only where an example has no temperature or alpha of its own", function()
    local kd = { teacher = teacher, monitor = "val/kd_loss" }
    local function with(name, value, curriculum)
      return said { teacher = kd.teacher, monitor = kd.monitor, [name] = value, curriculum = curriculum }
    end
    expect(said(kd)):equals ""
    expect(with("temperature", schedule.linear(6, 2))):equals ""
    expect(with("temperature", schedule.by_entropy(2, 6)))
      :equals "distill: monitor: val/kd_loss is not measured in stage 'all', where each example has a temperature of its own"
    expect(with("alpha", schedule.by_part { { points, .5 } }))
      :equals "distill: monitor: val/kd_loss is not measured in stage 'all', where each example has an alpha of its own"
    expect(with("monitor", "val/loss", { temperature = schedule.by_entropy(2, 6) })):equals ""
    local waits = two({}, { temperature = schedule.by_entropy(2, 6) })
    waits[1].advance = when.below("val/kd_loss", 1)
    expect(said { teacher = teacher, curriculum = waits })
      :equals "stage 'stage 1': advance: val/kd_loss is not measured in stage 'stage 2', where each example has a temperature of its own"
  end)
end)

describe("a benchmark", function()
  it("has the suite that it goes by, from the beginning", function()
    local function of(suites, hard)
      local stages = two({}, {})
      stages[1].advance = when.benchmarked { steps = 1e9, hard = hard }
      return said { teacher = teacher, suites = suites, curriculum = stages }
    end
    expect(of { hard = points }):equals ""
    expect(of({ old = points }, "old")):equals ""
    expect(of { easy = points }):matches "^stage 'stage 1': advance: no metric 'hard/acc' is evaluated in this run; expected one of"
    expect(of({ old = points }, "odl")):matches "advance: no metric 'odl/acc' is evaluated in this run; did you mean 'old/acc'?"
  end)
end)

describe("a batch", function()
  it("of two epochs or more is warned of, but of a stream", function()
    local function batch(size) return said { batch = size } end
    expect({ batch(40), batch(79) }):equals { "", "" }
    expect(batch(80)):equals "distill: a batch of 80 is more than the training set's 40 rows: a step is 2 epochs"
    expect(batch(90)):equals "distill: a batch of 90 is more than the training set's 40 rows: a step is 2.25 epochs"
    local stream = g.data.generator(function(n) return x:slice(0, 0, n), y:slice(0, 0, n) end, { epoch = 10, classes = 3 })
    expect(said { data = stream, batch = 40 }):equals ""
  end)
  it("in parts has one mass for all terms", function()
    local refused = "accumulate: these losses are means over different rows"
    local function parts(rows, losses, accumulate)
      return said { data = { train = rows, val = split.val }, teacher = teacher, losses = losses, accumulate = accumulate }:find(refused, 1,
        true) ~= nil
    end
    local weighed = g.data.tensors(x, y, { classes = 3, weight = g.ones(40) })
    local missing = y:clone()
    missing[3] = -100
    local partial = g.data.tensors(x, missing, { classes = 3 })
    local function mine(_, out) return out.logits:square():mean() end
    local function beside(name) return { [name] = 1, mine = { weight = .1, loss = mine } } end
    expect({ parts(weighed, beside "kd", 2), parts(weighed, beside "labels", 2), parts(weighed, beside "kd", 1),
      parts(points, beside "kd", 2), parts(weighed, { kd = 1, labels = 1 }, 2), parts(partial, { kd = 1, labels = 1 }, 2),
      parts(partial, { kd = 1 }, 2), parts(partial, { labels = 1 }, 2), parts(partial, beside "labels", 2) })
      :equals { true, true, false, false, false, true, false, false, true }
  end)
end)
