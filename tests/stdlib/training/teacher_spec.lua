-- The teacher's side of a training: what its answers cost, whether they change with every step, whether they are left.
local g = require "gradus"
local teacher = require "gradus.training.teacher"
local nn = g.nn

-- A teacher's side that imitates `answer`; more: its options. said: warnings.
local function imitating(answer, more)
  local said = {}
  local run = { device = "cpu", warn = function(_, name, text) said[#said + 1] = name .. ": " .. text end }
  local options = { run = run, batch = 8, rows = 4, student = nn.Linear(2, 3), taps = {} }
  for key, value in pairs(more or {}) do options[key] = value end
  local one = teacher.new(options)
  one:imitate("spec", answer)
  return one, said
end

describe("what a teacher's answers cost", function()
  local forward = 2 * 4 * 2 * 3  -- of four rows
  it("is a forward pass of each part, counted once; of labels nothing", function()
    local one = imitating(nn.Linear(2, 3))
    expect({ one:cost(g.ones(4, 2), 2), one:cost(g.ones(1, 2), 1) }):equals { 2 * forward, 2 * forward }
    one:imitate("spec", nn.Linear(2, 3))
    expect(one:cost(g.ones(4, 2), 1)):equals(forward)
    expect(imitating("labels"):cost(g.ones(4, 2), 2)):equals(0)
  end)
  it("is the same where they are known: that of a row, for each of the batch", function()
    local one = imitating(nn.Linear(2, 3))
    one.answers = { flops = 12 }
    expect(one:cost(g.ones(4, 2), 2)):equals(12 * 8)
  end)
  it("leaves the teacher in its mode", function()
    local module = nn.Linear(2, 3):train()
    imitating(module):cost(g.ones(4, 2), 1)
    expect(module.training):is_true()
  end)
end)

describe("a teacher that is trained", function()
  it("is one that has a parameter of the student's, or is a function", function()
    local student = nn.Sequential { nn.Linear(2, 2), nn.Linear(2, 3) }
    local function trained(answer) return imitating(answer, { student = student }):is_trained() end
    expect({ trained(nn.Linear(2, 3)), trained(student), trained(nn.Sequential { student[0], nn.Linear(2, 3) }), trained "labels",
      trained { nn.Linear(2, 3), nn.Linear(2, 3) }, trained { nn.Linear(2, 3), student } }):equals { false, true, true, false, false, true }
  end)
end)

describe("known answers", function()
  it("are left where somebody has changed the teacher, and asked from then on", function()
    local one, moved = imitating(nn.Linear(2, 3)), false
    expect(one:leave_if_moved()):is_false()
    one.answers = { moved = function() return moved end }
    expect({ one:leave_if_moved(), one.answers ~= nil }):equals { false, true }
    moved = true
    expect({ one:leave_if_moved(), one.answers, one:leave_if_moved() }):equals { true, nil, false }
    one.answers = {}
    one:imitate("spec", nn.Linear(2, 3))
    expect(one.answers):equals(nil)
  end)
  it("are none where modules' outputs are asked for, nor of labels", function()
    local one = imitating(nn.Linear(2, 3), { taps = { "" } })
    expect({ one:know_answers(false), one.answers }):equals { 0 }
    one = imitating "labels"
    expect({ one:know_answers(false), one.answers, one:prepare(), one:state() }):equals { 0, nil, 0, {} }
  end)
end)

describe("what a feed asks a teacher for", function()
  it("is its answer, and the outputs of modules beside it", function()
    local module, x = nn.MLP { 2, 4, 3 }, g.randn { 5, 2 }
    local ask = imitating(module).ask
    expect({ #ask.modules, rawequal(ask.modules[1], module) }):equals { 1, true }
    local plain = ask.of(x)
    expect(plain.teacher:equal(module(x))):is_true()
    expect(imitating("labels").ask):equals(nil)
    local one, said = imitating(module, { taps = { "layers.0" } })
    local found = one.ask.of(x)
    expect(found.teacher:allclose(module(x), { atol = 1e-6 })):is_true()
    expect(found["teacher:layers.0"]:allclose(module.layers:get(0)(x), { atol = 1e-6 })):is_true()
    expect({ found.teacher.requires_grad, found["teacher:layers.0"].requires_grad, said }):equals { false, false, {} }
    local wide = imitating(nn.MLP({ 2, 4, 3 }):to "float64", { taps = { "layers.0" } }).ask.of(x)
    expect({ wide.teacher.dtype, wide["teacher:layers.0"].dtype }):equals { "float32", "float32" }
  end)
  it("is of the first of several where modules' outputs are asked for, which is told", function()
    local first = nn.MLP { 2, 4, 3 }
    local several = { first, nn.MLP { 2, 4, 3 } }
    local _, said = imitating(several, { taps = { "layers.0" } })
    expect(said):equals { "teacher_taps: losses: the outputs of modules are taken from the first of several teachers" }
    _, said = imitating(several)
    expect(said):equals {}
  end)
end)
