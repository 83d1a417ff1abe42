-- A training of other options goes on from where one stands: its stage, and the rows that still fit.
local g = require "gradus"
local sampler = require "gradus.curriculum.sampler"
local take_over = require "gradus.training.take_over"

local function core(of)
  local state = { mode = "uniform", rows = 10, subset = g.tensor { 1, 2, 3 }, seed = 1, draws = 2, visits = 3, confidence = 4, counted = 5,
    cursor = 6, passes = 7, order = 8, own = "old" }
  for name, value in pairs(of or {}) do state[name] = value end
  return state
end

-- The state that a training of stages `names` goes on with, that stood in stage `index` of `old` and had been as far as `reached`; its
-- answer makes so many samplers anew.
local function taken(old, index, reached, names, source, rows, new)
  local list, loaded, order = {}, nil, {}
  for i, name in ipairs(names) do list[i] = { name = name } end
  local state = { stages = { index = index, told = { 1 }, reached = reached, history = { furthest = { index = reached } } },
    feed = { numbered = 3, made = 5, drawn = "drawn", source = source } }
  local feed = { source = rows or { restore = function() error "not of this kind" end },
    number_as = function(_, kept, train) order[#order + 1] = train sampler.numbered(kept.numbered) end,
    restore_others = function() order[#order + 1] = "others" .. sampler.numbered() error "another kind" end }
  local one = { feed = feed, stages = { list = list }, load_state = function(self, kept)
    loaded = kept
    self.feed:load_state(kept.feed, function()
      order[#order + 1] = "ask" .. sampler.numbered()
      sampler.numbered(3 + (new or 0))
    end, "train")
  end }
  local before = sampler.numbered()
  local ok, why = pcall(take_over, one, old, state)
  local after = sampler.numbered()
  sampler.numbered(before)
  if not ok then error(why, 0) end
  assert(rawequal(loaded, state) and feed.load_state == nil)
  expect({ order, after, feed.drawn }):equals { { "train", "ask3", "others" .. 3 + (new or 0) }, math.max(5, 3 + (new or 0)), "drawn" }
  return state
end

describe("a training that takes another one over", function()
  for name, case in pairs {
    ["of the same stages"] = { { "a", "b", "c" }, 2, 2, { "a", "b", "c" }, 2, 2 },
    ["whose stage has moved"] = { { "a", "b", "c" }, 2, 2, { "new", "a", "b" }, 3, 3 },
    ["whose stage is another"] = { { "a", "b" }, 2, 2, { "a", "other", "c" }, 2, 2 },
    ["that had been further"] = { { "a", "b", "c" }, 1, 3, { "a", "b", "c" }, 1, 3 },
    ["of fewer stages, that had been further"] = { { "a", "b", "c" }, 1, 3, { "a", "b" }, 1, 2 },
    ["whose stage comes first now"] = { { "a", "b" }, 2, 2, { "b", "a" }, 1, 2 } } do
    it("is in the stage of one " .. name, function()
      local of = taken(case[1], case[2], case[3], case[4]).stages
      expect({ of.index, of.reached, of.told, of.history.stage, of.history.stage_index, of.history.furthest.index })
        :equals { case[5], case[6], {}, case[4][case[5]], case[5], case[6] }
    end)
  end
  it("gives samplers that are made anew numbers of their own", function() taken({ "a" }, 1, 1, { "a" }, nil, nil, 4) end)
  it("is refused where there is no such stage", function()
    expect(function() taken({ "a", "b", "c" }, 3, 3, { "a", "x" }) end)
      :fails_with "curriculum: the training is in stage 3, 'c'; the new version has 2 stages"
  end)
  local fresh = core { seed = 0, draws = 0, visits = 0, confidence = 0, counted = 0, cursor = 0, passes = 0, order = 0, own = "new" }
  local function restored(old, of)
    local found
    local state = core(fresh)
    for name, value in pairs(of or {}) do state[name] = value end
    local rows = { core = true, state = function() return state end, restore = function(_, kept) found = kept end }
    taken({ "a" }, 1, 1, { "a" }, old, rows)
    return found
  end
  local function numbers(one)
    return one and { one.seed, one.draws, one.visits, one.confidence, one.counted, one.cursor, one.passes, one.order, one.own }
  end
  for name, case in pairs {
    ["what they have shown, where they stood"] = { {}, {}, { 1, 2, 3, 4, 5, 6, 7, 8, "new" } },
    ["what they have shown, from the beginning of others"] = { {}, { subset = g.tensor { 1, 2, 4 } }, { 1, 2, 3, 4, 5, 0, 0, 9, "new" } },
    ["what they have shown, of fewer"] = { {}, { subset = g.tensor { 1, 2 } }, { 1, 2, 3, 4, 5, 0, 0, 9, "new" } },
    ["what they have shown, of none"] = { { subset = g.zeros { 0 } }, { subset = g.zeros { 0 } }, { 1, 2, 3, 4, 5, 6, 7, 8, "new" } },
    ["nothing, drawn otherwise"] = { {}, { mode = "shuffle" } }, ["nothing, of another set"] = { {}, { rows = 11 } } } do
    it("has of the rows " .. name, function() expect(numbers(restored(core(case[1]), case[2]))):equals(case[3]) end)
  end
  it("gives a source of the script's own its state, where it takes it", function()
    local found
    taken({ "a" }, 1, 1, { "a" }, "its state", { restore = function(_, kept) found = kept end })
    expect(found):equals "its state"
  end)
end)
