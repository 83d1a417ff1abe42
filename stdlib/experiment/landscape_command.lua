--- `gradus landscape RUN`: the loss around the weights that a run has left of its student (training/landscape.lua). The script runs
--- again, without training and without writing, to tell the student's form and the data; the weights are the run's artifact. With --at,
--- --stages or --path around what the student was on its way (landscape_way.lua).
local engine = require "gradus.engine"
local host = require "gradus.host"
local data = require "gradus.data.dataset"
local done_again = require "gradus.experiment.done_again"
local drawing = require "gradus.training.landscape_drawing"
local landscape = require "gradus.training.landscape"
local resume = require "gradus.experiment.resume"
local runner = require "gradus.experiment.runner"
local sorted_keys = require "gradus.base.sorted_keys"
local way = require "gradus.experiment.landscape_way"
local write = require("gradus.base.files").write

local command = {}

local USAGE, DATA, MISSING = 64, 65, 66

local function row_of(store, id)
  return store:query("SELECT id, uid, name, seed FROM runs WHERE id = ?", id)[1]
end

-- The files of the run's students, the first training's first: { last = path, best = path? } each.
local function files_of(store, row)
  local files = {}
  for _, one in ipairs(store:query("SELECT path FROM artifacts WHERE run_id = ? AND kind = 'weights'", row.id)) do
    local number, kind = one.path:match "^student%-?(%d*)%.(%a+)%.safetensors$"
    if kind then
      number = tonumber(number) or 1
      files[number] = files[number] or {}
      files[number][kind] = store.folder .. "/" .. row.uid .. "/" .. one.path
    end
  end
  if #files == 0 then
    host.fail(("landscape: run %d has left no student; expected one that distill or fit trained"):format(row.id), MISSING)
  end
  return files
end

-- Takes the place of all trainings: each student gets the weights that it had at its end. seen: what was asked of them.
local function trained(files, kind)
  local catcher, seen, numbers = {}, {}, {}
  function catcher.loops() end
  function catcher.train(_, _, given)
    local student = given.student
    local number = numbers[student] or #seen + 1
    local file = files[number]
    if file then student:load(file[kind] or file.last) end
    student:eval()
    numbers[student], seen[number] = number, { student = student, given = given }
    return require "gradus.training.result" { student = student, steps = 0, epochs = 0, seconds = 0, flops = 0, flops_spent = 0,
      checkpoints = given.checkpoints and require("gradus.base.checkpoints").new() }
  end
  return catcher, seen
end

-- The student of the run's last training, with its weights, and what it was trained on.
local function student_of(options, store, experiment, row, files)
  local run, given = done_again(options, store, experiment, row, { quiet = true })
  local seen
  run.live, seen = trained(files, options.weights or "best")
  local ok, why = pcall(experiment.run, run, given)
  local last = seen[#files]
  if last then return last.student, last.given end
  if not ok then error(why, 0) end
  host.fail(("landscape: run %d has left %d students, and its script makes %d"):format(row.id, #files, #seen), DATA)
end

local function data_of(given, part)
  local d = data.is(given.data) and given.data or rawget(given.data, part) or not part and given.data.val
  d = d or not part and given.data.train or nil
  if not data.is(d) then host.fail(("landscape: --on: the training has no data set '%s'"):format(part or "val"), USAGE) end
  return d
end

local function number_of(options, name, low, high, whole)
  local text = options[name]
  if text == nil then return nil end
  local value = tonumber(text)
  if not (value and value >= low and value <= high) or whole and value % 1 ~= 0 then
    host.fail(("landscape: --%s: expected a %s from %g to %g; got '%s'"):format(name, whole and "whole number" or "number", low, high,
      text), USAGE)
  end
  return value
end

-- What the command line says, checked.
local function wanted_of(options)
  local wanted = { points = number_of(options, "points", 3, 201, true), reach = number_of(options, "reach", 1e-6, 1e6),
    directions = number_of(options, "directions", 1, 2, true) }
  if wanted.points and wanted.points % 2 == 0 then
    host.fail(("landscape: --points: expected an odd number, so that one is the model; got %d"):format(wanted.points), USAGE)
  end
  for name, values in pairs { weights = { best = true, last = true }, on = { train = true, val = true, test = true } } do
    if options[name] and not values[options[name]] then
      host.fail(("landscape: --%s: expected %s; got '%s'"):format(name, table.concat(sorted_keys(values), ", "), options[name]),
        USAGE)
    end
  end
  local ways = {}
  for _, name in ipairs { "at", "stages", "path" } do
    if options[name] then ways[#ways + 1] = "--" .. name end
  end
  if #ways > 1 then host.fail(("landscape: %s: expected one of them"):format(table.concat(ways, ", ")), USAGE) end
  if ways[1] and options.weights then
    host.fail(("landscape: --weights: expected it without %s, which has the weights of its steps"):format(ways[1]), USAGE)
  end
  for _, name in ipairs { "directions", "reach" } do
    if options.path and options[name] then
      host.fail(("landscape: --%s: expected it without --path, whose plane is the way's own"):format(name), USAGE)
    end
  end
  if options.output and not options.output:find "%.svg$" then
    host.fail(("landscape: --output: expected a file name that ends in .svg; got '%s'"):format(options.output), USAGE)
  end
  if options.output and wanted.directions == 1 then host.fail("landscape: --output: expected two directions; got --directions 1", USAGE) end
  return wanted
end

-- Around the weights that the run has left.
local function around_the_left(options, store, experiment, row, wanted)
  local files = files_of(store, row)
  local student, given = student_of(options, store, experiment, row, files)
  local found, label = landscape(student, data_of(given, options.on), wanted), ("run %d"):format(row.id)
  local json, panel = way.plain(found, label)
  json.run = row.id
  return { json = json, text = tostring(found), panels = { panel },
    note = ("%s, around its %s weights"):format(label, options.weights or "best") }
end

--- Returns the process's exit code.
---@param options table  the command line; run, points, reach, directions, on, weights, at, stages, path, output
function command.run(options)
  local wanted = wanted_of(options)
  local store = runner.prepare(options)
  local row = row_of(store, tonumber(options.run))
  local steps = way.steps(options, store, row)
  if not steps then files_of(store, row) end  -- before the script, which may take its time
  local experiment = runner.expect("landscape", options)
  resume.check_same("landscape", store, row.id, nil, options)
  wanted.seed = engine.data.derive_seed(row.seed, "probe")
  local found = steps and way.look(options, store, experiment, row, steps, wanted, data_of) or around_the_left(options, store, experiment,
    row, wanted)
  if options.output then
    local ok, why = write(options.output, drawing.svg(found.panels, found.note))
    if not ok then host.fail(("landscape: --output: cannot write %s; got %s"):format(options.output, why), 74) end
  end
  io.stdout:write(options.json and host.json_encode(found.json) or found.text, "\n")
  return 0
end

return command
