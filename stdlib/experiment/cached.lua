--- run:cached(name, fn, …): what fn(…) makes is built once and reused by every run whose function and inputs are the same.
--- The key covers the function's source text, its upvalues (recursively), the arguments' contents, the standard library
--- and LibTorch's version. One process builds while others wait. The build is a child run with random streams of its own,
--- seeded by the key, so that a hit and a miss leave the calling run in the same state.
---
--- On a hit the function runs again with training switched off (fit, distill and batches return at once), which makes
--- modules of the right shape; then the stored weights are put into them.
local engine = require "gradus.engine"
local host = require "gradus.host"
local checkpoints = require "gradus.base.checkpoints"
local current = require "gradus.base.current"
local identity = require "gradus.experiment.identity"
local nn = require "gradus.nn"
local run_module = require "gradus.experiment.run"
local sampler = require "gradus.curriculum.sampler"

local files = engine.data

local function key_of(run, name, fn, ...)
  local threads = run.options.threads or "auto of " .. engine.cores()  -- a child run chooses its own
  return identity("cached", { n = 6, name, host.stdlib_hash(), engine.torch_version, threads, fn, { n = select("#", ...), ... } })
end

-- --- building and loading ------------------------------------------------------------------------------------------------

-- Weights of the modules and tensors among the results, by place and name.
local function tensors_of(results)
  local found = {}
  for i = 1, results.n do
    local value = results[i]
    if engine.is_tensor(value) then
      found[tostring(i)] = value
    elseif type(value) == "table" and value.state_dict then
      for name, one in pairs(value:state_dict()) do found[i .. "." .. name] = one end
    else
      host.fail(("cached: result %d: expected a module or a tensor; got %s"):format(i, type(value)))
    end
  end
  return found
end

local function pack(...) return { n = select("#", ...), ... } end

-- Runs the function with streams of its own and gives the caller's back, whatever happens.
local function in_own_streams(run, work)
  local generators, states = { engine.default_generator() }, {}
  if run.device ~= "cpu" then generators[2] = engine.default_generator(run.device) end
  for i, one in ipairs(generators) do states[i] = one:get_state() end
  local init, before = nn.init_generator, current.run
  local sources, threads = sampler.numbered(0), engine.threads()
  local numbers = {}
  for i = 1, 4 do numbers[i] = math.random(2 ^ 31) - 1 end
  local ok, result = xpcall(work, host.traceback)
  current.run = before
  for i, one in ipairs(generators) do one:set_state(states[i]) end
  nn.init_generator = init
  math.randomseed(numbers[1])  -- the same on a hit and on a miss
  sampler.numbered(sources)
  engine.set_threads(threads)
  run.line.clear()
  if not ok then error(result, 0) end
  return result
end

-- Writes the results for later runs; the child run that made them lists the file.
local function keep(child, path, name, key, results)
  files.write_safetensors(path, tensors_of(results), { key = key, name = name })
  local file = assert(io.open(path, "rb"))
  local bytes = file:read "*a"
  file:close()
  child.writer:artifact("weights", "../cache/" .. path:match "[^/]*$", host.sha256(bytes), #bytes)
end

local function build(run, name, key, path, fn, ...)
  local args = pack(...)
  local seed = tonumber(key:sub(1, 12), 16)
  return in_own_streams(run, function()
    local child = run_module.begin { store = run.store, name = run.name .. "/" .. name, kind = name, seed = seed, flat = { key = key },
      params = {}, parent = run, options = run.options, label = name }
    local ok, results = xpcall(function()
      local made = pack(fn(unpack(args, 1, args.n)))
      keep(child, path, name, key, made)
      return made
    end, host.traceback)
    if ok then
      child:finish "finished"
      return results
    end
    child:finish(child.interrupted and "interrupted" or "failed", tostring(results))
    run.interrupted = child.interrupted
    error(results, 0)
  end)
end

-- The entries whose names begin with the prefix, without it.
local function under(stored, prefix)
  local found = {}
  for name, value in pairs(stored) do
    if name:sub(1, #prefix) == prefix then found[name:sub(#prefix + 1)] = value end
  end
  return found
end

local function replay(run, fn, path, ...)
  local args, seed = pack(...), 0
  local results = in_own_streams(run, function()
    current.run = setmetatable({ replaying = true, seed = seed }, { __index = run })
    run_module.seed_streams(seed)
    return pack(fn(unpack(args, 1, args.n)))
  end)
  local stored = files.read_safetensors(path)
  for i = 1, results.n do
    if checkpoints.is(results[i]) then results[i]:adopt(under(stored, i .. ".")) end
  end
  for place, one in pairs(tensors_of(results)) do
    if not stored[place] then host.fail(("cached: %s: no tensor '%s'"):format(path, place)) end
    require("gradus.base.tensor").no_grad(function() one:copy_(stored[place]) end)
  end
  return results
end

return function(run, name, fn, ...)
  if type(name) ~= "string" or not name:find "^[%w_-]+$" then
    host.fail("cached: expected a name of letters, digits, '_' and '-'; got " .. tostring(name))
  end
  if type(fn) ~= "function" then host.fail("cached: expected a function that builds the result; got " .. type(fn)) end
  local key = key_of(run, name, fn, ...)
  -- The seed is read from the first digits: each device builds its own, all from one beginning.
  if run.device ~= "cpu" then key = key:sub(1, 12) .. host.sha256(key .. run.device):sub(13) end
  local folder = run.folder:gsub("[^/]*$", "") .. "cache"
  host.mkdirs(folder)
  local path = ("%s/%s-%s.safetensors"):format(folder, name, key:sub(1, 32))
  local lock = run:lock(path .. ".lock", name)
  local ok, results = xpcall(function(...)
    if host.exists(path) then
      run:event("cache", "hit", { name = name, key = key })
      return replay(run, fn, path, ...)
    end
    run:event("cache", "miss", { name = name, key = key })
    return build(run, name, key, path, fn, ...)
  end, host.traceback, ...)
  lock:unlock()
  if not ok then error(results, 0) end
  for i = 1, results.n do
    if type(results[i]) == "table" and results[i].eval then results[i]:eval() end
  end
  return unpack(results, 1, results.n)
end
