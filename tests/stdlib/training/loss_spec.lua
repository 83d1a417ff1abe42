local g = require "gradus"
local reference = require "reference"
local loss, values = g.loss, reference.values

local data = reference.read "losses.json"
local function tensor_of(name, dtype) return reference.tensor(data[name], dtype or "float64") end

local teacher, labels = tensor_of "teacher", tensor_of("labels", "int64")
local COMPUTE = {
  jsd = function(x) return loss.jsd(x, teacher) end,
  ["jsd with options"] = function(x) return loss.jsd(x, teacher, { beta = .2, temperature = 3 }) end,
  kl = function(x) return loss.kl(x, teacher, { temperature = 2 }) end,
  reverse_kl = function(x) return loss.reverse_kl(x, teacher, { temperature = 2 }) end,
  cross_entropy = function(x) return loss.cross_entropy(x, labels) end,
  ["cross_entropy smoothed"] = function(x) return loss.cross_entropy(x, labels, { label_smoothing = .1 }) end,
  mse = function(x) return loss.mse(x, teacher) end,
  feature_mse = function(x) return loss.feature_mse(x, tensor_of "wide", tensor_of "matrix") end,
}

describe("losses equal PyTorch's:", function()
  for _, case in ipairs(data.cases) do
    it(case.name, function()
      local x = tensor_of(case.name == "feature_mse" and "features" or "student"):requires_grad_()
      local value = COMPUTE[case.name](x)
      expect(value.shape):equals {}
      expect(value:item()):near(case.value, 1e-12)
      value:backward()
      expect(values(x.grad)):near(case.grad.values, 1e-12)
    end)
  end
end)

describe("kd_loss", function()
  local student = tensor_of "student"
  it("is alpha · CE + (1 − alpha) · T² · KL, with its parts", function()
    local out = loss.kd_loss(student, teacher, labels, { temperature = 2, alpha = .4 })
    local keep = g.tensor({ 0, 1, 2, 4 }, "int64")  -- the row with label -100 counts nowhere
    local cut = loss.kd_loss(student:index_select(0, keep), teacher:index_select(0, keep), labels:index_select(0, keep),
      { temperature = 2, alpha = .4 })
    expect(out.loss:item()):near(cut.loss:item(), 1e-12)
    expect(out.per_sample.shape):equals { 5 }
    expect(out.per_sample[3]:item()):equals(0)
    expect(cut.loss:item()):near(.4 * cut.ce:item() + .6 * 4 * cut.kl:item(), 1e-12)
    expect(cut.ce:item()):near(loss.cross_entropy(student:index_select(0, keep), labels:index_select(0, keep)):item(), 1e-12)
    expect(cut.confidence.shape):equals { 4 }
    expect(cut.entropy.shape):equals { 4 }
    expect(cut.per_sample:mean():item()):near(cut.loss:item(), 1e-12)
  end)
  it("takes tensors for numbers, one for each sample too, and a step's other knobs", function()
    local number = function(x) return g.tensor(x, { dtype = "float64" }) end
    local wanted = loss.kd_loss(student, teacher, labels, { temperature = 3, alpha = .5 }).loss:item()
    local options = { temperature = number(3), alpha = number(.5), lr = number(.1) }
    expect(loss.kd_loss(student, teacher, labels, options).loss:item()):equals(wanted)
    options.temperature = g.full({ 5 }, 3)
    expect(loss.kd_loss(student, teacher, labels, options).loss:item()):equals(wanted)
    local knobs = setmetatable({ temperature = number(3), alpha = number(.5), mine = number(0) }, { __knobs = true })
    expect(loss.kd_loss(student, teacher, labels, knobs).loss:item()):equals(wanted)
  end)
  it("works without teacher and without labels", function()
    expect(loss.kd_loss(student, nil, labels).loss:item()):equals(loss.cross_entropy(student, labels):item())
    expect(loss.kd_loss(student, teacher, nil, { temperature = 2 }).loss:item())
      :equals(loss.kl(student, teacher, { temperature = 2 }):item())
    expect(function() loss.kd_loss(student) end):fails_with "neither teacher nor target"
  end)
  it("takes mixed labels", function()
    local hard = g.tensor({ 0, 3, 1, 1, 2 }, "int64")
    local soft = g.one_hot(hard, 4):double()
    expect(loss.kd_loss(student, teacher, soft).loss:item()):near(loss.kd_loss(student, teacher, hard).loss:item(), 1e-12)
  end)
  it("gives the same number without gradients", function()
    local x = student:clone():requires_grad_()
    expect(g.no_grad(loss.kd_loss, x, teacher, labels).loss:item()):equals(loss.kd_loss(x, teacher, labels).loss:item())
  end)
  it("blames the line, and names what is wrong", function()
    local function with(options) return function() loss.kd_loss(student, teacher, labels, options) end end
    expect(with { temprature = 2 }):fails_with "loss_spec.lua:%d+: kd_loss: no option 'temprature'; did you mean 'temperature'?"
    expect(with { temperature = 0 }):fails_with "'temperature': expected a number > 0 or a Tensor; got 0"
    expect(with { temperature = g.tensor(-1) }):fails_with "temperature is -1; expected > 0"
    expect(with { alpha = 1.5 }):fails_with "'alpha': expected a number from 0 to 1 or a Tensor; got 1.5"
    expect(with { t2 = 1 }):fails_with "'t2': expected true or false; got 1"
    expect(with(4)):fails_with "expected a table of options; got 4"
    expect(function() loss.kd_loss(1) end):fails_with "'student': expected a Tensor; got 1"
    expect(function() loss.kd_loss(student, student:narrow(1, 0, 3), labels) end)
      :fails_with "teacher has shape [5, 3]; expected student's [5, 4]"
    expect(function() loss.kd_loss(student, teacher, g.tensor({ 0, 1, 2, 3, 4 }, "int64")) end)
      :fails_with "target class 4 at row 4; expected 0 to 3"
  end)
  it("keeps its numbers when called in a scope", function()
    local first = g.scope(function() return loss.kd_loss(student, teacher, labels, { temperature = 5.5 }).loss end)
    expect(loss.kd_loss(student, teacher, labels, { temperature = 5.5 }).loss:item()):equals(first:item())
  end)
end)

describe("the others", function()
  it("refuse shapes that would broadcast", function()
    expect(function() loss.mse(g.ones(3, 1), g.ones(3)) end):fails_with "a has shape [3, 1] and b has shape [3]"
    expect(function() loss.jsd(g.ones(3, 2), g.ones(3, 4)) end):fails_with "student has shape [3, 2] and teacher has shape [3, 4]"
    expect(function() loss.feature_mse(g.ones(3, 2), g.ones(3, 4)) end):fails_with "student has shape [3, 2] and teacher has shape [3, 4]"
    expect(function() loss.feature_mse(g.ones(3, 2), g.ones(3, 4), g.ones(4, 3)) end)
      :fails_with "projection has shape [4, 3]; expected [4, 2]"
    expect(function() loss.jsd(g.ones(3, 2), g.ones(3, 2), { beta = 1 }) end):fails_with "expected 0 < beta < 1"
  end)
  it("give the teacher no gradient", function()
    local t = g.ones(2, 3):requires_grad_()
    local s = g.zeros(2, 3):requires_grad_()
    for _, value in ipairs { loss.jsd(s, t), loss.kl(s, t), loss.feature_mse(s, t), loss.kd_loss(s, t).loss } do
      value:backward()
    end
    expect(t.grad):equals(nil)
  end)
  it("project by a fixed matrix of the seed, of unit scale", function()
    local p = loss.projection(400, 50, 7)
    expect(p.shape):equals { 400, 50 }
    expect(values(p)):equals(values(loss.projection(400, 50, 7)))
    expect(g.equal(p, loss.projection(400, 50, 8))):is_false()
    expect(p:std():item()):near(1 / 20, 1e-3)
    expect(function() loss.projection(0, 3) end):fails_with "expected a whole number of at least 1"
  end)
end)
