# `make demo` and `make test` work on a fresh machine: they make .venv first. PYTHON chooses the interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Up to four processes, one thread each; whoever is done takes over tests of the others.
# Compiled files are kept, whatever the shell says: every process that a test starts would compile the package anew.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n auto --maxprocesses=4 --dist worksteal

.PHONY: help venv demo test test-slow test-gpu test-torch check bench clean

help:
	@echo "make demo       make clips, train on them, evaluate, write work/demo/report.html"
	@echo "make test       the tests (make test-slow: those that take longer)"
	@echo "make test-gpu   the tests that need a GPU, with the torch of PYTHON where it has one"
	@echo "make test-torch TORCH=2.6.0   the tests with another version of torch (an environment of its own, gigabytes)"
	@echo "make check      formatting, lint, types, commit messages, and the built wheel in a fresh environment"
	@echo "make bench      the benchmarks"
	@echo "make clean      remove .venv, caches and work/"

venv: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Kinema needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) -V): run make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: venv
	$(BIN)/kinema demo

test: venv
	$(PYTEST)

test-slow: $(VENV)/.with-transformers
	$(PYTEST) -m slow

# Tests against transformers are slow ones, and skipped where it is not installed.
$(VENV)/.with-transformers: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,transformers]'
	@touch $@

# The machine's own torch, where PYTHON has one, knows its GPU; everything else is installed beside it.
test-gpu:
	$(PYTHON) -m venv --system-site-packages .venv-gpu
	grep -v '^torch==' constraints.txt > .venv-gpu/constraints.txt
	.venv-gpu/bin/python -m pip install --quiet --disable-pip-version-check -c .venv-gpu/constraints.txt -e '.[dev]'
	.venv-gpu/bin/python -m pytest -q -m gpu

# Of each release: with the oldest version of torch that pyproject.toml allows, and with the newest.
test-torch:
	@test -n "$(TORCH)" || { echo "which version? make test-torch TORCH=2.6.0" >&2; exit 2; }
	$(PYTHON) -m venv .venv-torch-$(TORCH)
	grep -v '^torch==' constraints.txt > .venv-torch-$(TORCH)/constraints.txt
	.venv-torch-$(TORCH)/bin/python -m pip install --quiet --disable-pip-version-check \
		-c .venv-torch-$(TORCH)/constraints.txt 'torch==$(TORCH)' -e '.[dev]'
	.venv-torch-$(TORCH)/bin/python -m pytest -q -n auto --maxprocesses=4 --dist worksteal

check: venv
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python scripts/check_commits.py
	$(BIN)/python scripts/check_wheel.py

bench: venv
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) .venv-gpu .venv-torch-* work build dist .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
