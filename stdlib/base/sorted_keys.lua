--- The keys of a table in one order, whatever pairs() makes of them: numbers and texts by what they are, other kinds by their kind.
---@param t table
---@return any[]
return function(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if type(a) ~= type(b) then return type(a) < type(b) end
    if type(a) == "number" or type(a) == "string" then return a < b end
    return tostring(a) < tostring(b)
  end)
  return keys
end
