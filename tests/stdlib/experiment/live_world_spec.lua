-- What a loop can see, place by place, and what its functions say.
local g = require "gradus"
local live_world = require "gradus.experiment.live_world"
local step = require "gradus.step.step"

-- The world of the function that a file returns; `names` are its globals that count.
local function world_of(text, names, params)
  local fn = assert(loadstring(text, "@w.lua"))()
  return { fn = fn, texts = { ["w.lua"] = text }, params = params or {},
    roots = { { table = package.loaded, names = { "spec_part" } }, { table = _G, names = names or {} } } }
end

-- The names of the places while the loop's function stands there, sorted.
local function names_of(text, params)
  local found = {}
  local world
  rawset(_G, "spec_stand", function()
    live_world.each_place(world, function(place)
      assert(place.home ~= nil and place.slot ~= nil)
      found[#found + 1] = tostring(place.name)
    end)
  end)
  rawset(_G, "spec_own", { inner = 1 })
  package.loaded.spec_part = { of_part = 1 }
  world = world_of(text, { "spec_own" }, params)
  local ok, why = pcall(world.fn)
  rawset(_G, "spec_stand", nil)
  rawset(_G, "spec_own", nil)
  package.loaded.spec_part = nil
  assert(ok, why)
  table.sort(found)
  return found
end

describe("what a loop can see", function()
  it("is what it has, what its functions have, modules, globals and parameters, each once", function()
    expect(names_of([[
local far = 1
local function one() return far end
local shared = { one = one, again = one }
shared.itself = shared
return function()
  local near, both = shared, require
  spec_stand()
  return near, both, one
end]], { alpha = .5, group = { inner = 2, deeper = { last = 3 } } })):equals { "^one", "^shared", "again", "alpha", "both", "far",
      "group.deeper.last", "group.inner", "inner", "itself", "near", "of_part", "one", "spec_own", "spec_part" }
  end)
  it("is of the library's objects what is the user's, and of its modules nothing", function()
    expect(names_of [[
local g, model, loaded, all = require "gradus", require("gradus").nn.Linear(2, 2), package.loaded, _G
return function() spec_stand() return g, model, loaded, all end]]):equals { "^all", "^g", "^loaded", "^model", "inner", "of_part",
      "spec_own", "spec_part" }
    local mine = step.new(function() end, print, "cpu")
    mine.look = function() end
    local names = {}
    for i, place in ipairs(live_world.places_inside(mine)) do names[i] = place.name end
    table.sort(names)
    expect(names):equals { "fn", "look" }
    expect(live_world.places_inside(3)):equals {}
    expect(live_world.places_inside(print)):equals {}
    expect(#live_world.places_inside { 1, 2, 3 }):equals(3)
    local Model = g.nn.class("Mine")
    function Model:forward(x) return self and x end
    expect(live_world.places_inside(Model)[1].name):equals "forward"
  end)
  it("is moved in its place", function()
    local t, params = { a = 1 }, { group = { b = 2 } }
    live_world.places_of_root({ table = t, names = { "a" } })[1].set(5)
    local place = live_world.places_of_params(params, "", {})[1]
    place.set(place.get() + 1)
    expect({ t.a, params.group.b }):equals { 5, 3 }
  end)
  it("tells a function, and a step, of the user's", function()
    local mine = step.new(function() end, print, "cpu")
    for _, case in ipairs { { print, false, false }, { g.kd_loss, false, false }, { world_of, true, false }, { 3, false, false },
      { {}, false, false }, { mine, false, true }, { step.new(print, print, "cpu"), false, false },
      { { plans = {}, fn = world_of }, false, false },
      { setmetatable({ fn = world_of }, getmetatable(mine)), false, false } } do
      expect({ live_world.is_users(case[1]), live_world.is_step(case[1]) }):equals { case[2], case[3] }
    end
  end)
end)

describe("what a function says", function()
  it("is its lines, without blanks, empty ones and comments", function()
    local world = world_of("-- before\nlocal x = 1\nreturn function(a)\n\n  -- what\n    local b = x  \n--[[ a block\n]]\n  return a - b\n"
      .. "end\n")
    expect(live_world.text_of(world, world.fn)):equals "return function(a)\nlocal b = x\n--[[ a block\n]]\nreturn a - b\nend"
    world.texts = {}
    expect(live_world.text_of(world, world.fn)):equals ""
    world = world_of "return function() end"
    expect(live_world.text_of(world, world.fn)):equals "return function() end"
  end)
  for what, case in pairs {
    ["what it makes itself"] = { "local f = function()\nreturn 1\nend\nreturn { function()\nlocal a = 2\nspec_stand()\nreturn f, a\nend }",
      "function()\nlocal a = 2\nspec_stand()\nreturn f, a\nend }" },
    ["a function within, without what that says"] = {
      "return { function()\nlocal f = function(x)\nreturn x\nend\nlocal k = function(x) return x end\nspec_stand()\nend }",
      "function()\nlocal f = function(x)\nend\nlocal k = function end\nspec_stand()\nend }" },
    ["a step within"] = { "return { function()\nlocal f = spec_step(function(x)\nreturn x\nend)\nspec_stand()\nend }",
      "function()\nlocal f = spec_step(function(x)\nend)\nspec_stand()\nend }" },
    ["one that ends where it ends"] = { "return { function()\nspec_with(function()\nreturn 1\nend) end }",
      "function()\nspec_with(function()\nend) end }" },
    ["itself, where it sees itself"] = { "local loop\nloop = function()\nlocal me = loop\nspec_stand()\nend\nreturn { loop }",
      "function()\nlocal me = loop\nspec_stand()\nend" },
    ["nothing of a function before it"] = {
      "local f = function()\nreturn 1 end local a = { function()\nspec_stand() return f end }\nreturn a",
      "function()\nspec_stand() return f end }" } } do
    it("is of a loop's " .. what, function()
      local fn, own = assert(loadstring(case[1], "@w.lua"))()[1], nil
      package.loaded.spec_part = {}
      rawset(_G, "spec_step", function(one) return step.new(one, print, "cpu") end)
      rawset(_G, "spec_stand", function()
        own = live_world.own_text { fn = fn, texts = { ["w.lua"] = case[1] }, params = {},
          roots = { { table = package.loaded, names = { "spec_part" } } } }
      end)
      rawset(_G, "spec_with", function(one)
        package.loaded.spec_part.one = one
        rawget(_G, "spec_stand")()
      end)
      local ok, why = pcall(fn)
      for _, name in ipairs { "spec_stand", "spec_step", "spec_with" } do rawset(_G, name, nil) end
      package.loaded.spec_part = nil
      assert(ok, why)
      expect(own):equals(case[2])
    end)
  end
end)
