--- What a function of run:cached has returned, as a file (safetensors): the weights of its modules and its tensors, and in the metadata
--- the modules' own plain values and those that it returned.
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local checkpoints = require "gradus.base.checkpoints"
local nn = require "gradus.nn"
local tensor = require "gradus.base.tensor"

local cached_results = {}

local function is_plain(value) return value == nil or type(value) == "number" or type(value) == "string" or type(value) == "boolean" end

-- Weights of the modules and tensors among the results, by place and name.
local function tensors_of(results)
  local found = {}
  for i = 1, results.n do
    local value = results[i]
    if engine.is_tensor(value) then
      found[tostring(i)] = value
    elseif type(value) == "table" and value.state_dict then
      for name, one in pairs(value:state_dict()) do found[i .. "." .. name] = one end
    elseif not is_plain(value) then
      host.fail(("cached: result %d: expected a module, a tensor, a number, a text or a boolean; got %s"):format(i, check.describe(value)))
    end
  end
  return found
end

-- Plain values of the modules by "i.path", and those among the results by "i"; numbers as texts, which hold all of them.
local function values_of(results)
  local found = {}
  local function keep(place, name, value)
    found[place] = found[place] or {}
    found[place][name] = { type(value), type(value) == "number" and ("%.17g"):format(value) or tostring(value) }
  end
  for i = 1, results.n do
    if nn.is_module(results[i]) then
      for path, module in results[i]:named_modules() do
        for name, value in pairs(module._values) do
          if name ~= "training" and value ~= nil and is_plain(value) then keep(i .. "." .. path, tostring(name), value) end
        end
      end
    elseif is_plain(results[i]) then
      keep(tostring(i), "value", results[i])
    end
  end
  return found
end

local function as_it_was(stored)
  local kind, text = stored[1], stored[2]
  if kind == "number" then return tonumber(text) end
  if kind == "boolean" then return text == "true" end
  if kind == "string" then return text end
end

--- Writes the results for later runs.
---@param path string
---@param task {key: string, name: string}
---@param results table  { n =, … }
function cached_results.write(path, task, results)
  engine.data.write_safetensors(path, tensors_of(results),
    { key = task.key, name = task.name, values = host.json_encode(values_of(results)) })
end

-- Those whose names begin with the prefix, without it.
local function under(stored, prefix)
  local found = {}
  for name, value in pairs(stored) do
    if name:sub(1, #prefix) == prefix then found[name:sub(#prefix + 1)] = value end
  end
  return found
end

-- Why the results are not of the form that was stored; nil where they are.
local function misfit(results, stored)
  local count = 0
  for place, one in pairs(tensors_of(results)) do
    count = count + 1
    if not stored[place] then return ("has no tensor '%s'"):format(place) end
    local now, then_ = table.concat(one.shape, "×"), table.concat(stored[place].shape, "×")
    if now ~= then_ then return ("tensor '%s' is %s, now %s"):format(place, then_, now) end
  end
  for _ in pairs(stored) do count = count - 1 end
  return count ~= 0 and "has tensors that are no longer made" or nil
end

--- Puts what was stored into the results of a replay, and returns these; nil and why where it does not fit.
---@param results table  { n =, … }
---@param path string
---@return table?
---@return string? why
function cached_results.fill(results, path)
  local stored, told = engine.data.read_safetensors(path)
  for i = 1, results.n do
    if checkpoints.is(results[i]) then results[i]:adopt(under(stored, i .. ".")) end
  end
  local why = misfit(results, stored)
  if why then return nil, why end
  for place, one in pairs(tensors_of(results)) do
    tensor.no_grad(function() one:copy_(stored[place]) end)
  end
  local values = host.json_decode(told.values or "{}")
  for i = 1, results.n do
    if nn.is_module(results[i]) then
      for at, module in results[i]:named_modules() do
        for name, value in pairs(values[i .. "." .. at] or {}) do module[tonumber(name) or name] = as_it_was(value) end
      end
    elseif is_plain(results[i]) then
      results[i] = values[tostring(i)] and as_it_was(values[tostring(i)].value)
    end
  end
  return results
end

return cached_results
