--- run:cached(name, fn, …): what fn(…) makes is built once and reused by every run whose function and inputs are the same.
--- The key covers the function's source text, its upvalues (recursively), the arguments' contents, the standard library
--- and LibTorch's version. One process builds while others wait. The build is a child run with random streams of its own,
--- seeded by the key, so that a hit and a miss leave the calling run in the same state.
---
--- On a hit the function runs again with training switched off (fit, distill and batches return at once), which makes
--- modules of the right shape; then the stored weights are put into them.
local engine = require "gradus.engine"
local host = require "gradus.host"
local checkpoints = require "gradus.checkpoints"
local current = require "gradus.current"
local data = require "gradus.data"
local nn = require "gradus.nn"
local run_module = require "gradus.run"
local sampler = require "gradus.sampler"

local files = engine.data
local util = require "jit.util"

-- --- the key -----------------------------------------------------------------------------------------------------------

-- Standard library values are named instead of opened: their source is in the key as a whole.
local function library_names()
  local names = {}
  -- What is reachable in several ways gets the least of its names: pairs has another order in every process.
  local function name(value, text)
    if not names[value] or text < names[value] then names[value] = text end
  end
  for module, value in pairs(package.loaded) do
    if (module == "gradus" or module:find "^gradus%.") and type(value) == "table" then
      name(value, module)
      for field, inner in pairs(value) do
        if type(inner) == "table" or type(inner) == "function" then name(inner, module .. "." .. tostring(field)) end
      end
    end
  end
  for _, module in ipairs { "_G", "math", "string", "table", "bit" } do  -- Lua's own, which have no source
    for field, inner in pairs(package.loaded[module] or {}) do
      if type(inner) == "function" and debug.getinfo(inner, "S").what == "C" then name(inner, module .. "." .. tostring(field)) end
    end
  end
  return names
end

local texts = {}
local function function_text(fn)
  local info = debug.getinfo(fn, "S")
  if info.what == "C" then return "C function" end
  if not texts[info.source] then
    local lines, path = {}, info.source:gsub("^@", "")
    for _, source in ipairs(host.sources()) do
      if source.path == path or source.path == info.short_src then
        for line in (source.text .. "\n"):gmatch "(.-)\r?\n" do lines[#lines + 1] = line end
      end
    end
    texts[info.source] = lines
  end
  local lines = texts[info.source]
  if #lines == 0 then return info.source .. ":" .. info.linedefined end
  return table.concat(lines, "\n", info.linedefined, math.min(#lines, info.lastlinedefined))
end

local describe

-- Whether the table or its class has the field; some tables refuse unknown names.
local function has(value, name)
  local ok, field = pcall(function() return value[name] end)
  return ok and field ~= nil
end

-- A user's class of modules: its methods and those of its bases, up to the library's.
local function describe_class(class, out, seen, library)
  local methods = {}
  for name, value in pairs(class) do
    if not name:find "^__" then methods[name] = value end
  end
  out[#out + 1] = class.__name
  describe(methods, out, seen, library)
  describe(class.__base, out, seen, library)
end

-- A module: its class, its plain values and weights, and those of all below.
local function describe_module(module, out, seen, library)
  out[#out + 1] = tostring(module)
  for path, one in module:named_modules() do
    local plain = {}
    for name, value in pairs(one._values) do
      local kind = type(value)
      if name ~= "training" and (kind == "number" or kind == "string" or kind == "boolean") then plain[name] = value end
    end
    out[#out + 1] = path
    describe(plain, out, seen, library)
    describe(nn.class_of(one), out, seen, library)
  end
  describe(module:state_dict(), out, seen, library)
end

-- Names, texts and numbers in a function's code, which tell two functions on one line apart.
local function constants(fn, out)
  local info = util.funcinfo(fn)
  out[#out + 1] = ("%d instructions"):format(info.bytecodes or 0)
  for i = -1, -(info.gcconsts or 0), -1 do
    local one = util.funck(fn, i)
    if type(one) == "string" then out[#out + 1] = ("%q"):format(one) end
  end
  for i = 0, (info.nconsts or 0) - 1 do out[#out + 1] = ("%.17g"):format(util.funck(fn, i)) end
end

-- Appends a text that identifies the value to `out`.
function describe(value, out, seen, library)
  local kind = type(value)
  if kind == "number" then out[#out + 1] = ("%.17g"):format(value)
  elseif kind == "string" then out[#out + 1] = ("%q"):format(value)
  elseif kind == "boolean" or kind == "nil" then out[#out + 1] = tostring(value)
  elseif library[value] then out[#out + 1] = library[value]
  elseif seen[value] then out[#out + 1] = "#" .. seen[value]
  else
    seen.count = seen.count + 1
    seen[value] = seen.count
    if engine.is_tensor(value) then out[#out + 1] = value:hash()
    elseif data.is(value) then out[#out + 1] = value:fingerprint()
    elseif data.is_generator(value) then describe({ value.fn, value.epoch, value.samples }, out, seen, library)
    elseif kind == "function" then
      out[#out + 1] = function_text(value)
      constants(value, out)
      for i = 1, math.huge do
        local name, inner = debug.getupvalue(value, i)
        if not name then break end
        out[#out + 1] = name
        describe(inner, out, seen, library)
      end
    elseif nn.is_module(value) then describe_module(value, out, seen, library)
    elseif nn.is_class(value) then describe_class(value, out, seen, library)
    elseif kind == "table" and has(value, "state_dict") then
      out[#out + 1] = tostring(value)
      describe(value:state_dict(), out, seen, library)
    elseif kind == "table" and has(value, "uid") then  -- the run itself
      describe({ value.seed, value.params }, out, seen, library)
    elseif kind == "table" then
      local keys = {}
      for key in pairs(value) do keys[#keys + 1] = key end
      table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
      out[#out + 1] = "{"
      for _, key in ipairs(keys) do
        out[#out + 1] = tostring(key)
        describe(value[key], out, seen, library)
      end
      out[#out + 1] = "}"
    else
      host.fail(("cached: a %s cannot be part of what identifies the result; expected functions, modules, data, tensors and plain values")
        :format(kind))
    end
  end
end

local function key_of(name, fn, ...)
  local out, library = { name, host.stdlib_hash(), engine.torch_version, tostring(engine.threads()) }, library_names()
  local seen = { count = 0 }
  for _, value in ipairs { fn, { n = select("#", ...), ... } } do describe(value, out, seen, library) end
  return host.sha256(table.concat(out, "\n"))
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
  local sources = sampler.numbered(0)
  local numbers = {}
  for i = 1, 4 do numbers[i] = math.random(2 ^ 31) - 1 end
  local ok, result = xpcall(work, host.traceback)
  current.run = before
  for i, one in ipairs(generators) do one:set_state(states[i]) end
  nn.init_generator = init
  math.randomseed(numbers[1])  -- the same on a hit and on a miss
  sampler.numbered(sources)
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
    require("gradus.tensor").no_grad(function() one:copy_(stored[place]) end)
  end
  return results
end

return function(run, name, fn, ...)
  if type(name) ~= "string" or not name:find "^[%w_-]+$" then
    host.fail("cached: expected a name of letters, digits, '_' and '-'; got " .. tostring(name))
  end
  if type(fn) ~= "function" then host.fail("cached: expected a function that builds the result; got " .. type(fn)) end
  local key = key_of(name, fn, ...)
  -- The seed is read from the first digits: each device builds its own, all from one beginning.
  if run.device ~= "cpu" then key = key:sub(1, 12) .. host.sha256(key .. run.device):sub(13) end
  local folder = run.folder:gsub("[^/]*$", "") .. "cache"
  host.mkdirs(folder)
  local path = ("%s/%s-%s.safetensors"):format(folder, name, key:sub(1, 32))
  local lock = host.lock(path .. ".lock")
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
