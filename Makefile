# Everything runs in .venv, which each target makes when pyproject.toml or constraints.txt changed.
# PIP_ARGS reaches every pip call:  make demo PIP_ARGS="--index-url https://... "
PYTHON ?= python3
PIP_ARGS ?=
STAMP = .venv/.installed
DEV_STAMP = .venv/.installed-dev
BIN = .venv/bin
EXTRAS = offline,test
DEV_EXTRAS = offline,test,dev

.PHONY: demo test check bench bundle conformance format clean

demo: $(STAMP)
	$(BIN)/kcore demo

test: $(STAMP)
	$(BIN)/python -m pytest

check: $(DEV_STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -m "slow or not slow"

bench: $(STAMP)
	$(BIN)/python -m benchmarks

bundle: $(STAMP)
	$(BIN)/python bundle/build_bundle.py

conformance: $(STAMP)
	$(BIN)/python -m tests.conformance

format: $(DEV_STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv

# The stamp is written last, and a failed install removes the folder: a virtual environment that lies there is whole.
define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Knowledge Core needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || { rm -rf .venv; $(PYTHON) -m venv .venv; } || \
	  { rm -rf .venv; echo "Could not make a virtual environment. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || \
	  { rm -rf .venv; echo "The virtual environment has no pip. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Installing into .venv (PyTorch is large; this takes minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[$(1)]' || \
	  { rm -rf .venv; echo "The installation failed; .venv was removed. Mend what pip said above and run make again."; exit 1; }
	@touch $@
endef

$(STAMP): pyproject.toml constraints.txt
	$(call install,$(EXTRAS))

$(DEV_STAMP): pyproject.toml constraints.txt $(STAMP)
	$(call install,$(DEV_EXTRAS))
