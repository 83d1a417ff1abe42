--- For specs of a script's versions.

local function plain(text) return (text:gsub("%p", "%%%0")) end

--- The text with pieces of it replaced: old, new, old, new, …; each the first that there is, and there.
---@param text string
---@return string
return function(text, ...)
  for i = 1, select("#", ...), 2 do
    local count
    text, count = text:gsub(plain((select(i, ...))), plain((select(i + 1, ...))), 1)
    assert(count == 1, (select(i, ...)))
  end
  return text
end
