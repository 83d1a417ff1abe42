--- What a script reads the world by, and how each tells of it while somebody watches (traced.lua): parameters and globals, which are
--- hollow then; functions of os, io and the data readers, which others stand for; next, pairs and rawget.
local engine = require "gradus.engine"
local hollow = require "gradus.base.hollow"
local pristine = require "gradus.base.pristine"
local reading = require "gradus.base.reading"

local own, fields_of = pristine.own, hollow.fields_of
local raw_next, raw_pairs, raw_rawget, raw_require = next, pairs, rawget, own.require

local traced_world = {}

--- Told of what is written: kind and name, as reading.note is. Whoever watches sets it.
traced_world.wrote = function() end

local wrapped, names_of_wrapped = {}, {}

-- --- parameters ----------------------------------------------------------------------------------------------------------

-- Notes all parameters below as read.
local function note_all(t, path)
  for key, value in raw_next, hollow.fields(t) do
    if type(value) == "table" then note_all(value, path .. key .. ".") else reading.note("parameter", path .. tostring(key)) end
  end
end

local path_of = {}  -- hollow table of parameters -> "optim."

local function hollow_parameters(t, path, undo)
  local class = debug.getmetatable(t)
  path_of[t] = path
  for key, value in raw_pairs(t) do
    if type(value) == "table" then hollow_parameters(value, path .. tostring(key) .. ".", undo) end
  end
  undo[#undo + 1] = hollow.out(t, function(_, key)
    local value = fields_of[t][key]
    if type(value) ~= "table" then reading.note("parameter", path .. tostring(key)) end
    if value == nil then return hollow.missing(class, fields_of[t], key) end
    return value
  end, function(_, key, value)
    traced_world.wrote("parameter", path .. tostring(key))
    fields_of[t][key] = value
  end)
  undo[#undo + 1] = function() path_of[t] = nil end
end

-- --- globals -------------------------------------------------------------------------------------------------------------

local function hollow_globals(undo)
  local class = debug.getmetatable(_G)
  undo[#undo + 1] = hollow.out(_G, function(_, name)
    local value = fields_of[_G][name]
    reading.note("global", tostring(name))
    if value == nil then return hollow.missing(class, _G, name) end
    return value
  end, function(_, name, value)
    traced_world.wrote("global", tostring(name))
    local set = class and rawget(class, "__newindex")
    if fields_of[_G][name] == nil and type(set) == "function" then return set(_G, name, value) end
    fields_of[_G][name] = value
  end, function(name, value) return own[name] ~= value end)
end

-- --- functions that read -------------------------------------------------------------------------------------------------

local function reads_file(path, mode)
  if type(path) ~= "string" then return end
  mode = mode or "r"
  if mode:find "^r" then reading.note("file", path) end
  if not mode:find "^r" or mode:find "+" then traced_world.wrote("file", path) end
end

local function wrap(where, table_of, name, before)
  local raw = table_of[name]
  local function wrapper(...)
    before(...)
    return raw(...)
  end
  names_of_wrapped[wrapper] = where .. "." .. name
  wrapped[#wrapped + 1] = { table_of, name, wrapper, raw }
end

local function refused(where, table_of, names)
  for _, name in ipairs(names) do
    wrap(where, table_of, name, function() reading.refuse(where .. "." .. name) end)
  end
end

wrap("os", os, "getenv", function(name) reading.note("environment", tostring(name)) end)
wrap("os", os, "time", function(date) if date == nil then reading.refuse "os.time" end end)
wrap("os", os, "date", function(_, time) if time == nil then reading.refuse "os.date" end end)
refused("os", os, { "clock", "execute" })
wrap("io", io, "open", reads_file)
wrap("io", io, "lines", function(path) if path == nil then reading.refuse "io.lines" else reads_file(path) end end)
refused("io", io, { "popen", "read", "input" })
wrap("_G", _G, "loadfile", reads_file)
wrap("_G", _G, "dofile", reads_file)
for name in raw_pairs(engine.data) do
  if name:find "^read_" or name:find "^map_" or name:find "^load_" or name:find "^train_" then
    wrap("engine.data", engine.data, name, function(path) reads_file(path) end)
  end
end

local function replace(table_of, name, wrapper)
  names_of_wrapped[wrapper] = "_G." .. name
  wrapped[#wrapped + 1] = { table_of, name, wrapper, table_of[name] }
end

replace(_G, "require", function(name)
  if name == "ffi" then reading.refuse "ffi" end
  local value = raw_require(name)
  if name ~= "gradus" and not name:find "^gradus%." then reading.note("module", name) end
  return value
end)
-- All of a hollow table is read, by `pairs` or `next`.
local function goes_over(name, t)
  if path_of[t] then return note_all(t, path_of[t]) end
  reading.refuse(("%s(%s)"):format(name, t == _G and "_G" or "run"))
end

-- Lua's own in the library, which may have others than scripts have.
for _, one in ipairs { _G, getfenv(1) } do
  local go_over = rawget(one, "pairs")
  if go_over then
    replace(one, "pairs", function(t)
      if not fields_of[t] then return go_over(t) end
      goes_over("pairs", t)
      return raw_next, fields_of[t], nil
    end)
  end
end
replace(_G, "next", function(t, key)
  if not fields_of[t] then return raw_next(t, key) end
  goes_over("next", t)
  return raw_next(fields_of[t], key)
end)
replace(_G, "rawget", function(t, key)
  local value, inside = raw_rawget(t, key), fields_of[t]
  if value ~= nil or not inside then return value end
  if inside[key] ~= nil then return t[key] end
  if t == _G then reading.note("global", tostring(key)) elseif path_of[t] then reading.note("parameter", path_of[t] .. tostring(key)) end
end)

-- Kept in a local, these are not the ones that tell. The first list is refused, the second has all parameters count.
local UNSEEN, ITERATES = {}, { [raw_pairs] = true, [own.pairs] = true, [raw_next] = true }
for _, one in ipairs(wrapped) do
  if not ITERATES[one[4]] and one[4] ~= raw_rawget then UNSEEN[one[4]] = names_of_wrapped[one[3]]:gsub("^_G%.", "") end
end

-- --- all of it ----------------------------------------------------------------------------------------------------------

--- From here on all that is read of the parameters, of globals, and by functions that ask the world is told to reading.lua; `undo` gets
--- what ends it, to be called from its end.
---@param undo (fun())[]
---@param params any   of the run
function traced_world.begin(undo, params)
  if type(params) == "table" then hollow_parameters(params, "", undo) end
  hollow_globals(undo)  -- before Lua's own names stand for others
  for _, one in ipairs(wrapped) do
    rawset(one[1], one[2], one[3])
    undo[#undo + 1] = function() rawset(one[1], one[2], one[4]) end
  end
end

--- As if all parameters were read.
function traced_world.note_all(params) note_all(params, "") end

traced_world.ITERATES, traced_world.UNSEEN, traced_world.names = ITERATES, UNSEEN, names_of_wrapped

return traced_world
