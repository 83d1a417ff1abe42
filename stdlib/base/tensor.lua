--- Tensors: what Lua adds to the operators of LibTorch. Dimensions and indices are LibTorch's, from 0.
local engine = require "gradus.engine"
local host = require "gradus.host"
local ffi = require "ffi"
local sizes = require "gradus.base.sizes"

local tensor = {}
local methods = engine.tensor_methods
local is_tensor = engine.is_tensor

-- check.lua would do it as well, and take longer than what is called.
local function check_callable(where, fn)
  if type(fn) == "function" or type(fn) == "table" and (getmetatable(fn) or {}).__call then return end
  host.fail(("%s: expected a function, such as function() … end; got %s"):format(where, fn == nil and "nil" or "a " .. type(fn)))
end

local function restore_grad(before, ok, ...)
  engine.set_grad_enabled(before)
  if not ok then error((...), 0) end
  return ...
end

--- Calls fn(...) without recording gradients; returns what it returns.
---@generic T
---@param fn fun(...): T
---@return T
function tensor.no_grad(fn, ...)
  check_callable("no_grad", fn)
  return restore_grad(engine.set_grad_enabled(false), pcall(fn, ...))
end

local function restore_autocast(before, ok, ...)
  engine.set_autocast(before)
  if not ok then error((...), 0) end
  return ...
end

--- Calls fn(...) in automatic mixed precision: LibTorch computes products and attention in dtype ("bfloat16"), what needs
--- the range in float32; parameters stay as they are. Enter it inside of a step; the backward pass is outside.
---@generic T
---@param dtype string
---@param fn fun(...): T
---@return T
function tensor.autocast(dtype, fn, ...)
  check_callable("autocast", fn)
  return restore_autocast(engine.set_autocast(dtype), pcall(fn, ...))
end

-- Marks the tensors of a returned value (in tables too) as kept.
local function keep(value, kept, depth)
  if is_tensor(value) then
    kept[value] = true
  elseif type(value) == "table" and depth < 8 then
    for _, inner in pairs(value) do keep(inner, kept, depth + 1) end
  end
end

local function close_scope(outer, made, ok, ...)
  engine.set_scope(outer)
  local kept = {}
  for i = 1, select("#", ...) do keep(select(i, ...), kept, 0) end  -- an error's, too
  for i = 1, #made do
    local t = made[i]
    if not kept[t] then t:release() elseif outer then outer[#outer + 1] = t end
  end
  if not ok then error((...), 0) end
  return ...
end

--- Calls fn(...) and releases at once every tensor made meanwhile that is not among its results (or inside a table
--- among them). A released tensor that is used later raises an error.
---@generic T
---@param fn fun(...): T
---@return T
function tensor.scope(fn, ...)
  check_callable("scope", fn)
  local made = {}
  return close_scope(engine.set_scope(made), made, pcall(fn, ...))
end

-- --- as a list -------------------------------------------------------------------------------------------------------

local meta = getmetatable(engine.tensor(0))
sizes.install(debug.getmetatable(engine.tensor(0).shape))

-- for i, row in ipairs(x): i from 0, as x[i] counts.
function meta.__ipairs(t)
  local count = #t
  return function(_, i)
    i = i + 1
    if i < count then return i, t[i] end
  end, t, -1
end

function meta.__pairs() host.fail "pairs: a tensor is no table; expected for i, row in ipairs(x) do … end" end

-- --- typed views -----------------------------------------------------------------------------------------------------

local C_TYPES = { float32 = "float", float64 = "double", int64 = "int64_t", int32 = "int32_t", int16 = "int16_t",
  int8 = "int8_t", uint8 = "uint8_t", bool = "bool" }
local owners = setmetatable({}, { __mode = "k" })  -- view -> its tensor, so that the memory outlives the view
local views = {}

local function outside(view, i)
  if type(i) ~= "number" or i % 1 ~= 0 then
    error("data: index " .. tostring(i) .. ": expected a whole number", 3)
  elseif view.length == 0 then
    error("data: index " .. tostring(i) .. ": the tensor is empty", 3)
  end
  error(("data: index %d is outside of 0 … %d"):format(i, view.length - 1), 3)
end

local function view_type(dtype)
  if views[dtype] then return views[dtype] end
  local c_type = C_TYPES[dtype]
  if not c_type then error("data: no view of " .. dtype .. "; expected t:float():data()", 3) end
  local struct = ffi.typeof("struct { " .. c_type .. " *values; double length; }")
  views[dtype] = ffi.metatype(struct, {
    __index = function(view, i)
      if type(i) == "number" and i >= 0 and i < view.length and i % 1 == 0 then return view.values[i] end
      outside(view, i)
    end,
    __newindex = function(view, i, value)
      if not (type(i) == "number" and i >= 0 and i < view.length and i % 1 == 0) then outside(view, i) end
      view.values[i] = value
    end,
    __len = function(view) return view.length end,
  })
  return views[dtype]
end

--- A bounds-checked view of a contiguous CPU tensor's values, from 0, that reads and writes at C speed in a compiled
--- loop. It keeps the tensor's memory alive; int64 values are 64-bit integers of the FFI (tonumber(v[i])).
function methods:data()
  local address, length, dtype = self:data_pointer()
  local make = view_type(dtype)
  local view = make(ffi.cast(C_TYPES[dtype] .. "*", address), length)
  local scope = engine.set_scope(nil)  -- a scope would release what the view reads
  owners[view] = self:detach()
  engine.set_scope(scope)
  return view
end

--- The number in a 0-dim tensor, or the number itself.
function tensor.number(value)
  return type(value) == "number" and value or value:item()
end

--- full(size, fill_value, options): as LibTorch's, but float32 unless a dtype is given, whatever the value.
function tensor.full(...)
  local given, count = { ... }, select("#", ...)
  local last = given[count]
  local named = { dtype = "float32" }
  if type(last) == "table" and #last == 0 and (count > 2 or next(last) ~= nil) then
    for key, value in pairs(last) do named[key] = value end
    count = count - 1
  end
  given[count + 1] = named
  return engine.ops.full(unpack(given, 1, count + 1))
end

return tensor
