--- Modules with PyTorch's names and defaults, over LibTorch's operators: the base class, layers, transformers, containers and whole
--- networks, initial weights (nn.init).
local check = require "gradus.base.check"
local classes = require "gradus.nn.class"
local host = require "gradus.host"
local module = require "gradus.nn.module"

local nn = {}

--- The base class of everything with parameters (nn/module.lua): net(x) calls its forward, net:parameters(), net:state_dict().
nn.Module = module.Module

--- Whether a value is a module.
---@param value any
nn.is_module = module.is_module

--- Whether a value is a class of modules, such as nn.Linear.
---@param value any
nn.is_class = module.is_class

--- The class of a module: nn.class_of(net) == nn.MLP.
---@param net Module
function nn.class_of(net)
  if not module.is_module(net) then check.fail("nn.class_of", "expected a module; got %s", check.describe(net)) end
  return module.class_of(net)
end

--- Whether somebody waits for what the module returns (net:forward_taps): then it must not be fused with its neighbour.
---@param module Module
nn.is_tapped = module.is_tapped

--- A new class of modules. The base is nn.Module unless another is given.
---   local Net = nn.class "Net"
---   function Net:init(width) self.hidden = nn.Linear(64, width) self.out = nn.Linear(width, 10) end
---   function Net:forward(x) return self.out(self.hidden(x:flatten(1)):relu()) end
---   local net = Net(32)
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
---   local scale = nn.Parameter(g.ones(1))
---@param t Tensor
function nn.Parameter(t)
  return classes.as_parameter(check.value("nn.Parameter", "tensor", t, check.tensor):detach():requires_grad_(true))
end

for _, part in ipairs { "init", "layers", "models", "attention", "transformer" } do require("gradus.nn." .. part)(nn) end

return setmetatable(nn, {
  __index = function(_, name)
    local known = {}
    for key in pairs(nn) do known[#known + 1] = key end
    host.fail(("nn has no '%s'%s"):format(tostring(name), check.instead(name, known, "nn")))
  end,
})
