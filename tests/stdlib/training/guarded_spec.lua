local g = require "gradus"
local a_run = require "a_run"
local support = require "support"
local nn, finite = g.nn, support.finite

-- Two passes over 8 batches, one of them with NaN (or with inputs so large that the loss is finite and its gradient is not), in a
-- loop of one's own, by `update(opt, loss)`; returns the network and how many steps it took.
local function open_loop(run, update, options, value)
  local net, taken = nn.MLP { 64, 12, 10 }, 0
  local opt = g.optim.AdamW(net)
  local step = run:step(function(b)
    local loss = g.cross_entropy_loss(net(b.x), b.y)
    return { loss = loss, norm = update(opt, loss) }
  end, options)
  local ok, err = pcall(function()
    for _, b in run:batches(support.poisoned(value), { size = 8, steps = 16, augment = 0 }) do
      step(b, {})
      taken = taken + 1
    end
  end)
  return net, taken, not ok and tostring(err) or nil
end

local function has_five(rows)
  for _, row in ipairs(rows) do
    if row == 5 then return true end
  end
  return false
end

local ways = {
  ["minimize with clip"] = function(opt, loss) opt:minimize(loss, { clip = 1 }) end,
  ["minimize"] = function(opt, loss) opt:minimize(loss) end,
  ["backward and step"] = function(opt, loss)
    opt:zero_grad()
    loss:backward()
    opt:step()
  end,
}

describe("an open loop that meets NaN", function()
  for name, update in pairs(ways) do
    it("stops, its weights as they were, the batch's rows kept: " .. name, function()
      a_run(function(run, events)
        local net, taken, err = open_loop(run, update)
        expect(err):matches "the loss is nan"
        expect(finite(net)):is_true()
        expect(taken < 8):is_true()
        local all = events()
        local last = all[#all]
        expect({ last.kind, last.name, last.detail.policy, #last.detail.rows, last.step }):equals {
          "health", "non_finite", "stop", 8, taken + 1 }
        expect(has_five(last.detail.rows)):is_true()
      end)
    end)
  end
  it("skips where it is told to", function()
    a_run(function(run, events)
      local net, taken, err = open_loop(run, ways.minimize, { non_finite = "skip" })
      expect(err):equals(nil)
      expect({ taken, finite(net) }):equals { 16, true }
      local met = 0
      for _, event in ipairs(events()) do
        if event.name == "non_finite" then met = met + 1 end
      end
      expect(met):equals(2)  -- once per pass
    end)
  end)
  it("sees a gradient that is not finite where the step returns its norm", function()
    a_run(function(run)
      local net, _, err = open_loop(run, function(opt, loss) return opt:minimize(loss * 1e38 * 10, { clip = 1 }) end, nil, 1)
      expect(err):matches "the gradient is not finite"
      expect(finite(net)):is_true()
    end)
  end)
  it("is the script's own matter outside of a step, as in PyTorch", function()
    local net = nn.Linear(4, 2)
    g.optim.SGD(net, { lr = .1 }):minimize((net(g.ones { 3, 4 } * (0 / 0)) ^ 2):sum())
    expect(finite(net)):is_false()
  end)
  it("names a policy that it does not know", function()
    a_run(function(run)
      expect(function() run:step(function() end, { non_finite = "roll" }) end):fails_with "non_finite"
    end)
  end)
end)
