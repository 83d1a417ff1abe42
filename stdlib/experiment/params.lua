--- Parameters of an experiment, typed by their defaults; `--set key=value` and `grid` replace them.
---   lr = 3e-3                    any number
---   width = g.int(12)            a whole number          g.int(12, { min = 1 })
---   alpha = g.number(.7, {min=0, max=1})
---   strategy = g.choice { "stages", "one_shot" }         the first is the default
---   verbose = false, tag = "a"   booleans and strings
---   optim = { wd = .01 }         nested tables become dotted keys: --set optim.wd=0
local host = require "gradus.host"
local sorted_keys = require "gradus.base.sorted_keys"
local check = require "gradus.base.check"

local params = {}

local Spec = {}
Spec.__index = Spec

local function is_spec(value) return getmetatable(value) == Spec end

local function quote(value) return type(value) == "string" and ("'%s'"):format(value) or tostring(value) end

local TOLD_APART = 2 ^ 53  -- from here on a whole number may be its neighbour, rounded

-- Whether a whole number is, or would become, another than was written: any of that size where whole numbers are asked for, else
-- one that the command line has in digits.
local function is_rounded(one, value)
  local number = math.abs(tonumber(value) or 0)
  if not (number >= TOLD_APART and number < math.huge) then return false end
  if one.kind == "int" then return true end
  local digits = one.kind == "number" and type(value) == "string" and value:match "^%s*[+-]?0*(%d+)%s*$"
  return digits and ("%.0f"):format(number) ~= digits
end

local function fits(one, value)
  if one.kind == "choice" then
    for _, choice in ipairs(one.choices) do
      if choice == value then return true end
    end
    return false
  elseif one.kind == "boolean" or one.kind == "string" then
    return type(value) == one.kind
  end
  return type(value) == "number" and math.abs(value) < math.huge and (one.kind ~= "int" or value % 1 == 0)
    and not is_rounded(one, value)
    and (not one.min or value >= one.min) and (not one.max or value <= one.max)
end

-- A default that its own limits refuse would only fail when somebody sets it to the value that it has.
local function spec(where, kind, default, limits)
  limits = check.options(where, limits, { min = check.number(), max = check.number() })
  local self = setmetatable({ kind = kind, default = default, min = limits.min, max = limits.max }, Spec)
  if kind ~= "choice" and not fits(self, default) then
    host.fail(("%s: the default %s does not fit; expected %s"):format(where, tostring(default), self:expected(default)))
  end
  return self
end

--- A whole number.
---@param default number
---@param limits? {min: number, max: number}
function params.int(default, limits)
  if type(default) ~= "number" or not (default % 1 == 0) then
    host.fail(("int: expected a whole number as default; got %s"):format(tostring(default)))
  end
  return spec("int", "int", default, limits)
end

--- A number, with limits.
---@param default number
---@param limits? {min: number, max: number}
function params.number(default, limits)
  if type(default) ~= "number" then host.fail("number: expected a number as default; got " .. tostring(default)) end
  return spec("number", "number", default, limits)
end

--- One of several values; the first is the default.
---@param list any[]
function params.choice(list)
  if type(list) ~= "table" or #list == 0 then host.fail "choice: expected a list of values, the default first" end
  for i, value in ipairs(list) do
    if type(value) ~= "number" and type(value) ~= "string" and type(value) ~= "boolean" then
      host.fail(("choice: value %d: expected a number, text or boolean; got %s"):format(i, check.describe(value)))
    end
  end
  local one = spec("choice", "choice", list[1])
  one.choices = list
  return one
end

---@param value any   what does not fit
function Spec:expected(value)
  if is_rounded(self, value) then return "a whole number between -2^53 and 2^53, where each is kept as it is" end
  if self.kind == "choice" then
    local words = {}
    for i, choice in ipairs(self.choices) do words[i] = quote(choice) end
    return "one of " .. table.concat(words, ", ")
  end
  local text = ({ int = "a whole number", number = "a number", boolean = "true or false", string = "a text" })[self.kind]
  if self.min and self.max then return ("%s from %g to %g"):format(text, self.min, self.max) end
  if self.min then return ("%s of at least %g"):format(text, self.min) end
  if self.max then return ("%s of at most %g"):format(text, self.max) end
  return text
end

-- The typed value of a text from the command line, or nil.
local function parse(one, text)
  if one.kind == "choice" then
    for _, choice in ipairs(one.choices) do
      if tostring(choice) == text then return choice end
    end
    return nil
  elseif one.kind == "boolean" then
    return ({ ["true"] = true, ["false"] = false })[text]
  elseif one.kind == "string" then
    return text
  end
  return tonumber(text)
end

-- Flattens nested tables to dotted keys: { "lr" = Spec, "optim.wd" = Spec }.
local function flatten(declared, prefix, out)
  for key, value in pairs(declared) do
    local name = prefix .. tostring(key)
    if type(key) ~= "string" or not key:find "^[%a_][%w_]*$" then
      host.fail(("params: key %s: expected a name of letters, digits and _"):format(quote(key)))
    elseif is_spec(value) then
      out[name] = value
    elseif type(value) == "table" then
      flatten(value, name .. ".", out)
    elseif type(value) == "number" or type(value) == "boolean" or type(value) == "string" then
      out[name] = spec(("params: '%s'"):format(name), type(value), value)
    else
      host.fail(("params: '%s': expected a number, text, boolean, g.int, g.number, g.choice or a table; got %s")
        :format(name, type(value)))
    end
  end
  return out
end

--- Raises: the script declares no such parameter.
function params.unknown(key, specs, where)
  if key == "seed" and where:find "^%-%-set" then
    host.fail("--set: the seed is no parameter; expected --seed 1,2 (of a sweep --seeds N)", 64)
  end
  local keys = sorted_keys(specs)
  local near = host.nearest(key, keys)
  local hint = near and ("did you mean '%s'?"):format(near)
    or #keys > 0 and "expected one of " .. table.concat(keys, ", ") or "the script declares none"
  host.fail(("%s: no parameter '%s'; %s"):format(where, key, hint), where == "--set" and 64 or nil)
end

--- Declared parameters -> dotted key -> Spec.
function params.declare(declared)
  if declared ~= nil and type(declared) ~= "table" then
    host.fail("params: expected a table of parameters; got " .. tostring(declared))
  end
  return flatten(declared or {}, "", {})
end

--- Checks a grid { key = { values… } }: every key a parameter or "seed", every value of its type, and once: the same run again would
--- count as one more in a mean's spread.
function params.check_grid(grid, specs)
  if type(grid) ~= "table" then host.fail("grid: expected a table of lists; got " .. tostring(grid)) end
  for key, values in pairs(grid) do
    if type(values) ~= "table" or #values == 0 then
      host.fail(("grid: '%s': expected a list of values; got %s"):format(tostring(key), quote(values)))
    end
    local one = key == "seed" and spec("seed", "int", 0, { min = 0 }) or specs[key] or params.unknown(tostring(key), specs, "grid")
    local seen = {}
    for _, value in ipairs(values) do
      if not fits(one, value) then
        host.fail(("grid: '%s': expected %s; got %s"):format(key, one:expected(value), quote(value)))
      end
      if seen[value] then host.fail(("grid: '%s': expected each value once; got %s twice"):format(key, quote(value))) end
      seen[value] = true
    end
  end
end

--- The value that `--set key=text` gives; errors are usage errors.
function params.parse_set(key, text, specs)
  local one = specs[key] or params.unknown(key, specs, "--set")
  local value = parse(one, text)
  if value == nil or not fits(one, value) or is_rounded(one, text) then
    host.fail(("--set %s: expected %s; got '%s'"):format(key, one:expected(text), text), 64)
  end
  return value
end

--- The values that `--set key=a,b,c` gives, one or several. A comma is part of a text, unless `several`, and of a choice that has it.
---@return any[]
function params.parse_list(key, text, specs, several)
  local one = specs[key] or params.unknown(key, specs, "--set")
  if one.kind == "string" and not several or not text:find(",", 1, true) or one.kind == "choice" and parse(one, text) ~= nil then
    return { params.parse_set(key, text, specs) }
  end
  if text:find "^l[io][ng]%(" and one.kind ~= "choice" and one.kind ~= "string" then
    host.fail(("--set %s: expected %s; got the range '%s', which `gradus sweep` takes"):format(key, one:expected(), text), 64)
  end
  local values, seen = {}, {}
  for word in (text .. ","):gmatch "([^,]*)," do
    local value = params.parse_set(key, word:match "^%s*(.-)%s*$", specs)
    if seen[value] then host.fail(("--set %s: expected each value once; got %s twice"):format(key, tostring(value)), 64) end
    seen[value] = true
    values[#values + 1] = value
  end
  return values
end

--- dotted key -> value: the defaults replaced by `given`.
function params.resolve(specs, given)
  local flat = {}
  for key, one in pairs(specs) do
    if given[key] ~= nil then flat[key] = given[key] else flat[key] = one.default end
  end
  return flat
end

--- dotted key -> value of a run of the store.
---@param store table
---@param id number
---@return table<string, number|string|boolean>
function params.stored(store, id)
  local flat = {}
  for _, row in ipairs(store:query("SELECT key, value, type FROM params WHERE run_id = ?", id)) do
    if row.type == "boolean" then flat[row.key] = row.value == 1 else flat[row.key] = row.value end
  end
  return flat
end

--- The nested table that the script's run function sees; reading a parameter that was not declared is an error.
function params.nest(flat)
  local function guarded(path)
    return setmetatable({}, { __index = function(t, key)
      local keys = {}
      for known in pairs(t) do keys[#keys + 1] = known end
      local near = host.nearest(tostring(key), keys)
      host.fail(("params: no parameter '%s%s'%s"):format(path, tostring(key),
        near and ("; did you mean '%s'?"):format(near) or ""))
    end })
  end
  local root = guarded ""
  for key, value in pairs(flat) do
    local at, path = root, ""
    for part, dot in key:gmatch "([^.]+)(%.?)" do
      path = path .. part .. dot
      if dot == "" then
        rawset(at, part, value)
      else
        if not rawget(at, part) then rawset(at, part, guarded(path)) end
        at = rawget(at, part)
      end
    end
  end
  return root
end

return params
