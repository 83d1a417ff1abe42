local g = require "gradus"
local score = g.score

-- A teacher whose logits are the inputs.
local function teacher()
  local t = g.nn.Linear(3, 3, { bias = false })
  g.no_grad(function() t.weight:copy_(g.eye(3)) end)
  return t
end

local LOGITS = { { 2, 0, 0 }, { 0, 3, -1 }, { .5, .5, .5 } }
local LABELS = { 0, 2, 1 }

local function softmax(row)
  local total, out = 0, {}
  for i, v in ipairs(row) do
    out[i] = math.exp(v)
    total = total + out[i]
  end
  for i in ipairs(out) do out[i] = out[i] / total end
  return out
end

local function asked(fn) return fn(g.tensor(LOGITS), g.tensor(LABELS, "int64")):totable() end

describe("difficulty scores", function()
  it("loss is the cross-entropy with the label", function()
    local wanted = {}
    for i, row in ipairs(LOGITS) do wanted[i] = -math.log(softmax(row)[LABELS[i] + 1]) end
    expect(asked(score.loss(teacher()))):near(wanted, 1e-5)
  end)
  it("entropy is the prediction's, in nats, without labels", function()
    local wanted = {}
    for i, row in ipairs(LOGITS) do
      wanted[i] = 0
      for _, p in ipairs(softmax(row)) do wanted[i] = wanted[i] - p * math.log(p) end
    end
    expect(score.entropy(teacher())(g.tensor(LOGITS)):totable()):near(wanted, 1e-5)
    expect(wanted[3]):near(math.log(3))
  end)
  it("entropy of a certain teacher is 0", function()
    expect(score.entropy(teacher())(g.tensor { { 500, 0, -500 } }):item()):equals(0)
  end)
  it("margin is the best wrong class against the label's", function()
    local wanted = {}
    for i, row in ipairs(LOGITS) do
      local p, best = softmax(row), 0
      for c = 1, 3 do if c ~= LABELS[i] + 1 then best = math.max(best, p[c]) end end
      wanted[i] = best - p[LABELS[i] + 1]
    end
    expect(asked(score.margin(teacher()))):near(wanted, 1e-6)
    expect(wanted[3]):near(0)
  end)
  it("margin of a single class has no wrong one", function()
    local one = g.nn.Linear(3, 1)
    expect(score.margin(one)(g.tensor(LOGITS), g.tensor({ 0, 0, 0 }, "int64")):totable()):equals { -2, -2, -2 }
  end)
  it("of one's own is the function itself", function()
    local fn = function(x) return x:select(1, 0) end
    expect(score.by(fn) == fn):is_true()
    expect(function() score.by(3) end):fails_with "score.by: expected a function(x, y); got number"
  end)
  it("ask the teacher in evaluation mode and leave its mode alone", function()
    local t = g.nn.Sequential { teacher(), g.nn.Dropout(.9) }
    t:train()
    expect(asked(score.loss(t))):equals(asked(score.loss(t)))
    expect(t.training):is_true()
    t:eval()
    asked(score.loss(t))
    expect(t.training):is_false()
  end)
  it("of several teachers go by the mean of their logits", function()
    local function scaled(factor)
      local t = g.nn.Linear(3, 3, { bias = false })
      g.no_grad(function() t.weight:copy_(g.eye(3) * factor) end)
      return t
    end
    local d = g.data.tensors(g.tensor(LOGITS), g.tensor(LABELS, "int64"))
    for _, name in ipairs { "loss", "entropy", "margin" } do
      local mean = d:scores("test", score[name](scaled(4))):totable()
      expect(d:scores("test", score[name] { scaled(2), scaled(6) }):totable()):near(mean, 1e-6)
      expect(d:scores("test", score[name] { { scaled(1), 1 }, { scaled(5), 3 } }):totable()):near(mean, 1e-6)
    end
  end)
  it("refuse what is no module", function()
    for _, name in ipairs { "loss", "entropy", "margin" } do
      expect(function() score[name] { 1 } end):fails_with(("score.%s: teacher 1: expected a module"):format(name))
      expect(function() score[name](5) end):fails_with(("score.%s: expected a module, or several; got 5"):format(name))
    end
  end)
  it("rank a data set as they say", function()
    local d = g.data.tensors(g.tensor(LOGITS), g.tensor(LABELS, "int64"))
    expect(d:rank(score.loss(teacher())).index:totable()):equals { 0, 2, 1 }
  end)
end)

describe("scores by the kind of labels", function()
  local data = g.data
  local function log_softmax(row)
    local total = 0
    for _, v in ipairs(row) do total = total + math.exp(v) end
    local out = {}
    for i, v in ipairs(row) do out[i] = v - math.log(total) end
    return out
  end
  local function scored(name, y, options, x)
    local d = data.tensors(x or g.tensor(LOGITS), y, options)
    return d:scores("test", score[name](teacher())):totable()
  end
  it("of distributions", function()
    local soft = { { .45, .35, .2 }, { 0, 1, 0 }, { .5, .3, .2 } }
    local wanted, margins = {}, {}
    for i, row in ipairs(LOGITS) do
      local log_p = log_softmax(row)
      wanted[i] = -(soft[i][1] * log_p[1] + soft[i][2] * log_p[2] + soft[i][3] * log_p[3])
    end
    expect(scored("loss", g.tensor(soft))):near(wanted, 1e-5)
    local p = softmax(LOGITS[2])
    margins[2] = p[1] - p[2]
    expect(scored("margin", g.tensor(soft))[2]):near(margins[2], 1e-5)
    p = softmax(LOGITS[1])  -- its label is the row's largest, not the column's
    expect(scored("margin", g.tensor(soft))[1]):near(p[2] - p[1], 1e-5)
    expect(scored("entropy", g.tensor(soft))):near(scored("entropy", nil), 1e-6)
  end)
  it("of several labels at once", function()
    local y = { { 1, 0, 1 }, { 0, 1, 1 }, { 0, 0, 0 } }
    local loss, entropy, margin = {}, {}, {}
    for i, row in ipairs(LOGITS) do
      loss[i], entropy[i], margin[i] = 0, 0, 0
      for c, z in ipairs(row) do
        local p = 1 / (1 + math.exp(-z))
        local right = y[i][c] == 1 and p or 1 - p
        loss[i], margin[i] = loss[i] - math.log(right) / 3, margin[i] + (1 - 2 * right) / 3
        entropy[i] = entropy[i] - (p * math.log(p) + (1 - p) * math.log(1 - p)) / 3
      end
    end
    local bytes = g.tensor(y, "uint8")
    expect(scored("loss", bytes)):near(loss, 1e-5)
    expect(scored("margin", bytes)):near(margin, 1e-5)
    expect(scored("entropy", bytes)):near(entropy, 1e-5)
  end)
  it("are refused of a model with other logits than labels, which would be spread over them", function()
    local one, x = g.nn.Linear(3, 1), g.tensor(LOGITS)
    for text, y in pairs { ["2 classes"] = g.tensor({ 0, 1, 0 }, "int64"), ["distributions over 3"] = g.full({ 3, 3 }, 1 / 3),
      ["3 labels of yes or no"] = g.tensor({ { 1, 0, 1 }, { 0, 1, 1 }, { 0, 0, 0 } }, "uint8") } do
      local d = data.tensors(x, y)
      for _, name in ipairs { "loss", "margin" } do
        expect(function() d:rank(score[name](one)) end)
          :fails_with(("score.%s: labels are %s; expected a logit for each from the model; got Tensor [3, 1]"):format(name, text))
      end
      expect(function() require("gradus.training.task").evaluate(one, d) end)
        :fails_with(("evaluate: labels are %s; expected a logit for each"):format(text))
    end
  end)
  it("of numbers is the squared error, and nothing else", function()
    local y = g.tensor { { 2, 0, 3 }, { 0, 0, 0 }, { .5, .5, .5 } }
    expect(scored("loss", y)):near({ 3, 10 / 3, 0 }, 1e-5)
    local sum = g.nn.Linear(3, 1, { bias = false })
    g.no_grad(function() sum.weight:fill_(1) end)
    local d = data.tensors(g.tensor(LOGITS), g.tensor { 2, 1, 3.5 })
    expect(d:scores("test", score.loss(sum)):totable()):near({ 0, 1, 4 }, 1e-5)
    expect(function() scored("loss", g.tensor { 2, 1, 3.5 }) end):fails_with "labels are numbers, Tensor [3] float32; expected as many"
    for _, name in ipairs { "entropy", "margin" } do
      expect(function() scored(name, y) end):fails_with(("score.%s: labels are numbers; expected classes, or score.loss"):format(name))
    end
  end)
  it("of rows without labels is the entropy, and nothing else", function()
    expect(#scored("entropy", nil)):equals(3)
    for _, name in ipairs { "loss", "margin" } do
      expect(function() scored(name, nil) end):fails_with(("score.%s: the rows have no labels; expected score.entropy"):format(name))
      expect(function() scored(name, g.tensor({ 0, -100, 1 }, "int64")) end):fails_with(
        ("score.%s: some rows have no label; expected score.entropy"):format(name))
    end
    expect(#scored("entropy", g.tensor({ 0, -100, 1 }, "int64"))):equals(3)
  end)
  it("of tokens is the mean over what is asked for", function()
    local x = g.tensor { { LOGITS[1], LOGITS[2] }, { LOGITS[3], LOGITS[1] }, { LOGITS[2], LOGITS[3] } }
    local y = g.tensor({ { 0, 2 }, { -100, 1 }, { -100, -100 } }, "int64")
    local a, b, c = -log_softmax(LOGITS[1])[1], -log_softmax(LOGITS[2])[3], -log_softmax(LOGITS[1])[2]
    local first = (a + b) / 2
    expect(scored("loss", y, nil, x)):near({ first, c, (first + c) / 2 }, 1e-5)  -- the last row in the middle
    local of = {}
    for i, row in ipairs(LOGITS) do of[i] = scored("entropy", nil, nil, g.tensor { row })[1] end
    expect(scored("entropy", y, nil, x)):near({ (of[1] + of[2]) / 2, of[1], ((of[1] + of[2]) / 2 + of[1]) / 2 }, 1e-5)
    expect(scored("entropy", nil, nil, x)):near({ (of[1] + of[2]) / 2, (of[3] + of[1]) / 2, (of[2] + of[3]) / 2 }, 1e-5)
    local p = softmax(LOGITS[1])
    expect(scored("margin", y, nil, x)[2]):near(p[1] - p[2], 1e-5)
    local nothing = data.tensors(x, g.full({ 3, 2 }, -100, { dtype = "int64" }))
    expect(function() nothing:rank(score.loss(teacher())) end):fails_with "rank: no position is hidden in any of the rows"
    local broken = x:clone()
    broken[0]:fill_(0 / 0)
    expect(function() data.tensors(broken, y):rank(score.loss(teacher())) end):fails_with "rank: a score is NaN or infinite"
  end)
  it("of classes that a teacher excludes are finite", function()
    local no = -math.huge
    local t = g.tensor { { 1, 0, no }, { 2, no, no } }
    local identity = teacher()
    identity.forward = function(_, x) return x end
    local e = score.entropy(identity)(t):totable()
    local p = softmax { 1, 0 }
    expect(e):near({ -(p[1] * math.log(p[1]) + p[2] * math.log(p[2])), 0 }, 1e-5)
    local d = data.tensors(t, g.tensor({ { .5, .5, 0 }, { 1, 0, 0 } }))
    expect(d:scores("test", score.loss(identity)):totable()[2]):near(0, 1e-5)
  end)
end)

describe("scores leave modes alone", function()
  it("of every part, of a part in evaluation mode and where the score fails", function()
    local net = g.nn.Sequential { teacher(), g.nn.BatchNorm1d(3), g.nn.Dropout(.5) }
    net:train()
    net:get_submodule "1":eval()
    local function modes() return { net.training, net:get_submodule "1".training, net:get_submodule "2".training } end
    for _, name in ipairs { "loss", "entropy", "margin" } do
      score[name](net)(g.tensor(LOGITS), g.tensor(LABELS, "int64"))
      expect(modes()):equals { true, false, true }
      expect(pcall(score[name](net), g.zeros(2, 5), g.tensor({ 0, 1 }, "int64"))):is_false()
      expect(modes()):equals { true, false, true }
    end
  end)
end)
