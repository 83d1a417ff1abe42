-- Progression control: after each stage the student is benchmarked on an easy and a hard suite, against the teacher and
-- against the stage before; from these numbers it goes on, stays or goes back. Every decision is in the store.
--   gradus run scripts/progression_control.lua
--   gradus sql "select step, name, detail from events where kind = 'decision'"
local g = require "gradus"
local nn, score, when = g.nn, g.score, g.when

local function build_teacher(train)
  return g.fit { model = nn.MLP { 64, 256, 10 }, data = train, epochs = 60, lr = 2e-3, augment = 1, augmentations = { noise = .1 } }
end

return g.experiment {
  name   = "progression_control",
  params = { control = g.choice { "benchmarked", "fixed" }, width = g.int(12), epochs = g.int(60), turn = g.int(6), forget = .03,
    lr = 5e-3, alpha = .5 },
  grid   = { control = { "fixed", "benchmarked" }, seed = { 1, 2, 3, 4, 5 } },
  columns = { { "easy", "easy", "%.1f%%" }, { "hard", "hard", "%.1f%%" }, { "forgetting", "forgetting", "%.1f%%" },
    { "next", "went on", "%.1f" }, { "stay", "stayed", "%.1f" }, { "back", "went back", "%.1f" } },
  versus = { "hard", "fixed", "hard vs fixed" },

  run = function(run, p)
    local d = g.data.digits():split { train = .5, val = .2, test = .3 }
    local teacher = run:cached("teacher", build_teacher, d.train)
    local ranked, suites = d.train:rank(score.loss(teacher)), d.val:rank(score.loss(teacher))
    local test = d.test:rank(score.loss(teacher))
    local function rule()
      return p.control == "fixed" and when.epochs(p.epochs / 4) or when.benchmarked { epochs = p.turn, forget = p.forget }
    end

    local r = run:distill {
      teacher = teacher, student = nn.MLP { 64, p.width, 10 }, data = d, budget = { epochs = p.epochs }, lr = p.lr, alpha = p.alpha,
      suites = { easy = suites:first(.5), hard = suites:last(.25) },
      curriculum = {
        { "easy",   sample = ranked:first(.3), temperature = 6, advance = rule() },
        { "medium", sample = ranked:first(.7), temperature = 4, advance = rule() },
        { "hard",   sample = ranked:last(.5),  temperature = 3, advance = rule() },
        { "all",    sample = ranked,           temperature = 2 },
      },
    }
    local made = { next = 0, stay = 0, back = 0 }
    for _, one in ipairs(r.state.benchmarks) do made[one.verdict] = made[one.verdict] + 1 end
    return { easy = run:evaluate(r.student, test:first(.5)).acc, hard = run:evaluate(r.student, test:last(.25)).acc,
      forgetting = r:forgetting "easy/acc", next = made.next, stay = made.stay, back = made.back }
  end,
}
