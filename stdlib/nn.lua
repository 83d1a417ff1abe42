--- Modules with PyTorch's names and defaults, over LibTorch's operators; see nn/module.lua for the base class,
--- nn/layers.lua for layers, nn/attention.lua and nn/transformer.lua for transformers, nn/models.lua for containers and whole
--- networks, nn/init.lua for initial weights.
local check = require "gradus.base.check"
local host = require "gradus.host"
local module = require "gradus.nn.module"

local nn = { Module = module.Module, is_module = module.is_module, is_class = module.is_class,
  class_of = module.class_of, is_tapped = module.is_tapped }

--- A new class of modules. The base is nn.Module unless another is given.
---@param name string
---@param base? table
function nn.class(name, base)
  check.value("nn.class", "name", name, check.string)
  if base ~= nil and not (type(base) == "table" and rawget(base, "__instance")) then
    check.fail("nn.class", "base: expected a class of modules; got %s", check.describe(base))
  end
  return module.make_class(name, base or nn.Module)
end

--- A tensor to be trained: a leaf with the tensor's values that requires a gradient.
---@param t Tensor
function nn.Parameter(t)
  return check.value("nn.Parameter", "tensor", t, check.tensor):detach():requires_grad_(true)
end

for _, part in ipairs { "init", "layers", "models", "attention", "transformer" } do require("gradus.nn." .. part)(nn) end

return setmetatable(nn, {
  __index = function(_, name)
    local known = {}
    for key in pairs(nn) do known[#known + 1] = key end
    local near = host.nearest(tostring(name), known)
    host.fail(("nn has no '%s'%s"):format(tostring(name), near and ("; did you mean '%s'?"):format(near) or ""))
  end,
})
