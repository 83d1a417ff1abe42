-- Specs in Lua, run by `gradus test FILE…`:
--
--   describe("schedule", function()
--     it("is linear", function() expect(linear(0, 10, 5)):equals(5) end)
--     it("refuses text", function() expect(function() linear("a") end):fails_with("expected a number") end)
--   end)
--
-- describe, it, before_each, after_all and expect are globals of a spec, and fields of require "gradus.experiment.test".
local host = require "gradus.host"
local sorted_keys = require "gradus.base.sorted_keys"

local test = {}

local LONGEST = 400 -- characters of two tables that are told as they are; of longer ones the first difference is

local function show(value, depth)
  depth = depth or 0
  if type(value) == "string" then return string.format("%q", value) end
  if type(value) ~= "table" or getmetatable(value) or depth > 4 then return tostring(value) end
  local parts = {}
  for i, key in ipairs(sorted_keys(value)) do
    local name = type(key) == "string" and key or "[" .. tostring(key) .. "]"
    parts[i] = name .. " = " .. show(value[key], depth + 1)
  end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

local function step_to(key)
  if type(key) ~= "string" then return ("[%s]"):format(tostring(key)) end
  return key:find "^[%a_][%w_]*$" and "." .. key or ("[%q]"):format(key)
end

-- Where two values first differ, ".rows[3]", and what is there; nil where they are equal: tables by their contents, NaN equals NaN.
local function difference(a, b)
  if a == b or (a ~= a and b ~= b) then return nil end
  if type(a) ~= "table" or type(b) ~= "table" then return "", a, b end
  for _, key in ipairs(sorted_keys(a)) do
    local where, x, y = difference(a[key], b[key])
    if where then return step_to(key) .. where, x, y end
  end
  for _, key in ipairs(sorted_keys(b)) do
    if a[key] == nil then return step_to(key), nil, b[key] end
  end
end

local function fail(text, ...) host.fail(string.format(text, ...)) end

local checks = {}
checks.__index = checks

function checks:equals(wanted)
  local where, one, got = difference(wanted, self.value)
  if not where then return end
  local whole = ("expected %s, got %s"):format(show(wanted), show(self.value))
  if #whole <= LONGEST or where == "" then fail("%s", whole) end
  fail("at %s: expected %s, got %s", (where:gsub("^%.", "")), show(one), show(got))
end

function checks:differs_from(other)
  if not difference(self.value, other) then fail("expected something else than %s", show(other)) end
end

-- Numbers, and lists of numbers, within an absolute tolerance (default 1e-9).
function checks:near(wanted, tolerance)
  tolerance = tolerance or 1e-9
  local got = self.value
  if type(wanted) == "table" then
    if type(got) ~= "table" or #got ~= #wanted then fail("expected a list of %d, got %s", #wanted, show(got)) end
    for i = 1, #wanted do
      if not (type(got[i]) == "number" and math.abs(got[i] - wanted[i]) <= tolerance) then
        fail("item %d: expected %.17g within %g, got %s", i, wanted[i], tolerance, show(got[i]))
      end
    end
  elseif type(got) ~= "number" or got ~= got or math.abs(got - wanted) > tolerance then
    fail("expected %.17g within %g, got %s", wanted, tolerance, show(got))
  end
end

-- The function raises, and its message matches the Lua pattern (or holds it as plain text).
function checks:fails_with(pattern)
  local ok, err = pcall(self.value)
  if ok then fail("expected an error like %q, got none", pattern) end
  local text = type(err) == "table" and err.message or tostring(err)
  if not (text:find(pattern, 1, true) or text:find(pattern)) then
    fail("expected an error like %q, got %q", pattern, text)
  end
end

function checks:matches(pattern)
  if not tostring(self.value):find(pattern) then fail("expected a match of %q, got %s", pattern, show(self.value)) end
end

function checks:is_true()
  if not self.value then fail("expected true, got %s", show(self.value)) end
end

function checks:is_false()
  if self.value then fail("expected false, got %s", show(self.value)) end
end

function test.expect(value) return setmetatable({ value = value }, checks) end

local names, setups, endings, passed, failed = {}, {}, {}, 0, 0

local function report(name, err)
  failed = failed + 1
  local text = type(err) == "table" and err.message or tostring(err)
  print("FAILED " .. name .. "\n  " .. text:gsub("\n", "\n  "))
end

function test.describe(name, body)
  names[#names + 1] = name
  local outer = #setups
  local ok, err = xpcall(body, host.traceback)
  if not ok then report(table.concat(names, " "), err) end
  for i = #setups, outer + 1, -1 do setups[i] = nil end
  names[#names] = nil
end

function test.before_each(setup) setups[#setups + 1] = setup end

-- Called when the file is through, whatever failed: what it made goes here.
function test.after_all(ending) endings[#endings + 1] = ending end

function test.it(name, body)
  host.entering(body)
  local ok, err = xpcall(function()
    for _, setup in ipairs(setups) do setup() end
    body()
  end, host.traceback)
  collectgarbage()  -- objects that an example left behind must survive their own finalizers
  if ok then
    passed = passed + 1
  else
    report(table.concat(names, " ") .. " " .. name, err)
  end
end

-- Called by the host: runs one spec file, prints its failures and the count, returns the number of failures.
function test.run(path, chunk)
  for _, name in ipairs { "describe", "it", "before_each", "after_all", "expect" } do rawset(_G, name, test[name]) end
  local ok, err = xpcall(chunk, host.traceback)
  if not ok then report(path, err) end
  for _, ending in ipairs(endings) do
    local done, why = xpcall(ending, host.traceback)
    if not done then report(path .. " after all", why) end
  end
  if passed + failed == 0 then report(path, "the spec has no examples") end
  print(string.format("%s: %d passed, %d failed", path, passed, failed))
  return failed
end

return test
