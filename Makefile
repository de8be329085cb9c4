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
T ?=
SINCE ?= main
UPGRADE ?=
# What is given to these is data: it reaches the recipes as it was typed, through the environment, and neither make nor a shell reads anything
# into it. T, FIGURES and UPGRADE are words of a command line: they are taken apart at blanks and quotes, as xargs does, and nothing else.
DATA := PYTHON STATE DOCUMENTS CORPUS SINCE WORKERS MINUTES RUNS SEALS KILLS SEED T FIGURES UPGRADE
$(foreach name,$(DATA),$(eval override $(name) := $$(value $(name))))
export $(DATA)
WORDS = mapfile -t -d '' words < <(printf '%s' "$$$(1)" | xargs -r printf '%s\0'); wait $$!;
NUMBER := [[ $$number =~ ^[0-9]{1,9}$$ ]] || { echo "$$name is a number" >&2; exit 64; }
BIN := .venv/bin
LONG_TESTS := tests/crash/test_crash_at_length.py tests/benchmarks/test_run.py tests/benchmarks/test_peers.py tests/longterm/test_corpus.py tests/ca/test_rollover_services.py $(addprefix tests/cli/,test_rollover.py test_extending.py test_outside_ca.py test_demo.py test_without_core.py test_installation.py) tests/system/test_kills.py tests/system/test_kills_at_length.py tests/judges
PACKAGES := sealcore signer longterm ca timestamp ledger verify workflow sandbox vermilion hsm_config benchmarks tools

# Processes of the tests keep what they compile of ours, or each of hundreds would do it anew.
check test test-more fuzz crash: export PYTHONDONTWRITEBYTECODE =
IMPORTED := tests/__pycache__/imported

.PHONY: help setup setup-test setup-long setup-bench demo up check test test-more test-long fuzz crash lint format lock proto docs deploy-files documents bench bench-peers soak clean

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@printf '  %s (now: %s)\n' \
	  "DOCUMENTS=folder   what the demo seals      " "$$DOCUMENTS" \
	  "T='tests/…'        what test runs           " "$${T:-all but the long ones}" \
	  "SINCE=commit       what check compares with " "$$SINCE" \
	  "UPGRADE='name …'   what lock may raise      " "$${UPGRADE:-nothing}" \
	  "MINUTES=number     how long fuzz goes on    " "$$MINUTES" \
	  "KILLS=number       how often crash kills    " "$$KILLS" \
	  "STATE=folder       where the office lives   " "$$STATE" \
	  "FIGURES='…'        what bench measures      " "$${FIGURES:-all of docs/benchmarks.md}" \
	  "RUNS=number        how often bench measures " "$$RUNS"

setup: ## system packages that are missing, and the virtual environment
	@deploy/setup.sh run

setup-test: ## the same, and what the tests need
	@deploy/setup.sh test

setup-long: ## the same, and what the long tests need: Java and Maven
	@deploy/setup.sh long

setup-bench: ## the same, and what the benchmarks need
	@deploy/setup.sh bench

demo: setup ## from nothing to sealed and verified PDFs, in out/
	@$(BIN)/vermilion demo --state="$$STATE" --documents="$$DOCUMENTS"

up: setup ## start the office, the demo's where there is none, and leave it running until Ctrl-C
	@[ -e "$$STATE/vermilion.toml" ] || $(BIN)/vermilion init --state="$$STATE" --plan=examples/offices/wenheng.toml
	@$(BIN)/vermilion up --state="$$STATE"

check: setup-test ## the inner loop, about a minute on two idle cores, two on a busy machine or the first time: lint, types, layers, and the tests nearest to what has changed
	@$(BIN)/python -m tools.check --since="$$SINCE" --packages $(PACKAGES) --long-tests $(LONG_TESTS)

ifdef T
test: setup-test ## lint, types, layers and the tests; only some tests with T=tests/…
	@$(call WORDS,T) $(BIN)/python -m pytest "$${words[@]}"
else
test: setup-test
	@$(MAKE) --no-print-directory -j2 lint $(IMPORTED)
	@$(BIN)/python -m pytest -n "$$WORKERS" --dist loadgroup --no-loadscope-reorder $(addprefix --ignore=,$(LONG_TESTS))
endif

# All test modules are imported once, beside the type checker, so that the workers find them compiled.
$(IMPORTED): $(shell find tests -name '*.py')
	@$(BIN)/python -m pytest --collect-only -qq >/dev/null
	@mkdir -p $(@D) && touch $@

test-more: setup-long ## what takes longest: the benchmarks' own tests, rollover and long-term proof at length, what veraPDF says of PDF/A and PDF/UA and EU DSS of our seals
	@$(BIN)/python -m pytest $(LONG_TESTS)

test-long: test fuzz test-more ## all that, the property tests for MINUTES, and the demo over the documents in CORPUS
	@$(BIN)/vermilion demo --state="$$STATE" --documents="$$CORPUS" --out out/corpus

fuzz: setup-test ## the property tests with new random inputs, over and over for MINUTES, then the fuzz targets of the core for as long
	@name=MINUTES number=$$MINUTES; $(NUMBER); end=$$((SECONDS + 60 * 10#$$MINUTES)); while [ $$SECONDS -lt $$end ]; do \
	  FUZZ=1 $(BIN)/python -m pytest -n "$$WORKERS" --hypothesis-seed=$$RANDOM $$(grep -rl --include='test_*.py' -e '@given' -e run_state_machine_as_test tests); done
	@name=MINUTES number=$$MINUTES; $(NUMBER); tools/fuzz.sh "$$MINUTES"

crash: setup-test ## kill processes of an office KILLS times on both databases, then count; SEED goes on with a run that was broken off, or repeats its plan
	@$(BIN)/python -m tests.crash --kills="$$KILLS" --seed="$$SEED" --record="$$STATE/crash"

lint: setup-test ## ruff, mypy --strict, import-linter; clippy and rustfmt for the core where they are at hand
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy $(foreach package,$(PACKAGES) tests,-p $(package))
	@$(BIN)/lint-imports
	@tools/rust.sh lint

format: setup-test ## rewrite our files in the one style
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .
	@tools/rust.sh format

lock: ## write both lock files again from pyproject.toml; UPGRADE='name …' or UPGRADE=all raises versions
	@$(call WORDS,UPGRADE) tools/lock.sh "$${words[@]}"

proto: setup-test ## generate code from protos/vermilion/v1/*.proto
	@$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. --grpc_python_out=. protos/vermilion/v1/*.proto

docs: setup-test ## write again what docs/ has from the code: errors.md, schemas/ of reports and plans
	@$(BIN)/python docs/make_pages.py

deploy-files: setup-test ## write what deploy/ says of the services again, from vermilion/services.py
	@$(BIN)/python -m vermilion.operation.deployment .

documents: setup-test ## make examples/documents again
	@$(BIN)/python examples/make_documents.py

bench: setup-bench ## how fast it is, beside the HSM alone and other programs: table, charts, benchmarks/results/
	@$(call WORDS,FIGURES) $(BIN)/python -m benchmarks --runs="$$RUNS" --state="$$STATE/bench" "$${words[@]}"

bench-peers: ## the same documents and keys with PDFBox, iText and pyHanko
	@deploy/setup.sh peers
	@$(BIN)/python -m benchmarks --runs="$$RUNS" --state="$$STATE/bench" peers

soak: setup-bench ## whether memory grows over SEALS seals (a quarter of an hour)
	@$(BIN)/python -m benchmarks --soak-documents="$$SEALS" --state="$$STATE/bench" soak

clean: ## remove the office in STATE, its results and the caches; keeps the virtual environment
	@case $$STATE in "") echo "STATE names no folder" >&2; exit 64 ;; -*) STATE=./$$STATE ;; esac; \
	if [ -e "$$STATE/run/launcher.lock" ] && ! flock --nonblock "$$STATE/run/launcher.lock" true; then \
	  printf 'the office in %s is running; stop it first (Ctrl-C where it was started)\n' "$$STATE"; exit 1; fi; \
	if [ -e "$$STATE" ] && ! [ -e "$$STATE/vermilion.toml" ] && ! [ -d "$$STATE/bench" ] && [ -n "$$(ls -A -- "$$STATE")" ]; then \
	  printf 'there is no office in %s, but something else; nothing is removed\n' "$$STATE" >&2; exit 1; fi; \
	rm -rf -- "$$STATE" out build benchmarks/peers/build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
