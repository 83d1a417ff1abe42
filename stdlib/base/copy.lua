--- A copy of plain data, tables within tables, that shares none of them: what a snapshot keeps.
local function copy(value)
  if type(value) ~= "table" then return value end
  local made = {}
  for key, inner in pairs(value) do made[key] = copy(inner) end
  return made
end

return copy
