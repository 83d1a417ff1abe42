"""The C++ side of mutate.py: a copy of the tree in build-mutants/tree, built there without optimisation's cost, and with the standard
library's own checks: an index past the end is noticed here as `make sanitize` notices it. For each fault one object is compiled and
the room's test program linked, then its tests run: those of the same file, those of the folder, the rest. For runtime, where these
notice nothing, the engine is linked as well and the Lua specs of the same feature are asked."""

import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build-mutants"
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


class Cpp:
    def __init__(self, room):
        os.nice(10)
        self.room, self.root, self.tests, self.good = room, BUILD / "tree", [], {}
        copy_tree(self.root)

    def run(self, command, seconds=None, **env):
        """Whether it ends well. Its folder for temporary files is emptied: who is killed leaves some."""
        temporary = BUILD / "tmp"
        temporary.mkdir(exist_ok=True)
        try:
            done = subprocess.run([str(c) for c in command], cwd=self.root, timeout=seconds, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                                  env=os.environ | {"TMPDIR": str(temporary)} | env, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)))
            return done.returncode == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def built(self, *targets):
        return subprocess.run(["cmake", "--build", BUILD, "-j", "1", "--target", *targets], capture_output=True).returncode == 0

    def watch(self):
        """Builds, and learns each test's file and how long it takes."""
        subprocess.run(["cmake", "-G", "Ninja", "-S", self.root, "-B", BUILD, "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG -D_GLIBCXX_ASSERTIONS"],
                       check=True, capture_output=True)
        targets = [f"{self.room}_tests"] + (["gradus", "gradus_engine", "gradus_simulated"] if self.room == "runtime" else [])
        out = BUILD / f"{self.room}.json"
        if not self.built(*targets):
            sys.exit(f"{BUILD}: does not build: cmake --build {BUILD} --target {' '.join(targets)}")
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
            return self.room == "runtime" and self.built("gradus_engine") and self.noticed_by_specs(path, before, text)
        finally:
            path.write_text(before)

    def noticed_by_specs(self, path, before, text):
        failing = [spec for spec in self.specs_of(path) if self.good.get(spec, True) and not self.spec_passes(spec)]
        if not failing:
            return False
        path.write_text(before)  # do they pass without it?
        self.built("gradus_engine")
        for spec in failing:
            self.good[spec] = self.spec_passes(spec)
        return any(self.good[spec] for spec in failing)

    def close(self):
        pass
