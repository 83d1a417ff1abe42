--- What may stand at the end of a line of the console: globals, what a table, a module or an object of the library has.
local comments = require "gradus.base.comments"
local engine = require "gradus.engine"

local names = {}

local KEYWORDS = { "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local", "nil", "not", "or",
  "repeat", "return", "then", "true", "until", "while" }

-- Methods by what help calls the object.
local function documented(prefix)
  local found = {}
  for _, entry in ipairs(comments.all()) do
    local owner, name = entry.name:match "^(.*)[.:]([%w_]+)$"
    if owner == prefix then found[#found + 1] = name end
  end
  return found
end

local function keys_of(value, into)
  for key in next, value do
    if type(key) == "string" and key:find "^[%a_][%w_]*$" then into[key] = true end
  end
end

-- A table's own keys, and those of what it inherits from.
local function members(value)
  local found, seen = {}, {}
  if engine.is_tensor(value) then
    for _, name in ipairs(engine.op_names()) do found[name] = true end
    for _, name in ipairs(documented "x") do found[name] = true end
    return found
  end
  while type(value) == "table" and not seen[value] do
    seen[value] = true
    keys_of(value, found)
    local meta = debug.getmetatable(value)
    if type(meta) ~= "table" then break end
    if type(rawget(meta, "__names")) == "function" then
      for _, name in ipairs(meta.__names()) do found[name] = true end
    end
    value = rawget(meta, "__index")
    if type(value) == "function" then
      keys_of(meta, found)
      value = nil
    end
  end
  if type(value) == "string" then keys_of(string, found) end
  return found
end

-- The value that "a.b:c" names, without calling anything but the library's own lookups; nil where there is none.
local function value_of(chain)
  local value = _G
  for name in chain:gmatch "[%w_]+" do
    local ok, next_value = pcall(function()
      if value == _G then return rawget(_G, name) end
      return value[name]
    end)
    if not ok or next_value == nil then return nil end
    value = next_value
  end
  return value
end

--- What the word at the end of a line could become, and how many bytes of the line that word takes.
---@param before string  the line up to the cursor
---@return number replaced
---@return string[] words  sorted
function names.at_end_of(before)
  local word = before:match "[%a_][%w_%.:]*$" or ""
  local owner, separator, typed = word:match "^(.*)([%.:])([%w_]*)$"
  local found, list = {}, {}
  if owner then
    local value = value_of(owner)
    if value == nil then return 0, {} end
    found = members(value)
  else
    typed = word
    for _, name in ipairs(KEYWORDS) do found[name] = true end
    keys_of(_G, found)
  end
  for name in pairs(found) do
    local hidden = name:find "^_" and typed:sub(1, 1) ~= "_"
    if name:sub(1, #typed) == typed and not hidden then list[#list + 1] = (owner and owner .. separator or "") .. name end
  end
  table.sort(list)
  return #word, list
end

return names
