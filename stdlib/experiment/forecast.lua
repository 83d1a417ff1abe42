--- What the whole of a training will take, for a dry run: steps and floating-point operations by its plan, time and memory from
--- steps with full batches that are tried on this machine. A dry run's own steps are too small to tell.
local engine = require "gradus.engine"
local console = require "gradus.base.console"
local host = require "gradus.host"

local ops = engine.ops
local forecast = {}

local ENOUGH = 2e10  -- floating-point operations of a trial: a fraction of a second; larger steps are tried with fewer rows
local TRIALS = 3

-- --- the plan --------------------------------------------------------------------------------------------------------------

--- Steps of a plan and their floating-point operations, and whether they are known (stages may end by what the run shows: then the
--- dearest stage is taken); nil where only a clock ends the training.
---@param the Plan
---@return number? steps
---@return number? flops
---@return boolean? exact
function forecast.work(the)
  local run, flops, exact, dearest = the.run, 0, true, 0
  for i, span in ipairs(the.spans) do
    exact = exact and span.known
    dearest = math.max(dearest, the.seen[i].flops)
    if span.per_step and span.from < 1 then flops = flops + (span.to - span.from) / span.per_step * the.seen[i].flops end
  end
  if not the.total then return nil, run.budget.flops, run.budget.flops ~= nil end
  if not exact then flops = the.total * dearest end
  return the.total, run.budget.flops and math.min(flops, run.budget.flops) or flops, exact
end

-- --- a trial ---------------------------------------------------------------------------------------------------------------

-- The batch with its rows repeated to so many.
local function widened(batch, rows)
  local wide, have = {}, batch.x:size(0)
  for name, value in pairs(batch) do
    if engine.is_tensor(value) and value:dim() > 0 and value:size(0) == have then
      local copies = {}
      for i = 1, math.ceil(rows / have) do copies[i] = value end
      value = ops.cat(copies, 0):slice(0, 0, rows)
    end
    wide[name] = value
  end
  return wide
end

-- The last step's knobs; a temperature of each row is one number here.
local function plain_knobs(told)
  local knobs = {}
  for name, value in pairs(told) do
    if type(value) == "number" then knobs[name] = value elseif engine.is_tensor(value) then knobs[name] = value:mean():item() end
  end
  return knobs
end

-- The fastest of some calls, in seconds.
local function fastest(fn)
  local best = math.huge
  for _ = 1, TRIALS do
    local before = host.monotonic()
    fn()
    best = math.min(best, host.monotonic() - before)
  end
  return best
end

--- Seconds of a step of the last stage, and bytes of tensors that training takes beside what is there now.
---@param t Training
---@param flops number  of a step
---@return number seconds
---@return number bytes
function forecast.trial(t, flops)
  local pieces = t.options.accumulate or 1
  local rows = math.floor(t.updater.batch / pieces)
  local tried = math.max(1, math.min(rows, math.floor(ENOUGH / math.max(1, flops / t.updater.batch))))
  local batch, knobs = widened(t.feed:next(0), tried), plain_knobs(t.stages.last)
  local outputs = t.objective:outputs(t.student, t.teacher.target)
  local ask = t.teacher.ask
  local before = engine.memory()
  local seconds = fastest(function() outputs(batch, knobs).loss:backward() end)
  if ask and t.teacher.answers == nil then seconds = seconds + fastest(function() ask.of(batch.x) end) end
  local _, peak = engine.memory()
  t.student:zero_grad()
  return seconds * rows / tried * pieces, math.max(0, peak - before) * rows / tried
end

-- --- what is said ----------------------------------------------------------------------------------------------------------

local function scaled(value, unit)
  for _, one in ipairs { { 1e12, "T" }, { 1e9, "G" }, { 1e6, "M" }, { 1e3, "k" } } do
    if value >= one[1] then return ("%.3g %s%s"):format(value / one[1], one[2], unit) end
  end
  return ("%.3g %s"):format(value, unit)
end

--- The forecast in words; nil where nothing is known.
---@param t Training
---@param the Plan
---@return string?
function forecast.text(t, the)
  local steps, flops, exact = forecast.work(the)
  local each = the.seen[#the.seen].flops
  local seconds, bytes = forecast.trial(t, each)
  local best = t.keeper.restores and t.student:num_parameters() * 4 or 0
  local words = {}
  if steps then words[1] = ("%d steps"):format(steps) end
  if flops then words[#words + 1] = (exact and "" or "up to ") .. scaled(flops, "FLOP") end
  if steps and flops and each > 0 then
    local time = seconds * flops / each
    words[#words + 1] = (time < 1 and "less than a second" or "about " .. console.duration(time)) .. " without evaluations"
  elseif not steps then words[#words + 1] = ("about %.3g s a step"):format(seconds) end
  words[#words + 1] = "about " .. scaled(engine.memory() + bytes + best, "B") .. " of tensors"
  return table.concat(words, ", ")
end

return forecast
