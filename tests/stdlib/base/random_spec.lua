-- math.random's state: what it was before anybody asked, after a seed, after draws of every kind.
local random = require "gradus.base.random"

local function draws() return { math.random(), math.random(6), math.random(-3, 3), math.random() } end

local first = random.state()  -- before any seed
local first_draws = draws()

describe("math.random", function()
  it("goes on where its state was taken, before any seed", function()
    expect(first):equals { taken = 0 }
    draws()
    random.load_state(first)
    expect(random.state().taken):equals(0)
    expect(draws()):equals(first_draws)
  end)
  it("goes on where its state was taken, after a seed and draws of every kind", function()
    for _, seed in ipairs { 0, 7, 2 ^ 31 - 1 } do
      math.randomseed(seed)
      expect(random.state()):equals { seed = seed, taken = 0 }
      draws()
      local kept = random.state()
      expect(kept):equals { seed = seed, taken = 4 }
      local wanted = draws()
      math.randomseed(seed + 1)
      random.load_state(kept)
      expect(random.state()):equals(kept)
      expect(draws()):equals(wanted)
    end
  end)
  it("draws within what it is given, both ends too", function()
    local seen = {}
    for _ = 1, 200 do
      local share, die, of_two = math.random(), math.random(3), math.random(-1, 0)
      assert(share >= 0 and share < 1)
      seen["die " .. die], seen["of two " .. of_two] = true, true
    end
    expect(seen):equals { ["die 1"] = true, ["die 2"] = true, ["die 3"] = true, ["of two -1"] = true, ["of two 0"] = true }
  end)
end)
