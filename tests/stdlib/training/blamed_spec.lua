-- A function of the user's that ends with a call leaves no frame (`return g.schedule.linear(…)`): an error in what it called names the
-- line of that call all the same.
local g = require "gradus"
local a_run = require "a_run"
local dry_run = require "gradus.experiment.dry_run"
local host = require "gradus.host"

-- As a user's file whose line 3 is to blame.
local function user(text) return assert(loadstring(text, "@user.lua"))() end

local function knob() return user "local g = require 'gradus'\nreturn function(s)\n return g.schedule.linear('a', 'b')\nend" end

-- What is said of a call that has no frame of this file's below it.
local function error_of(fn, ...)
  local ok, why = coroutine.wrap(pcall)(fn, ...)
  assert(not ok, "expected an error")
  return host.error_text(why)
end

local PLACES = {
  temperature = function() return { temperature = knob() } end,
  lr = function() return { lr = knob() } end,
  ["a stage's knob"] = function() return { curriculum = { { "a", alpha = knob() } } } end,
  ["a stage's pressure"] = function() return { curriculum = { { "a", pressure = knob() } } } end,
  ["a stage's target"] = function() return { curriculum = { { "a", target = knob() } } } end,
  ["a stage's sample"] = function() return { curriculum = { { "a", sample = knob() } } } end,
  ["a stage's rule"] = function() return { evaluate = { steps = 2 }, curriculum = { { "a", advance = knob() }, { "b" } } } end,
  ["a sampler of one's own"] = function(d) return { curriculum = { { "a", sample = g.sampler.custom(d.train, knob()) } } } end,
}

describe("the line of a last call is named:", function()
  for name, options_of in pairs(PLACES) do
    it(name, function()
      a_run(function(run)
        local d = g.data.digits():first(60):split({ train = .5, val = .5 })
        local options = { student = g.nn.MLP { 64, 4, 10 }, teacher = g.nn.MLP { 64, 4, 10 }, data = d, batch = 10, budget = { steps = 6 } }
        for key, value in pairs(options_of(d)) do options[key] = value end
        expect(error_of(run.distill, run, options)):matches "^user.lua:3: "
      end)
    end)
  end

  -- What a dry run of a script with this text says.
  local function check(text)
    local folder = ("%s/gradus-blamed-%s"):format(os.getenv "TMPDIR" or "/tmp", host.random_hex(8))
    host.mkdirs(folder)
    local load_script, print_ = host.load_script, print
    host.load_script = function() return assert(loadstring(text, "@user.lua")) end
    rawset(_G, "print", function() end)
    local ok, why = pcall(error_of, dry_run.check, { store = folder .. "/s.db", script = "user.lua" })
    rawset(_G, "print", print_)
    host.load_script = load_script
    os.execute("rm -rf '" .. folder .. "'")
    if not ok then error(why, 0) end
    return why
  end
  it("a dry run's function", function()
    local text = "local g = require 'gradus'\nreturn g.experiment { name = 'x', run = function(run)\n "
      .. "return run:distill { studnet = 1 }\nend }"
    expect(check(text)):matches "^user.lua:3: .*studnet"
  end)
  it("a dry run's script", function()
    expect(check "local g = require 'gradus'\n\nreturn g.experiment { nmae = 'x' }"):matches "^user.lua:3: .*nmae"
    expect(check "return 1"):matches "check: the script returns no experiment"
  end)
end)
