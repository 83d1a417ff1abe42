"""The Lua host as a user meets it: bytecode, errors of scripts, modules, odd script files."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from host_case import GRADUS_PATH, HostCase

# string.dump of `print 'ran'`, and a proof that these bytes run where bytecode is not refused.
DUMP = r"""
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>
static char code[1 << 16];
static size_t size;
static int add(lua_State *L, const void *bytes, size_t n, void *to) {
  (void)L, (void)to;
  memcpy(code + size, bytes, n);
  size += n;
  return 0;
}
int main(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  if (luaL_loadstring(L, "io.stderr:write 'ran'") || lua_dump(L, add, NULL)) return 1;
  if (luaL_loadbuffer(L, code, size, "code") || lua_pcall(L, 0, 0, 0)) return 2;
  fwrite(code, 1, size, stdout);
  return 0;
}
"""


def luajit_bytecode():
    folder = pathlib.Path(tempfile.mkdtemp())
    try:
        (folder / "dump.c").write_text(DUMP)
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "luajit"], capture_output=True, check=True, text=True).stdout.split()
        subprocess.run(["cc", "-o", folder / "dump", folder / "dump.c", *flags], check=True)
        out = subprocess.run([folder / "dump"], capture_output=True, check=True)
    finally:
        shutil.rmtree(folder)
    assert out.stderr == b"ran" and out.stdout.startswith(b"\x1bLJ")
    return out.stdout


class Bytecode(HostCase):
    @classmethod
    def setUpClass(cls):
        cls.code = luajit_bytecode()

    def test_script(self):
        self.assert_fails(self.script(self.code), 65, "x.lua: bytecode is refused")

    def test_script_behind_bom_and_shebang(self):
        for front in (b"\xef\xbb\xbf", b"#!/usr/bin/luajit\n", b"\xef\xbb\xbf#!x\r\n"):
            self.assert_fails(self.script(front + self.code), 65, "bytecode is refused")

    def test_stdin(self):
        self.assert_fails(self.gradus("run", "-", "--stdlib", "std", stdin=self.code), 65, "bytecode is refused")

    def test_require(self):
        self.write("m.lua", self.code)
        self.assert_fails(self.script("require 'm'"), 65, "m.lua: bytecode is refused")

    def test_load_functions(self):
        self.write("m.luac", self.code)
        self.write("bom.luac", b"\xef\xbb\xbf" + self.code)
        self.assert_runs(self.script("""
            local bytes = io.open("m.luac", "rb"):read("*a")
            local function refused(f, err) assert(f == nil and err:find("bytecode is refused"), err) end
            refused(load(bytes))
            refused(load(bytes, "x", "b"))
            refused(load(bytes, "x", "bt"))
            refused(loadstring(bytes))
            refused(loadstring(bytes, "x", "b"))
            refused(loadstring("\\239\\187\\191" .. bytes))
            refused(loadstring("#!x\\n" .. bytes))
            local done = false
            refused(load(function() if not done then done = true return bytes end end))
            refused(loadfile("m.luac"))
            refused(loadfile("m.luac", "b"))
            refused(loadfile("bom.luac"))
            local ok, err = pcall(dofile, "m.luac")
            refused(not ok and nil, err)
            assert(string.dump == nil and ("").dump == nil and package.loadlib == nil)
            print("all refused")"""), "all refused")

    def test_text_still_loads(self):
        self.write("t.lua", "return ...")
        self.assert_runs(self.script("""
            assert(load("return 1")() == 1)
            assert(load("return x", "n", "t", { x = 3 })() == 3)
            assert(load("return x", "n", "bt", { x = 3 })() == 3)
            local parts = { "return", " 7" }
            assert(load(function() return table.remove(parts, 1) end)() == 7)
            assert(loadstring("return 2")() == 2)
            assert(loadfile("t.lua")(5) == 5)
            assert(setfenv(loadstring("return y"), { y = 1 })() == 1)
            assert(select(2, load("x x", "=n")):find("^n:1:"))
            assert(dofile("t.lua") == nil)
            print("fine")"""), "fine")


class Errors(HostCase):
    def test_syntax_error_shows_the_line(self):
        err = self.assert_fails(self.script("local a = 1\nlocal = 2\n"), 65, "  2 | local = 2")
        self.assertTrue(err.startswith("x.lua:2: "), err)

    def test_runtime_error_shows_line_and_user_frames(self):
        err = self.assert_fails(self.script("local function f(t)\n  local r = t.a.b\n  return r\nend\nf {}\n"), 65,
                                "  2 |   local r = t.a.b", "in function 'f' (x.lua:2)", "in main chunk (x.lua:5)")
        self.assertTrue(err.startswith("x.lua:2: attempt to index field 'a'"), err)
        self.assertNotIn("stdlib/", err)
        self.assertNotIn("\x1b", err)

    def test_module_error_names_the_module(self):
        self.write("sub/m.lua", "local t = nil\nreturn t.x\n")
        err = self.assert_fails(self.script("require 'm'", name="sub/x.lua"), 65, "  2 | return t.x")
        self.assertTrue(err.startswith("sub/m.lua:2: "), err)

    def test_error_objects_that_are_no_strings(self):
        for value, told in (("{}", "error object is a table"), ("nil", "error object is nil"),
                            ("io.stdout", "file ("), ("print", "error object is a function"),
                            ("{ message = 'own words' }", "own words"), ("12", "12"),
                            ("setmetatable({}, { __tostring = function() return 'told by mt' end })", "told by mt"),
                            ("setmetatable({}, { __tostring = function() error('worse') end })", "is a table"),
                            ("newproxy()", "userdata"), ("coroutine.create(print)", "thread")):
            err = self.assert_fails(self.script("local a\nerror(%s)\n" % value), 65, told)
            self.assertTrue(err.startswith("x.lua:2: "), err)

    def test_coroutine(self):
        text = "local f = coroutine.wrap(function()\n  coroutine.wrap(function()\n    local x = nil + 1\n  end)()\nend)\nf()\n"
        err = self.assert_fails(self.script(text), 65, "  3 |     local x = nil + 1")
        self.assertTrue(err.startswith("x.lua:3: attempt to perform arithmetic"), err)

    def test_deep_recursion(self):
        self.assert_fails(self.script("local function f() return 1 + f() end\nf()\n"), 65, "x.lua:1: stack overflow")

    def test_cyclic_and_deep_tables(self):
        front = "local g = require 'gradus.host'\nlocal t = {}\n"
        self.assert_fails(self.script(front + "t.t = t\ng.json_encode(t)\n"), 65, "x.lua:4: json: tables nested more")
        self.assert_fails(self.script(front + "for i = 1, 1000 do t = { t } end\ng.json_encode(t)\n"), 65,
                          "x.lua:4: json: tables nested")

    def test_errors_in_finalizers_do_not_abort(self):
        self.assert_runs(self.script("for _ = 1, 3 do local p = newproxy(true)\n"
                                     "getmetatable(p).__gc = function() error('late') end end\nprint('end')"), "end")

    def test_rethrow_shows_the_origin(self):
        err = self.assert_fails(self.script("local ok, e = pcall(function()\n  error('first')\nend)\nerror(e)\n"), 65,
                                "  2 |   error('first')", "in main chunk (x.lua:4)")
        self.assertTrue(err.startswith("x.lua:2: first\n"), err)

    def test_fail_blames_the_user_and_keeps_the_code(self):
        self.write("std/thing.lua", "local host = require 'gradus.host'\n"
                   "return function(x) host.fail(\"thing: expected a number, got '\" .. x .. \"'\", 66) end\n")
        text = "local thing = require 'gradus.thing'\nlocal function f()\n  thing('a')\nend\nf()\n"
        err = self.assert_fails(self.script(text), 66, "  3 |   thing('a')")
        self.assertTrue(err.startswith("x.lua:3: thing: expected a number, got 'a'\n"), err)
        caught = self.script("local thing = require 'gradus.thing'\npcall(thing, 'a')\nerror('another')\n")
        self.assert_fails(caught, 65, "x.lua:3: another")

    def test_an_error_inside_the_standard_library_shows_the_users_line(self):
        (self.std / "base/broken.lua").write_text("return function(x)\n  return x + 1\nend\n")
        for call in ("f(nil)", "local y = f(nil)", "do f(nil) end", "pcall(f, 1) f(nil)"):
            err = self.assert_fails(self.script(f"local f = require 'gradus.base.broken'\nf(1)\n{call}\n"), 65,
                                    "attempt to perform arithmetic", f"\n  3 | {call}\n")
            self.assertNotIn("return x + 1", err)

    def test_tail_call_is_blamed(self):
        self.write("std/thing.lua", "local host = require 'gradus.host'\n"
                   "return function(x) host.fail('thing: no') end\n")
        err = self.assert_fails(self.script("local thing = require 'gradus.thing'\nlocal x = 1\nreturn thing(x)\n"), 65,
                                "  3 | return thing(x)")
        self.assertTrue(err.startswith("x.lua:3: thing: no\n"), err)

    def test_stack_is_short(self):
        err = self.assert_fails(self.script("local function f(n)\n  if n == 0 then error('end') end\n"
                                            "  f(n - 1)\n  return 1\nend\nf(50)\n"), 65, "x.lua:2: end", "more")
        self.assertLess(len(err.splitlines()), 14)


# What a script does -> the whole of what is said on standard error.
WHOLE = {
    "error 'here'\n": "x.lua:1: here\n  1 | error 'here'\n",
    "local t = {}\nfunction t:m() error 'deep' end\nfunction t.f() t:m() return 1 end\nlocal function run(fn) fn() return 2 end\n"
    "run(function() t.f() return 1 end)\n":
        "x.lua:2: deep\n  2 | function t:m() error 'deep' end\n  in method 'm' (x.lua:2)\n  in function 'f' (x.lua:3)\n"
        "  in function 'fn' (x.lua:5)\n  in function 'run' (x.lua:4)\n  in main chunk (x.lua:5)\n",
    "local t = {\n}\nlocal s = ('x'):gsub('.', function()\n  error 'y' end)\n":
        "x.lua:4: y\n  4 |   error 'y' end)\n  in function at line 3 (x.lua:4)\n  in main chunk (x.lua:3)\n",
    "error('first\\nsecond\\n third')\n": "x.lua:1: first\n  1 | error('first\\nsecond\\n third')\nsecond\n third\n",
    "local function f()\n  error('no place', 0)\nend\nf()\n":
        "x.lua:2: no place\n  2 |   error('no place', 0)\n  in function 'f' (x.lua:2)\n  in main chunk (x.lua:4)\n",
    "error('data.csv:12: bad row', 0)\n": "data.csv:12: bad row\n  1 | error('data.csv:12: bad row', 0)\n",
    "error('a b:12: bad', 0)\n": "a b:12: bad\n  1 | error('a b:12: bad', 0)\n",
    "error(' a:12: bad', 0)\n": "x.lua:1:  a:12: bad\n  1 | error(' a:12: bad', 0)\n",
    "error(':5: x', 0)\n": "x.lua:1: :5: x\n  1 | error(':5: x', 0)\n",
    "error('x.lua:1234567: x', 0)\n": "x.lua:1234567: x\n  in main chunk (x.lua:1)\n",
    "error('x.lua:12345678: x', 0)\n": "x.lua:1: x.lua:12345678: x\n  1 | error('x.lua:12345678: x', 0)\n",
    "error('x.lua:99: past the end', 0)\n": "x.lua:99: past the end\n  in main chunk (x.lua:1)\n",
    "error('x.lua:1', 0)\n": "x.lua:1\n  1 | error('x.lua:1', 0)\n",
    "error('x.lua:1 x', 0)\n": "x.lua:1: x.lua:1 x\n  1 | error('x.lua:1 x', 0)\n",
    "error('what: x.lua:1: y', 0)\n": "what: x.lua:1: y\n  1 | error('what: x.lua:1: y', 0)\n",
    "error('one\\nx.lua:1: y', 0)\n": "x.lua:1: one\n  1 | error('one\\nx.lua:1: y', 0)\nx.lua:1: y\n",
    f"local s = '{'x' * 200}' error 'wide'\n": f"x.lua:1: wide\n  1 | local s = '{'x' * 149} …\n",
    f"local s = '{'x' * 138}' error 'w'   \n": f"x.lua:1: w\n  1 | local s = '{'x' * 138}' error 'w'\n",  # 160 letters
    f"local s = '{'x' * 139}' error 'w'\n": f"x.lua:1: w\n  1 | local s = '{'x' * 139}' error 'w …\n",
    b"\xef\xbb\xbferror 'bom'\n": "x.lua:1: bom\n  1 | error 'bom'\n",
    "\n\nerror 'third'": "x.lua:3: third\n  3 | error 'third'\n",
    "local f = coroutine.wrap(function()\n  error 'inner'\nend)\nlocal function g()\n  f()\n  return 1\nend\ng()\n":
        "x.lua:2: inner\n  2 |   error 'inner'\n  in function 'g' (x.lua:5)\n  in main chunk (x.lua:8)\n",
    "local ok, e = pcall(function()\n  error('first')\nend)\nlocal function again()\n  error(e)\nend\nagain()\n":
        "x.lua:2: first\n  2 |   error('first')\n  in function 'again' (x.lua:5)\n  in main chunk (x.lua:7)\n",
    "local function f(x)\n  return error('tail ' .. x)\nend\nreturn f(1)\n":
        "x.lua:4: tail 1\n  4 | return f(1)\n  in function that was called last (x.lua:4)\n",
    "local function f()\n  error { message = 'own' }\nend\nf()\n":
        "x.lua:2: own\n  2 |   error { message = 'own' }\n  in function 'f' (x.lua:2)\n  in main chunk (x.lua:4)\n",
    "error(nil)\n": "x.lua:1: error object is nil\n  1 | error(nil)\n",
    "error ''\n": "x.lua:1: \n  1 | error ''\n",
    "error('', 0)\n": "x.lua:1: error object is an empty string\n  1 | error('', 0)\n",
    "local s = 'x' .. {}\n": "x.lua:1: attempt to concatenate a table value; in Lua: a text; tostring(x) makes one of an object\n"
                             "  1 | local s = 'x' .. {}\n",
    "local ok = pcall(error, 'one')\nlocal function f()\n  error 'two'\nend\nf()\n":
        "x.lua:3: two\n  3 |   error 'two'\n  in function 'f' (x.lua:3)\n  in main chunk (x.lua:5)\n",
    "local x = 1\nif x then\n": "x.lua:3: 'end' expected (to close 'if' at line 2) near '<eof>'\n",
    "require('gradus.host').fail('wrong', 64)\n": "wrong\n",
    "require('gradus.host').fail('gone', 66)\n": "x.lua:1: gone\n  1 | require('gradus.host').fail('gone', 66)\n",
}
RECURSION = "local function f(n)\n  if n == 0 then error('end') end\n  f(n - 1)\n  return 1\nend\nf(%d)\n"


class WholeMessages(HostCase):
    def test_what_is_said_of_an_error(self):
        for script, said in WHOLE.items():
            done = self.script(script)
            self.assertEqual((done.stderr.decode(), done.stdout), (said, b""), script)
            self.assertEqual(done.returncode, 66 if "66" in said else 64 if said == "wrong\n" else 65)

    def test_of_a_stack_the_inner_eight_are_shown(self):
        head = "x.lua:2: end\n  2 |   if n == 0 then error('end') end\n  in function 'f' (x.lua:2)\n" + "  in function 'f' (x.lua:3)\n" * 6
        for depth, rest in ((6, "  in main chunk (x.lua:6)\n"), (7, "  in function 'f' (x.lua:3)\n  … and 1 more\n"),
                            (20, "  in function 'f' (x.lua:3)\n  … and 14 more\n"), (900, "  in function 'f' (x.lua:3)\n  … and 190 more\n")):
            self.assertEqual(self.script(RECURSION % depth).stderr.decode(), head + rest)

    def test_colours_at_a_terminal(self):
        self.write("x.lua", "local function f()\n  error 'red\\nmore'\nend\nf()\n")
        plain = "x.lua:2: red\r\n  2 |   error 'red\\nmore'\r\nmore\r\n  in function 'f' (x.lua:2)\r\n  in main chunk (x.lua:4)\r\n"
        styled = ("\x1b[1;31mx.lua:2: red\x1b[0m\r\n  2 |   error 'red\\nmore'\r\nmore\r\n\x1b[2m  in function 'f' (x.lua:2)\x1b[0m\r\n"
                  "\x1b[2m  in main chunk (x.lua:4)\x1b[0m\r\n")
        for more, said in (({}, styled), ({"NO_COLOR": "1"}, plain), ({"NO_COLOR": ""}, styled), ({"TERM": "dumb"}, plain)):
            leader, terminal = os.openpty()
            env = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | {"TERM": "xterm"}
            done = subprocess.run([GRADUS_PATH, "run", "x.lua", "--stdlib", "std"], cwd=self.dir, stderr=terminal, timeout=60, env=env | more)
            os.close(terminal)
            self.assertEqual((os.read(leader, 65536).decode(), done.returncode), (said, 65))
            os.close(leader)

    def test_modules_say_theirs(self):
        self.write("sub/m.lua", "local m = {}\nfunction m.f() error 'in m' end\nreturn m\n")
        said = self.script("local m = require 'm'\nlocal function g() m.f() return 1 end\ng()\n", name="sub/x.lua").stderr.decode()
        self.assertEqual(said, "sub/m.lua:2: in m\n  2 | function m.f() error 'in m' end\n  in function 'f' (sub/m.lua:2)\n"
                               "  in function 'g' (sub/x.lua:2)\n  in main chunk (sub/x.lua:3)\n")
        self.write("sub/m.lua", "error 'at load'\n")
        said = self.script("local function g() require 'm' return 1 end\ng()\n", name="sub/x.lua").stderr.decode()
        self.assertEqual(said, "sub/m.lua:1: at load\n  1 | error 'at load'\n  in main chunk (sub/m.lua:1)\n  in function 'g' (sub/x.lua:1)\n"
                               "  in main chunk (sub/x.lua:2)\n")

    def test_a_wrapped_error_says_what_passed_it_on(self):
        text = ("local function inner()\n  coroutine.wrap(function()\n    error 'deepest'\n  end)()\n  return 1\nend\n"
                "local ok, e = pcall(inner)\nlocal function again()\n  error(e)\nend\nagain()\n")
        self.assertEqual(self.script(text).stderr.decode(), "x.lua:3: deepest\n  3 |     error 'deepest'\n  passed on at x.lua:4\n"
                         "  in function 'again' (x.lua:9)\n  in main chunk (x.lua:11)\n")


class Modules(HostCase):
    def test_unknown_module(self):
        self.write("helper.lua", "return 1")
        self.assert_fails(self.script("require 'helpr'"), 66, "x.lua:1: module 'helpr' not found; looked for helpr.lua",
                          "did you mean 'helper'?")

    def test_unknown_standard_module(self):
        self.assert_fails(self.script("require 'gradus.hots'"), 66, "did you mean 'gradus.host'?")

    def test_circular(self):
        self.write("a.lua", "require 'b'")
        self.write("b.lua", "require 'a'")
        self.assert_fails(self.script("require 'a'"), 65, "module 'a' requires itself: a -> b -> a")

    def test_only_the_scripts_folder(self):
        self.write("outside.lua", "return 1")
        self.write("lua/inside.lua", "return 2")
        done = self.script("print(require('deep.er').x, require('pack'))\nrequire 'outside'", name="sub/x.lua")
        self.assert_fails(done, 66)
        self.write("sub/deep/er.lua", "return { x = 'deep' }")
        self.write("sub/pack/init.lua", "return 'pack'")
        env = {"LUA_PATH": str(self.dir / "?.lua"), "LUA_CPATH": str(self.dir / "?.so")}
        done = self.script("print(require('deep.er').x, require('pack'))\nrequire 'outside'", name="sub/x.lua", env=env)
        self.assert_fails(done, 66, "module 'outside' not found; looked for sub/outside.lua")
        self.assertIn(b"deep\tpack", done.stdout)
        for name in ("../outside", "..outside", "/etc/x", ".", ""):
            self.assert_fails(self.script("require '%s'" % name, name="sub/x.lua"), 66, "not found")

    def test_ffi_needs_the_flag(self):
        self.assert_fails(self.script("require 'ffi'"), 65, "x.lua:1: module 'ffi'", "--allow-ffi")
        self.write("std/own.lua", "return require('ffi').new('int', 7)")
        self.assert_runs(self.script("print(tonumber(require 'gradus.own'), package.loaded.ffi, package.preload.ffi)"),
                         "7\tnil\tnil")
        self.assert_fails(self.script("require 'gradus.own'\nrequire 'ffi'"), 65, "x.lua:2: module 'ffi'")
        self.assert_runs(self.script("print(tonumber(require('ffi').new('int', 8)))", "--allow-ffi"), "8")

    def test_sources_are_kept(self):
        self.write("m.lua", "return 1")
        self.assert_runs(self.script("require 'm'\nfor _, s in ipairs(require('gradus.host').sources()) do "
                                     "print(s.path, #s.sha256, #s.text) end"), "x.lua\t64\t", "m.lua\t64\t8")

    def test_a_failed_module_can_be_tried_again(self):
        self.write("m.lua", "error('broken')")
        self.assert_runs(self.script("print(pcall(require, 'm'))\nprint(select(2, pcall(require, 'm')))"),
                         "m.lua:1: broken\nm.lua:1: broken")


class Scripts(HostCase):
    def test_bom_crlf_shebang(self):
        self.assert_runs(self.script(b"\xef\xbb\xbf#!/usr/bin/env gradus\r\nlocal s = 'o' ..\r\n 'k'\r\nprint(s)\r\n"), "ok")
        err = self.assert_fails(self.script(b"\xef\xbb\xbfprint(1)\r\nerror('at two')\r\n"), 65, "x.lua:2: at two")
        self.assertIn("  2 | error('at two')\n", err)

    def test_stdin(self):
        done = self.gradus("run", "-", "--stdlib", "std", stdin=b"print('from stdin')\nlocal x = nil .. 1\n")
        self.assert_fails(done, 65, "stdin:2: ", "  2 | local x = nil .. 1")
        self.assertIn(b"from stdin", done.stdout)

    def test_odd_file_names(self):
        for name in ("a b.lua", "quo'te\".lua", "-rf.lua", "ü.lua", "x" * 200 + ".lua", "%s.lua"):
            self.assert_fails(self.script("error('named')", name="./" + name), 65, "named", "  1 | error")

    def test_a_users_folder_named_stdlib(self):
        err = self.assert_fails(self.script("error('mine')", name="stdlib/x.lua"), 65, "  1 | error('mine')")
        self.assertTrue(err.startswith("./stdlib/x.lua:1: mine"), err)

    def test_missing(self):
        self.write("quickstart.lua", "")
        self.write("sub/deeper.lua", "")
        self.write("sub/deepest.txt", "")
        for wrong, told in (("quickstrat.lua", "; did you mean 'quickstart.lua'?"), ("quickstart", "; did you mean 'quickstart.lua'?"),
                            ("sub/deper.lua", "; did you mean 'sub/deeper.lua'?"), ("sub/deepest.lua", "; did you mean 'sub/deeper.lua'?"),
                            ("sub/qqqqqqqqqq.lua", ""), ("none/x.lua", "")):
            self.assertEqual(self.assert_fails(self.gradus("run", wrong), 66), f"gradus: {wrong}: no such file{told}\n")

    def test_folder(self):
        self.assert_fails(self.gradus("run", "std"), 66, "std: is a folder; expected a Lua script")

    def test_unreadable(self):
        if os.getuid() == 0:
            self.skipTest("root reads everything")
        self.write("x.lua", "")
        (self.dir / "x.lua").chmod(0)
        self.assert_fails(self.gradus("run", "x.lua"), 66, "cannot be opened")

    def test_what_is_no_module_of_the_library(self):
        self.write("std/own.lua", "thing = 1\nreturn 1")
        self.assert_fails(self.script("require 'gradus.own'"), 65, "the standard library sets no globals; got 'thing'")
        self.write("std/own.lua", "return { pairs == _G.pairs, ipairs == _G.ipairs, require == _G.require, print == _G.print }")
        self.assert_runs(self.script("local own = require 'gradus.own'\nprint(own[1], own[2], own[3], own[4])"), "false\tfalse\tfalse\ttrue\n")
        err = self.assert_fails(self.script("require 'gradus.onw'"), 66)
        self.assertEqual(err.splitlines()[0], "x.lua:1: module 'gradus.onw' is not in the standard library; did you mean 'gradus.own'?")

    def test_a_missing_module_names_each_place(self):
        self.write("helper.lua", "return 1")
        err = self.assert_fails(self.script("require 'a.helpr'"), 66)
        self.assertEqual(err.splitlines()[0], "x.lua:1: module 'a.helpr' not found; looked for a/helpr.lua, a/helpr/init.lua")
        err = self.assert_fails(self.script("require 'helpr'"), 66)
        self.assertEqual(err.splitlines()[0], "x.lua:1: module 'helpr' not found; looked for helpr.lua, helpr/init.lua; did you mean 'helper'?")
        err = self.assert_fails(self.script("require 'zzzzzzzzzzz'"), 66)
        self.assertEqual(err.splitlines()[0], "x.lua:1: module 'zzzzzzzzzzz' not found; looked for zzzzzzzzzzz.lua, zzzzzzzzzzz/init.lua")

    def test_endless_input(self):
        self.assert_fails(self.gradus("run", "/dev/zero"), 65, "too long")

    def test_empty_script_runs(self):
        self.assert_runs(self.script(""))


if __name__ == "__main__":
    unittest.main()
