--- What a sweep came to, for people: the best trials, a map of two parameters, what mattered, what to try next.
local host = require "gradus.host"
local console = require "gradus.base.console"
local effects = require "gradus.experiment.effects"
local in_words = require("gradus.experiment.space").in_words

local report = {}

local SHOWN = 10   -- trials of the table
local COLUMNS = 8  -- of the map, for a range

--- What a trial's value is: of a metric that is logged again and again the best value of each run, which `gradus runs` has as best(KEY).
function report.value_name(sweep) return sweep.by:find "^result/" and sweep.by or ("best(%s)"):format(sweep.by) end

-- The trials beside the first that came to as much; nil where there are none.
local function tie_line(ranked)
  local numbers = {}
  for i, one in ipairs(effects.tied(ranked)) do numbers[i] = tostring(one.number) end
  if #numbers == 0 then return nil end
  return ("As good as trial %d: %s. The first of them stands for all."):format(ranked[1].number, table.concat(numbers, ", "))
end

local function best_table(sweep, ranked)
  local headings, rows = { "trial" }, {}
  for _, axis in ipairs(sweep.axes) do headings[#headings + 1] = axis.key end
  headings[#headings + 1] = report.value_name(sweep)
  headings[#headings + 1] = "runs"
  for i = 1, math.min(SHOWN, #ranked) do
    local trial = ranked[i]
    local row = { tostring(trial.number) }
    for _, axis in ipairs(sweep.axes) do row[#row + 1] = in_words(trial.given[axis.key]) end
    row[#row + 1] = ("%.4g"):format(trial.value) .. (trial.sd and (" ± %.2g"):format(trial.sd) or "")
    row[#row + 1] = table.concat(trial.ids, ",") .. (trial.stopped and " stopped" or "")
    rows[i] = row
  end
  return console.table(headings, rows, 1)
end

-- The cells of an axis: their headings, and which one a value lies in.
local function cells_of(axis)
  local headings = {}
  if axis.values then
    local place = {}
    for i, value in ipairs(axis.values) do headings[i], place[value] = in_words(value), i end
    return headings, function(value) return place[value] end
  end
  for i = 1, COLUMNS do
    local u = (i - .5) / COLUMNS
    local value = axis.scale == "log" and axis.low * (axis.high / axis.low) ^ u or axis.low + u * (axis.high - axis.low)
    headings[i] = ("~%.2g"):format(value)
  end
  return headings, function(value) return math.min(COLUMNS, 1 + math.floor(axis:share(value) * COLUMNS)) end
end

--- The mean value over two parameters, "·" where no trial lies, "*" at the best trial.
function report.map(sweep, ranked, rows_axis, columns_axis)
  local down, row_of = cells_of(rows_axis)
  local across, column_of = cells_of(columns_axis)
  local sums, counts = {}, {}
  for _, trial in ipairs(ranked) do
    local cell = row_of(trial.given[rows_axis.key]) * 1000 + column_of(trial.given[columns_axis.key])
    sums[cell], counts[cell] = (sums[cell] or 0) + trial.value, (counts[cell] or 0) + 1
  end
  local best = row_of(ranked[1].given[rows_axis.key]) * 1000 + column_of(ranked[1].given[columns_axis.key])
  local headings, rows = { rows_axis.key .. " \\ " .. columns_axis.key }, {}
  for c, text in ipairs(across) do headings[c + 1] = text end
  for r, text in ipairs(down) do
    rows[r] = { text }
    for c = 1, #across do
      local cell = r * 1000 + c
      rows[r][c + 1] = counts[cell] and ("%.4g"):format(sums[cell] / counts[cell]) .. (cell == best and "*" or "") or "·"
    end
  end
  return ("%s, mean of the trials in each cell; * holds the best\n%s"):format(report.value_name(sweep), console.table(headings, rows, 1))
end

--- By parameter: the share of variance that it explains by itself; and the axes by it, the most important first.
function report.importance(sweep, ranked)
  local shares, order = effects.importance(sweep.axes, ranked), {}
  for i, axis in ipairs(sweep.axes) do order[i] = axis end
  table.sort(order, function(a, b)
    local first, second = shares[a.key] or -1, shares[b.key] or -1
    if first ~= second then return first > second end
    return a.key < b.key
  end)
  return shares, order
end

local function importance_lines(shares, order)
  local lines = { "How much each parameter matters by itself (share of the trials' variance in an additive model, ranges in quarters):" }
  for _, axis in ipairs(order) do
    local share = shares[axis.key]
    lines[#lines + 1] = share and ("  %-24s %3.0f %%  %s"):format(axis.key, 100 * share, ("█"):rep(math.floor(share * 30 + .5)))
      or ("  %-24s too few trials to say"):format(axis.key)
  end
  return table.concat(lines, "\n")
end

-- Why no trial has a value.
local function nothing_line(sweep)
  local logged, names = {}, {}
  for i, row in ipairs(require("gradus.store").open(sweep.options.store):query "SELECT name FROM keys") do
    logged[row.name], names[i] = true, row.name
  end
  if logged[sweep.by] then return ("No run came to a %s that is a number."):format(sweep.by) end
  local near = host.nearest(sweep.by, names)
  return ("No run logged %s%s"):format(sweep.by, near and ("; did you mean '%s'?"):format(near) or ".")
end

-- The trials of which runs have ended without a number; nil where there are none.
local function without_line(found)
  local words = {}
  for _, trial in ipairs(found.trials) do
    local without = #trial.ids - trial.runs
    if without > 0 then words[#words + 1] = ("%d (%d of %d runs)"):format(trial.number, without, #trial.ids) end
  end
  if #words == 0 then return nil end
  return ("Without a %s that is a number, and not counted: trial %s."):format(found.sweep.by, table.concat(words, ", "))
end

--- Prints it all; quiet: the trials alone.
---@param quiet boolean?
function report.print(found, quiet)
  local sweep, ranked = found.sweep, found.ranked
  if #ranked == 0 then
    print(nothing_line(sweep))
    return
  end
  print("\n" .. best_table(sweep, ranked) .. "\n")
  if quiet then return end
  local shares, order = report.importance(sweep, ranked)
  if #ranked > SHOWN then
    print(("and %d more; gradus runs --sort '%s' has them all\n"):format(#ranked - SHOWN, report.value_name(sweep)))
  end
  local tied = tie_line(ranked)
  if tied then print(tied .. "\n") end
  local without = without_line(found)
  if without then print(without .. "\n") end
  if #order > 1 then print(report.map(sweep, ranked, order[1], order[2]) .. "\n") end
  print(importance_lines(shares, order))
  local advice = effects.advice(sweep.axes, ranked, shares)
  if #advice > 0 then print("\nWhat to try next:\n  " .. table.concat(advice, "\n  ")) end
  local stopped = 0
  for _, trial in ipairs(found.trials) do stopped = stopped + (trial.stopped and #trial.ids > 0 and 1 or 0) end  -- others have failed
  if stopped > 0 then print(("\n%d of %d trials were stopped early: their first runs lagged behind."):format(stopped, #found.trials)) end
  local store = sweep.options.store ~= "runs/gradus.db" and " --store " .. sweep.options.store or ""
  print(("\nLook further: gradus show %d%s   gradus compare%s --by %s"):format(found.best.ids[1], store, store, order[1].key))
end

--- The same for programs, as one document.
function report.json_text(found)
  local text = host.json_encode(report.json(found))
  return found.best and text or '{"best":null,' .. text:sub(2)
end

--- The same for programs, as a table.
function report.json(found)
  local sweep = found.sweep
  local shares = report.importance(sweep, found.ranked)
  local function plain(trial)
    return trial and { trial = trial.number, params = trial.given, value = trial.value, sd = trial.sd, runs = trial.ids,
      stopped = trial.stopped }
  end
  local trials = {}
  for i, trial in ipairs(found.trials) do trials[i] = plain(trial) end
  return { by = sweep.by, direction = sweep.greater and "max" or "min", search = sweep.search, best = plain(found.best), trials = trials,
    importance = shares, skipped = sweep.skipped, failed = sweep.failed }
end

return report
