--- What hands that know Python (or C, or JavaScript) type, and how Lua says it: the ends of messages about syntax errors and
--- about calls that went wrong. Names are globals.lua's, options check.lua's.
local host = require "gradus.host"

local habits = {}

-- A line of code without its texts and comment: what is in quotes is no code.
local function bare(line)
  return (line:gsub("\\.", "__"):gsub('"[^"]*"', '""'):gsub("'[^']*'", "''"):gsub("%-%-.*$", ""))
end

local COMMENT = "a comment begins with --"
local BLOCK = "a block ends with `end`: for i = 1, n do … end, if x then … end, while x do … end, function f(x) … end"
local NAMED = "arguments by name go in a table: f(x, { lr = 1e-3 })"

-- Pattern in the bare line -> what Lua writes; the first that fits counts.
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
  { "%[[^%]]*:[^%]]*%]", "x[{ {1, 5} }] for rows 1 to 4 of a tensor, x:slice(0, 1, 5)" },
  { "[%w_]%[[^%]]*,[^%]]*%]", "x[{ i, j }]" },
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
    if code:find(one[1]) then return one[2] end
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

local function line_of(text, number)
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
function habits.syntax(text, message)
  local number, rest = message:match ":(%d+): (.*)$"
  if not number then return nil end
  local mend = whole(text, rest) or mend_of(line_of(text, tonumber(number)))
  -- The parser notices some things only at the next line's first word.
  if not mend and tonumber(number) > 1 then
    local before = mend_of(line_of(text, tonumber(number) - 1))
    if before then mend = ("line %d: %s"):format(tonumber(number) - 1, before) end
  end
  return mend and ("%s; in Lua: %s"):format(message, mend) or nil
end

-- --- calls that went wrong -------------------------------------------------------------------------------------------------

-- The frames from the error outwards to the first of the user's: its level and what it called.
local function user_frame()
  local called
  for level = 3, 100 do
    local info = debug.getinfo(level, "Snl")
    if not info then return nil end
    if info.what ~= "C" and not info.source:find "^@stdlib/" then return level - 1, info, called end
    called = info
  end
end

local function source_line(info)
  for _, source in ipairs(host.sources()) do
    if source.path == info.short_src or info.source == "@" .. source.path then return line_of(source.text, info.currentline) end
  end
  return ""
end

-- The value of a name in the frame at `level`: a local, an upvalue, or a global.
local function value_of(name, level)
  for i = 250, 1, -1 do
    local known, value = debug.getlocal(level + 1, i)
    if known == name then return value end
  end
  local fn = debug.getinfo(level + 1, "f").func
  for i = 1, 250 do
    local known, value = debug.getupvalue(fn, i)
    if not known then break end
    if known == name then return value end
  end
  return rawget(_G, name)
end

local function walk(value, path)
  for part in path:gmatch "[%w_]+" do
    local ok, inner = pcall(function() return value[part] end)
    if not ok then return nil end
    value = inner
  end
  return value
end

-- Whether `name` is a method of the object's class, which gets the object by a colon.
local function is_method(object, name)
  local meta = getmetatable(object)
  if type(meta) ~= "table" then return false end
  local class = rawget(meta, "__class") or rawget(meta, "__index")
  if type(object) == "userdata" then
    local ok, value = pcall(function() return object[name] end)
    return ok and type(value) == "function"
  end
  local ok, value = pcall(function() return type(class) == "table" and class[name] end)
  return ok and type(value) == "function"
end

-- "run.distill(…): …" where the user wrote a dot before a method.
local function dot_for_colon(line, level)
  for path, name in bare(line):gmatch "([%a_][%w_%.]*)%.([%a_][%w_]*)%s*[%({\"']" do
    local first, rest = path:match "^([%w_]+)%.?(.*)$"
    local object = not line:find "^%s*function%s" and walk(value_of(first, level + 1), rest) or nil
    if object ~= nil and is_method(object, name) then
      return ("%s.%s(…): expected a colon, which hands over the object itself: %s:%s(…)"):format(path, name, path, name)
    end
  end
end

local KEYWORDS = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return then true until "
  .. "while"):gmatch "%a+" do
  KEYWORDS[word] = true
end

-- The names in a line of code that hold nil.
local function nil_names(line, level)
  local names, seen = {}, {}
  for path in bare(line):gmatch "%f[%w_][%a_][%w_%.]*" do
    local first, rest = path:match "^([%w_]+)%.?(.*)$"
    local root = value_of(first, level + 1)
    local known = root ~= nil or rest == ""
    if not seen[path] and known and not KEYWORDS[path] and walk(root, rest) == nil then names[#names + 1] = ("'%s'"):format(path) end
    seen[path] = true
  end
  return table.concat(names, ", ")
end

local CALLS = {
  { "attempt to compare .*userdata", "a tensor is compared by x:gt(y), x:lt(y), x:ge(y), x:le(y), x:eq(y); a number is x:item()" },
  { "attempt to compare .*table", "the number in it" },
  { "attempt to compare .*nil", "a value; one of the two is nil" },
  { "attempt to concatenate .*nil value", "tostring(x), or a value: it is nil" },
  { "attempt to concatenate .*boolean value", "tostring(x)" },
  { "attempt to concatenate .*table value", "a text; tostring(x) makes one of an object" },
}

local METHODS = { append = "list[#list + 1] = x", extend = "a loop", items = "for key, value in pairs(t) do … end",
  keys = "for key in pairs(t) do … end", values = "for key, value in pairs(t) do … end", join = "table.concat(list, \", \")",
  pop = "table.remove(list)", push = "list[#list + 1] = x", push_back = "list[#list + 1] = x", split = "text:gmatch \"%S+\"",
  strip = "text:match \"^%s*(.-)%s*$\"", startswith = "text:find(\"^beginning\")", endswith = "text:find(\"end$\")",
  lower = "text:lower()", upper = "text:upper()", length = "#list", size = "#list, or x:size(0) of a tensor",
  get = "t[key] or default", forEach = "for i, value in ipairs(list) do … end", sort = "table.sort(list)",
  index = "a loop", count = "#list", copy = "a loop over pairs(t)", update = "a loop over pairs(t)" }

local function lua_says(message, line)
  for _, one in ipairs(CALLS) do
    if message:find(one[1]) then return one[2] end
  end
  local code = bare(line)
  if message:find "attempt to call .*table value" or message:find "attempt to call .*nil value" then
    if code:find "^%s*for%s.-%sin%s+[%w_.]+%s+do" then return "for i, value in ipairs(list) do … end, for key, value in pairs(t) do … "
      .. "end" end
  end
  local field = message:match "attempt to call field '([%w_]+)'" or message:match "attempt to call method '([%w_]+)'"
  if field and METHODS[field] and message:find "nil value" then return METHODS[field] end
  if message:find "nil value" and code:find "shape%s*%[%s*0%s*%]" then return "x:size(0); x.shape is a list of Lua, from 1" end
  if message:find "arithmetic on .*string value" then return "tonumber(text)" end
end

--- What an error that nobody has caught should say: at the user's line, with a colon where a dot was written, with how Lua
--- says it; nil where it is good as it is. Called by the host while the stack is still there.
---@param message string
---@return string?
function habits.explain(message)
  local level, info, called = user_frame()
  if not level then return nil end
  local here, line = ("%s:%d: "):format(info.short_src, info.currentline), source_line(info)
  local ours = message:find "^stdlib/[%w_/]+%.lua:%d+: "
  if called and (ours or message:find(here, 1, true) == 1) then
    local mended = dot_for_colon(line, level)
    if mended then return here .. mended end
  end
  if ours then
    local where, text = message:match "^(stdlib/[%w_/]+%.lua:%d+): (.*)$"
    local name = called and called.name or "a function of the library"
    return ("%s%s: %s (in %s)"):format(here, name, text, where)
  end
  if message:find(here, 1, true) ~= 1 then return nil end
  if message:find "argument %d '%w+': expected .-; got nil; usage" then
    local names = nil_names(line:gsub("^%s*local%s+[%w_, ]+=", ""):gsub("^%s*[%w_%.]+%s*=", ""), level)
    if names ~= "" then return message:gsub("; usage.*$", "") .. "; " .. names .. " is nil" end
  end
  if message:find("; expected ", 1, true) or message:find("; in Lua: ", 1, true) then return nil end
  local mend = lua_says(message, line)
  return mend and ("%s; in Lua: %s"):format(message, mend) or nil
end

return habits
