-- Plain data as text: what is read is what was written, bit for bit.
local g = require "gradus"
local plain = require "gradus.base.plain"

local function again(value) return plain.read(plain.write(value, "state")) end

describe("plain data as text", function()
  it("keeps numbers that JSON lacks", function()
    for _, value in ipairs { 0, -1, 2 ^ 53, 2 ^ 53 + 2, 1e300, 5e-324, .1, 1 / 3, 1 / 0, -1 / 0 } do expect(again(value)):equals(value) end
    local nan = again(0 / 0)
    expect(nan ~= nan):is_true()
    expect(1 / again(-0)):equals(-1 / 0)
  end)
  it("keeps texts, bytes that are none, and booleans", function()
    for _, value in ipairs { "", "a", "α", "\0\255\n", '"', true, false } do expect(again(value)):equals(value) end
  end)
  it("keeps tables: lists, holes, keys of several kinds, empty ones, tables in tables", function()
    for _, value in ipairs { {}, { 1, 2, 3 }, { [2] = "b" }, { 1, nil, 3 }, { a = { b = { 1, { c = false } } } },
      { [true] = 1, [1.5] = 2, x = 3, [0] = 4 },
      { [-1] = "n", ["-1"] = "s" }, { "n", "0.5" }, { "T", "x" } } do
      expect(again(value)):equals(value)
    end
  end)
  it("keeps tensors by name, of every type and shape, and names them apart", function()
    local kept = { a = { b = g.arange(3) }, ["a.b"] = g.ones { 2, 2 }, list = { g.zeros {}, g.zeros { 0, 4 } },
      half = g.ones({ 2 }, { dtype = "float16" }) }
    local text, tensors = plain.write(kept, "")
    expect(tensors["a.b"] ~= nil and tensors["a.b~2"] ~= nil):is_true()
    local back = plain.read(text, tensors)
    expect(back.a.b:equal(kept.a.b)):is_true()
    expect(back["a.b"]:equal(kept["a.b"])):is_true()
    expect(back.list[2].shape):equals { 0, 4 }
    expect(back.half.dtype):equals "float16"
  end)
  it("refuses what is no plain data, with its place", function()
    expect(function() plain.write({ a = { b = print } }, "state") end):fails_with "state.a.b: expected plain data.*got a function"
    expect(function() plain.write({ m = g.nn.Linear(1, 1) }, "state") end):fails_with "state.m: .*got an object"
    expect(function() plain.write({ [{}] = 1 }, "state") end):fails_with "a key is a table"
    local cycle = {}
    cycle.me = cycle
    expect(function() plain.write(cycle, "state") end):fails_with "does one hold itself"
  end)
end)
