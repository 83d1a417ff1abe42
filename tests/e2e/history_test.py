"""Looking back at runs: lists sorted and cut to taste, code and curves of a run, groups in which runs came to nothing."""

import contextlib
import csv
import fcntl
import io
import json
import os
import pathlib
import re
import shlex
import shutil
import sqlite3
import struct
import subprocess
import tempfile
import termios
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())

SPEC = """
it("makes runs", function()
  local store = require("gradus.store").open "%(path)s"
  local host = require "gradus.host"
  local long = ("a long note on what was tried "):rep(8)
  local function run(one)
    local w = store:begin { name = one.name or "digits", seed = one.seed, config_hash = one.way .. (one.file or ""),
      params = { { key = "way", value = one.way }, { key = "lr", value = one.lr }, { key = "file", value = one.file },
        { key = "why", value = long } },
      sources = { { path = "digits.lua", sha256 = host.sha256(one.way), text = "-- " .. one.way .. "\\nreturn 1" } } }
    for step, acc in ipairs(one.curve) do
      w:log(w:key "val/acc", step, acc)
      w:log(w:key "val/loss", step, 1 - acc)
      w:log(w:key "score", step, acc * 10)
      if step %% 2 == 0 then w:log(w:key "even", step, step) end
    end
    w:log(w:key "result/acc", #one.curve, one.result or one.curve[#one.curve])
    w:finish(one.status or "finished", one.status == "failed" and "out of memory" or nil)
  end
  run { way = "base", seed = 1, lr = .1, curve = { .5, .9, .8 } }
  run { way = "base", seed = 2, lr = .1, curve = { .6, .7, .85 } }
  run { way = "base", seed = 3, lr = .1, curve = { .6, .7, .86 } }
  run { way = "new", seed = 1, lr = .2, curve = { .7, .95, .93 } }
  run { way = "new", seed = 2, lr = .2, curve = { .7, .95, .94 }, result = 0 / 0 }
  run { way = "new", seed = 3, lr = .2, curve = { .3 }, status = "failed" }
  run { way = "dead", seed = 1, lr = .3, curve = { .1 }, status = "failed" }
  local w = store:begin { name = "other", kind = "import", seed = 1, parent = 1, params = { { key = "note", value = long .. "indeed" } } }
  w:finish "finished"
end)
"""


class HistoryCase(unittest.TestCase):
    spec = SPEC

    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp())
        spec = cls.dir / "make.lua"
        spec.write_bytes((cls.spec % {"path": cls.dir / "runs" / "gradus.db"}).encode("latin-1"))
        subprocess.run([GRADUS, "test", spec], check=True, stdout=subprocess.DEVNULL)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir)

    def run_it(self, *args, code=0):
        done = subprocess.run([GRADUS, *args], cwd=self.dir, capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
                              env={**os.environ, "GRADUS_STORE": "runs/gradus.db"})
        self.assertEqual(done.returncode, code, (args, done.stdout[-2000:], done.stderr))
        return done.stdout.decode(), done.stderr.decode()

    def out(self, *args, code=0):
        return self.run_it(*args, code=code)[0]

    def err(self, *args, code=64):
        return self.run_it(*args, code=code)[1]

    def ids(self, *args):
        return [run["id"] for run in json.loads(self.out("runs", "--json", *args))]


NOT_FINITE = """
it("makes runs", function()
  local store = require("gradus.store").open "%(path)s"
  for _, loss in ipairs { 2, 1 / 0, 1, 0 / 0, -1 / 0 } do
    local w = store:begin { name = "digits", params = { { key = "cap", value = loss } } }
    w:log(w:key "val/loss", 1, 3)
    w:log(w:key "val/loss", 2, loss)
    w:log(w:key "knob/lr", 2, loss)
    w:finish "finished"
  end
end)
"""


class NotFinite(HistoryCase):
    spec = NOT_FINITE

    def test_infinities_have_their_place_in_the_order(self):
        for column in ("val/loss", "cap"):
            self.assertEqual(self.ids("--sort", column), [5, 3, 1, 2, 4], column)
            self.assertEqual(self.ids("--sort", column, "--reverse"), [2, 1, 3, 5, 4], column)
        self.assertEqual(self.ids("--sort", "val/loss", "--reverse", "--limit", "1"), [2])

    def test_nan_is_no_missing_value_of_a_difference(self):
        out = self.out("diff", "4", "1")
        self.assertIn("knob/lr from step 2: nan and 2.0\n", out)
        self.assertIn("the curves part at step 2: knob/lr is nan and 2.0\n", out)
        self.assertRegex(out, r"val/loss +2 +nan +2 +nan +2\n")


class Lists(HistoryCase):
    def test_sorted(self):
        self.assertEqual(self.ids("--sort", "val/acc"), [5, 4, 3, 2, 1, 6, 7])  # best first
        self.assertEqual(self.ids("--sort", "last(val/loss)"), [5, 4, 3, 2, 1, 6, 7])  # the least loss
        self.assertEqual(self.ids("--best", "val/acc"), [4, 5, 1, 3, 2, 6, 7])
        self.assertEqual(self.ids("--best", "val_acc", "--reverse"), [7, 6, 2, 3, 1, 4, 5])
        self.assertEqual(self.ids("--sort", "lr"), [1, 2, 3, 4, 5, 6, 7])
        self.assertEqual(self.ids("--sort", "way"), [1, 2, 3, 7, 4, 5, 6])
        self.assertEqual(self.ids("--sort", "score"), [7, 6, 1, 2, 3, 4, 5])  # of unknown way: ascending
        self.assertEqual(self.ids("--sort", "even"), [1, 2, 3, 4, 5, 6, 7])  # without a value: last
        self.assertEqual(self.ids("--sort", "result/acc", "--limit", "2"), [4, 3])  # the first of the order, NaN last
        self.assertEqual(self.ids("--limit", "2"), [6, 7])
        self.assertEqual(self.ids("--limit", "0"), self.ids())
        self.assertEqual(self.ids("--limit", "0", "--reverse"), self.ids()[::-1])
        self.assertEqual(self.ids("--where", "way == 'base'", "--best", "val/acc", "--limit", "1"), [1])

    def test_what_a_list_is_sorted_by_stands_in_it_once(self):
        for column in ("val/acc", "last(val/acc)", "seed", "name", "status", "id", "uid", "step"):
            heading = self.out("runs", "--sort", column).split("\n")[0].split()
            self.assertEqual(sorted(set(heading)), sorted(heading), column)
        self.assertIn("best(val/acc)", self.out("runs", "--sort", "best(val/acc)").split("\n")[0])
        self.assertIn("lr", self.out("runs", "--sort", "lr").split("\n")[0].split())

    def test_what_cannot_be_sorted_by(self):
        self.assertIn("did you mean 'val/acc'?", self.err("runs", "--sort", "last(val/ac)"))
        self.assertIn("did you mean 'seed'?", self.err("runs", "--sort", "sed"))
        self.assertIn("which way is better is not known", self.err("runs", "--best", "score"))
        self.assertIn("--sort: expected no --best beside it", self.err("runs", "--best", "val/acc", "--sort", "lr"))
        for bad in ("3", "'text'", "nil", "lr lr", "last(", "lr, "):
            self.err("runs", "--sort", bad)

    def test_columns(self):
        columns = "way, lr,best(val/acc),result/acc,at(val/acc, 2),tags.none"
        out = self.out("runs", "--columns", columns, "--best", "val/acc").splitlines()
        self.assertRegex(out[0], r"^id +way +lr +best\(val/acc\) +result/acc +at\(val/acc, 2\) +tags.none$")
        self.assertRegex(out[2], r"^ 4 +new +0\.2000 +0\.9500 +0\.9300 +0\.9500 +–$")
        self.assertRegex("\n".join(out), r" 5 +new +0\.2000 +0\.9500 +nan ")
        runs = json.loads(self.out("runs", "--json", "--columns", "lr,result/acc,even"))
        self.assertEqual(runs[0]["columns"], {"lr": .1, "result/acc": .8, "even": 2})
        self.assertEqual(runs[4]["columns"], {"lr": .2, "result/acc": None, "even": 2})  # NaN
        self.assertEqual(runs[5]["columns"], {"lr": .2, "result/acc": .3})
        self.assertRegex(self.out("runs", "--best", "val/acc"), r"val/acc +best\(val/acc\) +time")
        self.assertIn("did you mean 'way'?", self.err("runs", "--columns", "wayy"))

    def test_the_newest_first(self):
        self.assertEqual(self.ids("--reverse"), [7, 6, 5, 4, 3, 2, 1])
        self.assertEqual(self.ids("--reverse", "--limit", "2"), [7, 6])

    def test_names_that_no_run_has(self):
        self.assertIn("--best: no run has the metric 'acc' (did you mean 'val/acc'?)", self.err("runs", "--best", "acc"))
        self.assertIn("unknown name 'val/lss' (did you mean 'val/loss'?); expected a column of runs, a parameter, or a metric",
                      self.err("runs", "--columns", "val/lss"))
        self.assertIn("did you mean 'val/acc'?", self.err("plot", "acc"))

    def test_colours_where_they_are_wanted(self):
        for more, wanted in (({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)):
            ours, theirs = os.openpty()
            env = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
            subprocess.run([GRADUS, "runs"], cwd=self.dir, stdout=theirs, timeout=60, check=True,
                           env={**env, "TERM": "xterm", "GRADUS_STORE": "runs/gradus.db", **more})
            os.close(theirs)
            self.assertEqual(b"\033[" in os.read(ours, 65536), wanted, more)
            os.close(ours)

    def test_a_table_is_no_wider_than_the_terminal(self):
        def lines(width, *command):
            ours, theirs = os.openpty()
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 40, width, 0, 0))
            subprocess.run([GRADUS, *command], cwd=self.dir, stdout=theirs, timeout=60, check=True,
                           env=os.environ | {"NO_COLOR": "1", "GRADUS_STORE": "runs/gradus.db"})
            os.close(theirs)
            text = os.read(ours, 65536).decode().replace("\r", "")
            os.close(ours)
            return text.splitlines()
        whole = self.out("runs").splitlines()
        self.assertIn("started (UTC)", whole[0])
        width = max(map(len, whole))
        self.assertEqual(lines(width, "runs"), whole)
        less = lines(width - 1, "runs")  # the start goes first
        self.assertEqual([line.split() for line in less[2:]], [line.split()[:-2] for line in whole[2:]])
        parts = lines(40, "runs")
        self.assertTrue(all(len(line) <= 40 for line in parts), parts)
        self.assertEqual([line.split()[0] for line in parts if line and "started" not in line],
                         ([line.split()[0] for line in whole]) * (parts.count("") + 1))
        self.assertEqual(lines(40, "runs", "--columns", "name,val/acc")[0].split(), ["id", "name", "val/acc"])
        for command in (("compare", "--by", "lr"), ("diff", "1", "2")):  # and what is said below one
            below, whole = lines(38, *command), self.out(*command)
            self.assertTrue(all(len(line) <= 38 for line in below), below)
            self.assertGreater(max(map(len, whole.splitlines())), 38)
            self.assertEqual(" ".join(below).split()[-5:], whole.split()[-5:])

    def test_options_that_look_alike(self):
        self.assertNotIn("did you mean", self.err("compare", "--sort", "x"))
        self.assertIn("did you mean '--sort'?", self.err("runs", "--sotr", "x"))
        self.assertIn("did you mean '--columns'?", self.err("runs", "--colums", "x"))
        self.assertIn("did you mean '--threshold'?", self.err("compare", "--treshold", "x"))


class One(HistoryCase):
    def test_code(self):
        self.assertEqual(self.out("show", "4", "--code"), "-- digits.lua\n-- new\nreturn 1\n")
        self.assertEqual(json.loads(self.out("show", "4", "--code", "--json")),
                         [{"path": "digits.lua", "text": "-- new\nreturn 1"}])

    def test_curve(self):
        lines = self.out("show", "1", "--curve", "val_acc", "--curve", "even").splitlines()
        self.assertEqual([line.split() for line in lines[2:]],
                         [["1", "0.5000", "–"], ["2", "0.9000", "2"], ["3", "0.8000", "–"]])
        self.assertEqual(json.loads(self.out("show", "1", "--curve", "val/acc", "--json")),
                         {"val/acc": [[1, .5], [2, .9], [3, .8]]})
        self.assertIn("did you mean 'val/acc'?", self.err("show", "1", "--curve", "val/ac"))
        self.err("show", "1", "--curve", "val/acc", "--code")

    def test_nothing_is_cut_without_a_way_to_see_it(self):
        note = "a long note on what was tried " * 8
        out, err = self.run_it("show", "1")
        self.assertNotIn(note.strip(), out)
        self.assertIn("--full shows them whole", err)
        out, err = self.run_it("show", "1", "--full")
        self.assertIn(note.strip(), out)
        self.assertNotIn("--full", err)
        for command in (["sql", "SELECT value FROM params WHERE key = 'why' LIMIT 1"], ["runs", "--columns", "why"],
                        ["compare", "--by", "why"], ["diff", "1", "8"]):
            self.assertIn("--full shows them whole", self.run_it(*command)[1], command)
            self.assertIn(note.strip(), self.out(*command, "--full"), command)
        self.assertNotIn("--full", self.run_it("runs")[1])

    def test_nan_is_not_nothing(self):
        self.assertRegex(self.out("show", "5"), r"result/acc +nan +nan")

    def test_csv_of_some_metrics_and_points(self):
        rows = list(csv.DictReader(io.StringIO(self.out("export", "csv", "--metric", "val_acc", "1"))))
        self.assertEqual([(r["key"], r["step"], float(r["value"])) for r in rows],
                         [("val/acc", "1", .5), ("val/acc", "2", .9), ("val/acc", "3", .8)])
        two = self.out("export", "csv", "--metric", "val/acc", "--metric", "even")
        self.assertEqual({r["key"] for r in csv.DictReader(io.StringIO(two))}, {"val/acc", "even"})
        self.assertIn("did you mean 'val/acc'?", self.err("export", "csv", "--metric", "val/ac"))


class Long(HistoryCase):
    spec = """
it("makes a long curve", function()
  local w = require("gradus.store").open("%(path)s"):begin { name = "long", seed = 1 }
  local key = w:key "loss"
  for step = 1, 20000 do w:log(key, step, step == 777 and 1e6 or 1 / step) end
  w:finish "finished"
end)
"""

    def test_thinned(self):
        rows = list(csv.DictReader(io.StringIO(self.out("export", "csv", "--points", "200"))))
        self.assertLessEqual(len(rows), 200)
        self.assertGreater(len(rows), 50)
        self.assertIn("777", [r["step"] for r in rows])  # no extreme is lost
        self.assertEqual((rows[0]["step"], rows[-1]["step"]), ("1", "20000"))
        self.assertEqual(len(self.out("export", "csv").splitlines()), 20001)
        self.err("export", "csv", "--points", "0")


# Command -> all that is said of the runs of Rich; # stands for what is this store's own.
RICH = {
    ("show", "1"): """\
run 1  rich  finished  1 min 05 s
  uid          #
  note         look here
  archived     #
  kind         run
  seed         3
  started      #
  ended        #
  device       cpu
  threads      2
  host         here
  script       a.lua
  command      gradus run a.lua
  git_commit   dddddddddddddddddddddddddddddddddddddddd (with uncommitted changes, kept among the sources)
  config_hash  c
  folder       #

tags
  mark = @
  paper = table 2

params
  long = xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
  lr = 0.001

metrics
key        last     min  argmin     max  argmax  count
───────  ──────  ──────  ──────  ──────  ──────  ─────
all_nan     nan     nan       –     nan       –      1
inf         inf     inf       1     inf       1      1
val/acc  0.4000  0.1000       1  0.4000       4      4

events
step  kind      name     detail
────  ────────  ───────  ───────────────────
   2  decision  advance  acc 0.2500, to hard

started
id  name     kind     status    from  to
──  ───────  ───────  ────────  ────  ──
 2  teacher  teacher  failed       –   –
 3  part     attempt  finished     –   –

forks
id  name  status       at step  with
──  ────  ───────────  ───────  ──────
 4  fork  interrupted        2  lr=0.5

sources
path   sha256        bytes
─────  ────────────  ─────
a.lua  aaaaaaaaaaaa      8
b.lua  bbbbbbbbbbbb      9

artifacts
kind     path            bytes
───────  ─────────────  ──────
weights  w.safetensors  123456

snapshots
snapshot  bytes
────────  ─────
1-10        100
1-200       100
2-end       100
! gradus: texts that end in … are cut; --full shows them whole
""",
    ("show", "2"): """\
run 2  teacher  failed  –
  uid          #
  kind         teacher
  parent       1
  started      #
  ended        #
  error        out of memory
  folder       #
""",
    ("show", "4"): """\
run 4  fork  interrupted  –
  uid          #
  kind         run
  started      #
  ended        #
  error        stopped
  folder       #
  origin       a fork of run 1 at step 2, with lr=0.5

params
  lr = 0.5

events
step  kind    name  detail
────  ──────  ────  ─────────────────────────────────────────────────────
   2  resume  fork  at 2, lr 0.5000, uid #
""",
    ("show", "1", "--code"): "-- a.lua\nreturn 1\n-- b.lua\nreturn 2\n",
    ("show", "1", "--curve", "val/acc", "--curve", "all_nan"): """\
step  val/acc  all_nan
────  ───────  ───────
   1   0.1000      nan
   2   0.2000        –
   3   0.3000        –
   4   0.4000        –
""",
    ("diff", "1", "4"): """\
a: run 1  rich
b: run 4  fork
run 4 is a fork of run 1 at step 2, with lr=0.5; until then the same

parameters
      run 1                                                         run 4
────  ────────────────────────────────────────────────────────────  ─────
long  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…  –
lr    0.001                                                         0.5
seed  3                                                             –

environment
            run 1                                     run 4
──────────  ────────────────────────────────────────  ─────
command     gradus run a.lua                          –
device      cpu                                       –
git_commit  dddddddddddddddddddddddddddddddddddddddd  –
git_dirty   true                                      –
host        here                                      –
script      a.lua                                     –
threads     2                                         –

source a.lua
--- run 1/a.lua
+++ run 4/a.lua
@@ -1 +0,0 @@
-return 1
\\ No newline at end of file

source b.lua
--- run 1/b.lua
+++ run 4/b.lua
@@ -1 +0,0 @@
-return 2

source uncommitted changes (git diff)
--- run 1/uncommitted changes (git diff)
+++ run 4/uncommitted changes (git diff)
@@ -1 +0,0 @@
-+x

schedule
decisions of run 1: advance at 2
decisions of run 4: none

no step that both logged
! gradus: texts that end in … are cut; --full shows them whole
""",
    ("runs", "--children", "--archived"): """\
id  uid       name     seed  status       step  val/acc        time  started (UTC)
──  ────────  ───────  ────  ───────────  ────  ───────  ──────────  ────────────────
 1  #  rich        3  finished        –   0.4000  1 min 05 s  #
 2  #  teacher     –  failed          –        –           –  #
 3  #  part        3  finished        –        –           –  #
 4  #  fork        –  interrupted     –        –           –  #
""",
    ("runs",): """\
id  uid       name  seed  status       step  train/loss  time  started (UTC)
──  ────────  ────  ────  ───────────  ────  ──────────  ────  ────────────────
 4  #  fork     –  interrupted     –           –     –  #
""",
    ("runs", "--archived", "--columns", "name,lr,id,tags.paper,all_nan,seed"): """\
id  name        lr  tags.paper  all_nan  seed
──  ────  ────────  ──────────  ───────  ────
 1  rich  0.001000  table 2         nan     3
 4  fork    0.5000  –                 –     –
""",
}


class Rich(HistoryCase):
    """A run of which there is everything to tell."""
    spec = """
it("makes runs", function()
  local store = require("gradus.store").open "%(path)s"
  local host = require "gradus.host"
  local w = store:begin { name = "rich", seed = 3, config_hash = "c",
    params = { { key = "lr", value = 0.001 }, { key = "long", value = ("x"):rep(130) } },
    sources = { { path = "a.lua", sha256 = ("a"):rep(64), text = "return 1" }, { path = "b.lua", sha256 = ("b"):rep(64), text = "return 2\\n" } },
    environment = { threads = 2, device = "cpu", host = "here", command = "gradus run a.lua", script = "a.lua",
      git = { commit = ("d"):rep(40), dirty = true, diff = "+x\\n" } } }
  w:log(w:key "train/loss", 1, 1)
  for step = 1, 3 do w:log(w:key "val/acc", step, step / 10) end
  w:log(w:key "all_nan", 1, 0 / 0)
  w:log(w:key "inf", 1, 1 / 0)
  w:artifact("weights", "w.safetensors", ("9"):rep(64), 123456)
  host.mkdirs(w.folder .. "/snapshots")
  for _, name in ipairs { "1-10", "1-200", "2-end" } do
    local file = io.open(w.folder .. "/snapshots/" .. name .. ".safetensors", "w")
    file:write(("x"):rep(100))
    file:close()
  end
  w:flush()
  store:tag(w.id, "paper", "table 2")
  store:tag(w.id, "mark", "")
  store:begin({ name = "teacher", kind = "teacher", parent = w.id }):finish("failed", "out of memory")
  w:split { name = "part", kind = "attempt", prefixes = '["train/"]' }
  w:event(1, "best", "val/acc", '{"value":0.1}')
  w:event(1, "spread", "logits", '{}')
  w:event(2, "decision", "advance", '{"numbers":{"acc":0.25},"to":"hard"}')
  w:log(w:key "val/acc", 4, .4)
  w:finish "finished"
  local fork = store:begin { name = "fork", params = { { key = "lr", value = .5 } } }
  fork:event(2, "resume", "fork", host.json_encode { uid = w.uid, at = 2, set = { lr = .5 } })
  fork:finish("interrupted", "stopped")
end)
"""

    def test_all_that_is_said(self):
        with contextlib.closing(sqlite3.connect(self.dir / "runs" / "gradus.db")) as db, db:
            db.execute("UPDATE runs SET seconds = CASE id WHEN 1 THEN 65 END")
            db.execute("UPDATE runs SET note = 'look here', archived = '2026-01-02T03:04:05.000Z' WHERE id = 1")
        for command, said in RICH.items():
            out, err = self.run_it(*command)
            got = out + "".join(f"! {line}\n" for line in err.splitlines())
            pattern = re.escape(said.replace("@", "")).replace(r"\#", r"[^\n]+?")
            if not re.fullmatch(pattern, got):
                self.maxDiff = None
                self.assertEqual(got, said, command)
        with contextlib.closing(sqlite3.connect(self.dir / "runs" / "gradus.db")) as db, db:
            db.execute("UPDATE runs SET git_dirty = NULL WHERE id = 1")
        self.assertIn("dddd (git took too long to say whether there were uncommitted changes)\n", self.out("show", "1"))
        with contextlib.closing(sqlite3.connect(self.dir / "runs" / "gradus.db")) as db, db:
            db.execute("UPDATE runs SET git_dirty = 0, archived = NULL WHERE id = 1")
        self.assertIn("dddd\n", self.out("show", "1"))

    def test_in_colours(self):
        ours, theirs = os.openpty()
        env = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
        subprocess.run([GRADUS, "diff", "1", "4"], cwd=self.dir, stdout=theirs, stderr=subprocess.DEVNULL, timeout=60, check=True,
                       env=env | {"TERM": "xterm", "GRADUS_STORE": "runs/gradus.db"})
        text = os.read(ours, 65536).decode().replace("\r", "")
        for part in ("\n\x1b[1msource b.lua\x1b[0m\n\x1b[31m--- run 1/b.lua\x1b[0m\n\x1b[32m+++ run 4/b.lua\x1b[0m\n\x1b[36m@@ -1 +0,0 @@\x1b[0m\n"
                     "\x1b[31m-return 2\x1b[0m\n", "\n\\ No newline at end of file\n"):
            self.assertIn(part, text)
        subprocess.run([GRADUS, "runs", "--children", "--archived"], cwd=self.dir, stdout=theirs, stderr=subprocess.DEVNULL, timeout=60, check=True,
                       env=env | {"TERM": "xterm", "GRADUS_STORE": "runs/gradus.db"})
        text = os.read(ours, 65536).decode()
        for part in ("\x1b[32mfinished\x1b[0m", "\x1b[31mfailed\x1b[0m", "\x1b[33minterrupted\x1b[0m"):
            self.assertIn(part, text)
        os.close(theirs)
        os.close(ours)


class Telling(HistoryCase):
    spec = """
it("makes runs of numbers, and one that measured nothing", function()
  local store = require("gradus.store").open "%(path)s"
  for seed, metrics in ipairs { { ["train/loss"] = .5 }, { ["train/loss"] = .25, ["val/loss"] = .75 } } do
    local w = store:begin { name = "prices", seed = seed }
    for key, value in pairs(metrics) do w:log(w:key(key), 1, value) end
    w:finish "finished"
  end
end)
"""

    def test_the_list_shows_what_tells_most_of_what_there_is(self):
        out = self.out("runs").splitlines()
        self.assertEqual(out[0].split(), ["id", "uid", "name", "seed", "status", "step", "val/loss", "time", "started", "(UTC)"])
        self.assertRegex(out[2], r"^ 1 .* – ")
        self.assertRegex(out[3], r"^ 2 .* 0\.7500 ")
        self.assertRegex(self.out("runs", "--where", "seed == 1"), r"train/loss[^\0]* 0\.5000 ")

    def test_runs_that_never_logged_a_metric_are_told(self):
        self.assertEqual(self.run_it("compare", "--by", "name", "--metric", "val/loss,train/loss"), ("""\
name    runs         val/loss   train/loss
──────  ────  ───────────────  ───────────
prices     2  0.7500 (1 of 2)  0.38 ± 0.18
mean ± sample standard deviation over runs
prices: 1 of 2 runs never logged val/loss
lower is better: val/loss, train/loss
""", ""))
        self.assertEqual(self.run_it("compare", "--by", "seed", "--metric", "val/loss", "--versus", "1", "--auc"), ("""\
seed  runs    val/loss
────  ────  ──────────
1        1  – (0 of 1)
2        1      0.7500
mean ± sample standard deviation over runs
auc: area under the curve over steps, divided by their span
lower is better: val/loss

difference to seed = 1, paired by seed
seed  metric    pairs  difference  95 % interval  p  p Holm  p Wilcoxon  verdict
────  ────────  ─────  ──────────  ─────────────  ─  ──────  ──────────  ───────────────
2     val/loss      0           –              –  –       –           –  no shared seeds
p: paired t test; Holm: corrected over the groups of a measure, what the verdict goes by; Wilcoxon: signed ranks
""", ""))
        out = self.run_it("compare", "--by", "seed", "--metric", "val/loss,train/loss", "--versus", "2")[0]
        self.assertEqual(out.split("paired by seed\n")[1], """\
seed  metric      pairs  difference  95 % interval  p  p Holm  p Wilcoxon  verdict
────  ──────────  ─────  ──────────  ─────────────  ─  ──────  ──────────  ───────────────
1     train/loss      0           –              –  –       –           –  no shared seeds
groups that never logged a metric are left out there
p: paired t test; Holm: corrected over the groups of a measure, what the verdict goes by; Wilcoxon: signed ranks
""")


# A comparison -> all that is said of it.
COMPARED = {
    '--by way --versus base --metric result/acc': """\
way     runs       result/acc
────  ──────  ───────────────
base       3    0.837 ± 0.032
new   2 of 3  0.9300 (1 of 3)
dead  0 of 1       – (0 of 1)
mean ± sample standard deviation over runs
run 6 (new, seed 3) failed: out of memory
new: result/acc of 1 of 3 runs is not finite: diverged, in no mean
run 7 (dead, seed 1) failed: out of memory
higher is better: result/acc

difference to way = base, paired by seed
way   metric      pairs  difference  95 % interval       p  p Holm  p Wilcoxon  verdict
────  ──────────  ─────  ──────────  ─────────────  ──────  ──────  ──────────  ─────────────────
new   result/acc      1     +0.1300              –  1.0000  1.0000      1.0000  open; 2 of 3 lost
dead  result/acc      0           –              –       –       –           –  no run finished
p: paired t test; Holm: corrected over the groups of a measure, what the verdict goes by; Wilcoxon: signed ranks
lost: failed, interrupted, not finite or never reached: the worst outcome; then p is that of the signs
""",
    '--by way --versus base --metric val/acc,score --at step=2 --threshold val/acc>=0.9': """\
way     runs              val/acc last                 best            at step 2              score last           at step 2  steps to val/acc>=0.9  samples  flops  seconds
────  ──────  ────────────────────────  ───────────────────  ───────────────────  ──────────────────────  ──────────────────  ─────────────────────  ───────  ─────  ───────
base       3             0.837 ± 0.032        0.870 ± 0.026          0.77 ± 0.12             8.37 ± 0.32           7.7 ± 1.2             2 (1 of 3)        –      –        –
new   2 of 3  0.9350 ± 0.0071 (2 of 3)  0.9500 ± 0 (2 of 3)  0.9500 ± 0 (2 of 3)  9.350 ± 0.071 (2 of 3)  9.500 ± 0 (2 of 3)         2 ± 0 (2 of 3)        –      –        –
dead  0 of 1                – (0 of 1)           – (0 of 1)           – (0 of 1)              – (0 of 1)          – (0 of 1)                  never    never  never    never
mean ± sample standard deviation over runs
at step 2: the last value by then; a run that ended earlier keeps its last
run 6 (new, seed 3) failed: out of memory
run 7 (dead, seed 1) failed: out of memory
higher is better: val/acc
which way is better of score? `gradus better score higher` (or lower) says it

difference to way = base, paired by seed
way   metric                   pairs      difference    95 % interval       p  p Holm  p Wilcoxon  verdict
────  ───────────────────────  ─────  ──────────────  ───────────────  ──────  ──────  ──────────  ──────────────────────────────────────────────────────
new   val/acc last                 2  +0.110 ± 0.028  [-0.144, 0.364]  1.0000  1.0000      0.5000  open; 1 of 3 lost
dead  val/acc last                 0               –                –       –       –           –  no run finished
new   val/acc best                 2  +0.075 ± 0.035  [-0.243, 0.393]  1.0000  1.0000      0.5000  open; 1 of 3 lost
dead  val/acc best                 0               –                –       –       –           –  no run finished
new   val/acc at step 2            2    +0.15 ± 0.14    [-1.12, 1.42]  1.0000  1.0000      0.5000  open; 1 of 3 lost
dead  val/acc at step 2            0               –                –       –       –           –  no run finished
new   score last                   2    +1.10 ± 0.28    [-1.44, 3.64]       –       –      0.5000  open: which way is better?; 1 of 3 lost
dead  score last                   0               –                –       –       –           –  no run finished
new   score at step 2              2      +1.5 ± 1.4    [-11.2, 14.2]       –       –      0.5000  open: which way is better?; 1 of 3 lost
dead  score at step 2              0               –                –       –       –           –  no run finished
new   steps to val/acc>=0.9        1               0                –  1.0000  1.0000      1.0000  open; 1 of 3 of the baseline lost, 1 of 3 lost by both
dead  steps to val/acc>=0.9        0               –                –  1.0000  1.0000           –  no run finished
new   flops to val/acc>=0.9        0               –                –       –       –           –  open; 1 of 1 lost by both
dead  flops to val/acc>=0.9        0               –                –       –       –           –  no run finished
new   samples to val/acc>=0.9      0               –                –       –       –           –  open; 1 of 1 lost by both
dead  samples to val/acc>=0.9      0               –                –       –       –           –  no run finished
new   seconds to val/acc>=0.9      0               –                –       –       –           –  open; 1 of 1 lost by both
dead  seconds to val/acc>=0.9      0               –                –       –       –           –  no run finished
p: paired t test; Holm: corrected over the groups of a measure, what the verdict goes by; Wilcoxon: signed ranks
lost: failed, interrupted, not finite or never reached: the worst outcome; then p is that of the signs
""",
    '--by way --versus new --metric even': """\
way     runs            even
────  ──────  ──────────────
base       3           2 ± 0
new   2 of 3  2 ± 0 (2 of 3)
dead  0 of 1      – (0 of 1)
mean ± sample standard deviation over runs
run 6 (new, seed 3) failed: out of memory
run 7 (dead, seed 1) failed: out of memory
which way is better of even? `gradus better even higher` (or lower) says it

difference to way = new, paired by seed
way   metric  pairs  difference  95 % interval  p  p Holm  p Wilcoxon  verdict
────  ──────  ─────  ──────────  ─────────────  ─  ──────  ──────────  ───────────────────────────────────────────────────────
base  even        2       0 ± 0              –  –       –      1.0000  open: which way is better?; 1 of 3 of the baseline lost
dead  even        0           –              –  –       –           –  no run finished
p: paired t test; Holm: corrected over the groups of a measure, what the verdict goes by; Wilcoxon: signed ranks
lost: failed, interrupted, not finite or never reached: the worst outcome; then p is that of the signs
""",
    '--by way --versus dead --metric val/acc': """\
way     runs              val/acc last                 best
────  ──────  ────────────────────────  ───────────────────
base       3             0.837 ± 0.032        0.870 ± 0.026
new   2 of 3  0.9350 ± 0.0071 (2 of 3)  0.9500 ± 0 (2 of 3)
dead  0 of 1                – (0 of 1)           – (0 of 1)
mean ± sample standard deviation over runs
run 6 (new, seed 3) failed: out of memory
run 7 (dead, seed 1) failed: out of memory
higher is better: val/acc

difference to way = dead, paired by seed
way   metric        pairs  difference  95 % interval  p  p Holm  p Wilcoxon  verdict
────  ────────────  ─────  ──────────  ─────────────  ─  ──────  ──────────  ───────────────
base  val/acc last      0           –              –  –       –           –  no shared seeds
new   val/acc last      0           –              –  –       –           –  no shared seeds
base  val/acc best      0           –              –  –       –           –  no shared seeds
new   val/acc best      0           –              –  –       –           –  no shared seeds
p: paired t test; Holm: corrected over the groups of a measure, what the verdict goes by; Wilcoxon: signed ranks
""",
    '--by way --versus base --metric val/acc --where \'seed == 1 and way != "dead"\'': """\
way   runs  val/acc last    best
────  ────  ────────────  ──────
base     1        0.8000  0.9000
new      1        0.9300  0.9500
mean ± sample standard deviation over runs
higher is better: val/acc

difference to way = base, paired by seed
way  metric        pairs  difference  95 % interval  p  p Holm  p Wilcoxon  verdict
───  ────────────  ─────  ──────────  ─────────────  ─  ──────  ──────────  ─────────────────────
new  val/acc last      1     +0.1300              –  –       –      1.0000  one pair says nothing
new  val/acc best      1    +0.05000              –  –       –      1.0000  one pair says nothing
p: paired t test; Holm: corrected over the groups of a measure, what the verdict goes by; Wilcoxon: signed ranks
""",
    '--by name --versus digits --metric val/acc': """\
name      runs            val/acc last                    best
──────  ──────  ──────────────────────  ──────────────────────
digits  5 of 7  0.876 ± 0.059 (5 of 7)  0.902 ± 0.048 (5 of 7)
mean ± sample standard deviation over runs; groups mix different lr, way
run 6 (digits, seed 3) failed: out of memory
run 7 (digits, seed 1) failed: out of memory
higher is better: val/acc

difference to name = digits, paired by seed
no group has what it could be compared by
p: paired t test; Holm: corrected over the groups of a measure, what the verdict goes by; Wilcoxon: signed ranks
""",
    '--by way,lr --unfinished --ci bootstrap --metric val/acc': """\
way   lr   runs                    val/acc last                            best
────  ───  ────  ──────────────────────────────  ──────────────────────────────
base  0.1     3  0.837 ± 0.032 [0.8000, 0.8567]  0.870 ± 0.026 [0.8533, 0.9000]
new   0.2     3      0.72 ± 0.37 [0.300, 0.937]      0.73 ± 0.38 [0.300, 0.950]
dead  0.3     1                          0.1000                          0.1000
mean ± sample standard deviation over runs; [95 % confidence interval of the mean, bootstrap]
higher is better: val/acc
""",
    '--by way --versus base --metric score --level 0.8': """\
way     runs              score last
────  ──────  ──────────────────────
base       3             8.37 ± 0.32
new   2 of 3  9.350 ± 0.071 (2 of 3)
dead  0 of 1              – (0 of 1)
mean ± sample standard deviation over runs
run 6 (new, seed 3) failed: out of memory
run 7 (dead, seed 1) failed: out of memory
which way is better of score? `gradus better score higher` (or lower) says it

difference to way = base, paired by seed
way   metric      pairs    difference  80 % interval  p  p Holm  p Wilcoxon  verdict
────  ──────────  ─────  ────────────  ─────────────  ─  ──────  ──────────  ───────────────────────────────────────
new   score last      2  +1.10 ± 0.28   [0.48, 1.72]  –       –      0.5000  open: which way is better?; 1 of 3 lost
dead  score last      0             –              –  –       –           –  no run finished
p: paired t test; Holm: corrected over the groups of a measure, what the verdict goes by; Wilcoxon: signed ranks
lost: failed, interrupted, not finite or never reached: the worst outcome; then p is that of the signs
""",
}


class Outcomes(HistoryCase):
    def test_all_that_is_said_of_comparisons(self):
        for command, said in COMPARED.items():
            self.assertEqual(self.run_it("compare", *shlex.split(command)), (said, ""), command)

    def test_runs_that_came_to_nothing_are_shown(self):
        out = self.out("compare", "--by", "way", "--versus", "base", "--metric", "result/acc")
        self.assertRegex(out, r"new +2 of 3 +0\.9300 \(1 of 3\)")
        self.assertRegex(out, r"dead +0 of 1 +– \(0 of 1\)")
        self.assertIn("run 6 (new, seed 3) failed: out of memory", out)
        self.assertIn("new: result/acc of 1 of 3 runs is not finite: diverged, in no mean", out)
        self.assertRegex(out, r"new +result/acc +1 .*open; 2 of 3 lost")
        self.assertEqual(len([line for line in out.splitlines() if line.startswith("new  ")]), 2)
        self.assertIn("lost: failed, interrupted", out)

    def test_reports_count_them_too(self):
        self.run_it("report", "--by", "way", "-o", "r.md")
        text = (self.dir / "r.md").read_text()
        self.assertRegex(text, r"new \| 2 of 3 \| 0\.9300 \(1 of 3\)")
        self.assertRegex(text, r"dead \| 0 of 1 \| – \(0 of 1\)")
        self.run_it("report", "7", "-o", "dead.md")  # of runs that all came to nothing: what they came to
        self.assertRegex((self.dir / "dead.md").read_text(), r"\| 1 \| 0\.1000")

    def test_no_difference_only_within_a_margin(self):
        even = ["compare", "--by", "way", "--versus", "base", "--metric", "even", "--where", "way in ('base', 'new') and seed < 3"]
        self.assertIn("open: which way is better?", self.out(*even))
        self.assertIn("open: which way is better?", self.out(*even, "--margin", "0.5"))  # two pairs without spread: too few
        acc = ["compare", "--by", "way,lr", "--metric", "val/acc", "--where", "way in ('base', 'new') and seed < 3"]
        out = self.out(*acc, "--versus", "way=base,lr=0.1", "--margin", "0.5")
        self.assertIn("p equal", out)
        self.assertIn("difference to way,lr = base,0.1", out)
        self.assertIn("--margin: expected a number above 0", self.err("compare", "--versus", "base", "--margin", "x"))


class Latin1(HistoryCase):
    """Bytes that are no UTF-8 in a parameter, a name, a source and an error: shown escaped, and no command fails."""
    spec = """
it("makes runs", function()
  local store = require("gradus.store").open "%(path)s"
  for seed, file in ipairs { "Gr\\252n.csv", "Gr\\250n.csv", "plain.csv" } do
    local w = store:begin { name = "l\\228tin", seed = seed, config_hash = "h" .. seed,
      params = { { key = "file", value = file }, { key = "k\\228y", value = 1 } },
      sources = { { path = "l\\228tin.lua", sha256 = ("a"):rep(64), text = "-- Gr\\252n" .. seed } } }
    for step = 1, 5 do w:log(w:key "val/acc", step, step / 10) end
    w:event(1, "warning", "Gr\\252n", '{"a":1}')
    w:log(w:key "result/acc", 5, seed / 10)
    w:finish(seed == 3 and "failed" or "finished", seed == 3 and "cannot read Gr\\252n.csv" or nil)
  end
end)
"""

    def test_every_command(self):
        for command in (["runs"], ["runs", "--columns", "file,name", "--sort", "file"], ["runs", "--where", "file like 'Gr%'"], ["show", "1"],
                        ["show", "3"], ["show", "1", "--code"], ["show", "1", "--curve", "val/acc"], ["diff", "1", "2"], ["compare"],
                        ["compare", "--by", "file"], ["compare", "--by", "file", "--versus", "plain.csv"],
                        ["compare", "--by", "file", "--versus", os.fsdecode(b"Gr\xfcn.csv")], ["compare", "--unfinished"],
                        ["sql", "SELECT * FROM params"], ["sql", "SELECT * FROM sources"], ["export", "json"], ["doctor"],
                        ["better", "val/acc"]):
            for json_flag in ([], ["--json"]):
                if json_flag and command[0] == "export":
                    continue
                done = subprocess.run([GRADUS, *command, *json_flag], cwd=self.dir, capture_output=True, timeout=60,
                                      env={**os.environ, "GRADUS_STORE": "runs/gradus.db"})
                self.assertEqual(done.returncode, 0, (command, done.stderr))
                text = done.stdout.decode()  # is UTF-8
                self.assertNotIn("\ufffd", text, command)
                if json_flag:
                    json.loads(text)
        for command in (["plot", "val/acc", "--by", "file"], ["plot", "val/acc"], ["plot", "val/acc", "-o", "p.svg"],
                        ["plot", "val/acc", "--by", "file", "-o", "q.svg"], ["report", "--by", "file", "-o", "r.html"],
                        ["report", "-o", "r.md"], ["export", "csv"], ["export", "csv", "-o", "c/"], ["export", "json", "-o", "j.json"],
                        ["export", "mlflow", "m.db"], ["export", "tensorboard", "tb"], ["note", "1", os.fsdecode(b"\xfc")],
                        ["gc", "--yes"], ["archive", "1"], ["archive", "1", "--undo"]):
            done = subprocess.run([GRADUS, *command], cwd=self.dir, capture_output=True, timeout=60,
                                  env={**os.environ, "GRADUS_STORE": "runs/gradus.db"})
            self.assertEqual(done.returncode, 0, (command, done.stdout[-500:], done.stderr))
        for made in ("p.svg", "q.svg", "r.html", "r.md", "j.json"):
            self.assertNotIn("\ufffd", (self.dir / made).read_bytes().decode(), made)

    def test_escaped_and_apart(self):
        labels = [g["label"]["file"] for g in json.loads(self.out("compare", "--by", "file", "--json"))["groups"]]
        self.assertEqual(labels, ["Gr\\xfcn.csv", "Gr\\xfan.csv", "plain.csv"])
        self.assertIn("Gr\\xfcn.csv", self.out("show", "1"))
        self.assertEqual(json.loads(self.out("runs", "--json", "--where", b"file == 'Gr\xfcn.csv'"))[0]["id"], 1)


if __name__ == "__main__":
    unittest.main()
