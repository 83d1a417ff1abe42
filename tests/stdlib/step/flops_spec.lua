local g = require "gradus"
local engine = require "gradus.engine"
local nn = g.nn

-- FLOPs of a forward pass, and of one with its backward.
local function counted(net, x)
  local count = engine.count_flops()
  net(x):sum():backward()
  local both = count()
  return g.flops(net, x), both
end

describe("FLOPs equal the closed form of", function()
  it("an MLP: 2 · inputs · outputs a layer; backward twice that, less the gradient of the input", function()
    local n, a, b, c = 8, 20, 30, 5
    local forward, both = counted(nn.MLP { a, b, c }, g.randn { n, a })
    expect(forward):equals(2 * n * (a * b + b * c))
    expect(both):equals(forward + 2 * n * (2 * b * c + a * b))
  end)
  for _, causal in ipairs { false, true } do
    it("a transformer: 24 w² a token and layer, attention 4 l w; backward 2 and 2.5 times; causal " .. tostring(causal), function()
      local n, l, w, layers, outputs = 3, 10, 16, 2, 7
      local net = nn.Transformer { vocabulary = 9, context = l, width = w, layers = layers, heads = 4, outputs = outputs, causal = causal }
      local forward, both = counted(net, g.randint(0, 9, { n, l }))
      local linear, attention = 2 * n * l * (layers * 12 * w * w + w * outputs), layers * 4 * n * l * l * w
      expect(forward):equals(linear + attention)
      expect(both):equals(3 * linear + 3.5 * attention)
    end)
  end
  it("a convolution: 2 · inputs per output; backward the same for the weight alone", function()
    local net = nn.Conv2d(3, 4, 3, { padding = 1 })
    local forward, both = counted(net, g.randn { 2, 3, 8, 8 })
    expect(forward):equals(2 * (2 * 4 * 8 * 8) * (3 * 3 * 3))
    expect(both):equals(2 * forward)
  end)
  it("the loss that never holds the logits", function()
    local head, hidden = nn.Linear(16, 50), g.randn({ 6, 16 }):requires_grad_()
    local count = engine.count_flops()
    g.loss.linear_kd(hidden, head, nil, nil, g.randint(0, 50, { 6 })).loss:backward()
    expect(count()):equals(3 * 2 * 6 * 16 * 50)
  end)
end)
