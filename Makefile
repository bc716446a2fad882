# mapcount: `make` or `make help` lists what can be done. Needs a Python of 3.11 or later with venv, and nothing else.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help report test test-kernels record lint types check-tree bench bench-replay bench-machine bench-check docs lock man clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.run: pyproject.toml requirements.lock
	@test -z "$$SUDO_UID" || test "$$(stat -c %u .)" = 0 || { echo "Run make without sudo: it would leave files of root here, and the capture asks for root itself." >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed: make PYTHON=python3.11 ..." >&2; exit 3; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Python's venv module is incomplete here. Run: apt-get install -y python3-venv" >&2; exit 3; }
	@echo "Setting up $(VENV) (once; about half a minute) ..." >&2
	@$(PIP) --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install --constraint requirements.lock -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo "Adding the tools that test it (once) ..." >&2
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --constraint requirements.lock --group dev
	@touch $@

report: $(VENV)/.run ## who maps what on this machine, now (asks for root for the capture alone)
	@$(BIN)/mapcount report --sudo

test: lint types check-tree ## lint, types, layers and tests
	@$(BIN)/python -m pytest -m "live and not kernels"
	@$(BIN)/python -m pytest -m "not live and not kernels" --numprocesses 2

test-kernels: $(VENV)/.dev ## real kernels in QEMU: 6.1 and 6.12, or MAPCOUNT_TEST_KERNELS="..."
	@$(BIN)/python -m pytest -m kernels --numprocesses 2 --dist loadgroup tests/*/test_*kernels.py

record: $(VENV)/.dev ## what all cached kernels show, into tests/golden (QEMU, minutes for each)
	@$(BIN)/python -m mapcount.agreement.record_golden tests/golden $(ARGS)

lint: $(VENV)/.dev ## ruff
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.dev ## mypy --strict
	@$(BIN)/mypy

check-tree: $(VENV)/.dev ## imports go one way; no file over 600 lines
	@$(BIN)/lint-imports --no-logo
	@find src tests benchmarks -not -path '*/vendor/*' '(' -name '*.py' -o -name '*.c' -o -name '*.js' -o -name '*.css' ')' -exec wc -l {} + | \
	  awk '$$2 != "total" && $$1 > 600 {print $$2 ": " $$1 " lines, the cap is 600"; bad = 1} END {exit bad}'

bench: $(VENV)/.run ## the benchmark table (root, about ten minutes)
	@$(BIN)/python -B benchmarks/run.py $(ARGS)

bench-replay: $(VENV)/.run ## replay against hand-written C (gcc, about three minutes)
	@$(BIN)/python -B benchmarks/replay.py $(ARGS)

bench-check: $(VENV)/.run ## the checker against SPIN (spin and gcc, about ten minutes)
	@$(BIN)/python -B benchmarks/check_spin.py $(ARGS)

bench-machine: $(VENV)/.run ## how fast the model is (about a minute)
	@$(BIN)/python -B benchmarks/machine.py $(ARGS)

man: $(VENV)/.dev ## man page into build/mapcount.1
	@mkdir -p build
	@COLUMNS=200 $(BIN)/argparse-manpage --module mapcount.cli --function build_parser --prog mapcount --project-name mapcount \
	  --version "$$($(BIN)/mapcount --version | cut -d' ' -f2)" --manual-title "User Commands" \
	  --description "show who maps the folios of a Linux machine" --format single-commands-section --output build/mapcount.1

docs: $(VENV)/.dev ## the handbook into build/handbook (offline; a warning is an error)
	@$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -b html -d build/doctrees docs build/handbook
	@echo "build/handbook/index.html"

lock: ## write requirements.lock: the newest versions that fit together on this Python
	@$(PYTHON) -m venv --clear build/lock
	@build/lock/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	@build/lock/bin/python -m pip install --quiet . --group dev
	@{ echo "# Versions that make, development and CI use, for CPython 3.11 and later. Made by: make lock"; \
	  build/lock/bin/python -m pip freeze --exclude mapcount; } > build/requirements.lock
	@rm -r build/lock && mv build/requirements.lock requirements.lock

clean: ## remove the venv and build products
	rm -rf $(VENV) build
