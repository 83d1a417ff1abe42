-- What is built once: hit and miss leave the run alike, and the key holds all that the result depends on.
local current = require "gradus.base.current"
local engine = require "gradus.engine"
local g = require "gradus"
local host = require "gradus.host"
local support = require "support"

local function folder()
  local path = os.tmpname()
  os.remove(path)
  return path
end

local function with_folder(fn)
  local path = folder()
  local ok, err = pcall(fn, path)
  os.execute("rm -rf " .. path)
  if not ok then error(err, 0) end
end

local function build(train)
  return g.fit { model = support.student(4), data = train, steps = 15, lr = .01, batch = 12 }
end

-- A run that caches a teacher in its middle; all that could tell a hit from a miss.
local function session(path, seed, build_fn)
  local out = {}
  local _, seen = support.with_run({ folder = path, seed = seed or 1 }, function(run)
    local d = support.points():split({ train = .5, val = .5 }, { seed = 9 })
    local before = g.sampler.uniform(d.train)  -- a source numbered before
    out.teacher = run:cached("teacher", build_fn or build, d.train)
    out.random = { g.rand(3):totable(), math.random(), math.random(1000), support.weights(support.student()) }
    out.drawn = { (before:draw(9)):totable(), (g.sampler.uniform(d.train):draw(9)):totable() }
    local student = support.student()
    run:distill { student = student, teacher = out.teacher, data = d, batch = 12, budget = { steps = 12 }, lr = .01,
      augment = .3, curriculum = "confidence" }
    out.weights = support.weights(student)
    out.grad = engine.is_grad_enabled()
  end)
  out.loss, out.lr = seen.values "train/loss", seen.values "knob/lr"
  out.cache = seen.cache[1] and seen.cache[1].name
  out.teacher_weights = support.weights(out.teacher)
  return out
end

describe("a cached teacher", function()
  it("is built at the first run and taken by the second, which is alike in every bit", function()
    with_folder(function(path)
      local miss, hit = session(path), session(path)
      expect({ miss.cache, hit.cache }):equals { "miss", "hit" }
      for _, key in ipairs { "teacher_weights", "random", "drawn", "weights", "loss", "lr", "grad" } do
        expect(hit[key]):equals(miss[key])
      end
      expect(hit.teacher.training):is_false()
    end)
  end)
  it("has its checkpoints, by step and weight", function()
    with_folder(function(path)
      local function made()
        local told = {}
        local _, seen = support.with_run({ folder = path }, function(run)
          local d = support.points():split({ train = .5, val = .5 }, { seed = 9 })
          local model, kept = run:cached("teacher", function(train)
            return g.fit { model = support.student(4), data = train, steps = 15, lr = .01, batch = 12, checkpoints = { steps = 5 } }
          end, d.train)
          for i = 1, kept:count() do told[i] = { kept:step(i), support.weights(kept:load(model, i)) } end
        end)
        return told, seen.cache[1].name
      end
      local built, first = made()
      local taken, second = made()
      expect({ first, second, #built }):equals { "miss", "hit", 3 }
      expect({ built[1][1], built[3][1] }):equals { 5, 15 }
      expect(built[1][2]):differs_from(built[2][2])
      expect(taken):equals(built)
    end)
  end)
  it("leaves a stream of data where it stood, a batch that was looked at too", function()
    local function drawn(path)
      local asked, x = 0, nil
      support.with_run({ folder = path }, function(run)
        local stream = g.data.generator(function(size, _, first)
          return g.arange(first, first + size):float():unsqueeze(1):expand { size, 6 }, g.arange(first, first + size):remainder(3)
        end, { epoch = 60, classes = 3 })
        local watched = g.data.generator(function(size)
          asked = asked + 1
          return g.randn(size, 6), g.zeros({ size }, { dtype = "int64" })
        end, { epoch = 60, classes = 3 })
        stream:next(12)
        watched:look(12)
        run:cached("teacher", build, stream)
        x = { stream:next(2).x:select(1, 0):totable(), watched:next(12).x:size(0), asked }
      end)
      return x
    end
    with_folder(function(path)
      for _ = 1, 2 do expect(drawn(path)):equals { { 12, 13 }, 12, 1 } end
    end)
  end)
  it("does not depend on the seed of the run that builds it", function()
    local a, b
    with_folder(function(path) a = session(path, 1) end)
    with_folder(function(path) b = session(path, 2) end)
    expect(a.teacher_weights):equals(b.teacher_weights)
    expect(a.weights):differs_from(b.weights)
  end)
  it("is built under a lock: of the key, or of what it will read where that is known", function()
    with_folder(function(path)
      local function locks(factor, fails)
        local seen = {}
        support.with_run({ folder = path, params = { factor = factor, fails = fails or false } }, function(run)
          local inner = run.lock
          local writing = host.sha256 "writing":sub(1, 16)
          rawset(run, "lock", function(self, file, what)
            local of = file:match "number%-%x+%-(%x+)%.lock$"
            local lock, name = inner(self, file, what), of == writing and "of book" or of and "of reads" or "of key"
            seen[#seen + 1] = "lock " .. name
            return { unlock = function()
              seen[#seen + 1] = "unlock " .. name
              lock:unlock()
            end }
          end)
          local ok, why = pcall(run.cached, run, "number", function()
            if run.params.fails then error "no" end
            return g.nn.Linear(run.params.factor, 2)
          end)
          assert(ok or fails, why)
        end)
        return table.concat(seen, ", ")
      end
      expect(locks(2, true)):equals "lock of key, unlock of key"
      expect(locks(2)):equals "lock of key, lock of book, unlock of book, unlock of key"
      expect(locks(2)):equals "lock of key, unlock of key"
      expect(locks(3)):equals "lock of key, unlock of key, lock of reads, lock of book, unlock of book, unlock of reads"
    end)
  end)
  it("is a run of its own in the store", function()
    with_folder(function(path)
      session(path)
      local store = require("gradus.store").open(path .. "/s.db")
      local rows = store:query "SELECT name, status, parent FROM runs ORDER BY id"
      expect({ #rows, rows[2].name, rows[2].status, rows[2].parent }):equals { 2, "spec/teacher", "finished", 1 }
    end)
  end)
  it("whose file is gone, or whose book is not whole, is built again, alike", function()
    with_folder(function(path)
      local first = session(path)
      for _, damage in ipairs { "rm %s/cache/*.safetensors", "for f in %s/cache/*.json; do echo '{' > $f; done" } do
        os.execute(damage:format(path))
        local again = session(path)
        expect(again.teacher_weights):equals(first.teacher_weights)
        expect(again.weights):equals(first.weights)
        expect(session(path).cache):equals "hit"
      end
      local pipe = io.popen("cat " .. path .. "/cache/teacher-*.json")
      local _, count = pipe:read "*a":gsub('"file"', "")
      pipe:close()
      expect(count):equals(1)
    end)
  end)
  it("that fails to be built leaves nothing behind", function()
    with_folder(function(path)
      expect(function() session(path, 1, function() error "no teacher today" end) end):fails_with "no teacher today"
      expect(session(path).cache):equals "miss"
    end)
  end)
end)

describe("the key of what is cached", function()
  -- Whether the second of two calls is a hit.
  local function hit(first, second)
    local last
    with_folder(function(path)
      for _, call in ipairs { first, second } do
        local _, seen = support.with_run({ folder = path }, function(run) call(run) end)
        last = seen.cache[#seen.cache].name
      end
    end)
    return last == "hit"
  end
  local function linear(scale) return function() return g.full({ 2 }, scale) end end

  it("is the function and what it closes over", function()
    expect(hit(function(run) run:cached("t", linear(1)) end, function(run) run:cached("t", linear(1)) end)):is_true()
    expect(hit(function(run) run:cached("t", linear(1)) end, function(run) run:cached("t", linear(2)) end)):is_false()
    local options = { a = { 1, 2 } }
    local function call(run) run:cached("t", function() return g.tensor(options.a) end) end
    expect(hit(call, call)):is_true()
    expect(hit(call, function(run)
      options.a[2] = 3
      call(run)
    end)):is_false()
  end)
  it("is the arguments, tensors and data by content", function()
    local function of(x) return x:sum() end
    local function with(x) return function(run) run:cached("t", of, x) end end
    expect(hit(with(g.ones(3)), with(g.ones(3)))):is_true()
    expect(hit(with(g.ones(3)), with(g.zeros(3)))):is_false()
    local function size(d) return g.full({ 1 }, d:size()) end
    local d = support.points(20)
    local function sized(view) return function(run) run:cached("t", size, view) end end
    expect(hit(sized(d:first(.5)), sized(support.points(20):first(.5)))):is_true()
    expect(hit(sized(d:first(.5)), sized(d:last(.5)))):is_false()
  end)
  it("tells two functions on one line apart", function()
    local one, two = function() return g.ones(2) end, function() return g.zeros(2) end
    expect(hit(function(run) run:cached("t", one) end, function(run) run:cached("t", two) end)):is_false()
    local a, b, c = function() return g.ones(2) * 3 end, function() return g.ones(2) * 4 end, function() return g.ones(2) / 4 end
    local list, other = function() return g.tensor { 1, 2 } end, function() return g.tensor { 1, 3 } end
    for _, pair in ipairs { { a, b }, { b, c }, { list, other } } do
      expect(hit(function(run) run:cached("t", pair[1]) end, function(run) run:cached("t", pair[2]) end)):is_false()
    end
  end)
  it("is the same when its function has been compiled", function()
    local function sum(n)
      local total = 0
      for i = 1, n do total = total + i end
      return g.full({ 1 }, total)
    end
    expect(hit(function(run) run:cached("t", sum, 10) end, function(run)
      for _ = 1, 200 do sum(1000) end
      run:cached("t", sum, 10)
    end)):is_true()
  end)
  it("tells Lua's own functions apart", function()
    local function with(fn) return function(run) run:cached("t", function() return g.tensor(fn(1)) end) end end
    expect(hit(with(math.sin), with(math.cos))):is_false()
    expect(hit(with(math.sin), with(math.sin))):is_true()
  end)
  it("is the name", function()
    expect(hit(function(run) run:cached("a", linear(1)) end, function(run) run:cached("b", linear(1)) end)):is_false()
  end)
  it("is not the run's seed, nor its other parameters", function()
    with_folder(function(path)
      local found
      for seed = 1, 2 do
        local _, seen = support.with_run({ folder = path, seed = seed, params = { lr = seed } }, function(run)
          run:cached("t", linear(4))
        end)
        found = seen.cache[1].name
      end
      expect(found):equals "hit"
    end)
  end)
  it("gives back tensors and several results", function()
    local function two() return g.ones(2), support.student(3) end
    with_folder(function(path)
      local kept = {}
      for i = 1, 2 do
        support.with_run({ folder = path }, function(run)
          local t, module = run:cached("t", two)
          kept[i] = { t:totable(), support.weights(module) }
        end)
      end
      expect(kept[2]):equals(kept[1])
    end)
  end)
  it("gives back numbers, texts, booleans and nil, and what a module was told after its training", function()
    local found = 1 / 3  -- what only a build finds
    local function several(train)
      local module = build(train)
      module.threshold = current.run.replaying and 0 or found
      return module, not current.run.replaying and 1 / 3 or 0, "text", nil, false
    end
    with_folder(function(path)
      for i = 1, 2 do
        local kept, seen = support.with_run({ folder = path }, function(run)
          return { n = 5, run:cached("t", several, support.points()) }
        end)
        expect({ seen.cache[1].name, kept[1].threshold, kept[2], kept[3], kept[5] }):equals {
          i == 1 and "miss" or "hit", found, 1 / 3, "text", false }
        expect(kept[4]):equals(nil)
      end
    end)
  end)
  local cases = {
    { "a name with a blank", function(run) run:cached("a b", print) end,
      "cached: expected a name of letters, digits, '_' and '-'; got a b" },
    { "a module instead of a function", function(run) run:cached("t", support.student()) end,
      "cached: expected a function that builds the result; got table" },
    { "a result that is a function", function(run) run:cached("t", function() return print end) end,
      "cached: result 1: expected a module, a tensor, a number, a text or a boolean; got a function" },
    { "a file among the arguments", function(run) run:cached("t", function() end, io.stdout) end,
      "cannot be part of what identifies the result" },
  }
  it("may be a module that it was given, alone or within another; one that is trained and not returned is told of", function()
    local function train(model) return g.fit { model = model, data = support.points(), steps = 5, lr = .01, batch = 12 } end
    local ways = { function(m) return train(m) end, function(m) return g.nn.Sequential { train(m) } end, function(m) return m end }
    for _, way in ipairs(ways) do support.with_run(nil, function(run) run:cached("t", way, support.student()) end) end
    for _, way in ipairs { function(_, m) train(m) end, function(_, m) train(m); return g.nn.Linear(2, 2) end } do
      expect(function() support.with_run(nil, function(run) run:cached("t", way, 5, support.student()) end) end):fails_with(
        "cached: 't': the function changes the weights of its argument 2 and does not return that module")
    end
  end)
  for _, case in ipairs(cases) do
    it("refuses " .. case[1], function() expect(function() support.with_run(nil, case[2]) end):fails_with(case[3]) end)
  end
end)
