"""No public function ends in a line of the library: misuse.lua calls each with wrong types, counts and options."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
SCRIPT = pathlib.Path(__file__).resolve().parent / "misuse.lua"

class Misuse(unittest.TestCase):
    def test_every_function(self):
        folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        shutil.copy(SCRIPT, folder)
        done = subprocess.run([GRADUS, "run", "misuse.lua", "--json"], cwd=folder, capture_output=True, text=True, timeout=600)
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        result = json.loads(done.stdout)["runs"][0]["result"]
        self.assertGreater(result["calls"], 5000)
        complaints = [line[4:] for line in done.stderr.split("\n") if line.startswith("=== ")]
        self.assertEqual(complaints, [], "\n".join(complaints))


if __name__ == "__main__":
    unittest.main()
