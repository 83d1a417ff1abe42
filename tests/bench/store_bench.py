"""The store's rows of the benchmark: what logging costs beside Trackio and MLflow, and how long reading a large store takes.

Called by run.py; alone: python3 tests/bench/store_bench.py [--store-values N] [--only NAME]. A row whose peer is a limit
("at most 100 ms") has the limit as the peer's figure, so that ours / theirs under 1 meets it.
"""
import argparse
import contextlib
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
GRADUS = os.environ.get("GRADUS", str(ROOT / "build" / "gradus"))
RUNS = 10_000  # of the large store; make_store.py gives each 10 metrics
FILTER = "strategy == 'ramp' and (lr > 1e-3 or seed < 3) and best(val_acc) > 0.9"
TWO_HUNDRED = "id > 5000 and id <= 5200"
CURVE = "SELECT step, value FROM metrics WHERE run_id = 5000 AND key = 'val/acc'"
WAL_LIMIT = 64 << 20


def environment():
    return {**os.environ, "GRADUS": GRADUS, "MLFLOW_DISABLE_TELEMETRY": "true", "GRADIO_ANALYTICS_ENABLED": "False"}


def install_peers(python):
    if not pathlib.Path(python).exists():  # run.py makes it; peer() tells of what is not there
        return

    def has(module):
        return subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode == 0

    missing = [name for name in ("mlflow", "trackio") if not has(name)]
    if missing:
        subprocess.run([python, "-m", "pip", "install", "-q", *missing], stderr=subprocess.DEVNULL)  # peer() tells of what is not there


def peer(python, what, times, folder, clock="wall"):
    """The peer's figure, or None; the reason is printed."""
    try:
        done = subprocess.run([python, HERE / "log_peer.py", what, str(times), clock], cwd=folder, capture_output=True, text=True, timeout=300,
                              env={**environment(), "TRACKIO_DIR": str(folder)})
        line = next(line for line in done.stdout.splitlines() if line.startswith("@"))
        return json.loads(line[1:])["seconds"]
    except (subprocess.TimeoutExpired, StopIteration, FileNotFoundError):
        print(f"{what}: left out: it did not answer")
        return None


class Logger:
    """A process that logs and trains as it is told (log.lua)."""

    def __init__(self, store, *settings):
        arguments = [part for setting in settings for part in ("--set", setting)]
        self.process = subprocess.Popen([GRADUS, "run", HERE / "log.lua", "--store", store, "--quiet", "--threads", "1", *arguments],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self.answer()

    def answer(self):
        for line in self.process.stdout:
            if line.startswith("@"):
                return json.loads(line[1:])
        raise RuntimeError(f"log.lua ended with {self.process.wait()}")

    def ask(self, clock="wall", **what):
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return self.answer()[clock]

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class Page:
    """`gradus serve` on a store, and its answers."""

    def __init__(self, store):
        self.process = subprocess.Popen([GRADUS, "serve", "--json", "--store", store], stdout=subprocess.PIPE, text=True)
        url = json.loads(self.process.stdout.readline())["url"]
        self.address, self.token = url.split("/?token=")

    def get(self, path, **query):
        request = urllib.request.Request(f"{self.address}/api/{path}?{urllib.parse.urlencode(query)}",
                                         headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/schedstat").read_text().split()
        return int(fields[0]) / 1e9  # of the thread that answers: there is no other

    def close(self):
        self.process.terminate()
        self.process.stdout.close()
        self.process.wait()


def children_cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def typical(call, clock, cpu, rounds=9):
    """Median seconds of a call, once warm."""
    call()
    spent = []
    for _ in range(rounds):
        read = cpu if clock == "cpu" else time.perf_counter
        began = read()
        call()
        spent.append(read() - began)
    return statistics.median(spent)


def entry(name, who, ours, theirs, unit, target):
    return {"name": name, "peer": who, "ours": ours, "theirs": theirs, "unit": unit, "ratio": ours / theirs, "target": target,
            "peers": {who: theirs}}


def limit(name, ours, most, unit):
    return entry(name, "limit", ours, most, unit, 1)


def logging_rows(python, folder, options):
    logger = Logger(f"{folder}/log.db")
    rows = []
    ours = statistics.median(logger.ask(log=1000) / 1000 for _ in range(30)) * 1e6
    for who, what, times, target in (("Trackio", "trackio", 2000, 0.1), ("MLflow on SQLite", "mlflow", 100, 0.001)):
        theirs = peer(python, what, times, folder)
        if theirs:
            rows.append(entry("log call of 5 values", who, ours, theirs * 1e6, "µs", target))
    calls = 200_000
    rows.append(limit("a million values, logged and in SQLite", statistics.median(logger.ask(options.clock, drain=calls) for _ in range(3)) / (5 * calls) * 1e6,
                      1e6 / 500_000, "s"))
    logger.close()
    rows.append(slowdown(folder, options))
    return rows


def slowdown(folder, options):
    """Training with and without a log call of 5 values a step, in turns; by the CPU's clock the thread that drains counts too."""
    logger = Logger(f"{folder}/train.db")
    steps = 50
    turns = {True: [], False: []}
    for turn in range(60):
        for logged in (turn % 2 == 0, turn % 2 != 0):
            turns[logged].append(logger.ask(options.clock, train=steps, log=logged))
    logger.close()
    plain = statistics.median(turns[False]) / steps * 1e3
    ratio = statistics.median(logged / alone for logged, alone in zip(turns[True], turns[False]))  # of neighbours in time
    return entry("step of MLP 784-256-10, batch 128, with 5 values logged", "not logged", plain * ratio, plain, "ms", 1.01)


def open_page_rows(_, folder, options):
    """A run's page that stays open for minutes while the run writes as fast as it can.

    The page is opened once; then it asks in every second turn of 5 s and rests in the others, the writer never rests, and
    neighbouring turns are compared: so what a page costs that stays open is told from what opening it costs, and from what
    else the machine is doing.
    """
    store = f"{folder}/open.db"
    logger = Logger(store)
    logger.ask(drain=20_000)
    page = Page(store)
    asking, stop, most = threading.Event(), threading.Event(), [0]

    def watch():
        wal = pathlib.Path(store + "-wal")
        while not stop.is_set():
            with contextlib.suppress(FileNotFoundError):
                most[0] = max(most[0], wal.stat().st_size)
            time.sleep(0.01)

    def ask():  # what results/page/run.js asks of a run that goes on, as often as util.js lets it
        keys = ["train/loss", "train/ce", "train/kl", "train/acc", "knob/lr"]
        for key in keys:
            page.get("curves", runs=1, keys=key, columns=600)
        after = 20_000
        while not stop.is_set():
            began = time.perf_counter()
            page.get("run", run=1, event=0)
            body = page.get("curves", runs=1, keys=",".join(keys), after=",".join([str(after)] * len(keys)), columns=200)
            after = json.loads(body[4:4 + int.from_bytes(body[:4], "little")])["to"]
            stop.wait(max(1, min(30, 20 * (time.perf_counter() - began))))
            while not asking.wait(0.05) and not stop.is_set():
                pass

    def turn():  # seconds of a million values
        values = seconds = 0
        began = time.perf_counter()
        while time.perf_counter() - began < 5:
            seconds += logger.ask(options.clock, drain=20_000)
            values += 100_000
        return seconds / values * 1e6

    others = [threading.Thread(target=watch), threading.Thread(target=ask)]
    for thread in others:
        thread.start()
    alone, watched = [], []
    served, began = page.cpu(), time.perf_counter()
    for number in range(options.open_turns):
        for asks in (number % 2 == 0, number % 2 != 0):
            asking.set() if asks else asking.clear()
            (watched if asks else alone).append(turn())
    print(f"an open page: {(page.cpu() - served) / (time.perf_counter() - began) * 2:.2%} of a core while it asks")
    stop.set()
    for thread in others:
        thread.join()
    page.close()
    logger.close()
    plain, ratio = statistics.median(alone), statistics.median(one / other for one, other in zip(watched, alone))
    return [entry("a million values written with a page open", "no page", plain * ratio, plain, "s", 1.05),
            limit("write-ahead log with a page open", most[0] / 2**20, WAL_LIMIT / 2**20, "MiB")]


def reading_rows(python, folder, options):
    store, small = f"{folder}/large.db", f"{folder}/small.db"
    steps = max(1, options.store_values // (RUNS * 10))
    subprocess.run([sys.executable, HERE / "make_store.py", store, str(RUNS), str(steps)], check=True, env=environment(), stdout=subprocess.DEVNULL)
    millions = f"{RUNS * steps * 10 / 1e6:.0f} M values"
    rows = [limit(f"file, {millions}", os.path.getsize(store) / (RUNS * steps * 10), 40, "bytes a value")]

    def command(*arguments):
        subprocess.run([GRADUS, *arguments, "--store", store], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    whole = {"runs with a filter": ("runs", "--where", FILTER), "compare of 200 runs": ("compare", "--where", TWO_HUNDRED),
             "one curve": ("sql", CURVE)}
    for name, arguments in whole.items():
        spent = typical(lambda: command(*arguments), options.clock, children_cpu) * 1e3
        rows.append(limit(f"{name}, whole process, {millions}", spent, 100, "ms"))
    page = Page(store)
    ids = ",".join(map(str, range(5001, 5201)))
    asked = {"runs with a filter": ("runs", {"where": FILTER}), "compare of 200 runs": ("compare", {"runs": ids}),
             "one curve": ("curves", {"runs": 5000, "keys": "val/acc", "columns": 1000}), "5,000 runs": ("runs", {"where": "id <= 5001"})}
    for name, (path, query) in asked.items():
        rows.append(limit(f"{name}, in the page, {millions}", typical(lambda: page.get(path, **query), options.clock, page.cpu) * 1e3, 50, "ms"))
    page.close()
    # MLflow lists 2,000 runs of its own store; we 2,000 of 10,000, as a process that starts and ends.
    subprocess.run([sys.executable, HERE / "make_store.py", small, "2000", "5"], check=True, env=environment(), stdout=subprocess.DEVNULL)
    with contextlib.suppress(FileNotFoundError):
        os.remove(f"{folder}/mlflow.db")
    subprocess.run([GRADUS, "export", "mlflow", f"{folder}/mlflow.db", "--store", small], check=True, stdout=subprocess.DEVNULL)
    theirs = peer(python, "listing", 5, folder, options.clock)
    if theirs:
        ours = typical(lambda: command("runs", "--limit", "2000", "--json"), options.clock, children_cpu)
        rows.append(entry("listing of 2,000 runs with all parameters and metrics", "MLflow", ours * 1e3, theirs * 1e3, "ms", 1))
    return rows


PARTS = {"log": logging_rows, "page": open_page_rows, "read": reading_rows}


def figure(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(rows):
    lines = ["| store | unit | Gradus | beside | | ours / theirs | target |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        lines.append(f"| {row['name']} | {row['unit']} | {figure(row['ours'])} | {row['peer']} | {figure(row['theirs'])} | "
                     f"{row['ratio']:.3g} | ≤ {row['target']} |")
    return "\n".join(lines)


def measure(python, options):
    """The rows of the parts that --only names (log, page, read, or store for all); printed when they are known."""
    rows = []
    for name, part in PARTS.items():
        if options.only and not any(word in ("store", name) for word in options.only):
            continue
        install_peers(python)
        with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
            try:
                found = part(python, folder, options)
            except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
                print(f"{name}: left out: {error}", flush=True)
                continue
        print("\n".join(table(found).splitlines()[2:]), flush=True)
        rows += found
    return rows


def add_options(parser):
    parser.add_argument("--open-turns", type=int, default=12, metavar="N", help="pairs of turns of 5 s, with and without an open page (default: 12)")
    parser.add_argument("--store-values", type=int, default=10_000_000, metavar="N",
                        help="values in the store that the reading rows ask (default: 10 million; 100 million take minutes and 2.5 GB)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", default=[], choices=list(PARTS))
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    add_options(parser)
    options = parser.parse_args()
    rows = measure(ROOT / "build" / "bench-venv" / "bin" / "python", options)
    print("\n" + table(rows))


if __name__ == "__main__":
    main()
