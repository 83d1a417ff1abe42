-- What gradus.store takes from Lua: numbers that no integer holds are refused, not cut.
local host = require "gradus.host"
local stores = require "gradus.store"

local folder = os.tmpname()
os.remove(folder)
host.mkdirs(folder)
after_all(function() os.execute("rm -rf " .. folder) end)
local store = stores.open(folder .. "/s.db")

local function begin(fields)
  fields.name = "x"
  store:begin(fields):finish "finished"
  return store:query("SELECT seed, threads FROM runs ORDER BY id DESC LIMIT 1")[1]
end

describe("whole numbers of a run", function()
  it("are kept, up to what a double holds exactly", function()
    expect(begin { seed = 2 ^ 53, environment = { threads = 3 } }):equals { seed = 2 ^ 53, threads = 3 }
    expect(begin { seed = -2 ^ 53 }):equals { seed = -2 ^ 53 }
    expect(begin { seed = "12" }):equals { seed = 12 }
    expect(begin { seed = {} }):equals {}
  end)
  local others = { { 0 / 0, "nan" }, { 1 / 0, "inf" }, { -1e300, "-1e+300" }, { 2 ^ 53 + 2, "9.007199254741e+15" }, { 1.5, "1.5" } }
  for _, case in ipairs(others) do
    it("are not " .. case[2], function()
      local wanted = ": expected a whole number; got " .. case[2]
      expect(function() begin { seed = case[1] } end):fails_with("store: seed" .. wanted)
      expect(function() begin { environment = { threads = case[1] } } end):fails_with("store: threads" .. wanted)
      expect(function() begin { past = { run = case[1] } } end):fails_with("store: run" .. wanted)
      expect(function() store:resume(1, { step = case[1] }) end):fails_with("store: step" .. wanted)
      expect(function() store:runs { limit = case[1] } end):fails_with("store: limit" .. wanted)
    end)
  end
end)

describe("runs", function()
  it("are as many as are asked for; 0 and more than there can be are all", function()
    local all = store:query("SELECT count(*) AS n FROM runs")[1].n
    for limit, n in pairs { [0] = all, [1] = 1, [2 ^ 32 + 1] = all, [2 ^ 31] = all, [-2 ^ 32 + 1] = all } do
      expect(#store:runs { limit = limit }):equals(n)
    end
  end)
end)

describe("what a query is given and gives", function()
  it("is numbers, texts, booleans as 0 and 1, and nil", function()
    local rows, columns = store:query([[SELECT ?1 AS a, ?2 AS b, ?3 AS c, ?4 AS d, ?5 AS e, ?6 AS f,
      typeof(?1) AS ta, typeof(?2) AS tb, typeof(?7) AS tg]],
      1.5, 3, "x\0y", true, false, nil, 2 ^ 53)
    expect(rows):equals { { a = 1.5, b = 3, c = "x\0y", d = 1, e = 0, ta = "real", tb = "integer", tg = "real" } }
    expect(columns):equals { "a", "b", "c", "d", "e", "f", "ta", "tb", "tg" }
    expect({ store:query "SELECT 1 AS n WHERE 0" }):equals { {}, { "n" } }
    expect(store:query("SELECT typeof(?1) AS a, typeof(?2) AS b", 2 ^ 53 - 1, -2 ^ 53)[1]):equals { a = "integer", b = "real" }
    expect(#store:query "SELECT 1 UNION SELECT 2"):equals(2)
  end)
  it("changes nothing", function()
    expect(function() store:query "DELETE FROM runs" end):fails_with "sql"
    expect(function() store:query "SELECT" end):fails_with "incomplete input"
  end)
end)

describe("a run's parameters", function()
  it("have the type that they are given as", function()
    local writer = store:begin { name = "typed", params = { { key = "whole", value = 3 }, { key = "number", value = 3, type = "number" },
      { key = "half", value = .5 },
      { key = "yes", value = true }, { key = "no", value = false }, { key = "word", value = "a\0b" }, { key = "none" },
      { key = "large", value = 2 ^ 53 }, { key = "below", value = -2 ^ 53 + 1 } } }
    local got = {}
    for _, row in ipairs(store:query("SELECT key, value, type, typeof(value) AS kept FROM params WHERE run_id = ?1", writer.id)) do
      got[row.key] = { row.value, row.type, row.kept }
    end
    expect(got):equals { whole = { 3, "integer", "integer" }, number = { 3, "number", "real" }, half = { .5, "number", "real" }, yes = { 1,
      "boolean", "integer" },
      no = { 0, "boolean", "integer" }, word = { "a\0b", "string", "text" }, none = { nil, "null", "null" }, large = { 2 ^ 53, "number",
        "real" },
      below = { -2 ^ 53 + 1, "integer", "integer" } }
    writer:finish "finished"
    expect(function() store:begin { name = "x", params = { { key = "t", value = {} } } } end)
      :fails_with "store: parameter 't': expected a number, text or boolean"
  end)
end)

describe("what is told of a run", function()
  it("is in its row, whole", function()
    local parent = store:begin { name = "first" }
    local writer = store:begin { name = "second", kind = "teacher", seed = 7, config_hash = ("c"):rep(64), parent = parent.id,
      sources = { { path = "x.lua", sha256 = ("a"):rep(64), text = "return 1\0" }, { path = "y.lua", sha256 = ("b"):rep(64), text = "2" } },
      environment = { threads = 3, device = "cpu", host = "here", command = "gradus run x.lua", script = "x.lua",
        git = { commit = ("d"):rep(40), dirty = true, diff = "+new\n" }, versions = { gradus = "1", torch = "2" } } }
    local row = store:query([[SELECT name, kind, seed, config_hash, parent, threads, device, host, command, script, git_commit, git_dirty,
      versions, status,
      (SELECT text FROM sources WHERE sha256 = git_diff) AS diff FROM runs WHERE id = ?1]], writer.id)[1]
    expect(row):equals { name = "second", kind = "teacher", seed = 7, config_hash = ("c"):rep(64), parent = parent.id, threads = 3,
      device = "cpu", host = "here",
      command = "gradus run x.lua", script = "x.lua", git_commit = ("d"):rep(40), git_dirty = 1, versions = '{"gradus":"1","torch":"2"}',
        status = "running",
      diff = "+new\n" }
    expect(store:query("SELECT path, text FROM run_sources JOIN sources USING (sha256) WHERE run_id = ?1 ORDER BY path", writer.id))
      :equals { { path = "x.lua", text = "return 1\0" }, { path = "y.lua", text = "2" } }
    expect(store:query("SELECT git_dirty, git_diff, versions, kind FROM runs WHERE id = ?1", parent.id)[1].kind):equals "run"
    for _, git in ipairs { { commit = "e", dirty = false }, { commit = "e" } } do
      local one = store:begin { name = "clean", environment = { git = git } }
      expect(store:query("SELECT git_commit, git_dirty FROM runs WHERE id = ?1", one.id)[1]):equals { git_commit = "e",
        git_dirty = git.dirty == false and 0 or nil }
      one:finish "finished"
    end
    parent:finish "finished"
    writer:finish("failed", "for a reason")
    expect(store:query("SELECT status, error FROM runs WHERE id = ?1", writer.id)[1]):equals { status = "failed", error = "for a reason" }
  end)
  it("is changed later by amend, and only what is given", function()
    local writer = store:begin { name = "amended", config_hash = "before", environment = { threads = 1 }, params = { { key = "lr",
      value = 1 } } }
    writer:amend { threads = 4, params = { { key = "lr", value = .5 }, { key = "more", value = "x" } }, sources = { { path = "late.lua",
      sha256 = ("f"):rep(64), text = "late" } } }
    expect(store:query("SELECT config_hash, threads FROM runs WHERE id = ?1", writer.id)[1]):equals { config_hash = "before", threads = 4 }
    writer:amend { config_hash = "after" }
    expect(store:query("SELECT config_hash, threads FROM runs WHERE id = ?1", writer.id)[1]):equals { config_hash = "after", threads = 4 }
    expect(store:query("SELECT key, value FROM params WHERE run_id = ?1 ORDER BY key", writer.id))
      :equals { { key = "lr", value = .5 }, { key = "more", value = "x" } }
    expect(store:query("SELECT path FROM run_sources WHERE run_id = ?1", writer.id)):equals { { path = "late.lua" } }
    writer:finish "finished"
  end)
end)

describe("what a run writes", function()
  it("is in the tables after a flush", function()
    local writer = store:begin { name = "writes" }
    local a, b = writer:key "a", writer:key "b/c"
    expect(a ~= b and writer:key "a" == a):is_true()
    writer:log(a, 1, .25)
    writer:log(b, -2, 1 / 0)
    writer:log(a, 2 ^ 40, -3)
    writer:progress(2 ^ 40, 1.5, 640, 1e12, 2.25)
    writer:event(3, "decision", "advance", '{"x":1}')
    writer:event(4, "note", "bare")
    writer:artifact("weights", "w.bin", ("9"):rep(64), 2 ^ 33)
    writer:flush()
    expect(store:query("SELECT key, step, value FROM metrics WHERE run_id = ?1 ORDER BY key, step", writer.id))
      :equals { { key = "a", step = 1, value = .25 }, { key = "a", step = 2 ^ 40, value = -3 }, { key = "b/c", step = -2, value = 1 / 0 } }
    expect(store:query("SELECT step, epoch, samples, flops, seconds FROM progress WHERE run_id = ?1", writer.id))
      :equals { { step = 2 ^ 40, epoch = 1.5, samples = 640, flops = 1e12, seconds = 2.25 } }
    expect(store:query("SELECT step, kind, name, detail FROM events WHERE run_id = ?1 ORDER BY id", writer.id))
      :equals { { step = 3, kind = "decision", name = "advance", detail = '{"x":1}' }, { step = 4, kind = "note", name = "bare" } }
    expect(store:query("SELECT kind, path, sha256, bytes FROM artifacts WHERE run_id = ?1", writer.id))
      :equals { { kind = "weights", path = "w.bin", sha256 = ("9"):rep(64), bytes = 2 ^ 33 } }
    expect({ #writer.uid, writer.folder:sub(-33), writer.finished, writer.nothing }):equals { 32, "/" .. writer.uid, false }
    expect(host.exists(writer.folder)):is_true()
    writer:finish "finished"
    expect(writer.finished):is_true()
    for _, wrong in ipairs { function(w) w:log(a, 1.5, 1) end, function(w) w:log(a, 2 ^ 63, 1) end, function(w) w:log(a, -2 ^ 63 - 2048,
      1) end } do
      expect(function() wrong(writer) end):fails_with "expected a whole number that 64 bits hold"
    end
    for _, wrong in ipairs { function(w) w:progress(1.5, 1, 1, 1, 1) end, function(w) w:progress(1, 1, .5, 1, 1) end,
      function(w) w:event(.5, "a", "b") end,
      function(w) w:artifact("a", "b", "c", .5) end, function() store:tag(.5, "a", "b") end } do
      expect(function() wrong(writer) end):fails_with "expected a whole number"
    end
  end)
  it("goes on from a point, without what came after it", function()
    local writer = store:begin { name = "again" }
    local key = writer:key "x"
    writer:log(key, 1, 1)
    writer:progress(1, 1, 1, 1, 1)
    writer:event(1, "note", "kept")
    local point = writer:point()
    expect({ point.progress, point.event > 0, point.child >= 0, type(point.keys) }):equals { 1, true, true, "string" }
    point.step = 1
    writer:log(key, 2, 2)
    writer:progress(2, 2, 2, 2, 2)
    writer:event(2, "note", "gone")
    writer:finish "interrupted"
    local again = store:resume(writer.id, point)
    expect({ again.id, again.uid }):equals { writer.id, writer.uid }
    again:finish "finished"
    expect(store:query("SELECT step, value FROM metrics WHERE run_id = ?1", writer.id)):equals { { step = 1, value = 1 } }
    expect(store:query("SELECT step FROM progress WHERE run_id = ?1", writer.id)):equals { { step = 1 } }
    expect(store:query("SELECT name FROM events WHERE run_id = ?1 AND kind = 'note'", writer.id)):equals { { name = "kept" } }
  end)
  it("is split off as a child, as a training where nothing else is said", function()
    local writer = store:begin { name = "whole" }
    writer:log(writer:key "a/x", 1, 1)
    writer:log(writer:key "b/y", 1, 2)
    local id, uid = writer:split { name = "part", prefixes = '["a/"]', kind = "attempt" }
    local other = writer:split { name = "rest" }
    writer:finish "finished"
    expect(store:query("SELECT id, name, kind, parent, uid FROM runs WHERE parent = ?1 ORDER BY id", writer.id)[1])
      :equals { id = id, name = "part", kind = "attempt", parent = writer.id, uid = uid }
    expect(store:query("SELECT kind, name FROM runs WHERE id = ?1", other)[1]):equals { kind = "training", name = "rest" }
    expect(store:query("SELECT run_id, key FROM metrics WHERE run_id IN (?1, ?2, ?3) ORDER BY key", writer.id, id, other))
      :equals { { run_id = id, key = "a/x" }, { run_id = other, key = "b/y" } }
  end)
end)

describe("which way a metric is better", function()
  it("is by its name, or what was said", function()
    local writer = store:begin { name = "ways" }
    expect({ store:direction "val/acc" }):equals { "higher", false }
    expect({ store:direction "val/loss" }):equals { "lower", false }
    expect({ store:direction "thing" }):equals { nil, false }
    writer:better("thing", "lower")
    writer:better("thing", "lower")
    expect({ store:direction "thing" }):equals { "lower", true }
    expect(function() writer:better("thing", "higher") end):fails_with "thing"
    writer:finish "finished"
  end)
end)

describe("runs of the store", function()
  local base, child
  it("are found, sorted, tagged and resolved", function()
    base = store:begin { name = "listed", seed = 1, params = { { key = "lr", value = .5 } } }
    base:log(base:key "a/b", 1, 1)
    for key, value in pairs { inf = 1 / 0, low = -1 / 0, nan = 0 / 0, one = 1 } do base:log(base:key(key), 1, value) end
    child = store:begin { name = "listed", seed = 2, parent = base.id, kind = "teacher", params = { { key = "lr", value = .25 } } }
    child:log(child:key "one", 1, 2)
    child:finish "finished"
    base:finish "finished"
    local function ids(options)
      options.where = "name == 'listed'"
      local list = {}
      for i, run in ipairs((store:runs(options))) do list[i] = run.id end
      return list
    end
    expect(ids {}):equals { base.id }
    expect(ids { children = true }):equals { base.id, child.id }
    expect(ids { children = true, sort = "lr" }):equals { child.id, base.id }
    expect(ids { children = true, sort = "lr", reverse = true }):equals { base.id, child.id }
    expect(ids { children = true, limit = 1 }):equals { child.id }
    local run = store:runs({ where = "name == 'listed'" })[1]
    expect(run.last):equals { ["a/b"] = 1, inf = 1 / 0, low = -1 / 0, nan = 0 / 0, one = 1 }
    expect({ run.columns, run.params, run.seed, run.status }):equals { nil, { lr = .5 }, 1, "finished" }
    local _, notes = store:runs { where = "last(a_b) > 0" }
    expect(notes):equals { "a_b: read as the metric a/b" }
    store:tag(base.id, "mark", "a = b")
    expect(store:runs({ where = "tags.mark == 'a = b'" })[1].id):equals(base.id)
    expect({ store:resolve(base.uid), store:resolve(base.uid:sub(1, 12)), store:resolve(tostring(base.id)) }):equals { base.id, base.id,
      base.id }
    expect(function() store:resolve "999999" end):fails_with "no such run"
  end)
  it("are compared as on the command line", function()
    local got = store:compare { where = "name == 'listed' and seed == 1", by = "lr, seed", metrics = "one, inf" }
    expect({ got.by, #got.groups, got.groups[1].label, got.versus }):equals { { "lr", "seed" }, 1, { lr = .5, seed = 1 } }
    expect({ got.metrics[1].key, got.metrics[2].key, got.groups[1].n }):equals { "one", "inf", 1 }
    expect(function() store:compare { by = "seed", versus = "7777" } end):fails_with "7777"
    expect(function() store:compare { versus = "1", by = "seed", margin = "x" } end):fails_with "margin"
  end)
  it("lie where the store lies", function()
    expect({ store.path:sub(-5), store.folder, store.nothing }):equals { "/s.db", (store.path:gsub("/s.db$", "")) }
    expect(function() store.path = 1 end):fails_with "index"
    expect(getmetatable(store)):equals(false)
    expect(function() store.query({}, "SELECT 1") end):fails_with "gradus.Store expected"
    expect(function() base.key(store, "x") end):fails_with "gradus.Run expected"
  end)
end)

describe("each method", function()
  local function count(...) return select("#", ...) end
  it("gives as many values as it says", function()
    local writer = store:begin { name = "counts" }
    local key = writer:key "x"
    expect({ count(stores.open(store.path)), count(store:settle()), count(store:tag(writer.id, "a", "b")), count(store:query "SELECT 1"),
      count(store:resolve "@last"), count(store:runs {}), count(store:compare {}), count(store:direction "x"), count(store.path) })
      :equals { 1, 0, 0, 2, 1, 2, 1, 2, 1 }
    expect({ count(writer:key "y"), count(writer:log(key, 1, 1)), count(writer:progress(1, 1, 1, 1, 1)), count(writer:event(1, "a", "b")),
      count(writer:artifact("a", "b", ("1"):rep(64), 1)), count(writer:better("xyz", "lower")), count(writer:amend {}),
        count(writer:split { name = "part" }),
      count(writer:point()), count(writer:flush()), count(writer.id), count(writer.nothing), count(writer:finish "finished") })
      :equals { 1, 0, 0, 0, 0, 0, 0, 2, 1, 0, 1, 1, 0 }
    expect(count(store:resume(writer.id, {}))):equals(1)
  end)
end)
