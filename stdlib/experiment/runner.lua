--- What `gradus run SCRIPT` does: plan the script's runs, execute each in a fresh Lua state, show them side by side.
local host = require "gradus.host"
require "gradus.base.pristine"  -- before the script

local runner = {}

--- The experiment that the script returns, or nil when it has done its work.
function runner.load(options)
  local chunk = host.load_script()
  host.entering(chunk)
  local value = chunk()
  local experiment = require "gradus.experiment.experiment"
  if value ~= nil and not experiment.is(value) then
    host.fail(("%s: the script returned a %s; expected `return g.experiment { … }`, or nothing"):format(options.script, type(value)))
  end
  return value
end

--- How many runs the script makes. A script that returns no experiment has done its work by now: 0.
---@param options table  the command line
function runner.plan(options)
  local experiment = runner.load(options)
  if not experiment then
    if options.set and #options.set > 0 then host.fail("--set: the script returns no experiment, so it has no parameters", 64) end
    return 0
  end
  return #experiment:plan(options)
end

--- A run in words: its number, what tells it from the others, its seed.
function runner.describe(plan, i)
  local one, varied, words = plan[i], {}, {}
  for _, other in ipairs(plan) do
    for key, value in pairs(other.given) do varied[key] = varied[key] or value ~= one.given[key] end
  end
  local keys = require "gradus.experiment.params".sorted_keys(varied)
  for _, key in ipairs(keys) do
    if varied[key] then words[#words + 1] = key .. "=" .. tostring(one.given[key]) end
  end
  if #words == 1 then words[1] = words[1]:gsub("^[^=]*=", "") end
  if #plan > 1 then table.insert(words, 1, ("%d/%d"):format(i, #plan)) end
  words[#words + 1] = "seed " .. one.seed
  return table.concat(words, " ")
end

local function close(run, ok, result)
  if ok then
    run:finish "finished"
  elseif run.interrupted then
    run:finish("interrupted", run.interrupted)
  elseif host.exiting() then
    run:finish(host.exiting() == 0 and "finished" or "failed", ("os.exit(%d)"):format(host.exiting()))
  else
    pcall(run.event, run, "error", "script", { message = tostring(result) })
    run:finish("failed", tostring(result))
  end
end

--- Opens what a run needs: threads, device, store. Before the script, whose fault neither a bad device nor a bad store is.
function runner.prepare(options)
  local engine = require "gradus.engine"
  engine.set_threads(options.threads or 1)
  engine.device(options.device or "cpu")
  return require("gradus.store").open(options.store)
end

--- Executes run number i of the plan, in this Lua state. Returns its result as JSON.
function runner.execute(options, i)
  local store = runner.prepare(options)
  local experiment = runner.load(options)
  local plan = experiment:plan(options)
  return runner.execute_one(options, store, experiment, plan[i], runner.describe(plan, i))
end

--- Executes one run of an experiment. Returns its result as JSON.
---@param one {seed: number, given: table}  of the experiment's plan
---@param label string                      it in words
function runner.execute_one(options, store, experiment, one, label)
  local params = require "gradus.experiment.params"
  local run_module = require "gradus.experiment.run"
  local flat = params.resolve(experiment.specs, one.given)
  local nested = params.nest(flat)
  local run = run_module.begin { store = store, name = options.name or experiment.name, seed = one.seed, flat = flat, params = nested,
    options = options, label = label }
  host.open_log(run.folder .. "/log.txt")
  host.log("info", ("run %d (%s): %s"):format(run.id, run.uid, label))
  host.entering(experiment.run)
  local ok, result = xpcall(function() return experiment.run(run, nested) end, host.traceback)
  if ok and result ~= nil and type(result) ~= "table" then
    ok, result = false, ("%s: run: expected a table of results or nothing; got a %s"):format(options.script, type(result))
  end
  local kept = {}
  if ok then
    ok, kept = xpcall(function() return run:store_result(result or {}) end, host.traceback)
    if not ok then result = kept end
  end
  close(run, ok, result)
  if not ok and not run.interrupted then error(result, 0) end
  if not ok then kept = {} end
  local seconds = host.monotonic() - run.began
  if ok then
    local duration = require("gradus.experiment.console").duration(seconds)
    run.line.done(("%s  %s"):format(duration, runner.summary_line(experiment, kept)))
  end
  return host.json_encode { id = run.id, uid = run.uid, name = run.name, seed = one.seed, params = flat,
    result = kept, seconds = seconds,
    status = ok and "finished" or "interrupted" }
end

-- --- the final table ---------------------------------------------------------------------------------------------------

local function mean_sd(values)
  local n, sum = #values, 0
  for _, v in ipairs(values) do sum = sum + v end
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
    for name, value in pairs(one.result or {}) do
      if type(value) == "number" then seen[name] = true end
    end
  end
  for name in pairs(seen) do columns[#columns + 1] = { name, name } end
  table.sort(columns, function(a, b) return a[1] < b[1] end)
  return columns
end

-- A percentage is written as such: "%%" in the format multiplies by 100.
local function format(pattern, value)
  return pattern:format(pattern:find "%%%%" and 100 * value or value)
end

-- Mean ± sd of a group of n runs, of which some may lack the value. Without a format: as many digits as the sd has two of.
local function cell(column, values, n)
  if #values == 0 then return "–" end
  local mean, sd = mean_sd(values)
  local pattern = column[3]
  if not pattern then
    local digits = sd and sd > 0 and sd < math.huge and math.max(0, math.min(12, 1 - math.floor(math.log10(sd))))
    pattern = digits and ("%%.%df"):format(digits) or "%.4g"
  end
  local text = format(pattern, mean)
  if sd then text = text .. " ± " .. format(pattern, sd):gsub("^%s+", "") end
  if #values < n then text = ("%s (%d of %d)"):format(text, #values, n) end
  return text
end

function runner.summary_line(experiment, numbers)
  local words = {}
  for _, column in ipairs(columns_of(experiment, { { result = numbers } })) do
    local value = numbers[column[1]]
    if type(value) == "number" then words[#words + 1] = column[2] .. " " .. format(column[3] or "%.4g", value) end
  end
  return table.concat(words, "  ")
end

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

local function groups_of(results, keys)
  local groups, by_label = {}, {}
  for _, one in ipairs(results) do
    local words = {}
    for i, key in ipairs(keys) do words[i] = tostring(one.params[key]) end
    local label = table.concat(words, "\0")
    if not by_label[label] then
      by_label[label] = { words = words, runs = {} }
      groups[#groups + 1] = by_label[label]
    end
    table.insert(by_label[label].runs, one)
  end
  return groups
end

local function values_of(group, name)
  local values = {}
  for _, one in ipairs(group.runs) do
    if type(one.result[name]) == "number" then values[#values + 1] = one.result[name] end
  end
  return values
end

-- The differences of a result to the baseline group's, run by run of the same seed.
local function paired(group, baseline, name)
  local of_seed, differences = {}, {}
  for _, one in ipairs(baseline.runs) do of_seed[one.seed] = tonumber(one.result[name]) end
  for _, one in ipairs(group.runs) do
    local base = of_seed[one.seed]
    if base and type(one.result[name]) == "number" then differences[#differences + 1] = one.result[name] - base end
  end
  return differences
end

-- The column of paired differences: one cell a group, or nil when the experiment asks for none or the baseline did not run.
local function versus_cells(experiment, groups, columns)
  local versus = experiment.versus
  if not versus then return nil end
  local baseline, pattern
  for _, group in ipairs(groups) do
    for _, word in ipairs(group.words) do
      if word == tostring(versus[2]) then baseline = group end
    end
  end
  for _, column in ipairs(columns) do
    if column[1] == versus[1] and column[3] then pattern = column[3]:gsub("^%%", "%%+") end
  end
  if not baseline or #groups < 2 then return nil end
  local cells = {}
  for i, group in ipairs(groups) do
    local differences = group ~= baseline and paired(group, baseline, versus[1]) or {}
    if #differences == 0 then
      cells[i] = ""
    else
      local mean, sd = mean_sd(differences)
      cells[i] = format(pattern or "%+.4g", mean) .. (sd and " ± " .. format((pattern or "%.4g"):gsub("+", ""), sd) or "")
    end
  end
  return cells
end

local function as_json(results, keys, columns, groups, failed)
  local out = {}
  for i, group in ipairs(groups) do
    local row = { runs = {}, n = #group.runs, by = {} }
    for k, key in ipairs(keys) do row.by[key] = group.words[k] end
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
  return ('{"failed":%d,"groups":%s,"runs":%s}'):format(failed, list(out), list(results))
end

--- Prints what the runs came to: a table of the groups, mean ± sd over seeds, and where to look further.
---@param options table
---@param texts string[]    what execute returned
---@param experiment table?  where the script was loaded before
function runner.summarize(options, texts, experiment)
  if not experiment then
    experiment = runner.load(options)
    experiment:plan(options)  -- the command line's lists are part of its grid
  end
  local results, failed = {}, 0
  for _, text in ipairs(texts) do
    local one = host.json_decode(text)
    if one.result and one.status == "finished" then results[#results + 1] = one else failed = failed + 1 end
  end
  local keys, columns = group_keys(experiment), columns_of(experiment, results)
  local groups = groups_of(results, keys)
  if options.json then
    io.stdout:write(as_json(results, keys, columns, groups, failed), "\n")
    return
  end
  if options.quiet or #results == 0 then return end
  local headings, rows = {}, {}
  for i, key in ipairs(keys) do headings[i] = key end
  if #keys == 0 then headings[1] = "run" end
  local least, most = math.huge, 0
  for _, group in ipairs(groups) do least, most = math.min(least, #group.runs), math.max(most, #group.runs) end
  if least < most then headings[#headings + 1] = "runs" end
  for _, column in ipairs(columns) do headings[#headings + 1] = column[2] end
  local versus = versus_cells(experiment, groups, columns)
  if versus then headings[#headings + 1] = experiment.versus[3] or ("%s − %s"):format(experiment.versus[1], experiment.versus[2]) end
  for g, group in ipairs(groups) do
    local row = {}
    for i, word in ipairs(group.words) do row[i] = word end
    if #keys == 0 then row[1] = experiment.name end
    if least < most then row[#row + 1] = tostring(#group.runs) end
    for _, column in ipairs(columns) do row[#row + 1] = cell(column, values_of(group, column[1]), #group.runs) end
    if versus then row[#row + 1] = versus[g] end
    rows[g] = row
  end
  local ids = {}
  for _, one in ipairs(results) do ids[#ids + 1] = one.id end
  print("\n" .. require("gradus.experiment.console").table(headings, rows, math.max(1, #keys)) .. "\n")
  if most > 1 then
    print(("  mean ± sd over %s%s\n"):format(least < most and "runs" or most .. " runs",
      versus and "; the last column pairs those of one seed" or ""))
  end
  if experiment.footer then print(experiment.footer) end
  local store = options.store ~= "runs/gradus.db" and " --store " .. options.store or ""
  print(#results > 1 and ("Look further: gradus compare%s   gradus show %d%s"):format(store, ids[#ids], store)
    or ("Look further: gradus show %d%s"):format(ids[1], store))
end

return runner
