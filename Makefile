# The commands of the series. They need python3 (3.11 to 3.14) and make, and the network once, for
# the installation.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOWEST := .venv-lowest
LOWEST_PYTHON := $(shell command -v python3.11 || echo $(PYTHON))
# JupyterLab refuses to run as root unless told to; containers are often root.
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] && echo --allow-root)

.PHONY: help lab check test test-browser test-answers test-solutions test-class test-mutants test-processors test-lowest notebooks cache bench bench-ablation bench-published study book tutorial clean

help:  ## list the targets
	@echo "make lab              install what is needed and open the series in JupyterLab"
	@echo "make check            lint, and the unit tests that are quick: a minute or two"
	@echo "make test             make check, then every notebook and a case of most longer tests"
	@echo "make test-browser     visit every notebook and every page in a browser"
	@echo "make test-answers     every wrong, unusual and hostile answer to Tutorial 7"
	@echo "make test-solutions   every notebook with all solutions of its exercises, trainings included"
	@echo "make test-class       a class on a JupyterHub, with real accounts and hostile students (root)"
	@echo "make test-mutants     injure formulas and a plain VAE one place at a time: it must be noticed"
	@echo "make test-processors  notebooks and unit tests as on other machines, and on four threads: an hour"
	@echo "make test-lowest      make test with the lowest versions that pyproject.toml allows"
	@echo "make notebooks        execute all notebooks in place and save their outputs"
	@echo "make cache            keep every trained model and long result of the notebooks in LECTURE_CACHE, for a class"
	@echo "make bench            measure speed, memory and the notebooks' times; write benchmarks/"
	@echo "make bench-ablation   measure what each part of fit is worth (after make bench)"
	@echo "make bench-published  train the models of a published table (hours; can be interrupted)"
	@echo "make study            go on with the study of notebook 07 (hours; can be interrupted)"
	@echo "make book             build the web edition, a static site, in build/book/html"
	@echo "make tutorial         generate the students' release of Tutorial 7 from its source"
	@echo "make clean            delete the caches, that of trained models among them (the installation stays)"

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in [(3, 11), (3, 12), (3, 13), (3, 14)])' || { \
		echo "Python 3.11, 3.12, 3.13 or 3.14 is needed, and $(PYTHON) is:"; $(PYTHON) --version; \
		echo "Name another one, for example: make lab PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) has no venv module. On Debian and Ubuntu: sudo apt install python3-venv. Then run make again."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --editable '.[test,tutorial,book]'
	@touch $@

$(VENV)/installed-book: $(VENV)/installed
	$(BIN)/python -m pip install --editable '.[book]'
	@touch $@

$(LOWEST)/installed: pyproject.toml tools/lowest_versions.py
	$(LOWEST_PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python tools/lowest_versions.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --constraint $(LOWEST)/constraints.txt --editable '.[test,tutorial,book]'
	@touch $@

# It opens on the page that says where to begin.
lab: $(VENV)/installed
	$(BIN)/jupyter lab --notebook-dir=notebooks --LabApp.default_url=/lab/tree/start.ipynb --ip=127.0.0.1 $(AS_ROOT)

# Two workers; the tests of a file, and the cells of a notebook, stay together on one of them.
PYTEST = -m pytest -n 2 --dist loadscope --no-loadscope-reorder

check: $(VENV)/installed-test
	$(BIN)/python -m ruff check .
	$(BIN)/python $(PYTEST) -m quick tests/unit

test: check
	$(BIN)/python $(PYTEST) --nbval -m 'not quick and not matrix'

# Chromium by Playwright, Firefox by puppeteer-core, which needs npm. Without npm Firefox is left out.
test-browser: $(VENV)/installed-test
	@[ -d build/node/node_modules/puppeteer-core ] || npm install --silent --no-audit --no-fund --prefix build/node puppeteer-core@24 || echo "puppeteer-core could not be installed."
	$(BIN)/python $(PYTEST) -m '' tests/browser

test-answers: $(VENV)/installed-test
	$(BIN)/python $(PYTEST) -m '' tests/tutorial

test-solutions: $(VENV)/installed-test
	$(BIN)/python $(PYTEST) --nbval -m '' notebooks

# Accounts are made on a copy of this machine that vanishes: deploy/README.md. Elsewhere it says why not.
test-class: $(VENV)/installed-test
	@[ "$$(id -u)" = 0 ] || { echo "This needs root, for accounts and sandboxes: sudo make test-class"; exit 1; }
	$(BIN)/python -m pip install --quiet --editable '.[test,tutorial,hub]'
	$(BIN)/python -m pytest -m '' -rs tests/class

test-mutants: $(VENV)/installed-test
	$(BIN)/python tests/mutants/mutants.py
	$(BIN)/python $(PYTEST) -m '' tests/mutants tests/notebooks/test_formula_mutations.py

test-processors: $(VENV)/installed-test
	$(BIN)/python tools/processors.py

test-lowest: $(LOWEST)/installed
	$(LOWEST)/bin/python $(PYTEST) --nbval

notebooks: $(VENV)/installed-test
	$(BIN)/python tools/execute_notebooks.py

cache: $(VENV)/installed-test
	$(BIN)/python tools/execute_notebooks.py --discard
	@echo "Let the class's LECTURE_SHARED_CACHE name this folder. It is only read."

bench: $(VENV)/installed-test
	for run in time_to_quality.py distance_to_limit.py speed_tricks.py growth.py series.py "series.py together" report.py; do $(BIN)/python benchmarks/$$run || exit 1; done

bench-ablation: $(VENV)/installed-test
	for name in ablation report; do $(BIN)/python benchmarks/$$name.py || exit 1; done

bench-published: $(VENV)/installed-test
	printf 'vae\niwae\n' | xargs -n 1 -P 2 $(BIN)/python benchmarks/train_published.py
	$(BIN)/python benchmarks/report.py

study: $(VENV)/installed-test
	OMP_NUM_THREADS=1 nice -n 19 $(BIN)/python benchmarks/study.py

book: $(VENV)/installed-book
	$(BIN)/python -m sphinx --quiet --fail-on-warning --jobs auto -c book -d build/book/doctrees . build/book/html
	@echo "Open build/book/html/index.html in a browser."

tutorial: $(VENV)/installed-test
	cd notebooks/tutorial_7 && ../../$(BIN)/nbgrader validate source/tutorial_7/tutorial_7.ipynb
	cd notebooks/tutorial_7 && ../../$(BIN)/nbgrader generate_assignment tutorial_7 --force --no-db

clean:
	rm -rf .cache .pytest_cache .hypothesis build
