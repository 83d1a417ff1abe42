--- The run that this Lua state is executing, and its named random streams. Outside of a run: seed 0.
local engine = require "gradus.engine"
local host = require "gradus.host"

local current = { run = nil, contents = {} }

--- The seed of a named stream of the current run (below 2^53): split, init, order, augment, dropout, probe, ….
---@param name string
---@param sub? number
function current.stream(name, sub)
  return engine.data.derive_seed(current.run and current.run.seed or 0, name, sub or 0)
end

--- A warning of the run, else a line of the log.
---@param kind string  what it is about
---@param text string
function current.tell(kind, text)
  local run = current.run
  if run and run.warn then return run:warn(kind, text) end
  host.log("warning", text)
end

--- Notes data that was read from a file, by a hash of its content, or code that was loaded while the run goes on: it is part of
--- what configures this run and those that started it. Data that a script makes is not: its source, parameters and seed tell all
--- of it, and repetitions of one configuration may differ by the seed alone.
---@param hash string
function current.reads(hash)
  for _, known in ipairs(current.contents) do
    if known == hash then return end
  end
  table.insert(current.contents, hash)
  table.sort(current.contents)
  local run = current.run
  while run and run.configure do
    run:configure()
    run = run.parent
  end
end

return current
