"""Odd scripts in an odd world: what a script may throw, log or do at the wrong moment, and files, folders, names and limits that
are not as they should be. Each is answered by one line and the right exit code, or it works."""

import json
import os
import pathlib
import resource
import shlex
import shutil
import sqlite3
import subprocess
import tempfile
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
RUN = 'local g = require "gradus"\nreturn g.experiment { name = "x", run = function(run)\n%s\nend }\n'
DISTILL = """run:distill { student = g.nn.MLP { 64, 4, 10 }, data = g.data.digits():split { train = .1, val = .1 }, budget = { steps = 6 },
  curriculum = { pressure = function(s) if s.step == 3 then %s end return {} end } }"""


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def gradus(self, *args, code=0, env=None, **more):
        done = subprocess.run([GRADUS, *args], cwd=self.dir, capture_output=True, timeout=120,
                              env=dict(os.environ if env is None else env), **more)
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        if code is not None:
            self.assertEqual(done.returncode, code, (args, out, err))
        return out, err.split("\n")[0]

    def script(self, text, code=0, store="s.db", **more):
        (self.dir / "x.lua").write_text(text)
        return self.gradus("run", "-q", "x.lua", "--store", store, code=code, **more)

    def sql(self, query, store="s.db"):
        return json.loads(self.gradus("sql", "--json", query, "--store", store)[0])


class Scripts(Case):
    def test_tables_that_hold_themselves_or_nest_a_thousand_deep(self):
        for build in ("local t = {} t.t, t[1] = t, t", "local t = {} for _ = 1, 1000 do t = { t } end"):
            for use in ("run:log(t)", "g.tensor(t)", "g.cat(t)", "g.zeros { 2 }:reshape(t)", "g.zeros(t)", "run:distill(t)", "g.data.tensors(t)",
                        "run:event('data', 'x', t)", "g.nn.MLP(t)", "g.nn.Sequential(t)", "error(t)", "run:decide(t)",
                        "g.optim.SGD(t)", "g.kd_loss(t, t, t, t)"):
                with self.subTest(build=build, use=use):
                    _, err = self.script(RUN % f"{build}\ndo {use} end", 65)
                    self.assertRegex(err, r"^x\.lua:\d+: ")

    def test_errors_that_are_no_texts_wherever_they_are_thrown(self):
        for value in ("nil", "{}", "42", "true", "print", "g.zeros { 2 }", "setmetatable({}, { __tostring = function() error 'again' end })",
                      "setmetatable({}, { __index = function() error 'again' end })", "coroutine.create(print)"):
            for place in ("error(%s)", "g.no_grad(function() error(%s) end)", "coroutine.wrap(function() error(%s) end)()", DISTILL % "error(%s)",
                          "run:cached('c', function() error(%s) end)", "run:step(function() error(%s) end)({})"):
                with self.subTest(value=value, place=place):
                    _, err = self.script(RUN % place.replace("%s", value), 65)
                    self.assertNotIn("gradus: ", err)
        self.assertEqual({r["status"] for r in self.sql("SELECT DISTINCT status FROM runs WHERE kind = 'run'")}, {"failed"})

    def test_os_exit_in_the_middle_closes_the_run(self):
        for i, place in enumerate(("os.exit(7)", DISTILL % "os.exit(7)", "coroutine.wrap(function() os.exit(7) end)()", "pcall(os.exit, 7) os.exit(7)",
                                   "g.no_grad(function() os.exit(7) end)", "run:step(function() os.exit(7) end)({})")):
            self.script(RUN % f"run:log({{ a = 1 }}, 1)\n{place}", 7)
            row = self.sql("SELECT status, error, (SELECT count(*) FROM metrics WHERE run_id = id AND key = 'a') AS n FROM runs ORDER BY id DESC LIMIT 1")
            self.assertEqual(row, [{"status": "failed", "error": "os.exit(7)", "n": 1}], place)

    def test_tensors_that_are_gone_or_of_another_kind(self):
        for lua, word in (("local t = g.zeros { 2 } t:release() print(t + 1)", "release()"), ("local t = g.zeros { 2 } t:release() run:log { a = t }", "release()"),
                          ("local t = g.zeros { 2 } t:release() t:release() print(t:sum())", "release()"),
                          ("g.nn.Linear(2, 2)(g.zeros({ 1, 2 }, { dtype = 'float64' }))", "float"), ("g.zeros { 2 }:index_select(0, g.zeros { 1 })", "int"),
                          ("local kept g.scope(function() kept = g.zeros { 2 } end) print(kept:sum())", "release()")):
            with self.subTest(lua=lua):
                _, err = self.script(RUN % lua, 65)
                self.assertRegex(err, r"^x\.lua:3: ")
                self.assertIn(word, err.lower())

    def test_names_and_values_that_are_logged(self):
        for name in ('""', '("x"):rep(201)', '("x"):rep(1e6)', r'"a\0b"', r'"\0"', r'"a\nb"', '"<script>"', r'"\255"', '"a b"', "true", "1", "1.5", "g"):
            with self.subTest(name=name):
                _, err = self.script(RUN % f"run:log({{ [{name}] = 1 }}, 1)", 65)
                self.assertRegex(err, r"^x\.lua:3: log: ")
                self.assertIn("; got ", err)
                self.assertLess(len(err), 400)
        self.assertEqual(self.sql("SELECT count(*) AS n FROM metrics"), [{"n": 0}])
        self.script(RUN % "run:log({ [('x'):rep(200)] = 1, ['a/b.c-d_E9'] = 2 }, 1)")
        self.script(RUN % "run:log({ a = 1 }, 5) run:log({ a = 2 }, 3) run:log({ a = 3 }, 5)\n"
                          "run:log({ a = 0 / 0, b = 1 / 0, c = 2 ^ 53 + 2, d = -0.0, e = 5e-324 }, 6)")
        db = sqlite3.connect(self.dir / "s.db")
        self.addCleanup(db.close)
        rows = db.execute("SELECT key, step, value FROM metrics WHERE run_id = (SELECT max(id) FROM runs) ORDER BY key, step").fetchall()
        self.assertEqual(rows, [("a", 3, 2), ("a", 5, 3), ("a", 6, None), ("b", 6, float("inf")), ("c", 6, 2.0**53 + 2), ("d", 6, 0), ("e", 6, 5e-324)])


    def test_a_command_line_is_kept_as_it_may_be_typed_again(self):
        (self.dir / "x.lua").write_text(RUN % "")
        words = [GRADUS, "run", "-q", "x.lua", "--store", "s.db", "--name", "it's\n\"a $name\" of ü=1,2;*"]
        self.gradus(*words[1:])
        self.assertEqual(shlex.split(self.sql("SELECT command FROM runs")[0]["command"]), words)


class World(Case):
    def test_names_of_stores(self):
        for name in ("a b/it's \"so\".db", "new\nline/s.db", "-rf/--all.db", "#?%20&.db", "é/ß.db", os.fsdecode(b"\xff\xfe/s.db"), "x" * 240 + ".db"):
            with self.subTest(name=name):
                self.script(RUN % "run:log({ a = 1 }, 1)", store=name)
                for command in (("runs",), ("show", "1"), ("sql", "SELECT 1"), ("doctor",), ("plot", "a"), ("note", "1", "x"), ("gc",)):
                    self.gradus(*command, "--store", name)
        _, err = self.script(RUN % "run:log({ a = 1 }, 1)", 74, store="x" * 260 + ".db")
        self.assertIn("too long", err.lower())

    def test_files_beside_a_store_that_do_not_belong_to_it(self):
        text = RUN % "run:log({ a = 1 }, 1)"
        (self.dir / "only.db-wal").write_bytes(os.urandom(5000))
        self.gradus("runs", "--store", "only.db", code=66)
        self.assertTrue((self.dir / "only.db-wal").exists())
        self.script(text, store="only.db")
        for junk in ("-wal", "-shm"):
            store = f"junk{junk}.db"
            self.script(text, store=store)
            (self.dir / (store + junk)).write_bytes(os.urandom(40000))
            self.assertEqual(len(json.loads(self.gradus("runs", "--json", "--store", store)[0])), 1)
            self.script(text, store=store)
            self.assertEqual(self.sql("SELECT count(*) AS n FROM metrics", store), [{"n": 2}])

    def test_a_store_that_is_cut_is_named_and_left_as_it_is(self):
        self.script(RUN % "for i = 1, 3000 do run:log({ a = i, b = i }, i) end")
        whole = (self.dir / "s.db").read_bytes()
        for size in (600, 2000, 4096, len(whole) // 2, len(whole) - 4096):
            (self.dir / "cut.db").write_bytes(whole[:size])
            for command in (("sql", "SELECT sum(value) FROM metrics"), ("doctor",)):
                out, err = self.gradus(*command, "--store", "cut.db", code=65)
                self.assertIn("cut.db", out + err)
            self.assertEqual((self.dir / "cut.db").read_bytes(), whole[:size])

    def test_few_descriptors_no_home_and_no_place_for_temporary_files(self):
        text = RUN % (DISTILL % "")
        self.script(text, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
        keep = {k: v for k, v in os.environ.items() if k in ("GRADUS_DEVICE_LIBRARY",)}
        self.script(text, env=keep)
        self.script(text, env={**keep, "TMPDIR": "/nowhere", "HOME": "/nowhere"})
        _, err = self.gradus("check", "x.lua", env={**keep, "TMPDIR": "/nowhere"}, code=74)
        self.assertIn("check: no folder for temporary files", err)


if __name__ == "__main__":
    unittest.main()
