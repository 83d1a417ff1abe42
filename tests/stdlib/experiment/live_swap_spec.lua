-- What a new version of a script moves in a loop that goes on, and that it can be taken back: two versions of one text, without a run.
local edit = require "edited"
local live_swap = require "gradus.experiment.live_swap"
local step_module = require "gradus.step.step"

local SCRIPT = [[
local base, calls = 10, 0
local function helper(x) return x + base end
local function scaled(x)
  -- what it does
  calls = calls + 1
  return helper(x) * 2
end
local rules = { limit = 3, word = "a", on = true,
  over = function(x) return x + 1 end,
  deep = { count = 1 } }
rules.itself = rules
local function maker(n) return function(x) return helper(x) * 0 + n end end
local first, second = maker(1), maker(2)
local alone = 0
local step = spec_step(function(x) return x * 3 end)
package.loaded.spec_rules = { size = 7,
  double = function(x) return x * 2 end }
spec_size = 5
spec_half = function(x) return x / 2 end
return function(p)
  local T, moved, word = 4, 1, "w"
  local single = 1
  local within = function() return 0 end
  local found = {}
  for i = 1, 5 do
    spec_at(i)
    moved = moved + 1
    alone = 4
    local r, m = rules, package.loaded.spec_rules
    found[i] = { scaled = scaled(i) - 2 * i, T = T, single = single, moved = moved, word = word, over = r.over(0), limit = r.limit,
      text = r.word, on = r.on, deep = r.deep.count, more = r.more and r.more(1), step = rawget(step, "fn")(1), size = m.size,
      double = m.double(1), within = within(), both = first(0) * 10 + second(0), all = spec_size,
      half = spec_half(1), alpha = p.alpha, inner = p.group.inner, calls = calls }
  end
  return found
end
]]
local FIRST = { scaled = 20, T = 4, single = 1, word = "w", over = 1, limit = 3, text = "a", on = true, deep = 1, step = 3,
  size = 7, double = 2, within = 0, both = 12, all = 5, half = .5, alpha = .5, inner = 1 }

-- A version's function, as its file is read.
local function version(text, alpha, inner)
  return { fn = assert(loadstring(text, "@s.lua"))(), params = { alpha = alpha or .5, group = { inner = inner or 1 } },
    texts = { ["s.lua"] = text }, roots = { { table = package.loaded, names = { "spec_rules" } },
      { table = _G, names = { "spec_half", "spec_size" } } } }
end

local NAMES = { "spec_at", "spec_step", "spec_size", "spec_half" }

-- Runs the loop, in which version `text` takes over before step 3 and, if so wanted, is taken back before step 5; `options` are those of
-- apply, and params; moves: a global number from step 4 on. Returns what the loop found at each step, what apply told, and the calls of
-- `wrap`.
local function swapped(to, options)
  options = options or {}
  local undo, wrapped, steps, found, swap, told = {}, 0, 0, nil, nil, nil
  rawset(_G, "spec_step", function(fn) return step_module.new(fn, function() end, "cpu") end)
  local old = version(options.script or SCRIPT)
  local function ask(text)
    local kept, at = { package.loaded.spec_rules, rawget(_G, "spec_size"), rawget(_G, "spec_half") }, rawget(_G, "spec_at")
    local new = version(text, options.alpha, options.inner)
    rawset(_G, "spec_at", function() error({ found = live_swap.capture(new) }, 0) end)
    local _, reached = pcall(new.fn, new.params)
    package.loaded.spec_rules = kept[1]
    rawset(_G, "spec_size", kept[2])
    rawset(_G, "spec_half", kept[3])
    rawset(_G, "spec_at", at)
    return reached.found or error(reached, 0)
  end
  rawset(_G, "spec_at", function(i)
    if i == 1 then swap = live_swap.new(old, {}) end
    if i == 3 or i == 4 and options.again then
      told = swap:apply(ask(i == 3 and to or options.again), { takes_values = options.takes_values ~= false, undo = undo,
        wrap_step = function(one) steps = steps + (rawget(one, "plans") and 1 or 0) end,
        wrap = function(was, new)
          assert(was ~= new)
          wrapped = wrapped + 1
          return options.wrap and options.wrap(was, new) or new
        end })
    end
    if i == 4 and options.moves then rawset(_G, "spec_size", options.moves) end
    if i == 5 and options.back then live_swap.take_back(undo) end
  end)
  local ok, why = pcall(function() found = old.fn(old.params) end)
  package.loaded.spec_rules = nil
  for _, name in ipairs(NAMES) do rawset(_G, name, nil) end
  if not ok then error(why, 0) end
  return found, told, { wrapped = wrapped, steps = steps, undo = #undo }
end

-- What differs from the first version at a step.
local function differs(one)
  local list = {}
  for name, value in pairs(one) do
    if name ~= "moved" and name ~= "calls" and value ~= FIRST[name] then list[name] = value end
  end
  return list
end

local function edited(...) return edit(SCRIPT, ...) end

-- What is edited, the functions and values that are told, and what the loop finds from then on.
local CASES = {
  { "nothing", {}, {}, {}, {} },
  { "a comment", { "-- what it does", "-- something else" }, {}, {}, {} },
  { "blank lines", { "  calls = calls + 1\n", "\n  calls = calls + 1  \n\n" }, {}, {}, {} },
  { "a local function", { "helper(x) * 2", "helper(x) * 3" }, { "scaled" }, {}, { scaled = { 33, 34, 35 } } },
  { "one that it calls", { "x + base", "x + base + 1" }, { "scaled.helper" }, {}, { scaled = { 22, 22, 22 } } },
  { "several", { "x * 3", "x * 5", "x / 2", "x / 4" }, { "spec_half", "step" }, {}, { step = 5, half = .25 }, steps = 1 },
  { "a function that sees what only the loop saw",
    { "return 0 end", "return first(0) + second(0) + alone end" }, { "within" }, {}, { within = 7 } },
  { "a function of the loop's, that sees more of it", { "return 0 end", "return moved end" }, { "within" }, {}, { within = 3 } },
  { "a table that is a function now", { "deep = { count = 1 }", "deep = function() end" }, {}, {}, {} },
  { "functions of one text, each with its own variables", { "* 0 + n end", "* 0 + n * 2 end" }, { "first", "second" }, {}, { both = 24 } },
  { "a field", { "x + 1 end,", "x + 2 end," }, { "rules.over" }, {}, { over = 2 } },
  { "a module's", { "x * 2 end }", "x * 4 end }" }, { "spec_rules.double" }, {}, { double = 4 } },
  { "a global", { "x / 2", "x / 4" }, { "spec_half" }, {}, { half = .25 } },
  { "a step", { "x * 3", "x * 5" }, { "step" }, {}, { step = 5 }, steps = 1 },
  { "a local number", { "T, moved, word = 4", "T, moved, word = 8" }, {}, { "T = 8" }, { T = 8 }, own = true },
  { "a local alone on its line", { "single = 1\n", "single = 2  -- more\n" }, {}, { "single = 2" }, { single = 2 } },
  { "a local text", { '4, 1, "w"', '4, 1, "v"' }, {}, { "word = v" }, { word = "v" }, own = true },
  { "an upvalue", { "base, calls = 10", "base, calls = 20" }, {}, { "scaled.helper.base = 20" }, { scaled = { 40, 40, 40 } } },
  { "a number that has moved", { "calls = 10, 0", "calls = 10, 5" }, {}, {}, {} },
  { "a local that has moved", { '4, 1, "w"', '4, 2, "w"' }, {}, {}, {}, own = true },
  { "fields", { 'limit = 3, word = "a", on = true', 'limit = 2, word = "b", on = false' }, {},
    { "rules.limit = 2", "rules.on = false", "rules.word = b" },
    { limit = 2, text = "b", on = false } },
  { "another kind", { "limit = 3", "limit = 'x'" }, {}, {}, {} },
  { "a field within", { "count = 1", "count = 2" }, {}, { "rules.deep.count = 2" }, { deep = 2 } },
  { "a module's number", { "size = 7", "size = 8" }, {}, { "spec_rules.size = 8" }, { size = 8 } },
  { "a global number", { "spec_size = 5", "spec_size = 6" }, {}, { "spec_size = 6" }, { all = 6 } },
  { "a function that was not there", { "on = true,", "on = true,\nmore = function(x) return x + base + calls * 0 end," }, {},
    { "rules.more" }, { more = 11 } },
  { "a number that was not there", { "on = true,", "on = true, other = 1," }, {}, { "rules.other = 1" }, {} },
  { "a table that was not there", { "on = true,", "on = true, other = {}," }, {}, {}, {} },
  { "one that is gone", { "  deep = { count = 1 }", "", "deep = r.deep.count, ", "" }, {}, {}, {}, own = true },
  { "a function of a new one", { "local function scaled(x)",
    "local k = 3\nlocal function more(x) return x > 99 and more(99) or helper(x) + k end\nlocal function scaled(x)",
    "helper(x) * 2", "more(x) * 2" }, { "scaled" }, {}, { scaled = { 26, 26, 26 } } },
  { "the loop itself", { "moved = moved + 1", "moved = moved + 2" }, {}, {}, {}, own = true } }

describe("a version swapped into a loop", function()
  it("moves what differs, tells it, and is taken back", function()
    for _, case in ipairs(CASES) do
      local text = edited(unpack(case[2]))
      local found, told, count = swapped(text)
      table.sort(told.values)
      expect({ case[1], told.names, told.values, told.own }):equals { case[1], case[3], case[4], case.own or false }
      for i = 1, 5 do
        local wanted = {}
        for name, value in pairs(i > 2 and case[5] or {}) do wanted[name] = type(value) == "table" and value[i - 2] or value end
        expect({ case[1], i, differs(found[i]) }):equals { case[1], i, wanted }
        expect({ found[i].moved, found[i].calls }):equals { i + 1, i }  -- what the loop has come to stays
      end
      expect({ case[1], count.steps }):equals { case[1], #case[3] + #case[4] > 0 and 1 or 0 }
      expect(count.wrapped):equals(#case[3] - (case.steps or 0))
      expect(#told.moved):equals(#case[4])
      found, _, count = swapped(text, { back = true })
      expect({ case[1], differs(found[5]), found[5].calls }):equals { case[1], {}, 5 }
      expect(count.undo):equals(0)
    end
  end)
  it("moves a number that compiled code knows, and takes it back", function()
    local hot = edited("return helper(x) * 2", "local y for _ = 1, 300 do y = helper(x) end return y * 2")
    local found = swapped(edit(hot, "base, calls = 10", "base, calls = 20"), { script = hot, back = true })
    expect({ differs(found[2]), differs(found[3]), differs(found[4]), differs(found[5]) })
      :equals { {}, { scaled = 40 }, { scaled = 40 }, {} }
  end)
  it("is taken back but for what has moved since", function()
    local text = edited("spec_size = 5", "spec_size = 6", "limit = 3", "limit = 2")
    expect(differs(swapped(text, { back = true, moves = 50 })[5])):equals { all = 50 }
  end)
  it("takes parameters, those within groups too", function()
    local found, told = swapped(SCRIPT, { alpha = .25, inner = 2 })
    table.sort(told.values)
    expect(told.values):equals { "alpha = 0.25", "group.inner = 2" }
    expect(differs(found[3])):equals { alpha = .25, inner = 2 }
  end)
  it("takes no value where none is to be taken, functions all the same", function()
    local found, told = swapped(edited("limit = 3", "limit = 2, other = 1", "x + 1 end,", "x + 2 end, more = function() return 9 end,"),
      { alpha = .25, takes_values = false })
    expect({ told.names, told.values }):equals { { "rules.over" }, { "rules.more" } }
    expect(differs(found[4])):equals { over = 2, more = 9 }
  end)
  it("is followed by another, which finds what this one left", function()
    local found, told = swapped(edited("limit = 3", "limit = 2", "helper(x) * 2", "helper(x) * 3"),
      { again = edited("limit = 3", "limit = 1", "helper(x) * 2", "helper(x) * 4") })
    expect({ told.names, told.values, found[4].limit, found[4].scaled }):equals { { "scaled" }, { "rules.limit = 1" }, 1, 14 * 4 - 8 }
    found, told = swapped(edited("limit = 3", "limit = 2", "helper(x) * 2", "helper(x) * 3"), { again = SCRIPT, back = true })
    expect({ told.names, told.values, differs(found[4]), differs(found[5]) }):equals { { "scaled" }, { "rules.limit = 3" }, {}, {} }
  end)
  it("calls the new function as it is wrapped, and counts what it has brought", function()
    local fresh = {}
    local found, told = swapped(edited("helper(x) * 2", "helper(x) * 3"), { wrap = function(_, new)
      local function guarded(x) return new(x) + 100 end
      fresh[1], fresh[2] = guarded, new
      return guarded
    end })
    expect(found[3].scaled):equals(133)
    expect(told.fresh[fresh[1]]):is_true()
  end)
end)

describe("a call's arguments as before a swap", function()
  local moved = { { value = 8, was = 4 }, { value = "b", was = "a" } }
  local object = setmetatable({ T = 8 }, {})
  local plain_table = { T = 8, name = "b", other = 8.5 }
  for name, case in pairs { number = { 8, 4 }, text = { "b", "a" }, other = { 3, 3 }, object = { object, object },
    table = { plain_table, { T = 4, name = "a", other = 8.5 } }, nothing = {} } do
    it("are those of a " .. name, function() expect(live_swap.as_before(moved, case[1])):equals(case[2]) end)
  end
  it("leave the table itself alone, and give it where nothing moves", function()
    live_swap.as_before(moved, plain_table)
    expect(plain_table):equals { T = 8, name = "b", other = 8.5 }
    local other = { T = 5 }
    expect(live_swap.as_before(moved, other) == other):is_true()
  end)
end)
