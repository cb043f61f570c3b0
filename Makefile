# PilotMesh on one machine: `make demo` needs Python 3.11 or newer and make, nothing else.
# Addresses, ports and data are settings: see docs/operating.md (PILOTMESH_PORT, PILOTMESH_HOME, …).

PYTHON ?= python3
BIN := .venv/bin
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install install-dev demo demo-federation up verify test lint api api-check bench faults clean

help: ## what can be made here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install:
	@$(PYTHON) -m deploy.bootstrap

install-dev:
	@$(PYTHON) -m deploy.bootstrap --dev

demo: install ## a whole node with the sample portfolio, until Ctrl-C
	@$(BIN)/pilotmesh demo

demo-federation: install ## a hub and three agencies' nodes: a testbed across them, a link cut and healed
	@$(BIN)/python -m deploy.demo.federation

up: install ## a whole node without the sample, until Ctrl-C
	@$(BIN)/pilotmesh up

verify: install ## prove every ledger of the node in PILOTMESH_HOME
	@$(BIN)/pilotmesh verify

test: install-dev ## the tests, faults in their short form (PYTEST_ARGS="-k …")
	@$(BIN)/python -m pytest -n auto --dist loadfile $(PYTEST_ARGS)

lint: install-dev ## style, types, the arrows between modules, API documents up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory api-check

api: install-dev ## write docs/openapi and docs/asyncapi anew
	$(BIN)/python -m deploy.api_documents

api-check: install-dev
	$(BIN)/python -m deploy.api_documents --check

bench: install-dev ## speed, as ratios to the bare parts (bench.json)
	@$(BIN)/python -m tests.bench

faults: install-dev ## kill everything in turn while clients write, the long form
	@$(BIN)/python -m pytest tests/faults tests/federation --long $(PYTEST_ARGS)

clean: ## remove what is made here, but no node's data
	rm -rf .venv .bootstrap .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist
