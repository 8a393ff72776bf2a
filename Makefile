# Every target sets up what it needs first; a warm set-up costs less than half a second.
# Variables: PYTHON=<interpreter 3.11-3.13>  VENV=<directory>  CLAUDE_CLI_PATH=<a claude of your own>

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV ?= $(CURDIR)/.venv
BIN := $(abspath $(VENV))/bin
SETUP := VENV='$(abspath $(VENV))' PYTHON='$(PYTHON)' sh scripts/setup.sh
# More than two cores have: a good part of the tests waits for a child, a lease or a browser.
WORKERS ?= 3

ifdef CLAUDE_CLI_PATH
CLI :=
else
CLI := cli
CLAUDE_CLI_PATH := $(CURDIR)/.tools/bin/claude
endif
export CLAUDE_CLI_PATH

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z][a-z-]*:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: runtime pages $(CLI) ## Watch one work order go from words to a pull request, no key and no network (KEEP=1 leaves it running)
	@cd python && exec '$(BIN)/python' -m src.agent_work_orders.rehearsal.demo

.PHONY: run
run: runtime pages $(CLI) ## Start the server for real use on 127.0.0.1:8181 (HOST and ARCHON_SERVER_PORT change that)
	@cd python && ARCHON_AWO_ENABLED="$${ARCHON_AWO_ENABLED:-true}" exec '$(BIN)/python' -m src.server.main

.PHONY: mcp
mcp: test-tools ## Start the MCP server on 127.0.0.1:8051, for a server that runs already
	@cd python && exec '$(BIN)/python' -m src.mcp_server.mcp_server

.PHONY: test
test: test-tools postgrest ui-packages ui $(CLI) ## Run every test and hold the plugin's line coverage to 90 %
	@$(SETUP) browser
	cd archon-ui-main && npm test --silent
	@cd python && '$(BIN)/coverage' erase
	cd python && '$(BIN)/coverage' run -m pytest -n $(WORKERS) $(PYTEST_ARGS)
	@cd python && '$(BIN)/coverage' combine --quiet
	cd python && '$(BIN)/coverage' report

ARCHON_V1 := $(CURDIR)/.tools/archon-v1
# A part that has something to say of each library: the API, the shared store, a whole order, and a stop amid one.
PINS_PART := tests/agent_work_orders/api tests/agent_work_orders/contracts/test_supabase_store.py::TestOnTheNewestPostgres \
	tests/agent_work_orders/story/test_story.py tests/agent_work_orders/story/test_restarts.py
.PHONY: test-pins
test-pins: postgrest $(CLI) ## Run the plugin's tests with the public Archon server's own versions, on Python 3.12 (PART=yes runs a part)
	@VENV='$(ARCHON_V1)' PYTHON='$(PYTHON)' sh scripts/setup.sh archon-v1
	cd python && '$(ARCHON_V1)/bin/python' -m pytest -n $(WORKERS) $(if $(PART),$(PINS_PART),tests/agent_work_orders) $(PYTEST_ARGS)

.PHONY: check
check: check-tools ui-packages ## Format, lint, types, import layers, and whether the documents are still true
	cd python && '$(BIN)/ruff' format --check .
	cd python && '$(BIN)/ruff' check .
	cd python && '$(BIN)/mypy'
	cd python && '$(BIN)/lint-imports'
	cd python && '$(BIN)/python' -m pytest -q tests/agent_work_orders/house
	cd archon-ui-main && npm run lint --silent && npm run typecheck --silent && npm run budget --silent

.PHONY: ui
ui: ## Build the pages that the server serves
	@$(SETUP) ui

.PHONY: ui-types
ui-types: runtime ui-packages ## Write the pages' API types from the server's own description
	@cd archon-ui-main && PYTHON='$(BIN)/python' npm run types --silent

.PHONY: format
format: check-tools ui-packages ## Apply the formatter and the safe fixes (what they leave is for `make check` to say)
	cd python && '$(BIN)/ruff' check --fix --exit-zero --quiet .
	cd python && '$(BIN)/ruff' format .
	cd archon-ui-main && npm run format --silent

.PHONY: settings
settings: runtime ## Write .env.example and docs/reference/ from the code itself
	@cd python && '$(BIN)/python' -m src.agent_work_orders.desk.document
	@cd python && '$(BIN)/python' -m src.agent_work_orders.reference

.PHONY: awo-backup
awo-backup: runtime ## Write a backup of all work orders, also while the server runs (TO=<directory or file.tar.gz>)
	@cd python && exec '$(BIN)/python' -m src.agent_work_orders.backup create $(if $(TO),--to '$(abspath $(TO))')

.PHONY: awo-restore
awo-restore: runtime ## Put a backup into an empty ARCHON_HOME and database (FROM=<file.tar.gz>)
	@test -n '$(FROM)' || { echo 'Name the backup: make awo-restore FROM=<file.tar.gz>'; exit 2; }
	@cd python && exec '$(BIN)/python' -m src.agent_work_orders.backup restore '$(abspath $(FROM))'

.PHONY: bench
bench: test-tools postgrest ui $(CLI) ## Measure against the targets and write bench/results.json (AWO_BENCH_DIR=<a folder on another disk>)
	@mkdir -p bench
	cd python && exec '$(BIN)/python' -m bench

.PHONY: screenshots
screenshots: test-tools pages $(CLI) ## Take pictures of every page and state, and keep the documents' ones (ONLY=<part of a name>, FRESH=1 replaces all)
	cd python && exec '$(BIN)/python' -m screenshots $(if $(ONLY),--only '$(ONLY)') $(if $(FRESH),--fresh)

.PHONY: setup
setup: check-tools postgrest $(CLI) ## Install everything the other targets need

COMPOSE ?= docker compose

.PHONY: dev dev-awo dev-docker awo-logs awo-restart stop
dev: ui-packages ## Server and MCP server in containers, the pages from their sources on port 3737
	$(COMPOSE) -f docker-compose.yml -f docker-compose.dev.yml up -d --build archon-server archon-mcp
	cd archon-ui-main && exec npm run dev
dev-awo: ui-packages ## The same with Agent Work Orders switched on
	ARCHON_AWO_ENABLED=true $(COMPOSE) -f docker-compose.yml -f docker-compose.dev.yml up -d --build archon-server archon-mcp
	cd archon-ui-main && exec npm run dev
dev-docker: ## Everything in containers
	$(COMPOSE) --profile ui up -d --build
awo-logs: ## Follow what the server's log says of work orders
	@$(COMPOSE) logs -f --no-log-prefix archon-server | grep --line-buffered 'archon\.awo'
awo-restart: ## Restart the server in its container; running orders go on afterwards
	$(COMPOSE) restart archon-server
stop: ## Stop all containers; volumes stay
	$(COMPOSE) --profile ui down

.PHONY: install-into uninstall-from
install-into: runtime ## Put the plugin and its pages into a checkout of the public Archon v1 (ARCHON=<its folder>, PAGES=no)
	@'$(BIN)/python' scripts/install_into.py $(if $(filter no,$(PAGES)),--without-pages) '$(or $(ARCHON),$(error say where: make install-into ARCHON=<folder>))'
uninstall-from: runtime ## Take it out again (ARCHON=<its folder>)
	@'$(BIN)/python' scripts/install_into.py --undo '$(or $(ARCHON),$(error say where: make uninstall-from ARCHON=<folder>))'

.PHONY: lock
lock: ## Pin the ranges of pyproject.toml anew (needs uv)
	@sh scripts/lock.sh

.PHONY: clean
clean: ## Remove everything that make made
	rm -rf '$(abspath $(VENV))' .tools bench/scratch docs/images/all python/.coverage python/.coverage.* archon-ui-main/node_modules archon-ui-main/dist
	rm -rf python/.mypy_cache python/.ruff_cache python/.pytest_cache python/.import_linter_cache python/.hypothesis
	find python -name __pycache__ -type d -prune -exec rm -rf {} +
	@sh scripts/clean_volumes.sh '$(COMPOSE)'

# The sets are a chain because they share one virtual environment.
.PHONY: runtime test-tools check-tools cli postgrest ui-packages pages
runtime:
	@$(SETUP) runtime
test-tools: runtime
	@$(SETUP) test
check-tools: test-tools
	@$(SETUP) check
cli:
	@$(SETUP) cli
postgrest:
	@$(SETUP) postgrest
ui-packages:
	@$(SETUP) ui-packages
pages:
	@$(SETUP) pages
