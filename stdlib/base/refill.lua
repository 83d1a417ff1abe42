--- Has a table hold what another one holds, and nothing else. It stays the same table: whoever has it sees the change.
---@param target table
---@param from table
return function(target, from)
  for key in pairs(target) do target[key] = nil end
  for key, value in pairs(from) do target[key] = value end
end
