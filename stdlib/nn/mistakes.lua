--- What goes wrong with modules without a word in plain Lua: a field that was never set, modules hidden in a plain table, a method
--- that does not get its module, a module below itself. For module.lua.
local check = require "gradus.base.check"
local elsewhere = require "gradus.base.elsewhere"
local host = require "gradus.host"

local mistakes = {}

-- Where in a plain table modules or parameters are hidden from those who ask for all of them, and which of the two: "[1]", ".a".
local function hidden(value, depth, kind_of)
  if type(value) ~= "table" or getmetatable(value) or depth > 3 then return nil end
  for key, inner in pairs(value) do
    local where, kind = "", kind_of(inner)
    if not kind then where, kind = hidden(inner, depth + 1, kind_of) end
    if kind then return (type(key) == "string" and ".%s%s" or "[%s]%s"):format(tostring(key), where), kind end
  end
end

--- Raises for a plain table that holds modules or parameters, of which nobody would know.
function mistakes.refuse_hidden(self, name, value, kind_of)
  local where, kind = hidden(value, 1, kind_of)
  if not where then return end
  local mend = kind == "parameter" and "a field for each" or #value > 0 and "nn.ModuleList { … }" or "nn.ModuleDict { … }"
  check.fail(self.__name, "'%s' is a plain table with a %s at %s%s, which nobody would see; expected %s", tostring(name), kind,
    tostring(name), where, mend)
end

-- All names that an instance has, for the nearest one.
local function names_of(self, class)
  local names = {}
  for key in pairs(self._values) do names[#names + 1] = tostring(key) end
  while class do
    for key in pairs(class) do
      if type(key) == "string" and not key:find "^_" then names[#names + 1] = key end
    end
    class = rawget(class, "__base")
  end
  table.sort(names)
  return names
end

--- A field that was never set: an error for the user's code, nil for the library, which may ask.
function mistakes.missing(self, key, class)
  if self._absent[key] or type(key) ~= "string" or key:find "^_" or not check.by_user(3) then return nil end
  local mend = elsewhere.mend(key)
  if mend then check.fail(self.__name, "has no '%s'; expected %s", key, mend) end
  local near = host.nearest(key, names_of(self, class))
  check.fail(self.__name, "has no '%s'; %s", key, near and ("did you mean '%s'?"):format(near)
    or ("expected self.%s = … in init, or net:has '%s' to ask"):format(key, key))
end

local PYTHON = { __init__ = "init", __call__ = "forward", __init = "init", __forward = "forward", __forward__ = "forward",
  __repr__ = "extra_repr" }

--- Raises for a method that nobody would call, or that would take the module for its input.
---@param name string  of the class
---@param key string
---@param value any
function mistakes.check_method(name, key, value)
  if PYTHON[key] then
    check.fail(name, "'%s' would never be called; expected function %s:%s(…)", key, name, PYTHON[key])
  end
  if key ~= "init" and key ~= "forward" and key ~= "extra_repr" then return end
  if type(value) ~= "function" then check.fail(name, "'%s': expected function %s:%s(…); got %s", key, name, key, check.describe(value)) end
  if not check.by_user(3) then return end
  local made = debug.getinfo(value, "Su")
  local line = host.source_line(made.source, made.linedefined) or ""
  local dotted = line:find("function%s+[%w_]+%." .. key .. "%s*%(") and not line:find "%(%s*self"
  if dotted or made.nparams == 0 and not made.isvararg then
    check.fail(name, "function %s.%s(…) gets the module as its first argument; expected function %s:%s(…), with a colon",
      name, key, name, key)
  end
end

--- Raises where a class of the library is given more than it takes, such as options beside the table: Lua would drop it without a word.
---@param name string    of the class
---@param init function
---@param ... any        what it is given
function mistakes.check_given(name, init, ...)
  local made, given = debug.getinfo(init, "Su"), select("#", ...)
  local most = made.nparams - 1  -- self is one of them
  if made.isvararg or given <= most or made.source:sub(1, 8) ~= "@stdlib/" then return end
  local extra = select(most + 1, ...)
  local option = type(extra) == "table" and type((...)) == "table" and next(extra)
  check.fail(name, "expected at most %d argument%s; got %d%s", most, most == 1 and "" or "s", given,
    option and ("; options stand in the first table: %s { …, %s = … }"):format(name, tostring(option)) or "")
end

-- Whether `wanted` is the module or below it.
local function holds(module, wanted)
  if module == wanted then return true end
  for _, name in ipairs(module._order) do
    if module._kinds[name] == "module" and holds(module._values[name], wanted) then return true end
  end
  return false
end

--- Raises for a module that would be below itself.
function mistakes.check_cycle(self, name, value)
  if holds(value, self) then check.fail(self.__name, "'%s' holds this module itself: a module cannot be below itself", tostring(name)) end
end

--- Raises for the name of a file as PyTorch writes it, which holds Python objects.
---@param where string
---@param path string
function mistakes.check_path(where, path)
  check.value(where, "path", path, check.string)
  local ending = path:match "%.(%w+)$"
  if ending == "pt" or ending == "pth" or ending == "ckpt" or ending == "pkl" then
    check.fail(where, "'%s' is a name of PyTorch's pickled files; expected .safetensors (in Python: safetensors.torch.save_file("
      .. 'model.state_dict(), "weights.safetensors"))', path)
  end
end

return mistakes
