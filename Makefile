# Two commands are all a fresh machine needs: `make frontier` and `make test`.
SHELL := /bin/bash
# The first of these that runs: a name may be there without its interpreter (pyenv).
ifndef PYTHON
PYTHON := $(shell for name in python3.11 python3.12; do \
  if $$name -c '' >/dev/null 2>&1; then echo $$name; break; fi; done)
endif
# tensorflow-compression ends with Python 3.11.
TFC_PYTHON := $(shell python3.11 -c '' >/dev/null 2>&1 && echo python3.11)
VENV ?= .venv
BIN := $(VENV)/bin
MINOR = $(if $(PYTHON),$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'))
CONSTRAINTS = constraints-$(MINOR).txt
# Overrides for the sweep, e.g. ARGS="data.train=photos data.eval=kodak"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install tfc peers tpu-compiler cuda-compiler browser ip test-environments frontier reference reference-page \
  reference-overfitted reference-times test test-alone lint format bench goldens clean

help: ## List these commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

install: $(VENV)/.installed ## Make .venv with the pinned dependencies

$(VENV)/.installed: pyproject.toml setup.py $(wildcard constraints-*.txt)
	@if [ -z "$(PYTHON)" ]; then \
	  echo "Python 3.11 or 3.12 is needed; install one, or name it: make PYTHON=..." >&2; \
	  exit 2; \
	fi
	@if [ ! -f "$(CONSTRAINTS)" ]; then \
	  echo "no pinned set for $(PYTHON) ($(MINOR)); use Python 3.11 or 3.12" >&2; \
	  exit 2; \
	fi
	$(PYTHON) -m venv $(VENV)
	@if command -v uv >/dev/null; then \
	  uv pip install --python $(BIN)/python --compile-bytecode -e '.[dev]' -c $(CONSTRAINTS); \
	else \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' -c $(CONSTRAINTS); \
	fi
	@touch $@

tfc: .venv-tfc/.installed ## Make .venv-tfc, the environment of the second entropy coder

.venv-tfc/.installed: constraints-tfc.txt
	@if [ -z "$(TFC_PYTHON)" ]; then \
	  echo "tensorflow-compression needs python3.11, which does not run here" >&2; \
	  exit 2; \
	fi
	$(TFC_PYTHON) -m venv .venv-tfc
	.venv-tfc/bin/python -m pip install --quiet --disable-pip-version-check \
	  tensorflow-compression msgpack -c constraints-tfc.txt
	@touch $@

# The address of an index with PyTorch's builds for CPUs, as its site names it. Without one,
# the build of the package registry is taken, which brings CUDA, 3 GB of it.
TORCH_INDEX ?=

peers: .venv-compressai/.installed ## Make .venv-compressai: PyTorch and CompressAI, which benchmarks compare with

.venv-compressai/.installed: constraints-compressai.txt
	@if [ -z "$(PYTHON)" ]; then \
	  echo "Python 3.11 or 3.12 is needed; install one, or name it: make PYTHON=..." >&2; \
	  exit 2; \
	fi
	$(PYTHON) -m venv .venv-compressai
	.venv-compressai/bin/python -m pip install --quiet --disable-pip-version-check \
	  filelock fsspec jinja2 networkx numpy scipy setuptools sympy typing_extensions \
	  -c constraints-compressai.txt
	.venv-compressai/bin/python -m pip install --quiet --disable-pip-version-check \
	  torch -c constraints-compressai.txt $(if $(TORCH_INDEX),--no-deps --index-url $(TORCH_INDEX))
	.venv-compressai/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  compressai -c constraints-compressai.txt
	@touch $@

# In a folder of its own, of the version that JAX names (rdc/compiler/tpu.py says why).
tpu-compiler: $(VENV)/tpu-compiler/.installed ## libtpu, for estimates of decoders on TPUs that are not there (0.7 GB)

$(VENV)/tpu-compiler/.installed: $(VENV)/.installed
	rm -rf $(@D)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  --target $(@D) "$$($(BIN)/python -c 'from rdc.compiler.tpu import compiler_requirement as r; print(r())')"
	@touch $@

cuda-compiler: $(VENV)/cuda-compiler/.installed ## JAX's CUDA plugin, for rooflines on GPUs that are not there (5 GB)

$(VENV)/cuda-compiler/.installed: $(VENV)/.installed
	rm -rf $(@D)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --target $(@D) "$$($(BIN)/python -c 'from rdc.compiler.cuda import compiler_requirement as r; print(r())')"
	@touch $@

browser: install ## A browser for the tests of the report: by apt-get as root, or Playwright's
	@$(BIN)/python -m tests.browser

ip: ## The program of that name, which tests of clusters need: by apt-get as root
	@command -v ip >/dev/null || { apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq iproute2; } >/dev/null

# What cannot be had stops no test run: its last line names it.
test-environments: install
	@$(MAKE) --no-print-directory tfc || echo "going on without the coder tfc" >&2
	@$(MAKE) --no-print-directory browser || echo "going on without a browser" >&2

frontier: install ## Train, code, time and plot the small grid (ARGS="key=value ...")
	$(BIN)/python launch/sweep.py +grid=rdc_mini $(ARGS)

# On a GPU: docs/results/gpu.md. On CPUs one training per core, behind everything else.
REFERENCE = nice -n 15 $(BIN)/python launch/sweep.py +grid=rdc_small out=out/reference \
  launcher=local hardware=$(HARDWARE) train=$(RECIPE) data.train=$(TRAIN) \
  checkpoint.model_dtype=bfloat16
HARDWARE ?= cpu
RECIPE ?= reference
TRAIN ?= ../shared/data/train_small.txt
# Folders named `kodak` and `clic`: reports and pages know Kodak by its images.
EVAL ?= ../shared/data/kodak ../shared/data/clic

reference: install ## Train and evaluate the reference models; goes on where it stopped
	$(REFERENCE) data.eval=$(firstword $(EVAL)) stages=[plan,complexity,train] $(ARGS)
	$(MAKE) reference-page

# Exit code 3 is that of a sweep with gaps: models that are not trained yet.
reference-page: install ## Evaluate what is trained of them, and write their page
	for set in $(EVAL); do \
	  $(REFERENCE) data.eval=$$set stages=[plan,complexity,evaluate,gather,report] $(ARGS) \
	    || [ $$? = 3 ] || exit 1; \
	done
	$(BIN)/python -m analysis.models_page out/reference

# Minutes of a core for an image.
reference-overfitted: install ## Codecs overfitted to each image beside them
	$(REFERENCE) data.eval=$(firstword $(EVAL)) overfitted=two_presets \
	  stages=[plan,complexity,evaluate,gather,report] $(ARGS) || [ $$? = 3 ]
	$(BIN)/python -m analysis.models_page out/reference

reference-times: install ## Their decode times, on a machine that does nothing else
	$(REFERENCE) data.eval=$(firstword $(EVAL)) \
	  stages=[plan,complexity,benchmark,gather,report] $(ARGS) || [ $$? = 3 ]
	$(BIN)/python -m analysis.models_page out/reference

test: test-environments ## The whole test suite and the linters
	$(MAKE) lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations=15

# Of the codec the shipped model alone: its laws on random models take minutes.
test-alone: install ## What differs on a machine where nothing lies beside this folder
	RDC_TEST_DATA=/nonexistent $(BIN)/python -m pytest -n 2 --dist loadfile \
	  -m "photographs and not benchmark" -k "not codec or shipped" \
	  --ignore=tests/integration --ignore=tests/benchmarks

lint: install ## ruff and mypy
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: install ## Rewrite the code in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install ip tpu-compiler cuda-compiler peers ## The long measurements
	$(BIN)/python -m pytest -m benchmark tests/benchmarks tests/integration -s

goldens: install ## Write the golden files again (look at the difference)
	$(BIN)/python -m tests.golden.write

clean: ## Remove what these commands made here, the sweeps' outputs excepted
	rm -rf $(VENV) .venv-tfc .venv-compressai .pytest_cache .ruff_cache .mypy_cache .hypothesis \
	  build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
