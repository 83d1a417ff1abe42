--- Plain data as text, exactly: what a snapshot keeps beside its tensors. JSON lacks NaN, infinities, -0, lists with holes, tables with
--- keys of any kind and tensors; here each value that JSON would change is a list that begins with what it is:
---   ["n", "0.125"]  a number   ["s", "ff00"]  bytes that are no text   ["l", …]  a list   ["t", key, value, …]  a table
---   ["T", name, device]  a tensor, which is kept by name beside the text
local engine = require "gradus.engine"
local host = require "gradus.host"
local sorted_keys = require "gradus.base.sorted_keys"

local plain = {}

local MOST_DEEP = 50

local function number_of(value)
  if value % 1 == 0 and math.abs(value) < 2 ^ 53 and not (value == 0 and 1 / value < 0) then return value end
  return { "n", ("%.17g"):format(value) }
end

local function text_of(value)
  if not value:find "[^\32-\126]" then return value end
  return { "s", (value:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) }
end

-- Raises for a table whose keys are no plain data.
local function check_keys(where, value)
  for key in pairs(value) do
    if type(key) ~= "string" and type(key) ~= "number" and type(key) ~= "boolean" then
      host.fail(("%s: a key is a %s; expected texts and numbers"):format(where, type(key)), 70)
    end
  end
end

-- A name that no other tensor has.
local function name_in(tensors, path)
  local name, count = path, 1
  while tensors[name] do
    count = count + 1
    name = path .. "~" .. count
  end
  return name
end

local write

local function under(path, key) return path == "" and tostring(key) or path .. "." .. tostring(key) end

local function table_of(value, path, tensors, deep)
  local count = 0
  for _ in pairs(value) do count = count + 1 end
  local out = { count == #value and "l" or "t" }
  if count == #value then
    for i = 1, count do out[#out + 1] = write(value[i], under(path, i), tensors, deep) end
    return out
  end
  check_keys(path, value)
  for _, key in ipairs(sorted_keys(value)) do
    out[#out + 1] = write(key, path, tensors, deep)
    out[#out + 1] = write(value[key], under(path, key), tensors, deep)
  end
  return out
end

function write(value, path, tensors, deep)
  local kind = type(value)
  if kind == "boolean" then return value end
  if kind == "number" then return number_of(value) end
  if kind == "string" then return text_of(value) end
  if engine.is_tensor(value) then
    local name = name_in(tensors, path)
    tensors[name] = value
    return { "T", name, value.device }
  end
  if kind ~= "table" or getmetatable(value) then
    host.fail(("%s: expected plain data: numbers, texts, booleans, tensors and tables of them; got %s"):format(path,
      kind == "table" and "an object" or "a " .. kind), 65)
  end
  if deep > MOST_DEEP then host.fail(("%s: tables within tables more than %d deep; does one hold itself?"):format(path, MOST_DEEP), 65) end
  return table_of(value, path, tensors, deep + 1)
end

--- A value as a text and tensors by name, which are its own and not copies.
---@param value any
---@param name string   begins the tensors' names and the errors; "" of none
---@return string
---@return table<string, Tensor>
function plain.write(value, name)
  local tensors = {}
  return host.json_encode { write(value, name, tensors, 0) }, tensors
end

local READ = {
  n = function(list) return tonumber(list[2]) end,
  s = function(list) return (list[2]:gsub("%x%x", function(two) return string.char(tonumber(two, 16)) end)) end,
}

local function read(value, tensors)
  if type(value) ~= "table" then return value end
  local kind = value[1]
  if READ[kind] then return READ[kind](value) end
  if kind == "T" then return tensors[value[2]]:to(value[3]) end
  local out = {}
  if kind == "l" then
    for i = 2, #value do out[i - 1] = read(value[i], tensors) end
    return out
  end
  for i = 2, #value, 2 do out[read(value[i], tensors)] = read(value[i + 1], tensors) end
  return out
end

--- What `write` was given, as new tables.
---@param text string
---@param tensors table<string, Tensor>
function plain.read(text, tensors) return read(host.json_decode(text)[1], tensors) end

return plain
