"""What tests of the Lua host share: a folder, the program, and a small runner.

The runner stands in for stdlib/experiment/runner.lua, so that these cases are about the host alone.
"""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

GRADUS_PATH = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())
STDLIB = pathlib.Path(__file__).resolve().parents[2] / "stdlib"

RUNNER = """
local host = require "gradus.host"
local runner = {}
local function run()
  local chunk = host.load_script()
  host.entering(chunk)
  local ok, result = xpcall(chunk, host.traceback)
  if not ok then error(result, 0) end
  return result
end
function runner.plan(options)
  local count, labels = 1, {}
  for _, pair in ipairs(options.set) do
    if pair[1] == "grid" then count = tonumber(pair[2]) end
  end
  for i = 1, count do labels[i] = i .. "/" .. count end
  return labels
end
function runner.execute(options, i)
  rawset(_G, "INDEX", i)
  local result = run()
  return host.json_encode { run = i, result = result }
end
function runner.summarize(options, results)
  if options.json then print("summary") host.write(1, "[" .. table.concat(results, ",") .. "]\\n") end
end
return runner
"""


def make_stdlib(folder, runner):
    """A standard library of what the host itself asks for, with what that asks for at once, and a runner."""
    wanted = ["experiment/test.lua", *(f"base/{name}.lua" for name in ("tail_call", "globals", "lists", "habits", "shown"))]
    for name in wanted:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(STDLIB / name, folder / name)
        more = re.findall(r'^local .* = require "gradus\.(\w+)\.(\w+)"', (STDLIB / name).read_text(), re.MULTILINE)
        wanted += [one for one in (f"{room}/{module}.lua" for room, module in more) if one not in wanted]
    (folder / "experiment/runner.lua").write_text(runner)


class HostCase(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.std = self.dir / "std"
        make_stdlib(self.std, RUNNER)

    def write(self, name, text):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return name

    def gradus(self, *args, stdin=None, env=None, **more):
        return subprocess.run([GRADUS_PATH, *args], cwd=self.dir, input=stdin, capture_output=True, timeout=60,
                              env={**os.environ, **(env or {})}, **more)

    def script(self, text, *args, name="x.lua", **more):
        self.write(name, text)
        return self.gradus("run", name, "--stdlib", "std", *args, **more)

    def assert_fails(self, done, code, *pieces):
        err = done.stderr.decode(errors="replace")
        self.assertEqual(done.returncode, code, err + done.stdout.decode(errors="replace"))
        for piece in pieces:
            self.assertIn(piece, err)
        return err

    def assert_runs(self, done, *pieces):
        out = done.stdout.decode(errors="replace")
        self.assertEqual(done.returncode, 0, done.stderr.decode(errors="replace"))
        for piece in pieces:
            self.assertIn(piece, out)
