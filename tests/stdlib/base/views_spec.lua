-- Typed views of a tensor's values, numbers as tensors, and tensors full of one value.
local g = require "gradus"
local scalar = require "gradus.base.scalar"
local tensor = require "gradus.base.tensor"

describe("a view of a tensor's values", function()
  for _, dtype in ipairs { "float32", "float64", "int64", "int32", "int16", "int8", "uint8" } do
    it("reads and writes them, from 0: " .. dtype, function()
      local t = g.tensor({ 1, 2, 3 }, dtype)
      local view = t:data()
      expect({ tonumber(view[0]), tonumber(view[2]), tonumber(#view) }):equals { 1, 3, 3 }
      view[0], view[2] = 7, 9
      expect(t:totable()):equals { 7, 2, 9 }
    end)
  end
  it("of booleans is one of booleans", function()
    local t = g.tensor({ true, false }, "bool")
    local view = t:data()
    expect({ view[0], view[1] }):equals { true, false }
    view[1] = true
    expect(t:all():item()):is_true()
  end)
  it("keeps the values alive, in a scope and without the tensor", function()
    local view = g.scope(function() return (g.ones(1000) * 3):data() end)
    collectgarbage()
    collectgarbage()
    g.zeros(1000)
    expect({ view[0], view[999] }):equals { 3, 3 }
  end)
  local t = g.zeros(3)
  local refused = {
    { "below 0", function() return t:data()[-1] end, "data: index -1 is outside of 0 … 2" },
    { "the length", function() return t:data()[3] end, "data: index 3 is outside of 0 … 2" },
    { "a half", function() return t:data()[.5] end, "data: index 0.5: expected a whole number" },
    { "a text", function() return t:data().x end, "data: index x: expected a whole number" },
    { "of an empty tensor", function() return g.zeros(0):data()[0] end, "data: index 0: the tensor is empty" },
    { "to write below 0", function() t:data()[-1] = 1 end, "data: index -1 is outside of 0 … 2" },
    { "to write at the length", function() t:data()[3] = 1 end, "data: index 3 is outside of 0 … 2" },
    { "to write at a half", function() t:data()[.5] = 1 end, "data: index 0.5: expected a whole number" },
    { "to write at a text", function() t:data().x = 1 end, "data: index x: expected a whole number" },
    { "of halves", function() t:to { dtype = "float16" }:data() end, "data: no view of float16; expected t:float():data()" },
  }
  for _, case in ipairs(refused) do
    it("refuses an index: " .. case[1], function()
      expect(case[2]):fails_with(case[3])
      expect(case[2]):fails_with "views_spec.lua:%d+: "
    end)
  end
end)

describe("a tensor in a loop", function()
  it("gives its rows from 0", function()
    local rows = {}
    for i, row in ipairs(g.tensor { 5, 6 }) do rows[i] = row:item() end
    expect(rows):equals { [0] = 5, 6 }
    expect(function() pairs(g.zeros(2)) end):fails_with "pairs: a tensor is no table; expected for i, row in ipairs(x) do … end"
  end)
end)

describe("a number as a tensor", function()
  it("is one of float64, the same for the same number", function()
    local one = scalar(2.5)
    expect({ one:item(), one.dtype, one.shape, scalar(2.5) == one, scalar(2.25) == one }):equals { 2.5, "float64", {}, true, false }
    expect({ rawequal(scalar(one), one), scalar(one, "cpu") == one, scalar(2.5, "cpu") == one }):equals { true, true, true }
    local nan = scalar(0 / 0)
    expect(nan:isnan():item()):is_true()
  end)
  it("is kept in a scope", function()
    local value = g.scope(function() return scalar(123.5):item() end)
    expect({ value, scalar(123.5):item() }):equals { 123.5, 123.5 }
  end)
  it("of many numbers does not keep them all", function()
    local first = scalar(1000.5)
    for i = 1, 300 do scalar(2000 + i) end
    expect(scalar(1000.5) == first):is_false()
    local recent = scalar(5000)
    for i = 1, 100 do scalar(6000 + i) end
    expect(scalar(5000) == recent or scalar(6100) == scalar(6100)):is_true()
  end)
  it("and back is a number", function()
    expect({ tensor.number(3), tensor.number(g.tensor(4)) }):equals { 3, 4 }
  end)
end)

describe("a tensor full of one value", function()
  it("is float32 unless it is told, whatever the value", function()
    for _, case in ipairs {
      { g.full({ 2 }, 3), "float32", { 3, 3 } }, { g.full({ 2 }, true), "float32", { 1, 1 } },
      { g.full({ 2 }, 3, { dtype = "int64" }), "int64", { 3, 3 } }, { g.full({ 2 }, 3, {}), "float32", { 3, 3 } },
      { g.full { size = { 2 }, fill_value = 3 }, "float32", { 3, 3 } },
      { g.full { size = { 2 }, fill_value = 3, dtype = "int32" }, "int32", { 3, 3 } },
      { g.full({ 2 }, { fill_value = 3 }), "float32", { 3, 3 } },
    } do
      expect({ case[1].dtype, case[1]:totable() }):equals { case[2], case[3] }
    end
  end)
end)
