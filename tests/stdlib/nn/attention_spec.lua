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

describe("masks in every form", function()
  local m, x = nn.MultiheadAttention(E, H), g.randn({ 2, 5, E }, { generator = g.generator(9) })
  local future = g.ones { 5, 5 }:triu(1):gt(0)
  local added = g.zeros { 5, 5 }:masked_fill(future, -math.huge)
  -- The same attention, written as what is looked at.
  local function out(options) return values((m(x, x, x, options))) end
  it("are the same attention, in the open and fused", function()
    local causal, padded, both = out { attn_mask = future }, out { key_padding_mask = padding },
      out { attn_mask = future, key_padding_mask = padding }
    for _, open in ipairs { true, false } do
      for _, case in ipairs { { causal, { is_causal = true } }, { causal, { attn_mask = added } }, { causal, { attn_mask = future } },
        { padded, { key_padding_mask = padding } }, { both, { attn_mask = added, key_padding_mask = padding } },
        { both, { attn_mask = future, key_padding_mask = padding } }, { both, { is_causal = true, key_padding_mask = padding } },
        { causal, { is_causal = true, attn_mask = added } }, { causal, { is_causal = true, attn_mask = g.zeros { 5, 5 } } },
        { causal, { is_causal = true, attn_mask = g.zeros({ 5, 5 }, { dtype = "bool" }) } } } do
        case[2].need_weights = open
        expect(out(case[2])):near(case[1], 1e-5)
      end
    end
    expect(padded):differs_from(causal)
    local biased = g.arange(25):float():reshape { 5, 5 } * .1
    expect(out { attn_mask = biased, need_weights = true }):near(out { attn_mask = biased }, 1e-5)
  end)
  it("give weights that sum to 1 and are 0 where nobody looks", function()
    local _, weights = m(x, x, x, { is_causal = true, need_weights = true })
    expect(weights.shape):equals { 2, 5, 5 }
    expect(values(weights:sum(-1))):near({ 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 }, 1e-5)
    expect(weights:masked_select(future):abs():sum():item()):equals(0)
    expect(select("#", m(x, x, x)) >= 1 and select(2, m(x, x, x))):equals(nil)
  end)
  it("may leave key and value out", function()
    expect(values((m(x)))):equals(values((m(x, x, x))))
    local other = g.randn { 2, 3, E }
    expect(values((m(x, other)))):equals(values((m(x, other, other))))
    expect(values((m(x, other, other * 2)))):differs_from(values((m(x, other, other))))
  end)
  local refused = {
    { "padding that is no boolean", { key_padding_mask = padding:float() }, "key_padding_mask: expected a bool Tensor [N, S], true where" },
    { "padding of one dimension", { key_padding_mask = padding[0] }, "key_padding_mask: expected a bool Tensor [N, S]" },
    { "a mask of three dimensions", { attn_mask = g.zeros { 1, 5, 5 } },
      "attn_mask: expected a Tensor [L, S]; got Tensor [1, 5, 5] float32" },
    { "a mask of text", { attn_mask = "causal" }, "'attn_mask': expected a Tensor; got 'causal'" },
    { "a cause of text", { is_causal = "yes" }, "'is_causal': expected true or false" },
    { "weights of text", { need_weights = 1 }, "'need_weights': expected true or false" },
  }
  for _, case in ipairs(refused) do
    it("are refused: " .. case[1], function() expect(function() m(x, x, x, case[2]) end):fails_with(case[3]) end)
  end
  it("beside sequences of the right form", function()
    expect(function() m(5) end):fails_with "MultiheadAttention: 'query': expected a Tensor; got 5"
    expect(function() m(x, 5) end):fails_with "': expected a Tensor; got 5"
    expect(function() m(g.ones(5, E)) end):fails_with "query has shape [5, 8]; expected [N, L, 8]"
    expect(function() m(x, g.ones(2, 5, 4)) end):fails_with "has shape [2, 5, 4]; expected [N, L, 8]"
    expect(function() nn.MultiheadAttention(E, H, { batch_first = false })(g.ones(5, E)) end):fails_with "expected [L, N, 8]"
    expect(tostring(m)):matches "embed_dim=8, num_heads=2"
  end)
end)

describe("a stack of layers", function()
  it("is copies that start equal, or the layers as they are, with a norm or none", function()
    local one = layer()
    local copies = nn.TransformerEncoder(one, 3)
    expect({ #copies.layers, copies:has "norm", copies.layers[0] == one }):equals { 3, false, false }
    expect(values(copies.layers[0].linear1.weight)):equals(values(copies.layers[2].linear1.weight))
    local norm = nn.LayerNorm(E)
    local given = nn.TransformerEncoder({ one }, norm)
    expect({ #given.layers, given.layers[0] == one, given.norm == norm }):equals { 1, true, true }
    local x = g.randn { 2, 5, E }
    expect(values(given(x))):equals(values(norm(one(x))))
    expect(values(nn.TransformerEncoder({ one, one })(x))):equals(values(one(one(x))))
    expect(values(given(x, { is_causal = true }))):near(values(given(x, { mask = g.ones { 5, 5 }:triu(1):gt(0) })), 1e-5)
    expect(values(given(x, { src_key_padding_mask = padding }))):equals(values(norm(one(x, { src_key_padding_mask = padding }))))
    expect(function() given(x, { masks = 1 }) end):fails_with "TransformerEncoder: no option 'masks'; did you mean 'mask'?"
    expect(function() nn.TransformerEncoder(one) end)
      :fails_with "TransformerEncoder: 'num_layers': expected a whole number of at least 1; got nil"
    expect(function() nn.TransformerEncoder {} end):fails_with "TransformerEncoder: layer: expected a TransformerEncoderLayer; got a table"
  end)
  it("fuses its activation unless somebody looks, with the same numbers", function()
    local one, x = layer(), g.randn { 2, 5, E }
    local out, taps = one:forward_taps(x, { "linear1" })
    expect(values(out)):near(values(one(x)), 1e-5)
    expect(taps.linear1:lt(0):any():item()):is_true()
    local gelu = layer { activation = "gelu" }
    expect(values(gelu:forward_taps(x, { "linear1" }))):near(values(gelu(x)), 1e-6)
  end)
  it("drops in both branches while it is trained", function()
    local one, x = layer { dropout = .5 }, g.randn { 2, 5, E }
    expect({ one.dropout.p, one.dropout1.p, one.dropout2.p, one.self_attn.dropout }):equals { .5, .5, .5, .5 }
    one:eval()
    expect(values(one(x))):equals(values(one(x)))
  end)
end)

describe("a transformer's pools", function()
  it("are the mean, the first and the last position", function()
    local tokens = g.tensor({ { 1, 4, 2 }, { 3, 0, 1 } }, { dtype = "int64" })
    for pool, of in pairs { mean = function(h) return h:mean(1) end, first = function(h) return h:select(1, 0) end,
      last = function(h) return h:select(1, 2) end } do
      nn.init_generator = engine.generator(0)
      local plain = nn.Transformer { vocabulary = 5, context = 4, width = 8, layers = 1, heads = 2, outputs = 3 }
      nn.init_generator = engine.generator(0)
      local pooled = nn.Transformer { vocabulary = 5, context = 4, width = 8, layers = 1, heads = 2, outputs = 3, pool = pool }
      expect(values(pooled:hidden(tokens))):equals(values(of(plain:hidden(tokens))))
      expect(pooled(tokens).shape):equals { 2, 3 }
    end
  end)
  it("with padding attend to what the mask says, else to all but the padding", function()
    local net = nn.Transformer { vocabulary = 5, context = 4, width = 8, layers = 1, heads = 2, pad_token = 0 }
    local tokens = g.tensor({ { 1, 4, 0 } }, { dtype = "int64" })
    local mask = tokens:eq(0)
    expect(values(net(tokens))):equals(values(net(tokens, { src_key_padding_mask = mask })))
    expect(values(net(tokens))):differs_from(values(net(tokens, { src_key_padding_mask = mask:logical_and(false) })))
    expect(function() net(tokens, { masks = mask }) end):fails_with "Transformer: no option 'masks'; did you mean 'mask'?"
  end)
  it("pool what is no padding, wherever that stands", function()
    for _, pool in ipairs { "mean", "first", "last" } do
      local net = nn.Transformer { vocabulary = 5, context = 4, width = 8, layers = 1, heads = 2, pad_token = 0, outputs = 3, pool = pool }
      local plain = net:clone()
      plain.pad_token = nil
      net.position.weight:detach():zero_()
      plain.position.weight:detach():zero_()
      local padded = g.tensor({ { 1, 4, 0, 0 }, { 0, 0, 1, 4 }, { 0, 1, 4, 0 } }, { dtype = "int64" })
      local alone = plain(g.tensor({ { 1, 4 } }, { dtype = "int64" })):flatten():totable()
      for row = 0, 2 do expect(net(padded)[row]:totable()):near(alone, 1e-6) end
      expect(plain(padded, { src_key_padding_mask = padded:eq(0) })[1]:totable()):near(alone, 1e-6)
    end
  end)
end)
