--- What `#`, ipairs and pairs do in a user's script: as in Lua 5.2 they ask the object. LuaJIT's do not, so that a
--- list of modules would be empty and a data set have no rows, without a word. The host compiles #x as a call of `length`
--- (length_operator.cpp). An object says what it wants by __len, __ipairs and __pairs of its metatable.
local host = require "gradus.host"

local raw_ipairs, raw_pairs = ipairs, pairs
local lists = {}

local function no_table(name, value)
  host.fail(("%s: expected a table; got %s"):format(name, value == nil and "nil" or type(value)))
end

--- ipairs of tables, and of objects that are lists: their keys are those that an index takes, from 0 where that is from 0.
function lists.ipairs(value)
  local meta = getmetatable(value)
  local own = type(meta) == "table" and rawget(meta, "__ipairs")
  if own then return own(value) end
  if type(value) == "table" then return raw_ipairs(value) end
  no_table("ipairs", value)
end

--- pairs of tables, and of objects that say what they consist of.
function lists.pairs(value)
  local meta = getmetatable(value)
  local own = type(meta) == "table" and rawget(meta, "__pairs")
  if own then return own(value) end
  if type(value) == "table" then return raw_pairs(value) end
  no_table("pairs", value)
end

--- #value; `text` is how the script wrote it.
---@param text string
---@param value any
function lists.length(text, value)
  if type(value) == "table" then
    local meta = getmetatable(value)
    local own = type(meta) == "table" and rawget(meta, "__len")
    if own then return own(value) end
    return #value
  end
  if type(value) == "string" or type(value) == "userdata" or type(value) == "cdata" then return #value end
  host.fail(("#: attempt to get the length of '%s' (a %s value)"):format(text, type(value)))
end

--- Called once for each Lua state. The library itself keeps Lua's own.
function lists.install()
  _G.ipairs, _G.pairs = lists.ipairs, lists.pairs
  string.__len = lists.length  -- found by every function, whatever its environment
end

return lists
