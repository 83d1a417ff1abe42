-- What the engine itself offers beside operators and data: gradients, random numbers, memory, counts, modes, flat buffers.
local engine = require "gradus.engine"
local g = require "gradus"

local function list(t) return t and t:totable() end
local function parameter(...) return g.tensor({ ... }, { requires_grad = true }) end

describe("a call gives as many values as it says, and no others:", function()
  local x = g.ones(2, 2)
  local function of(...) return { select("#", ...), type((...)) } end
  local one = {
    set_grad_enabled = { "boolean", true }, is_grad_enabled = { "boolean" }, is_tensor = { "boolean", x }, device = { "string", "cpu" },
    threads = { "number", "unused" }, cores = { "number", "unused" }, help = { "string", "sum" }, op_names = { "table", "unused" },
    gemm = { "string", "unused" }, large_share = { "nil", "unused" }, count_flops = { "function", "unused" }, set_autocast = { "nil", nil },
    set_scope = { "nil", nil }, tensor = { "userdata", 1 }, generator = { "userdata", 1 }, default_generator = { "userdata", "cpu" },
    transfer = { "userdata", x },
  }
  for name, case in pairs(one) do
    it(name .. ", one", function() expect(of(engine[name](case[2]))):equals { 1, case[1] } end)
  end
  it("manual_seed and set_threads, none", function()
    expect(of(engine.manual_seed(1))):equals { 0, "nil" }
    expect(of(engine.set_threads(engine.threads()))):equals { 0, "nil" }
  end)
  it("memory, three", function() expect(of(engine.memory "unused")):equals { 3, "number" } end)
  it("grad, one", function() expect(of(engine.grad((parameter(1) * 2):sum(), {}, {}))):equals { 1, "table" } end)
  it("methods of a tensor", function()
    local t = g.tensor { 3 }
    for name, kind in pairs {
      size = "table", numel = "number", dim = "number", to = "userdata", cpu = "userdata", float = "userdata", double = "userdata",
      long = "userdata", bool = "userdata", requires_grad_ = "userdata", is_contiguous = "boolean", hash = "string", nbytes = "number",
      item = "number", totable = "table", sum = "userdata", detach = "userdata", chunk = "table", equal = "boolean",
    } do
      local given = { chunk = { 1 }, equal = { t } }
      expect({ name, of(t[name](t, unpack(given[name] or {}))) }):equals { name, { 1, kind } }
    end
    expect(of(t:size(0))):equals { 1, "number" }
    expect(of(g.tensor(true):item())):equals { 1, "boolean" }
    expect(of(t[0])):equals { 1, "userdata" }
    expect(of(t:set_data(g.ones(1)))):equals { 1, "userdata" }
    expect(of(t:data_pointer())):equals { 3, "userdata" }
    expect(of(g.zeros(3, 2):max { dim = 1 })):equals { 2, "userdata" }
    local p = parameter(1)
    expect(of((p * 2):sum():backward())):equals { 0, "nil" }
    expect(of(t:release())):equals { 0, "nil" }
  end)
  it("methods of a generator", function()
    local one_more = g.generator(1)
    expect(of(one_more:get_state())):equals { 1, "userdata" }
    expect(of(one_more:set_state(g.generator(2):get_state()))):equals { 0, "nil" }
    expect(of(one_more:manual_seed(1))):equals { 1, "userdata" }
  end)
end)

describe("g.grad", function()
  local w, unused, frozen = parameter(1, 2), parameter(1), g.ones(2)
  local function loss() return (w * w):sum() end
  it("lists the gradients in order, false where there is none", function()
    local grads = g.grad(loss(), { frozen, w, unused })
    expect({ #grads, grads[1], list(grads[2]), grads[3] }):equals { 3, false, { 2, 4 }, false }
    expect(w.grad):equals(nil)
  end)
  it("puts them where they are wanted", function()
    local place, place2 = g.zeros(2), g.zeros(1)
    local grads = engine.grad(loss(), { frozen, w, unused }, { false, place, place2 })
    expect({ #grads, grads[1], grads[2] == place, grads[3] }):equals { 3, false, true, false }
    expect({ list(place), list(place2) }):equals { { 2, 4 }, { 0 } }
    grads = engine.grad(loss(), { w }, { false })
    expect(list(grads[1])):equals { 2, 4 }
    expect(grads[1] == place):is_false()
    expect(list(engine.grad((w * 3):sum(), { w }, { place })[1])):equals { 3, 3 }
    expect({ g.grad(loss(), {}), g.grad(loss(), { frozen }) }):equals { {}, { false } }
    w:sum():backward()  -- the places are of that call alone
    expect({ list(w.grad), list(place) }):equals { { 1, 1 }, { 3, 3 } }
    w.grad = nil
  end)
  it("says what is wrong", function()
    expect(function() g.grad(3, { w }) end):fails_with "grad: loss: expected a Tensor; got number 3"
    expect(function() g.grad(loss(), w.shape[1]) end):fails_with "grad: argument 2: expected a list of parameters; got number 2"
    expect(function() g.grad(frozen:sum(), { w }) end):fails_with "grad: the loss depends on no parameter that requires a gradient"
    expect(function() g.grad(loss(), { w, 3 }) end):fails_with "grad: parameter 2: expected a Tensor; got number 3"
    local gone = parameter(1)
    gone:release()
    expect(function() g.grad(loss(), { gone }) end):fails_with "grad: parameter 1: expected a Tensor; got a released Tensor"
  end)
end)

describe("random numbers", function()
  it("of the default generator follow its seed and its state", function()
    local own = engine.default_generator()
    engine.manual_seed(4)
    local first = g.rand(3)
    expect(g.rand({ 3 }, { generator = g.generator(4) }):equal(first)):is_true()
    own:manual_seed(4)
    expect(g.rand(3):equal(first)):is_true()
    expect(own:get_state():equal(engine.default_generator("cpu"):get_state())):is_true()
  end)
  it("come from a generator alone", function()
    expect(function() engine.default_generator "gpu" end):fails_with "device 'gpu' is unknown; expected cpu"
    expect(function() g.generator(1).get_state(3) end):fails_with "expected a generator; got number 3"
    expect(function() g.generator(1):set_state(3) end):fails_with "state: expected a Tensor; got number 3"
    expect(function() g.generator(1):set_state(g.ones(3)) end):fails_with "set_state: "
  end)
end)

describe("counts", function()
  local function product() return g.mm(g.ones(2, 3), g.ones(3, 4)) end
  it("of operations go on until they are ended, each for itself", function()
    local outer = engine.count_flops()
    product()
    local inner = engine.count_flops()
    product()
    expect({ outer(), inner() }):equals { 96, 48 }
    product()
    expect({ outer(), inner() }):equals { 96, 48 }
  end)
  it("of operations end with who lost them", function()
    engine.count_flops()
    collectgarbage()
    collectgarbage()
    engine.large_share()
    product()
    expect(engine.large_share()):equals(nil)  -- nothing was counted
    local count = engine.count_flops()
    product()
    expect({ count(), engine.large_share() }):equals { 48, 0 }
  end)
  it("tell the share of large operators since they were last asked", function()
    local stop = engine.count_flops()
    engine.large_share()
    g.mm(g.ones(200, 300), g.ones(300, 400))
    g.mm(g.ones(20, 30), g.ones(30, 40))
    stop()
    expect(engine.large_share()):near(1000 / 1001, 1e-9)
    expect(engine.large_share()):equals(nil)
  end)
  it("of memory are of what lives, what lived at most, and how often it was asked for", function()
    local live, peak, asked = engine.memory()
    local t = g.empty(1000)
    local more, peak_now, asked_now = engine.memory()
    expect({ more - live >= 4000, more - live < 5000, peak_now >= more, peak_now >= peak, asked_now - asked })
      :equals { true, true, true, true, 1 }
    t:release()
    expect(engine.memory() < more):is_true()
  end)
end)

describe("operators' names and schemas", function()
  it("are sorted, and help has a line for each way of calling one", function()
    local names = engine.op_names()
    local sorted = { unpack(names) }
    table.sort(sorted)
    expect(names):equals(sorted)
    expect(engine.help "sum"):equals("sum(Tensor self, int[]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor\n"
      .. "sum(Tensor self, *, ScalarType? dtype=None) -> Tensor")
    expect(engine.help "sofmax"):equals(nil)
    expect(engine.tensor_methods.sum == g.ones(1).sum):is_true()
    expect(engine.torch_version):matches "^%d+%.%d+"
  end)
end)

describe("autocast", function()
  local a = g.ones(2, 2)
  it("says which was on, ends, and is of products alone", function()
    expect(engine.set_autocast "float16"):equals(nil)
    expect((a:matmul(a)).dtype):equals "float16"
    expect(engine.set_autocast "bfloat16"):equals "float16"
    expect({ a:matmul(a).dtype, (a + a).dtype }):equals { "bfloat16", "float32" }
    expect(engine.set_autocast(nil)):equals "bfloat16"
    expect(a:matmul(a).dtype):equals "float32"
  end)
  it("sees weights that changed between two stretches", function()
    local w = parameter(1, 1):reshape(1, 2):detach():requires_grad_()
    local function product() return g.autocast("bfloat16", function() return g.ones(1, 2):matmul(w:t()):item() end) end
    expect(product()):equals(2)
    g.no_grad(function() w:fill_(3) end)
    expect(product()):equals(6)
  end)
  it("refuses other types, and what is none", function()
    expect(function() g.autocast("float32", print) end):fails_with "autocast: expected 'bfloat16' or 'float16'; got string 'float32'"
    expect(function() g.autocast({}, print) end):fails_with "autocast: expected 'bfloat16' or 'float16'; got table"
    expect(function() g.autocast(true, print) end):fails_with "autocast: expected 'bfloat16' or 'float16'; got true"
    expect(a:matmul(a).dtype):equals "float32"
  end)
end)

describe("a flat buffer", function()
  local flat = engine.flat
  it("holds the parameters that were joined, and gives views of them", function()
    local a, b = parameter(1, 2), parameter(3, 4, 5)
    local whole = flat.join { a, b }
    expect({ flat.holds(whole, { a, b }), flat.holds(whole, { b, a }), flat.holds(g.ones(64), { a, b }) }):equals { true, false, false }
    local views = flat.parts(whole, { a, b })
    expect({ #views, list(views[1]), list(views[2]) }):equals { 2, { 1, 2 }, { 3, 4, 5 } }
    flat.gather(views, { g.tensor { 6, 7 }, g.tensor { 8, 9, 10 } })
    expect({ list(a), list(b) }):equals { { 6, 7 }, { 8, 9, 10 } }
    expect({ select("#", flat.gather(views, views)), select("#", flat.changed { a }), select("#", flat.holds(whole, { a })) })
      :equals { 0, 0, 1 }
    expect(flat.join { g.ones(2), g.ones({ 2 }, { dtype = "float64" }) }):equals(nil)
  end)
  it("takes tensors alone", function()
    expect(function() flat.join { parameter(1), 3 } end):fails_with "flat: item 2: expected a Tensor"
    local gone = parameter(1)
    gone:release()
    expect(function() flat.join { gone } end):fails_with "flat: item 1: expected a Tensor"
  end)
  it("tells autograd that its parts were changed", function()
    local net = g.nn.Linear(2, 1)
    local optimizer = g.optim.SGD(net)
    local loss = (net.weight * net.weight):sum()
    optimizer:minimize(net(g.ones(1, 2)):sum(), { lr = .1 })
    expect(function() loss:backward() end):fails_with "has been modified by an inplace operation"
  end)
end)

describe("an error of the engine", function()
  local binary = io.open("/proc/self/cmdline", "rb"):read "*a":match "^[^%z]+"
  local function code(text)
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
    local pipe = io.popen(("%s run %s 2>&1; echo $?"):format(binary, path))
    local out = pipe:read "*a"
    pipe:close()
    os.remove(path)
    return tonumber(out:match "(%d+)%s*$")
  end
  it("ends a script with the code of its kind", function()
    expect(code [[local g = require "gradus" g.zeros(2, 3):view(4, 2)]]):equals(65)
    expect(code [[require("gradus.engine").data.read_npy "no/such.npy"]]):equals(66)
  end)
  local sanitized = io.open("/proc/self/maps"):read "*a":find("libasan", 1, true)
  if sanitized then return end  -- AddressSanitizer ends a program that asks for so much
  it("that asks for too much memory says how much", function()
    expect(function() g.empty { 2 ^ 50 } end)
      :fails_with "^[^ ]*engine_spec.lua:%d+: empty: out of memory: 4503599627370496 bytes were asked for$"
  end)
end)
