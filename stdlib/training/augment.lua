--- What is done to the inputs of a training batch: which augmentations there are, which are usual, and which fit the data. How strongly
--- is a knob, `augment`; the arithmetic is the loader's (runtime/data/augment.h).
local check = require "gradus.base.check"
local data = require "gradus.data.dataset"
local labels = require "gradus.data.labels"

local augment = {}

--- For the rows of a data set, or of none (a generator): nothing for tokens and other whole numbers.
function augment.default(train)
  if data.is(train) and (train.base.masking or not train.base.x.dtype:find "float") then return {} end
  local x = data.is(train) and train.base.x
  local images = x and x:dim() == 4 and math.min(x:size(2), x:size(3)) > 1  -- a shift of one pixel leaves something
  return images and { noise = .3, shift = 1 } or { noise = .3 }
end

-- A rule in the words of what the number is.
local function unit(words, rule) return { expected = words, test = rule.test } end

local STRENGTHS = { noise = unit("a standard deviation of at least 0, in units of x", check.number(0)),
  shift = unit("a whole number of pixels of at least 0", check.int(0)),
  erase = unit("a share of the image's area from 0 to 1", check.number(0, 1)),
  mixup = unit("the parameter of a Beta distribution of at least 0, such as .2", check.number(0)) }

-- What moves pixels needs some, and must leave some. A generator's inputs are not known before it is asked.
local function check_images(where, o, train)
  local x = data.is(train) and train.base.x
  for _, name in ipairs(x and { "shift", "erase" } or {}) do
    if (o[name] or 0) > 0 and x:dim() ~= 4 then
      check.fail(where, "'%s' is of images; expected x [N, C, H, W]%s, or none of it; got x [%s]", name,
        x:dim() == 3 and " (images = true of data.npy, x:unsqueeze(1))" or "", table.concat(x.shape, ", "))
    end
  end
  if x and (o.shift or 0) > 0 and o.shift >= math.min(x:size(2), x:size(3)) then
    check.fail(where, "'shift': expected fewer pixels than the image's sides, %d × %d; got %d", x:size(2), x:size(3), o.shift)
  end
end

--- Augmentations as { noise = sd, shift = pixels, erase = share, mixup = alpha }; strength 0 to 1 scales them.
---@param where string
---@param given table
---@param train? any  the data that they are for
function augment.check(where, given, train)
  local o = check.options(where, given, STRENGTHS)
  check_images(where, o, train)
  local of = data.is(train) and train.labels
  if of and (of.kind == "none" or of.partial) and (o.mixup or 0) > 0 then
    check.fail(where, "'mixup' mixes labels; expected one in every row; got %s", labels.text(of))
  end
  return o
end

return augment
