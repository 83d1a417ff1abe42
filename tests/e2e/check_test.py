"""`gradus check`: a dry run of the shipped scripts, and of one with settings that do nothing."""

import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import unittest

from fashion_files import write_fashion_files

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"

# Shipped scripts that leave the guides' ranges on purpose, to show what comes of it.
OUTSIDE = {"diagnostics": 3, "guide_claims": 2}

BAD = """
local g = require "gradus"
return g.experiment { name = "bad", run = function(run)
  local d = g.data.digits():split { train = .7, val = .3 }
  run:distill { student = g.nn.MLP { 64, 8, 10 }, teacher = g.nn.MLP { 64, 8, 10 }, data = d, budget = { epochs = 5 },
    lr = 1e-3, decay = "constant", warmup = { epochs = 50 }, temperature = 1 }
end }
"""


class CheckTest(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def check(self, *arguments):
        return subprocess.run([GRADUS, "check", *arguments], cwd=self.dir, capture_output=True, text=True, timeout=300)

    def test_a_tensor_that_is_compared_with_a_number(self):
        (self.dir / "x.lua").write_text("""
            local g = require "gradus"
            return g.experiment { name = "eq", run = function(run)
              local d, net, n = g.data.digits():split { train = .8, val = .2 }, g.nn.MLP { 64, 10 }, 3
              local opt = g.optim.AdamW(net)
              run:cached("teacher", function(train) return g.fit { model = g.nn.MLP { 64, 10 }, data = train, epochs = 1 } end, d.train)
              for i, b in run:batches(d.train, { size = 64, steps = 20 }) do
                local out = { loss = g.loss.cross_entropy(net(b.x), b.y) }
                if out.loss == 0 then break end
                if -1.5 ~= out.loss then n = n + 1 end
                if n == 3 or out.loss:item() == 0 or out.loss.dtype == "x" or 0 == n or 0 == out.loss:item() then n = n + 1 end -- loss == 0
                opt:minimize(out.loss)
              end
            end }""")
        done = self.check("x.lua")
        told = re.findall(r"refused: (.*)", done.stdout)
        self.assertEqual([line.split(": a tensor")[0] for line in told], ["x.lua:9: out.loss == 0", "x.lua:10: -1.5 ~= out.loss"])
        self.assertIn("expected out.loss:item(), or out.loss:eq(…) of its values", told[0])
        self.assertEqual(done.returncode, 65)

    def test_shipped_scripts_pass_and_nothing_is_stored(self):
        experiments = [path for path in sorted(SCRIPTS.glob("*.lua")) if path.name != "claims.lua"]
        self.assertGreater(len(experiments), 15)
        images = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, images)
        write_fashion_files(images / "fashion", train=600)  # its Debian package is not everywhere
        for path in experiments:
            with self.subTest(path.name):
                done = self.check(str(path), *(("--set", f"folder={images}/fashion") if path.stem == "noisy_fashion" else ()))
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertIn("Nothing to refuse.", done.stdout)
                self.assertIn("lr", done.stdout)
                self.assertEqual(done.stdout.count("which --strict refuses"), OUTSIDE.get(path.stem, 0), done.stdout)
                self.assertEqual(list(self.dir.iterdir()), [])

    def test_published_sizes_need_little_memory(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
        for name, settings in (("parity_mlp", ()), ("parity_transformer", ()), ("cfg3b_bert", ("--set", "method=extraction"))):
            with self.subTest(name):
                done = subprocess.run([GRADUS, "check", str(SCRIPTS / f"{name}.lua"), "--set", "size=paper", *settings], cwd=self.dir,
                                      capture_output=True, text=True, timeout=600, preexec_fn=limit)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertIn("Nothing to refuse.", done.stdout)

    def test_a_result_that_cannot_be_one_is_refused(self):
        (self.dir / "names.lua").write_text('local g = require "gradus"\n'
                                            'return g.experiment { name = "names", run = function(run)\n'
                                            '  return { acc = .5, ["top-1 acc"] = .9, curve = g.ones(3), note = "good" }\nend }\n')
        done = self.check("names.lua")
        self.assertEqual(done.returncode, 65, done.stdout)
        self.assertIn("refused: run: result 'top-1 acc': expected a name of 1 to 193 letters", done.stdout)
        self.assertIn("refused: run: result 'curve': expected a number", done.stdout)
        self.assertEqual(done.stderr, "check: 2 settings refused\n")

    def test_what_does_nothing_is_refused(self):
        (self.dir / "bad.lua").write_text(BAD)
        done = self.check("bad.lua")
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assertIn("refused: lr never leaves its warm-up", done.stdout)
        self.assertIn("advice, which --strict refuses: stage 'all': temperature is 1; below 2", done.stdout)
        self.assertEqual(done.stderr, "check: 1 setting refused\n")  # no line of the script: none raised it

    def test_what_check_says_a_run_stores_and_strict_refuses(self):
        (self.dir / "bad.lua").write_text(BAD)
        run = (GRADUS, "run", "bad.lua", "--quiet")
        done = subprocess.run([*run, "--strict"], cwd=self.dir, capture_output=True, text=True, timeout=300)
        self.assertEqual((done.returncode, done.stderr.splitlines()[0]), (65, "bad.lua:5: distill: stage 'all': temperature is 1; below 2 "
                         "the teacher is as good as hard labels, above 20 its signal is too diffuse: 4 to 8 is usual"))
        done = subprocess.run(run, cwd=self.dir, capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        shown = subprocess.run([GRADUS, "show", "@last"], cwd=self.dir, capture_output=True, text=True, timeout=60).stdout
        self.assertRegex(shown, r"warning +settings .*lr never leaves its warm-up")
        self.assertRegex(shown, r"advice +settings +.*temperature is 1; below 2")

    def test_one_bad_plan_of_several_is_enough(self):
        # The first is refused, the second is fine; and the other way round.
        text = BAD.replace('name = "bad",', 'name = "bad", params = { epochs = 1 }, grid = { epochs = { FIRST, SECOND } },')
        text = text.replace("function(run)", "function(run, p)").replace("{ epochs = 50 }", "{ epochs = p.epochs }")
        for first, second, refused in ((50, 1, 1), (1, 50, 1), (50, 60, 2)):
            with self.subTest((first, second)):
                (self.dir / "grid.lua").write_text(text.replace("FIRST", str(first)).replace("SECOND", str(second)))
                done = self.check("grid.lua")
                self.assertEqual(done.returncode, 65, done.stdout)
                self.assertEqual(done.stdout.count("refused: lr never leaves its warm-up"), refused)
                self.assertNotIn("Nothing to refuse.", done.stdout)
                self.assertEqual(done.stderr, f"check: {refused} setting{'s' if refused > 1 else ''} refused\n")

    def test_a_signal_ends_it_after_the_setting_at_hand(self):
        (self.dir / "many.lua").write_text("""
            local g = require "gradus"
            local list = {}
            for i = 1, 2000 do list[i] = i end
            return g.experiment { name = "many", params = { n = 1 }, grid = { n = list }, run = function()
              io.stderr:write "begun\\n"
              local till = os.clock() + .05
              while os.clock() < till do end
            end }""")
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            process = subprocess.Popen([GRADUS, "check", "many.lua"], cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.assertEqual(process.stderr.readline(), "begun\n")
            process.send_signal(number)
            said, told = process.communicate(timeout=10)
            self.assertEqual((process.returncode, told), (code, ""))
            self.assertEqual(said.splitlines(), ["n=1"])

    def test_usage(self):
        self.assertEqual(self.check().returncode, 64)
        self.assertEqual(self.check("none.lua").returncode, 66)


if __name__ == "__main__":
    unittest.main()
