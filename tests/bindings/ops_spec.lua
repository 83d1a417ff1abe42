-- Every operator against PyTorch, forward and gradient: data/make_ops_reference.py has made the numbers.
local engine = require "gradus.engine"
local g = require "gradus"
local host = require "gradus.host"
local ops = engine.ops

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

local calls = host.json_decode(read "tests/bindings/data/ops.json")
local stored = engine.data.read_safetensors "tests/bindings/data/ops.safetensors"

local function shape(t) return table.concat(t.shape, "×") end

-- The largest difference, in units of the larger value; 0 for equal bits, infinity where one is NaN and the other is not.
local function distance(got, wanted)
  if got.dtype ~= wanted.dtype then error(("dtype %s, expected %s"):format(got.dtype, wanted.dtype), 0) end
  if shape(got) ~= shape(wanted) then error(("shape %s, expected %s"):format(shape(got), shape(wanted)), 0) end
  if got:hash() == wanted:hash() or got:numel() == 0 then return 0 end
  local a, b = got:detach():double(), wanted:double()
  local same = a:eq(b):logical_or(a:isnan():logical_and(b:isnan()))
  local apart = ((a - b):abs() / (b:abs() + 1)):masked_fill(same, 0)
  local worst = apart:amax():item()
  return worst == worst and worst or math.huge
end

local TOLERANCE = { float64 = 1e-13, float32 = 2e-6, int64 = 0, int32 = 0, bool = 0 }

local function expect_close(what, got, wanted)
  local apart = distance(got, wanted)
  if apart > TOLERANCE[wanted.dtype] then
    error(("%s: differs by %g:\n%s\nexpected\n%s"):format(what, apart, tostring(got), tostring(wanted)), 0)
  end
end

-- The call's tensors, each fresh, so that one call's gradients are its own.
local function inputs_of()
  return setmetatable({}, { __index = function(t, name)
    rawset(t, name, stored["in." .. name]:clone())
    return t[name]
  end })
end

local CONSTANT = { mean4 = true, var4 = true, weight4 = true }

local function value_of(plain, inputs, in_place)
  if type(plain) ~= "table" then return plain end
  if plain.tensor then
    local t = inputs[plain.tensor]
    local floating = t.dtype == "float64" or t.dtype == "float32"
    if floating and not in_place and not CONSTANT[plain.tensor] then t:requires_grad_() end
    return t
  end
  local list = {}
  for i, one in ipairs(plain) do list[i] = value_of(one, inputs, in_place) end
  return list
end

local function gather(one, ...)
  if one.kind == "list" then return (...) end
  return { ... }
end

local function check(number, one, inputs, results)
  if one.kind == "plain" then return expect(results[1]):equals(one.value) end
  expect(#results):equals(one.n)
  local total
  for i, t in ipairs(results) do
    expect_close("result " .. i, t, stored[("%d.out%d"):format(number, i - 1)])
    if t.requires_grad then
      local weight = g.arange(t:numel(), { dtype = "float64" }):cos():reshape(t.shape)
      total = (t * weight):sum() + (total or 0)
    end
  end
  if #one.grads == 0 then return end
  total:backward()
  for _, name in ipairs(one.grads) do
    expect_close("gradient by " .. name, inputs[name].grad, stored[("%d.grad.%s"):format(number, name)])
  end
end

-- In the three ways of writing a call: by place, as a method, by name.
local WAYS = {
  ["by place"] = function(one, args, named)
    if next(named) then args[#args + 1] = named end
    return ops[one.op](unpack(args))
  end,
  ["as a method"] = function(one, args, named)
    if not engine.is_tensor(args[1]) or one.names[1] ~= "self" then return nil end
    if next(named) then args[#args + 1] = named end
    return args[1][one.op](unpack(args))
  end,
  ["by name"] = function(one, args, named)
    if one.op:find "_$" then return nil end  -- needs the tensor itself, which comes first
    for i, name in ipairs(one.names) do named[name] = args[i] end
    if not next(named) then return nil end
    return ops[one.op](named)
  end,
}

describe("operators equal PyTorch's:", function()
  for number, one in ipairs(calls) do
    local plain = {}
    for i, a in ipairs(one.args) do plain[i] = type(a) == "table" and (a.tensor or "{" .. #a .. "}") or tostring(a) end
    for key in pairs(one.kwargs) do plain[#plain + 1] = key .. "=" end
    it(("%s(%s)"):format(one.op, table.concat(plain, ", ")), function()
      for way, call in pairs(WAYS) do
        local inputs, args, named = inputs_of(), {}, {}
        local in_place = one.op:find "_$" ~= nil
        for i, a in ipairs(one.args) do args[i] = value_of(a, inputs, in_place) end
        for key, a in pairs(one.kwargs) do named[key] = value_of(a, inputs, in_place) end
        engine.manual_seed(7)
        local results = gather(one, call(one, args, named))
        if results and #results > 0 then
          local ok, err = pcall(check, number - 1, one, inputs, results)
          if not ok then error(way .. ": " .. (type(err) == "table" and err.message or tostring(err)), 0) end
        end
      end
    end)
  end

  it("all of them, but those that have their own tests", function()
    local seen, missing = {}, {}
    for _, one in ipairs(calls) do seen[one.op] = true end
    for _, name in ipairs { "empty", "empty_like",  -- values are whatever the memory held
      "kd_loss", "linear_kd_loss", "feature_mse", "clip_grad_norm_", "grad_norm", "sgd_", "adam_",
      "put_back_", "tally",  -- our own: tests/runtime, optim_spec
    } do
      seen[name] = true
    end
    for _, name in ipairs(engine.op_names()) do
      if not seen[name] then missing[#missing + 1] = name end
    end
    expect(missing):equals {}
  end)
end)

describe("schemas of the operators", function()
  -- A LibTorch upgrade, or an edit of ops.def, shows as a difference of lines. To accept it:
  --   GRADUS_UPDATE=1 build/gradus test tests/bindings/ops_spec.lua
  it("are those of ops.txt", function()
    local now = {}
    for _, name in ipairs(engine.op_names()) do now[#now + 1] = engine.help(name) end
    local text = table.concat(now, "\n") .. "\n"
    if os.getenv "GRADUS_UPDATE" then
      local file = assert(io.open("tests/bindings/ops.txt", "w"))
      file:write(text)
      file:close()
    end
    local golden, have, lines = read "tests/bindings/ops.txt", {}, {}
    for line in text:gmatch "[^\n]+" do have[line] = true end
    for line in golden:gmatch "[^\n]+" do
      if have[line] then have[line] = nil else lines[#lines + 1] = "- " .. line end
    end
    for line in pairs(have) do lines[#lines + 1] = "+ " .. line end
    table.sort(lines, function(a, b) return a:sub(3) .. a < b:sub(3) .. b end)
    if #lines > 0 then
      error("the schemas have changed; GRADUS_UPDATE=1 build/gradus test tests/bindings/ops_spec.lua takes them over:\n"
        .. table.concat(lines, "\n"), 0)
    end
    expect(text == golden):is_true()
  end)
end)
