local g = require "gradus"
local engine = require "gradus.engine"
local nn, probe = g.nn, g.probe

-- A network whose hidden units are ReLU(±(x0 + x1)) and ReLU(±x2): it knows coordinates 0, 1 and 2 of six.
local function knowing()
  local net = nn.MLP { 6, 4, 2 }
  g.no_grad(function()
    net.layers:get(0).weight:copy_(g.tensor { { 1, 1, 0, 0, 0, 0 }, { -1, -1, 0, 0, 0, 0 }, { 0, 0, 1, 0, 0, 0 }, { 0, 0, -1, 0, 0, 0 } })
    net.layers:get(0).bias:zero_()
  end)
  return net
end

describe("probe.correlation", function()
  it("gives the spread that algebra gives", function()
    -- E[x0 ReLU(x0+x1)] = 1/2, so unit correlations are (1/2, -1/2, 0, 0) for x0 and x1, (0, 0, 1/2, -1/2) for x2;
    -- the spread over A ~ N(0, 1/4) is √(2 · (1/2)² / 4) = √(1/8).
    local found = probe.correlation(knowing(), { d = 6, k = 3, layer = "layers.1", projections = 20000, samples = 40000, seed = 1 })
    for j = 1, 3 do expect(found.spread[j]):near(math.sqrt(1 / 8), .01) end
    for j = 4, 6 do expect(found.spread[j]):near(0, .01) end
    expect(found.inside):near(math.sqrt(1 / 8), .01)
    expect(found.ratio > 20):is_true()
    expect(found.values.shape):equals { 6, 20000 }
  end)
  it("needs the layer and the task", function()
    expect(function() probe.correlation(knowing(), { d = 6, k = 3 }) end):fails_with "layer = the path"
    expect(function() probe.correlation(knowing(), { layer = "layers.1" }) end):fails_with "expected the task's d and k"
  end)
end)

describe("probe.monomials", function()
  -- p1 = 1/2 - x0 x1 / 4 exactly, made by a module of two lines.
  local Product = nn.class "Product"
  function Product:forward(x)
    local p = g.tensor(.5) - x:select(1, 0) * x:select(1, 1) / 4
    return g.stack({ (g.tensor(1) - p):log(), p:log() }, 1)
  end
  it("finds the Fourier coefficients of the output", function()
    local found = probe.monomials(Product(), { d = 8, k = 3, samples = 40000, seed = 2 })
    expect(#found):equals(3)
    expect(found[1].inside):near(0, .01)
    expect(found[2].inside):near(.25 / 3, .01)  -- one of the three pairs, by 1/4
    expect(found[2].outside):near(0, .01)
    expect(found[3].inside):near(0, .01)
    expect({ found[1].n_inside, found[2].n_inside, found[3].n_inside }):equals { 3, 3, 1 }
    expect(found[1].n_outside):equals(5)   -- all there are
    expect(found[2].n_outside):equals(25)  -- 28 pairs less 3
  end)
end)

describe("a probe", function()
  it("leaves the run's random streams and the model's mode as they were", function()
    local net = knowing():train()
    local generator = engine.default_generator()
    local default, init = generator:get_state(), nn.init_generator:get_state()
    math.randomseed(5)
    local wanted = math.random()
    math.randomseed(5)
    probe.correlation(net, { d = 6, k = 3, layer = "layers.1", samples = 1000 })
    probe.monomials(net, { d = 6, k = 3, samples = 1000 })
    expect(generator:get_state():equal(default)):is_true()
    expect(nn.init_generator:get_state():equal(init)):is_true()
    expect(math.random()):equals(wanted)
    expect(net.training):is_true()
    expect(net.layers:get(0).weight.requires_grad):is_true()
  end)
  it("says the same twice", function()
    local one = probe.correlation(knowing(), { d = 6, k = 3, layer = "layers.1", samples = 5000 })
    local two = probe.correlation(knowing(), { d = 6, k = 3, layer = "layers.1", samples = 5000 })
    expect(one.spread):equals(two.spread)
  end)
end)

describe("sparkline", function()
  it("draws bars, groups and marks", function()
    expect(g.sparkline { 0, 1, 4, 2 }):equals "▁▃█▅"
    expect(g.sparkline({ 0, 0, 1, 1 }, { width = 2 })):equals "▁█"
    expect(g.sparkline({ 0, 1 }, { marks = { 2 } })):equals "▁┆█"
    expect(g.sparkline { 3, 3 }):equals "▅▅"
    expect(g.sparkline({ .5, 1 }, { low = 0, high = 1 })):equals "▅█"
    expect(g.sparkline {}):equals ""
  end)
end)
