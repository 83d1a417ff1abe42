--- The open loop's batches: an iterator that yields i, batch and keeps the run's counts.
local host = require "gradus.host"
local console = require "gradus.experiment.console"
local feed = require "gradus.training.feed"
local sampler = require "gradus.curriculum.sampler"
local schedule = require "gradus.curriculum.schedule"
local settings = require "gradus.training.settings"
local State = require "gradus.curriculum.state"
local target = require "gradus.curriculum.target"
local teacher_cache = require "gradus.training.teacher_cache"
local threads = require "gradus.step.threads"
local engine = require "gradus.engine"
local data = require "gradus.data.dataset"

return function(run, given, options)
  options = options or {}
  local source = sampler.of("batches", given)
  local size = options.size or 64
  if type(size) ~= "number" or size < 1 or size % 1 ~= 0 then
    host.fail("batches: size: expected a whole number above 0; got " .. tostring(size))
  end
  if run.dry then size = math.min(size, require("gradus.experiment.dry_run").BATCH) end
  local epoch = data.is_generator(source) and source:size() or source.data:size()
  local steps = options.steps or options.epochs and math.ceil(options.epochs * epoch / size)
  if steps == nil then host.fail "batches: expected steps = … or epochs = …" end
  if type(steps) ~= "number" or not (steps >= 1) or steps % 1 ~= 0 then
    host.fail("batches: steps: expected a whole number above 0; got " .. tostring(steps))
  end
  local strength = schedule.check("batches: augment", options.augment or 0)
  local s = State.new { run = run, params = run.params, step_progress = 1 / steps, step_epochs = size / epoch }
  s:begin_stage("all", 1)
  local goal = options.teacher and target.resolve("batches: teacher", options.teacher):on(run.device)
  local augmentations = feed.check_augmentations("batches: augmentations",
    options.augmentations or settings.default_augmentations(source.data))
  local view = teacher_cache.check_view("batches", options.teacher_view, augmentations)
  local batches = feed.new { source = source, size = size, device = run.device,
    augmentations = augmentations, clean = view == "clean" }
  batches:imitate(goal and goal.of, goal and teacher_cache.answers(run, { where = "batches", target = goal, batch = size,
    given = teacher_cache.check("batches: teacher_cache", options.teacher_cache),
    base = not data.is_generator(source) and source.data.base or nil,
    view = view, augmented = strength ~= 0, samples = steps * size }))
  local began, row = host.monotonic(), {}
  local parts = console.training_parts(steps, {}, row)
  local first, count = run.step_number, nil

  return function(_, i)
    i = i or 0
    -- What the first round took tells the size of the work; the others run on the threads that it deserves.
    if i == 1 then
      local flops = count()
      threads.choose(run, function() return flops end)
    end
    if i > 0 then  -- the step that the loop's body has just done
      s.step, s.samples = i, i * size
      s.epoch, s.progress, s.seconds = s.samples / epoch, i / steps, host.monotonic() - began
      s:count()
      run.line.step(s, parts)
      run:breathe(s)
    end
    if i == steps then
      batches:rewind()
      run.looked:settle()
      run:progress(s)
      return nil
    end
    if source.refresh and (i == 0 or math.floor(s.epoch) > math.floor((i - 1) * size / epoch)) then
      batches:rewind()
      source:refresh(s)
    end
    run.step_number = first + i + 1
    local batch = batches:next(schedule.value(strength, s))
    if i == 0 then count = engine.count_flops() end
    return i + 1, batch
  end, nil, 0
end
