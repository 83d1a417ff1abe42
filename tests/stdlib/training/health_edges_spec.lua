-- Each of health's thresholds from both sides, on curves of a few numbers.
local health = require "gradus.training.health"

local Health = getmetatable(health.new {})
local LN10 = math.log(10)

-- Health whose curves and counts are these; one who knows nothing has the loss 1.
local function of(fields)
  local self = { train = {}, val = {}, own = {}, told = {}, settled = 0, opened = 0, ceiling = 0, reference = 1, lr = 1, peak_lr = 1,
    collapsed = 0, best_acc = 0, rows = 100, course = { val = {}, spent = {} }, layer = false }
  for key, value in pairs(fields) do self[key] = value end
  return setmetatable(self, Health)
end

local function rep(value, count, first)
  local list = { first }
  for _ = 1, count do list[#list + 1] = value end
  return list
end

-- One value after others.
local function with(list, ...)
  local all = { unpack(list) }
  for _, value in ipairs { ... } do all[#all + 1] = value end
  return all
end

describe("health's counts", function()
  it("are those of labels, or of a layer's own loss", function()
    local h = health.new { classes = 10 }
    expect({ h.collapsed, h.opened, h.settled, h.ceiling }):equals { 0, 0, 0, 0 }
    expect({ h.rows, h.peak_lr, h.best_acc, h.spent, h.sum, h.count, h.later, h.layer }):equals { 1, 0, 0, 0, 0, 0, false, false }
    h:step(3, 2, .25)
    h:step(3, 4, .125)
    expect({ h.sum, h.count, h.steps, h.lr, h.peak_lr, h.spent, h.reference, h.fast, h.edge }):equals
      { 6, 2, 2, .125, .25, .375, LN10, 3, { 2, 4 } }
    expect(h.ce):near(2.2)
    h:stage(true)
    expect({ h.later, h.layer, h.sum, h.count, h.steps, h.edge, h.before }):equals { true, true, 0, 0, 0, {}, { own = nil, edge = nil } }
    h:step(3, 2)
    expect({ h.sum, h.count, h.fast, h.edge }):equals { 3, 1, nil, {} }
    expect(health.new({ rows = 7 }).rows):equals(7)
  end)
  it("of a stage's end are there after twenty steps of labels", function()
    for steps, wanted in pairs { [19] = false, [20] = .5 } do
      local h = health.new {}
      for i = 1, steps do h:step(9, .5 + (i % 2 - .5) / 10) end
      h:stage()
      expect(h.before.edge and tonumber(("%.6f"):format(h.before.edge)) or false):equals(wanted)
    end
    local h = health.new {}
    for i = 1, 40 do h:step(9, i <= 20 and 7 or 1) end  -- the last twenty
    h:stage()
    expect(h.before.edge):equals(1)
    h:stage()  -- that had no step
    expect(h.later):equals(true)
  end)
  it("of an evaluation are added to the curves", function()
    local h = health.new { classes = 10 }
    expect(h:evaluation { loss = 1 }):equals {}
    expect(h.val):equals {}  -- without a step
    h:step(1, 1, .5)
    h:step(2, 2, .5)
    h:evaluation { loss = .5, own_loss = .25, share = .5, new_rows = true }
    expect({ h.train, h.val, h.own, h.opened, h.settled, h.course, h.sum, h.count }):equals
      { { 1.5 }, { .5 }, { .25 }, 1, 0, { val = { .5 }, spent = { 1 } }, 0, 0 }
    h:step(2, 2, .5)
    h:evaluation { loss = .5, own_loss = .25, share = 1, new_rows = true }
    expect({ h.opened, h.settled }):equals { 1, 1 }
    h:step(2, 2, .5)
    h:evaluation { own_loss = .25, new_rows = false }
    expect({ h.opened, h.settled, #h.train, #h.val, #h.course.val }):equals { 1, 1, 3, 2, 2 }
  end)
  it("come back from a state", function()
    local h, other = health.new { classes = 10 }, health.new { classes = 3 }
    h:step(1, 1, .5)
    other.more = 1
    other:load_state(h:state())
    expect(other:state()):equals(h:state())
    h:step(1, 1, .5)
    expect(other.steps):equals(1)
  end)
end)

describe("a loss that shot up", function()
  local function shot(options, values, begin)
    local h = health.new(options)
    h:step(1, 1)
    if begin then
      h:stage()
      if begin > 0 then h:begins_with(begin) end
    end
    for _, value in ipairs(values) do h:step(value, value) end
    return h.shot
  end
  it("is so far above what one who knows nothing has, over three steps or so", function()
    -- Three steps give 1/4 + 3/4 of the value: above 1.25 ln 10 = 2.878, or twice the first loss of numbers.
    expect({ shot({ classes = 10 }, { 3.51, 3.51 }), shot({ classes = 10 }, { 3.5, 3.5 }) }):equals { 0, nil }
    expect({ shot({}, { 2.34, 2.34 }), shot({}, { 2.33, 2.33 }) }):equals { 0, nil }
    expect({ shot({}, { 9 }), shot({}, { 9, 1 }) }):equals { nil, 0 }
  end)
  it("is so far above what a later stage began with", function()
    expect({ shot({}, { 5, 5, 5 }, 0), shot({}, { 5, 5, 5, 16 }, 0), shot({}, { 5, 5, 5, 14.9 }, 0) }):equals { nil, 0, nil }
    expect({ shot({}, { 5, 5, 5 }, 2), shot({}, { 5, 5, 5 }, 2.5) }):equals { 0, nil }
  end)
  it("comes back below what is known of nothing, by the steps or by clean rows", function()
    local function after(fields, loss, own)
      local h = of(fields)
      h.sum, h.count, h.steps = loss * 2, 2, 2
      h:evaluation { loss = 1, own_loss = own }
      return h.shot
    end
    expect({ after({ shot = 0, classes = 10 }, .81), after({ shot = 0, classes = 10 }, .8), after({ shot = 1, classes = 10 }, .81) })
      :equals { 1, nil, 2 }
    expect({ after({ shot = 0 }, 1.01), after({ shot = 0 }, 1), after({ shot = 0 }, 5, .9), after({ shot = 0 }, .9, 5) })
      :equals { 1, nil, nil, nil }
    expect(after({}, 5)):equals(nil)
  end)
end)

describe("health's judgement of", function()
  -- { what, fields or their list, evaluation, wanted }
  local function judged(name, cases)
    for i, case in ipairs(cases) do
      local got = Health[name](of(case[1]), case[2] or {})
      if (got and true or false) ~= case[3] then error(("%s: case %d: expected %s"):format(name, i, tostring(case[3])), 0) end
    end
  end
  local LONG = { 1, .9, .8, .7, .6, .5 }

  it("what is small", function()
    expect({ of({ classes = 2 }):floor { 1 }, of({ classes = 2 }):floor { -10 }, of({}):floor { 1 },
      of({ classes = 2, layer = true }):floor { 1 } }):near { .05, .1, .01, .01 }
  end)
  it("which curve is clean", function()
    expect({ of({ train = { 1, 2 }, own = { 3, 4 }, settled = 1 }):clean() }):equals { { 3, 4 }, 2 }
    expect({ of({ train = { 1, 2 }, own = { 3, 4 }, settled = 2 }):clean() }):equals { { 1, 2 }, 1 }
    expect({ of({ train = { 1, 2 }, own = { 3 } }):clean() }):equals { { 1, 2 }, 1 }
  end)
  it("a rate that is too high", function()
    judged("is_rate_too_high", {
      { { shot = 2 }, nil, true }, { { shot = 1 }, nil, false }, { { shot = 2, layer = true }, nil, false },
      { { train = rep(1.11, 3) }, nil, true }, { { train = rep(1.1, 3) }, nil, false }, { { train = rep(1.11, 2) }, nil, false },
      { { train = rep(2.3, 3), ceiling = 2 }, nil, true }, { { train = rep(2.1, 3), ceiling = 2 }, nil, false },
      { { train = rep(9, 3), own = rep(1.04, 3), val = rep(1.04, 3) }, nil, true },
      { { train = rep(9, 3), own = rep(1.03, 3), val = rep(1.04, 3) }, nil, false },
      { { train = rep(9, 3), own = rep(1.04, 3), val = rep(1.03, 3) }, nil, false },
      { { train = rep(9, 3), own = rep(1, 3) }, nil, true }, { { train = rep(9, 3), val = rep(1, 3) }, nil, true },
    })
  end)
  it("divergence", function()
    local up, lost, kept = { 1, 1.1, 1.2, 1.6 }, { .1, .1, .1, .31, .31, .31 }, { .1, .1, .1, .3, .3, .3 }
    judged("is_diverging", {
      { { train = up }, nil, true }, { { train = up, reference = 1.7 }, nil, false },
      { { train = up, reference = 1.7, layer = true }, nil, true },
      { { train = up, own = { 1, 1, 1, 1 } }, nil, false }, { { train = { 1, 1, 1, 1 }, own = up }, nil, true },
      { { train = up, own = { 1, 1, 1, 1 }, layer = true }, nil, true },
      { { train = { 1 }, val = lost, own = lost }, nil, true }, { { train = { 1 }, val = kept, own = lost }, nil, false },
      { { train = { 1 }, val = lost, own = kept }, nil, false },
      { { train = { 1 }, val = lost, own = {} }, nil, false }, { { train = { 1 }, val = {}, own = lost }, nil, false },
      { { train = { 1 }, val = lost, own = lost, layer = true }, nil, false },
      { { train = { 1 }, val = lost, own = lost, settled = 1 }, nil, false },
    })
  end)
  it("oscillation", function()
    -- Seven moves, the largest aside six: above 6 shares of the mean 1 + d / 2.
    local function turns(d) return { 1, 1 + d, 1, 1 + d, 1, 1 + d, 1, 1 + d } end
    judged("is_oscillating", {
      { { own = turns(.128) }, nil, true }, { { own = turns(.127) }, nil, false }, { { own = turns(.5), settled = 1 }, nil, false },
      { { train = turns(.29) }, nil, true }, { { train = turns(.28) }, nil, false }, { { own = rep(1, 8), train = turns(.5) }, nil, false },
      { { own = rep(1, 8), train = turns(.5), layer = true }, nil, true }, { { own = turns(.5), reference = 12.6 }, nil, false },
      { { own = turns(.5), reference = 12.4 }, nil, true }, { { own = { 1 }, train = turns(.5) }, nil, false },
    })
  end)
  it("oscillation late and far from the teacher, where smaller turns tell", function()
    local function turns(d, level)
      local list = {}
      for i = 1, 8 do list[i] = (level or .5) * (1 + (i % 2) * d) end
      return list
    end
    local far, late = { acc = .6, own_acc = .6 }, { acc = .6, own_acc = .6, progress = .5 }
    local function of_teacher(d, level, more)
      local fields = { own = turns(d, level), teacher_acc = .9 }
      for key, value in pairs(more or {}) do fields[key] = value end
      return fields
    end
    judged("is_oscillating", {
      { of_teacher(.036), far, true }, { of_teacher(.034), far, false }, { of_teacher(.036), late, true },
      { of_teacher(.036), { acc = .6, own_acc = .6, progress = .4 }, false },
      { of_teacher(.036), { acc = .85, own_acc = .85 }, false }, { of_teacher(.036, .5, { teacher_acc = false }), far, false },
      { of_teacher(.011, .98), far, true }, { of_teacher(.009, .98), far, false }, { of_teacher(.011, .94), far, false },
      { of_teacher(.011, .5, { guess = .5 }), far, true },  -- it knows how often each answer is right, and no more
    })
  end)
  it("overfitting that is fast", function()
    local function case(val, train, more)
      local fields = { val = val, train = train }
      for key, value in pairs(more or {}) do fields[key] = value end
      return fields
    end
    local fall = { 1, .9, .8, .7, .6, .5, .4 }
    judged("is_overfitting", {
      { case({ 1, 1, 1, 1.15, 1.2, 1.2, 1.16 }, fall), nil, true }, { case({ 1, 1, 1, 1.14, 1.2, 1.2, 1.16 }, fall), nil, false },
      { case({ 1, 1, 1, 1.16, 1.2, 1.2, 1.16 }, fall), nil, false },
      { case({ 1, 1, 1.15, 1.2, 1.2, 1.16 }, LONG), nil, true }, { case({ 1, 1.15, 1.2, 1.2, 1.16 }, LONG), nil, false },
      { case({ 1, 1, 1, 1.15, 1.2, 1.2, 1.16 }, { 2, 1, 1, 1, 1, 1, .94 }), nil, true },
      { case({ 1, 1, 1, 1.15, 1.2, 1.2, 1.16 }, { 2, 1, 1, 1, 1, 1, .95 }), nil, false },
      { case({ 1, 1, 1, 1.15, 1.2, 1.2, 1.16 }, { .9, 1, 1, 1, 1, 1, .9 }), nil, false },
      { case({ 1, 1, 1, 1.15, 1.2, 1.2, 1.16 }, fall, { classes = 10, reference = 1 }), nil, true },
      { case({ .01, .01, .01, .02, .03, .03, .04 }, fall, { classes = 10 }), nil, false },  -- next to nothing
      { case({ 1, 1, 1, 1.15, 1.2, 1.2, 1.16 }, fall, { opened = 1 }), nil, true },
      { case({ 1, 1, 1, 1.15, 1.2, 1.2, 1.16 }, fall, { opened = 2 }), nil, false },
    })
  end)
  it("overfitting that creeps", function()
    -- Four low values, then eight that rise a little; the training loss falls from 1 at the fourth.
    local function creeping(rise, train)
      local val, list = rep(1, 4), rep(1, 4)
      for _ = 1, 8 do val[#val + 1], list[#list + 1] = rise, train end
      return { val = val, train = list }
    end
    judged("is_overfitting", {
      { creeping(1.031, .59), nil, true }, { creeping(1.029, .59), nil, false }, { creeping(1.031, .61), nil, false },
      { creeping(1.101, .74), nil, true }, { creeping(1.099, .74), nil, false }, { creeping(1.101, .76), nil, false },
    })
    local function of_ten(rise, train)  -- shares of what it was, not differences
      local one = creeping(10 * rise, 10 * train)
      for i = 1, 4 do one.val[i], one.train[i] = 10, 10 end
      return one
    end
    judged("is_overfitting", {
      { of_ten(1.031, .59), nil, true }, { of_ten(1.029, .59), nil, false }, { of_ten(1.031, .61), nil, false },
      { of_ten(1.101, .74), nil, true }, { of_ten(1.099, .74), nil, false }, { of_ten(1.101, .76), nil, false },
    })
    local short = creeping(1.05, .5)
    short.val[12], short.train[12] = nil, nil
    judged("is_overfitting", { { short, nil, false } })
  end)
  it("what is learnt", function()
    local function learnt(fields, acc) return of(fields):has_learnt(acc) and true or false end
    expect({ learnt({ teacher_acc = .9 }, .8), learnt({ teacher_acc = .9 }, .79), learnt({ teacher_acc = .9, target_acc = .5 }, .4) })
      :equals { true, false, true }
    expect({ learnt { train = { .79 } }, learnt { train = { .8 } }, learnt({ train = { .79 } }, .1) }):equals { true, false, true }
    expect({ learnt { train = { 1 }, classes = 10, ce = 1.15 }, learnt { train = { 1 }, classes = 10, ce = 1.16 } }):equals { true, false }
    expect({ of({}):can_move(.5), of({ lr = .5 }):can_move(.5), of({ lr = .49 }):can_move(.5), setmetatable({}, Health):can_move(.5) })
      :equals { true, true, false, true }
  end)
  it("stagnation", function()
    local function flat(more)
      local fields = { train = rep(1, 8), val = rep(1, 8) }
      for key, value in pairs(more or {}) do fields[key] = value end
      return fields
    end
    judged("is_stagnant", {
      { flat(), {}, true }, { flat(), { progress = .5 }, true }, { flat(), { progress = .49 }, false },
      { flat { train = rep(1, 7) }, {}, false },
      { flat { layer = true }, {}, false }, { flat { shot = 0 }, {}, false }, { flat { lr = .1 }, {}, true },
      { flat { lr = .09 }, {}, false },
      { flat { train = with(rep(1, 7), 1.03) }, {}, false }, { flat { val = with(rep(1, 7), 1.03) }, { loss = 1 }, false },
      { flat { val = with(rep(1, 7), 1.03) }, {}, true }, { flat { teacher_acc = .9 }, { acc = .8 }, false },
      { flat { teacher_acc = .9 }, { acc = .79 }, true },
    })
  end)
  it("a student that is too small, standing still", function()
    local function still(more)
      local fields = { train = rep(.7, 8), val = rep(.7, 8), teacher_acc = .9 }
      for key, value in pairs(more or {}) do fields[key] = value end
      return fields
    end
    local far = { acc = .7, own_acc = .7 }
    judged("is_too_small", {
      { still(), far, true }, { still(), { acc = .7, own_acc = .7, progress = .5 }, true },
      { still(), { acc = .7, own_acc = .7, progress = .4 }, false },
      { still(), { acc = .7 }, true }, { still(), { acc = .8, own_acc = .7 }, false }, { still(), { acc = .7, own_acc = .8 }, false },
      { still(), { acc = .76, own_acc = .84 }, true }, { still(), { acc = .79, own_acc = .86 }, false },
      { still(), { acc = .6, own_acc = .7 }, true }, { still(), { acc = .5, own_acc = .7 }, false },
      { still { train = rep(.8, 8) }, far, false }, { still { teacher_acc = false }, far, false },
      { still(), { acc = .7, own_acc = .7, share = .9 }, false }, { still(), { acc = .7, share = .9 }, true },
      { still { target_acc = .75 }, far, false },
    })
  end)
  it("a student that is too small, and slow", function()
    -- Falls of 4 at first and of less at last, over the same sums of rates.
    local function slow(last, more)
      local val, spent = {}, {}
      for i = 1, 5 do val[i], spent[i] = .9 - .1 * i, i end
      for i = 6, 9 do val[i], spent[i] = .4 - last / 4 * (i - 5), i end
      local fields = { reference = 4, train = { .9, .4 }, course = { val = val, spent = spent }, teacher_acc = .9 }
      for key, value in pairs(more or {}) do fields[key] = value end
      return fields
    end
    local far = { acc = .74, own_acc = .74 }
    judged("is_too_small", {
      { slow(.19), far, true }, { slow(.21), far, false }, { slow(.1), { acc = .75, own_acc = .75 }, false },
      { slow(.1, { lr = .15 }), far, true }, { slow(.1, { lr = .14 }), far, false }, { slow(.1, { train = { 3.87 } }), far, true },
      { slow(.1, { train = { 3.89 } }), far, false }, { slow(.1, { shot = 0 }), far, false },
      { slow(-.19), far, true }, { slow(-.21), far, false },
    })
  end)
  it("a student that is too small, its units dead: what it learnt, the answers' frequencies, it learnt long ago", function()
    local function dead(last, more)
      local fields = { train = rep(1, 8), val = rep(1, 8), teacher_acc = .9,
        course = { val = { 1.4, 1.3, 1.2, 1.1, 1, 1 - last, 1 - 2 * last, 1 - 3 * last, 1 - 4 * last },
          spent = { 1, 2, 3, 4, 5, 6, 7, 8, 9 } } }
      for key, value in pairs(more or {}) do fields[key] = value end
      return fields
    end
    local one = { acc = .1, own_acc = .1, constant = 1 }
    judged("is_too_small", {
      { dead(0), one, true }, { dead(.049), one, true }, { dead(.051), one, false },
      { dead(0), { acc = .1, own_acc = .1, constant = .99 }, false }, { dead(0), { acc = .1, own_acc = .1 }, false },
      { dead(0, { teacher_acc = .15 }), one, false }, { dead(0, { train = with(rep(1, 7), 1.03) }), one, false },
    })
  end)
  it("a student that gives one answer", function()
    local function collapsed(fields, e, times)
      local h, found = of(fields), nil
      for _ = 1, times or 3 do found = h:is_collapsed(e) end
      return found and true or false
    end
    local e = { constant = 1, majority = .2, acc = .2 }
    local seen = { best_acc = .31 }
    expect({ collapsed(seen, e), collapsed(seen, e, 2), collapsed({ best_acc = .29 }, e),
      collapsed({ best_acc = .29, classes = 10, ce = 1.1 }, e) })
      :equals { true, false, false, true }
    expect({ collapsed(seen, { constant = .991, majority = .2 }), collapsed(seen, { constant = .99, majority = .2 }),
      collapsed({ best_acc = 1.1 }, { constant = 1, majority = .89 }), collapsed({ best_acc = 1.1 }, { constant = 1, majority = .9 }) })
      :equals { true, false, true, false }
    expect({ collapsed(seen, { constant = 1 }), collapsed(seen, { majority = .2 }) }):equals { false, false }
    expect(collapsed({ classes = 10, ce = 1.1 }, { constant = 1, majority = .2, share = .9 })):equals(false)
    expect(collapsed({}, { constant = 1, majority = .2, acc = .31 })):equals(true)
    local h = of(seen)
    for _, constant in ipairs { 1, 1, .5, 1, 1 } do
      expect(h:is_collapsed { constant = constant, majority = .2 } and true or false):equals(false)
    end
  end)
  it("a teacher that is worse", function()
    judged("is_better_than_teacher", {
      { { teacher_acc = .5, rows = 1e6 }, { acc = .531 }, true }, { { teacher_acc = .5, rows = 1e6 }, { acc = .529 }, false },
      -- three times the noise of both: 3 sqrt((.25 + .24) / 100) = .21
      { { teacher_acc = .5, rows = 100 }, { acc = .71 }, true }, { { teacher_acc = .5, rows = 100 }, { acc = .7 }, false },
      { {}, { acc = .9 }, false }, { { teacher_acc = .5 }, {}, false },
    })
  end)
  it("a stage's difficulty", function()
    local function jump(before, now, fields)
      local h = of(fields or { classes = 10 })
      h.before, h.began_with = { own = before }, now
      local found = h:judge_jump()
      return found and found[1].numbers
    end
    expect({ jump(.1, 1.49), jump(.1, 1.48), jump(.9, 2.71), jump(.9, 2.69) })
      :equals { { before = .1, now = 1.49 }, nil, { before = .9, now = 2.71 }, nil }
    expect({ jump(.1, .71, {}) ~= nil, jump(.1, .69, {}) ~= nil }):equals { true, false }
    local h = of { classes = 10, edge = { 2, 4 }, before = { edge = .5 } }
    expect(h:judge_jump()[1].numbers):equals { before = .5, now = 3 }
    expect(h.before):equals {}
    h = health.new { classes = 10 }
    for i = 1, 21 do
      h.began_with, h.before = 5, { own = .1 }
      expect(h:step(1, 1) ~= nil):equals(i == 20)  -- judged at that step alone
    end
  end)
end)

describe("what one who knows nothing loses", function()
  it("is what the untrained student does on clean rows, where somebody looked", function()
    local h = health.new { classes = 10 }
    h:begins_with(3)
    h:step(2.9, 2.9)
    expect(h.reference):equals(3)
    h = health.new { classes = 10 }
    h:begins_with(2)
    expect(h.reference):near(LN10, 1e-12)  -- guessing costs so much
    for _, loss in ipairs { 2.5, 9 } do h:step(loss, loss) end
    expect(h.reference):equals(2.5)  -- nothing is learnt before the first step, and in the second it may be lost
    h = health.new {}
    h:begins_with(.25)
    expect(h.reference):equals(.25)  -- of numbers nobody knows better
    h = health.new { classes = 10 }
    h:begins_with(0 / 0)
    h:step(2.9, 2.9)
    expect(h.reference):equals(2.9)
    h:stage()
    h:begins_with(5)
    expect({ h.reference, h.ceiling, h.began_with }):equals { 2.9, 5, 5 }
  end)
  it("is less where answers differ in how often they are right", function()
    local far = { acc = .2, own_acc = .2, loss = .6, own_loss = .6 }
    local function small(guess) return of({ train = rep(.6, 8), val = rep(.6, 8), teacher_acc = .9, guess = guess }):is_too_small(far) end
    expect({ small(nil), small(.76), small(.74) }):equals { true, true, false }
    local function learnt(guess) return of({ train = { .6 }, guess = guess }):has_learnt() and true or false end
    expect({ learnt(nil), learnt(.76), learnt(.74) }):equals { true, true, false }
    local function after(guess)
      local h = of { shot = 0, classes = 10, sum = .6, count = 1, steps = 1 }
      h:evaluation { guess = guess }
      return h.shot
    end
    expect({ after(nil), after(.76), after(.74) }):equals { nil, nil, 1 }
  end)
end)

describe("what health tells of an evaluation", function()
  local function told(fields, e)
    local h, list = of(fields), {}
    h.sum, h.count, h.steps = fields.mean or 1, 1, 1
    for i, one in ipairs(h:evaluation(e)) do list[i] = { one.name, one.numbers } end
    return list
  end
  it("has the numbers of each sign", function()
    expect(told({ train = { 1, 1.1, 1.2 }, mean = 1.6 }, { acc = .5 }))
      :equals { { "diverging", { train_loss = 1.6, val_acc = .5, untrained = 1 } } }
    expect(told({ shot = 1, classes = 2 }, { loss = 1, own_loss = 2, own_acc = .3 }))
      :equals { { "rate_too_high", { train_loss = 1, val_loss = 1, own_loss = 2, untrained = 1 } } }
    expect(told({ train = rep(.7, 7), mean = .7, teacher_acc = .9 }, { acc = .7, own_acc = .75 }))
      :equals { { "too_small", { val_acc = .7, own_acc = .75, teacher_acc = .9 } } }
    expect(told({ collapsed = 2, best_acc = .5 }, { constant = 1, majority = .2, acc = .1 }))
      :equals { { "collapsed", { share = 1, val_acc = .1 } } }
    expect(told({ teacher_acc = .5 }, { acc = .9 })):equals { { "teacher_worse", { val_acc = .9, teacher_acc = .5 } } }
  end)
  it("is a rate too high where a loss goes up and down about an untrained student's, else that it oscillates", function()
    local function turning(level, more)
      local fields = { train = {}, own = {}, teacher_acc = .9 }
      for i = 1, 7 do fields.own[i], fields.train[i] = level * (1 + i % 2 * .2), level end
      for key, value in pairs(more or {}) do fields[key] = value end
      for _, value in ipairs(fields.earlier or {}) do
        table.insert(fields.own, 1, value)
        table.insert(fields.train, 1, value)
      end
      local names = told(fields, { own_loss = level, acc = .85, own_acc = .85, guess = fields.guess })
      return #names > 0 and names[1][1] or nil
    end
    expect({ turning(.56), turning(.53), turning(.56, { ceiling = 1.1 }), turning(.3, { guess = .5 }) })
      :equals { "rate_too_high", "oscillating", "oscillating", "rate_too_high" }
    for settled = 0, 1 do expect(turning(.53, { earlier = { 1, 1 }, settled = settled })):equals "oscillating" end
    expect({ turning(.53, { told = { rate_too_high = true } }), turning(.53, { told = { diverging = true } }) }):equals {}
  end)
  it("is nothing where losses are NaN, or after three steps", function()
    local nan = 0 / 0
    for _, e in ipairs { { loss = nan, own_loss = nan }, { loss = nan, own_loss = .3, acc = .2, own_acc = .2 },
      { loss = .3, own_loss = nan, acc = .2, own_acc = .2 }, { acc = nan, own_acc = nan } } do
      for _, train in ipairs { nan, 5, .3 } do
        local h = health.new { classes = 10, rows = 100 }
        h.teacher_acc = .9
        for i = 1, 40 do
          for _ = 1, 5 do h:step(train, train ~= 5 and train or i, .1) end
          local names = {}
          for _, one in ipairs(h:evaluation(e)) do names[#names + 1] = one.name end
          if train ~= train or train == .3 and (e.loss ~= e.loss or e.own_loss ~= e.own_loss) then expect(names):equals {} end
        end
      end
    end
    local h = health.new { classes = 10, rows = 100 }
    h:begins_with(2.4)
    for _, loss in ipairs { 2.4, 9, 30 } do
      expect(h:step(loss, loss, .1)):equals(nil)
      expect(h:evaluation { loss = loss, own_loss = loss, acc = .1, own_acc = .1, constant = 1, majority = .1 }):equals {}
    end
  end)
  it("is told once, and of the rate one sign at a time", function()
    expect(told({ shot = 1, classes = 2, told = { rate_too_high = true } }, {})):equals {}
    local h = of { train = { 1, 1.1, 1.2 }, shot = 1 }
    h.sum, h.count = 1.6, 1
    expect(h:evaluation({})[1].name):equals "diverging"
    expect(told({ train = rep(1, 7), told = { too_small = true } }, {})):equals {}
    expect(told({ train = rep(1, 7), told = { oscillating = true } }, {})):equals {}
    expect(told({ train = rep(1, 7) }, {})[1][1]):equals "stagnant"
  end)
end)
