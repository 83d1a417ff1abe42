--- Tensors: what Lua adds to the operators of LibTorch. Dimensions and indices are LibTorch's, from 0.
local engine = require "gradus.engine"
local ffi = require "ffi"

local tensor = {}
local methods = engine.tensor_methods
local is_tensor = engine.is_tensor

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
  return restore_grad(engine.set_grad_enabled(false), pcall(fn, ...))
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
  if not ok then error((...), 0) end
  local kept = {}
  for i = 1, select("#", ...) do keep(select(i, ...), kept, 0) end
  for i = 1, #made do
    local t = made[i]
    if not kept[t] then t:release() elseif outer then outer[#outer + 1] = t end
  end
  return ...
end

--- Calls fn(...) and releases at once every tensor made meanwhile that is not among its results (or inside a table
--- among them). A released tensor that is used later raises an error.
---@generic T
---@param fn fun(...): T
---@return T
function tensor.scope(fn, ...)
  local made = {}
  return close_scope(engine.set_scope(made), made, pcall(fn, ...))
end

-- --- typed views -----------------------------------------------------------------------------------------------------

local C_TYPES = { float32 = "float", float64 = "double", int64 = "int64_t", int32 = "int32_t", int16 = "int16_t",
  int8 = "int8_t", uint8 = "uint8_t", bool = "bool" }
local owners = setmetatable({}, { __mode = "k" })  -- view -> its tensor, so that the memory outlives the view
local views = {}

local function view_type(dtype)
  if views[dtype] then return views[dtype] end
  local c_type = C_TYPES[dtype]
  if not c_type then error("data: no view of " .. dtype .. "; expected t:float():data()", 3) end
  local struct = ffi.typeof("struct { " .. c_type .. " *values; double length; }")
  views[dtype] = ffi.metatype(struct, {
    __index = function(view, i)
      if i >= 0 and i < view.length then return view.values[i] end
      error("data: index " .. tostring(i) .. " is outside of 0 … " .. (view.length - 1), 2)
    end,
    __newindex = function(view, i, value)
      if not (i >= 0 and i < view.length) then
        error("data: index " .. tostring(i) .. " is outside of 0 … " .. (view.length - 1), 2)
      end
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
  owners[view] = self:detach()
  return view
end

--- The number in a 0-dim tensor, or the number itself.
function tensor.number(value)
  return type(value) == "number" and value or value:item()
end

--- full(size, value, options): as LibTorch's, but float32 unless a dtype is given, whatever the value.
function tensor.full(size, value, options)
  local given = { dtype = "float32" }
  for k, v in pairs(options or {}) do given[k] = v end
  return engine.ops.full(size, value, given)
end

return tensor
