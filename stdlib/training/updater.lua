--- The updater: optimizer, learning rate, clipping, accumulation over parts of a batch, and what follows a NaN. It makes the step that
--- the training runs from the objective's outputs, and takes it once or many times over.
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local accumulate = require "gradus.training.accumulate"
local clock = require "gradus.curriculum.clock"
local finite = require "gradus.training.finite"
local optim = require "gradus.optim.optimizer"
local schedule = require "gradus.curriculum.schedule"
local sorted_keys = require "gradus.base.sorted_keys"
local weights = require "gradus.base.weights"

local updater = {}

---@class Updater
---@field optimizer Optimizer
---@field own_lr number?         the optimizer's own, where it has one
---@field clip number|nil       largest gradient norm
---@field pieces number         parts of a batch, one after the other; rows: of each
---@field policy string         what follows a batch that is not finite: "stop", "skip" or "roll_back"
---@field met number            such batches in a row
---@field flops number?          floating-point operations of a step, once one was taken; the teacher's apart
local Updater = {}
Updater.__index = Updater

-- --- settings ------------------------------------------------------------------------------------------------------------

local NAMES = check.choice("AdamW", "Adam", "SGD")
local DECAYS = { "constant", "linear", "cosine", "exponential", "step" }

-- The decay from `lr`, which begins where the warm-up ends (torch's LambdaLR of the guides, and BERT's).
local function decayed(where, decay, lr, rest)
  if decay == "constant" then return lr end
  if decay == "linear" then return schedule.linear(lr, 0, rest) end
  if decay == "cosine" then return schedule.cosine(lr, 0, rest) end
  if decay == "exponential" then return schedule.exponential(lr, lr / 100, rest) end
  if decay == "step" then return schedule.pieces { { 0, lr }, { .5, lr * .1 }, { .75, lr * .01 } } end
  host.fail(("%s: decay: expected '%s'; got %s"):format(where, table.concat(DECAYS, "', '"), check.describe(decay)))
end

--- lr as one answer: a number with warm-up and decay (.05 of the budget and cosine where nothing is said), or a schedule.
function updater.learning_rate(where, o, own)
  local lr = o.lr
  if lr == nil then lr = own or 1e-3 end
  schedule.check(where .. ": lr", lr)
  local plain = type(lr) == "number"
  if plain then clock.positive(where .. ": lr", lr) end
  local decay = o.decay or (plain and "cosine" or "constant")
  if decay ~= "constant" and not plain then
    host.fail(where .. ": decay: lr is a schedule already; expected decay = 'constant' or a number as lr")
  end
  local warmup = o.warmup
  if warmup == nil then warmup = plain and .05 or false end
  if warmup == 0 then warmup = false end
  if warmup then schedule.warmup(1, warmup) end  -- blamed by its own name, before a decay is made of it
  lr = decayed(where, decay, lr, warmup and warmup ~= 1 and { from = warmup } or nil)
  return warmup and schedule.warmup(lr, warmup) or lr
end

-- All that is trained: the student's parameters, then those of the objective's modules, in the order of their names.
local function trained(student, modules)
  local names, params = sorted_keys(modules), student:parameters()
  local own = {}
  for _, p in ipairs(params) do own[p] = true end
  for _, name in ipairs(names) do
    for _, p in ipairs(modules[name]:parameters()) do
      if not own[p] then params[#params + 1] = p end
      own[p] = true
    end
  end
  return params, #names > 0
end

local function check_own(where, given, o, params)
  if o.weight_decay ~= nil then
    host.fail(where .. ": weight_decay has no effect beside an optimizer of your own; expected it among the optimizer's options")
  end
  local held = {}
  for _, p in ipairs(given.params) do held[p] = true end
  for i, p in ipairs(params) do
    if p.requires_grad and not held[p] then
      host.fail(("%s: optimizer: parameter %d of %d, %s, is not among the optimizer's; expected it over the student and losses' modules")
        :format(where, i, #params, check.describe(p)))
    end
  end
  return given
end

--- What an optimizer of the script's own trains beside the student and the losses' modules, as a module is asked for its weights; nil of
--- nothing.
---@param modules table<string, Module>
function Updater:others(modules)
  local own, state = {}, {}
  for _, p in ipairs((trained(self.student, modules))) do own[p] = true end
  for i, p in ipairs(self.optimizer.params) do
    if p.requires_grad and not own[p] then state[tostring(i)] = p end
  end
  if next(state) == nil then return nil end
  return { state_dict = function() return state end,
    load_state_dict = function(_, kept) weights.load("optimizer", state, kept, true) end }
end

-- "SGD", { "SGD", momentum = .9 }, or an optimizer over what is trained. Returns it and the learning rate of its own, if any.
local function make_optimizer(where, o, student, modules)
  local given = o.optimizer or "AdamW"
  local params, more = trained(student, modules)
  if type(given) == "table" and given.minimize then return check_own(where, given, o, params), given.lr end
  local name, options = given, {}
  if type(given) == "table" and type(given[1]) == "string" then
    name = given[1]
    for key, value in pairs(given) do
      if key ~= 1 then options[key] = value end
    end
  end
  if not NAMES.test(name) then
    local meant = host.nearest(type(name) == "string" and name:lower() or nil, { "adamw", "adam", "sgd" })
    host.fail(("%s: optimizer: expected 'AdamW', 'Adam', 'SGD' or an optimizer; got '%s'%s"):format(where, tostring(name),
      meant and ("; did you mean '%s'?"):format(({ adamw = "AdamW", adam = "Adam", sgd = "SGD" })[meant]) or ""))
  end
  if options.weight_decay ~= nil and o.weight_decay ~= nil then host.fail(where .. ": weight_decay is given twice") end
  if options.weight_decay == nil then options.weight_decay = o.weight_decay end
  if options.weight_decay == nil then options.weight_decay = name == "AdamW" and .01 or 0 end
  return optim[name](more and params or student, options), options.lr
end

--- Rows of a step; 64 where nothing is said.
function updater.check_batch(where, given)
  local batch = clock.positive(where .. ": batch", given or 64)
  if batch % 1 ~= 0 then host.fail(("%s: batch: expected a whole number; got %s"):format(where, check.describe(batch))) end
  return batch
end

---@param where string
---@param o table        lr, warmup, decay, optimizer, weight_decay, clip, batch, accumulate, non_finite
---@param given {run: Run, student: Module, modules: table<string, Module>}
---@return Updater
function updater.new(where, o, given)
  local run = given.run
  if run.device ~= "cpu" then
    given.student:to(run.device)
    for _, module in pairs(given.modules) do module:to(run.device) end
    if type(o.optimizer) == "table" and o.optimizer.to then o.optimizer:to(run.device) end
  end
  local self = setmetatable({ run = run, student = given.student, where = where, met = 0,
    batch = updater.check_batch(where, o.batch) }, Updater)
  self.pieces = o.accumulate or 1
  self.rows = accumulate.rows(self.batch, self.pieces)
  local own
  self.optimizer, own = make_optimizer(where, o, given.student, given.modules)
  self.own_lr = type(own) == "number" and own or nil
  self.lr = updater.learning_rate(where, o, self.own_lr)
  self.clip = o.clip == nil and 1 or o.clip or nil
  if self.clip ~= nil and (type(self.clip) ~= "number" or not (self.clip > 0)) then
    host.fail(("%s: 'clip': expected a number > 0, or false; got %s"):format(where, check.describe(o.clip)))
  end
  self.policy = check.value(where, "non_finite", o.non_finite or "stop", check.choice("stop", "skip", "roll_back"))
  return self
end

--- Fewer and smaller parts, for a dry run.
function Updater:shrink(pieces, rows) self.pieces, self.rows = pieces, rows end

-- --- the step ------------------------------------------------------------------------------------------------------------

--- Makes the step from the objective's outputs.
---@param outputs fun(b: table, k: table): table   named outputs, among them the loss
---@param mass fun(b: table): number|Tensor   what a part of a batch weighs
---@param labelled fun(b: table): number|Tensor   what its labels weigh
function Updater:compile(outputs, mass, labelled)
  self.flops = nil
  if self.pieces > 1 then
    self.parts = accumulate.new { run = self.run, optimizer = self.optimizer, clip = self.clip, pieces = self.pieces, rows = self.rows,
      batch = self.batch, outputs = outputs, mass = mass, labelled = labelled, student = self.student }
    self.step = self.parts.step
    return
  end
  local optimizer, update = self.optimizer, { lr = nil, clip = self.clip, guard = true }
  self.step = self.run:step(function(b, k)
    local out = outputs(b, k)
    update.lr = k.lr
    out.norm = optimizer:minimize(out.loss, update)
    return out
  end, { non_finite = "own", own_knobs = true })
end

-- Knobs that are made of the batch, such as one temperature for each example.
local function knobs_of(batch, knobs)
  local told = {}
  for name, value in pairs(knobs) do
    if type(value) == "table" then told[name] = value.of_batch(batch) else told[name] = value end
  end
  told.augment = nil
  return told
end

-- The first step tells its floating-point operations.
local function metered(self, batch, knobs)
  if self.flops then return self.step(batch, knobs) end
  local count = engine.count_flops()
  local out = self.step(batch, knobs)
  self.flops = self.pieces * count()
  return out
end

--- One update on the feed's next batch. Returns the outputs, the batch (x of its last part) and the knobs as they were.
---@param feed Feed
---@param knobs table
function Updater:take_one(feed, knobs)
  if self.pieces > 1 then
    return self.parts:take(feed, knobs, knobs_of, function(batch, told) return metered(self, batch, told) end)
  end
  local batch = feed:next(knobs.augment)
  local told = knobs_of(batch, knobs)
  local out = metered(self, batch, told)
  told.augment = knobs.augment
  return out, batch, told
end

--- As many updates as there are rows of knobs, on stacked batches; ends at one that is not finite, and before one that fails.
---@param feed Feed
---@param plan table[]   knobs, numbers
---@return table out  stacked outputs
---@return table batch
---@return number done
function Updater:take_many(feed, plan)
  local lists = {}
  for name in pairs(plan[1]) do
    lists[name] = {}
    for i, knobs in ipairs(plan) do lists[name][i] = knobs[name] end
  end
  local batch = feed:stack(lists.augment)
  lists.augment = nil
  local out, done = self.step:scan(batch, lists, { finite = { "loss", "norm" }, later = true })
  if done < #plan then feed:give_back(batch, done) end
  return out, batch, done
end

--- An update has failed in a function that it called: the feed stands where it stood, and nothing is left of parts that were done.
---@param feed Feed
function Updater:take_back(feed)
  if feed:take_back() and self.parts then self.parts:forget() end
end

--- Whether many updates may be taken at once.
function Updater:can_scan() return self.pieces == 1 and self.run.device == "cpu" and self.step:can_replay() end

-- --- what follows a NaN ----------------------------------------------------------------------------------------------------

local AT_MOST = 20  -- batches in a row that are skipped

--- Looks at a step's loss and gradient norm. The optimizer has left all as it was where they are not finite: the rows are stored, then
--- the policy decides.
---@param row {loss: number, norm: number}
---@param at {step: number, knobs: table, index: Tensor|fun(): Tensor, x: Tensor?}  x: all inputs, of which index names rows
---@return boolean  whether the update was made
---@return boolean? whether the keeper is to go back
function Updater:judge(row, at)
  if finite.is(row.loss) and finite.is(row.norm) then
    self.met = 0
    return true
  end
  self.met = self.met + 1
  local index, lr = at.index, at.knobs.lr
  if type(index) == "function" then index = index() end
  local stop = self.policy == "stop" or self.met == AT_MOST
  finite.tell(self.run, { loss = row.loss, norm = row.norm, policy = self.policy, rows = index:totable(), step = at.step, times = self.met,
    stop = stop, x = stop and at.x and at.x:index_select(0, index:cpu()),
    advice = ("lower lr (%g) or clip harder"):format(lr or 0) })
  return false, self.policy == "roll_back"
end

function Updater:state() return { optimizer = self.optimizer:state_dict(), met = self.met } end

function Updater:load_state(kept)
  self.optimizer:load_state_dict(kept.optimizer)
  self.met = kept.met
end

return updater
