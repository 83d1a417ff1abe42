--- Difficulty scores: what `data:rank(score)` sorts by, easiest (lowest) first. A score is a function of inputs and
--- labels to one number per example; the teacher-based ones follow Weinshall et al. (ICML 2018, "transfer teacher").
--- What they mean for each kind of labels (labels.lua); of tokens all are means over a row's hidden positions:
---            classes, tokens                  soft                          multilabel                    numbers
---   loss     cross-entropy                    cross-entropy                 binary, mean over labels      squared error, mean
---   entropy  of the prediction, in nats       the same                      mean over labels              refused
---   margin   best wrong minus right           the likeliest class is right  wrong minus right, mean       refused
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local in_type = require "gradus.base.in_type"
local modes = require "gradus.base.modes"
local labels = require "gradus.data.labels"
local teachers = require "gradus.curriculum.teachers"
local wide = require "gradus.base.wide"

local ops = engine.ops
local score = {}

local LEAST = -1e4  -- of a logarithm: 0 · log 0 is 0

-- --- of each kind: from what the teacher gives and y, one number per row, or per position of tokens ---------------------------

local function flat(logits) return logits:flatten(0, -2) end

local function entropy(logits)
  local log_p = logits:log_softmax(-1):clamp_min(LEAST)
  return -(log_p:exp() * log_p):sum { dim = -1 }
end

local function margin(logits, y)
  local p, place = logits:softmax(-1), y:clamp_min(0):unsqueeze(-1)
  return p:scatter(-1, place, -1):amax { dim = { -1 } } - p:gather(-1, place):squeeze(-1)
end

-- Of each label, log σ(z) of what is so, and of what is not.
local function log_odds(z) return -ops.softplus(-z), -ops.softplus(z) end

local function binary_loss(z, y) return (ops.softplus(z) - z * y):mean { dim = { -1 } } end

local function binary_entropy(z)
  local yes, no = log_odds(z)
  yes, no = yes:clamp_min(LEAST), no:clamp_min(LEAST)
  return -(yes:exp() * yes + no:exp() * no):mean { dim = { -1 } }
end

local function binary_margin(z, y) return (1 - 2 * ops.sigmoid(z * (y * 2 - 1))):mean { dim = { -1 } } end

local function squared_error(out, y)
  if out:numel() ~= y:numel() then
    check.fail("score.loss", "labels are numbers, %s; expected as many from the module; got %s", check.describe(y), check.describe(out))
  end
  local off = (out:reshape(y.shape) - y):square()
  return off:dim() > 1 and off:mean { dim = { -1 } } or off
end

local function class_loss(logits, y)
  return ops.cross_entropy_loss(flat(logits), y:flatten(), { reduction = "none", ignore_index = labels.none }):reshape(y.shape)
end

local function soft_loss(logits, y) return -(logits:log_softmax(-1):clamp_min(LEAST) * y):sum { dim = -1 } end
local function soft_margin(logits, y) return margin(logits, y:argmax(-1)) end

local RULES = {
  loss = { classes = class_loss, tokens = class_loss, soft = soft_loss, multilabel = binary_loss, numbers = squared_error },
  entropy = { classes = entropy, tokens = entropy, soft = entropy, multilabel = binary_entropy, none = entropy },
  margin = { classes = margin, tokens = margin, soft = soft_margin, multilabel = binary_margin },
}

local function rule_of(name, kind)
  local rule = RULES[name][kind]
  if rule then return rule end
  if kind == "none" then
    check.fail("score." .. name, "the rows have no labels; expected score.entropy, or score.by(function(x) … end)")
  end
  check.fail("score." .. name, "labels are %s; expected classes, or score.loss, or score.by(function(x, y) … end)", kind)
end

-- Of positions [N, L], the mean of each row's that are asked for; NaN in a row without one (d:rank puts it in the middle).
local function over_positions(values, y)
  if not y then return values:mean { dim = { -1 } } end
  local counts = y:ne(labels.none)
  return ops.where(counts, values, 0):sum { dim = -1 } / counts:sum { dim = -1 }
end

local function over(name, teacher)
  local where = "score." .. name
  teacher = teachers.module_of(where, teacher) or check.fail(where, "expected a module, or several; got %s", check.describe(teacher))
  return function(x, y, of)
    of = of or select(2, labels.of(where, y, { x = x }))
    local kind = of.kind
    local rule = rule_of(name, kind)
    if kind == "classes" and name ~= "entropy" and y:eq(labels.none):any():item() then
      check.fail(where, "some rows have no label; expected score.entropy, or rows that all have one")
    end
    local device = teacher:device()
    x, y = x:to(device), y and y:to(device)
    local out = wide(modes.evaluating(teacher, in_type, teacher, teacher, x))
    if name ~= "entropy" then labels.check_logits(where, of, out) end
    if (kind == "none" or kind == "tokens") and out:dim() == 3 then return over_positions(rule(out, y), y) end
    return rule(out, y)
  end
end

--- The teacher's loss on the label: cross-entropy, of numbers the squared error.
---@param teacher Module|table   several: by the mean of their logits
function score.loss(teacher) return over("loss", teacher) end

--- The entropy of the teacher's prediction, in nats; needs no labels.
---@param teacher Module|table
function score.entropy(teacher) return over("entropy", teacher) end

--- Minus the margin: the best wrong class's probability minus the label's.
---@param teacher Module|table
function score.margin(teacher) return over("margin", teacher) end

--- A function(x, y) of your own that returns one number per example, low for easy.
---@param fn fun(x: Tensor, y: Tensor): Tensor
function score.by(fn)
  if type(fn) ~= "function" then host.fail("score.by: expected a function(x, y); got " .. type(fn)) end
  return fn
end

return score
