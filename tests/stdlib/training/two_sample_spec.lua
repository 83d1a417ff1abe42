-- The kernel two-sample test beside NumPy's numbers (data/make_two_sample_reference.py), and what it does at its limits.
local g = require "gradus"
local reference = require "reference"
local two_sample = g.probe.two_sample

local function rows(list) return g.tensor(list, "float64") end

describe("probe.two_sample", function()
  for _, case in ipairs(reference.read("two_sample.json", "training/data").cases) do
    it("equals NumPy's: " .. case.name, function()
      local found = two_sample(rows(case.a), rows(case.b), { permutations = 4000 })
      expect({ found.mmd2, found.bandwidth }):near({ case.mmd2, case.bandwidth }, 1e-12)
      expect(found.p):near(case.p, 3.5 * math.sqrt(case.p * (1 - case.p) / 4000) + 1 / 4000)  -- of permutations of its own
      expect(found.rows):equals { #case.a, #case.b }
    end)
  end
  it("finds what is apart and, as often as p says, what is not", function()
    local small = 0
    for seed = 1, 200 do
      local generator = g.generator(seed)
      local a, b = g.randn({ 20, 2 }, { generator = generator }), g.randn({ 20, 2 }, { generator = generator })
      if two_sample(a, b, { permutations = 99, seed = seed }).p <= .1 then small = small + 1 end
    end
    expect(small):near(20, 13)  -- a tenth of 200, three standard deviations
    expect(two_sample(g.randn(60, 2, { generator = g.generator(1) }), g.randn(60, 2, { generator = g.generator(2) }) + 1).p):equals(1 / 501)
  end)
  it("is the same of the same seed, draws from no other stream, and takes a part of many rows", function()
    local a, b = g.randn({ 900, 2 }, { generator = g.generator(1) }), g.randn({ 700, 2 }, { generator = g.generator(2) })
    g.manual_seed(5)
    local wanted = g.rand { 1 }
    g.manual_seed(5)
    local one, other = two_sample(a, b, { seed = 3, permutations = 50 }), two_sample(a, b, { seed = 3, permutations = 50 })
    expect(g.rand({ 1 }):equal(wanted)):is_true()
    expect(one):equals(other)
    expect(one.rows):equals { 256, 256 }
    expect(two_sample(a, b, { seed = 4, permutations = 50 }).mmd2):differs_from(one.mmd2)
    expect(two_sample(a, b, { rows = 20, permutations = 50 }).rows):equals { 20, 20 }
  end)
  it("knows rows that are alike, of any form and type", function()
    local found = two_sample(g.ones(5, 2), g.ones(4, 2))
    expect({ found.mmd2, found.p, found.bandwidth }):equals { 0, 1, 0 }
    local mostly = two_sample(g.cat({ g.zeros(19, 1), g.ones(1, 1) * 3 }, 0), g.zeros(21, 1))
    expect(mostly.bandwidth):near(3, 1e-12)
    expect({ mostly.mmd2, mostly.p }):near({ 0, 1 }, 1e-12)  -- a single row tells nothing of its set
    local images = g.randint(0, 9, { 12, 1, 3, 3 })
    expect(two_sample(images, images + 20).p < .01):is_true()
    expect(two_sample(g.randn(9, 3):requires_grad_(), g.randn(9, 3)).p > 0):is_true()
  end)
  for name, case in pairs {
    ["no tensor"] = { { 5, g.ones(2, 2) }, "probe.two_sample: 'a': expected a Tensor; got 5" },
    ["a single row"] = { { g.ones(2, 2), g.ones(1, 2) }, "b: expected two rows or more, [n, features]; got Tensor [1, 2] float32" },
    ["rows without features"] = { { g.ones(2), g.ones(2) }, "a: expected two rows or more" },
    ["other features"] = { { g.ones(2, 2), g.ones(2, 3) }, "b: expected 2 features, as a has; got 3" },
    ["NaN"] = { { g.ones(2, 2), g.full({ 2, 2 }, 0 / 0) }, "b: expected finite values; got NaN or infinity" },
    ["a misspelt option"] = { { g.ones(2, 2), g.ones(2, 2), { permutation = 5 } }, "did you mean 'permutations'?" },
  } do
    it("refuses " .. name, function() expect(function() two_sample(unpack(case[1])) end):fails_with(case[2]) end)
  end
end)

describe("what the two-sample test is asked with", function()
  it("has limits", function()
    local a, b = g.randn(3, 2), g.randn(3, 2)
    for name, wrong in pairs { rows = { 1, 2001 }, permutations = { 0 }, seed = { -1 } } do
      for _, value in ipairs(wrong) do
        expect(function() two_sample(a, b, { [name] = value }) end):fails_with(("probe.two_sample: '%s'"):format(name))
      end
    end
    expect(two_sample(a, b, { rows = 2, permutations = 1 }).rows):equals { 2, 2 }
    expect(two_sample(a, b, { rows = 2000, seed = 0 })):equals(two_sample(a, b))
    expect(two_sample(g.ones(2, 2), g.zeros(2, 1) + g.zeros(2, 2), { permutations = 3 }).rows):equals { 2, 2 }
    expect(function() two_sample(g.ones(2, 0), g.ones(2, 0)) end):fails_with "a: expected two rows or more"
  end)
end)
