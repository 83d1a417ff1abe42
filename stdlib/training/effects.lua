--- Settings without effect are told before the first step: an error where nothing could make them matter, a warning where a curriculum
--- decides it.
local host = require "gradus.host"
local data = require "gradus.data.dataset"
local labels = require "gradus.data.labels"
local stages = require "gradus.training.stages"
local target = require "gradus.curriculum.target"
local when = require "gradus.curriculum.when"

local effects = {}

local OF_A_TEACHER = { "temperature", "alpha", "t2", "teacher_temperature", "teacher_view", "teacher_cache" }
local OF_CLASSES = { numbers = { "temperature", "teacher_temperature", "t2", "label_smoothing" }, multilabel = { "label_smoothing" } }

-- Whether somebody is imitated in some stage; a function may answer with a teacher.
local function has_teacher(t)
  if t.given_teacher ~= nil and t.given_teacher ~= "labels" then return true end
  for _, stage in ipairs(t.stages.list) do
    if stage.target ~= nil and stage.target ~= "labels" then return true end
  end
  return false
end

local function refuse(t, name, why) host.fail(("%s: %s has no effect %s"):format(t.where, name, why)) end

-- Of every stage its target is a layer's, or nobody's.
local function no_logits(t)
  for _, stage in ipairs(t.stages.list) do
    local goal = stage.target == nil and t.given_teacher or stage.target
    if not (target.is(goal) and goal.kind == "layer") then return false end
  end
  return true
end

-- Knobs that distill was given and every stage answers by itself.
local function unheard(t, name)
  for _, stage in ipairs(t.stages.list) do
    if stage.knobs[name] == nil then return false end
  end
  return true
end

local function stage_text(stage) return ("stage '%s'"):format(stage.name) end

local function imitates_layer(t, stage)
  local goal = stage.target == nil and t.given_teacher or stage.target
  return target.is(goal) and goal.kind == "layer"
end

-- Which terms read an option. One of the user's own may read every knob.
local READERS = { label_smoothing = { "kd", "labels" }, alpha = { "kd" }, temperature = { "kd", "kl", "reverse_kl", "jsd" },
  t2 = { "kd", "kl", "reverse_kl", "jsd" }, teacher_temperature = { "kd", "kl", "reverse_kl" } }

-- Whether something is learnt in a stage, for all that is known beforehand.
local function weighs_in(t, stage)
  if t.objective.plain or stage.pressure ~= nil or imitates_layer(t, stage) then return true end
  for _, term in ipairs(t.objective.terms) do
    if t.stages:answer_in(stage, term.name) ~= 0 then return true end
  end
  return false
end

local function check_weights(t)
  local names, idle = {}, {}
  for i, term in ipairs(t.objective.terms) do names[i] = term.name end
  for _, stage in ipairs(t.stages.list) do
    if not weighs_in(t, stage) then idle[#idle + 1] = stage end
  end
  local what = ("losses: all weights are 0 (%s): nothing is learnt"):format(table.concat(names, ", "))
  if #idle == #t.stages.list then host.fail(("%s: %s"):format(t.where, what)) end
  for _, stage in ipairs(idle) do t.run:warn("no_effect", ("%s: %s"):format(stage_text(stage), what)) end
end

local function check_terms(t)
  local objective, knobs = t.objective, { alpha = true, temperature = true }
  for _, name in ipairs { "label_smoothing", "alpha", "temperature", "t2", "teacher_temperature" } do
    local read = objective:has(READERS[name]) or knobs[name] and objective:has_own()
    if t.given[name] ~= nil and not read then
      refuse(t, name, "on these losses; expected one of " .. table.concat(READERS[name], ", "))
    end
  end
  check_weights(t)
  for _, stage in ipairs(t.stages.list) do
    if t.given.losses ~= nil and imitates_layer(t, stage) then
      t.run:warn("no_effect", stage_text(stage) .. ": losses have no effect: it imitates a layer")
    end
  end
end

-- One value for each row: of classes, whose loss has one for each; by part, of the training data, whose rows it names. Of tokens a row is
-- a sequence, which is of one part, but the teacher is as sure as it is of each.
local function check_by_row(t, name, one)
  local where, kind = ("%s: %s: %s"):format(t.where, name, tostring(one)), t.task.kind
  local alike = kind == "multilabel" or kind == "numbers" or kind == "tokens" and one.of_rows
  if alike then host.fail(where .. ": expected classes as labels; one value for each row is for them alone") end
  if one.of_rows and (data.is_generator(t.train) or one.of_rows ~= t.train.base) then
    host.fail(where .. ": is of other rows than the training data; expected views of it")
  end
  for _, value in ipairs(one.between) do
    local wanted = stages.wanted(name, value)
    if wanted then host.fail(("%s: expected %s; got %g"):format(where, wanted, value)) end
  end
end

local function check_by_rows(t)
  for _, stage in ipairs(t.stages.list) do
    for _, name in ipairs { "alpha", "temperature" } do
      local one = t.stages:answer_in(stage, name)
      if type(one) == "table" and one.of_batch then check_by_row(t, name, one) end
    end
  end
end

-- A metric that somebody waits for is measured.
local function check_metric(t, where, key)
  t.evaluator:check_key(where, key)
  if key ~= "val/kd_loss" then return end
  for _, stage in ipairs(t.stages.list) do
    for _, name in ipairs { "temperature", "alpha" } do
      local one = t.stages:answer_in(stage, name)
      if type(one) == "table" and one.of_batch then
        host.fail(("%s: val/kd_loss is not measured in %s, where each example has %s of its own"):format(where, stage_text(stage),
          name == "alpha" and "an alpha" or "a temperature"))
      end
    end
  end
end

local function check_rule(t, where, rule)
  if not t.evaluator:has_data() and not rule.waits then return end
  for _, key in ipairs(rule.metrics) do
    if type(key) == "table" then key = t.evaluator.directions[key[1]] and key[1] or key[2] end
    check_metric(t, where, key)
  end
end

local function check_metrics(t)
  if t.keeper.monitor then check_metric(t, t.where .. ": monitor", t.keeper.monitor) end
  for _, stage in ipairs(t.stages.list) do
    if when.is(stage.advance) then check_rule(t, stage_text(stage) .. ": advance", stage.advance) end
  end
  if next(t.task.metrics) and not t.evaluator:has_data() then
    refuse(t, "metrics", "where nothing is evaluated; expected validation data or suites")
  end
end

local function check_augmentations(t)
  local given = t.given.augmentations
  if type(given) ~= "table" or not next(given) or t.options.augment ~= nil then return end
  for _, stage in ipairs(t.stages.list) do
    if stage.pressure or stage.knobs.augment ~= nil then return end
  end
  t.run:warn("no_effect", t.where .. ": augmentations have no effect at strength 0; expected augment = 1, or less")
end

-- Parts of a batch have one mass for all terms.
local function check_parts(t)
  local known, base = t.task.labels, data.is(t.train) and t.train.base or {}
  local uneven = base.weight ~= nil or known.partial or known.kind == "tokens"
  if t.updater.pieces == 1 or not uneven or not t.objective:rests_differ(known.partial) then return end
  host.fail(t.where .. ": accumulate: these losses are means over different rows (weights, rows without a label, hidden positions), which "
    .. "parts of a batch cannot join; expected accumulate = 1, or terms of one kind")
end

-- Somebody, or something, teaches: labels that count, a teacher, a loss of the user's own.
local function check_lessons(t)
  local train, kind = t.train, t.train.labels and t.train.labels.kind
  local own, taught = t.objective:has_own(), has_teacher(t)
  if own then return end
  if kind == "none" and not taught then
    host.fail(t.where .. ": the data have no labels, and there is no teacher: nothing is learnt; expected one of the two")
  end
  local nothing = data.is(train) and labels.nothing(train)
  if nothing and (not taught or nothing:find "^the weights of its rows are") then
    host.fail(("%s: data: %s: nothing is learnt"):format(t.where, nothing))
  end
  if kind == "classes" and train.labels.classes == 1 and not taught then
    t.run:warn("one_class", t.where .. ": the labels are of one class: there is nothing to tell apart")
  end
end

-- A step of several epochs; one a little above an epoch does no harm.
local function check_rows(t)
  local batch, rows = t.updater.batch, t.train:size()
  if batch >= 2 * rows and not data.is_generator(t.train) then
    t.run:warn("batch", ("%s: a batch of %d is more than the training set's %d rows: a step is %.3g epochs"):format(t.where, batch, rows,
      batch / rows))
  end
end

--- Raises or warns; t: a training whose stages and task are made.
function effects.check(t)
  check_metrics(t)
  check_terms(t)
  check_augmentations(t)
  check_rows(t)
  check_lessons(t)
  check_by_rows(t)
  check_parts(t)
  local given, kind = t.given, t.task.kind
  if not has_teacher(t) then
    for _, name in ipairs(OF_A_TEACHER) do
      local harmless = name == "alpha" and given.alpha == 1
      if given[name] ~= nil and not harmless then
        refuse(t, name, "without a teacher; expected teacher = …, or none of it; labels alone where others have a teacher: teacher = … and "
          .. "curriculum = { target = 'labels' }")
      end
    end
  end
  for _, name in ipairs(OF_CLASSES[kind] or {}) do
    if given[name] ~= nil then refuse(t, name, ("where labels are %s"):format(kind == "numbers" and "numbers" or "several at once")) end
  end
  for _, name in ipairs(t.train.labels and t.train.labels.kind == "none" and { "alpha", "label_smoothing" } or {}) do
    if given[name] ~= nil and given[name] ~= 0 then refuse(t, name, "where the data have no labels, but a teacher's answers alone") end
  end
  if given.teacher_cache and #t.objective:teacher_paths() > 0 then
    refuse(t, "teacher_cache", "where a term of losses asks the teacher for a module's output, at each step")
  end
  if no_logits(t) then
    for _, name in ipairs { "temperature", "alpha", "t2", "label_smoothing", "teacher_temperature" } do
      if given[name] ~= nil then t.run:warn("no_effect", ("%s: %s has no effect: every stage imitates a layer"):format(t.where, name)) end
    end
  end
  for _, name in ipairs { "temperature", "alpha", "augment", "lr" } do
    if given[name] ~= nil and unheard(t, name) then
      t.run:warn("no_effect", ("%s: %s has no effect: every stage has its own"):format(t.where, name))
    end
  end
  for _, stage in ipairs(t.stages.list) do
    for _, name in ipairs { "temperature", "alpha" } do
      if stage.target == "labels" and stage.knobs[name] ~= nil and stage.knobs[name] ~= 1 then
        t.run:warn("no_effect", ("stage '%s': %s has no effect: the target is labels"):format(stage.name, name))
      end
    end
  end
end

return effects
