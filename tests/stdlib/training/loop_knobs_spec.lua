-- Knobs of a loop of one's own: what its steps are given, and what is set by hand over it.
local loop_knobs = require "gradus.training.loop_knobs"

describe("a loop's knobs", function()
  it("are what the loop gives", function()
    local one, given = loop_knobs.new(), { lr = .1, alpha = .5 }
    expect({ one.list, one:knob_names(), one:over(nil) }):equals { {}, {} }
    expect(rawequal(one:over(given), given)):is_true()
    expect({ one:knob_names(), one.last }):equals { { "alpha", "lr" }, given }
  end)
  it("are set by hand, of those that it gives, until they are given back", function()
    local one, given = loop_knobs.new(), { lr = .1, alpha = .5 }
    expect({ one:set_by_hand("lr", .2), one:set_by_hand("lr", .2), one:set_by_hand("other", 0) }):equals { true, false, true }
    expect({ one:over(given), given, one.last }):equals { { lr = .2, alpha = .5 }, { lr = .1, alpha = .5 }, { lr = .2, alpha = .5 } }
    expect(one:over(nil)):equals(nil)
    expect(one.last):equals { lr = .2, alpha = .5 }
    expect({ one:set_by_hand("lr", nil), one:set_by_hand("lr", nil), one.by_hand }):equals { true, false, { other = 0 } }
    expect(one:over(given)):equals(given)
    expect({ one:set_by_hand("other", nil), one.by_hand }):equals { true }
    expect(rawequal(one:over(given), given)):is_true()
    one:set_by_hand("alpha", 0)
    expect(one:over(given)):equals { lr = .1, alpha = 0 }
  end)
end)
