--- Schedules: how a knob moves while a run goes on. A knob is a number, a schedule, or a function of the run's state.
---   schedule.linear(6, 2)                         over the whole budget
---   schedule.cosine(3e-3, 0, { from = { epochs = 5 }, to = { epochs = 20 } })
---   schedule.staircase(.2, 1, 5)                  five equal levels
---   schedule.pieces { { 0, 6 }, { .5, 4 }, { .8, 2 } }     share of the budget -> value from there on
---   schedule.warmup(schedule.cosine(3e-3, 0), .06)
---   schedule.linear(.2, 1, { every = { epochs = 3 } })     moves every three epochs, and holds in between
--- A span's ends are shares of the budget (numbers), or { steps = } or { epochs = }.
local host = require "gradus.host"
local check = require "gradus.base.check"
local clock = require "gradus.curriculum.clock"
local data = require "gradus.data.dataset"
local engine = require "gradus.engine"
local numbers = require "gradus.curriculum.values"
local wide = require "gradus.base.wide"

local ops = engine.ops

local schedule = {}
local Schedule = {}
Schedule.__index = Schedule

local function is_schedule(value) return getmetatable(value) == Schedule end
schedule.is = is_schedule

-- Where a point of the span lies, in the unit of the state that it is measured in.
local function position(point, s)
  if type(point) == "number" then return s.progress, point end
  if point.epochs then return s.epoch, point.epochs end
  return s.step, point.steps
end

local function check_point(where, point)
  if type(point) == "number" and point >= 0 and point <= 1 then return point end
  if type(point) == "table" then
    local unit, amount = next(point)
    if (unit == "epochs" or unit == "steps") and next(point, unit) == nil and type(amount) == "number" and amount >= 0
      and amount < math.huge then return point end
  end
  host.fail(("%s: expected a share of the budget from 0 to 1, { epochs = } or { steps = }; got %s")
    :format(where, tostring(point)))
end

-- How much of the budget a step is: what those so far were, since the last one may lie within it in part only; 0 while nobody knows.
local function progress_of_step(s)
  if s.step_progress == 0 or s.step == 0 or s.progress >= 1 then return s.step_progress end
  return s.progress / s.step
end

-- Where a point in steps or epochs lies as a share of the budget; 0 while it is not known how much of it a step is.
local function share_of(point, s)
  return (point.steps or point.epochs / s.step_epochs) * progress_of_step(s)
end

local function check_every(where, every)
  local unit, amount = next(type(every) == "table" and every or {})
  if (unit ~= "epochs" and unit ~= "steps") or next(every, unit) ~= nil or type(amount) ~= "number" or not (amount > 0) then
    host.fail(("%s: every: expected { epochs = } or { steps = } above 0; got %s"):format(where, check.describe(every)))
  end
  return unit, amount
end

-- The step at which the budget that the schedule is of ends: a run may go on after it.
local function last_step(s)
  return s.progress >= 1 and s.step_progress > 0 and math.floor(1 / s.step_progress + .5) or math.huge
end

-- The state as it was when what holds for a while last moved: so long after `begin`, in the unit of `every`. by_share: it stands still
-- where the budget ends.
local function held(where, every, begin, by_share)
  local unit, length = check_every(where, every)
  local base = type(begin) == "table" and begin[unit] or 0
  return function(s)
    local step = by_share and math.min(s.step, last_step(s)) or s.step
    local epoch = s.epoch - (s.step - step) * s.step_epochs
    local now = unit == "epochs" and epoch or step
    local back = now > base and now - base - math.floor((now - base) / length + 1e-9) * length or 0
    local steps = unit == "steps" and back or back / s.step_epochs
    return { step = step - steps, epoch = epoch - steps * s.step_epochs, progress = s.progress - steps * progress_of_step(s),
      step_epochs = s.step_epochs, step_progress = s.step_progress }
  end
end

-- 0 before the span, 1 after it, in proportion between. Both ends in one unit, or the end a share of the budget.
local function span(name, options)
  options = options or {}
  check.options("schedule." .. name, options, { "from", "to", "every" })
  local from = check_point("schedule." .. name .. ": from", options.from or 0)
  local to = check_point("schedule." .. name .. ": to", options.to or 1)
  local unit = function(p) return type(p) == "number" and "share" or p.epochs and "epochs" or "steps" end
  local low = type(from) == "number" and from or from.epochs or from.steps
  local high = type(to) == "number" and to or to.epochs or to.steps
  local mixed = low ~= 0 and unit(from) ~= unit(to)
  if mixed and unit(to) ~= "share" then
    host.fail(("schedule.%s: from is in %s and to in %s; expected one unit"):format(name, unit(from), unit(to)))
  end
  if not mixed and not (high > low) then
    host.fail(("schedule.%s: it runs backwards: from %g to %g; expected to > from"):format(name, low, high))
  end
  local moved = options.every and held("schedule." .. name, options.every, options.from, type(to) == "number")
  return function(s)
    if moved then
      if type(to) == "number" and s.step_progress == 0 then
        host.fail(("schedule.%s: every: how much of the budget a step is, is not known; expected to = { epochs = } or { steps = }")
          :format(name))
      end
      s = moved(s)
    end
    local now, begin = position(to, s), mixed and share_of(from, s) or low
    if begin >= high then return now >= high and 1 or 0 end
    return math.min(1, math.max(0, (now - begin) / (high - begin)))
  end
end

-- holds: it stays where it is for a while, then moves at once.
local function make(text, at, holds) return setmetatable({ text = text, at = at, holds = holds or false }, Schedule) end
function Schedule:__tostring() return self.text end
function Schedule:__call(s) return self.at(s) end

local function finite(where, ...)
  for i = 1, select("#", ...) do
    local v = select(i, ...)
    if type(v) ~= "number" or v ~= v or v == math.huge or v == -math.huge then
      host.fail(("%s: expected a number; got %s"):format(where, check.describe(v)))
    end
  end
end

--- The same value throughout.
function schedule.constant(value)
  numbers("constant", "value", value)
  return make(("%g"):format(value), function() return value end)
end

--- From `first` to `last` in a straight line.
---@param first number
---@param last number
---@param options? {from: any, to: any, every: table}  every: { epochs = } or { steps = }, moves so often and holds in between
function schedule.linear(first, last, options)
  numbers("linear", "first last", first, last)
  local at = span("linear", options)
  return make(("linear %g to %g"):format(first, last), function(s) return first + (last - first) * at(s) end,
    options and options.every ~= nil)
end

--- From `first` to `last` along half a cosine wave (Loshchilov & Hutter, ICLR 2017, eq. 5, without restarts).
function schedule.cosine(first, last, options)
  numbers("cosine", "first last", first, last)
  local at = span("cosine", options)
  return make(("cosine %g to %g"):format(first, last), function(s)
    return last + (first - last) * (1 + math.cos(math.pi * at(s))) / 2
  end, options and options.every ~= nil)
end

--- From `first` to `last` in constant ratio; both above 0.
function schedule.exponential(first, last, options)
  numbers("exponential", "first last", first, last)
  if first <= 0 or last <= 0 then host.fail "schedule.exponential: expected values above 0" end
  local at = span("exponential", options)
  return make(("exponential %g to %g"):format(first, last), function(s) return first * (last / first) ^ at(s) end,
    options and options.every ~= nil)
end

--- From `first` to `last` in `levels` equal steps: the linear ramp of curriculum learning, "harder every N epochs".
function schedule.staircase(first, last, levels, options)
  numbers("staircase", "first last levels", first, last, levels)
  if options and options.every then host.fail "schedule.staircase: every: its levels say how often it moves; expected schedule.linear" end
  if levels < 2 or levels % 1 ~= 0 then host.fail("schedule.staircase: expected 2 levels or more; got " .. levels) end
  local at = span("staircase", options)
  return make(("%d levels %g to %g"):format(levels, first, last), function(s)
    return first + (last - first) * math.min(levels - 1, math.floor(at(s) * levels + 1e-9)) / (levels - 1)
  end, true)
end

--- Competence: the share of the data that is open at a time t of the span,
--- c(t) = min(1, (t (1 - c0^p) + c0^p)^(1/p)) (Platanios et al., NAACL 2019, eq. 7; p = 2 is their square root).
---@param start number  c0, the share at the beginning
function schedule.competence(start, options)
  options = options or {}
  check.options("schedule.competence", options, { "from", "to", "power", "every" })
  numbers("competence", "start", start)
  if start <= 0 or start > 1 then host.fail("schedule.competence: expected a share above 0, up to 1; got " .. start) end
  local p = options.power or 2
  if type(p) ~= "number" or not (p > 0) then
    host.fail("schedule.competence: power: expected a number above 0; got " .. check.describe(p))
  end
  local at = span("competence", { from = options.from, to = options.to, every = options.every })
  return make(("competence from %g"):format(start), function(s)
    return math.min(1, (at(s) * (1 - start ^ p) + start ^ p) ^ (1 / p))
  end, options.every ~= nil)
end

--- Values that hold from a share of the budget on: { { 0, 6 }, { .5, 4 } }.
---@param list number[][]
function schedule.pieces(list)
  if type(list) ~= "table" or #list == 0 or type(list[1]) ~= "table" or list[1][1] ~= 0 then
    host.fail "schedule.pieces: expected { { 0, value }, { share, value }, … }"
  end
  check.items("schedule.pieces", list)
  for i, piece in ipairs(list) do
    if type(piece) ~= "table" then
      host.fail("schedule.pieces: expected { { 0, value }, { share, value }, … }; got " .. check.describe(piece))
    end
    finite("schedule.pieces", piece[1], piece[2])
    if piece[1] > 1 then
      host.fail(("schedule.pieces: share %g is never reached; expected shares of the budget, up to 1"):format(piece[1]))
    end
    if i > 1 and piece[1] <= list[i - 1][1] then
      host.fail(("schedule.pieces: share %g does not come after %g"):format(piece[1], list[i - 1][1]))
    end
  end
  return make("pieces", function(s)
    local value = list[1][2]
    for _, piece in ipairs(list) do
      if not clock.reached(s.progress, piece[1]) then break end
      value = piece[2]
    end
    return value
  end, true)
end

--- Rises linearly from near 0 to the inner schedule's value, then follows it.
---@param inner number|Schedule
---@param length any  a share of the budget, { steps = } or { epochs = }
function schedule.warmup(inner, length)
  schedule.check("schedule.warmup", inner)
  check_point("schedule.warmup: length", length)
  local one = make(("warm-up, then %s"):format(tostring(inner)), function(s)
    local now, total = position(length, s)
    local value = schedule.value(inner, s)
    if now >= total then return value end
    -- The first step already moves, by one step's share of the warm-up: at a rate of 0 it would be wasted.
    local step = type(length) == "number" and s.step_progress or length.epochs and s.step_epochs or 1
    return value * math.min(1, (now + step) / total)
  end)
  one.after = inner
  return one
end

--- Moves between `unsure` and `sure` with the student's mean confidence in its recent batches: adaptive temperature
--- scaling. T = unsure + (sure - unsure) c, c the exponential mean of the probability it gives the right class.
function schedule.by_confidence(unsure, sure)
  numbers("by_confidence", "unsure sure", unsure, sure)
  local one = make(("%g to %g with confidence"):format(unsure, sure), function(s)
    return unsure + (sure - unsure) * (s.confidence or 0)
  end)
  one.between = { unsure, sure }  -- for those who plan ahead: when it is where only the run tells
  one.wants_confidence = true
  return one
end

--- One value per example, from the teacher's normalised entropy h of it in 0 … 1: low + (high - low) h.
--- Only for the temperature: a sure teacher is softened less or more than an unsure one. Where nobody is asked it is that of no idea.
function schedule.by_entropy(sure, unsure)
  numbers("by_entropy", "sure unsure", sure, unsure)
  local one = make(("%g to %g with the teacher's entropy"):format(sure, unsure), function() return unsure end)
  one.between = { sure, unsure }
  one.of_batch = function(batch)
    if not batch.teacher then return ops.full({ batch.x:size(0) }, unsure, { dtype = "float64", device = batch.x.device }) end
    local log_p = wide(batch.teacher):log_softmax(-1):clamp_min(-1e4)  -- of a class that the teacher excludes: 0 · log 0 is 0
    local h = -(log_p:exp() * log_p):sum { dim = -1 } / math.log(batch.teacher:size(-1))
    return (h * (unsure - sure) + sure):double()
  end
  return one
end

--- One value for each row, by the part of the data that it is of: alpha .7 for real rows, say, and 0 for synthetic ones, of which the
--- teacher alone is asked. For alpha and the temperature, of classes; a row of no part is refused when it is drawn. A tensor in
--- place of a number has one value for each row of its view.
---@param parts table[]  { { view, value }, … }; views of one data set, value: a number or a tensor [rows of the view]
function schedule.by_part(parts)
  local where = "schedule.by_part"
  check.value(where, "parts", parts, check.table)
  if #parts == 0 then check.fail(where, "expected { { data, value }, … }; got no part") end
  check.items(where, parts)
  local low, high, values, base = math.huge, -math.huge, nil, nil
  for i, part in ipairs(parts) do
    local at = ("%s: part %d"):format(where, i)
    local view, value = unpack(type(part) == "table" and part or {})
    if not data.is(view) then check.fail(at, "expected { data, value }; got %s", check.describe(type(part) == "table" and view or part)) end
    base = base or view.base
    if view.base ~= base then check.fail(at, "is of another data set; data.concat makes one of them") end
    if type(value) == "number" then value = ops.full({ view:size() }, value, { dtype = "float64" })
    elseif not (engine.is_tensor(value) and value:dim() == 1 and value:size(0) == view:size()) then
      check.fail(at, "expected a number, or a tensor of %d; got %s", view:size(), check.describe(value))
    end
    value = value:double()
    if not value:isfinite():all():item() then check.fail(at, "expected finite values") end
    low, high = math.min(low, value:amin():item()), math.max(high, value:amax():item())
    values = (values or ops.full({ base.x:size(0) }, 0 / 0, { dtype = "float64" })):index_copy(0, view.index, value)
  end
  local one = make(("%g to %g by part"):format(low, high), function() return low end)
  one.between, one.of_rows, one.parts = { low, high }, base, parts
  one.of_batch = function(batch)
    local asked = values:index_select(0, batch.index:cpu())
    local missing = asked:isnan()
    if missing:any():item() then
      check.fail(where, "row %d is of no part; expected all rows that are drawn", batch.index:cpu():masked_select(missing)[0]:item())
    end
    return asked:to(batch.x.device)
  end
  return one
end

--- The value of an answer (number, schedule or function) at the state.
function schedule.value(answer, s)
  return type(answer) == "number" and answer or answer(s)
end

--- Raises unless `answer` can be a knob.
function schedule.check(where, answer)
  if type(answer) == "number" then
    finite(where, answer)
  elseif not is_schedule(answer) and type(answer) ~= "function" then
    host.fail(("%s: expected a number, a schedule or a function of the state; got %s"):format(where, check.describe(answer)))
  end
  return answer
end

return schedule
