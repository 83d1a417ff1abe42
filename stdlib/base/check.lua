--- Arguments and options, checked: one line that blames the user's line, and the nearest name for a misspelt one.
---   check.options("jsd", given, { "beta", "temperature" })                       names only
---   check.options("jsd", given, { beta = check.number(0, 1), t2 = check.boolean }, { beta = .5 })
---   check.arguments("Linear", { { "in_features", check.int(1) }, { "bias", check.boolean, true } }, ...)
local engine = require "gradus.engine"
local elsewhere = require "gradus.base.elsewhere"
local host = require "gradus.host"
local sorted_keys = require "gradus.base.sorted_keys"
local synonyms = require "gradus.base.synonyms"

---@class Rule
---@field expected string              what fits, in words
---@field test fun(value: any): boolean

local check = {}

--- Raises "where: text" at the user's line.
function check.fail(where, text, ...)
  if select("#", ...) > 0 then text = text:format(...) end
  host.fail(where .. ": " .. text)
end

--- A tensor's shape in words: "[2, 3]".
---@param t Tensor
function check.shape(t) return "[" .. table.concat(t.shape, ", ") .. "]" end

--- A value in words: "3", "'mean'", "nil", "Tensor [2, 3] float32".
function check.describe(value)
  if engine.is_tensor(value) then return ("Tensor %s %s"):format(check.shape(value), value.dtype) end
  if type(value) == "string" then return "'" .. value .. "'" end
  if type(value) == "number" then return ("%.10g"):format(value) end
  if type(value) == "table" then
    local class = getmetatable(value)
    if type(class) == "table" and rawget(class, "__where") then return class.__where end
    return type(class) == "table" and class.__name and "a " .. class.__name or "a table"
  end
  return type(value) == "nil" and "nil" or type(value) == "boolean" and tostring(value) or "a " .. type(value)
end

-- --- rules -------------------------------------------------------------------------------------------------------------

local function rule(expected, test) return { expected = expected, test = test } end

check.any = rule("any value", function() return true end)
check.boolean = rule("true or false", function(v) return type(v) == "boolean" end)
check.string = rule("a text", function(v) return type(v) == "string" end)
check.callable = rule("a function", function(v)
  return type(v) == "function" or (getmetatable(v) or {}).__call ~= nil
end)
check.table = rule("a table", function(v) return type(v) == "table" end)
check.tensor = rule("a Tensor", engine.is_tensor)

local function range(kind, min, max)
  if min and max then return ("%s from %g to %g"):format(kind, min, max) end
  if min then return ("%s of at least %g"):format(kind, min) end
  return max and ("%s of at most %g"):format(kind, max) or kind
end

local function within(v, min, max)  -- false for NaN
  return type(v) == "number" and v == v and (not min or v >= min) and (not max or v <= max)
end

--- A number, both limits included.
function check.number(min, max)
  return rule(range("a number", min, max), function(v) return within(v, min, max) end)
end

function check.above(limit)
  return rule(("a number > %g"):format(limit), function(v) return within(v) and v > limit end)
end

function check.int(min, max)
  return rule(range("a whole number", min, max), function(v) return within(v, min, max) and v % 1 == 0 end)
end

function check.choice(...)
  local names = { ... }
  return rule("'" .. table.concat(names, "', '") .. "'", function(v)
    for _, name in ipairs(names) do
      if v == name then return true end
    end
    return false
  end)
end

--- A value that one of two rules takes.
function check.either(a, b)
  return rule(a.expected .. " or " .. b.expected, function(v) return a.test(v) or b.test(v) end)
end

--- A list of `count` (any number when nil) values that fit a rule.
function check.list(item, count)
  local text = count and ("a list of %d, each %s"):format(count, item.expected) or "a list, each " .. item.expected
  return rule(text, function(v)
    if type(v) ~= "table" or getmetatable(v) or #v == 0 or (count and #v ~= count) then return false end
    for i = 1, #v do
      if not item.test(v[i]) then return false end
    end
    return true
  end)
end

-- --- checks ------------------------------------------------------------------------------------------------------------

--- Raises unless the value fits the rule; returns the value.
function check.value(where, name, value, fits)
  if not fits.test(value) then
    check.fail(where, "'%s': expected %s; got %s", name, fits.expected, check.describe(value))
  end
  return value
end

--- The end of a message about a name that is not among the known ones: the nearest of them, else all, in their order.
---@param name any
---@param known string[]
---@param expected? string  before all of them; "expected one of "
---@return string
function check.suggest(name, known, expected)
  if #known == 0 then return "expected none" end
  local near = host.nearest(tostring(name), known)
  return near and ("did you mean '%s'?"):format(near) or (expected or "expected one of ") .. table.concat(known, ", ")
end

--- Raises for a name that is not among the known ones.
function check.unknown(where, kind, name, known)
  table.sort(known)
  check.fail(where, "no %s '%s'; %s", kind, tostring(name), check.suggest(name, known, "expected "))
end

local function keys(map)
  local list = {}
  for key in pairs(map) do
    if type(key) == "string" and key:sub(1, 2) ~= "__" then list[#list + 1] = key end
  end
  return list
end

--- The end of a message about a missing name: what takes the place of PyTorch's, else the nearest of the known ones; "" for none.
---@param name any
---@param known string[]
---@param where? string  who lacks it: "g.score"
function check.instead(name, known, where)
  local mend = elsewhere.mend(name, where)
  if mend then return "; expected " .. mend end
  local near = host.nearest(tostring(name), known)
  return near and ("; did you mean '%s'?"):format(near) or ""
end

--- Makes a module's missing names an error that tells the nearest one.
function check.names(where, module)
  return setmetatable(module, { __index = function(_, name)
    host.fail(("%s has no '%s'%s"):format(where, tostring(name), check.instead(name, keys(module), where)))
  end })
end

-- Whether the function at this level (1: the caller) is the user's. The library may ask objects for what they may lack.
local function by_user(level)
  local info
  repeat  -- an __index that asks the class passes the question on
    level = level + 1
    info = debug.getinfo(level, "Sn")
  until not (info and info.namewhat == "metamethod" and info.name:find "index" and info.source:sub(1, 8) == "@stdlib/")
  return info ~= nil and info.what ~= "C" and info.source:sub(1, 8) ~= "@stdlib/"
end
check.by_user = by_user

-- The methods of a class that are explained, in order; all where none is. The others are the library's business.
local function documented(file, class)
  local found = {}
  for _, entry in ipairs(require("gradus.base.comments").of(file)) do
    local name = entry.name and entry.name:match ":([%w_]+)$"
    if name and rawget(class, name) ~= nil then found[name] = true end
  end
  local known = keys(next(found) and found or class)
  table.sort(known)
  return known
end

-- Fields that a class's comments name are there or nil.
local function fields_of(file) return require("gradus.base.comments").fields(file) end
local function is_documented(file, name) return fields_of(file)[name] ~= nil end

--- Makes what a class lacks an error that tells the nearest name: a misspelt method for everybody, any field that is not
--- documented (---@field in the file of the class) for the user's code. With sealed = true setting a new field is an error
--- there too.
---@param where string
---@param class table
---@param options? {sealed: boolean, instead: fun(name: string): string?}  instead: what the class has in place of such a name
function check.methods(where, class, options)
  local file = debug.getinfo(2, "S").source:match "^@stdlib/(.*)$"
  class.__where = where
  if options and options.sealed then
    class.__newindex = function(self, name, value)
      if by_user(2) and not is_documented(file, name) then
        local near = type(name) == "string" and host.nearest(name, keys(self))
        host.fail(("%s has no field '%s' to set; %s"):format(where, tostring(name), near and ("did you mean '%s'?"):format(near)
          or "expected a local of yours, or run.state." .. tostring(name)))
      end
      rawset(self, name, value)
    end
  end
  return setmetatable(class, { __index = function(_, name)
    if type(name) ~= "string" then
      if rawget(class, "__at") and by_user(2) then return class.__at(name) end
      return nil
    end
    if name:find "^_" then return nil end
    local outside = by_user(2) and not is_documented(file, name)
    local mend = outside and (options and options.instead and options.instead(name) or elsewhere.mend(name))
    if mend then host.fail(("%s has no '%s'; expected %s"):format(where, name, mend)) end
    local known = outside and documented(file, class) or keys(class)
    local near = host.nearest(name, known) or outside and host.nearest(name, sorted_keys(fields_of(file)))
    if near then host.fail(("%s has no '%s'; did you mean '%s'?"):format(where, name, near)) end
    if outside then host.fail(("%s has no '%s'; expected one of its methods: %s"):format(where, name, table.concat(known, ", "))) end
  end })
end

--- Raises where a list has more than its items: names beside them, or items after a hole, which nobody would look at. Returns it.
---@param where string
---@param list table
---@param beside? table<string, boolean>   names that may stand beside the items
function check.items(where, list, beside)
  local count = 0  -- not #list, which may count what stands after a hole
  while rawget(list, count + 1) ~= nil do count = count + 1 end
  for key in pairs(list) do
    local is_item = type(key) == "number" and key % 1 == 0 and key >= 1 and key <= count
    if not is_item and not (beside and beside[key]) then
      if type(key) == "number" then check.fail(where, "item %d is missing, before item %g", count + 1, key) end
      check.fail(where, "'%s' beside the items has no effect; expected it in each of them, or not at all", tostring(key))
    end
  end
  return list
end

-- An instance of a class, which is no table of options.
local function is_object(value)
  local meta = getmetatable(value)
  return type(meta) == "table" and (rawget(meta, "__index") == meta or rawget(meta, "__class") ~= nil)
end

--- Checks a table of options (nil: none) against a list of names, or a map from name to rule; a list part of the given
--- table is not looked at. Returns a new table of the options, with the defaults filled in.
---@param where string
---@param given? table
---@param allowed string[]|table<string, Rule>
---@param defaults? table
function check.options(where, given, allowed, defaults)
  local rules = allowed
  if #allowed > 0 then
    rules = {}
    for _, name in ipairs(allowed) do rules[name] = check.any end
  end
  if given ~= nil and (type(given) ~= "table" or is_object(given)) then
    local names = keys(rules)
    table.sort(names)
    check.fail(where, "expected a table of options; got %s, not { %s = … }", check.describe(given),
      rules.lr and "lr" or names[1] or "name")
  end
  local result = {}
  for name, value in pairs(defaults or {}) do result[name] = value end
  for name, value in pairs(given or {}) do
    if type(name) ~= "number" then
      if type(name) ~= "string" then check.fail(where, "expected options by name; got %s as one", check.describe(name)) end
      if not rules[name] then
        local mend = synonyms.of(name, rules)
        if mend then check.fail(where, "no option '%s'; %s", name, mend) end
        check.unknown(where, "option", name, keys(rules))
      end
      result[name] = check.value(where, name, value, rules[name])
    end
  end
  return result
end

local function is_named(value)
  return type(value) == "table" and not getmetatable(value) and #value == 0 and type(next(value)) == "string"
end

--- Arguments by place, with a last plain table for those by name. A specification is a list of { name, rule, default };
--- without a default the argument is required, unless it says optional = true. Returns a table by name.
function check.arguments(where, specification, ...)
  local count, given = select("#", ...), { ... }
  local named = is_named(given[count]) and given[count] or {}
  if next(named) then count = count - 1 end
  if count > #specification then
    check.fail(where, "expected at most %d arguments; got %d", #specification, count)
  end
  local result, known = {}, {}
  for i, one in ipairs(specification) do known[i], known[one[1]] = one[1], true end
  for name in pairs(named) do
    if not known[name] then
      local mend = type(name) == "string" and synonyms.of(name, known)
      if mend then check.fail(where, "no argument '%s'; %s", name, mend) end
      check.unknown(where, "argument", name, { unpack(known) })
    end
  end
  for i, one in ipairs(specification) do
    local name, fits, default = one[1], one[2], one[3]
    local value = named[name]
    if i <= count and given[i] ~= nil then
      if value ~= nil then check.fail(where, "argument '%s' is given by place and by name", name) end
      value = given[i]
    end
    if value == nil then value = default end
    if value ~= nil then
      result[name] = check.value(where, name, value, fits)
    elseif not one.optional then
      check.fail(where, "argument %d '%s' is missing; expected %s", i, name, fits.expected)
    end
  end
  return result
end

return check
