-- Successive halving: when a run is looked at, and which goes on.
local halving = require "gradus.experiment.halving"

local function lower(a, b) return a < b end
local function higher(a, b) return a > b end

describe("successive halving", function()
  it("looks at a run after 1, 3, 9, … evaluations", function()
    local list = {}
    for count = 1, 250 do
      if halving.looks(count) then list[#list + 1] = count end
    end
    expect(list):equals { 1, 3, 9, 27, 81, 243 }
  end)
  it("has a run come farther with each evaluation, and with each training farther still", function()
    local rungs = { halving.rung(1, 1), halving.rung(1, 3), halving.rung(1, 2 ^ 31), halving.rung(2, 1), halving.rung(2, 3),
      halving.rung(3, 1) }
    for i = 2, #rungs do assert(rungs[i] > rungs[i - 1]) end
  end)
  it("notes the best that a run had shown by each rung", function()
    local one = halving.new(lower)
    one:showed("a", 2, { 5, 6, 4, 3, 9, 9, 9, 9, 9, 1 })
    expect(one.rungs):equals { [halving.rung(2, 1)] = { a = 5 }, [halving.rung(2, 3)] = { a = 4 }, [halving.rung(2, 9)] = { a = 3 } }
    one = halving.new(higher)
    one:showed("a", 1, { 5, 6, 4 })
    one:showed("b", 1, { 7 })
    expect(one.rungs):equals { [halving.rung(1, 1)] = { a = 5, b = 7 }, [halving.rung(1, 3)] = { a = 6 } }
  end)
  it("lets those go on that are among the best third, or as good as its last, once three have come as far", function()
    local one = halving.new(lower)
    one:reached(1, 7, 10)
    one:reached(2, 7, 20)
    expect({ one:goes_on(2, 7) }):equals { true }
    one:reached(3, 7, 30)
    expect({ one:goes_on(1, 7) }):equals { true, 10 }
    expect({ one:goes_on(2, 7) }):equals { false, 10 }
    one:reached(4, 7, 10)
    expect({ one:goes_on(4, 7) }):equals { true, 10 }
    one:reached(5, 7, 40)
    expect({ one:goes_on(2, 7) }):equals { false, 10 }
    one:reached(4, 7, 15)  -- what it has reached by now
    one:reached(6, 7, 50)
    expect({ { one:goes_on(4, 7) }, { one:goes_on(2, 7) } }):equals { { true, 15 }, { false, 15 } }
    one:reached(1, 8, 99)
    expect({ one:goes_on(1, 8) }):equals { true }  -- another rung
  end)
end)
