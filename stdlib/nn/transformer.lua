--- A whole transformer in one line: embeddings, an encoder, a head.
local check = require "gradus.base.check"
local engine = require "gradus.engine"

local ops = engine.ops
local size1 = check.int(1)

local RULES = { vocabulary = size1, inputs = size1, context = size1, width = size1, layers = size1, heads = size1,
  feedforward = size1, outputs = size1, pool = check.choice("none", "mean", "first", "last"), causal = check.boolean,
  norm_first = check.boolean, activation = check.choice("relu", "gelu"), dropout = check.number(0, 1), tie = check.boolean,
  pad_token = check.int(0) }
local DEFAULTS = { causal = false, norm_first = true, activation = "gelu", dropout = 0, pool = "none", tie = false }

-- One position of each row, by its place [N].
local function at(h, places) return h:gather(1, places:reshape(-1, 1, 1):expand(-1, 1, h:size(-1))):squeeze(1) end

-- One vector for each row of h [N, L, width]; of the positions that are no padding, where a mask says so (true: padding).
local function pooled(h, pool, mask)
  if not mask then
    if pool == "mean" then return h:mean(1) end
    return h:select(1, pool == "first" and 0 or h:size(1) - 1)
  end
  local kept = mask:logical_not():long()
  if pool == "mean" then return h:masked_fill(mask:unsqueeze(-1), 0):sum(1) / kept:sum(1):clamp_min(1):unsqueeze(-1) end
  local order = ops.arange(1, h:size(1) + 1, { device = h.device })
  return at(h, (kept * (pool == "first" and h:size(1) + 1 - order or order)):argmax(1))
end

return function(nn)
  --- A language model: nn.Transformer { vocabulary = 96, context = 128, width = 64, layers = 2, heads = 4, causal = true }
  --- takes tokens [N, L] (int64) and gives logits [N, L, vocabulary]. A classifier of sequences: outputs = 10,
  --- pool = "mean" ("first", "last") gives [N, 10]. Of real-valued sequences [N, L, F]: inputs = F instead of vocabulary.
  --- pad_token = a token that no position attends to, and that no pool looks at. feedforward = 4 · width; tie = true shares the
  --- token embedding with the head. Taps: "token", "encoder.layers.0", …, "encoder.layers.0.self_attn", "encoder", "head".
  --- (PyTorch's class of this name is an encoder and a decoder.)
  ---@param options {vocabulary: number?, inputs: number?, context: number, width: number, layers: number, heads: number,
  ---   feedforward: number?, outputs: number?, pool: string?, causal: boolean?, norm_first: boolean?, activation: string?,
  ---   dropout: number?, tie: boolean?, pad_token: number?}
  ---   vocabulary: of tokens; inputs: numbers at each position, instead of vocabulary; context: the longest sequence; width: of a position;
  ---   heads: that share the width; feedforward: 4 · width; outputs: of the head, the vocabulary; pool: "none", or "mean", "first",
  ---   "last"; causal: false; norm_first: true; activation: "gelu", or "relu"; dropout: 0; tie: false; pad_token: none
  local Transformer = nn.class("Transformer")
  nn.Transformer = Transformer

  function Transformer:init(options)
    local o = check.options("Transformer", options, RULES, DEFAULTS)
    for _, name in ipairs { "context", "width", "layers", "heads" } do
      if not o[name] then
        check.fail("Transformer", "option '%s' is missing; expected e.g. { vocabulary = 96, context = 128, width = 64, "
          .. "layers = 2, heads = 4 }", name)
      end
    end
    if (o.vocabulary == nil) == (o.inputs == nil) then
      check.fail("Transformer", "expected either vocabulary (tokens) or inputs (features a position)")
    end
    local outputs = o.outputs or o.vocabulary
    if not outputs then check.fail("Transformer", "option 'outputs' is missing; expected the number of outputs") end
    if o.tie and not (o.vocabulary and outputs == o.vocabulary) then
      check.fail("Transformer", "tie = true shares the token embedding with the head; expected outputs = vocabulary")
    end
    if o.pad_token and (o.causal or not o.vocabulary or o.pad_token >= o.vocabulary) then
      check.fail("Transformer", "pad_token = %d: expected a token of the vocabulary, and causal = false", o.pad_token)
    end
    self.context, self.causal, self.pool, self.pad_token = o.context, o.causal, o.pool, o.pad_token
    self.token = o.vocabulary and nn.Embedding(o.vocabulary, o.width) or nn.Linear(o.inputs, o.width)
    self.position = nn.Embedding(o.context, o.width)
    if o.vocabulary then  -- GPT-2's scale; Embedding's N(0, 1) would drown what the layers add (Radford et al. 2019)
      nn.init.normal_(self.token.weight, 0, .02)
    end
    nn.init.normal_(self.position.weight, 0, .02)
    self.dropout = nn.Dropout(o.dropout)
    local layers = {}
    for i = 1, o.layers do
      layers[i] = nn.TransformerEncoderLayer(o.width, o.heads, { dim_feedforward = o.feedforward or 4 * o.width,
        dropout = o.dropout, activation = o.activation, norm_first = o.norm_first })
    end
    self.encoder = nn.TransformerEncoder(layers, o.norm_first and nn.LayerNorm(o.width) or nil)
    self.head = nn.Linear(o.width, outputs, { bias = not o.tie })
    if o.tie then self.head.weight = self.token.weight end
  end

  --- What the head sees: [N, L, width], or [N, width] with a pool. For losses that never hold the logits (loss.linear_kd).
  function Transformer:hidden(x, options)
    local length = x:size(1)
    if length > self.context then
      check.fail("Transformer", "input has %d positions; expected at most context = %d", length, self.context)
    end
    local position = self.position.weight
    if length < self.context then position = position:narrow(0, 0, length) end
    local masks = check.options("Transformer", options, { src_key_padding_mask = check.tensor, mask = check.tensor })
    masks.is_causal = self.causal
    if self.pad_token and not masks.src_key_padding_mask then masks.src_key_padding_mask = x:eq(self.pad_token) end
    local h = self.encoder(self.dropout(self.token(x) + position), masks)
    return self.pool == "none" and h or pooled(h, self.pool, masks.src_key_padding_mask)
  end

  function Transformer:forward(x, options) return self.head(self:hidden(x, options)) end
end
