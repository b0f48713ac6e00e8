# Seven words: demo test quick check fmt bench docs. Each sets up its own .venv when it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORE := $(VENV)/.core
DEV := $(VENV)/.dev

.PHONY: demo test quick check fmt bench docs clean

demo: $(CORE)  ## install, index a small real collection, identify photos, write a page
	$(BIN)/kenspeckle demo --out demo

test: check  ## everything this machine can run
	$(BIN)/pytest -n auto --dist worksteal

quick: $(DEV)  ## the part under a minute
	$(BIN)/pytest tests/unit tests/golden tests/e2e/test_bad_input.py --ignore tests/unit/test_house.py \
		-m "not slow and not assets and not torch" -n auto --dist worksteal

check: $(DEV)  ## form, types, import directions, file sizes
	$(BIN)/ruff format --check src tests tools benchmarks
	$(BIN)/ruff check src tests tools benchmarks
	$(BIN)/mypy
	$(BIN)/pytest tests/unit/test_house.py

fmt: $(DEV)  ## put the code into form
	$(BIN)/ruff format src tests tools benchmarks
	$(BIN)/ruff check --fix src tests tools benchmarks

bench: $(DEV)  ## measure; tables and JSON go to benchmarks/results
	$(BIN)/python -m benchmarks

docs: $(DEV)  ## write the reference pages anew from the code
	$(BIN)/python tools/reference_docs.py

clean:
	rm -rf $(VENV) demo dist build

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(CORE): $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(DEV): $(VENV)/bin/python pyproject.toml constraints-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints-dev.txt -e ".[dev]"
	@touch $@ $(CORE)
