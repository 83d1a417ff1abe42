-- What layers, networks, initial weights and losses take, up to the ends of their ranges, and what they are when it is left out.
local g = require "gradus"
local engine = require "gradus.engine"
local nn, loss = g.nn, g.loss

before_each(function() nn.init_generator = engine.generator(0) end)

-- The options with one of them set.
local function with(options, name, value)
  local all = {}
  for key, one in pairs(options) do all[key] = one end
  all[name] = value
  return all
end

-- make(value) takes the first values, and refuses the others by the name.
local function expect_range(what, make, takes, refuses)
  it(what, function()
    for _, value in ipairs(takes) do make(value) end
    local name = what:match "(%S+)$"
    for _, value in ipairs(refuses) do expect(function() make(value) end):fails_with("'" .. name .. "': expected") end
  end)
end

describe("the range of a layer's", function()
  expect_range("in_features", function(v) nn.Linear(v, 1) end, { 1, 2 }, { 0, 1.5 })
  expect_range("out_features", function(v) nn.Linear(1, v) end, { 1, 2 }, { 0, 1.5 })
  expect_range("in_channels", function(v) nn.Conv2d(v, 1, 1) end, { 1 }, { 0 })
  expect_range("out_channels", function(v) nn.Conv2d(1, v, 1) end, { 1 }, { 0 })
  expect_range("kernel_size", function(v) nn.Conv2d(1, 1, v) end, { 1, { 1, 1 } }, { 0, { 0, 1 } })
  expect_range("stride", function(v) nn.Conv2d(1, 1, 1, v) end, { 1, { 1, 1 } }, { 0, { 0, 1 } })
  expect_range("padding", function(v) nn.Conv2d(1, 1, 1, 1, v) end, { 0, 1, { 0, 0 } }, { -1, { 0, -1 } })
  expect_range("dilation", function(v) nn.Conv2d(1, 1, 1, 1, 0, v) end, { 1, { 1, 1 } }, { 0, { 0, 1 } })
  expect_range("groups", function(v) nn.Conv2d(2, 2, 1, { groups = v }) end, { 1, 2 }, { 0 })
  expect_range("num_embeddings", function(v) nn.Embedding(v, 1) end, { 1 }, { 0 })
  expect_range("embedding_dim", function(v) nn.Embedding(1, v) end, { 1 }, { 0 })
  expect_range("padding_idx", function(v) nn.Embedding(3, 1, v) end, { 0, 2 }, { -1 })
  expect_range("normalized_shape", function(v) nn.LayerNorm(v) end, { 1, { 1 }, { 1, 2, 3 } }, { 0, { 0 } })
  expect_range("LayerNorm's eps", function(v) nn.LayerNorm(2, v) end, { 1e-12 }, { 0 })
  expect_range("num_features", function(v) nn.BatchNorm1d(v) end, { 1 }, { 0 })
  expect_range("BatchNorm's eps", function(v) nn.BatchNorm2d(2, v) end, { 1e-12 }, { 0 })
  expect_range("momentum", function(v) nn.BatchNorm1d(2, { momentum = v }) end, { 0, 1 }, { -.1, 1.1 })
  expect_range("p", function(v) nn.Dropout(v) end, { 0, 1 }, { -.1, 1.1 })
  expect_range("approximate", function(v) nn.GELU(v) end, { "none", "tanh" }, { "erf" })
  expect_range("pool's padding", function(v) nn.MaxPool2d(2, 2, v) end, { 0, 1 }, { -1 })
  expect_range("pool's stride", function(v) nn.AvgPool2d(2, v) end, { 1, 3 }, { 0 })
  expect_range("embed_dim", function(v) nn.MultiheadAttention(v, 1) end, { 1 }, { 0 })
  expect_range("num_heads", function(v) nn.MultiheadAttention(4, v) end, { 1, 4 }, { 0 })
  expect_range("attention's dropout", function(v) nn.MultiheadAttention(4, 1, v) end, { 0, 1 }, { -.1, 1.1 })
  expect_range("d_model", function(v) nn.TransformerEncoderLayer(v, 1) end, { 1 }, { 0 })
  expect_range("nhead", function(v) nn.TransformerEncoderLayer(2, v) end, { 1, 2 }, { 0 })
  expect_range("dim_feedforward", function(v) nn.TransformerEncoderLayer(2, 1, v) end, { 1 }, { 0 })
  expect_range("layer's dropout", function(v) nn.TransformerEncoderLayer(2, 1, 2, v) end, { 0, 1 }, { -.1, 1.1 })
  expect_range("activation", function(v) nn.TransformerEncoderLayer(2, 1, 2, 0, v) end, { "relu", "gelu" }, { "tanh" })
  expect_range("layer_norm_eps", function(v) nn.TransformerEncoderLayer(2, 1, 2, 0, "relu", v) end, { 1e-12 }, { 0 })
  expect_range("num_layers", function(v) nn.TransformerEncoder(nn.TransformerEncoderLayer(2, 1), v) end, { 1, 2 }, { 0 })
end)

describe("a layer of which nothing else is said", function()
  local function first_line(module) return (tostring(module):gsub("\n.*", "")) end
  for text, module in pairs {
    ["Linear(in_features=2, out_features=3, bias=true)"] = nn.Linear(2, 3),
    ["Linear(in_features=2, out_features=3, bias=false)"] = nn.Linear(2, 3, false),
    ["Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))"] = nn.Conv2d(1, 2, 3),
    ["Conv2d(1, 2, kernel_size=(3, 2), stride=(2, 1), padding=(0, 1), bias=false)"] =
      nn.Conv2d(1, 2, { 3, 2 }, { 2, 1 }, { 0, 1 }, { bias = false }),
    ["Embedding(4, 2)"] = nn.Embedding(4, 2), ["LayerNorm((2, 3), eps=1e-05)"] = nn.LayerNorm { 2, 3 },
    ["BatchNorm1d(2, eps=1e-05, momentum=0.1)"] = nn.BatchNorm1d(2), ["BatchNorm2d(2, eps=1e-05, momentum=0.1)"] = nn.BatchNorm2d(2),
    ["GELU(approximate='none')"] = nn.GELU(), ["LeakyReLU(negative_slope=0.01)"] = nn.LeakyReLU(), ["Softmax(dim=-1)"] = nn.Softmax(),
    ["Dropout(p=0.5)"] = nn.Dropout(), ["Flatten(start_dim=1, end_dim=-1)"] = nn.Flatten(), ["ReLU()"] = nn.ReLU(),
    ["MaxPool2d(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))"] = nn.MaxPool2d(2),
    ["AvgPool2d(kernel_size=(2, 3), stride=(2, 3), padding=(0, 0))"] = nn.AvgPool2d { 2, 3 },
    ["AdaptiveAvgPool2d(output_size=(1, 1))"] = nn.AdaptiveAvgPool2d(1),
  } do
    it("is " .. text, function() expect(first_line(module)):equals(text) end)
  end
  it("has weights, biases and statistics, or none", function()
    local function names(module)
      local list = {}
      for name in pairs(module:state_dict()) do list[#list + 1] = name end
      table.sort(list)
      return table.concat(list, " ")
    end
    for _, case in ipairs {
      { nn.LayerNorm(2), "bias weight" }, { nn.LayerNorm(2, { bias = false }), "weight" },
      { nn.LayerNorm(2, { elementwise_affine = false }), "" }, { nn.BatchNorm1d(2),
        "bias num_batches_tracked running_mean running_var weight" },
      { nn.BatchNorm1d(2, { affine = false }), "num_batches_tracked running_mean running_var" },
      { nn.BatchNorm1d(2, { track_running_stats = false }), "bias weight" }, { nn.Linear(2, 2, false), "weight" },
      { nn.Conv2d(1, 1, 1, { bias = false }), "weight" },
      { nn.MultiheadAttention(2, 1), "in_proj_bias in_proj_weight out_proj.bias out_proj.weight" },
      { nn.MultiheadAttention(2, 1, { bias = false }), "in_proj_weight out_proj.weight" },
    } do
      expect(names(case[1])):equals(case[2])
    end
    local norm, layer = nn.BatchNorm1d(2), nn.LayerNorm(2)
    expect({ norm.weight:totable(), norm.bias:totable(), norm.running_mean:totable(), norm.running_var:totable(),
      norm.num_batches_tracked:item() }):equals { { 1, 1 }, { 0, 0 }, { 0, 0 }, { 1, 1 }, 0 }
    expect({ layer.weight:totable(), layer.bias:totable() }):equals { { 1, 1 }, { 0, 0 } }
    expect(nn.Conv2d(4, 2, 3, { groups = 2 }).weight.shape):equals { 2, 2, 3, 3 }
    local padded = nn.Embedding(3, 2, 1)
    expect({ padded.weight[1]:totable(), padded.weight[0]:abs():sum():item() > 0 }):equals { { 0, 0 }, true }
  end)
  it("of a transformer has PyTorch's defaults", function()
    local layer = nn.TransformerEncoderLayer(4, 2)
    expect({ layer.linear1.out_features, layer.dropout.p, layer.dropout1.p, layer.dropout2.p, layer.self_attn.dropout, layer.norm1.eps,
      layer.norm_first, layer.relu, layer.self_attn.batch_first, layer.self_attn.num_heads }):equals
      { 2048, .1, .1, .1, .1, 1e-5, false, true, true, 2 }
    expect({ nn.MultiheadAttention(4, 2).dropout, nn.MultiheadAttention(4, 2).batch_first }):equals { 0, true }
  end)
end)

describe("batch normalisation", function()
  local x = g.tensor { { 1, 10 }, { 3, 30 } }
  it("tracks what it sees while it is trained, and only then", function()
    local norm = nn.BatchNorm1d(2)
    norm(x)
    expect({ norm.running_mean:totable(), norm.num_batches_tracked:item() }):equals { g.tensor({ .2, 2 }):totable(), 1 }
    expect(norm.running_var:totable()):near({ .9 + .1 * 2, .9 + .1 * 200 }, 1e-5)
    norm:eval()
    norm(x)
    expect(norm.num_batches_tracked:item()):equals(1)
  end)
  it("without statistics goes by the batch, in evaluation too", function()
    local norm = nn.BatchNorm1d(2, { track_running_stats = false }):eval()
    expect(norm(x):flatten():totable()):near({ -1, -1, 1, 1 }, 1e-4)
    expect(function() norm(g.ones(1, 2)) end):fails_with "one value a channel (shape [1, 2]) has no variance"
    expect(nn.BatchNorm1d(2):eval()(g.ones(1, 2)).shape):equals { 1, 2 }
    expect(nn.BatchNorm1d(2)(g.randn(1, 2, 3)).shape):equals { 1, 2, 3 }
  end)
  it("names the shapes that it takes", function()
    expect(function() nn.BatchNorm1d(3)(g.ones(2, 4)) end):fails_with "input has shape [2, 4]; expected [N, 3] or [N, 3, L]"
    expect(function() nn.BatchNorm2d(3)(g.ones(2, 4, 5, 5)) end):fails_with "input has shape [2, 4, 5, 5]; expected [N, 3, height, width]"
    expect(function() nn.BatchNorm1d(3)(g.ones(2, 3, 4, 4)) end):fails_with "input has shape [2, 3, 4, 4]"
  end)
end)

describe("initial weights", function()
  local init = nn.init
  it("are in place, of the generator that a run sets", function()
    local t = g.zeros(4, 3)
    for _, call in ipairs { function() return init.uniform_(t, -1, 1) end, function() return init.normal_(t) end,
      function() return init.constant_(t, 2) end, function() return init.kaiming_uniform_(t) end,
        function() return init.xavier_uniform_(t) end } do
      expect(call() == t):is_true()
    end
    local function drawn(seed)
      nn.init_generator = engine.generator(seed)
      return init.normal_(g.zeros(5)):totable()
    end
    expect(drawn(1)):equals(drawn(1))
    expect(drawn(1)):differs_from(drawn(2))
  end)
  -- Bounds in closed form: of so many numbers the largest is within a hundredth of it.
  local function expect_bound(t, bound)
    local most = t:abs():max():item()
    expect(most <= bound * (1 + 1e-6)):is_true()
    expect(most):near(bound, .01 * bound)
    expect(t:mean():item()):near(0, .05 * bound)
  end
  it("are uniform within PyTorch's bounds", function()
    expect_bound(init.kaiming_uniform_(g.zeros(100, 50)), math.sqrt(6 / 50))
    expect_bound(init.kaiming_uniform_(g.zeros(100, 50), 2), math.sqrt(6 / (5 * 50)))
    expect_bound(init.kaiming_uniform_(g.zeros(40, 5, 3, 3)), math.sqrt(6 / 45))
    expect_bound(init.xavier_uniform_(g.zeros(100, 50)), math.sqrt(6 / 150))
    expect_bound(init.xavier_uniform_(g.zeros(100, 50), 3), 3 * math.sqrt(6 / 150))
    expect_bound(init.xavier_uniform_(g.zeros(40, 10, 3, 3)), math.sqrt(6 / (90 + 360)))
    local weight, bias = g.zeros(2000, 4), g.zeros(2000)
    init.linear_(weight, bias)
    expect_bound(weight, .5)
    expect_bound(bias, .5)
    expect(init.uniform_(g.zeros(5000), 2, 3):min():item() >= 2):is_true()
  end)
  it("are normal as they are told", function()
    local t = init.normal_(g.zeros(20000))
    expect({ t:mean():item(), t:std():item() }):near({ 0, 1 }, .03)
    t = init.normal_(g.zeros(20000), 5, .1)
    expect({ t:mean():item(), t:std():item() }):near({ 5, .1 }, .005)
    expect(init.normal_(g.zeros(3), 2, 0):totable()):equals { 2, 2, 2 }
    expect(init.constant_(g.zeros(2), -3):totable()):equals { -3, -3 }
  end)
  it("of a symmetric network make it the zero function", function()
    local inner, outer, x = nn.Linear(3, 8), nn.Linear(8, 2), g.randn(5, 3)
    init.symmetric_(inner, outer)
    expect(outer(inner(x):relu()):abs():max():item()):near(0, 1e-6)
    expect({ inner.weight:slice(0, 0, 4):equal(inner.weight:slice(0, 4)), inner.bias:slice(0, 0, 4):equal(inner.bias:slice(0, 4)) }):equals
      { true, true }
    init.symmetric_(inner, outer, { k = 4 })
    expect(inner.weight:abs():eq(1):all():item()):is_true()
    expect(outer.weight:abs():eq(1 / 8):all():item()):is_true()
    local biases = {}
    for _ = 1, 30 do
      init.symmetric_(inner, outer, { k = 2 })
      for _, b in ipairs(inner.bias:totable()) do biases[b] = true end
    end
    expect(biases):equals { [-.5] = true, [0] = true, [.5] = true }
    init.symmetric_(nn.Linear(3, 4, false), nn.Linear(4, 1, false), { k = 1 })
  end)
  local inner, outer = nn.Linear(3, 8), nn.Linear(8, 2)
  local refused = {
    { "a number as a tensor", function() init.uniform_(3, 0, 1) end, "init.uniform_: 'tensor': expected a Tensor; got 3" },
    { "a number as a normal tensor", function() init.normal_(3) end, "init.normal_: 'tensor': expected a Tensor; got 3" },
    { "a number as a He tensor", function() init.kaiming_uniform_(3) end, "init.kaiming_uniform_: 'tensor': expected a Tensor; got 3" },
    { "a number as a Glorot tensor", function() init.xavier_uniform_(3) end, "init.xavier_uniform_: 'tensor': expected a Tensor; got 3" },
    { "a number as a weight", function() init.linear_(3) end, "init.linear_: 'tensor': expected a Tensor; got 3" },
    { "no outer layer", function() init.symmetric_(inner) end, "init.symmetric_: outer: expected an nn.Linear; got nil" },
    { "no lower end", function() init.uniform_(g.zeros(2), nil, 1) end, "init.uniform_: 'low': expected a number" },
    { "no upper end", function() init.uniform_(g.zeros(2), 0) end, "init.uniform_: 'high': expected a number" },
    { "a mean of text", function() init.normal_(g.zeros(2), "0") end, "init.normal_: 'mean': expected a number" },
    { "a deviation below 0", function() init.normal_(g.zeros(2), 0, -1) end,
      "init.normal_: 'std': expected a number of at least 0; got -1" },
    { "no constant", function() init.constant_(g.zeros(2)) end, "init.constant_: 'value': expected a number; got nil" },
    { "a slope of text", function() init.kaiming_uniform_(g.zeros(2, 2), "a") end, "init.kaiming_uniform_: 'a': expected a number" },
    { "a gain of 0", function() init.xavier_uniform_(g.zeros(2, 2), 0) end, "init.xavier_uniform_: 'gain': expected a number > 0; got 0" },
    { "one dimension", function() init.kaiming_uniform_(g.zeros(2)) end, "init: fan-in of a tensor of 1 dims; expected 2 or more" },
    { "a bias of text", function() init.linear_(g.zeros(2, 2), "b") end, "init.linear_: 'bias': expected a Tensor" },
    { "a k of 0", function() init.symmetric_(inner, outer, { k = 0 }) end, "init.symmetric_: 'k': expected a whole number of at least 1" },
    { "no inner layer", function() init.symmetric_(nil, outer) end, "init.symmetric_: inner: expected an nn.Linear; got nil" },
    { "an odd width", function() init.symmetric_(nn.Linear(3, 5), nn.Linear(5, 1)) end, "5 hidden units into 5; expected an even number" },
    { "two widths", function() init.symmetric_(inner, nn.Linear(6, 1)) end,
      "8 hidden units into 6; expected an even number, the same on both" },
  }
  for _, case in ipairs(refused) do
    it("are refused of " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
end)

describe("the range of a network's", function()
  local CONV = { channels = { 2 }, classes = 2, input = { 1, 4, 4 } }
  local function mlp(name)
    return function(v) nn.MLP(with({ 2, 3, 1 }, name, v)) end
  end
  local function conv(name)
    return function(v) nn.ConvNet(with(CONV, name, v)) end
  end
  local WORDS = { vocabulary = 5, context = 4, width = 4, layers = 1, heads = 1 }
  local function transformer(name, more)
    return function(v) nn.Transformer(with(more or WORDS, name, v)) end
  end
  expect_range("MLP's dropout", mlp "dropout", { 0, 1 }, { -.1, 1.1 })
  expect_range("MLP's bias", mlp "bias", { true, false }, { 1 })
  expect_range("MLP's norm", mlp "norm", { "none", "layer", "batch" }, { "group" })
  expect_range("MLP's activation", mlp "activation", { "relu", "gelu", "tanh", "sigmoid", "silu", "leaky_relu" }, { "elu" })
  expect_range("ConvNet's channels", conv "channels", { { 1 }, { 1, 2 } }, { {}, { 0 }, 3 })
  expect_range("ConvNet's classes", conv "classes", { 1 }, { 0 })
  expect_range("ConvNet's input", conv "input", { { 1, 1, 1 } }, { { 1, 1 }, { 0, 1, 1 } })
  expect_range("ConvNet's kernel_size", conv "kernel_size", { 1, 3 }, { 0 })
  expect_range("ConvNet's dropout", conv "dropout", { 0, 1 }, { -.1, 1.1 })
  for _, name in ipairs { "vocabulary", "context", "width", "layers", "feedforward" } do
    expect_range("Transformer's " .. name, transformer(name), { 1, 2 }, { 0 })
  end
  expect_range("Transformer's heads", transformer "heads", { 1, 4 }, { 0 })
  expect_range("Transformer's outputs", transformer "outputs", { 1 }, { 0 })
  expect_range("Transformer's inputs", transformer("inputs", { context = 4, width = 4, layers = 1, heads = 1, outputs = 1 }), { 1 }, { 0 })
  expect_range("Transformer's pool", transformer "pool", { "none", "mean", "first", "last" }, { "max" })
  expect_range("Transformer's dropout", transformer "dropout", { 0, 1 }, { -.1, 1.1 })
  expect_range("Transformer's pad_token", transformer "pad_token", { 0, 4 }, { -1 })
  it("size goes down to two layers of one", function()
    expect(nn.MLP({ 1, 1 }):num_parameters()):equals(2)
    expect(function() nn.MLP { 2, 0, 1 } end):fails_with "MLP: 'size 2': expected a whole number of at least 1; got 0"
    expect(function() nn.MLP {} end):fails_with "0 sizes; expected at least two"
  end)
end)

describe("a network of which nothing else is said", function()
  it("is a perceptron with ReLU, biases and no dropout", function()
    local net = nn.MLP { 3, 4, 5, 2 }
    expect({ #net.layers, nn.class_of(net.layers[1]) == nn.ReLU, nn.class_of(net.layers[3]) == nn.ReLU, net:num_parameters() }):equals
      { 5, true, true, 16 + 25 + 12 }
    expect(nn.MLP({ 3, 4, 2, bias = false }):num_parameters()):equals(12 + 8)
    expect(#nn.MLP({ 3, 4, 2, dropout = .1 }).layers):equals(4)
    expect(net(g.ones(3)).shape):equals { 2 }
    expect(net(g.ones(5, 3, 1, 1)).shape):equals { 5, 2 }
    expect(function() net(g.tensor(1)) end):fails_with "MLP{3, 4, 5, 2}: input has shape [], no values a sample; expected 3"
    expect(function() net "x" end):fails_with "MLP: 'input': expected a Tensor; got 'x'"
  end)
  it("is convolutions of 3 that keep the size, pooled while both sides are even", function()
    for _, case in ipairs { { { 1, 8, 8 }, { 1, 1, 1, 1 }, 1 }, { { 1, 6, 4 }, { 2, 3 }, 3 * 3 * 2 }, { { 2, 12, 8 }, { 2, 3 }, 3 * 3 * 2 },
      { { 1, 5, 4 }, { 2 }, 2 * 20 }, { { 1, 4, 5 }, { 2 }, 2 * 20 } } do
      local net = nn.ConvNet { channels = case[2], classes = 3, input = case[1] }
      expect({ net.classifier.in_features, net.classifier.out_features }):equals { case[3], 3 }
      expect(net(g.randn { 2, unpack(case[1]) }).shape):equals { 2, 3 }
    end
    local conv = nn.ConvNet({ channels = { 2 }, classes = 2, input = { 1, 4, 4 } }).features[0]
    expect({ conv.kernel_size, conv.padding, conv.has_bias }):equals { { 3, 3 }, { 1, 1 }, false }
    local function first(more)
      local o = { channels = { 2 }, classes = 2, input = { 1, 4, 4 } }
      for key, value in pairs(more) do o[key] = value end
      return nn.ConvNet(o)
    end
    conv = first({ kernel_size = 5, norm = "none" }).features[0]
    expect({ conv.kernel_size, conv.padding, conv.has_bias }):equals { { 5, 5 }, { 2, 2 }, true }
    expect(nn.class_of(first({ batch_norm = true }).features[1]) == nn.BatchNorm2d):is_true()
    expect(first({ dropout = .5 }).features[5].p):equals(.5)
    expect(function() first { kernel_size = 2 } end):fails_with "ConvNet: kernel_size is 2; expected an odd number, which keeps the size"
    expect(function() nn.ConvNet { classes = 2, input = { 1, 4, 4 } } end):fails_with "option 'channels' is missing"
    expect(function() nn.ConvNet { channels = { 2 }, input = { 1, 4, 4 } } end):fails_with "option 'classes' is missing"
    expect(function() first {} "x" end):fails_with "ConvNet: 'input': expected a Tensor; got 'x'"
    for _, shape in ipairs { { 2, 2, 4, 4 }, { 2, 1, 5, 4 }, { 2, 1, 4, 5 }, { 2, 15 }, { 2, 5, 4 }, { 2, 4, 5 }, { 16 } } do
      expect(function() first {}(g.ones(shape)) end):fails_with "; expected [N, 1, 4, 4] or [N, 16]"
    end
  end)
  it("is a transformer that normalises first, without dropout, four times as wide inside", function()
    local net = nn.Transformer { vocabulary = 50, context = 40, width = 32, layers = 2, heads = 2 }
    local layer = net.encoder.layers[0]
    expect({ layer.norm_first, layer.relu, layer.dropout.p, layer.linear1.out_features, layer.self_attn.num_heads, net.dropout.p,
      net.causal,
      net.pool, #net.encoder.layers, net.head.out_features, net.head.has_bias }):equals
      { true, false, 0, 128, 2, 0, false, "none", 2, 50, true }
    expect({ net.token.weight:std():item(), net.position.weight:std():item() }):near({ .02, .02 }, .002)
    expect({ net:has "pad_token", net.encoder:has "norm" }):equals { false, true }
    local after = nn.Transformer { vocabulary = 5, context = 4, width = 4, layers = 1, heads = 1, norm_first = false }
    expect(after.encoder:has "norm"):is_false()
    local real = nn.Transformer { inputs = 3, context = 4, width = 4, layers = 1, heads = 1, outputs = 2 }
    expect({ nn.class_of(real.token) == nn.Linear, real(g.ones(2, 4, 3)).shape }):equals { true, { 2, 4, 2 } }
  end)
  local WORDS = { vocabulary = 5, context = 4, width = 4, layers = 1, heads = 1 }
  local refused = {
    { "no context", { vocabulary = 5, width = 4, layers = 1, heads = 1 }, "Transformer: option 'context' is missing" },
    { "neither words nor numbers", { context = 4, width = 4, layers = 1, heads = 1 }, "expected either vocabulary (tokens) or inputs" },
    { "words and numbers", with(WORDS, "inputs", 3), "expected either vocabulary (tokens) or inputs" },
    { "numbers without outputs", { inputs = 3, context = 4, width = 4, layers = 1, heads = 1 }, "option 'outputs' is missing" },
    { "a head that cannot be shared", with(with(WORDS, "tie", true), "outputs", 3), "tie = true shares the token embedding with the head" },
    { "padding that is causal", with(with(WORDS, "pad_token", 1), "causal", true),
      "pad_token = 1: expected a token of the vocabulary, and" },
    { "padding that is no token", with(WORDS, "pad_token", 5), "pad_token = 5: expected a token of the vocabulary" },
    { "padding of numbers", { inputs = 3, context = 4, width = 4, layers = 1, heads = 1, outputs = 1, pad_token = 0 }, "pad_token = 0" },
    { "heads that do not share", with(WORDS, "heads", 3), "embed_dim 4 cannot be shared among 3 heads; expected a multiple" },
  }
  for _, case in ipairs(refused) do
    it("is refused of " .. case[1], function() expect(function() nn.Transformer(case[2]) end):fails_with(case[3]) end)
  end
  it("takes sequences up to its context", function()
    local net = nn.Transformer(WORDS)
    expect(net(g.zeros({ 2, 4 }, { dtype = "int64" })).shape):equals { 2, 4, 5 }
    expect(function() net(g.zeros({ 2, 5 }, { dtype = "int64" })) end):fails_with "input has 5 positions; expected at most context = 4"
  end)
end)

describe("the range of a loss's", function()
  local s, t, y = g.randn(4, 3), g.randn(4, 3), g.tensor({ 0, 1, 2, 0 }, "int64")
  local function kd(name)
    return function(v) return loss.kd_loss(s, t, y, { [name] = v }) end
  end
  expect_range("kd_loss's temperature", kd "temperature", { .1, g.tensor(2) }, { 0, -1 })
  expect_range("kd_loss's teacher_temperature", kd "teacher_temperature", { .1, g.tensor(2) }, { 0, -1 })
  expect_range("kd_loss's alpha", kd "alpha", { 0, 1, g.tensor(.5) }, { -.1, 1.1 })
  expect_range("kd_loss's label_smoothing", kd "label_smoothing", { 0, .5 }, { -.1, 1.1 })
  expect_range("kd_loss's ignore_index", kd "ignore_index", { -100, 0, 2 }, { .5 })
  expect_range("kd_loss's weight", kd "weight", { g.ones(4) }, { 1 })
  expect_range("cross_entropy's label_smoothing", function(v) loss.cross_entropy(s, y, { label_smoothing = v }) end, { 0, .5 }, { -.1,
    1.1 })
  expect_range("kl's temperature", function(v) loss.kl(s, t, { temperature = v }) end, { .1 }, { 0 })
  expect_range("jsd's beta", function(v) loss.jsd(s, t, { beta = v }) end, { .01, .99 }, { -.1, 1.1 })
  expect_range("jsd's temperature", function(v) loss.jsd(s, t, { temperature = v }) end, { .1 }, { 0 })
  expect_range("projection's inputs", function(v) loss.projection(v, 2) end, { 1 }, { 0 })
  expect_range("projection's outputs", function(v) loss.projection(2, v) end, { 1 }, { 0 })
  expect_range("projection's seed", function(v) loss.projection(2, 2, v) end, { 0, 1 }, { -1 })
  it("that is left out is the paper's", function()
    local plain = loss.kd_loss(s, t, y).loss:item()
    expect(loss.kd_loss(s, t, y, { temperature = 4, alpha = .7, t2 = true, label_smoothing = 0, ignore_index = -100, reverse = false,
      teacher_temperature = 4 }).loss:item()):near(plain, 1e-6)
    expect(loss.kl(s, t):item()):near(loss.kl(s, t, { temperature = 1 }):item(), 1e-7)
    expect(loss.jsd(s, t):item()):near(loss.jsd(s, t, { temperature = 1, beta = .5, t2 = true }):item(), 1e-7)
    for name, fn in pairs { kl = loss.kl, reverse_kl = loss.reverse_kl, jsd = loss.jsd } do
      local hot = fn(s, t, { temperature = 2 }):item()
      expect({ name, fn(s, t, { temperature = 2, t2 = true }):item() }):equals { name, hot }
      expect(fn(s, t, { temperature = 2, t2 = false }):item()):near(hot / 4, 1e-6)
      expect(fn(s, t, { target = g.tensor({ 0, -100, 1, -100 }, "int64"), weight = g.tensor { 1, 5, 2, 5 } }):item()):near(
        fn(s, t, { weight = g.tensor { 1, 0, 2, 0 } }):item(), 1e-6)
      expect(fn(s, t, { target = g.tensor({ 0, 7, 1, 7 }, "int64"), ignore_index = 7 }):item()):near(
        fn(s, t, { weight = g.tensor { 1, 0, 1, 0 } }):item(), 1e-6)
      expect(function() fn(s, t, { target = g.zeros({ 3 },
        { dtype = "int64" }) }) end):fails_with "target has shape [3]; expected one class for each"
    end
    expect(loss.projection(3, 2):equal(loss.projection(3, 2, 0))):is_true()
    local hidden, head = g.randn(4, 5), nn.Linear(5, 3)
    expect(loss.linear_kd(hidden, head, nil, nil, y).loss:item()):near(loss.cross_entropy(head(hidden), y):item(), 1e-5)
    local teacher_hidden, teacher_head = g.randn(4, 6), nn.Linear(6, 3)
    expect(loss.linear_kd(hidden, head, teacher_hidden, teacher_head, y).loss:item()):near(
      loss.kd_loss(head(hidden), teacher_head(teacher_hidden), y).loss:item(), 1e-5)
    expect(loss.linear_kd(hidden, head, teacher_hidden, teacher_head, y, { temperature = 2, alpha = .2, t2 = false }).loss:item()):near(
      loss.kd_loss(head(hidden), teacher_head(teacher_hidden), y, { temperature = 2, alpha = .2, t2 = false }).loss:item(), 1e-5)
    expect(function() loss.linear_kd(hidden, 5, nil, nil,
      y) end):fails_with "linear_kd: 'head': expected nn.Linear, or { weight =, bias = }; got 5"
    expect(function() loss.linear_kd(hidden, head, nil, nil, y,
      { partial = true }) end):fails_with "linear_kd: 'partial': expected rows that"
  end)
  it("features through a projection, and without", function()
    local student, teacher, p = g.randn(4, 2), g.randn(4, 3), g.randn(3, 2)
    expect(loss.feature_mse(student, teacher, p):item()):near((student - teacher:matmul(p)):square():mean():item(), 1e-5)
    expect(loss.feature_mse(student, student + 2):item()):near(4, 1e-5)
    expect(loss.mse(g.tensor { 1, 2 }, g.tensor { 3, 2 }):item()):equals(2)
    expect(function() loss.feature_mse(student, teacher, 5) end):fails_with "feature_mse: 'projection': expected a Tensor; got 5"
    expect(function() loss.feature_mse(5, teacher) end):fails_with "feature_mse: 'student': expected a Tensor; got 5"
    expect(function() loss.feature_mse(student, 5) end):fails_with "feature_mse: 'teacher': expected a Tensor; got 5"
    for text, call in pairs { ["mse: 'a'"] = function() loss.mse(5, teacher) end, ["mse: 'b'"] = function() loss.mse(teacher, 5) end,
      ["kl: 'teacher'"] = function() loss.kl(s, 5) end, ["reverse_kl: 'student'"] = function() loss.reverse_kl(5, t) end,
      ["jsd: 'teacher'"] = function() loss.jsd(s, 5) end, ["linear_kd: 'hidden'"] = function() loss.linear_kd(5, { weight = p }) end,
      ["cross_entropy: 'logits'"] = function() loss.cross_entropy(5, y) end,
      ["cross_entropy: 'target'"] = function() loss.cross_entropy(s, 5) end } do
      expect(call):fails_with(text .. ": expected a Tensor; got 5")
    end
    expect(function() loss.linear_kd(s, { weight = p }, t, 5) end):fails_with "linear_kd: 'teacher_head': expected nn.Linear, or"
    expect(function() loss.projection(3, 0) end):fails_with "projection: 'outputs': expected a whole number of at least 1; got 0"
    expect(function() loss.projection(3, 2, -1) end):fails_with "projection: 'seed': expected a whole number of at least 0; got -1"
    for _, beta in ipairs { 0, 1 } do expect(function() loss.jsd(s, t,
      { beta = beta }) end):fails_with "jsd: 'beta': expected 0 < beta < 1" end
    local s3, t3 = g.randn(2, 2, 3), g.randn(2, 2, 3)
    for _, fn in ipairs { loss.kl, loss.reverse_kl, loss.jsd } do
      expect(fn(s3, t3):item()):near(fn(s3:flatten(0, 1), t3:flatten(0, 1)):item(), 1e-6)
      expect(fn(s3, t3, { weight = g.tensor { 1, 3 } }):item()):near(
        fn(s3:flatten(0, 1), t3:flatten(0, 1), { weight = g.tensor { 1, 1, 3, 3 } }):item(), 1e-6)
      expect(fn(s, t, { target = g.full({ 4 }, -100, { dtype = "int64" }) }):item()):equals(0)
    end
    for _, wrong in ipairs { g.randn(2, 2), g.randn(3, 3), g.randn(6) } do
      expect(function() loss.feature_mse(student, teacher, wrong) end):fails_with "; expected [3, 2], teacher's and student's widths"
    end
  end)
end)

describe("containers and networks", function()
  local relu, x = nn.ReLU(), g.ones(2, 3)
  local list, dict = nn.ModuleList { nn.ReLU(), nn.Tanh() }, nn.ModuleDict { a = nn.ReLU() }
  local refused = {
    { "a name among modules in order", function() nn.Sequential { relu, a = relu } end,
      "Sequential: expected modules in order; got one by name, 'a' (nn.ModuleDict)" },
    { "names alone in a list", function() nn.ModuleList { a = relu } end, "ModuleList: expected modules in order; got one by name, 'a'" },
    { "a hole", function() nn.Sequential { [1] = relu, [3] = relu } end, "'1': expected a module; got nil" },
    { "a number to extend by", function() list:extend(5) end, "ModuleList:extend: 'modules': expected a table; got 5" },
    { "a module that is no list to extend by", function() list:extend(relu) end, "ModuleList:extend: expected a list of modules; got" },
    { "a number to append", function() list:append(5) end, "ModuleList: '2': expected a module; got 5" },
    { "the item behind the last", function() return list[2] end, "ModuleList: no item 2; expected 0 to 1" },
    { "the item before the first", function() return list[-3] end, "ModuleList: no item -3; expected 0 to 1" },
    { "half an item", function() return list:get(.5) end, "ModuleList: no item 0.5" },
    { "an item of nothing", function() return nn.ModuleList {}[0] end, "ModuleList: no item 0; it is empty" },
    { "a call of a list", function() list(x) end, "ModuleList: is a list, not a function" },
    { "a call of a table", function() dict(x) end, "ModuleDict: is a table, not a function" },
    { "a number as modules by name", function() nn.ModuleDict(5) end, "ModuleDict: 'modules': expected a table; got 5" },
    { "modules by number", function() nn.ModuleDict { relu } end, "ModuleDict: expected modules by name; got 1 as a name" },
    { "no input", function() nn.Sequential { relu }() end, "Sequential: expected one input; got nil" },
    { "two inputs", function() nn.Sequential { relu }(x, x) end, "Sequential: expected one input; got 2" },
    { "a number as sizes", function() nn.MLP(5) end, "MLP: 'sizes': expected a table; got 5" },
    { "one size", function() nn.MLP { 5 } end, "MLP: 1 sizes; expected at least two" },
  }
  for _, case in ipairs(refused) do
    it("refuse " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
  it("have their items in order, from either end", function()
    expect({ rawequal(list[0], list[-2]), rawequal(list[1], list[-1]), #list, #nn.ModuleList {} }):equals { true, true, 2, 0 }
    local more = nn.ModuleList { relu }
    expect(rawequal(more:extend { nn.Tanh() }:extend(list), more)):is_true()
    local seen = {}
    for i, one in more:each() do seen[#seen + 1] = i .. tostring(one) end
    expect(seen):equals { "0ReLU()", "1Tanh()", "2ReLU()", "3Tanh()" }
  end)
end)
