--- PyTorch's default initialisations, drawn from nn.init_generator, so that a run's "init" stream decides them alone.
--- With a generator seeded like torch.manual_seed they give PyTorch's numbers, bit for bit.
local check = require "gradus.base.check"
local engine = require "gradus.engine"
local tensor = require "gradus.base.tensor"

local ops = engine.ops

return function(nn)
  local init = {}
  nn.init = init

  --- The generator of all initial weights; a run sets its own.
  nn.init_generator = engine.generator(0)

  local function fan_in(t)
    if t:dim() < 2 then check.fail("init", "fan-in of a tensor of %d dims; expected 2 or more", t:dim()) end
    return t:numel() / t:size(0)
  end

  function init.uniform_(t, low, high)
    return tensor.no_grad(t.uniform_, t, low, high, { generator = nn.init_generator })
  end

  function init.normal_(t, mean, std)
    return tensor.no_grad(t.normal_, t, mean or 0, std or 1, { generator = nn.init_generator })
  end

  function init.constant_(t, value) return tensor.no_grad(t.fill_, t, value) end

  --- He et al. 2015 for leaky ReLU of slope a, mode fan_in: U(−b, b), b = √3 · √(2 / (1 + a²)) / √fan_in.
  function init.kaiming_uniform_(t, a)
    local bound = math.sqrt(3) * (math.sqrt(2 / (1 + (a or 0) ^ 2)) / math.sqrt(fan_in(t)))
    return init.uniform_(t, -bound, bound)
  end

  --- Glorot and Bengio 2010: U(−b, b), b = gain · √(6 / (fan_in + fan_out)).
  function init.xavier_uniform_(t, gain)
    local fan_out = t:size(0) * t:numel() / (t:size(0) * t:size(1))
    local bound = math.sqrt(3) * ((gain or 1) * math.sqrt(2 / (fan_in(t) + fan_out)))
    return init.uniform_(t, -bound, bound)
  end

  --- What Linear and Conv start from: weight and bias uniform in ±1/√fan_in.
  function init.linear_(weight, bias)
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
