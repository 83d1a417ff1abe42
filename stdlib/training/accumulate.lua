--- Gradient accumulation, the part of a distillation that trains on a batch in parts, for batches too large for the memory:
--- each part is drawn, asked of the teacher and forgotten before the next; their gradients are summed before the one update.
---
--- A loss is a mean over what counts: rows, their weights, hidden positions. Parts need not have equally much of it, so their
--- gradients are summed times that mass and divided by its sum. What follows is the whole batch's update up to rounding (batch
--- norm and mixup apart, which see one part at a time).
local engine = require "gradus.engine"
local host = require "gradus.host"
local recording = require "gradus.base.recording"

local ops = engine.ops
local accumulate = {}

--- How many rows a part has.
---@param batch number
---@param parts number
function accumulate.rows(batch, parts)
  if type(parts) ~= "number" or parts % 1 ~= 0 or parts < 1 or batch % parts ~= 0 then
    host.fail(("distill: accumulate: expected a divisor of batch, %d; got %s"):format(batch, tostring(parts)))
  end
  return batch / parts
end

--- How much of the loss's mean rests on a batch: a number, or a 0-dim tensor.
function accumulate.mass(goal, b)
  if goal.kind == "layer" then return goal.mass(b) end
  local y, counts = b.y, b.weight
  if y and y:dim() == 1 and y.dtype ~= "int64" then counts = nil end  -- mse of all rows
  if y and y:dim() == 2 and y.dtype == "int64" then
    counts = b.weight and y:ge(0) * b.weight:reshape { -1, 1 } or y:ge(0)
  end
  return counts and counts:sum { dtype = "float64" } or b.x:size(0)
end

local function side_by_side(tables, name)
  local list = {}
  for i, one in ipairs(tables) do list[i] = one[name] end
  return ops.cat(list, 0)
end

-- The parts' outputs as the whole batch's: means by their mass, what each example has side by side.
local function join(outs, masses, total)
  local joined = {}
  for name, first in pairs(outs[1]) do
    if first:dim() > 0 then joined[name] = side_by_side(outs, name)
    else
      local mean = 0
      for i, out in ipairs(outs) do mean = mean + out[name] * (masses[i] / total) end
      joined[name] = mean
    end
  end
  if joined.confidence then joined.mean_confidence = joined.confidence:mean() end  -- over rows, whatever they weigh
  return joined
end

--- Adds the methods to the class of distill.lua.
function accumulate.add_to(Distill)
  --- The step of one part, which adds its gradients to the sums; self.update is the one that ends the batch.
  ---@param outputs fun(b: table, k: table): table
  function Distill:make_part_step(outputs)
    local optimizer, update, sums, found = self.optimizer, { lr = nil, clip = self.clip, guard = true }, {}, {}
    for i, p in ipairs(optimizer.params) do sums[i] = p.requires_grad and ops.zeros(p.shape, { dtype = p.dtype, device = p.device }) end
    self.held = recording.hold(self.student)
    self.update = self.run:step(function(_, k)
      self.held.restore_if_refused()
      local means = {}
      for i, sum in ipairs(sums) do means[i] = found[i] and sum / k.mass or false end
      update.lr = k.lr
      local norm = optimizer:apply(means, update)
      for i, sum in ipairs(sums) do
        if found[i] then sum:zero_() end
      end
      return { norm = norm }
    end, { non_finite = "own" })
    return self.run:step(function(b, k)
      local out = outputs(b, k)
      for i, grad in ipairs(engine.grad(out.loss * k.mass, optimizer.params)) do
        if grad then
          found[i] = true
          sums[i]:add_(grad)
        end
      end
      return out
    end, { non_finite = "own" })
  end

  -- A knob with one value for each example of the batch, cut to those of one part.
  function Distill:cut(value, part)
    if not engine.is_tensor(value) or value:dim() == 0 or value:size(0) ~= self.batch then return value end
    return value:slice(0, part * self.rows, (part + 1) * self.rows):clone()
  end

  --- A step on a batch in parts, instead of distill.lua's on a whole one. Returns what is known of the batch.
  function Distill:step_in_parts(knobs)
    local outs, masses, rows, total, told, x = {}, {}, {}, 0, {}, nil
    self.held.keep()
    for i = 1, self.pieces do
      told[i] = {}
      for name, value in pairs(knobs) do told[i][name] = value end
      local batch = self:step_on_next(told[i], i - 1)
      outs[i], masses[i], rows[i], x = self.out, told[i].mass, batch.index, batch.x
      total = total + masses[i]
    end
    total = engine.is_tensor(total) and total + total:eq(0) or total == 0 and 1 or total  -- nothing counts: the loss is 0
    for name, value in pairs(knobs) do
      if type(value) == "table" then knobs[name] = side_by_side(told, name) end
    end
    self.out = join(outs, masses, total)
    self.out.norm = self.update({}, { lr = knobs.lr, mass = total }).norm
    return { x = x, index = ops.cat(rows, 0) }
  end
end

return accumulate
