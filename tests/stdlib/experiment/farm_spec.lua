-- Runs side by side: what becomes of each, and which hang.
local children = require "gradus.children"
local engine = require "gradus.engine"
local farm = require "gradus.experiment.farm"
local files = require "gradus.base.files"
local host = require "gradus.host"
local instead = require "instead"
local screen = require "gradus.experiment.screen"
local store_keeper = require "gradus.experiment.store_keeper"

local function seconds(n)
  local till = host.monotonic() + n
  while host.monotonic() < till do end
end

-- A pipe that nobody writes to: who reads it waits, without a child of its own.
local pipe = ("%s/gradus-farm-%s"):format(os.getenv "TMPDIR" or "/tmp", host.random_hex(8))
os.execute(("mkfifo '%s'"):format(pipe))
after_all(function() os.remove(pipe) end)

-- Runs the functions, all at once unless said otherwise; what became of each, by its place.
local function outcomes(runs, more)
  local given, found = 0, {}
  local options = { jobs = #runs, quiet = true, next = function()
    given = given + 1
    return runs[given] and { label = "run " .. given, index = given, run = runs[given] }
  end, ended = function(job, outcome)
    found[job.index] = outcome
    if job.index == 2 and #runs == 4 then io.open(pipe, "r+"):close() end  -- who was not ended by now goes on
  end }
  for key, value in pairs(more or {}) do options[key] = value end
  farm.work(options)
  return found
end

local function with_hang(value, fn)
  local getenv = os.getenv
  os.getenv = function(name)
    if name == "GRADUS_HANG" then return value end
    return getenv(name)
  end
  local ok, err = pcall(fn)
  os.getenv = getenv
  if not ok then error(err, 0) end
end

describe("a farm", function()
  it("tells what each run returned, raised, or how it ended", function()
    local found = outcomes { function() return "one" end, function() error "no luck" end, function() os.exit(7) end, function() end }
    expect({ found[1].text, found[1].code, found[1].hung }):equals { "one", 0, false }
    expect(found[2].error.message):matches "no luck"
    assert(found[2].code ~= 0 and not found[2].text)
    expect({ found[3].code, found[3].exited }):equals { 7, true }
    expect(found[4].code):equals(0)
  end)
  it("has as many at once as it may, and goes on when one ends", function()
    local now, most, ended = 0, 0, 0
    local given = 0
    farm.work { jobs = 2, quiet = true, ended = function() now, ended = now - 1, ended + 1 end, next = function()
      if given == 5 then return nil end
      given, now = given + 1, now + 1
      most = math.max(most, now)
      return { label = "run", run = function() end }
    end }
    expect({ most, ended }):equals { 2, 5 }
  end)
  it("ends a run that neither computes nor speaks, and no other", function()
    with_hang("1.5", function()
      local found = outcomes {
        function() io.open(pipe):read "*a" end,
        function()
          seconds(3.5)
          return "computed"
        end,
        function()
          os.execute "sleep 3.5"  -- waits for a child of its own
          return "waited"
        end,
        function()
          os.execute "sleep 0.3"
          return "short"
        end }
      expect({ found[1].hung, found[2].hung, found[3].hung, found[4].hung }):equals { true, false, false, false }
      expect({ found[2].text, found[3].text, found[4].text }):equals { "computed", "waited", "short" }
      expect(found[1].signal ~= 0):is_true()
    end)
  end)
  it("refuses a GRADUS_HANG that is no time", function()
    for _, text in ipairs { "0", "-1", "soon", "" } do
      with_hang(text, function()
        expect(function() outcomes {} end):fails_with(("GRADUS_HANG: expected seconds above 0; got '%s'"):format(text))
      end)
    end
  end)
end)

-- --- a world of our own: no process is begun, the clock goes an eighth of a second at each look ------------------------------

local GIB = 2 ^ 30

-- A farm of `count` jobs, "run 1" and so on; happens(world, look) is called at each look and tells what children say by world.says.
-- Returns the world: log, a list of what was done; most, how many went on at once; shown, the last lines; looks.
local function simulated(count, options, happens)
  local world = { log = {}, now = 100, looks = 0, proc = {}, shown = {}, cores = 8, free = 64 * GIB, running = 0, most = 0, given = 0,
    events = {}, said = {}, answers = {} }
  local function log(...) table.insert(world.log, table.concat({ ... }, " ")) end
  function world.says(child, kind, text, more)
    local event = { child = child, kind = kind, text = text }
    for key, value in pairs(more or {}) do event[key] = value end
    table.insert(world.events, event)
  end
  function world.ends(child, code) world.says(child, "end", nil, { code = code or 0, signal = 0 }) end
  local given = { jobs = "auto", quiet = true, wide = 6, next = function()
    if world.given == count then return nil end
    world.given = world.given + 1
    return { label = "run " .. world.given, index = world.given, run = function() end }
  end, ended = function(job, outcome)
    world.running = world.running - 1
    world[job.index] = outcome
    log("ended", job.label)
  end }
  for key, value in pairs(options or {}) do given[key] = value end
  instead({
    { host, "monotonic", function() return world.now end }, { host, "stopping", function() return world.stopping end },
    { engine, "cores", function() return world.cores end },
    { files, "read", function(path)
      if path == "/proc/meminfo" then return ("MemTotal: 1 kB\nMemAvailable:   %d kB\n"):format(world.free / 1024) end
      return world.proc[path]
    end },
    { children, "spawn", function()
      world.running = world.running + 1
      world.most = math.max(world.most, world.running)
      log("begins", world.given)
      return world.given
    end },
    { children, "wait", function()
      world.looks = world.looks + 1
      if world.looks > 10000 then error "the farm does not end" end
      world.now = world.now + .125
      happens(world, world.looks)
      local events = world.events
      world.events = {}
      return events
    end },
    { children, "stop", function(pid, hung) log("stops", pid, tostring(hung)) end },
    { children, "answer", function(child, text) world.answers[#world.answers + 1] = child .. " " .. text end },
    { children, "show_output", function() end },
    { screen, "new", function(quiet)
      return { live = world.live ~= false and not quiet, clear = function() world.shown = {} end,
        say = function(_, text) world.said[#world.said + 1] = text end, show = function(_, lines) world.shown = lines end }
    end },
    { store_keeper, "start", function(path) log("keeps", path) return 99 end },
    { store_keeper, "stop", function(pid) log("lets go", pid) end },
    { package.loaded["gradus.store"] or require "gradus.store", "open", function(path)
      return { settle = function() log("settles", path) end }
    end },
  }, function()
    if options and options.before then options.before(world) end
    farm.work(given)
  end)
  return world
end

-- All that go on end at this look; one that began since, at the next multiple.
local function all_end_at(look)
  return function(world, now)
    if now % look ~= 0 then return end
    for child = 1, world.given do
      if not world[child] then world.ends(child) end
    end
  end
end

describe("how many runs go on at once where nobody says", function()
  -- The most at once of 12 runs on 8 cores, each of which tells so many threads and takes so much memory.
  local function most(threads, memory, more)
    local began, most_at = {}, all_end_at(80)
    local world = simulated(12, more, function(world, look)
      for child = 1, world.given do
        if not began[child] then
          began[child] = true
          if threads then world.says(child, "threads", tostring(threads)) end
        end
        if memory then world.proc[("/proc/%d/status"):format(child)] = ("RssFile: 9 kB\nRssAnon:\t%d kB\n"):format(memory / 1024) end
      end
      most_at(world, look)
    end)
    return world.most
  end
  it("is as many as have cores for their threads", function()
    expect({ most(1), most(2), most(3), most(4), most(5), most(8), most(16) }):equals { 8, 4, 2, 2, 1, 1, 1 }
  end)
  it("is one for a core where none tells its threads", function() expect(most()):equals(8) end)
  it("is as many as have memory, a fifth of a run to spare", function()
    -- 64 GiB are free all the while; a run that has its memory by now asks for no more.
    expect({ most(1, 50 * GIB), most(1, 53 * GIB), most(1, 54 * GIB) }):equals { 8, 8, 1 }
  end)
  it("is one on an accelerator, and what was said everywhere", function()
    expect({ most(1, nil, { device = "cpu" }), most(1, nil, { device = "cuda" }), most(1, nil, { device = "cuda", jobs = 3 }),
      most(8, 60 * GIB, { jobs = 5 }), most(1, nil, { jobs = 1 }) }):equals { 8, 1, 3, 5, 1 }
  end)
  it("waits a second for the first to tell its threads", function()
    local at = {}
    simulated(3, nil, function(world, look)
      at[look] = world.given
      if look == 30 then for child = 1, 3 do world.ends(child) end end
    end)
    expect({ at[1], at[8], at[9] }):equals { 1, 1, 3 }
    at = {}
    simulated(3, nil, function(world, look)
      at[look] = world.given
      if look == 3 then world.says(1, "threads", "2") end
      if look == 30 then for child = 1, 3 do world.ends(child) end end
    end)
    expect({ at[3], at[4] }):equals { 1, 3 }
  end)
  it("counts the memory that runs which have just begun will take", function()
    local at = {}
    simulated(4, { before = function(world) world.free = 30 * GIB end }, function(world, look)
      at[look] = world.given
      if look == 2 then world.says(1, "threads", "1") end
      world.proc["/proc/1/status"] = ("RssAnon: %d kB"):format(10 * GIB / 1024)
      if look == 40 or look == 60 then
        for child = 1, world.given do if not world[child] then world.ends(child) end end
      end
    end)
    -- 30 free less 10 for the second leave 20, more than 12; with the third's 10 are left, which are not.
    expect({ at[3], at[20], at[41] }):equals { 3, 3, 4 }
  end)
end)

describe("a run of a farm", function()
  local function stat(pid, own, system) return ("%d (a (b) c) S 1 2 3 4 5 6 7 8 9 10 %d %d 13 14"):format(pid, own, system) end
  -- When the run, whose ticks and children are told by proc(world, look), is stopped; nil where it ends by itself at look 40.
  local function stopped(proc)
    local at
    local world
    with_hang("2", function()
      world = simulated(1, nil, function(w, look)
        proc(w, look)
        for _, one in ipairs(w.log) do at = at or one:find "^stops" and look - 1 or nil end
        if look == 40 then w.ends(1) end
      end)
    end)
    return at, world
  end
  it("hangs where it neither computes, nor says a word, nor waits for a process of its own", function()
    local at, world = stopped(function(w) w.proc["/proc/1/stat"] = stat(1, 5, 5) end)
    -- Its first ticks are seen at look 1; looks of the system are more than a second apart: 10, 19. Two seconds after the first are over.
    expect(at):equals(19)
    expect(world[1].hung):equals(true)
    expect(table.concat(world.log, ", ")):equals "begins 1, stops 1 true, ended run 1"
    for _, proc in ipairs {
      function(w, look) w.proc["/proc/1/stat"] = stat(1, 5 + look, 5) end,
      function(w, look) w.proc["/proc/1/stat"] = stat(1, 5, 5 + look) end,
      function(w, look) w.proc["/proc/1/stat"] = stat(1, 5 + look, 5 + look) end,
      function(w) w.proc["/proc/1/task/1/children"] = "17 " end,
      function(w, look) if look % 8 == 0 then w.says(1, "waiting", "for others") end end,
    } do
      local never, other = stopped(proc)
      expect(never):equals(nil)
      expect(other[1].hung):equals(false)
    end
    expect((stopped(function(w) w.proc["/proc/1/task/1/children"] = " \n" end))):equals(19)
  end)
  it("has five minutes where the environment says nothing", function()
    local hung = {}
    for i, last in ipairs { 299, 303 } do
      with_hang(nil, function()
        hung[i] = simulated(1, nil, function(world, look)
          if look == 2 then world.now = 100 + last end
          if look == 3 then world.ends(1) end
        end)[1].hung
      end)
    end
    expect(hung):equals { false, true }
  end)
  it("says what it came to", function()
    local world = simulated(3, { jobs = 3, asked = function(job, text) return job.label .. " asked " .. text end }, function(w, look)
      if look == 1 then
        w.says(1, "result", "[1]")
        w.says(2, "error", '{"message":"no luck","code":65}')
        w.says(3, "exit")
        w.says(1, "asked", "how much")
        w.says(99, "say", "not ours")
        w.ends(1)
        w.ends(2, 65)
        w.says(3, "end", nil, { code = 7, signal = 9 })
      end
    end)
    expect(world[1]):equals { text = "[1]", exited = false, code = 0, signal = 0, hung = false }
    expect(world[2]):equals { error = { message = "no luck", code = 65 }, exited = false, code = 65, signal = 0, hung = false }
    expect(world[3]):equals { exited = true, code = 7, signal = 9, hung = false }
    expect(world.answers):equals { "1 run 1 asked how much" }
    expect(simulated(1, nil, function(w, look)
      if look == 1 then w.says(1, "asked", "how much") end
      if look == 2 then w.ends(1) end
    end).answers):equals { "1 " }
  end)
end)

describe("what is seen of a farm", function()
  local function seen(options, live)
    local frames = {}
    options.before = function(world) world.live = live end
    options.jobs = 2
    local world = simulated(3, options, function(w, look)
      frames[look] = table.concat(w.shown, "|")
      if look == 1 then
        w.says(1, "status", "step 5")
        w.says(2, "waiting", "waits for a teacher")
        w.says(2, "say", "a word")
        w.says(1, "line", "a line")
      elseif look == 2 then w.says(2, "done", "acc 1") w.ends(2)
      elseif look == 10 then w.ends(1) w.ends(3) end
    end)
    return frames, table.concat(world.said, "|")
  end
  local function foot(ended, running, after) return ("%d ended %d running %.3f"):format(ended, running, after) end
  it("on a terminal is a line of each run that goes on, and one below", function()
    local frames, said = seen({ quiet = false, wide = 7, foot = foot }, true)
    expect(frames[2]):equals "run 1    step 5|run 2    waits for a teacher|0 ended 2 running 0.125"
    expect(frames[3]):equals "run 1    step 5|1 ended 1 running 0.250"
    expect(frames[4]):equals "run 1    step 5|run 3    starts|1 ended 2 running 0.375"
    expect(said):equals "run 2    a word|a line|run 2    acc 1"
    frames = seen({ quiet = false, wide = 5 }, true)
    expect(frames[2]):equals "run 1  step 5|run 2  waits for a teacher"
  end)
  it("elsewhere is what each says, and where quiet what is a line of its own", function()
    local frames, said = seen({ quiet = false, wide = 5, foot = foot }, false)
    expect({ frames[2], said }):equals { "", "run 1  step 5|run 2  a word|a line|run 2  acc 1" }
    frames, said = seen({ quiet = true, wide = 5, foot = foot }, true)
    expect({ frames[2], said }):equals { "", "a line" }
  end)
end)

describe("a farm's store", function()
  it("is kept open from the first run to the last, and settled where one has ended", function()
    local world = simulated(3, { jobs = 1, store = "s.db" }, all_end_at(1))
    expect(table.concat(world.log, ", ")):equals(
      "begins 1, keeps s.db, ended run 1, begins 2, ended run 2, begins 3, ended run 3, lets go 99, settles s.db")
    expect(simulated(0, { store = "s.db" }, function() end).log):equals {}
  end)
  it("has no new run once the process is to stop", function()
    local world = simulated(3, { jobs = 1 }, function(w, look)
      if look == 2 then w.stopping = "SIGINT" end
      if look == 4 then w.ends(1) end
    end)
    expect(world.log):equals { "begins 1", "ended run 1" }
    expect(simulated(3, { before = function(w) w.stopping = "SIGINT" end }, function() end).log):equals {}
  end)
end)
