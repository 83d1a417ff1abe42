-- Seeds by a power calculation: as many as SciPy's noncentral t asks for, and what runs store of it.
local g = require "gradus"
local seeds = require "gradus.experiment.seeds"
local support = require "support"

describe("g.seeds", function()
  -- sd, effect, power, level; the fewest n with scipy.stats.nct's power of a paired t test
  for _, case in ipairs { { .9, 1, .8, .05, 9 }, { .009, .01, .8, .05, 9 }, { 47, 30, .8, .05, 22 }, { 1.43, 1, .8, .05, 19 },
    { 72, 80, .8, .05, 9 }, { 1, .5, .9, .01, 63 } } do
    local sd, effect, power, level, count = unpack(case)
    it(("of a spread of %g and an effect of %g are %d"):format(sd, effect, count), function()
      expect(#g.seeds { sd = sd, effect = effect, power = power, level = level }):equals(count)
    end)
  end
  it("are counted from the first", function()
    expect(g.seeds { sd = 1, effect = 3 }):equals { 1, 2, 3, 4 }
    expect(g.seeds { sd = 1, effect = 3, first = 201 }):equals { 201, 202, 203, 204 }
  end)
  it("are stored with what they were calculated from; a list of one's own says nothing", function()
    local list = g.seeds { sd = .9, effect = 1 }
    local _, seen = support.with_run({}, function(run)
      seeds.store(run, list)
      seeds.store(run, { 1, 2, 3 })
      seeds.store(run, nil)
    end)
    expect(#seen.plans):equals(1)
    expect({ seen.plans[1].step, seen.plans[1].name, seen.plans[1].detail })
      :equals { 0, "seeds", { sd = .9, effect = 1, power = .8, level = .05, seeds = 9 } }
  end)
  for name, case in pairs {
    ["no spread"] = { { effect = 1 }, "seeds: sd: expected a number above 0, as in g.seeds { sd = .009, effect = .01 }; got nil" },
    ["no effect"] = { { sd = 1, effect = 0 }, "'effect': expected a number > 0; got 0" },
    ["NaN"] = { { sd = 0 / 0, effect = 1 }, "'sd'" },
    ["an effect that nobody finds"] = { { sd = 1, effect = 1e-6 }, "no number of seeds up to 100000 finds an effect of 1e-06" },
    ["a misspelt option"] = { { sd = 1, efect = 1 }, "did you mean 'effect'?" },
    ["a power above 1"] = { { sd = 1, effect = 1, power = 80 }, "'power'" },
  } do
    it("refuse " .. name, function() expect(function() g.seeds(case[1]) end):fails_with(case[2]) end)
  end
end)

describe("the limits of what seeds are calculated from", function()
  local function count(more)
    local options = { sd = 1, effect = 3 }
    for name, value in pairs(more) do options[name] = value end
    return pcall(g.seeds, options)
  end
  it("are taken, and nothing beyond them", function()
    for name, case in pairs { power = { .5, .999, .49, .9995 }, level = { 1e-6, .5, .9e-6, .51 }, first = { 0, 1e6, -1, .5 } } do
      for i, value in ipairs(case) do
        local ok, why = count { [name] = value }
        expect({ name, value, ok }):equals { name, value, i <= 2 }
        if not ok then expect(tostring(why)):matches("'" .. name .. "'") end
      end
    end
    expect(g.seeds { sd = 1, effect = 3, first = 0 }):equals { 0, 1, 2, 3 }
  end)
end)
