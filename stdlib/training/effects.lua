--- Settings without effect are told before the first step: an error where nothing could make them matter, a warning where a curriculum
--- decides it.
local host = require "gradus.host"
local target = require "gradus.curriculum.target"

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

--- Raises or warns; t: a training whose stages and task are made.
function effects.check(t)
  local given, kind = t.given, t.task.kind
  if not has_teacher(t) then
    for _, name in ipairs(OF_A_TEACHER) do
      if given[name] ~= nil and not (name == "alpha" and given.alpha == 1) then refuse(t, name, "without a teacher; expected teacher = …") end
    end
  end
  for _, name in ipairs(OF_CLASSES[kind] or {}) do
    if given[name] ~= nil then refuse(t, name, ("where labels are %s"):format(kind == "numbers" and "numbers" or "several at once")) end
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
