--- What a loop of the script's own moves: all that its function can see, so that a script need not list it. Locals and upvalues, the
--- fields of their tables, the upvalues of the script's functions among them; modules, optimizers, samplers and generators by their own
--- state; tensors. A snapshot has their values, and they are put back in their places when the script stands at the loop again.
---
--- Large tensors that were there before the loop and are not trained are data: they are left alone. What the loop has made and cannot be
--- made again without it (a module, a closure, an object of a class) is named.
local engine = require "gradus.engine"
local nn = require "gradus.nn"
local sizes = require "gradus.base.sizes"
local tensor = require "gradus.base.tensor"

local reachable = {}

local LARGE = 1e5  -- elements of a tensor

local SCALAR = { number = true, string = true, boolean = true, ["nil"] = true }

-- --- what things are -------------------------------------------------------------------------------------------------

local function is_of_library(fn)
  return type(fn) == "function" and (debug.getinfo(fn, "S").what == "C" or debug.getinfo(fn, "S").source:sub(1, 8) == "@stdlib/")
end

-- Objects of the standard library and its rooms; a class of the script's own has functions of its own.
local function is_library(value)
  local meta = not sizes.is(value) and debug.getmetatable(value)
  if type(meta) ~= "table" then return false end
  local index = rawget(meta, "__index")
  if is_of_library(index) then return true end
  for _, part in ipairs { meta, type(index) == "table" and index or nil } do
    for _, one in pairs(part) do
      if is_of_library(one) then return true end
    end
  end
  return false
end

local function has(value, name)
  local ok, found = pcall(function() return value[name] end)
  return ok and type(found) == "function"
end

--- How the object's state is taken and given back; nil of one that has none.
---@param value any
---@return (fun(): any)? take
---@return fun(kept: any)? give
local function protocol(value)
  if nn.is_class(value) then return nil end  -- it has what its modules have, and no weights
  if nn.is_module(value) then
    return function() return value:state_dict() end, function(kept) value:load_state_dict(kept) end
  end
  if has(value, "state_dict") and has(value, "load_state_dict") then
    return function() return value:state_dict() end, function(kept) value:load_state_dict(kept) end
  end
  if has(value, "state") and has(value, "restore") then
    return function() return value:state() end, function(kept) value:restore(kept) end
  end
  if has(value, "get_state") and has(value, "set_state") then
    return function() return value:get_state() end, function(kept) value:set_state(kept) end
  end
end

reachable.protocol = protocol

-- --- places: where values lie; home and slot are the same for the same place ------------------------------------------

-- The level of a function's frame, seen from whoever calls this.
local function level_of(fn)
  for level = 3, 200 do
    local info = debug.getinfo(level, "f")
    if not info then return nil end
    if info.func == fn then return level - 1 end
  end
end

-- { name, get, set } of each local of the frame, while it is there; of a name that is there twice the later one has a number.
local function locals_of(fn)
  local places, seen = {}, {}
  local level = level_of(fn)
  for i = 1, level and 250 or 0 do
    local name = debug.getlocal(level, i)
    if not name then break end
    if name:sub(1, 1) ~= "(" then
      seen[name] = (seen[name] or 0) + 1
      places[#places + 1] = { name = seen[name] > 1 and name .. "#" .. seen[name] or name, home = fn, slot = i,
        get = function()
          local frame = level_of(fn)
          return frame and (select(2, debug.getlocal(frame, i)))
        end,
        set = function(value)
          local frame = level_of(fn)
          if frame then debug.setlocal(frame, i, value) end
        end }
    end
  end
  return places
end

local function upvalues_of(fn)
  local places = {}
  for i = 1, 60 do
    local name = debug.getupvalue(fn, i)
    if not name then break end
    places[i] = { name = name, home = debug.upvalueid(fn, i), slot = 1, get = function() return (select(2, debug.getupvalue(fn, i))) end,
      set = function(value)
        debug.setupvalue(fn, i, value)
        jit.flush()  -- compiled code has what no line assigns as a constant
      end }
  end
  return places
end

local function fields_of(value)
  local places = {}
  for key in pairs(value) do
    places[#places + 1] = { name = key, home = value, slot = key, get = function() return rawget(value, key) end,
      set = function(new) rawset(value, key, new) end }
  end
  return places
end

-- What a class of modules has of the script's; what begins with "__" is nn.class's.
local function methods_of(class)
  local places = {}
  for _, place in ipairs(fields_of(class)) do
    if tostring(place.name):sub(1, 2) ~= "__" then places[#places + 1] = place end
  end
  return places
end

local function places_of(fn)
  local places = locals_of(fn)
  for _, one in ipairs(upvalues_of(fn)) do
    one.name = "^" .. one.name
    places[#places + 1] = one
  end
  return places
end

-- --- walking ---------------------------------------------------------------------------------------------------------

local function new_walk(known)
  local visited = {}
  for _, library in pairs(package.loaded) do
    if type(library) == "table" then visited[library] = true end
  end
  return { visited = visited, known = known, unsaved = {}, numbers = {}, count = 0 }
end

local function join(path, name) return path == "" and tostring(name) or path .. "." .. tostring(name) end

local function is_plain(value, deep)
  if SCALAR[type(value)] or engine.is_tensor(value) then return true end
  if type(value) ~= "table" or debug.getmetatable(value) and not sizes.is(value) or deep > 20 then return false end
  for key, one in pairs(value) do
    if not SCALAR[type(key)] or not is_plain(one, deep + 1) then return false end
  end
  return true
end

--- A function that is called in the place of another for a while (live_loop.lua) -> that one, whose state is looked at.
reachable.stands_for = setmetatable({}, { __mode = "k" })

-- What is inside of an object that was there before the loop; nil of what has nothing of its own.
local function inside(value)
  value = reachable.stands_for[value] or value
  if type(value) == "function" then
    if is_of_library(value) then return nil end
    return upvalues_of(value)
  end
  if type(value) ~= "table" then return nil end
  if nn.is_class(value) then return methods_of(value) end
  if not is_library(value) then return fields_of(value) end
  local fn = rawget(value, "fn")  -- a step
  return type(fn) == "function" and not is_of_library(fn) and upvalues_of(fn) or nil
end

reachable.is_of_library, reachable.is_library, reachable.places_of, reachable.fields_of, reachable.inside =
  is_of_library, is_library, places_of, fields_of, inside

local save

local function save_places(walk, places, path)
  local kept = {}
  for _, place in ipairs(places) do
    local one = save(walk, place.get(), join(path, place.name))
    if one then kept[#kept + 1] = { place.name, one } end
  end
  return kept
end

-- What the loop has made, which takes the place of what is there; other places may hold the same.
local function save_new(walk, value)
  walk.count = walk.count + 1
  walk.numbers[value] = walk.count
  return { "new", value, walk.count, engine.is_tensor(value) and value.requires_grad and value.is_leaf }
end

-- One of: { "v", scalar }, { "T", a tensor that was there }, { "new", tensor or plain table, its number, whether it is trained },
-- { "again", number }, { "state", … }, { "in", list of { name, … } }.
function save(walk, value, path)
  if SCALAR[type(value)] then return { "v", value } end
  if walk.numbers[value] then return { "again", walk.numbers[value] } end
  if walk.visited[value] then return nil end
  walk.visited[value] = true
  local made = walk.known and not walk.known[value]
  if made and is_plain(value, 0) then return save_new(walk, value) end
  if engine.is_tensor(value) then return (value.requires_grad or value:numel() <= LARGE) and { "T", value } or nil end
  local take = (type(value) == "table" or type(value) == "userdata") and protocol(value)
  if not made then
    if take then return { "state", take() } end
    local places = inside(value)
    return places and { "in", save_places(walk, places, path) }
  end
  if take or type(value) == "function" and not is_of_library(value) or type(value) == "table" and not is_library(value) then
    table.insert(walk.unsaved, path)
  end
end

--- What a function's frame can see, for `save`: whatever is made later is new.
---@param fn function  that is being called now
---@return table<any, boolean>
function reachable.seen(fn)
  local walk = new_walk(nil)
  save_places(walk, places_of(fn), "")
  return walk.visited
end

--- The values of all that the function can see, as plain data; and the names of what was made since and cannot be kept.
---@param fn function
---@param known table<any, boolean>  what `seen` gave where the loop began
---@return table
---@return string[]
function reachable.save(fn, known)
  local walk = new_walk(known)
  local kept = save_places(walk, places_of(fn), "")
  table.sort(walk.unsaved)
  return kept, walk.unsaved
end

-- --- giving back -----------------------------------------------------------------------------------------------------

local restore

-- given: what places got that the loop had made, by number.
local function restore_places(places, kept, given, container)
  local by_name = {}
  for _, place in ipairs(places) do by_name[place.name] = place end
  local there = {}
  for _, pair in ipairs(kept) do
    local name, one = pair[1], pair[2]
    there[name] = true
    local place = by_name[name] or container and { get = function() end, set = function(value) rawset(container, name, value) end }
    if place then restore(place, one, given) end
  end
  for _, place in ipairs(container and places or {}) do
    if not there[place.name] and SCALAR[type(place.get())] then place.set(nil) end  -- the loop has removed it
  end
end

local function restore_tensor(place, kept)
  local now = place.get()
  local same = engine.is_tensor(now) and now.dtype == kept.dtype and table.concat(now.shape, " ") == table.concat(kept.shape, " ")
  if same then
    tensor.no_grad(function() now:copy_(kept) end)
  else
    place.set(kept)
  end
end

function restore(place, one, given)
  local kind, kept, number = one[1], one[2], one[3]
  if one[4] then kept:requires_grad_() end
  if number then given[number] = kept end
  if kind == "v" or kind == "new" then return place.set(kept) end
  if kind == "again" then return place.set(given[kept]) end
  if kind == "T" then return restore_tensor(place, kept) end
  local value = place.get()
  if value == nil then return end
  if kind == "state" then
    local _, give = protocol(value)
    return give and give(kept)
  end
  local places = inside(value)
  if places then restore_places(places, kept, given, type(value) == "table" and not is_library(value) and value or nil) end
end

--- Puts back what `save` gave.
---@param fn function
---@param kept table
function reachable.restore(fn, kept) restore_places(places_of(fn), kept, {}) end

return reachable
