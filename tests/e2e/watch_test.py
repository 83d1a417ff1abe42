"""`gradus watch`: a new run at each save, the old one until the new script is read, errors at once."""

import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())

SCRIPT = """
local g = require "gradus"
local add = require "part"
return g.experiment { name = "watched", run = function(run)
  for i = 1, %d do
    run.step_number = i
    run:log { ["val/acc"] = add(i, %d) }
    if i %% 10 == 0 then os.execute "sleep .01" end
    run:breathe()
  end
end }
"""


class Watch(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.save("part.lua", "return function(a, b) return a + b end")
        self.save("x.lua", SCRIPT % (20, 1))
        self.told = []

    def save(self, name, text):  # as editors do: a new file in the old one's place
        (self.dir / (name + "~")).write_text(text)
        (self.dir / (name + "~")).rename(self.dir / name)

    def start(self, *args):
        self.process = subprocess.Popen([GRADUS, "watch", "x.lua", *args], cwd=self.dir,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stderr:
            self.told.append(line)

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()  # it ends its run first, which would write on after a kill
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def wait_for(self, pattern, count=1, seconds=20):
        deadline = time.monotonic() + seconds
        while len(re.findall(pattern, "".join(self.told), re.M)) < count:
            self.assertLess(time.monotonic(), deadline, f"{pattern} in\n{''.join(self.told)}")
            time.sleep(.01)

    def wait_until_it_runs(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if self.statuses():
                    return
            except sqlite3.OperationalError:
                pass  # no store yet, or one without tables
            time.sleep(.02)
        self.fail("no run began")

    def statuses(self):
        with sqlite3.connect(self.dir / "runs/gradus.db") as database:
            return [row[0] for row in database.execute("SELECT status FROM runs ORDER BY id")]

    def test_each_save_is_a_run(self):
        self.start()
        self.wait_for(r"^#1 .*val/acc 21  finished  .*first step after \d+ ms")
        self.save("x.lua", SCRIPT % (20, 2))
        self.wait_for(r"^#2 .*val/acc 22  finished")
        self.save("part.lua", "return function(a, b) return a * b end")  # what it requires
        self.wait_for(r"^#3 .*val/acc 40  finished")
        self.assertEqual(self.statuses(), ["finished"] * 3)
        self.process.send_signal(signal.SIGINT)
        self.assertEqual(self.process.wait(10), 130)

    def test_an_error_shows_at_once_and_the_old_run_goes_on(self):
        self.save("x.lua", SCRIPT % (100000, 1))
        self.start()
        self.wait_until_it_runs()
        self.save("x.lua", "return g.experiment {")
        self.wait_for("x.lua:1: unexpected symbol near '<eof>'")
        self.wait_for("the run before goes on")
        self.assertEqual(self.statuses(), ["running"])
        self.save("x.lua", SCRIPT % (20, 3))
        self.wait_for(r"^#3 .*val/acc 23  finished")
        self.wait_for(r"^#1 .*replaced")
        self.assertEqual(self.statuses(), ["interrupted", "finished"])
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(10), 143)

    def test_what_a_run_lacked_or_requires_late_is_watched(self):
        self.save("part.lua", "return = 1")
        self.save("x.lua", (SCRIPT % (20, 1)).replace("  end\nend }", "  end\n  return { late = require 'late' }\nend }"))
        self.start()
        self.wait_for(r"^#1 .*failed")
        self.save("part.lua", "return function(a, b) return a + b end")
        self.wait_for("module 'late' not found")
        self.wait_for(r"^#2 .*failed")
        self.save("late.lua", "return 5")
        self.wait_for("^#3  .*late 5")
        self.save("late.lua", "return 6")
        self.wait_for("^#4  .*late 6")

    def test_each_run_has_a_line_of_its_own(self):
        waits = 'if i == 10 then while not io.open "go" do os.execute "sleep .01" end end'
        self.save("x.lua", (SCRIPT % (20, 1)).replace("run:breathe()", waits + " run:breathe()"))
        self.start()
        self.wait_until_it_runs()
        for number in range(2, 9):  # more than are shown side by side
            self.save("x.lua", SCRIPT % (20, number))
            self.wait_for(rf"^#{number}  .*val/acc {20 + number}  finished")
        (self.dir / "go").write_text("")
        self.wait_for(r"^#1 .*val/acc 1\d  replaced")

    def test_the_running_one_is_interrupted_with_the_command(self):
        self.save("x.lua", SCRIPT % (100000, 1))
        self.start()
        self.wait_until_it_runs()
        self.process.send_signal(signal.SIGINT)
        self.assertEqual(self.process.wait(10), 130)
        self.assertEqual(self.statuses(), ["interrupted"])

    def test_what_a_link_leads_to_is_watched(self):
        (self.dir / "kept").mkdir()
        (self.dir / "x.lua").rename(self.dir / "kept" / "real.lua")
        (self.dir / "x.lua").symlink_to("kept/real.lua")
        self.start()
        self.wait_for("finished")
        self.save("kept/real.lua", SCRIPT % (20, 2))
        self.wait_for(r"^#2  .*val/acc 22  finished")
        (self.dir / "kept" / "other.lua").write_text(SCRIPT % (20, 3))
        (self.dir / "x.lua").unlink()
        (self.dir / "x.lua").symlink_to("kept/other.lua")
        self.wait_for(r"^#3  .*val/acc 23  finished")
        self.save("kept/real.lua", SCRIPT % (20, 4))  # is none of the script's any more
        self.save("kept/other.lua", SCRIPT % (20, 5))
        self.wait_for(r"^#4  .*val/acc 25  finished")

    def test_a_lost_terminal_ends_it(self):
        self.start()
        self.wait_for("finished")
        self.process.send_signal(signal.SIGHUP)
        self.assertEqual(self.process.wait(20), 128 + signal.SIGHUP)

    def test_a_list_of_values_is_no_run(self):
        self.save("x.lua", 'local g = require "gradus"\nreturn g.experiment { name = "x", params = { n = 1 }, run = function() end }')
        self.start("--set", "n=1,2")
        self.wait_for("--set: n: expected one value; got 2")

    def test_usage(self):
        for args, code in ((["watch"], 64), (["watch", "-"], 64), (["watch", "nowhere.lua"], 66), (["watch", "x.lua", "--seed", "1,2"], 64),
                           (["check", "x.lua", "--seed", "1,2"], 64)):
            self.assertEqual(subprocess.run([GRADUS, *args], cwd=self.dir, capture_output=True).returncode, code)


if __name__ == "__main__":
    unittest.main()
