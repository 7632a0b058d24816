# Everything a user or developer runs; each target sets up what it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOG := build/install.log
export RAY_AUTH_MODE ?= token
export MLFLOW_DISABLE_TELEMETRY ?= true

# mypy looks for gatelab's packages inside the folder gatelab: one of links is made for it.
define LINK_PACKAGES
rm -rf build/links && mkdir -p build/links/gatelab
ln -s $(CURDIR)/gatelab/* $(addprefix $(CURDIR)/,gates nn results sweeps tasks tracking training) \
	build/links/gatelab
endef

.PHONY: demo test tests test-cluster chaos check lint format docs benchmarks clean

demo: $(READY)  ## run the example sweep to its end and print the table
	$(BIN)/gatelab launch examples/digits.yaml --name digits-$$(date +%Y%m%d-%H%M%S)

test: $(READY)  ## static checks beside the tests, real sweeps among them
	$(MAKE) --no-print-directory --jobs 2 lint tests

# Three at once on two cores: who waits for a server or a browser uses none meanwhile.
tests: $(READY)
	$(BIN)/python -m pytest -m "not cluster and not ray" -n 3 --dist loadfile --no-loadscope-reorder

# One after the other on three hosts, which leaves a core to what starts Ray on this one.
test-cluster: $(READY)  ## Ray stopped, robbed and joined: here, and on three hosts brought up over SSH
	$(BIN)/python -m pytest -m "cluster or ray" -n 2 --dist loadgroup --no-loadscope-reorder

chaos: MINUTES ?= 30
chaos: SEED ?= 1
chaos: $(READY)  ## let everything go wrong on these hosts for MINUTES, and print what was lost
	PYTHONPATH=tests $(BIN)/python -m cluster.chaos $(MINUTES) $(SEED)

check: lint  ## static checks and the fast tests
	$(BIN)/python -m pytest -m "not slow and not cluster and not ray" -n 2

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(LINK_PACKAGES)
	cd build/links && $(abspath $(BIN))/mypy --config-file $(CURDIR)/pyproject.toml

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(READY)  ## the pages with the public docstrings, in build/site
	$(LINK_PACKAGES)
	$(BIN)/mkdocs build

benchmarks: $(READY)  ## print every ratio of docs/benchmarks.md
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache

# The environment: made once, made again when the pinned versions change. It is compiled on all cores, which
# pip does on one, and as a whole: Ray's processes that all compile at their first start are late for it.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "gatelab needs Python 3.11 or newer"'
	@echo "Installing into $(VENV), once: 3 GB of disk, some minutes; all that pip says is in $(LOG)"
	@$(PYTHON) -m venv $(VENV)
	@sh told.sh $(LOG) $(VENV) $(BIN)/pip install --no-compile --disable-pip-version-check \
		--progress-bar off --constraint constraints.txt --editable '.[dev]'
	@echo "Compiling what was installed"
	@sh told.sh build/compile.log $(VENV) sh -c '$(BIN)/python -m compileall -j 0 $(VENV)/lib || true'
	@touch $@
