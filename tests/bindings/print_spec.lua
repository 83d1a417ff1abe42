-- Printing against PyTorch's own text (data/make_ops_reference.py), in Lua's spelling of true and of names.
local g = require "gradus"
local host = require "gradus.host"

local file = assert(io.open "tests/bindings/data/printed.json")
local cases = host.json_decode(file:read "*a")
file:close()

local SPECIAL = { inf = math.huge, ["-inf"] = -math.huge, nan = 0 / 0, ["-nan"] = 0 / 0 }

local function in_lua(text)
  text = text:gsub("True", "true"):gsub("False", "false"):gsub("dtype=torch%.", "dtype=")
  return (text:gsub("size=%((.-),?%)", "size=[%1]"))
end

describe("a tensor prints as PyTorch's:", function()
  for i, case in ipairs(cases) do
    it(("%d, [%s] %s"):format(i, table.concat(case.shape, ", "), case.dtype), function()
      local values = {}
      for k, text in ipairs(case.values) do values[k] = SPECIAL[text] or tonumber(text) end
      local t = g.tensor(values, { dtype = case.dtype }):reshape(case.shape)
      if case.requires_grad then t = t:detach():requires_grad_() end
      local got, wanted = tostring(t), in_lua(case.text)
      if got ~= wanted then error("got\n" .. got .. "\nexpected\n" .. wanted, 0) end
    end)
  end
end)

describe("printing", function()
  it("names what a result comes from", function()
    local t = g.tensor({ 1, 2 }, { requires_grad = true })
    expect(tostring(t * 2)):matches "^tensor%(%[2%., 4%.%], grad_fn=<MulBackward0>%)$"
  end)
  it("does not follow a released tensor", function()
    local t = g.zeros(3)
    t:release()
    expect(tostring(t)):equals "tensor(released)"
  end)
  it("shows what arrives through print and string.format", function()
    expect(("%s"):format(tostring(g.tensor { 1.5 }))):equals "tensor([1.5000])"
  end)
  it("keeps 64-bit integers whole", function()
    local t = g.full({ 1 }, 2 ^ 53, { dtype = "int64" }) + 1
    expect(tostring(t)):equals "tensor([9007199254740993])"
  end)
end)
