-- Masked language modelling: texts and sentences as tokens, what is hidden of them, and what a loss counts.
local g = require "gradus"
local engine = require "gradus.engine"
local a_run = require "a_run"
local current = require "gradus.base.current"
local feed = require "gradus.training.feed"
local sampler = require "gradus.curriculum.sampler"
local support = require "support"
local cfg, nn = g.cfg, g.nn

local WORDS = { "student", "teacher", "learns", "slowly", "from", "the", "easy", "examples", "harder", "later", "and", "forgets" }

-- A file of a few thousand words, gone when fn returns.
local function with_text(fn, text)
  local lines = {}
  for i = 1, 300 do
    local words = {}
    for k = 1, 8 do words[k] = WORDS[(i * 5 + k * (i % 7 + 1)) % #WORDS + 1] end
    lines[i] = table.concat(words, " ") .. (i % 10 == 0 and ".\n" or ".")
  end
  support.with_file(text or table.concat(lines, "\n"), fn)
end

before_each(function()
  current.run = { seed = 7 }
  sampler.numbered(0)
end)

describe("data.text", function()
  it("is blocks of the text's tokens, one after the other", function()
    with_text(function(path)
      local d, t = g.data.text(path, { vocabulary = 36, length = 16 })
      expect(d.base.x.shape[2]):equals(16)
      expect(d.classes):equals(36)
      local stream = t:encode(io.open(path):read "*a")
      expect(d:size()):equals(math.floor(stream:numel() / 16))
      expect(d.base.x:flatten():equal(stream:slice(0, 0, d:size() * 16))):is_true()
      expect(t:decode(d.base.x[0])):matches "^%a+ %a+"
      local again = g.data.text(path, { tokenizer = t, length = 16 })
      expect(again:fingerprint()):equals(d:fingerprint())
      expect(g.data.text(path, { tokenizer = t, length = 16, mask = .2 }):fingerprint()):differs_from(d:fingerprint())
    end)
  end)
  it("tests on the same masks, and trains on new ones at each visit", function()
    with_text(function(path)
      local d = g.data.text(path, { vocabulary = 36, length = 16, mask = .3 })
      local x, y = d:gather()
      expect(d:subset(g.tensor({ 3 }, "int64")):gather():equal(x:slice(0, 3, 4))):is_true()
      local seen = 0
      d:each(50, function(part, labels, index)
        expect(part:equal(x:index_select(0, index))):is_true()
        expect(labels:equal(y:index_select(0, index))):is_true()
        seen = seen + part:size(0)
      end)
      expect(seen):equals(d:size())
      local few = d:first(20)
      local function rows(size)
        sampler.numbered(0)
        local one, out = feed.new { source = sampler.uniform(few), size = size, augmentations = {} }, {}
        for _ = 1, 40 / size do
          local b = one:next(0)
          expect(b.x:ne(d.base.x:index_select(0, b.index)):logical_and(b.y:eq(-100)):any():item()):is_false()
          local index, visit = b.index:totable(), b.visit:totable()
          for i, row in ipairs(index) do out[row .. "/" .. visit[i]] = b.x[i - 1]:hash() .. b.y[i - 1]:hash() end
        end
        return out
      end
      local one = rows(10)
      expect(rows(20)):equals(one)  -- whatever is drawn around it
      local moved = 0
      for row = 0, 19 do
        if one[row .. "/0"] ~= one[row .. "/1"] then moved = moved + 1 end
      end
      expect(moved >= 19):is_true()
    end)
  end)
  it("refuses what gives no blocks", function()
    expect(function() g.data.text("/none.txt", { vocabulary = 36 }) end):fails_with "/none.txt"
    with_text(function(path)
      expect(function() g.data.text(path, { vocabulary = 36 }) end)
        :fails_with "is no text; expected a text file in UTF-8; got 0xE9 at byte 3"
    end, "caf\233 noir\n")
    expect(function() g.data.text("/none.txt", {}) end):fails_with "either a tokenizer or vocabulary"
    expect(function() g.data.text("/none.txt", { vocabulary = 36, lenght = 3 }) end):fails_with "did you mean 'length'?"
    with_text(function(path)
      expect(function() g.data.text(path, { vocabulary = 36, length = 1000000 }) end):fails_with "expected at least length = 1000000"
      expect(function() g.data.text(path, { vocabulary = 36, mask = 0 }) end):fails_with "leaves nothing to learn"
      local most, warned
      local _, seen = support.with_run({}, function() most = g.data.text(path, { vocabulary = 5000 }) end)
      for _, one in ipairs(seen.warnings) do warned = one.detail.text end
      expect(most.vocabulary < 5000 and most.vocabulary > 36):is_true()
      expect(warned):matches(("the text gives %d tokens, not 5000"):format(most.vocabulary))
      expect(g.tokenizer.train(path, { vocabulary = most.vocabulary }):size()):equals(most.vocabulary)
      local d = g.data.text(path, { vocabulary = 36 })
      expect(function() g.data.concat(d, d) end):fails_with "holds tokens to be masked"
    end)
    with_text(function(path)
      expect(function() g.data.text(path, { vocabulary = 36 }) end):fails_with "holds no text"
    end, "\n")
  end)
end)

describe("data.sentences", function()
  local grammar = cfg.cfg3b { root = 13 }
  it("is fresh sentences, and others held out", function()
    local d = g.data.sentences { grammar = grammar, held_out = 50, seed = 3 }
    local first, second = d.train:next(8), d.train:next(8)
    expect(first.x.shape):equals { 8, d.length }
    expect(first.x:equal(second.x)):is_false()
    expect({ d.vocabulary, d.pad_token, d.val:size(), d.val.classes, d.train.classes }):equals { 8, 5, 50, 8, 8 }
    local few = d.val:first(.5)
    expect({ few.vocabulary, few.length, few.pad_token, few.labels.kind }):equals { 8, d.length, 5, "tokens" }
    local masked = g.where(first.y:ge(0), first.y, first.x)  -- the sentence again
    local sentence = {}
    for _, token in ipairs(masked[0]:totable()) do
      if token < 3 then sentence[#sentence + 1] = token + 1 end
    end
    expect(cfg.derives(grammar, sentence)):is_true()
    expect(masked:select(1, 0):eq(3):all():item()):is_true()
    local again = g.data.sentences { grammar = grammar, held_out = 50, seed = 3 }
    local long = g.data.sentences { grammar = cfg.cfg3b { root = 16 }, held_out = 8, seed = 3 }  -- long enough to be all different
    local trained = long.train:next(64)
    trained = g.where(trained.y:ge(0), trained.y, trained.x)
    for i = 0, 7 do expect(trained:eq(long.val.base.x[i]):all { dim = 1 }:any():item()):is_false() end
    expect(again.train:next(16).x:equal(g.cat({ first.x, second.x }, 0))):is_true()  -- whatever the batch's size
  end)
  it("hides terminals alone, three in ten", function()
    local d = g.data.sentences { grammar = grammar, held_out = 2000, seed = 3 }
    local _, y = d.val:gather()
    local terminals = d.val.base.x:lt(3)
    local share = y:ge(0):sum():item() / terminals:sum():item()
    expect(share):near(.3, 5 * math.sqrt(.21 / terminals:sum():item()))
    expect(y:ge(0):logical_and(terminals:logical_not()):any():item()):is_false()
  end)
end)

describe("what a loss counts of tokens", function()
  it("is the hidden positions, in training and evaluation", function()
    local d = g.data.sentences { grammar = cfg.cfg3b { root = 13 }, held_out = 40, seed = 1 }
    local x, y = d.val:gather()
    local logits = g.randn({ 40, d.length, 8 }, { generator = g.generator(1) })
    logits:requires_grad_(true)
    local out = g.kd_loss(logits, nil, y)
    local gradient = engine.grad(out.loss, { logits })[1]
    expect(gradient:abs():sum(-1):gt(0):equal(y:ge(0))):is_true()
    local rows = y:flatten():ge(0):nonzero():flatten()
    local wanted = g.cross_entropy_loss(logits:flatten(0, 1):index_select(0, rows), y:flatten():index_select(0, rows)):item()
    expect(out.loss:item()):near(wanted, 1e-5)

    local Fixed = nn.class "Fixed"
    function Fixed:init() self.at = 0 end
    function Fixed:forward(tokens)  -- the rows of a chunk are found by their tokens
      local at = self.at
      self.at = at + tokens:size(0)
      return logits:detach():slice(0, at, at + tokens:size(0))
    end
    local teacher = logits:detach():argmax(-1):roll({ 1 }, { 0 })
    local result = require("gradus.training.task").evaluate(Fixed(), d.val, teacher)
    local guess = logits:detach():argmax(-1):flatten():index_select(0, rows)
    expect(result.n):equals(rows:numel())
    expect(result.loss):near(wanted, 1e-5)
    expect(result.acc):near(guess:eq(y:flatten():index_select(0, rows)):sum():item() / rows:numel(), 1e-12)
    expect(result.agreement):near(guess:eq(teacher:flatten():index_select(0, rows)):sum():item() / rows:numel(), 1e-12)
    expect(x.shape):equals { 40, d.length }
  end)
end)

describe("a transformer with padding", function()
  local function bert(width, layers)
    return nn.Transformer { vocabulary = 8, context = 24, width = width, layers = layers, heads = 2, pad_token = 5 }
  end
  it("attends to no padding", function()
    local net = bert(16, 2):eval()
    local x = g.randint(0, 3, { 2, 24 }, { generator = g.generator(4) })
    x:slice(1, 20, 24):fill_(5)
    local whole, cut = net(x), net(x:slice(1, 0, 20))
    expect(whole:slice(1, 0, 20):allclose(cut, { atol = 1e-5 })):is_true()
    net.pad_token = nil
    expect(net(x):slice(1, 0, 20):allclose(cut, { atol = 1e-5 })):is_false()
    expect(function() nn.Transformer { vocabulary = 8, context = 24, width = 16, layers = 1, heads = 2, pad_token = 8 } end)
      :fails_with "expected a token of the vocabulary"
  end)
  it("is aligned with a teacher's layer where there is no padding", function()
    local teacher, student = bert(16, 2), bert(8, 2)
    local goal = g.target.layer { teacher = teacher, from = "encoder.layers.0", to = "encoder.layers.0", seed = 1 }
    local x = g.randint(0, 3, { 6, 24 }, { generator = g.generator(4) })
    x:slice(1, 15, 24):fill_(5)
    goal.prepare(student, function() return x end)
    local wanted, ours = goal.of(x):slice(1, 0, 15), g.no_grad(goal.student, student, x):slice(1, 0, 15)
    expect(goal.loss(student, { x = x, teacher = goal.of(x) }):item()):near(g.loss.mse(ours, wanted):item(), 1e-5)
    expect(wanted:flatten(0, 1):std { dim = { 0 }, correction = 0 }:totable()):near({ 1, 1, 1, 1, 1, 1, 1, 1 }, 1e-4)
  end)
end)

describe("distillation of tokens", function()
  it("learns, replayed, in every stage of extraction", function()
    a_run(function(run, events)
      local d = g.data.sentences { grammar = cfg.cfg3b { root = 10 }, held_out = 100, seed = 1 }
      local function bert(width)
        return nn.Transformer { vocabulary = d.vocabulary, context = d.length, width = width, layers = 2, heads = width / 8,
          pad_token = d.pad_token }
      end
      local teacher = run:fit { model = bert(32), data = d, steps = 60, batch = 32, lr = 3e-3, evaluate = { steps = 30 } }
      local r = run:distill { teacher = teacher, student = bert(16), data = d, alpha = 0, temperature = 1, lr = 3e-3, batch = 32,
        budget = { steps = 60 }, evaluate = { steps = 10 }, restore_best = false,
        curriculum = g.curriculum.extraction { teacher = teacher,
          layers = { { from = "encoder.layers.0", to = "encoder.layers.0", steps = 20 } } } }
      local history = r:history "val/loss"
      expect(history[#history] < history[1]):is_true()
      for _, event in ipairs(events()) do expect(event.kind):differs_from "warning" end
    end)
  end)
end)
