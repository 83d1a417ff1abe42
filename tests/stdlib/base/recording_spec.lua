-- What a step that is going on depends on.
local g = require "gradus"
local recording = require "gradus.base.recording"

-- With these fields of `recording` for a while.
local function with(fields, fn)
  local before = {}
  for name in pairs(fields) do before[name] = recording[name] or false end
  for name, value in pairs(fields) do recording[name] = value end
  local ok, err = pcall(fn)
  for name in pairs(fields) do recording[name] = before[name] or nil end
  if not ok then error(err, 0) end
end

describe("outside of a step", function()
  it("nothing is recorded", function()
    expect({ recording.modules, recording.notes, recording.active, recording.again, recording.guarded, recording.changes }):equals
      { nil, nil, false, false, false }
    recording.note({ a = 1 }, "a")
    recording.about_to_change(g.nn.BatchNorm1d(2), { "running_mean" })
    expect({ recording.notes, recording.changes }):equals {}
  end)
end)

describe("a module that a step calls", function()
  it("is known by what it held at its first call", function()
    local one, other = g.nn.Linear(2, 2), g.nn.Linear(2, 2)
    local modules = {}
    with({ modules = modules }, function()
      recording.called(one)
      recording.called(other)
      expect(recording.changed_module(modules)):equals(nil)
      local weight = one.weight
      one._values.weight = g.zeros(2, 2)
      recording.called(one)  -- again: the first call counts
      expect(recording.changed_module(modules) == one):is_true()
      one._values.weight = weight
      expect(recording.changed_module(modules)):equals(nil)
      one._values.extra = 1
      expect(recording.changed_module(modules) == one):is_true()
      one._values.extra = nil
      local bias = one._values.bias
      one._values.bias = nil
      expect(recording.changed_module(modules) == one):is_true()
      one._values.bias = bias
    end)
  end)
end)

describe("a note of a field", function()
  it("holds while the field is what it was", function()
    local object, notes = { a = 1, b = false }, {}
    with({ notes = notes }, function()
      for _, key in ipairs { "a", "b", "c" } do recording.note(object, key) end
    end)
    expect(#notes):equals(3)
    expect(recording.notes_hold(notes)):is_true()
    for _, change in ipairs { { "a", 2, 1 }, { "b", nil, false }, { "c", 0, nil } } do
      object[change[1]] = change[2]
      expect(recording.notes_hold(notes)):is_false()
      object[change[1]] = change[3]
      expect(recording.notes_hold(notes)):is_true()
    end
    expect(recording.notes_hold {}):is_true()
  end)
end)

describe("buffers that a refused update puts back", function()
  local function norm() return g.nn.BatchNorm1d(2) end
  it("are kept as they were before the first change of each module", function()
    local one = norm()
    with({ changes = recording.no_changes() }, function()
      recording.about_to_change(one, { "running_mean", "running_var" })
      one.running_mean:fill_(5)
      recording.about_to_change(one, { "running_mean", "running_var" })
      local changes = recording.changes
      expect({ #changes.now, #changes.before, changes.taken }):equals { 2, 2, false }
      expect({ changes.now[1] == one.running_mean, changes.now[2] == one.running_var }):equals { true, true }
      expect({ changes.before[1]:totable(), changes.now[1]:totable(), changes.before[2]:totable() }):equals { { 0, 0 }, { 5, 5 }, { 1, 1 } }
    end)
  end)
  it("are others after an update took them", function()
    local one = norm()
    with({ changes = recording.no_changes() }, function()
      recording.about_to_change(one, { "running_mean" })
      local first = recording.changes
      first.taken = true
      one.running_mean:fill_(5)
      recording.about_to_change(one, { "running_mean" })
      expect({ rawequal(recording.changes, first), #first.now, #recording.changes.now }):equals { false, 1, 1 }
      expect(recording.changes.before[1]:totable()):equals { 5, 5 }
    end)
  end)
  it("of an update that several steps prepare are those before the first of these", function()
    local one = norm()
    local hold = recording.hold(one)
    one.running_mean:fill_(3)
    hold.keep()
    one.running_mean:fill_(4)
    with({ changes = recording.no_changes() }, function()
      hold.restore_if_refused()
      local place
      for i, buffer in ipairs(recording.changes.now) do
        if buffer == one.running_mean then place = i end
      end
      expect({ #recording.changes.now, #recording.changes.before }):equals { #one:buffers(), #one:buffers() }
      expect(recording.changes.before[place]:totable()):equals { 3, 3 }
    end)
  end)
end)
