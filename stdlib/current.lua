--- The run that this Lua state is executing, and its named random streams. Outside of a run: seed 0.
local engine = require "gradus.engine"

local current = { run = nil }

--- The seed of a named stream of the current run (below 2^53): split, init, order, augment, dropout, probe, ….
---@param name string
---@param sub? number
function current.stream(name, sub)
  return engine.data.derive_seed(current.run and current.run.seed or 0, name, sub or 0)
end

return current
