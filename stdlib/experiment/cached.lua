--- run:cached(name, fn, …): what fn(…) makes is built once and reused by every run in which it would come out the same.
---
--- An entry is found by its key: the function's source text, its upvalues (recursively), the arguments' contents, LibTorch's
--- version and the threads. It is taken where all that the function read while it was built is as it was (traced.lua:
--- parameters, the run's seed, globals, user modules, environment variables, files), and so are the functions of the
--- standard library that ran (reached.lua). One key may have several entries: a function that reads run.seed has one a seed.
---
--- One process builds while others wait. The build is a child run with random streams of its own, seeded by the name, the
--- function and the arguments, so that a hit and a miss leave the calling run in the same state.
---
--- On a hit the function runs again with training switched off (fit, distill and batches return at once), which makes
--- modules of the right shape; then the stored weights and the modules' own plain values are put into them.
local engine = require "gradus.engine"
local host = require "gradus.host"
local cached_results = require "gradus.experiment.cached_results"
local current = require "gradus.base.current"
local entries = require "gradus.experiment.entries"
local generator = require "gradus.data.generator"
local nn = require "gradus.nn"
local reached = require "gradus.base.reached"
local reading = require "gradus.base.reading"
local run_module = require "gradus.experiment.run"
local sampler = require "gradus.curriculum.sampler"
local sameness = require "gradus.experiment.sameness"
local snapshot_files = require "gradus.experiment.snapshot_files"
local stand_in_for = require "gradus.experiment.stand_in"
local streams = require "gradus.experiment.streams"
local traced = require "gradus.experiment.traced"
local weights = require "gradus.base.weights"

local function pack(...) return { n = select("#", ...), ... } end

-- What is built, in one table: run, name, fn, args, key, seed, iterates.
local function task_of(run, name, fn, ...)
  local args = pack(...)
  local identity, iterates, seed = traced.identity(run, { n = 3, name, fn, args })
  local threads = run.options.threads or "auto of " .. engine.cores()  -- a child run chooses its own
  local key = host.sha256(table.concat({ identity, engine.torch_version, threads, run.device }, "\n"))
  return { run = run, name = name, fn = fn, args = args, key = key, seed = tonumber(seed:sub(1, 12), 16), iterates = iterates }
end

-- --- building and loading ------------------------------------------------------------------------------------------------

-- Runs the function with streams of its own and gives the caller's back, whatever happens; generators of data stand where they stood.
local function in_own_streams(run, work)
  local kept, init, before, threads = streams.state(run), nn.init_generator, current.run, engine.threads()
  local lua_seed = math.random(2 ^ 31) - 1
  sampler.numbered(0)
  local ok, result, more = xpcall(generator.standing, host.traceback, work)
  nn.init_generator, current.run = init, before
  streams.load_state(kept)
  math.randomseed(lua_seed)  -- the same on a hit and on a miss
  engine.set_threads(threads)
  run.line.clear()
  if not ok then error(result, 0) end
  return result, more
end

-- The function's results while the run stands for `stand_in`.
local function call(task, stand_in)
  return traced.standing_for(task.run, stand_in, function(parent)
    stand_in.parent = parent
    return pack(task.fn(unpack(task.args, 1, task.args.n)))
  end)
end

local parts = {}  -- what is being built, the innermost last: the library's functions behind what it took from the cache

-- The child run that an interrupted attempt at the same has left, with its snapshot; nil where there is none to go on from.
local function left_of(task)
  local run = task.run
  for _, row in ipairs(run.store:query([[SELECT r.id, r.uid FROM runs r JOIN params p ON p.run_id = r.id AND p.key = 'key'
      WHERE r.parent = ? AND r.kind = ? AND r.status IN ('interrupted', 'failed') AND p.value = ? ORDER BY r.id DESC]], run.id, task.name,
      task.key)) do
    local goal = snapshot_files.newest(run.store.folder .. "/" .. row.uid, run.line.say)
    if goal and #sameness.differences(goal, run) == 0 then return row.id, goal end
  end
end

local function content_of(module) return weights.hash(module:state_dict()) end

-- Modules among the arguments: place -> what it holds.
local function modules_among(args)
  local found = {}
  for i = 1, args.n do found[i] = nn.is_module(args[i]) and content_of(args[i]) or nil end
  return found
end

local function is_among(results, module)
  for i = 1, results.n do
    if nn.is_module(results[i]) then
      for _, one in results[i]:named_modules() do
        if one == module then return true end
      end
    end
  end
  return false
end

-- What a function leaves in a module that it was given is the module's alone in the run that builds: others train nothing.
local function check_returned(task, before, results)
  for i, content in pairs(before) do
    if not is_among(results, task.args[i]) and content_of(task.args[i]) ~= content then
      host.fail(("cached: '%s': the function changes the weights of its argument %d and does not return that module: where the result is "
        .. "taken from the cache they would stay as they are; expected it among the results"):format(task.name, i))
    end
  end
end

-- Writes the results for later runs; the child run that made them lists the file.
local function keep(child, path, task, before, results)
  check_returned(task, before, results)
  cached_results.write(path, task, results)
  child.writer:artifact("weights", "../cache/" .. path:match "[^/]*$", host.hash_file(path))
end

local function build(task, path)
  local run, before = task.run, modules_among(task.args)
  local left, goal = left_of(task)
  local child = run_module.begin { store = run.store, name = run.name .. "/" .. task.name, kind = task.name, seed = task.seed,
    flat = { key = task.key }, params = run.params, parent = run, options = run.options, label = task.name, resumes = left, goal = goal,
    policy = run.snapshots.policy }
  child.outermost = traced.outermost(run)
  local made, reads, ok, why
  table.insert(parts, {})
  local library = reached.by(function()
    ok, why = xpcall(function()
      made, reads = traced.watch(run, task.name, task.iterates, function() return call(task, child) end)
    end, host.traceback)
  end)
  for _, part in ipairs(table.remove(parts)) do reached.join(library, part) end
  child.parent = run
  if ok then ok, why = xpcall(keep, host.traceback, child, path, task, before, made) end
  if ok then
    child:event("reads", task.name, traced.shown(reads))
    child:finish "finished"
    return made, { reads = reads, library = library }
  end
  child:finish(child.interrupted and "interrupted" or "failed", host.error_text(why))
  run.interrupted = child.interrupted
  error(why, 0)
end

-- A run that trains nothing.
local function replaying(task)
  local run = task.run
  return stand_in_for(run, { replaying = true, seed = task.seed, name = run.name .. "/" .. task.name, outermost = traced.outermost(run) })
end

-- The results of an entry, or nil and why they do not fit.
local function replay(task, path)
  current.run = replaying(task)
  streams.begin(task.seed)
  return cached_results.fill(call(task, current.run), path)
end

-- --- finding -------------------------------------------------------------------------------------------------------------

local function changed(task, entry)
  local one = traced.changed(task.run, entry.reads)
  if one then
    local what, was = next(traced.shown { one })
    return ("%s was %s"):format(what, tostring(was))
  end
  local file = reached.changed(entry.library)
  return file and ("stdlib/%s has changed"):format(file)
end

-- The entry whose reads are as they were, and the results; nil and why the newest one is not.
local function find(task, book)
  local why
  for i = #book.entries, 1, -1 do
    local entry = book.entries[i]
    local differs = not host.exists(book:path(entry)) and "its file is gone" or changed(task, entry)
    if not differs then
      local results, misfits = replay(task, book:path(entry))
      if results then return entry, results end
      task.run:warn("cached", ("cached: '%s': what the function makes without training is of another form than what it built "
        .. "(%s); built anew"):format(task.name, misfits))
      differs = "another form"
    end
    why = why or differs
  end
  return nil, why
end

local function hit(task, entry)
  task.run:event("cache", "hit", { name = task.name, key = task.key, reads = traced.shown(entry.reads) })
end

local function miss(task, book, why)
  local path = book:new_path(task)
  local results, entry = build(task, path)
  book:add(entry, path)
  task.run:event("cache", "miss", { name = task.name, key = task.key, because = why, reads = traced.shown(entry.reads) })
  return results, entry
end

-- What was found or built, and its entry. Whoever builds holds a lock: that of the key where nothing is known of what the function reads,
-- else that of what it will read, so that the teachers of several seeds are built side by side.
local function find_or_build(task, book)
  local lock = book:lock()
  local ok, results, used = xpcall(function()
    book:read()
    local entry, found = find(task, book)
    if not entry and #book.entries > 0 then
      lock:unlock()
      lock = book:lock(traced.now(task.run, book.entries[#book.entries].reads))
      book:read()
      entry, found = find(task, book)
    end
    if not entry then return miss(task, book, found) end
    hit(task, entry)
    return found, entry
  end, host.traceback)
  lock:unlock()
  if not ok then error(results, 0) end
  return results, used
end

return function(run, name, fn, ...)
  if type(name) ~= "string" or not name:find "^[%w_-]+$" then
    host.fail("cached: expected a name of letters, digits, '_' and '-'; got " .. tostring(name))
  end
  if type(fn) ~= "function" then host.fail("cached: expected a function that builds the result; got " .. type(fn)) end
  local task = reading.unnoted(task_of, run, name, fn, ...)
  local book = entries.open(run.folder:gsub("[^/]*$", "") .. "cache", task)
  local results, entry = reading.unnoted(in_own_streams, run, function() return find_or_build(task, book) end)
  traced.pass_on(entry.reads)
  if #parts > 0 then table.insert(parts[#parts], entry.library) end
  for i = 1, results.n do
    if type(results[i]) == "table" and results[i].eval then results[i]:eval() end
  end
  return unpack(results, 1, results.n)
end
