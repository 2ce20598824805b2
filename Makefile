# Everything runs from a virtual environment that these targets make themselves.
VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# Two workers: most of the time goes into compiling, which uses one core. A file's tests share their programs; in the
# order of their names the last files are short ones, so that no worker waits long for the other.
PYTEST := -m pytest -n 2 --dist loadfile --no-loadscope-reorder
# A GPU build of jax only where a GPU answers.
EXTRA := $(shell nvidia-smi >/dev/null 2>&1 && echo ,cuda12)
RUN := $(VENV)/bin/python

.PHONY: setup demo test test-long bench-gpu data-pack gpu docs lint format clean

setup: $(VENV)/.installed

$(VENV)/.installed: setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "blindsr_jax needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --no-compile --disable-pip-version-check -e '.[dev$(EXTRA)]'
	touch $@

demo: setup
	$(RUN) launch/demo.py --workdir=out/demo

test: setup lint
	$(RUN) $(PYTEST)

test-long: setup
	$(RUN) $(PYTEST) -m 'long or not long'

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
