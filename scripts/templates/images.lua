-- NAME: a small convolutional network learns from a larger one, under augmentation that grows.
--   gradus run NAME.lua                          8×8 digits that come with Gradus
--   gradus run NAME.lua --device cuda            on an accelerator
local g = require "gradus"
local nn, schedule = g.nn, g.schedule

-- Images of your own, [N, C, H, W]: g.data.idx { x = "train-images-idx3-ubyte.gz", y = "train-labels-idx1-ubyte.gz" } (MNIST),
-- g.data.cifar10 { "data_batch_1.bin" }, g.data.npy { x = "x.npy", y = "y.npy" }.
local function images() return g.data.digits() end
local INPUT, CLASSES = { 1, 8, 8 }, 10

local function build(train, epochs)
  return g.fit { model = nn.ConvNet { channels = { 32, 64 }, classes = CLASSES, input = INPUT }, data = train, epochs = epochs, lr = 2e-3,
    augment = 1, augmentations = { noise = .1, shift = 1 } }
end

return g.experiment {
  name = "NAME",
  params = { channels = g.int(8), epochs = 20, teacher_epochs = 10, alpha = .5, temperature = 4, lr = 3e-3 },
  grid = { alpha = { .5, 1 }, seed = { 1, 2 } },  -- 1: from labels alone

  run = function(run, p)
    local d = images():split { train = .7, val = .15, test = .15 }
    local teacher = run:cached("teacher", build, d.train, p.teacher_epochs)
    local r = run:distill {
      teacher = teacher, curriculum = p.alpha == 1 and { target = "labels" } or nil,
      student = nn.ConvNet { channels = { p.channels, p.channels }, classes = CLASSES, input = INPUT }, data = d,
      budget = { epochs = p.epochs }, lr = p.lr, alpha = p.alpha, temperature = p.temperature,
      augment = schedule.linear(0, 1), augmentations = { noise = .1, shift = 1 },
    }
    return { acc = run:evaluate(r.student, d.test).acc }
  end,
}
