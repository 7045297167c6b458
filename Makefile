# make run: set up and see it work. make help: what else there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROFILES ?= 200000
# Tests that run side by side; most of them wait for servers and processes more than they compute.
WORKERS ?= 4
BENCH ?=

.DEFAULT_GOAL := help
.PHONY: help run profiles preflight history install install-dev java jdk maven sshd gpg test test-unit test-paramiko4 test-older-spark mutation-test cluster-test dist lint format lock bench bench-audiences bench-transport bench-scaling fault-run clean

help: ## List the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

run: install data/profiles ## Export the demo audience of synthetic profiles to out/ (no Java needed)
	@$(BIN)/python jobs/activate.py activation=demo

preflight: install data/profiles ## Try the demo activation out, and publish nothing
	@$(BIN)/python jobs/preflight.py activation=demo

history: install ## List past runs
	@$(BIN)/python jobs/history.py

profiles: install ## Write synthetic profiles to data/profiles (PROFILES=200000)
	@if [ -d data/profiles ]; then echo "data/profiles is there already, and stays as it is. To write others: rm -r data/profiles"; \
	  else $(MAKE) --no-print-directory data/profiles; fi

data/profiles: | $(VENV)/.installed
	@$(BIN)/python jobs/make_profiles.py data/profiles --profiles $(PROFILES)

install: $(VENV)/.installed ## Create .venv with the locked dependencies

install-dev: $(VENV)/.installed-dev

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { \
	  echo "Python 3.11, 3.12 or 3.13 is needed; '$(PYTHON)' is: $$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python's venv module is missing. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing the locked dependencies into $(VENV) (once, some minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@echo "Installing what the tests need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

java:
	@./scripts/need java 'openjdk-17-jre-headless|openjdk-21-jre-headless' 'Java 17 or newer, for the Spark half of the tests'

jdk:
	@./scripts/need javac 'openjdk-17-jdk-headless|openjdk-21-jdk-headless' 'a JDK 17 or newer, for the mini cluster of YARN'

maven:
	@./scripts/need mvn 'maven' 'Maven, which fetches the jars for S3 and YARN'

sshd:
	@./scripts/need /usr/sbin/sshd 'openssh-server' 'the OpenSSH server, for the SFTP tests'

gpg:
	@./scripts/need gpg 'gnupg' 'GnuPG, for the tests of encryption'

test: install-dev java sshd gpg ## Run all tests (installs Java, sshd and gpg by apt where it can)
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test-unit: install-dev gpg ## Run the tests of single functions, which compose no configuration and start no engine (less than a minute)
	@$(BIN)/python -m pytest -n 2 --dist worksteal tests/unit

$(VENV)/paramiko4/.installed: | $(VENV)/.installed-dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(VENV)/paramiko4 'paramiko>=4,<5'
	@touch $@

test-paramiko4: install-dev java sshd $(VENV)/paramiko4/.installed ## Run the SFTP tests with paramiko 4, too
	@PYTHONPATH=$(VENV)/paramiko4 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests/integration/test_sftp.py tests/integration/test_sftp_trust.py

$(VENV)/spark-%/.installed: | $(VENV)/.installed-dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(VENV)/spark-$* 'pyspark==$*.*'
	@touch $@

test-older-spark: install-dev java $(VENV)/spark-3.5/.installed $(VENV)/spark-4.0/.installed ## Run the tests of rows with Spark 3.5 and 4.0, too (ten minutes)
	@for version in 3.5 4.0; do PYTHONPATH=$(VENV)/spark-$$version $(BIN)/python -m pytest tests/engine -k 'spark and not sail' || exit 1; done

mutation-test: install-dev java sshd ## Take each protection of a delivery away, and see a test fail (eight minutes)
	@$(BIN)/python tests/mutations.py

dist: install ## Build what a cluster needs into dist/: wheel, packed environment, jobs, deploy scripts
	@./scripts/dist $(BIN)/python

cluster-test: install-dev jdk java maven sshd ## Run the tests on a Spark cluster and on YARN (fetches jars once; ten minutes)
	@$(BIN)/python -m pytest tests/cluster

lint: install-dev ## Check format, style and types
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

format: install-dev ## Format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

# In an environment of its own, since it wants other versions.
$(VENV)/koheesio/.installed: | $(VENV)/.installed-dev
	@$(BIN)/python -m venv $(VENV)/koheesio
	@$(VENV)/koheesio/bin/python -m pip install --quiet --disable-pip-version-check 'koheesio[sftp]==0.11.1' 'pyspark==4.1.*' 'pandas<3' pyarrow packaging
	@touch $@

bench: install-dev java sshd $(VENV)/koheesio/.installed ## Compare whole exports with DuckDB, PySpark and koheesio scripts (BENCH='--profiles 100000', an hour)
	@KOHEESIO_PYTHON=$(VENV)/koheesio/bin/python $(BIN)/python benchmarks/export.py $(BENCH)

bench-audiences: install-dev ## What many audiences, incremental runs and consent cost (5 million profiles, half an hour)
	@$(BIN)/python benchmarks/audiences.py

# In an environment of its own, since it wants one version of botocore.
$(VENV)/awscli/.installed: | $(VENV)/.installed-dev
	@$(BIN)/python -m venv $(VENV)/awscli
	@$(VENV)/awscli/bin/python -m pip install --quiet --disable-pip-version-check 'awscli==1.45.11'
	@touch $@

bench-transport: install-dev sshd $(VENV)/awscli/.installed ## Compare deliveries to SFTP and S3 with the usual clients (some minutes, 9 GB of disk)
	@PATH="$(CURDIR)/$(VENV)/awscli/bin:$$PATH" $(BIN)/python benchmarks/transport.py

bench-scaling: install-dev java sshd ## How time grows with rows, cores and files (half an hour)
	@$(BIN)/python benchmarks/scaling.py

fault-run: install-dev sshd ## Kill runs and cut connections 300 times, and count what went wrong (an hour)
	@$(BIN)/python benchmarks/fault_run.py

lock: ## Renew the lock files from pyproject.toml (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean: ## Remove what was made: .venv, data, out, state, dist, build
	rm -rf $(VENV) data out state dist build
