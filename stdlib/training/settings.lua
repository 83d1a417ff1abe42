--- What a distillation's options stand for: checked values, defaults, the learning rate as one answer.
local host = require "gradus.host"
local check = require "gradus.base.check"
local data = require "gradus.data.dataset"
local optim = require "gradus.optim.optimizer"
local schedule = require "gradus.curriculum.schedule"

local settings = {}

local BUDGETS = { "epochs", "steps", "samples", "seconds", "flops" }

function settings.positive(where, value)
  if type(value) ~= "number" or not (value > 0) or value == math.huge then
    host.fail(("%s: expected a number above 0; got %s"):format(where, tostring(value)))
  end
  return value
end

function settings.check_budget(where, given)
  if type(given) ~= "table" or not next(given) then
    host.fail(("%s: expected { epochs = … } or { steps = … }; got %s"):format(where, tostring(given)))
  end
  check.options(where, given, BUDGETS)
  for unit, amount in pairs(given) do settings.positive(where .. "." .. unit, amount) end
  return given
end

-- lr as one answer: the warm-up, and from its end to that of the budget the decay (torch's LambdaLR of the guides, and BERT's).
function settings.learning_rate(o)
  local lr = schedule.check("distill: lr", o.lr == nil and 1e-3 or o.lr)
  local plain = type(lr) == "number"
  if plain then settings.positive("distill: lr", lr) end
  local decay = o.decay or (plain and "cosine" or "constant")
  if decay ~= "constant" and not plain then
    host.fail "distill: decay: lr is a schedule already; expected decay = 'constant' or a number as lr"
  end
  local warmup = o.warmup
  if warmup == nil then warmup = plain and .05 or false end
  if warmup == 0 then warmup = false end
  if warmup then schedule.warmup(1, warmup) end  -- blamed by its own name, before a decay is made of it
  local rest = warmup and warmup ~= 1 and { from = warmup } or nil
  if decay == "linear" then lr = schedule.linear(lr, 0, rest)
  elseif decay == "cosine" then lr = schedule.cosine(lr, 0, rest)
  elseif decay == "step" then lr = schedule.pieces { { 0, lr }, { .5, lr * .1 }, { .75, lr * .01 } }
  elseif decay ~= "constant" then
    host.fail(("distill: decay: expected 'constant', 'linear', 'cosine' or 'step'; got '%s'"):format(tostring(decay)))
  end
  return warmup and schedule.warmup(lr, warmup) or lr
end

function settings.parts_of(given)
  if data.is(given) or data.is_generator(given) then return given, nil end
  if type(given) == "table" and rawget(given, "train") then return given.train, rawget(given, "val") end
  host.fail(("distill: data: expected a data set or a split with a part 'train'; got %s"):format(type(given)))
end

function settings.module(where, value)
  if type(value) ~= "table" or not value.parameters then
    host.fail(("%s: expected a module; got %s"):format(where, type(value)))
  end
  return value
end

-- The optimizer of the student, both on the device.
function settings.make_optimizer(o, device)
  local given = o.optimizer or "AdamW"
  if device ~= "cpu" then
    o.student:to(device)
    if type(given) == "table" and given.to then given:to(device) end
  end
  if type(given) == "table" then return given end
  if given ~= "AdamW" and given ~= "Adam" and given ~= "SGD" then
    host.fail(("distill: optimizer: expected 'AdamW', 'Adam', 'SGD' or an optimizer; got '%s'"):format(tostring(given)))
  end
  local wd = o.weight_decay
  if wd == nil then wd = given == "AdamW" and .01 or 0 end
  return optim[given](o.student, { weight_decay = wd })
end

-- Options that a named strategy brings (S10's) stand where the user left them out.
function settings.with_defaults(options, defaults)
  local o = {}
  for key, value in pairs(defaults) do o[key] = value end
  for key, value in pairs(options) do o[key] = value end
  return o
end

--- For the rows of a data set, or of none (a generator): nothing for tokens and other whole numbers.
function settings.default_augmentations(train)
  if data.is(train) and (train.base.masking or not train.base.x.dtype:find "float") then return {} end
  local images = data.is(train) and train.base.x:dim() == 4
  return images and { noise = .3, shift = 1 } or { noise = .3 }
end

return settings
