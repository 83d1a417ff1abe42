-- What a loop of the script's own moves is found and put back: locals, upvalues, tables, modules, optimizers, samplers.
local copy = require "gradus.base.copy"
local g = require "gradus"
local plain = require "gradus.base.plain"
local reachable = require "gradus.experiment.reachable"
local support = require "support"

local scale = 1

-- A script's function: does `steps` of its work from a fresh start, or what `from` kept and then the rest. at(i): called before step i.
local function work(steps, at)
  local model = g.nn.Linear(3, 1)
  local opt = g.optim.SGD(model, { lr = .1, momentum = .9 })
  local generator = g.generator(5)
  local best, name, history, nested, swap = 1 / 0, "none", {}, { deep = { count = 0 } }, nil
  local mean = g.zeros { 1 }
  local function note(value) scale = scale * value end
  at("begin")
  for i = 1, steps do
    at(i)
    local x = g.randn({ 4, 3 }, { generator = generator })
    local loss = (model(x) - x:sum(1, true)):square():mean()
    opt:minimize(loss)
    mean = mean * .9 + loss:detach() * .1
    if loss:item() < best then best, name = loss:item(), "step " .. i end
    history[#history + 1] = { i = i, loss = loss:item() }
    nested.deep.count = nested.deep.count + 1
    nested.deep[i] = loss:item()
    if i == 3 then swap = { a = 1 } end
    if i == 5 then nested.deep[1] = nil end
    note(1 + 1 / i)
  end
  at("end")
  return { best = best, name = name, n = #history, last = history[#history].loss, count = nested.deep.count,
    first = nested.deep[1] or "gone",
    swap = swap and swap.a or 0, scale = scale, mean = mean:item(), weights = support.weights(model) }
end

-- { moved, unsaved } of a loop that calls its argument with "begin", and again where it is saved.
local function what_is_saved(loop)
  local box = {}
  loop(function(i)
    local fn, seen = debug.getinfo(2, "f").func, box.seen
    box.seen = nil
    if i == "begin" then box.seen = reachable.seen(fn) else box.moved, box.unsaved = reachable.save(fn, seen) end
  end)
  return box
end

describe("what a loop can see", function()
  it("is put back where it is compiled into a function, too: an upvalue that no line assigns", function()
    local base = 10
    local function hot()
      local sum = 0
      for _ = 1, 300 do sum = sum + base end
      return sum
    end
    expect(hot()):equals(3000)
    for _, place in ipairs(reachable.places_of(hot)) do
      if place.name == "^base" then place.set(20) end
    end
    expect(hot()):equals(6000)
  end)
  it("goes on from what was kept, with the same values", function()
    for _, place in ipairs { 1, 2, 4, 6, 9 } do
      scale = 1
      g.manual_seed(3)
      local kept
      local box = {}  -- there before the loop: what the spec itself moves is none of the loop's
      local whole = work(9, function(i)
        if i == "begin" then box.seen = reachable.seen(debug.getinfo(2, "f").func) end
        if i == place then
          local seen = box.seen
          box.seen = nil
          local moved, unsaved = reachable.save(debug.getinfo(2, "f").func, seen)
          expect(unsaved):equals {}
          local text, tensors = plain.write(moved, "")
          for name, one in pairs(tensors) do tensors[name] = one:detach():clone() end
          kept = plain.read(text, tensors)
        end
      end)
      scale = 1
      local done = place - 1
      -- The rest alone: the script stands at its loop again, with fresh values, which are put back before the step.
      local rest = (function()
        g.manual_seed(99)
        local skipped = work
        return skipped(9, function(i)
          if i == place then reachable.restore(debug.getinfo(2, "f").func, kept) end
        end)
      end)()
      expect(done >= 0):is_true()
      expect(rest):equals(whole)
    end
  end)
  -- What a loop(at, moves) returns that is put back before its only step as it was kept of one that moves.
  local function put_back(loop)
    local kept = copy(what_is_saved(function(at) loop(at, true) end).moved)
    return loop(function(i) if i == 1 then reachable.restore(debug.getinfo(2, "f").func, kept) end end)
  end
  it("is written into tensors that were there, and takes the place of those that the loop replaces", function()
    local function loop(at, moves)
      local first, moved, longer = g.zeros(2), g.zeros(2), g.zeros(2)
      local same, was = first, moved
      at "begin"
      if moves then
        moved, longer = moved + 1, g.ones(3)
        first:add_(2)
      end
      at(1)
      return first:totable(), rawequal(first, same), moved:totable(), was:totable(), longer:totable()
    end
    expect({ put_back(loop) }):equals { { 2, 2 }, true, { 1, 1 }, { 0, 0 }, { 1, 1, 1 } }
  end)
  it("is trained as what the loop put in its place", function()
    local function loop(at, moves)
      local w, mean = g.zeros(2):requires_grad_(), g.zeros(2)
      at "begin"
      if moves then
        w = g.ones(2):requires_grad_()
        mean = (w * 2):detach()
      end
      at(1)
      return w:totable(), w.requires_grad, w.is_leaf, mean:totable(), mean.requires_grad
    end
    expect({ put_back(loop) }):equals { { 1, 1 }, true, true, { 2, 2 }, false }
  end)
  it("is another tensor where what is there now has another shape or type", function()
    local function loop(at)
      local longer, whole, alike = g.zeros(2), g.zeros(2), g.zeros(2)
      local was = { longer, whole, alike }
      at()
      return longer:totable(), whole.dtype, alike:totable(), rawequal(longer, was[1]), rawequal(whole, was[2]), rawequal(alike, was[3])
    end
    local kept = { { "longer", { "T", g.ones(3) } }, { "whole", { "T", g.ones({ 2 }, { dtype = "int64" }) } },
      { "alike", { "T", g.ones(2) } } }
    expect({ loop(function() reachable.restore(debug.getinfo(2, "f").func, kept) end) }):equals
      { { 1, 1, 1 }, "int64", { 1, 1 }, false, false, true }
  end)
  it("is one for all names that the loop has given it", function()
    local function loop(at, moves)
      local now, best, rows, best_rows, late = g.zeros(2), g.zeros(2), { 1 }, { 2 }, nil
      at "begin"
      if moves then
        now, rows = g.ones(2), { 5 }
        best, best_rows, late = now, rows, now
      end
      at(1)
      return now:totable(), rawequal(now, best), rows, rawequal(rows, best_rows), rawequal(now, late)
    end
    expect({ put_back(loop) }):equals { { 1, 1 }, true, { 5 }, true, true }
  end)
  it("names what the loop has made and cannot be made again", function()
    local function loop(at)
      local made, plain_one, object, shape
      at("begin")
      made, plain_one, object = g.nn.Linear(1, 1), { 1, { 2 } }, setmetatable({}, { __index = { f = function() end } })
      shape = g.ones(2, 3).shape
      at(1)
      return made, plain_one, object, shape
    end
    local box = what_is_saved(loop)
    expect(box.unsaved):equals { "made", "object" }
    local names = {}
    for _, pair in ipairs(box.moved) do names[pair[1]] = pair[2][1] end
    expect({ names.plain_one, names.shape }):equals { "new", "new" }
  end)
  it("keeps of new tables those that are plain throughout", function()
    local function loop(at)
      local by_table, with_function, deep_function, with_object, tensors, chain
      local long
      at("begin")
      by_table, with_function, deep_function = { [{}] = 1 }, { f = function() end }, { { { function() end } } }
      with_object, tensors = { setmetatable({}, {}) }, { a = { g.ones(1) }, [true] = "x", [2] = false }
      chain, long = {}, {}
      local at_chain, at_long = chain, long
      for _ = 1, 20 do
        at_chain[1] = {}
        at_chain = at_chain[1]
      end
      for _ = 1, 21 do
        at_long[1] = {}
        at_long = at_long[1]
      end
      at_chain, at_long = nil, nil
      at(1)
      return by_table, with_function, deep_function, with_object, tensors, chain, long, at_chain, at_long
    end
    local box = what_is_saved(loop)
    expect(box.unsaved):equals { "by_table", "deep_function", "long", "with_function", "with_object" }
    local kinds = {}
    for _, pair in ipairs(box.moved) do kinds[pair[1]] = pair[2][1] end
    expect({ kinds.tensors, kinds.chain }):equals { "new", "new" }
  end)
  it("leaves what is the library's and Lua's alone, whenever it was made", function()
    local function loop(at)
      local d, rule, fn, lua = g.data.digits():first(3), g.when.steps(3), g.loss.cross_entropy, print
      local made, made_rule, made_fn, made_lua
      at "begin"
      made, made_rule, made_fn, made_lua = g.schedule.linear(1, 2), g.when.steps(4), g.loss.mse, pairs
      at "end"
      return d, rule, fn, lua, made, made_rule, made_fn, made_lua
    end
    local box = {}
    loop(function(where)
      local fn, seen = debug.getinfo(2, "f").func, box.seen
      box.seen = nil
      if where == "begin" then box.seen = reachable.seen(fn) else box.moved, box.unsaved = reachable.save(fn, seen) end
    end)
    expect(box.unsaved):equals {}
    for _, pair in ipairs(box.moved) do
      if pair[1] ~= "^g" and pair[1] ~= "at" and pair[1] ~= "^at" then error("kept: " .. pair[1]) end
    end
  end)
  it("leaves large tensors that were there before alone: they are data", function()
    local function loop(at)
      local data, small, trained = g.zeros { 200000 }, g.zeros { 3 }, g.zeros { 200000 }
      trained.requires_grad = true
      at()
      return data, small, trained
    end
    local kept = {}
    loop(function()
      local fn = debug.getinfo(2, "f").func
      for _, pair in ipairs(reachable.save(fn, reachable.seen(fn))) do kept[pair[1]] = pair[2][1] end
    end)
    expect(kept.data):equals(nil)
    expect(kept.small):equals "T"
    expect(kept.trained):equals "T"
  end)
end)

describe("an object's own state", function()
  for _, pair in ipairs { { "state_dict", "load_state_dict" }, { "state", "restore" }, { "get_state", "set_state" } } do
    it(("is taken by %s and given back by %s, where it has both"):format(pair[1], pair[2]), function()
      local object = { [pair[1]] = function(self) return self.kept end, [pair[2]] = function(self, kept) self.kept = kept end, kept = 1 }
      local take, give = reachable.protocol(object)
      local kept = take()
      give(5)
      expect({ kept, object.kept }):equals { 1, 5 }
      for _, name in ipairs(pair) do expect(reachable.protocol { [name] = function() end }):equals(nil) end
    end)
  end
end)

describe("a class of modules that the loop can see", function()
  it("has no weights of its own; what its methods see is kept", function()
    local calls = 0
    local Net = g.nn.class "Net"
    function Net:init() self.body = g.nn.Linear(2, 2) end
    function Net:forward(x)
      calls = calls + 1
      return self.body(x)
    end
    local Wider = g.nn.class("Wider", Net)
    local function loop(at)
      local net = Wider()
      at "begin"
      net(g.ones(1, 2))
      at "end"
      return net, Net
    end
    local kept
    local box = {}  -- there before the loop
    loop(function(where)
      local fn = debug.getinfo(2, "f").func
      if where == "begin" then box.seen = reachable.seen(fn) return end
      local seen = box.seen
      box.seen = nil
      kept = { reachable.save(fn, seen) }
    end)
    expect(kept[2]):equals {}
    calls = 7
    loop(function(where)
      if where == "end" then reachable.restore(debug.getinfo(2, "f").func, kept[1]) end
    end)
    expect(calls):equals(1)
  end)
end)

describe("what Lua keeps for itself in a frame", function()
  it("is no variable of the loop", function()
    local function loop(at)
      local sum = 0
      at "begin"
      for i = 1, 2 do
        sum = sum + i
        for _, value in ipairs { 5 } do
          sum = sum + value
          if i == 2 then at "end" end
        end
      end
      return sum
    end
    local names = {}
    for _, pair in ipairs(what_is_saved(loop).moved) do names[#names + 1] = pair[1] end
    table.sort(names)
    expect(names):equals { "_", "at", "i", "sum", "value" }
  end)
end)

describe("a table that the loop has filled and emptied", function()
  it("has what was added, and no longer what was removed", function()
    local function loop(at)
      local counts, nested = { removed = 1, kept = 2, text = "a" }, { inner = { 1, 2, 3 } }
      at "begin"
      counts.removed, counts.kept, counts.added, counts.text = nil, 5, 7, nil
      nested.inner[3], nested.inner[2], nested.more = nil, 9, true
      at "end"
      return counts, nested
    end
    local box = what_is_saved(loop)
    local restored = {}
    local function again(at)
      local counts, nested = { removed = 1, kept = 2, text = "a" }, { inner = { 1, 2, 3 } }
      at()
      restored.counts, restored.nested = counts, nested
      return counts, nested
    end
    again(function() reachable.restore(debug.getinfo(2, "f").func, box.moved) end)
    expect(restored):equals { counts = { kept = 5, added = 7 }, nested = { inner = { 1, 9 }, more = true } }
  end)
end)

describe("a variable that the loop no longer has", function()
  it("is left out, and the others are put back", function()
    local function loop(at)
      local gone, stays = 1, 2
      at "begin"
      gone, stays = gone + 4, stays + 4
      at "end"
      return gone, stays
    end
    local box, found = what_is_saved(loop), nil
    local function again(at)
      local stays = 2
      at()
      found = stays
      return stays
    end
    again(function() reachable.restore(debug.getinfo(2, "f").func, box.moved) end)
    expect(found):equals(6)
  end)
end)

describe("a function that asks by itself what it can see", function()
  it("sees its own variables", function()
    local seen, mine
    local function fn()
      local own = {}
      seen, mine = reachable.seen(fn), own
      return own
    end
    fn()
    expect(seen[mine]):is_true()
  end)
end)
