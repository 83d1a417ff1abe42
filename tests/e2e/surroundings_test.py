"""What lies around a run and must not reach it: the user's settings of git, a slow git, a read-only disk, a group's umask, a
symbolic link as script, a locale with a decimal comma, steps that no 64 bits hold."""

import json
import os
import pathlib
import shutil
import stat
import subprocess
import tempfile
import time
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
EXPERIMENT = 'local g = require "gradus"\nreturn g.experiment { name = "x", run = function(run) %s end }\n'
LOGS = EXPERIMENT % "run:log({ loss = 1.5 }, 1) run:log({ loss = 1.25 }, 2)"


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("GRADUS_STORE", "GIT_"))}
        self.env.update(HOME=str(self.dir), XDG_CONFIG_HOME=str(self.dir / "config"), GIT_CONFIG_NOSYSTEM="1")

    def gradus(self, *args, cwd=None, code=0, env=None, **more):
        done = subprocess.run([GRADUS, *map(str, args)], cwd=cwd or self.dir, env={**self.env, **(env or {})}, capture_output=True,
                              timeout=60, **more)
        if code is not None:
            self.assertEqual(done.returncode, code, (args, done.stderr.decode(), done.stdout.decode()))
        return done.stdout.decode()

    def sql(self, query, cwd=None, store=()):
        return json.loads(self.gradus("sql", "--json", query, *store, cwd=cwd))


class Git(Case):
    def setUp(self):
        super().setUp()
        self.repo = self.dir / "a repo"
        self.repo.mkdir()
        self.git("init", "-q")
        (self.repo / "x.lua").write_text(LOGS)
        (self.repo / "notes.txt").write_text("".join(f"line {i}\n" for i in range(20)))
        self.git("add", ".")
        self.git("commit", "-qm", "one")

    def git(self, *args):
        done = subprocess.run(["git", "-c", "user.email=a@b", "-c", "user.name=n", *args], cwd=self.repo, env=self.env, check=True,
                              capture_output=True)
        return done.stdout.decode().strip()

    def run_one(self, *args, **more):
        """Runs the script; returns commit, dirty and the kept difference of that run."""
        self.gradus("run", "-q", "x.lua", *args, cwd=self.repo, **more)
        store = args[args.index("--store"):][:2] if "--store" in args else ()
        rows = self.sql("SELECT git_commit, git_dirty, (SELECT text FROM sources WHERE sha256 = git_diff) AS diff FROM runs ORDER BY id "
                        "DESC LIMIT 1", cwd=self.repo, store=store)
        return rows[0]["git_commit"], rows[0]["git_dirty"], rows[0]["diff"]

    def test_its_own_store_leaves_a_checkout_clean(self):
        for args in [(), ("--store", "s.db"), ("--store", "results/deep/s.db")]:
            for _ in range(2):
                self.assertEqual(self.run_one(*args), (self.git("rev-parse", "HEAD"), 0, None), args)
            shutil.rmtree(self.repo / args[1].split("/")[0] if args and "/" in args[1] else self.repo / "runs", ignore_errors=True)
            self.git("clean", "-qfdx")

    def test_what_is_not_the_stores_makes_it_dirty(self):
        self.run_one()
        (self.repo / "runs/thoughts.txt").write_text("mine")
        self.assertEqual(self.run_one()[1], 1)
        os.remove(self.repo / "runs/thoughts.txt")
        self.assertEqual(self.run_one()[1], 0)
        (self.repo / "new.lua").write_text("")
        self.assertEqual(self.run_one()[1], 1)
        self.git("config", "status.showUntrackedFiles", "no")
        self.assertEqual(self.run_one()[1], 1)
        (self.repo / ".gitignore").write_text("new.lua\n.gitignore\n")
        self.assertEqual(self.run_one()[1], 0)

    def test_settings_and_environment_do_not_reach_the_difference(self):
        (self.repo / "notes.txt").write_text("".join(f"line {i}\n" for i in range(20) if i != 10).replace("line 5\n", "line five \n\n"))
        self.git("mv", "x.lua", "y.lua")
        shutil.copy(self.repo / "y.lua", self.repo / "x.lua")
        plain = self.run_one()
        self.assertEqual(plain[1], 1)
        for part in ("diff --git a/notes.txt b/notes.txt", "-line 10\n", "+line five \n", "@@ "):
            self.assertIn(part, plain[2])
        order = self.dir / "order"
        order.write_text("y.lua\n")
        for name, value in {"diff.noprefix": "true", "diff.mnemonicPrefix": "true", "diff.context": "0", "diff.algorithm": "patience",
                            "diff.renames": "copies", "diff.relative": "true", "diff.suppressBlankEmpty": "true",
                            "diff.interHunkContext": "9", "diff.indentHeuristic": "false", "diff.orderFile": str(order),
                            "diff.external": "echo", "diff.wordRegex": ".", "color.ui": "always", "color.diff": "always",
                            "diff.colorMoved": "zebra", "core.abbrev": "5", "core.pager": "false", "status.renames": "copies",
                            "core.quotePath": "false", "diff.submodule": "log", "status.short": "true", "status.branch": "true"}.items():
            self.git("config", "--global", name, value)
            self.assertEqual(self.run_one(), plain, name)
        elsewhere = self.dir / "elsewhere"
        elsewhere.mkdir()
        subprocess.run(["git", "init", "-q"], cwd=elsewhere, env=self.env, check=True)
        for name, value in {"GIT_DIR": str(elsewhere / ".git"), "GIT_WORK_TREE": str(elsewhere), "GIT_DIFF_OPTS": "-u0",
                            "GIT_EXTERNAL_DIFF": "echo", "GIT_INDEX_FILE": str(self.dir / "none"), "GIT_LITERAL_PATHSPECS": "1",
                            "GIT_TRACE": "1", "LC_ALL": "C"}.items():
            self.assertEqual(self.run_one(env={name: value}), plain, name)

    def test_a_slow_status_keeps_the_commit(self):
        real = shutil.which("git")
        tool = self.dir / "bin" / "git"
        tool.parent.mkdir()
        tool.write_text(f'#!/bin/sh\ncase "$*" in *status*) exec sleep 30;; esac\nexec {real} "$@"\n')
        tool.chmod(0o755)
        slow = {"PATH": f"{tool.parent}:{self.env['PATH']}"}
        began = time.monotonic()
        self.assertEqual(self.run_one(env=slow), (self.git("rev-parse", "HEAD"), None, None))
        self.assertLess(time.monotonic() - began, 25)
        self.assertIn("git took too long", self.gradus("show", "1", cwd=self.repo))
        self.assertEqual(json.loads(self.gradus("show", "1", "--json", cwd=self.repo))["git_dirty"], None)

    def test_a_linked_script_is_of_the_repository_that_it_lies_in(self):
        os.symlink(self.repo / "x.lua", self.dir / "link.lua")
        self.gradus("run", "-q", "link.lua")
        self.assertEqual(self.sql("SELECT git_commit FROM runs")[0]["git_commit"], self.git("rev-parse", "HEAD"))


@unittest.skipUnless(os.getuid() == 0 and shutil.which("setpriv"), "needs root, to become nobody")
class ReadOnly(Case):
    def nobody(self, *args, code=0):
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", GRADUS, *map(str, args)],
                              cwd="/", env=self.env, capture_output=True, timeout=60)
        self.assertEqual(done.returncode, code, (args, done.stderr.decode(), done.stdout.decode()))
        return done.stdout.decode()

    def test_every_command_that_reads_reads(self):
        (self.dir / "x.lua").write_text(LOGS)
        self.dir.chmod(0o755)
        (self.dir / "ro folder").mkdir()
        store = self.dir / "ro folder/s.db"
        self.gradus("run", "-q", "x.lua", "--store", self.dir / "s.db")
        self.gradus("run", "-q", "x.lua", "--store", self.dir / "s.db")
        shutil.copy(self.dir / "s.db", store)
        store.chmod(0o444)
        store.parent.chmod(0o555)
        self.addCleanup(store.parent.chmod, 0o755)
        for args in [("runs",), ("show", "1"), ("compare",), ("diff", "1", "2"), ("sql", "SELECT 1"), ("plot", "loss"), ("doctor",),
                     ("doctor", "--full")]:
            self.assertNotIn("BAD", self.nobody(*args, "--store", store))
        found = json.loads(self.nobody("doctor", "--json", "--full", "--store", store))
        self.assertEqual((found["store"]["ok"], found["store"]["runs"], found["store"]["check"]), (True, 2, "ok"))
        self.nobody("run", "-q", self.dir / "x.lua", "--store", store, code=74)

    def test_doctor_tells_a_live_run_from_a_dead_one_without_a_right_to_write(self):
        (self.dir / "x.lua").write_text(EXPERIMENT % "run:log({ a = 1 }, 1) print('here') io.stdout:flush() io.read()")
        self.dir.chmod(0o755)
        run = subprocess.Popen([GRADUS, "run", "-q", "x.lua", "--store", "s.db"], cwd=self.dir, env=self.env, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
        run.stdout.readline()
        self.assertIn("1 live, 0 dead", self.nobody("doctor", "--store", self.dir / "s.db"))
        run.kill()
        run.wait()
        run.stdin.close()
        run.stdout.close()
        self.assertIn("0 live, 1 dead", self.nobody("doctor", "--store", self.dir / "s.db"))


class Umask(Case):
    def test_the_group_may_write_all_that_a_run_leaves(self):
        (self.dir / "x.lua").write_text(EXPERIMENT % """
            run:log({ loss = 1 }, 1)
            run:cached("one", function() return g.nn.Linear(2, 2) end)
            g.nn.Linear(2, 2):save(run.folder .. "/w.safetensors")""")
        before = os.umask(0o002)
        self.addCleanup(os.umask, before)
        self.gradus("run", "-q", "x.lua", "--store", "shared/s.db")
        self.gradus("export", "csv", "out", "--store", "shared/s.db", code=None)
        for path in self.dir.rglob("*"):
            if path.name == "x.lua" or "config" in path.parts:
                continue
            mode = stat.S_IMODE(path.stat().st_mode)
            self.assertEqual(oct(mode), "0o775" if path.is_dir() else "0o664", path)


class Links(Case):
    def test_require_looks_beside_the_link_and_beside_the_file(self):
        for folder in ("real", "real/lib", "bin", "via"):
            (self.dir / folder).mkdir()
        (self.dir / "real/helper.lua").write_text("return 1")
        (self.dir / "real/lib/init.lua").write_text("return 2")
        (self.dir / "bin/beside.lua").write_text("return 4")
        (self.dir / "real/both.lua").write_text("return 100")
        (self.dir / "bin/both.lua").write_text("return 8")
        (self.dir / "real/x.lua").write_text('print(require "helper" + require "lib" + require "beside" + require "both")')
        os.symlink("../real/x.lua", self.dir / "via/x.lua")
        os.symlink(self.dir / "via/x.lua", self.dir / "bin/x.lua")
        self.assertEqual(self.gradus("run", "bin/x.lua").strip(), "15")
        (self.dir / "real/x.lua").write_text('require "helpr"')
        done = subprocess.run([GRADUS, "run", "bin/x.lua"], cwd=self.dir, env=self.env, capture_output=True)
        self.assertEqual(done.returncode, 66)
        for part in (b"bin/helpr.lua", b"real/helpr.lua", b"did you mean 'helper'?"):
            self.assertIn(part, done.stderr)

    def test_a_link_to_nothing(self):
        os.symlink("gone.lua", self.dir / "x.lua")
        self.gradus("run", "x.lua", code=66)


class Locale(Case):
    def test_numbers_are_read_and_written_as_before(self):
        locales = self.dir / "loc"
        locales.mkdir()
        if subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", locales / "de_DE.UTF-8"], capture_output=True).returncode:
            self.skipTest("no locale definitions")
        (self.dir / "x.lua").write_text("""local g = require "gradus"
            return g.experiment { name = "x", params = { lr = .5 }, run = function(run, p)
              assert(os.setlocale "de_DE.UTF-8")
              assert(os.date("%B", 86400 * 75) == "März", os.date("%B", 86400 * 75))
              assert(os.setlocale(nil, "numeric") == "C" and os.setlocale("de_DE.UTF-8", "numeric") == nil)
              assert(os.setlocale("de_DE.UTF-8", "time") == "de_DE.UTF-8" and os.setlocale("C", "numeric") == "C")
              run:log({ a = 1.5 }, 1)
              print(("%.1f"):format(1.5), 1.5, g.tensor { 1.5 })
              print(#g.runs { where = "lr > 0.25" }, #g.runs { where = "lr > 0.75" })
            end }""")
        out = self.gradus("run", "-q", "x.lua", "--store", "s.db", env={"LOCPATH": str(locales)})
        self.assertIn("1.5\t1.5", out)
        self.assertIn("1.5000", out)
        self.assertIn("1\t0", out)

    def test_unknown_ones_are_refused_as_lua_does(self):
        (self.dir / "x.lua").write_text("""
            assert(os.setlocale "no_NO.such" == nil and os.setlocale() == "C" and os.setlocale("C") == "C")
            assert(not pcall(os.setlocale, "C", "everything"))""")
        self.gradus("run", "x.lua")


class Steps(Case):
    def test_only_whole_numbers_that_64_bits_hold(self):
        (self.dir / "x.lua").write_text(EXPERIMENT % """
            for i, at in ipairs { 2 ^ 63, 1e300, -1e300, -2 ^ 63 - 2048, 1 / 0, -1 / 0, 0 / 0, .5, "3" } do
              local ok, err = pcall(run.log, run, { refused = i }, at)
              assert(not ok and tostring(err):find "log: step: expected a whole number", i)
              assert(at == "3" or not pcall(function() run.writer:log(run.writer:key "refused", at, 1) end), i)
            end
            for _, at in ipairs { -2 ^ 63, -1, 0, 2 ^ 53 + 1, 2 ^ 63 - 1024 } do run:log({ taken = 1 }, at) end""")
        self.gradus("run", "-q", "x.lua", "--store", "s.db")
        rows = self.sql("SELECT key, CAST(step AS TEXT) AS step FROM metrics ORDER BY metrics.step", store=("--store", "s.db"))
        self.assertEqual([(r["key"], int(r["step"])) for r in rows],
                         [("taken", -2**63), ("taken", -1), ("taken", 0), ("taken", 2**53), ("taken", 2**63 - 1024)])


if __name__ == "__main__":
    unittest.main()
