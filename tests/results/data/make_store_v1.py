"""The store of schema version 1 for tests/results/migrate_test.cpp, as SQL: made by a gradus of that version.

GRADUS=<a binary built at commit d7e3607> python3 make_store_v1.py > store_v1.sql
"""

import os
import pathlib
import sqlite3
import subprocess
import tempfile

SPEC = """
it("makes a store", function()
  local store = require("gradus.store").open "%s"
  for seed = 1, 2 do
    local run = store:begin { name = "old", seed = seed, config_hash = "c0ffee", params = { { key = "lr", value = 0.1 } },
      sources = { { path = "old.lua", sha256 = ("a"):rep(64), text = "return 1\\n" } } }
    local key = run:key "val/acc"
    for step = 1, 3 do run:log(key, step, seed / 10 + step / 100) end
    run:progress(3, 1, 192, 1e6, 0.5)
    run:event(2, "decision", "stop", '{"acc":0.2}')
    run:finish "finished"
  end
end)
"""

with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "gradus.db"
    spec = pathlib.Path(folder) / "make.lua"
    spec.write_text(SPEC % path)
    subprocess.run([os.environ["GRADUS"], "test", spec], check=True, stdout=subprocess.DEVNULL)
    db = sqlite3.connect(path)
    for pragma in ("application_id", "user_version"):
        print(f"PRAGMA {pragma} = {db.execute('PRAGMA ' + pragma).fetchone()[0]};")
    print("\n".join(line for line in db.iterdump()))
