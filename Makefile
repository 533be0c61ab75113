# Everything a fresh machine needs is behind these targets: `make search` and `make test` set up .venv themselves.
PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= dev
RUN := $(VENV)/bin/python
ARGS ?=

.PHONY: search test test-cluster check bench clean

search: $(VENV)/ready
	$(RUN) -m search.launch spaces/rg_rep.yaml $(ARGS)

test: $(VENV)/ready .venv-moto/ready
	$(RUN) -m pytest $(ARGS)

# cluster.yaml brought up on hosts of its own on this machine: root, Debian's openssh-server, iproute2 and rsync; minutes.
test-cluster: $(VENV)/ready .venv-moto/ready
	$(RUN) -m pytest -m cluster -rs -s $(ARGS)

# Style, types, import directions and the fast tests: two to four minutes.
check: $(VENV)/ready
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(RUN) -m pytest -m "not slow"

# Every figure in the README that is about speed, but for benchmarks.nodes, which wants 24 GB of memory.
bench: $(VENV)/ready
	$(RUN) -m benchmarks.render
	$(RUN) -m benchmarks.generate
	$(RUN) -m benchmarks.training
	$(RUN) -m benchmarks.doanet
	$(RUN) -m benchmarks.cluster

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13) and "Python 3.11 or 3.12 is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[$(EXTRAS)]"
	touch $@

.venv-moto/ready: tests/cluster/moto.txt
	$(PYTHON) -m venv .venv-moto
	.venv-moto/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/cluster/moto.txt
	touch $@

clean:
	rm -rf $(VENV) .venv-moto
