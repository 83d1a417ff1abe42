"""Looking back at runs: lists sorted and cut to taste, code and curves of a run, groups in which runs came to nothing."""

import csv
import fcntl
import io
import json
import os
import pathlib
import shutil
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
        self.assertEqual(self.ids("--where", "way == 'base'", "--best", "val/acc", "--limit", "1"), [1])

    def test_what_a_list_is_sorted_by_stands_in_it_once(self):
        for column in ("val/acc", "last(val/acc)", "seed", "name", "status"):
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


class Outcomes(HistoryCase):
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
