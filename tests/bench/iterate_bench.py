"""From idea to curve: what one more run costs beyond its training beside Optuna, Hydra and joblib, twelve runs on two cores against one
after the other, and the time from a save to the end of the first step under `gradus watch`.

Called by run.py (make bench BENCH="--only iterate"); alone: python3 tests/bench/iterate_bench.py [--only overhead|twelve|watch] [--quick].
The load of the machine is printed beside the figures: they are of worth where nothing else runs.
"""
import argparse
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import store_bench

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GRADUS = str(pathlib.Path(os.environ.get("GRADUS", ROOT / "build" / "gradus")).resolve())
FEW, MANY = 5, 55  # runs of one process: the slope between them leaves out its start and end

EMPTY = """
local g = require "gradus"
local seeds = {} for i = 1, %d do seeds[i] = i end
return g.experiment { name = "empty", grid = { seed = seeds }, run = function(run) run:log { loss = 1 } return { loss = 1 } end }
"""

# A file that comes tells when the first step has been done.
SAVED = """
local g = require "gradus"
return g.experiment { name = "saved", run = function(run)
  local d = g.data.digits():split { train = .7, val = .3 }
  run:distill { teacher = g.nn.MLP { 64, 32, 10 }, student = g.nn.MLP { 64, 16, 10 }, data = d, budget = { steps = 40 },
    curriculum = { pressure = function(s)
      if s.step == 1 then io.open("first.%d", "w"):close() end
      return { temperature = 4 }
    end } }
end }
"""

OPTUNA = """
import optuna, sys
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(storage="sqlite:///" + sys.argv[1] + "/o.db")
study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=int(sys.argv[2]))
"""

HYDRA = """
import hydra
@hydra.main(version_base=None, config_path=None)
def main(config): return 1.0
main()
"""

JOBLIB = """
import sys, joblib
joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(i) for i in range(int(sys.argv[2])))
"""


def seconds(command, folder):
    began = time.monotonic()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - began


def slope(command_of, folder, rounds, many=MANY):
    """Milliseconds that one more run takes: start and end of the whole process do not count."""
    costs = []
    for _ in range(rounds):
        costs.append((seconds(command_of(many), folder) - seconds(command_of(FEW), folder)) / (many - FEW))
    return 1000 * statistics.median(costs)


def install_peers(python):
    if not pathlib.Path(python).exists():
        return
    wanted = {"optuna": "optuna", "joblib": "joblib", "hydra_plugins.hydra_joblib_launcher": "hydra-joblib-launcher"}
    missing = [package for module, package in wanted.items()
               if subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode != 0]
    if missing:  # what cannot be had is told of where it is left out
        subprocess.run([python, "-m", "pip", "install", "-q", *missing], stderr=subprocess.DEVNULL)


def of_python(python, text):
    """The command of `count` runs in a script of Python's; each with a folder of its own."""
    return lambda folder: lambda count: [python, "-c", text, tempfile.mkdtemp(dir=folder), str(count)]


def of_hydra(python):
    def command(folder):
        (folder / "app.py").write_text(HYDRA)
        return lambda count: [python, "app.py", "-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2",
                              f"hydra.sweep.dir={tempfile.mkdtemp(dir=folder)}", f"+x=range({count})"]
    return command


def overhead_rows(python, folder, rounds):
    def ours(count):
        (folder / f"empty{count}.lua").write_text(EMPTY % count)
        return [GRADUS, "run", f"empty{count}.lua", "-j", "1", "-q", "--store", f"e{time.monotonic_ns()}/g.db"]
    title = "one more run beyond its training, -j 1"
    cost = slope(ours, folder, rounds)
    rows = [store_bench.entry(title, "limit", cost, 10, "ms", 1)]
    peers = {"Optuna on SQLite": (of_python(python, OPTUNA), MANY, 1),
             "Hydra's joblib launcher, two processes": (of_hydra(python), MANY, 1),
             "joblib, two processes, stores nothing": (of_python(python, JOBLIB), 100 * MANY, None)}
    for who, (command, many, target) in peers.items():
        try:
            rows.append(store_bench.entry(title, who, cost, slope(command(folder), folder, rounds, many), "ms", target))
        except (subprocess.CalledProcessError, FileNotFoundError):
            print(f"{title}: {who} left out: it does not run with {python}", flush=True)
    return rows


def twelve_rows(_, folder, rounds):
    """The quickstart's twelve runs, cold: the teacher is trained, too."""
    alone, side_by_side = [], []
    for _ in range(rounds):
        for times, more in ((alone, []), (side_by_side, ["-j", "2"])):
            store = f"q{time.monotonic_ns()}/g.db"
            times.append(seconds([GRADUS, "run", str(ROOT / "scripts" / "quickstart.lua"), "-q", "--store", store, *more], folder))
    return [store_bench.entry("twelve runs of the quickstart, -j 2", "one after the other", statistics.median(side_by_side), statistics.median(alone),
                "s", .55)]


def wait_for(path, seconds_at_most=30):
    deadline = time.monotonic() + seconds_at_most
    while not path.exists():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{path.name}: no first step within {seconds_at_most} s")
        time.sleep(.01)
    return path.stat().st_mtime_ns


def saves(folder, count):
    """Milliseconds from each save to the end of its run's first step, by the clock of the file system."""
    script, times = folder / "saved.lua", []
    script.write_text(SAVED % 0)
    process = subprocess.Popen([GRADUS, "watch", "saved.lua", "--store", "w/g.db"], cwd=folder, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        wait_for(folder / "first.0")
        for number in range(1, count + 1):
            time.sleep(.4)  # the run before is over
            saved = folder / "saved.now"
            saved.write_text("")
            script.write_text(SAVED % number)
            times.append((wait_for(folder / f"first.{number}") - saved.stat().st_mtime_ns) / 1e6)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
    return times


def watch_rows(_, folder, rounds):
    times = saves(folder, 10 if rounds == 1 else 50)
    return [store_bench.entry(f"from a save to the first step under watch, median of {len(times)}", "limit", statistics.median(times), 50, "ms", 1)]


PARTS = {"overhead": overhead_rows, "twelve": twelve_rows, "watch": watch_rows}


def table(rows):
    lines = ["| many runs | unit | Gradus | beside | | ours / theirs | target |", "|---|---|---|---|---|---|---|"]
    for one in rows:
        target = "–" if one["target"] is None else f"≤ {one['target']:g}"
        lines.append(f"| {one['name']} | {one['unit']} | {store_bench.figure(one['ours'])} | {one['peer']} | "
                     f"{store_bench.figure(one['theirs'])} | {one['ratio']:.3g} | {target} |")
    return "\n".join(lines)


def measure(python, options):
    """The rows of the parts that --only names (overhead, twelve, watch, or iterate for all); printed when they are known."""
    rows = []
    for name, part in PARTS.items():
        if options.only and not any(word in ("iterate", name) for word in options.only):
            continue
        if name == "overhead":
            install_peers(python)
        load = os.getloadavg()[0]
        with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
            try:
                found = part(python, pathlib.Path(folder), 1 if options.quick else 5)
            except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
                print(f"{name}: left out: {error}", flush=True)
                continue
        print("\n".join(table(found).splitlines()[2:]) + f"\n  load before: {load:.2f}", flush=True)
        rows += [{**one, "load": load} for one in found]
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", default=[], choices=list(PARTS))
    parser.add_argument("--quick", action="store_true")
    print("\n" + table(measure(ROOT / "build" / "bench-venv" / "bin" / "python", parser.parse_args())))


if __name__ == "__main__":
    main()
