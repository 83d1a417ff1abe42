--- nn.Module: the base of everything with parameters, after PyTorch's.
---   local Net = nn.class("Net", nn.Module)          -- nn.Module is the default base
---   function Net:init(width) self.l1 = nn.Linear(64, width); self.scale = nn.Parameter(g.ones(1)) end
---   function Net:forward(x) return self.l1(x) * self.scale end
---   local net = Net(100); net(x)
--- Assigning a module registers a child, assigning an nn.Parameter registers a parameter; both in order.
local check = require "gradus.base.check"
local classes = require "gradus.nn.class"
local current = require "gradus.base.current"
local engine = require "gradus.engine"
local loaded = require "gradus.nn.loaded"
local mistakes = require "gradus.nn.mistakes"
local taps = require "gradus.nn.taps"
local tensor = require "gradus.base.tensor"
local weights = require "gradus.base.weights"

local is_tensor, is_module, register = engine.is_tensor, classes.is_module, classes.register

---@class Module
---@field training boolean
local Module = { __name = "Module" }

--- Makes the module's parts: what Net(…) is given. A class of yours defines it.
function Module:init() end

--- What net(x) computes. A class of yours defines it.
function Module:forward()
  check.fail(self.__name, "has no forward; expected function %s:forward(x)", self.__name)
end

--- What stands between the parentheses of tostring: a class's own sizes and options.
function Module:extra_repr() return "" end

-- --- registration ------------------------------------------------------------------------------------------------------

--- Registers a tensor that is saved with the module but not trained.
---@param name string
---@param value Tensor
function Module:register_buffer(name, value)
  check.value(self.__name, name, value, check.tensor)
  register(self, name, value, "buffer")
end

--- Registers a tensor as a parameter; assigning an nn.Parameter does the same.
---@param name string
---@param value Tensor
function Module:register_parameter(name, value)
  check.value(self.__name, name, value, check.tensor)
  register(self, name, value, "parameter")
end

--- Registers a module; assigning one does the same.
---@param name string
---@param module Module
function Module:add_module(name, module)
  if not is_module(module) then check.fail(self.__name, "'%s': expected a module; got %s", tostring(name), check.describe(module)) end
  register(self, name, module, "module")
end

-- Calls visit(path, module) for self and all below, parents first: each module once, or without `seen` at each of its paths.
local function walk(self, path, visit, seen)
  if seen and seen[self] then return end
  if seen then seen[self] = true end
  visit(path, self)
  for _, name in ipairs(self._order) do
    if self._kinds[name] == "module" then walk(self._values[name], path == "" and name or path .. "." .. name, visit, seen) end
  end
end

-- Lists { name =, value =, owner =, key = } of one kind of tensor; `all` names a shared tensor, or module, each time it occurs.
local function named_tensors(self, kind, all)
  local list, seen = {}, {}
  walk(self, "", function(path, module)
    for _, key in ipairs(module._order) do
      local value = module._values[key]
      if module._kinds[key] == kind and (all or not seen[value]) then
        seen[value] = true
        list[#list + 1] = { name = path == "" and key or path .. "." .. key, value = value, owner = module, key = key }
      end
    end
  end, not all and {} or nil)
  return list
end

local function iterate(list)
  local i = 0
  return function()
    i = i + 1
    if list[i] then return list[i].name, list[i].value end
  end
end

local function values(list)
  local result = {}
  for i, one in ipairs(list) do result[i] = one.value end
  return result
end

--- All parameters below with their names, each once.
---   for name, tensor in net:named_parameters() do print(name, tensor.shape[1]) end
function Module:named_parameters() return iterate(named_tensors(self, "parameter")) end

--- All buffers below with their names: for name, tensor in net:named_buffers() do … end.
function Module:named_buffers() return iterate(named_tensors(self, "buffer")) end

--- A list of all parameters below, each once: what an optimizer takes.
---@return Tensor[]
function Module:parameters() return values(named_tensors(self, "parameter")) end

--- A list of all buffers below.
---@return Tensor[]
function Module:buffers() return values(named_tensors(self, "buffer")) end

--- All modules below with their paths; the module itself first, under "".
---   for path, module in net:named_modules() do print(path, nn.class_of(module)) end
function Module:named_modules()
  local list = {}
  walk(self, "", function(path, module) list[#list + 1] = { name = path, value = module } end, {})
  return iterate(list)
end

--- The modules directly below, with their names: for name, module in net:named_children() do … end.
function Module:named_children()
  local list = {}
  for _, name in ipairs(self._order) do
    if self._kinds[name] == "module" then list[#list + 1] = { name = name, value = self._values[name] } end
  end
  return iterate(list)
end

--- A list of the modules directly below.
---@return Module[]
function Module:children()
  local list = {}
  for _, child in self:named_children() do list[#list + 1] = child end
  return list
end

--- How many numbers the parameters hold, or only those that require a gradient.
---@param trainable_only? boolean
function Module:num_parameters(trainable_only)
  local count = 0
  for _, p in self:named_parameters() do
    if not trainable_only or p.requires_grad then count = count + p:numel() end
  end
  return count
end

--- Names of the parameters that a loss does not depend on: of layers that forward never uses. The loss's graph is used up.
---@param loss Tensor  0-dim
---@return string[]
function Module:unused_parameters(loss)
  check.value("unused_parameters", "loss", loss, check.tensor)
  local trained, tensors, unused = {}, {}, {}
  for _, one in ipairs(named_tensors(self, "parameter")) do
    if one.value.requires_grad then trained[#trained + 1], tensors[#tensors + 1] = one, one.value end
  end
  if #tensors == 0 then return unused end
  local grads = engine.grad(loss, tensors)
  for i, one in ipairs(trained) do
    if not grads[i] then unused[#unused + 1] = one.name end
  end
  return unused
end

--- Whether the module has a field, method or parameter of that name: hasattr.
---   if net:has "bias" then print(net.bias) end
---@param name string
---@return boolean
function Module:has(name) return self[check.value("has", "name", name, check.string)] ~= nil end

--- The module at a path like "layers.2".
---@param path string
---@return Module
function Module:get_submodule(path)
  local known, found = {}, nil
  walk(self, "", function(name, module)
    if name == path then found = module end
    if name ~= "" then known[#known + 1] = name end
  end)
  if found then return found end
  check.unknown(self.__name, "module", path, known)
end

-- --- modes and places --------------------------------------------------------------------------------------------------

--- Training mode for all below (dropout, batch normalisation), or with false evaluation mode. Returns the module.
---@param mode? boolean
function Module:train(mode)
  if mode ~= nil then check.value("train", "mode", mode, check.boolean) end
  for _, module in self:named_modules() do module.training = mode ~= false end
  return self
end

--- Evaluation mode for all below. Returns the module.
function Module:eval() return self:train(false) end

--- Whether the parameters below are trained. Returns the module.
---@param wanted? boolean  true when left out
function Module:requires_grad_(wanted)
  if wanted ~= nil then check.value("requires_grad_", "wanted", wanted, check.boolean) end
  for _, p in self:named_parameters() do p:requires_grad_(wanted ~= false) end
  return self
end

--- No gradients from here on: a teacher.
function Module:freeze() return self:requires_grad_(false) end

--- Forgets the gradients of all parameters.
function Module:zero_grad()
  for _, p in self:named_parameters() do p.grad = nil end
end

--- Moves parameters and buffers to a device, or makes the floating-point ones of another dtype; they stay the same
--- tensors, so an optimizer that holds them goes on.
---@param where string  "cuda", "cpu", "float64", …
function Module:to(where)
  tensor.no_grad(function()
    for _, kind in ipairs { "parameter", "buffer" } do
      for _, one in ipairs(named_tensors(self, kind)) do
        local moved = one.value:detach():to(where)
        local elsewhere = moved.device ~= one.value.device
        if moved.dtype ~= one.value.dtype and one.value.dtype:find "float" or elsewhere then one.value:set_data(moved) end
      end
    end
  end)
  return self
end

--- Where the module is: the device of its first parameter or buffer, "cpu" without any.
function Module:device()
  local first = named_tensors(self, "parameter")[1] or named_tensors(self, "buffer")[1]
  return first and first.value.device or "cpu"
end

-- --- state -------------------------------------------------------------------------------------------------------------

--- name -> tensor (the live storage, without gradient) of all parameters and buffers.
function Module:state_dict()
  local state = {}
  for _, kind in ipairs { "parameter", "buffer" } do
    for _, one in ipairs(named_tensors(self, kind, true)) do state[one.name] = one.value:detach() end
  end
  return state
end

--- Copies tensors in; one error names everything that is missing, unexpected or of another shape.
---@param state table<string, Tensor>
---@param options? {strict: boolean}  strict = false: some may be missing or unexpected
function Module:load_state_dict(state, options)
  options = check.options("load_state_dict", options, { strict = check.boolean }, { strict = true })
  weights.load(self.__name .. ".load_state_dict", self:state_dict(), state, options.strict)
  return self
end

--- Writes the weights as safetensors, with PyTorch's names.
---@param path string
---@param metadata? table<string, string>
function Module:save(path, metadata)
  mistakes.check_path("save", path)
  engine.data.write_safetensors(path, self:state_dict(), metadata)
end

--- Reads weights that save, or another program, wrote; returns the module and the file's metadata.
---@param path string
---@param options? {strict: boolean}
function Module:load(path, options)
  mistakes.check_path("load", path)
  local state, metadata = engine.data.read_safetensors(path)
  local odd = 0
  for _, value in pairs(state) do odd = odd + value:isfinite():logical_not():sum():item() end
  if odd > 0 then current.tell("weights", ("load: %s: %d of its numbers are NaN or infinite; expected finite ones"):format(path, odd)) end
  loaded[self] = metadata
  return self:load_state_dict(state, options), metadata
end

local function copy(value, made)
  if is_tensor(value) then
    if not made[value] then
      local new = value:detach():clone():requires_grad_(value.requires_grad)
      made[value] = classes.is_parameter(value) and classes.as_parameter(new) or new
    end
    return made[value]
  end
  if type(value) ~= "table" or (getmetatable(value) and not is_module(value)) then return value end
  if made[value] then return made[value] end
  local result = {}
  made[value] = result
  for key, inner in pairs(value) do result[key] = copy(inner, made) end
  return setmetatable(result, getmetatable(value))
end

--- A deep copy with storage of its own; what was shared inside stays shared inside.
function Module:clone() return copy(self, {}) end

-- --- taps --------------------------------------------------------------------------------------------------------------

--- Calls the module and also returns what the modules at `paths` returned: out, { ["layers.2"] = tensor, … }. With
--- stop = true the call ends at the last of them, so that what comes after costs nothing; out is then nil.
---@param x Tensor
---@param paths string[]
---@param options? {stop: boolean}
function Module:forward_taps(x, paths, options)
  check.value("forward_taps", "paths", paths, check.list(check.string))
  options = check.options("forward_taps", options, { stop = check.boolean })
  return taps.forward(self, x, paths, options.stop)
end

-- --- printing ----------------------------------------------------------------------------------------------------------

--- As PyTorch prints it: the class, its sizes, and its children indented.
function Module:describe()
  local lines = {}
  for name, child in self:named_children() do
    lines[#lines + 1] = ("  (%s): %s"):format(name, (child:describe():gsub("\n", "\n  ")))
  end
  local extra = self:extra_repr()
  if #lines == 0 then return ("%s(%s)"):format(self.__name, extra) end
  if extra ~= "" then table.insert(lines, 1, "  " .. extra) end
  return ("%s(\n%s\n)"):format(self.__name, table.concat(lines, "\n"))
end

return {
  Module = classes.make("Module", Module),
  make_class = classes.make,
  is_module = is_module,
  is_tapped = taps.is_tapped,
  is_class = function(value) return type(value) == "table" and rawget(value, "__instance") ~= nil end,
  class_of = function(module) return getmetatable(module).__class end,
}
