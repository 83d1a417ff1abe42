-- The loss around a model: moved along normalised directions, and left as it was.
local g = require "gradus"
local support = require "support"
local nn = g.nn

describe("probe.landscape", function()
  it("leaves the model as it was, and has it in the middle", function()
    local d, model = support.points(), support.student()
    local before, own = support.weights(model), support.with_run({}, function(run) return run:evaluate(model, d) end)
    local found = g.probe.landscape(model, d, { points = 5, seed = 3 })
    expect(support.weights(model)):equals(before)
    expect(found.at):equals { -1, -.5, 0, .5, 1 }
    expect(found.loss.shape):equals { 5, 5 }
    expect(found.loss[2][2]:item()):equals(own.loss)
    expect(found.acc[2][2]:item()):equals(own.acc)
    expect(found.center):equals { loss = own.loss, acc = own.acc }
    expect(tostring(found)):matches "loss .* at the model"
  end)

  it("moves each filter as far as it is long, biases not at all", function()
    -- One unit: the loss is that of (w + a r) x + b, where r is random with the length of w.
    local model = nn.Linear(3, 1)
    g.no_grad(function()
      model.weight:copy_(g.tensor { { 3, 0, 4 } })
      model.bias:copy_(g.tensor { 7 })
    end)
    local x = g.tensor { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } }
    -- Squared errors of rows that are the axes, with labels that the model meets exactly: a² |r|² / 3.
    local d = g.data.tensors(x, g.tensor { { 10 }, { 7 }, { 11 } })
    local found = g.probe.landscape(model, d, { points = 5, directions = 1, reach = 2, seed = 1 })
    expect(found.loss.shape):equals { 5 }
    for i, a in ipairs(found.at) do expect(found.loss[i - 1]:item()):near(a * a * 25 / 3, 1e-3) end
    expect(found.acc):equals(nil)
  end)

  it("is the same for the same seed, and draws from no stream of the run", function()
    local d, model = support.points(), support.student()
    local one = g.probe.landscape(model, d, { points = 3, seed = 3 })
    local before = g.randn(1, { generator = g.generator(5) }):item()
    g.manual_seed(5)
    local drawn = g.randn(2)
    g.manual_seed(5)
    local two = g.probe.landscape(model, d, { points = 3, seed = 3 })
    expect(g.randn(2):eq(drawn):all():item()):equals(true)
    expect(before):equals(g.randn(1, { generator = g.generator(5) }):item())
    expect(one.loss:eq(two.loss):all():item()):equals(true)
    local other = g.probe.landscape(model, d, { points = 3, seed = 4 })
    expect(one.loss:eq(other.loss):all():item()):equals(false)
  end)

  it("takes convolutions, layers of zeros and losses that are not finite", function()
    local images = g.data.digits():first(32)
    local x, y = images:gather()
    local d = g.data.tensors(x:reshape { 32, 1, 8, 8 }, y, { classes = 10 })
    local model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10))
    g.no_grad(function() model[3].weight:zero_() end)
    local found = g.probe.landscape(model, d, { points = 3 })
    expect(found.loss:isfinite():all():item()):equals(true)
    g.no_grad(function() model[3].bias:fill_(0 / 0) end)
    expect(tostring(g.probe.landscape(model, d, { points = 3 }))):matches "%?%?"
  end)

  it("refuses what is no landscape's, and a failure leaves the model as it was", function()
    local d, model = support.points(), support.student()
    expect(function() g.probe.landscape(model, d, { points = 4 }) end):fails_with "points: expected an odd number"
    expect(function() g.probe.landscape(model, d, { pionts = 5 }) end):fails_with "did you mean 'points'?"
    expect(function() g.probe.landscape(3, d) end):fails_with "expected a module; got 3"
    expect(function() g.probe.landscape(model, 3) end):fails_with "expected a data set; got 3"
    local before = support.weights(model)
    expect(function() g.probe.landscape(model, g.data.digits():first(8)) end):fails_with ""
    expect(support.weights(model)):equals(before)
  end)
end)

describe("what a landscape is asked with", function()
  local d, model = support.points(12), support.student()
  it("is 21 places each way within 1, along two directions, where nothing is said; 3 in a dry run", function()
    local found = g.probe.landscape(model, d, { seed = 1 })
    expect({ #found.at, found.at[1], found.at[2], found.at[11], found.at[21] }):near { 21, -1, -.9, 0, 1 }
    expect(found.loss.shape):equals { 21, 21 }
    local current = require "gradus.base.current"
    local before = current.run
    current.run = { dry = true }
    local ok, dry = pcall(g.probe.landscape, model, d, { seed = 1, points = 7, reach = 2 })
    current.run = before
    expect({ ok, dry.at }):equals { true, { -2, 0, 2 } }
  end)
  it("has limits", function()
    for name, wrong in pairs { points = { 1, 2 }, reach = { 0, -1 }, directions = { 0, 3 }, seed = { -1 } } do
      for _, value in ipairs(wrong) do
        expect(function() g.probe.landscape(model, d, { [name] = value }) end):fails_with(name)
      end
    end
    expect(#g.probe.landscape(model, d, { points = 3, seed = 0, directions = 1, reach = .01 }).at):equals(3)
  end)
  it("has its first direction in each row, its second from row to row", function()
    local both = g.probe.landscape(model, d, { points = 5, seed = 4 })
    local one = g.probe.landscape(model, d, { points = 5, seed = 4, directions = 1 })
    expect(both.loss[2]:totable()):near(one.loss:totable(), 1e-9)
    expect(both.acc[2]:totable()):near(one.acc:totable(), 1e-9)
    expect(one.center):equals(both.center)
    expect(math.abs(both.loss[0][2]:item() - both.loss[2][0]:item()) > 1e-6):is_true()  -- directions of their own
    local words = ("loss %.4g at the model, from %.4g to %.4g within 1 of it")
      :format(one.center.loss, one.loss:amin():item(), one.loss:amax():item())
    expect(tostring(one)):matches("\n" .. words:gsub("%p", "%%%0") .. "$")
    expect(select(2, tostring(one):gsub("\n", ""))):equals(1)
    expect(select(2, tostring(both):gsub("\n", ""))):equals(5)
  end)
end)
