--- The pressure axis: how strongly. The knobs of a distillation's coming step: its own, over them the stage's, over them what
--- the stage's pressure function says.
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local schedule = require "gradus.curriculum.schedule"

local pressure = {}

--- What is expected of a knob, where this number is not it; nil where it is good.
function pressure.wanted(name, value)
  local good = type(value) == "number" and value == value and value ~= math.huge
    and (name ~= "temperature" or value > 0) and (name ~= "lr" or value >= 0)
    and (name ~= "alpha" and name ~= "augment" or value >= 0 and value <= 1)
  if good then return nil end
  return name == "temperature" and "a number above 0" or name == "lr" and "a number of at least 0" or "a number from 0 to 1"
end

--- Adds the methods to the class of distill.lua.
function pressure.add_to(Distill)
  -- At the state s, which stretch.lua lets run ahead.
  function Distill:pressure(s)
    local values = {}
    local asked = self.stage.pressure
    if asked then host.entering(asked) end
    local said = asked and asked(s) or {}
    if type(said) ~= "table" then host.fail("curriculum: pressure: expected a table of knobs; got " .. type(said)) end
    for name in pairs(said) do
      if self.knobs[name] == nil then check.options("curriculum: pressure", said, { "temperature", "alpha", "augment", "lr" }) end
    end
    for name, base in pairs(self.knobs) do
      local one = said[name]
      if one == nil then one = self.stage.knobs[name] end
      if one == nil then one = base end
      if type(one) == "function" then host.entering(one) end
      local value = type(one) == "table" and one.of_batch and one or schedule.value(one, s)
      self:check_knob(name, value)
      values[name] = value
    end
    return values
  end

  -- A knob is a number, or one for each example: a tensor, or a schedule that makes one of the batch.
  function Distill:check_knob(name, value)
    if type(value) == "table" and name ~= "temperature" then
      host.fail(("%s: schedule.by_entropy gives one value for each example, which only the temperature takes"):format(name))
    end
    local number = type(value) == "number"
    if not number and name ~= "augment" and name ~= "lr" and (type(value) == "table" or engine.is_tensor(value)) then return end
    local wanted = pressure.wanted(name, value)
    if not wanted then return end
    host.fail(("stage '%s', step %d: %s: expected %s; got %s"):format(self.stage.name, self.state.step, name, wanted,
      check.describe(value)))
  end
end

return pressure
