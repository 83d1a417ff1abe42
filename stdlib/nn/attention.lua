--- Attention and transformers (Vaswani et al. 2017, arXiv:1706.03762) with PyTorch's names, arguments, initial weights and
--- layout of parameters, on LibTorch's fused attention. Unlike PyTorch's, inputs are [N, L, E] unless batch_first = false.
local check = require "gradus.base.check"
local engine = require "gradus.engine"

local ops = engine.ops
local size1 = check.int(1)
local probability = check.number(0, 1)

-- PyTorch's masks say where NOT to look when boolean, and what to add when floating point; the operator's boolean masks
-- say where to look. Both masks as one that broadcasts to [N, heads, L, S].
local function merge_masks(where, attn_mask, key_padding_mask)
  local mask
  if key_padding_mask then
    if key_padding_mask.dtype ~= "bool" or key_padding_mask:dim() ~= 2 then
      check.fail(where, "key_padding_mask: expected a bool Tensor [N, S], true where a position is padding; got %s",
        check.describe(key_padding_mask))
    end
    mask = key_padding_mask:logical_not():unsqueeze(1):unsqueeze(1)
  end
  if not attn_mask then return mask end
  if attn_mask:dim() ~= 2 then
    check.fail(where, "attn_mask: expected a Tensor [L, S]; got %s", check.describe(attn_mask))
  end
  if attn_mask.dtype == "bool" then
    local allowed = attn_mask:logical_not()
    return mask and ops.logical_and(mask, allowed) or allowed
  end
  return mask and ops.where(mask, attn_mask, -math.huge) or attn_mask
end

return function(nn)
  local init = nn.init

  --- nn.MultiheadAttention(embed_dim, num_heads, { dropout = 0, bias = true, batch_first = true }).
  --- attention(query, key, value, { key_padding_mask =, attn_mask =, is_causal =, need_weights = }) -> out, weights. The
  --- weights, mean over the heads, are computed on request only: the fused kernel never holds them.
  local MultiheadAttention = nn.class("MultiheadAttention")
  nn.MultiheadAttention = MultiheadAttention

  function MultiheadAttention:init(...)
    local o = check.arguments("MultiheadAttention", { { "embed_dim", size1 }, { "num_heads", size1 },
      { "dropout", probability, 0 }, { "bias", check.boolean, true }, { "batch_first", check.boolean, true } }, ...)
    if o.embed_dim % o.num_heads ~= 0 then
      check.fail("MultiheadAttention", "embed_dim %d cannot be shared among %d heads; expected a multiple", o.embed_dim,
        o.num_heads)
    end
    self.embed_dim, self.num_heads, self.dropout, self.batch_first = o.embed_dim, o.num_heads, o.dropout, o.batch_first
    local weight = ops.empty { size = { 3 * o.embed_dim, o.embed_dim } }
    self.in_proj_weight = nn.Parameter(weight)
    if o.bias then self.in_proj_bias = nn.Parameter(ops.zeros { size = { 3 * o.embed_dim } }) end
    self.out_proj = nn.Linear(o.embed_dim, o.embed_dim, o.bias)  -- drawn before in_proj_weight, as in PyTorch
    init.xavier_uniform_(self.in_proj_weight)
    if o.bias then init.constant_(self.out_proj.bias, 0) end
  end

  -- query, key and value after their projections: self-attention in one product.
  local function project(self, query, key, value)
    local weight, bias = self.in_proj_weight, self.in_proj_bias
    if query == key and key == value then return ops.linear(query, weight, bias):chunk(3, -1) end
    local w, b = weight:chunk(3, 0), bias and bias:chunk(3, 0) or {}
    return { ops.linear(query, w[1], b[1]), ops.linear(key, w[2], b[2]), ops.linear(value, w[3], b[3]) }
  end

  local function heads(self, x) return x:unflatten(-1, { self.num_heads, -1 }):transpose(1, 2) end

  -- softmax(q kᵀ / √d + mask) in the open, for those who want to see it.
  local function weights_of(q, k, mask, is_causal)
    local scores = ops.matmul(q, k:transpose(-2, -1)) / math.sqrt(q:size(-1))
    if is_causal then
      local future = ops.ones({ q:size(-2), k:size(-2) }, { dtype = "bool", device = q.device }):triu(1)
      scores = scores:masked_fill(future, -math.huge)
    end
    if mask and mask.dtype == "bool" then
      scores = scores:masked_fill(mask:logical_not(), -math.huge)
    elseif mask then
      scores = scores + mask
    end
    return scores:softmax(-1)
  end

  local ATTEND = { key_padding_mask = check.tensor, attn_mask = check.tensor, is_causal = check.boolean,
    need_weights = check.boolean }

  function MultiheadAttention:forward(query, key, value, options)
    options = check.options("MultiheadAttention", options, ATTEND)
    key, value = key or query, value or key or query
    for _, given in ipairs { { "query", query }, { "key", key }, { "value", value } } do
      local name, x = given[1], given[2]
      check.value("MultiheadAttention", name, x, check.tensor)
      if x:dim() ~= 3 or x:size(-1) ~= self.embed_dim then
        check.fail("MultiheadAttention", "%s has shape %s; expected [%s, %d]", name, check.shape(x),
          self.batch_first and "N, L" or "L, N", self.embed_dim)
      end
    end
    local mask = merge_masks("MultiheadAttention", options.attn_mask, options.key_padding_mask)
    local projected = project(self, query, key, value)
    for i = 1, 3 do
      projected[i] = heads(self, self.batch_first and projected[i] or projected[i]:transpose(0, 1))
    end
    local q, k, v = projected[1], projected[2], projected[3]
    local causal, dropout = options.is_causal or false, self.training and self.dropout or 0
    local out, weights
    if options.need_weights then
      weights = weights_of(q, k, mask, causal)
      out = ops.matmul(dropout > 0 and ops.dropout(weights, dropout, true) or weights, v)
      weights = weights:mean(1)
    else
      if causal and mask then  -- the operator takes one of the two
        local past = ops.ones({ q:size(-2), k:size(-2) }, { dtype = "bool", device = q.device }):tril()
        mask = mask.dtype == "bool" and ops.logical_and(mask, past) or ops.where(past, mask, -math.huge)
        causal = false
      end
      out = ops.scaled_dot_product_attention(q, k, v, mask, dropout, causal)
    end
    out = out:transpose(1, 2):flatten(2)
    if not self.batch_first then out = out:transpose(0, 1) end
    return self.out_proj(out), weights
  end

  function MultiheadAttention:extra_repr()
    return ("embed_dim=%d, num_heads=%d"):format(self.embed_dim, self.num_heads)
  end

  --- Self-attention and two linear layers, each with a residual, normalised after (norm_first = false) or before.
  ---   nn.TransformerEncoderLayer(d_model, nhead, { dim_feedforward = 2048, dropout = 0.1, activation = "relu",
  ---     layer_norm_eps = 1e-5, batch_first = true, norm_first = false, bias = true })
  --- layer(x, { src_mask =, src_key_padding_mask =, is_causal = })
  local EncoderLayer = nn.class("TransformerEncoderLayer")
  nn.TransformerEncoderLayer = EncoderLayer

  function EncoderLayer:init(...)
    local o = check.arguments("TransformerEncoderLayer", { { "d_model", size1 }, { "nhead", size1 },
      { "dim_feedforward", size1, 2048 }, { "dropout", probability, 0.1 },
      { "activation", check.choice("relu", "gelu"), "relu" }, { "layer_norm_eps", check.above(0), 1e-5 },
      { "batch_first", check.boolean, true }, { "norm_first", check.boolean, false }, { "bias", check.boolean, true } }, ...)
    local norm = { eps = o.layer_norm_eps, bias = o.bias }
    self.norm_first, self.activation, self.relu = o.norm_first, ops[o.activation], o.activation == "relu"
    self.self_attn = nn.MultiheadAttention(o.d_model, o.nhead,
      { dropout = o.dropout, bias = o.bias, batch_first = o.batch_first })
    self.linear1 = nn.Linear(o.d_model, o.dim_feedforward, o.bias)
    self.dropout = nn.Dropout(o.dropout)
    self.linear2 = nn.Linear(o.dim_feedforward, o.d_model, o.bias)
    self.norm1, self.norm2 = nn.LayerNorm(o.d_model, norm), nn.LayerNorm(o.d_model, norm)
    self.dropout1, self.dropout2 = nn.Dropout(o.dropout), nn.Dropout(o.dropout)
  end

  local function attend(self, x, options)
    local out = self.self_attn(x, x, x, options)
    return self.dropout1(out)
  end

  local function feed_forward(self, x)
    local linear = self.linear1
    local fused = self.relu and nn.class_of(linear) == nn.Linear and not nn.is_tapped(linear)  -- both in one operator
    local hidden = fused and linear(x, true) or self.activation(linear(x))
    return self.dropout2(self.linear2(self.dropout(hidden)))
  end

  local ENCODE = { src_mask = check.tensor, src_key_padding_mask = check.tensor, is_causal = check.boolean }

  function EncoderLayer:forward(x, options)
    local o = check.options("TransformerEncoderLayer", options, ENCODE)
    local masks = { attn_mask = o.src_mask, key_padding_mask = o.src_key_padding_mask, is_causal = o.is_causal }
    if self.norm_first then
      x = x + attend(self, self.norm1(x), masks)
      return x + feed_forward(self, self.norm2(x))
    end
    x = self.norm1(x + attend(self, x, masks))
    return self.norm2(x + feed_forward(self, x))
  end

  --- nn.TransformerEncoder(layer, num_layers, norm): copies of a layer, which start equal as in PyTorch, then the norm.
  --- nn.TransformerEncoder({ layer, … }, norm): the layers as they are.
  --- encoder(x, { mask =, src_key_padding_mask =, is_causal = })
  local Encoder = nn.class("TransformerEncoder")
  nn.TransformerEncoder = Encoder

  function Encoder:init(layer, num_layers, norm)
    local layers = layer
    if nn.is_module(layer) then
      check.value("TransformerEncoder", "num_layers", num_layers, size1)
      layers = {}
      for i = 1, num_layers do layers[i] = layer:clone() end
    elseif type(layer) == "table" and nn.is_module(layer[1]) then
      norm = num_layers
    else
      check.fail("TransformerEncoder", "layer: expected a TransformerEncoderLayer; got %s", check.describe(layer))
    end
    self.layers = nn.ModuleList(layers)
    if norm then self.norm = norm end
  end

  function Encoder:forward(x, options)
    local o = check.options("TransformerEncoder", options,
      { mask = check.tensor, src_key_padding_mask = check.tensor, is_causal = check.boolean })
    local masks = { src_mask = o.mask, src_key_padding_mask = o.src_key_padding_mask, is_causal = o.is_causal }
    for _, layer in self.layers:each() do x = layer(x, masks) end
    return self.norm and self.norm(x) or x
  end
end
