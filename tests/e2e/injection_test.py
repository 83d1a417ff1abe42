"""Scripts in every text that a store can hold, looked at in headless Chromium: the page in all its views, and the report. Nothing of it
runs, and nothing of it becomes an element, an attribute or an address. Skipped where there is no chromedriver."""

import os
import sqlite3
import subprocess
import time
import unittest

from page_case import GRADUS, BrowserCase

FULL = "GRADUS_FULL" in os.environ  # `make test-full`
HIT = "window.hit=1"
PAYLOADS = [text.replace("HIT", HIT) for text in (
    "<script>HIT</script>", "</script><script>HIT</script>", "</title><script>HIT</script>", "</style><script>HIT</script>",
    "</textarea><script>HIT</script>", "<img src=x onerror=HIT>", "\"><img src=x onerror=HIT>", "'><img src=x onerror='HIT'>", "<svg onload=HIT>",
    "<svg><script>HIT</script></svg>", "</svg><svg onload=HIT>", "<svg><animate onbegin=HIT attributeName=x dur=1s>", "<body onload=HIT>",
    "<iframe srcdoc='<script>parent.HIT</script>'>", "<iframe src=javascript:parent.HIT>", "<object data=javascript:HIT>", "<embed src=javascript:HIT>",
    "<a href=javascript:HIT>x</a>", "javascript:HIT", "\" onmouseover=HIT x=\"", "' onfocus=HIT autofocus tabindex=1 x='", "` onload=HIT x=`",
    "<input autofocus onfocus=HIT>", "<details open ontoggle=HIT>", "<video><source onerror=HIT></video>", "<math><mtext></mtext><script>HIT</script></math>",
    "<base href=//evil.example/>", "<meta http-equiv=refresh content='0;url=javascript:HIT'>", "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>*{background:url(javascript:HIT)}</style>", "<!--><script>HIT</script>-->", "]]><script>HIT</script>", "<![CDATA[<script>HIT</script>]]>",
    "\\u003cscript\\u003eHIT\\u003c/script\\u003e", "&lt;script&gt;HIT&lt;/script&gt;", "&#60;script&#62;HIT&#60;/script&#62;", "{{constructor.constructor('HIT')()}}",
    "${HIT}", "\");HIT;//", "');HIT;//", "\\\");HIT;//", "\u2028HIT\u2029", "%3Cscript%3EHIT%3C/script%3E", "<scr<script>ipt>HIT</scr</script>ipt>",
    "<x onclick=HIT style=position:fixed;inset:0>x</x>", "<form action=javascript:HIT><button autofocus>x", "<template><script>HIT</script></template>",
    "<noscript><p title=\"</noscript><script>HIT</script>\">", "[x](javascript:HIT)", "\x00<script>HIT</script>", "<SCRIPT/x>HIT</SCRIPT>", "<img\tsrc=x\nonerror=HIT>")]
# What would be an injection: an element that our page and our report have not, a handler, an address with a script.
FOUND = """const bad = [...document.querySelectorAll(arguments[0] + ' *')].filter((e) =>
  ['SCRIPT', 'IMG', 'IFRAME', 'OBJECT', 'EMBED', 'VIDEO', 'MATH', 'BASE', 'META', 'LINK', 'TEMPLATE', 'X', 'FORM', 'NOSCRIPT', 'BODY'].includes(e.tagName.toUpperCase()) ||
  [...e.attributes].some((a) => a.name.startsWith('on') || a.name === 'srcdoc' || /^\\s*javascript:/i.test(a.value) && ['href', 'src', 'action', 'data'].includes(a.name)));
return bad.map((e) => e.outerHTML.slice(0, 200));"""


class Injection(BrowserCase):
    ENVIRONMENT = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with sqlite3.connect(cls.dir / "s.db") as db:  # as a foreign program may: metrics' names, too
            for i, text in enumerate(PAYLOADS):
                run, key = 1000 + i, 1000 + i
                db.execute("INSERT INTO runs (id, uid, name, kind, status, seed, config_hash, started, ended, seconds, device, host, script, command, git_commit, "
                           "versions, error, note) VALUES (?1, ?2, ?3, 'run', 'failed', 1, ?3, '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:01.000Z', 1, ?3, ?3, ?3, ?3, "
                           "?3, '{}', ?3, ?3)", (run, f"{run:032x}", text))
                db.execute("INSERT INTO keys (id, name) VALUES (?, ?)", (key, text))
                db.executemany("INSERT INTO metric_values VALUES (?, ?, ?, ?)", [(run, k, step, step / 10) for step in range(20) for k in (key, 1)])
                db.executemany("INSERT OR REPLACE INTO summary_values VALUES (?, ?, 1.9, 0, 1.9, 0, 19, 20, 19, 0)", [(run, key), (run, 1)])
                db.execute("INSERT INTO params VALUES (?1, ?2, ?2, 'string')", (run, text))
                db.execute("INSERT OR IGNORE INTO params VALUES (?1, 'strategy', ?2, 'string')", (run, text))
                db.execute("INSERT INTO tags VALUES (?1, ?2, ?2)", (run, text))
                db.execute("INSERT INTO events (run_id, step, time, kind, name, detail) VALUES (?1, 3, '2026-01-01T00:00:00.500Z', 'stage', ?2, json_object(?2, ?2)), "
                           "(?1, 5, '2026-01-01T00:00:00.600Z', 'decision', ?2, json_object('why', ?2, 'rule', ?2)), (?1, 6, ?2, ?2, ?2, ?2)", (run, text))
                db.execute("INSERT OR IGNORE INTO sources VALUES (?, ?)", (f"{run:064x}", text))
                db.execute("INSERT INTO run_sources VALUES (?, ?, ?)", (run, text, f"{run:064x}"))
                db.execute("INSERT INTO artifacts VALUES (?1, ?2, ?2, ?2, 5)", (run, text))
        db.close()

    def look(self, where, root="main"):
        self.assertEqual(self.browser.js(FOUND, root), [], where)
        self.assertIsNone(self.browser.js("return window.hit || null"), where)

    def test_the_page(self):
        self.assertGreaterEqual(len(PAYLOADS) * 12, 100)  # each in twelve places
        self.browser.open(self.url)
        self.browser.wait("document.querySelectorAll('.tr').length >= 7")
        views = ["#/runs", "#/runs?group=params.strategy", "#/compare?runs=" + ",".join(str(1000 + i) for i in range(len(PAYLOADS))), "#/curves"]
        for i in range(len(PAYLOADS)) if FULL else range(0, len(PAYLOADS), 6):
            views += [f"#/run/{1000 + i}" + tab for tab in ("", "?tab=script", "?tab=decisions", "?tab=curves")] + [f"#/compare?runs=1,{1000 + i}"]
        for view in views:
            with self.subTest(view=view):
                self.go(view)
                time.sleep(0.15)
                self.look(view, "body main")
        self.browser.js("document.querySelector('main').insertAdjacentHTML('beforeend', '<x>x</x>')")
        self.assertEqual(len(self.browser.js(FOUND, "main")), 1, "a look that finds nothing")
        self.go("#/runs")
        self.go(f"#/run/{1000 + 5}")
        self.assertIn(PAYLOADS[5], self.browser.js("return document.querySelector('h1').textContent"))

    def test_the_report(self):
        for name, args in (("a", ()), ("b", ("--by", "strategy")), ("c", [str(1000 + i) for i in range(len(PAYLOADS))])):
            made = subprocess.run([GRADUS, "report", *args, "-o", f"{name}.html", "--store", "s.db"], cwd=self.dir, capture_output=True, text=True)
            self.assertEqual(made.returncode, 0, made.stderr)
            self.browser.open((self.dir / f"{name}.html").as_uri())
            self.assertIn("onerror", self.browser.js("return document.body.textContent"), "the payloads are not in the report")
            self.look(name, "body")
        self.browser.open("about:blank")


if __name__ == "__main__":
    unittest.main()
