--- `gradus check SCRIPT`: a dry run. Two steps of each stage of each of the script's curricula, on few validation rows and
--- with teachers of two steps; then every schedule drawn over the planned steps (plan.lua), and what honest.lua refuses or
--- advises. Nothing is stored.
local engine = require "gradus.engine"
local children = require "gradus.children"
local host = require "gradus.host"
local tensor_comparisons = require "gradus.experiment.tensor_comparisons"
local data = require "gradus.data.dataset"
local advice = require "gradus.training.advice"
local beginning = require "gradus.training.beginning"
local forecast = require "gradus.experiment.forecast"
local honest = require "gradus.experiment.honest"
local identity = require "gradus.training.identity"
local is_news = require "gradus.base.news"
local plan = require "gradus.experiment.plan"
local results = require "gradus.experiment.results"
local sampler = require "gradus.curriculum.sampler"
local schedule = require "gradus.curriculum.schedule"
local sparkline = require "gradus.base.sparkline"
local taken_by = require "gradus.base.taken_by"

local ops = engine.ops
local dry_run = { BATCH = 8 }  -- rows of a training batch at most

local ROWS = 64      -- of validation data and suites
local NOTHING = 1e-6 -- a loss, or a gradient's norm, that is rounding alone

-- --- what is shown -----------------------------------------------------------------------------------------------------

-- The bars begin at 0, so that a small change looks small.
local function draw(report, name, answer, values, from)
  local own = schedule.is(answer) and answer.of_batch
  local text = type(answer) == "number" and ("%g"):format(answer) or own and "one for each example" or not values and "depends on the run"
    or ("%s  %g … %g"):format(sparkline(values, { low = math.min(0, unpack(values)), width = 40 }), values[1], values[#values])
  if from then text = text .. "  (" .. from .. ")"
  elseif schedule.is(answer) then text = text .. "  (" .. tostring(answer) .. ")" end
  report.line("      %-12s %s", name, text)
end

local function draw_sample(report, the, i)
  local source, span = the.seen[i].source, the.spans[i]
  local share = sampler.is(source) and rawget(source, "share")
  if share then draw(report, "share", share, the:values(share, span.from, span.to, i)) end
  local parts = sampler.is(source) and rawget(source, "parts")
  local shares = parts and the:mixture(parts, i)
  for k, part in ipairs(parts or {}) do draw(report, "share " .. k, part, shares[k], ("of %d rows"):format(part[1]:size())) end
  if type(the.run.stages[i].sample) == "function" and not share and not parts then
    draw(report, "share", nil, (the:rows(i)), "of the training set")
  end
end

local function show_stage(report, the, i)
  local stage, one, span = the.run.stages[i], the.seen[i], the.spans[i]
  local begins = span.from < 1
  report.line("    %-14s %s, %d rows%s", stage.name, one.target.text, one.rows, not begins and ", never begins"
    or span.known and (", %.0f %% to %.0f %% of the budget"):format(100 * span.from, 100 * span.to)
    or stage.advance and ", until " .. (type(stage.advance) == "function" and "a function says so" or tostring(stage.advance))
    or ", to the end")
  if not begins then return end
  for _, name in ipairs { "lr", "temperature", "alpha", "augment" } do
    local knob = one.knobs[name]
    if knob.used then draw(report, name, knob.answer, knob.values, knob.pressure and "from pressure") end
  end
  draw_sample(report, the, i)
end

local function show_length(report, self, total)
  local length = self.total_steps and ("%d steps"):format(self.total_steps) or total and ("about %d steps"):format(total)
    or "steps as the budget allows"
  report.line("  %s, batches of %d%s", length, self.batch, self.val and (", an evaluation every %d"):format(self.eval_steps) or "")
end

-- --- the run -----------------------------------------------------------------------------------------------------------

--- Of a batch in so many parts of so many rows, what a dry run does: two parts, few rows, of long sequences one each.
---@param like Dataset?  of which the rows are like the batch's
function dry_run.tiny_batch(parts, rows, like)
  parts = math.min(parts, 2)
  local most = dry_run.BATCH
  if data.is(like) and like.base.masking then
    most = math.max(parts, math.min(most, math.floor(8 * most / like.base.x:size(1))))
  end
  return parts, math.min(rows, math.floor(most / parts))
end

--- The first rows of validation data; of tokens fewer, since a row is a sequence.
function dry_run.few(d)
  local rows = d.base.masking and math.max(4, math.floor(8 * ROWS / d.base.x:size(1))) or ROWS
  return d:size() > rows and d:subset(ops.arange(rows)) or d
end

-- Two steps of a stage; what was seen of it. A dry run's batch has few rows, so its cost is scaled to a full one's.
local function walk(t, i)
  local learnt, s = false, t.s
  t:enter(i)
  if i == 1 then beginning.weigh_step(t) end
  local seen = { target = t.teacher.target, source = t.feed.source, rows = t.feed:rows() }
  for _ = 1, 2 do
    t:step_once(t.stages:ask_knobs(s, function() return false end))
    learnt = learnt or math.abs(t.out.loss:item()) > NOTHING or t.out.norm:item() > NOTHING
    t.keeper:keep(s.step)
  end
  seen.learnt = learnt
  seen.flops = (t.clock.cost.step + t.clock.cost.teacher) * t.updater.batch / (t.updater.pieces * t.updater.rows)
  return seen
end

-- What the guides advise: where the settings fit it is only said.
local function show_advice(report, t)
  local list = advice.on(t)
  list[#list + 1] = advice.on_parts(t)
  for _, one in ipairs(list) do
    local text = one.name:gsub("_", " ") .. ": " .. one.text
    if one.mistake then report.refuse("%s", text)
    elseif one.amiss then report.outside("%s", text)
    else report.line("    guide: %s", text) end
  end
end

-- Parameters that the last stage's loss does not reach: a module that forward forgets.
local function name_unused(report, t)
  local goal, numbers = t.teacher.target, t.stages:numbers()
  if goal.kind == "layer" or not numbers or not t.objective.plain then return end
  local b = t.feed:next(0)
  local unused = t.student:unused_parameters(t.task:kd(t.student(taken_by(t.student, b.x)), b, numbers, t.objective.options).loss)
  if #unused == 0 then return end
  local some = table.concat(unused, ", ", 1, math.min(4, #unused))
  report.advise("parameters that the loss does not reach, so they are never trained: %s%s", some,
    #unused > 4 and (" and %d more"):format(#unused - 4) or "")
end

--- Two steps of each stage of a training in place of its loop, then what is planned and thought of it.
---@param t Training
local function train(report, t)
  local seen, evaluator = {}, t.evaluator
  for name, suite in pairs(evaluator.suites) do evaluator.suites[name] = dry_run.few(suite) end
  t:baselines()
  for i in ipairs(t.stages.list) do
    seen[i] = walk(t, i)
    if i == 1 then t:evaluate() end  -- what later stages' functions may ask for
  end
  name_unused(report, t)
  local self = plan.subject(t)
  local the = plan.new(self, seen)
  show_length(report, self, the.total)
  report.line("    forecast: %s", forecast.text(t, the))
  show_advice(report, t)
  for i, stage in ipairs(self.stages) do
    show_stage(report, the, i)
    honest.stage(report, the, i)
    honest.reach(report, stage, seen[i].target)
    if not seen[i].learnt then
      report.refuse("stage '%s': the loss is 0 and has no gradient: nothing is learnt; expected a target that differs from the student",
        stage.name)
    end
  end
  honest.whole(report, the)
  t.clock.counts.progress, t.s.evaluating = 1, true
  t:evaluate()
  t.feed:rewind()
end

--- What a run asks of its dry run, added to a report: { line =, refuse =, outside =, advise = }.
function dry_run.serve(report)
  report.built = report.built or {}
  report.made = report.made or {}  -- models of two steps of training
  function report.stops(_, ...) report.refuse(...) end
  function report.few(d) return dry_run.few(d) end
  function report.rows(size) return math.min(size, dry_run.BATCH) end
  function report.train(t)
    t:borrow(function() train(report, t) end)
    report.made[t.student] = true
  end
  function report.is_made_here(module) return report.made[module] ~= nil end
  function report.shrink(t)
    local parts, rows = dry_run.tiny_batch(t.updater.pieces, t.updater.rows, t.val)
    t.updater:shrink(parts, rows)
    t.val = t.val and dry_run.few(t.val)
  end
  function report.cached(name, fn, ...)
    local key = identity("cached", { n = 3, name, fn, { n = select("#", ...), ... } })
    report.built[key] = report.built[key] or { fn(...) }
    return unpack(report.built[key])
  end
  return report
end

-- Collects lines; tells each refusal and advice once.
local function new_report()
  local report = { refused = 0, told = {} }
  function report.line(text, ...) print(text:format(...)) end
  local function once(kind, text, ...)
    text = text:format(...)
    if not is_news(report.told, text) then return end
    print(("    %s: %s"):format(kind, text))
    return true
  end
  function report.refuse(...) if once("refused", ...) then report.refused = report.refused + 1 end end
  function report.outside(...) once("advice, which --strict refuses", ...) end
  function report.advise(...) once("advice", ...) end
  return report
end

local function describe(given)
  local words = {}
  for key, value in pairs(given) do words[#words + 1] = key .. "=" .. tostring(value) end
  table.sort(words)
  return #words > 0 and table.concat(words, " ") or "defaults"
end

-- One run of the script's plan, with what those before it have built. Returns how many settings were refused.
local function check_one(options, store, experiment, one, label, shared)
  local params = require "gradus.experiment.params"
  local flat = params.resolve(experiment.specs, one.given)
  local run = require("gradus.experiment.run").begin { store = store, name = experiment.name, seed = one.seed, flat = flat,
    params = params.nest(flat), options = options, label = label }
  run.dry = dry_run.serve(new_report())
  run.dry.built, run.dry.made = shared.built, shared.made
  run.warn = function(_, _, text) run.dry.refuse("%s", text) end
  host.entering(experiment.run)
  local ok, returned = tensor_comparisons.watch(function(text) run.dry.refuse("%s", text) end, experiment.run, run, run.params)
  run:finish(ok and "finished" or "failed")
  if not ok then error(returned, 0) end
  local _, _, problems = results.sort(returned)
  for _, problem in ipairs(problems) do run.dry.refuse("run: %s", problem) end
  return run.dry.refused
end

--- Checks the script of the command line, whose store is a temporary one. Ends the program with code 65 where something was refused.
---@param options table
function dry_run.check(options)
  engine.set_threads(options.threads or 1)
  local chunk = host.load_script()
  host.entering(chunk)
  local experiment = chunk()
  if not require("gradus.experiment.experiment").is(experiment) then
    host.fail "check: the script returns no experiment; expected `return g.experiment { … }`"
  end
  local store, seen, refused, shared = require("gradus.store").open(options.store), {}, 0, { built = {}, made = {} }
  options.quiet = true
  for _, one in ipairs(experiment:plan(options)) do
    local label = describe(one.given)
    if not seen[label] then
      seen[label] = true
      print(label)
      refused = refused + check_one(options, store, experiment, one, label, shared)
      local stopped = children.stop_code()
      if stopped ~= 0 then os.exit(stopped) end
    end
  end
  if refused > 0 then  -- an error would name a line, and not one that is to blame
    io.stderr:write(("check: %d setting%s refused\n"):format(refused, refused == 1 and "" or "s"))
    os.exit(65)
  end
  print "Nothing to refuse."
end

return dry_run
