# Set-up and the commands of the README. `make help` lists them.
#
# A fresh machine needs python3.11 (or 3.12), make and git. Everything is put into this folder: .venv/ and .cache/.
# The exceptions are `make browser` and `make test-servers`, which install system packages.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || echo python3)
EXAMPLE ?= demo
PORT ?= 3000
LOCK_OPTIONS ?=

BIN := .venv/bin
UV_READY := .venv/uv-ready
READY := .venv/ready
OLD_CLIENT := .cache/old-client
FOLDER := examples/$(EXAMPLE)
CONFIG := $(FOLDER)/lifecycle.yml
STATE_OF_CONFIG := from pathlib import Path; from lifecycle.settings import load_settings; \
	print(load_settings(Path("$(CONFIG)")).state
SQL_FILES := models dbt_project/tests

export UV_CACHE_DIR := $(CURDIR)/.cache/uv
export UV_PYTHON_DOWNLOADS := never
export PIP_NO_CACHE_DIR := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Nothing here reports to anybody.
export DO_NOT_TRACK := 1
export DBT_SEND_ANONYMOUS_USAGE_STATS := false

.DEFAULT_GOAL := help
.PHONY: help setup run data ui metricflow test test-servers lint format pytest bench docs lock browser old-client clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20
	@echo
	@echo '  EXAMPLE=$(EXAMPLE) chooses a folder of examples/; it has to hold a lifecycle.yml.'

# --- set-up ----------------------------------------------------------------------------------------------------------

$(UV_READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || {
		echo "Python 3.11 or 3.12 is needed, $(PYTHON) is $$($(PYTHON) --version 2>&1). Name one: make PYTHON=/path/to/python3.11" >&2
		exit 1
	}
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	mkdir -p .cache
	awk '/^[^ #]/ {wanted = /^uv==/} wanted' requirements.lock > .cache/uv.lock
	$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: -r .cache/uv.lock
	touch $@

# Compiling ahead costs some seconds once; without it every start of Dagster or dbt costs seconds more.
$(READY): $(UV_READY) requirements.lock pyproject.toml
	@echo "Installing the locked packages into .venv/ ..."
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --compile-bytecode --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	# The first run would do it: read the dbt project once, so that runs find it parsed.
	$(BIN)/python -c 'from orchestration.dbt import manifest; manifest()'
	touch $@

setup: $(READY) ## Make .venv/ from requirements.lock

# --- use -------------------------------------------------------------------------------------------------------------

data: $(READY) ## Prepare the example's data, if it has to be made
	@if test -f $(FOLDER)/prepare.py; then $(BIN)/python $(FOLDER)/prepare.py; fi

run: data ## Run the pipeline of the example and publish it
	@$(BIN)/lifecycle run --config $(CONFIG)

# Dagster's home is the state's folder and not this one, where it would leave folders of its own.
ui: $(READY) ## Dagster's UI on 127.0.0.1:3000 (PORT=...)
	@home=$$($(BIN)/python -c '$(STATE_OF_CONFIG).make().dagster)')
	ln -sfn $(CURDIR)/dagster.yaml "$$home/dagster.yaml"
	export LIFECYCLE_CONFIG=$(abspath $(CONFIG)) LIFECYCLE_DAGSTER_DIR="$$home" DAGSTER_HOME="$$home"
	cd "$$home"
	exec $(CURDIR)/$(BIN)/dagster dev -m orchestration.definitions -h 127.0.0.1 -p $(PORT)

# MetricFlow reads its definitions from the project's own target folder, whose names of tables are those of one database.
metricflow: $(READY) ## Let MetricFlow (`mf query`) read what the example has published
	@publication=$$($(BIN)/python -c '$(STATE_OF_CONFIG).serving)')/lifecycle.duckdb
	test -f "$$publication" || { echo "Nothing is published yet: make run EXAMPLE=$(EXAMPLE)" >&2; exit 1; }
	cd dbt_project
	LIFECYCLE_PUBLICATION=$$publication ../$(BIN)/dbt --quiet parse --profiles-dir metricflow
	echo 'MetricFlow is ready; in the folder dbt_project:'
	echo "  export DBT_PROFILES_DIR=metricflow LIFECYCLE_PUBLICATION=$$publication"
	echo '  ../$(BIN)/mf query --metrics net_revenue --group-by metric_time__month'

bench: $(READY) ## Measure whole runs, identity, models, stages and attribution against their limits (some 40 minutes)
	@$(BIN)/python examples/complete_journey/prepare.py
	failed=
	$(BIN)/python benchmarks/run.py || failed=1
	$(BIN)/python benchmarks/identity.py || failed=1
	$(BIN)/python benchmarks/models.py || failed=1
	$(BIN)/python benchmarks/stages.py || failed=1
	$(BIN)/python benchmarks/attribution.py || failed=1
	test -z "$$failed"

# --- develop ---------------------------------------------------------------------------------------------------------

test: lint pytest ## Everything that must pass: lint, types, SQL, tests

lint: $(READY) ## ruff, mypy and sqlfluff
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint --disable-progress-bar --processes 2 $(SQL_FILES)

pytest: $(READY) data $(OLD_CLIENT)/ready
	@$(BIN)/pytest -m "not servers"

format: $(READY) ## Rewrite Python and SQL into the house format
	@$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/sqlfluff fix --disable-progress-bar $(SQL_FILES)

docs: $(READY) ## Write docs/input-contract.md and a site of all models (with columns, once the example has run)
	@$(BIN)/python -m lifecycle.sources.documentation
	export LIFECYCLE_WAREHOUSE=$$($(BIN)/python -c '$(STATE_OF_CONFIG).warehouse)')
	export LIFECYCLE_SPILL=$(CURDIR)/.cache/docs/spill
	mkdir -p .cache/docs
	catalog=
	if ! test -f "$$LIFECYCLE_WAREHOUSE"; then
		LIFECYCLE_WAREHOUSE=$(CURDIR)/.cache/docs/nothing.duckdb
		catalog=--empty-catalog
	fi
	cd dbt_project
	../$(BIN)/dbt --quiet --no-partial-parse docs generate --static $$catalog --profiles-dir . \
		--target-path $(CURDIR)/.cache/docs --log-path $(CURDIR)/.cache/docs
	echo 'docs/input-contract.md and .cache/docs/static_index.html are written'

lock: $(UV_READY) ## Resolve requirements.lock from pyproject.toml (LOCK_OPTIONS=--upgrade)
	@$(BIN)/uv pip compile --quiet $(LOCK_OPTIONS) pyproject.toml --extra real-data --extra s3 --extra semantic --extra sftp --group dev --universal --python-version 3.11 \
		--no-emit-index-url --no-header --generate-hashes -o requirements.lock
	echo 'duckdb>=1.5,<1.6' | $(BIN)/uv pip compile --quiet $(LOCK_OPTIONS) - --universal --python-version 3.11 \
		--no-emit-index-url --no-header --no-annotate --generate-hashes -o tests/requirements-old-client.lock

# Needs root. The tests start a server of their own: a service that the package starts is not used.
test-servers: $(READY) ## Install and start the real servers, and test deliveries against them (apt: mailman3)
	@command -v mailman > /dev/null || {
		apt-get update --quiet --quiet
		DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --quiet --no-install-recommends mailman3
	}
	LIFECYCLE_TEST_SERVERS=1 $(BIN)/pytest -m servers

old-client: $(OLD_CLIENT)/ready ## A DuckDB 1.5 client in .cache/, for the test that it can read a publication

$(OLD_CLIENT)/ready: $(READY) tests/requirements-old-client.lock
	@rm -rf $(OLD_CLIENT)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --target $(OLD_CLIENT) --no-deps --require-hashes \
		-r tests/requirements-old-client.lock
	touch $@

browser: ## Install Chromium (a Debian package), for the tests that drive a browser
	@if ! command -v chromium > /dev/null; then
		as_root=$$(test "$$(id -u)" = 0 || echo sudo)
		$$as_root apt-get update -qq
		$$as_root apt-get install -y -qq --no-install-recommends chromium > /dev/null
	fi
	chromium --version

clean: ## Remove what runs and tests have made; .venv/ and .cache/ stay
	@rm -rf examples/*/data examples/*/out examples/*/.lifecycle .lifecycle dbt_project/target dbt_project/logs \
		.pytest_cache .mypy_cache .ruff_cache .hypothesis
	find lifecycle orchestration tests benchmarks examples -name __pycache__ -prune -exec rm -rf {} +
