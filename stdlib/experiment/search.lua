--- Which sets of parameters a sweep tries, in which order: search.NAME(axes, seed) -> propose(i), the i-th set as
--- { key = value }, the same in every process; nil when there is none left.
local engine = require "gradus.engine"

local search = {}

local PRIMES = { 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53 }
search.most_axes = #PRIMES

local function uniform(seed, name, i) return engine.data.derive_seed(seed, name, i) / 2 ^ 53 end

--- Every combination, the last axis first.
function search.grid(axes)
  return function(i)
    local given, rest = {}, i - 1
    for k = #axes, 1, -1 do
      local count = #axes[k].values
      given[axes[k].key] = axes[k].values[1 + rest % count]
      rest = math.floor(rest / count)
    end
    if rest == 0 then return given end
  end
end

--- Independent draws.
function search.random(axes, seed)
  return function(i)
    local given = {}
    for _, axis in ipairs(axes) do given[axis.key] = axis:at(uniform(seed, "sweep/" .. axis.key, i)) end
    return given
  end
end

--- The i-th number (from 0) of the van der Corput sequence: i's digits in the base, mirrored at the point.
function search.radical_inverse(i, base)
  local value, share = 0, 1 / base
  while i > 0 do
    value = value + i % base * share
    i, share = math.floor(i / base), share / base
  end
  return value
end

--- Halton's points: they fill the space evenly at any count, where random ones leave holes. Each axis is turned by an amount
--- of its own, drawn from the seed (Cranley and Patterson), so that none begins in the corner.
function search.halton(axes, seed)
  return function(i)
    local given = {}
    for k, axis in ipairs(axes) do
      given[axis.key] = axis:at((search.radical_inverse(i, PRIMES[k]) + uniform(seed, "sweep/" .. axis.key, 0)) % 1)
    end
    return given
  end
end

return search
