local g = require "gradus"
local elsewhere = require "gradus.base.elsewhere"
local support = require "support"

describe("what other libraries have", function()
  it("is answered with what takes its place, wherever it is asked for", function()
    local net, d = g.nn.MLP { 2, 2 }, g.data.digits()
    local cases = {
      { function() return g.nn.CrossEntropyLoss() end, "nn has no 'CrossEntropyLoss'; expected g.loss.cross_entropy(logits, y)" },
      { function() return g.nn.functional end, "nn has no 'functional'; expected losses of g.loss" },
      { function() return g.nn.init.kaiming_normal_ end, "nn.init has no 'kaiming_normal_'; expected init.kaiming_uniform_" },
      { function() return g.optim.lr_scheduler end, "g.optim has no 'lr_scheduler'; expected lr = g.schedule.cosine(1e-3, 0)" },
      { function() return g.data.TensorDataset end, "g.data has no 'TensorDataset'; expected g.data.tensors(x, y)" },
      { function() return g.save end, 'gradus has no \'save\'; expected net:save "file.safetensors"' },
      { function() return net:cuda() end, "MLP: has no 'cuda'; expected --device cuda" },
      { function() return d:filter() end, "a data set has no 'filter'; expected d:subset(places)" },
      { function() return g.ones(2):tolist() end, "Tensor has no method or property 'tolist'; expected x:totable()" },
      { function() return g.ones(2):clip(0, 1) end, "Tensor has no method or property 'clip'; expected x:clamp(min, max)" },
      { function() return g.ones(2)["repeat"] end, "Tensor has no method or property 'repeat'; expected x:tile({ 2, 1 })" },
      { function() return g.optim.adamw end, "g.optim has no 'adamw'; did you mean 'AdamW'?" },
      { function() return g.ones(2):cuda() end, "Tensor has no method or property 'cuda'; expected x:to(\"cuda\")" },
    }
    for _, case in ipairs(cases) do expect(case[1]):fails_with(case[2]) end
    expect(function() g.optim.Adam(net, 1e-3) end):fails_with "optim.Adam: expected a table of options; got 0.001, not { lr = … }"
    support.with_run({}, function(run)
      expect(function() run:log_metric("loss", 1) end):fails_with "has no 'log_metric'; expected run:log { name = value }"
      expect(function() run:log_params {} end):fails_with "has no 'log_params'; expected params of g.experiment"
    end)
  end)
  it("is answered by who lacks it, where that makes a difference", function()
    local d = g.data.digits()
    local cases = {
      { function() return g.train end, "gradus has no 'train'; expected run:fit { … }, g.fit { … } or run:distill { … }" },
      { function() return g.uniform end, "gradus has no 'uniform'; expected params = { lr = 1e-3 }" },
      { function() return g.score.random end, "g.score has no 'random'; expected d.train:shuffled()" },
      { function() return g.when.converged end, "g.when has no 'converged'; expected when.plateau" },
      { function() return g.loss.mae end, "g.loss has no 'mae'; expected g.l1_loss(a, b)" },
      { function() return g.loss.focal end, "g.loss has no 'focal'; expected losses = { mine =" },
      { function() return d.train end, "a data set has no 'train'; expected d:split { train = .7" },
      { function() return d.num_classes end, "a data set has no 'num_classes'; expected d.classes" },
      { function() return d.head end, "a data set has no 'head'; expected d:first(10)" },
    }
    for _, case in ipairs(cases) do expect(case[1]):fails_with(case[2]) end
    support.with_run({}, function(run)
      expect(function() return run.summary end):fails_with "a run has no 'summary'; expected what the function returns"
      expect(function() return run.train end):fails_with "a run has no 'train'; expected run:fit { … } or run:distill { … }"
      expect(function() return run.dir end):fails_with "a run has no 'dir'; expected run.folder"
      expect(function() run:finish() end):fails_with "finish: expected nothing: a run ends where its function returns"
    end)
  end)
  it("hides no near name of ours", function()
    expect(function() return g.nn.Liner end):fails_with "did you mean 'Linear'?"
    expect(function() return g.tensr end):fails_with "did you mean 'tensor'?"
  end)
  it("is nothing that we have in the same place", function()
    for _, place in ipairs { g.nn, g.nn.init, g.optim, g.data, g.schedule, g.sampler } do
      for name in pairs(place) do
        if elsewhere.mend(name) then error("'" .. name .. "' is here, so that nobody is told of another") end
      end
    end
  end)
end)
