# make demo and make test do everything on a machine that has Python (3.10 or newer), git and make.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test bench dist install clean

# A virtual environment with the pinned set.  EXTRAS picks the package's extras; PIP_ARGS reaches pip, say with the index
# of a CPU build of torch.
EXTRAS ?= test
PIP_ARGS ?=
STAMP = $(VENV)/.installed-$(EXTRAS)

$(STAMP): pyproject.toml constraints.txt setup.py $(wildcard aecodec/*/*.c)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e '.$(if $(EXTRAS),[$(EXTRAS)])'
	touch $@

install: $(STAMP)

demo:
	$(MAKE) install EXTRAS=
	$(BIN)/python scripts/demo.py samples/astronaut.png demo-output

test: install
	$(BIN)/python -m pytest

# Beside cjxl, avifenc and cwebp, as far as they are installed (Debian: libjxl-tools, libavif-bin, webp).
bench:
	$(MAKE) install EXTRAS=
	$(BIN)/python benchmarks/bench.py

# An sdist and a wheel in dist/, their contents checked, and the wheel tried in a clean environment.
dist:
	$(PYTHON) scripts/make_dist.py

clean:
	rm -rf $(VENV) build dist demo-output *.egg-info
