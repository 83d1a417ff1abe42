"""`gradus new NAME`: each template is written, checked, and runs; nothing is written over."""

import json
import pathlib
import random
import unittest

from host_case import HostCase

TEMPLATES = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "templates"
TINY = {  # template -> what makes it short, and the results of a run
    "distill": (("--set", "epochs=2", "--set", "teacher_epochs=1", "--seed", "1"), {"acc", "steps"}),
    "own-loop": (("--set", "steps=20", "--set", "teacher_epochs=1"), {"acc", "steps"}),
    "sweep": (("--set", "epochs=1", "--set", "teacher_epochs=1", "--set", "alpha=.7", "--seed", "1"), {"val", "test"}),
    "text": (("--set", "steps=10", "--set", "teacher_steps=10", "--seed", "1"), {"acc", "loss"}),
    "images": (("--set", "epochs=1", "--set", "teacher_epochs=1", "--set", "alpha=.5", "--seed", "1"), {"acc"}),
}


class New(HostCase):
    def test_every_template_runs(self):
        self.assertEqual({path.stem for path in TEMPLATES.glob("*.lua")}, set(TINY))
        for template, (args, results) in TINY.items():
            with self.subTest(template=template):
                done = self.gradus("new", "mine-" + template, "--template", template)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn(f"gradus run mine-{template}.lua".encode(), done.stdout)
                text = (self.dir / f"mine-{template}.lua").read_text()
                self.assertLessEqual(text.count("\n"), 60)
                self.assertNotIn("NAME", text)
                self.assertIn(f'name = "mine-{template}"', text)
                done = self.gradus("check", f"mine-{template}.lua")  # as it stands: `new` says so
                self.assertEqual(done.returncode, 0, done.stderr)
                done = self.gradus("run", f"mine-{template}.lua", "--json", *args)
                self.assertEqual(done.returncode, 0, done.stderr)
                for run in json.loads(done.stdout)["runs"]:
                    self.assertEqual((run["name"], set(run["result"])), (f"mine-{template}", results))

    def test_the_text_of_ones_own(self):
        letters = random.Random(1)
        words = ["".join(letters.choices("abcdefghijklmnopqrstuvwxyz", k=letters.randint(2, 7))) for _ in range(400)]
        (self.dir / "corpus.txt").write_text(" ".join(letters.choice(words) for _ in range(6000)))
        self.gradus("new", "mine", "--template", "text")
        done = self.gradus("run", "mine.lua", "--json", *TINY["text"][0], "--set", "text=corpus.txt", "--set", "vocabulary=128")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_default_is_distill_and_nothing_is_written_over(self):
        self.assertEqual(self.gradus("new", "first.lua").returncode, 0)
        written = (self.dir / "first.lua").read_text()
        self.assertEqual(written, (TEMPLATES / "distill.lua").read_text().replace("NAME", "first"))
        self.assert_fails(self.gradus("new", "first", "--template", "sweep"), 64, "new: first.lua is there already")
        self.assertEqual((self.dir / "first.lua").read_text(), written)

    def test_what_is_refused(self):
        self.assert_fails(self.gradus("new"), 64, "no NAME")
        self.assert_fails(self.gradus("new", "a b"), 64, "expected 1 to 100 letters")
        self.assert_fails(self.gradus("new", "x", "--template", "swep"), 64, "did you mean 'sweep'?")
        self.assert_fails(self.gradus("new", "x", "--template", "zzz"), 64, "expected one of distill, images, own-loop, sweep, text")
        self.assert_fails(self.gradus("new", "nowhere/x"), 74, "nowhere/x.lua cannot be written")
        for name in ("", "-x", ".x", "a/-x", "a b", "x" * 101, "ü", "a:b", "x*"):
            done = self.gradus("new", "--", name)
            self.assertEqual(done.returncode, 64, name)
            if name:
                shown = pathlib.PurePath(name).name.removesuffix(".lua")
                self.assertIn(f"new: NAME: expected 1 to 100 letters, digits, '_', '-' or '.'; got '{shown}'", done.stderr.decode(), name)
        self.assertEqual(list(self.dir.glob("*.lua")), [])
        (self.dir / "sub").mkdir()
        for name, path in (("x" * 100, "x" * 100 + ".lua"), ("sub/a_B-9", "sub/a_B-9.lua"), ("sub/v1.2.lua", "sub/v1.2.lua")):
            done = self.gradus("new", name, "--template", "sweep")
            self.assertEqual(done.stdout.decode(), f"{path} is written, from the template sweep.\n  gradus check {path}    two steps of each stage\n"
                                                   f"  gradus run {path}      all its runs\n")
            self.assertIn(f'name = "{pathlib.PurePath(path).stem}"', (self.dir / path).read_text())


if __name__ == "__main__":
    unittest.main()
