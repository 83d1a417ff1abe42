--- math.random with a state that can be saved. LuaJIT hides its generator's, but each call takes one number from it: the seed and how
--- many were taken are the state.
local random, randomseed = math.random, math.randomseed
local seed, taken = nil, 0

function math.random(low, high)
  taken = taken + 1
  if high ~= nil then return random(low, high) end
  if low ~= nil then return random(low) end
  return random()
end

function math.randomseed(value)
  randomseed(value)
  seed, taken = value, 0
end

local lua_random = {}

---@return {seed: number?, taken: number}
function lua_random.state() return { seed = seed, taken = taken } end

function lua_random.load_state(kept)
  math.randomseed(kept.seed or 0)
  for _ = 1, kept.taken do random() end
  taken = kept.taken
end

return lua_random
