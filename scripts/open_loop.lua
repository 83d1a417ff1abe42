-- The loop in your own hands: batches that follow the student's confidence, a step that is a Lua function of batch and knobs,
-- and your own decision to stop. Everything that run:distill does is made of these pieces.
--   gradus run scripts/open_loop.lua
local g = require "gradus"
local nn = g.nn

local function build_teacher(train) return g.fit { model = nn.MLP { 64, 256, 10 }, data = train, epochs = 30, lr = 2e-3 } end

return g.experiment { name = "open_loop", params = { alpha = .7, lr = 3e-3, good = .93, steps = g.int(5000) }, run = function(run, p)
  local d = g.data.digits():split { train = .7, val = .15, test = .15 }
  local teacher, student = run:cached("teacher", build_teacher, d.train), nn.MLP { 64, 16, 10 }
  local opt = run:register("opt", g.optim.AdamW(student))
  local src = run:register("src", g.sampler.confidence(d.train))

  local step = run:step(function(b, k)
    local kd = g.kd_loss(student(b.x), b.teacher, b.y, k)
    kd.norm = opt:minimize(kd.loss, { lr = k.lr, clip = 1 })  -- NaN and infinity change no weight, and end the run
    return kd
  end)

  for i, b in run:batches(src, { size = 64, steps = p.steps, teacher = teacher }) do
    local out = step(b, { temperature = 6 - 4 * i / p.steps, alpha = p.alpha, lr = p.lr })
    src:observe(b.index, out.confidence)
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
end }
