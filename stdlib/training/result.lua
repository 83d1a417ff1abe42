--- What run:distill returns: the student and what its training came to.
local check = require "gradus.base.check"
local host = require "gradus.host"
local sparkline = require "gradus.base.sparkline"

---@class Result
---@field student Module    with the best checkpoint's weights, where there was validation data
---@field steps number
---@field epochs number
---@field seconds number
---@field flops number      charged: the teacher's for each sample seen
---@field flops_spent number carried out: less where the teacher's answers were cached
---@field checkpoints Checkpoints?
local Result = check.methods("what distill returns", {}, { instead = function(name)
  if name:find "/" then return ('r:last "%s" or r:best "%s"'):format(name, name) end
  if name == "acc" or name == "accuracy" or name == "loss" then return 'r:last "val/acc", r:best "val/acc" or r:last "val/loss"' end
  if name:find "^val_" or name:find "^train_" then return ('r:last "%s"'):format((name:gsub("_", "/", 1))) end
end })
Result.__index = Result

--- The step at which the metric first reached the threshold; nil when it never did.
function Result:first_step(key, threshold) return self.state:first_step(key, threshold) end

--- The floating-point operations charged until then.
function Result:first_flops(key, threshold) return self.state:first_flops(key, threshold) end

--- The metric's latest value within so many floating-point operations.
function Result:at_flops(key, flops) return self.state:at_flops(key, flops) end

--- The metric's last value.
function Result:last(key) return self.state:last(key) end

--- The metric's best value and its step, as s:best of a curriculum's state. r.best.value and r.best.step are those of the metric that
--- was monitored.
---@param key string
function Result:best(key) return self.state:best(key) end

--- All values of the metric, oldest first.
function Result:history(key) return self.state:history(key) end

-- The list's entries at `width` equal shares of the FLOPs of its last.
local function by_flops(list, width)
  local picked, i = {}, 1
  for column = 1, width do
    while i < #list and list[i + 1].flops <= column / width * list[#list].flops do i = i + 1 end
    picked[column] = list[i]
  end
  return picked
end

--- The metric's history as a line of text, with a "┆" where a stage began: evaluation by evaluation, or over = "flops".
--- Other options are g.sparkline's.
function Result:sparkline(key, options)
  local given, list, marks, values = { width = 60 }, self.state:entries(key), {}, {}
  for name, value in pairs(options or {}) do given[name] = value end
  if given.over == "flops" and #list > 0 then list = by_flops(list, given.width) end
  for i, one in ipairs(list) do
    values[i] = one.value
    if i > 1 and one.stage ~= list[i - 1].stage then marks[#marks + 1] = i end
  end
  given.marks = marks
  return sparkline(values, given)
end

--- Of a suite or "val": the share of its examples that were right at some evaluation and are wrong at the last. Of a metric: how far it
--- fell from its best to the end of the training; 0 when it ended at its best.
---@param key string  "hard", or "hard/acc"
function Result:forgetting(key)
  if type(key) == "string" and not key:find "/" then return self.state:last(key .. "/forgotten") end
  local best, last = self.state:best(key), self.state:last(key)
  if not best then return nil end
  return self.state:sign(key) * (best - last)
end

-- What `best` of a result is: called, the method; its fields are the monitored metric's.
local Best = { __call = function(_, result, key)
  if getmetatable(result) ~= Result then host.fail "best: expected r:best \"val/acc\", with a colon" end
  if type(key) ~= "string" then host.fail("best: expected a metric, such as r:best \"val/acc\"; got " .. check.describe(key)) end
  return Result.best(result, key)
end }

function Best.__index(self, name)
  if name == "value" or name == "step" then
    host.fail(("best.%s: nothing was monitored; expected validation data, or r:best \"a/metric\""):format(name))
  end
  host.fail(("best has no '%s'; expected r:best \"val/acc\", r.best.value or r.best.step"):format(tostring(name)))
end

---@param fields table   best: { value, step } of the monitored metric; nil where nothing was
---@return Result
return function(fields)
  fields.best = setmetatable(fields.best and { value = fields.best.value, step = fields.best.step } or {}, Best)
  return setmetatable(fields, Result)
end
