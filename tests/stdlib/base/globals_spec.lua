-- Globals of a script: read before they are set, set inside of a function, set at the top on purpose.
local g = require "gradus"

TOP = 1
LATER = nil
function helper() return TOP end
local function set_later() LATER = 5 end
do
  local hidden_elsewhere = 1
  TOP = hidden_elsewhere
end

describe("a global", function()
  it("may be set at the top level, and then by every function", function()
    expect(helper()):equals(1)
    set_later()
    expect(LATER):equals(5)
    TOP = 2
    expect(helper()):equals(2)
    TOP = nil
    expect(TOP):equals(nil)
    TOP = 1
  end)

  it("that was announced by nil is nil until it is set", function()
    local chunk = assert(loadstring [[
      ANNOUNCED = nil
      local function set() ANNOUNCED = 3 end
      local before = ANNOUNCED
      set()
      return before, ANNOUNCED]])
    local before, after = chunk()
    expect(before):equals(nil)
    expect(after):equals(3)
  end)

  it("that was never set is an error that names what was meant", function()
    local student = g.nn.MLP { 2, 2 }
    for _, case in ipairs {
      { function() return studnet, student end, "'studnet' is not defined; did you mean 'student'?" },
      { function() return True end, "did you mean 'true'?" },
      { function() return None end, "did you mean 'nil'?" },
      { function() return null end, "did you mean 'nil'?" },
      { function() return self.x end, "'self' is not defined; expected a method with a colon" },
      { function() return len { 1 } end, "expected #list" },
      { function() return Linear(2, 2) end, "did you mean 'g.nn.Linear'?" },
      { function() return mth.floor(2) end, "did you mean 'math'?" },
      { function() return xqzvw end, "'xqzvw' is not defined; expected local " },
      { function() return hidden_elsewhere end, "expected it where the local of that name is seen" },
    } do
      expect(case[1]):fails_with(case[2])
    end
    expect(rawget(_G, "xqzvw")):equals(nil)
    rawset(_G, 7, "no name")
    local _, why = pcall(function() return _VERSIO end)  -- what begins with "_" is Lua's own business
    rawset(_G, 7, nil)
    why = type(why) == "table" and why.message or why
    assert(why:find("'_VERSIO' is not defined", 1, true) and not why:find("did you mean", 1, true), why)
  end)

  it("that a function would make is an error, and is not made", function()
    local total = 0
    expect(function() totl = total + 1 end):fails_with "'totl' would be a new global, set inside of a function; did you mean 'total'?"
    expect(function() fresh = 1 end):fails_with "expected local fresh = …, or fresh = nil at the top of the script"
    expect(rawget(_G, "fresh")):equals(nil)
  end)

  it("of a module of one's own is the same", function()
    local chunk = assert(loadstring("SHARED = 1 return function() return SHARED end", "@mymodule.lua"))
    expect(chunk()()):equals(1)
  end)
end)

describe("a field that was never set", function()
  local Net = g.nn.class "Net"
  function Net:init(norm) self.hidden, self.norm = g.nn.Linear(2, 2), norm end

  it("is an error in a script, of modules with a way to ask", function()
    local net = Net()
    expect(function() return net.hiden end):fails_with "Net: has no 'hiden'; did you mean 'hidden'?"
    expect(function() return net.momentum end):fails_with "expected self.momentum = … in init, or net:has 'momentum' to ask"
    expect(net:has "hidden"):is_true()
    expect(net:has "momentum"):is_false()
    expect(net.norm):equals(nil)  -- set to nil
    expect(net:clone().norm):equals(nil)
  end)

  it("is nil where it is documented as optional", function()
    local d = g.data.digits()
    expect(d.difficulty):equals(nil)
    expect(function() return d.shape end):fails_with "a data set has no 'shape'"
    expect(function() d.shape = 3 end):fails_with "a data set has no field 'shape' to set"
    expect(function() d.clases = 3 end):fails_with "did you mean 'classes'?"
  end)
end)
