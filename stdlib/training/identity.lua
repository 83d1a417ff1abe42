--- What identifies values across processes: a hash over functions' source texts and upvalues (recursively), modules' classes,
--- plain values and weights, tensors' and data sets' contents.
local engine = require "gradus.engine"
local host = require "gradus.host"
local data = require "gradus.data.dataset"
local nn = require "gradus.nn"
local own = require("gradus.base.pristine").own

local util = require "jit.util"

-- Standard library values are named instead of opened: what was run of their source is known in another way.
local function library_names()
  local names = {}
  -- What is reachable in several ways gets the least of its names: pairs has another order in every process.
  local function name(value, text)
    if not names[value] or text < names[value] then names[value] = text end
  end
  for module, value in pairs(package.loaded) do
    if (module == "gradus" or module:find "^gradus%.") and type(value) == "table" then
      name(value, module)
      for field, inner in pairs(module ~= "gradus.base.current" and value or {}) do  -- the run is no part of the library
        if type(inner) == "table" or type(inner) == "function" then name(inner, module .. "." .. tostring(field)) end
      end
    end
  end
  names[_G] = "_G"  -- what a function reads of it is another question
  for library, value in pairs(own) do  -- Lua's own, which have no source
    if type(value) == "table" and value ~= _G then
      name(value, "_G." .. library)
      for field, inner in pairs(value) do
        if type(inner) == "function" and debug.getinfo(inner, "S").what == "C" then name(inner, library .. "." .. tostring(field)) end
      end
    elseif type(value) == "function" then
      name(value, "_G." .. library)
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
    local library = path:match "^stdlib/(.*)$"
    local sources = library and { { path = path, text = host.library_text(library) } } or host.sources()
    for _, source in ipairs(sources) do
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

-- A module: its class, its weights and what else its fields hold, and those of all below.
local function describe_module(module, out, seen, library)
  out[#out + 1] = tostring(module)
  for path, one in module:named_modules() do
    local others = {}
    for name, value in pairs(one._values) do
      if name ~= "training" and not one._kinds[name] then others[name] = value end
    end
    out[#out + 1] = path
    describe(others, out, seen, library)
    describe(nn.class_of(one), out, seen, library)
  end
  describe(module:state_dict(), out, seen, library)
end

-- Instructions up to the calls of iterators; the loops, branches and headers behind these are rewritten when code is compiled.
local LAST_FIXED = bit.band(util.funcbc(loadstring "", 1), 0xff) - 7

-- Names, texts, numbers and instructions of a function's code, which tell two functions on one line apart.
local constants
function constants(fn, out, seen, library)
  local info = util.funcinfo(fn)
  out[#out + 1] = ("%d instructions"):format(info.bytecodes or 0)
  for i = 1, (info.bytecodes or 0) - 1 do
    local instruction = util.funcbc(fn, i)
    if bit.band(instruction, 0xff) <= LAST_FIXED then out[#out + 1] = bit.tohex(instruction) end
  end
  for i = -1, -(info.gcconsts or 0), -1 do
    local one = util.funck(fn, i)
    if type(one) == "string" then out[#out + 1] = ("%q"):format(one)
    elseif type(one) == "table" then describe(one, out, seen, library)  -- what a constructor begins with
    elseif type(one) == "proto" then constants(one, out, seen, library) end
  end
  for i = 0, (info.nconsts or 0) - 1 do out[#out + 1] = ("%.17g"):format(util.funck(fn, i)) end
end

-- The methods of a user's objects; those of the library's have no part in what tells two of them apart.
local function describe_metatable(class, out, seen, library)
  if type(class) ~= "table" or library[class] then return end
  for _, value in pairs(class) do
    if type(value) == "function" and debug.getinfo(value, "S").source:sub(1, 8) == "@stdlib/" then return end
  end
  describe(class, out, seen, library)
end

-- Appends a text that identifies the value to `out`.
function describe(value, out, seen, library)
  local kind = type(value)
  if kind == "number" then out[#out + 1] = ("%.17g"):format(value)
  elseif kind == "string" then out[#out + 1] = ("%q"):format(value)
  elseif kind == "boolean" or kind == "nil" then out[#out + 1] = tostring(value)
  elseif seen.names[value] then out[#out + 1] = seen.names[value]
  elseif library[value] then
    if kind == "function" then seen.found(value) end
    out[#out + 1] = library[value]
  elseif seen[value] then out[#out + 1] = "#" .. seen[value]
  else
    seen.count = seen.count + 1
    seen[value] = seen.count
    if engine.is_tensor(value) then out[#out + 1] = value:hash()
    elseif data.is(value) then out[#out + 1] = value:fingerprint()
    elseif data.is_generator(value) then describe({ value.fn, value.epoch, value.samples }, out, seen, library)
    elseif kind == "function" then
      seen.found(value)
      out[#out + 1] = function_text(value)
      if seen.code then constants(value, out, seen, library) end
      for i = 1, math.huge do
        local name, inner = debug.getupvalue(value, i)
        if not name then break end
        out[#out + 1] = name
        describe(inner, out, seen, library)
      end
      local environment = debug.getfenv(value)
      local info = debug.getinfo(value, "S")
      if info.what ~= "C" and info.source:sub(1, 8) ~= "@stdlib/" then describe(environment, out, seen, library) end
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
      describe_metatable(debug.getmetatable(value), out, seen, library)
    else
      host.fail(("%s: a %s cannot be part of what identifies the result; expected functions, modules, data, tensors and plain values")
        :format(seen.where, kind))
    end
  end
end

--- The hash of a list of values { n =, … }. `where` begins the error about a value that cannot be part of it.
---@param where string
---@param values table
---@param options? {names: table<any, string>?, found: fun(fn: function)?, code: boolean?}
---   names: of values that are not opened; found: told of every function among the values; code: false leaves out what LuaJIT
---   makes of the source texts, which another version may make otherwise
---@return string  64 hex digits
return function(where, values, options)
  options = options or {}
  local out, library = {}, library_names()
  local seen = { count = 0, where = where, names = options.names or {}, found = options.found or function() end,
    code = options.code ~= false }
  for i = 1, values.n or #values do describe(values[i], out, seen, library) end
  return host.sha256(table.concat(out, "\n"))
end
