"""`gradus help TOPIC`: commands, functions, words, everything on one page."""

import fcntl
import os
import struct
import subprocess
import termios
import unittest

from host_case import GRADUS_PATH, HostCase


class Help(HostCase):
    def help(self, *topic):
        done = self.gradus("help", *topic)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode()

    def test_commands_as_before(self):
        self.assertIn("--seed", self.help("run"))
        self.assertIn("compare", self.help())
        self.assertIn("gradus help distill", self.help())
        self.assertIn("In scripts: gradus help g.compare", self.help("compare"))
        for part in ("--points", "--metric", "--children", "wandb sync"):  # of the formats, each with its options
            self.assertIn(part, self.help("export"))
        self.assertIn("--partial", self.help("import"))

    def test_an_index_of_the_library(self):
        text = self.help()
        for part in ("A run (run): ", "Losses (loss): ", "cross_entropy", "Words: ", "standardize"):
            self.assertIn(part, text)

    def test_what_scripts_use(self):
        text = self.help("distill")
        for part in ("run:distill(options)", "temperature", "weight of the labels", "Example", "See also: "):
            self.assertIn(part, text)
        self.assertIn("sampler.weighted(d, weights)", self.help("sampler.weighted"))
        self.assertIn("T² · KL(teacher ‖ student)", self.help("kd_loss"))
        self.assertIn("sampler.rehearsal", self.help("sampler"))
        self.assertIn("softmax(Tensor self, int dim", self.help("softmax"))
        self.assertEqual(self.help("g.nn.Linear"), self.help("nn.Linear"))

    def test_a_text_is_no_wider_than_the_terminal(self):
        for topic in (["--help"], ["help"], ["run", "--help"], ["help", "compare"], ["help", "distill"], ["help", "where"]):
            ours, theirs = os.openpty()
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 70, 0, 0))
            process = subprocess.Popen([GRADUS_PATH, *topic], stdout=theirs)
            os.close(theirs)
            text = b""
            try:
                while part := os.read(ours, 65536):
                    text += part
            except OSError:
                pass  # it has closed its side
            os.close(ours)
            self.assertEqual(process.wait(60), 0)
            text, whole = text.decode().replace("\r", ""), self.gradus(*topic).stdout.decode()
            self.assertEqual(text.split(), whole.split())
            widths = [len(line) for line in text.split("\nExample\n")[0].splitlines()]  # code stays as it is
            self.assertGreater(max(widths), 60)
            self.assertLessEqual(max(widths), 70, topic)

    def test_words(self):
        self.assertIn("α CE + (1 − α) T² KL", self.help("alpha"))
        self.assertIn("best(val/acc)", self.help("where"))

    def test_demands(self):
        self.assertRegex(self.help("demands"), r"^What is asked .*\n\d+ demands: \d+ shown ")

    def test_one_page(self):
        page = self.help("--all")
        self.assertTrue(page.startswith("# Gradus: reference\n"))
        for part in ("## Words", "### `g.sampler.weighted(d, weights)`", "softmax(Tensor self", "### `gradus export`", "```lua"):
            self.assertIn(part, page)
        self.assertEqual(page.count("```") % 2, 0)

    def test_nobody_knows(self):
        self.assert_fails(self.gradus("help", "sampler.wieghted"), 64, "help: nothing is called 'sampler.wieghted'; did you mean 'sampler.weighted'?")
        self.assert_fails(self.gradus("help", "sofmax"), 64, "did you mean 'softmax'?")
        self.assert_fails(self.gradus("help", "xqzvk"), 64, "nothing is called 'xqzvk'")
        self.assert_fails(self.gradus("help", "--al"), 64, "unknown option '--al'")


if __name__ == "__main__":
    unittest.main()
