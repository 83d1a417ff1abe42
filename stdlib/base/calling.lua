--- Calls a function of the user's and gives what it returns. Where it ends in a tail call, which leaves no frame of it, errors are blamed
--- on that line of it, and not on the line that called the library.
local host = require "gradus.host"

local function all(...) return ... end  -- no tail call of fn: the frame that told of it must stay

---@param fn any  a function, or an object that is called as one
return function(fn, ...)
  if type(fn) == "function" then host.entering(fn) end
  return all(fn(...))
end
