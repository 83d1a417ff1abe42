"""`gradus attach`: another process shows a run that goes on, and sets its knobs and its stage."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
SCRIPT = """
local g = require "gradus"
return g.experiment { name = "long", params = { steps = g.int(10000000) }, run = function(run, p)
  local d = g.data.digits():split { train = .8, val = .2 }
  local r = run:distill { student = g.nn.MLP { 64, 8, 10 }, data = d, lr = 1e-3, budget = { steps = p.steps }, evaluate = { steps = 2000 },
    curriculum = { { "easy", augment = .1, advance = g.when.steps(1e9) }, { "hard" } } }
  return { steps = r.steps }
end }
"""
LOOP = """
local g = require "gradus"
return g.experiment { name = "loop", run = function(run)
  for i = 1, 1e9 do run:log({ i = i }, i) os.execute "sleep .02" run:breathe() end
end }
"""

BATCHES = """
local g = require "gradus"
return g.experiment { name = "batches", run = function(run)
  local d, model = g.data.digits(), g.nn.MLP { 64, 8, 10 }
  local opt = g.optim.SGD(model)
  local step = run:step(function(b, k)
    local loss = g.loss.cross_entropy(model(b.x), b.y)
    opt:minimize(loss, { lr = k.lr })
    return { loss = loss }
  end)
  for i, b in run:batches(d, { size = 16, steps = 10000000 }) do
    step(b, { lr = 1e-3 })
    if i % 1000 == 0 then run:log { i = i } end
  end
end }
"""


STORED = """
local store = require("gradus.store").open "runs/gradus.db"
local run = store:begin { name = "known" }
local function log(key, step, value) run:log(run:key(key), step, value) end
if arg_more then
  log("train/loss", 10, .5)
  log("val/acc", 8, 0 / 0)
  log("knob/lr", 9, .001)
  log("knob/alpha", 9, .5)
  log("result/acc", 99, 1)
  run:event(0, "stage", "easy", '{"index":1,"of":3}')
  run:event(5, "stage", "middle", '{"index":2,"of":3}')
  run:event(6, "edit", "attach", '{"set":{"alpha":0.5,"lr":1}}')
  run:event(7, "edit", "attach", '{"release":["lr"]}')
  run:event(8, "edit", "script")
end
run:flush()
print(run.folder)
io.stdout:flush()
io.read()
if io.open "finish" then run:finish "finished" end
print "over"
io.stdout:flush()
io.read()
"""


class Known(unittest.TestCase):
    """A run whose numbers are known, and a test that answers in its place."""

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def begin(self, more="true"):
        (self.dir / "s.lua").write_text(f"local arg_more = {more}" + STORED)
        self.process = subprocess.Popen([GRADUS, "run", "s.lua"], cwd=self.dir, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (self.process.kill(), self.process.communicate()))
        self.folder = pathlib.Path(self.process.stdout.readline().strip())

    def gradus(self, *args, code=0):
        done = subprocess.run([GRADUS, *args], cwd=self.dir, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout, done.stderr

    def request(self):
        """The request of an attach, once it is there."""
        request, deadline = self.folder / "attach.request", time.monotonic() + 20
        while not request.exists():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(.01)
        return request

    def answered(self, answer, *args):
        """What attach does with an answer, and what it had asked."""
        asking = subprocess.Popen([GRADUS, "attach", "1", *args], cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (asking.kill(), asking.communicate()) if asking.poll() is None else None)
        asked = json.loads(self.request().read_text())
        (self.folder / "part").write_text(json.dumps({"id": "another", "done": ["nothing"], "training": "x", "step": 1}))
        (self.folder / "part").rename(self.folder / "attach.answer")  # not ours
        time.sleep(.1)
        self.assertIsNone(asking.poll())
        (self.folder / "part").write_text(json.dumps({"id": asked["id"], **answer}))
        (self.folder / "part").rename(self.folder / "attach.answer")
        out, err = asking.communicate(timeout=20)
        self.assertEqual(sorted(path.name for path in self.folder.glob("attach.*")), [])
        return asked, asking.returncode, out, err

    def test_what_the_run_is_doing(self):
        self.begin()
        self.assertEqual(self.gradus("attach", "1"), ("""\
run 1  known  running  step 10
  stage  middle (2 of 3), since step 5
  knobs  alpha 0.5000 (by hand)  lr 0.001000
metric        last  step
──────────  ──────  ────
train/loss  0.5000    10
val/acc        nan     8
""", ""))
        self.assertEqual(json.loads(self.gradus("attach", "1", "--json")[0]), {
            "run": 1, "name": "known", "status": "running", "step": 10, "stage": {"name": "middle", "index": 2, "of": 3, "since": 5},
            "knobs": {"alpha": .5, "lr": .001}, "by_hand": {"alpha": .5},
            "metrics": {"train/loss": {"value": .5, "step": 10}, "val/acc": {"value": None, "step": 8}},
            "edits": [{"step": 6, "name": "attach", "detail": {"set": {"alpha": .5, "lr": 1}}}, {"step": 7, "name": "attach", "detail": {"release": ["lr"]}},
                      {"step": 8, "name": "script", "detail": None}]})

    def test_of_a_run_that_logged_nothing(self):
        self.begin("false")
        self.assertEqual(self.gradus("attach", "1"), ("run 1  known  running\n", ""))
        self.assertEqual(json.loads(self.gradus("attach", "1", "--json")[0]), {
            "run": 1, "name": "known", "status": "running", "step": None, "stage": None, "knobs": {}, "by_hand": {}, "metrics": {}, "edits": []})

    def test_what_is_asked_and_what_is_made_of_the_answer(self):
        self.begin()
        began = time.time()
        asked, code, out, err = self.answered({"training": "distill", "step": 12, "done": ["lr = 0.5", "stage 'b'"], "warnings": ["too\nhigh", "odd"]},
                                              "--set", "lr=0.5", "--set", "x=a=b", "--release", "alpha", "--release", "beta", "--stage", "next", "--stop",
                                              "--timeout", "50")
        self.assertEqual((code, out, err), (0, "run 1, distill, after step 12: lr = 0.5, stage 'b'\n",
                                            "gradus: warning: too high\ngradus: warning: odd\n"))
        self.assertTrue(began + 45 < asked.pop("expires") < time.time() + 51)
        asked.pop("id")
        self.assertEqual(asked, {"set": {"lr": "0.5", "x": "a=b"}, "release": ["alpha", "beta"], "stage": "next", "stop": True})
        asked, code, out, err = self.answered({"training": "fit", "step": 3, "done": ["a"]}, "--stop", "--json")
        self.assertEqual((code, json.loads(out), err), (0, {"run": 1, "training": "fit", "step": 3, "done": ["a"]}, ""))
        self.assertEqual({key for key in asked}, {"id", "expires", "stop"})
        self.assertEqual(self.answered({"error": "no knob 'x'; expected lr"}, "--set", "x=1")[1:], (64, "", "gradus: attach: no knob 'x'; expected lr\n"))
        self.assertEqual(self.answered({"training": "fit", "step": 3, "done": []}, "--release", "a")[2], "run 1, fit, after step 3:\n")

    def test_what_is_refused_before_it_is_asked(self):
        self.begin()
        for args, code, told in ((["--set", "lr"], 64, "attach: --set: expected knob=number; got 'lr'"),
                                 (["--set", "=1"], 64, "attach: --set: expected knob=number; got '=1'"),
                                 (["--follow", "--json"], 64, "attach: --follow shows; expected no --set, --release, --stage, --stop or --json beside it"),
                                 (["--follow", "--release", "a"], 64, "attach: --follow shows; expected no --set, --release, --stage, --stop or --json beside it"),
                                 (["-f", "--stage", "next"], 64, "attach: --follow shows; expected no --set, --release, --stage, --stop or --json beside it")):
            self.assertEqual(self.gradus("attach", "1", *args, code=code), ("", f"gradus: {told}\n"))
        self.assertEqual(self.gradus("attach", "1", "--stop", "--timeout", "0.2", code=66)[1],
                         "gradus: attach: no training of run 1 answered within 0.2 s; expected one by distill, fit or run:batches that goes on "
                         "(--timeout waits longer)\n")

    def test_a_run_that_ends_meanwhile(self):
        self.begin()
        (self.dir / "finish").write_text("")
        asking = subprocess.Popen([GRADUS, "attach", "1", "--stop"], cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        follower = subprocess.Popen([GRADUS, "attach", "1", "--follow"], cwd=self.dir, stdout=subprocess.PIPE, text=True)
        self.addCleanup(lambda: [(one.kill(), one.communicate()) for one in (asking, follower) if one.poll() is None])
        self.assertEqual(follower.stdout.readline(), "run 1  known  running  step 10\n")
        self.request()
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.assertEqual(asking.communicate(timeout=20), ("", "gradus: attach: run 1 ended before it could answer\n"))
        self.assertEqual(asking.returncode, 66)
        rest = follower.communicate(timeout=20)[0]
        self.assertEqual((rest.count("run 1  known"), rest.count("run 1  known  finished  step 99\n") + rest.count("run 1  known  finished  step 10\n")), (1, 1))
        self.assertEqual(self.gradus("attach", "1", code=64)[1], "gradus: attach: run 1 is finished; expected one that is running\n")


class Attach(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def gradus(self, *args):
        return subprocess.run([GRADUS, *args], cwd=self.dir, capture_output=True, text=True, timeout=60)

    def begin(self, script, *args, run="1"):
        (self.dir / "s.lua").write_text(script)
        process = subprocess.Popen([GRADUS, "run", "s.lua", *args], cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (process.kill(), process.communicate()) if process.poll() is None else None)
        for _ in range(600):
            done = self.gradus("attach", run, "--json")
            if done.returncode == 0 and json.loads(done.stdout)["step"]:
                return process
            self.assertIsNone(process.poll(), "it ended")
            time.sleep(.05)
        self.fail(f"the run never began: {done.stderr}")

    def state(self):
        done = self.gradus("attach", "1", "--json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout)

    def until(self, holds):
        for _ in range(200):
            state = self.state()
            if holds(state):
                return state
            time.sleep(.05)
        self.fail(f"never so: {state}")

    def refused(self, code, part, *args):
        done = self.gradus("attach", *args)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertIn(part, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1)

    def test_a_live_run(self):
        process = self.begin(SCRIPT)
        state = self.until(lambda s: "train/loss" in s["metrics"] and s["stage"])
        self.assertEqual((state["status"], state["stage"]["name"], state["stage"]["of"]), ("running", "easy", 2))
        self.assertEqual(state["knobs"]["augment"], .1)
        shown = self.gradus("attach", "@last").stdout
        self.assertRegex(shown, r"run 1  long  running  step \d+\n  stage  easy \(1 of 2\), since step 0\n  knobs .*augment 0.1")
        self.assertIn("train/loss", shown)

        done = self.gradus("attach", "1", "--set", "lr=0.0005", "--set", "augment=0", "--stage", "next")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^run 1, distill, after step \d+: augment = 0 \(was 0.1\), lr = 0.0005 \(was .*\), "
                         r"stage 'hard' \(was 'easy'\)\n$")
        state = self.until(lambda s: s["stage"]["name"] == "hard" and s["knobs"]["lr"] == .0005)
        self.assertEqual(state["by_hand"], {"augment": 0, "lr": .0005})
        self.assertIn("lr 0.0005 (by hand)", self.gradus("attach", "1").stdout)
        self.refused(64, "no knob 'rl'; did you mean 'lr'?", "1", "--set", "rl=1")
        self.refused(64, "expected knob=number; got 'lr'", "1", "--set", "lr")
        done = self.gradus("attach", "1", "--release", "lr", "--json")
        self.assertEqual(json.loads(done.stdout)["done"], ["lr as the curriculum has it"])
        done = self.gradus("attach", "1", "--set", "lr=0.5")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stderr, r"^gradus: warning: 610 parameters: lr 0.001 to 0.01 .*; here it is 0.5\n$")
        self.assertEqual(self.gradus("attach", "1", "--stop").returncode, 0)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err)
        self.assertIn("attach: step", err)
        self.refused(64, "run 1 is finished; expected one that is running", "1", "--set", "lr=1")
        shown = json.loads(self.gradus("show", "1", "--json").stdout)
        self.assertEqual([event["name"] for event in shown["events"] if event["kind"] == "edit"], ["attach"] * 4)
        self.assertIn("edited", shown["tags"])
        self.assertEqual([name for name in os.listdir(shown["folder"]) if name.startswith("attach")], [])

    def test_followed_until_it_is_over(self):
        process = self.begin(SCRIPT)
        self.refused(64, "--follow shows", "1", "--follow", "--stop")
        follower = subprocess.Popen([GRADUS, "attach", "1", "--follow"], cwd=self.dir, stdout=subprocess.PIPE, text=True)
        first = follower.stdout.readline()
        self.assertRegex(first, r"^run 1  long  running  step \d+$")
        time.sleep(1)
        self.assertEqual(self.gradus("attach", "1", "--stop").returncode, 0)
        shown = [first, *follower.communicate(timeout=60)[0].splitlines()]
        process.communicate(timeout=60)
        states = [line for line in shown if line.startswith("run 1")]
        self.assertIn("finished", states[-1])
        self.assertGreater(len(set(states)), 2, "each half second another step")
        self.assertEqual(follower.returncode, 0)

    def test_an_edited_run_is_no_repetition(self):
        process = self.begin(SCRIPT)
        self.assertEqual(self.gradus("attach", "1", "--stop").returncode, 0)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)
        again = subprocess.Popen([GRADUS, "run", "s.lua", "-q", "--resume"], cwd=self.dir)
        try:
            for _ in range(200):
                runs = json.loads(self.gradus("runs", "--json").stdout)
                if len(runs) == 2 or again.poll() is not None:
                    break
                time.sleep(.05)
            self.assertEqual([run["status"] for run in runs], ["finished", "running"], "what was edited does not stand for the script")
        finally:
            again.terminate()  # not killed: its run, a process of its own, would write on
            again.wait()

    def test_nobody_answers(self):
        self.begin(LOOP)
        self.refused(66, "no training of run 1 answered within 0.5 s", "1", "--set", "lr=1", "--timeout", "0.5")
        folder = json.loads(self.gradus("show", "1", "--json").stdout)["folder"]
        self.assertEqual([name for name in os.listdir(folder) if name.startswith("attach")], [])
        other = subprocess.Popen([GRADUS, "attach", "1", "--stop"], cwd=self.dir, stderr=subprocess.DEVNULL)
        try:
            for _ in range(200):
                if (pathlib.Path(folder) / "attach.request").exists():
                    break
                time.sleep(.05)
            self.refused(74, "another attach that waits for its answer", "1", "--stop", "--timeout", "0.3")
        finally:
            other.kill()
            other.wait()
        self.refused(66, "answered within 0.3 s", "1", "--stop", "--timeout", "0.3")  # nobody waits any more
        self.refused(66, "no such run", "99")

    def test_several_at_once(self):
        process = self.begin(SCRIPT)
        rates = [.0001 * (1 + i) for i in range(8)]
        asked = [subprocess.Popen([GRADUS, "attach", "1", "--json", "--set", f"lr={rate}"], cwd=self.dir, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True) for rate in rates]
        answers = [(one.communicate(timeout=60), one.returncode) for one in asked]
        self.assertEqual([(err, code) for (_, err), code in answers], [("", 0)] * 8)
        for rate, ((out, _), _) in zip(rates, answers):
            self.assertRegex(json.loads(out)["done"][0], f"^lr = {rate:.6g} ")
        self.until(lambda state: len(state["edits"]) == 8)
        self.assertEqual(self.gradus("attach", "1", "--stop").returncode, 0)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)

    def test_a_loop_over_batches(self):
        process = self.begin(BATCHES)
        done = self.gradus("attach", "1", "--set", "lr=0.0005")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^run 1, batches, after step \d+: lr = 0.0005 \(was 0.001\)\n$")
        self.refused(64, "no knob 'temperature'; expected lr", "1", "--set", "temperature=3")
        self.refused(64, "a loop of one's own has no stages", "1", "--stage", "next")
        done = self.gradus("attach", "1", "--stop")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        out, error = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, error)
        shown = json.loads(self.gradus("show", "1", "--json").stdout)
        self.assertEqual(shown["status"], "finished")
        self.assertEqual([e["kind"] for e in shown["events"] if e["kind"] == "edit"], ["edit", "edit"])

    def test_a_request_whose_attach_was_killed_does_nothing(self):
        process = self.begin(SCRIPT)
        folder = pathlib.Path(json.loads(self.gradus("show", "1", "--json").stdout)["folder"])
        part = folder / "part"
        part.write_text(json.dumps({"id": "x", "expires": time.time() - 5, "stop": True}))
        part.rename(folder / "attach.request")
        for _ in range(100):
            if not (folder / "attach.request").exists():
                break
            time.sleep(.05)
        self.assertFalse((folder / "attach.request").exists())
        self.assertEqual(self.state()["edits"], [])
        self.assertIsNone(process.poll())
        # Nor does it stand in the way of the next, where nobody looks.
        process.kill()
        process.communicate()
        self.begin(LOOP, run="2")
        folder = folder.parent / json.loads(self.gradus("show", "2", "--json").stdout)["uid"]
        (folder / "attach.request").write_text(json.dumps({"id": "x", "expires": time.time() - 5}))
        self.refused(66, "answered within 0.3 s", "2", "--stop", "--timeout", "0.3")


if __name__ == "__main__":
    unittest.main()
