--- Sparse parity (runtime/data/parity.h).
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local current = require "gradus.base.current"
local data = require "gradus.data.dataset"

local files = engine.data

--- x uniform in ±1, y whether an odd number of the first k of d coordinates is -1. Has the parts train, fresh samples without
--- end, and val, a fixed set of samples that train never makes.
---@param options {d: number, k: number, seed: number?, held_out: number?, epoch: number?, tokens: boolean?}  seed: the run's "data" stream;
---   held_out: 4096 rows; epoch: 10000 samples count as one; tokens: x is (1 - x) / 2 as int64, for transformers
return function(options)
  if type(options) ~= "table" then check.fail("data.parity", "expected { d = 50, k = 5 }; got %s", check.describe(options)) end
  options = check.options("data.parity", options, { d = check.int(1, 65536), k = check.int(1), seed = check.int(0),
    held_out = check.int(1), epoch = check.int(1), tokens = check.boolean }, { held_out = 4096, epoch = 10000 })
  for _, name in ipairs { "d", "k" } do
    if not options[name] then host.fail(("data.parity: '%s' is missing; expected { d = 50, k = 5 }"):format(name)) end
  end
  local d, k, seed = options.d, options.k, options.seed or current.stream "data"
  local train, val = files.derive_seed(seed, "parity"), files.derive_seed(seed, "parity held out")
  local function samples(stream, first, size)
    local x, y = files.parity { d = d, k = k, seed = stream, first = first, size = size }
    return options.tokens and x:lt(0):long() or x, y
  end
  local x, y = samples(val, 0, options.held_out)
  local stream = data.generator(function(size, _, first) return samples(train, first, size) end,
    { epoch = options.epoch, labels = "classes", classes = 2 })
  stream.seekable = true
  return data.parts {
    train = stream,
    val = data.tensors(x, y, { classes = 2, name = ("parity d=%d k=%d"):format(d, k) }),
  }
end
