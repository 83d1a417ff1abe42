--- The way of a model's weights through a training, on the plane that holds most of it, and the loss on that plane (Li et al. 2018,
--- arXiv:1712.09913, section 7). Each filter is measured by its own norm, as in landscape.lua: at 1 the filters have moved as far as they
--- are long, in the mean. Biases and norms' factors, which have no filters, stay on the plane what they are at the end.
local engine = require "gradus.engine"
local tensor = require "gradus.base.tensor"
local task = require "gradus.training.task"

local ops = engine.ops

local TURNS = 500       -- of the power iteration: directions that lie closer than that hold as much of the way
local ROOM = .2         -- around the way, of its width
local LEAST_HEIGHT = .3 -- of the plane's width

-- By parameter with filters: its weights at each snapshot less those at the end, [n, filters, k], each filter over its norm; and the norms.
local function measured(student, states)
  local list, filters = {}, 0
  for name, p in student:named_parameters() do
    if p:dim() >= 2 then
      local rows = {}
      for i, state in ipairs(states) do rows[i] = state[name]:detach():cpu():double():flatten(1) end
      local all = ops.stack(rows, 0)
      local norm = (all * all):sum { dim = { 2 } }:mean { dim = { 0 } }:sqrt()  -- over the snapshots: a filter of zeros may grow
      local safe = ops.where(norm:gt(0), norm, ops.ones_like(norm))
      local moved = (all - all:narrow(0, #states - 1, 1)) / safe:reshape { 1, norm:size(0), 1 }
      list[#list + 1] = { name = name, moved = moved:flatten(1), norm = norm:reshape { norm:size(0), 1 }, p = p }
      filters = filters + norm:size(0)
    end
  end
  return list, filters
end

-- The largest eigenvalue of a symmetric matrix [n, n] without negative ones, and its vector [n].
local function largest(g)
  local n = g:size(0)
  local v = ops.arange(1, n + 1, { dtype = "float64" }):sin()  -- not orthogonal to anything by chance of symmetry
  for _ = 1, TURNS do
    local next_v = g:matmul(v)
    local norm = next_v:norm():item()
    if norm <= 1e-300 then return 0, v * 0 end
    v = next_v / norm
  end
  return math.max(0, v:matmul(g):matmul(v):item()), v
end

--- The plane through the last snapshot in the two directions along which the others lie farthest from it.
---@param student Module
---@param states table<string, Tensor>[]  of its weights, in the order of the training; two at least
---@return {x: number[], y: number[], share: number[], directions: table<string, Tensor>[]}  x, y: of each snapshot; share: of the squares
---   of all distances, how much lies along the first and the second direction
local function plane(student, states)
  local list, filters = measured(student, states)
  local g = ops.zeros({ #states, #states }, { dtype = "float64" })
  for _, one in ipairs(list) do g = g + one.moved:matmul(one.moved:t()) / filters end
  local total = g:diagonal():sum():item()
  local found = { share = {}, directions = { {}, {} } }
  for k = 1, 2 do
    local value, v = largest(g)
    local root = math.sqrt(value)
    local at = v * root
    local far = k == 1 and -at[0]:item() or at:amax():item() + at:amin():item()  -- the way begins on the left, and bends upwards
    if far < 0 then v, at = -v, -at end
    for _, one in ipairs(list) do
      local d = v:matmul(one.moved):reshape { one.norm:size(0), -1 } / math.max(root, 1e-300)  -- v is zero where the root is
      found.directions[k][one.name] = (d * one.norm):reshape(one.p.shape)
    end
    found[k == 1 and "x" or "y"], found.share[k] = at:totable(), total > 0 and value / total or 0
    g = g - v:reshape { -1, 1 } * v:reshape { 1, -1 } * value
  end
  return found
end

-- `points` numbers that cover the values and have room around them.
local function places(values, points, least)
  local low, high = math.min(unpack(values)), math.max(unpack(values))
  local wide = math.max((high - low) * (1 + 2 * ROOM), least)
  local middle, list = (low + high) / 2, {}
  for i = 1, points do list[i] = middle + wide * ((i - 1) / (points - 1) - .5) end
  return list, wide
end

local function measure(student, d, last, found, o)
  local rows, accs = {}, {}
  for i, b in ipairs(found.at_y) do
    rows[i], accs[i] = {}, {}
    for j, a in ipairs(found.at_x) do
      for name, p in student:named_parameters() do
        local along, up = found.directions[1][name], found.directions[2][name]
        if along then p:copy_((last[name]:detach():cpu():double() + along * a + up * b):to(p.device):to(p.dtype)) end
      end
      local here = task.evaluate(student, d)
      rows[i][j], accs[i][j] = here.loss, here.acc
    end
    if o.tell then o.tell(i / #found.at_y) end
  end
  found.loss, found.acc = rows, #accs[1] > 0 and accs or nil
end

--- The loss of a model on a data set on the plane of its way; the model is left with the last weights.
---@param student Module
---@param d Dataset
---@param states table<string, Tensor>[]  its weights (state_dict), in the order of the training; two at least
---@param o {points: number, tell?: fun(share: number)}  points: along each side
---@return {at_x: number[], at_y: number[], loss: number[][], acc: number[][]?, x: number[], y: number[], share: number[], own: table[]}
---   own: { loss, acc } of each of the states themselves, not of their shadows on the plane
return function(student, d, states, o)
  local found, last = plane(student, states), states[#states]
  local wide
  found.at_x, wide = places(found.x, o.points, 1e-6)
  found.at_y = places(found.y, o.points, LEAST_HEIGHT * wide)
  found.own = {}
  tensor.no_grad(function()
    for i, state in ipairs(states) do
      student:load_state_dict(state)
      found.own[i] = task.evaluate(student, d)
    end
    local ok, why = pcall(measure, student, d, last, found, o)
    student:load_state_dict(last)
    if not ok then error(why, 0) end
  end)
  return found
end
