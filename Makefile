# Everything runs from a virtual environment that these targets make themselves.
VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# Two workers: most of the time goes into compiling, which uses one core. A file's tests share their programs; in the
# order of their names the last files are short ones, so that no worker waits long for the other.
PYTEST := -m pytest -n 2 --dist loadfile --no-loadscope-reorder
# Versions to take: `make setup CONSTRAINTS=constraints.txt` installs those that were tested.
CONSTRAINTS ?=
# A GPU build of jax only where a GPU answers.
EXTRA := $(shell nvidia-smi >/dev/null 2>&1 && echo ,cuda12)
RUN := $(VENV)/bin/python

.PHONY: setup demo test test-long test-matrix lock sbom licences bench-gpu data-pack gpu docs lint format clean

setup: $(VENV)/.installed

$(VENV)/.installed: setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "blindsr_jax needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --no-compile --disable-pip-version-check $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -e '.[dev$(EXTRA)]'
	touch $@

demo: setup
	$(RUN) launch/demo.py --workdir=out/demo

test: setup lint
	$(RUN) $(PYTEST)

test-long: setup
	$(RUN) $(PYTEST) -m 'long or not long'

# The oldest and the newest packages that setup.py allows, for each Python that is found; half an hour. A part of it:
# make test-matrix MATRIX='--python 3.13 --choice newest'
test-matrix:
	$(PYTHON) tests/matrix.py --folder=out/matrix $(MATRIX)

# The versions that an installation gets today, for all Pythons, in constraints.txt.
lock: out/tools/.installed
	out/tools/bin/uv pip compile setup.py --extra dev --extra tiff --extra cuda12 --universal --python-version 3.11 \
		--quiet --no-header --no-annotate --output-file constraints.txt
	@echo 'run the tests with them: make clean && make test CONSTRAINTS=constraints.txt'

# What is installed, as a bill of materials (CycloneDX, JSON) and as a table of licences.
sbom: setup out/tools/.installed
	out/tools/bin/cyclonedx-py environment $(RUN) --output-reproducible --of JSON -o out/sbom.json

licences: setup out/tools/.installed
	out/tools/bin/pip-licenses --python=$(RUN) --format=markdown --with-urls --output-file=out/licences.md

# Tools for the targets above, apart from what they look at.
out/tools/.installed:
	$(PYTHON) -m venv out/tools
	out/tools/bin/pip install --quiet --disable-pip-version-check 'uv>=0.9,<1' 'cyclonedx-bom>=7,<8' 'pip-licenses>=5,<6'
	touch $@

# Ends within nine minutes, with what it has got; --small tries it on a CPU.
bench-gpu: setup
	$(RUN) launch/bench_gpu.py --workdir=out/gpu

# A site with the documents and an API reference; any warning is an error.
docs: setup
	$(VENV)/bin/mkdocs build --quiet
	@echo 'open out/docs/index.html'

# The images of trainings in one file, for a machine that does not have them.
data-pack: setup
	$(RUN) launch/pack_data.py --input='../shared/data/BSDS500/train/*.jpg' \
		--input='../shared/data/photographs/train/*.png' --validation='../shared/data/BSDS500/val/*.jpg' \
		--output=out/data.zip

# A rented hour: bench, then trainings by worth; goes on where it was stopped. STAGES=usrnet:200,... for less time.
gpu: setup
	$(RUN) launch/gpu.py --data=out/data.zip --workdir=out/gpu $(if $(STAGES),--stages=$(STAGES))

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyrefly check --python-interpreter-path $(RUN) --output-format min-text

format: setup
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

clean:
	rm -rf $(VENV) out build *.egg-info
