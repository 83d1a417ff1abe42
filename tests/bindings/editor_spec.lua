-- What the console needs of Lua: an entry compiled and called, with what is said of one that fails, and curves of dots.
local editor = require "gradus.editor"

describe("compile", function()
  it("makes a function of an expression, a statement, a comment, a length", function()
    expect({ editor.compile("1 + 1, nil, 'b'", "x")() }):equals { 2, nil, "b" }
    expect(select("#", editor.compile("1, nil", "x")())):equals(2)
    local set = editor.compile("local a = 3\nreturn a, #{ 1, 2 }, #'abc'", "x")
    expect({ set() }):equals { 3, 2, 3 }
    expect({ editor.compile("#{ 5, 6 }", "x")() }):equals { 2 }
    expect(select("#", editor.compile("-- nothing", "x")())):equals(0)
    expect({ editor.compile("'a' -- a comment", "x")() }):equals { "a" }
  end)
  it("says what is wrong, and whether more lines could mend it", function()
    for text, what in pairs { ["for i = 1, 3 do"] = { "'end' expected near '<eof>'", true }, ["x = = 1"] = { "unexpected symbol near '='",
      false },
      ["x = "] = { "unexpected symbol near '<eof>'", true }, ["f("] = { "unexpected symbol near '<eof>'", true },
        ["x x"] = { "'=' expected near 'x'", false },
      ["[[a"] = { "unfinished long string near '<eof>'", true }, ["\27Lua"] = { "bytecode is refused; expected Lua source text",
        false } } do
      local fn, message, early = editor.compile(text, "here")
      expect({ fn, message:gsub("^here:1: ", ""):gsub("^here: ", ""), early }):equals { nil, what[1], what[2] }
    end
    expect({ select("#", editor.compile("x x", "here")), select("#", editor.compile("1", "here")), select("#", editor.compile("x = 1",
      "here")) })
      :equals { 3, 1, 1 }
    expect(select(2, editor.compile("x != 1", "here"))):equals "here:1: '=' expected near '!'; in Lua: x ~= y"
    expect(select(2, editor.compile("a = 1\nb = = 2", "here"))):matches "^here:2: "
  end)
end)

describe("call", function()
  it("gives what the function returns", function()
    expect({ editor.call(function() return 1, nil, "b" end) }):equals { true, 1, nil, "b" }
    expect(select("#", editor.call(function() return nil, nil end))):equals(3)
    expect(select("#", editor.call(function() end))):equals(1)
    expect(function() editor.call "x" end):fails_with "function expected"
  end)
  it("gives an error as it is printed, and its code", function()
    local ok, said, code = editor.call(editor.compile("error 'no'", "entry"))
    expect({ ok, said:match "^entry:1: no\n  in main chunk %(entry:1%)\n", code }):equals { false,
      "entry:1: no\n  in main chunk (entry:1)\n", 65 }
    local host = require "gradus.host"
    ok, said, code = editor.call(function() host.fail("gone", 66) end)
    expect({ ok, code }):equals { false, 66 }
    expect(select("#", editor.call(function() error "x" end))):equals(3)
    expect(said):matches "^[%w/_.-]*editor_spec%.lua:%d+: gone\n  %d+ |     ok, said, code = editor%.call%(function%(%) host%.fail%("
  end)
end)

describe("plot", function()
  it("draws lines of dots, named below", function()
    local lines = { { label = "a", x = { 1, 2, 3 }, y = { 1, 2, 3 } }, { label = "b", x = { 1, 2, 3 }, y = { 3, 2, 1 } } }
    expect((editor.plot(lines, "title", 40, 6):gsub(" +\n", "\n"))):equals [[
title
3 ┤⠉⠒⠢⠤⣀⡀                         ⢀⣀⠤⠔⠒⠉
  │     ⠈⠉⠒⠢⠤⢄⣀             ⢀⣀⠤⠔⠒⠉⠁
  │            ⠉⠑⠒⠤⢄⣀ ⢀⣀⠤⠔⠒⠉⠁
2 ┤             ⣀⡠⠤⠒⠒⠉⠑⠒⠤⠤⣀⡀
  │      ⣀⣀⠤⠔⠒⠉⠉           ⠈⠉⠒⠢⠤⢄⣀
1 ┤⣀⠤⠤⠒⠊⠉                         ⠉⠑⠒⠢⠤⣀
  └─────────────────────────────────────
   1                 2                 3
  ━ a  ━ b
]]
    local two = editor.plot(lines, "", 60, 10)
    expect(select(2, two:gsub("\n", "\n"))):equals(14)
    expect(editor.plot({ { x = { 1 }, y = { 1 } } }, "t", 30, 5)):matches "━ \n"
    expect(function() editor.plot("x", "t", 30, 5) end):fails_with "table expected"
    expect(function() editor.plot({}, "t", "wide", 5) end):fails_with "number expected"
  end)
end)
