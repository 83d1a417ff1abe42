-- Named tensors copied into others: all or nothing.
local g = require "gradus"
local weights = require "gradus.base.weights"

local function own() return { a = g.zeros(2), b = g.zeros(1, 3) } end

describe("weights that are loaded", function()
  it("are copied into the storage that there is", function()
    local mine, theirs = own(), { a = g.tensor { 1, 2 }, b = g.ones(1, 3) }
    local a = mine.a
    weights.load("here", mine, theirs, true)
    expect({ a:totable(), mine.b:totable(), rawequal(mine.a, a) }):equals { { 1, 2 }, { { 1, 1, 1 } }, true }
    theirs.a:fill_(9)
    expect(a:totable()):equals { 1, 2 }
  end)
  it("need not be all, and may be more, where that is said", function()
    local mine = own()
    weights.load("here", mine, { a = g.tensor { 1, 2 }, c = g.ones(1) }, false)
    expect({ mine.a:totable(), mine.b:sum():item() }):equals { { 1, 2 }, 0 }
  end)
  it("record no gradient", function()
    local mine = { a = g.zeros(2):requires_grad_() }
    weights.load("here", mine, { a = g.ones(2) }, true)
    expect({ mine.a:detach():totable(), mine.a.requires_grad }):equals { { 1, 1 }, true }
  end)
  local cases = {
    { "no table", 5, true, "here: expected a table of tensors, such as net:state_dict(); got 5" },
    { "a missing one", { a = g.ones(2) }, true, "here: missing: b" },
    { "one too many", { a = g.ones(2), b = g.ones(1, 3), z = g.ones(1) }, true, "here: unexpected: z" },
    { "another shape", { a = g.ones(3), b = g.ones(1, 3) }, true, "here: different: a is [3], expected [2]" },
    { "another shape, though not all are asked for", { a = g.ones(3) }, false, "here: different: a is [3], expected [2]" },
    { "a number", { a = 1, b = g.ones(1, 3) }, true, "here: different: a is 1" },
    { "several at once", { b = g.ones(3, 1), y = 1, x = 1, [5] = 1 }, true,
      "here: different: b is [3, 1], expected [1, 3]; missing: a; unexpected: 5, x, y" },
  }
  for _, case in ipairs(cases) do
    it("are refused, and nothing is copied: " .. case[1], function()
      local mine = own()
      expect(function() weights.load("here", mine, case[2], case[3]) end):fails_with(case[4])
      expect({ mine.a:sum():item(), mine.b:sum():item() }):equals { 0, 0 }
    end)
  end
  it("of several are refused in order", function()
    expect(function() weights.load("here", { b = g.ones(1), a = g.ones(1), c = g.ones(1) }, {},
      true) end):fails_with "here: missing: a, b, c$"
  end)
  it("are told apart by what each name holds, in the order of the names", function()
    local hash = weights.hash { a = g.ones(2), b = g.zeros(1) }
    expect(weights.hash { b = g.zeros(1), a = g.ones(2) }):equals(hash)
    for _, other in ipairs { { a = g.zeros(2), b = g.zeros(1) }, { a = g.ones(2), b = g.ones(1) }, { a = g.ones(2) },
      { a = g.zeros(1), b = g.ones(2) } } do
      expect(weights.hash(other)):differs_from(hash)
    end
  end)
end)
