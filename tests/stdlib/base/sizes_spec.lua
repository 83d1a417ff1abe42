-- x.shape: a plain list that prints, compares and refuses an index from 0.
local g = require "gradus"
local check = require "gradus.base.check"
local host = require "gradus.host"
local identity = require "gradus.training.identity"
local plain = require "gradus.base.plain"
local shown = require "gradus.base.shown"
local support = require "support"

local x = g.ones(2, 3)

describe("the shape of a tensor", function()
  it("is a list", function()
    local seen = {}
    for i, n in ipairs(x.shape) do seen[i] = n end
    expect({ #x.shape, x.shape[1], x.shape[2], x.shape[3] == nil, seen }):equals { 2, 2, 3, true, { 2, 3 } }
    expect({ table.concat(x.shape, "×"), #g.ones(1):sum().shape }):equals { "2×3", 0 }
    expect(host.json_encode(x.shape)):equals "[2,3]"
    expect(g.zeros(x.shape):reshape(x:size()).shape):equals { 2, 3 }
    expect(check.list(check.int(1)).test(x.shape)):is_true()
    local mine = x.shape
    mine[2] = 7
    expect(x.shape[2]):equals(3)
  end)
  it("prints as one, and equals one of the same sizes", function()
    expect({ tostring(x.shape), "x " .. x.shape, tostring(g.ones(1):sum().shape) }):equals { "{2, 3}", "x {2, 3}", "{}" }
    expect({ x.shape == g.zeros(2, 3):size(), x.shape == g.zeros(3, 2).shape, x.shape == x:sum(0).shape }):equals { true, false, false }
  end)
  for _, key in ipairs { 0, -1, -2 } do
    it("refuses the index " .. key, function()
      expect(function() return x.shape[key] end):fails_with(
        ("x.shape[%d]: x.shape is a list of Lua, which counts from 1; expected x:size(%d)"):format(key, key))
    end)
  end
  it("is kept as a list in snapshots, in run.state and in what identifies a result", function()
    local text = plain.write({ shape = x.shape }, "")
    expect(plain.read(text, {})):equals { shape = { 2, 3 } }
    expect(identity("spec", { n = 1, x.shape })):equals(identity("spec", { n = 1, g.zeros(2, 3).shape }))
    expect(identity("spec", { n = 1, x.shape }) ~= identity("spec", { n = 1, g.zeros(3, 2).shape })):is_true()
  end)
  it("may be among a loop's own values", function()
    local _, seen = support.with_run({}, function(run)
      for _, b in run:batches(g.data.digits():first(64), { size = 32, steps = 2 }) do
        local shape = b.x.shape
        run:log { rows = shape[1] }
      end
    end)
    expect(seen.values "rows"):equals { 32, 32 }
  end)
end)

describe("a printed table", function()
  local net = g.nn.Linear(2, 2)
  local cases = {
    { {}, "{}" }, { { 1, 2.5, "a", true }, '{ 1, 2.5, "a", true }' }, { { a = 1, ["b c"] = {} }, '{ a = 1, ["b c"] = {} }' },
    { net:state_dict(), "{ bias = Tensor [2] float32, weight = Tensor [2, 2] float32 }" }, { { x.shape }, "{ {2, 3} }" },
    { { { { { 1 } } } }, "{ { { { … } } } }" },
  }
  for i, case in ipairs(cases) do
    it("shows what is in it " .. i, function() expect(shown.text(case[1])):equals(case[2]) end)
  end
  it("may hold itself, and many", function()
    local own, many = {}, {}
    own.self = own
    for i = 1, 1200 do many[i] = i end
    expect(shown.text(own)):equals "{ self = { … } }"
    expect(shown.text(many)):matches "… and 200 more"
    expect(shown.text(net)):equals(tostring(net))
  end)
  it("is what print writes", function()
    expect(print == shown.print):is_true()
  end)
end)
