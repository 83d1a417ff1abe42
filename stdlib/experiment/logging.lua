--- What run:log does with what it is given: checked, written at once or, of an accelerator's tensors, once they can be read.
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local recording = require "gradus.base.recording"

local logging = {}

-- A key that a script logs again at a step takes the place of the value before: most of a loop's values would be lost.
local function logged_twice(self, name, at)
  if self.told_twice or not check.by_user(4) then return end
  self.told_twice = true
  self:warn("logged_twice", ("log: '%s' is logged again at step %d, so only its last value is kept; expected "
    .. "run:log(values, step), or a loop over run:batches, which counts steps"):format(name, at))
end

-- The number in a 0-dim tensor; nil when it has to be waited for.
local function number_of(self, name, value)
  if not engine.is_tensor(value) then
    host.fail(("log: '%s': expected a number or a 0-dim tensor; got %s"):format(tostring(name), type(value)))
  end
  if value:numel() ~= 1 then
    host.fail(("log: '%s': expected a number or a 0-dim tensor; got %s"):format(tostring(name), check.describe(value)))
  end
  if self.device ~= "cpu" and value.device ~= "cpu" then return nil end
  value = value:item()
  if value == true then return 1 elseif value == false then return 0 end
  return value
end

local function key_of(self, name)
  if type(name) ~= "string" then
    host.fail("log: expected a table of numbers by name, { loss = .5 }; got the name " .. check.describe(name))
  end
  local key = self.writer:key(name)
  self.keys[name] = key
  return key
end

--- As Run:log.
---@param self Run
---@param values table<string, number|Tensor>
---@param at? number
function logging.log(self, values, at)
  if recording.active then
    host.fail(("log: inside of the step at %s, which is replayed without Lua; expected it after the step, from its outputs")
      :format(recording.active))
  end
  local listener, writer, keys, now, later = self.listener, self.writer, self.keys, at or self.step_number, nil
  local latest = self.latest or {}
  if type(values) ~= "table" then host.fail("log: expected a table of numbers by name; got " .. check.describe(values)) end
  if type(now) ~= "number" or now % 1 ~= 0 or now < -2 ^ 63 or now >= 2 ^ 63 then  -- what the store's 64 bits hold
    host.fail("log: step: expected a whole number from -2^63 to less than 2^63; got " .. check.describe(now))
  end
  for name, value in pairs(values) do
    local key = keys[name] or key_of(self, name)
    if latest[key] == now then logged_twice(self, name, now) end
    latest[key] = now
    local number = type(value) == "number" and value or number_of(self, name, value)
    if number then
      writer:log(key, now, number)
      if listener then listener(name, number, now) end
    else
      later = later or {}
      later[key] = value
    end
  end
  if later then self.readback:push(later, now) end
end

return logging
