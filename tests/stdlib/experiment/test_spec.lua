-- What a spec's expectations let pass, and what they say of the rest.
local function said(fn)
  local ok, why = pcall(fn)
  return not ok and ((type(why) == "table" and why.message or tostring(why)):gsub("^[^ ]*lua:%d+: ", "")) or nil
end

local nan, inf = 0 / 0, 1 / 0
local alike = { { 1, 1 }, { "a", "a" }, { true, true }, { nan, nan }, { {}, {} }, { { 1, { a = nan } }, { 1, { a = nan } } }, { inf, inf } }
local unlike = { { 1, 2 }, { nan, 1 }, { 1, nan }, { "1", 1 }, { {}, 1 }, { 1, {} }, { { 1 }, { 1, 2 } }, { { 1, 2 }, { 1 } },
  { { a = 1 }, { a = 2 } },
  { { a = { 1 } }, { a = { 2 } } }, { false, nil }, { { a = false }, {} }, { inf, -inf } }

describe("expect", function()
  it("equals by value, and differs from the rest", function()
    for _, pair in ipairs(alike) do
      expect(said(function() expect(pair[1]):equals(pair[2]) end)):equals(nil)
      assert(said(function() expect(pair[1]):differs_from(pair[2]) end):find "^expected something else than ")
    end
    for i = 1, #unlike do
      local a, b = unlike[i][1], unlike[i][2]
      assert(said(function() expect(a):equals(b) end):find "^expected .*, got ", i)
      assert(not said(function() expect(a):differs_from(b) end), i)
    end
  end)
  it("shows values in full, in the order of their keys", function()
    assert(said(function() expect({ b = 1, a = { "x" } }):equals(5) end) == 'expected 5, got { a = { [1] = "x" }, b = 1 }')
    local deep = { { { { { { 1 } } } } } }
    assert(said(function() expect(deep):equals(5) end):find "%[1%] = { %[1%] = { %[1%] = { %[1%] = table: ")
    local object = setmetatable({}, { __tostring = function() return "an object" end })
    assert(said(function() expect(object):equals(5) end) == "expected 5, got an object")
  end)
  it("is near within a distance, item by item", function()
    for _, case in ipairs { { 1, 1 + 5e-10 }, { 1, 1.5, .5 }, { { 1, 2 }, { 1, 2.5 }, .5 }, { {}, {} } } do
      assert(not said(function() expect(case[1]):near(case[2], case[3]) end))
    end
    for _, case in ipairs { { 1, 1 + 5e-9 }, { 1, 1.75, .5 }, { nan, 1, 5 }, { "1", 1 }, { { 1, 2 }, { 1, 2.75 }, .5 }, { { 1 }, { 1, 2 } },
      { { 1, 2 }, { 1 } }, { 1, { 1 } }, { { "1" }, { 1 } }, { { nan }, { 1 } } } do
      assert(said(function() expect(case[1]):near(case[2], case[3]) end))
    end
  end)
  it("fails with a text or a pattern, which must come", function()
    local function fails() error("a [b] c", 0) end
    assert(not said(function() expect(fails):fails_with "a [b]" end))
    assert(said(function() expect(fails):fails_with "d" end) == 'expected an error like "d", got "a [b] c"')
    assert(said(function() expect(function() end):fails_with "d" end) == 'expected an error like "d", got none')
    assert(not said(function() expect(function() error({ message = "told" }, 0) end):fails_with "told" end))
  end)
  it("matches a pattern, and is true or false", function()
    assert(not said(function() expect("abc"):matches "b.$" end) and not said(function() expect(15):matches "5" end))
    assert(said(function() expect("abc"):matches "d" end) == 'expected a match of "d", got "abc"')
    for _, yes in ipairs { true, 0, "" } do
      assert(not said(function() expect(yes):is_true() end) and said(function() expect(yes):is_false() end):find "^expected false, got ")
    end
    assert(said(function() expect(false):is_true() end) == "expected true, got false")
    assert(said(function() expect(nil):is_true() end) == "expected true, got nil")
    assert(not said(function() expect(false):is_false() end) and not said(function() expect(nil):is_false() end))
  end)
end)
