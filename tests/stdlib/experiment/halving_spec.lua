-- Asynchronous successive halving: when a run is looked at, and whether it goes on.
local halving = require "gradus.experiment.halving"

local function lower(a, b) return a < b end

describe("halving", function()
  it("looks at a run after 1, 3, 9, … evaluations", function()
    local looked = {}
    for count = 0, 100 do
      if halving.looks(count) then looked[#looked + 1] = count end
    end
    expect(looked):equals { 1, 3, 9, 27, 81 }
  end)
  it("takes the best that a run has shown until then, and of each training by itself", function()
    local one = halving.new(lower)
    one:showed("a", 1, { 5, 3, 4, 1, 2, 6, 7, 8, 9 })
    one:showed("a", 2, { 7, 8 })
    local rung = halving.rung
    expect({ one.rungs[rung(1, 1)].a, one.rungs[rung(1, 3)].a, one.rungs[rung(1, 9)].a, one.rungs[rung(2, 1)].a }):equals { 5, 3, 1, 7 }
    expect({ one.rungs[rung(1, 2)], one.rungs[rung(2, 3)] }):equals {}
    expect({ rung(2, 1) > rung(1, 1e9), rung(1, 3) > rung(1, 1), rung(1, 1) ~= rung(2, 1) }):equals { true, true, true }
    expect(halving.new(lower).rungs):equals {}
  end)
  it("has a run come farther with each evaluation, and with each training farther still", function()
    local rung = halving.rung
    local rungs = { rung(1, 1), rung(1, 3), rung(1, 2 ^ 31), rung(2, 1), rung(2, 3), rung(3, 1) }
    for i = 2, #rungs do assert(rungs[i] > rungs[i - 1]) end
  end)
  it("lets the best third go on, as far as is known, and those that are as good", function()
    local one, rung = halving.new(lower), halving.rung(1, 1)
    local function goes_on(who) return { one:goes_on(who, rung) } end
    one:reached("a", rung, 9)
    expect(goes_on "a"):equals { true }
    one:reached("b", rung, 1)
    expect(goes_on "a"):equals { true }  -- two are too few to say
    one:reached("c", rung, 5)
    expect({ goes_on "a", goes_on "b", goes_on "c" }):equals { { false, 1 }, { true, 1 }, { false, 1 } }
    for who, value in pairs { d = 5, e = 5, f = 7 } do one:reached(who, rung, value) end
    expect({ goes_on "b", goes_on "c", goes_on "d", goes_on "f" }):equals { { true, 5 }, { true, 5 }, { true, 5 }, { false, 5 } }
    one:reached("a", rung, .5)  -- it has gone on and is better now
    expect({ goes_on "a", goes_on "c" }):equals { { true, 1 }, { false, 1 } }
  end)
  it("is of the highest where that is better", function()
    local one = halving.new(function(a, b) return a > b end)
    for who, value in pairs { a = .9, b = .5, c = .1 } do one:showed(who, 1, { value - 1, value, value - .5 }) end
    local rung = halving.rung(1, 3)
    expect({ { one:goes_on("a", rung) }, { one:goes_on("b", rung) } }):equals { { true, .9 }, { false, .9 } }
  end)
end)
