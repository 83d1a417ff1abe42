"""The peers' side of the benchmark's conversation: a line with a number of steps in, one line of figures out."""
import json
import sys
import time


def serve(advance):
    """advance(n) runs n steps to their end. Warms up, then answers until standard input ends."""
    advance(3)
    print("@" + json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        advance(int(line))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print("@" + json.dumps({"wall": wall, "cpu": cpu}), flush=True)
