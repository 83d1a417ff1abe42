"""Export and import as a user meets them, and as the other tools do.

The runs come from a Trackio project made here with Python's sqlite3, so nothing has to be trained. TensorBoard, MLflow
and Trackio themselves take part where they can be installed: in a virtual environment beside the binary, made once. The
checks that need none of them (framing, checksums, tables) always run.
"""

import contextlib
import csv
import json
import math
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
TOOLS = pathlib.Path(GRADUS).parent / "transfer-venv"
PACKAGES = {"tensorboard": ["tensorboard", "setuptools<80"], "mlflow": ["mlflow-skinny", "sqlalchemy", "alembic"],
            "mlflow.server": ["mlflow"], "trackio": ["trackio"], "wandb": ["wandb"]}
STEPS = 40


def loss(run, step):
    return math.exp(-step / 10) / (run + 3)


def make_trackio(path):
    """A project of two runs as Trackio 0.43 stores it."""
    db = sqlite3.connect(path)
    db.executescript("""
        CREATE TABLE metrics (id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, timestamp TEXT NOT NULL,
          run_name TEXT NOT NULL, step INTEGER NOT NULL, metrics TEXT NOT NULL, log_id TEXT, space_id TEXT);
        CREATE TABLE configs (id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, run_name TEXT NOT NULL,
          config TEXT NOT NULL, created_at TEXT NOT NULL, UNIQUE(run_id));""")
    for run in range(2):
        config = {"seed": run, "lr": 0.1, "strategy": "ramp", "nested": {"width": 12}, "bias": True}
        db.execute("INSERT INTO configs (run_id, run_name, config, created_at) VALUES (?, ?, ?, ?)",
                   (f"id{run}", f"run-{run}", json.dumps(config), "2026-01-01T00:00:00+00:00"))
        for step in range(STEPS):
            values = {"train/loss": loss(run, step)}
            if step % 10 == 0:
                values["val acc"] = "NaN" if step == 20 else step / STEPS
            db.execute("INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) VALUES (?, ?, ?, ?, ?)",
                       (f"id{run}", f"2026-01-01T00:00:{step:02}.500000+00:00", f"run-{run}", step, json.dumps(values)))
    db.commit()
    db.close()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    """The records of an event file, every checksum checked."""
    at = 0
    while at < len(data):
        head = data[at:at + 8]
        length, = struct.unpack("<Q", head)
        assert struct.unpack("<I", data[at + 8:at + 12])[0] == masked(head), f"length checksum at byte {at}"
        body = data[at + 12:at + 12 + length]
        assert struct.unpack("<I", data[at + 12 + length:at + 16 + length])[0] == masked(body), f"checksum at byte {at}"
        yield body
        at += 16 + length


def fields(message):
    """(number, value) of a protobuf message; enough for Event and Summary."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        head = varint()
        size = {0: 0, 1: 8, 5: 4}.get(head & 7)
        if head & 7 == 0:
            yield head >> 3, varint()
            continue
        if size is None:
            size = varint()
        yield head >> 3, message[at:at + size]
        at += size


def tools_python(name):
    """The Python that has the tool, or a SkipTest that says why there is none."""
    python = TOOLS / "bin" / "python"
    have = [str(python), "-c", f"import {name}" + (", sqlalchemy, alembic" if name == "mlflow" else "")]
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(TOOLS)], check=True, capture_output=True, timeout=120)
        if subprocess.run(have, capture_output=True, timeout=120).returncode != 0:
            subprocess.run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check",
                            "--only-binary", ":all:", *PACKAGES[name]], check=True, capture_output=True, timeout=400)
            subprocess.run(have, check=True, capture_output=True, timeout=120)
    except (OSError, subprocess.SubprocessError) as error:
        reason = f"{name} cannot be installed here: {type(error).__name__}"
        print(reason)
        raise unittest.SkipTest(reason) from error
    return str(python)


class TransferCase(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        make_trackio(self.dir / "proj.db")
        self.ok("import", "trackio", "proj.db")

    def gradus(self, *args, store="runs/gradus.db", **more):
        return subprocess.run([GRADUS, *args], cwd=self.dir, capture_output=True, text=True, timeout=60,
                              env={**os.environ, "GRADUS_STORE": store}, **more)

    def ok(self, *args, **more):
        done = self.gradus(*args, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")
        return done.stdout

    def refused(self, code, part, *args, **more):
        done = self.gradus(*args, **more)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertIn(part, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def curves(self, store="runs/gradus.db"):
        rows = json.loads(self.ok("sql", "SELECT p.value AS seed, m.key, m.step, m.value FROM metrics m "
                                  "JOIN params p ON p.run_id = m.run_id AND p.key = 'seed' ORDER BY 1, 2, 3",
                                  "--json", store=store))
        return [(row["seed"], row["key"], row["step"], row["value"]) for row in rows]

    def tool(self, name, code):
        env = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "TRACKIO_DIR": str(self.dir / "trackio")}
        done = subprocess.run([tools_python(name), "-c", code], cwd=self.dir, env=env, capture_output=True, text=True,
                              timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout


class Said(TransferCase):
    """What each command says of what it did, whole."""

    def test_exports(self):
        for command, said in (("csv -o all", "2 runs with 88 values in all"), ("csv 1 -o one.csv", "1 run with 44 values in one.csv"),
                              ("csv 1 --metric val_acc -o one.csv", "1 run with 4 values in one.csv"),
                              ("csv --metric train/loss,val_acc --output two.csv", "2 runs with 88 values in two.csv"),
                              ("csv 1 --points 5 -o one.csv", "1 run with 5 values in one.csv"), ("json -o j.json", "2 runs with 88 values in j.json"),
                              ("tensorboard tb", "2 runs with 88 values in tb"), ("tensorboard -o tb2 1", "1 run with 44 values in tb2"),
                              ("mlflow m.db", "2 runs with 88 values in m.db"), ("mlflow m.db 1", "1 run with 44 values in m.db"),
                              ("wandb w @last", "1 run with 44 values in w")):
            self.assertEqual(self.ok("export", *command.split()), said + "\n", command)
        self.assertEqual(self.ok("export", "csv", "-o", "c.csv", "--where", "seed == 1"), "1 run with 44 values in c.csv\n")
        for target in ([], ["-o", "-"]):  # the document and nothing else
            self.assertEqual(json.loads(self.ok("export", "json", "1", *target))["runs"][0]["id"], 1)
            self.assertTrue(self.ok("export", "csv", "1", *target).startswith("id,uid,name,key,step,value\n1,"))

    def test_texts_that_are_cut_and_children_are_counted(self):
        for n in (1, 2):
            (self.dir / "make.lua").write_text(
                'it("x", function() local w = require("gradus.store").open("runs/gradus.db"):begin { name = "child", kind = "teacher", parent = 1, '
                'params = { { key = "long", value = ("x"):rep(600) } } } w:log(w:key "a", 1, 1) w:finish "finished" end)')
            self.ok("test", "make.lua")
            cut = f"{n} text{'s are' if n > 1 else ' is'} longer than fits there, and cut"
            self.assertEqual(self.ok("export", "mlflow", f"m{n}.db", "--children"), f"{2 + n} runs with {88 + n} values in m{n}.db; {cut}\n")
            self.assertEqual(self.ok("export", "csv", "--children", "-o", "c.csv"), f"{2 + n} runs with {88 + n} values in c.csv\n")
            self.assertEqual(self.ok("export", "csv", "-o", "c.csv"), "2 runs with 88 values in c.csv\n")
            belong = f"{n} belong{'' if n > 1 else 's'} to {'other runs' if n > 1 else 'another run'}"
            self.assertEqual(self.ok("import", "mlflow", f"m{n}.db", store=f"back{n}.db"),
                             f"{2 + n} runs added; {88 + n} values; {belong} (`gradus runs --children` lists them)\n")
        self.assertEqual(json.loads(self.ok("import", "mlflow", "m2.db", "--json", store="other.db")),
                         {"added": 4, "updated": 0, "unchanged": 0, "values": 90, "skipped": 0, "children": 2, "empty": 0})

    def test_imports(self):
        self.assertEqual(self.ok("import", "trackio", "proj.db", "--name", "mine", store="a.db"), "2 runs added; 88 values\n")
        self.assertEqual({run["name"] for run in json.loads(self.ok("runs", "--json", store="a.db"))}, {"mine"})
        self.assertEqual(self.ok("import", "trackio", "proj.db"), "0 runs added, 2 already there; 0 values\n")
        self.ok("export", "tensorboard", "tb", "1")
        for more, said in (([], "1 run added; 44 values; 2 left out (no scalars, or deleted)\n"), ([], "0 runs added, 1 already there; 0 values; 2 left out "
                           "(no scalars, or deleted)\n")):
            self.assertEqual(self.ok("import", "tensorboard", "tb", *more, store="tb.db"), said)
        nothing = {"added": 2, "updated": 0, "unchanged": 0, "values": 88, "skipped": 0, "children": 0, "empty": 0}
        for name, change, said, found in (
                ("twice", "INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) SELECT run_id, timestamp, run_name, step, metrics FROM metrics "
                 "WHERE step < 3", "2 runs added; 96 values; 8 of them replaced by a later one of the same metric and step", {"values": 96, "replaced": 8}),
                ("stepless", "UPDATE metrics SET step = 0", "2 runs added; 88 values; 4 metrics without steps, numbered as they came", {"numbered": 4}),
                ("one", "UPDATE metrics SET step = 0 WHERE run_id = 'id1' AND step > 0 AND step < 10", "2 runs added; 88 values; 9 of them replaced by a later "
                 "one of the same metric and step", {"replaced": 9}),
                ("texts", "UPDATE metrics SET metrics = '{\"a\":\"text\"}' WHERE run_id = 'id1'",
                 "2 runs added; 44 values; 40 left out (no scalars, or deleted)", {"values": 44, "skipped": 40})):
            shutil.copy(self.dir / "proj.db", self.dir / f"{name}.db")
            with contextlib.closing(sqlite3.connect(self.dir / f"{name}.db")) as db, db:
                db.execute(change)
            self.assertEqual(self.ok("import", "trackio", f"{name}.db", store=f"{name}-a.db"), said + "\n")
            self.assertEqual(json.loads(self.ok("import", "trackio", f"{name}.db", "--json", store=f"{name}-b.db")), nothing | found)
        with sqlite3.connect(self.dir / "proj.db") as db:
            db.execute("INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) VALUES ('id1', '2026-01-01T00:01:00', 'run-1', 40, '{\"b\": 0.5}')")
        db.close()
        self.assertEqual(self.ok("import", "trackio", "proj.db"), f"0 runs added, 1 updated, 1 already there; {STEPS + 5} values\n")
        self.refused(66, "gradus: none.db: no such file or folder; expected something to import; got nothing\n", "import", "trackio", "none.db", store="new.db")
        self.assertFalse((self.dir / "new.db").exists())


class Import(TransferCase):
    def test_trackio_as_a_run_like_any_other(self):
        runs = json.loads(self.ok("runs", "--json"))
        self.assertEqual([(r["name"], r["kind"], r["status"], r["seed"], r["step"]) for r in runs],
                         [("proj", "import", "finished", seed, STEPS - 1) for seed in (0, 1)])
        self.assertEqual(runs[1]["params"],
                         {"bias": True, "lr": 0.1, "nested.width": 12, "seed": 1, "strategy": "ramp"})
        expected = [(run, "train/loss", step, loss(run, step)) for run in range(2) for step in range(STEPS)]
        self.assertEqual([row for row in self.curves() if row[1] == "train/loss"], expected)
        self.assertEqual([row[3] for row in self.curves() if row[1] == "val_acc"], [0, 0.25, None, 0.75] * 2)
        compared = json.loads(self.ok("compare", "--json"))
        self.assertEqual([group["n"] for group in compared["groups"]], [2], "the two seeds are one group")
        shown = json.loads(self.ok("show", "1", "--json"))
        self.assertEqual(shown["seconds"], STEPS - 1)
        self.assertEqual(shown["events"][0]["detail"]["renamed"], {"val_acc": "val acc"})

    def test_twice_doubles_nothing_and_more_is_taken(self):
        before = self.curves()
        self.assertIn("2 already there", self.ok("import", "trackio", "proj.db"))
        self.assertEqual(self.curves(), before)
        with sqlite3.connect(self.dir / "proj.db") as db:
            db.execute("INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) VALUES "
                       "('id1', '2026-01-01T00:01:00', 'run-1', 40, '{\"train/loss\": 0.5}')")
        db.close()
        self.assertEqual(json.loads(self.ok("import", "trackio", "proj.db", "--json")),
                         {"added": 0, "updated": 1, "unchanged": 1, "values": STEPS + 5, "skipped": 0, "children": 0, "empty": 0})
        self.assertEqual(self.curves(), before[:-4] + [(1, "train/loss", 40, 0.5)] + before[-4:])

    def test_real_trackio(self):
        self.tool("trackio", "import trackio\n"
                  "run = trackio.init(project='real', name='one', config={'seed': 3, 'lr': 0.25})\n"
                  "for i in range(5): trackio.log({'train/loss': 1 / (i + 1)})\n"
                  "trackio.finish()\n")
        file = next(path for path in (self.dir / "trackio").rglob("real.db"))
        self.ok("import", "trackio", str(file), store="real.db")
        self.assertEqual(self.curves("real.db"), [(3, "train/loss", i, 1 / (i + 1)) for i in range(5)])

    def test_real_mlflow(self):
        self.tool("mlflow", "from mlflow.tracking import MlflowClient\n"
                  "c = MlflowClient('sqlite:///theirs.db')\n"
                  "run = c.create_run(c.create_experiment('digits'), run_name='blue-fox').info.run_id\n"
                  "c.log_param(run, 'seed', 4)\n"
                  "c.log_param(run, 'lr', '1e-3')\n"
                  "values = [0.5, float('nan'), float('inf'), 0.1, 1 / 3]\n"
                  "for i in range(5): c.log_metric(run, 'val acc', values[i], step=i)\n"
                  "c.set_terminated(run, 'FAILED')\n")
        self.ok("import", "mlflow", "theirs.db", store="real.db")
        self.assertEqual([row[1:] for row in self.curves("real.db")],
                         [("val_acc", i, v) for i, v in enumerate([0.5, None, "inf", 0.1, 1 / 3])])
        run = json.loads(self.ok("runs", "--json", store="real.db"))[0]
        self.assertEqual((run["name"], run["status"], run["seed"], run["params"]["lr"]), ("digits", "failed", 4, 0.001))
        self.assertIn("1 already there", self.ok("import", "mlflow", "theirs.db", store="real.db"))

    def test_real_tensorboard_tensors(self):
        # TensorFlow 2 writes scalars as tensors; TensorBoard's own writer can do the same.
        self.tool("tensorboard", """
from tensorboard.summary import Writer
writer = Writer('theirs/one')
for i in range(5):
    writer.add_scalar('epoch loss', 1 / (i + 1), i)
writer.close()
""")
        self.ok("import", "tensorboard", "theirs", "--name", "theirs", store="real.db")
        rows = json.loads(self.ok("sql", "SELECT key, step, value FROM metrics", "--json", store="real.db"))
        self.assertEqual([(row["key"], row["step"]) for row in rows], [("epoch_loss", i) for i in range(5)])
        for i, row in enumerate(rows):
            self.assertEqual(row["value"], struct.unpack("f", struct.pack("f", 1 / (i + 1)))[0])


class TensorBoard(TransferCase):
    def test_framing_and_messages(self):
        self.ok("export", "tensorboard", "tb")
        files = sorted((self.dir / "tb").rglob("*tfevents*"))
        self.assertEqual(len(files), 2)
        values = {}
        events = list(records(files[0].read_bytes()))
        self.assertEqual(dict(fields(events[0]))[3], b"brain.Event:2", "the version is first")
        for event in events[1:]:
            event = dict(fields(event))
            value = dict(fields(dict(fields(event[5]))[1]))
            if 2 in value:
                time, = struct.unpack("<d", event[1])
                values[value[1].decode(), event.get(2, 0)] = (struct.unpack("<f", value[2])[0], time)
        self.assertEqual(len([key for key in values if key[0] == "train/loss"]), STEPS)
        run = 0 if abs(values["train/loss", 0][0] - loss(0, 0)) < 1e-6 else 1
        for step in range(STEPS):
            value, time = values["train/loss", step]
            self.assertEqual(value, struct.unpack("f", struct.pack("f", loss(run, step)))[0])
            self.assertAlmostEqual(time, 1767225600.5 + step, places=2)
        self.assertTrue(math.isnan(values["val_acc", 20][0]))

    def test_there_and_back(self):
        self.ok("export", "tensorboard", "tb", "--where", "seed = 1")
        self.ok("import", "tensorboard", "tb", store="back.db")
        theirs = {row[1:3]: row[3] for row in self.curves("back.db")}
        ours = {row[1:3]: row[3] for row in self.curves() if row[0] == 1}
        self.assertEqual(theirs.keys(), ours.keys())
        for key, value in ours.items():
            self.assertEqual(theirs[key], value and struct.unpack("f", struct.pack("f", value))[0])
        self.assertIn("1 already there", self.ok("import", "tensorboard", "tb", store="back.db"))

    def test_taken_by_several_at_once(self):
        self.ok("export", "tensorboard", "tb")
        imports = [subprocess.Popen([GRADUS, "import", "tensorboard", "tb", "--store", "all.db"], cwd=self.dir, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, text=True) for _ in range(6)]
        done = [(one.communicate(timeout=60), one.returncode) for one in imports]
        self.assertEqual([(err, code) for (_, err), code in done], [("", 0)] * 6)
        self.assertEqual(sorted("already there" in out for (out, _), _ in done), [False] + [True] * 5)

    def test_read_by_tensorboard(self):
        self.ok("export", "tensorboard", "tb")
        read = json.loads(self.tool("tensorboard", """
import glob, json
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
out = {}
for folder in sorted(glob.glob('tb/*')):
    events = EventAccumulator(folder, size_guidance={'scalars': 0, 'tensors': 0}).Reload()
    data = events.SummaryMetadata('_hparams_/session_start_info').plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(data).session_start_info
    out[folder] = {
        'group': start.group_name,
        'hparams': {k: v.number_value if v.HasField('number_value') else v.string_value if v.HasField('string_value')
                    else v.bool_value for k, v in start.hparams.items()},
        'scalars': {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()['scalars']},
        'text': events.Tensors('parameters')[0].tensor_proto.string_val[0].decode()}
print(json.dumps(out))
"""))
        self.assertEqual(len(read), 2)
        self.assertEqual(len({run["group"] for run in read.values()}), 1, "two seeds of one configuration")
        for run in read.values():
            self.assertEqual(run["hparams"], {"bias": True, "lr": 0.1, "nested.width": 12, "strategy": "ramp",
                                              "seed": run["hparams"]["seed"]})
            self.assertEqual(sorted(run["scalars"]), ["train/loss", "val_acc"])
            for step, value in run["scalars"]["train/loss"]:
                self.assertEqual(value, struct.unpack("f", struct.pack("f", loss(run["hparams"]["seed"], step)))[0])
            self.assertEqual([step for step, _ in run["scalars"]["train/loss"]], list(range(STEPS)))
            self.assertIn("|lr|0.1|", run["text"])

    def test_hostile_files(self):
        self.ok("export", "tensorboard", "tb", "@last")
        file = next((self.dir / "tb").rglob("*tfevents*"))
        whole = file.read_bytes()
        length = struct.pack("<Q", 1 << 40)
        for name, data in {"cut": whole[:-3], "crc": whole[:-9] + b"?" + whole[-8:], "no": b"hello" * 9,
                           "length": length + struct.pack("<I", masked(length)) + b"x" * 99}.items():
            with self.subTest(name):
                file.write_bytes(data)
                limit = ["sh", "-c", 'ulimit -v 400000; exec "$@"', "sh", GRADUS, "import", "tensorboard", "tb"]
                done = subprocess.run(limit, cwd=self.dir, capture_output=True, text=True, timeout=60)
                self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (65, "", 1), done.stderr)
                self.assertIn("damaged event file at byte", done.stderr)
        file.write_bytes(whole[:-3])
        self.assertIn("1 run added", self.ok("import", "tensorboard", "tb", "--partial"))


class Mlflow(TransferCase):
    def test_there_and_back(self):
        self.ok("export", "mlflow", "m.db")
        self.ok("import", "mlflow", "m.db", store="back.db")
        self.assertEqual(self.curves("back.db"), self.curves())
        self.assertIn("2 already there", self.ok("import", "mlflow", "m.db"), "runs of this store are known")

    def test_read_by_mlflow(self):
        self.ok("export", "mlflow", "m.db")
        read = json.loads(self.tool("mlflow", """
import json
from mlflow.tracking import MlflowClient
client = MlflowClient('sqlite:///m.db')
ids = [e.experiment_id for e in client.search_experiments(filter_string="name = 'proj'")]
runs = client.search_runs(ids, "params.strategy = 'ramp' and metrics.`train/loss` < 1", order_by=['params.seed'])
print(json.dumps([{'id': r.info.run_id, 'name': r.info.run_name, 'status': r.info.status, 'params': r.data.params,
  'last': r.data.metrics['train/loss'], 'start': r.info.start_time, 'artifacts': r.info.artifact_uri,
  'loss': [(m.step, m.value, m.timestamp) for m in client.get_metric_history(r.info.run_id, 'train/loss')],
  'acc': [str(m.value) for m in client.get_metric_history(r.info.run_id, 'val_acc')]} for r in runs]))
# Still theirs to write into.
client.log_metric(client.create_run(ids[0]).info.run_id, 'x', 1)
"""))
        uids = [run["uid"] for run in json.loads(self.ok("runs", "--json"))]
        self.assertEqual([run["id"] for run in read], uids)
        for seed, run in enumerate(read):
            self.assertEqual(run["params"], {"bias": "true", "lr": "0.1", "nested.width": "12", "seed": str(seed),
                                             "strategy": "ramp"})
            self.assertEqual(run["status"], "FINISHED")
            self.assertEqual([point[:2] for point in run["loss"]], [[step, loss(seed, step)] for step in range(STEPS)])
            self.assertEqual([point[2] - run["start"] for point in run["loss"]], [1000 * step for step in range(STEPS)])
            self.assertEqual(run["last"], loss(seed, STEPS - 1))
            self.assertEqual(run["acc"], ["0.0", "0.25", "nan", "0.75"])
            self.assertTrue(run["artifacts"].endswith(run["id"]))
        # MLflow has brought the file up to its newest revision; we still add to it.
        self.assertIn("1 run with 44 values", self.ok("export", "mlflow", "m.db", "--where", "seed = 1"))
        self.assertIn("1 run added, 2 already there; 1 value", self.ok("import", "mlflow", "m.db"))


    def test_opened_by_mlflows_server(self):
        """`mlflow server`: the page of MLflow's UI, and the questions that page asks."""
        python = tools_python("mlflow.server")
        self.ok("export", "mlflow", "m.db")
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        with open(self.dir / "server.log", "w") as log:
            server = subprocess.Popen([python, "-m", "mlflow", "server", "--backend-store-uri", "sqlite:///m.db", "--host", "127.0.0.1",
                                       "--port", str(port), "--workers", "1"], cwd=self.dir, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                      env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}, start_new_session=True)
        self.addCleanup(server.wait)
        self.addCleanup(os.killpg, server.pid, signal.SIGTERM)

        def ask(path, body=None):
            request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Content-Type": "application/json"},
                                             data=None if body is None else json.dumps(body).encode())
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.read().decode()

        for _ in range(600):
            with contextlib.suppress(OSError):
                if ask("/health") == "OK":
                    break
            self.assertIsNone(server.poll(), (self.dir / "server.log").read_text()[-2000:])
            time.sleep(0.2)
        self.assertIn("<title>MLflow</title>", ask("/"))
        api = "/ajax-api/2.0/mlflow/"
        found = json.loads(ask(api + "experiments/search", {"max_results": 10, "filter": "name = 'proj'"}))["experiments"]
        self.assertEqual([experiment["name"] for experiment in found], ["proj"])
        runs = json.loads(ask(api + "runs/search", {"experiment_ids": [found[0]["experiment_id"]], "filter": "params.strategy = 'ramp'",
                                                    "order_by": ["params.seed ASC"]}))["runs"]
        uids = [run["uid"] for run in json.loads(self.ok("runs", "--json"))]
        self.assertEqual([run["info"]["run_id"] for run in runs], uids)
        self.assertEqual({metric["key"]: metric["value"] for metric in runs[1]["data"]["metrics"]},
                         {"train/loss": loss(1, STEPS - 1), "val_acc": 0.75})
        history = json.loads(ask(api + f"metrics/get-history?run_id={uids[1]}&metric_key=train%2Floss"))["metrics"]
        self.assertEqual([(point["step"], point["value"]) for point in history], [(step, loss(1, step)) for step in range(STEPS)])


class Wandb(TransferCase):
    def test_read_by_wandb(self):
        self.ok("export", "wandb", "wandb")
        uids = [run["uid"] for run in json.loads(self.ok("runs", "--json"))]
        read = json.loads(self.tool("wandb", """
import glob, json, os, subprocess, sys
env = {**os.environ, 'HOME': os.getcwd(), 'WANDB_ERROR_REPORTING': 'false'}
def wandb(*args):
    done = subprocess.run([sys.executable, '-m', 'wandb', *args], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
runs = {}
for path in glob.glob('wandb/offline-run-*'):
    records = [json.loads(line) for line in wandb('leet', 'inspect', '--json', path).splitlines()]
    runs[path.rpartition('-')[2]] = {'summary': json.loads(wandb('leet', 'inspect', '--summary', '--json', path)), 'records': records}
print(json.dumps({'runs': runs, 'sync': wandb('sync', '--dry-run')}))
"""))
        self.assertIn("Would sync 2 run(s)", read["sync"])
        self.assertEqual(sorted(read["runs"]), sorted(uids))
        for seed, uid in enumerate(uids):
            run = read["runs"][uid]
            summary = run["summary"]
            self.assertEqual((summary["project"], summary["state"], summary["exit_code"], summary["step"]),
                             ("proj", "finished", 0, STEPS - 1))
            self.assertEqual(summary["config"], {"bias": True, "lr": 0.1, "nested": {"width": 12}, "seed": seed, "strategy": "ramp"})
            self.assertEqual({key: summary["summary"][key] for key in ("train/loss", "val_acc", "_runtime")},
                             {"train/loss": loss(seed, STEPS - 1), "val_acc": 0.75, "_runtime": STEPS - 1})
            rows = [record["history"]["item"] for record in run["records"] if record["type"] == "history"]
            self.assertEqual([(row["_step"], row["train/loss"], row["_timestamp"]) for row in rows],
                             [(step, loss(seed, step), 1767225600.5 + step) for step in range(STEPS)])
            self.assertEqual([str(row["val_acc"]).lower() for row in rows if "val_acc" in row], ["0", "0.25", "nan", "0.75"])
            self.assertEqual([record["num"] for record in run["records"]], list(range(1, len(run["records"]) + 1)))


class Text(TransferCase):
    def test_csv(self):
        rows = list(csv.DictReader(self.ok("export", "csv", "1").splitlines()))
        self.assertEqual([float(row["value"]) for row in rows if row["key"] == "train/loss"],
                         [loss(0, step) for step in range(STEPS)])
        self.assertIn("in all", self.ok("export", "csv", "-o", "all"))
        self.assertEqual(sorted(path.name for path in (self.dir / "all").iterdir()),
                         ["events.csv", "metrics.csv", "params.csv", "progress.csv", "runs.csv"])
        with open(self.dir / "all" / "params.csv", newline="") as file:
            self.assertEqual(len(list(csv.DictReader(file))), 10)

    def test_json(self):
        runs = json.loads(self.ok("export", "json", "--where", "seed = 1"))["runs"]
        self.assertEqual(len(runs), 1)
        self.assertEqual(runs[0]["metrics"]["train/loss"], [[step, loss(1, step)] for step in range(STEPS)])
        self.assertEqual(runs[0]["metrics"]["val_acc"][2], [20, None])

    def test_command_lines(self):
        self.refused(64, "did you mean 'tensorboard'", "export", "tensorbord", "tb")
        self.refused(64, "export csv: unknown option '--outptu'; did you mean '--output'", "export", "csv", "--outptu",
                     "x")
        self.refused(64, "import:", "import")
        self.refused(66, "nothing to export", "export", "csv", "--where", "seed = 9")
        self.refused(66, "no such file", "import", "trackio", "none.db")
        self.refused(65, "without the table", "import", "mlflow", "proj.db")
        self.refused(66, "no such store", "export", "json", store="none.db")
        self.refused(74, "cannot write", "export", "csv", "-o", "no/such/x.csv")
        self.refused(74, "cannot make the folder", "export", "tensorboard", "proj.db/x")
        self.assertFalse((self.dir / "none.db").exists())


if __name__ == "__main__":
    unittest.main()
