--- What hands that know Python (or C, or JavaScript) type, and how Lua says it: the ends of messages about syntax errors. Calls that
--- went wrong are habits.lua's, names globals.lua's, options check.lua's.
local syntax = {}

--- A line of code without its texts and comment: what is in quotes is no code.
function syntax.bare(line)
  return (line:gsub("\\.", "__"):gsub('"[^"]*"', '""'):gsub("'[^']*'", "''"):gsub("%-%-.*$", ""))
end

local bare = syntax.bare

local COMMENT = "a comment begins with --"
local BLOCK = "a block ends with `end`: for i = 1, n do … end, if x then … end, while x do … end, function f(x) … end"
local NAMED = "arguments by name go in a table: f(x, { lr = 1e-3 })"

-- x[:, 0] in Lua: x[{ {}, 0 }]; nil where the part between the brackets is no index of a tensor.
local function slices(code)
  local name, inside = code:match "([%a_][%w_%.]*)%[([^%[%]]*[:,][^%[%]]*)%]"
  if not name then return nil end
  local parts = {}
  for part in (inside .. ","):gmatch "%s*(.-)%s*," do
    local from, to, step = part:match "^([^:%s]*)%s*:%s*([^:%s]*)%s*:?%s*([^:%s]*)$"
    if part == "..." then
      return ("x:select(-1, i) of the last dimension, or a {} for each that is left whole: %s[{ {}, {}, 0 }]"):format(name)
    end
    if from and from .. to .. step == "" then parts[#parts + 1] = "{}"
    elseif from then
      local bounds = { from == "" and "0" or from }
      if to ~= "" then bounds[2] = to elseif step ~= "" then bounds[2] = ("%s:size(%d)"):format(name, #parts) end
      if step ~= "" then bounds[3] = step end
      parts[#parts + 1] = "{" .. table.concat(bounds, ", ") .. "}"
    else parts[#parts + 1] = part end
  end
  return ("%s[{ %s }] of a tensor, from 0: {from, to} without its end, {} for all"):format(name, table.concat(parts, ", "))
end

-- Pattern in the bare line -> what Lua writes, or a function of the line that says it; the first that fits counts.
local LINES = {
  { "^%s*import%s", 'modules come by local g = require "gradus"' },
  { "^%s*from%s+[%w_.]+%s+import", 'modules come by local g = require "gradus"' },
  { "^%s*#include", 'modules come by local g = require "gradus"' },
  { "^%s*using%s", 'modules come by local g = require "gradus"' },
  { "^%s*@", "there are no decorators; g.no_grad(function() … end) is what @torch.no_grad() is" },
  { "^%s*async%s", "there is no async; functions are function f(x) … end" },
  { "^%s*def%s", "a function is function f(x) … end, a method function Net:forward(x) … end" },
  { "^%s*fn%s", "a function is function f(x) … end" },
  { "^%s*class%s", 'a class of modules is local Net = nn.class "Net", with function Net:init(…) and function Net:forward(x)' },
  { "^%s*elif%s", "elseif x then" },
  { "^%s*else%s+if%s", "elseif x then, in one word (else if needs an end of its own)" },
  { "^%s*else%s*:", "else, without a colon; " .. BLOCK },
  { "^%s*elseif.*:%s*$", "elseif x then" },
  { "^%s*for%s+[%w_, ]+%s+in%s+range%s*%(", "for i = 1, n do … end, both ends included" },
  { "^%s*for%s*%(", "for i = 1, n do … end, or for i, value in ipairs(list) do … end" },
  { "^%s*for%s+.-%sof%s", "for i, value in ipairs(list) do … end" },
  { "^%s*with%s", "g.no_grad(function() … end), g.autocast(\"bfloat16\", function() … end)" },
  { "^%s*try%s*[:{]", "local ok, err = pcall(function() … end)" },
  { "^%s*except[%s:]", "local ok, err = pcall(function() … end)" },
  { "^%s*catch[%s(]", "local ok, err = pcall(function() … end)" },
  { "^%s*finally%s*:", "local ok, err = pcall(function() … end), and what follows it" },
  { "^%s*raise[%s]", "error(text)" },
  { "^%s*throw[%s]", "error(text)" },
  { "^%s*pass%s*$", "nothing: an empty block is allowed" },
  { "^%s*continue%s*;?%s*$", "an if around the rest of the block, or goto continue with ::continue:: before its end" },
  { "^%s*del%s", "x = nil" },
  { "^%s*global%s", "nothing: a name without local before it is global" },
  { "^%s*nonlocal%s", "nothing: a function sees the locals around it" },
  { "^%s*yield%s", "coroutine.yield(x), or a function that returns the next value" },
  { "^%s*assert%s+[^(%s]", "assert(x == y, text)" },
  { "^%s*print%s+[%w_]", "print(x)" },
  { "^%s*const%s", "local x = …" }, { "^%s*let%s", "local x = …" }, { "^%s*var%s", "local x = …" }, { "^%s*auto%s", "local x = …" },
  { "^%s*int%s+[%a_]", "local x = …" }, { "^%s*float%s+[%a_]", "local x = …" },
  { "lambda", "function(x) return x end" },
  { "=>", "function(x) return x end" },
  { "%->", "function f(x) … end, without types" },
  { "%f[%w]is%s+not%f[%W]", "x ~= nil" },
  { "%f[%w]is%s+[%w]", "x == nil" },
  { "%f[%w]not%s+in%f[%W]", "a table by name, not names[x], or a loop" },
  { "^%s*if%s.-%sin%s", "a table by name, names[x], or a loop" },
  { "%[.-%sfor%s.-%sin%s", "a loop: for i, x in ipairs(list) do result[i] = f(x) end" },
  { "%(.-%sfor%s.-%sin%s", "a loop: for i, x in ipairs(list) do result[i] = f(x) end" },
  { "=.-%sif%s.-%selse%s", "condition and a or b" },
  { "return%s.-%sif%s.-%selse%s", "condition and a or b" },
  { "%?[^:]*:", "condition and a or b" },
  { "%?%?", "a or b" },
  { "%?%.", "x and x.y" },
  { "!=", "x ~= y" },
  { "&&", "a and b" },
  { "||", "a or b" },
  { "!%s*[%w(]", "not x" },
  { "[%w_%]%)]%s*[%+%-%*/%%]=", "x = x + 1" },
  { "[%w_%]%)]%s*//=?", "math.floor(a / b); " .. COMMENT },
  { "%+%+", "x = x + 1" },
  { "^%s*%-%-[%w_]", "x = x - 1" },
  { "%*%*", "x ^ y" },
  { "[%w_%)]%s*<<%s*", "x * 2 ^ n" }, { "[%w_%)]%s*>>%s*", "math.floor(x / 2 ^ n)" },
  { "[%w_%)]%s*@%s*[%w_(]", "a:matmul(b)" },
  { "^%s*//", COMMENT }, { "^%s*/%*", COMMENT .. ", a longer one is --[[ … ]]" }, { "^%s*#", COMMENT },
  { "#%s", COMMENT },
  { "[%w_%)]%[[^%]]*[:,][^%]]*%]", slices },
  { "[=(,]%s*%[", "lists are in braces: { 1, 2, 3 }" },
  { "{%s*[\"'][\"']%s*:", "a table is { name = value }, or { [\"a name\"] = value }" },
  { "[{,]%s*[%w_\"]+%s*:%s*[%w\"]", "a table is { name = value }" },
  { "^%s*if[%s(].-[^=~<>]=[^=].*then", "x == y" },
  { "^%s*while%s.-[^=~<>]=[^=].*do", "x == y" },
  { "^%s*if.-[:{]%s*$", "if x then … end" }, { "^%s*while.-[:{]%s*$", "while x do … end" }, { "^%s*for.-[:{]%s*$",
    "for i = 1, n do … end" },
  { "^%s*[%w_]+%s*:%s*[%w_]+%s*=", "local x = 5, without a type" }, { "^%s*local%s+[%w_]+%s*:", "local x = 5, without a type" },
  { "%(.*[%w_]%s*=[^=].*%)", NAMED }, { "^%s*[%w_]+%s*=[^=].*[,)]%s*$", NAMED },
  { "%d_%d", "1000000 or 1e6" },
  { "%d[fFlL]%f[%W]", "a number without a letter behind it" },
  { "%f[%w][rbu][\"']", "a text in quotes or [[ … ]]" },
  { "^%s*[%w_.]+%.%.%.", "table.unpack is unpack(list)" },
}

local function mend_of(line)
  if line:find '"""' or line:find "'''" then return "a long text or comment is [[ … ]] or --[[ … ]]" end
  local code = bare(line)
  for _, one in ipairs(LINES) do
    local mend = code:find(one[1]) and one[2]
    if type(mend) == "function" then mend = mend(code) end
    if mend then return mend end
  end
end

-- Of whole texts whose error is reported at their end, or where the line is not to blame.
local function whole(text, rest)
  local bare_text = text:gsub("[^\n]*", bare)
  if rest:find "'end' expected" or rest:find "near '<eof>'" or rest:find "'<eof>' expected" then
    local number = 0
    for line in (bare_text .. "\n"):gmatch "(.-)\n" do
      number = number + 1
      if line:find "%f[%w]else%s+if%f[%W].-then" then
        return ("line %d has else if, which needs an end of its own; elseif does not"):format(number)
      end
      if line:find '"""' or line:find "'''" then return ("line %d: a long text or comment is [[ … ]] or --[[ … ]]"):format(number) end
      local mend = line:find "[:{]%s*$" and mend_of(line)
      if mend then return ("line %d: %s"):format(number, mend) end
    end
  end
end

--- The line of a text.
---@param text string
---@param number number
function syntax.line_of(text, number)
  local at = 0
  for line in (text .. "\n"):gmatch "(.-)\r?\n" do
    at = at + 1
    if at == number then return line end
  end
  return ""
end

--- The message of a syntax error with what Lua writes instead; nil where nothing is known.
---@param text string     the source
---@param message string  "file.lua:3: '=' expected near '+'"
---@return string?
function syntax.mended(text, message)
  local number, rest = message:match ":(%d+): (.*)$"
  if not number then return nil end
  local mend = whole(text, rest) or mend_of(syntax.line_of(text, tonumber(number)))
  -- The parser notices some things only at the next line's first word; an argument by name, which looks like `x = f(3)`, where it stands.
  if not mend and tonumber(number) > 1 then
    local before = mend_of(syntax.line_of(text, tonumber(number) - 1))
    if before and before ~= NAMED then mend = ("line %d: %s"):format(tonumber(number) - 1, before) end
  end
  return mend and ("%s; in Lua: %s"):format(message, mend) or nil
end

return syntax
