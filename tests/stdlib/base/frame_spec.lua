local frame = require "gradus.base.frame"

local outer, hidden = { inner = { leaf = 3 } }, "of the file"

-- What stands in this function as it calls fn(level of its frame).
local function stand(fn)
  local first, hidden, empty = 1, "of the function", nil  -- luacheck: ignore hidden
  local inner = { leaf = outer.inner.leaf + first }
  do
    local first = "inner"  -- luacheck: ignore first
    local result = fn(2)
    return result, first, hidden, empty, inner
  end
end

describe("a frame", function()
  it("has values by path: locals, the innermost first, upvalues, globals", function()
    local wanted = { first = "inner", hidden = "of the function", ["inner.leaf"] = 4, ["outer.inner.leaf"] = 3,
      ["string.rep"] = string.rep }
    for path, value in pairs(wanted) do
      expect(stand(function(level)
        local found = frame.value_of(path, level)
        return found
      end) == value):is_true()
    end
  end)
  it("has none of what is nil, of no name, or below what has no fields; the root is told apart", function()
    for path, has_root in pairs { empty = false, unheard = false, ["unheard.leaf"] = false, ["inner.none"] = true,
      ["first.none.deep"] = true, ["inner.leaf.deep"] = true } do
      expect(stand(function(level)
        local value, root = frame.value_of(path, level)
        return { value == nil, root ~= nil }
      end)):equals { true, has_root }
    end
  end)
  it("has its names once, and false for those that hold nil", function()
    local names, values
    stand(function(level) names, values = frame.names(level) end)
    local count = {}
    for _, name in ipairs(names) do count[name] = (count[name] or 0) + 1 end
    expect({ count.first, count.hidden, count.empty, count.outer, count.inner }):equals { 1, 1, 1, 1, 1 }
    expect({ values.first, values.hidden, values.empty, values.outer }):equals { "inner", "of the function", false, outer }
  end)
  it("of a function of the user's has the text of its file, of others none", function()
    expect(frame.text_of(debug.getinfo(stand, "S"))):matches "has the text of its file, of others none"
    for _, fn in ipairs { frame.names, string.rep, assert(loadstring "return 1") } do
      expect(frame.text_of(debug.getinfo(fn, "S"))):equals(nil)
    end
  end)
  it("has an upvalue where no local of its name hides it", function()
    local function look() return (frame.value_of("hidden", 2)) end
    local seen = look()
    expect(seen):equals(hidden)
  end)
end)
