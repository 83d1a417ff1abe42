-- What steps are made of: the queue of values on their way back, the buffer of knobs, threads for a piece of work, their edges.
local engine = require "gradus.engine"
local g = require "gradus"
local readback = require "gradus.step.readback"
local recording = require "gradus.base.recording"
local slab = require "gradus.step.slab"
local step = require "gradus.step.step"
local threads = require "gradus.step.threads"

describe("values on their way back", function()
  local function queue(device)
    local got = {}
    return readback(device, function(numbers, at) got[#got + 1] = { at, numbers.loss, numbers.norm } end), got
  end
  local function values(i) return { loss = g.tensor(i), norm = g.tensor({ 2 * i }, "float64") } end
  it("are at hand on the CPU", function()
    local one, got = queue "cpu"
    for i = 1, 2 do one:push(values(i), "step " .. i) end
    expect(got):equals { { "step 1", 1, 2 }, { "step 2", 2, 4 } }
    expect(one:state()):equals {}
    one:settle()
    expect(#got):equals(2)
  end)
  it("are one step late from elsewhere, until they are waited for", function()
    local one, got = queue "elsewhere"
    one:push(values(1), 1)
    expect(got):equals {}
    one:push(values(2), 2)
    expect(got):equals { { 1, 1, 2 } }
    one:push(values(3), 3)
    expect(got):equals { { 1, 1, 2 }, { 2, 2, 4 } }
    one:settle()
    one:settle()
    expect(got):equals { { 1, 1, 2 }, { 2, 2, 4 }, { 3, 3, 6 } }
  end)
  it("are kept while they wait, and delivered at their own time", function()
    local one = queue "elsewhere"
    one:push(values(1), "a")
    local state = one:state()
    expect(state):equals { { numbers = { loss = 1, norm = 2 }, at = "a" } }
    expect(one:state()):equals(state)
    local other, got = queue "elsewhere"
    other:push(values(9), "forgotten")
    other:load_state(state)
    expect(got):equals {}
    other:push(values(2), "b")
    expect(got):equals { { "a", 1, 2 } }
    other:settle()
    expect(got[2]):equals { "b", 2, 4 }
    state[1].at = "changed"
    expect(got[1][1]):equals "a"
  end)
end)

describe("the buffer of knobs", function()
  it("has a place for each name, the same while the names are", function()
    if not os.getenv "GRADUS_DEVICE_LIBRARY" then return print "  no simulated device: nothing to see" end
    engine.device "simulated:0"
    local one = slab "simulated:0"
    local places = one:refresh { b = 2, a = 1 }
    local a = places.a
    expect({ a:item(), places.b:item(), a.dtype, a.shape }):equals { 1, 2, "float64", {} }
    expect(one:refresh({ a = 5, b = 6 }).a == a):is_true()
    expect({ a:item(), places.b:item() }):equals { 5, 6 }
    local other = one:refresh { a = 1, c = 3 }
    expect({ other.a == a, other.b, other.c:item(), other.a:item() }):equals { false, nil, 3, 1 }
    expect(one:refresh { a = 4, b = 1, c = 2 }.c:item()):equals(2)
    expect(one:refresh {}):equals {}
  end)
end)

describe("threads for a piece of work", function()
  it("are the caller's again afterwards, also after an error", function()
    local before, run = engine.threads(), { options = { threads = 1 } }
    local now = 0
    expect(threads.with(run, 1e12, function(x) now = engine.threads() return x end, 7)):equals(7)
    expect({ now, engine.threads() }):equals { 1, before }
    expect(function() threads.with(run, 0, function() error("inside", 0) end) end):fails_with "inside"
    expect(engine.threads()):equals(before)
  end)
  it("are one of half the work, and none less", function()
    local cores = engine.cores()
    local function of(flops, large) return threads.of({ options = {} }, flops, large) end
    expect({ of(1e12, .5), of(1e12, .499), of(0, 1), of(1e8, 1), of(0, 0) }):equals { cores, 1, 1, 1, 1 }
  end)
end)

describe("a step's edges", function()
  it("has two modes", function()
    for _, wrong in ipairs { "fast", 3, false } do
      expect(function() step.step_mode(wrong or nil) end):fails_with "step_mode: expected 'replay' or 'eager'; got '"
    end
    local before = step.mode
    g.step_mode "eager"
    local eager = step.mode
    g.step_mode "replay"
    local replay = step.mode
    step.mode = before
    expect({ eager, replay }):equals { "eager", "replay" }
  end)
  local function run(fn, batch, knobs) return step.new(fn)(batch or { x = g.ones(1) }, knobs) end
  local refused = {
    { "no function", function() step.new(5) end, "step: expected a function(batch, knobs); got number" },
    { "a text as a knob", function() run(function(b) return b.x end, nil, { lr = "x" }) end,
      "step: knob 'lr': expected a number or a tensor; got string" },
    { "a number as its result", function() run(function() return 5 end) end, "step: expected a table of outputs or a tensor; got number" },
    { "nothing as its result", function() run(function() end) end, "step: expected a table of outputs or a tensor; got nil" },
    { "a knob that was not given", function() run(function(_, k) return k.lr end, nil, { a = 1, b = 2 }) end,
      "step: no knob 'lr' was given; expected one of a, b" },
    { "reading a file in it", function() run(function(b) io.lines "x" return b.x end) end, "lines inside of the step" },
    { "writing in it", function() run(function(b) io.write "x" return b.x end) end, "write inside of the step" },
    { "reading in it", function() run(function(b) io.read "x" return b.x end) end, "read inside of the step" },
  }
  for _, case in ipairs(refused) do
    it("refuses " .. case[1], function()
      expect(case[2]):fails_with(case[3])
      expect({ recording.active, recording.guarded, recording.changes, recording.modules, recording.notes }):equals { false, false }
    end)
  end
  it("gives outputs cut off from the graph, one tensor or several", function()
    local w = g.ones(1):requires_grad_()
    local one = step.new(function(b) return b.x * w end)
    local several = step.new(function(b) return { y = b.x * w, kind = "text", n = 3 } end)
    for _ = 1, 4 do
      expect(one({ x = g.ones(1) }).requires_grad):is_false()
      local out = several { x = g.ones(1) }
      expect({ out.y.requires_grad, out.kind, out.n }):equals { false, "text", 3 }
    end
  end)
  it("is told to whoever looks, after each call", function()
    local seen = {}
    local one = step.new(function(b) return { y = b.x * 2 } end, nil, nil, function(batch, out) seen[#seen + 1] = { batch.x:item(),
      out.y:item() } end)
    for i = 1, 4 do one { x = g.tensor { i } } end
    expect(seen):equals { { 1, 2 }, { 2, 4 }, { 3, 6 }, { 4, 8 } }
  end)
  it("guards its updates, replayed or not", function()
    local guarded = {}
    local one = step.new(function(b)
      guarded[#guarded + 1] = recording.guarded
      return { y = b.x }
    end)
    one { x = g.ones(1) }
    g.step_mode "eager"
    local ok, err = pcall(one, { x = g.ones(1) })
    g.step_mode "replay"
    if not ok then error(err, 0) end
    expect({ guarded[1], guarded[#guarded] }):equals { true, true }
    expect(recording.guarded):is_false()
  end)
  it("is recorded anew where an optimizer parts its buffers", function()
    local a, b = g.nn.Parameter(g.ones(2)), g.nn.Parameter(g.ones(2))
    local opt = g.optim.AdamW({ a, b }, { lr = .1 })
    local one = step.new(function(batch)
      local loss = (a * batch.x):sum()
      opt:minimize(loss)
      return { loss = loss }
    end)
    for _ = 1, 5 do one { x = g.ones(2) } end
    expect({ #one.plans, opt:state_dict()["0.0.step"]:item(), opt:state_dict()["0.1.step"]:item() }):equals { 1, 5, 0 }
  end)
  it("gives up after sixteen recordings in a row that fitted no later call, and not before", function()
    local texts = {}
    local one = step.new(function(b) return { y = b.x * 2 } end, function(name, text) texts[#texts + 1] = name .. ": " .. text end)
    for i = 1, 16 do one { x = g.ones(i) } end
    expect(#texts):equals(0)
    one { x = g.ones(17) }
    expect({ #texts, texts[1]:match "^step_eager: .*: (16 recordings in a row) fitted no later call" }):equals { 1,
      "16 recordings in a row" }
  end)
  it("counts anew with each call that fits", function()
    local texts = {}
    local one = step.new(function(b) return { y = b.x * 2 } end, function(_, text) texts[#texts + 1] = text end)
    for i = 1, 40 do
      one { x = g.ones(i) }
      if i % 10 == 0 then one { x = g.ones(i) } end
    end
    expect(texts):equals {}
  end)
  it("puts the plan that fitted first", function()
    local one = step.new(function(b) return { y = b.x * 2 } end)
    for i = 1, 3 do one { x = g.ones(i) } end
    local third = one.plans[1]
    one { x = g.ones(1) }
    expect({ one.plans[1] == third, one.plans[2] == third, #one.plans }):equals { false, true, 3 }
  end)
end)

describe("a scan's edges", function()
  local function doubled() return step.new(function(b, k) return { y = b.x * (k.scale or 2), kind = "text" } end) end
  it("is one step where there is one row", function()
    local out, done = doubled():scan({ x = g.ones(1, 2) }, { scale = 3 })
    expect({ out.y:totable(), out.kind, done }):equals { { { 3, 3 } }, "text", 1 }
  end)
  it("takes numbers, lists and tensors as knobs", function()
    for _, scale in ipairs { { 3, 4, 5, 6, 7 }, g.tensor { 3, 4, 5, 6, 7 } } do
      local s = doubled()
      for _ = 1, 3 do
        local out = s:scan({ x = g.ones(5) }, { scale = scale })
        expect(out.y:totable()):equals { 3, 4, 5, 6, 7 }
      end
    end
    local out = doubled():scan({ x = g.ones(5) }, { scale = 4 })
    expect(out.y:totable()):equals { 4, 4, 4, 4, 4 }
  end)
  it("refuses rows of none, and lists of another length", function()
    expect(function() doubled():scan({ x = g.ones(0, 2) },
      { scale = 1 }) end):fails_with "scan: expected tensors with a row for each step; got none"
    expect(function() doubled():scan({ x = g.ones(3), z = g.ones(2) }, { scale = 1 }) end):fails_with " rows; expected "
    expect(function() doubled():scan({ x = g.ones(3) }, 5) end):fails_with "scan: 'knobs': expected a table; got 5"
    expect(function() doubled():scan({ x = g.ones(3) }, { scale = 1 }, { finite = "y" }) end):fails_with "scan: 'finite': expected a table"
  end)
end)

describe("recordings in vain", function()
  it("are counted from none after a call that fits, by itself or in a scan", function()
    for _, fitting in ipairs { function(one) one { x = g.ones(1) } end, function(one) one:scan { x = g.ones(3, 1) } end } do
      local texts = {}
      local one = step.new(function(b) return { y = b.x * 2 } end, function(name) texts[#texts + 1] = name end)
      one { x = g.ones(1) }
      fitting(one)
      for i = 2, 17 do one { x = g.ones(i) } end
      expect(texts):equals {}
      one { x = g.ones(18) }
      expect(texts):equals { "step_eager" }
    end
  end)
end)

describe("the plan that fitted last", function()
  it("is the first, wherever it stood, and the others keep their order", function()
    local one, plan = step.new(function(b) return { y = b.x * 2 } end), {}
    for i = 1, 4 do
      one { x = g.ones(i) }
      plan[one.plans[1]] = i
    end
    for _, case in ipairs { { 4, "4321" }, { 3, "3421" }, { 2, "2341" }, { 1, "1234" } } do
      one { x = g.ones(case[1]) }
      local order = ""
      for _, entry in ipairs(one.plans) do order = order .. plan[entry] end
      expect(order):equals(case[2])
    end
  end)
end)

describe("a step that depends on more than its arguments", function()
  it("is found at the next audit, after twice as many steps each, whose number is told", function()
    for audited, found in pairs { [1] = 2, [2] = 4, [3] = 4, [4] = 8, [7] = 8, [8] = 16 } do
      local hidden = { scale = 1 }
      local one = step.new(function(b) return { y = b.x * hidden.scale } end)
      for _ = 1, audited do one { x = g.ones(2) } end
      hidden.scale = 3
      for _ = audited + 1, found - 1 do expect(one({ x = g.ones(2) }).y:totable()):equals { 1, 1 } end
      expect(function() one { x = g.ones(2) } end):fails_with(
        ("step at .*parts_spec.lua:%%d+: replayed and eager results differ at step %d: output 'y' "):format(found))
    end
  end)
  it("may ask another step where neither is recorded, and only there", function()
    local inner = step.new(function(b) return { y = b.x + 1 } end)
    local outer = step.new(function(b) return { y = inner({ x = b.x * 2 }).y } end)
    expect(function() outer { x = g.ones(1) } end):fails_with "called inside of the step at .*parts_spec.lua:%d+"
    g.step_mode "eager"
    local ok, out = pcall(outer, { x = g.ones(1) })
    g.step_mode "replay"
    assert(ok, out)
    expect(out.y:item()):equals(3)
    expect(recording.active):is_false()
  end)
end)

describe("after a step", function()
  it("nothing more is recorded, whatever became of it", function()
    local net = g.nn.Linear(1, 1)
    for _, fails in ipairs { false, true } do
      local one = step.new(function(b)
        local y = net(b.x)
        if fails then error("inside", 0) end
        return y
      end)
      for _ = 1, 3 do
        pcall(one, { x = g.ones(1, 1) })
        expect({ recording.modules, recording.notes, recording.active, recording.guarded, recording.changes }):equals
          { nil, nil, false, false }
      end
    end
  end)
  it("that was forgotten recordings in vain are counted anew, and asked knobs too, until that is undone", function()
    local said = {}
    local one = step.new(function(b, k) return { y = b.x * k.lr } end, function(name) said[#said + 1] = name end)
    for i = 1, 10 do one({ x = g.ones(i) }, { lr = 1 }) end
    expect({ #one.plans, one.asked.lr }):equals { 8, true }
    local undo = one:forget()
    expect({ #one.plans, one.asked.lr }):equals { 0 }
    for i = 1, 16 do one({ x = g.ones(i) }, { lr = 1 }) end
    expect(said):equals {}
    undo()
    expect({ #one.plans, one.asked.lr, one.vain }):equals { 0, true, 10 }
    one({ x = g.ones(1) }, { lr = 1 })
    expect({ #one.plans, said }):equals { 1, {} }
  end)
  it("that cannot be replayed forgetting lets it be recorded again", function()
    local count = 0
    local one = step.new(function(b)
      count = count + 1
      return b.x
    end, function() end)
    one { x = g.ones(1) }
    expect(one.unrecordable):matches "it changes 'count', which a replay would not do"
    local undo = one:forget()
    expect({ one.unrecordable, one:can_replay() }):equals { nil, true }
    undo()
    expect({ one.unrecordable ~= nil, one:can_replay() }):equals { true, false }
  end)
end)
