-- An update that is refused, because the loss or a gradient is not finite, leaves nothing behind: all is as without that batch.
local g = require "gradus"
local a_run = require "a_run"
local support = require "support"
local nn = g.nn

local CLEAN = 6                     -- batches
local POISONED = { [1] = true, [4] = true }  -- before these comes one more

-- Batches of 8 images; among them, where `bad` is given, some that hold that value.
local function batches(bad)
  local list, generator = {}, g.generator(5)
  for i = 1, CLEAN do
    if bad and POISONED[i] then
      local x = g.ones { 8, 1, 4, 4 }
      x[3] = bad
      list[#list + 1] = { x = x, y = g.arange(8) % 3 }
    end
    list[#list + 1] = { x = g.randn({ 8, 1, 4, 4 }, { generator = generator }), y = g.arange(8) % 3 }
  end
  return list
end

local function normalised(dtype)
  nn.init_generator = g.generator(3)
  local net = nn.Sequential { nn.Conv2d(1, 4, 3, { padding = 1 }), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 6),
    nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3) }
  return dtype and net:to { dtype = dtype } or net
end

-- Everything that a training moved, as plain numbers; NaN would equal nothing.
local function moved(net, opt)
  local all = {}
  for _, state in ipairs { net:state_dict(), opt:state_dict() } do
    for name, t in pairs(state) do all[name] = t:to("cpu"):flatten():totable() end
  end
  return all
end

local optimizers = {
  AdamW = function(net) return g.optim.AdamW(net, { lr = .01 }) end,
  Adam = function(net) return g.optim.Adam(net, { lr = .01 }) end,
  ["SGD with momentum"] = function(net) return g.optim.SGD(net, { lr = .01, momentum = .9, nesterov = true }) end,
  ["SGD with dampening"] = function(net) return g.optim.SGD(net, { lr = .01, momentum = .9, dampening = .5, weight_decay = .1 }) end,
}

local ways = {
  ["minimize"] = function(opt, loss) opt:minimize(loss) end,
  ["minimize with clip"] = function(opt, loss) return opt:minimize(loss, { clip = 1 }) end,
  ["minimize with guard"] = function(opt, loss) return opt:minimize(loss, { guard = true }) end,
  ["backward and step"] = function(opt, loss)
    opt:zero_grad()
    loss:backward()
    opt:step()
  end,
}

local function loss_of(net, b) return g.cross_entropy_loss(net(b.x), b.y) end

local function train(run, list, make, update, dtype)
  local net = normalised(dtype)
  local opt = make(net)
  local step = run:step(function(b)
    local loss = loss_of(net, b)
    update(opt, loss)
    return { loss = loss }
  end, { non_finite = "skip" })
  for _, b in ipairs(list) do step({ x = dtype and b.x:to { dtype = dtype } or b.x, y = b.y }, {}) end
  return moved(net, opt)
end

describe("a refused update leaves nothing behind:", function()
  for mode in pairs { replay = true, eager = true } do
    for name, make in pairs(optimizers) do
      for way, update in pairs(ways) do
        it(("%s, %s, %s"):format(name, way, mode), function()
          a_run(function(run)
            g.step_mode(mode)
            expect(train(run, batches(0 / 0), make, update)):equals(train(run, batches(), make, update))
            g.step_mode "replay"
          end)
        end)
      end
    end
  end
  it("in float64, and at infinity", function()
    a_run(function(run)
      for _, make in pairs(optimizers) do
        expect(train(run, batches(1 / 0), make, ways.minimize, "float64")):equals(train(run, batches(), make, ways.minimize, "float64"))
      end
    end)
  end)
  it("counts what was taken", function()
    a_run(function(run)
      local all = train(run, batches(0 / 0), optimizers.AdamW, ways.minimize)
      expect({ all["0.0.step"], all["1.num_batches_tracked"], all["5.num_batches_tracked"] }):equals { { CLEAN }, { CLEAN }, { CLEAN } }
    end)
  end)
  it("in steps that are scanned", function()
    a_run(function(run)
      local function scanned(bad)
        local net = normalised()
        local opt = optimizers.AdamW(net)
        local step = run:step(function(b)
          local loss = loss_of(net, b)
          opt:minimize(loss)
          return { loss = loss }
        end, { non_finite = "skip" })
        local x, y = {}, {}
        for i, b in ipairs(batches(bad)) do x[i], y[i] = b.x, b.y end
        step:scan { x = g.stack(x, 0), y = g.stack(y, 0) }
        return moved(net, opt)
      end
      expect(scanned(0 / 0)):equals(scanned())
    end)
  end)
  it("where one network is called twice, and where two optimizers take turns", function()
    a_run(function(run)
      local function turns(bad)
        local net, head = normalised(), nn.Linear(16, 3)
        g.no_grad(function() head.weight:fill_(.1) head.bias:zero_() end)
        local one, other = optimizers.AdamW(net), optimizers.AdamW(head)
        local step = run:step(function(b)
          local loss = loss_of(net, b) + loss_of(net, { x = b.x * 2, y = b.y })
          one:minimize(loss)
          other:minimize(g.cross_entropy_loss(head(b.x:flatten(1)), b.y))
          return { loss = loss }
        end, { non_finite = "skip" })
        for _, b in ipairs(batches(bad)) do step({ x = b.x, y = b.y }, {}) end
        return { moved(net, one), moved(head, other) }
      end
      expect(turns(0 / 0)):equals(turns())
    end)
  end)
  it("what an update was taken of stays where a later one is refused", function()
    a_run(function(run)
      local net = normalised()
      local first, second = optimizers.AdamW(net), optimizers.AdamW(net)
      local step = run:step(function(b)
        local loss = loss_of(net, b)
        first:minimize(loss)
        second:minimize(loss_of(net, { x = b.x * b.times, y = b.y }))
        return { loss = loss }
      end)
      for _, b in ipairs(batches()) do step({ x = b.x, y = b.y, times = g.tensor(0 / 0) }, {}) end
      local all = moved(net, first)
      expect({ all["0.0.step"], moved(net, second)["0.0.step"], all["1.num_batches_tracked"] }):equals { { CLEAN }, { 0 }, { CLEAN } }
      expect(support.finite(net)):is_true()
    end)
  end)
  for _, parts in ipairs { 1, 2 } do
    it("in distill, its batches in parts: " .. parts, function()
      a_run(function(run)
        local student = normalised()
        local made, generator = 0, g.generator(7)
        local data = g.data.generator(function()
          made = made + 1
          local x = g.randn({ 16, 1, 4, 4 }, { generator = generator })
          if made == 3 * parts + 1 then x[2] = 0 / 0 end  -- the first part, so that the second one's statistics are NaN as well
          return x:narrow(0, 0, 16 / parts), (g.arange(16) % 3):narrow(0, 0, 16 / parts)
        end, { epoch = 64, classes = 3 })
        run:distill { student = student, data = data, batch = 16, accumulate = parts, budget = { steps = 8 }, non_finite = "skip" }
        local state = student:state_dict()
        for name, t in pairs(state) do expect({ name, t:isfinite():all():item() }):equals { name, true } end
        expect(state["1.num_batches_tracked"]:item()):equals(7 * parts)
      end)
    end)
  end
  it("leaves the statistics to the script outside of a step, and to a network that has none", function()
    local net, plain = normalised(), nn.Sequential { nn.Flatten(), nn.Linear(16, 3) }
    local b = batches(0 / 0)[1]
    optimizers.AdamW(net):minimize(loss_of(net, b), { guard = true })
    expect(net:state_dict()["1.num_batches_tracked"]:item()):equals(1)
    optimizers.AdamW(plain):minimize(loss_of(plain, b), { guard = true })
    expect(support.finite(plain)):is_true()
  end)
end)
