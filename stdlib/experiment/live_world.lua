--- What a loop of the script's own can see, place by place, and the text of the functions there (live_swap.lua).
local reachable = require "gradus.experiment.reachable"
local nn = require "gradus.nn"

local live_world = {}

---@class World
---@field fn function      the loop's, that runs; its frame is there
---@field roots {table: table, names: string[]}[]  the user's modules in package.loaded, and globals in _G
---@field texts table<string, string>  path -> source
---@field params table     the run's parameters

--- Whether it is a function of the user's.
function live_world.is_users(value)
  return type(value) == "function" and not reachable.is_of_library(reachable.stands_for[value] or value)
end

--- Whether it is a training step of the user's (step.lua).
function live_world.is_step(value)
  return type(value) == "table" and rawget(value, "plans") ~= nil and live_world.is_users(rawget(value, "fn"))
    and reachable.is_library(value)
end

--- The places inside of a value: { name, home, slot, get, set } each; of an object of the library those with a function of the user's.
---@return table[]
function live_world.places_inside(value)
  if type(value) ~= "table" or nn.is_class(value) or not reachable.is_library(value) then return reachable.inside(value) or {} end
  local places = {}
  for _, place in ipairs(reachable.fields_of(value)) do
    if live_world.is_users(place.get()) then places[#places + 1] = place end
  end
  return places
end

--- Of modules or globals.
---@param root {table: table, names: string[]}
---@return table[]
function live_world.places_of_root(root)
  local places = {}
  for i, name in ipairs(root.names) do
    places[i] = { name = name, home = root.table, slot = name, get = function() return rawget(root.table, name) end,
      set = function(value) rawset(root.table, name, value) end }
  end
  return places
end

--- Of parameters, those within groups too.
---@param params table
---@param path string     before their names
---@param places table[]  that they are added to, and that is returned
function live_world.places_of_params(params, path, places)
  for _, place in ipairs(reachable.fields_of(params)) do
    place.name = path .. place.name
    if type(place.get()) == "table" then live_world.places_of_params(place.get(), place.name .. ".", places)
    else places[#places + 1] = place end
  end
  return places
end

--- Calls visit(place) for every place of the world, once.
---@param world World
---@param visit fun(place: table)
function live_world.each_place(world, visit)
  local seen = { [_G] = true, [package.loaded] = true }
  for _, library in pairs(package.loaded) do seen[library] = true end
  for _, name in ipairs(world.roots[1].names) do seen[package.loaded[name]] = nil end
  local function enter(places)
    for _, place in ipairs(places) do
      visit(place)
      local value = place.get()
      if (type(value) == "table" or type(value) == "function") and not seen[value] then
        seen[value] = true
        enter(live_world.places_inside(value))
      end
    end
  end
  enter(reachable.places_of(world.fn))
  for _, root in ipairs(world.roots) do enter(live_world.places_of_root(root)) end
  enter(live_world.places_of_params(world.params, "", {}))
end

-- The lines of a function's file, without the blanks around them.
local function lines_of(world, fn)
  local info = debug.getinfo(reachable.stands_for[fn] or fn, "S")
  local text, at, lines = world.texts[info.source:sub(2)], 0, {}
  for line in ((text or "") .. "\n"):gmatch "([^\n]*)\n" do
    at = at + 1
    lines[at] = line:match "^%s*(.-)%s*$"
  end
  return lines, info
end

-- Those of the function that mean something: no empty ones, no comments of whole lines.
local function joined(lines, info)
  local kept = {}
  for at = info.linedefined, info.lastlinedefined do
    local line = lines[at]
    if line and line ~= "" and (not line:find "^%-%-" or line:find "^%-%-%[") then kept[#kept + 1] = line end
  end
  return table.concat(kept, "\n")
end

--- A function's text.
---@param world World  whose files have it
---@param fn function
---@return string
function live_world.text_of(world, fn)
  return joined(lines_of(world, fn))
end

--- What the loop's function says itself: without the functions that it makes, and what stands before it on its first line.
---@param world World
---@return string
function live_world.own_text(world)
  local lines, info = lines_of(world, world.fn)
  live_world.each_place(world, function(place)
    local value = place.get()
    if live_world.is_step(value) then value = rawget(value, "fn") end
    if not live_world.is_users(value) then return end
    local one = debug.getinfo(value, "S")
    if one.source ~= info.source or one.linedefined <= info.linedefined or one.lastlinedefined > info.lastlinedefined then return end
    for at = one.linedefined + 1, one.lastlinedefined - 1 do lines[at] = nil end
    local first = lines[one.linedefined]
    if first and one.linedefined == one.lastlinedefined then lines[one.linedefined] = first:gsub("function.*end", "function end") end
  end)
  local first = lines[info.linedefined]
  if first then lines[info.linedefined] = first:gsub("^.-%f[%w_](function%f[^%w_])", "%1", 1) end
  return joined(lines, info)
end

return live_world
