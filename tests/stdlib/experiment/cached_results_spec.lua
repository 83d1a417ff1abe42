-- What a function of run:cached has returned, in a file and back.
local cached_results = require "gradus.experiment.cached_results"
local engine = require "gradus.engine"
local g = require "gradus"
local support = require "support"

local path = os.tmpname()
after_all(function() os.remove(path) end)

local task = { key = "k", name = "teacher" }
local function results(...) return { n = select("#", ...), ... } end
local function written(...) cached_results.write(path, task, results(...)) end
local function filled(...) return cached_results.fill(results(...), path) end

describe("what was returned", function()
  it("comes back: weights, tensors, numbers to the last digit, texts, booleans and nothing", function()
    local one, other = support.student(4), support.student(4)
    written(one, g.tensor { 1, 2 }, .1 + .2, "12", true, false, nil, 0 / 0, -math.huge)
    local _, told = engine.data.read_safetensors(path)
    expect({ told.key, told.name }):equals { "k", "teacher" }
    local t = { filled(other, g.zeros(2), 5, "old", false, true, 7, 1, 1) }
    local back = t[1]
    expect(support.weights(other)):equals(support.weights(one))
    expect({ back[2]:totable(), back[3], back[4], back[5], back[6], back[7], back[9] }):equals { { 1, 2 }, .1 + .2, "12", true, false, nil,
      -math.huge }
    assert(back[8] ~= back[8] and back.n == 9 and t[2] == nil)
  end)
  it("comes back into what is there: the same tensor, the same module and its plain values, but whether it trains", function()
    local one = support.student(4)
    one.threshold, one.label, one.on = .25, "a", true
    one:eval()
    written(one, g.tensor { 3 })
    local other, place = support.student(4), g.zeros(1)
    other.threshold, other.label, other.on = 1, "b", false
    filled(other, place)
    expect({ other.threshold, other.label, other.on, other.training, place:item() }):equals { .25, "a", true, true, 3 }
  end)
  it("keeps gradients as they are: what is filled is not recorded", function()
    local one = support.student(4)
    written(one)
    local other = support.student(4)
    filled(other)
    for _, p in ipairs(other:parameters()) do expect({ p.requires_grad, p.is_leaf }):equals { true, true } end
  end)
  it("does not fit where a tensor is missing, has another shape, or is no longer made", function()
    written(g.zeros(2), g.zeros(2, 3))
    expect({ select(2, filled(g.zeros(2), g.zeros(2, 3), g.zeros(1))), select(2, filled(g.zeros(2), g.zeros(3, 2))),
      select(2, filled(g.zeros(2), 5)) }):equals { "has no tensor '3'", "tensor '2' is 2×3, now 3×2",
        "has tensors that are no longer made" }
    expect((filled(g.zeros(2), 5))):equals(nil)
    local there = g.zeros(2)
    filled(there, g.zeros(3, 2))
    expect(there:totable()):equals { 0, 0 }
  end)
  it("is refused where it can be no part of a file", function()
    expect(function() written(1,
      { 2 }) end):fails_with "cached: result 2: expected a module, a tensor, a number, a text or a boolean; got a table"
    expect(function() written(print) end):fails_with "cached: result 1: expected a module"
  end)
  it("is nothing of a file whose values are not told", function()
    engine.data.write_safetensors(path, { ["1"] = g.tensor { 4 } }, {})
    local back = filled(g.zeros(1), 3)
    expect({ back[1]:item(), back[2] }):equals { 4, nil }
  end)
end)
