-- A grid's runs: which are done, what becomes of each, what is said and with which code it ends. No run is carried out here: what the farm
-- would tell is made up.
local children = require "gradus.children"
local farm = require "gradus.experiment.farm"
local finished = require "gradus.experiment.finished"
local grid = require "gradus.experiment.grid"
local host = require "gradus.host"
local instead = require "instead"
local runner = require "gradus.experiment.runner"
local store = require "gradus.store"

describe("why a run of a grid came to nothing", function()
  for _, case in ipairs {
    { { hung = true, signal = 9, exited = true, code = 1 }, "no sign of life; ended" },
    { { signal = 9, exited = true, code = 1 }, "ended by a signal: Killed" },
    { { signal = 0, exited = true, code = 7, error = { message = "no" } }, "os.exit(7)" },
    { { signal = 0, code = 65, error = { message = "boom" } }, "boom" },
    { { signal = 0, code = 70 }, "ended with code 70" },
  } do
    it("is " .. case[2], function() expect(grid.why(case[1])):equals(case[2]) end)
  end
end)

local SCRIPT = [[
local g = require "gradus"
return g.experiment { name = "x", params = { T = 1 }, grid = { T = { 1, 2, 3, 4 } }, run = function() end }
]]

local GOOD = '{"id":1,"status":"finished"}'
local function good() return { text = GOOD, code = 0, signal = 0, exited = false } end
local function failed(message, code)
  return { error = { message = message, text = message .. ", in full\n" }, code = code or 65, signal = 0, exited = false }
end

-- What `gradus run` makes of a grid of four when its runs end as outcomes says, by number. Returns the exit code, what was written to
-- standard error, what the summary was given, the farm's options and the labels of the runs that were begun.
local function ran(outcomes, options, more)
  more = more or {}
  options = options or {}
  options.script, options.store = "x.lua", "s.db"
  local said, given, asked, begun, code = {}, nil, nil, {}, nil
  instead({
    { host, "load_script", function() return assert(loadstring(more.script or SCRIPT, "@x.lua")) end },
    { host, "write", function(fd, text) said[#said + 1] = fd == 2 and text or "on " .. fd end },
    { store, "open", function() return {} end },
    { children, "stop_code", function() return more.stop or 0 end },
    { finished, "results", function() return more.results or {} end },
    { finished, "of_other_data", function(_, before, new)
      expect({ before, new }):equals(more.compared or { before, new })
      return more.others or {}
    end },
    { finished, "unfinished", function(_, name) table.insert(more.names or {}, name) return {} end },
    { runner, "summarize", function(_, texts) given = texts end },
    { farm, "work", function(how)
      asked = how
      local job = how.next()
      while job do
        begun[#begun + 1] = job.label
        if outcomes[job.index] then how.ended(job, outcomes[job.index]) end
        if more.after then more.after(how, job) end
        job = how.next()
      end
    end },
  }, function() code = grid.run(options) end)
  return code, table.concat(said), given, asked, begun
end

local function all_good() return { good(), good(), good(), good() } end

describe("a grid", function()
  it("does all its runs, in order, one at a time where nothing is said", function()
    local code, said, given, asked, begun = ran(all_good())
    expect({ code, said, given }):equals { 0, "", { GOOD, GOOD, GOOD, GOOD } }
    expect(begun):equals { "1/4 1 seed 0", "2/4 2 seed 0", "3/4 3 seed 0", "4/4 4 seed 0" }
    expect({ asked.jobs, asked.store, asked.device, asked.quiet, asked.wide }):equals { 1, "s.db", nil, nil, #"1/4 1 seed 0" }
    local _, _, _, other = ran(all_good(), { jobs = 3, device = "cpu", json = true })
    expect({ other.jobs, other.device, other.quiet }):equals { 3, "cpu", true }
    local _, _, _, quiet = ran(all_good(), { quiet = true })
    expect(quiet.quiet):equals(true)
  end)
  it("is as wide as its widest run", function()
    local _, _, _, asked = ran({}, nil, { script = SCRIPT:gsub("{ 1, 2, 3, 4 }", "{ 100, 2 }") })
    expect(asked.wide):equals(#"1/2 100 seed 0")
  end)
  it("goes on after a failure, tells it once, and ends with the code of the first in order", function()
    local code, said, given, _, begun = ran { good(), failed("boom", 70), failed "boom", failed "bang" }
    expect({ code, #begun }):equals { 70, 4 }
    expect(said):equals("2/4 2 seed 0: failed\nboom, in full\n4/4 4 seed 0: failed\nbang, in full\n")
    expect(given[1]):equals(GOOD)
    expect(host.json_decode(given[2])):equals { run = 2, error = "boom", code = 70 }
    expect(host.json_decode(given[4])):equals { run = 4, error = "bang", code = 65 }
    expect((ran { failed("boom", 70), failed "bang", good(), good() })):equals(70)
  end)
  it("tells in a line what left no error, and each reason once", function()
    local killed = { code = 1, signal = 9, exited = false }
    local _, said = ran { killed, failed "boom", killed, failed "boom" }
    expect(said):equals "1/4 1 seed 0: ended by a signal: Killed\n2/4 2 seed 0: failed\nboom, in full\n"
  end)
  it("ends at once where the script wants to, or was called wrongly", function()
    local exits = { code = 7, signal = 0, exited = true }
    local code, _, given, _, begun = ran { good(), exits, good(), good() }
    expect({ code, given, #begun }):equals { 7, nil, 2 }
    code, _, given, _, begun = ran { failed("no parameter", 64), good() }
    expect({ code, given, #begun }):equals { 64, nil, 1 }
    expect((ran { { code = 0, signal = 0, exited = true } })):equals(0)
  end)
  it("that is interrupted says how to go on", function()
    local lost = '{"id":2,"status":"interrupted"}'
    local outcomes = { good(), { text = lost, code = 0, signal = 0 }, good() }
    local code, said, given = ran(outcomes, nil, { stop = 130 })
    expect({ code, said, given }):equals { 130, "2 of 4 runs are finished; the same command with --resume does the rest\n" }
    code, said = ran(outcomes, { quiet = true }, { stop = 143 })
    expect({ code, said }):equals { 143, "" }
  end)
  it("does what is missing where it is resumed", function()
    local one, three = '{"id":7,"status":"finished"}', '{"id":9,"status":"finished"}'
    local two_of_four = { results = { one, nil, three }, compared = { { 7, 9 }, { 1, 1 } } }
    local code, said, given, _, begun = ran({ nil, good(), nil, good() }, { resume = true }, two_of_four)
    expect({ code, said, given }):equals { 0, "2 of 4 finished runs are skipped\n", { one, GOOD, three, GOOD } }
    expect(begun):equals { "2/4 2 seed 0", "4/4 4 seed 0" }
    code, said, given = ran(all_good(), { resume = true, json = true }, { results = { one } })
    expect({ code, said, given[1] }):equals { 0, "", one }
    local names = {}
    ran(all_good(), { resume = true, name = "own" }, { names = names })
    ran(all_good(), { resume = true }, { names = names })
    expect(names):equals { "own", "x" }
    code, said, given = ran(all_good(), {}, { results = { one }, others = { 7 } })
    expect({ code, said, given[1] }):equals { 0, "", GOOD }
  end)
  it("says where the runs that are skipped read other data; a run that failed read none", function()
    local two_of_four = { results = { '{"id":7,"status":"finished"}', nil, '{"id":9,"status":"finished"}' }, others = { 9 },
      compared = { { 7, 9 }, { 1 } } }
    local _, said = ran({ nil, good(), nil, failed "boom" }, { resume = true }, two_of_four)
    expect(said):equals("2 of 4 finished runs are skipped\n4/4 4 seed 0: failed\nboom, in full\n1 of the runs that were skipped read other "
      .. "data than the new ones (run 9): the table mixes both; without --resume all run anew\n")
  end)
  it("is none where the script returns no experiment", function()
    local nothing = { script = "return nil" }
    local code, _, given, asked = ran({}, {}, nothing)
    expect({ code, given, asked }):equals { 0 }
    expect(function() ran({}, { set = { { "T", "1" } } }, nothing) end):fails_with "--set: the script returns no experiment"
    expect((ran({}, { set = {} }, nothing))):equals(0)
  end)
end)

describe("below a grid's runs", function()
  -- The line after so many have ended, of which `lost` failed; half a minute has passed for each.
  local function foot(ended, lost)
    local text
    ran({ lost > 0 and failed "boom" or good(), lost > 1 and failed "boom" or good(), good(), good() }, nil, { after = function(how, job)
      if job.index == 4 then text = how.foot(ended, 4 - ended, 30 * math.max(1, ended)) end
    end })
    return text
  end
  it("stands how many are finished, failed and running, since when, and for how long still", function()
    expect(foot(0, 0)):equals "0 of 4 finished  4 running  30s"
    expect(foot(1, 0)):equals "1 of 4 finished  3 running  30s  about 1m 30s left"
    expect(foot(2, 1)):equals "1 of 4 finished  1 failed  2 running  1m 00s  about 1m 00s left"
    expect(foot(3, 2)):equals "1 of 4 finished  2 failed  1 running  1m 30s  about 30s left"
  end)
end)
