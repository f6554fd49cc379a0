# One command each; every target sets up .venv from the lock file by itself.
PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
BIN := .venv/bin

.PHONY: reproduce report football starcraft containers test test-slurm test-containers test-trixie check bench clean

reproduce: .venv/ready  ## train everything at smoke scale and draw all figures: minutes
	$(BIN)/snakemake --cores $(CORES)
	@echo; echo "figures: results/smoke/figures   tables: results/smoke/tables"

report: .venv/ready  ## the same, and one page to look at and send (of another scale: partage report --scale paper)
	$(BIN)/snakemake --cores $(CORES) report
	@echo; echo "results/smoke/report.html"

football: .venv/ready  ## Google Research Football's engine: built once, minutes, then installed from build/wheels
	containers/install_football.sh $(BIN)/python

starcraft: .venv/ready  ## what plays StarCraft II, but for the game itself (docs/starcraft.md); needs git
	$(BIN)/python containers/pins.py smac | tr '\n' '\0' | xargs -0 $(BIN)/pip install

test: .venv/ready  ## all tests
	$(BIN)/python -m pytest --numprocesses auto

test-slurm: .venv/ready  ## the workflow on a throw-away SLURM on this machine (root; containers/debian.sh installs it)
	$(BIN)/python -m pytest tests/cluster/test_slurm.py

test-containers: .venv/ready  ## images built and used (root, Apptainer, mmdebstrap: containers/debian.sh)
	$(BIN)/python -m pytest tests/cluster/test_containers.py

test-trixie:  ## all tests on Debian 13 and Python 3.13 (root, mmdebstrap), in the folder TRIXIE
	containers/trixie.sh $(or $(TRIXIE),build/trixie)

check: .venv/ready  ## style, types, direction of imports, workflow
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/snakefmt --line-length 100 --check Snakefile workflow/rules
	$(BIN)/partage plan --scale paper
	$(BIN)/snakemake --lint

containers: .venv/ready  ## an Apptainer image for each family that the figures need: images/*.sif
	$(BIN)/snakemake --cores $(CORES) --software-deployment-method apptainer -- images

bench: .venv/ready  ## speed against targets and peers; writes benchmarks/results
	$(BIN)/python -m benchmarks

clean:  ## forget the environment, not the results
	rm -rf .venv

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "partage needs Python 3.11 to 3.13, but $(PYTHON) is $$($(PYTHON) --version): say make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@
