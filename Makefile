# Every target sets up .venv when it is missing or older than pyproject.toml.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
READY  := $(VENV)/.ready
KILLS  ?= 60
PORT   ?= 5000
FILE   ?= search_spaces/modulation.yaml

.PHONY: search test lint bench gpu soak cluster-test ui docs results graph clean

search: $(READY)  ## a whole study on real data, in minutes: FILE=search_spaces/...
	$(BIN)/python -m orthotune.search $(FILE)

# Three processes on two cores: tests that kill and continue studies wait a lot. In the
# order of the files' names: by the number of their tests the longest would come last.
test: lint  ## everything a reviewer would run
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

lint: $(READY)  ## format, lint, types, direction of the imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

bench: $(READY)  ## every measure as a ratio within one run; ONLY="step tracking"
	$(BIN)/python -m tests.benchmarks $(if $(ONLY),--only $(ONLY))

gpu: $(READY)  ## on a machine with a GPU: is it right there, and how fast; 4 minutes
	$(BIN)/python -m tests.gpu

soak: $(READY)  ## odd files by the thousand; studies killed KILLS times; minutes each ten
	$(BIN)/python -m pytest -m soak
	$(BIN)/python -m tests.fuzz
	$(BIN)/python -m tests.soak --kills $(KILLS)

cluster-test: $(READY)  ## nodes of real processes that die and join; as root on hosts of their own
	$(BIN)/python -m pytest -m "soak or not soak" tests/test_cluster.py tests/test_job.py tests/test_storage_uri.py tests/test_gpus.py tests/cluster/test_preflight.py

ui: $(READY)  ## MLflow on 127.0.0.1, on the studies of this folder; PORT=5001 for another
	$(BIN)/mlflow ui --backend-store-uri sqlite:///mlflow.db --host 127.0.0.1 --port $(PORT)

docs: $(READY)  ## the manual as a site, in docs/_build; warnings are errors
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going docs docs/_build

results: $(READY)  ## verdicts from the ledgers' cells, the README's figure, the table of claims
	$(BIN)/python ablations/judged_anew.py
	$(BIN)/python ablations/claims_table.py
	$(BIN)/python ablations/main_figure.py

graph: $(READY)  ## who imports whom, for docs/architecture.md; needs Graphviz's dot
	$(BIN)/python docs/import_graph.py

clean:  ## remove the environment; studies and mlflow.db stay
	rm -rf $(VENV)

# One command installs torch and torchvision together: they must be built for each other.
# uv takes a fifth of pip's time, but reads no index from pip's configuration.
# .ready is written last, so an interrupted installation is taken up again.
$(READY): pyproject.toml
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@{ ! $(PIP) config list | grep -q "[.]index-url" && $(PIP) install --quiet uv \
		&& $(BIN)/uv pip install --quiet --no-cache --compile-bytecode --python $(BIN)/python --editable '.[dev]'; } \
		|| $(PIP) install --quiet --editable '.[dev]'
	@touch $(READY)
