--- Keeps a store open in a process of its own while runs come and go, each in a process that opens it. Where nobody has it open,
--- whoever opens it next reads the whole of its log (SQLite's WAL, up to 64 MiB) before its first row: a tenth of a second for each run.
--- The process that the runs are forked from must not hold it itself: a connection is no child's to inherit.
local children = require "gradus.children"
local host = require "gradus.host"

local store_keeper = {}

--- Begins. Returns its process, for `stop`.
---@param path string  of the store
---@return number
function store_keeper.start(path)
  return children.spawn(function()
    local store = require("gradus.store").open(path)  -- what is wrong with it the runs say
    store:query "SELECT 1 FROM runs LIMIT 1"
    children.ask("keeps", "")
  end)
end

local function is_there(pid) return host.exists(("/proc/%d"):format(pid)) end

--- Ends, and waits for it; a signal may have ended it before. What other processes say meanwhile is lost: none may go on.
---@param pid number
function store_keeper.stop(pid)
  if is_there(pid) then children.answer(pid, "") end
  for _ = 1, 50 do
    if not is_there(pid) then return end
    children.wait(.1)
  end
end

return store_keeper
