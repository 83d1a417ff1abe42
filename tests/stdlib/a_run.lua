--- A run in a store of its own, for specs of what needs one.
local host = require "gradus.host"
local run_module = require "gradus.experiment.run"
local store = require "gradus.store"

local number = 0

--- Calls fn(run, events, rows) with a fresh run; events() is what was stored: { step, kind, name, detail } each, in order;
--- rows(query) what a query says of the run, whose id is bound to its `?`.
---@param fn fun(run: Run, events: fun(): table[], rows: fun(query: string): table[])
---@param options? {seed: number, strict: boolean}
return function(fn, options)
  options = options or {}
  number = number + 1
  local folder = ("%s/gradus-spec-%s"):format(os.getenv "TMPDIR" or "/tmp", host.random_hex(8))
  host.mkdirs(folder)
  local opened = store.open(("%s/%d.db"):format(folder, number))
  local run = run_module.begin { store = opened, name = "spec", seed = options.seed or 0, flat = {}, params = {},
    options = { quiet = true, strict = options.strict, script = "spec" }, label = "spec" }
  local function rows(query)
    run.writer:flush()
    return opened:query(query, run.id)
  end
  local function events()
    local list = rows "select step, kind, name, detail from events where run_id = ? order by id"
    for _, row in ipairs(list) do row.detail = host.json_decode(row.detail) end
    return list
  end
  local ok, err = xpcall(fn, host.traceback, run, events, rows)
  run:finish(ok and "finished" or "failed", not ok and tostring(err) or nil)
  os.execute("rm -rf '" .. folder .. "'")
  if not ok then error(err, 0) end
end
