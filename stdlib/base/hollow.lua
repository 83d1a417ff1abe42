--- Hollow tables: their fields lie beside them, so that every access asks a function.
local hollow = {}

hollow.fields_of = {}  -- hollow table -> its fields
local fields_of = hollow.fields_of

--- The fields of a table, hollow or not.
---@param t table
---@return table
function hollow.fields(t) return fields_of[t] or t end

--- Takes the fields named by `which` (all when nil) out of a table and has `get` and `set` answer for them; returns what
--- undoes it. The table's own metatable is asked where they return nothing.
---@param t table
---@param get fun(t: table, key: any): any
---@param set fun(t: table, key: any, value: any)
---@param which? fun(key: any, value: any): boolean
---@return fun()
function hollow.out(t, get, set, which)
  local inside, class = {}, debug.getmetatable(t)
  for key, value in next, t do
    if not which or which(key, value) then inside[key] = value end
  end
  for key in next, inside do rawset(t, key, nil) end
  fields_of[t] = inside
  debug.setmetatable(t, { __index = get, __newindex = set })
  return function()
    debug.setmetatable(t, nil)
    for key, value in next, inside do rawset(t, key, value) end
    debug.setmetatable(t, class)
    fields_of[t] = nil
  end
end

--- What the table's metatable says of a name that it has not.
function hollow.missing(class, t, key)
  local index = class and rawget(class, "__index")
  if type(index) == "function" then return index(t, key) end
  return index and index[key]
end

return hollow
