-- Weights after 20 steps beside those of a loop written by hand: every kind of labels, with and without teacher, weights and smoothing,
-- by every built-in term, whole and in parts, with the teacher's answers asked and cached.
local g = require "gradus"
local plain = require "plain_loop"
local support = require "support"
local x, onehot, soft, numbers, weight = plain.x, plain.onehot, plain.soft, plain.numbers, plain.weight
local ce, kl, mean = plain.ce, plain.kl, plain.mean

local several = x:slice(1, 0, 3):gt(0)
local of_several = several:float()
local columns = g.cat({ numbers:unsqueeze(1), -numbers:unsqueeze(1) }, 1)
local hidden = plain.classes:clone()
hidden:slice(0, 0, 20):fill_(-100)
local known = hidden:ge(0):float()

local teacher, of_one, of_two = plain.net(3, 7), plain.net(1, 7), plain.net(2, 7)
local said, said_one, said_two
g.no_grad(function() said, said_one, said_two = teacher(x), of_one(x):squeeze(-1), of_two(x) end)

local function data(y, options) return g.data.tensors(x, y, options) end
local function classes(more)
  local options = { classes = 3 }
  for name, value in pairs(more or {}) do options[name] = value end
  return data(plain.classes, options)
end
local function smoothed(p) return p * .9 + .1 / 3 end
local function square(a, b) return (a - b):square() end
local function one(m) return m(x):squeeze(-1) end

-- name, what distill is given (functions make it anew), the loss of the plain loop, outputs of the student
local cases = {
  { "classes", { data = classes() }, function(m) return mean(ce(m(x), onehot)) end },
  { "classes, weights", { data = classes { weight = weight } }, function(m) return mean(ce(m(x), onehot), weight) end },
  { "classes, smoothing", { data = classes(), label_smoothing = .1 }, function(m) return mean(ce(m(x), smoothed(onehot))) end },
  { "classes, smoothing, weights", { data = classes { weight = weight }, label_smoothing = .1 },
    function(m) return mean(ce(m(x), smoothed(onehot)), weight) end },
  { "classes, teacher", { data = classes(), teacher = teacher, alpha = .3, temperature = 2 },
    function(m) local z = m(x) return .3 * mean(ce(z, onehot)) + .7 * mean(kl(z, said, 2)) end },
  { "classes, teacher, weights, smoothing", { data = classes { weight = weight }, teacher = teacher, alpha = .3, temperature = 2,
    label_smoothing = .1 }, function(m) local z = m(x) return mean(.3 * ce(z, smoothed(onehot)) + .7 * kl(z, said, 2), weight) end },
  { "a teacher's own temperature", { data = classes(), teacher = teacher, alpha = .3, temperature = 2, teacher_temperature = 5 },
    function(m) local z = m(x) return .3 * mean(ce(z, onehot)) + .7 * mean(kl(z, said, 2, 5)) end },
  { "without T²", { data = classes(), teacher = teacher, alpha = .3, temperature = 2, t2 = false },
    function(m) local z = m(x) return .3 * mean(ce(z, onehot)) + .7 / 4 * mean(kl(z, said, 2)) end },
  { "two teachers", { data = classes(), teacher = { { teacher, 1 }, { plain.net(3, 8), 3 } }, alpha = 0, temperature = 2 },
    function(m)
      local both = g.no_grad(function() return said * .25 + plain.net(3, 8)(x) * .75 end)
      return mean(kl(m(x), both, 2))
    end },
  { "two teachers, a term that asks the first for a layer", { data = classes(), teacher = { { teacher, 1 }, { plain.net(3, 8), 3 } },
    temperature = 2, losses = { kl = 1, bias = { teacher = { "layers.0" }, loss = function(_, out)
      return (out.logits * out.teacher["layers.0"]:slice(1, 0, 3)):mean()
    end } } },
    function(m)
      local both, layer = g.no_grad(function()
        return said * .25 + plain.net(3, 8)(x) * .75, select(2, teacher:forward_taps(x, { "layers.0" }))["layers.0"]:slice(1, 0, 3)
      end)
      return mean(kl(m(x), both, 2)) + (m(x) * layer):mean()
    end, asks = true },
  { "distributions", { data = data(soft) }, function(m) return mean(ce(m(x), soft)) end },
  { "one-hot", { data = data(onehot) }, function(m) return mean(ce(m(x), onehot)) end },
  { "distributions, teacher, weights, smoothing", { data = data(soft, { weight = weight }), teacher = teacher, alpha = .3, temperature = 2,
    label_smoothing = .1 }, function(m) local z = m(x) return mean(.3 * ce(z, smoothed(soft)) + .7 * kl(z, said, 2), weight) end },
  { "several labels", { data = data(several) }, function(m) return mean(plain.bce(m(x), of_several):mean(-1)) end },
  { "several labels, teacher, weights", { data = data(several, { weight = weight }), teacher = teacher, alpha = .3, temperature = 2 },
    function(m)
      local z = m(x)
      return mean(.3 * plain.bce(z, of_several):mean(-1) + .7 * plain.binary_kl(z, said, 2), weight)
    end },
  { "numbers", { data = data(numbers) }, function(m) return mean(square(one(m), numbers)) end, 1 },
  { "numbers, weights", { data = data(numbers, { weight = weight }) }, function(m) return mean(square(one(m), numbers), weight) end, 1 },
  { "numbers in a column", { data = data(numbers:unsqueeze(1)) }, function(m) return mean(square(one(m), numbers)) end, 1 },
  { "numbers, teacher, weights", { data = data(numbers, { weight = weight }), teacher = of_one, alpha = .3 },
    function(m) local z = one(m) return mean(.3 * square(z, numbers) + .7 * square(z, said_one), weight) end, 1 },
  { "numbers in two columns, teacher, weights", { data = data(columns, { weight = weight }), teacher = of_two, alpha = .3 },
    function(m) local z = m(x) return mean((.3 * square(z, columns) + .7 * square(z, said_two)):mean(-1), weight) end, 2 },
  { "rows without a label, teacher", { data = data(hidden, { classes = 3 }), teacher = teacher, alpha = .3, temperature = 2 },
    function(m)
      local z = m(x)
      return mean(.3 * known * ce(z, onehot) + (1 - .3 * known) * kl(z, said, 2))
    end },
  { "rows without a label", { data = data(hidden, { classes = 3 }) }, function(m) return mean(ce(m(x), onehot), known) end },
  { "rows without a label, weights", { data = data(hidden, { classes = 3, weight = weight }) },
    function(m) return mean(ce(m(x), onehot), known * weight) end },
  { "no labels", { data = data(nil), teacher = teacher, temperature = 2 }, function(m) return mean(kl(m(x), said, 2)) end },
  { "no labels, answers are several labels", { data = data(nil, { answers = "multilabel" }), teacher = teacher, temperature = 2 },
    function(m) return mean(plain.binary_kl(m(x), said, 2):mean(-1)) end },
  { "no labels, answers are numbers, weights", { data = data(nil, { answers = "numbers", weight = weight }), teacher = of_two },
    function(m) return mean(square(m(x), said_two):mean(-1), weight) end, 2 },
  { "no labels, weights", { data = data(nil, { weight = weight }), teacher = teacher, temperature = 2 },
    function(m) return mean(kl(m(x), said, 2), weight) end },
}
for _, name in ipairs { "kl", "reverse_kl", "jsd" } do
  cases[#cases + 1] = { name .. " alone, weights", { data = classes { weight = weight }, teacher = teacher, temperature = 2,
    losses = { [name] = 1 } }, function(m) return mean(plain[name](m(x), said, 2), weight) end }
end
cases[#cases + 1] = { "jsd alone", { data = classes(), teacher = teacher, temperature = 2, losses = { jsd = 1 } },
  function(m) return mean(plain.jsd(m(x), said, 2)) end }
cases[#cases + 1] = { "a term of one's own alone, weights", { data = classes { weight = weight }, teacher = teacher, losses = {
  mine = { loss = function(b, out) return (out.logits - b.teacher):square():mean() end } } },
  function(m) return (m(x) - said):square():mean() end }
cases[#cases + 1] = { "labels, kl and a term of one's own", { data = classes(), teacher = teacher, temperature = 2, losses = { labels = .5,
  kl = 2, mine = { weight = .3, loss = function(b, out) return (out.logits - b.teacher):square():mean() end } } },
  function(m)
    local z = m(x)
    return .5 * mean(ce(z, onehot)) + 2 * mean(kl(z, said, 2)) + .3 * (z - said):square():mean()
  end }

local function trained(options, outputs)
  local student = plain.net(outputs)
  support.with_run(nil, function(run)
    local given = plain.options(options)
    given.student = student
    run:distill(given)
  end)
  return student
end

describe("a training is the plain loop's:", function()
  for _, case in ipairs(cases) do
    it(case[1], function()
      local by_hand = plain.train(plain.net(case[4]), case[3])
      expect(plain.distance(by_hand, plain.net(case[4])) > .01):is_true()  -- that it trains at all
      local ways = { {}, { accumulate = 4 } }
      if case[2].teacher and not case.asks then
        ways[2].teacher_cache = false
        ways[3] = { teacher_cache = true }
      end
      for _, way in ipairs(ways) do
        local options = {}
        for name, value in pairs(case[2]) do options[name] = value end
        for name, value in pairs(way) do options[name] = value end
        expect(plain.distance(trained(options, case[4]), by_hand)):near(0, 2e-5)
      end
    end)
  end
end)
