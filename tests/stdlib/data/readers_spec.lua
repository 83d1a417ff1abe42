-- Arrays as NumPy and PyTorch write them: whatever their type, what is read can be trained on.
local g = require "gradus"
local engine = require "gradus.engine"
local support = require "support"
local data, with_file = g.data, support.with_file

-- An NPY file; values: bytes.
local function npy(descr, shape, bytes, fortran)
  local head = ("{'descr': '%s', 'fortran_order': %s, 'shape': (%s,), }"):format(descr, fortran and "True" or "False",
    table.concat(shape, ", "))
  head = head .. (" "):rep(63 - (#head + 10) % 64) .. "\n"
  return "\147NUMPY\1\0" .. string.char(#head % 256, math.floor(#head / 256)) .. head .. bytes
end

-- Numbers as they lie in memory: the end of a safetensors file.
local function bytes_of(dtype, values, swapped)
  local one, text = g.tensor(values, dtype), nil
  with_file("", function(path)
    engine.data.write_safetensors(path, { one = one }, {})
    local file = io.open(path, "rb")
    text = file:read "*a":sub(-one:nbytes())
    file:close()
  end)
  if not swapped then return text end
  local size, parts = #text / #values, {}
  for i = 1, #values do parts[i] = text:sub((i - 1) * size + 1, i * size):reverse() end
  return table.concat(parts)
end

local X, Y = { 0, 1, 1, 0, 1, 1, 0, 0 }, { 1, 0, 1, 0 }  -- [4, 2] and [4]

local function trained(d)
  return support.with_run({}, function(run)
    return run:distill { student = g.nn.MLP { 2, 4, 2 }, data = d, batch = 2, budget = { steps = 2 } }.steps
  end)
end

describe("NumPy's files", function()
  local types = { { "<f8", "float64" }, { "<f4", "float32" }, { ">f8", "float64", true }, { ">f4", "float32", true }, { "|b1", "uint8" },
    { "|u1", "uint8" }, { "|i1", "int8" }, { "<i2", "int16" }, { ">i4", "int32", true }, { "<i8", "int64" },
    { "<u2", "int16" }, { "<u4", "int32" }, { "<u8", "int64" } }
  for _, one in ipairs(types) do
    it("of " .. one[1] .. " are float32 inputs, and labels where they are whole", function()
      with_file(npy(one[1], { 4, 2 }, bytes_of(one[2], X, one[3])), function(x)
        with_file(npy(one[1], { 4 }, bytes_of(one[2], Y, one[3])), function(y)
          local d = data.npy { x = x, y = y, classes = 2 }
          expect({ d.base.x.dtype, d.labels.kind, d.base.y:totable() }):equals { "float32", "classes", Y }
          expect(d.base.x:flatten():totable()):equals(X)
          expect(trained(d)):equals(2)
        end)
      end)
    end)
  end
  it("in Fortran's order are read as they are meant", function()
    with_file(npy("<f8", { 4, 2 }, bytes_of("float64", { 0, 1, 1, 0, 1, 0, 1, 0 }), true), function(x)
      expect(data.npy({ x = x }).base.x:totable()):equals { { 0, 1 }, { 1, 0 }, { 1, 1 }, { 0, 0 } }
    end)
  end)
  it("of halves are float32", function()
    with_file(npy("<f2", { 2, 1 }, "\0\60\0\56"), function(x) expect(data.npy({ x = x }).base.x:totable()):equals { { 1 }, { .5 } } end)
  end)
  it("of images have a channel where it is asked for", function()
    local values = {}
    for k = 1, 60 do values[k] = k end
    local function shape(given, options)
      local found, first
      with_file(npy("<f4", given, bytes_of("float32", values)), function(x)
        options.x = x
        local base = data.npy(options).base
        found, first = base.x.shape, base.x:flatten(1):slice(0, 0, 1):totable()[1]
      end)
      return found, first
    end
    expect((shape({ 5, 3, 4 }, { images = true }))):equals { 5, 1, 3, 4 }
    expect((shape({ 5, 3, 4 }, {}))):equals { 5, 3, 4 }
    local last, row = shape({ 2, 2, 5, 3 }, { images = true })
    expect(last):equals { 2, 3, 2, 5 }
    expect({ row[1], row[2], row[11] }):equals { 1, 4, 2 }
    expect((shape({ 5, 1, 3, 4 }, { images = true }))):equals { 5, 1, 3, 4 }
    expect(function() shape({ 15, 4 }, { images = true }) end):fails_with
      "images = true: expected x [N, H, W], [N, C, H, W] or [N, H, W, C]"
  end)
  it("keep tokens whole, beside tokens or where it is said", function()
    local tokens = npy("<i4", { 2, 3 }, bytes_of("int32", { 1, 2, 3, 4, 5, 6 }))
    with_file(tokens, function(x)
      local d = data.npy { x = x, y = x }
      expect({ d.base.x.dtype, d.labels.kind }):equals { "int64", "tokens" }
      expect(data.npy({ x = x }).base.x.dtype):equals "float32"
      with_file(npy("<i8", { 2 }, bytes_of("int64", { 0, 1 })), function(y)
        expect(data.npy({ x = x, y = y }).base.x.dtype):equals "float32"
        expect(data.npy({ x = x, y = y, tokens = true }).base.x.dtype):equals "int64"
        expect(data.npy({ x = x, y = y, labels = "numbers" }).base.y.dtype):equals "float32"
      end)
    end)
    with_file(npy("<f4", { 2, 1 }, bytes_of("float32", { 1, 2 })), function(x)
      expect(function() data.npy { x = x, tokens = true } end):fails_with "tokens = true, but x has float32; expected whole numbers"
    end)
  end)
  it("may have weights", function()
    with_file(npy("<f8", { 4, 2 }, bytes_of("float64", X)), function(x)
      with_file(npy("<f8", { 4 }, bytes_of("float64", { 1, 2, 0, .5 })), function(w)
        expect(data.npy({ x = x, weight = w }).base.weight:totable()):equals { 1, 2, 0, .5 }
      end)
      with_file(npy("<f8", { 4 }, bytes_of("float64", { 1, -2, 0, .5 })), function(w)
        expect(function() data.npy { x = x, weight = w } end):fails_with "weight: expected numbers from 0; got -2 in row 1"
      end)
    end)
  end)
  it("of complex numbers are refused by name", function()
    with_file(npy("<c8", { 1, 1 }, ("\0"):rep(8)), function(x)
      expect(function() data.npy { x = x } end):fails_with "'<c8' (complex numbers)"
    end)
  end)
  it("blame the labels' file", function()
    with_file(npy("<f4", { 2, 1 }, bytes_of("float32", { 1, 2 })), function(x)
      with_file(npy("<i8", { 2 }, bytes_of("int64", { -1, 1 })), function(y)
        expect(function() data.npy { x = x, y = y } end):fails_with("data.npy: " .. y .. ": labels from -1 to 1; expected 0 to C - 1")
        expect(data.npy({ x = x, y = y, labels = "numbers" }).labels.kind):equals "numbers"
      end)
    end)
  end)
end)

describe("safetensors", function()
  local function with_tensors(tensors, use)
    with_file("", function(path)
      engine.data.write_safetensors(path, tensors, {})
      use(path)
    end)
  end
  for _, dtype in ipairs { "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool" } do
    it("of " .. dtype .. " can be trained on", function()
      with_tensors({ x = g.tensor(X, dtype):reshape(4, 2), y = g.tensor(Y, dtype) }, function(path)
        local d = data.safetensors(path, { x = "x", y = "y", classes = 2 })
        expect({ d.base.x.dtype, d.labels.kind, d.base.x:flatten():totable() }):equals { "float32", "classes", X }
        expect(trained(d)):equals(2)
      end)
    end)
  end
  it("are read by name, with a scale and weights", function()
    with_tensors({ images = g.tensor({ { 255, 0 } }, "uint8"), w = g.tensor { 2 } }, function(path)
      local d = data.safetensors(path, { x = "images", weight = "w", scale = 1 / 255 })
      expect({ d.base.x:totable(), d.base.weight:totable() }):equals { { { 1, 0 } }, { 2 } }
      expect(function() data.safetensors(path) end):fails_with "no such tensor; expected one of: images, w; got 'x'"
      expect(function() data.safetensors(path, { x = "images", z = "w" }) end):fails_with "data.safetensors: no option 'z'"
    end)
  end)
end)
