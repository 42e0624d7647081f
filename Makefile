# Everything a person does with this project. `make` alone says what there is.
VENV   ?= .venv
PYTHON ?= python3
BIN    := $(VENV)/bin
export PATH := $(abspath $(BIN)):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help env demo test test-all lab docs readme prepare

help:  ## Say what there is to make
	@echo 'make WHAT [VENV=folder of the environment, now $(VENV)] [PYTHON=which python makes it, now $(PYTHON)]'
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' Makefile

env: $(VENV)/.installed  ## Make the environment if there is none, renew it when settings.ini or constraints.txt changed

$(VENV)/.installed: settings.ini setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or later is needed: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

demo: env  ## Train on synthetic strips, score on others, write overlays and a page into demo/
	$(BIN)/steel-defects demo --out demo

test: env  ## Run every notebook, then the tests
	OMP_NUM_THREADS=1 $(BIN)/nbdev_test --n_workers 2 --do_print --timing
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

test-all: env  ## The same with the heavy cells of the walkthroughs and the thorough tests: every page in a browser
	OMP_NUM_THREADS=1 $(BIN)/nbdev_test --n_workers 2 --do_print --timing --flags heavy
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --all

lab: env  ## Open JupyterLab on the first walkthrough (LAB="--no-browser --port 9000" hands options on)
	$(BIN)/jupyter lab --notebook-dir . $(LAB) nbs/tutorials/01_labels_to_overlays.ipynb

docs: env  ## Write the HTML pages of all notebooks into _docs/
	$(BIN)/python nbs/_docs.py

readme: env  ## Write README.md from nbs/index.ipynb
	$(BIN)/python nbs/_refresh.py README.md

prepare: env  ## After editing notebooks: export the modules, clean the notebooks, write README.md and the lazy names
	$(BIN)/nbdev_export
	$(BIN)/nbdev_clean
	$(BIN)/python nbs/_refresh.py
