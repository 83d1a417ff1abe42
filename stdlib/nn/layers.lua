--- Layers with PyTorch's names, arguments and defaults. Arguments go by place or, in a last table, by name:
---   local layer = nn.Conv2d(1, 16, 3, { padding = 1 })
local check = require "gradus.base.check"
local engine = require "gradus.engine"
local recording = require "gradus.base.recording"
local tensor = require "gradus.base.tensor"

local ops = engine.ops
local size1, size0 = check.int(1), check.int(0)
local pair1 = check.either(size1, check.list(size1, 2))
local pair0 = check.either(size0, check.list(size0, 2))
local probability = check.number(0, 1)

local function pair(value) return type(value) == "table" and value or { value, value } end
local function pair_text(value) return ("(%d, %d)"):format(value[1], value[2]) end

return function(nn)
  local Module, class, init = nn.Module, nn.class, nn.init

  -- Makes a class whose init checks its arguments by `specification` and keeps them as attributes before `setup`.
  local function layer(name, specification, setup)
    local made = class(name, Module)
    made.init = function(self, ...)
      for key, value in pairs(check.arguments(name, specification, ...)) do self[key] = value end
      if setup then setup(self) end
    end
    nn[name] = made
    return made
  end

  -- --- linear and convolution ------------------------------------------------------------------------------------------

  --- y = x Wᵀ + b, over the last dimension of x; weight [out_features, in_features], bias [out_features].
  ---   local layer = nn.Linear(64, 10)
  ---   local plain = nn.Linear(64, 10, { bias = false })
  ---@param in_features number   at least 1
  ---@param out_features number  at least 1
  ---@param bias? boolean        true
  local Linear = layer("Linear",
    { { "in_features", size1 }, { "out_features", size1 }, { "bias", check.boolean, true } }, function(self)
      local bias = self.bias and ops.empty { size = { self.out_features } } or nil
      local weight = ops.empty { size = { self.out_features, self.in_features } }
      init.linear_(weight, bias)
      self.has_bias, self.bias = bias ~= nil, nil
      self.weight = nn.Parameter(weight)
      if bias then self.bias = nn.Parameter(bias) end
    end)

  -- relu: the activation that follows, done in the same operator (Sequential asks for it).
  function Linear:forward(x, relu)
    if not check.tensor.test(x) then check.value(self.__name, "input", x, check.tensor) end
    if x:size(-1) ~= self.in_features then
      check.fail(self.__name, "input has shape %s; expected %d features in the last dimension (weight %s)", check.shape(x),
        self.in_features, check.shape(self.weight))
    end
    if relu == true then return ops.linear(x, self.weight, self.bias, { relu = true }) end
    if relu ~= nil then check.fail(self.__name, "expected one input; got %s as another", check.describe(relu)) end
    return ops.linear(x, self.weight, self.bias)
  end

  function Linear:extra_repr()
    return ("in_features=%d, out_features=%d, bias=%s"):format(self.in_features, self.out_features, tostring(self.has_bias))
  end

  --- Cross-correlation of x [N, C, H, W] with out_channels filters; weight [out_channels, in_channels / groups, kernel, kernel].
  ---   local layer = nn.Conv2d(1, 16, 3, { padding = 1 })
  ---@param in_channels number
  ---@param out_channels number
  ---@param kernel_size number|number[]  a number, or { height, width }; as stride, padding and dilation
  ---@param stride? number|number[]      1
  ---@param padding? number|number[]     0
  ---@param dilation? number|number[]    1
  ---@param groups? number               1
  ---@param bias? boolean                true
  local Conv2d = layer("Conv2d",
    { { "in_channels", size1 }, { "out_channels", size1 }, { "kernel_size", pair1 }, { "stride", pair1, 1 },
      { "padding", pair0, 0 }, { "dilation", pair1, 1 }, { "groups", size1, 1 }, { "bias", check.boolean, true } },
    function(self)
      for _, key in ipairs { "kernel_size", "stride", "padding", "dilation" } do self[key] = pair(self[key]) end
      if self.in_channels % self.groups ~= 0 or self.out_channels % self.groups ~= 0 then
        check.fail("Conv2d", "groups = %d does not divide channels %d and %d", self.groups, self.in_channels,
          self.out_channels)
      end
      local weight = ops.empty { size = { self.out_channels, self.in_channels / self.groups, self.kernel_size[1],
        self.kernel_size[2] } }
      local bias = self.bias and ops.empty { size = { self.out_channels } } or nil
      init.linear_(weight, bias)
      self.has_bias, self.bias = bias ~= nil, nil
      self.weight = nn.Parameter(weight)
      if bias then self.bias = nn.Parameter(bias) end
    end)

  function Conv2d:forward(x)
    if not check.tensor.test(x) then check.value(self.__name, "input", x, check.tensor) end
    if x:dim() < 3 or x:size(-3) ~= self.in_channels then
      local gray = x:dim() == 3 and self.in_channels == 1
      check.fail(self.__name, "input has shape %s; expected [N, %d, height, width]%s", check.shape(x), self.in_channels,
        gray and ", as images = true of data.npy, or x:unsqueeze(1), makes it" or "")
    end
    return ops.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
  end

  function Conv2d:extra_repr()
    local text = ("%d, %d, kernel_size=%s, stride=%s"):format(self.in_channels, self.out_channels,
      pair_text(self.kernel_size), pair_text(self.stride))
    if self.padding[1] + self.padding[2] > 0 then text = text .. ", padding=" .. pair_text(self.padding) end
    return text .. (self.has_bias and "" or ", bias=false")
  end

  --- A vector for each of num_embeddings tokens: x int64 [N, L] -> [N, L, embedding_dim].
  ---   local layer = nn.Embedding(96, 64)
  ---@param num_embeddings number
  ---@param embedding_dim number
  ---@param padding_idx? number  the token whose vector stays zero
  local Embedding = layer("Embedding",
    { { "num_embeddings", size1 }, { "embedding_dim", size1 }, { "padding_idx", size0, optional = true } }, function(self)
      local weight = init.normal_(ops.empty { size = { self.num_embeddings, self.embedding_dim } })
      if self.padding_idx then
        if self.padding_idx >= self.num_embeddings then
          check.fail("Embedding", "padding_idx is %d; expected less than %d", self.padding_idx, self.num_embeddings)
        end
        weight[self.padding_idx]:zero_()
      end
      self.weight = nn.Parameter(weight)
    end)

  function Embedding:forward(x) return ops.embedding(self.weight, x, self.padding_idx or -1) end
  function Embedding:extra_repr() return ("%d, %d"):format(self.num_embeddings, self.embedding_dim) end

  -- --- normalisation ---------------------------------------------------------------------------------------------------

  --- (x − mean) / √(variance + eps) · weight + bias, over the last dimensions, which are normalized_shape.
  ---   local layer = nn.LayerNorm(64)
  ---@param normalized_shape number|number[]
  ---@param eps? number                  1e-5
  ---@param elementwise_affine? boolean  true: with weight
  ---@param bias? boolean                true
  local LayerNorm = layer("LayerNorm",
    { { "normalized_shape", check.either(size1, check.list(size1)) }, { "eps", check.above(0), 1e-5 },
      { "elementwise_affine", check.boolean, true }, { "bias", check.boolean, true } }, function(self)
      local shape = self.normalized_shape
      if type(shape) == "number" then shape = { shape } end
      local bias = self.elementwise_affine and self.bias
      self.normalized_shape, self.bias = shape, nil
      if self.elementwise_affine then self.weight = nn.Parameter(ops.ones { size = shape }) end
      if bias then self.bias = nn.Parameter(ops.zeros { size = shape }) end
    end)

  function LayerNorm:forward(x) return ops.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps) end
  function LayerNorm:extra_repr()
    return ("(%s), eps=%g"):format(table.concat(self.normalized_shape, ", "), self.eps)
  end

  local STATISTICS = { "running_mean", "running_var", "num_batches_tracked" }

  local function batch_norm(name, dims)
    local BatchNorm = layer(name,
      { { "num_features", size1 }, { "eps", check.above(0), 1e-5 }, { "momentum", check.number(0, 1), 0.1 },
        { "affine", check.boolean, true }, { "track_running_stats", check.boolean, true } }, function(self)
        local shape = { size = { self.num_features } }
        if self.affine then
          self.weight = nn.Parameter(ops.ones(shape))
          self.bias = nn.Parameter(ops.zeros(shape))
        end
        if self.track_running_stats then
          self:register_buffer("running_mean", ops.zeros(shape))
          self:register_buffer("running_var", ops.ones(shape))
          self:register_buffer("num_batches_tracked", engine.tensor(0, { dtype = "int64" }))
        end
      end)

    function BatchNorm:forward(x)
      if not check.tensor.test(x) then check.value(self.__name, "input", x, check.tensor) end
      if not dims[x:dim()] or x:size(1) ~= self.num_features then
        check.fail(name, "input has shape %s; expected [N, %d%s]", check.shape(x), self.num_features,
          dims[4] and ", height, width" or "] or [N, " .. self.num_features .. ", L")
      end
      local from_batch = self.training or not self.track_running_stats
      if from_batch and x:numel() == self.num_features then
        check.fail(name, "one value a channel (shape %s) has no variance; expected a larger batch, or eval()", check.shape(x))
      end
      if self.training and self.track_running_stats then
        recording.about_to_change(self, STATISTICS)
        tensor.no_grad(ops.add_, self.num_batches_tracked, 1)
      end
      return ops.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var, from_batch, self.momentum,
        self.eps, false)
    end

    function BatchNorm:extra_repr()
      return ("%d, eps=%g, momentum=%g"):format(self.num_features, self.eps, self.momentum)
    end
  end
  --- (x − mean) / √(variance + eps) · weight + bias for each channel of x [N, C] or [N, C, L]: of the batch while training, of
  --- what was seen before in evaluation.
  ---   local layer = nn.BatchNorm1d(32)
  ---@param num_features number           C
  ---@param eps? number                   1e-5
  ---@param momentum? number              .1, share of the new batch in the running mean and variance
  ---@param affine? boolean               true: with weight and bias
  ---@param track_running_stats? boolean  true
  batch_norm("BatchNorm1d", { [2] = true, [3] = true })
  --- As BatchNorm1d, for images [N, C, H, W].
  ---   local layer = nn.BatchNorm2d(16)
  ---@param num_features number           C
  ---@param eps? number                   1e-5
  ---@param momentum? number              .1
  ---@param affine? boolean               true
  ---@param track_running_stats? boolean  true
  batch_norm("BatchNorm2d", { [4] = true })

  -- --- activations and the rest ----------------------------------------------------------------------------------------

  local function activation(name, op)
    local made = layer(name, {})
    function made:forward(x) return op(x) end
  end
  --- max(x, 0).
  ---   local layer = nn.ReLU()
  activation("ReLU", ops.relu)
  --- tanh(x), from −1 to 1.
  ---   local layer = nn.Tanh()
  activation("Tanh", ops.tanh)
  --- 1 / (1 + exp(−x)), from 0 to 1.
  ---   local layer = nn.Sigmoid()
  activation("Sigmoid", ops.sigmoid)
  --- x / (1 + exp(−x)); swish.
  ---   local layer = nn.SiLU()
  activation("SiLU", ops.silu)

  --- x as it is: for the place of a layer that is left out.
  ---   local layer = nn.Identity()
  local Identity = layer("Identity", {})
  function Identity:forward(x) return x end

  --- x · Φ(x), Φ the normal distribution; approximate = "tanh" computes it by a tanh.
  ---   local layer = nn.GELU()
  ---@param approximate? string  "none" or "tanh"
  local GELU = layer("GELU", { { "approximate", check.choice("none", "tanh"), "none" } })
  function GELU:forward(x) return ops.gelu(x, { approximate = self.approximate }) end
  function GELU:extra_repr() return ("approximate='%s'"):format(self.approximate) end

  --- x where it is above 0, negative_slope · x elsewhere.
  ---   local layer = nn.LeakyReLU(0.1)
  ---@param negative_slope? number  0.01
  local LeakyReLU = layer("LeakyReLU", { { "negative_slope", check.number(), 0.01 } })
  function LeakyReLU:forward(x) return ops.leaky_relu(x, self.negative_slope) end
  function LeakyReLU:extra_repr() return ("negative_slope=%g"):format(self.negative_slope) end

  --- exp(x) / Σ exp(x) over a dimension. Losses take logits: no Softmax belongs at a model's end.
  ---   local layer = nn.Softmax(-1)
  ---@param dim? number  −1, the last
  local Softmax = layer("Softmax", { { "dim", check.int(), -1 } })
  function Softmax:forward(x) return ops.softmax(x, self.dim) end
  function Softmax:extra_repr() return ("dim=%d"):format(self.dim) end

  --- While training each value is 0 with probability p, the others are divided by 1 − p; in evaluation x as it is.
  ---   local layer = nn.Dropout(0.1)
  ---@param p? number  0.5
  local Dropout = layer("Dropout", { { "p", probability, 0.5 } })
  function Dropout:forward(x)
    if not self.training or self.p == 0 then return x end
    return ops.dropout(x, self.p, true)
  end
  function Dropout:extra_repr() return ("p=%g"):format(self.p) end

  --- Dimensions start_dim to end_dim as one: [N, C, H, W] -> [N, C·H·W].
  ---   local layer = nn.Flatten()
  ---@param start_dim? number  1
  ---@param end_dim? number    −1, the last
  local Flatten = layer("Flatten", { { "start_dim", check.int(), 1 }, { "end_dim", check.int(), -1 } })
  function Flatten:forward(x) return ops.flatten(x, self.start_dim, self.end_dim) end
  function Flatten:extra_repr() return ("start_dim=%d, end_dim=%d"):format(self.start_dim, self.end_dim) end

  -- --- pooling ---------------------------------------------------------------------------------------------------------

  local function pool(name, forward)
    local made = layer(name, { { "kernel_size", pair1 }, { "stride", pair1, optional = true }, { "padding", pair0, 0 } },
      function(self)
        self.kernel_size, self.stride = pair(self.kernel_size), pair(self.stride or self.kernel_size)
        self.padding = pair(self.padding)
      end)
    made.forward = forward
    function made:extra_repr()
      return ("kernel_size=%s, stride=%s, padding=%s"):format(pair_text(self.kernel_size), pair_text(self.stride),
        pair_text(self.padding))
    end
  end
  --- The largest value in each window of images [N, C, H, W].
  ---   local layer = nn.MaxPool2d(2)
  ---@param kernel_size number|number[]
  ---@param stride? number|number[]   kernel_size
  ---@param padding? number|number[]  0
  pool("MaxPool2d", function(self, x) return ops.max_pool2d(x, self.kernel_size, self.stride, self.padding) end)
  --- The mean of each window of images [N, C, H, W].
  ---   local layer = nn.AvgPool2d(2)
  ---@param kernel_size number|number[]
  ---@param stride? number|number[]   kernel_size
  ---@param padding? number|number[]  0
  pool("AvgPool2d", function(self, x) return ops.avg_pool2d(x, self.kernel_size, self.stride, self.padding) end)

  --- Means over windows such that the result has this height and width, whatever the image has.
  ---   local layer = nn.AdaptiveAvgPool2d(1)
  ---@param output_size number|number[]
  local AdaptiveAvgPool2d = layer("AdaptiveAvgPool2d", { { "output_size", pair1 } }, function(self)
    self.output_size = pair(self.output_size)
  end)
  function AdaptiveAvgPool2d:forward(x) return ops.adaptive_avg_pool2d(x, self.output_size) end
  function AdaptiveAvgPool2d:extra_repr() return "output_size=" .. pair_text(self.output_size) end
end
