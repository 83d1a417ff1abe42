--- What honest.lua says of knobs and of the learning rate: what has no effect, goes backwards, would abort the run, or is out of the
--- guides' ranges.
local schedule = require "gradus.curriculum.schedule"
local stages = require "gradus.training.stages"
local values_of = require "gradus.experiment.plan"

local range, moves, throughout = values_of.range, values_of.moves, values_of.throughout

local ROUNDING = 1e-6  -- relative, of a schedule's ends in float32

local knobs = {}

-- What the run itself would stop at, later.
local function aborts(report, where, plan, span, knob)
  local between = schedule.is(knob.answer) and knob.answer.between
  local values = between or knob.asked or {}
  for k, v in ipairs(values) do
    local wanted = stages.wanted(knob.name, v)
    if wanted then
      local from, to = math.min(span.from, plan.last), math.min(span.to, plan.last)
      local share = from + (to - from) * (k - 1) / (#values - 1)
      report.stops(between and 1 or share, "%s: expected %s; got %.4g %s", where, wanted, v,
        between and "at one end" or ("at %.3g %% of the budget"):format(100 * share))
      return true
    end
  end
end

local function in_words(low, high) return low == high and ("%.4g"):format(low) or ("%.4g to %.4g"):format(low, high) end

--- What is out of the guides' range for a temperature or an alpha from low to high, in words; nil where nothing is.
---@param name string
---@param low number
---@param high number
---@return string?
function knobs.outside(name, low, high)
  local function beyond(least, most) return low < least * (1 - ROUNDING) or high > most * (1 + ROUNDING) end
  if name == "temperature" and beyond(2, 20) then
    return ("is %s; below 2 the teacher is as good as hard labels, above 20 its signal is too diffuse: 4 to 8 is usual")
      :format(in_words(low, high))
  elseif name == "alpha" and beyond(.2, .95) then
    return ("is %s; outside of 0.2 to 0.95 one side has nearly no say: 0.5 to 0.8 is usual"):format(in_words(low, high))
  end
end

--- The same of the highest learning rate.
---@param rates table?  what advice.rates_of says of the optimizer and the student; nil: nothing
---@param highest number
---@return string?
function knobs.rate_outside(rates, highest)
  if not rates or highest <= 0 then return nil end  -- a rate of 0 learns nothing, which is another matter
  if highest >= rates.low / rates.factor and highest <= rates.high * rates.factor then return nil end
  return ("is %.4g at its highest; %s (%s) suit %d parameters"):format(highest, in_words(rates.low, rates.high), rates.whose,
    rates.parameters)
end

-- The paper's plain KL divergence, between the distributions as they are: a method of its own, not a temperature gone astray.
local function is_plain_kl(one) return throughout(one.knobs.alpha.values, 0) and throughout(one.knobs.temperature.values, 1) end

local function judge_range(report, where, plan, i, knob, values)
  local low, high = range(values)
  if knob.name == "alpha" and low == 0 and schedule.is(knob.answer) and knob.answer.of_rows then low = high end  -- rows without labels
  local text = not is_plain_kl(plan.seen[i]) and knobs.outside(knob.name, low, high) or nil
  local number = type(plan.run.o.lr or 0) == "number"  -- advice.lua judges that
  if knob.name == "lr" and (knob.own or not number) then
    text = knobs.rate_outside(plan.run.rates, select(2, range(knob.own and values or knob.whole or values)))
  end
  if text then report.outside("%s %s", where, text) end
end

local OTHER_WAY = "the guides go the other way: temperature high early and low late, alpha towards the labels"

local function advise_on_direction(report, where, name, first, last)
  if name == "temperature" and last > first or name == "alpha" and last < first then
    report.advise("%s goes from %g to %g; " .. OTHER_WAY, where, first, last)
  end
end

--- Judges a knob of a stage.
function knobs.of_stage(report, plan, i, knob)
  local where = ("stage '%s': %s"):format(plan.run.stages[i].name, knob.name)
  if aborts(report, where, plan, plan.spans[i], knob) then return end
  local values = knob.values
  if not values then
    if schedule.is(knob.answer) and knob.answer.between then judge_range(report, where, plan, i, knob, knob.answer.between) end
    return
  end
  if knob.name == "lr" and throughout(values, 0) then
    report.refuse("%s is 0 throughout: nothing is learnt; expected above 0", where)
  elseif schedule.is(knob.answer) and not tonumber(tostring(knob.answer)) and not moves(knob.whole or values) then
    report.refuse("%s: %s has no effect: it is %g throughout; expected a span within the budget", where, tostring(knob.answer), values[1])
  end
  judge_range(report, where, plan, i, knob, values)
  local all = knob.whole or values
  advise_on_direction(report, where, knob.name, all[1], all[#all])
end

--- Judges how a knob goes on from one stage to the next, where both answers are the stages' own.
function knobs.turns(report, plan, name)
  local before, from
  for i, stage in ipairs(plan.run.stages) do
    local knob, settled = plan.seen[i].knobs[name], plan.spans[i].known
    local values = knob.used and knob.values
    if values then
      if before and knob.answer ~= before.answer and (not moves(values) or plan.spans[i - 1].known) then
        advise_on_direction(report, ("stage '%s' after '%s': %s"):format(stage.name, from, name), name,
          before.values[#before.values], values[1])
      end
      -- Where a stage's end is not known, neither is what a schedule has come to there.
      before, from = (settled or not moves(values)) and knob or nil, stage.name
    end
  end
end

--- Judges the learning rate over the whole budget.
function knobs.rate(report, plan)
  local answer = plan.run.knobs.lr
  local warming = schedule.is(answer) and answer.after and plan:values(answer, 0, 1)
  local warm = warming and plan:values(answer.after, 0, 1)
  if warm and not plan.seen[#plan.seen].knobs.lr.own and warming[#warming - 1] < warm[math.max(1, #warm - 1)] * (1 - 1e-9) then
    report.refuse("lr never leaves its warm-up: it still rises when the budget ends; expected a shorter warmup or a longer budget")
    return
  end
  local count = #plan.seen
  local final, span = plan.seen[count].knobs.lr.answer, plan.spans[count]
  local after = schedule.is(final) and final.after or final  -- its warm-up may rise
  local values = plan:values(after, math.min(span.from, 1), span.to, count)
  if not values then return end
  local _, high = range(values)
  local late, last = values[math.ceil(.75 * #values)], values[#values]
  if last < high or last <= late * (1 + 1e-9) then return end
  -- Who writes a function knows which way it goes: a search for the highest rate that still learns rises on purpose.
  report[schedule.is(final) and "refuse" or "advise"]("stage '%s': lr runs backwards: it rises to the end, from %g at three quarters "
    .. "of the stage to %g; expected it to fall after its warm-up, or a function of the state", plan.run.stages[count].name, late, last)
end

return knobs
