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
  it("is flat within two percent of the window's highest", function()
    assert(signs.is_flat { 9, 1, 1, 1, 1, 1, 1, 1, 1 })  -- the first lies before the window of eight
    assert(not signs.is_flat { 9, 1, 1, 1, 1, 1, 1, 1 })
    assert(signs.is_flat { 50, 49 } and not signs.is_flat { 50, 48.9 } and signs.is_flat { -50, -49.5 })
    assert(not signs.is_flat { 1.05, 1, 1, 1, 1, 1, 1, 1 } and not signs.is_flat { 1, 1, 1, 1, 1, 1, 1, .97 })
  end)
  it("rises where it did three times, above half more than the lowest, the ceiling and the beginning", function()
    assert(signs.rises({ 1, 1.1, 1.2, 1.6 }, 0) and signs.rises({ 1.2, 1, 1.1, 1.2, 1.6 }, 1.5))
    assert(not signs.rises({ 1.1, 1.2, 1.7 }, 0) and not signs.rises({ 1, 1.1, 1.2, 1.5 }, 0) and not signs.rises({ 1, 1.1, 1.2, 1.6 },
      1.6))
    assert(not signs.rises({ 1, 1.2, 1.1, 1.6 }, 0) and not signs.rises({ 1, 1.1, 1.1, 1.6 }, 0) and not signs.rises({ 1, 1, 1.1, 1.6 }, 0))
    assert(not signs.rises({ 1, 1.1, 1.6, 1.6 }, 0) and not signs.rises({ 1.6, .5, .6, .7, 1.6 }, 0) and signs.rises({ 1.5, .5, .6, .7,
      1.6 }, 0))
  end)
  it("swings where it turns and gets no lower, one jump aside", function()
    local function list(...) return { ... } end
    assert(signs.swings(list(1, 2, 1, 2, 1, 2, 1, 2), .1, 1.4))
    assert(not signs.swings(list(1, 2, 1, 2, 1, 2, 1, 2), .1, 1.5))          -- the level is no higher than the floor
    assert(not signs.swings(list(1, 2, 1, 2, 1, 2, 1), .1, 0))               -- too few
    assert(signs.swings(list(9, 9, 1, 2, 1, 2, 1, 2, 1, 2), .1, 0))          -- the window alone
    -- It travels 7, its largest move aside 6; the level is 1.5: 6 > 6 share 1.5.
    assert(signs.swings(list(1, 2, 1, 2, 1, 2, 1, 2), .66, 0) and not signs.swings(list(1, 2, 1, 2, 1, 2, 1, 2), .67, 0))
    assert(not signs.swings(list(1, 1, 1, 9, 1, 1, 1, 1), .1, 0))            -- one jump
    assert(signs.swings(list(1, 2, 3, 2, 3, 4, 5, 4), .1, 0))                -- three turns of six
    assert(not signs.swings(list(1, 2, 3, 2, 3, 4, 5, 6), .1, 0))            -- two
    assert(not signs.swings(list(4, 3, 4, 3, 3, 2, 3, 2), .01, 0))           -- it gets lower
    assert(signs.swings(list(4, 3, 4, 3, 3.9, 3, 4, 2.7), .01, 0))           -- hardly
  end)
  it("falls at a pace beside its fastest", function()
    local spent = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 }
    expect(signs.pace({ 9, 8, 7, 6, 5, 4, 3 }, spent)):equals(nil)           -- seven are too few
    expect(signs.pace({ 9, 8, 7, 6, 5, 4, 3, 2 }, spent)):equals(1)
    expect(signs.pace({ 16, 12, 8, 4, 0, 0, 0, 0, 0 }, spent)):equals(0)
    expect(signs.pace({ 16, 12, 8, 4, 0, -1, -2, -3, -4 }, spent)):near(4 / 16)
    expect(signs.pace({ 1, 1, 1, 1, 1, 1, 1, 1 }, spent)):equals(nil)
    expect(signs.pace({ 1, 2, 3, 4, 5, 6, 7, 8 }, spent)):equals(nil)
    expect(signs.pace({ 16, 12, 8, 4, 0, -1, -2, -3, -4 }, { 0, 1, 2, 3, 4, 4.25, 4.5, 4.75, 5 })):near(1)  -- for the rate that it took
    local long, sums = {}, {}
    for i = 1, 24 do long[i], sums[i] = i <= 6 and -2 * i or -6 - i, i end   -- windows of six
    expect(signs.pace(long, sums)):near(6 / (12 - 1))
  end)
end)

describe("turns of a curve that swings", function()
  it("are those within the window alone, the first and the last of it too", function()
    expect(signs.swings({ 4, 8, 5, 8, 7, 6.5, 6, 5.5 }, .01, 0)):is_true()     -- at the second, third and fourth
    expect(signs.swings({ 5, 5.5, 6, 6.5, 7, 8, 5, 8 }, .01, 0)):is_false()    -- two
    expect(signs.swings({ 5, 5.5, 6, 6.5, 8, 5, 8, 5 }, .01, 0)):is_true()     -- the last two moves are turns
    expect(signs.swings({ 9, 5, 5.5, 6, 6.5, 7, 8, 5, 8 }, .01, 0)):is_false() -- that at the window's edge lies before it
    expect(signs.swings({ 5, 8, 5, 8, 8, 7.5, 7, 6.5 }, .01, 0)):is_false()    -- two, and a stretch that is level
  end)
end)
