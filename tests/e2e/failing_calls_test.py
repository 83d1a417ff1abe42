"""The Nth write, sync, rename, new file, reservation, mapping or folder fails, for every N until none does: once, and from then on.
A run then ends with code 74 and a line that names the file, or all that it was to write is there; the store is whole either way."""

import errno
import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.request

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
FULL = "GRADUS_FULL" in os.environ  # `make test-full`
HERE = pathlib.Path(__file__).resolve().parent
SCRIPT = """local g = require "gradus"
return g.experiment { name = "x", run = function(run)
  local model = run:cached("teacher", function() return g.nn.Linear(4, 2) end)
  for i = 1, 300 do run:log({ a = i, b = -i }, i) end
  run:event("decision", "e", { text = "x" })
  model:save(run.folder .. "/w.safetensors")
end }
"""
KINDS = {"write": (errno.ENOSPC, errno.EIO, 0), "sync": (errno.EIO,), "rename": (errno.EACCES,), "create": (errno.EMFILE,),
         "reserve": (errno.ENOSPC,), "map": (errno.ENOMEM,), "mkdir": (errno.ENOSPC,), "thread": (errno.EAGAIN,)}


def build(library):
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", HERE / "failing_calls.c", "-o", library, "-ldl"], check=True)


class FailingCalls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.top, ignore_errors=True)
        cls.library = cls.top / "failing_calls.so"
        build(cls.library)

    def gradus(self, *args, **env):
        return subprocess.run([GRADUS, *args, "--store", "s.db"], cwd=self.dir, capture_output=True, text=True, timeout=60, env={**os.environ, **env})

    def sql(self, query):
        return json.loads(self.gradus("sql", "--json", query).stdout)

    def one(self, kind, error, always, at):
        """False: there is no such call any more."""
        self.dir = self.top / "case"
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir()
        (self.dir / "x.lua").write_text(SCRIPT)
        hit = self.top / "hit"
        hit.unlink(missing_ok=True)
        done = self.gradus("run", "-q", "x.lua", LD_PRELOAD=str(self.library), FAIL_KIND=kind, FAIL_AT=str(at), FAIL_WITH=str(error),
                           FAIL_UNDER=str(self.dir), FAIL_HIT=str(hit), **({"FAIL_ALWAYS": "1"} if always else {}))
        if not hit.exists():
            self.assertEqual(done.returncode, 0, done.stderr)
            return False
        self.assertIn(done.returncode, (0, 74), done.stderr)
        if done.returncode:
            self.assertRegex(done.stderr.split("\n")[0], f"{self.dir}|s\\.db|\\.lua", done.stderr)
        self.whole(done.returncode)
        return True

    def whole(self, code):
        left = [p.name for p in self.dir.rglob("*") if ".part" in p.name or ".tmp-" in p.name]
        self.assertEqual(left, [])
        if (self.dir / "s.db").exists() and (self.dir / "s.db").stat().st_size and self.gradus("runs").returncode == 0:
            for row in self.sql("SELECT status, (SELECT count(*) FROM metrics WHERE run_id = r.id) AS n, (SELECT count(*) FROM events e WHERE "
                                "run_id = r.id AND e.kind = 'decision') AS e FROM runs r WHERE kind = 'run'"):
                if code == 0:
                    self.assertEqual(row, {"status": "finished", "n": 600, "e": 1})
                else:
                    self.assertIn(row["status"], ("failed", "interrupted", "finished"))
                    self.assertIn(row["e"], (0, 1))
        else:
            self.assertEqual(code, 74)
        for index in self.dir.glob("cache/*.json"):
            self.assertEqual(len(json.loads(index.read_text())["entries"]), 1)
        again = self.gradus("run", "-q", "x.lua")
        self.assertEqual(again.returncode, 0, again.stderr)
        last = self.sql("SELECT status, (SELECT count(*) FROM metrics WHERE run_id = r.id) AS n FROM runs r WHERE kind = 'run' ORDER BY id DESC LIMIT 1")
        self.assertEqual((last[0]["status"], last[0]["n"]), ("finished", 600))
        found = json.loads(self.gradus("doctor", "--json", "--full").stdout)["store"]
        self.assertEqual((found["check"], found["dead"]), ("ok", 0))
        for weights in self.dir.glob("*/w.safetensors"):
            self.assertEqual(weights.stat().st_size, max(w.stat().st_size for w in self.dir.glob("*/w.safetensors")), "written in part")


def add(kind, error, always):
    def test(self):
        at = 1
        while self.one(kind, error, always, at):
            at = at + 1 if FULL else at * (5 if always else 3)
        self.assertGreater(at, 1, f"the run makes no call of this kind: {kind}")
        self.assertLess(at, 5000)
    name = f"test_{kind}_{errno.errorcode.get(error, 'half').lower()}_{'always' if always else 'once'}"
    setattr(FailingCalls, name, test)


for kind_, errors in KINDS.items():
    for error_ in errors if FULL else errors[::2]:
        for always_ in (False, True):
            add(kind_, error_, always_)


class FailingMemory(unittest.TestCase):
    """The Nth allocation of what reads a store, for more and more of them: the end is a line and code 74, or all is done."""

    @classmethod
    def setUpClass(cls):
        cls.top = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.top, ignore_errors=True)
        cls.library, cls.dir, cls.hit = cls.top / "failing_calls.so", cls.top / "case", cls.top / "hit"
        build(cls.library)
        cls.dir.mkdir()
        (cls.dir / "x.lua").write_text(SCRIPT)
        for command in (["run", "-q", "x.lua"], ["run", "-q", "x.lua", "--seed", "2"], ["export", "tensorboard", "there"], ["export", "mlflow", "there.db"]):
            assert cls.gradus(*command).returncode == 0, command

    @classmethod
    def gradus(cls, *args, store="s.db", **env):
        return subprocess.run([GRADUS, *args, *(["--store", store] if store else [])], cwd=cls.dir, capture_output=True, text=True, timeout=60, env={**os.environ, **env})

    def failing(self, at, always):
        self.hit.unlink(missing_ok=True)
        return {"LD_PRELOAD": str(self.library), "FAIL_KIND": "memory", "FAIL_AT": str(at), "FAIL_WITH": str(errno.ENOMEM), "FAIL_UNDER": str(self.dir),
                "FAIL_HIT": str(self.hit), **({"FAIL_ALWAYS": "1"} if always else {})}

    def answer(self, command, store, **env):
        shutil.rmtree(self.dir / "new", ignore_errors=True)
        (self.dir / "new").mkdir()
        done = self.gradus(*command, store=store, **env)
        files = {str(f.relative_to(self.dir)): f.read_bytes() for f in (self.dir / "new").rglob("*") if f.is_file() and ".db" not in f.name}
        return done, (done.stdout, files)

    def each(self, *command, store="s.db"):
        whole = self.answer(command, store)[1]
        for always in (False, True):
            at, refused = 1, 0
            while True:
                done, given = self.answer(command, store, **self.failing(at, always))
                self.assertIn(done.returncode, (0, 74), (at, always, done.stderr))
                if done.returncode == 0:
                    self.assertEqual(given, whole, (at, always))
                else:
                    finished = {name: data for name, data in given[1].items() if not name.endswith(".part")}
                    self.assertLessEqual(finished.items(), whole[1].items(), (at, always))
                    self.assertRegex(done.stderr, r"\A(gradus: .*\n)?\Z", (at, always))
                    refused += 1
                if not self.hit.exists():
                    self.assertEqual(done.returncode, 0, done.stderr)
                    break
                at = at + 1 if FULL else at + 1 + at // (3 if always else 8)
            self.assertGreater(refused, 5)

    def test_listings(self):
        for command in (["runs", "--json"], ["show", "1", "--json"], ["compare", "--json"], ["diff", "1", "2", "--json"], ["sql", "--json", "SELECT * FROM metrics"]):
            with self.subTest(command):
                self.each(*command)

    def test_drawings(self):
        for command in (["plot", "a"], ["report", "-o", "new/r.html"]):
            with self.subTest(command):
                self.each(*command)

    def test_exports(self):
        for command in (["json", "-o", "new/x.json"], ["csv", "-o", "new/csv"], ["tensorboard", "new/board"], ["mlflow", "new/mlflow.db"], ["wandb", "new/wandb"]):
            with self.subTest(command):
                self.each("export", *command)

    def test_page(self):
        at, answered = 1, set()
        while True:
            with subprocess.Popen([GRADUS, "serve", "--json", "--store", "s.db"], cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  env={**os.environ, **self.failing(at, False)}) as server:
                url = server.stdout.readline()
                if url:
                    answered |= self.visit(json.loads(url)["url"])
                    server.terminate()
                words = server.communicate(timeout=60)[1]
            self.assertIn(server.returncode, (-signal.SIGTERM, 74), (at, words))
            self.assertRegex(words, r"\A(\[warn\].*\n)*(gradus: .*\n)?\Z", at)
            if not self.hit.exists():
                break
            at = at + 1 if FULL else at + 1 + at // 3
        self.assertLessEqual(answered, {200, 400, 401, 403, 500, 503, None})  # 400: to libevent a query without memory is a broken one
        self.assertIn(200, answered)

    @staticmethod
    def visit(url):
        """The answers' numbers; None: none came."""
        base, token = url.split("?token=")
        found = set()
        for path in ("", "app.js", "api/runs", "api/run?run=1", "api/curves?runs=1&keys=a", "api/lineage?run=1", "api/compare?runs=1,2", "api/nothing"):
            try:
                request = urllib.request.Request(base + path, headers={"Authorization": f"Bearer {token}"})
                found.add(urllib.request.urlopen(request, timeout=20).status)
            except urllib.error.HTTPError as refused:
                if refused.code != 404:
                    found.add(refused.code)
            except (OSError, http.client.HTTPException):
                found.add(None)
        return found

    def test_imports(self):
        for command in (["import", "tensorboard", "there"], ["import", "mlflow", "there.db"], ["merge", "s.db"]):
            with self.subTest(command):
                self.each(*command, store="new/s.db")


if __name__ == "__main__":
    unittest.main()
