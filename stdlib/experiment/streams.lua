--- The random streams of a run: how they begin, where they stand, and putting them back there.
local engine = require "gradus.engine"
local nn = require "gradus.nn"
local random = require "gradus.base.random"
local sampler = require "gradus.curriculum.sampler"

local streams = {}

--- Has the random streams begin as a run of this seed has them: initialisation, dropout (and every operator that is given no generator),
--- Lua's own; and its samplers be numbered from 1.
---@param seed number
function streams.begin(seed)
  local derive = engine.data.derive_seed
  nn.init_generator = engine.generator(derive(seed, "init"))
  engine.manual_seed(derive(seed, "dropout"))
  math.randomseed(derive(seed, "lua") % 2 ^ 31)
  sampler.numbered(0)
end

--- Where the run's random streams stand, and the numbers of its samplers.
---@param run {device: string}
---@return table   plain values and tensors
function streams.state(run)
  local defaults = { cpu = engine.default_generator():get_state() }
  if run.device ~= "cpu" then defaults[run.device] = engine.default_generator(run.device):get_state() end
  return { init = nn.init_generator:get_state(), lua = random.state(), sources = sampler.numbered(), defaults = defaults }
end

--- Puts the random streams back.
---@param kept table  what `state` gave
function streams.load_state(kept)
  for device, state in pairs(kept.defaults) do engine.default_generator(device):set_state(state) end
  nn.init_generator:set_state(kept.init)
  sampler.numbered(kept.sources)
  random.load_state(kept.lua)
end

return streams
