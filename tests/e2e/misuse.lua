-- Calls every public function of the library, and every method of its objects, with wrong types, counts and nil for every
-- argument and every option. What it raises must be at this script's line and say more than Lua does. Run by misuse_test.py.
local g = require "gradus"
local comments = require "gradus.base.comments"

local calls, complaints, seen = 0, {}, {}

-- What is wrong with an error's text, or nil.
local function fault(text)
  if type(text) ~= "string" then return "no text" end
  local first = text:match "^[^\n]*"
  if first:find "^stdlib/" or first:find "stdlib/[%w_/]+%.lua:%d+" then return "a line of the library" end
  if not first:find "^misuse%.lua:%d+: " then return "no line of the script" end
  for _, lua in ipairs { "attempt to ", "bad argument #" } do
    if first:find(lua, 1, true) then return "Lua's own words" end
  end
end

local function shown(value)
  if type(value) == "table" and not getmetatable(value) then
    local words = {}
    for key, inner in pairs(value) do words[#words + 1] = tostring(key) .. " = " .. (type(inner) == "string" and inner or type(inner)) end
    return "{ " .. table.concat(words, ", ") .. " }"
  end
  return type(value) == "string" and "'" .. value .. "'" or type(value) == "number" and tostring(value) or type(value)
end

local function try(name, fn, ...)
  calls = calls + 1
  local ok, err = pcall(fn, ...)
  if ok then return end
  local text = type(err) == "table" and err.message or err
  local wrong = fault(text)
  if not wrong then return end
  local words = {}
  for i = 1, select("#", ...) do words[i] = shown((select(i, ...))) end
  local key = name .. tostring(text):gsub("%d+", "")
  if seen[key] then return end
  seen[key] = true
  complaints[#complaints + 1] = ("%s(%s): %s: %s"):format(name, table.concat(words, ", "), wrong, tostring(text))
end

-- --- what is right --------------------------------------------------------------------------------------------------------

local objects

local function right_by_type(kind)
  kind = kind:gsub("%?$", "")
  local o = objects
  for name, value in pairs { Tensor = o.tensor, Dataset = o.train, Module = o.net, Source = o.source, Checkpoints = o.kept,
    Grammar = o.grammar,
    Alphabet = o.alphabet, State = o.state } do
    if kind:find("^" .. name .. "%f[^%w]") then return value end
  end
  if kind:find "^fun" then return function() return o.tensor end end
  if kind:find "^number%[%]" then return { 1, 2 } end
  if kind:find "^string%[%]" then return { "a" } end
  if kind:find "^number" then return 1 end
  if kind:find "^string" then return "a" end
  if kind:find "^boolean" then return true end
  if kind:find "^any" then return 1 end
  if kind:find "^table%[%]" then return { {} } end
  return {}
end

local BY_NAME = { teacher = "net", student = "net", model = "net", ranked = "train", d = "train", data = "train", path = "path",
  where = "where" }

local function right(param)
  local named = BY_NAME[param.name]
  return named and objects[named] or right_by_type(param.type)
end

-- --- what is wrong --------------------------------------------------------------------------------------------------------

local function wrong_values()  -- new ones: some functions write into a table that they are given
  local list = { -1, 0, 1.5, 0 / 0, math.huge, "nonsense", true, false, {}, { 1, "a" }, { [2] = "a" }, { nonsense = 1 }, function() end }
  for _, name in ipairs { "tensor", "net", "train" } do list[#list + 1] = objects[name] end
  return list
end

-- As many epochs or steps as infinity has are a training without end, which is what was asked for.
local ENDLESS = { epochs = true, steps = true, samples = true, seconds = true, flops = true, budget = true, sentences = true,
  projections = true,
  count = true }
local function fits_in_memory(name, value) return not (ENDLESS[name] and value == math.huge) end

-- The options of a parameter: "{a: number, b: any?}", or a class of fields.
local function options_of(param)
  local fields = {}
  if param.type:find "^{" then
    for name, kind in param.type:gmatch "([%w_]+)%??:%s*([^,}]+)" do fields[#fields + 1] = { name = name, type = kind } end
  end
  for _, entry in ipairs(comments.all()) do
    if entry.class and entry.class == param.type:match "^([%w_]+)" and param.name == "options" then
      for _, field in ipairs(entry.fields) do fields[#fields + 1] = field end
    end
  end
  return fields
end

-- As a caller would fill in the options that must be there.
local function base_options(fields)
  local base = {}
  for _, field in ipairs(fields) do
    if not field.optional and BY_NAME[field.name] then base[field.name] = objects[BY_NAME[field.name]] end
    if field.name == "budget" then base.budget = { steps = 1 } end
  end
  return base
end

local function probe(entry, fn, self)
  local name, params, before, began = entry.name, entry.params, calls, os.clock()
  local function call(list, count)
    if self ~= nil then return try(name, fn, self, unpack(list, 1, count)) end
    return try(name, fn, unpack(list, 1, count))
  end
  local good = {}
  for i, param in ipairs(params) do good[i] = right(param) end
  for count = 0, #params + 1 do call(good, count) end
  for i = 1, math.max(1, #params) do
    local list = { unpack(good, 1, #params) }
    list[i] = nil
    call(list, #params)
    for _, value in ipairs(wrong_values()) do
      if fits_in_memory(params[i] and params[i].name, value) then
        list[i] = value
        call(list, math.max(i, #params))
      end
    end
  end
  for i, param in ipairs(params) do
    local fields = options_of(param)
    for _, field in ipairs(fields) do
      for _, value in ipairs(wrong_values()) do
        local list, options = { unpack(good, 1, #params) }, base_options(fields)
        options[field.name] = value
        list[i] = options
        if fits_in_memory(field.name, value) then call(list, #params) end
      end
    end
  end
  if os.getenv "GRADUS_MISUSE" then print(name, calls - before, os.clock() - began) end
end

local function value_at(path)
  local value = g
  for part in path:gsub("^g%.", ""):gmatch "[%w_]+" do value = value[part] end
  return value
end

-- Methods that would end the run, or wait.
local SKIPPED = { ["run:finish"] = true, ["run:breathe"] = true, ["run:configure"] = true, ["run:store_result"] = true,
  ["run:progress"] = true,
  ["run:show"] = true, ["run:event"] = true, ["g.manual_seed"] = true, ["net:to"] = true, ["opt:to"] = true }

return g.experiment { name = "misuse", params = { part = "" }, run = function(run, p)
  local nn = g.nn
  local parts = g.data.digits():split { train = .05, val = .05 }
  local net, grammar = nn.MLP { 64, 10 }, g.cfg.parse "7: 1 2 | 2 1"
  local model, kept = run:fit { model = nn.MLP { 64, 4, 10 }, data = parts.train, steps = 4, checkpoints = { steps = 2 } }
  objects = { train = parts.train, net = net, tensor = g.ones(3, 4), path = "nothing", where = "seed == 1", grammar = grammar,
    alphabet = g.cfg.alphabet(grammar), source = g.sampler.uniform(parts.train), kept = kept, model = model }
  local done = run:distill { student = nn.MLP { 64, 10 }, data = parts, budget = { steps = 2 },
    curriculum = { advance = function(s) objects.state = s return false end } }
  local selves = { run = run, d = parts.train, s = objects.state, r = done, net = net, opt = g.optim.AdamW(net), kept = kept,
    list = nn.ModuleList { nn.Linear(2, 2) }, dict = nn.ModuleDict { a = nn.Linear(2, 2) }, x = objects.tensor, sampler = objects.source }
  for _, entry in ipairs(comments.all()) do
    local owner, method = entry.name:match "^([%w_.]+)([:.])[%w_]+$"
    local last = entry.name:match "([%w_]+)$"
    if owner and not SKIPPED[entry.name] and (p.part == "" or entry.name:find(p.part, 1, true) == 1) then
      if method == ":" and selves[owner] ~= nil then
        probe(entry, selves[owner][last], selves[owner])
      elseif method == "." then
        local fn = value_at(entry.name)
        local meta = getmetatable(fn)
        if type(fn) == "function" or type(meta) == "table" and meta.__call then probe(entry, fn) end
      end
    end
  end
  for _, text in ipairs(complaints) do io.stderr:write("=== ", (text:gsub("\n.*", "")), "\n") end
  return { calls = calls, complaints = #complaints }
end }
