"""What reading commands cost as whole processes: python3 tests/bench/read_store.py FILE [RUN]

FILE is a store of tests/bench/make_store.py; GRADUS names the binary. Prints wall and CPU milliseconds, the least of five.
"""

import os
import resource
import subprocess
import sys
import time

GRADUS, STORE = os.environ.get("GRADUS", "build/gradus"), sys.argv[1]
RUN = int(sys.argv[2]) if len(sys.argv) > 2 else 5000
TWO_HUNDRED = f"id > {RUN} and id <= {RUN + 200}"

COMMANDS = {
    "runs, three conditions": ("runs", "--where", "strategy == 'ramp' and (lr > 1e-3 or seed < 3) and best(val_acc) > 0.9"),
    "runs, value at a step": ("runs", "--where", "at(val/acc, 500) > 0.93"),
    "runs, newest 20": ("runs", "--limit", "20"),
    "compare 200 runs": ("compare", "--where", TWO_HUNDRED),
    "compare 200, versus": ("compare", "--where", TWO_HUNDRED, "--versus", "one_shot", "--by", "strategy,lr"),
    "compare 200, threshold": ("compare", "--where", TWO_HUNDRED, "--threshold", "val/acc>=0.7"),
    "compare 200, equal FLOPs": ("compare", "--where", TWO_HUNDRED, "--at", "flops=1e8"),
    "compare 200, area": ("compare", "--where", TWO_HUNDRED, "--auc"),
    "compare 200, bootstrap": ("compare", "--where", TWO_HUNDRED, "--ci=bootstrap"),
    "one curve": ("sql", f"SELECT step, value FROM metrics WHERE run_id = {RUN} AND key = 'val/acc'"),
    "show": ("show", str(RUN)),
    "diff": ("diff", str(RUN), str(RUN + 1)),
}


def cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main():
    for name, arguments in COMMANDS.items():
        wall, spent = [], []
        for _ in range(5):
            before, began = cpu(), time.perf_counter()
            subprocess.run([GRADUS, *arguments, "--store", STORE], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wall.append(time.perf_counter() - began)
            spent.append(cpu() - before)
        print(f"{name:26} {min(wall) * 1e3:8.1f} ms {min(spent) * 1e3:8.1f} ms of CPU")


if __name__ == "__main__":
    main()
