-- Signs that health.lua reads of lists of numbers.
local signs = require "gradus.training.signs"

describe("a sign", function()
  it("is lost where the last three are above the lowest by so much", function()
    assert(signs.is_lost({ 3, 1, 2, 2.1, 2.1, 2.1 }, 1))
    assert(not signs.is_lost({ 3, 1, 2.1, 2.1, 2.1 }, 1))  -- too few
    assert(not signs.is_lost({ 3, 1, 2, 2.1, 2, 2.1 }, 1))
    assert(not signs.is_lost({ 3, 1, 2, 2.1, 2.1, 2.1 }, 1, 2))
    assert(not signs.is_lost({ 1, 3, 3, 3, 3, 3, 3 }, 1, 2) and signs.is_lost({ 1, 3, 3, 3, 3, 3, 3 }, 1, 1))
  end)
  it("stays above where the last three do, whatever was before", function()
    assert(signs.stays_above({ 0, 0, 3, 3, 3 }, 2) and signs.stays_above({ 3, 3, 3 }, 2))
    assert(not signs.stays_above({ 3, 3, 2, 3, 3 }, 2) and not signs.stays_above({ 3, 3, 3, 3, 2 }, 2))
    assert(not signs.stays_above({ 3, 3 }, 2) and not signs.stays_above({}, 2))
    assert(not signs.stays_above({ 3, 3, 3 }, 2, 2) and signs.stays_above({ 0, 3, 3, 3 }, 2, 2))
  end)
  it("takes means, and the least and the most, of a part", function()
    local list = { 4, 1, 3, 2 }
    expect({ signs.mean(list, 1, 4), signs.mean(list, 2, 3), signs.mean(list, 4, 4) }):equals { 2.5, 2, 2 }
    expect({ signs.least(list, 1), signs.least(list, 3), signs.least(list, 4) }):equals { 1, 2, 2 }
    expect({ signs.most(list, 1), signs.most(list, 2), signs.most(list, 4) }):equals { 4, 3, 2 }
  end)
end)
