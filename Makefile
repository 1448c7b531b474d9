# make demo: curate the embedded demo, train on it, evaluate (3 minutes, after a set-up that fetches torch: 2 minutes).
# make demo-curation: its first part, on the base install (a minute with its set-up).
# make test: the tests, but for those that take minutes (all of them: make test TEST_OPTIONS=), in two processes
# (TEST_JOBS=2).
# make docs: the pages of docs/ as a site in build/docs (ten seconds, after a set-up of half a minute).
# make shell: a shell in which the command mc2 is found.
# make sanitize: the tests of the native core under sanitizers, then a minute of fuzzing (FUZZ_SECONDS=60).
# make aarch64: compile the native core for aarch64, to see that it compiles.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
# One pip at a time in an environment, also with `make -j`.
.NOTPARALLEL:

PYTHON ?= python3
VENV ?= .venv
TEST_EXTRAS ?= test
TEST_OPTIONS ?= -m 'not heavy'
TEST_JOBS ?= 2
AARCH64_CXX ?= aarch64-linux-gnu-g++

NATIVE_SOURCES := $(filter-out mc2/native/fuzz/%, $(wildcard mc2/native/*.cpp mc2/native/*/*.cpp))
NATIVE_HEADERS := $(filter-out mc2/native/fuzz/%, $(wildcard mc2/native/*/*.hpp))

.PHONY: demo demo-curation demo-training test docs shell sanitize aarch64 clean

demo: demo-curation demo-training

demo-curation: $(VENV)/.base
	PATH="$(abspath $(VENV))/bin:$$PATH" $(MAKE) --no-print-directory -C examples/demo curation

demo-training: demo-curation $(VENV)/.train
	PATH="$(abspath $(VENV))/bin:$$PATH" $(MAKE) --no-print-directory -C examples/demo training

shell: $(VENV)/.base
	@bash --rcfile <(cat ~/.bashrc 2> /dev/null || true; cat $(VENV)/bin/activate; \
	    echo 'eval "$$(_MC2_COMPLETE=bash_source mc2)"; echo "mc2 is found here; exit leaves."') -i || true

test: $(VENV)/.test
	$(VENV)/bin/python -m pytest --numprocesses $(TEST_JOBS) --dist worksteal $(TEST_OPTIONS)

docs: $(VENV)/.docs
	$(VENV)/bin/python docs/reference.py --check
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --strict
	@echo "docs: open build/docs/index.html"

# About 8 minutes on two cores; ends with "sanitize: nothing found".
sanitize: build/sanitize/venv/.test
	tests/sanitize.sh build/sanitize

# About a minute; ends with "aarch64: compiled, not run", or "aarch64: skipped" where the compiler is missing.
aarch64:
	@if command -v $(AARCH64_CXX) > /dev/null; then \
	    $(MAKE) --no-print-directory build/aarch64/compiled; echo "aarch64: compiled, not run"; \
	else echo "aarch64: skipped, there is no $(AARCH64_CXX) (Debian: apt-get install g++-aarch64-linux-gnu)"; fi

build/aarch64/compiled: build/sanitize/venv/.test $(NATIVE_SOURCES) $(NATIVE_HEADERS)
	mkdir -p $(@D)
	for source in $(NATIVE_SOURCES); do \
	    $(AARCH64_CXX) -std=c++17 -O3 -ffp-contract=off -fvisibility=hidden -fPIC -Wall -Wextra -Werror \
	        $$(build/sanitize/venv/bin/python -m pybind11 --includes | sed 's/-I/-isystem /g') -Imc2/native \
	        -c $$source -o $(@D)/$$(basename $$source .cpp).o; \
	done
	touch $@

# What mc2 and its tests need, but not mc2: tests/sanitize.sh builds a copy of the checkout.
build/sanitize/venv/.test: setup.py
	$(PYTHON) -m venv build/sanitize/venv
	build/sanitize/venv/bin/python -m pip install --quiet --disable-pip-version-check 'setuptools>=64' 'pybind11>=2.10'
	build/sanitize/venv/bin/python setup.py --quiet egg_info --egg-base build/sanitize
	build/sanitize/venv/bin/python -m pip install --quiet --disable-pip-version-check \
	    -r <(awk '/^\[/ {section = $$0; next} section == "" || section == "[test]"' build/sanitize/mc2_clip.egg-info/requires.txt)
	touch $@

# A change of setup.py or of the native core installs again; everything else is read from the checkout.
$(VENV)/.base: setup.py $(NATIVE_SOURCES) $(NATIVE_HEADERS)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

# What extras bring: mc2 itself is there, and is not built again. `crawl` is what examples/worldwide needs.
EXTRAS.train := train,plot
EXTRAS.crawl := train,extract,parquet
EXTRAS.test := $(TEST_EXTRAS)
EXTRAS.docs := docs
$(VENV)/.train $(VENV)/.crawl $(VENV)/.test $(VENV)/.docs: $(VENV)/.%: $(VENV)/.base
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check 'mc2-clip[$(EXTRAS.$*)]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info examples/demo/out examples/ablations/out examples/worldwide/out examples/curse/out .pytest_cache .hypothesis
