# mapcount: `make` or `make help` lists what can be done.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
UV     := $(shell command -v uv 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help report test lint types check-tree bench lock man clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(VENV)/.run: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Python's venv module is incomplete here. Run: apt-get install -y python3-venv" >&2; exit 3; }
	@echo "Setting up $(VENV) (once; about half a minute) ..." >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
ifdef UV
	@$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --constraint requirements.lock -e .
else
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock -e .
endif
	@touch $@

$(VENV)/.dev: $(VENV)/.run
ifdef UV
	@$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --constraint requirements.lock --group dev
else
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --group dev
endif
	@touch $@

report: $(VENV)/.run ## who maps what on this machine, now (asks for root for the capture alone)
	@$(BIN)/mapcount report --sudo

test: lint types check-tree ## lint, types, layers and tests
	@$(BIN)/python -m pytest

lint: $(VENV)/.dev ## ruff
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.dev ## mypy --strict
	@$(BIN)/mypy

check-tree: $(VENV)/.dev ## imports go one way; no file over 600 lines
	@$(BIN)/lint-imports --no-logo
	@git ls-files -z '*.py' '*.c' | xargs -0 wc -l | awk '$$2 != "total" && $$1 > 600 {print $$2 ": " $$1 " lines, the cap is 600"; bad = 1} END {exit bad}'

bench: $(VENV)/.run ## the benchmark table (root, about ten minutes)
	@$(BIN)/python -B benchmarks/run.py $(ARGS)

man: $(VENV)/.dev ## man page into build/mapcount.1
	@mkdir -p build && $(BIN)/argparse-manpage --module mapcount.cli --function build_parser --project-name mapcount \
	  --prog mapcount --description "$$($(BIN)/python -c 'import mapcount; print(mapcount.__doc__.splitlines()[0])')" --output build/mapcount.1

lock: $(VENV)/.dev ## write requirements.lock from what is installed
	@$(BIN)/python -m pip freeze --exclude-editable --exclude mapcount --exclude pip --exclude setuptools > requirements.lock.tmp
	@{ echo "# Versions that development and CI use. Made by: make lock"; cat requirements.lock.tmp; } > requirements.lock && rm requirements.lock.tmp

clean: ## remove the venv and build products
	rm -rf $(VENV) build
