--- What labels are. It is decided once, where a data set is made, and said by `d.labels`; whoever trains, measures or ranks goes by it.
---   classes     y int64 [N], 0 … C - 1; -100 in rows without a label         soft        float32 [N, C], rows sum to 1
---   tokens      int64 [N, L]; -100 where no token is asked for               multilabel  float32 [N, C], each 0 or 1
---   numbers     float32 [N] or [N, D]                                        none        no y; `answers` says what a teacher gives
--- Where `labels = "…"` does not say it: whole numbers and booleans [N] are classes; whole [N, L] are tokens, unless x has no
--- such sequences and all are 0 or 1; those, and all booleans and bytes of 0 and 1, are soft where each row sums to 1, else
--- multilabel; floats [N] are numbers (with `classes` given: classes); floats [N, C] are soft where each row is a distribution
--- (within 1e-4), else numbers. [N, 1] of whole numbers is [N].
local engine = require "gradus.engine"
local check = require "gradus.base.check"
local current = require "gradus.base.current"

local labels = { none = -100 }

---@class Labels
---@field kind "classes"|"tokens"|"soft"|"multilabel"|"numbers"|"none"
---@field classes? number     C; of tokens the vocabulary, where it is known
---@field width? number       columns of y; nil of [N]
---@field names? string[]     of the classes, in order
---@field partial? boolean    some rows have no label
---@field answers? string      of "none": "numbers" or "multilabel", which a teacher's answers are; nil: logits of classes
---@field declared? boolean   of a generator that has made no batch: width is not known yet

local KIND = check.choice("classes", "soft", "multilabel", "numbers", "tokens")
local ANSWERS = check.choice("classes", "multilabel", "numbers")
local WAYS = "say labels = 'numbers' where they are that"

--- Told once where something is guessed: a warning of the run, else a line of the log.
function labels.tell(text) return current.tell("labels", text) end

local function is_float(y) return y.dtype:find "float" ~= nil end
local function is_whole(y) return y.dtype == "bool" or y.dtype:find "int" ~= nil end
local function all(t) return t:all():item() end

-- Refuses the first row in which the mask is true.
local function refuse_row(where, mask, text, y)
  if not mask:any():item() then return end
  local place = mask:flatten():long():argmax():item()
  local row = math.floor(place / (mask:numel() / mask:size(0)))
  check.fail(where, "%s; got %s in row %d", text, check.describe(y:flatten()[math.floor(place * y:numel() / mask:numel())]:item()), row)
end

local function check_finite(where, y)
  if is_float(y) then refuse_row(where, y:isfinite():logical_not(), "a label is not finite; expected numbers", y) end
end

-- Of floats [N, C]: the rows that are no distribution.
local function no_distribution(y)
  return y:amin { dim = { 1 } }:lt(0):logical_or((y:sum { dim = { 1 }, dtype = "float64" } - 1):abs():gt(1e-4))
end

local function is_zero_one(y) return all(y:eq(0):logical_or(y:eq(1))) end

-- Whether x has a sequence for each row of y: tokens of the same shape, or vectors.
local function has_sequences(x, y)
  if not x then return true end
  if x:dim() == 2 then return is_whole(x) and x:size(1) == y:size(1) end
  return x:dim() >= 3 and x:size(1) == y:size(1)
end

--- Whether so many classes, as a column of whole numbers would make them, are believed: with at most √N of them (2 at
--- least) each class has as many rows as there are classes.
function labels.are_believable(classes, rows) return classes >= 2 and classes <= math.max(2, math.sqrt(rows)) end

-- --- without a word from the user ------------------------------------------------------------------------------------------

local function guess_whole(y, x)
  if y:dim() == 1 or y:size(1) == 1 then return "classes" end
  local small = y.dtype == "bool" or y.dtype == "uint8"
  if not (small or not has_sequences(x, y)) or not is_zero_one(y) then return "tokens" end
  return all(y:long():sum { dim = { 1 } }:eq(1)) and "soft" or "multilabel"
end

-- Whether floats [N] are 0 … C - 1, each of them in some row.
local function look_like_classes(y)
  if y:amin():item() ~= 0 or not all(y:eq(y:floor())) then return false end
  local classes = y:amax():item() + 1
  return labels.are_believable(classes, y:numel()) and all(y:long():flatten():bincount():gt(0))
end

-- Columns that are taken as numbers, though they look like something else.
local function tell_of_columns(where, y)
  if y:amin():item() < 0 or y:amax():item() > 1 then return end
  local what = is_zero_one(y) and "0 and 1 in a float type"
  local sums = y:sum { dim = { 1 }, dtype = "float64" }
  if not what and 2 * (sums - 1):abs():lt(.05):sum():item() > y:size(0) then what = "rows that mostly sum to nearly 1" end
  if not what then return end
  labels.tell(("%s: labels are %s: taken as numbers; expected labels = '%s' if they are that%s, or labels = 'numbers'"):format(where, what,
    is_zero_one(y) and "multilabel" or "soft", is_zero_one(y) and "" or ", with rows that sum to 1"))
end

local function guess_float(where, y, classes)
  if y:dim() == 1 or y:size(1) == 1 then
    if classes then return "classes" end
    if look_like_classes(y) then
      labels.tell(where .. ": labels are whole numbers in a float type: taken as numbers; expected labels = 'classes' if they are that, "
        .. "or labels = 'numbers'")
    end
    return "numbers"
  end
  local odd = no_distribution(y)
  if not odd:any():item() then return "soft" end
  if classes then
    refuse_row(where, odd, ("classes = %d, but not every row of y is a distribution (or say labels = 'multilabel' or 'numbers')")
      :format(classes), y)
  end
  tell_of_columns(where, y)
  return "numbers"
end

-- --- each kind -------------------------------------------------------------------------------------------------------------

local function to_whole(where, y, kind)
  if is_float(y) then refuse_row(where, y:ne(y:floor()), ("labels = '%s': expected whole numbers"):format(kind), y) end
  return y:long()
end

local function in_range(where, y, classes, text)
  local low, high = y:amin():item(), y:amax():item()
  if low < 0 or (classes and high >= classes) then
    check.fail(where, "labels from %d to %d; expected 0 to %s (%s)", low, high, classes and ("%d"):format(classes - 1) or "C - 1", text)
  end
  return low, high
end

-- Many more classes than are met are believed, since rows may lack some, but told.
local function tell_of_gaps(where, y, classes)
  local met = classes <= 4 * y:numel() + 64 and y:bincount():gt(0):sum():item() or 0
  if 2 * met >= classes or classes <= 8 then return end
  labels.tell(("%s: labels from %d to %d make %d classes, most of which no row has; expected classes = %d, or labels = 'numbers'")
    :format(where, y:amin():item(), y:amax():item(), classes, classes))
end

local make = {}

function make.classes(where, y, o)
  if y:dim() == 2 and y:size(1) == 1 then y = y:select(1, 0) end
  if y:dim() ~= 1 then check.fail(where, "labels = 'classes': expected y [N]; got %s", check.describe(y)) end
  y = to_whole(where, y, "classes")
  local known, classes = y:masked_select(y:ne(labels.none)), o.count
  if known:numel() == 0 and not classes then check.fail(where, "no row has a label; expected classes, how many there are") end
  if known:numel() > 0 then
    local _, high = in_range(where, known, classes, "-100: no label; " .. WAYS)
    if not classes then
      classes = high + 1
      if not o.labels then tell_of_gaps(where, known, classes) end
    end
  end
  return y:contiguous(), { kind = "classes", classes = classes, names = o.names, partial = known:numel() < y:numel() or nil }
end

function make.tokens(where, y, o)
  if y:dim() ~= 2 then check.fail(where, "labels = 'tokens': expected y [N, L]; got %s", check.describe(y)) end
  y = to_whole(where, y, "tokens")
  local asked = y:masked_select(y:ne(labels.none))
  if asked:numel() > 0 then in_range(where, asked, o.count, "-100: not asked for") end
  return y:contiguous(), { kind = "tokens", classes = o.count, width = y:size(1), names = o.names }
end

local function check_columns(where, y, o, kind)
  if y:dim() ~= 2 or (kind == "soft" and y:size(1) < 2) then
    check.fail(where, "labels = '%s': expected y [N, C]; got %s", kind, check.describe(y))
  end
  if o.count and o.count ~= y:size(1) then check.fail(where, "y has %d columns; expected %d, one for each class", y:size(1), o.count) end
end

function make.soft(where, y, o)
  check_columns(where, y, o, "soft")
  y = y:float():contiguous()
  refuse_row(where, no_distribution(y), "labels = 'soft': expected rows of numbers from 0 that sum to 1", y)
  return y, { kind = "soft", classes = y:size(1), width = y:size(1), names = o.names }
end

function make.multilabel(where, y, o)
  check_columns(where, y, o, "multilabel")
  refuse_row(where, y:eq(0):logical_or(y:eq(1)):logical_not(), "labels = 'multilabel': expected 0 or 1", y)
  return y:float():contiguous(), { kind = "multilabel", classes = y:size(1), width = y:size(1), names = o.names }
end

function make.numbers(where, y, o)
  if o.count then check.fail(where, "classes = %d, but labels are numbers; expected one of the two", o.count) end
  local values = y:float():contiguous()
  refuse_row(where, values:isfinite():logical_not(), "a label does not fit float32", y)
  return values, { kind = "numbers", width = y:dim() == 2 and y:size(1) or nil }
end

-- classes = 10 or { "cat", "dog" } -> 10; 2, names
local function read_classes(where, given)
  if given == nil then return nil end
  if type(given) == "table" then
    local names, seen = {}, {}
    for i, name in ipairs(check.value(where, "classes", given, check.list(check.string))) do
      if seen[name] then check.fail(where, "classes: '%s' is named twice", name) end
      seen[name], names[i] = true, name
    end
    return #names, names
  end
  return check.value(where, "classes", given, check.either(check.int(1), check.list(check.string)))
end

--- y as it is trained on, and what it is.
---@param where string     whom an error blames: "data.npy: y.npy"
---@param y Tensor?        [N], [N, L] or [N, C]
---@param given? {labels: string?, answers: string?, classes: number|string[]?, x: Tensor?}  x: tells tokens from columns
---@return Tensor?, Labels
function labels.of(where, y, given)
  local o = given or {}
  local count, names = read_classes(where, o.classes)
  if o.labels ~= nil then check.value(where, "labels", o.labels, KIND) end
  if o.answers ~= nil then
    check.value(where, "answers", o.answers, ANSWERS)
    if y then check.fail(where, "answers has no effect beside labels, which say what a teacher gives; expected no y, or no answers") end
  end
  if not y then
    if o.labels then
      check.fail(where, "labels = '%s', but there are no labels; expected y, or answers = '…', which says what a teacher gives", o.labels)
    end
    return nil, { kind = "none", answers = o.answers ~= "classes" and o.answers or nil, classes = count, names = names }
  end
  if not (is_float(y) or is_whole(y)) then check.fail(where, "y: expected numbers; got %s", check.describe(y)) end
  if y:dim() < 1 or y:dim() > 2 or y:numel() == 0 then
    check.fail(where, "y: expected [N], [N, L] or [N, C]; got %s", check.describe(y))
  end
  check_finite(where, y)
  local kind = o.labels or (is_float(y) and guess_float(where, y, count) or not is_float(y) and guess_whole(y, o.x))
  return make[kind](where, y, { labels = o.labels, count = count, names = names })
end

--- Refuses what a model gives for labels that want other logits: of classes one for each, or more.
---@param of Labels
---@param out Tensor
function labels.check_logits(where, of, out)
  local classes, given = of.classes, out:dim() > 1 and out:size(-1) or 0
  if not classes or given == classes or given > classes and (of.kind == "classes" or of.kind == "tokens") then return end
  check.fail(where, "labels are %s; expected a logit for each from the model; got %s", labels.text(of), check.describe(out))
end

--- Weights as they are trained with: float32 [N], one for each row.
---@return Tensor
function labels.weight(where, weight, rows)
  if not (engine.is_tensor(weight) and weight:numel() == rows) then
    check.fail(where, "weight: expected one number for each of %d rows; got %s", rows, check.describe(weight))
  end
  weight = weight:float():flatten():contiguous()
  refuse_row(where, weight:isfinite():logical_and(weight:ge(0)):logical_not(), "weight: expected numbers from 0", weight)
  return weight
end

--- Why nothing can be learnt from, or measured with, the labels of a view; nil where it can.
---@param d Dataset
---@return string?
function labels.nothing(d)
  local base = d.base
  local weight = base.weight and base.weight:index_select(0, d.index)
  if weight and not weight:gt(0):any():item() then return "the weights of its rows are all 0" end
  if not d.labels.partial then return nil end
  local known = base.y:index_select(0, d.index):ne(labels.none)
  if not known:any():item() then return "none of its rows has a label" end
  if weight and not weight:masked_select(known):gt(0):any():item() then return "the weights of its rows with a label are all 0" end
end

-- --- beside each other -----------------------------------------------------------------------------------------------------

--- In words: "3 classes", "numbers", "distributions over 3".
---@param of Labels
function labels.text(of)
  if of.kind == "classes" then
    return (of.classes and "%d classes" or "classes"):format(of.classes) .. (of.partial and ", some rows without a label" or "")
  end
  if of.kind == "tokens" then return of.classes and ("tokens of %d"):format(of.classes) or "tokens" end
  if of.kind == "soft" then return (of.classes and "distributions over %d" or "distributions"):format(of.classes) end
  if of.kind == "multilabel" then return (of.classes and "%d labels of yes or no" or "labels of yes or no"):format(of.classes) end
  if of.kind == "numbers" then return of.width and ("numbers, %d each"):format(of.width) or "numbers" end
  return "no labels" .. (of.answers and (", answers of the kind '%s'"):format(of.answers) or "")
end

--- Refuses labels of another kind, width or other class names than `like` has: what is validated on beside what is trained on.
---@param where string   "distill: data.val"
---@param got Labels
---@param like Labels
function labels.agree(where, got, like)
  local function fail(text) check.fail(where, "%s; got %s", text, labels.text(got)) end
  local known = like.kind ~= "tokens" and not got.declared and not like.declared  -- sequences may be longer
  local same = got.kind == like.kind and got.answers == like.answers
  if not same or known and got.width ~= like.width then fail("labels: expected " .. labels.text(like)) end
  for i, name in ipairs(like.names and got.names or {}) do
    if like.names[i] ~= name then
      fail(("class %d is '%s' here and '%s' there: expected one order of classes, as data.csv(…, { like = train }) reads them")
        :format(i - 1, name, like.names[i] or "none"))
    end
  end
  if got.classes and like.classes and got.classes > like.classes then fail("labels: expected " .. labels.text(like)) end
end

return labels
