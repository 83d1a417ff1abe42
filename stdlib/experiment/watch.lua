--- `gradus watch SCRIPT`: the script's first run begins anew at each save of it or of what it requires, in a process forked
--- from this one, which holds LibTorch and the standard library. The run before goes on until the new script is read.
local children = require "gradus.children"
local host = require "gradus.host"
local console = require "gradus.base.console"
local grid = require "gradus.experiment.grid"
local live_files = require "gradus.experiment.live_files"
local resume = require "gradus.experiment.resume"
local runner = require "gradus.experiment.runner"
local screen = require "gradus.experiment.screen"
local store_keeper = require "gradus.experiment.store_keeper"
local sparkline = require "gradus.base.sparkline"

local watch = {}

local SHOWN = 6          -- runs whose curves stand side by side
local WIDTH = 40         -- columns of a curve
local BESIDE = 62        -- what is said beside one takes about so many
local LOOK_EVERY = .1    -- seconds
local TELL_EVERY = .05   -- seconds between two values of one metric that is logged at each step

---@class Watched
---@field number number
---@field saved number    monotonic seconds of the save
---@field state string    "starts", "runs", "finished", "failed" or "replaced"
---@field curves table<string, number[]>

local Watch = {}
Watch.__index = Watch

-- --- in the child ------------------------------------------------------------------------------------------------------

-- What was read, and what a run that has failed has looked for in vain: that may be what is mended.
local function tell_sources(why)
  local paths = live_files.looked_for(why or "")
  for _, source in ipairs(host.sources()) do paths[#paths + 1] = source.path end
  children.tell("sources", host.json_encode(paths))
end

-- Tells the parent what is logged: validation metrics and the one asked for, the training loss now and then.
local function teller(by)
  local told, first = {}, true
  return function(_, name, value, step)
    if first and step > 0 then
      first = false
      children.tell("first", ("%.9f"):format(host.monotonic()))
      tell_sources()  -- modules that were required only now
    end
    local now = host.monotonic()
    if name ~= by and not name:find "^val/" and name ~= "train/loss" then return end
    if name == "train/loss" and now - (told[name] or 0) < TELL_EVERY then return end
    told[name] = now
    children.tell("value", ("%s %.17g"):format(name, value))
  end
end

local function once(options)
  host.read_script()
  local experiment = runner.load(options)
  tell_sources()
  children.tell("loaded", "")
  if not experiment then return nil end
  resume.set_of(experiment, options)  -- one value each; of the script's own grid the first run is watched
  local plan = experiment:plan(options)
  return runner.execute_one(options, runner.prepare(options), experiment, plan[1], runner.describe(plan, 1), teller(options.by))
end

local function live_once(options)
  console.tell = children.tell
  local ok, result = xpcall(once, host.traceback, options)
  tell_sources(not ok and host.error_text(result) or nil)  -- and at the end
  if not ok then error(result, 0) end
  return result
end

-- --- in the parent -----------------------------------------------------------------------------------------------------

function Watch:start(saved)
  local options = self.options
  local pid = children.spawn(function() return live_once(options) end)
  local one = { number = #self.all + 1, saved = saved, state = "starts", curves = {}, status = "" }
  self.all[one.number], self.running[pid] = one, one
end

-- The metric whose curves are shown: as asked, else the first of validation, else the training loss.
local function shown_metric(self)
  if self.options.by then return self.options.by end
  local best
  for i = math.max(1, #self.all - SHOWN + 1), #self.all do
    for name in pairs(self.all[i].curves) do
      if name:find "^val/" and (not best or name < best) then best = name end
    end
  end
  return best or "train/loss"
end

local function line_of(one, metric, limits)
  local values = one.curves[metric] or {}
  local wide = math.max(10, math.min(WIDTH, host.columns() - BESIDE))
  local curve = sparkline(values, { low = limits.low, high = limits.high, width = wide })
  local _, columns = curve:gsub("[^\128-\191]", "")
  local words = { ("#%d"):format(one.number), curve .. (" "):rep(wide - columns) }
  words[#words + 1] = #values > 0 and ("%s %.4g"):format(metric, values[#values]) or "no " .. metric
  words[#words + 1] = one.state
  if one.seconds then words[#words + 1] = console.duration(one.seconds) end
  if one.state == "runs" and one.status ~= "" then words[#words + 1] = one.status end
  if one.first then words[#words + 1] = ("first step after %.0f ms"):format(1000 * one.first) end
  return table.concat(words, "  ")
end

-- What the last runs' curves are drawn by: the metric, and the limits of all of them; and the first one's number.
local function scale_of(self)
  local metric, limits, first = shown_metric(self), { low = math.huge, high = -math.huge }, math.max(1, #self.all - SHOWN + 1)
  for i = first, #self.all do
    for _, value in ipairs(self.all[i].curves[metric] or {}) do
      if value == value then limits.low, limits.high = math.min(limits.low, value), math.max(limits.high, value) end
    end
  end
  if limits.low > limits.high then limits = {} end
  return metric, limits, first
end

local function lines_of(self)
  local metric, limits, first = scale_of(self)
  local lines = {}
  for i = first, #self.all do lines[#lines + 1] = line_of(self.all[i], metric, limits) end
  return lines
end

local handlers = {}

function handlers.sources(_, _, event)
  for _, path in ipairs(host.json_decode(event.text)) do pcall(children.watch, { path }) end  -- in folders that there are
end

-- Whether nobody has said yet what became of it: a script may end, or never return, while it is read.
local function goes_on(one) return one.state == "starts" or one.state == "runs" end

-- The new script is read: now the runs before it may end.
function handlers.loaded(self, one)
  if one.state == "starts" then one.state = "runs" end
  for pid, other in pairs(self.running) do
    if other.number < one.number then
      if goes_on(other) then other.state = "replaced" end
      children.stop(pid)
    end
  end
end

function handlers.first(self, one, event)
  one.first = tonumber(event.text) - one.saved
  self.keeper = self.keeper or store_keeper.start(self.options.store)  -- the run has made it, where there was none
end

function handlers.value(_, one, event)
  local name, value = event.text:match "^(%S+) (%S+)$"
  one.curves[name] = one.curves[name] or {}
  table.insert(one.curves[name], tonumber(value))
end

function handlers.status(_, one, event) one.status = event.text end

handlers.waiting = handlers.status

function handlers.say(self, one, event) self.screen:say(("#%d  %s"):format(one.number, event.text)) end

handlers.done = handlers.say

function handlers.line(self, _, event) self.screen:say(event.text) end

handlers["error"] = function(self, one, event)
  local one_error = host.json_decode(event.text)
  if one.state == "starts" and next(self.running, next(self.running)) then one_error.text = one_error.text .. "the run before goes on\n" end
  one.state = "failed"
  self.screen:say((one_error.text:gsub("\n$", "")))
end

handlers["end"] = function(self, one, event)
  self.running[event.child] = nil
  one.seconds = host.monotonic() - one.saved
  if goes_on(one) then one.state = event.code == 0 and "finished" or host.stopping() and "interrupted" or "failed" end
  self.screen:clear()
  children.show_output(event.child)
  if not self.screen.live then self.screen:say(line_of(one, scale_of(self))) end
end

local function turn(self)
  local saved
  for _, event in ipairs(children.wait(LOOK_EVERY)) do
    local one, handler = self.running[event.child], handlers[event.kind]
    if event.kind == "saved" then
      saved = saved or host.monotonic()
    elseif one and handler then
      handler(self, one, event)
    end
  end
  if saved and not host.stopping() then self:start(saved) end
  if next(self.running) or saved then self.drawn = false end
  if self.screen.live and not self.drawn then
    self.screen:show(lines_of(self))
    self.drawn = not next(self.running)
  end
end

--- Returns the process's exit code, when it was asked to stop and its runs have ended.
---@param options table  the command line
function watch.run(options)
  grid.warm()
  children.watch { options.script }
  local self = setmetatable({ options = options, all = {}, running = {}, screen = screen.new(false) }, Watch)
  self:start(host.monotonic())
  repeat turn(self) until host.stopping() and not next(self.running)
  if self.keeper then store_keeper.stop(self.keeper) end
  return children.stop_code()
end

return watch
