--- NaN and infinity in a step: what is stored and said, by a training as by a step of one's own.
local engine = require "gradus.engine"
local check = require "gradus.base.check"
local host = require "gradus.host"

local finite = {}

local AT_MOST = 20  -- batches in a row that a step of one's own skips

function finite.is(value) return value == nil or value == value and value ~= math.huge and value ~= -math.huge end

-- The first of these rows whose inputs are to blame, in words; nil where they are finite.
local function blamed(x, rows)
  if not x or not x.dtype:find "float" then return nil end
  local odd = x:isfinite():logical_not():reshape { x:size(0), -1 }
  local bad = odd:any { dim = 1 }
  if not bad:any():item() then return nil end
  local i = bad:long():argmax():item()
  local at = odd[i]:long():argmax():item()
  return ("expected finite inputs; got %s in row %d"):format(check.describe(x[i]:flatten()[at]:item()), rows[i + 1])
end

--- Stores an event with the batch's rows; with stop = true ends the run (exit code 3).
---@param run Run
---@param met {loss: number?, norm: number?, policy: string, rows: number[]?, x: Tensor?, step: number, times: number, stop: boolean,
---   advice: string}   x: the inputs of these rows
function finite.tell(run, met)
  run:event("health", "non_finite", { loss = met.loss and tostring(met.loss), gradient_norm = met.norm and tostring(met.norm),
    policy = met.policy, rows = met.rows })
  if not met.stop then return end
  host.fail(("step %d: the %s; the rows of the batch are in the run's events; %s%s"):format(met.step,
    finite.is(met.loss) and "gradient is not finite" or "loss is " .. tostring(met.loss), blamed(met.x, met.rows) or met.advice,
    met.times > 1 and (" (%d in a row)"):format(met.times) or ""), 3)
end

local function number_of(value) return engine.is_tensor(value) and value:dim() == 0 and value:item() or nil end

--- Looks at what a script's own step left, as out.loss (or its one output) and out.norm.
---@param policy string  "stop" or "skip"
---@return fun(batch: table, out: table|Tensor)
function finite.watch(run, policy)
  local met = 0
  local function judge(value, norm, batch, at)
    if finite.is(value) and finite.is(norm) then
      met = 0
      return
    end
    met = met + 1
    local rows = type(batch) == "table" and engine.is_tensor(batch.index) and batch.index:totable() or nil
    finite.tell(run, { loss = value, norm = norm, policy = policy, rows = rows, step = at, times = met,
      stop = policy ~= "skip" or met >= AT_MOST, x = rows and engine.is_tensor(batch.x) and batch.x,
      advice = "expected finite inputs, a lower lr or harder clipping" })
  end
  return function(batch, out)
    local loss, norm = out, nil
    if not engine.is_tensor(out) then loss, norm = out.loss, out.norm end
    if run.device == "cpu" then return judge(number_of(loss), number_of(norm), batch, run.step_number) end
    local found, at = {}, run.step_number
    if engine.is_tensor(loss) and loss:dim() == 0 then found.loss = loss end
    if engine.is_tensor(norm) and norm:dim() == 0 then found.norm = norm end
    if next(found) then
      run.looked:push(found, function(row) judge(row.loss, row.norm, batch, at) end)  -- run.lua calls it
    end
  end
end

return finite
