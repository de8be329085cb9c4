# Vermilion, an open seal office. `make` alone says what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
STATE ?= var
DOCUMENTS ?= examples/documents
WORKERS ?= 4
MINUTES ?= 10
CORPUS ?= ../shared/corpus
FIGURES ?=
RUNS ?= 3
SEALS ?= 200000
KILLS ?= 1000
SEED ?=
BIN := .venv/bin
LONG_TESTS := tests/benchmarks/test_run.py tests/benchmarks/test_peers.py tests/longterm/test_corpus.py tests/ca/test_rollover_services.py $(addprefix tests/cli/,test_rollover.py test_extending.py test_outside_ca.py test_demo.py) tests/judges
PACKAGES := sealcore signer longterm ca timestamp ledger verify workflow vermilion hsm_config benchmarks tools
SINCE ?= main
T ?=
UPGRADE ?=

.PHONY: help setup setup-test setup-long setup-bench demo up check test test-more test-long fuzz crash lint format lock proto docs deploy-files documents bench bench-peers soak clean

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  DOCUMENTS=folder   what the demo seals       (now: $(DOCUMENTS))"
	@echo "  T='tests/…'        what test runs            (now: $(if $(T),$(T),all but the long ones))"
	@echo "  SINCE=commit       what check compares with  (now: $(SINCE))"
	@echo "  UPGRADE='name …'   what lock may raise       (now: $(if $(UPGRADE),$(UPGRADE),nothing))"
	@echo "  MINUTES=number     how long fuzz goes on     (now: $(MINUTES))"
	@echo "  KILLS=number       how often crash kills     (now: $(KILLS))"
	@echo "  STATE=folder       where the office lives    (now: $(STATE))"
	@echo "  FIGURES='…'        what bench measures       (now: $(if $(FIGURES),$(FIGURES),all of docs/benchmarks.md))"
	@echo "  RUNS=number        how often bench measures  (now: $(RUNS))"

setup: ## system packages that are missing, and the virtual environment
	@PYTHON="$(PYTHON)" deploy/setup.sh run

setup-test: ## the same, and what the tests need
	@PYTHON="$(PYTHON)" deploy/setup.sh test

setup-long: ## the same, and what the long tests need: Java and Maven
	@PYTHON="$(PYTHON)" deploy/setup.sh long

setup-bench: ## the same, and what the benchmarks need
	@PYTHON="$(PYTHON)" deploy/setup.sh bench

demo: setup ## from nothing to sealed and verified PDFs, in out/
	@$(BIN)/vermilion demo --state "$(STATE)" --documents "$(DOCUMENTS)"

up: setup ## start the office and leave it running until Ctrl-C
	@$(BIN)/vermilion up --state "$(STATE)"

check: setup-test ## the inner loop, under a minute: lint, types, layers, and the tests nearest to what has changed
	@$(BIN)/python -m tools.check --since "$(SINCE)" --packages $(PACKAGES) --long-tests $(LONG_TESTS)

ifdef T
test: setup-test ## lint, types, layers and the tests; only some tests with T=tests/…
	@$(BIN)/python -m pytest $(T)
else
test: setup-test lint
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder $(addprefix --ignore=,$(LONG_TESTS))
endif

test-more: setup-long ## what takes longest: the benchmarks' own tests, rollover and long-term proof at length, what veraPDF says of PDF/A and PDF/UA and EU DSS of our seals
	@$(BIN)/python -m pytest $(LONG_TESTS)

test-long: test fuzz test-more ## all that, the property tests for MINUTES, and the demo over the documents in CORPUS
	@$(BIN)/vermilion demo --state "$(STATE)" --documents "$(CORPUS)" --out out/corpus

fuzz: setup-test ## the property tests with new random inputs, over and over for MINUTES
	@end=$$((SECONDS + 60 * $(MINUTES))); while [ $$SECONDS -lt $$end ]; do \
	  $(BIN)/python -m pytest -n $(WORKERS) --hypothesis-seed=$$RANDOM $$(grep -rl --include='test_*.py' -e '@given' -e run_state_machine_as_test tests); done

crash: setup-test ## kill processes of an office KILLS times on both databases, then count; SEED repeats a plan
	@$(BIN)/python -m tests.crash --kills "$(KILLS)" --seed "$(SEED)"

lint: setup-test ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy $(foreach package,$(PACKAGES) tests,-p $(package))
	@$(BIN)/lint-imports

format: setup-test ## rewrite our files in the one style
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

lock: ## write both lock files again from pyproject.toml; UPGRADE='name …' or UPGRADE=all raises versions
	@PYTHON="$(PYTHON)" tools/lock.sh $(UPGRADE)

proto: setup-test ## generate code from protos/vermilion/v1/*.proto
	@$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. --grpc_python_out=. protos/vermilion/v1/*.proto

docs: setup-test ## write docs/errors.md again from the registry of codes
	@$(BIN)/python docs/make_errors_page.py

deploy-files: setup-test ## write what deploy/ says of the services again, from vermilion/services.py
	@$(BIN)/python -m vermilion.operation.deployment .

documents: setup-test ## make examples/documents again
	@$(BIN)/python examples/make_documents.py

bench: setup-bench ## how fast it is, beside the HSM alone and other programs: table, charts, benchmarks/results/
	@$(BIN)/python -m benchmarks --runs "$(RUNS)" --state "$(STATE)/bench" $(FIGURES)

bench-peers: ## the same documents and keys with PDFBox, iText and pyHanko
	@PYTHON="$(PYTHON)" deploy/setup.sh peers
	@$(BIN)/python -m benchmarks --runs "$(RUNS)" --state "$(STATE)/bench" peers

soak: setup-bench ## whether memory grows over SEALS seals (a quarter of an hour)
	@$(BIN)/python -m benchmarks --soak-documents "$(SEALS)" --state "$(STATE)/bench" soak

clean: ## remove the office in STATE, its results and the caches; keeps the virtual environment
	@if [ -e "$(STATE)/run/launcher.lock" ] && ! flock --nonblock "$(STATE)/run/launcher.lock" true; then \
	  echo "the office in $(STATE) is running; stop it first (Ctrl-C where it was started)"; exit 1; fi
	@rm -rf "$(STATE)" out build benchmarks/peers/build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
