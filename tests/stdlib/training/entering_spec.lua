-- How a training enters a stage: what is charged, told and refused, by parts that note what they are asked.
local entering = require "gradus.training.entering"
local g = require "gradus"
local support = require "support"

local points = support.points(100)

-- A training in a stage; of: what differs. log: what its parts were asked, in order.
local function training(of)
  of = of or {}
  local log = {}
  local function note(what, result)
    return function(_, ...)
      local words = { what }
      for i = 1, select("#", ...) do
        local one = select(i, ...)
        words[#words + 1] = type(one) == "table" and "{}" or type(one) == "function" and "fn" or tostring(one)
      end
      log[#log + 1] = table.concat(words, " ")
      return result
    end
  end
  local goal = of.goal or { kind = "logits", text = "the teacher" }
  local self = { s = { step = 7 }, train = of.train or points, val = of.val, given_teacher = "T",
    run = { dry = {}, device = "cpu", event = function(_, kind, name, detail)
      log[#log + 1] = ("%s %s %d/%d %s rows %d advance %s after %s trained %s"):format(kind, name, detail.index, detail.of, detail.target,
        detail.rows, tostring(detail.advance), tostring(detail.after), tostring(detail.trained))
    end, log = note "log" },
    reporter = { settle = note "settle", stage = note "begin", warn = note "warn", begins_with = note "begins with", reads = note "reads" },
    stages = { index = 1, list = { 1, 2 }, stage = of.stage or { name = "easy" }, where = function() return "W" end, enter = note "enter",
      sample = function() return "rows" end, target = function(_, given) return given end, tell_level = note "level",
      load_state = note "stages",
      answer_of = function(_, name) return (of.answers or { augment = 0, alpha = .5, temperature = 4 })[name] end },
    teacher = { target = goal, ask = of.ask, answers = nil, imitate = note "imitate", load_state = note "teacher",
      prepare = function(_, rows) return of.rows and of.rows(rows()) or 11 end, know_answers = note("know", 5),
      leave_if_moved = function() return of.moved or false end, is_trained = function() return of.is_trained or false end },
    task = { labels = { partial = of.partial } }, loan = { train_only = function() return of.missing end },
    feed = { source = of.source or { mode = "shuffle" }, known = of.known, augmentations = of.augmentations or { noise = 1 },
      draw_from = note "draw", imitate = note "feed", rows = function() return 30 end, load_state = function(_, _, ask) ask() end },
    evaluator = { look_at = note "look at", measure_stage = function(_, numbers) numbers["stage/loss"] = of.stage_loss end,
      untrained_loss = of.untrained },
    clock = { cost = { step = 2, teacher = 3 }, charge = note "charge", costs = note "costs", draws_from = note "draws from" },
    keeper = { keep_safe = note "safe" },
    objective = { plain = of.plain ~= false, outputs_read = function() return "outputs" end, outputs = function() return "out" end,
      mass = function(_, b) return b end, gives_confidence = function() return of.confident ~= false end },
    updater = { compile = function(_, out, mass) log[#log + 1] = ("compile %s %s"):format(out, tostring(mass(3))) end },
    ahead = { begin_stage = note "ahead" } }
  return self, log
end

local function with(log, word)
  local list = {}
  for _, one in ipairs(log) do
    if one:find(word, 1, true) == 1 then list[#list + 1] = one end
  end
  return list
end

local function entered(of, why)
  local self, log = training(of)
  entering.enter(self, 1, why)
  return log, self
end

describe("a stage that is entered", function()
  it("has its parts set, is charged, told and looked at, in this order", function()
    expect((entered({ stage_loss = .5 }))):equals { "settle", "enter 1", "imitate W T", "reads {} outputs", "begin", "charge 11",
      "know false", "charge 0 5", "draw W: sample rows {} {}", "feed nil nil", "look at {}", "draws from 30", "safe 7", "compile out 3",
      "ahead false",
      "stage easy 1/2 the teacher rows 30 advance nil after nil trained all", "level {}", "begins with {}" }
  end)
  it("is told with its rule, what came before and what is trained", function()
    for _, case in ipairs {
      { { name = "a", advance = print }, "advance function after before trained all" },
      { { name = "a", advance = setmetatable({}, { __tostring = function() return "a rule" end }) },
        "advance a rule after before trained all" },
      { { name = "a", train = "layers" }, "advance nil after before trained layers" } } do
      expect(with(entered({ stage = case[1] }, "before"), "stage a")[1]):matches(case[2] .. "$")
    end
    local goal = { kind = "layer", text = "a layer", to = "layers.1", mass = function() return "its own mass" end }
    local log = entered { goal = goal, is_trained = true }
    expect({ with(log, "stage")[1]:match "trained (.*)", with(log, "compile")[1], with(log, "ahead")[1] })
      :equals { "all up to layers.1", "compile out its own mass", "ahead true" }
  end)
  it("begins with what its rows, or the suites, have told", function()
    for _, case in ipairs { { {}, nil, 0 }, { { stage_loss = 1 }, nil, 1 }, { { stage_loss = 1 }, "before", 1 },
      { { untrained = 2 }, nil, 1 }, { { untrained = 2 }, "before", 0 },
      { { untrained = 2, goal = { kind = "layer", text = "", to = "x", mass = tostring } }, nil, 0 } } do
      expect({ case, #with(entered(case[1], case[2]), "begins with") }):equals { case, case[3] }
    end
    local self, log = training { stage_loss = 1 }
    entering.look(self)
    expect(log):equals { "log {}" }
  end)
  it("lets nothing but an end of the run pass that the first look raises", function()
    local function look(why)
      local self = training {}
      function self.evaluator.measure_stage() error(why, 0) end
      return pcall(entering.enter, self, 1)
    end
    expect({ look "does not fit" }):equals { true }
    local ok, why = look { interrupted = "now" }
    expect({ ok, why.interrupted }):equals { false, "now" }
  end)
  it("measures a layer on so many rows, or positions of sequences", function()
    local seen
    local function rows(x) seen = x.shape return 1 end
    local function stream()
      return g.data.generator(function(n) return g.zeros { n, 6 }, g.zeros({ n }, { dtype = "int64" }) end, { epoch = 9 })
    end
    for _, case in ipairs {
      { { train = points }, 64 }, { { train = support.points(40) }, 40 },
      { { train = g.data.tensors(g.zeros({ 90, 8 }, { dtype = "int64" }), g.zeros({ 90 }, { dtype = "int64" }), { classes = 1 }) }, 8 },
      { { train = g.data.tensors(g.zeros({ 90, 100 }, { dtype = "int64" }), g.zeros({ 90 }, { dtype = "int64" }), { classes = 1 }) }, 1 },
      { { train = stream(), val = points }, 64 } } do
      case[1].rows = rows
      entered(case[1])
      expect(seen[1]):equals(case[2])
    end
    expect(function() entered { train = stream(), rows = rows } end):fails_with "a generator needs validation data for it"
  end)
  for what, case in pairs {
    ["teacher_unused W: alpha = 1"] = { { answers = { augment = 0, alpha = 1 } } },
    ["out_of_reach W: target: oh"] = { { goal = { kind = "logits", text = "", doubt = "oh" } } },
    ["no_confidence W: sample"] = { { confident = false, source = { mode = "confidence" } } },
    ["no_confidence W: temperature"] = { { confident = false, answers = { augment = 0, temperature = { wants_confidence = true } } } } } do
    it("warns: " .. what, function()
      local log = with(entered(case[1]), "warn")
      expect({ #log, log[1]:sub(1, #what + 5) }):equals { 1, "warn " .. what }
    end)
  end
  for name, of in pairs {
    plain = {}, ["alpha = 1 of other losses"] = { plain = false, answers = { augment = 0, alpha = 1 } },
    ["alpha = 1 of labels"] = { goal = { kind = "labels", text = "" }, answers = { augment = 0, alpha = 1 } },
    ["alpha = 1 of rows some of which have no label"] = { partial = true, answers = { augment = 0, alpha = 1 } },
    ["alpha = 1 under pressure"] = { stage = { name = "a", pressure = print }, answers = { augment = 0, alpha = 1 } },
    confidence = { source = { mode = "confidence" }, answers = { augment = 0, temperature = { wants_confidence = true } } },
    ["a table of temperatures"] = { confident = false, answers = { augment = 0, temperature = { 1 } } },
    ["no confidence"] = { confident = false } } do
    it("warns of nothing: " .. name, function() expect(with(entered(of), "warn")):equals {} end)
  end
  it("is refused where it trains nothing, or augments with nothing", function()
    expect(function() entered { missing = "layers.9" } end):fails_with "W: train: the student has no parameters to train under 'layers.9'"
    expect(function() entered { answers = { augment = .5 }, augmentations = {} } end):fails_with "W: augment has no effect"
    expect(#with(entered { answers = { augment = .5 } }, "know true")):equals(1)
    expect(#with(entered { stage = { name = "a", pressure = print } }, "know true")):equals(1)
  end)
end)

describe("a stage that goes on", function()
  it("draws anew at each epoch, and leaves the answers of a teacher that has moved", function()
    for _, case in ipairs { { {}, {}, "costs 2 3 3" }, { { known = {} }, {}, "costs 2 3 0" },
      { { moved = true }, { "warn teacher_moved W: the teacher's weights have changed; its cached answers are left" }, "costs 2 3 3" } } do
      local self, log = training(case[1])
      entering.draw(self)
      expect({ with(log, "warn"), with(log, "level"), with(log, "costs") }):equals { case[2], { "level {}" }, { case[3] } }
      self, log = training(case[1])
      entering.draw(self, true)
      expect({ with(log, "warn"), with(log, "level"), with(log, "costs") }):equals { {}, {}, {} }
    end
  end)
  it("of a snapshot charges, tells and looks at nothing", function()
    local self, log = training {}
    entering.again(self, { stages = { index = 2 }, teacher = "kept", feed = {} })
    expect(log):equals { "enter 2 true", "stages {}", "imitate W T", "reads {} outputs", "teacher kept fn", "know false",
      "draw W: sample rows {} {}", "feed nil nil", "look at {}", "look at {}", "compile out 3", "ahead false" }
  end)
  it("knows the answers anew where its augmentations are others", function()
    for _, case in ipairs { { {}, "costs 2 3 3" }, { { known = {} }, "costs 2 3 0" } } do
      local self, log = training(case[1])
      entering.augment_anew(self)
      expect(log):equals { "know false", "charge 0 5", "feed nil nil", case[2] }
    end
  end)
end)

describe("rows that a layer is measured on", function()
  it("are 4096, or as many positions of sequences, where a run is no dry one", function()
    local seen
    local function long(rows, dtype) return g.data.tensors(g.zeros({ rows, 8 }, { dtype = dtype }), g.zeros({ rows }, { dtype = "int64" }),
      { classes = 1 }) end
    for _, case in ipairs { { long(4100, "float32"), 4096 }, { long(4000, "float32"), 4000 }, { long(600, "int64"), 512 } } do
      local self = training { train = case[1], rows = function(x) seen = x.shape return 1 end }
      self.run.dry = nil
      function self.stages.answer_in() end
      entering.enter(self, 1)
      expect(seen):equals { case[2], 8 }
    end
  end)
end)
