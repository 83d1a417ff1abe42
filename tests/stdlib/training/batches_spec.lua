-- The open loop's counts: an own loop is charged as run:distill is for the same steps.
local g = require "gradus"
local store_module = require "gradus.store"
local support = require "support"

local STEPS, SIZE = 7, 12

-- The floating-point operations that a run of fn ends with, as the store has them.
local function charged(fn)
  local folder = os.tmpname()
  os.remove(folder)
  support.with_run({ folder = folder }, fn)
  local rows = store_module.open(folder .. "/s.db"):query "SELECT flops FROM progress WHERE run_id = 1 ORDER BY step DESC LIMIT 1"
  os.execute("rm -rf " .. folder)
  return rows[1].flops
end

-- The same steps in a loop of one's own; body(i, student): what else is done in a round.
local function own_loop(options, body)
  return charged(function(run)
    local student, d = support.student(), support.points()
    local optimizer = g.optim.SGD(student:parameters(), { lr = .1 })
    local teacher = options.teacher and support.student(16)
    local step = run:step(function(b, k)
      local z = student(b.x)
      local loss = teacher and g.loss.kd_loss(z, b.teacher, b.y, { temperature = 2, alpha = .5 }).loss or g.loss.cross_entropy(z, b.y)
      optimizer:minimize(loss, k)
      return { loss = loss }
    end)
    for i, b in run:batches(d, { size = SIZE, steps = STEPS, teacher = teacher, teacher_cache = options.teacher_cache }) do
      step(b, { lr = .1 })
      if body then body(i, student, run, d) end
    end
  end)
end

local function distilled(teacher)
  return charged(function(run)
    run:distill { student = support.student(), teacher = teacher and support.student(16), data = support.points(), batch = SIZE, lr = .1,
      teacher_cache = teacher and false, budget = { steps = STEPS } }
  end)
end

-- Products of a forward and a backward pass of 6 → width → 3; nobody asks for the gradient of the inputs.
local function by_hand(width) return 2 * SIZE * (2 * 6 * width + 3 * width * 3) end

describe("the operations of a loop over run:batches", function()
  it("are those of its body's first round, for each step", function()
    expect(own_loop {}):equals(STEPS * by_hand(8))
    expect(own_loop {}):equals(distilled())
  end)
  it("include the teacher's, whose answers are asked or known", function()
    local wanted = STEPS * (by_hand(8) + 2 * SIZE * (6 * 16 + 16 * 3))
    expect(own_loop { teacher = true, teacher_cache = false }):equals(wanted)
    expect(own_loop { teacher = true, teacher_cache = true }):equals(wanted)
    expect(distilled(true)):equals(wanted)
  end)
  it("have no evaluation among them, nor what later rounds do", function()
    local wanted = own_loop {}
    expect(own_loop({}, function(_, student, run, d) run:evaluate(student, d) end)):equals(wanted)
    expect(own_loop({}, function(i, student, _, d)
      if i > 1 then student((d:gather())) end
    end)):equals(wanted)
  end)
end)

describe("the teacher's answers of a loop over run:batches", function()
  local a_run = require "a_run"
  -- What is told of the cache, and the operations that were charged.
  local function told(options)
    local found
    a_run(function(run, events, rows)
      options.size, options.steps, options.teacher = SIZE, STEPS, support.student(16)
      for _ in run:batches(support.points(24), options) do found = true end
      assert(found)
      found = {}
      for _, one in ipairs(events()) do
        if one.kind == "teacher_cache" then found[#found + 1] = { one.name, one.detail.why or one.detail.rows } end
      end
      found.charged = rows "SELECT flops FROM progress WHERE run_id = ? ORDER BY step DESC LIMIT 1"[1].flops
    end)
    return found
  end
  local forward = 2 * (6 * 16 + 16 * 3)  -- of a row
  it("are known from the cache where that is asked for, and asked at each step elsewhere", function()
    local known = told { teacher_cache = true }
    expect({ known[1], known[2], known.charged }):equals { { "miss", 24 }, nil, STEPS * SIZE * forward }
    local asked = told { teacher_cache = false }
    expect({ asked[1], asked.charged }):equals { { "none", "teacher_cache = false" }, STEPS * SIZE * forward }
  end)
  it("are not known of rows that are augmented, unless the teacher sees them clean", function()
    expect(told({ augment = .5 })[1]):equals { "none", "the teacher sees augmented inputs; expected augment = 0 or teacher_view = 'clean'" }
    expect(told({ augment = .5, teacher_view = "clean" })[1]):equals { "miss", 24 }
  end)
end)

describe("what a teacher sees in a loop over run:batches", function()
  it("is what the student does, or the rows without augmentation", function()
    for view, clean in pairs { augmented = false, clean = true } do
      support.with_run(nil, function(run)
        local d, teacher = support.points(24), support.student(16)
        for _, b in run:batches(d, { size = SIZE, steps = 2, teacher = teacher, teacher_view = view, teacher_cache = false, augment = 1,
          augmentations = { noise = .5 } }) do
          local plain = d.base.x:index_select(0, b.index)
          expect(b.x:equal(plain)):is_false()
          expect(b.teacher:allclose(teacher(clean and plain or b.x), { atol = 1e-6 })):is_true()
        end
      end)
    end
  end)
end)
