--- What hands that know Python (or C, or JavaScript) type, and how Lua says it: the ends of messages about calls that went wrong.
--- Syntax errors are syntax.lua's, names globals.lua's, options check.lua's.
local frame = require "gradus.base.frame"
local syntax = require "gradus.base.syntax"

local bare, line_of = syntax.bare, syntax.line_of
local habits = { syntax = syntax.mended }

-- The frames from the error outwards to the first of the user's: its level and what it called.
local function user_frame()
  local called
  for level = 3, 100 do
    local info = debug.getinfo(level, "Snl")
    if not info then return nil end
    if info.what ~= "C" and not info.source:find "^@stdlib/" then return level - 1, info, called end
    called = info
  end
end

-- Whether `name` is a method of the object's class, which gets the object by a colon.
local function is_method(object, name)
  local meta = getmetatable(object)
  if type(meta) ~= "table" then return false end
  local class = rawget(meta, "__class") or rawget(meta, "__index")
  if type(object) == "userdata" then
    local ok, value = pcall(function() return object[name] end)
    return ok and type(value) == "function"
  end
  local ok, value = pcall(function() return type(class) == "table" and class[name] end)
  return ok and type(value) == "function"
end

-- "run.distill(…): …" where the user wrote a dot before a method.
local function dot_for_colon(line, level)
  for path, name in bare(line):gmatch "([%a_][%w_%.]*)%.([%a_][%w_]*)%s*[%({\"']" do
    local object = not line:find "^%s*function%s" and frame.value_of(path, level + 1) or nil
    if object ~= nil and is_method(object, name) then
      return ("%s.%s(…): expected a colon, which hands over the object itself: %s:%s(…)"):format(path, name, path, name)
    end
  end
end

local KEYWORDS = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return then true until "
  .. "while"):gmatch "%a+" do
  KEYWORDS[word] = true
end

-- The names in a line of code that hold nil; those of methods hold nothing.
local function nil_names(line, level)
  local names, seen = {}, {}
  for path in bare(line):gsub(":%s*[%a_][%w_]*", ":"):gmatch "%f[%w_][%a_][%w_%.]*" do
    local value, root = frame.value_of(path, level + 1)
    local known = root ~= nil or not path:find("%.")
    if not seen[path] and known and not KEYWORDS[path] and value == nil then names[#names + 1] = ("'%s'"):format(path) end
    seen[path] = true
  end
  return table.concat(names, ", ")
end

local CALLS = {
  { "attempt to compare .*userdata", "a tensor is compared by x:gt(y), x:lt(y), x:ge(y), x:le(y), x:eq(y); a number is x:item()" },
  { "attempt to compare .*table", "the number in it" },
  { "attempt to concatenate .*nil value", "tostring(x), or a value: it is nil" },
  { "attempt to concatenate .*boolean value", "tostring(x)" },
  { "attempt to concatenate .*table value", "a text; tostring(x) makes one of an object" },
}

local METHODS = { append = "list[#list + 1] = x", extend = "a loop", items = "for key, value in pairs(t) do … end",
  keys = "for key in pairs(t) do … end", values = "for key, value in pairs(t) do … end", join = "table.concat(list, \", \")",
  pop = "table.remove(list)", push = "list[#list + 1] = x", push_back = "list[#list + 1] = x", split = "text:gmatch \"%S+\"",
  strip = "text:match \"^%s*(.-)%s*$\"", startswith = "text:find(\"^beginning\")", endswith = "text:find(\"end$\")",
  lower = "text:lower()", upper = "text:upper()", length = "#list", size = "#list, or x:size(0) of a tensor",
  get = "t[key] or default", forEach = "for i, value in ipairs(list) do … end", sort = "table.sort(list)",
  index = "a loop", count = "#list", copy = "a loop over pairs(t)", update = "a loop over pairs(t)" }

-- x == y of two tensors, or not x of one, was taken for their values: it is one boolean.
local function of_boolean(code)
  if code:find "[=~]=" then return "x:eq(y) compares the values of tensors, x:ne(y) as well; x == y is one true or false" end
  if code:find "%f[%w]not%f[%W]" then return "x:logical_not() of a tensor of true and false; not x is one true or false" end
  if code:find "%f[%w]and%f[%W]" or code:find "%f[%w]or%f[%W]" then return "x:logical_and(y), x:logical_or(y) of tensors" end
  return "a tensor or a number; where it was made by x == y of tensors: x:eq(y), which compares their values"
end

-- A comparison with nil: who it is, or why a run of the store gives one.
local function of_nil(line, level)
  local names = nil_names(line, level + 1)
  if names ~= "" then return ("a value on both sides; %s is nil"):format(names) end
  if line:find ":best%W" or line:find ":last%W" then
    return 'a value on both sides; best and last are nil of a run that has not measured it (g.runs { sort = "best(val/acc)" } sorts)'
  end
  return "a value on both sides"
end

local PACKAGES = " torch torchvision torchaudio numpy np tensorflow keras jax sklearn pandas lightning pytorch_lightning "

local function lua_says(message, line, level)
  for _, one in ipairs(CALLS) do
    if message:find(one[1]) then return one[2] end
  end
  local code = bare(line)
  if message:find "attempt to .*boolean" and not message:find "concatenate" then return of_boolean(code) end
  if message:find "attempt to compare .*nil" then return (of_nil(line, level + 1)) end  -- no tail call, which would lose a frame
  local package = message:match "module '([%w_]+)[%w_.]*' not found"
  if package and PACKAGES:find(" " .. package .. " ", 1, true) then
    return 'local g = require "gradus"; Python\'s packages are not here (g.nn, g.optim, g.loss, g.data)'
  end
  if message:find "attempt to call .*table value" or message:find "attempt to call .*nil value" then
    if code:find "^%s*for%s.-%sin%s+[%w_.]+%s+do" then return "for i, value in ipairs(list) do … end, for key, value in pairs(t) do … "
      .. "end" end
  end
  local field = message:match "attempt to call field '([%w_]+)'" or message:match "attempt to call method '([%w_]+)'"
  if field and METHODS[field] and message:find "nil value" then return METHODS[field] end
  if message:find "arithmetic on .*string value" then return "tonumber(text)" end
end

--- What an error that nobody has caught should say: at the user's line, with a colon where a dot was written, with how Lua
--- says it; nil where it is good as it is. Called by the host while the stack is still there.
---@param message string
---@return string?
function habits.explain(message)
  local level, info, called = user_frame()
  if not level then return nil end
  local here = ("%s:%d: "):format(info.short_src, info.currentline)
  local line = line_of(frame.text_of(info) or "", info.currentline)
  local ours = message:find "^stdlib/[%w_/]+%.lua:%d+: "
  if called and (ours or message:find(here, 1, true) == 1) then
    local mended = dot_for_colon(line, level)
    if mended then return here .. mended end
  end
  if ours then
    local where, text = message:match "^(stdlib/[%w_/]+%.lua:%d+): (.*)$"
    local name = called and called.name or "a function of the library"
    return ("%s%s: %s (in %s)"):format(here, name, text, where)
  end
  if message:find(here, 1, true) ~= 1 then return nil end
  if message:find "argument %d '%w+': expected .-; got nil; usage" then
    local names = nil_names(line:gsub("^%s*local%s+[%w_, ]+=", ""):gsub("^%s*[%w_%.]+%s*=", ""), level)
    if names ~= "" then return message:gsub("; usage.*$", "") .. "; " .. names .. " is nil" end
  end
  if message:find("; expected ", 1, true) or message:find("; in Lua: ", 1, true) then return nil end
  local mend = lua_says(message, line, level)
  return mend and ("%s; in Lua: %s"):format(message, mend) or nil
end

return habits
