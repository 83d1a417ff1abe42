--- A training of other options goes on from where one stands: a live edit's, or a continuation of a look-ahead. It is in the stage of the
--- same name, else in that of the same number, with the rows that still fit.
local sampler = require "gradus.curriculum.sampler"

-- Where the list of stages goes on.
local function fit_stages(kept, names, new)
  local of, to = kept.stages, nil
  local name = names[of.index]
  for i, stage in ipairs(new.list) do
    if stage.name == name then to = i end
  end
  to = to or new.list[of.index] and of.index
  if not to then
    error(("curriculum: the training is in stage %d, '%s'; the new version has %d stages"):format(of.index, name, #new.list), 0)
  end
  of.index, of.told = to, {}
  of.reached = math.max(to, math.min(of.reached, #new.list))
  local history = of.history
  history.stage, history.stage_index = new.list[to].name, to
  history.furthest.index = math.max(to, math.min(history.furthest.index, #new.list))
end

local function equal(a, b)
  return a:numel() == b:numel() and (a:numel() == 0 or a:eq(b):all():item())
end

-- The state of a sampler: what the rows have shown and how often they came from the old one, its settings from the new one; where the
-- same rows can be drawn, it stands where the old one stood.
local function joined(old, fresh)
  if type(fresh.subset) == "nil" or old.mode ~= fresh.mode or old.rows ~= fresh.rows then return nil end
  local state = {}
  for name, value in pairs(fresh) do state[name] = value end
  for _, name in ipairs { "seed", "draws", "visits", "confidence", "counted" } do state[name] = old[name] end
  local same = equal(old.subset, fresh.subset)
  state.cursor, state.passes, state.order = same and old.cursor or 0, same and old.passes or 0, same and old.order or old.order + 1
  return state
end

-- In the place of Feed:load_state: takes over what fits; a sampler of another kind begins anew.
local function take_over_rows(feed, kept, ask, train)
  feed:number_as(kept, train)
  ask()
  pcall(feed.restore_others, feed, kept)  -- of those that are of the same kind as before
  sampler.numbered(math.max(kept.made, sampler.numbered()))
  feed.drawn = kept.drawn
  local rows = feed.source
  if rows.core then
    local state = joined(kept.source, rows:state())
    if state then rows:restore(state) end
  else
    pcall(rows.restore, rows, kept.source)
  end
end

---@param one Training     made of the new options
---@param names string[]   of the other one's stages
---@param state table      of the other one; of its own from here on
return function(one, names, state)
  one.feed.load_state = take_over_rows  -- this once
  fit_stages(state, names, one.stages)
  one:load_state(state)
  one.feed.load_state = nil
end
