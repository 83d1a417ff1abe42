--- What live edits (live_edit.lua) have made of a run by the time of a snapshot, as the store tells it: each is an event with the files and
--- parameters that it changed, and so is each that takes one back, or goes on with other files (resume.lua). What was edited while an
--- earlier training went on is with that.
local host = require "gradus.host"

local edits = {}

local ALL = [[SELECT detail, (run_id = ?1 AND id <= ?2 OR run_id IN (SELECT id FROM runs WHERE parent = ?1 AND id <= ?3)) AS before
  FROM events WHERE (kind = 'edit' AND name = 'live' OR kind = 'resume' AND name = 'resume' AND json_extract(detail, '$.files') IS NOT NULL)
    AND (run_id = ?1 OR run_id IN (SELECT id FROM runs WHERE parent = ?1 AND kind = 'training'))
    AND id > (SELECT coalesce(max(id), 0) FROM events WHERE run_id = ?1 AND kind = 'resume' AND name = 'fork')
  ORDER BY id]]

-- Those until the snapshot, and those after it, oldest first. Without one all are after it.
local function around(store, id, goal)
  local point, before, after = goal and goal.point or { event = -1, child = -1 }, {}, {}
  for _, one in ipairs(store:query(ALL, id, point.event, point.child)) do
    table.insert(one.before == 1 and before or after, host.json_decode(one.detail))
  end
  return before, after
end

---@class Edited
---@field texts table<string, string>  the hashes of the sources that the run had there, by path
---@field kept string?                 what it had of an older version, which no file tells
---@field params table<string, any>    parameters as they were there, of those that were edited later

--- What a run had where a snapshot was taken, or at its beginning.
---@param store table
---@param id number
---@param goal table?  the snapshot
---@return Edited
function edits.until_then(store, id, goal)
  local found = { texts = {}, kept = nil, params = {} }
  for _, one in ipairs(store:query("SELECT path, sha256 FROM run_sources WHERE run_id = ? AND path NOT GLOB '*@[0-9]*'", id)) do
    found.texts[one.path] = one.sha256
  end
  local before, after = around(store, id, goal)
  for _, edit in ipairs(before) do
    for _, file in ipairs(edit.files or {}) do found.texts[file.path] = file.now end
    found.kept = edit.kept
  end
  for i = #after, 1, -1 do
    for name, value in pairs(after[i].params or {}) do found.params[name] = value.was end
  end
  return found
end

return edits
