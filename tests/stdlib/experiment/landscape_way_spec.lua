-- At which steps a landscape looks at the student: over a store of our own.
local g = require "gradus"
local host = require "gradus.host"
local instead = require "instead"

local again  -- what doing the run again gives: weights by step, the student, its parameters
package.loaded["gradus.experiment.retrace"] = function(_, _, _, _, steps)
  again.asked = steps
  return again.weights, again.student, again.given
end
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

describe("what gradus landscape shows", function()
  local x = g.tensor { { 1, 0 }, { 0, 1 } }
  local d = g.data.tensors(x, g.tensor { 0, 0 })
  -- A student whose weights came from (4, 0) by (2, 1) to (0, 0): its loss is the mean of their squares.
  local function look(options, list)
    local student = g.nn.Linear(2, 1, { bias = false })
    again = { student = student, given = { T = 1 }, weights = {} }
    for step, w in pairs { [0] = { 4, 0 }, [10] = { 2, 1 }, [20] = { 0, 0 } } do again.weights[step] = { weight = g.tensor { w } } end
    local said, asked, found = "", nil, nil
    instead({ { host, "write", function(fd, text) said = said .. fd .. text end } }, function()
      found = way.look(options, nil, nil, { id = 7 }, list, { points = 5 }, function(given, part)
        asked = { given, part, student.training }
        return d
      end)
    end)
    return found, said, asked
  end
  local function steps_of(last) return { { step = 0 }, { step = 10, stage = 1, name = "easy" }, last or { step = 20 } } end

  it("is of the run done again, on the data that are asked for", function()
    local _, said, asked = look({ path = true, on = "val" }, steps_of())
    expect({ said, asked, again.asked }):equals { "2run 7 is done again to step 20\n", { { T = 1 }, "val", false }, { 0, 10, 20 } }
    _, said = look({ path = true, json = true }, steps_of())
    expect(said):equals ""
  end)
  it("of a path are its points, with letters for its beginning, its stages and its end", function()
    local found = look({ path = true }, steps_of())
    local json = found.json
    expect({ json.run, #json.x, #json.y, #json.loss, #json.path }):equals { 7, 5, 5, 5, 3 }
    for i, loss in ipairs { 8, 2.5, 0 } do expect(json.path[i].loss):near(loss, 1e-6) end
    expect({ json.path[1].step, json.path[2].step, json.path[2].stage, json.path[3].stage }):equals { 0, 10, "easy" }
    expect({ json.path[3].x, json.path[3].y }):near({ 0, 0 }, 1e-9)
    local lines = {}
    for one in (found.text .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = one end
    expect({ lines[#lines - 3], lines[#lines - 2], lines[#lines - 1] }):equals { "S  the beginning: loss 8", "1  easy, step 10: loss 2.5",
      "E  step 20: loss 0" }
    expect(lines[#lines]):matches "^loss from [%d.e-]+ to [%d.]+ on the plane; %d+ %% and %d+ %% of the way lie along it$"
    local drawn = table.concat(lines, "\n", 1, #lines - 4)
    for _, letter in ipairs { "S", "1", "E" } do expect({ letter, select(2, drawn:gsub(letter, "")) }):equals { letter, 1 } end
    local panel = found.panels[1]
    expect({ panel.title, panel.path[1].letter, panel.path[2].letter, panel.path[3].letter, panel.path[2].words, #found.panels })
      :equals { "the way of run 7", "S", "1", "E", "easy, step 10: loss 2.5", 1 }
    expect(panel.across):equals(("first direction: %.0f %% of the way"):format(100 * json.share[1]))
    expect(panel.up):equals(("second direction: %.0f %% of the way"):format(100 * json.share[2]))
    expect(found.note):matches "S: the beginning"
  end)
  it("of a path whose last step ends a stage has that stage's letter, and crosses in between", function()
    local found = look({ path = true }, { { step = 0 }, { step = 10 }, { step = 20, stage = 2, name = "hard" } })
    for text, there in pairs { ["E  "] = false, ["2  hard, step 20: loss 0"] = true, ["+"] = true } do
      expect({ text, found.text:find(text, 1, true) ~= nil }):equals { text, there }
    end
    expect(select(2, found.text:gsub("loss %d", ""))):equals(2)
    local places = found.panels[1].path
    expect({ places[1].letter, places[2].letter, places[3].letter, places[2].words }):equals { "S", nil, "2", "step 10: loss 2.5" }
  end)
  it("of stages is a landscape each, in one document; of one step that one", function()
    local found = look({ stages = true }, { { step = 10, stage = 1, name = "easy" }, { step = 20, stage = 2, name = "hard" } })
    expect({ found.json.run, #found.json.stages, found.json.stages[1].step, found.json.stages[2].stage, #found.panels })
      :equals { 7, 2, 10, "hard", 2 }
    expect({ found.json.stages[1].center.loss, found.json.stages[2].center.loss }):near({ 2.5, 0 }, 1e-6)
    expect({ found.panels[1].title, found.panels[2].title, #found.panels[1].x }):equals { "easy, step 10", "hard, step 20", 5 }
    expect(found.text):matches "^easy, step 10\n.*\n\nhard, step 20\n"
    expect(found.note):equals "run 7; random directions, the same for each, whose filters are as long as the weights' own"
    local one = look({ at = "20" }, { { step = 20 } })
    expect({ one.json.run, one.json.step, one.json.stage, one.panels[1].title, #one.panels }):equals { 7, 20, nil, "step 20", 1 }
  end)
end)
