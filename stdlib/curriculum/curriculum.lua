--- Curricula: four questions, each answered by a constant, a schedule or a function of the run's state.
---   sample    which examples        (sampler.lua)          target   what is imitated       (target.lua)
---   pressure  how strongly: temperature, alpha, augment, lr  advance  when to go on         (when.lua)
--- Three ways to write one, all of which `run:distill { curriculum = … }` takes:
---   "linear_ramp" or curriculum.linear_ramp(ranked)         a named strategy
---   { { "easy", sample = …, temperature = 6, advance = … }, { "hard", … } }     stages
---   { sample = f, target = f, pressure = f, advance = f }                       four functions of the state
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local checkpoints = require "gradus.base.checkpoints"
local current = require "gradus.base.current"
local data = require "gradus.data.dataset"
local is_module = require("gradus.nn.module").is_module
local sampler = require "gradus.curriculum.sampler"
local schedule = require "gradus.curriculum.schedule"
local score = require "gradus.curriculum.score"
local target = require "gradus.curriculum.target"
local when = require "gradus.curriculum.when"

local curriculum = {}

local KNOBS = { "temperature", "alpha", "augment", "lr" }
local STAGE = { 1, "name", "sample", "target", "pressure", "advance", "temperature", "alpha", "augment", "lr", "train",
  "losses", "defaults" }

---@class Stage
---@field name string
---@field sample any      data set, source or function of the state; nil: the whole training set
---@field target any      what is imitated (g.target); nil: the teacher
---@field knobs table     temperature, alpha, augment, lr and, as `losses`, weights of the loss's terms: number, schedule or function
---@field pressure? fun(s: State): table   knobs once per step, over the others
---@field said_by table    knob -> which option of the stage gave it, where that is not its own name
---@field train? string[]  paths of the student's modules that are trained; nil: all that the loss reaches
---@field advance? any    rule or function of the state

local function stage_of(given, i, count)
  local where = count > 1 and ("curriculum: stage %d"):format(i) or "curriculum"
  check.options(where, given, STAGE)
  local name = given[1] or given.name or (count > 1 and "stage " .. i or "all")
  if type(name) ~= "string" or name == "" then host.fail(where .. ": name: expected a text; got " .. check.describe(name)) end
  local stage = { name = name, sample = given.sample, target = given.target, advance = given.advance, train = given.train, knobs = {},
    said_by = {} }
  if given.train ~= nil and not check.list(check.string).test(given.train) then
    host.fail(where .. ": train: expected a list of the student's modules, such as { 'layers.0' }; got " .. check.describe(given.train))
  end
  for _, knob in ipairs(KNOBS) do
    if given[knob] ~= nil then stage.knobs[knob] = schedule.check(("%s: %s"):format(where, knob), given[knob]) end
  end
  for term, weight in pairs(given.losses == nil and {} or check.value(where, "losses", given.losses, check.table)) do
    stage.knobs[term] = schedule.check(("%s: losses.%s"):format(where, tostring(term)), weight)
  end
  if given.pressure ~= nil and type(given.pressure) ~= "function" then
    check.value(where, "pressure", given.pressure, check.table)
    for knob, answer in pairs(given.pressure) do
      stage.knobs[knob] = schedule.check(("%s: pressure.%s"):format(where, knob), answer)
      stage.said_by[knob] = ": pressure"
    end
  else
    stage.pressure = given.pressure
  end
  if given.advance ~= nil and not when.is(given.advance) and type(given.advance) ~= "function" then
    host.fail(("%s: advance: expected a rule such as when.plateau('val/loss', 3) or a function of the state; got %s")
      :format(where, type(given.advance)))
  end
  return stage
end

-- Tables and commands tell stages by their names.
local function check_names(stages)
  local first = {}
  for i, stage in ipairs(stages) do
    local other = first[stage.name]
    if other then
      host.fail(("curriculum: stage %d: name: expected one of its own; got '%s', which is stage %d's"):format(i, stage.name, other))
    end
    first[stage.name] = i
  end
end

--- The stages of a curriculum, and the distillation options that a named strategy brings along.
---@param given any            what the user wrote
---@param context {train: Dataset, teacher: Module?}
---@return Stage[] stages
---@return table defaults
function curriculum.normalise(given, context)
  if type(given) == "string" then
    local make = curriculum.named[given]
    if not make then
      host.fail(("curriculum: no strategy '%s'; %s"):format(given, check.suggest(given, curriculum.names)))
    end
    given = make(context)
  end
  if not given then return { stage_of({}, 1, 1) }, {} end
  if type(given) ~= "table" then
    host.fail(("curriculum: expected a strategy's name, a list of stages or a table of answers; got %s"):format(type(given)))
  end
  if type(given[1]) ~= "table" then return { stage_of(given, 1, 1) }, given.defaults or {} end
  local stages = {}
  check.items("curriculum", given, { defaults = true })
  for i, one in ipairs(given) do
    if type(one) ~= "table" then host.fail(("curriculum: stage %d: expected a table; got %s"):format(i, type(one))) end
    stages[i] = stage_of(one, i, #given)
  end
  check_names(stages)
  for i = 1, #stages - 1 do
    if not stages[i].advance then
      host.fail(("curriculum: stage %d '%s' has no advance rule, so '%s' would never begin; expected advance = when.…")
        :format(i, stages[i].name, stages[i + 1].name))
    end
  end
  return stages, given.defaults or {}
end

-- --- named strategies --------------------------------------------------------------------------------------------------

local function ranked_of(where, d)
  if not data.is(d) then host.fail(("curriculum.%s: expected a ranked data set; got %s"):format(where, type(d))) end
  return d
end

local SHARE = check.number(1e-9, 1)  -- of the rows, or of the budget

--- S7: one-shot distillation, the baseline: all examples, the final teacher, one temperature.
function curriculum.one_shot() return {} end

--- S1: linear difficulty ramp. The easiest share grows in equal levels from `start` to everything at `full` of the
--- budget; T constant; augmentation low to high, along with the difficulty. every: instead of levels, the share grows so often.
---@param ranked Dataset
---@param options? {start: number, full: number, levels: number, every: table, augment: number}  every: { epochs = } or { steps = }
function curriculum.linear_ramp(ranked, options)
  options = check.options("curriculum.linear_ramp", options, { start = SHARE, full = SHARE, levels = check.int(2),
    every = check.table, augment = check.number(0, 1) })
  if options.levels and options.every then host.fail "curriculum.linear_ramp: expected levels or every; got both" end
  ranked_of("linear_ramp", ranked)
  local full = options.full or .6
  local highest = options.augment or .5
  local start = options.start or .2
  return {
    sample = sampler.easiest(ranked, options.every and schedule.linear(start, 1, { to = full, every = options.every })
      or schedule.staircase(start, 1, options.levels or 5, { to = full })),
    augment = highest > 0 and schedule.linear(0, highest, { to = full }) or 0,
  }
end

--- S2: confidence-based sampling with adaptive temperature: examples are drawn by the student's confidence in them, T falls
--- from `unsure` to `sure` as the student grows confident, augmentation steady and moderate.
---@param d Dataset
---@param options? {unsure: number, sure: number, augment: number, start: Dataset}  start: a ranking, as sampler.confidence takes it
function curriculum.confidence(d, options)
  options = check.options("curriculum.confidence", options, { unsure = check.above(0), sure = check.above(0),
    augment = check.number(0, 1), start = check.any })
  return { sample = sampler.confidence(ranked_of("confidence", d), { start = options.start }),
    temperature = schedule.by_confidence(options.unsure or 6, options.sure or 2), augment = options.augment or .3 }
end

--- S3: multi-stage distillation, Easy → Medium → Hard: T high early and low late, augmentation heavy early. A stage ends
--- when the validation loss is flat for three evaluations, at the latest at its share of the budget.
---@param ranked Dataset
---@param options? {shares: number[], temperatures: number[], augment: number[], until_: number[]}
function curriculum.multi_stage(ranked, options)
  options = check.options("curriculum.multi_stage", options, { shares = check.list(SHARE), temperatures = check.list(check.above(0)),
    augment = check.list(check.number(0, 1)), until_ = check.list(check.number(0, 1)) })
  ranked_of("multi_stage", ranked)
  local shares = options.shares or { .3, .7, 1 }
  local temperatures = options.temperatures or { 6, 4, 2 }
  local augment = options.augment or { .8, .5, .2 }
  local ends = options.until_ or { .3, .6 }
  for name, list in pairs { temperatures = temperatures, augment = augment, until_ = ends } do
    local wanted = name == "until_" and #shares - 1 or #shares
    if #list ~= wanted then check.fail("curriculum.multi_stage", "'%s': expected a list of %d, one for each stage%s; got %d", name, wanted,
      name == "until_" and " but the last" or "", #list) end
  end
  local names = #shares == 3 and { "easy", "medium", "hard" } or {}
  local stages = {}
  for i, share in ipairs(shares) do
    stages[i] = { names[i] or "stage " .. i, sample = ranked:first { share = share }, temperature = temperatures[i], augment = augment[i],
      advance = i < #shares and when.any(when.plateau("val/loss", 3), when.progress(ends[i])) or nil }
  end
  return stages
end

--- S10: the full transfer loop of the guide: α = 0.7, T = 4, AdamW, warm-up then linear decay, clipping at 1, early stopping
--- with patience 3 and the best checkpoint restored.
function curriculum.transfer_loop()
  return { alpha = .7, temperature = 4, defaults = { optimizer = "AdamW", weight_decay = .01, clip = 1,
    warmup = { epochs = 1 }, decay = "linear", patience = 3, restore_best = true } }
end

-- The rule that ends a stage of so many steps, FLOPs, …; `before` is the share of the budget that earlier stages have.
local LENGTHS = { "steps", "flops", "samples", "epochs", "seconds" }
local function length_rule(where, given, before)
  if given.advance ~= nil then return given.advance, before end
  for _, unit in ipairs(LENGTHS) do
    if given[unit] ~= nil then return when[unit](given[unit]), before end
  end
  if type(given.share) == "number" and given.share > 0 and before + given.share < 1 then
    return when.progress(before + given.share), before + given.share
  end
  host.fail(("%s: how long? expected steps, flops, samples, epochs, seconds, a share of the budget or an advance rule"):format(where))
end

--- S6: curriculum extraction (Gupta & Karmalkar 2025). The student's layers are aligned in order, by mean squared error, with
--- fixed random projections of the teacher's; then it learns from the teacher's logits, by the run's own loss, so that strategies
--- compare: alpha = 0, temperature = 1 make it the published KL alone. See target.layer.
---   curriculum.extraction { teacher = t, layers = { { from = "layers.1", to = "layers.0", steps = 7200 } } }
--- A layer's length is steps, flops, samples, epochs, seconds, share (of the budget) or a rule `advance`; `train` names what
--- it trains, all up to the layer when left out; `lr` is its learning rate, the run's when left out. The error is a mean over
--- units too, so plain SGD wants a rate some ten times that of the logits.
---   projection = "shared": one matrix for all layers of the same widths. In a transformer each layer adds to what the one before
--- gave; with matrices of their own ("own", the default) a layer must take that back before it can be another projection.
---@param options {teacher: Module, layers: table[], seed: number?, normalise: boolean?, reach: boolean?, projection: string?}
function curriculum.extraction(options)
  options = check.options("curriculum.extraction", options, { "teacher", "layers", "seed", "normalise", "reach", "projection" })
  local shared = check.value("curriculum.extraction", "projection", options.projection or "own", check.choice("own", "shared")) == "shared"
  if type(options.layers) ~= "table" or #options.layers == 0 then
    host.fail "curriculum.extraction: layers: expected { { from = …, to = …, steps = … }, … }"
  end
  local stages, used = {}, 0
  check.items("curriculum.extraction: layers", options.layers)
  for i, layer in ipairs(options.layers) do
    local where = ("curriculum.extraction: layer %d"):format(i)
    check.options(where, layer, { "from", "to", "steps", "flops", "samples", "epochs", "seconds", "share", "advance", "train", "lr" })
    local rule
    rule, used = length_rule(where, layer, used)
    local seed = engine.data.derive_seed(options.seed or current.stream "projection", "layer", shared and 1 or i)
    stages[i] = { ("layer %d"):format(i), train = layer.train, lr = layer.lr, advance = rule,
      target = target.layer { teacher = options.teacher, from = layer.from, to = layer.to, seed = seed, normalise = options.normalise,
        reach = options.reach } }
  end
  stages[#stages + 1] = { "logits", target = options.teacher }
  return stages
end

--- S8: progressive distillation (Panigrahi et al. 2024). The student learns from the checkpoints that were kept while the
--- teacher trained, one after the other, and at last from the teacher. Each lasts so many steps, flops, …, an equal part of
--- `share` of the budget, or until `advance`, such as when.saturated "val/acc".
---   curriculum.progressive { teacher = t, checkpoints = kept, steps = 4000 }
---@param options {teacher: Module, checkpoints: Checkpoints, count: number?}  count: no more than so many, evenly chosen
function curriculum.progressive(options)
  options = check.options("curriculum.progressive", options, { "teacher", "checkpoints", "count", "steps", "flops", "samples", "epochs",
    "seconds", "share", "advance" })
  if not checkpoints.is(options.checkpoints) then
    host.fail "curriculum.progressive: checkpoints: expected what run:fit { checkpoints = { steps = … } } keeps"
  end
  if not is_module(options.teacher) then
    check.fail("curriculum.progressive", "teacher: expected the module that was trained; got %s", check.describe(options.teacher))
  end
  local kept = options.count and options.checkpoints:thin(options.count + 1) or options.checkpoints
  local storage, before = options.teacher:clone(), kept:count() - 1  -- the last is the teacher
  if before < 1 then host.fail "curriculum.progressive: only the final teacher was kept; expected more checkpoints" end
  local length, used, stages = {}, 0, {}
  for key, value in pairs(options) do length[key] = value end
  length.share = options.share and options.share / before
  for i = 1, before do
    local rule
    rule, used = length_rule("curriculum.progressive", length, used)
    stages[i] = { ("checkpoint %d"):format(i), target = target.checkpoint(storage, kept, i), advance = rule }
  end
  stages[#stages + 1] = { "teacher", target = options.teacher }
  return stages
end

--- Control: the ramp over a random order.
function curriculum.random_order(d, options)
  return curriculum.linear_ramp(ranked_of("random_order", d):shuffled(), options)
end

--- Control: the ramp from hard to easy.
function curriculum.anti(ranked, options)
  return curriculum.linear_ramp(ranked_of("anti", ranked):reversed(), options)
end

local function by_teacher_loss(context)
  if not context.teacher then
    host.fail "curriculum: a strategy by name ranks by the teacher's loss; expected a teacher, or curriculum.linear_ramp(ranked)"
  end
  return context.train:rank(score.loss(context.teacher))
end

-- Options of a strategy by name: tokens and other whole numbers are not augmented.
local function options_for(context, none)
  local train = context.train
  local whole = train.labels and train.labels.kind == "tokens" or data.is(train) and not train.base.x.dtype:find "float"
  return whole and { augment = none } or nil
end

curriculum.named = {
  one_shot = curriculum.one_shot,
  transfer_loop = curriculum.transfer_loop,
  confidence = function(context) return curriculum.confidence(context.train, options_for(context, 0)) end,
  random_order = function(context) return curriculum.random_order(context.train, options_for(context, 0)) end,
  linear_ramp = function(context) return curriculum.linear_ramp(by_teacher_loss(context), options_for(context, 0)) end,
  multi_stage = function(context) return curriculum.multi_stage(by_teacher_loss(context), options_for(context, { 0, 0, 0 })) end,
  anti = function(context) return curriculum.anti(by_teacher_loss(context), options_for(context, 0)) end,
}
curriculum.names = {}
for name in pairs(curriculum.named) do curriculum.names[#curriculum.names + 1] = name end
table.sort(curriculum.names)

return curriculum
