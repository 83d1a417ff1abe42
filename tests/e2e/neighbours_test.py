"""Runs of one machine know of each other: who begins beside others takes the cores that they leave, and says so."""

import fcntl
import json
import os
import pathlib
import shutil
import sqlite3
import stat
import subprocess
import tempfile
import time
import unittest

from host_case import HostCase

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
CORES = len(os.sched_getaffinity(0))

LARGE = """
local g = require "gradus"
return g.experiment { name = "large", params = { steps = 3 }, run = function(run, p)
  local x = g.randn({ 128, 512 }, { generator = g.generator(3) })
  run:distill { student = g.nn.MLP { 512, 1024, 10 }, data = g.data.tensors(x, x:slice(1, 0, 10):argmax(1)), batch = 64,
    budget = { steps = p.steps } }
end }
"""


class Files(HostCase):
    """What stands in for another process: a file in the user's folder, locked by this one."""

    def setUp(self):
        super().setUp()
        self.place = self.dir / "gradus"

    def other(self, name, text, locked=True):
        self.place.mkdir(exist_ok=True)
        file = open(self.place / name, "w+")
        self.addCleanup(file.close)
        file.write(text)
        file.flush()
        if locked:
            fcntl.flock(file, fcntl.LOCK_EX)
        return file

    def shared(self, text="print(host.share_cores(2))", **env):
        done = self.script("local host = require 'gradus.host'\n" + text, env={"XDG_RUNTIME_DIR": str(self.dir), "GRADUS_ALONE": "", **env})
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return done.stdout.decode()

    def left(self):
        return sorted(path.name for path in self.place.glob("*"))

    def test_threads_of_others_add_up(self):
        self.assertEqual(self.shared(), "0\n")
        self.assertEqual(stat.S_IMODE(self.place.stat().st_mode), 0o700)
        self.other("1", "3 77\n")
        self.assertEqual(self.shared(), "3\n")
        self.other("2", "4 78\n")
        self.assertEqual(self.shared(), "7\n")
        for name, text in (("3", ""), ("4", "words"), ("5", "8"), ("6", "8 ")):  # half written
            self.other(name, text)
        self.assertEqual(self.shared(), "7\n")
        self.assertEqual(self.shared(GRADUS_ALONE="0"), "7\n")
        self.assertEqual(self.shared(GRADUS_ALONE="1"), "0\n")
        self.assertEqual(self.left(), ["1", "2", "3", "4", "5", "6", "lock"])

    def test_a_dead_one_counts_for_nothing_and_goes(self):
        self.other("1", "3 77\n", locked=False)
        self.other("2", "4 78\n")
        self.assertEqual(self.shared(), "4\n")
        self.assertEqual(self.left(), ["2", "lock"])

    def test_ones_own_file(self):
        out = self.shared("print(host.share_cores(2), host.share_cores(5))\nfor _, name in ipairs(host.list_folder(os.getenv 'XDG_RUNTIME_DIR' .. '/gradus')) do\n"
                          "  if name ~= 'lock' then print(name, io.open(os.getenv 'XDG_RUNTIME_DIR' .. '/gradus/' .. name):read '*a') end end\n"
                          "host.share_cores()\nprint(#host.list_folder(os.getenv 'XDG_RUNTIME_DIR' .. '/gradus'), host.share_cores(1), host.share_cores())")
        lines = out.split("\n")
        pid = lines[1].split("\t")[0]
        self.assertEqual(lines, ["0\t0", f"{pid}\t5 {pid}", "", "1\t0\t0", ""])
        self.assertEqual(self.left(), ["lock"])

    def test_who_trains_no_more_does_not_stand_there(self):
        self.shared("host.share_cores(2) os.exit(0)")
        self.assertEqual(self.left(), ["lock"])
        self.other(str(os.getpid()), "6 1\n")
        self.assertEqual(self.shared("print(host.share_cores(2)) host.share_cores() print(host.share_cores(3))"), "6\n6\n")

    def test_children_of_one_command_are_of_one_group(self):
        self.other("1", "3 77\n")
        out = self.shared("""
            local children = require "gradus.children"
            local ids = {}
            for i = 1, 2 do ids[i] = children.spawn(function()
              local before = host.share_cores(4)
              os.execute "sleep .3"
              return before .. " " .. host.share_cores(4)
            end) end
            local ended = 0
            while ended < 2 do
              for _, event in ipairs(children.wait(5)) do
                if event.kind == "result" then print(event.text) end
                if event.kind == "end" then ended = ended + 1 end
              end
            end""")
        self.assertEqual(out, "3 3\n3 3\n")
        self.assertEqual(self.left(), ["1", "lock"])

    def test_a_child_that_ends_leaves_its_parents_file(self):
        out = self.shared("""
            local children = require "gradus.children"
            print(host.share_cores(4))
            children.spawn(function() end)
            local ended = false
            while not ended do for _, event in ipairs(children.wait(5)) do ended = ended or event.kind == "end" end end
            print(#host.list_folder(os.getenv "XDG_RUNTIME_DIR" .. "/gradus"))""")
        self.assertEqual(out, "0\n2\n")
        self.assertEqual(self.left(), ["lock"])

    def test_a_folder_that_is_not_ones_own(self):
        real = self.dir / "real"
        real.mkdir()
        self.place.symlink_to(real)
        self.other("1", "3 77\n")
        self.assertEqual(self.shared(), "0\n")
        self.place.unlink()
        self.assertEqual(self.shared(XDG_RUNTIME_DIR=str(self.dir / "none")), "0\n")
        if os.getuid() == 0:
            self.place.mkdir()
            self.other("1", "3 77\n")
            os.chown(self.place, 12345, 12345)
            self.assertEqual(self.shared(), "0\n")


@unittest.skipIf(CORES < 2, "one core: nothing to share")
class Neighbours(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        (self.dir / "x.lua").write_text(LARGE)
        self.env = {**os.environ, "XDG_RUNTIME_DIR": str(self.dir)}
        self.env.pop("GRADUS_ALONE", None)

    def run_script(self, *args, **env):
        done = subprocess.run([GRADUS, "run", "x.lua", *args], cwd=self.dir, env={**self.env, **env}, capture_output=True,
                              text=True, timeout=100)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stderr

    def query(self, sql):
        with sqlite3.connect(self.dir / "runs/gradus.db") as database:
            return database.execute(sql).fetchall()

    def last_threads(self):
        return self.query("SELECT threads FROM runs ORDER BY id DESC LIMIT 1")[0][0]

    def test_a_run_takes_what_others_leave(self):
        neighbour = subprocess.Popen([GRADUS, "run", "x.lua", "--set", "steps=1000000"], cwd=self.dir, env=self.env,
                                     stderr=subprocess.DEVNULL)
        self.addCleanup(neighbour.wait)
        self.addCleanup(neighbour.kill)
        deadline = time.monotonic() + 60
        while not list(self.dir.glob("gradus/[0-9]*")):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(.02)
        time.sleep(.2)
        left = max(1, CORES - min(CORES, 2))
        wanted = min(CORES, 2)
        err = self.run_script()
        self.assertEqual(self.last_threads(), min(wanted, left))
        if left < wanted:
            self.assertIn(f"threads: {left} of {wanted}, since other runs use 2 of {CORES} cores", err)
            [(detail,)] = self.query("SELECT detail FROM events WHERE kind = 'threads' ORDER BY id DESC LIMIT 1")
            self.assertEqual([json.loads(detail)[key] for key in ("wanted", "others")], [wanted, 2])
        self.run_script("--threads", "2")
        self.assertEqual(self.last_threads(), 2)
        self.run_script(GRADUS_ALONE="1")
        self.assertEqual(self.last_threads(), wanted)
        neighbour.kill()
        neighbour.wait()
        self.assertEqual(self.run_script().count("threads:"), 0)  # a dead one counts for nothing
        self.assertEqual(self.last_threads(), wanted)
        self.assertEqual([path.name for path in self.dir.glob("gradus/*")], ["lock"])

    def test_runs_of_one_command_have_what_each_has_alone(self):
        self.run_script("--seed", "1,2,3,4", "-j", "2")
        self.assertEqual(self.query("SELECT DISTINCT threads FROM runs"), [(min(CORES, 2),)])

    def test_a_folder_of_somebody_else_is_left_alone(self):
        (self.dir / "gradus").write_text("no folder")
        self.run_script()
        self.assertEqual(self.last_threads(), min(CORES, 2))


if __name__ == "__main__":
    unittest.main()
