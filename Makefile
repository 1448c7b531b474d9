# make demo: curate the embedded demo (a minute, after the set-up of some 30 s).   make test: all tests.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV ?= .venv

.PHONY: demo demo-curation test clean

demo: demo-curation

demo-curation: $(VENV)/.base
	PATH="$(abspath $(VENV))/bin:$$PATH" $(MAKE) --no-print-directory -C examples/demo

test: $(VENV)/.test
	$(VENV)/bin/python -m pytest

# A change of setup.py installs again; everything else is read from the checkout.
$(VENV)/.base: setup.py
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.test: setup.py
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e .[test]
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info examples/demo/out .pytest_cache .hypothesis
