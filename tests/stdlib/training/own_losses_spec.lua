-- scripts/lib/own_losses.lua, and the losses that Gradus brings along, against PyTorch's numbers for the same weights and batch.
local g = require "gradus"
local reference = require "reference"
local a_run = require "a_run"
local own = dofile "scripts/lib/own_losses.lua"
local loss, nn, values = g.loss, g.nn, reference.values

local data = reference.read("own_losses.json", "training/data")
local function tensor_of(plain, dtype) return reference.tensor(plain, dtype or "float64") end

local function filled(module, weights)
  module:to "float64"
  local state = {}
  for name, plain in pairs(weights) do state[name] = tensor_of(plain) end
  module:load_state_dict(state)
  return module
end

local x, y, weights = tensor_of(data.x), tensor_of(data.y, "int64"), tensor_of(data.weights)
local soft, multi = tensor_of(data.soft), tensor_of(data.multi)
local teacher, teacher_one = filled(nn.MLP { 8, 16, 16, 5 }, data.teacher), filled(nn.MLP { 8, 16, 16, 1 }, data.teacher_one)

-- The student, the learnt map and what they made of the batch.
local function fresh(single)
  local student = filled(nn.MLP { 8, 12, 12, single and 1 or 5 }, single and data.student_one or data.student)
  local projection = filled(nn.Linear(12, 16), data.projection)
  local paths = { "layers.1", "layers.3" }
  local logits, ours = student:forward_taps(x, paths)
  local answers, theirs = (single and teacher_one or teacher):forward_taps(x, paths)
  return { student = student, projection = projection, logits = logits, ours = ours, teacher = answers:detach(), theirs = theirs }
end

local function mean(rows, w) return w and (rows * w):sum() / w:sum() or rows:mean() end

local function mse(f, target, o, w)
  local function of(a, b) return mean((a - b):square():reshape(6, -1):mean { dim = { -1 } }, w) end
  target = tensor_of(target):reshape(f.logits.shape)
  return of(f.logits, target) * o.alpha + of(f.logits, f.teacher) * (1 - o.alpha)
end

local COMPUTE = {
  kd = function(f, o) return loss.kd_loss(f.logits, f.teacher, y, o).loss end,
  ["soft labels kd"] = function(f, o) return loss.kd_loss(f.logits, f.teacher, soft, o).loss end,
  kl = function(f, o) return loss.kl(f.logits, f.teacher, o) end,
  reverse_kl = function(f, o) return loss.reverse_kl(f.logits, f.teacher, o) end,
  labels = function(f, o) return loss.cross_entropy(f.logits, y, o) end,
  ["labels smoothed"] = function(f, o) return loss.cross_entropy(f.logits, y, o) end,
  ["soft labels"] = function(f, o) return loss.cross_entropy(f.logits, soft, o) end,
  ["soft labels smoothed"] = function(f, o) return loss.cross_entropy(f.logits, soft, o) end,
  hint = function(f, o) return own.hint(f.projection, f.ours["layers.1"], f.theirs["layers.1"], o.weight) end,
  cosine = function(f, o) return own.cosine(f.projection, f.ours["layers.3"], f.theirs["layers.3"], o.weight) end,
  distance_wise = function(f) return own.distance_wise(f.ours["layers.3"], f.theirs["layers.3"]) end,
  angle_wise = function(f) return own.angle_wise(f.ours["layers.3"], f.theirs["layers.3"]) end,
  decoupled = function(f, o) return own.decoupled(f.logits, f.teacher, y, o) end,
  jsd = function(f, o) return loss.jsd(f.logits, f.teacher, o) end,
  -- multilabel and regression are formulas that a task writes with operators
  multilabel = function(f, o)
    local function bce(logits, target)
      return mean(g.binary_cross_entropy_with_logits(logits, target, { reduction = 0 }):mean { dim = { -1 } }, o.weight)
    end
    local t = o.temperature
    return bce(f.logits, multi) * o.alpha + bce(f.logits / t, (f.teacher / t):sigmoid()) * ((1 - o.alpha) * t * t)
  end,
  ["regression [N]"] = function(f, o) return mse(f, data.numbers, o, o.weight) end,
  ["regression [N, 1]"] = function(f, o) return mse(f, data.numbers, o, o.weight) end,
  ["regression [N, D]"] = function(f, o) return mse(f, data.vectors, o, o.weight) end,
}

local function options_of(case)
  local o = { weight = case.weighted and weights or nil }
  for name, value in pairs(case.options) do o[name] = value end
  return o
end

describe("losses on a student's weights equal PyTorch's:", function()
  for _, case in ipairs(data.cases) do
    local name = case.name .. (case.weighted and ", weighted" or "")
    local compute = assert(COMPUTE[case.name], case.name)
    it(name, function()
      local f = fresh(case.single)
      local value = compute(f, options_of(case))
      expect(value.shape):equals {}
      expect(value:item()):near(case.value, 1e-12)
      value:backward()
      local seen = 0
      for _, pair in ipairs { { "student", f.student }, { "projection", f.projection } } do
        for path, p in pair[2]:named_parameters() do
          local wanted = case.grads[pair[1] .. "." .. path]
          if wanted then
            seen = seen + 1
            expect(values(p.grad or g.zeros_like(p))):near(wanted.values, 1e-12)
          end
        end
      end
      expect(seen):equals((case.name == "hint" or case.name == "cosine") and 8 or 6)
    end)
  end
end)

describe("losses of tokens, padding left out, equal PyTorch's:", function()
  local TOKENS = {
    kd = function(s, t, labels, o) return loss.kd_loss(s, t, labels, o).loss end,
    labels = function(s, _, labels, o) return loss.cross_entropy(s, labels, o) end,
  }
  for _, name in ipairs { "kl", "reverse_kl", "jsd" } do
    TOKENS[name] = function(s, t, labels, o)
      o.target = labels
      return loss[name](s, t, o)
    end
  end
  for _, case in ipairs(data.tokens.cases) do
    it(case.name .. (case.weighted and ", weighted" or ""), function()
      local s = tensor_of(data.tokens.student):requires_grad_()
      local value = TOKENS[case.name](s, tensor_of(data.tokens.teacher), tensor_of(data.tokens.y, "int64"), options_of(case))
      expect(value:item()):near(case.value, 1e-12)
      value:backward()
      expect(values(s.grad)):near(case.grads.logits.values, 1e-12)
    end)
  end
end)

describe("a training of one's own", function()
  it("goes where PyTorch's goes: kd and a hint, AdamW, twenty steps", function()
    local wanted, f = data.trajectory, fresh()
    local trained = {}
    for _, module in ipairs { f.student, f.projection } do
      for _, p in ipairs(module:parameters()) do trained[#trained + 1] = p end
    end
    local optimizer = g.optim.AdamW(trained, { lr = wanted.lr, weight_decay = wanted.weight_decay })
    for step = 1, wanted.steps do
      local logits, ours = f.student:forward_taps(x, { "layers.1" })
      local kd = loss.kd_loss(logits, f.teacher, y, { temperature = wanted.temperature, alpha = wanted.alpha }).loss
      local total = kd + own.hint(f.projection, ours["layers.1"], f.theirs["layers.1"]) * wanted.hint
      expect(total:item()):near(wanted.losses[step], 1e-10)
      optimizer:minimize(total)
    end
    for _, pair in ipairs { { "student", f.student }, { "projection", f.projection } } do
      for path, p in pair[2]:named_parameters() do expect(values(p)):near(wanted[pair[1]][path].values, 1e-10) end
    end
  end)

  it("does so by run:distill, in single precision", function()
    a_run(function(run)
      local wanted = data.trajectory
      local function single(module, given)
        filled(module, given)
        return module:to "float32"
      end
      local student, map = single(nn.MLP { 8, 12, 12, 5 }, data.student), single(nn.Linear(12, 16), data.projection)
      local d = g.data.tensors(x:float(), y, { classes = 5 })
      run:distill { student = student, teacher = single(nn.MLP { 8, 16, 16, 5 }, data.teacher), data = { train = d }, batch = 6,
        budget = { steps = wanted.steps }, lr = wanted.lr, decay = "constant", warmup = 0, clip = false,
        weight_decay = wanted.weight_decay, temperature = wanted.temperature, alpha = wanted.alpha, augment = 0,
        losses = { kd = 1, hint = { weight = wanted.hint, module = map, student = { "layers.1" }, teacher = { "layers.1" },
          loss = function(_, out) return own.hint(map, out.student["layers.1"], out.teacher["layers.1"]) end } } }
      for _, pair in ipairs { { "student", student }, { "projection", map } } do
        for path, p in pair[2]:named_parameters() do expect(values(p)):near(wanted[pair[1]][path].values, 1e-5) end
      end
    end)
  end)
end)

describe("what a term's function is given", function()
  local support = require "support"
  local function said(fn)
    local d = g.data.tensors(g.randn { 32, 4 }, g.zeros({ 32 }, { dtype = "int64" }), { classes = 3 })
    local hint = { loss = fn, student = { "layers.0" }, teacher = { "layers.0" } }
    local _, err = pcall(support.with_run, {}, function(run)
      run:distill { student = nn.MLP { 4, 8, 3 }, teacher = nn.MLP { 4, 8, 3 }, data = { train = d }, batch = 8, budget = { steps = 2 },
        losses = { kd = 1, hint = hint } }
    end)
    return type(err) == "table" and err.message or tostring(err)
  end
  it("names what is there where something else is asked for", function()
    expect(said(function(_, out) return out["layers.0"] end))
      :matches "losses: out has no 'layers%.0'; expected out%.logits, out%.student%['layers%.0'%]"
    expect(said(function(_, out) return out.student["layers.1"] end))
      :matches "out%.student has no 'layers%.1'; expected student = { 'layers%.1' } of the term"
    expect(said(function(_, out) return out.teacher["layers.1"] end)):matches "expected teacher = { 'layers%.1' } of the term"
  end)
end)

describe("the losses of scripts/lib/own_losses.lua", function()
  it("are kd's own when decoupled's shares are kd's: TCKD + (1 - p of the true class) · NCKD", function()
    local f = fresh()
    local shares = 1 - (f.teacher / 3):softmax(-1):gather(-1, y:unsqueeze(-1)):squeeze(-1)
    local parts = own.decoupled(f.logits, f.teacher, y, { temperature = 3, alpha = 1, beta = shares })
    expect(parts:item()):near(loss.kl(f.logits, f.teacher, { temperature = 3 }):item(), 1e-12)
  end)
  it("stay finite where rows are alike, and where the teacher is sure", function()
    local alike = g.ones({ 4, 3 }, { dtype = "float64" })
    alike[0]:mul_(2)
    local s = alike:clone():requires_grad_()
    local value = own.distance_wise(s, alike) + own.angle_wise(s, alike)
    value:backward()
    expect(value:item()):equals(0)
    expect(s.grad:isfinite():all():item()):is_true()
    local sure = (g.one_hot(y, 5) * 200):float()
    local far = (sure * -1):requires_grad_()
    value = own.decoupled(far, sure, y, { temperature = 1, alpha = 1, beta = 1 })
    value:backward()
    expect(value:isfinite():item()):is_true()
    expect(far.grad:isfinite():all():item()):is_true()
  end)
end)
