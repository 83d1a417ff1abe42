--- `gradus landscape RUN --at STEP`, `--stages`, `--path`: the loss around what the student was at a step or at the end of each stage, and
--- the way of its weights through the run. The run is done again to have them (retrace.lua).
local host = require "gradus.host"
local drawing = require "gradus.training.landscape_drawing"
local landscape = require "gradus.training.landscape"
local retrace = require "gradus.experiment.retrace"
local trajectory = require "gradus.training.trajectory"

local way = {}

local USAGE = 64
local POINTS = 24  -- of a way, beside the ends of its stages

-- The stages that the run went through: { name, step }, where each ended. Levels of a ramp are none.
local function stages_of(store, row, last)
  local ends = {}
  local begun = store:query("SELECT step, name FROM events WHERE run_id = ? AND kind = 'stage' AND step IS NOT NULL ORDER BY id", row.id)
  for _, one in ipairs(begun) do
    local before = ends[#ends]
    if before then before.step = one.step end
    if #ends > 1 and before.step == ends[#ends - 1].step then ends[#ends] = nil end  -- it was gone through without a step
    ends[#ends + 1] = { name = one.name, step = last }
  end
  return ends
end

--- At which steps the student is looked at: { step, stage?, name? } each, in order; nil where it is the weights that the run has left.
---@param options table  the command line
function way.steps(options, store, row)
  if not (options.at or options.stages or options.path) then return nil end
  local last = store:query("SELECT max(step) AS step FROM progress WHERE run_id = ?", row.id)[1].step
  if not last or last < 1 then host.fail(("landscape: run %d has made no step"):format(row.id), USAGE) end
  local of = store:query("SELECT step FROM forks WHERE run_id = ?", row.id)[1]
  local first = of and of.step or 0
  if options.at then
    local step = options.at == "end" and last or tonumber(options.at)
    if not step or step % 1 ~= 0 or step < first or step > last then
      host.fail(("landscape: --at: expected a step from %d to %d, or end; got '%s'"):format(first, last, options.at), USAGE)
    end
    return { { step = step } }
  end
  local stages, found, by_step = stages_of(store, row, last), {}, {}
  if options.stages and #stages == 0 then
    host.fail(("landscape: --stages: run %d has no stages; expected a run with a curriculum, or --at STEP"):format(row.id), USAGE)
  end
  for i, stage in ipairs(stages) do
    if stage.step > first then by_step[stage.step] = { step = stage.step, stage = i, name = stage.name } end
  end
  for i = 0, options.path and POINTS or -1 do
    local step = math.floor(first + (last - first) * i / POINTS + .5)
    by_step[step] = by_step[step] or { step = step }
  end
  for _, one in pairs(by_step) do found[#found + 1] = one end
  table.sort(found, function(a, b) return a.step < b.step end)
  return found
end

local function words(one) return one.stage and ("%s, step %d"):format(one.name, one.step) or ("step %d"):format(one.step) end

--- A landscape as plain data, and as a panel of the drawing.
---@param found table    what landscape gave
---@param title string
---@return table
---@return table
function way.plain(found, title)
  local loss = found.loss:totable()
  return { at = found.at, loss = loss, acc = found.acc and found.acc:totable() or nil, center = found.center },
    { title = title, x = found.at, y = found.at, loss = loss }
end

local function around(student, weights, d, row, steps, wanted)
  local list, lines, panels = {}, {}, {}
  for i, one in ipairs(steps) do
    student:load_state_dict(weights[one.step])
    local found = landscape(student, d, wanted)
    list[i], panels[i] = way.plain(found, words(one))
    list[i].step, list[i].stage = one.step, one.name
    lines[i] = words(one) .. "\n" .. tostring(found)
  end
  return list, table.concat(lines, "\n\n"), panels,
    ("run %d; random directions, the same for each, whose filters are as long as the weights' own"):format(row.id)
end

-- Where on a row of places a value lies.
local function nearest(places, value)
  local i = 1
  for k, at in ipairs(places) do
    if math.abs(at - value) < math.abs(places[i] - value) then i = k end
  end
  return i
end

-- The way drawn over the plane's losses: S where it begins, the number of each stage where it ends, + in between.
local function drawn(found, steps)
  local over = {}
  for pass = 1, 2 do  -- letters over what lies between
    for i, one in ipairs(steps) do
      local letter = one.letter or "+"
      if (pass == 2) == (one.letter ~= nil) then
        local r, c = nearest(found.at_y, found.y[i]), nearest(found.at_x, found.x[i])
        over[r] = over[r] or {}
        over[r][c] = letter
      end
    end
  end
  local lines = drawing.lines(found.loss, over)
  for i, one in ipairs(steps) do
    if one.letter then
      lines[#lines + 1] = ("%s  %s: loss %.4g"):format(one.letter, i == 1 and "the beginning" or words(one), found.own[i].loss)
    end
  end
  local low, high = drawing.scale { found.loss }
  lines[#lines + 1] = ("loss from %.4g to %.4g on the plane; %.0f %% and %.0f %% of the way lie along it"):format(low, high,
    100 * found.share[1], 100 * found.share[2])
  return table.concat(lines, "\n")
end

local function along(student, weights, d, row, steps, wanted)
  local states, path = {}, {}
  for i, one in ipairs(steps) do
    states[i] = weights[one.step]
    one.letter = i == 1 and "S" or one.stage and tostring(one.stage) or i == #steps and "E" or nil
  end
  local found = trajectory(student, d, states, { points = wanted.points or 21 })
  for i, one in ipairs(steps) do
    path[i] = { step = one.step, stage = one.name, x = found.x[i], y = found.y[i], loss = found.own[i].loss, acc = found.own[i].acc }
  end
  local shown = {}
  for i, one in ipairs(steps) do
    shown[i] = { x = found.x[i], y = found.y[i], letter = one.letter, words = ("%s: loss %.4g"):format(words(one), found.own[i].loss) }
  end
  local function axis(k, name) return ("%s direction: %.0f %% of the way"):format(name, 100 * found.share[k]) end
  return { x = found.at_x, y = found.at_y, loss = found.loss, acc = found.acc, share = found.share, path = path }, drawn(found, steps),
    { { title = ("the way of run %d"):format(row.id), x = found.at_x, y = found.at_y, loss = found.loss, path = shown,
      across = axis(1, "first"), up = axis(2, "second") } },
    "1: filters have moved as far as they are long; S: the beginning"
end

--- What the command shows: { json, text, panels, note }.
---@param steps table                   what way.steps gave
---@param data_of fun(given: table, part: string?): Dataset
function way.look(options, store, experiment, row, steps, wanted, data_of)
  local plain = {}
  for i, one in ipairs(steps) do plain[i] = one.step end
  if not options.json then host.write(2, ("run %d is done again to step %d\n"):format(row.id, plain[#plain])) end
  local weights, student, given = retrace(options, store, experiment, row, plain)
  student:eval()
  local d = data_of(given, options.on)
  if options.path then
    local found, text, panels, note = along(student, weights, d, row, steps, wanted)
    found.run = row.id
    return { json = found, text = text, panels = panels, note = note }
  end
  local list, text, panels, note = around(student, weights, d, row, steps, wanted)
  if options.stages then return { json = { run = row.id, stages = list }, text = text, panels = panels, note = note } end
  list[1].run = row.id
  return { json = list[1], text = text, panels = panels, note = note }
end

return way
