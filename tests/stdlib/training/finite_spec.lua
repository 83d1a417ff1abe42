-- NaN and infinity in a step of one's own: what is stored, said, and when the run ends.
local g = require "gradus"
local finite = require "gradus.training.finite"

local NAN, INF = 0 / 0, 1 / 0

-- Feeds { loss, norm } one by one; the events, each { loss, norm, policy, rows }, and the error.
local function watched(policy, outs, device)
  local events, waiting = {}, {}
  local run = { device = device or "cpu", step_number = 0, event = function(_, kind, name, one)
    events[#events + 1] = { kind, name, one.loss or false, one.gradient_norm or false, one.policy, one.rows or false }
  end, looked = { push = function(_, found, fn) waiting[#waiting + 1] = { found, fn } end } }
  local watch = finite.watch(run, policy)
  local ok, why = pcall(function()
    for i, out in ipairs(outs) do
      run.step_number = i
      watch(out.batch, out.out)
    end
  end)
  return events, not ok and tostring(type(why) == "table" and why.message or why) or nil, waiting
end

local function out(loss, norm) return { out = { loss = g.tensor(loss), norm = norm and g.tensor(norm) } } end

describe("what is finite", function()
  it("is a number that is none of the three, or nothing", function()
    local found = {}
    for i, value in ipairs { 0, -1e300, NAN, INF, -INF } do found[i] = finite.is(value) end
    expect(found):equals { true, true, false, false, false }
    expect(finite.is(nil)):equals(true)
  end)
end)

describe("a step of one's own that is not finite", function()
  it("ends the run, and stores the batch's rows", function()
    local one = out(INF, 2)
    one.batch = { index = g.tensor({ 3, 5 }, "int64") }
    local events, why = watched("stop", { out(1, 1), one })
    expect(events):equals { { "health", "non_finite", "inf", "2", "stop", { 3, 5 } } }
    expect(why):matches("step 2: the loss is inf; the rows of the batch are in the run's events; expected finite inputs, a lower lr or "
      .. "harder clipping")
    assert(not why:find "in a row")
    events, why = watched("stop", { out(1, INF) })
    expect(events):equals { { "health", "non_finite", "1", "inf", "stop", false } }
    expect(why):matches "step 1: the gradient is not finite; the rows"
  end)
  it("names the first row whose inputs are to blame", function()
    local one, x = out(NAN, 2), g.zeros(3, 2, 2)
    one.batch = { index = g.tensor({ 3, 5, 7 }, "int64"), x = x }
    local function why() return select(2, watched("stop", { one })) end
    expect(why()):matches "events; expected finite inputs, a lower lr or harder clipping"
    x[2][1][0] = -INF
    expect(why()):matches "step 1: the loss is nan; .* events; expected finite inputs; got %-inf in row 7$"
    x[1][0][1] = NAN
    expect(why()):matches "; expected finite inputs; got %-?nan in row 5$"
    one.batch.x = g.zeros({ 3, 2 }, { dtype = "int64" })
    expect(why()):matches "harder clipping"
  end)
  it("is let pass until twenty of them came in a row", function()
    local outs = {}
    for i = 1, 19 do outs[i] = out(INF) end
    local events, why = watched("skip", outs)
    expect({ #events, why }):equals { 19, nil }
    outs[20] = out(INF)
    events, why = watched("skip", outs)
    expect(#events):equals(20)
    expect(why):matches "step 20: the loss is inf; .* clipping %(20 in a row%)"
    outs[20], outs[21] = out(1), out(INF)
    expect(select(2, watched("skip", outs))):equals(nil)
  end)
  it("is looked at where its output is one number, or has it", function()
    expect(#watched("skip", { { out = g.tensor(INF) }, { out = g.tensor(1) }, { out = {} }, { out = g.tensor { INF, INF } },
      { out = { loss = g.tensor { INF, INF }, norm = g.tensor(INF) } } })):equals(2)
  end)
  it("is looked at later on a device", function()
    local events, why, waiting = watched("stop", { out(INF, 1), { out = g.tensor(2) }, { out = {} }, { out = g.tensor { 1, 2 } } }, "other")
    expect({ #events, why, #waiting }):equals { 0, nil, 2 }
    expect({ waiting[1][1].norm:item(), waiting[2][1].loss:item(), waiting[2][1].norm }):equals { 1, 2, nil }
    expect(function() waiting[1][2] { loss = INF, norm = 1 } end):fails_with "step 1: the loss is inf"
  end)
end)
