-- What a cached function reads belongs to what is cached: the same again is a hit, anything else is built anew.
local g = require "gradus"
local support = require "support"

CACHED_SPEC, CACHED_SPEC_INNER, SOMETHING_GLOBAL = nil, nil, nil  -- globals that functions set

local function with_folder(fn)
  local path = os.tmpname()
  os.remove(path)
  local ok, err = pcall(fn, path)
  os.execute("rm -rf " .. path)
  if not ok then error(err, 0) end
end

-- A function on what it finds: the run's answer is the tensor's number.
local function full(value) return g.full({ 1 }, value) end

-- The events of runs { { options of with_run, fn(run) }, … } in one folder: "hit" or "miss", and all that was read.
local function found(runs)
  local names, reads = {}, {}
  with_folder(function(path)
    for i, one in ipairs(runs) do
      one[1].folder = path
      local _, seen = support.with_run(one[1], one[2])
      names[i], reads[i] = seen.cache[#seen.cache].name, seen.cache[#seen.cache].detail.reads
    end
  end)
  return names, reads
end

-- Whether fn, called in runs whose options and world differ, is a miss, a miss and a hit: with a, with b, with a again.
local function tells_apart(with_a, with_b, fn)
  local function call(with) return { with.options or {}, function(run) if with.before then with.before() end return fn(run) end } end
  local names = found { call(with_a), call(with_b), call(with_a) }
  expect(names):equals { "miss", "miss", "hit" }
end

local function shares(with_a, with_b, fn)
  local function call(with) return { with.options or {}, function(run) if with.before then with.before() end return fn(run) end } end
  expect((found { call(with_a), call(with_b) })):equals { "miss", "hit" }
end

local function params(values) return { options = { params = values, flat = {} } } end

describe("what a cached function reads of the run", function()
  it("is its parameters, one by one", function()
    local function fn(run) return run:cached("t", function() return full(run.params.lr) end) end
    tells_apart(params { lr = 1 }, params { lr = 2 }, fn)
    shares(params { lr = 1, other = 1 }, params { lr = 1, other = 2 }, fn)
  end)
  it("is a nested parameter", function()
    local function fn(run) return run:cached("t", function() return full(run.params.optim.lr) end) end
    tells_apart(params { optim = { lr = 1 } }, params { optim = { lr = 2 } }, fn)
    shares(params { optim = { lr = 1, wd = 1 } }, params { optim = { lr = 1, wd = 2 } }, fn)
  end)
  it("is the parameters that a local holds", function()
    local function fn(run)
      local p = run.params
      return run:cached("t", function() return full(p.lr) end)
    end
    tells_apart(params { lr = 1 }, params { lr = 2 }, fn)
    shares(params { lr = 1, other = 1 }, params { lr = 1, other = 2 }, fn)
  end)
  it("is a parameter that is not there", function()
    local function fn(run) return run:cached("t", function() return full(run.params.lr or 7) end) end
    tells_apart(params {}, params { lr = 2 }, fn)
  end)
  it("is what rawget finds, or does not find", function()
    tells_apart(params { lr = 1, optim = { wd = 1 } }, params { lr = 1, optim = { wd = 2 } }, function(run)
      return run:cached("t", function() return full(rawget(run.params, "lr") + rawget(run.params.optim, "wd")) end)
    end)
    tells_apart(params {}, params { lr = 2 }, function(run)
      return run:cached("t", function() return full(rawget(run.params, "lr") or 7) end)
    end)
  end)
  it("is all parameters where it goes over them", function()
    local function total(run)
      local sum = 0
      for _, value in pairs(run.params) do sum = sum + value end
      return full(sum)
    end
    tells_apart(params { a = 1, b = 2 }, params { a = 1, b = 3 }, function(run)
      return run:cached("t", function() return total(run) end)
    end)
    tells_apart(params { a = 1 }, params { a = 2 }, function(run)
      return run:cached("t", function() return full((select(2, next(run.params)))) end)
    end)
    local go_over = pairs
    local function hidden(run)
      local sum = 0
      for _, value in go_over(run.params) do sum = sum + value end
      return full(sum)
    end
    tells_apart(params { a = 1, b = 2 }, params { a = 1, b = 3 }, function(run)
      return run:cached("t", function() hidden(run) return full(1) end)
    end)
  end)
  it("is its seed: one teacher a seed, and one for all of a function that does not read it", function()
    local one, two = { options = { seed = 1 } }, { options = { seed = 2 } }
    tells_apart(one, two, function(run) return run:cached("t", function() return full(run.seed) end) end)
    shares(one, two, function(run) return run:cached("t", function() return g.rand(3) end) end)
  end)
  it("is not the seed where it trains with the run", function()
    local function fn(run)
      return run:cached("t", function() return run:fit { model = support.student(), data = support.points(), steps = 2, batch = 8 } end)
    end
    shares({ options = { seed = 1 } }, { options = { seed = 2 } }, fn)
  end)
  it("is told of in the event", function()
    local function fn(run)
      return run:cached("t", function() return full(run.params.lr + run.seed + #tostring(SOMETHING_GLOBAL)) end)
    end
    local _, reads = found { { { params = { lr = .5 }, seed = 3 }, fn }, { { params = { lr = .5 }, seed = 3 }, fn } }
    for i = 1, 2 do expect(reads[i]):equals { ["params.lr"] = .5, ["run.seed"] = 3, ["global SOMETHING_GLOBAL"] = "nil" } end
  end)
  it("trains in a run of its own, on a hit and on a miss", function()
    local function fn(run)
      run:cached("t", function()
        run:log { mine = 1 }
        return run:fit { model = support.student(), data = support.points(), steps = 3, batch = 8 }
      end)
      return run.step_number
    end
    with_folder(function(path)
      for _ = 1, 2 do
        local steps, seen = support.with_run({ folder = path }, fn)
        expect({ steps, seen.values "train/loss", seen.values "mine" }):equals { 0, {}, {} }
      end
    end)
  end)
end)

describe("a parameter that a cached function sets", function()
  local function fn(run)
    return run:cached("t", function()
      run.params.lr = 7
      return full(run.params.lr)
    end)
  end
  it("is nothing that it reads", function() shares(params { lr = 1 }, params { lr = 2 }, fn) end)
  it("stays as it was set", function()
    with_folder(function(path)
      local lr = support.with_run({ folder = path, params = { lr = 1 }, flat = {} }, function(run)
        fn(run)
        return run.params.lr
      end)
      expect(lr):equals(7)
    end)
  end)
end)

describe("what a cached function reads of globals", function()
  local function set(value) return { before = function() CACHED_SPEC = value end } end
  local function read(run)
    return run:cached("t", function() return full(type(CACHED_SPEC) == "table" and CACHED_SPEC.deep.x or CACHED_SPEC or 0) end)
  end
  local function clean(fn)
    return function()
      local ok, err = pcall(fn)
      CACHED_SPEC = nil
      if not ok then error(err, 0) end
    end
  end

  it("is a number's value", clean(function() tells_apart(set(1), set(2), read) end))
  it("is a table's content", clean(function() tells_apart(set { deep = { x = 1 } }, set { deep = { x = 2 } }, read) end))
  it("is that there is none", clean(function() tells_apart(set(nil), set(2), read) end))
  it("is a function, and what that reads", clean(function()
    local function call(run) return run:cached("t", function() return full(CACHED_SPEC()) end) end
    tells_apart(set(function() return 1 end), set(function() return 2 end), call)
    local inner = function() return CACHED_SPEC_INNER end
    local function with(value) return { before = function() CACHED_SPEC, CACHED_SPEC_INNER = inner, value end } end
    tells_apart(with(1), with(2), call)
    CACHED_SPEC_INNER = nil
  end))
  it("is not what it set itself", clean(function()
    local function own(run)
      return run:cached("t", function()
        CACHED_SPEC = 5
        return full(CACHED_SPEC)
      end)
    end
    shares(set(1), set(2), own)
  end))
  it("is what rawget finds, or does not find", clean(function()
    local function raw(run) return run:cached("t", function() return full(rawget(_G, "CACHED_SPEC") or 0) end) end
    tells_apart(set(1), set(2), raw)
    tells_apart(set(nil), set(2), raw)
  end))
  it("are not new ones: a forgotten local is an error there too", clean(function()
    local function set_one(run)
      return run:cached("t", function()
        CACHED_SPEK = 5
        return full(1)
      end)
    end
    expect(function() support.with_run(nil, set_one) end):fails_with "'CACHED_SPEK' would be a new global, set inside of a function"
    expect(rawget(_G, "CACHED_SPEK")):equals(nil)
  end))
  it("is what a script sets in a library's table", function()
    for _, library in ipairs { math, g } do
      local function with(value) return { before = function() library.spec = value end } end
      tells_apart(with(1), with(2), function(run) return run:cached("t", function() return full(library.spec) end) end)
      rawset(library, "spec", nil)
    end
  end)
  it("is a user module's content", function()
    local function with(value) return { before = function() support.spec_value = value end } end
    tells_apart(with(1), with(2), function(run) return run:cached("t", function() return full(require "support".spec_value) end) end)
    support.spec_value = nil
  end)
end)

describe("what a cached function reads of files", function()
  local function around(fn)
    local path = os.tmpname()
    local function holds(text)
      return { before = function()
        local file = assert(io.open(path, "w"))
        file:write(text)
        file:close()
      end }
    end
    local ok, err = pcall(fn, path, holds)
    os.remove(path)
    if not ok then error(err, 0) end
  end
  it("is their bytes", function()
    around(function(path, holds)
      tells_apart(holds "1", holds "2", function(run)
        return run:cached("t", function()
          local file = io.open(path)
          local value = file:read "*n"
          file:close()
          return full(value)
        end)
      end)
      tells_apart(holds "1", holds "2", function(run)
        return run:cached("t", function()
          local value
          for line in io.lines(path) do value = tonumber(line) end
          return full(value)
        end)
      end)
      tells_apart(holds "return 1", holds "return 2", function(run) return run:cached("t", function() return full(dofile(path)) end) end)
    end)
  end)
  it("is data that the library reads", function()
    around(function(path, holds)
      tells_apart(holds "a,b\n1,0\n2,1\n", holds "a,b\n1,1\n2,0\n", function(run)
        return run:cached("t", function() return (g.data.csv(path, { label = "b" }):gather()) end)
      end)
    end)
  end)
  it("is that there is none", function()
    around(function(path, holds)
      tells_apart({ before = function() os.remove(path) end }, holds "2", function(run)
        return run:cached("t", function()
          local file = io.open(path)
          if file then file:close() end
          return full(file and 2 or 1)
        end)
      end)
    end)
  end)
  it("is not what it wrote itself", function()
    around(function(path, holds)
      shares(holds "1", holds "2", function(run)
        return run:cached("t", function()
          local file = io.open(path, "w")
          file:write "3"
          file:close()
          file = io.open(path)
          file:close()
          return full(3)
        end)
      end)
    end)
  end)
end)

describe("a cached function within another", function()
  it("reads for both", function()
    local function fn(run)
      return run:cached("outer", function() return run:cached("inner", function() return full(run.params.lr) end) * 2 end)
    end
    tells_apart(params { lr = 1 }, params { lr = 2 }, fn)
    -- The inner one is found while the outer one is built: what it read counts all the same.
    local function again(run)
      run:cached("inner", function() return full(run.params.lr) end)
      local two = run.params.two
      return run:cached("outer", function() return run:cached("inner", function() return full(run.params.lr) end) * two end)
    end
    local _, reads = found { { { params = { lr = 1, two = 2 } }, again }, { { params = { lr = 1, two = 3 } }, again } }
    expect(reads[2]):equals { ["params.lr"] = 1 }
  end)
  it("gives the same as alone", function()
    with_folder(function(path)
      local values = {}
      for i = 1, 2 do
        values[i] = support.with_run({ folder = path, params = { lr = 3 } }, function(run)
          local t = run:cached("outer", function() return run:cached("inner", function() return full(run.params.lr) end) * 2 end)
          return { t:item(), run.params.lr, run.seed }
        end)
      end
      expect(values):equals { { 6, 3, 1 }, { 6, 3, 1 } }
    end)
  end)
end)

describe("what cannot be followed", function()
  local getenv, runs = os.getenv, g.runs
  local cases = {
    { "the time", function() return full(os.time()) end, "uses os.time" },
    { "the date", function() return full(#os.date()) end, "uses os.date" },
    { "the clock", function() return full(os.clock()) end, "uses os.clock" },
    { "another program", function() return full(#io.popen("date"):read()) end, "uses io.popen" },
    { "a command", function() return full(os.execute "true") end, "uses os.execute" },
    { "earlier runs", function() return full(#runs {}) end, "uses g.runs" },
    { "all globals", function() for _ in pairs(_G) do return full(1) end end, "uses pairs(_G)" },
    { "os.getenv in a local", function() return full(#getenv "HOME") end, "cached: os.getenv is kept in a local" },
  }
  for _, case in ipairs(cases) do
    it("is refused: " .. case[1], function()
      expect(function() support.with_run(nil, function(run) run:cached("teacher", case[2]) end) end):fails_with(case[3])
    end)
  end
  it("is refused: all of the run", function()
    for name, first in pairs { pairs = function(run) for _ in pairs(run) do return end end, next = function(run) next(run) end } do
      expect(function()
        support.with_run(nil, function(run)
          run:cached("teacher", function()
            first(run)
            return full(1)
          end)
        end)
      end):fails_with(("the function that builds 'teacher' uses %s(run)"):format(name))
    end
  end)
  for _, name in ipairs { "uid", "id", "folder", "state" } do
    it("is refused: run." .. name, function()
      expect(function()
        support.with_run(nil, function(run) run:cached("teacher", function() return full(#tostring(run[name])) end) end)
      end):fails_with("the function that builds 'teacher' uses run." .. name)
    end)
  end
  it("is a given time", function()
    local _, seen = support.with_run(nil, function(run)
      run:cached("t", function() return full(os.time { year = 2000, month = 1, day = 1 } + #os.date("%Y", 0)) end)
    end)
    expect(seen.cache[1].name):equals "miss"
  end)
end)

describe("a cached function that fails", function()
  it("leaves everything as it was", function()
    CACHED_SPEC = { 1 }
    local the_table, getenv, go_over = CACHED_SPEC, os.getenv, pairs
    support.with_run({ params = { lr = 1, optim = { wd = 2 } }, flat = {} }, function(run)
      local class, before = getmetatable(run), run.step_number
      local ok, err = pcall(run.cached, run, "t", function()
        run:log { x = 1 }
        error("no " .. run.params.lr .. CACHED_SPEC[1])
      end)
      expect({ ok, err:find "no 11" ~= nil }):equals { false, true }
      expect({ run.params.lr, run.params.optim.wd, run.seed, run.step_number }):equals { 1, 2, 1, before }
      expect(rawequal(getmetatable(run), class)):is_true()
      expect(rawequal(rawget(_G, "CACHED_SPEC"), the_table)):is_true()
      expect(os.getenv == getenv and pairs == go_over):is_true()
      expect(rawget(run, "seed")):equals(1)
    end)
    CACHED_SPEC = nil
  end)
end)

describe("what a cached function reads by the engine's own readers", function()
  it("is their files", function()
    local engine = require "gradus.engine"
    local _, reads = found { { {}, function(run)
      return run:cached("t", function()
        for _, name in ipairs { "read_npy", "read_idx", "read_csv", "read_text", "map_safetensors", "load_tokenizer", "train_tokenizer" } do
          pcall(engine.data[name], "/nowhere/" .. name)
        end
        return full(1)
      end)
    end } }
    expect(reads[1]):equals { ["file /nowhere/read_npy"] = "no file", ["file /nowhere/read_idx"] = "no file",
      ["file /nowhere/read_csv"] = "no file", ["file /nowhere/read_text"] = "no file", ["file /nowhere/map_safetensors"] = "no file",
      ["file /nowhere/load_tokenizer"] = "no file", ["file /nowhere/train_tokenizer"] = "no file" }
  end)
end)

describe("what is a run's own", function()
  it("is refused to a cached function, by name", function()
    for _, name in ipairs { "id", "uid", "folder", "writer", "store", "began", "state", "registered" } do
      expect(function()
        support.with_run(nil, function(run) run:cached("t", function() return run[name] and full(1) end) end)
      end):fails_with("the function that builds 't' uses run." .. name)
    end
  end)
end)
