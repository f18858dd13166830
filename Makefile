# `make mount-demo` shows the half without training, `make demo` everything. `make help` lists the rest.
#
# The first run makes .venv and installs the requirements into it. Later runs install only if a requirements
# file has changed. On a cluster, PYTHON=… names another interpreter, and VENV=… another place (on a file
# system with room for PyTorch and many small files). If the interpreter has PyTorch already, .venv is made on
# top of it. If the machine has no GPU, PyTorch comes from TORCH_INDEX, which has builds without CUDA.

PYTHON ?= $(firstword $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$p; done; true))
VENV ?= .venv
ARCHIVE ?=
ARGS ?=
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
TRAINING := Training and classifying# the head of the second part of requirements.txt
SCRIPTS := download_data.sh demo/demo.sh .ci/run $(wildcard jobs/*.sh jobs/*.sbatch jobs/sites/*.sh)

PYTEST := $(BIN)/python -m pytest -n 2

.PHONY: help demo mount-demo test test-slow test-slurm lint format bench fuse clean
.DELETE_ON_ERROR:

help:
	@echo 'make mount-demo            draw an archive of flowers, then label it, look at it and mount it'
	@echo 'make demo                  the same, then train and classify; this installs PyTorch'
	@echo 'make demo ARCHIVE=x.tgz    either of them with an archive of yours'
	@echo 'make test                  run the tests, real FUSE mounts included (ARGS="-k mount" for some)'
	@echo 'make test-slow             run the long tests: killed runs, stress, a real Slurm where there is one'
	@echo 'make test-slurm            only those of them that start a Slurm of two nodes (REQUIRE_SLURM=1: or fail)'
	@echo 'make lint                  ruff, and shellcheck where it is installed'
	@echo 'make format                let ruff mend the style'
	@echo 'make bench                 measure the figures of docs/figures.md on this machine (ARGS=dataset for some)'
	@echo 'make clean                 remove everything that these commands made, .venv included'

demo: $(VENV)/.installed fuse
	@PATH="$(abspath $(BIN)):$$PATH" ./demo/demo.sh $(if $(ARCHIVE),"$(ARCHIVE)")

mount-demo: $(VENV)/.light fuse
	@PATH="$(abspath $(BIN)):$$PATH" ./demo/demo.sh --without-training $(if $(ARCHIVE),"$(ARCHIVE)")

test: $(VENV)/.tested fuse
	$(PYTEST) --dist worksteal -m 'not slow' $(ARGS)

test-slow: $(VENV)/.tested fuse
	$(PYTEST) --dist loadfile -m slow $(ARGS)

test-slurm: $(VENV)/.tested fuse
	$(BIN)/python -m pytest -m slow tests/test_jobs.py tests/test_jobs_pipeline.py $(ARGS)

lint: $(VENV)/.tested
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@if command -v shellcheck >/dev/null; then set -x; shellcheck $(SCRIPTS); \
	else echo 'shellcheck is not installed: the shell scripts go unchecked (apt install shellcheck)' >&2; fi

format: $(VENV)/.tested
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.measured fuse
	$(BIN)/python benchmarks/run.py $(ARGS)

$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo 'Python 3.10 or newer is needed: install or load one, or name it with PYTHON=…' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	echo "$(PYTHON) cannot make virtual environments: apt install python3-venv, or name another with PYTHON=…" >&2; exit 1; }
	@has_torch='import sys, torch; sys.exit(sys.prefix != sys.base_prefix)'; \
	$(PYTHON) -m venv --clear $$($(PYTHON) -c "$$has_torch" 2>/dev/null && echo --system-site-packages) $(VENV)
	@touch $@

$(VENV)/.light: requirements.txt $(VENV)/.python
	@sed '/$(TRAINING)/,$$d' requirements.txt > $(VENV)/light.txt
	$(PIP) --no-compile -r $(VENV)/light.txt
	@touch $@

# PyTorch comes first, because only its packages may come from the other index.
$(VENV)/.installed: $(VENV)/.light
	@sed -n '/$(TRAINING)/,$$p' requirements.txt > $(VENV)/train.txt
	@echo 'Installing PyTorch into $(VENV) (with CUDA it takes 6 GB and a few minutes, once)' >&2
	@ls /dev/nvidia0 /dev/kfd >/dev/null 2>&1 || ! $(BIN)/python install/index_answers.py '$(TORCH_INDEX)' \
	|| $(PIP) --extra-index-url '$(TORCH_INDEX)' $$(sed -n 's/^\(torch[a-z]*>=[0-9.]*\).*/\1/p' $(VENV)/train.txt) || true
	$(PIP) -r $(VENV)/train.txt
	@touch $@

$(VENV)/.tested: requirements-test.txt requirements-extra.txt $(VENV)/.installed
	$(PIP) -r requirements-test.txt
	@touch $@

$(VENV)/.measured: requirements-bench.txt $(VENV)/.installed
	$(PIP) -r requirements-bench.txt
	@touch $@

# Mounting needs libfuse and /dev/fuse. Everything else works without them, so a missing one stops nothing.
fuse: $(VENV)/.light
	@if $(BIN)/python -c 'from ctypes.util import find_library as f; exit(not (f("fuse3") or f("fuse")))'; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	&& { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y fuse3 libfuse2; } >/dev/null 2>&1; then \
	echo 'Installed the FUSE library (apt install fuse3 libfuse2)' >&2; \
	else echo 'No FUSE library, so nothing can be mounted: apt install fuse3 libfuse2, or dnf install fuse fuse3 fuse-libs,' \
	"or conda install -c conda-forge libfuse, or load your cluster's fuse module" >&2; fi

clean:
	rm -rf $(VENV) demo-output .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
