--- A training of which every evaluation is known beforehand: for specs of what follows from a curve.
---
--- The student has two numbers, a and b, that it gives for x = (1, 0); each step makes a - b greater by 1, since the gradient is
--- clipped far below its norm and the rate makes up for it. A row x = (1, t) is of class 0 as soon as a - b is above t: rows
--- with labels 0 become right at the step t + 1/2, those with labels 1 wrong.
local g = require "gradus"

local foreseen = {}

local ROWS, NEVER = 100, 1000

local function student()
  local net = g.nn.Linear(2, 2, { bias = false })
  g.no_grad(function() net.weight:copy_(g.tensor { { 0, 0 }, { 0, 1 } }) end)
  return net
end

--- A data set on which the student has these accuracies, in hundredths: of the untrained student, then after each step.
---@param percent number[]
function foreseen.suite(percent)
  local x, y, rising, falling = {}, {}, 0, 0
  local function add(count, threshold, label)
    for _ = 1, count do x[#x + 1], y[#y + 1] = { 1, threshold }, label end
  end
  for i = 2, #percent do
    local gain = percent[i] - percent[i - 1]
    add(math.abs(gain), i - 1.5, gain > 0 and 0 or 1)
    rising, falling = rising + math.max(0, gain), falling + math.max(0, -gain)
  end
  assert(falling <= percent[1] and rising <= ROWS - percent[1], "more turns than rows")
  add(percent[1] - falling, NEVER, 1)
  add(ROWS - percent[1] - rising, NEVER, 0)
  return g.data.tensors(g.tensor(x), g.tensor(y, "int64"), { classes = 2 })
end

--- The options of a distillation of so many steps that is evaluated after each, on `percent` as validation data.
---@param percent number[]
---@param more table  options over these
function foreseen.options(percent, more)
  local train = g.data.tensors(g.tensor { { 1, 0 }, { 1, 0 } }, g.tensor({ 0, 0 }, "int64"), { classes = 2 })
  local options = { student = student(), data = { train = train, val = foreseen.suite(percent) }, batch = 2, optimizer = "SGD",
    weight_decay = 0, clip = 1e-6, lr = 1e6 / math.sqrt(2), decay = "constant", warmup = 0, budget = { steps = #percent - 1 },
    evaluate = { steps = 1 }, restore_best = false }
  for name, value in pairs(more or {}) do options[name] = value end
  return options
end

--- The same of the losses: of a regression whose student is 0 and grows by 1 with each step, where `wanted` is right.
---@param wanted number
---@param steps number
---@param more? table
function foreseen.regression(wanted, steps, more)
  local net = g.nn.Linear(1, 1, { bias = false })
  g.no_grad(function() net.weight:zero_() end)
  local function one(y) return g.data.tensors(g.ones { 1, 1 }, g.tensor { y }) end
  local options = { student = net, data = { train = one(1000), val = one(wanted) }, batch = 1, optimizer = "SGD", weight_decay = 0,
    clip = 1, lr = 1, decay = "constant", warmup = 0, budget = { steps = steps }, evaluate = { steps = 1 }, restore_best = false }
  for name, value in pairs(more or {}) do options[name] = value end
  return options
end

return foreseen
