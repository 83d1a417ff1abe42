--- Data for masked language modelling (Devlin et al. 2019): rows of tokens [N, L]. A batch's x has some of them hidden
--- (80 % behind the mask, 10 % behind another token, 10 % not at all: runtime/ops/mask.h), its y the true token where one was
--- chosen and -100, which no loss counts, elsewhere. What is hidden depends on (seed, row, visit) alone; of rows that a
--- model is tested on it is always the same.
---   data.text("corpus.txt", { vocabulary = 1000, length = 64 }):split { train = .9, val = .1 }
---   data.sentences { grammar = cfg.cfg3b(), mask = .3 }           fresh sentences without end, and held-out ones
local engine = require "gradus.engine"
local check = require "gradus.base.check"
local cfg = require "gradus.data.cfg"
local current = require "gradus.base.current"
local data = require "gradus.data.dataset"
local tokenizer = require "gradus.data.tokenizer"

local ops, files = engine.ops, engine.data
local tokens = {}

-- A data set of rows of tokens; masking = { rate, mask, low, high, seed }, see runtime/ops/mask.h.
local function to_be_masked(x, masking, classes, name, pad_token)
  local base = data.tensors(x, nil, { name = name }).base
  base.masking, base.classes, base.pad_token = masking, classes, pad_token
  base.labels = { kind = "tokens", classes = classes, width = x:size(1) }
  return data.of_base(base)
end

--- A text file in UTF-8 as blocks of `length` tokens, one after the other; what is left over is dropped. The tokenizer is
--- given, or learnt from the file: fewer tokens than asked for where the text does not give as many. d.vocabulary is how many there are.
---@param path string
---@param options {length: number?, mask: number?, tokenizer: any, vocabulary: number?, model: string?, seed: number?}
---   length: 64; mask: .15, the share of tokens that are chosen; seed: of the masks that a model is tested with, 0
---@return Dataset
---@return any tokenizer
function tokens.text(path, options)
  if type(path) ~= "string" or type(options) ~= "table" then
    check.fail("data.text", 'expected data.text("corpus.txt", { vocabulary = 1000 }); got %s',
      check.describe(type(path) == "string" and options or path))
  end
  local o = check.options("data.text", options, { length = check.int(2), mask = check.number(0, 1), tokenizer = check.any,
    vocabulary = check.int(6), model = check.string, seed = check.int(0) }, { length = 64, mask = .15, seed = 0 })
  if (o.tokenizer == nil) == (o.vocabulary == nil) then
    check.fail("data.text", "expected either a tokenizer or vocabulary, the number of tokens to learn")
  end
  if o.mask == 0 then check.fail("data.text", "mask = 0 leaves nothing to learn; expected a share above 0") end
  local t = o.tokenizer or tokenizer.train(path, { vocabulary = o.vocabulary, model = o.model })
  local stream = t:encode(files.read_text(path))
  local rows = math.floor(stream:numel() / o.length)
  if rows == 0 then check.fail("data.text", "%s: %d tokens; expected at least length = %d", path, stream:numel(), o.length) end
  local x = stream:slice(0, 0, rows * o.length):reshape { rows, o.length }
  local d = to_be_masked(x, { rate = o.mask, mask = tokenizer.mask, low = tokenizer.first, high = t:size(), seed = o.seed }, t:size(), path)
  current.reads(data.content(d.base))
  return d, t
end

--- Sentences of a grammar, each as its tokens (cfg.encode): parts train, fresh ones without end, and val, which train never
--- makes; and vocabulary, length, pad_token: what nn.Transformer wants to know.
---@param options {grammar: Grammar, mask: number?, seed: number?, held_out: number?, epoch: number?}
---   mask: .3, the published share; seed: the run's "data" stream; held_out: 512 sentences; epoch: 10000 samples count as one
function tokens.sentences(options)
  if type(options) ~= "table" or options.rules then
    check.fail("data.sentences", "expected { grammar = cfg.cfg3b() }; got %s",
      type(options) == "table" and "a grammar" or check.describe(options))
  end
  local o = check.options("data.sentences", options, { grammar = check.table, mask = check.number(0, 1), seed = check.int(0),
    held_out = check.int(1), epoch = check.int(1) }, { mask = .3, held_out = 512, epoch = 10000 })
  if not o.grammar then check.fail("data.sentences", "expected a grammar, such as cfg.cfg3b()") end
  if o.mask == 0 then check.fail("data.sentences", "mask = 0 leaves nothing to learn; expected a share above 0") end
  local alphabet = cfg.alphabet(o.grammar)
  local seed = o.seed or current.stream "data"
  local masking = { rate = o.mask, mask = alphabet.mask, low = 0, high = alphabet.terminals, seed = files.derive_seed(seed, "masks") }
  local train, val = files.derive_seed(seed, "sentences"), files.derive_seed(seed, "sentences held out")
  local function samples(stream, first, size)
    return cfg.encode(alphabet, cfg.sample(o.grammar, { seed = stream, first = first, size = size }))
  end
  return { vocabulary = alphabet.size, length = alphabet.length, pad_token = alphabet.pad,
    train = data.generator(function(size, _, first)
      local index = ops.arange(first, first + size)
      return files.mask(samples(train, first, size), index, ops.zeros({ size }, { dtype = "int32" }), masking)
    end, { epoch = o.epoch, labels = "tokens", classes = alphabet.size }),
    val = to_be_masked(samples(val, 0, o.held_out), masking, alphabet.size, "sentences", alphabet.pad) }
end

return tokens
