"""What a process of its own, a terminal, a signal or a second process does, specs cannot ask: tests of the program do (tests/e2e)."""

import os
import pathlib
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECONDS = 300  # a fault that makes a test go on for ever is noticed

# File of the library -> the tests that use it (tests/e2e/NAME_test.py).
LIBRARY = {"attach": "attach", "cached": "cached resume", "compare": "compare", "dry_run": "check", "finished": "parallel", "cached_results": "cached",
           "done_again": "landscape", "farm": "parallel", "fork": "fork", "grid": "parallel", "habits": "habits", "landscape_command": "landscape",
           "landscape_way": "landscape", "live_edit": "live", "live_files": "live", "live_loop": "live", "live_swap": "live", "live_training": "live",
           "live_users": "live", "live_world": "live", "optuna": "sweep", "rehearsal": "live", "resume": "resume", "retrace": "landscape",
           "runner": "parallel", "screen": "parallel", "store_keeper": "parallel", "sweep": "sweep", "sweep_command": "sweep",
           "tensor_comparisons": "check", "trial": "sweep", "training": "live", "trial_run": "sweep", "watch": "watch"}

# The same of bindings/host, those that tell most first; of a file that is not here, EVERY one of these.
HOST = {"attach_command": "attach", "calls": "live", "children": "parallel sweep", "children_module": "parallel sweep watch",
        "commands": "program help history compare", "compare_command": "compare history", "compare_text": "compare history",
        "diff_command": "compare history", "doctor_command": "compare program hostile_input", "editor_module": "repl", "execute": "program host",
        "file_lock": "cached teacher_cache parallel", "file_watch": "watch live", "git_state": "surroundings program", "help_command": "help",
        "host_machine": "program surroundings", "host_sources": "cached watch host live", "housekeeping_commands": "compare program history",
        "length_operator": "host surroundings", "line_editor": "repl", "neighbours": "neighbours", "new_command": "new", "plot_command": "history compare",
        "require": "host surroundings watch", "resume_command": "program resume fork", "run_command": "program host sandbox contract live odd_world",
        "runs_command": "history contract", "sandbox": "sandbox", "script_commands": "program host sandbox contract", "serve_command": "serve page",
        "session": "host program surroundings live", "show_command": "history contract compare", "signals": "program contract resume",
        "transfer_command": "transfer", "usage_error": "program help", "versus_text": "compare history table"}
EVERY = "program host contract odd_world compare surroundings"

# File of bindings -> specs (tests/stdlib/*/NAME_spec.lua) of what uses it, where their names do not tell it.
SPECS = {"statistics_module": "seeds", "store_module": "runs known_runs children", "host_sources": "traced cached reachable", "children_module": "farm grid",
         "file_watch": "children live_files watch", "calls": "traced cached reachable", "source_loader": "editor", "length_operator": "editor", "interpreter": "pairs",
         "files": "snapshots student_artifact", "transfer": "device_run", "replay": "recorded"}


class Runner:
    """Puts a fault into a copy of the tree and asks tests. self.good: test -> whether it passes without any fault."""

    def put(self, path, text):
        path.write_text(text)

    def noticed_by(self, path, before, tests, passes):
        """Whether one of them fails that passes with the text from before."""
        text = path.read_text()
        for test in tests:
            if not self.good.get(test, True) or passes(test):
                continue
            if test not in self.good:
                self.put(path, before)
                self.good[test] = passes(test) or passes(test)  # a busy machine may fail one
                self.put(path, text)
            if self.good[test]:
                return True
        return False


def ends_well(command, seconds, **options):
    """Whether a command ends with 0 within the time. Where it does not, what it has started ends with it."""
    process = subprocess.Popen([str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, **options)
    try:
        return process.wait(timeout=seconds) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def fails(test, gradus, **env):
    """Whether it fails with this program: twice, since a busy machine may fail one."""
    # A shell's background has SIGINT ignored, nohup SIGHUP, which tests of signals send.
    run = [sys.executable, "-c", "import os, signal, sys; [signal.signal(s, signal.SIG_DFL) for s in (signal.SIGINT, signal.SIGHUP)]; "
                                 "os.execv(sys.argv[1], sys.argv[1:])",
           sys.executable, ROOT / f"tests/e2e/{test}_test.py", "-f"]
    return not any(ends_well(run, SECONDS, cwd=ROOT, env=os.environ | {"GRADUS": str(gradus)} | env) for _ in range(2))
