-- What hands that know other languages type, and how Lua says it.
local g = require "gradus"
local habits = require "gradus.base.habits"
local syntax = require "gradus.base.syntax"

-- The message of a text that is no Lua, with what Lua writes instead; nil where nothing is known.
local function mended(text)
  local chunk, message = loadstring(text, "=x.lua")
  assert(not chunk, "this is Lua: " .. text)
  message = message:gsub("; in Lua: .*$", "")
  return syntax.mended(text, message), message
end

describe("a line of another language", function()
  local cases = {
    { "import torch", "modules come by local g" }, { "from a.b import c", "modules come by local g" }, { "using std;", "modules come by" },
    { "@decorated\nlocal x", "there are no decorators" }, { "async f()", "there is no async" }, { "def f(x):",
      "a function is function f(x)" },
    { "class Net(nn.Module):", "a class of modules is local Net" }, { "if x then y() elif z then end", nil }, { "elif x:",
      "elseif x then" },
    { "for i in range(3):", "for i = 1, n do … end, both ends included" }, { "for (i = 0; i < 3; i++)",
      "for i = 1, n do … end, or for i, value" },
    { "with no_grad():", "g.no_grad(function()" }, { "try:", "local ok, err = pcall" }, { "except E:", "local ok, err = pcall" },
    { "raise E", "error(text)" }, { "throw E", "error(text)" }, { "pass", "an empty block is allowed" },
    { "for i = 1, 3 do\n  continue\nend", "an if around the rest of the block" }, { "del x", "x = nil" }, { "global x", "global" },
    { "yield x", "coroutine.yield(x)" }, { "assert x == 3", "assert(x == y, text)" }, { "print x", "print(x)" }, { "const x = 3",
      "local x = …" },
    { "f = lambda x: x", "function(x) return x end" }, { "local f = (x) => x", "function(x) return x end" },
    { "local y = x is not None", "x ~= nil" }, { "local y = x is None", "x == nil" }, { "local y = x not in z", "not names[x]" },
    { "local y = [f(x) for x in z]", "a loop: for i, x in ipairs(list)" }, { "local y = a if b else c", "condition and a or b" },
    { "local y = a ? b : c", "condition and a or b" }, { "local y = a ?? b", "a or b" }, { "local y = a != b", "x ~= y" },
    { "local y = a && b", "a and b" }, { "local y = a || b", "a or b" }, { "local y = !a", "not x" }, { "x += 1", "x = x + 1" },
    { "x++", "x = x + 1" }, { "local y = x ** 2", "x ^ y" }, { "local y = a @ b", "a:matmul(b)" }, { "// a comment",
      "a comment begins with --" },
    { "local x = [1, 2]", "lists are in braces" }, { "local x = { 'a': 1 }", "a table is { name = value }" },
    { "if x = 3 then end", "x == y" }, { "while x = 3 do end", "x == y" }, { "f(x, lr = 3)", "arguments by name go in a table" },
    { "local x = 1_000", "1000000 or 1e6" }, { "x: int = 5", "local x = 5, without a type" },
    { 'local x = f"a"', nil }, { 'local x = """a"""', nil },
  }
  for _, case in ipairs(cases) do
    if case[2] then
      it("is said in Lua: " .. case[1], function()
        local text, message = mended(case[1])
        expect(text):matches "; in Lua: "
        expect(text:sub(1, #message)):equals(message)
        expect(text:find(case[2], 1, true) ~= nil or text):equals(true)
      end)
    end
  end
  it("is left as it is where nothing is known", function()
    expect((mended "local = 3")):equals(nil)
    expect(syntax.mended("x", "no line")):equals(nil)
  end)
  it("is nothing in a text or a comment", function()
    expect(syntax.bare [[f("a != b", 'c && d') -- e || f]]):equals [[f("", '') ]]
    expect(syntax.bare [["a\"b" .. x]]):equals [["" .. x]]
    expect((mended 'local x = "a != b" y')):equals(nil)
  end)
end)

describe("slices", function()
  for text, wanted in pairs {
    ["local y = x[:, 0]"] = "x[{ {}, 0 }] of a tensor, from 0: {from, to} without its end, {} for all",
    ["local y = x[1:3]"] = "x[{ {1, 3} }]", ["local y = x[1:]"] = "x[{ {1} }]", ["local y = x[:3]"] = "x[{ {0, 3} }]",
    ["local y = x[::2]"] = "x[{ {0, x:size(0), 2} }]", ["local y = x[1:9:2]"] = "x[{ {1, 9, 2} }]",
    ["local y = x[0, ::2]"] = "x[{ 0, {0, x:size(1), 2} }]", ["local y = a.b[i, 1:3, :]"] = "a.b[{ i, {1, 3}, {} }]",
    ["local y = x[..., 0]"] = "x:select(-1, i) of the last dimension, or a {} for each that is left whole: x[{ {}, {}, 0 }]",
  } do
    it("are said in Lua: " .. text, function()
      local said = mended(text)
      expect(said ~= nil and said:find(wanted, 1, true) ~= nil or said):equals(true)
    end)
  end
end)

describe("the line that is to blame", function()
  it("is the one before where the parser saw it later", function()
    expect((mended "pass\nlocal y = 3")):matches "in Lua: line 1: nothing: an empty block is allowed$"
    expect((mended "local z\npass\nlocal y = 3")):matches "in Lua: line 2: nothing: an empty block is allowed$"
  end)
  it("is no assignment before it, which looks like an argument by name", function()
    expect((mended "student = build(4)\ny = = 2")):equals(nil)
    expect((mended "f = function()\n  return 1")):equals(nil)
    expect((mended "f(x,\n  lr = 3)")):matches "arguments by name go in a table"
  end)
  it("is any line where a block does not end", function()
    expect((mended "if x then\n  y()\nelse if z then\n  y()\nend\n")):matches "in Lua: line 3 has else if, which needs an end of its own"
    expect((mended "local t = {}\nwhile true do\n")):equals(nil)
    expect((mended "while x:\n  y()\n")):matches "in Lua: .*while x do … end"
  end)
  it("is found by its number", function()
    for number, line in pairs { [1] = "a", [2] = "", [3] = "c", [4] = "", [9] = "" } do
      expect(syntax.line_of("a\r\n\nc", number)):equals(line)
    end
  end)
end)

-- --- calls ------------------------------------------------------------------------------------------------------------------

-- What is said of an error of fn; the handler is the library's, as the host's is none of the user's frames.
local handled = loadstring("local habits, out = ... return function(message) out.message, out.text = message, habits.explain(message) end",
  "@stdlib/base/habits.lua")
local function explained(fn)
  local out = {}
  xpcall(fn, handled(habits, out))
  return out.text or "", out.message
end

describe("a call that went wrong", function()
  local net = g.nn.Linear(2, 2)
  local list, text, nothing = { 3, 1 }, "abc", nil
  local numbers = { inner = { none = nil } }
  local x, yes = g.ones(2), true
  local stored = { best = function() end, last = function() end }
  local cases = {
    { "a comparison with a table", function() return list < 3 end, "in Lua: the number in it" },
    { "nil in a text", function() return "a" .. nothing end, "in Lua: tostring(x), or a value: it is nil" },
    { "a boolean in a text", function() return "a" .. true end, "in Lua: tostring(x)" },
    { "a table in a text", function() return "a" .. list end, "in Lua: a text; tostring(x) makes one of an object" },
    { "arithmetic with a text", function() return text + 1 end, "in Lua: tonumber(text)" },
    { "a comparison with nil", function() return nothing < 3 end, "in Lua: a value on both sides; 'nothing' is nil" },
    { "a comparison with a field that is nil", function() return numbers.inner.none < 3 end,
      "a value on both sides; 'numbers.inner.none' is nil" },
    { "Python's packages", function() require "torch.nn" end, "Python's packages are not here" },
    { "a loop over a table", function()
      for one in list do numbers[1] = one end
    end, "for i, value in ipairs(list) do … end" },
    { "append", function() list.append(3) end, "in Lua: list[#list + 1] = x" },
    { "items", function() return list:items() end, "in Lua: for key, value in pairs(t) do … end" },
    { "strip", function() return text:strip() end, 'in Lua: text:match "^%s*(.-)%s*$"' },
    { "tensors that are compared", function() local n = (x == 1):sum() return n end,
      "in Lua: x:eq(y) compares the values of tensors, x:ne(y) as well; x == y is one true or false" },
    { "not of a tensor", function() local n = (not x):sum() return n end,
      "in Lua: x:logical_not() of a tensor of true and false; not x is one true or false" },
    { "and of tensors", function() local n = (x and yes):sum() return n end, "in Lua: x:logical_and(y), x:logical_or(y) of tensors" },
    { "or of tensors", function() local n = (yes or x):sum() return n end, "in Lua: x:logical_and(y), x:logical_or(y) of tensors" },
    { "a boolean from elsewhere", function() return yes + 1 end, "in Lua: a tensor or a number; where it was made by x == y of tensors" },
    { "the best of a run that has none", function() return stored:best "acc" < 3 end,
      "best and last are nil of a run that has not measured" },
    { "the last of a run that has none", function() return 3 > stored:last "acc" end,
      "best and last are nil of a run that has not measured" },
    { "a nil that a tensor's method is given", function()
      local n = x:add(nothing)
      return n
    end, "add: argument 2 'other': expected a Tensor; got nil; 'nothing' is nil" },
    { "a dot for a colon", function() local state = net.state_dict() return state end,
      "net.state_dict(…): expected a colon, which hands over the object itself: net:state_dict(…)" },
    { "a dot for a colon of a tensor", function() local made = x.reshape { 2, 1 } return made end,
      "x.reshape(…): expected a colon, which hands over the object itself: x:reshape(…)" },
  }
  for _, case in ipairs(cases) do
    it("is explained: " .. case[1], function()
      local said, message = explained(case[2])
      expect(said:find(case[3], 1, true) ~= nil or { said, message }):equals(true)
      expect(said):matches "syntax_spec.lua:%d+: "
    end)
  end
  it("is explained in a file of any name", function()
    local stem = os.tmpname()
    local path = stem .. "-a+b.lua"
    local file = assert(io.open(path, "w"))
    file:write "local net, list, x = ...\nreturn function() local state = net.state_dict() return state end,"
    file:write " function() list.append(3) end,\nfunction() local made = x.reshape { 2, 1 } return made end"
    file:close()
    local dotted, appended, shaped = assert(loadfile(path))(net, list, x)
    local said, more, third = explained(dotted), explained(appended), explained(shaped)
    for _, made in ipairs { stem, path } do os.remove(made) end
    expect(third):equals(path .. ":3: x.reshape(…): expected a colon, which hands over the object itself: x:reshape(…)")
    expect(said):equals(path .. ":2: net.state_dict(…): expected a colon, which hands over the object itself: net:state_dict(…)")
    expect({ more }):equals { path .. ":2: attempt to call field 'append' (a nil value); in Lua: list[#list + 1] = x" }
  end)
  local silent = {
    { "an error of the user's own", function() error "mine" end },
    { "an error without a place", function() error("mine", 0) end },
    { "a call of a field that is no habit", function() list.frobnicate() end },
    { "a package of nobody's", function() require "nobody" end },
    { "arithmetic with nil", function() return nothing + 1 end },
  }
  for _, case in ipairs(silent) do
    it("is left as it is: " .. case[1], function() expect((explained(case[2]))):equals "" end)
  end
end)

describe("a long text of another language", function()
  local wanted = "a long text or comment is [[ … ]] or --[[ … ]]"
  for _, quotes in ipairs { '"""', "'''" } do
    local doc = quotes .. "what it does" .. quotes
    it("is said in Lua, where the parser stumbles over it: " .. quotes, function()
      local said, message = mended("local x = " .. doc)
      expect(said):equals(message .. "; in Lua: " .. wanted)
    end)
    it("is said with its line, where the parser takes it for arguments: " .. quotes, function()
      local said, message = mended("function f()\n  return g\n  " .. doc .. "\n")
      expect(said):equals(message .. "; in Lua: line 3: " .. wanted)
    end)
  end
end)
