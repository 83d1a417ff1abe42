"""The Lua host as a user meets it: bad scripts, bad command lines, signals, closed streams.

A small runner stands in for stdlib/runner.lua, so that these cases are about the host alone.
"""

import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
import unittest

GRADUS_PATH = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
STDLIB = pathlib.Path(__file__).resolve().parents[2] / "stdlib"

RUNNER = """
local host = require "gradus.host"
local runner = {}
local function run()
  local chunk = host.load_script()
  host.entering(chunk)
  local ok, result = xpcall(chunk, host.traceback)
  if not ok then error(result, 0) end
  return result
end
function runner.plan(options)
  for _, pair in ipairs(options.set) do
    if pair[1] == "grid" then return tonumber(pair[2]) end
  end
  return 1
end
function runner.execute(options, i)
  rawset(_G, "INDEX", i)
  local result = run()
  return host.json_encode { run = i, result = result }
end
function runner.summarize(options, results)
  if options.json then print("summary") host.write(1, "[" .. table.concat(results, ",") .. "]\\n") end
end
return runner
"""


def luajit_bytecode():
    """string.dump of an empty function, made by the stand-alone luajit where there is one; else its first bytes."""
    if shutil.which("luajit"):
        out = subprocess.run(["luajit", "-e", "io.write(string.dump(function() print('ran') end))"],
                             capture_output=True, check=True)
        return out.stdout
    return b"\x1bLJ\x02\x00"


class HostCase(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.std = self.dir / "std"
        self.std.mkdir()
        for name in ("test.lua", "tail_call.lua"):
            shutil.copy(STDLIB / name, self.std / name)
        (self.std / "runner.lua").write_text(RUNNER)

    def write(self, name, text):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return name

    def gradus(self, *args, stdin=None, env=None, **more):
        return subprocess.run([GRADUS_PATH, *args], cwd=self.dir, input=stdin, capture_output=True, timeout=60,
                              env={**os.environ, **(env or {})}, **more)

    def script(self, text, *args, name="x.lua", **more):
        self.write(name, text)
        return self.gradus("run", name, "--stdlib", "std", *args, **more)

    def assert_fails(self, done, code, *pieces):
        err = done.stderr.decode(errors="replace")
        self.assertEqual(done.returncode, code, err + done.stdout.decode(errors="replace"))
        for piece in pieces:
            self.assertIn(piece, err)
        return err

    def assert_runs(self, done, *pieces):
        out = done.stdout.decode(errors="replace")
        self.assertEqual(done.returncode, 0, done.stderr.decode(errors="replace"))
        for piece in pieces:
            self.assertIn(piece, out)


class Bytecode(HostCase):
    def setUp(self):
        super().setUp()
        self.code = luajit_bytecode()

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
        self.assert_runs(self.script("print(require('ffi').new('int', 8))", "--allow-ffi"), "8")

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
        self.assert_fails(self.gradus("run", "quickstrat.lua"), 66, "no such file; did you mean 'quickstart.lua'?")

    def test_folder(self):
        self.assert_fails(self.gradus("run", "std"), 66, "std: is a folder; expected a Lua script")

    def test_unreadable(self):
        if os.getuid() == 0:
            self.skipTest("root reads everything")
        self.write("x.lua", "")
        (self.dir / "x.lua").chmod(0)
        self.assert_fails(self.gradus("run", "x.lua"), 66, "cannot be opened")

    def test_endless_input(self):
        self.assert_fails(self.gradus("run", "/dev/zero"), 65, "too long")

    def test_empty_script_runs(self):
        self.assert_runs(self.script(""))


class CommandLine(HostCase):
    def test_misspelt_words(self):
        self.assert_fails(self.gradus("rnu", "x.lua"), 64, "unknown command 'rnu'; did you mean 'run'?")
        self.assert_fails(self.gradus("run", "x.lua", "--sedd", "3"), 64, "did you mean '--seed'?")
        self.assert_fails(self.gradus("run", "x.lua", "--devise=cpu"), 64, "'--devise'; did you mean '--device'?")
        self.assert_fails(self.gradus("help", "compar"), 64, "did you mean 'compare'?")

    def test_wrong_values(self):
        self.write("x.lua", "")
        for args, told in ((["--seed", "abc"], "--seed: expected a whole number"), (["--seed", "-1"], "--seed"),
                           (["--seed", "1e3"], "--seed"), (["--seed", "99999999999999999999"], "--seed"),
                           (["--threads", "0"], "--threads"), (["--set", "lr"], "--set: expected key=value"),
                           (["--set", "=3"], "--set: expected key=value"), (["--set"], "--set"),
                           (["y.lua"], "unexpected argument 'y.lua'")):
            self.assert_fails(self.gradus("run", "x.lua", *args), 64, told)
        self.assert_fails(self.gradus("run"), 64, "no SCRIPT")
        self.assert_fails(self.gradus("test"), 64, "no FILE")
        self.assert_fails(self.gradus("run", "x.lua", "--stdlib", "nowhere"), 66, "--stdlib: no folder 'nowhere'")
        self.assert_fails(self.gradus("run", "x.lua", env={"GRADUS_GRACE": "soon"}), 64, "GRADUS_GRACE")
        self.assertEqual(self.gradus().returncode, 64)

    def test_options_reach_lua(self):
        self.assert_runs(self.script("local o = require('gradus.host').options\n"
                                     "print(o.seed, o.name, o.device, o.threads, o.store, o.quiet, o.strict, o.script, o.script_dir)\n"
                                     "for _, s in ipairs(o.set) do print(s[1], s[2]) end",
                                     "--seed", "7", "--name", "n", "--device", "cpu", "--threads", "2", "--quiet",
                                     "--set", "a=1=2", "--set", "b.c=", env={"GRADUS_STORE": "here.db"}),
                         "7\tn\tcpu\t2\there.db\ttrue\tfalse\tx.lua\t.", "a\t1=2", "b.c\t")

    def test_help_and_version(self):
        for args in (["help"], ["--help"], ["help", "run"], ["run", "-h"], ["version"], ["--version"]):
            done = self.gradus(*args)
            self.assert_runs(done)
            self.assertTrue(done.stdout)

    def test_doctor(self):
        done = self.gradus("doctor", "--json")
        self.assert_runs(done)
        self.assertIn("WAL-reset", json.loads(done.stdout)["sqlite"]["text"])
        self.write("bad.db", "not a database, but long enough to be read as one" * 100)
        self.assert_fails(self.gradus("doctor", "--store", "bad.db"), 65)


class Runs(HostCase):
    def test_each_run_of_a_grid_is_alone(self):
        self.assert_runs(self.script("assert(LEAK == nil)\nLEAK = 1\nprint('run', INDEX)", "--set", "grid=3"),
                         "run\t1\nrun\t2\nrun\t3")

    def test_edit_between_runs_changes_nothing(self):
        text = "local m = require 'm'\nfor _, n in ipairs { 'x.lua', 'm.lua' } do io.open(n, 'w'):write('error(1)') end\nprint(m)"
        self.write("m.lua", "return 'old'")
        self.assert_runs(self.script(text, "--set", "grid=2"), "old\nold")

    def test_a_failing_run_does_not_stop_the_others(self):
        text = "if INDEX == 2 then require('gradus.host').fail('second', 3) end\nprint('done', INDEX)"
        done = self.script(text, "--set", "grid=3", "--json")
        self.assert_fails(done, 3, "x.lua:1: second", "done\t1", "done\t3")
        results = json.loads(done.stdout)
        self.assertEqual([r["run"] for r in results], [1, 2, 3])
        self.assertEqual(results[1]["error"], "x.lua:1: second")

    def test_usage_error_stops_all(self):
        done = self.script("require('gradus.host').fail('wrong', 64)", "--set", "grid=3")
        self.assertEqual(self.assert_fails(done, 64).count("wrong"), 2)  # the message and its source line

    def test_json_keeps_standard_output_clean(self):
        done = self.script("print('noise') io.write('more noise') return 1", "--json")
        self.assertEqual(json.loads(done.stdout), [{"result": 1, "run": 1}])
        self.assertIn(b"noise", done.stderr)

    def test_os_exit_unwinds(self):
        for call, code in (("os.exit(7)", 7), ("os.exit()", 0), ("os.exit(true)", 0), ("os.exit(false)", 1)):
            done = self.script("print('before')\nlocal f = coroutine.wrap(function() %s end)\nf()\nprint('after')" % call,
                               "--set", "grid=2")
            self.assertEqual((done.returncode, done.stdout, done.stderr), (code, b"before\n", b""))

    def test_store_from_lua(self):
        done = self.script("""
            local store = require("gradus.store").open("s.db")
            local run = store:begin { name = "n", seed = 3, config_hash = "c", params = { { key = "lr", value = 0.5 },
              { key = "width", value = 12 }, { key = "on", value = true }, { key = "kind", value = "a" } },
              sources = require("gradus.host").sources(), environment = { threads = 1, device = "cpu", git = nil } }
            local loss = run:key "train/loss"
            for step = 1, 1000 do run:log(loss, step, 1 / step) end
            run:progress(1000, 2.5, 64000, 1e9, 0.5)
            run:event(10, "stage", "easy", '{"a":1}')
            run:flush()
            local rows, columns = store:query("SELECT count(*) AS n, min(value) AS low FROM metrics WHERE run_id = ?1", run.id)
            assert(rows[1].n == 1000 and rows[1].low == 0.001 and columns[1] == "n", rows[1].n)
            assert(#run.uid == 32 and run.folder:find(run.uid, 1, true))
            local ok, err = pcall(run.key, run, "bad key")
            assert(not ok and err:find("^x.lua:%d+: "), err)
            ok, err = pcall(store.query, store, "DELETE FROM runs")
            assert(not ok, "a query may not write")
            run:finish("finished")
            ok, err = pcall(run.log, run, loss, 1, 1)
            assert(not ok, "logging after the end")
            print("stored", run.id)""")
        self.assert_runs(done, "stored\t1")
        base = sqlite3.connect(self.dir / "s.db")
        self.assertEqual(base.execute("SELECT name, status, seed FROM runs").fetchall(), [("n", "finished", 3)])
        self.assertEqual(base.execute("SELECT key, value, type FROM params ORDER BY key").fetchall()[1:3],
                         [("lr", 0.5, "number"), ("on", 1, "boolean")])
        base.close()

    def test_a_run_left_open_by_an_error_is_not_running(self):
        done = self.script("local run = require('gradus.store').open('s.db'):begin { name = 'n' }\n"
                           "run:log(run:key('a'), 1, 2)\nerror('stop')")
        self.assert_fails(done, 65, "stop")
        base = sqlite3.connect(self.dir / "s.db")
        self.assertEqual(base.execute("SELECT status FROM runs").fetchall(), [("interrupted",)])
        self.assertEqual(base.execute("SELECT count(*) FROM metrics").fetchone(), (1,))
        base.close()

    def test_git(self):
        def git(*args):
            subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *args], cwd=self.dir, check=True,
                           capture_output=True)
        text = "local g = require('gradus.host').git()\nprint(g and #g.commit, g and g.dirty, g and g.diff:find('+changed', 1, true) ~= nil)"
        self.assert_runs(self.script(text), "nil\tnil\tnil")
        git("init", "-q")
        self.write("f.txt", "one\n")
        git("add", "-A")
        git("commit", "-q", "-m", "m")
        self.assert_runs(self.script(text), "40\tfalse\tfalse")
        self.write("f.txt", "changed\n")
        self.assert_runs(self.script(text), "40\ttrue\ttrue")
        self.write("f.txt", "changed\n" * 400000)
        self.assert_runs(self.script("local g = require('gradus.host').git()\nprint(#g.diff < 1.1e6, g.diff:sub(-60))"),
                         "true", "cut: the difference is longer than 1 MiB")


class Signals(HostCase):
    def start(self, text, **env):
        self.write("x.lua", text)
        process = subprocess.Popen([GRADUS_PATH, "run", "x.lua", "--stdlib", "std"], cwd=self.dir, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env={**os.environ, **env})
        self.addCleanup(lambda: (process.poll() is None and process.kill(), process.communicate()))
        self.assertEqual(process.stdout.readline(), b"ready\n")
        return process

    ENDLESS = "print('ready') io.flush()\nlocal i = 0\nwhile true do i = i + 1 end"
    POLITE = ("local host = require 'gradus.host'\nprint('ready') io.flush()\n"
              "while not host.stopping() do end\nprint('stopped', host.stopping())")

    def test_endless_loop(self):
        for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            process = self.start(self.ENDLESS, GRADUS_GRACE="1")
            begun = time.monotonic()
            process.send_signal(number)
            self.assertEqual(process.wait(20), code)
            self.assertGreater(time.monotonic() - begun, 0.9)
            self.assertIn(b"grace", process.stderr.read())

    def test_second_sigint_ends_at_once(self):
        process = self.start(self.ENDLESS)
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(20), 130)
        self.assertLess(time.monotonic() - begun, 1)

    def test_pathological_pattern(self):
        process = self.start("print('ready') io.flush()\nlocal s = ('a'):rep(3000)\ns:find('.-.-.-.-.-.-b')", GRADUS_GRACE="0.3")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(20), 143)

    def test_a_loop_that_looks_stops_by_itself(self):
        for number, code, name in ((signal.SIGTERM, 143, b"SIGTERM"), (signal.SIGINT, 130, b"SIGINT")):
            process = self.start(self.POLITE)
            process.send_signal(number)
            self.assertEqual(process.wait(20), code)
            self.assertIn(b"stopped\t" + name, process.stdout.read())

    def test_logged_values_survive_the_watchdog(self):
        process = self.start("local run = require('gradus.store').open('s.db'):begin { name = 'n' }\n"
                             "local k = run:key 'a'\nfor i = 1, 500 do run:log(k, i, i) end\n" + self.ENDLESS, GRADUS_GRACE="0.2")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(20), 143)
        done = self.gradus("sql", "--store", "s.db", "--json",
                           "SELECT status, (SELECT count(*) FROM metrics) AS n FROM runs")
        self.assert_runs(done)
        self.assertEqual(json.loads(done.stdout), [{"status": "interrupted", "n": 500}])

    def test_closed_streams_do_not_end_a_run(self):
        text = "for i = 1, 20000 do print('line', i) end\nrequire('gradus.host').write(1, 'x')\nio.open('done', 'w'):close()"
        self.write("x.lua", text)
        for shell in ("| head -1", ">&-", ">&- 2>&-", "< /dev/null > /dev/null 2>&1"):
            (self.dir / "done").unlink(missing_ok=True)
            subprocess.run(["bash", "-c", "set -o pipefail; '%s' run x.lua --stdlib std %s" % (GRADUS_PATH, shell)],
                           cwd=self.dir, capture_output=True, timeout=60, check=True)
            self.assertTrue((self.dir / "done").exists(), shell)

    def test_full_disk_on_standard_output(self):
        self.write("x.lua", "print('x')")
        with open("/dev/full", "w") as full:
            done = subprocess.run([GRADUS_PATH, "run", "x.lua", "--stdlib", "std"], cwd=self.dir, stdout=full,
                                  stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 74, done.stderr)


class Specs(HostCase):
    def spec(self, text):
        self.write("x_spec.lua", text)
        return self.gradus("test", "x_spec.lua", "--stdlib", "std")

    def test_counts(self):
        done = self.spec("describe('a', function()\n it('b', function() expect(1):equals(1) end)\n"
                         " it('c', function() expect({1, {x=2}}):equals({1, {x=3}}) end) end)")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"x_spec.lua: 1 passed, 1 failed\n", done.stdout)
        self.assertIn(b"FAILED a c\n  x_spec.lua:3: expected { [1] = 1, [2] = { x = 3 } }", done.stdout)

    def test_broken_and_empty_specs_fail(self):
        for text in ("", "x x", "error('top')", "describe('a', function() error('in') end)", "describe('a', function() end)"):
            self.assertEqual(self.spec(text).returncode, 1, text)

    def test_several_files(self):
        self.write("y_spec.lua", "assert(LEAK == nil) it('y', function() end)")
        self.write("x_spec.lua", "LEAK = 1 it('x', function() expect(0.1 + 0.2):near(0.3) end)")
        self.assert_runs(self.gradus("test", "x_spec.lua", "y_spec.lua", "--stdlib", "std"), "x_spec.lua: 1 passed, 0 failed",
                         "y_spec.lua: 1 passed, 0 failed")

    def test_checks_fail(self):
        for bad in ("expect(1):equals(2)", "expect(1):near(1.1, 0.05)", "expect(0/0):near(1)", "expect({1}):near({1, 2})",
                    "expect(function() end):fails_with('z')", "expect(function() error('y') end):fails_with('z')",
                    "expect(nil):is_true()", "expect(1):is_false()", "expect('a'):matches('b')", "expect(1):differs_from(1)"):
            self.assertEqual(self.spec("it('x', function() %s end)" % bad).returncode, 1, bad)


if __name__ == "__main__":
    unittest.main()
