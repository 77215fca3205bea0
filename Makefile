# `make sweep` and `make test` are all that a fresh machine needs; `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 5000
INSTALLED := $(VENV)/.installed
BENCH_VENV := .venv-bench
BENCH_INSTALLED := $(BENCH_VENV)/.installed

.PHONY: help setup sweep test lint ui wheel bench-setup

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(INSTALLED) ## Create .venv with the package and its tools at the tested versions

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev]'
	@touch $@

sweep: setup ## Run the default sweep of 32 runs
	$(BIN)/python -m mnist_bench -m

# In the order of the page. Under 40 minutes on two cores that nothing else uses.
.PHONY: bench
bench: setup bench-setup ## Time everything, write docs/performance.md and the README's table
	$(BENCH_VENV)/bin/python -m benchmarks.peers
	$(BENCH_VENV)/bin/python -m benchmarks.roofline
	$(BIN)/python -m benchmarks.end_to_end
	$(BIN)/python -m benchmarks.scaling
	$(BIN)/python -m docs.make_performance

lint: setup ## Run ruff, mypy and deptry
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/deptry mnist_bench hydra_plugins

# Two at a time, a file each: much of a test is the start of a program, which uses one core. In the
# order of names, since xdist would start with the files of many tests and end with those of the
# longest.
test: lint ## Run lint, then pytest
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

ui: setup ## Show the runs of this folder in MLflow's UI, on this machine only
	@$(BIN)/python -m mnist_bench ui --port $(PORT)

wheel: setup ## Build the wheel into dist/
	$(BIN)/python -m build --wheel --outdir dist .

bench-setup: $(BENCH_INSTALLED) ## Create .venv-bench with the package, PyTorch and JAX, for benchmarks

$(BENCH_INSTALLED): pyproject.toml constraints.txt benchmarks/constraints.txt
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --constraint benchmarks/constraints.txt --editable '.[bench]'
	@touch $@
