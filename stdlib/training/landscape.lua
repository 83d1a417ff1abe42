--- The loss around a model's weights, along random directions that are normalised by filters (Li et al. 2018, arXiv:1712.09913): what
--- a minimum looks like, and whether one strategy's is wider than another's.
local engine = require "gradus.engine"
local check = require "gradus.base.check"
local current = require "gradus.base.current"
local drawing = require "gradus.training.landscape_drawing"
local tensor = require "gradus.base.tensor"
local task = require "gradus.training.task"

local ops, derive_seed = engine.ops, engine.data.derive_seed

local Landscape = {}
Landscape.__index = Landscape

-- The second direction upwards, the first to the right; the model is in the middle.
function Landscape:__tostring()
  local rows = self.loss:dim() == 2 and self.loss:totable() or { self.loss:totable() }
  local low, high = drawing.scale { rows }
  local out = drawing.lines(rows)
  out[#out + 1] = ("loss %.4g at the model, from %.4g to %.4g within %g of it"):format(self.center.loss, low, high, self.at[#self.at])
  return table.concat(out, "\n")
end

-- A direction, as long as the weights are: each filter (a row of a matrix, an output channel) of random numbers has the norm of the
-- model's own. Biases and norms' factors, which have no filters, stay where they are.
local function direction_of(parameters, seed)
  local generator, list = engine.generator(seed), {}
  for i, p in ipairs(parameters) do
    local d = ops.randn(p.shape, { generator = generator })
    if p:dim() < 2 then
      list[i] = false
    else
      local own, random = p:detach():cpu():float():flatten(1):norm { dim = { 1 } }, d:flatten(1):norm { dim = { 1 } }
      local shape = { p:size(0) }
      for axis = 2, p:dim() do shape[axis] = 1 end
      list[i] = (d * (own / (random + 1e-10)):reshape(shape)):to(p.device):to(p.dtype)
    end
  end
  return list
end

local function move(parameters, start, directions, at)
  for i, p in ipairs(parameters) do
    if directions[1][i] then
      local moved = start[i]
      for k, direction in ipairs(directions) do moved = moved + direction[i] * at[k] end
      p:copy_(moved)
    end
  end
end

local function parameters_of(model)
  local list = {}
  for _, p in model:named_parameters() do list[#list + 1] = p end
  return list
end

-- Numbers from -reach to reach; the middle one is the model itself.
local function places(reach, points)
  local list, half = {}, (points - 1) / 2
  for i = 1, points do list[i] = reach * (i - 1 - half) / half end
  return list
end

local function measure(model, d, o)
  local parameters, directions, start = parameters_of(model), {}, {}
  for k = 1, o.directions do directions[k] = direction_of(parameters, derive_seed(o.seed, "landscape", k)) end
  for i, p in ipairs(parameters) do start[i] = p:detach():clone() end
  local at, losses, accs = places(o.reach, o.points), {}, {}
  local ok, why = pcall(tensor.no_grad, function()
    for row = 1, o.directions == 2 and o.points or 1 do
      for column = 1, o.points do
        move(parameters, start, directions, { at[column], at[row] })
        local found = task.evaluate(model, d)
        losses[#losses + 1], accs[#accs + 1] = found.loss, found.acc
      end
    end
  end)
  tensor.no_grad(function()
    for i, p in ipairs(parameters) do p:copy_(start[i]) end
  end)
  if not ok then error(why, 0) end
  local shape = o.directions == 2 and { o.points, o.points } or { o.points }
  local function shaped(list) return #list == o.points ^ o.directions and engine.tensor(list, "float64"):reshape(shape) or nil end
  local middle = (#losses + 1) / 2
  return setmetatable({ at = at, loss = shaped(losses), acc = shaped(accs), center = { loss = losses[middle], acc = accs[middle] } },
    Landscape)
end

--- The loss of a model on a data set, and its accuracy where there is one, with the weights moved along one or two random directions
--- whose filters have the norms of the model's own (Li et al. 2018): at 1 they are as large as the weights. Models of one form and seed
--- are moved along directions from the same random numbers. The model is left as it was, to the bit.
--- Returns { at = { -reach … reach }, loss = Tensor [points, points] (second direction first) or [points], acc = the same or nil,
--- center = { loss =, acc = } of the model itself }; printed, it is drawn.
---   local found = probe.landscape(student, d.val, { points = 11 })
---   print(found, found.loss:amax():item() - found.center.loss)
---@param model Module
---@param d Dataset           with labels; d:first(n) where a few rows do
---@param options? {points: number?, reach: number?, directions: number?, seed: number?}  points: an odd number, 21; reach: 1;
---   directions: 1 or 2, the default
return function(model, d, options)
  if type(model) ~= "table" or not model.named_parameters then
    check.fail("probe.landscape", "expected a module; got %s", check.describe(model))
  end
  task.check_data("probe.landscape", d)
  local o = check.options("probe.landscape", options, { points = check.int(3), reach = check.above(0), directions = check.int(1, 2),
    seed = check.int(0) }, { points = 21, reach = 1, directions = 2 })
  if o.points % 2 == 0 then check.fail("probe.landscape", "points: expected an odd number, so that one is the model; got %d", o.points) end
  o.seed = o.seed or current.stream "probe"
  local run = current.run
  if run and rawget(run, "dry") then o.points = 3 end
  return measure(model, d, o)
end
