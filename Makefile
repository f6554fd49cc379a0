# One command each; every target sets up .venv from the lock file by itself.
PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
RUN := .venv/bin/python -m

# of make reproduce: smoke (minutes), lab (hours) or paper; names with commas between
SCALE ?= smoke
FIGURES ?= all

.PHONY: show reproduce report football starcraft containers test test-slurm test-containers test-trixie test-gpu check docs bench bench-gpu calibration clean

show: .venv/ready  ## draw every published figure from its committed runs, and the page of them: under a minute
	$(RUN) partage redraw

reproduce: .venv/ready  ## train and draw figures, and the page of them: SCALE=lab FIGURES=mpd-15a_3c for others
	$(RUN) partage reproduce --scale $(SCALE) --figures $(FIGURES) --cores $(CORES)

report: .venv/ready  ## the page of what is trained so far, and how to make the rest
	$(RUN) partage report --scale $(SCALE)

football: .venv/ready  ## Google Research Football's engine: built once, minutes, then installed from build/wheels
	containers/install_football.sh .venv/bin/python

starcraft: .venv/ready  ## what plays StarCraft II, but for the game itself (docs/starcraft.md); needs git
	.venv/bin/python containers/pins.py smac | tr '\n' '\0' | xargs -0 $(RUN) pip install

test: .venv/ready  ## all tests
	$(RUN) pytest --numprocesses auto

test-gpu: .venv/ready  ## what runs on a GPU, where torch finds one; else each test says why it is skipped
	$(RUN) pytest -rs tests/test_cuda.py tests/test_cuda_simulators.py

test-slurm: .venv/ready  ## the workflow on a throw-away SLURM on this machine (root; containers/debian.sh installs it)
	$(RUN) pytest tests/cluster/test_slurm.py

test-containers: .venv/ready  ## images built and used (root, Apptainer, mmdebstrap: containers/debian.sh)
	$(RUN) pytest tests/cluster/test_containers.py

test-trixie:  ## all tests on Debian 13 and Python 3.13 (root, mmdebstrap), in the folder TRIXIE
	containers/trixie.sh $(or $(TRIXIE),build/trixie)

check: .venv/ready  ## style, types, direction of imports, workflow
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) pyright
	.venv/bin/python -c 'from importlinter.cli import lint_imports_command as c; c()'
	$(RUN) snakefmt --check Snakefile workflow/Snakefile workflow/rules src/partage/config/new_study/Snakefile
	$(RUN) partage plan --scale paper
	$(RUN) snakemake --lint

docs: .venv/docs  ## the documentation as a site: build/site/index.html
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build
	@echo; echo "build/site/index.html"

containers: .venv/ready  ## an Apptainer image for each family that the figures need: images/*.sif
	$(RUN) snakemake --cores $(CORES) --software-deployment-method apptainer -- images

bench: .venv/ready  ## speed against targets and peers; writes benchmarks/results
	$(RUN) benchmarks

bench-gpu: .venv/ready  ## simulators and learning on a GPU: what works there, what waits, how fast it is; five minutes
	$(RUN) benchmarks.gpu_simulators
	$(RUN) benchmarks.gpu

calibration: .venv/ready  ## what training costs on this machine, as the suite brings it, and docs/costs.md's table of it: ten minutes
	$(RUN) benchmarks.costs --measure

clean:  ## forget the environment, not the results
	rm -rf .venv

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "partage needs Python 3.11 to 3.13, but $(PYTHON) is $$($(PYTHON) --version): say make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv .venv
	$(RUN) pip install --quiet --requirement requirements.lock
	$(RUN) pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.venv/docs: requirements-docs.lock .venv/ready
	$(RUN) pip install --quiet --constraint requirements.lock --requirement requirements-docs.lock
	touch $@
