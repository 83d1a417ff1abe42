-- Writers that keep nothing, or nothing but a run's end.
local current = require "gradus.base.current"
local engine = require "gradus.engine"
local files = require "gradus.base.files"
local host = require "gradus.host"
local instead = require "instead"
local run_writer = require "gradus.experiment.run_writer"

describe("a writer that keeps nothing", function()
  it("takes whatever is written, and answers 0", function()
    local own = { id = 3, key = function(_, name) return name .. "!" end }
    local writer = run_writer.silent(own)
    expect({ writer.id, writer:key "a", writer:log(1, 2), writer:event(), writer:finish() }):equals { 3, "a!", 0, 0, 0 }
    expect(run_writer.silent():finish()):equals(0)
  end)
  it("but a run's end hands that on", function()
    local done = {}
    local inner = { id = 3, uid = "u", folder = "f", other = 5 }
    for _, name in ipairs { "key", "finish", "flush", "point", "log" } do
      inner[name] = function(self, ...)
        done[#done + 1] = { name, self == inner, ... }
        return name
      end
    end
    local writer = run_writer.muted(inner)
    expect({ writer.id, writer.uid, writer.folder }):equals { 3, "u", "f" }
    expect({ writer:key(1, 2), writer:finish "x", writer:flush(), writer:point(4), writer:log(7), writer:event() })
      :equals { "key", "finish", "flush", "point", 0, 0 }
    expect(done):equals { { "key", true, 1, 2 }, { "finish", true, "x" }, { "flush", true }, { "point", true, 4 } }
  end)
  it("of a run that goes on has the new values of what was set, and only those", function()
    local amended, asked
    local store = { resume = function(_, ...)
      asked = { ... }
      return { amend = function(_, what) amended = what end }
    end }
    local flat = { lr = .5, width = 8, norm = "layer" }
    run_writer.begin({ store = store, resumes = 7, goal = { point = { step = 3 } }, flat = flat, set = { lr = .5 } }, {})
    expect({ asked, #amended.params, amended.params[1].key, amended.params[1].value }):equals { { 7, { step = 3 } }, 1, "lr", .5 }
    for _, set in ipairs { false, {} } do
      amended = nil
      run_writer.begin({ store = store, resumes = 7, flat = flat, set = set or nil }, {})
      expect({ asked, amended }):equals { { 7, {} } }
    end
  end)
  it("takes the place of one where a run is done again", function()
    local again = {}
    expect(run_writer.begin({ again = again }, {}) == again):is_true()
  end)
end)

describe("a run's configuration", function()
  local function configured(options, rows, hand)
    local asked
    options.store = { query = function(_, _, ...)
      asked = { ... }
      return rows or {}
    end }
    options.name, options.flat = options.name or "e", options.flat or { lr = .5, T = 4 }
    local parts, apart
    instead({ { host, "sources", function() return { { path = "a.lua", sha256 = "aa" } } end } }, function()
      parts, apart = run_writer.configuration(options)
    end)
    if hand then hand(asked) end
    return parts, apart
  end
  local PLAIN = { "e", "run", "a.lua aa", "T=4", "lr=0.5" }
  it("is its name, kind, code and parameters", function()
    local asked = 0
    expect({ configured({}, nil, function(of) asked = of end) }):equals { PLAIN, false }
    expect(asked):equals(nil)  -- of no other run
    expect((configured { kind = "training", name = "o", flat = {} })):equals { "o", "training", "a.lua aa" }
  end)
  it("and where it was something else: edited, given other parameters, another run", function()
    local rows = { { kind = "edit", detail = "D" } }
    local asked
    local function hand(of) asked = of end
    local goal = { point = { event = 17 } }
    expect({ configured({ resumes = 7, goal = goal }, rows, hand) }):equals { { "e", "run", "a.lua aa", "T=4", "lr=0.5", "edited D" },
      true }
    expect(asked):equals { 7, 17 }
    rows[2] = { kind = "resume", detail = '{"set":{"T":4},"from":3,"seed":9,"seconds":5}' }
    local parts, apart = configured({ forks = 8, goal = { point = {} } }, rows, hand)
    expect({ asked, #parts, parts[6], apart }):equals { { 8, -1 }, 7, "edited D", true }
    expect(host.json_decode(parts[7]:match "^apart (.*)")):equals { set = { T = 4 }, from = 3 }
    -- A fork that begins now; without `config` it is the same run again.
    local detail = { at = 3, config = "other", seed = 9 }
    parts, apart = configured({ forks = 8, goal = goal, detail = detail }, {})
    expect({ #parts, host.json_decode(parts[6]:match "^apart (.*)"), apart }):equals { 6, { at = 3, config = "other" }, true }
    detail.config = nil
    expect({ configured({ forks = 8, goal = goal, detail = detail }, {}) }):equals { PLAIN, false }
    expect({ configured({ resumes = 7 }, rows) }):equals { PLAIN, false }  -- begins anew
    expect({ configured({ detail = { config = "c" } }, rows) }):equals { PLAIN, false }
  end)
  it("has a hash, with the data that are read", function()
    local function hash() return run_writer.config_hash { "a", "b" } end
    local before, contents = hash(), current.contents
    current.contents = { "data" }
    local read = hash()
    current.contents = contents
    expect({ hash() == before, read ~= before, #read }):equals { true, true, 64 }
    expect(run_writer.config_hash { "a" } ~= before):is_true()
  end)
  it("is left by what was set, by other code and by another run, not by a new thread count or going on", function()
    expect({ run_writer.is_apart { set = { T = 1 } }, run_writer.is_apart { accepted = { "script a.lua was x, now y" } },
      run_writer.is_apart { accepted = { "threads was 1, now 2" } }, run_writer.is_apart {} }):equals { true, true, false, false }
  end)
end)

describe("a run that begins", function()
  local function begun(options, line)
    local asked
    options.store = { begin = function(_, what)
      asked = what
      return "writer"
    end }
    options.options, options.flat = { script = "x.lua" }, options.flat or {}
    instead({ { files, "read", function(path) return path == "/proc/self/cmdline" and (line or "gradus\0run\0") or nil end } }, function()
      expect(run_writer.begin(options, { config_hash = "h", device = "cpu" })):equals "writer"
    end)
    return asked
  end
  it("is stored with what it was begun with, and where", function()
    local asked = begun { name = "e", kind = "run", seed = 3, flat = { b = 1, a = "x", types = { b = "int" } }, parent = { id = 5 } }
    expect({ asked.name, asked.kind, asked.seed, asked.parent, asked.config_hash, asked.past }):equals { "e", "run", 3, 5, "h", nil }
    expect({ asked.params[1].key, asked.params[1].value, asked.params[1].type, asked.params[2].key, asked.params[2].value,
      asked.params[2].type })
      :equals { "a", "x", nil, "b", 1, "int" }
    local where = asked.environment
    expect({ where.threads, where.gemm, where.device, where.host, where.script, where.versions.torch, where.versions.stdlib }):equals {
      engine.threads(), engine.gemm(), "cpu", host.hostname(), "x.lua", engine.torch_version, host.stdlib_hash() }
    expect(begun({}).parent):equals(nil)
  end)
  it("has its command line as it may be typed again", function()
    local line = begun({}, "gradus\0run\0x y.lua\0--set\0a=1,2\0it's\0\0é\0").environment.command
    expect(line):equals [[gradus run 'x y.lua' --set a=1,2 'it'\''s' '' é]]
    expect(begun({}, "").environment.command):equals(nil)
  end)
  it("as another has that one's past", function()
    expect(begun({ forks = 7, goal = { point = { step = 3, event = 9 } } }).past):equals { run = 7, step = 3, event = 9 }
  end)
end)

describe("a run that goes on", function()
  it("keeps the code that is other from there on under the step", function()
    local amended
    local writer = { amend = function(_, what) amended = what end }
    run_writer.keep_sources(writer, 4, {}, error)
    expect(amended):equals(nil)
    run_writer.keep_sources(writer, 4, { { path = "a.lua", now = "h" }, { path = "b.lua", now = "i" } },
      function(path) return "of " .. path end)
    expect(amended):equals { sources = { { path = "a.lua@4", sha256 = "h", text = "of a.lua" },
      { path = "b.lua@4", sha256 = "i", text = "of b.lua" } } }
  end)
  it("for longer leaves the store alone until it stands where it ended, and has its events then", function()
    local done = {}
    local inner = { event = function(_, ...) done[#done + 1] = { ... } end, key = function(_, name) return "new " .. name end }
    local store = { folder = "F", query = function(_, _, id) return { { id = id, uid = "u" } } end, resume = function(_, ...)
      done[#done + 1] = { "resume", ... }
      return inner
    end }
    local goal = { schedules = "keep", point = { step = 3 } }
    local writer = run_writer.begin({ store = store, resumes = 7, goal = goal, flat = {} }, {})
    expect({ writer.id, writer.uid, writer.folder, writer:key "a", writer:event(1, "x"), writer:log(), done }):equals { 7, "u", "F/u", "a",
      nil, 0, {} }
    local keys = { loss = "old" }
    assert(run_writer.arrived(writer, keys) == inner)
    expect({ done, keys }):equals { { { "resume", 7, { step = 3 } }, { 1, "x" } }, { loss = "new loss" } }
    keys = { loss = "old" }
    expect({ run_writer.arrived(inner, keys) == inner, run_writer.arrived("w", keys), keys }):equals { true, "w", { loss = "old" } }
  end)
end)

describe("the code of a run that goes on", function()
  it("is kept as it is from the snapshot's step on, or from the beginning", function()
    local sources, amended = require "gradus.experiment.sources", {}
    local store = { resume = function() return { amend = function(_, what) amended[#amended + 1] = what end } end }
    local detail = { files = { { path = "a.lua", was = "g", now = "h" } } }
    instead({ { sources, "content", function(path) return "text of " .. path end } }, function()
      run_writer.begin({ store = store, resumes = 7, goal = { point = { step = 3 } }, flat = {}, detail = detail }, {})
      run_writer.begin({ store = store, resumes = 7, flat = {}, detail = detail }, {})
      run_writer.begin({ store = store, resumes = 7, flat = {}, detail = {} }, {})
    end)
    expect(amended):equals { { sources = { { path = "a.lua@3", sha256 = "h", text = "text of a.lua" } } },
      { sources = { { path = "a.lua@0", sha256 = "h", text = "text of a.lua" } } } }
  end)
end)
