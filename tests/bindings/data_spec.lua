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
  it("csv with words, gaps and rows without a label", function()
    with_file("kind,size,note,class\nred,1,a,x\nblue,2,b,y\nred,,c,x\nred,4,d,\n", function(path)
      local csv = data.read_csv(path, { label = "class", skip = { "note" }, categories = { "kind" }, missing = "drop unlabelled" })
      expect(list(csv.x)):equals { { 1, 1 }, { 0, 2 }, { 1, 4 } }
      expect({ list(csv.y), csv.dropped, list(csv.unlabelled) }):equals { { 0, 1 }, 1, { false, false, true } }
      expect({ csv.columns, csv.classes, csv.levels }):equals { { "kind", "size" }, { "x", "y" }, { [0] = { "blue", "red" } } }
      expect(function() data.read_csv(path, { label = "class", skip = { "note" }, categories = { "kind" } }) end):fails_with ":4, column"
      expect(function() data.read_csv(path, { label = "class", skip = { "note" }, categories = { "kind" }, missing = "unlabelled" }) end)
        :fails_with ":4, column"
      csv = data.read_csv(path, { label = "class", skip = { "note" }, categories = { "kind" }, missing = "drop" })
      expect({ list(csv.x), csv.dropped, csv.unlabelled }):equals { { { 1, 1 }, { 0, 2 } }, 2 }
    end)
    with_file("5,1.5\n7,2.5\n", function(path)
      expect(list(data.read_csv(path, { label = 0 }).y)):equals { 5, 7 }
      expect(list(data.read_csv(path, { label = 0, labels = "class" }).y)):equals { 0, 1 }
      expect(#data.read_csv(path, { label = 0, header = true }).x):equals(1)
      expect({ #data.read_csv(path, { label = 0, header = false }).x, data.read_csv(path).dropped }):equals { 2, 0 }
      expect(select("#", data.read_csv(path))):equals(1)
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
    for _, separator in ipairs { "", ";;" } do
      expect(function() data.read_csv("f", { separator = separator }) end)
        :fails_with("read_csv: separator: expected one character; got '" .. separator .. "'")
    end
    expect(function() data.read_csv("f", { label = {} }) end):fails_with "label: expected a text; got table"
    expect(function() data.read_csv("f", { classes = "a" }) end):fails_with "classes: expected a list of texts; got string 'a'"
    expect(function() data.read_csv("f", { skip = { 1 } }) end):fails_with "skip: expected a list of texts"
    expect(function() data.read_csv("f", { [1] = "header" }) end):fails_with "no option '[number 1]'; expected one of header"
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
      data.write_safetensors(path, given)
      read, metadata = data.read_safetensors(path, { names = { "b" } })
      expect({ read.a, list(read.b), metadata }):equals { nil, { 1, 2, 3 }, {} }
      expect(function() data.read_safetensors(path, { names = { "c" } }) end):fails_with "'c'"
    end)
  end)
  it("safetensors that are the file", function()
    with_file("", function(path)
      local like = { a = engine.ops.ones({ 2, 2 }, { dtype = "float64" }), b = rows { 7 } }
      local made = data.create_safetensors(path, like, { kind = "test" })
      expect({ list(made.a), made.a.dtype, list(made.b), made.b.dtype }):equals { { { 0, 0 }, { 0, 0 } }, "float64", { 0 }, "int64" }
      made.a[1] = 3
      made.b[0] = 2 ^ 40
      local mapped, metadata = data.map_safetensors(path)
      expect({ list(mapped.a), list(mapped.b), metadata }):equals { { { 0, 0 }, { 3, 3 } }, { 2 ^ 40 }, { kind = "test" } }
      made.a[0] = 5
      expect(list(mapped.a)):equals { { 5, 5 }, { 3, 3 } }
      expect({ select("#", data.map_safetensors(path)), select("#", data.create_safetensors(path, {})) }):equals { 2, 1 }
      expect({ select("#", data.read_safetensors(path)), select("#", data.write_safetensors(path, {})) }):equals { 3, 0 }
    end)
    expect(function() data.map_safetensors "no/such" end):fails_with "no/such: cannot open; expected a readable file"
    expect(function() data.create_safetensors(7, {}) end):fails_with "create_safetensors: path: expected a text; got number 7"
    expect(function() data.create_safetensors("f", { a = 1 }) end):fails_with "create_safetensors: 'a': expected a Tensor; got number 1"
  end)
  it("snapshots are written aside, and waited for", function()
    with_file("", function(path)
      local x = tensor { { 1, 2 }, { 3, 4 } }
      expect(select("#", data.save_snapshot(path, { x = x, y = rows { 5 } }, { kind = "test" }, "plain\0text"))):equals(0)
      expect({ data.snapshot_saved(true), select("#", data.snapshot_saved(true)) }):equals { true, 1 }
      local read, plain = data.read_snapshot(path)
      expect({ list(read.x), list(read.y), plain }):equals { { { 1, 2 }, { 3, 4 } }, { 5 }, "plain\0text" }
      expect(select("#", data.read_snapshot(path))):equals(2)
      data.save_snapshot(path, { x = engine.ops.zeros { 3000000 } }, {}, "")
      local saved = data.snapshot_saved()
      while not saved do saved = data.snapshot_saved(false) end
      expect(data.read_snapshot(path).x:numel()):equals(3000000)
    end)
    data.save_snapshot("/no/such/snapshot", { x = tensor { 1 } }, nil, "")
    expect(function() data.snapshot_saved(true) end):fails_with "data_spec.lua:%d+: /no/such/snapshot: cannot create"
    expect(data.snapshot_saved(true)):is_true()
    expect(function() data.save_snapshot("f", {}, {}) end):fails_with "save_snapshot: plain: expected a text; got nil"
    expect(function() data.save_snapshot("f", 7, {}, "") end):fails_with "save_snapshot: expected a table of tensors; got number 7"
    expect(function() data.read_snapshot(7) end):fails_with "read_snapshot: path: expected a text; got number 7"
  end)
  it("safetensors refuse what is no tensor", function()
    expect(function() data.write_safetensors("f", { a = 1 }) end):fails_with "'a': expected a Tensor; got number 1"
    expect(function() data.write_safetensors("f", { tensor { 1 } }) end)
      :fails_with "name: expected a text; got number 1"
    expect(function() data.write_safetensors("f", {}, { a = 1 }) end):fails_with "metadata value: expected a text"
    expect(function() data.write_safetensors("f", {}, { "a" }) end)
      :fails_with "write_safetensors: a metadata key: expected a text; got number 1"
    expect(function() data.write_safetensors("f", {}, 7) end)
      :fails_with "write_safetensors: metadata: expected a table of texts; got number 7"
    expect(function() data.write_safetensors("f") end):fails_with "write_safetensors: expected a table of tensors; got nil"
    expect(function() data.write_safetensors(nil, {}) end):fails_with "write_safetensors: path: expected a text; got nil"
    local gone = tensor { 1 }
    gone:release()
    expect(function() data.write_safetensors("f", { a = gone }) end):fails_with "'a': expected a Tensor; got a released Tensor"
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
    expect({ y:sum():item(), select("#", data.digits()) }):equals { 8070, 2 }
  end)
  it("parity begins with the first example, of seed 0", function()
    local x, y = data.parity { d = 6, k = 2, size = 5 }
    local same, labels = data.parity { d = 6, k = 2, size = 5, seed = 0, first = 0 }
    expect({ x.shape, y.shape, x:equal(same), y:equal(labels) }):equals { { 5, 6 }, { 5 }, true, true }
    expect(list(data.parity({ d = 6, k = 2, size = 3, first = 2 }))):equals(list(x[{ { 2, 5 } }]))
    expect(select("#", data.parity { d = 6, k = 2, size = 1 })):equals(2)
    expect(function() data.parity { d = 6, k = 2 } end):fails_with "parity: size: expected at least 1 sample; got 0"
    expect(function() data.parity { k = 2, size = 1 } end):fails_with "parity: d: expected 1 to 65536 coordinates; got 0"
    expect(function() data.parity { d = 6, size = 1 } end):fails_with "parity: k: expected a support of 1 to 6 coordinates; got 0"
    expect(function() data.parity { d = 6, n = 1 } end):fails_with "parity: no option 'n'; expected one of d, k, seed, first, size"
  end)
end)

describe("derive_seed", function()
  it("is a whole number of name and part", function()
    expect(data.derive_seed(0, "init")):equals(4401858621870689)
    expect(data.derive_seed(12345, "a stream with a long name", 7)):equals(8813023726942491)
    expect(data.derive_seed(0, "init", 1)):differs_from(data.derive_seed(0, "init"))
    expect(data.derive_seed(2 ^ 53, "init", 0)):equals(data.derive_seed(2 ^ 53, "init"))
    expect(select("#", data.derive_seed(0, "init"))):equals(1)
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
    s:set_subset(rows { 0, 2, 3 })
    expect({ list(s:subset()), s:size(), s:effective(), list((s:draw(1))) }):equals { { 0, 2, 3 }, 3, 3, { 0 } }
  end)
  it("shuffles by default, by seed 0, and confidence has its own numbers", function()
    local s, same = data.Sampler { rows = 30 }, data.Sampler { rows = 30, mode = "shuffle", seed = 0 }
    expect(list((s:draw(30)))):equals(list((same:draw(30))))
    local c = data.Sampler { rows = 3, mode = "confidence" }
    local state = c:state()
    expect({ state.mode, state.rows, state.seed, state.target, state.floor, state.decay }):equals { "confidence", 3, 0, .5, .05, .7 }
    c:set_target(.9)
    c:observe(rows { 1 }, tensor { .25 })
    state = c:state()
    expect({ state.target, list(state.confidence)[2], list(state.visits) }):equals { .9, .25, { 0, 0, 0 } }
    state = data.Sampler { rows = 3, mode = "confidence", target = .6, floor = .1, decay = .2, seed = 7 }:state()
    expect({ state.target, state.floor, state.decay, state.seed }):equals { .6, .1, .2, 7 }
  end)
  it("gives as many values as it says", function()
    local s = data.Sampler { rows = 4, mode = "confidence" }
    local function count(name, ...) return select("#", s[name](s, ...)) end
    expect({ count("draw", 2), count("size"), count("draws"), count("passes"), count("effective"), count("subset"), count("visits"),
      count("confidence"), count("state"), count("weights") }):equals { 2, 1, 1, 1, 1, 1, 1, 1, 1, 1 }
    expect({ count("set_subset", rows { 0, 1 }), count("observe", rows { 0 }, tensor { .5 }), count("set_target", .7),
      count("restore", s:state()), count("undo", (s:draw(1))) }):equals { 0, 0, 0, 0, 0 }
    local w = data.Sampler { rows = 2, mode = "weighted" }
    expect({ select("#", w:set_weights(tensor { 1, 2 })), select("#", w:set_weights(rows { 0 }, tensor { 3 })) }):equals { 0, 0 }
    expect(list(w:weights())):equals { 3, 2 }
    expect(getmetatable(s)):equals "gradus.Sampler"
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
    for _, name in ipairs { "target", "floor", "decay" } do
      expect(function() data.Sampler { rows = 3, [name] = .1 } end)
        :fails_with("Sampler: " .. name .. " has no effect; expected mode 'confidence'; got 'shuffle'")
    end
    expect(function() data.Sampler { rows = 3, weights = tensor { 1, 1, 1 } } end)
      :fails_with "set_weights has no effect in this mode"
    local s = data.Sampler { rows = 3 }
    expect(function() s:draw(0) end)
      :fails_with "data_spec%.lua:%d+: draw: size: expected a whole number from 1; got number 0"
    expect(function() s:draw "2" end):fails_with "draw: size: expected a whole number from 1; got string '2'"
    expect(function() s:draw(1.5) end):fails_with "draw: size: expected a whole number from 1; got number 1.5"
    expect(function() s:draw(1e9 + 1) end):fails_with "draw: size: expected a whole number from 1; got number 1000000001"
    expect(function() s:draw(0 / 0) end):fails_with "draw: size: expected a whole number from 1"
    expect(function() s:undo(3) end):fails_with "undo: index: expected a Tensor; got number 3"
    expect(function() s:set_subset(3) end):fails_with "set_subset: index: expected a Tensor; got number 3"
    expect(function() s:set_weights(3) end):fails_with "set_weights: expected a Tensor; got number 3"
    expect(function() s:set_weights(rows { 0 }, 3) end):fails_with "set_weights: weights: expected a Tensor; got number 3"
    expect(function() s:observe(3) end):fails_with "observe: index: expected a Tensor; got number 3"
    expect(function() s:observe(rows { 0 }, 3) end):fails_with "observe: confidence: expected a Tensor; got number 3"
    expect(function() s:set_target "a" end):fails_with "set_target: expected a number; got string 'a'"
    expect(function() s:set_target(.5) end):fails_with "set_target has no effect in this mode; expected mode 'confidence'; got 'shuffle'"
    expect(function() s.draw(2) end):fails_with "expected a gradus.Sampler (call its methods with ':'); got number 2"
    expect(function() s.draw(tensor { 1 }) end):fails_with "expected a gradus.Sampler"
    expect(function() s:set_subset(rows { 3 }) end):fails_with "no such row; expected 0 to 2; got 3"
    expect(function() s:observe(rows { 0 }, tensor { .5 }) end):fails_with "observe has no effect in this mode"
    local state = s:state()
    for _, name in ipairs { "rows", "draws", "cursor", "passes", "order", "subset", "visits" } do
      local without = {}
      for key, value in pairs(state) do without[key] = key ~= name and value or nil end
      expect(function() s:restore(without) end):fails_with "sampler: "
    end
    expect(function() s:restore { cursors = 1 } end):fails_with "did you mean 'cursor'?"
  end)
end)

describe("drawn_since", function()
  local visited = tensor({ 1, 0, 2 }, "int32")
  it("counts rows that were drawn, and their mean difficulty", function()
    expect({ data.drawn_since(visited) }):equals { 2 + 1 }
    expect({ data.drawn_since(visited, tensor({ 1, 0, 0 }, "int32")) }):equals { 2 }
    local drawn, difficulty = data.drawn_since(visited, nil, tensor { .1, .2, .4 })
    expect({ drawn, math.floor(difficulty * 1000 + .5) }):equals { 3, 300 }
    expect({ data.drawn_since(visits(3), nil, tensor { .1, .2, .4 }) }):equals { 0 }
  end)
  it("takes tensors alone", function()
    expect(function() data.drawn_since(3) end):fails_with "drawn_since: visits: expected a Tensor; got number 3"
    expect(function() data.drawn_since(visited, 3) end):fails_with "drawn_since: before: expected a Tensor; got number 3"
    expect(function() data.drawn_since(visited, nil, 3) end):fails_with "drawn_since: difficulty: expected a Tensor; got number 3"
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
    expect(select("#", data.augment(x, index, visits(4), how))):equals(1)
  end)
  it("does nothing unless it is told to, and then all of it", function()
    expect(data.augment(x, index, visits(4)):equal(x)):is_true()
    expect(data.augment(x, index, visits(4), {}):equal(x)):is_true()
    for _, how in ipairs { { noise = .5 }, { shift = 2 }, { erase = .5 } } do
      local by_default = data.augment(x, index, visits(4), how)
      how.strength, how.seed = 1, 0
      expect({ by_default:equal(data.augment(x, index, visits(4), how)), by_default:equal(x) }):equals { true, false }
    end
    expect(function() data.augment(x, index, visits(4), { noise = .1, strength = 2 }) end):fails_with "strength out of range"
  end)
  it("takes tensors alone", function()
    local given = { x, rows { 0, 1, 2, 0 }, index, visits(4) }
    for i, name in ipairs { "x", "y", "index", "visit" } do
      local four, three = { unpack(given) }, { x, index, visits(4) }
      four[i] = 1
      expect(function() data.mixup(unpack(four)) end):fails_with("mixup: " .. name .. ": expected a Tensor; got number 1")
      if name ~= "y" then
        three[i == 1 and 1 or i - 1] = 1
        expect(function() data.augment(unpack(three)) end):fails_with("augment: " .. name .. ": expected a Tensor; got number 1")
        expect(function() data.mask(unpack(three)) end):fails_with("mask: " .. name .. ": expected a Tensor; got number 1")
      end
    end
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
    local labels = rows { 0, 1, 2, 0 }
    local by_default = { data.mixup(x, labels, index, visits(4), { classes = 3 }) }
    local told = { data.mixup(x, labels, index, visits(4), { classes = 3, alpha = .2, strength = 1, seed = 0 }) }
    expect(#by_default):equals(3)
    for i = 1, 3 do expect(by_default[i]:equal(told[i])):is_true() end
    expect(function() data.mixup(x, labels, index, visits(4)) end)
      :fails_with "number of classes unknown; expected classes = 2 or more; got 0"
    expect(function() data.mixup(x, labels, index, visits(4), { alpa = 1 }) end):fails_with "did you mean 'alpha'?"
  end)
  it("masks tokens at a rate, which is 0 unless it is told", function()
    local tokens = engine.ops.arange(4, 44):reshape(4, 10)
    local masked, y = data.mask(tokens, index, visits(4), { rate = .5, low = 4, high = 44, mask = 1, seed = 2 })
    local changed = masked:ne(tokens)
    expect({ changed:sum():item() > 5, y:ne(-100):sum():item() >= changed:sum():item() }):equals { true, true }
    expect(masked:masked_select(changed):eq(1):any():item()):is_true()
    expect(list(y:masked_select(changed))):equals(list(tokens:masked_select(changed)))
    masked, y = data.mask(tokens, index, visits(4))
    expect({ masked:equal(tokens), y:ne(-100):any():item(), select("#", data.mask(tokens, index, visits(4))) }):equals { true, false, 2 }
    masked = data.mask(tokens, index, visits(4), { rate = .5, low = 4, high = 44 })  -- the mask is token 0
    expect({ masked:eq(0):any():item(), masked:eq(1):any():item() }):equals { true, false }
    masked = data.mask(tokens - 4, index, visits(4), { rate = .9, high = 40, mask = 50 })  -- from token 0
    expect({ masked:eq(50):any():item(), masked:min():item() >= 0 }):equals { true, true }
    expect(function() data.mask(tokens, index, visits(4), { rate = .5, low = 4 }) end)
      :fails_with "mask: no tokens to mask; expected 0 <= low < high; got 4 to 0"
    expect(function() data.mask(tokens, index, visits(4), { hihg = 4 }) end):fails_with "did you mean 'high'?"
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
    expect({ dropped[1].strength, list(dropped[2].visit) }):equals { 1, list(visit) }
    for i = 2, 1, -1 do sampler:undo(dropped[i].index) end
    expect(sampler:draws()):equals(0)
    expect({ #loader:pending(), select("#", loader:drop()), select("#", loader:submit(index, visit)) }):equals { 0, 1, 0 }
    expect({ list(loader:pending()[1].index), select("#", loader:pending()), select("#", loader:next()) }):equals { list(index), 1, 1 }
  end)
  it("a batch has the rows of all that the examples have", function()
    local weight, teacher = engine.ops.rand { 30 }, engine.ops.rand { 30, 2 }
    local loader = data.Loader { x = x, y = y, weight = weight, teacher = teacher }
    local index, visit = rows { 3, 0, 29 }, tensor({ 1, 0, 2 }, "int32")
    loader:submit(index, visit)
    local batch = loader:next()
    expect(batch.x:equal(x[index])):is_true()
    expect({ list(batch.y), list(batch.weight), list(batch.teacher) }):equals { { 3, 0, 29 }, list(weight[index]), list(teacher[index]) }
    expect({ list(batch.index), list(batch.visit), batch.visit.dtype, batch.lambda }):equals { { 3, 0, 29 }, { 1, 0, 2 }, "int32" }
    loader = data.Loader { x = x }
    loader:submit(index, visit)
    batch = loader:next()
    expect({ batch.y, batch.weight, batch.teacher, batch.x:equal(x[index]) }):equals { [4] = true }
  end)
  it("gives what augment, mixup and mask give by themselves", function()
    local index, visit, tokens = rows { 3, 0, 29 }, visits(3), engine.ops.arange(4, 304):reshape(30, 10)
    local function batch(options, strength)
      local loader = data.Loader(options)
      loader:submit(index, visit, strength)
      return loader:next()
    end
    local how = { noise = .1, shift = 1, erase = .2, seed = 6, strength = .5 }
    local got = batch({ x = x, noise = .1, shift = 1, erase = .2, seed = 6 }, .5)
    expect(got.x:equal(data.augment(x[index], index, visit, how))):is_true()
    got = batch { x = x, y = y, classes = 30, mixup = .4, seed = 6 }
    local mixed, labels, lambda = data.mixup(x[index], y[index], index, visit, { alpha = .4, classes = 30, seed = 6 })
    expect({ got.x:equal(mixed), got.y:equal(labels), got.lambda:equal(lambda) }):equals { true, true, true }
    got = batch { x = tokens, rate = .5, mask = 1, low = 4, high = 304, seed = 6 }
    local masked, hidden = data.mask(tokens[index], index, visit, { rate = .5, mask = 1, low = 4, high = 304, seed = 6 })
    expect({ got.x:equal(masked), got.y:equal(hidden) }):equals { true, true }
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
    expect(select("#", data.check("points.csv", { x = x, y = y, classes = 30, weight = engine.ops.ones { 30 } }))):equals(0)
    expect(select("#", data.check("points.csv", { x = x, y = y }))):equals(0)
    expect(function() data.check(nil, { x = x, y = y, classes = 3 }) end):fails_with "data: label out of range in row 3"
    expect(function() data.check("points.csv", { x = 3 }) end):fails_with "x: expected a Tensor; got number 3"
    expect(function() data.Loader { x = x, pin = 1 } end):fails_with "Loader: pin: expected true or false; got number 1"
    local loader = data.Loader { x = x, depth = 1 }
    expect(getmetatable(loader)):equals "gradus.Loader"
    expect(function() loader.next(3) end):fails_with "expected a gradus.Loader (call its methods with ':'); got number 3"
    expect(function() loader:submit(3, visits(1)) end):fails_with "submit: index: expected a Tensor; got number 3"
    expect(function() loader:submit(rows { 1 }, 3) end):fails_with "submit: visit: expected a Tensor; got number 3"
    expect(function() loader:submit(rows { 1 }, visits(1), "a") end)
      :fails_with "submit: strength: expected a number from 0 to 1; got string 'a'"
    expect(function() loader:next() end):fails_with "no batch is pending"
    loader:submit(rows { 99 }, visits(1))
    expect(function() loader:next() end):fails_with "no such row; expected 0 to 29; got 99"
    expect(function() loader:submit(rows { 1 }, visits(1), 2) end):fails_with "strength out of range"
  end)
end)
