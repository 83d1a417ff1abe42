"""`gradus repl`: from a pipe, where exit codes count, and at a terminal (a pty), where a person types."""

import fcntl
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())

SCRIPT = """
local g = require "gradus"
return g.experiment { name = "curve", params = { lr = 1e-2, width = g.int(4) }, run = function(run, p)
  local d = g.data.digits():split { train = .1, val = .1 }
  g.fit { model = g.nn.MLP { 64, p.width, 10 }, data = d, steps = 20 }
  for i = 1, 20 do run:log({ own = 1 / i }, i) end
  return { acc = .5 }
end }
"""


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)


class Pipe(Case):
    def gradus(self, *args, **more):
        return subprocess.run([GRADUS, *args], cwd=self.dir, capture_output=True, text=True, timeout=60, **more)

    def enter(self, text, **more):
        return self.gradus("repl", input=text, **more)

    def test_results_are_printed_and_names_stay(self):
        done = self.enter("x = g.ones { 2, 3 }\nx\nlocal y = 5\nlocal function f(n)\n  return n * y\nend\n"
                          "f(2), 'a'\n{ a = 1, b = { 1, 2 } }\nnil\n_\ng.nn.Linear(2, 3)\nprint 'said'\n\n-- nothing\nx:sum():item()\n= y, 2\n=x:size(0)\n")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, "tensor([[1., 1., 1.],\n        [1., 1., 1.]])\n10\ta\n{ a = 1, b = { 1, 2 } }\n"
                         "{ a = 1, b = { 1, 2 } }\nLinear(in_features=2, out_features=3, bias=true)\nsaid\n6\n5\t2\n2\n")

    def test_the_first_error_ends_it_with_its_code(self):
        for text, code, part in [("y = = 3", 65, "repl:1: unexpected symbol near '='"), ("error 'x'", 65, "repl:1: x"),
                                 ("g.onse(2)", 65, "did you mean 'ones'?"), ("for i = 1, 3 do", 65, "'end' expected"),
                                 ("zz", 65, "'zz' is not defined"), ("os.exit(7)", 7, ""), ("runs()", 66, "no store"),
                                 ("error { 1 }", 65, "table"), ("plot 'x'", 65, "plot: expected a list of numbers or a tensor; got 'x'"),
                                 ("plot { 1, true }", 65, "plot: expected numbers; got true at 2"), ("plot {}", 65, "got none"),
                                 ("plot({ 1 }, { 1, 2 })", 65, "as many x as y; got 1 and 2"),
                                 ("plot(g.ones { 2, 2 })", 65, "a tensor of one dimension; got Tensor [2, 2] float32"),
                                 ("\x1bLua", 65, ""), ("g.nosuch", 65, "repl:1: gradus has no"), ("g.nosuch -- why", 65, "gradus has no"),
                                 ("g.runs { store = 'none.db' }", 66, "none.db: no such store"),
                                 ("g.compare { store = 'none.db' }", 66, "none.db: no such store"),
                                 ("help 'alhpa'", 65, "did you mean 'alpha'?")]:
            with self.subTest(text):
                done = self.enter(f"1\n{text}\nprint 'not reached'\n")
                self.assertEqual((done.returncode, done.stdout), (code, "1\n"), done.stderr)
                self.assertIn(part, done.stderr)
        self.assertEqual(list(self.dir.iterdir()), [], "looking makes no store")

    def test_a_store_that_may_only_be_read(self):
        (self.dir / "s.lua").write_text(SCRIPT)
        self.assertEqual(self.gradus("run", "s.lua", "-q").returncode, 0)
        folders = [self.dir, *(path for path in self.dir.rglob("*") if path.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        self.addCleanup(lambda: [folder.chmod(0o755) for folder in folders])
        nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}  # root may write everything
        try:
            self.gradus("version", **nobody)
        except PermissionError:
            self.skipTest("nobody but root may run this gradus")
        before = sorted(self.dir.rglob("*"))
        done = self.enter("#runs(), show(1).id, #g.compare({ by = { 'width' } }).groups\nweights(1)\ng.runs({ store = g.runs()[1].store.path })[1].name\n",
                          **nobody)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^1\t1\t1\n/.*safetensors\ncurve\n$")
        self.assertEqual(sorted(self.dir.rglob("*")), before)
        self.assertIn("cannot write", self.gradus("run", "s.lua", "-q", **nobody).stderr)

    def test_runs_of_the_store(self):
        (self.dir / "s.lua").write_text(SCRIPT)
        self.assertEqual(self.gradus("run", "s.lua", "--set", "width=4,6", "-q").returncode, 0)
        done = self.enter("runs()\nshow(1)\n#runs { where = 'width == 6' }\nshow('@last').params.width\nplot(show(1):curve 'own')\n"
                          "plot { a = { 1, 2, 0 / 0, 3 }, b = g.ones { 4 } }\nnet = g.nn.MLP { 64, 4, 10 }\n"
                          "net = net:load(weights(1))\nnet.training\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("id  name   status    width  result/acc", done.stdout)
        self.assertRegex(done.stdout, r"run 1  curve  finished  seed 0  [0-9a-f]{32}\nparams  lr = 0.01  width = 4\n")
        self.assertRegex(done.stdout, r"own +0.05 +█▄▃")
        self.assertIn("\n1\n6\n", done.stdout)
        self.assertEqual(len(re.findall(r"[⠀-⣿]+ *\n", done.stdout)) > 10, True, done.stdout)
        self.assertIn("━ a  ━ b", done.stdout)
        for text, part in [("show(99)", "no such run"), ("weights(1, 'firts')", "run 1 left none called 'firts'")]:
            self.assertIn(part, self.enter(text + "\n").stderr)

    def test_a_signal_ends_it(self):
        process = subprocess.Popen([GRADUS, "repl"], cwd=self.dir, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, env={**os.environ, "GRADUS_GRACE": "0.1"})
        process.stdin.write("print 'here'; io.stdout:flush(); while true do os.execute 'sleep .05' end\n")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), "here\n")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 143)


class Terminal(Case):
    def setUp(self):
        super().setUp()
        self.state = self.dir / "state"
        self.pid = None
        self.addCleanup(self.end)
        self.open()

    def open(self, **more):
        pid, self.fd = pty.fork()
        if pid == 0:
            try:
                os.chdir(self.dir)
                env = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
                os.execve(GRADUS, ["gradus", "repl"], {**env, "TERM": "xterm", "XDG_STATE_HOME": str(self.state), **more})
            finally:
                os._exit(127)
        self.pid, self.rest = pid, ""
        self.until("> ")

    def end(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = None
            os.close(self.fd)

    def until(self, text, seconds=20):
        """What came on the screen up to this text; the rest waits for the next call."""
        seen, deadline = self.rest, time.monotonic() + seconds
        while text not in seen:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                self.fail(f"{text!r} never came; the screen has {seen!r}")
            try:
                seen += os.read(self.fd, 65536).decode(errors="replace")
            except OSError:
                self.fail(f"{text!r} never came, and the console ended; the screen has {seen!r}")
        seen, _, self.rest = seen.partition(text)
        return seen + text

    def type(self, text):
        os.write(self.fd, text.encode())

    def exit_code(self):
        deadline, ended = time.monotonic() + 20, 0
        while not ended:
            if time.monotonic() > deadline:
                self.fail("the console did not end")
            if select.select([self.fd], [], [], 1)[0]:
                try:
                    os.read(self.fd, 65536)
                except OSError:
                    pass  # it has closed its side
            else:
                self.type("\x04")  # what is typed while it changes the terminal's mode may be lost
            ended, status = os.waitpid(self.pid, os.WNOHANG)
        self.pid = None
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)

    def test_completion(self):
        self.type("g.nn.Linea\t(2, 3)\r")
        self.until("Linear(in_features=2, out_features=3, bias=true)")
        self.until("> ")
        self.type("x = g.ones(2)\r")
        self.until("> ")
        self.type("x:cum\t(0)\r")
        self.until("tensor([1., 2.])")
        self.until("> ")
        self.type("x:arg\t\t")
        self.until("argmax")
        self.until("argmin")
        self.type("\x15nosuchname.\tx\r")
        self.until("'nosuchname' is not defined")
        self.until("> ")
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
        self.type("g.nn.\t\t")
        self.until("AdaptiveAvgPool2d")
        self.assertLessEqual(max(map(len, self.until("g.nn.Trans").splitlines()[1:-1])), 40)

    def test_lines_that_are_pasted(self):
        self.type("for i = 1, 2 do\r\tprint(\ti * 21\t)\rend\r")
        self.assertNotIn("tostring", self.until("42\r\n"))

    def test_a_second_ctrl_c_ends_what_does_not_look(self):
        self.type("print('begun') return (('a'):rep(3000):find '.-.-.-.-.-.-b')\r")
        self.until("begun\r\n")
        time.sleep(.5)
        self.type("\x03")
        time.sleep(.3)
        self.type("\x03")
        self.assertEqual(self.exit_code(), 130)

    def test_what_a_tab_lists(self):
        self.type("t = { alpha = 1, albatross = 2, alps = 3 }\r")
        self.until("> ")
        self.type("t.al\t")
        self.until("\r\nt.albatross  t.alpha      t.alps       \r\n")
        self.until("> t.al")
        self.type("b\t\r")
        self.until("atross")
        self.until("\r\n2\r\n> ")
        self.type("big = {} for i = 1, 130 do big[('n%03d'):format(i)] = i end\r")
        self.until("> ")
        self.type("big.\t")  # what all have in common, and then the list
        self.until("n")
        self.type("\t")
        listed = self.until("… and 10 more\r\n").split("\r\n")
        self.assertIn("big.n001  big.n002  big.n003  big.n004  big.n005  big.n006  big.n007  big.n008  ", listed)
        self.assertEqual(sum(line.count("big.n") for line in listed if line.startswith("big.n0") or line.startswith("big.n1")), 120)
        self.type("\x15zzz\t")
        self.until("\x07")
        self.type("\x15print 'é'\r")
        self.until("\r\né\r\n> ")

    def test_what_was_entered_comes_back_once(self):
        for entry, shown in (("1 + 1", "2"), ("2 + 2", "4"), ("2 + 2", "4")):
            self.type(entry + "\r")
            self.until(f"\r\n{shown}\r\n> ")
        self.type("\x1b[A\x1b[A")
        self.until("1 +")
        self.type("\r")
        self.until("\r\n2\r\n> ")
        self.type("\x12+ 2")  # searched backwards
        self.until("bck:")
        self.type("\r")
        self.until("\r\n4\r\n> ")
        self.type("\x04")
        self.assertEqual(self.exit_code(), 0)
        kept = (self.state / "gradus" / "repl_history").read_text().splitlines()
        self.assertEqual([line.replace("\\040", " ") for line in kept[1:]], ["1 + 1", "2 + 2", "1 + 1", "2 + 2"])

    def test_history_across_sessions(self):
        self.type("21 * 2\r")
        self.until("42")
        self.until("> ")
        self.type("\x04")
        self.assertEqual(self.exit_code(), 0)
        file = self.state / "gradus" / "repl_history"
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        self.open()
        self.type("\x1b[A")
        self.until("21 * 2")
        self.type(" + 1\r")
        self.until("43")

    def test_colours_where_they_are_wanted(self):
        for more, wanted in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
            self.end()
            self.open(**more)
            self.type("plot { 1, 2 }\r")
            self.assertEqual("\x1b[34m" in self.until("└"), wanted, more)

    def test_ctrl_c(self):
        self.type("21 * \x03")
        self.until("> ")
        self.type("print 'next'\r")
        self.until("next\r\n")
        self.type("for i = 1, 2 do\r")
        self.until(">> ")
        self.type("\x03")
        self.until("> ")
        self.type("print('loops'); while true do end\r")
        self.until("loops\r\n")
        time.sleep(.2)
        self.type("\x03")
        self.until("interrupted")
        self.until("> ")
        self.type("1 + 2\r")
        self.until("3\r\n")
        self.until("> ")
        self.type("error 'mine'\r")
        self.until("repl:1: mine")
        self.until("> ")
        self.type("print 'ü→'\r")
        self.until("\r\nü→\r\n")
        self.until("> ")
        self.type("\x04")
        self.assertEqual(self.exit_code(), 0)


if __name__ == "__main__":
    unittest.main()
