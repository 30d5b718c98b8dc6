# Everything runs from .venv; `make help` lists the targets.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.complete

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format bench torture simulate pictures lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## create .venv from the locked, hashed dependencies; nothing if it is up to date

# The stamp is written last, so a set-up that was interrupted starts again.
$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name one with: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
		|| { echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## run the gateway with a simulated switch and system of record
	@$(BIN)/gateway demo

# Most tests wait more than they compute, so three files run at a time; those that compare times run alone afterwards.
PYTEST := $(BIN)/python -m pytest
ifeq ($(ARGS),)
SUITE := $(PYTEST) -n 3 --dist loadfile -m "not quiet" && $(PYTEST) -m quiet
else
SUITE := $(PYTEST) $(ARGS)
endif

test: setup ## run the whole test suite (ARGS="-k name" is passed to pytest)
	@$(SUITE)

check: setup ## what CI runs: format, lint, types, import layers, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(SUITE)

format: setup ## put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup ## measure throughput, latency and CPU for each event
	$(BIN)/python -m bench.run $(ARGS)

TROUBLES := $(addprefix tests/acceptance/test_,hostile_targets.py overload.py replays.py database_trouble.py)

torture: setup ## kill it under load, again and again, and compare both ledgers
	$(BIN)/python -m tests.acceptance.torture $(ARGS)
	$(BIN)/python -m pytest --long $(TROUBLES)

HISTORIES ?= 100000

simulate: setup ## live through HISTORIES random histories under a simulated clock, database and network
	$(BIN)/python -m tests.simulation --histories $(HISTORIES) $(ARGS)

pictures: setup ## take the pictures in docs/console anew (needs Chromium)
	$(PYTEST) tests/browser/pictures.py

COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

lock: ## renew the lock files (needs uv)
	$(COMPILE) $(ARGS) pyproject.toml --output-file requirements.lock
	$(COMPILE) $(ARGS) pyproject.toml --group dev --constraints requirements.lock --output-file requirements-dev.lock

clean: ## remove .venv and every cache
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
