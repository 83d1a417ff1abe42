"""A peer's side of the store's rows: python3 log_peer.py trackio|mlflow|listing CALLS CLOCK, in a folder of its own.

Prints the median seconds of a call that logs 5 values, as JSON; listing: of MLflow's listing of all runs in mlflow.db, which
CLOCK (wall or cpu) measures.
"""
import json
import statistics
import sys
import time

NAMES = ["train/loss", "train/ce", "train/kl", "train/acc", "knob/lr"]


def median(call, times, clock=time.perf_counter):
    spent = []
    for i in range(times):
        began = clock()
        call(i)
        spent.append(clock() - began)
    return statistics.median(spent)


def trackio(times):
    import trackio as peer
    peer.init(project="bench", config={"lr": 0.1})
    result = median(lambda i: peer.log({name: i * 0.5 for name in NAMES}, step=i), times)
    return result, peer.finish


def mlflow(times):
    import mlflow as peer
    peer.set_tracking_uri("sqlite:///mlflow.db")
    with peer.start_run():
        return median(lambda i: peer.log_metrics({name: i * 0.5 for name in NAMES}, step=i), times), None


def listing(times):
    from mlflow.tracking import MlflowClient
    client = MlflowClient("sqlite:///mlflow.db")
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    counts = []
    result = median(lambda _: counts.append(len(client.search_runs(ids, max_results=50_000))), times,
                    time.process_time if sys.argv[3] == "cpu" else time.perf_counter)
    assert min(counts) > 0
    return result, None


def main():
    result, close = {"trackio": trackio, "mlflow": mlflow, "listing": listing}[sys.argv[1]](int(sys.argv[2]))
    print("@" + json.dumps({"seconds": result}), flush=True)
    if close:
        close()


if __name__ == "__main__":
    main()
