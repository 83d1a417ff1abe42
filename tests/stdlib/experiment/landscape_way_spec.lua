-- At which steps a landscape looks at the student: over a store of our own.
local way = require "gradus.experiment.landscape_way"

-- The steps, as { step, stage, name } each: stages { name, step where it began }; the run's last step, and where it was forked.
local function steps(options, stages, last, forked)
  local begun = {}
  for i, one in ipairs(stages) do begun[i] = { name = one[1], step = one[2] } end
  local store = { query = function(_, sql, id)
    assert(id == 7)
    if sql:find "max%(step%)" then return { { step = last } } end
    return sql:find "FROM forks" and { forked and { step = forked } } or begun
  end }
  local list = way.steps(options, store, { id = 7 })
  for i, one in ipairs(list or {}) do list[i] = { one.step, one.stage, one.name } end
  return list
end

local TWO = { { "a", 0 }, { "b", 40 } }

describe("a landscape's steps", function()
  it("are none where nothing of the way is asked for", function() expect(steps({}, TWO, 100)):equals(nil) end)
  it("are the one that is named, or the last", function()
    expect(steps({ at = "0" }, TWO, 100)):equals { { 0 } }
    expect(steps({ at = "100" }, TWO, 100)):equals { { 100 } }
    expect(steps({ at = "end" }, TWO, 100)):equals { { 100 } }
    expect(steps({ at = "30" }, TWO, 100, 30)):equals { { 30 } }
    for text, forked in pairs { ["101"] = 0, ["-1"] = 0, ["1.5"] = 0, soon = 0, ["29"] = 30 } do
      expect(function() steps({ at = text }, TWO, 100, forked) end)
        :fails_with(("landscape: --at: expected a step from %d to 100, or end; got '%s'"):format(forked, text))
    end
    expect(function() steps({ at = "0" }, TWO, 0) end):fails_with "landscape: run 7 has made no step"
    expect(function() steps({ at = "0" }, TWO, nil) end):fails_with "landscape: run 7 has made no step"
    expect(steps({ at = "1" }, TWO, 1)):equals { { 1 } }
  end)
  it("are the ends of the stages that had steps", function()
    expect(steps({ stages = true }, TWO, 100)):equals { { 40, 1, "a" }, { 100, 2, "b" } }
    expect(steps({ stages = true }, { { "a", 0 }, { "b", 40 }, { "c", 40 }, { "d", 60 } }, 100)):equals
      { { 40, 1, "a" }, { 60, 2, "c" }, { 100, 3, "d" } }
    expect(steps({ stages = true }, TWO, 100, 40)):equals { { 100, 2, "b" } }
    expect(steps({ stages = true }, TWO, 100, 39)):equals { { 40, 1, "a" }, { 100, 2, "b" } }
    expect(function() steps({ stages = true }, {}, 100) end)
      :fails_with "landscape: --stages: run 7 has no stages; expected a run with a curriculum, or --at STEP"
  end)
  it("of a path are 25 from the first to the last, and the ends of the stages", function()
    local list = steps({ path = true }, { { "a", 0 }, { "b", 42 } }, 240)
    expect({ #list, list[1], list[2], list[5], list[6], list[26] }):equals { 26, { 0 }, { 10 }, { 40 }, { 42, 1, "a" }, { 240, 2, "b" } }
    list = steps({ path = true }, {}, 100, 52)
    expect({ #list, list[1], list[2], list[25] }):equals { 25, { 52 }, { 54 }, { 100 } }
    expect(steps({ path = true }, {}, 3)):equals { { 0 }, { 1 }, { 2 }, { 3 } }
    expect({ steps({ path = true }, {}, 36)[2], steps({ path = true }, {}, 36)[3] }):equals { { 2 }, { 3 } }  -- halves go up
  end)
end)

describe("a landscape as plain data", function()
  it("has its places, losses and middle, and a panel", function()
    local loss = { totable = function() return { { 1 } } end }
    local found = { at = { 0 }, loss = loss, acc = { totable = function() return { { .5 } } end }, center = { loss = 1 } }
    local plain, panel = way.plain(found, "title")
    expect(plain):equals { at = { 0 }, loss = { { 1 } }, acc = { { .5 } }, center = { loss = 1 } }
    expect(panel):equals { title = "title", x = { 0 }, y = { 0 }, loss = { { 1 } } }
    found.acc = nil
    expect((way.plain(found, "title")).acc):equals(nil)
  end)
end)
