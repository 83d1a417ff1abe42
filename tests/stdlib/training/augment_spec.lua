-- Augmentations: which there are and which fit the data.
local g = require "gradus"
local augment = require "gradus.training.augment"

describe("augmentations", function()
  local points = g.data.tensors(g.zeros { 4, 3 }, g.tensor({ 0, 1, 0, 1 }, "int64"))
  local images = g.data.tensors(g.zeros { 4, 1, 32, 32 }, g.tensor({ 0, 1, 0, 1 }, "int64"))
  local tiny = g.data.tensors(g.zeros { 4, 1, 1, 1 }, g.tensor({ 0, 1, 0, 1 }, "int64"))
  local cases = {
    { "erase = 3", { erase = 3 }, images, "a: 'erase': expected a share of the image's area from 0 to 1; got 3" },
    { "half a pixel", { shift = 1.5 }, images, "a: 'shift': expected a whole number of pixels of at least 0; got 1.5" },
    { "less than no noise", { noise = -1 }, points, "a: 'noise': expected a standard deviation of at least 0, in units of x; got -1" },
    { "less than no mixup", { mixup = -1 }, points, "a: 'mixup': expected the parameter of a Beta distribution of at least 0" },
    { "pixels of what is no image", { shift = 1 }, points,
      "a: 'shift' is of images; expected x [N, C, H, W], or none of it; got x [4, 3]" },
    { "an area of what is no image", { erase = .1 }, points, "a: 'erase' is of images" },
    { "mixup without labels", { mixup = .2 }, g.data.tensors(g.zeros { 4, 3 }),
      "a: 'mixup' mixes labels; expected one in every row; got no labels" },
    { "mixup with some labels", { mixup = .2 }, g.data.tensors(g.zeros { 4, 3 }, g.tensor({ 0, 1, -100, 1 }, "int64")),
      "a: 'mixup' mixes labels; expected one in every row; got 2 classes, some rows without a label" },
    { "a shift out of the image", { shift = 8 }, g.data.digits(),
      "a: 'shift': expected fewer pixels than the image's sides, 8 × 8; got 8" },
  }
  for _, case in ipairs(cases) do
    it("are refused before anything is drawn: " .. case[1], function()
      expect(function() augment.check("a", case[2], case[3]) end):fails_with(case[4])
    end)
  end
  it("that fit are taken", function()
    expect(augment.check("a", { shift = 7, erase = 1, noise = 0, mixup = .2 }, g.data.digits()).shift):equals(7)
    expect(augment.check("a", { shift = 0, erase = 0 }, points).erase):equals(0)
    expect(augment.check("a", augment.default(tiny), tiny)):equals { noise = .3 }
    local line = g.data.tensors(g.zeros { 4, 1, 1, 8 }, g.tensor({ 0, 1, 0, 1 }, "int64"))
    expect({ augment.default(line), augment.default(nil) }):equals { { noise = .3 }, { noise = .3 } }
    expect({ augment.default(g.data.digits()), augment.default(points) }):equals { { noise = .3, shift = 1 }, { noise = .3 } }
  end)
  it("are explained with their units under each name", function()
    for _, word in ipairs { "augmentations", "erase", "shift", "noise", "mixup", "RandomCrop" } do
      for _, part in ipairs { "share of the image's area", "so many pixels", "standard deviation", "Beta" } do
        if not g.help(word):gsub("%s+", " "):find(part, 1, true) then error(word .. ": no " .. part) end
      end
    end
  end)
end)
