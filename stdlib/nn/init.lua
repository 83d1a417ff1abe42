--- PyTorch's default initialisations, drawn from nn.init_generator, so that a run's "init" stream decides them alone.
--- With a generator seeded like torch.manual_seed they give PyTorch's numbers, bit for bit.
local check = require "gradus.base.check"
local engine = require "gradus.engine"
local tensor = require "gradus.base.tensor"

local ops = engine.ops

return function(nn)
  local init = {}
  nn.init = check.names("nn.init", init)

  --- The generator of all initial weights; a run sets its own.
  nn.init_generator = engine.generator(0)

  local size, bound_of = check.number(), check.above(0)
  local function tensor_of(where, t) return check.value("init." .. where, "tensor", t, check.tensor) end

  local function fan_in(t)
    if t:dim() < 2 then check.fail("init", "fan-in of a tensor of %d dims; expected 2 or more", t:dim()) end
    return t:numel() / t:size(0)
  end

  --- U(low, high), in place; returns the tensor.
  ---@param t Tensor
  ---@param low number
  ---@param high number
  function init.uniform_(t, low, high)
    tensor_of("uniform_", t)
    check.value("init.uniform_", "low", low, size)
    check.value("init.uniform_", "high", high, size)
    return tensor.no_grad(t.uniform_, t, low, high, { generator = nn.init_generator })
  end

  --- N(mean, std²), in place; returns the tensor.
  ---@param t Tensor
  ---@param mean? number  0
  ---@param std? number   1
  function init.normal_(t, mean, std)
    tensor_of("normal_", t)
    check.value("init.normal_", "mean", mean or 0, size)
    check.value("init.normal_", "std", std or 1, check.number(0))
    return tensor.no_grad(t.normal_, t, mean or 0, std or 1, { generator = nn.init_generator })
  end

  --- One value everywhere, in place; returns the tensor.
  ---@param t Tensor
  ---@param value number
  function init.constant_(t, value)
    return tensor.no_grad(tensor_of("constant_", t).fill_, t, check.value("init.constant_", "value", value, size))
  end

  --- He et al. 2015 for leaky ReLU of slope a, mode fan_in: U(−b, b), b = √3 · √(2 / (1 + a²)) / √fan_in.
  ---@param t Tensor
  ---@param a? number  0
  function init.kaiming_uniform_(t, a)
    tensor_of("kaiming_uniform_", t)
    check.value("init.kaiming_uniform_", "a", a or 0, size)
    local bound = math.sqrt(3) * (math.sqrt(2 / (1 + (a or 0) ^ 2)) / math.sqrt(fan_in(t)))
    return init.uniform_(t, -bound, bound)
  end

  --- Glorot and Bengio 2010: U(−b, b), b = gain · √(6 / (fan_in + fan_out)).
  ---@param t Tensor
  ---@param gain? number  1
  function init.xavier_uniform_(t, gain)
    tensor_of("xavier_uniform_", t)
    check.value("init.xavier_uniform_", "gain", gain or 1, bound_of)
    local fan_out = t:size(0) * t:numel() / (t:size(0) * t:size(1))
    local bound = math.sqrt(3) * ((gain or 1) * math.sqrt(2 / (fan_in(t) + fan_out)))
    return init.uniform_(t, -bound, bound)
  end

  --- What Linear and Conv start from: weight and bias uniform in ±1/√fan_in.
  ---@param weight Tensor
  ---@param bias? Tensor
  function init.linear_(weight, bias)
    tensor_of("linear_", weight)
    if bias ~= nil then check.value("init.linear_", "bias", bias, check.tensor) end
    init.kaiming_uniform_(weight, math.sqrt(5))
    if bias then
      local bound = 1 / math.sqrt(fan_in(weight))
      init.uniform_(bias, -bound, bound)
    end
  end

  --- Symmetric initialisation (Gupta & Karmalkar 2025, definition 4.2, as in Barak et al. 2022): the second half of the hidden
  --- units copies the first and their outgoing weights are negated, so that the network starts as the zero function. With k
  --- the first half is drawn anew: weights from {±1}, biases from {j/k : |j| < k}, outgoing weights from {±1/width}.
  ---@param inner Linear   into the hidden units
  ---@param outer Linear   out of them
  ---@param options? {k: number}
  function init.symmetric_(inner, outer, options)
    local k = check.options("init.symmetric_", options, { k = check.int(1) }).k
    for name, one in pairs { inner = inner or false, outer = outer or false } do
      if not (nn.is_module(one) and one.weight) then
        check.fail("init.symmetric_", "%s: expected an nn.Linear; got %s", name, check.describe(one or nil))
      end
    end
    local width = inner.weight:size(0)
    if width % 2 ~= 0 or outer.weight:size(1) ~= width then
      check.fail("init.symmetric_", "%d hidden units into %d; expected an even number, the same on both sides", width, outer.weight:size(1))
    end
    local half = width / 2
    tensor.no_grad(function()
      local function signs(t) return t:copy_(ops.randint(0, 2, t.shape, { generator = nn.init_generator }) * 2 - 1) end
      if k then
        signs(inner.weight)
        signs(outer.weight):mul_(1 / width)
        if inner.bias then
          inner.bias:copy_(ops.randint(1 - k, k, { width }, { generator = nn.init_generator }) / k)
        end
      end
      inner.weight:slice(0, half):copy_(inner.weight:slice(0, 0, half))
      if inner.bias then inner.bias:slice(0, half):copy_(inner.bias:slice(0, 0, half)) end
      outer.weight:slice(1, half):copy_(-outer.weight:slice(1, 0, half))
      if outer.bias then outer.bias:zero_() end
    end)
  end
end
