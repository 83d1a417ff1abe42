"""The page of `gradus serve` in headless Chromium, clicked as a user clicks. Skipped where there is no chromedriver.

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
import xml.etree.ElementTree as tree

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
function runner.execute(options)
  local store = stores.open(options.store)
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
        self.driver = subprocess.Popen(["chromedriver", f"--port={self.port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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


class Page(BrowserCase):
    ENVIRONMENT = {}

    def setUp(self):
        self.browser.open("about:blank")
        self.browser.open(self.url)
        self.browser.wait("document.querySelectorAll('.tr').length >= 7")

    def names(self):
        return self.browser.js("return [...document.querySelectorAll('.tr:not(.group)')].map(r => r.querySelector('a').textContent)")

    def test_table(self):
        b = self.browser
        self.assertNotIn("token", b.js("return location.href"))
        self.go("#/runs?where=id <= 7")
        self.assertEqual(self.names(), ["7", "6", "5", "4", "3", "2", "1"])
        b.shot("runs")
        b.click(".thead button[title='last:result/test_acc']")
        self.assertEqual(self.names()[0], "3")
        self.assertIn("sort=-last:result/test_acc", b.js("return location.hash"))
        b.js("const s = document.querySelector('.tools select'); s.value = 'params.strategy'; s.dispatchEvent(new Event('change'))")
        self.assertEqual(b.js("return document.querySelectorAll('.tr.group').length"), 3)
        self.assertIn("0.870 ± 0.010", b.js("return document.querySelector('.tr.group').textContent"))
        b.shot("groups")

    def test_filter_is_the_command_lines_grammar(self):
        b = self.browser
        b.key("/")
        b.type("#where", "strategy == 'ramp' and (seed < 3 or last(val/acc) > 2)" + ENTER)
        b.wait("document.querySelectorAll('.tr').length === 2")
        self.assertEqual(self.names(), ["2", "1"])
        b.js("document.getElementById('where').value = 'stratgy == 1'; document.getElementById('where').dispatchEvent(new Event('input'))")
        b.wait("!document.querySelector('.tools .error').hidden")
        self.assertIn("strategy", b.js("return document.querySelector('.tools .error').textContent"))
        # A link to what is shown shows it again.
        self.go("#/runs?where=seed == 3")
        self.assertEqual(self.names(), ["6", "3"])

    def test_archived_runs_are_shown_when_asked_for(self):
        b = self.browser
        subprocess.run([GRADUS, "archive", "4", "--store", str(self.dir / "s.db")], check=True, capture_output=True, timeout=20)
        self.addCleanup(subprocess.run, [GRADUS, "archive", "4", "--undo", "--store", str(self.dir / "s.db")], check=True, capture_output=True)
        self.go("#/runs?where=id <= 7")
        self.assertEqual(self.names(), ["7", "6", "5", "3", "2", "1"])
        b.click(".tools input[name='archived']")
        b.wait("document.querySelectorAll('.tr').length === 7")
        self.assertIn("archived=1", b.js("return location.hash"))
        self.assertTrue(b.js("return document.querySelector(\".thead button[title='archived']\")"))
        b.shot("archived")

    def test_first_load(self):
        b = self.browser
        loads = []
        for _ in range(3):  # the quickest counts: others use this machine too
            b.open("about:blank")
            b.open(self.url)
            loads.append(b.wait("performance.getEntriesByName('ready').map((mark) => mark.startTime)[0]"))
        ready = min(loads)
        size = b.js("return [...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')].reduce((n, e) => n + e.encodedBodySize, 0)")
        print(f"first load: {size / 1e6:.2f} MB, ready after {ready:.0f} ms")
        self.assertTrue(100_000 < size < 1_500_000, size)
        self.assertLess(ready, 1000)

    def test_columns(self):
        b = self.browser
        b.click(".tools button:not(.primary)")
        b.click("dialog input[value='params.strategy']")
        b.click("dialog button.primary")
        b.wait("location.hash.includes('cols=')")
        b.wait("document.querySelectorAll('.tr').length && !document.querySelector(\".thead button[title='params.strategy']\")")

    def test_keys(self):
        b = self.browser
        b.key("j")
        b.key("j")
        b.key("k")
        b.key(ENTER)
        b.wait("location.hash.startsWith('#/run/6')")
        b.wait("document.querySelector('h1')")
        b.key(ESCAPE)
        b.wait("document.querySelectorAll('.tr').length")
        b.key("?")
        b.wait("document.querySelector('dialog.keys')")
        b.key(ESCAPE)
        b.wait("!document.querySelector('dialog')")
        before = b.js("return getComputedStyle(document.body).backgroundColor")
        b.key("t")
        self.assertNotEqual(b.js("return getComputedStyle(document.body).backgroundColor"), before)
        self.go("#/run/1")
        b.wait("document.querySelectorAll('.chart .mark').length")
        b.shot("dark")
        b.key("t")

    def test_run(self):
        b = self.browser
        b.click(".tr a[title='digits']")
        b.wait("document.querySelectorAll('.chart .mark.decision').length >= 3")
        self.assertEqual(b.js("return [...document.querySelectorAll('.stage text')].slice(0, 2).map(t => t.textContent)"), ["easy", "hard"])
        painted = "const c = document.querySelector('.chart canvas'); return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].filter((v, i) => i % 4 === 3 && v).length"
        self.assertGreater(b.js(painted), 300)
        b.shot("run")
        b.drag(".chart .brush .overlay", 0.25, 0.5)
        b.wait("location.hash.includes('zoom=')")
        time.sleep(0.3)
        ticks = b.js("return [...document.querySelectorAll('.chart')[0].querySelectorAll('.axis.x .tick text')].map(t => +t.textContent)")
        self.assertTrue(45 <= min(ticks) and max(ticks) <= 105, ticks)
        other = b.js("return [...document.querySelectorAll('.chart')[1].querySelectorAll('.axis.x .tick text')].map(t => +t.textContent)")
        self.assertEqual(other, ticks)  # charts of a run zoom together
        for tab, text in (("script", "return 1"), ("decisions", "advance"), ("environment", "uid"), ("log", "")):
            b.js("[...document.querySelectorAll('.tabs button')].find(b => b.textContent === arguments[0]).click()", tab)
            b.wait(f"document.querySelector('.pane').textContent.includes({json.dumps(text)})")
            b.shot(tab)
            if tab == "decisions":  # whole sentences, few digits, no braces
                shown = b.js("return document.querySelector('.pane').textContent")
                for part in ("val/loss 0.4480", "or so", "7f9c1ea57f9c…"):
                    self.assertIn(part, shown)
                self.assertNotIn("{", shown)

    def test_compare(self):
        b = self.browser
        for i in range(1, 7):  # all but the one with the bad name
            b.click(f".tbody .tr:nth-child({i + 1}) input")
        b.key("c")
        b.wait("document.querySelectorAll('.parallel path.run').length === 6")
        self.assertIn("6 runs in 2 groups", b.js("return document.querySelector('h1').textContent"))
        self.assertIn("0.870 ± 0.010", b.js("return document.querySelector('table').textContent"))
        self.assertEqual(b.js("return document.querySelectorAll('.scatter circle').length"), 6)
        b.wait("document.querySelectorAll('.legend .key').length === 2")
        b.shot("compare")
        b.js("const s = [...document.querySelectorAll('select')].find(s => [...s.options].some(o => o.value === 'strategy=stages')); s.value = 'strategy=stages'; s.dispatchEvent(new Event('change'))")
        b.wait("document.querySelector('.verdict')")
        b.js("document.querySelector('main').scrollTop = 560")
        b.shot("compare-below")

    def test_axes_smoothing_and_the_address(self):
        b = self.browser
        ticks = "[...document.querySelector('.chart').querySelectorAll('.axis.x .tick text')].map(t => t.textContent)"
        self.go("#/run/1")
        b.wait(ticks + ".length > 2")
        set_to = "const s = [...document.querySelectorAll('.tools select')].find(s => [...s.options].some(o => o.value === arguments[0])); s.value = arguments[0]; s.dispatchEvent(new Event('change'))"
        b.js(set_to, "seconds")
        b.wait("document.querySelector('.axisname') && document.querySelector('.axisname').textContent === 'seconds'")
        b.wait("location.hash.includes('axis=seconds')")
        self.assertEqual(max(float(t) for t in b.js("return " + ticks)), 9)  # 199 steps of 0.05 s: up to 9.95
        mark = b.js("return document.querySelector('.mark line').getAttribute('x1') / document.querySelector('.plot').clientWidth")
        b.js(set_to, "step")
        b.wait("!document.querySelector('.axisname')")
        step = b.js("return document.querySelector('.mark line').getAttribute('x1') / document.querySelector('.plot').clientWidth")
        self.assertAlmostEqual(mark, step, 2)  # the decision lies where its step lies
        b.js(set_to, "much")
        b.wait("location.hash.includes('smooth=much')")
        b.js("document.querySelector('input[name=logx]').click()")
        b.wait("location.hash.includes('logx=1')")
        b.shot("smooth-logx")
        where = b.js("return location.hash")
        self.go("#/runs")
        self.go(where)  # a view is its address
        b.wait("document.querySelector('input[name=logx]') && document.querySelector('input[name=logx]').checked")

    def test_smoothing_is_a_mean_that_shifts_nothing(self):
        b = self.browser
        got = b.call("POST", "/execute/async", {"script": """
            const done = arguments[0];
            import('/axis.js').then(({ smoothed }) => {
              const steps = Array.from({ length: 201 }, (_, i) => i), flat = steps.map(() => 3), hat = steps.map((i) => (i === 100 ? 1 : 0));
              const gap = steps.map((i) => (i === 50 ? NaN : i < 50 ? 1 : 5));
              const some = steps.filter((i) => i % 5 === 0);
              done({ flat: [...smoothed(steps, flat, 10)], hat: [...smoothed(steps, hat, 10)], gap: [...smoothed(steps, gap, 10)].map((v) => (v === v ? v : null)),
                ends: [smoothed(steps, steps, 30)[0], smoothed(steps, steps, 30)[200]], all: smoothed(steps, steps, 10)[100], some: smoothed(some, some, 10)[20] });
            });""", "args": []})
        self.assertTrue(all(abs(v - 3) < 1e-12 for v in got["flat"]))
        self.assertTrue(all(abs(got["hat"][100 - d] - got["hat"][100 + d]) < 1e-12 for d in range(100)))
        self.assertIsNone(got["gap"][50])
        self.assertTrue(abs(got["gap"][49] - 1) < 1e-12 and abs(got["gap"][51] - 5) < 1e-12)  # nothing leaks over a gap
        self.assertAlmostEqual(got["ends"][0], 0)  # a straight line stays one, up to its ends
        self.assertAlmostEqual(got["ends"][1], 200)
        self.assertAlmostEqual(got["all"], 100)
        self.assertAlmostEqual(got["some"], 100)  # thinned out or not

    def test_curriculum(self):
        b = self.browser
        self.go("#/run/1?tab=curriculum")
        b.wait("document.querySelectorAll('.stack .chart .axis.x').length === 2")  # accuracy and the knob that moves
        self.assertIn("advance", b.js("return document.querySelector('.decided').textContent"))
        self.assertIn("val/loss 0.4480", b.js("return document.querySelector('.decided').textContent"))
        lefts = b.js("return [...document.querySelectorAll('.stack .mark line')].map(l => l.getAttribute('x1'))")
        self.assertEqual(len(set(lefts)), 1)  # one axis for all of it
        rows = b.js("return [...document.querySelectorAll('table.stages tbody tr')].map(r => r.cells[0].textContent)")
        self.assertEqual(rows[:2], ["easy", "hard"])
        b.shot("curriculum")

    def test_panels_of_a_run_lie_along_one_axis(self):
        b = self.browser
        self.go("#/run/4")  # whose loss begins at step 60
        b.wait("document.querySelectorAll('.charts .chart .axis.x').length >= 2")
        ticks = "[...document.querySelectorAll('.charts:not(.small) .chart')].map(c => [...c.querySelectorAll('.axis.x text')].map(t => t.textContent).join(' '))"
        b.wait(f"new Set({ticks}).size === 1")
        b.shot("run-curves")

    def test_several_metrics_and_stage_borders(self):
        b = self.browser
        self.go("#/compare?runs=1,2,3,4,5,6&key=val/acc,train/loss&axis=seconds")
        b.wait("document.querySelectorAll('.compare .chart .axis.x').length === 2")
        b.wait("document.querySelectorAll('.compare .chart:first-child .border').length === 6")
        b.shot("compare-two-metrics")
        b.js("[...document.querySelectorAll('.tools button')].find(b => b.title === 'Without val/acc').click()")
        b.wait("document.querySelectorAll('.compare .chart').length === 1")
        b.wait("decodeURIComponent(location.hash).includes('key=train/loss')")
        b.click(".tools button.add")
        b.wait("document.querySelectorAll('.compare .chart').length === 2")

    def test_a_figure_can_be_taken_away(self):
        b = self.browser
        self.go("#/compare?runs=1,2,3,4,5,6&key=val/acc")
        b.wait("document.querySelectorAll('.legend .key').length === 2")
        taken = {}
        for kind in ("svg", "csv", "png"):
            taken[kind] = b.call("POST", "/execute/async", {"script": """
                const [kind, done] = arguments, make = URL.createObjectURL;
                HTMLAnchorElement.prototype.click = function () { this.name = this.download; };
                URL.createObjectURL = (blob) => { URL.createObjectURL = make; blob.arrayBuffer().then((bytes) =>
                  done(kind === "png" ? [...new Uint8Array(bytes).slice(0, 24)] : new TextDecoder().decode(bytes))); return make.call(URL, blob); };
                [...document.querySelectorAll('figcaption > button')].find((b) => b.textContent === kind).click();""", "args": [kind]})
        b.js("delete HTMLAnchorElement.prototype.click")
        svg = tree.fromstring(taken["svg"])
        space = "{http://www.w3.org/2000/svg}"
        paths = [p.get("d") for p in svg.iter(space + "path") if p.get("stroke") and p.get("opacity")]
        self.assertEqual(len(paths), 8)  # six runs and two means
        self.assertIn("ramp", taken["svg"])
        self.assertEqual(bytes(taken["png"][:8]), b"\x89PNG\r\n\x1a\n")
        width, height = (int.from_bytes(bytes(taken["png"][at:at + 4]), "big") for at in (16, 20))
        self.assertEqual([width, height], [2 * round(float(svg.get("width"))), 2 * round(float(svg.get("height")))])
        rows = taken["csv"].strip().split("\n")
        self.assertEqual(rows[0], "run,series,step,value,low,high")
        self.assertEqual(len([r for r in rows if r.startswith("1,")]), 200)
        self.assertTrue(any(r.startswith(",ramp") for r in rows))

    def test_a_map_of_two_parameters(self):
        b = self.browser
        self.go("#/compare?runs=1,2,3,4,5,6")
        b.wait("document.querySelector('table.map tbody td')")
        read = "return [...document.querySelectorAll('table.map tr')].map(tr => [...tr.children].map(c => c.textContent))"
        metrics = b.js("return [...document.querySelectorAll('select')].find(s => [...s.options].some(o => o.value === 'last:result/test_acc')"
                       " && s.parentNode.textContent.startsWith('map of')).innerText").split("\n")
        self.assertIn("last:result/test_acc", metrics)
        b.js("const s = [...document.querySelectorAll('select')].find(s => s.parentNode.textContent.startsWith('map of'));"
             "s.value = 'last:result/test_acc'; s.dispatchEvent(new Event('change'))")
        b.wait("decodeURIComponent(location.hash).includes('mapz=last:result/test_acc')")
        # Two parameters, each told by the other: two of the four cells have three runs each.
        table = b.js(read)
        self.assertEqual(table[0][1:], ["0.003", "0.01"] if "0.003" in table[0] else ["ramp", "stages"])
        cells = sorted(cell for row in table[1:] for cell in row[1:])
        self.assertEqual(cells, ["0.8200", "0.8700", "–", "–"])
        self.assertEqual(b.js("return document.querySelector('table.map td.best').textContent"), "0.8700")
        self.assertNotEqual(b.js("return getComputedStyle(document.querySelector('table.map td.best')).backgroundColor"),
                            b.js("return getComputedStyle([...document.querySelectorAll('table.map td a')].find(a => a.textContent === '0.8200').parentNode).backgroundColor"))
        b.js("document.querySelector('table.map').scrollIntoView()")
        b.shot("map")
        link = "#/compare?runs=1,2,3,4,5,6&mapx=params.strategy&mapy=params.lr"
        self.go(link)
        b.wait("document.querySelector('table.map thead th').textContent === 'ramp'")

    def test_two_runs(self):
        b = self.browser
        self.go("#/compare?runs=1,4")
        b.wait("document.querySelector('main').textContent.includes('#1 against #4')")
        self.assertIn("The curves part at step", b.js("return document.querySelector('main').textContent"))
        b.shot("two")

    def test_names_are_text(self):
        b = self.browser
        for where in ("#/run/7", "#/run/7?tab=script", "#/run/7?tab=decisions", "#/compare?runs=1,2,7", "#/runs?group=params.strategy"):
            self.go(where)
            time.sleep(0.3)
            self.assertEqual(b.js("return document.querySelectorAll('main img, main script').length"), 0, where)
            self.assertIsNone(b.js("return window.hit || null"), where)
        self.go("#/run/7")
        self.assertIn(XSS, b.js("return document.querySelector('h1').textContent"))

    def test_what_is_thinned_out_keeps_its_extremes(self):
        thinned = self.browser.js("""return import("/chart.js").then(({ thin }) => {
          const steps = Float64Array.from({ length: 5000 }, (_, i) => 7 + 3 * i), values = steps.map((s) => Math.sin(s / 400));
          values[1234] = 9; values[4321] = -9; values[777] = NaN;
          const all = thin(steps, values, 100), one = thin(steps.slice(0, 1), values.slice(0, 1), 100);
          return [all.steps.length, [...all.steps].every((s, i) => Object.is(values[(s - 7) / 3], all.values[i]) && (!i || s > all.steps[i - 1])),
            Math.max(...all.values.filter((v) => v === v)), Math.min(...all.values.filter((v) => v === v)), all.values.filter(Number.isNaN).length,
            all.steps[0], all.steps[all.steps.length - 1], one.steps.length]; })""")
        self.assertLess(thinned[0], 310)
        self.assertGreater(thinned[0], 150)
        self.assertEqual(thinned[1:], [True, 9, -9, 1, 7, 7 + 3 * 4999, 1])

    def test_who_answers_slowly_is_asked_seldom_and_never_twice_at_once(self):
        turns = self.browser.js("""return import("/util.js").then(({ again }) => new Promise((done) => {
          const began = performance.now(), turns = [];
          let asking = 0, most = 0;
          const stop = again(0.02, async () => {
            turns.push(performance.now() - began);
            most = Math.max(most, ++asking);
            if (turns.length === 2) document.dispatchEvent(new Event("visibilitychange"));  // back to the tab while an answer is under way
            await new Promise((resolve) => setTimeout(resolve, turns.length === 3 ? 50 : 0));
            --asking;
          });
          setTimeout(() => { stop(); const n = turns.length; setTimeout(() => done([turns, most, turns.length - n]), 300); }, 2500);
        }))""")
        at, most, after = turns
        self.assertEqual((most, after), (1, 0))
        self.assertGreater(at[3] - at[2], 0.95 * 20 * 50)  # ms: twenty times what the third answer took
        self.assertLess(at[1] - at[0], 600)

    def test_live(self):
        b = self.browser
        live = self.write(LIVE="1")
        try:
            b.wait("document.querySelectorAll('.status.running').length === 1")  # a new row, by itself
            self.assertIn("live", self.names()[0] + b.js("return document.querySelector('.tr').textContent"))
            b.click(".tr a[title='live']")
            b.wait("document.querySelector('h1') && document.querySelector('.quiet').textContent")
            self.assertRegex(b.js("return document.querySelector('h1').nextElementSibling.textContent"), r"seed 9 +· +\d+(\.\d)? m?s +· ")  # since it began
            last = "Math.max(...[...document.querySelectorAll('.chart .axis.x .tick text')].map(t => +t.textContent))"
            b.wait(last + " > 0")
            first = b.js(f"return {last}")
            b.wait(f"{last} > {first}")
            (self.dir / "stop").write_text("")
            b.wait("document.querySelector('h1 .status.finished')")
        finally:
            (self.dir / "stop").write_text("")
            live.wait(timeout=20)
            live.stderr.close()


class Many(BrowserCase):
    """200 curves of 10,000 points: drawn, zoomed, and no extreme lost."""

    ENVIRONMENT = {"CURVES": "1"}
    HIGHEST = "Math.max(...[...document.querySelectorAll('.chart .axis.y .tick text')].map(t => +t.textContent))"

    def test_drawn_and_zoomed(self):
        b = self.browser
        b.open(self.url)
        b.wait("document.querySelectorAll('.tr').length > 10")
        b.js("window.longest = 0; new PerformanceObserver((list) => list.getEntries().forEach((e) => "
             "{ window.longest = Math.max(window.longest, e.duration); })).observe({ type: 'longtask' })")
        began = time.monotonic()
        b.js("location.hash = '#/compare?show=runs&runs=' + [...Array(200).keys()].map((i) => i + 1).join(',')")
        drawn = "document.querySelector('.chart .axis.x .tick') && "
        b.wait(drawn + self.HIGHEST + " >= 2", seconds=60)  # the spikes are there
        shown = time.monotonic() - began
        b.shot("many")
        b.js("window.longest = 0")
        began = time.monotonic()
        b.drag(".chart .brush .overlay", 0.4, 0.6)
        b.wait("location.hash.includes('zoom=')")
        b.wait(drawn + "[...document.querySelectorAll('.chart .axis.x .tick text')].every(t => !t.textContent.startsWith('0'))")
        zoomed = time.monotonic() - began
        time.sleep(1)
        b.shot("many-zoomed")
        longest = b.js("return window.longest")
        self.assertGreaterEqual(b.js("return " + self.HIGHEST), 2)
        print(f"200 curves of 10,000 points: shown after {shown:.2f} s, zoomed after {zoomed:.2f} s; longest pause while zooming {longest:.0f} ms")
        self.assertLess(longest, 1000)


if __name__ == "__main__":
    unittest.main()
