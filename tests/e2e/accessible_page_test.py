"""Every view of the page before an accessibility checker, axe-core: both themes, as wide as a desk and as a phone. It may complain of
nothing. Skipped where there is no chromedriver, or where axe cannot be installed (a Python package that carries it; beside the binary,
once)."""

import json
import pathlib
import subprocess
import sys
import unittest

from page_case import GRADUS, SHOTS, BrowserCase

AXE = pathlib.Path(GRADUS).parent / "axe"
PACKAGE = "axe-playwright-python"  # only for the script in it: nothing of Playwright is needed
PHONE, DESK = (390, 844), (1440, 900)
VIEWS = {  # what is shown once the view is all there
    "runs": ("#/runs", ".tr"),
    "groups": ("#/runs?group=params.strategy&sort=-seconds", ".tr.group"),
    "filter refused": ("#/runs", ".tr"),
    "run": ("#/run/1", ".chart .mark.decision"),
    "curriculum": ("#/run/1?tab=curriculum", ".decided li"),
    "decisions": ("#/run/1?tab=decisions", "tbody tr"),
    "script": ("#/run/1?tab=script", "pre.code"),
    "log": ("#/run/1?tab=log", "pre.log"),
    "environment": ("#/run/1?tab=environment", ".facts tr"),
    "failed": ("#/run/7", ".chart .axis.x"),
    "a long script": ("#/run/7?tab=script", "pre.code"),
    "compare": ("#/compare?runs=1,2,3,4,5,6&key=val/acc,train/loss&versus=strategy=stages", "table.map td a"),
    "two": ("#/compare?runs=1,4", ".differ table"),
    "nothing": ("#/run/nothing", ".error"),
}
RUN = """const done = arguments[arguments.length - 1];
axe.run(document, { resultTypes: ["violations"] }).then((found) => done(found.violations.map((v) => ({
  id: v.id, help: v.help, at: v.nodes.slice(0, 5).map((n) => n.target.join(" ") + ": " + n.html.slice(0, 160) + (n.any[0] ? " | " + n.any[0].message : "")), n: v.nodes.length }))), (error) => done(String(error)));"""


def axe():
    """The checker's script, or a SkipTest that says why there is none."""
    try:
        if not list(AXE.rglob("axe.min.js")):
            subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--target", str(AXE), PACKAGE],
                           check=True, capture_output=True, timeout=200)
        return next(AXE.rglob("axe.min.js")).read_text()
    except (OSError, StopIteration, subprocess.SubprocessError) as error:
        reason = f"axe-core cannot be installed here: {type(error).__name__}"
        print(reason)
        raise unittest.SkipTest(reason) from error


class Accessible(BrowserCase):
    ENVIRONMENT = {}

    @classmethod
    def setUpClass(cls):
        cls.checker = axe()
        super().setUpClass()

    def setUp(self):
        self.browser.open("about:blank")
        self.browser.open(self.url)
        self.browser.wait("document.querySelectorAll('.tr').length >= 7")
        self.browser.js(self.checker)

    def go(self, where):  # also where it is already
        self.browser.js("document.body.dataset.ready = ''; if (location.hash === arguments[0]) dispatchEvent(new Event('hashchange')); "
                        "else location.hash = arguments[0]", where)
        self.browser.wait("document.body.dataset.ready")

    def complaints_of(self, name):
        found = self.browser.call("POST", "/execute/async", {"script": RUN, "args": []})
        return [f"{name}: {one['id']} ({one['n']}): {one['help']}\n    " + "\n    ".join(one["at"]) for one in found] if isinstance(found, list) else [found]

    def look(self, theme, width):
        b, found = self.browser, []
        b.call("POST", "/window/rect", {"width": width[0], "height": width[1]})
        b.js("if (document.documentElement.dataset.theme !== arguments[0]) document.getElementById('theme').click()", theme)
        for name, (where, there) in VIEWS.items():
            self.go(where)
            b.wait(f"document.querySelector({json.dumps(there)})")
            if name == "filter refused":
                b.js("const w = document.getElementById('where'); w.value = 'stratgy == 1'; w.dispatchEvent(new Event('input'))")
                b.wait("!document.querySelector('.tools .error').hidden")
            if name == "compare":
                b.js("document.querySelector('.heat').scrollIntoView()")
                b.wait("document.querySelector('.heat rect')")
            if SHOTS:
                b.shot(f"{theme}-{width[0]}-{name}")
            found += self.complaints_of(f"{name}, {theme}, {width[0]} wide")
        return found

    def test_views(self):
        for theme in ("light", "dark"):
            for width in (DESK, PHONE):
                with self.subTest(theme=theme, width=width[0]):
                    found = self.look(theme, width)
                    self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_report(self):
        b, file = self.browser, self.dir / "report.html"
        subprocess.run([GRADUS, "report", "1", "2", "4", "7", "-o", str(file), "--store", str(self.dir / "s.db")], check=True, capture_output=True, timeout=60)
        for width in (DESK, PHONE):
            b.call("POST", "/window/rect", {"width": width[0], "height": width[1]})
            b.open(file.as_uri())
            b.js("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            b.js(self.checker)
            found = self.complaints_of(f"report, {width[0]} wide")
            self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_dialogs(self):
        b = self.browser
        for theme in ("light", "dark"):
            b.js("if (document.documentElement.dataset.theme !== arguments[0]) document.getElementById('theme').click()", theme)
            for opener, dialog in (("#help", "dialog.keys"), (".tools button:not(.primary)", "dialog.columns")):
                self.go("#/runs")
                b.click(opener)
                b.wait(f"document.querySelector({json.dumps(dialog)})")
                found = self.complaints_of(dialog)
                b.js("document.querySelector('dialog').close()")
                self.assertEqual(found, [], "\n" + "\n".join(found))


if __name__ == "__main__":
    unittest.main()
