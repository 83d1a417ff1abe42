--- Data sets from files.
---   readers.idx { x =, y = }     readers.npy { x =, y = }     readers.safetensors("data.safetensors", { x = "x", y = "y" })
---   readers.cifar10 { "data_batch_1.bin", … }     readers.digits()     CSV files: csv.lua
--- Inputs become float32, whatever the file has, but for tokens: x of whole numbers beside y of tokens, or with tokens = true.
local engine = require "gradus.engine"
local check = require "gradus.base.check"
local data = require "gradus.data.dataset"

local files = engine.data
local readers = {}

local function describe_files(where, paths, form)
  if type(paths) ~= "table" or paths.x == nil then
    check.fail(where, "expected %s; got %s", form, type(paths) == "table" and next(paths) ~= nil and "no x" or check.describe(paths))
  end
end

-- --- arrays ----------------------------------------------------------------------------------------------------------------

local ARRAYS = { x = check.string, y = check.string, weight = check.string, scale = check.number(), tokens = check.boolean,
  images = check.boolean,
  labels = check.string, classes = check.either(check.int(1), check.list(check.string)) }

-- [N, H, W] and, as NumPy's users have them, [N, H, W, C] of 1, 3 or 4 channels -> [N, C, H, W].
local function with_channels(where, x)
  if x:dim() == 3 then return x:unsqueeze(1) end
  if x:dim() ~= 4 then check.fail(where, "images = true: expected x [N, H, W], [N, C, H, W] or [N, H, W, C]; got %s", check.describe(x)) end
  local function are_channels(n) return n == 1 or n == 3 or n == 4 end
  return are_channels(x:size(3)) and not are_channels(x:size(1)) and x:permute(0, 3, 1, 2):contiguous() or x
end

-- Networks are float32; tokens stay whole numbers.
local function inputs(where, x, y, o)
  if o.images then x = with_channels(where, x) end
  local whole = not x.dtype:find "float"
  local tokens = o.tokens
  if tokens == nil then
    tokens = whole and x:dim() == 2 and y ~= nil and y:dim() == 2 and not y.dtype:find "float" and y:size(1) == x:size(1)
      and (o.labels or "tokens") == "tokens"
  end
  if tokens then
    if not whole then check.fail(where, "tokens = true, but x has %s; expected whole numbers", x.dtype) end
    return x:long()
  end
  x = x:float()
  return o.scale and x * o.scale or x
end

local function from_arrays(where, x, y, weight, o, name)
  return data.from_outside(where, inputs(where, x, y, o), y, { labels = o.labels, classes = o.classes, weight = weight, name = name })
end

local function from_files(name, paths, read)
  local where = "data." .. name
  describe_files(where, paths, ('data.%s { x = "x.%s", y = "y.%s" }'):format(name, name, name))
  local o = check.options(where, paths, ARRAYS)
  if paths[1] ~= nil then check.fail(where, "expected paths by name, x = and y =; got %s", check.describe(paths[1])) end
  local y, weight = o.y and files["read_" .. name](o.y), o.weight and files["read_" .. name](o.weight)
  return from_arrays(("%s: %s"):format(where, o.y or o.x), read(o.x), y, weight, o, o.x)
end

-- Three dimensions in an IDX file are grey images; what takes images expects a channel.
local function read_idx(path)
  local x = files.read_idx(path)
  return x:dim() == 3 and x:unsqueeze(1) or x
end

--- IDX files (MNIST), `.gz` too: data.idx { x = "train-images-idx3-ubyte", y = "train-labels-idx1-ubyte", scale = 1 / 255 }.
--- Images are [N, 1, H, W].
---@param paths {x: string, y: string?, weight: string?, scale: number?, tokens: boolean?, images: boolean?, labels: string?, classes: any}
function readers.idx(paths) return from_files("idx", paths, read_idx) end

--- NumPy files: data.npy { x = "x.npy", y = "y.npy" }. images = true makes [N, C, H, W] of [N, H, W] and [N, H, W, C]; nn.ConvNet takes
--- [N, H, W] of one channel as it is.
---@param paths {x: string, y: string?, weight: string?, scale: number?, tokens: boolean?, images: boolean?, labels: string?, classes: any}
function readers.npy(paths) return from_files("npy", paths, files.read_npy) end

--- Tensors of a safetensors file, by name: data.safetensors("data.safetensors", { x = "images", y = "labels" }).
---@param path string
---@param names? {x: string, y: string?, weight: string?, scale: number?, tokens: boolean?, images: boolean?, labels: string?, classes: any}
function readers.safetensors(path, names)
  local where, form = "data.safetensors", 'data.safetensors("data.safetensors", { x = "x", y = "y" })'
  if type(path) ~= "string" then check.fail(where, "expected %s; got %s", form, check.describe(path)) end
  if names ~= nil then describe_files(where, names, form) end
  local o = check.options(where, names or { x = "x", y = "y" }, ARRAYS)
  local wanted = { o.x }
  for _, name in ipairs { "y", "weight" } do wanted[#wanted + 1] = o[name] end
  local read = files.read_safetensors(path, { names = wanted })  -- others may be of types that are not known here
  return from_arrays(("%s: %s"):format(where, path), read[o.x], o.y and read[o.y], o.weight and read[o.weight], o, path)
end

-- --- known sets --------------------------------------------------------------------------------------------------------------

--- UCI "Optical Recognition of Handwritten Digits": x [1797, 1, 8, 8] in 0 … 1, y 0 … 9.
function readers.digits(...)
  if select("#", ...) > 0 then check.fail("data.digits", "expected data.digits(), which takes nothing; got %s", check.describe((...))) end
  local x, y = files.digits()
  return data.from_outside("data.digits", x, y, { labels = "classes", classes = 10, name = "digits" })
end

--- CIFAR-10, its binary version: data.cifar10 { "data_batch_1.bin", … }; x [N, 3, 32, 32] in 0 … 1, y 0 … 9.
---@param paths string[]
function readers.cifar10(paths)
  local x, y = require "gradus.data.cifar"(paths)
  return data.from_outside("data.cifar10", x, y, { labels = "classes", classes = 10, name = paths[1] })
end

return readers
