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

describe("what was meant by a name", function()
  -- The message of reading a name where there are these locals around.
  local function said(fn)
    local _, why = pcall(fn)
    return type(why) == "table" and why.message or tostring(why)
  end
  local function ends(fn, text)
    local got = said(fn)
    if got:sub(-#text) ~= text then error(("expected the end %q, got %q"):format(text, got), 2) end
  end
  local student, Ab, holder = 1, 2, { width = 4 }
  it("is a local or an upvalue near it, of any letters where they are the same", function()
    ends(function() local near_it = 1 return near_i, near_it end, "did you mean 'near_it'?")
    ends(function() return studen, student end, "did you mean 'student'?")
    ends(function() return STUDENT, student end, "did you mean 'student'?")
    ends(function() return aB, Ab end, "did you mean 'Ab'?")
    ends(loadstring("local xz = 3 local y = xq return y, xz", "=(words)"),
      "expected local xq = … before it")  -- of two letters none is near
  end)
  it("is a field of self", function()
    local method = loadstring("return function(self) local x = width return self, x end", "=(words)")()
    ends(function() method(holder) end, "did you mean 'self.width'?")
    ends(function() method {} end, "expected local width = … before it")
  end)
  it("is what other languages call so", function()
    for name, text in pairs { TRUE = "did you mean 'true'?", undefined = "did you mean 'nil'?", ceil = "did you mean 'math.ceil'?",
      gradus = 'expected local g = require "gradus"', range = "expected for i = 1, n do … end, both ends included",
      str = "expected tostring(value)", SummaryWriter = "write what others read",
      log_metric = "expected local log_metric = … before it, or run:log { name = value }; "
        .. "`gradus export mlflow` and `export tensorboard` write what others read", MSELoss = "expected g.loss.mse(a, b)" } do
      local read = loadstring("local x = " .. name .. " return x", "=(words)")
      ends(function() read() end, text)
    end
  end)
  it("is a name of the library, in the script's own words for it", function()
    ends(function() return AdamW, g end, "did you mean 'g.optim.AdamW'?")
    ends(loadstring "local lib = require 'gradus' local x = MLP return x, lib", "did you mean 'lib.nn.MLP'?")
    ends(loadstring "local x = schedule return x", "did you mean 'g.schedule'?")
    local loaded = package.loaded["gradus"]
    package.loaded["gradus"] = nil
    local got = said(loadstring "local x = schedule return x")
    local other = said(loadstring "local x = MLP return x")
    package.loaded["gradus"] = loaded
    expect(got):matches 'expected local schedule = require%("gradus"%)%.schedule before it$'
    expect(other):matches "expected local MLP = … before it$"
  end)
  it("is a name that the file has elsewhere, or near one of it or of Lua's", function()
    local function apart(only_parameter) local only_here = only_parameter return only_here end
    apart(1)
    ends(function() return only_here end, "expected it where the local of that name is seen: after its line, in the same block or function")
    ends(function() return only_parameter end,
      "expected it where the local of that name is seen: after its line, in the same block or function")
    ends(function() return only_her end, "did you mean 'only_here'?")
    ends(function() return helpe end, "did you mean 'helper'?")
    ends(function() return tostrin end, "did you mean 'tostring'?")
  end)
  it("that is no name, or was announced, is nil", function()
    expect({ _G[5], _G[true] }):equals {}
  end)
end)

describe("a global that a function would make", function()
  local function said(fn)
    local _, why = pcall(fn)
    return type(why) == "table" and why.message or tostring(why)
  end
  it("may be meant for a field of the module", function()
    local Net = g.nn.class "Net"
    function Net:init() self.hidden = 3 end
    function Net:forward() hidden = 4 end
    expect(said(function() Net()(1) end)):matches("'hidden' would be a new global, set inside of a function; "
      .. "did you mean 'self%.hidden'%? else expected local hidden = …, or hidden = nil")
    local function plain(self) hidden = self end
    expect(said(function() plain { hidden = 1 } end)):matches "set inside of a function; expected local hidden = …"
    expect({ rawget(_G, "hidden") }):equals {}
  end)
  it("is made by the top level of a text, and by any key that is no name", function()
    loadstring "FROM_TEXT = 7" ()
    expect(FROM_TEXT):equals(7)
    FROM_TEXT = nil
    local function set() _G[123] = 4 end
    set()
    expect(rawget(_G, 123)):equals(4)
    rawset(_G, 123, nil)
  end)
end)
