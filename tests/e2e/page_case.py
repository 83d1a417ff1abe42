"""What the tests of the page share: a store made without the engine, a headless Chromium, and how it is clicked. Skipped where there is no
chromedriver.

GRADUS_SHOTS=DIR keeps a screenshot of every view.
"""

import base64
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

from host_case import make_stdlib

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
SHOTS = os.environ.get("GRADUS_SHOTS")
ENTER, ESCAPE = "\ue007", "\ue00c"
XSS = "<img src=x onerror=\"window.hit=1\"><script>window.hit=1</script>"

# Writes a store without the engine: two strategies, three seeds, stages and a decision, and one run that goes on.
RUNNER = """
local host, stores = require "gradus.host", require "gradus.store"
local runner = {}
function runner.plan() return { "one" } end
local function write(store, strategy, seed, steps, name)
  local run = store:begin { name = name or "digits", seed = seed, config_hash = strategy, params = {
    { key = "strategy", value = strategy }, { key = "lr", value = strategy == "ramp" and .01 or .003 } },
    sources = { { path = "digits.lua", sha256 = host.sha256(name or "x"), text = "return 1 -- " .. (name or "script") } } }
  local acc, loss, knob = run:key "val/acc", run:key "train/loss", run:key "knob/temperature"
  run:event(0, "stage", "easy", "{}")
  for step = 0, steps - 1 do
    run:log(acc, step, 1 - math.exp(-step / (strategy == "ramp" and 30 or 60)) + seed / 100)
    if step % 10 == 0 or step == steps - 1 then run:progress(step, step / 50, step * 64, step * 1e6, step * .05) end
    if strategy == "ramp" or step >= 60 then run:log(loss, step, math.exp(-step / 50) + (step % 7) / 50) end
    run:log(knob, step, 6 - 4 * step / steps)
  end
  run:event(40, "decision", "advance", host.json_encode { why = name or "val/acc", numbers = { ["val/loss"] = .44799307395 },
    rule = ("val/loss flat for 3 evaluations, "):rep(4) .. "or so", key = ("7f9c1ea5"):rep(8) })
  run:event(40, "stage", "hard", "{}")
  run:log(run:key "result/test_acc", steps, .8 + seed / 100 + (strategy == "ramp" and .05 or 0))
  return run
end
-- 200 curves of 10,000 points, each with one spike that no thinning may lose.
local function write_curves(store)
  for i = 1, 200 do
    local run = store:begin { name = "long", seed = math.ceil(i / 40), config_hash = tostring(i % 40), params = { { key = "lr", value = i % 40 / 100 } } }
    local acc = run:key "val/acc"
    for step = 0, 9999 do
      run:log(acc, step, step == 37 * i and 2 or 1 - math.exp(-step / (500 + 20 * i)) + math.sin(step * i) / 50)
    end
    run:finish "finished"
  end
  return "{}"
end
-- Run 1; 2, forked off it at step 80; 3, off 2 at 120; 4, off 1 at 40; 5, what of 3 was done twice.
local function write_forks(store)
  local function train(run, T, from, to)
    local acc, knob = run:key "val/acc", run:key "knob/temperature"
    for step = from, to do
      run:log(acc, step, 1 - math.exp(-step / (20 + 10 * T)))
      run:log(knob, step, T)
      run:progress(step, step / 50, step * 64, step * 1e6, step * .05)
    end
  end
  local function past(of, at)
    local event = store:query("SELECT coalesce(max(id), 0) AS id FROM events WHERE run_id = ? AND step <= ?", of, at)[1].id
    return { run = of, step = at, event = event, child = 0, progress = at, keys = host.json_encode { "val/acc", "knob/temperature" } }
  end
  local function begin(T, script, from)
    return store:begin { name = "digits", seed = 1, config_hash = "T" .. T, past = from, params = { { key = "T", value = T } },
      sources = { { path = "digits.lua", sha256 = host.sha256(script), text = script } } }
  end
  local function fork(of, at, T, script, set)
    local run = begin(T, script, past(of, at))
    run:event(0, "resume", "fork", host.json_encode { kind = "fork", run = of, at = at, set = set,
      uid = store:query("SELECT uid FROM runs WHERE id = ?", of)[1].uid })
    train(run, T, at + 1, 200)
    run:finish "finished"
  end
  local run = begin(4, "return 1")
  run:event(0, "stage", "easy", "{}")
  run:event(100, "stage", "hard", "{}")
  train(run, 4, 1, 200)
  run:finish "finished"
  fork(1, 80, 8, "return 1", { T = 8 })
  fork(2, 120, 2, "return 1", { T = 2 })
  fork(1, 40, 4, "return 2 -- " .. XSS)
  local again = store:resume(3, past(3, 160))
  again:event(160, "resume", "resume", host.json_encode { from = 160 })
  train(again, 2, 161, 190)
  again:finish "finished"
  return "{}"
end
-- Runs that are hard to put beside each other: 1 to 3, of which the last goes on for longer; 4 and 5, of which one came to infinity, with
-- almost the same rate; 6 without a rate or a number; 7 and 8 with other steps.
local function write_odd(store)
  local rates = { .1234567891, .1234567891, .1234567891, .1234567892, .1234567892, false, .5, .5 }
  for i = 1, 8 do
    local params = { { key = "a,b", value = 1 } }
    if rates[i] then params[2] = { key = "lr", value = rates[i] } end
    local run = store:begin { name = i == 6 and "fixed\194\160space" or "odd", seed = i, config_hash = tostring(rates[i]), params = params }
    run:event(0, "data", "train", host.json_encode { fingerprint = ("%040x"):format(i), rows = 70 + i })
    local acc, loss, from = run:key "val/acc", run:key "train/loss", i >= 7 and 100 or i == 4 and -20 or 0
    for step = from, from + (i == 3 and 20 or 10) do
      run:log(acc, step, i == 6 and 0/0 or .9 + step / 1000 + i / 100)
      run:log(loss, step, i == 6 and 1/0 or 250000 + 100 * step)
    end
    run:log(run:key "result/x", 200 + i, i == 5 and 1/0 or i / 10)
    run:finish "finished"
  end
  return "{}"
end
function runner.execute(options)
  local store = stores.open(options.store)
  if os.getenv "ODD" then return write_odd(store) end
  if os.getenv "FORKS" then return write_forks(store) end
  if os.getenv "CURVES" then return write_curves(store) end
  if os.getenv "LIVE" then
    local run = write(store, "ramp", 9, 200, "live")
    run:flush()
    local acc, step = run:key "val/acc", 200
    while io.open("stop") == nil do
      run:log(acc, step, .5) step = step + 1
      local stop = host.monotonic() + .01
      while host.monotonic() < stop do end
    end
    run:finish "finished"
    return "{}"
  end
  for _, strategy in ipairs { "ramp", "stages" } do
    for seed = 1, 3 do write(store, strategy, seed, 200):finish "finished" end
  end
  write(store, XSS, 7, 50, XSS):finish("failed", XSS)
  return "{}"
end
function runner.summarize() end
return runner
""".replace("XSS", "[[" + XSS + "]]")


class Browser:
    """As much of WebDriver as a click and a look need."""

    def __init__(self):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = sock.getsockname()[1]
        self.left = tempfile.mkdtemp()  # what Chromium does not clear away
        self.driver = subprocess.Popen(["chromedriver", f"--port={self.port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                       env={**os.environ, "TMPDIR": self.left})
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/status", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1440,900", "--hide-scrollbars"]
        wanted = {"browserName": "chrome", "goog:chromeOptions": {"args": arguments}, "goog:loggingPrefs": {"browser": "ALL"}}
        self.session = ""
        self.session = "/session/" + self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def call(self, method, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{self.session}{path}", method=method,
                                         data=None if body is None else json.dumps(body).encode(), headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(json.load(error)["value"]["message"][:500]) from None

    def open(self, url):
        self.call("POST", "/url", {"url": url})

    def js(self, script, *arguments):
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, script, seconds=20):
        deadline = time.monotonic() + seconds
        while not (value := self.js("return " + script)):
            if time.monotonic() > deadline:
                raise AssertionError("never came: " + script + "\n" + self.js("return document.body.innerText")[:500])
            time.sleep(0.05)
        return value

    def find(self, css):
        return next(iter(self.call("POST", "/element", {"using": "css selector", "value": css}).values()))

    def click(self, css):
        self.call("POST", f"/element/{self.find(css)}/click", {})

    def type(self, css, text):
        self.call("POST", f"/element/{self.find(css)}/value", {"text": text})

    def key(self, key):
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": [
            {"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]}]})

    def drag(self, css, begin, end):
        self.wait(f"document.querySelector({json.dumps(css)})")
        box = self.js("const r = document.querySelector(arguments[0]).getBoundingClientRect(); return [r.x, r.y, r.width, r.height]", css)
        at = [{"type": "pointerMove", "x": int(box[0] + box[2] * part), "y": int(box[1] + box[3] / 2), "duration": 50} for part in (begin, (begin + end) / 2, end)]
        self.call("POST", "/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": [
            at[0], {"type": "pointerDown", "button": 0}, at[1], at[2], {"type": "pointerUp", "button": 0}]}]})

    def shot(self, name):
        if SHOTS:
            pathlib.Path(SHOTS, name + ".png").write_bytes(base64.b64decode(self.call("GET", "/screenshot")))

    def complaints(self):
        return [entry["message"] for entry in self.call("POST", "/se/log", {"type": "browser"}) if entry["level"] == "SEVERE" and "status of 400" not in entry["message"]]

    def close(self):
        try:
            self.call("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()
            shutil.rmtree(self.left, ignore_errors=True)


class BrowserCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not shutil.which("chromedriver"):
            reason = "no chromedriver here (Debian's packages chromium and chromium-driver)"
            print(reason)
            raise unittest.SkipTest(reason)
        cls.dir = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        make_stdlib(cls.dir / "std", RUNNER)
        (cls.dir / "x.lua").write_text("")
        made = cls.write(**cls.ENVIRONMENT)
        made.wait(timeout=120)
        assert made.returncode == 0, made.stderr.read()
        made.stderr.close()
        cls.server = subprocess.Popen([GRADUS, "serve", "--json", "--store", str(cls.dir / "s.db")], stdout=subprocess.PIPE, text=True)
        cls.addClassCleanup(cls.server.stdout.close)
        cls.addClassCleanup(cls.server.wait)
        cls.addClassCleanup(cls.server.terminate)
        cls.url = json.loads(cls.server.stdout.readline())["url"]
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    @classmethod
    def write(cls, **env):
        return subprocess.Popen([GRADUS, "run", "x.lua", "--stdlib", "std", "--store", "s.db"], cwd=cls.dir, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, env={**os.environ, **env})

    def tearDown(self):
        self.assertEqual(self.browser.complaints(), [])
        self.assertIsNone(self.browser.js("return window.hit || null"), "a name from the store was run as code")

    def go(self, where):
        self.browser.js("document.body.dataset.ready = ''; location.hash = arguments[0]", where)
        self.browser.wait("document.body.dataset.ready")


class PageCase(BrowserCase):
    """At the list of seven runs."""

    ENVIRONMENT = {}

    def setUp(self):
        self.browser.open("about:blank")
        self.browser.open(self.url)
        self.browser.wait("document.querySelectorAll('.tr').length >= 7")
