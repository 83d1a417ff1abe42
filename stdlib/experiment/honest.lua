--- What a dry run (dry_run.lua) says of settings: refused is what has no effect, aborts the run or runs backwards; advised
--- what is rarely meant. A judgement is of what the plan knows; what depends on the run is left alone.
local data = require "gradus.data.dataset"
local stages = require "gradus.training.stages"
local sampler = require "gradus.curriculum.sampler"
local schedule = require "gradus.curriculum.schedule"
local when = require "gradus.curriculum.when"

local honest = {}

local NOTHING = 1e-9 -- of a share

local function range(values)
  local low, high = math.huge, -math.huge
  for _, v in ipairs(values) do low, high = math.min(low, v), math.max(high, v) end
  return low, high
end

local function moves(values)
  local low, high = range(values)
  return high - low > 1e-12 * math.max(1, math.abs(high))
end

local function throughout(values, value) return values ~= nil and not moves(values) and values[1] == value end

-- --- knobs -------------------------------------------------------------------------------------------------------------

-- What the run itself would stop at, later.
local function aborts(report, where, plan, span, knob)
  local between = schedule.is(knob.answer) and knob.answer.between
  local values = between or knob.asked or {}
  for k, v in ipairs(values) do
    local wanted = stages.wanted(knob.name, v)
    if wanted then
      local from, to = math.min(span.from, plan.last), math.min(span.to, plan.last)
      local share = from + (to - from) * (k - 1) / (#values - 1)
      report.refuse("%s: expected %s; got %.4g %s", where, wanted, v,
        between and "at one end" or ("at %.3g %% of the budget"):format(100 * share))
      return true
    end
  end
end

local function advise_on_range(report, where, name, values)
  local low, high = range(values)
  if name == "temperature" and (low < 2 or high > 20) then
    report.advise("%s is %g to %g; below 2 the teacher is as good as hard labels, above 20 its signal is too diffuse: 4 to 8 is usual",
      where, low, high)
  elseif name == "alpha" and (low < .2 or high > .95) then
    report.advise("%s is %g to %g; outside of 0.2 to 0.95 one side has nearly no say: 0.5 to 0.8 is usual",
      where, low, high)
  end
end

local OTHER_WAY = "the guides go the other way: temperature high early and low late, alpha towards the labels"

local function advise_on_direction(report, where, name, first, last)
  if name == "temperature" and last > first or name == "alpha" and last < first then
    report.advise("%s goes from %g to %g; " .. OTHER_WAY, where, first, last)
  end
end

local function look_at_knob(report, plan, i, knob)
  local where = ("stage '%s': %s"):format(plan.run.stages[i].name, knob.name)
  if aborts(report, where, plan, plan.spans[i], knob) then return end
  local values = knob.values
  if not values then
    if schedule.is(knob.answer) and knob.answer.between then advise_on_range(report, where, knob.name, knob.answer.between) end
    return
  end
  if knob.name == "lr" and throughout(values, 0) then
    report.refuse("%s is 0 throughout: nothing is learnt; expected above 0", where)
  elseif schedule.is(knob.answer) and not tonumber(tostring(knob.answer)) and not moves(knob.whole or values) then
    report.refuse("%s: %s has no effect: it is %g throughout; expected a span within the budget", where, tostring(knob.answer), values[1])
  end
  advise_on_range(report, where, knob.name, values)
  local all = knob.whole or values
  advise_on_direction(report, where, knob.name, all[1], all[#all])
end

-- From one stage to the next, where both answers are the stages' own.
local function look_at_turns(report, plan, name)
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

local function look_at_rate(report, plan)
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

-- --- samples -----------------------------------------------------------------------------------------------------------

local function look_at_share(report, plan, i, share)
  local where, span = ("stage '%s': sample"):format(plan.run.stages[i].name), plan.spans[i]
  local values = plan:values(share, math.min(span.from, 1), span.to, i)
  if not values then return end
  local last = plan:values(share, math.min(span.from, plan.last), math.min(span.to, plan.last), i)
  if values[1] > values[#values] then
    report.refuse("%s: the share of the ranking runs backwards, from %g to %g; expected it to grow "
      .. "(ranked:reversed() begins with the hardest)", where, values[1], values[#values])
  elseif last and not (range(last) > 0) then
    report.refuse("%s: the share falls to %g; expected above 0", where, (range(last)))
  elseif values[#values] < 1 and i == #plan.seen then
    report.advise("%s: the hardest %.0f %% are never shown", where, 100 * (1 - values[#values]))
  end
end

-- The sampler would stop the run at the next epoch; at the budget's end there is none.
local function look_at_mixture(report, plan, i, parts)
  for k, shares in pairs(plan:mixture(parts, i)) do
    for at = 1, #shares - 1 do
      if not (shares[at] >= 0) then
        report.refuse("stage '%s': sample: part %d: expected a share of at least 0, and one above 0 among all; got %g of the whole %s",
          plan.run.stages[i].name, k, shares[at], ("at %.3g %% of the stage"):format(100 * (at - 1) / (#shares - 1)))
        return
      end
    end
  end
end

-- The ranking, stage by stage.
local function look_at_ranking(report, plan)
  local ranking, all, most = false, true, {}
  for i, stage in ipairs(plan.run.stages) do
    local parts, ranked, view = plan:rows(i)
    all = all and parts ~= nil and range(parts) >= 1 - NOTHING
    ranking = ranking or ranked
    local ends = view and view.difficulty
    local first = ends and ends:select(0, 0):item()
    if parts and first and first <= ends:select(0, ends:size(0) - 1):item() then  -- not reversed
      local part = parts[#parts]
      if most[first] and part < most[first].part - NOTHING and i == #plan.seen then
        report.refuse("stage '%s': sample: the share of the ranking runs backwards, from %.3g in stage '%s' to %.3g; expected it to grow "
          .. "(ranked:reversed() begins with the hardest)", stage.name, most[first].part, most[first].stage, part)
      end
      if not most[first] or part > most[first].part then most[first] = { part = part, stage = stage.name } end
    end
  end
  if ranking and all then
    report.refuse("the ranking has no effect: every stage draws all rows in random order; expected sampler.easiest, or ranked:first(share)")
  end
end

-- --- rules -------------------------------------------------------------------------------------------------------------

local function look_at_rule(report, plan, where, rule)
  if not when.is(rule) then return end
  for key, value in tostring(rule):gmatch "([%w_./-]*acc) >= ([%d.e+-]+)" do
    if tonumber(value) > 1 then
      report.refuse("%s: '%s' can never come true: an accuracy is at most 1; expected %s >= 0.9, say; got %s", where, tostring(rule), key,
        value)
    end
  end
  if rule.unit ~= "evaluations" or not plan.total then return end
  local evaluations = math.floor(plan.total / plan.run.eval_steps)
  if rule.limit >= evaluations then
    report.refuse("%s: '%s' can never come true: the budget has %d evaluations; expected evaluate = { steps = … } more often, "
      .. "or less patience", where, tostring(rule), evaluations)
  end
end

-- Whether a rule, or a function of the user's, is asked at each evaluation.
local function asks_at_evaluations(run)
  for _, stage in ipairs(run.stages) do
    local rule = stage.advance
    if rule and (not when.is(rule) or rule.every == "evaluation" or tostring(rule):find("(", 1, true)) then return true end
  end
  return false
end

local function look_at_evaluation(report, run)
  local o, any = run.given, run.val or next(run.suites)
  if o.evaluate and not any and not asks_at_evaluations(run) then
    report.refuse("evaluate has no effect: nothing is evaluated; expected validation data or suites")
  end
  if o.restore_best == true and not run.monitor then
    report.refuse("restore_best has no effect: no metric says which is best; expected validation data, or suites and monitor")
  end
  if o.monitor and not run.restore_best and not run.early then
    report.advise("monitor decides nothing here: restore_best is false and there is no patience")
  end
end

-- --- settings without effect ---------------------------------------------------------------------------------------------

local function look_at_targets(report, plan)
  for i, stage in ipairs(plan.run.stages) do
    local goal = plan.seen[i].target
    for _, name in ipairs { "temperature", "alpha" } do
      if stage.knobs[name] ~= nil and goal.kind ~= "logits" and not (name == "alpha" and stage.knobs.alpha == 1) then
        -- Without a target of its own the stage may be a named strategy's, which brings its knobs for those who have a teacher.
        report[stage.target ~= nil and "refuse" or "advise"]("stage '%s': %s has no effect: the target is %s; expected a teacher's logits",
          stage.name, name, goal.text)
      end
    end
  end
end

-- A layer after a ReLU, which a centred target mostly does not reach.
local function look_at_reach(report, stage, goal)
  local detail = goal.kind == "layer" and goal.detail or {}
  if goal.doubt then report.refuse("stage '%s': target: %s", stage.name, goal.doubt) end  -- as the run warns
  if detail.cut and detail.out_of_reach > 0 then
    report.advise("stage '%s': '%s' of the student is never negative and %.0f %% of the target is, so the target is cut at 0; the layer "
      .. "before the activation can learn all of it", stage.name, detail.to, 100 * detail.out_of_reach)
  end
end

-- What was given to distill, and no stage takes.
local function look_at_unused(report, plan)
  for _, name in ipairs { "temperature", "alpha", "augment", "lr" } do
    local taken, used = false, false
    for _, one in ipairs(plan.seen) do
      local here = name == "augment" or one.knobs[name].used
      used, taken = used or here, taken or here and not one.knobs[name].own
    end
    if plan.run.given[name] ~= nil and not taken and (used or plan.run.state.teacher) then
      report.advise("%s, as given to distill, has no effect: %s", name, used and "every stage has its own" or "no stage learns from logits")
    end
  end
end

local function look_at_loss(report, plan)
  local run, unsmoothed, taught = plan.run, true, false
  for i, one in ipairs(plan.seen) do
    local alpha, goal = one.knobs.alpha, one.target.kind
    unsmoothed = unsmoothed and (goal == "layer" or goal == "logits" and throughout(alpha.values, 0))
    taught = taught or not throughout(alpha.values, 1) or run.stages[i].target ~= nil
  end
  if (run.o.label_smoothing or 0) > 0 and unsmoothed then
    report.refuse("label_smoothing has no effect: alpha is 0 in every stage; expected alpha above 0")
  end
  if run.state.teacher and not taught then
    report.refuse("the teacher has no effect: alpha is 1 in every stage; expected alpha below 1, or no teacher")
  end
  for _, name in ipairs { "alpha", "temperature", "teacher_temperature", "t2" } do
    local labels_only = not run.state.teacher and not (name == "alpha" and run.o.alpha == 1)
    for _, stage in ipairs(run.stages) do labels_only = labels_only and stage.target == nil end
    if run.o[name] ~= nil and labels_only then report.refuse("%s has no effect without a teacher", name) end
  end
end

-- --- all of it ---------------------------------------------------------------------------------------------------------

--- Judges a stage of the plan.
function honest.stage(report, plan, i)
  local stage, one, span = plan.run.stages[i], plan.seen[i], plan.spans[i]
  if span.from >= 1 then
    report.refuse("stage '%s' never begins: the stages before it take the whole budget", stage.name)
    return
  end
  for _, name in ipairs { "lr", "temperature", "alpha", "augment" } do
    if one.knobs[name].used and span.to > span.from then look_at_knob(report, plan, i, one.knobs[name]) end
  end
  local share = sampler.is(one.source) and rawget(one.source, "share")
  if share and data.is(plan.run.train) then look_at_share(report, plan, i, share) end
  local parts = sampler.is(one.source) and rawget(one.source, "parts")
  if parts then look_at_mixture(report, plan, i, parts) end
  look_at_rule(report, plan, ("stage '%s': advance"):format(stage.name), stage.advance)
  look_at_reach(report, stage, one.target)
  if #plan.seen > 1 and stage.knobs.lr then
    report.advise("stage '%s' has a learning rate of its own; a gain may be the rate's: tune the baseline's as well (arXiv 2308.12202)",
      stage.name)
  end
end

--- Judges what is of the whole plan.
function honest.whole(report, plan)
  look_at_rule(report, plan, "patience", plan.run.early)
  look_at_rate(report, plan)
  look_at_turns(report, plan, "temperature")
  look_at_turns(report, plan, "alpha")
  look_at_ranking(report, plan)
  look_at_evaluation(report, plan.run)
  look_at_targets(report, plan)
  look_at_unused(report, plan)
  look_at_loss(report, plan)
end

return honest
