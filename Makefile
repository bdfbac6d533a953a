# make demo   everything from nothing: environment, generated data, stores, runs, tables and figures (demo preset)
# make test   all tests; make test-fast: those of seconds, without Slurm, browser and Snakemake
# make docs   the documentation as a site, in site/
# make test-inputs   bad inputs; make test-faults: kills, full disks and damage, each long step at 20 moments; make audit:
#             known flaws of the packages
# make bench, make bench-gpu: docs/performance.md and docs/performance_gpu.md; the latter with any Python that has
# PyTorch and the package's needs. make lint, make lock: what their names say
CORES ?= $(shell nproc)
VENV := .venv
# Commands of the environment come first, for make's recipes and for the jobs that Snakemake starts.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: demo test test-fast test-inputs test-faults audit lint bench bench-gpu docs lock
demo: $(VENV)/installed
	snakemake --cores $(CORES)

# three processes on two cores: that of the tests on Slurm waits most of the time
test: $(VENV)/installed-dev
	python -m pytest --numprocesses 3 --no-loadscope-reorder $(PYTEST)

test-fast: $(VENV)/installed-dev
	python -m pytest --numprocesses 2 -m "not slurm and not browser and not workflow and not slow and not inputs and not faults" $(PYTEST)

test-inputs: $(VENV)/installed-dev
	python -m pytest --numprocesses 2 -m inputs $(PYTEST)

test-faults: $(VENV)/installed-dev
	CLD_FAULT_MOMENTS=20 python -m pytest --numprocesses 2 -m faults $(PYTEST)

# where the registry of packages answers questions about known flaws; not part of make test
audit: $(VENV)/installed-dev
	python -m pip install --quiet pip-audit
	pip-audit --requirement requirements.lock --no-deps --disable-pip

lint: $(VENV)/installed-dev
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check workflow
	snakemake --lint

bench: $(VENV)/installed-dev
	rm -rf .bench
	for bench in benchmarks/bench_*.py; do python $$bench || exit 1; done
	python benchmarks/performance_page.py

bench-gpu:
	PYTHONPATH=. python benchmarks/gpu_acceptance.py

docs: $(VENV)/installed-dev
	mkdocs build --strict

$(VENV)/installed: install.sh pyproject.toml hatch_build.py requirements.lock
	./install.sh $(VENV) '.[workflow,kitchen]'
	touch $@

$(VENV)/installed-dev: install.sh pyproject.toml hatch_build.py requirements.lock
	./install.sh $(VENV) '.[workflow,kitchen,dev,docs]'
	touch $@ $(VENV)/installed

lock: $(VENV)/installed-dev
	{ grep '^#' requirements.lock; pip freeze --exclude-editable; } > .lock.tmp && mv .lock.tmp requirements.lock
