-- The files of a live run's script: which are watched, when one has been saved, and what differs. And what of a script's modules and
-- globals is put aside and back.
local children = require "gradus.children"
local files = require "gradus.base.files"
local host = require "gradus.host"
local instead = require "instead"
local live_files = require "gradus.experiment.live_files"
local live_users = require "gradus.experiment.live_users"

local function source(path, text) return { path = path, text = text, sha256 = host.sha256(text) } end

-- Calls fn(world) with a disk and a clock of its own: world.disk, .sources, .now, .events; world.watched are the paths, in order.
local function in_world(fn)
  local world = { disk = { ["a.lua"] = "1", ["b.lua"] = "2" }, sources = { source("a.lua", "1"), source("b.lua", "2") },
    now = 0, events = {}, watched = {} }
  instead({ { host, "sources", function() return world.sources end }, { host, "monotonic", function() return world.now end },
    { files, "read", function(path) return world.disk[path] end },
    { children, "watch", function(paths)
      if paths[1]:find "^none" then error "no such folder" end
      for _, path in ipairs(paths) do world.watched[#world.watched + 1] = path end
    end },
    { children, "wait", function(seconds)
      expect(seconds):equals(0)
      local events = world.events
      world.events = {}
      return events
    end } }, function() fn(world) end)
end

describe("a live run's files", function()
  it("are watched once, and read as they were last", function()
    in_world(function(world)
      local one = live_files.new()
      expect(one:read()):equals { ["a.lua"] = world.sources[1], ["b.lua"] = world.sources[2] }
      world.sources[3], world.sources[4] = source("a.lua", "3"), source("c.lua", "4")
      expect(one:read()["a.lua"].text):equals "3"
      expect(world.watched):equals { "a.lua", "b.lua", "c.lua" }
    end)
  end)
  it("are looked at ten times a second, where one was saved", function()
    in_world(function(world)
      local one = live_files.new()
      local texts = one:read()
      local function look(now, saved, text)
        world.now, world.events, world.disk["a.lua"] = now, saved and { { kind = "other" }, { kind = saved } } or {}, text
        return one:look(texts)
      end
      expect(look(0, nil, "new")):is_true()        -- saved before it was watched
      expect(look(.05, "saved", "new")):is_false() -- too early
      expect(look(.125, "other", "new")):is_false()
      expect(look(.25, "saved", "new")):is_true()
      expect(look(.375, "saved", "1")):is_false()  -- the same
      expect(look(.5, nil, "new")):is_false()
      expect(look(.625, "saved", nil)):is_false()  -- away for a moment
      expect(look(.75, "saved", "2")):is_true()
      expect(look(.85, "saved", "2")):is_true()    -- a tenth later
      one.watched["c.lua"], world.disk["c.lua"] = true, "4"
      expect(look(1, "saved", "1")):is_true()      -- one that was not there
    end)
  end)
  it("of a version that failed are watched too, and where it has looked", function()
    in_world(function(world)
      live_files.new():failed("x\nmodule 'c' not found; looked for c.lua, none/c.lua, d/c.lua; oh\n"
        .. "module 'e' not found; looked for e.lua\n")
      expect(world.watched):equals { "a.lua", "b.lua", "c.lua", "d/c.lua", "e.lua" }
    end)
  end)
  it("differ by their hashes", function()
    local a, b, c = source("a", "1"), source("a", "2"), source("c", "3")
    expect(live_files.changes({ a = a }, { a = a })):equals {}
    expect(live_files.changes({ a = a, c = c }, { a = b })):equals { { path = "a", was = a.sha256, now = b.sha256 } }
    expect(live_files.changes({}, { c = c, a = a })):equals { { path = "a", now = a.sha256 }, { path = "c", now = c.sha256 } }
  end)
end)

describe("a script's modules and globals", function()
  it("are those that came later, and are put back", function()
    local before = live_users.held()
    package.loaded.spec_module, package.loaded["gradus.spec"], package.loaded.gradusish = { 1 }, true, true
    rawset(_G, "spec_global", 5)
    rawset(_G, 5, "a number is no name")
    local held = live_users.held()
    local fn = function() end
    local world = live_users.world_of(fn, { p = 1 })
    live_users.forget_modules()
    local forgotten, kept = package.loaded.spec_module, package.loaded["gradus.spec"]
    package.loaded.spec_other = 1
    rawset(_G, "spec_other", 1)
    rawset(_G, "spec_global", 6)
    live_users.put_back(held)
    local after = { package.loaded.spec_module[1], package.loaded.spec_other or "gone", rawget(_G, "spec_other") or "gone",
      rawget(_G, "spec_global") }
    live_users.put_back(before)
    local number = rawget(_G, 5)
    package.loaded["gradus.spec"] = nil
    rawset(_G, 5, nil)
    expect({ held.modules.spec_module, held.modules["gradus.spec"], held.modules.gradusish, held.globals.spec_global, held.globals[5] })
      :equals { { 1 }, nil, true, 5, nil }
    expect({ forgotten == nil, kept, number }):equals { true, true, "a number is no name" }
    expect(after):equals { 1, "gone", "gone", 5 }
    expect({ package.loaded.spec_module, rawget(_G, "spec_global") }):equals {}
    assert(package.loaded.string == string and rawget(_G, "print") == print)
    assert(world.fn == fn and world.params.p == 1 and world.roots[1].table == package.loaded and world.roots[2].table == _G)
    expect(table.concat(world.roots[1].names, " ")):matches "gradusish.* spec_module"
    expect(table.concat(world.roots[2].names, " ")):matches "spec_global"
    expect(world.texts["tests/stdlib/experiment/live_files_spec.lua"] ~= nil or next(world.texts) ~= nil):is_true()
  end)
end)
