--- A training beside the loop that one would write by hand: the same student, all rows in each batch, plain gradient descent by
--- autograd on a loss that is written out. For specs that hold run:distill against it.
local g = require "gradus"

local plain = { steps = 20, lr = .1 }

function plain.randn(shape, seed) return g.randn(shape, { generator = g.generator(seed) }) end

plain.x = plain.randn({ 48, 6 }, 1)
plain.classes = (plain.x:slice(1, 0, 3) + plain.x:slice(1, 3, 6) * .3):argmax(1)
plain.onehot = g.one_hot(plain.classes, 3):float()
plain.soft = g.softmax(plain.randn({ 48, 3 }, 9) * 2, -1)
plain.numbers = plain.x:sum(1) * .3
plain.weight = g.rand({ 48 }, { generator = g.generator(4) }) + .1

--- An MLP with weights that are the same for the same seed.
function plain.net(outputs, seed)
  local made = g.nn.MLP { 6, 5, outputs or 3 }
  g.no_grad(function()
    for i, p in ipairs(made:parameters()) do p:copy_(plain.randn(p.shape, 100 * (seed or 3) + i) * .5) end
  end)
  return made
end

--- The options of the same training by run:distill, and `more` over them.
function plain.options(more)
  local options = { batch = plain.x:size(0), budget = { steps = plain.steps }, optimizer = "SGD", weight_decay = 0, clip = false,
    lr = plain.lr, decay = "constant", warmup = 0, restore_best = false, augment = 0 }
  for name, value in pairs(more) do options[name] = value end
  return options
end

--- Trains the model by hand; loss(model) -> 0-dim tensor.
function plain.train(model, loss)
  for _ = 1, plain.steps do
    for _, p in ipairs(model:parameters()) do p.grad = nil end
    loss(model):backward()
    g.no_grad(function()
      for _, p in ipairs(model:parameters()) do
        if p.grad then p:sub_(p.grad * plain.lr) end
        p.grad = nil
      end
    end)
  end
  return model
end

--- The largest difference between the weights of two models.
function plain.distance(a, b)
  local most, others = 0, b:parameters()
  for i, p in ipairs(a:parameters()) do
    local one = (p - others[i]):abs():amax():item()
    if one ~= one then return one end
    most = math.max(most, one)
  end
  return most
end

-- --- losses, one number for each row ------------------------------------------------------------------------------------------

local function log_softmax(z) return g.log_softmax(z, -1) end

--- Cross-entropy against probabilities.
function plain.ce(z, p) return -(p * log_softmax(z)):sum(-1) end

--- Binary cross-entropy of each label.
function plain.bce(z, y) return z:clamp_min(0) - z * y + (1 + (-z:abs()):exp()):log() end

--- T² · KL of the teacher's logits from the student's; own: the teacher's temperature.
function plain.kl(z, teacher, T, own)
  local p = g.softmax(teacher:detach() / (own or T), -1)
  return T * T * (p * (p:log() - log_softmax(z / T))):sum(-1)
end

function plain.reverse_kl(z, teacher, T)
  local q = g.softmax(z / T, -1)
  return T * T * (q * (log_softmax(z / T) - log_softmax(teacher:detach() / T))):sum(-1)
end

function plain.jsd(z, teacher, T)
  local p, q = g.softmax(teacher:detach() / T, -1), g.softmax(z / T, -1)
  local m = (p + q) / 2
  return T * T * .5 * ((p * (p:log() - m:log())):sum(-1) + (q * (q:log() - m:log())):sum(-1))
end

--- T² · KL of each label's two outcomes, mean over labels.
function plain.binary_kl(z, teacher, T)
  local t = teacher:detach() / T
  local p = g.sigmoid(t)
  return T * T * (plain.bce(z / T, p) - plain.bce(t, p)):mean(-1)
end

--- The mean over rows, by weights where there are some.
function plain.mean(rows, weight) return weight and (rows * weight):sum() / weight:sum() or rows:mean() end

return plain
