"""Deliberate faults, to see whether the tests notice: chosen by a seed, put into our sources one at a time, and the area's tests run.

  python3 tests/mutants/mutate.py --seed 1 --count 60                  the standard library; no build
  python3 tests/mutants/mutate.py --seed 1 --count 20 --tree results   C++ (also: runtime, bindings), in build-mutants/; cpp.py says how
  python3 tests/mutants/mutate.py --seed 1 --count 150 --tree all      of every line in all four alike

Prints each fault that no test noticed as a difference; ends with 1 when fewer than 95 in 100 were noticed. --only ROOM,ROOM, --skip N (of the
chosen), --show (the faults, without running anything), --known FILE (survivors that change nothing that can be seen, one
"path: text" a line, "path: without text" where a statement is gone).
"""

import argparse
import difflib
import functools
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

import program
from cpp import TREES

ROOT = pathlib.Path(__file__).resolve().parents[2]
GRADUS = pathlib.Path(os.environ.get("GRADUS", ROOT / "build/gradus")).resolve()
DEVICE = GRADUS.with_name("libgradus_simulated.so")
LONG = 120  # of specs for one fault, where none of them notices it

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
    found, ends = [], None  # ends: with what a text of many lines is over
    for number, line in enumerate(path.read_text().split("\n")):
        code = code_of(line, comment)
        begins = None if ends else re.search(r"\[(=*)\[|R\"(\w*)\(", code if comment == "--" else line)
        inside, rest = ends or begins, line[begins.end():] if begins else line
        if begins:
            ends = f"]{begins[1]}]" if begins[2] is None else f'){begins[2]}"'
        if ends and ends in rest:
            ends = None
        if inside or re.match(r"\s*(--|//|#|constexpr|local \w+ = require|host\.fail|error\(|throw|static_assert|namespace|template)", line) or "host.fail" in code:
            continue  # the words of an error are no behaviour
        for pattern, into in rules:
            for match in re.finditer(pattern, code):
                if pattern == r" \+ " and '"' in code[max(0, match.start() - 2):match.start()] + code[match.end():match.end() + 1]:
                    continue  # texts that are joined
                changed = line[:match.start()] + re.sub(pattern, into, line[match.start():match.end()], count=1) + line[match.end():]
                if changed != line and not ("<" in pattern + str(into) and re.search(r"<\w[\w:, *&]*>", code)):  # no templates
                    found.append((number, changed))
    return found


def choose(args, trees):
    """Tree -> its share of the chosen faults: (path within ROOT, line number, the line with it)."""
    all_places = []
    for tree in trees:
        lua = tree == "stdlib"
        for path in sorted((ROOT / tree).rglob("*.lua" if lua else "*.cpp")):
            name = path.relative_to(ROOT)
            if (not args.only or set(args.only.split(",")) & set(name.parts)) and not {"help", "vectors"} & set(name.parts):
                all_places += [(name, *place) for place in places(path, LUA if lua else CPP, "--" if lua else "//")]
    chosen = random.Random(args.seed).sample(all_places, min(args.count, len(all_places)))[args.skip:]
    return {tree: [place for place in chosen if place[0].parts[0] == tree] for tree in trees}


# Put before experiment/test.lua: writes each line of the library that runs into a file, when it first runs. A process has one hook: what the
# library itself has hooks for (host.watch_calls, debug.sethook) goes through this one.
SEEN = """
jit.off()
local host = require "gradus.host"
local seen, out, getinfo, sethook = {}, assert(io.open("%s", "a")), debug.getinfo, debug.sethook
local calls, other, left = {}, nil, 0
out:setvbuf "line"
local function hook(event, line)
  local info = getinfo(2, "S")
  local source = info.source
  if event == "call" then
    if #calls > 0 and source:sub(1, 8) == "@stdlib/" then calls[#calls][("%%s:%%d"):format(source:sub(9), info.linedefined)] = true end
    return
  end
  left = left - 1  -- of an example that runs more lines than that, the first ones say enough
  if left < 0 and #calls == 0 and not other then return sethook() end
  local lines = seen[source]
  if not lines then
    lines = {}
    seen[source] = lines
  end
  if not lines[line] then
    lines[line] = true
    if source:sub(1, 8) == "@stdlib/" then out:write(source:sub(2), ":", line, "\\n") end
  end
  if other then return other(event, line) end  -- a tail call: it looks at the same level
end
function package.loaded.watch_lines()
  left = 1e6
  sethook(hook, "cl")
end
rawset(debug, "sethook", function(fn)
  other = fn
  sethook(hook, "cl")
end)
rawset(host, "watch_calls", function()
  calls[#calls + 1] = {}
  sethook(hook, "cl")
end)
rawset(host, "watched_calls", function()
  local list = {}
  for call in pairs(table.remove(calls)) do
    list[#list + 1] = call
    if #calls > 0 then calls[#calls][call] = true end
  end
  table.sort(list)
  return list
end)
package.loaded.watch_lines()
"""


@functools.cache
def places_of(was, now):
    """The numbers of lines that are in both texts, from 1: those before -> those now."""
    blocks = difflib.SequenceMatcher(None, was.split("\n"), now.split("\n"), autojunk=False).get_matching_blocks()
    return {block.a + i + 1: block.b + i + 1 for block in blocks for i in range(block.size)}


def moved(lines, was, now):
    """Lines "stdlib/x.lua:3" of a library as it was, where they are in it now."""
    found = set()
    for line in lines:
        file, _, number = line.rpartition(":")
        if was.get(file) == now.get(file):
            found.add(line)
        elif file in was and file in now:
            place = places_of(was[file], now[file]).get(int(number))
            found.update({f"{file}:{place}"} if place else ())
    return found


def computed():
    """Seconds that the specs so far have computed for: how long one takes, however busy the machine is."""
    times = os.times()
    return times.children_user + times.children_system


COMMANDS = "run|sweep|watch|check|resume|fork|landscape"  # that take --stdlib


class Lua(program.Runner):
    """Works on a copy of the sources and the specs: the tree may be edited meanwhile. Only specs that run the line are asked."""

    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp())
        for part in ("stdlib", "tests/stdlib", "scripts"):
            shutil.copytree(ROOT / part, self.root / part)
        self.good, self.seconds, self.lines = {}, {}, {}

    def passes(self, spec):
        ffi = ["--allow-ffi"] if spec.stem == "device_run_spec" else []  # as CMakeLists.txt has it
        device = {"GRADUS_DEVICE_LIBRARY": str(DEVICE)} if DEVICE.exists() else {}
        return program.ends_well([GRADUS, "test", *ffi, "--stdlib", self.root / "stdlib", spec], program.SECONDS, cwd=self.root, env=os.environ | device)

    def program_passes(self, test):
        own = self.root / "gradus"
        own.write_text(f'#!/bin/sh\ncase " $* " in *" --stdlib "*) exec {GRADUS} "$@";; esac\n'  # the test's own
                           f'case "$1" in {COMMANDS}) exec {GRADUS} "$@" --stdlib {self.root}/stdlib;; esac\nexec {GRADUS} "$@"\n')
        own.chmod(0o755)
        return not program.fails(test, own)

    def watch(self):
        """Which lines each spec runs; kept while the spec is the same, moved with the library's lines. From here on a spec ends at its
        first failure."""
        test = self.root / "stdlib/experiment/test.lua"
        text, kept = test.read_text(), GRADUS.parent / "mutants_lines.json"
        known = json.loads(kept.read_text()) if kept.exists() else {"specs": {}, "texts": {}}
        library = {f"stdlib/{f.relative_to(self.root / 'stdlib')}": f.read_text() for f in (self.root / "stdlib").rglob("*.lua")}
        now = {file: hashlib.sha256(content.encode()).hexdigest() for file, content in library.items()}
        known["texts"].update({now[file]: content for file, content in library.items()})
        for spec in sorted((self.root / "tests/stdlib").glob("*/*_spec.lua")):
            of = hashlib.sha256(spec.read_text().encode()).hexdigest()
            if of not in known["specs"]:
                print(f"\rlines of {spec.stem}" + " " * 20, end="", file=sys.stderr, flush=True)
                seen = self.root / "seen"
                seen.write_text("")
                again = text.replace("  host.entering(body)", "  package.loaded.watch_lines()\n  host.entering(body)")
                test.write_text(SEEN % seen + again)
                before = computed()
                self.passes(spec)
                known["specs"][of] = {"seconds": computed() - before, "lines": seen.read_text().split(), "library": now}
                kept.write_text(json.dumps(known))
            one = known["specs"][of]
            lines = moved(one["lines"], {file: known["texts"][was] for file, was in one["library"].items()}, library)
            self.lines[spec], self.seconds[spec] = lines, one["seconds"]
        # In one line, so that the numbers of the others stay what they are.
        at_once = "for _, ending in ipairs(endings) do pcall(ending) end os.exit(1) end\n\nfunction test.describe"
        test.write_text(text.replace("end\n\nfunction test.describe", at_once, 1))

    def specs_of(self, path, number):
        """Specs that run the line, or the one that it goes on from: the file's own, the room's, then the quick ones, for LONG seconds."""
        name, specs = path.relative_to(self.root), []
        for near in range(number, max(0, number - 8), -1):
            specs = specs or [spec for spec, lines in self.lines.items() if f"{name}:{near}" in lines]
        specs += [spec for spec in self.lines if path.stem in spec.stem and spec not in specs]  # it may have run too many lines to see all
        specs.sort(key=lambda s: (path.stem not in s.stem, self.seconds[s] > LONG / 3, s.parent.name != path.parent.name, self.seconds[s]))
        left, chosen = LONG, []
        for spec in specs:
            left -= self.seconds[spec]
            if left > 0 or path.stem in spec.stem:
                chosen.append(spec)
        return chosen

    def noticed(self, path, number, text):
        before = path.read_text()
        path.write_text(text)
        compiles = f"assert(loadstring(io.open('{path}'):read '*a'))"
        try:
            if subprocess.run([GRADUS, "run", "-"], input=compiles.encode(), capture_output=True).returncode:
                return None  # no Lua: no fault
            tests = program.LIBRARY.get(path.stem, "").split() if path.parent.name in ("base", "experiment", "training") else []
            return (self.noticed_by(path, before, self.specs_of(path, number + 1), self.passes)
                    or self.noticed_by(path, before, tests, self.program_passes))
        finally:
            path.write_text(before)

    def close(self):
        shutil.rmtree(self.root)


def told(line, changed):
    return f"without {line.strip()}" if changed.strip() in (";", "do end") else changed.strip()


def try_all(runner, chosen, known):
    """(how many were tried, those that no test noticed and nobody knows)."""
    tried, survivors = 0, []
    try:
        runner.watch()
        for name, number, changed in chosen:
            path = runner.root / name
            lines = path.read_text().split("\n")
            line, lines[number] = lines[number], changed
            noticed = runner.noticed(path, number, "\n".join(lines))
            tried += noticed is not None
            if noticed is False and f"{name}: {told(line, changed)}" not in known:
                survivors.append(name)
                print(f"\n{difference(name, number, line, changed)}", flush=True)
            print(f"\r{tried} tried, {len(survivors)} not noticed", end="", file=sys.stderr, flush=True)
    finally:
        runner.close()
    return tried, len(survivors)


def difference(name, number, line, changed):
    return f"{name}:{number + 1}\n  - {line.strip()}\n  + {changed.strip()}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--tree", default="stdlib", choices=["stdlib", *TREES, "all"])
    parser.add_argument("--only")
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--known", type=pathlib.Path, default=pathlib.Path(__file__).with_name("known.txt"))
    args = parser.parse_args()
    known = args.known.read_text().split("\n") if args.known.exists() else []
    tried = survived = 0
    for tree, chosen in choose(args, ["stdlib", *TREES] if args.tree == "all" else [args.tree]).items():
        if args.show:
            for name, number, changed in chosen:
                print(difference(name, number, (ROOT / name).read_text().split("\n")[number], changed))
        elif chosen:
            of_tree, left = try_all(TREES[tree](tree) if tree in TREES else Lua(), chosen, known)
            print(f"\n{tree}: {of_tree - left} of {of_tree} noticed (seed {args.seed})", flush=True)
            tried, survived = tried + of_tree, survived + left
    if args.tree == "all" and not args.show:
        print(f"{tried - survived} of {tried} noticed (seed {args.seed})")
    return survived * 20 > tried


if __name__ == "__main__":
    sys.exit(main())
