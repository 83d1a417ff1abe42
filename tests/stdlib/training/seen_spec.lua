-- A stored student that is tested on rows which it was trained on, because another seed splits otherwise.
local g = require "gradus"
local support = require "support"
local trained_rows = require "gradus.data.trained_rows"

local function digits() return g.data.digits():first(203) end
local function split(seed, of) return (of or digits()):split({ train = .5, val = .2, test = .3 }, { seed = seed }) end

-- Trains on `train` in a run of seed 4; calls fn(path of the student, folder).
local function with_student(train, fn)
  local path = os.tmpname()
  os.remove(path)
  local ok, err = pcall(function()
    local file
    support.with_run({ folder = path, seed = 4 }, function(run)
      run:distill { student = g.nn.MLP { 64, 10 }, data = { train = train }, budget = { steps = 2 } }
      file = run.folder .. "/student.last.safetensors"
    end)
    fn(file)
  end)
  os.execute("rm -rf " .. path)
  if not ok then error(err, 0) end
end

-- What is warned of while a model with these weights is evaluated on each of the sets.
local function warned(file, ...)
  local sets, texts = { ... }, {}
  local _, seen = support.with_run({ seed = 9 }, function(run)
    local net = g.nn.MLP { 64, 10 }
    net:load(file)
    for _, d in ipairs(sets) do run:evaluate(net, d) end
  end)
  for i, one in ipairs(seen.warnings) do texts[i] = one.detail.text end
  return texts
end

describe("a stored student", function()
  it("is told of where some of the rows were trained on", function()
    local train = split(1).train
    with_student(train, function(file)
      local other = split(2).test
      local both = 0
      local of_train = {}
      for _, row in ipairs(train.index:totable()) do of_train[row] = true end
      for _, row in ipairs(other.index:totable()) do both = both + (of_train[row] and 1 or 0) end
      local texts = warned(file, other, split(3).test)
      expect(#texts):equals(1)
      expect(texts[1]):matches(("evaluate: %d of these 61 rows of 'digits' were among those that the model was trained on"):format(both))
      expect(texts[1]):matches "trained on, by run %x%x%x%x%x%x%x%x of seed 4"
      expect(texts[1]):matches "here the seed is 9: expected %-%-seed 4, or d:split"
    end)
  end)
  it("is not, with the same split, on its training rows, on other data and on generators", function()
    with_student(split(1).train, function(file)
      local x, y = digits():gather()
      local more = g.data.tensors(x + 1, y, { classes = 10 })
      expect(warned(file, split(1).test, split(1).train, split(1).val, split(2, more).test)):equals {}
    end)
  end)
  it("is, of standardized rows too", function()
    with_student(split(1):standardize().train, function(file)
      expect(#warned(file, split(2):standardize().test)):equals(1)
      expect(#warned(file, split(1):standardize().test)):equals(0)
    end)
  end)
  it("counts exactly, whatever the number of rows", function()
    for _, n in ipairs { 1, 3, 4, 5, 8, 17 } do
      local d = g.data.tensors(g.randn(n, 2), g.zeros({ n }, { dtype = "int64" }), { classes = 2 })
      local some = d:subset(g.arange(0, n, 2))
      local kept = trained_rows.of(some, 1)
      expect(trained_rows.count(kept, d)):equals(some:size())
      expect(trained_rows.count(kept, some)):equals(some:size())
      if n > 1 then expect(trained_rows.count(kept, d:subset { 1 })):equals(0) end
    end
    local function rows(n, value)
      return g.data.tensors(g.full({ n, 1 }, value), g.zeros({ n }, { dtype = "int64" }), { classes = 2 })
    end
    local kept = trained_rows.of(rows(8, 1), 1)
    expect({ trained_rows.count(kept, rows(8, 1)), trained_rows.count(kept, rows(8, 2)),
      trained_rows.count(kept, rows(12, 1)) }):equals { 8 }
    expect(trained_rows.count(kept, { base = rows(8, 1).base })):equals(nil)  -- no data set
    expect({ kept.seed, kept.rows }):equals { 1, "ff" }
    local many = trained_rows.of(rows(2 ^ 18, 1), 1)
    expect(many and #many.rows):equals(2 ^ 16)
    expect(trained_rows.of(rows(2 ^ 18 + 1, 1), 1)):equals(nil)
    expect(trained_rows.of(g.data.generator(function() end, { epoch = 1 }), 1)):equals(nil)
  end)
end)
