local engine = require "gradus.engine"
local data, tensor = engine.data, engine.tensor

local function list(t) return t:totable() end
local function rows(values) return tensor(values, "int64") end
local function visits(n) return engine.ops.zeros({ n }, { dtype = "int32" }) end

local function with_file(bytes, use)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  file:write(bytes)
  file:close()
  local ok, err = pcall(use, path)
  os.remove(path)
  if not ok then error(err, 0) end
end

describe("data files", function()
  it("csv with names and text labels", function()
    with_file("w,h,kind\n1,2,dog\n3,4,cat\n5,6,dog\n", function(path)
      local csv = data.read_csv(path, { label = "kind" })
      expect(list(csv.x)):equals { { 1, 2 }, { 3, 4 }, { 5, 6 } }
      expect(list(csv.y)):equals { 1, 0, 1 }
      expect(csv.y.dtype):equals "int64"
      expect(csv.columns):equals { "w", "h" }
      expect(csv.classes):equals { "cat", "dog" }
      expect(list(data.read_csv(path, { label = -1, classes = { "dog", "cat" } }).y)):equals { 0, 1, 0 }
    end)
  end)
  it("csv without labels, with another separator", function()
    with_file("1;2\n3;4\n", function(path)
      local csv = data.read_csv(path, { separator = ";" })
      expect(list(csv.x)):equals { { 1, 2 }, { 3, 4 } }
      expect(csv.y):equals(nil)
      expect(csv.classes):equals(nil)
      expect(csv.columns):equals {}
    end)
  end)
  it("csv blames the script's line, then the file's", function()
    with_file("1,2\n3,x\n", function(path)
      expect(function() data.read_csv(path) end)
        :fails_with "data_spec%.lua:%d+: .*:2, column 2: not a number; expected .*; got 'x'"
    end)
  end)
  it("csv options are checked", function()
    expect(function() data.read_csv("f", { lable = 1 }) end)
      :fails_with "no option 'lable'; expected one of header, label, separator, .*; did you mean 'label'?"
    expect(function() data.read_csv("f", { header = 1 }) end):fails_with "header: expected true or false; got number 1"
    expect(function() data.read_csv("f", { label = 1.5 }) end):fails_with "label: expected a whole number"
    expect(function() data.read_csv("f", { classes = { 1 } }) end):fails_with "classes: expected a list of texts"
    expect(function() data.read_csv("f", 7) end):fails_with "expected a table of options"
    expect(function() data.read_csv() end):fails_with "path: expected a text; got"
    expect(function() data.read_csv "no/such.csv" end):fails_with "no/such.csv: cannot open"
    expect(function() data.read_csv "no\nsuch.csv" end):fails_with "no\\nsuch.csv: cannot open"
    expect(function() data.read_csv "a\0b" end):fails_with "path holds a zero byte"
  end)
  it("safetensors go round", function()
    with_file("", function(path)
      local given = { a = tensor { { 1, 2 }, { 3, 4 } }, b = rows { 1, 2, 3 } }
      data.write_safetensors(path, given, { kind = "test" })
      local read, metadata, bad = data.read_safetensors(path)
      expect(list(read.a)):equals { { 1, 2 }, { 3, 4 } }
      expect(list(read.b)):equals { 1, 2, 3 }
      expect(read.b.dtype):equals "int64"
      expect(metadata):equals { kind = "test" }
      expect(bad):equals(0)
      data.write_safetensors(path, { nan = tensor { 0 / 0, 1, 1 / 0 } })
      metadata, bad = select(2, data.read_safetensors(path))
      expect(bad):equals(2)
      expect(metadata):equals {}
      expect(function() data.read_safetensors(path, { strict = true }) end)
        :fails_with "tensor 'nan': values are not finite"
    end)
  end)
  it("safetensors refuse what is no tensor", function()
    expect(function() data.write_safetensors("f", { a = 1 }) end):fails_with "'a': expected a Tensor; got number 1"
    expect(function() data.write_safetensors("f", { tensor { 1 } }) end)
      :fails_with "name: expected a text; got number 1"
    expect(function() data.write_safetensors("f", {}, { a = 1 }) end):fails_with "metadata value: expected a text"
    expect(function() data.write_safetensors("no/such/f", {}) end):fails_with "cannot create"
    with_file("garbage garbage", function(path) expect(function() data.read_safetensors(path) end)
      :fails_with "byte 8: no safetensors file; expected '{', where the header begins; got byte 103" end)
  end)
  it("npy and idx", function()
    local formats = "tests/runtime/reference/formats/"
    expect(data.read_npy(formats .. "i4.npy").shape):equals { 2, 3 }
    with_file("\0\0\8\1\0\0\0\3abc", function(path) expect(list(data.read_idx(path))):equals { 97, 98, 99 } end)
    expect(function() data.read_idx(formats .. "i4.npy") end):fails_with "not an IDX file"
    expect(function() data.read_npy(7) end):fails_with "path: expected a text; got number 7"
  end)
  it("digits", function()
    local x, y = data.digits()
    expect(x.shape):equals { 1797, 1, 8, 8 }
    expect(x.dtype):equals "float32"
    expect(y.shape):equals { 1797 }
    expect(y:sum():item()):equals(8070)
  end)
end)

describe("derive_seed", function()
  it("is a whole number of name and part", function()
    expect(data.derive_seed(0, "init")):equals(4401858621870689)
    expect(data.derive_seed(12345, "a stream with a long name", 7)):equals(8813023726942491)
    expect(data.derive_seed(0, "init", 1)):differs_from(data.derive_seed(0, "init"))
  end)
  it("refuses other seeds", function()
    expect(function() data.derive_seed(-1, "a") end)
      :fails_with "seed: expected a whole number from 0 to 2^53; got number -1"
    expect(function() data.derive_seed(1.5, "a") end):fails_with "seed: expected"
    expect(function() data.derive_seed("1", "a") end):fails_with "seed: expected"
    expect(function() data.derive_seed(1) end):fails_with "name: expected a text"
    expect(function() data.derive_seed(1, "a", 0 / 0) end):fails_with "sub: expected"
  end)
end)

describe("Sampler", function()
  it("draws a subset in order and counts visits", function()
    local s = data.Sampler { rows = 5, mode = "sequential", subset = rows { 4, 1 } }
    local index, visit = s:draw(3)
    expect(list(index)):equals { 4, 1, 4 }
    expect(list(visit)):equals { 0, 0, 1 }
    expect({ s:size(), s:draws(), s:passes() }):equals { 2, 3, 1.5 }
    s:undo(index)
    expect(list(s:visits())):equals { 0, 0, 0, 0, 0 }
    expect(list(s:subset())):equals { 4, 1 }
  end)
  it("resumes exactly from its state", function()
    for _, mode in ipairs { "sequential", "shuffle", "weighted", "confidence" } do
      local a = data.Sampler { rows = 50, mode = mode, seed = 2 ^ 53 - 1 }
      local index = a:draw(33)
      if mode == "confidence" then a:observe(index, engine.ops.rand { 33 }) end
      if mode == "weighted" then a:set_weights(index, engine.ops.rand { 33 }) end
      local b = data.Sampler { rows = 50, mode = mode }
      b:restore(a:state())
      for _ = 1, 5 do expect(list(a:draw(17))):equals(list(b:draw(17))) end
    end
  end)
  it("follows weights and confidence", function()
    local w = data.Sampler { rows = 3, mode = "weighted", weights = tensor { 0, 1, 0 } }
    expect(list(w:draw(3))):equals { 1, 1, 1 }
    w:set_weights(rows { 1, 2 }, tensor { 0, 5 })
    expect(list(w:draw(2))):equals { 2, 2 }
    local c = data.Sampler { rows = 3, mode = "confidence", floor = .2, decay = 0, target = .5 }
    c:observe(rows { 0, 1 }, tensor { 1, .5 })
    expect(list(c:weights())):near({ .2, 1, 1 }, 1e-12)
    c:set_target(1)
    expect(c:weights():totable()[1]):near(1, 1e-12)
    expect(list(c:confidence())[2]):equals(.5)
  end)
  it("names what is wrong", function()
    expect(function() data.Sampler { rows = 3, mode = "shufle" } end)
      :fails_with "unknown mode; expected sequential, shuffle, weighted or confidence; got 'shufle'"
    expect(function() data.Sampler { rows = 3, seeds = 1 } end):fails_with "did you mean 'seed'?"
    expect(function() data.Sampler { rows = 3, seed = -1 } end):fails_with "seed: expected a whole number from 0"
    expect(function() data.Sampler {} end):fails_with "empty data set"
    expect(function() data.Sampler { rows = 3, floor = .1 } end):fails_with "floor has no effect"
    expect(function() data.Sampler { rows = 3, weights = tensor { 1, 1, 1 } } end)
      :fails_with "set_weights has no effect in this mode"
    local s = data.Sampler { rows = 3 }
    expect(function() s:draw(0) end)
      :fails_with "data_spec%.lua:%d+: draw: size: expected a whole number from 1; got number 0"
    expect(function() s:draw "2" end):fails_with "draw: size"
    expect(function() s.draw(2) end):fails_with "expected a gradus.Sampler (call its methods with ':'); got number 2"
    expect(function() s.draw(tensor { 1 }) end):fails_with "expected a gradus.Sampler"
    expect(function() s:set_subset(rows { 3 }) end):fails_with "no such row; expected 0 to 2; got 3"
    expect(function() s:observe(rows { 0 }, tensor { .5 }) end):fails_with "observe has no effect in this mode"
    expect(function() s:restore { mode = "shuffle", rows = 3 } end):fails_with "sampler"
    expect(function() s:restore { cursors = 1 } end):fails_with "did you mean 'cursor'?"
  end)
end)

describe("augment", function()
  local x = engine.ops.rand { 4, 1, 8, 8 }
  local index = rows { 5, 6, 7, 8 }
  it("belongs to row and visit, not to the batch", function()
    local how = { seed = 3, strength = .7, noise = .1, shift = 2, erase = .3 }
    local all = data.augment(x, index, visits(4), how)
    local one = data.augment(x:slice(0, 2, 3), index:slice(0, 2, 3), visits(1), how)
    expect(list(one)[1]):equals(list(all)[3])
    how.strength = 0
    expect(list(data.augment(x, index, visits(4), how))):equals(list(x))
  end)
  it("names both shapes", function()
    expect(function() data.augment(x:flatten(1), index, visits(4), { shift = 1 }) end)
      :fails_with "shift needs images; expected x [N, C, H, W]; got x [4, 64]"
    expect(function() data.augment(x, index, visits(4), { shft = 1 }) end):fails_with "did you mean 'shift'?"
  end)
  it("mixes labels up", function()
    local mixed, y, lambda = data.mixup(x, rows { 0, 1, 2, 0 }, index, visits(4), { alpha = 1, classes = 3, seed = 2 })
    expect(mixed.shape):equals(x.shape)
    expect(list(y:sum(1))):near({ 1, 1, 1, 1 }, 1e-6)
    expect(lambda:min():item() >= .5):is_true()
  end)
end)

describe("Loader", function()
  local x, y = engine.ops.rand { 30, 1, 8, 8 }, engine.ops.arange(30)
  it("gives the same bits ahead of use and not", function()
    local batches = {}
    for _, depth in ipairs { 0, 3 } do
      local sampler = data.Sampler { rows = 30, seed = 4 }
      local loader = data.Loader { x = x, y = y, depth = depth, seed = 8, noise = .1, shift = 1, erase = .2 }
      batches[depth] = {}
      for i = 1, 9 do
        repeat loader:submit(sampler:draw(7)) until #loader:pending() >= depth
        local batch = loader:next()
        batches[depth][i] = { list(batch.x), list(batch.y), list(batch.index), list(batch.visit) }
      end
    end
    expect(batches[3]):equals(batches[0])
    expect(batches[3][1]):differs_from(batches[3][2])
  end)
  it("gives back what was not taken", function()
    local sampler = data.Sampler { rows = 30 }
    local loader = data.Loader { x = x, depth = 2 }
    loader:submit(sampler:draw(4))
    local index, visit = sampler:draw(4)
    loader:submit(index, visit, .5)
    local dropped = loader:drop()
    expect(#dropped):equals(2)
    expect(dropped[2].strength):equals(.5)
    expect(list(dropped[2].index)):equals(list(index))
    for i = 2, 1, -1 do sampler:undo(dropped[i].index) end
    expect(sampler:draws()):equals(0)
  end)
  it("names what is wrong", function()
    expect(function() data.Loader { x = x, y = y:slice(0, 0, 29) } end)
      :fails_with "y has another number of rows than x [30, 1, 8, 8]; expected 30 rows; got [29]"
    expect(function() data.Loader { x = x, y = y, classes = 20 } end)
      :fails_with "label out of range in row 20; expected 0 to 19; got 20"
    expect(function() data.Loader { y = y } end):fails_with "no x"
    expect(function() data.Loader { x = x, noisy = 1 } end):fails_with "did you mean 'noise'?"
    expect(function() data.Loader { x = x, mixup = .2 } end):fails_with "mixup needs labels"
    expect(function() data.check("points.csv", { x = x, y = y, classes = 3 }) end)
      :fails_with "points.csv: label out of range in row 3"
    local loader = data.Loader { x = x, depth = 1 }
    expect(function() loader:next() end):fails_with "no batch is pending"
    loader:submit(rows { 99 }, visits(1))
    expect(function() loader:next() end):fails_with "no such row; expected 0 to 29; got 99"
    expect(function() loader:submit(rows { 1 }, visits(1), 2) end):fails_with "strength out of range"
  end)
end)
