--- The modules and globals of a live run's script, as values that can be put aside and back (live_edit.lua). It has to be there before
--- they are: what was there before it is not the user's.
local host = require "gradus.host"
local sorted_keys = require "gradus.base.sorted_keys"

local live_users = {}

local own, own_globals = {}, {}
for name in pairs(package.loaded) do own[name] = true end
for name in pairs(_G) do own_globals[name] = true end

local function modules()
  local found = {}
  for name, value in pairs(package.loaded) do
    if not own[name] and name ~= "gradus" and not name:find "^gradus%." then found[name] = value end
  end
  return found
end

local function globals()
  local found = {}
  for name, value in pairs(_G) do
    if type(name) == "string" and not own_globals[name] then found[name] = value end
  end
  return found
end

---@class Held
---@field modules table<string, any>
---@field globals table<string, any>

--- Those that there are.
---@return Held
function live_users.held() return { modules = modules(), globals = globals() } end

--- Puts these in the place of those that there are.
---@param held Held
function live_users.put_back(held)
  live_users.forget_modules()
  for name, value in pairs(held.modules) do package.loaded[name] = value end
  for name in pairs(globals()) do rawset(_G, name, nil) end
  for name, value in pairs(held.globals) do rawset(_G, name, value) end
end

--- What is required next is read anew.
function live_users.forget_modules()
  for name in pairs(modules()) do package.loaded[name] = nil end
end

--- All that a function and the user's modules can see, with their files as they were read last.
---@param fn function
---@param params table  the run's
---@return World
function live_users.world_of(fn, params)
  local texts = {}
  for _, one in ipairs(host.sources()) do texts[one.path] = one.text end
  return { fn = fn, texts = texts, params = params, roots = { { table = package.loaded, names = sorted_keys(modules()) },
    { table = _G, names = sorted_keys(globals()) } } }
end

return live_users
