"""The sweep of hour.py's newcomer with Optuna, and its question why the best is the best; beside hour_peer.py, which trains.

  python hour_search.py search TRIALS     asks the study for trials and runs them; two such processes share them
  python hour_search.py best              the best run by MLflow
  python hour_search.py why               what mattered by Optuna, and what the best two runs differ in
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
STUDY = dict(study_name="sweep", storage=f"sqlite:///{HERE}/optuna.db", direction="maximize", load_if_exists=True)


def search(trials):
    import optuna
    from hour_peer import Config, train

    def objective(trial):
        return train(Config(lr=trial.suggest_float("lr", 1e-3, 3e-2, log=True), alpha=trial.suggest_float("alpha", 0.3, 0.9)), "sweep")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    optuna.create_study(**STUDY).optimize(objective, n_trials=trials)


def best_runs(count):
    import mlflow
    mlflow.set_tracking_uri(f"sqlite:///{HERE}/mlflow.db")
    return mlflow.search_runs(experiment_names=["sweep"], order_by=["metrics.best_val_acc DESC"], max_results=count)


def why():
    import optuna
    print(optuna.importance.get_param_importances(optuna.create_study(**STUDY)))
    runs = best_runs(2)
    for key in runs.columns:
        if key.startswith(("params.", "metrics.")) and runs[key][0] != runs[key][1]:
            print(key, runs[key][0], runs[key][1])


if __name__ == "__main__":
    if sys.argv[1] == "search":
        search(int(sys.argv[2]))
    elif sys.argv[1] == "best":
        print(best_runs(1).iloc[0])
    else:
        why()
