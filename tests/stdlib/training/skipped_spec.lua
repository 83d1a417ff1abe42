-- What follows a batch that is not finite, beyond the one that is met first: many of them, another stage, the optimizer.
local g = require "gradus"
local a_run = require "a_run"
local support = require "support"
local nn, when = g.nn, g.when

-- A stream of known batches of digits; the student's steps take those whose numbers `order` lists, in that order, 0 is NaN.
local function stream(order)
  local x, y = g.data.digits():first(320):gather()
  x = x:flatten(1)
  local at = 0
  return g.data.generator(function()
    at = at + 1
    local i = order[at]
    if i == 0 then return x:slice(0, 0, 16) * (0 / 0), y:slice(0, 0, 16) end
    return x:slice(0, 16 * (i - 1), 16 * i), y:slice(0, 16 * (i - 1), 16 * i)
  end, { epoch = 64, classes = 10 })
end

local function events_named(events, name)
  local found = {}
  for _, event in ipairs(events()) do
    if event.name == name then found[#found + 1] = event end
  end
  return found
end

-- The weights after so many steps on known batches, and the events of going back.
local function train(order, steps, policy, more)
  local student, seen
  a_run(function(run, events)
    student = nn.MLP { 64, 12, 10 }
    local options = { student = student, data = stream(order), batch = 16, budget = { steps = steps }, evaluate = { steps = 10 },
      lr = .01, decay = "constant", warmup = 0, non_finite = policy, augment = 0 }
    for name, value in pairs(more or {}) do options[name] = value end
    run:distill(options)
    seen = events_named(events, "roll_back")
  end)
  return support.weights(student), seen
end

describe("skipping", function()
  -- 8 batches a pass, of which one has the poisoned row: 25 in all, never two in a row.
  it("goes on through 25 passes that have one bad batch each, in an open loop", function()
    a_run(function(run, events)
      local net, taken = nn.MLP { 64, 12, 10 }, 0
      local opt = g.optim.AdamW(net)
      local step = run:step(function(b)
        local loss = g.cross_entropy_loss(net(b.x), b.y)
        opt:minimize(loss)
        return { loss = loss }
      end, { non_finite = "skip" })
      for _, b in run:batches(support.poisoned(), { size = 8, steps = 8 * 25, augment = 0 }) do
        step(b, {})
        taken = taken + 1
      end
      expect({ taken, #events_named(events, "non_finite"), support.finite(net) }):equals { 200, 25, true }
    end)
  end)
  it("is advised against a row that is to blame, not a rate", function()
    for _, more in ipairs { {}, { augment = .5, augmentations = { noise = .1 } } } do
      expect(function()
        a_run(function(run)
          local o = { student = nn.MLP { 64, 12, 10 }, data = support.poisoned(), batch = 8, budget = { epochs = 1 } }
          for name, value in pairs(more) do o[name] = value end
          run:distill(o)
        end)
      end):fails_with "expected finite inputs; got nan in row 5"
    end
  end)
  it("goes on through as many in run:distill", function()
    a_run(function(run, events)
      local student = nn.MLP { 64, 12, 10 }
      local r = run:distill { student = student, data = support.poisoned(), batch = 8, budget = { epochs = 25 }, non_finite = "skip" }
      expect({ r.steps, #events_named(events, "non_finite"), support.finite(student) }):equals { 200, 25, true }
    end)
  end)
  it("leaves what the other batches leave, moments and counts too", function()
    for _, more in ipairs { { optimizer = "AdamW", weight_decay = .1 }, { optimizer = "Adam", clip = .1 }, { optimizer = "SGD" },
      { optimizer = { "SGD", momentum = .9 } }, { accumulate = 4, batch = 64 } } do
      local bad, good = { 1, 2, 3, 0, 0, 4, 5, 0, 6 }, { 1, 2, 3, 4, 5, 6 }
      if more.accumulate then bad, good = { 1, 2, 3, 4, 5, 0, 6, 7, 8, 9, 10, 11 }, { 1, 2, 3, 4, 8, 9, 10, 11 } end
      local parts = more.accumulate or 1
      expect((train(bad, #bad / parts, "skip", more))):equals((train(good, #good / parts, nil, more)))
    end
  end)
  it("counts no update, and shows and logs nothing of the batch but that its loss is none", function()
    a_run(function(run, _, rows)
      local shown = {}
      run:distill { student = nn.MLP { 64, 12, 10 }, data = stream { 1, 2, 0, 3, 4, 5 }, batch = 16, budget = { steps = 6 },
        non_finite = "skip", evaluate = { steps = 1 }, augment = 0, curriculum = { advance = function(s)
          shown[s.step] = { s.updates, s.confidence == s.confidence }
          return false
        end } }
      expect(shown):equals { { 1, true }, { 2, true }, { 2, true }, { 3, true }, { 4, true }, { 5, true } }
      local logged = {}
      for i, row in ipairs(rows "select step from metrics where run_id = ? and key = 'train/confidence' order by step") do
        logged[i] = row.step
      end
      expect(logged):equals { 1, 2, 4, 5, 6 }
      expect(#rows "select step from metrics where run_id = ? and key = 'train/loss' and value is null"):equals(1)
    end)
  end)
  it("ends where every batch is bad, after 20 in a row", function()
    a_run(function(run, events)
      local bad = {}
      for i = 1, 40 do bad[i] = i > 5 and 0 or i end
      expect(function()
        run:distill { student = nn.MLP { 64, 12, 10 }, data = stream(bad), batch = 16, budget = { steps = 40 }, non_finite = "skip" }
      end):fails_with "20 in a row"
      expect(#events_named(events, "non_finite")):equals(20)
    end)
  end)
end)

describe("roll_back", function()
  -- From step 10 on: batches 11 to 14 are undone, NaN, and 15 to 19. The optimizer's moments and its count go back with the weights.
  it("goes on as if the steps since the safe point had never been, the optimizer's moments and count too", function()
    local rolled, seen = train({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0, 15, 16, 17, 18, 19 }, 20, "roll_back")
    expect({ #seen, seen[1].detail.to }):equals { 1, 10 }
    local straight = train({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 16, 17, 18, 19 }, 15)
    expect(rolled):equals(straight)
    local skipped = train({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0, 15, 16, 17, 18, 19 }, 20, "skip")
    expect(skipped):differs_from(straight)
  end)
  it("goes to where the second stage began, where nothing was evaluated since", function()
    a_run(function(run, events)
      run:distill { student = nn.MLP { 64, 12, 10 }, data = stream { 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 11, 12 }, batch = 16,
        budget = { steps = 12 }, evaluate = { steps = 50 }, non_finite = "roll_back",
        curriculum = { { "one", advance = when.steps(7) }, { "two" } } }
      local seen = events_named(events, "roll_back")
      expect({ #seen, seen[1].detail.to }):equals { 1, 7 }
    end)
  end)
end)
