local g = require "gradus"
local support = require "support"
local when = g.when

local function state()
  local s = support.state { suites = { easy = true, hard = true }, teacher_acc = { easy = .95, hard = .9 },
    untrained_acc = { easy = .1, hard = .1 } }
  s.counts.step_epochs = .1
  return s
end

-- Plays evaluations { easy, hard }, one epoch each, against a teacher of .95 and .9 and an untrained student of .1; gives the
-- verdicts. Moves from stage to stage as the verdicts say; the budget ends with the last where `over`; an evaluation every `epoch` epochs.
local function play(options, evaluations, over, epoch)
  local s = state()
  local rule, said = when.benchmarked(options), {}
  local index = 1
  s:begin_stage("1", index)
  for i, e in ipairs(evaluations) do
    support.count(s, { step = i * 10, epoch = i * (epoch or 1) })
    s:record { ["easy/acc"] = e[1], ["hard/acc"] = e[2] }
    s.counts.progress = over and i / #evaluations or 0
    s.counts.used = s.counts.progress
    local verdict = rule(s) or "-"
    said[i] = verdict
    if verdict == "next" then index = index + 1 elseif verdict == "back" then index = index - 1 end
    if verdict == "next" or verdict == "back" then s:begin_stage(tostring(index), index) end
  end
  return table.concat(said, " "), s
end

describe("when.benchmarked", function()
  it("waits for the stage's time, then goes on when the hard suite gained", function()
    expect((play({ epochs = 2 }, { { .5, .3 }, { .6, .4 }, { .7, .5 }, { .8, .6 } }))):equals "- next - next"
  end)
  it("counts epochs that are cut to whole steps", function()
    expect((play({ epochs = 2 }, { { .5, .3 }, { .6, .4 }, { .7, .5 }, { .8, .6 } }, false, .97))):equals "- next - next"
  end)
  it("goes back when a suite lost more than the bound against the stage before", function()
    local said, s = play({ epochs = 1, forget = .05 }, { { .9, .5 }, { .8, .6 }, { .9, .55 } })
    expect(said):equals "next back stay"  -- no gain on the hard suite since the benchmark before this visit
    expect(s.benchmarks[2].verdict):equals "back"
    expect(s.benchmarks[2].acc):equals { easy = .8, hard = .6 }
  end)
  it("goes back no more often than its patience", function()
    local said = play({ epochs = 1, forget = .05, patience = 1 }, { { .9, .5 }, { .8, .6 }, { .9, .6 }, { .8, .7 } })
    expect(said):equals "next back next next"
  end)
  it("stays without gain, up to its patience", function()
    expect((play({ epochs = 1, patience = 3 }, { { .9, .5 }, { .9, .5 }, { .9, .5 }, { .9, .5 } }))):equals "next stay stay next"
  end)
  it("goes on without gain near the teacher", function()
    expect((play({ epochs = 1, near = .03 }, { { .94, .88 }, { .94, .88 } }))):equals "next next"
  end)
  it("compares a first stage with the untrained student, and never goes back from it", function()
    local said, s = play({ epochs = 1 }, { { .1, .1 }, { .02, .105 }, { .5, .3 } })
    expect(said):equals "stay stay next"
    expect(#s.benchmarks):equals(3)
  end)
  it("benchmarks what the budget ends, without deciding", function()
    expect((play({ epochs = 2 }, { { .5, .3 }, { .6, .4 }, { .7, .5 } }, true))):equals "- next end"
  end)
  it("on a schedule goes on whatever it finds", function()
    local said, s = play({ epochs = 2, decide = false }, { { .5, .3 }, { .5, .3 }, { .1, .1 }, { .1, .1 } })
    expect(said):equals "- next - next"
    expect(s.benchmarks[2].acc):equals { easy = .1, hard = .1 }
    expect((play({ decide = false }, { { .5, .3 }, { .6, .4 } }, true))):equals "- end"
  end)
  it("gives the numbers", function()
    local s = state()
    s:begin_stage("2", 2)
    s.benchmarks[1] = { index = 1, step = 0, acc = { easy = .9, hard = .5 } }
    support.count(s, { step = 10, epoch = 1 })
    s:record { ["easy/acc"] = .8, ["hard/acc"] = .7 }
    local verdict, numbers = when.benchmarked { epochs = 1 } (s)
    expect(verdict):equals "back"
    expect(numbers.forgotten):near(.1, 1e-12)
    expect({ numbers.easy, numbers.easy_teacher, numbers.easy_previous, numbers.easy_best }):equals { .8, .95, .9, .9 }
  end)
  it("needs suites and one unit of time", function()
    expect(function() when.benchmarked {} end):fails_with "expected epochs = … or steps = …"
    expect(function() when.benchmarked { epochs = 1, decide = false, steps = 2 } end):fails_with "expected epochs = … or steps = …"
    expect(function() when.benchmarked { epochs = 1 } (support.state()) end):fails_with "expected suites"
  end)
end)

describe("a distillation that is benchmarked", function()
  it("stores the first stage against the untrained student, and the last at the end", function()
    local untrained
    local _, seen = support.with_run({}, function(run)
      local d, student = support.points():split { train = .5, val = .5 }, support.student()
      untrained = run:evaluate(student, d.val).acc
      return run:distill { student = student, teacher = support.student(4), data = d, batch = 12, budget = { steps = 20 },
        evaluate = { steps = 5 }, suites = { easy = d.val, hard = d.val }, curriculum = {
          { "one", advance = when.benchmarked { steps = 10, decide = false } }, { "two", advance = when.benchmarked { decide = false } } } }
    end)
    local first, last = seen.decisions[1], seen.decisions[2]
    expect({ #seen.decisions, first.name, first.step, last.name, last.step }):equals { 2, "next", 10, "end", 20 }
    expect(first.detail.numbers.hard_previous):equals(untrained)
    expect(last.detail.numbers.hard_previous):equals(first.detail.numbers.hard)
    expect(last.detail.stage):equals "two"
  end)
end)

describe("when.benchmarked at its limits", function()
  -- What it says in the second stage, begun at step 10 after a benchmark of .5 on both suites, of a teacher of 1.
  local function second(options, easy, hard, more)
    local s = state()
    s.teacher_acc = { easy = 1, hard = 1 }
    for key, value in pairs(more or {}) do s[key] = value end
    table.insert(s.benchmarks, 1, { index = 1, step = 10, acc = { easy = .5, hard = .5 }, verdict = "next", forgotten = 0 })
    support.count(s, { step = 10 })
    s:begin_stage("2", 2)
    support.count(s, { step = more and more.at or 20 })
    s:record { ["easy/acc"] = easy, ["hard/acc"] = hard }
    local o = { steps = 10 }
    for key, value in pairs(options) do o[key] = value end
    return when.benchmarked(o)(s)
  end
  local function said(...) return (second(...)) end
  it("goes back of more than the bound, .05 unless it is told", function()
    expect({ said({ forget = .25 }, .25, .5), said({ forget = .25 }, .24, .5), said({}, .46, .5), said({}, .44, .5),
      said({}, .41, .5) }):equals { "stay", "back", "stay", "back", "back" }
  end)
  it("goes on with the gain, .01 unless it is told", function()
    expect({ said({ gain = .125 }, .5, .625), said({ gain = .125 }, .5, .62), said({}, .5, .515), said({}, .5, .505),
      said({ gain = 0 }, .5, .5) }):equals { "next", "stay", "next", "stay", "next" }
  end)
  it("goes on near the teacher, .03 unless it is told", function()
    local function near(options, hard)
      options.gain = 1
      return said(options, .5, hard)
    end
    expect({ near({ near = .25 }, .75), near({ near = .25 }, .74), near({}, .971), near({}, .969), near({}, .95),
      near({ near = 0 }, 1) }):equals { "next", "stay", "next", "stay", "stay", "next" }
    local nobody = { teacher_acc = {} }
    expect({ said({}, .5, .505, nobody), said({}, .5, .515, nobody) }):equals { "stay", "next" }
  end)
  it("stays for its turns, three unless it is told, and goes back as often", function()
    local function before(verdict, index, steps)
      local list = {}
      for i, step in ipairs(steps) do
        list[i] = { index = index, step = step, acc = { easy = .5, hard = .5 }, verdict = verdict, forgotten = 0 }
      end
      return list
    end
    local function stayed(options, steps)
      return said(options, .5, .5, { benchmarks = before("stay", 2, steps), at = 20 + 10 * #steps })
    end
    expect({ stayed({}, { 20 }), stayed({}, { 20, 30 }), stayed({ patience = 2 }, {}), stayed({ patience = 2 }, { 20 }) }):equals
      { "stay", "next", "stay", "next" }
    local function gone(options, steps, index) return said(options, .3, .5, { benchmarks = before("back", index or 2, steps) }) end
    expect({ gone({}, { 4, 5 }), gone({}, { 3, 4, 5 }), gone({}, { 3, 4, 5 }, 3), gone({ patience = 1 }, {}),
      gone({ patience = 1 }, { 5 }) }):equals { "back", "stay", "back", "back", "next" }
  end)
  it("has its time first, and no less at each turn", function()
    expect({ said({}, .5, .9, { at = 19 }), said({ steps = 9 }, .5, .9, { at = 19 }) }):equals { false, "next" }
    local list = { { index = 2, step = 20, acc = { easy = .5, hard = .5 }, verdict = "stay", forgotten = 0 } }
    expect(said({}, .5, .9, { at = 29, benchmarks = list })):is_false()
  end)
  it("tells its numbers, and keeps what it found", function()
    local s = state()
    support.count(s, { step = 10 })
    s:begin_stage("1", 1)
    support.count(s, { step = 20 })
    s:record { ["easy/acc"] = .6, ["hard/acc"] = .05 }
    local verdict, numbers = when.benchmarked { steps = 10 } (s)
    expect(numbers.forgotten):near(.05, 1e-12)
    numbers.forgotten = nil
    expect({ verdict, numbers }):equals { "stay", { turn = 1, easy = .6, easy_teacher = .95, easy_previous = .1, easy_best = .1, hard = .05,
      hard_teacher = .9, hard_previous = .1, hard_best = .1 } }
    expect({ #s.benchmarks, s.benchmarks[1].index, s.benchmarks[1].step, s.benchmarks[1].verdict, s.benchmarks[1].acc }):equals
      { 1, 1, 20, "stay", { easy = .6, hard = .05 } }
    expect(function() said({ hard = "heavy" }, .5, .5) end):fails_with "when.benchmarked: no suite 'heavy'"
  end)
end)
