# Everything a newcomer runs. `make` lists it; CI runs the same recipes and nothing else.
SHELL := /bin/bash
BIN := .venv/bin
ARGS ?=
PIP_ARGS ?=

# Read by Ray when it is imported: every port on loopback, nothing reported to anybody.
export RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER := 0
export RAY_USAGE_STATS_ENABLED := 0

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow bench check proto system

help: ## list these
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## set up .venv (minutes, and 2.4 GB, once); PIP_ARGS=... goes to pip
	@tools/install.sh $(PIP_ARGS)

demo: install ## the whole story: start, look, predict, what if, kill a shard, nothing is lost
	@$(BIN)/python -m cluster.demo $(ARGS)

test: install ## the tests that CI runs; ARGS="-k name" picks some
	@$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadscope --no-loadscope-reorder $(ARGS)

test-slow: install ## long fault, soak and drill runs
	@$(BIN)/python -m pytest -m slow $(ARGS)

bench: install ## figures of this machine beside Redis and PostgreSQL, if installed; ARGS="--seconds 20 --events 5e6"
	@for name in ingest query recover memory snapshot; do \
		echo "bench $$name"; $(BIN)/twin bench $$name $(ARGS) || exit; done

check: install ## lint, types, layers, lengths, version
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python tools/lengths.py
	@$(BIN)/python tools/versions.py
	@$(BIN)/python -m cluster.cli contracts check
	@if command -v buf >/dev/null; then buf lint; else echo "buf is not here: the proto is not linted"; fi

system: ## Debian packages for tests (chromium) and bench (Redis, PostgreSQL); none is needed to run
	@tools/system.sh

proto: ## generate the gRPC stubs anew, after a change of serving/wire/*.proto
	@test -x .venv-proto/bin/python || python3 -m venv .venv-proto
	@.venv-proto/bin/python -m pip install -q grpcio-tools==1.76.0
	@.venv-proto/bin/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. \
		--grpc_python_out=. serving/wire/*.proto
