-- What a sweep's trials tell of their parameters: exact shares, and every sentence of the advice.
local effects = require "gradus.experiment.effects"
local params = require "gradus.experiment.params"
local space = require "gradus.experiment.space"

local specs = params.declare { a = 2, b = 2, lr = 1e-2 }

local function range(text, key) return space.parse(key or "lr", text, specs) end

describe("the importance of parameters", function()
  local function shares(axes, rows)
    local trials = {}
    for i, row in ipairs(rows) do trials[i] = { given = { a = row[1], b = row[2], lr = row[1] }, value = row[3] } end
    return effects.importance(axes, trials)
  end
  local a, b = { key = "a", values = { 1, 2 } }, { key = "b", values = { 1, 2 } }

  it("takes off what chance explains", function()
    -- By a the means are 1 and 4 (squares 9), beside 1 left over of two free: 9 - .5 of 10.
    local found = shares({ a }, { { 1, 1, .5 }, { 1, 1, 1.5 }, { 2, 1, 3.5 }, { 2, 1, 4.5 } })
    expect(found.a):near((9 - .5) / 10, 1e-12)
    expect(shares({ a }, { { 1, 1, 0 }, { 1, 1, 1 }, { 2, 1, 0 }, { 2, 1, 1 } }).a):equals(0)
  end)
  it("says nothing of too few trials, or of what does not vary or is not finite", function()
    expect(shares({ a }, { { 1, 1, 0 }, { 2, 1, 1 } })):equals {}
    expect(shares({ a }, { { 1, 1, 0 }, { 2, 1, 1 }, { 2, 1, 1 } }).a):equals(1)
    expect(shares({ a, b }, { { 1, 1, 0 }, { 2, 1, 1 }, { 2, 2, 1 } })):equals {}
    expect(shares({ a }, {})):equals {}
    expect(shares({ a }, { { 1, 1, 2 }, { 1, 1, 2 }, { 2, 1, 2 }, { 2, 1, 2 } })):equals {}
    expect(shares({ a }, { { 1, 1, 2 }, { 1, 1, 2 }, { 2, 1, 1 / 0 }, { 2, 1, 2 } })):equals {}
  end)
  it("is that of each alone, where they are tried unevenly", function()
    local found = shares({ a, b }, { { 1, 1, 0 }, { 1, 1, 0 }, { 1, 2, 1 }, { 2, 1, 0 }, { 2, 2, 1 }, { 2, 2, 1 } })
    expect({ found.a, found.b }):near { 0, 1 }
  end)
  it("of opposite parts is at most all", function()
    -- a gives 4, b -3, mostly tried together: ±2 and ±1.5 in all trials, 32 and 18 of 26.
    local found = shares({ a, b }, { { 1, 1, 0 }, { 1, 1, 0 }, { 1, 1, 0 }, { 2, 2, 1 }, { 2, 2, 1 }, { 2, 2, 1 }, { 2, 1, 4 },
      { 1, 2, -3 } })
    expect({ found.a, found.b }):near({ 1, 18 / 32 }, 1e-9)
  end)
  it("of a range of few whole numbers is by these: trials of one value, the best first, are not told apart", function()
    local rows = {}
    for i = 1, 40 do rows[i] = { 1 + i % 2, 1, i } end
    expect(shares({ range "lin(1,2)" }, rows).lr):near(0, .01)
    for i = 1, 40 do rows[i] = { i <= 20 and 1 or 2, 1, i <= 20 and 0 or 1 } end
    expect(shares({ range "lin(1,2)" }, rows).lr):equals(1)
  end)
  it("of a range is by quarters of equally many trials", function()
    local rows = {}
    for i, value in ipairs { 5, 5, 1, 1, 7, 7, 3, 3, 3 } do rows[i] = { i * i, 1, value } end
    -- The quarters have 3, 2, 2 and 2 trials: 5 5 1, 1 7, 7 3, 3 3.
    local middle, left, part = 35 / 9, 0, 0
    for _, quarter in ipairs { { 5, 5, 1 }, { 1, 7 }, { 7, 3 }, { 3, 3 } } do
      local sum = 0
      for _, v in ipairs(quarter) do sum = sum + v end
      for _, v in ipairs(quarter) do left, part = left + (v - sum / #quarter) ^ 2, part + (sum / #quarter - middle) ^ 2 end
    end
    expect(shares({ range "lin(0,100)" }, rows).lr):near(math.max(0, part - 3 * left / 5) / (part + left), 1e-12)
    for i, value in ipairs { 5, 6, 1, 1, 9, 8 } do rows[i] = { ({ 3, 3, 1, 1, 2, 2 })[i], 1, value } end
    for i = 7, 9 do rows[i] = nil end
    -- Those of one value in one: 1 1, 9 8, 5 6.
    expect(shares({ range "lin(0,100)" }, rows).lr):near((57 - 2 * 1 / 3) / 58, 1e-12)
  end)
end)

describe("advice about a range", function()
  -- The best first, at these values.
  local function said(axis, values, more)
    local ranked = {}
    for i, value in ipairs(values) do ranked[i] = { given = { [axis.key] = value }, value = -i, runs = 2 } end
    for key, value in pairs(more or {}) do ranked[1][key] = value end
    return effects.advice({ axis }, ranked, {})
  end
  local cases = {
    { "lin(0,10)", .99, "low", "lin(-10,10)" }, { "lin(0,10)", 9.01, "high", "lin(0,20)" }, { "lin(2,4)", 2, "low", "lin(0,4)" },
    { "lin(2,4)", 4, "high", "lin(2,6)" }, { "log(1,100)", 1.5, "low", "log(0.01,100)" }, { "log(1,100)", 64, "high", "log(1,1e+04)" },
    { "log(0.1,10)", 9, "high", "log(0.1,1e+03)" }, { "log(0.1,10)", .11, "low", "log(0.001,10)" },
  }
  for _, case in ipairs(cases) do
    it(("whose best lies at the %s end of %s"):format(case[3], case[1]), function()
      expect(said(range(case[1]), { case[2] })):equals {
        ("lr: the best lies at the %s end of its range: --set lr=%s"):format(case[3], case[4]) }
    end)
  end
  it("is none where the best lies within, and too few were tried", function()
    for _, case in ipairs { { "lin(0,10)", 1 }, { "lin(0,10)", 9 }, { "log(1,100)", 1.6 }, { "log(1,100)", 63 }, { "lin(0,10)", 5 } } do
      expect(said(range(case[1]), { case[2] })):equals {}
    end
    expect(said(range "lin(0,10)", { 5, 6, 5, 5, 5, 5, 5 })):equals {}
  end)
  it("narrows it to where the best quarter lies, if that is less than half", function()
    expect(said(range "lin(0,10)", { 5, 6, 9, 1, 1, 1, 1, 1 })):equals { "lr: the best quarter lies from 5 to 6: --set lr=lin(5,6)" }
    expect(said(range "lin(0,10)", { 6, 5, 4, 1, 1, 1, 1, 1, 1 })):equals { "lr: the best quarter lies from 4 to 6: --set lr=lin(4,6)" }
    expect(said(range "log(1,100)", { 5, 6, 9, 1, 1, 1, 1, 1 })):equals { "lr: the best quarter lies from 5 to 6: --set lr=log(5,6)" }
    expect(said(range "lin(0,10)", { 3, 8, 9, 1, 1, 1, 1, 1 })):equals {}
    expect(said(range "lin(0,10)", { 5, 5, 9, 1, 1, 1, 1, 1 })):equals {}
  end)
end)

describe("advice about what a parameter takes", function()
  local limited = params.declare { n = params.int(3, { min = 1, max = 9 }), share = params.number(.5, { min = 0, max = 1 }) }
  local function said(key, text, values)
    local ranked = {}
    for i, value in ipairs(values) do ranked[i] = { given = { [key] = value }, value = -i, runs = 2 } end
    return effects.advice({ space.parse(key, text, limited) }, ranked, {})[1]
  end
  it("stays whole and within its limits", function()
    expect(said("n", "1,2", { 1, 2 })):equals(nil)
    expect(said("n", "2,5", { 2, 5 })):equals "n: the best is its smallest value: --set n=2,1"
    expect(said("n", "3,8", { 8, 3 })):equals "n: the best is its largest value: --set n=8,9"
    expect(said("share", ".5,.8", { .8, .5 })):equals "share: the best is its largest value: --set share=0.8,1"
    expect(said("n", "lin(2,8)", { 8 })):equals "n: the best lies at the high end of its range: --set n=lin(2,9)"
    expect(said("n", "log(3,9)", { 3 })):equals "n: the best lies at the low end of its range: --set n=log(1,9)"
    expect(said("share", "lin(0,1)", { .99 })):equals(nil)
  end)
end)

describe("advice about the trials", function()
  local axis = { key = "a", values = { 1, 2, 3 } }
  local function said(first, second, more, share)
    local ranked = { first, second, unpack(more or {}) }
    for _, one in ipairs(ranked) do one.given = one.given or { a = 2 } end
    return effects.advice({ axis }, ranked, { a = share })
  end
  it("asks for more seeds where the first places may be luck", function()
    local luck, close = "one seed each: the first places may be luck; --seeds 3 tells",
      "the two best differ by less than their seeds do: more --seeds, or take either"
    expect(said({ value = 2 }, { value = 1 })):equals { luck }
    expect(said({ value = 2, runs = 1, sd = 9 }, { value = 1 })):equals { luck }
    expect(said({ value = 2, runs = 1 })):equals {}
    expect(said({ value = 2, runs = 2, sd = 1.1 }, { value = 1 })):equals { close }
    expect(said({ value = -2, runs = 3, sd = 1.1 }, { value = -1 })):equals { close }
    expect(said({ value = 2, runs = 2, sd = 1 }, { value = 1 })):equals {}
    expect(said({ value = 2, runs = 2, sd = 0 }, { value = 2 })):equals {}
    expect(said({ value = 2, runs = 2 }, { value = 1 })):equals {}
  end)
  it("leaves out what does nothing, where enough was tried to say so", function()
    local more = {}
    for i = 1, 6 do more[i] = { value = -i } end
    local nothing = "a: alone without effect here; a fixed value leaves more trials to the others"
    expect(said({ value = 2, runs = 2, given = { a = 3 } }, { value = 1 }, more, .02)):equals { nothing }
    expect(said({ value = 2, runs = 2, given = { a = 3 } }, { value = 1 }, more, .03))
      :equals { "a: the best is its largest value: --set a=3,4.5" }
    more[6] = nil
    expect(said({ value = 2, runs = 2, given = { a = 3 } }, { value = 1 }, more, .02)):equals {}
    expect(said({ value = 2, runs = 2, given = { a = 3 } }, { value = 1 }, more))
      :equals { "a: the best is its largest value: --set a=3,4.5" }
  end)
end)
