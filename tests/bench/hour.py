"""A newcomer's first hour by a script, and how long each of its waits is, beside the same hour with PyTorch, Hydra, Optuna and MLflow.

  python3 tests/bench/hour.py [--clock cpu]    makes build/bench-venv where it is missing; prints a Markdown table, writes build/hour.json

Both sides do the same work: the quickstart's twelve runs; a new script and five changes of its strategy, each run anew; a sweep of twelve
trials, two at a time; the best run; why it was best. Theirs is hour_peer.py and hour_search.py, which log each epoch (ours logs each
step). What the newcomer reads, thinks and types does not count, nor does installing. The load of the machine is printed with the table.
Our first steps are what `gradus watch` says of them, always by the wall's clock.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import tempfile
import threading
import time

from run import bench_python

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
GRADUS = str(pathlib.Path(os.environ.get("GRADUS", ROOT / "build" / "gradus")).resolve())
PEERS = {"optuna": "optuna", "hydra": "hydra-core", "mlflow": "mlflow", "sklearn": "scikit-learn"}
TRIALS = 12

# The five changes: of the stages' share, temperatures and patience, in our script and in theirs.
CHANGES = [("ranked:first(.3)", "ranked:first(.4)", '("easy", 0.3,', '("easy", 0.4,'),
           ("temperature = 6", "temperature = 8", "0.4, 6.0,", "0.4, 8.0,"),
           ('"val/loss", 3), when.progress(.3)', '"val/loss", 5), when.progress(.3)', "0.8, 3, 0.3", "0.8, 5, 0.3"),
           ("temperature = 4", "temperature = 3", "0.7, 4.0,", "0.7, 3.0,"),
           ("temperature = 2", "temperature = 1", "1.0, 2.0,", "1.0, 1.0,")]


class Process:
    """A command whose lines are waited for, with the seconds since it began or since `mark`: of the wall, or of the processor that it
    and its children took."""
    clock = "wall"

    def __init__(self, command, folder):
        self.process = subprocess.Popen(list(map(str, command)), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.mark = time.monotonic() if self.clock == "wall" else 0
        self.said = []

    def now(self):
        if self.clock == "wall":
            return time.monotonic()
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def hear(self, pattern):
        """Seconds from the mark to a line that fits, and what its group holds."""
        for line in self.process.stdout:
            self.said.append(line)
            found = re.search(pattern, line)
            if found:
                return self.now() - self.mark, found
        raise RuntimeError(f"never said {pattern}: {''.join(self.said)}")

    def end(self):
        self.said += self.process.stdout.readlines()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode != 0:
            raise RuntimeError("".join(self.said))
        return time.monotonic() - self.mark if self.clock == "wall" else usage.ru_utime + usage.ru_stime

    def stop(self):
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.process.terminate()
        self.process.wait()


def waited(command, folder):
    """Seconds that a command takes, and what it says."""
    process = Process(command, folder)
    return process.end(), "".join(process.said)


def change(path, old, new):
    text = path.read_text()
    if text.count(old) < 1:
        raise RuntimeError(f"{path.name}: no '{old}' to change")
    part = path.with_suffix(".part")
    part.write_text(text.replace(old, new, 1))
    part.rename(path)


def our_changes(folder):
    """First steps and ends of the new script's run and of five changed ones, under `gradus watch`."""
    waited([GRADUS, "new", "mine"], folder)
    watch = Process([GRADUS, "watch", "mine.lua"], folder)
    steps, ends = [], []
    for old, new in [(None, None), *((a, b) for a, b, _, _ in CHANGES)]:
        if old:
            watch.mark = watch.now()
            change(folder / "mine.lua", old, new)
        end, found = watch.hear(r"finished .*first step after (\d+) ms")
        steps.append(int(found.group(1)) / 1000)
        ends.append(end)
    watch.stop()
    return steps, ends


def their_changes(python, folder):
    steps, ends = [], []
    for old, new in [(None, None), *((c, d) for _, _, c, d in CHANGES)]:
        if old:
            change(folder / "hour_peer.py", old, new)
        process = Process([python, "hour_peer.py", "strategy=stages", "seed=1"], folder)
        steps.append(process.hear("first step")[0])
        ends.append(process.end())
    return steps, ends


def our_sweep(folder):
    searched = ["--set", "lr=log(1e-3,3e-2)", "--set", "alpha=lin(.3,.9)", "--set", "strategy=stages"]
    spent, said = waited([GRADUS, "sweep", "mine.lua", *searched, "--trials", TRIALS, "-j", 2, "--by", "val/acc", "--json"], folder)
    return spent, json.loads(said)["best"]["runs"][0]


def their_sweep(python, folder):
    made = waited([python, "-c", "import hour_search, optuna; optuna.create_study(**hour_search.STUDY)"], folder)[0]
    both = [Process([python, "hour_search.py", "search", TRIALS // 2], folder) for _ in range(2)]
    spent = [one.end() for one in both]
    return made + (max(spent) if Process.clock == "wall" else sum(spent))


def ours(folder):
    found = {"quickstart": waited([GRADUS, "run", ROOT / "scripts" / "quickstart.lua"], folder)[0]}
    steps, ends = our_changes(folder)
    found["sweep"], best = our_sweep(folder)
    found["best"] = waited([GRADUS, "runs", "--best", "val/acc", "--limit", 2], folder)[0]
    reasons = (["compare", "--by", "lr", "--metric", "val/acc"], ["diff", best, 1])
    found["why"] = sum(waited([GRADUS, *words], folder)[0] for words in reasons)
    return found, steps, ends


def theirs(python, folder):
    for name in ("hour_peer.py", "hour_search.py"):
        (folder / name).write_text((HERE / name).read_text())
    multirun = [python, "hour_peer.py", "-m", "strategy=one_shot,linear_ramp,confidence,stages", "seed=1,2,3", "epochs=150"]
    found = {"quickstart": waited(multirun, folder)[0]}
    steps, ends = their_changes(python, folder)
    found["sweep"] = their_sweep(python, folder)
    found["best"] = waited([python, "hour_search.py", "best"], folder)[0]
    found["why"] = waited([python, "hour_search.py", "why"], folder)[0]
    return found, steps, ends


def with_changes(found, steps, ends):
    return {"quickstart": found["quickstart"], "first": steps[0], "steps": sum(steps[1:]), "ends": sum(ends[1:]),
            "sweep": found["sweep"], "why": found["best"] + found["why"]}


TITLES = {"quickstart": "the quickstart's twelve runs", "first": "a new script, to its first step",
          "steps": "five changes, from save to first step", "ends": "the same, to the five runs' ends",
          "sweep": f"a sweep of {TRIALS} trials, two at a time", "why": "the best run, and why it is the best"}


def table(ours_found, theirs_found):
    def cell(value):
        return f"{value:.1f} s" if value >= 1 else f"{value:.2f} s"
    lines = ["| a newcomer waits for (`python3 tests/bench/hour.py`) | Gradus | PyTorch, Hydra, Optuna, MLflow | theirs / ours |",
             "|---|---|---|---|"]
    rows = [*((TITLES[key], ours_found[key], theirs_found[key]) for key in TITLES),
            ("all of it", *(sum(found.values()) - found["steps"] for found in (ours_found, theirs_found)))]
    return "\n".join([*lines, *(f"| {title} | {cell(a)} | {cell(b)} | {b / a:.0f} |" for title, a, b in rows)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: processor time, for machines that others use too")
    Process.clock = parser.parse_args().clock
    python = bench_python(PEERS)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as mine, tempfile.TemporaryDirectory(dir=ROOT / "build") as other:
        one = with_changes(*ours(pathlib.Path(mine)))
        two = with_changes(*theirs(python, pathlib.Path(other)))
    (ROOT / "build" / "hour.json").write_text(json.dumps({"gradus": one, "peers": two, "load": load}, indent=1) + "\n")
    print(table(one, two))
    print(f"\n{Process.clock} time; load of the machine before: {load:.2f}, after: {os.getloadavg()[0]:.2f}; {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
