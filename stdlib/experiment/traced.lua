--- What a function reads of the world around it while it runs, so that what it made can be found again where, and only
--- where, all of that is as it was: the run's parameters, one by one, and its seed; globals and user modules, by content;
--- environment variables; files, by their bytes. What cannot be compared later (the time, another program's output) is
--- refused by name.
---
--- While the function runs, the tables that it reads from are hollow: their fields lie beside them, so that every access asks
--- a function. The run itself stands for the run that goes on: what the function asks of it, that one does.
local engine = require "gradus.engine"
local host = require "gradus.host"
local identity = require "gradus.training.identity"
local pristine = require "gradus.base.pristine"
local reading = require "gradus.base.reading"

local traced = {}

local own = pristine.own
local raw_next, raw_pairs, raw_rawget, raw_require = next, pairs, rawget, own.require
local LONGEST = 80 -- characters of a value that is told as it is

---@class Read  something that was read: kind and name as reading.note is told, and its content
---@field kind string
---@field name string
---@field hash string
---@field value? any   a plain value, to be shown

-- --- hollow tables -------------------------------------------------------------------------------------------------------

local fields_of = {}  -- hollow table -> its fields

local function fields(t) return fields_of[t] or t end

-- Takes the fields named by `which` (all when nil) out of a table and has `get` and `set` answer for them; returns what
-- undoes it. The table's own metatable is asked where they return nothing.
local function hollow(t, get, set, which)
  local inside, class = {}, debug.getmetatable(t)
  for key, value in raw_next, t do
    if not which or which(key, value) then inside[key] = value end
  end
  for key in raw_next, inside do rawset(t, key, nil) end
  fields_of[t] = inside
  debug.setmetatable(t, { __index = get, __newindex = set })
  return function()
    debug.setmetatable(t, nil)
    for key, value in raw_next, inside do rawset(t, key, value) end
    debug.setmetatable(t, class)
    fields_of[t] = nil
  end
end

-- What the table's metatable says of a name that it has not.
local function missing(class, t, key)
  local index = class and rawget(class, "__index")
  if type(index) == "function" then return index(t, key) end
  return index and index[key]
end

-- --- what is read --------------------------------------------------------------------------------------------------------

--- The run that scripts know: of runs that were started to build something, the one that the experiment was given.
function traced.outermost(run) return rawget(fields(run), "outermost") or run end

local function parameter(run, path)
  local at = fields(traced.outermost(run)).params
  for part in path:gmatch "[^.]+" do
    if type(at) ~= "table" then return nil end
    at = fields(at)[part]
  end
  return at
end

local function module(name)
  local ok, value = pcall(raw_require, name)
  if ok then return value end
  return "no such module: " .. name
end

local VALUE = {
  parameter = parameter,
  run = function(run, name) return fields(traced.outermost(run))[name] end,
  global = function(_, name) return fields(_G)[name] end,
  module = function(_, name) return module(name) end,
  environment = function(_, name) return own.os.getenv(name) end,
}
local SHOWN = { parameter = "params.%s", run = "run.%s", global = "global %s", module = "module %s", environment = "$%s", file = "file %s" }

local wrapped, names_of_wrapped = {}, {}

--- What identity.lua is told of the values that are not followed into: the run and its parameters are read one by one.
---@param run Run
function traced.names(run)
  local names, outermost = { [_G] = "_G" }, traced.outermost(run)
  for fn, name in pairs(names_of_wrapped) do names[fn] = name end
  names[run], names[outermost] = "the run", "the run"
  local function name_all(t, name)
    if type(t) ~= "table" or names[t] then return end
    names[t] = name
    for key, inner in raw_next, fields(t) do name_all(inner, name .. "." .. tostring(key)) end
  end
  name_all(fields(outermost).params, "params")
  return names
end

-- Content of what has this kind and name now.
local function content(run, kind, name)
  if kind == "file" then return host.hash_file(name) or "no file" end
  local value = VALUE[kind](run, name)
  local type_of = type(value)
  if type_of == "number" then return ("%.17g"):format(value), value end
  if type_of == "nil" or type_of == "boolean" then return tostring(value), value end
  if type_of == "string" and #value <= LONGEST then return ("%q"):format(value), value end
  return identity(("cached: '%s'"):format(SHOWN[kind]:format(name)), { n = 1, value }, { names = traced.names(run) })
end

--- The first of these that is no longer what it was; nil where all are.
---@param run Run
---@param reads Read[]
---@return Read?
function traced.changed(run, reads)
  for _, one in ipairs(reads) do
    if reading.unnoted(content, run, one.kind, one.name) ~= one.hash then return one end
  end
end

--- What the values of these are now, in one text.
---@param run Run
---@param reads Read[]
function traced.now(run, reads)
  local words = {}
  for i, one in ipairs(reads) do words[i] = one.kind .. " " .. one.name .. " " .. reading.unnoted(content, run, one.kind, one.name) end
  return table.concat(words, "\n")
end

--- As an event shows them: name -> value, or the beginning of a hash.
---@param reads Read[]
function traced.shown(reads)
  local shown = {}
  for _, one in ipairs(reads) do
    local value = one.value
    if value == nil then value = #one.hash == 64 and one.hash:sub(1, 12) or one.hash end
    shown[SHOWN[one.kind]:format(one.name)] = value
  end
  return shown
end

-- --- whoever watches -----------------------------------------------------------------------------------------------------

local watches = {}  -- the innermost last: { run =, reads =, known =, written = }

local function note(kind, name)
  for _, watch in ipairs(watches) do
    local id = kind .. "\0" .. name
    if not watch.known[id] and not watch.written[id] then
      watch.known[id] = true
      local hash, value = reading.unnoted(content, watch.run, kind, name)
      table.insert(watch.reads, { kind = kind, name = name, hash = hash, value = value })
    end
  end
end

local function wrote(kind, name)
  for _, watch in ipairs(watches) do watch.written[kind .. "\0" .. name] = true end
end

local function refuse(what)
  host.fail(("cached: the function that builds '%s' uses %s, of which nobody can tell later whether it would say the same; ")
    :format(watches[#watches].name, what) .. "expected it outside of the function, and what it says as an argument")
end

local watcher = { note = note, refuse = refuse }

--- What was read on behalf of a result that is part of another one.
---@param reads Read[]
function traced.pass_on(reads)
  for _, one in ipairs(reads) do reading.note(one.kind, one.name) end
end

-- --- parameters ----------------------------------------------------------------------------------------------------------

local function note_all(t, path)
  for key, value in raw_next, fields(t) do
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
  undo[#undo + 1] = hollow(t, function(_, key)
    local value = fields_of[t][key]
    if type(value) ~= "table" then reading.note("parameter", path .. tostring(key)) end
    if value == nil then return missing(class, fields_of[t], key) end
    return value
  end, function(_, key, value)
    wrote("parameter", path .. tostring(key))
    fields_of[t][key] = value
  end)
  undo[#undo + 1] = function() path_of[t] = nil end
end

-- --- globals -------------------------------------------------------------------------------------------------------------

local function hollow_globals(undo)
  local class = debug.getmetatable(_G)
  undo[#undo + 1] = hollow(_G, function(_, name)
    local value = fields_of[_G][name]
    reading.note("global", tostring(name))
    if value == nil then return missing(class, _G, name) end
    return value
  end, function(_, name, value)
    wrote("global", tostring(name))
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
  if not mode:find "^r" or mode:find "+" then wrote("file", path) end
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
-- Lua's own in the library, which may have others than scripts have.
for _, one in ipairs { _G, getfenv(1) } do
  local go_over = rawget(one, "pairs")
  if go_over then
    replace(one, "pairs", function(t)
      if not fields_of[t] then return go_over(t) end
      if t == _G then reading.refuse "pairs(_G)" end
      if path_of[t] then note_all(t, path_of[t]) end
      return raw_next, fields_of[t], nil
    end)
  end
end
replace(_G, "next", function(t, key)
  if not fields_of[t] then return raw_next(t, key) end
  if t == _G then reading.refuse "next(_G)" end
  if path_of[t] then note_all(t, path_of[t]) end
  return raw_next(fields_of[t], key)
end)
replace(_G, "rawget", function(t, key)
  if t == _G and fields_of[t] and raw_rawget(t, key) == nil then
    reading.note("global", tostring(key))
    return fields_of[t][key]
  end
  return raw_rawget(t, key)
end)

-- Kept in a local, these are not the ones that tell. The first list is refused, the second has all parameters count.
local UNSEEN, ITERATES = {}, { [raw_pairs] = true, [own.pairs] = true, [raw_next] = true }
for _, one in ipairs(wrapped) do
  if not ITERATES[one[4]] and one[4] ~= raw_rawget then UNSEEN[one[4]] = names_of_wrapped[one[3]]:gsub("^_G%.", "") end
end

-- --- the run -------------------------------------------------------------------------------------------------------------

local ITS_OWN = { id = true, uid = true, folder = true, writer = true, store = true, began = true, state = true, registered = true }

-- The run that scripts know, and the one that called, stand for `stand_in` from here on.
local function hollow_run(run, stand_in, undo)
  local outermost, class = traced.outermost(run), debug.getmetatable(run)
  local bound = {}
  local function ask(self, name)
    if name == "seed" or name == "name" then
      if self == outermost then reading.note("run", name) end
      return fields_of[self][name]
    elseif name == "params" then
      return fields_of[self].params
    elseif ITS_OWN[name] and self == outermost and reading.watcher then
      reading.refuse("run." .. name)
    end
    local value = stand_in[name]
    if type(value) ~= "function" or rawget(stand_in, name) then return value end
    bound[name] = bound[name] or function(first, ...) return value(first == self and stand_in or first, ...) end
    return bound[name]
  end
  undo[#undo + 1] = hollow(run, ask, function(_, name, value) stand_in[name] = value end)
  return setmetatable(fields_of[run], class)
end

--- Has a run, as its scripts know it, stand for another one while fn(parent) runs; `parent` is the run itself. Returns what
--- fn does.
---@param run Run
---@param stand_in Run
---@param fn fun(parent: Run): any
function traced.standing_for(run, stand_in, fn)
  local undo = {}
  local parent = hollow_run(run, stand_in, undo)
  local ok, result = xpcall(fn, host.traceback, parent)
  setmetatable(parent, nil)
  undo[1]()
  if not ok then error(result, 0) end
  return result
end

-- --- watching ------------------------------------------------------------------------------------------------------------

local function begin(undo, run)
  local params = fields(traced.outermost(run)).params
  if type(params) == "table" then hollow_parameters(params, "", undo) end
  hollow_globals(undo)  -- before Lua's own names stand for others
  for _, one in ipairs(wrapped) do
    rawset(one[1], one[2], one[3])
    undo[#undo + 1] = function() rawset(one[1], one[2], one[4]) end
  end
end

-- What a script has set in Lua's own libraries and in the standard library's first table, by name.
local function set_by_script()
  local found, ours = {}, {}
  for library, known in raw_pairs(pristine.fields) do
    for field, value in raw_next, own[library] do
      if known[field] ~= value and not names_of_wrapped[value] then found[library .. "." .. tostring(field)] = value end
    end
  end
  for _, value in raw_next, package.loaded do ours[value] = true end
  for field, value in raw_next, package.loaded.gradus or {} do
    local is_function = type(value) == "function"
    local source = is_function and debug.getinfo(value, "S")
    local own_function = source and (source.what == "C" or source.source:find "^@stdlib/")
    if not ours[value] and not own_function then found["gradus." .. tostring(field)] = value end
  end
  return found
end

--- What identifies the values, as identity.lua has it; what would read without being seen is refused by name. Second:
--- whether a function among them may go over all parameters without being seen.
---@param run Run
---@param values table
---@return string hash, boolean iterates, string texts  the last: of the source texts and values alone
function traced.identity(run, values)
  local iterates, names = false, traced.names(run)
  local hash = identity("cached", { n = 2, values, set_by_script() }, { names = names, found = function(fn)
    iterates = iterates or ITERATES[fn] == true
    if UNSEEN[fn] then
      host.fail(("cached: %s is kept in a local, where nobody sees what it reads; expected %s itself in the function")
        :format(UNSEEN[fn], UNSEEN[fn]))
    end
  end })
  return hash, iterates, identity("cached", values, { names = names, code = false })
end

--- Calls fn() and returns what it returns, and what it read.
---@param run Run
---@param name string    of what is built
---@param iterates boolean  whether all parameters are read, as traced.identity says
---@param fn fun(): any
---@return any, Read[]
function traced.watch(run, name, iterates, fn)
  local undo, watch = {}, { run = run, name = name, reads = {}, known = {}, written = {} }
  if #watches == 0 then begin(undo, run) end
  watches[#watches + 1] = watch
  local ok, result = xpcall(reading.told_to, host.traceback, watcher, function()
    local params = fields(traced.outermost(run)).params
    if iterates and type(params) == "table" then note_all(params, "") end
    return fn()
  end)
  watches[#watches] = nil
  for i = #undo, 1, -1 do undo[i]() end
  if not ok then error(result, 0) end
  return result, watch.reads
end

return traced
