--- What x.shape and x:size() give: a plain list of Lua, from 1, that prints as { 2, 3 }, is equal to another of the same sizes, and
--- says so where it is asked for an index from 0.
local host = require "gradus.host"

local sizes = {}

local function text(list) return "{" .. table.concat(list, ", ") .. "}" end

local function missing(_, key)
  if type(key) ~= "number" or key >= 1 then return nil end
  host.fail(("x.shape[%g]: x.shape is a list of Lua, which counts from 1; expected x:size(%g), or x.shape[%s]"):format(key, key,
    key == 0 and "1" or key == -1 and "#x.shape" or ("#x.shape - %g"):format(-key - 1)))
end

local function equal(a, b)
  if #a ~= #b then return false end
  for i = 1, #a do
    if a[i] ~= b[i] then return false end
  end
  return true
end

--- Gives such lists their ways. To all who ask they are plain tables: getmetatable(x.shape) is false.
---@param meta table  the metatable that the bindings set
function sizes.install(meta)
  meta.__index, meta.__tostring, meta.__eq, meta.__metatable = missing, text, equal, false
  meta.__concat = function(a, b) return tostring(a) .. tostring(b) end
end

--- Whether a table is one.
---@param value any
function sizes.is(value) return getmetatable(value) == false end

return sizes
