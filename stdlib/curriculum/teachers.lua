--- Several teachers as one module: the mean of their logits, by weight.
local host = require "gradus.host"
local check = require "gradus.base.check"
local in_type = require "gradus.base.in_type"
local nn = require "gradus.nn"

local teachers = {}

local Teachers = nn.class("Teachers")

function Teachers:init(where, parts)
  local total = 0
  for _, one in ipairs(parts) do total = total + one[2] end
  self.where, self.shares = where, {}
  for i, one in ipairs(parts) do
    self:add_module(tostring(i), one[1])
    self.shares[i] = one[2] / total
  end
end

function Teachers:forward(x)
  local mean
  for i, share in ipairs(self.shares) do
    local one = self[tostring(i)]
    local logits = in_type(one, one, x) * share
    if mean and check.shape(mean) ~= check.shape(logits) then
      host.fail(("%s: teacher %d gives %s, the first %s; expected the same classes of all"):format(self.where, i, check.shape(logits),
        check.shape(mean)))
    end
    mean = mean and mean + logits or logits
  end
  return mean
end

--- An nn.ModuleList as a list; all else as it is.
function teachers.list(answer)
  return nn.is_module(answer) and nn.class_of(answer) == nn.ModuleList and answer:children() or answer
end

--- What a list of teachers says: { module, weight } each.
function teachers.parts(where, answer)
  local parts = {}
  check.items(where, answer)
  for i, given in ipairs(answer) do
    local one = nn.is_module(given) and { given, 1 } or given
    if type(one) ~= "table" or not nn.is_module(one[1]) or type(one[2]) ~= "number" or not (one[2] > 0 and one[2] < math.huge) then
      host.fail(("%s: teacher %d: expected a module, or { module, weight above 0 }"):format(where, i))
    end
    parts[i] = one
  end
  return parts
end

--- They as one module.
---@param where string   whom errors blame
---@param parts table[]  of `parts`
---@return Module
function teachers.mean(where, parts) return Teachers(where, parts) end

--- The module that answers as a run's teacher does: itself, of several their mean; nil of nobody, and of what is no teacher by itself.
---@param where string
---@param answer any   of the option `teacher`
---@return Module?
function teachers.module_of(where, answer)
  answer = teachers.list(answer)
  if nn.is_module(answer) then return answer end
  if type(answer) == "table" and getmetatable(answer) == nil and #answer > 0 then
    return teachers.mean(where, teachers.parts(where, answer))
  end
end

return teachers
