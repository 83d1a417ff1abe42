-- Losses, sums and measures of each kind of labels, by numbers that can be worked out by hand.
local g = require "gradus"
local kinds = require "gradus.training.kinds"

local function t(list, dtype) return g.tensor(list, dtype or "float64") end
local function sums(each, asked)
  return { loss = 0, mass = 0, right = 0, off = 0, n = 0, agreed = 0, often = 0, each = each and {}, asked = asked }
end
local function softplus(x) return math.log(1 + math.exp(x)) end

describe("numbers as labels", function()
  local kind, out, y = kinds.numbers, t { { 1, 2 }, { 3, 5 } }, t { { 0, 2 }, { 3, 1 } }  -- squares 1 0, 0 16
  it("are compared by squared error, mean over columns and rows", function()
    expect(kind.labels(out, { y = y }):item()):near(17 / 4)
    expect(kind.labels(out, { y = y, weight = t { 3, 1 } }):item()):near((3 * .5 + 8) / 4)
    expect(kind.labels(t { { 1 }, { 3 } }, { y = t { 0, 1 } }):item()):near(2.5)
    expect(kind.labels(out, { y = y, weight = t { 0, 0 } }):item()):equals(0)
  end)
  it("mix with a teacher's by alpha", function()
    local found = kind.kd(out, { y = y, teacher = out + 2 }, { alpha = .25 })
    expect({ found.mse:item(), found.teacher_mse:item(), found.loss:item() }):near { 4.25, 4, .25 * 4.25 + .75 * 4 }
    expect(kind.kd(out, { teacher = out + 2 }, { alpha = .25 }).loss:item()):near(4)
    expect(kind.kd(out, { y = y }, { alpha = .25 }).loss:item()):near(4.25)
  end)
  it("are summed up and measured, weighed or not", function()
    local s = sums()
    for _ = 1, 2 do kind.add(s, out, y) end
    expect({ s.loss, s.off, s.n, s.mass }):near { 17, 5, 4, 0 }
    local found = kind.measures(s, 4, 4)
    expect({ found.loss, found.rmse, found.mae }):near { 17 / 4, math.sqrt(17 / 4), 5 / 4 }
    s = sums()
    for _ = 1, 2 do kind.add(s, out, y, t { 3, 1 }) end
    expect({ s.loss, s.off, s.n, s.mass }):near { 2 * (1.5 + 8), 2 * (1.5 + 2), 4, 8 }
    found = kind.measures(s, 4, 8)
    expect({ found.rmse, found.mae }):near { math.sqrt(19 / 8), 7 / 8 }
    s = sums()
    kind.add(s, t { { 1 }, { 3 } }, t { 0, 1 }, t { 2, 1 })
    expect({ s.loss, s.off, s.n, s.mass }):near { 2 + 4, 2 + 2, 2, 3 }
  end)
  it("have the mass of their rows, or weights", function()
    expect(kind.mass { x = out }):equals(2)
    expect(kind.mass({ x = out, weight = t { 3, .5 } }):item()):equals(3.5)
  end)
  it("are one for each output", function()
    expect(function() kind.labels(out, { y = t { 1, 2 } }) end)
      :fails_with "the labels are numbers [2] and the student gives [2, 2]; expected one number for each"
    expect(function() kind.divergence(out, { teacher = t { 1 } }, nil, nil, "kl") end):fails_with "and the teacher gives [1]"
    expect(function() kind.divergence(out, {}, nil, nil, "jsd") end):fails_with "losses: jsd: expected classes; numbers are compared by"
  end)
end)

describe("several labels at once", function()
  local kind, out, y = kinds.multilabel, t { { 0, 2 }, { -1, 3 } }, t { { 1, 1 }, { 1, 0 } }
  -- Of the rows: half of ln 2 and softplus(-2); half of softplus(1) and softplus(3).
  local one, two = (math.log(2) + softplus(-2)) / 2, (softplus(1) + softplus(3)) / 2
  it("have a binary cross-entropy, mean over labels", function()
    expect(kind.labels(out, { y = y }):item()):near((one + two) / 2)
    expect(kind.labels(out, { y = y, weight = t { 1, 3 } }):item()):near((one + 3 * two) / 4)
  end)
  it("learn from a teacher's by the divergence of each outcome, T squared times", function()
    local b, p, q = { teacher = t { { 2 } } }, 1 / (1 + math.exp(-1)), .5
    local kl = p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    local student = t { { 0 } }
    expect(kind.divergence(student, b, { temperature = 2 }, {}, "kl"):item()):near(4 * kl)
    expect(kind.divergence(student, b, { temperature = 2 }, { t2 = false }, "kl"):item()):near(kl)
    expect(kind.divergence(student, { teacher = t { { 8 } } }, { temperature = 2 }, { teacher_temperature = 8 }, "kl"):item()):near(4 * kl)
    expect(kind.divergence(t { { 2 } }, b, { temperature = 2 }, {}, "kl"):item()):near(0)
    expect(function() kind.divergence(student, b, { temperature = 2 }, {}, "jsd") end)
      :fails_with "losses: jsd: expected classes; of several"
    local found = kind.kd(student, { teacher = b.teacher, y = t { { 1 } } }, { temperature = 2, alpha = .25 }, {})
    expect({ found.ce:item(), found.kl:item(), found.loss:item(), found.confidence:item() })
      :near { math.log(2), 4 * kl, .25 * math.log(2) + 3 * kl, .5 }
    expect(kind.kd(student, b, { temperature = 2, alpha = .25 }, {}).loss:item()):near(4 * kl)
    expect(kind.kd(t { { 0, 2 } }, { y = t { { 1, 0 } } }, {}, {}).confidence:item()):near((.5 + 1 / (1 + math.exp(2))) / 2)
  end)
  it("are summed up and measured", function()
    local s = sums(true, true)
    for _ = 1, 2 do kind.add(s, out, y, nil, t { { 1, 1 }, { 0, 0 } }) end  -- right: 2 of 2, of 0; guesses 0 1, 0 1
    expect({ s.loss, s.right, s.agreed, s.n, s.mass, #s.each, s.each[1]:numel() }):near { 2 * (one + two), 1, 2, 4, 0, 2, 4 }
    local found = kind.measures(s, 4, 4)
    expect({ found.loss, found.acc, found.agreement }):near { (one + two) / 2, .25, .5 }
    s = sums()
    kind.add(s, out, y, t { 1, 3 })
    expect({ s.loss, s.mass, s.agreed }):near { one + 3 * two, 4, 0 }
    expect(kind.measures(s, 2, 4).agreement):equals(nil)
    expect(function() kind.add(s, out, t { { 1 }, { 1 } }) end):fails_with "expected one logit for each label"
  end)
end)

describe("classes by their shares", function()
  it("are summed up by cross-entropy and the likeliest", function()
    local kind, s = kinds.soft, sums(true)
    local out, y = t { { 0, 0 }, { 0, 0 } }, t { { .75, .25 }, { .25, .75 } }
    for _ = 1, 2 do kind.add(s, out, y, nil, t({ 0, 1 }, "int64")) end
    expect({ s.loss, s.right, s.agreed, s.n, s.mass, #s.each }):near { 4 * math.log(2), 2, 2, 4, 0, 2 }
    expect(s.often:totable()):equals { 4, 0 }
    local uneven = sums()
    kind.add(uneven, t { { 0, 1 }, { 2, 0 } }, y)
    local a, b = math.log(1 + math.exp(1)), math.log(1 + math.exp(-2))
    expect(uneven.loss):near(.75 * a + .25 * (a - 1) + .25 * b + .75 * (b + 2))
    local weighed = sums()
    kind.add(weighed, out, y, t { 1, 3 })
    expect({ weighed.loss, weighed.mass }):near { 4 * math.log(2), 4 }
  end)
  it("lose what training loses, of logits far apart and of rows that weigh nothing too", function()
    local far, shared = t { { 0, 4e4 } }, t { { .5, .5 } }
    local s = sums()
    kinds.soft.add(s, far, shared)
    expect(s.loss):near(2e4)
    expect(s.loss):near(kinds.soft.labels(far, { y = shared }, {}):item())
    s = sums()
    kinds.soft.add(s, t { { 0, 0 }, { 0 / 0, 0 } }, t { { .5, .5 }, { .5, .5 } }, t { 3, 0 })
    expect({ s.loss, s.mass }):near { 3 * math.log(2), 3 }
  end)
end)

describe("classes", function()
  local kind = kinds.classes
  local out, y = t({ { 0, 0 }, { 0, 0 }, { 0, 0 } }, "float32"), t({ 0, 1, -100 }, "int64")
  it("are summed up over the rows that have one", function()
    local s = sums(true, true)
    for _ = 1, 2 do kind.add(s, out, y, nil, t({ 0, 0, 0 }, "int64")) end
    expect({ s.loss, s.right, s.agreed, s.n, s.mass, s.each[2]:numel() }):near({ 4 * math.log(2), 2, 4, 4, 0, 2 }, 1e-6)
    expect(s.often:totable()):equals { 4, 0 }
    local found = kind.measures(s, 4, 4)
    expect({ found.loss, found.acc, found.constant, found.agreement }):near({ math.log(2), .5, 1, 1 }, 1e-6)
    local weighed = sums()
    for _ = 1, 2 do kind.add(weighed, out, y, t({ 1, 3, 5 }, "float32")) end
    expect({ weighed.loss, weighed.mass, weighed.n }):near({ 8 * math.log(2), 8, 4 }, 1e-5)
    expect(kind.measures(weighed, 4, 8).agreement):equals(nil)
  end)
  it("have the mass of what counts", function()
    local function mass(b, alone)
      local found = kind.mass(b, alone)
      return type(found) == "number" and found or found:item()
    end
    local x, weight = out, t { 1, 3, 5 }
    expect({ mass { x = x, y = y }, mass { x = x, y = y, teacher = out }, mass({ x = x, y = y, teacher = out }, true), mass { x = x } })
      :equals { 2, 3, 2, 3 }
    expect({ mass { x = x, y = y, weight = weight }, mass { x = x, y = y, weight = weight, teacher = out },
      mass { x = x, weight = weight } }):equals { 4, 9, 9 }
    local tokens = t({ { 0, -100 }, { 1, 1 }, { -100, -100 } }, "int64")
    expect({ mass { x = x, y = tokens, teacher = out }, mass { x = x, y = tokens, weight = weight } }):equals { 3, 1 + 6 }
  end)
  it("have a loss on labels, and one beside a teacher whose temperature it shares", function()
    local logits, b = t({ { 0, 1 } }, "float32"), { y = t({ 1 }, "int64"), teacher = t({ { 2, 0 } }, "float32") }
    local ce = math.log(1 + math.exp(-1))
    expect(kind.labels(logits, b, {}):item()):near(ce, 1e-6)
    expect(kind.labels(logits, b, { label_smoothing = .5 }):item()):near(.75 * ce + .25 * (ce + 1), 1e-6)
    -- At temperature 2 the teacher has 1 / (1 + e^-1) of the first, the student 1 / (1 + e^.5).
    local p, q = 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(.5))
    local kl = p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    local found = kind.kd(logits, b, { temperature = 2, alpha = .25 }, {})
    expect(found.loss:item()):near(.25 * ce + .75 * 4 * kl, 1e-5)
    expect(kind.divergence(logits, b, { temperature = 2 }, {}, "kl"):item()):near(4 * kl, 1e-5)
    expect(kind.divergence(logits, b, { temperature = 2 }, { t2 = false }, "kl"):item()):near(kl, 1e-5)
    local back = q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p))
    expect(kind.divergence(logits, b, { temperature = 2 }, {}, "reverse_kl"):item()):near(4 * back, 1e-5)
  end)
  it("of tokens have one confidence for each row, over what is hidden", function()
    local found = kind.kd(t({ { { 0, 0 }, { 9, -9 } }, { { 9, -9 }, { 0, 0 } } }, "float32"),
      { y = t({ { 0, -100 }, { 0, 1 } }, "int64") }, { temperature = 1, alpha = 1 }, {})
    expect(found.confidence:totable()):near({ .5, .75 }, 1e-6)
  end)
  it("without labels need several outputs", function()
    expect(function() kinds.none.kd(t { { 1 } }, {}, {}, {}) end):fails_with "the data have no labels and the student has one output"
  end)
end)

describe("the loss of one who knows how often each answer is right", function()
  local task = require "gradus.training.task"
  local function guess(y, options)
    local d = g.data.tensors(g.zeros(y:size(0), 2), y, options)
    return task.new(d.labels):guess(d)
  end
  local function entropy(...)
    local sum = 0
    for _, p in ipairs { ... } do sum = sum - p * math.log(p) end
    return sum
  end
  it("is the entropy of the frequencies, of classes and tokens that count", function()
    expect(guess(t({ 0, 0, 0, 1 }, "int64"), { classes = 3 })):near(entropy(.75, .25), 1e-9)
    expect(guess(t({ 0, -100, -100, 1 }, "int64"), { classes = 3 })):near(math.log(2), 1e-9)
    expect(guess(t({ { 0, 2, -100 }, { 2, 2, -100 } }, "int64"), { classes = 3 })):near(entropy(.25, .75), 1e-9)
  end)
  it("is that of the mean, of distributions, of several labels and of numbers", function()
    expect(guess(t({ { 1, 0 }, { .5, .5 } }, "float32"), { labels = "soft" })):near(entropy(.75, .25), 1e-6)
    expect(guess(t({ { 1, 0 }, { 1, 1 } }, "float32"), { labels = "multilabel" })):near(entropy(.5, .5) / 2, 1e-6)
    expect(guess(t({ 1, 3 }, "float32"), { labels = "numbers" })):near(1, 1e-9)
    expect(guess(t({ { 1, 0 }, { 3, 4 } }, "float32"), { labels = "numbers" })):near((1 + 4) / 2, 1e-9)
  end)
end)

local function logits(list) return t(list, "float32") end
local function ids(list) return t(list, "int64") end

describe("kd of classes", function()
  local nnloss = require "gradus.nn.loss"
  local kind = kinds.classes
  local out, teacher = logits { { 0, 1, 2 }, { 1, 0, 0 }, { 3, 0, 1 } }, logits { { 2, 0, 0 }, { 0, 0, 3 }, { 1, 1, 0 } }
  local y = ids { 2, 0, -100 }
  local k = { temperature = 2, alpha = .25 }
  local weight = logits { 1, 3, 2 }
  it("hears each of its options", function()
    local plain = kind.kd(out, { y = y, teacher = teacher }, k, {}).loss:item()
    for name, value in pairs { label_smoothing = .2, teacher_temperature = 5, t2 = false, reverse = true } do
      local wanted = nnloss.kd_loss(out, teacher, y, { temperature = 2, alpha = .25, [name] = value }).loss:item()
      local found = kind.kd(out, { y = y, teacher = teacher }, k, { [name] = value }).loss:item()
      expect(found):near(wanted, 1e-6)
      assert(math.abs(found - plain) > 1e-3, name)
    end
    expect(kind.kd(out, { y = y, teacher = teacher, weight = weight }, k, {}).loss:item())
      :near(nnloss.kd_loss(out, teacher, y, { temperature = 2, alpha = .25, weight = weight }).loss:item(), 1e-6)
  end)
  it("lets rows without a label learn from the teacher, where labels are classes of rows and there is one", function()
    local partial = kind.kd(out, { y = y, teacher = teacher }, k, { partial = true }).loss:item()
    expect(partial):near(nnloss.kd_loss(out, teacher, y, { temperature = 2, alpha = .25, partial = true }).loss:item(), 1e-6)
    assert(math.abs(partial - kind.kd(out, { y = y, teacher = teacher }, k, {}).loss:item()) > 1e-3)
    expect(kind.kd(out, { y = y }, k, { partial = true }).loss:item()):near(kind.kd(out, { y = y }, k, {}).loss:item(), 1e-6)
    local shares = logits { { 0, 0, 1 }, { 1, 0, 0 }, { 0, 1, 0 } }
    local soft = kinds.soft.kd(out, { y = shares, teacher = teacher }, k, { partial = true })
    expect(soft.loss:item()):near(kinds.soft.kd(out, { y = shares, teacher = teacher }, k, {}).loss:item(), 1e-6)
    expect(soft.confidence:dim()):equals(1)
    local tokens = { y = ids { { 2, 0, -100 } }, teacher = teacher:unsqueeze(0) }
    expect(kind.kd(out:unsqueeze(0), tokens, k, { partial = true }).loss:item())
      :near(kind.kd(out:unsqueeze(0), tokens, k, {}).loss:item(), 1e-6)
  end)
  it("of a row of which nothing is hidden has a confidence of 0", function()
    local found = kind.kd(logits { { { 0, 9 } }, { { 0, 0 } } }, { y = ids { { -100 }, { 1 } } }, { temperature = 1, alpha = 1 }, {})
    expect(found.confidence:totable()):near({ 0, .5 }, 1e-6)
  end)
  it("and labels weigh rows, and smooth", function()
    local rows = { y = ids { 2, 0, 1 } }
    local plain = kind.labels(out, rows, {}):item()
    rows.weight = weight
    local weighed = kind.labels(out, rows, {}):item()
    expect(weighed):near(nnloss.kd_loss(out, nil, rows.y, { temperature = 1, alpha = 1, weight = weight }).loss:item(), 1e-6)
    assert(math.abs(weighed - plain) > 1e-3)
  end)
end)

describe("the divergence of classes from a teacher", function()
  local kind = kinds.classes
  local out, teacher = logits { { 0, 1, 2 }, { 1, 0, 0 } }, logits { { 2, 0, 0 }, { 0, 0, 3 } }
  local k, forms = { temperature = 2, alpha = .25 }, { "kl", "reverse_kl", "jsd" }
  local function of(b, form, o)
    b.teacher = b.teacher or teacher
    return kind.divergence(b.out or out, b, k, o or {}, form):item()
  end
  it("is of all rows, whatever their labels", function()
    for _, form in ipairs(forms) do expect(of({ y = ids { -100, 1 } }, form)):near(of({}, form), 1e-6) end
  end)
  it("is of the hidden positions of tokens", function()
    for _, form in ipairs(forms) do
      local second = of({ out = out:slice(0, 1, 2), teacher = teacher:slice(0, 1, 2) }, form)
      expect(of({ out = out:unsqueeze(0), teacher = teacher:unsqueeze(0), y = ids { { -100, 2 } } }, form)):near(second, 1e-5)
    end
  end)
  it("weighs rows, leaves T squared out, and hears the teacher's temperature", function()
    for _, form in ipairs(forms) do
      local one, two = of({ out = out:slice(0, 0, 1), teacher = teacher:slice(0, 0, 1) }, form),
        of({ out = out:slice(0, 1, 2), teacher = teacher:slice(0, 1, 2) }, form)
      expect(of({ weight = logits { 1, 3 } }, form)):near((one + 3 * two) / 4, 1e-5)
      expect(of({}, form, { t2 = false })):near((one + two) / 8, 1e-5)
      if form ~= "jsd" then assert(math.abs(of({}, form, { teacher_temperature = 5 }) - of({}, form)) > 1e-3) end
    end
    assert(math.abs(of({}, "kl") - of({}, "reverse_kl")) > 1e-3)
  end)
  it("needs several outputs where the data have no labels", function()
    for _, name in ipairs { "kd", "divergence" } do
      expect(function() kinds.none[name](t { { 1 } }, { teacher = t { { 2 } } }, k, {}, "kl") end):fails_with "has one output"
    end
    expect(kinds.none.divergence(out, { teacher = teacher }, k, {}, "kl"):item()):near(of({}, "kl"), 1e-6)
  end)
end)

describe("tokens", function()
  it("are summed up over what is hidden, a row's weight for each of its positions", function()
    local kind, out, y = kinds.tokens, logits { { { 0, 0 }, { 0, 9 } }, { { 0, 0 }, { 0, 0 } } }, ids { { 0, -100 }, { 1, 0 } }
    local s = sums(true, true)
    kind.add(s, out, y, nil, ids { { 0, 1 }, { 1, 0 } })
    expect({ s.loss, s.right, s.agreed, s.n, s.mass, s.each[1]:numel() }):near({ 3 * math.log(2), 2, 2, 3, 0, 3 }, 1e-5)
    expect(s.often:totable()):equals { 3, 0 }
    local weighed = sums()
    kind.add(weighed, out, y, logits { 5, 2 })
    expect({ weighed.loss, weighed.mass, weighed.n }):near({ 9 * math.log(2), 9, 3 }, 1e-5)
  end)
end)

describe("weights that are all zero", function()
  it("give a loss of 0, and no NaN", function()
    local zero = t { 0, 0 }
    expect(kinds.multilabel.labels(t { { 1 }, { 2 } }, { y = t { { 1 }, { 0 } }, weight = zero }):item()):equals(0)
    expect(kinds.numbers.divergence(t { { 1 }, { 2 } }, { teacher = t { { 5 }, { 2 } }, weight = zero }, nil, nil, "kl"):item()):equals(0)
  end)
end)

describe("several numbers for each row", function()
  it("count by their mean, row by row", function()
    local kind, out, y, weight = kinds.numbers, t { { 1, 0 }, { 2, 0 }, { 0, 4 } }, g.zeros({ 3, 2 }, { dtype = "float64" }), t { 1, 2, 3 }
    expect(kind.labels(out, { y = y }):item()):near((.5 + 2 + 8) / 3)
    expect(kind.labels(out, { y = y, weight = weight }):item()):near((.5 + 2 * 2 + 3 * 8) / 6)
    local s = sums()
    kind.add(s, out, y, weight)
    expect({ s.loss, s.off, s.n, s.mass }):near { .5 + 2 * 2 + 3 * 8, .5 + 2 * 1 + 3 * 2, 3, 6 }
    s = sums()
    kind.add(s, out, y)
    expect({ s.loss, s.off, s.n, s.mass }):near { 10.5, 3.5, 3, 0 }
    local images, zeros = out:reshape { 3, 1, 2 }, y:reshape { 3, 1, 2 }
    expect(kind.labels(images, { y = zeros, weight = weight }):item()):near((.5 + 2 * 2 + 3 * 8) / 6)
  end)
end)

describe("a number for each row", function()
  local kind, out, y = kinds.numbers, t { 1, 3 }, t { 0, 1 }  -- squares 1, 4
  it("is compared and summed up like one column", function()
    expect(kind.labels(out, { y = y }):item()):near(2.5)
    expect(kind.labels(out, { y = y, weight = t { 3, 1 } }):item()):near(7 / 4)
    expect(kind.divergence(out, { teacher = t { { 0 }, { 1 } }, weight = t { 3, 1 } }, nil, nil, "kl"):item()):near(7 / 4)
    local s = sums()
    kind.add(s, out, y, t { 3, 1 })
    expect({ s.loss, s.off, s.n, s.mass }):near { 7, 5, 2, 4 }
  end)
  it("is told by a teacher as a teacher's error, no gradient of its own", function()
    local found = kind.kd(out, { teacher = t { 0, 0 } }, { alpha = .25 })
    expect({ found.loss:item(), found.teacher_mse:item(), found.mse }):near { 5, 5 }
  end)
end)

describe("each kind", function()
  it("says which way its measures are better, and whether a teacher answers", function()
    local classes = { loss = "lower", acc = "higher", agreement = "higher", kd_loss = "lower" }
    for _, name in ipairs { "classes", "tokens", "soft", "multilabel", "none" } do
      expect({ name, kinds[name].better, kinds[name].answers }):equals { name, classes, true }
    end
    expect({ kinds.numbers.better, kinds.numbers.answers }):equals { { loss = "lower", rmse = "lower", mae = "lower", kd_loss = "lower" } }
  end)
  it("has the mass of its rows where these have shares, or several labels", function()
    local x = g.zeros(3, 2)
    for _, name in ipairs { "soft", "multilabel" } do
      expect(kinds[name].mass { x = x, y = g.zeros(3, 2) }):equals(3)
      expect(kinds[name].mass({ x = x, weight = t { 1, .5, 0 } }):item()):equals(1.5)
    end
  end)
end)
