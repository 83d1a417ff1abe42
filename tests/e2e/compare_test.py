"""Comparisons, diff, queries and housekeeping as a user meets them, on runs whose numbers are known."""

import contextlib
import fcntl
import json
import os
import pathlib
import re
import shutil
import sqlite3
import struct
import subprocess
import tempfile
import termios
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())

# strategy -> accuracy of seeds 1 to 5 at step 100; every curve rises in a straight line over steps 10, 20, …, 100.
ACCURACY = {"one_shot": [.90, .91, .89, .92, .90], "stages": [.94, .95, .92, .95, .945], "ramp": [.905, .90, .90, .93, .89]}

SPEC = """
it("makes runs", function()
  local store = require("gradus.store").open "%(path)s"
  local host = require "gradus.host"
  for _, one in ipairs(host.json_decode [==[%(runs)s]==]) do
    local run = store:begin { name = "digits", seed = one.seed, config_hash = one.strategy,
      params = { { key = "strategy", value = one.strategy }, { key = "lr", value = 0.01 } },
      sources = { { path = "digits.lua", sha256 = one.hash, text = one.text } }, environment = { script = "digits.lua" } }
    local key = run:key "val/acc"
    run:event(0, "stage", "easy", "{}")
    for step = 10, 100, 10 do
      run:log(key, step, one.acc * step / 100)
      run:progress(step, step / 10, step * 64, step * 1e6, step * 0.5)
    end
    run:event(40, "best", "val/acc", '{"value":0.4}')
    run:event(50, "decision", "advance", '{"numbers":{"acc":0.500001234},"to":"hard"}')
    run:event(50, "stage", "hard", '{"rows":40}')
    run:finish "finished"
  end
end)
"""


class CompareCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.made = pathlib.Path(tempfile.mkdtemp())
        runs = [{"strategy": s, "seed": i + 1, "acc": a, "hash": s[0] * 64, "text": f"-- one\nreturn '{s}'\n"}
                for s, accs in ACCURACY.items() for i, a in enumerate(accs)]
        spec = cls.made / "make.lua"
        spec.write_text(SPEC % {"path": cls.made / "gradus.db", "runs": json.dumps(runs)})
        subprocess.run([GRADUS, "test", spec], check=True, stdout=subprocess.DEVNULL)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.made)

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)
        shutil.copytree(self.made, self.dir / "runs")

    def gradus(self, *args, code=0, stdin=subprocess.DEVNULL):
        done = subprocess.run([GRADUS, *map(str, args)], cwd=self.dir, capture_output=True, text=True, timeout=60, stdin=stdin,
                              env={**os.environ, "GRADUS_STORE": "runs/gradus.db"})
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def json(self, *args):
        return json.loads(self.gradus(*args, "--json").stdout)


# What a command says, whole; # stands for what is this store's own, UID for the beginning of one. A line that begins with "! " is of standard error.
SAID = {
    ("tag", 1, "a"): "run 1: a\n",
    ("tag", 1, "b=x=y"): "run 1: b = x=y\n",
    ("tag", 1, "b", "--remove"): "run 1: tag b removed\n",
    ("tag", 1, "a", "--remove"): "run 1: tag a removed\n",
    ("tag", 1, "paper=table 2"): "run 1: paper = table 2\n",
    ("note", 1, "hello"): "run 1: noted\n",
    ("note", 1, ""): "run 1: note removed\n",
    ("better", "val/acc"): "val/acc: higher is better, by its name\n",
    ("better", "val/acc", "lower"): "val/acc: lower is better, as said\n",
    ("better", "val/acc", "higher"): "val/acc: higher is better, as said (lower before)\n",
    ("better", "val/acc", "--forget"): "val/acc: higher is better, by its name\n",
    ("archive", 1, 2, 1): "2 runs archived; `gradus runs --archived` lists them\n",
    ("archive", 1, 2, 15, "--undo"): "3 runs back from the archive\n",
    ("archive", 4): "1 run archived; `gradus runs --archived` lists them\n",
    ("archive", 4, "--undo"): "1 run back from the archive\n",
    ("archive", "--where", "seed == 99"): "no runs fit --where\n",
    ("delete", "--where", "seed == 99", "--yes"): "no runs fit --where\n",
    ("gc",): "nothing to remove\n",
    ("gc", "--yes", "--compact"): "nothing to remove; the store's file is compact\n",
    ("runs", "--where", "seed == 99"): "no runs fit --where\n",
    ("compare", "--where", "seed == 99"): "no ended runs fit --where\n",
    ("compare", "--unfinished", "--where", "seed == 99"): "no runs fit --where\n",
    ("compare", "--by", "stage", "--where", "seed == 99"): "no ended runs with stages\n",
    ("runs", "--where", "seed == 4"): """\
id  uid       name    strategy  seed  status    step  val/acc    time  started (UTC)
──  ────────  ──────  ────────  ────  ────────  ────  ───────  ──────  ────────────────
 4  UID  digits  one_shot     4  finished   100   0.9200  50.0 s  DATE
 9  UID  digits  stages       4  finished   100   0.9500  50.0 s  DATE
14  UID  digits  ramp         4  finished   100   0.9300  50.0 s  DATE
""",
    ("show", 1): """\
run 1  digits  finished  50.0 s
  uid          #
  kind         run
  seed         1
  started      #
  ended        #
  script       digits.lua
  config_hash  one_shot
  folder       #

tags
  paper = table 2

progress
  step = 100
  epoch = 10
  samples = 6400
  flops = 100000000
  seconds = 50

params
  lr = 0.01
  strategy = one_shot

metrics
key        last      min  argmin     max  argmax  count
───────  ──────  ───────  ──────  ──────  ──────  ─────
val/acc  0.9000  0.09000      10  0.9000     100     10

stages
stage  rows  steps     FLOPs  stage/loss  val/acc   change
─────  ────  ─────  ────────  ──────────  ───────  ───────
easy      –     50  50000000           –   0.4500        –
hard     40     50  50000000           –   0.9000  +0.4500

events
step  kind      name     detail
────  ────────  ───────  ───────────────────
   0  stage     easy
  50  decision  advance  acc 0.5000, to hard
  50  stage     hard     rows 40

sources
path        sha256        bytes
──────────  ────────────  ─────
digits.lua  oooooooooooo     25
""",
    ("compare",): """\
strategy  runs   val/acc last           best
────────  ────  ─────────────  ─────────────
one_shot     5  0.904 ± 0.011  0.904 ± 0.011
stages       5  0.941 ± 0.012  0.941 ± 0.012
ramp         5  0.905 ± 0.015  0.905 ± 0.015
mean ± sample standard deviation over runs
higher is better: val/acc
""",
    ("compare", "--ci", "--at", "step=55", "--auc", "--level", ".9", "--where", "strategy == 'stages'"): """\
strategy  runs                    val/acc last                            best                        at step 55                               auc
────────  ────  ──────────────────────────────  ──────────────────────────────  ────────────────────────────────  ────────────────────────────────
stages       5  0.941 ± 0.012 [0.9291, 0.9529]  0.941 ± 0.012 [0.9291, 0.9529]  0.4705 ± 0.0062 [0.4646, 0.4764]  0.5175 ± 0.0068 [0.5110, 0.5241]
mean ± sample standard deviation over runs; [90 % confidence interval of the mean, Student's t]
at step 55: the last value by then; a run that ended earlier keeps its last
auc: area under the curve over steps, divided by their span
higher is better: val/acc
""",
    ("compare", "--threshold", "val/acc>=0.9"): """\
strategy  runs   val/acc last           best  steps to val/acc>=0.9            samples                   flops          seconds
────────  ────  ─────────────  ─────────────  ─────────────────────  ─────────────────  ──────────────────────  ───────────────
one_shot     5  0.904 ± 0.011  0.904 ± 0.011       100 ± 0 (4 of 5)  6400 ± 0 (4 of 5)  100000000 ± 0 (4 of 5)  50 ± 0 (4 of 5)
stages       5  0.941 ± 0.012  0.941 ± 0.012                100 ± 0           6400 ± 0           100000000 ± 0           50 ± 0
ramp         5  0.905 ± 0.015  0.905 ± 0.015       100 ± 0 (4 of 5)  6400 ± 0 (4 of 5)  100000000 ± 0 (4 of 5)  50 ± 0 (4 of 5)
mean ± sample standard deviation over runs
higher is better: val/acc
""",
    ("compare", "--threshold", "val/acc>=2", "--where", "strategy == 'ramp' and seed < 3"): """\
strategy  runs     val/acc last             best  steps to val/acc>=2.0  samples  flops  seconds
────────  ────  ───────────────  ───────────────  ─────────────────────  ───────  ─────  ───────
ramp         2  0.9025 ± 0.0035  0.9025 ± 0.0035                  never    never  never    never
mean ± sample standard deviation over runs
higher is better: val/acc
""",
    ("compare", "--versus", "one_shot", "--margin", "0.01"): """\
strategy  runs   val/acc last           best
────────  ────  ─────────────  ─────────────
one_shot     5  0.904 ± 0.011  0.904 ± 0.011
stages       5  0.941 ± 0.012  0.941 ± 0.012
ramp         5  0.905 ± 0.015  0.905 ± 0.015
mean ± sample standard deviation over runs
higher is better: val/acc

difference to strategy = one_shot, paired by seed
strategy  metric        pairs        difference      95 % interval       p  p Holm  p Wilcoxon  p equal  verdict
────────  ────────────  ─────  ────────────────  ─────────────────  ──────  ──────  ──────────  ───────  ──────────────────
stages    val/acc last      5  +0.0370 ± 0.0067   [0.0287, 0.0453]  0.0002  0.0005      0.0625   0.9996  better
ramp      val/acc last      5    +0.001 ± 0.010  [-0.0117, 0.0137]  0.8379  0.8379      1.0000   0.1210  open; 6 more seeds
p: paired t test; Holm: corrected over the groups of a measure, what the verdict goes by; Wilcoxon: signed ranks
p equal: two one-sided t tests for a difference within the margin, corrected like p
more seeds: until such differences end the question in 80 % of studies
""",
    ("compare", "--by", "stage"): """\
strategy  stage  runs  rows  steps     FLOPs  stage/loss          val/acc            change
────────  ─────  ────  ────  ─────  ────────  ──────────  ───────────────  ────────────────
one_shot  easy      5     –     50  50000000           –  0.4520 ± 0.0057                 –
one_shot  hard      5    40     50  50000000           –    0.904 ± 0.011  +0.4520 ± 0.0057
stages    easy      5     –     50  50000000           –  0.4705 ± 0.0062                 –
stages    hard      5    40     50  50000000           –    0.941 ± 0.012  +0.4705 ± 0.0062
ramp      easy      5     –     50  50000000           –  0.4525 ± 0.0075                 –
ramp      hard      5    40     50  50000000           –    0.905 ± 0.015  +0.4525 ± 0.0075
mean ± sample standard deviation over runs; change: since the stage before; forgotten: the share that was right at some evaluation and is wrong at the \
stage's end
""",
    ("diff", 1, 6): """\
a: run 1  digits
b: run 6  digits

parameters
          run 1     run 6
────────  ────────  ──────
strategy  one_shot  stages

source digits.lua
--- run 1/digits.lua
+++ run 6/digits.lua
@@ -1,2 +1,2 @@
 -- one
-return 'one_shot'
+return 'stages'

metrics
metric   parts at step        a        b  last a  last b
───────  ─────────────  ───────  ───────  ──────  ──────
val/acc             10  0.09000  0.09400  0.9000  0.9400

the curves part at step 10: val/acc is 0.09 and 0.09399999999999999
  a, last before it: stage easy at step 0
  b, last before it: stage easy at step 0
""",
    ("diff", 1, 2): """\
a: run 1  digits
b: run 2  digits

parameters
      run 1  run 2
────  ─────  ─────
seed  1      2

metrics
metric   parts at step        a        b  last a  last b
───────  ─────────────  ───────  ───────  ──────  ──────
val/acc             10  0.09000  0.09100  0.9000  0.9100

the same code
the curves part at step 10: val/acc is 0.09 and 0.091
  a, last before it: stage easy at step 0
  b, last before it: stage easy at step 0
""",
    ("diff", 1, 1): "a: run 1  digits\nb: run 1  digits\n\nthe same code; every shared value is the same\n",
    ("sql", "select 1 as a, 2.5 as b, null as c, 'x' as d union select 2, 1e300, 3, 'yy'"): """\
a       b  c  d
─  ──────  ─  ──
1   2.500  –  x
2  1e+300  3  yy
""",
    ("sql", "select 1 as a, 'x' as b union all select 'y', 2 union all select null, null"): "a  b\n─  ─\n1  x\ny  2\n–  –\n",
    ("sql", f"select '{'x' * 80}' as n"): f"n\n{'─' * 80}\n{'x' * 80}\n",
    ("sql", f"select '{'x' * 81}' as n"): f"n\n{'─' * 80}\n{'x' * 79}…\n! gradus: texts that end in … are cut; --full shows them whole\n",
    ("sql", f"select '{'x' * 81}' as n", "--full"): f"n\n{'─' * 81}\n{'x' * 81}\n",
    ("sql", "select 5 as n union select 40", "--rows", 1): "n\n─\n5\n! gradus: there are more rows than 1; --rows N shows more\n",
    ("delete", 1, 2): """\
! id  uid       name    status    values    files
! ──  ────────  ──────  ────────  ──────  ───────
!  1  UID  digits  finished      10  0 bytes
!  2  UID  digits  finished      10  0 bytes
! gradus: delete 2 runs with 20 values and 0 bytes of files? expected --yes where nobody can be asked; nothing was removed
""",
    ("delete", 1, "--json"): "! gradus: delete 1 run with 10 values and 0 bytes of files? expected --yes where nobody can be asked; nothing was removed\n",
    ("delete", 3, "--yes"): "deleted 1 run with 10 values and 0 bytes of files\n",
    ("delete", 1, "--where", "seed == 5", "--yes"): "deleted 4 runs with 40 values and 0 bytes of files\n",
    ("doctor",): """\
ok   gradus    #
ok   luajit    LuaJIT #
ok   sqlite    3#
ok   libtorch  # in #
ok   store     runs/gradus.db: # MiB, WAL # MiB, 10 runs (0 live, 0 dead, 0 archived), 100 values; quick check: ok
""",
    ("doctor", "--full"): """\
ok   gradus    #
ok   luajit    LuaJIT #
ok   sqlite    3#
ok   libtorch  # in #
ok   store     runs/gradus.db: # MiB, WAL # MiB, 10 runs (0 live, 0 dead, 0 archived), 100 values; full check: ok
""",
}

# The same of --json.
SAID_AS_JSON = {
    ("tag", 1, "b"): {"run": 1, "tag": "b", "value": ""},
    ("tag", 1, "b=c"): {"run": 1, "tag": "b", "value": "c"},
    ("tag", 1, "b", "--remove"): {"run": 1, "removed": "b"},
    ("note", 2, "x"): {"run": 2, "note": "x"},
    ("better", "val/acc", "lower"): {"metric": "val/acc", "better": "lower", "source": "said"},
    ("better", "val/acc", "--forget"): {"metric": "val/acc", "better": "higher", "source": "name"},
    ("archive", 3): {"archived": True, "runs": [3]},
    ("archive", 3, 2, "--undo"): {"archived": False, "runs": [2, 3]},
    ("archive", "--where", "seed == 99"): {"archived": True, "runs": []},
    ("delete", "--where", "seed == 99"): {"deleted": []},
    ("gc",): {"folders": [], "cache": [], "snapshots": [], "sources": {"count": 0, "bytes": 0}, "bytes": 0, "removed": False},
    ("runs", "--where", "seed == 99"): [],
    ("show", 1, "--curve", "val/acc"): {"val/acc": [[step, .9 * step / 100] for step in range(10, 101, 10)]},
    ("sql", "select 1 as a, null as b, 'x' as c, 1.5 as d"): [{"a": 1, "b": None, "c": "x", "d": 1.5}],
}


class Whole(CompareCase):
    """In the order of the list: what one removes another lacks."""

    def test_what_is_said(self):
        with contextlib.closing(sqlite3.connect(self.dir / "runs" / "gradus.db")) as db, db:
            db.execute("UPDATE runs SET seconds = 50")
        for command, said in SAID.items():
            done = subprocess.run([GRADUS, *map(str, command)], cwd=self.dir, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                                  env={**os.environ, "GRADUS_STORE": "runs/gradus.db"})
            got = done.stdout + "".join(f"! {line}\n" for line in done.stderr.splitlines())
            pattern = re.escape(said).replace(r"\#", r"[^\n]+?").replace("UID", r"[0-9a-f]{8}").replace("DATE", r"\d{4}-\d\d-\d\d \d\d:\d\d")
            if not re.fullmatch(pattern, got):
                self.assertEqual(got, said, command)
            self.assertEqual(done.returncode, 64 if "expected --yes" in said else 0)

    def test_what_is_said_as_json(self):
        for command, said in SAID_AS_JSON.items():
            self.assertEqual(self.json(*command), said, command)

    def test_what_is_not_there(self):
        for command, code, told in ((("tag", 1, "b", "--remove"), 66, "tag: run 1 has no tag 'b'"), (("archive",), 64, "archive: expected a RUN or --where EXPR"),
                                    (("delete", "--yes"), 64, "delete: expected a RUN or --where EXPR"), (("note", 77, "x"), 66, "no such run"),
                                    (("merge", "runs/gradus.db"), 64, "the same file"), (("better", "none", "lower"), 64, "no run has the metric 'none'")):
            done = self.gradus(*command, code=code)
            self.assertIn(told, done.stderr)
            self.assertEqual((done.stdout, done.stderr.count("\n")), ("", 1))

    def test_who_is_asked_answers(self):
        cache = self.dir / "runs" / "cache"
        cache.mkdir()
        stray = self.dir / "runs" / ("e" * 32)
        stray.mkdir()
        (stray / "left").write_bytes(b"x" * 3000)
        for path in (stray / "left", stray):
            os.utime(path, (1e9, 1e9))
        (cache / "old").write_bytes(b"x" * 2500000)
        os.utime(cache / "old", (1e9, 1e9))
        uid = self.json("show", 1)["uid"]
        (self.dir / "runs" / uid / "w.bin").write_bytes(b"x" * 1024)

        def asked(answer, *command):
            leader, terminal = os.openpty()
            os.write(leader, answer.encode() + b"\n")
            done = subprocess.run([GRADUS, *command], cwd=self.dir, capture_output=True, text=True, timeout=60, stdin=terminal,
                                  env={**os.environ, "GRADUS_STORE": "runs/gradus.db"})
            os.close(terminal)
            os.close(leader)
            self.assertEqual(done.returncode, 0)
            return done.stdout, done.stderr
        what = "1 folder of no run, 0 unused sources, 0 snapshots and 1 stale cache entry (2.387 MiB)"
        for answer in ("n", "", "Yes", "yy"):
            out, err = asked(answer, "gc")
            self.assertEqual(out, "nothing removed\n")
            self.assertRegex(err, rf"^  \S*/{'e' * 32}  2\.930 KiB\n  \S*/cache/old  2\.384 MiB\nremove {re.escape(what)}\? \[y/N\] $")
        self.assertIs(json.loads(asked("n", "gc", "--json")[0])["removed"], False)
        out, err = asked("n", "delete", "1")
        self.assertEqual(out, "nothing deleted\n")
        self.assertRegex(err, r"\n 1  \w{8}  digits  finished      10  1 KiB\ndelete 1 run with 10 values and 1 KiB of files\? \[y/N\] $")
        self.assertEqual(json.loads(asked("n", "delete", "1", "--json")[0]), {"deleted": []})
        self.assertEqual(len(self.json("runs")), 15)
        self.assertEqual(asked("y", "gc", "--cache-days", "1e9")[0], "removed 1 folder of no run, 0 unused sources, 0 snapshots and 0 stale cache entries "
                         "(2.930 KiB)\n")
        self.assertTrue((cache / "old").exists())
        self.assertEqual(asked("yes", "gc", "--compact")[0], "removed 0 folders of no run, 0 unused sources, 0 snapshots and 1 stale cache entry (2.384 MiB); "
                         "the store's file is compact\n")
        self.assertFalse((cache / "old").exists())
        self.assertEqual(asked("Y", "delete", "1")[0], "deleted 1 run with 10 values and 1 KiB of files\n")
        self.assertEqual(len(self.json("runs")), 14)

    def test_how_a_name_was_read_is_told(self):
        for command in (["archive"], ["archive", "--undo"], ["runs"], ["compare"], ["plot", "val/acc"], ["report", "--markdown"], ["export", "csv"],
                        ["delete", "--yes"]):
            done = self.gradus(*command, "--where", "best(val_acc) > 0.949")
            self.assertEqual(done.stderr, "gradus: val_acc: read as the metric val/acc\n", command)
        self.assertEqual(len(self.json("runs")), 13)

    def test_what_gc_would_remove_is_counted_and_weighed(self):
        folder = self.dir / "runs" / self.json("show", 1)["uid"] / "snapshots"
        folder.mkdir()
        for name in ("1-10", "1-20", "2-5"):
            (folder / f"{name}.safetensors").write_bytes(b"x" * 100)
        for keep, count, size in (("last=1", "2 snapshots", "200 bytes"), ("last=2", "1 snapshot", "100 bytes")):
            err = self.gradus("gc", "--keep", keep, code=64).stderr
            self.assertEqual(err.splitlines()[-1], f"gradus: remove 0 folders of no run, 0 unused sources, {count} and 0 stale cache entries ({size})? "
                             "expected --yes where nobody can be asked; nothing was removed")
            self.assertEqual([line.split("/")[-1] for line in err.splitlines()[:-1]], ["1-10.safetensors  100 bytes", "1-20.safetensors  100 bytes"][:int(count[0])])
        plan = self.json("gc", "--keep", "last=1", "--yes")
        self.assertEqual((len(plan["snapshots"]), plan["bytes"], plan["removed"]), (2, 200, True))
        self.assertEqual([path.name for path in folder.iterdir()], ["2-5.safetensors"])
        cache = self.dir / "runs" / "cache"
        cache.mkdir()
        with contextlib.closing(sqlite3.connect(self.dir / "runs" / "gradus.db")) as db, db:
            db.execute("INSERT INTO sources VALUES ('unused', 'four')")
        for size, told in ((1024, "1 KiB"), (1023, "1023 bytes"), (3 << 20, "3 MiB"), (5 << 30, "5 GiB"), (2 << 40, "2 TiB")):
            with open(cache / "large", "wb") as file:
                file.truncate(size - 4)  # without blocks; the source has the other four
            os.utime(cache / "large", (1e9, 1e9))
            self.assertIn(f"remove 0 folders of no run, 1 unused source, 0 snapshots and 1 stale cache entry ({told})?", self.gradus("gc", code=64).stderr)
        (cache / "large").unlink()
        self.assertEqual(self.gradus("gc", "--yes").stdout, "removed 0 folders of no run, 1 unused source, 0 snapshots and 0 stale cache entries (4 bytes)\n")
        self.assertEqual(self.gradus("gc", "--yes").stdout, "nothing to remove\n")

    def test_merges_bring_up_to_date_what_has_changed(self):
        shutil.copytree(self.made, self.dir / "node")
        with contextlib.closing(sqlite3.connect(self.dir / "runs" / "gradus.db")) as db, db:
            db.execute("UPDATE runs SET status = 'interrupted', ended = '2026-01-01T00:00:00.000Z' WHERE id = 1")
        self.assertEqual(self.gradus("merge", "node/gradus.db").stdout, "node/gradus.db: 0 runs added, 1 brought up to date, 14 already here\n")

    def test_merges_say_what_became_of_each_store(self):
        for name in ("one", "two"):
            shutil.copytree(self.made, self.dir / name)
        with contextlib.closing(sqlite3.connect(self.dir / "two" / "gradus.db")) as db, db:
            db.execute("UPDATE runs SET uid = '0123456789abcdef0123456789abcdef' WHERE id = 1")
        self.gradus("delete", 1, 2, "--yes")
        self.assertEqual(self.gradus("merge", "one/gradus.db", "two/gradus.db").stdout,
                         "one/gradus.db: 2 runs added, 13 already here\ntwo/gradus.db: 1 run added, 14 already here\n")
        self.assertEqual(self.gradus("merge", "one/gradus.db").stdout, "one/gradus.db: 0 runs added, 15 already here\n")


class Compare(CompareCase):
    def test_default_output_is_calm(self):
        out = self.gradus("compare").stdout
        self.assertEqual(len(out.splitlines()), 7)
        self.assertEqual(out.splitlines()[-1], "higher is better: val/acc")
        self.assertIn("0.904 ± 0.011", out)
        self.assertNotIn("Holm", out)

    def test_versus_is_paired_and_corrected(self):
        versus = self.json("compare", "--versus", "one_shot")["versus"]
        self.assertEqual(versus["column"], "strategy")
        stages = next(c for c in versus["comparisons"] if c["mean"] > .03)
        # scipy.stats.ttest_rel([.94, .95, .92, .95, .945], [.90, .91, .89, .92, .90])
        self.assertEqual(stages["pairs"], 5)
        self.assertAlmostEqual(stages["mean"], .037)
        self.assertAlmostEqual(stages["t"], 12.3333, 3)
        self.assertAlmostEqual(stages["p"], 0.000248331, 8)
        self.assertAlmostEqual(stages["p_holm"], 2 * stages["p"])
        self.assertAlmostEqual(stages["wilcoxon_p"], 0.0625)
        self.assertEqual(stages["verdict"], "better")
        ramp = next(c for c in versus["comparisons"] if c["mean"] < .03)
        self.assertEqual(ramp["verdict"], "open")
        self.assertGreater(ramp["seeds_needed"], 100)
        out = self.gradus("compare", "--versus", "one_shot").stdout
        self.assertRegex(out, r"stages .*better")
        self.assertRegex(out, r"ramp .*open; \d+ more seeds?")
        self.assertIn("\np: paired t test; Holm", out)
        self.assertRegex(self.gradus("compare", "--versus", "one_shot", "--margin", "0.0133").stdout, r"ramp .*  open; 2 more seeds\n")
        self.assertIn("\nmore seeds: until", out)
        self.assertNotIn("\nlost: ", out, "the legend is of the columns that are there")
        self.assertNotIn("\np equal: ", out)

    def test_versus_names_what_it_knows(self):
        err = self.gradus("compare", "--versus", "one_shoot", code=64).stderr
        self.assertIn("did you mean 'one_shot'?", err)

    def test_intervals(self):
        for method in (["--ci"], ["--ci=bootstrap"], ["--ci", "t"], ["--ci", "bootstrap"]):
            last = self.json("compare", *method)["groups"][0]["metrics"]["val/acc"]["last"]
            self.assertLess(last["low"], last["mean"])
            self.assertGreater(last["high"], last["mean"])
        self.assertIn("bootstrap", self.gradus("compare", "--ci=bootstrap").stdout)
        self.gradus("compare", "--ci=z", code=64)

    def test_budgets_areas_and_thresholds(self):
        for at in ("step=55", "samples=3520", "flops=5.5e7", "seconds=27.5"):
            metric = self.json("compare", "--at", at)["groups"][0]["metrics"]["val/acc"]
            self.assertAlmostEqual(metric["at"]["mean"], .904 * .5, msg=at)
        metric = self.json("compare", "--at", "step=1000", "--auc")["groups"][0]["metrics"]["val/acc"]
        self.assertEqual(metric["at"], metric["last"])  # it ended earlier and keeps its last
        self.assertAlmostEqual(metric["auc"]["mean"], .904 * .55)
        group = self.json("compare", "--threshold", "val/acc>=0.81", "--where", "strategy == 'one_shot'")["groups"][0]
        self.assertEqual(group["steps_to"]["mean"], 92)  # 90, but 100 for .89
        self.assertEqual(group["samples_to"]["mean"], 92 * 64)
        self.assertEqual(group["flops_to"]["mean"], 92e6)
        self.assertEqual(group["seconds_to"]["mean"], 46)
        for wrong in ("epochs=3", "flops", "step=-1"):
            self.assertIn("--at: expected step=N", self.gradus("compare", "--at", wrong, code=64).stderr)

    def test_lists_of_columns_and_metrics(self):
        self.assertEqual(self.json("compare", "--metric", "val_acc, val/acc")["metrics"],
                         self.json("compare", "--metric", "val_acc", "--metric", "val/acc")["metrics"])
        self.assertEqual(self.json("compare", "--by", " strategy , seed ,,")["by"], ["strategy", "seed"])
        self.assertEqual(self.json("compare", "--by", "strategy,seed,strategy")["by"], ["strategy", "seed"])
        with contextlib.closing(sqlite3.connect(self.dir / "runs" / "gradus.db")) as db, db:  # another tool's, imported
            db.execute("INSERT INTO params SELECT id, 'size, px', id % 2, 'integer' FROM runs")
        self.assertEqual(self.json("compare", "--by", 'params."size, px", strategy')["by"], ['params."size, px"', "strategy"])
        columns = ["name", 'params."size, px"', "at(val/acc, 90)"]
        self.assertEqual(sorted(self.json("runs", "--columns", ", ".join(columns), "--limit", 1)[0]["columns"]), sorted(columns))
        self.assertEqual(self.json("compare", "--by", "status")["groups"][0]["label"], {"status": "finished"})
        self.assertIn("no run has the parameter 'tags'", self.gradus("compare", "--by", "tags", code=64).stderr)


class Pictures(CompareCase):
    def test_what_is_grouped_is_everything(self):
        out = self.gradus("plot", "val/acc", "--by", "strategy", "--width", 120).stdout
        for strategy in ACCURACY:
            self.assertIn(f"{strategy} (5)", out)
        self.assertIn("(1)", self.gradus("plot", "val/acc", "15", "--by", "strategy").stdout)
        self.assertIn("<p>15 runs", self.gradus("report", "--by", "strategy").stdout)
        self.assertIn("<p>1 run,", self.gradus("report").stdout)

    def test_figures_together_and_within_a_range(self):
        out = self.gradus("plot", "val/acc", "val/acc", "15", "--together", "--width", 120).stdout
        self.assertIn("val/acc, val/acc\n", out)
        self.assertIn("0.8 ┤", self.gradus("plot", "val/acc", "15").stdout)
        self.assertNotIn("0.8 ┤", self.gradus("plot", "val/acc", "15", "--y", "0.6,0.7").stdout)
        self.assertIn("only `gradus compare` goes stage by stage", self.gradus("plot", "val/acc", "--by", "stage", code=64).stderr)
        for wrong in (("--y", "1,0"), ("--kind", "cloud"), ("--kind", "spread", "--x", "flops"), ("--kind", "spread", "--by", "strategy"),
                      ("--kind", "spread", "--together")):
            self.gradus("plot", "val/acc", "15", *wrong, code=64)
        self.assertIn("none of these runs has the spread 'val/acc'", self.gradus("plot", "val/acc", "15", "--kind", "spread", code=64).stderr)

    def test_sizes_of_figures(self):
        def drawn(text):
            """Rows between the axes, and the width of the widest line."""
            return sum("┤" in line or "│" in line for line in text.splitlines()), max(map(len, text.splitlines()))
        self.assertEqual(drawn(self.gradus("plot", "val/acc", "1").stdout), (16, 100))
        self.assertEqual(drawn(self.gradus("plot", "val/acc", "1", "--width", 40, "--height", 5).stdout), (5, 40))
        self.assertEqual(drawn(self.gradus("plot", "val/acc", "1", "--width", 20, "--height", 4).stdout), (4, 20))
        self.assertEqual(self.gradus("plot", "val/acc").stdout, self.gradus("plot", "val/acc", "@last").stdout)
        for args, size in (((), ("800", "320")), (("--width", 400, "--height", 100), ("400", "100")), (("--width", 10000, "--height", 10000), ("10000", "10000"))):
            self.gradus("plot", "val/acc", "1", "-o", "a.svg", *args)
            self.assertEqual(re.search(r'viewBox="0 0 (\d+) (\d+)"', (self.dir / "a.svg").read_text()).groups(), size)
        self.assertEqual(self.gradus("plot", "val/acc", "1", "-o", "a.svg").stdout, "")
        for columns, width in ((60, 60), (21, 21), (20, 100), (0, 100), (200, 200), (300, 200)):
            leader, terminal = os.openpty()
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 40, columns, 0, 0))
            subprocess.run([GRADUS, "plot", "val/acc", "1"], cwd=self.dir, stdout=terminal, timeout=60, check=True,
                           env=os.environ | {"NO_COLOR": "1", "GRADUS_STORE": "runs/gradus.db"})
            os.close(terminal)
            text = b""
            with contextlib.suppress(OSError):
                while part := os.read(leader, 65536):
                    text += part
            os.close(leader)
            self.assertEqual(drawn(text.decode().replace("\r", "")), (16, width))

    def test_a_comparison_at_a_narrow_terminal_names_its_groups_in_each_part(self):
        for command, names in ((["compare", "--metric", "val/acc"], ["strategy", "one_shot", "stages", "ramp"]),
                               (["compare", "--by", "stage", "--where", "strategy == 'ramp'"], ["strategy", "ramp", "ramp"])):
            leader, terminal = os.openpty()
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 40, 40, 0, 0))
            subprocess.run([GRADUS, *command], cwd=self.dir, stdout=terminal, timeout=60, check=True,
                           env=os.environ | {"NO_COLOR": "1", "GRADUS_STORE": "runs/gradus.db"})
            os.close(terminal)
            lines = os.read(leader, 65536).decode().replace("\r", "").split("mean ±")[0].splitlines()
            os.close(leader)
            self.assertTrue(all(len(line) <= 40 for line in lines), lines)
            starts = [line.split()[0] for line in lines if line and "─" not in line]
            self.assertGreater(len(starts), len(names), "parts")
            self.assertEqual(starts, names * (len(starts) // len(names)))
            if "stage" in command:
                self.assertEqual([line.split()[1] for line in lines if line.startswith("ramp")], ["easy", "hard"] * (len(starts) // 3))

    def test_more_lines_than_a_legend_can_name_are_groups(self):
        self.assertIn("  ━ 1 one_shot seed 1  ━ 2 one_shot seed 2", self.gradus("plot", "val/acc", *range(1, 13)).stdout)
        self.assertIn("\n  ━ one_shot (5)  ━ stages (5)  ━ ramp (3)\n", self.gradus("plot", "val/acc", *range(1, 14)).stdout)
        self.assertIn("━ ramp (5)\n", self.gradus("plot", "val/acc", "--where", "strategy == 'ramp'", "--by", "strategy").stdout)
        self.assertIn("━ 11 digits seed 1  ━ 12 digits seed 2", self.gradus("plot", "val/acc", "--where", "strategy == 'ramp' and seed < 3").stdout)

    def test_what_cannot_be_drawn_is_told(self):
        for command, code, told in (
                (("plot", "val/acc", "--where", "seed == 99"), 66, "no runs fit --where"),
                (("plot", "val/acc", "1", "--where", "seed == 1"), 64, "expected either RUN or --where; got both"),
                (("report", "1", "--where", "seed == 1"), 64, "expected either RUN or --where; got both"),
                (("plot", "val/acc", "1", "-o", "x.png"), 64,
                 "plot: --output: expected a file name that ends in .svg; got 'x.png' (rsvg-convert or a browser make PNG of it)"),
                (("plot", "val/acc", "1", "-o", "svg"), 64,
                 "plot: --output: expected a file name that ends in .svg; got 'svg' (rsvg-convert or a browser make PNG of it)"),
                (("report", "-o", "r.txt"), 64, "report: --output: expected a file name that ends in .html or .md, or --markdown; got 'r.txt'"),
                (("plot", "val/acc,nothing", "1"), 64, "plot: no run has the metric 'nothing'"),
                (("plot", "val/acc", "1", "--x", "nonsense"), 64, "--x: expected step, epoch, samples, flops or seconds; got 'nonsense'"),
                (("plot", "1", "2"), 64, "plot: no METRIC; expected a metric, such as val/acc"),
                (("plot", "val/acc", "77"), 66, "no such run"),
                (("report", "--metric", "none"), 64, "report: no run has the metric 'none'")):
            self.assertIn(f"{told}", self.gradus(*command, code=code).stderr, command)
        with contextlib.closing(sqlite3.connect(self.dir / "runs" / "gradus.db")) as db, db:
            db.execute("DELETE FROM progress WHERE run_id = 1")
            db.execute("INSERT INTO keys (name) VALUES ('other')")
            db.execute("INSERT INTO metric_values SELECT 2, id, 1, 1 FROM keys WHERE name = 'other'")
        self.assertEqual(self.gradus("plot", "val/acc", "1", "--x", "flops", code=66).stderr, "gradus: plot: none of these runs has val/acc and its flops\n")
        self.assertEqual(self.gradus("plot", "other", "1", code=66).stderr, "gradus: plot: none of these runs has other\n")

    def test_reports_say_where_they_are(self):
        self.assertEqual(self.gradus("report", "2", "1", "-o", "r.html").stdout, "r.html: 2 runs\n")
        self.assertEqual(self.gradus("report", "1", "-o", "r.md").stdout, "r.md: 1 run\n")
        self.assertEqual(self.gradus("report", "1", "-o", "r", "--markdown").stdout, "r: 1 run\n")
        self.assertEqual((self.dir / "r").read_text(), (self.dir / "r.md").read_text())
        self.assertEqual(self.gradus("report", "1", "-o", "-", "--markdown").stdout, (self.dir / "r.md").read_text())
        self.assertTrue((self.dir / "r.html").read_text().startswith("<!doctype html>"))
        self.assertTrue(self.gradus("report", "1", "--title", "Mine", "--markdown").stdout.startswith("# Mine\n\n1 run, started "))
        order = [self.gradus("report", *runs, "--markdown").stdout.index for runs in ((1, 2), (2, 1))]
        self.assertEqual([index("| 1 | digits") < index("| 2 | digits") for index in order], [True, True])
        self.assertIn("val/acc", self.gradus("report", "1", "--metric", "val_acc", "--markdown").stdout)
        self.assertIn("15 runs", self.gradus("report", "--by", "strategy", "--markdown").stdout)

    def test_a_misspelt_metric_is_no_run(self):
        self.assertIn("no run has the metric 'acc'", self.gradus("plot", "acc", code=64).stderr)  # though a uid may begin so
        uid = self.json("show", 15)["uid"]
        letters = next((part for part in (uid[:n] for n in range(1, 8)) if not part.isdigit()), None)
        if letters:
            self.assertIn(f"no run has the metric '{letters}'", self.gradus("plot", letters, code=64).stderr)
        self.assertIn("no METRIC", self.gradus("plot", "@last", code=64).stderr)
        self.assertIn("val/acc", self.gradus("plot", "val/acc", uid[:12]).stdout)

    def test_a_store_is_not_written_over(self):
        store = self.dir / "runs" / "gradus.db"
        before = store.read_bytes()
        for command in (["export", "csv", "-o"], ["export", "json", "-o"], ["report", "--markdown", "-o"]):
            self.assertIn("is not written over", self.gradus(*command, store, code=65).stderr)
        self.assertEqual(store.read_bytes(), before)

    def test_a_terminal_is_not_filled_with_html(self):
        terminal, end = os.openpty()
        try:
            done = subprocess.run([GRADUS, "report"], cwd=self.dir, stdout=end, stderr=subprocess.PIPE, text=True, timeout=60)
        finally:
            os.close(end)
            os.close(terminal)
        self.assertEqual(done.returncode, 64)
        self.assertIn("expected -o FILE.html", done.stderr)

    def test_show_rounds_what_was_spent(self):
        out = self.gradus("show", 1).stdout
        self.assertIn("flops = 100000000\n", out)
        self.assertIn("seconds = 50\n", out)

    def test_show_tells_decisions_in_words(self):
        out = self.gradus("show", 1).stdout
        self.assertRegex(out, r"50  decision  advance  acc 0.5000, to hard\n")
        self.assertNotRegex(out, r"40 +best")
        self.assertIn("best", [event["kind"] for event in self.json("show", 1)["events"]])

    def test_show_tells_what_each_stage_came_to(self):
        out = self.gradus("show", 1).stdout
        self.assertRegex(out, r"stages\nstage +rows +steps +FLOPs +stage/loss +val/acc +change\n")
        self.assertRegex(out, r"hard +40 +50 +50000000 +– +0\.\d+ +\+0\.\d+\n")
        self.assertEqual([row["name"] for row in self.json("show", 1)["stages"]], ["easy", "hard"])

    def test_compare_stage_by_stage(self):
        out = self.gradus("compare", "--by", "strategy,stage").stdout
        self.assertRegex(out, r"strategy +stage +runs +rows +steps +FLOPs +stage/loss +val/acc +change\n")
        self.assertRegex(out, r"ramp +hard +5 +40 +50 +50000000 +– +0\.\d+ ± 0\.\d+ +\+0\.\d+ ± 0\.\d+\n")
        groups = self.json("compare", "--by", "stage")["groups"]
        self.assertEqual([group["stage"] for group in groups][:2], ["easy", "hard"])
        self.assertIn("no meaning with --by stage", self.gradus("compare", "--by", "stage", "--versus", "ramp", code=64).stderr)


class Diff(CompareCase):
    def test_diff(self):
        diff = self.json("diff", 1, 6)
        self.assertEqual([p["key"] for p in diff["params"]], ["strategy"])
        self.assertIn("-return 'one_shot'\n+return 'stages'\n", diff["sources"][0]["diff"])
        self.assertEqual(diff["parts"]["step"], 10)
        self.assertEqual(diff["before"]["a"]["name"], "easy")
        out = self.gradus("diff", 1, 6).stdout
        self.assertIn("the curves part at step 10: val/acc is 0.09", out)
        self.assertIn("stage easy at step 0", out)
        self.assertIn("every shared value is the same", self.gradus("diff", 1, 1).stdout)
        db = sqlite3.connect(self.dir / "runs" / "gradus.db")
        db.execute("UPDATE params SET value = value || substr(hex(zeroblob(100)), 1, CASE run_id WHEN 1 THEN 52 ELSE 100 END) WHERE key = 'strategy'")
        db.commit()
        db.close()
        self.assertIn("one_shot" + "0" * 52 + "  stages" + "0" * 53 + "…\n", self.gradus("diff", 1, 6).stdout)
        self.gradus("diff", 1, 4294967296, code=66)


class Where(CompareCase):
    def test_grammar(self):
        runs = self.json("runs", "--where", "strategy == 'ramp' and (lr > 1e-3 or seed < 3) and best(val_acc) > 0.9")
        self.assertEqual([r["seed"] for r in runs], [1, 4])
        done = self.gradus("runs", "--where", "best(val_acc) > 0.94")
        self.assertIn("val_acc: read as the metric val/acc", done.stderr)
        err = self.gradus("compare", "--where", "stategy == 'ramp'", code=64).stderr
        self.assertIn("did you mean 'strategy'?", err)


class Housekeeping(CompareCase):
    def test_an_option_without_its_value(self):
        self.assertIn("runs: --where: expected a value after it; got none", self.gradus("runs", "--where", code=64).stderr)

    def test_tag_note_archive(self):
        self.gradus("tag", 1, "paper=table 2")
        self.gradus("note", 1, "look at this")
        self.assertEqual([r["id"] for r in self.json("runs", "--where", "tags.paper == 'table 2'")], [1])
        self.assertIn("look at this", self.gradus("show", 1).stdout)
        self.gradus("tag", 1, "paper", "--remove")
        self.gradus("tag", 1, "paper", "--remove", code=66)
        self.gradus("archive", "--where", "strategy == 'ramp'")
        self.assertEqual(len(self.json("runs")), 10)
        self.assertEqual(len(self.json("runs", "--archived")), 15)
        last = max(run["id"] for run in self.json("runs"))
        self.gradus("archive", last)
        self.assertLess(self.json("show", "@last")["id"], last, "the last of those that lists show")
        self.gradus("archive", "--where", "strategy == 'ramp'", "--undo")
        self.assertEqual(len(self.json("runs")), 14)
        self.gradus("archive", "--where", "archived != nil", "--undo")
        self.assertEqual(len(self.json("runs")), 15)

    def test_of_many_that_are_lost_eight_are_named(self):
        for lost, named, told in ((8, 8, None), (10, 8, "… and 2 more; --json names all")):
            db = sqlite3.connect(self.dir / "runs" / "gradus.db")
            db.execute("UPDATE runs SET status = 'failed', error = 'no room' WHERE id <= ?", (lost,))
            db.commit()
            db.close()
            lines = self.gradus("compare").stdout.splitlines()
            self.assertEqual(len([line for line in lines if line.endswith("failed: no room")]), named)
            self.assertEqual([line for line in lines if line.startswith("… and")], [told] if told else [])

    def test_which_way_is_better(self):
        self.assertEqual(self.json("better", "val_acc"), {"metric": "val/acc", "better": "higher", "source": "name"})
        self.assertIn("lower is better, as said", self.gradus("better", "val/acc", "lower").stdout)
        self.assertIn("lower is better: val/acc (as said)", self.gradus("compare").stdout)
        verdicts = {c["verdict"] for c in self.json("compare", "--versus", "one_shot")["versus"]["comparisons"]}
        self.assertEqual(verdicts, {"worse", "open"})
        self.assertIn("(lower before)", self.gradus("better", "val/acc", "--forget").stdout)
        self.assertIn("did you mean 'val/acc'?", self.gradus("better", "val/ac", "lower", code=64).stderr)
        self.gradus("better", "val/acc", "up", code=64)

    def test_a_metric_of_unknown_way_stays_open(self):
        db = sqlite3.connect(self.dir / "runs" / "gradus.db")
        db.execute("UPDATE keys SET name = 'val/score'")
        db.commit()
        db.close()
        out = self.gradus("compare", "--metric", "val/score", "--versus", "one_shot").stdout
        self.assertRegex(out, r"stages .*open: which way is better\?")
        self.assertIn("`gradus better val/score higher` (or lower) says it", out)
        self.assertIn("which way is better is not known", self.gradus("runs", "--where", "best(val/score) > 0", code=64).stderr)
        self.gradus("better", "val/score", "higher")
        out = self.gradus("compare", "--metric", "val/score", "--versus", "one_shot").stdout
        self.assertRegex(out, r"stages .*better")

    def test_what_failed_under_other_code_is_counted_in_english(self):
        for ids, told in (((1,), "1 run of other code has failed or was interrupted, and is left out"),
                          ((1, 2), "2 runs of other code failed or were interrupted, and are left out")):
            with contextlib.closing(sqlite3.connect(self.dir / "runs" / "gradus.db")) as db, db:
                for run in ids:
                    db.execute("UPDATE runs SET status = 'failed', config_hash = ? WHERE id = ?", ("0" * 64, run))
                    db.execute("UPDATE run_sources SET sha256 = ? WHERE run_id = ?", ("0" * 64, run))
            self.assertIn(told + "\n", self.gradus("compare").stdout)

    def test_delete_asks(self):
        err = self.gradus("delete", 1, 2, code=64).stderr
        self.assertIn("--yes", err)
        for blank, told in (("", "--where: expected a value after it"), (" \n", "expected a RUN or --where EXPR")):  # a shell's variable was empty
            self.assertIn(told, self.gradus("delete", "--where", blank, "--yes", code=64).stderr)
        self.assertEqual(len(self.json("runs")), 15)
        uid = self.json("show", 1)["uid"]
        self.assertTrue((self.dir / "runs" / uid).exists())
        self.gradus("delete", 1, 2, "--yes")
        self.assertEqual(len(self.json("runs")), 13)
        self.assertFalse((self.dir / "runs" / uid).exists())
        self.gradus("gc", "--yes", "--compact")
        self.assertEqual(self.json("doctor", "--full")["store"]["check"], "ok")

    def test_gc_counts_in_english(self):
        cache = self.dir / "runs" / "cache"
        cache.mkdir()
        for name, several in (("a", "1 stale cache entry"), ("b", "2 stale cache entries")):
            (cache / name).write_text("x")
            os.utime(cache / name, (1e9, 1e9))
            self.assertIn(several + " (", self.gradus("gc", code=64).stderr)

    def test_merged_by_several_at_once(self):
        shutil.copytree(self.made, self.dir / "node")
        merges = [subprocess.Popen([GRADUS, "merge", "node/gradus.db", "--store", "all/gradus.db"], cwd=self.dir, stderr=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL) for _ in range(6)]
        self.assertEqual([(one.communicate(timeout=60)[1], one.returncode) for one in merges], [(b"", 0)] * 6)
        with contextlib.closing(sqlite3.connect(self.dir / "all/gradus.db")) as db:
            uids = [uid for uid, in db.execute("SELECT uid FROM runs")]
            self.assertEqual(db.execute("SELECT count(*) FROM params WHERE run_id NOT IN (SELECT id FROM runs)").fetchone(), (0,))
        self.assertEqual(len(uids), 15)
        self.assertEqual({name for name in os.listdir(self.dir / "all") if len(name) == 32}, set(uids))

    def test_merge_twice(self):
        shutil.copytree(self.made, self.dir / "node")
        self.gradus("delete", "--where", "seed > 2", "--yes")
        first = self.json("merge", "node/gradus.db")
        self.assertEqual((first[0]["added"], first[0]["present"]), (9, 6))
        again = self.json("merge", "node/gradus.db")
        self.assertEqual((again[0]["added"], again[0]["present"]), (0, 15))
        db = sqlite3.connect(self.dir / "runs" / "gradus.db")
        self.assertEqual(db.execute("SELECT count(*) FROM metrics").fetchone()[0], 150)
        self.gradus("merge", "runs/gradus.db", code=64)
        self.gradus("merge", "nowhere.db", code=66)

    def test_doctor(self):
        store = self.json("doctor")["store"]
        self.assertEqual((store["runs"], store["live"], store["dead"], store["values"]), (15, 0, 0, 150))
        self.assertEqual(store["check"], "ok")

    def test_commands_need_a_store(self):
        shutil.rmtree(self.dir / "runs")
        for args in (("tag", 1, "a"), ("note", 1, "a"), ("archive", 1), ("delete", 1, "--yes"), ("gc", "--yes"), ("diff", 1, 2)):
            self.gradus(*args, code=66)


if __name__ == "__main__":
    unittest.main()
