--- `gradus check SCRIPT`: two steps of each stage of each of the script's curricula, on few validation rows and with
--- teachers of two steps; every schedule drawn over the planned steps; settings without effect, or that run backwards,
--- refused; the guides' advice on temperature and alpha. Nothing is stored.
local engine = require "gradus.engine"
local host = require "gradus.host"
local data = require "gradus.data"
local identity = require "gradus.identity"
local sampler = require "gradus.sampler"
local schedule = require "gradus.schedule"
local sparkline = require "gradus.sparkline"
local when = require "gradus.when"

local ops = engine.ops
local dry_run = { BATCH = 8 }  -- rows of a training batch at most

local POINTS = 200   -- of a schedule
local ROWS = 64      -- of validation data and suites
local NOTHING = 1e-6 -- a loss, or a gradient's norm, that is rounding alone

-- --- the plan ----------------------------------------------------------------------------------------------------------

-- The state as it would be at a share of the budget.
local function state_at(self, share)
  local total = self.total_steps or 1000
  local step = share * total
  return setmetatable({ progress = share, step = step, samples = step * self.batch, epoch = step * self.batch / self.epoch_size,
    stage_steps = step, stage_epochs = step * self.batch / self.epoch_size }, { __index = self.state })
end

-- The share of the budget at which a stage that began at `from` ends by its rule; nil where that is not known.
local function end_of(self, rule, from)
  if not when.is(rule) or not rule.unit then return nil end
  if rule.unit == "progress" then return rule.limit end
  local budget = self.budget[rule.unit]
  if budget then return from + rule.limit / budget end
  local steps = ({ steps = 1, samples = 1 / self.batch, epochs = self.epoch_size / self.batch })[rule.unit]
  return steps and self.total_steps and from + rule.limit * steps / self.total_steps or nil
end

-- Where each stage lies in the budget: { from, to, known } each.
local function planned(self)
  local spans, from, known = {}, 0, true
  for i, stage in ipairs(self.stages) do
    local to = i < #self.stages and end_of(self, stage.advance, from) or nil
    known = known and (to ~= nil or i == #self.stages)
    spans[i] = { from = from, to = math.min(1, to or 1), known = known }
    if to then from = to end
  end
  return spans
end

-- The values of an answer over a span; nil where it cannot be asked beforehand.
local function sample(self, answer, from, to)
  if type(answer) == "number" then return { answer, answer } end
  local values = {}
  for i = 1, POINTS do
    local ok, value = pcall(schedule.value, answer, state_at(self, from + (to - from) * (i - 1) / (POINTS - 1)))
    if not ok or type(value) ~= "number" then return nil end
    values[i] = value
  end
  return values
end

local function range(values)
  local low, high = math.huge, -math.huge
  for _, v in ipairs(values) do low, high = math.min(low, v), math.max(high, v) end
  return low, high
end

-- --- what is wrong -----------------------------------------------------------------------------------------------------

local function moves(values)
  local low, high = range(values)
  return high - low > 1e-12 * math.max(1, math.abs(high))
end

local function look_at_knob(report, self, stage, name, answer, values)
  local where = ("stage '%s': %s"):format(stage.name, name)
  local adaptive = schedule.is(answer) and (answer.of_batch or tostring(answer):find "confidence")
  local own = stage.knobs[name] ~= nil and values or sample(self, answer, 0, 1) or values  -- the run's answer may rest in one stage
  if schedule.is(answer) and not adaptive and not tonumber(tostring(answer)) and not moves(own) then
    report.refuse("%s: %s has no effect: it is %g throughout; expected a span within the budget", where, tostring(answer), values[1])
  end
  local low, high = range(values)
  if name == "temperature" and (low < 2 or high > 20) then
    report.advise("%s is %g to %g; below 2 the teacher is as good as hard labels, above 20 its signal is too diffuse: 4 to 8 is usual",
      where, low, high)
  elseif name == "alpha" and (low < .2 or high > .95) then
    report.advise("%s is %g to %g; outside of 0.2 to 0.95 one side has nearly no say: 0.5 to 0.8 is usual",
      where, low, high)
  end
  local rises = own[#own] > own[1]
  if adaptive or not moves(own) then return end
  if name == "temperature" and rises or name == "alpha" and not rises then
    report.advise("%s goes from %g to %g; the guides go the other way: temperature high early and low late, alpha towards the labels",
      where, own[1], own[#own])
  end
end

local function look_at_rate(report, self)
  local values = sample(self, self.knobs.lr, 0, 1)
  if not values or not tostring(self.knobs.lr):find "^warm%-up" then return end
  local _, high = range(values)
  if values[POINTS] == high and values[POINTS - 1] < high * (1 - 1e-9) then
    report.refuse("lr never leaves its warm-up: it still rises when the budget ends; expected a shorter warmup or a longer budget")
  end
end

local function look_at_source(report, self, stage, source)
  local share = rawget(source, "share")
  if not share then return end
  local where = ("stage '%s': sample"):format(stage.name)
  local values = sample(self, share, 0, 1)
  if not values then return end
  local low = range(values)
  if not (low > 0) then
    report.refuse("%s: the share begins at or below 0 (%g); expected above 0", where, low)
  elseif values[1] > values[#values] then
    report.refuse("%s: the share of the ranking runs backwards, from %g to %g; expected it to grow "
      .. "(ranked:reversed() begins with the hardest)", where, values[1], values[#values])
  elseif values[#values] < 1 then
    report.advise("%s: the hardest %.0f %% are never shown", where, 100 * (1 - values[#values]))
  end
end

local function look_at_rule(report, self, where, rule)
  if not when.is(rule) or rule.unit ~= "evaluations" or not self.total_steps then return end
  local evaluations = math.floor(self.total_steps / self.eval_steps)
  if rule.limit >= evaluations then
    report.refuse("%s: '%s' can never come true: the budget has %d evaluations; expected evaluate = { steps = … } more often, "
      .. "or less patience", where, tostring(rule), evaluations)
  end
end

local function look_at_whole(report, self, spans)
  local o, unranked, taught = self.o, false, false
  for i, stage in ipairs(self.stages) do
    if spans[i].from >= 1 then
      report.refuse("stage '%s' never begins: the stages before it take the whole budget", stage.name)
    end
    look_at_rule(report, self, ("stage '%s': advance"):format(stage.name), stage.advance)
    local whole = data.is(stage.sample) and stage.sample.difficulty and stage.sample:size() == self.train:size()
    unranked = unranked or not whole
    local alpha = stage.knobs.alpha or self.knobs.alpha
    taught = taught or alpha ~= 1 or stage.pressure or stage.target ~= nil
  end
  look_at_rule(report, self, "patience", self.early)
  look_at_rate(report, self)
  for _, stage in ipairs(#self.stages > 1 and self.stages or {}) do
    if stage.knobs.lr then
      report.advise("stage '%s' has a learning rate of its own; a gain may be the rate's: tune the baseline's as well (arXiv 2308.12202)",
        stage.name)
    end
  end
  if not unranked then
    report.refuse("the ranking has no effect: every stage draws all rows in random order; expected sampler.easiest, or ranked:first(share)")
  end
  if self.state.teacher and not taught then
    report.refuse("the teacher has no effect: alpha is 1 in every stage; expected alpha below 1, or no teacher")
  end
  for _, name in ipairs { "alpha", "temperature", "teacher_temperature", "t2" } do
    local labels_only = not self.state.teacher and not (name == "alpha" and o.alpha == 1)
    for _, stage in ipairs(self.stages) do labels_only = labels_only and stage.target == nil end
    if o[name] ~= nil and labels_only then report.refuse("%s has no effect without a teacher", name) end
  end
end

-- --- the run -----------------------------------------------------------------------------------------------------------

local function draw(report, name, answer, values)
  local text = type(answer) == "number" and ("%g"):format(answer) or not values and "depends on the run"
  if not text then
    text = ("%s  %g … %g"):format(sparkline(values, { width = 40 }), values[1], values[#values])
    if schedule.is(answer) then text = text .. "  (" .. tostring(answer) .. ")" end
  end
  report.line("      %-12s %s", name, text)
end

local function show_stage(report, self, stage, span)
  report.line("    %-14s %s, %d rows%s", stage.name, self.target.text, self.source:size(),
    span.known and (", %.0f %% to %.0f %% of the budget"):format(100 * span.from, 100 * span.to)
      or stage.advance and ", until " .. tostring(stage.advance) or ", to the end")
  for _, name in ipairs { "lr", "temperature", "alpha", "augment" } do
    local answer = stage.knobs[name]
    if answer == nil then answer = self.knobs[name] end
    local used = name == "lr" or name == "augment" and answer ~= 0 or self.target.kind == "logits" and name ~= "augment"
    if used and stage.pressure then
      report.line("      %-12s from pressure", name)
    elseif used then
      local values = sample(self, answer, math.min(span.from, 1), span.to)
      draw(report, name, answer, values)
      if values and span.to > span.from then look_at_knob(report, self, stage, name, answer, values) end
    end
  end
  if sampler.is(self.source) then
    local share = rawget(self.source, "share")
    if share then draw(report, "share", share, sample(self, share, 0, 1)) end
    look_at_source(report, self, stage, self.source)
  end
end

--- Of a batch in so many parts of so many rows, what a dry run does: two parts, few rows.
function dry_run.tiny_batch(parts, rows)
  parts = math.min(parts, 2)
  return parts, math.min(rows, dry_run.BATCH / parts)
end

--- The first rows of validation data; of tokens fewer, since a row is a sequence.
function dry_run.few(d)
  local rows = d.base.masking and math.max(4, math.floor(8 * ROWS / d.base.x:size(1))) or ROWS
  return d:size() > rows and d:subset(ops.arange(rows)) or d
end

--- What run:cached builds: once for all runs of a check whose function and inputs are the same, and nothing is stored.
function dry_run.cached(run, name, fn, ...)
  local built = run.dry.built
  local key = identity("cached", { n = 3, name, fn, { n = select("#", ...), ... } })
  built[key] = built[key] or { fn(...) }
  return unpack(built[key])
end

--- Two steps of each stage of a distillation (called by distill.lua in place of its loop).
function dry_run.distill(self)
  local report, s = self.run.dry, self.state
  self.val = self.val and dry_run.few(self.val)
  for name, suite in pairs(self.suites) do self.suites[name] = dry_run.few(suite) end
  local spans = planned(self)
  local length = self.total_steps and ("%d steps"):format(self.total_steps) or "steps as the budget allows"
  report.line("  %s, batches of %d%s", length, self.batch, self.val and (", an evaluation every %d"):format(self.eval_steps) or "")
  look_at_whole(report, self, spans)
  self.student:train()
  self:benchmark_teacher()
  for i, stage in ipairs(self.stages) do
    self:enter_stage(i)
    show_stage(report, self, stage, spans[i])
    local learnt = false
    for _ = 1, 2 do
      self:one_step(self:pressure(s))
      learnt = learnt or math.abs(self.out.loss:item()) > NOTHING or self.out.norm:item() > NOTHING
      s:count()
      if self.kept then self.kept:keep(s.step, self.student) end
    end
    if not learnt then
      report.refuse("stage '%s': the loss is 0 and has no gradient: nothing is learnt; expected a target that differs from the student",
        stage.name)
    end
  end
  s.progress, s.evaluating = 1, true
  self:evaluate()
  self.feed:rewind()
end

-- Collects lines; tells each refusal and advice once.
local function new_report()
  local report = { refused = 0, told = {} }
  function report.line(text, ...) print(text:format(...)) end
  local function once(kind, text, ...)
    text = text:format(...)
    if report.told[text] then return end
    report.told[text] = true
    print(("    %s: %s"):format(kind, text))
    return true
  end
  function report.refuse(...) if once("refused", ...) then report.refused = report.refused + 1 end end
  function report.advise(...) once("advice", ...) end
  return report
end

local function describe(given)
  local words = {}
  for key, value in pairs(given) do words[#words + 1] = key .. "=" .. tostring(value) end
  table.sort(words)
  return #words > 0 and table.concat(words, " ") or "defaults"
end

--- Checks the script of the command line, whose store is a temporary one. Raises when something was refused.
---@param options table
function dry_run.check(options)
  local experiment_module, params, run_module = require "gradus.experiment", require "gradus.params", require "gradus.run"
  engine.set_threads(options.threads or 1)
  local chunk = host.load_script()
  host.entering(chunk)
  local experiment = chunk()
  if not experiment_module.is(experiment) then
    host.fail "check: the script returns no experiment; expected `return g.experiment { … }`"
  end
  local store, seen, refused, built = require("gradus.store").open(options.store), {}, 0, {}
  options.quiet = true
  for _, one in ipairs(experiment:plan(options)) do
    local label = describe(one.given)
    if not seen[label] then
      seen[label] = true
      print(label)
      local flat = params.resolve(experiment.specs, one.given)
      local run = run_module.begin { store = store, name = experiment.name, seed = one.seed, flat = flat, params = params.nest(flat),
        options = options, label = label }
      run.dry = new_report()
      run.dry.built = built
      run.warn = function(_, _, text) run.dry.refuse("%s", text) end
      host.entering(experiment.run)
      local ok, err = xpcall(experiment.run, host.traceback, run, run.params)
      run:finish(ok and "finished" or "failed")
      if not ok then error(err, 0) end
      refused = refused + run.dry.refused
    end
  end
  if refused > 0 then host.fail(("check: %d setting%s refused"):format(refused, refused == 1 and "" or "s"), 65) end
  print "Nothing to refuse."
end

return dry_run
