# Every target sets up .venv when it is missing or older than pyproject.toml.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
KILLS  ?= 60
FILE   ?= search_spaces/modulation.yaml

.PHONY: search test lint bench soak ui readme clean

search: $(READY)  ## a whole study on real data, in minutes: FILE=search_spaces/...
	$(BIN)/python -m orthotune.search $(FILE)

test: lint  ## everything a reviewer would run
	$(BIN)/python -m pytest

lint: $(READY)  ## format, lint, types, direction of the imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

bench: $(READY)  ## every measure as a ratio within one run; ONLY="step tracking"
	$(BIN)/python -m tests.benchmarks $(if $(ONLY),--only $(ONLY))

soak: $(READY)  ## kill studies at random moments, KILLS times, and compare; minutes each ten
	$(BIN)/python -m pytest -m soak
	$(BIN)/python -m tests.soak --kills $(KILLS)

ui: $(READY)  ## MLflow on 127.0.0.1:5000, on the studies of this folder
	$(BIN)/mlflow ui --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1 --port 5000

readme: $(READY)  ## the README's table of claims, from the ledgers
	$(BIN)/python ablations/readme_table.py

clean:  ## remove the environment; studies and mlflow.db stay
	rm -rf $(VENV)

# One command installs torch and torchvision together: they must be built for each other.
# .ready is written last, so an interrupted installation is taken up again.
$(READY): pyproject.toml
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(READY)
