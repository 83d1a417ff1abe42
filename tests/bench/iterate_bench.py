"""From idea to curve: what a run of many costs beyond its training beside Optuna (SQLite) and joblib, twelve runs on two
cores against one after the other, and the time from a save to the first step under `gradus watch`.

  python3 tests/bench/iterate_bench.py [--quick]      peers are left out where python3 does not have them
"""
import argparse
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GRADUS = str(pathlib.Path(os.environ.get("GRADUS", ROOT / "build" / "gradus")).resolve())

EMPTY = """
local g = require "gradus"
local seeds = {} for i = 1, %d do seeds[i] = i end
return g.experiment { name = "empty", grid = { seed = seeds }, run = function(run) run:log { loss = 1 } return { loss = 1 } end }
"""

DIGITS = """
local g = require "gradus"
return g.experiment { name = "saved", run = function(run)
  local d = g.data.digits():split { train = .7, val = .3 }
  run:distill { teacher = g.nn.MLP { 64, 32, 10 }, student = g.nn.MLP { 64, 16, 10 }, data = d, budget = { steps = 40 } }  -- save %d
end }
"""

OPTUNA = """
import optuna, sys
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(storage="sqlite:///" + sys.argv[1] + "/o.db")
study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=int(sys.argv[2]))
"""

JOBLIB = """
import sys, joblib
joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(i) for i in range(int(sys.argv[2])))
"""


def seconds(command, folder):
    began = time.monotonic()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - began


def slope(command_of, folder, few, many, rounds):
    """Seconds that one more run takes: start and end of the whole process do not count."""
    costs = []
    for _ in range(rounds):
        costs.append((seconds(command_of(many), folder) - seconds(command_of(few), folder)) / (many - few))
    return statistics.median(costs)


def overhead(folder, rounds):
    def ours(count):
        (folder / f"empty{count}.lua").write_text(EMPTY % count)
        return [GRADUS, "run", f"empty{count}.lua", "-j", "1", "-q", "--store", f"e{time.monotonic_ns()}/g.db"]
    rows = {"Gradus, run -j 1": slope(ours, folder, 5, 55, rounds)}
    for name, module, text in (("Optuna on SQLite", "optuna", OPTUNA), ("joblib, two processes", "joblib", JOBLIB)):
        if subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True).returncode != 0:
            print(f"{name}: left out, python3 has no {module}", file=sys.stderr)
            continue
        def peer(count, text=text):
            return [sys.executable, "-c", text, tempfile.mkdtemp(dir=folder), str(count)]
        rows[name] = slope(peer, folder, 5, 55, rounds)
    return rows


def twelve_runs(folder, rounds):
    """The quickstart's twelve runs, cold: the teacher is trained, too."""
    ratios = []
    for i in range(rounds):
        def run(*more):
            return [GRADUS, "run", str(ROOT / "scripts" / "quickstart.lua"), "-q", "--store", f"q{time.monotonic_ns()}/g.db", *more]
        alone = seconds(run(), folder)
        ratios.append(seconds(run("-j", "2"), folder) / alone)
    return statistics.median(ratios)


def saves(folder, count):
    """Median milliseconds from a save to the end of the first step."""
    script = folder / "saved.lua"
    script.write_text(DIGITS % 0)
    process = subprocess.Popen([GRADUS, "watch", "saved.lua", "--store", "w/g.db"], cwd=folder, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    times = []
    for line in process.stderr:
        found = re.search(r"first step after (\d+) ms", line)
        if found:
            times.append(int(found.group(1)))
            if len(times) > count:
                break
            script.write_text(DIGITS % len(times))
    process.send_signal(signal.SIGTERM)
    process.wait()
    return statistics.median(times[1:])


def measure(quick=False):
    rounds = 1 if quick else 5
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        return {"seconds of a run beyond its training": overhead(folder, rounds),
                "twelve runs of the quickstart, -j 2 / one after the other": twelve_runs(folder, rounds),
                "milliseconds from a save to the first step, median": saves(folder, 10 if quick else 50)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    print(json.dumps(measure(parser.parse_args().quick), indent=2))
