--- `loss == 0` of a tensor is false without a word: Lua compares values of one type alone, and asks nobody. `gradus check` looks at each
--- line of the script that compares a name with a number, as it is about to run: what is a tensor there is told.
local engine = require "gradus.engine"
local frame = require "gradus.base.frame"
local host = require "gradus.host"
local syntax = require "gradus.base.syntax"

local tensor_comparisons = {}

local NAME, NUMBER = "([%a_][%w_%.]*)", "(%-?%.?%d[%w%.]*)"

-- The names in a line that are compared with a number by == or ~=: { name, text }, …
local function comparisons(line)
  local code, found = " " .. syntax.bare(line) .. " ", {}
  for before, name, sign, number in code:gmatch("([^%w_%.])" .. NAME .. "%s*([=~]=)%s*" .. NUMBER) do
    if before ~= ":" then found[#found + 1] = { name, ("%s %s %s"):format(name, sign, number) } end
  end
  for number, sign, name, after in code:gmatch(NUMBER .. "%s*([=~]=)%s*" .. NAME .. "%s*([^%w_%.])") do
    if not after:find "[:%(%[{\"']" then found[#found + 1] = { name, ("%s %s %s"):format(number, sign, name) } end
  end
  return found
end

-- Of a function's file, lines that compare: number -> comparisons.
local function lines_of(info)
  local lines, number = {}, 0
  for line in ((frame.text_of(info) or "") .. "\n"):gmatch "(.-)\n" do
    number = number + 1
    local found = line:find("[=~]=") and comparisons(line) or {}
    if #found > 0 then lines[number] = found end
  end
  return lines
end

--- Calls fn(...), and tell(text) for each comparison of a tensor with a number, once.
---@param tell fun(text: string)
---@param fn function
---@return boolean ok, any   as pcall
function tensor_comparisons.watch(tell, fn, ...)
  local known, told = {}, {}
  local function look(_, number)
    local info = debug.getinfo(2, "S")
    if info.source:sub(1, 8) == "@stdlib/" then return end
    known[info.source] = known[info.source] or lines_of(info)
    for _, one in ipairs(known[info.source][number] or {}) do
      local text = ("%s:%d: %s"):format(info.short_src, number, one[2])
      if not told[text] and engine.is_tensor((frame.value_of(one[1], 2))) then
        told[text] = true
        tell(("%s: a tensor is no number, and never equal to one; expected %s:item(), or %s:eq(…) of its values")
          :format(text, one[1], one[1]))
      end
    end
  end
  debug.sethook(look, "l")
  local results = { xpcall(fn, host.traceback, ...) }
  debug.sethook()
  return unpack(results, 1, 2)
end

return tensor_comparisons
