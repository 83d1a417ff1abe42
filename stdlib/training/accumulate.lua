--- Gradient accumulation: an update from a batch in parts, for batches too large for the memory: each part is drawn, asked of the
--- teacher and forgotten before the next; their gradients are summed before the one update.
---
--- A loss is a mean over what counts: rows, their weights, hidden positions. Parts need not have equally much of it, so their
--- gradients are summed times that mass and divided by its sum. What follows is the whole batch's update up to rounding (batch
--- norm and mixup apart, which see one part at a time).
local engine = require "gradus.engine"
local host = require "gradus.host"
local recording = require "gradus.base.recording"

local ops = engine.ops
local accumulate = {}

---@class Parts
---@field step table   the step of one part, which adds its gradients to the sums
local Parts = {}
Parts.__index = Parts

--- How many rows a part has.
---@param batch number
---@param parts number
function accumulate.rows(batch, parts)
  if type(parts) ~= "number" or parts % 1 ~= 0 or parts < 1 or batch % parts ~= 0 then
    host.fail(("distill: accumulate: expected a divisor of batch, %d; got %s"):format(batch, tostring(parts)))
  end
  return batch / parts
end

-- The step that ends a batch: the mean of the sums, one update, empty sums. Where it is refused, what the parts have left in the
-- student's buffers (batch norm's statistics) goes back to what it was before them.
local function make_update(o, sums, found, held)
  local update = { lr = nil, clip = o.clip, guard = true }
  return o.run:step(function(_, k)
    held.restore_if_refused()
    local means = {}
    for i, sum in ipairs(sums) do means[i] = found[i] and sum / k.mass or false end
    update.lr = k.lr
    local norm = o.optimizer:apply(means, update)
    for i, sum in ipairs(sums) do
      if found[i] then sum:zero_() end
    end
    return { norm = norm }
  end, { non_finite = "own", own_knobs = true })
end

---@param o {run: Run, optimizer: Optimizer, clip: number?, pieces: number, rows: number, batch: number, student: Module,
---   outputs: fun(b: table, k: table): table, mass: fun(b: table): number|Tensor, labelled: fun(b: table): number|Tensor}
---   mass: of a part; labelled: of its labels alone
---@return Parts
function accumulate.new(o)
  local sums, found, held = {}, {}, recording.hold(o.student)
  for i, p in ipairs(o.optimizer.params) do sums[i] = p.requires_grad and ops.zeros(p.shape, { dtype = p.dtype, device = p.device }) end
  local self = setmetatable({ o = o, held = held, mass = o.mass, sums = sums }, Parts)
  self.update = make_update(o, sums, found, held)
  self.step = o.run:step(function(b, k)
    local out = o.outputs(b, k)
    for i, grad in ipairs(engine.grad(out.loss * k.mass, o.optimizer.params)) do
      if grad then
        found[i] = true
        sums[i]:add_(grad)
      end
    end
    return out
  end, { non_finite = "own", own_knobs = true })
  return self
end

--- Parts of a batch that is not updated on leave nothing.
function Parts:forget()
  self.held.put_back()
  for _, sum in ipairs(self.sums) do
    if sum then sum:zero_() end
  end
end

-- A knob with one value for each example of the batch, cut to those of one part, from 0.
local function cut(o, value, part)
  if not engine.is_tensor(value) or value:dim() == 0 or value:size(0) ~= o.batch then return value end
  return value:slice(0, part * o.rows, (part + 1) * o.rows):clone()
end

local function side_by_side(tables, name)
  local list = {}
  for i, one in ipairs(tables) do list[i] = one[name] end
  return ops.cat(list, 0)
end

-- What means by these masses are divided by. Nothing counts: they are 0.
local function sum_of(masses)
  local total = 0
  for _, mass in ipairs(masses) do total = total + mass end
  return engine.is_tensor(total) and total + total:eq(0) or total == 0 and 1 or total
end

local function shares_of(masses, total)
  local shares = {}
  for i, mass in ipairs(masses) do shares[i] = mass / total end
  return shares
end

-- The parts' outputs as the whole batch's: means by the parts' shares of it (the labels' loss by those of what has a label), what each
-- example has side by side.
local function join(outs, all, labelled)
  local joined = {}
  for name, first in pairs(outs[1]) do
    if first:dim() > 0 then joined[name] = side_by_side(outs, name)
    else
      local shares, mean = name == "ce" and labelled or all, 0
      for i, out in ipairs(outs) do mean = mean + out[name] * shares[i] end
      joined[name] = mean
    end
  end
  if joined.confidence then joined.mean_confidence = joined.confidence:mean() end  -- over rows, whatever they weigh
  return joined
end

-- One value for the whole batch of knobs that were made of its parts.
local function joined_knobs(knobs, told)
  local whole = {}
  for name, value in pairs(knobs) do whole[name] = type(value) == "table" and side_by_side(told, name) or value end
  return whole
end

--- An update on a batch in parts. Returns the outputs, what is known of the batch (x of its last part) and its knobs.
---@param feed Feed
---@param knobs table
---@param knobs_of fun(batch: table, knobs: table): table
---@param step fun(batch: table, knobs: table): table   self.step, metered
function Parts:take(feed, knobs, knobs_of, step)
  local o, outs, masses, labelled, rows, told, x = self.o, {}, {}, {}, {}, {}, nil
  self.held.keep()
  for i = 1, o.pieces do
    local batch = feed:next(knobs.augment)
    told[i] = knobs_of(batch, knobs)
    for name, value in pairs(told[i]) do told[i][name] = cut(o, value, i - 1) end
    told[i].mass, labelled[i] = self.mass(batch), o.labelled(batch)
    outs[i], masses[i], rows[i], x = step(batch, told[i]), told[i].mass, batch.index, batch.x
  end
  local total = sum_of(masses)
  local whole, out = joined_knobs(knobs, told), join(outs, shares_of(masses, total), shares_of(labelled, sum_of(labelled)))
  out.norm = self.update({}, { lr = knobs.lr, mass = total }).norm
  return out, { x = x, index = ops.cat(rows, 0) }, whole
end

return accumulate
