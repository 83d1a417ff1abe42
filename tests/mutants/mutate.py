"""Deliberate faults, to see whether the tests notice: chosen by a seed, put into our sources one at a time, and the area's tests run.

  python3 tests/mutants/mutate.py --seed 1 --count 60                  the standard library; no build
  python3 tests/mutants/mutate.py --seed 1 --count 20 --tree results   C++: rebuilds in build/ for each (also: runtime)

Prints each fault that no test noticed as a difference; ends with 1 when fewer than 95 in 100 were noticed. --only ROOM, --show (the
faults, without running anything), --known FILE (survivors that change nothing that can be seen, one "path:line: text" a line).
"""

import argparse
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
GRADUS = pathlib.Path(os.environ.get("GRADUS", ROOT / "build/gradus")).resolve()
SECONDS = 300  # a fault that makes a test go on for ever is noticed

# What a careless change would make of a piece of code: (pattern, what it becomes).
COMMON = [(r"(?<![<>=~!-])<(?![<=])", "<="), (r"(?<![<>=~!-])>(?![>=])", ">="), (r"<=(?!>)", "<"), (r">=", ">"), (r" \+ ", " - "), (r" - ", " + "), (r" \* ", " / "),
          (r" / ", " * "), (r"(?<![\w.\"'])0(?![\w.])", "1"), (r"(?<![\w.\"'])1(?![\w.])", "2"), (r"(?<![\w.\"'])(\d*\.\d+|[2-9]\d*)(?![\w.])", lambda m: m[0] + " * 2"),
          (r"\btrue\b", "false"), (r"\bfalse\b", "true")]
LUA = COMMON + [(r"==", "~="), (r"~=", "=="), (r" and ", " or "), (r" or ", " and "), (r"\bnot ", ""), (r"math\.max", "math.min"), (r"math\.min", "math.max"),
                (r"math\.ceil", "math.floor"), (r"^(\s+)[\w.:\[\]]+\(.*\)$", r"\1do end"), (r"^(\s+)[\w.\[\]]+(, [\w.\[\]]+)* = [^{(]*$", r"\1do end"),
                (r"^(\s+)if (.*) then return(.*) end$", r"\1do end"), (r"^(\s+)if (.*) then (?!return)(.*) end$", r"\1\3")]
CPP = COMMON + [(r"==", "!="), (r"!=", "=="), (r" && ", " || "), (r" \|\| ", " && "), (r"std::max", "std::min"), (r"std::min", "std::max"), (r"!(?=[\w(])", ""),
                (r"^(\s+)[\w.:>\[\]-]+\(.*\);$", r"\1;"), (r"^(\s+)(?!const|auto|static)[\w.\[\]>-]+ [+-]?= .*;$", r"\1;"), (r"^(\s+)if \((.*)\) (return|continue).*;$", r"\1;")]


def code_of(line, comment):
    """The line up to its comment, with the insides of texts blanked: places are those of the line."""
    line = re.sub(r'"(\\.|[^"\\])*"' + ("|'(\\\\.|[^'\\\\])*'" if comment == "--" else ""), lambda m: m[0][0] + "_" * (len(m[0]) - 2) + m[0][-1], line)
    return line.split(comment)[0]


def places(path, rules, comment):
    """Every fault that the rules know in a file: (line number, the line with it)."""
    found, inside = [], False
    for number, line in enumerate(path.read_text().split("\n")):
        ended = re.search(r"\]\]|\)\w*\"", line)
        inside = bool(re.search(r"\[\[|R\"\w*\(", line)) or (inside and not ended)  # texts of many lines
        code = code_of(line, comment)
        if inside or re.match(r"\s*(--|//|#|constexpr|local \w+ = require|host\.fail|error\(|throw|static_assert|namespace|template)", line) or "host.fail" in code:
            continue  # the words of an error are no behaviour
        for pattern, into in rules:
            for match in re.finditer(pattern, code):
                changed = line[:match.start()] + re.sub(pattern, into, line[match.start():match.end()], count=1) + line[match.end():]
                if changed != line and not ("<" in pattern + str(into) and re.search(r"<\w[\w:, ]*>", code)):  # no templates
                    found.append((number, changed))
    return found


def choose(args, root):
    lua = args.tree == "stdlib"
    files = sorted((root / args.tree).rglob("*.lua" if lua else "*.cpp"))
    files = [f for f in files if (not args.only or args.only in f.parts) and "help" not in f.parts and "vectors" not in f.parts]
    all_places = [(path, *place) for path in files for place in places(path, LUA if lua else CPP, "--" if lua else "//")]
    return random.Random(args.seed).sample(all_places, min(args.count, len(all_places)))


def specs_of(root, path):
    """The room's specs, the file's own first; what all rooms stand on is tested in some of them, too."""
    rooms = [path.parent.name] + (["data", "nn", "optim"] if path.parent.name == "base" else [])
    specs = [spec for room in rooms for spec in (root / "tests/stdlib" / room).glob("*_spec.lua")]
    specs.sort(key=lambda s: (path.stem not in s.stem, s.parent.name != rooms[0], s.stat().st_size))
    slow = {"device_run_spec", "healthy_spec"}  # wants the simulated device; twenty whole runs
    return [s for s in specs if s.stem not in slow or path.stem in s.stem]


class Lua:
    """Works on a copy of the sources and the specs: the tree may be edited meanwhile."""

    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp())
        for part in ("stdlib", "tests/stdlib", "scripts"):
            shutil.copytree(ROOT / part, self.root / part)
        self.good = {}

    def passes(self, spec):
        try:
            return subprocess.run([GRADUS, "test", "--stdlib", self.root / "stdlib", spec], cwd=self.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  timeout=SECONDS).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def noticed(self, path, text):
        before = path.read_text()
        path.write_text(text)
        compiles = f"assert(loadstring(io.open('{path}'):read '*a'))"
        try:
            if subprocess.run([GRADUS, "run", "-"], input=compiles.encode(), capture_output=True).returncode:
                return None  # no Lua: no fault
            for spec in specs_of(self.root, path):
                if self.passes(spec):
                    continue
                path.write_text(before)  # does it pass without the fault?
                if spec not in self.good:
                    self.good[spec] = self.passes(spec) or self.passes(spec)  # a busy machine may kill one
                if self.good[spec]:
                    return True
                path.write_text(text)
            return False
        finally:
            path.write_text(before)

    def close(self):
        shutil.rmtree(self.root)


class Cpp:
    def __init__(self):
        self.root, self.build = ROOT, GRADUS.parent

    def noticed(self, path, text):
        room = path.relative_to(self.root).parts[0]
        before = path.read_text()
        path.write_text(text)
        try:
            if subprocess.run(["cmake", "--build", self.build, "--target", f"{room}_tests"], capture_output=True).returncode:
                return None  # the compiler does not take it: no fault
            return subprocess.run([self.build / f"{room}_tests"], capture_output=True, cwd=ROOT, timeout=3 * SECONDS).returncode != 0
        except subprocess.TimeoutExpired:
            return True
        finally:
            path.write_text(before)

    def close(self):
        subprocess.run(["cmake", "--build", self.build], capture_output=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--tree", default="stdlib", choices=["stdlib", "results", "runtime"])
    parser.add_argument("--only")
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--known", type=pathlib.Path, default=pathlib.Path(__file__).with_name("known.txt"))
    args = parser.parse_args()
    known = args.known.read_text().split("\n") if args.known.exists() else []
    runner = Lua() if args.tree == "stdlib" else Cpp()
    tried, survivors = 0, []
    try:
        for path, number, line in choose(args, runner.root):
            lines = path.read_text().split("\n")
            difference = f"{path.relative_to(runner.root)}:{number + 1}\n  - {lines[number].strip()}\n  + {line.strip()}"
            if args.show:
                print(difference)
                continue
            lines[number] = line
            noticed = runner.noticed(path, "\n".join(lines))
            tried += noticed is not None
            print(f"\r{tried} tried, {len(survivors)} not noticed", end="", file=sys.stderr, flush=True)
            if noticed is False and f"{path.relative_to(runner.root)}: {line.strip()}" not in known:
                survivors.append(difference)
                print("\n" + difference, flush=True)
    finally:
        runner.close()
    if not args.show:
        print(f"{tried - len(survivors)} of {tried} noticed (seed {args.seed})")
    return len(survivors) * 20 > tried


if __name__ == "__main__":
    sys.exit(main())
