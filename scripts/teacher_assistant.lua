-- A teacher assistant bridges a large capacity gap (Mirzadeh et al., AAAI 2020): large -> medium -> small, on digits.
--   gradus run scripts/teacher_assistant.lua
--   gradus run scripts/teacher_assistant.lua --set student=6 --set assistant=48
local g = require "gradus"
local nn = g.nn

local function build_teacher(train)
  return g.fit { model = nn.MLP { 64, 512, 512, 10 }, data = train, epochs = 60, lr = 2e-3, augment = 1, augmentations = { noise = .1 } }
end

return g.experiment {
  name   = "teacher_assistant",
  params = { way = g.choice { "direct", "assistant", "both" }, assistant = g.int(32), student = g.int(8), epochs = g.int(80), alpha = .3,
    temperature = 4, lr = 5e-3 },
  grid   = { way = { "direct", "assistant", "both" }, seed = { 1, 2, 3, 4, 5 } },
  columns = { { "teacher", "teacher", "%.1f%%" }, { "assistant", "assistant", "%.1f%%" }, { "student", "student", "%.1f%%" } },
  versus = { "student", "direct", "vs direct" },
  metrics = { student = { better = "higher" } },
  footer = "Test accuracy. both: the student learns from teacher and assistant at once, half each.",

  run = function(run, p)
    local d = g.data.digits():split { train = .5, val = .2, test = .3 }
    local teacher = run:cached("teacher", build_teacher, d.train)

    local function distill(student, from)
      return run:distill { teacher = from, student = student, data = d, budget = { epochs = p.epochs }, lr = p.lr, alpha = p.alpha,
        temperature = p.temperature }.student
    end

    local student = nn.MLP { 64, p.student, 10 }  -- drawn first, so that all ways begin with the same weights
    local assistant = p.way ~= "direct" and distill(nn.MLP { 64, p.assistant, 10 }, teacher) or nil
    local from = { direct = teacher, assistant = assistant, both = assistant and { { teacher, .5 }, { assistant, .5 } } }
    distill(student, from[p.way])
    return { teacher = run:evaluate(teacher, d.test).acc, assistant = assistant and run:evaluate(assistant, d.test).acc,
      student = run:evaluate(student, d.test).acc }
  end,
}
