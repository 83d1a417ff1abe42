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
  it("tells of long tables where they first differ", function()
    local function long(value)
      local t = { rows = { ["train/loss"] = {}, n = 1 } }
      for i = 1, 200 do t.rows["train/loss"][i] = { i, i == 3 and value or 0 } end
      return t
    end
    expect(said(function() expect(long(.5)):equals(long(.25)) end)):equals 'at rows["train/loss"][3][2]: expected 0.25, got 0.5'
    local more = long(1)
    more.rows.n, more.other = nil, true
    expect(said(function() expect(long(1)):equals(more) end)):equals "at other: expected true, got nil"
    expect(said(function() expect(more):equals(long(1)) end)):equals "at rows.n: expected 1, got nil"
    expect(#said(function() expect(("x"):rep(900)):equals "" end) > 900):is_true()
    local one, other = {}, {}
    for _ = 1, 60 do one, other = { one }, { other } end
    expect(one):equals(other)
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

-- Runs a file of examples with a copy of what runs them; what it printed, line by line, and the failures that it counted.
local function ran(chunk)
  local instead, name = require "instead", "gradus.experiment.test"
  local kept, printed, failures = package.loaded[name], {}, nil
  package.loaded[name] = nil
  local copy = require(name)
  package.loaded[name] = kept
  local stubs = { { _G, "print", function(text) printed[#printed + 1] = text end }, { os, "exit", function() end } }
  for _, word in ipairs { "describe", "it", "before_each", "after_all", "expect" } do stubs[#stubs + 1] = { _G, word, rawget(_G, word) } end
  instead(stubs, function() failures = copy.run("x_spec.lua", chunk) end)
  return printed, failures
end

describe("a file of examples", function()
  it("counts those that passed, and tells those that failed by their names", function()
    local order = {}
    local printed, failures = ran(function()
      before_each(function() order[#order + 1] = "each" end)
      describe("outer", function()
        before_each(function() order[#order + 1] = "outer" end)
        it("passes", function() order[#order + 1] = "one" end)
        describe("inner", function()
          it("fails", function() error({ message = "two\nlines" }, 0) end)
        end)
        it("fails", function() expect(1):equals(2) end)
      end)
      it("passes", function() order[#order + 1] = "last" end)
    end)
    expect({ failures, printed[#printed], #printed }):equals { 2, "x_spec.lua: 2 passed, 2 failed", 3 }
    expect(printed[1]):matches "^FAILED outer inner fails\n  .*two\n  lines"
    expect(printed[2]):matches "^FAILED outer fails\n  .*expected 2, got 1"
    expect(order):equals { "each", "outer", "one", "each", "outer", "each", "outer", "each", "last" }
  end)
  it("fails where it, what holds its examples or what ends it does, and where there are none", function()
    for pattern, chunk in pairs {
      ["^FAILED x_spec.lua\n  .*oh"] = function()
        it("passes", function() end)
        error "oh"
      end,
      ["^FAILED group\n  .*oh"] = function()
        it("passes", function() end)
        describe("group", function() error "oh" end)
      end,
      ["^FAILED x_spec.lua after all\n  .*oh"] = function()
        it("passes", function() end)
        after_all(function() error "oh" end)
      end,
      ["^FAILED x_spec.lua\n  the spec has no examples"] = function() end } do
      local printed, failures = ran(chunk)
      expect({ failures, #printed }):equals { 1, 2 }
      expect(printed[1]):matches(pattern)
    end
  end)
  it("is ended, whatever failed", function()
    local ended = 0
    ran(function()
      after_all(function() ended = ended + 1 end)
      it("fails", function() error "oh" end)
    end)
    expect(ended > 0):is_true()
  end)
end)

describe("a text of what was expected", function()
  it("is whole up to 400 characters", function()
    for _, case in ipairs { { 0, "expected { a = " }, { 1, "at a: expected " } } do
      local length = 400 - #"expected { a = '' }, got { a = 1 }" + case[1]
      local text = said(function() expect { a = 1 }:equals { a = ("x"):rep(length) } end)
      expect(text:sub(1, #case[2])):equals(case[2])
    end
  end)
end)

describe("after_all", function()
  it("has all that it was given called when the spec has ended, also where an example has failed", function()
    local words = {}
    for word in io.open("/proc/self/cmdline", "rb"):read "*a":gmatch "[^%z]+" do words[#words + 1] = word end
    local library = table.concat(words, " "):match " %-%-stdlib %S+" or ""
    local spec = os.tmpname()
    after_all(function() os.remove(spec) end)
    for _, case in ipairs { { "true", 0 }, { "false", 1 } } do
      local file = assert(io.open(spec, "w"))
      file:write(([[
for _, text in ipairs { "one", "two", "three" } do after_all(function() print("after " .. text) end) end
it("is", function()
  print "example"
  expect(%s):is_true()
end)
]]):format(case[1]))
      file:close()
      local pipe = assert(io.popen(("%s test%s %s 2>/dev/null; echo $?"):format(words[1], library, spec)))
      local out, code = {}, nil
      for line in pipe:lines() do
        code = line:match "^%d+$" or code
        if line:find "^after" or line == "example" then out[line] = true end
      end
      pipe:close()
      expect(out):equals { ["after one"] = true, ["after two"] = true, ["after three"] = true, example = true }
      expect(code == "0"):equals(case[2] == 0)
    end
  end)
end)
