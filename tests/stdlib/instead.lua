--- For specs of what other modules are asked to do.

--- Calls fn() while these fields of tables are others: { table, name, value } each; puts them back whatever fn does.
---@param list table[]
---@param fn fun()
return function(list, fn)
  local kept = {}
  for i, one in ipairs(list) do
    kept[i] = rawget(one[1], one[2])
    rawset(one[1], one[2], one[3])
  end
  local ok, why = pcall(fn)
  for i = #list, 1, -1 do rawset(list[i][1], list[i][2], kept[i]) end
  if not ok then error(why, 0) end
end
