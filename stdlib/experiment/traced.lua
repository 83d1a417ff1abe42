--- What a function reads of the world around it while it runs, so that what it made can be found again where, and only
--- where, all of that is as it was: the run's parameters, one by one, and its seed; globals and user modules, by content;
--- environment variables; files, by their bytes. What cannot be compared later (the time, another program's output) is
--- refused by name.
---
--- While the function runs, the tables that it reads from are hollow: their fields lie beside them, so that every access asks
--- a function. The run itself stands for the run that goes on: what the function asks of it, that one does.
local host = require "gradus.host"
local hollow = require "gradus.base.hollow"
local identity = require "gradus.training.identity"
local pristine = require "gradus.base.pristine"
local reading = require "gradus.base.reading"
local traced_world = require "gradus.experiment.traced_world"

local traced = {}

local own = pristine.own
local raw_next, raw_pairs, raw_require = next, pairs, own.require
local fields, fields_of = hollow.fields, hollow.fields_of
local LONGEST = 80 -- characters of a value that is told as it is

---@class Read  something that was read: kind and name as reading.note is told, and its content
---@field kind string
---@field name string
---@field hash string
---@field value? any   a plain value, to be shown

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

--- What identity.lua is told of the values that are not followed into: the run and its parameters are read one by one.
---@param run Run
function traced.names(run)
  local names, outermost = { [_G] = "_G" }, traced.outermost(run)
  for fn, name in pairs(traced_world.names) do names[fn] = name end
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

local watches = {}  -- the innermost last: { run =, name =, reads =, known =, written = }

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

function traced_world.wrote(kind, name)
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
  undo[#undo + 1] = hollow.out(run, ask, function(_, name, value) stand_in[name] = value end)
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

-- What a script has set in Lua's own libraries and in the standard library's first table, by name.
local function set_by_script()
  local found, ours = {}, {}
  for library, known in raw_pairs(pristine.fields) do
    for field, value in raw_next, own[library] do
      if known[field] ~= value and not traced_world.names[value] then found[library .. "." .. tostring(field)] = value end
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
    iterates = iterates or traced_world.ITERATES[fn] == true
    if traced_world.UNSEEN[fn] then
      host.fail(("cached: %s is kept in a local, where nobody sees what it reads; expected %s itself in the function")
        :format(traced_world.UNSEEN[fn], traced_world.UNSEEN[fn]))
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
  if #watches == 0 then traced_world.begin(undo, fields(traced.outermost(run)).params) end
  watches[#watches + 1] = watch
  local ok, result = xpcall(reading.told_to, host.traceback, watcher, function()
    local params = fields(traced.outermost(run)).params
    if iterates and type(params) == "table" then traced_world.note_all(params) end
    return fn()
  end)
  watches[#watches] = nil
  for i = #undo, 1, -1 do undo[i]() end
  if not ok then error(result, 0) end
  return result, watch.reads
end

return traced
