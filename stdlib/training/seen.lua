--- A model that an earlier run has trained, tested on rows of which some were among those that it was trained on: told once.
local host = require "gradus.host"
local loaded = require "gradus.nn.loaded"
local trained_rows = require "gradus.data.trained_rows"

local told = setmetatable({}, { __mode = "k" })  -- model -> data sets of which it was told

--- Warns where some of the rows, and not all of them, were trained on: all are the training rows, which one may look at.
---@param run Run
---@param model Module
---@param d Dataset
return function(run, model, d)
  local about = loaded[model]
  local kept = about and about.trained_on and host.json_decode(about.trained_on)
  if not kept or told[model] then return end
  local count = trained_rows.count(kept, d)
  if not count or count == 0 or count == d:size() then return end
  told[model] = true
  run:warn("seen", ("evaluate: %d of these %d rows of '%s' were among those that the model was trained on, by run %s of seed %s; here the "
    .. "seed is %s: expected --seed %s, or d:split({ … }, { seed = … }) in both, so that the split is the same"):format(count, d:size(),
    d.name, about.run and about.run:sub(1, 8) or "?", tostring(kept.seed), tostring(run.seed), tostring(kept.seed)))
end
