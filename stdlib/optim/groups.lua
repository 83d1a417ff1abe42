--- Groups of an optimizer's parameters: what is kept for each, and the flat buffers in which they lie side by side.
local check = require "gradus.base.check"
local engine = require "gradus.engine"
local is_module = require("gradus.nn.module").is_module
local recording = require "gradus.base.recording"

local ops, flat = engine.ops, engine.flat
local groups = {}

-- --- parameters and their state ----------------------------------------------------------------------------------------

local function list_of(where, params)
  if is_module(params) then params = params:parameters() end
  if type(params) ~= "table" or #params == 0 then
    check.fail(where, "expected a module or a list of parameters; got %s",
      type(params) == "table" and "none" or check.describe(params))
  end
  return params
end

--- The groups of what an optimizer is given: a module, a list of parameters, or a list of groups { params =, lr_scale =, weight_decay = }.
---@param where string   whom errors blame
---@param params any
---@param weight_decay number
function groups.of(where, params, weight_decay)
  local given = params
  local is_groups = type(params) == "table" and not is_module(params) and type(params[1]) == "table" and params[1].params
  if not is_groups then given = { { params = params } } end
  local list, seen = {}, {}
  for i, one in ipairs(given) do
    local group = check.options(where .. ": group " .. i, one,
      { params = check.any, lr_scale = check.number(0), weight_decay = check.number(0) },
      { lr_scale = 1, weight_decay = weight_decay })
    group.params = list_of(where, group.params)
    for j, p in ipairs(group.params) do
      check.value(where, "parameter " .. j, p, check.tensor)
      if not (p.is_leaf and p:is_contiguous()) then
        check.fail(where, "parameter %d of shape [%s] is no contiguous leaf; expected nn.Parameter(t:contiguous())", j,
          table.concat(p.shape, ", "))
      end
      if seen[p] then check.fail(where, "parameter %d of group %d is given twice", j, i) end
      seen[p] = true
    end
    list[i] = group
  end
  return list
end

-- --- flat buffers ------------------------------------------------------------------------------------------------------

-- The parameters of a group, their gradients and their state side by side in one buffer each, so that one call updates
-- all: group.flat = { params =, grads =, state = }. group.state and group.grads are the parts. Padding stays zero, as no
-- update moves a zero whose gradient is zero.
local function join(group, state, options)
  if options.dampening and options.dampening > 0 then return false end  -- keeps a number for each parameter
  local params = flat.join(group.params)
  if not params then return false end
  local grads = ops.zeros_like(params)
  group.flat = { params = { params }, grads = { grads }, state = {} }
  group.grads = flat.parts(grads, group.params)
  for key, make in pairs(state) do
    local whole = make(params)
    group.flat.state[key] = { whole }
    group.state[key] = whole:dim() == 0 and {} or flat.parts(whole, group.params)
    if whole:dim() == 0 then
      for i = 1, #group.params do group.state[key][i] = whole end  -- one count of steps for all
    end
  end
  return true
end

--- From here on each parameter goes its own way: only some have gradients, or their counts of steps differ.
function groups.part(group)
  recording.again = true  -- the new tensors belong to no recording
  for _, list in pairs(group.state) do
    for i = 1, #list do
      if list[i]:dim() == 0 then list[i] = list[i]:clone() end
    end
  end
  group.flat = nil
end

--- A state for the group's parameters as if no step had been taken.
---@param group table
---@param makers table<string, fun(p: Tensor): Tensor>   of what is kept for each parameter
---@param options table
function groups.begin(group, makers, options)
  group.state, group.flat, group.grads = {}, nil, nil
  if join(group, makers, options) then return end
  for key, make in pairs(makers) do
    group.state[key] = {}
    for i, p in ipairs(group.params) do group.state[key][i] = make(p) end
  end
end

local function complete(grads, offset, count)
  for i = offset + 1, offset + count do
    if not grads[i] then return false end
  end
  return true
end

local function is_whole(group) return group.flat and flat.holds(group.flat.params[1], group.params) end

--- For each parameter its gradient's place in a flat buffer; false where there is none.
function groups.places(all)
  local list = {}
  for _, group in ipairs(all) do
    local whole = is_whole(group)
    for i = 1, #group.params do list[#list + 1] = whole and group.grads[i] or false end
  end
  return list
end

--- Puts the gradients of every group that can be updated as a whole into its flat buffer, unless they are there.
--- Returns the gradients, those in flat buffers replaced by their places there.
function groups.gather(all, grads)
  local placed, offset = {}, 0
  for _, group in ipairs(all) do
    local count = #group.params
    if group.flat and not (complete(grads, offset, count) and is_whole(group)) then groups.part(group) end
    if group.flat and not rawequal(grads[offset + 1], group.grads[1]) then
      local own = {}
      for i = 1, count do own[i] = grads[offset + i] end
      flat.gather(group.grads, own)
    end
    for i = 1, count do placed[offset + i] = group.flat and group.grads[i] or grads[offset + i] end
    offset = offset + count
  end
  return placed
end

return groups
