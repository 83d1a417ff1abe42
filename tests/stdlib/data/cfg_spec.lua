local g = require "gradus"
local cfg = g.cfg

local function counts_of_lengths(grammar, size, seed)
  local counts = {}
  for _, sentence in ipairs(cfg.sample(grammar, { seed = seed, size = size })) do counts[#sentence] = (counts[#sentence] or 0) + 1 end
  return counts
end

describe("cfg", function()
  it("knows cfg3b's lengths: 161 to 432, 294 on average", function()
    local low, high, mean, total = math.huge, 0, 0, 0
    for length, p in pairs(cfg.length_distribution(cfg.cfg3b())) do
      low, high, mean, total = math.min(low, length), math.max(high, length), mean + p * length, total + p
    end
    expect(low):equals(161)
    expect(high):equals(432)
    expect(total):near(1, 1e-12)
    expect(mean):near(294, .5)
  end)
  it("gives lengths as counted by hand", function()
    -- S -> A A | A, A -> 1 | 1 2: lengths 1 and 2 of A, half each
    local lengths = cfg.length_distribution(cfg.parse "5: 4 4 | 4  4: 1 | 1 2")
    expect({ lengths[1], lengths[2], lengths[3], lengths[4] }):equals { .25, .375, .25, .125 }
  end)
  for name, grammar in pairs { cfg3b = cfg.cfg3b(), short = cfg.cfg3b { short = true } } do
    it("samples lengths as they are distributed: " .. name, function()
      local size = 20000
      local counts, exact = counts_of_lengths(grammar, size, 7), cfg.length_distribution(grammar)
      -- chi-square over groups of at least 50 expected, against its mean and spread (normal approximation, 5 deviations)
      local lengths = {}
      for length in pairs(exact) do lengths[#lengths + 1] = length end
      table.sort(lengths)
      local chi, groups, wanted, got = 0, 0, 0, 0
      for i, length in ipairs(lengths) do
        wanted, got = wanted + size * exact[length], got + (counts[length] or 0)
        counts[length] = nil
        if wanted >= 50 or i == #lengths then
          chi, groups, wanted, got = chi + (got - wanted) ^ 2 / wanted, groups + 1, 0, 0
        end
      end
      expect(next(counts)):equals(nil)  -- no length that cannot be
      expect(math.abs(chi - (groups - 1)) < 5 * math.sqrt(2 * (groups - 1))):is_true()
    end)
  end
  it("samples sentences of the grammar, and tells others", function()
    local grammar = cfg.cfg3b()
    for _, sentence in ipairs(cfg.sample(grammar, { seed = 1, size = 20 })) do
      expect(cfg.derives(grammar, sentence)):is_true()
      sentence[#sentence] = sentence[#sentence] % 3 + 1
      sentence[1] = sentence[1] % 3 + 1
      expect(cfg.derives(grammar, sentence)):is_false()
    end
  end)
  it("gives a sentence by its number", function()
    local grammar = cfg.cfg3b()
    expect(cfg.sample(grammar, { seed = 3, first = 5, size = 1 })[1]):equals(cfg.sample(grammar, { seed = 3, size = 6 })[6])
    expect(cfg.sentence(grammar, 3, 5)):differs_from(cfg.sentence(grammar, 4, 5))
  end)
  it("tells which symbols end where, the same sentence as without", function()
    -- S -> A B, A -> 1 2, B -> A A | … : with single rules the tree is known: ((1 2) ((1 2) (1 2)))
    local grammar, ends = cfg.parse "9: 8 7  8: 1 2  7: 8 8", {}
    expect(cfg.sentence(grammar, 1, 0, ends)):equals { 1, 2, 1, 2, 1, 2 }
    expect(ends):equals { [2] = { [2] = 8 }, [4] = { [3] = 8 }, [6] = { 9, 7, 8 } }
    expect(cfg.sentence(cfg.cfg3b(), 3, 5, {})):equals(cfg.sentence(cfg.cfg3b(), 3, 5))
  end)
  it("begins at a lower symbol", function()
    local lengths = cfg.length_distribution(cfg.cfg3b { root = 10 })  -- 10 -> 7 9 8 | 9 8 7: two or three, three, two or three
    expect(lengths):equals { [7] = .25, [8] = .5, [9] = .25 }
    expect(function() cfg.cfg3b { root = 6 } end):fails_with "a whole number from 7 to 22"
  end)
  it("writes sentences as tokens", function()
    local alphabet = cfg.alphabet(cfg.cfg3b())
    expect({ alphabet.bos, alphabet.eos, alphabet.pad, alphabet.mask, alphabet.size, alphabet.length }):equals { 3, 4, 5, 6, 8, 433 }
    local small = cfg.alphabet(cfg.parse "5: 4 4 | 4  4: 1 | 1 3")
    expect(cfg.encode(small, { { 1, 3, 1 }, { 1 } }):totable()):equals { { 2, 0, 1, 0, 4 }, { 2, 0, 4, 4, 4 } }
  end)
  it("numbers terminals in their order, wherever the rules have them", function()
    for _, text in ipairs { "5: 4 4 | 4  4: 1 | 1 3", "5: 4 4 | 4  4: 3 1 | 1", "9: 5 2 | 5  5: 7 3 | 1 7" } do
      local alphabet, last = cfg.alphabet(cfg.parse(text)), -1
      for symbol = 0, 9 do
        local place = alphabet.of[symbol]
        if place then
          expect(place):equals(last + 1)
          last = place
        end
      end
      expect(last):equals(alphabet.terminals - 1)
    end
  end)
  it("shows the first sentence of seed 0, unless it is told another", function()
    local grammar = cfg.cfg3b()
    local first = tostring(grammar:tree())
    expect(tostring(grammar:tree { seed = 0, n = 0 })):equals(first)
    expect(tostring(grammar:tree { n = 1 })):differs_from(first)
    expect(tostring(grammar:tree { seed = 1 })):differs_from(first)
  end)
  it("refuses other texts", function()
    expect(function() cfg.parse "1 2" end):fails_with "expected 'symbol: symbols"
    expect(function() cfg.parse "1: 2 |" end):fails_with "a rule of 1 is empty"
    expect(function() cfg.parse "" end):fails_with "no rules"
    expect(function() cfg.parse "1: 2 3  1: 3 2" end):fails_with "cfg.parse: 1 has rules already; expected all of them behind it, with '|'"
    expect(function() cfg.length_distribution(cfg.parse "1: 1 2 | 2") end):fails_with "derives itself"
  end)
  it("prints its rules level by level, as figure 5 has them", function()
    expect(tostring(cfg.cfg3b())):equals [[
22 → 21 20 | 20 19
  21 → 18 16 | 16 18 17
  20 → 17 16 18 | 16 17
  19 → 16 17 18 | 17 18 16
    18 → 15 14 13 | 14 13
    17 → 14 13 15 | 15 13 14
    16 → 15 13 | 13 15 14
      15 → 12 11 10 | 11 12 10
      14 → 11 10 12 | 10 11 12
      13 → 11 12 | 12 11
        12 → 8 9 7 | 9 7 8
        11 → 8 7 9 | 7 8 9
        10 → 7 9 8 | 9 8 7
          9 → 3 2 1
          8 → 3 2 | 3 1 2
          7 → 3 1 | 1 2 3]]
    expect(tostring(cfg.parse "1: 1 2 | 2")):equals "1 → 1 2 | 2"  -- one that derives itself
  end)
  it("shows a sentence's derivation", function()
    local grammar = cfg.cfg3b()
    for n = 0, 4 do
      local leaves = {}
      local function walk(tree)
        if #tree == 0 then
          leaves[#leaves + 1] = tree.symbol
          return
        end
        local side = {}
        for i, part in ipairs(tree) do
          side[i] = part.symbol
          walk(part)
        end
        local known = false
        for _, one in ipairs(grammar.rules[tree.symbol]) do known = known or table.concat(one, " ") == table.concat(side, " ") end
        expect(known):is_true()
      end
      walk(grammar:tree { seed = 9, n = n })
      expect(leaves):equals(cfg.sentence(grammar, 9, n))
    end
    expect(tostring(cfg.parse("5: 4 6  4: 1 2  6: 3"):tree())):equals "5\n  4: 1 2\n  6: 3"
  end)
  it("blames the line", function()
    expect(function() cfg.cfg3b():tree { sed = 1 } end):fails_with "cfg_spec.lua:%d+: grammar:tree: no option 'sed'; did you mean 'seed'?"
    expect(function() cfg.cfg3b():tree { n = -1 } end):fails_with "'n': expected a whole number"
    expect(function() cfg.cfg3b():tre() end):fails_with "a grammar has no 'tre'; did you mean 'tree'?"
  end)
end)

describe("sentences by their seed and number", function()
  -- By SplitMix64 and the figure's rules, written anew in Python.
  local cases = {
    { 0, 0, "3232112332123321" },
    { 0, 1, "31212332132112332" },
    { 3, 5, "312321123312123321" },
    { 7, 1000, "3123211233132321" },
    { 4503599627370496, 1099511627776, "321123323231321" },
  }
  for _, case in ipairs(cases) do
    it(("are these for ever: %g, %g"):format(case[1], case[2]), function()
      local grammar = cfg.cfg3b { root = 13 }
      expect(table.concat(cfg.sentence(grammar, case[1], case[2]))):equals(case[3])
      expect(table.concat(cfg.sample(grammar, { seed = case[1], first = case[2], size = 1 })[1])):equals(case[3])
    end)
  end
  it("begin with seed 0 and number 0 where neither is said", function()
    local grammar = cfg.cfg3b { root = 13 }
    expect(cfg.sample(grammar, { size = 2 })):equals { cfg.sentence(grammar, 0, 0), cfg.sentence(grammar, 0, 1) }
  end)
end)

describe("a grammar's functions", function()
  local grammar = cfg.parse "5: 4 4  4: 1 | 1 3"
  local alphabet = cfg.alphabet(grammar)
  it("tell whether a sentence is derived, all of it and nothing more", function()
    for text, derived in pairs { ["1 1"] = true, ["1 3 1"] = true, ["1 1 3"] = true, ["1 3 1 3"] = true, ["1"] = false, [""] = false,
      ["1 1 1"] = false, ["3 1"] = false, ["1 3"] = false, ["1 1 3 3"] = false } do
      local sentence = {}
      for word in text:gmatch "%S+" do sentence[#sentence + 1] = tonumber(word) end
      expect(cfg.derives(grammar, sentence)):equals(derived)
    end
    expect(cfg.derives(cfg.parse "1: 2 | 2 2 | 2 2 2", { 2, 2 })):is_true()
  end)
  it("tell the exact lengths", function()
    expect(cfg.length_distribution(grammar)):equals { [2] = .25, [3] = .5, [4] = .25 }
    expect(cfg.length_distribution(cfg.parse "1: 2")):equals { 1 }
    expect({ alphabet.length, alphabet.size, alphabet.terminals, alphabet.of[1], alphabet.of[3], alphabet.of[4] }):equals { 5, 7, 2, 0, 1 }
  end)
  it("know the short grammar, whose 9 may be two long", function()
    expect(cfg.cfg3b({ short = true }).rules[9]):equals { { 3, 2, 1 }, { 2, 1 } }
    expect({ cfg.cfg3b().rules[9], cfg.cfg3b().root, cfg.cfg3b({ root = 9 }).root }):equals { { { 3, 2, 1 } }, 22, 9 }
  end)
  it("draw a tree as lines", function()
    expect(tostring(cfg.parse("9: 8 7  8: 1 2  7: 8 3 8"):tree())):equals "9\n  8: 1 2\n  7: 3\n    8: 1 2\n    8: 1 2"
    expect(tostring(cfg.parse "9: 8 7 1  8: 7  7: 1 | 2")):equals "9 → 8 7 1\n  8 → 7\n  7 → 1 | 2"
  end)
  local refused = {
    { "no text", function() cfg.parse(5) end, "cfg.parse: 'text': expected a text; got 5" },
    { "a bar before a symbol", function() cfg.parse "| 1" end, "cfg.parse: '|': expected 'symbol: symbols | symbols'" },
    { "a word", function() cfg.parse "1: a" end, "cfg.parse: 'a': expected" },
    { "an empty first side", function() cfg.parse "1: | 2" end, "cfg.parse: a rule of 1 is empty" },
    { "no grammar", function() cfg.length_distribution {} end,
      "cfg.length_distribution: 'grammar': expected one, such as cfg.cfg3b(); got" },
    { "a text as a grammar", function() cfg.sentence("22: 21", 0, 0) end,
      "cfg.sentence: 'grammar': expected one, such as cfg.cfg3b(); got '22: 21'" },
    { "a grammar without a root", function() cfg.alphabet { rules = {} } end, "cfg.alphabet: 'grammar': expected one" },
    { "a number as a grammar", function() cfg.derives(5, {}) end, "cfg.derives: 'grammar': expected one, such as cfg.cfg3b(); got 5" },
    { "a sentence that is none", function() cfg.derives(grammar, 5) end, "cfg.derives: 'sentence': expected a table; got 5" },
    { "a seed below 0", function() cfg.sentence(grammar, -1, 0) end, "cfg.sentence: 'seed': expected a whole number of at least 0" },
    { "a number below 0", function() cfg.sentence(grammar, 0, -1) end, "cfg.sentence: 'n': expected a whole number of at least 0" },
    { "no size", function() cfg.sample(grammar, { seed = 1 }) end, "cfg.sample: expected size, the number of sentences" },
    { "a size of 0", function() cfg.sample(grammar, { size = 0 }) end, "cfg.sample: 'size': expected a whole number of at least 1" },
    { "ends that are full", function() cfg.sentence(grammar, 0, 0, { 1 }) end,
      "'ends': expected an empty table to write into; got a table" },
    { "ends of text", function() cfg.sentence(grammar, 0, 0, "x") end, "'ends': expected an empty table to write into; got 'x'" },
    { "no alphabet", function() cfg.encode({}, {}) end, "cfg.encode: 'alphabet': expected what cfg.alphabet(grammar) gives; got a table" },
    { "no sentences", function() cfg.encode(alphabet, {}) end, "cfg.encode: 'sentences': expected a list, each a table; got a table" },
    { "a terminal of another", function() cfg.encode(alphabet, { { 1, 2 } }) end,
      "cfg.encode: sentence 1: 2 is no terminal of the alphabet" },
    { "a tree's seed below 0", function() grammar:tree { seed = -1 } end, "grammar:tree: 'seed': expected a whole number of at least 0" },
  }
  for _, case in ipairs(refused) do
    it("refuse " .. case[1], function() expect(case[2]):fails_with(case[3]) end)
  end
end)
