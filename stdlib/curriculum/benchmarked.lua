--- The advance rule when.benchmarked: a stage ends by what a benchmark on all suites of the run says.
local check = require "gradus.base.check"
local clock = require "gradus.curriculum.clock"
local host = require "gradus.host"
local rule = require "gradus.curriculum.rule"

-- The last benchmark before this visit of the stage began, whatever its stage, at first that of the untrained student; the best
-- accuracies before now; how many benchmarks were made in this visit and how often the stage went back.
local function benchmarks_before(s)
  local began = s.step - s.stage_steps
  local previous, best, here, backs = { acc = s.untrained_acc }, {}, 0, 0
  for name, acc in pairs(s.untrained_acc) do best[name] = acc end
  for _, one in ipairs(s.benchmarks) do
    if one.step <= began then previous = one end
    if one.step > began then here = here + 1 end
    if one.verdict == "back" and one.index == s.stage_index then backs = backs + 1 end
    for name, acc in pairs(one.acc) do best[name] = math.max(best[name] or acc, acc) end
  end
  return previous, best, here, backs
end

-- The student's accuracies on the suites; the numbers of the event, among them the most that any suite lost of its best.
local function benchmark(s, previous, best)
  local acc, numbers = {}, { forgotten = 0 }
  for name in pairs(s.suites) do
    local now, before = s:last(name .. "/acc"), previous.acc[name]
    acc[name], numbers[name], numbers[name .. "_teacher"], numbers[name .. "_previous"] = now, now, s.teacher_acc[name], before
    numbers[name .. "_best"] = best[name]
    numbers.forgotten = math.max(numbers.forgotten, (best[name] or now) - now)
  end
  return acc, numbers
end

--- Progression control: when the stage has had its time, it is benchmarked on all suites of the run (an easy and a hard
--- one), against the teacher, the last benchmark before this visit of the stage (at first of the untrained student) and the best so
--- far. A suite that is more than `forget` below its best goes back; a gain of `gain` on the hard suite, or coming within
--- `near` of the teacher on it, goes on; else the stage stays for another turn, up to `patience` of them. The stage in which the budget
--- ends is benchmarked too: "end". The numbers are in the decision's event.
---   decide = false: a fixed schedule that is benchmarked; it goes on in any case, and without a time when the budget ends.
---@param options {epochs: number?, steps: number?, hard: string?, forget: number?, gain: number?, near: number?, patience: number?,
---   decide: boolean?}  one of epochs and steps: the stage's time; hard = "hard", forget = .05, gain = .01, near = .03, patience = 3
return function(options)
  options = check.options("when.benchmarked", options, { epochs = check.above(0), steps = check.above(0), hard = check.string,
    forget = check.above(0), gain = check.number(0), near = check.number(0), patience = check.int(1), decide = check.boolean },
    { hard = "hard", forget = .05, gain = .01, near = .03, patience = 3, decide = true })
  local time = options.epochs or options.steps
  if options.epochs and options.steps or options.decide and not time then
    host.fail "when.benchmarked: expected epochs = … or steps = …"
  end
  local function verdict_of(s, acc, previous, forgotten, turn, backs)
    local hard, teacher = acc[options.hard], s.teacher_acc[options.hard]
    if not hard then host.fail(("when.benchmarked: no suite '%s'"):format(options.hard)) end
    if clock.is_over(s) then return "end" end
    if not options.decide then return "next" end
    if s.stage_index > 1 and forgotten > options.forget and backs < options.patience then return "back" end
    local good = teacher and hard >= teacher - options.near or hard - previous.acc[options.hard] >= options.gain
    return (good or turn >= options.patience) and "next" or "stay"
  end
  return rule.new(options.decide and "benchmarked" or "benchmarked, on schedule", "evaluation", function(s)
    if not next(s.suites) then host.fail "when.benchmarked: expected suites = { easy = …, hard = … } in distill" end
    local previous, best, here, backs = benchmarks_before(s)
    -- Evaluations fall on whole steps: an epoch's may come up to one step before the epoch is full.
    local spent = options.epochs and s.stage_epochs + s.step_epochs or s.stage_steps
    if not clock.is_over(s) and spent < (time or math.huge) * (here + 1) - 1e-9 then return false end
    local acc, numbers = benchmark(s, previous, best)
    numbers.turn = here + 1
    local verdict = verdict_of(s, acc, previous, numbers.forgotten, numbers.turn, backs)
    table.insert(s.benchmarks, { index = s.stage_index, step = s.step, acc = acc, verdict = verdict, forgotten = numbers.forgotten })
    return verdict, numbers
  end, nil, nil, { options.hard .. "/acc" })
end
