--- What the guides advise on a training's settings, as far as that is known before its first step: the rows of their temperature
--- table that fit, rates for the student's size, batch normalisation, patience. `gradus check` says it, a run stores it as events of
--- kind "advice", and --strict refuses what is amiss; what nobody can want is a warning, which check refuses, too.
local ops = require("gradus.engine").ops
local data = require "gradus.data.dataset"
local in_type = require "gradus.base.in_type"
local modes = require "gradus.base.modes"
local nn = require "gradus.nn"
local schedule = require "gradus.curriculum.schedule"
local score = require "gradus.curriculum.score"
local two_sample = require "gradus.training.two_sample"

local advice = {}

---@class Advice
---@field name string       "temperature", "rate", "batch_norm", "patience", "scale" or "parts"
---@field text string
---@field amiss boolean?    the setting is far from what is advised
---@field mistake boolean?  nobody wants it
---@field numbers table     what it was taken from

local SAMPLE, POSITIONS = 256, 4096  -- rows, and positions of sequences, that a teacher is asked for its entropy
local SMALL, LARGE = 1e4, 1e5        -- examples: the guide's small and large data sets
local SURE, UNSURE = .15, .5         -- of the largest entropy: its very confident and its uncertain teacher (ours)
local OF_TEACHER = { "kd", "kl", "reverse_kl", "jsd" }
local OF_ONE_CLASS = { classes = true, soft = true, none = true }  -- kinds of labels whose teachers answer with logits of classes

-- --- temperature ---------------------------------------------------------------------------------------------------------

--- The rows of the guide's temperature table that fit: { why, lowest, highest, what they are for } each. Several do where there are few
--- examples, or a teacher is sure, and may contradict each other; the guide does not say which goes first.
---@param known {rows: number?, entropy: number?, largest: number?, kind: string}  examples, nil of a stream; the teacher's mean entropy
---   and the largest that there is, in nats; kind of labels
function advice.temperature_rows(known)
  local rows, found = known.rows, {}
  local function add(low, high, for_what, why, ...) found[#found + 1] = { why:format(...), low, high, for_what } end
  if rows and rows < SMALL then add(6, 10, "few examples", "%d examples", rows)
  elseif rows and rows > LARGE then add(4, 6, "many examples", "%d examples", rows) end
  if known.entropy then
    local share, text = known.entropy / known.largest, "the teacher's entropy is %.2g of at most %.3g nats"
    if share <= SURE then add(2, 4, "a sure teacher", text, known.entropy, known.largest)
    elseif share >= UNSURE then add(8, 12, "an unsure teacher", text, known.entropy, known.largest) end
  end
  if known.kind == "tokens" then add(8, 16, "generation", "generation") else add(4, 6, "classification", "classification") end
  return found
end

-- Which of the rows have a temperature from low to high: "" where all do.
local function fitting_rows(rows, low, high)
  local names = {}
  for _, one in ipairs(rows) do
    if low <= one[3] and high >= one[2] then names[#names + 1] = one[4] end
  end
  return #names == 0 and ", outside" or #names < #rows and ", as for " .. table.concat(names, " and ") or ""
end

-- The mean entropy of a teacher's answers to some rows, in nats, and the largest that there is; nil where nobody knows it.
local function entropy_of(t, teacher)
  local kind, classes = t.task.kind, t.task.labels.classes
  local d = t.val or data.is(t.train) and t.train
  if not d or not classes or kind == "multilabel" or t.run.dry and t.run.dry.is_made_here(teacher) then return nil end
  local rows = kind == "tokens" and math.max(4, math.floor(POSITIONS / d.base.x:size(1))) or SAMPLE
  local some = d:shuffled(0):subset(ops.arange(math.min(rows, d:size())))
  return some:scores("advice", score.entropy(teacher)):mean():item(), math.log(classes)
end

-- The lowest and the highest number that a knob is given in any stage; nil where one is no number.
local function numbers_of(t, name)
  local low, high = math.huge, -math.huge
  for _, stage in ipairs(t.stages.list) do
    local one = t.stages:answer_in(stage, name)
    if type(one) ~= "number" or stage.pressure then return nil end
    low, high = math.min(low, one), math.max(high, one)
  end
  return low, high
end

local function range(low, high)
  return low == high and ("%g"):format(low) or ("%g to %g"):format(low, high)
end

local function on_temperature(t)
  local teacher = t.given_teacher
  if not nn.is_module(teacher) or t.task.kind == "numbers" or not t.objective:has(OF_TEACHER) then return nil end
  local entropy, largest = entropy_of(t, teacher)
  local rows = data.is(t.train) and t.train:size() or nil
  local fitting = advice.temperature_rows { rows = rows, entropy = entropy, largest = largest, kind = t.task.kind }
  local low, high = numbers_of(t, "temperature")
  local words = {}
  for i, one in ipairs(fitting) do words[i] = ("%s: T %g to %g"):format(unpack(one)) end
  local numbers = { rows = rows, entropy = entropy, largest = largest, temperature = low and range(low, high) or nil }
  return { name = "temperature", numbers = numbers, text = table.concat(words, "; ")
    .. (low and ("; here it is %s%s"):format(range(low, high), fitting_rows(fitting, low, high)) or "") }
end

-- --- the learning rate ---------------------------------------------------------------------------------------------------

local RATES = {  -- parameters below which, lowest, highest, whose word that is
  { 1e6, 1e-3, 1e-2, "as measured here; the guide's 1e-4 to 1e-3 is for larger ones" },
  { 3e8, 1e-4, 1e-3, "the guide's start" },
  { 3e9, 1e-4, 1e-4, "the guide's for about a billion" },
  { math.huge, 1e-4, 1e-3, "the guide's; 1e-3 often works for seven billion" },
}
local FACTOR = 10  -- outside of the range from which it is said that it is
local RUINOUS = 1  -- from this rate of Adam on nearly all short runs of ills.lua were ruined

--- The range of rates of Adam and AdamW for a student of so many parameters, and whose word that is.
---@param parameters number
---@return number lowest
---@return number highest
---@return string whose
function advice.rates(parameters)
  for _, one in ipairs(RATES) do
    if parameters < one[1] then return one[2], one[3], one[4] end
  end
end

--- The range of rates for a training's student, where its optimizer is Adam or AdamW; factor: how many times out of it a rate is far off.
---@param t Training
---@return {low: number, high: number, whose: string, parameters: number, factor: number}?
function advice.rates_of(t)
  local name, parameters = t.updater.optimizer.name, t.student:num_parameters(true)
  if not (name and name:find "^Adam") then return nil end
  local low, high, whose = advice.rates(parameters)
  return { low = low, high = high, whose = whose, parameters = parameters, factor = FACTOR }
end

-- The rate that lr begins or decays from, where it is a number, or one with warm-up and decay.
local function rate_of(t)
  local lr = t.options.lr
  if schedule.is(lr) or type(lr) == "function" then return nil end
  return lr or t.updater.own_lr or 1e-3
end

--- What there is to say of a rate for a training's student.
---@param t Training
---@param rate number?
---@return table?
function advice.on_rate(t, rate)
  local rates, name = advice.rates_of(t), t.updater.optimizer.name
  if not rates or not rate then return nil end
  local parameters, low, high, whose = rates.parameters, rates.low, rates.high, rates.whose
  local numbers = { parameters = parameters, rate = rate, lowest = low, highest = high }
  if rate >= RUINOUS then
    return { name = "rate", amiss = true, mistake = true, numbers = numbers,
      text = ("lr is %g: with %s that ruins nearly every training; expected %s"):format(rate, name, range(low, high)) }
  end
  return { name = "rate", amiss = rate < low / FACTOR or rate > high * FACTOR, numbers = numbers,
    text = ("%d parameters: lr %s (%s); here it is %g"):format(parameters, range(low, high), whose, rate) }
end

-- --- batches and patience --------------------------------------------------------------------------------------------------

local FEW, TOO_FEW = 16, 2  -- rows at a time under batch normalisation

local function normalises_batches(student)
  for _, one in student:named_modules() do
    if nn.class_of(one) == nn.BatchNorm1d or nn.class_of(one) == nn.BatchNorm2d then return true end
  end
  return false
end

local function on_batch_norm(t)
  local pieces = t.options.accumulate or 1
  local rows = math.floor(t.updater.batch / pieces)
  if rows >= FEW or not normalises_batches(t.student) then return nil end
  return { name = "batch_norm", amiss = true, mistake = rows <= TOO_FEW, numbers = { rows = rows },
    text = ("batch normalisation over %d rows at a time is noise, more than statistics: the guide prefers layer normalisation "
      .. "(norm = 'layer'); or %d rows and more"):format(rows, FEW) }
end

-- Of a stream an epoch is a number somebody chose, and in a single epoch patience is less than one.
local function on_patience(t)
  local early, time = t.keeper.early, t.clock
  if not early or not data.is(t.train) then return nil end
  local epochs = early.limit * t.evaluator.every * time.batch / time.epoch_size
  if time.total_steps and time.total_steps * time.batch <= time.epoch_size then return nil end
  local numbers = { evaluations = early.limit, epochs = epochs }
  if epochs >= 1 - 1e-9 then
    return { name = "patience", numbers = numbers, text = ("patience of %d evaluations is %.3g epochs; the guide has 2 to 3, and 5 for "
      .. "more than %d examples"):format(early.limit, epochs, LARGE) }
  end
  return { name = "patience", amiss = true, numbers = numbers,
    text = ("patience of %d evaluations is %.2g of an epoch: many rows were not seen since the best; the guide has 2 to 3 epochs: "
      .. "patience = { epochs = 3 }"):format(early.limit, epochs) }
end

-- --- inputs ------------------------------------------------------------------------------------------------------------------

local FAR = 100  -- times that the deviation of one column is another's, from which it is told

-- Some rows' inputs and labels.
local function sampled(d) return d:shuffled(0):subset(ops.arange(math.min(1000, d:size()))):gather() end

-- Columns of a table whose scales are far apart: a network hears the largest alone for long.
local function on_scale(t)
  local base = data.is(t.train) and t.train.base
  if not base or not base.columns or base.scaling or base.x:size(1) ~= #base.columns then return nil end
  local some = sampled(t.train):double()
  local deviations = some:std({ dim = 0, correction = 0 }):totable()
  local high, low
  for i, one in ipairs(deviations) do
    if one > 0 and (not high or one > deviations[high]) then high = i end
    if one > 0 and (not low or one < deviations[low]) then low = i end
  end
  if not high or deviations[high] < FAR * deviations[low] then return nil end
  return { name = "scale", amiss = true, numbers = { largest = deviations[high], least = deviations[low] },
    text = ("column '%s' varies by %.3g, '%s' by %.3g: the student learns from the larger alone for long; d:split { … }:standardize()")
      :format(base.columns[high], deviations[high], base.columns[low], deviations[low]) }
end

-- Numbers as labels that are far from what a network gives as it comes, which is about 0: it is on its way there for long.
local function on_numbers(t)
  if not data.is(t.train) or t.train.labels.kind ~= "numbers" then return nil end
  local _, y = sampled(t.train)
  local mean, deviation = y:double():mean():item(), y:double():std({ correction = 0 }):item()
  if not (math.abs(mean) + deviation >= FAR or deviation > 0 and deviation <= 1 / FAR) then return nil end
  return { name = "labels", amiss = true, numbers = { mean = mean, deviation = deviation },
    text = ("the labels have mean %.3g and deviation %.3g, and a student begins near 0: it learns little for long; mean 0 and deviation 1: "
      .. "local x, y = d:gather(), g.data.tensors(x, (y - y:mean()) / y:std())"):format(mean, deviation) }
end

-- --- parts of a mixture ----------------------------------------------------------------------------------------------------

local APART = .05       -- p of the two-sample test from which parts are not said to be apart
local LEAST = -1e4      -- of a logit: a class that is excluded
local MOST_PARTS = 8    -- more are rows with numbers of their own

-- What a teacher says of a part's rows: its logits, their mean entropy in nats, and the share of the labels that it agrees with (nil
-- without any).
local function judged(view, teacher)
  local some = view:shuffled(0):subset(ops.arange(math.min(SAMPLE, view:size())))
  local agreed, known, said = 0, 0, {}
  some:each(SAMPLE, function(x, y)
    local logits = modes.evaluating(teacher, in_type, teacher, teacher, x)
    said[#said + 1] = logits:detach():flatten(1):clamp_min(LEAST):cpu()
    if not y then return end
    local class = y:dim() > 1 and y:argmax(-1) or y
    local labelled = class:ge(0)
    agreed = agreed + logits:argmax(-1):eq(class):logical_and(labelled):sum():item()
    known = known + labelled:sum():item()
  end, teacher:device())
  return ops.cat(said, 0), some:scores("advice", score.entropy(teacher)):mean():item(), known > 0 and agreed / known or nil
end

-- How far a part's answers are from the first part's, in words, with MMD² and p; "" where there is nothing to compare.
local function apart(first, own)
  if first:size(0) < 2 or own:size(0) < 2 or not (first:isfinite():all():item() and own:isfinite():all():item()) then return "" end
  local found = two_sample(first, own)
  local words = found.p <= APART and "its answers differ from those on part 1" or "its answers are not shown to differ from those on part 1"
  return (", %s (two-sample test: MMD² %.2g, p %.2g)"):format(words, found.mmd2, found.p), found
end

-- What the stage draws from, part by part, or else the parts whose labels its alpha weighs apart; nil where nothing is mixed.
local function parts_of(t)
  local alpha = t.stages:answer_in(t.stages.stage, "alpha")
  return rawget(t.feed.source, "parts") or schedule.is(alpha) and rawget(alpha, "parts") or nil
end

--- How far the parts of a mixture are apart, such as synthetic and real data, by what the teacher makes of them: its entropy, its
--- agreement with the labels, and a two-sample test of its logits against those on the first part. nil where nothing is mixed, or no
--- teacher could tell.
---@param t Training  in a stage
---@return Advice?
function advice.on_parts(t)
  local teacher, parts = t.given_teacher, parts_of(t)
  if not parts or #parts < 2 or #parts > MOST_PARTS or not nn.is_module(teacher) or not OF_ONE_CLASS[t.task.kind] then return nil end
  if t.run.dry and t.run.dry.is_made_here(teacher) then return nil end
  local words, numbers, first = {}, {}, nil
  for i, part in ipairs(parts) do
    local logits, entropy, agreement = judged(part[1], teacher)
    numbers["rows_" .. i], numbers["entropy_" .. i], numbers["agreement_" .. i] = part[1]:size(), entropy, agreement
    local text, found = "", nil
    if first then text, found = apart(first, logits) end
    if found then numbers["mmd2_" .. i], numbers["p_" .. i] = found.mmd2, found.p end
    first = first or logits
    words[i] = ("part %d (%d rows): the teacher's entropy %.2g nats%s%s"):format(i, part[1]:size(), entropy,
      agreement and (", it agrees with %.1f %% of the labels"):format(100 * agreement) or ", no labels", text)
  end
  return { name = "parts", numbers = numbers, text = table.concat(words, "; ") }
end

-- --- all of it -------------------------------------------------------------------------------------------------------------

--- What is advised on a training, before its first step.
---@param t Training
---@return Advice[]
function advice.on(t)
  local list = {}
  local function on_rate() return advice.on_rate(t, rate_of(t)) end
  for _, ask in ipairs { on_temperature, on_rate, on_batch_norm, on_patience, on_scale, on_numbers } do list[#list + 1] = ask(t) end
  return list
end

--- Bytes of what stays in memory through a training: weights, gradients, the optimizer's tensors and the best weights, the teacher, the
--- data; without batches and what a step makes of them.
---@param t Training
---@return number
function advice.bytes(t)
  local optimizer, weights, sum = t.updater.optimizer, 4 * t.student:num_parameters(), 0
  for _, one in pairs(optimizer.state_dict and optimizer:state_dict() or {}) do
    if type(one) ~= "table" then sum = sum + one:nbytes() end
  end
  sum = sum + 2 * weights + (t.keeper.restores and weights or 0)
  if t.evaluator.teacher then sum = sum + 4 * t.evaluator.teacher:num_parameters() end
  local counted = {}
  for _, d in ipairs { t.train, t.val } do
    if data.is(d) and not counted[d.base] then
      counted[d.base] = true
      sum = sum + d.base.x:nbytes() + (d.base.y and d.base.y:nbytes() or 0)
    end
  end
  return sum
end

--- Stores pieces of it.
---@param t Training
---@param list Advice[]
---@param again? boolean  what the training was told before is left out, unless it is strict
function advice.store(t, list, again)
  for _, one in ipairs(list) do
    local where, news = t.where .. ": ", t.reporter:is_news(one.text)
    if one.amiss then t.reporter:blame(one.text) end
    if not again or news or one.amiss and t.run.options.strict then
      if one.mistake then t.run:warn(one.name, where .. one.text)
      else t.run:advise(one.name, one.text, one.numbers, one.amiss and where) end
    end
  end
end

return advice
