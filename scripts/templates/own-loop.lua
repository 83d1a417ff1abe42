-- NAME: the loop in your own hands: batches, a step that is a Lua function, your own decision to stop.
--   gradus run NAME.lua
--   gradus show @last · gradus plot val/acc
local g = require "gradus"
local nn = g.nn

-- A model of your own: children and parameters register by assignment.
local Net = nn.class "Net"
function Net:init(width) self.hidden, self.out = nn.Linear(64, width), nn.Linear(width, 10) end
function Net:forward(x) return self.out(self.hidden(x:flatten(1)):relu()) end

local function build(train, epochs) return g.fit { model = nn.MLP { 64, 256, 10 }, data = train, epochs = epochs, lr = 2e-3 } end

return g.experiment {
  name = "NAME",
  params = { width = g.int(16), steps = g.int(2000), teacher_epochs = 30, alpha = .7, lr = 3e-3, good = .95 },

  run = function(run, p)
    local d = g.data.digits():split { train = .7, val = .15, test = .15 }
    local teacher, student = run:cached("teacher", build, d.train, p.teacher_epochs), Net(p.width)
    local opt = run:register("opt", g.optim.AdamW(student))

    -- Recorded once and replayed without Lua: what it should print or log, log from its outputs, after it.
    local step = run:step(function(b, k)
      local kd = g.kd_loss(student(b.x), b.teacher, b.y, k)
      kd.norm = opt:minimize(kd.loss, { lr = k.lr, clip = 1 })
      return kd
    end)

    for i, b in run:batches(d.train, { size = 64, steps = p.steps, teacher = teacher }) do
      local out = step(b, { temperature = 6 - 4 * i / p.steps, alpha = p.alpha, lr = p.lr })
      run:log { ["train/loss"] = out.loss }
      if i % 200 == 0 then
        local val = run:evaluate(student, d.val)
        run:log { ["val/acc"] = val.acc, ["val/loss"] = val.loss }
        if val.acc > p.good then
          run:decide("stop", { acc = val.acc })
          break
        end
      end
    end
    return { acc = run:evaluate(student, d.test).acc, steps = run.step_number }
  end,
}
