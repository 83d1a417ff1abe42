-- Inputs with mean 0 and deviation 1, by the training rows.
local g = require "gradus"
local support = require "support"
local data = g.data

local function column(d, i) return (d:gather()):double():select(1, i) end

-- Two columns of very different scale, a constant one, and a label.
local function rows(n)
  local generator = g.generator(3)
  local x = g.cat({ g.randn({ n, 1 }, { generator = generator }) * 500 + 1e6, g.rand({ n, 1 }, { generator = generator }) * .01,
    g.full({ n, 1 }, .1) }, 1)
  return g.data.tensors(x, x:select(1, 0):gt(1e6):long(), { classes = 2 })
end

local TABLE = "age,sex,income,y\n20,f,1000,a\n30,m,3000,b\n40,f,2000,a\n50,x,6000,b\n"
local NEW = "age,sex,income,y\n35,m,3000,b\n60,f,0,a\n"

local function read(text, options)
  local d
  support.with_file(text, function(path) d = data.csv(path, options) end)
  return d
end

local function near(a, b, within)
  if math.abs(a - b) > (within or 1e-5) then error(("expected %.9g, got %.9g"):format(b, a), 2) end
end

describe("a standardized split", function()
  it("has the training rows' mean 0 and deviation 1, and their numbers in the other parts", function()
    local plain = rows(400):split({ train = .5, val = .5 }, { seed = 1 })
    local d = plain:standardize()
    for i = 0, 1 do
      local before, after = column(plain.train, i), column(d.train, i)
      near(after:mean():item(), 0, 1e-4)
      near(after:std { correction = 0 }:item(), 1, 1e-4)
      local mean, std = before:mean():item(), before:std({ correction = 0 }):item()
      local expected = (column(plain.val, i) - mean) / std
      near((column(d.val, i) - expected):abs():max():item(), 0, 1e-4)
      -- No leak: the validation rows' own mean is another number.
      expect(math.abs(column(d.val, i):mean():item()) > 1e-3):is_true()
    end
    expect({ column(d.train, 2):abs():max():item(), column(d.val, 2):abs():max():item() }):equals { 0, 0 }
    expect(rawequal(d.train.base, d.val.base)):is_true()
    expect(d.train.index:equal(plain.train.index)):is_true()
    expect({ select(2, d.val:gather()):equal((select(2, plain.val:gather()))), d.train.classes }):equals { true, 2 }
    expect(d.train:fingerprint() ~= plain.train:fingerprint()):is_true()
    expect(plain.train.base.scaling == nil):is_true()
  end)
  it("changes each channel of images, not each pixel", function()
    local d = data.digits():split({ train = .5, val = .5 }, { seed = 1 }):standardize()
    local x = d.train:gather()
    expect(x.shape[2]):equals(1)
    near(x:double():mean():item(), 0, 1e-4)
    near(x:double():std({ correction = 0 }):item(), 1, 1e-4)
    expect(d.train.base.scaling.mean.shape):equals { 1 }
  end)
  it("leaves columns of words as they are, and changes only those that are named", function()
    local d = read(TABLE, { label = "y", categories = { "sex" } })
    local s = d:standardize()
    expect(s.base.columns):equals { "age", "sex=f", "sex=m", "sex=x", "income" }
    expect(s.base.x:slice(1, 1, 4):equal(d.base.x:slice(1, 1, 4))):is_true()
    near(column(s, 0)[0]:item(), (20 - 35) / math.sqrt(125))
    near(column(s, 4)[3]:item(), 3000 / math.sqrt(3.5e6))
    local one = d:standardize { columns = { "income" } }
    expect(column(one, 0):totable()):equals { 20, 30, 40, 50 }
    near(column(one, 4)[3]:item(), 3000 / math.sqrt(3.5e6))
    near(column(d:standardize { columns = { "sex=f" } }, 1)[0]:item(), 1)
  end)
  it("keeps a ranked view's order, and what its columns are called", function()
    local ranked = read(TABLE, { label = "y", skip = { "sex" } }):rank(g.tensor { 3, 1, 2, 0 })
    local s = ranked:standardize()
    expect(s.index:totable()):equals { 3, 1, 2, 0 }
    expect(s.difficulty:totable()):equals { 0, 1, 2, 3 }
    expect({ s.base.label, s.classes, s.labels.names[2] }):equals { "y", 2, "b" }
  end)
  it("leaves NaN where it is, and out of the numbers", function()
    local x = g.tensor { { 1, 0 }, { 0 / 0, 2 }, { 3, 4 } }
    local d = data.tensors(x, g.tensor({ 0, 1, 0 }, "int64")):standardize()
    expect(column(d, 0)[0]:item()):equals(-1)
    expect(column(d, 0)[1]:isnan():item()):is_true()
    near(column(d, 1)[2]:item(), 2 / math.sqrt(8 / 3))
  end)
  it("is right of numbers that lie close together far from 0, and of many rows", function()
    local x = g.arange(10000):float():remainder(2):reshape { -1, 1 } + 2 ^ 22
    local d = data.tensors(x, nil):standardize()
    expect({ column(d, 0)[0]:item(), column(d, 0)[9999]:item() }):equals { -1, 1 }
    for _, n in ipairs { 4097, 9000 } do  -- the last row alone is 1: each row counts once, wherever a chunk ends
      local one = data.tensors(g.arange(n):eq(n - 1):float():reshape { -1, 1 }, nil):standardize()
      local share = 1 / n
      near(one.base.scaling.mean:item(), share, 1e-15)
      near(one.base.scaling.std:item(), math.sqrt(share * (1 - share)), 1e-12)
      near(column(one, 0)[n - 1]:item(), (1 - share) / math.sqrt(share * (1 - share)), 1e-3)
    end
  end)
  it("leaves NaN out of the deviation too", function()
    local d = data.tensors(g.tensor { { 1 }, { 0 / 0 }, { 5 } }):standardize()
    expect({ d.base.scaling.mean:item(), d.base.scaling.std:item(), column(d, 0)[0]:item() }):equals { 3, 2, -1 }
  end)
  it("of one number for each row has one mean", function()
    local d = data.tensors(g.tensor { 1, 3 }):standardize()
    expect({ d.base.scaling.mean.shape, d.base.x:totable() }):equals { { 1 }, { -1, 1 } }
  end)
  it("knows what it was made of, whatever was made of it in turn", function()
    local d = rows(6)
    d:fingerprint()
    local once = d:standardize()
    expect({ once.base.origin, once.base.hash }):equals { d.base.hash }
    expect(once:mislabel(.5, { seed = 1 }).base.origin):equals(d.base.hash)
    expect(d:mislabel(.5, { seed = 1 }):mislabel(.5, { seed = 1 }).base.origin):equals(d.base.hash)
    expect(d:mislabel(.5, { seed = 1 }):standardize().base.origin):equals(d.base.hash)
  end)
end)

describe("later rows", function()
  local train = read(TABLE, { label = "y", categories = { "sex" } }):standardize()
  local function expect_as_train(d)
    near(column(d, 0)[1]:item(), (60 - 35) / math.sqrt(125))
    near(column(d, 4)[1]:item(), -3000 / math.sqrt(3.5e6))
    expect(d.base.x:slice(1, 1, 4):totable()):equals { { 0, 1, 0 }, { 1, 0, 0 } }
  end
  it("are changed as those of `like` were, whether they are read so or standardized so", function()
    expect_as_train(read(NEW, { like = train }))
    local plain = read(TABLE, { label = "y", categories = { "sex" } })
    expect_as_train(read(NEW, { like = plain }):standardize { like = train })
  end)
  it("are changed by what a student's weights were left with", function()
    local path = os.tmpname()
    os.remove(path)
    local ok, err = pcall(function()
      local folder
      support.with_run({ folder = path }, function(run)
        run:distill { student = g.nn.MLP { 5, 4, 2 }, data = { train = train, val = train }, budget = { steps = 2 } }
        folder = run.folder
      end)
      local weights = folder .. "/student.last.safetensors"
      local plain = read(TABLE, { label = "y", categories = { "sex" } })
      expect_as_train(read(NEW, { like = plain }):standardize { like = weights })
      local other = read("age,y\n1,a\n2,b\n", { label = "y" })
      expect(function() other:standardize { like = weights } end):fails_with "like has 5 columns, "
    end)
    os.execute("rm -rf " .. path)
    if not ok then error(err, 0) end
  end)
  it("of a student without such numbers are refused", function()
    local path = os.tmpname() .. ".safetensors"
    g.nn.Linear(3, 2):save(path)
    expect(function() rows(10):standardize { like = path } end):fails_with "its student was trained on inputs that were not standardized"
    os.remove(path)
    os.remove((path:gsub("%.safetensors$", "")))
  end)
end)

describe("what cannot be standardized", function()
  local d = rows(20)
  local tokens = data.tensors(g.zeros({ 4, 5 }, { dtype = "int64" }), g.zeros({ 4, 5 }, { dtype = "int64" }))
  local cases = {
    { "tokens", function() tokens:standardize() end, "standardize: the inputs are int64; expected numbers of a float type" },
    { "what is standardized", function() d:standardize():standardize() end, "standardize: 'tensors' is standardized already" },
    { "a column without a number", function() data.tensors(g.tensor { { 0 / 0, 1 }, { 0 / 0, 2 } }):standardize() end,
      "standardize: column 0 has no number in these rows" },
    { "a channel without a number", function() data.tensors(g.full({ 2, 3, 1, 1 }, 0 / 0)):standardize() end,
      "standardize: channel 0 has no number in these rows" },
    { "a column of a name that is constant at infinity", function()
      local d_of_names = read("age,y\n1,a\n2,b\n", { label = "y" })
      d_of_names.base.x:fill_(math.huge)
      d_of_names:standardize()
    end, "standardize: column 'age' has an infinite value" },
    { "numbers whose squares are none", function() data.tensors(g.tensor({ { 1, 1 }, { 2, 1e200 } }, "float64")):standardize() end,
      "standardize: column 1 has numbers too large to be squared" },
    { "an infinite value", function() data.tensors(g.tensor { { 1, 1 }, { 2, math.huge } }):standardize() end,
      "standardize: column 1 has an infinite value; expected finite numbers" },
    { "a split without training rows", function() d:split({ a = .5, b = .5 }, { seed = 1 }):standardize() end,
      "standardize: there is no part 'train'; expected a:standardize(), and { like = a } for the others" },
    { "a split with a part that is standardized", function()
      local parts = rows(9):split({ train = .5, val = .5 }, { seed = 1 })
      parts.val = parts.val:standardize()
      parts:standardize()
    end, "standardize: 'tensors' is standardized already" },
    { "a stream", function() data.parity { d = 5, k = 2, seed = 1 }:standardize() end,
      "standardize: part 'train' is a stream without rows" },
    { "by rows that are not", function() d:standardize { like = d } end, "like: 'tensors' is not standardized itself" },
    { "by something else", function() d:standardize { like = 3 } end, "like: expected a standardized data set, or the path of" },
    { "by rows of another width", function() d:standardize { like = data.digits():standardize() } end,
      "standardize: like has 1 columns, 'tensors' has 3" },
    { "columns without names", function() d:standardize { columns = { "a" } } end, "the columns of 'tensors' have no names" },
    { "a column that is not there", function() read(TABLE, { label = "y", skip = { "sex" } }):standardize { columns = { "incom" } } end,
      "standardize: no column 'incom'; did you mean 'income'?" },
    { "columns beside like", function() d:standardize { like = d, columns = { "a" } } end, "like says which columns" },
    { "an unknown option", function() d:standardize { lik = d } end, "standardize: no option 'lik'; did you mean 'like'?" },
  }
  for _, case in ipairs(cases) do
    it("is refused: " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
  it("under other names is answered with this one", function()
    local way = "d:split { train = .8, val = .2 }:standardize()"
    for _, name in ipairs { "normalize", "standardise", "StandardScaler", "fit_transform" } do
      expect(function() return d[name] end):fails_with(way)
      expect(function() return data[name] end):fails_with(way)
      expect(function() return d:split({ train = .5 }, { seed = 1 })[name] end):fails_with(way)
    end
    for _, name in ipairs { "standardize", "normalize", "scale" } do
      expect(function() data.csv("x.csv", { label = "y", [name] = true }) end):fails_with(
        ("data.csv: no option '%s'; expected d = g.data.…:split { train = .8, val = .2 }:standardize()"):format(name))
    end
    expect(function() data.npy { x = "x.npy", normalize = true } end):fails_with "no option 'normalize'; expected d = g.data.…"
    for _, word in ipairs { "standardize", "normalize", "scale", "StandardScaler", "d:standardize" } do
      expect(g.help(word)):matches "deviation"
    end
  end)
end)

describe("a standardized data set", function()
  it("trains what raw columns do not let train", function()
    local function accuracy(d)
      return (support.with_run({}, function(run)
        return run:distill { student = g.nn.MLP { 3, 8, 2 }, data = d, budget = { epochs = 10 }, lr = .02 }:last "val/acc"
      end))
    end
    local d = rows(600):split({ train = .7, val = .3 }, { seed = 1 })
    expect(accuracy(d:standardize()) > .95):is_true()
    expect(accuracy(d) < .8):is_true()
  end)
  it("is hashed as what it is", function()
    local d = rows(20)
    expect(d:standardize():fingerprint()):equals(d:standardize():fingerprint())
  end)
end)
