-- What `gradus check` says of settings is an event of the run, and what it calls out of the guides' ranges ends one that is strict.
local g = require "gradus"
local a_run = require "a_run"
local support = require "support"
local nn, sampler, schedule, when, score = g.nn, g.sampler, g.schedule, g.when, g.score

local function options(more)
  local d = support.points():split({ train = .5, val = .5 }, { seed = 1 })
  local o = { student = nn.MLP { 6, 8, 3 }, teacher = nn.MLP { 6, 16, 3 }, data = d, budget = { epochs = 4 }, batch = 12, lr = 5e-3 }
  for key, value in pairs(type(more) == "function" and more(d, o.teacher) or more) do o[key] = value end
  return o
end

-- What a run of these options said: refused, outside and advice, as lists of texts, the steps at which outside was told, and the error.
local function run_of(more, strict)
  local said, failure = { refused = {}, outside = {}, advice = {}, at = {} }, nil
  a_run(function(run, events)
    local ok, err = pcall(run.distill, run, options(more))
    failure = not ok and (type(err) == "table" and err.message or tostring(err)) or nil
    for _, event in ipairs(events()) do
      local text, kind = event.detail.text, event.kind
      if kind == "warning" then table.insert(said.refused, (text:gsub("^distill: ", "")))
      elseif kind == "advice" and event.detail.amiss then
        table.insert(said.outside, text)
        table.insert(said.at, event.step)
      elseif kind == "advice" and event.name == "settings" then table.insert(said.advice, text) end
    end
  end, { strict = strict })
  return said, failure
end

-- What a dry run says of them.
local function check_of(more)
  local said = { refused = {}, outside = {}, advice = {} }
  local function into(list) return function(text, ...) list[#list + 1] = text:format(...) end end
  a_run(function(run)
    run.dry = require("gradus.experiment.dry_run").serve { line = function() end, refuse = into(said.refused), outside = into(said.outside),
      advise = into(said.advice) }
    run:distill(options(more))
  end)
  return said
end

local function ranked(d, teacher) return d.train:rank(score.loss(teacher)) end

local OUTSIDE = {
  { "a temperature", { temperature = 30 }, "temperature is 30; below 2" },
  { "a temperature that rises", { temperature = schedule.linear(4, 30) }, "temperature is 4 to 30" },
  { "temperatures by example", { temperature = schedule.by_entropy(2, 30) }, "temperature is 2 to 30" },
  { "a later stage's temperature",
    { curriculum = { { "a", temperature = 4, advance = when.epochs(2) }, { "b", temperature = 1 } } }, "stage 'b': temperature is 1" },
  { "an alpha", { alpha = .99 }, "alpha is 0.99; outside" },
  { "a rate", { lr = 1e-6 }, "here it is 1e%-06" },
  { "a rate's schedule", { lr = schedule.cosine(1e-6, 0) }, "stage 'all': lr is 1e%-06 at its highest; 0.001 to 0.01 %(.*%) suit 83" },
  { "a stage's own rate", { curriculum = { { "a", lr = .5, advance = when.epochs(2) }, { "b" } } }, "stage 'a': lr is 0.5 at its highest" },
  { "batch normalisation", { student = nn.MLP { 6, 8, 3, norm = "batch" } }, "batch normalisation over 12 rows" },
  { "patience", { patience = 1, evaluate = { steps = 5 } }, "patience of 1 evaluations" },
}

describe("a run says, as check does, what is out of the guides' ranges, and strict refuses it:", function()
  for _, case in ipairs(OUTSIDE) do
    it(case[1], function()
      local said, checked = run_of(case[2]), check_of(case[2])
      expect({ #said.outside, #checked.outside, said.at[1] }):equals { 1, 1, 0 }
      expect(said.outside[1]):matches(case[3])
      expect(checked.outside[1]:gsub("^%l+[ %l]*: ", "")):equals((said.outside[1]:gsub("^%l+[ %l]*: ", "")))
      expect(select(2, run_of(case[2], true))):matches(case[3])
    end)
  end
  it("and not what is within", function()
    for _, fine in ipairs { {}, { temperature = 20, alpha = .95 }, { temperature = 2, alpha = .2, lr = 1e-2 },
      { alpha = 0, temperature = 1 }, { lr = schedule.cosine(1e-2, 0) } } do
      local said, failure = run_of(fine, true)
      expect({ said.outside, said.refused, failure }):equals { {}, {} }
    end
  end)
  it("nor rows without labels, of which the teacher alone is asked", function()
    local function by_part(low)
      return function(d) return { alpha = schedule.by_part { { d.train:first(60), .7 }, { d.train:last(60), low } } } end
    end
    expect({ run_of(by_part(0)).outside, check_of(by_part(0)).outside }):equals { {}, {} }
    expect(run_of(by_part(.1)).outside[1]):matches "alpha is 0.1 to 0.7"
  end)
end)

-- Numbers with one digit: a run looks at fewer points of a schedule.
local function rounded(text) return (text:gsub("%d+%.%d+", function(number) return ("%.1g"):format(number) end)) end

describe("a run warns, as check refuses, of what", function()
  local cases = {
    { "never leaves its warm-up", { decay = "constant", warmup = { epochs = 50 } }, "lr never leaves its warm%-up" },
    { "runs backwards", { lr = schedule.linear(1e-4, 1e-2) }, "lr runs backwards" },
    { "has no effect", function(d, teacher) return { curriculum = { sample = ranked(d, teacher) } } end, "the ranking has no effect" },
    { "nobody ranked", function(d) return { curriculum = { sample = sampler.easiest(d.train, schedule.linear(.3, 1)) } } end,
      "stage 'all': sample: nothing has ranked these %d+ rows" },
    { "never begins", { curriculum = { { "a", advance = when.epochs(4) }, { "b" } } }, "stage 'b' never begins" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local said, checked = run_of(case[2]), check_of(case[2])
      expect(said.refused[1]):matches(case[3])
      expect(rounded(checked.refused[1])):equals(rounded(said.refused[1]))
      expect(select(2, run_of(case[2], true))):matches(case[3])
    end)
  end
end)

describe("advice that nobody refuses", function()
  it("is stored as check says it", function()
    local turned = { temperature = schedule.linear(3, 8) }
    local said, failure = run_of(turned, true)
    expect(failure):equals(nil)
    expect(said.advice[1]):matches "temperature goes from 3 to 8; the guides go the other way"
    expect(said.advice):equals(check_of(turned).advice)
  end)
end)

describe("a training that goes on with other settings", function()
  -- What is told when it is judged anew: events from there on, as kind and text.
  local function told(more, as_it_was, used)
    local list = {}
    a_run(function(run, events)
      local t = require("gradus.training.distill").make(run, options(more), "distill")
      t.reporter:blame "what was amiss before"
      local before = #events()
      t.clock.counts.used = used
      run.beforehand.judge_anew(run, t, as_it_was)
      for i, event in ipairs(events()) do
        if i > before then list[#list + 1] = ("%s %s %s"):format(event.kind, event.name, event.detail.text) end
      end
      list.blamed = #t.reporter.blamed
    end)
    return list
  end
  it("is told anew what is out of the guides' ranges, and what was amiss before is no more", function()
    local said = told({ temperature = 30 }, false, .5)
    expect(#said > 0):is_true()
    local text = table.concat(said, "\n")
    expect(text):matches "advice settings stage .all.: temperature is 30"
    expect({ text:find "budget", told({}, false, .5).blamed }):equals { nil, 0 }
  end)
  it("is told that its budget is used up, unless it was before", function()
    local function over(...)
      local text = table.concat(told({}, ...), "\n")
      return text:find("warning budget_over distill: the budget is used up by now; expected a larger one", 1, true) ~= nil
    end
    expect({ over(false, 1), over(false, .5), over(true, 1), over(true, .5) }):equals { true, false, false, false }
  end)
  it("hears advice once", function()
    a_run(function(run, events)
      local t = require("gradus.training.distill").make(run, options { lr = .5 }, "distill")
      local function count()
        local found = 0
        for _, event in ipairs(events()) do found = found + (event.name == "rate" and 1 or 0) end
        return found
      end
      run.beforehand.judge_anew(run, t)
      local first = count()
      run.beforehand.judge_anew(run, t)
      expect({ first, count() }):equals { 1, 1 }
    end)
  end)
end)

describe("a run in which nothing moves", function()
  it("is told what of its settings is out of the guides' ranges", function()
    local function advice_of(more)
      local text
      a_run(function(run, events)
        local o = options(more)
        o.teacher, o.budget, o.data = nil, { epochs = 20 }, o.data.train
        run:distill(o)
        for _, event in ipairs(events()) do
          if event.name == "stagnant" then text = event.detail.advice end
        end
      end)
      return text
    end
    expect(advice_of { lr = 1e-7 }):matches "bridges a large gap%. Out of the guides' ranges here: 83 parameters: lr .* here it is 1e%-07$"
    expect(advice_of { lr = 1e-7, optimizer = "SGD" }):matches "bridges a large gap$"
    expect(advice_of { lr = function() return 1e-7 end }):matches "ranges here: stage 'all': lr is 1e%-07 at its highest; .* %(step %d+%)$"
  end)
end)

describe("functions of the user's", function()
  it("are not asked beforehand", function()
    local asked = {}
    local function counting(name, value)
      asked[name] = 0
      return function()
        asked[name] = asked[name] + 1
        return value
      end
    end
    a_run(function(run)
      local o = options { temperature = counting("temperature", 4), lr = counting("lr", 5e-3) }
      o.curriculum = { sample = counting("sample", o.data.train), target = counting("target", o.teacher),
        pressure = counting("pressure", { alpha = .7 }), advance = counting("advance", false) }
      run:distill(o)
    end)
    expect(asked):equals { temperature = 40, lr = 40, pressure = 40, sample = 4, target = 1, advance = 4 }
  end)
  it("are judged by what they said, once in a stage, at an evaluation", function()
    local function hot() return 30 end
    local said = run_of { curriculum = { { "a", temperature = hot, advance = when.epochs(2) }, { "b", temperature = hot } } }
    expect(said.at):equals { 10, 30 }
    expect(said.outside[2]):matches "stage 'b': temperature is 30; .* %(step 30%)"
    expect(select(2, run_of({ temperature = hot }, true))):matches "temperature is 30"
    expect(run_of({ curriculum = { pressure = function() return { alpha = .99 } end } }).outside[1]):matches "alpha is 0.99"
    expect(run_of({ temperature = function() return 20 end }).outside):equals {}
  end)
  it("that give a rate are judged by the highest, a low one at half of the budget", function()
    local function low() return 1e-6 end
    expect(run_of({ lr = low }).at):equals { 20 }
    expect(run_of({ lr = function() return .5 end }).at):equals { 10 }
    expect(run_of({ lr = function(s) return s.step < 2 and 5e-3 or 1e-9 end }).outside):equals {}
  end)
end)
