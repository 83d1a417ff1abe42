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

describe("probe.spread", function()
  local function found_of(d, projections)
    return { values = g.arange(d * projections):float():reshape(d, projections) }
  end
  it("takes values from all coordinates, those of the support apart", function()
    local few = probe.spread(found_of(3, 4), 2, 4)
    expect(few.inside):equals { 0, 4, 1, 5 }
    expect(few.outside):equals { 8, 9, 10, 11 }
    expect(#probe.spread(found_of(50, 500), 5).outside):equals(60)
    expect(#probe.spread(found_of(50, 500), 50).outside):equals(0)
    expect(#probe.spread(found_of(50, 4), 5).outside):equals(60)
    expect(#probe.spread(found_of(2, 3), 1).inside):equals(3)
  end)
  it("blames the line", function()
    expect(function() probe.spread({}, 2) end):fails_with "probe_spec.lua:%d+: probe.spread: expected what probe.correlation returns"
    expect(function() probe.spread(found_of(3, 4), 4) end):fails_with "'k'"
    expect(function() probe.spread(found_of(3, 4), 2, 0) end):fails_with "'count'"
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

-- S -> A B | B A, A -> C D, B -> D C D, C -> 1 1, D -> 2: every tree is three deep, and the tokens tell where C ends.
local GRAMMAR = g.cfg.parse "9: 8 7 | 7 8  8: 6 5  7: 5 6 5  6: 1 1  5: 2"

-- Hidden states that show the last `reach` tokens: with two, all of GRAMMAR's ends can be told.
local Window = nn.class "Window"
function Window:init(reach) self.reach = reach end
function Window:forward(x)
  local one, seen = g.one_hot(x, 7):float(), {}
  for back = 1, self.reach do seen[back] = one:roll({ back - 1 }, { 1 }) end
  return g.cat(seen, -1)
end
local Parser = nn.class "Parser"
function Parser:init(reach) self.window = Window(reach) end
function Parser:forward(x) return self.window(x) end

describe("probe.boundary", function()
  it("knows where symbols end, as parsed by hand", function()
    local x, places, labels = probe.boundaries(GRAMMAR, 1, 0, 2)
    expect(x.shape):equals { 2, 8 }
    local trees = {  -- depth 2 (A, B) and 3 (C, D) at each terminal
      ["1 1 2 2 1 1 2"] = { { 0, 0 }, { 0, 1 }, { 1, 1 }, { 0, 1 }, { 0, 0 }, { 0, 1 }, { 1, 1 } },
      ["2 1 1 2 1 1 2"] = { { 0, 1 }, { 0, 0 }, { 0, 1 }, { 1, 1 }, { 0, 0 }, { 0, 1 }, { 1, 1 } } }
    for s = 0, 1 do
      local words = g.cfg.sentence(GRAMMAR, 1, s)
      expect(labels:slice(0, 7 * s, 7 * s + 7):totable()):equals(trees[table.concat(words, " ")])
      expect(places:slice(0, 7 * s, 7 * s + 7):totable()):equals(g.arange(8 * s + 1, 8 * s + 8):totable())
    end
  end)
  it("finds them where the hidden state tells, and only there", function()
    local function found(reach) return probe.boundary(Parser(reach), { grammar = GRAMMAR, layer = "window", sentences = 60 }) end
    local seeing, blind = found(2), found(1)
    expect({ seeing[2].accuracy, seeing[2].balanced, seeing[3].accuracy }):equals { 1, 1, 1 }
    expect({ seeing[2].majority, seeing[3].majority }):near({ 5 / 7, 5 / 7 }, 1e-6)
    expect(blind[2].accuracy):near(6 / 7, 1e-6)  -- two of three "2" end A or B
    expect(blind[3].accuracy):near(5 / 7, 1e-6)  -- every other "1" ends C
    expect(blind[1]):equals(nil)
  end)
  it("judges by sentences that the classifier has not seen", function()
    local Noise = nn.class "Noise"  -- of each sentence its own, wide enough to be learnt by heart
    function Noise:init() self.generator = g.generator(3) end
    function Noise:forward(x) return g.randn({ x:size(0), x:size(1), 400 }, { generator = self.generator }) end
    local model = Parser(1)
    model.window = Noise()
    local found = probe.boundary(model, { grammar = GRAMMAR, layer = "window", sentences = 60 })
    for d = 2, 3 do expect(found[d].balanced):near(.5, .17) end
  end)
  it("needs a grammar and a layer", function()
    expect(function() probe.boundary(Parser(2), { grammar = GRAMMAR }) end):fails_with "layer = the path"
    expect(function() probe.boundary(3, {}) end):fails_with "expected a module"
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
    local parser = Parser(2):train()
    probe.boundary(parser, { grammar = GRAMMAR, layer = "window", sentences = 20, steps = 10 })
    expect(parser.training):is_true()
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

-- --- by the samples themselves -----------------------------------------------------------------------------------------------

local files = engine.data
local function samples(d, k, n, seed)
  return files.parity { d = d, k = k, seed = files.derive_seed(seed, "samples"), first = 0, size = n }
end

describe("what a probe measures", function()
  it("is the correlation over all samples, more than a chunk, with each projection", function()
    local net = knowing()
    local found = probe.correlation(net, { d = 6, k = 3, layer = "layers.1", projections = 7, samples = 5000, seed = 4 })
    local x = samples(6, 3, 5000, 4)
    local hidden = g.no_grad(function() return net.layers:get(0)(x):relu() end)
    local a = g.randn({ 4, 7 }, { generator = g.generator(files.derive_seed(4, "projections")) })
    local wanted = (x:t():double():matmul(hidden:double()) / 5000):float():matmul(a / 2)
    expect((found.values - wanted):abs():amax():item()):near(0, 1e-5)
    local spread = wanted:std({ dim = { 1 } }):double():totable()
    expect(found.spread):near(spread, 1e-5)
    expect({ found.inside, found.outside }):near({ (spread[1] + spread[2] + spread[3]) / 3, (spread[4] + spread[5] + spread[6]) / 3 }, 1e-5)
    expect(found.ratio):near(found.inside / found.outside, 1e-9)
  end)
  it("has nothing outside of a support that is all", function()
    local found = probe.correlation(knowing(), { d = 6, k = 6, layer = "layers.1", projections = 5, samples = 50, seed = 4 })
    assert(found.outside ~= found.outside and found.ratio ~= found.ratio and found.inside > 0)
    local monomials = probe.monomials(nn.MLP { 3, 2 }, { d = 3, k = 3, samples = 50 })
    expect({ monomials[1].n_outside, monomials[3].n_inside, #monomials }):equals { 0, 1, 3 }
  end)
  it("is each monomial's coefficient, in the mean of those inside and outside", function()
    local net = nn.MLP { 4, 3, 2 }
    local found = probe.monomials(net, { d = 4, k = 2, samples = 4100, seed = 9 })
    local x = samples(4, 2, 4100, 9)
    local p = g.no_grad(function() return net(x):softmax(-1):select(-1, 1) end):double()
    local function of(...)
      local product = p
      for _, j in ipairs { ... } do product = product * x:select(1, j):double() end
      return math.abs(product:mean():item())
    end
    local function moments(list)
      local sum, squares = 0, 0
      for _, v in ipairs(list) do sum = sum + v end
      for _, v in ipairs(list) do squares = squares + (v - sum / #list) ^ 2 end
      return sum / #list, math.sqrt(squares / (#list - 1))
    end
    local mean, sd = moments { of(2), of(3) }
    expect({ found[1].inside, found[1].outside, found[1].outside_sd }):near({ (of(0) + of(1)) / 2, mean, sd }, 1e-5)
    mean, sd = moments { of(0, 2), of(0, 3), of(1, 2), of(1, 3), of(2, 3) }
    expect({ found[2].inside, found[2].outside, found[2].outside_sd }):near({ of(0, 1), mean, sd }, 1e-5)
    expect({ found[1].n_inside, found[1].n_outside, found[2].n_inside, found[2].n_outside, #found }):equals { 2, 2, 1, 5, 2 }
  end)
  it("goes to the fifth degree, against a hundred sets, where nothing is said", function()
    local found = probe.monomials(nn.MLP { 20, 2 }, { d = 20, k = 7, samples = 20 })
    expect({ #found, found[5].n_inside, found[5].n_outside, found[1].n_outside }):equals { 5, 21, 100, 13 }
    found = probe.monomials(nn.MLP { 20, 2 }, { d = 20, k = 7, samples = 20, degrees = 2, count = 6 })
    expect({ #found, found[2].n_inside, found[2].n_outside }):equals { 2, 21, 6 }
  end)
  it("is given in four digits where it is drawn", function()
    local spread = probe.spread({ values = g.tensor { { .123456, 2 }, { -.987654, 1e-5 } } }, 1)
    expect(spread):equals { inside = { .1235, 2 }, outside = { -.9877, 1e-05 } }
    expect(#probe.spread({ values = g.zeros(1, 99) }, 1).inside):equals(60)
  end)
  it("is refused of what is no task", function()
    for _, wrong in ipairs { { d = 0, k = 1 }, { d = 4, k = 0 }, { d = 4, k = 2, samples = 0 }, { d = 4, k = 2, seed = -1 },
      { d = 4, k = 2, degrees = 0 }, { d = 4, k = 2, count = 0 } } do
      expect(function() probe.monomials(nn.MLP { 4, 2 }, wrong) end):fails_with "probe.monomials: '"
    end
    expect(function() probe.correlation(knowing(), { d = 6, k = 3, layer = "layers.1", projections = 1 }) end):fails_with "'projections'"
    expect(function() probe.boundary(Parser(2), { grammar = GRAMMAR, layer = "window", sentences = 3 }) end):fails_with "'sentences'"
    probe.boundary(Parser(2), { grammar = GRAMMAR, layer = "window", sentences = 4, steps = 1 })
    expect(function() probe.boundaries(GRAMMAR, 1, -1, 2) end):fails_with "'first'"
    expect(function() probe.boundaries(GRAMMAR, 1, 0, 0) end):fails_with "'count'"
    expect(function() probe.correlation(5, { d = 6, k = 3, layer = "x" }) end):fails_with "probe.correlation: expected a module; got 5"
  end)
  it("is the mean over ends and others, beside what always saying the more frequent gives", function()
    local found = probe.boundary(Parser(1), { grammar = GRAMMAR, layer = "window", sentences = 60 })[2]
    -- Of seven terminals two end A or B, and a "2" ends one in two of three cases: 2 of 2 ends are found, 4 of 5 others.
    expect({ found.balanced, found.accuracy, found.majority }):near({ (1 + .8) / 2, 6 / 7, 5 / 7 }, 1e-6)
  end)
  it("leaves a model in evaluation mode so, and where it fails, too", function()
    local net = knowing():eval()
    probe.correlation(net, { d = 6, k = 3, layer = "layers.1", samples = 10 })
    expect(net.training):equals(false)
    net:train()
    expect(function() probe.correlation(net, { d = 6, k = 3, layer = "layers.9", samples = 10 }) end):fails_with "layers.9"
    expect(net.training):equals(true)
  end)
  it("leaves each part in the mode that it was in", function()
    local net = knowing()
    net.layers:get(0):eval()
    probe.monomials(net, { d = 6, k = 3, samples = 10, count = 2 })
    expect({ net.training, net.layers:get(0).training, net.layers:get(1).training }):equals { true, false, true }
  end)
  it("asks a model in its own float type", function()
    local function inside(net) return probe.correlation(net, { d = 6, k = 3, layer = "layers.1", samples = 50, seed = 1 }).inside end
    for _, dtype in ipairs { "float64", "bfloat16" } do expect(inside(knowing():to(dtype))):near(inside(knowing()), 1e-2) end
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

describe("how many samples a probe takes", function()
  local current = require "gradus.base.current"
  local Counting = nn.class "Counting"
  function Counting:init(inner) self.inner, self.rows, self.most = inner, 0, 0 end
  function Counting:forward(x)
    self.rows, self.most = self.rows + x:size(0), math.max(self.most, x:size(0))
    return self.inner(x)
  end
  -- Rows that were asked for, in a dry run or not.
  local function rows_of(name, inner, options, dry)
    local model, before = Counting(inner), current.run
    options.seed = 3
    if dry then current.run = { dry = true } end
    local ok, found = pcall(probe[name], model, options)
    current.run = before
    if not ok then error(found, 0) end
    return model.rows, found, model.most
  end
  local function linear() return nn.Linear(4, 2) end
  it("is said, or each probe's own, and few in a dry run", function()
    local rows, found, most = rows_of("correlation", linear(), { d = 4, k = 2, layer = "inner" })
    expect({ rows, most, found.values.shape[1], found.values.shape[2] }):equals { 20000, 4096, 4, 500 }
    expect({ (rows_of("monomials", linear(), { d = 4, k = 2 })) }):equals { 100000 }
    for _, case in ipairs { { 1, 1 }, { 4096, 4096 }, { 4097, 4097 }, { 64, 64, true }, { 65, 64, true }, { 63, 63, true } } do
      expect({ (rows_of("monomials", linear(), { d = 4, k = 2, samples = case[1] }, case[3])) }):equals { case[2] }
    end
    local function parser() return Parser(1) end
    local function sentences(count, dry)
      return (rows_of("boundary", parser(), { grammar = GRAMMAR, layer = "inner", sentences = count, steps = 1 }, dry))
    end
    expect({ sentences(), sentences(9), sentences(9, true), sentences(7, true), sentences(1500) }):equals { 400, 9, 8, 7, 1500 }
  end)
  it("may leave one set outside of the support, which does not spread", function()
    local found = probe.monomials(linear(), { d = 3 + 1, k = 3, degrees = 1, samples = 50 })
    expect({ found[1].n_inside, found[1].n_outside, found[1].outside_sd }):equals { 3, 1, 0 }
  end)
  it("and of a spread at least one value, of a support of one or all", function()
    local found = { values = g.tensor { { 1, 2 }, { 3, 4 } } }
    expect(probe.spread(found, 1, 1)):equals { inside = { 1 }, outside = { 3 } }
    expect(probe.spread(found, 2)):equals { inside = { 1, 3, 2, 4 }, outside = {} }
    expect(function() probe.spread(found, 0) end):fails_with "'k'"
  end)
end)
