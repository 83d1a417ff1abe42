-- Batches made by a Lua function.
local g = require "gradus"
local data = g.data

-- A generator of rows that are their own numbers, and what it was asked.
local function counting(options)
  local asked = {}
  options = options or {}
  options.epoch = options.epoch or 100
  return data.generator(function(size, batch, first)
    asked[#asked + 1] = { size, batch, first }
    return g.arange(first, first + size):float():unsqueeze(1), g.arange(first, first + size):float()
  end, options), asked
end

local function firsts(batch) return batch.x:select(1, 0):totable() end

describe("a generator", function()
  it("is asked with the batch's number and the number of its first sample", function()
    local d, asked = counting()
    expect(firsts(d:next(2))):equals { 0, 1 }
    expect(firsts(d:next(3))):equals { 2, 3, 4 }
    local batch = d:next(1)
    expect({ batch.index:totable(), batch.y:totable(), batch.weight }):equals { { 5 }, { 5 } }
    expect(asked):equals { { 2, 0, 0 }, { 3, 1, 2 }, { 1, 2, 5 } }
    expect({ d:size(), d.name, d.seekable, data.is_generator(d), data.is_generator {} }):equals { 100, "generator", false, true, false }
  end)
  it("makes several batches at once as one after the other, and takes them back", function()
    local one, other = counting(), counting()
    local stacked = one:stack(3, 2)
    expect(firsts(stacked)):equals { 0, 1, 2, 3, 4, 5 }
    for _ = 1, 3 do other:next(2) end
    expect(one:state()):equals(other:state())
    expect(one:state()):equals { made = 3, samples = 6 }
    one:unstack(2, 2)
    expect(one:state()):equals { made = 1, samples = 2 }
    expect(firsts(one:next(2))):equals { 2, 3 }
    expect(one:stack(1, 2) ~= nil and one:state()):equals { made = 3, samples = 6 }
  end)
  it("goes on from a state", function()
    local one, other = counting(), counting()
    one:next(5)
    other:look(4)
    other:restore(one:state())
    expect(firsts(other:next(4))):equals { 5, 6, 7, 8 }  -- not the batch that was looked at before
    expect(other:state()):equals { made = 2, samples = 9 }
  end)
  it("keeps the batch that was looked at for the same size, once", function()
    local d, asked = counting()
    expect(d:look(2).kind):equals "numbers"
    d:look(2)
    expect({ #asked, firsts(d:next(2)), #asked, firsts(d:next(2)), #asked }):equals { 1, { 0, 1 }, 1, { 2, 3 }, 2 }
    local other, of_other = counting()
    other:look(2)
    expect({ firsts(other:next(3)), of_other[2] }):equals { { 0, 1, 2 }, { 3, 0, 0 } }
  end)
  it("gives rows that stay", function()
    local d = counting()
    d:next(2)
    local taken = d:take(3)
    expect({ taken:size(), taken.base.x:flatten():totable(), taken.labels.kind, taken.name }):equals { 3, { 2, 3, 4 }, "numbers",
      "generator" }
    local weighted = data.generator(function(size)
      return g.zeros(size, 2), g.zeros({ size }, { dtype = "int64" }), g.full({ size }, 2)
    end, { epoch = 5, labels = "classes", classes = 3 })
    taken = weighted:take(2)
    expect({ taken.classes, taken.base.weight:totable(), taken.labels.kind }):equals { 3, { 2, 2 }, "classes" }
    local bare = data.generator(function(size) return g.zeros(size, 2) end, { epoch = 5, labels = "none" }):take(2)
    expect({ bare.labels.kind, bare.base.y }):equals { "none" }
  end)
  it("has the width and the number of classes of its first batch where they were not said", function()
    local soft = data.generator(function(size) return g.zeros(size, 2), g.full({ size, 4 }, .25) end, { epoch = 5, labels = "soft" })
    soft:next(2)
    expect({ soft.labels.kind, soft.labels.width, soft.labels.classes, soft.labels.declared }):equals { "soft", 4, 4 }
    local said = data.generator(function(size) return g.zeros(size, 2), g.full({ size, 4 }, .25) end, { epoch = 5, labels = "soft",
      classes = 4 })
    said:next(2)
    expect({ said.labels.width, said.labels.classes }):equals { 4, 4 }
    local classes = data.generator(function(size) return g.zeros(size, 2), g.zeros({ size }, { dtype = "int64" }) end,
      { epoch = 5, labels = "classes" })
    classes:next(2)
    expect({ classes.labels.kind, classes.labels.classes, classes.labels.declared }):equals { "classes" }  -- a batch may lack some
    local guessed = data.generator(function(size) return g.zeros(size, 2), g.zeros({ size }, { dtype = "int64" }) end, { epoch = 5,
      classes = 3 })
    guessed:next(2)
    expect({ guessed.labels.kind, guessed.labels.classes }):equals { "classes", 3 }
  end)
  for _, name in ipairs { "rank", "first", "last", "split", "subset", "reversed", "shuffled", "gather", "each" } do
    it("has no rows to " .. name, function()
      expect(function() counting()[name]() end):fails_with(name .. ": a generator makes new rows each time; expected a data set")
    end)
  end
  local function of(fn, options)
    return function() data.generator(fn, options or { epoch = 5 }):next(2) end
  end
  local x, y = g.zeros(2, 2), g.zeros(2)
  local refused = {
    { "no function", of(5), "data.generator: expected a function(size, batch) that gives x, y, and { epoch = 10000 }; got 5" },
    { "no epoch", of(print, {}), "data.generator: epoch: expected how many samples count as one" },
    { "other labels", of(print, { epoch = 5, labels = "class" }), "data.generator: 'labels': expected 'classes', 'soft'" },
    { "half a class", of(print, { epoch = 5, labels = "classes", classes = .5 }), "data.generator: 'classes': expected a whole number" },
    { "a misspelt option", of(print, { epoc = 5 }), "data.generator: no option 'epoc'; did you mean 'epoch'?" },
    { "no x", of(function() end), "data.generator: batch 0: expected x with 2 rows; got nil" },
    { "a lone x", of(function() return g.tensor(1) end), "data.generator: batch 0: expected x with 2 rows; got " },
    { "more rows", of(function() return g.zeros(3, 2), y end), "batch 0: expected x with 2 rows; got 3×2" },
    { "fewer labels", of(function() return x, g.zeros(1) end), "batch 0: expected y with 2 rows; got 1" },
    { "labels that are no tensor", of(function() return x, { 1, 2 } end), "batch 0: expected y with 2 rows; got table" },
    { "more weights", of(function() return x, y, g.zeros(3) end), "batch 0: expected weight with 2 rows; got 3" },
    { "weights below 0", of(function() return x, y, g.tensor { 1, -1 } end), "batch 0: weight: expected numbers from 0; got -1 in row 1" },
  }
  for _, case in ipairs(refused) do
    it("refuses " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
end)
