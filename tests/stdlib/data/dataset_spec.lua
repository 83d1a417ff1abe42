local engine = require "gradus.engine"
local g = require "gradus"
local current = require "gradus.base.current"
local support = require "support"
local data, with_file = g.data, support.with_file

local function list(t) return t:totable() end
local function rows(n, m)
  return data.tensors(g.arange(n * (m or 2), { dtype = "float32" }):reshape(n, m or 2), g.arange(n):remainder(3))
end
local function index(d) return list(d.index) end

local function with_seed(seed, fn)
  local before = current.run
  current.run = { seed = seed }
  local ok, result = pcall(fn)
  current.run = before
  if not ok then error(result, 0) end
  return result
end

describe("a data set of tensors", function()
  it("knows its rows, classes and shape", function()
    local d = rows(7)
    expect({ d:size(), d.classes }):equals { 7, 3 }
    expect(tostring(d)):equals "tensors: 7 of 7 rows, x 2, 3 classes"
  end)
  it("labels may be floats, or be left out", function()
    local d = data.tensors(g.zeros(3, 2), g.tensor { .5, 1.5, 2 })
    expect(d.classes):equals(nil)
    expect(data.tensors(g.zeros(3, 2)).base.y):equals(nil)
  end)
  local cases = {
    { "lists", function() data.tensors({ 1 }, { 2 }) end, "data.tensors: x: expected a Tensor; got a table" },
    { "labels that are no tensor", function() data.tensors(g.zeros(3, 2), { 1, 2, 3 }) end,
      "data.tensors: y: expected a Tensor; got a table" },
    { "no rows", function() data.tensors(g.zeros(0, 2)) end,
      "data.tensors: the data set is empty; expected at least one row" },
    { "a lone number", function() data.tensors(g.tensor(3)) end, "x: expected rows [N, …]; got a lone number" },
    { "another number of labels", function() data.tensors(g.zeros(3, 2), g.zeros({ 4 }, { dtype = "int64" })) end,
      "data.tensors: x has 3 rows, y has 4" },
    { "a lone label", function() data.tensors(g.zeros(3, 2), g.tensor(1, "int64")) end,
      "data.tensors: y: expected one label for each row" },
    { "labels below 0", function() data.tensors(g.zeros(2, 2), g.tensor({ -1, 1 }, "int64")) end,
      "data.tensors: labels from -1 to 1; expected 0 to C - 1 (-100: no label; say labels = 'numbers'" },
    { "labels above the classes",
      function() data.tensors(g.zeros(2, 2), g.tensor({ 0, 5 }, "int64"), { classes = 3 }) end,
      "labels from 0 to 5; expected 0 to 2" },
    { "a misspelt option", function() data.tensors(g.zeros(2, 2), nil, { clases = 3 }) end,
      "data.tensors: no option 'clases'; did you mean 'classes'?" },
    { "another number of weights", function() data.tensors(g.zeros(2, 2), nil, { weight = g.ones(3) }) end,
      "data.tensors: weight: expected one number for each of 2 rows" },
  }
  for _, case in ipairs(cases) do
    it("refuses " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
end)

describe("a split", function()
  local function parts(seed, shares, n)
    return with_seed(seed, function() return rows(n or 100):split(shares or { train = .7, val = .1, test = .2 }) end)
  end
  it("is disjoint, complete and of the right sizes", function()
    local split, seen = parts(1), {}
    expect({ split.train:size(), split.val:size(), split.test:size() }):equals { 70, 10, 20 }
    for _, name in ipairs { "train", "val", "test" } do
      for _, row in ipairs(index(split[name])) do
        expect(seen[row]):equals(nil)
        seen[row] = name
      end
    end
    local count = 0
    for _ in pairs(seen) do count = count + 1 end
    expect(count):equals(100)
  end)
  it("is the same for the same seed, another for another", function()
    expect(index(parts(1).train)):equals(index(parts(1).train))
    expect(index(parts(1).train)):differs_from(index(parts(2).train))
    expect(index(rows(9):split({ train = .5 }, { seed = 4 }).train)):equals(index(rows(9):split({ train = .5 }, { seed = 4 }).train))
  end)
  it("does not move any random numbers of the run", function()
    local function numbers()
      engine.manual_seed(5)
      math.randomseed(5)
      return function() return { g.rand(1):item(), math.random() } end
    end
    local plain = numbers()()
    local next_numbers = numbers()
    parts(1)
    expect(next_numbers()):equals(plain)
  end)
  it("keeps the training rows when the test share shrinks", function()
    expect(index(parts(1, { train = .5, val = .2, test = .1 }).train)):equals(index(parts(1, { train = .5, val = .2, test = .3 }).train))
  end)
  it("of a view takes the view's rows", function()
    local half = rows(100):first(.5)
    local parts_of_half = with_seed(1, function() return half:split { train = .5, val = .5 } end)
    for _, row in ipairs(index(parts_of_half.val)) do expect(row < 50):is_true() end
  end)
  it("has parts by number and by name, the rest in one order", function()
    local split = parts(1, { .5, rest = .25, train = .25 }, 8)
    expect({ split.train:size(), split[1]:size(), split.rest:size() }):equals { 2, 4, 2 }
    expect(index(split.train)):equals(index(parts(1, { train = .25 }, 8).train))
    expect(function() return split.val end):fails_with "not split into a part 'val'; it has 1, rest, train"
  end)
  local cases = {
    { "shares above 1", function() rows(9):split { a = .7, b = .7 } end,
      "split: the shares add up to 1.4; expected at most 1" },
    { "a share of 0", function() rows(9):split { a = 0 } end, "split: 'a': expected a share above 0, up to 1; got 0" },
    { "a count of rows", function() rows(9):split { a = 5 } end,
      "split: 'a': expected a share above 0, up to 1; got 5" },
    { "a part without rows", function() rows(9):split { a = .01, b = .9 } end, "split: 'a' gets no row of 9" },
    { "nothing", function() rows(9):split {} end, "split: expected shares by name" },
    { "text", function() rows(9):split "half" end, "split: expected shares by name" },
    { "an unknown part", function() return rows(9):split({ train = 1 }).valid end,
      "not split into a part 'valid'; it has train" },
  }
  for _, case in ipairs(cases) do
    it("refuses " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
end)

describe("views", function()
  it("first and last by share and by count", function()
    local d = rows(10)
    expect(index(d:first(.3))):equals { 0, 1, 2 }
    expect(index(d:first(4))):equals { 0, 1, 2, 3 }
    expect(index(d:last(.2))):equals { 8, 9 }
    expect(index(d:last { share = 1 })):equals(index(d))
    expect(index(d:last { rows = 1 })):equals { 9 }
    expect(index(d:first { rows = 4 })):equals { 0, 1, 2, 3 }
    expect(index(d:first { share = .25 })):equals { 0, 1, 2 }
    expect(d:first(.001):size()):equals(1)
  end)
  it("reversed, shuffled, subset, whole", function()
    local d = rows(5)
    expect(index(d:reversed())):equals { 4, 3, 2, 1, 0 }
    local shuffled = index(d:shuffled(3))
    table.sort(shuffled)
    expect(shuffled):equals { 0, 1, 2, 3, 4 }
    expect(index(d:shuffled(3))):equals(index(d:shuffled(3)))
    local function of_seed(seed) return index(with_seed(seed, function() return rows(50):shuffled() end)) end
    expect(of_seed(1)):equals(of_seed(1))
    expect(of_seed(1)):differs_from(of_seed(2))
    expect(index(d:reversed():subset(g.tensor({ 0, 2 }, "int64")))):equals { 4, 2 }
    expect(index(d:last(2):whole())):equals { 0, 1, 2, 3, 4 }
  end)
  it("gather and each give the rows in the view's order", function()
    local d = rows(5):reversed()
    local x, y = d:gather()
    expect(list(x[0])):equals { 8, 9 }
    expect(list(y)):equals { 1, 0, 2, 1, 0 }
    local sizes, seen = {}, {}
    d:each(2, function(cx, cy, i)
      sizes[#sizes + 1] = cx:size(0)
      expect(cy:size(0)):equals(cx:size(0))
      for _, row in ipairs(list(i)) do seen[#seen + 1] = row end
    end)
    expect(sizes):equals { 2, 2, 1 }
    expect(seen):equals { 4, 3, 2, 1, 0 }
  end)
  it("have a fingerprint of content and rows", function()
    expect(rows(5):fingerprint()):equals(rows(5):fingerprint())
    expect(rows(5):fingerprint()):differs_from(rows(5):reversed():fingerprint())
    expect(rows(5):fingerprint()):differs_from(rows(6):first(5):fingerprint())
  end)
  it("concat numbers the rows anew", function()
    local d = data.concat(rows(3), rows(4):last(2))
    expect({ d:size(), d.classes }):equals { 5, 3 }
    expect(list(d.base.x[4])):equals { 6, 7 }
  end)
  it("concat keeps the weights", function()
    local d = data.tensors(g.zeros(3, 2), nil, { weight = g.tensor { 1, 2, 3 } })
    expect(list(data.concat(d:last(.3), d).base.weight)):equals { 3, 1, 2, 3 }
  end)
  it("concat keeps what is known of the labels", function()
    local function tokens(classes)
      return data.tensors(g.zeros({ 2, 3 }, { dtype = "int64" }), g.tensor({ { 0, 1, 2 }, { 2, 1, 0 } }, "int64"), { classes = classes })
    end
    local both = data.concat(tokens(), tokens())
    expect({ both.labels.kind, both.labels.classes, both:size() }):equals { "tokens", nil, 4 }
    expect(data.concat(tokens(7), tokens(5)).labels.classes):equals(7)
    local function classes(n) return data.tensors(g.zeros(2, 2), g.tensor({ 0, 1 }, "int64"), { classes = n }) end
    expect({ data.concat(classes(5), classes(3)).classes, data.concat(classes(3), classes(5)).classes }):equals { 5, 5 }
    local named = data.concat(classes { "b", "a" }, classes { "a", "c" })
    expect({ named.labels.names, list(named.base.y) }):equals { { "b", "a", "c" }, { 0, 1, 1, 2 } }
    expect(data.concat(classes { "b", "a" }, classes(5)).classes):equals(5)
    expect(data.concat(classes { "b", "a" }, classes(2)).labels.names):equals { "b", "a" }
    local numbers = data.tensors(g.zeros(2, 2), g.rand(2))
    expect({ data.concat(numbers, numbers).labels.kind, data.concat(numbers).name }):equals { "numbers", "concat" }
  end)
  it("scores are by a function, under a name", function()
    expect(function() rows(3):scores(5, function() end) end):fails_with "scores: 'where': expected a text; got 5"
    expect(function() rows(3):scores("mine", 5) end):fails_with "mine: 'score': expected a function; got 5"
    expect(function() rows(3):rank(5) end):fails_with "rank: expected one score for each of 3 rows; got number"
    expect(function() rows(3):rank(g.ones(2)) end):fails_with "rank: expected one score for each of 3 rows; got 2"
    for _, odd in ipairs { 0 / 0, math.huge } do
      expect(function() rows(2):rank(g.tensor { 1, odd }) end):fails_with "rank: a score is NaN or infinite"
    end
  end)
  it("concat refuses rows of other columns, where both are named", function()
    local function named(columns)
      local d = rows(2)
      d.base.columns = columns
      return d
    end
    expect(function() data.concat(named { "a", "b" }, named { "a", "c" }) end):fails_with
      "data.concat: argument 2: has the columns a, c; expected a, b, as the first"
    expect(data.concat(named { "a", "b" }, named { "a", "b" }, rows(1)).base.columns):equals { "a", "b" }
    expect(data.concat(rows(1), named { "a", "b" }):size()):equals(3)
  end)
  it("concat keeps what the rows were standardized by, and refuses rows that were by other numbers, or are others", function()
    local parts = rows(6):split({ train = .5, val = .5 }, { seed = 1 }):standardize()
    local both = data.concat(parts.train, parts.val)
    expect(list(both.base.scaling.mean)):equals(list(parts.train.base.scaling.mean))
    expect(function() data.concat(parts.train, rows(3)) end):fails_with
      "data.concat: argument 2: is not standardized, unlike the first; expected one standardize for all, or it after concat"
    expect(function() data.concat(rows(3), parts.train) end):fails_with "argument 2: is standardized by numbers of its own, unlike"
    expect(function() data.concat(parts.train, rows(2):standardize()) end):fails_with "argument 2: is standardized by numbers of its own"
    expect(function() data.concat(rows(3), data.tensors(g.zeros(2, 3))) end):fails_with
      "argument 2: expected rows as the first has, x Tensor [3, 2] float32; got Tensor [2, 3] float32"
    expect(function() data.concat(rows(3), data.tensors(g.zeros(2, 2):double())) end):fails_with "got Tensor [2, 2] float64"
  end)
  it("concat of one is it again, weights and all", function()
    local d = data.tensors(g.zeros(3, 2), nil, { weight = g.tensor { 1, 2, 3 } })
    expect(list(data.concat(d:reversed()).base.weight)):equals { 3, 2, 1 }
  end)
  local cases = {
    { "no rows", function() rows(5):first(0) end,
      "first: expected a share below 1, a number of rows above 1, { share = … } or { rows = … }; got 0" },
    { "one row or all", function() rows(5):first(1) end, "first: 1 may be one row or all of them; expected { rows = 1 } or { share = 1 }" },
    { "one and a half rows", function() rows(5):first(1.5) end, "{ share = … } or { rows = … }; got 1.5" },
    { "both", function() rows(5):last { share = .5, rows = 1 } end, "last: expected either { share = … } or { rows = … }" },
    { "neither", function() rows(5):first {} end, "first: expected either" },
    { "a share of none", function() rows(5):first { share = 0 } end, "first: { share = 0 } leaves no row" },
    { "a share above all", function() rows(5):first { share = 1.1 } end, "first: 'share': expected a number from 0 to 1; got 1.1" },
    { "a misspelt amount", function() rows(5):first { row = 2 } end, "first: no option 'row'; did you mean 'rows'?" },
    { "more rows than there are", function() rows(5):last(6) end, "last: 6 rows of 5" },
    { "text", function() rows(5):first "half" end, "first: expected a share below 1" },
    { "concat of nothing", function() data.concat() end, "data.concat: expected data sets" },
    { "concat of a tensor", function() data.concat(rows(3), g.zeros(3)) end,
      "data.concat: argument 2: expected a data set" },
    { "a misspelt method", function() rows(3):frist(.5) end, "has no 'frist'; did you mean 'first'?" },
  }
  for _, case in ipairs(cases) do
    it("refuse " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
end)

describe("mislabel", function()
  local d = data.tensors(g.arange(1000, { dtype = "float32" }):unsqueeze(1), g.arange(1000):remainder(10))
  local function wrong_of(one) return one.base.y:index_select(0, one.index):ne(one:true_labels()) end
  it("gives a share of the rows another class, each alike", function()
    local one = with_seed(1, function() return d:mislabel(.2) end)
    expect(wrong_of(one):sum():item()):equals(200)
    expect(list(one:true_labels())):equals(list(d.base.y))
    expect({ one.base.y:amin():item(), one.base.y:amax():item(), one.classes }):equals { 0, 9, 10 }
    local all = with_seed(1, function() return d:mislabel(1) end)
    local shift = (all.base.y - d.base.y):remainder(10)
    for by = 1, 9 do expect(shift:eq(by):sum():item()):near(1000 / 9, 40) end
  end)
  it("is the seed's, and leaves the data set as it was", function()
    local before = d.base.y:hash()
    local function of(seed) return list(with_seed(seed, function() return d:mislabel(.2) end).base.y) end
    expect(of(1)):equals(of(1))
    expect(of(1)):differs_from(of(2))
    expect(list(d:mislabel(.2, { seed = 5 }).base.y)):equals(list(with_seed(9, function() return d:mislabel(.2, { seed = 5 }) end).base.y))
    expect(d.base.y:hash()):equals(before)
    local known = d:fingerprint()
    expect(d:mislabel(.2):fingerprint()):differs_from(known)
    expect(d:mislabel(0):fingerprint()):equals(d:fingerprint())
  end)
  it("by pairs takes the next class", function()
    local one = d:mislabel(.3, { pairs = true })
    expect(((one.base.y - d.base.y):remainder(10)):eq(1):sum():item()):equals(300)
  end)
  it("of a view touches no other rows, and the truth outlives a second time", function()
    local parts = d:split({ train = .5, val = .5 }, { seed = 1 })
    local train = parts.train:mislabel(.4)
    expect(wrong_of(train):sum():item()):equals(200)
    expect(list(train.base.y:index_select(0, parts.val.index))):equals(list(d.base.y:index_select(0, parts.val.index)))
    expect(list(train:mislabel(.4):true_labels())):equals(list(parts.train:true_labels()))
  end)
  it("is undone behind concat, too", function()
    local noisy = d:first(100):mislabel(1, { seed = 1 })
    local both = data.concat(noisy, data.tensors(g.zeros(2, 1)), d:last(50))
    local wanted = g.cat({ noisy:true_labels(), g.full({ 2 }, -100, { dtype = "int64" }), d:last(50):true_labels() }, 0)
    expect(list(both:true_labels())):equals(list(wanted))
    expect(wrong_of(both):sum():item()):equals(100)
    expect(function() data.concat(d, nil, noisy) end):fails_with "data.concat: argument 2: expected a data set; got nil"
  end)
  it("leaves rows without a label without one", function()
    local some = data.tensors(g.zeros(6, 2), g.tensor({ 0, -100, 1, -100, 2, 0 }, "int64")):mislabel(1)
    expect(list(some.base.y:eq(-100):long())):equals { 0, 1, 0, 1, 0, 0 }
    expect(wrong_of(some):sum():item()):equals(4)
  end)
  local cases = {
    { "a share above 1", function() d:mislabel(20) end, "mislabel: 'share': expected a number from 0 to 1; got 20" },
    { "numbers", function() data.tensors(g.zeros(3, 2), g.rand(3)):mislabel(.1) end, "mislabel: expected classes as labels; got numbers" },
    { "one class", function() data.tensors(g.zeros(3, 2), g.zeros({ 3 }, { dtype = "int64" })):mislabel(.1) end,
      "one class cannot be mistaken" },
    { "a misspelt option", function() d:mislabel(.1, { pair = true }) end, "mislabel: no option 'pair'; did you mean 'pairs'?" },
  }
  for _, case in ipairs(cases) do
    it("refuses " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
end)

describe("rank", function()
  local scores = { 3, 1, 2, 1, 3, 1 }
  it("sorts easiest first, ties in their order", function()
    local d = rows(6):rank(g.tensor(scores))
    expect(index(d)):equals { 1, 3, 5, 2, 0, 4 }
    expect(list(d.difficulty)):equals { 1, 1, 1, 2, 3, 3 }
    expect(index(d:first(.5))):equals { 1, 3, 5 }
    expect(list(d:reversed().difficulty)):equals { 3, 3, 2, 1, 1, 1 }
    expect(list(d:last(2).difficulty)):equals { 3, 3 }
  end)
  it("takes scores of any type, one column of them too", function()
    for _, of in ipairs { g.tensor(scores, "int64"), g.tensor(scores):reshape(6, 1), g.tensor(scores):requires_grad_() } do
      local d = rows(6):rank(of)
      expect(index(d)):equals { 1, 3, 5, 2, 0, 4 }
      expect({ d.difficulty.dtype, d.difficulty.requires_grad }):equals { "float64", false }
    end
  end)
  it("of a view goes by the view's rows", function()
    local d = rows(6):reversed():rank(function(x) return x:select(1, 0) end)
    expect(index(d)):equals { 0, 1, 2, 3, 4, 5 }
  end)
  it("asks a function in chunks without gradients", function()
    local d = rows(2500, 1)
    local chunks = {}
    local w = g.ones({ 1 }):requires_grad_()
    d:rank(function(x)
      chunks[#chunks + 1] = x:size(0)
      expect((x * w).requires_grad):is_false()
      return -x
    end)
    expect(chunks):equals { 1024, 1024, 452 }
  end)
  it("a long ranking with ties is stable", function()
    local d = rows(5000, 1):rank(function(x) return (x / 1000):floor() end)
    expect(index(d)):equals(index(rows(5000, 1)))
  end)
  local cases = {
    { "another number of scores", function() rows(6):rank(g.zeros(5)) end,
      "rank: expected one score for each of 6 rows; got 5" },
    { "NaN", function() rows(2):rank(g.tensor { 1, 0 / 0 }) end, "rank: a score is NaN or infinite" },
    { "a function that returns too few scores", function() rows(2):rank(function() return g.zeros(3) end) end,
      "rank: expected one score for each of 2 rows; got Tensor [3] float32" },
    { "text", function() rows(2):rank "loss" end, "rank: expected one score for each of 2 rows; got string" },
    { "a function that returns no tensor", function() rows(2):rank(function() return 1 end) end,
      "rank: expected the score to return a Tensor; got 1" },
  }
  for _, case in ipairs(cases) do
    it("refuses " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
end)

describe("digits", function()
  local d = data.digits()
  it("are the 1,797 images of UCI", function()
    expect({ d:size(), d.classes }):equals { 1797, 10 }
    expect(d.base.x.shape):equals { 1797, 1, 8, 8 }
    -- the classes' sizes as scikit-learn's load_digits has them
    expect(list(d.base.y:bincount())):equals { 178, 182, 177, 183, 181, 182, 181, 179, 174, 180 }
    expect({ d.base.x:amin():item(), d.base.x:amax():item() }):equals { 0, 1 }
  end)
end)

describe("MNIST's files", function()
  local function idx(sizes, bytes)
    local head = { string.char(0, 0, 8, #sizes) }
    for i, size in ipairs(sizes) do head[i + 1] = string.char(0, 0, 0, size) end
    return table.concat(head) .. bytes
  end
  local pixels = {}
  for i = 1, 12 * 4 * 4 do pixels[i] = string.char(i - 1) end
  local images, labels = idx({ 12, 4, 4 }, table.concat(pixels)), idx({ 12 }, ("\0\1\2"):rep(4))
  local function with_mnist(use)
    with_file(images, function(x) with_file(labels, function(y) use(x, y) end) end)
  end
  it("are images of one channel and their classes", function()
    with_mnist(function(x, y)
      local d = data.idx { x = x, y = y, scale = 1 / 255 }
      expect(d.base.x.shape):equals { 12, 1, 4, 4 }
      expect({ d.classes, d.base.x:amax():item() }):near({ 3, 191 / 255 }, 1e-6)
      expect(list(d.base.y:slice(0, 0, 4))):equals { 0, 1, 2, 0 }
    end)
  end)
  it("are read as they are distributed, compressed", function()
    with_mnist(function(x, y)
      for _, path in ipairs { x, y } do os.execute(("gzip -nkf '%s'"):format(path)) end
      local ok, packed = pcall(data.idx, { x = x .. ".gz", y = y .. ".gz" })
      for _, path in ipairs { x, y } do os.remove(path .. ".gz") end
      expect(ok or packed):equals(true)
      expect(data.content(packed.base)):equals(data.content(data.idx { x = x, y = y }.base))
    end)
  end)
  for _, kind in ipairs { "ConvNet", "MLP" } do
    it("train a " .. kind .. ", shifted", function()
      with_mnist(function(x, y)
        local result = support.with_run({}, function(run)
          local d = data.idx { x = x, y = y, scale = 1 / 255 }
          return run:distill { data = d, batch = 6, budget = { steps = 2 }, augment = 1,
            student = kind == "MLP" and g.nn.MLP { 16, 4, 3 } or g.nn.ConvNet { channels = { 2 }, classes = 3, input = { 1, 4, 4 } } }
        end)
        expect(result.steps):equals(2)
      end)
    end)
  end
  it("of another rank are left as they are", function()
    with_file(idx({ 2, 3 }, "abcdef"), function(x) expect(data.idx { x = x }.base.x.shape):equals { 2, 3 } end)
  end)
end)

describe("CIFAR-10's files", function()
  -- Class, then planes of red, green and blue: the first two pixels of red, the last of blue.
  local function record(class, first, second, last)
    return string.char(class, first, second) .. ("\0"):rep(3 * 1024 - 3) .. string.char(last)
  end
  it("are classes and planes of colour", function()
    with_file(record(3, 255, 51, 102) .. record(9, 0, 0, 0), function(one)
      with_file(record(0, 1, 2, 3), function(two)
        local d = data.cifar10 { one, two }
        expect({ d:size(), d.classes }):equals { 3, 10 }
        expect(d.base.x.shape):equals { 3, 3, 32, 32 }
        expect(list(d.base.y)):equals { 3, 9, 0 }
        local function pixel(n, c, i, j) return d.base.x:select(0, n):select(0, c):select(0, i):select(0, j):item() end
        expect({ pixel(0, 0, 0, 0), pixel(0, 0, 0, 1), pixel(0, 2, 31, 31), pixel(2, 2, 31, 31) }):near({ 1, .2, .4, 3 / 255 }, 1e-6)
        expect(d.base.x:select(0, 1):abs():sum():item()):equals(0)
      end)
    end)
  end)
  it("are refused when they are something else, or not there", function()
    with_file(("x"):rep(3072), function(path) expect(function() data.cifar10 { path } end):fails_with "3,073 bytes; got 3072 bytes" end)
    with_file("", function(path) expect(function() data.cifar10 { path } end):fails_with "got 0 bytes" end)
    with_file(record(10, 0, 0, 0), function(path) expect(function() data.cifar10 { path } end):fails_with "0 to 9; got 10" end)
    expect(function() data.cifar10 { "/none/data_batch_1.bin" } end):fails_with "No such file"
    expect(function() data.cifar10 {} end):fails_with "expected { \"data_batch_1.bin\""
    expect(function() data.cifar10 { 7 } end):fails_with "expected paths; got number"
  end)
end)

describe("a generator", function()
  local function make()
    return data.generator(function(size, batch, first)
      return g.full({ size, 2 }, batch), g.full({ size }, first, { dtype = "int64" })
    end, { epoch = 100, classes = 30 })
  end
  it("counts batches and samples", function()
    local d = make()
    local a, b = d:next(4), d:next(6)
    expect({ a.x[0][0]:item(), b.x[0][0]:item(), b.y[0]:item() }):equals { 0, 1, 4 }
    expect(list(b.index)):equals { 4, 5, 6, 7, 8, 9 }
    expect({ d:size(), d.classes }):equals { 100, 30 }
    local state = d:state()
    d:next(4)
    d:restore(state)
    expect(d:next(4).x[0][0]:item()):equals(2)
  end)
  it("gives fixed rows, of which there can be a ranking", function()
    local d = make()
    d:next(4)
    local some = d:take(6)
    expect({ data.is(some), some:size(), some.labels.kind, some.classes, d.samples }):equals { true, 6, "classes", 30, 10 }
    expect(list(some:gather())[1]):equals { 1, 1 }
    local plain = data.generator(function(size) return g.zeros(size, 2) end, { epoch = 5 })
    expect(plain:take(3).labels.kind):equals "none"
    expect(function() d:rank(function() end) end):fails_with "rank: a generator makes new rows each time; expected a data set"
    expect(function() d:take(0) end):fails_with "take: 'n': expected a whole number of at least 1; got 0"
  end)
  local cases = {
    { "no function", function() data.generator(5, { epoch = 1 }) end,
      "data.generator: expected a function(size, batch)" },
    { "no epoch", function() data.generator(print) end,
      "data.generator: epoch: expected how many samples count as one" },
    { "a misspelt option", function() data.generator(print, { epochs = 10 }) end,
      "data.generator: no option 'epochs'; did you mean 'epoch'?" },
    { "a batch of another size",
      function() data.generator(function() return g.zeros(3, 2) end, { epoch = 10 }):next(4) end,
      "data.generator: batch 0: expected x with 4 rows; got 3×2" },
    { "a batch that is none", function() data.generator(function() end, { epoch = 10 }):next(4) end,
      "data.generator: batch 0: expected x with 4 rows; got nil" },
    { "labels of another number",
      function() data.generator(function() return g.zeros(4, 2), g.zeros(3) end, { epoch = 10 }):next(4) end,
      "data.generator: batch 0: expected y with 4 rows; got 3" },
  }
  for _, case in ipairs(cases) do
    it("refuses " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
end)

describe("a data set asked for in another form", function()
  local x = g.zeros(4, 2)
  local d = data.tensors(x)
  local cases = {
    { 'data.npy { x = "x.npy", y = "y.npy" }; got nil', function() data.npy() end },
    { "data.npy { x = \"x.npy\", y = \"y.npy\" }; got 'x.npy'", function() data.npy("x.npy", "y.npy") end },
    { 'data.npy { x = "x.npy", y = "y.npy" }; got no x', function() data.npy { "x.npy", "y.npy" } end },
    { "data.npy: 'x': expected a text; got 3", function() data.npy { x = 3 } end },
    { "data.idx { x =", function() data.idx() end },
    { 'data.safetensors("data.safetensors", { x = "x", y = "y" }); got a table', function() data.safetensors { x = "x" } end },
    { 'data.safetensors("data.safetensors", { x = "x", y = "y" }); got \'x\'', function() data.safetensors("a", "x", "y") end },
    { 'data.csv("points.csv", { label = "class" }); got nil', function() data.csv() end },
    { "data.csv(\"points.csv\", { label = \"class\" }); got 'class' as options", function() data.csv("a.csv", "class") end },
    { "got 'class' as options", function() data.csv("a.csv", { "class" }) end },
    { 'data.text("corpus.txt", { vocabulary = 1000 }); got nil', function() data.text() end },
    { "data.text(\"corpus.txt\", { vocabulary = 1000 }); got 1000", function() data.text("a", 1000) end },
    { "data.sentences: expected { grammar = cfg.cfg3b() }; got a grammar", function() data.sentences(g.cfg.cfg3b()) end },
    { "data.parity: expected { d = 50, k = 5 }; got 50", function() data.parity(50, 5) end },
    { "data.digits(), which takes nothing; got 3", function() data.digits(3) end },
    { "data.tensors(x, y, { classes = 10, weight = … }); got 10 as options", function() data.tensors(x, nil, 10) end },
    { "subset: expected places of rows, whole numbers from 0; got nil", function() d:subset() end },
    { "subset: places from 9 to 9; expected 0 to 3", function() d:subset { 9 } end },
    { "subset: no rows", function() d:subset {} end },
    { "subset: expected places of rows, whole numbers from 0", function() d:subset { 0, 1.5 } end },
    { "subset: expected places of rows, whole numbers from 0", function() d:subset { 0 / 0 } end },
    { "shuffled: 'seed': expected a whole number of at least 0; got 'a'", function() d:shuffled "a" end },
    { "each: 'size': expected a whole number of at least 1; got nil", function() d:each() end },
  }
  for _, case in ipairs(cases) do
    it("is told the form: " .. case[1], function() expect(case[2]):fails_with(case[1]) end)
  end
  it("may give places as a list", function() expect(index(d:subset { 3, 0 })):equals { 3, 0 } end)
end)
