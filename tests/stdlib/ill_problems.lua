--- The problems of ills.lua: data of each kind of labels, a teacher, and students of any width.
local g = require "gradus"
local nn, score = g.nn, g.score

local problems = {}

-- Points in eight dimensions, as a random network of so many outputs sees them.
local function seen_by_network(seed, outputs)
  local generator = g.generator(1000 + seed)
  local x = g.randn({ 1200, 8 }, { generator = generator })
  local h = x:matmul(g.randn({ 8, 12 }, { generator = generator })):relu()
  local y = h:matmul(g.randn({ 12, outputs }, { generator = generator }))
  return x, y - y:mean { dim = { 0 } }, generator
end

local function blobs(seed)
  local x, y = seen_by_network(seed, 4)
  return g.data.tensors(x, y:argmax(1), { classes = 4 })
end

local function numbers(seed)
  local x, y, generator = seen_by_network(seed, 1)
  y = y / y:std()
  return g.data.tensors(x, (y + .1 * g.randn({ 1200, 1 }, { generator = generator })):squeeze(1), { labels = "numbers" })
end

local function multilabel(seed)
  local x, y = seen_by_network(seed, 4)
  return g.data.tensors(x, y:gt(0):float(), { labels = "multilabel" })
end

local function soft(seed)
  local x, y = seen_by_network(seed, 4)
  return g.data.tensors(x, (2 * y / y:std()):softmax(-1), { labels = "soft" })
end

-- Sentences of a subject, a verb that goes with it and an object, as many as fill a small file.
local function text(seed)
  local generator, lines = g.generator(2000 + seed), {}
  local words = { { "dog", "cat", "bird", "fish" }, { "sees", "hears", "likes", "fears" }, { "red", "blue", "old", "small" } }
  local drawn = (g.rand({ 600, 4 }, { generator = generator }) * 4):floor():totable()
  for i, row in ipairs(drawn) do
    local subject, other = words[1][row[1] + 1], words[1][row[2] + 1]
    lines[i] = ("the %s %s %s the %s %s ."):format(words[3][row[3] + 1], subject, words[2][(row[1] + row[3]) % 4 + 1],
      words[3][row[4] + 1], other)
  end
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(table.concat(lines, "\n"))
  file:close()
  local d = g.data.text(path, { vocabulary = 64, length = 16, mask = .3 })
  os.remove(path)
  return d
end

local function mlp(inputs, outputs, norm)
  return function(width) return nn.MLP { inputs, width, outputs, norm = norm } end
end

local function encoder(width)
  return nn.Transformer { vocabulary = 64, context = 16, width = width, layers = 1, heads = width % 4 == 0 and 4 or 1 }
end

-- make; student(width); the width that is enough, and the teacher's; lr of AdamW that is good; epochs.
local PROBLEMS = {
  digits = { make = function() return g.data.digits() end, student = mlp(64, 10), shift = 1 },
  blobs = { make = blobs, student = mlp(8, 4) },
  numbers = { make = numbers, student = mlp(8, 1) },
  multilabel = { make = multilabel, student = mlp(8, 4) },
  soft = { make = soft, student = mlp(8, 4) },
  batch_norm = { make = function() return g.data.digits() end, student = mlp(64, 10, "batch"), shift = 1 },
  text = { make = text, student = encoder, width = 16, teacher = 32, augments = false, batch = 16 },
}

--- What a case is given: run, d (train, val), teacher, ranked, student(width), and the width that is enough.
---@param run Run
---@param name string  a problem's
---@param seed number
---@param wrong number  share of wrong labels in the training set
function problems.make(run, name, seed, wrong)
  local of = PROBLEMS[name]
  local d = of.make(seed):split({ train = .5, val = .2, test = .3 }, { seed = seed })
  local train = wrong > 0 and d.train:mislabel(wrong, { seed = seed }) or d.train
  local noise = of.augments ~= false and { noise = .1 } or nil
  local teacher = run:fit { model = of.student(of.teacher or 128), data = train, epochs = 30, lr = 3e-3, augmentations = noise,
    augment = noise and 1 or nil, batch = of.batch }
  local found = run:evaluate(teacher, d.val)
  return { run = run, name = name, d = { train = train, val = d.val }, teacher = teacher,
    teacher_acc = found.acc, teacher_loss = found.loss,
    ranked = train:rank(score.loss(teacher)), student = of.student, width = of.width or 24, batch = of.batch,
    augments = of.augments ~= false, augmentations = of.augments ~= false and { noise = .3, shift = of.shift } or nil }
end

return problems
