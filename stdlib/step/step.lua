--- One training step: a function of a batch and knobs to a loss and named outputs. The first call is recorded below
--- autograd and later ones are replayed, without Lua, bit for bit as the function would do it (runtime/step/record.h). Knobs
--- (temperature, alpha, lr, loss weights) reach the function as 0-dim float64 tensors on the CPU, so that they may change
--- from step to step while the recording stays the same; a per-example knob is a tensor [B]. On an accelerator they are
--- there (slab.lua), and the function runs in every step.
---
--- The function may close over modules, optimizers and constants. What it does in Lua alone happens when it is recorded
--- and when it is checked, not in every step: so it must not log, print, count or keep tensors.
local engine = require "gradus.engine"
local host = require "gradus.host"
local knob = require "gradus.step.knobs"
local recording = require "gradus.base.recording"
local scan = require "gradus.step.scan"
local slab = require "gradus.step.slab"

local record, is_tensor = engine.record, engine.is_tensor
local step = { mode = os.getenv "GRADUS_STEP" == "eager" and "eager" or "replay" }
local Step = {}
Step.__index = Step

local PLANS = 8        -- shapes, modes, …: as many plans are kept of one step
local IN_VAIN = 16     -- recordings in a row that were never replayed, after which the step runs as it is
local MUCH = 2 ^ 26    -- bytes of tensors from which on memory is looked after

--- How steps are run from here on: "replay", or "eager" for looking into them (environment: GRADUS_STEP=eager).
---@param mode string
function step.step_mode(mode)
  if mode ~= "replay" and mode ~= "eager" then
    host.fail(("step_mode: expected 'replay' or 'eager'; got '%s'"):format(tostring(mode)))
  end
  step.mode = mode
end

local function line_of(fn)
  local info = debug.getinfo(fn, "S")
  return ("%s:%d"):format(info.short_src, info.linedefined)
end

--- A step from a function fn(batch, knobs) -> table of named outputs (or one tensor, the loss).
---@param fn fun(batch: table, knobs: table): table
---@param warn? fun(name: string, text: string)  told once why a step cannot be replayed
---@param device? string  "cpu" unless given
---@param look? fun(batch: table, out: table|Tensor)  called after each step
---@param own_knobs? boolean  the caller knows which knobs the function leaves out
---@param over? fun(knobs: table?): table?  what the function gets for the knobs that a call is given
function step.new(fn, warn, device, look, own_knobs, over)
  if type(fn) ~= "function" then host.fail("step: expected a function(batch, knobs); got " .. type(fn)) end
  -- before_lua: a function that is called before fn is, which a replay does not call (gradus run --live)
  return setmetatable({ fn = fn, before_lua = false, tensors = {}, plans = {}, vain = 0, warn = warn, look = look, over = over,
    line = line_of(fn), asked = {}, told = warn and not own_knobs and {} or nil,
    slab = device and device ~= "cpu" and slab(device) or nil }, Step)
end

--- The function, or one that it calls, is another from here on: what was recorded is forgotten. Returns what undoes that; the recordings
--- stay forgotten, as what they were made from may have moved since.
---@return fun()
function Step:forget()
  local asked, unrecordable, vain, line = self.asked, self.unrecordable, self.vain, self.line
  self.plans, self.asked, self.unrecordable, self.vain, self.line = {}, {}, nil, 0, line_of(self.fn)
  return function() self.plans, self.asked, self.unrecordable, self.vain, self.line = {}, asked, unrecordable, vain, line end
end

-- --- the function itself -----------------------------------------------------------------------------------------------

local function knob_tensors(self, knobs)
  if self.slab then return knob.on_device(self.slab, knobs) end
  return knob.tensors(self.tensors, knobs)
end

-- After the step: while it is recorded nothing may be printed.
local function tell_unasked(self)
  local texts = self.unasked
  self.unasked = nil
  for _, text in ipairs(texts) do
    self.warn("step_knob", ("the step at %s does not ask for the knob %s"):format(self.line, text))
  end
end

local function call(self, batch, given)
  local out = self.fn(batch, knob.guard(given, self.asked))
  if self.told then self.unasked = knob.unasked(given, self.asked, self.told) end
  if is_tensor(out) then return out:detach() end
  if type(out) ~= "table" then host.fail("step: expected a table of outputs or a tensor; got " .. type(out)) end
  local detached = {}
  for name, value in pairs(out) do detached[name] = is_tensor(value) and value:detach() or value end
  return detached
end

-- Buffers that a step changed before it failed are as they were, where no update was taken of that.
local function restore(before, guarded, ok, ...)
  local changes = recording.changes
  recording.active, recording.guarded, recording.changes = before, guarded, nil
  if ok then return ... end
  for i, buffer in ipairs(changes and not changes.taken and changes.now or {}) do buffer:copy_(changes.before[i]) end
  error((...), 0)
end

local function eager(self, batch, given)
  if self.before_lua then self.before_lua() end
  local before, guarded = recording.active, recording.guarded
  recording.active, recording.guarded = step.mode ~= "eager" and self.line or before, true
  recording.changes = recording.no_changes()
  return restore(before, guarded, pcall(call, self, batch, given))
end

-- --- recording ---------------------------------------------------------------------------------------------------------

local function upvalues_of(fn)
  local values, names = {}, {}
  for i = 1, 60 do
    local name, value = debug.getupvalue(fn, i)
    if not name then break end
    names[i], values[i] = name, value
  end
  return values, names
end

-- The name of an upvalue that is no longer what it was.
local function changed_upvalue(fn, values, names)
  for i = 1, #names do
    local _, value = debug.getupvalue(fn, i)
    if not rawequal(value, values[i]) then return names[i] end
  end
end

local FORBIDDEN = { { _G, "print" }, { io, "write" }, { io, "open" }, { io, "lines" }, { io, "read" } }

local function forbid(line)
  local kept = {}
  for i, one in ipairs(FORBIDDEN) do
    kept[i] = one[1][one[2]]
    one[1][one[2]] = function()
      host.fail(("%s inside of the step at %s: a replay would not do it; expected it after the step, from its outputs "
        .. "(or GRADUS_STEP=eager)"):format(one[2], line))
    end
  end
  return kept
end

local function allow(kept)
  for i, one in ipairs(FORBIDDEN) do one[1][one[2]] = kept[i] end
end

local function end_recording(recorder, kept, ok, ...)
  allow(kept)
  recording.modules, recording.notes = nil, nil
  if not ok then
    recorder:abort()
    error((...), 0)
  end
  return ...
end

local function why_not(entry, fn)
  local name = changed_upvalue(fn, entry.upvalues, entry.names)
  if name then return ("it changes '%s', which a replay would not do"):format(name) end
  local module = recording.changed_module(entry.modules)
  if module then return ("the module %s changes in its forward"):format(module.__name or "") end
end

local function give_up(self, why)
  self.unrecordable = why
  self.plans = {}
  if not self.warn then return end
  self.warn("step_eager", ("the step at %s runs without being replayed: %s"):format(self.line, why))
end

-- What the function left goes before the plan's memory comes, or comes again, where it is much.
local function collect()
  if engine.memory() > MUCH then collectgarbage() end
end

local function record_step(self, batch, knobs)
  local given = knob_tensors(self, knobs)
  local entry = { modules = {}, notes = {}, version = recording.version, calls = 1, audit_at = 2 }
  entry.upvalues, entry.names = upvalues_of(self.fn)
  entry.count = #entry.names
  local recorder = record.start(batch, knobs, self.tensors)
  recording.modules, recording.notes, recording.again = entry.modules, entry.notes, false
  local out = end_recording(recorder, forbid(self.line), pcall(eager, self, batch, given))
  local problem = why_not(entry, self.fn)
  local why
  collect()
  entry.plan, why = recorder:finish(out)
  if recording.again then return out end
  if problem or not entry.plan then
    give_up(self, problem or why)
    return out
  end
  self.vain = self.vain + 1
  if self.vain > IN_VAIN then
    give_up(self, ("%d recordings in a row fitted no later call"):format(IN_VAIN))
    return out
  end
  table.insert(self.plans, 1, entry)
  self.plans[PLANS + 1] = nil
  return out
end

-- --- replaying ---------------------------------------------------------------------------------------------------------

-- Whether what the function saw in Lua is what it was; its upvalues are for the plan to compare.
function Step.still_holds(entry)
  if entry.version ~= recording.version then
    if recording.changed_module(entry.modules) then return false end
    entry.version = recording.version
  end
  return recording.notes_hold(entry.notes)
end

-- The step both ways from one state; what the function itself does stands.
local function audit(self, entry, batch, knobs)
  if not entry.plan:audit(batch, knobs, self.fn, entry.upvalues, entry.count) then return nil end
  local out = eager(self, batch, knob_tensors(self, knobs))
  collect()
  local difference = entry.plan:compare(out)
  if difference then
    host.fail(("step at %s: replayed and eager results differ at step %d: %s; expected a step that depends on its "
      .. "batch, its knobs, modules and optimizers alone (GRADUS_STEP=eager runs it as it is)")
      :format(self.line, entry.calls + 1, difference))
  end
  entry.calls, entry.audit_at = entry.calls + 1, entry.audit_at * 2
  return out
end

local function replay(self, entry, batch, knobs)
  if not Step.still_holds(entry) then return nil end
  if entry.calls + 1 == entry.audit_at then return audit(self, entry, batch, knobs) end
  local out = entry.plan:run(batch, knobs, self.fn, entry.upvalues, entry.count)
  if out then entry.calls = entry.calls + 1 end
  return out
end

-- Whether a plan may take the coming step.
function Step:can_replay()
  if recording.active then
    host.fail(("step: called inside of the step at %s; expected one after the other"):format(recording.active))
  end
  -- Here would stand graphs of real devices (at::accelerator::Graph): recorded once, replayed after the slab's refresh.
  return not (step.mode == "eager" or self.unrecordable or self.slab)
end

local function take(self, batch, knobs)
  if not self:can_replay() then return eager(self, batch, knob_tensors(self, knobs)) end
  local plans = self.plans
  for i = 1, #plans do
    local entry = plans[i]
    local out = replay(self, entry, batch, knobs)
    if out then
      self.vain = 0
      if i > 1 then
        table.remove(plans, i)
        table.insert(plans, 1, entry)
      end
      return out
    end
  end
  return record_step(self, batch, knobs)
end

--- A step for each row of the batch, with the bits that as many calls would give.
---@param batch table   tensors [n, …]; what is no tensor is given to each step
---@param knobs? table  name -> a number for all steps, a list of n numbers, or a tensor [n, …]
---@param options? table  { finite = { names } }: outputs of one number; the last step is one that leaves NaN or infinity in one.
---   { later = true }: an error in a step that is not the first is left to the next call, which begins with that step
---@return table outputs  stacked, [steps done, …]
---@return number done    n unless one of these ended it
function Step:scan(batch, knobs, options) return scan(self, batch, knobs, options) end

--- Runs one step. Returns the function's outputs, cut off from the graph, so that keeping one keeps no activations.
function Step:__call(batch, knobs)
  if self.over then knobs = self.over(knobs) end
  local out = take(self, batch, knobs)
  if self.unasked then tell_unasked(self) end
  if self.look then self.look(batch, out) end
  return out
end

return step
