-- A training's loop, as its user sees it: what functions of the state are shown, and what is left at its end.
local g = require "gradus"
local a_run = require "a_run"
local support = require "support"

describe("a training", function()
  it("shows its functions the mean confidence of the steps so far, the last tenth of it the newest's", function()
    local shown = {}
    a_run(function(run, _, rows)
      run:distill { student = support.student(), teacher = support.student(16), data = support.points(), batch = 16, budget = { steps = 6 },
        lr = .05, alpha = .5, temperature = function(s)
          shown[#shown + 1] = s.confidence or "none"
          return 3
        end }
      local of_step = rows "select value from metrics where run_id = ? and key = 'train/confidence' order by step"
      expect(#of_step):equals(6)
      local mean
      expect(shown[1]):equals "none"
      for i = 2, 6 do
        mean = mean and .9 * mean + .1 * of_step[i - 1].value or of_step[i - 1].value
        expect(shown[i]):near(mean, 1e-12)
      end
    end)
  end)
  it("keeps a checkpoint every so many steps, and one at its end", function()
    a_run(function(run)
      local steps = {}
      local _, kept = run:fit { model = support.student(), data = support.points(), batch = 16, steps = 7, lr = .05,
        checkpoints = { steps = 3 } }
      for i = 1, kept:count() do steps[i] = kept:step(i) end
      expect(steps):equals { 3, 6, 7 }
    end)
  end)
  it("tells of a stage that never began where the budget has ended, not where a rule did", function()
    local function warned(rule)
      local found = {}
      a_run(function(run, events)
        run:distill { student = support.student(), teacher = support.student(16), data = support.points(), batch = 16,
          budget = { steps = 6 },
          lr = .05, alpha = .5, evaluate = { steps = 2 }, curriculum = { { "first", advance = rule }, { "second" } } }
        for _, one in ipairs(events()) do
          if one.name == "stage_unreached" then found[#found + 1] = one.detail.message or one.detail.text or "told" end
        end
      end)
      return #found
    end
    expect({ warned(g.when.steps(6)), warned(g.when.steps(7)), warned(g.when.steps(3)),
      warned(function(s) return s.step == 4 and "stop" end) }):equals { 1, 1, 0, 0 }
  end)
  it("leaves its source where the last batch did, though more was drawn ahead", function()
    local x, y = g.zeros(64, 2048), g.arange(64):remainder(3):long()  -- a batch is worth a thread of its own
    a_run(function(run)
      local d = g.data.tensors(x, y, { classes = 3 })
      local source = g.sampler.uniform(d)
      run:distill { student = g.nn.MLP { 2048, 3 }, data = d, batch = 16, budget = { steps = 5 }, lr = .05,
        curriculum = { sample = source } }
      expect(source.core:visits():sum():item()):equals(5 * 16)
    end)
  end)
  it("measures the loss of the labels as they are, however they are smoothed for the student", function()
    a_run(function(run, _, rows)
      local d, student = support.points():split { train = .6, val = .4 }, support.student()
      run:distill { student = student, teacher = support.student(16), data = d, batch = 16, budget = { steps = 8 }, lr = .05, alpha = .5,
        label_smoothing = .5, restore_best = false }
      local x, y = d.val:gather()
      local last = rows "select last from summaries where run_id = ? and key = 'val/loss'"[1].last
      expect(last):near(g.loss.cross_entropy(student(x), y):item(), 1e-5)
    end)
  end)
end)
