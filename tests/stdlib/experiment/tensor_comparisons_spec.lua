-- A tensor that is compared with a number is told, once per place; nothing else is.
local g = require "gradus"
local host = require "gradus.host"
local instead = require "instead"
local watch = require("gradus.experiment.tensor_comparisons").watch

-- What is told of these lines of a file, which see `t`, a tensor, `n`, a number, and `o`, with both; and whether they ran through.
local function told(lines, path)
  path = path or "s.lua"
  local text, list, ok = "local t, n, o = ...\n" .. lines .. "\nreturn 'done'", {}, nil
  local fn = assert(loadstring(text, "@" .. path))
  local result
  instead({ { host, "sources", function() return { { path = path, text = text } } end } }, function()
    ok, result = watch(function(what) list[#list + 1] = what end, fn, g.tensor { 1 }, 1, { t = g.tensor { 1 }, n = 1 })
  end)
  return list, ok, result
end

local function words(place, text, name)
  return ("s.lua:%d: %s: a tensor is no number, and never equal to one; expected %s:item(), or %s:eq(…) of its values")
    :format(place, text, name, name)
end

describe("a tensor that is compared", function()
  for line, text in pairs { ["local b = t == 0"] = "t == 0", ["if t ~= 1.5 then n = 2 end"] = "t ~= 1.5",
    ["local b = o.t == -3"] = "o.t == -3", ["local b = 0 == t"] = "0 == t", ["local b = .5 ~= o.t"] = ".5 ~= o.t",
    ["t = t; local b = (t==1)"] = "t == 1", ["local b = t == 1e3"] = "t == 1e3" } do
    it("is told: " .. line, function()
      local list, ok, result = told(line)
      expect(list):equals { words(2, text, text:match "o%.t" or "t") }
      expect({ ok, result }):equals { true, "done" }
    end)
  end
  for _, line in ipairs { "local b = n == 0", "local b = o.n == 1", "local b = t == n", "local b = 't == 0'", "local b = n -- t == 0",
    "local b = 1 == n",
    "local b = 1 == t:item()", "local b = o.u == 1", "local b = 3 == #o", "local b = 1 == t[0]:item()", "local b = t:item() == 1",
    "local b = n >= 0", "local b = 1 == (n)", "local b = n ~= 0", "local b = 0 == tonumber(n)", "local b = n .. 't' == 1" } do
    it("is none: " .. line, function()
      local list, ok = told(line)
      expect({ list, ok }):equals { {}, true }
    end)
  end
  it("is the library's business in its own files", function()
    expect({ told("local b = t == 0", "stdlib/s.lua"), #told("local b = t == 0", "stdlibs.lua") }):equals { {}, 1 }
  end)
  it("is told once for a place, and each of a line", function()
    expect((told "for i = 1, 3 do\n  local a, b = t == 0, o.t == 1\nend\nlocal c = t == 0")):equals {
      words(3, "t == 0", "t"), words(3, "o.t == 1", "o.t"), words(5, "t == 0", "t") }
  end)
  it("is told before the script fails, as it fails", function()
    local list, ok, why = told "local b = t == 0\nerror 'oh'"
    expect({ #list, ok }):equals { 1, false }
    expect(type(why) == "table" and why.message or why):matches "oh"
    expect(debug.gethook() == nil):is_true()
  end)
end)
