--- Lua's own globals, and the fields of its libraries, as they were before any script ran: what else is there, a script has
--- set. Loaded with runner.lua and run.lua.
require "gradus.base.random"  -- a library of Lua as a script finds it

local pristine = { own = {}, fields = {} }

for name, value in pairs(_G) do
  pristine.own[name] = value
  if type(value) == "table" and value ~= _G then
    pristine.fields[name] = {}
    for field, inner in pairs(value) do pristine.fields[name][field] = inner end
  end
end

return pristine
