# All targets create .venv from constraints.txt first, where it does not exist or is out of date.
PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= dev
RUN := $(VENV)/bin/python
ARGS ?=

.PHONY: search test test-cluster check docs bench bench-gpu clean

search: $(VENV)/ready
	$(RUN) -m search.launch spaces/rg_rep.yaml $(ARGS)

# All tests in two processes, the slow ones file by file: more would be too many for Ray, whose start gives up on a busy machine.
test: $(VENV)/ready .venv-moto/ready
ifeq ($(strip $(ARGS)),)
	$(RUN) -m pytest -n 2 -m "not slow and not cluster"
	$(RUN) -m pytest -n 2 --dist loadfile -m "slow and not cluster"
else
	$(RUN) -m pytest $(ARGS)
endif

# Start the cluster of cluster.yaml on simulated hosts on this machine. Needs root, openssh-server, iproute2 and rsync.
test-cluster: $(VENV)/ready .venv-moto/ready
	$(RUN) -m pytest -m cluster -rs -s $(ARGS)

# Style, types, import directions and the fast tests.
check: $(VENV)/ready
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(RUN) -m pytest -n 2 -m "not slow and not cluster"

# The documentation as a site, in site/; warnings are errors.
docs: $(VENV)/docs
	$(RUN) -m docs.generate_reference
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict --quiet

# The speed measurements of docs/benchmarks.md, except benchmarks.nodes, which needs 24 GB of memory.
bench: $(VENV)/ready
	$(RUN) -m benchmarks.render
	$(RUN) -m benchmarks.reverberation
	$(RUN) -m benchmarks.generate
	$(RUN) -m benchmarks.training
	$(RUN) -m benchmarks.profile
	$(RUN) -m benchmarks.doanet
	$(RUN) -m benchmarks.cluster
	$(RUN) -m benchmarks.sampler_cost

# Everything that depends on the GPU, in at most 9 minutes; ARGS=--miniature runs it in miniature on the CPU.
bench-gpu: $(VENV)/ready
	$(RUN) -m benchmarks.gpu $(ARGS)

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13) and "Python 3.11 or 3.12 is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[$(EXTRAS)]"
	touch $@

$(VENV)/docs: $(VENV)/ready
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[docs]"
	touch $@

.venv-moto/ready: tests/cluster/moto.txt
	$(PYTHON) -m venv .venv-moto
	.venv-moto/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/cluster/moto.txt
	touch $@

clean:
	rm -rf $(VENV) .venv-moto site
