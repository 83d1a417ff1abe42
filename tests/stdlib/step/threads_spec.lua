-- Threads: from the size of a training's steps and the machine alone, stored, the same for replayed and eager steps.
local engine = require "gradus.engine"
local g = require "gradus"
local host = require "gradus.host"
local instead = require "instead"
local support = require "support"
local step = require "gradus.step.step"
local threads = require "gradus.step.threads"

local cores = engine.cores()
local function run_with(options) return { options = options or {} } end

-- Three steps of 205 million floating-point operations each: worth two threads.
local function large(run)
  local x = g.randn({ 128, 512 }, { generator = g.generator(3) })
  local student = g.nn.MLP { 512, 1024, 10 }
  run:distill { student = student, data = g.data.tensors(x, x:slice(1, 0, 10):argmax(1)), batch = 64, budget = { steps = 3 } }
  return student
end

local function small(run)
  local student = support.student()
  run:distill { student = student, data = support.points(), batch = 12, budget = { steps = 3 } }
  return student
end

-- What the store says of a run of fn, and what fn returned.
local function stored(fn, given)
  local folder = os.tmpname()
  os.remove(folder)
  engine.set_threads(1)
  local made = support.with_run({ folder = folder }, function(run)
    run.options.threads = given
    return fn(run)
  end)
  local store = require("gradus.store").open(folder .. "/s.db")
  local count = store:query("SELECT threads FROM runs WHERE id = 1")[1].threads
  local events = store:query("SELECT name, detail FROM events WHERE kind = 'threads' ORDER BY id")
  os.execute("rm -rf " .. folder)
  return count, events, made
end

describe("the number of threads", function()
  it("grows with the work, up to the cores", function()
    for flops, wanted in pairs { [0] = 1, [3e7] = 1, [1.9e8] = 1, [2e8] = 2, [3.5e8] = 3, [1e13] = 1e5 } do
      expect(threads.of(run_with(), flops)):equals(math.min(cores, wanted))
    end
  end)
  it("is one where the work lies in small operators, however many", function()
    expect(threads.of(run_with(), 1e12, .4)):equals(1)
    expect(threads.of(run_with(), 4e8, .6)):equals(math.min(cores, 2))
    local count, events = stored(function(run)
      local x = g.randn({ 128, 128 }, { generator = g.generator(3) })
      local sizes = { 128 }
      for _ = 1, 20 do sizes[#sizes + 1] = 128 end
      sizes[#sizes + 1] = 10
      run:distill { student = g.nn.MLP(sizes), data = g.data.tensors(x, x:slice(1, 0, 10):argmax(1)), batch = 128, budget = { steps = 2 } }
    end)
    expect(count):equals(1)
    if cores == 1 then return end
    local detail = host.json_decode(events[1].detail)
    expect({ detail.large, detail.flops > 2e8 }):equals { 0, true }
  end)
  it("is the user's where one is given", function()
    expect(threads.of(run_with { threads = 3 }, 0)):equals(3)
    expect(threads.of(run_with { threads = 1 }, 1e12)):equals(1)
  end)
  it("is what other runs leave of the cores, which is said and stored", function()
    for others, left in pairs { [3] = 5, [6] = 2, [8] = 1, [20] = 1 } do
      local shared, said, now = {}, {}, {}
      local run = { options = {}, threads = 0, line = { say = function(text) said[#said + 1] = text end },
        event = function(_, ...) said[#said + 1] = { ... } end, writer = { amend = function(_, one) now[#now + 1] = one.threads end } }
      instead({ { engine, "cores", function() return 8 end }, { engine, "large_share", function() return 1 end },
        { engine, "set_threads", function(count) now[#now + 1] = count end },
        { host, "share_cores", function(count) shared[#shared + 1] = count return others end } }, function()
        threads.choose(run, function() return 6e8 end)
      end)
      local wanted = left < 6 and { 6, others } or {}
      expect({ shared, now, said[2] }):equals { { 6, left }, { left, left },
        { "threads", tostring(left), { flops = 6e8, cores = 8, large = 1, wanted = wanted[1], others = wanted[2] } } }
      expect(said[1]):equals(("threads: %d of 6, since other runs use %d of 8 cores, which changes the last bits; --threads 6 takes all")
        :format(left, others))
    end
  end)
  it("is stored, with the work that it was chosen for", function()
    local count, events = stored(large)
    expect(count):equals(math.min(cores, 2))
    if cores == 1 then return print "  one core: nothing to choose" end
    expect(events[1].name):equals(tostring(count))
    local detail = host.json_decode(events[1].detail)
    expect(detail.large > .95 and detail.large < 1):equals(true)
    detail.large = nil
    expect(detail):equals { cores = cores, flops = 3 * 2 * 64 * (512 * 1024 + 1024 * 10) }
    expect((stored(small))):equals(1)
  end)
  it("is the most of several trainings, each with its own", function()
    local now = {}
    local count, events = stored(function(run)
      for i, train in ipairs { small, large, small } do
        train(run)
        now[i] = engine.threads()
      end
    end)
    expect(now):equals { 1, math.min(cores, 2), 1 }
    expect(count):equals(math.min(cores, 2))
    expect(#events):equals(cores > 1 and 3 or 0)
  end)
  it("is as --threads says, without a choice", function()
    local count, events = stored(large, 1)
    expect({ count, #events, engine.threads() }):equals { 1, 0, 1 }
  end)
  it("is the caller's again after a cached build", function()
    local before, after
    local count = stored(function(run)
      before = engine.threads()
      run:cached("large", function() return large(require("gradus.base.current").run) end)
      after = engine.threads()
    end)
    expect({ before, after, count }):equals { 1, 1, 1 }
  end)
  it("in the open loop is chosen by its first round", function()
    local seen = {}
    local count = stored(function(run)
      local x = g.randn({ 128, 512 }, { generator = g.generator(3) })
      local student = g.nn.MLP { 512, 1024, 10 }
      local opt = g.optim.SGD(student)
      local one = run:step(function(b, k)
        local value = g.loss.cross_entropy(student(b.x), b.y)
        opt:minimize(value, { lr = k.lr })
        return value
      end)
      for i, b in run:batches(g.data.tensors(x, x:slice(1, 0, 10):argmax(1)), { size = 128, steps = 3 }) do
        one(b, { lr = .01 })
        seen[i] = engine.threads()
      end
    end)
    expect(seen):equals { 1, count, count }
    expect(count):equals(math.min(cores, 2))
  end)
  it("of steps without a loop over batches is chosen by the first, once in a run", function()
    local function steps_of(run, width, options)
      local x, y = g.randn({ 128, 512 }, { generator = g.generator(3) }), g.zeros({ 128 }, { dtype = "int64" })
      local student = g.nn.MLP { 512, width, 10 }
      local opt, seen = g.optim.SGD(student), {}
      local one = run:step(function(b)
        local value = g.loss.cross_entropy(student(b.x), b.y)
        opt:minimize(value)
        return value
      end, options)
      for i = 1, 3 do
        seen[i] = engine.threads()
        one { x = x, y = y }
      end
      return seen
    end
    local most = math.min(cores, 2)
    for _, options in ipairs { {}, { non_finite = "own" } } do
      local seen, later
      local count, events = stored(function(run)
        seen = steps_of(run, 1024, options)
        later = steps_of(run, 8, options)
      end)
      expect({ seen, later, count }):equals { { 1, most, most }, { most, most, most }, most }
      expect(#events):equals(cores > 1 and 1 or 0)
    end
    local seen
    expect((stored(function(run) seen = steps_of(run, 1024) end, 1))):equals(1)
    expect(seen):equals { 1, 1, 1 }
  end)
  it("changes no bit between replayed and eager steps", function()
    local function weights(mode)
      step.step_mode(mode)
      local _, _, student = stored(large)
      step.step_mode "replay"
      return support.weights(student)
    end
    expect(weights "replay"):equals(weights "eager")
  end)
end)

describe("the threads of loader and store", function()
  -- The threads of this process that give way to its first, as a set.
  local function giving_way()
    local pipe, first, found = io.popen "cat /proc/$PPID/stat /proc/$PPID/task/*/stat", nil, {}  -- its own first: numbers begin anew
    for line in pipe:lines() do
      local fields = {}
      for word in line:match ".*%)(.*)":gmatch "%S+" do fields[#fields + 1] = word end
      local nice = tonumber(fields[17])
      first = first or nice
      if nice > first or nice == 19 then found[line:match "^%d+"] = true end
    end
    pipe:close()
    return found
  end
  -- How many are there now that were not before: stores of earlier tests have threads too, which end when they like.
  local function others_than(before)
    local count = 0
    for thread in pairs(giving_way()) do count = count + (before[thread] and 0 or 1) end
    return count
  end
  it("give way to the step; on one core there is none for the batches", function()
    engine.set_threads(1)  -- with more, an operator in a thread of its own may bring a team of its own
    local before, wanted, seen = giving_way(), cores > 1 and 2 or 1, nil
    support.with_run({}, function(run)
      local x = g.rand { 100, 1, 32, 32 }  -- large enough to be prepared ahead
      for i in run:batches(g.data.tensors(x, g.arange(100):remainder(4)), { size = 64, steps = 4 }) do
        if i == 3 then
          local deadline = host.monotonic() + 10  -- a thread gives way once it runs: on a busy machine not at once
          repeat seen = others_than(before) until seen == wanted or host.monotonic() > deadline
        end
      end
    end)
    expect(seen):equals(wanted)
  end)
end)

describe("the cores of a machine that others use", function()
  -- What a run of so many threads by its work, or by --threads, shares, sets, stores and says, beside others that use so many of 8 cores.
  local function beside(others, given, before)
    local seen = { shared = {}, now = {}, amended = {}, said = 0, told = {} }
    local run = { options = { threads = given }, threads = before or 0, line = { say = function() seen.said = seen.said + 1 end },
      event = function(_, kind, name) seen.told[#seen.told + 1] = kind .. " " .. name end,
      writer = { amend = function(_, one) seen.amended[#seen.amended + 1] = one.threads end } }
    instead({ { engine, "cores", function() return 8 end }, { engine, "large_share", function() return 1 end },
      { engine, "set_threads", function(count) seen.now[#seen.now + 1] = count end },
      { host, "share_cores", function(count) seen.shared[#seen.shared + 1] = count return others end } }, function()
      threads.choose(run, function() return 6e8 end)
    end)
    return seen
  end
  it("are enough where exactly as many are left: nothing is said", function()
    for _, others in ipairs { 0, 1, 2 } do
      expect(beside(others)):equals { shared = { 6 }, now = { 6 }, amended = { 6 }, said = 0, told = { "threads 6" } }
    end
    expect(beside(3).said):equals(1)
  end)
  it("are taken as --threads says, whoever uses them, and shared", function()
    expect(beside(8, 7)):equals { shared = { 7 }, now = { 7 }, amended = { 7 }, said = 0, told = {} }
  end)
  it("are stored of the training that takes the most", function()
    expect({ beside(0, nil, 5).amended, beside(0, nil, 6).amended, beside(0, nil, 7).amended }):equals { { 6 }, {}, {} }
  end)
end)

describe("a machine of one core", function()
  it("leaves nothing to choose, so that the work is not asked for, nor told", function()
    local function asked_on(count)
      local seen = { asked = 0, told = 0, now = {} }
      local run = { options = {}, threads = 0, line = { say = print }, event = function() seen.told = seen.told + 1 end,
        writer = { amend = function() end } }
      instead({ { engine, "cores", function() return count end }, { engine, "large_share", function() return 1 end },
        { engine, "set_threads", function(now) seen.now[#seen.now + 1] = now end },
        { host, "share_cores", function() return 0 end } }, function()
        threads.choose(run, function()
          seen.asked = seen.asked + 1
          return 9e8
        end)
      end)
      return seen
    end
    expect(asked_on(1)):equals { asked = 0, told = 0, now = { 1 } }
    expect(asked_on(2)):equals { asked = 1, told = 1, now = { 2 } }
  end)
end)
