--- Whether something is met for the first time, of what is to be told once.
---@param told table<any, boolean>  what was met; gets it
---@param what any
---@return boolean
return function(told, what)
  local news = not told[what]
  told[what] = true
  return news
end
