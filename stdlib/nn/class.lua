--- Classes of modules: what assigning to a module's field does, and what an instance answers to `net(x)`, `#`, `ipairs`, `tostring`.
local check = require "gradus.base.check"
local engine = require "gradus.engine"
local mistakes = require "gradus.nn.mistakes"
local recording = require "gradus.base.recording"
local taps = require "gradus.nn.taps"

local is_tensor = engine.is_tensor

local classes = {}

-- Attributes live in self._values, so that every assignment passes __newindex; self._kinds tells parameters, buffers and
-- modules from plain values, self._order is the order in which they were registered. self._absent holds names that were set
-- to nil: they may be asked for.
local function new_instance(class)
  return setmetatable({ _values = { training = true }, _kinds = {}, _order = {}, _absent = {} }, class.__instance)
end

function classes.is_module(value) return type(value) == "table" and rawget(value, "_kinds") ~= nil end

local parameters = setmetatable({}, { __mode = "k" })  -- those there are: one that is frozen is one still

--- The tensor, which is a parameter from here on.
function classes.as_parameter(t)
  parameters[t] = true
  return t
end

--- Whether a tensor is one, frozen or not.
function classes.is_parameter(t) return parameters[t] ~= nil end

local function kind_of(value)
  if classes.is_module(value) then return "module" end
  if is_tensor(value) and (parameters[value] or value.requires_grad and value.is_leaf) then return "parameter" end
end

--- Registers a value under a name, in order: kind is "module", "parameter" or "buffer".
function classes.register(self, name, value, kind)
  if type(name) ~= "string" or name == "" or name:find(".", 1, true) then
    check.fail(self.__name, "'%s' cannot be the name of a %s; expected a text without dots", tostring(name), kind)
  end
  if kind == "module" then mistakes.check_cycle(self, name, value) end
  if kind == "parameter" then classes.as_parameter(value) end
  if not self._kinds[name] then self._order[#self._order + 1] = name end
  self._kinds[name], self._values[name] = kind, value
end

local function unregister(self, name)
  self._kinds[name] = nil
  for i, known in ipairs(self._order) do
    if known == name then table.remove(self._order, i) break end
  end
end

local function assign(self, name, value)
  recording.version = recording.version + 1
  if type(name) == "number" and self.__item then return self:__item(name, value) end
  local old, kind = self._kinds[name], kind_of(value)
  if value == nil then self._absent[name] = true end
  if kind then
    classes.register(self, name, value, kind)
  elseif old and value == nil then
    unregister(self, name)
    self._values[name] = nil
  elseif old == "buffer" and is_tensor(value) then
    self._values[name] = value
  elseif old then
    check.fail(self.__name, "'%s' is a %s; expected another one or nil; got %s", name, old, check.describe(value))
  else
    mistakes.refuse_hidden(self, name, value, kind_of)
    self._values[name] = value
  end
end

--- A class; calling it makes an instance, whose `init` gets what it was called with.
---@param name string
---@param base table   a class, or the methods of all modules
function classes.make(name, base)
  local class = { __name = name, __base = base }
  class.__instance = {
    __name = name,
    __class = class,
    __index = function(self, key)
      local value = self._values[key]
      if value ~= nil then return value end
      value = class[key]
      if value == nil then
        if type(key) == "number" and class.__item then value = class.__item(self, key) else mistakes.missing(self, key, class) end
      end
      return value
    end,
    __newindex = assign,
    __len = function(self)
      if not class.__item then check.fail(name, "#: a %s has no length; expected #list of nn.ModuleList, or net:num_parameters()", name) end
      return self:len()
    end,
    __ipairs = function(self)
      if not class.__item then check.fail(name, "ipairs: a %s is no list; expected ipairs(net:children())", name) end
      return self:each()
    end,
    __pairs = function(self)
      if class.__item then return self:each() end
      return self:named_children()
    end,
    __call = taps.call,
    __tostring = function(self) return self:describe() end,
  }
  return setmetatable(class, {
    __index = base,
    __tostring = function() return "class " .. name end,
    __newindex = function(_, key, value)
      mistakes.check_method(name, key, value)
      rawset(class, key, value)
    end,
    __call = function(_, ...)
      local self = new_instance(class)
      mistakes.check_given(name, class.init, ...)
      class.init(self, ...)
      return self
    end,
  })
end

return classes
