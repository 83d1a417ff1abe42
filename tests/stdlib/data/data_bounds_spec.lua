-- What options of data sets take, up to the ends of their ranges, and what they are when left out.
local g = require "gradus"
local support = require "support"
local data, cfg = g.data, g.cfg

local function rows(n, classes) return data.tensors(g.zeros(n, 2), g.arange(n):remainder(classes or 2), { classes = classes or 2 }) end

-- One option of a call: values that it takes and that it refuses.
local function expect_range(what, call, takes, refuses)
  it("of " .. what, function()
    for _, value in ipairs(takes) do call(value) end
    for _, value in ipairs(refuses) do
      expect(function() call(value) end):fails_with("'" .. what:match "(%S+)$" .. "': expected")
    end
  end)
end

describe("the range", function()
  local grammar = cfg.cfg3b { root = 10 }
  local function parity(name)
    return function(value)
      local o = { d = 5, k = 1, seed = 3, held_out = 4 }
      o[name] = value
      data.parity(o).val:gather()
    end
  end
  expect_range("parity's d", parity "d", { 1, 65536 }, { 0, 65537, 1.5 })
  expect_range("parity's k", parity "k", { 1, 5 }, { 0, 1.5 })
  expect_range("parity's seed", parity "seed", { 0, 1 }, { -1, .5 })
  expect_range("parity's held_out", parity "held_out", { 1, 2 }, { 0, 1.5 })
  expect_range("parity's epoch", parity "epoch", { 1, 2 }, { 0, 1.5 })
  expect_range("parity's tokens", parity "tokens", { true, false }, { 0 })

  local function mislabel(name)
    return function(value) rows(4):mislabel(name == "share" and value or .5, name ~= "share" and { [name] = value } or nil) end
  end
  expect_range("mislabel's share", mislabel "share", { 0, 1 }, { -.1, 1.1 })
  expect_range("mislabel's seed", mislabel "seed", { 0, 1 }, { -1, .5 })
  expect_range("mislabel's pairs", mislabel "pairs", { true, false }, { 1 })

  local function sentences(name)
    return function(value)
      local o = { grammar = grammar, seed = 3, held_out = 4 }
      o[name] = value
      data.sentences(o).val:gather()
    end
  end
  expect_range("sentences' mask", sentences "mask", { .01, 1 }, { -.1, 1.1 })
  expect_range("sentences' seed", sentences "seed", { 0, 1 }, { -1 })
  expect_range("sentences' held_out", sentences "held_out", { 1 }, { 0, 1.5 })
  expect_range("sentences' epoch", sentences "epoch", { 1 }, { 0, 1.5 })

  support.with_file(("a b c d e f g h\n"):rep(40), function(path)
    local tokens = g.tokenizer.train(path, { vocabulary = 20 })
    local function text(name)
      return function(value)
        support.with_file(("a b c d e f g h\n"):rep(40), function(again)
          local o = { tokenizer = tokens, length = 8, seed = 3 }
          o[name] = value
          data.text(again, o)
        end)
      end
    end
    expect_range("text's length", text "length", { 2, 3 }, { 1, 2.5 })
    expect_range("text's mask", text "mask", { .01, 1 }, { -.1, 1.1 })
    expect_range("text's seed", text "seed", { 0, 1 }, { -1 })
    expect_range("text's vocabulary", function(value)
      support.with_file(("a\n"):rep(40), function(again) data.text(again, { vocabulary = value, length = 2 }) end)
    end, {}, { 5, 6.5 })
  end)

  expect_range("cfg3b's root", function(value) cfg.cfg3b { root = value } end, { 7, 22 }, { 6, 23, 7.5 })
  local function sample(name)
    return function(value)
      local o = { seed = 1, first = 0, size = 1 }
      o[name] = value
      cfg.sample(grammar, o)
    end
  end
  expect_range("sample's seed", sample "seed", { 0 }, { -1, .5 })
  expect_range("sample's first", sample "first", { 0 }, { -1, .5 })
  expect_range("shuffled's seed", function(value) rows(4):shuffled(value) end, { 0, 1 }, { -1, .5 })
  expect_range("each's size", function(value) rows(4):each(value, function() end) end, { 1, 2 }, { 0, 1.5 })
  expect_range("take's n", function(value)
    data.generator(function(size) return g.zeros(size, 2), g.rand(size) end, { epoch = 1 }):take(value)
  end, { 1, 2 }, { 0, 1.5 })
  expect_range("a generator's classes", function(value)
    data.generator(function() end, { epoch = 1, labels = "classes", classes = value })
  end, { 1, 2 }, { 0, 1.5 })

  it("of an epoch of a generator begins at 1", function()
    local function make(epoch) return data.generator(function() end, { epoch = epoch }) end
    expect(make(1):size()):equals(1)
    for _, bad in ipairs { .5, 2.5, 0 / 0, 1 / 0 } do
      expect(function() make(bad) end):fails_with "epoch: expected how many samples count as one"
    end
    expect(function() make "1" end):fails_with "epoch: expected how many samples count as one"
  end)
  it("of classes that can be mistaken begins at two", function()
    expect(rows(4, 2):mislabel(1, { seed = 0 }):gather() ~= nil):is_true()
    local one = data.tensors(g.zeros(2, 2), g.zeros({ 2 }, { dtype = "int64" }), { classes = 1 })
    expect(function() one:mislabel(1) end):fails_with "one class cannot be mistaken for another; expected 2 or more"
  end)
end)

describe("what is left out", function()
  it("of parity is 4096 rows held out, an epoch of 10000, and signs", function()
    local d = data.parity { d = 5, k = 2, seed = 1 }
    expect({ d.val:size(), d.train:size(), d.val.base.x.dtype, d.val.name }):equals { 4096, 10000, "float32", "parity d=5 k=2" }
    expect({ d.train.seekable, d.train.classes, d.val.classes }):equals { true, 2, 2 }
  end)
  it("of sentences is a mask of three in ten, 512 held out, an epoch of 10000", function()
    local d = data.sentences { grammar = cfg.cfg3b { root = 10 }, seed = 1 }
    expect({ d.val.base.masking.rate, d.val:size(), d.train:size() }):equals { .3, 512, 10000 }
    expect({ d.val.base.masking.low, d.val.base.masking.high, d.val.base.masking.mask, d.val.name }):equals { 0, 3, 6, "sentences" }
  end)
  it("of a text is blocks of 64, a mask of .15 and seed 0", function()
    support.with_file(("a b c d e f g h i j\n"):rep(60), function(path)
      local d = data.text(path, { vocabulary = 20 })
      local m = d.base.masking
      expect({ d.length, m.rate, m.seed, m.mask, m.low, m.high }):equals { 64, .15, 0, 4, 5, d.vocabulary }
      expect({ d.labels.kind, d.labels.width, d.name }):equals { "tokens", 64, path }
    end)
  end)
  it("of a grammar to learn is refused with the way", function()
    for _, given in ipairs { 5, cfg.cfg3b(), {} } do
      expect(function() data.sentences(given) end):fails_with "data.sentences: expected"
    end
    expect(function() data.sentences(cfg.cfg3b()) end):fails_with "expected { grammar = cfg.cfg3b() }; got a grammar"
    expect(function() data.sentences { grammar = cfg.cfg3b(), mask = 0 } end):fails_with "mask = 0 leaves nothing to learn"
    expect(function() data.text("x.txt", "y") end):fails_with [[expected data.text("corpus.txt", { vocabulary = 1000 }); got 'y']]
    expect(function() data.text(5, {}) end):fails_with "got 5"
    expect(function() data.text("x.txt", { vocabulary = 9, tokenizer = 1 }) end):fails_with "expected either a tokenizer or vocabulary"
    expect(function() data.parity() end):fails_with "data.parity: expected { d = 50, k = 5 }; got nil"
  end)
end)
