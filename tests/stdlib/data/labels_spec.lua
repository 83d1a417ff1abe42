-- What labels are: one rule for all that makes a data set.
local g = require "gradus"
local current = require "gradus.base.current"
local labels = require "gradus.data.labels"
local support = require "support"
local data, with_file = g.data, support.with_file

local X = g.zeros(6, 2)
local TOKENS = g.zeros({ 6, 3 }, { dtype = "int64" })
local function whole(list, dtype) return g.tensor(list, dtype or "int64") end

-- What was told while fn ran, and what fn returned.
local function told(fn)
  local before, texts = current.run, {}
  current.run = { seed = 1, warn = function(_, _, text) texts[#texts + 1] = text end }
  local ok, result = pcall(fn)
  current.run = before
  if not ok then error(result, 0) end
  return texts, result
end

local function of(y, options, x)
  local d = data.tensors(x or X, y, options)
  return d.labels, d.base.y
end

describe("labels that nobody spoke of", function()
  local six = { 0, 1, 2, 0, 1, 2 }
  local rows = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 }, { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } }
  local some = { { 1, 1, 0 }, { 0, 1, 0 }, { 0, 0, 1 }, { 1, 0, 0 }, { 0, 0, 0 }, { 0, 0, 1 } }
  local cases = {
    { "whole numbers", whole(six), nil, "classes", 3, nil, "int64" },
    { "bytes", whole(six, "uint8"), nil, "classes", 3, nil, "int64" },
    { "yes or no", whole(six, "bool"), nil, "classes", 2, nil, "int64" },
    { "a column of whole numbers", whole(six):unsqueeze(1), nil, "classes", 3, nil, "int64" },
    { "floats", g.tensor { .5, 1, 2, 0, 1, 2 }, nil, "numbers", nil, nil, "float32" },
    { "doubles", g.tensor({ .5, 1, 2, 0, 1, 2 }, "float64"), nil, "numbers", nil, nil, "float32" },
    { "two columns of floats", g.tensor { { 1, 2 }, { 0, 1 }, { 1, 0 }, { .5, .5 }, { 1, 0 }, { 0, 1 } }, nil, "numbers", nil, 2,
      "float32" },
    { "distributions", g.tensor(rows) * .7 + .1, nil, "soft", 3, 3, "float32" },
    { "one-hot floats", g.tensor(rows), nil, "soft", 3, 3, "float32" },
    { "one-hot bytes", whole(rows, "uint8"), nil, "soft", 3, 3, "float32" },
    { "one-hot whole numbers", whole(rows), nil, "soft", 3, 3, "float32" },
    { "several of yes or no", whole(some, "bool"), nil, "multilabel", 3, 3, "float32" },
    { "several of 0 or 1", whole(some), nil, "multilabel", 3, 3, "float32" },
    { "several of 0 or 1 beside tokens", whole(some), TOKENS, "tokens", nil, 3, "int64" },
    { "tokens", whole(six):unsqueeze(1):repeat_interleave(3, { dim = 1 }) + 4, nil, "tokens", nil, 3, "int64" },
    { "nothing", nil, nil, "none" },
  }
  for _, case in ipairs(cases) do
    it("are of their kind: " .. case[1], function()
      local got, y = of(case[2], nil, case[3])
      expect({ got.kind, got.classes or 0, got.width or 0, y and y.dtype or "none" })
        :equals { case[4], case[5] or 0, case[6] or 0, case[7] or "none" }
    end)
  end
  it("two floats that sum to 1 by chance in some rows only are numbers", function()
    expect(of(g.tensor { { .5, .5 }, { 0, 1 }, { 1, 0 }, { .5, .5 }, { 1, 0 }, { 0, 1.001 } }).kind):equals "numbers"
    expect(of(g.tensor { { .5, .5 }, { 0, 1 }, { 1, 0 }, { .5, .5 }, { 1, 0 }, { -1, 2 } }).kind):equals "numbers"
  end)
  it("whole numbers in floats are told, and classes where classes are given", function()
    local y = g.tensor { 0, 1, 0, 1, 1, 0 }
    local texts, got = told(function() return of(y) end)
    expect({ got.kind, #texts }):equals { "numbers", 1 }
    expect(texts[1]):matches "data.tensors: labels are whole numbers in a float type: taken as numbers; expected labels = 'classes'"
    texts, got = told(function() return of(y, { classes = 2 }) end)
    expect({ got.kind, got.classes, #texts }):equals { "classes", 2, 0 }
    texts = told(function() return of(y, { labels = "numbers" }) end)
    expect(#texts):equals(0)
    texts = told(function() return of(g.tensor { 0, 1, 0, 1, 1, .5 }) end)
    expect(#texts):equals(0)
    texts = told(function() return of(g.tensor { 0, 3, 0, 1, 1, 0 }) end)  -- no row has 2
    expect(#texts):equals(0)
  end)
  it("most of whose classes no row has are told", function()
    local texts, got = told(function() return of(whole { 2, 120, 7, 30, 60, 4 }) end)
    expect({ got.classes, #texts }):equals { 121, 1 }
    expect(texts[1]):matches "labels from 2 to 120 make 121 classes, most of which no row has"
    expect(of(whole { 2, 120, 7, 30, 60, 4 }).classes):equals(121)  -- outside of a run: a line of the log
    expect(#told(function() return of(whole { 2, 120, 7, 30, 60, 4 }, { classes = 121 }) end)):equals(0)
    expect(#told(function() return of(whole { 0, 1, 2, 3, 4, 9 }) end)):equals(0)
    expect(told(function() return of(whole { 0, 1, 2, 3, 4, 2 ^ 40 }) end)[1]):matches "make 1099511627777 classes"
  end)
end)

describe("guesses at their limits", function()
  local function floats(list)
    local texts, got = told(function() return (data.tensors(g.zeros(#list, 2), g.tensor(list))) end)
    return got.labels.kind, #texts
  end
  local function times(list, n)
    local out = {}
    for i = 1, n do out[i] = list[(i - 1) % #list + 1] end
    return out
  end
  it("so many classes are believed as their square has rows, two always", function()
    for _, case in ipairs { { 1, 100, false }, { 2, 1, true }, { 2, 2, true }, { 3, 8, false }, { 3, 9, true }, { 10, 100, true }, { 10,
      99, false } } do
      expect(labels.are_believable(case[1], case[2])):equals(case[3])
    end
  end)
  it("floats are told as classes only where they are 0 to C - 1 and believed", function()
    for _, case in ipairs { { times({ 0, 1 }, 4), 1 }, { times({ 0, 1, 2 }, 9), 1 }, { times({ 0, 1, 2 }, 8), 0 }, { times({ 1, 2 }, 8),
      0 },
      { times({ 0, 2 }, 9), 0 }, { times({ 0 }, 9), 0 }, { times({ 0, 1.5 }, 9), 0 } } do
      local kind, count = floats(case[1])
      expect({ kind, count }):equals { "numbers", case[2] }
    end
  end)
  it("columns that look like something else are told", function()
    local function columns(rows)
      local texts, got = told(function() return (data.tensors(g.zeros(#rows, 2), g.tensor(rows))) end)
      return got.labels.kind, texts[1]
    end
    for _, case in ipairs {
      { { { 0, 1 }, { 1, 1 }, { 0, 0 } },
        "labels are 0 and 1 in a float type: taken as numbers; expected labels = 'multilabel' if they are that, or" },
      { { { .5, .48 }, { .5, .52 }, { .1, .2 } }, "labels are rows that mostly sum to nearly 1: taken as numbers; "
        .. "expected labels = 'soft' if they are that, with rows that sum to 1, or labels = 'numbers'" },
      { { { .5, .48 }, { .1, .2 } } }, { { { .5, .48 }, { 0, 1.1 }, { .5, .5 } } }, { { { .5, .48 }, { -.1, 1 }, { .5, .5 } } },
      { { { .5, .4 }, { .5, .4 }, { .5, .5 } } },
    } do
      local kind, text = columns(case[1])
      expect(kind):equals "numbers"
      if case[2] then expect(text:find(case[2], 1, true) ~= nil or text):equals(true) else expect(text):equals(nil) end
    end
    expect((columns { { .5, .5 }, { .50004, .5 } })):equals "soft"
    expect((columns { { .5, .5 }, { .5002, .5 } })):equals "numbers"
    expect((columns { { 0, 1 }, { -.00001, 1 } })):equals "numbers"
  end)
  it("whole columns are tokens beside sequences, else what their sums say", function()
    local function kind(y, x) return (data.tensors(x, y)).labels.kind end
    local ones = whole { { 0, 1 }, { 1, 0 } }
    local vectors = g.zeros(2, 2, 3)
    for _, case in ipairs { { ones, g.zeros(2, 2), "soft" }, { ones, g.zeros({ 2, 2 }, { dtype = "int64" }), "tokens" }, { ones, vectors,
      "tokens" },
      { ones, g.zeros(2, 3, 2), "soft" }, { ones, g.zeros({ 2, 3 }, { dtype = "int64" }), "soft" }, { ones, g.zeros(2), "soft" },
      { whole({ { 0, 1 }, { 1, 0 } }, "uint8"), vectors, "soft" }, { whole({ { 0, 1 }, { 1, 0 } }, "bool"), vectors, "soft" },
      { whole({ { 0, 1 }, { 1, 0 } }, "int32"), vectors, "tokens" }, { whole({ { 0, 2 }, { 1, 0 } }, "uint8"), vectors, "tokens" },
      { whole { { 1, 1 }, { 1, 0 } }, g.zeros(2, 2), "multilabel" }, { whole { { 3, 1 }, { 1, 0 } }, g.zeros(2, 2), "tokens" },
      { whole { { 3 }, { 1 } }, g.zeros(2, 2), "classes" } } do
      expect(kind(case[1], case[2])):equals(case[3])
    end
  end)
  it("classes that most rows lack are told above eight, where fewer than half are met", function()
    local function count(list) return #told(function() return data.tensors(g.zeros(#list, 2), whole(list)) end) end
    expect({ count { 0, 7 }, count { 0, 8 }, count { 0, 1, 2, 3, 9 }, count { 0, 1, 2, 9 }, count { 0, 1, 2, 3, 10 } }):equals { 0, 1, 0,
      1, 1 }
    expect({ count { 0, 71 }, count { 0, 72 }, count { 0, 1e6 } }):equals { 1, 1, 1 }
  end)
end)

describe("a row that is refused", function()
  it("is named with its value", function()
    local function bad(y, o) return function() data.tensors(g.zeros(3, 2), y, o) end end
    expect(bad(g.tensor { { 0, 1 }, { 1, 0 }, { 0, 3 } }, { labels = "multilabel" })):fails_with "expected 0 or 1; got 3 in row 2"
    expect(bad(g.tensor { { 0, 1 }, { 5, 0 }, { 0, 3 } }, { labels = "multilabel" })):fails_with "expected 0 or 1; got 5 in row 1"
    expect(bad(g.tensor { { 0, 1 }, { 1, 0 }, { .5, .4 } }, { labels = "soft" })):fails_with "got 0.5 in row 2"
    expect(bad(g.tensor { { 1 }, { 1 }, { 1 } },
      { labels = "soft" })):fails_with "labels = 'soft': expected y [N, C]; got Tensor [3, 1] float32"
    expect(bad(g.tensor { 0, 1, 0 },
      { labels = "multilabel" })):fails_with "labels = 'multilabel': expected y [N, C]; got Tensor [3] float32"
    expect(bad(g.tensor { { 0 }, { 1 }, { 0 } }, { labels = "multilabel", classes = 2 })):fails_with "y has 1 columns; expected 2"
    expect(data.tensors(g.zeros(2, 2), g.tensor { { 0 }, { 1 } }, { labels = "multilabel" }).labels.width):equals(1)
    expect(bad(whole { 0, 3, 1 }, { classes = 3 })):fails_with "labels from 0 to 3; expected 0 to 2 (-100: no label"
    expect(bad(whole { { 0, 3 }, { 1, 1 }, { 1, 1 } }, { labels = "tokens",
      classes = 3 })):fails_with "labels from 0 to 3; expected 0 to 2 (-100: not asked for)"
    expect(bad(whole { 0, 1, 1 }, { classes = 0 })):fails_with "'classes': expected a whole number of at least 1"
    expect(bad(whole { 0, 1, 1 }, { classes = {} })):fails_with "'classes': expected a list"
  end)
  it("is no row with the highest class, or of none where classes are said", function()
    expect(data.tensors(g.zeros(3, 2), whole { 0, 2, 1 }, { classes = 3 }).classes):equals(3)
    expect(data.tensors(g.zeros(1, 2), whole { -100 }, { classes = 1 }).labels):equals { kind = "classes", classes = 1, partial = true }
    expect(data.tensors(g.zeros(2, 2), whole { -100, 4 }).labels):equals { kind = "classes", classes = 5, partial = true }
    expect(data.tensors(g.zeros(1, 2), whole { { -100, -100 } }, { labels = "tokens" }).labels):equals { kind = "tokens", width = 2 }
  end)
  it("has a weight from 0", function()
    local function weight(w) return function() return labels.weight("here", w, 3) end end
    expect(weight(g.tensor { 0, 1, 2.5 })():totable()):equals { 0, 1, 2.5 }
    expect(weight(g.tensor({ { 1 }, { 2 }, { 3 } }, "float64"))().shape):equals { 3 }
    expect(weight(g.tensor { 0, -1, 2 })):fails_with "here: weight: expected numbers from 0; got -1 in row 1"
    expect(weight(g.tensor { 0, 1, math.huge })):fails_with "weight: expected numbers from 0; got inf in row 2"
    expect(weight(g.ones(2))):fails_with "here: weight: expected one number for each of 3 rows; got Tensor [2] float32"
    expect(weight(5)):fails_with "weight: expected one number for each of 3 rows; got 5"
  end)
end)

describe("labels beside each other", function()
  local function agree(got, like) return function() labels.agree("here", got, like) end end
  local function classes(n, names) return { kind = "classes", classes = n, names = names } end
  it("agree where they are of one kind, width and order of names, and no more classes", function()
    for _, pair in ipairs { { classes(3), classes(3) }, { classes(2), classes(3) }, { classes(nil), classes(3) }, { classes(3),
      classes(nil) },
      { classes(2, { "a", "b" }), classes(3, { "a", "b", "c" }) }, { classes(2, { "a", "b" }), classes(2) },
      { { kind = "tokens", width = 5 }, { kind = "tokens", width = 9 } }, { { kind = "numbers", width = 2 }, { kind = "numbers",
        width = 2 } },
      { { kind = "numbers", width = 2 }, { kind = "numbers", declared = true } }, { { kind = "numbers", declared = true },
        { kind = "numbers", width = 2 } } } do
      agree(pair[1], pair[2])()
    end
  end)
  local refused = {
    { "of more classes", classes(4), classes(3), "here: labels: expected 3 classes; got 4 classes" },
    { "of another kind", { kind = "numbers" }, classes(3), "here: labels: expected 3 classes; got numbers" },
    { "of another width", { kind = "numbers", width = 2 }, { kind = "numbers", width = 3 },
      "labels: expected numbers, 3 each; got numbers, 2 each" },
    { "of other answers", { kind = "none" }, { kind = "none", answers = "numbers" },
      "here: labels: expected no labels, answers of the kind 'numbers'; got no labels" },
    { "of another order", classes(2, { "b", "a" }), classes(2, { "a", "b" }),
      "class 0 is 'b' here and 'a' there: expected one order of classes" },
    { "of another name behind", classes(2, { "a", "c" }), classes(2, { "a", "b" }), "class 1 is 'c' here and 'b' there" },
    { "of a name too many", classes(3, { "a", "b", "c" }), classes(3, { "a", "b" }), "class 2 is 'c' here and 'none' there" },
  }
  for _, case in ipairs(refused) do
    it("do not agree " .. case[1], function() expect(agree(case[2], case[3])):fails_with(case[4]) end)
  end
end)

describe("labels = …", function()
  local cases = {
    { "classes", g.tensor { 0, 1, 0, 2, 0, 2 }, "int64" }, { "numbers", whole { 0, -3, 0, 2, 0, 2 }, "float32" },
    { "tokens", whole { { 0, 1 }, { 1, 0 }, { 1, 1 }, { 0, 1 }, { 0, 1 }, { 0, -100 } }, "int64" },
    { "soft", g.tensor({ { 0, 1 }, { 1, 0 }, { .3, .7 }, { 0, 1 }, { 0, 1 }, { 0, 1 } }, "float64"), "float32" },
    { "multilabel", g.tensor { { 0, 1 }, { 1, 0 }, { 1, 1 }, { 0, 1 }, { 0, 1 }, { 0, 1 } }, "float32" },
    { "numbers", g.tensor { { .4, .6 }, { 1, 0 }, { 1, 0 }, { 0, 1 }, { 0, 1 }, { 0, 1 } }, "float32" },
  }
  for _, case in ipairs(cases) do
    it("is heard: " .. case[1], function()
      local got, y = of(case[2], { labels = case[1] })
      expect({ got.kind, y.dtype }):equals { case[1], case[3] }
    end)
  end
  local wrong = {
    { "halves as classes", g.tensor { 0, 1, .5, 0, 0, 0 }, { labels = "classes" },
      "labels = 'classes': expected whole numbers; got 0.5 in row 2" },
    { "halves with classes", g.tensor { 0, 1, .5, 0, 0, 0 }, { classes = 3 }, "expected whole numbers; got 0.5 in row 2" },
    { "rows of another sum", g.tensor { { 0, 1 }, { .5, .6 }, { 0, 1 }, { 0, 1 }, { 0, 1 }, { 0, 1 } }, { labels = "soft" },
      "labels = 'soft': expected rows of numbers from 0 that sum to 1; got 0.5" },
    { "a 2 as yes or no", g.tensor { { 0, 1 }, { 1, 2 }, { 0, 1 }, { 0, 1 }, { 0, 1 }, { 0, 1 } }, { labels = "multilabel" },
      "labels = 'multilabel': expected 0 or 1; got 2 in row 1" },
    { "rows that are no distribution beside classes", g.tensor { { 0, 1 }, { 1, 2 }, { 0, 1 }, { 0, 1 }, { 0, 1 }, { 0, 1 } },
      { classes = 2 }, "not every row of y is a distribution (or say labels = 'multilabel' or 'numbers')" },
    { "numbers with classes", g.tensor { 0, 1, .5, 0, 0, 0 }, { labels = "numbers", classes = 2 }, "classes = 2, but labels are numbers" },
    { "tokens in a row", whole { 0, 1, 0, 1, 0, 1 }, { labels = "tokens" }, "labels = 'tokens': expected y [N, L]" },
    { "classes in columns", TOKENS, { labels = "classes" }, "labels = 'classes': expected y [N]" },
    { "another number of columns", g.tensor { { 0, 1 }, { 1, 0 }, { 0, 1 }, { 0, 1 }, { 0, 1 }, { 0, 1 } }, { classes = 3 },
      "y has 2 columns; expected 3, one for each class" },
    { "no labels", nil, { labels = "classes" }, "labels = 'classes', but there are no labels; expected y, or answers = '…'" },
    { "answers beside labels", whole { 0, 1, 0, 1, 0, 1 }, { answers = "numbers" }, "answers has no effect beside labels" },
    { "answers of no kind", nil, { answers = "number" }, "'answers': expected 'classes', 'multilabel', 'numbers'" },
    { "a misspelt kind", whole { 0, 1, 0, 1, 0, 1 }, { labels = "class" }, "'labels': expected 'classes', 'soft'" },
    { "a name twice", whole { 0, 1, 0, 1, 0, 1 }, { classes = { "a", "a" } }, "classes: 'a' is named twice" },
    { "NaN", g.tensor { 0, 1, 0, 0 / 0, 0, 1 }, nil, "data.tensors: a label is not finite; expected numbers; got nan in row 3" },
    { "infinity in a column", g.tensor { { 0, 1 }, { 1, 2 }, { 0, 1 }, { 0, math.huge }, { 0, 1 }, { 0, 1 } }, nil, "got inf in row 3" },
    { "a number above float32's", g.tensor({ 0, 1, 0, 1e300, 0, 1 }, "float64"), nil, "a label does not fit float32" },
    { "images", g.zeros(6, 2, 2), nil, "y: expected [N], [N, L] or [N, C]" },
    { "nothing but rows without labels", whole { -100, -100, -100, -100, -100, -100 }, nil, "no row has a label; expected classes" },
    { "a token below 0", TOKENS - 1, nil, "labels from -1 to -1" },
  }
  for _, case in ipairs(wrong) do
    it("refuses " .. case[1], function() expect(function() of(case[2], case[3]) end):fails_with(case[4]) end)
  end
end)

describe("what labels are", function()
  it("is part of a data set's content", function()
    local y = g.tensor { { 0, 1 }, { 1, 0 }, { .3, .7 }, { 0, 1 }, { 0, 1 }, { 0, 1 } }
    local function print_of(options) return data.tensors(X, y, options):fingerprint() end
    expect(print_of { labels = "soft" }):differs_from(print_of { labels = "numbers" })
    local classes = whole { 0, 1, 0, 1, 0, 1 }
    expect(data.tensors(X, classes, { classes = 2 }):fingerprint()):differs_from(data.tensors(X, classes, { classes = 3 }):fingerprint())
    expect(data.tensors(X, classes, { classes = { "a", "b" } }):fingerprint()):differs_from(
      data.tensors(X, classes, { classes = { "b", "a" } }):fingerprint())
  end)
end)

describe("rows without a label", function()
  it("are -100 among classes", function()
    local got = of(whole { 0, 2, -100, 1, -100, 0 })
    expect({ got.kind, got.classes, got.partial }):equals { "classes", 3, true }
    expect(of(whole { -100, -100, -100, -100, -100, -100 }, { classes = 4 }).classes):equals(4)
    expect(of(whole { 0, 1, 0, 1, 0, 1 }).partial):equals(nil)
  end)
  it("are what concat makes of a part without labels", function()
    local d = data.concat(data.tensors(X, whole { 0, 1, 2, 0, 1, 2 }), data.tensors(g.ones(2, 2)))
    expect({ d:size(), d.classes, d.labels.partial }):equals { 8, 3, true }
    expect(d.base.y:totable()):equals { 0, 1, 2, 0, 1, 2, -100, -100 }
    expect(data.concat(data.tensors(g.ones(2, 2)), d).base.y:slice(0, 0, 2):totable()):equals { -100, -100 }
    expect(data.concat(data.tensors(X), data.tensors(X)).labels):equals { kind = "none" }
    local numbers = data.tensors(X, nil, { answers = "numbers" })
    expect(numbers.labels):equals { kind = "none", answers = "numbers" }
    expect(data.tensors(X, nil, { answers = "classes" }).labels):equals { kind = "none" }
    expect(data.concat(numbers, numbers).labels.answers):equals "numbers"
    expect(function() data.concat(numbers, data.tensors(X)) end)
      :fails_with "data.concat: argument 2 has no labels; expected no labels, answers of the kind 'numbers', as others have"
    expect(tostring(d)):equals "concat: 8 of 8 rows, x 2, 3 classes, some rows without a label"
    local parts = d:split({ train = .5, val = .5 }, { seed = 1 })
    expect({ parts.train:size(), parts.val.labels.partial }):equals { 4, true }
  end)
  it("are classes alone", function()
    expect(function() data.concat(data.tensors(X, g.rand(6)), data.tensors(X)) end):fails_with
      "data.concat: argument 2 has no labels; expected numbers, as others have"
    expect(function() data.concat(data.tensors(X, g.rand(6)), data.tensors(X, whole { 0, 1, 0, 1, 0, 1 })) end):fails_with
      "data.concat: argument 2 has 2 classes; expected numbers, as others have"
    expect(function() data.concat(data.tensors(X, g.rand(6, 2)), data.tensors(X, g.rand(6, 3))) end):fails_with
      "argument 2 has numbers, 3 each; expected numbers, 2 each"
  end)
end)

describe("names of classes", function()
  local one = data.tensors(X, whole { 0, 1, 2, 0, 1, 2 }, { classes = { "cat", "dog", "emu" } })
  local two = data.tensors(X, whole { 0, 1, 0, 1, -100, 1 }, { classes = { "dog", "fox" } })
  it("are joined by concat", function()
    local d = data.concat(one, two)
    expect({ d.labels.names, d.classes }):equals { { "cat", "dog", "emu", "fox" }, 4 }
    expect(d.base.y:slice(0, 6):totable()):equals { 1, 3, 1, 3, -100, 3 }
  end)
  it("stay where one part has none", function()
    local d = data.concat(one, data.tensors(X, whole { 0, 1, 0, 1, 0, 1 }))
    expect(d.labels.names):equals { "cat", "dog", "emu" }
  end)
  it("agree, or are refused", function()
    labels.agree("here", one.labels, one:first(.5).labels)
    expect(function() labels.agree("here", two.labels, one.labels) end):fails_with "here: class 0 is 'dog' here and 'cat' there"
    expect(function() labels.agree("here", data.tensors(X, g.rand(6)).labels, one.labels) end):fails_with
      "here: labels: expected 3 classes; got numbers"
    expect(function() labels.agree("here", data.tensors(X, whole { 0, 1, 2, 3, 1, 1 }).labels, one.labels) end):fails_with
      "here: labels: expected 3 classes; got 4 classes"
  end)
end)

describe("weights", function()
  local function weighted(w) return data.tensors(X, nil, { weight = w }) end
  it("are float32, one for each row", function()
    expect(weighted(g.ones({ 6, 1 }, { dtype = "float64" })).base.weight.shape):equals { 6 }
    expect(weighted(whole { 1, 0, 2, 1, 1, 1 }).base.weight.dtype):equals "float32"
  end)
  for name, value in pairs { nan = 0 / 0, inf = math.huge, ["-1"] = -1 } do
    it("are refused with the row: " .. name, function()
      expect(function() weighted(g.tensor { 1, 1, value, 1, 1, 1 }) end):fails_with(
        "data.tensors: weight: expected numbers from 0; got " .. name .. " in row 2")
    end)
  end
end)

describe("a column of labels", function()
  local files_made = 0
  local function csv(values, options)
    files_made = files_made + 1
    local lines = { ("a,b%d,y"):format(files_made) }  -- columns of their own: none is another one's test set
    for i, value in ipairs(values) do lines[i + 1] = ("%d,0,%s"):format(i, value) end
    local d, texts
    with_file(table.concat(lines, "\n") .. "\n", function(path)
      options = options or {}
      options.label = options.label or "y"
      texts, d = told(function() return data.csv(path, options) end)
    end)
    return d, texts
  end
  local function times(list, n)
    local all = {}
    for i = 1, n * #list do all[i] = list[(i - 1) % #list + 1] end
    return all
  end
  local cars = {}
  for i = 1, 50 do cars[i] = 2 + (i - 1) * 37 % 119 end
  -- values, kind, classes, names, how many lines are told
  local cases = {
    { "0 and 1", times({ 0, 1 }, 2), "classes", 2, nil, 0 },
    { "0 to 3 in 16 rows", times({ 3, 0, 1, 2 }, 4), "classes", 4, nil, 0 },
    { "0 to 3 in 15 rows", { 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2 }, "numbers", nil, nil, 1 },
    { "1 to 3", times({ 1, 2, 3 }, 3), "classes", 3, { "1", "2", "3" }, 1 },
    { "-1 and 1", times({ -1, 1 }, 3), "classes", 2, { "-1", "1" }, 1 },
    { "3 and 7", times({ 7, 3 }, 3), "classes", 2, { "3", "7" }, 1 },
    { "4, 6 and 8", times({ 4, 6, 8 }, 9), "numbers", nil, nil, 1 },
    { "one value", times({ 0 }, 9), "numbers", nil, nil, 1 },
    { "distances of cars", cars, "numbers", nil, nil, 1 },
    { "halves", times({ .5, 1 }, 4), "numbers", nil, nil, 0 },
    { "words", times({ "b", "a", "c" }, 1), "classes", 3, { "a", "b", "c" }, 0 },
  }
  for _, case in ipairs(cases) do
    it("is judged: " .. case[1], function()
      local d, texts = csv(case[2])
      expect({ d.labels.kind, d.labels.classes or 0, d.labels.names or 0, #texts }):equals { case[3], case[4] or 0, case[5] or 0, case[6] }
    end)
  end
  it("has its values in the order of their numbers", function()
    expect(csv({ 1, 2, 3, 3, 2, 1, 1, 1, 1 }).base.y:totable()):equals { 0, 1, 2, 2, 1, 0, 0, 0, 0 }
    expect(csv({ 1, -1, 1 }).base.y:totable()):equals { 1, 0, 1 }
  end)
  it("is taken as it is said", function()
    local d, texts = csv({ 4, 10, 8, 4 }, { labels = "classes" })
    expect({ d.labels.names, d.base.y:totable(), #texts }):equals { { "4", "8", "10" }, { 0, 2, 1, 0 }, 0 }
    d = csv({ 0, 1, 2 }, { labels = "classes" })
    expect({ d.classes, d.labels.names or 0 }):equals { 3, 0 }
    d = csv({ 0, 1, 1 }, { classes = 5 })
    expect({ d.classes, d.labels.kind }):equals { 5, "classes" }
    d, texts = csv({ 0, 1, 1 }, { labels = "numbers" })
    expect({ d.labels.kind, d.base.y.dtype, #texts }):equals { "numbers", "float32", 0 }
    expect(csv({ "b", "a" }, { classes = { "c", "b", "a" } }).base.y:totable()):equals { 1, 2 }
  end)
  it("is numbered by its numbers where it is said to be classes and all are whole", function()
    local big, more = ("%.17g"):format(2 ^ 53), ("%.17g"):format(2 ^ 53 + 2)
    for _, case in ipairs {
      { { "10", "9", "9" }, { "9", "10" }, { 1, 0, 0 } }, { { "10", "9", "9.5" }, { "10", "9", "9.5" }, { 0, 1, 2 } },
      { { "10", "x", "9" }, { "10", "9", "x" }, { 0, 2, 1 } }, { { "010", "9" }, { "010", "9" }, { 0, 1 } },
      { { "-1", "-10" }, { "-10", "-1" }, { 1, 0 } }, { { big, "91" }, { "91", big }, { 1, 0 } },
      { { more, "91" }, { more, "91" }, { 0, 1 } },  -- no double counts so far
      { { "1e1", "9" }, { "1e1", "9" }, { 0, 1 } },
    } do
      local d = csv(case[1], { labels = "classes" })
      expect({ d.labels.names, d.base.y:totable() }):equals { case[2], case[3] }
    end
  end)
  it("has so many classes as it is said", function()
    local d = csv({ "2", "0", "2" }, { labels = "classes", classes = 3 })
    expect({ d.classes, d.labels.names, d.base.y:totable() }):equals { 3, nil, { 2, 0, 2 } }
    d = csv({ "b", "a" }, { classes = 2 })
    expect({ d.classes, d.labels.names, d.base.y:totable() }):equals { 2, { "a", "b" }, { 1, 0 } }
    expect(csv({ 0, 0 }, { classes = 1 }).classes):equals(1)
    expect(function() csv({ 0, 1 }, { classes = 0 }) end):fails_with "'classes': expected a whole number of at least 1"
  end)
  it("is told by its name", function()
    local _, names = csv(times({ 1, 2, 3 }, 3))
    expect(names[1]):matches(
      "column 'y': labels 1, 2, 3 are taken as the classes 0 to 2; expected labels = 'classes', or labels = 'numbers'$")
    local _, texts = csv(cars)
    expect(texts[1]):matches(
      "data.csv: .*: column 'y': labels of 50 whole numbers from 2 to 120 are taken as numbers; expected labels = 'classes'")
    expect(function() csv({ 0, 1, 7 }, { classes = 3 }) end):fails_with "column 'y': labels from 0 to 7; expected 0 to 2"
    expect(function() csv({ "a", "b" }, { labels = "numbers" }) end):fails_with "column 3 ('y')"
    expect(function() csv({ "a", "b" }, { classes = { "b" } }) end):fails_with "unknown class"
    expect(function() csv({ "a", "b" }, { classes = 3 }) end):fails_with "2 different labels; expected classes = 3 of them"
    expect(function() csv({ 1, 2 }, { labels = "soft" }) end):fails_with "'labels': expected 'classes', 'numbers'"
  end)
end)

describe("two CSV files of one kind", function()
  local TRAIN, TEST = "a,class\n1,cat\n2,dog\n3,emu\n", "a,class\n2,dog\n3,emu\n"
  local function both(use)
    with_file(TRAIN, function(one) with_file(TEST, function(two) use(one, two) end) end)
  end
  it("have the classes of `like`, by name", function()
    both(function(one, two)
      local texts = told(function()
        local train = data.csv(one, { label = "class" })
        local test = data.csv(two, { like = train })
        expect({ test.base.y:totable(), test.classes }):equals { { 1, 2 }, 3 }
      end)
      expect(#texts):equals(0)
    end)
  end)
  it("tell of other classes", function()
    both(function(one, two)
      local texts = told(function()
        data.csv(one, { label = "class" })
        data.csv(two, { label = "class" })
      end)
      expect(texts[1]):matches "column 'class': the classes are dog, emu, in .* they are cat, dog, emu"
    end)
  end)
  it("must have the columns of `like`", function()
    with_file(TRAIN, function(one)
      with_file("b,class\n2,dog\n", function(two)
        expect(function() data.csv(two, { label = "class", like = data.csv(one, { label = "class" }) }) end):fails_with
          "feature 1 is 'b'; expected 'a', as like has"
      end)
    end)
    expect(function() data.csv("x.csv", { like = 3 }) end):fails_with "data.csv: like: expected a data set; got 3"
  end)
end)

describe("a generator's labels", function()
  local function make(ys, options)
    options = options or {}
    options.epoch = 10
    return data.generator(function(size, batch) return g.zeros(size, 2), ys[batch + 1] end, options)
  end
  it("are told by its first batch, which is kept", function()
    local asked = 0
    local d = data.generator(function(size) asked = asked + 1; return g.zeros(size, 2), g.rand(size) end, { epoch = 10 })
    expect(d:look(3).kind):equals "numbers"
    d:next(3)
    expect({ asked, d.made }):equals { 1, 1 }
    d:next(3)
    expect(d.labels.kind):equals "numbers"
  end)
  it("are those of a declaration", function()
    local d = make({ g.tensor { 0, 1, 1 } }, { labels = "classes", classes = 4 })
    expect({ d.labels.kind, d.labels.classes }):equals { "classes", 4 }
    expect(d:next(3).y.dtype):equals "int64"
    expect(data.parity({ d = 5, k = 2, seed = 1 }).train.labels.kind):equals "classes"
    expect(make({}, { labels = "none" }):next(3).y):equals(nil)
  end)
  it("must be of one kind", function()
    local d = make { whole { 0, 1, 1 }, whole { 0, 5, 1 }, g.tensor { 0, .5, 1 } }
    d:next(3)
    d:next(3)
    expect(function() d:next(3) end):fails_with "data.generator: batch 2: labels = 'classes': expected whole numbers; got 0.5 in row 1"
    d = make { g.rand(3, 2), g.rand(3) }
    d:next(3)
    expect(function() d:next(3) end):fails_with "batch 1: expected labels numbers, 2 each; got numbers"
    d = make { g.rand(3), g.rand(3, 2) }
    d:next(3)
    expect(function() d:next(3) end):fails_with "batch 1: expected labels numbers; got numbers, 2 each"
    d = make({ g.rand(3, 2), g.rand(3) }, { labels = "numbers" })
    labels.agree("here", data.tensors(X, g.rand(6, 2)).labels, d:look(3))
    d:next(3)
    expect(d.labels.width):equals(2)
    expect(function() labels.agree("here", data.tensors(X, g.rand(6)).labels, d.labels) end):fails_with
      "here: labels: expected numbers, 2 each; got numbers"
    expect(function() d:next(3) end):fails_with "batch 1: expected labels numbers, 2 each; got numbers"
    d = make { whole { 0, 1, 1 } }
    expect(function() labels.agree("here", data.tensors(X, g.rand(6)).labels, d:look(3)) end):fails_with
      "here: labels: expected classes; got numbers"
    d = make({ whole { 0, 1, 7 } }, { classes = 3 })
    expect(function() d:next(3) end):fails_with "batch 0: labels from 0 to 7; expected 0 to 2"
    d = make({ g.zeros(3) }, { labels = "none" })
    expect(function() d:next(3) end):fails_with "labels = 'none', but the function gives y"
    d = make { g.tensor { 0, 0 / 0, 1 } }
    expect(function() d:next(3) end):fails_with "a label is not finite"
  end)
end)

describe("labels in words", function()
  for text, labels_of in pairs {
    ["3 classes"] = { kind = "classes", classes = 3 }, classes = { kind = "classes" },
    ["3 classes, some rows without a label"] = { kind = "classes", classes = 3, partial = true },
    ["classes, some rows without a label"] = { kind = "classes", partial = true },
    ["tokens of 3"] = { kind = "tokens", classes = 3 }, tokens = { kind = "tokens" },
    ["distributions over 3"] = { kind = "soft", classes = 3 }, distributions = { kind = "soft" },
    ["3 labels of yes or no"] = { kind = "multilabel", classes = 3 }, ["labels of yes or no"] = { kind = "multilabel" },
    ["numbers, 3 each"] = { kind = "numbers", width = 3 }, numbers = { kind = "numbers" }, ["no labels"] = {},
  } do
    it("are " .. text, function() expect(labels.text(labels_of)):equals(text) end)
  end
end)
