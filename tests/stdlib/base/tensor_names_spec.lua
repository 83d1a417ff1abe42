-- Functions around other functions: without gradients, in mixed precision, in a scope of their own.
local g = require "gradus"

local AROUND = { no_grad = g.no_grad, scope = g.scope, autocast = function(fn, ...) return g.autocast("bfloat16", fn, ...) end }

describe("what calls a function", function()
  for name, around in pairs(AROUND) do
    it(name .. " hands on arguments, results and errors", function()
      local function swap(a, b, c) return c, b, a end
      expect({ around(swap, 1, nil, 3) }):equals { 3, nil, 1 }
      expect({ around(setmetatable({}, { __call = function(_, x) return x + 1 end }), 1) }):equals { 2 }
      expect(function() around(function() error "inside" end) end):fails_with "inside"
      expect({ around(function() return around(function() return "deep" end) end) }):equals { "deep" }
    end)
    it(name .. " refuses what is no function", function()
      for _, one in ipairs { { nil, "nil" }, { 3, "a number" }, { "f", "a string" }, { {}, "a table" }, { true, "a boolean" } } do
        expect(function() around(one[1]) end):fails_with(name .. ": expected a function, such as function() … end; got " .. one[2])
      end
      expect(function() around(nil) end):fails_with(name .. ": expected a function, such as function() … end; got nil")
    end)
  end
  it("leaves gradients and precision as they were, whatever happened", function()
    local x = g.ones(2, 2)
    x.requires_grad = true
    local function both() return (x * 1).requires_grad, (x:mm(x)).dtype end
    expect({ both() }):equals { true, "float32" }
    expect({ g.no_grad(both) }):equals { false, "float32" }
    expect({ g.autocast("bfloat16", both) }):equals { true, "bfloat16" }
    for _, around in pairs(AROUND) do
      pcall(around, function() error "inside" end)
      expect({ both() }):equals { true, "float32" }
    end
  end)
  it("a scope releases what was made in it and is not among its results", function()
    local lost, inner
    local kept, list = g.scope(function()
      lost = g.ones(2)
      local result = g.scope(function()
        inner = g.ones(3)
        return inner * 2
      end)
      return result, { deep = { g.ones(4) } }
    end)
    expect({ kept:sum():item(), list.deep[1]:sum():item() }):equals { 6, 4 }
    for _, one in ipairs { lost, inner } do expect(function() return one:sum() end):fails_with "after release()" end
    local before = g.ones(2)
    pcall(g.scope, function()
      lost = g.ones(2)
      error "inside"
    end)
    expect(function() return lost:sum() end):fails_with "after release()"
    expect(before:sum():item()):equals(2)
    expect((g.ones(2) + 1):sum():item()):equals(4)  -- outside of all scopes nothing is released
  end)
end)

describe("what a scope returns", function()
  local function within(t, depth)
    for _ = 1, depth do t = { t } end
    return t
  end
  local function innermost(value, depth)
    for _ = 1, depth do value = value[1] end
    return value
  end
  it("is kept in tables up to eight deep", function()
    for _, depth in ipairs { 0, 1, 7, 8 } do
      expect(innermost(g.scope(function() return within(g.ones(2), depth) end), depth):totable()):equals { 1, 1 }
    end
    local lost = innermost(g.scope(function() return within(g.ones(2), 9) end), 9)
    expect(function() return lost:totable() end):fails_with "after release()"
  end)
  it("is kept among several values, keys aside, and what is not returned is released", function()
    local inside
    local none, a, list, text = g.scope(function()
      inside = g.zeros(1)
      return nil, g.ones(1), { x = g.ones(2), y = { g.ones(3) } }, "text"
    end)
    expect({ none, a:totable(), list.x:totable(), list.y[1]:totable(), text }):equals { nil, { 1 }, { 1, 1 }, { 1, 1, 1 }, "text" }
    expect(function() return inside:totable() end):fails_with "after release()"
  end)
end)
