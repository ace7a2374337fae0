# The door. `make` lists what there is; each target does the set-up that it needs.
# A machine needs Python 3.11 or newer and make; everything else comes from PyPI at the versions and hashes of requirements.lock.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
# Two stamps: what the server needs installs in seconds, the tools and test models take longer.
SERVER := $(VENV)/.server-installed
EVERYTHING := $(VENV)/.everything-installed
PAGE := letta_grpc/gateway/page
GRPCURL := $(VENV)/go/bin/grpcurl
GRPCURL_VERSION := v1.9.3
UV := $(BIN)/uv
export UV_PYTHON := $(VENV)/bin/python
export UV_NO_PROGRESS := 1
# uv leaves it to the first import, and where that may not write bytecode (PYTHONDONTWRITEBYTECODE) every start would do it again.
export UV_COMPILE_BYTECODE := 1

# Where `make generate` writes; the check for stale code points it elsewhere.
OUT ?= .
PROTOS := $(wildcard protos/letta_grpc/v1/*.proto)
GOOGLE_PROTOS := api/annotations api/http rpc/code rpc/error_details rpc/status
# Unit and contract tests: no process of ours, no model that has to be loaded. `make test` runs all there are.
QUICK_TESTS := $(wildcard tests/adapters tests/transport tests/client tests/telemetry tests/static)
# They alone have to go through every branch of letta_grpc.domain and letta_grpc.engine; what is left out fails the run.
CORE_TESTS := tests/domain tests/engine
CLIENTS := python go typescript java rust
TOOLCHAIN_python := $(BIN)/python
TOOLCHAIN_go := go
TOOLCHAIN_typescript := npm
TOOLCHAIN_java := mvn
TOOLCHAIN_rust := cargo
CLIENT_FLAGS = --no-print-directory PYTHON="$(CURDIR)/$(BIN)/python"
SERVER_TESTS := tests/wire tests/promises tests/letta tests/browser tests/clients
# A laptop shows what it does; CI has two cores and nobody who looks.
AT_ONCE = $(if $(CI),--jobs=2 --output-sync=target)
# An editable package is compiled where it lies.
INSTALL_PACKAGE = $(UV) pip install --quiet --no-deps --no-build-isolation -e . && $(BIN)/python -m compileall -q letta_grpc
# What all tests need. `make test` empties it once it is done: each look would let its halves begin in another order.
SET_UP = $(EVERYTHING) .buf/googleapis grpcurl node page-tools
FLOOR := --cov --cov-report=term-missing:skip-covered

.PHONY: help demo test check lint types proto generate proto-accept docs lock fmt bench page clients

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(SERVER) ## Watch an agent answer over gRPC: no key, no service, no input
	@$(BIN)/letta-grpc demo

test: $(SET_UP) ## Run every test
	@$(MAKE) --no-print-directory $(AT_ONCE) test-core test-parts test-servers SET_UP=
	@$(MAKE) --no-print-directory $(AT_ONCE) clients

# They mostly wait, for processes that start and for what is killed to come back. Two at once: the first takes so long that the
# last, which begins when it has ended, ends with the second.
.PHONY: test-core test-parts test-servers
test-core: $(EVERYTHING)
	@$(BIN)/pytest -q $(CORE_TESTS) $(FLOOR)
test-parts: $(SET_UP)
	@PATH="$(CURDIR)/$(VENV)/go/bin:$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -q $(addprefix --ignore=,$(CORE_TESTS) $(SERVER_TESTS))
test-servers: $(SET_UP)
	@PATH="$(CURDIR)/$(VENV)/go/bin:$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -q $(SERVER_TESTS)

check: lint types $(EVERYTHING) test-core ## Everything static, the unit tests and the contract tests
	@$(BIN)/pytest -q --ignore=tests/adapters/test_llama_real.py $(QUICK_TESTS)

lint: $(EVERYTHING) .buf/googleapis
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports
	@$(BIN)/buf lint protos
	@$(BIN)/buf breaking protos --against protos/baseline.binpb

types: $(EVERYTHING)
	@$(BIN)/mypy
	@$(BIN)/pyright

proto: generate fmt $(addprefix stubs-,$(CLIENTS)) ## Generate from protos/ letta_grpc/v1, the gateway's contract and the clients' stubs, and the synchronous client from the asynchronous one

generate: $(EVERYTHING) .buf/googleapis
	@mkdir -p $(OUT)/letta_grpc/v1
	@rm -f $(OUT)/letta_grpc/v1/*_pb2*.py $(OUT)/letta_grpc/v1/*_pb2*.pyi
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -Iprotos -I.buf/googleapis \
		--python_out=$(OUT) --mypy_out=$(OUT) --grpc_python_out=$(OUT) --mypy_grpc_out=$(OUT) $(PROTOS) 2>&1 | sed '/^Writing mypy/d'
	@mkdir -p $(OUT)/letta_grpc/gateway/contract
	@$(BIN)/python -m grpc_tools.protoc -Iprotos -I.buf/googleapis --include_imports --include_source_info \
		--descriptor_set_out=$(OUT)/letta_grpc/gateway/contract/v1.binpb $(PROTOS)
	@mkdir -p $(OUT)/letta_grpc/client/_sync
	@$(BIN)/python letta_grpc/client/_unasync.py $(OUT)/letta_grpc/client/_sync

proto-accept: $(EVERYTHING) .buf/googleapis ## Accept the contract as it is: later changes must not break it
	@$(BIN)/buf build protos -o protos/baseline.binpb

lock: $(UV) ## Pin what pyproject.toml asks for; UPGRADE=1 takes the newest of everything, UPGRADE=NAME of one package
	@$(UV) pip compile --quiet --generate-hashes --no-header --universal --all-extras --group dev \
		$(if $(UPGRADE),$(if $(filter 1,$(UPGRADE)),--upgrade,--upgrade-package $(UPGRADE))) pyproject.toml -o requirements.lock

fmt: $(EVERYTHING) ## Format the code and fix what can be fixed mechanically
	@$(BIN)/ruff check --fix-only --quiet
	@$(BIN)/ruff format --quiet

docs: $(EVERYTHING) grpcurl ## Write the generated tables and transcripts of the documents
	@PATH="$(CURDIR)/$(VENV)/go/bin:$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.support.recording

bench: $(EVERYTHING) ## Measure against the bare upstream and a relay without state
	@$(BIN)/letta-grpc bench

clients: $(addprefix client-,$(CLIENTS)) ## Build the client of each language, and play broken streams and dying servers to it

# Without its toolchain a language is skipped, with the reason; in CI it has to run. The kit waits more than it computes, so
# two at a time take little longer than the slower one.
.PHONY: $(addprefix client-,$(CLIENTS)) $(addprefix stubs-,$(CLIENTS))
$(addprefix client-,$(CLIENTS)): client-%: $(EVERYTHING) .buf/googleapis
	@if command -v $(TOOLCHAIN_$*) >/dev/null; then echo "the client in $*"; $(MAKE) $(CLIENT_FLAGS) -C clients/$* test; \
	elif [ -n "$${CI:-}" ]; then echo "the client in $* needs $(TOOLCHAIN_$*)" >&2; exit 1; \
	else echo "the client in $* is skipped: $(TOOLCHAIN_$*) is not installed"; fi

$(addprefix stubs-,$(CLIENTS)): stubs-%: $(EVERYTHING) .buf/googleapis
	@if command -v $(TOOLCHAIN_$*) >/dev/null; then $(MAKE) $(CLIENT_FLAGS) -C clients/$* generate; \
	else echo "the stubs in $* stay as they are: $(TOOLCHAIN_$*) is not installed"; fi

.buf/googleapis: $(EVERYTHING)
	@rm -rf $@
	@for name in $(GOOGLE_PROTOS); do \
		mkdir -p $@/google/$$(dirname $$name); \
		cp "$$($(BIN)/python -c 'import google.rpc, pathlib; print(pathlib.Path(list(google.rpc.__path__)[0]).parent)')/$$name.proto" $@/google/$$name.proto; \
	done

# The official SDKs for Node. Without npm their tests are skipped, with the reason; in CI they have to run.
.PHONY: node
node:
	@if [ tests/node/node_modules -nt tests/node/package-lock.json ]; then :; \
	elif command -v npm >/dev/null; then \
		echo "installing the SDKs for Node into tests/node"; \
		npm ci --prefix tests/node --no-audit --no-fund --silent && touch tests/node/node_modules; \
	fi

page: page-tools ## Build the gateway's chat page (needs Node; what it writes is committed)
	@cd $(PAGE) && npm run --silent build

# What builds the page, and axe for its tests. Without npm those tests are skipped, with the reason; in CI they have to run.
.PHONY: page-tools
page-tools:
	@if [ $(PAGE)/node_modules -nt $(PAGE)/package-lock.json ]; then :; \
	elif command -v npm >/dev/null; then \
		echo "installing what builds the page into $(PAGE)"; \
		(cd $(PAGE) && npm ci --ignore-scripts --no-audit --no-fund --silent && touch node_modules); \
	fi

# grpcurl is written in Go. Without Go its transcripts are skipped, with the reason; in CI they have to run.
.PHONY: grpcurl
grpcurl:
	@if [ -x $(GRPCURL) ]; then :; \
	elif command -v go >/dev/null; then \
		echo "installing grpcurl $(GRPCURL_VERSION) into $(VENV)"; \
		GOBIN="$(CURDIR)/$(VENV)/go/bin" go install github.com/fullstorydev/grpcurl/cmd/grpcurl@$(GRPCURL_VERSION); \
	elif [ -n "$${CI:-}" ]; then echo "the tests with grpcurl need Go" >&2; exit 1; \
	else echo "Go is not installed: the tests with grpcurl will be skipped"; fi

$(SERVER): requirements.lock pyproject.toml | $(UV)
	@echo "installing the server into $(VENV)"
	@$(UV) pip install --quiet --require-hashes -c requirements.lock -r pyproject.toml --extra server
	@$(INSTALL_PACKAGE)
	@touch $@

# `sync` also removes what the lock no longer names; the package itself is put back behind it.
$(EVERYTHING): requirements.lock pyproject.toml | $(UV)
	@echo "installing everything into $(VENV)"
	@$(UV) pip sync --quiet --require-hashes requirements.lock
	@$(INSTALL_PACKAGE)
	@touch $(SERVER) $@

$(UV): | $(BIN)/python
	@sed -n '/^uv==/,/^    #/p' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r $(VENV)/uv.lock

$(BIN)/python:
	@for python in $(PYTHON) python3.13 python3.12 python3.11 python3 python; do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then break; fi; python=; \
	done; \
	if [ -z "$$python" ]; then \
		echo "letta_grpc needs Python 3.11 or newer; python3 here is: $$(python3 --version 2>&1 || true)" >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.12 …" >&2; exit 1; \
	fi; \
	echo "creating $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv $(VENV) || { rm -rf $(VENV); \
		echo "\"$$python -m venv\" failed; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
