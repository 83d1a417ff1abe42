-- Options as other libraries call them.
local synonyms = require "gradus.base.synonyms"

describe("an option that is known from elsewhere", function()
  local options = { lr = true, budget = true, data = true, warmup = true, curriculum = true, grid = true }
  for name, said in pairs { learning_rate = "expected 'lr'", max_steps = "expected budget = { steps = … }",
    Max_Steps = "expected budget = { steps = … }",
    warmup_ratio = "expected warmup = .05", val_dataloaders = "expected data = { train = …, val = … }",
    direction = 'expected metrics = { rmse = { better = "lower" } }, where the name does not tell it',
    callbacks = "expected patience = …, or curriculum = { advance = function(s) … end }" } do
    it("is answered: " .. name, function() expect(synonyms.of(name, options)):equals(said) end)
  end
  it("is turned round where it weighs the teacher, as alpha weighs the labels", function()
    local distill = { alpha = true, losses = true, temperature = true }
    for _, name in ipairs { "kd_weight", "alpha_kd", "soft_weight", "distill_weight", "teacher_weight" } do
      expect(synonyms.of(name, distill)):matches "^expected alpha = 1 − it"
    end
    for _, name in ipairs { "hard_weight", "ce_weight" } do expect(synonyms.of(name, distill)):equals "expected 'alpha'" end
    for _, name in ipairs { "lam", "lambda", "beta" } do expect(synonyms.of(name, distill)):matches "the weight of the labels" end
  end)
  it("is said by the part of a curriculum, a stage or a loop that it belongs to", function()
    local stage, batches = { advance = true, sample = true, losses = true }, { size = true, steps = true }
    expect(synonyms.of("sampler", options)):equals "expected curriculum = { sample = … }"
    expect(synonyms.of("advance", options)):equals "expected curriculum = { advance = … }"
    expect(synonyms.of("epochs", stage)):equals "expected advance = g.when.epochs(…)"
    expect(synonyms.of("callbacks", stage)):matches "asked after each evaluation"
    expect(synonyms.of("text", { categories = true })):equals 'expected `gradus help texts`, or categories = { "column" } of a few words'
    expect(synonyms.of("shuffle", batches)):matches "^expected nothing"
  end)
  it("is not, where ours is no option here, or the name is a part of another", function()
    for _, name in ipairs { "max_steps", "learning_rate", "callbacks" } do expect(synonyms.of(name, { other = true })):equals(nil) end
    for _, name in ipairs { "max", "learning", "dataloaders", "", "none" } do
      expect(synonyms.of(name, options)):equals(nil)
    end
  end)
end)
