# Every target sets up .venv when it is missing or older than pyproject.toml.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
KILLS  ?= 60
FILE   ?= search_spaces/modulation.yaml

.PHONY: search test lint bench soak cluster-test ui readme clean

search: $(READY)  ## a whole study on real data, in minutes: FILE=search_spaces/...
	$(BIN)/python -m orthotune.search $(FILE)

test: lint  ## everything a reviewer would run, in two processes
	$(BIN)/python -m pytest -n 2 --dist loadfile

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

cluster-test: $(READY)  ## nodes of real processes that die and join; as root on hosts of their own
	$(BIN)/python -m pytest -m "soak or not soak" tests/test_cluster.py tests/test_job.py tests/test_storage_uri.py

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
