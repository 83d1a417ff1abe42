--- `gradus sweep SCRIPT`: the command line's words as a sweep (sweep.lua), then its report.
local children = require "gradus.children"
local host = require "gradus.host"
local grid = require "gradus.experiment.grid"
local params = require "gradus.experiment.params"
local runner = require "gradus.experiment.runner"
local space = require "gradus.experiment.space"

local command = {}

local function whole(options, name, least)
  local text = options[name]
  local number = text and tonumber(text)
  if text and not (number and number % 1 == 0 and number >= least and number <= 2 ^ 31) then
    host.fail(("--%s: expected a whole number from %d; got '%s'"):format(name:gsub("_", "-"), least, text), 64)
  end
  return number
end

local function word(options, name, words)
  local text = options[name]
  if not text then return nil end
  for _, known in ipairs(words) do
    if known == text then return text end
  end
  local near = host.nearest(text, words)
  host.fail(("--%s: expected one of %s; got '%s'%s"):format(name, table.concat(words, ", "), text,
    near and ("; did you mean '%s'?"):format(near) or ""), 64)
end

-- The script's experiment and its parameters to search: from --set, and the grid's own where --set names none.
local function searched(options, experiment)
  local set = {}
  for key, values in pairs(experiment.grid) do
    if key ~= "seed" then set[key] = values end
  end
  for _, pair in ipairs(options.set) do
    if not experiment.specs[pair[1]] then params.unknown(pair[1], experiment.specs, "--set") end
    set[pair[1]] = space.parse(pair[1], pair[2], experiment.specs)
  end
  return set
end

-- Each error was told as it came, once.
local function tell_failed(sweep)
  if sweep.failed < 2 then return end
  local alike = next(sweep.told, (next(sweep.told))) == nil
  host.write(2, ("%d runs failed%s\n"):format(sweep.failed, alike and ", all with the same error" or ""))
end

--- Returns the process's exit code: 0 with a best trial, else that of the first run that failed, else 65.
---@param options table  the command line
function command.run(options)
  if not options.by then host.fail("sweep: no --by; expected the metric that decides, such as --by val/acc", 64) end
  local given = { by = options.by, direction = word(options, "direction", { "max", "min", "higher", "lower" }),
    jobs = options.jobs or "auto",
    search = word(options, "search", { "grid", "random", "halton", "optuna" }), trials = whole(options, "trials", 1),
    seeds = whole(options, "seeds", 1), search_seed = whole(options, "search_seed", 0), halving = options.halving, command = options }
  grid.warm()
  given.experiment = runner.load(options)
  if not given.experiment then host.fail("sweep: the script returns no experiment, so it has no parameters to search", 65) end
  given.set = searched(options, given.experiment)
  local found = require "gradus.experiment.sweep"(given)
  local report = require "gradus.experiment.sweep_report"
  local stopped = children.stop_code()
  if options.json then
    io.stdout:write(report.json_text(found), "\n")
  else
    report.print(found, options.quiet)
    if not options.quiet then tell_failed(found.sweep) end
  end
  if stopped ~= 0 then
    if not options.quiet then host.write(2, "interrupted; the same command goes on where it was\n") end
    return stopped
  end
  return found.sweep.ending or found.best and 0 or found.sweep.code or 65
end

return command
