--- What a function of a script that runs can see: its names, what they hold, and the text of its file. Levels are seen from whoever
--- asks: 1 is the asking function itself, 2 the one that has called it.
local host = require "gradus.host"

local frame = {}

-- Calls visit(name, value) for the locals, the innermost first, then for the upvalues; one that returns true is the last.
local function each_variable(level, visit)
  local count = 0
  while debug.getlocal(level + 1, count + 1) do count = count + 1 end
  for i = count, 1, -1 do
    if visit(debug.getlocal(level + 1, i)) then return end
  end
  local fn = debug.getinfo(level + 1, "f").func
  for i = 1, 250 do
    local name, value = debug.getupvalue(fn, i)
    if not name or visit(name, value) then return end
  end
end

--- The names of the locals and upvalues, and what they hold: false of one that holds nil.
---@param level number
---@return string[] names
---@return table<string, any> values
function frame.names(level)
  local names, values = {}, {}
  each_variable(level + 1, function(name, value)
    if not name:find "^[%a_]" or values[name] ~= nil then return end
    if value == nil then value = false end
    names[#names + 1], values[name] = name, value
  end)
  return names, values
end

-- The value at a path of fields, "b.c"; nil where there is none.
local function walk(value, path)
  for part in path:gmatch "[%w_]+" do
    local ok, inner = pcall(function() return value[part] end)
    if not ok then return nil end
    value = inner
  end
  return value
end

--- The value of "a" or "a.b.c", where a is a local, an upvalue or a global; and that of a. nil where there is none.
---@param path string
---@param level number
---@return any value
---@return any root
function frame.value_of(path, level)
  local first, rest = path:match "^([%w_]+)%.?(.*)$"
  local root, found
  each_variable(level + 1, function(name, value)
    found = name == first
    if found then root = value end
    return found
  end)
  if not found then root = rawget(_G, first) end
  return walk(root, rest), root
end

--- The text of the file of the user's that a function is from; nil of any other function.
---@param info {source: string}  what debug.getinfo says of it
---@return string?
function frame.text_of(info)
  local text
  for _, one in ipairs(host.sources()) do  -- the newest version is the last
    if info.source == "@" .. one.path or info.source == "=" .. one.path then text = one.text end
  end
  return text
end

return frame
