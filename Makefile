# Everything lives in .venv, which `make install` makes and brings up to date. PYTHON=… chooses another interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.DEFAULT_GOAL := help
.PHONY: help install browser demo lab test lint bench chaos pictures clean

help:  ## what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed  ## .venv with everything; does nothing if nothing changed

# What pip puts into .venv hangs on these alone: of the code itself, .venv holds only the folder's path.
$(VENV)/.installed: pyproject.toml jupyter_server_ext/sse_tasks.json $(wildcard hatch_build.py)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; make PYTHON=… names another one." >&2; exit 1; }
	@test -x $(BIN)/python && $(BIN)/python -c 'import pip' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV) || \
	  { echo "No virtual environment could be made: on Debian, apt install python3-venv." >&2; exit 1; }
	@echo "Installing into $(VENV): about a minute the first time."
	@$(BIN)/python -m pip install --quiet --progress-bar off 'hatchling>=1.27' 'editables>=0.5'
	$(BIN)/python -m pip install --no-build-isolation --editable '.[test,parquet]'
	@touch $@

browser: install  ## a browser for the workers, the one that is there or a new one
	@$(BIN)/python -m sse_tasks_workers.get_browser

demo: browser  ## the main job: a notebook scrapes a small shop's reviews, in a real Jupyter server
	@$(BIN)/python notebooks/demo.py

lab: browser  ## JupyterLab with the demo's notebook
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/scrape_reviews.ipynb

# More than there are processors: much of what is tested waits.
WORKERS = $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) * 3 / 2 )))
# What takes all processors there are: beside it, others would wait in vain.
GREEDY := tests/faults/test_misbehaving.py tests/faults/test_abort_means_gone.py

test: browser  ## the whole suite: ruff, mypy, tests, notebooks, on all processors; T=… for a part of it
ifdef T
	@$(BIN)/python -m pytest --nbval-lax $(T)
else
	@$(BIN)/python -m pytest --nbval-lax -n $(WORKERS) --dist loadfile --no-loadscope-reorder \
	  $(GREEDY:%=--ignore %) tests notebooks
	@$(BIN)/python -m pytest $(GREEDY)
endif

lint: install  ## ruff and mypy alone
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

bench: install  ## the benchmarks
	@set -e; for file in benchmarks/*.py; do echo "$$file"; $(BIN)/python $$file; done

chaos: install  ## everything that can die is killed at random; MINUTES=… SEED=… BREAK=bell|lock|kill
	@$(BIN)/python -m tests.chaos.run --minutes $(or $(MINUTES),30) $(if $(SEED),--seed $(SEED)) \
	  $(if $(BREAK),--break $(BREAK))

pictures: browser  ## the pictures in docs/pictures, taken anew
	@$(BIN)/python -m tests.browser.pictures

clean:  ## removes what was made, except .venv
	rm -rf .demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
