-- The words of `gradus sweep`: what a sweep is given, what is said of it, and the exit code. No sweep is carried out here.
local children = require "gradus.children"
local grid = require "gradus.experiment.grid"
local host = require "gradus.host"
local instead = require "instead"
local report = require "gradus.experiment.sweep_report"

local given, found
package.loaded["gradus.experiment.sweep"] = function(options)
  given = options
  return found
end
local command = require "gradus.experiment.sweep_command"

local SCRIPT = [[
local g = require "gradus"
return g.experiment { name = "x", params = { T = 1, lr = .1, on = true }, grid = { T = { 1, 2 }, seed = { 1, 2 } }, run = function() end }
]]

-- Carries out the command. Returns its exit code, what was printed of the report, and what was said on standard error.
local function swept(options, more)
  more = more or {}
  options.by, options.set, options.store = options.by == nil and "val/acc" or options.by, options.set or {}, "s.db"
  given, found = nil, { best = more.best,
    sweep = { ending = more.ending, code = more.code, failed = more.failed or 0, told = more.told or {} } }
  local printed, said, code = "nothing", {}, nil
  instead({
    { host, "load_script", function() return assert(loadstring(more.script or SCRIPT, "@x.lua")) end },
    { host, "write", function(to, text) said[#said + 1] = to == 2 and text or "elsewhere: " .. text end },
    { grid, "warm", function() end },
    { children, "stop_code", function() return more.stop or 0 end },
    { report, "print", function(what, quiet) printed = what == found and (quiet and "the trials" or "the report") end },
    { report, "json_text", function(what) return what == found and "the document" end },
    { io, "stdout", { write = function(_, ...) printed = table.concat { ... } end } },
  }, function() code = command.run(options) end)
  return code, printed, table.concat(said)
end

describe("gradus sweep", function()
  it("hands its words over", function()
    local options = { direction = "max", search = "halton", trials = "12", seeds = "3", search_seed = "0", halving = true, jobs = 4 }
    swept(options)
    expect({ given.by, given.direction, given.search, given.trials, given.seeds, given.search_seed, given.halving, given.jobs })
      :equals { "val/acc", "max", "halton", 12, 3, 0, true, 4 }
    expect(given.command):equals(options)
    expect(given.experiment.name):equals "x"
    swept {}
    expect({ given.direction, given.search, given.trials, given.seeds, given.search_seed, given.halving, given.jobs })
      :equals { nil, nil, nil, nil, nil, nil, "auto" }
    for _, word in ipairs { "grid", "random", "halton", "optuna" } do
      swept { search = word }
      expect(given.search):equals(word)
    end
    for _, word in ipairs { "max", "min", "higher", "lower" } do
      swept { direction = word }
      expect(given.direction):equals(word)
    end
    swept { direction = "min", trials = "1", seeds = "2147483648" }
    expect({ given.direction, given.trials, given.seeds }):equals { "min", 1, 2 ^ 31 }
  end)
  it("searches what --set says, and the grid's parameters where it says nothing", function()
    swept { set = { { "lr", "log(1e-3,1e-1)" } } }
    expect({ given.set.T, given.set.seed }):equals { { 1, 2 } }
    expect({ given.set.lr.scale, given.set.lr.low, given.set.lr.high }):equals { "log", 1e-3, .1 }
    swept { set = { { "T", "4,8" } } }
    expect(given.set.T.values):equals { 4, 8 }
  end)
  local cases = {
    { { by = false }, "sweep: no --by; expected the metric that decides, such as --by val/acc" },
    { { trials = "0" }, "--trials: expected a whole number from 1; got '0'" },
    { { trials = "many" }, "--trials: expected a whole number from 1; got 'many'" },
    { { seeds = "1.5" }, "--seeds: expected a whole number from 1; got '1.5'" },
    { { seeds = "2147483649" }, "--seeds: expected a whole number from 1; got '2147483649'" },
    { { search_seed = "-1" }, "--search-seed: expected a whole number from 0; got '-1'" },
    { { direction = "mx" }, "--direction: expected one of max, min, higher, lower; got 'mx'; did you mean 'max'?" },
    { { direction = "sideways" }, "--direction: expected one of max, min, higher, lower; got 'sideways'" },
    { { search = "gird" }, "--search: expected one of grid, random, halton, optuna; got 'gird'; did you mean 'grid'?" },
    { { set = { { "Tt", "1,2" } } }, "--set: no parameter 'Tt'; did you mean 'T'?" },
  }
  for _, case in ipairs(cases) do
    it("refuses: " .. case[2], function()
      local ok, why = pcall(swept, case[1])
      expect({ ok, type(why) == "table" and why.message or why }):equals { false, case[2] }
    end)
  end
  it("needs an experiment", function()
    expect(function() swept({}, { script = "return nil" }) end)
      :fails_with "sweep: the script returns no experiment, so it has no parameters to search"
  end)
  it("shows what it found: a report, a document, or the trials alone", function()
    expect({ swept({}, { best = {} }) }):equals { 0, "the report", "" }
    expect({ swept({ json = true }, { best = {} }) }):equals { 0, "the document\n", "" }
    expect({ swept({ json = true, quiet = true }, { best = {} }) }):equals { 0, "the document\n", "" }
    expect({ swept({ quiet = true }, { best = {} }) }):equals { 0, "the trials", "" }
  end)
  it("counts what failed, and says where it was all the same", function()
    local function told(failed, reasons, options)
      return (select(3, swept(options or {}, { best = {}, failed = failed, told = reasons })))
    end
    expect({ told(0, {}), told(1, { a = true }), told(2, { a = true }), told(3, { a = true, b = true }) })
      :equals { "", "", "2 runs failed, all with the same error\n", "3 runs failed\n" }
    expect({ told(2, { a = true }, { quiet = true }), told(2, { a = true }, { json = true }) }):equals { "", "" }
  end)
  it("ends with what came first: a signal, what the script wants, a best trial, a failure", function()
    local interrupted = "interrupted; the same command goes on where it was\n"
    expect({ swept({}, { best = {}, stop = 130, ending = 7 }) }):equals { 130, "the report", interrupted }
    expect({ swept({ quiet = true }, { stop = 143 }) }):equals { 143, "the trials", "" }
    expect((swept({}, { best = {}, ending = 7 }))):equals(7)
    expect((swept({}, { best = {}, code = 70 }))):equals(0)
    expect((swept({}, { code = 70 }))):equals(70)
    expect((swept({}, {}))):equals(65)
  end)
end)
