-- Progression control: after each stage the student is benchmarked on an easy and a hard suite, against the teacher and
-- against the stage before, the first against the untrained student; from these numbers it goes on, stays or goes back. A
-- fixed schedule is benchmarked too, but decides nothing. Every benchmark is a decision in the store, with its numbers.
--   gradus run scripts/progression_control.lua
--   gradus sql "select step, name, detail from events where kind = 'decision'"
-- A narrow student stays with the easy stage while it hardly gains on the hard suite, and goes back from the hard one, 45
-- examples, when it has forgotten others over them: in most seeds each at least once.
local g = require "gradus"
local nn, score, when = g.nn, g.score, g.when

local function build_teacher(train)
  return g.fit { model = nn.MLP { 64, 256, 10 }, data = train, epochs = 60, lr = 2e-3, augment = 1, augmentations = { noise = .1 } }
end

-- How often each verdict was given, and the most that a suite had lost at a benchmark since the stage before.
local function summary(benchmarks)
  local made = { next = 0, stay = 0, back = 0, ["end"] = 0, forgotten = 0 }
  for _, one in ipairs(benchmarks) do
    made[one.verdict], made.forgotten = made[one.verdict] + 1, math.max(made.forgotten, one.forgotten)
  end
  return made
end

return g.experiment {
  name   = "progression_control",
  params = { control = g.choice { "benchmarked", "fixed" }, width = g.int(8), epochs = g.int(60), turn = g.int(2), forget = .03,
    gain = .05, lr = .015, alpha = .5 },
  grid   = { control = { "fixed", "benchmarked" }, seed = { 1, 2, 3, 4, 5 } },
  columns = { { "easy", "easy", "%.1f%%" }, { "hard", "hard", "%.1f%%" }, { "forgotten", "most forgotten", "%.1f%%" },
    { "next", "went on", "%.1f" }, { "stay", "stayed", "%.1f" }, { "back", "went back", "%.1f" } },
  versus = { "hard", "fixed", "hard vs fixed" },
  metrics = { hard = { better = "higher" } },

  run = function(run, p)
    local d = g.data.digits():split { train = .5, val = .2, test = .3 }
    local teacher = run:cached("teacher", build_teacher, d.train)
    local ranked, suites = d.train:rank(score.loss(teacher)), d.val:rank(score.loss(teacher))
    local test = d.test:rank(score.loss(teacher))
    local rule = p.control == "fixed" and when.benchmarked { epochs = p.epochs / 4, decide = false }
      or when.benchmarked { epochs = p.turn, forget = p.forget, gain = p.gain }

    local r = run:distill {
      teacher = teacher, student = nn.MLP { 64, p.width, 10 }, data = d, budget = { epochs = p.epochs }, lr = p.lr, alpha = p.alpha,
      suites = { easy = suites:first(.6), hard = suites:last(.4) },
      curriculum = {
        { "easy",   sample = ranked:first(.3), temperature = 6, advance = rule },
        { "medium", sample = ranked:first(.7), temperature = 4, advance = rule },
        { "hard",   sample = ranked:last(.05), temperature = 3, advance = rule },
        { "all",    sample = ranked,           temperature = 2, advance = when.benchmarked { decide = false } },
      },
    }
    local made = summary(r.state.benchmarks)
    return { easy = run:evaluate(r.student, test:first(.6)).acc, hard = run:evaluate(r.student, test:last(.4)).acc,
      forgotten = made.forgotten, next = made.next, stay = made.stay, back = made.back }
  end,
}
