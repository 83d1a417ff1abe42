-- gradus landscape's command line: what is refused, and with what the look is taken.
local data = require "gradus.data.dataset"
local g = require "gradus"
local host = require "gradus.host"
local instead = require "instead"
local command = require "gradus.experiment.landscape_command"
local drawing = require "gradus.training.landscape_drawing"
local resume = require "gradus.experiment.resume"
local runner = require "gradus.experiment.runner"
local way = require "gradus.experiment.landscape_way"

-- The command with a run 3, seed 5, that has left these files; the look itself is said to give `json`. Returns what it was asked with.
local function asked(options, files)
  local seen, out = {}, {}
  options.run = "3"
  local store = { folder = "runs", query = function(_, sql, id)
    expect(id):equals(3)
    return sql:find "FROM artifacts" and files or { { id = 3, uid = "u3", name = "r", seed = 5 } }
  end }
  instead({ { runner, "prepare", function() return store end },
    { runner, "expect", function(what) seen.expected = what return "experiment" end },
    { resume, "check_same", function(what, _, id) seen.checked = { what, id } end },
    { way, "steps", function() return not files and { 1 } or nil end },
    { way, "look", function(_, _, experiment, row, steps, wanted, data_of)
      seen.experiment, seen.row, seen.steps, seen.wanted, seen.data_of = experiment, row, steps, wanted, data_of
      return { json = { a = 1 }, text = "text", panels = "panels", note = "note" }
    end },
    { drawing, "svg", function(panels, note) return panels .. " " .. note end },
    { io, "stdout", { write = function(_, ...) out[#out + 1] = "1 " .. table.concat { ... } end } } }, function()
    seen.code = command.run(options)
  end)
  seen.written = table.concat(out)
  return seen
end

describe("gradus landscape's command line", function()
  for _, case in ipairs {
    { { points = "2" }, "--points: expected a whole number from 3 to 201; got '2'" }, { { points = "203" }, "got '203'" },
    { { points = "3.5" }, "--points: expected a whole number" }, { { points = "x" }, "got 'x'" },
    { { points = "200" }, "--points: expected an odd number, so that one is the model; got 200" },
    { { reach = "0" }, "--reach: expected a number from 1e-06 to 1e+06; got '0'" }, { { reach = "2e6" }, "got '2e6'" },
    { { reach = "nan" }, "got 'nan'" },
    { { directions = "0" }, "--directions: expected a whole number from 1 to 2" }, { { directions = "3" }, "got '3'" },
    { { directions = "1.5" }, "got '1.5'" }, { { weights = "worst" }, "--weights: expected best, last; got 'worst'" },
    { { on = "all" }, "--on: expected test, train, val; got 'all'" }, { { at = "3", path = true }, "--at, --path: expected one of them" },
    { { stages = true, path = true }, "--stages, --path: expected one" }, { { at = "3", stages = true }, "--at, --stages: expected one" },
    { { at = "3", weights = "last" }, "--weights: expected it without --at, which has" },
    { { path = true, directions = "2" }, "--directions: expected it without --path" },
    { { path = true, reach = "1" }, "--reach: expected it without" },
    { { output = "a.png" }, "--output: expected a file name that ends in .svg; got 'a.png'" },
    { { output = "a.svgz" }, "--output: expected" }, { { output = "a.svg", directions = "1" }, "expected two directions" } } do
    it("refuses: " .. case[2], function() expect(function() asked(case[1]) end):fails_with(case[2]) end)
  end
  for _, case in ipairs {
    { {}, {} }, { { points = "3" }, { points = 3 } }, { { points = "201" }, { points = 201 } }, { { reach = "1e-6" }, { reach = 1e-6 } },
    { { reach = "1e6" }, { reach = 1e6 } }, { { reach = ".5", directions = "1" }, { reach = .5, directions = 1 } },
    { { directions = "2", weights = "best", on = "test" }, { directions = 2 } }, { { weights = "last", on = "train" }, {} },
    { { path = true, on = "val" }, {} }, { { stages = true, reach = "2", directions = "2" }, { reach = 2, directions = 2 } } } do
    it("looks with " .. host.json_encode(case[2]), function()
      local seen = asked(case[1])
      case[2].seed = require("gradus.engine").data.derive_seed(5, "probe")
      expect(seen.wanted):equals(case[2])
      expect({ seen.code, seen.written, seen.experiment, seen.row.id, seen.steps }):equals { 0, "1 text\n", "experiment", 3, { 1 } }
      expect({ seen.expected, seen.checked }):equals { "landscape", { "landscape", 3 } }
    end)
  end
  it("writes JSON, and a drawing", function()
    expect(asked({ json = true }).written):equals '1 {"a":1}\n'
    local path = os.tmpname()
    os.rename(path, path .. ".svg")
    asked { output = path .. ".svg", directions = "2" }
    local file = io.open(path .. ".svg")
    expect(file:read "*a"):equals "panels note"
    file:close()
    os.remove(path .. ".svg")
    expect(function() asked { output = "/no/such/folder.svg" } end):fails_with "--output: cannot write /no/such/folder.svg; got"
  end)
  it("looks at the rows that were asked for, validation's or else training's", function()
    local data_of = asked({}).data_of
    local function set(n) return g.data.tensors(g.zeros { n, 2 }, g.zeros({ n }, { dtype = "int64" }), { classes = 2 }) end
    local train, val = set(2), set(3)
    for _, case in ipairs { { { train = train, val = val }, nil, val }, { { train = train, val = val }, "train", train },
      { { train = train }, nil, train }, { train, nil, train }, { train, "val", train } } do
      assert(rawequal(data_of({ data = case[1] }, case[2]), case[3]))
    end
    assert(data.is(train))
    for _, case in ipairs { { { train = train }, "val" }, { { train = train, val = val }, "test" }, { {}, nil, "val" } } do
      expect(function() data_of({ data = case[1] }, case[2]) end):fails_with(("no data set '%s'"):format(case[2] or case[3]))
    end
  end)
  it("refuses a run that has left no student before its script is read", function()
    for _, files in ipairs { {}, { { path = "teacher.last.safetensors" } }, { { path = "student.last.json" } } } do
      expect(function() asked({}, files) end):fails_with "run 3 has left no student"
    end
  end)
end)

-- A landscape around what run 3 has left, of a script whose run function is `fn`; the files that its students loaded, and what was looked
-- at.
local function around(fn, paths, options)
  local names = { "gradus.experiment.done_again", "gradus.training.landscape", "gradus.experiment.landscape_command" }
  local kept, loads, seen, files = {}, {}, {}, {}
  for i, name in ipairs(names) do kept[i] = package.loaded[name] or false end
  package.loaded[names[1]] = function(_, _, _, _, how)
    seen.quiet = how.quiet
    return {}, "given"
  end
  package.loaded[names[2]] = function(student, d, wanted)
    seen.student, seen.data, seen.points = student.name, d, wanted.points
    return setmetatable({}, { __tostring = function() return "drawn" end })
  end
  package.loaded[names[3]] = nil
  local fresh = require(names[3])
  for i, name in ipairs(names) do package.loaded[name] = kept[i] or nil end
  for i, path in ipairs(paths) do files[i] = { path = path } end
  local function student(name)
    return { name = name, eval = function(self) self.still = true end,
      load = function(_, path) loads[#loads + 1] = name .. " " .. path end }
  end
  options.run = "3"
  instead({ { runner, "prepare", function()
    return { folder = "runs", query = function(_, sql)
      return sql:find "FROM artifacts" and files or { { id = 3, uid = "u3", name = "r", seed = 5 } }
    end }
  end }, { runner, "expect", function() return { run = function(run, given) return fn(run, student, given) end } end },
    { resume, "check_same", function() end }, { way, "steps", function() end },
    { way, "plain", function(_, label) seen.label = label return {}, "panel" end },
    { io, "stdout", { write = function(_, ...) seen.written = table.concat { ... } end } } }, function() fresh.run(options) end)
  return loads, seen
end

describe("a landscape around what a run has left", function()
  local train = g.data.tensors(g.zeros { 2, 2 }, g.zeros({ 2 }, { dtype = "int64" }), { classes = 2 })
  local both = { "student.last.safetensors", "student.best.safetensors", "student-2.last.safetensors", "other.last.safetensors" }
  local function two(run, student, given)
    assert(given == "given")
    run.live.loops()
    local first, second = student "first", student "second"
    local r = run.live.train(nil, nil, { student = first, data = train })
    assert(r.student == first and first.still and r.steps == 0)
    run.live.train(nil, nil, { student = second, data = { train = train }, checkpoints = {} })
  end
  it("is of its last student, with the best weights where there are any", function()
    local loads, seen = around(two, both, { points = "3" })
    expect(loads):equals { "first runs/u3/student.best.safetensors", "second runs/u3/student-2.last.safetensors" }
    expect({ seen.student, rawequal(seen.data, train), seen.points, seen.label, seen.written, seen.quiet })
      :equals { "second", true, 3, "run 3", "drawn\n", true }
    expect((around(two, both, { weights = "last" }))[1]):equals "first runs/u3/student.last.safetensors"
    expect(select(2, around(two, both, { json = true })).written):equals '{"run":3}\n'
  end)
  it("is of a student that was trained twice as it was left once", function()
    local loads, seen = around(function(run, student)
      local one = student "one"
      for _ = 1, 2 do run.live.train(nil, nil, { student = one, data = train }) end
    end, { both[1] }, {})
    expect({ loads, seen.student }):equals { { "one runs/u3/student.last.safetensors", "one runs/u3/student.last.safetensors" }, "one" }
  end)
  it("is there though the script fails after its trainings, and not where it fails or ends before", function()
    local _, seen = around(function(...)
      two(...)
      error "oh"
    end, both, {})
    expect(seen.student):equals "second"
    expect(function() around(function() error "oh" end, both, {}) end):fails_with "oh"
    expect(function() around(function() end, both, {}) end):fails_with "landscape: run 3 has left 2 students, and its script makes 0"
  end)
end)
