# make demo and make test do everything on a machine that has Python (3.10 or newer), git and make.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test install clean

# A virtual environment with the pinned set.  EXTRAS and PIP_ARGS can be set, say PIP_ARGS="--index-url ..." for a CPU torch.
EXTRAS ?= test
STAMP = $(VENV)/.installed-$(subst $() ,,$(EXTRAS))
PIP_ARGS ?=

$(STAMP): pyproject.toml constraints.txt setup.py aecodec/codec/_rans.c
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e '.[$(EXTRAS)]'
	touch $@

install: $(STAMP)

demo: install
	$(BIN)/python scripts/demo.py samples/astronaut.png demo-output

test: install
	$(BIN)/python -m pytest

clean:
	rm -rf $(VENV) build demo-output *.egg-info
