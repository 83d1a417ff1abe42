--- Copying named tensors into others, all or nothing: what state_dict and load_state_dict of modules and optimizers share.
local check = require "gradus.base.check"
local sorted_keys = require "gradus.base.sorted_keys"
local tensor = require "gradus.base.tensor"

local weights = {}

local function sorted(list, text)
  table.sort(list)
  return #list > 0 and ("%s: %s"):format(text, table.concat(list, ", ")) or nil
end

local function shape(t) return "[" .. table.concat(t.shape, ", ") .. "]" end

--- Copies `given` into the tensors of `own`, which keep their storage. Every missing, unexpected and differently shaped
--- entry is named in one error; strict = false allows the first two.
---@param where string
---@param own table<string, Tensor>
---@param given table<string, Tensor>
---@param strict boolean
function weights.load(where, own, given, strict)
  if type(given) ~= "table" or getmetatable(given) then
    check.fail(where, "expected a table of tensors, such as net:state_dict(); got %s", check.describe(given))
  end
  local missing, unexpected, differ = {}, {}, {}
  for name, mine in pairs(own) do
    local theirs = given[name]
    if theirs == nil then
      missing[#missing + 1] = name
    elseif not check.tensor.test(theirs) then
      differ[#differ + 1] = ("%s is %s"):format(name, check.describe(theirs))
    elseif shape(mine) ~= shape(theirs) then
      differ[#differ + 1] = ("%s is %s, expected %s"):format(name, shape(theirs), shape(mine))
    end
  end
  for name in pairs(given) do
    if own[name] == nil then unexpected[#unexpected + 1] = tostring(name) end
  end
  local problems = { sorted(differ, "different"), strict and sorted(missing, "missing") or nil,
    strict and sorted(unexpected, "unexpected") or nil }
  local texts = {}
  for i = 1, 3 do texts[#texts + 1] = problems[i] end
  if #texts > 0 then check.fail(where, table.concat(texts, "; ")) end
  tensor.no_grad(function()
    for name, mine in pairs(own) do
      if given[name] then mine:copy_(given[name]) end
    end
  end)
end

--- What tells named tensors from others: their contents' hashes, in the order of the names.
---@param state table<string, Tensor>
---@return string
function weights.hash(state)
  local hashes = {}
  for i, name in ipairs(sorted_keys(state)) do hashes[i] = state[name]:hash() end
  return table.concat(hashes)
end

return weights
