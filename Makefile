# Every target works on a fresh clone: `.venv` is made when it is missing.
PYTHON ?= python3
BIN := .venv/bin
CLI := $(BIN)/customer-pipeline
# As many tests at once as there are cores, but no more than four PostgreSQL servers.
SIDE_BY_SIDE := -n auto --maxprocesses 4

.DEFAULT_GOAL := help
.PHONY: help setup run test up down restart status logs logs-airflow logs-scheduler shell-airflow shell-postgres \
        dbt-debug dbt-deps dbt-run dbt-test dbt-compile dbt-freshness dbt-docs test-faults test-mutations test-services test-end-to-end test-browser \
        test-docker test-scale lint format docs bench bench-merge bench-marts bench-store bench-workers bench-page bench-dag lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

# uv installs in a fifth of pip's time; where it can't (an index that only pip knows of), pip does.
.venv/ready: requirements.lock pyproject.toml
	@echo "Setting up .venv (once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r .ci/uv.lock
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock \
	    || $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --offline --editable . \
	    || $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m pipeline_page.web_assets
	@touch $@

setup: .venv/ready ## Make the virtual environment, and nothing else

# Make knows of FILE what was typed, and neither it nor a shell reads more into that: `$$`, quotes and blanks are a name's.
override FILE := $(value FILE)
export FILE

# A recipe can't choose make's own exit code: whatever it fails with, make ends with 2.
run: .venv/ready ## Start what is down, run the pipeline on the sample, or on FILE=…, print what happened
	@$(CLI) run $${FILE:+-- "$$FILE"} || { code=$$?; \
	    echo "Exit code $$code. Make ends with 2 all the same; $(CLI) run hands on its own." >&2; exit $$code; }

test: .venv/ready ## Run the tests
	@$(BIN)/python -m pytest -q $(SIDE_BY_SIDE) --dist worksteal

test-faults: .venv/ready ## Kill loads and builds at many points, and see that they recover (some six minutes)
	@$(BIN)/python -m pytest -q $(SIDE_BY_SIDE) --dist loadfile tests/faults

test-mutations: .venv/ready ## Get every expression of the models wrong, one at a time, and see that it is noticed (two minutes)
	@$(BIN)/python -m pytest -q -s tests/mutations

test-end-to-end: .venv/ready ## Start a real Airflow, and see what it retries and whom it tells (some three minutes)
	@$(BIN)/python -m pytest -q tests/end_to_end

test-browser: .venv/ready ## Look at the page with a Chromium of the machine, on a stack of its own (three minutes)
	@$(BIN)/python -m pytest -q tests/browser

test-services: .venv/ready ## Check ports, secrets and logs of the running services, after `make run`
	@$(BIN)/python -m pytest -q tests/services

test-docker: .venv/ready ## Bring the stack up on a Docker engine, run it, break it (ten minutes; skips without an engine)
	@$(BIN)/python -m pytest -q -s tests/docker

test-scale: .venv/ready ## Loads with a store, and two workers without a common disk, broken in turn (root; half an hour)
	@.ci/redis
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r deploy/celery.lock -r .ci/scale.lock
	@FAULT_ROOT=store $(BIN)/python -m pytest -q $(SIDE_BY_SIDE) --dist loadfile tests/faults
	@$(BIN)/python -m pytest -q -s tests/scale

up: .venv/ready ## Start PostgreSQL and Airflow
	@$(CLI) up

down: .venv/ready ## Stop them
	@$(CLI) down

restart: .venv/ready ## Stop and start them
	@$(CLI) restart

status: .venv/ready ## Services, runs and the age of the data
	@$(CLI) status

logs: .venv/ready ## Last lines of every service's log, and the errors of tasks
	@$(CLI) logs

logs-airflow: .venv/ready ## Last lines of Airflow's services, without requests, and the errors of tasks
	@$(CLI) logs airflow

logs-scheduler: .venv/ready ## Last lines of the scheduler's log
	@$(CLI) logs scheduler

shell-airflow: .venv/ready ## A shell in which `airflow` and `dbt` work
	@$(CLI) shell

shell-postgres: .venv/ready ## A SQL prompt on the warehouse
	@$(CLI) psql

dbt-debug: .venv/ready ## Check dbt's connection
	@$(CLI) dbt -- debug --connection

dbt-deps: .venv/ready ## Say that there are no dbt packages
	@echo "Nothing to install: the project uses no dbt packages (docs/adr/0004)."

dbt-run: .venv/ready ## Build the models
	@$(CLI) dbt -- run

dbt-test: .venv/ready ## Test the models
	@$(CLI) dbt -- test

dbt-compile: .venv/ready ## Show that the models compile
	@$(CLI) dbt -- compile

dbt-freshness: .venv/ready ## Warn if the newest load is older than 36 hours, fail after 72
	@$(CLI) dbt -- source freshness

dbt-docs: .venv/ready ## Make the models' documentation and lineage; the UI shows them under "Browse"
	@$(CLI) dbt -- docs generate

lint: .venv/ready ## Check lint, format, types and SQL
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/sqlfluff lint --quiet dbt/models dbt/tests

format: .venv/ready ## Format Python and SQL
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
	$(BIN)/sqlfluff fix --quiet dbt/models dbt/tests

docs: .venv/ready ## Make the pages that come from code
	@$(BIN)/python -m customer_pipeline.rules_page

bench: .venv/ready ## Time cleaning and loading two files against psql, pandas and DuckDB (half an hour, 6 GB of disk)
	@$(BIN)/python bench/clean_and_load.py

bench-merge: .venv/ready ## Time a day that is merged into a large table, and how long readers wait (four minutes)
	@$(BIN)/python bench/merge_a_day.py

bench-marts: .venv/ready ## Time a build of the marts against the same by hand, and their publishing (six minutes)
	@$(BIN)/python bench/build_marts.py $(if $(BEFORE),--before $(BEFORE))

bench-store: .venv/ready ## Time what it costs to hand files on through a store, and to clean in shards (five minutes)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r .ci/scale.lock
	@$(BIN)/python bench/hand_over.py

bench-workers: .venv/ready ## Time what workers of Celery gain by importing dbt before they fork (root; a quarter of an hour)
	@.ci/redis
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r deploy/celery.lock -r .ci/scale.lock
	@$(BIN)/python bench/warm_workers.py

bench-page: .venv/ready ## Time the page's views over a large warehouse (four minutes)
	@$(BIN)/python bench/page_views.py

bench-dag: .venv/ready ## Time a run of the DAG against stock Airflow and Cosmos (six minutes; restarts the services)
	@$(BIN)/python bench/dag_run.py

lock: .venv/ready ## Pin the dependencies of pyproject.toml anew
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
	    --extra dev --extra s3 pyproject.toml --output-file requirements.lock
	@# What Celery, Kubernetes and test-scale need beside that: the versions fit, and only what the lock above lacks is listed.
	@for extra in celery:deploy/celery.lock kubernetes:deploy/kubernetes/kubernetes.lock scale:.ci/scale.lock; do \
	    $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
	        --no-header --no-annotate --extra $${extra%%:*} --constraints requirements.lock \
	        $(shell sed -n 's/^\([a-z0-9._-]*\)==.*/--no-emit-package \1/p' requirements.lock) \
	        pyproject.toml --output-file $${extra##*:} || exit; \
	done

clean: .venv/ready ## Stop everything and remove what it made, the data in PostgreSQL included
	@$(CLI) down --with-data
	@RUNTIME=embedded $(CLI) down --with-data
	rm -rf .runtime .venv airflow/logs data/runs dbt/target dbt/logs
