--- Several steps in one call, as jax.lax.scan: what a call costs, in Lua and on the way to C++, is paid once for all.
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"

local ops, is_tensor = engine.ops, engine.is_tensor

local function is_list(value) return type(value) == "table" end

-- How many rows the tensors and lists have.
local function length(batch, knobs)
  local n, first
  local function agree(name, rows)
    if not n then n, first = rows, name end
    if rows ~= n then
      host.fail(("scan: '%s' has %d rows; expected %d, as '%s' has"):format(name, rows, n, first))
    end
  end
  for _, values in ipairs { batch, knobs } do
    for name, value in pairs(values) do
      if is_tensor(value) then
        if value:dim() == 0 then
          host.fail(("scan: '%s': expected a tensor with a row for each step; got one number"):format(tostring(name)))
        end
        agree(name, value:size(0))
      elseif values == knobs and is_list(value) then
        agree(name, #value)
      end
    end
  end
  if not n or n < 1 then host.fail "scan: expected tensors with a row for each step; got none" end
  return n
end

-- What step i, from 0, is given of them.
local function row(values, i, of_knobs)
  local one = {}
  for name, value in pairs(values) do
    if is_tensor(value) then value = value[i] elseif of_knobs and is_list(value) then value = value[i + 1] end
    one[name] = value
  end
  return one
end

local function room(value, n)
  return is_tensor(value) and ops.empty({ n, unpack(value.shape) }, { dtype = value.dtype, device = value.device }) or value
end

local function each(out, f)
  if is_tensor(out) then return f(out) end
  local made = {}
  for name, value in pairs(out) do made[name] = f(value, name) end
  return made
end

local function all_finite(out, finite)
  for name in pairs(finite) do
    if not is_tensor(out[name]) then
      host.fail(("scan: finite: expected an output of the step; got '%s'"):format(tostring(name)))
    end
    if not out[name]:isfinite():item() then return false end
  end
  return true
end

-- One step by itself: recorded, audited, eager, or on an accelerator.
local function single(self, batch, knobs, i, n, stacked, finite)
  local out = self(row(batch, i), row(knobs, i, true))
  stacked = stacked or each(out, function(value) return room(value, n) end)
  each(out, function(value, name)
    if is_tensor(value) then (name and stacked[name] or stacked)[i]:copy_(value) end
  end)
  return stacked, not all_finite(out, finite)
end

-- The same, not the first of a call: nil where it fails, and nothing has moved.
local function later(...)
  local generator = engine.default_generator()
  local stood = generator:get_state()
  local ok, stacked, over = pcall(single, ...)
  if ok then return stacked, over end
  generator:set_state(stood)
end

-- As many steps as a plan takes up to its next audit.
local function replay(self, batch, knobs, lists, at, n, stacked, finite)
  for _, entry in ipairs(self.plans) do
    local steps = math.min(n - at, entry.audit_at - entry.calls - 1)
    if steps > 0 and self.still_holds(entry) then
      local into = stacked or entry.plan:stacked(n)
      local done, over = entry.plan:scan(batch, knobs, self.fn, entry.upvalues, entry.count,
        { from = at, steps = steps, lists = lists, into = into, finite = finite })
      if done then
        entry.calls, self.vain = entry.calls + done, 0
        return done, into, over
      end
    end
  end
end

-- Step:scan, see step.lua.
return function(self, batch, knobs, options)
  check.value("scan", "batch", batch, check.table)
  knobs = check.value("scan", "knobs", knobs or {}, check.table)
  if self.over then knobs = self.over(knobs) end
  options = check.options("scan", options or {}, { finite = check.table, later = check.boolean }, { finite = {} })
  local finite, lists, first = {}, {}, {}
  for _, name in ipairs(options.finite) do finite[name] = true end
  for name, value in pairs(knobs) do
    if is_list(value) then
      for i, one in ipairs(value) do
        if type(one) ~= "number" then
          host.fail(("scan: knob '%s', step %d: expected a number; got %s"):format(tostring(name), i, check.describe(one)))
        end
      end
      lists[name], value = value, value[1]
    end
    first[name] = value
  end
  local n = length(batch, knobs)
  local at, stacked, over = 0, nil, false
  while at < n and not over do
    local done, into
    if self:can_replay() then done, into, over = replay(self, batch, first, lists, at, n, stacked, finite) end
    if not done then
      done = 1
      into, over = (options.later and at > 0 and later or single)(self, batch, knobs, at, n, stacked, finite)
      if not into then break end
    end
    at, stacked = at + done, into
  end
  if at < n then stacked = each(stacked, function(value) return is_tensor(value) and value:narrow(0, 0, at) or value end) end
  return stacked, at
end
