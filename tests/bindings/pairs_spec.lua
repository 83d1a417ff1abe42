-- Loops over pairs() and next whose inner loop makes LuaJIT give up compiling them, after some tens of thousands of turns.
local function back_to_the_interpreter(...)
  for _ = 1, 100 do end
  return ...
end

local inner = { 1, 2, 3, 4, 5 }
local outer = { a = inner, b = inner, c = inner, d = inner, e = inner }

-- How many of many loops over `outer` end before its last key.
local function short_by_pairs()
  local short = 0
  for _ = 1, 100000 do
    back_to_the_interpreter()
    local seen = 0
    for _, list in pairs(outer) do
      for _ in pairs(list) do end
      seen = seen + 1
    end
    if seen ~= 5 then short = short + 1 end
  end
  return short
end

local function short_by_next()
  local short = 0
  for _ = 1, 100000 do
    back_to_the_interpreter()
    local seen = 0
    for _, list in next, outer do
      for _ in next, list do end
      seen = seen + 1
    end
    if seen ~= 5 then short = short + 1 end
  end
  return short
end

describe("a loop that runs very often", function()
  it("over pairs sees every key", function() expect(short_by_pairs()):equals(0) end)
  it("over next sees every key", function() expect(short_by_next()):equals(0) end)
end)
