-- What a training tells of a step before its first one: what it costs, of a budget in operations; and the fingerprints of its data.
local g = require "gradus"
local beginning = require "gradus.training.beginning"
local support = require "support"

-- A training whose step is two parts of four rows, of a student of 2 x 3 weights.
local function training(more)
  local asked = {}
  local t = { clock = { budget = { flops = 1000 }, counts = {} }, updater = { batch = 8, rows = 4, pieces = 2 },
    student = g.nn.Linear(2, 3),
    feed = { like = function() return g.ones(4, 2) end }, asked = asked,
    teacher = { cost = function(_, x, pieces)
      asked.x, asked.pieces = x.shape, pieces
      return 100
    end } }
  for key, value in pairs(more or {}) do t[key] = value end
  return t
end

describe("a budget in operations", function()
  local function share(t, work)
    beginning.weigh_step(t, work)
    return t.clock.counts.step_progress
  end
  it("is told what a step takes of it: all of its parts", function()
    expect(share(training(), 50)):near(2 * 50 / 1000, 1e-12)
    expect(share(training { updater = { batch = 8, rows = 8, pieces = 1 } }, 50)):near(50 / 1000, 1e-12)
  end)
  it("is told nothing where there is none, or the steps are known", function()
    expect(share(training { clock = { budget = {}, counts = {} } }, 50)):equals(nil)
    expect(share(training { clock = { budget = { flops = 1000 }, counts = {}, total_steps = 9 } }, 50)):equals(nil)
  end)
  it("is told three forward passes of the student, and the teacher's answers where they are not known", function()
    local forward, t = 2 * 4 * 2 * 3, training()
    expect(share(t)):near(2 * (3 * forward + 100 / 2) / 1000, 1e-12)
    expect(t.asked):equals { x = { 4, 2 }, pieces = 2 }
    local known = training()
    known.teacher.answers = {}
    expect(share(known)):near(2 * 3 * forward / 1000, 1e-12)
    expect(known.asked):equals {}
    expect(known.student.training):is_true()
  end)
end)

describe("the fingerprints of a training's data", function()
  it("are those of its data sets, taken once", function()
    local train, val = support.points(20), support.points(10)
    local t = { train = train, val = val }
    local found = beginning.fingerprints(t)
    expect(found):equals { train = train:fingerprint(), val = val:fingerprint() }
    expect(rawequal(beginning.fingerprints(t), found)):is_true()
    local stream = g.data.generator(function(n) return g.zeros { n, 2 }, g.zeros({ n }):long() end, { epoch = 4 })
    expect(beginning.fingerprints { train = stream, val = val }):equals { val = val:fingerprint() }
    expect(beginning.fingerprints { train = train }):equals { train = train:fingerprint() }
  end)
end)
