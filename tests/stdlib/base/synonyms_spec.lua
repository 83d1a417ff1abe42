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
  it("is not, where ours is no option here, or the name is a part of another", function()
    for _, name in ipairs { "max_steps", "learning_rate", "callbacks" } do expect(synonyms.of(name, { other = true })):equals(nil) end
    for _, name in ipairs { "max", "learning", "dataloaders", "", "none" } do
      expect(synonyms.of(name, options)):equals(nil)
    end
  end)
end)
