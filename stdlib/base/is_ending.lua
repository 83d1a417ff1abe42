--- Whether what a pcall has caught is no failure: somebody has interrupted the run, or the script has called os.exit. It goes on upwards.
local host = require "gradus.host"

---@param why any
---@return boolean
return function(why)
  return type(why) == "table" and (why.interrupted ~= nil or why.exit ~= nil) or host.exiting()
end
