-- A run of a sweep: the best that it logs, when halving is asked, and what goes on.
local children = require "gradus.children"
local console = require "gradus.base.console"
local halving = require "gradus.experiment.halving"
local host = require "gradus.host"
local instead = require "instead"
local known_runs = require "gradus.experiment.known_runs"
local resume = require "gradus.experiment.resume"
local runner = require "gradus.experiment.runner"
local trial_run = require "gradus.experiment.trial_run"

-- Executes a run that logs these: { name, value, step, axis?, muted? } each. of: what differs. Returns its value, the questions that
-- halving was asked, the run, and what was told.
local function executed(logged, of)
  of = of or {}
  local asked, told, found = {}, {}, nil
  local run = { axis = 1, writer = "writer", event = function(_, kind, name, detail) told[#told + 1] = { kind, name, detail } end }
  local sweep = { by = "val/acc", halving = of.halving, options = "options", experiment = "experiment",
    better = function(_, a, b) return a > b end }
  local one = { seed = of.seed or 1, left = of.left, promoted = of.promoted, trial = { plan = { "first plan", "second plan" } } }
  instead({ { runner, "prepare", function(options) return options == "options" and "store" end },
    { children, "ask", function(kind, text)
      asked[#asked + 1] = kind .. " " .. text
      return of.answer or "go"
    end },
    { console, "tell", function(kind, text) told[#told + 1] = kind .. " " .. text end },
    { known_runs, "values", function(store, id, by)
      expect({ store, id, by }):equals { "store", 9, "val/acc" }
      return { .5, .25 }
    end },
    { resume, "planned", function(store, id, experiment, options)
      expect({ store, id, experiment, options }):equals { "store", 9, "experiment", "options" }
      if of.cannot then error("another script", 0) end
      return of.found
    end },
    { runner, "execute_one", function(_, _, _, plan, label, listener)
      run.plan, run.label = plan, label
      if type(plan) == "table" and plan.goal then plan.goal.on_arrival(run) end
      for _, each in ipairs(logged) do
        run.axis, run.unmuted = each[4] or run.axis, each[5] and "another writer" or nil
        listener(run, each[1], each[2], each[3])
      end
      return host.json_encode { id = 3, uid = "u", status = "finished", more = 1 }
    end } }, function() found = host.json_decode(trial_run.execute(sweep, one, "label")) end)
  expect({ found.id, found.uid, found.status, found.more, run.label }):equals { 3, "u", "finished", nil, "label" }
  return found.value, asked, run, told
end

local function values(...)
  local list = {}
  for i, value in ipairs { ... } do list[i] = { "val/acc", value, i } end
  return list
end

describe("a run of a sweep", function()
  for name, case in pairs {
    ["the best of what it logs"] = { values(.5, .75, .25), .75 }, ["nothing of another metric"] = { { { "val/loss", 1, 1 } } },
    ["no NaN"] = { { { "val/acc", 0 / 0, 1 }, { "val/acc", .1, 2 } }, .1 },
    ["of its last training"] = { { { "val/acc", .9, 1, 1 }, { "val/acc", .1, 1, 2 }, { "val/acc", .2, 2, 2 } }, .2 },
    ["nothing on its way to where it was"] = { { { "val/acc", .9, 1, 1, true }, { "val/acc", .1, 2, 1 } }, .1 } } do
    it("has come to " .. name, function()
      local value, asked, run = executed(case[1])
      expect({ value, asked, run.plan, run.ending }):equals { case[2], {}, "first plan", nil }
    end)
  end
  it("asks halving where that looks, of the first seed", function()
    local logged, wanted, looks = {}, {}, 0
    for i = 1, 9 do
      logged[i] = { "val/acc", i / 8, 10 * i }
      if halving.looks(i) then
        looks = looks + 1
        wanted[looks] = ("asked %d %.17g"):format(halving.rung(1, i), i / 8)
      end
    end
    local _, asked, run, told = executed(logged, { halving = true })
    expect({ asked, run.ending, told }):equals { wanted, nil, {} }
    expect(looks > 0 and looks < 9):is_true()
    local _, none, second = executed(logged, { halving = true, seed = 2 })
    expect({ none, second.plan }):equals { {}, "second plan" }
    expect((select(2, executed(logged)))):equals {}
  end)
  it("ends where halving says so", function()
    local first = 1
    while not halving.looks(first) do first = first + 1 end
    local logged = {}
    for i = 1, first do logged[i] = { "val/acc", .5, 10 * i } end
    local _, _, run, told = executed(logged, { halving = true, answer = "stop 0.75" })
    expect(told):equals { { "decision", "halving", { training = 1, evaluations = first, value = .5, limit = .75, step = 10 * first } } }
    expect(run.ending):equals(("sweep: halving: val/acc 0.5 after %d evaluations, 0.75 needed"):format(first))
  end)
  it("goes on from what is left, with what that had shown", function()
    local value, _, run = executed(values(.25), { left = 9, found = { goal = {} } })
    expect({ value, type(run.plan) }):equals { .5, "table" }
    expect((executed(values(.25), { left = 9, found = { begins = true } }))):equals(.25)
  end)
  it("begins anew where it cannot go on, unless halving had stopped it", function()
    local value, _, run, told = executed(values(.25), { left = 9, cannot = true })
    expect({ value, run.plan, told }):equals { .25, "first plan", { "say another script; it begins anew" } }
    expect(function() executed(values(.25), { left = 9, cannot = true, promoted = true }) end):fails_with "another script"
  end)
end)
