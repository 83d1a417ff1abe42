"""Disks that fill up: a small tmpfs of each size, in a namespace of its own. A run ends with code 74 and a line that names the file and
what room is left, what was logged until then is there once there is room, and no file appears in part."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
FULL = "GRADUS_FULL" in os.environ  # `make test-full`
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
SCRIPT = """local g = require "gradus"
return g.experiment { name = "x", run = function(run)
  local told = assert(io.open("told", "w"))
  told:setvbuf "no"
  local d = g.data.digits():split { train = .1, val = .1 }
  local teacher = run:cached("teacher", function() return g.nn.MLP { 64, 1000, 10 } end)
  for i = 1, 300 do
    for j = 1, 50 do run:log({ a = j, b = -j }, i * 50 + j) end
    run:event("decision", "e" .. i, { text = ("x"):rep(200) })
    told:seek("set") told:write(i, "\\n")
  end
  teacher:save(run.folder .. "/w.safetensors")
end }
"""


def kilobytes():
    """From where not even the store fits to where all of it does."""
    sizes = [round(24 * 1.12 ** i) // 4 * 4 for i in range(50)]
    return sizes if FULL else sizes[::6]


def has_namespaces():
    try:
        return subprocess.run([*NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


class Inside(unittest.TestCase):
    """Of the namespace: here a tmpfs may be mounted."""

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        (self.dir / "small").mkdir()
        (self.dir / "x.lua").write_text(SCRIPT)

    def mount(self, size, *options):
        subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join([*options, f"size={size}k"]), "none", self.dir / "small"], check=True)

    def unmount(self):
        subprocess.run(["umount", self.dir / "small"], check=True)

    def gradus(self, *args):
        done = subprocess.run([GRADUS, *map(str, args)], cwd=self.dir, capture_output=True, text=True, timeout=120)
        self.assertGreaterEqual(done.returncode, 0, (args, done.stderr))
        return done

    def test_a_run(self):
        ends = {0: 0, 74: 0}
        for size in kilobytes():
            with self.subTest(kilobytes=size):
                (self.dir / "told").write_text("0")
                self.mount(size)
                self.addCleanup(subprocess.run, ["umount", "-l", self.dir / "small"], capture_output=True)
                done = self.gradus("run", "-q", "x.lua", "--store", "small/s.db")
                self.assertIn(done.returncode, (0, 74), done.stderr)
                ends[done.returncode] += 1
                if done.returncode == 74:
                    said = done.stderr.split("\n")[0]
                    self.assertIn(str(self.dir / "small"), said)
                    self.assertRegex(said, r"has \d+ bytes left|No space left on device")
                self.gradus("runs", "--store", "small/s.db")  # while it is full still: an answer or an error
                self.mount(64 << 10, "remount")
                told = int((self.dir / "told").read_text() or 0)
                self.check(told, done.returncode)
                self.unmount()
        self.assertGreater(ends[0], 0)
        self.assertGreater(ends[74], len(kilobytes()) / 2)

    def check(self, told, code):
        """Now that there is room: all that the script was told to be logged is there, and the next run works."""
        leftover = [p for p in (self.dir / "small").rglob("*") if re.search(r"\.part$|\.tmp-", p.name)]
        self.assertEqual(leftover, [])
        again = self.gradus("run", "-q", "x.lua", "--store", "small/s.db")
        self.assertEqual(again.returncode, 0, again.stderr)
        rows = json.loads(self.gradus("sql", "--json", "SELECT id, status, (SELECT count(*) FROM metrics m WHERE m.run_id = r.id) AS n, "
                                      "(SELECT count(*) FROM events e WHERE e.run_id = r.id AND e.kind = 'decision') AS e FROM runs r WHERE "
                                      "kind = 'run' ORDER BY id", "--store", "small/s.db").stdout)
        self.assertEqual((rows[-1]["status"], rows[-1]["n"], rows[-1]["e"]), ("finished", 30000, 300))
        if len(rows) > 1:
            self.assertGreaterEqual((rows[0]["n"], rows[0]["e"]), (100 * told, told))
            self.assertLessEqual(rows[0]["e"], told + 1)
            self.assertIn(rows[0]["status"], ("finished",) if code == 0 else ("failed", "interrupted"))
        else:
            self.assertEqual(told, 0)
        found = json.loads(self.gradus("doctor", "--json", "--full", "--store", "small/s.db").stdout)["store"]
        self.assertEqual((found["check"], found["dead"]), ("ok", 0))

    def test_a_log_without_room(self):
        (self.dir / "y.lua").write_text("""return require "gradus".experiment { name = "y", run = function(run)
  local filler = assert(io.open("small/filler", "w"))
  filler:setvbuf "no"
  while filler:write(("x"):rep(4096)) do end
  for i = 1, 200 do run:warn("mine", "no room " .. i) end
  filler:close()
  os.remove "small/filler"
end }
""")
        self.mount(4000)
        self.addCleanup(subprocess.run, ["umount", "-l", self.dir / "small"], capture_output=True)
        done = self.gradus("run", "-q", "y.lua", "--store", "small/s.db")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"\Awarning: the run's log is not whole: .*small/\w+/log.txt: No space left on device\n\Z")

    def test_what_else_writes_files(self):
        self.gradus("run", "-q", "x.lua", "--store", "big/s.db")
        commands = [("export", "csv", "-o", "small/out"), ("export", "csv", "-o", "small/m.csv"), ("export", "json", "-o", "small/x.json"),
                    ("export", "tensorboard", "small/tb"), ("export", "mlflow", "small/ml.db"), ("report", "-o", "small/r.html"),
                    ("plot", "a", "-o", "small/a.svg"), ("merge", "big/s.db"), ("new", "small/mine")]
        for command in commands:
            store = ("--store", "small/t.db" if command[0] == "merge" else "big/s.db") if command[0] != "new" else ()
            codes = set()
            for size in (8, 60, 200, 500, 900, 1400, 20000) if FULL else (8, 500, 20000):
                with self.subTest(command=command, kilobytes=size):
                    self.mount(size)
                    self.addCleanup(subprocess.run, ["umount", "-l", self.dir / "small"], capture_output=True)
                    if size == 8:  # new's script would fit
                        (self.dir / "small/filler").write_bytes(bytes(8192))
                    done = self.gradus(*command, *store)
                    codes.add(done.returncode)
                    self.assertIn(done.returncode, (0, 74), done.stderr)
                    if done.returncode:
                        self.assertIn("small/", done.stderr.split("\n")[0])
                        left = [p for p in (self.dir / "small").rglob("*") if re.search(r"\.(html|svg|json|csv|lua|part)$|ml\.db|\.tmp-", p.name)]
                        # A folder of several files may hold those that were finished.
                        self.assertEqual([p for p in left if p.parent.name not in ("out",)], [], done.stderr)
                    self.unmount()
            self.assertEqual(codes, {0, 74}, command)


class Disk(unittest.TestCase):
    @unittest.skipUnless(has_namespaces(), "this kernel lets nobody mount a tmpfs in a namespace of one's own")
    def test_full_disks(self):
        done = subprocess.run([*NAMESPACE, sys.executable, __file__, "Inside"], env={**os.environ, "GRADUS": GRADUS}, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main(argv=None if len(sys.argv) > 1 else [sys.argv[0], "Disk"])
