# All set-up is here. `make lab` opens the first notebook; `make test` checks everything.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# So many processes share the tests (`make test JOBS=4` on a larger machine); each numerical library has one thread.
JOBS ?= 2
THREADS := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false
# The notebook of the ISI protocol runs with so many observations here; `make test-all` has a test with all of them.
PYTEST := $(THREADS) ISI_OBSERVATIONS=3 $(BIN)/python -m pytest

.PHONY: help lab quick test test-all check check-python check-js test-js test-notebooks bench pictures format clean

help:
	@echo "make lab       set up and open JupyterLab on the first notebook"
	@echo "make quick     linters, types, floors and the front end's own tests"
	@echo "make test      set up and run every test but the slow ones (needs Node.js 20+; Chromium for the browser tests)"
	@echo "make test-all  the slow tests too"
	@echo "make bench     measure speed and memory, write docs/performance.md"
	@echo "make pictures  take the screenshots of the docs anew (needs Chromium)"
	@echo "make format    format the Python code"

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "isi_widget needs Python 3.11 or newer; $(PYTHON) is older or missing. Try: make lab PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Could not make a virtual environment. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@touch $@

$(VENV)/.lab: $(VENV)/.made pyproject.toml constraints.txt
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e ".[lab]"
	@touch $@

$(VENV)/.test: $(VENV)/.lab
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e ".[lab,quant,test]"
	@touch $@

node_modules/.made: package.json package-lock.json
	@command -v npm >/dev/null || { echo "The front end's tests need Node.js 20 or newer (npm was not found)."; exit 1; }
	npm ci --no-audit --no-fund
	@touch $@

# Jupyter refuses to run as root unless told: in a container that is what one is.
lab: $(VENV)/.lab
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/01_first_probe.ipynb

check: check-python check-js

check-python: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/words.py

check-js: node_modules/.made
	npm run check
	npm run lint
	npm run check-bundle

test-js: node_modules/.made
	npm test

test-notebooks: $(VENV)/.test
	$(PYTEST) --nbmake notebooks

# Tutorials whose cells a test runs, see tests/tutorials.py: not twice.
RUN_BY_TESTS = 04_heads_and_gates 05_paths_and_lens

# What is quick to fail comes first, side by side; the browser's tests share one process, see tests/conftest.py.
quick: $(VENV)/.test node_modules/.made
	$(MAKE) -j$(JOBS) check test-js

test: quick
	$(PYTEST) -n $(JOBS) -m "not slow" --nbmake $(RUN_BY_TESTS:%=--ignore=notebooks/%.ipynb) tests notebooks

# New examples of the properties, too: `make test` tries the same ones every time.
test-all: quick
	$(PYTEST) -n $(JOBS) --hypothesis-profile exploring --nbmake tests notebooks

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks

pictures: $(VENV)/.test
	$(BIN)/python docs/make_pictures.py
	$(BIN)/python docs/make_gallery.py

format: $(VENV)/.test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) node_modules dist build
