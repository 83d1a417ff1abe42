-- When snapshots are taken, by a clock of the spec's own.
local engine = require "gradus.engine"
local host = require "gradus.host"
local snapshots = require "gradus.experiment.snapshots"
local support = require "support"

-- Looks each second, as a loop of steps would; the seconds at which a snapshot was taken. taking: how long each takes; memory: bytes.
local function times(policy, seconds, o)
  local real, memory, now, found = host.monotonic, engine.memory, 1000, {}
  local ok, err = pcall(support.with_run, {}, function(run)
    host.monotonic = function() return now end
    engine.memory = function() return o.memory or 0 end
    local kept = snapshots.new(run, policy)
    local part = { s = { stage_index = 1 }, state = function() now = now + (o.taking or 0) return {} end }
    kept.outer, kept.number, kept.began = part, 1, now
    while now - 1000 < seconds do
      now = now + 1
      local before, began = kept.time, now
      for _ = 1, 8 do kept:look(part) end
      if kept.time ~= before then found[#found + 1] = began - 1000 end
    end
  end)
  host.monotonic, engine.memory = real, memory
  if not ok then error(err, 0) end
  return found
end

describe("snapshots", function()
  it("are taken after 5 s and then each minute", function()
    expect(times(snapshots.policy(nil), 130, {})):equals { 5, 65, 125 }
  end)
  it("cost at most a hundredth of the time", function()
    expect(times(snapshots.policy(nil), 420, { taking = 2 })):equals { 5, 207, 409 }
  end)
  it("of much that could be copied begin later, but with the first minute", function()
    expect(times(snapshots.policy(nil), 61, { memory = 2e8 })):equals { 20 }
    expect(times(snapshots.policy(nil), 61, { memory = 1e12 })):equals { 60 }
  end)
  it("are taken as --snapshots says", function()
    expect(times(snapshots.policy "30s", 70, {})):equals { 30, 60 }
    expect(times(snapshots.policy "2s", 7, {})):equals { 2, 4, 6 }
    expect(times(snapshots.policy "none", 70, {})):equals {}
  end)
end)
