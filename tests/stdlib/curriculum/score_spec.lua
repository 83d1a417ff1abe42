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
  it("refuse what is no module", function()
    for _, name in ipairs { "loss", "entropy", "margin" } do
      expect(function() score[name] { 1 } end):fails_with(("score.%s: expected a module; got table"):format(name))
    end
  end)
  it("rank a data set as they say", function()
    local d = g.data.tensors(g.tensor(LOGITS), g.tensor(LABELS, "int64"))
    expect(d:rank(score.loss(teacher())).index:totable()):equals { 0, 2, 1 }
  end)
end)
