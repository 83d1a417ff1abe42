--- Context-free grammars whose rules for a symbol are equally likely, and sentences drawn from them.
---   local grammar = cfg.cfg3b()            Allen-Zhu & Li 2023 (arXiv:2305.13673), as figure 5 of Gupta & Karmalkar 2025
---   cfg.sample(grammar, { seed = 1, first = 0, size = 64 })
---   cfg.encode(cfg.alphabet(grammar), sentences)          as tokens
---   print(grammar)   print(grammar:tree { seed = 1 })     the rules level by level; a sentence's derivation
--- Sentence n is a function of (seed, n) alone.
local ffi = require "ffi"
local bit = require "bit"
local check = require "gradus.base.check"
local engine = require "gradus.engine"

local cfg = {}

local NUMBER = check.int(0)
local SENTENCES = check.list(check.table)

local function check_grammar(where, grammar)
  if type(grammar) ~= "table" or type(grammar.rules) ~= "table" or grammar.root == nil then
    check.fail(where, "'grammar': expected one, such as cfg.cfg3b(); got %s", check.describe(grammar))
  end
end

---@class Grammar
---@field root number               the start symbol
---@field rules table<number, number[][]>  symbol -> right sides; symbols without rules are terminals
local Grammar = check.methods("a grammar", {})
Grammar.__index = Grammar

local RULES = [[
  22: 21 20 | 20 19     19: 16 17 18 | 17 18 16   20: 17 16 18 | 16 17      21: 18 16 | 16 18 17
  16: 15 13 | 13 15 14  17: 14 13 15 | 15 13 14   18: 15 14 13 | 14 13      13: 11 12 | 12 11
  14: 11 10 12 | 10 11 12   15: 12 11 10 | 11 12 10   10: 7 9 8 | 9 8 7     11: 8 7 9 | 7 8 9
  12: 8 9 7 | 9 7 8     7: 3 1 | 1 2 3            8: 3 2 | 3 1 2            9: 3 2 1]]

--- A grammar from text: "22: 21 20 | 20 19  19: …". The first symbol is the root.
---@param text string
---@return Grammar
function cfg.parse(text)
  check.value("cfg.parse", "text", text, check.string)
  local grammar, symbol = setmetatable({ rules = {} }, Grammar), nil
  for word in text:gmatch "%S+" do
    local head = word:match "^(%d+):$"
    if head then
      symbol = tonumber(head)
      if grammar.rules[symbol] then
        check.fail("cfg.parse", "%d has rules already; expected all of them behind it, with '|' between", symbol)
      end
      grammar.root = grammar.root or symbol
      grammar.rules[symbol] = { {} }
    elseif not symbol or not (word == "|" or word:find "^%d+$") then
      check.fail("cfg.parse", "'%s': expected 'symbol: symbols | symbols'", word)
    elseif word == "|" then
      table.insert(grammar.rules[symbol], {})
    else
      table.insert(grammar.rules[symbol][#grammar.rules[symbol]], tonumber(word))
    end
  end
  if not grammar.root then check.fail("cfg.parse", "no rules") end
  for head, sides in pairs(grammar.rules) do
    for _, side in ipairs(sides) do
      if #side == 0 then check.fail("cfg.parse", "a rule of %d is empty", head) end
    end
  end
  return grammar
end

--- cfg3b over the terminals 1, 2, 3. `short` adds 9 -> 2 1, which the original grammar may have; without it sentences are
--- 161 to 432 long. `root` begins at another symbol than 22: its part of the tree, with shorter sentences.
---@param options? {short: boolean, root: number}
function cfg.cfg3b(options)
  local o = check.options("cfg.cfg3b", options, { short = check.boolean, root = check.int(7, 22) })
  local grammar = cfg.parse(o.short and RULES .. " | 2 1" or RULES)
  grammar.root = o.root or grammar.root
  return grammar
end

--- The exact distribution of sentence lengths: { [length] = probability }, by convolving the lengths of the right sides.
---@param grammar Grammar
function cfg.length_distribution(grammar)
  check_grammar("cfg.length_distribution", grammar)
  local known = {}
  local function of(symbol)
    if known[symbol] == false then check.fail("cfg.length_distribution", "symbol %d derives itself; expected no recursion", symbol) end
    if known[symbol] then return known[symbol] end
    local sides = grammar.rules[symbol]
    if not sides then return { [1] = 1 } end
    known[symbol] = false
    local total = {}
    for _, side in ipairs(sides) do
      local sum = { [0] = 1 }
      for _, part in ipairs(side) do
        local longer = {}
        for length, p in pairs(sum) do
          for more, q in pairs(of(part)) do longer[length + more] = (longer[length + more] or 0) + p * q end
        end
        sum = longer
      end
      for length, p in pairs(sum) do total[length] = (total[length] or 0) + p / #sides end
    end
    known[symbol] = total
    return total
  end
  return of(grammar.root)
end

-- SplitMix64 (Steele, Lea, Flood 2014), as runtime/random.h has it.
local GOLDEN = 0x9e3779b97f4a7c15ULL
local function mix(h)
  h = h + GOLDEN
  h = bit.bxor(h, bit.rshift(h, 30)) * 0xbf58476d1ce4e5b9ULL
  h = bit.bxor(h, bit.rshift(h, 27)) * 0x94d049bb133111ebULL
  return bit.bxor(h, bit.rshift(h, 31))
end

local u64 = ffi.typeof "uint64_t"
local function state_of(seed, n) return mix(mix(u64(seed)) + u64(n)) end

-- One of the right sides, and the state of the next choice.
local function choose(state, sides)
  if #sides == 1 then return state, sides[1] end
  state = state + GOLDEN
  return state, sides[tonumber(bit.rshift(mix(state), 40)) % #sides + 1]
end

--- Sentence n: its terminals. With a table `ends`, ends[i][depth] becomes the symbol that ends with terminal i at that
--- depth of the tree; the root has depth 1.
---@param grammar Grammar
---@param seed number
---@param n number
---@param ends? table
---@return number[]
function cfg.sentence(grammar, seed, n, ends)
  check_grammar("cfg.sentence", grammar)
  check.value("cfg.sentence", "seed", seed, NUMBER)
  check.value("cfg.sentence", "n", n, NUMBER)
  if ends ~= nil and (type(ends) ~= "table" or next(ends) ~= nil) then
    check.fail("cfg.sentence", "'ends': expected an empty table to write into; got %s", check.describe(ends))
  end
  local state, rules, out, stack, depth = state_of(seed, n), grammar.rules, {}, { grammar.root }, 0
  while #stack > 0 do
    local symbol = stack[#stack]
    stack[#stack] = nil
    local sides = rules[symbol]
    if symbol < 0 then  -- the end of what -1 - symbol became
      ends[#out] = ends[#out] or {}
      ends[#out][depth] = -1 - symbol
      depth = depth - 1
    elseif not sides then
      out[#out + 1] = symbol
    else
      local side
      state, side = choose(state, sides)
      if ends then
        depth, stack[#stack + 1] = depth + 1, -1 - symbol
      end
      for i = #side, 1, -1 do stack[#stack + 1] = side[i] end
    end
  end
  return out
end

--- Sentences first … first + size - 1.
---@param grammar Grammar
---@param options {seed: number, first: number?, size: number}
---@return number[][]
function cfg.sample(grammar, options)
  local o = check.options("cfg.sample", options, { seed = check.int(0), first = check.int(0), size = check.int(1) },
    { seed = 0, first = 0 })
  if not o.size then check.fail("cfg.sample", "expected size, the number of sentences") end
  local list = {}
  for i = 1, o.size do list[i] = cfg.sentence(grammar, o.seed, o.first + i - 1) end
  return list
end

--- How sentences become tokens: terminals, in ascending order, are 0, 1, …; then bos, eos, pad, mask and a spare, which
--- makes 8 for cfg3b as published. length: of the longest sentence and its bos. (No sentence has eos, as published.)
---@class Alphabet
---@param grammar Grammar
---@return Alphabet
function cfg.alphabet(grammar)
  check_grammar("cfg.alphabet", grammar)
  local list, of, longest = {}, {}, 0
  for _, sides in pairs(grammar.rules) do
    for _, side in ipairs(sides) do
      for _, symbol in ipairs(side) do
        if not grammar.rules[symbol] and not of[symbol] then of[symbol], list[#list + 1] = true, symbol end
      end
    end
  end
  table.sort(list)
  for i, symbol in ipairs(list) do of[symbol] = i - 1 end
  for length in pairs(cfg.length_distribution(grammar)) do longest = math.max(longest, length) end
  local n = #list
  return { of = of, terminals = n, bos = n, eos = n + 1, pad = n + 2, mask = n + 3, size = n + 5, length = longest + 1 }
end

--- Sentences as rows of tokens, int64 [sentences, alphabet.length]: bos, the terminals, padding.
---@param alphabet Alphabet
---@param sentences number[][]
function cfg.encode(alphabet, sentences)
  if type(alphabet) ~= "table" or type(alphabet.of) ~= "table" then
    check.fail("cfg.encode", "'alphabet': expected what cfg.alphabet(grammar) gives; got %s", check.describe(alphabet))
  end
  check.value("cfg.encode", "sentences", sentences, SENTENCES)
  local x = engine.ops.full({ #sentences, alphabet.length }, alphabet.pad, { dtype = "int64" })
  local values = x:data()
  for i, sentence in ipairs(sentences) do
    local at = (i - 1) * alphabet.length
    values[at] = alphabet.bos
    for k, symbol in ipairs(sentence) do
      values[at + k] = alphabet.of[symbol]
        or check.fail("cfg.encode", "sentence %d: %s is no terminal of the alphabet", i, check.describe(symbol))
    end
  end
  return x
end

--- Whether the grammar derives the sentence (Cocke, Younger, Kasami, over right sides of any length).
---@param grammar Grammar
---@param sentence number[]
function cfg.derives(grammar, sentence)
  check_grammar("cfg.derives", grammar)
  check.value("cfg.derives", "sentence", sentence, check.table)
  local memo = {}  -- symbol -> start -> set of ends
  local ends
  local function side_ends(side, start)
    local now = { [start] = true }
    for _, part in ipairs(side) do
      local after = {}
      for at in pairs(now) do
        for to in pairs(ends(part, at)) do after[to] = true end
      end
      now = after
    end
    return now
  end
  function ends(symbol, start)
    local sides = grammar.rules[symbol]
    if not sides then return sentence[start] == symbol and { [start + 1] = true } or {} end
    memo[symbol] = memo[symbol] or {}
    if memo[symbol][start] then return memo[symbol][start] end
    local all = {}
    for _, side in ipairs(sides) do
      for to in pairs(side_ends(side, start)) do all[to] = true end
    end
    memo[symbol][start] = all
    return all
  end
  return ends(grammar.root, 1)[#sentence + 1] == true
end

-- --- for people --------------------------------------------------------------------------------------------------------

-- The symbols with rules, by their distance from the root; those of one distance from the highest number.
local function levels_of(grammar)
  local levels, seen, now = {}, {}, { grammar.root }
  while #now > 0 do
    local level, below = {}, {}
    for _, symbol in ipairs(now) do
      if grammar.rules[symbol] and not seen[symbol] then
        seen[symbol], level[#level + 1] = true, symbol
        for _, side in ipairs(grammar.rules[symbol]) do
          for _, part in ipairs(side) do below[#below + 1] = part end
        end
      end
    end
    table.sort(level, function(a, b) return a > b end)
    if #level > 0 then levels[#levels + 1] = level end
    now = below
  end
  return levels
end

--- The rules, one symbol a line, indented by level: figure 5 of Gupta & Karmalkar 2025.
function Grammar:__tostring()
  local lines = {}
  for depth, level in ipairs(levels_of(self)) do
    for _, symbol in ipairs(level) do
      local sides = {}
      for i, side in ipairs(self.rules[symbol]) do sides[i] = table.concat(side, " ") end
      lines[#lines + 1] = ("%s%d → %s"):format(("  "):rep(depth - 1), symbol, table.concat(sides, " | "))
    end
  end
  return table.concat(lines, "\n")
end

---@class Tree
---@field symbol number   and what it became, in its list part: trees; a terminal has none
local Tree = check.methods("a tree", {})
Tree.__index = Tree

--- The derivation of sentence n: print it, or walk along tree.symbol and its parts tree[1], tree[2], ….
---@param options? {seed: number, n: number}   both 0 when left out
---@return Tree
function Grammar:tree(options)
  local o = check.options("grammar:tree", options, { seed = check.int(0), n = check.int(0) }, { seed = 0, n = 0 })
  local state = state_of(o.seed, o.n)
  local function grow(symbol)
    local tree, sides = setmetatable({ symbol = symbol }, Tree), self.rules[symbol]
    if not sides then return tree end
    local after, side = choose(state, sides)
    state = after
    for i, part in ipairs(side) do tree[i] = grow(part) end
    return tree
  end
  return grow(self.root)
end

--- One symbol a line, indented by depth; terminals behind the symbol that became them.
function Tree:__tostring()
  local lines = {}
  local function draw(tree, depth)
    local line = { ("  "):rep(depth) .. tree.symbol }
    lines[#lines + 1] = line
    for _, part in ipairs(tree) do
      if #part == 0 then line[#line + 1] = part.symbol else draw(part, depth + 1) end
    end
  end
  draw(self, 0)
  for i, line in ipairs(lines) do lines[i] = line[1] .. (#line > 1 and ": " .. table.concat(line, " ", 2) or "") end
  return table.concat(lines, "\n")
end

return cfg
