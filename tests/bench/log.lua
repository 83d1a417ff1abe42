-- Gradus's side of the rows about logging (store_bench.py): says @ready, then answers a line of JSON with a line of JSON.
--   {"log": N}               N calls of run:log with 5 values: {"wall", "cpu"} of the calls alone
--   {"drain": N}             the same, until every value is in SQLite
--   {"train": N, "log": b}   N training steps, with a call of run:log each where b is true
local g = require "gradus"
local host = require "gradus.host"
local nn = g.nn

local function say(values)
  io.write("@", host.json_encode(values), "\n")
  io.flush()
end

return g.experiment {
  name = "log", params = { sizes = "784,256,10", batch = g.int(128) },
  run = function(run, p)
    local sizes = {}
    for size in p.sizes:gmatch "%d+" do sizes[#sizes + 1] = tonumber(size) end
    local net, classes = nn.MLP(sizes), sizes[#sizes]
    local batch = { x = g.randn { p.batch, sizes[1] }, teacher = g.randn { p.batch, classes }, y = g.randint(0, classes, { p.batch }) }
    local opt = g.optim.AdamW(net)
    local step = run:step(function(b, k)
      local kd = g.kd_loss(net(b.x), b.teacher, b.y, k)
      opt:minimize(kd.loss, { lr = 1e-3 })
      return { loss = kd.loss }
    end)
    local knobs = { temperature = 4, alpha = .7 }

    local at = 0
    local function log(value)
      at = at + 1
      run:log({ ["train/loss"] = value, ["train/ce"] = value, ["train/kl"] = value, ["train/acc"] = value, ["knob/lr"] = value }, at)
    end
    local DO = {}
    function DO.log(n)
      for i = 1, n do log(i * .5) end
    end
    function DO.drain(n)
      DO.log(n)
      run.writer:flush()
    end
    function DO.train(n, logged)
      local out
      for i = 1, n do
        out = step(batch, knobs)
        if logged then log(i) end
      end
      return out.loss:item()
    end

    DO.train(33)  -- steps 2, 4, 8, …, 32 are audited: done both ways
    say { ready = true }
    for line in io.lines() do
      local asked = host.json_decode(line)
      local what = asked.train and "train" or asked.drain and "drain" or "log"
      local wall, cpu = host.monotonic(), os.clock()
      DO[what](asked[what], asked.train and asked.log)
      say { wall = host.monotonic() - wall, cpu = os.clock() - cpu }
    end
  end,
}
