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
    local options = { temperature = number(3), alpha = number(.5) }
    expect(loss.kd_loss(student, teacher, labels, options).loss:item()):equals(wanted)
    options.temperature = g.full({ 5 }, 3)
    expect(loss.kd_loss(student, teacher, labels, options).loss:item()):equals(wanted)
    for _, mode in ipairs { "eager", "replay" } do
      g.step_mode(mode)
      local step = require "gradus.step.step".new(function(_, k)
        return { kd = loss.kd_loss(student, teacher, labels, k).loss, jsd = loss.jsd(student, teacher, k),
          kl = loss.kl(student, teacher, k) }
      end)
      for _ = 1, 3 do
        local out = step({ x = student }, { temperature = 3, alpha = .5, lr = .1, mine = 0 })
        expect(out.kd:item()):equals(wanted)
        expect(out.jsd:item()):near(loss.jsd(student, teacher, { temperature = 3 }):item(), 1e-12)
        expect(out.kl:item()):equals(loss.kl(student, teacher, { temperature = 3 }):item())
      end
    end
    expect(function() loss.kd_loss(student, teacher, labels, { mine = 0 }) end):fails_with "kd_loss: no option 'mine'"
    local step = require "gradus.step.step".new(function(_, k) return loss.kd_loss(student, teacher, labels, k).loss end)
    expect(function() step({ x = student }, { t2 = 1 }) end):fails_with "kd_loss: 't2': expected true or false; got Tensor"
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

describe("rows without a label", function()
  local some = g.tensor({ 0, -100, 1, -100, 2 }, "int64")
  local known, rest = g.tensor({ 0, 2, 4 }, "int64"), g.tensor({ 1, 3 }, "int64")
  local function rows(index, options, y)
    local x = tensor_of "student":index_select(0, index):requires_grad_()
    local out = loss.kd_loss(x, teacher:index_select(0, index), y and y:index_select(0, index), options)
    return out, g.grad(out.loss, { x })[1]
  end
  local options = { temperature = 2, alpha = .4, partial = true }
  local student = tensor_of "student":requires_grad_()
  local out = loss.kd_loss(student, teacher, some, options)
  local both, both_grad = rows(known, { temperature = 2, alpha = .4 }, some)
  local taught, taught_grad = rows(rest, { temperature = 2 })
  it("count for the teacher's term alone", function()
    expect(out.loss:item()):near((3 * both.loss:item() + 2 * taught.loss:item()) / 5, 1e-12)
    expect(out.ce:item()):near(both.ce:item(), 1e-12)
    expect(out.kl:item()):near((3 * both.kl:item() + 2 * taught.kl:item()) / 5, 1e-12)
    expect(out.per_sample[1]:item()):near(taught.per_sample[0]:item(), 1e-12)
    expect(out.confidence[1]:item()):near(student:softmax(-1)[1]:amax():item(), 1e-12)
    local grad = g.grad(loss.kd_loss(student, teacher, some, options).loss, { student })[1]
    expect(values(grad:index_select(0, known))):near(values(both_grad * .6), 1e-12)
    expect(values(grad:index_select(0, rest))):near(values(taught_grad * .4), 1e-12)
  end)
  it("keep their weights", function()
    local weight = g.tensor({ 1, 2, 0, 3, 1 }, "float64")
    local weighed = loss.kd_loss(student, teacher, some, { temperature = 2, alpha = .4, partial = true, weight = weight })
    local each = out.per_sample
    expect(weighed.loss:item()):near(((each * weight):sum() / 7):item(), 1e-12)
    local tiny = loss.kd_loss(student, teacher, some, { temperature = 2, alpha = .4, partial = true, weight = weight * 1e-30 })
    expect({ tiny.loss:item(), tiny.kl:item() }):near({ weighed.loss:item(), weighed.kl:item() }, 1e-12)
  end)
  it("are what all, or none, of the rows may be", function()
    local full, none = g.tensor({ 0, 1, 1, 3, 2 }, "int64"), g.full({ 5 }, -100, { dtype = "int64" })
    expect(loss.kd_loss(student, teacher, full, options).loss:item()):near(
      loss.kd_loss(student, teacher, full, { temperature = 2, alpha = .4 }).loss:item(), 1e-12)
    expect(loss.kd_loss(student, teacher, none, options).loss:item()):near(loss.kl(student, teacher, { temperature = 2 }):item(), 1e-12)
  end)
  it("count for nothing where nobody says so", function()
    expect(loss.kd_loss(student, teacher, some, { temperature = 2, alpha = .4 }).loss:item()):near(both.loss:item(), 1e-12)
  end)
end)

describe("divergences", function()
  local s, t = tensor_of "student", tensor_of "teacher"
  local y, keep = g.tensor({ 0, -100, 1, -100, 2 }, "int64"), g.tensor({ 0, 2, 4 }, "int64")
  for _, name in ipairs { "kl", "reverse_kl", "jsd" } do
    local of = loss[name]
    local wanted = of(s:index_select(0, keep), t:index_select(0, keep), { temperature = 3 }):item()
    it(name .. " leaves out rows whose class is ignored, of sequences too", function()
      expect(of(s, t, { temperature = 3, target = y }):item()):near(wanted, 1e-12)
      expect(of(s, t, { temperature = 3, target = y:eq(-100):long(), ignore_index = 1 }):item()):near(wanted, 1e-12)
      expect(of(s:unsqueeze(0), t:unsqueeze(0), { temperature = 3, target = y:unsqueeze(0) }):item()):near(wanted, 1e-12)
      local three = g.tensor({ 2, 2, 2 }, "float64")
      local of_three = function(x) return x:index_select(0, keep):unsqueeze(1) end
      expect(of(of_three(s), of_three(t), { temperature = 3, weight = three }):item()):near(wanted, 1e-12)
    end)
    it(name .. " takes a weight for each row", function()
      local weight = g.tensor({ 1, 0, 1, 0, 1 }, "float64")
      expect(of(s, t, { temperature = 3, weight = weight }):item()):near(wanted, 1e-12)
      for _, unit in ipairs { 1e-30, 3e38 } do  -- their ratio counts
        expect(of(s:float(), t:float(), { temperature = 3, weight = (weight * unit):float() }):item()):near(wanted, 1e-5)
      end
      local two = function(x) return g.stack({ x, x }, 1) end  -- [N, 2, C], a weight for each N
      expect(of(two(s), two(t), { temperature = 3, weight = weight }):item()):near(wanted, 1e-12)
    end)
    it(name .. " of classes that neither has is that of the others", function()
      local function masked(x) return g.cat({ x, g.full({ 5, 1 }, -math.huge, { dtype = "float64" }) }, 1) end
      local x = masked(s):requires_grad_()
      local value = of(x, masked(t), { temperature = 3 })
      expect(value:item()):near(of(s, t, { temperature = 3 }):item(), 1e-12)
      expect(g.grad(value, { x })[1]:isfinite():all():item()):is_true()
    end)
    it(name .. " takes a temperature for each sample, of as many classes as samples and of sequences too", function()
      local each = g.tensor({ 2, 3, 1, 4, 5 }, "float64")
      local sum = 0
      for i = 0, 4 do
        local row = g.tensor({ i }, "int64")
        sum = sum + of(s:index_select(0, row), t:index_select(0, row), { temperature = each[i]:item() }):item()
      end
      expect(of(s, t, { temperature = each }):item()):near(sum / 5, 1e-12)
      expect(of(s, t, { temperature = each, weight = g.tensor({ 2, 2, 2, 2, 2 }, "float64") }):item()):near(sum / 5, 1e-12)
      local two = function(x) return g.stack({ x, x }, 1) end
      expect(of(two(s), two(t), { temperature = each }):item()):near(sum / 5, 1e-12)
      expect(of(two(s), two(t), { temperature = g.stack({ each, each }, 1) }):item()):near(sum / 5, 1e-12)
      local square = function(x) return g.cat({ x, x:slice(1, 0, 5 - x:size(1)) }, 1) end
      expect(of(square(s), square(t), { temperature = each }).shape):equals {}
    end)
    it(name .. " refuses a tensor of temperatures that are none", function()
      for _, bad in ipairs { g.tensor(-1), g.tensor(0 / 0), g.tensor { 1, 2, 0, 1, 1 } } do
        expect(function() of(s, t, { temperature = bad }) end):fails_with "temperature is"
      end
      expect(function() of(s, t, { temperature = g.ones(4) }) end):fails_with "temperature has shape [4]; expected a number or one value"
    end)
    it(name .. " refuses a target of another shape", function()
      expect(function() of(s, t, { target = y:slice(0, 1) }) end):fails_with(
        name .. ": target has shape [4]; expected one class for each row")
    end)
  end
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
  it("are of the logits' type", function()
    for _, dtype in ipairs { "float32", "float64" } do
      local a, b = g.randn({ 2, 3 }):to(dtype), g.randn({ 2, 3 }):to(dtype)
      for _, name in ipairs { "kl", "reverse_kl", "jsd" } do
        expect(loss[name](a, b).dtype):equals(dtype)
        expect(loss[name](a, b, { temperature = 2 }).dtype):equals(dtype)
      end
    end
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

describe("options of losses", function()
  it("count alike without logits as with them", function()
    local hidden, weight, taught = g.randn({ 4, 3 }), g.randn({ 5, 3 }), g.randn({ 4, 5 })
    local y = g.tensor({ 0, 4, -100, 2 }, "int64")
    for _, o in ipairs { {}, { t2 = false }, { label_smoothing = .3 }, { temperature = 2, alpha = .4, t2 = false } } do
      local one = loss.linear_kd(hidden, { weight = weight }, taught, { weight = g.eye(5) }, y, o)
      local other = loss.kd_loss(hidden:matmul(weight:transpose(0, 1)), taught, y, o)
      for _, name in ipairs { "loss", "ce", "kl" } do expect(one[name]:item()):near(other[name]:item(), 1e-4) end
    end
  end)
  it("give each of two samples its own temperature", function()
    local s, t = g.randn({ 2, 3 }), g.randn({ 2, 3 })
    for _, name in ipairs { "kl", "reverse_kl", "jsd" } do
      local first = loss[name](s:slice(0, 0, 1), t:slice(0, 0, 1), { temperature = 2 })
      local second = loss[name](s:slice(0, 1), t:slice(0, 1), { temperature = 5 })
      expect(loss[name](s, t, { temperature = g.tensor { 2, 5 } }):item()):near((first:item() + second:item()) / 2, 1e-4)
      expect(loss[name](s, t):item()):near(loss[name](s, t, { temperature = 1 }):item(), 1e-6)
    end
  end)
end)
