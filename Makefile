# Two commands do everything: `make lab` opens the tutorial, `make test` checks the project.
# `make help` lists the rest.

ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
CANDIDATES := python py
else
BIN := .venv/bin
CANDIDATES := python3 python python3.14 python3.13 python3.12 python3.11
endif

# The first Python on this machine that is new enough; `make lab PYTHON=…` names another.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach p,$(CANDIDATES),$(shell $(p) -c "$(NEW_ENOUGH)" >/dev/null 2>&1 && echo $(p))))
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
NBVAL := --nbval --nbval-current-env --nbval-cell-timeout=30 --nbval-kernel-startup-timeout=120 -o timeout=0
LAB_ARGS ?=
BENCH_ARGS ?=
FREE_THREADED ?= $(firstword $(foreach p,python3.14t python3.13t,$(shell command -v $(p))))
FUZZ_ARGS ?= -runs=1000000
TEST_ARGS ?=
# Wider lines would wrap in a notebook.
LEARNERS_READ := $(wildcard chatstages/stage*.py chatstages/stage5_pool/*.py chatstages/faults/*.py examples/*.py examples/zh/*.py notebooks/*.ipynb notebooks/zh/*.ipynb)

.PHONY: help lab test lint types unit free-threaded schedules soak fuzz browser notebooks bench run-notebooks format translations constraints clean

help: ## list what make can do
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 24

lab: .venv/lab.done ## open the tutorial in JupyterLab (LAB_ARGS=--no-browser: only print its address)
	$(BIN)/chatstages lab $(LAB_ARGS)

test: lint types unit free-threaded schedules browser notebooks ## run everything that CI runs

lint: .venv/dev.done ## style, spelling, which way imports point
	$(BIN)/lint-imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/ruff format --check --line-length 88 $(LEARNERS_READ)
	$(BIN)/codespell

types: .venv/dev.done ## type hints
	$(BIN)/mypy

unit: .venv/dev.done ## unit tests (TEST_ARGS="-k stage4": some of them)
	$(BIN)/python -m pytest --ignore=tests/browser --ignore=tests/schedules $(TEST_ARGS)

# What the stages share between threads must not need the GIL's protection. (Hypothesis is not built for such a Python.)
free-threaded: ## tests of the stages on a Python without a GIL, where there is one (FREE_THREADED=python3.14t)
	@if [ -z "$(FREE_THREADED)" ]; then echo "free-threaded: left out, since no such Python is here"; else \
	$(FREE_THREADED) -m venv .venv/free-threaded && \
	.venv/free-threaded/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt pytest pytest-timeout psutil && \
	.venv/free-threaded/bin/python -m pytest -p no:cacheprovider --ignore=tests/stage5_pool/test_room_model.py tests/test_stage*.py tests/stage5_pool tests/protocol tests/runtime; fi

# Its own launcher makes the locks that it can steer. It is there for Linux; elsewhere these tests are left out.
schedules: .venv/dev.done ## two threads in one room, in every order in which they can take turns
	@if [ -e $(BIN)/frontrun ]; then $(BIN)/frontrun $(BIN)/python -m pytest tests/schedules $(TEST_ARGS); \
	else echo "schedules: left out, since frontrun is not installed here"; fi

soak: .venv/dev.done ## what takes long or measures time, on a quiet machine (half an hour; CHATSTAGES_CYCLES=10000: less)
	$(BIN)/python -m pytest -m soak -rP --timeout=1200 --ignore=tests/browser --ignore=tests/schedules $(TEST_ARGS)

fuzz: .venv/dev.done ## let atheris look for bytes that the wire does not bear (pip install -e ".[fuzz]"; FUZZ_ARGS=-runs=1000)
	$(BIN)/python -m tests.protocol.fuzz_framing -max_len=64 $(FUZZ_ARGS)

browser: .venv/dev.done ## tests in JupyterLab and Notebook 7, in a real browser (skipped where Chromium is missing)
	$(BIN)/python -m pytest tests/browser $(TEST_ARGS)

notebooks: .venv/dev.done ## run every notebook, in both languages, and compare what it shows
	$(BIN)/python -m pytest $(NBVAL) notebooks

bench: .venv/dev.done ## measure stage 5 beside other servers (a quarter of an hour; BENCH_ARGS="--rounds 1": less)
	$(BIN)/python -m chatstages.bench $(BENCH_ARGS)

run-notebooks: .venv/dev.done ## run every notebook and save what it shows
	$(BIN)/python -m jupyter nbconvert --to notebook --execute --inplace --log-level=WARN \
	  --ExecutePreprocessor.store_widget_state=False --ExecutePreprocessor.record_timing=False \
	  notebooks/*.ipynb notebooks/zh/*.ipynb
	$(BIN)/nbstripout --keep-output --keep-count --extra-keys "metadata.language_info.version metadata.language_info.codemirror_mode" \
	  notebooks/*.ipynb notebooks/zh/*.ipynb

format: .venv/dev.done ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/ruff format --line-length 88 $(LEARNERS_READ)

# What Python's argparse says is in a catalogue of its own, kept by hand.
translations: .venv/dev.done ## bring the catalogues up to date with the sentences, docstrings and comments in the code
	@mkdir -p build
	$(BIN)/pybabel --quiet extract --no-location --sort-output -o build/chatstages.pot chatstages
	$(BIN)/pybabel --quiet update --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date --no-wrap \
	  -D chatstages -i build/chatstages.pot -d chatstages/i18n
	$(BIN)/pybabel --quiet extract --no-location -F pyproject.toml -o build/sources.pot chatstages
	$(BIN)/pybabel --quiet update --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date --no-wrap \
	  -D sources -i build/sources.pot -d chatstages/i18n
	$(BIN)/pybabel --quiet compile -D "chatstages sources argparse" -d chatstages/i18n

constraints: .venv/dev.done ## write down the versions that this environment has
	$(BIN)/python -m pip freeze --exclude-editable | sort -f > constraints.txt

clean: ## remove what make has made
	rm -rf .venv build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache

.venv/lab.done: pyproject.toml constraints.txt | .venv/made
	@echo "Installing chatstages and JupyterLab into .venv (once; about a minute) …"
	$(PIP) install -c constraints.txt -e ".[lab]"
	@touch $@

.venv/dev.done: pyproject.toml constraints.txt | .venv/made
	@echo "Installing chatstages, JupyterLab and the test tools into .venv (once; a minute or two) …"
	$(PIP) install -c constraints.txt -e ".[dev]"
	@touch $@

.venv/made:
	@test -n "$(PYTHON)" || { echo "chatstages needs Python 3.11 or newer: install it, or name it: make lab PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c "$(NEW_ENOUGH)" || { echo "chatstages needs Python 3.11 or newer; $(PYTHON) is older, or is not there."; exit 1; }
	@echo "Making the environment .venv with $$($(PYTHON) --version) …"
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "This Python lacks venv. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@touch $@
