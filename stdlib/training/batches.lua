--- The open loop's batches: an iterator that yields i, batch and keeps the run's counts, from a training's own clock, feed and teacher.
local engine = require "gradus.engine"
local host = require "gradus.host"
local attach = require "gradus.training.attach"
local augment = require "gradus.training.augment"
local clock = require "gradus.curriculum.clock"
local data = require "gradus.data.dataset"
local feed = require "gradus.training.feed"
local loop_knobs = require "gradus.training.loop_knobs"
local sampler = require "gradus.curriculum.sampler"
local schedule = require "gradus.curriculum.schedule"
local State = require "gradus.curriculum.state"
local teacher = require "gradus.training.teacher"
local teacher_cache = require "gradus.training.teacher_cache"
local threads = require "gradus.step.threads"

local function check_size(run, options)
  local size = options.size or 64
  if type(size) ~= "number" or size < 1 or size % 1 ~= 0 then
    host.fail("batches: size: expected a whole number above 0; got " .. tostring(size))
  end
  return run.dry and run.dry.rows(size) or size
end

local function check_steps(options, epoch, size)
  local steps = options.steps
  if steps ~= nil and (type(steps) ~= "number" or not (steps >= 1) or steps % 1 ~= 0) then
    host.fail("batches: steps: expected a whole number above 0; got " .. tostring(steps))
  end
  if options.epochs == nil then return steps or host.fail "batches: expected steps = … or epochs = …" end
  return math.min(steps or math.huge, clock.steps_for(clock.positive("batches: epochs", options.epochs) * epoch, size))
end

-- Whom the batches' answers come from; nil of no teacher.
local function make_teacher(run, given, o)
  if o.given == nil then
    if o.cache ~= nil or o.asked_view ~= nil then
      local name = o.cache ~= nil and "teacher_cache" or "teacher_view"
      host.fail(("batches: %s has no effect without a teacher; expected teacher = …"):format(name))
    end
    return nil
  end
  local one = teacher.new { run = run, cache = teacher_cache.check("batches: teacher_cache", o.cache), view = o.view, batch = o.size,
    rows = o.size, train = given, student = nil, taps = {}, samples = o.steps * o.size }
  one:imitate("batches", o.given, "teacher")
  if one.target.kind == "layer" then
    host.fail "batches: teacher: a layer's target needs the student's layer; expected run:distill, or teacher:forward_taps(b.x, paths)"
  end
  one:prepare()
  one:know_answers(o.augmented)
  return one
end

local function make(run, source, o)
  local size = check_size(run, o)
  local epoch = data.is_generator(source) and source:size() or source.data:size()
  local steps = check_steps(o, epoch, size)
  local strength = schedule.check("batches: augment", o.augment or 0)
  local from = data.is_generator(source) and source or source.data
  local augmentations = augment.check("batches: augmentations", o.augmentations or augment.default(from), from)
  local view = teacher_cache.check_view("batches", o.teacher_view, augmentations)
  local time = clock.new { budget = { steps = steps }, batch = size, epoch_size = epoch }
  local rows = feed.new { where = "batches", source = source, size = size, device = run.device, augmentations = augmentations,
    clean = view == "clean" }
  local one = make_teacher(run, from, { given = o.teacher, cache = o.teacher_cache,
    asked_view = o.teacher_view, view = view, size = size, steps = steps, augmented = strength ~= 0 })
  rows:imitate(one and one.ask, one and one.answers)
  return time, rows, strength, steps, one
end

-- The loop as a training of the run's, whose state is kept: the parts' and what the loop's function can see.
local function as_training(run, s, time, rows, one)
  local loop = { s = s, run = run, where = "batches", clock = time, stages = loop_knobs.new(),
    attach = not run.dry and attach.new(run) or nil }
  function loop:state()
    local moved, unsaved = run.snapshots:reachable(self)
    return { clock = time:state(), feed = rows:state(), teacher = one and one:state() or nil, by_hand = self.stages.by_hand,
      moved = moved, unsaved = unsaved }
  end
  function loop:load_state(kept)
    time:load_state(kept.clock)
    if one then one:load_state(kept.teacher) end
    rows:load_state(kept.feed, function() end)
    self.stages.by_hand = kept.by_hand
    run.snapshots:put_back(self, kept)
    self.step = time.counts.step
  end
  return loop
end

---@param run Run
---@param given Source|Dataset|Generator
---@param options table   see Run:batches
return function(run, given, options)
  local source = sampler.of("batches", given)
  local time, rows, strength, steps, one = make(run, source, options)
  local s = State.new { run = run, params = run.params, clock = time }
  s:begin_stage("all", 1)
  local line, operations = run:training_line(steps, {}, {}), nil
  local first = run:begin_training("batches", {})
  local loop, live = as_training(run, s, time, rows, one), run.live and run.live.enter and run.live
  loop.index = live and live.begun

  local answers
  return function(_, i)
    if i == 0 then
      loop.fn = debug.getinfo(2, "f").func
      if live then live:enter(loop) end
      run.snapshots:begin(loop)
      if live and not loop.step then live:begin_loop(loop) end
    end
    -- What the first round took tells the size of the work; the others run on the threads that it deserves.
    if operations then
      local flops = operations() - run.measuring
      operations, run.measuring = nil, false
      time:costs(flops, answers, rows.known and 0 or answers)
      threads.choose(run, function() return flops end)
    end
    local epoch, stopped = clock.epoch_of(time.counts), false
    if i == 0 then time:start_time()
    else  -- the step that the loop's body has just done
      time:tick()
      time:count()
      run.line.step(s, line)
      run:breathe(s, loop)
      if live and i < steps then live:look_at_loop(loop) end
      stopped = loop.attach ~= nil and i < steps and loop.attach:look(loop)
    end
    if loop.step then  -- a snapshot was taken back: as if its step had just been done
      i, loop.step = loop.step, nil
      epoch = clock.epoch_of { epoch = time.counts.epoch - time.counts.step_epochs }
    end
    if i == steps or stopped then
      rows:rewind()
      run.looked:settle()
      run:progress(s)
      run.snapshots:left(loop)
      run.loop_knobs = false
      return nil
    end
    if source.refresh and (i == 0 or clock.epoch_of(time.counts) > epoch) then
      rows:rewind()
      source:refresh(s)
    end
    run.step_number, run.loop_knobs = first + i + 1, loop.stages  -- a training within the loop has knobs of its own
    local batch = rows:next(schedule.value(strength, s))
    if i == 0 then
      answers = one and one:cost(batch.x, 1) or 0
      operations, run.measuring = engine.count_flops(), 0
    end
    return i + 1, batch
  end, nil, 0
end
