# The two commands: make demo, make test. Everything else is CMake's (CMakeLists.txt).

TORCH_VERSION := 2.13.0
JOBS ?= $(shell nproc)
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
PACKAGES := $(shell cat .packages)
LINT_PACKAGES := $(shell cat .packages-lint)
TEST_PACKAGES := $(shell cat .packages-test)

.PHONY: demo test test-full build bench claims lint format sanitize setup clean

# Where a curriculum wins, how sure that is and how it went; below it clean digits, where none is shown to.
demo: build
	build/gradus run scripts/noisy_digits.lua
	@build/gradus plot val/acc --by strategy --where "name == 'noisy_digits'" --y 0.88,1 --height 12
	@build/gradus compare --versus one_shot --metric result/test --where "name == 'noisy_digits'"
	build/gradus run scripts/quickstart.lua
	@build/gradus compare --versus one_shot --metric result/hard_acc --where "name == 'quickstart'"

# The page is clicked through in Chromium, and other tools read our exports: without them those tests are skipped, and say so.
test: build
	@dpkg -s $(TEST_PACKAGES) > /dev/null 2>&1 || { $(SUDO) apt-get update -q && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $(TEST_PACKAGES); } || echo "not installed: $(TEST_PACKAGES)"
	cd build && ctest --output-on-failure --no-tests=error -j $(JOBS)

# The same with the full counts of what `make test` takes a sample of (kills, full disks, failing calls, damage, faults in our own
# sources), then the readers under libFuzzer, where clang is: hours.
FUZZ_RUNS ?= 10000000
test-full: build
	cd build && GRADUS_FULL=1 ctest --output-on-failure --no-tests=error --timeout 14400 -j $(JOBS)
	@if ! command -v clang++ > /dev/null; then echo "no clang: the fuzz targets are not run"; else \
	  cmake --preset fuzz > /dev/null && cmake --build build-fuzz -j $(JOBS) --target fuzzers && \
	  for corpus in tests/fuzz/corpus/*; do mkdir -p build-fuzz/$$corpus; \
	    ASAN_OPTIONS=allocator_may_return_null=1 build-fuzz/fuzz_$$(basename $$corpus) -runs=$(FUZZ_RUNS) -max_len=4096 build-fuzz/$$corpus $$corpus || exit 1; done; fi

build: build/gradus-setup.stamp
	@cmake --preset release > build/configure.log 2>&1 || { cat build/configure.log; exit 1; }
	cmake --build build -j $(JOBS)

# Side by side with PyTorch and JAX; make bench BENCH="--quick --only MLP".
bench: build
	@python3 -c 'import ensurepip' 2> /dev/null || $(SUDO) apt-get install -y -q python3-venv
	python3 tests/bench/run.py $(BENCH)

# README's table of claims: runs the experiments at their small sizes (as many at a time as there are cores), then prints it. The
# short form takes a quarter of an hour on two cores, with fewer seeds of the slow ones than their power calculations ask for;
# FORM=long runs all of these, and adds the other layers and a larger parity. Fashion-MNIST is run where its Debian package is.
CLAIMS := build/claims/gradus.db
FORM ?= short
claims: build
	{ for script in parity_transformer parity_mlp text_bert sample_complexity mixing guide_claims noisy_digits; do echo $$script; done; \
	  [ ! -d /usr/share/datasets/fashion-mnist ] || { echo noisy_fashion; echo noisy_fashion --set noise=0 --set lr=16e-3; }; \
	  for k in 2 3; do echo sample_complexity --set d=32 --set k=$$k; done; \
	  for method in one_shot progressive extraction; do echo cfg3b_bert --set method=$$method; done; \
	  for stages in 2 4; do for method in one_shot extraction; do \
	    echo cfg3b_bert --set budget=steps --set stages=$$stages --set method=$$method; done; done; \
	  for method in one_shot layer_2 three_layers; do echo cfg3b_bert --set budget=steps --set method=$$method; done; \
	  for script in parity_transformer parity_mlp text_bert cfg3b_bert; do \
	    echo $$script --set method=extraction --set target=normalised; done; \
	  for stages in 2 4; do \
	    echo cfg3b_bert --set budget=steps --set stages=$$stages --set method=extraction --set target=normalised; done; \
	  for method in layer_2 three_layers one_projection; do \
	    echo cfg3b_bert --set budget=steps --set method=$$method --set target=normalised; done; \
	  if [ "$(FORM)" = long ]; then \
	    for layer in 1 3 4; do for target in published normalised; do \
	      echo cfg3b_bert --set budget=steps --set method=layer_$$layer --set target=$$target; done; done; \
	    echo parity_mlp --set size=medium; echo parity_mlp --set size=medium --set method=extraction --set target=normalised; \
	  fi; } \
	| TERM=dumb xargs -P $(JOBS) -L 1 sh -c 'script=$$1; shift; case "$(FORM) $$script" in \
	    "short parity_mlp") set -- "$$@" --seed 1,2,3,4,5;; \
	    "short parity_transformer") set -- "$$@" --seed 201,202,203,204,205,206,207,208,209,210,211,212,213,214,215,216;; \
	    "short cfg3b_bert") set -- "$$@" --seed 1,2,3,4,5,6,7,8,9;; \
	    "short text_bert") set -- "$$@" --seed 1,2,3,4,5,6;; \
	  esac; exec build/gradus run scripts/$$script.lua --threads 1 --store $(CLAIMS) "$$@"' claims
	@build/gradus run scripts/claims.lua --store $(CLAIMS)

sanitize: build/gradus-setup.stamp
	cmake --preset sanitize
	cmake --build build-sanitize -j $(JOBS)
	cd build-sanitize && ASAN_OPTIONS=detect_leaks=0 ctest --output-on-failure --no-tests=error -j $(JOBS) -E e2e
	cmake --preset threads > /dev/null
	cmake --build build-threads -j $(JOBS) --target results_tests runtime_tests
	TSAN_OPTIONS=exitcode=66 build-threads/results_tests --gtest_brief=1
	@# Of runtime its own two threads, the loader's and the snapshots': LibTorch is not built for this, and its pool of threads not known.
	OMP_NUM_THREADS=1 TSAN_OPTIONS=exitcode=66 build-threads/runtime_tests --gtest_brief=1 --gtest_filter='LoaderTest.*:SnapshotTest.*'

lint: build
	@dpkg -s $(LINT_PACKAGES) > /dev/null 2>&1 || $(SUDO) apt-get install -y -q $(LINT_PACKAGES)
	luacheck --quiet stdlib scripts tests
	@cmake --preset release -B build/lint -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON > /dev/null
	git ls-files "results/*.cpp" "bindings/*.cpp" "runtime/*.cpp" | xargs -P $(JOBS) -n 4 clang-tidy --quiet -p build/lint \
	  --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-ignored-optimization-argument

format:
	@dpkg -s $(LINT_PACKAGES) > /dev/null 2>&1 || $(SUDO) apt-get install -y -q $(LINT_PACKAGES)
	clang-format -i $$(git ls-files '*.cpp' '*.h')

# Installs what is missing, once: Debian's packages from .packages, and LibTorch unless there is one.
setup: build/gradus-setup.stamp
build/gradus-setup.stamp: .packages
	@mkdir -p build
	@dpkg -s $(PACKAGES) > /dev/null 2>&1 || { $(SUDO) apt-get update -q && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $(PACKAGES); }
	@[ -n "$$TORCH_DIR" ] || python3 -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)' || [ -d build/wheel/torch ] || \
	  python3 -m pip install -q --no-deps --target build/wheel torch==$(TORCH_VERSION)
	@# A CUDA wheel's libtorch_cpu loads two small libraries of the toolkit, at the version that the wheel names.
	@cuda=$$(sed -n 's/^Requires-Dist: cuda-toolkit\[.*\]\(==[0-9.]*\).*/cuda-toolkit[cudart,cupti]\1/p' build/wheel/torch-*.dist-info/METADATA 2> /dev/null); \
	  [ -z "$$cuda" ] || [ -d build/wheel/nvidia ] || python3 -m pip install -q --target build/wheel "$$cuda"
	@touch $@

clean:
	rm -rf build build-sanitize
