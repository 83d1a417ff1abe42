--- What a sweep's trials tell of their parameters: how much each matters, where the best lie, what to try next.
local effects = {}

local BINS = 4    -- of a range, with equally many trials each but for those of one value
local TURNS = 30  -- of fitting each parameter's part to what the others leave

local function mean(values)
  local sum = 0
  for _, v in ipairs(values) do sum = sum + v end
  return sum / #values
end

local function squares(values, around)
  local sum = 0
  for _, v in ipairs(values) do sum = sum + (v - around) ^ 2 end
  return sum
end

-- Which group each trial lies in, and how many there are: by value of a list, by quarters of a range.
local function groups_of(axis, trials)
  local place, count, by = {}, 0, {}
  if axis.values then
    for i, one in ipairs(trials) do
      local value = one.given[axis.key]
      if not by[value] then
        count = count + 1
        by[value] = count
      end
      place[i] = by[value]
    end
    return place, count
  end
  local order = {}
  for i in ipairs(trials) do order[i] = i end
  table.sort(order, function(a, b)
    local first, second = trials[a].given[axis.key], trials[b].given[axis.key]
    if first ~= second then return first < second end
    return a < b
  end)
  local function value_at(rank) return order[rank] and trials[order[rank]].given[axis.key] end
  local first, quarter = 1, nil
  while first <= #order do  -- trials of one value lie in one group: they come with the best first
    local last = first
    while value_at(last + 1) == value_at(first) do last = last + 1 end
    local own = math.floor(((first + last) / 2 - 1) * math.min(BINS, #trials) / #trials)
    if own ~= quarter then count, quarter = count + 1, own end
    for rank = first, last do place[order[rank]] = count end
    first = last + 1
  end
  return place, count
end

-- The mean of each group of what is left of the trials' values, each moved to the mean 0 over all trials.
local function part_of(place, count, left)
  local sums, sizes = {}, {}
  for g = 1, count do sums[g], sizes[g] = 0, 0 end
  for i, g in ipairs(place) do sums[g], sizes[g] = sums[g] + left[i], sizes[g] + 1 end
  local part, middle = {}, mean(left)
  for g = 1, count do part[g] = sizes[g] > 0 and sums[g] / sizes[g] - middle or 0 end
  return part
end

--- By parameter, the share of the trials' variance that it explains by itself, in a model that adds up one number for each
--- parameter's group (fitted by turns, so that what the others explain is taken off first); what chance explains on average
--- is subtracted. Empty: too few trials to say.
---@param axes Axis[]
---@param trials {given: table, value: number}[]
---@return table<string, number>
function effects.importance(axes, trials)
  local values, places, counts, parts, degrees = {}, {}, {}, {}, 0
  for i, one in ipairs(trials) do values[i] = one.value end
  for k, axis in ipairs(axes) do
    places[k], counts[k] = groups_of(axis, trials)
    parts[k] = {}
    for g = 1, counts[k] do parts[k][g] = 0 end
    degrees = degrees + counts[k] - 1
  end
  local free = #values - 1 - degrees
  if free < 1 then return {} end
  local middle = mean(values)
  local total = squares(values, middle)
  if not (total > 0 and total < math.huge) then return {} end
  local function left_without(skipped)
    local left = {}
    for i, value in ipairs(values) do
      left[i] = value - middle
      for k in ipairs(axes) do
        if k ~= skipped then left[i] = left[i] - parts[k][places[k][i]] end
      end
    end
    return left
  end
  for _ = 1, TURNS do
    for k in ipairs(axes) do parts[k] = part_of(places[k], counts[k], left_without(k)) end
  end
  local noise, shares, most = squares(left_without(nil), 0) / free, {}, 1
  for k, axis in ipairs(axes) do
    local explained = 0
    for _, g in ipairs(places[k]) do explained = explained + parts[k][g] ^ 2 end
    shares[axis.key] = math.max(0, explained - (counts[k] - 1) * noise) / total
    most = math.max(most, shares[axis.key])
  end
  -- Parameters that were not tried with each other evenly may explain opposite parts of one difference: more than all of it.
  for key, share in pairs(shares) do shares[key] = share / most end
  return shares
end

-- The smallest and the largest value of the best quarter of the trials.
local function best_quarter(axis, ranked)
  local low, high = math.huge, -math.huge
  for i = 1, math.max(2, math.ceil(#ranked / 4)) do
    local value = ranked[i] and ranked[i].given[axis.key]
    if value then low, high = math.min(low, value), math.max(high, value) end
  end
  return low, high
end

-- A value as the parameter takes it: whole where it must be, within its limits.
local function allowed(axis, value)
  local spec = axis.spec or {}
  if spec.kind == "int" then value = math.floor(value + .5) end
  return math.max(spec.min or -math.huge, math.min(spec.max or math.huge, value))
end

local function in_words(axis, value) return (axis.whole and "%d" or "%.3g"):format(value) end

local function advise_range(axis, ranked)
  local best = axis:share(ranked[1].given[axis.key])
  local low, high = best_quarter(axis, ranked)
  local wide = axis.scale == "log" and axis.high / axis.low or axis.high - axis.low
  if best < .1 or best > .9 then
    local side, new_low, new_high = best < .5, axis.low, axis.high
    if side then new_low = axis.scale == "log" and axis.low / wide or axis.low - wide end
    if not side then new_high = axis.scale == "log" and axis.high * wide or axis.high + wide end
    new_low, new_high = allowed(axis, new_low), allowed(axis, new_high)
    if axis.scale == "log" and new_low <= 0 then new_low = axis.low end
    if new_low == axis.low and new_high == axis.high then return nil end  -- the parameter's own end
    return ("%s: the best lies at the %s end of its range: --set %s=%s(%s,%s)"):format(axis.key, side and "low" or "high", axis.key,
      axis.scale, in_words(axis, new_low), in_words(axis, new_high))
  end
  if #ranked >= 8 and axis:share(high) - axis:share(low) < .5 and high > low then
    local from, to = in_words(axis, low), in_words(axis, high)
    return ("%s: the best quarter lies from %s to %s: --set %s=%s(%s,%s)"):format(axis.key, from, to, axis.key, axis.scale, from, to)
  end
end

--- The trials beside the first that came to as much.
---@param ranked {value: number}[]  the best first
---@return table[]
function effects.tied(ranked)
  local tied = {}
  for i = 2, #ranked do
    if ranked[i].value ~= ranked[1].value then break end
    tied[#tied + 1] = ranked[i]
  end
  return tied
end

-- Whether a trial that came to as much as the best had another value.
local function is_tied(axis, ranked)
  for _, one in ipairs(effects.tied(ranked)) do
    if one.given[axis.key] ~= ranked[1].given[axis.key] then return true end
  end
  return false
end

local function advise_list(axis, ranked)
  local numbers = {}
  for i, value in ipairs(axis.values) do
    if type(value) ~= "number" then return nil end
    numbers[i] = value
  end
  table.sort(numbers)
  local best = ranked[1].given[axis.key]
  if #numbers < 2 or best ~= numbers[1] and best ~= numbers[#numbers] then return nil end
  local largest = best == numbers[#numbers]
  local inner = largest and numbers[#numbers - 1] or numbers[2]
  local ratio = best / inner
  if #numbers == 2 then ratio = math.min(2, math.max(.5, ratio)) end  -- two values have no spacing that goes on
  local beyond = allowed(axis, best > 0 and inner > 0 and best * ratio or 2 * best - inner)
  if beyond == best then return nil end  -- the parameter goes no farther
  return ("%s: the best is its %s value: --set %s=%g,%g"):format(axis.key, largest and "largest" or "smallest", axis.key, best, beyond)
end

--- Sentences about what to try next.
---@param axes Axis[]
---@param ranked {given: table, value: number, sd: number?}[]  the best first
---@param importance table<string, number>
---@return string[]
function effects.advice(axes, ranked, importance)
  local lines = {}
  for _, axis in ipairs(axes) do
    local share = importance[axis.key]
    local advise = axis.values and advise_list or advise_range
    local line = (not share or share > .02) and not is_tied(axis, ranked) and advise(axis, ranked)
    if share and share <= .02 and #ranked >= 8 then
      line = ("%s: alone without effect here; a fixed value leaves more trials to the others"):format(axis.key)
    end
    lines[#lines + 1] = line or nil
  end
  local first, second = ranked[1], ranked[2]
  if second and (first.runs or 1) < 2 then
    lines[#lines + 1] = "one seed each: the first places may be luck; --seeds 3 tells"
  elseif second and first.sd and math.abs(first.value - second.value) < first.sd then
    lines[#lines + 1] = "the two best differ by less than their seeds do: more --seeds, or take either"
  end
  return lines
end

return effects
