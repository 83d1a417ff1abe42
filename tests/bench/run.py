"""`make bench`: Gradus beside PyTorch (eager, torch.compile) and JAX (jit, jit + scan), interleaved in one run.

Each contender is a process of its own, pinned to the same core, that runs so many steps when it is told to; they take turns
through several rounds, and the median counts. Writes build/bench.json and prints the README's table. Rows that cannot be
measured here are left out, with the reason.
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import iterate_bench
import neighbours_bench
import store_bench
from rows import ROWS

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build"
LOGS = BUILD / "bench"
PEERS = {"PyTorch eager": ("torch_peer.py", "eager"), "torch.compile": ("torch_peer.py", "compile"),
         "JAX jit": ("jax_peer.py", "jit"), "JAX jit + scan": ("jax_peer.py", "scan")}
OURS, SCAN = "Gradus", "Gradus scan"  # a call a step, and several steps a call where the row says so


def bench_python(packages=("jax", "numpy")):
    """The Python of an environment of the benchmark's own, made on first use: the packages, and the PyTorch that Gradus is built with.
    packages: by the names of their modules where these are not the packages'."""
    python = BUILD / "bench-venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", BUILD / "bench-venv"], check=True)

    def has(module):
        return subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode == 0

    wanted = [packages[name] if isinstance(packages, dict) else name for name in packages if not has(name)]
    if not has("torch") and (BUILD / "wheel" / "torch").exists():  # fetched by the build without what Python needs of it
        packages = next((BUILD / "bench-venv").glob("lib/python*/site-packages"))
        (packages / "wheel.pth").write_text(f"{BUILD / 'wheel'}\n")
        wanted += ["filelock", "typing-extensions", "sympy", "networkx", "jinja2", "fsspec"]
    elif not has("torch"):
        wanted.append("torch==2.13.0")
    if wanted:
        subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True)
    return python


def environment():
    return dict(os.environ, JAX_PLATFORMS="cpu")


class Contender:
    """One process. request(n) runs n steps and gives (wall, cpu) seconds."""

    def __init__(self, name, command, cores):
        self.name, self.failure = name, None
        LOGS.mkdir(parents=True, exist_ok=True)
        self.log = LOGS / (name.replace(" ", "-").replace("+", "and") + ".log")
        self.started = time.monotonic()
        self.process = subprocess.Popen(["taskset", "-c", cores, *map(str, command)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=open(self.log, "w"), env=environment(), text=True, cwd=ROOT)

    def answer(self):
        for line in self.process.stdout:
            if line.startswith("@"):
                return json.loads(line[1:])
        self.process.wait()
        lines = [line.strip() for line in self.log.read_text().splitlines() if line.strip()]
        raise RuntimeError(lines[-1] if lines else f"exit code {self.process.returncode}")

    def ready(self):
        self.answer()
        return time.monotonic() - self.started

    def request(self, steps):
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        figures = self.answer()
        return figures["wall"] / steps, figures["cpu"] / steps

    def peak_bytes(self):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def command_of(name, work, python, store, threads):
    if name in (OURS, SCAN):
        work = {**work, "scan": name == SCAN}
        return [os.environ.get("GRADUS", BUILD / "gradus"), "run", HERE / "step.lua", "--set", "work=" + json.dumps(work), "--store", store, "--quiet",
                *(["--threads", threads] if threads else [])]
    script, mode = PEERS[name]
    return [python, HERE / script, mode, json.dumps(work)]


def contenders_of(work):
    if work.get("startup") or work["kind"] == "chain":
        return [OURS, "PyTorch eager"]
    if work["kind"] == "distillation":
        return [OURS, *(name for name in PEERS if "JAX" not in name)]
    return [OURS, *([SCAN] if work.get("scan") else []), *PEERS]


def measure(work, python, store, cores, threads, options):
    """Per contender the seconds of a step (median of the rounds) and the peak memory; and the reasons of those that failed."""
    alive, reasons, peaks = [], {}, {}
    for name in contenders_of(work):
        contender = Contender(name, command_of(name, work, python, store, threads), cores)
        try:
            contender.ready()
            alive.append(contender)
        except RuntimeError as error:
            reasons[name] = str(error)
            contender.close()
    steps = {}
    for contender in alive:
        granule = work.get("chunk", 16) if "scan" in contender.name else 1  # steps of one compiled loop
        once = contender.request(granule)[0]
        steps[contender.name] = max(granule, work.get("least", 1), round(options.slice / max(once, 1e-6) / granule) * granule)
    clock = 1 if options.clock == "cpu" else 0
    times = {contender.name: [] for contender in alive}
    for turn in range(options.rounds):
        for contender in alive[turn % len(alive):] + alive[:turn % len(alive)]:
            times[contender.name].append(contender.request(steps[contender.name])[clock])
    for contender in alive:
        peaks[contender.name] = contender.peak_bytes()
        contender.close()
    return {name: statistics.median(values) / work.get("operators", 1) for name, values in times.items()}, peaks, reasons


def measure_startup(work, python, store, cores, threads, options):
    times, reasons = {}, {}
    for _ in range(options.rounds):
        for name in contenders_of(work):
            contender = Contender(name, command_of(name, work, python, store, threads), cores)
            try:
                times.setdefault(name, []).append(contender.ready())
            except RuntimeError as error:
                reasons[name] = str(error)
            contender.close()
    return {name: statistics.median(values) for name, values in times.items()}, {}, reasons


def measure_neighbours(python, available, options):
    with tempfile.TemporaryDirectory() as folder:
        def start(name, work):
            return Contender(name, command_of(name, work, python, folder + "/bench.db", None), ",".join(map(str, available)))
        return neighbours_bench.measure(ROWS, start, options)


def peak_flops(core):
    """FLOP/s of one core at its best, by a loop of multiply-adds in registers."""
    program = LOGS / "peak"
    LOGS.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cc", "-O3", "-march=native", "-ffp-contract=fast", HERE / "peak.c", "-o", program], check=True)
    return float(subprocess.run(["taskset", "-c", core, program], check=True, capture_output=True, text=True).stdout)


def entry(name, figures, unit, target, **more):
    """The best of ours beside the best of theirs."""
    ours = {who: value for who, value in figures.items() if who in (OURS, SCAN)}
    peers = {who: value for who, value in figures.items() if who not in ours}
    peer, best = min(peers, key=peers.get), min(ours.values())
    return {"name": name, "peer": peer, "ours": best, "theirs": peers[peer], "unit": unit, "ratio": best / peers[peer],
            "target": target, "peers": peers, "ways": ours, **more}


def figure(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def unit_of(seconds):
    return ("µs", 1e6) if seconds < 1e-3 else ("ms", 1e3)


def table(results):
    names = [OURS, SCAN, *PEERS]
    lines = ["| work | unit | " + " | ".join(names) + " | ours / best | target | of peak FLOP/s |",
             "|---|---|" + "---|" * len(names) + "---|---|---|"]
    for one in results:
        known = {**one["ways"], **one["peers"]}
        cells = [figure(known[name]) if name in known else "–" for name in names]
        target = "–" if one["target"] is None else f"≤ {one['target']}"
        share = f"{100 * one['share_of_peak']:.0f} %" if one.get("share_of_peak") else "–"
        lines.append(f"| {one['name']} | {one['unit']} | " + " | ".join(cells) +
                     f" | {one['ratio']:.2f} | {target} | {share} |")
    return "\n".join(lines)


def cpu_name():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.machine()


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, one core only, no torch.compile")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="rows whose name contains this")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall",
                        help="cpu: processor time, for machines that others use too (one core only)")
    parser.add_argument("--rounds", type=int, default=None)
    parser.add_argument("--cores", choices=["1", "2", "both"], default="both")
    parser.add_argument("--out", default=BUILD / "bench.json")
    store_bench.add_options(parser)
    options = parser.parse_args()
    options.slice = 0.1 if options.quick else 0.3
    options.rounds = options.rounds or (3 if options.quick else 9)
    if options.quick:
        PEERS.pop("torch.compile")
        options.cores = "1"
    return options


def main():
    options = parse()
    python = bench_python()
    available = sorted(os.sched_getaffinity(0))
    wanted = {"1": [1], "2": [2], "both": [1, 2]}[options.cores]
    peak = peak_flops(str(available[-1]))
    print(f"{cpu_name()}, {len(available)} cores, {peak / 1e9:.0f} GFLOP/s a core; {options.rounds} rounds, {options.clock} time")
    results = []
    for count in wanted:
        if count > len(available):
            print(f"two cores: left out, this machine has {len(available)}")
            continue
        cores = ",".join(map(str, available[-count:]))
        for name, work, flops, target, memory_target in ROWS:
            if options.only and not any(part in name for part in options.only):
                continue
            title = name if count == 1 else name + ", two cores"
            with tempfile.TemporaryDirectory() as folder:
                function = measure_startup if work.get("startup") else measure
                times, peaks, reasons = function(work, python, folder + "/bench.db", cores, count, options)
            for who, reason in reasons.items():
                print(f"{title}: {who} left out: {reason}", flush=True)
            if OURS not in times or not set(times) - {OURS, SCAN}:
                print(f"{title}: left out", flush=True)
                continue
            unit, scale = unit_of(times[OURS])
            best = min(times[who] for who in (OURS, SCAN) if who in times)
            share = flops / best / (peak * count) if flops else None
            results.append(entry(title, {who: value * scale for who, value in times.items()}, unit, target if count == 1 else None,
                                 cores=count, flops=flops, share_of_peak=share))
            if memory_target:
                results.append(entry(title + ": peak memory", {who: value / 2 ** 20 for who, value in peaks.items()}, "MiB",
                                     memory_target if count == 1 else None, cores=count))
            print(table(results[-1:]).splitlines()[-1], flush=True)
    stored = store_bench.measure(python, options)
    many = iterate_bench.measure(python, options)
    beside = measure_neighbours(python, available, options)
    pathlib.Path(options.out).write_text(json.dumps(results + stored + many + beside, indent=1, ensure_ascii=False) + "\n")
    print("\n" + table(results) + "\n\n" + store_bench.table(stored) + "\n\n" + iterate_bench.table(many) +
          "\n\n" + neighbours_bench.table(beside))


if __name__ == "__main__":
    main()
