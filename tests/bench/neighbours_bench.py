"""What other work on the machine does to a step: beside a busy process, and two and four trainings at once; ours and PyTorch's, with the threads
that each takes by itself.

Called by run.py (make bench BENCH="--only neighbours"). A figure is a multiple of the step's time alone; of N trainings at once the
slowest counts. Two cores shared fairly with one busy process are worth 1.5 of two to what uses both, so nobody who does
that can do better than 2 / 1.5 = 1.33; two at once on two cores 2, four 4.
"""
import statistics
import subprocess
import sys
import threading

BUSY = [sys.executable, "-c", "while True: pass"]
EAGER = "PyTorch eager"


def at_once(contenders, steps):
    """Seconds of a step of the slowest, where all run so many at once."""
    times = [None] * len(contenders)

    def one(i):
        times[i] = contenders[i].request(steps)[0]
    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(contenders))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(times)


def beside_busy(contender, steps):
    busy = subprocess.Popen(BUSY)
    try:
        return contender.request(steps)[0]
    finally:
        busy.kill()
        busy.wait()


def measure_one(start, work, seconds, rounds):
    """start(): a contender. {alone: seconds, busy, two, four: multiples of it}; medians of the rounds. The others come when they are needed: runs
    of one machine know of each other and share its cores, idle ones too."""
    contenders = []

    def others(count):
        while len(contenders) < count:
            contenders.append(start())
            contenders[-1].ready()
        return statistics.median(at_once(contenders, steps) for _ in range(rounds)) / alone
    try:
        first = start()
        contenders.append(first)
        first.ready()
        least = work.get("least", 1)
        steps = max(least, round(seconds / max(first.request(least)[0], 1e-6)))
        turns = [(first.request(steps)[0], beside_busy(first, steps)) for _ in range(rounds)]
        alone, busy = (statistics.median(times) for times in zip(*turns))
        return {"alone": alone, "busy": busy / alone, "two": others(2), "four": others(4)}
    finally:
        for contender in contenders:
            contender.close()


def measure(rows, start, options):
    """rows: of rows.py; start(name, work): a contender that may use every core, named "Gradus" or "PyTorch eager"."""
    if options.only and "neighbours" not in options.only:
        return []
    results = []
    for name, work, *_ in rows:
        if work.get("startup") or work["kind"] == "chain" or len(options.only) > 1 and not any(part in name for part in options.only):
            continue
        found = {}
        for who in ("Gradus", EAGER):
            try:
                found[who] = measure_one(lambda: start(who, work), work, options.slice * 3, options.rounds)
            except RuntimeError as error:
                print(f"neighbours: {name}: {who} left out: {error}", flush=True)
        if "Gradus" in found:
            results.append({"name": name + ": neighbours", "figures": found})
            print(table(results[-1:]).splitlines()[-1], flush=True)
    return results


def table(results):
    lines = ["| step, beside others; multiples of its time alone | beside a busy process | two at once | four at once | PyTorch eager: busy | two | four |",
             "|---|---|---|---|---|---|---|"]
    for one in results:
        cells = [f"{one['figures'][who][what]:.2f}" if who in one["figures"] else "–" for who in ("Gradus", EAGER) for what in ("busy", "two", "four")]
        lines.append(f"| {one['name'].removesuffix(': neighbours')} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
