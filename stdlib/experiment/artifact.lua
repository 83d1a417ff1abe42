--- run:artifact: a file that is kept with the run, listed by `gradus show` and on the page.
local host = require "gradus.host"
local check = require "gradus.base.check"

local CHUNK = 2 ^ 20  -- bytes that are copied at a time

local function fail(path, why) host.fail(("artifact: %s: %s"):format(path, why), 74) end

local function copy(from, to)
  local source, why = io.open(from, "rb")
  if not source then fail(from, why) end
  local target, refused = io.open(to, "wb")
  if not target then
    source:close()
    fail(to, refused)
  end
  local ok, err = true, nil
  for bytes in function() return source:read(CHUNK) end do
    ok, err = target:write(bytes)
    if not ok then break end
  end
  source:close()
  local closed, late = target:close()
  if not (ok and closed) then fail(to, err or late) end
end

-- Whether what lies there is the run's copy; made in an earlier process, where it goes on or is done again. One that was killed may
-- have left a copy that is not in the store.
local function is_copy(run, name, place, hash)
  if run.kept_files[name] or host.hash_file(place) == hash then return true end
  return #run.store:query("SELECT 1 FROM artifacts WHERE run_id = ? AND path = ?", run.id, name) > 0
end

---@param run Run
---@param path string
---@param kind? string
---@return string
return function(run, path, kind)
  check.value("artifact", "path", path, check.string)
  kind = check.value("artifact", "kind", kind or "file", check.string)
  local hash, why = host.hash_file(path)
  if not hash then host.fail(("artifact: expected a file; got %s"):format(tostring(why)), 66) end
  local below = path:sub(1, #run.folder + 1) == run.folder .. "/" and not path:find("/../", 1, true)
  local name = below and path:sub(#run.folder + 2) or path:match "[^/]+$"
  local place = run.folder .. "/" .. name
  run.kept_files = run.kept_files or {}  -- by name
  if not below then
    if host.exists(place) and not is_copy(run, name, place, hash) then
      host.fail(("artifact: %s: the run has another file of this name; expected a name of its own"):format(path))
    end
    copy(path, place)
  end
  run.kept_files[name] = true
  run.writer:artifact(kind, name, host.hash_file(place))
  return place
end
