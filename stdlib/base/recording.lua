--- What the step that is going on depends on besides tensors: the modules that it calls, and numbers of objects. While
--- no step is recorded, `modules` and `notes` are nil and all of this is a test of two fields. `again` is set by what
--- arranges itself anew in a step: that call's recording is worth nothing, the next one's is. `guarded`: a step is going on,
--- recorded or not, in which no optimizer takes what is not finite, unless it is told to. `changes`: what an update that
--- is refused in that step puts back besides its own (buffers of normalisation), as { now =, before = } lists; nil outside.
local recording = { modules = nil, notes = nil, version = 0, active = false, again = false, guarded = false, changes = nil }

--- Told by module.lua: a module is called in the step.
function recording.called(module)
  if recording.modules[module] then return end
  local values = {}
  for key, value in pairs(module._values) do values[key] = value end
  recording.modules[module] = values
end

--- Told by whoever reads object[key] in a step, where a script may set it between two steps.
function recording.note(object, key)
  if recording.notes then table.insert(recording.notes, { object, key, rawget(object, key) }) end
end

function recording.no_changes() return { now = {}, before = {}, known = {}, taken = false } end

--- Told by a layer whose forward is about to change these buffers of its own. What an update has been taken of stays: a later
--- one in the same step puts back only what was changed after it.
---@param module table
---@param names string[]
function recording.about_to_change(module, names)
  local changes = recording.changes
  if not changes then return end
  if changes.taken then
    changes = recording.no_changes()
    recording.changes = changes
  end
  if changes.known[module] then return end
  changes.known[module] = true
  for _, name in ipairs(names) do
    local buffer = module[name]
    table.insert(changes.now, buffer)
    table.insert(changes.before, buffer:clone())
  end
end

--- For an update that several steps prepare: a module's buffers as they are before the first of these, where keep() is called;
--- the step that updates calls restore_if_refused() first.
---@param module table
---@return {keep: fun(), restore_if_refused: fun(), put_back: fun()}
function recording.hold(module)
  local now, before = module:buffers(), {}
  for i, buffer in ipairs(now) do before[i] = buffer:clone() end
  return {
    keep = function()
      for i, buffer in ipairs(now) do before[i]:copy_(buffer) end
    end,
    restore_if_refused = function()
      recording.changes.now, recording.changes.before = now, before
    end,
    put_back = function()
      for i, buffer in ipairs(now) do buffer:copy_(before[i]) end
    end,
  }
end

local function same(a, b)
  for key, value in pairs(a) do
    if not rawequal(b[key], value) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

--- The first module that differs from what it was when it was called, or nil.
function recording.changed_module(modules)
  for module, values in pairs(modules) do
    if not same(values, module._values) then return module end
  end
end

function recording.notes_hold(notes)
  for _, note in ipairs(notes) do
    if rawget(note[1], note[2]) ~= note[3] then return false end
  end
  return true
end

return recording
