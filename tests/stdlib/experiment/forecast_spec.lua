-- What a training will take, by a plan that is a plain table.
local forecast = require "gradus.experiment.forecast"

-- Spans { from, to, flops of a step, known }, a hundredth of the budget each step.
local function work(spans, total, budget)
  local the = { spans = {}, seen = {}, total = total, run = { budget = budget or {} } }
  for i, one in ipairs(spans) do
    the.spans[i] = { from = one[1], to = one[2], per_step = one.per_step == nil and .01 or one.per_step or nil, known = one[4] ~= false }
    the.seen[i] = { flops = one[3] }
  end
  return { forecast.work(the) }
end

describe("the work of a plan", function()
  it("is that of its stages, each at its cost", function()
    expect(work({ { 0, .25, 10 }, { .25, 1, 20 } }, 100)):equals { 100, 250 + 1500, true }
    expect(work({ { 0, .25, 10 }, { 1, 1, 20 } }, 100)):equals { 100, 250, true }
    expect(work({ { 0, .25, 10 }, { 2, 1, 20 } }, 100)):equals { 100, 250, true }  -- it never begins
  end)
  it("is at most that of the dearest stage where the run decides", function()
    expect(work({ { 0, 1, 10, false }, { 0, 1, 30 }, { 0, 1, 20 } }, 100)):equals { 100, 3000, false }
    expect(work({ { 0, 1, 10 }, { 0, 1, 30, false } }, 100)):equals { 100, 3000, false }
  end)
  it("is at most what the budget has, and that alone where no steps are known", function()
    expect(work({ { 0, 1, 10 } }, 100, { flops = 900 })):equals { 100, 900, true }
    expect(work({ { 0, 1, 10 } }, 100, { flops = 1100 })):equals { 100, 1000, true }
    expect(work({ { 0, 1, 10 } }, nil, { flops = 900 })):equals { nil, 900, true }
    expect(work({ { 0, 1, 10, per_step = false } }, nil)):equals { nil, nil, false }
  end)
end)
