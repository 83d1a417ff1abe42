--- Lua's own globals, and the fields of its libraries, as they were before any script ran: what else is there, a script has
--- set. Loaded with run.lua.
local globals = { own = {}, fields = {} }

for name, value in pairs(_G) do
  globals.own[name] = value
  if type(value) == "table" and value ~= _G then
    globals.fields[name] = {}
    for field, inner in pairs(value) do globals.fields[name][field] = inner end
  end
end

return globals
