# The recipes people and CI run. Each sets up what it needs; a second run repeats only what changed.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: demo test check chaos bench bench-peers api lock clean

demo: $(INSTALLED)
	$(BIN)/everline demo

# Two workers, each with servers of its own: most tests wait for programs and disks, not for a processor.
test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Breaks a cluster at random and checks it: make chaos SEED=... FAULTS=...
FAULTS ?= 200
chaos: $(INSTALLED)
	$(BIN)/python -m tests.acceptance.chaos --faults $(FAULTS) $(if $(SEED),--seed $(SEED))

# SCALE=small measures less; ROWS=append,http only those sections; BENCH_JSON=FILE also writes the rows as JSON.
bench: $(INSTALLED)
	$(BIN)/python -m tests.bench

# The servers and libraries that `make bench` compares with, in an environment of their own; it works without them too.
bench-peers: .venv-bench/.installed

.venv-bench/.installed: requirements-bench.lock
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	.venv-bench/bin/python -m pip install --quiet --require-hashes -r requirements-bench.lock
	@touch $@

# What the client knows of the server's tables, made from the projections' declarations.
api: $(INSTALLED)
	$(BIN)/python -m gateway.client_tables

# Resolves anew what pyproject.toml asks for; the versions already locked stay unless they no longer fit.
lock: $(INSTALLED)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --generate-hashes \
		--no-emit-index-url --no-header --quiet -o requirements.lock
	$(BIN)/uv pip compile --group peers --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --quiet -o requirements-bench.lock

clean:
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find . -path ./.venv -prune -o -type d -name __pycache__ -exec rm -rf {} +

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Everline needs Python 3.11 or newer: make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps -e .
	@touch $@
