--- Runs side by side, each in a process forked from this one, which holds LibTorch, the script and the data that it read at
--- its top. A child begins as this process stands, chooses its own threads, and so computes what it computes alone.
local children = require "gradus.children"
local host = require "gradus.host"
local console = require "gradus.base.console"
local files = require "gradus.base.files"
local screen = require "gradus.experiment.screen"
local store_keeper = require "gradus.experiment.store_keeper"

local farm = {}

local LOOK_EVERY = .1    -- seconds between two looks at the children that say nothing
local SAMPLE_EVERY = 1   -- seconds between two looks at what the system tells of them
local FIRST_ALONE = 1    -- seconds that "auto" waits for the first run to tell its threads
local SPARE = 1.2        -- of a run's memory that has to be free before another begins

-- Seconds without processor time and without a word after which a child hangs.
local function hang_seconds()
  local text = os.getenv "GRADUS_HANG"
  local seconds = text and tonumber(text) or 300
  if text and not (tonumber(text) and seconds > 0) then
    host.fail(("GRADUS_HANG: expected seconds above 0; got '%s'"):format(text), 64)
  end
  return seconds
end

---@class Job
---@field label string              the run in words
---@field run fun(): string?        what the child does; its text is the outcome's
---@field index number?             the caller's own

---@class Outcome
---@field text string?    what `run` returned
---@field error table?    { message, code, text }: text as it is to be printed
---@field code number     the child's exit code
---@field exited boolean  the script called os.exit
---@field hung boolean
---@field signal number   0, or what ended the child

-- --- what the system says --------------------------------------------------------------------------------------------

-- Processor time in clock ticks, and whether the process has children of its own, which it may wait for.
local function activity(pid)
  local stat = files.read(("/proc/%d/stat"):format(pid))
  local fields = {}
  for word in (stat and stat:match "^.*%)(.*)$" or ""):gmatch "%S+" do fields[#fields + 1] = word end
  local own = files.read(("/proc/%d/task/%d/children"):format(pid, pid))
  return (tonumber(fields[12]) or 0) + (tonumber(fields[13]) or 0), own and own:find "%d" ~= nil
end

local function bytes(path, field)
  local kilobytes = (files.read(path) or ""):match(field .. ":%s*(%d+)")
  return kilobytes and 1024 * tonumber(kilobytes)
end

-- --- how many at once ------------------------------------------------------------------------------------------------

local Slots = {}
Slots.__index = Slots

-- "auto": the threads of the runs together are at most the cores, and their memory fits.
local function slots(jobs, device)
  return setmetatable({ most = jobs ~= "auto" and jobs or nil, cores = require("gradus.engine").cores(), threads = nil, peak = 0,
    alone = device ~= nil and device ~= "cpu" }, Slots)
end

function Slots:free(running)
  local count, threads, growing, first = 0, 0, 0, math.huge
  for _, job in pairs(running) do
    count, threads = count + 1, threads + (job.threads or self.threads or 1)
    growing, first = growing + math.max(0, self.peak - (job.memory or 0)), math.min(first, job.began)
  end
  if self.most then return count < self.most end
  if count == 0 then return true end
  if self.alone then return false end  -- what a run takes of an accelerator is not known before it
  if not self.threads and host.monotonic() - first < FIRST_ALONE then return false end
  local available = bytes("/proc/meminfo", "MemAvailable") or math.huge
  return threads + (self.threads or 1) <= self.cores and available - growing > SPARE * self.peak
end

function Slots:note(job)
  if job.threads then self.threads = math.max(self.threads or 1, job.threads) end
  self.peak = math.max(self.peak, job.memory or 0)
end

-- --- the runs that go on ---------------------------------------------------------------------------------------------

local Work = {}
Work.__index = Work

local function start(self, job)
  local pid = children.spawn(function()
    console.tell = children.tell
    return job.run()
  end)
  job.began, job.heard, job.status = host.monotonic(), host.monotonic(), "starts"
  self.running[pid] = job
  self.order[#self.order + 1] = pid
end

-- A line that stays, of one run.
function Work:say(job, text)
  if not self.quiet then self.screen:say(job.label .. (" "):rep(self.wide - #job.label) .. "  " .. text) end
end

local handlers = {}

function handlers.status(self, job, event)
  job.status = event.text
  if not self.screen.live then self:say(job, event.text) end
end

function handlers.waiting(_, job, event) job.status = event.text end

function handlers.say(self, job, event) self:say(job, event.text) end

handlers.done = handlers.say

function handlers.line(self, _, event) self.screen:say(event.text) end

function handlers.threads(_, job, event) job.threads = math.max(job.threads or 1, tonumber(event.text)) end

function handlers.asked(self, job, event)
  children.answer(event.child, self.options.asked and self.options.asked(job, event.text) or "")
end

function handlers.result(_, job, event) job.outcome.text = event.text end

handlers["error"] = function(_, job, event) job.outcome.error = host.json_decode(event.text) end

function handlers.exit(_, job) job.outcome.exited = true end

handlers["end"] = function(self, job, event)
  local outcome = job.outcome
  outcome.code, outcome.signal, outcome.hung = event.code, event.signal, job.hung or false
  self.running[event.child] = nil
  for i, pid in ipairs(self.order) do
    if pid == event.child then table.remove(self.order, i) break end
  end
  self.screen:clear()
  children.show_output(event.child)
  self.ended = self.ended + 1
  self.options.ended(job, outcome)
end

local function watch(self, now)
  for pid, job in pairs(self.running) do
    local ticks, waits = activity(pid)
    if ticks ~= job.ticks or waits then job.ticks, job.heard = ticks, now end
    job.memory = bytes(("/proc/%d/status"):format(pid), "RssAnon")
    self.slots:note(job)
    if now - job.heard > self.hang and not job.hung then
      job.hung = true
      children.stop(pid, true)
    end
  end
end

local function draw(self, now)
  if not self.screen.live then return end
  local lines = {}
  for _, pid in ipairs(self.order) do
    local job = self.running[pid]
    lines[#lines + 1] = job.label .. (" "):rep(self.wide - #job.label) .. "  " .. job.status
  end
  if #self.order > 0 and self.options.foot then lines[#lines + 1] = self.options.foot(self.ended, #self.order, now - self.began) end
  self.screen:show(lines)
end

--- Runs what `next` gives until it gives no more and all have ended, or the process is asked to stop: then every run that
--- goes on is interrupted, and none begins.
---@class FarmOptions
---@field jobs number|string     runs at once, or "auto"
---@field store string
---@field device string?
---@field quiet boolean?
---@field wide number?           columns of the labels
---@field next fun(): Job?       asked whenever there is room
---@field ended fun(job: Job, outcome: Outcome)
---@field asked? fun(job: Job, text: string): string  answers a child's children.ask
---@field foot? fun(ended: number, running: number, seconds: number): string  the last of the live lines
---@param options FarmOptions
function farm.work(options)
  local self = setmetatable({ options = options, quiet = options.quiet, wide = options.wide or 0, running = {}, order = {}, ended = 0,
    slots = slots(options.jobs, options.device), screen = screen.new(options.quiet), hang = hang_seconds(),
    began = host.monotonic() }, Work)
  local sampled, keeper = 0, nil
  while true do
    while not host.stopping() and self.slots:free(self.running) do
      local job = options.next()
      if not job then break end
      job.outcome = { exited = false }
      start(self, job)
      keeper = keeper or options.store and store_keeper.start(options.store)
    end
    if #self.order == 0 then break end
    for _, event in ipairs(children.wait(LOOK_EVERY)) do
      local job, handler = self.running[event.child], handlers[event.kind]
      if job then
        job.heard = host.monotonic()
        if handler then handler(self, job, event) end
        if event.kind == "threads" then self.slots:note(job) end
      end
    end
    local now = host.monotonic()
    if now - sampled > SAMPLE_EVERY then
      watch(self, now)
      sampled = now
    end
    draw(self, now)
  end
  self.screen:clear()
  if keeper then store_keeper.stop(keeper) end
  if self.ended > 0 and options.store then require("gradus.store").open(options.store):settle() end
end

return farm
