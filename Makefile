# Two commands are all a fresh machine needs: `make frontier` and `make test`.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
MINOR = $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
CONSTRAINTS = constraints-$(MINOR).txt
# Overrides for the sweep, e.g. ARGS="data.train=photos data.eval=kodak"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install tfc frontier test lint format bench goldens clean

help: ## List these commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

install: $(VENV)/.installed ## Make .venv with the pinned dependencies

$(VENV)/.installed: pyproject.toml $(wildcard constraints-*.txt)
	$(PYTHON) -m venv $(VENV)
	@if command -v uv >/dev/null; then \
	  uv pip install --python $(BIN)/python --compile-bytecode -e '.[dev]' -c $(CONSTRAINTS); \
	else \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' -c $(CONSTRAINTS); \
	fi
	@touch $@

tfc: .venv-tfc/.installed ## Make .venv-tfc, the environment of the second entropy coder

.venv-tfc/.installed: constraints-tfc.txt
	python3.11 -m venv .venv-tfc
	.venv-tfc/bin/python -m pip install --quiet --disable-pip-version-check \
	  tensorflow-compression msgpack -c constraints-tfc.txt
	@touch $@

frontier: install ## Train, code, time and plot the small grid (ARGS="key=value ...")
	$(BIN)/python launch/sweep.py +grid=rdc_mini $(ARGS)

test: install tfc ## The whole test suite and the linters
	$(MAKE) lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations=15

lint: install ## ruff and mypy
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: install ## Rewrite the code in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install ## The long measurements
	$(BIN)/python -m pytest -m benchmark tests/benchmarks -s

goldens: install ## Write the golden files again (look at the difference)
	$(BIN)/python -m tests.golden.write

clean: ## Remove what these commands made, the sweeps' outputs excepted
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache *.egg-info
