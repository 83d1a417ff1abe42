"""The page of `gradus serve` in headless Chromium, clicked as a user clicks: the list of runs, and a run. Skipped where there is no
chromedriver."""

import json
import subprocess
import time
import unittest

from page_case import ENTER, ESCAPE, GRADUS, XSS, PageCase


class Page(PageCase):
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
        b.js("document.getElementById('where').value = 'seed == 99'; document.getElementById('where').dispatchEvent(new Event('input'))")
        b.wait("document.querySelector('.tools').textContent.includes('no run fits the filter')")
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

    def test_the_columns_fit_a_phone(self):
        b = self.browser
        cdp = lambda cmd, **params: b.call("POST", "/goog/cdp/execute", {"cmd": "Emulation." + cmd, "params": params})
        self.addCleanup(cdp, "clearDeviceMetricsOverride")
        cdp("setDeviceMetricsOverride", width=360, height=800, deviceScaleFactor=1, mobile=True)
        b.click(".tools button:not(.primary)")
        left, right = b.js("const r = document.querySelector('dialog').getBoundingClientRect(); return [r.left, r.right]")
        self.assertTrue(0 <= left < right <= 360, (left, right))

    def test_long_words_are_broken(self):
        b = self.browser
        self.addCleanup(b.call, "POST", "/window/rect", b.call("GET", "/window/rect"))
        b.call("POST", "/window/rect", {"width": 500, "height": 844})
        self.go("#/run/7")
        b.wait("document.querySelector('.chart')")
        for words in ("h1", ".error", ".params b", ".chart figcaption b"):
            with self.subTest(words=words):
                room = b.js("const one = document.querySelector(arguments[0]); one.firstChild.data = 'x'.repeat(300);"
                            "return document.querySelector('main').clientWidth - one.getBoundingClientRect().right", words)
                self.assertGreaterEqual(room, 0)
                self.assertEqual(b.js("const m = document.querySelector('main'); return m.scrollWidth - m.clientWidth"), 0)

    def test_a_legend_leaves_its_chart_in_sight(self):
        b = self.browser
        self.go("#/run/1")
        b.wait("document.querySelector('.legend')")
        self.assertLess(b.js("const one = document.querySelector('.legend');"
                             "one.replaceChildren(...Array.from({ length: 48 }, () => { const key = document.createElement('button'); "
                             "key.textContent = 'x'.repeat(40); return key; }));"
                             "return one.getBoundingClientRect().height"), 150)
        self.assertLess(b.js("return document.querySelector('figcaption b').getBoundingClientRect().height"), 30, "its title is in one line")

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
        titles = b.js("return [...document.querySelectorAll('.chart figcaption b')].map((title) => title.textContent)")
        self.assertLessEqual({"val/acc", "train/loss", "knob/temperature"}, set(titles))  # one line has no legend: its whole name
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
        thinned = self.browser.js("""return import("/downsample.js").then(({ thin }) => {
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
            b.wait("(document.querySelector('h1 + *') || document.body).textContent.includes('seed 9 ')")  # the table has headings, too
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


if __name__ == "__main__":
    unittest.main()
