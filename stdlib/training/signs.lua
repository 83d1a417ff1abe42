--- What a curve shows: lists of numbers, one for each evaluation, read from their end.
local signs = {}

signs.WINDOW = 8   -- evaluations that a judgement of a curve looks at
local FLAT = .02   -- of a curve's level, within which it stands still

--- The lowest of list[from … to].
---@param list number[]
---@param from number
---@param to? number  the last when left out
function signs.least(list, from, to)
  local low = math.huge
  for i = math.max(1, from), to or #list do low = math.min(low, list[i]) end
  return low
end

--- The highest of list[from …].
---@param list number[]
---@param from number
function signs.most(list, from)
  local high = -math.huge
  for i = math.max(1, from), #list do high = math.max(high, list[i]) end
  return high
end

--- The mean of list[from … to].
---@param list number[]
---@param from number
---@param to number
function signs.mean(list, from, to)
  local sum = 0
  for i = from, to do sum = sum + list[i] end
  return sum / (to - from + 1)
end

--- Within two percent of its level over the window.
---@param list number[]
function signs.is_flat(list)
  local from, low, high = math.max(1, #list - signs.WINDOW + 1), math.huge, -math.huge
  for i = from, #list do low, high = math.min(low, list[i]), math.max(high, list[i]) end
  return high - low <= FLAT * math.abs(high)
end

--- Rose three times in a row, to half above its lowest and above both `ceiling` and where it began.
---@param list number[]
---@param ceiling number
function signs.rises(list, ceiling)
  local n = #list
  return n >= 4 and list[n] > list[n - 1] and list[n - 1] > list[n - 2] and list[n - 2] > list[n - 3]
    and list[n] > 1.5 * signs.least(list, 1) and list[n] > math.max(list[1], ceiling)
end

--- Turned at almost every evaluation of the window by this share of its level and more, and the later half is no lower than the
--- earlier. One jump (the largest move: more rows or a heavier augmentation) is none.
---@param list number[]
---@param share number
---@param floor number  a level below it is of no account
function signs.swings(list, share, floor)
  local from, half = #list - signs.WINDOW + 1, signs.WINDOW / 2
  if from < 1 then return false end
  local turns, travelled, largest = 0, 0, 0
  for i = from + 1, #list do
    local move = list[i] - list[i - 1]
    travelled, largest = travelled + math.abs(move), math.max(largest, math.abs(move))
    if i > from + 1 and move * (list[i - 1] - list[i - 2]) < 0 then turns = turns + 1 end
  end
  local level = signs.mean(list, from, #list)
  return level > floor and turns >= signs.WINDOW - 5 and travelled - largest > (signs.WINDOW - 2) * share * level
    and signs.mean(list, from + half, #list) > .9 * signs.mean(list, from, from + half - 1)
end

--- Whether the last three are all above the lowest by so much: what was reached is lost.
---@param list number[]
---@param much number
---@param from? number  where the list begins to be one curve
function signs.is_lost(list, much, from)
  from = from or 1
  return #list - from >= 5 and signs.least(list, #list - 2) > signs.least(list, from) + much
end

--- Whether the last three are all above so much.
---@param list number[]
---@param much number
---@param from? number
function signs.stays_above(list, much, from)
  return #list - (from or 1) >= 2 and signs.least(list, #list - 2) > much
end

--- How fast a curve fell over its last quarter (four evaluations at least), beside its fastest fall over as many before; both for the
--- learning rate that went into them. nil where that is not known yet.
---@param list number[]
---@param spent number[]  learning rates summed up to each evaluation
---@return number?
function signs.pace(list, spent)
  local n, w = #list, math.max(4, math.floor(#list / 4))
  if n < 2 * w then return nil end
  local function fall(i) return (list[i - w] - list[i]) / (spent[i] - spent[i - w]) end
  local fastest = 0
  for i = w + 1, n do fastest = math.max(fastest, fall(i)) end
  return fastest > 0 and fall(n) / fastest or nil
end

return signs
