--- The functions of a loop of the script's own, swapped for those of a new version while the loop goes on. Old and new are found by
--- their names: in the loop's locals and upvalues, in the fields of the script's tables, in its modules, globals, steps and classes. A
--- new function has the variables of the old one, by name, so that what the run has come to stays; a number, text or switch that the
--- loop has not moved takes its new value. Every change is kept, and can be taken back: what has been moved since stays then.
local live_world = require "gradus.experiment.live_world"
local reachable = require "gradus.experiment.reachable"

local live_swap = {}

local SCALAR = { number = true, string = true, boolean = true }

-- --- a loop that begins ----------------------------------------------------------------------------------------------------------

---@class Swap
---@field begun table<any, table<any, any>>  home -> slot -> the number, text or switch that was there
---@field text table<function, string>       of the functions that there are
---@field own string                         of the loop's function
local Swap = {}
Swap.__index = Swap

local function begins_with(self, place, value)
  self.begun[place.home] = self.begun[place.home] or {}
  self.begun[place.home][place.slot] = value
end

--- Notes what there is when a loop begins.
---@param world World
---@param known table<function, string>  weak: texts of functions that were read before files were saved, and gets those of others
---@return Swap
function live_swap.new(world, known)
  known[world.fn] = known[world.fn] or live_world.own_text(world)
  local self = setmetatable({ world = world, begun = {}, text = known, own = known[world.fn] }, Swap)
  live_world.each_place(world, function(place)
    local value = place.get()
    if SCALAR[type(value)] then begins_with(self, place, value)
    elseif live_world.is_users(value) then self.text[value] = self.text[value] or live_world.text_of(world, value) end
  end)
  return self
end

-- What is there now: a frame's locals cannot be asked for later.
local function noted(places)
  local list = {}
  for i, place in ipairs(places) do list[i] = { name = place.name, value = place.get() } end
  return list
end

--- What a new version has where its loop begins: to be called while it stands there.
---@param world World
function live_swap.capture(world)
  local roots = {}
  for i, root in ipairs(world.roots) do roots[i] = noted(live_world.places_of_root(root)) end
  return { world = world, own = live_world.own_text(world), places = noted(reachable.places_of(world.fn)), roots = roots,
    params = noted(live_world.places_of_params(world.params, "", {})) }
end

-- --- which belongs to which ------------------------------------------------------------------------------------------------------

local function set(self, place, value)
  local before = place.get()
  table.insert(self.undo, function()
    if rawequal(place.get(), value) then place.set(before) end
  end)
  place.set(value)
end

-- A number, text or switch that the loop is said to have begun with.
local function set_value(self, place, value)
  set(self, place, value)
  local slots = self.begun[place.home]
  if not slots or type(value) == "function" then return end
  local was = slots[place.slot]
  slots[place.slot] = value
  table.insert(self.undo, function() slots[place.slot] = was end)
end

local pair

-- A number, text or switch that the loop has not moved.
local function take_value(self, place, value, path)
  local was = (self.begun[place.home] or {})[place.slot]
  if not self.takes_values or was == nil or place.get() ~= was then return end
  for _, one in ipairs(self.values) do
    if one.place.home == place.home and one.place.slot == place.slot then return end  -- a parameter: the loop's function sees it too
  end
  table.insert(self.values, { place = place, value = value, name = path })
end

local function join_path(path, name)
  name = tostring(name):gsub("^%^", "")
  return path == "" and name or path .. "." .. name
end

-- new: { name, value } each. whole: the fields of a table, where functions may come that were not there.
local function pair_places(self, old, new, path, whole)
  local by_name, there = {}, {}
  for _, one in ipairs(new) do
    if one.value == nil and one.get then by_name[one.name] = one.get() else by_name[one.name] = one.value end
  end
  for _, place in ipairs(old) do
    local was, now = place.get(), by_name[place.name]
    there[place.name] = true
    if SCALAR[type(was)] and SCALAR[type(now)] then
      if was ~= now and type(was) == type(now) then take_value(self, place, now, join_path(path, place.name)) end
    elseif now ~= nil then
      pair(self, was, now, join_path(path, place.name))
    end
  end
  for name, value in pairs(whole and by_name or {}) do
    if not there[name] and (live_world.is_users(value) or self.takes_values and SCALAR[type(value)]) then
      table.insert(self.values, { value = value, name = join_path(path, name), place = { get = function() return rawget(whole, name) end,
        set = function(one) rawset(whole, name, one) end } })
    end
  end
end

function pair(self, old, new, path)
  if type(old) ~= type(new) or rawequal(old, new) or self.paired[old] then return end
  if live_world.is_users(old) and live_world.is_users(new) then
    self.paired[old] = true
    if (self.text[old] or "") ~= live_world.text_of(self.new, new) then
      self.map[old] = new
      table.insert(self.names, path)
    end
    self.counterpart[new] = old
    pair_places(self, reachable.inside(old), reachable.inside(new), path)
  elseif type(old) == "table" then
    self.paired[old] = true
    local own = not reachable.is_library(old) and not reachable.is_library(new)
    if live_world.is_step(old) and live_world.is_step(new) then return pair(self, rawget(old, "fn"), rawget(new, "fn"), path) end
    pair_places(self, live_world.places_inside(old), live_world.places_inside(new), path, own and old or nil)
  end
end

-- --- the swap ----------------------------------------------------------------------------------------------------------------------

-- name -> an upvalue of that name, of a function that there was, the loop's first; and the locals of the loop's function.
local function variables(self)
  local cells, locals = {}, {}
  local function add(fn)
    for i = 1, 60 do
      local name = debug.getupvalue(fn, i)
      if not name then break end
      cells[name] = cells[name] or { fn, i }
    end
  end
  add(self.world.fn)
  live_world.each_place(self.world, function(place)
    local value = place.get()
    if live_world.is_step(value) then value = rawget(value, "fn") end
    if live_world.is_users(value) then add(reachable.stands_for[value] or value) end
  end)
  for _, place in ipairs(reachable.places_of(self.world.fn)) do locals[place.name] = place end
  return cells, locals
end

local function upvalue_named(fn, name)
  fn = fn and reachable.stands_for[fn] or fn
  for i = 1, fn and 60 or 0 do
    local one = debug.getupvalue(fn, i)
    if one == name then return { fn, i } end
    if not one then return nil end
  end
end

-- A new function has the variables that there are; those that are new it brings.
local function join(self, new, done)
  if done[new] then return end
  done[new] = true
  for i = 1, 60 do
    local name, value = debug.getupvalue(new, i)
    if not name then break end
    local cell = upvalue_named(self.counterpart[new], name) or self.cells[name]
    local place = self.locals[name]
    if cell then
      debug.upvaluejoin(new, i, cell[1], cell[2])
    elseif place and place.get() ~= nil then
      debug.setupvalue(new, i, place.get())
    elseif live_world.is_users(value) then
      join(self, value, done)
    end
  end
  jit.flush()  -- compiled code has the variables that it had
end

-- Every place with an old function gets the new one, as `wrap` gives it; a step has it as it is, and records it anew.
local function substitute(self, map, wrap)
  local steps, listed = {}, {}
  live_world.each_place(self.world, function(place)
    local value = place.get()
    local new = value ~= nil and map[value]
    if new then
      local given, text = live_world.is_step(place.home) and new or wrap(value, new), live_world.text_of(self.new, new)
      self.text[given], self.text[new] = text, text
      set(self, place, given)
    end
    if not listed[value] and live_world.is_step(value) then
      listed[value], steps[#steps + 1] = true, value
    end
  end)
  return steps
end

-- Whether the loop's function says something else than what it takes over, now or before: other numbers that its locals begin with.
local function says_more(self, own)
  local before = self.own
  table.insert(self.undo, function() self.own = before end)
  for _, one in ipairs(self.values) do
    if one.place.home == self.world.fn then
      local head = "%f[%w_](local " .. one.name .. " *= *)"
      local _, number = own:match(head .. "([^\n]*)")
      if number then self.own = self.own:gsub(head .. "[^\n]*", function(line) return line .. number end) end
    end
  end
  return self.own ~= own
end

---@class Swapped
---@field names string[]    of the functions
---@field values string[]   "T = 8"
---@field own boolean       the loop's function itself is another, and goes on as it was
---@field fresh table<any, boolean>  what the new version has brought
---@field moved table[]     { was, value } of each of the values

--- Swaps what differs; `names` and `values` are empty where nothing does but the loop's function itself.
---@param found table  what `capture` gave
---@param options {takes_values: boolean, undo: fun()[], wrap: fun(old: function, new: function): function, wrap_step: fun(step: table)}
---   undo: gets what takes it back, in order, also where it raises; wrap_step: called with each step, which records anew
---@return Swapped
function Swap:apply(found, options)
  self.new, self.map, self.counterpart, self.paired = found.world, {}, {}, {}
  self.names, self.values, self.takes_values, self.undo = {}, {}, options.takes_values, options.undo
  pair_places(self, live_world.places_of_params(self.world.params, "", {}), found.params, "")
  pair_places(self, reachable.places_of(self.world.fn), found.places, "")
  for i, root in ipairs(self.world.roots) do pair_places(self, live_world.places_of_root(root), found.roots[i], "") end
  self.cells, self.locals = variables(self)
  local done, said, there, fresh = {}, {}, {}, {}
  live_world.each_place(self.world, function(place) there[place.get() or false] = true end)
  for _, new in pairs(self.map) do join(self, new, done) end
  for _, one in ipairs(self.values) do
    if type(one.value) == "function" then join(self, one.value, done) end
    one.was = one.place.get()
    set_value(self, one.place, one.value)
    said[#said + 1] = SCALAR[type(one.value)] and ("%s = %s"):format(one.name, tostring(one.value)) or one.name
  end
  local steps = substitute(self, self.map, options.wrap)
  for _, step in ipairs(#self.names + #said > 0 and steps or {}) do
    table.insert(self.undo, step:forget())
    options.wrap_step(step)
  end
  live_world.each_place(self.world, function(place)
    local value = place.get()
    if not value or there[value] then return end
    fresh[value], fresh[reachable.stands_for[value] or value] = true, true
    if live_world.is_users(value) then self.text[value] = self.text[value] or live_world.text_of(self.new, value) end
  end)
  table.sort(self.names)
  return { names = self.names, values = said, own = says_more(self, found.own), fresh = fresh, moved = self.values }
end

--- What a call was given, with the numbers that it has from a swap as they were before.
---@param moved table[]  of what `apply` gave
---@param given any      an argument: a value, or a plain table of values
function live_swap.as_before(moved, given)
  if type(given) == "table" and debug.getmetatable(given) then return given end
  local found = given
  for _, one in ipairs(moved) do
    if given == one.value then return one.was end
    for key, value in pairs(type(given) == "table" and given or {}) do
      if value == one.value then
        if found == given then
          found = {}
          for name, other in pairs(given) do found[name] = other end
        end
        found[key] = one.was
      end
    end
  end
  return found
end

--- Takes a swap back.
---@param undo fun()[]  what `apply` has filled; empty from now on
function live_swap.take_back(undo)
  while #undo > 0 do table.remove(undo)() end
end

return live_swap
