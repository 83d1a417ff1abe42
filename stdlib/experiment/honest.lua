--- What is said of a training's settings, by a dry run (dry_run.lua) and by the run itself (beforehand.lua), before its first step. A
--- judgement is of what the plan knows; what depends on the run is left alone. Knobs are honest_knobs.lua's. report has
---   refuse   what has no effect, aborts the run or runs backwards: check refuses it, a run warns
---   stops    at which share of the budget the run will stop by itself: the same, but that a run says nothing of its first step
---   outside  what is out of the guides' ranges: advice, which --strict refuses
---   advise   what is rarely meant: advice
local data = require "gradus.data.dataset"
local knobs = require "gradus.experiment.honest_knobs"
local sampler = require "gradus.curriculum.sampler"
local values_of = require "gradus.experiment.plan"
local when = require "gradus.curriculum.when"

local honest = {}

local NOTHING = 1e-9 -- of a share
local range, throughout = values_of.range, values_of.throughout

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

-- The easiest rows of data that stand in the order of the file, or of a split.
local function look_at_unranked(report, plan, i)
  local stage = plan.run.stages[i]
  local source = plan.seen[i].source or stage.sample
  if not sampler.is(source) or source.where ~= "sampler.easiest" then return end
  local d = source.data
  if d.difficulty or rawget(d, "is_shuffled") then return end
  report.refuse("stage '%s': sample: nothing has ranked these %d rows, the easiest are those that come first; expected d:rank(score), "
    .. "or d:shuffled() as the random control", stage.name, d:size())
end

-- The ranking, stage by stage.
local function look_at_ranking(report, plan)
  local ranking, all, most = false, true, {}
  for i, stage in ipairs(plan.run.stages) do
    look_at_unranked(report, plan, i)
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
  if run.state.teacher and not taught and not run.partial then
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
    if one.knobs[name].used and span.to > span.from then knobs.of_stage(report, plan, i, one.knobs[name]) end
  end
  local share = sampler.is(one.source) and rawget(one.source, "share")
  if share and data.is(plan.run.train) then look_at_share(report, plan, i, share) end
  local parts = sampler.is(one.source) and rawget(one.source, "parts")
  if parts then look_at_mixture(report, plan, i, parts) end
  look_at_rule(report, plan, ("stage '%s': advance"):format(stage.name), stage.advance)
  if #plan.seen > 1 and stage.knobs.lr then
    report.advise("stage '%s' has a learning rate of its own; a gain may be the rate's: tune the baseline's as well (arXiv 2308.12202)",
      stage.name)
  end
end

--- Judges a stage's target by what it measured as the stage began.
honest.reach = look_at_reach

--- Judges what is of the whole plan.
function honest.whole(report, plan)
  look_at_rule(report, plan, "patience", plan.run.early)
  knobs.rate(report, plan)
  knobs.turns(report, plan, "temperature")
  knobs.turns(report, plan, "alpha")
  look_at_ranking(report, plan)
  look_at_evaluation(report, plan.run)
  look_at_targets(report, plan)
  look_at_unused(report, plan)
  look_at_loss(report, plan)
end

return honest
