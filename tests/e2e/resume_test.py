"""A run that is killed goes on with the bits that it would have had; forks; longer runs.

GRADUS_FULL=1: 200 kills instead of a sample.
"""

import json
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
FULL = os.environ.get("GRADUS_FULL") == "1"

# A teacher's training, stages that go on by what they show, dropout, augmentation, an adaptive sampler, patience.
DISTILL = """
local g = require "gradus"
local nn, when = g.nn, g.when
return g.experiment { name = "distill", params = { alpha = .5, steps = 3000, T = 2 },
  run = function(run, p)
    local d = g.data.digits():split { train = .7, val = .15, test = .15 }
    local teacher = nn.MLP { 64, 64, 10 }
    run:fit { model = teacher, data = d, epochs = 10, patience = 4 }
    local ranked = d.train:rank(g.score.loss(teacher))
    local r = run:distill { teacher = teacher, student = nn.MLP { 64, 12, 10, dropout = .1 }, data = d, alpha = p.alpha, batch = 32,
      budget = { steps = p.steps }, monitor = "val/acc", evaluate = { steps = 100 },
      curriculum = { { "easy", sample = ranked:first(.3), temperature = 6, augment = .8,
          advance = when.any(when.above("val/acc", .7), when.steps(1000)) },
        { "middle", sample = g.sampler.confidence(d.train), temperature = g.schedule.linear(4, 2), augment = .2, advance = when.steps(900) },
        { "hard", temperature = p.T } } }
    return { acc = run:evaluate(r.student, d.test).acc, best = r:best("val/acc") }
  end }
"""

# An open loop whose state is locals: a best value, a history, a mean, Lua's random numbers.
LOOP = """
local g = require "gradus"
local nn = g.nn
return g.experiment { name = "loop", params = { steps = 4000 },
  run = function(run, p)
    local d = g.data.digits():split { train = .7, val = .15, test = .15 }
    local teacher, student = nn.MLP { 64, 32, 10 }, nn.MLP { 64, 12, 10, dropout = .1 }
    run:fit { model = teacher, data = d.train, steps = 300 }
    local opt = g.optim.AdamW(student)
    local src = g.sampler.confidence(d.train)
    local step = run:step(function(b, k)
      local kd = g.kd_loss(student(b.x), b.teacher, b.y, k)
      opt:minimize(kd.loss, { lr = k.lr, clip = 1 })
      return kd
    end)
    local best, history, ema = 0, {}, g.zeros { 1 }
    for i, b in run:batches(src, { size = 32, steps = p.steps, teacher = teacher }) do
      local out = step(b, { temperature = 4 + math.random(), alpha = .5, lr = 3e-3 })
      src:observe(b.index, out.confidence)
      ema = ema * .99 + out.loss * .01
      if i % 10 == 0 then run:log { loss = out.loss, ema = ema } end
      if i % 200 == 0 then
        local acc = run:evaluate(student, d.val).acc
        if acc > best then best = acc run:decide("best", { acc = acc }) end
        history[#history + 1] = { acc = acc, step = i }
        run:log { ["val/acc"] = acc, best = best, n = #history }
      end
    end
    local sum = 0
    for i, one in ipairs(history) do sum = sum + i * one.acc end
    return { best = best, sum = sum }
  end }
"""

# A teacher from the cache, whose training is a run of its own.
TEACHER = """
local g = require "gradus"
local function build(data) return g.fit { model = g.nn.MLP { 64, 64, 10 }, data = data, steps = 4000, lr = 1e-3 } end
return g.experiment { name = "teacher", run = function(run)
  local d = g.data.digits():split { train = .7, val = .15, test = .15 }
  local teacher = run:cached("teacher", build, d.train)
  local r = run:distill { teacher = teacher, student = g.nn.MLP { 64, 12, 10 }, data = d, budget = { steps = 500 } }
  return { acc = run:evaluate(r.student, d.test).acc, teacher = run:evaluate(teacher, d.test).acc }
end }
"""

# Looks ahead: trials that write nothing between what is written.
LOOKAHEAD = """
local g = require "gradus"
return g.experiment { name = "ahead", run = function(run)
  local d = g.data.digits():split { train = .7, val = .15, test = .15 }
  local teacher = g.nn.MLP { 64, 64, 10 }
  run:fit { model = teacher, data = d, epochs = 5 }
  local r = run:lookahead { teacher = teacher, student = g.nn.MLP { 64, 12, 10, dropout = .1 }, data = d, batch = 32,
    budget = { steps = 2000 }, steps = 100, by = "val/kd_loss", evaluate = { steps = 50 },
    try = { hot = { temperature = 8 }, cold = { temperature = 2 }, confident = { curriculum = "confidence" } } }
  return { acc = run:evaluate(r.student, d.test).acc, cold = table.concat(r.chosen, " "):find "cold" and 1 or 0 }
end }
"""

# All but what differs between two runs of the same bits: what was waited for, and whether a teacher's answers were at hand.
WHAT = {
    "metrics": "SELECT run_id, key, step, value FROM metrics WHERE key <> 'result/seconds' ORDER BY 1, 2, 3",
    "summaries": "SELECT run_id, key, last, min, max, argmin, argmax, count, nans FROM summaries WHERE key <> 'result/seconds' ORDER BY 1, 2",
    "progress": "SELECT run_id, step, epoch, samples, flops FROM progress ORDER BY 1, 2",
    "events": "SELECT run_id, step, kind, name, detail FROM events WHERE kind NOT IN ('cache', 'teacher_cache', 'flops', 'resume', 'fork') "
              "ORDER BY run_id, id",
    "artifacts": "SELECT run_id, kind, path, bytes FROM artifacts ORDER BY 1, 3",
}


class ResumeCase(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def gradus(self, *args, code=0):
        done = subprocess.run([GRADUS, *args], cwd=self.dir, capture_output=True, text=True, timeout=120)
        if code is not None:
            self.assertEqual(done.returncode, code, done.stderr + done.stdout)
        return done

    def run_whole(self, text, *args, name="s.lua", store="whole.db"):
        (self.dir / name).write_text(text)
        self.gradus("run", name, "-q", "--store", store, "--snapshots", "none", *args)

    def start(self, *args):
        return subprocess.Popen([GRADUS, *args], cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def rows(self, store, root="parent IS NULL AND kind = 'run'"):
        """All that a store knows of its (only or named) run and of the trainings split from it, without ids and times."""
        database = sqlite3.connect(self.dir / store)
        root = database.execute(f"SELECT max(id) FROM runs WHERE {root}").fetchone()[0]
        ids = [row[0] for row in database.execute("SELECT id FROM runs WHERE id = ?1 OR parent = ?1 AND kind = 'training' ORDER BY id", (root,))]
        return {name: [(ids.index(run), *rest) for run, *rest in database.execute(sql) if run in ids] for name, sql in WHAT.items()}

    def weights(self, store):
        folder = self.dir / self.ask(store, "SELECT uid FROM runs WHERE parent IS NULL ORDER BY id DESC")
        kept = {path.name: path.read_bytes() for path in folder.glob("student*.safetensors")}
        return {name: data[8 + int.from_bytes(data[:8], "little"):] for name, data in kept.items()}  # without the run's uid

    def wait_until(self, condition):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not condition():
            time.sleep(.02)

    def resumes(self):
        return self.ask("cut.db", "SELECT count(*) FROM events WHERE kind = 'resume'")

    def ask(self, store, sql):
        row = sqlite3.connect(self.dir / store).execute(sql).fetchone()
        return row and row[0]

    def assert_same(self, one, other, **root):
        a, b = self.rows(one), self.rows(other, **root)
        for name in WHAT:
            only = [sorted(set(map(str, x)) - set(map(str, y)))[:3] for x, y in ((a[name], b[name]), (b[name], a[name]))]
            self.assertEqual(len(a[name]), len(b[name]), (name, only))
            self.assertEqual(only, [[], []], name)
        if not root:
            self.assertEqual(self.weights(one), self.weights(other))


class KilledTest(ResumeCase):
    def kill(self, text, kills, seed):
        """Kills a run so many times at random moments, and lets it end."""
        store = "killed.db"
        args = ["run", "s.lua", "-q", "--store", store, "--snapshots", "40"]
        chance = random.Random(seed)
        for _ in range(kills):
            process = self.start(*args)
            time.sleep(chance.uniform(.25, self.seconds))
            process.kill()
            process.wait()
            if not (self.dir / store).exists():
                continue  # before it had a run
            if self.gradus("runs", "--store", store, "--json", code=None).stdout.strip() in ("", "[]"):
                continue
            if json.loads(self.gradus("runs", "--store", store, "--json").stdout)[0]["status"] == "finished":
                break
            args = ["resume", "@last", "-q", "--store", store, "--snapshots", "40"]
        if args[0] == "run" or self.ask(store, "SELECT status FROM runs WHERE parent IS NULL") != "finished":
            self.gradus(*args)

    def killed_anywhere(self, text):
        self.run_whole(text)
        began = time.monotonic()
        self.run_whole(text)
        self.seconds = .9 * (time.monotonic() - began)
        shutil.rmtree(self.dir / "cache", ignore_errors=True)
        for path in list(self.dir.glob("whole.db*")):
            path.unlink()
        self.run_whole(text)
        for trial in range(70 if FULL else 3):
            with self.subTest(seed=trial):
                self.kill(text, 20 if trial % 10 == 9 else 1 + trial % 3, trial)
                self.assert_same("whole.db", "killed.db")
                for path in self.dir.glob("killed.db*"):
                    path.unlink()

    def test_a_distillation(self):
        self.killed_anywhere(DISTILL)

    def test_one_that_looks_ahead(self):
        self.killed_anywhere(LOOKAHEAD)

    def test_an_open_loop(self):
        self.killed_anywhere(LOOP)


class SavedTest(ResumeCase):
    def interrupted(self, text=DISTILL, sign=signal.SIGINT, code=130, saved="*/snapshots/2-*.safetensors", *more):
        """Sends a signal to a run that has saved itself twice in its student's training."""
        (self.dir / "s.lua").write_text(text)
        process = self.start("run", "s.lua", "-q", "--store", "cut.db", "--snapshots", "50", "--set", "steps=60000", *more)
        self.wait_until(lambda: len({path.name for path in self.dir.glob(saved)}) >= 2)
        process.send_signal(sign)
        self.assertEqual(process.wait(timeout=60), code)

    def snapshots(self, store="cut.db"):
        uid = self.ask(store, "SELECT uid FROM runs WHERE parent IS NULL ORDER BY id DESC")
        def place(path):  # one that is written beside the training may be there later than the next
            training, step = path.stem.split("-")
            return int(training), float("inf") if step == "end" else int(step)
        return sorted((self.dir / uid / "snapshots").glob("*.safetensors"), key=place)

    def test_signals_save(self):
        self.interrupted()
        last = self.ask("cut.db", "SELECT max(step) FROM progress WHERE run_id = 1")
        self.assertTrue(self.snapshots()[-1].name.endswith(f"-{last}.safetensors"), (last, self.snapshots()))
        done = self.gradus("show", "@last", "--store", "cut.db")
        self.assertIn("interrupted", done.stdout)
        self.assertIn(f"2-{last}", done.stdout)

    def test_term_saves_too(self):
        self.interrupted(sign=signal.SIGTERM, code=143)
        self.assertTrue(self.snapshots())

    def test_usr1_saves_and_the_run_goes_on(self):
        (self.dir / "s.lua").write_text(LOOP)
        process = self.start("run", "s.lua", "-q", "--store", "cut.db", "--snapshots", "none", "--set", "steps=40000")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not list(self.dir.glob("*/snapshots/*.safetensors")):
            process.send_signal(signal.SIGUSR1) if list(self.dir.glob("*/alive")) else None
            time.sleep(.1)
        self.assertTrue(list(self.dir.glob("*/snapshots/*.safetensors")))
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=60), 130)

    def test_a_damaged_snapshot_is_named_and_the_one_before_taken(self):
        self.interrupted()
        newest = self.snapshots()[-1]
        data = bytearray(newest.read_bytes())
        data[-5] ^= 1
        newest.write_bytes(data)
        done = self.gradus("resume", "@last", "--store", "cut.db", "--set", "steps=9", code=64)
        self.assertIn("expected `gradus fork", done.stderr)
        before = self.resumes()
        process = self.start("resume", "@last", "--store", "cut.db", "--snapshots", "none")
        self.wait_until(lambda: self.resumes() > before)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        detail = self.ask("cut.db", "SELECT detail FROM events WHERE kind = 'resume'")
        self.assertEqual(self.ask("cut.db", "SELECT step FROM events WHERE kind = 'resume'"), json.loads(detail)["from"])
        self.assertLess(json.loads(detail)["from"], int(newest.name.split("-")[1].split(".")[0]))

    def test_what_differs_is_refused_by_name(self):
        self.interrupted()
        (self.dir / "s.lua").write_text(DISTILL.replace("batch = 32", "batch = 16"))
        done = self.gradus("resume", "@last", "--store", "cut.db", code=65)
        self.assertIn("script s.lua was", done.stderr)
        self.assertIn("--accept script", done.stderr)
        (self.dir / "s.lua").write_text(DISTILL)
        done = self.gradus("resume", "@last", "--store", "cut.db", "--threads", "7", code=65)
        self.assertIn("threads was auto, now 7", done.stderr)
        self.gradus("resume", "@last", "--store", "nothere.db", code=66)
        self.gradus("resume", "99", "--store", "cut.db", code=66)
        (self.dir / "s.lua").unlink()
        self.assertIn("no file 's.lua'", self.gradus("resume", "@last", "--store", "cut.db", code=66).stderr)

    def test_other_data_are_refused_unless_they_are_accepted(self):
        def table(shift):
            rows = "".join(f"{i % 7},{(i * i + shift) % 11},{i % 3}\n" for i in range(300))
            (self.dir / "d.csv").write_text("a,b,label\n" + rows)
        table(0)
        (self.dir / "s.lua").write_text("""
local g = require "gradus"
return g.experiment { name = "s", run = function(run)
  local d = g.data.csv("d.csv", { label = "label" }):split { train = .8, val = .2 }
  run:fit { model = g.nn.MLP { 2, 8, 3 }, data = d, steps = 200000 }
end }""")
        process = self.start("run", "s.lua", "-q", "--store", "cut.db", "--snapshots", "100")
        self.wait_until(lambda: list(self.dir.glob("*/snapshots/1-*.safetensors")))
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=60), 130)
        table(1)
        done = self.gradus("resume", "@last", "--store", "cut.db", code=65)
        self.assertRegex(done.stderr, "data (train|val) was [0-9a-f]+, now [0-9a-f]+; expected the same, or --accept data")
        before, hash_of = self.resumes(), "SELECT config_hash FROM runs WHERE id = 1"
        pure = self.ask("cut.db", hash_of)
        process = self.start("resume", "1", "-q", "--store", "cut.db", "--accept", "data")
        self.wait_until(lambda: self.resumes() > before)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=60), 130)
        self.assertRegex(self.ask("cut.db", "SELECT detail FROM events WHERE run_id = 1 AND kind = 'resume' AND name = 'data'"), "data (train|val) was")
        mixed = self.ask("cut.db", hash_of)
        self.assertNotEqual(mixed, pure)
        # Of two scripts: a repetition of neither, and one that a later attempt still knows of.
        text = (self.dir / "s.lua").read_text()
        (self.dir / "s.lua").write_text(text + "-- other\n")
        process = self.start("resume", "1", "-q", "--store", "cut.db", "--accept", "script,data")
        self.wait_until(lambda: self.resumes() > before + 1)
        self.wait_until(lambda: self.ask("cut.db", hash_of) != mixed)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=60), 130)
        self.assertNotEqual(self.ask("cut.db", hash_of), pure)
        # The store has both texts; from a later snapshot the second one is the run's own.
        step = self.ask("cut.db", "SELECT max(json_extract(detail, '$.from')) FROM events WHERE kind = 'resume' AND name = 'resume'")
        texts = "SELECT text FROM run_sources JOIN sources USING (sha256) WHERE run_id = 1 AND path = "
        self.assertEqual(self.ask("cut.db", f"{texts}'s.lua@{step}'"), text + "-- other\n")
        self.assertEqual(self.ask("cut.db", f"{texts}'s.lua'"), text)
        before = self.resumes()
        process = self.start("resume", "1", "-q", "--store", "cut.db", "--accept", "data")
        self.wait_until(lambda: self.resumes() > before)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=60), 130)
        (self.dir / "s.lua").write_text(text)
        self.assertIn("script s.lua was", self.gradus("resume", "1", "--store", "cut.db", "--accept", "data", code=65).stderr)

    def test_a_running_run_is_refused(self):
        (self.dir / "s.lua").write_text(LOOP)
        process = self.start("run", "s.lua", "-q", "--store", "cut.db", "--set", "steps=400000")
        self.wait_until(lambda: list(self.dir.glob("*/alive")))
        self.assertIn("is running", self.gradus("resume", "@last", "--store", "cut.db", code=64).stderr)
        process.kill()
        process.wait()

    def test_a_run_without_a_snapshot_begins_anew_in_its_place(self):
        (self.dir / "s.lua").write_text("""
local g = require "gradus"
return g.experiment { name = "s", run = function(run)
  for i = 1, 100 do run:log({ x = i }, i) end
  if not os.getenv "WHOLE" then error "no" end
  return { ok = 1 }
end }""")
        self.gradus("run", "s.lua", "-q", "--store", "cut.db", code=65)
        os.environ["WHOLE"] = "1"
        self.addCleanup(os.environ.pop, "WHOLE", None)
        self.assertIn("begins anew", self.gradus("resume", "@last", "--store", "cut.db").stderr)
        self.assertEqual(self.ask("cut.db", "SELECT count(*) FROM metrics WHERE run_id = 1 AND key = 'x'"), 100)
        self.assertEqual(self.ask("cut.db", "SELECT count(*) FROM metrics WHERE run_id = 2 AND key = 'x'"), 100)
        self.assertEqual(self.ask("cut.db", "SELECT kind || ' ' || status FROM runs WHERE parent = 1"), "attempt failed")
        self.assertIn("is finished", self.gradus("resume", "@last", "--store", "cut.db", code=64).stderr)

    def test_a_cached_teacher_goes_on_too(self):
        self.run_whole(TEACHER)
        shutil.rmtree(self.dir / "cache")
        process = self.start("run", "s.lua", "-q", "--store", "cut.db", "--snapshots", "50")
        self.wait_until(lambda: len([path for path in self.dir.glob("*/snapshots/1-*.safetensors")
                                     if (path.parent.parent / "alive").exists()]) >= 2)
        process.kill()
        process.wait()
        self.assertEqual(self.gradus("runs", "--store", "cut.db", "--children", "--json").stdout.count('"interrupted"'), 2)
        self.gradus("resume", "1", "-q", "--store", "cut.db")
        self.assert_same("whole.db", "cut.db")
        self.assertEqual(self.ask("cut.db", "SELECT count(*) FROM runs WHERE kind = 'teacher'"), 1)
        self.assertEqual(self.ask("cut.db", "SELECT status FROM runs WHERE kind = 'teacher'"), "finished")
        self.assertEqual(self.ask("cut.db", "SELECT count(*) FROM runs WHERE kind = 'attempt' AND parent = "
                                            "(SELECT id FROM runs WHERE kind = 'teacher')"), 1)

    def test_a_grid_goes_on_with_what_it_left(self):
        grid = LOOP.replace("params = {", "grid = { seed = { 1, 2, 3 } }, params = {")
        (self.dir / "s.lua").write_text(grid)
        self.gradus("run", "s.lua", "-q", "--store", "whole.db", "--snapshots", "none")
        process = self.start("run", "s.lua", "-q", "--store", "cut.db", "--snapshots", "100", "-j", "1")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and len(list(self.dir.glob("*/alive"))) + len(list(self.dir.glob("*/student.last*"))) < 3:
            time.sleep(.05)  # whole.db's three runs, and the second of these
        time.sleep(.3)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        self.gradus("run", "s.lua", "-q", "--store", "cut.db", "--snapshots", "100", "--resume")
        self.assertEqual(self.ask("cut.db", "SELECT count(*) FROM runs WHERE parent IS NULL AND status = 'finished'"), 3)
        for seed in (1, 2, 3):
            self.assert_same_run(seed)

    def assert_same_run(self, seed):
        root = f"parent IS NULL AND seed = {seed}"
        self.assertEqual(self.rows("whole.db", root), self.rows("cut.db", root))


class ForkTest(ResumeCase):
    def setUp(self):
        super().setUp()
        self.run_whole(DISTILL)

    def test_an_unchanged_fork_is_the_same_run(self):
        for at in (1, 1234, 3000):
            with self.subTest(at=at):
                self.gradus("fork", "1", "--at", str(at), "-q", "--store", "whole.db")
                self.same_last_training()
        self.assertEqual(self.ask("whole.db", "SELECT json_extract(detail, '$.at') FROM events WHERE kind = 'fork'"), None)

    def same_last_training(self):
        """The fork has the last training's axis alone: what came before it is its parent's."""
        whole, fork = self.rows("whole.db", "id = 1"), self.rows("whole.db", "parent IS NULL")
        for name in ("metrics", "progress", "events"):
            mine = [row[1:] for row in fork[name] if row[0] == 0]
            self.assertEqual(mine, [row[1:] for row in whole[name] if row[0] == 0], name)

    def test_a_fork_differs_from_its_step_on(self):
        self.gradus("fork", "1", "--at", "2500", "--set", "T=5", "-q", "--store", "whole.db")
        whole, fork = self.rows("whole.db", "id = 1")["metrics"], self.rows("whole.db", "parent IS NULL")["metrics"]
        knobs = [{row[2]: row[3] for row in rows if row[0] == 0 and row[1] == "knob/temperature"} for rows in (whole, fork)]
        self.assertEqual([step for step in knobs[0] if knobs[0][step] != knobs[1][step]], list(range(2501, 3001)))
        detail = json.loads(self.ask("whole.db", "SELECT detail FROM events WHERE name = 'fork'"))
        self.assertEqual((detail["run"], detail["at"], detail["set"]), (1, 2500, {"T": 5}))
        self.assertEqual(self.ask("whole.db", "SELECT value FROM params WHERE key = 'T' AND run_id = (SELECT max(run_id) FROM params)"), 5)

    def test_bad_steps(self):
        self.assertIn("came to step 3000", self.gradus("fork", "1", "--at", "3001", "--store", "whole.db", code=64).stderr)
        self.assertIn("expected a step", self.gradus("fork", "1", "--at", "x", "--store", "whole.db", code=64).stderr)
        self.assertIn("expected a step", self.gradus("fork", "1", "--store", "whole.db", code=64).stderr)

    def test_a_fork_that_no_longer_fits(self):
        (self.dir / "other.lua").write_text(DISTILL.replace("{ 64, 12, 10,", "{ 64, 13, 10,"))
        done = self.gradus("fork", "1", "other.lua", "--at", "2000", "--store", "whole.db", code=65)
        self.assertIn("layers.0.weight", done.stderr)

    def test_a_finished_run_goes_on_longer(self):
        self.assertIn("--schedules", self.gradus("resume", "1", "--set", "steps=4000", "--store", "whole.db", code=64).stderr)
        before = [row for row in self.rows("whole.db")["metrics"] if not row[1].startswith("result/")]
        self.gradus("resume", "1", "--set", "steps=4000", "--schedules", "keep", "-q", "--store", "whole.db")
        after = self.rows("whole.db")["metrics"]
        self.assertEqual(before, [row for row in after if row[0] == 1 or row[2] <= 3000 and not row[1].startswith("result/")])
        self.assertEqual(self.ask("whole.db", "SELECT max(step) FROM metrics WHERE run_id = 1"), 4000)
        lrs = {row[2]: row[3] for row in after if row[0] == 0 and row[1] == "knob/lr"}
        self.assertEqual(lrs[3500], lrs[3001])
        self.assertEqual(self.ask("whole.db", "SELECT value FROM params WHERE run_id = 1 AND key = 'steps'"), 4000)
        self.assertEqual(self.ask("whole.db", "SELECT count(*) FROM runs WHERE kind = 'attempt'"), 1)


# A training, a look-ahead or a loop, whose budget and width are parameters.
SHORT = """
local g = require "gradus"
return g.experiment { name = "short", params = { steps = 60, width = 4, way = g.choice { "distill", "lookahead", "loop" } },
  run = function(run, p)
  local d = g.data.digits():split { train = .2, val = .1 }
  local teacher, student = g.nn.MLP { 64, 10 }, g.nn.MLP { 64, p.width, 10 }
  if p.way ~= "loop" then
    local o = { teacher = teacher, student = student, data = d, budget = { steps = p.steps }, evaluate = { steps = 20 },
      lr = function() return .01 end, batch = 32 }
    if p.way == "lookahead" then o.steps, o.try = 20, { hot = { temperature = 8, lr = function() return .02 end }, cold = { temperature = 2 } } end
    run[p.way](run, o)
    return
  end
  local opt, src = run:register("opt", g.optim.AdamW(student)), run:register("src", g.sampler.uniform(d.train))
  local step = run:step(function(b, k)
    local kd = g.kd_loss(student(b.x), b.teacher, b.y, k)
    opt:minimize(kd.loss, { lr = k.lr })
    return kd
  end)
  for _, b in run:batches(src, { size = 32, steps = p.steps, teacher = teacher }) do
    local kd = step(b, { temperature = 2, alpha = .5, lr = 1e-3 })
    run:log { loss = kd.loss, ce = kd.ce, kl = kd.kl }
  end
  return { width = p.width }
end }
"""


class FinishedTest(ResumeCase):
    def everything(self):
        database = sqlite3.connect(self.dir / "whole.db")
        self.addCleanup(database.close)
        files = [path for path in self.dir.glob("*/*") if path.is_file() and path.name != "log.txt"]  # a snapshot of its end may be new
        return {"rows": sorted(database.iterdump()), **{str(path.relative_to(self.dir)): path.read_bytes() for path in files}}

    def test_one_that_cannot_go_on_stays_as_it_is(self):
        for way in ("distill", "lookahead", "loop"):
            self.run_whole(SHORT, "--set", "way=" + way)
            longer = ["resume", "@last", "--schedules", "keep", "--store", "whole.db", "--set"]
            before = self.everything()
            for wrong, code, told in (("steps=50", 64, "the budget is used up by now; expected a larger one; the run stays as it is"),
                                      ("steps=60", 64, "the budget is used up by now"), ("width=9", 65, "layers.0.weight")):
                with self.subTest(wrong=wrong, way=way):
                    self.assertIn(told, self.gradus(*longer, wrong, code=code).stderr)
                    after = self.everything()
                    self.assertEqual([name for name in {*before, *after} if before.get(name) != after.get(name)], [])
            self.gradus(*longer, "steps=80")
            self.assertEqual(self.ask("whole.db", "SELECT max(step) FROM progress WHERE run_id = (SELECT max(id) FROM runs WHERE kind = 'run')"), 80)

    def test_what_a_rule_has_ended_stays_ended(self):
        self.run_whole("""
            local g = require "gradus"
            return g.experiment { name = "ruled", params = { steps = 60, rule = true }, run = function(run, p)
              local d, model = g.data.digits():split { train = .2, val = .1 }, g.nn.MLP { 64, 4, 10 }
              run:distill { teacher = g.nn.MLP { 64, 10 }, student = model, data = d, budget = { steps = p.steps }, evaluate = { steps = 20 },
                batch = 32, curriculum = { { "all", advance = p.rule and function(s) return s.step == 40 and "stop" end or nil } } }
            end }""")
        for rule, ends in (("true", [40, 40]), ("false", [60, 120])):
            self.gradus("run", "s.lua", "-q", "--set", f"rule={rule}", "--store", "whole.db")
            ask = "SELECT max(step) FROM progress WHERE run_id = (SELECT max(id) FROM runs WHERE kind = 'run')"
            before = self.ask("whole.db", ask)
            self.gradus("resume", "@last", "--schedules", "keep", "--set", "steps=120", "--store", "whole.db", code=None)
            self.assertEqual([before, self.ask("whole.db", ask)], ends)

    def test_what_does_not_look_at_the_budget_is_what_it_would_have_been(self):
        for way in ("distill", "lookahead", "loop"):
            with self.subTest(way=way):
                self.run_whole(SHORT, "--set", "way=" + way)
                self.gradus("resume", "@last", "--schedules", "stretch", "--set", "steps=120", "--store", "whole.db")
                self.gradus("run", "s.lua", "-q", "--set", "way=" + way, "--set", "steps=120", "--store", "straight.db")
                def of(store):
                    return [row for row in self.rows(store)["metrics"] if not row[1].startswith("result/")]
                self.assertEqual(of("whole.db"), of("straight.db"))
                self.assertGreater(len(of("whole.db")), 240)

if __name__ == "__main__":
    unittest.main(verbosity=2)
