-- Gradus's side of a row: `gradus run step.lua --set work=JSON`, then a number of steps a line on standard input. With "scan",
-- `chunk` steps in one call of step:scan, on batches that differ, as JAX's compiled loop does them.
local g = require "gradus"
local host = require "gradus.host"
local nn = g.nn

local TEMPERATURE, ALPHA, LR = 4, .7, 1e-3

local function mlp(sizes) return nn.MLP { unpack(sizes) } end

local function encoder(work)
  local layer = nn.TransformerEncoderLayer(work.width, work.heads, { dim_feedforward = 4 * work.width, dropout = 0 })
  local net = nn.Module()
  net.encoder = nn.TransformerEncoder(layer, work.layers)
  net.head = nn.Linear(work.width, work.vocabulary or work.classes)
  if work.vocabulary then net.token = nn.Embedding(work.vocabulary, work.width) end
  return net
end

local function cnn()
  return nn.Sequential(nn.Conv2d(1, 16, 3, { padding = 1 }), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, { padding = 1 }),
    nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1568, 10))
end

local function labels(classes, size) return g.randint(0, classes, size) end

-- The model, a batch, and the loss of a batch under knobs.
local MAKE = {}

function MAKE.mlp(work)
  local net, classes = mlp(work.sizes), work.sizes[#work.sizes]
  local batch = { x = g.randn { work.batch, work.sizes[1] }, teacher = g.randn { work.batch, classes },
    y = labels(classes, { work.batch }) }
  return net, batch, function(b, k) return g.kd_loss(net(b.x), b.teacher, b.y, k).loss end
end

-- The teacher's logits were computed once; a batch's are gathered.
function MAKE.cached(work)
  local net, classes = mlp(work.sizes), work.sizes[#work.sizes]
  local logits = g.randn { 4096, classes }
  local batch = { x = g.randn { work.batch, work.sizes[1] }, index = labels(4096, { work.batch }),
    y = labels(classes, { work.batch }) }
  return net, batch, function(b, k) return g.kd_loss(net(b.x), b.teacher, b.y, k).loss end,
    function(b) b.teacher = logits:index_select(0, b.index) end
end

function MAKE.cnn(work)
  local net = cnn()
  local batch = { x = g.randn { work.batch, 1, 28, 28 }, teacher = g.randn { work.batch, 10 }, y = labels(10, { work.batch }) }
  return net, batch, function(b, k) return g.kd_loss(net(b.x), b.teacher, b.y, k).loss end
end

function MAKE.encoder(work)
  local net = encoder(work)
  local batch = { x = g.randn { work.batch, work.length, work.width }, teacher = g.randn { work.batch, work.classes },
    y = labels(work.classes, { work.batch }) }
  return net, batch, function(b, k) return g.kd_loss(net.head(net.encoder(b.x):mean(1)), b.teacher, b.y, k).loss end
end

function MAKE.vocabulary(work)
  local net, tokens = encoder(work), work.batch * work.length
  local head = g.randn { work.vocabulary, work.width } / 16
  local batch = { x = labels(work.vocabulary, { work.batch, work.length }), teacher = g.randn { tokens, work.width },
    y = labels(work.vocabulary, { tokens }) }
  return net, batch, function(b, k)
    local h = net.encoder(net.token(b.x)):flatten(0, 1)
    return g.loss.linear_kd(h, net.head, b.teacher, { weight = head }, b.y, k).loss
  end
end

-- What an operator costs besides its arithmetic: a chain of them on one number, without gradients.
function MAKE.chain(work)
  local layer = nn.Linear(1, 1)
  return nil, { x = g.ones(1, 1) }, function(b, k)
    return g.no_grad(function()
      local x = b.x
      for _ = 1, work.operators do x = work.own and layer(x) or x * k.alpha end
      return x
    end)
  end
end

-- A whole distillation, each time anew: streamed data, the teacher's forward, the student's step, seven values of each step logged.
local function distillation(run, work)
  local teacher, d = mlp(work.teacher), g.data.parity { d = work.sizes[1], k = 5, held_out = 64 }
  return function(steps)
    run:distill { teacher = teacher, student = mlp(work.sizes), data = d, batch = work.batch, lr = LR, temperature = TEMPERATURE,
      alpha = ALPHA, optimizer = work.optimizer, budget = { steps = steps }, evaluate = { steps = steps }, restore_best = false }
    return 0
  end
end

return g.experiment {
  name = "bench", params = { work = "" },
  run = function(run, p)
    local work = host.json_decode(p.work)
    local advance = work.kind == "distillation" and distillation(run, work)
    local net, batch, loss, before
    if not advance then net, batch, loss, before = MAKE[work.kind](work) end
    local opt = net and g.optim[work.optimizer or "AdamW"](net, { lr = LR })
    local step = run:step(function(b, k)
      local value = work.dtype and g.autocast(work.dtype, loss, b, k) or loss(b, k)
      if opt then opt:minimize(value, { lr = k.lr }) end
      return { loss = value }
    end)
    local knobs = { temperature = TEMPERATURE, alpha = ALPHA, lr = LR }
    local chunk, stacked = work.chunk or 16, {}
    for name, value in pairs(work.scan and batch or {}) do
      local rows = {}
      for i = 1, chunk do rows[i] = value:roll(i - 1, 0) end
      stacked[name] = g.stack(rows)
    end
    local function scan(steps)
      local out
      for _ = 1, math.max(1, math.floor(steps / chunk + .5)) do out = step:scan(stacked, knobs) end
      return out.loss[chunk - 1]:item()
    end
    advance = advance or work.scan and scan or function(steps)
      local out
      for _ = 1, steps do
        if before then before(batch) end
        out = step(batch, knobs)
      end
      return out.loss:item()
    end
    local function say(values)
      io.write("@", host.json_encode(values), "\n")
      io.flush()
    end
    advance(work.startup and 1 or 33)  -- steps 2, 4, 8, …, 32 are audited: done both ways
    say { ready = true }
    if work.startup then return end
    for line in io.lines() do
      local wall, cpu = host.monotonic(), os.clock()
      local last = advance(tonumber(line))
      say { wall = host.monotonic() - wall, cpu = os.clock() - cpu, loss = last }
    end
  end,
}
