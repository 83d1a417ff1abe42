--- A run: what the script's `run` function is given. It logs, decides, trains, and lands in the store.
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local console = require "gradus.base.console"
local is_news = require "gradus.base.news"
local beforehand = require "gradus.experiment.beforehand"
local current = require "gradus.base.current"
local elsewhere = require "gradus.base.elsewhere"
local axes = require "gradus.experiment.axes"
local logging = require "gradus.experiment.logging"
local readback = require "gradus.step.readback"
local run_writer = require "gradus.experiment.run_writer"
local snapshot_files = require "gradus.experiment.snapshot_files"
local sources = require "gradus.experiment.sources"
local snapshots = require "gradus.experiment.snapshots"
local step = require "gradus.step.step"
local streams = require "gradus.experiment.streams"
local threads = require "gradus.step.threads"

require "gradus.base.pristine"  -- before the script

local run = {}

---@class Run
---@field id number      in the store; uid too
---@field seed number
---@field params table
---@field folder string  of the run's files
---@field device string
---@field state table    a plain table of the script's own, saved with the run
---@field told table<string, boolean>  what its steps have warned of
---@field failure any    what ended the run
---@field listener false|fun(name: string, value: number, step: number)  is told what is logged
---@field live any       swaps its trainings when the script is saved (live_edit.lua)
---@field ending false|string  why the run is to end at the next safe point
---@field loop_knobs false|LoopKnobs  of the loop over batches that goes on
---@field measuring false|number  while a round of that loop is counted: the operations of its evaluations, which are no part of it
---@field students false|table[]  whose weights it leaves (student_artifact.lua)
---@field save_students boolean whether it does
---@field apart boolean  whether it has been something else (run_writer.lua)
---@field sources table<string, string>  of its code, path -> hash: those that the store has
---@field dry any        set in a dry run (gradus check)
---@field replaying any  set while a function of run:cached is called for what it makes without training
---@field snapshots Snapshots
---@field unmuted any     false, or the writer of a run that goes on and has not reached where it was
local INSTEAD = elsewhere.table_of {
  ["run.folder, for files of the run's own; run:artifact(path) lists one"] = "dir path output_dir save_dir log_dir",
  ["what the function returns, { acc = .9 }, or run:log { name = value }"] = "summary result results",
  ["run:fit { … } or run:distill { … }"] = "train training",
  ["run:evaluate(model, d.test)"] = "test validate",
  ["print(…)"] = "print",
  ['run:decide("stop") and break, in a loop of your own'] = "stop",
  ["nothing: a run ends where its function returns"] = "finish close",
}
local Run = check.methods("a run", {}, { sealed = true, instead = function(name) return INSTEAD[name] end })
Run.__index = Run

--- Starts a run in the store and makes it the current one.
---@param options table  { store, name, kind?, seed, flat, params, parent: Run?, options = the command line, label,
---   policy?: of snapshots }; of one that goes on: goal?, a snapshot; resumes?, its id, and set?, parameters that have new values; forks?,
---   the id of a run whose past it shares; detail?, what is stored of that; again?, a writer that writes nothing
function run.begin(options)
  local opts, goal = options.options, options.goal
  local parts, apart = run_writer.configuration(options)
  local device = engine.device(opts.device or "cpu")
  local writer = run_writer.begin(options, { config_hash = run_writer.config_hash(parts), device = device })
  local self = setmetatable({ writer = writer, id = writer.id, uid = writer.uid, folder = writer.folder, seed = options.seed,
    name = options.name, params = options.params, device = device, store = options.store, options = opts, state = {},
    configuration = parts, threads = 0, step_number = 0, axis = 1, keys = {}, latest = {}, students = false, kept_files = false,
    save_students = true, registered = {}, told = {}, began = host.monotonic(),
    parent = options.parent, dry = false, listener = false, ending = false, live = false, unmuted = false, loop_knobs = false,
    measuring = false, sources = false, apart = apart, looked = readback(device, function(numbers, look) look(numbers) end),
    line = console.progress(options.label, opts.quiet or opts.json, opts.log) }, Run)
  if options.resumes then snapshot_files.forget_after(self.folder, goal) end
  self.snapshots = snapshots.new(self, options.policy or snapshots.policy(), goal)
  if goal then self.writer, self.unmuted = run_writer.muted(writer), writer end
  self.readback = readback(device, function(numbers, at)
    for key, number in pairs(numbers) do self.writer:log(key, at, number) end
    for name, key in pairs(self.listener and self.keys or {}) do
      if numbers[key] then self.listener(name, numbers[key], at) end
    end
  end)
  if self.parent then self.save_students = rawget(self.parent, "save_students") end
  self.sources = sources.loaded()
  self.beforehand = beforehand
  current.run = self
  streams.begin(self.seed)
  return self
end

--- A run that goes on has reached where it was: from here on it writes.
function Run:unmute()
  self.unmuted = run_writer.arrived(self.unmuted, self.keys)
  self.writer = self.unmuted
  if self.apart then self:configure() end
  self:note_sources()
end

--- Calls fn() while nothing that it does is written or said.
---@param fn fun()
function Run:silently(fn)
  local writer, listener, latest, line = self.writer, self.listener, self.latest, self.line
  self.writer, self.listener, self.latest = run_writer.muted(writer), false, {}
  self.line = setmetatable({ say = function() end }, { __index = line })
  local ok, why = pcall(fn)
  self.writer, self.listener, self.latest, self.line = writer, listener, latest, line
  if not ok then error(why, 0) end
end

--- Stores the configuration's hash anew: data was read.
function Run:configure() self.writer:amend { config_hash = run_writer.config_hash(self.configuration) } end

--- From here on the run has other data than before: stored as an event, and it is no repetition of others.
---@param accepted string[]  in words
function Run:other_data(accepted)
  self:event("resume", "data", { accepted = accepted })
  table.insert(self.configuration, "apart " .. host.json_encode { accepted = accepted })
  self:configure()
end

--- Stores the code that was loaded since the run began, such as modules that its function requires: it is part of what the run is.
function Run:note_sources()
  if self.live or self.unmuted and self.writer ~= self.unmuted then return end  -- live edits tell of their own
  local fresh = {}
  for _, one in ipairs(host.sources()) do
    if not self.sources[one.path] then fresh[#fresh + 1] = one end
    self.sources[one.path] = one.sha256
  end
  if #fresh == 0 then return end
  self.writer:amend { sources = fresh }
  for _, one in ipairs(fresh) do current.reads(sources.text(one)) end
end

-- --- logging ---------------------------------------------------------------------------------------------------------

--- Keeps a file with the run, listed by `gradus show` and on the page: one in the run's folder as it is (run.folder .. "/table.txt"), of
--- any other a copy.
---@param path string
---@param kind? string  "file"
---@return string path  where it is kept
function Run:artifact(path, kind) return require "gradus.experiment.artifact"(self, path, kind) end

--- Logs numbers (or 0-dim tensors) by metric name at the current step, which distill, fit and batches count, or at the given
--- one: run:log(values, i) in a loop of one's own. Tensors on an accelerator are read when the next ones are logged, so that
--- the device need not be waited for.
---@param values table<string, number|Tensor>
---@param at? number
function Run:log(values, at) logging.log(self, values, at) end

--- Stores an event: kind "stage", "decision", "best", "warning", "health", "advice", "plan", "error", "data", "cache", "reads",
--- "teacher_cache", "threads", "result", "flops" or "edit"; "spread" for lists of numbers (`gradus plot --kind spread NAME`). detail is
--- a table of plain values; its JSON has "nan", "inf" and "-inf" for numbers that JSON lacks.
---@param kind string
---@param name string
---@param detail? table
---@param place? number  another step than the run's own, such as one of its teacher's training
function Run:event(kind, name, detail, place)
  check.value("event", "kind", kind, check.string)
  check.value("event", "name", name, check.string)
  local at, text = place or self.step_number, host.json_encode(detail or {})
  self.writer:event(at, kind, name, text)
  host.log("info", ("step %d: %s %s %s"):format(at, kind, name, text))
end

--- Stores a decision of the script's own, with the numbers it was taken from; infinities and NaN as "inf", "-inf" and "nan".
---@param name string      "next", "stop", or what you call it
---@param numbers? table   by name
function Run:decide(name, numbers)
  check.value("decide", "name", name, check.string)
  self:event("decision", name, numbers)
end

--- A warning: shown, logged and stored; with --strict an error.
---@param name string
---@param text string
function Run:warn(name, text)
  check.value("warn", "name", name, check.string)
  check.value("warn", "text", text, check.string)
  if self.options.strict then host.fail(text) end
  self:event("warning", name, { text = text })
  self.line.say("warning: " .. text)
end

--- Stores advice of the guides. amiss: where the setting is, such as "distill: ", if it is out of their range: with --strict an error.
---@param name string
---@param text string
---@param numbers? table  what it was taken from
---@param amiss? string|false
function Run:advise(name, text, numbers, amiss)
  check.value("advise", "name", name, check.string)
  check.value("advise", "text", text, check.string)
  if numbers then check.value("advise", "numbers", numbers, check.table) end
  if amiss then check.value("advise", "amiss", amiss, check.string) end
  if amiss and self.options.strict then host.fail(amiss .. text) end
  local detail = { text = text, amiss = amiss and true or nil }
  for key, value in pairs(numbers or {}) do detail[key] = value end
  self:event("advice", name, detail)
end

--- Somebody has changed what the run does while it goes on: stored as an event, and the run is marked. It is no repetition of others.
---@param name string   "attach" or "live"
---@param detail table
function Run:edited(name, detail)
  self:event("edit", name, detail)
  self.store:tag(self.id, "edited", "")
  table.insert(self.configuration, "edited " .. host.json_encode(detail))
  self:configure()
end

--- Stores where the run stands.
function Run:progress(s)
  self.writer:progress(self.step_number, s.epoch, s.samples, s.flops, s.seconds)
end

--- Has the run leave a student's weights when it ends; see student_artifact.track.
function Run:leave_student(student, about) require("gradus.experiment.student_artifact").track(self, student, about) end

--- The words of a training's line: fn(s, elapsed); knobs and row are filled anew at each step.
function Run:training_line(total_steps, knobs, row) return console.training_parts(total_steps, knobs, row) end

--- Shows the live line (console.lua decides how often).
function Run:show(s, parts) self.line.step(s, parts) end

--- A safe point between two steps: ends the run when the process was asked to stop.
---@param s State?
---@param training? table  at a boundary, whose state may be kept
function Run:breathe(s, training)
  local signal = host.stopping() or self.ending
  if training then self.snapshots:look(training, signal) end
  if not signal then return end
  if s then self:progress(s) end
  self.interrupted = signal
  error({ interrupted = signal })
end

--- Which way a metric is better: "higher" or "lower"; stored with it, so that nobody has to guess.
---@param key string
---@param way string
function Run:better(key, way)
  if way ~= "higher" and way ~= "lower" then
    host.fail(("better: '%s': expected 'higher' or 'lower'; got %s"):format(tostring(key), check.describe(way)))
  end
  self.writer:better(key, way)
end

--- A training of this run begins, on an axis of its own: what an earlier one has logged becomes a run below this one. Returns the
--- step before its first.
---@param name string       "fit", "distill" or "batches"
---@param prefixes string[]  of the metrics that it logs: "train/", "val/", …
function Run:begin_training(name, prefixes)
  self.loop_knobs = false
  self:note_sources()
  return axes.begin(self, name, prefixes)
end

--- Waits for a file's lock, so that one process makes what others need too; between two looks the run may be ended.
---@param path string
---@param what string  "teacher", for the line that says what is waited for
function Run:lock(path, what)
  local lock = host.lock(path, 0)
  while not lock do
    self:breathe()
    self.line.waiting(("waits for %s, which another run makes"):format(what))
    lock = host.lock(path, .1)
  end
  return lock
end

-- --- work ------------------------------------------------------------------------------------------------------------

-- A module or an optimizer. Some objects refuse to be asked for what they have not.
local function movable(object)
  local ok, to = pcall(function() return object.state_dict and object.to end)
  return ok and to
end

--- Registers what the run needs to go on: module, optimizer, source, …; returns it. Modules and optimizers, with their
--- parameters, move to the run's device.
function Run:register(name, object)
  if type(name) ~= "string" or name == "" then host.fail("register: expected a name; got " .. tostring(name)) end
  if self.registered[name] and self.registered[name] ~= object then
    host.fail(("register: '%s' is taken by another object"):format(name))
  end
  self.registered[name] = object
  if self.device ~= "cpu" and movable(object) then object:to(self.device) end
  return object
end

--- A training step: fn(batch, knobs) -> named outputs, recorded once and then replayed without Lua (`gradus help step`).
--- Where `loss` or `norm` of these is NaN or infinite, the optimizer has left the weights alone, and the batch's rows are stored.
---@param options? {non_finite: string, own_knobs: boolean}  what follows: "stop" ends the run (exit code 3), "skip" goes on; "own": the
---   caller looks. own_knobs: the function may leave knobs out, without a warning
function Run:step(fn, options)
  local o = check.options("step", options, { non_finite = check.choice("stop", "skip", "own"), own_knobs = check.boolean },
    { non_finite = "stop" })
  local made = step.new(fn, function(name, text)
    if is_news(self.told, text) then self:warn(name, text) end
  end, self.device,
    o.non_finite ~= "own" and require("gradus.training.finite").watch(self, o.non_finite) or nil, o.own_knobs,
    function(knobs) return self.loop_knobs and self.loop_knobs:over(knobs) or knobs end)
  threads.choose_by(self, made)
  return made
end

--- The seed of one of this run's named random streams.
function Run:stream(name, sub) return engine.data.derive_seed(self.seed, name, sub or 0) end

--- { loss, acc, n } of a model on a data set; with a teacher, or several, how often it agrees with them, too.
---@param model Module
---@param d Dataset
---@param teacher? Module|table
function Run:evaluate(model, d, teacher)
  if self.dry then d = self.dry.few(d) else require "gradus.training.seen"(self, model, d) end
  local count = self.measuring and engine.count_flops()
  local found = require("gradus.training.task").evaluate(model, d, teacher)
  if count then self.measuring = self.measuring + count() end
  return found
end

local function train(self, given, where)
  if self.live then return self.live:train(self, given, where) end
  local distill = require "gradus.training.distill"
  return distill.train(distill.make(self, given, where))
end

--- Trains a student under a curriculum: `gradus help curriculum`, losses, temperature, alpha and the like explain the words.
---@param options DistillOptions
---@return Distilled
function Run:distill(options)
  if self.replaying then
    return { student = options.student, checkpoints = options.checkpoints and require("gradus.base.checkpoints").new() }
  end
  return train(self, options, "distill")
end

--- Distils and looks ahead: every `steps` steps the continuations of `try` are tried from where the training stands, and the best goes
--- on; k of them cost k + 1 times the steps. The result has `chosen`, the names by round.
---@param options table   distill's, and
---   try: { hot = { temperature = 8 }, cold = { temperature = 2 } }, what each has of its own; steps: of a round;
---   by: the metric that decides ("val/loss"), better as it is known to be
---@return Distilled
function Run:lookahead(options)
  if self.replaying then return { student = options.student } end
  if self.live then self.live:looks_ahead() end
  return require "gradus.experiment.lookahead"(self, options)
end

--- Trains a model on labels. Returns the model, in evaluation mode, and with checkpoints = { steps = } what was kept.
---@param options {model: Module, data: Dataset, epochs: number?, steps: number?, lr: any, batch: number?, stop: any, checkpoints: table?}
---   and distill's own; stop: an advance rule (g.when) that ends the training before its budget
function Run:fit(options)
  local given = require "gradus.training.fit"(options)
  if self.replaying then
    if not options.checkpoints then return options.model end
    return options.model, require("gradus.base.checkpoints").new()
  end
  local done = train(self, given, "fit")
  if not options.checkpoints then return done.student end
  return done.student, done.checkpoints
end

--- What fn(…) returns (modules, tensors, checkpoints, numbers, texts, booleans): built once, then reused by every run in which it
--- would come out the same. That depends on the function's source and what it closes over, on the arguments, and on what it read
--- while it was built: the run's parameters one by one, run.seed, globals, user modules, environment variables and files, which
--- `gradus show` lists. The time, other programs and other runs are refused: read them outside, and hand them over as arguments.
---@param name string             letters, digits, "_" and "-"
---@param fn fun(...: any): ...   trains with run:fit, g.fit or run:distill; on a hit it is called again without training
function Run:cached(name, fn, ...)
  if self.dry then return self.dry.cached(name, fn, ...) end  -- two steps of training must not be kept
  return require "gradus.experiment.cached"(self, name, fn, ...)
end

--- Iterates batches of a source: `for i, batch in run:batches(source, { size = 64, steps = 5000 }) do`. i is from 1 and is
--- the step that run:log writes to. A step's floating-point operations are those of the first round, without run:evaluate's.
---@param source Source|Dataset
---@param options {size: number?, steps: number?, epochs: number?, teacher: any, augment: any, augmentations: table?,
---   teacher_view: string?, teacher_cache: any}  the last two as in distill
function Run:batches(source, options)
  options = check.options("batches", options, { "size", "steps", "epochs", "teacher", "augment", "augmentations", "teacher_view",
    "teacher_cache" })
  if self.replaying then return function() end end
  local asked = self.live and self.live:loops()
  if asked then return asked end
  if self.dry then options.steps, options.epochs = 2, nil end
  return require "gradus.training.batches"(self, source, options)
end

--- Stores what the run's function returned: numbers as result/NAME at its last step, see results.lua.
---@param result? table
---@return table<string, number> numbers, table<string, any> others
function Run:store_result(result) return require("gradus.experiment.results").store(self, result) end

--- Closes the run. status: finished, failed or interrupted. A run whose last values cannot be read has failed.
function Run:finish(status, message)
  if not status then host.fail("finish: expected " .. INSTEAD.finish) end
  self.line.clear()
  self:note_sources()
  -- One that has not come back to where it was would leave others than it has.
  if self.students and not self.snapshots.goal then require("gradus.experiment.student_artifact").save_all(self) end
  self.snapshots:finish(status == "finished")
  local settled, why = pcall(self.readback.settle, self.readback)
  if status == "finished" and not settled then status, message = "failed", tostring(why) end
  self.writer:finish(status, message)
  if current.run == self then current.run = self.parent end
  if not self.parent then host.share_cores() end
  if status == "failed" and not settled then error(why, 0) end
end

--- The current run's fit, for functions that build a model: `run:cached("teacher", build, d.train)`.
function run.fit(options)
  if not current.run then host.fail "fit: no run is going on; expected a call inside of an experiment's run function" end
  return current.run:fit(options)
end

return run
