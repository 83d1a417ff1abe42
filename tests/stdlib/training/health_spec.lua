local g = require "gradus"
local health = require "gradus.training.health"

-- Feeds evaluations of { train =, val =, acc = …} and gives the names that were found, in order.
local function names(evaluations, options)
  local h, list = health.new(options or { classes = 10, rows = 1000 }), {}
  if options and options.layer then h:stage(true) end
  for _, e in ipairs(evaluations) do
    for _ = 1, 5 do h:step(e.train, e.ce, e.lr or 1) end
    for _, one in ipairs(h:evaluation { loss = e.val, acc = e.acc, constant = e.constant, majority = e.majority, share = e.share,
      progress = e.progress, target_acc = e.target_acc }) do
      expect(one.advice):equals(health.advice[one.name])
      list[#list + 1] = one.name
    end
  end
  return table.concat(list, " ")
end

local function curve(count, fn)
  local list = {}
  for i = 1, count do list[i] = fn(i) end
  return list
end

describe("health names", function()
  it("nothing in a healthy run", function()
    expect(names(curve(40, function(i)
      return { train = 2 * math.exp(-i / 8) + .1, val = 2 * math.exp(-i / 8) + .2, acc = 1 - .9 * math.exp(-i / 6) }
    end))):equals ""
  end)
  it("nothing in a healthy run that ends flat and good", function()
    expect(names(curve(60, function(i) return { train = .05 + 1 / i ^ 3, val = .1 + 1 / i ^ 3, acc = .97 } end))):equals ""
  end)
  it("nothing in noise around a falling curve", function()
    math.randomseed(3)
    expect(names(curve(60, function(i)
      return { train = 2 / (1 + i / 5) * (1 + .1 * (math.random() - .5)), val = 2 / (1 + i / 5) + .1, acc = .9 }
    end))):equals ""
  end)
  it("diverging, once", function()
    expect(names(curve(12, function(i) return { train = 1 * 1.5 ^ i, val = 1.5 ^ i, acc = .1 } end))):equals "diverging"
  end)
  it("oscillating", function()
    expect(names(curve(12, function(i) return { train = i % 2 == 0 and 2 or .5, val = 1 + i % 2 / 10, acc = .5 } end))):equals "oscillating"
  end)
  it("overfitting", function()
    expect(names(curve(20, function(i)
      return { train = 1 / i, val = i < 6 and 1 / i or .2 + (i - 5) * .02, acc = .8 }
    end))):equals "overfitting"
  end)
  it("no overfitting of a stream, nor of an open share, whose training loss is its own", function()
    local function worse(share)
      return names(curve(20, function(i)
        return { train = 1 / i, val = i < 6 and 1 / i or .2 + (i - 5) * .02, acc = .8, share = share(i) }
      end))
    end
    expect(worse(function() return 0 end)):equals ""
    expect(worse(function() return .5 end)):equals ""
    expect(worse(function(i) return i < 10 and .5 or 1 end)):equals "overfitting"
    expect(worse(function(i) return i < 18 and .5 or 1 end)):equals ""  -- too few evaluations since
  end)
  it("overfitting that creeps, by what the training loss falls meanwhile", function()
    local function creeping(train, rise)
      return names(curve(60, function(i)
        return { train = train(i), val = i < 15 and 2.3 - .1 * i or .9 + rise * (i - 14), acc = .85 }
      end))
    end
    expect(creeping(function(i) return 2.3 / (1 + i / 4) end, .0012)):equals "overfitting"
    expect(creeping(function(i) return 2.3 / (1 + i / 4) end, .0004)):equals ""
    math.randomseed(5)
    expect(names(curve(60, function(i)  -- noise, of which the first low value is the lowest
      return { train = 2.3 / (1 + i / 4), val = i < 15 and 2.3 - .14 * i or i == 15 and .25 or .266 + .008 * math.random(), acc = .93 }
    end))):equals ""
    expect(creeping(function(i) return .5 + 1 / i end, .0012)):equals ""  -- the training loss stands
  end)
  it("nothing in the ups and downs of a loss that is next to nothing", function()
    expect(names(curve(40, function(i)
      local small = i % 2 == 0 and .002 or .02
      return { train = i < 4 and .69 or small, val = i < 4 and .69 or .001 * i, acc = .998 }
    end))):equals ""
  end)
  it("diverging and oscillating of a layer, in its own measure", function()
    local function layer(fn) return names(curve(12, function(i) return { train = fn(i) } end), { classes = 2, layer = true }) end
    expect(layer(function(i) return .001 * 1.5 ^ i end)):equals "diverging"
    expect(layer(function(i) return i % 2 == 0 and .01 or .002 end)):equals "oscillating"
    expect(layer(function(i) return i < 3 and 1 / i or .2 end)):equals ""
  end)
  it("what the training loss alone tells", function()
    expect(names(curve(12, function(i) return { train = 1.5 ^ i } end))):equals "diverging"
    expect(names(curve(12, function(i) return { train = i % 2 == 0 and 2 or .5 } end))):equals "oscillating"
    expect(names(curve(12, function() return { train = 2.3, ce = 2.3 } end))):equals "stagnant"
    expect(names(curve(12, function() return { train = .3, ce = .3 } end))):equals ""  -- it began with what it knows
    expect(names(curve(30, function(i) return { train = .5 + 2 / i ^ 3 } end))):equals ""
  end)
  it("a plateau stagnant, after half of the budget, and not collapsed", function()
    local function plateau(from, to)
      return names(curve(10, function(i)
        return { train = .7, ce = .7, val = .7, acc = .5, constant = 1, majority = .51, progress = from + (to - from) * i / 10 }
      end), { classes = 2, rows = 1000 })
    end
    expect(plateau(0, .49)):equals ""
    expect(plateau(.1, .6)):equals "stagnant"
  end)
  it("collapsed at once where it gave other answers before", function()
    expect(names(curve(6, function(i)
      return { train = 2 / i, val = 2 / i, acc = i < 3 and .8 or .1, constant = i < 3 and .12 or 1, majority = .11, progress = i / 100 }
    end))):equals "collapsed"
  end)
  it("stagnant far from the teacher, not at the end of the learning rate", function()
    local flat = function() return { train = .7, val = .7, acc = .5 } end
    expect(names(curve(10, flat), { classes = 2, rows = 1000, teacher_acc = 1 })):equals "stagnant"
    expect(names(curve(10, flat), { classes = 2, rows = 1000, teacher_acc = .55 })):equals ""
    local function imitating(acc) return function() return { train = .7, val = .7, acc = .5, target_acc = acc } end end
    expect(names(curve(10, imitating(.55)), { classes = 2, rows = 1000, teacher_acc = 1 })):equals ""  -- an early checkpoint
    expect(names(curve(10, imitating(.9)), { classes = 2, rows = 1000, teacher_acc = 1 })):equals "stagnant"
    expect(names(curve(10, imitating(.4)), { classes = 2, rows = 1000, teacher_acc = 1 })):equals ""  -- and better than it
    expect(names(curve(16, function(i)
      local loss = i < 8 and 1 / i or .14
      return { train = loss, val = loss, acc = .5, lr = i < 8 and 1 or .01 }
    end))):equals ""
  end)
  it("collapsed", function()
    expect(names(curve(5, function(i) return { train = 2 / i, ce = 2 / i, val = 2 / i, acc = .1, constant = 1, majority = .11 } end)))
      :equals "collapsed"
    expect(names(curve(5, function(i) return { train = 2 / i, ce = 2 / i, val = 2 / i, acc = .95, constant = 1, majority = .95 }
    end))):equals ""
  end)
  it("a teacher worse than the student, beyond the noise of the rows", function()
    local good = function(i) return { train = 2 / i, val = 2 / i, acc = .9 } end
    expect(names(curve(3, good), { rows = 1000, teacher_acc = .8 })):equals "teacher_worse"
    expect(names(curve(3, good), { rows = 1000, teacher_acc = .88 })):equals ""
    expect(names(curve(3, good), { rows = 30, teacher_acc = .8 })):equals ""
  end)
  it("a difficulty jump at a stage", function()
    local function jump(before, after)
      local h, found = health.new { classes = 10 }, nil
      for _ = 1, 50 do h:step(before, before) end
      h:stage()
      for _ = 1, 50 do found = h:step(after, after) or found end
      return found and found[1].name
    end
    expect(jump(.1, 1.5)):equals "difficulty_jump"
    expect(jump(.1, .4)):equals(nil)
    expect(jump(1, 2)):equals(nil)
  end)
  it("a difficulty jump by the stages' own rows, clean, whatever augmentation hides", function()
    local function jump(before, now)
      local h, found = health.new { classes = 10 }, nil
      for _ = 1, 30 do h:step(1.8, 1.8) end
      h:evaluation { loss = .5, own_loss = before }
      h:stage()
      h:begins_with(now)
      for _ = 1, 30 do found = h:step(1.8, 1.8) or found end
      return found and { found[1].name, found[1].numbers }
    end
    expect(jump(.1, 1.9)):equals { "difficulty_jump", { before = .1, now = 1.9 } }
    expect(jump(.1, 1.2)):equals(nil)
    expect(jump(.9, 2.5)):equals(nil)  -- not three times as hard
  end)

  -- The loss on labels in each of five steps of so many intervals, and what a student who is no better gives.
  local function by_steps(count, steps, more)
    local h, list = health.new { classes = 10, rows = 1000, teacher_acc = .95 }, {}
    for i = 1, count do
      for k = 1, 5 do h:step(steps(i, k), steps(i, k), .1) end
      for _, one in ipairs(h:evaluation(more(i))) do list[#list + 1] = one.name end
    end
    return table.concat(list, " ")
  end
  it("a rate far too high by the steps inside of an interval, though the interval's end is calm", function()
    local function calm(i) return { loss = 2.3, own_loss = 2.3, acc = .1, own_acc = .1, progress = i / 40 } end
    expect(by_steps(6, function(i, k) return i == 2 and k < 4 and 5 or 2.3 end, calm)):equals "rate_too_high"
    expect(by_steps(6, function() return 2.35 end, calm)):equals ""
    expect(by_steps(6, function(i, k) return i == 2 and k < 4 and 5 or i > 2 and .5 or 2.3 end, calm)):equals ""  -- it came back
  end)
  it("no rate too high of numbers whose batches differ, but one whose squared errors shoot up", function()
    local function of_numbers(peak, after)
      local h, list = health.new { rows = 1000 }, {}
      for i = 1, 6 do
        for k = 1, 5 do
          local loss = i == 1 and k == 1 and 1.16 or i < 3 and peak or after
          h:step(loss, loss, .1)
        end
        for _, one in ipairs(h:evaluation { loss = after, own_loss = after, progress = i / 40 }) do list[#list + 1] = one.name end
      end
      return table.concat(list, " ")
    end
    expect(of_numbers(1.9, 1)):equals ""
    expect(of_numbers(6, 1)):equals ""  -- it came back
    assert(of_numbers(6, 3):find "rate_too_high")
  end)
  it("no rate too high where the steps are hard by their augmentation alone", function()
    local function by_augmentation(own)
      return by_steps(12, function(i) return i < 4 and .4 or 2.5 + .3 * i end, function(i)
        return { loss = .3, own_loss = own, acc = .93, own_acc = .95, progress = i / 40 }
      end)
    end
    expect(by_augmentation(.2)):equals ""
    expect(by_augmentation(nil)):equals "rate_too_high diverging"  -- nobody knows better
  end)
  it("a student too small, which is not one whose rate is low", function()
    local function at(loss) return function(i)
      return { loss = loss(i), own_loss = loss(i), acc = .4, own_acc = .4, progress = i / 40 }
    end end
    local function flattens(i) return 1.3 + math.exp(-i / 4) end
    local function creeps(i) return 2.3 - .02 * i end
    expect(by_steps(40, flattens, at(flattens))):equals "too_small"
    expect(by_steps(40, creeps, at(creeps))):equals ""
    expect(by_steps(40, flattens, function(i)  -- it knows its own rows
      return { loss = flattens(i), own_loss = .1, acc = .4, own_acc = .97, progress = i / 40 }
    end)):equals "stagnant"
  end)
  it("no divergence of a training loss that alpha or temperature moves", function()
    local h, found = health.new { classes = 10 }, 0
    for i = 1, 30 do
      for _ = 1, 5 do h:step(.1 * 1.2 ^ i, 2 / i) end
      found = found + #h:evaluation { loss = 2 / i, own_loss = 2 / i, acc = .9 }
    end
    expect(found):equals(0)
  end)
  it("again in another stage", function()
    local h, count = health.new { classes = 10 }, 0
    for _ = 1, 2 do
      for i = 1, 10 do
        h:step(1.5 ^ i)
        count = count + #h:evaluation { loss = 1.5 ^ i }
      end
      h:stage()
    end
    expect(count):equals(2)
  end)
end)

describe("a student that is too small", function()
  it("is none where it learns a layer or single shots, nor before half of the budget", function()
    local is_too_small = health.new({}).is_too_small
    for _, one in ipairs { { layer = true }, { shot = true }, { layer = true, shot = true } } do
      expect(is_too_small(one, { progress = 1 })):is_false()
      expect(is_too_small(one, {})):is_false()
    end
    expect(is_too_small({}, { progress = .49 })):is_false()
  end)
end)

describe("overfitting", function()
  local is_overfitting = health.new({}).is_overfitting
  local function overfits(val, opened)
    local train = {}
    for i = 1, #val do train[i] = 1 / i end
    return is_overfitting { val = val, opened = opened, clean = function() return train, 1 end, floor = function() return 0 end }
  end
  it("is looked for since all rows are open", function()
    local val = { 1, .2, .2, .2, 1, .99, .97, .96, .96, .975 }
    expect(overfits(val, 4)):is_false()
    expect(overfits(val, 3)):is_true()  -- the lowest of them is the first
    expect(overfits({ 1, .2, .2, .2, .5, .4, .8, .9, 1, 1.1 }, 4)):is_true()
    expect(overfits({ 1, .2, .2, .2, .5, .4, .8, .9, 1, 1.1 }, 5)):is_false()  -- too few since
  end)
end)

describe("a rule", function()
  it("can wait for each finding, and for nothing else", function()
    local told = select(2, pcall(g.when.found, "?????????")):match "expected one of (.*)$"
    local known = {}
    for name in told:gmatch "[%w_]+" do known[#known + 1] = name end
    table.sort(known)
    expect(known):equals(require "gradus.base.sorted_keys"(health.advice))
  end)
end)
