local engine = require "gradus.engine"
local g = require "gradus"
local reference = require "reference"
local nn, tensor_of, values = g.nn, reference.tensor, reference.values

local E, H = 8, 2


local function layer(options)
  local o = { dim_feedforward = 16, dropout = 0 }
  for key, value in pairs(options or {}) do o[key] = value end
  return nn.TransformerEncoderLayer(E, H, o)
end

local function encoder(options) return nn.TransformerEncoder(layer(options), 2, nn.LayerNorm(E)) end

local padding = g.tensor { { 0, 0, 0, 0, 0 }, { 0, 0, 0, 1, 1 } }:gt(0)

-- The same modules and calls as in data/make_attention_reference.py.
local CASES = {
  attention = { function() return nn.MultiheadAttention(E, H) end },
  ["attention without bias"] = { function() return nn.MultiheadAttention(E, H, { bias = false }) end },
  ["attention of another sequence"] = { function() return nn.MultiheadAttention(E, H) end, function(m, q, k) return m(q, k, k) end },
  ["attention with padding"] = { function() return nn.MultiheadAttention(E, H) end,
    function(m, x) return m(x, x, x, { key_padding_mask = padding }) end },
  ["attention, causal"] = { function() return nn.MultiheadAttention(E, H) end,
    function(m, x) return m(x, x, x, { is_causal = true }) end },
  ["attention, length first"] = { function() return nn.MultiheadAttention(E, H, { batch_first = false }) end },
  ["attention weights"] = { function() return nn.MultiheadAttention(E, H) end,
    function(m, x) return (select(2, m(x, x, x, { need_weights = true }))) end },
  ["layer, post-norm"] = { layer },
  ["layer, pre-norm"] = { function() return layer { norm_first = true, activation = "gelu" } end },
  ["layer, causal"] = { layer, function(m, x) return m(x, { is_causal = true }) end },
  ["layer, padding"] = { function() return layer { norm_first = true } end,
    function(m, x) return m(x, { src_key_padding_mask = padding }) end },
  encoder = { encoder },
  ["encoder, pre-norm, causal"] = { function() return encoder { norm_first = true } end,
    function(m, x) return m(x, { is_causal = true }) end },
}

before_each(function() nn.init_generator = engine.generator(0) end)

describe("attention and transformers equal PyTorch's:", function()
  for _, case in ipairs(reference.read "attention.json") do
    it(case.name, function()
      local make, call = unpack(CASES[case.name])
      local module, count = make(), 0
      local state = module:state_dict()
      for name, wanted in pairs(case.initial) do
        expect(state[name].shape):equals(wanted.shape)
        expect(values(state[name])):near(wanted.values, 0)  -- one seed: the same numbers
        count = count + 1
      end
      for name in pairs(state) do
        if not case.initial[name] then error("PyTorch has no " .. name) end
        if state[name]:dim() == 1 then state[name]:add_(g.arange(state[name]:numel()) * .01 - .02) end
      end
      expect(count):differs_from(0)
      local inputs = {}
      for i, x in ipairs(case.inputs) do inputs[i] = tensor_of(x):requires_grad_(true) end
      local out = call and call(module, unpack(inputs)) or module(unpack(inputs))
      expect(out.shape):equals(case.output.shape)
      expect(values(out)):near(case.output.values, 2e-6)
      local coefficients = (g.arange(out:numel()) + 1):reshape(out.shape) / out:numel()
      ;(out * coefficients * g.where(coefficients:gt(.5), -1, 1)):sum():backward()
      for i, x in ipairs(inputs) do expect(values(x.grad)):near(case.input_grads[i].values, 5e-6) end
      for name, p in module:named_parameters() do
        local scale = 1
        for _, v in ipairs(case.grads[name] and case.grads[name].values or {}) do scale = math.max(scale, math.abs(v)) end
        if p.grad then expect(values(p.grad)):near(case.grads[name].values, 5e-6 * scale) end
      end
    end)
  end

  it("masks together: causal and padding are both kept", function()
    local m, x = nn.MultiheadAttention(E, H), g.randn { 2, 5, E }
    local both = values((m(x, x, x, { is_causal = true, key_padding_mask = padding })))
    local future = g.ones { 5, 5 }:triu(1):gt(0)
    expect(both):near(values((m(x, x, x, { attn_mask = future, key_padding_mask = padding }))), 1e-6)
    local open = m(x, x, x, { is_causal = true, key_padding_mask = padding, need_weights = true })
    expect(both):near(values(open), 1e-6)
    local added = g.zeros { 5, 5 }:masked_fill(future, -math.huge)
    expect(both):near(values((m(x, x, x, { attn_mask = added, key_padding_mask = padding }))), 1e-6)
  end)

  it("drops weights while it is trained, and only then", function()
    g.manual_seed(3)
    local m, x = nn.MultiheadAttention(8, 2, { dropout = .5 }), g.randn { 2, 5, 8 }
    for _, need_weights in ipairs { true, false } do
      local function once() return values((m(x, x, x, { need_weights = need_weights }))) end
      local function same(a, b) return table.concat(a, " ") == table.concat(b, " ") end
      m:train()
      expect(same(once(), once())):is_false()
      m:eval()
      expect(same(once(), once())):is_true()
    end
    expect(nn.TransformerEncoderLayer(8, 2).self_attn.dropout):equals(.1)
  end)

  it("refuses what does not fit", function()
    expect(function() nn.MultiheadAttention(8, 3) end):fails_with "embed_dim 8 cannot be shared among 3 heads"
    expect(function() nn.MultiheadAttention(8, 2)(g.randn { 5, 8 }) end):fails_with "expected [N, L, 8]"
    expect(function() layer()(g.randn { 1, 2, 8 }, { is_casual = true }) end):fails_with "did you mean 'is_causal'?"
    expect(function() nn.TransformerEncoder(3, 2) end):fails_with "expected a TransformerEncoderLayer"
  end)
end)

describe("nn.Transformer", function()
  local small = { vocabulary = 11, context = 6, width = 8, layers = 2, heads = 2 }
  local function with(options)
    local o = {}
    for key, value in pairs(small) do o[key] = value end
    for key, value in pairs(options) do o[key] = value end
    return nn.Transformer(o)
  end
  local tokens = g.tensor({ { 1, 4, 2, 10, 0 } }, { dtype = "int64" })

  it("gives logits a position, and one row a sequence with a pool", function()
    expect(with {}(tokens).shape):equals { 1, 5, 11 }
    for _, pool in ipairs { "mean", "first", "last" } do
      expect(with { outputs = 3, pool = pool }(tokens).shape):equals { 1, 3 }
    end
    local o = { inputs = 4, context = 6, width = 8, layers = 1, heads = 2, outputs = 3 }
    expect(nn.Transformer(o)(g.randn { 2, 6, 4 }).shape):equals { 2, 6, 3 }
  end)

  it("looks at no later token when causal, and at all when not", function()
    local changed = g.tensor({ { 1, 4, 2, 10, 7 } }, { dtype = "int64" })
    local causal, open = with { causal = true }, with {}
    local before = function(net, x) return values(net(x):narrow(1, 0, 4)) end
    expect(before(causal, changed)):equals(before(causal, tokens))
    expect(before(open, changed)):differs_from(before(open, tokens))
  end)

  it("has taps, layers drawn one by one, and a head that can share its weight", function()
    local net = with { tie = true }
    local out, taps = net:forward_taps(tokens, { "encoder.layers.0.self_attn", "encoder.layers.1", "encoder", "head" })
    expect(taps["encoder.layers.0.self_attn"].shape):equals { 1, 5, 8 }
    expect(values(taps.head)):equals(values(out))
    expect(values(taps.encoder)):equals(values(net:hidden(tokens)))
    local state = net:state_dict()
    expect(values(state["encoder.layers.0.linear1.weight"])):differs_from(values(state["encoder.layers.1.linear1.weight"]))
    expect(values(state["token.weight"])):equals(values(state["head.weight"]))
    net:forward(tokens):sum():backward()
    expect(#net:parameters()):equals(2 + 2 * 12 + 2)
  end)

  it("refuses what cannot be", function()
    expect(function() with { context = 4 }(tokens) end):fails_with "expected at most context = 4"
    expect(function() nn.Transformer { vocabulary = 3 } end):fails_with "option 'context' is missing"
    expect(function() with { inputs = 4 } end):fails_with "either vocabulary (tokens) or inputs"
    expect(function() with { outputs = 3, tie = true } end):fails_with "tie = true shares"
  end)
end)
