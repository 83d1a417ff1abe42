-- The weighted sum of loss terms by itself: which terms there may be, what each is asked with, what of a step is read and logged.
local g = require "gradus"
local objective = require "gradus.training.objective"
local nn, schedule = g.nn, g.schedule

local function number(value) return g.tensor(value, "float64") end

-- A task whose losses are numbers: kd 2 + alpha, labels 3, divergences 5 (kl), 7 (reverse_kl), 11 (jsd). `asked`: with what.
local function a_task(kind, partial)
  local asked = {}
  return { kind = kind or "classes", labels = { partial = partial }, asked = asked,
    kd = function(_, out, b, k, o)
      asked.kd = { out, b, k, o }
      return { loss = number(2) + k.alpha, ce = number(.5), confidence = g.tensor { .25, .75 } }
    end,
    label_loss = function(_, out, b, o)
      asked.labels = { out, b, o }
      return number(3)
    end,
    divergence = function(_, out, b, k, o, name)
      asked[name] = { out, b, k, o }
      return number(({ kl = 5, reverse_kl = 7, jsd = 11 })[name])
    end,
    mass = function(_, b, alone) return { b, alone } end }
end

local function make(losses, more, task)
  local o = { losses = losses }
  for key, value in pairs(more or {}) do o[key] = value end
  return objective.new("spec", o, task or a_task())
end

local function mine(_, out) return out.logits:sum() end
local LOGITS = { kind = "logits", of = "a teacher" }
local LAYER = { kind = "layer", loss = function(student, b) return { student, b } end }

describe("terms of a loss", function()
  it("are kd alone where nothing is said", function()
    local one = make()
    expect({ one.plain, one:weights(), one:modules(), one:has { "kd" }, one:has { "labels", "kl" }, one:has_own() })
      :equals { true, {}, {}, true, false, false }
  end)
  it("have weights, which are 1 where nothing is said, and go by their names", function()
    local fading = schedule.linear(1, 0)
    local one = make { kl = 2, labels = {}, kd = fading, hint = { weight = fading, loss = mine }, mine = { loss = mine } }
    expect(one:weights()):equals { kl = 2, labels = 1, kd = fading, hint = fading, mine = 1 }
    local names = {}
    for i, term in ipairs(one.terms) do names[i] = term.name end
    expect(names):equals { "hint", "kd", "kl", "labels", "mine" }
    expect({ one.plain, one:has { "jsd", "kl" }, one:has { "jsd" }, one:has_own() }):equals { false, true, false, true }
    expect(make({ kd = { weight = .5 } }):weights()):equals { kd = .5 }
  end)
  it("bring modules and paths along, each once", function()
    local projection = nn.Linear(2, 2)
    local one = make { a = { loss = mine, module = projection, student = { "x", "y" }, teacher = { "t" } },
      b = { loss = mine, student = { "y", "z" }, teacher = { "t", "u" } } }
    expect(one:modules()):equals { a = projection }
    expect(one:teacher_paths()):equals { "t", "u" }
    expect(one:state().a["weight"]:equal(projection.weight)):is_true()
    local kept = { a = {} }
    for name, t in pairs(projection:state_dict()) do kept.a[name] = t * 0 + 7 end
    one:load_state(kept)
    expect(projection.weight[0][0]:item()):equals(7)
  end)
  it("carry the options of all", function()
    local one = make(nil, { label_smoothing = .1, t2 = false, teacher_temperature = 3 })
    expect(one.options):equals { label_smoothing = .1, t2 = false, teacher_temperature = 3 }
    make(nil, { label_smoothing = 1 })
    for _, wrong in ipairs { -.1, 1.1 } do
      expect(function() make(nil, { label_smoothing = wrong }) end):fails_with "spec: 'label_smoothing'"
    end
  end)
  local wrong = {
    { {}, "spec: losses: expected at least one term; got an empty table" },
    { 5, "spec: 'losses': expected a table; got 5" },
    { { "kd" }, "spec: losses: expected weights by name" },
    { { temperature = 1 }, "losses: 'temperature': is a knob's name; expected another" },
    { { mass = { loss = mine } }, "losses: 'mass': is a knob's name" },
    { { lr = 1 }, "losses: 'lr': is a knob's name" },
    { { soft = 1 }, "losses: 'soft': expected 'kl', which is what it is called here" },
    { { hard = 1 }, "losses: 'hard': expected 'labels'" },
    { { hard = { weight = 1 } }, "losses: 'hard': expected 'labels'" },
    { { js = schedule.linear(1, 0) }, "losses: 'js': expected 'jsd'" },
    { { confidence = { loss = mine } }, "losses: 'confidence': train/confidence is logged already; expected another name" },
    { { ["a b"] = { loss = mine } }, "losses: 'a b': expected a name of letters, digits, '_', '.' and '-'" },
    { { kl = { loss = mine } }, "losses: 'kl' is built in and takes no 'loss'; expected another name for a term of your own" },
    { { kd = { student = { "x" } } }, "losses: 'kd' is built in and takes no 'student'" },
    { { kd = { wieght = 1 } }, "losses: 'kd': no option 'wieght'; did you mean 'weight'?" },
    { { label = 1 }, "losses: 'label': did you mean 'labels'?" },
    { { mine = 1 }, "losses: 'mine': expected { weight = …, loss = function(b, out, k) … end }, or one of " },
    { { mine = { loss = 5 } }, "losses: 'mine': 'loss': expected" },
    { { mine = { loss = mine, student = "x" } }, "losses: 'mine': 'student': expected" },
    { { mine = { loss = mine, teacher = { 5 } } }, "losses: 'mine': 'teacher': expected" },
    { { mine = { loss = mine, module = 5 } }, "losses: 'mine': module: expected a module; got 5" },
    { { mine = { loss = mine, weight = "much" } }, "losses: 'mine': weight" },
  }
  for _, case in ipairs(wrong) do
    it("are refused: " .. case[2], function() expect(function() make(case[1]) end):fails_with(case[2]) end)
  end
  it("have no name that a knob, a logged number or another's word for ours has", function()
    for _, name in ipairs { "temperature", "alpha", "augment", "lr", "mass" } do
      expect(function() make { [name] = { loss = mine } } end):fails_with(("losses: '%s': is a knob's name"):format(name))
    end
    for _, name in ipairs { "loss", "ce", "mse", "teacher_mse", "confidence" } do
      expect(function() make { [name] = { loss = mine } } end):fails_with(("losses: '%s': train/%s is logged already"):format(name, name))
    end
    for ours, names in pairs { labels = { "ce", "mse", "cross_entropy", "hard", "task", "supervised", "nll" }, jsd = { "js" },
      kl = { "soft", "kld", "kl_div", "teacher" }, kd = { "distill", "distillation" } } do
      for _, name in ipairs(names) do
        expect(function() make { [name] = 1 } end):fails_with(("losses: '%s': expected '%s', which is what"):format(name, ours))
      end
      for _, field in ipairs { "loss", "module", "student", "teacher" } do
        expect(function() make { [ours] = { [field] = {} } } end)
          :fails_with(("losses: '%s' is built in and takes no '%s'"):format(ours, field))
      end
      expect(make({ [ours] = 2 }):weights()):equals { [ours] = 2 }
    end
  end)
  it("of one's own may have a name that others use for ours", function()
    expect(make({ soft = { loss = mine }, ["my-term.2_x"] = { loss = mine } }):weights()):equals { soft = 1, ["my-term.2_x"] = 1 }
  end)
end)

describe("what parts of a batch weigh", function()
  it("is by rows for one's own terms, else what the task says", function()
    local b = { x = g.zeros(6, 2) }
    expect(make({ mine = { loss = mine } }):mass(b)):equals(6)
    for losses, alone in pairs { [{ labels = 1 }] = true, [{ kd = 1 }] = false, [{ labels = 1, kl = 1 }] = false } do
      expect(make(losses):mass(b)):equals { b, alone }
    end
    expect(make({ labels = 1, mine = { loss = mine } }):mass(b)):equals { b, true }
    expect(make():mass(b)):equals { b, false }
  end)
  it("differs between terms of different rows", function()
    local own = { loss = mine }
    for _, case in ipairs { { { kd = 1 }, false, false }, { { kd = 1, labels = 1 }, false, true }, { { kd = 1, kl = 1 }, false, false },
      { { labels = 1 }, false, false }, { { mine = own }, false, false }, { { mine = own, kd = 1 }, true, true },
      { { mine = own, labels = 1 }, true, true } } do
      local one = make(case[1])
      expect({ one:rests_differ(false), one:rests_differ(true), one:rests_differ() }):equals { case[2], case[3], case[2] }
    end
  end)
end)

describe("a step's outputs", function()
  local student = nn.Linear(2, 3)
  local b = { x = g.ones(4, 2), y = g.zeros(4), teacher = g.ones(4, 3) }
  local k = { alpha = .5, temperature = 2, kl = .1, labels = .2, kd = 2, mine = 10, reverse_kl = 1, jsd = 1 }
  it("of kd alone are what the task makes of it, with the mean of the confidence", function()
    local task = a_task()
    local one = make(nil, { t2 = false }, task)
    local found = one:outputs(student, LOGITS)(b, k)
    expect({ found.loss:item(), found.ce:item(), found.mean_confidence:item() }):equals { 2.5, .5, .5 }
    expect(task.asked.kd[1]:equal(student(b.x))):is_true()
    expect({ task.asked.kd[2], task.asked.kd[3], task.asked.kd[4] }):equals { b, k, one.options }
  end)
  it("are a weighted sum, and each term as it is", function()
    local task = a_task()
    local function own(_, out, knobs) return out.logits:sum() * 0 + knobs.alpha end
    local found = make({ kl = 1, labels = 1, kd = 1, mine = { loss = own } }, nil, task):outputs(student, LOGITS)(b, k)
    expect(found.loss:item()):near(.1 * 5 + .2 * 3 + 2 * 2.5 + 10 * .5, 1e-6)
    expect({ found["term:kl"]:item(), found["term:labels"]:item(), found["term:kd"]:item(), found["term:mine"]:item(), found.ce:item(),
      found.mean_confidence:item() }):near({ 5, 3, 2.5, .5, .5, .5 }, 1e-6)
    expect(found["term:mine"].requires_grad):equals(false)
    local other = make({ reverse_kl = 1, jsd = 1 }, nil, task):outputs(student, LOGITS)(b, k)
    expect({ other.loss:item(), other.mean_confidence }):equals { 18 }
    expect({ task.asked.jsd[2], task.asked.jsd[3], task.asked.labels[2] }):equals { b, k, b }
  end)
  it("of a layer are its loss alone", function()
    expect(make({ labels = 1 }):outputs(student, LAYER)(b)):equals { loss = { student, b } }
  end)
  it("give a term of one's own what it asked for", function()
    local net = nn.MLP { 2, 5, 3 }
    local got
    local one = make { mine = { student = { "layers.1" }, teacher = { "deep" }, loss = function(_, out)
      got = { out.logits:size(1), out.student["layers.1"]:size(1), out.teacher.deep }
      return out.logits:sum()
    end } }
    one:outputs(net, LOGITS)({ x = b.x, ["teacher:deep"] = 7 }, k)
    expect(got):equals { 3, 5, 7 }
    local function asks(fn) return function() make({ mine = { loss = fn } }):outputs(net, LOGITS)(b, k) end end
    expect(asks(function(_, out) return out.student["layers.1"] end))
      :fails_with "losses: out.student has no 'layers.1'; expected student = { 'layers.1' } of the term"
    expect(asks(function(_, out) return out.teacher.deep end))
      :fails_with "losses: out.teacher has no 'deep'; expected teacher = { 'deep' } of the term"
    expect(asks(function(_, out) return out.logit end)):fails_with "losses: out has no 'logit'; expected out.logits, out.student['logit']"
    expect(asks(function(_, out) return out.logits end)):fails_with "losses: 'mine': expected a 0-dim tensor, a mean over the batch; got"
    expect(asks(function() return 5 end)):fails_with "losses: 'mine': expected a 0-dim tensor, a mean over the batch; got 5"
  end)
  it("need labels, or a teacher", function()
    local function made(losses, batch) return function() make(losses):outputs(student, LOGITS)(batch, k) end end
    expect(made({ labels = 1 }, { x = b.x })):fails_with "losses: labels: the data have none"
    expect(made({ jsd = 1 }, { x = b.x, y = b.y })):fails_with "losses: jsd: expected a teacher"
  end)
  it("tell what was made of each row where kd of classes is trained", function()
    expect({ make():gives_confidence(LOGITS), make():gives_confidence(LAYER), make({ labels = 1 }):gives_confidence(LOGITS),
      make({ labels = 1, kd = 1 }):gives_confidence(LOGITS), make(nil, nil, a_task "numbers"):gives_confidence(LOGITS),
      make(nil, nil, a_task "multilabel"):gives_confidence(LOGITS) }):equals { true, false, false, true, false, true }
  end)
end)

describe("what is logged of a step", function()
  -- What is read, then logged of these numbers.
  local function logged(one, row, knobs, goal)
    one:outputs_read(goal or LOGITS)
    local list = {}
    for key, value in pairs(one:logged(row, knobs, goal or LOGITS)) do list[key] = value end
    return list
  end
  local row = { loss = 2, mean_confidence = .5, ce = 1, kl = .25, ["term:kl"] = 3 }
  local knobs = { temperature = 2, alpha = .5 }
  it("is what is read of it", function()
    expect(make():outputs_read(LOGITS)):equals { loss = true, norm = true, mean_confidence = true, ce = true, mse = true,
      teacher_mse = true, kl = true }
    expect(make():outputs_read({ kind = "labels" }).kl):equals(nil)
    expect(make():outputs_read(LAYER)):equals { loss = true, norm = true, mean_confidence = true }
    expect(make({ kl = 1 }):outputs_read(LOGITS)["term:kl"]):equals(true)
    expect(make():outputs_read(LOGITS)["term:kd"]):equals(nil)
  end)
  it("is each term as it enters the loss, kl by T squared", function()
    expect(logged(make(), row, knobs)):equals { ["train/loss"] = 2, ["train/confidence"] = .5, ["train/ce"] = 1, ["train/kl"] = 1 }
    expect(logged(make(nil, { t2 = false }), row, knobs)["train/kl"]):equals(.25)
    expect(logged(make(nil, nil, a_task "multilabel"), row, knobs)["train/kl"]):equals(.25)
    local numbers = logged(make(nil, nil, a_task "numbers"), { loss = 2, mse = 3, teacher_mse = 4 }, knobs)
    expect(numbers):equals { ["train/loss"] = 2, ["train/mse"] = 3, ["train/teacher_mse"] = 4 }
    expect(logged(make({ kl = 1, kd = 1 }), row, knobs)["train/kl"]):equals(3)
  end)
  it("is worked out of the loss where each example has a temperature of its own", function()
    local each = { temperature = {}, alpha = .5 }
    expect(logged(make(), row, each)["train/kl"]):equals((2 - .5) / .5)
    expect(logged(make(), row, { temperature = {}, alpha = 0 })["train/kl"]):equals(2)
    for _, none in ipairs { { make(), row, { temperature = {}, alpha = 1 } }, { make(), row, { temperature = {}, alpha = {} } },
      { make(), { loss = 2, kl = 1 }, each }, { make(nil, nil, a_task("classes", true)), row, each }, { make { kd = 1 }, row, each },
      { make(), { loss = 2, ce = 1 }, knobs } } do
      expect(not logged(none[1], none[2], none[3])["train/kl"]):is_true()
    end
  end)
  it("of a layer is its loss alone", function()
    expect(logged(make(), row, knobs, LAYER)):equals { ["train/loss"] = 2, ["train/confidence"] = .5 }
  end)
end)
