-- What Lua adds to the operators: creation from tables, indexing, views of the data, life time, messages.
local engine = require "gradus.engine"
local g = require "gradus"

local function list(t) return t:totable() end
local function grid() return g.arange(12, { dtype = "float32" }):reshape(3, 4) end

describe("a tensor from Lua values", function()
  it("has the shape of the nesting", function()
    local t = g.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
    expect(t.shape):equals { 2, 3 }
    expect(t.dtype):equals "float32"
    expect(list(t)):equals { { 1, 2, 3 }, { 4, 5, 6 } }
    expect(g.tensor(7):dim()):equals(0)
    expect({ g.tensor({}).shape, g.tensor({}).dtype, g.tensor({ {}, {} }).dtype }):equals { { 0 }, "float32", "float32" }
    expect(g.tensor({ {}, {} }).shape):equals { 2, 0 }
  end)
  it("of booleans alone is boolean, among numbers they are numbers", function()
    expect(g.tensor({ true, false }).dtype):equals "bool"
    expect(list(g.tensor { { true }, { false } })):equals { { true }, { false } }
    expect(g.tensor(true).dtype):equals "bool"
    expect(list(g.tensor { true, 2 })):equals { 1, 2 }
  end)
  it("takes a dtype, by name or among options", function()
    for _, dtype in ipairs { "float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool", "float16", "bfloat16" } do
      expect(g.tensor({ 1, 0 }, dtype).dtype):equals(dtype)
      expect(g.tensor({ 1, 0 }, { dtype = dtype }).dtype):equals(dtype)
    end
    expect(g.tensor({ 1 }, { requires_grad = true }).requires_grad):is_true()
    expect(g.tensor({ 1 }, { requires_grad = false, pin_memory = false, device = "cpu" }).requires_grad):is_false()
  end)
  it("of whole numbers holds what its type can, without a fraction", function()
    expect(list(g.tensor({ -2 ^ 31, 2 ^ 31 - 1 }, "int32"))):equals { -2 ^ 31, 2 ^ 31 - 1 }
    expect(list(g.tensor({ 0, 255, 1.9 }, "uint8"))):equals { 0, 255, 1 }
    expect(list(g.tensor({ -128.9, 127.9 }, "int8"))):equals { -128, 127 }
    expect(list(g.tensor({ -2 ^ 63 }, "int64"))):equals { -2 ^ 63 }
  end)
  it("of a type that is none of whole numbers holds any number", function()
    expect(list(g.tensor({ -1, 0, .5, 300 }, "bool"))):equals { true, false, true, true }
    expect(list(g.tensor({ 2 ^ 100, -2 ^ 100 }))):equals { 2 ^ 100, -2 ^ 100 }
    expect(list(g.tensor { 1 / 0, -1 / 0 })):equals { 1 / 0, -1 / 0 }
  end)
  it("of many values, and of lists as deep as can be, holds them in order", function()
    local many = {}
    for i = 1, 100000 do many[i] = i end
    expect(g.tensor(many, "int64"):equal(g.arange(1, 100001))):is_true()
    local deep = { 7, 8 }
    for _ = 2, 16 do deep = { deep } end
    expect({ #g.tensor(deep).shape, g.tensor(deep):numel() }):equals { 16, 2 }
    expect(list(g.tensor(deep))):equals(deep)
  end)
  it("takes a list whose items were set in another order", function()
    local t = {}
    for i = 5, 1, -1 do t[i] = i end
    expect(list(g.tensor(t))):equals { 1, 2, 3, 4, 5 }
  end)
  it("of a tensor is a copy", function()
    local a = g.tensor { 1, 2 }
    local b = g.tensor(a)
    b[0] = 9
    expect(list(a)):equals { 1, 2 }
    expect({ g.tensor(a, "int64").dtype, g.tensor(a, { dtype = "float64", requires_grad = true }).requires_grad }):equals { "int64", true }
    local trained = g.tensor(a, { requires_grad = true }) * 2
    expect({ g.tensor(trained).requires_grad, g.tensor(trained).is_leaf }):equals { false, true }
  end)
  local cases = {
    { "ragged rows", function() g.tensor { { 1, 2 }, { 3 } } end,
      "tensor: ragged: [2] holds 1 values; expected 2 values" },
    { "a number among lists", function() g.tensor { { 1 }, 2 } end,
      "tensor: ragged: [2] is a number; expected a list of 1" },
    { "a number after an empty list", function() g.tensor { {}, 2 } end,
      "tensor: ragged: [2] is a number; expected a list of 0" },
    { "a value after an empty list", function() g.tensor { {}, { 1 } } end,
      "tensor: ragged: [2] holds 1 values; expected 0 values" },
    { "a list among numbers", function() g.tensor { 1, { 2 } } end,
      "tensor: ragged: [2] holds 1 values; expected a number" },
    { "text alone", function() g.tensor "abc" end, "tensor: argument 1: expected a number; got string 'abc'" },
    { "text", function() g.tensor { 1, "2" } end, "tensor: value [2]: expected a number; got string '2'" },
    { "nothing", function() g.tensor() end, "expected a number; got nothing" },
    { "names", function() g.tensor { a = 1 } end, "tensor: argument 1: expected a list; got a table with names" },
    { "names beside values", function() g.tensor { 1, 2, dtype = "int64" } end,
      "tensor: a list of 2 with the name 'dtype'; expected names in a table of their own: f({ 1, 2 }, { dtype = … })" },
    { "a hole", function() local t = { 1 } t[3] = 3 g.tensor(t) end, "tensor: a list of 1 with a hole; expected a value in each place" },
    { "a nil among values", function() g.tensor { 1, nil, 3 } end, "with a hole; expected a value in each place" },
    { "names among an operator's sizes", function() g.zeros { 2, 3, dtype = "int64" } end, "zeros: a list of 2 with the name 'dtype'" },
    { "names beside dimensions", function() g.ones(2, 3):sum { 0, keepdim = true } end, "sum: a list of 1 with the name 'keepdim'" },
    { "names among tensors", function() g.cat { g.ones(1), dim = 0 } end, "cat: a list of 1 with the name 'dim'" },
    { "a number that int32 cannot hold", function() g.tensor({ 0, 2 ^ 31 }, "int32") end, "tensor: 2147483648 does not fit int32" },
    { "a number that int64 cannot hold", function() g.tensor(2 ^ 63, "int64") end, "does not fit int64" },
    { "a number that uint8 cannot hold", function() g.tensor({ -1 }, "uint8") end, "tensor: -1 does not fit uint8" },
    { "a number above what uint8 can hold", function() g.tensor({ 256 }, "uint8") end, "tensor: 256 does not fit uint8" },
    { "a number below what int8 can hold", function() g.tensor({ -129 }, "int8") end, "tensor: -129 does not fit int8" },
    { "a number above what int8 can hold", function() g.tensor({ 128 }, "int8") end, "tensor: 128 does not fit int8" },
    { "a number below what int32 can hold", function() g.tensor(-2 ^ 31 - 1, "int32") end, "tensor: -2147483649 does not fit int32" },
    { "a number for a dtype", function() g.tensor({ 1 }, 5) end,
      "tensor: expected a dtype name or {dtype=, device=, requires_grad=}; got number 5" },
    { "a list of options", function() g.tensor({ 1 }, { "int64" }) end,
      "tensor: no option number 1; expected dtype, device or requires_grad" },
    { "an option that moving has", function() g.tensor({ 1 }, { non_blocking = true }) end, "tensor: no option 'non_blocking'" },
    { "a dtype that is no text", function() g.tensor({ 1 }, { dtype = {} }) end, "tensor: dtype: expected a name; got table" },
    { "a device that is no text", function() g.tensor({ 1 }, { device = true }) end, "tensor: device: expected a name; got true" },
    { "a memory that is neither", function() g.tensor({ 1 }, { pin_memory = 1 }) end,
      "tensor: pin_memory: expected true or false; got number 1" },
    { "a whole number that is none", function() g.tensor({ 0 / 0 }, "int64") end, "nan does not fit int64" },
    { "an infinite whole number", function() g.tensor({ math.huge }, "int8") end, "tensor: inf does not fit int8" },
    { "a misspelt dtype", function() g.tensor({ 1 }, "float") end,
      "tensor: dtype 'float' is unknown; expected float32, float64" },
    { "a misspelt option", function() g.tensor({ 1 }, { dtyp = "int64" }) end,
      "tensor: no option 'dtyp'; expected dtype, device or requires_grad" },
    { "an unknown device", function() g.tensor({ 1 }, { device = "gpu" }) end, "device" },
    { "a gradient of whole numbers", function() g.tensor({ 1 }, { dtype = "int64", requires_grad = true }) end,
      "tensor_spec.lua" },
    { "a list that holds itself", function() local t = {} t[1] = t g.tensor(t) end,
      "tensor: lists nested deeper than 16" },
    { "lists one deeper than can be", function() local t = 1 for _ = 1, 17 do t = { t } end g.tensor(t) end,
      "tensor: lists nested deeper than 16" },
    { "a list of three where two are", function() g.tensor { { { 1, 2 } }, { { 1, 2, 3 } } } end,
      "tensor: ragged: [2][1] holds 3 values; expected 2 values" },
  }
  for _, case in ipairs(cases) do
    it("refuses " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
end)

describe("g.full", function()
  it("is float32 unless a dtype is given", function()
    expect(list(g.full({ 2 }, 3))):equals { 3, 3 }
    expect(g.full({ 2 }, 3).dtype):equals "float32"
    expect(g.full({ 2 }, 3, {}).dtype):equals "float32"
    expect(g.full({}, 3):item()):equals(3)
    expect(g.full({ 2 }, 3, { dtype = "int64" }).dtype):equals "int64"
  end)
  it("takes its arguments by name too", function()
    local t = g.full { size = { 2, 2 }, fill_value = 1.5, dtype = "float64" }
    expect(list(t)):equals { { 1.5, 1.5 }, { 1.5, 1.5 } }
    expect(t.dtype):equals "float64"
    expect(g.full({ size = { 1 }, fill_value = 1 }).dtype):equals "float32"
  end)
end)

describe("indexing", function()
  it("counts from 0, and from the end", function()
    local t = grid()
    expect(list(t[0])):equals { 0, 1, 2, 3 }
    expect(list(t[-1])):equals { 8, 9, 10, 11 }
    expect(t[{ 1, 2 }]:item()):equals(6)
    expect({ list(t[-3]), list(t[2]) }):equals { { 0, 1, 2, 3 }, { 8, 9, 10, 11 } }
    expect(t[1][-1]:item()):equals(7)
  end)
  it("takes ranges that exclude their end", function()
    local t = grid()
    expect(list(t[{ { 0, 2 } }])):equals { { 0, 1, 2, 3 }, { 4, 5, 6, 7 } }
    expect(list(t[{ { 1, 3 }, { 0, 4, 2 } }])):equals { { 4, 6 }, { 8, 10 } }
    expect(list(t[{ { 2 } }])):equals { { 8, 9, 10, 11 } }
    expect(list(t[{ 0, { -2 } }])):equals { 2, 3 }
    expect(list(t[{ { 1, 99 }, 0 }])):equals { 4, 8 }
    expect(t[{ { 2, 2 } }].shape):equals { 0, 4 }
    expect(list(t[{ {}, 1 }])):equals { 1, 5, 9 }
  end)
  it("takes ':' and 'new'", function()
    local t = grid()
    expect(list(t[{ ":", 1 }])):equals { 1, 5, 9 }
    expect(t[{ "new", ":", ":" }].shape):equals { 1, 3, 4 }
    expect(t[":"].shape):equals { 3, 4 }
  end)
  it("takes tensors of rows and masks", function()
    local t = grid()
    local rows = g.tensor({ 2, 0, 2 }, "int64")
    expect(list(t[rows])):equals { { 8, 9, 10, 11 }, { 0, 1, 2, 3 }, { 8, 9, 10, 11 } }
    expect(list(t[{ rows, g.tensor({ 1, 1, 3 }, "int64") }])):equals { 9, 1, 11 }
    expect(list(t[t:gt(8)])):equals { 9, 10, 11 }
    expect(list(t[{ ":", g.tensor { true, false, false, true } }])):equals { { 0, 3 }, { 4, 7 }, { 8, 11 } }
  end)
  it("is a view where PyTorch's is", function()
    local t = grid()
    t[1]:zero_()
    expect(list(t[1])):equals { 0, 0, 0, 0 }
    t[g.tensor({ 0 }, "int64")]:zero_()
    expect(list(t[0])):equals { 0, 1, 2, 3 }
  end)
  it("carries gradients", function()
    local t = g.tensor({ 1, 2, 3 }, { requires_grad = true })
    local total = t[1] * 5 + t[{ { 0, 2 } }]:sum()
    total:backward()
    expect(list(t.grad)):equals { 1, 6, 0 }
  end)
  local cases = {
    { "a row too far", function() return grid()[3] end, "no row 3 of 3; expected 0 to 2: indices are counted from 0" },
    { "a row too far back", function() return grid()[-4] end, "no row -4 of 3; expected 0 to 2" },
    { "a row where there are none", function() return g.zeros(0, 2)[0] end, "index: no row 0 of 0: indices are counted from 0" },
    { "a row of a single value", function() return g.tensor(5)[0] end, "invalid index of a 0-dim tensor" },
    { "a comparison of two tensors", function() local t = grid() return t[t == t] end,
      "index: expected a mask, such as x:gt(0); got true, as x == y of two tensors is in Lua; x:eq(y) and x:ne(y) compare their values" },
    { "a row that only a list is told of", function() return grid()[{ 3 }] end, "index 3 is out of bounds for dimension 0 with size 3" },
    { "a fraction", function() return grid()[1.5] end, "index: expected an integer; got number 1.5" },
    { "a fraction in a list", function() return grid()[{ 0, .5 }] end, "index: expected an integer; got number 0.5" },
    { "NaN", function() return grid()[0 / 0] end, "index: expected an integer; got number" },
    { "text in a range", function() return grid()[{ { "1", 2 } }] end, "index: expected an integer; got string '1'" },
    { "a range of four", function() return grid()[{ { 0, 1, 2, 3 } }] end,
      "index: expected a range {from, to, step}; got a list of 4" },
    { "too many indices", function() return grid()[{ 0, 0, 0 }] end, "too many indices for tensor of dimension 2" },
    { "a step backwards", function() return grid()[{ { 2, 0, -1 } }] end, "step must be greater than zero" },
    { "a mask of another shape", function() return grid()[g.ones({ 2, 4 }, { dtype = "bool" })] end,
      "the mask [2, 4] at index 0 does not match the shape of the indexed tensor [3, 4]" },
    { "a function", function() return grid()[print] end,
      "index: expected an integer, {from, to}, ':', 'new' or a tensor; got function" },
    { "another text", function() return grid()[{ "all" }] end, "index: expected an integer" },
    { "a nil between indices", function() return grid()[{ 0, nil, 1 }] end, "with a hole; expected a value in each place" },
    { "names of a range", function() return grid()[{ { from = 1, to = 3 } }] end, "index: a list of 0 with the name" },
    { "names beside indices", function() return grid()[{ 0, step = 2 }] end, "index: a list of 1 with the name 'step'" },
    { "a released tensor", function() local i = g.tensor({ 0 }, "int64") i:release() return grid()[i] end,
      "a tensor was used after release()" },
  }
  for _, case in ipairs(cases) do
    it("refuses " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
end)

describe("assignment", function()
  it("of numbers, tensors and booleans", function()
    local t = grid()
    t[0] = 7
    t[{ 1, { 0, 2 } }] = g.tensor { -1, -2 }
    t[{ ":", 3 }] = g.tensor { 30, 31, 32 }
    expect(list(t)):equals { { 7, 7, 7, 30 }, { -1, -2, 6, 31 }, { 8, 9, 10, 32 } }
    t[t:lt(0)] = 0
    expect(list(t[1])):equals { 0, 0, 6, 31 }
    t[g.tensor({ 0, 2 }, "int64")] = g.zeros(2, 4)
    expect(list(t[2])):equals { 0, 0, 0, 0 }
    local mask = g.zeros({ 2 }, { dtype = "bool" })
    mask[1] = true
    expect(list(mask)):equals { false, true }
    local whole = g.zeros({ 2 }, { dtype = "int64" })
    whole[0] = 2 ^ 40
    expect(whole[0]:item()):equals(2 ^ 40)
    t[":"] = 1
    expect(t:sum():item()):equals(12)
    t[-1] = .5
    mask[1] = false
    expect({ list(t[2]), list(mask) }):equals { { .5, .5, .5, .5 }, { false, false } }
  end)
  local cases = {
    { "another shape", function(t) t[0] = g.zeros(3) end, "Target sizes: [4].  Tensor sizes: [3]" },
    { "text", function(t) t[0] = "1" end, "index: assignment: expected a number or a Tensor; got string '1'" },
    { "nil", function(t) t[0] = nil end, "index: assignment: expected a number or a Tensor; got nil" },
    { "a row too far", function(t) t[9] = 1 end, "index: no row 9 of 3; expected 0 to 2: indices are counted from 0" },
    { "a tensor that was released", function(t) local r = g.zeros(4) r:release() t[0] = r end,
      "index: a tensor was used after release()" },
    { "a tensor that is none as gradient", function(t) t.grad = 1 end,
      "grad: expected a Tensor or nil; got number 1" },
    { "a released gradient", function(t) local r = g.zeros(4) r:release() t.grad = r end,
      "grad: expected Tensor [3, 4] float32 on cpu; got a released Tensor" },
    { "a wish for a gradient that is neither", function(t) t.requires_grad = 1 end, "requires_grad: expected true or false; got number 1" },
    { "a nil between indices", function(t) t[{ 0, nil, 1 }] = 1 end, "with a hole; expected a value in each place" },
    { "a property that is none", function(t) t.dtype = "int64" end,
      "Tensor has no property 'dtype' to set; expected grad or requires_grad, or an index" },
    { "a property that is none, for a truth", function(t) t.dtype = true end, "Tensor has no property 'dtype' to set" },
    { "a property that is none, for nothing", function(t) t.dtype = nil end, "Tensor has no property 'dtype' to set" },
    { "a property that is none, for a tensor", function(t) t.data = t end, "Tensor has no property 'data' to set" },
    { "a leaf that wants a gradient", function() local p = g.zeros(2):requires_grad_() p[0] = 1 end,
      "leaf Variable that requires grad" },
  }
  for _, case in ipairs(cases) do
    it("refuses " .. case[1], function() expect(function() case[2](grid()) end):fails_with(case[3]) end)
  end
end)

describe("properties and methods", function()
  it("say what a tensor is", function()
    local t = grid()
    expect({ t.dtype, t.device, t.ndim, #t, t:numel() }):equals { "float32", "cpu", 2, 3, 12 }
    expect({ t:dim(), t:size(1), t:size(-1), t:nbytes() }):equals { 2, 4, 4, 48 }
    expect(t:size()):equals { 3, 4 }
    expect(t.T.shape):equals { 4, 3 }
    expect({ t.requires_grad, t.is_leaf, t.grad == nil, t:is_contiguous(), t.T:is_contiguous() }):equals { false, true, true, true, false }
    local p = g.zeros(2, 3)
    p.requires_grad = true
    local q = p * 2
    q:sum():backward()
    expect({ p.requires_grad, p.is_leaf, q.is_leaf, list(p.grad) }):equals { true, true, false, { { 2, 2, 2 }, { 2, 2, 2 } } }
    p.requires_grad = false
    expect({ p.requires_grad, g.tensor(3).ndim, tostring(t.shape), t:cpu() == t }):equals { false, 0, "{3, 4}", true }
  end)
  it("a tensor is equal to itself alone", function()
    local t = grid()
    expect(t == t):is_true()
    expect(t == grid()):is_false()
    expect(t:detach() == t):is_false()
    expect(t:equal(grid())):is_true()
    expect({ t == 1, t == nil, t ~= grid(), t == t:view(3, 4) }):equals { false, false, true, false }
    expect(t[0] == t):is_false()
  end)
  it("a released tensor is equal to no other", function()
    local t, u = grid(), grid()
    t:release()
    expect({ t == u, u == t, t == t }):equals { false, false, true }
  end)
  it("the number of a tensor of one value stands beside texts and numbers", function()
    expect("loss " .. g.tensor(1.5) .. " at " .. g.tensor({ 2 })):equals "loss 1.5 at 2"
    expect({ 1 .. g.tensor { false }, g.tensor(true) .. "", g.tensor(1) .. g.tensor(2) }):equals { "1false", "true", "12" }
    expect(function() return "x " .. grid() end):fails_with "..: expected a tensor of one value; got Tensor [3, 4] float32 (tostring(x))"
    expect(function() return g.tensor(1) .. {} end):fails_with "..: expected texts and numbers beside a tensor; got table"
    local gone = g.zeros(1)
    gone:release()
    expect(function() return "x " .. gone end):fails_with "..: expected a tensor of one value; got a released Tensor"
  end)
  it("has no order, no length without dimensions, and is no function", function()
    local t = grid()
    local order = "a tensor has no order in Lua; expected x:lt(y), x:le(y), x:gt(y), x:ge(y) (of each value), or x:item() < y:item()"
    expect(function() return t < t end):fails_with(order)
    expect(function() return t <= t end):fails_with(order)
    expect(function() return t(1) end)
      :fails_with "a tensor is no function; expected an index from 0, x[i], or for i, row in ipairs(x) do … end"
    expect(function() return #g.tensor(5) end):fails_with "a 0-dim tensor has no length"
    expect(#g.zeros(0, 3)):equals(0)
  end)
  it("arithmetic works from both sides", function()
    local t = g.tensor { 1, 2, 4 }
    expect(list(t + 1)):equals { 2, 3, 5 }
    expect(list(1 + t)):equals { 2, 3, 5 }
    expect(list(10 - t)):equals { 9, 8, 6 }
    expect(list(8 / t)):equals { 8, 4, 2 }
    expect(list(2 ^ t)):equals { 2, 4, 16 }
    expect(list(t ^ 2)):equals { 1, 4, 16 }
    expect(list(5 % t)):equals { 0, 1, 1 }
    expect(list(-t)):equals { -1, -2, -4 }
    expect(list(t * t)):equals { 1, 4, 16 }
  end)
  it("a number does not raise the other side's dtype", function()
    expect((g.tensor { 1 } * 2.5).dtype):equals "float32"
    expect((g.tensor({ 1 }, "int64") * 2).dtype):equals "int64"
    expect((g.tensor({ 1 }, "int64") * 2.5).dtype):equals "float32"
    expect((g.tensor({ 1 }, "float64") + 1).dtype):equals "float64"
    expect({ (g.tensor(1, "float16") * 2.5).dtype, (g.tensor(1) - .5).dtype, (1 / g.tensor(2)).dtype })
      :equals { "float16", "float32", "float32" }
    expect({ (g.tensor(1, "int8") + 2).dtype, (g.tensor(true) + 2).dtype, (2.5 * g.tensor(3, "int32")).dtype })
      :equals { "int8", "int64", "float32" }
  end)
  it("numbers and booleans in a tensor's place are of their own type", function()
    local mask = grid():gt(3)
    expect({ g.where(mask, 1, 0).dtype, g.where(mask, true, false).dtype, g.where(mask, 1.5, 0).dtype })
      :equals { "int64", "bool", "float32" }
    expect({ engine.ops.full({ 2 }, true).dtype, engine.ops.full({ 2 }, 3).dtype, engine.ops.full({ 2 }, 3.5).dtype })
      :equals { "bool", "int64", "float32" }
    expect(list(g.tensor({ true, false }):eq(true))):equals { true, false }
    expect(list(g.tensor({ true, false }):ne(true))):equals { false, true }
    expect(list(g.tensor({ true, false }):logical_and(true))):equals { true, false }
    expect(g.tensor({ 2 ^ 53 }, "int64"):sub(1):item()):equals(2 ^ 53 - 1)
  end)
  it("a number before a tensor of 16 bits is as exact as behind it", function()
    for _, dtype in ipairs { "float16", "bfloat16" } do
      local x = g.tensor({ .5, -.37, 3 }, dtype)
      for _, number in ipairs { 65536, .1, 1 / 3, -1e-4 } do
        expect(list(number * x)):equals(list(x * number))
        expect(list(number + x)):equals(list(x + number))
      end
    end
    expect(list(65536 * g.tensor({ .5 }, "float16"))):equals { 32768 }
  end)
  it("in-place operators hand back the tensor itself", function()
    local t = g.zeros(2)
    expect({ rawequal(t:add_(1), t), rawequal(t:add_(t), t), rawequal(t:fill_(1), t) }):equals { true, true, true }
    expect(t:requires_grad_() == t):is_true()
    local whole = g.zeros(2)
    expect(list(g.add_ { self = whole, other = 1 })):equals { 1, 1 }
    t = g.zeros(2)
    expect({ t:add(1) == t, t:copy_(g.ones(2)) == t, t:zero_() == t, list(t) }):equals { false, true, true, { 0, 0 } }
  end)
  it("set_data puts another's memory under it", function()
    local t, u = g.zeros(3), g.tensor { 1, 2 }
    expect({ rawequal(t:set_data(u), t), list(t), list(u) }):equals { true, { 1, 2 }, { 1, 2 } }
    u[0] = 9
    expect(list(t)):equals { 9, 2 }
    expect(function() t:set_data(3) end):fails_with "set_data: expected a Tensor; got number 3"
  end)
  it("hash tells content, dtype and shape", function()
    local t = grid()
    expect(t:hash()):equals(grid():hash())
    expect(t:hash()):differs_from((t + 1):hash())
    expect(t:hash()):differs_from(t:reshape({ 4, 3 }):hash())
    expect(g.zeros(2):hash()):differs_from(g.zeros({ 2 }, { dtype = "int32" }):hash())
    expect(t.T:hash()):equals(t.T:contiguous():hash())
  end)
  it("item and totable", function()
    expect(g.tensor(true):item()):equals(true)
    expect({ g.tensor(false):item(), g.tensor({ 7 }, "int64"):item() }):equals { false, 7 }
    expect(g.tensor({ { 2.5 } }):item()):equals(2.5)
    expect(g.tensor({ { { 1, 2 } }, { { 3, 4 } } }):totable()):equals { { { 1, 2 } }, { { 3, 4 } } }
    expect(g.tensor({ { 1, 2, 3 }, { 4, 5, 6 } }).T:totable()):equals { { 1, 4 }, { 2, 5 }, { 3, 6 } }
    expect(g.tensor(3):totable()):equals(3)
    expect(g.zeros({ 2, 0 }):totable()):equals { {}, {} }
    expect(function() g.zeros(2):item() end):fails_with "item: expected a tensor of one value; got [2]"
  end)
  it("to changes dtype and device", function()
    expect(g.zeros(2):to("float64").dtype):equals "float64"
    expect(g.zeros(2):to({ dtype = "int64", device = "cpu" }).dtype):equals "int64"
    expect(g.tensor({ 1.7 }):long():item()):equals(1)
    local t = g.tensor { 0, 1.5 }
    expect({ t:float().dtype, t:double().dtype, t:long().dtype, t:bool().dtype }):equals { "float32", "float64", "int64", "bool" }
    expect({ list(t:bool()), list(t:to "int32"), list(t:to { dtype = "bfloat16" }:to "float32") })
      :equals { { false, true }, { 0, 1 }, { 0, 1.5 } }
    expect({ t:to().dtype, t:to("cpu").device, t:to("float32"):equal(t) }):equals { "float32", "cpu", true }
    expect(function() t:to(5) end):fails_with "to: expected a dtype name or {dtype=, device=, non_blocking=}; got number 5"
    expect(function() t:to "" end):fails_with "to: dtype '' is unknown; expected float32"
    expect(function() t:to { pin_memory = true } end):fails_with "to: no option 'pin_memory'; expected dtype, device or non_blocking"
    expect(g.zeros(2):to({ device = "cpu", non_blocking = true }).device):equals "cpu"
    expect(function() g.zeros(2):to("double") end):fails_with "to: 'double' is no dtype (float32, "
    expect(function() g.zeros(2):to("cpu", "float64") end):fails_with 'to: expected one argument; got string \'float64\' as another; x:to {'
    expect(function() g.zeros(2):to { dtype = "float64", requires_grad = true } end)
      :fails_with "to: no option 'requires_grad'; expected dtype, device or non_blocking"
    expect(function() g.zeros(2):to { device = "cpu", non_blocking = 1 } end)
      :fails_with "to: non_blocking: expected true or false; got number 1"
    expect(function() g.tensor({ 1 }, { requires_grad = "false" }) end)
      :fails_with "requires_grad: expected true or false; got string 'false'"
  end)
  it("a gradient that is set has the tensor's shape, dtype and device", function()
    local p = g.zeros(3):requires_grad_()
    p.grad = g.ones(3)
    expect(list(p.grad)):equals { 1, 1, 1 }
    expect(function() p.grad = g.ones(1) end):fails_with "grad: expected Tensor [3] float32 on cpu; got Tensor [1] float32"
    expect(function() p.grad = g.ones(3):double() end):fails_with "grad: expected Tensor [3] float32 on cpu; got Tensor [3] float64"
    expect(list(p.grad)):equals { 1, 1, 1 }
    p.grad = nil
    expect(p.grad):equals(nil)
  end)
  it("whether a gradient is wanted is true or false", function()
    expect(g.zeros(1):requires_grad_().requires_grad):is_true()
    expect(g.zeros(1):requires_grad_(true):requires_grad_(false).requires_grad):equals(false)
    expect(function() g.zeros(1):requires_grad_(0) end):fails_with "requires_grad_: expected true or false; got number 0"
  end)
  it("a gradient is given to backward as a tensor", function()
    local x = g.tensor({ 1, 2 }, { requires_grad = true })
    local y = x * 3
    y:backward(g.tensor { 1, 10 })
    expect(list(x.grad)):equals { 3, 30 }
    x.grad = nil
    expect(x.grad):equals(nil)
    expect(function() (x * 2):backward() end):fails_with "grad can be implicitly created only for scalar outputs"
    expect(function() (x * 2):sum():backward { retain_graph = true } end):fails_with "backward: gradient: expected a Tensor; got table"
  end)
  it("a scalar list stands for both sides of a window", function()
    local x = g.randn(1, 1, 4, 4)
    expect(g.max_pool2d(x, 2):equal(g.max_pool2d(x, { 2, 2 }))):is_true()
    expect(g.adaptive_avg_pool2d(x, 1):equal(g.adaptive_avg_pool2d(x, { 1, 1 }))):is_true()
  end)
  it("a run of numbers stands for a list", function()
    expect(g.zeros(2, 3).shape):equals { 2, 3 }
    expect(grid():view(2, -1).shape):equals { 2, 6 }
    expect(grid():permute(1, 0).shape):equals { 4, 3 }
    expect({ #grid():reshape(12), #grid():reshape { shape = 12 }, #g.zeros { size = 3 }, #g.zeros(2) }):equals { 12, 12, 3, 2 }
    expect(g.zeros { size = { 2, 3 }, dtype = "int64" }.dtype):equals "int64"
    expect(g.max_pool2d(g.randn(1, 1, 4, 4), { kernel_size = 2 }).shape):equals { 1, 1, 2, 2 }
  end)
  it("nil stands for what may be left out", function()
    expect(list(g.tensor({ -2, 3 }):clamp(nil, 1))):equals { -2, 1 }
    expect(list(g.tensor({ -2, 3 }):clamp(0, nil))):equals { 0, 3 }
    expect(grid():sum(nil, true).shape):equals { 1, 1 }
  end)
  it("names stand for arguments, in any number", function()
    expect(list(grid():sum { dim = 1 })):equals { 6, 22, 38 }
    expect(grid():sum({ dim = { 0 }, keepdim = true }).shape):equals { 1, 4 }
    expect(list(grid():sum({ 0 }, { dtype = "int64" }))):equals { 12, 15, 18, 21 }
    expect(g.softmax({ self = grid(), dim = 0 }):equal(g.softmax(grid(), 0))):is_true()
  end)
  it("a memory format goes by name", function()
    local last = g.zeros(1, 2, 3, 4):contiguous { memory_format = "channels_last" }
    expect({ last:is_contiguous(), last:contiguous({ memory_format = "contiguous_format" }):is_contiguous() }):equals { false, true }
  end)
  it("a list of tensors is as long as it may be", function()
    local losses = {}
    for i = 1, 70000 do losses[i] = 1 end
    losses[70000] = g.tensor(5)
    expect(g.stack({ g.tensor(1), g.tensor(2) }, 0):totable()):equals { 1, 2 }
    expect(g.stack(losses, 0):sum():item()):equals(70004)
    expect(#grid():unbind(0)):equals(3)
    expect(list(grid():chunk(2, 1)[2][0])):equals { 2, 3 }
  end)
  it("of a run and of size, fractions and infinities are refused", function()
    for _, odd in ipairs { 2.5, 1 / 0, -1 / 0, 0 / 0, 2 ^ 60 } do
      expect(function() g.zeros(3, odd) end):fails_with "expected a list of integers; got number"
      expect(function() grid():view(odd, 1) end):fails_with "expected a list of integers; got number"
      expect(function() grid():size(odd) end):fails_with "expected a dimension, an integer; got number"
    end
  end)
  it("reductions and dtypes go by name", function()
    local logits, y = g.randn(3, 4), g.tensor({ 0, 1, 2 }, "int64")
    expect(g.cross_entropy_loss(logits, y, { reduction = "none" }).shape):equals { 3 }
    local sum = g.cross_entropy_loss(logits, y, { reduction = "sum" }):item()
    expect(sum / 3):near(g.cross_entropy_loss(logits, y, { reduction = "mean" }):item(), 1e-6)
    local a, b = g.tensor { 1, 2 }, g.tensor { 3, 6 }
    for name, wanted in pairs { none = { 2, 4 }, mean = 3, sum = 6 } do
      expect(g.l1_loss(a, b, { reduction = name }):totable()):equals(wanted)
    end
    expect(function() g.l1_loss(a, b, { reduction = "avg" }) end):fails_with "argument 3 'reduction': expected an integer; got string 'avg'"
    expect(g.arange(3, { dtype = "int32" }).dtype):equals "int32"
  end)
end)

describe("a message", function()
  local t, u = g.zeros(2, 3), g.zeros(4, 5)
  local cases = {
    { "names both shapes of a product", function() return g.mm(t, u) end,
      "mm: mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)" },
    { "names both sizes of a sum", function() return t + u end,
      "add: The size of tensor a (3) must match the size of tensor b (5) at non-singleton dimension 1" },
    { "names the shapes of a concatenation", function() return g.cat({ t, u }, 0) end,
      "cat: Sizes of tensors must match except in dimension 0. Expected size 3 but got size 5" },
    { "names the shapes of a layer", function() return g.linear(t, u) end,
      "linear: mat1 and mat2 shapes cannot be multiplied (2x3 and 5x4)" },
    { "names the shape that does not fit", function() return t:view(4, 2) end,
      "view: shape '[4, 2]' is invalid for input of size 6" },
    { "names the nearest argument", function() return t:sum { dims = 1 } end,
      "sum: no argument 'dims'; did you mean 'dim'?" },
    { "names a typo before what it leaves out", function() return g.softmax(t, { dimm = 1 }) end,
      "softmax: no argument 'dimm'; did you mean 'dim'?" },
    { "names what is missing", function() return g.softmax(t) end,
      "softmax: argument 2 'dim': expected an integer; got nothing; usage: softmax(Tensor self, int dim" },
    { "names what it got", function() return g.softmax(t, "1") end,
      "softmax: argument 2 'dim': expected an integer; got string '1'" },
    { "another library's word for a dtype", function() g.zeros({ 2 }, { dtype = "long" }) end,
      "zeros: argument 2 'dtype': expected a dtype's name (float32, float64, bfloat16, float16, int64, int32, int16, int8, uint8 or bool) "
        .. "or nil; got string 'long'" },
    { "names what is no list of tensors", function() return g.cat(1, 0) end,
      "cat: argument 1 'tensors': expected a list of Tensors; got number 1; usage: cat(Tensor[] tensors, int dim=0) -> Tensor" },
    { "names the type of a list's items", function() return g.cat { t, "a" } end,
      "cat: argument 1 'tensors': expected a list of Tensors; got table" },
    { "names what is no list, given by name", function() return t:sum { dim = { a = 1 } } end,
      "sum: argument 2 'dim': expected a list of integers or nil; got table; usage" },
    { "names a list of texts, given by name", function() return t:sum { dim = { "a" } } end,
      "sum: argument 2 'dim': expected a list of integers or nil; got table; usage" },
    { "names a value of another kind, given by name", function() return t:sum { dim = 0, keepdim = 1 } end,
      "sum: argument 3 'keepdim': expected true or false; got number 1; usage" },
    { "names what is neither true nor false", function() return t:sum({ 0 }, 1) end,
      "sum: argument 3 'keepdim': expected true or false; got number 1" },
    { "names what is no text", function() return g.gelu(t, { approximate = 1 }) end,
      "gelu: argument 2 'approximate': expected a string; got number 1; usage: gelu(Tensor self, *, str approximate=none) -> Tensor" },
    { "names what is no number", function() return g.dropout(t, "a", true) end,
      "dropout: argument 2 'p': expected a number; got string 'a'" },
    { "names what is no scalar", function() return t:fill_(("ab"):rep(40)) end,
      "fill_: argument 2 'value': expected a number; got string '" .. ("ab"):rep(20) .. "'; usage" },
    { "names what is no device", function() g.zeros({ 2 }, { device = 1 }) end,
      "zeros: argument 4 'device': expected a device name or nil; got number 1" },
    { "names what is no generator", function() g.rand({ 2 }, { generator = 1 }) end,
      "rand: argument 2 'generator': expected a generator or nil; got number 1" },
    { "names another memory format", function() t:contiguous { memory_format = "channels" } end,
      "contiguous: argument 2 'memory_format': expected MemoryFormat; got string 'channels'" },
    { "names a comparison where values are asked for", function() return t * (t == t) end,
      "mul: argument 2 'other': expected a Tensor; got true, as x == y of two tensors is in Lua; "
        .. "x:eq(y) and x:ne(y) compare their values" },
    { "names a comparison among masks", function() return t:masked_fill(t == t, 0) end,
      "masked_fill: argument 2 'mask': expected a Tensor; got true, as x == y of two tensors is in Lua" },
    { "names a comparison as a condition", function() return g.where(t == u, t, t) end,
      "where: argument 1 'condition': expected a Tensor; got false, as x == y of two tensors is in Lua" },
    { "names a comparison that is compared", function() return g.eq(t == u, t) end,
      "eq: argument 1 'self': expected a Tensor; got false, as x == y" },
    { "names another library's axis", function() return t:sum { axis = 0 } end, "sum: no argument 'axis'; did you mean 'dim'?" },
    { "names another library's axes", function() return t:mean { axes = 0 } end, "mean: no argument 'axes'; did you mean 'dim'?" },
    { "names another library's keepdims", function() return t:sum { dim = 0, keepdims = true } end,
      "sum: no argument 'keepdims'; did you mean 'keepdim'?" },
    { "names what is like no argument", function() return t:sum { qqqqqq = 1 } end, "sum: no argument 'qqqqqq'; usage: sum(" },
    { "says how a dtype is given", function() g.zeros(3, "int64") end,
      'zeros: got 2 arguments; expected { dtype = "int64" }; usage: zeros(SymInt[] size, *, ScalarType? dtype=None' },
    { "says nothing of another text", function() g.zeros(3, "word") end, "zeros: got 2 arguments; usage: zeros(" },
    { "is of the way of calling that came furthest", function() return t:max(0, 1) end,
      "max: argument 3 'keepdim': expected true or false; got number 1" },
    { "names a released tensor in a list", function() local r = g.zeros(1) r:release() return g.cat { t, r } end,
      "cat: a tensor was used after release()" },
    { "names a dimension beyond 2^53", function() return t:size(2 ^ 53 + 2) end,
      "size: expected a dimension, an integer; got number 9.007" },
    { "takes 2^53 for one", function() return t:size(2 ^ 53) end, "size: Dimension out of range" },
    { "names a table among numbers", function() return t:add {} end,
      "add: argument 2 'other': expected a Tensor; got table" },
    { "names too many arguments", function() return g.relu(t, 1, 2) end, "relu: got 3 arguments" },
    { "names what is given twice", function() return g.softmax(t, 1, { dim = 1 }) end,
      "softmax: an argument is given both by place and by name" },
    { "names the nearest operator", function() return g.sofmax(t, 1) end,
      "gradus has no 'sofmax'; did you mean 'softmax'?" },
    { "names the nearest method", function() return t:transpos(0, 1) end,
      "Tensor has no method or property 'transpos'; did you mean 'transpose'?" },
    { "says when a dimension is none", function() return t:sum(5) end,
      "Dimension out of range (expected to be in range of [-2, 1], but got 5)" },
    { "says that a size asks for a number", function() return t:size "rows" end,
      "size: expected a dimension, an integer; got string 'rows'" },
    { "says that T is for matrices", function() return g.zeros(2, 2, 2).T end,
      "T: t() expects a tensor with <= 2 dimensions" },
    { "says that a tensor was released", function() local r = g.zeros(1) r:release() return r + 1 end,
      "a tensor was used after release()" },
    { "says that a receiver was released", function() local r = g.zeros(1) r:release() return r.shape end,
      "the tensor was used after release()" },
    { "says what two backward passes are in a script", function()
      local w = g.ones(2):requires_grad_()
      local loss = (w * w):sum()
      loss:backward()
      loss:backward()
    end, "; expected one backward pass, of a sum such as (a + b):backward(), or the forward pass again" },
    { "says how two bool tensors differ", function() return g.tensor { true } - g.tensor { true } end,
      "; expected a:float() - b:float(), or a:ne(b)" },
    { "names the methods that other libraries have for dtypes", function() return t:half() end,
      'Tensor has no method or property \'half\'; expected x:to { dtype = "float16" }' },
    { "names what only begins like an index", function() return t[":x"] end, "Tensor has no method or property ':x'" },
    { "names what is like no method", function() return t.foobarbaz end, "Tensor has no method or property 'foobarbaz'$" },
    { "names the nearest property", function() return t.sahpe end, "Tensor has no method or property 'sahpe'; did you mean 'shape'?" },
    { "names that of whole numbers", function() return t:int() end, 'no method or property \'int\'; expected x:to { dtype = "int32" }' },
    { "is one line without a backtrace", function() return g.conv2d(t, u) end, "^[^\n]*$" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
  it("blames the user's line", function()
    expect(function() return t + u end):fails_with "tensor_spec.lua:%d+: add"
  end)
  it("help is a schema, nil for what is none", function()
    expect(g.help "softmax"):matches "softmax%(Tensor self, int dim, ScalarType%? dtype=None%) %-> Tensor"
    expect(function() g.help "sofmax" end):fails_with "did you mean 'softmax'?"
  end)
end)

describe("a view of the data", function()
  it("reads and writes in place", function()
    local t = g.tensor { 1, 2, 3 }
    local v = t:data()
    v[1] = 9.5
    expect({ v[0], v[1], v[2], #v }):equals { 1, 9.5, 3, 3 }
    expect(list(t)):equals { 1, 9.5, 3 }
  end)
  it("of every dtype that C has", function()
    for _, dtype in ipairs { "float32", "float64", "int32", "int16", "int8", "uint8" } do
      local v = g.tensor({ 1, 100 }, dtype):data()
      v[0] = 7
      expect(v[0] + v[1]):equals(107)
    end
    local b = g.tensor({ true, false }):data()
    expect({ b[0], b[1] }):equals { true, false }
  end)
  it("of int64 keeps all 64 bits", function()
    local t = g.full({ 2 }, 2 ^ 53, { dtype = "int64" })
    local v = t:data()
    expect(tostring(v[0] + 1)):equals "9007199254740993LL"
    expect(tonumber(v[1])):equals(2 ^ 53)
    v[0] = 5
    expect(t[0]:item()):equals(5)
  end)
  it("refuses what lies outside, and says what is inside", function()
    local v = g.tensor({ 1, 2, 3 }):data()
    expect(function() return v[3] end):fails_with "data: index 3 is outside of 0 … 2"
    expect(function() return v[-1] end):fails_with "data: index -1 is outside of 0 … 2"
    expect(function() v[3] = 1 end):fails_with "tensor_spec.lua:%d+: data: index 3 is outside of 0 … 2"
    expect(function() return v[0 / 0] end):fails_with "data: index"
    expect(function() return v[.5] end):fails_with "data: index 0.5: expected a whole number"
    expect(function() v[.5] = 1 end):fails_with "data: index 0.5: expected a whole number"
    expect(function() return g.zeros(0):data()[0] end):fails_with "data: index 0: the tensor is empty"
    expect(function() v[0] = "x" end):fails_with "cannot convert"
  end)
  it("refuses tensors that are none in memory order", function()
    expect(function() grid().T:data() end):fails_with "data: the tensor is not contiguous; expected t:contiguous():data()"
    expect(function() g.zeros({ 1 }, { dtype = "bfloat16" }):data() end):fails_with "data: no view of bfloat16; expected t:float():data()"
  end)
  it("keeps the memory alive", function()
    local views = {}
    for i = 1, 50 do
      local t = g.full({ 1000 }, i)
      views[i] = t:data()
      t:release()
    end
    collectgarbage()
    collectgarbage()
    for _ = 1, 100 do g.full({ 1000 }, -1) end
    for i, v in ipairs(views) do expect({ v[0], v[999] }):equals { i, i } end
  end)
  it("and outlives the scope it was made in", function()
    local v
    g.scope(function() v = g.full({ 1000 }, 3):data() end)
    for _ = 1, 100 do g.full({ 1000 }, -1) end
    expect({ v[0], v[999] }):equals { 3, 3 }
  end)
  it("lets go of the memory with the view", function()
    collectgarbage()
    local before = g.memory()
    local views = { g.zeros(1e6):data() }
    expect(g.memory() - before >= 4e6):is_true()
    views[1] = nil
    expect(#views):equals(0)
    collectgarbage()
    collectgarbage()
    expect(g.memory() - before < 4e6):is_true()
  end)
end)

describe("random numbers", function()
  it("come from the seed, or from a generator of one's own", function()
    engine.manual_seed(3)
    local a = g.rand(4)
    engine.manual_seed(3)
    expect(g.rand(4):equal(a)):is_true()
    local gen = g.generator(5)
    local b = g.rand({ 4 }, { generator = gen })
    expect(g.rand({ 4 }, { generator = g.generator(5) }):equal(b)):is_true()
    local state = gen:get_state()
    local c = g.randperm(9, { generator = gen })
    gen:set_state(state)
    expect(g.randperm(9, { generator = gen }):equal(c)):is_true()
  end)

  it("take no seed that is no whole number from 0 to 2^53", function()
    for _, seed in ipairs { -1, .5, 0 / 0, math.huge, 2 ^ 53 + 2, "7", {} } do
      for name, ask in pairs {
        generator = function() return engine.generator(seed) end,
        manual_seed = function() return engine.manual_seed(seed) end,
        ["manual_seed of a generator"] = function() return g.generator(1):manual_seed(seed) end,
      } do
        expect(ask):fails_with(name:match "^%S+" .. ": expected a whole number from 0 to 2^53; got ")
      end
    end
    expect(g.rand({ 4 }, { generator = engine.generator() }):equal(g.rand({ 4 }, { generator = engine.generator(0) }))):is_true()
    expect(g.rand({ 4 }, { generator = g.generator(1):manual_seed(2 ^ 53) }):equal(g.rand({ 4 },
      { generator = g.generator(2 ^ 53) }))):is_true()
  end)
end)
