"""The program around a script as a user meets it: command lines, runs of a grid, signals and closed streams, specs."""

import contextlib
import fcntl
import json
import os
import re
import resource
import select
import shlex
import shutil
import signal
import sqlite3
import struct
import subprocess
import termios
import time
import unittest

from host_case import GRADUS_PATH, HostCase


# A command line that is wrong -> the whole of what is said about it.
WRONG = {
    "rnu": "unknown command 'rnu'; did you mean 'run'?",
    "--sedd": "unknown option '--sedd'",
    "-x": "unknown option '-x'",
    "run x.lua --sedd 3": "run: unknown option '--sedd'; did you mean '--seed'?",
    "run x.lua --xyzzy": "run: unknown option '--xyzzy'; expected --set xyzzy=…",
    "run x.lua -z": "run: unknown option '-z'; expected gradus run [SCRIPT] [OPTIONS] (`gradus help run` lists them)",
    "run x.lua y.lua": "run: unexpected argument 'y.lua'; expected gradus run [SCRIPT] [OPTIONS] (`gradus help run` lists them)",
    "run x.lua --seed": "run: --seed: expected a value after it; got none",
    "run x.lua --seed 1 --seed 2": "run: --seed: expected it once; got it 2 times",
    "run x.lua --seed abc": "--seed: expected a whole number from 0 to 9007199254740992; got 'abc'",
    "run x.lua --seed 1,2,2": "--seed: expected each number once; got 2 twice",
    "run x.lua --seed 9007199254740993": "--seed: expected a whole number from 0 to 9007199254740992; got '9007199254740993'",
    "run x.lua --seed -1": "--seed: expected a whole number from 0 to 9007199254740992; got '-1'",
    "run x.lua --threads 0": "--threads: expected a whole number from 1 to 1024; got '0'",
    "run x.lua --threads 1025": "--threads: expected a whole number from 1 to 1024; got '1025'",
    "run x.lua --threads 2x": "--threads: expected a whole number from 1 to 1024; got '2x'",
    "run x.lua -j 0": "--jobs: expected a whole number from 1 to 1024; got '0'",
    "run x.lua -j 100000": "--jobs: expected a whole number from 1 to 1024; got '100000'",
    "run x.lua --set lr": "--set: expected key=value; got 'lr'",
    "run x.lua --set =3": "--set: expected key=value; got '=3'",
    "run x.lua --log x": "run: --log: expected one of epoch, evaluation; got 'x'",
    "run x.lua --sandbox-memory 3": "run: --sandbox-memory: has no effect alone; expected --sandbox beside it",
    "run x.lua --sandbox-read a": "run: --sandbox-read: has no effect alone; expected --sandbox beside it",
    "run x.lua --sandbox --sandbox-memory 0": "run: --sandbox-memory: expected 1 to 1048576; got 0",
    "run x.lua --sandbox --sandbox-memory 1048577": "run: --sandbox-memory: expected 1 to 1048576; got 1048577",
    "run x.lua --sandbox --sandbox-time 0": "run: --sandbox-time: expected 1 to 1073741824; got 0",
    "run x.lua =3": "run: unexpected argument '=3'; expected gradus run [SCRIPT] [OPTIONS] (`gradus help run` lists them)",
    "run x.lua =": "run: unexpected argument '='; expected gradus run [SCRIPT] [OPTIONS] (`gradus help run` lists them)",
    "run x.lua lr=3": "run: unexpected argument 'lr=3'; expected --set lr=3",
    "run x.lua --lr=3": "run: unknown option '--lr'; expected --set lr=3",
    "run x.lua --lr 3": "run: unknown option '--lr'; expected --set lr=…",
    "run": "no SCRIPT; expected a Lua file, or - for standard input",
    "sweep": "no SCRIPT; expected a Lua file, or - for standard input",
    "watch": "no SCRIPT; expected a Lua file, or - for standard input",
    "check": "no SCRIPT; expected a Lua file, or - for standard input",
    "test": "test: no FILE; expected Lua specs",
    "resume": "resume: no RUN; expected one (`gradus help resume` tells)",
    "fork": "fork: no RUN; expected one (`gradus help fork` tells)",
    "resume 1 2": "resume: unexpected argument '2'; expected gradus resume RUN [OPTIONS] (`gradus help resume` lists them)",
    "landscape": "landscape: no RUN; expected one (`gradus help landscape` tells)",
    "show": "show: no run; expected one (`gradus help show` tells)",
    "show 1 --curve a --code": "show: --curve: expected no --code beside it",
    "runs --limit x": "runs: --limit: expected a whole number of at least 0; got x",
    "runs --limit -1": "runs: --limit: expected a whole number of at least 0; got -1",
    "runs --best a --sort b": "runs: --sort: expected no --best beside it",
    "runs --sort": "runs: --sort: expected a value after it; got none",
    "runs --sort a --sort b": "runs: --sort: expected it once; got it 2 times",
    "sql": "sql: no query; expected one (`gradus help sql` tells)",
    "sql 'select 1' --rows 0": "sql: --rows: expected a whole number of at least 1; got 0",
    "compare --level 95": "compare: --level: expected 0.5 to 0.9999; got 95",
    "compare --level 0.4999": "compare: --level: expected 0.5 to 0.9999; got 0.4999",
    "compare --level 0.99991": "compare: --level: expected 0.5 to 0.9999; got 0.99991",
    "compare --level 0.6x": "compare: --level: expected 0.5 to 0.9999; got 0.6x",
    "compare --level x": "compare: --level: expected 0.5 to 0.9999; got x",
    "compare --margin 1": "compare: --margin: has no effect alone; expected --versus beside it",
    "compare --ci ''": "compare: --ci: expected a value after it; got an empty one",
    "diff 1": "diff: no B; expected one (`gradus help diff` tells)",
    "diff": "diff: no A; expected one (`gradus help diff` tells)",
    "diff 1 2 3": "diff: unexpected argument '3'; expected gradus diff A B [OPTIONS] (`gradus help diff` lists them)",
    "tag 1": "tag: no NAME; expected one (`gradus help tag` tells)",
    "tag": "tag: no RUN; expected one (`gradus help tag` tells)",
    "note 1": "note: no TEXT; expected one (`gradus help note` tells)",
    "better": "better: no METRIC; expected one (`gradus help better` tells)",
    "better a sideways": "better: WAY: expected one of higher, lower; got 'sideways'",
    "gc --cache-days -1": "gc: --cache-days: expected 0 to 1000000000; got -1",
    "gc --cache-days x": "gc: --cache-days: expected 0 to 1000000000; got x",
    "delete --yess": "delete: unknown option '--yess'; did you mean '--yes'?",
    "merge": "merge: no STORE; expected one (`gradus help merge` tells)",
    "attach": "attach: no run; expected one (`gradus help attach` tells)",
    "attach 1 --timeout 0": "attach: --timeout: expected 0.1 to 1000000; got 0",
    "attach 1 --timeout 1000001": "attach: --timeout: expected 0.1 to 1000000; got 1000001",
    "serve --port 0": "serve: --port: expected 1 to 65535; got 0",
    "serve --port 65536": "serve: --port: expected 1 to 65535; got 65536",
    "serve --prot 3": "serve: unknown option '--prot'; did you mean '--port'?",
    "plot": "plot: no METRIC; expected one (`gradus help plot` tells)",
    "plot a --kind cloud": "plot: --kind: expected one of curves, spread; got 'cloud'",
    "plot a --width 19": "plot: --width: expected 20 to 10000; got 19",
    "plot a --width 10001": "plot: --width: expected 20 to 10000; got 10001",
    "plot a --height 3": "plot: --height: expected 4 to 10000; got 3",
    "report --markdwon": "report: unknown option '--markdwon'; did you mean '--markdown'?",
    "export": "export: no format; expected one of tensorboard, mlflow, wandb, csv, json",
    "export xml": "export: unknown format 'xml'; expected one of tensorboard, mlflow, wandb, csv, json",
    "export tensorbord x": "export: unknown format 'tensorbord'; did you mean 'tensorboard'?",
    "export tensorboard": "export tensorboard: no --output; expected one (`gradus help export` tells)",
    "export csv --points 0": "export csv: --points: expected a whole number of at least 1; got 0",
    "export --store x.db": "export: no format before '--store'; expected one of tensorboard, mlflow, wandb, csv, json",
    "import": "import: no format; expected one of tensorboard, mlflow, trackio",
    "import xml x": "import: unknown format 'xml'; expected one of tensorboard, mlflow, trackio",
    "import mlflow": "import mlflow: no FILE; expected one (`gradus help import` tells)",
    "new": "new: no NAME; expected one (`gradus help new` tells)",
    "doctor x": "doctor: unexpected argument 'x'; expected gradus doctor [OPTIONS] (`gradus help doctor` lists them)",
    "version x": "version: unexpected argument 'x'; expected gradus version [OPTIONS] (`gradus help version` lists them)",
    "help --al": "help: unknown option '--al'; expected --all",
    "help nothingofthekind":
        "help: nothing is called 'nothingofthekind'; expected a function such as distill, a word such as alpha, or a command; `gradus help --all` prints everything",
    "help compar": "help: nothing is called 'compar'; did you mean 'compare'?",
    "--store x.db runs": "--store: an option of 'runs' before it; expected 'gradus runs --store …'; got 'gradus --store …'",
    "--json runs": "--json: an option of 'runs' before it; expected 'gradus runs --json …'; got 'gradus --json …'",
    "runs --store": "runs: --store: expected a value after it; got none",
    "runs --store=": "runs: --store: expected a value after it; got an empty one",
    "runs --where=": "runs: --where: expected a value after it; got an empty one",
    "export csv --metric -o": "export csv: --metric: expected a value after it; got the option '-o'",
    "runs --jsno": "runs: unknown option '--jsno'; did you mean '--json'?",
    "compare --threshold": "compare: --threshold: expected a value after it; got none",
    "repl x": "repl: unexpected argument 'x'; expected gradus repl [OPTIONS] (`gradus help repl` lists them)",
}

# A command -> the options that it takes.
LIBRARY = "--allow-ffi --stdlib"
OPTIONS = {
    "run": "--set --seed --name --device --threads --jobs --resume --snapshots --store --live --quiet --json --log --strict --sandbox --sandbox-read "
           f"--sandbox-memory --sandbox-time {LIBRARY}",
    "sweep": "--set --by --direction --search --trials --seeds --search-seed --halving --resume --jobs --name --device --threads --store --quiet --json "
             f"--strict {LIBRARY}",
    "resume": f"--set --device --threads --store --quiet --json --strict --snapshots --accept --schedules {LIBRARY}",
    "fork": f"--set --device --threads --store --quiet --json --strict --snapshots --accept --at --name {LIBRARY}",
    "landscape": f"--points --reach --directions --on --weights --at --accept --output --stages --path --store --threads --json {LIBRARY}",
    "watch": f"--set --seed --by --name --device --threads --store {LIBRARY}",
    "check": f"--set --seed --device --threads {LIBRARY}",
    "repl": f"--threads --store {LIBRARY}",
    "test": LIBRARY,
    "runs": "--store --json --full --where --children --archived --limit --columns --sort --best --reverse",
    "show": "--store --json --full --curve --code",
    "sql": "--store --json --full --rows",
    "compare": "--store --json --full --where --children --archived --by --metric --versus --margin --ci --level --at --auc --threshold --unfinished",
    "diff": "--store --json --full",
    "tag": "--store --json --remove",
    "note": "--store --json",
    "better": "--store --json --forget",
    "archive": "--store --json --where --undo",
    "delete": "--store --json --where --yes",
    "gc": "--store --json --yes --cache-days --keep --compact",
    "merge": "--store --json",
    "attach": "--store --json --set --release --stage --stop --follow --timeout",
    "serve": "--store --port --json",
    "export": "--output --store --where --children --metric --points",
    "import": "--store --name --json --partial",
    "plot": "--store --where --by --output --kind --together --x --y --width --height",
    "report": "--store --where --by --output --markdown --metric --title",
    "new": "--template",
    "doctor": "--store --json --full --salvage",
    "version": "",
    "help": "--all --stdlib",
}

# In place of what a command calls in the library: says what it was called with, and gives a code.
TELLS = """
return setmetatable({}, { __index = function(_, name) return function(options)
  local words = {}
  for key, value in pairs(options) do
    if type(value) ~= "table" and value then words[#words + 1] = key .. "=" .. tostring(value):gsub("/gradus%-check%-%w+/", "/FOLDER/") end
  end
  table.sort(words)
  for _, pair in ipairs(options.set) do words[#words + 1] = ("set(%s=%s)"):format(pair[1], pair[2]) end
  if type(options.seeds) == "table" then words[#words + 1] = ("seeds(%s)"):format(table.concat(options.seeds, ",")) end
  print(name .. ": " .. table.concat(words, " "))
  return name == "run" and 7 or 0
end end })
"""


class CommandLine(HostCase):
    def test_misspelt_words(self):
        self.assert_fails(self.gradus("rnu", "x.lua"), 64, "unknown command 'rnu'; did you mean 'run'?")
        self.assert_fails(self.gradus("run", "x.lua", "--sedd", "3"), 64, "did you mean '--seed'?")
        self.assert_fails(self.gradus("run", "x.lua", "--devise=cpu"), 64, "'--devise'; did you mean '--device'?")
        self.assert_fails(self.gradus("--stdlib", "std", "run", "x.lua"), 64, "--stdlib: an option of 'run' before it; expected 'gradus run --stdlib …'")
        self.assert_fails(self.gradus("help", "compar"), 64, "did you mean 'compare'?")
        self.assert_fails(self.gradus("export"), 64, "export: no format; expected one of tensorboard, mlflow, wandb, csv, json")
        self.assert_fails(self.gradus("plot"), 64, "plot: no METRIC; expected one (`gradus help plot` tells)")
        self.assert_fails(self.gradus("serve", "--port", "99999"), 64, "serve: --port: expected 1 to 65535; got 99999")
        self.assert_fails(self.gradus("runs", "--limit", "-1"), 64, "runs: --limit: expected a whole number of at least 0; got -1")
        self.assert_fails(self.gradus("sql", "select 1", "--rows", "0"), 64, "sql: --rows: expected a whole number of at least 1; got 0")
        self.assert_fails(self.gradus("compare", "--level", "95"), 64, "compare: --level: expected 0.5 to 0.9999; got 95")
        self.assert_fails(self.gradus("run", "x.lua", "--log", "x"), 64, "run: --log: expected one of epoch, evaluation; got 'x'")
        self.assert_fails(self.gradus("import", "xml", "x"), 64, "import: unknown format 'xml'; expected one of tensorboard, mlflow, trackio")
        self.assert_fails(self.gradus("export", "--store", "x.db"), 64, "export: no format before '--store'; expected one of tensorboard")

    def test_what_is_wrong_is_told_whole(self):
        self.write("x.lua", "")
        for line, told in WRONG.items():
            done = self.gradus(*shlex.split(line), stdin=b"")
            self.assertEqual((done.returncode, done.stderr.decode(), done.stdout), (64, f"gradus: {told}\n", b""), line)

    def test_each_command_has_its_options(self):
        for command, options in OPTIONS.items():
            text = self.gradus("help", command).stdout.decode()
            self.assertEqual(set(re.findall(r"(?m)^ +(?:-\w,)?(--[a-z-]+)", text)) - {"--help"}, set(options.split()), command)
        whole = self.gradus("help").stdout.decode()
        self.assertEqual(set(re.findall(r"(?m)^  ([a-z]+)  ", whole.split("Subcommands:")[1].split("More:")[0])), set(OPTIONS))

    def test_each_command_calls_the_library_with_its_options(self):
        names = ("experiment/grid", "experiment/sweep_command", "experiment/watch", "experiment/resume", "experiment/fork", "experiment/landscape_command",
                 "experiment/dry_run", "help/repl")
        for name in names:
            self.write(f"std/{name}.lua", TELLS)
        self.assert_runs(self.script("""
            for i = 1, 2 do require("gradus.store").open("s.db"):begin {
              name = "n", environment = { script = i == 1 and "x.lua" or "-", device = "cpu" } }:finish "finished" end"""))
        self.write("y.lua", "")
        same = "--stdlib std --store s.db"
        for line, code, told in (
                (f"run x.lua {same} -j 3 --seed 5,6 --set a=1=2 --set b= --name n --device cpu --threads 4 -q --strict --snapshots 30s --log epoch", 7,
                 "run: device=cpu jobs=3 log=epoch name=n quiet=true script=x.lua script_dir=. seed=5 snapshots=30s store=s.db strict=true threads=4 "
                 "set(a=1=2) set(b=) seeds(5,6)"),
                (f"run x.lua {same} --resume --json --threads 1024", 7, "run: json=true resume=true script=x.lua script_dir=. store=s.db threads=1024"),
                (f"run x.lua {same} --jobs auto --seed 9007199254740992", 7,
                 "run: jobs=auto script=x.lua script_dir=. seed=9.007199254741e+15 store=s.db seeds(9.007199254741e+15)"),
                (f"run x.lua {same} --jobs 1024 --seed 0", 7, "run: jobs=1024 script=x.lua script_dir=. seed=0 store=s.db seeds(0)"),
                (f"sweep x.lua {same} --by val/acc --direction max --search halton --trials 5 --seeds 3 --search-seed 4 --halving --resume -j 2 --set lr=1,2 "
                 "--name s --device cpu --threads 1 -q --json --strict", 7,
                 "run: by=val/acc device=cpu direction=max halving=true jobs=2 json=true name=s quiet=true script=x.lua script_dir=. search=halton search_seed=4 "
                 "seeds=3 store=s.db strict=true threads=1 trials=5 set(lr=1,2)"),
                (f"watch x.lua {same} --by acc --seed 3 --set a=1 --name w --device cpu --threads 2", 7,
                 "run: by=acc device=cpu name=w script=x.lua script_dir=. seed=3 store=s.db threads=2 set(a=1) seeds(3)"),
                (f"resume 1 {same} --snapshots none --accept data --schedules keep --threads 3 -q --json --strict", 7,
                 "run: accept=data device=cpu json=true own_script=x.lua quiet=true run=1 schedules=keep script=x.lua script_dir=. snapshots=none store=s.db strict=true threads=3"),
                (f"resume 1 {same} --set a=1 --strict", 7,
                 "prepare: at=end device=cpu own_script=x.lua run=1 script=x.lua script_dir=. store=s.db\n"
                 "run: at=end device=cpu own_script=x.lua run=1 script=x.lua script_dir=. store=s.db strict=true set(a=1)"),
                (f"fork 1 {same} --at 5 --set a=1 --name f --accept script --snapshots 7 --device cuda", 7,
                 "check_set: accept=script at=5 device=cuda name=f own_script=x.lua run=1 script=x.lua script_dir=. snapshots=7 store=s.db set(a=1)\n"
                 "prepare: accept=script at=5 device=cuda name=f own_script=x.lua run=1 script=x.lua script_dir=. snapshots=7 store=s.db\n"
                 "run: accept=script at=5 device=cuda name=f own_script=x.lua run=1 script=x.lua script_dir=. snapshots=7 store=s.db set(a=1)"),
                (f"fork 1 y.lua {same} --at x", 7, "prepare: at=x device=cpu own_script=x.lua run=1 script=x.lua script_dir=. store=s.db\n"
                                                   "run: at=x device=cpu own_script=x.lua run=1 script=y.lua script_dir=. store=s.db"),
                (f"landscape 1 {same} --points 5 --reach 2 --directions 1 --on val --weights last --accept script -o o.svg --threads 2 --json", 7,
                 "run: accept=script device=cpu directions=1 json=true on=val output=o.svg own_script=x.lua points=5 reach=2 run=1 script=x.lua script_dir=. store=s.db "
                 "threads=2 weights=last"),
                (f"landscape 1 {same} --stages --path --at 3", 7, "run: at=3 device=cpu own_script=x.lua path=yes run=1 script=x.lua script_dir=. stages=yes store=s.db"),
                ("check x.lua --stdlib std --set a=2 --seed 4 --device cpu --threads 2", 0,
                 f"check: device=cpu script=x.lua script_dir=. seed=4 store={self.dir}/FOLDER/runs.db threads=2 set(a=2) seeds(4)"),
                (f"repl {same} --threads 5", 7, "run: script= script_dir=. store=s.db threads=5")):
            done = self.gradus(*line.split(), stdin=b"", env={"TMPDIR": str(self.dir)})
            self.assertEqual((done.stdout + done.stderr).decode(), told + "\n", line)  # with --json what is printed goes to standard error
            self.assertEqual((done.returncode, "json=true" in told), (code, not done.stdout), line)
        self.assertEqual(list(self.dir.glob("gradus-check-*")), [])
        for line, code, told in ((f"resume 2 {same}", 64, "resume: run 2: its script was read from standard input; expected a file"),
                                 (f"fork 2 {same}", 64, "fork: run 2: its script was read from standard input; expected a file"),
                                 (f"fork 1 none.lua {same} --at 1", 66, "fork: no file 'none.lua'"),
                                 (f"landscape 3 {same}", 66, "no such run"),
                                 ("run - --stdlib std --live", 64, "--live: expected a file; got standard input"),
                                 ("run x.lua --stdlib std --live -j 2", 64, "--live: expected no --jobs\n"),
                                 ("run x.lua --stdlib std --live --resume", 64, "--live: expected no --resume\n"),
                                 ("run x.lua --stdlib std --live --set grid=3", 64,
                                  "--live: expected one run; the script and the command line make 3 (--set and --seed choose one)\n"),
                                 ("watch - --stdlib std", 64, "watch: expected a file; got standard input\n"),
                                 ("sweep x.lua --stdlib none", 66, "--stdlib: no folder 'none'\n")):
            self.assert_fails(self.gradus(*line.split(), stdin=b""), code, told)
        (self.dir / "x.lua").unlink()
        self.assert_fails(self.gradus(*f"resume 1 {same}".split()), 66, "gradus: resume: run 1: no file 'x.lua', its script; expected the folder that it was "
                          "started in (`gradus show --code` prints it)\n")

    def test_live_runs_one_run(self):
        self.assert_runs(self.script("print(require('gradus.host').options.live)", "--live"), "true\n")

    def test_the_script_is_not_blamed_for_the_command_line(self):
        self.write("x.lua", 'local g = require "gradus"\nreturn g.experiment { name = "x", params = { width = 3 }, run = function() end }')
        for wrong in ("widht=4", "width=a"):
            done = self.gradus("run", "x.lua", "--set", wrong)
            self.assertEqual((done.returncode, done.stderr.count(b"\n")), (64, 1), done.stderr)

    def test_wrong_values(self):
        self.write("x.lua", "")
        for args, told in ((["--seed", "abc"], "--seed: expected a whole number"), (["--seed", "-1"], "--seed"),
                           (["--seed", "1e3"], "--seed"), (["--seed", "99999999999999999999"], "--seed"),
                           (["--threads", "0"], "--threads"), (["--set", "lr"], "--set: expected key=value; got 'lr'"),
                           (["--set", "=3"], "--set: expected key=value"), (["--set"], "--set"),
                           (["y.lua"], "unexpected argument 'y.lua'"),
                           (["--name", "--strict"], "run: --name: expected a value after it; got the option '--strict'"),
                           (["-j", "-q"], "run: -j: expected a value after it; got the option '-q'"),
                           (["--name", "--seed=3"], "run: --name: expected a value after it; got the option '--seed=3'"),
                           (["--name", ""], "run: --name: expected a value after it; got an empty one"),
                           (["--name="], "run: --name: expected a value after it; got an empty one")):
            self.assert_fails(self.gradus("run", "x.lua", *args), 64, told)
        for args in (["--name=--strict"], ["--name", "-x"], ["--name", "run"]):
            self.assert_runs(self.gradus("run", "x.lua", *args))
        self.assert_fails(self.gradus("export", "csv", "--metric", "-o"), 64, "export csv: --metric: expected a value after it; got the option '-o'")
        self.assert_fails(self.gradus("compare", "--ci", ""), 64, "compare: --ci: expected a value after it; got an empty one")
        self.assert_fails(self.gradus("run"), 64, "no SCRIPT")
        self.assert_fails(self.gradus("test"), 64, "no FILE")
        self.assert_fails(self.gradus("run", "x.lua", "--stdlib", "nowhere"), 66, "--stdlib: no folder 'nowhere'")
        self.assert_fails(self.gradus("run", "x.lua", env={"GRADUS_GRACE": "soon"}), 64, "GRADUS_GRACE")
        for grace in ("soon", "-1", "1000001", "nan", "3 s", "1e7"):
            self.assertEqual(self.assert_fails(self.gradus("run", "x.lua", env={"GRADUS_GRACE": grace}), 64),
                             f"gradus: GRADUS_GRACE: expected seconds from 0 to 1000000; got '{grace}'\n")
        for grace in ("", "0", ".5", "1000000"):
            self.assert_runs(self.gradus("run", "x.lua", env={"GRADUS_GRACE": grace}))
        self.assertEqual(self.gradus().returncode, 64)

    def test_parameters_as_hydra_and_argparse_take_them(self):
        self.write("x.lua", "")
        for args, told in ((["temperature=3"], "run: unexpected argument 'temperature=3'; expected --set temperature=3"),
                           (["--temperature=3"], "run: unknown option '--temperature'; expected --set temperature=3"),
                           (["--lr", "1e-3"], "run: unknown option '--lr'; expected --set lr=…"),
                           (["--seeds", "3"], "run: unknown option '--seeds'; did you mean '--seed'?")):
            self.assert_fails(self.gradus("run", "x.lua", *args), 64, told)

    def test_usage_is_shown_where_nothing_is_near(self):
        for args, told in ((["export", "csv", "a.csv", "--runs", "56", "30"],
                            "export csv: unknown option '--runs'; expected gradus export csv [RUN…] [OPTIONS] (`gradus help export`"),
                           (["show", "1", "--xyzzy"], "show: unknown option '--xyzzy'; expected gradus show RUN [OPTIONS]"),
                           (["runs", "extra"], "runs: unexpected argument 'extra'; expected gradus runs [OPTIONS]"),
                           (["version", "a=3"], "version: unexpected argument 'a=3'; expected gradus version")):
            self.assert_fails(self.gradus(*args), 64, told)

    def test_options_reach_lua(self):
        self.assert_runs(self.script("local o = require('gradus.host').options\n"
                                     "print(o.seed, o.name, o.device, o.threads, o.store, o.quiet, o.strict, o.script, o.script_dir)\n"
                                     "for _, s in ipairs(o.set) do print(s[1], s[2]) end",
                                     "--seed", "7", "--name", "n", "--device", "cpu", "--threads", "2", "--quiet",
                                     "--set", "a=1=2", "--set", "b.c=", env={"GRADUS_STORE": "here.db"}),
                         "7\tn\tcpu\t2\there.db\ttrue\tfalse\tx.lua\t.", "a\t1=2", "b.c\t")

    def test_help_and_version(self):
        version = self.gradus("version").stdout.decode()
        self.assertRegex(version, r"^gradus \d+\.\d+\S* \(LuaJIT \S+, SQLite 3\.\d+\.\d+, LibTorch \d+\.\d+\S*\)\n$")
        self.assertEqual(self.gradus("--version").stdout.decode(), version)
        self.assertEqual(self.gradus().stderr, self.gradus("--help").stdout)
        self.assertEqual(self.gradus().stdout, b"")
        self.assertEqual(self.gradus("run", "-h").stdout, self.gradus("run", "--help").stdout)
        self.assertIn(b"--seed", self.gradus("run", "-h").stdout)
        for args in (["help"], ["--help"], ["help", "run"], ["run", "-h"], ["version"], ["--version"]):
            done = self.gradus(*args)
            self.assert_runs(done)
            self.assertTrue(done.stdout)
        for args in (["help", "help"], ["help", "--help"], ["help", "-h"]):
            self.assert_runs(self.gradus(*args), "[TOPIC]", "--all")

    SALVAGED = """\
s-salvaged.db: what is whole of s.db
  runs            2
  params          2
  tags            2
  keys            1
  metric_values   10
  summary_values  2
  progress        2
  events          2
  sources         %d
  run_sources     2
  artifacts       2
%sThe old file is as it was. Give the new one its name (and take the old one's -wal away) to go on with it: folders of runs are found beside either.
"""

    def test_doctor_says_what_it_saved_and_what_is_free(self):
        self.assert_runs(self.script("""
            local store, host = require("gradus.store").open "s.db", require "gradus.host"
            for i = 1, 2 do
              local run = store:begin { name = "n", seed = i, sources = host.sources(), params = { { key = "a", value = 1 } } }
              for step = 1, 5 do run:log(run:key "loss", step, step) end
              run:event(1, "note", "x") run:progress(5, 1, 2, 3, 4) run:artifact("a", "b", ("9"):rep(64), 1)
              store:tag(run.id, "mark", "1")
              run:finish "finished"
            end"""))

        def change(*statements):
            with contextlib.closing(sqlite3.connect(self.dir / "s.db", isolation_level=None)) as db:
                for statement in statements:
                    db.execute(statement)

        def salvaged(code=0):
            done = self.gradus("doctor", "--salvage", "--store", "s.db")
            self.assertEqual(done.returncode, code, done.stderr)
            return done.stdout.decode()
        self.assertEqual(salvaged(), self.SALVAGED % (1, ""))
        self.assert_fails(self.gradus("doctor", "--salvage", "--store", "s.db"), 64, "gradus: s-salvaged.db: is there already; expected a name for a new file\n")
        lost = ""
        for statements, more in ((("UPDATE sources SET text = 'other'", "DELETE FROM keys"), "lost: 1 names of metrics, whose values are kept: salvaged/1\n"
                                  "lost: 1 texts that are not what their hash says\n"),
                                 (("INSERT INTO metric_values SELECT 9, key_id, step, value FROM metric_values WHERE run_id = 1", "DELETE FROM runs WHERE id = 2"),
                                  "lost: 5 rows of runs that there never were\n")):
            change(*statements)
            for path in self.dir.glob("s-salvaged*"):
                path.unlink()
            lost = ("lost: 1 rows of runs, whose data is kept: salvaged-2\n" if lost else "") + lost + more
            self.assertEqual(salvaged(), self.SALVAGED % (0, lost))
        for path in self.dir.glob("s-salvaged*"):
            path.unlink()
        found = json.loads(self.gradus("doctor", "--salvage", "--json", "--store", "s.db").stdout)
        self.assertEqual((found["into"], found["rows"]["metric_values"], found["runs"], found["keys"], found["sources"], found["strays"]),
                         ("s-salvaged.db", 10, ["salvaged-2"], ["salvaged/1"], 1, 5))
        change("CREATE TABLE big AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000) SELECT hex(zeroblob(2000)) FROM n",
               "DROP TABLE big", "UPDATE runs SET archived = started", "PRAGMA wal_checkpoint(TRUNCATE)")
        self.assertRegex(self.gradus("doctor", "--store", "s.db").stdout.decode().splitlines()[-1],
                         r"^ok   store     s\.db: 4\.\d+ MiB, WAL 0 MiB, 3\.9\d+ MiB free \(`gradus gc --compact` gives them back\), 1 runs \(0 live, 0 dead, 1 archived\), "
                         r"10 values; quick check: ok$")
        self.assertEqual(self.gradus("doctor", "--store", "none.db").stdout.decode().splitlines()[-1], "ok   store     none.db: not there yet; the first run makes it")
        self.write("bad.db", "not a database, but long enough to be read as one" * 100)
        done = self.gradus("doctor", "--store", "bad.db")
        self.assertEqual((done.returncode, done.stdout.splitlines()[-1][:14], done.stderr), (65, b"BAD  store    ", b""))

    def test_doctor_knows_which_sqlite_can_lose_commits(self):
        self.write("other.c", "#include <stdlib.h>\nint sqlite3_libversion_number(void) { return atoi(getenv(\"OTHER_SQLITE\")); }")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", "other.so", "other.c"], cwd=self.dir, check=True)
        for version, repaired in ((3007000, False), (3044005, False), (3044006, True), (3044999, True), (3045000, False), (3050006, False), (3050007, True),
                                  (3050999, True), (3051000, False), (3051002, False), (3051003, True), (3052000, True)):
            done = self.gradus("doctor", "--json", "--store", "none.db", env={"LD_PRELOAD": str(self.dir / "other.so"), "OTHER_SQLITE": str(version)})
            told = json.loads(done.stdout)["sqlite"]["text"].split(": ", 1)[1].split(" (")[0]
            self.assertEqual(told, "has the repair of the WAL-reset bug" if repaired else "has the WAL-reset bug", version)

    def test_a_program_without_its_engine_says_so(self):
        shutil.copy(GRADUS_PATH, self.dir / "alone")
        done = subprocess.run([self.dir / "alone", "doctor", "--store", "none.db"], cwd=self.dir, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (70, ""))
        lines = done.stdout.splitlines()
        self.assertEqual([line[:14].rstrip() for line in lines], ["ok   gradus", "ok   luajit", "ok   sqlite", "BAD  libtorch", "ok   store"])
        self.assertEqual(lines[3], f"BAD  libtorch  no {self.dir}/libgradus_engine.so: scripts cannot run")
        done = subprocess.run([self.dir / "alone", "doctor", "--json", "--store", "none.db"], cwd=self.dir, capture_output=True, text=True, timeout=60)
        self.assertEqual(({name: one["ok"] for name, one in json.loads(done.stdout).items()}, done.returncode),
                         ({"gradus": True, "luajit": True, "sqlite": True, "libtorch": False, "store": True}, 70))
        self.write("x.lua", "require 'gradus'")
        done = subprocess.run([self.dir / "alone", "run", "x.lua"], cwd=self.dir, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 70)
        self.assertIn(f"gradus.engine cannot be loaded: {self.dir}/libgradus_engine.so: cannot open shared object file", done.stderr.splitlines()[0])
        self.write("x.lua", "print 'without tensors'")
        done = subprocess.run([self.dir / "alone", "run", "x.lua", "--stdlib", "std"], cwd=self.dir, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout), (0, "without tensors\n"))

    def test_doctor(self):
        done = self.gradus("doctor", "--json")
        self.assert_runs(done)
        self.assertIn("WAL-reset", json.loads(done.stdout)["sqlite"]["text"])
        self.write("bad.db", "not a database, but long enough to be read as one" * 100)
        self.assert_fails(self.gradus("doctor", "--store", "bad.db"), 65)


class Runs(HostCase):
    def test_each_run_of_a_grid_is_alone(self):
        self.assert_runs(self.script("assert(rawget(_G, \"LEAK\") == nil)\nLEAK = 1\nprint('run', INDEX)", "--set", "grid=3"),
                         "run\t1\nrun\t2\nrun\t3")

    def test_edit_between_runs_changes_nothing(self):
        text = "local m = require 'm'\nfor _, n in ipairs { 'x.lua', 'm.lua' } do io.open(n, 'w'):write('error(1)') end\nprint(m)"
        self.write("m.lua", "return 'old'")
        self.assert_runs(self.script(text, "--set", "grid=2"), "old\nold")

    def test_a_failing_run_does_not_stop_the_others(self):
        text = "if INDEX == 2 then require('gradus.host').fail('second', 3) end\nprint('done', INDEX)"
        done = self.script(text, "--set", "grid=3", "--json")
        self.assert_fails(done, 3, "x.lua:1: second", "done\t1", "done\t3")
        results = json.loads(done.stdout)
        self.assertEqual([r["run"] for r in results], [1, 2, 3])
        self.assertEqual(results[1], {"run": 2, "error": "x.lua:1: second", "code": 3})
        self.assertEqual(done.stderr.decode().split("summary")[0], "done\t1\n2/3: failed\nx.lua:1: second\n"
                         f"  1 | {text.splitlines()[0]}\ndone\t3\n")
        alone = self.script(text.replace("INDEX == 2", "true"), "--json")
        self.assertEqual(alone.stderr.decode(), f"x.lua:1: second\n  1 | {text.splitlines()[0].replace('INDEX == 2', 'true')}\nsummary\n")

    def test_no_runs_are_no_failure(self):
        done = self.script("error 'never'", "--set", "grid=0")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))

    def test_a_grid_that_is_stopped_says_how_far_it_came(self):
        text = ("local host = require 'gradus.host'\nif INDEX == 2 then os.execute 'kill -TERM $PPID' while not host.stopping() do end end\n"
                "print('was', INDEX)")
        for more, said in (([], b"run 2 of 3 was the last; the same command with --resume does the rest\n"), (["-q"], b"")):
            done = self.script(text, "--set", "grid=3", *more)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (143, b"was\t1\nwas\t2\n", said))
        done = self.script(text.replace("INDEX == 2", "true"))
        self.assertEqual((done.returncode, done.stdout, done.stderr), (143, b"was\t1\n", b""))

    def test_what_a_run_printed_is_out_when_the_next_begins(self):
        self.write("x.lua", "print('run', INDEX)\nlocal host = require 'gradus.host'\nwhile INDEX == 2 and not host.exists 'go' do os.execute 'sleep .01' end")
        process = subprocess.Popen([GRADUS_PATH, "run", "x.lua", "--stdlib", "std", "--set", "grid=2"], cwd=self.dir, stdout=subprocess.PIPE)
        self.addCleanup(lambda: (process.poll() is None and process.kill(), process.communicate()))
        self.assertTrue(select.select([process.stdout], [], [], 20)[0])
        self.assertEqual(os.read(process.stdout.fileno(), 100), b"run\t1\n")
        self.write("go", "")
        self.assertEqual(process.wait(20), 0)

    def test_each_run_has_a_log_of_its_own(self):
        self.assert_runs(self.script("local host = require 'gradus.host'\nhost.log('info', 'of nobody')\nhost.open_log('log' .. INDEX)\n"
                                     "host.log('info', 'of ' .. INDEX)", "--set", "grid=2"))
        self.assertEqual([(self.dir / f"log{i}").read_text()[24:] for i in (1, 2)], ["info of 1\n", "info of 2\n"])

    def test_what_a_script_finds_of_its_surroundings(self):
        text = "print(os.getenv 'GOMP_SPINCOUNT', require('gradus.host').columns())"
        for env, told in (({"COLUMNS": "123"}, "1000\t123\t24\n"), ({"COLUMNS": "0", "GOMP_SPINCOUNT": "7"}, "7\t80\t24\n"),
                          ({"COLUMNS": "wide"}, "1000\t80\t24\n")):
            self.assertEqual(self.script(text, env=env).stdout.decode(), told)
        leader, terminal = os.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 33, 77, 0, 0))
        for streams in ({"stdout": terminal}, {"stderr": terminal, "stdout": subprocess.DEVNULL}):
            self.write("x.lua", "local host = require 'gradus.host'\nio.stderr:write(('%d %d %s %s'):format(({ host.columns() })[1], ({ host.columns() })[2], "
                                "tostring(host.isatty()), tostring(host.isatty(2))))")
            done = subprocess.run([GRADUS_PATH, "run", "x.lua", "--stdlib", "std"], cwd=self.dir, timeout=60, stdin=subprocess.DEVNULL,
                                  env=os.environ | {"COLUMNS": "50"}, **{"stderr": subprocess.PIPE, **streams})
            said = done.stderr or os.read(leader, 1000)
            self.assertEqual(said.decode(), "77 33 false true" if done.stderr is None else "77 33 true false")
        os.close(terminal)
        os.close(leader)

    def test_what_cannot_be_written_is_told_to_the_script(self):
        self.write("x.lua", "local host = require 'gradus.host'\nio.write 'a' host.write(1, 'b') io.write 'c'\n"
                            "io.stderr:write(tostring((host.write(2, 'd'))), '\\n')")
        done = self.gradus("run", "x.lua", "--stdlib", "std")
        self.assertEqual((done.stdout, done.stderr), (b"abc", b"dtrue\n"))
        with open("/dev/full", "w") as full:
            self.write("x.lua", "local ok, why = require('gradus.host').write(1, 'x') io.stderr:write(tostring(ok), ' ', why)")
            done = subprocess.run([GRADUS_PATH, "run", "x.lua", "--stdlib", "std"], cwd=self.dir, stdout=full, stderr=subprocess.PIPE)
            self.assertEqual((done.stderr, done.returncode), (b"nil No space left on device", 0))
            done = subprocess.run([GRADUS_PATH, "version"], cwd=self.dir, stdout=full, stderr=subprocess.PIPE)
            self.assertEqual((done.stderr, done.returncode), (b"gradus: standard output could not be written\n", 74))

    def test_runs_that_fail_alike_say_it_once(self):
        done = self.script("require('gradus.host').fail(INDEX == 3 and 'another' or 'wrong', 65)", "--set", "grid=3", "--json")
        said = self.assert_fails(done, 65, "wrong", "another")
        self.assertEqual(said.count("x.lua:1: wrong"), 1)
        self.assertEqual([r["error"] for r in json.loads(done.stdout)], ["x.lua:1: wrong"] * 2 + ["x.lua:1: another"])

    def test_an_error_is_one_line_whatever_it_repeats(self):
        said = self.assert_fails(self.script("require('gradus.host').fail('no \\'a\\nb\\tc\\27[1m\\'')"), 65)
        self.assertEqual(said.splitlines()[0], "x.lua:1: no 'a\\nb\\tc\\x1b[1m'")

    def test_memory_that_is_not_there_fails_the_run(self):
        self.write("x.lua", 'local g = require "gradus"\nreturn g.experiment { name = "x", run = function(run)\n'
                            '  run:log { before = 1 }\n  g.zeros { 1000, 1000, 1000, 4 }\nend }')
        done = self.gradus("run", "x.lua", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30)))
        self.assert_fails(done, 65, "x.lua:4: zeros: out of memory: 16000000000 bytes were asked for")
        self.assertIn(b"failed", self.gradus("runs").stdout)

    def test_usage_error_stops_all(self):
        done = self.script("require('gradus.host').fail('wrong', 64)", "--set", "grid=3")
        self.assertEqual(self.assert_fails(done, 64).count("wrong"), 1)  # once, not for each run of the grid

    def test_json_keeps_standard_output_clean(self):
        done = self.script("print('noise', nil, 3) io.write('more noise\\n') print() return 1", "--json")
        self.assertEqual(done.stderr, b"noise\tnil\t3\nmore noise\n\nsummary\n")
        self.assertEqual(json.loads(done.stdout), [{"result": 1, "run": 1}])
        self.assertIn(b"noise", done.stderr)

    def test_os_exit_unwinds(self):
        for call, code in (("os.exit(7)", 7), ("os.exit()", 0), ("os.exit(true)", 0), ("os.exit(false)", 1), ("os.exit(263)", 7), ("os.exit(-1)", 255)):
            done = self.script("print('before')\nlocal f = coroutine.wrap(function() %s end)\nf()\nprint('after')" % call,
                               "--set", "grid=2")
            self.assertEqual((done.returncode, done.stdout, done.stderr), (code, b"before\n", b""))

    def test_store_from_lua(self):
        done = self.script("""
            local store = require("gradus.store").open("s.db")
            local run = store:begin { name = "n", seed = 3, config_hash = "c", params = { { key = "lr", value = 0.5 },
              { key = "width", value = 12 }, { key = "on", value = true }, { key = "kind", value = "a" } },
              sources = require("gradus.host").sources(), environment = { threads = 1, device = "cpu", git = nil } }
            local loss = run:key "train/loss"
            for step = 1, 1000 do run:log(loss, step, 1 / step) end
            run:progress(1000, 2.5, 64000, 1e9, 0.5)
            run:event(10, "stage", "easy", '{"a":1}')
            run:flush()
            local rows, columns = store:query("SELECT count(*) AS n, min(value) AS low FROM metrics WHERE run_id = ?1", run.id)
            assert(rows[1].n == 1000 and rows[1].low == 0.001 and columns[1] == "n", rows[1].n)
            assert(#run.uid == 32 and run.folder:find(run.uid, 1, true))
            local ok, err = pcall(run.key, run, "bad key")
            assert(not ok and err:find("^x.lua:%d+: "), err)
            ok, err = pcall(store.query, store, "DELETE FROM runs")
            assert(not ok, "a query may not write")
            run:finish("finished")
            ok, err = pcall(run.log, run, loss, 1, 1)
            assert(not ok, "logging after the end")
            print("stored", run.id)""")
        self.assert_runs(done, "stored\t1")
        base = sqlite3.connect(self.dir / "s.db")
        self.assertEqual(base.execute("SELECT name, status, seed FROM runs").fetchall(), [("n", "finished", 3)])
        self.assertEqual(base.execute("SELECT key, value, type FROM params ORDER BY key").fetchall()[1:3],
                         [("lr", 0.5, "number"), ("on", 1, "boolean")])
        base.close()

    def test_a_run_left_open_by_an_error_is_not_running(self):
        done = self.script("local run = require('gradus.store').open('s.db'):begin { name = 'n' }\n"
                           "run:log(run:key('a'), 1, 2)\nerror('stop')")
        self.assert_fails(done, 65, "stop")
        base = sqlite3.connect(self.dir / "s.db")
        self.assertEqual(base.execute("SELECT status FROM runs").fetchall(), [("interrupted",)])
        self.assertEqual(base.execute("SELECT count(*) FROM metrics").fetchone(), (1,))
        base.close()

    def test_git(self):
        def git(*args):
            subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *args], cwd=self.dir, check=True,
                           capture_output=True)
        text = "local g = require('gradus.host').git()\nprint(g and #g.commit, g and g.dirty, g and g.diff:find('+changed', 1, true) ~= nil)"
        done = self.script(text)
        self.assertEqual((done.stdout, done.stderr), (b"nil\tnil\tnil\n", b""))
        git("init", "-q")
        self.assert_runs(self.script("local host = require 'gradus.host'\nlocal function files() return #host.list_folder '/proc/self/fd' end\n"
                                     "local before = files() host.git() print(files() - before)"), "0\n")
        self.assert_runs(self.script(text), "0\ttrue\tfalse")  # nothing is committed yet
        self.assert_runs(self.script(text, env={"PATH": "/nowhere"}), "nil\tnil\tnil")
        self.write("f.txt", "one\n")
        git("add", "-A")
        git("commit", "-q", "-m", "m")
        self.assert_runs(self.script(text), "40\tfalse\tfalse")
        self.write("f.txt", "changed\n")
        self.assert_runs(self.script(text), "40\ttrue\ttrue")
        self.write("f.txt", "changed\n" * 400000)
        self.assert_runs(self.script("local g = require('gradus.host').git()\nprint(#g.diff < 1.1e6, g.diff:sub(-60))"),
                         "true", "cut: the difference is longer than 1 MiB")


class Signals(HostCase):
    def start(self, text, **env):
        self.write("x.lua", text)
        process = subprocess.Popen([GRADUS_PATH, "run", "x.lua", "--stdlib", "std"], cwd=self.dir, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env={**os.environ, **env})
        self.addCleanup(lambda: (process.poll() is None and process.kill(), process.communicate()))
        self.assertEqual(process.stdout.readline(), b"ready\n")
        return process

    ENDLESS = "print('ready') io.flush()\nlocal i = 0\nwhile true do i = i + 1 end"
    POLITE = ("local host = require 'gradus.host'\nprint('ready') io.flush()\n"
              "while not host.stopping() do end\nprint('stopped', host.stopping())")

    def test_endless_loop(self):
        for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            process = self.start(self.ENDLESS.replace("io.flush()", "io.flush() print 'not flushed'"), GRADUS_GRACE="1")
            begun = time.monotonic()
            process.send_signal(number)
            self.assertEqual(process.wait(20), code)
            self.assertTrue(0.9 < time.monotonic() - begun < 5.5)
            self.assertEqual(process.stdout.read(), b"not flushed\n")
            self.assertEqual(process.stderr.read(), b"gradus: the script did not stop within its grace period (GRADUS_GRACE); ended\n")

    def test_a_second_sigterm_is_no_second_ctrl_c(self):
        process = self.start(self.ENDLESS, GRADUS_GRACE="1.5")
        begun = time.monotonic()
        for _ in range(3):
            process.send_signal(signal.SIGTERM)
            time.sleep(.2)
        self.assertEqual(process.wait(20), 143)
        self.assertGreater(time.monotonic() - begun, 1.4)
        self.assertNotIn(b"at once", process.stderr.read())

    def test_at_a_terminal_it_is_told_how_to_stop_at_once(self):
        leader, terminal = os.openpty()
        process = subprocess.Popen([GRADUS_PATH, "run", self.write("x.lua", self.POLITE.replace("while not", "local t = os.time() while os.time() < t + 20 and not")),
                                    "--stdlib", "std"], cwd=self.dir, stdout=subprocess.PIPE, stderr=terminal)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(30), 130)
        self.assertEqual(process.stdout.read(), b"stopped\tSIGINT\n")
        process.stdout.close()
        os.close(terminal)
        self.assertEqual(os.read(leader, 1000), b"\r\ngradus: stopping after this step; Ctrl-C again stops at once\r\n")
        os.close(leader)

    def test_second_sigint_ends_at_once(self):
        process = self.start(self.ENDLESS)
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(20), 130)
        self.assertLess(time.monotonic() - begun, 5)
        self.assertEqual(process.stderr.read(), b"gradus: stopped at once\n")

    def test_pathological_pattern(self):
        process = self.start("print('ready') io.flush()\nlocal s = ('a'):rep(3000)\ns:find('.-.-.-.-.-.-b')", GRADUS_GRACE="0.3")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(20), 143)

    def test_a_loop_that_looks_stops_by_itself(self):
        for number, code, name in ((signal.SIGTERM, 143, b"SIGTERM"), (signal.SIGINT, 130, b"SIGINT")):
            process = self.start(self.POLITE)
            process.send_signal(number)
            self.assertEqual(process.wait(20), code)
            self.assertEqual((process.stdout.read(), process.stderr.read()), (b"stopped\t" + name + b"\n", b""))

    def test_a_signal_that_comes_while_a_program_is_waited_for(self):
        process = self.start("local host = require 'gradus.host'\nprint('ready') io.flush()\n"
                             "print('waited', os.execute 'sleep 1; exit 3', host.stopping(), os.execute() ~= 0)")
        time.sleep(.3)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(20), 130)
        self.assertIn(b"waited\t768\tSIGINT\ttrue", process.stdout.read())

    def test_logged_values_survive_the_watchdog(self):
        process = self.start("local run = require('gradus.store').open('s.db'):begin { name = 'n' }\n"
                             "local k = run:key 'a'\nfor i = 1, 500 do run:log(k, i, i) end\n" + self.ENDLESS, GRADUS_GRACE="0.2")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(20), 143)
        done = self.gradus("sql", "--store", "s.db", "--json",
                           "SELECT status, (SELECT count(*) FROM metrics) AS n FROM runs")
        self.assert_runs(done)
        self.assertEqual(json.loads(done.stdout), [{"status": "interrupted", "n": 500}])

    LOGGING = ("local run = require('gradus.store').open('s.db'):begin { name = 'n' }\nlocal k = run:key 'a'\n"
               "local function log(n) for i = 1, n do run:log(k, i, i) end end\n")

    def stored(self):
        """Status, error and number of values as they lie in the file: no command of ours has looked after the dead run."""
        with contextlib.closing(sqlite3.connect(f"file:{self.dir}/s.db?mode=ro", uri=True)) as db:
            return db.execute("SELECT status, error, (SELECT count(*) FROM metric_values) FROM runs").fetchall()

    def test_the_watchdog_leaves_a_run_that_is_interrupted_and_whole(self):
        for numbers, grace in (([signal.SIGTERM], "0.2"), ([signal.SIGINT, signal.SIGINT], "20"), ([signal.SIGXCPU], "0.2")):
            for flood in (False, True):
                process = self.start(self.LOGGING + "log(50000)\n" + ("print('ready') io.flush() log(1e15)" if flood else self.ENDLESS),
                                     GRADUS_GRACE=grace)
                for number in numbers:
                    process.send_signal(number)
                    time.sleep(.1)
                self.assertEqual(process.wait(20), 128 + numbers[0])
                if flood:  # there may be more than can be stored in the time that is left: the next command goes on with it
                    self.assert_runs(self.gradus("runs", "--store", "s.db"), "interrupted")
                [(status, error, count)] = self.stored()
                self.assertEqual(status, "interrupted")
                if not flood:
                    self.assertEqual(error, "the process was told to end, and the script did not stop")
                self.assertGreaterEqual(count, 50000)
                self.assertEqual(list(self.dir.glob("*/alive")) + list(self.dir.glob("*/spool*")), [])
                os.remove(self.dir / "s.db")
                for folder in self.dir.glob("?" * 32):
                    shutil.rmtree(folder)

    def test_a_store_that_another_keeps_locked_does_not_keep_the_process(self):
        process = self.start(self.LOGGING + "log(500)\n" + self.ENDLESS, GRADUS_GRACE="0.2")
        with open(self.dir / "s.db.lock", "r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(20), 143)
            self.assertLess(time.monotonic() - begun, 10)
        self.assertIn(b'"interrupted"', self.gradus("sql", "--store", "s.db", "--json", "SELECT status FROM runs").stdout)
        self.assertEqual(self.stored()[0][::2], ("interrupted", 500))

    def test_a_wish_to_save_does_not_end_a_run(self):
        text = self.LOGGING + ("local host = require 'gradus.host'\nlog(500) print('ready') io.flush()\n"
                               "while host.saves_wanted() < 2 and not host.stopping() do end\n"
                               "run:finish 'finished' print('went on', host.saves_wanted(), host.stopping())")
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            process = self.start(text)
            process.send_signal(number)
            time.sleep(.3)
            self.assertEqual((process.poll(), self.stored()[-1][0], self.stored()[-1][2] % 500), (None, "running", 0))
            process.send_signal(number)
            self.assertEqual(process.wait(20), 0)
            self.assertIn(b"went on\t2\tnil", process.stdout.read())

    def test_a_lost_terminal_does_not_end_a_run(self):
        leader, terminal = os.openpty()
        process = subprocess.Popen([GRADUS_PATH, "run", self.write("x.lua", "local host = require 'gradus.host'\nprint('ready')\n"
                                    "while not host.exists 'go' do end\nprint 'line' io.stderr:write 'x' io.open('done', 'w'):close()"),
                                    "--stdlib", "std"], cwd=self.dir, stdin=terminal, stdout=terminal, stderr=terminal,
                                   start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(terminal)
        self.assertIn(b"ready", os.read(leader, 100))
        os.close(leader)  # the session's leader is sent SIGHUP
        self.write("go", "")
        self.assertEqual(process.wait(20), 0)
        self.assertTrue((self.dir / "done").exists())

    def test_a_file_at_its_limit_is_an_error(self):
        self.write("x.lua", "local f = io.open('big', 'w') f:setvbuf 'no'\nprint(f:write(('x'):rep(20000)))")
        done = subprocess.run(["bash", "-c", f"ulimit -f 10; exec '{GRADUS_PATH}' run x.lua --stdlib std"], cwd=self.dir,
                              capture_output=True, timeout=60)
        self.assert_runs(done, "File too large")

    def test_programs_that_a_script_starts_are_ended_as_ever(self):
        self.write("x.lua", "print(os.execute 'kill -TERM $$') print(os.execute 'kill -HUP $$') print(os.execute 'yes | head -1')")
        done = self.gradus("run", "x.lua", "--stdlib", "std")
        self.assertEqual(sorted(done.stdout.split()), [b"0", b"1", b"15", b"y"])
        self.assertNotIn(b"roken pipe", done.stderr)

    def test_what_was_ignored_stays_ignored(self):
        process = self.start("print('ready') io.flush()\nlocal t = os.time() while os.time() < t + 2 do end print 'done'")
        process.kill()
        done = subprocess.run(["bash", "-c", f"trap '' INT; '{GRADUS_PATH}' run x.lua --stdlib std & sleep .5; kill -INT $!; wait $!"],
                              cwd=self.dir, capture_output=True, timeout=60)
        self.assert_runs(done, "done")

    def test_closed_streams_do_not_end_a_run(self):
        text = "for i = 1, 20000 do print('line', i) end\nrequire('gradus.host').write(1, 'x')\nio.open('done', 'w'):close()"
        self.write("x.lua", text)
        for shell in ("| head -1", ">&-", ">&- 2>&-", "< /dev/null > /dev/null 2>&1"):
            (self.dir / "done").unlink(missing_ok=True)
            subprocess.run(["bash", "-c", "set -o pipefail; '%s' run x.lua --stdlib std %s" % (GRADUS_PATH, shell)],
                           cwd=self.dir, capture_output=True, timeout=60, check=True)
            self.assertTrue((self.dir / "done").exists(), shell)

    def test_full_disk_on_standard_output(self):
        self.write("x.lua", "print('x')")
        with open("/dev/full", "w") as full:
            done = subprocess.run([GRADUS_PATH, "run", "x.lua", "--stdlib", "std"], cwd=self.dir, stdout=full,
                                  stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 74, done.stderr)


class Specs(HostCase):
    def spec(self, text):
        self.write("x_spec.lua", text)
        return self.gradus("test", "x_spec.lua", "--stdlib", "std")

    def test_counts(self):
        done = self.spec("describe('a', function()\n it('b', function() expect(1):equals(1) end)\n"
                         " it('c', function() expect({1, {x=2}}):equals({1, {x=3}}) end) end)")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"x_spec.lua: 1 passed, 1 failed\n", done.stdout)
        self.assertIn(b"FAILED a c\n  x_spec.lua:3: expected { [1] = 1, [2] = { x = 3 } }", done.stdout)

    def test_a_program_that_a_spec_started_and_that_left_does_not_end_it(self):
        done = self.spec("describe('a', function() it('b', function() local p = io.popen('exec 0<&-; echo > gone; sleep 1', 'w')\n"
                         "while not io.open 'gone' do end\nfor _ = 1, 3 do p:write 'x' p:flush() end p:close() end) end)")
        self.assert_runs(done, "x_spec.lua: 1 passed, 0 failed")

    def test_broken_and_empty_specs_fail(self):
        for text in ("", "x x", "error('top')", "describe('a', function() error('in') end)", "describe('a', function() end)",
                     "os.exit(0)", "os.exit(3)"):
            self.assertEqual(self.spec(text).returncode, 1, text)

    def test_several_files(self):
        self.write("y_spec.lua", "assert(rawget(_G, 'LEAK') == nil) it('y', function() end)")
        self.write("x_spec.lua", "LEAK = 1 it('x', function() expect(0.1 + 0.2):near(0.3) end)")
        self.assert_runs(self.gradus("test", "x_spec.lua", "y_spec.lua", "--stdlib", "std"), "x_spec.lua: 1 passed, 0 failed",
                         "y_spec.lua: 1 passed, 0 failed")

    def test_checks_fail(self):
        for bad in ("expect(1):equals(2)", "expect(1):near(1.1, 0.05)", "expect(0/0):near(1)", "expect({1}):near({1, 2})",
                    "expect(function() end):fails_with('z')", "expect(function() error('y') end):fails_with('z')",
                    "expect(nil):is_true()", "expect(1):is_false()", "expect('a'):matches('b')", "expect(1):differs_from(1)"):
            self.assertEqual(self.spec("it('x', function() %s end)" % bad).returncode, 1, bad)


if __name__ == "__main__":
    unittest.main()
