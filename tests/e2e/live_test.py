"""`gradus run --live`: saving the script swaps the curriculum of the training that goes on, and loses nothing of its state."""

import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
STDLIB = ["--stdlib", os.environ["GRADUS_STDLIB"]] if "GRADUS_STDLIB" in os.environ else []
# A teacher by fit, then two stages over data that a curriculum ranks.
SCRIPT = """
local g = require "gradus"
local rules = require "rules"
return g.experiment { name = "long", params = { steps = g.int(100000000), alpha = .5 }, run = function(run, p)
  local d = g.data.digits():split { train = .8, val = .2 }
  local teacher = g.fit { model = g.nn.MLP { 64, 16, 10 }, data = d.train, steps = 50 }
  local ranked = d.train:rank(g.score.loss(teacher))
  local r = run:distill { teacher = teacher, student = g.nn.MLP { 64, 8, 10 }, data = d, lr = 1e-3, warmup = false,
    budget = { steps = p.steps }, alpha = p.alpha, evaluate = { steps = 500 },
    curriculum = { { "easy", sample = ranked:first(.5), temperature = 4, advance = rules.never }, { "hard", temperature = 2 } } }
  return { steps = r.steps, acc = run:evaluate(r.student, d.val).acc }
end }
"""
# Of a training that is to be edited while it goes on: six seconds.
SLOWLY = "steps = 300, lr = function() os.execute 'sleep .02' return 1e-2 end }"
LOOP = """
local g = require "gradus"
local rules = require "rules"
local calls, student = 0, nil
local function scaled(x) calls = calls + 1 return x * rules.factor() end
return g.experiment { name = "loop", params = { steps = 4000, alpha = .5 }, run = function(run, p)
  local d = g.data.digits()
  student = g.nn.MLP { 64, 16, 10, dropout = .1 }
  local opt, src = g.optim.AdamW(student), g.sampler.confidence(d)
  local T = 4
  local step = run:step(function(b, k)
    local out = g.kd_loss(student(b.x), b.teacher, b.y, k)
    opt:minimize(out.loss, { lr = 1e-3 })
    out.twice = 2 + 0 * out.loss
    return out
  end)
  for i, b in run:batches(src, { size = 32, steps = p.steps, teacher = g.nn.MLP { 64, 16, 10 } }) do
    local out = step(b, { temperature = T, alpha = p.alpha })
    src:observe(b.index, out.confidence)
    os.execute "sleep .02"
    run:log { loss = out.loss, twice = out.twice, scaled = scaled(1), T = T, calls = calls, alpha = p.alpha, random = math.random() }
  end
  return { sum = student.layers[0].weight:sum() }
end }
"""
FACTOR = "return { factor = function() return 2 end }\n"

RULES = "local g = require 'gradus'\nreturn { never = g.when.steps(1e9) }\n"


class Live(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.save(SCRIPT)
        (self.dir / "rules.lua").write_text(RULES)

    def save(self, text, name="s.lua"):
        part = self.dir / (name + ".part")
        part.write_text(text)
        part.rename(self.dir / name)

    def gradus(self, *args):
        return subprocess.run([GRADUS, *args], cwd=self.dir, capture_output=True, text=True, timeout=120)

    def begin(self, *args):
        self.err = open(self.dir / "err.txt", "w+")
        self.addCleanup(self.err.close)
        process = subprocess.Popen([GRADUS, "run", "--live", "s.lua", *STDLIB, *args], cwd=self.dir, stdout=self.err, stderr=self.err)
        self.addCleanup(lambda: (process.kill(), process.wait()))
        self.process = process
        self.until(lambda s: s["stage"] and s["stage"]["name"] == "easy" and "val/loss" in s["metrics"])

    def said(self):
        return (self.dir / "err.txt").read_text()

    def until(self, holds, seconds=30):
        state, deadline = None, time.monotonic() + seconds
        while time.monotonic() < deadline:
            done = self.gradus("attach", "@last", "--json")
            if done.returncode == 0:
                state = json.loads(done.stdout)
                if holds(state):
                    return state
            if self.process.poll() is not None:
                self.fail(f"it ended: {self.said()}")
            time.sleep(.05)
        self.fail(f"never so: {state}\n{self.said()}")

    def edits(self, count):
        return self.until(lambda s: len(s["edits"]) == count)["edits"]

    def hears(self, text):
        deadline = time.monotonic() + 20
        while text not in self.said():
            if time.monotonic() > deadline:
                self.fail(f"never said {text!r}: {self.said()}")
            time.sleep(.05)

    def stop(self):
        self.assertEqual(self.gradus("attach", "@last", "--stop").returncode, 0, self.said())
        self.assertEqual(self.process.wait(timeout=60), 0, self.said())
        return json.loads(self.gradus("show", "@last", "--json").stdout)

    def test_a_saved_curriculum_goes_on_from_where_it_was(self):
        self.begin()
        before = self.until(lambda s: s["knobs"].get("temperature") == 4)
        self.save(SCRIPT.replace("temperature = 4", "temperature = function(s) return 3 end"))
        edit = self.edits(1)[0]
        self.assertEqual(edit["name"], "live")
        self.assertEqual([file["path"] for file in edit["detail"]["files"]], ["s.lua"])
        after = self.until(lambda s: s["knobs"]["temperature"] == 3)
        self.assertGreater(after["step"], before["step"])
        self.assertEqual(after["stage"], before["stage"], "the stage goes on and is not begun anew")
        # What the script requires, and a parameter's default.
        self.save(RULES.replace("1e9", "10"), "rules.lua")
        self.until(lambda s: s["stage"]["name"] == "hard" and s["knobs"]["temperature"] == 2)
        self.save(SCRIPT.replace("alpha = .5", "alpha = .25"))
        self.until(lambda s: s["knobs"]["alpha"] == .25 and s["metrics"]["val/acc"]["value"] > .7)
        run = self.stop()
        edits = [event for event in run["events"] if event["kind"] == "edit" and event["name"] == "live"]
        self.assertEqual(edits[2]["detail"]["params"], {"alpha": {"was": .5, "now": .25}})
        self.assertIn("edited", run["tags"])
        paths = [source["path"] for source in run["sources"]]
        self.assertEqual(sorted(path.partition("@")[0] for path in paths), ["rules.lua", "rules.lua", "s.lua", "s.lua", "s.lua"])
        self.assertIn(f"s.lua@{edits[0]['step']}", paths)
        code = self.gradus("show", "@last", "--code").stdout
        self.assertIn("return 3 end", code)
        self.assertIn("temperature = 4, advance", code)
        last = {summary["key"]: summary["last"] for summary in run["summaries"]}
        # The old code's own `r.student` has the weights that the new version trained.
        self.assertGreater(last["result/acc"], .6)
        self.assertEqual([one["path"] for one in run["artifacts"] if one["kind"] == "weights" and "last" in one["path"]],
                         ["student-2.last.safetensors", "student.last.safetensors"], "two students, as without the edits")

    def rows(self, run):
        with sqlite3.connect(self.dir / "runs/gradus.db") as database:
            sql = "SELECT key, step, value FROM metrics WHERE run_id = ? AND key <> 'result/seconds' ORDER BY 1, 2"
            return database.execute(sql, (run,)).fetchall()

    def test_a_version_that_works_and_fails_later_gives_way_where_it_stands(self):
        own = """
local g = require "gradus"
return g.experiment { name = "long", run = function(run)
  local d = g.data.digits():split { train = .8, val = .2 }
  local src = g.sampler.custom(d.train, function(s, size) return g.randint(d.train:size(), { size }) end)
  while not io.open "go" do os.execute "sleep .02" end
  run:distill { teacher = g.nn.MLP { 64, 16, 10 }, student = g.nn.MLP { 64, 8, 10, dropout = .1 }, data = d, budget = { steps = 600 },
    evaluate = { steps = 100 }, losses = { kd = 1, mine = { weight = .1, loss = function(b, out) return out.logits:square():mean() end } },
    metrics = { mean = { better = "higher", of = function(model, rows) return model((rows:gather())):mean():item() end } },
    curriculum = { temperature = function(s) return 4 end, sample = function(s) return src end,
      advance = function(s) return s.step < 0 and "stop" end } }
end }
"""
        self.save(own)
        go = self.dir / "go"
        go.touch()
        self.assertEqual(self.gradus("run", "s.lua", "-q", *STDLIB).returncode, 0)
        late = "if run.step_number > 310 then g.randint(9, { 2 }) error 'too late' end "
        fails = [("return 4 end", "if s.step > 310 then error 'too late' end return 4 end"),
                 ("return src end", late + "return src end"), ("return s.step < 0", late + "return s.step < 0"),
                 ("return model((rows", late + "return model((rows"),
                 ("return out.logits", "local first = out.logits[0][0]:item() " + late + "return first and out.logits"),
                 ("return g.randint(", "local rows = g.randint(d.train:size(), { size }) " + late + "return rows or g.randint(")]
        for number, (old, new) in enumerate(fails, 2):
            self.save(own)
            go.unlink()
            with open(self.dir / "err.txt", "w") as err:
                process = subprocess.Popen([GRADUS, "run", "--live", "s.lua", *STDLIB], cwd=self.dir, stdout=err, stderr=err)
            self.addCleanup(lambda one=process: (one.kill(), one.wait()))
            while process.poll() is None and len(self.runs()) < number:
                time.sleep(.01)
            self.save(own.replace(old, new))  # after it was read, before it looks the first time
            go.touch()
            self.assertEqual(process.wait(timeout=120), 0, self.said())
            self.assertIn("too late; the version before goes on from here\n", self.said())
            self.assertEqual(len(self.rows(number)), len(self.rows(1)))
            self.assertEqual(self.rows(number), self.rows(1), new)

    def runs(self):
        done = self.gradus("runs", "--json")
        return json.loads(done.stdout) if done.returncode == 0 else []

    def test_an_edit_that_says_the_same_changes_no_bit(self):
        def weights(run):  # the head of a file tells the run
            found = {}
            for one in run["artifacts"]:
                data = (pathlib.Path(run["folder"]) / one["path"]).read_bytes()
                found[one["path"]] = data[8 + int.from_bytes(data[:8], "little"):]
            return found
        self.assertEqual(self.gradus("run", "s.lua", "-q", "--set", "steps=60000", *STDLIB).returncode, 0)
        plain = json.loads(self.gradus("show", "@last", "--json").stdout)
        self.begin("--set", "steps=60000")
        self.save("-- the same\n" + SCRIPT)
        self.assertEqual(self.process.wait(timeout=60), 0, self.said())
        run = json.loads(self.gradus("show", "@last", "--json").stdout)
        self.assertEqual([event["name"] for event in run["events"] if event["kind"] == "edit"], ["live"])
        self.assertEqual(weights(run), weights(plain))
        self.assertEqual([s for s in run["summaries"] if s["key"] == "val/loss"], [s for s in plain["summaries"] if s["key"] == "val/loss"])

    def test_a_fork_before_an_edit_has_the_parameters_of_then(self):
        self.begin("--set", "steps=60000")
        self.save(SCRIPT.replace("alpha = .5", "alpha = .25"))
        step = self.edits(1)[0]["step"]
        self.stop()
        self.save(SCRIPT)
        fork, plain = (json.loads(self.gradus(*args, *STDLIB, "--json").stdout)["runs"][0]["id"] for args in
                       (("fork", "1", "--at", str(step - 1)), ("run", "s.lua", "--set", "steps=60000")))
        self.assertTrue(self.rows(fork) == self.rows(plain), "half a million rows, of which nobody wants to see the difference")

    def test_what_fails_is_taken_back(self):
        self.begin()
        for broken, part in [("= = 1\n" + SCRIPT, "s.lua:1: unexpected symbol near '='"), ("", "the script returns no experiment any more"),
                             (SCRIPT.replace('"rules"', '"ruels"'), "module 'ruels' not found"),
                             (SCRIPT.replace("temperature = 4", "temprature = 4"), "did you mean 'temperature'?"),
                             (SCRIPT.replace("64, 8, 10", "64, 9, 10"), "layers.0.weight"),
                             (SCRIPT.replace("local r = run:distill", "do return {} end local r = "), "ended after 1 of its trainings"),
                             (SCRIPT.replace("sample = ranked:first(.5)", "sample = function() return nothing end"),
                              "'nothing' is not defined")]:
            self.save(broken)
            self.hears(part)
            self.assertEqual(self.until(lambda s: s["step"])["edits"], [], part)
        self.save(SCRIPT.replace("temperature = 4", "temperature = function(s) return s.step.x end"))
        edits = self.edits(2)
        self.assertTrue(edits[1]["detail"]["taken_back"])
        self.assertIn("s.lua:10:", edits[1]["detail"]["error"])
        self.save(SCRIPT.replace("rules.never", "function(s) return s.nosuch.thing end"))
        edits = self.edits(4)
        self.assertEqual(edits[2]["step"], edits[3]["step"], "all that it did is taken back, to the step of the swap")
        self.assertIn("goes on from there", self.said())
        # And a version that works still can.
        self.save(SCRIPT.replace("temperature = 4", "temperature = 5"))
        state = self.until(lambda s: s["knobs"]["temperature"] == 5)
        self.assertEqual(state["stage"]["name"], "easy")
        self.stop()

    def test_what_is_saved_is_judged_as_the_settings_of_a_run_that_begins(self):
        hot = SCRIPT.replace("temperature = 4", "temperature = 30")
        self.begin()
        self.save(hot)
        edit = self.edits(1)[0]
        self.save(hot.replace("alpha = .5", "alpha = .6"))
        self.edits(2)
        told = [event for event in self.stop()["events"] if event["kind"] == "advice" and event["detail"].get("amiss")]
        self.assertEqual([event["step"] for event in told if "temperature is 30" in event["detail"]["text"]], [edit["step"]], "once")
        self.save(SCRIPT)
        self.save(RULES.replace("1e9", "5e7"), "rules.lua")  # so that the second stage begins
        self.begin("--strict", "-q")
        self.save(hot)
        self.hears("temperature is 30")
        self.hears("the version before goes on")
        self.assertEqual(self.edits(0), [])
        self.stop()

    def test_an_edited_run_goes_on_after_an_interruption(self):
        self.begin("--snapshots", "200")
        self.save(SCRIPT.replace("temperature = 4", "temperature = 3").replace("alpha = .5", "alpha = .25"))
        edit = self.edits(1)[0]
        folder = pathlib.Path(json.loads(self.gradus("show", "@last", "--json").stdout)["folder"]) / "snapshots"
        for _ in range(400):
            steps = [int(name.split("-")[1].split(".")[0]) for name in os.listdir(folder) if "end" not in name and name.endswith("tensors")]
            if steps and max(steps) > edit["step"] + 400:
                break
            time.sleep(.05)
        self.process.kill()
        self.process.wait()
        resumed = subprocess.Popen([GRADUS, "resume", "1", *STDLIB], cwd=self.dir, stdout=self.err, stderr=self.err)
        self.process = resumed
        self.addCleanup(lambda: (resumed.kill(), resumed.wait()))
        state = self.until(lambda s: s["step"] > max(steps) + 1000)
        self.assertEqual((state["knobs"]["temperature"], state["knobs"]["alpha"], state["stage"]["name"]), (3, .25, "easy"))
        self.assertEqual(self.gradus("attach", "1", "--stop").returncode, 0)
        self.assertEqual(resumed.wait(timeout=60), 0, self.said())

    def test_what_was_taken_back_is_not_what_the_run_goes_on_with(self):
        self.begin("--snapshots", "200")
        self.save(SCRIPT.replace("alpha = .5", "alpha = .25").replace("rules.never", "function(s) return s.nosuch.thing end"))
        step = self.edits(2)[1]["step"]
        self.until(lambda s: s["step"] > step + 1000)
        self.process.kill()
        self.process.wait()
        refused = self.gradus("resume", "1", *STDLIB)
        self.assertEqual(refused.returncode, 65)
        self.assertIn("script s.lua was", refused.stderr)
        self.save(SCRIPT)
        self.process = subprocess.Popen([GRADUS, "resume", "1", *STDLIB], cwd=self.dir, stdout=self.err, stderr=self.err)
        self.addCleanup(lambda: (self.process.kill(), self.process.wait()))
        self.until(lambda s: s["step"] > step + 1500 and s["knobs"]["alpha"] == .5)
        self.stop()

    def test_what_begins_later_begins_with_the_new_version(self):
        self.save(SCRIPT.replace("steps = 50 }", SLOWLY))
        self.err = open(self.dir / "err.txt", "w+")
        self.addCleanup(self.err.close)
        self.process = subprocess.Popen([GRADUS, "run", "--live", "s.lua", *STDLIB], cwd=self.dir, stdout=self.err, stderr=self.err)
        self.addCleanup(lambda: (self.process.kill(), self.process.wait()))
        self.until(lambda s: s["step"])
        self.save(SCRIPT.replace("steps = 50 }", SLOWLY).replace("temperature = 4", "temperature = 3"))
        self.hears("the new version goes on\n")
        state = self.until(lambda s: s["stage"] and s["stage"]["name"] == "easy" and s["knobs"].get("temperature"))
        self.assertEqual(state["knobs"]["temperature"], 3)
        self.hears("step 0: distill begins with the new version")
        self.stop()

    def test_a_student_that_the_script_cannot_take_back_does_not_begin(self):
        long = SCRIPT.replace("steps = 50 }", SLOWLY)
        self.save(long)
        self.err = open(self.dir / "err.txt", "w+")
        self.addCleanup(self.err.close)
        self.process = subprocess.Popen([GRADUS, "run", "--live", "s.lua", *STDLIB], cwd=self.dir, stdout=self.err, stderr=self.err)
        self.addCleanup(lambda: (self.process.kill(), self.process.wait()))
        self.until(lambda s: s["step"])
        self.save(long.replace("64, 8, 10", "64, 9, 10"))
        self.hears("the new version goes on\n")
        self.hears("different: layers.0.bias is [9], expected [8]")
        self.until(lambda s: s["stage"] and s["stage"]["name"] == "easy" and "val/loss" in s["metrics"])
        self.stop()

    def test_what_a_version_lacked_is_waited_for(self):
        self.begin()
        self.save("return { t = = 3 }\n", "new.lua")
        self.save(SCRIPT.replace("temperature = 4", "temperature = require('new').t"))
        self.hears("new.lua:1:")
        self.save("return { t = require('newer') }\n", "new.lua")
        self.hears("module 'newer' not found")
        self.save("return 3\n", "newer.lua")
        self.until(lambda s: s["knobs"]["temperature"] == 3)
        self.save("return 3\n", "newer.lua")  # the same: nobody is asked
        self.save("return 2\n", "newer.lua")
        self.until(lambda s: s["knobs"]["temperature"] == 2)
        self.assertEqual(len(self.edits(2)), 2)
        self.stop()

    def begin_loop(self, *args, text=LOOP):
        self.save(text)
        self.save(FACTOR, "rules.lua")
        self.err = open(self.dir / "err.txt", "w+")
        self.addCleanup(self.err.close)
        self.process = subprocess.Popen([GRADUS, "run", "--live", "s.lua", *STDLIB, *args], cwd=self.dir, stdout=self.err, stderr=self.err)
        self.addCleanup(lambda: (self.process.kill(), self.process.wait()))
        self.shows("scaled", 2)

    def shows(self, name, value):
        return self.until(lambda s: s["metrics"].get(name, {}).get("value") == value)

    def last(self, name):
        with sqlite3.connect(self.dir / "runs/gradus.db") as database:
            sql = "SELECT step, value FROM metrics WHERE run_id = 1 AND key = ? ORDER BY step DESC LIMIT 1"
            return database.execute(sql, (name,)).fetchone()

    def test_what_a_loop_calls_is_swapped_and_its_state_stays(self):
        self.begin_loop("--snapshots", "20")
        self.save(LOOP.replace("return x *", "return 10 * x *"))
        self.shows("scaled", 20)
        self.hears("goes on: scaled\n")
        self.save(FACTOR.replace("2", "3"), "rules.lua")  # what a module holds
        self.shows("scaled", 30)
        # What is in a step is recorded anew; a number that the loop has not moved and a parameter take their new values.
        new = LOOP.replace("return x *", "return 10 * x *").replace("out.twice = 2", "out.twice = 3").replace("local T = 4", "local T = 8")
        self.save(new.replace("alpha = .5", "alpha = .25"))
        self.until(lambda s: [s["metrics"].get(name, {}).get("value") for name in ("twice", "T", "alpha")] == [3, 8, .25])
        # A function that was not there, which another one calls; the one that runs is told of.
        new = new.replace("local function scaled(x)", "local function more(x) return x + calls - calls + 1 end\nlocal function scaled(x)")
        new = new.replace("return 10 *", "return more(10) *").replace("alpha = .5", "alpha = .25")
        self.save(new)
        self.shows("scaled", 33)
        self.assertNotIn("takes effect at the next run", self.said(), "what was taken over before is no change")
        self.save(new.replace("run:log {", "run:log { a = 1,").replace("return more(10) *", "return 1 + more(10) *"))
        self.shows("scaled", 34)
        self.hears("; the change in the function that runs (s.lua:6) takes effect at the next run")
        self.assertEqual([event["detail"]["swapped"]["functions"] for event in self.edits(5)],
                         [["scaled"], ["scaled.rules.factor"], ["step"], ["scaled"], ["scaled"]])
        # It goes on after an interruption, with what the functions had counted; that the function that runs will be another is refused.
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(timeout=60), 143)
        self.assertNotIn("lacks what it has made", self.said())
        step, calls = self.last("calls")
        self.assertEqual(calls, step)
        refused = self.gradus("resume", "1", *STDLIB)
        self.assertEqual(refused.returncode, 65)
        self.assertIn("script s.lua:6 was of the version before an edit, now of the file", refused.stderr)
        resumed = subprocess.Popen([GRADUS, "resume", "1", "--accept", "script", *STDLIB], cwd=self.dir, stdout=self.err, stderr=self.err)
        self.process = resumed
        self.addCleanup(lambda: (resumed.kill(), resumed.wait()))
        self.until(lambda s: s["metrics"].get("calls", {}).get("value", 0) > step + 5)
        resumed.send_signal(signal.SIGTERM)
        self.assertEqual(resumed.wait(timeout=60), 143, self.said())
        step, calls = self.last("calls")
        self.assertEqual(calls, step)
        self.assertEqual(self.last("scaled")[1], 34)

    def test_a_training_after_an_edited_loop(self):
        def script(factor):
            text = LOOP.replace("steps = p.steps,", "steps = 150,")
            return text.replace("  return { sum", """
  run:distill { teacher = g.nn.MLP { 64, 16, 10 }, student = student, data = { train = d, val = d }, budget = { steps = 1e8 },
    evaluate = { steps = 500 }, curriculum = { temperature = %d, advance = function(s) return s:last "val/acc" < 0 end } }
  return { sum""" % factor)
        self.begin_loop(text=script(4))
        self.save(script(4).replace("return x *", "return 10 * x *"))
        self.shows("scaled", 20)
        self.until(lambda s: s["knobs"].get("temperature") == 4)
        # What comes after a loop may be made of what that came to, so that it would have to be done again.
        self.save(script(5).replace("return x *", "return 10 * x *"))
        self.hears("would be done again")
        self.stop()

    def test_a_version_that_fails_in_a_loop_leaves_no_trace(self):
        self.begin_loop("--set", "steps=400")
        fails = [(LOOP.replace("g.kd_loss(", "g.kd_los("), "did you mean 'kd_loss'?"),
                 # After it has moved weights, numbers and the random numbers.
                 (LOOP.replace("return out", "math.random() return nothing.at.all"), "nothing"),
                 (LOOP.replace("return x *", "calls = 1000 math.random() student.layers[0].weight:detach():zero_() return x.y *"),
                  "attempt to index"),
                 # At their sixth call.
                 (LOOP.replace("local function scaled(x)", "local tries = 0 local function scaled(x) tries = tries + 1 if tries > 5 then "
                               "math.random() return x.y end"), "attempt to index"),
                 (LOOP.replace("local step = run:step(function(b, k)", "local tries = 0 local step = run:step(function(b, k)")
                  .replace("return out", "tries = tries + 1 if tries > 5 then math.random() return nothing.at.all end return out"), "nothing"),
                 # A number that the loop's function has read before the step refuses it.
                 (LOOP.replace("local T = 4", "local T = -4"), "temperature")]
        for count, (broken, part) in enumerate(fails):
            self.save(broken)
            self.hears(part)
            edits = self.edits(2 * count + 2)
            self.assertTrue(edits[-1]["detail"]["taken_back"], edits)
        for broken, part in [("= = 1\n" + LOOP, "s.lua:1: unexpected symbol near '='"), ("", "the script returns no experiment any more"),
                             (LOOP.replace("  for i, b in", "  do return end for i, b in"), "ended after 0 of its trainings"),
                             (LOOP.replace("run:log {", "run:log { a = 1,"), "the change in the function that runs (s.lua:6) takes effect at the next run\n")]:
            self.save(broken)
            self.hears(part)
        self.assertEqual(self.process.wait(timeout=60), 0, self.said())
        self.save(LOOP)
        self.assertEqual(self.gradus("run", "s.lua", "-q", "--set", "steps=400", *STDLIB).returncode, 0)
        self.assertGreater(len(self.rows(1)), 2000)
        self.assertEqual(self.rows(1), self.rows(2))

    def test_command_lines(self):
        for args, part in [(["-"], "expected a file"), (["s.lua", "-j", "2"], "expected no --jobs"),
                           (["s.lua", "--seed", "1,2"], "expected one run"), (["s.lua", "--resume"], "expected no --resume"),
                           (["s.lua", "--sandbox"], "expected no --sandbox")]:
            done = self.gradus("run", "--live", *args, *STDLIB)
            self.assertEqual((done.returncode, done.stdout), (64, ""), done.stderr)
            self.assertIn(part, done.stderr)


if __name__ == "__main__":
    unittest.main()
