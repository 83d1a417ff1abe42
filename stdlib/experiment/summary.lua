--- What the runs of a script came to: one line a run, and in the end a table of the groups, mean ± sd over seeds.
local host = require "gradus.host"
local console = require "gradus.base.console"
local format = require "gradus.experiment.format"

local summary = {}

-- Mean and standard deviation; nil of one value. Values that are all equal have no spread, not the rounding of their sum.
local function mean_sd(values)
  local n, sum, equal = #values, 0, true
  for _, v in ipairs(values) do sum, equal = sum + v, equal and v == values[1] end
  if equal then return values[1], n > 1 and 0 or nil end
  local mean, squares = sum / n, 0
  for _, v in ipairs(values) do squares = squares + (v - mean) ^ 2 end
  return mean, n > 1 and math.sqrt(squares / (n - 1)) or nil
end

-- Columns as { name, heading, format }: the experiment's, or all results by name.
local function columns_of(experiment, results)
  local columns = {}
  for _, column in ipairs(experiment.columns or {}) do
    columns[#columns + 1] = { column[1], column[2] or column[1], column[3] }
  end
  if #columns > 0 then return columns end
  local seen = {}
  for _, one in ipairs(results) do
    for name in pairs(one.result or {}) do seen[name] = true end
  end
  for name in pairs(seen) do columns[#columns + 1] = { name, name } end
  table.sort(columns, function(a, b) return a[1] < b[1] end)
  return columns
end

-- "mean ± sd", by a pattern or without one.
local function spread(pattern, mean, sd)
  if not pattern then return format.mean(mean, sd) end
  local text = format.apply(pattern, mean)
  return sd and text .. " ± " .. format.apply(format.signed(pattern, false), sd):gsub("^%s+", "") or text
end

-- Mean ± sd of a group of n runs, of which some may lack the value.
local function cell(column, values, n)
  if #values == 0 then return "–" end
  local text = spread(column[3], mean_sd(values))
  return #values < n and ("%s (%d of %d)"):format(text, #values, n) or text
end

--- A run's results in one line.
---@param experiment table
---@param numbers table<string, number>
---@param others? table<string, any>
function summary.line(experiment, numbers, others)
  local words = {}
  for _, column in ipairs(columns_of(experiment, { { result = numbers } })) do
    local value = numbers[column[1]]
    if value then words[#words + 1] = column[2] .. " " .. format.apply(column[3] or "%.4g", value) end
  end
  local names = {}
  for name in pairs(others or {}) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do words[#words + 1] = name .. " " .. tostring(others[name]) end
  return table.concat(words, "  ")
end

-- --- groups --------------------------------------------------------------------------------------------------------------

local function group_keys(experiment)
  if type(experiment.by) == "string" then return { experiment.by } end
  if experiment.by then return experiment.by end
  local keys = {}
  for key in pairs(experiment.grid) do
    if key ~= "seed" then keys[#keys + 1] = key end
  end
  table.sort(keys)
  return keys
end

-- Groups of what finished, in `runs`, and of what did not, in `lost`: { words, values, runs, lost } each.
local function groups_of(all, keys)
  local groups, by_label = {}, {}
  for _, one in ipairs(all) do
    local words, values = {}, {}
    for i, key in ipairs(keys) do words[i], values[key] = tostring(one.params[key]), one.params[key] end
    local label = table.concat(words, "\0")
    if not by_label[label] then
      by_label[label] = { words = words, values = values, runs = {}, lost = {} }
      groups[#groups + 1] = by_label[label]
    end
    table.insert(one.lost and by_label[label].lost or by_label[label].runs, one)
  end
  return groups
end

local function values_of(group, name)
  local values = {}
  for _, one in ipairs(group.runs) do values[#values + 1] = one.result[name] end
  return values
end

-- The differences of a result to the baseline group's, run by run of the same seed.
local function paired(group, baseline, name)
  local of_seed, differences = {}, {}
  for _, one in ipairs(baseline.runs) do of_seed[one.seed] = one.result[name] end
  for _, one in ipairs(group.runs) do
    local base = of_seed[one.seed]
    if base and one.result[name] then differences[#differences + 1] = one.result[name] - base end
  end
  return differences
end

local function differ_elsewhere(a, b, column)
  for k, word in ipairs(a.words) do
    if k ~= column and word ~= b.words[k] then return true end
  end
  return false
end

-- Group -> the one with that value in the first column that has it, and the group's own in all others; where that is none, the only one
-- with the value (as `gradus compare --versus` has it).
local function baselines_of(groups, value)
  local column, having, found = nil, {}, {}
  for _, group in ipairs(groups) do
    for k, word in ipairs(group.words) do
      if word == value and (not column or k < column) then column = k end
    end
  end
  for _, group in ipairs(groups) do
    if column and group.words[column] == value then having[#having + 1] = group end
  end
  for _, group in ipairs(groups) do
    found[group] = #having == 1 and having[1] or nil
    for _, one in ipairs(having) do
      if not differ_elsewhere(group, one, column) then found[group] = one end
    end
  end
  return found
end

-- The column of paired differences: one cell a group, or nil when the experiment asks for none or the baseline did not run.
local function versus_cells(experiment, groups, columns)
  local versus = experiment.versus
  if not versus then return nil end
  local baselines, pattern = baselines_of(groups, tostring(versus[2])), nil
  for _, column in ipairs(columns) do
    if column[1] == versus[1] then pattern = column[3] end
  end
  if not next(baselines) or #groups < 2 then return nil end
  local cells = {}
  for i, group in ipairs(groups) do
    local baseline = baselines[group]
    local differences = baseline and group ~= baseline and paired(group, baseline, versus[1]) or {}
    local mean, sd = mean_sd(differences)
    local text = #differences > 0 and spread(pattern and format.signed(pattern, true), mean, sd) or ""
    cells[i] = not pattern and mean and mean > 0 and "+" .. text or text
  end
  return cells
end

-- --- what is shown -------------------------------------------------------------------------------------------------------

-- As the document has it: all that was returned in `result`.
local function together(results)
  for _, one in ipairs(results) do
    for name, value in pairs(one.others) do one.result[name] = value end
    one.others = nil
  end
  return results
end

local function as_json(results, columns, groups, lost)
  local out = {}
  for i, group in ipairs(groups) do
    local row = { runs = #group.runs > 0 and {} or nil, n = #group.runs, total = #group.runs + #group.lost, by = group.values }
    for r, one in ipairs(group.runs) do row.runs[r] = one.id end
    for _, column in ipairs(columns) do
      local values = values_of(group, column[1])
      if #values > 0 then
        local mean, sd = mean_sd(values)
        row[column[1]] = { mean = mean, sd = sd }
      end
    end
    out[i] = row
  end
  local function list(t) return #t == 0 and "[]" or host.json_encode(t) end
  local failures = {}
  for i, one in ipairs(lost) do
    failures[i] = { run = one.label, seed = one.seed, params = one.params, error = one.error, code = one.code }
  end
  return ('{"failed":%d,"failures":%s,"groups":%s,"runs":%s}'):format(#lost, list(failures), list(out), list(together(results)))
end

-- The fewest and the most runs of a group.
local function sizes(groups)
  local least, most = math.huge, 0
  for _, group in ipairs(groups) do least, most = math.min(least, #group.runs), math.max(most, #group.runs) end
  return least, most
end

-- "2", or "2 of 3" where the others came to nothing.
local function count_of(group)
  return #group.lost == 0 and tostring(#group.runs) or ("%d of %d"):format(#group.runs, #group.runs + #group.lost)
end

local function show_table(experiment, keys, columns, groups)
  local headings, rows, least, most = {}, {}, sizes(groups)
  for _, group in ipairs(groups) do least = #group.lost > 0 and 0 or least end
  for i, key in ipairs(keys) do headings[i] = key end
  if #keys == 0 then headings[1] = "run" end
  if least < most then headings[#headings + 1] = "runs" end
  for _, column in ipairs(columns) do headings[#headings + 1] = column[2] end
  local versus = versus_cells(experiment, groups, columns)
  if versus then headings[#headings + 1] = experiment.versus[3] or ("%s − %s"):format(experiment.versus[1], experiment.versus[2]) end
  for g, group in ipairs(groups) do
    local row = { unpack(group.words) }
    if #keys == 0 then row[1] = experiment.name end
    if least < most then row[#row + 1] = count_of(group) end
    for _, column in ipairs(columns) do row[#row + 1] = cell(column, values_of(group, column[1]), #group.runs) end
    if versus then row[#row + 1] = versus[g] end
    rows[g] = row
  end
  print("\n" .. console.table(headings, rows, math.max(1, #keys)) .. "\n")
  if most > 1 then
    print(("  mean ± sd over %s%s\n"):format(least < most and "runs" or most .. " runs",
      versus and "; the last column pairs those of one seed" or ""))
  end
end

-- A column that no run filled is a name that was misspelt.
local function check_columns(columns, results, others)
  local names = {}
  for _, one in ipairs(results) do
    for name in pairs(one.result) do names[#names + 1] = name end
    for name in pairs(one.others or {}) do others[name] = true end
  end
  for i, column in ipairs(columns) do
    local found = false
    for _, name in ipairs(names) do found = found or name == column[1] end
    if not found then
      local near = not others[column[1]] and host.nearest(column[1], names)
      io.stderr:write(("column %d: no run returned a number named '%s'%s\n"):format(i, column[1],
        near and ("; did you mean '%s'?"):format(near) or ""))
    end
  end
end

-- How to sort, draw and compare what the table shows.
local function look_further(options, results, keys, columns)
  local store = options.store ~= "runs/gradus.db" and " --store " .. options.store or ""
  local lines, last = {}, results[#results]
  local function line(command, what) lines[#lines + 1] = { command .. store, what } end
  local function name(key) return key:find "^[%w_./-]+$" and key or ("'%s'"):format(key) end
  local metric = columns[1] and name("result/" .. columns[1][1])
  if #results > 1 then
    line("gradus compare", "groups, paired by seed")
    if metric then line("gradus runs --sort " .. metric, "every run") end
  end
  local by = #results > 1 and #keys > 0 and " --by " .. table.concat(keys, ",") or ""
  if last.curve then line("gradus plot " .. name(last.curve) .. by, "curves") end
  line("gradus show " .. last.id, "all of one run")
  local wide = 0
  for _, one in ipairs(lines) do wide = math.max(wide, #one[1]) end
  print "Look further:"
  for _, one in ipairs(lines) do print(("  %s%s  %s"):format(one[1], (" "):rep(wide - #one[1]), one[2])) end
end

-- What a run's text holds: `result`, its numbers, and `others`. JSON has words for the numbers that it lacks.
local function decode(text)
  local one = host.json_decode(text)
  one.others = one.others or {}
  for name, value in pairs(one.result or {}) do one.result[name] = one.others[name] == nil and tonumber(value) or nil end
  return one
end

-- Of a run that came to nothing: what the plan knows of it.
local function fill_in(one, experiment, plan)
  local planned = plan and plan[one.run]
  if not planned then return end
  local params = require "gradus.experiment.params"
  local ok, flat = pcall(params.resolve, experiment.specs, planned.given)
  one.params, one.seed, one.label = ok and flat or planned.given, planned.seed, require("gradus.experiment.runner").describe(plan, one.run)
end

-- Which runs came to nothing. Their errors were told as they came, each once.
local function tell_lost(lost, count)
  if #lost == 0 or count < 2 then return end
  local names, alike = {}, #lost > 1 and lost[1].error ~= nil
  for i, one in ipairs(lost) do
    alike = alike and one.error == lost[1].error
    if i <= 8 then names[i] = one.label end
  end
  if #lost > 8 then names[#names + 1] = "…" end
  if alike and #lost == count then names = {} end
  io.stderr:write(("%d of %d runs failed%s%s\n"):format(#lost, count, alike and ", all with the same error" or "",
    #names > 0 and ": " .. table.concat(names, ", ") or ""))
end

--- Prints what the runs came to. With --quiet the table alone, with --json one document.
---@param options table   the command line
---@param texts string[]  what execute returned
---@param experiment table
---@param plan? table     of the experiment: what is known of runs that failed
function summary.show(options, texts, experiment, plan)
  local all, results, lost = {}, {}, {}
  for i, text in ipairs(texts) do
    local one = decode(text)
    all[i], one.lost = one, not (one.result and one.status == "finished") or nil
    table.insert(one.lost and lost or results, one)
    if one.lost and not one.params then fill_in(one, experiment, plan) end
    one.params = one.params or {}
  end
  local keys, columns = group_keys(experiment), columns_of(experiment, results)
  local groups = groups_of(all, keys)
  if options.json then
    io.stdout:write(as_json(results, columns, groups, lost), "\n")
    return
  end
  if #results > 0 and (#columns > 0 or not options.quiet) then show_table(experiment, keys, columns, groups) end
  tell_lost(lost, #all)
  if #results == 0 then return end
  check_columns(columns, results, {})
  if options.quiet then return end
  if experiment.footer then print(experiment.footer) end
  look_further(options, results, keys, columns)
end

return summary
