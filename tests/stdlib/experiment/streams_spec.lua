-- A run's random streams: where they begin, and that they go on from where they stood.
local g = require "gradus"
local nn = require "gradus.nn"
local random = require "gradus.base.random"
local sampler = require "gradus.curriculum.sampler"
local streams = require "gradus.experiment.streams"

-- The next draws of each: of a module's weights, of an operator that is given no generator, of Lua's own; and how many samplers there were.
local function draws()
  local function numbers(t) return { t[0]:item(), t[1]:item(), t[2]:item() } end
  return { numbers(g.randn({ 3 }, { generator = nn.init_generator })), numbers(g.randn { 3 }), math.random(), sampler.numbered() }
end

-- Calls fn(), and leaves the streams where they were.
local function aside(fn)
  local kept, init = streams.state { device = "cpu" }, nn.init_generator
  local ok, why = pcall(fn)
  nn.init_generator = init
  streams.load_state(kept)
  if not ok then error(why, 0) end
end

describe("a run's random streams", function()
  it("begin with its seed, each on its own, and its samplers are counted from none", function()
    aside(function()
      local function begun(seed)
        sampler.numbered(5)
        streams.begin(seed)
        return draws()
      end
      local one, again, other = begun(1), begun(1), begun(2)
      expect(again):equals(one)
      expect(one[4]):equals(0)
      for i = 1, 3 do expect(other[i]):differs_from(one[i]) end
      expect(one[1]):differs_from(one[2])
    end)
  end)
  it("go on from where they stood", function()
    aside(function()
      streams.begin(3)
      draws()
      sampler.numbered(4)
      local kept = streams.state { device = "cpu" }
      local names = {}
      for name in pairs(kept.defaults) do names[#names + 1] = name end
      expect({ names, kept.sources, kept.lua }):equals { { "cpu" }, 4, random.state() }
      local wanted = draws()
      expect(draws()):differs_from(wanted)
      sampler.numbered(9)
      streams.load_state(kept)
      expect(draws()):equals(wanted)
      expect(wanted[4]):equals(4)
    end)
  end)
end)
