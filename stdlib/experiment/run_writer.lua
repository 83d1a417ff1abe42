--- How a run stands in the store when it begins: a new one, one that goes on, one that shares another's past; and writers that write
--- nothing.
local engine = require "gradus.engine"
local current = require "gradus.base.current"
local files = require "gradus.base.files"
local host = require "gradus.host"
local sorted_keys = require "gradus.base.sorted_keys"
local sources = require "gradus.experiment.sources"

local run_writer = {}

local function param_list(flat)
  local list = {}
  for i, key in ipairs(sorted_keys(flat)) do
    list[i] = { key = key, value = flat[key], type = type(flat[key]) == "number" and flat.types and flat.types[key] or nil }
  end
  return list
end

-- A word as a shell takes it.
local function quoted(word)
  return word:find "^[%w_./:=,@%%+~\128-\255-]+$" and word or "'" .. word:gsub("'", "'\\''") .. "'"
end

-- The command line for the store, as it may be typed again.
local function command_line()
  local words = {}
  for word in (files.read "/proc/self/cmdline" or ""):gmatch "([^%z]*)%z" do words[#words + 1] = quoted(word) end
  return words[1] and table.concat(words, " ")
end

--- Events (e) of a run that its name, code, parameters and data do not tell of: it was another run until a step, or had other parameters,
--- code or data.
run_writer.APART = [[(e.kind = 'resume' AND (e.name IN ('fork', 'data') OR json_extract(e.detail, '$.set') IS NOT NULL
  OR json_extract(e.detail, '$.accepted') LIKE '%"script %'))]]

--- Whether an event 'resume' with this detail is one of them by what was set or accepted, not by its name.
---@param detail table
function run_writer.is_apart(detail)
  return detail.set ~= nil or detail.accepted ~= nil and host.json_encode(detail.accepted):find('"script ', 1, true) ~= nil
end

local EARLIER = [[SELECT e.kind, e.detail FROM events e WHERE e.id <= ?2
  AND (e.run_id = ?1 OR e.run_id IN (SELECT id FROM runs WHERE parent = ?1 AND kind = 'training')) AND (e.kind = 'edit' OR ]]
  .. run_writer.APART .. ") ORDER BY e.id"

-- In words that are the same for another seed.
local function departure(detail)
  return "apart " .. host.json_encode { at = detail.at, axis = detail.axis, from = detail.from, set = detail.set,
    schedules = detail.schedules, accepted = detail.accepted, config = detail.config }
end

-- Where a run that goes on, or begins as another, has been something else, and is no repetition of one that has not; see APART.
local function apart(options)
  local of, list = options.resumes or options.forks, {}
  for _, row in ipairs(of and options.goal and options.store:query(EARLIER, of, options.goal.point.event or -1) or {}) do
    list[#list + 1] = row.kind == "edit" and "edited " .. row.detail or departure(host.json_decode(row.detail))
  end
  if of and options.detail and options.detail.config then list[#list + 1] = departure(options.detail) end
  return list
end

--- What makes a run's configuration, as texts: its name, sources and parameters, and where it has been something else.
---@param options table  see run.begin
---@return string[]
---@return boolean apart  whether it has
function run_writer.configuration(options)
  local parts = { options.name, options.kind or "run" }
  for _, one in ipairs(host.sources()) do parts[#parts + 1] = sources.text(one) end
  for _, one in ipairs(param_list(options.flat)) do parts[#parts + 1] = one.key .. "=" .. tostring(one.value) end
  local others = apart(options)
  for _, text in ipairs(others) do parts[#parts + 1] = text end
  return parts, #others > 0
end

--- What is equal for repetitions: the configuration, which is without the seed, and the data read so far.
---@param configuration string[]
---@return string
function run_writer.config_hash(configuration)
  return host.sha256(table.concat(configuration, "\n") .. "\n" .. table.concat(current.contents, "\n"))
end

local function new(options, of)
  local opts, versions, past = options.options, host.versions(), nil
  versions.torch = engine.torch_version
  versions.stdlib = host.stdlib_hash()
  if options.forks then
    past = { run = options.forks }
    for name, value in pairs(options.goal.point) do past[name] = value end
  end
  return options.store:begin {
    name = options.name, past = past, kind = options.kind, seed = options.seed, parent = options.parent and options.parent.id,
    config_hash = of.config_hash, params = param_list(options.flat), sources = host.sources(),
    environment = { threads = engine.threads(), gemm = engine.gemm(), device = of.device, host = host.hostname(), script = opts.script,
      command = command_line(), git = host.git(), versions = versions },
  }
end

--- Keeps sources that are others from a step on beside those that the run began with, as PATH@STEP.
---@param changed { path: string, now: string }[]  now: the hash
---@param text_of fun(path: string): string?
function run_writer.keep_sources(writer, step, changed, text_of)
  local list = {}
  for i, one in ipairs(changed) do list[i] = { path = ("%s@%d"):format(one.path, step), sha256 = one.now, text = text_of(one.path) } end
  if #list > 0 then writer:amend { sources = list } end
end

-- The run of that id goes on after the snapshot, or from its beginning; some of its parameters and sources may be others from there on.
local function resumed(options)
  local point, changed = options.goal and options.goal.point or {}, {}
  local writer = options.store:resume(options.resumes, point)
  run_writer.keep_sources(writer, point.step or 0, options.detail and options.detail.files or {}, sources.content)
  for _, one in ipairs(options.set and param_list(options.flat) or {}) do
    if options.set[one.key] ~= nil then changed[#changed + 1] = one end
  end
  if #changed > 0 then writer:amend { params = changed } end
  return writer
end

local function nothing() return 0 end

--- Takes all that a run writes, and keeps nothing of it.
---@param own? table  what it has beside: id, uid, folder, key, …
function run_writer.silent(own) return setmetatable(own or {}, { __index = function() return nothing end }) end

-- The writer of a finished run that is to go on for longer. Until it stands where it ended nothing is changed in the store: what fails
-- on the way there leaves the run, and what it came to, as they are.
local function waiting(options)
  local row, events = options.store:query("SELECT id, uid FROM runs WHERE id = ?", options.resumes)[1], {}
  return run_writer.silent { id = row.id, uid = row.uid, folder = options.store.folder .. "/" .. row.uid,
    key = function(_, name) return name end, event = function(_, ...) events[#events + 1] = { ... } end,
    begin = function()
      local writer = resumed(options)
      for _, event in ipairs(events) do writer:event(unpack(event)) end
      return writer
    end }
end

--- The writer of a run that begins or goes on.
---@param options table                                   see run.begin
---@param of {config_hash: string, device: string}
function run_writer.begin(options, of)
  if options.again then return options.again end
  if not options.resumes then return new(options, of) end
  return options.goal and options.goal.schedules and waiting(options) or resumed(options)
end

--- A run that goes on has reached where it was: the writer that it has from here on, with the keys that it knows in `keys`.
---@param writer any  what run_writer.begin gave
---@param keys table<string, any>
function run_writer.arrived(writer, keys)
  if type(writer) ~= "table" or not rawget(writer, "begin") then return writer end
  local begun = writer:begin()
  for name in pairs(keys) do keys[name] = begun:key(name) end
  return begun
end

--- A writer that writes nothing but its end: what a run does again has been written.
function run_writer.muted(writer)
  local muted = { id = writer.id, uid = writer.uid, folder = writer.folder }
  for _, name in ipairs { "key", "finish", "flush", "point" } do
    muted[name] = function(_, ...) return writer[name](writer, ...) end
  end
  return run_writer.silent(muted)
end

return run_writer
