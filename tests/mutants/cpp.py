"""The C++ side of mutate.py: a copy of the tree in build-mutants/tree, built there without optimisation's cost, and with the standard
library's own checks: an index past the end is noticed here as `make sanitize` notices it. For each fault one object is compiled and
the room's test program linked, then its tests run: those of the same file, those of the folder, the rest. For runtime, where these
notice nothing, the engine is linked as well and the Lua specs of the same feature are asked. Bindings have no test program: of the
engine's side the Lua specs are asked, of the program's side those and the tests of the program."""

import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys

import program

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build-mutants"
WHEEL = ROOT / "build/wheel/torch"  # LibTorch, where `make build` fetched it
MEMORY = 12 << 30  # bytes of addresses: a fault that allocates without end must not take the machine along
# Folders whose specs use a room of runtime.
SPECS = {"data": "data", "ops": "step", "step": "step", "files": "data", "runtime": "step"}
DEVICE = {"transfer", "loader"}  # what they do on an accelerator alone, specs of the simulated device ask
SPEC_SECONDS, SPECS_IN_ALL = 120, 8


def copy_tree(into):
    """What git knows and what it would; files that are the same keep their times, so that nothing is built again."""
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    names = {name for name in names.split("\0") if name and (ROOT / name).is_file()}
    for old in [f for f in into.rglob("*") if f.is_file() and str(f.relative_to(into)) not in names]:
        old.unlink()
    for name in names:
        ours, copy = ROOT / name, into / name
        if not copy.exists() or copy.read_bytes() != ours.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ours, copy)


class Cpp(program.Runner):
    def __init__(self, room):
        os.nice(10)
        self.room, self.root, self.tests, self.good = room, BUILD / "tree", [], {}
        copy_tree(self.root)

    def run(self, command, seconds=None, **env):
        """Whether it ends well. Its folder for temporary files is emptied: who is killed leaves some."""
        temporary = BUILD / "tmp"
        temporary.mkdir(exist_ok=True)
        try:
            return program.ends_well(command, seconds, cwd=self.root, env=os.environ | {"TMPDIR": str(temporary)} | env,
                                     preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def built(self, *targets):
        return subprocess.run(["cmake", "--build", BUILD, "-j", "1", "--target", *targets], capture_output=True).returncode == 0

    def build_all(self, *targets):
        torch = [f"-DTORCH_DIR={WHEEL}"] if WHEEL.exists() else []
        subprocess.run(["cmake", "-G", "Ninja", "-S", self.root, "-B", BUILD, "-DCMAKE_BUILD_TYPE=Release", *torch,
                        "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG -D_GLIBCXX_ASSERTIONS"], check=True, capture_output=True)
        if not self.built(*targets):
            sys.exit(f"{BUILD}: does not build: cmake --build {BUILD} --target {' '.join(targets)}")

    def watch(self):
        """Builds, and learns each test's file and how long it takes."""
        self.build_all(f"{self.room}_tests", *(["gradus", "gradus_engine", "gradus_simulated"] if self.room == "runtime" else []))
        out = BUILD / f"{self.room}.json"
        if not self.run([BUILD / f"{self.room}_tests", f"--gtest_output=json:{out}"], seconds=900):
            sys.exit(f"{BUILD}/{self.room}_tests: fails without any fault")
        for suite in json.loads(out.read_text())["testsuites"]:
            for test in suite["testsuite"]:
                if test["result"] == "COMPLETED":
                    self.tests.append((f"{suite['name']}.{test['name']}", pathlib.PurePath(test["file"]), float(test["time"][:-1])))

    def stages_of(self, path):
        """Names of tests and the seconds they take: the file's own, the folder's, the rest; of each the quick ones first."""
        stages = [[], [], [], []]
        for name, file, seconds in self.tests:
            own, near = file.stem.startswith(path.stem), file.parent.name == path.parent.name
            if near or own or seconds < 1:  # the slow ones kill processes and damage files: of no interest to another folder
                stages[0 if own else 1 if near and seconds < 1 else 2 if seconds < 1 else 3].append((name, seconds))
        return [(":".join(n for n, _ in stage), sum(s for _, s in stage)) for stage in stages if stage]

    def noticed_by_tests(self, path):
        for names, seconds in self.stages_of(path):
            command = [BUILD / f"{self.room}_tests", "--gtest_fail_fast", f"--gtest_filter={names}"]
            if not self.run(command, seconds=30 + 10 * seconds) and not self.run(command, seconds=30 + 10 * seconds):
                return True  # twice: a busy machine may break a test that asks for times
        return False

    def specs_of(self, path):
        folder = SPECS[path.parent.name]
        specs = [f for part in (f"stdlib/{folder}", "bindings") for f in sorted((self.root / "tests" / part).glob("*_spec.lua"))]
        names = (path.stem, "device") if path.stem in DEVICE else (path.stem,)
        own = [s for s in sorted((self.root / "tests").rglob("*_spec.lua")) if any(name in s.stem for name in names)]
        words = set(path.stem.split("_"))
        near = [s for s in specs if s not in own and words & set(s.stem.split("_"))]
        return (own + near + [s for s in specs if s not in own + near])[:SPECS_IN_ALL]

    def spec_passes(self, spec):
        device = {"GRADUS_DEVICE_LIBRARY": str(BUILD / "libgradus_simulated.so")}
        ffi = ["--allow-ffi"] if spec.stem == "device_run_spec" else []
        return self.run([BUILD / "gradus", "test", *ffi, "--stdlib", self.root / "stdlib", spec], seconds=SPEC_SECONDS, **device)

    def noticed(self, path, _, text):
        before = path.read_text()
        path.write_text(text)
        try:
            if not self.built(f"{self.room}_tests"):
                return None  # the compiler does not take it: no fault
            if self.noticed_by_tests(path):
                return True
            return self.room == "runtime" and self.built("gradus_engine") and self.noticed_by(path, before, self.specs_of(path), self.spec_passes)
        finally:
            path.write_text(before)

    def put(self, path, text):
        path.write_text(text)
        self.built("gradus", "gradus_engine")

    def close(self):
        pass


class Bindings(Cpp):
    def watch(self):
        self.build_all("gradus", "gradus_engine", "gradus_simulated")

    def specs_of(self, path):
        """Those of the same name and of what uses it; then, of the engine's side, all of what computes."""
        all_specs, of = sorted((self.root / "tests").rglob("*_spec.lua")), program.SPECS.get(path.stem, "").split()
        own = [spec for spec in all_specs if spec.stem.removesuffix("_spec") in of or path.stem.split("_")[0] in spec.stem.split("_")]
        if path.parent.name == "host":
            return own + [spec for spec in all_specs if spec.stem in ("host_spec", "store_spec") and spec not in own]
        return own + [spec for folder in ("bindings", "data", "step", "nn", "optim") for spec in all_specs if spec.parent.name == folder and spec not in own]

    def program_passes(self, test):
        return not program.fails(test, BUILD / "gradus", GRADUS_DEVICE_LIBRARY=str(BUILD / "libgradus_simulated.so"))

    def noticed(self, path, _, text):
        before = path.read_text()
        path.write_text(text)
        try:
            if not self.built("gradus", "gradus_engine"):
                return None  # the compiler does not take it: no fault
            if self.noticed_by(path, before, self.specs_of(path), self.spec_passes):
                return True
            tests = program.HOST.get(path.stem, program.EVERY).split() if path.parent.name == "host" else []
            return self.noticed_by(path, before, tests, self.program_passes)
        finally:
            path.write_text(before)


TREES = {"results": Cpp, "runtime": Cpp, "bindings": Bindings}
