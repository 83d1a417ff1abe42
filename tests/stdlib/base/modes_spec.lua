-- Whose mode a module is in, and what a training borrows of its student.
local g = require "gradus"
local modes = require "gradus.base.modes"
local nn = g.nn

local function net() return nn.Sequential { nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Sequential { nn.Dropout(.5), nn.Linear(2, 1) } } end

-- "tteet": the modes of a module and all below it, in their order.
local function modes_of(module)
  local text = ""
  for _, one in module:named_modules() do text = text .. (one.training and "t" or "e") end
  return text
end

-- Which parameters are trained.
local function trained(module)
  local names = {}
  for name, p in module:named_parameters() do
    if p.requires_grad then names[#names + 1] = name end
  end
  return names
end

describe("a pass that is not the student's own", function()
  it("borrows evaluation mode and gives back every mode as it was", function()
    for _, parts in ipairs { "tttttt", "eeeeee", "tttett", "ettett", "eeeete" } do
      local module, i = net(), 0
      for _, one in module:named_modules() do
        i = i + 1
        one.training = parts:sub(i, i) == "t"
      end
      for _, around in ipairs { modes.evaluating, function(one, ...) return modes.all_evaluating({ one }, ...) end } do
        local got = { around(module, function(a, b)
          expect(modes_of(module)):equals "eeeeee"
          return b, a
        end, 1, 2) }
        expect({ got, modes_of(module) }):equals { { 2, 1 }, parts }
        expect(function() around(module, function() error("inside", 0) end) end):fails_with "inside"
        expect(modes_of(module)):equals(parts)
      end
    end
  end)
  it("borrows that of several at once", function()
    local one, two, three = net(), net():eval(), net()
    modes.all_evaluating({ one, two, three }, function()
      expect({ modes_of(one), modes_of(two), modes_of(three) }):equals { "eeeeee", "eeeeee", "eeeeee" }
    end)
    expect({ modes_of(one), modes_of(two), modes_of(three) }):equals { "tttttt", "eeeeee", "tttttt" }
    expect({ modes.all_evaluating({}, function(x) return x end, 3) }):equals { 3 }
  end)
end)

describe("a training's loan", function()
  it("puts a student in evaluation mode into training mode, of one in training leaves parts as they are", function()
    local whole, part = net():eval(), net()
    part[1]:eval()
    modes.lend(whole)
    local loan = modes.lend(part)
    expect({ modes_of(whole), modes_of(part) }):equals { "tttttt", "ttettt" }
    loan:close()
    expect(modes_of(part)):equals "eeeeee"
    modes.lend(part)  -- a second training knows them again
    expect(modes_of(part)):equals "ttettt"
    part[1]:train()
    modes.lend(part):close()
    modes.lend(part)
    expect(modes_of(part)):equals "tttttt"
  end)
  it("lets only what is below these paths be trained, of what the script lets be", function()
    local module = net()
    local all = trained(module)
    module[2][1].bias:requires_grad_(false)
    local loan = modes.lend(module)
    expect(loan:train_only()):equals(nil)
    expect(trained(module)):equals { "0.weight", "0.bias", "1.weight", "1.bias", "2.1.weight" }
    expect(loan:train_only { "2" }):equals(nil)
    expect({ trained(module), modes_of(module) }):equals { { "2.1.weight" }, "ttettt" }
    expect(loan:train_only { "2.1.weight", "0" }):equals(nil)
    expect(trained(module)):equals { "0.weight", "0.bias", "2.1.weight" }
    expect(loan:train_only { "1" }):equals(nil)
    expect({ trained(module), modes_of(module) }):equals { { "1.weight", "1.bias" }, "tttttt" }
    expect(loan:train_only { "0", "3", "4" }):equals "3"
    expect(loan:train_only { "2.10" }):equals "2.10"  -- not below 2.1
    loan:close()
    module[2][1].bias:requires_grad_(true)
    expect({ trained(module), modes_of(module) }):equals { all, "eeeeee" }
  end)
  it("gives back the modes of what it had narrowed", function()
    local module = net()
    local loan = modes.lend(module)
    loan:train_only { "0" }
    expect(modes_of(module)):equals "ttettt"
    loan:train_only()
    expect(modes_of(module)):equals "tttttt"
    local apart = net()
    apart[1]:eval()
    loan = modes.lend(apart)
    loan:train_only { "0" }
    loan:train_only()
    expect(modes_of(apart)):equals "ttettt"  -- the script's own stays
  end)
end)
